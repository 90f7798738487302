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
from tutorial_lib.images.containers import jpeg_segments

_JPEG_TABLES = {0xC4: "Huffman tables", 0xCC: "arithmetic coding tables", 0xDB: "quantization tables"}
_JPEG_NAMES = {
    **dict.fromkeys(range(0xC0, 0xD0), "frame header"),
    **{0xE0 + number: f"APP{number}" for number in range(16)},
    **_JPEG_TABLES,
    0xD8: "start",
    0xD9: "end",
    0xDC: "number of lines",
    0xDD: "restart interval",
    0xFE: "comment",
}


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
        section = "latents" if row["name"].startswith(("grid ", "slice ")) else "networks"
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
    """Marker segments (ITU-T T.81, annex B), fill bytes with the segment behind them."""
    found, position, scans = [], 0, 0
    try:
        for marker, start, _, position in jpeg_segments(data):
            section = "scan" if marker == 0xDA else "tables" if marker in _JPEG_TABLES else "header"
            scans += marker == 0xDA
            name = f"scan {scans}" if marker == 0xDA else _JPEG_NAMES.get(marker, "marker")
            found.append(Part(section, name, position - start))
    except ValueError as error:
        raise BitstreamError(f"this JPEG file is damaged: {error}") from None
    if position < len(data):
        found.append(Part("header", "behind the end", len(data) - position))
    return tuple(found)
