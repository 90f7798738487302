"""Overfit the latents of an amortised picture: the networks stay, its whole numbers go where this one picture is cheaper.

The encoder sees a picture once; what it misses is the amortization gap (Cremer et al., 2018), and gradients of J = D + λR
through decoder and context networks show where it is (Campos et al., 2019; Yang et al., 2020). Here nothing is relaxed: J is
expanded around the integers as they are, and of those for which a step up or down promises a gain, some take it, others the
next time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from tutorial_lib.amortised.contexts import magnitudes
from tutorial_lib.amortised.picture import LAMBDA_PER_STEP, AmortisedPicture, energies
from tutorial_lib.amortised.transforms import BLOCK, step_of
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.shape import MAX_LOG2_SCALE, MIN_LOG2_SCALE
from tutorial_lib.runtime import keep_freed_memory
from tutorial_lib.training.loop import Moment, Progress, Report, psnr_of

SHARE = 0.3
"""Of the integers that would gain by moving, how many do at once, at the most: their windows overlap, and all would overshoot."""


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
class _Slopes:
    """J of the latents as they are, in bits, and what a step does to it.

    Attributes:
        error, bits: squared error in squared grey levels, and rate.
        up, down: what one more or one less of each latent adds to J.
    """

    error: float
    bits: float
    up: Tensor
    down: Tensor


class _Refinement:
    def __init__(self, representation: AmortisedPicture, picture: Tensor) -> None:
        self.representation, self.picture = representation, picture
        self.worth = 1 / (LAMBDA_PER_STEP * step_of(representation.config.step) ** 2)  # of squared error, in bits

    def _error(self, levels: Tensor) -> tuple[float, Tensor]:
        """Squared error in squared grey levels, and its gradient; band by band."""
        representation, total, gradient = self.representation, 0.0, torch.zeros_like(levels)
        synthesis = representation.networks.synthesis
        step = torch.tensor([step_of(representation.config.step)], device=levels.device)
        for top, bottom, first, last in representation.bands(synthesis.HALO):
            part = levels[:, first:last].clone().requires_grad_()
            pixels = synthesis(part[None], step)[0, :, (top - first) * BLOCK : (bottom - first) * BLOCK, : representation.width]
            wanted = self.picture[:, top * BLOCK : bottom * BLOCK]
            error = (pixels[:, : wanted.shape[1]].clamp(0, 1) - wanted).mul(255).square().sum()
            gradient[:, first:last] += torch.autograd.grad(error, part)[0]
            total += float(error.detach())
        return total, gradient

    def slopes(self, levels: Tensor) -> _Slopes:
        representation = self.representation
        error, steepness = self._error(levels)
        seen, sizes = levels.clone().requires_grad_(), magnitudes(levels).requires_grad_()
        told = torch.tensor([representation.told], device=levels.device)
        location, log2_scale = representation.networks.contexts.laws(seen[None], told, sizes[None])[:, 0]
        # what the tables hold ends there; the estimate's own gradient goes on beyond
        law = location, log2_scale.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE)
        bits = laplace_bits(levels, *law)
        to_values, to_sizes = torch.autograd.grad(bits.sum(), (seen, sizes))
        with torch.no_grad():
            curvature = energies(representation.networks) / LAMBDA_PER_STEP

            def change(by: int) -> Tensor:
                own = laplace_bits(levels + by, *law) - bits
                others = by * to_values + to_sizes * (magnitudes(levels + by) - sizes)
                return by * steepness * self.worth + curvature + own + others

            return _Slopes(error, float(bits.detach().sum()), change(1), change(-1))


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
        report: of the encoding so far.
    """
    keep_freed_memory()
    work, pixels, started = _Refinement(representation, picture), picture[0].numel(), time.perf_counter()
    generator = torch.Generator(picture.device).manual_seed(seed)
    levels, history, interrupted = representation.symbols(), [], False
    best, share = (math.inf, levels, report), SHARE
    kept: _Slopes | None = None
    most = how.iterations if how.seconds is None else 10_000
    with tqdm(total=most if how.seconds is None else None, disable=not progress, unit="it", leave=False) as bar:
        try:
            for index in range(most + 1):
                found = work.slopes(levels)
                cost = work.worth * found.error + found.bits
                history.append(_moment(work, found, index, most, report.lmbda, callback, started))
                if cost < best[0]:
                    best = (cost, levels, replace(report, best_psnr=history[-1].psnr, bpp=found.bits / pixels))
                    kept, share = found, min(1.2 * share, SHARE)
                elif kept is not None:  # too many at once: fewer, from where it was best
                    found, levels, share = kept, best[1], share / 3
                bar.update()
                if index == most or (how.seconds is not None and time.perf_counter() - started > how.seconds):
                    break
                move = torch.where(found.up < found.down, 1.0, -1.0) * (torch.minimum(found.up, found.down) < 0)
                move *= torch.rand(levels.shape, generator=generator, device=levels.device) < share
                if not move.any() and share == SHARE:
                    break
                levels = levels + move
        except KeyboardInterrupt:
            interrupted = True
    representation.latents.data.copy_(best[1])
    return replace(best[2], history=tuple(history), interrupted=interrupted)


def _moment(work: _Refinement, found: _Slopes, index: int, most: int, lmbda: Any, callback: Any, started: float) -> Moment:
    pixels = work.picture[0].numel()
    moment = Moment(index, "refine", psnr_of(found.error / (3 * 255**2 * pixels)), found.bits / pixels)
    if callback:
        seconds = time.perf_counter() - started
        callback(Progress(index, most, "refine", moment.psnr, seconds, work.representation, moment.bpp, lmbda))
    return moment
