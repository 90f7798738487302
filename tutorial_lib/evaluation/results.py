"""The rows of a sweep in a folder, kept so that a crash loses none, and read so that a foreign line stops nobody."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutorial_lib import images
from tutorial_lib.codecs.classical import SUFFIXES
from tutorial_lib.runtime import require_writable


class Results:
    """The rows of a sweep, in a folder's ``runs.jsonl``, and the encoded files beside it, in ``files``.

    A line torn by a crash is dropped and its run repeated. Nothing is created before the first row.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.file = self.folder / "runs.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """One row for each job: the last one that ran. `read` says what was passed over."""
        return self.read()[0]

    def read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """`rows`, and remarks: lines that are no rows, and names under which several pictures were measured."""
        latest: dict[str, dict[str, Any]] = {}
        remarks: list[str] = []
        lines = self.file.read_bytes().split(b"\n") if self.file.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line or "{}", parse_constant=lambda _: None)
                problem = _row_problem(row) if line else None
            except (ValueError, RecursionError):
                row, problem = {}, "it is cut off, or no JSON"
            if problem:
                remarks.append(f"{self.file}, line {number} is passed over: {problem}")
            elif row:
                latest[row["key"]] = row
        rows = list(latest.values())
        return rows, remarks + _tell_apart(rows)

    def require_writable(self) -> None:
        """Find out before the first run whether its row and its file can be written.

        Raises:
            OSError: they can't.
        """
        there = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        try:
            if self.file.exists():
                self.file.open("ab").close()
            for folder in (there, self.folder / "files"):
                if folder.exists():
                    require_writable(folder / "any name")
        except OSError as error:
            raise type(error)(error.errno, error.strerror, str(self.file)) from error

    def append(self, row: dict[str, Any], data: bytes | None = None) -> dict[str, Any]:
        """Add a row, and its file, so that they survive whatever comes next; returns the row with the file's name."""
        row = row | {"file": None}
        if data is not None:
            try:
                (self.folder / "files").mkdir(parents=True, exist_ok=True)
                images.write_atomically(self.folder / "files" / _file_name(row), data)
                row["file"] = _file_name(row)
            except OSError as error:  # the numbers are worth more than the file
                row["file_error"] = str(error)
        self.folder.mkdir(parents=True, exist_ok=True)
        torn = self.file.exists() and not self.file.read_bytes().endswith(b"\n") and self.file.stat().st_size > 0
        with self.file.open("ab") as file:
            file.write(b"\n" * torn + json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def data(self, row: Mapping[str, Any]) -> bytes | None:
        """The file of a run; None where the folder came without it."""
        name = row.get("file") or ""
        path = self.folder / "files" / name
        # a folder from elsewhere may name anything: only what lies in its own files is read
        return path.read_bytes() if name and Path(name).name == name and path.is_file() else None


_MEASURED = ("bytes", "bpp_real", "height", "width")
_NUMBERS = ("bpp", "lmbda", "mse", "psnr", "ssim", "ms_ssim_db", "lpips_alex", "lpips_squeeze", "ssimulacra2", "encode_seconds",
            "decode_seconds", "encode_peak_mb", "decode_peak_mb", "device_peak_mb", "operations_per_pixel")  # fmt: skip


def _row_problem(row: Any) -> str | None:
    """Why a line's content is no row of a sweep; None where it is one."""
    if not isinstance(row, dict) or not all(isinstance(row.get(field), str) for field in ("key", "picture", "codec")):
        return "it is no run of a sweep"
    if not isinstance(row.get("error"), str | None) or not isinstance(row.get("loss"), str | None):
        return "its error or its loss is no text"
    if not row.get("error") and not all(isinstance(row.get(name), int | float) and row[name] > 0 for name in _MEASURED):
        return f"it lacks one of {', '.join(_MEASURED)}"
    if wrong := [name for name in _NUMBERS if not isinstance(row.get(name), int | float | None)]:
        return f"its {wrong[0]} is no number"
    return None


def _tell_apart(rows: list[dict[str, Any]]) -> list[str]:
    """Give a "name" to the rows whose picture's name doesn't say which it is; and say so.

    A picture under several names is called by the first; several pictures under one name by their contents, too.
    """
    names: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for row in rows:
        if content := row.get("content"):
            found.setdefault(names.setdefault(content, row["picture"]), set()).add(content)
    for row in rows:
        if content := row.get("content"):
            name = names[content] + (f" [{content[:6]}]" if len(found[names[content]]) > 1 else "")
            row |= {"name": name} if name != row["picture"] else {}
    several = {name: len(contents) for name, contents in found.items() if len(contents) > 1}
    return [f"{name} has been {count} pictures, told apart here by their pixels' SHA-256" for name, count in several.items()]


def _file_name(row: Mapping[str, Any]) -> str:
    """What ran, readable, and a hash of all that tells it from other runs: "kodak3-jpeg-0.5-1f2e3d4c.jpg"."""
    suffixes = {"png": ".png", "jpeg-444": ".jpg"} | {codec: suffix for suffix, codec in list(SUFFIXES.items())[::-1]}
    suffix = suffixes.get(row["codec"], ".inr")
    aim = f"lambda{row['lmbda']:g}" if row.get("bpp") is None else f"{row['bpp']:g}"
    picture = Path(str(row["picture"]).replace(":", "")).stem
    name = "-".join(filter(None, (picture, row["codec"], row.get("loss"), aim)))
    return f"{re.sub(r'[^a-zA-Z0-9.+-]', '_', name)}-{hashlib.sha256(row['key'].encode()).hexdigest()[:8]}{suffix}"
