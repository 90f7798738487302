"""The sweep of notebook 07: curves, BD-rates and costs of all codecs, from committed rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

from tutorial_lib import evaluation, plots, widgets
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


PUBLISHED = ("COIN", "Strümpler et al.", "NIF", "COOL-CHIC v1", "COOL-CHIC v2", "VTM (VVC)")
"""Whose published points are drawn: the codecs of this course, and the standard that the last ones aim at."""


def published_curves() -> dict[str, list[dict[str, Any]]]:
    """Others' points for Kodak that are means of PSNRs, by codec."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for point in evaluation.published_points("kodak"):
        if point.average == evaluation.AVERAGES[0] and point.codec in PUBLISHED:
            lines.setdefault(f"{point.codec} (published)", []).append(
                {"bpp": point.bpp, "psnr": point.psnr, "caption": "24 pictures, 768×512: another task"}
            )
    return lines


def sweep_figure(rows: Sequence[dict[str, Any]]) -> plots.Shown:
    """Curves of all codecs over the pictures that all have, with published points of the whole set behind them."""
    names = evaluation.shared_pictures(rows)
    if not names:
        return nothing("no codec has been measured yet")
    series = {
        line: [_point(there, names) for there in evaluation.complete(some, names).values()]
        for line, some in evaluation.lines(rows).items()
    }
    farthest = max(point["bpp"] for some in series.values() for point in some)
    faint = {name: [point for point in some if point["bpp"] <= farthest] for name, some in published_curves().items()}
    return widgets.hover_curves(
        series,
        title=f"Mean PSNR of {', '.join(names)}",
        faint={name: some for name, some in faint.items() if some},
        alt="Rate-distortion curves of all codecs; grey: published points of the whole Kodak set at full size.",
    )


def _point(there: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The mean of a line's rows at one rate, and what it is a mean of."""
    of = {evaluation.name_of(row): row for row in there}
    caption = "; ".join(f"{of[name]['picture']} {of[name]['psnr']:.1f} dB" for name in names)
    return {"bpp": evaluation.mean(there, "bpp_real"), "psnr": evaluation.mean(there, "psnr"), "caption": caption}


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
        for line, height in _apart({line: (getattr(spent[line], kind), gain) for line, gain in shown.items()}).items():
            place = getattr(spent[line], kind), height
            axis.annotate(line, place, (11, 0), textcoords="offset points", fontsize=13, va="center")
        logarithmic(axis, [10.0**power for power in range(-3, 5)])
        axis.margins(x=0.32, y=0.12)
        axis.set(xlabel=f"seconds to {kind} a megapixel", title=f"{kind.removesuffix('e')}ing")
    for colour, marker, kind in ((plots.RED, "o", "networks"), (plots.BLUE, "s", "classical")):
        axes[0].plot([], [], marker, color=colour, label=kind)
    axes[0].legend(loc="lower right")
    axes[0].set_ylabel(f"BD-rate against {anchor} (%), better upwards")
    axes[0].invert_yaxis()
    for line, gain in shown.items():
        texts.append(
            f"{line}: {percent(gain)}, {_seconds(spent[line].decode)} s to decode, {_seconds(spent[line].encode)} s to encode."
        )
    return plots.show(made, " ".join(texts))


def _apart(points: Mapping[str, tuple[float, float]], least: float = 4.5, factor: float = 8) -> dict[str, float]:
    """Heights of labels beside points (x, y), those of neighbours in x (within a factor) at least so far apart."""
    heights: dict[str, float] = {}
    for line, (x, y) in sorted(points.items(), key=lambda item: item[1][1]):
        below = [heights[other] for other in heights if 1 / factor < points[other][0] / x < factor]
        heights[line] = max([y, *(height + least for height in below)])
    return heights


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
