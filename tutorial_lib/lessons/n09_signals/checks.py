"""Exercises of notebook 09: a film's canvas, points of any signal, a sound's unit of time, between frames, PixelShuffle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import signals
from tutorial_lib.course.comparing import Random, Wrong, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake

# ---------------------------------------------------------------------------------------------- 09.1


def film_canvas(frames: int, height: int, width: int, scale: float = 1.0) -> Tensor:
    """Coordinates of a film, (frames, height, width, 3): x and y in [−1, 1], t in [−scale, scale]."""
    return signals.canvas((frames, height, width)) * torch.tensor([1.0, 1.0, scale])


def _film_size(random: Random) -> tuple[Any, ...]:
    """Three lengths, never equal, and a scale that is neither 1 nor near it."""
    frames, height, width = random.sample(range(2, 8), 3)
    return frames, height, width, random.choice((0.25, 0.5, 3.0, 10.0))


def _ordered(order: tuple[int, int, int]) -> Callable[..., Tensor]:
    """The canvas with its three numbers in another order."""
    return lambda *size: film_canvas(*size)[..., list(order)]


def _same_lengths(yours: Any, target: Tensor) -> bool:
    return isinstance(yours, Tensor) and yours.shape != target.shape and sorted(yours.shape) == sorted(target.shape)


CANVAS = Exercise(
    id="09.1",
    title="The coordinates of a film",
    minutes=4,
    core=True,
    reference=film_canvas,
    checks=(
        Check(
            "x, y and t of every pixel of every frame",
            inputs=_film_size,
            mistakes=(
                Mistake("t comes first here: the order of the three numbers is x, y, t.", like=_ordered((2, 1, 0))),
                Mistake("t comes first here, then x: the order of the three numbers is x, y, t.", like=_ordered((2, 0, 1))),
                Mistake("x and y are exchanged: the order of the three numbers is x, y, t.", like=_ordered((1, 0, 2))),
                Mistake(
                    "t isn't scaled: it runs from −1 to 1, whatever `scale` is.", like=lambda f, h, w, _: film_canvas(f, h, w)
                ),
                Mistake(
                    "x and y are scaled too: only t gets another unit.",
                    like=lambda f, h, w, scale: scale * film_canvas(f, h, w),
                ),
                Mistake("t is divided by the scale: multiply.", like=lambda f, h, w, scale: film_canvas(f, h, w, 1 / scale)),
                Mistake(
                    "t begins at 0: the first frame is at −scale, the last at scale.",
                    like=(
                        lambda f, h, w, scale: (
                            (film_canvas(f, h, w, scale) + torch.tensor([0, 0, scale])) / torch.tensor([1, 1, 2])
                        ),
                        lambda f, h, w, scale: film_canvas(f, h, w, scale) + torch.tensor([0, 0, scale]),
                    ),
                ),
                Mistake(
                    'the axes come in another order: (frames, height, width, 3). `torch.meshgrid(t, y, x, indexing="ij")` gives '
                    "three tensors (frames, height, width).",
                    when=lambda yours, target, *_: _same_lengths(yours, target),
                ),
            ),
        ),
    ),
    hints=(
        "`torch.linspace(-1, 1, width)` holds the x of a row of pixels.",
        '`torch.meshgrid(t, y, x, indexing="ij")` gives three tensors (frames, height, width), one for each.',
        "`torch.stack([x, y, t], dim=-1)` sets them side by side. Multiply t by `scale` before or after.",
    ),
)

# ---------------------------------------------------------------------------------------------- 09.2


def draw(coordinates: Tensor, values: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Random points of a signal: coordinates (*size, d) and values (c, *size) to (points, d) and (points, c)."""
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    chosen = torch.randint(len(places), (points,), device=places.device)
    return places[chosen], colours[chosen]


def _signal(random: Random, axes: int) -> tuple[Any, ...]:
    """A sound, a picture or a film; the first coordinate of a point and the first of its values are its number."""
    size = [random.sample(range(12, 30), 1), random.sample(range(3, 8), 2), random.sample(range(2, 5), 3)][axes - 1]
    channels = random.choice((1, 2)) if axes == 1 else 3
    numbers = torch.arange(math.prod(size), dtype=torch.float32)
    coordinates = torch.stack([numbers, *random.tensor(axes - 1, len(numbers)).cpu()], dim=-1)
    values = torch.stack([numbers + 100 * channel for channel in range(channels)])
    on = random.device
    return coordinates.view(*size, axes).to(on), values.view(channels, *size).to(on), max(len(numbers) // 2, 2)


DRAWS = 80
"""So many that no point is left out by luck: less than one in 10¹⁵."""


def _drawn(answer: Callable[..., Any], coordinates: Tensor, values: Tensor, points: int) -> dict[str, Any]:
    """Facts of many draws, which hold for every right way to draw."""
    pairs = [answer(coordinates, values, points) for _ in range(DRAWS)]
    for pair in pairs[:1]:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(each, Tensor) for each in pair)):
            raise Wrong("two tensors are expected: coordinates (points, d) and values (points, c)")
    facts: dict[str, Any] = {"shapes": tuple(tuple(each.shape) for each in pairs[0])}
    if facts["shapes"] != ((points, coordinates.shape[-1]), (points, len(values))):
        return facts
    places, colours = (torch.cat(side) for side in zip(*pairs, strict=True))
    number = places[:, 0].round().long()
    table, truth = coordinates.flatten(0, -2), values.flatten(1).T
    real = bool(((number >= 0) & (number < len(table))).all()) and torch.equal(places, table[number])
    facts |= {"device": places.device.type, "places are points": real}
    if real:
        facts["values belong to them"] = torch.equal(colours, truth[number])
        scrambled = values.reshape(-1, len(values))[number]
        other = colours[:, 0].round().long().clamp(0, len(table) - 1)
        facts["values are a point's"] = torch.equal(colours, truth[other])
        facts["scrambled"] = not facts["values belong to them"] and torch.equal(colours, scrambled)
        facts["drawn anew"] = any(not torch.equal(pairs[0][0], pair[0]) for pair in pairs[1:])
        facts["reach"] = sorted(set(number.tolist()))
    return facts


def _fact(name: str, value: object) -> Callable[..., bool]:
    return lambda yours, target, *_: yours.get(name) == value


def _first_axis_alone(yours: Any, target: Any, coordinates: Tensor, *_: Any) -> bool:
    return coordinates.ndim > 2 and yours.get("reach") == list(range(len(coordinates)))


_DRAW_MISTAKES = (
    Mistake(
        "the values are (channels, points): one row a point, so turn them round (`.T`).",
        when=lambda yours, target, *_: yours["shapes"] == (target["shapes"][0], target["shapes"][1][::-1]),
    ),
    Mistake(
        "the coordinates are expected first, then the values.",
        when=lambda yours, target, *_: yours["shapes"] == target["shapes"][::-1] != target["shapes"],
    ),
    Mistake(
        "two tables are expected, (points, d) and (points, c): a row for each of the `points` that were drawn.",
        when=lambda yours, target, *_: yours["shapes"] != target["shapes"],
    ),
    Mistake(
        "the values' channels are mixed: they come first, so `reshape(-1, c)` tears them apart. "
        "`values.flatten(1).T` or `movedim(0, -1)` first.",
        when=_fact("scrambled", True),
    ),
    Mistake(
        "the values are of other points than the coordinates: draw the indices once, for both.",
        when=lambda yours, *_: not yours["values belong to them"] and yours["values are a point's"],
    ),
    Mistake("the values of a row aren't those of the point beside them.", when=_fact("values belong to them", False)),
    Mistake("the same points every time: each call must draw anew.", when=_fact("drawn anew", False)),
    Mistake(
        "only the first points are ever drawn, as many as the first axis is long: flatten first, then count.",
        when=_first_axis_alone,
    ),
    Mistake(
        "some points were never drawn: every one of them must have its chance.",
        when=lambda yours, target, *_: set(yours["reach"]) < set(target["reach"]),
    ),
)

DRAW = Exercise(
    id="09.2",
    title="Points of any signal",
    minutes=5,
    core=True,
    reference=draw,
    checks=(
        Check("random points of a sound", inputs=lambda random: _signal(random, 1), call=_drawn, mistakes=_DRAW_MISTAKES),
        Check("of a picture", inputs=lambda random: _signal(random, 2), call=_drawn, mistakes=_DRAW_MISTAKES),
        Check("of a film", inputs=lambda random: _signal(random, 3), call=_drawn, mistakes=_DRAW_MISTAKES),
    ),
    hints=(
        "`coordinates.flatten(0, -2)` is a list of points (N, d), however many axes there were.",
        "`values.flatten(1)` is (c, N); `.T` turns it into (N, c).",
        "`torch.randint(N, (points,))` draws indices. Use the same ones for both lists.",
    ),
)

# ---------------------------------------------------------------------------------------------- 09.3


def unit_of_time(hertz: float, seconds: float, omega_0: float = 30.0) -> float:
    """The scale of t with which the fastest neuron of the first layer makes `hertz` waves a second."""
    return math.pi * hertz * seconds / omega_0


def _tone(random: Random) -> tuple[Any, ...]:
    return random.uniform(50, 2000), random.uniform(0.5, 9), random.choice((10.0, 20.0, 45.0))


UNIT = Exercise(
    id="09.3",
    title="How long is a second?",
    minutes=4,
    core=False,
    reference=unit_of_time,
    checks=(
        Check(
            "the fastest neuron makes that many waves a second",
            inputs=_tone,
            mistakes=(
                Mistake(
                    "twice as fast: t runs from −scale to scale, so the sound is 2 · scale long.",
                    like=lambda hertz, seconds, omega_0: 2 * unit_of_time(hertz, seconds, omega_0),
                ),
                Mistake(
                    "2π is missing: one wave of a sine is 2π long.",
                    like=(
                        lambda hertz, seconds, omega_0: hertz * seconds / omega_0,
                        lambda hertz, seconds, omega_0: hertz * seconds / omega_0 / 2,
                    ),
                ),
                Mistake(
                    "the length of the sound is missing: `hertz` are waves a second, and t knows no seconds.",
                    like=(
                        lambda hertz, seconds, omega_0: unit_of_time(hertz, 1, omega_0),
                        lambda hertz, seconds, omega_0: unit_of_time(hertz, 2, omega_0),
                    ),
                ),
                Mistake(
                    "ω₀ isn't divided by: the neuron is fast already.",
                    like=lambda hertz, seconds, omega_0: unit_of_time(hertz, seconds, 1),
                ),
                Mistake(
                    "this is right for ω₀ = 30 alone: use `omega_0`.",
                    like=lambda hertz, seconds, omega_0: unit_of_time(hertz, seconds),
                ),
                Mistake(
                    "upside down: a faster tone needs a larger scale.",
                    like=lambda hertz, seconds, omega_0: 1 / unit_of_time(hertz, seconds, omega_0),
                ),
            ),
        ),
    ),
    hints=(
        "From t = −s to t = s, the angle ω₀ · w · t with w = 1 grows by 2 · s · ω₀.",
        "One wave is 2π of it: 2 · s · ω₀ / 2π waves in all.",
        "They shall be hertz · seconds. Solve for s.",
    ),
)

# ---------------------------------------------------------------------------------------------- 09.4


def slow_motion(frames: int, factor: int) -> Tensor:
    """t in [−1, 1] of a film's own frames and of factor − 1 more between each two."""
    return torch.linspace(-1, 1, (frames - 1) * factor + 1)


def _slower(random: Random) -> tuple[Any, ...]:
    return random.randint(3, 9), random.choice((2, 3, 4))


SLOW = Exercise(
    id="09.4",
    title="Between the frames",
    minutes=3,
    core=False,
    reference=slow_motion,
    checks=(
        Check(
            "the film's own frames, and as many new ones between each two",
            inputs=_slower,
            mistakes=(
                Mistake(
                    "fence posts: between n frames there are n − 1 gaps. With `frames * factor` instants hardly any of the "
                    "film's own frames is among them.",
                    like=lambda frames, factor: torch.linspace(-1, 1, frames * factor),
                ),
                Mistake(
                    "the last frame is missing.",
                    like=lambda frames, factor: slow_motion(frames, factor)[:-1],
                ),
                Mistake(
                    "the film's own frames alone: where are those between them?",
                    like=lambda frames, factor: torch.linspace(-1, 1, frames),
                ),
                Mistake(
                    "the new frames alone: the film's own belong in their places.",
                    like=lambda frames, factor: slow_motion(frames, factor)[
                        torch.arange((frames - 1) * factor + 1) % factor != 0
                    ],
                ),
                Mistake(
                    "`factor` new frames in each gap, which is slower than `factor` times: factor − 1 are needed.",
                    like=lambda frames, factor: slow_motion(frames, factor + 1),
                ),
                Mistake(
                    "t runs from 0 to 1 here: the canvas is [−1, 1].",
                    like=lambda frames, factor: (slow_motion(frames, factor) + 1) / 2,
                ),
                Mistake(
                    "these are numbers of frames: t is −1 at the first and 1 at the last.",
                    like=(
                        lambda frames, factor: torch.arange((frames - 1) * factor + 1) / factor,
                        lambda frames, factor: torch.arange((frames - 1) * factor + 1),
                    ),
                ),
                Mistake(
                    "count the dots: n − 1 gaps of `factor` steps, and one dot more at the end.",
                    when=lambda yours, target, *_: tuple(yours.shape) != tuple(target.shape),
                ),
            ),
        ),
    ),
    hints=(
        "Draw three frames as dots on a line, and put two more into each gap. How many dots are there?",
        "n frames have n − 1 gaps; each becomes `factor` steps: (n − 1) · factor steps, and one dot more.",
        "`torch.linspace(-1, 1, count)`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 09.5


def pixel_shuffle(features: Tensor, factor: int) -> Tensor:
    """(b, c·factor², h, w) to (b, c, factor·h, factor·w)."""
    return F.pixel_shuffle(features, factor)


def _maps(random: Random) -> tuple[Any, ...]:
    height, width = random.size(2, 5)
    factor, channels, batch = random.choice((2, 3)), random.choice((2, 3)), random.choice((1, 3))
    return random.normal(batch, channels * factor**2, height, width), factor


def _arranged(order: tuple[int, ...], axes: str) -> Callable[[Tensor, int], Tensor]:
    """Split the channels into axes of "c" and of two "r", then permute and join."""

    def shuffle(features: Tensor, factor: int) -> Tensor:
        batch, many, height, width = features.shape
        channels = many // factor**2
        split = features.reshape(batch, *(channels if axis == "c" else factor for axis in axes), height, width)
        return split.permute(order).reshape(batch, channels, factor * height, factor * width)

    return shuffle


def _trained(answer: Callable[..., Any], features: Tensor, factor: int) -> Any:
    with torch.enable_grad():
        leaf = features.clone().requires_grad_()
        return slopes(answer(leaf, factor), {"the features": leaf})


SHUFFLE = Exercise(
    id="09.5",
    title="PixelShuffle",
    minutes=6,
    core=True,
    reference=pixel_shuffle,
    checks=(
        Check(
            "channels become pixels",
            inputs=_maps,
            mistakes=(
                Mistake(
                    "a plain `reshape` keeps the order in memory, but those of one place must become neighbours. Permute first.",
                    like=lambda x, r: x.reshape(len(x), x.shape[1] // r**2, r * x.shape[2], r * x.shape[3]),
                ),
                Mistake(
                    "rows and columns within a square are exchanged: channel 1 belongs to the right of channel 0, not below it.",
                    like=_arranged((0, 1, 4, 3, 5, 2), "crr"),
                ),
                Mistake(
                    "the channels are split as (r, r, c): the first r² channels must make the first output channel, (c, r, r).",
                    like=_arranged((0, 3, 4, 1, 5, 2), "rrc"),
                ),
                Mistake(
                    "these are r × r small pictures beside each other: each place must become a square of r × r, so the axis of "
                    "r comes behind h, and the other behind w.",
                    like=_arranged((0, 1, 2, 4, 3, 5), "crr"),
                ),
                Mistake(
                    "height and width are exchanged.",
                    when=lambda yours, target, *_: yours.shape == target.transpose(2, 3).shape != target.shape,
                ),
                Mistake(
                    "each channel was enlarged by repeating, and the others left out: all r² of them are used.",
                    like=lambda x, r: x[:, :: r**2].repeat_interleave(r, 2).repeat_interleave(r, 3),
                ),
            ),
        ),
        Check(
            "gradients reach all features",
            inputs=_maps,
            call=_trained,
        ),
    ),
    hints=(
        "`features.reshape(b, c, r, r, h, w)` splits the channels: first r² of them for output channel 0, and so on.",
        "Which axes make the new rows? h, and within each the first r. The new columns: w, and the second r.",
        "`.permute(0, 1, 4, 2, 5, 3)` gives (b, c, h, r, w, r). Then join by `reshape`.",
    ),
)

EXERCISES = [CANVAS, DRAW, UNIT, SLOW, SHUFFLE]
