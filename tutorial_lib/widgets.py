"""Things to move: a swipe between two pictures, and sliders over a function."""

from __future__ import annotations

import contextlib
import html
import inspect
import traceback
from collections.abc import Callable
from typing import Any

from torch import Tensor

from tutorial_lib.plots import RED, Shown, picture_tag, zoomed

WIDGET = "application/vnd.jupyter.widget-view+json"


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
        raise ValueError(
            f"swipe needs pictures of one size, not {tuple(left.shape)} and {tuple(right.shape)}"
        )
    left, right = zoomed(left, zoom), zoomed(right, zoom)
    texts = [", ".join(filter(None, [label, alt])) for label in labels]
    # The upper picture lies in a frame as wide as its visible part. Plain widths, so that a page that removes
    # scripts (a notebook not trusted yet) still shows the two halves.
    move = (
        "var v=Math.max(this.value,0.1),f=this.previousElementSibling;"
        "f.style.width=v+'%';f.firstElementChild.style.width=1e4/v+'%'"
    )
    follow = f"var r=this.getBoundingClientRect();this.value=100*(event.clientX-r.left)/r.width;{move}"
    tag = "position:absolute;bottom:8px;padding:1px 8px;background:#000b;color:#fff;font-size:1.1em;"
    whole = "display:block;max-width:none;width:"
    body = (
        f'<div style="position:relative;width:100%;max-width:{right.shape[2]}px">'
        f"{picture_tag(right, texts[1], whole + '100%')}"
        f'<span style="{tag}right:8px">{html.escape(labels[1])}</span>'
        '<div style="position:absolute;top:0;left:0;bottom:0;width:50%;overflow:hidden;'
        'border-right:3px solid #fff;box-sizing:border-box">'
        f"{picture_tag(left, texts[0], whole + '200%')}"
        f'<span style="{tag}left:8px">{html.escape(labels[0])}</span></div>'
        '<input type="range" min="0" max="100" value="50" step="0.1" '
        f'aria-label="Edge between {html.escape(labels[0])} and {html.escape(labels[1])}" '
        f'oninput="{move}" onmousemove="{follow}" '
        'style="position:absolute;top:0;left:0;width:100%;height:100%;margin:0;opacity:0;cursor:ew-resize">'
        "</div>"
    )
    return Shown(body, f"Swipe between two pictures. Left: {texts[0]}. Right: {texts[1]}.")


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
