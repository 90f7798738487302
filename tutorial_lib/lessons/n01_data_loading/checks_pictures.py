"""Checks of notebook 01's first half: coordinates of pixels, and a picture as a list of pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake

# ---------------------------------------------------------------------------------------------- 01.1


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
        "scrambled: `reshape` moves no number, so x and y don't come to lie side by side. `torch.stack([x, y], dim=-1)` puts "
        "the pair on the last axis.",
        like=(
            lambda height, width: images.canvas(height, width).movedim(-1, 0).reshape(height, width, 2),
            lambda height, width: images.canvas(height, width).flip(-1).movedim(-1, 0).reshape(height, width, 2),
        ),
    ),
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
    Mistake(
        "the range is [0, 2]: take 1 off, so that the middle lies at 0.",
        like=lambda height, width: images.canvas(height, width) + 1,
    ),
    Mistake(
        "the way from −1 to 1 has the length 2: that is px / (W − 1) − 1, and it ends at 0.",
        like=lambda height, width: _unit(height, width) - 1,
    ),
    Mistake(
        "x goes as far as the picture is wide, by its aspect ratio: here both go from −1 to 1, whatever the size.",
        like=(
            lambda height, width: images.canvas(height, width) * torch.tensor([width / height, 1.0]),
            lambda height, width: images.canvas(height, width) * torch.tensor([(width - 1) / (height - 1), 1.0]),
        ),
    ),
    Mistake(
        "the fraction is lost: `//` cuts it off, `/` keeps it.",
        like=lambda height, width: _grid(
            (2 * torch.arange(height) // max(height - 1, 1) - 1).float(),
            (2 * torch.arange(width) // max(width - 1, 1) - 1).float(),
        ),
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

CANVAS = Exercise(
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
)

# ---------------------------------------------------------------------------------------------- 01.2


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


def _by_columns(height: int, width: int) -> Tensor:
    return images.canvas(height, width).permute(1, 0, 2).reshape(-1, 2)


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
    error=r"_picture\(\) missing 1 required positional argument|_picture\(\) takes \d positional arguments? but",
)
_CANVAS_OF = Mistake(
    "`canvas` takes the two sides, `canvas(height, width)`: a picture's are `picture.shape[1:]`.",
    error=r"canvas\(\) missing|canvas\(\) takes",
)

_SPLIT_MISTAKES = (
    _STATIC,
    _CANVAS_OF,
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
        "the coordinates are (y, x): the order is (x, y), as `canvas` gives it.",
        like=_with_coordinates(lambda height, width: images.canvas(height, width).reshape(-1, 2).flip(1)),
    ),
    Mistake(
        "the coordinates are scrambled: `canvas` has its pairs on the last axis already, `reshape(-1, 2)` alone flattens it.",
        like=_with_coordinates(lambda height, width: images.canvas(height, width).movedim(-1, 0).reshape(-1, 2)),
    ),
    Mistake(
        "the coordinates walk down the picture, column by column: the list goes row by row.",
        like=(
            _with_coordinates(_by_columns),
            lambda answer, picture: (_by_columns(*picture.shape[1:]), picture.permute(2, 1, 0).reshape(-1, 3)),
        ),
    ),
    Mistake(
        "blue, green, red: a pixel's colours stay in the order R, G, B.",
        like=_with_colours(lambda picture: Pairs.from_picture(picture)[1].flip(1)),
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

PAIRS = Exercise(
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
)
