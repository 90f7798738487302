"""The container of every ``.inr`` file: a header, named sections, a checksum.

Layout (integers little-endian; *varint* = LEB128, seven bits a byte, low bits first)::

    magic      3 bytes  b"INR"
    version    1 byte   1, or 2 with a section "reduction", or 3 (below); this program also reads 0
    codec      1 byte   number in the registry of `tutorial_lib.codecs`
    height     varint   pixels
    width      varint   pixels
    sections   1 byte   how many, then for each: kind (1 byte), length in bytes (varint); kinds ascend
    bodies     the sections, in the same order, nothing between them
    checksum   4 bytes  CRC-32 of everything before it

The file of a film or a sound is of version 3, with another header between codec and sections::

    kind       1 byte   1 for a sound, 2 for a film
    size       varints  of a sound samples; of a film frames, height, width
    rate       varints  numerator and denominator, without a common divisor, of frames or samples a second
    peak       varint   of a sound only: its largest amplitude, 1 to 32768

A picture's file can be followed by a second look (a synthesis for texture: `tutorial_lib.latents.texture`), its bytes unchanged::

    magic      4 bytes  b"LOOK"
    version    1 byte   1
    body       up to the checksum
    checksum   4 bytes  CRC-32 of everything before it but the file's own checksum (with which all files would be alike to it)

Without it the file is what it was; programs from before second looks take it for damaged.

Version 1 is frozen: its files stay readable (``tests/golden``), and whatever they can't say will be another version.
Version 0 has the same layout, and fewer laws for the weights (`parameters.pack_parameters`). A container has one form alone, so
that equal ones are equal bytes: sections in the order of their kinds, numbers as short as they can be.

Header, section table and checksum take 20 to 30 bytes, and never more than 40. The checksum finds every accident (all
single-byte changes, all truncations); it is no protection against somebody who wants to deceive, so every reader of a
section checks what it reads as well.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from fractions import Fraction

from tutorial_lib.images import MAX_PIXELS
from tutorial_lib.signals.arrays import FULL_SCALE

MAGIC = b"INR"
MAX_OPERATIONS = 1 << 45
"""Multiply-adds, and what takes as long, that a file may ask of its decoder; more is refused before any of it is done.

The slowest files that are accepted take one core of a Xeon 11 minutes with networks (coin, siren and struempler 653 s, nif 678),
4 with latent grids; ``inr info`` takes seconds, of latent grids the same 4 minutes (``tests/benchmarks/worst_files.py``,
November 2026).
"""

VERSION = 3
"""The newest that `read` takes, and `write` writes where an older one can't say what is in the file."""

SIGNAL_VERSION = 3
SIGNAL_AXES = {1: 1, 2: 3}
"""How many axes a kind of signal has: 1 a sound, 2 a film."""
MAX_RATE = 1 << 20
"""Frames or samples a second, and the largest denominator of such a rate."""

SECTION_NAMES = {1: "configuration", 2: "quantizer", 3: "networks", 4: "latents", 5: "reduction"}
"""Names of the sections by kind; the spelling is part of what `anatomy` and ``inr info`` report."""
SECTION_KINDS = {name: kind for kind, name in SECTION_NAMES.items()}
LOOKS = ("structure", "texture")
"""Of a file: near its original point by point, or to the eye."""

SECOND_LOOK = "second look"
"""What stands behind a file's end, as `anatomy` names it."""

_LOOK_MAGIC, _LOOK_VERSION = b"LOOK", 1
_CHECKSUM_BYTES = 4
_MAX_VARINT_BYTES = 5


class BitstreamError(ValueError):
    """The bytes are not an intact file this version can read; the message says what is wrong."""


@dataclass(frozen=True)
class Container:
    """What an ``.inr`` file says: the codec's number, the picture's size in pixels, the sections by name, in any order.

    ``second_look`` is the body of what stands behind the file's end, if anything does.
    """

    codec: int
    height: int
    width: int
    sections: dict[str, bytes]
    second_look: bytes | None = None


@dataclass(frozen=True)
class SignalContainer:
    """What the file of a film or a sound says: the codec's number, what it is, the sections by name.

    Args:
        size: (frames, height, width) of a film, (samples,) of a sound.
        rate: frames or samples a second.
        peak: the largest amplitude of a sound, 1 to `FULL_SCALE`.
    """

    codec: int
    size: tuple[int, ...]
    rate: Fraction
    sections: dict[str, bytes]
    peak: int = FULL_SCALE

    @property
    def kind(self) -> str:
        """ "film" or "sound"."""
        return "sound" if len(self.size) == 1 else "film"


class Reader:
    """Reads bytes from front to back; whatever is missing or left over is a `BitstreamError`.

    Args:
        data: what to read.
        where: its name in error messages ("quantizer section").
    """

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.position = data, where, 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > len(self.data) - self.position:
            raise BitstreamError(
                f"the {self.where} ends early: {count} bytes wanted at byte {self.position}, "
                f"{len(self.data) - self.position} are there"
            )
        self.position += count
        return self.data[self.position - count : self.position]

    def byte(self) -> int:
        """The next byte, 0 … 255."""
        return self.take(1)[0]

    def varint(self) -> int:
        """A LEB128 integer below 2³⁵; only its shortest form is accepted, so that equal files are equal bytes."""
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    break
                return value
        raise BitstreamError(f"the {self.where} holds a malformed number at byte {self.position - 1}")

    def end(self) -> None:
        """Nothing may be left."""
        if self.position != len(self.data):
            raise BitstreamError(f"the {self.where} has {len(self.data) - self.position} bytes left over")


def varint(value: int) -> bytes:
    """``value`` (0 … 2³⁵ − 1) as LEB128: seven bits a byte, the high bit set on all but the last.

    Raises:
        ValueError: another value.
    """
    if not 0 <= value < 1 << (7 * _MAX_VARINT_BYTES):
        raise ValueError(f"{value} does not fit a varint")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write(container: Container) -> bytes:
    """The file's bytes.

    Raises:
        ValueError: a size `read` would refuse, or a section without a number in `SECTION_NAMES`.
    """
    _check_size(container.height, container.width, ValueError)
    unknown = [name for name in container.sections if name not in SECTION_KINDS]
    if unknown:
        raise ValueError(f"no section is named {unknown[0]!r}; there are {', '.join(SECTION_KINDS)}")
    version = 2 if "reduction" in container.sections else 1
    head = MAGIC + bytes([version, container.codec]) + varint(container.height) + varint(container.width)
    data = _with_sections(head, container.sections)
    return data if container.second_look is None else with_second_look(data, container.second_look)


def write_signal(container: SignalContainer) -> bytes:
    """The bytes of a film's or a sound's file.

    Raises:
        ValueError: a size, rate or peak that `read_signal` would refuse.
    """
    rate, kind = container.rate, {length: kind for kind, length in SIGNAL_AXES.items()}[len(container.size)]
    _check_signal(container, ValueError)
    head = MAGIC + bytes([SIGNAL_VERSION, container.codec, kind])
    head += b"".join(map(varint, (*container.size, rate.numerator, rate.denominator)))
    return _with_sections(head + (varint(container.peak) if kind == 1 else b""), container.sections)


def _with_sections(head: bytes, named: dict[str, bytes]) -> bytes:
    """A whole file: header, section table, bodies, checksum."""
    sections = sorted((SECTION_KINDS[name], body) for name, body in named.items())
    head += bytes([len(sections)])
    for kind, body in sections:
        head += bytes([kind]) + varint(len(body))
    return _sealed(head + b"".join(body for _, body in sections))


def with_second_look(data: bytes, body: bytes) -> bytes:
    """A whole file with ``body`` behind its end, in place of what may stand there; errors as `read`."""
    file, look = without_second_look(data), _LOOK_MAGIC + bytes([_LOOK_VERSION]) + body
    return file + look + _look_checksum(file, look)


def _look_checksum(file: bytes, look: bytes) -> bytes:
    return zlib.crc32(look, zlib.crc32(file[:-_CHECKSUM_BYTES])).to_bytes(_CHECKSUM_BYTES, "little")


def without_second_look(data: bytes) -> bytes:
    """The file as it was before a second look, which may be damaged; itself if there is none. Errors as `read`."""
    data = bytes(data)
    file = data[: _end_of_file(data)]
    _read(file)
    return file


def _sealed(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")


def _end_of_file(data: bytes) -> int:
    """Where the second look begins if the section table is right and one does; else the end of ``data``."""
    reader = Reader(data, "file")
    if data[len(MAGIC) : len(MAGIC) + 1] == bytes([SIGNAL_VERSION]):
        return len(data)
    try:
        reader.take(len(MAGIC) + 2)
        _, _, sections = reader.varint(), reader.varint(), reader.byte()
        reader.take(sum((reader.byte(), reader.varint())[1] for _ in range(sections)) + _CHECKSUM_BYTES)
    except BitstreamError:
        return len(data)
    return reader.position if data.startswith(_LOOK_MAGIC, reader.position) else len(data)


def read(data: bytes) -> Container:
    """The container in ``data``: the whole file, checked from magic to checksum, and its second look, if there is one.

    Raises:
        BitstreamError: not an ``.inr`` file, of a newer version, truncated, damaged, or of an impossible size.
    """
    data = bytes(data)
    if (end := _end_of_file(data)) < len(data):
        return replace(_read(data[:end]), second_look=_read_second_look(data, end))
    return _read(data)


def _read_second_look(data: bytes, begin: int) -> bytes:
    """The body of what follows a file; its version stands before its checksum, as the file's does."""
    reader = Reader(data, SECOND_LOOK)
    reader.take(begin + len(_LOOK_MAGIC))
    version = reader.byte()
    if version > _LOOK_VERSION:
        newer = f"newer than the version {_LOOK_VERSION} that this program reads"
        raise BitstreamError(f"the second look is in version {version}, {newer}; inr strip leaves the file without it")
    body = reader.take(max(len(data) - reader.position - _CHECKSUM_BYTES, 0))
    if version < 1 or _look_checksum(data[:begin], data[begin : reader.position]) != data[reader.position :]:
        raise BitstreamError("the checksum of the second look does not match: it is damaged, cut off, or another file's")
    return body


def kind_of(data: bytes) -> str:
    """ "picture", "film" or "sound": what an intact ``.inr`` file holds. Errors as `read`."""
    data = bytes(data)
    if data.startswith(MAGIC + bytes([SIGNAL_VERSION])):
        return read_signal(data).kind
    read(data)
    return "picture"


def read_signal(data: bytes) -> SignalContainer:
    """The container of a film or a sound in ``data``, checked from magic to checksum.

    Raises:
        BitstreamError: as `read`, or a picture's file.
    """
    version, reader = _checked(bytes(data))
    if version != SIGNAL_VERSION:
        raise BitstreamError("this file holds a picture, not a film and not a sound")
    codec, kind = reader.byte(), reader.byte()
    if kind not in SIGNAL_AXES:
        raise BitstreamError(f"the file holds a signal of kind {kind}, which this version doesn't know")
    size = tuple(reader.varint() for _ in range(SIGNAL_AXES[kind]))
    numerator, denominator = reader.varint(), reader.varint()
    if denominator == 0 or math.gcd(numerator, denominator) != 1:
        raise BitstreamError(f"{numerator}/{denominator} a second are no rate")
    peak = reader.varint() if kind == 1 else FULL_SCALE
    found = SignalContainer(codec, size, Fraction(numerator, denominator), {}, peak)
    _check_signal(found, BitstreamError)
    return replace(found, sections=_read_sections(reader, version))


def _checked(data: bytes) -> tuple[int, Reader]:
    """The version of a file that nothing follows, its checksum right, and a reader behind it."""
    if not data:
        raise BitstreamError("the file is empty")
    if not data.startswith(MAGIC):
        raise BitstreamError(f"this is not an .inr file: it starts with {data[:4]!r}, not with {MAGIC!r}")
    reader = Reader(data, "file")
    reader.take(len(MAGIC))
    version = reader.byte()
    if version > VERSION:
        raise BitstreamError(f"the file is in format version {version}, newer than the version {VERSION} that this program reads")
    if len(data) < len(MAGIC) + 1 + _CHECKSUM_BYTES:
        raise BitstreamError("the file ends early: it has no checksum")
    if zlib.crc32(data[:-_CHECKSUM_BYTES]) != int.from_bytes(data[-_CHECKSUM_BYTES:], "little"):
        raise BitstreamError("the checksum does not match: the file is damaged or cut off")
    return version, reader


def _read(data: bytes) -> Container:
    """The container in a picture's file that nothing follows."""
    version, reader = _checked(data)
    if version == SIGNAL_VERSION:
        raise BitstreamError(f"this file holds a {read_signal(data).kind}, not a picture")
    codec, height, width = reader.byte(), reader.varint(), reader.varint()
    _check_size(height, width, BitstreamError)
    return Container(codec, height, width, _read_sections(reader, version))


def _read_sections(reader: Reader, version: int) -> dict[str, bytes]:
    """Section table, bodies, and the file's end."""
    table = []
    for _ in range(reader.byte()):
        kind, length = reader.byte(), reader.varint()
        if kind not in SECTION_NAMES or any(SECTION_NAMES[kind] == name for name, _ in table):
            raise BitstreamError(f"the section table names kind {kind}, unknown or twice")
        # no writer of version 0 had another order either, but it wasn't said
        if version > 0 and table and kind < SECTION_KINDS[table[-1][0]]:
            raise BitstreamError(f"section {SECTION_NAMES[kind]} stands behind {table[-1][0]}: another order than that of a file")
        table.append((SECTION_NAMES[kind], length))
    sections = {name: reader.take(length) for name, length in table}
    if ("reduction" in sections) != (version == 2):
        raise BitstreamError("a reduced picture's file is of format version 2, and no other file is")
    reader.take(_CHECKSUM_BYTES)
    reader.end()
    return sections


def anatomy(data: bytes) -> dict[str, int]:
    """Bytes by part, in the file's order: "header" (with the section table), each section, "checksum", "second look" if any.

    The parts add up to ``len(data)``. Errors as `read`.
    """
    container = read(data) if kind_of(data) == "picture" else read_signal(data)
    sizes = {name: len(body) for name, body in container.sections.items()}
    end = _end_of_file(bytes(data))
    header = end - sum(sizes.values()) - _CHECKSUM_BYTES
    behind = {SECOND_LOOK: len(data) - end} if end < len(data) else {}
    return {"header": header, **sizes, "checksum": _CHECKSUM_BYTES, **behind}


def _check_size(height: int, width: int, error: type[ValueError]) -> None:
    if height < 1 or width < 1:
        raise error(f"a picture of {width}×{height} pixels has no pixels")
    if height * width > MAX_PIXELS:
        raise error(f"a picture of {width}×{height} pixels is larger than the {MAX_PIXELS:,} pixels allowed")


def _check_signal(container: SignalContainer, error: type[ValueError]) -> None:
    size, rate = "×".join(map(str, container.size)), container.rate
    if 0 in container.size or math.prod(container.size) > MAX_PIXELS:
        raise error(f"a {container.kind} of {size} points has none, or more than the {MAX_PIXELS:,} allowed")
    if not 0 < rate <= MAX_RATE or rate.denominator > MAX_RATE:
        raise error(f"{rate} a second are no rate of a {container.kind}")
    if not 1 <= container.peak <= FULL_SCALE:
        raise error(f"a sound's peak is 1 to {FULL_SCALE}, not {container.peak}")
