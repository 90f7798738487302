"""What every byte of a file is for: an ``.inr`` file down to its tensors and grids, a JPEG down to its segments.

The coder writes one stream for all tensors of a section, so a tensor has no bytes of its own: the section's bytes are shared out
in proportion to the bits that each tensor takes under its law (of a grid: under the context model). Sections, header and
checksum are exact, and so are a JPEG's segments; everything adds up to the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError

_JPEG_NAMES = {0xC4: "Huffman tables", 0xDB: "quantization tables", 0xFE: "comment", 0xDD: "restart interval"}
_STANDALONE = {0x01, *range(0xD0, 0xDA)}


@dataclass(frozen=True)
class Part:
    """A piece of a file.

    Attributes:
        section: header, configuration, quantizer, networks, latents, checksum; of a JPEG header, tables, scan.
        name: of the tensor, grid or segment; the section's own where it is not divided.
        bytes: how many; an estimate for tensors and grids.
    """

    section: str
    name: str
    bytes: int


def parts(data: bytes) -> tuple[Part, ...]:
    """The pieces of a file in its order; their bytes add up to ``len(data)``.

    Args:
        data: a whole ``.inr`` file of any learned codec, or a JPEG file.

    Raises:
        BitstreamError: neither, or damaged.
    """
    data = bytes(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8\xff") else _inr(data)


def _inr(data: bytes) -> tuple[Part, ...]:
    from tutorial_lib.codecs import codec_of

    rows: dict[str, list[tuple[str, float]]] = {"networks": [], "latents": []}
    for row in codec_of(data).describe(data):
        section = "latents" if row["name"].startswith("grid ") else "networks"
        rows[section].append((row["name"], math.prod(row["shape"]) * row["bits_per_weight"]))
    found = []
    for section, count in bitstream.anatomy(data).items():
        bits = [amount for _, amount in rows.get(section, [])]
        if not sum(bits):
            found.append(Part(section, section, count))
            continue
        found += [Part(section, name, share) for (name, _), share in zip(rows[section], _shared_out(count, bits), strict=True)]
    return tuple(found)


def _shared_out(count: int, weights: list[float]) -> list[int]:
    """``count`` in whole numbers in proportion to ``weights``."""
    total, done, shares, passed = sum(weights), 0, [], 0.0
    for weight in weights:
        passed += weight
        shares.append(round(count * passed / total) - done)
        done += shares[-1]
    return shares


def _jpeg(data: bytes) -> tuple[Part, ...]:
    """Marker segments (ITU-T T.81, annex B); a scan runs to the next marker that is no restart."""
    found, position, scans = [], 0, 0
    while position < len(data):
        if data[position] != 0xFF or position + 1 >= len(data):
            raise BitstreamError(f"this JPEG file has no marker at byte {position}")
        marker, start = data[position + 1], position
        if marker in _STANDALONE:
            position += 2
            found.append(Part("header", {0xD8: "start", 0xD9: "end"}.get(marker, "marker"), 2))
            if marker == 0xD9 and position < len(data):
                found.append(Part("header", "behind the end", len(data) - position))
                break
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length
        if length < 2 or position > len(data):
            raise BitstreamError(f"a segment of this JPEG file, from byte {start}, ends early")
        if marker == 0xDA:
            while position + 1 < len(data) and not (data[position] == 0xFF and data[position + 1] not in {0, *range(0xD0, 0xD8)}):
                position += 1
            if position + 1 >= len(data):
                position = len(data)
            scans += 1
            found.append(Part("scan", f"scan {scans}", position - start))
        elif marker in (0xC4, 0xDB):
            found.append(Part("tables", _JPEG_NAMES[marker], position - start))
        else:
            name = _JPEG_NAMES.get(marker) or (f"APP{marker - 0xE0}" if 0xE0 <= marker <= 0xEF else "frame header")
            found.append(Part("header", name, position - start))
    return tuple(found)
