"""Latent grids against Cool-chic 5.0.1 and the published recipes, and what decoding and large pictures take.

    python tests/benchmarks/latent_grids.py [--only small,middle,ladder,large,decode,memory,rates,kernels] [--iterations N]

Needs Kodak 3, 15 and 23 (downloaded, or in INR_DATA_DIR). PSNR and bytes are of the real, decoded file; seconds are of the
whole encode. Cool-chic's figures were measured with its own program on two cores of the same kind of machine; its
pictures were reduced in the same way.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.codecs import COOLCHIC_SMALL, COOLCHIC_V1, COOLCHIC_V2, Codec
from tutorial_lib.codecs.recipes import modern, published_v1, published_v2
from tutorial_lib.latents import kernels as operations
from tutorial_lib.latents.shape import SMALL, grid_sizes
from tutorial_lib.metrics import bits_per_pixel, psnr
from tutorial_lib.training import GridRecipe

COOL_CHIC_5 = {15: (33.40, 0.727, 81), 3: (33.82, 0.575, 78), 23: (32.96, 0.807, 80)}
"""(dB, bpp, s) of Cool-chic 5.0.1 at 192×128: its lightest decoder, 2,000 iterations, λ = 10⁻³."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="small,ladder,decode", help="parts to run, with commas between")
    options.add_argument("--iterations", type=int, default=3000, help="of the fits at 192×128")
    chosen = options.parse_args()
    cores, threads = os.cpu_count(), torch.get_num_threads()
    print(f"{date.today()}, {platform.machine()}, {cores} cores, torch {torch.__version__}, {threads} threads\n")
    for part in chosen.only.split(","):
        PARTS[part](chosen.iterations)


def run(codec: Codec, recipe: GridRecipe, picture: Tensor, lmbda: float) -> tuple[float, float, float, bytes]:
    """(seconds of encoding, PSNR and bpp of the decoded file, the file)."""
    plan = replace(codec.plan(picture, lmbda=lmbda), recipe=recipe)
    started = time.perf_counter()
    data = codec.execute(plan, picture, progress=False).data
    seconds = time.perf_counter() - started
    return seconds, psnr(codec.decode(data).cpu(), picture), bits_per_pixel(data, picture), data


def small(iterations: int) -> None:
    """`coolchic-small` against Cool-chic 5.0.1 at 192×128."""
    print(f"192×128, λ = 10⁻³, {iterations} iterations; Cool-chic 5.0.1's lightest decoder, 2,000 iterations")
    for number, (theirs, rate, took) in COOL_CHIC_5.items():
        picture = images.reduce(images.kodak(number), factor=4)
        seconds, quality, bpp, data = run(COOLCHIC_SMALL, modern(iterations), picture, 1e-3)
        # about 6 dB for each doubling of the rate here, to compare at equal quality
        equal = bpp * 2 ** ((theirs - quality) / 6)
        print(
            f"  Kodak {number}: {quality:.2f} dB at {bpp:.3f} bpp in {seconds:.0f} s ({len(data):,} bytes); "
            f"Cool-chic {theirs:.2f} dB at {rate:.3f} bpp in {took} s; about {100 * (equal / rate - 1):+.1f} % rate",
            flush=True,
        )


def middle(iterations: int) -> None:
    """`coolchic-small` against Cool-chic 5.0.1 at 384×256, with two thirds of the iterations."""
    picture = images.reduce(images.kodak(3), factor=2)
    seconds, quality, bpp, _ = run(COOLCHIC_SMALL, modern(iterations * 2 // 3), picture, 1e-3)
    print(
        f"Kodak 3 at 384×256, λ = 10⁻³, {iterations * 2 // 3} iterations: {quality:.2f} dB at {bpp:.3f} bpp in {seconds:.0f} s; "
        f"Cool-chic 34.44 dB at 0.403 bpp in 201 s; about {100 * (bpp / 0.403 * 2 ** ((34.44 - quality) / 6) - 1):+.1f} % rate",
        flush=True,
    )


def ladder(iterations: int) -> None:
    """v1 and v2 by their published recipes and by ours, with as many steps."""
    steps = iterations // 4
    picture = images.reduce(images.kodak(3), factor=2)
    print(f"Kodak 3 at 384×256, λ = 10⁻³, about {steps} iterations each")
    published: list[tuple[str, Codec, GridRecipe]] = [
        ("v1 published", COOLCHIC_V1, published_v1(steps)),
        ("v1 modern", COOLCHIC_V1, modern(steps)),
        ("v2 published", COOLCHIC_V2, published_v2(steps)),
        ("v2 modern", COOLCHIC_V2, modern(steps)),
    ]
    for label, codec, recipe in published:
        seconds, quality, bpp, _ = run(codec, recipe, picture, 1e-3)
        print(f"  {label}: {recipe.iterations} iterations, {quality:.2f} dB at {bpp:.3f} bpp in {seconds:.0f} s", flush=True)


def large(iterations: int) -> None:
    """Seconds an iteration and memory of v2 at 768×512, and the file after a short fit."""
    picture = images.kodak(3)
    count = max(iterations // 10, 4)
    seconds, quality, bpp, _ = run(COOLCHIC_V2, modern(count), picture, 1e-3)
    print(
        f"v2 on Kodak 3 at 768×512: {count} iterations in {seconds:.0f} s ({seconds / count:.2f} s each, coding included), "
        f"{quality:.2f} dB at {bpp:.3f} bpp, peak {peak():.2f} GB"
    )


def decode(iterations: int) -> None:
    """Seconds to decode 768×512 and what it holds; a file's time depends on its size, not on its fit."""
    for codec in (COOLCHIC_V1, COOLCHIC_V2, COOLCHIC_SMALL):
        _, _, bpp, data = run(codec, modern(10), images.kodak(3), 1e-3)
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            codec.decode(data)
            seconds.append(time.perf_counter() - started)
        print(f"{codec.name}: decoding 768×512 at {bpp:.2f} bpp, median of 3: {sorted(seconds)[1]:.2f} s", flush=True)


def memory(iterations: int) -> None:
    """Two iterations of v2 at 4096×3072, then decoding: seconds and peak memory of the process."""
    tile = images.kodak(3)
    picture = tile.repeat(1, 6, 6)[:, :3072, :4096].contiguous()
    seconds, _, bpp, data = run(COOLCHIC_V2, modern(2), picture, 1e-3)
    print(f"v2 at 4096×3072: two iterations, coding and decoding {seconds:.0f} s, {bpp:.2f} bpp, peak {peak():.2f} GB")


def peak() -> float:
    """The process's largest resident memory, in GB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used * (1 if sys.platform == "darwin" else 1024) / 1e9


def rates(iterations: int) -> None:
    """Rates asked for in 200 steps, two seeds: the miss, dB at the very rate, and dB beside fits that keep their λ.

    A doubled rate is worth 5.5 dB; between the seven fits that keep their λ, PSNR goes straight over the logarithm of the rate.
    """
    pictures = {f"Kodak {number}": images.reduce(images.kodak(number), size=(128, 192)) for number in (3, 15, 23)}
    pictures["Chelsea"] = images.reduce(images.sample("chelsea"), factor=2)
    for name, picture in pictures.items():

        def point(seed: int = 0, *, picture: Tensor = picture, **aim: float) -> tuple[float, float]:
            plan = COOLCHIC_SMALL.plan(picture, iterations=200, **aim)
            data = COOLCHIC_SMALL.execute(plan, picture, seed=seed, progress=False).data
            return math.log2(bits_per_pixel(data, picture)), psnr(COOLCHIC_SMALL.decode(data).cpu(), picture)

        kept = sorted(point(lmbda=lmbda) for lmbda in (6e-3, 3e-3, 1.5e-3, 7e-4, 3.5e-4, 1.7e-4, 8e-5))
        for bpp in (0.6, 1.2, 3.0):
            for seed in (0, 1):
                rate, quality = point(seed, bpp=bpp)
                beside = f"{quality - np.interp(rate, *zip(*kept, strict=True)):+.2f} dB" if rate < kept[-1][0] else "beyond"
                there = quality - 5.5 * (rate - math.log2(bpp))
                print(f"{name}: {bpp} bpp {2**rate / bpp - 1:+.1%}, {quality:.2f} dB, {there:.2f} there; {beside}", flush=True)


def kernels(iterations: int) -> None:
    """The operations written out for speed against their plain forms, forward and backward, as in a step at 192×128."""
    torch.set_num_threads(1)
    half = torch.randn(4, requires_grad=True)
    grids = [torch.randn(size, requires_grad=True) for size in grid_sizes(SMALL, 128, 192)]
    values = [torch.randn(sum(grid.numel() for grid in grids), requires_grad=True) for _ in range(3)]
    planes = torch.randn(3, 130, 194, requires_grad=True), torch.randn(6, 68, 96, requires_grad=True)
    heights = [len(grid) for grid in grids]
    pairs: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
        "shifted": (lambda: operations.shifted(planes[0], 3), lambda: operations.shifted_plain(planes[0], 3)),
        "doubled": (lambda: operations.doubled(planes[1], half, 1), lambda: operations.doubled_plain(planes[1], half, 1)),
        "contexts": (
            lambda: operations.contexts(SMALL.neighbours, heights, grids),
            lambda: torch.cat([operations.contexts_plain(grid, SMALL.neighbours).flatten(1) for grid in grids], 1),
        ),
        "laplace_bits": (lambda: operations.laplace_bits(*values), lambda: operations.laplace_bits_plain(*values)),
    }
    for name, both in pairs.items():
        least = [math.inf, math.inf]
        for _ in range(200):
            for which, function in enumerate(both):
                started = time.perf_counter()
                result = function()
                result.backward(torch.ones_like(result))
                least[which] = min(least[which], time.perf_counter() - started)
        print(f"{name:<14}{1e3 * least[0]:7.2f} ms, {least[0] / least[1]:.2f} of the plain form's time")


PARTS: dict[str, Callable[[int], None]] = {
    "small": small,
    "middle": middle,
    "ladder": ladder,
    "large": large,
    "decode": decode,
    "memory": memory,
    "rates": rates,
    "kernels": kernels,
}

if __name__ == "__main__":
    main()
