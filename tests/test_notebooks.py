"""The notebooks themselves: they fit their sources, run to their ends, and can be read by everyone."""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import torch

from tutorial_lib.course import boxes, builder, percent
from tutorial_lib.course.exercises import Verdict, exercises_of, notebooks
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


def test_all_solutions_count_the_same_exercises() -> None:
    """A reader's progress goes on from notebook to notebook, as if all were run one after the other."""
    everything = [identifier for number in notebooks() for identifier in exercises_of(number)]
    for source in SOURCES:
        said = re.findall(r"(\d+) of (\d+) exercises solved", executed_copy(source).read_text(encoding="utf-8"))
        done = sum(identifier[:2] <= builder.name_of(source)[:2] for identifier in everything)
        assert said and {int(total) for _, total in said} == {len(everything)}, f"{executed_copy(source).name}: build it again"
        assert max(int(solved) for solved, _ in said) == done, f"{executed_copy(source).name}: build it again"


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
    notebook, number = builder.build_source(source).participant, builder.name_of(source)[:2]
    offered = [f'solution("{identifier}")' for identifier in exercises_of(number)] + tries(source)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in offered]
    builder.execute(notebook, budget=os.environ.get("INR_BUDGET", "quick"), timeout=300)
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


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("venv", [".venv", "/elsewhere/venv"])
def test_make_lab_finds_inr_and_opens_terminals_beside_the_notebooks(venv: str, tmp_path: Path) -> None:
    """A stand-in for JupyterLab says where it was started, what `inr` is there, and what it was told."""
    root = tmp_path / "my course"
    place = Path(f"{tmp_path}{venv}") if venv.startswith("/") else root / venv
    (place / "bin").mkdir(parents=True)
    (root / "notebooks").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    scripts = {"jupyter": 'pwd; inr; printf "%s\n" "$@"', "inr": "echo this is inr"}
    for name, text in scripts.items():
        (place / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / "bin" / name).chmod(0o755)
    (place / ".installed").touch()
    command = [
        "make",
        "--no-print-directory",
        "-s",
        "lab",
        f"VENV={place if venv.startswith('/') else venv}",
        "ARGS=--no-browser",
    ]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, env={**os.environ, "SHELL": "/bin/sh"})
    assert run.returncode == 0, run.stderr
    folder, found, *options = run.stdout.splitlines()
    assert Path(folder).resolve() == (root / "notebooks").resolve() and found == "this is inr"
    assert f"--ServerApp.root_dir={root}" in options and "--LabApp.default_url=/lab/tree/notebooks" in options
    assert "--ServerApp.terminado_settings=shell_command=/bin/sh" in options and "--no-browser" in options


@pytest.mark.slow
def test_the_challenge_works_as_notebook_07_tells(tmp_path: Path) -> None:
    """Its commands one after the other, in one folder, with the file's name as in the notebook; `inr` is on the PATH."""
    (text,) = (each for s in SOURCES for each in [s.read_text(encoding="utf-8")] if "inr challenge task" in each)
    commands = re.findall(r"^# (inr .*)$", text, re.MULTILINE)
    assert [each.split()[1] for each in commands] == ["challenge", "encode", "challenge", "challenge"]
    (tmp_path / "inr").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tutorial_lib.cli "$@"\n')
    (tmp_path / "inr").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment["INR_LEADERBOARD_FILE"] = str(tmp_path / "board.json")
    for command in commands:
        quick = command.replace("inr encode", "inr encode --budget quick")
        run = subprocess.run(quick, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, f"{command}: {run.stderr}"
    assert "Night Owls" in run.stdout and re.search(r'my_file`?, "mine.inr"', text)


# ------------------------------------------------------------------------------------------ what a reader is told to call


METHODS = [*dir(torch.Tensor), *dir(torch.nn.Module), *dir(torch.optim.Optimizer)]  # named without their object: `backward()`


def code_cells(source: Path) -> list[str]:
    """The sources of the solved notebook's code cells, without the set-up."""
    return builder.code(builder.build_source(source).solved)[1:]


def imported(source: Path) -> dict[str, Any]:
    """The namespace of a notebook after its imports, and nothing else, have run."""
    scope: dict[str, Any] = {}
    for cell in code_cells(source):
        for line in ast.parse(cell).body:
            if isinstance(line, ast.Import | ast.ImportFrom):
                exec(ast.unparse(line), scope)
    return scope


def names_of(tree: ast.AST) -> set[str]:
    """Everything that code gives a name to: variables, functions, classes, arguments."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def snippets(text: str) -> Iterator[ast.AST]:
    """What of a text's `code` is Python."""
    for code in re.findall(r"`([^`]+)`", text):
        try:
            yield ast.parse(code.replace("…", "...").strip())
        except SyntaxError:
            continue


def called(tree: ast.AST) -> set[str]:
    """The names that code calls, and those of which it takes attributes or items."""
    roots = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    roots += [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Subscript)]
    return {root.id for root in roots if isinstance(root, ast.Name) and isinstance(root.ctx, ast.Load)}


def boxes_of(number: str) -> Iterator[str]:
    """All that the boxes of a notebook's exercises can say: verdicts, mistakes, hints."""
    for exercise in exercises_of(number).values():
        for status in ("passed", "pending", "wrong", "stopped"):
            yield str(Verdict(exercise, status, "what is wrong"))
        for count in range(1, len(exercise.hints) + 1):
            yield boxes.hint(exercise.id, count).text
        yield from (mistake.message for check in exercise.checks for mistake in check.mistakes)


def try_lines(source: Path) -> list[str]:
    """What a notebook's end proposes to try."""
    text = "\n".join(cell.source for cell in percent.read(source.read_text(encoding="utf-8")) if cell.kind == "markdown")
    return re.findall(r"^- \*\*Try:\*\*(.*(?:\n  .*)*)", text, re.MULTILINE)


def tries(source: Path) -> list[str]:
    """The calls and imports in a notebook's "Try" lines that can be run as they stand, after its last cell."""
    everywhere = set(imported(source)) | set(dir(builtins))
    for cell in code_cells(source):
        for node in ast.parse(cell).body:
            inside = [] if isinstance(node, ast.FunctionDef | ast.ClassDef) else ast.walk(node)
            everywhere |= {each.id for each in inside if isinstance(each, ast.Name)} | {getattr(node, "name", "")}
    runs = []
    for tree in (tree for line in try_lines(source) for tree in snippets(line)):
        everywhere |= names_of(tree)
        code, used = ast.unparse(tree), {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if (called(tree) or "import" in code) and used <= everywhere and "..." not in code and "my." not in code:
            runs.append(code)
    return runs


@every_notebook
def test_whatever_a_box_or_a_text_offers_is_defined(source: Path) -> None:
    number, scope = builder.name_of(source)[:2], imported(source)
    for identifier in exercises_of(number):
        for call in re.findall(r"`((?:hint|solution)\([^`]+\))`", str(Verdict(exercises_of(number)[identifier], "wrong"))):
            assert identifier in eval(call, scope).text
    known = set(scope) | set(dir(builtins)) | set(METHODS)
    for cell in code_cells(source):
        known |= names_of(ast.parse(cell))
    said = [*try_lines(source), *boxes_of(number)]
    for text in said:
        known |= {name for tree in snippets(text) for name in names_of(tree)}
    missing = {name: text for text in said for tree in snippets(text) for name in called(tree) - known}
    assert missing == {}


@pytest.mark.parametrize("page", ["README.md", "solutions/README.md"])
def test_what_the_pages_offer_works_in_every_notebook(page: str) -> None:
    calls = re.findall(r'`((?:hint|solution)\("[^`]+"\))`', (ROOT / page).read_text(encoding="utf-8"))
    assert calls
    for source in SOURCES:
        scope = imported(source)
        assert all(eval(call, scope).text for call in calls)


# ------------------------------------------------------------------------------------------ what a notebook prints, works


def asked_for(source: Path) -> dict[str, Any]:
    """The functions and classes of a notebook's exercises as their cells print them, by exercise."""
    scope = {**imported(source), "exercise": lambda identifier: lambda answer: found.setdefault(identifier, answer)}
    found: dict[str, Any] = {}
    for cell in code_cells(source):
        if re.search(r"^(@exercise\(|def |class )", cell, re.MULTILINE):
            tree = ast.parse(cell)
            tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
            exec(compile(ast.unparse(tree), cell, "exec"), scope)
    return found


def calls_of(answer: Any) -> dict[str, inspect.Signature]:
    """The signatures of a function, or of a class's own methods."""
    if not isinstance(answer, type):
        return {"": inspect.signature(answer)}
    return {name: inspect.signature(getattr(answer, name)) for name, value in vars(answer).items() if _is_method(value)}


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, staticmethod)


def unlike(printed: inspect.Signature, reference: inspect.Signature) -> str:
    """How a reference can't be called as what is printed can; what it takes besides has a default."""
    mine, theirs = list(printed.parameters.values()), list(reference.parameters.values())
    for number, parameter in enumerate(mine):
        same = number < len(theirs) and theirs[number]
        if not same or (same.name, same.kind, same.default) != (parameter.name, parameter.kind, parameter.default):
            return f"{reference} takes {same or 'nothing'} where {printed} has {parameter}"
    rest = [each for each in theirs[len(mine) :] if each.default is each.empty]
    return f"{reference} wants {rest}, {printed} has no such parameter" if rest else ""


@every_notebook
def test_a_reference_takes_what_the_notebook_prints(source: Path) -> None:
    exercises, printed = exercises_of(builder.name_of(source)[:2]), asked_for(source)
    assert list(printed) == list(exercises)
    found = {}
    for identifier, answer in printed.items():
        reference = exercises[identifier].reference
        for name, signature in calls_of(answer).items():
            found[identifier, name] = unlike(signature, inspect.signature(getattr(reference, name) if name else reference))
    assert {where: text for where, text in found.items() if text} == {}


def test_alarm_rings_for_a_parameter_that_is_keyword_only() -> None:
    def printed(a, b=1): ...
    def keyword(a, *, b=1): ...
    def renamed(x, b=1): ...
    def more(a, b=1, c=2): ...

    found = [unlike(*map(inspect.signature, (printed, other))) for other in (printed, more, keyword, renamed)]
    assert found[:2] == ["", ""] and all(found[2:])


def test_alarm_rings_for_a_name_that_is_not_defined() -> None:
    (tree,) = snippets("Call `figures.draw(picture)[0].show()`, not `this is no code`.")
    assert called(tree) == {"figures"} and names_of(ast.parse("x = [y for y in f(lambda z: z)]")) == {"x", "y", "z"}
