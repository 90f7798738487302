"""The elements of a page, for tests that look at what stands in it."""

from __future__ import annotations

from html.parser import HTMLParser


class Elements(HTMLParser):
    """All elements of a page: (tag, attributes)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str, attribute: str = "") -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag and (not attribute or attribute in attributes)]
