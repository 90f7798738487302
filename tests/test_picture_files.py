"""People's picture files: colours, what stands beside the pixels, and what is said of a file that can't be read."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import (
    box,
    cmyk_profile,
    exif,
    grown,
    linear_grey_profile,
    linear_rgb_profile,
    png,
    png_chunk,
    srgb_of_linear,
    swapped_profile,
    tiff,
)
from PIL import Image, ImageCms, TiffImagePlugin

from tutorial_lib import images
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.images import ImageError, files

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (8, 16, 3), dtype=np.uint8)
LINEAR = {b"gAMA": struct.pack(">I", 100_000)}


def levels(data: bytes) -> np.ndarray:
    return images.to_uint8(images.load_bytes(data)).astype(int)


def saved(format_: str, pixels: np.ndarray = RGB, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **options)
    return buffer.getvalue()


def iccp(profile: bytes) -> bytes:
    return b"a name\0\0" + zlib.compress(profile)


def refused(data: bytes, message: str) -> str:
    with pytest.raises(ImageError, match=message) as caught:
        images.load_bytes(data, "the file")
    text = str(caught.value)
    assert text.startswith("the file ") and "\n" not in text and text.endswith(".")
    return text


# ---------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize(
    ("depth", "colour", "row", "more"),
    [
        (8, 2, bytes([55, 55, 55]), {}),
        (8, 0, bytes([55]), {}),
        (8, 0, bytes([55]), {b"tRNS": b"\0\0"}),
        (8, 3, b"\0", {b"PLTE": bytes([55, 55, 55])}),
        (8, 4, bytes([55, 255]), {}),
        (8, 6, bytes([55, 55, 55, 255]), {}),
        (16, 0, bytes([55, 55]), {}),
        (16, 2, bytes([55] * 6), {}),
        (16, 4, bytes([55, 55, 255, 255]), {}),
        (16, 6, bytes([55] * 6 + [255] * 2), {}),
    ],
)
def test_gamma_reaches_every_kind_of_png(depth: int, colour: int, row: bytes, more: dict[bytes, bytes]) -> None:
    assert levels(png(1, 1, depth, colour, row, LINEAR | more)).tolist() == [[[128] * 3]]
    assert levels(png(1, 1, depth, colour, row, more)).tolist() == [[[55] * 3]]
    if colour in (0, 4):
        profile = {b"iCCP": iccp(linear_grey_profile())}
        assert levels(png(1, 1, depth, colour, row, profile | more)).tolist() == [[[128] * 3]]


P3 = bytes([12, 13, 0, 1])
P3_POINTS = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_POINTS = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "red"),
    [
        ({b"cICP": P3}, 219),
        ({b"cHRM": P3_POINTS}, 219),
        ({b"cHRM": P3_POINTS, b"gAMA": struct.pack(">I", 45455)}, 219),
        ({b"cHRM": SRGB_POINTS, b"gAMA": struct.pack(">I", 45455)}, 200),
        ({b"gAMA": struct.pack(">I", 45000)}, 200),  # sRGB, by whoever rounds 1/2.2
        ({b"gAMA": struct.pack(">I", 55556)}, 210),  # 1/1.8, as old Macintoshes had it
        ({b"cICP": bytes([1, 8, 0, 1])}, 229),
        ({b"cICP": bytes([9, 1, 0, 1])}, 250),  # the camera's curve of BT.709: shown as sRGB's
        # the order of precedence: cICP, iCCP, sRGB, gAMA and cHRM
        ({b"cICP": bytes([1, 13, 0, 1]), b"iCCP": iccp(linear_rgb_profile())}, 200),
        ({b"iCCP": iccp(linear_rgb_profile()), b"sRGB": b"\0"}, 229),
        ({b"sRGB": b"\0", b"cHRM": P3_POINTS} | LINEAR, 200),
        # what can't be used lets the next one speak
        ({b"cICP": bytes([3, 13, 0, 1])} | LINEAR, 229),
        ({b"cICP": bytes([2, 2, 0, 1])} | LINEAR, 229),
        ({b"cICP": bytes([12, 13, 0, 0])} | LINEAR, 229),  # narrow range
        ({b"cICP": bytes([12, 13, 1, 1])} | LINEAR, 229),  # YCbCr
        ({b"iCCP": iccp(b"nonsense")} | LINEAR, 229),
        ({b"iCCP": b"no compression\0"} | LINEAR, 229),
        ({b"iCCP": iccp(linear_grey_profile())} | LINEAR, 229),
        ({b"gAMA": bytes(4)}, 200),
        ({b"gAMA": bytes(3), b"cICP": bytes(3)}, 200),
        ({b"cHRM": bytes(32)}, 200),
        ({b"cHRM": struct.pack(">8I", *[30000] * 8)} | LINEAR, 200),  # no triangle: the pair says nothing
        ({b"cHRM": b"\xff" * 32}, 200),
    ],
)
def test_colour_chunks_of_png(chunks: dict[bytes, bytes], red: int) -> None:
    read = levels(png(1, 1, 8, 2, bytes([200, 0, 0]), chunks))[0, 0]
    assert read[0] == pytest.approx(red, abs=1) and read[1:].max() <= 1


def test_a_profile_counts_by_what_it_holds() -> None:
    linear = linear_rgb_profile()
    assert "sRGB" in (ImageCms.ImageCmsProfile(io.BytesIO(linear)).profile.profile_description or "")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other_name = srgb.replace("sRGB".encode("utf-16-be"), "Kodk".encode("utf-16-be"))
    for format_, options in [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]:
        assert (levels(saved(format_, icc_profile=other_name, **options)) == RGB).all()
        read = levels(saved(format_, icc_profile=linear, **options))
        assert np.abs(read - 255 * srgb_of_linear(RGB / 255)).max() <= 1
    flat = np.full((8, 8, 3), 55, np.uint8)
    long = linear + bytes(200_000)  # several segments
    assert np.abs(levels(saved("JPEG", flat, icc_profile=long)) - 128).max() <= 1
    assert np.abs(levels(saved("AVIF", flat, icc_profile=linear, quality=100)) - 128).max() <= 2


def test_a_profile_of_inks() -> None:
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], np.uint8)
    image, buffer = Image.fromarray(ink, "CMYK"), io.BytesIO()
    image.save(buffer, "TIFF", icc_profile=cmyk_profile())
    assert np.abs(levels(buffer.getvalue())[0] - [[255] * 3, [119] * 3, [119] * 3, [0] * 3]).max() <= 2


def test_dark_grey_is_exact() -> None:
    deep = np.array([[0, 3, 10, 100, 1000, 10_000, 65535]], np.uint16)
    read = images.load_bytes(png(7, 1, 16, 0, deep.astype(">u2").tobytes(), LINEAR)).numpy()
    np.testing.assert_allclose(read, np.broadcast_to(srgb_of_linear(deep / 65535), (3, 1, 7)), atol=3e-5)
    ramp = np.arange(256, dtype=np.uint8)[None]
    read = levels(saved("PNG", ramp, icc_profile=linear_grey_profile()))
    assert np.abs(read[..., 0] - 255 * srgb_of_linear(ramp / 255)).max() <= 0.6


def nclx(primaries: int, transfer: int, **options: Any) -> bytes:
    data = bytearray(saved("AVIF", np.full((8, 16, 3), (200, 60, 60), np.uint8), quality=100, subsampling="4:4:4", **options))
    struct.pack_into(">HH", data, data.index(b"colrnclx") + 8, primaries, transfer)
    return bytes(data)


def test_code_points_of_avif() -> None:
    for primaries, transfer in [(1, 13), (1, 1), (2, 2), (2, 6)]:
        assert np.abs(levels(nclx(primaries, transfer)) - (200, 60, 60)).max() <= 2
    assert np.abs(levels(nclx(12, 13)) - (217, 42, 52)).max() <= 3  # by the matrix of CSS Color 4
    assert np.abs(levels(nclx(1, 8)) - (229, 133, 133)).max() <= 3
    assert np.abs(levels(nclx(12, 16, icc_profile=swapped_profile()))[..., 1] - 200).max() <= 3  # a profile counts before


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused(transfer: int) -> None:
    numbers = [(9, transfer, 0, 1), (9, transfer, 0, 0), (2, transfer, 0, 1), (200, transfer, 9, 1)]
    pictures = [png(1, 1, 16, 2, bytes(6), {b"cICP": bytes(code)} | LINEAR) for code in numbers]
    for data in (nclx(9, transfer), *pictures):
        assert {16: "PQ", 18: "HLG"}[transfer] in refused(data, "HDR")


@pytest.mark.parametrize("turn", [1, 6])
def test_clean_aperture(turn: int) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[2:10, 4:20] = 255
    options = {"exif": exif(turn)} if turn > 1 else {}
    plain = saved("AVIF", pixels, quality=100, **options)
    index = 5 if turn == 1 else 6  # Pillow writes the turn as a property, too

    def cut(*numbers: int) -> np.ndarray:
        data = grown(plain, (b"meta", b"iprp", b"ipco"), box(b"clap", struct.pack(">IIIIiIiI", *numbers)))
        data = bytearray(grown(data, (b"meta", b"iprp", b"ipma"), bytes([0x80 | index])))
        data[data.index(b"ipma") + 14] += 1
        extent = data.index(b"iloc") + 18
        for place in range(extent, extent + (14 if options else 1), 14):
            struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + 41)
        return levels(bytes(data))

    shown = cut(16, 1, 8, 1, -4, 1, -2, 1)
    assert shown.shape == ((8, 16, 3) if turn == 1 else (16, 8, 3)) and shown.min() > 240
    assert (cut(32, 2, 16, 2, -8, 2, -4, 2) == shown).all()
    whole = levels(plain)
    assert whole.min() < 20
    for numbers in [(16, 1, 8, 1, 40, 1, 0, 1), (15, 1, 8, 1, 0, 1, 0, 1), (16, 0, 8, 1, 0, 1, 0, 1), (0, 1, 8, 1, 0, 1, 0, 1)]:
        assert (cut(*numbers) == whole).all()


def test_profile_of_jpeg_2000() -> None:
    data = saved("JPEG2000")
    at = data.index(b"colr") - 4
    colr = box(b"colr", b"\2\0\0" + swapped_profile())
    size = struct.pack(">I", struct.unpack_from(">I", data, 32)[0] - 15 + len(colr))
    assert data[36:40] == b"jp2h"
    read = levels(data[:32] + size + data[36:at] + colr + data[at + 15 :])
    assert np.abs(read - levels(data)[..., [1, 0, 2]]).max() <= 1


# ---------------------------------------------------------------------------------------------- beside the pixels

BESIDE = [
    png_chunk(kind, content)
    for kind in (
        b"iCCP",
        b"zTXt",
        b"iTXt",
        b"tEXt",
        b"cHRM",
        b"gAMA",
        b"sRGB",
        b"pHYs",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"eXIf",
        b"tIME",
    )
    for content in (b"", b"\xff", b"key\0\7junk", b"\xff" * 40)
] + [
    png_chunk(b"iCCP", iccp(bytes(2**21))),
    png_chunk(b"zTXt", iccp(bytes(2**21))),
    png_chunk(b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(2**21))),
    png_chunk(b"tEXt", b"key\0" + bytes(2**21)),
    png_chunk(b"abCd", b"private"),
    png_chunk(b"tRNS", b"\0"),
    png_chunk(b"tEXt", b"a\0wrong checksum")[:-1] + b"\0",
]


@pytest.mark.parametrize("chunk", BESIDE, ids=range(len(BESIDE)))
def test_chunks_never_refuse_a_png(chunk: bytes) -> None:
    data = saved("PNG")
    for place in (33, len(data) - 12):  # behind IHDR, behind the pixels
        assert (levels(data[:place] + chunk + data[place:]) == RGB).all()
    assert (levels(data[:-12] + chunk[:-2]) == RGB).all()  # cut off behind the pixels


def test_transparency_of_the_wrong_length() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=8)
    data = buffer.getvalue()
    at = data.index(b"IDAT") - 4
    assert levels(data[:at] + png_chunk(b"tRNS", b"\0") + data[at:])[0].tolist() == [[255] * 3, [40, 50, 60]]
    for content in (b"", bytes(1000)):
        assert levels(data[:at] + png_chunk(b"tRNS", content) + data[at:])[0].tolist() == [[10, 20, 30], [40, 50, 60]]


@pytest.mark.parametrize(
    "content",
    [
        b"JFIF\0",
        b"Adobe",
        b"ICC_PROFILE\0",
        b"ICC_PROFILE\0\1\2x",
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff",
        b"MPF\0II*\0\xff\xff\xff\xff",
    ]
    + [b"Photoshop 3.0\x008BIM\3\xed\0\0\0\0\0\1\0", b"http://ns.adobe.com/xap/1.0/\0<", b"FPXR\0", b""],
)
def test_segments_never_refuse_a_jpeg(content: bytes) -> None:
    data = saved("JPEG", exif=exif(6))
    plain = levels(data)
    assert plain.shape == (16, 8, 3)
    for marker in (0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xFE):
        segment = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content
        start = data.index(b"\xff\xdb")  # behind the good ones
        assert (levels(data[:start] + segment + data[start:]) == plain).all()


BROKEN_EXIF = [
    exif(6, (0x9000, 11, 1, b"\xff" * 4)),
    exif(6, (0x8769, 4, 1, b"\xff" * 4), (0x8825, 2, 2**31, b"\xff" * 4)),
    exif(6, (0x8769, 77, 1, b"\xff" * 4)),
    exif(6, order=">")[:-4].replace(b"\0\1\1\x12", b"\xff\xff\1\x12"),
]


@pytest.mark.parametrize("block", BROKEN_EXIF, ids=range(len(BROKEN_EXIF)))
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_orientation_in_broken_exif(format_: str, block: bytes) -> None:
    good = exif(6, *[(0x9000 + i, 7, 4, b"mark") for i in range(5)])
    data = saved(format_, exif=good)
    start = data.rindex(b"II*\0")  # Pillow takes the turn of an AVIF out of this block
    data = data[:start] + block[6:].ljust(60, b"\0") + data[start + 60 :]
    if format_ == "PNG":
        at = data.index(b"eXIf")
        end = at + 4 + len(good) - 6  # the checksum
        data = data[:end] + struct.pack(">I", zlib.crc32(data[at:end])) + data[end + 4 :]
    assert levels(data).shape == (16, 8, 3)


def test_orientation_in_xmp() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert levels(saved("JPEG", xmp=xmp)).shape == (16, 8, 3)
    assert levels(saved("WEBP", xmp=xmp)).shape == (16, 8, 3)
    assert levels(saved("JPEG", xmp=xmp, exif=exif(1))).shape == (8, 16, 3)
    data = png(3, 1, 8, 0, bytes(3), {b"iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + xmp})
    assert levels(data[:33] + png_chunk(b"iTXt", b"another") + data[33:]).shape == (3, 1, 3)


@pytest.mark.parametrize("digits", [exif(6).hex().encode(), b"no digits", exif(6).hex().encode()[:-1]])
def test_orientation_as_imagemagick_6_wrote_it(digits: bytes) -> None:
    text = b"\nexif\n    %d\n" % (len(digits) // 2) + b"\n".join([digits[:36], digits[36:]])
    for kind, content in [(b"tEXt", text), (b"zTXt", b"\0" + zlib.compress(text))]:
        made = png(3, 1, 8, 0, bytes(3), {kind: b"Raw profile type exif\0" + content})
        assert levels(made).shape == ((3, 1, 3) if digits == exif(6).hex().encode() else (1, 3, 3))


@pytest.mark.parametrize("order", "<>")
def test_tags_never_refuse_a_tiff(order: str) -> None:
    planes = [RGB.tobytes()]
    more: dict[str, Any] = {"t277": 3, "t258": ("H", [8, 8, 8]), "t274": 6}
    plain = levels(tiff(16, 8, planes, 8, 2, order=order, **more))
    assert (plain == np.rot90(RGB, -1)).all()
    for tag in ("t270", "t282", "t34665", "t34853", "t33432", "t34377", "t700", "t34675", "t50000"):
        for value in (("I", [2**32 - 1]), ("f", [float("nan")]), ("H", [7]), ("B", [255] * 9)):
            assert (levels(tiff(16, 8, planes, 8, 2, order=order, **more | {tag: value})) == plain).all(), (tag, value)
    swapped = levels(tiff(16, 8, planes, 8, 2, order=order, **more | {"t34675": ("B", list(swapped_profile()))}))
    assert np.abs(swapped - plain[..., [1, 0, 2]]).max() <= 1


def test_a_gif_smaller_than_its_screen() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    buffer = io.BytesIO()
    image.save(buffer, "GIF")
    data = bytearray(buffer.getvalue())
    struct.pack_into("<HH", data, 6, 5, 4)  # the screen
    struct.pack_into("<HH", data, data.index(b",\0\0\0\0\2\0\2\0") + 1, 1, 2)  # where the frame lies
    expected = np.full((4, 5, 3), 255)
    expected[2:4, 1:3] = np.array([[10, 20, 30], [200, 100, 0]])[np.asarray(image)]
    assert (levels(bytes(data)) == expected).all()


def test_anatomy_of_a_jpeg_with_fill_bytes() -> None:
    data = saved("JPEG", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), restart_marker_rows=1)
    filled = data[:2] + b"\xff" * 3 + data[2:-2] + b"\xff" + data[-2:]
    assert b"\xff\xd1" in data
    filled = filled.replace(b"\xff\xd1", b"\xff\xff\xff\xd1").replace(b"\xff\xdb\0C", b"\xff\xff\xdb\0C")
    names = [part.name for part in parts(data)]
    assert [part.name for part in parts(filled)] == names
    assert sum(part.bytes for part in parts(filled)) == len(filled)
    assert (levels(filled) == levels(data)).all()
    behind = data.index(b"\xff\xdb")
    stray = data[:behind] + b"stray \xff\0" + data[behind:]
    assert [part.name for part in parts(stray)] == names and (levels(stray) == levels(data)).all()
    assert parts(filled)[1].bytes == parts(data)[1].bytes + 3


# ---------------------------------------------------------------------------------------------- what is said


def test_kinds_that_are_not_supported() -> None:
    bmp = bytearray(saved("BMP"))
    for place, value in [(30, 4), (28, 7), (14, 50)]:  # a JPEG inside; bits; size of the header
        changed = bytearray(bmp)
        changed[place] = value
        refused(bytes(changed), "a kind of BMP file that is not supported")
    for more in ({"t262": 32803}, {"t259": 34892}, {"t258": 9}, {"t277": 2, "t258": ("H", [16, 16])}):
        refused(tiff(16, 8, [bytes(999)], 8, 1, **more), "a kind of TIFF file that is not supported.*convert it")
    refused(tiff(2, 1, [bytes(2)] * 2, 8, 1, t277=2, t258=("H", [8, 8]), t284=2, t338=2), "TIFF file that is not supported")
    jpeg = bytearray(saved("JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 4] = 12
    refused(bytes(jpeg), "a kind of JPEG file that is not supported")


def test_texts_are_no_damaged_pictures() -> None:
    for text in (b"Python is a language", b"P6nothing", b"GIF is a format", b"8BPS are bits"):
        assert "damaged or" not in refused(text * 20, "no picture"), text


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("channels", [3, 4])
def test_planes_of_16_bits(order: str, channels: int) -> None:
    deep = RNG.integers(0, 65536, (channels, 5, 7), dtype=np.uint16)
    deep[3:] = 65535
    more = {"t277": channels, "t258": ("H", [16] * channels), "t284": 2} | ({"t338": 2} if channels == 4 else {})
    planes = [plane.astype(order + "u2").tobytes() for plane in deep]
    assert np.abs(levels(tiff(7, 5, planes, 16, 2, order=order, **more)) - deep[:3].transpose(1, 2, 0) // 256).max() <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [1, 8])
def test_deep_grey_in_either_byte_order(order: str, compression: int) -> None:
    for kind, white, sample_format in (("f4", 1.0, 3), ("i4", 65535, 2), ("u2", 65535, 1)):
        samples = (np.linspace(0, 1, 15) * white).reshape(3, 5).astype(order + kind)
        data = zlib.compress(samples.tobytes()) if compression == 8 else samples.tobytes()
        made = tiff(5, 3, [data], 8 * samples.itemsize, 1, order=order, t259=compression, t339=sample_format)
        np.testing.assert_allclose(images.load_bytes(made)[0], samples / white, atol=1e-6, err_msg=kind)


def test_libtiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved("TIFF", np.zeros((64, 64, 3), np.uint8), compression="tiff_deflate"))
    data[8:40] = bytes(32)
    refused(bytes(data), "damaged")
    os.write(2, b"still there")
    assert capfd.readouterr().err == "still there"


def test_a_compression_that_libtiff_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        os.write(2, b"a.tif: WEBP compression support is not configured.\n")
        raise OSError(-2)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)
    refused(saved("TIFF"), "a kind of TIFF file that is not supported .WEBP compression support is not configured")


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (png(100_000, 100_000, 8, 2, b"", {}), saved("BMP")[:18] + struct.pack("<II", 2**30, 2**30) + saved("BMP")[26:]):
        refused(data, "too large: more than 134,217,728 pixels")
    assert "too large for the memory" in str(files._refusal("a", "PNG", MemoryError()))
    monkeypatch.setattr(files, "MAX_PIXELS", 100)
    icon = io.BytesIO()
    Image.fromarray(RGB).save(icon, "ICO", sizes=[(16, 8)])
    data = bytearray(icon.getvalue())
    data[6:8] = 2, 2  # the table's size: what is inside is larger
    refused(bytes(data), "too large")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on Windows")
def test_a_pipe_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")

    def send(data: bytes) -> None:
        with open(tmp_path / "pipe", "wb") as pipe:
            try:
                pipe.write(data)
            except BrokenPipeError:
                pass

    for format_ in ("PNG", "TIFF", "GIF"):
        writer = threading.Thread(target=send, args=(saved(format_),))
        writer.start()
        assert images.load(tmp_path / "pipe").shape == (3, 8, 16)
        writer.join()
    monkeypatch.setattr(files, "_MAX_BYTES", 2**16)
    writer = threading.Thread(target=send, args=(bytes(2**20),))
    writer.start()
    with pytest.raises(ImageError, match="pipe is too large: more than 65,536 bytes"):
        images.load(tmp_path / "pipe")
    writer.join()


def test_a_reader_that_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    factory, _ = Image.OPEN["WEBP"]
    monkeypatch.setitem(
        Image.OPEN, "WEBP", (factory, lambda start: "WEBP support not installed" if start[:4] == b"RIFF" else False)
    )
    refused(saved("WEBP"), "a kind of WEBP file that is not supported")
