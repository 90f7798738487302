"""What each codec gives on one Kodak picture: the table in README, from real files.

    python tests/benchmarks/codec_table.py [--write] [--bpp 0.3] [--budget laptop]

``--write`` puts the table between README's markers. Takes about 4 minutes on two cores with the laptop budget.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import date
from pathlib import Path

import torch

from tutorial_lib import codecs, images
from tutorial_lib.classical_codecs import CODECS as CLASSICAL
from tutorial_lib.metrics import bits_per_pixel, ms_ssim, psnr

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- codec table: begin -->", "<!-- codec table: end -->"
NUMBER = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--bpp", type=float, default=0.3)
    options.add_argument("--budget", default="laptop")
    options.add_argument("--write", action="store_true", help="put the table into README")
    chosen = options.parse_args()
    table = make(chosen.bpp, chosen.budget)
    print(table)
    if chosen.write:
        before, rest = README.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def make(bpp: float, budget: str) -> str:
    """The table in Markdown, with a line that says how it was made."""
    picture = images.kodak(NUMBER)
    rows = []
    for name in codecs.names():
        if name == "png":
            continue
        codec = codecs.get(name)
        options = {} if name in CLASSICAL else {"budget": budget, "progress": False}
        started = time.perf_counter()
        data = codec.encode(picture, bpp=bpp, **options)
        encoded = time.perf_counter()
        decoded = codec.decode(data).cpu()
        seconds = time.perf_counter() - encoded
        rows.append(
            f"| {name} | {len(data):,} | {bits_per_pixel(data, picture):.3f} | {psnr(decoded, picture):.2f} "
            f"| {ms_ssim(decoded, picture):.4f} | {encoded - started:.1f} | {seconds:.2f} |"
        )
    head = "| codec | bytes | bpp | PSNR/dB | MS-SSIM | encode/s | decode/s |\n|---|--:|--:|--:|--:|--:|--:|"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} cores, no GPU"
    note = (
        f"Kodak {NUMBER} at 768×512, {bpp:g} bpp asked for, budget `{budget}`, seed 0; {platform.machine()}, {device}, "
        f"torch {torch.__version__}, {date.today()}. Every byte of the file counts. Made by "
        "`python tests/benchmarks/codec_table.py --write`."
    )
    return "\n".join([head, *rows, "", note])


if __name__ == "__main__":
    main()
