"""The notebook builder: one source, two notebooks, nothing changes when nothing changed, and both alarms ring."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from tutorial_lib.course import builder, percent, timings
from tutorial_lib.course.percent import CourseError
from tutorial_lib.course.session import SETUP_CELL

NOTEBOOK = "tutorial_lib/lessons/n07_small/notebook.py"
SOURCE = '''\
# %% [markdown]
# # 07 · A small course

# %%
import os

# %%
@exercise("00.1")
def times_smaller(data, height, width):
    """How many times smaller?"""
    # Divide.
    ### BEGIN SOLUTION
    raw_bytes_of_all = 3 * height * width
    return raw_bytes_of_all / len(data)  # given
    ### END SOLUTION


# %%
def shared():
    return 1

# %% [markdown]
# ### A part, with code (5 min)

# %% tags=["nbval-check-output"]
print(os.environ["INR_BUDGET"], shared())

# %%
print(os.environ["INR_BUDGET"], shared())
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, SOURCE.replace('@exercise("00.1")', 'exercise = lambda _: lambda f: f\n@exercise("00.1")'))
    (tmp_path / "solutions").mkdir()
    return tmp_path


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel: cells count as run, where running them is not the question."""

    def execute(notebook: nbformat.NotebookNode, **_: object) -> None:
        for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text=f"cell {number}")]

    monkeypatch.setattr(builder, "execute", execute)


def write(root: Path, text: str) -> Path:
    path = root / NOTEBOOK
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def files(root: Path) -> dict[str, tuple[str, int]]:
    return {str(p): (p.read_text(encoding="utf-8"), p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def test_a_source_gives_two_notebooks_and_the_answers_of_its_exercises(root: Path) -> None:
    changed = builder.build(root, budget="quick")
    assert {path.relative_to(root).as_posix() for path in changed} == {
        "notebooks/07_small.ipynb",
        "solutions/07_small.ipynb",
    }
    participant, solved = read(root / "notebooks/07_small.ipynb"), read(root / "solutions/07_small.ipynb")
    nbformat.validate(participant)
    nbformat.validate(solved)
    assert [cell.id for cell in participant.cells] == [cell.id for cell in solved.cells]
    assert len({cell.id for cell in solved.cells}) == len(solved.cells)
    for notebook in (participant, solved):
        assert builder.code(notebook)[0] == SETUP_CELL
        assert "### " not in "".join(builder.code(notebook))
        assert notebook.metadata == nbformat.from_dict(builder._METADATA)
    (stub,) = [source for source in builder.code(participant) if "times_smaller" in source]
    assert stub.endswith('    # Divide.\n    raise NotImplementedError("Exercise 00.1")')
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in participant.cells)
    assert builder.executed(solved)
    assert solved.cells[-1].outputs[0].text == "quick 1\n"
    assert [cell.metadata for cell in solved.cells if cell.metadata] == [{"tags": ["nbval-check-output"]}]
    answer = percent.answer((root / NOTEBOOK).read_text(), "00.1")
    assert answer in builder.code(solved) and answer.endswith("return raw_bytes_of_all / len(data)")
    assert builder.check(root) == []


@pytest.mark.usefixtures("pretended")
def test_building_again_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.build(root, budget="quick")
    before = files(root)
    monkeypatch.setattr(builder, "execute", lambda *_, **__: pytest.fail("executed again"))
    assert builder.build(root, budget="quick") == []
    assert files(root) == before


@pytest.mark.usefixtures("pretended")
def test_new_text_keeps_outputs_and_new_code_is_executed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.build(root)
    source = root / NOTEBOOK
    source.write_text(source.read_text().replace("A small course", "A tiny course"))
    with monkeypatch.context() as patch:
        patch.setattr(builder, "execute", lambda *_, **__: pytest.fail("executed again"))
        builder.build(root)
    solved = read(root / "solutions/07_small.ipynb")
    assert "tiny" in solved.cells[0].source and solved.cells[-1].outputs
    source.write_text(source.read_text().replace("return 1", "return 2"))
    builder.build(root, run=False)
    assert not builder.executed(read(root / "solutions/07_small.ipynb"))
    assert any("not executed" in problem for problem in builder.check(root))
    builder.build(root)
    assert builder.executed(read(root / "solutions/07_small.ipynb"))
    assert builder.check(root) == []


def test_a_failing_solution_is_reported_and_not_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = root / NOTEBOOK
    source.write_text(source.read_text() + "\n# %%\n1 / 0\n")
    assert builder.main(["build", "--root", str(root), "--budget", "quick"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not (root / "solutions/07_small.ipynb").exists()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        (
            NOTEBOOK,
            "A small course",
            "Another",
            "notebooks/07_small.ipynb is not what n07_small/notebook.py gives",
        ),
        (
            NOTEBOOK,
            "A small course",
            "Another",
            "solutions/07_small.ipynb is not what n07_small/notebook.py gives",
        ),
        (NOTEBOOK, "# Divide", "# Please divide", "solutions/07_small.ipynb is not what"),
        ("notebooks/07_small.ipynb", "A small course", "Mine", "notebooks/07_small.ipynb is not what"),
        ("notebooks/07_small.ipynb", "import os", "import sys", "notebooks/07_small.ipynb is not what"),
        ("solutions/07_small.ipynb", "A small course", "Mine", "solutions/07_small.ipynb is not what"),
        ("solutions/07_small.ipynb", "nbval-check-output", "nbval-skip", "solutions/07_small.ipynb is not what"),
    ],
)
def test_alarm_rings_for_a_file_its_source_does_not_give(
    root: Path, file: str, old: str, new: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.build(root, run=True, budget="quick")
    assert builder.main(["check", "--root", str(root)]) == 0
    edit(root / file, old, new)
    assert any(problem in found for found in builder.check(root))
    assert builder.main(["check", "--root", str(root)]) == 1
    assert problem in capsys.readouterr().out


@pytest.mark.usefixtures("pretended")
def test_alarm_rings_for_a_notebook_without_source_or_missing(root: Path) -> None:
    builder.build(root, budget="quick")
    (root / "notebooks/07_small.ipynb").rename(root / "notebooks/08_other.ipynb")
    problems = builder.check(root)
    assert "notebooks/08_other.ipynb has no lesson in tutorial_lib/lessons/" in problems
    assert any("notebooks/07_small.ipynb is not what" in problem for problem in problems)


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    "leak",
    [
        "\n# %%\nheight = width = 2\nraw_bytes_of_all = 3 * height * width\n",
        "\n# %% [markdown]\n# Do it so:\n# ```\n# raw_bytes_of_all = 3 * height * width\n# ```\n",
        "\n# %%\n# raw_bytes_of_all = 3 * height * width\n",
        "\n# %% [markdown]\n# `raw_bytes_of_all = 3 * height * width`\n",
    ],
)
def test_alarm_rings_for_a_solution_in_a_participant_copy(root: Path, leak: str) -> None:
    source = root / NOTEBOOK
    source.write_text(source.read_text() + leak)
    builder.build(root, budget="quick")
    shown = "notebooks/07_small.ipynb shows a solution: raw_bytes_of_all = 3 * height * width"
    assert builder.check(root) == [shown]


@pytest.mark.usefixtures("pretended")
def test_what_is_marked_as_given_may_stand_elsewhere(root: Path) -> None:
    source = root / NOTEBOOK
    source.write_text(source.read_text() + "\n# %% [markdown]\n# return raw_bytes_of_all / len(data)\n")
    builder.build(root, budget="quick")
    assert builder.check(root) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    ### END SOLUTION\n", "", "without its partner"),
        ("    ### BEGIN SOLUTION\n", "", "without its partner"),
        ('@exercise("00.1")\n', "", "has one @exercise"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = write(tmp_path, SOURCE.replace(old, new))
    with pytest.raises(CourseError, match=problem):
        builder.build_source(path)
    assert builder.main(["check", "--root", str(tmp_path)]) == 1


def test_every_block_of_a_class_is_cut(tmp_path: Path) -> None:
    text = """\
# %%
@exercise("00.2")
class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        ### BEGIN SOLUTION
        self.first_secret_line = 1
        ### END SOLUTION

    def forward(self, x):
        ### BEGIN SOLUTION
        return x.second_secret_line()
        ### END SOLUTION
"""
    built = builder.build_source(write(tmp_path, text))
    source = builder.code(built.participant)[1]
    assert source.count('        raise NotImplementedError("Exercise 00.2")') == 2
    assert built.secrets == {"self.first_secret_line = 1", "return x.second_secret_line()"}
    compile(source, "cell", "exec")


def test_saved_outputs_need_no_kernel_and_name_no_folder_of_this_machine() -> None:
    widget = nbformat.v4.new_output("display_data", {builder.WIDGET: {}, "text/plain": "VBox()"})
    assert builder._without_widget(widget) is None
    both = nbformat.v4.new_output("display_data", {builder.WIDGET: {}, "text/html": "<i>run</i>"})
    assert list(builder._without_widget(both)["data"]) == ["text/html"]
    text = nbformat.v4.new_output("stream", name="stdout", text=f"{builder.ROOT}/data and {Path.home()}/x")
    assert builder._anonymous(text).text == "(course)/data and ~/x"


def test_a_task_is_laid_out_for_small_screens() -> None:
    task = "1. " + "Multiply all of it. Then " + "go on " * 30 + "to the end."
    said = '"""' + "How many times smaller? " * 4 + 'Say."""'
    lines = ['@exercise("00.1")', "def f(x):", *(f"    {each}" for each in (said, f"# {task}", "# 2. Divide", "# by two."))]
    source = "\n".join([*lines, f"    y = 1  # {'as it is ' * 20}"])
    opened = percent.split(source, "here").open.splitlines()
    comments = [line for line in opened if line.startswith("    # ")]
    assert all(len(line) <= percent.WIDTH for line in comments) and "    # 2. Divide by two." in comments
    assert " ".join(" ".join(line.split()[1:]) for line in comments) == f"{task} 2. Divide by two."
    assert " ".join(line.strip() for line in opened[2:4]) == said and max(map(len, opened[2:4])) <= percent.WIDTH
    assert opened[-1].endswith("as it is ") and percent.split(source, "here").solved.splitlines() == opened


def test_a_notebook_begins_where_the_one_before_it_ended() -> None:
    assert builder.earlier("00_welcome") == [] and "00.1" in builder.earlier("01_data_loading")
    assert not any(each.startswith("01") for each in builder.earlier("01_data_loading"))


def test_timings_are_written_between_markers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = root / "README.md"
    page.write_text(f"before\n{timings.BEGIN}\nold\n{timings.END}\nafter\n")
    arguments = ["--root", str(root), "--budget", "quick"]
    assert timings.main(arguments) == 0
    stored = json.loads((root / "solutions/timings.json").read_text())
    assert {cell["place"] for cell in stored["notebooks"]["07_small"]} == {"set-up", "A part, with code"}
    assert "under “" in (root / "README.md").read_text()
    text = page.read_text()
    assert "| 07_small |" in text and "old" not in text and text.endswith("after\n")
    monkeypatch.setattr(timings, "LIMIT_SECONDS", 0)
    assert timings.main(arguments) == 1
