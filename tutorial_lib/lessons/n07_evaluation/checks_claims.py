"""Checks of what is made of curves: two averages, and the crop that flatters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n07_evaluation.answers import best_window, flattering_crop, squared_error, two_averages

# ---------------------------------------------------------------------------------------------- 07.3


def _errors(random: Random) -> tuple[Any, ...]:
    """Mean squared errors of pictures between 22 and 40 dB."""
    return (np.array([10 ** -random.uniform(2.2, 4.0) for _ in range(random.randint(4, 8))]),)


def _averages(decibels: Callable[[Any], Any]) -> Callable[[np.ndarray], tuple[float, float]]:
    """Both averages with other decibels."""
    return lambda errors: (float(np.mean(decibels(errors))), float(decibels(np.mean(errors))))


TWO_AVERAGES = Exercise(
    id="07.3",
    title="Two averages",
    minutes=4,
    core=False,
    reference=two_averages,
    checks=(
        Check(
            "both averages of random errors",
            inputs=_errors,
            mistakes=(
                Mistake(
                    "the two are swapped: first the mean of the PSNRs, then the PSNR of the mean.",
                    like=lambda errors: two_averages(errors)[::-1],
                ),
                Mistake(
                    "both are the same number: the first is a mean of decibels, the second takes the decibels of a mean.",
                    when=lambda yours, target, *_: abs(yours[0] - yours[1]) < 1e-6,
                ),
                Mistake(
                    "`np.log` is the natural logarithm: decibels need `np.log10`.", like=_averages(lambda e: -10 * np.log(e))
                ),
                Mistake(
                    "20·log₁₀ is for amplitudes, as the root of the error: for squared errors take 10.",
                    like=_averages(lambda e: -20 * np.log10(e)),
                ),
                Mistake(
                    "the minus is missing: the logarithm of a small error is negative, and a PSNR isn't.",
                    like=_averages(lambda e: 10 * np.log10(e)),
                ),
                Mistake(
                    "that is 48.13 dB too much: 255² belongs to errors of grey levels, and these are of values from 0 to 1.",
                    like=_averages(lambda e: 10 * np.log10(255**2 / e)),
                ),
                Mistake(
                    "`math.log10` takes one number at a time: `np.log10` takes them all.", error="[Oo]nly .*(scalar|length-1|0-d)"
                ),
            ),
        ),
    ),
    hints=(
        "The PSNR of an error e is −10·log₁₀ e. `np.log10` takes all of them at once.",
        "One is the `.mean()` of all PSNRs, the other the PSNR of `errors.mean()`.",
        "`(-10 * np.log10(errors)).mean()` first, then the same with the two steps the other way round.",
    ),
)

# ---------------------------------------------------------------------------------------------- 07.4


def _two_pictures(random: Random) -> tuple[Any, ...]:
    """Two decoded pictures that differ in planted places: one for the right answer, one for each wrong one."""
    side = random.randint(6, 8)
    cell = side + 3
    height, width = 3 * cell + random.randint(0, 3), 4 * cell + random.randint(4, 9)
    original = random.tensor(3, height, width, low=0.3, high=0.7)
    ours, theirs = (original + random.normal(3, height, width, std=0.01) for _ in range(2))
    # off the diagonal, and nothing planted in its mirror image, so that swapped coordinates show; a crop at (0, 0) could
    # be taken for the number of a window on a grid, one at (2, 2) may lie on that grid
    cells = [(row, column) for row in range(3) for column in range(4) if (row, column) not in ((0, 0), (2, 2))]
    target = random.choice([each for each in cells if each[0] != each[1]])
    others = random.sample([each for each in cells if each not in (target, target[::-1])], 8)
    shift = random.randint(1, 2)  # never in the first row or column

    def window(place: tuple[int, int]) -> tuple[slice, slice, slice]:
        top, left = (cell * index + shift for index in place)
        return slice(None), slice(top, top + side), slice(left, left + side)

    steps = torch.arange(side, device=original.device)
    signs = torch.tensor([1.0, -1.0, 1.0], device=original.device)[:, None, None]
    theirs[window(target)] += 0.4 * signs * ((steps[:, None] + steps) % 2)  # every second pixel, far off, its colours apart
    theirs[window(others[0])] += 0.25  # more in absolute values, less in squares
    ours[window(others[1])] += 0.5  # where theirs is better
    ours[window(others[2])] -= 0.5  # the largest difference between the two, both equally wrong
    theirs[window(others[2])] += 0.5
    ours[window(others[3])] += 0.7  # the worst of theirs, but ours is as bad
    theirs[window(others[3])] += 0.7
    theirs[0][window(others[5])[1:]] += 0.45  # more in red, less in all colours
    ours[window(others[6])] = original[window(others[6])]  # the largest ratio: ours is perfect, theirs nearly so
    theirs[window(others[6])] += 0.1
    theirs[window(others[7])] += 0.38 * ((steps[:, None] + steps) % 2)  # less in squares, unless colours cancel before
    _, rows, columns = window(others[4])
    theirs[:, rows.start + side // 2, columns.start + side // 2] += 0.9  # the worst pixel
    return ours, theirs, original, side


def _gain(ours: Tensor, theirs: Tensor, original: Tensor) -> Tensor:
    return squared_error(theirs, original) - squared_error(ours, original)


def _place_of_pixel(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    return best_window(_gain(ours, theirs, original), 1)


def _wrong_width(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    means = F.avg_pool2d(_gain(ours, theirs, original)[None, None], side, stride=1)
    return divmod(int(means.argmax()), original.shape[2])


def _on_a_grid(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    means = F.avg_pool2d(_gain(ours, theirs, original)[None, None], side)[0, 0]
    return divmod(int(means.argmax()), means.shape[1])


def _on_a_grid_scaled(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    row, column = _on_a_grid(ours, theirs, original, side)
    return row * side, column * side


def _in_colours(of: Callable[[Tensor], Tensor]) -> Callable[..., tuple[int, int]]:
    """The best crop by another measure of a pixel's three errors."""
    return lambda ours, theirs, original, side: best_window(of(theirs - original) - of(ours - original), side)


def _largest_ratio(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    first, second = (F.avg_pool2d(squared_error(each, original)[None, None], side, stride=1)[0, 0] for each in (theirs, ours))
    return divmod(int((first / second).argmax()), first.shape[1])


_STRIDE = "crops on a grid of their own size are tried only: give `stride=1`, so that a crop may begin at any pixel."

CROP = Exercise(
    id="07.4",
    title="The crop that flatters",
    minutes=6,
    core=False,
    reference=flattering_crop,
    checks=(
        Check(
            "the best of all crops, planted in noise",
            inputs=_two_pictures,
            tolerance=1e-6,
            mistakes=(
                Mistake(
                    "the sign: this is the crop where theirs looks best. Their error minus yours is what you gain.",
                    like=lambda ours, theirs, original, side: flattering_crop(theirs, ours, original, side),
                ),
                Mistake(
                    "these are (left, top): rows come first.",
                    like=lambda *inputs: flattering_crop(*inputs)[::-1],
                ),
                Mistake(
                    "this is the best pixel: take the mean over each window first.",
                    like=_place_of_pixel,
                ),
                Mistake(
                    "the number of a window is divided by the width of the picture, but a row has fewer windows than pixels: "
                    "divide by the width of what `avg_pool2d` gave.",
                    like=_wrong_width,
                ),
                Mistake(
                    "this is where theirs is worst, but yours is as bad there: subtract your own error.",
                    like=lambda ours, theirs, original, side: best_window(squared_error(theirs, original), side),
                ),
                Mistake(
                    "this is where the two differ most from each other. Which of them is nearer to the original?",
                    like=lambda ours, theirs, original, side: best_window(squared_error(theirs, ours), side),
                ),
                Mistake(
                    "these are absolute errors: square them, as the PSNR does.",
                    like=lambda ours, theirs, original, side: best_window(
                        (theirs - original).abs().mean(0) - (ours - original).abs().mean(0), side
                    ),
                ),
                Mistake(
                    "one colour alone is looked at: take the mean of the squared errors over all three, `.mean(0)`.",
                    like=tuple(_in_colours(lambda error, number=number: error[number].square()) for number in range(3)),
                ),
                Mistake(
                    "the colours are averaged before they are squared, so that errors of different signs cancel: first "
                    "`.square()`, then `.mean(0)`.",
                    like=_in_colours(lambda error: error.mean(0).square()),
                ),
                Mistake(
                    "this is the largest ratio of both errors, and it is large where both are tiny: take the difference.",
                    like=_largest_ratio,
                ),
                Mistake(
                    _STRIDE,
                    like=(
                        _on_a_grid,
                        _on_a_grid_scaled,
                    ),
                ),
                Mistake(
                    "this is the middle of the crop: its top left corner is wanted.",
                    when=lambda yours, target, ours, theirs, original, side: all(
                        abs(mine - right - side / 2) <= 1 for mine, right in zip(yours, target, strict=True)
                    ),
                ),
            ),
        ),
    ),
    hints=(
        "At each pixel, how much larger is the squared error of theirs than yours? Then the mean over every window, then "
        "the place of the largest.",
        "`(theirs - original).square().mean(0)` is their error, (H, W). Subtract yours; `F.avg_pool2d` wants (1, 1, H, W), and a "
        "stride of 1.",
        "`windows.argmax().item()` counts along the rows of the windows: `divmod(index, windows.shape[1])` is (top, left).",
    ),
)
