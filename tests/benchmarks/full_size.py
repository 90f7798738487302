"""Latent grids at the size of real pictures: what a pass costs, J over CPU seconds, and the rate beside published ones.

    INR_DATA_DIR=… OMP_NUM_THREADS=1 python tests/benchmarks/full_size.py --only cost
    … --only curves --pictures kodak:3 kodak:23 --seconds 10 30 60 120 300
    … --only published --published coolchic_kodak_per_image.csv --seconds 300 --lambdas 4e-3 1e-3 4e-4

"before" is the recipe before steps saw bands: whole pictures, Adam with betas 0.9 and 0.999, the pyramid as it is. Seconds are
those of the CPU, of one thread; the number of steps is chosen by a few timed ones. All files are decoded.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import codecs, images
from tutorial_lib.codecs import Codec
from tutorial_lib.codecs.recipes import modern
from tutorial_lib.metrics import psnr
from tutorial_lib.runtime import keep_freed_memory
from tutorial_lib.training import GridPhase, GridRecipe
from tutorial_lib.training.grids import GridFit

CODECS = ("coolchic-small", "coolchic-v2", "coolchic-large")


def before(iterations: int) -> GridRecipe:
    """`modern` as it was: every step sees the whole picture, and networks start from nothing."""
    tail = modern(iterations).phases[1]
    main = GridPhase("soft rounding", iterations - tail.iterations, mse_first=0.4)
    return GridRecipe((main, replace(tail, banded=False)), start="pyramid")


RECIPES: dict[str, Callable[[int], GridRecipe]] = {"before": before, "now": modern}


def fit_of(codec: Codec, picture: Tensor, recipe: GridRecipe, lmbda: float) -> GridFit:
    plan = codec.plan(picture, lmbda=lmbda, iterations=100)
    run = GridFit(codec.build(plan.config, plan.height, plan.width), picture, recipe, lmbda, "mse", 0)
    run.begin(recipe.phases[0])
    run.step(0)
    return run


def cost(picture: Tensor) -> None:
    """CPU seconds of a look at the whole picture, both recipes in turn."""
    for name in CODECS:
        runs = {which: fit_of(codecs.LEARNED[name], picture, recipe(100), 1e-3) for which, recipe in RECIPES.items()}
        seconds: dict[str, list[float]] = {which: [] for which in runs}
        for _ in range(6):
            for which, run in runs.items():
                began = time.process_time()
                for _ in range(run.passes.count if run.phase.banded else 1):
                    run.step(0)
                seconds[which].append(time.process_time() - began)
        found = {which: statistics.median(each) for which, each in seconds.items()}
        bands = runs["now"].passes.count
        print(f"{name:<16}before {found['before']:.3f} s a step; now {found['now']:.3f} s a pass of {bands} steps", flush=True)


def encoded(
    codec: Codec, picture: Tensor, recipe: Callable[[int], GridRecipe], seconds: float, lmbda: float
) -> tuple[float, ...]:
    """(CPU seconds, PSNR in dB, bits per pixel, J) of the file that so many seconds make."""
    run = fit_of(codec, picture, recipe(1000), lmbda)
    began, steps = time.process_time(), 0
    while time.process_time() - began < 2:
        run.step(steps)
        steps += 1
    iterations = max(int(0.95 * seconds * steps / (time.process_time() - began)), 12)
    plan = replace(codec.plan(picture, lmbda=lmbda, iterations=iterations), recipe=recipe(iterations))
    began = time.process_time()
    data = codec.execute(plan, picture, progress=False).data
    took, quality = time.process_time() - began, psnr(codec.decode(data), picture)
    bpp = 8 * len(data) / picture[0].numel()
    return took, quality, bpp, 10 ** (-quality / 10) + lmbda * bpp


def curves(names: list[str], seconds: list[float], lmbda: float, which: list[str]) -> None:
    for name in names:
        picture = images.open_picture(name)
        for codec in which:
            for recipe, make in RECIPES.items():
                for budget in seconds:
                    took, quality, bpp, j = encoded(codecs.LEARNED[codec], picture, make, budget, lmbda)
                    row = f"{name:<10}{codec:<16}{recipe:<8}{took:6.0f} s  {quality:.2f} dB  {bpp:.4f} bpp  J·10³ {1e3 * j:.4f}"
                    print(row, flush=True)


def published(names: list[str], seconds: float, lambdas: list[float], table: Path, codec: str) -> None:
    """The rate beside that of published files at the same PSNR, log-rate interpolated between their λ."""
    with table.open() as lines:
        rows = list(csv.DictReader(lines))
    for name in names:
        picture = images.open_picture(name)
        image = f"kodim{int(name.split(':')[1]):02d}"
        for lmbda in lambdas:
            took, quality, bpp, _ = encoded(codecs.LEARNED[codec], picture, modern, seconds, lmbda)
            beside = []
            for version in ("v1.0", "v2.0", "v3.4", "v5.0"):
                points = sorted(
                    (float(row["psnr_db"]), float(row["bpp"]))
                    for row in rows
                    if row["codec"] == f"cool-chic-{version}" and row["image"] == image
                )
                theirs = np.exp(np.interp(quality, [each[0] for each in points], np.log([each[1] for each in points])))
                beside.append(f"{version} {bpp / theirs - 1:+.1%}")
            print(f"{image} λ {lmbda:g} {took:5.0f} s  {quality:.2f} dB  {bpp:.4f} bpp  {', '.join(beside)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("cost", "curves", "published"), default="cost")
    parser.add_argument("--pictures", nargs="+", default=["kodak:3", "kodak:23"])
    parser.add_argument("--codecs", nargs="+", default=["coolchic-large"])
    parser.add_argument("--seconds", nargs="+", type=float, default=[10, 30, 60])
    parser.add_argument("--lambdas", nargs="+", type=float, default=[1e-3])
    parser.add_argument("--published", type=Path, help="CSV of codec, image, lambda, bpp, psnr_db")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    if options.only == "cost":
        cost(images.open_picture(options.pictures[0]))
    elif options.only == "curves":
        curves(options.pictures, options.seconds, options.lambdas[0], options.codecs)
    else:
        published(options.pictures, options.seconds[-1], options.lambdas, options.published, options.codecs[0])


if __name__ == "__main__":
    main()
