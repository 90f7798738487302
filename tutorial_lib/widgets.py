"""Things to move: a swipe between pictures, curves that answer the pointer, and sliders over a function."""

from __future__ import annotations

import contextlib
import html
import inspect
import io
import json
import math
import traceback
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from tutorial_lib import images, plots
from tutorial_lib.plots import COLOURS, RED, YELLOW, Shown, zoomed

WIDGET = "application/vnd.jupyter.widget-view+json"

# The palette without its yellow, which is too faint for a line on white; black is the eighth of Okabe and Ito's colours.
_LINE_COLOURS = (*COLOURS[:6], "#000000")
_MARKERS = (
    "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z",  # disc
    "M-5.5-5.5h11v11h-11z",  # square
    "M0-7.5L7 5.5H-7z",  # triangle
    "M0-7.5L7.5 0L0 7.5L-7.5 0z",  # diamond
    "M0 7.5L7-5.5H-7z",  # triangle on its tip
    "M-2.2-7h4.4v4.8h4.8v4.4h-4.8v4.8h-4.4v-4.8h-4.8v-4.4h4.8z",  # plus
    "M-7-4L-4-7L0-3L4-7L7-4L3 0L7 4L4 7L0 3L-4 7L-7 4L-3 0z",  # cross
)
_DASHES = ("", "10 5", "3 5")
_STAR = "M" + "L".join(
    f"{radius * math.sin(math.pi * corner / 5):.2f} {-radius * math.cos(math.pi * corner / 5):.2f}"
    for corner, radius in enumerate((13, 5.2) * 5)
) + "z"  # fmt: skip

# Works on every snippet of the page that doesn't live yet, so a snippet needs no name of its own. The drawing becomes part of the
# page, where its lines can be hidden, and the browser's own hints give way to a richer one.
_CURVES_SCRIPT = """
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
    point.getAttribute('aria-label').split('\\n').forEach(function (text, index) {
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
"""

_SWIPE_SCRIPT = """
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
"""


def swipe(left: Tensor, right: Tensor, labels: tuple[str, str], *, alt: str = "", zoom: float = 1) -> Shown:
    """Two pictures of one size on each other, and an edge that follows the pointer, finger or arrow keys.

    Self-contained: works in saved notebooks and reports, without a kernel or a network.

    Args:
        left, right: pictures (3, H, W) of one size.
        labels: what they are, with bpp and PSNR where that matters.
        alt: what differs, in a sentence; the labels are added.
        zoom: enlarge both by repeating pixels.

    Raises:
        ValueError: different sizes.
    """
    if left.shape != right.shape:
        raise ValueError(f"swipe needs pictures of one size, not {tuple(left.shape)} and {tuple(right.shape)}")
    texts = [", ".join(filter(None, [label, alt])) for label in labels]
    sources = [plots.picture_source(zoomed(each, zoom)) for each in (left, right)]
    body = _swipe_frame(sources, labels, texts, round(right.shape[2] * zoom))
    return Shown(body, f"Swipe between two pictures. Left: {texts[0]}. Right: {texts[1]}.")


def swipe_any(pictures: Mapping[str, Tensor], *, alt: str = "", zoom: float = 1) -> Shown:
    """A `swipe` between any two of several pictures, chosen from two lists; the first two at the start.

    The pictures are embedded once each and without loss (WebP), so that what differs is the codecs' doing.

    Args:
        pictures: label to picture (3, H, W), two or more of one size.
        alt: what is to be seen, in a sentence; the labels are added.
        zoom: enlarge all by this factor, pixels as squares.

    Raises:
        ValueError: fewer than two pictures, or different sizes.
    """
    labels = tuple(pictures)
    if len(labels) < 2:
        raise ValueError("a swipe needs at least two pictures")
    if len({each.shape for each in pictures.values()}) > 1:
        raise ValueError("swipe_any needs pictures of one size")
    sources = [exact_source(each) for each in pictures.values()]
    texts = [", ".join(filter(None, [label, alt])) for label in labels]
    frame = _swipe_frame(sources[:2], labels[:2], texts[:2], round(pictures[labels[0]].shape[2] * zoom), squares=zoom > 1)
    choices = []
    for side, name in enumerate(("Left", "Right")):
        options = "".join(
            f"<option{' selected' if index == side else ''}>{html.escape(label)}</option>" for index, label in enumerate(labels)
        )
        choices.append(
            f'<label style="margin-right:16px">{name}: <select style="font-size:1em;max-width:100%">{options}</select></label>'
        )
    body = (
        f'<div class="swipe-any" data-alt="{html.escape(alt)}" style="background:#fff;color:#111">'
        f'<p style="margin:0;padding:4px 0">{"".join(choices)}</p>{frame}'
        f'<script type="application/json">{json.dumps(sources[2:])}</script><script>{_SWIPE_SCRIPT}</script></div>'
    )
    listed = ", ".join(labels)
    return Shown(body, f"Swipe between any two of {len(labels)} pictures: {listed}." + (f" {alt}" if alt else ""))


def _swipe_frame(sources: Sequence[str], labels: Sequence[str], texts: Sequence[str], width: int, squares: bool = False) -> str:
    """Two pictures on each other and the control that moves their edge; left first. ``squares``: don't blur enlarged pixels."""
    # The upper picture lies in a frame as wide as its visible part. Plain widths, so that a page that removes
    # scripts (a notebook not trusted yet) still shows the two halves.
    move = (
        "var v=Math.max(this.value,0.1),f=this.previousElementSibling;"
        "f.style.width=v+'%';f.firstElementChild.style.width=1e4/v+'%'"
    )
    follow = f"var r=this.getBoundingClientRect();this.value=100*(event.clientX-r.left)/r.width;{move}"
    tag = "position:absolute;bottom:8px;padding:1px 8px;white-space:nowrap;background:#000b;color:#fff;font-size:1.1em;"
    whole = f"display:block;max-width:none;{'image-rendering:pixelated;' * squares}width:"
    return (
        f'<div data-frame style="position:relative;width:100%;max-width:{width}px">'
        f"{plots.image_tag(sources[1], texts[1], whole + '100%')}"
        f'<span style="{tag}right:8px">{html.escape(labels[1])}</span>'
        '<div style="position:absolute;top:0;left:0;bottom:0;width:50%;overflow:hidden;'
        'border-right:3px solid #fff;box-sizing:border-box">'
        f"{plots.image_tag(sources[0], texts[0], whole + '200%')}"
        f'<span style="{tag}left:8px">{html.escape(labels[0])}</span></div>'
        '<input type="range" min="0" max="100" value="50" step="0.1" '
        f'aria-label="Edge between {html.escape(labels[0])} and {html.escape(labels[1])}" '
        f'oninput="{move}" onmousemove="{follow}" '
        'style="position:absolute;top:0;left:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize">'
        "</div>"
    )


def exact_source(picture: Tensor) -> str:
    """A data URL of a picture (3, H, W), rounded to 8 bits, without loss (WebP)."""
    buffer = io.BytesIO()
    Image.fromarray(images.to_uint8(picture)).save(buffer, "WEBP", lossless=True, method=4)
    return plots.data_url("webp", buffer)


@dataclass(frozen=True)
class _Line:
    """A line of `hover_curves` as it is drawn; ``points`` are (rate, value, caption, where its crop is or None), by rate."""

    name: str
    points: tuple[tuple[float, float, str, str | None], ...]
    colour: str
    marker: str
    dash: str = ""
    faint: bool = False
    star: bool = False


def hover_curves(
    series: Mapping[str, Sequence[Any]],
    *,
    x: str = "bits per pixel",
    y: str = "PSNR (dB)",
    title: str = "",
    faint: Mapping[str, Sequence[Any]] | None = None,
    yours: Sequence[Any] = (),
    less_is_better: bool = False,
    alt: str = "",
) -> Shown:
    """Rate against quality, a line for each codec; a point tells what it is under the pointer, a finger or the keyboard's focus.

    Clicking an entry of the legend hides or shows its line, pointing at one makes the others pale. Self-contained, as `swipe`. A
    notebook that isn't trusted yet loses the script; lines, legend and a plain hint on each point remain, since the drawing is an
    image (JupyterLab removes inline SVG there) and the points are buttons with a title.

    Args:
        series: name to points: pairs (bpp, value), or mappings with "bpp", "psnr" or "value", and where wanted "caption" (text)
            and "picture" (a small crop (3, h, w), or "#" and the id of an image on the same page), both shown with the point.
            Points that aren't finite are left out.
        x, y: what the axes show, with the unit.
        title: above the plot, with the pictures and their size.
        faint: the same for lines drawn in grey behind the others, such as published points; where there are others, as far as
            their rates reach.
        yours: points to mark "you are here".
        less_is_better: draw the value axis downwards, so that up is better.
        alt: a sentence on what to see; the points are added.

    Raises:
        ValueError: no point to draw.
    """
    drawn = {name: _points(some) for name, some in series.items()}
    mine = _points(yours)
    widest = 1.05 * max((point[0] for some in (*drawn.values(), mine) for point in some), default=math.inf)
    lines = []
    for index, (name, some) in enumerate((faint or {}).items()):
        within = tuple(point for point in _points(some) if point[0] <= widest)
        lines.append(_Line(name, within, "#a0a0a0", _MARKERS[index % 7], _DASHES[index // 7 % 3], faint=True))
    for index, (name, points) in enumerate(drawn.items()):
        turn = index // 7  # the second seven: the same colours, other markers, dashed
        lines.append(_Line(name, points, _LINE_COLOURS[index % 7], _MARKERS[(index + turn) % 7], _DASHES[turn % 3]))
    lines.append(_Line("you are here", mine, "#000000", _STAR, star=True))
    lines = [line for line in lines if line.points]
    if not lines:
        raise ValueError("there is no point to draw")
    digits = 3 if max(abs(point[1]) for line in lines for point in line.points) < 2 else 2
    named = f" ({title})" if title else ""
    texts = [alt or f"Rate-distortion plot{named}: {y} against {x}."]
    for line in lines:
        spelled = ", ".join(f"{value:.{digits - 1}f} at {rate:.2f}" for rate, value, *_ in line.points)
        texts.append(f"{line.name}: {spelled}.")
    text = " ".join(texts)
    drawing, (width, height), spots, entries = _draw_curves(lines, x, y, title, less_is_better)
    source = f"data:image/svg+xml,{urllib.parse.quote(drawing, safe=' =:/,;()')}"
    parts = [plots.image_tag(source, text, "display:block;width:100%;max-width:100%;margin:0")]
    bare = "position:absolute;padding:0;border:0;background:transparent;"
    numbered = [(index, *point) for index, line in enumerate(lines) for point in line.points]
    for (index, rate, value, caption, crop), (left, top) in zip(numbered, spots, strict=True):
        hint = "\n".join(filter(None, [lines[index].name, f"{rate:.3f} {_unit(x)}, {value:.{digits}f}{_after(y)}", caption]))
        picture = f' data-picture="{html.escape(crop)}"' if crop else ""
        parts.append(
            f'<button type="button" data-point="{index}" title="{html.escape(hint)}"{picture} style="{bare}'
            f"left:{100 * left / width:.3f}%;top:{100 * top / height:.3f}%;width:22px;height:22px;margin:-11px 0 0 -11px;"
            'border-radius:50%;cursor:pointer"></button>'
        )
    for index, (line, (left, top, wide, high)) in enumerate(zip(lines, entries, strict=True)):
        parts.append(
            f'<button type="button" data-toggle="{index}" title="{html.escape(line.name)}" style="{bare}cursor:default;'
            f"left:{100 * left / width:.3f}%;top:{100 * top / height:.3f}%;width:{100 * wide / width:.3f}%;"
            f'height:{100 * high / height:.3f}%"></button>'
        )
    look = f"position:relative;max-width:{width}px;background:#fff;color:#111;font-family:sans-serif"
    body = f'<div class="hover-curves" style="{look}">{"".join(parts)}<script>{_CURVES_SCRIPT}</script></div>'
    return Shown(body, text)


def _points(some: Sequence[Any]) -> tuple[tuple[float, float, str, str | None], ...]:
    found = []
    for point in some:
        if not isinstance(point, Mapping):
            point = {"bpp": point[0], "value": point[1]}
        rate, value = float(point["bpp"]), point["psnr"] if "psnr" in point else point["value"]
        value = math.nan if value is None else float(value)
        if math.isfinite(rate) and math.isfinite(value):
            crop = point.get("picture")
            source = plots.picture_source(crop) if isinstance(crop, Tensor) else crop
            found.append((rate, value, str(point.get("caption") or ""), source))
    return tuple(sorted(found, key=lambda point: point[:2]))


def _unit(x: str) -> str:
    return "bpp" if x == "bits per pixel" else x


def _after(y: str) -> str:
    """What follows a value in a hint: "PSNR (dB)" gives " dB PSNR", "LPIPS (less is better)" gives " LPIPS"."""
    name, _, unit = y.partition(" (")
    return f" dB {name}" if unit.startswith("dB") else f" {name}"


def _draw_curves(
    lines: Sequence[_Line], x: str, y: str, title: str, less_is_better: bool
) -> tuple[str, tuple[int, int], list[tuple[float, float]], list[tuple[float, float, float, float]]]:
    """An SVG of the lines; its size, where its points are, in the order of the lines, and the boxes of its legend's entries."""
    top, bottom, left, across = 48 if title else 16, 66, 76, 640
    down = max(400, 27 * len(lines) - 16)
    legend = left + across + 24
    width, height = legend + 62 + round(10.2 * max(len(line.name) for line in lines)), top + down + bottom
    rates = [rate for line in lines for rate, *_ in line.points]
    values = [value for line in lines for _, value, *_ in line.points]
    x_ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(0, max(rates))
    margin = 0.04 * (max(values) - min(values)) or 0.5
    # no room below zero for what can't be there, such as a distance
    least = min(values) - margin if min(values) < 0 else max(0.0, min(values) - margin)
    y_ticks = MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(least, max(values) + margin)
    low, high = (y_ticks[-1], y_ticks[0]) if less_is_better else (y_ticks[0], y_ticks[-1])

    def place(rate: float, value: float) -> tuple[float, float]:
        return left + across * rate / x_ticks[-1], top + down * (high - value) / (high - low)

    words = 'font-family="sans-serif" fill="#111"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    ]
    if title:
        parts.append(f'<text x="{left}" y="28" font-size="18" font-weight="bold" {words}>{html.escape(title)}</text>')
    for number, label in zip(x_ticks, _labels(x_ticks), strict=True):
        at, _ = place(number, low)
        parts.append(f'<path d="M{at:.1f} {top}V{top + down}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{top + down + 22}" font-size="16" text-anchor="middle" {words}>{label}</text>')
    for number, label in zip(y_ticks, _labels(y_ticks), strict=True):
        _, at = place(0, number)
        parts.append(f'<path d="M{left} {at:.1f}H{left + across}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 5.5:.1f}" font-size="16" text-anchor="end" {words}>{label}</text>')
    parts.append(f'<path d="M{left} {top}V{top + down}H{left + across}" fill="none" stroke="#111"/>')
    middle = left + across / 2, top + down / 2
    parts.append(f'<text x="{middle[0]}" y="{height - 14}" font-size="17" text-anchor="middle" {words}>{html.escape(x)}</text>')
    turned = f'transform="translate(20 {middle[1]}) rotate(-90)"'
    parts.append(f'<text {turned} font-size="17" text-anchor="middle" {words}>{html.escape(y)}</text>')
    spots, entries = [], []
    for index, line in enumerate(lines):
        places = [place(rate, value) for rate, value, *_ in line.points]
        spots += places
        course = "M" + "L".join(f"{at_x:.1f} {at_y:.1f}" for at_x, at_y in places)
        marks = "".join(_mark(line, at_x, at_y) for at_x, at_y in places)
        parts.append(f'<g data-line="{index}">{"" if line.star else _stroke(line, course)}{marks}</g>')
        row = top + 27 * index + 14
        sample = "" if line.star else _stroke(line, f"M{legend} {row}h48")
        colour = "#666" if line.faint else "#111"
        name = f'<text x="{legend + 58}" y="{row + 5.5}" font-size="16" font-family="sans-serif" fill="{colour}">'
        name += f"{html.escape(line.name)}</text>"
        parts.append(f'<g data-entry="{index}">{sample}{_mark(line, legend + 24, row)}{name}</g>')
        entries.append((legend, row - 13, width - legend, 26))
    return "".join([*parts, "</svg>"]), (width, height), spots, entries


def _stroke(line: _Line, course: str) -> str:
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return f'<path d="{course}" fill="none" stroke="{line.colour}" stroke-width="{1.5 if line.faint else 2.5}"{dash}/>'


def _mark(line: _Line, at_x: float, at_y: float) -> str:
    look = f'fill="{YELLOW}" stroke="#000" stroke-width="1.5"' if line.star else f'fill="{line.colour}" stroke="#fff"'
    scale = " scale(0.8)" if line.faint else ""
    return f'<path d="{line.marker}" transform="translate({at_x:.1f} {at_y:.1f}){scale}" {look}/>'


def _labels(ticks: Sequence[float]) -> list[str]:
    """Ticks as text, all with the decimals that their step needs."""
    step = ticks[1] - ticks[0]
    digits = next(digits for digits in range(9) if math.isclose(round(step, digits), step, rel_tol=1e-6) or digits == 8)
    return [f"{tick:.{digits}f}".replace("-", "−") if abs(tick) > step / 1e6 else f"{0:.{digits}f}" for tick in ticks]


def explore(function: Callable[..., Any], **controls: Any) -> None:
    """Sliders over a function: it is called once with the defaults now, and again whenever a control moves.

    The first result is an ordinary output of the cell: a saved notebook shows it, and an exception in the
    first call fails the cell as any other. Outside notebooks the function is called once, and that is all.

    Args:
        function: of the controls, by keyword; returns something to look at.
        controls: a (low, high) or (low, high, step) slider, a list to choose from, True or False, or an
            ipywidgets widget. The start is the parameter's default, where it has one.

    Example:
        ``explore(show_quality, quality=(5, 95, 5))``
    """
    starts = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    try:
        from IPython import get_ipython
        from IPython.display import display
        from ipywidgets import VBox, Widget, interactive
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        function(**{name: value for name, value in starts.items() if value is not inspect.Parameter.empty})
        return
    widgets = {}
    for name, control in controls.items():
        start = starts.get(name, inspect.Parameter.empty)
        made = control if isinstance(control, Widget) else interactive.widget_from_abbrev(control, start)
        made.description = made.description or name.replace("_", " ")
        made.style.description_width = "initial"
        with contextlib.suppress(AttributeError):
            made.continuous_update = False  # one call where the slider is let go, not one for each step
        widgets[name] = made
    values = {name: widget.value for name, widget in widgets.items()}
    first = function(**values)
    bundle = dict(VBox(list(widgets.values()))._repr_mimebundle_())
    now = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
    bundle["text/html"] = f"<i>Run the notebook to move: {html.escape(now)}.</i>"
    bundle["text/plain"] = f"Controls: {now}."
    display(bundle, raw=True)
    shown = display(first, display_id=True)

    def moved(_: object) -> None:
        try:
            shown.update(function(**{name: widget.value for name, widget in widgets.items()}))
        except Exception:  # into the page, where the reader looks, not into the server's log
            text = traceback.format_exc()
            shown.update(Shown(f'<pre style="color:{RED}">{html.escape(text)}</pre>', text))

    for widget in widgets.values():
        widget.observe(moved, "value")
