"""Checks of notebook 06's file, to the last byte: pack, unpack, seal."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n06_quantization.answers import KINDS, pack, seal, unpack

# ---------------------------------------------------------------------------------------------- 06.4


def _parts(random: Random) -> tuple[Any, ...]:
    """A picture with sides of more than a byte, and sections, one longer than a byte can count."""
    height, width = random.sample(range(130, 900), 2)
    kinds = sorted(random.sample(sorted(KINDS), 3))
    lengths = (random.randint(2, 9), random.randint(10, 40), random.randint(300, 900))
    # no codec 1: it could be taken for the version
    return random.randint(2, 6), height, width, {kind: random.randbytes(n) for kind, n in zip(kinds, lengths, strict=True)}


def _cut(pack: Callable[..., bytes], codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> dict[str, str]:
    """What an answer packs, cut where the right file's parts end, in hexadecimal."""
    data = pack(codec, height, width, sections)
    if isinstance(data, bytearray):
        data = bytes(data)
    if data is None or not isinstance(data, bytes):
        raise Wrong(f"it returned {type(data).__name__}, expected bytes: add up bytes, and return them")
    size = len(varint(height) + varint(width))
    table = sum(1 + len(varint(len(body))) for body in sections.values())
    ends = [0, 5, 5 + size, 6 + size, 6 + size + table, max(len(data), 6 + size + table)]
    names = ("magic, version and codec", "height and width", "number of sections", "section table", "bodies")
    return {name: data[a:b].hex(" ") for name, a, b in zip(names, ends, ends[1:], strict=False)}


def _pack_like(
    size: Callable[[int, int], bytes] = lambda height, width: varint(height) + varint(width),
    start: Callable[[int], bytes] = lambda codec: b"INR" + bytes([1, codec]),
    count: Callable[[int], bytes] = lambda n: bytes([n]),
    length: Callable[[int], bytes] = varint,
    interleaved: bool = False,
    end: Callable[[bytes], bytes] = lambda data: data,
    entry: Callable[[bytes, bytes], bytes] = lambda kind, length: kind + length,
    bodies: Callable[[Mapping[int, bytes]], bytes] = lambda sections: b"".join(sections.values()),
):
    """A packer that differs from the right one in one thing; to be called as `_cut` is."""

    def wrong(codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> bytes:
        data = start(codec) + size(height, width) + count(len(sections))
        for kind, body in sections.items():
            data += entry(bytes([kind]), length(len(body))) + (body if interleaved else b"")
        return end(data if interleaved else data + bodies(sections))

    return wrong


PACK = Exercise(
    id="06.4",
    title="Pack",
    minutes=5,
    core=True,
    reference=pack,
    checks=(
        Check(
            "the file's bytes, from the magic to the last body",
            inputs=_parts,
            call=_cut,
            mistakes=(
                Mistake(
                    "height and width are swapped: the height comes first.",
                    like=_pack_like(size=lambda height, width: varint(width) + varint(height)),
                ),
                Mistake(
                    "each body stands behind its own entry: the whole table comes first, then all bodies.",
                    like=_pack_like(interleaved=True),
                ),
                Mistake(
                    "the number of sections is missing: without it nobody knows where the table ends.",
                    like=_pack_like(count=lambda n: b""),
                ),
                Mistake(
                    "the version is missing: behind b\"INR\" stands a byte 1, so that a later program knows how to read on.",
                    like=_pack_like(start=lambda codec: b"INR" + bytes([codec])),
                ),
                Mistake(
                    "a number of more than 255 doesn't fit a byte: `varint(…)` takes as many as needed.",
                    error="range\\(0, 256\\)",
                ),
                Mistake(
                    "the lengths take four bytes each: `varint(…)` takes one where one is enough.",
                    like=_pack_like(length=lambda n: n.to_bytes(4, "little")),
                ),
                Mistake(
                    "in the table, the length stands before the kind: first the kind, then the length.",
                    like=_pack_like(entry=lambda kind, length: length + kind),
                ),
                Mistake("in the table, the kinds are missing: a byte each.", like=_pack_like(entry=lambda kind, length: length)),
                Mistake(
                    "the codec's number stands before the version: first the version, 1, then the codec.",
                    like=_pack_like(start=lambda codec: b"INR" + bytes([codec, 1])),
                ),
                Mistake("the codec's number is missing, behind the version.", like=_pack_like(start=lambda codec: b"INR\x01")),
                Mistake("the version is 1, not 0.", like=_pack_like(start=lambda codec: b"INR\0" + bytes([codec]))),
                Mistake("the magic is in capitals: b\"INR\".", like=_pack_like(start=lambda codec: b"inr" + bytes([1, codec]))),
                Mistake(
                    "the bodies are missing: behind the table come all of them, `b\"\".join(sections.values())`.",
                    like=_pack_like(bodies=lambda sections: b""),
                ),
                Mistake(
                    "the bodies stand in the reverse order of the table.",
                    like=_pack_like(bodies=lambda sections: b"".join(reversed(list(sections.values())))),
                ),
                Mistake(
                    "height and width take two bytes each: `varint(…)` takes one where one is enough.",
                    like=tuple(
                        _pack_like(size=lambda height, width, order=order: height.to_bytes(2, order) + width.to_bytes(2, order))
                        for order in ("little", "big")
                    ),
                ),
                Mistake(
                    "`bytes(height)` is so many zero bytes: `varint(height)` writes the number.",
                    like=_pack_like(size=lambda height, width: bytes(height) + bytes(width)),
                ),
                Mistake("the checksum comes later: this file ends with the last body.", like=_pack_like(end=seal)),
                Mistake("text and bytes don't add up: the magic is b\"INR\", with a b.", error='can.?t concat|concatenate str'),
            ),
        ),
    ),
    hints=(
        "Bytes add up: `data = b\"INR\" + bytes([1, codec]) + …`. `bytes([n])` is one byte, `varint(n)` as many as n needs.",
        "After the size comes `bytes([len(sections)])`. Then a loop over `sections.items()` adds kind and length of each.",
        "In the loop: `data += bytes([kind]) + varint(len(body))`. Behind it: `b\"\".join(sections.values())`.",
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- 06.5


def _packed(random: Random) -> tuple[Any, ...]:
    """Several files, for one of which another mistake may end at the same byte."""
    return tuple(pack(*_parts(random)) for _ in range(4))


def _damaged(random: Random) -> tuple[Any, ...]:
    data = pack(*_parts(random))
    ways = {"foreign": b"\x89PN" + data[3:], "newer": data[:3] + b"\x07" + data[4:], "cut": data[:-5], "longer": data + b"\0\0"}
    ways |= {f"magic {magic}": magic.encode() + data[3:] for magic in ("INX", "inr", "RNI")}
    ways["magic XIN"] = b"XINR" + data[4:]
    return (ways,)


def _refusals(unpack: Callable[[bytes], Any], ways: Mapping[str, bytes]) -> dict[str, str]:
    """What becomes of each damaged file."""
    found = {}
    for way, data in ways.items():
        try:
            found[way] = "None" if unpack(data) is None else "read"
        except BitstreamError:
            found[way] = "refused"
        except NotImplementedError:
            raise
        except Exception as error:  # what the participant's code stumbles over
            found[way] = type(error).__name__
    return found


def _taken(way: str) -> Callable[..., bool]:
    return lambda yours, target, *_: any(each != "refused" for name, each in yours.items() if name.startswith(way))


def _parts_of_all(unpack: Callable[[bytes], Any], *files: bytes) -> dict[str, Any]:
    """What an answer makes of right files, by name."""
    found = [_parts_of(unpack, data) for data in files]
    return {f"{name} of file {number}": value for number, each in enumerate(found, 1) for name, value in each.items()}


def _parts_of(unpack: Callable[[bytes], Any], data: bytes) -> dict[str, Any]:
    """What an answer makes of a right file, by name; or why it refuses that."""
    try:
        found = unpack(data)
    except BitstreamError as error:
        return {"refusal": str(error)}
    if not isinstance(found, tuple | list) or len(found) != 4:
        raise Wrong("four things are wanted: codec, height, width, and the sections")
    if not isinstance(found[3], Mapping):
        raise Wrong("the sections are wanted as a dictionary, kind to bytes")
    sections = {f"section {kind}": bytes(body).hex(" ") for kind, body in found[3].items()}
    return dict(zip(("codec", "height", "width"), found, strict=False)) | sections


def _unpack_like(
    version: bool = True,
    number: Callable[[Reader], int] = Reader.varint,
    length: Callable[[Reader], int] = Reader.varint,
    codec_last: bool = False,
    length_first: bool = False,
    interleaved: bool = False,
    backwards: bool = False,
) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Unpackers that differ from the right one in one thing, without and with a look at the end; they believe what they read."""

    def wrong(data: bytes, end: bool = False) -> Any:
        reader = Reader(data, "file")
        reader.take(4 if version else 3)
        codec = 0 if codec_last else reader.byte()
        height, width = number(reader), number(reader)
        codec = reader.byte() if codec_last else codec
        table, sections = [], {}
        for _ in range(reader.byte()):
            if length_first:
                size, kind = length(reader), reader.byte()
            else:
                kind, size = reader.byte(), length(reader)
            table.append((kind, size))
            if interleaved:
                sections[kind] = reader.take(size)
        if not interleaved:
            sections = {kind: reader.take(size) for kind, size in (reversed(table) if backwards else table)}
        if end:
            reader.end()
        return codec, height, width, sections

    return wrong, functools.partial(wrong, end=True)


def _refusals_in(yours: Mapping[str, Any]) -> list[str]:
    return [value for name, value in yours.items() if name.startswith("refusal")]


def _own_refusal(yours: Any, target: Any, *files: bytes) -> bool:
    """Whether all right files were refused by the answer's own `raise`, not by the reader that it was given."""
    readers = re.compile("the file (ends early|holds a malformed|has .* left over)")
    return len(_refusals_in(yours)) == len(files) and not any(map(readers.match, _refusals_in(yours)))


def _turned(yours: Any, target: Any, *files: bytes) -> bool:
    """Whether height and width are swapped in all files."""
    sides = [(f"height of file {number}", f"width of file {number}") for number in range(1, len(files) + 1)]
    return all(yours[height] == target[width] and yours[width] == target[height] for height, width in sides)


UNPACK = Exercise(
    id="06.5",
    title="Unpack",
    minutes=5,
    core=False,
    reference=unpack,
    checks=(
        Check(
            "gives back what was packed",
            inputs=_packed,
            call=_parts_of_all,
            mistakes=(
                Mistake(
                    "height and width are swapped: the height comes first.",
                    when=_turned,
                ),
                Mistake(
                    "a right file is refused, by a `raise` of your own. `reader.take(3)` gives bytes, so compare it with "
                    "b\"INR\"; `reader.byte()` gives a number, so compare that with 1; and each of them moves on.",
                    when=_own_refusal,
                ),
                Mistake(
                    "bodies are taken from the wrong places: read the whole table first, kinds and lengths, and only then the "
                    "bodies.",
                    like=_unpack_like(interleaved=True),
                ),
                Mistake(
                    "a right file is refused: the number of sections is looked for too far in front. Is the version read, which "
                    "is a byte, and are height and width read by `varint()`?",
                    like=_unpack_like(number=Reader.byte) + _unpack_like(version=False),
                ),
                Mistake(
                    "the lengths are read by `byte()`, and one of more than 127 takes two: `varint()`.",
                    like=_unpack_like(length=Reader.byte),
                ),
                Mistake("the codec's number comes before height and width.", like=_unpack_like(codec_last=True)),
                Mistake("in the table, the kind comes first, then the length.", like=_unpack_like(length_first=True)),
                Mistake("the bodies are in the order of the table, not backwards.", like=_unpack_like(backwards=True)),
                Mistake(
                    "a right file is refused, because something before was read in another order or by another call than it was "
                    "written: compare with the table above, line by line.",
                    when=lambda yours, target, *_: bool(_refusals_in(yours)),
                ),
            ),
        ),
        Check(
            "refuses what is foreign, newer, cut off or too long",
            inputs=_damaged,
            call=_refusals,
            mistakes=(
                Mistake(
                    "it refuses with another exception: a program that calls this waits for a BitstreamError alone.",
                    when=lambda yours, target, *_: any(each not in ("read", "None", "refused") for each in yours.values()),
                ),
                Mistake(
                    "it returns None instead of refusing: `raise BitstreamError(\"…\")`, or the program goes on with nothing.",
                    when=lambda yours, target, *_: "None" in yours.values(),
                ),
                Mistake(
                    "a PNG is read as if it were one of ours: if the first three bytes aren't b\"INR\", raise a BitstreamError.",
                    when=_taken("foreign"),
                ),
                Mistake(
                    "a file of version 7 is read as if nothing had changed: if the version isn't 1, raise a BitstreamError.",
                    when=_taken("newer"),
                ),
                Mistake(
                    "a file with another magic passes, such as INX, inr or RNI: the first three bytes have to be b\"INR\", all "
                    "three of them, in this order.",
                    when=_taken("magic"),
                ),
                Mistake(
                    "a file that is cut off passes: a slice that goes beyond the end is silently short. "
                    "`reader.take(n)` refuses instead.",
                    when=_taken("cut"),
                ),
                Mistake(
                    "bytes are left over at the end, and nobody asks why: `reader.end()` refuses them.",
                    when=_taken("longer"),
                ),
            ),
        ),
    ),
    hints=(
        "Read in the order of writing: `reader.take(3)` is the magic, `reader.byte()` the version, and so on.",
        "The table is a list of (kind, length): `[(reader.byte(), reader.varint()) for _ in range(reader.byte())]`.",
        "Then `sections = {kind: reader.take(length) for kind, length in table}`, and `reader.end()`.",
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- 06.6


def _bytes(random: Random) -> tuple[Any, ...]:
    return (random.randbytes(random.randint(60, 200)),)


def _ends(seal: Callable[[bytes], bytes], data: bytes) -> dict[str, Any]:
    """A sealed file, cut where the data end."""
    sealed = seal(data)
    if not isinstance(sealed, bytes | bytearray):
        raise Wrong(f"it returned {type(sealed).__name__}, expected bytes: the data, and four more")
    parts = sealed[: len(data)], sealed[len(data) :]
    return {"length": len(sealed), "data": parts[0].hex(" "), "checksum": parts[1].hex(" ")}


SEAL = Exercise(
    id="06.6",
    title="The checksum",
    minutes=3,
    core=False,
    reference=seal,
    checks=(
        Check(
            "four bytes behind the data, least significant first",
            inputs=_bytes,
            call=_ends,
            mistakes=(
                Mistake(
                    'the bytes are in the wrong order: the least significant one comes first, "little".',
                    like=lambda data: data + zlib.crc32(data).to_bytes(4, "big"),
                ),
                Mistake(
                    "that is the sum of all bytes: two bytes swapped would have the same one. Take `zlib.crc32`.",
                    like=lambda data: data + sum(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "the checksum stands in front: the file would no longer start with b\"INR\". It goes behind the data.",
                    like=lambda data: zlib.crc32(data).to_bytes(4, "little") + data,
                ),
                Mistake(
                    "only the checksum comes back: return the data, too, with the checksum behind them.",
                    like=lambda data: zlib.crc32(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "the checksum is written as text: `.to_bytes(4, \"little\")` makes four bytes of a number.",
                    like=(
                        lambda data: data + f"{zlib.crc32(data):08x}".encode(),
                        lambda data: data + hex(zlib.crc32(data)).encode(),
                        lambda data: data + str(zlib.crc32(data)).encode(),
                    ),
                ),
                Mistake(
                    "the checksum takes eight bytes, four of them zero: CRC-32 has four.",
                    like=tuple(
                        lambda data, order=order: data + zlib.crc32(data).to_bytes(8, order) for order in ("little", "big")
                    ),
                ),
                Mistake("it is sealed twice: once is enough.", like=lambda data: seal(seal(data))),
                Mistake(
                    "the checksum takes the place of the last four bytes: put it behind them.",
                    like=lambda data: data[:-4] + zlib.crc32(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "the magic isn't in the sum: CRC-32 of all bytes.",
                    like=lambda data: data + zlib.crc32(data[3:]).to_bytes(4, "little"),
                ),
                Mistake(
                    "that is the number of bytes: a changed one would not show. Take `zlib.crc32`.",
                    like=lambda data: data + len(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "as a varint, the checksum takes four bytes or five: a fixed four are wanted.",
                    like=lambda data: data + varint(zlib.crc32(data)),
                ),
                Mistake(
                    "`bytes(4)` is four zeros: the number of the checksum has to be in there.", like=lambda data: data + bytes(4)
                ),
                Mistake(
                    "a number isn't bytes yet: `.to_bytes(4, \"little\")` makes four of it.", error="concat int to bytes"
                ),
                Mistake(
                    "that is Adler-32, weak where files are short. Take `zlib.crc32`.",
                    like=lambda data: data + zlib.adler32(data).to_bytes(4, "little"),
                ),
            ),
        ),
    ),
    hints=(
        "`zlib.crc32(data)` is the number.",
        '`number.to_bytes(4, "little")` makes four bytes of it.',
        "Return the data, plus those four bytes.",
    ),
)  # fmt: skip
