"""Checks of notebook 06's file, to the last byte: pack, unpack, seal."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from tutorial_lib.coding.bitstream import BitstreamError, varint
from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n06_quantization.answers import KINDS, pack, seal, unpack

# ---------------------------------------------------------------------------------------------- 06.4


def _parts(random: Random) -> tuple[Any, ...]:
    """A picture with sides of more than a byte, and sections, one longer than a byte can count."""
    height, width = random.sample(range(130, 900), 2)
    kinds = sorted(random.sample(sorted(KINDS), 3))
    lengths = (random.randint(2, 9), random.randint(10, 40), random.randint(300, 900))
    return random.randint(1, 6), height, width, {kind: random.randbytes(n) for kind, n in zip(kinds, lengths, strict=True)}


def _cut(pack: Callable[..., bytes], codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> dict[str, bytes]:
    """What an answer packs, cut where the right file's parts end."""
    data = pack(codec, height, width, sections)
    if isinstance(data, bytearray):
        data = bytes(data)
    if data is None or not isinstance(data, bytes):
        raise Wrong(f"it returned {type(data).__name__}, expected bytes: add up bytes, and return them")
    size = len(varint(height) + varint(width))
    table = sum(1 + len(varint(len(body))) for body in sections.values())
    ends = [0, 5, 5 + size, 6 + size, 6 + size + table, max(len(data), 6 + size + table)]
    names = ("magic, version and codec", "height and width", "number of sections", "section table", "bodies")
    return {name: data[a:b] for name, a, b in zip(names, ends, ends[1:], strict=False)}


def _pack_like(
    size: Callable[[int, int], bytes] = lambda height, width: varint(height) + varint(width),
    start: Callable[[int], bytes] = lambda codec: b"INR" + bytes([1, codec]),
    count: Callable[[int], bytes] = lambda n: bytes([n]),
    length: Callable[[int], bytes] = varint,
    interleaved: bool = False,
    end: Callable[[bytes], bytes] = lambda data: data,
):
    """A packer that differs from the right one in one thing; to be called as `_cut` is."""

    def wrong(codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> bytes:
        data = start(codec) + size(height, width) + count(len(sections))
        for kind, body in sections.items():
            data += bytes([kind]) + length(len(body)) + (body if interleaved else b"")
        return end(data if interleaved else data + b"".join(sections.values()))

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
    return (pack(*_parts(random)),)


def _damaged(random: Random) -> tuple[Any, ...]:
    data = pack(*_parts(random))
    ways = {"foreign": b"\x89PN" + data[3:], "newer": data[:3] + b"\x07" + data[4:], "cut": data[:-5], "longer": data + b"\0\0"}
    return (ways,)


def _refusals(unpack: Callable[[bytes], Any], ways: Mapping[str, bytes]) -> dict[str, str]:
    """What becomes of each damaged file."""
    found = {}
    for way, data in ways.items():
        try:
            unpack(data)
            found[way] = "read"
        except BitstreamError:
            found[way] = "refused"
        except NotImplementedError:
            raise
        except Exception as error:  # what the participant's code stumbles over
            found[way] = type(error).__name__
    return found


def _taken(way: str) -> Callable[..., bool]:
    return lambda yours, target, *_: yours[way] != "refused"


_BODIES = "bodies are taken from the wrong places: read the whole table first, kinds and lengths, and only then the bodies."

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
            mistakes=(
                Mistake(
                    "height and width are swapped: the height comes first.",
                    when=lambda yours, target, *_: (yours[2], yours[1]) == target[1:3],
                ),
                Mistake(
                    _BODIES,
                    error="BitstreamError",
                    when=lambda yours, target, *_: yours[:3] == target[:3] and yours[3] != target[3],
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
                    when=lambda yours, target, *_: "ValueError" in yours.values(),
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
    return {"length": len(sealed), "data": bytes(sealed[: len(data)]), "checksum": bytes(sealed[len(data) :])}


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
                    when=lambda yours, target, *_: yours["length"] > target["length"],
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
