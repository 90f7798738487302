"""The exercise machine: whatever a participant writes, later cells go on, and the message says what is wrong."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tutorial_lib import codecs, course, images, plots
from tutorial_lib.course import address, boxes, comparing, drawing, exercises, live, percent, session, store
from tutorial_lib.course.comparing import Random, Wrong, load_parameters
from tutorial_lib.course.exercises import Check, Exercise, Mistake, evaluate


@pytest.fixture(autouse=True)
def progress_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "folder" / "progress.json"
    monkeypatch.setenv(store.VARIABLE, str(path))
    monkeypatch.setattr(store, "_unwritten", {})
    return path


def make(reference: Callable[..., Any], inputs: Callable[[Random], tuple[Any, ...]], **options: Any) -> Exercise:
    return Exercise("00.9", "toy", 5, True, reference, (Check("right", inputs, **options),), ("one", "two"))


def points(random: Random) -> tuple[Tensor]:
    return (random.tensor(*random.size(), 2, low=-1),)


def sine(x: Tensor) -> Tensor:
    return torch.sin(30 * x)


def slow_sine(x: Tensor) -> Tensor:
    return torch.sin(x / 30)


def refused(x: Tensor) -> Tensor:
    raise ValueError("no constant")


def in_place(x: Tensor) -> Tensor:
    return x.mul_(30).sin_()


def with_gap(x: Tensor) -> Tensor:
    result = sine(x)
    result[0, 0, 0] = math.nan
    return result


SINE = make(
    sine,
    points,
    mistakes=(
        Mistake("ω0 is missing", like=(torch.sin, slow_sine)),
        Mistake("all alike", like=torch.ones_like, when=lambda yours, target, x: not yours.any(), error="constant"),
        Mistake("no such thing as torch.sinus", error="sinus"),
    ),
    draw="curve",
)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (torch.sin, "ω0 is missing"),
        (slow_sine, "ω0 is missing"),
        (torch.zeros_like, "all alike"),
        (torch.ones_like, "all alike"),
        (refused, "all alike"),
        (lambda x: torch.sinus(x), "no such thing"),
        (lambda x: None, "returned None"),
        (with_gap, "NaN (1 of"),
        (lambda x: sine(x).double(), "dtype is torch.float64, expected torch.float32"),
        (lambda x: sine(x).to("meta"), "device meta, expected cpu"),
        (lambda x: sine(x).movedim(0, 1), "same lengths in another order"),
        (lambda x: sine(x)[..., :1], "its shape is"),
        (lambda x: sine(x).numpy(), "expected a tensor"),
        (lambda x: 2 * sine(x), "2 times the right value everywhere"),
        (lambda x: sine(x) + 0.5, "off by +0.5 everywhere"),
        (in_place, "changes its own input"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: 1, "TypeError"),
        (lambda x: sys.exit(), "SystemExit"),
        (lambda x: (lambda f: f(f))(lambda f: f(f)), "RecursionError"),
        (3, "decorator"),
    ],
)
def test_a_wrong_answer_is_refused_and_named(answer: Any, words: str) -> None:
    verdict = evaluate(SINE, answer)
    assert verdict.status == "wrong"
    assert words in verdict.message
    assert f"seed {verdict.seed}" in str(verdict)
    assert boxes.verdict_box(verdict).html.count("<div") == boxes.verdict_box(verdict).html.count("</div")


@pytest.mark.parametrize(
    ("target", "yours", "words"),
    [
        (1.5, torch.tensor(1.5), "plain number"),
        (1.5, True, "expected a number"),
        (1.5, 1.6, "it gives 1.6, expected 1.5"),
        (1.5, 12.0, "8 times the right value"),
        (1.5, 0.5, "0.3333 times the right value"),
        (1.5, -1.5, "-1 times the right value"),
        (1.5, math.nan, "NaN"),
        (1.5, math.inf, "it gives inf, expected 1.5"),
        (b"ab", "ab", "it returned a str, expected a bytes"),
        (b"ab", b"b", "expected b'ab'"),
        (np.zeros(3), torch.zeros(3), "NumPy"),
        (np.zeros(3), np.zeros(3, np.float32), "float32"),
        ((1, torch.zeros(2)), (1, torch.ones(2)), "value 2 of its result"),
        ((1, 2), 1, "expected 2 values"),
        ((1, 2), (1, 2, 3), "a tuple of 3, expected 2 values"),
        ([(1, 2), (3, 4)], [(1, 2), (3, 5)], "value 2 of value 2 of its result: it gives 5, expected 4"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "value 2 of its value 'a': it gives 3, expected 2"),
        ((1, {"a": 1}), (1, {"a": 2}), "value 'a' of value 2 of its result: it gives 2, expected 1"),
        (([[1]],), ([[2]],), "value 1 of value 1 of value 1 of its result: it gives 2"),
        ({"a": 1}, {"b": 1}, "keys ['a']"),
        ({"a": 1}, {"a": 2}, "its value 'a'"),
        (torch.ones(1, requires_grad=True), torch.ones(1), "no gradient"),
        (torch.ones(2, dtype=torch.int64), torch.ones(2), "torch.int64"),
    ],
)
def test_a_difference_is_said_in_words(target: Any, yours: Any, words: str) -> None:
    assert words in comparing.difference(yours, target, 1e-4)
    assert comparing.same(target, target, 1e-4)


def test_right_answers_pass_up_to_rounding_and_infinities_are_equal() -> None:
    assert evaluate(SINE, lambda x: sine(x) * (1 + 1e-6)).status == "passed"
    assert comparing.same(math.inf, math.inf, 1e-4)
    assert comparing.same([1, 2], (1, 2), 0)
    assert comparing.same(np.float64(2), 2, 0)


def test_an_error_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "cell.py"
    path.write_text("def answer(x):\n    y = x\n    return torch.matmul(y, missing)\n")
    scope = {"torch": torch}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    message = evaluate(SINE, scope["answer"]).message
    assert "NameError: name 'missing' is not defined, in the line `return torch.matmul(y, missing)`" in message


def test_hard_coding_fails_because_seeds_change() -> None:
    seeds = {evaluate(SINE, torch.sin).seed for _ in range(20)}
    assert len(seeds) > 1


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second = Random(5), Random(5)
    assert torch.equal(first.picture(4, 5), second.picture(4, 5))
    assert first.size() == second.size()
    assert torch.equal(first.normal(3), second.normal(3))
    picture = Random(1).picture(6, 7)
    assert picture.shape == (3, 6, 7) and 0 <= picture.min() and picture.max() <= 1


def test_interruption_falls_back_to_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    def endless(*_: Any) -> None:
        raise KeyboardInterrupt

    assert evaluate(SINE, endless).status == "stopped"
    returned = course.exercise("00.1")(endless)
    assert returned is exercises.find("00.1").reference
    assert "stopped" in capsys.readouterr().out


def test_slowness_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "SLOW_SECONDS", 0.02)

    def slow(x: Tensor) -> Tensor:
        time.sleep(0.05)
        return sine(x)

    verdict = evaluate(SINE, slow)
    assert verdict.status == "passed"
    assert "Slow: it took" in str(verdict)


def test_the_random_state_of_the_notebook_stays() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    evaluate(SINE, lambda x: sine(x) + 0 * torch.rand(1))
    assert torch.equal(torch.rand(2), expected)


# ------------------------------------------------------------------------------------------ classes


class Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.linear(x))


def layer_inputs(random: Random) -> tuple[Any, ...]:
    inputs, outputs = random.randint(2, 5), random.randint(6, 9)
    return random.tensor(4, inputs), [random.normal(outputs, inputs), random.normal(outputs)]


def run_layer(cls: type[nn.Module], x: Tensor, weights: list[Tensor]) -> Tensor:
    layer = cls(x.shape[1], len(weights[1])).to(x.device)
    load_parameters(layer, weights)
    return layer(x)


LAYER = make(Layer, layer_inputs, call=run_layer)


def test_classes_are_checked_whatever_their_parameters_are_called() -> None:
    class Mine(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.my_weight = nn.Parameter(torch.zeros(outputs, inputs))
            self.my_bias = nn.Parameter(torch.zeros(outputs))

        def forward(self, x: Tensor) -> Tensor:
            return (x @ self.my_weight.T + self.my_bias).sin()

    class Detached(Layer):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).detach()

    class Small(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()

    class Open(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            raise NotImplementedError("Exercise 00.9")

    class NoForward(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.linear = nn.Linear(inputs, outputs)

    class NoInit(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            self.linear = nn.Linear(inputs, outputs)

    assert evaluate(LAYER, Mine).status == "passed"
    assert "no gradient" in evaluate(LAYER, Detached).message
    assert "shapes nothing" in evaluate(LAYER, Small).message
    assert evaluate(LAYER, Open).status == "pending"
    assert "AttributeError" in evaluate(LAYER, NoInit).message
    assert 'missing the required "forward"' in evaluate(LAYER, NoForward).message
    assert "AttributeError" in evaluate(LAYER, lambda *_: 3).message


def test_gradients_are_asked_for_one_by_one() -> None:
    x, y = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    found = comparing.slopes(x * y, {"x": x, "y": y})
    assert torch.equal(found["x"], torch.arange(3).cos()) and not found["y"].any()
    for result, words in (
        ((x * y).detach(), "no gradient comes back"),
        (x * 2, "no gradient reaches y"),
        (x.sqrt() + y, "gradient for x is NaN or infinite"),
        ("text", "no gradient comes back"),
    ):
        with pytest.raises(Wrong, match=words):
            comparing.slopes(result, {"x": x, "y": y})
    layer = nn.Linear(2, 1)
    assert list(comparing.parameters_of(layer)) == ["parameter 1", "parameter 2"]


def test_a_check_may_speak_for_itself() -> None:
    def call(answer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if answer.__name__ == "forbidden":
            raise Wrong("don't use this one")
        return answer(x)

    def forbidden(x: Tensor) -> Tensor:
        return sine(x)

    assert evaluate(make(sine, points, call=call), forbidden).message == "don't use this one"


# ------------------------------------------------------------------------------------------ the decorator


def times_smaller(data: bytes, height: int, width: int) -> float:
    return 3 * height * width / len(data)


def test_the_decorator_returns_yours_or_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    reference = exercises.find("00.1").reference

    def wrong(data: bytes, height: int, width: int) -> float:
        return height * width / len(data)

    def pending(data: bytes, height: int, width: int) -> float:
        raise NotImplementedError("Exercise 00.1")

    for answer in (wrong, pending):
        assert course.exercise("00.1")(answer) is reference
        assert course.label(reference) == "library's"
    assert store.solved() == {}
    for _ in range(2):  # a cell may be run twice
        mine = course.exercise("00.1")(times_smaller)
        assert mine is times_smaller
        assert course.label(mine) == "yours"
    assert course.label(mine, reference) == "partly yours"
    assert list(store.solved()) == ["00.1"]
    out = capsys.readouterr().out
    assert "colours are missing" in out and "not written yet" in out and "passed" in out


def test_the_label_of_an_instance_is_that_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "find", lambda identifier: LAYER)
    mine = course.exercise("00.9")(type("Mine", (Layer,), {}))
    assert course.label(mine(2, 3)) == "yours"
    assert course.label(Layer(2, 3)) == "library's"


def test_a_damaged_check_stops_no_cell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = make(lambda x: 1 / 0, points)
    monkeypatch.setattr(exercises, "find", lambda identifier: damaged)
    assert course.exercise("00.9")(sine) is damaged.reference
    assert "the check itself failed" in capsys.readouterr().out.lower()


def test_an_unknown_exercise_lists_those_there_are() -> None:
    with pytest.raises(KeyError, match=r"00\.1"):
        course.exercise("00.99")
    with pytest.raises(KeyError, match="no exercises for notebook"):
        course.hint("77.1")


def test_it_works_in_a_fresh_process_and_prints_text() -> None:
    code = "from tutorial_lib.course import exercise\n@exercise('00.1')\ndef f(data, height, width): return 1.0"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "✗ Exercise 00.1" in run.stdout


def test_target_is_drawn_beside_yours() -> None:
    box = boxes.verdict_box(evaluate(SINE, lambda x: sine(x) + 0.1 * x))
    assert box.html.count("<img alt=") == 1 and "yours" in box.text
    picture = make(lambda p: 1 - p, lambda random: (random.picture(8, 9),), draw="picture")
    box = boxes.verdict_box(evaluate(picture, lambda p: p))
    assert box.html.count("<img alt=") == 2
    # a result that can't be drawn is no reason to stop
    assert "<img" not in boxes.verdict_box(evaluate(picture, lambda p: "no picture")).html


def test_what_a_participant_writes_is_escaped() -> None:
    def answer(x: Tensor) -> Tensor:
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in boxes.verdict_box(evaluate(SINE, answer)).html


def test_the_page_on_exercises_holds_an_exercise_that_works() -> None:
    """docs/add_an_exercise.md: a declaration, a cell of the notebook, wrong answers; at most 40 lines together."""
    page = (Path(__file__).parent.parent / "docs" / "add_an_exercise.md").read_text(encoding="utf-8")
    checks, cell, mutants = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len([line for block in (checks, cell, mutants) for line in block.splitlines() if line.strip()]) <= 40
    lesson: dict[str, Any] = {"exercise": lambda identifier: lambda answer: answer}
    exec(checks, lesson)
    (declared,) = lesson["EXERCISES"]
    halves = percent.split(percent.read(cell)[0].source, "the page")
    for source, status in ((halves.solved, "passed"), (halves.open, "pending")):
        exec(source, lesson)
        assert evaluate(declared, lesson["radius"]).status == status
    exec(mutants, lesson)
    wrong = lesson["MUTANTS"][declared.id]
    verdicts = [(evaluate(declared, answer), words) for answer, words in wrong.values()]
    assert len(verdicts) >= 3 and all(v.status == "wrong" and words in v.message for v, words in verdicts)


# ------------------------------------------------------------------------------------------ hints, answers, progress


def test_hints_unfold_one_at_a_time() -> None:
    hints = exercises.find("00.1").hints
    for count in range(1, len(hints) + 2):
        shown = course.hint("00.1", count)
        assert [hint in shown.text for hint in hints] == [index < count for index in range(len(hints))]
        assert ("solution(" in shown.text) == (count >= len(hints))


def test_a_hint_is_folded_however_often_its_cell_runs() -> None:
    first, second = course.hint("00.1"), course.hint("00.1")
    assert first == second and first.html.count("<details>") == len(exercises.find("00.1").hints)
    assert "open" not in re.findall(r"<details[^>]*>", first.html)[0]


def test_an_answer_is_folded_until_there_is_a_guess() -> None:
    for guess, open_ in ((None, False), ("wave", True)):
        shown = drawing.reveal("What is it?", guess, "line")
        assert ("<details>" in shown.html) != open_ and "line" in shown.html and ("line" in shown.text) == open_
    for guess in (1, "1 dB", "about 1,0"):
        assert "0.50 dB. You said 1 dB, 0.5 dB too much" in drawing.reveal("How much?", guess, 0.5, " dB").text
    assert "(Your guess, a lot, has no number in it.)" in drawing.reveal("How much?", "a lot", 0.5, " dB").text


def test_a_photograph_is_the_chosen_one_or_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    sample, red = torch.zeros(3, 400, 200), torch.zeros(3, 300, 600)
    red[0] = 1
    photograph = live.Photograph()
    shown = photograph.picture(instead=sample, pixels=5_000)
    assert shown.shape == (3, 100, 50) and "No photograph was chosen" in capsys.readouterr().out
    assert "text/html" in photograph._repr_mimebundle_()

    def choose(content: bytes) -> tuple[Tensor, str]:
        photograph.button = SimpleNamespace(value=({"name": "mine.webp", "content": memoryview(content)},))
        return photograph.picture(instead=sample, pixels=5_000), capsys.readouterr().out

    chosen, said = choose(codecs.get("webp").encode(red, quality=90))
    assert chosen.shape == (3, 50, 100) and chosen[0].mean() > 0.9 and "mine.webp, 100 × 50" in said
    for content, words in ((b"no picture", "mine.webp"), (codecs.get("png").encode(torch.zeros(3, 2, 3000)), "too narrow")):
        chosen, said = choose(content)
        assert torch.equal(chosen, shown) and words in said and "A sample stands in." in said


def test_a_photograph_may_be_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "red & blue.png")
    images.save(torch.ones(3, 40, 60), path)
    assert live.Photograph(path).picture(instead=torch.zeros(3, 30, 30), pixels=5_000).shape == (3, 40, 60)
    assert "red &amp; blue" in live.Photograph(path)._repr_mimebundle_()["text/html"]
    assert live.Photograph(path + "x").picture(instead=torch.zeros(3, 30, 30), pixels=900).shape == (3, 30, 30)
    assert "A sample stands in." in capsys.readouterr().out


def test_a_screen_is_due_again_after_a_while_and_a_terminal_sees_the_last_picture(capsys: pytest.CaptureFixture[str]) -> None:
    screen = live.Screen(pause=60)
    assert screen.due()
    screen.draw(plots.Shown("<p>", "first"))
    assert not screen.due() and live.Screen(pause=0).due()
    screen.draw(plots.Shown("<p>", "second"), last=True)
    assert capsys.readouterr().out == "second\n"


def test_the_solution_passes() -> None:
    shown = course.solution("00.1")
    code = shown.text.partition("\n\n")[2]
    scope = {"exercise": course.exercise}
    exec(code, scope)
    assert course.label(scope["times_smaller"]) == "yours"
    assert "times_smaller" in shown.html


def test_progress_counts_minutes() -> None:
    everything = list(boxes._all_exercises())
    total = sum(each.minutes for each in everything)
    assert f"0 of {len(everything)} exercises" in course.progress().text
    assert f"{total} min in all" in course.progress().text
    store.mark_solved("00.1")
    assert f"1 of {len(everything)} exercises" in course.progress().text
    assert "✓ 00.1" in course.progress().text
    course.reset()
    assert "○ 00.1" in course.progress().text


def test_points_are_remembered_and_replaced(progress_file: Path) -> None:
    course.record_point("siren", 0.5, 30.0, picture="coffee")
    course.record_point("siren", 0.6, 31.0, picture="coffee")
    course.record_point("siren", 0.9, 33.0, picture="coffee", note="width 32")
    course.record_point("coin", 0.4, 28.0, picture="chelsea")
    assert [point["bpp"] for point in course.points("coffee")] == [0.6, 0.9]
    assert len(course.points()) == 3
    assert json.loads(progress_file.read_text())["version"] == 1
    for bpp, psnr in ((0, 30), (-1, 30), (math.nan, 30), (1, math.inf)):
        with pytest.raises(ValueError):
            course.record_point("siren", bpp, psnr, picture="coffee")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"solved": 3, "points": []}', '{"solved": {}, "points": [1]}', "\0"])
def test_a_damaged_file_counts_as_empty_and_is_replaced(progress_file: Path, content: str) -> None:
    progress_file.parent.mkdir()
    progress_file.write_text(content)
    assert store.solved() == {} and course.points() == []
    store.mark_solved("00.1")
    assert list(store.solved()) == ["00.1"]


def test_without_a_place_to_write_the_kernel_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file" / "progress.json"))
    store.mark_solved("00.1")
    course.record_point("siren", 0.5, 30.0, picture="coffee")
    assert list(store.solved()) == ["00.1"] and len(course.points()) == 1
    course.reset()
    assert store.solved() == {}


def test_without_a_variable_the_file_lies_in_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.VARIABLE)
    assert store.path().name == "progress.json" and "tutorial_lib" in str(store.path())


# ------------------------------------------------------------------------------------------ the session


SET_UP = """
import sys
from IPython.core.interactiveshell import InteractiveShell

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tutorial_lib":
            raise ModuleNotFoundError(name)

def pip(line):
    print("pip", line)
    sys.meta_path.remove(missing)

cell, missing, shell = sys.stdin.read(), Missing(), InteractiveShell()
shell.register_magic_function(pip, "line", "pip")
if "bare" in sys.argv:
    sys.meta_path.insert(0, missing)
for _ in range(2):
    assert shell.run_cell(cell).success
"""


@pytest.mark.parametrize("where", ["bare", "installed"])
def test_the_set_up_cell_installs_only_where_the_course_is_missing(where: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SET_UP, where], input=session.SETUP_CELL, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    calls = [line for line in run.stdout.splitlines() if line.startswith("pip")]
    install = f'pip install --quiet "git+{address.repository()}"'
    assert calls == ([install] if where == "bare" else [])
    assert run.stdout.count("The course is ready") == 2


def test_the_budget_chooses_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for budget, expected in (("quick", 1), ("laptop", 2), ("gpu", 3)):
        monkeypatch.setenv("INR_BUDGET", budget)
        assert course.budget_value(quick=1, laptop=2, gpu=3) == expected
        assert budget in course.setup().text


def test_sample_files_come_with_the_course() -> None:
    assert course.sample_file("chelsea.inr")[:3] == b"INR"
    assert len(course.sample_file("chelsea.inr")) < 7000
    with pytest.raises(FileNotFoundError, match=r"chelsea\.inr"):
        course.sample_file("dog.inr")


def test_the_registry_is_lazy_and_complete() -> None:
    code = "import sys, tutorial_lib.course; print([m for m in sys.modules if m.endswith('.checks')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ)
    assert run.stdout.strip() == "[]", run.stderr
    for notebook in exercises.notebooks():
        for each in exercises.exercises_of(notebook).values():
            assert each.minutes > 0 and each.checks and each.title
            assert len(each.hints) >= 2
