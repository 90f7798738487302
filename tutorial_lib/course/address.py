"""The repository's address, which is one setting: ``Repository`` under ``[project.urls]`` in pyproject.toml.

A fork changes it there and runs ``make notebooks``: the set-up cell of every notebook, CITATION.cff and the links in
docs/where_to_run.md are written from it, and the site asks for it here.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from tutorial_lib.doctor import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "main"
BEGIN, END = "<!-- open: begin -->", "<!-- open: end -->"
PAGE = "docs/where_to_run.md"


def repository(root: Path = ROOT) -> str:
    """The address, "https://github.com/owner/name": of a checkout, else of the installed package."""
    project = root / "pyproject.toml"
    if project.is_file():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    urls = metadata.metadata(DISTRIBUTION).get_all("Project-URL") or []
    return next(url.partition(", ")[2] for url in urls if url.startswith("Repository, "))


def file(path: str, root: Path = ROOT) -> str:
    """Where a file or folder of the repository is shown."""
    return f"{repository(root)}/blob/{BRANCH}/{path}"


def openers(notebook: str, root: Path = ROOT) -> dict[str, str]:
    """Where the participants' copy of a notebook ("02_siren") opens with one click: service to address."""
    address = repository(root)
    place = "/".join(address.split("/")[-2:])
    return {
        "Colab": f"https://colab.research.google.com/github/{place}/blob/{BRANCH}/notebooks/{notebook}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{place}/{BRANCH}?labpath=notebooks%2F{notebook}.ipynb",
        "Codespaces": f"https://codespaces.new/{place}",
    }


def written(root: Path, names: list[str]) -> dict[Path, str]:
    """The files that repeat the address, as they should be.

    Args:
        root: of the repository.
        names: of its notebooks.
    """
    found = {}
    if (citation := root / "CITATION.cff").is_file():
        line = f'repository-code: "{repository(root)}"'
        found[citation] = re.sub(r"^repository-code: .*$", line, citation.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if (page := root / PAGE).is_file():
        rows = ["| notebook | opens in |", "|---|---|"]
        for name in names:
            links = ", ".join(f"[{service}]({place})" for service, place in openers(name, root).items())
            rows.append(f"| {name} | {links} |")
        table, text = "\n".join([BEGIN, *rows, END]), page.read_text(encoding="utf-8")
        found[page] = text[: text.index(BEGIN)] + table + text[text.index(END) + len(END) :]
    return found
