"""Builds the site: ``make site``, or ``python docs/site/make.py [FOLDER]``. It needs no network.

A second build makes the pages that changed. It fails on a warning, on a link within the site that leads nowhere, and on an image
without alternative text.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from check import problems
from conf import mathjax_file
from prepare import ROOT, lay_out


def build(folder: Path) -> list[str]:
    """Build the site into ``folder``/html; what is wrong with it, a line each."""
    from sphinx.cmd.build import main as sphinx

    folder.mkdir(parents=True, exist_ok=True)
    if lay_out(folder, mathjax_file()):
        for name in ("html", "doctrees"):
            shutil.rmtree(folder / name, ignore_errors=True)
    paths = [f"-Dhtml_{name}_path={folder / name}" for name in ("extra", "static")]
    options = [*paths, "-W", "--keep-going", "-q", "-c", str(Path(__file__).resolve().parent), "-d", str(folder / "doctrees")]
    status = sphinx([*options, "-b", "html", str(folder / "source"), str(folder / "html")])
    return (["Sphinx warned, see above"] if status else []) + problems(folder / "html")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    folder, started = parser.parse_args().folder.resolve(), time.perf_counter()
    found = build(folder)
    print("\n".join(found) or f"{folder / 'html' / 'index.html'}: built in {time.perf_counter() - started:.0f} s", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
