"""README's results: BD-rates, costs and the figure of the committed sweep, and the way of a picture.

    python tests/benchmarks/results_table.py           # prints the tables
    python tests/benchmarks/results_table.py --write   # into README.md, and the figures into docs/

Reads ``data/results/evaluation``; nothing is encoded again but two sample files' decoding. README says how the rows were made.
"""

from __future__ import annotations

import argparse
import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from tutorial_lib import codecs, images, plots
from tutorial_lib.course import sample_file
from tutorial_lib.evaluation import AVERAGES, EvaluationError, Results, bd_rate, curves, mean, name_of
from tutorial_lib.lessons.n00_welcome.figures import journey

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
ANCHORS = ("jpeg", "jpeg2000", "webp", "jpegxl", "heic", "avif")
NAMES = {"jpeg": "JPEG", "jpeg2000": "JPEG 2000", "webp": "WebP", "jpegxl": "JPEG XL", "heic": "HEIC", "avif": "AVIF"}
OWN_SIZES = {"chelsea": "Chelsea, 451×300", "coffee": "coffee, 600×400", "astronaut": "astronaut, 512×512"}
COST_RATE = 0.6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--write", action="store_true", help="into README.md and docs/")
    chosen = options.parse_args()
    rows = [row for row in Results(ROOT / "data" / "results" / "evaluation").rows() if not row["error"]]
    kodak = sorted({name_of(row) for row in rows if row["picture"].startswith("kodak")})
    tables = (
        bd_table(rows, "Kodak 3, 15 and 23 at 384×256", kodak),
        pictures_table(rows),
        cost_table([row for row in rows if name_of(row) in kodak]),
    )
    text = "\n\n".join(tables)
    print(text)
    if chosen.write:
        readme = ROOT / "README.md"
        before = readme.read_text(encoding="utf-8")
        pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
        assert pattern.search(before), f"README.md has no markers {BEGIN} and {END}"
        after = pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", before)
        readme.write_text(after, encoding="utf-8", newline="\n")
        (ROOT / "docs").mkdir(exist_ok=True)
        found = curves(rows, pictures=kodak)
        shown = ("coolchic-v2", "coolchic-small", "nif", "siren", "coin", "jpeg", "avif")
        save(drawing({name: found[name] for name in shown}), ROOT / "docs" / "rate-distortion.png")
        face = images.crop(images.sample("chelsea"), 24, 120, 192, 240)
        save(journey(face, sample_file("chelsea.inr")), ROOT / "docs" / "journey.png")


def bd_table(rows: Sequence[dict[str, Any]], title: str, pictures: Sequence[str]) -> str:
    """BD-rate of each learned codec against each classical one."""
    found = curves(rows, pictures=pictures)
    pooled = curves(rows, pictures=pictures, average=AVERAGES[1])
    anchors = [name for name in ANCHORS if name in found]
    several = len(pictures) > 1
    head = [title, *(f"{NAMES[name]}" for name in anchors), *(["JPEG, PSNR of mean MSE"] if several else [])]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for name in codecs.LEARNED:
        if name in found:
            values = [saved(found[anchor], found[name]) for anchor in anchors]
            values += [saved(pooled["jpeg"], pooled[name])] if several else []
            lines.append(f"| `{name}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


def pictures_table(rows: Sequence[dict[str, Any]]) -> str:
    """BD-rate of each learned codec against JPEG and AVIF on each of `OWN_SIZES`."""
    heads = [f"{title}: {NAMES[anchor]}" for title in OWN_SIZES.values() for anchor in ("jpeg", "avif")]
    lines = ["| at their own sizes | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    each = [curves([row for row in rows if row["picture"] == name]) for name in OWN_SIZES]
    for name in codecs.LEARNED:
        if all(name in found for found in each):
            values = [saved(found[anchor], found[name]) for found in each for anchor in ("jpeg", "avif")]
            lines.append(f"| `{name}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


def saved(anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> str:
    try:
        return f"{bd_rate(anchor, test):+.0f} %".replace("-", "−")
    except EvaluationError:
        return "n/a"


def cost_table(rows: Sequence[dict[str, Any]]) -> str:
    """What a file at `COST_RATE` takes: means over the pictures, of codecs that have encoded all of them."""
    columns = {
        "bpp": ("bpp_real", ".3f"),
        "PSNR/dB": ("psnr", ".2f"),
        "MS-SSIM/dB": ("ms_ssim_db", ".1f"),
        "LPIPS": ("lpips_alex", ".3f"),
        "encode/s": ("encode_cpu_seconds", ".1f"),
        "decode/s": ("decode_cpu_seconds", ".2f"),
        "multiply-adds a pixel": ("operations_per_pixel", ",.0f"),
    }
    lines = [f"| at {COST_RATE:g} bpp | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    pictures = {name_of(row) for row in rows}
    for name in codecs.names():
        some = [row for row in rows if row["codec"] == name and row["bpp"] == COST_RATE]
        if {name_of(row) for row in some} == pictures:
            lines.append(f"| `{name}` | " + " | ".join(_mean(some, *column) for column in columns.values()) + " |")
    return "\n".join(lines)


def _mean(rows: Sequence[dict[str, Any]], field: str, form: str) -> str:
    value = mean(rows, field)
    return "" if value is None else f"{value:{form}}"


@matplotlib.rc_context(plots.STYLE)
def drawing(lines: Mapping[str, Sequence[tuple[float, float]]]) -> plots.Shown:
    """The curves of README's figure."""
    made, axes = plots.figure(8, 5)
    for (name, points), marker in zip(lines.items(), plots.MARKERS, strict=False):
        axes.plot(*zip(*points, strict=True), marker=marker, label=NAMES.get(name, name))
    axes.set(xlabel="bits per pixel", ylabel="PSNR (dB)", title="mean of Kodak 3, 15 and 23 at 384×256, real files")
    axes.set_xlim(left=0)
    axes.legend()
    return plots.show(made, "Rate-distortion curves of README.")


def save(shown: plots.Shown, path: Path) -> None:
    """The PNG in a figure's page."""
    found = re.search(r"data:image/png;base64,([A-Za-z0-9+/=]+)", shown.html)
    assert found
    path.write_bytes(base64.b64decode(found.group(1)))


if __name__ == "__main__":
    main()
