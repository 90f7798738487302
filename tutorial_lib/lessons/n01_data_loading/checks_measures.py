"""Checks of notebook 01's second half: PSNR, and bits per pixel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.codecs.classical import CODECS
from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake

START_OF_SCAN = b"\xff\xda"
"""The marker behind which a JPEG file's header ends and its picture begins (ITU-T T.81, table B.1)."""

# ---------------------------------------------------------------------------------------------- 01.3


def _levels(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) * 255).round().double()


def _squared(picture: Tensor, reference: Tensor) -> float:
    """The mean squared error in grey levels, 0 to 255²."""
    return float((_levels(picture) - _levels(reference)).square().mean())


def _psnr_of(error: float, peak: float = 255**2, factor: float = 10, log=math.log10) -> float:
    return factor * log(peak / error)


def _channel_mean(picture: Tensor, reference: Tensor) -> float:
    errors = (_levels(picture) - _levels(reference)).square().mean(dim=(1, 2)).tolist()
    return sum(map(_psnr_of, errors)) / 3


def _row_mean(picture: Tensor, reference: Tensor) -> float:
    errors = (_levels(picture) - _levels(reference)).square().mean(dim=(0, 2)).tolist()
    return sum(map(_psnr_of, errors)) / len(errors)


def _wrapped(picture: Tensor, reference: Tensor) -> float:
    """Differences and squares in uint8, where 3 − 5 is 254."""
    difference = _levels(picture).to(torch.uint8) - _levels(reference).to(torch.uint8)
    return _psnr_of(float((difference**2).double().mean()))


def _unsquared(picture: Tensor, reference: Tensor) -> float:
    return _psnr_of(float((_levels(picture) - _levels(reference)).abs().mean()), 255)


def _summed(picture: Tensor, reference: Tensor) -> float:
    return _psnr_of(_squared(picture, reference) * picture.numel())


def _unrounded(picture: Tensor, reference: Tensor) -> float:
    return _psnr_of(float((picture - reference).square().mean()), 1)


def _only_clamped(picture: Tensor, reference: Tensor) -> float:
    return _psnr_of(float((picture.clamp(0, 1) - reference.clamp(0, 1)).square().mean()), 1)


def _unclamped(picture: Tensor, reference: Tensor) -> float:
    return _psnr_of(float(((255 * picture).round() - (255 * reference).round()).square().mean()))


def _one_of_two(first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], float]:
    """Both brought into grey levels, each in its own way."""
    return lambda p, r: _psnr_of(float((first(p).double() - second(r).double()).square().mean()))


def _truncated(picture: Tensor, reference: Tensor) -> float:
    first, second = ((255 * each.clamp(0, 1)).floor() for each in (picture, reference))
    return _psnr_of(float((first - second).square().mean()))


def _steps_of(picture: Tensor, reference: Tensor, steps: int) -> float:
    first, second = ((each.clamp(0, 1) * steps).round().double() / steps for each in (picture, reference))
    return float((first - second).square().mean())


def _clean(random: Random) -> tuple[Tensor, Tensor]:
    """Two pictures on the 8-bit grid, some grey levels apart."""
    height, width = random.size()
    reference = random.picture(height, width)
    return images.quantize_8bit(reference + random.normal(3, height, width, std=0.05)), reference


def _raw(random: Random) -> tuple[Tensor, Tensor]:
    """Both as a network gives them: between the grey levels, and beyond black and white, each as far as it likes."""
    height, width = random.size()
    reference = random.picture(height, width)
    reference[:, 0], reference[:, -1] = 0.0, 1.0
    picture, reference = (reference + random.normal(3, height, width, std=0.004) for _ in range(2))
    for each, beyond in ((picture, 0.05), (reference, 0.12)):
        each[:, 0] -= beyond
        each[:, -1] += beyond
    return picture, reference


def _equal(random: Random) -> tuple[Tensor, Tensor]:
    picture = random.picture(*random.size())
    return picture, picture.clone()


_PSNR_MISTAKES = (
    Mistake(
        "the logarithm is the natural one: decibels take log10, `torch.log10` or `math.log10`.",
        like=lambda p, r: _psnr_of(_squared(p, r), log=math.log),
    ),
    Mistake(
        "the logarithm has base 2, as bits do: decibels take log10.",
        like=lambda p, r: _psnr_of(_squared(p, r), log=math.log2),
    ),
    Mistake(
        "the brightest value stands for the peak: it is the largest value that a pixel can have, whatever is in the picture.",
        like=tuple(lambda p, r, of=of: _psnr_of(_squared(p, r), float(_levels((p, r)[of]).max()) ** 2) for of in (0, 1)),
    ),
    Mistake(
        "the squares of the three channels are added up: the mean goes over the channels, too.",
        like=lambda p, r: _psnr_of(3 * _squared(p, r)),
    ),
    Mistake(
        "the channels are averaged before they are compared, so that their errors cancel: square first.",
        like=lambda p, r: _psnr_of(float((_levels(p).mean(0) - _levels(r).mean(0)).square().mean())),
    ),
    Mistake(
        "20 · log10 of a squared error counts twice: it is 10 · log10(1 / MSE), or 20 · log10(1 / √MSE).",
        like=lambda p, r: _psnr_of(_squared(p, r), factor=20),
    ),
    Mistake(
        "there is a square root on the MSE: 10 · log10 wants the mean square itself, 20 · log10 its root.",
        like=lambda p, r: _psnr_of(math.sqrt(_squared(p, r)), 255),
    ),
    Mistake(
        "48 dB too high: the peak is 255, but the values are in [0, 1], where the peak is 1. Use one scale for both.",
        like=lambda p, r: _psnr_of(_squared(p, r) / 255**2),
    ),
    Mistake(
        "48 dB too low: the values are grey levels up to 255, so the peak is 255 and not 1. Use one scale for both.",
        like=lambda p, r: _psnr_of(_squared(p, r), 1),
    ),
    Mistake(
        "the peak is not squared: an MSE is a square, so it stands below peak², that is 255².",
        like=lambda p, r: _psnr_of(_squared(p, r), 255),
    ),
    Mistake(
        "factor 10 is missing: without it the result is in bels, and a decibel is a tenth of one.",
        like=lambda p, r: _psnr_of(_squared(p, r), factor=1),
    ),
    Mistake(
        "the sign is wrong: the MSE belongs below the fraction line. A smaller error gives more dB.",
        like=lambda p, r: -_psnr_of(_squared(p, r)),
    ),
    Mistake(
        "the error is not squared: it is the mean of (difference)², not of |difference|.",
        like=_unsquared,
    ),
    Mistake("the squares are summed, not averaged: a mean does not grow with the picture.", like=_summed),
    Mistake(
        "that is the mean of the three channels' PSNRs: take one mean over all pixels and channels, and one logarithm.",
        like=_channel_mean,
    ),
    Mistake(
        "that is a mean of the rows' PSNRs: take one mean over all pixels and channels, and one logarithm.",
        like=_row_mean,
    ),
    Mistake(
        "it wraps around: 8-bit integers have no negative numbers, 3 − 5 becomes 254. Go to float before subtracting.",
        like=_wrapped,
    ),
)

_ROUNDING_MISTAKES = (
    Mistake(
        "rounded to 256ths: 8 bits are 256 levels, from 0 to 255, and so 255 steps.",
        like=lambda p, r: _psnr_of(_steps_of(p, r, 256), 1),
    ),
    Mistake(
        "the reference isn't clamped: both pictures go to [0, 1] and to 8 bits first.",
        like=_one_of_two(_levels, lambda r: (255 * r).round()),
    ),
    Mistake(
        "only one of the two pictures is rounded: both go to [0, 1] and to 8 bits first, the reference too.",
        like=(
            _one_of_two(_levels, lambda r: 255 * r),
            _one_of_two(_levels, lambda r: 255 * r.clamp(0, 1)),
            _one_of_two(lambda p: 255 * p, _levels),
            _one_of_two(lambda p: 255 * p.clamp(0, 1), _levels),
        ),
    ),
    Mistake(
        "not rounded to 8 bits: no file holds what lies between two grey levels. Clamp each picture to [0, 1], multiply by "
        "255 and round, and then subtract.",
        like=(_unrounded, lambda p, r: _psnr_of(float((255 * (p - r)).round().square().mean()))),
    ),
    Mistake(
        "clamped but not rounded: no file holds what lies between two grey levels. Multiply each picture by 255 and round, and "
        "then subtract.",
        like=(_only_clamped, lambda p, r: _psnr_of(float((255 * (p.clamp(0, 1) - r.clamp(0, 1))).round().square().mean()))),
    ),
    Mistake(
        "not clamped: a network paints blacker than black and whiter than white, and a file can't. Clamp to [0, 1] first.",
        like=_unclamped,
    ),
    Mistake(
        "truncated, not rounded: `int`, `floor` and a cast to uint8 cut the fraction off, and darken the picture.",
        like=_truncated,
    ),
)

_EQUAL_PICTURES = "two equal pictures stop it: their MSE is 0 and the PSNR infinite. `torch.log10` copes; or return `math.inf`."

PSNR = Exercise(
    id="01.3",
    title="PSNR",
    minutes=4,
    core=False,
    reference=metrics.psnr,
    checks=(
        Check("right for random 8-bit pictures", inputs=_clean, mistakes=_PSNR_MISTAKES, tolerance=1e-5),
        Check(
            "rounds and clamps as a file does",
            inputs=_raw,
            mistakes=(*_ROUNDING_MISTAKES, *_PSNR_MISTAKES),
            tolerance=1e-5,
        ),
        Check(
            "infinite for equal pictures",
            inputs=_equal,
            mistakes=(
                Mistake(_EQUAL_PICTURES, error="ZeroDivisionError|math domain|positive input"),
                Mistake(
                    "finite for equal pictures: is something added to the MSE, to keep it from 0? It shifts every "
                    "PSNR a little; let equal pictures have an infinite one.",
                    when=lambda yours, target, p, r: math.isfinite(yours),
                ),
            ),
        ),
    ),
    hints=(
        "Three steps: round both pictures to 8 bits, take the mean of the squared difference over everything, "
        "turn it into decibels.",
        "Rounding: `(picture.clamp(0, 1) * 255).round() / 255`. The mean of all values: `.mean()` without an axis. "
        "`.item()` makes a plain number of a tensor.",
        "With `a` and `b` rounded: `mse = (a - b).square().mean()`, and the answer is "
        "`10 * torch.log10(1 / mse)`, as a plain number.",
    ),
)

# ---------------------------------------------------------------------------------------------- 01.4


def bits_per_pixel(data: bytes, picture: Tensor) -> float:
    """`metrics.bits_per_pixel`, called as notebook 01 prints it."""
    return metrics.bits_per_pixel(data, picture)


def _file(random: Random) -> tuple[bytes, Tensor]:
    picture = random.picture(*random.size(12, 40))
    return CODECS["jpeg"].encode(picture, quality=random.randint(20, 90)), picture


def _pixels(picture: Tensor) -> int:
    return picture.shape[1] * picture.shape[2]


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


_BPP_MISTAKES = (
    Mistake(
        "bytes, not bits: a byte has 8 bits.",
        like=lambda data, picture: len(data) / _pixels(picture),
    ),
    Mistake(
        "three times too small: a pixel is one place with three colours. `numel()` counts all three.",
        like=lambda data, picture: 8 * len(data) / picture.numel(),
    ),
    Mistake(
        "that is not H · W: a picture's shape is (3, H, W), so height and width are the last two.",
        like=lambda data, picture: 8 * len(data) / (picture.shape[0] * picture.shape[1]),
    ),
    Mistake(
        "one side is taken twice: a picture has height · width pixels.",
        like=(
            lambda data, picture: 8 * len(data) / picture.shape[1] ** 2,
            lambda data, picture: 8 * len(data) / picture.shape[2] ** 2,
        ),
    ),
    Mistake(
        "the two sides are added: a picture has height · width pixels.",
        like=lambda data, picture: 8 * len(data) / (picture.shape[1] + picture.shape[2]),
    ),
    Mistake(
        "that is the whole file in bits: divide by the number of pixels.",
        like=lambda data, picture: 8 * len(data),
    ),
    Mistake(
        "`sum(data)` adds up the values of the bytes: `len(data)` counts them.",
        like=lambda data, picture: 8 * sum(data) / _pixels(picture),
    ),
    Mistake(
        "three times too large: a byte of the file has 8 bits, and is not one colour's.",
        like=lambda data, picture: 24 * len(data) / _pixels(picture),
    ),
    Mistake(
        "the header is left out: without its tables nobody can decode the file, so its bytes count too.",
        like=lambda data, picture: 8 * (len(data) - data.index(START_OF_SCAN)) / _pixels(picture),
    ),
    Mistake(
        "upside down: that is pixels per bit.",
        like=lambda data, picture: _pixels(picture) / (8 * len(data)),
    ),
    Mistake(
        "digits are lost: `//`, `int` and `round` take them away, `/` keeps them.",
        like=(
            lambda data, picture: 8 * len(data) // _pixels(picture),
            lambda data, picture: round(8 * len(data) / _pixels(picture)),
            lambda data, picture: round(8 * len(data) / _pixels(picture), 1),
            lambda data, picture: round(8 * len(data) / _pixels(picture), 2),
        ),
    ),
    Mistake(
        "bytes are missing: fewer bits than the file has. Count all of it, `len(data)`, the header too.",
        when=lambda yours, target, data, picture: target / 2 < yours < target and _whole(yours * _pixels(picture) / 8),
    ),
)

BITS_PER_PIXEL = Exercise(
    id="01.4",
    title="Bits per pixel",
    minutes=2,
    core=True,
    reference=bits_per_pixel,
    checks=(Check("right for real files of random pictures", inputs=_file, mistakes=_BPP_MISTAKES),),
    hints=(
        "How many bits does the whole file have? `len(data)` counts its bytes.",
        "How many pixels does the picture have? Its shape is (3, H, W); a pixel is a place, with three colours.",
        "`8 * len(data)` bits, divided by `height * width` pixels.",
    ),
)
