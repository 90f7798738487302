"""What the neighbours are worth: latent grids fitted anew with a context model and without one, at equal PSNR.

    python tests/benchmarks/neighbours.py [--steps N] [--seeds 0,1,2]

The coffee of notebook 04 at 150×100, `coolchic-small`. "Without", every grid has one Laplace law for all its integers, whose
μ and log₂ b are fitted like everything else (14 numbers, counted as 2 bytes each). All fits have as many steps and one recipe.
Those without neighbours have two λ, between which the rate at the PSNR of the fit with neighbours is interpolated. R is the
estimate for the rounded latents. The context model's bytes are its share, by weights, of the networks in such a file.
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
from dataclasses import replace
from datetime import date

import torch
from torch import Tensor, nn

from tutorial_lib import codecs, images
from tutorial_lib.codecs.recipes import modern
from tutorial_lib.coding import bitstream
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.layers import Affine
from tutorial_lib.latents.shape import SMALL, weight_counts
from tutorial_lib.training import grids

LMBDA = 2e-3
WITHOUT = (2e-3, 1.2e-3)
"""λ of the fits without neighbours, which must lie on both sides of the PSNR of the fit with them."""


class OneLaw(nn.Module):
    """In the place of a context model: μ and log₂ b of each grid, whatever the neighbours are."""

    def __init__(self, sizes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.counts = [rows * columns for rows, columns in sizes]
        self.law = Affine(len(sizes), 2)

    def forward(self, contexts: Tensor) -> Tensor:
        level = torch.eye(len(self.counts)).repeat_interleave(torch.tensor(self.counts), dim=1)
        return self.law(level)


def fitted(picture: Tensor, steps: int, lmbda: float, seed: int, neighbours: bool) -> tuple[float, float]:
    """(PSNR, bits per pixel of the latents) of a fit, its latents rounded."""
    torch.manual_seed(seed)
    model = LatentGrids(SMALL, *picture.shape[1:])
    if not neighbours:
        model.context = OneLaw(model.sizes)
    report = grids.fit(model, picture, replace(modern(steps), start="pyramid"), lmbda=lmbda, seed=seed, progress=False)
    return report.best_psnr, report.bpp or math.nan


def at_equal_psnr(points: list[tuple[float, float]], psnr: float) -> float:
    """The rate at a PSNR on the line through two points, log R against PSNR."""
    (low, few), (high, many) = sorted(points)
    share = (psnr - low) / (high - low)
    return math.exp(math.log(few) + share * (math.log(many) - math.log(few)))


def context_bytes(picture: Tensor, steps: int) -> tuple[int, float]:
    """Bytes of the networks in a file of such a fit, and the context model's share by its weights."""
    codec = codecs.get("coolchic-small")
    plan = replace(codec.plan(picture, lmbda=LMBDA), recipe=replace(modern(steps), start="pyramid"))
    data = codec.execute(plan, picture, progress=False).data
    networks, counts = len(bitstream.read(data).sections["networks"]), weight_counts(SMALL)
    return networks, networks * counts["context"] / sum(counts.values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--seeds", default="0,1,2")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, one thread, {chosen.steps} steps", flush=True)
    picture = images.reduce(images.sample("coffee"), factor=4)
    pixels = picture[0].numel()
    networks, context = context_bytes(picture, chosen.steps)
    print(f"networks {networks} bytes, {context:.0f} of them the context model's", flush=True)
    latents, everything = [], []
    for seed in map(int, chosen.seeds.split(",")):
        psnr, rate = fitted(picture, chosen.steps, LMBDA, seed, neighbours=True)
        points = [fitted(picture, chosen.steps, lmbda, seed, neighbours=False) for lmbda in WITHOUT]
        alone = at_equal_psnr(points, psnr)
        latents.append(rate / alone - 1)
        everything.append((rate + 8 * context / pixels) / (alone + 8 * 2 * 14 / pixels) - 1)
        said = ", ".join(f"{quality:.2f} dB at {some:.3f}" for quality, some in points)
        print(f"seed {seed}: with {psnr:.2f} dB at {rate:.3f} bpp; without {said}; {alone:.3f} at equal PSNR: "
              f"{latents[-1]:+.1%}, with the networks' bytes {everything[-1]:+.1%}", flush=True)  # fmt: skip
    print(f"mean {statistics.fmean(latents):+.1%}, with the networks' bytes {statistics.fmean(everything):+.1%}")


if __name__ == "__main__":
    main()
