"""Overfit the latents of an amortised picture: the networks stay, its whole numbers go where this one picture is cheaper.

The encoder sees a picture once; what it misses is the amortization gap (Cremer et al., 2018), and gradients of J = D + λR
through decoder and context networks show where it is (Campos et al., 2019; Yang et al., 2020). Here nothing is relaxed: J is
expanded around the integers as they are, and of those for which a step up or down promises a gain, some take it, others the
next time. Gains in dB at equal rate, 40 steps, 384×256, λ = 10⁻³, pictures that no result is shown of (coffee, Kodak 23):

| what was tried | coffee | Kodak 23 |
|---|--:|--:|
| curvature as of the windows, any 0.3 of the moves, back to the best state after a bad step | 0.30 | |
| curvature × 0.77, and never back | 0.48 | 0.24 |
| and a step Δ that is coarser by 6/32 of an octave at the same λ | 0.54 | 0.45 |
| and the 8 best moves of each block, half of them by lot | 0.58 | 0.48 |
| **and the 4 best, at first all of them, at last a fifth; 60 steps** | **0.61** | **0.56** |
| Δ coarser by 3/32, 30 steps, four fifths (by 6/32: 0.60, 0.53) | 0.58 | 0.51 |
| curvatures as measured one by one, 0.33 for zeros and 0.66 for others, 4 best: neighbours overshoot | 0.41 | |
| straight-through or Gumbel rounding, Adam or preconditioned descent, 60 to 100 steps | −1 to −12 | |
| free of cost: the synthesis's biases; its last layer; its last but one (9,248 weights) | 0.08, 0.13, 0.22 | |
| free of cost: all of the synthesis, 2.3 of it by the windows (73,728 weights) | 3.3 | |
| free of cost: the biases of the laws (123 numbers); all context networks (50,088) | 0.05, 0.65 | 0.08, 0.84 |

"Free of cost": differences of weights would have to be in the file. What they gain is worth about a fifth of a bit for each
weight, where a file has 6 kB: none are stored.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tutorial_lib.amortised.contexts import magnitudes
from tutorial_lib.amortised.picture import AmortisedPicture, energies
from tutorial_lib.amortised.transforms import BLOCK, step_of
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.shape import MAX_LOG2_SCALE, MIN_LOG2_SCALE
from tutorial_lib.runtime import keep_freed_memory
from tutorial_lib.training.loop import Moment, Progress, Report, psnr_of

MOST = 4
"""Numbers of a block that may move at once; more would overshoot together."""

SHARES = 1.0, 0.2
"""Of these, how many do, at first and at last: neighbours' windows overlap."""

CURVATURE = 0.77
"""Of what the windows alone say that a step adds to the squared error: the synthesis mends some of it."""


@dataclass(frozen=True)
class Refining:
    """How long to refine.

    Args:
        iterations: steps; 0 for none, unless ``seconds`` say otherwise.
        seconds: of wall time, instead.
    """

    iterations: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Costs:
    """J of whole numbers, in bits, and how it goes on from there.

    Attributes:
        error, bits: squared error in squared grey levels, and rate.
        slope: of the squared error, in bits, for each number.
        price: what other numbers would cost in their places, in bits up to a constant, each by itself.
    """

    error: float
    bits: float
    slope: Tensor
    price: Callable[[Tensor], Tensor]


def best_moves(levels: Tensor, slope: Tensor, curvature: Tensor, price: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """−1, 0 or 1 for each whole number, whichever adds least to J, and what it adds."""
    here = price(levels)
    up = slope + curvature + price(levels + 1) - here
    down = -slope + curvature + price(levels - 1) - here
    return torch.where(up < down, 1.0, -1.0) * (torch.minimum(up, down) < 0), torch.minimum(up, down).clamp(max=0)


class Refinement:
    """A picture's cost for whole numbers in the place of its latents.

    Args:
        lmbda: λ in D + λR, D the MSE of colours in [0, 1].
    """

    def __init__(self, representation: AmortisedPicture, picture: Tensor, lmbda: float) -> None:
        self.representation, self.picture, self.pixels = representation, picture, picture[0].numel()
        self.worth = 1 / (3 * 255**2 * lmbda)  # of squared error, in bits
        self.step = torch.tensor([step_of(representation.config.step)], device=picture.device)
        self.curvature = CURVATURE * self.worth * self.step**2 * energies(representation.networks)

    def _error(self, levels: Tensor) -> tuple[float, Tensor]:
        """Squared error in squared grey levels, and its gradient; band by band."""
        representation, total, gradient = self.representation, 0.0, torch.zeros_like(levels)
        synthesis = representation.networks.synthesis
        for top, bottom, first, last in representation.bands(synthesis.HALO):
            part = levels[:, first:last].clone().requires_grad_()
            band = synthesis(part[None], self.step)[0]
            pixels = band[:, (top - first) * BLOCK : (bottom - first) * BLOCK, : representation.width]
            wanted = self.picture[:, top * BLOCK : bottom * BLOCK]
            error = (pixels[:, : wanted.shape[1]].clamp(0, 1) - wanted).mul(255).square().sum()
            gradient[:, first:last] += torch.autograd.grad(error, part)[0]
            total += float(error.detach())
        return total, gradient

    def costs(self, levels: Tensor) -> Costs:
        """Of whole numbers of the latents' shape."""
        error, gradient = self._error(levels)
        seen, sizes = levels.clone().requires_grad_(), magnitudes(levels).requires_grad_()
        location, log2_scale = self.representation.laws(seen, sizes)
        # what the tables hold ends there; the estimate's own gradient goes on beyond
        log2_scale = log2_scale.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE)
        bits = laplace_bits(levels, location, log2_scale).sum()
        to_values, to_sizes = torch.autograd.grad(bits, (seen, sizes))
        law = location.detach(), log2_scale.detach()

        def price(others: Tensor) -> Tensor:
            return laplace_bits(others, *law) + to_values * others + to_sizes * magnitudes(others)

        return Costs(error, float(bits.detach()), self.worth * gradient, price)

    def moves(self, levels: Tensor, costs: Costs) -> Tensor:
        """−1, 0 or 1 for each number, `MOST` in each block at the most: those that promise most."""
        move, change = best_moves(levels, costs.slope, self.curvature, costs.price)
        return move * (change <= change.kthvalue(MOST, dim=0, keepdim=True).values)


def refine(
    representation: AmortisedPicture,
    picture: Tensor,
    how: Refining,
    report: Report,
    *,
    seed: int,
    progress: bool,
    callback: Callable[[Progress], None] | None,
) -> Report:
    """Move the latents, in place, to the best state found; Ctrl-C ends it early.

    Args:
        report: of the encoding so far, with λ.
    """
    keep_freed_memory()
    assert report.lmbda is not None
    work, started, interrupted = Refinement(representation, picture, report.lmbda), time.perf_counter(), False
    generator = torch.Generator(picture.device).manual_seed(seed)
    levels, history = representation.symbols(), list[Moment]()
    best = math.inf, levels, report
    most = how.iterations
    with tqdm(total=most or None, disable=not progress, unit="it", leave=False) as bar:
        try:
            for index in itertools.count():
                found = work.costs(levels)
                psnr, bpp = psnr_of(found.error / (3 * 255**2 * work.pixels)), found.bits / work.pixels
                history.append(Moment(index, "refine", psnr, bpp))
                seconds = time.perf_counter() - started
                if callback:
                    callback(Progress(index, most, "refine", psnr, seconds, representation, bpp, report.lmbda))
                if (cost := work.worth * found.error + found.bits) < best[0]:
                    best = cost, levels, replace(report, best_psnr=psnr, bpp=bpp)
                bar.update()
                done = index / most if how.seconds is None else seconds / how.seconds
                if done >= 1:
                    break
                chance = torch.rand(levels.shape, generator=generator, device=levels.device)
                levels = levels + work.moves(levels, found) * (chance < SHARES[0] * (SHARES[1] / SHARES[0]) ** done)
        except KeyboardInterrupt:
            interrupted = True
    representation.latents.data.copy_(best[1])
    return replace(best[2], history=tuple(history), interrupted=interrupted)
