"""Picture files and ICC profiles written by hand, of the kinds that Pillow reads but can't write."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import ImageCms


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, chunks: dict[bytes, bytes]) -> bytes:
    """A PNG; `rows` without filter bytes."""
    stride = len(rows) // max(height, 1)
    filtered = b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height))
    parts = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    parts += [png_chunk(kind, content) for kind, content in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, png_chunk(b"IDAT", zlib.compress(filtered)), png_chunk(b"IEND", b"")])


def tiff(
    width: int,
    height: int,
    planes: list[bytes],
    bits: int,
    photometric: int,
    *,
    order: str = "<",
    **more: int | tuple[str, list[int]],
) -> bytes:
    """A TIFF written by hand, one strip for each plane; `more` as ``t259=8``: a number, or a struct letter and numbers."""
    tags: dict[int, tuple[str, list[int]]] = {256: ("I", [width]), 257: ("I", [height]), 258: ("H", [bits]), 259: ("H", [1])}
    tags |= {262: ("H", [photometric]), 277: ("H", [1]), 278: ("I", [height]), 273: ("I", [0] * len(planes))}
    tags |= {279: ("I", [len(plane) for plane in planes])}
    tags |= {int(tag[1:]): ("H", [value]) if isinstance(value, int) else value for tag, value in more.items()}
    behind, table = 8 + 2 + 12 * len(tags) + 4, b""
    body = b""
    for tag, (letter, values) in sorted(tags.items()):
        content = struct.pack(f"{order}{len(values)}{letter}", *values)
        if tag == 273:
            at = len(table)
        if len(content) > 4:
            content, body = struct.pack(order + "I", behind + len(body)), body + content
        table += struct.pack(order + "HHI", tag, {"B": 7, "H": 3, "I": 4, "f": 11}[letter], len(values)) + content.ljust(4, b"\0")
    offsets = [behind + len(body) + sum(map(len, planes[:i])) for i in range(len(planes))]
    packed = struct.pack(f"{order}{len(offsets)}I", *offsets)
    if len(planes) == 1:
        table = table[: at + 8] + packed + table[at + 12 :]
    else:
        (where,) = struct.unpack_from(order + "I", table, at + 8)
        body = body[: where - behind] + packed + body[where - behind + len(packed) :]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + table + bytes(4) + body + b"".join(planes)


def swapped_profile() -> bytes:
    """An RGB profile in which red and green change places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def linear_grey_profile() -> bytes:
    """A grey profile whose samples are proportional to light (gamma 1)."""
    text = b"linear grey\0"
    white = struct.pack(">4sIiii", b"XYZ ", 0, 63190, 65536, 54061)
    tags = {
        b"desc": struct.pack(">4sII", b"desc", 0, len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": white,
        b"kTRC": struct.pack(">4sII", b"curv", 0, 0),
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, offset + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", offset + len(body), b"none", 0x02100000, b"mntr", b"GRAY", b"XYZ ")
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + white[8:]
    return header + bytes(128 - len(header)) + table + body


def srgb_of_linear(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear_rgb_profile() -> bytes:
    """An RGB profile with sRGB's primaries whose samples are proportional to light; its name holds "sRGB"."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        kind, where, _ = struct.unpack_from(">4sII", profile, entry)
        if kind in (b"rTRC", b"gTRC", b"bTRC"):
            struct.pack_into(">4sIHHI", profile, where, b"para", 0, 0, 0, 65536)
            struct.pack_into(">I", profile, entry + 8, 16)
    return bytes(profile)


def exif(turn: int, *entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """An EXIF block with an orientation, and entries (tag, kind, count, value) behind it."""
    table = struct.pack(order + "HHIHH", 0x0112, 3, 1, turn, 0)
    table += b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1 + len(entries))
    return b"Exif\0\0" + head + table + bytes(4)


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an ISO base media file."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def grown(data: bytes, path: tuple[bytes, ...], more: bytes) -> bytes:
    """An ISO base media file with bytes put at the end of the box that `path` leads to; what lies behind moves."""
    start, end, sizes = 0, len(data), []
    for wanted in path:
        while data[start + 4 : start + 8] != wanted:
            start += struct.unpack_from(">I", data, start)[0]
            assert start < end
        sizes.append(start)
        end = start + struct.unpack_from(">I", data, start)[0]
        start += 12 if wanted == b"meta" else 8
    new = bytearray(data[:end] + more + data[end:])
    for place in sizes:
        struct.pack_into(">I", new, place, struct.unpack_from(">I", new, place)[0] + len(more))
    return bytes(new)


def cmyk_profile() -> bytes:
    """A CMYK profile in which the first three inks are grey, L* = 50, alone or together, and the fourth is black."""
    corners = [
        (0 if k else 128 if c or m or y else 255, 128, 128) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)
    ]
    identity = struct.pack(">9I", *[65536 if i % 4 == 0 else 0 for i in range(9)])
    table = struct.pack(">4s4xBBBx", b"mft1", 4, 3, 2) + identity + bytes(range(256)) * 4
    table += b"".join(map(bytes, corners)) + bytes(range(256)) * 3
    table += bytes(-len(table) % 4)
    white = struct.pack(">4s4xiii", b"XYZ ", 63190, 65536, 54061)
    entries = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), 20)
    head = struct.pack(">I4xI4s4s4s12x4s28x", 176 + len(table), 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp") + white[8:]
    return head.ljust(128, b"\0") + entries + table + white
