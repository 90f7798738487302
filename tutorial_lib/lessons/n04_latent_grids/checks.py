"""Exercises of notebook 04: a pyramid of integer grids, what stands for rounding, what an integer costs, and the fit."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib import latent_grids, latent_training
from tutorial_lib.course.comparing import Random, Wrong, slope
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.latent_grids import FRACTION_BITS, GAIN, SMALL, Band, GridsConfig, Upsampling, contexts_of, grid_sizes

UNIT = 1 << FRACTION_BITS

# ---------------------------------------------------------------------------------------------- the library's answers

Doubling = Callable[[Tensor, int], Tensor]


def features(grids: Sequence[Tensor], double: Doubling) -> Tensor:
    """`LatentGrids.coarse` and `LatentGrids.features` in one: all grids at the finest one's size, finest first."""
    stack = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        rows, columns = grids[level].shape
        stack = torch.cat([grids[level][None], double(stack, level)[:, :rows, :columns]])
    return stack


def neighbours(grid: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """`latent_grids.contexts_of` for one grid: (rows, columns) to (neighbours, rows, columns)."""
    config = GridsConfig(grids=1, context=tuple(offsets))
    return contexts_of(config, [grid], [Band(0, 0, grid.shape[0])]).unflatten(1, grid.shape)


def step(
    model: nn.Module,
    picture: Tensor,
    lmbda: float,
    stand_in: Callable[[Tensor], Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> tuple[float, float]:
    """A step of `latent_training.fit`, without its bands: D, and R in bits per pixel, before the step."""
    grids = model.split(stand_in(GAIN * model.latents))
    distortion = F.mse_loss(model.paint(grids), picture)
    rate = model.bits_of(grids).sum() / (picture.shape[1] * picture.shape[2])
    for optimizer in optimizers:
        optimizer.zero_grad()
    (distortion + lmbda * rate).backward()
    for optimizer in optimizers:
        optimizer.step()
    return distortion.item(), rate.item()


def integer_layer(matrix: Tensor, columns: Tensor) -> Tensor:
    """A layer of `latent_grids.IntegerContextModel`: [W | b], and integers in units of 2⁻¹², to the same units."""
    whole = torch.round(matrix.detach().double() * UNIT)
    return torch.addmm(whole[:, -1:] * UNIT, whole[:, :-1], columns).div_(UNIT).floor_()


# ---------------------------------------------------------------------------------------------- 04.1


def _pyramid(random: Random, height: int, width: int) -> tuple[list[Tensor], Doubling]:
    """Random grids for a picture of this size, and a doubling with a kernel of its own for each level."""
    config = replace(SMALL, grids=random.randint(3, 5))
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


def _features_like(
    turn: Callable[[Tensor], Tensor] = lambda stack: stack,
    crop: Callable[[Tensor, int, int], Tensor] = lambda planes, rows, columns: planes[:, :rows, :columns],
    level_of: Callable[[int], int] = lambda level: level,
    behind: bool = False,
):
    """Features that differ from the right ones in one thing."""

    def wrong(grids: Sequence[Tensor], double: Doubling) -> Tensor:
        stack = grids[-1][None]
        for level in range(len(grids) - 2, -1, -1):
            parts = [grids[level][None], crop(double(stack, level_of(level)), *grids[level].shape)]
            stack = torch.cat(parts[::-1] if behind else parts)
        return turn(stack)

    return wrong


def _each_alone(grids: Sequence[Tensor], double: Doubling) -> Tensor:
    """Every grid repeated to full size: right in size, not what `double` gives."""
    height, width = grids[0].shape
    return torch.cat([latent_grids.repeat(grid, 2**level)[None, :height, :width] for level, grid in enumerate(grids)])


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
                    when=lambda yours, target, grids, double: yours.ndim == 2 or yours.shape[0] == 1,
                ),
                Mistake(
                    "the coarsest grid comes first: put the finer grid in front, `torch.cat([grid[None], doubled])`.",
                    like=(
                        _features_like(behind=True),
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
                    when=lambda yours, target, grids, double: yours.shape[0] == len(grids) - 1,
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
    ),
    hints=(
        "Go from coarse to fine. What you carry along is a stack of planes (n, rows, columns): one more at each level.",
        "`double(stack, level)` makes the stack twice as large. Cut it to `grids[level].shape`, then put `grids[level][None]` "
        "in front.",
        "`for level in range(len(grids) - 2, -1, -1):` and in it `stack = torch.cat([grids[level][None], …])` "
        "with the doubled and cut stack.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.2


def _values_and_temperature(random: Random) -> tuple[Any, ...]:
    return random.tensor(*random.size(), low=-3, high=3), random.choice([0.15, 0.25, 0.35, 0.6])


def _rounded_like(base=torch.floor, shift: float = 0.5, scale=lambda t: 2 * math.tanh(0.5 / t), inside=lambda r, t: r / t):
    """Soft roundings that differ from the right one in one thing."""

    def wrong(values: Tensor, temperature: float) -> Tensor:
        whole = base(values)
        return whole + shift + torch.tanh(inside(values - whole - shift, temperature)) / scale(temperature)

    return wrong


SOFT_ROUND = Exercise(
    id="04.2",
    title="Soft rounding",
    minutes=5,
    core=True,
    reference=latent_training.soft_round,
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
                Mistake("the 2 is missing in 2·tanh(1/(2T)).", like=_rounded_like(scale=lambda t: math.tanh(0.5 / t))),
                Mistake(
                    "inside the last tanh stands 1/T: it is 1/(2T), so that r = 1 gives the next integer.",
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
            ),
        ),
    ),
    hints=(
        "`values.floor()` is ⌊y⌋. What is left, minus ½, is between −½ and ½.",
        "`torch.tanh(rest / temperature)` is the step; `math.tanh(0.5 / temperature)` is what it reaches at the ends.",
        "`values.floor() + 0.5 + torch.tanh(…) / (2 * math.tanh(…))`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.3


def _grid_and_offsets(random: Random) -> tuple[Any, ...]:
    rows, columns = random.size(6, 12)
    grid = random.tensor(rows, columns, low=1, high=6)  # no zeros, so that the border shows
    return grid, tuple(random.sample(latent_grids.window(2), 5))


def _narrow_grid(random: Random) -> tuple[Any, ...]:
    rows, columns = random.sample([1, 2, 4], 2)
    return random.tensor(rows, columns, low=1, high=6), SMALL.context


def _neighbours_like(place=lambda row, column: (row, column), border: str = "constant", order=lambda offsets: offsets):
    """Neighbours that differ from the right ones in one thing."""

    def wrong(grid: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
        rows, columns = grid.shape
        reach = max(max(map(abs, offset)) for offset in offsets)
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
                    "planes of different sizes can't be stacked: pad the grid with zeros, then cut a window of the grid's own "
                    "size for each offset.",
                    error="stack expects each tensor to be equal size",
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

# ---------------------------------------------------------------------------------------------- 04.4


def _laws(random: Random) -> tuple[Any, ...]:
    count = random.randint(20, 40)
    location, log2_scale = random.tensor(count, low=-3, high=3), random.tensor(count, low=-1, high=3)
    return location + torch.exp2(log2_scale) * random.tensor(count, low=-3, high=3), location, log2_scale


def _cdf(x: Tensor, b: Tensor) -> Tensor:
    return torch.where(x < 0, torch.exp(x / b) / 2, 1 - torch.exp(-x / b) / 2)


def _bits_like(half: float = 0.5, scale=torch.exp2, log=torch.log2, sign: float = -1.0, centre: float = 1.0):
    """Bits that differ from the right ones in one thing."""

    def wrong(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
        distance, b = values - centre * location, scale(log2_scale)
        return sign * log(_cdf(distance + half, b) - _cdf(distance - half, b))

    return wrong


def _far_out(random: Random) -> tuple[Any, ...]:
    location = random.tensor(6, low=-1, high=1)
    far = torch.tensor([150.0, -150.0, 400.0, -400.0, 60.0, -60.0], device=location.device)
    return location + far, location, random.tensor(6, low=-2, high=0)


def _finite(laplace_bits: Callable[..., Tensor], values: Tensor, location: Tensor, log2_scale: Tensor) -> dict[str, bool]:
    bits = laplace_bits(values, location, log2_scale)
    if not isinstance(bits, Tensor):
        raise Wrong("a tensor is expected here, a number of bits for each value")
    return {"finite": bool(torch.isfinite(bits).all()), "ten bits at least": bool((bits >= 10).all())}


BITS = Exercise(
    id="04.4",
    title="What an integer costs",
    minutes=5,
    core=True,
    reference=latent_grids.laplace_bits,
    checks=(
        Check(
            "right for random values and laws",
            inputs=_laws,
            tolerance=2e-3,
            mistakes=(
                Mistake(
                    "natural logarithm: that counts nats. A bit is a logarithm to the base 2, `torch.log2`.",
                    like=_bits_like(log=torch.log),
                ),
                Mistake(
                    "that is the density at y, not a probability: an integer gets the area from y − ½ to y + ½.",
                    like=lambda y, m, s: -torch.log2(torch.exp(-(y - m).abs() / torch.exp2(s)) / (2 * torch.exp2(s))),
                ),
                Mistake("the minus is missing: bits are −log₂ P, and P is below 1.", like=_bits_like(sign=1.0)),
                Mistake(
                    "the scale is e^…: what the context model gives is log₂ b, so b = 2^…, `torch.exp2`.",
                    like=_bits_like(scale=torch.exp),
                ),
                Mistake(
                    "log₂ b is used as if it were b itself: b = 2^(log₂ b), `torch.exp2`.",
                    like=_bits_like(scale=lambda s: s),
                    when=lambda yours, target, y, m, s: not bool(torch.isfinite(yours).all()),
                ),
                Mistake(
                    "the interval is two wide, from y − 1 to y + 1: neighbours would overlap. It goes from y − ½ to y + ½.",
                    like=_bits_like(half=1.0),
                ),
                Mistake("μ is not taken into account: what counts is the distance y − μ.", like=_bits_like(centre=0.0)),
                Mistake("y + μ: what counts is the distance y − μ.", like=_bits_like(centre=-1.0)),
                Mistake(
                    "b is taken for a standard deviation (that would be √2·b): the law falls like e^(−|x|/b).",
                    like=_bits_like(scale=lambda s: torch.exp2(s) / math.sqrt(2)),
                ),
                Mistake(
                    "that is the sum of all bits: one number for each value is asked for.",
                    when=lambda yours, target, *_: yours.ndim == 0 and bool((yours - target.sum()).abs() < 0.01 * target.sum()),
                ),
                Mistake(
                    "that is the probability itself: bits are its −log₂.",
                    when=lambda yours, target, *_: bool((yours - torch.exp2(-target)).abs().max() < 2e-3),
                ),
            ),
        ),
        Check(
            "finite for values far out",
            inputs=_far_out,
            call=_finite,
            mistakes=(
                Mistake(
                    "far out, P is 0 in float32, and −log₂ 0 is infinite: hold P above a small number, `.clamp(min=2**-16)`.",
                    when=lambda yours, target, *_: not yours["finite"],
                ),
                Mistake(
                    "far out, a value must stay expensive: the least P you allow is too large. 2⁻¹⁶ is small enough.",
                    when=lambda yours, target, *_: not yours["ten bits at least"],
                ),
            ),
        ),
    ),
    hints=(
        "Bits are −log₂ of a probability. The probability of an integer is an area under the law: F(y + ½ − μ) − F(y − ½ − μ).",
        "F(x) = ½·e^(x/b) left of 0 and 1 − ½·e^(−x/b) right of it. In one line: "
        "`0.5 + 0.5 * x.sign() * (1 - torch.exp(-x.abs() / b))`.",
        "`b = torch.exp2(log2_scale)`; write F as a little function; then "
        "`-torch.log2((F(distance + 0.5) - F(distance - 0.5)).clamp(min=2**-16))`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.5


class _Toy(nn.Module):
    """Two grids, a picture made of them, and a price for each of their values: the interface of the notebook's model."""

    def __init__(self, height: int, width: int, start: Tensor) -> None:
        super().__init__()
        self.size = (height, width)
        self.latents = nn.Parameter(start)
        self.colours = nn.Parameter(torch.full((3, 1, 1), 0.1, device=start.device))

    def split(self, values: Tensor) -> list[Tensor]:
        height, width = self.size
        return [values[: height * width].view(height, width), values[height * width :].view(1, -1)]

    def paint(self, grids: Sequence[Tensor]) -> Tensor:
        return self.colours * grids[0] + grids[1].mean() / 20

    def bits_of(self, grids: Sequence[Tensor]) -> Tensor:
        return torch.cat([torch.log2(1 + grid.flatten() ** 2) for grid in grids])


def _soft(values: Tensor) -> Tensor:
    return latent_training.soft_round(values, 0.3)


def _step_inputs(random: Random) -> tuple[Any, ...]:
    height, width = random.size(4, 9)
    toy = _Toy(height, width, random.tensor(height * width + 6, low=-0.2, high=0.2))
    return toy, random.picture(height, width), random.choice([0.02, 0.05, 0.1])


def _three_steps(step: Callable[..., Any], toy: _Toy, picture: Tensor, lmbda: float) -> dict[str, Any]:
    toy = copy.deepcopy(toy)
    optimizers = [torch.optim.SGD([toy.colours], lr=0.02), torch.optim.SGD([toy.latents], lr=0.02)]
    noted = []
    for _ in range(3):
        result = step(toy, picture, lmbda, _soft, optimizers)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Wrong("it returns two numbers, D and R: `return distortion.item(), rate.item()`")
        if any(isinstance(each, Tensor) for each in result):
            raise Wrong("D and R still carry their graph of gradients: `.item()` makes plain numbers of them.")
        noted.append(tuple(result))
    (first, last), height, width = (noted[0], noted[-1]), *picture.shape[1:]
    return {
        "D": [d for d, _ in noted],
        "R": [r for _, r in noted],
        "latents": toy.latents.detach(),
        "network": toy.colours.detach(),
        "moved": first != last,
        "pixels": height * width,
    }


def _step_like(
    cost: Callable[[Tensor, Tensor, float], Tensor] = lambda d, r, lmbda: d + lmbda * r,
    count: Callable[[Tensor], int] = lambda picture: picture.shape[1] * picture.shape[2],
    zero: bool = True,
    moves: slice = slice(None),
    distance: Callable[[Tensor], Tensor] = lambda error: error.square().mean(),
):
    """Steps that differ from the right one in one thing."""

    def wrong(model, picture, lmbda, stand_in, optimizers):
        grids = model.split(stand_in(GAIN * model.latents))
        distortion = distance(model.paint(grids) - picture)
        rate = model.bits_of(grids).sum() / count(picture)
        for optimizer in optimizers if zero else ():
            optimizer.zero_grad()
        cost(distortion, rate, lmbda).backward()
        for optimizer in optimizers[moves]:
            optimizer.step()
        return distortion.item(), rate.item()

    return wrong


STEP = Exercise(
    id="04.5",
    title="One step on D + λR",
    minutes=5,
    core=True,
    reference=step,
    checks=(
        Check(
            "right D and R, and everything moves the right way",
            inputs=_step_inputs,
            call=_three_steps,
            mistakes=(
                Mistake(
                    "the rate is that of the whole picture: divide the sum of all bits by the number of pixels.",
                    like=_step_like(count=lambda picture: 1),
                ),
                Mistake(
                    "a pixel is counted three times, once for each colour: the rate is per pixel, height · width of them.",
                    like=_step_like(count=Tensor.numel),
                ),
                Mistake(
                    "the mean of the bits is taken: the coarse grids have bits as well, but no pixels of their own. Sum all "
                    "bits, then divide by the number of pixels.",
                    when=lambda yours, target, toy, *_: (
                        abs(yours["R"][0] * toy.latents.numel() - target["R"][0] * target["pixels"]) < 1e-3
                    ),
                ),
                Mistake(
                    "λ stands at D: it is the price of a bit, J = D + λ·R.",
                    like=_step_like(lambda d, r, lmbda: lmbda * d + r),
                ),
                Mistake("λ is missing: J = D + λ·R.", like=_step_like(lambda d, r, lmbda: d + r)),
                Mistake(
                    "the rate doesn't count: only D is made smaller. J = D + λ·R is what goes `backward()`.",
                    like=_step_like(lambda d, r, lmbda: d),
                ),
                Mistake("the rate is rewarded: J = D + λ·R, with a plus.", like=_step_like(lambda d, r, lmbda: d - lmbda * r)),
                Mistake(
                    "gradients pile up from step to step: `zero_grad()` of every optimiser comes before `backward()`.",
                    like=_step_like(zero=False),
                ),
                Mistake(
                    "only one of the two optimisers takes its step: the networks have one, the latents have the other.",
                    like=(
                        _step_like(moves=slice(0, 1)),
                        _step_like(moves=slice(1, 2)),
                    ),
                ),
                Mistake(
                    "nothing moves: after `backward()`, every optimiser takes its `step()`.",
                    like=_step_like(moves=slice(0, 0)),
                ),
                Mistake(
                    "D is the mean absolute error: square the differences.",
                    like=_step_like(distance=lambda error: error.abs().mean()),
                ),
                Mistake(
                    "D is a sum: take the mean over all pixels and colours, or λ means something else at every size.",
                    like=_step_like(distance=lambda error: error.square().sum()),
                ),
            ),
        ),
    ),
    hints=(
        "Three numbers: D from `model.paint(grids)` and the picture, R from `model.bits_of(grids)`, and J = D + λ·R.",
        "R is in bits per *pixel*: `model.bits_of(grids).sum()` divided by `picture.shape[1] * picture.shape[2]`.",
        "Then a loop of `optimizer.zero_grad()`, one `(distortion + lmbda * rate).backward()`, a loop of `optimizer.step()`, and "
        "`return distortion.item(), rate.item()`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.6


def _layer_inputs(random: Random) -> tuple[Any, ...]:
    outputs, inputs = random.size(3, 9)
    columns = random.tensor(inputs, random.randint(5, 9), low=-9, high=9).double().mul(UNIT).round()
    return random.normal(outputs, inputs + 1, std=0.4), columns


def _integer_like(
    matrix_of: Callable[[Tensor], Tensor] = torch.round,
    bias: float = UNIT,
    end: Callable[[Tensor], Tensor] = torch.floor,
    unit: float = UNIT,
    kind: torch.dtype = torch.float64,
):
    """Integer layers that differ from the right one in one thing."""

    def wrong(matrix: Tensor, columns: Tensor) -> Tensor:
        whole = matrix_of(matrix.detach().to(kind) * UNIT)
        total = whole[:, :-1] @ columns.to(kind) + whole[:, -1:] * bias
        return end(total / unit).double()

    return wrong


INTEGERS = Exercise(
    id="04.6",
    title="A layer in whole numbers",
    minutes=5,
    core=False,
    reference=integer_layer,
    checks=(
        Check(
            "right to the last digit",
            inputs=_layer_inputs,
            tolerance=0.0,
            mistakes=(
                Mistake(
                    "the bias is 4096 times too small: W·x is a product of two numbers in units of 1/4096, so the bias needs "
                    "another factor of 4096 before it is added.",
                    like=_integer_like(bias=1),
                ),
                Mistake(
                    "the weights are not rounded: only multiples of 1/4096 make sums of whole numbers.",
                    like=_integer_like(lambda m: m),
                ),
                Mistake(
                    "the weights are cut off instead of rounded: `torch.round`.",
                    like=(
                        _integer_like(torch.floor),
                        _integer_like(torch.trunc),
                    ),
                ),
                Mistake(
                    "negative sums are cut off towards 0: `torch.floor` goes down for all, and that is what the decoder does.",
                    like=_integer_like(end=torch.trunc),
                ),
                Mistake(
                    "the end result is rounded: that would do, but encoder and decoder must agree, and here it is `torch.floor`.",
                    like=_integer_like(end=torch.round),
                ),
                Mistake(
                    "the end result is no whole number: after the division by 4096 comes `torch.floor`.",
                    like=_integer_like(end=lambda total: total),
                ),
                Mistake(
                    "the sum is still in units of 1/4096²: divide by 4096.",
                    like=_integer_like(unit=1.0),
                ),
                Mistake(
                    "float32 holds whole numbers up to 2²⁴ only, and these sums are larger: `matrix.double()` first, float64 "
                    "holds them up to 2⁵³.",
                    when=lambda yours, target, *_: yours.dtype != torch.float64 or bool(0 < (yours - target).abs().max() <= 64),
                ),
            ),
        ),
        Check(
            "the same one column at a time, or in any other batch",
            inputs=_layer_inputs,
            call=lambda layer, matrix, columns: torch.cat(
                [layer(matrix, columns[:, i : i + 1]) for i in range(columns.shape[1])], 1
            ),
            tolerance=0.0,
        ),
    ),
    hints=(
        "In units of 1/4096 a weight w is the whole number round(4096·w). The columns are whole numbers in these units already.",
        "A product of two such numbers is in units of 1/4096². Bring the bias there with another 4096, add, then go back: "
        "divide by 4096 and `torch.floor`.",
        "`whole = torch.round(matrix.double() * 4096)`, W is `whole[:, :-1]`, b is `whole[:, -1:] * 4096`, and the layer is "
        "`torch.floor((W @ columns + b) / 4096)`.",
    ),
)

EXERCISES = [FEATURES, SOFT_ROUND, NEIGHBOURS, BITS, STEP, INTEGERS]
