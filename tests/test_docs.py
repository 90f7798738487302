"""The examples of the pages for contributors are complete, short, and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in sorted((ROOT / "docs").glob("add_*.md")) if path.stem != "add_an_exercise"]  # that is in test_course
LONGEST = 40


def example_of(page: str) -> str:
    """The one block of Python on a page."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return code


def test_there_is_a_page_for_each() -> None:
    assert {path.stem for path in PAGES} >= {"add_a_codec", "add_a_loss", "add_a_network"}


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """In a process of its own, since examples register things."""
    code = example_of(path.read_text(encoding="utf-8"))
    assert sum(bool(line.strip()) for line in code.splitlines()) <= LONGEST
    environment = {**os.environ, "INR_BUDGET": "quick", "PYTHONPATH": os.fspath(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_a_page_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:docs|tests|tutorial_lib)/[\w./-]+)`", text)
    assert named and not [name for name in named if not (ROOT / name).exists()]
