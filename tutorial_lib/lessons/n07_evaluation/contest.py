"""Notebook 07's challenge without a terminal: fits that go on in a process of their own, and a leaderboard that follows.

A process, so that neither the notebook's random numbers nor its threads are touched, and a stopped cell doesn't stop the fit.
"""

from __future__ import annotations

import atexit
import base64
import html
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tutorial_lib
from tutorial_lib import codecs, metrics, plots
from tutorial_lib.course import challenge
from tutorial_lib.lessons.n07_evaluation import figures
from tutorial_lib.losses import LOSSES


@dataclass(frozen=True)
class Recipe:
    """What a team decides.

    Attributes:
        codec: its name.
        lmbda: λ in D + λR, for latent grids: what a bit costs; None: as many bytes as are allowed.
        loss: D.
        steps: of the fit; None: what the budget affords.
        seed: of the first weights.
    """

    codec: str = "coolchic-small"
    lmbda: float | None = None
    loss: str = "mse"
    steps: int | None = None
    seed: int = 0


def planned(recipe: Recipe) -> codecs.Plan:
    """What the codec makes of a recipe, for the challenge's picture.

    Raises:
        ValueError: what can't be done, as `codecs.CodecError` says.
    """
    codec = codecs.get(recipe.codec)
    if not isinstance(codec, codecs.Codec):
        raise codecs.CodecError(f"{recipe.codec} makes no .inr file; take {', '.join(codecs.LEARNED)}")
    if recipe.loss not in LOSSES:
        raise codecs.CodecError(f"no loss {recipe.loss!r}; there are {', '.join(LOSSES)}")
    rate = metrics.bits_per_pixel(bytes(challenge.LIMIT), challenge.SIZE) - 0.01 if recipe.lmbda is None else None
    return codec.plan(challenge.task(), bpp=rate, lmbda=recipe.lmbda, loss=recipe.loss, iterations=recipe.steps)


# ---------------------------------------------------------------------------------------------- in the process


def work(recipe: Recipe, say: Callable[[dict[str, Any]], None]) -> None:
    """The fit of a recipe; says how far it is, and at the end the file."""
    plan = planned(recipe)
    codec = codecs.get(recipe.codec)
    assert isinstance(codec, codecs.Codec)
    found = codec.execute(
        plan,
        challenge.task(),
        seed=recipe.seed,
        progress=False,
        callback=lambda p: say({"done": p.iteration, "of": p.iterations, "psnr": p.psnr if math.isfinite(p.psnr) else None}),
    )
    say({"file": base64.b64encode(found.data).decode()})


def main() -> None:
    """``python -m tutorial_lib.lessons.n07_evaluation.contest RECIPE``, the recipe as JSON; answers in lines of JSON."""
    work(Recipe(**json.loads(sys.argv[1])), lambda facts: print(json.dumps(facts), flush=True))


# ---------------------------------------------------------------------------------------------- in the notebook

_running: list[subprocess.Popen[str]] = []


def run(recipe: Recipe, team: str, begin: bool) -> plots.Shown | None:
    """Fit, and enter the file for a team, while the notebook goes on; the cell's output follows.

    Args:
        recipe: what to fit.
        team: who enters the file.
        begin: False: only look whether the recipe can be carried out.
    """
    try:
        plan = planned(recipe)
    except ValueError as error:
        return _said(f"Refused: {error}.")
    if not begin:
        size = "" if recipe.lmbda else f", a file of about {plan.expected_bytes:,} bytes"
        return _said(f"Ready: {recipe.codec}{size}. Set begin to True and run this cell.")
    if any(process.poll() is None for process in _running):
        return _said("One is still at work. contest.stop() ends it.")
    _show_as_it_comes(follow(start(recipe), team))
    return None


def start(recipe: Recipe) -> subprocess.Popen[str]:
    """A process that carries out a recipe; it ends with the kernel at the latest."""
    root = str(Path(tutorial_lib.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(asdict(recipe))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # the notebook's stop button is meant for the cell
    )
    _running[:] = [process]
    atexit.register(process.kill)
    return process


def stop() -> None:
    """End the fit that is going on; its file is lost."""
    for process in _running:
        process.kill()


def follow(process: subprocess.Popen[str], team: str) -> Iterator[plots.Shown]:
    """What a process says, as something to look at; the last one is the file's entry, and the leaderboard."""
    assert process.stdout is not None
    reason = ""
    yield _said("Beginning. Go on reading: this line follows.")
    for line in process.stdout:
        try:
            facts = json.loads(line)
        except ValueError:  # a warning, or the last words of an exception
            reason = line.strip() or reason
            continue
        if "file" in facts:
            entered, board = figures.enter(base64.b64decode(facts["file"]), team), figures.board()
            yield plots.Shown(f"{entered.html}<br>{board.html}", f"{entered.text}\n{board.text}")
            return
        share, psnr = facts["done"] / facts["of"], facts["psnr"]
        said = f"{share:.0%} of the steps" + ("" if psnr is None else f", {psnr:.2f} dB before packing")
        yield plots.Shown(f'<progress value="{share:.3f}"></progress> {said}', said)
    yield _said("Stopped." if process.wait() < 0 else f"It failed: {reason}.")


def _said(text: str) -> plots.Shown:
    return plots.Shown(f"<i>{html.escape(text)}</i>", text)


def _show_as_it_comes(states: Iterator[plots.Shown]) -> None:
    """Show the first state now, and each later one in its place, from a thread; outside a notebook print all of them."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        for state in states:
            print(state)
        return
    shown: Any = display(next(states), display_id=True)

    def go_on() -> None:
        for state in states:
            shown.update(state)

    threading.Thread(target=go_on, daemon=True).start()


_boards = 0
_SECONDS = 3.0


def live_board() -> None:
    """The leaderboard, drawn again whenever somebody enters a file; only the one that was asked for last follows."""
    global _boards
    _boards += 1
    _show_as_it_comes(_boards_from_now(_boards))


def _boards_from_now(number: int) -> Iterator[plots.Shown]:
    from IPython import get_ipython

    pause, seen = threading.Event(), _stamp()
    yield figures.board()
    while get_ipython() is not None and number == _boards:
        pause.wait(_SECONDS)
        if _stamp() != seen:
            seen = _stamp()
            yield figures.board()


def _stamp() -> int:
    """When the leaderboard was written last; 0 where there is none."""
    try:
        return challenge.path().stat().st_mtime_ns
    except OSError:
        return 0


if __name__ == "__main__":
    main()
