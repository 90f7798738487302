"""The challenge: the best picture under N bytes, with a leaderboard of real files.

Everyone encodes the same picture, `PICTURE`, into an ``.inr`` file of `LIMIT` bytes at most. The score is the PSNR of what the
decoder makes of that file, never a number that somebody typed. Teams swap files: `score` with a team's name enters its file here.

The leaderboard is one small JSON file (`path`) and, beside it, a folder with a copy of each file. `leaderboard` decodes and
measures every copy again, so that an edited number shows. It can't know who made a file: one whose picture is there already,
pixel for pixel, counts for whoever entered it first, however its bytes were rearranged; and this project's samples are nobody's.
Teams may enter at the same time, from several computers: a lock in that folder lets one in after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from tutorial_lib import images, metrics
from tutorial_lib.cli import finite
from tutorial_lib.commands import Answer
from tutorial_lib.course import entries as files
from tutorial_lib.course import store
from tutorial_lib.course.entries import LIMIT, PICTURE, SIZE, ChallengeError, Entry, task

VARIABLE = "INR_LEADERBOARD_FILE"
"""Environment variable that names another file for the leaderboard, as a folder that a class shares."""

TOLERANCE = 0.05
"""dB. Devices may differ by one grey level in some pixels of a decoded picture, which moves its PSNR by less than this."""

PATIENCE = 30
"""Seconds that an entry waits for others to be written."""


def path() -> Path:
    """Where the leaderboard lies, or would: beside the reader's progress unless `VARIABLE` names a file."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else store.path().with_name("leaderboard.json")


def _folder() -> Path:
    return path().with_name(f"{path().stem}-files")


def file_of(sha256: str) -> Path:
    """Where the copy of an entry's file lies, or would."""
    return _folder() / f"{sha256}.inr"


# ---------------------------------------------------------------------------------------------- a file's score


def score(file: str | os.PathLike[str] | bytes, team: str = "") -> Entry:
    """Decode a file, measure the picture in it and, for a team, enter it into the leaderboard.

    The same file of the same team again changes nothing.

    Args:
        file: an ``.inr`` file, its path or its bytes.
        team: who made it; empty: measure only.

    Raises:
        ChallengeError: not an ``.inr`` file, of another picture's size, above `LIMIT`, damaged; a name that is none; a
            leaderboard that can't be read or written.
    """
    name = files.team_name(team) if team else ""
    data = files.read(file)
    entry = replace(files.measured(data), team=name)
    if not name:
        return entry
    try:
        return _enter(entry, data)
    except OSError as error:
        raise ChallengeError(
            f"the file has {entry.psnr:.2f} dB, but it can't be entered: {path().parent} can't be written to "
            f"({error.strerror or error}); {VARIABLE} names another file"
        ) from error


# ---------------------------------------------------------------------------------------------- the leaderboard


def leaderboard(*, verify: bool = True) -> list[Entry]:
    """All entries, the best first; copies, and entries that don't hold what they say, come last and don't count.

    Args:
        verify: decode and measure every file again; False takes the numbers that are written there, which anyone can edit.

    Raises:
        ChallengeError: the leaderboard's file is no leaderboard.
    """
    entries = _marked([_verified(entry) if verify else entry for entry in _load()])
    return sorted(entries, key=lambda entry: (not entry.counts, -(entry.psnr or 0), entry.bytes))


def ranking(entries: Sequence[Entry]) -> list[Entry]:
    """The best entry of each team, of entries in `leaderboard`'s order, and behind them those that don't count."""
    best = {entry.team: entry for entry in reversed(entries) if entry.counts}
    return [entry for entry in entries if not entry.counts or best[entry.team] is entry]


def second_prize(entries: Sequence[Entry]) -> Entry | None:
    """The entry that counts and is the best by SSIMULACRA 2: another judge, and often another winner."""
    judged = [entry for entry in entries if entry.counts and entry.ssimulacra2 is not None]
    return max(judged, key=lambda entry: entry.ssimulacra2 or 0.0, default=None)


def _verified(entry: Entry) -> Entry:
    """An entry with what its file is really worth, or with the reason why it doesn't count."""

    def refused(problem: str) -> Entry:
        return replace(entry, psnr=None, ssim=None, ms_ssim=None, ssimulacra2=None, pixels="", problem=problem)

    try:
        data = file_of(entry.sha256).read_bytes()
    except OSError:
        return refused("its file is missing")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return refused("its file is not the one that was entered")
    try:
        found = files.measured(files.read(data))
    except ChallengeError as error:
        return refused(str(error))
    if entry.psnr is None or not abs(found.psnr - entry.psnr) <= TOLERANCE:
        return refused(f"the leaderboard says {_figure(entry.psnr, 2)} dB, the file {found.psnr:.2f} dB")
    if (found.bytes, found.codec) != (entry.bytes, entry.codec):
        return refused(
            f"the leaderboard says {entry.bytes:,} bytes of {entry.codec}, the file is {found.bytes:,} bytes of {found.codec}"
        )
    return replace(found, team=entry.team)


def _marked(entries: Sequence[Entry]) -> list[Entry]:
    """Entries in the order of entering, those marked whose picture was somebody else's before: by its file or by its pixels."""
    first: dict[str, str] = {}
    marked = []
    for entry in entries:
        keys = [key for key in (entry.sha256, entry.pixels) if key]
        known = [files.sample_owners().get(entry.pixels), *map(first.get, keys), entry.team]
        owner = next(team for team in known if team)
        for key in keys:
            first.setdefault(key, owner)
        marked.append(replace(entry, copy_of="" if owner == entry.team else owner))
    return marked


@contextlib.contextmanager
def _alone(patience: float) -> Iterator[None]:
    """Nobody else reads or writes the leaderboard meanwhile, in whatever process.

    Raises:
        OSError: the folder can't be written to, or others take longer than so many seconds.
    """
    _folder().mkdir(parents=True, exist_ok=True)
    with FileLock(_folder() / "lock", timeout=patience):
        yield


def _enter(entry: Entry, data: bytes) -> Entry:
    with _alone(PATIENCE):
        entries = _read()
        key = entry.team, entry.sha256
        keys = [(each.team, each.sha256) for each in entries]
        if key in keys:
            entries[keys.index(key)] = entry  # in its old place, with what it is worth
        else:
            entries.append(entry)
        images.write_atomically(file_of(entry.sha256), data)
        rows = [{key: value for key, value in asdict(each).items() if key not in ("copy_of", "problem")} for each in entries]
        stored = {"version": 1, "picture": PICTURE, "entries": rows}
        images.write_atomically(path(), json.dumps(finite(stored), indent=1, allow_nan=False).encode())
    return next(each for each in _marked(entries) if (each.team, each.sha256) == key)


def _load() -> list[Entry]:
    """The entries as they are written, while nobody writes; in a folder that can only be read, as they are."""
    with contextlib.ExitStack() as stack:
        if path().exists():
            with contextlib.suppress(OSError):
                stack.enter_context(_alone(PATIENCE / 10))
        return _read()


def _read() -> list[Entry]:
    """The entries as they are written, in the order of entering; none where there is no file."""
    try:
        text = path().read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ChallengeError(f"the leaderboard {path()} can't be read: {error}") from error
    try:
        return [_entry(row) for row in json.loads(text, parse_constant=lambda _: None)["entries"]]
    except (ValueError, KeyError, TypeError) as error:
        # never replaced by an empty one: somebody's entries may still be saved
        raise ChallengeError(f"{path()} is no leaderboard any more; mend it, or move it away to begin a new one") from error


def _entry(row: dict[str, Any]) -> Entry:
    """An entry as it was written.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    sha256 = str(row["sha256"])
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):  # it becomes the name of a file
        raise ValueError("not a SHA-256")
    measures = {name: None if row[name] is None else float(row[name]) for name in ("psnr", "ssim", "ms_ssim", "ssimulacra2")}
    return Entry(
        team=files.team_name(str(row["team"])), codec=str(row["codec"]), bytes=int(row["bytes"]), sha256=sha256,
        pixels=str(row.get("pixels", "")), **measures,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- the command


def run_task(options: argparse.Namespace) -> Answer:
    """``inr challenge task``."""
    height, width = SIZE
    rate = metrics.bits_per_pixel(bytes(LIMIT), SIZE)
    if options.output:
        images.save(task(), images.check_writable(options.output))
    file = options.output or "coffee.png"
    lines = [
        f"The best picture under {LIMIT:,} bytes",
        f"  picture  {PICTURE}: {width}×{height} pixels" + ("" if options.output else f"; -o {file} writes it"),
        f"  limit    {LIMIT:,} bytes ({rate:.3f} bits per pixel), everything in the file counted",
        "  score    PSNR of the decoded picture, in dB; a second prize for the best SSIMULACRA 2",
        f"  begin    inr encode {file} --codec coolchic-small --bpp {rate - 0.01:.2f} -o mine.inr",
        "           inr challenge score mine.inr --team NAME",
    ]
    if options.output:
        lines.append(f"{os.path.abspath(options.output)}: {width}×{height} pixels")
    facts = {"picture": PICTURE, "width": width, "height": height, "limit": LIMIT, "bpp": rate, "file": options.output}
    return Answer(facts, "\n".join(lines))


def run_score(options: argparse.Namespace) -> Answer:
    """``inr challenge score``."""
    entry = score(options.file, options.team)
    said = (
        f"{options.file}: {_figure(entry.psnr, 2)} dB, {entry.bytes:,} of {LIMIT:,} bytes, {entry.codec}; "
        f"SSIM {_figure(entry.ssim, 4)}, MS-SSIM {_figure(entry.ms_ssim, 4)}, SSIMULACRA 2 {_figure(entry.ssimulacra2, 1)}"
    )
    if entry.copy_of:
        said += f"\nThis is the picture of {entry.copy_of}, pixel for pixel: it counts for them."
    elif entry.team:
        ranked = [each for each in ranking(leaderboard()) if each.counts]
        place = next(index for index, each in enumerate(ranked, 1) if each.team == entry.team)
        said += f"\n{entry.team} is on place {place} of {len(ranked)}."
    return Answer(asdict(entry), said)


def run_board(options: argparse.Namespace) -> Answer:
    """``inr challenge board``."""
    entries = leaderboard()
    return Answer([asdict(entry) for entry in entries], board_text(entries))


def board_text(entries: Sequence[Entry]) -> str:
    """The ranking of teams as lines of text, of entries in `leaderboard`'s order."""
    if not entries:
        return "No file has been entered yet: inr challenge score FILE --team NAME"
    rows = board_rows(entries)
    wide = max(len(row[1]) for row in rows)
    lines = [f"{'':>4}  {'':<{wide}}  PSNR/dB  bytes    SSIM  SSIMULACRA2  codec"]
    for place, team, psnr, size, ssim, ssimulacra2, remark in rows:
        lines.append(f"{place:>4}  {team:<{wide}}  {psnr:>7}  {size:>5}  {ssim:>6}  {ssimulacra2:>11}  {remark}")
    if best := second_prize(entries):
        lines.append(f"The second prize, for SSIMULACRA 2, would go to {best.team} with {_figure(best.ssimulacra2, 1)}.")
    return "\n".join(lines)


def board_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """A line of the ranking each: place, team, PSNR, bytes, SSIM, SSIMULACRA 2, and the codec or why the entry doesn't count."""
    rows = []
    for place, entry in enumerate(ranking(entries), 1):
        remark = entry.codec
        if not entry.counts:
            remark = f"doesn't count: {entry.problem or f'the picture of {entry.copy_of}, pixel for pixel'}"
        measures = (_figure(entry.psnr, 2), f"{entry.bytes:,}", _figure(entry.ssim, 4), _figure(entry.ssimulacra2, 1))
        rows.append((str(place) if entry.counts else "–", entry.team, *measures, remark))
    return rows


def _figure(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
