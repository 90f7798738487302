"""The challenge: the best picture under N bytes, with a leaderboard of real files.

Everyone encodes the same picture, `PICTURE`, into an ``.inr`` file of `LIMIT` bytes at most. The score is the PSNR of what the
decoder makes of that file, never a number that somebody typed. Teams swap files: `score` with a team's name enters its file here.

The leaderboard is one small JSON file (`path`) and, beside it, a folder with a copy of each file. `leaderboard` decodes and
measures every copy again, so that an edited number shows. It can't know who made a file: a file that is there already under
another name counts for whoever entered it first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.course import store

PICTURE = "coffee 150x100"
"""The picture, by the name that points of it have in `store`."""

SIZE = (100, 150)
"""Its height and width in pixels."""

LIMIT = 1700
"""The most bytes that a file may have, header and checksum included: 0.907 bits per pixel."""

VARIABLE = "INR_LEADERBOARD_FILE"
"""Environment variable that names another file for the leaderboard, as a folder that a class shares."""

TOLERANCE = 0.05
"""dB. Devices may differ by one grey level in some pixels of a decoded picture, which moves its PSNR by less than this."""

_LONGEST_NAME = 40
_FOREIGN = (
    (re.compile(rb"\xff\xd8\xff"), "a JPEG file"),
    (re.compile(rb"\x89PNG"), "a PNG file"),
    (re.compile(rb"GIF8"), "a GIF file"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "a WebP file"),
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "an AVIF file"),
    (re.compile(rb"....ftyp", re.DOTALL), "a HEIC file or a film"),
    (re.compile(rb"\xff\x0a|....JXL ", re.DOTALL), "a JPEG XL file"),
    (re.compile(rb"\xff\x4f\xff\x51|....jP  ", re.DOTALL), "a JPEG 2000 file"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
)


class ChallengeError(ValueError):
    """A file that doesn't count, or a leaderboard that can't be used; the message is one sentence for the reader."""


@dataclass(frozen=True)
class Entry:
    """A file of the challenge and what it is worth.

    Attributes:
        team: who entered it; empty for a file that was only scored.
        codec: the name of the codec that decodes it.
        bytes: the length of the file.
        psnr: the score, in dB.
        ssim, ms_ssim, ssimulacra2: other opinions on the decoded picture; None where the picture is too small for them.
        sha256: of the file, in hexadecimal.
        copy_of: the team that entered the same file before.
        problem: why the entry doesn't count; its measures are None then.
    """

    team: str
    codec: str
    bytes: int
    psnr: float | None
    ssim: float | None
    ms_ssim: float | None
    ssimulacra2: float | None
    sha256: str
    copy_of: str = ""
    problem: str = ""

    @property
    def counts(self) -> bool:
        """Whether the entry takes part in the ranking."""
        return not (self.copy_of or self.problem)


def task() -> Tensor:
    """The picture to encode, (3, 100, 150): `images.sample("coffee")` at a quarter of its size."""
    return images.reduce(images.sample("coffee"), size=SIZE)


def path() -> Path:
    """Where the leaderboard lies, or would: beside the reader's progress unless `VARIABLE` names a file."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else store.path().with_name("leaderboard.json")


def file_of(sha256: str) -> Path:
    """Where the copy of an entry's file lies, or would."""
    return path().with_name(f"{path().stem}-files") / f"{sha256}.inr"


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
    name = _team(team) if team else ""
    data = _data(file)
    entry = replace(_measured(data), team=name)
    if not name:
        return entry
    try:
        return _enter(entry, data)
    except OSError as error:
        raise ChallengeError(
            f"the file has {entry.psnr:.2f} dB, but it can't be entered: {path().parent} can't be written to "
            f"({error.strerror or error}); {VARIABLE} names another file"
        ) from error


def _data(file: str | os.PathLike[str] | bytes) -> bytes:
    """The bytes of a file that is small enough; of a foreign one its kind is said first."""
    if isinstance(file, bytes):
        start, size = file[:16], len(file)
    else:
        try:
            with open(file, "rb") as opened:
                start = opened.read(16)
                size = os.fstat(opened.fileno()).st_size
                file = start + opened.read(LIMIT) if size <= LIMIT else b""
        except FileNotFoundError:
            raise ChallengeError(f"there is no file {os.path.abspath(file)}") from None
        except OSError as error:
            raise ChallengeError(f"{os.fspath(file)} can't be read: {error.strerror or error}") from error
    for pattern, kind in _FOREIGN:
        if pattern.match(start):
            raise ChallengeError(f"this is {kind}, not an .inr file, whatever its name says")
    if start.startswith(bitstream.MAGIC) and size > LIMIT:
        raise ChallengeError(f"the file has {size:,} bytes, {size - LIMIT:,} more than the limit of {LIMIT:,}")
    return file or start


def _measured(data: bytes) -> Entry:
    """The entry of a file, without a team."""
    try:
        found = bitstream.read(data)
        if (found.height, found.width) != SIZE:
            raise ChallengeError(
                f"the picture in the file has {found.width}×{found.height} pixels; the challenge is {PICTURE}, "
                f"{SIZE[1]}×{SIZE[0]} pixels"
            )
        codec = codecs.codec_of(data)
        picture = codec.decode(data).cpu()
    except BitstreamError as error:
        raise ChallengeError(str(error)) from error
    original = task()
    try:
        ms_ssim = metrics.ms_ssim(picture, original)
    except metrics.MetricError:
        ms_ssim = None
    return Entry(
        team="",
        codec=codec.name,
        bytes=len(data),
        psnr=metrics.psnr(picture, original),
        ssim=metrics.ssim(picture, original),
        ms_ssim=ms_ssim,
        ssimulacra2=metrics.ssimulacra2(picture, original),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _team(name: str) -> str:
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > _LONGEST_NAME or not tidy.isprintable():
        raise ChallengeError(f"a team's name has 1 to {_LONGEST_NAME} characters that can be printed, not {name!r}")
    return tidy


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


def _verified(entry: Entry) -> Entry:
    """An entry with what its file is really worth, or with the reason why it doesn't count."""

    def refused(problem: str) -> Entry:
        return replace(entry, psnr=None, ssim=None, ms_ssim=None, ssimulacra2=None, problem=problem)

    try:
        data = file_of(entry.sha256).read_bytes()
    except OSError:
        return refused("its file is missing")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return refused("its file is not the one that was entered")
    try:
        found = _measured(_data(data))
    except ChallengeError as error:
        return refused(str(error))
    if not abs(found.psnr - entry.psnr) <= TOLERANCE:  # NaN is no score either
        return refused(f"the leaderboard says {entry.psnr:.2f} dB, the file {found.psnr:.2f} dB")
    if (found.bytes, found.codec) != (entry.bytes, entry.codec):
        return refused(
            f"the leaderboard says {entry.bytes:,} bytes of {entry.codec}, the file is {found.bytes:,} bytes of {found.codec}"
        )
    return replace(found, team=entry.team)


def _marked(entries: Sequence[Entry]) -> list[Entry]:
    """Entries in the order of entering, those marked whose file another team has entered before."""
    first: dict[str, str] = {}
    marked = []
    for entry in entries:
        owner = first.setdefault(entry.sha256, entry.team)
        marked.append(replace(entry, copy_of="" if owner == entry.team else owner))
    return marked


def _enter(entry: Entry, data: bytes) -> Entry:
    entries = _load()
    key = entry.team, entry.sha256
    keys = [(each.team, each.sha256) for each in entries]
    if key in keys:
        entries[keys.index(key)] = entry  # in its old place, with what it is worth
    else:
        entries.append(entry)
    copy = file_of(entry.sha256)
    copy.parent.mkdir(parents=True, exist_ok=True)
    images.write_atomically(copy, data)
    rows = [{key: value for key, value in asdict(each).items() if key not in ("copy_of", "problem")} for each in entries]
    images.write_atomically(path(), json.dumps({"version": 1, "picture": PICTURE, "entries": rows}, indent=1).encode())
    return next(each for each in _marked(entries) if (each.team, each.sha256) == key)


def _load() -> list[Entry]:
    """The entries as they are written, in the order of entering; none where there is no file."""
    try:
        text = path().read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ChallengeError(f"the leaderboard {path()} can't be read: {error}") from error
    try:
        return [_entry(row) for row in json.loads(text)["entries"]]
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
    measures = {name: None if row[name] is None else float(row[name]) for name in ("ssim", "ms_ssim", "ssimulacra2")}
    return Entry(
        team=_team(str(row["team"])), codec=str(row["codec"]), bytes=int(row["bytes"]), psnr=float(row["psnr"]), sha256=sha256,
        **measures,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- the command


def run_task(options: argparse.Namespace) -> int:
    """``inr challenge task``; like the other two it returns the exit status."""
    height, width = SIZE
    rate = metrics.bits_per_pixel(bytes(LIMIT), SIZE)
    if options.output:
        images.save(task(), images.check_writable(options.output))
    if options.json:
        facts = {"picture": PICTURE, "width": width, "height": height, "limit": LIMIT, "bpp": rate, "file": options.output}
        print(json.dumps(facts))
        return 0
    file = options.output or "coffee.png"
    print(f"The best picture under {LIMIT:,} bytes")
    print(f"  picture  {PICTURE}: {width}×{height} pixels" + ("" if options.output else f"; -o {file} writes it"))
    print(f"  limit    {LIMIT:,} bytes ({rate:.3f} bits per pixel), everything in the file counted")
    print("  score    PSNR of the decoded picture, in dB")
    print(f"  begin    inr encode {file} --codec coolchic-small --bpp {rate - 0.01:.2f} -o mine.inr")
    print("           inr challenge score mine.inr --team NAME")
    if options.output:
        print(f"{options.output}: {width}×{height} pixels")
    return 0


def run_score(options: argparse.Namespace) -> int:
    """``inr challenge score``."""
    entry = score(options.file, options.team)
    if options.json:
        print(json.dumps(asdict(entry)))
        return 0
    print(
        f"{options.file}: {entry.psnr:.2f} dB, {entry.bytes:,} of {LIMIT:,} bytes, {entry.codec}; SSIM {_figure(entry.ssim, 4)}, "
        f"MS-SSIM {_figure(entry.ms_ssim, 4)}, SSIMULACRA 2 {_figure(entry.ssimulacra2, 1)}"
    )
    if entry.copy_of:
        print(f"This is the file of {entry.copy_of}, who entered it first: it counts for them.")
    elif entry.team:
        ranked = [each for each in ranking(leaderboard()) if each.counts]
        place = next(index for index, each in enumerate(ranked, 1) if each.team == entry.team)
        print(f"{entry.team} is on place {place} of {len(ranked)}.")
    return 0


def run_board(options: argparse.Namespace) -> int:
    """``inr challenge board``."""
    entries = leaderboard()
    if options.json:
        print(json.dumps([asdict(entry) for entry in entries]))
        return 0
    print(board_text(entries))
    return 0


def board_text(entries: Sequence[Entry]) -> str:
    """The ranking of teams as lines of text, of entries in `leaderboard`'s order."""
    if not entries:
        return "No file has been entered yet: inr challenge score FILE --team NAME"
    rows = board_rows(entries)
    wide = max(len(row[1]) for row in rows)
    lines = [f"{'':>4}  {'':<{wide}}  PSNR/dB  bytes    SSIM  SSIMULACRA2  codec"]
    for place, team, psnr, size, ssim, ssimulacra2, remark in rows:
        lines.append(f"{place:>4}  {team:<{wide}}  {psnr:>7}  {size:>5}  {ssim:>6}  {ssimulacra2:>11}  {remark}")
    return "\n".join(lines)


def board_rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """A line of the ranking each: place, team, PSNR, bytes, SSIM, SSIMULACRA 2, and the codec or why the entry doesn't count."""
    rows = []
    for place, entry in enumerate(ranking(entries), 1):
        remark = entry.codec
        if not entry.counts:
            remark = f"doesn't count: {entry.problem or f'a copy of the file of {entry.copy_of}'}"
        measures = (_figure(entry.psnr, 2), f"{entry.bytes:,}", _figure(entry.ssim, 4), _figure(entry.ssimulacra2, 1))
        rows.append((str(place) if entry.counts else "–", entry.team, *measures, remark))
    return rows


def _figure(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
