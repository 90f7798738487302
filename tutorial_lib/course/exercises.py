"""Exercises that answer back: declared once, checked at once, and never in the way of a later cell.

A notebook's exercises are a list `EXERCISES` in its lesson's ``checks.py``, loaded when one of them is first asked
for. Above the participant's function or class, `exercise` runs the checks, says what it found, and returns the
participant's object if it passes, the library's otherwise. ``docs/add_an_exercise.md`` shows how to write them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import linecache
import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.course import store
from tutorial_lib.course.comparing import Random, Wrong, device_of_round, difference, same

T = TypeVar("T")
Status = Literal["passed", "pending", "wrong", "stopped"]

SLOW_SECONDS, SLOW_FACTOR = 2.0, 20.0
"""An answer is slow when its checks take longer than this, and this many times as long as the library's."""

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
"""Where the lessons lie, a folder ``nNN_topic`` for each notebook."""

_MARK = "_course_label"
_STUB = re.compile(r"(Exercise \d.*)?$")


@dataclass(frozen=True)
class Mistake:
    """A mistake that people really make, and what to tell them.

    One of the three ways to recognize it is given, or several where one message serves them all.

    Args:
        message: a sentence about the participant's answer ("π is missing: …"), `code` in backticks.
        like: a wrong answer, or several, called as the participant's is; recognized when both give the same.
        when: a predicate on (yours, target, *inputs), the results of a check and its inputs.
        error: a regular expression, searched in "TypeError: message" of what the answer raised.
    """

    message: str
    like: Callable[..., Any] | tuple[Callable[..., Any], ...] = ()
    when: Callable[..., bool] | None = None
    error: str | None = None


def _plain_call(answer: Callable[..., Any], *inputs: Any) -> Any:
    return answer(*inputs)


@dataclass(frozen=True)
class Check:
    """One thing that must hold, tried on random inputs.

    Args:
        says: what holds, as it is listed when it passed ("corners are at −1 and 1").
        inputs: draws the inputs; the same `Random` seed must give the same inputs.
        call: (answer, *inputs) to the result that is compared; by default a call. May raise `Wrong`.
        mistakes: looked for when the result differs, in this order.
        tolerance: of values, relative and absolute at once.
        rounds: how often, with new inputs.
        mutates: the answer may change its inputs.
        draw: "picture" or "curve": draws target beside yours when they differ; or a function of (yours,
            target, *inputs) that gives one of these words, what to draw of the target, and what of yours.
    """

    says: str
    inputs: Callable[[Random], tuple[Any, ...]]
    call: Callable[..., Any] = _plain_call
    mistakes: tuple[Mistake, ...] = ()
    tolerance: float = 1e-4
    rounds: int = 3
    mutates: bool = False
    draw: Literal["picture", "curve"] | Callable[..., tuple[str, Any, Any]] | None = None


@dataclass(frozen=True)
class Exercise:
    """An exercise, declared once.

    Args:
        id: notebook and number, "02.1".
        title: a few words.
        minutes: a participant needs.
        core: on the 3-hour path.
        reference: the library's object, which later cells use unless the participant's passes.
        checks: tried in order; the first that fails ends the trying.
        hints: shown one at a time, from a nudge to nearly the answer.
    """

    id: str
    title: str
    minutes: int
    core: bool
    reference: Callable[..., Any]
    checks: tuple[Check, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of an answer.

    Attributes:
        status: "passed"; "pending", not written yet; "wrong"; "stopped" by the reader.
        message: the likely mistake, or what to do; empty when passed.
        exercise: which one.
        passed: what the checks that passed say.
        seed: of the random inputs.
        warning: something to know although it passed (slowness).
        drawing: (kind, target, yours) where a picture says more.
    """

    exercise: Exercise
    status: Status
    message: str = ""
    passed: tuple[str, ...] = ()
    seed: int = 0
    warning: str = ""
    drawing: tuple[str, Any, Any] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        from tutorial_lib.course import boxes

        return boxes.verdict_text(self)


def notebooks() -> list[str]:
    """The notebooks that have exercises: "00", "01", …"""
    return sorted(path.parent.name[1:3] for path in LESSONS.glob("n[0-9][0-9]_*/checks.py"))


def lesson(notebook: str) -> Path:
    """The folder of a notebook's lesson.

    Raises:
        KeyError: a notebook without exercises.
    """
    if notebook not in notebooks():
        raise KeyError(f"there are no exercises for notebook {notebook!r}; there are {', '.join(notebooks())}")
    return next(LESSONS.glob(f"n{notebook}_*/checks.py")).parent


@functools.cache
def exercises_of(notebook: str) -> Mapping[str, Exercise]:
    """The exercises of a notebook ("02") by id, in order.

    Raises:
        KeyError: a notebook without exercises.
        ValueError: an id declared twice, or one of another notebook.
    """
    name = lesson(notebook).name
    declared = importlib.import_module(f"tutorial_lib.lessons.{name}.checks").EXERCISES
    found = {each.id: each for each in declared}
    if len(found) != len(declared) or any(not key.startswith(f"{notebook}.") for key in found):
        raise ValueError(f"{name}/checks.py declares {[each.id for each in declared]}")
    return found


def find(identifier: str) -> Exercise:
    """The exercise of an id, "02.1".

    Raises:
        KeyError: there is none; the message lists those of its notebook.
    """
    known = exercises_of(str(identifier).partition(".")[0])
    if identifier not in known:
        raise KeyError(f"there is no exercise {identifier!r}; this notebook has {', '.join(known)}")
    return known[identifier]


def exercise(identifier: str) -> Callable[[T], T]:
    """Check the function or class below at once; later cells get it if it passes, the library's otherwise.

    Example: ``@exercise("02.1")`` above ``class PositionalEncoding(nn.Module): …``
    """
    declared = find(identifier)

    def decorate(answer: T) -> T:
        from tutorial_lib.course import boxes

        try:
            verdict = evaluate(declared, answer)
        except Exception as error:  # our mistake, not the participant's: later cells must go on
            message = f"the check itself failed ({type(error).__name__}: {error}): please report it"
            verdict = Verdict(declared, "stopped", message)
        if verdict.status == "passed":
            store.mark_solved(identifier)
            with contextlib.suppress(AttributeError, TypeError):
                setattr(answer, _MARK, "yours")
        boxes.show(boxes.verdict_box(verdict))
        return answer if verdict.status == "passed" else declared.reference  # type: ignore[return-value]

    return decorate


def label(*objects: object) -> str:
    """Whose code a figure shows: "yours" if all objects are, "library's" if none is, else "partly yours".

    Args:
        objects: what `exercise` returned, or instances of it.
    """
    yours = {getattr(each, _MARK, None) == "yours" for each in objects}
    return "partly yours" if len(yours) == 2 else "yours" if yours == {True} else "library's"


def evaluate(declared: Exercise, answer: Any, seed: int | None = None) -> Verdict:
    """Run an exercise's checks on an answer; shows and remembers nothing.

    Args:
        declared: the exercise.
        answer: the participant's function or class.
        seed: of the random inputs; default: the time.
    """
    seed = time.time_ns() % 1_000_000 if seed is None else seed
    passed: list[str] = []
    yours_seconds = reference_seconds = 0.0
    try:
        if not callable(answer):
            return Verdict(declared, "wrong", "put the decorator right above a function (`def`) or a class")
        for number, check in enumerate(declared.checks):
            for index in range(check.rounds):
                this = _Round(check, 1000 * seed + 100 * number + index, device_of_round(index))
                problem = this.problem(declared.reference, answer)
                yours_seconds += this.yours_seconds
                reference_seconds += this.reference_seconds
                if problem == "pending":
                    return Verdict(declared, "pending", passed=tuple(passed), seed=seed)
                if problem:
                    return Verdict(declared, "wrong", problem, tuple(passed), seed, drawing=this.drawing())
            passed.append(check.says)
    except KeyboardInterrupt:
        return Verdict(declared, "stopped", "you stopped the checks: is there a loop without end?", tuple(passed), seed)
    slow = yours_seconds > max(SLOW_SECONDS, SLOW_FACTOR * reference_seconds)
    warning = (
        f"it took {yours_seconds:.1f} s, the library {reference_seconds:.2f} s: is there a loop over pixels?" if slow else ""
    )
    return Verdict(declared, "passed", "", tuple(passed), seed, warning)


class _Round:
    """One round of one check."""

    def __init__(self, check: Check, seed: int, device: torch.device) -> None:
        self.check, self.seed, self.device = check, seed, device
        self.yours_seconds = self.reference_seconds = 0.0
        self.yours: Any = None
        self.target: Any = None

    def inputs(self) -> tuple[Any, ...]:
        return self.check.inputs(Random(self.seed, self.device))

    def run(self, answer: Any, inputs: tuple[Any, ...]) -> Any:
        """The check's call, with torch's generator seeded, and left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.check.call(answer, *inputs)

    def problem(self, reference: Any, answer: Any) -> str | None:
        """What is wrong with the answer, "pending", or None."""
        begun = time.perf_counter()
        self.target = self.run(reference, self.inputs())
        self.reference_seconds = time.perf_counter() - begun
        inputs = self.inputs()
        begun = time.perf_counter()
        try:
            self.yours = self.run(answer, inputs)
        except NotImplementedError as error:  # torch raises it too: a module without `forward`, an unknown operator
            return "pending" if _STUB.match(str(error)) else self._named(error) or _describe_error(error, answer)
        except Wrong as error:
            return self._named(error) or str(error)
        except (Exception, SystemExit) as error:  # the participant's code may raise anything
            return self._named(error) or _describe_error(error, answer)
        finally:
            self.yours_seconds = time.perf_counter() - begun
        found = difference(self.yours, self.target, self.check.tolerance)
        if found:
            return self._named(None) or found
        if not self.check.mutates:
            changed = difference(_data(inputs), _data(self.inputs()), 0.0)
            if changed:
                return "it changes its own input: copy it first (`x.clone()`), avoid `+=` and `mul_`"
        return None

    def _named(self, error: BaseException | None) -> str | None:
        """The message of the first of the check's mistakes that fits what the answer gave, or the error that it raised."""
        for mistake in self.check.mistakes:
            if error is None:
                fits = self._recognized(mistake)
            else:
                fits = bool(mistake.error and re.search(mistake.error, f"{type(error).__name__}: {error}"))
            if fits:
                return mistake.message
        return None

    def _recognized(self, mistake: Mistake) -> bool:
        if mistake.when is not None:
            with contextlib.suppress(Exception):
                if mistake.when(self.yours, self.target, *self.inputs()):
                    return True
        for wrong in mistake.like if isinstance(mistake.like, tuple) else (mistake.like,):
            with contextlib.suppress(Exception):
                if same(self.yours, self.run(wrong, self.inputs()), self.check.tolerance):
                    return True
        return False

    def drawing(self) -> tuple[str, Any, Any] | None:
        if self.check.draw is None or self.yours is None:
            return None
        if callable(self.check.draw):
            with contextlib.suppress(Exception):
                return self.check.draw(self.yours, self.target, *self.inputs())
            return None
        return self.check.draw, self.target, self.yours


def _data(value: Any) -> Any:
    """What of an input can be compared: numbers, tensors, bytes, containers of them; else None."""
    if isinstance(value, tuple | list):
        return [_data(item) for item in value]
    if isinstance(value, dict):
        return {key: _data(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return value.detach()
    return value if isinstance(value, np.ndarray | int | float | str | bytes) else None


def _describe_error(error: BaseException, answer: Any) -> str:
    """The error, and the participant's line that raised it."""
    lines = str(error).strip().splitlines()
    text = f"it raised {type(error).__name__}" + (f": {lines[0]}" if lines else "")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in _files(answer) and (line := linecache.getline(frame.filename, frame.lineno or 0)):
            return f"{text}, in the line `{line.strip()}`"
    return text


def _files(answer: Any) -> set[str]:
    """The files (in a notebook: cells) that an answer's code stands in."""
    functions = [answer, *vars(answer).values()] if isinstance(answer, type) else [answer]
    return {f.__code__.co_filename for f in functions if hasattr(f, "__code__")}
