"""Checks of how notebook 03 trains in steps: learning rates that rise and fall, and restarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n03_modulated_nif.answers import disturbed, rise_and_fall

# ---------------------------------------------------------------------------------------------- 03.4


def _cycle_inputs(random: Random) -> tuple[int, int, float]:
    period = random.randint(20, 40)
    return period, random.randint(4, period // 3), random.choice([0.1, 0.25, 0.4])


def _factors(function: Callable[..., float], period: int, warm_up: int, floor: float) -> list[float]:
    return [function(t, period, warm_up, floor) for t in range(2 * period + period // 2)]


def cycling(
    *,
    again: bool = True,
    until: int = 0,
    rise: Callable[[int, int], float] = lambda t, n: t / (n - 1),
    fall: Callable[[int, int, int], float] = lambda t, n, period: 1 - t / period,
    scale: Callable[[float, float], float] = lambda f, floor: floor + (1 - floor) * f,
):
    """Schedules that differ from the right one in one thing; arguments as they are right."""

    def wrong(t: int, period: int, warm_up: int, floor: float) -> float:
        t = t % period if again else t
        return scale(rise(t, warm_up) if t < warm_up + until else fall(t, warm_up, period), floor)

    return wrong


def _falls_on(t: int, period: int, warm_up: int, floor: float) -> float:
    at = t % period
    return floor + (1 - floor) * (at / (warm_up - 1) if at < warm_up else 1 - t / period)


def _upside_down(t: int, period: int, warm_up: int, floor: float) -> float:
    at = t % period
    return floor + (1 - floor) * (1 - at / period if at < warm_up else at / (warm_up - 1))


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
                    "the rise begins again, but the fall goes on with the t of all steps: in both, t is the place within the "
                    "step, `t % period`.",
                    like=_falls_on,
                ),
                Mistake(
                    "the warm-up lasts one iteration too long, and in it f is above 1: it is for t < warm_up.",
                    like=cycling(until=1),
                ),
                Mistake(
                    "rise and fall are swapped: f rises as long as t < warm_up, and falls after that.",
                    like=_upside_down,
                ),
                Mistake(
                    "the fall ends at 0: in NIF it is 1 − t/period, and the last t of a step is period − 1.",
                    like=cycling(fall=lambda t, n, period: 1 - t / (period - 1)),
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

_SHARE, _LARGEST, _MEAN, _SPREAD, _SCATTERED, _ALONG, _GROWS, _SIZES, _OWN = (
    "share of the weights that changed",
    "largest change, divided by the bound",
    "mean change, divided by the bound",
    "standard deviation of the changes, divided by bound/√3",
    "scattered over the matrix",
    "correlation of the changes with the weights",
    "correlation of the changes' sizes with the weights' sizes",
    "mean size of the changed weights, divided by that of all",
    "a number for each weight",
)


def _matrix(random: Random) -> tuple[Tensor, float, float]:
    weight = random.normal(300, 300, std=0.2) + 0.045  # its mean, over that of |w|, is near no share and no power of one
    return weight, random.choice([0.2, 0.6]), random.choice([0.27, 0.75])


def _change(function: Callable[..., Tensor], weight: Tensor, fraction: float, strength: float) -> dict[str, float]:
    before = weight.clone()
    torch.manual_seed(torch.initial_seed() + 1)  # the weights come from a generator of the same seed: no noise in step with them
    result = function(weight, fraction, strength)
    if not isinstance(result, Tensor):
        raise Wrong("the disturbed matrix is to be returned: a tensor of the same shape.")
    if result.shape != weight.shape:
        raise Wrong(f"the result has the shape {tuple(result.shape)}: it is the whole matrix, {tuple(weight.shape)}.")
    if not torch.equal(weight, before):
        raise Wrong("it changes the matrix that it was given: return a new one, `weight + …`.")
    if float((result == 0).double().mean()) > 0.1:
        raise Wrong("where nothing is disturbed, the weights are 0 now: the noise is added to `weight`, all of it stays.")
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
        _ALONG: _correlation(moved, weight[change != 0]),
        _GROWS: _correlation(moved.abs(), weight[change != 0].abs()),
        _SIZES: float(weight[change != 0].abs().mean() / weight.abs().mean()),
        _OWN: _own(change),
    }


def _heavy(random: Random) -> tuple[Tensor, float, float]:
    """One weight is so large that the mean of |w| over a part of the matrix is another than that over all."""
    weight = random.normal(100, 100, std=0.2)
    weight[random.randint(0, 99), random.randint(0, 99)] = 2000.0
    return weight, random.choice([0.3, 0.6]), random.choice([0.27, 0.75])


def _largest(function: Callable[..., Tensor], weight: Tensor, fraction: float, strength: float) -> dict[str, float]:
    return {_LARGEST: _change(function, weight, fraction, strength)[_LARGEST]}


def _own(change: Tensor) -> bool:
    """Whether the changes of a row, or of a column, differ from each other as those of the whole matrix do."""
    moved = change != 0
    spread = change[moved].double().var()
    for axis in (0, 1):
        counts = moved.sum(axis)
        means = change.double().sum(axis) / counts.clamp(min=1)
        around = ((change - means.unsqueeze(axis)) * moved).double().square().sum() / moved.sum()
        if around < 0.5 * spread and counts.min() > 2:
            return False
    return True


def _correlation(first: Tensor, second: Tensor) -> float:
    both = torch.stack([first, second.detach()])
    even = len(first) < 2 or float(first.std()) < 1e-3 * float(first.abs().mean())  # what varies is rounding
    return 0.0 if even else float(torch.corrcoef(both)[0, 1].nan_to_num())


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
    return abs(value - target) < 0.01


def _scaled(scale: Callable[[Tensor, float, float], float]) -> Callable[..., bool]:
    """Whether the noise is uniform, and that many times too large."""

    def found(yours: Mapping[str, float], target: object, weight: Tensor, fraction: float, strength: float) -> bool:
        wrong = scale(weight, fraction, strength)
        return all(abs(yours[key] - wrong) < 0.02 * wrong for key in (_LARGEST, _SPREAD))

    return found


_SCALES: tuple[tuple[str, Callable[[Tensor, float, float], float]], ...] = (
    (
        "the division by `fraction` is missing: the fewer weights are disturbed, the further each one goes.",
        lambda w, fraction, strength: fraction,
    ),
    (
        "`fraction` is multiplied with: divide by it. The fewer weights are disturbed, the further each one goes.",
        lambda w, fraction, strength: fraction**2,
    ),
    ("`strength` is missing: c = strength·mean|w| / fraction.", lambda w, fraction, strength: 1 / strength),
    (
        "the mean of the weights themselves is nearly 0, positive and negative ones cancel: take the mean of |w|.",
        lambda w, fraction, strength: abs(float(w.mean() / w.abs().mean())),
    ),
    (
        "the noise goes from −½ to ½: `2 * torch.rand_like(weight) - 1` is uniform in [−1, 1].",
        lambda w, fraction, strength: 0.5,
    ),
    (
        "the standard deviation of the weights is the measure: it is the mean of |w|.",
        lambda w, fraction, strength: float(w.std() / w.abs().mean()),
    ),
    (
        "the largest weight is the measure: it is the mean of |w|.",
        lambda w, fraction, strength: float(w.abs().max() / w.abs().mean()),
    ),
)

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
                    "`fraction` and `strength` are swapped: the share is `fraction`, and c = strength·mean|w| / fraction.",
                    when=lambda yours, target, w, fraction, strength: _near(yours[_SHARE], strength),
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
                    "all weights get the same noise: draw a number for each, `torch.rand_like(weight)`.",
                    when=lambda yours, target, *_: yours[_SPREAD] < 0.01 * yours[_LARGEST],
                ),
                Mistake(
                    "all disturbed weights of a row, or of a column, get the same noise: draw a number for each, "
                    "`torch.rand_like(weight)`.",
                    when=lambda yours, target, *_: not yours[_OWN],
                ),
                Mistake(
                    "it isn't left to chance which weights are disturbed: large or small ones are preferred. "
                    "`torch.rand_like(weight) < fraction` doesn't look at their sizes.",
                    when=lambda yours, target, *_: _near(yours[_SHARE], target[_SHARE]) and abs(yours[_SIZES] - 1) > 0.05,
                ),
                Mistake(
                    "the noise takes the place of the weights: it is added to them, `weight + …`.",
                    when=lambda yours, target, *_: yours[_ALONG] < -0.08,
                ),
                Mistake(
                    "each weight's own size is the measure, so that large ones move far: take the mean of |w| over the whole "
                    "matrix, one number for all.",
                    when=lambda yours, target, *_: yours[_GROWS] > 0.3,
                ),
                Mistake(
                    "the noise has one sign only: uniform from −1 to +1.",
                    when=lambda yours, target, *_: abs(yours[_MEAN]) > 0.25 * yours[_LARGEST],
                ),
                Mistake(
                    "the noise is normally distributed: a few changes are far outside the bound. It is uniform in [−1, 1].",
                    when=lambda yours, target, *_: yours[_LARGEST] > 1.8 * yours[_SPREAD],
                ),
                *(Mistake(message, when=_scaled(scale)) for message, scale in _SCALES),
            ),
        ),
        Check(
            "the measure is the mean of |w| over the whole matrix",
            inputs=_heavy,
            call=_largest,
            tolerance=0.04,
            mistakes=(
                Mistake(
                    "another number than the mean of |w| over the whole matrix is the measure: is it taken over the chosen "
                    "weights alone?",
                    when=lambda yours, target, *_: True,
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
