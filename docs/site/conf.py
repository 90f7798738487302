"""How Sphinx builds the site: its pages are laid out by `prepare`, in build/site/source; see make.py.

Sphinx with myst-nb, because it reads executed notebooks as they are, documents the library from its docstrings, fails on a broken
reference, and comes in wheels with a search that needs no server. Furo, because it has light, dark and narrow pages and asks no
foreign host for anything. MathJax is taken from a wheel, as SVG, so that no fonts are fetched.
"""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

project = "Implicit neural image compression"
author = "The Implicit Neural Image Compression Course contributors"
copyright = f"{author}. Code: MIT. Text and figures: CC BY 4.0"  # noqa: A001
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = "Implicit neural image compression"
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
html_copy_source = html_show_sourcelink = html_show_sphinx = False
pygments_style, pygments_dark_style = "friendly", "github-dark"

nb_execution_mode = "off"  # notebooks are executed by the builder, and only there
nb_merge_streams = True
nb_code_prompt_show = "The answer"
nb_code_prompt_hide = "Fold the answer"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "ref.python"]  # the last: `weights` may mean several
language = "en"

mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
viewcode_line_numbers = True
default_role = "py:obj"


def mathjax_file() -> Path:
    """The one file of MathJax that the pages need: TeX in, SVG out, its glyphs inside."""
    files = metadata.files("sphinx-mathjax-offline") or []
    return Path(next(str(each.locate()) for each in files if each.name == "tex-svg.js"))


def as_restructured(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with formulas: what is indented behind a blank line stands as it is, and signs are no markup."""
    text = inspect.cleandoc("\n".join(lines))
    blocks = re.split(r"\n[ \t]*\n", text)
    made: list[str] = []
    for block in blocks:
        if block.startswith("==="):  # tables, which are aligned for the source's reader
            block = "    " + block.replace("\n", "\n    ")
        formula = block.startswith("    ") and not re.match(r"\s*(>>>|\.\.|[-*] |\w+.*: )", block)
        if formula and made and not re.search(r"(^|\n)\w+:$", made[-1]):
            made.append("::\n\n" + block)
        else:
            made.append(escaped(block))
    lines[:] = "\n\n".join(made).split("\n")


def escaped(text: str) -> str:
    """Bars and stars outside of `code` are bars and stars, and what follows it at once is no part of it."""
    parts = re.split(r"(``.*?``|`[^`]*`)", text, flags=re.DOTALL)
    for number, part in enumerate(parts):
        if not part.startswith("`"):
            part = re.sub(r"(?<!\\)([|*])", r"\\\1", part)
            parts[number] = part if number == 0 or re.match(r"[\s.,:;!?)\]'\"/-]|$", part) else "\\ " + part
    return "".join(parts)


def without_builtins(app: Any) -> list[Any]:
    """Python's own module has no source to show; viewcode lists it all the same."""
    app.env._viewcode_modules.pop("builtins", None)
    return []


def setup(app: Any) -> None:
    app.connect("html-collect-pages", without_builtins, priority=100)
    app.connect("autodoc-process-docstring", as_restructured, priority=100)
