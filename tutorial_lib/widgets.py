"""Things to move: a swipe between pictures, curves that answer the pointer, and sliders over a function."""

from __future__ import annotations

import contextlib
import functools
import html
import inspect
import io
import math
import re
import traceback
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from tutorial_lib import images, plots
from tutorial_lib.plots import COLOURS, RED, YELLOW, Shown, zoomed

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


class _OneLine(Extension):
    """Templates are written in lines, and what they make is one: breaks and indentation don't count."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"\n *", "", source) if name and name.endswith(".jinja") else source


def _escaped(value: object) -> Markup:
    """As `html.escape` escapes, which Jinja's own way differs from by the spelling of quotes."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


@functools.cache
def templates(folder: str) -> Environment:
    """The templates and scripts in a folder of this package; whatever they are filled with is escaped."""
    options: dict[str, Any] = {"autoescape": True, "finalize": _escaped, "keep_trailing_newline": True}
    return Environment(loader=PackageLoader("tutorial_lib", folder), extensions=[_OneLine], undefined=StrictUndefined, **options)


def render(template: str, **values: Any) -> str:
    """A snippet of HTML or SVG from ``assets``."""
    return templates("assets").get_template(template).render(values)


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
    found = _shown(labels, [plots.picture_source(zoomed(each, zoom)) for each in (left, right)], alt)
    body = render("swipe.html.jinja", pictures=found, width=round(right.shape[2] * zoom), squares=False)
    return Shown(body, f"Swipe between two pictures. Left: {found[0]['text']}. Right: {found[1]['text']}.")


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
    found = _shown(labels, [exact_source(each) for each in pictures.values()], alt)
    width = round(pictures[labels[0]].shape[2] * zoom)
    body = render("swipe_any.html.jinja", pictures=found, alt=alt, width=width, squares=zoom > 1)
    return Shown(body, f"Swipe between any two of {len(labels)} pictures: {', '.join(labels)}." + (f" {alt}" if alt else ""))


def hold(original: Tensor, pictures: Mapping[str, Tensor], *, alt: str = "", zoom: float = 1) -> Shown:
    """Pictures in a row, the original in front; one that is pressed shows the original in its place, as long as it is held.

    Self-contained, as `swipe`; by pointer, finger, or the keyboard's space. The pictures are embedded without loss.

    Args:
        original: (3, H, W).
        pictures: label to picture of the same size.
        alt: what is to be seen, in a sentence; the labels are added.
        zoom: enlarge all by this factor, pixels as squares.

    Raises:
        ValueError: different sizes.
    """
    if {each.shape for each in pictures.values()} - {original.shape}:
        raise ValueError("hold needs pictures of one size")
    labels, shown = ("original", *pictures), (original, *pictures.values())
    found = _shown(labels, [exact_source(each) for each in shown], alt)
    body = render("hold.html.jinja", pictures=found, width=round(original.shape[2] * zoom), squares=zoom > 1)
    return Shown(body, f"Press and hold to see the original: {', '.join(pictures)}." + (f" {alt}" if alt else ""))


def _shown(labels: Sequence[str], sources: Sequence[str], alt: str) -> list[dict[str, str]]:
    texts = [", ".join(filter(None, [label, alt])) for label in labels]
    return [{"label": label, "source": source, "text": text} for label, source, text in zip(labels, sources, texts, strict=True)]


def exact_source(picture: Tensor) -> str:
    """A data URL of a picture (3, H, W), rounded to 8 bits, without loss (WebP)."""
    buffer = io.BytesIO()
    Image.fromarray(images.to_uint8(picture)).save(buffer, "WEBP", lossless=True, method=4)
    return plots.data_url("webp", buffer)


def zoom(data: bytes, *, title: str = "", height: int = 620) -> Shown:
    """The page of ``inr view`` inside a notebook: fall into a picture that is a function, or switch off its grids.

    Args:
        data: an ``.inr`` file, whole.
        title: above the picture.
        height: of the frame, in CSS pixels.

    Raises:
        BitstreamError, CodecError: as `tutorial_lib.viewer.page`.
    """
    from tutorial_lib import viewer  # which fills its page by what stands here

    text = f"{title or 'A file to zoom into'}: wheel, two fingers, + and − zoom; drag or arrow keys move."
    body = render("zoom.html.jinja", page=viewer.page(data, title), text=text, height=height)
    return Shown(body, text)


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
        y: what the vertical axis shows, with the unit.
        title: above the plot, with the pictures and their size.
        faint: the same for lines drawn in grey behind the others, such as published points; where there are others, as far as
            their rates reach.
        yours: points to mark "you are here".
        less_is_better: draw the value axis downwards, so that up is better.
        alt: a sentence on what to see; the points are added.

    Raises:
        ValueError: no point to draw.
    """
    lines = _lines(series, faint or {}, yours)
    if not lines:
        raise ValueError("there is no point to draw")
    digits = 3 if max(abs(point[1]) for line in lines for point in line.points) < 2 else 2
    named = f" ({title})" if title else ""
    texts = [alt or f"Rate-distortion plot{named}: {y} against bits per pixel."]
    for line in lines:
        spelled = ", ".join(f"{value:.{digits - 1}f} at {rate:.2f}" for rate, value, *_ in line.points)
        texts.append(f"{line.name}: {spelled}.")
    text = " ".join(texts)
    layout = _layout(lines, y, less_is_better, title)
    drawing = render("curves.svg.jinja", **layout)
    points = []
    for index, (line, places) in enumerate(layout["lines"]):
        for (rate, value, caption, crop), place in zip(line.points, places, strict=True):
            hint = "\n".join(filter(None, [line.name, f"{rate:.3f} bpp, {value:.{digits}f}{_after(y)}", caption]))
            points.append((index, place, hint, crop))
    source = f"data:image/svg+xml,{urllib.parse.quote(drawing, ' =:/,;()', errors='backslashreplace')}"
    return Shown(render("hover_curves.html.jinja", points=points, text=text, source=source, **layout), text)


def _lines(series: Mapping[str, Sequence[Any]], faint: Mapping[str, Sequence[Any]], yours: Sequence[Any]) -> list[_Line]:
    """The lines to draw, those behind the others first, as far as the others' rates reach; without those that have no point."""
    drawn, mine = {name: _points(some) for name, some in series.items()}, _points(yours)
    widest = 1.05 * max((point[0] for some in (*drawn.values(), mine) for point in some), default=math.inf)
    lines = []
    for index, (name, some) in enumerate(faint.items()):
        within = tuple(point for point in _points(some) if point[0] <= widest)
        lines.append(_Line(name, within, "#a0a0a0", _MARKERS[index % 7], _DASHES[index // 7 % 3], faint=True))
    for index, (name, points) in enumerate(drawn.items()):
        turn = index // 7  # the second seven: the same colours, other markers, dashed
        lines.append(_Line(name, points, _LINE_COLOURS[index % 7], _MARKERS[(index + turn) % 7], _DASHES[turn % 3]))
    lines.append(_Line("you are here", mine, "#000000", _STAR, star=True))
    return [line for line in lines if line.points]


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


def _after(y: str) -> str:
    """What follows a value in a hint: "PSNR (dB)" gives " dB PSNR", "LPIPS (less is better)" gives " LPIPS"."""
    name, _, unit = y.partition(" (")
    return f" dB {name}" if unit.startswith("dB") else f" {name}"


def _layout(lines: Sequence[_Line], y: str, less_is_better: bool, title: str) -> dict[str, Any]:
    """Where everything stands in the drawing, in pixels: what the templates of the drawing and of its buttons are filled with."""
    top, left, right = 48 if title else 16, 76, 716
    bottom = top + max(400, 27 * len(lines) - 16)
    legend = right + 24
    values = [value for line in lines for _, value, *_ in line.points]
    x_ticks = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(0, max(rate for line in lines for rate, *_ in line.points))
    margin = 0.04 * (max(values) - min(values)) or 0.5
    # no room below zero for what can't be there, such as a distance
    least = min(values) - margin if min(values) < 0 else max(0.0, min(values) - margin)
    y_ticks = MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(least, max(values) + margin)
    low, high = (y_ticks[-1], y_ticks[0]) if less_is_better else (y_ticks[0], y_ticks[-1])

    def place(rate: float, value: float) -> tuple[float, float]:
        return left + (right - left) * rate / x_ticks[-1], top + (bottom - top) * (high - value) / (high - low)

    return {
        "lines": [(line, [place(rate, value) for rate, value, *_ in line.points]) for line in lines],
        "columns": [(place(tick, low)[0], label) for tick, label in zip(x_ticks, _labels(x_ticks), strict=True)],
        "rows": [(place(0, tick)[1], label) for tick, label in zip(y_ticks, _labels(y_ticks), strict=True)],
        "width": legend + 62 + round(11.2 * max(len(line.name) for line in lines)),
        "height": bottom + 66,
    } | {"top": top, "bottom": bottom, "left": left, "right": right, "legend": legend, "title": title, "y": y, "yellow": YELLOW}


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
    widgets: dict[str, Any] = {}
    for name, control in controls.items():
        start = starts.get(name, inspect.Parameter.empty)
        made: Any = control if isinstance(control, Widget) else interactive.widget_from_abbrev(control, start)
        made.description = made.description or name.replace("_", " ")
        made.style.description_width = "initial"
        with contextlib.suppress(AttributeError):
            made.continuous_update = False  # one call where the slider is let go, not one for each step
        widgets[name] = made
    values = {name: widget.value for name, widget in widgets.items()}
    first = function(**values)
    bundle: dict[str, Any] = dict(VBox(list(widgets.values()))._repr_mimebundle_() or {})
    now = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
    bundle["text/html"] = f"<i>Run the notebook to move: {html.escape(now)}.</i>"
    bundle["text/plain"] = f"Controls: {now}."
    display(bundle, raw=True)
    shown: Any = display(first, display_id=True)

    def moved(_: object) -> None:
        try:
            shown.update(function(**{name: widget.value for name, widget in widgets.items()}))
        except Exception:  # into the page, where the reader looks, not into the server's log
            text = traceback.format_exc()
            shown.update(Shown(f'<pre style="color:{RED}">{html.escape(text)}</pre>', text))

    for widget in widgets.values():
        widget.observe(moved, "value")
