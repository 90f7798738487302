"""Fit the networks that fits of latent grids start from: to one mosaic of photographs, for each shape.

    python tests/benchmarks/latent_starts.py FOLDER [--shapes small large v1 v2]

FOLDER is what ``photographs.py FOLDER`` filled. The mosaic is fitted twice: from the pyramid alone, and again from the networks
that gave; they are written into ``tutorial_lib/latents/starts``. 4 to 12 minutes a shape on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.codecs.recipes import modern
from tutorial_lib.latents import starts
from tutorial_lib.latents.frozen import FrozenLatents
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.packing import encode_networks
from tutorial_lib.latents.rounding import quantize_networks
from tutorial_lib.runtime import keep_freed_memory
from tutorial_lib.training import grids

PHOTOGRAPHS = (
    "aitzgorri_by_Aitzol_Berasategi.jpg", "china.jpg", "flower.jpg", "friends_by_Aitzol_Berasategi.jpg",
    "life_by_Aitzol_Berasategi.jpg", "Picture_0B_by_freespace.jpg", "Picture_1A_by_freespace.jpg",
    "picosdeeuropa_by_Aitzol_Berasategi.jpg", "rocket.jpg", "umang_by_Abhishek_Mudgal.jpg",
)  # fmt: skip
"""None that a benchmark measures."""

LONGEST, TILE, COLUMNS = 1200, (256, 384), 2
LAMBDA, ITERATIONS = 1e-3, 1000


def mosaic(folder: Path) -> Tensor:
    """(3, 1280, 768): the middle of each photograph, reduced to `LONGEST` pixels or less."""
    tiles = []
    for name in PHOTOGRAPHS:
        picture = images.load(folder / name)
        factor = max(max(picture.shape[1:]) / LONGEST, 1.0)
        picture = images.reduce(picture, factor=factor) if factor > 1 else picture
        top, left = ((side - wanted) // 2 for side, wanted in zip(picture.shape[1:], TILE, strict=True))
        tiles.append(images.crop(picture, top, left, *TILE))
    rows = [torch.cat(tiles[first : first + COLUMNS], 2) for first in range(0, len(tiles), COLUMNS)]
    return torch.cat(rows, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shapes", nargs="+", default=[*starts.NAMES.values()], choices=[*starts.NAMES.values()])
    options = parser.parse_args()
    keep_freed_memory()
    picture = mosaic(options.folder)
    for config, name in starts.NAMES.items():
        if name not in options.shapes:
            continue
        path = starts.FOLDER / f"{name}.networks"
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        for _ in range(2):
            torch.manual_seed(0)
            model = LatentGrids(config, *picture.shape[1:])
            report = grids.fit(model, picture, modern(ITERATIONS), lmbda=LAMBDA)
            exponents = quantize_networks(FrozenLatents(model, picture, LAMBDA / 10, "mse"))
            path.write_bytes(encode_networks(model, exponents))
            print(f"{name}: {report.best_psnr:.2f} dB, {report.bpp:.3f} bpp, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
