"""Every exercise passes its reference, calls its stub pending, and refuses each wrong answer by its name."""

from __future__ import annotations

import ast
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tutorial_lib.course import comparing
from tutorial_lib.course.exercises import Exercise, evaluate, exercises_of, lesson, notebooks

SEEDS = range(5)
MANY_SEEDS = range(1000, 1000 + int(os.environ.get("INR_SEEDS", "16")))  # of the slow test: 16 take about two minutes
EXERCISES = [each for notebook in notebooks() for each in exercises_of(notebook).values()]


def load(notebook: str, module: str = "mutants") -> ModuleType:
    return importlib.import_module(f"tutorial_lib.lessons.{lesson(notebook).name}.{module}")


MUTANTS: dict[str, dict[str, tuple[Any, str]]] = {
    key: wrong for notebook in notebooks() for key, wrong in load(notebook).MUTANTS.items()
}
RIGHT: dict[str, dict[str, Any]] = {
    key: right for notebook in notebooks() for key, right in load(notebook, "right").RIGHT.items()
}
STYLES = [(key, name) for key, right in RIGHT.items() for name in right]
NAMED = [(key, name) for key, wrong in MUTANTS.items() for name in wrong]


def find(identifier: str) -> Exercise:
    return exercises_of(identifier[:2])[identifier]


def answer_of(mutant: Any, notebook: str) -> Any:
    """A function or class; from its source: what the source defines last, with the mutants' module around it."""
    if not isinstance(mutant, str):
        return mutant
    scope = dict(vars(load(notebook)))
    before = set(scope)
    exec(mutant, scope)
    return scope[[name for name in scope if name not in before and name != "__builtins__"][-1]]


def test_every_exercise_has_three_mutants_and_every_mutant_an_exercise() -> None:
    assert MUTANTS.keys() == {each.id for each in EXERCISES}
    assert {key: len(wrong) for key, wrong in MUTANTS.items() if len(wrong) < 3} == {}


def test_every_exercise_has_three_right_answers_in_other_styles() -> None:
    assert RIGHT.keys() == {each.id for each in EXERCISES}
    assert {key: len(right) for key, right in RIGHT.items() if len(right) < 3} == {}


@pytest.mark.parametrize(("identifier", "name"), STYLES)
def test_a_right_answer_in_another_style_passes(identifier: str, name: str) -> None:
    for seed in SEEDS:
        verdict = evaluate(find(identifier), RIGHT[identifier][name], seed)
        assert verdict.status == "passed", verdict


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.id)
def test_the_reference_passes(exercise: Exercise) -> None:
    for seed in SEEDS:
        verdict = evaluate(exercise, exercise.reference, seed)
        assert verdict.status == "passed", verdict
        assert verdict.passed == tuple(check.says for check in exercise.checks)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.id)
def test_a_stub_is_pending(exercise: Exercise) -> None:
    def pending(*_: Any, **__: Any) -> None:
        raise NotImplementedError(f"Exercise {exercise.id}")

    stub: Any = pending
    if isinstance(exercise.reference, type):
        names = [n for n, f in vars(exercise.reference).items() if callable(f) or isinstance(f, staticmethod)]
        kept = [name for name in names if name == "__init__" or not name.startswith("__")]
        stub = type("Stub", (), {name: staticmethod(pending) for name in kept})
    assert evaluate(exercise, stub).status == "pending"


@pytest.mark.parametrize(("identifier", "name"), NAMED)
def test_a_mutant_is_refused_by_name(identifier: str, name: str) -> None:
    mutant, words = MUTANTS[identifier][name]
    for seed in SEEDS:
        verdict = evaluate(find(identifier), answer_of(mutant, identifier[:2]), seed)
        assert verdict.status == "wrong", f"{name} was taken for right (seed {seed})"
        assert words.lower() in verdict.message.lower(), f"seed {seed}: {verdict.message}"


@pytest.mark.parametrize("identifier", MUTANTS)
def test_each_mutant_has_a_message_of_its_own(identifier: str) -> None:
    messages = {
        name: evaluate(find(identifier), answer_of(mutant, identifier[:2]), 0).message
        for name, (mutant, _) in MUTANTS[identifier].items()
    }
    assert len(set(messages.values())) == len(messages), messages
    assert {name: message for name, message in messages.items() if fault(message)} == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_bits_by_the_letter_of_their_formula_are_refused_for_their_gradient(seed: int) -> None:
    """Two cases and `torch.where`: the same message as for bits that are clamped after the logarithm, so no mutant."""
    verdict = evaluate(find("04.4"), load("04").two_cases, seed)
    assert verdict.status == "wrong" and "the case that it doesn't take" in verdict.message


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_that_is_better_than_the_one_before_it_is_not_the_best(seed: int) -> None:
    """The same message as where every state counts as better, so no mutant."""
    verdict = evaluate(find("02.4"), load("02").better_than_the_one_before, seed)
    assert verdict.status == "wrong" and "the smallest so far" in verdict.message


def test_alarm_rings_for_an_exercise_that_takes_anything() -> None:
    from dataclasses import replace

    blind = replace(EXERCISES[0], checks=(replace(EXERCISES[0].checks[0], tolerance=1e9),))
    mutant, _ = MUTANTS[EXERCISES[0].id]["colours forgotten"]
    assert evaluate(blind, mutant, 0).status == "passed"
    assert evaluate(EXERCISES[0], mutant, 0).status == "wrong"


@pytest.mark.slow
@pytest.mark.parametrize("identifier", MUTANTS)
def test_no_seed_lets_a_wrong_answer_pass_or_refuses_a_right_one(identifier: str) -> None:
    passed, refused = set(), set()
    for seed in MANY_SEEDS:
        for name, (mutant, words) in MUTANTS[identifier].items():
            verdict = evaluate(find(identifier), answer_of(mutant, identifier[:2]), seed)
            if verdict.status != "wrong" or words.lower() not in verdict.message.lower():
                passed.add((name, seed, verdict.message))
        refused |= {
            (name, seed, verdict.message)
            for name, right in RIGHT[identifier].items()
            if (verdict := evaluate(find(identifier), right, seed)).status != "passed"
        }
    assert (passed, refused) == (set(), set())


# ------------------------------------------------------------------------------------------ what is said, can be read


def fault(text: str) -> str:
    """What of a message is no plain language: braces, asterisks (but in `code`), values of values in a chain."""
    if chain := re.search(r"(value|result)[^:]*: (its )?value", text):
        return f"chain {chain[0]!r}"
    bare = re.sub(r"`[^`]*`", "", text)
    odd = re.search(r"[{}*`]", bare)
    return f"{odd[0]!r} in {bare!r}" if odd else ""


def written(path: Path) -> Iterator[str]:
    """What a module's calls of `Wrong` say, with … for what they fill in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Wrong" and node.args:
            text = node.args[0]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)


def test_every_message_is_plain_language() -> None:
    said = [text for notebook in notebooks() for path in lesson(notebook).glob("*.py") for text in written(path)]
    said += written(Path(comparing.__file__))
    assert len(said) > 10
    for exercise in EXERCISES:
        said += [exercise.title, *exercise.hints, *(check.says for check in exercise.checks)]
        said += [mistake.message for check in exercise.checks for mistake in check.mistakes]
    assert [found for text in said if (found := fault(text))] == []


@pytest.mark.parametrize(
    "text",
    ["it gets {right[0][1]} here", "the *mean* of all", "value 1 of its result: value 2 of its result: it gives 3", "an open `x"],
)
def test_alarm_rings_for_a_message_that_is_no_plain_language(text: str) -> None:
    assert fault(text) and not fault("the mean of `{a: b * c}`: value 2 of value 1 of its result is 3")
