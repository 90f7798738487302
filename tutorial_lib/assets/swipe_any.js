document.querySelectorAll('.swipe-any:not([data-live])').forEach(function (root) {
  root.dataset.live = '';
  var frame = root.querySelector('[data-frame]'), pictures = frame.querySelectorAll('img'), tags = frame.querySelectorAll('span');
  var selects = root.querySelectorAll('select'), right = pictures[0], left = pictures[1];
  var shown = [[left, tags[1]], [right, tags[0]]];
  var sources = [left.src, right.src].concat(JSON.parse(root.querySelector('[type="application/json"]').textContent));
  selects.forEach(function (select, side) {
    select.addEventListener('change', function () {
      var label = select.options[select.selectedIndex].text;
      shown[side][0].src = sources[select.selectedIndex];
      shown[side][0].alt = [label, root.dataset.alt].filter(Boolean).join(', ');
      shown[side][1].textContent = label;
      var names = [selects[0], selects[1]].map(function (each) { return each.options[each.selectedIndex].text; });
      frame.querySelector('input').setAttribute('aria-label', 'Edge between ' + names.join(' and '));
    });
  });
});
