"""What the course says to its participants: verdicts, hints, answers and progress, as HTML and as text."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator

from tutorial_lib.course import percent, store
from tutorial_lib.course.exercises import Exercise, Verdict, exercises_of, find, lesson, notebooks
from tutorial_lib.plots import BLUE, GREEN, ORANGE, RED, Shown, target_and_yours

_LOOK = {"passed": ("✓", GREEN), "pending": ("…", BLUE), "wrong": ("✗", RED), "stopped": ("■", RED)}


def show(shown: Shown) -> None:
    """Display at once: in a notebook as HTML, elsewhere as text."""
    with contextlib.suppress(ImportError):
        from IPython import get_ipython
        from IPython.display import display

        if get_ipython() is not None:
            display(shown)
            return
    print(shown.text)


def box(body: str, colour: str) -> str:
    """HTML with a coloured bar at its left, for light and dark pages."""
    style = f"border-left:6px solid {colour};padding:4px 12px;margin:4px 0;line-height:1.5"
    return f'<div style="{style}">{body}</div>'


def verdict_text(verdict: Verdict) -> str:
    """A verdict as plain text."""
    mark, _ = _LOOK[verdict.status]
    lines = [f"{mark} {_title(verdict.exercise)} · {_headline(verdict)}"]
    lines += [f"  {text}" for text in _remarks(verdict)]
    return "\n".join(lines)


def verdict_box(verdict: Verdict) -> Shown:
    """A verdict as a coloured box, with target and yours side by side where there is something to see."""
    mark, colour = _LOOK[verdict.status]
    body = f"<b>{mark} {html.escape(_title(verdict.exercise))} · {_headline(verdict)}</b>"
    body += "".join(f"<br>{_inline(text)}" for text in _remarks(verdict))
    text = verdict_text(verdict)
    if verdict.drawing:
        with contextlib.suppress(Exception):  # whatever the answer's result is, it must not stop the cell
            drawn = target_and_yours(*verdict.drawing)
            body += f"<br>{drawn.html}"
            text += f"\n{drawn.text}"
    return Shown(box(body, colour), text)


def hint(identifier: str, count: int = 1) -> Shown:
    """The hints of an exercise, folded one inside the other: a click unfolds the next.

    Nothing is remembered from call to call, so that "Run All", once or twice, opens none.

    Args:
        identifier: "02.1".
        count: how many a terminal shows, where nothing folds.

    Raises:
        KeyError: no such exercise.
    """
    exercise = find(identifier)
    hints = exercise.hints
    body = f"<div>{_inline(_ask_answer(identifier))}</div>"
    for number in range(len(hints), 0, -1):
        body = (
            f"<details><summary>Hint {number} of {len(hints)}</summary>"
            f'<div style="padding-left:1em">{_inline(hints[number - 1])}{body}</div></details>'
        )
    shown = hints[:count]
    text = [f"Hint {number} of {len(hints)}: {each}" for number, each in enumerate(shown, 1)]
    more = f'`hint("{identifier}", {len(shown) + 1})` shows the next.'
    text.append(more if len(shown) < len(hints) else _ask_answer(identifier))
    return Shown(box(f"<b>{html.escape(_title(exercise))}</b>{body}", BLUE), "\n".join(text))


def solution(identifier: str) -> Shown:
    """The answer to an exercise, as the course's authors wrote it.

    Raises:
        KeyError: no such exercise.
    """
    title = _title(find(identifier))
    source = lesson(identifier.partition(".")[0]) / "notebook.py"
    code = percent.answer(source.read_text(encoding="utf-8"), identifier)
    return Shown(box(f"<b>{html.escape(title)}</b>{_code(code)}", GREEN), f"{title}\n\n{code}")


def progress() -> Shown:
    """What is solved, notebook by notebook, and how many minutes are left on the core path and in total."""
    solved = store.solved()
    rows, text = [], []
    for notebook in notebooks():
        exercises = exercises_of(notebook).values()
        marks = [(f"{'✓' if e.id in solved else '○'} {e.id}{'' if e.core else ' (extra)'}", e.title) for e in exercises]
        cells = " &nbsp; ".join(
            f'<span style="white-space:nowrap" title="{html.escape(title)}">{mark}</span>' for mark, title in marks
        )
        rows.append(f"<b>Notebook {notebook}</b> &nbsp; {cells}")
        text.append(f"Notebook {notebook}: " + "  ".join(mark for mark, _ in marks))
    line = progress_line()
    return Shown(box(f"{'<br>'.join(rows)}<br>{html.escape(line)}", BLUE), "\n".join([*text, line]))


def progress_line() -> str:
    """ "3 of 14 exercises solved; left: 40 min on the core path, 60 min in all"."""
    solved, everything = store.solved(), list(_all_exercises())
    left = [each for each in everything if each.id not in solved]
    done, core = len(everything) - len(left), sum(each.minutes for each in left if each.core)
    return (
        f"{done} of {len(everything)} exercises solved; left: {core} min on the core path, "
        f"{sum(each.minutes for each in left)} min in all"
    )


def machine() -> Shown:
    """Does the course run here? What ``inr doctor`` finds, as a table, with the cure for what is missing."""
    from tutorial_lib import doctor

    checks = doctor.check()
    marks = {"ok": ("✓", GREEN), "warn": ("!", ORANGE), "fail": ("✗", RED)}
    rows = []
    for each in checks:
        mark, colour = marks[each.status]
        found = html.escape(each.detail) + (f"<br><b>Cure:</b> {html.escape(each.cure)}" if each.cure else "")
        rows.append(
            f'<tr style="text-align:left"><td style="color:{colour}"><b>{mark}</b></td>'
            f"<td>{html.escape(each.name)}</td><td>{found}</td></tr>"
        )
    text = doctor.text(checks)
    verdict = html.escape(text.splitlines()[-1])
    body = (
        f'<details><summary><b>{verdict}</b></summary><div style="overflow-x:auto"><table>{"".join(rows)}</table></div></details>'
    )
    if any(each.status == "fail" for each in checks):
        body = body.replace("<details>", "<details open>", 1)
    return Shown(body, text)


def _all_exercises() -> Iterator[Exercise]:
    for notebook in notebooks():
        yield from exercises_of(notebook).values()


def _title(exercise: Exercise) -> str:
    return f"Exercise {exercise.id} · {exercise.title}"


def _headline(verdict: Verdict) -> str:
    return {
        "passed": "passed: later cells use yours",
        "pending": "not written yet: later cells use the library's",
        "wrong": "not right yet: later cells use the library's",
        "stopped": "stopped: later cells use the library's",
    }[verdict.status]


def _remarks(verdict: Verdict) -> list[str]:
    """What stands below the headline."""
    identifier = verdict.exercise.id
    if verdict.status == "passed":
        lines = ["✓ " + " · ".join(verdict.passed)]
        if verdict.warning:
            lines.append(f"Slow: {verdict.warning}")
        with contextlib.suppress(Exception):  # another notebook's checks may be damaged
            lines.append(progress_line())
        return lines
    lines = [verdict.message[:1].upper() + verdict.message[1:]] if verdict.message else []
    if verdict.passed:
        lines.append("Right so far: " + " · ".join(verdict.passed))
    tail = f'Stuck? `hint("{identifier}")`, `solution("{identifier}")`'
    lines.append(tail + (f" · random inputs of seed {verdict.seed}" if verdict.status == "wrong" else ""))
    return lines


def _ask_answer(identifier: str) -> str:
    return f'No more hints; `solution("{identifier}")` shows the answer.'


def _inline(text: str) -> str:
    """Escaped text, with `code` between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _code(code: str) -> str:
    """Python code, coloured where Pygments is at hand."""
    with contextlib.suppress(ImportError):
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        return highlight(code, PythonLexer(), HtmlFormatter(noclasses=True, style="default"))
    return f"<pre>{html.escape(code)}</pre>"
