"""Notebook 07's challenge without a terminal: a fit beside the notebook, and a board that follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutorial_lib.course import challenge, entries, store
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
