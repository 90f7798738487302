"""A file of the challenge, and what it is worth: the picture that its bytes decode to, never a number that somebody typed."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.course.session import sample_file
from tutorial_lib.runtime import data_path

PICTURE = "coffee 150x100"
"""The picture, by the name that points of it have in `store`."""

SIZE = (100, 150)
"""Its height and width in pixels."""

LIMIT = 1700
"""The most bytes that a file may have, header and checksum included: 0.907 bits per pixel."""

LONGEST_NAME = 40
"""Characters of a team's name, at most."""

SAMPLES = {"sample file, COIN": "coffee-coin-0.9.inr", "sample file, COOL-CHIC": "coffee-coolchic-0.9.inr"}
"""Names under which files of this project may be entered, as somebody to beat, and the files."""

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
        pixels: SHA-256 of the decoded picture; empty where it isn't known.
        copy_of: the team that entered the same file, or another one of the same picture, before.
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
    pixels: str = ""
    copy_of: str = ""
    problem: str = ""

    @property
    def counts(self) -> bool:
        """Whether the entry takes part in the ranking."""
        return not (self.copy_of or self.problem)


def task() -> Tensor:
    """The picture to encode, (3, 100, 150): `images.sample("coffee")` at a quarter of its size."""
    return images.reduce(images.sample("coffee"), size=SIZE)


def read(file: str | os.PathLike[str] | bytes) -> bytes:
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


def measured(data: bytes) -> Entry:
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
        pixels=_fingerprint(picture),
    )


def _fingerprint(picture: Tensor) -> str:
    """SHA-256 of a picture in 256 levels."""
    return hashlib.sha256(images.to_uint8(picture).tobytes()).hexdigest()


@functools.cache
def sample_owners() -> dict[str, str]:
    """`Entry.pixels` of this project's own files of the picture that are small enough, and whom each counts for."""
    teams = {file: team for team, file in SAMPLES.items()}
    owners = {}
    for file in sorted(path.name for path in (data_path("samples") or Path()).glob("coffee-*.inr")):
        data = sample_file(file)
        if len(data) <= LIMIT:
            owners[_fingerprint(codecs.decode(data).cpu())] = teams.get(file, f"the sample file {file}")
    return owners


def team_name(name: str) -> str:
    tidy = " ".join(name.split())
    if not tidy or len(tidy) > LONGEST_NAME or not tidy.isprintable():
        raise ChallengeError(f"a team's name has 1 to {LONGEST_NAME} characters that can be printed, not {name!r}")
    return tidy
