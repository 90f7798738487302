"""Exercises of notebook 01: coordinates of pixels, pairs, PSNR, bits per pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.classical_codecs import CODECS
from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake

START_OF_SCAN = b"\xff\xda"
"""The marker behind which a JPEG file's header ends and its picture begins (ITU-T T.81, table B.1)."""


# ------------------------------------------------------------------------------------------------ 01.1


def _steps(count: int, divisor: float, offset: float = 0.0) -> Tensor:
    """Pixel numbers along one side, as coordinates from about −1 to 1."""
    return 2 * (torch.arange(count) + offset) / max(divisor, 1) - 1


def _grid(y: Tensor, x: Tensor) -> Tensor:
    return images.canvas_from_axes(y, x)


def _unit(height: int, width: int) -> Tensor:
    return (images.canvas(height, width) + 1) / 2


def _numbers(height: int, width: int) -> Tensor:
    return _grid(torch.arange(height).float(), torch.arange(width).float())


_SWAPPED = Mistake(
    "x and y are swapped: the last axis holds (x, y). Along a row x changes, down a column y changes.",
    like=lambda height, width: images.canvas(height, width).flip(-1),
)

_CANVAS_MISTAKES = (
    _SWAPPED,
    Mistake(
        "height and width are swapped: the shape is (height, width, 2), rows first. `torch.meshgrid` with "
        '`indexing="ij"` keeps the order in which it gets its axes.',
        when=lambda yours, target, height, width: yours.shape == (width, height, 2),
    ),
    Mistake(
        "the pair (x, y) belongs on the last axis, not the first: `torch.stack(…, dim=-1)`.",
        when=lambda yours, target, height, width: yours.shape == (2, height, width),
    ),
    Mistake(
        "the grid was flattened: keep the shape (height, width, 2). The list comes in 01.2.",
        when=lambda yours, target, height, width: yours.shape == (height * width, 2),
    ),
    Mistake("the range is [0, 1]: stretch it to [−1, 1], twice as wide and one to the left.", like=_unit),
    Mistake(
        "these are pixel numbers, 0 to W − 1: bring them to [−1, 1], so that no coordinate depends on the size.",
        like=_numbers,
    ),
    Mistake(
        "divided by W instead of W − 1: the last pixel has the number W − 1, and it must come to lie at 1.",
        like=lambda height, width: _grid(_steps(height, height), _steps(width, width)),
    ),
    Mistake(
        "half a pixel inside: these are the centres of W squares between −1 and 1. Here the centres of the outermost "
        "pixels lie exactly at −1 and 1.",
        like=lambda height, width: _grid(_steps(height, height, 0.5), _steps(width, width, 0.5)),
    ),
    Mistake(
        "y grows upwards: row 0 is the top of a picture, and it has y = −1.",
        like=lambda height, width: images.canvas(height, width).flip(0),
    ),
    Mistake(
        "one side serves for both axes: x is divided by the width less one, y by the height less one.",
        like=(
            lambda height, width: _grid(_steps(height, width - 1), _steps(width, width - 1)),
            lambda height, width: _grid(_steps(height, height - 1), _steps(width, height - 1)),
        ),
    ),
)


def _thin(random: Random) -> tuple[int, int]:
    return random.choice([(1, random.randint(2, 9)), (random.randint(2, 9), 1), (1, 1)])


_THIN_MISTAKES = (
    Mistake(
        "a side of one pixel lies at −1: there is nothing to spread, so it stands in the middle, at 0.",
        like=lambda height, width: _grid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)),
    ),
    Mistake(
        "with a side of one pixel it divides by zero (W − 1 = 0): give that side the coordinate 0.",
        error="ZeroDivisionError",
        when=lambda yours, target, height, width: not yours.isfinite().all(),
    ),
)

# ------------------------------------------------------------------------------------------------ 01.2


class Pairs:
    """A picture as a list: where, and which colour."""

    @staticmethod
    def from_picture(picture: Tensor) -> tuple[Tensor, Tensor]:
        """Picture (3, H, W) to coordinates (H·W, 2), order (x, y), and colours (H·W, 3), row by row."""
        height, width = picture.shape[1:]
        coordinates = images.canvas(height, width, device=picture.device)
        return coordinates.reshape(-1, 2), picture.permute(1, 2, 0).reshape(-1, 3)

    @staticmethod
    def to_picture(colours: Tensor, height: int, width: int) -> Tensor:
        """Colours (H·W, 3), row by row, to the picture (3, H, W)."""
        return colours.reshape(height, width, 3).permute(2, 0, 1)


def _some_picture(random: Random) -> tuple[Tensor]:
    return (random.picture(*random.size(6, 20)).cpu(),)  # coordinates are made on the CPU


def _some_colours(random: Random) -> tuple[Tensor, int, int]:
    (picture,) = _some_picture(random)
    return picture.flatten(1).T.contiguous(), *picture.shape[1:]


def _with_colours(colours_of):
    """A wrong answer: the right coordinates, with colours made by a function of the picture."""

    def split(answer: type, picture: Tensor) -> tuple[Tensor, Tensor]:
        return Pairs.from_picture(picture)[0], colours_of(picture)

    return split


def _with_coordinates(coordinates_of):
    def split(answer: type, picture: Tensor) -> tuple[Tensor, Tensor]:
        return coordinates_of(*picture.shape[1:]), Pairs.from_picture(picture)[1]

    return split


def _split(answer, picture: Tensor) -> tuple[Tensor, Tensor]:
    return answer.from_picture(picture) if isinstance(answer, type) else answer(Pairs, picture)


def _join(answer, colours: Tensor, height: int, width: int) -> Tensor:
    if isinstance(answer, type):
        return answer.to_picture(colours, height, width)
    return answer(colours, height, width)


def _painted(yours, target, picture: Tensor):
    """The picture beside what a participant's colours look like as one."""
    return "picture", picture, Pairs.to_picture(yours[1], *picture.shape[1:])


_STATIC = Mistake(
    "the line `@staticmethod` above the function is missing, so Python expects one more argument.",
    error="missing 1 required positional argument",
)

_SPLIT_MISTAKES = (
    _STATIC,
    Mistake(
        "scrambled: `reshape` alone keeps the order in memory, all reds first, so one row of your list holds three "
        "reds of three neighbours. Move the channel axis to the end before flattening.",
        like=_with_colours(lambda picture: picture.reshape(-1, 3)),
    ),
    Mistake(
        "column by column: your colours walk down the picture, the coordinates along its rows. Only the channel axis "
        "may move; height stays before width.",
        like=_with_colours(lambda picture: picture.permute(2, 1, 0).reshape(-1, 3)),
    ),
    Mistake(
        "the colours have the shape (3, H·W), one row for each channel: a pair is a pixel, so it must be (H·W, 3).",
        when=lambda yours, target, picture: yours[1].shape == (3, picture[0].numel()),
    ),
    Mistake(
        "colours first: the order is (coordinates, colours), first where, then what.",
        when=lambda yours, target, picture: yours[0].shape == target[1].shape and yours[1].shape == target[0].shape,
    ),
    Mistake(
        "the coordinates are still a grid: flatten them to (H·W, 2), one row for each pixel.",
        when=lambda yours, target, picture: yours[0].ndim == 3,
    ),
    Mistake(
        "the colours are still a grid: flatten them to (H·W, 3), one row for each pixel.",
        when=lambda yours, target, picture: yours[1].ndim == 3,
    ),
    Mistake(
        "the coordinates are those of a picture lying on its side: `canvas` wants the height first, then the width.",
        like=_with_coordinates(lambda height, width: images.canvas(width, height).reshape(-1, 2)),
    ),
    Mistake(
        "the colours run from 0 to 255: leave them in [0, 1], as the picture has them.",
        like=_with_colours(lambda picture: 255 * Pairs.from_picture(picture)[1]),
    ),
)

_JOIN_MISTAKES = (
    _STATIC,
    Mistake(
        "scrambled: one row of the list is one pixel's (R, G, B), so cut the list into (H, W, 3) first, and then bring "
        "the channel axis to the front.",
        like=lambda colours, height, width: colours.reshape(3, height, width),
    ),
    Mistake(
        "the channels are still last, (H, W, 3): a picture is (3, H, W). `permute` moves the axis.",
        like=lambda colours, height, width: colours.reshape(height, width, 3),
    ),
    Mistake(
        "height and width are swapped: each row of the picture has `width` pixels, so the grid is (height, width).",
        when=lambda yours, target, colours, height, width: yours.shape == (3, width, height),
        like=lambda colours, height, width: colours.reshape(width, height, 3).permute(2, 1, 0),
    ),
)

# ------------------------------------------------------------------------------------------------ 01.3


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


def _truncated(picture: Tensor, reference: Tensor) -> float:
    first, second = ((255 * each.clamp(0, 1)).floor() for each in (picture, reference))
    return _psnr_of(float((first - second).square().mean()))


def _clean(random: Random) -> tuple[Tensor, Tensor]:
    """Two pictures on the 8-bit grid, some grey levels apart."""
    height, width = random.size()
    reference = random.picture(height, width)
    return images.quantize_8bit(reference + random.normal(3, height, width, std=0.05)), reference


def _raw(random: Random) -> tuple[Tensor, Tensor]:
    """As a network gives it: between the grey levels, and beyond black and white."""
    height, width = random.size()
    reference = random.picture(height, width)
    reference[:, 0], reference[:, -1] = 0.0, 1.0
    picture = reference + random.normal(3, height, width, std=0.004)
    picture[:, 0] -= 0.05
    picture[:, -1] += 0.05
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
        "not rounded to 8 bits: no file holds what lies between two grey levels. Clamp to [0, 1], then "
        "multiply by 255 and round.",
        like=_unrounded,
    ),
    Mistake(
        "clamped but not rounded: no file holds what lies between two grey levels. Multiply by 255 and round.",
        like=_only_clamped,
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

# ------------------------------------------------------------------------------------------------ 01.4


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
        "the header is left out: without its tables nobody can decode the file, so its bytes count too.",
        like=lambda data, picture: 8 * (len(data) - data.index(START_OF_SCAN)) / _pixels(picture),
    ),
    Mistake(
        "upside down: that is pixels per bit.",
        like=lambda data, picture: _pixels(picture) / (8 * len(data)),
    ),
    Mistake(
        "the fraction is lost: `//`, `int` and `round` cut it off, `/` keeps it.",
        when=lambda yours, target, data, picture: yours == int(yours) and abs(yours - target) <= 1,
    ),
    Mistake(
        "bytes are missing: fewer bits than the file has. Count all of it, `len(data)`, the header too.",
        when=lambda yours, target, data, picture: 0 < yours < target and _whole(yours * _pixels(picture) / 8),
    ),
)

EXERCISES = [
    Exercise(
        id="01.1",
        title="Where is a pixel?",
        minutes=4,
        core=True,
        reference=images.canvas,
        checks=(
            Check(
                "right for random sizes",
                inputs=lambda random: random.size(),
                mistakes=_CANVAS_MISTAKES,
            ),
            Check(
                "a side of one pixel lies at 0",
                inputs=_thin,
                mistakes=_THIN_MISTAKES,
                rounds=6,
            ),
        ),
        hints=(
            "Begin with one side: a row of `width` numbers from −1 to 1, evenly spaced. "
            "`torch.arange(width)` counts the pixels. What do you divide by, so that the last one comes to 1?",
            "`torch.meshgrid(y, x, indexing='ij')` makes two grids of `height` rows and `width` columns; `torch.stack([…, "
            "…], dim=-1)` pairs them, x first. A side of one pixel would divide by zero: give it 0.",
            "With a helper `axis(n)` that gives `2 * torch.arange(n) / (n - 1) - 1`, and `torch.zeros(1)` for n = 1: "
            "`y, x = torch.meshgrid(axis(height), axis(width), indexing='ij')`. Then stack x and y.",
        ),
    ),
    Exercise(
        id="01.2",
        title="A picture as a list, and back",
        minutes=5,
        core=True,
        reference=Pairs,
        checks=(
            Check(
                "from a picture to pairs",
                inputs=_some_picture,
                call=_split,
                mistakes=_SPLIT_MISTAKES,
                draw=_painted,
            ),
            Check(
                "and back to a picture",
                inputs=_some_colours,
                call=_join,
                mistakes=_JOIN_MISTAKES,
                draw="picture",
            ),
        ),
        hints=(
            "One row of the list is one pixel: its (x, y) in one tensor, its (R, G, B) in the other. "
            "In a picture the three colours of a pixel lie far apart, H · W numbers from one to the next.",
            "`permute` reorders axes: which order puts the channels last and keeps the rows before the columns? "
            "Then `reshape(-1, 3)` flattens. The way back is the same two steps, undone in reverse.",
            "To pairs: `canvas(height, width).reshape(-1, 2)`, and `picture.permute(1, 2, 0)` before its `reshape`. "
            "Back: `reshape(height, width, 3)`, then `permute(2, 0, 1)`.",
        ),
    ),
    Exercise(
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
    ),
    Exercise(
        id="01.4",
        title="Bits per pixel",
        minutes=2,
        core=True,
        reference=metrics.bits_per_pixel,
        checks=(Check("right for real files of random pictures", inputs=_file, mistakes=_BPP_MISTAKES),),
        hints=(
            "How many bits does the whole file have? `len(data)` counts its bytes.",
            "How many pixels does the picture have? Its shape is (3, H, W); a pixel is a place, with three colours.",
            "`8 * len(data)` bits, divided by `height * width` pixels.",
        ),
    ),
]
