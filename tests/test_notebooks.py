"""The notebooks themselves: they fit their sources, run to their ends, and can be read by everyone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import jupytext
import nbformat
import pytest

from tutorial_lib.course import builder, percent
from tutorial_lib.course.exercises import exercises_of, notebooks
from tutorial_lib.course.session import SETUP_CELL

ROOT = Path(__file__).resolve().parent.parent
SOURCES = builder.sources(ROOT)
MEGABYTES = 2

every_notebook = pytest.mark.parametrize("source", SOURCES, ids=builder.name_of)


def participant(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{builder.name_of(source)}.ipynb", as_version=4)


def executed_copy(source: Path) -> Path:
    return ROOT / "solutions" / f"{builder.name_of(source)}.ipynb"


def solved(source: Path) -> nbformat.NotebookNode:
    return nbformat.read(executed_copy(source), as_version=4)


def outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


class Images(HTMLParser):
    """The alternative texts of a page's images, None where one is missing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))


def silent_figures(notebook: nbformat.NotebookNode) -> list[str]:
    """What of a notebook's outputs can't be read aloud."""
    found = []
    for output in outputs(notebook):
        data = output.get("data", {})
        found += [kind for kind in data if kind.startswith("image/")]
        found += [str(alt) for alt in Images(data.get("text/html", "")).alts if not (alt and len(alt) >= 5)]
    return found


def test_there_are_notebooks() -> None:
    assert SOURCES


def test_notebooks_fit_their_sources_and_nothing_leaked() -> None:
    assert builder.check(ROOT) == []


@every_notebook
def test_a_source_is_read_as_jupytext_reads_it(source: Path) -> None:
    """Editors open a source as a notebook by jupytext; the builder and `solution` read it without."""
    theirs = jupytext.read(source, fmt="py:percent").cells
    ours = percent.read(source.read_text(encoding="utf-8"))
    assert [(c.kind, c.source, list(c.tags)) for c in ours] == [
        (c.cell_type, c.source, c.metadata.get("tags", [])) for c in theirs
    ]


@every_notebook
def test_every_exercise_has_an_answer_in_its_source(source: Path) -> None:
    text, cells = source.read_text(encoding="utf-8"), builder.code(solved(source))
    for identifier in exercises_of(builder.name_of(source)[:2]):
        answer = percent.answer(text, identifier)
        assert answer in cells and "NotImplementedError" not in answer


@every_notebook
def test_the_first_code_cell_is_the_set_up(source: Path) -> None:
    for notebook in (participant(source), solved(source)):
        assert builder.code(notebook)[0] == SETUP_CELL
        assert [cell.cell_type for cell in notebook.cells[:2]] == ["markdown", "code"]


@every_notebook
def test_an_executed_notebook_is_small_clean_and_of_no_machine(source: Path) -> None:
    path = executed_copy(source)
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MEGABYTES * 2**20
    bad = [o for o in outputs(solved(source)) if o.output_type == "error" or o.get("name") == "stderr"]
    assert bad == []
    for folder in (str(ROOT), str(Path.home()), sys.prefix):
        assert folder == "/" or f"{folder}/" not in text


@every_notebook
def test_every_figure_has_alternative_text(source: Path) -> None:
    assert silent_figures(solved(source)) == []
    assert any(Images(o.get("data", {}).get("text/html", "")).alts for o in outputs(solved(source)))


def test_alarm_rings_for_a_figure_without_alternative_text() -> None:
    for data in ({"image/png": "…"}, {"text/html": "<img src='x'>"}, {"text/html": "<img alt='' src='x'>"}):
        cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
        assert silent_figures(nbformat.v4.new_notebook(cells=[cell]))


@every_notebook
def test_exercises_are_those_of_the_registry_in_order(source: Path) -> None:
    number = builder.name_of(source)[:2]
    used = re.findall(r'^@exercise\("([^"]+)"\)', "\n".join(builder.code(solved(source))), re.MULTILINE)
    assert used == (list(exercises_of(number)) if number in notebooks() else [])


def test_every_declared_exercise_has_a_notebook() -> None:
    assert set(notebooks()) <= {builder.name_of(source)[:2] for source in SOURCES}


def test_the_core_exercises_fit_three_hours() -> None:
    core = [each for n in notebooks() for each in exercises_of(n).values() if each.core]
    assert 0 < sum(each.minutes for each in core) <= 180


@every_notebook
def test_the_text_states_goals_minutes_and_needs(source: Path) -> None:
    first = participant(source).cells[0].source
    assert first.startswith(f"# {builder.name_of(source)[:2]} ")
    for word in ("You will", "Time", "minutes", "You need"):
        assert word in first


@pytest.mark.slow
@every_notebook
def test_a_notebook_with_nothing_solved_runs_to_its_end(source: Path, tmp_path: Path) -> None:
    notebook = participant(source)
    builder.execute(notebook, budget=os.environ.get("INR_BUDGET", "quick"), timeout=300)
    number = builder.name_of(source)[:2]
    shown = [o["data"]["text/plain"] for o in outputs(notebook) if "text/plain" in o.get("data", {})]
    for identifier in exercises_of(number) if number in notebooks() else ():
        (verdict,) = [text for text in shown if re.match(rf"\S Exercise {re.escape(identifier)} ·.*later", text)]
        assert verdict.startswith("…") and "not written yet" in verdict


@pytest.mark.slow
@every_notebook
def test_a_solved_notebook_runs_under_nbval(source: Path, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {
        **os.environ,
        "INR_BUDGET": os.environ.get("INR_BUDGET", "quick"),
        "INR_PROGRESS_FILE": str(tmp_path / "progress.json"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    command = [sys.executable, "-m", "pytest", "-c", str(tmp_path / "pytest.ini"), "-p", "no:cacheprovider", "-q"]
    command += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "300"]
    run = subprocess.run([*command, str(executed_copy(source))], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-4000:]
    cells = sum(cell.cell_type == "code" for cell in solved(source).cells)
    assert f"{cells} passed" in run.stdout


@every_notebook
def test_links_into_the_library_open_the_file_that_holds_what_they_name(source: Path) -> None:
    """One click from a notebook to a file; what is named beside the links is defined in one of them."""
    text = source.read_text(encoding="utf-8").replace("\n#  ", "")
    links = re.findall(r"\]\(\.\./(tutorial_lib/[^)]+)\)", text)
    assert links or source.parent.name == "n00_welcome"
    assert [link for link in links if not (ROOT / link).is_file()] == []
    code = "".join((ROOT / link).read_text(encoding="utf-8") for link in links)
    for line in re.findall(r"\*\*In the library:\*\*(.*)", text):
        for name in re.findall(r"(?<!\[)`([A-Za-z_.]+)`", line):
            assert re.search(rf"(class|def) {name.rsplit('.')[-1]}\b", code), name


@every_notebook
def test_the_three_hour_path_is_marked(source: Path) -> None:
    """The head names the core exercises, and the others' headings say that they may be skipped."""
    text, exercises = source.read_text(encoding="utf-8"), exercises_of(builder.name_of(source)[:2]).values()
    head = next(line for line in text.splitlines() if "**In a three-hour workshop**" in line)
    core = [exercise.id for exercise in exercises if exercise.core]
    assert re.search(r"\d+ minutes", head)
    assert (re.findall(r"\d\d\.\d[a-z]?", head) or [exercise.id for exercise in exercises]) == core
    for exercise in exercises:
        (heading,) = re.findall(rf"^# #+ {exercise.id} .*$", text, re.MULTILINE)
        assert ("may be skipped" in heading) == (not exercise.core), heading
