"""Exercise 08.5: which whole numbers move, so that a file costs less for as much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.training.refining import best_moves

Price = Callable[[Tensor], Tensor]


def better_numbers(numbers: Tensor, slope: Tensor, curvature: Tensor, bits: Price) -> Tensor:
    """Whole numbers after the step that adds least to J."""
    return numbers + best_moves(numbers, slope, curvature, bits)[0]


def _numbers(random: Random) -> tuple[Any, ...]:
    """Whole numbers, slopes, half curvatures, and a price that rises with the distance from what was expected, and oddness."""
    shape = random.size(4, 6)[0], *random.size(6, 9)
    numbers, expected = random.normal(*shape, std=3).round(), random.normal(*shape, std=2)
    slope, curvature = random.normal(*shape, std=4), random.tensor(*shape, low=1, high=5)
    rate, odd = random.tensor(*shape, low=0.3, high=3), random.tensor(*shape, low=0, high=12)

    def bits(levels: Tensor) -> Tensor:
        """Bits of each of the whole numbers `levels`, of their shape."""
        far = (levels - expected.to(levels.device)).abs()
        return (rate.to(levels.device) * far + odd.to(levels.device) * (levels % 2)).to(torch.float32) + 1

    return numbers, slope, curvature, bits


def _by_changes(changes: Callable[..., tuple[Tensor, Tensor]], always: bool = False) -> Callable[..., Tensor]:
    """Numbers after the better of two changes of J, of (slope, curvature, bits dearer above, dearer below)."""

    def answer(numbers: Tensor, slope: Tensor, curvature: Tensor, bits: Price) -> Tensor:
        up, down = changes(slope, curvature, bits(numbers + 1) - bits(numbers), bits(numbers - 1) - bits(numbers))
        return numbers + torch.where(up < down, 1.0, -1.0) * ((torch.minimum(up, down) < 0) | always)

    return answer


def _first_that_gains(numbers: Tensor, slope: Tensor, curvature: Tensor, bits: Price) -> Tensor:
    up = slope + curvature + bits(numbers + 1) - bits(numbers)
    down = -slope + curvature + bits(numbers - 1) - bits(numbers)
    return (up < 0).float() - ((down < 0) & (up >= 0)).float()


NUMBERS = Exercise(
    id="08.5",
    title="Which numbers move?",
    minutes=5,
    core=False,
    reference=better_numbers,
    checks=(
        Check(
            "each number takes the step that adds least to J, or none",
            inputs=_numbers,
            mistakes=(
                Mistake(
                    "every number moves, also where a step up and a step down both add to J: such a one stays.",
                    like=_by_changes(lambda g, c, u, d: (g + c + u, -g + c + d), always=True),
                ),
                Mistake(
                    "the numbers go uphill: one more adds `slope`, one less takes it away.",
                    like=_by_changes(lambda g, c, u, d: (-g + c + u, g + c + d)),
                ),
                Mistake(
                    "going down, the curvature is taken away: a parabola rises on both sides.",
                    like=_by_changes(lambda g, c, u, d: (g + c + u, -g - c + d)),
                ),
                Mistake(
                    "the curvature is left out: by the slope alone, every step looks better than it is.",
                    like=_by_changes(lambda g, c, u, d: (g + u, -g + d)),
                ),
                Mistake(
                    "bits are left out: that is D alone, and the file grows.",
                    like=_by_changes(lambda g, c, u, d: (g + c, -g + c)),
                ),
                Mistake(
                    "the price of the new number counts, less that of the old one: `bits(numbers)` is missing.",
                    like=lambda numbers, g, c, bits: _by_changes(
                        lambda *_: (g + c + bits(numbers + 1), -g + c + bits(numbers - 1))
                    )(numbers, g, c, bits),
                ),
                Mistake(
                    "where both steps gain, the better of the two is taken.",
                    like=lambda numbers, g, c, bits: numbers + _first_that_gains(numbers, g, c, bits),
                ),
                Mistake(
                    "`curvature` is c itself, half of what the second derivative is: take all of it.",
                    like=_by_changes(lambda g, c, u, d: (g + c / 2 + u, -g + c / 2 + d)),
                ),
                Mistake(
                    "these are the steps: add them to the numbers.",
                    like=lambda numbers, *others: better_numbers(numbers, *others) - numbers,
                ),
            ),
        ),
    ),
    hints=(
        "What does one more add to J? `slope + curvature + bits(numbers + 1) - bits(numbers)`.",
        "One less: the slope changes its sign, the curvature doesn't.",
        "`torch.where(up < down, 1, -1)` is the better step; multiply it by `torch.minimum(up, down) < 0`, and add it.",
    ),
)
