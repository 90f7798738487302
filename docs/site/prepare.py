"""Lays out what the site is built from, in one folder: the same tree as the repository, so that its links hold."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tutorial_lib.course import address, builder

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "MEASUREMENTS.md", "solutions/README.md")
FILES = ("CITATION.cff", "LICENSE", "LICENSE-TEXT")
ROOMS = {
    "images": "files, data sets, canvas coordinates",
    "signals": "films and sounds: arrays, files, samples, measures",
    "networks": "SIREN, NIF, a hash grid, differences to shared weights",
    "latents": "pyramids of integers, context model, synthesis",
    "coding": "the container, quantizers, laws, rates, streams",
    "training": "phases, schedules, the loop",
    "codecs": "a picture in, bytes out, and back",
    "evaluation": "sweeps, curves, the report",
    "viewer": "one file as a page",
    "course": "the engine: exercises, boxes, the notebook builder",
}

LIBRARY = """# Library reference

Every public function says what shapes, units and ranges it takes and gives, and where its equation comes from. The examples run
as tests.

A picture is `float32` of shape (3, H, W), red, green, blue, in [0, 1]; coordinates have the shape (H, W, 2), order (x, y). A rate
is 8 · bytes / (H · W), of the bytes that decoding reads.

"""


@dataclass(frozen=True)
class Head:
    """What the first cell of a notebook says of it: title, minutes, and those of the three-hour path."""

    title: str
    minutes: int
    short: int


def head_of(text: str) -> Head:
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    minutes = re.search(r"\*\*Time\*\* \| (\d+) minutes", text)
    short = re.search(r"\*\*In a three-hour workshop\*\* \| (\d+) minutes", text)
    if not (title and minutes):
        raise ValueError(f"a notebook begins with its title and its minutes, not with {text[:80]!r}")
    return Head(title[1].replace(" · ", " "), int(minutes[1]), int(short[1]) if short else 0)


class Layout:
    """Files that are written into a folder only where they change, so that a second build is short; `end` removes the others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made = folder, set[Path]()

    def write(self, name: str, data: str | bytes) -> None:
        path, data = self.folder / name, data.encode() if isinstance(data, str) else data
        self.made.add(path)
        if not path.is_file() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def end(self) -> bool:
        """Whether there was a file that isn't written any more."""
        gone = [path for path in self.folder.rglob("*") if path.is_file() and path not in self.made]
        for path in gone:
            path.unlink()
        return bool(gone)


def lay_out(folder: Path, mathjax: Path) -> bool:
    """Write all sources into ``folder``/source, and what is copied as it is into ``folder``/extra and ``folder``/static.

    Returns:
        whether a page is gone, so that the site must be built from its beginning.
    """
    layout, extra, static = Layout(folder / "source"), Layout(folder / "extra"), Layout(folder / "static")
    heads = {}
    for source in builder.sources(ROOT):
        name = builder.name_of(source)
        solved, open_copy = (nbformat.read(ROOT / kind / f"{name}.ipynb", 4) for kind in ("solutions", "notebooks"))
        heads[name] = head_of(solved.cells[0].source)
        layout.write(f"notebooks/{name}.ipynb", nbformat.writes(page_of(name, solved, open_copy)) + "\n")
        for kind in ("solutions", "notebooks"):
            extra.write(f"download/{kind}/{name}.ipynb", (ROOT / kind / f"{name}.ipynb").read_bytes())
    for name in (*PAGES, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))):
        layout.write(name, relinked((ROOT / name).read_text(encoding="utf-8"), Path(name).parent))
    for path in (*((ROOT / name) for name in FILES), *(ROOT / "docs").glob("*.png"), *(ROOT / "docs").glob("*.webp")):
        layout.write(str(path.relative_to(ROOT)), path.read_bytes())
    layout.write("index.md", index(heads))
    for name, text in library().items():
        layout.write(name, text)
    for path in sorted((HERE / "pages").glob("*.md")):
        layout.write(path.name, path.read_text(encoding="utf-8"))
    static.write("mathjax/tex-svg.js", mathjax.read_bytes())
    static.write("site.css", (HERE / "static" / "site.css").read_bytes())
    add_pages(extra)
    gone = [each.end() for each in (layout, extra, static)]
    return any(gone)


# ------------------------------------------------------------------------------------------ notebooks


def page_of(name: str, solved: Any, open_copy: Any) -> Any:
    """A solved notebook as a page: ways to open it under its title, answers folded behind what a participant sees."""
    stubs = {cell.id: cell.source for cell in open_copy.cells}
    cells = []
    for cell in solved.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, Path("notebooks"))
        elif stubs[cell.id] != cell.source:
            cells.append(nbformat.v4.new_markdown_cell(f"```python\n{stubs[cell.id]}\n```", id=f"{cell.id}-open"))
            cell.metadata["tags"] = ["hide-input"]
        elif re.fullmatch(r'hint\("[^"]+"\)', cell.source):
            cell.metadata["tags"] = ["remove-input"]  # what it shows is folded already
        cells.append(cell)
    cells.insert(1, nbformat.v4.new_markdown_cell(openers(name), id="open-it"))
    return nbformat.v4.new_notebook(cells=cells, metadata=solved.metadata)


def openers(name: str) -> str:
    links = [f'<a href="{place}">{service}</a>' for service, place in address.openers(name, ROOT).items()]
    files = [("your copy", "notebooks"), ("solved", "solutions")]
    links += [f'<a href="../download/{kind}/{name}.ipynb" download>{text}</a>' for text, kind in files]
    return f'<p class="openers">Open in {", ".join(links[:3])}. Download: {", ".join(links[3:])}.</p>'


def relinked(text: str, folder: Path) -> str:
    """Links to files that the site has no page for lead to the page of their source, or to the repository."""

    def changed(match: re.Match[str]) -> str:
        label, target = match.groups()
        path = Path(*_parts(folder / target.partition("#")[0]))
        if path == Path("README.md"):
            return f"[{label}]({target.replace('README.md', 'index.md')})"
        if not (ROOT / path).is_file() or path.suffix not in (".py", ".toml", ".csv", ".jsonl"):
            return match[0]
        if path.parts[0] == "tutorial_lib" and path.suffix == ".py" and "lessons" not in path.parts:
            place = "../" * len(folder.parts) + f"_modules/{path.with_suffix('')}.html"
        else:
            place = address.file(path.as_posix(), ROOT)
        return f'<a href="{place}">{_html(label)}</a>'

    return re.sub(r"\[([^\]\n]+)\]\(((?!https?:|#)[^)\s]+)\)", changed, text)


def _html(label: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", label)


def _parts(path: Path) -> Iterator[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return iter(parts)


# ------------------------------------------------------------------------------------------ pages


def index(heads: dict[str, Head]) -> str:
    """README, with the list at the left behind it: notebooks with their minutes, and what else there is."""
    text = relinked((ROOT / "README.md").read_text(encoding="utf-8"), Path())
    whole, short = sum(each.minutes for each in heads.values()), sum(each.short for each in heads.values())
    notebooks = [f"{each.title} · {each.minutes} min ({each.short}) <notebooks/{name}>" for name, each in heads.items()]
    pages = [f"docs/{path.stem}" for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != "where_to_run"]
    lists = {
        f"Notebooks: {whole} min (three-hour path: {short})": notebooks,
        "Look": ["Fall into a picture <fall>", "Results, as a report <results>", "MEASUREMENTS"],
        "Start": ["docs/where_to_run", "For instructors <solutions/README>"],
        "Library": ["library/index"],
        "Contribute": ["CONTRIBUTING", *pages, "CHANGELOG"],
    }
    trees = [
        f'```{{toctree}}\n:hidden:\n:caption: "{caption}"\n\n' + "\n".join(some) + "\n```" for caption, some in lists.items()
    ]
    return text + "\n\n" + "\n\n".join(trees) + "\n"


def library() -> dict[str, str]:
    """The reference: a page for each room, and one for the modules that stand alone; text from the docstrings."""
    package, pages = ROOT / "tutorial_lib", {}
    alone = [path for path in sorted(package.glob("*.py")) if path.stem != "__init__"]
    for room in sorted(path.name for path in package.iterdir() if (path / "__init__.py").is_file() and path.name != "lessons"):
        modules = sorted(
            (package / room).rglob("*.py"), key=lambda path: (path.stem != "__init__", path.stem != "base", path.stem)
        )
        pages[room] = (f"{room}: {ROOMS.get(room, '')}".rstrip(": "), modules)
    pages["modules"] = ("modules that stand alone", alone)
    made = {}
    for name, (title, modules) in pages.items():
        parts = [f"# {title}"]
        for path in modules:
            dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            parts.append(f"## {dotted}\n\n```{{eval-rst}}\n.. automodule:: {dotted}\n   :members:\n   :ignore-module-all:\n```")
        made[f"library/{name}.md"] = "\n\n".join(parts) + "\n"
    rows = "\n".join(pages)
    made["library/index.md"] = LIBRARY + f"```{{toctree}}\n:maxdepth: 1\n\n{rows}\n```\n"
    return made


def add_pages(extra: Layout) -> None:
    """Pages that are no Sphinx pages: files to fall into, and the report of the committed sweep; made again when they change."""
    from tutorial_lib import viewer
    from tutorial_lib.evaluation import Results
    from tutorial_lib.evaluation.page import write_page

    results = ROOT / "data" / "results" / "evaluation"
    shown = {
        "nif": ("Chelsea as a NIF", next((results / "files").glob("chelsea-nif-0.6-*.inr"))),
        "grids": ("Chelsea as latent grids", ROOT / "data" / "samples" / "chelsea-2-v2.inr"),
    }
    code = sorted((ROOT / "tutorial_lib" / "viewer").rglob("*.*"))
    for name, (title, path) in shown.items():
        keep(
            extra,
            f"view/{name}.html",
            [path, *code],
            lambda path=path, title=title: viewer.page(path.read_bytes(), title).encode(),
        )

    def report(name: str) -> bytes:
        copy = extra.folder.parent / "report"
        shutil.copytree(results, copy, dirs_exist_ok=True)
        return write_page(Results(copy), title="Results of the course's codecs").with_name(name).read_bytes()

    evaluation = sorted((ROOT / "tutorial_lib" / "evaluation").rglob("*.*"))
    for name in ("report.html", "runs.csv"):
        keep(extra, name, [results / "runs.jsonl", *evaluation], lambda name=name: report(name))


def keep(extra: Layout, name: str, inputs: list[Path], make: Any) -> None:
    """Make a file, unless it was made of the same inputs before."""
    digest = hashlib.sha256()
    for path in inputs:
        if path.suffix != ".pyc":
            digest.update(path.read_bytes())
    note = extra.folder.parent / "made.json"
    made = json.loads(note.read_text()) if note.is_file() else {}
    path = extra.folder / name
    data = path.read_bytes() if made.get(name) == digest.hexdigest() and path.is_file() else make()
    extra.write(name, data)
    note.write_text(json.dumps(made | {name: digest.hexdigest()}))
