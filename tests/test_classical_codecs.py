"""The codecs everyone has, behind the interface of the learned ones."""

from __future__ import annotations

import doctest
import functools
import io
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tutorial_lib import classical_codecs, images, metrics
from tutorial_lib.bitstream import BitstreamError
from tutorial_lib.classical_codecs import CODECS, Avif, ClassicalCodec, CodecError, Jpeg, WebP
from tutorial_lib.images import ImageError

LOSSY = [name for name in CODECS if name != "png"]
FAST = dict(CODECS) | {"avif": Avif(speed=9)}


@functools.cache
def every_quality(codec: ClassicalCodec, picture: Tensor) -> list[bytes]:
    return [codec.encode(picture, quality=quality) for quality in range(1, 101)]


def test_names() -> None:
    assert list(CODECS) == ["jpeg", "jpeg-444", "png", "webp", "avif"]
    assert all(codec.name == name for name, codec in CODECS.items())


@pytest.mark.parametrize("name", CODECS)
def test_there_and_back(coffee: Tensor, name: str) -> None:
    codec = CODECS[name]
    data = codec.encode(coffee)
    decoded = codec.decode(data)
    assert isinstance(data, bytes) and decoded.shape == coffee.shape
    assert metrics.psnr(decoded, coffee) > (24 if name == "jpeg" else 25)
    assert data == codec.encode(coffee)
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
    files = [FAST[name].encode(coffee, quality=quality) for quality in (10, 50, 90)]
    psnrs = [metrics.psnr(FAST[name].decode(data), coffee) for data in files]
    assert len(files[0]) < len(files[1]) < len(files[2]) and psnrs[0] < psnrs[1] < psnrs[2]
    assert FAST[name].encode(coffee) == FAST[name].encode(coffee, quality=75)


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


def test_a_rate_for_avif(coffee: Tensor) -> None:
    codec = Avif(speed=9)
    low, high = (codec.encode(coffee, bpp=bpp) for bpp in (1.5, 3))
    assert metrics.bits_per_pixel(low, coffee) <= 1.5 < metrics.bits_per_pixel(high, coffee) <= 3


@pytest.mark.parametrize("name", CODECS)
def test_a_rate_out_of_reach(coffee: Tensor, name: str) -> None:
    with pytest.raises(
        CodecError, match=rf"{name} can't reach 0.01 bpp .* \d\.\d\d\d bpp|{name} .* 1\d\.\d+ bpp"
    ):
        FAST[name].encode(coffee, bpp=0.01)


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
    full, half = (Avif(subsampling, speed=9) for subsampling in ("4:4:4", "4:2:0"))
    assert (
        metrics.psnr(full.decode(full.encode(red)), red)
        > metrics.psnr(half.decode(half.encode(red)), red) + 3
    )


@pytest.mark.parametrize("name", CODECS)
def test_decoding_at_another_size(coffee: Tensor, name: str) -> None:
    data = FAST[name].encode(coffee)
    decoded = CODECS[name].decode(data, size=(100, 120))
    assert torch.equal(decoded, images.resize(CODECS[name].decode(data), (100, 120)))
    for size in [(0, 10), (10**6, 10**6), (1.5, 2)]:
        with pytest.raises(ImageError):
            CODECS[name].decode(data, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CODECS)
def test_bad_bytes(coffee: Tensor, name: str) -> None:
    data = FAST[name].encode(coffee)
    other = FAST["png" if name != "png" else "webp"].encode(coffee)
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
    for name in CODECS:
        with pytest.raises(ImageError):
            CODECS[name].encode(coffee[:2])
    with pytest.raises(CodecError, match="1x20000"):
        CODECS["webp"].encode(torch.zeros(3, 1, 20_000))
    for make in (
        lambda: Jpeg("4:1:1"),
        lambda: Avif("4:0:0"),
        lambda: Avif(speed=11),
        lambda: WebP(method=7),
    ):
        with pytest.raises(CodecError):
            make()


def test_better_codecs_are_better(kodak3: Tensor) -> None:
    psnrs = []
    for name in ("jpeg", "webp", "avif"):
        data = CODECS[name].encode(kodak3, bpp=1.0)
        assert 0.9 < metrics.bits_per_pixel(data, kodak3) <= 1
        psnrs.append(metrics.psnr(CODECS[name].decode(data), kodak3))
    assert 29.5 < psnrs[0] < psnrs[1] < psnrs[2] < 37


def test_examples() -> None:
    result = doctest.testmod(classical_codecs)
    assert result.attempted > 3 and not result.failed
