"""How long each notebook computes: ``python -m tutorial_lib.course.timings``, or ``make timings``.

Executes every solution as it is in a reader's hands, writes the seconds of each cell to ``solutions/timings.json``, and
a table into the pages that instructors read, between two markers. A notebook above `LIMIT_SECONDS` fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tutorial_lib.course.builder import ROOT, build_source, execute, name_of, sources
from tutorial_lib.course.exercises import exercises_of, notebooks

LIMIT_SECONDS = 180
"""Computing a notebook may take with the laptop's budget, on 2 cores."""

PAGES = ("README.md", "solutions/README.md")
BEGIN, END = "<!-- timings -->", "<!-- end of timings -->"


def measure(path: Path, budget: str) -> list[dict[str, Any]]:
    """Execute the solution of a source; the seconds of each code cell, with its id and `place`."""
    notebook = build_source(path).solved
    places = dict(zip([cell.id for cell in notebook.cells], places_of(notebook), strict=True))
    started, cells = 0.0, []

    def on_cell(cell: Any, moment: str) -> None:
        nonlocal started
        if moment == "start":
            started = time.perf_counter()
        else:
            seconds = round(time.perf_counter() - started, 2)
            cells.append({"id": cell.id, "place": places[cell.id], "seconds": seconds})

    execute(notebook, budget=budget, on_cell=on_cell)
    return cells


def places_of(notebook: NotebookNode) -> list[str]:
    """Where each cell stands, as a reader finds it: the heading above it, without the minutes."""
    places, here = [], "set-up"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heads = re.findall(r"^##+ (.*?)(?: \([^)]*\))?$", cell.source, re.MULTILINE)
            here = heads[-1] if heads else here
        places.append(here)
    return places


def table(timings: dict[str, Any]) -> str:
    """The timings as Markdown: minutes to plan for, seconds of computing, the slowest cell."""
    lines = [
        "| notebook | exercises | minutes on exercises (core) | computing | slowest cell |",
        "|---|---|---|---|---|",
    ]
    for name, cells in timings["notebooks"].items():
        number = name[:2]
        exercises = exercises_of(number).values() if number in notebooks() else ()
        minutes = f"{sum(e.minutes for e in exercises)} ({sum(e.minutes for e in exercises if e.core)})"
        slowest = max(cells, key=lambda cell: cell["seconds"])
        total = sum(cell["seconds"] for cell in cells)
        worst = f"{slowest['seconds']:.0f} s, under “{slowest['place']}”"
        lines.append(f"| {name} | {len(exercises)} | {minutes} | {total:.0f} s | {worst} |")
    return "\n".join([*lines, "", f"Measured on {timings['date']}, {timings['machine']}, `{timings['command']}`."])


def insert(page: Path, text: str) -> bool:
    """Put a text between a page's markers; False where it has none."""
    before = page.read_text(encoding="utf-8") if page.is_file() else ""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(before):
        return False
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", before), encoding="utf-8", newline="\n")
    return True


def machine() -> str:
    """The processor and its cores, as one would say them."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{os.cpu_count()} cores ({name})"


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tutorial_lib.course.timings", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    parser.add_argument("--budget", default="laptop", choices=["quick", "laptop", "gpu"])
    options = parser.parse_args(arguments)
    measured = {}
    for path in sources(options.root):
        name = name_of(path)
        measured[name] = measure(path, options.budget)
        print(f"{name}: {sum(cell['seconds'] for cell in measured[name]):.0f} s", flush=True)
    command = f"make timings, budget {options.budget}"
    timings = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "command": command,
        "notebooks": measured,
    }
    store = options.root / "solutions" / "timings.json"
    store.write_text(json.dumps(timings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    for page in PAGES:
        if not insert(options.root / page, table(timings)):
            print(f"{page} has no markers {BEGIN} and {END}: no table there")
    slow = [name for name, cells in measured.items() if sum(cell["seconds"] for cell in cells) > LIMIT_SECONDS]
    if slow:
        print(f"error: more than {LIMIT_SECONDS} s of computing in {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
