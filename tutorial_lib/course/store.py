"""What the course remembers between notebooks: solved exercises, and the reader's own rate-distortion points.

One small JSON file in the user's data folder (`path`). Everything works without it: where it can't be read it
counts as empty, where it can't be written the memory lasts as long as the kernel.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any, TypedDict

from tutorial_lib.images import write_atomically

VARIABLE = "INR_PROGRESS_FILE"
"""Environment variable that names another file, for tests and shared machines."""

_unwritten: dict[str, Any] = {}  # what could not be saved, for this kernel


class Point(TypedDict):
    """A reader's own measurement."""

    codec: str
    picture: str
    bpp: float
    psnr: float
    note: str


def path() -> Path:
    """Where the file lies, or would."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    import platformdirs

    return platformdirs.user_data_path("tutorial_lib", appauthor=False) / "progress.json"


def solved() -> dict[str, str]:
    """Solved exercises: id to the day it was first solved."""
    return dict(_load()["solved"])


def mark_solved(identifier: str) -> None:
    """Remember an exercise as solved; again changes nothing."""
    state = _load()
    if identifier not in state["solved"]:
        state["solved"][identifier] = time.strftime("%Y-%m-%d")
        _save(state)


def record_point(codec: str, bpp: float, psnr: float, *, picture: str, note: str = "") -> None:
    """Remember a measurement of the reader's own, so that later notebooks can draw it.

    The same codec, picture and note again replaces the earlier point: running a cell twice gives one point.

    Args:
        codec: what made the file, as it should stand in a legend.
        bpp: bits per pixel of real bytes.
        psnr: dB, of the decoded picture.
        picture: its name, with its size where it was reduced ("coffee 150x100").
        note: tells points of one codec apart ("width 32").

    Raises:
        ValueError: a number that is not finite, or a rate that is not positive.
    """
    bpp, psnr = float(bpp), float(psnr)
    if not (math.isfinite(bpp) and bpp > 0 and math.isfinite(psnr)):
        raise ValueError(f"a point needs a positive rate and a finite PSNR, not {bpp} bpp and {psnr} dB")
    new = Point(codec=codec, picture=picture, bpp=bpp, psnr=psnr, note=note)
    state = _load()
    key = (codec, picture, note)
    others = [p for p in state["points"] if (p["codec"], p["picture"], p["note"]) != key]
    _save(state | {"points": [*others, new]})


def points(picture: str | None = None) -> list[Point]:
    """The reader's own points, in the order of recording; those of one picture, or all."""
    return [point for point in _load()["points"] if picture in (None, point["picture"])]


def reset() -> None:
    """Forget everything."""
    _save({"solved": {}, "points": []})


def _load() -> dict[str, Any]:
    if str(path()) in _unwritten:
        return _unwritten[str(path())]
    try:
        stored = json.loads(path().read_text(encoding="utf-8"))
        days = {str(key): str(day) for key, day in stored["solved"].items()}
        kept = [
            Point(
                codec=str(p["codec"]),
                picture=str(p["picture"]),
                bpp=float(p["bpp"]),
                psnr=float(p["psnr"]),
                note=str(p["note"]),
            )
            for p in stored["points"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"solved": {}, "points": []}
    return {"solved": days, "points": kept}


def _save(state: dict[str, Any]) -> None:
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path(), json.dumps({"version": 1, **state}, indent=1).encode())
        _unwritten.pop(str(path()), None)
    except OSError:
        _unwritten[str(path())] = state
