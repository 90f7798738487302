"""Checks of how notebook 03 trains: learning rates that rise and fall, restarts, and a race of optimizers."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n03_modulated_nif.answers import disturbed, race, rise_and_fall
from tutorial_lib.lessons.n03_modulated_nif.checks_layers import linear

# ---------------------------------------------------------------------------------------------- 03.4


def _cycle_inputs(random: Random) -> tuple[int, int, float]:
    period = random.randint(20, 40)
    return period, random.randint(4, period // 3), random.choice([0.1, 0.25, 0.4])


def _factors(function: Callable[..., float], period: int, warm_up: int, floor: float) -> list[float]:
    return [function(t, period, warm_up, floor) for t in range(2 * period + period // 2)]


def cycling(
    *,
    again: bool = True,
    rise: Callable[[int, int], float] = lambda t, n: t / (n - 1),
    fall: Callable[[int, int, int], float] = lambda t, n, period: 1 - t / period,
    scale: Callable[[float, float], float] = lambda f, floor: floor + (1 - floor) * f,
):
    """Schedules that differ from the right one in one thing; arguments as they are right."""

    def wrong(t: int, period: int, warm_up: int, floor: float) -> float:
        t = t % period if again else t
        return scale(rise(t, warm_up) if t < warm_up else fall(t, warm_up, period), floor)

    return wrong


SCHEDULE = Exercise(
    id="03.4a",
    title="The schedule of a step",
    minutes=3,
    core=False,
    reference=rise_and_fall,
    checks=(
        Check(
            "right in the first step, and again in the next",
            inputs=_cycle_inputs,
            call=_factors,
            draw="curve",
            mistakes=(
                Mistake(
                    "it does not begin again: t goes on counting over all steps, so its place within a step is `t % period`.",
                    like=cycling(again=False),
                ),
                Mistake(
                    "the rise is a little too slow: its last iteration is `warm_up - 1`, and there f is 1.",
                    like=cycling(rise=lambda t, n: t / n),
                ),
                Mistake(
                    "the rise starts at 1/warm_up: at t = 0 it is 0, and the learning rate at its floor.",
                    like=cycling(rise=lambda t, n: (t + 1) / n),
                ),
                Mistake(
                    "the fall starts at 1: in NIF it is 1 − t/period with t counted from the beginning of the step, so that "
                    "there is a small jump after the rise.",
                    like=cycling(fall=lambda t, n, period: 1 - (t - n) / (period - n)),
                ),
                Mistake(
                    "the floor is missing: f = 0 gives `floor`, f = 1 gives 1.",
                    like=cycling(scale=lambda f, floor: f),
                ),
                Mistake(
                    "the floor is added on top: then f = 1 gives more than 1. Scale f by (1 − floor) first.",
                    like=cycling(scale=lambda f, floor: floor + f),
                ),
                Mistake(
                    "the floor cuts f off: it is scaled, floor + (1 − floor)·f.",
                    like=cycling(scale=lambda f, floor: max(f, floor)),
                ),
                Mistake("f rises and never falls.", like=cycling(fall=lambda t, n, period: t / period)),
            ),
        ),
    ),
    hints=(
        "First the place within the step: `t % period`.",
        "`f = t / (warm_up - 1)` as long as `t < warm_up`, and `1 - t / period` after that.",
        "Return `floor + (1 - floor) * f`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.4, second half

_SHARE, _LARGEST, _MEAN, _SPREAD, _SCATTERED = (
    "share of the weights that changed",
    "largest change, divided by the bound",
    "mean change, divided by the bound",
    "standard deviation of the changes, divided by bound/√3",
    "scattered over the matrix",
)


def _matrix(random: Random) -> tuple[Tensor, float, float]:
    weight = random.normal(300, 300, std=0.2) + 0.09  # a mean as far from every share as from |w|
    return weight, random.choice([0.25, 0.65]), random.choice([0.3, 0.9])


def _change(function: Callable[..., Tensor], weight: Tensor, fraction: float, strength: float) -> dict[str, float]:
    before = weight.clone()
    result = function(weight, fraction, strength)
    if not isinstance(result, Tensor):
        raise Wrong("the disturbed matrix is to be returned: a tensor of the same shape.")
    if result.shape != weight.shape:
        raise Wrong(f"the result has the shape {tuple(result.shape)}: it is the whole matrix, {tuple(weight.shape)}.")
    if not torch.equal(weight, before):
        raise Wrong("it changes the matrix that it was given: return a new one, `weight + …`.")
    change = (result - weight).detach()
    moved = change[change != 0]
    if not len(moved):
        raise Wrong("nothing has changed: add the noise to `weight`.")
    bound = float(strength * weight.abs().mean() / fraction)
    return {
        _SHARE: len(moved) / change.numel(),
        _LARGEST: float(moved.abs().max()) / bound,
        _MEAN: float(moved.mean()) / bound,
        _SPREAD: float(moved.std()) * math.sqrt(3) / bound,
        _SCATTERED: _scattered(change != 0),
    }


def _scattered(chosen: Tensor) -> bool:
    """Whether rows and columns vary in their counts no more than chance has it, and all parts have their share."""
    share = chosen.double().mean()
    for axis in (0, 1):
        shares = chosen.double().mean(axis)
        chance = (share * (1 - share) / chosen.shape[axis]).sqrt()
        halves = shares.view(2, -1).mean(1)
        if shares.std() > 1.5 * chance + 1e-9 or abs(halves[0] - halves[1]) > 0.05:
            return False
    return True


def _near(value: float, target: float) -> bool:
    return abs(value - target) < 0.04 * (1 + target)


RESTART = Exercise(
    id="03.4b",
    title="The weight restart",
    minutes=4,
    core=False,
    reference=disturbed,
    checks=(
        Check(
            "the right share of the weights, by the right amount",
            inputs=_matrix,
            call=_change,
            tolerance=0.04,
            mistakes=(
                Mistake(
                    "all weights are disturbed: only a random share `fraction` of them gets noise. "
                    "`torch.rand_like(weight) < fraction` chooses.",
                    when=lambda yours, target, w, fraction, strength: yours[_SHARE] > 0.99,
                ),
                Mistake(
                    "the weights outside the share are disturbed: choose those with `torch.rand_like(weight) < fraction`.",
                    when=lambda yours, target, w, fraction, strength: _near(yours[_SHARE], 1 - fraction),
                ),
                Mistake(
                    "it isn't left to chance which weights are disturbed: whole rows, or the first ones, go together. Each "
                    "weight is chosen for itself, `torch.rand_like(weight) < fraction`.",
                    when=lambda yours, target, *_: not yours[_SCATTERED],
                ),
                Mistake(
                    "the noise has one sign only: uniform from −1 to +1.",
                    when=lambda yours, target, *_: abs(yours[_MEAN]) > 0.25 * yours[_LARGEST],
                ),
                Mistake(
                    "the noise is normally distributed: a few changes are far outside the bound. It is uniform in [−1, 1].",
                    when=lambda yours, target, *_: yours[_LARGEST] > 1.8 * yours[_SPREAD],
                ),
                Mistake(
                    "the division by `fraction` is missing: the fewer weights are disturbed, the further each one goes.",
                    when=lambda yours, target, w, fraction, strength: _near(yours[_LARGEST], fraction),
                ),
                Mistake(
                    "the mean of the weights themselves is nearly 0, positive and negative ones cancel: take the mean of |w|.",
                    when=lambda yours, target, w, fraction, strength: _near(
                        yours[_LARGEST], abs(float(w.mean() / w.abs().mean()))
                    ),
                ),
                Mistake(
                    "each weight's own size is the measure: take the mean of |w| over the whole matrix, one number.",
                    when=lambda yours, target, *_: yours[_LARGEST] > 2,
                ),
                Mistake(
                    "the noise goes from −½ to ½: `2 * torch.rand_like(weight) - 1` is uniform in [−1, 1].",
                    when=lambda yours, target, *_: _near(yours[_LARGEST], 0.5) and _near(yours[_SPREAD], 0.5),
                ),
            ),
        ),
    ),
    hints=(
        "Two random matrices: one decides which weights move, the other how far. `torch.rand_like(weight)` is uniform in [0, 1).",
        "Which: `torch.rand_like(weight) < fraction`. How far, as uniform noise in [−1, 1]: `2 * torch.rand_like(weight) - 1`.",
        "Return `weight` plus the product of both, times `strength`, times the mean of `weight.abs()`, divided by `fraction`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.5


_START = 1000.0
"""Clocks start anywhere: `time.perf_counter()` is not 0 at the beginning."""


class _Stopwatch:
    """A clock on which time passes only while an optimizer works."""

    def __init__(self) -> None:
        self.now, self.asked = _START, 0

    def __call__(self) -> float:
        self.asked += 1
        if self.asked > 10_000:
            raise Wrong("the race never ends: the clock is asked again and again, but no optimizer takes a step.")
        return self.now


class _Timed(torch.optim.SGD):
    """Gradient descent that takes a given time for each step."""

    def __init__(self, parameters: Any, clock: _Stopwatch, cost: float, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.clock, self.cost, self.steps = clock, cost, 0

    def step(self, closure: Any = None) -> None:
        self.steps += 1
        if self.steps > 400:
            raise Wrong("the race never ends: one optimizer took 400 steps and the clock was not looked at.")
        self.clock.now += self.cost
        super().step(closure)


def _race_inputs(random: Random) -> tuple[Any, ...]:
    clock = _Stopwatch()
    start = linear(random, 3, 2)
    inputs, targets = random.tensor(12, 3, low=-1, high=1), random.tensor(12, 2)
    fast, slow = random.uniform(0.11, 0.15), random.uniform(0.31, 0.45)
    optimizers = {
        "light": lambda parameters: _Timed(parameters, clock, fast, 0.1),
        "heavy": lambda parameters: _Timed(parameters, clock, slow, 0.25),
    }
    return start, optimizers, lambda network: (network(inputs) - targets).square().mean(), random.uniform(2.05, 2.95), clock


def racing(
    *,
    copied: bool = True,
    one_clock: bool = False,
    of_start: bool = False,
    zero: bool = True,
    early: bool = True,
    number: bool = True,
    steps: int | None = None,
    relative: bool = True,
):
    """Races that differ from the right one in one thing; arguments as they are right."""

    def wrong(start, optimizers, loss, seconds, clock=time.perf_counter):
        curves, begun = {}, clock()
        for name, make in optimizers.items():
            network = copy.deepcopy(start) if copied else start
            optimizer = make((start if of_start else network).parameters())
            begun, points = begun if one_clock else clock(), []
            while len(points) < steps if steps else clock() - begun < seconds:
                elapsed, error = clock() - begun if relative else clock(), loss(network)
                if zero:
                    optimizer.zero_grad()
                error.backward()
                optimizer.step()
                points.append((elapsed if early else clock() - begun, error.item() if number else error))
            curves[name] = points
        return curves

    return wrong


def _same_steps(yours: Mapping[str, Sequence[Any]], target: Mapping[str, Sequence[Any]], *_: Any) -> bool:
    lengths = {len(points) for points in yours.values()}
    return len(lengths) == 1 and len({len(points) for points in target.values()}) > 1


RACE = Exercise(
    id="03.5",
    title="A race on the same clock",
    minutes=5,
    core=False,
    reference=race,
    checks=(
        Check(
            "same start, same clock, each step noted",
            inputs=_race_inputs,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the losses still carry their graph of gradients: `error.item()` makes a plain number.",
                    when=lambda yours, target, *_: any(isinstance(e, Tensor) for points in yours.values() for _, e in points),
                ),
                Mistake(
                    "the second optimizer starts where the first one ended: give each its own `copy.deepcopy(start)`.",
                    like=racing(copied=False),
                ),
                Mistake(
                    "the clock runs on from the first optimizer to the second, which has no time left: note `begun` for "
                    "each of them anew.",
                    like=racing(one_clock=True),
                ),
                Mistake(
                    "the losses never change: the optimizer moves other weights than those of the copy that the loss sees. Make "
                    "it with the copy's parameters; and there are a `backward()` and a `step()` in each step.",
                    when=lambda yours, target, *_: all(
                        len(points) > 1 and max(e for _, e in points) - min(e for _, e in points) < 1e-7
                        for points in yours.values()
                    ),
                ),
                Mistake(
                    "gradients pile up from step to step: `optimizer.zero_grad()` belongs before `error.backward()`.",
                    like=racing(zero=False),
                ),
                Mistake(
                    "both optimizers took the same number of steps: a slow one gets fewer. Let the clock end the loop, "
                    "not a count.",
                    when=_same_steps,
                ),
                Mistake(
                    "the time is noted after the step, but the loss is that of the weights before it: note both together.",
                    like=racing(early=False),
                ),
                Mistake(
                    "the time of day is noted, not the time since the start: subtract `begun`.",
                    like=racing(relative=False),
                ),
            ),
        ),
    ),
    hints=(
        "For each optimizer: a copy of the network of its own, an optimizer for the copy's parameters, and a clock that starts "
        "then.",
        "The loop ends by the clock: `while (elapsed := clock() - begun) < seconds:`.",
        "In the loop: `error = loss(network)`, note `(elapsed, error.item())`, then `zero_grad`, `backward`, `step`.",
    ),
)
