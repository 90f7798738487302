"""What readers play with: notebook 05's blind test, notebook 07's challenge without a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutorial_lib import images, metrics
from tutorial_lib.course import challenge, entries, sample_file, store
from tutorial_lib.lessons.n05_losses import figures, judges
from tutorial_lib.lessons.n07_evaluation import contest
from tutorial_lib.lessons.n07_evaluation.contest import Recipe


@pytest.fixture(autouse=True)
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(challenge.VARIABLE, str(tmp_path / "board.json"))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "progress.json"))
    return tmp_path / "board.json"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe("jpeg"), "makes no .inr file"),
        (Recipe("nonsense"), "no codec 'nonsense'"),
        (Recipe(loss="nonsense"), "no loss 'nonsense'"),
        (Recipe("coin", lmbda=1e-3), "no λ"),
        (Recipe(lmbda=-1.0), "positive"),
        (Recipe(steps=3), "iterations"),
    ],
)
def test_a_recipe_that_can_t_be_carried_out_is_refused_before_the_work(recipe: Recipe, words: str) -> None:
    shown = contest.run(recipe, "we", begin=True)
    assert shown is not None and words in shown.text


def test_a_recipe_is_only_looked_at_until_it_shall_begin(board: Path) -> None:
    shown = contest.run(Recipe("coin"), "we", begin=False)
    assert shown is not None and "Ready: coin" in shown.text and not board.exists()
    assert contest.planned(Recipe("coin")).expected_bytes <= challenge.LIMIT


def test_a_fit_in_a_process_of_its_own_says_how_far_it_is_and_enters_its_file() -> None:
    states = list(contest.follow(contest.start(Recipe("coin", steps=24, seed=3)), "Owls"))
    assert "% of the steps" in states[1].text and "dB" in states[1].text
    (entry,) = challenge.leaderboard()
    assert entry.team == "Owls" and entry.codec == "coin" and entry.counts
    assert "Owls" in states[-1].text and "<table" in states[-1].html


def test_a_stopped_fit_enters_nothing(board: Path) -> None:
    states = contest.follow(contest.start(Recipe(steps=5000)), "Owls")
    next(states)
    again = contest.run(Recipe("coin"), "we", begin=True)
    assert again is not None and "still at work" in again.text
    contest.stop()
    assert list(states)[-1].text == "Stopped." and not board.exists()


def test_a_fit_that_fails_says_why() -> None:
    states = list(contest.follow(contest.start(Recipe(loss="nonsense")), "Owls"))
    assert states[-1].text.startswith("It failed: ") and "no loss 'nonsense'" in states[-1].text


def test_the_notebook_s_samples_are_the_challenge_s() -> None:
    assert set(entries.SAMPLES) == {"sample file, COIN", "sample file, COOL-CHIC"}


def test_outside_a_notebook_the_board_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    contest.live_board()
    assert capsys.readouterr().out.count("no file has been entered") == 1


# ------------------------------------------------------------------------------------------------ judged blind


def blind(reader: str, monkeypatch: pytest.MonkeyPatch) -> judges.BlindTest:
    monkeypatch.setattr(judges, "reader", lambda: reader)
    names = ("l1", "mse", "l1+ssim")
    original = images.reduce(images.sample("chelsea"), size=(200, 300))
    return judges.blind_test({name: sample_file(f"chelsea-loss-{name}.inr") for name in names}, original)


def test_letters_are_a_reader_s_own_and_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = {reader: blind(reader, monkeypatch).names() for reader in "abcdefgh"}
    assert orders["a"] == blind("a", monkeypatch).names()
    assert len({tuple(order.values()) for order in orders.values()}) > 2
    monkeypatch.undo()
    assert judges.reader() == judges.reader() != ""


def test_the_reveal_and_the_look_use_the_same_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures.metrics, "lpips_weights_missing", lambda: ["alex", "squeeze"])
    test = blind("a", monkeypatch)
    assert 'aria-label="A: hold to see original"' in test.look("eye").html
    judgement = judges.judge(test, lambda similarity: similarity)
    for letter, name in test.names().items():
        assert judgement["LPIPS (less is better)"][letter] == figures.SAVED_LPIPS[name]  # without its weights: what was saved
    assert "saved numbers" in judges.judges_table(test, judgement, "yours").text
    shown = judges.reveal(test, judgement, None, lambda *_: 0.5, "yours")
    assert all(f"{letter} is {name}" in shown.html for letter, name in test.names().items())


@pytest.mark.skipif("squeeze" in metrics.lpips_weights_missing(), reason="needs the weights of LPIPS")
def test_saved_numbers_are_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    test = blind("a", monkeypatch)
    for letter, name in test.names().items():
        assert figures.lpips(test.decoded[letter], test.original) == pytest.approx(figures.SAVED_LPIPS[name], abs=1e-3)
