"""Names beside points and at the ends of lines, where they meet nothing: placed by one rule, so the same each time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg


def name_points(axis: Any, points: Mapping[str, tuple[float, float]], *, size: float = 22, **look: Any) -> None:
    """Write the name of each point beside it, where nothing else stands: no other name, point, line or legend.

    Call it last: what is drawn later isn't avoided. A name that had to go far away gets a thin line to its point.

    Args:
        axis: of matplotlib, with everything else in it.
        points: name to where it is, in data coordinates.
        size: of the points' markers, in typographic points.
        look: of the text, as for `Axes.annotate`.
    """
    figure = axis.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # the layout, once and for all
    unit = figure.dpi / 72
    places = {name: axis.transData.transform(place) for name, place in points.items()}
    taken = [_box(place, (size * unit, size * unit)) for place in places.values()]
    taken += [legend.get_window_extent(renderer).extents for legend in [axis.get_legend()] if legend]
    lines = np.concatenate([_along(line) for line in axis.lines] or [np.empty((0, 2))])
    inside = axis.get_window_extent(renderer).extents
    for name, place in places.items():
        written = axis.annotate(name, (0, 0), annotation_clip=False, **look)
        extent = written.get_window_extent(renderer)
        written.remove()
        spot, far = _free_spot(place, np.array([extent.width, extent.height]), size * unit / 2, taken, lines, inside)
        taken.append(_box(spot, (extent.width, extent.height)))
        arrow = {"arrowstyle": "-", "linewidth": 1, "color": "0.4", "shrinkB": size / 2} if far else None
        offset = {"xytext": (spot - place) / unit, "textcoords": "offset points", "ha": "center", "va": "center"}
        axis.annotate(name, points[name], arrowprops=arrow, annotation_clip=False, **offset, **look).set_in_layout(False)


def _free_spot(
    place: np.ndarray, extent: np.ndarray, radius: float, taken: Sequence[Any], lines: np.ndarray, inside: Any
) -> tuple[np.ndarray, bool]:
    """The middle of the nearest box of this extent around a place that meets nothing, in pixels; and whether it is far away."""
    best = (math.inf, place, False)
    for ring in range(14):
        for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False) + np.pi / 4:
            direction = np.array([np.cos(angle), np.sin(angle)])
            spot = place + direction * (radius + 2 + 8 * ring) + direction / np.abs(direction).max() * extent / 2
            box = _box(spot, extent + 4)
            covered = sum(_shared(box, other) for other in taken)
            outside = float(np.prod(extent + 4)) - _shared(box, inside)
            crossed = int(((lines >= box[:2]) & (lines <= box[2:])).all(1).sum())
            cost = 10 * covered + 20 * outside + 30 * crossed + 40 * ring
            if cost < best[0]:
                best = (cost, spot, ring > 0)
    return best[1], best[2]


def _box(middle: Any, extent: Any) -> np.ndarray:
    """Left, bottom, right, top."""
    return np.concatenate([np.subtract(middle, np.divide(extent, 2)), np.add(middle, np.divide(extent, 2))])


def _shared(one: Any, other: Any) -> float:
    """The area that two boxes share."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(np.prod(sides.clip(min=0)))


def _along(line: Any) -> np.ndarray:
    """Places on a drawn line and around its markers, close to each other, in pixels: (n, 2)."""
    corners = line.get_transform().transform(np.column_stack(line.get_data()).astype(float))
    found = [corners]
    if line.get_marker() not in ("None", "none", " ", "", None):
        radius = 0.45 * line.get_markersize() * line.figure.dpi / 72
        found += [corners + [radius * across, radius * along] for across in (-1, 1) for along in (-1, 1)]
    if len(corners) > 1 and line.get_linestyle() not in ("None", "none", ""):
        found += [np.linspace(a, b, 40) for a, b in zip(corners, corners[1:], strict=False)]
    return np.concatenate(found)


def name_ends(axis: Any, ends: Mapping[str, tuple[float, Any]], *, fontsize: float = 13) -> None:
    """Write the names of lines at the right of the axis, each as near to the height of its end as the others allow.

    Args:
        axis: of matplotlib, its limits set.
        ends: name to height, in data coordinates, and colour.
    """
    low, high = axis.get_ylim()
    gap = 1.35 * fontsize / (72 * axis.figure.get_figheight() * 0.75)  # as a share of the axis
    wanted = {name: (height - low) / (high - low) for name, (height, _) in ends.items()}
    order = sorted(wanted, key=wanted.__getitem__)
    blocks: list[list[float]] = []  # neighbours that touch stand as one block, whose middle is where they wish to be on average
    for index, name in enumerate(order):
        blocks.append([wanted[name] - gap * index])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    bases = [float(np.mean(block)) for block in blocks for _ in block]
    for index, (name, base) in enumerate(zip(order, bases, strict=True)):
        height = base + gap * index
        arrow = {"arrowstyle": "-", "linewidth": 1, "color": "0.6", "shrinkA": 0, "shrinkB": 0}
        where = {"xycoords": "axes fraction", "textcoords": "axes fraction", "arrowprops": arrow, "annotation_clip": False}
        axis.annotate(name, (1, wanted[name]), (1.04, height), color=ends[name][1], va="center", fontsize=fontsize, **where)
