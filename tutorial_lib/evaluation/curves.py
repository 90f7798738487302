"""Rate-distortion curves from rows: means over pictures by either convention, BD-rate, published points.

>>> anchor = [(0.25, 28.0), (0.5, 31.0), (1.0, 34.0), (2.0, 38.0)]
>>> half = [(rate / 2, quality) for rate, quality in anchor]
>>> round(bd_rate(anchor, half), 1)
-50.0
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutorial_lib.metrics import psnr_of_mse
from tutorial_lib.runtime import data_path

AVERAGES = ("mean of PSNR", "PSNR of mean MSE")
"""How a set's PSNR is made: as NIF and COIN report it, and as Cool-chic does. The second is the lower one: it is ruled by
the worst pictures, and on the Kodak suite by up to half a decibel."""

MINIMUM_OVERLAP = 4.0
"""dB that two curves must share before a mean over their common range says something about either."""

Row = Mapping[str, Any]
Points = list[tuple[float, float]]


class EvaluationError(ValueError):
    """Curves that can't be compared; the message is one sentence for the reader."""


def at_rate(rates: Sequence[float], values: Sequence[float], rate: float) -> float:
    """A metric at ``rate`` bits per pixel, linear in log rate between the two nearest points of a curve.

    Raises:
        EvaluationError: ``rate`` lies outside the curve: nothing is extrapolated.

    >>> at_rate([0.25, 1.0], [30.0, 34.0], 0.5)
    32.0
    """
    order = np.argsort(rates)
    xs, ys = np.log(np.asarray(rates, dtype=float)[order]), np.asarray(values, dtype=float)[order]
    x = math.log(rate)
    # a file may miss its rate by the last byte
    if not xs[0] - 1e-2 <= x <= xs[-1] + 1e-2:
        raise EvaluationError(f"{rate:g} bpp lies outside the curve, which spans {math.exp(xs[0]):.3g} to {math.exp(xs[-1]):.3g}")
    return float(np.interp(x, xs, ys))


def lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by line: a codec, or "codec, loss" where one codec ran with several losses.

    Failed runs and those of equal λ, which have no rate to meet, are left out.
    """
    kept = [row for row in rows if not row.get("error") and row.get("bpp") and row.get("bpp_real")]
    losses: dict[str, set[str | None]] = {}
    for row in kept:
        losses.setdefault(row["codec"], set()).add(row.get("loss"))
    found: dict[str, list[Row]] = {}
    for row in kept:
        several = len(losses[row["codec"]]) > 1
        found.setdefault(f"{row['codec']}, {row.get('loss') or 'default'}" if several else row["codec"], []).append(row)
    return found


def shared_pictures(rows: Sequence[Row], *, rates: int = 2) -> list[str]:
    """Pictures (with their size, "kodak:3 384×256") of which every line has so many rates: means over others would compare
    different pictures."""
    sets = []
    for some in lines(rows).values():
        found: dict[str, set[float]] = {}
        for row in some:
            found.setdefault(name_of(row), set()).add(row["bpp"])
        sets.append({picture for picture, asked in found.items() if len(asked) >= rates})
    shared = set.intersection(*sets) if sets else set()
    return [picture for picture in dict.fromkeys(map(name_of, rows)) if picture in shared]


def name_of(row: Row) -> str:
    """A row's picture and its size: "kodak:3 384×256". Without a size (a failed run) the picture alone."""
    name = row.get("name") or row["picture"]  # the first where `Results.read` saw that the picture's doesn't say which it is
    return f"{name} {row['width']}×{row['height']}" if row.get("width") else name


def complete(rows: Sequence[Row], pictures: Sequence[str]) -> dict[float, list[Row]]:
    """A line's rows of some pictures (as `name_of` calls them) by the rate asked for, where all have one; lowest first."""
    wanted = set(pictures)
    found: dict[float, list[Row]] = {}
    for row in rows:
        if name_of(row) in wanted:
            found.setdefault(row["bpp"], []).append(row)
    return {bpp: found[bpp] for bpp in sorted(found) if set(map(name_of, found[bpp])) == wanted}


def mean(rows: Sequence[Row], measure: str, average: str = AVERAGES[0]) -> float | None:
    """A measure's mean over pictures: the one place where such means are taken.

    Args:
        rows: several of one picture at one size, as of several seeds, count as their mean.
        measure: a field.
        average: one of `AVERAGES`; the second, which reads the field "mse", for PSNR only.

    Returns:
        None where a row lacks the measure, or there is no row: a mean over fewer pictures would pass for its neighbours'.

    Raises:
        EvaluationError: no such average, or the second of anything but PSNR.
    """
    if average not in AVERAGES:
        raise EvaluationError(f"there is no average {average!r}; there are {', '.join(AVERAGES)}")
    pooled = average == AVERAGES[1]
    if pooled and measure != "psnr":
        raise EvaluationError(f"{measure} has no mean squared error to average")
    pictures: dict[str, list[float]] = {}
    for row in rows:
        if (value := row.get("mse" if pooled else measure)) is None:
            return None
        pictures.setdefault(name_of(row), []).append(value)
    if not pictures:
        return None
    value = sum(sum(values) / len(values) for values in pictures.values()) / len(pictures)
    return psnr_of_mse(value) if pooled else value


def curve(rows: Sequence[Row], pictures: Sequence[str], measure: str = "psnr", average: str = AVERAGES[0]) -> Points:
    """One line's points (bits per pixel, quality), by rate: means over ``pictures`` at each rate asked for that all have."""
    points = [(mean(some, "bpp_real"), mean(some, measure, average)) for some in complete(rows, pictures).values()]
    return sorted((rate, value) for rate, value in points if rate is not None and value is not None)


def curves(
    rows: Sequence[Row], measure: str = "psnr", *, average: str = AVERAGES[0], pictures: Sequence[str] | None = None
) -> dict[str, Points]:
    """The `curve` of every line that has one, by name, as in `lines`.

    Args:
        rows: of a sweep.
        measure: a field; runs in which it is None make no point.
        average: one of `AVERAGES`; the second for PSNR only.
        pictures: as `name_of` calls them; by default `shared_pictures`. A rate that one of them lacks makes no point.

    Raises:
        EvaluationError: no such average, or the second of anything but PSNR.
    """
    wanted = shared_pictures(rows) if pictures is None else pictures
    found = {name: curve(some, wanted, measure, average) for name, some in lines(rows).items()}
    return {name: points for name, points in found.items() if points}


def bd_rate(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float:
    """Bjøntegaard's delta rate: how much more rate ``test`` needs than ``anchor`` for equal quality, on average.

    The logarithm of the rate is interpolated over quality (monotone cubic pieces, "pchip"), and the difference of both
    curves averaged over the qualities that they share (G. Bjøntegaard, VCEG-M33, 2001), by the package bjontegaard.

    Args:
        anchor, test: points (bits per pixel, dB), in any order. Points that a better one dominates (less quality for
            more rate) are left out: a curve must rise to be read backwards.

    Returns:
        Per cent; −50 is half the rate at equal quality.

    Raises:
        EvaluationError: fewer than three points on a curve, one that is not finite, or less than `MINIMUM_OVERLAP` in common.
    """
    import bjontegaard

    for role, points in (("anchor's", anchor), ("tested", test)):
        if not all(math.isfinite(value) for point in points for value in point):
            raise EvaluationError(f"the {role} curve has a point without finite quality, as of a lossless file: leave it out")
    curves_ = [_rising(points) for points in (anchor, test)]
    for role, points in zip(("anchor's", "tested"), curves_, strict=True):
        if len(points) < 3:
            raise EvaluationError(f"the {role} curve has {len(points)} rising points, and a BD-rate needs three")
    (low, high), (other_low, other_high) = ((points[0][1], points[-1][1]) for points in curves_)
    common = min(high, other_high) - max(low, other_low)
    if common < MINIMUM_OVERLAP:
        shares = f"share only {common:.1f} dB" if common > 0 else "share no quality at all"
        raise EvaluationError(
            f"the curves {shares} ({low:.1f} to {high:.1f} and {other_low:.1f} to {other_high:.1f} dB), "
            f"and below {MINIMUM_OVERLAP:g} dB a mean over it says little"
        )
    columns = [list(column) for points in curves_ for column in zip(*points, strict=True)]
    rate: Any = bjontegaard.bd_rate(*columns, method="pchip", require_matching_points=False, min_overlap=0)
    return float(rate)  # the tuple that its types allow comes with another option


def _rising(points: Sequence[tuple[float, float]]) -> Points:
    kept: Points = []
    for rate, quality in sorted((float(rate), float(quality)) for rate, quality in points):
        if not kept or (quality > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, quality))
    return kept


def bd_rates(rows: Sequence[Row], anchor: str = "jpeg", *, average: str = AVERAGES[0]) -> dict[str, float | str]:
    """BD-rate of every line in PSNR against the line ``anchor``: per cent, or the reason why there is none.

    Raises:
        EvaluationError: no such line.
    """
    found = curves(rows, average=average)
    if anchor not in found:
        raise EvaluationError(f"there is no curve of {anchor} in these rows; there are {', '.join(found) or 'none'}")
    table: dict[str, float | str] = {}
    for name, points in found.items():
        if name == anchor:
            continue
        try:
            table[name] = bd_rate(found[anchor], points)
        except EvaluationError as error:
            table[name] = str(error)
    return table


@dataclass(frozen=True)
class PublishedPoint:
    """A point of a paper's or program's own table.

    Attributes:
        codec: as its authors call it, with the version.
        bpp: bits per pixel.
        psnr: dB.
        pictures: the set, "kodak" for all 24 at full size.
        average: one of `AVERAGES`.
        source: where it stands.
    """

    codec: str
    bpp: float
    psnr: float
    pictures: str
    average: str
    source: str


def published_points(pictures: str = "kodak") -> list[PublishedPoint]:
    """What others report for a set of pictures; ``data/published.csv``, with a source for each row.

    COIN, Strümpler et al., NIF, COOL-CHIC v1 and v2, C3, and the standards VVC (VTM) and BPG. Two curves may be compared
    where ``average`` agrees.

    Raises:
        EvaluationError: the file is missing from the installation.
    """
    path = data_path("published.csv")
    if path is None:
        raise EvaluationError("data/published.csv is missing from this installation: install the package again")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    points = [PublishedPoint(**{**row, "bpp": float(row["bpp"]), "psnr": float(row["psnr"])}) for row in rows]
    return [point for point in points if point.pictures == pictures]
