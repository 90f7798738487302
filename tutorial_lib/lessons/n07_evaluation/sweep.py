"""The sweep of notebook 07: curves, BD-rates and costs of all codecs, from committed rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np

from tutorial_lib import evaluation, plots
from tutorial_lib.course import labels
from tutorial_lib.course.drawing import nothing, table
from tutorial_lib.lessons.n07_evaluation.figures import logarithmic, percent
from tutorial_lib.runtime import data_path


def sweep_rows() -> list[dict[str, Any]]:
    """The committed sweep's rows; none where it is missing."""
    there = data_path("results/evaluation")
    return evaluation.Results(there).rows() if there else []


def kodak(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of Kodak pictures."""
    return [row for row in rows if str(row["picture"]).startswith("kodak")]


PUBLISHED = {
    "COIN": "coin", "Strümpler et al.": "struempler", "NIF": "nif", "COOL-CHIC v1": "coolchic-v1", "COOL-CHIC v2": "coolchic-v2",
}  # fmt: skip
"""Whose published points are drawn, and the codec of this project that is meant to be the same."""

REACH = (0.2, 1.3)
"""Bits per pixel that `sweep_figure` shows: what learned codecs were asked for."""


def published_curves() -> dict[str, list[tuple[float, float]]]:
    """Others' points (bpp, dB) for Kodak that are means of PSNRs, by our codec of that kind."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in evaluation.published_points("kodak"):
        if point.average == evaluation.AVERAGES[0] and point.codec in PUBLISHED:
            lines.setdefault(PUBLISHED[point.codec], []).append((point.bpp, point.psnr))
    return lines


def _within(points: Sequence[tuple[float, float]]) -> np.ndarray:
    """A curve cut to `REACH`, with points of its own on both ends, straight between its points: (2, n)."""
    rates, qualities = np.transpose(sorted(points))
    low, high = max(REACH[0], rates[0]), min(REACH[1], rates[-1])
    inner = [rate for rate in rates if low < rate < high]
    places = np.array([low, *inner, high])
    return np.array([places, np.interp(places, rates, qualities)])


@matplotlib.rc_context(plots.STYLE)
def sweep_figure(rows: Sequence[dict[str, Any]]) -> plots.Shown:
    """Curves of all codecs over the pictures that all have: learned ones in colour beside what was published, others grey."""
    names = evaluation.shared_pictures(rows)
    if not names:
        return nothing("no codec has been measured yet")
    made, axis = plots.figure(12, 7)
    texts = [f"Rate-distortion curves, mean PSNR of {', '.join(names)}, from {REACH[0]} to {REACH[1]} bits per pixel."]
    published, ends, turn = published_curves(), {}, 0
    for line, some in evaluation.lines(rows).items():
        points = [
            (evaluation.mean(there, "bpp_real"), evaluation.mean(there, "psnr"))
            for there in evaluation.complete(some, names).values()
        ]
        rates, qualities = _within(points)
        learned = some[0].get("operations_per_pixel") is not None
        colour, look = "0.45", {"linestyle": "--", "linewidth": 1.8, "zorder": 1}
        if learned:
            colour = (*plots.COLOURS[:6], "black", "saddlebrown", "navy")[turn % 9]
            look = {"marker": plots.MARKERS[turn % 7], "markersize": 8, "linewidth": 3}
            look |= {"markerfacecolor": "white"} if turn >= 7 else {}  # markers begin again
            turn += 1
        else:
            ends[line] = (qualities[-1], colour)
        axis.plot(rates, qualities, color=colour, label=line if learned else None, **look)
        if line in published:
            axis.plot(*_within(published[line]), color=colour, linestyle=":", linewidth=1.8)
        texts.append(f"{line}: {qualities[0]:.1f} dB at {rates[0]:.2f}, {qualities[-1]:.1f} at {rates[-1]:.2f}.")
    axis.set(xlim=REACH, xlabel="bits per pixel", ylabel="PSNR (dB)", title=f"Mean of {', '.join(names)}")
    axis.plot([], [], color="0.2", linestyle=":", label="as published")
    axis.legend(loc="lower right", ncols=2)
    labels.name_ends(axis, ends)
    return plots.show(made, " ".join(texts))


def bd_rates_table(rows: Sequence[dict[str, Any]], anchor: str = "jpeg") -> plots.Shown:
    """BD-rates of all lines by both averages, the best first; a reason where there is none."""
    try:
        found = {average: evaluation.bd_rates(rows, anchor, average=average) for average in evaluation.AVERAGES}
    except evaluation.EvaluationError as error:
        return nothing(str(error))
    return _gains_table(found, f"BD-rate in PSNR against {anchor}; less is better")


def pictures_table(rows: Sequence[dict[str, Any]], anchor: str = "jpeg") -> plots.Shown:
    """BD-rates of all lines on each picture alone."""
    found = {}
    for name in dict.fromkeys(map(evaluation.name_of, rows)):
        try:
            found[name] = evaluation.bd_rates([row for row in rows if evaluation.name_of(row) == name], anchor)
        except evaluation.EvaluationError:
            continue  # a picture that not all have, as after failed runs
    if not found:
        return nothing("no codec has been measured yet")
    return _gains_table(found, f"BD-rate in PSNR against {anchor}, picture by picture")


def _gains_table(found: Mapping[str, Mapping[str, float | str]], caption: str) -> plots.Shown:
    """BD-rates, or n/a, of lines in columns; sorted by the first column."""
    first = next(iter(found.values()))
    order = sorted(first, key=lambda line: first[line] if isinstance(first[line], float) else math.inf)
    cells = {line: tuple(_cell(values.get(line)) for values in found.values()) for line in order}
    return table(tuple(found), cells, caption)


def _cell(value: float | str | None) -> str:
    return percent(value) if isinstance(value, float) else "n/a"


@dataclass(frozen=True)
class Cost:
    """What a codec asks of encoder and decoder: means over a sweep's rows.

    Attributes:
        operations: multiply-adds a pixel of the decoder; None for classical codecs.
        decode, encode: CPU seconds for a megapixel.
    """

    operations: float | None
    decode: float
    encode: float


def costs(rows: Sequence[dict[str, Any]]) -> dict[str, Cost]:
    """`Cost` of each line."""
    found = {}
    for line, some in evaluation.lines(rows).items():
        counted = [row["operations_per_pixel"] for row in some if row.get("operations_per_pixel")]
        megapixels = [row["height"] * row["width"] / 1e6 for row in some]
        seconds = [
            sum(row[key] / size for row, size in zip(some, megapixels, strict=True)) / len(some)
            for key in ("decode_cpu_seconds", "encode_cpu_seconds")
        ]
        found[line] = Cost(sum(counted) / len(counted) if counted else None, *seconds)
    return found


@matplotlib.rc_context(plots.STYLE)
def cost_figure(rows: Sequence[dict[str, Any]], anchor: str = "jpeg") -> plots.Shown:
    """BD-rate over seconds to decode and to encode a megapixel, a point for each codec."""
    try:
        gains: dict[str, float | str] = evaluation.bd_rates(rows, anchor) | {anchor: 0.0}
    except evaluation.EvaluationError as error:
        return nothing(str(error))
    spent = costs(rows)
    shown = {line: gain for line, gain in gains.items() if isinstance(gain, float)}
    made, axes = plots.figure(14, 5.4, 2, sharey=True)
    texts = [f"BD-rate against {anchor} over the seconds that a codec takes for a megapixel."]
    for axis, kind in zip(axes, ("decode", "encode"), strict=True):
        for line, gain in shown.items():
            seconds, ours = getattr(spent[line], kind), spent[line].operations is not None
            look = {"color": plots.RED, "marker": "o"} if ours else {"color": plots.BLUE, "marker": "s"}
            axis.plot(seconds, gain, markersize=11, **look)
        logarithmic(axis, [10.0**power for power in range(-3, 5)])
        axis.margins(x=0.32, y=0.12)
        axis.set(xlabel=f"seconds to {kind} a megapixel", title=f"{kind.removesuffix('e')}ing")
    for colour, marker, kind in ((plots.RED, "o", "networks"), (plots.BLUE, "s", "classical")):
        axes[0].plot([], [], marker, color=colour, label=kind)
    axes[0].legend(loc="lower right")
    axes[0].set_ylabel(f"BD-rate against {anchor} (%), better upwards")
    axes[0].invert_yaxis()
    for axis, kind in zip(axes, ("decode", "encode"), strict=True):
        points = {line: (getattr(spent[line], kind), gain) for line, gain in shown.items()}
        labels.name_points(axis, points, size=11, fontsize=13)
    for line, gain in shown.items():
        texts.append(
            f"{line}: {percent(gain)}, {_seconds(spent[line].decode)} s to decode, {_seconds(spent[line].encode)} s to encode."
        )
    return plots.show(made, " ".join(texts))


def _seconds(value: float) -> str:
    """Two or three digits that count, without a power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def cost_table(rows: Sequence[dict[str, Any]]) -> plots.Shown:
    """Operations and seconds of each codec, the slowest decoder last."""
    spent = costs(rows)
    if not spent:
        return nothing("no codec has been measured yet")
    cells = {}
    for line, cost in sorted(spent.items(), key=lambda item: item[1].decode):
        operations = "n/a" if cost.operations is None else f"{cost.operations:,.0f}"
        cells[line] = (operations, _seconds(cost.decode), _seconds(cost.encode))
    columns = ("multiply-adds a pixel, decoder", "seconds to decode a megapixel", "seconds to encode one")
    return table(columns, cells, "Means over pictures and rates, CPU seconds on one machine")
