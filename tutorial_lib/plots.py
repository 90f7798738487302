"""Figures for notebooks: readable when projected, colour-blind safe, with alternative text from their data.

The functions return a `Shown`: Jupyter shows it as the last line of a cell, `display(…)` anywhere else.
Figures are matplotlib's, made without pyplot, so that nothing is drawn twice.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from PIL import Image
from torch import Tensor

from tutorial_lib import images

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442",
)  # fmt: skip
"""The palette of Okabe and Ito (2008), told apart by colour-blind readers too."""

MARKERS = "osD^vPX"
SECTION_COLOURS = {
    "header": "black", "configuration": SKY, "quantizer": ORANGE, "tables": ORANGE, "networks": BLUE, "scan": BLUE,
    "latents": GREEN, "checksum": "0.45",
}  # fmt: skip
STYLE: Any = {
    "font.size": 14, "axes.titlesize": 15, "figure.titlesize": 15, "legend.fontsize": 13,
    "axes.prop_cycle": cycler(color=COLOURS), "lines.linewidth": 2.5, "lines.markersize": 7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "legend.frameon": False,
    "figure.facecolor": "white", "savefig.dpi": 100,
}  # fmt: skip
"""Matplotlib settings of the course's figures."""

LOSS_MEASURES = {"psnr": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB)", "lpips_alex": "LPIPS (less is better)"}
"""What `loss_curves` draws: fields, and what their axes say."""


@dataclass(frozen=True)
class Shown:
    """Something to look at: HTML where there is a page, its text anywhere else.

    Attributes:
        html: self-contained.
        text: what a terminal prints; for a figure, its alternative text.
    """

    html: str
    text: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def figure(width: float = 8, height: float = 4.2, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A matplotlib figure in the course's style, in inches, and its axes; options as `Figure.subplots`."""
    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        return made, made.subplots(1, columns, **options)


def show(figure: Figure, alt: str) -> Shown:
    """A matplotlib figure as `<img>` with alternative text: what it shows, with the numbers that matter.

    Raises:
        ValueError: no alternative text.
    """
    if not alt.strip():
        raise ValueError("a figure needs alternative text")
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png")
    # 256 colours, without dithering, which would make text grainy and files larger
    drawn, png = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE), io.BytesIO()
    drawn.save(png, "PNG", optimize=True)
    return Shown(image_tag(data_url("png", png), alt), alt)


def picture_source(picture: Tensor) -> str:
    """A data URL of a picture (3, H, W): PNG where that is small, JPEG at quality 90 else."""
    drawn, png, jpeg = Image.fromarray(images.to_uint8(picture)), io.BytesIO(), io.BytesIO()
    drawn.save(png, "PNG", optimize=True)
    drawn.save(jpeg, "JPEG", quality=90, subsampling="4:4:4", optimize=True)
    # exact where it is cheap: small pictures and those zoomed into squares
    return data_url("jpeg", jpeg) if png.tell() > max(1.5 * jpeg.tell(), 60_000) else data_url("png", png)


def data_url(kind: str, file: io.BytesIO) -> str:
    """A picture's file, as "png", for the ``src`` of an image."""
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def image_tag(source: str, alt: str) -> str:
    """An `<img>` tag of a data URL."""
    return f'<img alt="{html.escape(alt)}" src="{source}" style="max-width:100%">'


def pictures(
    shown: Sequence[Tensor],
    titles: Sequence[str] = (),
    *,
    zoom: float = 1,
    method: Literal["nearest", "bicubic"] = "nearest",
    alt: str = "",
) -> Shown:
    """Pictures side by side, pixel for pixel.

    Args:
        shown: pictures (3, H, W).
        titles: one each, below its picture.
        zoom: enlarge (whole numbers with "nearest") or, below 1, reduce all of them by this factor.
        method: "nearest" shows the pixels as squares, "bicubic" blurs them.
        alt: what is to be seen; sizes and titles are added.

    Raises:
        ValueError: another number of titles than of pictures.
    """
    if titles and len(titles) != len(shown):
        raise ValueError(f"{len(shown)} pictures have {len(titles)} titles")
    parts, texts = [], []
    for index, picture in enumerate(shown):
        title = titles[index] if titles else ""
        height, width = picture.shape[1:]
        text = ", ".join(filter(None, [alt, title])) or f"Picture {index + 1}"
        text += f" ({width}×{height} pixels" + (f", shown {zoom:g} times as large)" if zoom != 1 else ")")
        tag = image_tag(picture_source(zoomed(picture, zoom, method)), text)
        parts.append(
            '<figure style="display:inline-block;margin:4px 8px 4px 0;vertical-align:top">'
            f'{tag}<figcaption style="font-size:1.1em;text-align:center">{html.escape(title)}</figcaption>'
            "</figure>"
        )
        texts.append(text)
    return Shown(f"<div>{''.join(parts)}</div>", "\n".join(texts))


def zoomed(picture: Tensor, factor: float, method: Literal["nearest", "bicubic"] = "nearest") -> Tensor:
    """A picture enlarged by repeating pixels ("nearest", a whole factor) or by Pillow's filter."""
    picture = picture.detach().cpu().float()
    if factor == 1:
        return picture
    if method == "nearest" and factor == int(factor):
        return picture.repeat_interleave(int(factor), 1).repeat_interleave(int(factor), 2)
    height, width = (max(1, round(side * factor)) for side in picture.shape[1:])
    return images.resize(picture, (height, width))


@matplotlib.rc_context(STYLE)
def curves(lines: Mapping[str, tuple[Any, Any]], x: str, y: str, *, title: str = "", alt: str = "") -> Shown:
    """Lines in one plot.

    Args:
        lines: name to (x values, y values).
        x, y: what the axes show, with the unit.
        title: above the plot.
        alt: a sentence on what to see; the lines' ranges are added.
    """
    made, axes = figure()
    texts = [alt or f"Line plot of {y} against {x}."]
    for name, (abscissa, ordinate) in lines.items():
        abscissa, ordinate = _numbers(abscissa), _numbers(ordinate)
        axes.plot(abscissa, ordinate, label=name)
        texts.append(f"{name}: {_course(abscissa, ordinate)}.")
    axes.set(xlabel=x, ylabel=y, title=title)
    if len(lines) > 1:
        axes.legend()
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def loss_curves(rows: Sequence[Mapping[str, Any]], *, measures: Mapping[str, str] = LOSS_MEASURES, title: str = "") -> Shown:
    """Losses on architectures, quality against rate: the form of the loss paper's Fig. 2 (Catania and Allegra, ICIP 2024).

    A row of panels for each measure, a column for each learned codec, a line for each loss; classical codecs dashed in
    every panel. A point is a mean over pictures at one rate asked for, and the pictures are those that all lines share.

    Args:
        rows: mappings with "codec", "loss" (None for classical codecs), "picture" and its size, "bpp" (asked for), "bpp_real" and
            the measures, which may be None; failed runs and rows of equal λ, without "bpp", are left out.
        measures: field to what its axis says; one that says "less is better" is drawn downwards: up is better.
        title: above all, with the pictures and their size.

    Raises:
        ValueError: no row of a learned codec, or no picture that all lines share.
    """
    from tutorial_lib.evaluation.curves import curve, lines, shared_pictures

    found = {(some[0]["codec"], some[0].get("loss")): some for some in lines(rows).values()}
    codecs = list(dict.fromkeys(codec for codec, loss in found if loss))
    shared = shared_pictures(rows, rates=1)
    if not codecs or not shared:
        raise ValueError("there is no learned codec in these rows" if not codecs else "no picture was measured with all of them")
    looks: dict[tuple[str | None, str], dict[str, Any]] = {}
    for i, loss in enumerate(dict.fromkeys(loss for _, loss in found if loss)):
        looks[None, loss] = {"color": COLOURS[i % 7], "marker": MARKERS[i % 7]}
    for i, name in enumerate(name for name, loss in found if not loss):
        looks[name, ""] = {"color": ("0.55", "0.15")[i % 2], "linestyle": ("--", ":")[i % 2], "zorder": 1}
    made = Figure(figsize=(1.5 + 4.2 * len(codecs), 0.8 + 3.4 * len(measures)), layout="constrained")
    panels = made.subplots(len(measures), len(codecs), sharex=True, sharey="row", squeeze=False)
    texts = [f"Panels of quality against bits per pixel, means over {len(shared)} pictures."]
    handles: dict[str, Any] = {}
    for (measure, says), across in zip(measures.items(), panels, strict=True):
        for codec, axes in zip(codecs, across, strict=True):
            panel = {
                loss or str(name).upper(): (curve(found.get((name or codec, loss or None), []), shared, measure), look)
                for (name, loss), look in looks.items()
            }
            texts.append(f"{says}, {codec}: {_draw_panel(axes, panel, handles)}.")
        across[0].set_ylabel(says)
        if "less is better" in says and any(axes.lines for axes in across):
            across[0].invert_yaxis()
    for codec, top, bottom in zip(codecs, panels[0], panels[-1], strict=True):
        top.set_title(codec)
        bottom.set_xlabel("bits per pixel")
    made.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 7))
    if title:
        made.suptitle(title)
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def file_anatomy(data: bytes, *, title: str = "") -> Shown:
    """A file as one bar, byte after byte: header, sections and, within them, tensors, grids or a JPEG's segments.

    Bytes of single tensors and grids are estimates that add up to their section (`codecs.anatomy`).

    Args:
        data: a whole ``.inr`` or JPEG file.
        title: above the bar.

    Raises:
        BitstreamError: neither of the two, or damaged.
    """
    from tutorial_lib.codecs.anatomy import parts

    found = parts(data)
    sections = list(dict.fromkeys(part.section for part in found))
    totals = {section: sum(part.bytes for part in found if part.section == section) for section in sections}
    made, axes = figure(12, 3.6)
    begin, counts = 0, dict.fromkeys(sections, 0)
    for part in found:
        # every other tensor of a section in a lighter shade, so that neighbours are told apart
        alpha = (1.0, 0.6)[counts[part.section] % 2]
        counts[part.section] += 1
        colour = SECTION_COLOURS.get(part.section, PURPLE)
        axes.barh(0, part.bytes, left=begin, height=0.7, color=colour, alpha=alpha, edgecolor="white", linewidth=1)
        if part.name != part.section and part.bytes > 0.035 * len(data):
            axes.text(begin + part.bytes / 2, -0.42, part.name, rotation=30, ha="right", va="top", fontsize=11)
        begin += part.bytes
    handles = [axes.barh(0, 0, color=SECTION_COLOURS.get(section, PURPLE)) for section in sections]
    labels = [f"{section} {totals[section]:,}" for section in sections]
    made.legend(handles, labels, loc="outside lower center", ncols=len(sections), handlelength=1, columnspacing=1.2)
    axes.set(xlim=(0, len(data)), ylim=(-1.6, 0.4), yticks=[], xlabel="byte")
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    if title:
        made.suptitle(title)
    texts = [f"A file of {len(data):,} bytes as a bar."]
    for section in sections:
        inside = [f"{part.name} {part.bytes:,}" for part in found if part.section == section and part.name != section]
        texts.append(f"{section} {totals[section]:,} bytes" + (f" ({', '.join(inside)})." if len(inside) > 1 else "."))
    return show(made, " ".join(texts))


def _draw_panel(axes: Any, panel: Mapping[str, tuple[Any, dict[str, Any]]], handles: dict[str, Any]) -> str:
    """The panel's lines (points, look) by name, one handle of each for the legend, and their middle points in words."""
    middles = []
    for name, (points, look) in panel.items():
        if points:
            (handles[name],) = axes.plot(*zip(*points, strict=True), **{"linewidth": 2, "markersize": 6} | look)
            rate, quality = points[len(points) // 2]
            middles.append(f"{name} {quality:.3g} at {rate:.2f}")
    if not middles:
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, ha="center", va="center", color="0.4", fontsize=22)
    return ", ".join(middles) or "n/a"


def target_and_yours(kind: str, target: Any, yours: Any) -> Shown:
    """What an exercise wanted beside what it got: two "picture"s, or two "curve"s in one plot."""
    if kind == "picture":
        shown = [torch.as_tensor(each).float().nan_to_num() for each in (target, yours)]
        factor = max(1, 160 // max(shown[0].shape[1:]))
        return pictures(shown, ["target", "yours"], zoom=factor)
    lines = {name: _numbers(each).ravel() for name, each in (("target", target), ("yours", yours))}
    return curves({name: (np.arange(len(v)), v) for name, v in lines.items()}, "index", "value")


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)


def _course(x: np.ndarray, y: np.ndarray) -> str:
    """A line in words: where it starts, ends, and turns."""
    x, y = (np.where(np.abs(some) < 1e-6 * np.ptp(some), 0.0, some) for some in (x, y))  # no -3.7e-08 for the middle of an axis
    text = f"from {y[0]:.3g} at {x[0]:.3g} to {y[-1]:.3g} at {x[-1]:.3g}"
    if y.max() > max(y[0], y[-1]):
        text += f", highest {y.max():.3g} at {x[int(y.argmax())]:.3g}"
    if y.min() < min(y[0], y[-1]):
        text += f", lowest {y.min():.3g} at {x[int(y.argmin())]:.3g}"
    return text
