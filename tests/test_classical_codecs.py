"""The codecs everyone has, behind the interface of the learned ones."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import io
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.codecs.classical import CODECS, SUFFIXES, ClassicalCodec, _jpegxl_size
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.images import ImageError

HEIC = pytest.mark.skipif(
    importlib.util.find_spec("pillow_heif") is None, reason="the optional package pillow-heif is not installed"
)
ALL = [pytest.param(name, marks=HEIC) if name == "heic" else name for name in CODECS]
LOSSY = [name for name in ALL if name != "png"]


@functools.cache
def every_quality(codec: ClassicalCodec, picture: Tensor) -> list[bytes]:
    return [codec.encode(picture, quality=quality) for quality in range(1, 101)]


def test_names() -> None:
    assert list(CODECS) == ["jpeg", "jpeg-444", "png", "webp", "avif", "jpeg2000", "jpegxl", "heic"]
    assert all(codec.name == name for name, codec in CODECS.items())


@pytest.mark.parametrize("name", ALL)
def test_there_and_back(coffee: Tensor, name: str) -> None:
    codec = CODECS[name]
    data = codec.encode(coffee)
    decoded = codec.decode(data)
    assert isinstance(data, bytes) and decoded.shape == coffee.shape
    assert metrics.psnr(decoded, coffee) > (24 if name == "jpeg" else 25)
    assert data == codec.encode(coffee)
    if name == "jpegxl":  # Pillow has no reader for it
        assert "jpegxl_encode(effort=7," in codec.settings and "libjxl " in codec.settings
    else:
        assert torch.equal(decoded, images.load_bytes(data))  # an ordinary file
        assert f"format='{Image.open(io.BytesIO(data)).format}'" in codec.settings and "Pillow " in codec.settings


@settings(max_examples=20)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_png_is_lossless(height: int, width: int, seed: int) -> None:
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    decoded = CODECS["png"].decode(CODECS["png"].encode(picture))
    assert torch.equal(decoded, images.quantize_8bit(picture))


@pytest.mark.parametrize("name", LOSSY)
def test_quality_buys_fidelity_with_bytes(coffee: Tensor, name: str) -> None:
    files = [CODECS[name].encode(coffee, quality=quality) for quality in (10, 50, 90)]
    psnrs = [metrics.psnr(CODECS[name].decode(data), coffee) for data in files]
    assert len(files[0]) < len(files[1]) < len(files[2]) and psnrs[0] < psnrs[1] < psnrs[2]
    assert CODECS[name].encode(coffee) == CODECS[name].encode(coffee, quality=75)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-444", "webp"])
@pytest.mark.parametrize("bpp", [2.0, 3.3, 40.0])
def test_a_rate_takes_the_largest_quality_that_fits(coffee: Tensor, name: str, bpp: float) -> None:
    codec = CODECS[name]
    every = every_quality(codec, coffee)
    fitting = [data for data in every if metrics.bits_per_pixel(data, coffee) <= bpp]
    if fitting:
        assert codec.encode(coffee, bpp=bpp) == fitting[-1]
    else:
        with pytest.raises(CodecError, match="can't reach"):
            codec.encode(coffee, bpp=bpp)


def test_a_rate_for_jpeg2000_is_hit_closely(coffee: Tensor) -> None:
    for bpp in (1.0, 2.0, 4.0):
        assert 0.9 * bpp < metrics.bits_per_pixel(CODECS["jpeg2000"].encode(coffee, bpp=bpp), coffee) <= bpp


def test_bytes_of_jpeg2000_grow_with_quality(coffee: Tensor) -> None:
    sizes = [len(CODECS["jpeg2000"].encode(coffee, quality=quality)) for quality in range(101)]
    assert sizes == sorted(sizes) and sizes[-1] > 10 * sizes[0]


def test_quality_of_jpeg2000_is_a_psnr(chelsea: Tensor) -> None:
    codec = CODECS["jpeg2000"]
    for quality, expected in ((50, 30), (75, 40)):
        decoded = codec.decode(codec.encode(chelsea, quality=quality))
        assert metrics.psnr(decoded, chelsea) == pytest.approx(expected, abs=0.7)


def test_a_rate_for_jpegxl(chelsea: Tensor) -> None:
    for bpp in (0.5, 2.0):
        assert 0.9 * bpp < metrics.bits_per_pixel(CODECS["jpegxl"].encode(chelsea, bpp=bpp), chelsea) <= bpp


@pytest.mark.parametrize("height,width", [(1, 1), (1, 300), (5, 7), (64, 96), (64, 64), (40, 30), (90, 160), (600, 2)])
def test_the_size_in_the_header_of_jpegxl(height: int, width: int) -> None:
    picture = torch.linspace(0, 1, 3 * height * width).reshape(3, height, width)
    data = CODECS["jpegxl"].encode(picture)
    assert _jpegxl_size(data) == (height, width)
    assert CODECS["jpegxl"].decode(data).shape == picture.shape


def test_a_hostile_size_of_jpegxl_is_refused_before_decoding(coffee: Tensor) -> None:
    data = CODECS["jpegxl"].encode(coffee)
    bits, count = 0, 0
    for value, length in [(0, 1), (3, 2), (2**30 - 1, 30), (1, 3), (1, 1)]:  # 2^30 squared, default metadata
        bits, count = bits | value << count, count + length
    hostile = b"\xff\x0a" + bits.to_bytes(5, "little") + data[8:]
    assert _jpegxl_size(hostile) == (2**30, 2**30)
    with pytest.raises(BitstreamError, match="more than 134,217,728 pixels"):
        CODECS["jpegxl"].decode(hostile)


def test_a_hostile_size_of_jpeg2000(coffee: Tensor) -> None:
    data = bytearray(CODECS["jpeg2000"].encode(coffee))
    box = data.index(b"ihdr") + 4
    data[box : box + 8] = (10**5).to_bytes(4, "big") * 2
    with pytest.raises(BitstreamError, match="more than 134,217,728 pixels"):
        CODECS["jpeg2000"].decode(bytes(data))


def test_other_files_of_jpegxl_are_refused(coffee: Tensor) -> None:
    import imagecodecs

    pixels = images.to_uint8(coffee)
    for options, message in (({"usecontainer": True}, "no bare"), ({"lossless": True}, "not 8-bit sRGB alone")):
        data = bytes(imagecodecs.jpegxl_encode(pixels, **options))
        with pytest.raises(BitstreamError, match=message):
            CODECS["jpegxl"].decode(data)


@pytest.mark.parametrize("name", ["jpeg2000", "jpegxl"])
def test_no_beginning_of_a_file_is_a_file(coffee: Tensor, name: str) -> None:
    data = CODECS[name].encode(coffee, quality=30)
    for length in range(len(data)):
        with pytest.raises(BitstreamError):
            CODECS[name].decode(data[:length])


def test_heic_without_its_package(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    for act in (lambda: CODECS["heic"].encode(coffee), lambda: CODECS["heic"].decode(b"hello")):
        with pytest.raises(CodecError, match=r"pip install 'inr-compression-course\[heic\]' .*GPL"):
            act()
    assert "format='HEIF'" in CODECS["heic"].settings


def test_import_takes_no_codec_along() -> None:
    code = "import sys, tutorial_lib.codecs.classical; print({'imagecodecs', 'pillow_heif'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_suffixes_name_codecs(coffee: Tensor) -> None:
    assert set(SUFFIXES.values()) == set(CODECS) - {"jpeg-444", "png"}
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    # one decoder for both samplings of colour
    assert CODECS[SUFFIXES[".jpeg"]].decode(CODECS["jpeg-444"].encode(coffee)).shape == coffee.shape


def test_a_rate_for_avif(coffee: Tensor) -> None:
    codec = CODECS["avif"]
    low, high = (codec.encode(coffee, bpp=bpp) for bpp in (1.5, 3))
    assert metrics.bits_per_pixel(low, coffee) <= 1.5 < metrics.bits_per_pixel(high, coffee) <= 3


@pytest.mark.parametrize("name", ALL)
def test_a_rate_out_of_reach(coffee: Tensor, name: str) -> None:
    with pytest.raises(CodecError, match=rf"{name} can't reach 0.01 bpp .* \d\.\d\d\d bpp|{name} .* 1\d\.\d+ bpp"):
        CODECS[name].encode(coffee, bpp=0.01)


def test_png_at_a_rate(coffee: Tensor) -> None:
    assert CODECS["png"].encode(coffee, bpp=24) == CODECS["png"].encode(coffee)
    with pytest.raises(CodecError, match="lossless"):
        CODECS["png"].encode(coffee, quality=90)


def test_subsampling_is_what_the_name_says(coffee: Tensor) -> None:
    from PIL import JpegImagePlugin

    for name, expected in (("jpeg", 2), ("jpeg-444", 0)):  # Pillow's codes for 4:2:0 and 4:4:4
        image = Image.open(io.BytesIO(CODECS[name].encode(coffee)))
        assert JpegImagePlugin.get_sampling(image) == expected and "progressive" not in image.info
    red = torch.zeros(3, 32, 32)
    red[0, :, ::2] = 1  # stripes of colour as fine as pixels
    full = CODECS["avif"]
    half = dataclasses.replace(full, options={**full.options, "subsampling": "4:2:0"})
    assert metrics.psnr(full.decode(full.encode(red)), red) > metrics.psnr(half.decode(half.encode(red)), red) + 3


@pytest.mark.parametrize("name", ALL)
def test_decoding_at_another_size(coffee: Tensor, name: str) -> None:
    data = CODECS[name].encode(coffee)
    decoded = CODECS[name].decode(data, size=(100, 120))
    assert torch.equal(decoded, images.resize(CODECS[name].decode(data), (100, 120)))
    for size in [(0, 10), (10**6, 10**6), (1.5, 2)]:
        with pytest.raises(ImageError):
            CODECS[name].decode(data, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
def test_bad_bytes(coffee: Tensor, name: str) -> None:
    data = CODECS[name].encode(coffee)
    other = CODECS["png" if name != "png" else "webp"].encode(coffee)
    for bad in (b"", b"hello", other, *(data[: len(data) * part // 10] for part in range(1, 10))):
        with pytest.raises(BitstreamError, match=f"this {name} file"):
            CODECS[name].decode(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 50, "bpp": 1.0}, "not both"),
        ({"quality": 101}, "to 100, not 101"),
        ({"quality": -1}, "goes from"),
        ({"quality": 50.5}, "whole number"),
        ({"bpp": 0.0}, "above 0"),
        ({"bpp": float("nan")}, "above 0"),
    ],
)
@pytest.mark.parametrize("name", LOSSY)
def test_what_encode_refuses(coffee: Tensor, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        CODECS[name].encode(coffee, **options)


def test_what_the_codecs_refuse(coffee: Tensor) -> None:
    for name in set(CODECS) - {"heic"}:
        with pytest.raises(ImageError):
            CODECS[name].encode(coffee[:2])
    with pytest.raises(CodecError, match="1x20000"):
        CODECS["webp"].encode(torch.zeros(3, 1, 20_000))


@HEIC
def test_a_hostile_size_of_heic(chelsea: Tensor) -> None:
    data = bytearray(CODECS["heic"].encode(chelsea))  # whole blocks: no box that crops
    box = data.index(b"ispe") + 8
    data[box : box + 8] = (30_000).to_bytes(4, "big") * 2
    with pytest.raises(BitstreamError, match="more than 134,217,728 pixels"):
        CODECS["heic"].decode(bytes(data))


@HEIC
def test_heic_beats_jpeg(kodak3: Tensor) -> None:
    jpeg, heic = (CODECS[name].decode(CODECS[name].encode(kodak3, bpp=1.5)) for name in ("jpeg", "heic"))
    assert metrics.psnr(heic, kodak3) > metrics.psnr(jpeg, kodak3) + 3


@HEIC
def test_what_heic_refuses(coffee: Tensor) -> None:
    with pytest.raises(ImageError):
        CODECS["heic"].encode(coffee[:2])
    with pytest.raises(CodecError, match="1x20000"):
        CODECS["heic"].encode(torch.zeros(3, 1, 20_000))


def test_better_codecs_are_better(kodak3: Tensor) -> None:
    psnrs = []
    for name in ("jpeg", "jpegxl", "jpeg2000", "avif"):  # on a picture this small WebP ties with JPEG 2000
        data = CODECS[name].encode(kodak3, bpp=1.0)
        assert 0.9 < metrics.bits_per_pixel(data, kodak3) <= 1
        psnrs.append(metrics.psnr(CODECS[name].decode(data), kodak3))
    assert 29.5 < psnrs[0] < psnrs[1] < psnrs[2] < psnrs[3] < 37
