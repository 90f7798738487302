"""Builds the notebooks from their one source, and finds what no longer fits.

    python -m tutorial_lib.course.builder build     # or: make notebooks
    python -m tutorial_lib.course.builder check

From each ``solutions/NN_topic.py`` (jupytext's percent format) come ``notebooks/NN_topic.ipynb``, the copy of
the participants, without solutions and outputs; ``solutions/NN_topic.ipynb``, executed; and a part of `ANSWERS`:
the cells of its exercises as `boxes.solution` shows them, which an installed package carries. Cells have the same
ids in both notebooks, made from their content. A notebook is executed again only when its code changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tutorial_lib.course import store
from tutorial_lib.course.session import SETUP_CELL

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = "tutorial_lib/course/answers.json"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
GIVEN = "# given"
"""At the end of a solution's line: it may stand elsewhere in the participant's copy."""

LEAK_LENGTH = 16
"""Shorter lines of a solution (``return x``) say nothing, and may stand anywhere."""

WIDGET = "application/vnd.jupyter.widget-view+json"
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class CourseError(Exception):
    """A source that can't be built; the message says where."""


@dataclass(frozen=True)
class Built:
    """What one source gives.

    Attributes:
        name: "02_siren".
        participant, solved: notebooks without outputs.
        answers: exercise id to the cell that solves it.
        secrets: lines that must not stand in the participant's copy.
    """

    name: str
    participant: NotebookNode
    solved: NotebookNode
    answers: dict[str, str]
    secrets: frozenset[str]


def build_source(path: Path) -> Built:
    """Both notebooks of a source.

    Raises:
        CourseError: markers that don't match, or a solution outside an exercise.
    """
    cells = jupytext.read(path, fmt="py:percent").cells
    if not any(cell.cell_type == "code" for cell in cells):
        raise CourseError(f"{path.name} has no code cell")
    first = next(index for index, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(first, nbformat.v4.new_code_cell(SETUP_CELL))
    seen: dict[str, int] = {}
    participant, solved, answers, secrets = [], [], {}, set()
    for cell in cells:
        open_source, solved_source, hidden = _split(cell.source, f"{path.name}: {cell.source[:40]!r}")
        if hidden:
            answers[_exercise_of(cell.source, path.name)] = solved_source
            secrets |= hidden
        digest = hashlib.sha256(f"{cell.cell_type}\n{solved_source}".encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, 0) + 1
        name = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        participant.append(_cell(cell, open_source, name))
        solved.append(_cell(cell, solved_source, name))
    return Built(path.stem, _notebook(participant), _notebook(solved), answers, frozenset(secrets))


def _split(source: str, where: str) -> tuple[str, str, set[str]]:
    """A cell's source for participants, for readers of the solution, and the lines only the latter see."""
    open_lines, solved_lines, hidden = [], [], set()
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
            hidden.add(bare.strip())
    if inside:
        raise CourseError(f"{where}: {BEGIN!r} without its partner")
    return "\n".join(open_lines), "\n".join(solved_lines), hidden


def _tells(line: str) -> bool:
    return len(line.strip()) >= LEAK_LENGTH and not line.strip().startswith(("#", "import ", "from "))


def _exercise_of(source: str, where: str) -> str:
    found = re.findall(r'^@exercise\("([^"]+)"\)', source, re.MULTILINE)
    if len(found) != 1:
        raise CourseError(f'{where}: a cell with a solution has one @exercise("…"), this one has {len(found)}')
    return found[0]


def _cell(cell: NotebookNode, source: str, name: str) -> NotebookNode:
    make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
    tags = cell.metadata.get("tags")
    return make(source, id=name, metadata={"tags": tags} if tags else {})


def _notebook(cells: list[NotebookNode]) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=cells, metadata=_METADATA)


def _text(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook, version=4) + "\n"


def code(notebook: NotebookNode) -> list[str]:
    """The sources of a notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def executed(notebook: NotebookNode) -> bool:
    """Whether every code cell has been run."""
    return all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def execute(
    notebook: NotebookNode,
    *,
    budget: str,
    timeout: int = 600,
    on_cell: Callable[[NotebookNode, str], None] | None = None,
    **environment: str,
) -> None:
    """Run a notebook in place, in an empty folder, as a reader with nothing solved would.

    Args:
        notebook: it gets the outputs.
        budget: "quick", "laptop" or "gpu".
        timeout: seconds for each cell.
        on_cell: called with each code cell and "start" or "end".
        environment: further variables of the kernel.

    Raises:
        CellExecutionError: a cell failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **os.environ,
            "INR_BUDGET": budget,
            store.VARIABLE: str(Path(folder) / "progress.json"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            **environment,
        }
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            store_widget_state=False,
            record_timing=False,
        )
        if on_cell:
            client.on_cell_execute = lambda cell, cell_index: on_cell(cell, "start")
            client.on_cell_executed = lambda cell, cell_index, execute_reply: on_cell(cell, "end")
        client.execute(env=variables)
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [_anonymous(output) for output in map(_without_widget, cell.outputs) if output]


def _without_widget(output: NotebookNode) -> NotebookNode | None:
    """Drop what a saved notebook can't show without its kernel, and progress bars with it."""
    if WIDGET in output.get("data", {}):
        del output["data"][WIDGET]
        return output if "text/html" in output["data"] else None
    return output


def _anonymous(output: NotebookNode) -> NotebookNode:
    """Replace the folders of the machine that executed: readers have others."""
    text = json.dumps(output, ensure_ascii=False)
    for folder, name in ((sys.prefix, "(environment)"), (str(ROOT), "(course)"), (str(Path.home()), "~")):
        text = text.replace(json.dumps(folder, ensure_ascii=False)[1:-1], name)
    return nbformat.from_dict(json.loads(text))


def sources(root: Path) -> list[Path]:
    """The sources of all notebooks."""
    return sorted((root / "solutions").glob("[0-9][0-9]_*.py"))


def build(root: Path = ROOT, *, only: str = "", run: bool = True, force: bool = False, budget: str = "laptop") -> list[Path]:
    """Build all notebooks, or those whose name starts with ``only``; returns the files that changed.

    Args:
        root: of the repository.
        only: the start of names.
        run: execute solutions whose code changed; else leave them without outputs.
        force: execute all of them.
        budget: of the execution.

    Raises:
        CourseError: see `build_source`.
        CellExecutionError: a solution failed.
    """
    changed, answers = [], {}
    for path in sources(root):
        built = build_source(path)
        answers |= built.answers
        if not built.name.startswith(only):
            continue
        changed += _write(root / "notebooks" / f"{built.name}.ipynb", _text(built.participant))
        target = path.with_suffix(".ipynb")
        before = _read(target)
        if force or not (before and code(before) == code(built.solved) and executed(before)):
            if run:
                print(f"executing {target.relative_to(root)} with the budget {budget}", flush=True)
                execute(built.solved, budget=budget)
        else:
            _copy_outputs(before, built.solved)
        changed += _write(target, _text(built.solved))
    changed += _write(root / ANSWERS, _answers_text(answers))
    return changed


def _copy_outputs(before: NotebookNode, after: NotebookNode) -> None:
    old = (cell for cell in before.cells if cell.cell_type == "code")
    for cell in after.cells:
        if cell.cell_type == "code":
            run = next(old)
            cell.outputs, cell.execution_count = run.outputs, run.execution_count


def check(root: Path = ROOT) -> list[str]:
    """What doesn't fit, a sentence each: files that their source doesn't give, and solutions that leaked."""
    return list(_problems(root))


def _problems(root: Path) -> Iterator[str]:
    answers: dict[str, str] = {}
    names = set()
    for path in sources(root):
        built = build_source(path)
        names.add(built.name)
        if twice := answers.keys() & built.answers.keys():
            yield f"{path.name} solves {twice.pop()}, as another cell does"
        answers |= built.answers
        copy, solved = root / "notebooks" / f"{built.name}.ipynb", path.with_suffix(".ipynb")
        text = copy.read_text(encoding="utf-8") if copy.is_file() else ""
        if text != _text(built.participant):
            yield f"notebooks/{copy.name} is not what {path.name} gives: run `make notebooks`"
        yield from (f"notebooks/{copy.name} shows a solution: {line}" for line in leaks(text, built.secrets))
        stored = _read(solved)
        if stored is None or _skeleton(stored) != _skeleton(built.solved):
            yield f"solutions/{solved.name} is not what {path.name} gives: run `make notebooks`"
        elif not executed(stored):
            yield f"solutions/{solved.name} was not executed: run `make notebooks`"
    for folder in ("notebooks", "solutions"):
        for path in sorted((root / folder).glob("*.ipynb")):
            if path.stem not in names:
                yield f"{folder}/{path.name} has no source in solutions/"
    stored_answers = root / ANSWERS
    if not stored_answers.is_file() or stored_answers.read_text(encoding="utf-8") != _answers_text(answers):
        yield f"{ANSWERS} is not what the sources give: run `make notebooks`"


def leaks(text: str, secrets: frozenset[str]) -> list[str]:
    """Lines of solutions in a participant's notebook, given as the text of its file."""
    if not text:
        return []
    cells = nbformat.reads(text, as_version=4).cells
    lines = {line.strip().strip("`") for cell in cells for line in cell.source.splitlines()}
    lines |= {re.sub(r"^# ?", "", line) for line in lines}
    return sorted(secrets & lines)


def _skeleton(notebook: NotebookNode) -> list[tuple[Any, ...]]:
    """A notebook without its outputs."""
    cells = [(c.id, c.cell_type, c.source, json.dumps(c.metadata, sort_keys=True)) for c in notebook.cells]
    return [*cells, (json.dumps(notebook.metadata, sort_keys=True),)]


def _answers_text(answers: dict[str, str]) -> str:
    return json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> NotebookNode | None:
    return nbformat.read(path, as_version=4) if path.is_file() else None


def _write(path: Path, text: str) -> list[Path]:
    """Write a file if that changes it."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return [path]


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tutorial_lib.course.builder", description=__doc__)
    parser.add_argument("what", choices=["build", "check"])
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument("--only", default="", metavar="NN", help="build notebooks whose name starts so")
    parser.add_argument("--no-execute", action="store_true", help="leave changed solutions without outputs")
    parser.add_argument("--force", action="store_true", help="execute solutions that did not change, too")
    parser.add_argument("--budget", default="laptop", choices=["quick", "laptop", "gpu"])
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        if options.what == "check":
            problems = check(root)
            print("\n".join(problems) or "The notebooks fit their sources.")
            return 1 if problems else 0
        run = not options.no_execute
        changed = build(root, only=options.only, run=run, force=options.force, budget=options.budget)
    except (CourseError, CellExecutionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"wrote {path.relative_to(root)}" for path in changed) or "Nothing changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
