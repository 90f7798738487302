var chooser = document.getElementById('view');
function look() {
  document.querySelectorAll('.view').forEach(function (view) { view.hidden = view.dataset.view !== chooser.value; });
}
if (chooser) { chooser.addEventListener('change', look); look(); }
document.querySelectorAll('thead th').forEach(function (head) {
  head.firstElementChild.addEventListener('click', function () {
    var body = head.closest('table').tBodies[0], column = head.cellIndex;
    var sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    head.parentNode.querySelectorAll('th').forEach(function (other) { other.removeAttribute('aria-sort'); });
    head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
    Array.from(body.rows).sort(function (a, b) {
      var p = a.cells[column], q = b.cells[column], x = p.dataset.value, y = q.dataset.value;
      if (x !== undefined && y !== undefined) return sign * (x - y);
      if (x !== undefined || y !== undefined) return x !== undefined ? -1 : 1;
      return sign * p.textContent.localeCompare(q.textContent, undefined, { numeric: true });
    }).forEach(function (row) { body.appendChild(row); });
  });
});
