"""Checks of notebook 03's race of optimizers on one clock."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random, Wrong, same
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n03_modulated_nif.answers import race
from tutorial_lib.lessons.n03_modulated_nif.checks_layers import linear

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
    """Gradient descent that takes a given time for each step, and goes astray in its third or fourth: the loss grows."""

    def __init__(self, parameters: Any, clock: _Stopwatch, cost: float, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.clock, self.cost, self.lr, self.steps = clock, cost, lr, 0

    def step(self, closure: Any = None) -> None:
        self.steps += 1
        if self.steps > 400:
            raise Wrong("the race never ends: one optimizer took 400 steps and the clock was not looked at.")
        self.clock.now += self.cost
        self.param_groups[0]["lr"] = self.lr * (-1.5 if self.steps == (3 if self.cost < 0.2 else 4) else 1)
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
    again: bool = False,
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
                error = loss(network) if again else error
                points.append((elapsed if early else clock() - begun, error.item() if number else error))
            curves[name] = points
        return curves

    return wrong


def _same_steps(yours: Mapping[str, Sequence[Any]], target: Mapping[str, Sequence[Any]], *_: Any) -> bool:
    lengths = {len(points) for points in yours.values()}
    if len({id(points) for points in yours.values()}) < len(yours):
        return False  # one list for all
    return yours.keys() == target.keys() and len(lengths) == 1 and max(lengths) > 1


def _swapped(yours: Mapping[str, Sequence[Any]], target: Mapping[str, Sequence[Any]], *_: Any) -> bool:
    """Whether each pair is (loss, seconds)."""
    turned = {name: [tuple(pair)[::-1] for pair in points] for name, points in yours.items()}
    return same(turned, target, 1e-3)


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
                    "an optimizer is missing: `return curves` stands inside of a loop, so that the first one runs alone.",
                    when=lambda yours, target, *_: 0 < len(yours) < len(target),
                ),
                Mistake(
                    "the pairs are (loss, seconds): first comes the time, then the loss.",
                    when=_swapped,
                ),
                Mistake(
                    "one point each: every step is noted, the list grows in the loop.",
                    when=lambda yours, target, *_: all(len(points) == 1 for points in yours.values()),
                ),
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
                    "the curves are one and the same list: make a new one for each optimizer, inside the loop.",
                    when=lambda yours, target, *_: len({id(points) for points in yours.values()}) < len(yours),
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
                    "loss and time are noted after the step: the curve lacks the start. Note them before the weights move.",
                    like=racing(early=False, again=True),
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
