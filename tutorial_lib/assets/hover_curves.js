document.querySelectorAll('.hover-curves:not([data-live])').forEach(function (root) {
  root.dataset.live = '';
  var image = root.querySelector('img'), holder = document.createElement('div'), tip = document.createElement('div');
  holder.innerHTML = decodeURIComponent(image.src.slice(image.src.indexOf(',') + 1));
  var drawing = holder.firstElementChild, marked = null;
  drawing.setAttribute('role', 'img');
  drawing.setAttribute('aria-label', image.alt);
  drawing.style.cssText = 'display:block;width:100%;height:auto';
  image.replaceWith(drawing);
  tip.style.cssText = 'position:absolute;display:none;pointer-events:none;z-index:3;max-width:340px;padding:6px 10px;' +
    'background:#fff;color:#111;border:1px solid #555;border-radius:4px;box-shadow:0 2px 8px #0004;font-size:15px';
  root.appendChild(tip);
  function each(selector, change) { root.querySelectorAll(selector).forEach(change); }
  function hide() {
    tip.style.display = 'none';
    if (marked) marked.style.boxShadow = 'none';
    marked = null;
  }
  function show(point) {
    hide();
    tip.textContent = '';
    point.getAttribute('aria-label').split('\n').forEach(function (text, index) {
      var line = document.createElement(index ? 'div' : 'b');
      line.textContent = text;
      tip.appendChild(line);
    });
    if (point.dataset.picture) {
      var crop = document.createElement('img');
      crop.src = point.dataset.picture[0] === '#' ? document.querySelector(point.dataset.picture).src : point.dataset.picture;
      crop.alt = 'Crop of the decoded picture';
      crop.style.cssText = 'display:block;margin:4px 0 0;max-width:100%;image-rendering:pixelated';
      crop.onload = place;
      tip.appendChild(crop);
    }
    marked = point;
    point.style.boxShadow = '0 0 0 2px #111';
    tip.style.display = 'block';
    place();
  }
  function place() {
    if (!marked) return;
    var x = marked.offsetLeft, y = marked.offsetTop, right = x + 26 + tip.offsetWidth <= root.offsetWidth;
    tip.style.left = (right ? x + 26 : Math.max(0, x - 4 - tip.offsetWidth)) + 'px';
    tip.style.top = Math.max(0, Math.min(y + 20, root.offsetHeight - tip.offsetHeight)) + 'px';
  }
  each('[data-point]', function (point) {
    point.setAttribute('aria-label', point.title);
    point.removeAttribute('title');
    point.addEventListener('focus', function () { show(point); });
    point.addEventListener('blur', hide);
  });
  function nearest(event) {
    // not the button under the pointer: where points are dense, one would hide the next
    var box = root.getBoundingClientRect(), best = null, least = 18;
    each('[data-point]', function (point) {
      var distance = Math.hypot(point.offsetLeft + 11 - event.clientX + box.left, point.offsetTop + 11 - event.clientY + box.top);
      if (point.style.display !== 'none' && distance < least) { best = point; least = distance; }
    });
    if (best === marked) return;
    if (best) show(best); else hide();
  }
  ['mousemove', 'click'].forEach(function (event) { root.addEventListener(event, nearest); });
  root.addEventListener('mouseleave', hide);
  root.addEventListener('keydown', function (event) { if (event.key === 'Escape') hide(); });
  each('[data-toggle]', function (entry) {
    var number = entry.dataset.toggle, on = true, label = 'line ' + entry.title;
    entry.title = 'Click to hide or show';
    entry.setAttribute('aria-label', label);
    entry.setAttribute('aria-pressed', 'true');
    entry.style.cursor = 'pointer';
    entry.addEventListener('click', function () {
      on = !on;
      entry.setAttribute('aria-pressed', on);
      each(of('g[data-line') + ',' + of('[data-point'), function (part) { part.style.display = on ? '' : 'none'; });
      each(of('g[data-entry'), function (part) { part.style.opacity = on ? 1 : 0.3; });
      emphasise(on);
    });
    function of(attribute) { return attribute + '="' + number + '"]'; }
    function emphasise(alone) {
      each('g[data-line]', function (part) { part.style.opacity = alone && on && part.dataset.line !== number ? 0.15 : ''; });
    }
    ['mouseenter', 'focus'].forEach(function (event) { entry.addEventListener(event, function () { emphasise(true); }); });
    ['mouseleave', 'blur'].forEach(function (event) { entry.addEventListener(event, function () { emphasise(false); }); });
  });
});
