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
from tutorial_lib.lessons.n07_evaluation.answers import best_window, flattering_crop, squared_error, two_averages, windows

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


Scene = tuple[Tensor, Tensor, Tensor, int]
"""Ours, theirs, the original, and the side of a crop."""

Place = tuple[int, int]


def _scene(random: Random) -> Scene:
    """Two decoded pictures that are wrong in a dozen places each: more or less, in some colours, in few pixels or in many.

    So whoever measures something else than the difference of squared errors finds another place, sooner or later.
    """
    side = random.randint(6, 8)
    cell = side + 3
    height, width = 3 * cell + random.randint(0, 3), 4 * cell + random.randint(4, 9)
    while True:
        original = random.tensor(3, height, width, low=0.3, high=0.7)
        pair = []
        for _ in range(2):
            picture = original + random.normal(3, height, width, std=0.01)
            for row, column in ((row, column) for row in range(3) for column in range(4)):
                share = random.uniform(0.1, 1)  # of the pixels; squared, all places are about as wrong as each other
                colours = random.normal(3, 1, 1)
                strength = random.uniform(0.2, 0.35) / share**0.5 * colours / colours.norm()
                where = random.tensor(1, side, side) < share
                top, left = cell * row + random.randint(0, 2), cell * column + random.randint(0, 2)
                picture[:, top : top + side, left : left + side] += strength * where
            pair.append(picture)
        ours, theirs = pair
        first, second = windows(_gain(ours, theirs, original), side).flatten().topk(2).values.tolist()
        if first > 1.003 * second > 0:  # no matter of the last digit
            return ours, theirs, original, side


def _scenes(random: Random) -> tuple[Any, ...]:
    """So many scenes that a wrong answer has places of its own in some of them; in the last, the place is the corner."""
    return *(_scene(random) for _ in range(7)), _corner(*_scene(random))


def _corner(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> Scene:
    """The same pictures, cut where their best crop ends."""
    top, left = best_window(_gain(ours, theirs, original), side)
    ours, theirs, original = (each[:, : top + side, : left + side] for each in (ours, theirs, original))
    return ours, theirs, original, side


def _last_ones_left_out(rows: int, columns: int) -> Callable[..., Place]:
    """Windows without the last ones, as `range(height - side)` has them."""

    def wrong(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> Place:
        means = windows(_gain(ours, theirs, original), side).clone()
        means[means.shape[0] - rows :], means[:, means.shape[1] - columns :] = -torch.inf, -torch.inf
        top, left = divmod(int(means.argmax()), means.shape[1])
        return top, left

    return wrong


def _places(answer: Callable[..., Any], *scenes: Scene) -> dict[str, Any]:
    """The crop of each scene, by name."""
    return {f"scene {number}": answer(*scene) for number, scene in enumerate(scenes, 1)}


def _gain(ours: Tensor, theirs: Tensor, original: Tensor) -> Tensor:
    return squared_error(theirs, original) - squared_error(ours, original)


def _best(measure: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Place]:
    """The best crop by another measure of a pixel."""
    return lambda ours, theirs, original, side: best_window(measure(ours, theirs, original), side)


def _difference_of(of: Callable[[Tensor], Tensor]) -> Callable[..., Place]:
    """The best crop by another measure of a pixel's three errors."""
    return _best(lambda ours, theirs, original: of(theirs - original) - of(ours - original))


def _of_windows(choose: Callable[..., Place]) -> Callable[..., Place]:
    """Another choice among the means of windows: of (means, original, side, gain)."""

    def wrong(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> Place:
        gain = _gain(ours, theirs, original)
        return choose(windows(gain, side), original, side, gain)

    return wrong


def _on_a_grid(gain: Tensor, side: int) -> Place:
    means = F.avg_pool2d(gain[None, None], side)[0, 0]
    return divmod(int(means.argmax()), means.shape[1])


def _largest_ratio(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> Place:
    first, second = (windows(squared_error(each, original), side) for each in (theirs, ours))
    return divmod(int((first / second).argmax()), first.shape[1])


_SIGN = "the sign: this is the crop where theirs looks best. Their error minus yours is what you gain."
_STRIDE = "crops on a grid of their own size are tried only: give `stride=1`, so that a crop may begin at any pixel."
_COLOUR = "the colours don't count alike, or one counts alone: take the mean of the squared errors over all three, `.mean(0)`."
_CROPS: tuple[tuple[str, tuple[Callable[..., Place], ...]], ...] = (
    (_SIGN, (lambda ours, theirs, original, side: flattering_crop(theirs, ours, original, side),)),
    ("these are (left, top): rows come first.", (lambda *inputs: flattering_crop(*inputs)[::-1],)),
    (
        "the last row or column of windows is never tried: there are H − side + 1 rows of them, and W − side + 1 columns.",
        (_last_ones_left_out(1, 1), _last_ones_left_out(1, 0), _last_ones_left_out(0, 1)),
    ),
    (
        "this is the best pixel: take the mean over each window first.",
        (_of_windows(lambda means, original, side, gain: best_window(gain, 1)),),
    ),
    (
        "the best pixel of each window decides, not its mean: `F.avg_pool2d`, not `F.max_pool2d`.",
        (_of_windows(lambda means, original, side, gain: _row_and_column(F.max_pool2d(gain[None, None], side, stride=1)[0, 0])),),
    ),
    (
        "the number of a window is divided by the width of the picture, but a row has fewer windows than pixels: divide by the "
        "width of what `avg_pool2d` gave.",
        (_of_windows(lambda means, original, side, gain: divmod(int(means.argmax()), original.shape[2])),),
    ),
    (
        "the number of a window is divided by how many rows there are: `argmax` counts along the rows, so divide by how many "
        "columns.",
        (_of_windows(lambda means, original, side, gain: divmod(int(means.argmax()), means.shape[0])),),
    ),
    (
        "this is where theirs is worst, but yours may be as bad there: subtract your own error.",
        (_best(lambda ours, theirs, original: squared_error(theirs, original)),),
    ),
    (
        "this is where yours is best, and theirs may be as good there: their error minus yours.",
        (_best(lambda ours, theirs, original: -squared_error(ours, original)),),
    ),
    (
        "this is where yours is worst.",
        (_best(lambda ours, theirs, original: squared_error(ours, original)),),
    ),
    (
        "this is where the two differ most from each other. Which of them is nearer to the original?",
        (_best(lambda ours, theirs, original: squared_error(theirs, ours)),),
    ),
    (
        "this is where one of the two is much better, whichever it is: keep the sign, their error minus yours.",
        (_best(lambda ours, theirs, original: _gain(ours, theirs, original).abs()),),
    ),
    (
        "these are absolute errors, or the roots of squared ones: the PSNR takes the squares themselves.",
        (_difference_of(lambda error: error.abs().mean(0)), _difference_of(lambda error: error.square().mean(0).sqrt())),
    ),
    (
        "the errors have kept their signs, so that too bright and too dark cancel: square them.",
        (_difference_of(lambda error: error.mean(0)),),
    ),
    (_COLOUR, tuple(_difference_of(lambda error, number=number: error[number].square()) for number in range(3))),
    (
        "the worst of the three colours is looked at: take their mean, `.mean(0)`.",
        (_difference_of(lambda error: error.square().amax(0)),),
    ),
    (
        "the colours are averaged before they are squared, so that errors of different signs cancel: first `.square()`, then "
        "`.mean(0)`.",
        (_difference_of(lambda error: error.mean(0).square()),),
    ),
    ("this is the largest ratio of both errors, and it is large where both are tiny: take the difference.", (_largest_ratio,)),
    (
        _STRIDE,
        (
            _of_windows(lambda means, original, side, gain: _on_a_grid(gain, side)),
            _of_windows(lambda means, original, side, gain: _scaled(_on_a_grid(gain, side), side)),
        ),
    ),
    (
        "this is the middle of the crop: its top left corner is wanted.",
        (_of_windows(lambda means, original, side, gain: _shifted(_row_and_column(means), side // 2)),),
    ),
    (
        "this is the bottom right of the crop: its top left corner is wanted.",
        tuple(
            _of_windows(lambda means, original, side, gain, less=less: _shifted(_row_and_column(means), side - less))
            for less in (0, 1)
        ),
    ),
)
"""What to say, and the wrong answers of which it is true."""


def _row_and_column(means: Tensor) -> Place:
    top, left = divmod(int(means.argmax()), means.shape[1])
    return top, left


def _scaled(place: Place, by: int) -> Place:
    return place[0] * by, place[1] * by


def _shifted(place: Place, by: int) -> Place:
    return place[0] + by, place[1] + by


CROP = Exercise(
    id="07.4",
    title="The crop that flatters",
    minutes=6,
    core=False,
    reference=flattering_crop,
    checks=(
        Check(
            "the best of all crops, in eight scenes",
            inputs=_scenes,
            call=_places,
            tolerance=1e-6,
            rounds=2,
            mistakes=tuple(Mistake(message, like=answers) for message, answers in _CROPS),
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
