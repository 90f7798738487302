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

CORRECTIONS = 5
"""How often a steered fit may correct λ after its main phases, a fifth of the first one each time."""

FAR = 1.2
"""From how many times the rate asked for coarser steps are better than a larger λ alone, if below it by so much, finer ones.

Steps of another size undo what rounding has taught the latents: at 33 dB a scale of 0.95 costs a whole decibel. Done for every
small miss, again and again, it left Kodak 15 at 384×256 and 0.6 bpp with 14.4 dB; a fit at a λ that leads there has 33.3. But
where 200 steps left 1.5 and 1.7 times the rate (Kodak 23 at 192×128), once is better than never, by 5 and 8 % in J."""

BEYOND_WORTH = 3.0
"""A correction raises λ to so many times what the fit's error is worth, at most."""

ROUNDING_COUNTS = 1.2
"""From how many times the distortion of latents that are not rounded steps may be made finer than the fit's own."""


def correction(first: GridPhase, far: bool = False) -> GridPhase:
    """The short phase after a change of λ, softer than a main phase's end; ``far`` from the rate, fast, and for the networks too.

    With λ as it was, half the main rate of latents shakes up what has settled, J +3 to +8 %; 0.15 of it: −0.5 to +2 %.
    """
    soft, sharp = first.temperature
    wide, narrow = first.deviation
    return replace(
        first,
        name="steering",
        mse_first=0.0,
        iterations=max(first.iterations // 10, 30) * (3 if far else 2),
        network_rate=first.network_rate / (3 if far else 10),
        latent_rate=first.latent_rate * (0.5 if far else 0.15),
        temperature=((soft + sharp) / 2, sharp),
        deviation=((wide + narrow) / 2, narrow),
        network_schedule=Cosine(floor=0.05),
        latent_schedule=Cosine(floor=0.05),
    )


def meet_target(run: GridFit) -> None:
    """In a steered fit, before the latents freeze: another λ and a short phase, until the rate is right after it.

    Where a fit was far too short for its rate, Adam would take hundreds of steps to make large latents smaller; `rescale` does
    it at once, once. Only now are the networks' bytes known well.
    """
    if run.target is None or run.frozen:
        return
    rescaled = False
    for _ in range(CORRECTIONS):
        run.price_networks()
        rate, aim = max(run.measure(run.integers())[1], 1e-9), run.target.latents(run.pixels)
        if abs(rate - aim) < 0.04 * run.target.bpp:
            return
        now = not rescaled and (rate > FAR * aim or (rate * FAR < aim and rounding_counts(run)))
        if now:
            rescale(run, aim, 1.0 if rate > aim else 4.0)
            rescaled = True
        change = min(max((rate / aim) ** 1.5, 0.25), 4.0)
        if change > 1:
            most = BEYOND_WORTH * run.worth * run.measure(run.integers())[2] / EXPECTED_ERROR
            change = max(min(change, most / run.lmbda), 1.0)
        run.lmbda = min(max(run.lmbda * change, 1e-7), 10.0)
        steering, run.steering = run.steering, False
        run.run(correction(run.recipe.phases[0], far=abs(rate - aim) > 0.1 * aim))
        run.steering = steering


def rounding_counts(run: GridFit) -> bool:
    """Whether finer steps would take a good part of the distortion away."""
    with torch.no_grad():
        return run.measure(run.integers())[0] > ROUNDING_COUNTS * run.measure(run.values())[0]


def rescale(run: GridFit, aim: float, most: float) -> None:
    """Scale the latents by a factor from ¼ to ``most`` with which they take about ``aim`` bits per pixel."""
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
