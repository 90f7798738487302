"""Checks of notebook 04's pyramid: upsampling, and the neighbours of an integer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.course.comparing import Random, same, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.latents import shape
from tutorial_lib.latents.layers import Upsampling
from tutorial_lib.latents.shape import SMALL, grid_sizes
from tutorial_lib.lessons.n04_latent_grids.answers import Doubling, features, neighbours

# ---------------------------------------------------------------------------------------------- 04.1


def _pyramid(random: Random, height: int, width: int) -> tuple[list[Tensor], Doubling]:
    """Random grids for a picture of this size, and a doubling with a kernel of its own for each level."""
    config = replace(SMALL, grids=random.randint(4, 5))
    double = Upsampling(config).requires_grad_(False)
    double.kernel.data += random.tensor(*double.kernel.shape, low=-0.3, high=0.3).cpu()
    grids = [random.tensor(*size, low=-4, high=4).round() for size in grid_sizes(config, height, width)]
    return grids, double.to(random.device)


def _even(random: Random) -> tuple[Any, ...]:
    height, width = random.sample([16, 32, 48, 64], 2)
    return _pyramid(random, height, width)


def _odd(random: Random) -> tuple[Any, ...]:
    height, width = random.size(9, 30)
    return _pyramid(random, height | 1, width | 1)


def _slopes_of_features(features: Callable[..., Tensor], grids: list[Tensor], double: Doubling) -> dict[str, Tensor]:
    sources = {f"grid {level}": grid.requires_grad_() for level, grid in enumerate(grids)}
    return slopes(features(grids, double), sources)


def _features_like(
    turn: Callable[[Tensor], Tensor] = lambda stack: stack,
    crop: Callable[[Tensor, int, int], Tensor] = lambda planes, rows, columns: planes[:, :rows, :columns],
    level_of: Callable[[int], int] = lambda level: level,
    join: Callable[[Tensor, Tensor], Tensor] = lambda grid, doubled: torch.cat([grid, doubled]),
    once: bool = False,
):
    """Features that differ from the right ones in one thing."""

    def wrong(grids: Sequence[Tensor], double: Doubling) -> Tensor:
        stack = grids[-1][None]
        for level in range(len(grids) - 2, -1, -1):
            stack = join(grids[level][None], crop(double(stack, level_of(level)), *grids[level].shape))
            if once:
                return stack
        return turn(stack)

    return wrong


def _each_alone(grids: Sequence[Tensor], double: Doubling) -> Tensor:
    """Every grid repeated to full size: right in size, not what `double` gives."""
    height, width = grids[0].shape
    return torch.cat(
        [
            grid.repeat_interleave(2**level, 0).repeat_interleave(2**level, 1)[None, :height, :width]
            for level, grid in enumerate(grids)
        ]
    )


def _one_level_off(grids: Sequence[Tensor], double: Doubling) -> Tensor:
    return _features_like(level_of=lambda level: min(level + 1, len(grids) - 2))(grids, double)


FEATURES = Exercise(
    id="04.1",
    title="Upsample and stack",
    minutes=4,
    core=True,
    reference=features,
    checks=(
        Check(
            "every grid at the picture's size, finest first",
            inputs=_even,
            mistakes=(
                Mistake(
                    "the grids are added up: keep them apart, stacked with `torch.cat`, so that the synthesis can weigh them.",
                    like=_features_like(join=lambda grid, doubled: grid + doubled),
                ),
                Mistake(
                    "the grids are not put in front: what was doubled alone goes on, so one plane comes out. `torch.cat` makes a "
                    "stack that grows.",
                    like=_features_like(join=lambda grid, doubled: doubled),
                ),
                Mistake(
                    "what was doubled is lost: each grid takes the place of the stack. `torch.cat` makes a stack that grows.",
                    like=_features_like(join=lambda grid, doubled: grid),
                ),
                Mistake(
                    "the grids are laid below or beside each other: planes are stacked along the first axis, `torch.cat([…])` as "
                    "it is, without `dim`.",
                    when=lambda yours, target, grids, double: (
                        yours.ndim == 3 and len(yours) == 1 and yours.numel() > grids[0].numel()
                    ),
                ),
                Mistake(
                    "`return` stands in the loop: after the first of the finer grids all is over.",
                    like=_features_like(once=True),
                ),
                Mistake(
                    "a grid has two axes, a stack of planes three: `grids[level][None]` is a stack of one.",
                    error="must have same number of dimensions",
                ),
                Mistake(
                    "`double` gets a level that is too large: it wants that of the result, from len(grids) − 2 down to 0.",
                    error="IndexError: index .* out of bounds",
                ),
                Mistake(
                    "`double` gets level 0 every time: it wants the level of the result, which has its own kernel.",
                    like=_features_like(level_of=lambda level: 0),
                ),
                Mistake(
                    "the coarsest grid comes first: put the finer grid in front, `torch.cat([grid[None], doubled])`.",
                    like=(
                        _features_like(join=lambda grid, doubled: torch.cat([doubled, grid])),
                        _features_like(turn=lambda stack: stack.flip(0)),
                    ),
                ),
                Mistake(
                    "the integers are only repeated as squares: `double` is the upsampling, and its kernel makes smooth steps.",
                    like=_each_alone,
                ),
                Mistake(
                    "`double` gets the level of what goes in: it wants the level of the result, which has its own kernel.",
                    like=_one_level_off,
                ),
                Mistake(
                    "the finest grid is missing: the loop has to reach level 0.",
                    when=lambda yours, target, grids, double: (
                        same(yours, target[1:], 1e-4)
                        or same(yours, features(grids[1:], lambda stack, level: double(stack, level + 1)), 1e-4)
                    ),
                ),
            ),
        ),
        Check(
            "odd sizes, too",
            inputs=_odd,
            mistakes=(
                Mistake(
                    "a doubled grid can be one row or column larger than the next grid (5 → 10, but 9 are wanted): cut it to "
                    "that grid's size with `[:, :rows, :columns]`.",
                    error="Sizes of tensors must match",
                ),
                Mistake(
                    "the surplus row and column are cut off at the top and left: `[:, :rows, :columns]` keeps the beginning.",
                    like=_features_like(crop=lambda planes, rows, columns: planes[:, -rows:, -columns:]),
                ),
                Mistake(
                    "the planes are stretched to the next size: double them, and cut off what is too much.",
                    like=(
                        _features_like(
                            crop=lambda planes, rows, columns: F.interpolate(planes[None], (rows, columns), mode="bilinear")[0]
                        ),
                        _features_like(
                            crop=lambda planes, rows, columns: F.interpolate(planes[None], (rows, columns), mode="bicubic")[0]
                        ),
                        _features_like(crop=lambda planes, rows, columns: F.interpolate(planes[None], (rows, columns))[0]),
                    ),
                ),
            ),
        ),
        Check(
            "every grid can be trained through it",
            inputs=_odd,
            call=_slopes_of_features,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "no gradient comes back to one of the grids, and it would never move: no `detach()`, `.data` or "
                    "`torch.no_grad()`.",
                    error="no gradient",
                ),
            ),
        ),
    ),
    hints=(
        "Go from coarse to fine. What you carry along is a stack of planes (n, rows, columns): one more at each level.",
        "`double(stack, level)` makes the stack twice as large. Cut it to `grids[level].shape`, then put `grids[level][None]` "
        "in front.",
        "`for level in range(len(grids) - 2, -1, -1):` and in it `stack = torch.cat([grids[level][None], …])` "
        "with the doubled and cut stack.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.3


def _grid_and_offsets(random: Random) -> tuple[Any, ...]:
    rows, columns = random.size(6, 12)
    grid = random.tensor(rows, columns, low=1, high=6) * random.tensor(rows, columns, low=-1).sign()
    inner = grid[1:-1, 1:-1]  # the border has no zeros, so that it shows
    inner[random.tensor(*inner.shape) < 0.2], inner[0, 0], inner[-1, -1] = 0, 1000, -1000
    return grid, tuple(random.sample(shape.window(3), random.randint(11, 14)))


def _narrow_grid(random: Random) -> tuple[Any, ...]:
    rows, columns = random.sample([1, 2, 4], 2)
    return random.tensor(rows, columns, low=1, high=6), SMALL.neighbours


def _slopes_of_neighbours(neighbours: Callable[..., Tensor], grid: Tensor, offsets: Any) -> dict[str, Tensor]:
    return slopes(neighbours(grid.requires_grad_(), offsets), {"the grid": grid})


def _neighbours_like(place=lambda row, column: (row, column), border: str = "constant", order=lambda offsets: offsets):
    """Neighbours that differ from the right ones in one thing."""

    def wrong(grid: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
        rows, columns = grid.shape
        reach = 1 + max(max(map(abs, offset)) for offset in offsets)
        padded = F.pad(grid[None, None], (reach,) * 4, mode=border)[0, 0]
        planes = []
        for row, column in (place(*offset) for offset in order(offsets)):
            planes.append(padded[reach + row : reach + row + rows, reach + column : reach + column + columns])
        return torch.stack(planes)

    return wrong


def _rolled(grid: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    return torch.stack([grid.roll((-row, -column), (0, 1)) for row, column in offsets])


NEIGHBOURS = Exercise(
    id="04.3",
    title="The neighbours that are already known",
    minutes=6,
    core=False,
    reference=neighbours,
    checks=(
        Check(
            "each plane shows one neighbour of every integer",
            inputs=_grid_and_offsets,
            mistakes=(
                Mistake(
                    "it looks into the future: plane k at (i, j) is grid[i + row, j + column], and the offsets are negative "
                    "where they point up or left. Yours shift the other way.",
                    like=_neighbours_like(lambda row, column: (-row, -column)),
                ),
                Mistake(
                    "it looks into the future: yours shift the other way, and over the edge besides.",
                    like=lambda grid, offsets: _rolled(grid, [(-row, -column) for row, column in offsets]),
                ),
                Mistake(
                    "the signs are gone, and the context model needs them: neighbours go in as they are.",
                    like=(
                        lambda grid, offsets: neighbours(grid.abs(), offsets),
                        lambda grid, offsets: neighbours(grid.clamp(min=0), offsets),
                    ),
                ),
                Mistake(
                    "what falls off one side comes in at the other (`torch.roll` does that): outside of the grid, a "
                    "neighbour counts as 0. The last column is not known yet when the first is decoded.",
                    like=_rolled,
                ),
                Mistake(
                    "the border is repeated: outside of the grid, a neighbour counts as 0.",
                    like=_neighbours_like(border="replicate"),
                ),
                Mistake(
                    "row and column are swapped: an offset is (row, column), and rows are the grid's first axis.",
                    like=_neighbours_like(lambda row, column: (column, row)),
                ),
                Mistake(
                    "one column too far to the right: is the padding as wide as the reach of the offsets?",
                    like=_neighbours_like(lambda row, column: (row, column + 1)),
                ),
                Mistake(
                    "all planes are moved by one row and one column: without an offset, the window starts at the padding's "
                    "width, `padded[reach:, reach:]`.",
                    like=(
                        _neighbours_like(lambda row, column: (row - 1, column - 1)),
                        _neighbours_like(lambda row, column: (row + 1, column + 1)),
                    ),
                ),
                Mistake(
                    "the planes are laid below each other: `torch.stack` gives them an axis of their own, `torch.cat` doesn't.",
                    when=lambda yours, target, grid, offsets: yours.shape == (len(offsets) * len(grid), grid.shape[1]),
                ),
                Mistake(
                    "the first offset's plane alone: is there a `return` in the loop?",
                    when=lambda yours, target, grid, offsets: yours.shape == (1, *grid.shape),
                ),
                Mistake(
                    "the planes come in another order than the offsets: the context model's weights fit one order alone.",
                    like=(
                        _neighbours_like(order=sorted),
                        _neighbours_like(order=lambda offsets: offsets[::-1]),
                    ),
                ),
                Mistake(
                    "the planes stand last: stack them along a new first axis, (neighbours, rows, columns).",
                    when=lambda yours, target, grid, offsets: yours.shape == (*grid.shape, len(offsets)),
                ),
                Mistake(
                    "that is one plane: every offset makes a plane of its own.",
                    when=lambda yours, target, grid, offsets: yours.shape == grid.shape,
                ),
                Mistake(
                    "the planes grow with the padding: each is cut to the grid's own size.",
                    when=lambda yours, target, grid, offsets: yours.shape[1] > grid.shape[0],
                ),
                Mistake(
                    "planes of different sizes can't be stacked: pad the grid with zeros on all sides, then cut a window of the "
                    "grid's own size for each offset, `padded[top : top + rows, left : left + columns]`, `top = reach + row`.",
                    error="stack expects each tensor to be equal size",
                ),
            ),
        ),
        Check(
            "a grid can be trained through its neighbours",
            inputs=_grid_and_offsets,
            call=_slopes_of_neighbours,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "no gradient comes back to the grid: a latent is also a neighbour, and learns to make the next guess better. "
                    "No `detach()`, `.data` or `torch.tensor(…)` of a tensor.",
                    error="no gradient",
                ),
            ),
        ),
        Check(
            "grids narrower than the neighbourhood",
            inputs=_narrow_grid,
            mistakes=(
                Mistake(
                    "it fails on a grid of one row or column, and the coarsest grids are that small: pad by the reach of the "
                    "offsets, whatever the grid's size.",
                    error="Error",
                ),
            ),
        ),
    ),
    hints=(
        "Seen from every place at once, “the value to the left” is the whole grid, moved one to the right. So pad it with zeros "
        "on all sides, and cut out a window of the grid's own size.",
        "`reach = 3` is enough for every offset here; `padded = F.pad(grid, (reach, reach, reach, reach))`. Without a shift, the "
        "window is `padded[reach : reach + rows, reach : reach + columns]`.",
        "For an offset (row, column) the window starts at `reach + row` and `reach + column`. `torch.stack` all windows.",
    ),
)
