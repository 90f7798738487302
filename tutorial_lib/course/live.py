"""What moves while the reader looks on: a place in a cell's output that is drawn anew, and a photograph of the reader's own."""

from __future__ import annotations

import contextlib
import html
import math
import time
from typing import Any

from torch import Tensor

from tutorial_lib import images, plots
from tutorial_lib.course.boxes import show

LEAST_SIDE = 16
"""Pixels: a photograph that is narrower after its reduction is none that a codec could show anything with."""


class Screen:
    """A place in a cell's output. What stands there last is what a saved notebook keeps.

    Args:
        pause: seconds between two drawings at least, so that drawing doesn't become the work.
    """

    def __init__(self, pause: float = 0.5) -> None:
        self.pause, self.drawn_at, self.place = pause, -math.inf, None

    def due(self) -> bool:
        """Whether it is time to draw again."""
        return time.monotonic() - self.drawn_at >= self.pause

    def draw(self, shown: plots.Shown, last: bool = False) -> None:
        """Replace what is there. In a terminal, where nothing can be replaced, only the ``last`` is shown, as text."""
        self.drawn_at = time.monotonic()
        with contextlib.suppress(ImportError):
            from IPython import get_ipython
            from IPython.display import display

            if get_ipython() is not None:
                if self.place is None:
                    self.place = display(shown, display_id=True)
                else:
                    self.place.update(shown)
                return
        if last:
            show(shown)


class Photograph:
    """A button to choose a picture file, as a cell's last line; `picture` in a later cell gives what was chosen.

    A saved notebook shows a sentence in its place. Wherever there is no button, or nothing was chosen, the sample stands in.

    Args:
        path: of a file, in place of the button: Jupyter takes no more than some 10 megabytes through it.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self.button: Any = None
        with contextlib.suppress(ImportError):
            from IPython import get_ipython
            from ipywidgets import FileUpload

            if get_ipython() is not None and path is None:
                self.button = FileUpload(description="Choose a photograph", multiple=False, layout={"width": "auto"})

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        text = f"The photograph is {self.path}." if self.path else "Run the notebook to choose a photograph."
        bundle = dict(self.button._repr_mimebundle_() or {}) if self.button is not None else {}
        return bundle | {"text/html": f"<i>{html.escape(text)}</i>", "text/plain": text}

    def picture(self, instead: Tensor, pixels: int) -> Tensor:
        """What was chosen, or the picture ``instead``; reduced to about that many pixels, and shown.

        A file that can't be read is refused in a sentence on the page.
        """
        chosen, name = self._chosen()
        if chosen is None:
            show(plots.Shown(f"<i>{html.escape(name)}</i>", name))
        picture = _reduced(instead if chosen is None else chosen, pixels)
        height, width = picture.shape[1:]
        title = f"{name}, {width} × {height} pixels" if chosen is not None else f"a sample, {width} × {height} pixels"
        show(plots.pictures([picture], [title], zoom=2, method="bicubic", alt="a photograph"))
        return picture

    def _chosen(self) -> tuple[Tensor | None, str]:
        """The picture and its name; or None, and why."""
        files = list(self.button.value) if self.button is not None else []
        if not files and not self.path:
            return None, "No photograph was chosen yet, so a sample stands in."
        name = self.path or str(files[-1]["name"])
        try:
            picture = images.load(self.path) if self.path else images.load_bytes(bytes(files[-1]["content"]), name)
        except images.ImageError as error:
            return None, str(error).removesuffix(".") + ". A sample stands in."
        if min(_reduced(picture, 24_000).shape[1:]) < LEAST_SIDE:
            return None, f"{name} is too narrow. A sample stands in."
        return picture, name


def _reduced(picture: Tensor, pixels: int) -> Tensor:
    height, width = picture.shape[1:]
    scale = math.sqrt(pixels / (height * width))
    if scale >= 1:
        return picture
    return images.reduce(picture, size=(max(1, round(scale * height)), max(1, round(scale * width))))
