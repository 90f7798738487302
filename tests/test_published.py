"""data/published.csv: what others report on the Kodak suite."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tutorial_lib import evaluation

FILE = Path(__file__).resolve().parent.parent / "data" / "published.csv"
AVERAGES = ("mean of PSNR", "PSNR of mean MSE")
CODECS = ("COIN", "Strümpler et al.", "NIF", "COOL-CHIC v1", "COOL-CHIC v2", "C3", "VTM (VVC)", "BPG")


def rows() -> list[dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve(codec: str) -> list[tuple[float, float]]:
    return [(float(row["bpp"]), float(row["psnr"])) for row in rows() if row["codec"] == codec]


def test_columns_and_codecs() -> None:
    assert list(rows()[0]) == ["codec", "bpp", "psnr", "pictures", "average", "source"]
    assert list(dict.fromkeys(row["codec"] for row in rows())) == list(CODECS)


def test_every_row_is_complete() -> None:
    for row in rows():
        assert row["pictures"] == "kodak" and row["average"] in AVERAGES
        assert re.match(r"github\.com/[\w.-]+/[\w.-]+ \S+\.(json|tsv|py)\b", row["source"]), row["source"]
        assert "/work" not in row["source"] and None not in row


@pytest.mark.parametrize("codec", CODECS)
def test_a_curve_rises(codec: str) -> None:
    points = curve(codec)
    assert len(points) >= 3
    for (rate, quality), (next_rate, next_quality) in zip(points, points[1:], strict=False):
        assert 0 < rate < next_rate and 20 < quality < next_quality < 50


def at_half_a_bit(codec: str) -> float:
    points = curve(codec)
    high = next(index for index, (rate, _) in enumerate(points) if rate >= 0.5)
    (rate, quality), (next_rate, next_quality) = points[high - 1], points[high]
    return quality + (0.5 - rate) / (next_rate - rate) * (next_quality - quality)


def test_the_curves_lie_in_the_order_of_the_papers() -> None:
    """At 0.5 bpp: a row under a wrong name would break it."""
    order = ("COIN", "Strümpler et al.", "NIF", "COOL-CHIC v1", "COOL-CHIC v2", "BPG", "C3")
    qualities = [at_half_a_bit(codec) for codec in order]
    assert qualities == sorted(qualities) and qualities[-1] < at_half_a_bit("VTM (VVC)") + 0.5
    assert qualities[0] == pytest.approx(27.7, abs=0.3)


def test_mean_of_psnr_not_psnr_of_mean() -> None:
    """Orange's own averages are PSNRs of the mean MSE; v1 at its lowest rate has 25.32 dB there."""
    assert curve("COOL-CHIC v1")[0] == pytest.approx((0.0812, 25.77), abs=0.01)


def test_the_library_reads_the_file() -> None:
    points = evaluation.published_points()
    assert [(point.codec, point.bpp, point.psnr, point.average) for point in points] == [
        (row["codec"], float(row["bpp"]), float(row["psnr"]), row["average"]) for row in rows()
    ]
    assert evaluation.published_points("no such set") == []
