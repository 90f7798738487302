"""A notebook's source: cells in jupytext's percent format, with the solutions of its exercises between markers.

Read here with a few lines, so that an installed package can show its answers without jupytext; editors that know the
format open a source as a notebook all the same.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from dataclasses import dataclass
from typing import Literal

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
GIVEN = "# given"
"""At the end of a solution's line: it may stand elsewhere in the participant's copy."""

WIDTH = 76
"""Columns of a task's comments and docstrings in the participants' copy: more are cut off at the right on a small screen."""

LEAK_LENGTH = 16
"""Shorter lines of a solution (``return x``) say nothing, and may stand anywhere."""

_HEAD = re.compile(r"^# %%(?P<markdown> \[markdown\])?(?: tags=\[(?P<tags>.*)\])?$", re.MULTILINE)


class CourseError(Exception):
    """A source that can't be built; the message says where."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook's source.

    Attributes:
        kind: of the cell.
        source: its text, without the comment signs of Markdown.
        tags: such as "nbval-check-output".
    """

    kind: Literal["code", "markdown"]
    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Halves:
    """A cell for both readers.

    Attributes:
        open: its source as participants get it, with an exception where a solution was.
        solved: its source with the solution, without the markers.
        secrets: lines of the solution that must not stand in the participant's copy.
    """

    open: str
    solved: str
    secrets: frozenset[str]


def read(text: str) -> list[Cell]:
    """The cells of a source; what stands before the first is none.

    Raises:
        CourseError: a line that looks like the head of a cell, and isn't.
    """
    heads = list(_HEAD.finditer(text))
    if odd := set(re.findall(r"^# %%.*", text, re.MULTILINE)) - {head[0] for head in heads}:
        raise CourseError(f"no head of a cell: {odd.pop()!r}")
    cells = []
    for head, end in zip(heads, [*(each.start() for each in heads[1:]), len(text)], strict=True):
        source = text[head.end() : end].strip("\n")
        if head["markdown"]:
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        tags = re.findall(r'"([^"]+)"', head["tags"] or "")
        cells.append(Cell("markdown" if head["markdown"] else "code", source, tuple(tags)))
    return cells


def split(source: str, where: str) -> Halves:
    """A cell's source for participants, for readers of the solution, and the lines that only the latter see.

    Args:
        source: of the cell.
        where: it stands, for messages.

    Raises:
        CourseError: markers that don't match, or a solution outside an exercise.
    """
    open_lines, solved_lines, secrets = [], [], set()
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark in (BEGIN, END):
            if inside == (mark == BEGIN):
                raise CourseError(f"{where}: {mark!r} without its partner")
            inside = mark == BEGIN
            if inside:
                indent = line[: len(line) - len(line.lstrip())]
                open_lines.append(f'{indent}raise NotImplementedError("Exercise {_exercise_of(source, where)}")')
            continue
        bare = line.removesuffix(GIVEN).rstrip() if inside else line
        solved_lines.append(bare)
        if not inside:
            open_lines.append(line)
        elif bare == line and _tells(bare):
            secrets.add(bare.strip())
    if inside:
        raise CourseError(f"{where}: {BEGIN!r} without its partner")
    if "@exercise(" in source:
        open_lines, solved_lines = wrapped(open_lines), wrapped(solved_lines)
    return Halves("\n".join(open_lines), "\n".join(solved_lines), frozenset(secrets))


def wrapped(lines: list[str]) -> list[str]:
    """Code with comments and docstrings in `WIDTH` columns; a comment's line ends where a sentence or a list's item begins."""
    result: list[str] = []
    lines = [part for line in lines for part in _docstring(line)]
    for indent, group in itertools.groupby(lines, lambda line: "".join(re.findall(r"^ *# ", line))):
        if not indent:
            result += group
            continue
        sentences: list[str] = []
        for text in (line.strip().removeprefix("# ") for line in group):
            if sentences and not sentences[-1].endswith((".", "?", ":")) and not re.match(r"\d\. |- ", text):
                sentences[-1] += f" {text.strip()}"
            else:
                sentences.append(text)
        for text in sentences:
            item = re.match(r"(\d\. |- )?", text)
            later = indent + " " * len(item[0] if item else "")
            result += textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=later, break_long_words=False)
    return result


def _docstring(line: str) -> list[str]:
    """A line that is a docstring and too long, in several."""
    found = re.fullmatch(r"( *)(\"\"\".+\"\"\")", line)
    return textwrap.wrap(found[2], WIDTH, initial_indent=found[1], subsequent_indent=found[1]) if found else [line]


def _tells(line: str) -> bool:
    return len(line.strip()) >= LEAK_LENGTH and not line.strip().startswith(("#", "import ", "from "))


def _exercise_of(source: str, where: str) -> str:
    found = re.findall(r'^@exercise\("([^"]+)"\)', source, re.MULTILINE)
    if len(found) != 1:
        raise CourseError(f'{where}: a cell with a solution has one @exercise("…"), this one has {len(found)}')
    return found[0]


def answer(text: str, identifier: str) -> str:
    """The cell of a source that solves an exercise, without its markers; empty where there is none."""
    head = f'@exercise("{identifier}")'
    cells = (cell.source for cell in read(text) if cell.kind == "code" and head in cell.source.splitlines())
    return next((split(source, identifier).solved for source in cells), "")
