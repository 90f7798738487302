"""What stands beside the pixels in a file: claims about their colour, the way they are turned, the part to show.

Pillow's readers refuse a picture for a broken comment, or lose what they don't know. So `split` takes from a file what a viewer
needs to know, and leaves one that holds little more than the pixels.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tutorial_lib.images.colour import Claim, code_points, measured

_MAX_PROFILE = 2**26
_PNG_CHUNK = re.compile(rb"(.{4})([A-Za-z]{4})", re.DOTALL)
_JPEG_STANDALONE = {0x01, *range(0xD0, 0xDA)}
_JPEG_MARKER, _JPEG_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xff])"), re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_TIFF_ORIENTATION, _TIFF_PROFILE = 274, 34675
_TIFF_OF_PIXELS = set(range(254, 533)) - {_TIFF_ORIENTATION, 282, 283, 296}  # the resolution shows nowhere


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class Beside:
    """What a file says beside its pixels.

    Attributes:
        claims: on colour, the strongest first (`colour.to_srgb`).
        orientation: 1 to 8 as in EXIF; None where nothing was found.
        aperture: the part to show of the pixels as they are stored; None for all.
        grey: a PNG of grey samples, with or without alpha.
    """

    claims: tuple[Claim, ...] = ()
    orientation: int | None = None
    aperture: Box | None = None
    grey: bool = False


def split(data: bytes) -> tuple[bytes, Beside]:
    """A PNG, JPEG, TIFF, AVIF, HEIC or JPEG 2000 file without what could stop its decoder, and what stood beside its pixels.

    Other files, and those too damaged to be taken apart, come back as they are: their decoders will say what is wrong.
    """
    with contextlib.suppress(struct.error, LookupError, ArithmeticError):
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(data)
        if data[4:8] == b"ftyp":
            return _heif(data)
        if data[4:8] == b"jP  ":
            start, end = _box(data, (0, len(data)), b"jp2h", b"colr")
            return data, Beside((data[start + 3 : end],) if data[start] == 2 else ())
    return data, Beside()


def orientation(exif: bytes, xmp: bytes = b"") -> int | None:
    """1 to 8: what the first directory of EXIF says (2.32, 4.6.4 A), or else XMP's ``tiff:Orientation``.

    It reads this one tag and so finds it in a block whose other parts are broken.
    """
    found = re.search(rb"tiff:Orientation(?:=[\"']|>)([1-8])", xmp)
    value = int(found[1]) if found else None
    if start := re.search(rb"II\*\0|MM\0\*", exif[:16]):
        order = "<" if start[0] == b"II*\0" else ">"
        with contextlib.suppress(struct.error):
            for tag, entry in _directory(exif[start.start() :], order)[1]:
                if tag == _TIFF_ORIENTATION:
                    kind = {1: "B", 4: "I"}.get(struct.unpack_from(order + "H", entry, 2)[0], "H")
                    (value,) = struct.unpack_from(order + kind, entry, 8)
    return value if value in range(1, 9) else None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The marker segments of a JPEG file (ITU-T T.81, annex B) up to EOI: marker, start, start of the content, end.

    Fill bytes (B.1.1.2), and others that libjpeg passes over, belong to the segment behind; restarts belong to their scan.

    Raises:
        ValueError: no marker follows, or a segment is longer than the file.
    """
    end, marker = 0, 0
    while end < len(data) and marker != 0xD9:
        start, found = end, _JPEG_MARKER.search(data, end)
        if not found:
            raise ValueError(f"no marker at byte {start}")
        marker, content, end = found[1][0], found.end(), found.end()
        if marker not in _JPEG_STANDALONE:
            length = int.from_bytes(data[end : end + 2], "big")
            content, end = end + 2, end + length
            if length < 2 or end > len(data):
                raise ValueError(f"the segment from byte {start} ends early")
        if marker == 0xDA:
            behind = _JPEG_AFTER_SCAN.search(data, end)
            end = behind.start() if behind else len(data)
        yield marker, start, content, end


def _png(data: bytes) -> tuple[bytes, Beside]:
    """Critical chunks and transparency stay. Ancillary ones of the wrong checksum or length count as absent: libpng."""
    kept, found, end, colours = [data[:8]], dict[bytes, bytes](), 8, 0
    while (head := _PNG_CHUNK.match(data, end)) and kept[-1][4:8] != b"IEND":
        kind, start, length = head[2], end, int.from_bytes(head[1], "big")
        end += 12 + length
        chunk = data[start:end]
        if not kind[0] & 0x20:
            kept.append(chunk)
            colours = length // 3 if kind == b"PLTE" else colours
        elif chunk[-4:] == zlib.crc32(chunk[4:-4]).to_bytes(4, "big"):
            texts = kind in (b"iTXt", b"tEXt", b"zTXt")  # of which there may be many
            found.setdefault(chunk[4:-4].partition(b"\0")[0] if texts else kind, chunk[8:-4])
            if kind == b"tRNS" and length in {0: [2], 2: [6], 3: range(1, colours + 1)}.get(data[25], []):
                kept.append(chunk)
    if not head:
        kept.append(data[end:])
    turn = orientation(found.get(b"eXIf") or _raw_exif(found), found.get(b"iTXtXML:com.adobe.xmp", b""))
    return b"".join(kept), Beside(tuple(_png_claims(found)), turn, grey=data[25] in (0, 4))


def _raw_exif(found: dict[bytes, bytes]) -> bytes:
    """EXIF as ImageMagick 6 writes it: a text chunk with a title, the length, and hexadecimal digits."""
    packed, text = (found.get(kind + b"Raw profile type exif", b"").partition(b"\0")[2] for kind in (b"zTXt", b"tEXt"))
    with contextlib.suppress(zlib.error, ValueError):
        text = zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE) if packed else text
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    return b""


def _png_claims(found: dict[bytes, bytes]) -> Iterator[Claim]:
    """The colour chunks in their order of precedence: PNG, 3rd edition (W3C 2025), 4.3."""
    if len(found.get(b"cICP", b"")) == 4:
        yield from code_points(*found[b"cICP"])
    if profile := found.get(b"iCCP", b"").partition(b"\0")[2]:
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(profile[1:], _MAX_PROFILE)
    if b"sRGB" in found:
        yield from code_points(1, 13)
    gamma, points = (found.get(kind, b"") for kind in (b"gAMA", b"cHRM"))
    numbers = [value / 100_000 for value in struct.unpack(">9i", gamma.ljust(4, b"\0")[:4] + points.ljust(32, b"\0")[:32])]
    if len(gamma) == 4 or len(points) == 32:
        yield measured(numbers[0] if len(gamma) == 4 else None, tuple(numbers[1:]) if len(points) == 32 else None)


def _jpeg(data: bytes) -> tuple[bytes, Beside]:
    """The comment and application segments go, but for the two that say how colours are coded: JFIF and Adobe."""
    kept, pieces, exif, xmp, done = [], [], b"", b"", 0
    with contextlib.suppress(ValueError):  # the decoder gets what can't be walked through as it is
        for marker, start, begin, end in jpeg_segments(data):
            if marker == 0xDA:
                break
            content = data[begin:end] if 0xE0 <= marker <= 0xEF or marker == 0xFE else None
            if content is None or content[:5] == b"JFIF\0" and len(content) > 13 or content[:5] == b"Adobe" and len(content) > 11:
                kept.append(data[start:end])
            elif content.startswith(b"Exif\0"):
                exif = exif or content
            elif content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                xmp = xmp or content
            elif content.startswith(b"ICC_PROFILE\0") and len(content) > 14:
                pieces.append(content[12:])  # its number, how many there are, and the piece: ICC.1, annex B.4
            done = end
    profile = b"".join(piece[2:] for piece in sorted(pieces)) if pieces and len(pieces) == pieces[0][1] else b""
    return b"".join([*kept, data[done:]]), Beside((profile,) if profile else (), orientation(exif, xmp))


def _directory(tiff: bytes, order: str) -> tuple[int, list[tuple[int, bytes]]]:
    """Where the first directory of a TIFF file starts, and its entries: tag, and all 12 bytes."""
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    entries = [tiff[entry : entry + 12] for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12)]
    return start, [(struct.unpack_from(order + "H", entry)[0], entry) for entry in entries]


def _tiff(data: bytes) -> tuple[bytes, Beside]:
    """The first directory stays, with the tags that describe pixels."""
    order = "<" if data[0] == 0x49 else ">"
    start, entries = _directory(data, order)
    kept = [entry for tag, entry in entries if tag in _TIFF_OF_PIXELS]
    directory = (struct.pack(order + "H", len(kept)) + b"".join(kept)).ljust(2 + 12 * len(entries) + 4, b"\0")
    length, where = struct.unpack(order + "4xII", dict(entries).get(_TIFF_PROFILE, bytes(12)))
    profile = data[where : where + length]
    return data[:start] + directory + data[start + len(directory) :], Beside((profile,) if profile else (), orientation(data))


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of an ISO base media file (ISO/IEC 14496-12, 4.2): kind, start of the content, end."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + (16 if size == 1 else 8)
        size = struct.unpack_from(">Q", data, start + 8)[0] if size == 1 else size or end - start
        if not content <= start + size <= end:
            return
        yield kind, content, start + size
        start += size


def _box(data: bytes, span: tuple[int, int], *path: bytes) -> tuple[int, int]:
    """Where the content of a box lies that is reached through others; LookupError if it is not there."""
    for wanted in path:
        span = {kind: (start, end) for kind, start, end in _boxes(data, *span)}[wanted]
    return span


def _heif(data: bytes) -> tuple[bytes, Beside]:
    """Of the primary item (ISO/IEC 23008-12) its colours, of which a profile counts before code points, and its clean aperture.

    EXIF goes: in this format a turn is a property of the picture (6.5.10), which decoders see to.
    """
    start, end = _box(data, (0, len(data)), b"meta")
    meta = start + 4, end
    start, end = _box(data, meta, b"iinf")
    bare = data[:start] + data[start:end].replace(b"Exif", b"skip") + data[end:]
    held = list(_primary(data, meta))
    colours = [content for kind, content in held if kind == b"colr"]
    claims: list[Claim] = [colour[4:] for colour in colours if colour[:4] in (b"prof", b"rICC")]
    for colour in colours:
        claims += code_points(*struct.unpack_from(">HH", colour, 4)) if colour[:4] == b"nclx" else []
    sizes = dict(held)
    return bare, Beside(tuple(claims), None, _aperture(sizes[b"clap"], sizes[b"ispe"]) if b"clap" in sizes else None)


def _primary(data: bytes, meta: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """The properties of the primary item: kind and content."""
    start, _ = _box(data, meta, b"pitm")
    (item,) = struct.unpack_from(">I" if data[start] else ">H", data, start + 4)
    properties = list(_boxes(data, *_box(data, meta, b"iprp", b"ipco")))
    start, _ = _box(data, meta, b"iprp", b"ipma")
    head, index, most = ">IB" if data[start] else ">HB", *(("H", 0x7FFF) if data[start + 3] & 1 else ("B", 0x7F))
    (entries,), start = struct.unpack_from(">I", data, start + 4), start + 8
    for _ in range(entries):
        (entry, count), start = struct.unpack_from(head, data, start), start + struct.calcsize(head)
        indices, start = struct.unpack_from(f">{count}{index}", data, start), start + struct.calcsize(f">{count}{index}")
        for kind, begin, end in (properties[(i & most) - 1] for i in indices if entry == item):
            yield kind, data[begin:end]


def _aperture(clap: bytes, ispe: bytes) -> Box | None:
    """The clean aperture (ISO/IEC 14496-12, 12.1.4) as a box; None where it is no box of whole pixels inside the picture."""
    numbers, full = struct.unpack(">IIIIiIiI", clap), struct.unpack(">II", ispe[4:12])
    width, height, right, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
    left, top = (full[0] - width) / 2 + right, (full[1] - height) / 2 + down
    right, bottom = left + width, top + height
    inside = 0 <= left < right <= full[0] and 0 <= top < bottom <= full[1]
    whole = all(side.denominator == 1 for side in (left, top, right, bottom))
    return (int(left), int(top), int(right), int(bottom)) if inside and whole else None
