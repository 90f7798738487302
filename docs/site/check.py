"""What is wrong with a built site: links and sources that lead nowhere, foreign hosts, images and frames that say nothing."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The identifiers, links, sources and silent figures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.silent: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.identifiers |= {str(found[name]) for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if address := found.get("src") or (found.get("href") if tag == "link" and found.get("rel") != "canonical" else None):
            self.loaded.append(address)
        if tag == "img" and not (found.get("alt") or "").strip() and found.get("aria-hidden") != "true":
            self.silent.append(f"an image without alternative text, {str(found.get('src'))[:60]}")
        if tag == "iframe" and not (found.get("title") or "").strip():
            self.silent.append("a frame without a title")


@functools.cache
def _page(path: Path, changed: int) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def page_at(path: Path) -> Page:
    return _page(path, path.stat().st_mtime_ns)


def problems(folder: Path) -> list[str]:
    """A line for each fault of the pages in a folder."""
    return [f"{path.relative_to(folder)}: {fault}" for path in sorted(folder.rglob("*.html")) for fault in faults(path, folder)]


def faults(path: Path, folder: Path) -> list[str]:
    page = page_at(path)
    found = list(page.silent)
    for address in page.loaded:
        if urlsplit(address).netloc or urlsplit(address).scheme not in ("", "data"):
            found.append(f"loads {address} from elsewhere")
    for address in dict.fromkeys([*page.links, *page.loaded]):
        place, fragment = urldefrag(address)
        parts = urlsplit(place)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_file() or not target.is_relative_to(folder.resolve()):
            found.append(f"{address} leads nowhere")
        elif fragment and target.suffix == ".html" and unquote(fragment) not in page_at(target).identifiers:
            found.append(f"{address}: there is no such place on that page")
    return found
