"""Checks of notebook 04's soft rounding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random, slope
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.training.stand_ins import soft_round


def _values_and_temperature(random: Random) -> tuple[Any, ...]:
    return random.tensor(*random.size(), low=-3, high=3), random.choice([0.15, 0.25, 0.35, 0.6])


def _far_values(random: Random) -> tuple[Any, ...]:
    """Large numbers, and narrow steps; none so near to the edge of a step that floor is a matter of its last digit."""
    whole = random.tensor(40, low=-300, high=300).round()
    return whole + random.tensor(40, low=0.02, high=0.98), random.choice([0.05, 0.08])


def _rounded_like(base=torch.floor, shift: float = 0.5, scale=lambda t: 2 * math.tanh(0.5 / t), inside=lambda r, t: r / t):
    """Soft roundings that differ from the right one in one thing."""

    def wrong(values: Tensor, temperature: float) -> Tensor:
        whole = base(values)
        return whole + shift + torch.tanh(inside(values - whole - shift, temperature)) / scale(temperature)

    return wrong


_NO_SLOPE = Mistake(
    "no gradient comes back: the latents are moved through this function. No `detach()` but around `floor`, no "
    "`torch.no_grad()`.",
    error="no gradient comes back",
)

SOFT_ROUND = Exercise(
    id="04.2",
    title="Soft rounding",
    minutes=5,
    core=False,
    reference=soft_round,
    checks=(
        Check(
            "right for random values and temperatures",
            inputs=_values_and_temperature,
            draw=lambda yours, target, values, t: (
                "curve",
                *[each.flatten()[values.flatten().argsort()] for each in (target, yours)],
            ),
            mistakes=(
                Mistake(
                    "that is plain rounding: its slope is 0 everywhere, and nothing can be learned through it.",
                    like=lambda values, t: values.round(),
                ),
                Mistake(
                    "it doesn't reach the integers: divide by 2·tanh(1/(2T)), and whole numbers stay where they are.",
                    like=(
                        _rounded_like(scale=lambda t: 2.0),
                        _rounded_like(scale=lambda t: 1.0),
                    ),
                ),
                Mistake(
                    "⌊y⌋ is missing: all numbers land between 0 and 1.",
                    like=lambda values, t: _rounded_like()(values, t) - values.floor(),
                ),
                Mistake(
                    "a sigmoid stands for the tanh, and it doesn't reach the integers: ½·tanh(r/T)/tanh(1/(2T)).",
                    like=lambda values, t: values.floor() + torch.sigmoid((values - values.floor() - 0.5) / t),
                ),
                Mistake("the 2 is missing in 2·tanh(1/(2T)).", like=_rounded_like(scale=lambda t: math.tanh(0.5 / t))),
                Mistake(
                    "inside the last tanh stands 1/T: it is 1/(2T), so that r = ½ gives the next integer.",
                    like=_rounded_like(scale=lambda t: 2 * math.tanh(1 / t)),
                ),
                Mistake(
                    "T is multiplied with: divide by it, so that a small T makes a steep step.",
                    like=(
                        _rounded_like(inside=lambda r, t: r * t, scale=lambda t: 2 * math.tanh(0.5 * t)),
                        _rounded_like(inside=lambda r, t: r * t),
                    ),
                ),
                Mistake(
                    "the steps are at the integers: take ½ off r, so that they lie half way between.",
                    like=lambda values, t: (
                        values.floor() + 0.5 + torch.tanh((values - values.floor()) / t) / (2 * math.tanh(0.5 / t))
                    ),
                ),
                Mistake(
                    "the ½ is missing: the middle of a step is at ⌊y⌋ + ½.",
                    like=lambda values, t: _rounded_like()(values, t) - 0.5,
                ),
                Mistake(
                    "the steps are at the integers: start from ⌊y⌋, not from the nearest integer.",
                    like=_rounded_like(base=torch.round, shift=0.0),
                ),
                Mistake(
                    "negative numbers come out wrong: `floor` goes down, cutting off the fraction (`trunc`, `int`) towards 0.",
                    like=_rounded_like(base=torch.trunc),
                ),
            ),
        ),
        Check(
            "its slope is right, so something can be learned through it",
            inputs=_values_and_temperature,
            call=slope,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the slope is 1 everywhere: that is straight-through. Let the gradient go through the tanh.",
                    when=lambda yours, target, *_: bool((yours == 1).all()),
                ),
                _NO_SLOPE,
            ),
        ),
        Check(
            "for large numbers and narrow steps, too",
            inputs=_far_values,
            call=slope,
            tolerance=0.02,
            mistakes=(
                Mistake(
                    "for a small T the gradient is NaN: e^(r/T) is more than float32 holds. `torch.tanh` never overflows.",
                    when=lambda yours, target, *_: not bool(yours.isfinite().all()),
                ),
            ),
        ),
    ),
    hints=(
        "`values.floor()` is ⌊y⌋. What is left, minus ½, is between −½ and ½.",
        "`torch.tanh(rest / temperature)` is the step; `math.tanh(0.5 / temperature)` is what it reaches at the ends.",
        "`values.floor() + 0.5 + torch.tanh(…) / (2 * math.tanh(…))`.",
    ),
)
