"""What samples mean: a file's claims about its colours, and the way to sRGB.

Every claim becomes an ICC profile, and LittleCMS converts, with perceptual intent. A claim counts by what it does, not by its
name: one that moves no sample by more than a level says sRGB, and the samples stay as they are.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from tutorial_lib.images.arrays import ImageError

Claim = bytes | tuple[tuple[float, ...], tuple[float, ...] | str]
"""An ICC profile; or x and y of white, red, green and blue, and the curve from sample to light: g, or g, a, b, c, d
(ICC.1:2022, 10.18), or the name of one for HDR."""

_GREY = ("L", "I;16")
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D65, _DCI = (0.3127, 0.3290), (0.314, 0.351)
_POINTS = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_POINTS |= {2: _POINTS[1], 7: _POINTS[6]}  # 2: unspecified
_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# The curves of video cameras (1, 6, 11, 14, 15) are shown with sRGB's, as Chromium (ui/gfx/color_space.cc) and most players do.
_CURVES = dict.fromkeys((1, 2, 6, 11, 13, 14, 15), _SRGB) | {4: (2.2,), 5: (2.8,), 8: (1.0,), 16: "PQ", 18: "HLG"}


def code_points(primaries: int, transfer: int, matrix: int = 0, full_range: int = 1) -> list[Claim]:
    """What the numbers of ITU-T H.273 (tables 2 to 4) claim: nothing where unknown, unspecified, or of no full-range R, G, B.

    HDR stays HDR in any of them.
    """
    curve, points = _CURVES.get(transfer), _POINTS.get(primaries, _POINTS[1] if transfer in (16, 18) else None)
    plain = (matrix, full_range) == (0, 1) and (primaries, transfer) != (2, 2)
    return [(points, curve)] if points and curve and (plain or isinstance(curve, str)) else []


def measured(gamma: float | None, points: tuple[float, ...] | None) -> Claim:
    """What PNG's gAMA (the exponent from light to sample) and cHRM (white, red, green, blue) claim; either may be None: sRGB's.

    A gamma of 1/2.2, which goes along with an sRGB chunk, is sRGB's curve: within 5 %, as in libpng.
    """
    return points or _POINTS[1], (1 / gamma,) if gamma and abs(2.2 * gamma - 1) > 0.05 else _SRGB


def to_srgb(image: Image.Image, claims: Iterable[Claim], name: str) -> Image.Image:
    """An image as sRGB, by the first claim that can be used; where there is none, its samples are sRGB.

    A claim that is damaged, or for another kind of samples, is passed over, as viewers do.

    Args:
        image: mode L, RGB, CMYK or LAB; or I;16, grey from 0 to 65535.
        claims: the strongest first.
        name: what the error message calls the file.

    Returns:
        mode RGB; of I;16 again I;16, and the same object where its samples are sRGB.

    Raises:
        ImageError: HDR (ITU-R BT.2100), which has no one way onto other screens: every maker has a tone curve of its own.
    """
    for claim in claims:
        if isinstance(claim, tuple) and isinstance(claim[1], str):
            raise ImageError(f"{name} is an HDR picture ({claim[1]}): export it with standard range (SDR) first.")
        if claim == (_POINTS[1], _SRGB):
            break
        try:
            transform = _transform(claim if isinstance(claim, bytes) else _profile(*claim, image.mode in _GREY), image.mode)
            if image.mode != "CMYK" and _says_srgb(transform, image.mode):
                break
            return transform.apply(image)
        except Exception:  # LittleCMS, or a Pillow without it; numbers that make no colours
            continue
    return image if image.mode == "I;16" else image.convert("RGB")


def _transform(profile: bytes, mode: str) -> Any:
    from PIL import ImageCms

    deep = mode == "I;16"
    target = io.BytesIO(_profile(_POINTS[1], _SRGB, grey=True)) if deep else ImageCms.createProfile("sRGB")
    # A grey curve would be read from a table too coarse for its dark end: 10 levels wrong where samples are linear in light.
    flags = ImageCms.Flags.NOOPTIMIZE if mode in _GREY else ImageCms.Flags.NONE
    shown = mode if deep else "RGB"
    return ImageCms.buildTransform(io.BytesIO(profile), target, mode, shown, ImageCms.Intent.PERCEPTUAL, flags)


def _says_srgb(transform: Any, mode: str) -> bool:
    """Whether a conversion moves no sample by more than a level, of a ramp or a cube of colours."""
    ramp = np.arange(256, dtype=np.uint16 if mode == "I;16" else np.uint8)[None] * (257 if mode == "I;16" else 1)
    cube = np.stack(np.meshgrid(*[np.arange(0, 256, 17, dtype=np.uint8)] * 3), -1).reshape(16, -1, 3)
    probe = Image.fromarray(cube if mode == "RGB" else ramp)
    moved = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert(transform.output_mode))
    return bool(np.abs(moved).max() <= (257 if mode == "I;16" else 1))


def _profile(points: tuple[float, ...], curve: Any, grey: bool) -> bytes:
    """The claim of these numbers as an ICC profile (ICC.1:2022, 7 and 10), its colours adapted to D50 as Bradford has it."""
    white, *primaries = (np.array([x, y, 1 - x - y]) / y for x, y in zip(points[::2], points[1::2], strict=True))
    columns = np.stack(primaries, 1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    columns = adaptation @ (columns * np.linalg.solve(columns, white))

    def numbers(head: bytes, values: Iterable[float]) -> bytes:
        return head + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    tone = numbers(b"para\0\0\0\0" + struct.pack(">HH", 3 if len(curve) == 5 else 0, 0), curve)
    tags = {b"kTRC": tone} if grey else {b"rTRC": tone, b"gTRC": tone, b"bTRC": tone}
    for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt"), (*columns.T, _D50), strict=True):
        tags[key] = numbers(b"XYZ \0\0\0\0", column)
    position, table = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags))
    for key, content in tags.items():
        table += struct.pack(">4sII", key, position, len(content))
        position += len(content)
    space = b"GRAY" if grey else b"RGB "
    head = struct.pack(">I4xI4s4s4s12x4s28x", position, 0x04200000, b"mntr", space, b"XYZ ", b"acsp")
    return numbers(head, _D50).ljust(128, b"\0") + table + b"".join(tags.values())
