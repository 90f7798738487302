"""Figures for notebooks: readable when projected, colour-blind safe, with alternative text from their data.

The functions return a `Shown`: Jupyter shows it as the last line of a cell, `display(…)` anywhere else.
Figures are matplotlib's, made without pyplot, so that nothing is drawn twice.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from tutorial_lib import images

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW = COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442",
)  # fmt: skip
"""The palette of Okabe and Ito (2008), told apart by colour-blind readers too."""

MARKERS = "osD^vPX"
SECTION_COLOURS = {
    "header": "black", "configuration": SKY, "quantiser": ORANGE, "tables": ORANGE, "networks": BLUE, "scan": BLUE,
    "latents": GREEN, "checksum": "0.45",
}  # fmt: skip
STYLE: dict[str, Any] = {
    "font.size": 14,
    "axes.titlesize": 15,
    "figure.titlesize": 15,
    "legend.fontsize": 13,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "lines.linewidth": 2.5,
    "lines.markersize": 7,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.dpi": 100,
}
"""Matplotlib settings of the course's figures."""


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
    drawn = Image.open(buffer).convert("RGB")
    return Shown(image_tag(_encode(drawn, photograph=False), alt), alt)


def picture_tag(picture: Tensor, alt: str, style: str = "max-width:100%") -> str:
    """A picture (3, H, W) as an `<img>` tag: JPEG at quality 90 where that is smaller, PNG else."""
    return image_tag(_encode(Image.fromarray(images.to_uint8(picture)), photograph=True), alt, style)


def image_tag(source: str, alt: str, style: str = "max-width:100%") -> str:
    """An `<img>` tag of a data URL."""
    return f'<img alt="{html.escape(alt)}" src="{source}" style="{style}">'


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
        tag = picture_tag(zoomed(picture, zoom, method), text)
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
def curves(
    lines: Mapping[str, tuple[Any, Any]],
    x: str,
    y: str,
    *,
    title: str = "",
    log_y: bool = False,
    alt: str = "",
) -> Shown:
    """Lines in one plot.

    Args:
        lines: name to (x values, y values).
        x, y: what the axes show, with the unit.
        title: above the plot.
        log_y: logarithmic y axis.
        alt: a sentence on what to see; the lines' ranges are added.
    """
    made, axes = figure()
    texts = [alt or f"Line plot of {y} against {x}."]
    for name, (abscissa, ordinate) in lines.items():
        abscissa, ordinate = _numbers(abscissa), _numbers(ordinate)
        axes.plot(abscissa, ordinate, label=name)
        texts.append(f"{name}: {_course(abscissa, ordinate)}.")
    axes.set(xlabel=x, ylabel=y, title=title)
    if log_y:
        axes.set_yscale("log")
    if len(lines) > 1:
        axes.legend()
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def rate_distortion(
    series: Mapping[str, Sequence[Any]],
    *,
    yours: Sequence[Any] = (),
    title: str = "",
    y: str = "PSNR (dB)",
    alt: str = "",
) -> Shown:
    """Rate against quality, one line for each codec, the reader's own points as stars.

    Args:
        series: codec to points (bits per pixel, dB), pairs or mappings with "bpp" and "psnr".
        yours: points to mark "you are here".
        title: above the plot, with the picture and its size.
        y: what the quality is.
        alt: a sentence on what to see; the points are added.
    """
    made, axes = figure(8, 5)
    texts = [alt or f"Rate-distortion plot: {y} against bits per pixel."]
    for index, (name, some) in enumerate(series.items()):
        found = sorted(map(_point, some))
        axes.plot(*zip(*found, strict=True), marker=MARKERS[index % len(MARKERS)], label=name)
        texts.append(f"{name}: {_spell(found)}.")
    if yours:
        mine = sorted(map(_point, yours))
        look = {
            "marker": "*",
            "markersize": 20,
            "color": "black",
            "markerfacecolor": YELLOW,
            "linestyle": "none",
        }
        axes.plot(*zip(*mine, strict=True), label="you are here", zorder=5, **look)
        texts.append(f"You are here: {_spell(mine)}.")
    axes.set(xlabel="bits per pixel", ylabel=y, title=title)
    axes.set_xlim(left=0)
    axes.legend()
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def loss_curves(
    rows: Sequence[Mapping[str, Any]],
    *,
    measures: Mapping[str, str] | None = None,
    title: str = "",
    alt: str = "",
) -> Shown:
    """Losses on architectures, quality against rate: the form of the loss paper's Fig. 2 (Catania and Allegra, ICIP 2024).

    A row of panels for each measure, a column for each learned codec, a line for each loss; classical codecs dashed in
    every panel. A point is a mean over pictures at one rate asked for, and the pictures are those that all lines share.

    Args:
        rows: mappings with "codec", "loss" (None for classical codecs), "picture", "bpp" (asked for), "bpp_real" and the
            measures, which may be None; failed runs and rows of equal λ, without "bpp", are left out.
        measures: field to what its axis says; default PSNR, MS-SSIM in dB and LPIPS, which is drawn downwards: up is better.
        title: above all, with the pictures and their size.
        alt: a sentence on what to see; the middle points are added.

    Raises:
        ValueError: no row of a learned codec, or no picture that all lines share.
    """
    measures = measures or {"psnr": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB)", "lpips_alex": "LPIPS (less is better)"}
    kept = [row for row in rows if row.get("bpp") and row.get("bpp_real") and not row.get("error")]
    codecs = list(dict.fromkeys(row["codec"] for row in kept if row.get("loss")))
    losses = list(dict.fromkeys(row["loss"] for row in kept if row.get("loss")))
    classical = list(dict.fromkeys(row["codec"] for row in kept if not row.get("loss")))
    lines: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for row in kept:
        lines.setdefault((row["codec"], row.get("loss")), []).append(row)
    shared = set.intersection(*({row["picture"] for row in some} for some in lines.values())) if codecs else set()
    if not shared:
        raise ValueError("there is no learned codec in these rows" if not codecs else "no picture was measured with all of them")

    def points(line: tuple[str, str | None], measure: str) -> list[tuple[float, float]]:
        found = []
        for bpp in sorted({row["bpp"] for row in lines.get(line, [])}):
            there = {row["picture"]: row for row in lines[line] if row["bpp"] == bpp and row["picture"] in shared}
            some = [(row["bpp_real"], row[measure]) for row in there.values() if row.get(measure) is not None]
            if len(some) == len(shared):
                found.append(tuple(sum(column) / len(some) for column in zip(*some, strict=True)))
        return found

    made = Figure(figsize=(1.5 + 4.2 * len(codecs), 0.8 + 3.4 * len(measures)), layout="constrained")
    panels = made.subplots(len(measures), len(codecs), sharex=True, sharey="row", squeeze=False)
    texts = [alt or f"Panels of quality against bits per pixel, means over {len(shared)} pictures."]
    handles: dict[str, Any] = {}
    for (measure, says), across in zip(measures.items(), panels, strict=True):
        down = "less is better" in says
        for codec, axes in zip(codecs, across, strict=True):
            middles = []
            looks = [((codec, loss), {"color": COLOURS[i % 7], "marker": MARKERS[i % 7]}) for i, loss in enumerate(losses)]
            for i, name in enumerate(classical):
                looks.append(((name, None), {"color": ("0.55", "0.15")[i % 2], "linestyle": ("--", ":")[i % 2], "zorder": 1}))
            for line, look in looks:
                if some := points(line, measure):
                    name = line[1] or line[0].upper()
                    (handles[name],) = axes.plot(*zip(*some, strict=True), **{"linewidth": 2, "markersize": 6} | look)
                    middles.append(f"{name} {some[len(some) // 2][1]:.3g} at {some[len(some) // 2][0]:.2f}")
            if not middles:
                axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, ha="center", va="center", color="0.4", fontsize=22)
            texts.append(f"{says}, {codec}: {', '.join(middles) or 'n/a'}.")
        across[0].set_ylabel(says)
        if down and any(axes.lines for axes in across):
            across[0].invert_yaxis()
    for codec, top, bottom in zip(codecs, panels[0], panels[-1], strict=True):
        top.set_title(codec)
        bottom.set_xlabel("bits per pixel")
    made.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 7))
    if title:
        made.suptitle(title)
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def histograms(
    values: Mapping[str, Any],
    x: str = "value",
    *,
    bins: int = 60,
    limits: tuple[float, float] | None = None,
    title: str = "",
    alt: str = "",
) -> Shown:
    """Histograms side by side with one x axis, as activations through the layers of a network.

    Args:
        values: name to values.
        x: what is counted.
        bins: of each.
        limits: of the x axis; by default all values.
        title: above all of them.
        alt: a sentence on what to see; mean and spread of each are added.
    """
    numbers = {name: _numbers(some).ravel() for name, some in values.items()}
    low = min(float(v.min()) for v in numbers.values())
    high = max(float(v.max()) for v in numbers.values())
    limits = limits or (low, high)
    count = len(numbers)
    made, all_axes = figure(min(13, 1 + 2.9 * count), 3.4, count, sharex=True, squeeze=False)
    texts = [alt or f"{count} histograms of {x}."]
    for axes, (name, some) in zip(all_axes[0], numbers.items(), strict=True):
        axes.hist(some, bins=bins, range=limits, color=BLUE, density=True)
        axes.set(title=name, xlabel=x, yticks=[])
        axes.grid(False)
        texts.append(f"{name}: mean {some.mean():.3g}, standard deviation {some.std():.3g}.")
    if title:
        made.suptitle(title)
    return show(made, " ".join(texts))


@matplotlib.rc_context(STYLE)
def file_anatomy(data: bytes, *, title: str = "", alt: str = "") -> Shown:
    """A file as one bar, byte after byte: header, sections and, within them, tensors, grids or a JPEG's segments.

    Bytes of single tensors and grids are estimates that add up to their section (`codecs.anatomy`).

    Args:
        data: a whole ``.inr`` or JPEG file.
        title: above the bar.
        alt: a sentence on what to see; the parts with their bytes are added.

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
    texts = [alt or f"A file of {len(data):,} bytes as a bar."]
    for section in sections:
        inside = [f"{part.name} {part.bytes:,}" for part in found if part.section == section and part.name != section]
        texts.append(f"{section} {totals[section]:,} bytes" + (f" ({', '.join(inside)})." if len(inside) > 1 else "."))
    return show(made, " ".join(texts))


def target_and_yours(kind: str, target: Any, yours: Any) -> Shown:
    """What an exercise wanted beside what it got: two "picture"s, or two "curve"s in one plot."""
    if kind == "picture":
        shown = [torch.as_tensor(each).float().nan_to_num() for each in (target, yours)]
        factor = max(1, 160 // max(shown[0].shape[1:]))
        return pictures(shown, ["target", "yours"], zoom=factor)
    lines = {name: _numbers(each).ravel() for name, each in (("target", target), ("yours", yours))}
    return curves({name: (np.arange(len(v)), v) for name, v in lines.items()}, "index", "value")


def _encode(drawn: Image.Image, photograph: bool) -> str:
    """A data URL: drawings as PNG with 256 colours, photographs as PNG where that is small, else as JPEG."""
    png, jpeg = io.BytesIO(), io.BytesIO()
    if photograph:
        drawn.save(png, "PNG", optimize=True)
        drawn.save(jpeg, "JPEG", quality=90, subsampling="4:4:4", optimize=True)
        # exact where it is cheap: small pictures and those zoomed into squares
        if png.tell() > max(1.5 * jpeg.tell(), 60_000):
            return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
    else:
        # without dithering, which would make text grainy and files larger
        drawn.quantize(256, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)


def _point(point: Any) -> tuple[float, float]:
    return (point["bpp"], point["psnr"]) if isinstance(point, Mapping) else (float(point[0]), float(point[1]))


def _spell(points: Sequence[tuple[float, float]]) -> str:
    some = points if len(points) <= 8 else [*points[:3], *points[-3:]]
    return ", ".join(f"{quality:.1f} at {rate:.2f} bpp" for rate, quality in some if math.isfinite(quality))


def _course(x: np.ndarray, y: np.ndarray) -> str:
    """A line in words: where it starts, ends, and turns."""
    text = f"from {y[0]:.3g} at {x[0]:.3g} to {y[-1]:.3g} at {x[-1]:.3g}"
    if y.max() > max(y[0], y[-1]):
        text += f", highest {y.max():.3g} at {x[int(y.argmax())]:.3g}"
    if y.min() < min(y[0], y[-1]):
        text += f", lowest {y.min():.3g} at {x[int(y.argmin())]:.3g}"
    return text


__all__ = [
    "Axes", "COLOURS", "STYLE", "Shown", "curves", "figure", "file_anatomy", "histograms", "loss_curves", "pictures",
    "rate_distortion", "show", "target_and_yours", "zoomed",
]  # fmt: skip
