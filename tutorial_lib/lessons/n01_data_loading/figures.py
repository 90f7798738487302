"""The figures of notebook 01 that take more than a line: a row as a function, coordinates, headers, rate, distortion."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import torch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from tutorial_lib import images, plots
from tutorial_lib.plots import BLUE, GREEN, ORANGE, RED, SKY, YELLOW, Shown

_CHANNELS = (("R", RED, "o"), ("G", GREEN, "s"), ("B", BLUE, "D"))


@matplotlib.rc_context(plots.STYLE)
def row_as_function(picture: Tensor, row: int, columns: tuple[int, int]) -> Shown:
    """Red, green and blue along a piece of one row of a picture, beside the picture with that piece marked.

    Args:
        picture: (3, H, W).
        row: its number, from the top.
        columns: first and last of the piece.
    """
    first, last = columns
    places = torch.arange(first, last + 1)
    values = picture[:, row, first : last + 1]
    made, (left, right) = plots.figure(13, 4.4, 2, width_ratios=[1, 1.3])
    left.imshow(images.to_uint8(picture))
    left.plot([first, last], [row, row], color="black", linewidth=6, solid_capstyle="butt")
    left.plot([first, last], [row, row], color=YELLOW, linewidth=3, solid_capstyle="butt")
    left.set(xlabel="column", ylabel="row", title=f"a picture, and {last - first + 1} pixels of a row")
    left.grid(False)
    for (name, colour, marker), value in zip(_CHANNELS, values, strict=True):
        right.plot(places, value, color=colour, linewidth=1, alpha=0.5)
        right.plot(places, value, marker, color=colour, markersize=5, label=name)
    strip = right.inset_axes((0, 1.02, 1, 0.08))
    strip.set_title("these pixels, one by one")
    strip.imshow(values.T[None].numpy(), aspect="auto", interpolation="nearest")
    strip.axis("off")
    right.set(xlabel=f"column, along row {row}", ylabel="value", xlim=(first - 0.5, last + 0.5), ylim=(0, 1))
    right.legend(loc="upper right", ncols=3, handletextpad=0.1, columnspacing=1)
    spans = ", ".join(
        f"{name} between {float(value.min()):.2f} and {float(value.max()):.2f}"
        for (name, _, _), value in zip(_CHANNELS, values, strict=True)
    )
    return plots.show(
        made,
        f"Left: a picture with columns {first} to {last} of row {row} marked. Right: that piece as three curves over "
        f"the column, one dot for each pixel: {spans}.",
    )


@matplotlib.rc_context(plots.STYLE)
def pixel_places(picture: Tensor) -> Shown:
    """A small picture as squares, with pixel numbers below and canvas coordinates of the corners and the middle.

    Args:
        picture: (3, H, W), both sides odd, so that there is a middle.
    """
    height, width = picture.shape[1:]
    made, axes = plots.figure(9, 9 * height / width + 0.6)
    axes.imshow(images.to_uint8(picture), interpolation="nearest")
    x, y = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")
    axes.plot(x.ravel(), y.ravel(), "o", color="white", markeredgecolor="black", markersize=7)
    marked = [
        (0, 0, "(−1, −1)"), (width - 1, 0, "(1, −1)"), (0, height - 1, "(−1, 1)"),
        (width - 1, height - 1, "(1, 1)"), ((width - 1) // 2, (height - 1) // 2, "(0, 0)"),
    ]  # fmt: skip
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"}
    for x, y, text in marked:
        axes.plot(x, y, "o", color=YELLOW, markeredgecolor="black", markersize=11)
        axes.text(x, y + 0.36, text, ha="center", va="center", fontsize=13, fontweight="bold", bbox=box)
    axes.plot(3, 1, "o", color=YELLOW, markeredgecolor="black", markersize=11)
    axes.text(3, 1.36, "( ? , ? )", ha="center", va="center", fontsize=13, fontweight="bold", color=RED, bbox=box)
    axes.set(xlabel="px, the column", ylabel="py, the row", xticks=range(width), yticks=range(height))
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return plots.show(
        made,
        f"A picture of {width} columns and {height} rows as large squares, a dot in the middle of each. The "
        f"coordinates (x, y) are written at five: top left (−1, −1), top right (1, −1), bottom left (−1, 1), bottom "
        f"right (1, 1), the middle (0, 0). A question mark stands at column 3 of row 1.",
    )


@matplotlib.rc_context(plots.STYLE)
def coordinate_table(canvas: Tensor, title: str) -> Shown:
    """A small canvas (H, W, 2) as a table of its numbers, coloured by them.

    Args:
        canvas: coordinates, order (x, y).
        title: whose they are.
    """
    height, width = canvas.shape[:2]
    made, axes = plots.figure(9, 9 * height / width * 0.72 + 0.7)
    corner = [torch.tensor(matplotlib.colors.to_rgb(colour)) for colour in (SKY, ORANGE)]
    across = ((canvas[..., :1] + 1) / 2).clamp(0, 1)
    down = ((canvas[..., 1:] + 1) / 2).clamp(0, 1)
    colours = (1 - across) * corner[0] + across * corner[1]
    axes.imshow((1 - (1 - colours) * (0.25 + 0.6 * down)).numpy(), aspect="auto", interpolation="nearest")
    for row in range(height):
        for column in range(width):
            x, y = (f"{float(value):.2f}".replace("-", "−") for value in canvas[row, column])
            axes.text(column, row, f"{x}\n{y}", ha="center", va="center", fontsize=14)
    axes.set(xlabel="px", ylabel="py", xticks=range(width), yticks=range(height), title=title)
    axes.grid(False)
    first, last = canvas[0, 0].tolist(), canvas[-1, -1].tolist()
    return plots.show(
        made,
        f"{title}. A table of {width} columns and {height} rows, x above y in each cell, from ({first[0]:g}, "
        f"{first[1]:g}) at the top left to ({last[0]:g}, {last[1]:g}) at the bottom right.",
    )


@matplotlib.rc_context(plots.STYLE)
def header_bars(rows: Sequence[tuple[str, int, float, float]], title: str) -> Shown:
    """What a file's header adds to its rate, as bars.

    Args:
        rows: (picture's size, header in bytes, header in bits per pixel, whole file in bits per pixel).
        title: what was measured, with whose code.
    """
    made, axes = plots.figure(10, 0.62 * len(rows) + 1.5)
    places = range(len(rows))
    headers = [header for *_, header, _ in rows]
    rest = [whole - header for *_, header, whole in rows]
    axes.barh(places, headers, color=ORANGE, label="header", edgecolor="black", hatch="//")
    axes.barh(places, rest, left=headers, color=BLUE, label="the picture's own bits", edgecolor="black")
    for place, (_, count, header, whole) in zip(places, rows, strict=True):
        text = f"  {whole:.2f} bpp; header {count} bytes, {header / whole:.0%}"
        axes.text(whole, place, text, va="center", fontsize=13)
    axes.set(yticks=list(places), yticklabels=[name for name, *_ in rows], xlabel="bits per pixel", title=title)
    axes.set_xlim(0, 1.55 * max(whole for *_, whole in rows))
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.legend(loc="lower right")
    texts = [
        f"{name}: {whole:.2f} bits per pixel, of these {header:.2f} header ({count} bytes)" for name, count, header, whole in rows
    ]
    return plots.show(made, f"{title}. Bars by picture size. {'; '.join(texts)}.")


@matplotlib.rc_context(plots.STYLE)
def _plane(
    series: dict[str, Sequence[tuple[float, float]]],
    here: tuple[float, float] | None,
    lossless: float,
    title: str,
    note: str,
) -> Shown:
    """The rate-distortion plane on a logarithmic rate axis, with the lossless end at its top."""
    made, axes = plots.figure(7.4, 5.2)
    texts = [title + "."]
    for index, (name, points) in enumerate(series.items()):
        points = sorted(points)
        axes.plot(*zip(*points, strict=True), marker=plots.MARKERS[index], markersize=5, label=name)
        texts.append(
            f"{name}: from {points[0][1]:.1f} dB at {points[0][0]:.2f} bits per pixel "
            f"to {points[-1][1]:.1f} dB at {points[-1][0]:.2f}."
        )
    best = max(psnr for points in series.values() for _, psnr in points)
    worst = min(psnr for points in series.values() for _, psnr in points)
    top = best + 5
    axes.axvline(24, color="0.6", linestyle=":", linewidth=2)
    axes.text(23.5, (worst + top) / 2, "raw: 24", rotation=90, ha="right", va="center", color="0.35", fontsize=13)
    axes.annotate(
        "", xy=(lossless, top), xytext=(lossless, top - 3.4),
        arrowprops={"arrowstyle": "-|>", "linewidth": 2.5, "color": "black", "mutation_scale": 20},
    )  # fmt: skip
    axes.text(lossless * 0.9, top - 1.7, "PNG: no error,\n∞ dB", ha="right", va="center", fontsize=13)
    texts.append(f"PNG, without loss, at {lossless:.1f}. The raw picture has 24.")
    if here:
        axes.plot(*here, "*", markersize=24, color=YELLOW, markeredgecolor="black", label=note, zorder=5, linestyle="none")
        texts.append(f"A star at {here[1]:.1f} dB and {here[0]:.2f} bits per pixel: {note}.")
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32) if tick < 32]
    axes.set_xscale("log", base=2)
    axes.set(xlabel="rate (bits per pixel, each step doubles)", ylabel="PSNR (dB)", title=title)
    axes.set(xlim=(0.25, 32), ylim=(worst - 1.5, top), xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    axes.legend(loc="lower right", bbox_to_anchor=(0.92, 0))
    return plots.show(made, " ".join(texts))


def rate_distortion_plane(
    series: dict[str, Sequence[tuple[float, float]]],
    *,
    lossless: float,
    title: str,
    here: tuple[float, float] | None = None,
    note: str = "you are here",
    beside: tuple[Sequence[Tensor], Sequence[str]] | None = None,
    zoom: int = 4,
) -> Shown:
    """Codecs' points (bits per pixel, dB) in one plot, lossless coding at its top, and pictures beside it.

    Args:
        series: codec to points.
        lossless: the rate of the lossless file, bits per pixel.
        title: the picture, its size, and whose code measured.
        here: a point to mark with a star.
        note: what it is.
        beside: pictures (3, H, W) and their titles, shown below each other.
        zoom: enlarges them.
    """
    plane = _plane(series, here, lossless, title, note)
    if beside is None:
        return plane
    crops = plots.pictures(*beside, zoom=zoom, alt="a crop")
    side = zoom * max(picture.shape[2] for picture in beside[0]) + 16
    html = (
        '<div style="display:flex;flex-wrap:wrap;align-items:flex-start;gap:12px">'
        f'<div style="flex:1 1 440px;max-width:760px">{plane.html}</div>'
        f'<div style="flex:0 1 {side}px">{crops.html}</div></div>'
    )
    return Shown(html, f"{plane.text}\n{crops.text}")
