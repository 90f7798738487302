"""The site builds without a warning, its links lead somewhere, its figures speak, and it works in a browser."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from browsers import chromium, opened
from filelock import FileLock

from tutorial_lib.course import address, builder
from tutorial_lib.course.exercises import exercises_of, notebooks

ROOT = Path(__file__).resolve().parent.parent
MAKER = ROOT / "docs" / "site"
FOLDER = ROOT / "build" / "site"
NAMES = [builder.name_of(source) for source in builder.sources(ROOT)]

pytest.importorskip("furo", reason="the site's packages are not installed: pip install '.[site]'")


def loaded(name: str) -> ModuleType:
    """A module of the site's builder, which is no package."""
    specification = importlib.util.spec_from_file_location(f"site_{name}", MAKER / f"{name}.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site() -> Path:
    """The built site; pages that did not change since the last build are not built again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    run, note = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), FOLDER / "tested"
    with FileLock(FOLDER / "lock"):
        if not (note.is_file() and note.read_text() == run):  # another process of this run may have built it
            built = subprocess.run([sys.executable, MAKER / "make.py", FOLDER], capture_output=True, text=True, cwd=ROOT)
            assert built.returncode == 0, f"{built.stdout[-3000:]}\n{built.stderr[-3000:]}"
            note.write_text(run)
    return FOLDER / "html"


@pytest.mark.slow
def test_the_site_builds_without_a_complaint(site: Path) -> None:
    for name in (
        *(f"notebooks/{each}" for each in NAMES),
        "index",
        "fall",
        "results",
        "library/networks",
        "search",
        "docs/add_a_loss",
    ):
        assert (site / f"{name}.html").is_file(), name
    for name in ("report.html", "runs.csv", "view/nif.html", "view/grids.html", "searchindex.js", "_static/mathjax/tex-svg.js"):
        assert (site / name).stat().st_size > 1000, name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebooks_page_opens_it_and_folds_its_answers(name: str, site: Path) -> None:
    text = (site / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
    assert all(place.replace("&", "&amp;") in text for place in address.openers(name).values())
    for kind in ("notebooks", "solutions"):
        assert f"../download/{kind}/{name}.ipynb" in text
        assert (site / "download" / kind / f"{name}.ipynb").read_bytes() == (ROOT / kind / f"{name}.ipynb").read_bytes()
    exercises = exercises_of(name[:2]) if name[:2] in notebooks() else {}
    assert text.count("hide above-input") + text.count("hide below-input") == len(exercises) == text.count(">The answer<")
    assert "<summary>Hint 1 of" in text if exercises else True
    index = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(rf"{name[:2]} [^<]* · \d+ min \((\d+|bonus)\)</a>", index)


@pytest.mark.slow
def test_the_list_at_the_left_counts_what_the_instructors_timetable_counts(site: Path) -> None:
    """A bonus is in the whole time, and not on the three-hour path."""
    timetable = (ROOT / "solutions" / "README.md").read_text(encoding="utf-8").partition("## Timetables")[2]
    path = sum(int(minutes) for minutes in re.findall(r"^\| \d\d [^|]*\| (\d+) \|", timetable, re.MULTILINE))
    index = (site / "index.html").read_text(encoding="utf-8")
    whole = sum(int(minutes) for minutes in re.findall(r" · (\d+) min \((?:\d+|bonus)\)</a>", index))
    assert f"Notebooks: {whole} min (three-hour path: {path})" in index


FINE = '<html id="top"><a href="b.html#there">b</a><a href="#top">up</a><img src="data:," alt="a cup"><a href="https://a.example">x</a></html>'


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ('<a href="c.html">c</a>', "c.html leads nowhere"),
        ('<a href="b.html#here">b</a>', "b.html#here: there is no such place on that page"),
        ('<a href="#here">b</a>', "#here: there is no such place on that page"),
        ('<a href="../outside.html">b</a>', "../outside.html leads nowhere"),
        ('<img src="c.png" alt="a cup">', "c.png leads nowhere"),
        ('<img src="data:,">', "an image without alternative text"),
        ('<img src="data:," alt=" ">', "an image without alternative text"),
        ('<iframe src="b.html"></iframe>', "a frame without a title"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js from elsewhere"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loads //cdn.example/x.css from elsewhere"),
    ],
)
def test_alarm_rings_for_a_faulty_page(wrong: str, fault: str, tmp_path: Path) -> None:
    check, folder = loaded("check"), tmp_path / "html"
    folder.mkdir()
    (tmp_path / "outside.html").write_text("")
    (folder / "a.html").write_text(FINE)
    (folder / "b.html").write_text('<p id="there"></p>')
    assert check.problems(folder) == []
    (folder / "a.html").write_text(FINE + wrong)
    assert any(found.startswith(f"a.html: {fault}") for found in check.problems(folder))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server for a folder on this machine: from files, a browser lets no page fetch another, which the search does."""
    handler = functools.partial(Quiet, directory=os.fspath(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_pages_work_in_a_browser(site: Path) -> None:
    """Swipes move, points answer, formulas are set, search finds, dark is dark, a phone scrolls one way; no console complains."""
    with served(site) as address, chromium() as browser:
        with opened(browser, f"{address}/index.html", viewport={"width": 1400, "height": 900}) as page:
            assert brightness(page) > 200
            for _ in range(3):  # as the system has it, light, dark
                if page.evaluate("document.body.dataset.theme") != "dark":
                    page.locator("button.theme-toggle:visible").click()
            assert brightness(page) < 60
        phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
        with opened(browser, f"{address}/notebooks/02_siren.html", **phone) as page:
            assert brightness(page) < 60
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
            page.wait_for_selector("mjx-container svg", state="attached")
            edge = page.locator("[data-frame] input[type=range]").first
            before = width_of(edge)
            edge.focus()
            page.keyboard.press("End")
            assert width_of(edge) > before
        with opened(browser, f"{address}/notebooks/07_evaluation.html") as page:
            curves = page.locator(".hover-curves[data-live]").first
            point, tip = curves.locator("button[data-point]").first, curves.locator("> div").last
            assert not tip.is_visible()
            point.focus()
            assert tip.is_visible() and tip.locator("b").inner_text() in str(point.get_attribute("aria-label"))
        with opened(browser, f"{address}/search.html?q=modulation") as page:
            page.wait_for_selector("#search-results li a")


def brightness(page: Any) -> float:
    """Of the page's ground, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def width_of(edge: Any) -> float:
    """Of the left one of two pictures on each other."""
    return edge.evaluate("edge => edge.previousElementSibling.getBoundingClientRect().width")
