"""The whole course in two figures: the way of a picture through a file, and which notebook opens which step of it."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import ConnectionPatch
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots

STEPS = ("picture", "coordinates", "network", "weights", "bytes", "picture again")
ROADS = (
    ("01", 0, 2, "pixels as questions and answers"), ("01", 5, 6, "dB, and bits"), ("02", 1, 4, "a network of waves: SIREN"),
    ("03", 2, 4, "waves that differ by place"), ("04", 1, 5, "a pyramid of small grids, and a network that reads it"),
    ("05", 2, 4, "which error to make small"), ("06", 3, 5, "rounding, and few bits"), ("07", 4, 6, "which codec is better?"),
    ("08", 4, 6, "decoders for the eye"), ("09", 0, 6, "sound and film: the same way, with other axes"),
)  # fmt: skip
"""Notebook, its first step, the step behind its last one, and what it is about."""


@matplotlib.rc_context(plots.STYLE)
def journey(picture: Tensor, data: bytes) -> plots.Shown:
    """Draw the way of a picture through a file of its own: real weights, real bytes, real decoding.

    Args:
        picture: (3, H, W), the original.
        data: an ``.inr`` file of it.
    """
    decoded = codecs.decode(data).cpu()
    tensors = codecs.codec_of(data).tensors(data).values()
    symbols = [t.symbols if hasattr(t, "symbols") else t.numpy() for t in tensors]
    matrix = next(s for s in symbols if s.ndim == 2 and s.shape[0] == s.shape[1])
    count = sum(s.size for s in symbols)
    height, width = picture.shape[1:]
    psnr = metrics.psnr(decoded, picture)

    figure, axes = plots.figure(15, 2.9, len(STEPS))
    figure.get_layout_engine().set(wspace=0.16)
    pixels = images.to_uint8(picture)
    axes[0].imshow(pixels)
    _coordinates(axes[1], pixels)
    _network(axes[2])
    red_blue = LinearSegmentedColormap.from_list("", [plots.RED, "white", plots.BLUE])
    reach = 3 * float(matrix.std())
    axes[3].imshow(matrix, cmap=red_blue, vmin=-reach, vmax=reach, interpolation="nearest", aspect="auto")
    _bytes(axes[4], data)
    axes[5].imshow(images.to_uint8(decoded))
    below = (
        f"{3 * height * width:,} bytes raw",
        "ask at (x, y) …",
        "… get (R, G, B)",
        f"{count:,} rounded numbers",
        f"{len(data):,} bytes",
        f"{psnr:.1f} dB",
    )
    for index, axis in enumerate(axes):
        axis.set(xticks=[], yticks=[])
        axis.set_title(STEPS[index], fontweight="bold")
        axis.set_xlabel(below[index], fontsize=13)
        for spine in axis.spines.values():
            spine.set_visible(False)
        axis.set_box_aspect(height / width)
    for left, right in zip(axes, axes[1:], strict=False):
        arrow = ConnectionPatch(
            (1.03, 0.5), (-0.03, 0.5), "axes fraction", "axes fraction", axesA=left, axesB=right,
            arrowstyle="-|>", mutation_scale=20, linewidth=2.5, color="0.3",
        )  # fmt: skip
        figure.add_artist(arrow)
    return plots.show(
        figure,
        f"The way of a picture in six steps. A picture of {width}×{height} pixels, {below[0]}; a grid of "
        f"coordinates laid over it; a small network from (x, y) to (R, G, B); its {below[3]}; a file of "
        f"{below[4]}; and the picture decoded from it, with a PSNR of {psnr:.1f} dB.",
    )


@matplotlib.rc_context(plots.STYLE)
def road_map() -> plots.Shown:
    """Which notebook opens which step of the way: a bar over the steps for each."""
    made, axis = plots.figure(15, 4.4)
    numbers = list(dict.fromkeys(number for number, *_ in ROADS))
    for number, begin, end, about in ROADS:
        row = numbers.index(number)
        axis.barh(row, end - begin - 0.06, left=begin + 0.03, height=0.8, color=plots.SKY)
        axis.text((begin + end) / 2, row, about, ha="center", va="center", fontsize=13)
    axis.set(xlim=(0, 6), ylim=(len(numbers) - 0.4, -0.6), yticks=range(len(numbers)), yticklabels=numbers, ylabel="notebook")
    axis.set_xticks([place + 0.5 for place in range(6)], STEPS, fontweight="bold")
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(False)
    for place in range(1, 6):
        axis.axvline(place, color="0.85", linewidth=1, zorder=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    spelled = [f"{number} from {STEPS[begin]} to {STEPS[end - 1]}: {about}" for number, begin, end, about in ROADS]
    return plots.show(made, f"Which notebook opens which of the six steps {', '.join(STEPS)}. {'; '.join(spelled)}.")


def _coordinates(axis: Axes, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    axis.imshow(pixels, alpha=0.35)
    x, y = np.meshgrid(np.linspace(8, width - 9, 9), np.linspace(8, height - 9, 7))
    axis.scatter(x, y, s=14, color=plots.BLUE)
    axis.scatter(x[2, 6], y[2, 6], s=90, facecolor="none", edgecolor=plots.RED, linewidth=2.5)


def _network(axis: Axes) -> None:
    layers = [["x", "y"], [""] * 5, [""] * 5, ["R", "G", "B"]]
    colours = [[plots.BLUE] * 2, ["white"] * 5, ["white"] * 5, [plots.RED, plots.GREEN, plots.BLUE]]
    places = [[(column, (row - (len(layer) - 1) / 2) * 0.8) for row in range(len(layer))] for column, layer in enumerate(layers)]
    for first, second in zip(places, places[1:], strict=False):
        for start in first:
            for end in second:
                axis.plot(*zip(start, end, strict=True), color="0.7", linewidth=0.8, zorder=1)
    wave = np.linspace(-math.pi, math.pi, 30)
    for layer, some, fills in zip(layers, places, colours, strict=True):
        for text, (column, row), fill in zip(layer, some, fills, strict=True):
            axis.scatter(column, row, s=330, color=fill, edgecolor="0.3", linewidth=1.2, zorder=2)
            if text:
                axis.text(column, row, text, ha="center", va="center", color="white", fontsize=13, zorder=3)
            else:
                axis.plot(column + 0.055 * wave, row - 0.16 * np.sin(wave), color="0.2", linewidth=1.6, zorder=3)
    axis.set(xlim=(-0.45, 3.45), ylim=(2.2, -2.2))
    axis.grid(False)


def _bytes(axis: Axes, data: bytes) -> None:
    rows = [data[start : start + 6].hex(" ") for start in range(0, 42, 6)]
    axis.text(0.5, 0.5, "\n".join([*rows, "…"]), family="monospace", fontsize=11.5, ha="center", va="center")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.grid(False)
