"""A rate that was asked for, met at the end of a fit of latent grids."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tutorial_lib.latents.grids import scale_latents
from tutorial_lib.training.phases import GridPhase
from tutorial_lib.training.schedules import Cosine
from tutorial_lib.training.tradeoff import EXPECTED_ERROR

if TYPE_CHECKING:
    from tutorial_lib.training.grids import GridFit

CORRECTIONS = 8
"""How often a steered fit may correct λ after its main phases, a tenth of the first one each time."""

ROUNDING_COUNTS = 1.2
"""From how many times the distortion of latents that are not rounded steps may be made finer than the fit's own."""


def correction(first: GridPhase) -> GridPhase:
    """The short phase after a change of λ."""
    return replace(
        first,
        name="steering",
        mse_first=0.0,
        iterations=max(first.iterations // 10, 30),
        network_rate=first.network_rate / 3,
        network_schedule=Cosine(floor=0.05),
        latent_schedule=Cosine(floor=0.05),
    )


def meet_target(run: GridFit) -> None:
    """In a steered fit, before the latents freeze: steps that give the rate, and a short phase, until it is right after it.

    Adam would take hundreds of steps to make large latents smaller; `scale_latents` does it at once, and λ follows. The
    phases start from soft rounding at its softest: sharp rounding has no gradient that could move a latent to the next
    integer. Only now are the networks' bytes known well.
    """
    if run.target is None or run.frozen:
        return
    short = correction(run.recipe.phases[0])
    asked, drift = 0.0, 1.0  # a phase moves the rate that it begins with
    finer = 1.0  # than the fit's own steps: only where the error is rounding's
    for _ in range(CORRECTIONS):
        run.price_networks()
        rate, aim = run.measure(run.integers())[1], run.target.latents(run.pixels)
        if abs(rate - aim) < 0.035 * run.target.bpp:
            return
        if asked:
            drift = min(max(rate / asked, 0.5), 2.0)
        asked = aim / drift
        finer *= rescale(run, asked, 4.0 if rounding_counts(run) else 1 / finer)
        change = min(max((max(rate, 1e-9) / aim) ** 1.5, 0.25), 4.0)
        # where a short fit was slow to come down, λ was steered beyond what its error is worth
        most = run.worth * run.measure(run.integers())[2] / EXPECTED_ERROR
        run.lmbda = min(max(min(run.lmbda * change, most), 1e-7), 10.0)
        steering, run.steering = run.steering, False
        run.run(short)
        run.steering = steering
    rescale(run, run.target.latents(run.pixels), 4.0 if rounding_counts(run) else 1 / finer)
    run.evaluate()


def rounding_counts(run: GridFit) -> bool:
    """Whether finer steps would take a good part of the distortion away."""
    with torch.no_grad():
        return run.measure(run.integers())[0] > ROUNDING_COUNTS * run.measure(run.values())[0]


def rescale(run: GridFit, aim: float, most: float) -> float:
    """Scale the latents by a factor from ¼ to ``most`` with which they take ``aim`` bits per pixel, about; the factor."""
    low, high, scale = -2.0, math.log2(most), 1.0
    exponent = high  # the finest steps first: they may leave nothing to look for
    for _ in range(9):
        scale_latents(run.representation, 2.0**exponent / scale)
        scale = 2.0**exponent
        if run.measure(run.integers())[1] > aim:
            high = exponent
        else:
            low = exponent
        exponent = (low + high) / 2
    return scale
