"""Builds the notebooks from their one source, and finds what no longer fits.

    python -m tutorial_lib.course.builder build     # or: make notebooks
    python -m tutorial_lib.course.builder check

From each ``tutorial_lib/lessons/nNN_topic/notebook.py`` (jupytext's percent format) come
``notebooks/NN_topic.ipynb``, the copy of the participants, without solutions and outputs, and
``solutions/NN_topic.ipynb``, executed. Cells have the same ids in both, made from their content. A notebook is
executed again only when its code changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tutorial_lib.course import address, percent, store
from tutorial_lib.course.exercises import exercises_of, notebooks
from tutorial_lib.course.percent import Cell, CourseError
from tutorial_lib.course.session import SETUP_CELL

ROOT = Path(__file__).resolve().parents[2]
WIDGET = "application/vnd.jupyter.widget-view+json"
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True)
class Built:
    """What one source gives.

    Attributes:
        name: "02_siren".
        participant, solved: notebooks without outputs.
        secrets: lines that must not stand in the participant's copy.
    """

    name: str
    participant: NotebookNode
    solved: NotebookNode
    secrets: frozenset[str]


def build_source(path: Path) -> Built:
    """Both notebooks of a source.

    Raises:
        CourseError: markers that don't match, or a solution outside an exercise.
    """
    where = f"{path.parent.name}/{path.name}"
    cells = percent.read(path.read_text(encoding="utf-8"))
    first = next((index for index, cell in enumerate(cells) if cell.kind == "code"), None)
    if first is None:
        raise CourseError(f"{where} has no code cell")
    cells.insert(first, Cell("code", SETUP_CELL))
    seen: Counter[str] = Counter()
    participant, solved, secrets = [], [], set()
    for cell in cells:
        halves = percent.split(cell.source, f"{where}: {cell.source[:40]!r}")
        secrets |= halves.secrets
        digest = hashlib.sha256(f"{cell.kind}\n{halves.solved}".encode()).hexdigest()[:10]
        seen[digest] += 1
        name = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        participant.append(_cell(cell, halves.open, name))
        solved.append(_cell(cell, halves.solved, name))
    return Built(name_of(path), _notebook(participant), _notebook(solved), frozenset(secrets))


def _cell(cell: Cell, source: str, name: str) -> NotebookNode:
    make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, id=name, metadata={"tags": list(cell.tags)} if cell.tags else {})


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
    solved: Sequence[str] = (),
    timeout: int = 600,
    on_cell: Callable[[NotebookNode, str], None] | None = None,
    **environment: str,
) -> None:
    """Run a notebook in place, in an empty folder, as a reader would who has solved the exercises before it, and no others.

    Args:
        notebook: it gets the outputs.
        solved: ids of exercises that count as solved when it begins.
        budget: "quick", "laptop" or "gpu".
        timeout: seconds for each cell.
        on_cell: called with each code cell and "start" or "end".
        environment: further variables of the kernel.

    Raises:
        CellExecutionError: a cell failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress.json"
        progress.write_text(json.dumps({"solved": dict.fromkeys(solved, "earlier"), "points": []}), encoding="utf-8")
        variables = {
            **os.environ,
            "INR_BUDGET": budget,
            store.VARIABLE: str(progress),
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


def earlier(name: str) -> list[str]:
    """The exercises of the notebooks before this one ("02_siren"): who works through the course has solved them."""
    return [identifier for number in notebooks() if number < name[:2] for identifier in exercises_of(number)]


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
    return sorted((root / "tutorial_lib" / "lessons").glob("n[0-9][0-9]_*/notebook.py"))


def name_of(source: Path) -> str:
    """The name of a source's notebooks: that of its lesson's folder without the n, "02_siren"."""
    return source.parent.name.removeprefix("n")


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
    changed = []
    for path in sources(root):
        if not name_of(path).startswith(only):
            continue
        built = build_source(path)
        changed += _write(root / "notebooks" / f"{built.name}.ipynb", _text(built.participant))
        target = root / "solutions" / f"{built.name}.ipynb"
        before = _read(target)
        if force or not (before and code(before) == code(built.solved) and executed(before)):
            if run:
                print(f"executing {target.relative_to(root)} with the budget {budget}", flush=True)
                execute(built.solved, budget=budget, solved=earlier(built.name))
        else:
            _copy_outputs(before, built.solved)
        changed += _write(target, _text(built.solved))
    for path, text in address.written(root, [name_of(path) for path in sources(root)]).items():
        changed += _write(path, text)
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
    names = set()
    for path in sources(root):
        built, source = build_source(path), f"{path.parent.name}/{path.name}"
        names.add(built.name)
        copy, solved = (root / folder / f"{built.name}.ipynb" for folder in ("notebooks", "solutions"))
        text = copy.read_text(encoding="utf-8") if copy.is_file() else ""
        if text != _text(built.participant):
            yield f"notebooks/{copy.name} is not what {source} gives: run `make notebooks`"
        yield from (f"notebooks/{copy.name} shows a solution: {line}" for line in leaks(text, built.secrets))
        stored = _read(solved)
        if stored is None or _skeleton(stored) != _skeleton(built.solved):
            yield f"solutions/{solved.name} is not what {source} gives: run `make notebooks`"
        elif not executed(stored):
            yield f"solutions/{solved.name} was not executed: run `make notebooks`"
    for path, text in address.written(root, sorted(names)).items():
        if path.read_text(encoding="utf-8") != text:
            yield f"{path.relative_to(root)} has another address or other notebooks: run `make notebooks`"
    for folder in ("notebooks", "solutions"):
        for path in sorted((root / folder).glob("*.ipynb")):
            if path.stem not in names:
                yield f"{folder}/{path.name} has no lesson in tutorial_lib/lessons/"


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
