"""Pictures from files of every kind and back, the data sets, sizes and coordinates."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import io
import os
import struct
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import linear_grey_profile, png, srgb_of_linear, swapped_profile, tiff
from PIL import Image, ImageCms
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.images import ImageError, datasets

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)


def levels(picture: Tensor) -> np.ndarray:
    assert picture.dtype == torch.float32 and picture.ndim == 3 and picture.shape[0] == 3
    assert picture.is_contiguous() and 0 <= picture.min() and picture.max() <= 1
    return images.to_uint8(picture)


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(np.float64) / 255
    return rgb * share + 255 * (1 - share)


# ---------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "qoi"])
def test_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    assert (levels(images.load(path)) == RGB).all()
    assert images.load(str(path)).shape == (3, 5, 7)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("jpg", {"quality": 95, "subsampling": 0}),
        ("webp", {"quality": 95}),
        ("avif", {"quality": 95, "subsampling": "4:4:4"}),
        ("jp2", {}),
    ],
)
def test_lossy_formats(tmp_path: Path, coffee: Tensor, suffix: str, options: dict[str, Any]) -> None:
    Image.fromarray(images.to_uint8(coffee)).save(tmp_path / f"a.{suffix}", **options)
    assert (images.load(tmp_path / f"a.{suffix}") - coffee).abs().mean() < 0.02


def test_grey_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    assert (levels(images.load(tmp_path / "grey.png")) == grey_rgb(GREY)).all()
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert Image.open(tmp_path / "bits.png").mode == "1"
    assert (levels(images.load(tmp_path / "bits.png")) == grey_rgb(bits * np.uint8(255))).all()


def test_alpha_is_composited_over_white(tmp_path: Path) -> None:
    alpha = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 255
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "rgba.png")
    read = levels(images.load(tmp_path / "rgba.png"))
    assert np.abs(read - over_white(RGB, alpha)).max() <= 1
    assert (read[0, 0] == 255).all() and (read[0, 1] == RGB[0, 1]).all()
    Image.fromarray(np.dstack([GREY, alpha]), "LA").save(tmp_path / "la.png")
    assert np.abs(levels(images.load(tmp_path / "la.png")) - over_white(grey_rgb(GREY), alpha)).max() <= 1
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "a.webp", lossless=True, exact=True)
    assert np.abs(levels(images.load(tmp_path / "a.webp")) - over_white(RGB, alpha)).max() <= 1


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    image.save(tmp_path / "p.png")
    assert (levels(images.load(tmp_path / "p.png")) == colours[np.asarray(image)]).all()
    image.save(tmp_path / "one.png", transparency=1)
    expected = colours.copy()
    expected[1] = 255
    assert (levels(images.load(tmp_path / "one.png")) == expected[np.asarray(image)]).all()
    image.save(tmp_path / "many.png", transparency=bytes([255, 0, 128]))
    expected[2] = 127, 127, 255
    assert np.abs(levels(images.load(tmp_path / "many.png")).astype(int) - expected[np.asarray(image)]).max() <= 1


def test_first_frame_of_a_transparent_gif(tmp_path: Path) -> None:
    frames = [Image.new("P", (4, 3), index) for index in (0, 1)]
    for frame in frames:
        frame.putpalette([10, 20, 30, 200, 100, 0])
        frame.putpixel((1, 1), 1 if frame is frames[0] else 0)
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], transparency=1, duration=100)
    read = levels(images.load(tmp_path / "a.gif"))
    assert read[0, 0].tolist() == [10, 20, 30] and read[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("depth", "key", "step"), [(2, 2, 85), (4, 9, 17), (8, 77, 1)])
def test_transparent_grey_in_a_png_of_few_bits(depth: int, key: int, step: int) -> None:
    row = bytes([(key << (8 - depth)) & 255, 0])  # the key, then zeros
    width = 16 // depth
    picture = levels(images.load_bytes(png(width, 1, depth, 0, row, {b"tRNS": struct.pack(">H", key)})))
    assert picture[0, 0].tolist() == [255] * 3 and picture[0, 1].tolist() == [0] * 3
    opaque = levels(images.load_bytes(png(width, 1, depth, 0, row, {})))
    assert opaque[0, 0].tolist() == [key * step] * 3


def test_sixteen_bits_per_channel_keep_the_high_byte() -> None:
    deep = (RGB.astype(np.uint16) * 256 + 13).astype(">u2")
    data = png(7, 5, 16, 2, deep.tobytes(), {b"tRNS": struct.pack(">3H", *deep[2, 3])})
    expected = RGB.copy()
    expected[2, 3] = 255
    assert (levels(images.load_bytes(data)) == expected).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 7 5 65535\n" + GREY16.astype(">u2").tobytes())
    else:
        Image.fromarray(GREY16).save(path)
    read = images.load(path)
    np.testing.assert_allclose(read.numpy(), np.stack([GREY16 / 65535] * 3), atol=1e-6)
    assert len(read.unique()) > 30  # finer than it would be on ever so few levels


def test_odd_grey_tiffs() -> None:
    samples = GREY16.astype("<u2").tobytes()
    np.testing.assert_allclose(images.load_bytes(tiff(7, 5, [samples], 16, photometric=0))[1], 1 - GREY16 / 65535, atol=1e-6)
    twelve = bytes([0xFF, 0xF0, 0x00])  # 4095, 0
    assert images.load_bytes(tiff(2, 1, [twelve], 12, photometric=1))[0].tolist() == [[1.0, 0.0]]


def test_transparent_grey_in_a_16_bit_png() -> None:
    samples = np.array([[0, 300, 65535]], ">u2")
    picture = images.load_bytes(png(3, 1, 16, 0, samples.tobytes(), {b"tRNS": struct.pack(">H", 300)}))
    np.testing.assert_allclose(picture[0, 0], [0, 1, 1])


def test_floating_point_grey(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.25, 1]], np.float32)).save(tmp_path / "a.tiff")
    assert images.load(tmp_path / "a.tiff")[2].tolist() == [[0, 0.25, 1]]
    for bad in (255.0, -0.5, np.nan):
        Image.fromarray(np.array([[0, bad]], np.float32)).save(tmp_path / "bad.tiff")
        with pytest.raises(ImageError, match="bad.tiff holds numbers"):
            images.load(tmp_path / "bad.tiff")


def test_32_bit_integers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "a.tiff")
    assert images.load(tmp_path / "a.tiff")[0].tolist() == [[0, 1]]
    Image.fromarray(np.array([[0, 65536]], np.int32)).save(tmp_path / "b.tiff")
    with pytest.raises(ImageError, match="rescale it first"):
        images.load(tmp_path / "b.tiff")


def test_cmyk(tmp_path: Path) -> None:
    ink = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8).repeat(8, axis=0)
    ink = ink.repeat(8, axis=1)
    expected = np.array([[255, 255, 255], [0, 255, 255], [255, 255, 0], [0, 0, 0]])
    for name in ("a.tiff", "a.jpg"):  # Pillow writes CMYK JPEGs as Adobe does, inverted
        Image.fromarray(ink, "CMYK").save(tmp_path / name)
        read = levels(images.load(tmp_path / name))[4, 4::8].astype(int)
        assert np.abs(read - expected).max() <= 3, name


def test_lab(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8), "LAB").save(tmp_path / "lab.tiff")
    read = levels(images.load(tmp_path / "lab.tiff"))[0].astype(int)
    assert np.abs(read - [[255] * 3, [0] * 3]).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp", "avif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    shown = np.zeros((16, 32), np.uint8)
    shown[:8, :16] = 255  # a bright corner, top left
    undo = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose}
    undo |= {6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}
    stored = undo.get(orientation, lambda a: a)(shown)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(grey_rgb(stored))).save(path, exif=exif)
    assert np.abs(levels(images.load(path)).astype(int) - grey_rgb(shown)).mean() < 8
    if suffix in ("png", "tiff"):
        Image.fromarray(np.ascontiguousarray(stored).astype(np.uint16) * 257).save(path, exif=exif)
        assert (levels(images.load(path)) == grey_rgb(shown)).all()


def test_damaged_exif_and_profile_are_ignored(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff", icc_profile=b"nonsense")
    assert (levels(images.load(tmp_path / "a.png")) == RGB).all()


def test_profiles_are_converted_to_srgb(tmp_path: Path) -> None:
    path, swapped = tmp_path / "a.png", swapped_profile()
    Image.fromarray(RGB).save(path, icc_profile=swapped)
    assert np.abs(levels(images.load(path)).astype(int) - RGB[..., [1, 0, 2]]).max() <= 1
    alpha = np.full((5, 7), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.dstack([RGB, alpha])).save(path, icc_profile=swapped)
    read = levels(images.load(path)).astype(int)
    assert (read[0] == 255).all() and np.abs(read[1:] - RGB[1:, :, [1, 0, 2]]).max() <= 1
    Image.fromarray(GREY).save(path, icc_profile=swapped)  # a profile for RGB says nothing about grey
    assert (levels(images.load(path)) == grey_rgb(GREY)).all()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB).save(path, icc_profile=srgb)
    assert (levels(images.load(path)) == RGB).all()


def test_grey_profiles(tmp_path: Path) -> None:
    path, profile = tmp_path / "a.png", linear_grey_profile()
    for samples, white in ((GREY, 255), (GREY16, 65535)):
        Image.fromarray(samples).save(path, icc_profile=profile)
        read = images.load(path).numpy()
        assert (read == read[0]).all()
        bright = samples > 0.05 * white  # below, a linear scale of 256 levels is too coarse to be read between
        np.testing.assert_allclose(read[0][bright], srgb_of_linear(samples / white)[bright], atol=0.006)


# ---------------------------------------------------------------------------------------------- refusing


def refused(path: Path, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        images.load(path)
    text = str(caught.value)
    assert path.name in text and "\n" not in text and text.endswith(".")


def test_what_is_no_picture(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.png", "does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "is empty")
    (tmp_path / "text.png").write_text("hello, world " * 100)
    refused(tmp_path / "text.png", "no picture")
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    refused(tmp_path / "a.eps", "no picture")
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    if importlib.util.find_spec("pillow_heif") is None:
        refused(tmp_path / "a.heic", "HEIC.*JPEG or PNG, or pip install")
    Image.new("RGB", (9, 6)).save(tmp_path / "raw.dng", "TIFF", tiffinfo={254: 1})  # a picture of reduced resolution
    refused(tmp_path / "raw.dng", "begins with a thumbnail, as .*raw files.*JPEG or PNG")
    with pytest.raises(ImageError):
        images.load("a\0b.png")
    with pytest.raises(ImageError, match="too long"):
        images.load("a" * 5000)


def test_sizes_of_zero_and_bombs(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(0, 3, 8, 2, b"", {}))
    refused(path, "pixels|damaged|no picture")
    for side in (100_000, 12_000):  # Pillow refuses the first by itself and would only warn of the second
        path.write_bytes(png(side, side, 8, 2, b"", {}))
        refused(path, "134,217,728 pixels")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "gif", "bmp", "tiff", "jp2"])
def test_truncated_files_are_refused(tmp_path: Path, coffee: Tensor, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(images.to_uint8(coffee)).save(path)
    data = path.read_bytes()
    for length in (1, 5, 20, len(data) // 4, len(data) // 2, len(data) * 9 // 10):
        path.write_bytes(data[:length])
        refused(path, "cut short|no picture")


@settings(max_examples=50)
@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP"]))
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format=suffix)
    damaged = bytearray(buffer.getvalue())
    flips = st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    for position, value in data.draw(flips):
        damaged[position] = value
    try:
        levels(images.load_bytes(bytes(damaged)))
    except ImageError:
        pass


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        images.load_bytes(data)


# ---------------------------------------------------------------------------------------------- writing


@settings(max_examples=20)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([".png", ".tif", ".bmp", ".ppm"]),
    st.integers(0, 99),
)
def test_lossless_round_trip(tmp_path_factory: pytest.TempPathFactory, height: int, width: int, suffix: str, seed: int) -> None:
    path = tmp_path_factory.mktemp("save") / f"a{suffix}"
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.1
    images.save(picture, path)
    assert torch.equal(images.load(path), images.quantize_8bit(picture))


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp", ".avif"])
def test_lossy_round_trip(tmp_path: Path, coffee: Tensor, suffix: str) -> None:
    images.save(coffee, tmp_path / f"a{suffix}")
    assert (images.load(tmp_path / f"a{suffix}") - coffee).abs().mean() < 0.02


def test_rounding() -> None:
    picture = torch.tensor([-0.2, 100.49 / 255, 100.51 / 255, 254.4 / 255, 1.3, 0.5]).expand(3, 1, 6)
    assert images.to_uint8(picture)[0, :, 0].tolist() == [0, 100, 101, 254, 255, 128]
    assert torch.equal(images.from_uint8(images.to_uint8(picture)), images.quantize_8bit(picture))
    with pytest.raises(ImageError, match="uint8"):
        images.from_uint8(np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((3, 2, 2), np.float32), "torch tensor"),
        (torch.zeros(2, 2, 3), r"\(3, height, width\)"),
        (torch.zeros(3, 2, 2, dtype=torch.uint8), "float32"),
        (torch.zeros(3, 0, 2), "no pixels"),
        (torch.full((3, 2, 2), float("nan")), "NaN"),
    ],
)
def test_what_save_refuses(tmp_path: Path, picture: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        images.save(picture, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_where_save_refuses(tmp_path: Path, coffee: Tensor) -> None:
    with pytest.raises(ImageError, match="'.xyz' names no format"):
        images.save(coffee, tmp_path / "a.xyz")
    with pytest.raises(ImageError, match="folder .*missing does not exist"):
        images.save(coffee, tmp_path / "missing" / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        images.save(coffee, tmp_path / "b.png")
    with pytest.raises(ImageError, match="can't be written"):
        images.save(torch.zeros(3, 1, 20_000), tmp_path / "wide.webp")
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ImageError, match="No space left"):
        images.save(coffee, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    images.save(coffee, path)
    assert torch.equal(images.load(path), coffee) and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
def test_writing_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    images.write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_bytes() == b"new"
    images.write_atomically(os.devnull, b"new")
    assert not Path(os.devnull).is_file()


# ---------------------------------------------------------------------------------------------- data sets


def test_samples_and_their_table() -> None:
    table = datasets._datasets()["samples"]["pictures"]
    assert tuple(table) == images.SAMPLES
    for name in images.SAMPLES:
        picture = images.sample(name)
        assert picture.shape == (3, *table[name]["size"]) and table[name]["licence"]
        assert torch.equal(picture, images.open_picture(name))
    with pytest.raises(ImageError, match="astronaut, chelsea, coffee"):
        images.sample("lena")


def test_a_sample_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "skimage" / "data").mkdir(parents=True)
    (tmp_path / "skimage" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImageError, match="has no .*coffee.png"):
        images.sample("coffee")
    Image.fromarray(RGB).save(tmp_path / "skimage" / "data" / "coffee.png")
    with pytest.raises(ImageError, match="SHA-256"):
        images.sample("coffee")


def test_importing_is_light() -> None:
    code = "import sys; from tutorial_lib import images; images.sample('coffee');"
    code += "print({'skimage', 'pooch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_kodak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Kodak suite of two tiny pictures, served on this machine; yields the folder that is served."""
    site = tmp_path / "site"
    site.mkdir()
    hashes = {}
    for number in (1, 2):
        path = site / f"kodim{number:02d}.png"
        Image.fromarray(RGB[:, ::number].copy()).save(path)
        hashes[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=os.fspath(site)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    table = {"kodak": {"url": url, "homepage": "its site", "sha256": hashes}}
    monkeypatch.setattr(datasets, "_datasets", lambda: table)
    monkeypatch.setattr(datasets, "_kodak_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("INR_DATA_DIR", raising=False)
    yield site
    server.shutdown()
    server.server_close()


def test_kodak_is_downloaded_once(fake_kodak: Path, tmp_path: Path) -> None:
    assert images.kodak_available() == 0
    assert (levels(images.kodak(1)) == RGB).all()
    assert images.kodak_available() == 1
    (fake_kodak / "kodim01.png").unlink()
    assert (levels(images.open_picture("kodak:1")) == RGB).all()
    (tmp_path / "cache" / "kodim02.png").write_bytes(b"half a downl")  # replaced by the next download
    assert images.kodak_available() == 1
    assert (levels(images.open_picture("kodim02")) == RGB[:, ::2]).all()


def test_kodak_offline_and_falsified(fake_kodak: Path, tmp_path: Path) -> None:
    (fake_kodak / "kodim01.png").write_bytes(b"a login page")
    (fake_kodak / "kodim02.png").unlink()
    for number in (1, 2):
        with pytest.raises(ImageError, match="could not be downloaded.*INR_DATA_DIR") as caught:
            images.kodak(number)
        assert "\n" not in str(caught.value)
    assert images.kodak_available() == 0


@pytest.mark.parametrize("folder", [".", "kodak"])
def test_kodak_in_a_folder_of_ones_own(fake_kodak: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    own = tmp_path / "own"
    (own / folder).mkdir(parents=True)
    for path in fake_kodak.iterdir():
        path.rename(own / folder / path.name)
    monkeypatch.setenv("INR_DATA_DIR", os.fspath(own))
    assert (levels(images.kodak(1)) == RGB).all() and images.kodak_available() == 2
    assert not (tmp_path / "cache").exists()
    (own / folder / "kodim02.png").write_bytes(b"something else")
    with pytest.raises(ImageError, match="kodim02.png is not the expected file"):
        images.kodak(2)
    assert images.kodak_available() == 1


@pytest.mark.parametrize("number", [0, 25, -1, 1.5, "three"])
def test_kodak_numbers(number: Any) -> None:
    with pytest.raises(ImageError, match="1 to 24"):
        images.kodak(number)


def test_the_kodak_table() -> None:
    entry = datasets._datasets()["kodak"]
    assert list(entry["sha256"]) == [f"kodim{number:02d}.png" for number in range(1, 25)]
    assert all(len(digest) == 64 and int(digest, 16) for digest in entry["sha256"].values())
    source = Path(images.__file__).parents[2] / "data" / "datasets.toml"
    if source.is_file():
        assert tomllib.loads(source.read_text(encoding="utf-8")) == datasets._datasets()


def test_the_real_kodak3(kodak3: Tensor) -> None:
    assert kodak3.shape == (3, 128, 192)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kodak:0", "1 to 24"),
        ("kodak:x", "1 to 24"),
        ("kodim99", "1 to 24"),
        ("astronot", "astronaut, chelsea"),
    ],
)
def test_names_that_mean_nothing(name: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        images.open_picture(name)


def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "coffee", format="PNG")
    monkeypatch.chdir(tmp_path)
    assert images.open_picture("coffee").shape == (3, 400, 600)
    for path in ("./coffee", Path("coffee"), tmp_path / "coffee"):
        assert images.open_picture(path).shape == (3, 5, 7)


# ---------------------------------------------------------------------------------------------- sizes


def test_reduce_is_pillows_lanczos_on_8_bits() -> None:
    cat = images.sample("chelsea")
    expected = Image.fromarray(images.to_uint8(cat)).resize((113, 75), Image.Resampling.LANCZOS)
    reduced = images.reduce(cat + 0.001, factor=4)  # less than half a level: the same 8-bit picture
    assert (levels(reduced) == np.asarray(expected)).all()
    assert torch.equal(reduced, images.reduce(cat, size=(75, 113)))
    assert torch.equal(reduced, images.quantize_8bit(reduced))
    assert images.reduce(cat, factor=1000).shape == (3, 1, 1)
    assert torch.equal(images.reduce(cat, factor=1), cat)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"factor": 2, "size": (2, 2)}, {"factor": 0.5}, {"factor": float("nan")}, {"size": (0, 3)}]
    + [{"size": (51, 10)}, {"size": (3.5, 2)}, {"size": 4}],
)
def test_what_reduce_refuses(coffee: Tensor, arguments: dict[str, Any]) -> None:
    with pytest.raises(ImageError):
        images.reduce(coffee, **arguments)


def test_resize_and_crop(coffee: Tensor) -> None:
    assert images.resize(coffee, (100, 150)).shape == (3, 100, 150)
    with pytest.raises(ImageError, match="limit"):
        images.resize(coffee, (100_000, 100_000))
    part = images.crop(coffee, 10, 20, 5, 6)
    assert torch.equal(part, coffee[:, 10:15, 20:26])
    part.zero_()
    assert coffee[:, 10:15, 20:26].any()
    for box in [(-1, 0, 2, 2), (0, 0, 51, 1), (0, 70, 1, 6), (0, 0, 0, 1)]:
        with pytest.raises(ImageError):
            images.crop(coffee, *box)


# ---------------------------------------------------------------------------------------------- coordinates

sides = st.integers(1, 300)


def test_canvas_by_hand() -> None:
    grid = images.canvas(3, 5)
    assert grid.shape == (3, 5, 2) and grid.dtype == torch.float32
    assert grid[0, 0].tolist() == [-1, -1] and grid[2, 4].tolist() == [1, 1]
    assert grid[0, 1].tolist() == [-0.5, -1]  # (x, y): x goes with the column
    assert images.canvas(1, 1).tolist() == [[[0, 0]]]
    assert images.canvas(1, 3)[..., 1].tolist() == [[0, 0, 0]]
    zoomed = images.canvas(2, 6, source=(1, 3))
    np.testing.assert_allclose(zoomed[1, :, 0], [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
    assert not zoomed[..., 1].any()


@given(sides, sides, sides)
def test_canvas_axis_follows_its_formula(length: int, source: int, pixel: int) -> None:
    pixel %= length
    u = (pixel + 0.5) * source / length - 0.5
    expected = 0.0 if source == 1 else 2 * u / (source - 1) - 1
    assert images.canvas_axis(length, source)[pixel].item() == np.float32(expected)
    if length > 1:
        own = images.canvas_axis(length)[pixel].item()
        assert own == pytest.approx(2 * pixel / (length - 1) - 1, abs=1e-7)


@given(sides, st.integers(1, 7))
def test_an_odd_zoom_holds_the_original_samples(length: int, half: int) -> None:
    zoom = 2 * half + 1  # the middle of each block of pixels is the centre of the original one
    zoomed = images.canvas_axis(length * zoom, length, start=half, step=zoom)
    torch.testing.assert_close(zoomed, images.canvas_axis(length), atol=1e-6, rtol=0)


@given(st.data())
def test_tiles_and_phases_equal_the_whole_canvas(data: st.DataObject) -> None:
    height, width = data.draw(sides), data.draw(sides)
    source = data.draw(st.none() | st.tuples(sides, sides))
    axes, slices = [], []
    for side, length in enumerate((height, width)):
        start = data.draw(st.integers(0, length - 1))
        step = data.draw(st.integers(1, 9))
        own = None if source is None else source[side]
        axes.append(images.canvas_axis(length, own, start=start, step=step))
        slices.append(slice(start, None, step))
    whole = images.canvas(height, width, source)
    assert torch.equal(images.canvas_from_axes(*axes), whole[slices[0], slices[1]])


@pytest.mark.parametrize(
    "arguments",
    [
        {"length": 0},
        {"length": 3, "source_length": 0},
        {"length": 3, "start": 3},
        {"length": 3, "start": -1},
        {"length": 3, "step": 0},
    ],
)
def test_what_canvas_axis_refuses(arguments: dict[str, int]) -> None:
    with pytest.raises(ImageError):
        images.canvas_axis(**arguments)


def test_canvas_sizes() -> None:
    for arguments in [(0, 3), (3, 2.5), (3, 3, (3, 0))]:
        with pytest.raises(ImageError):
            images.canvas(*arguments)
