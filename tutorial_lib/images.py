"""Pictures: from files and back, the course's samples, Kodak, and the coordinates of pixels.

A *picture* is a ``torch.float32`` tensor of shape (3, H, W): RGB (sRGB-encoded), values in [0, 1]. Everything
in this package that says "picture" means exactly that.

Example:
    >>> from tutorial_lib import images
    >>> cat = images.sample("chelsea")
    >>> cat.shape, cat.dtype
    (torch.Size([3, 300, 451]), torch.float32)
    >>> images.canvas(2, 3)[0]  # the first row: y = -1, x from -1 to 1
    tensor([[-1., -1.],
            [ 0., -1.],
            [ 1., -1.]])
"""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.util
import io
import operator
import os
import re
import secrets
import tomllib
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tutorial_lib.runtime import data_path

SAMPLES: tuple[str, ...] = ("astronaut", "chelsea", "coffee")
"""Names of the pictures that `sample` reads from the installed scikit-image."""

KODAK_COUNT = 24
"""How many pictures the Kodak suite holds."""

MAX_PIXELS = 2**27
"""The largest picture, in pixels, that this library opens or makes: 134 megapixels, 1.6 GB as a picture."""

# A list, because Pillow would otherwise try everything it knows: its EPS reader runs an outside program on
# the file, its TGA reader takes almost any bytes for a picture. HEIF and JXL need a
# plugin that the reader registered.
_READABLE = (
    "PNG", "JPEG", "MPO", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "ICO", "PSD", "QOI",
    "HEIF", "JXL",
)  # fmt: skip

_WRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_deflate"}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4", "optimize": True}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4", "optimize": True}),
    ".webp": ("WEBP", {"quality": 95, "method": 4}),
    ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4", "speed": 6}),
}

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}

_TIFF_BITS_PER_SAMPLE, _TIFF_PHOTOMETRIC = 258, 262


class ImageError(ValueError):
    """A picture, a file or a size that can't be used; the message is one sentence for the reader."""


# ---------------------------------------------------------------------------------------------- 8 bits


def picture_problem(picture: object) -> str | None:
    """What keeps an object from being a picture: half a sentence, or None when it is one.

    Values outside [0, 1] are no problem: networks overshoot a little, and rounding to 8 bits clamps them.

    Example:
        >>> picture_problem(torch.zeros(3, 4, 5)) is None
        True
        >>> picture_problem(torch.zeros(4, 5, 3))
        'its shape must be (3, height, width), not (4, 5, 3)'
    """
    if not isinstance(picture, Tensor):
        return f"it must be a torch tensor, not {type(picture).__name__}"
    if picture.ndim != 3 or picture.shape[0] != 3:
        return f"its shape must be (3, height, width), not {tuple(picture.shape)}"
    if 0 in picture.shape:
        return f"it has no pixels (shape {tuple(picture.shape)})"
    if picture.dtype != torch.float32:
        return f"its values must be torch.float32 in [0, 1], not {picture.dtype}"
    if not bool(torch.isfinite(picture).all()):
        return "it contains NaN or infinite values"
    return None


def to_uint8(picture: Tensor) -> np.ndarray:
    """Round a picture to 8 bits, as a file would.

    Values are clamped to [0, 1], multiplied by 255 and rounded to the nearest integer (a tie goes to the even
    one, as `torch.round` does).

    Args:
        picture: (3, H, W), float32, any device.

    Returns:
        (H, W, 3) uint8 array, 0 to 255, the layout that Pillow and Matplotlib want.

    Raises:
        ImageError: not a picture, or NaN in it.

    Example:
        >>> to_uint8(torch.tensor([0.0, 0.5, 1.2]).reshape(3, 1, 1)).tolist()
        [[[0, 128, 255]]]
    """
    _require_picture(picture)
    levels = (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def from_uint8(array: np.ndarray) -> Tensor:
    """The picture (3, H, W) of an (H, W, 3) uint8 array: the levels divided by 255.

    Raises:
        ImageError: another shape or dtype, or no pixels.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ImageError(f"expected uint8 pixels (height, width, 3), not {array.dtype} {array.shape}.")
    levels = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return levels.to(torch.float32).div_(255)


def quantize_8bit(picture: Tensor) -> Tensor:
    """The picture as an 8-bit file gives it back: round(clamp(picture) · 255) / 255, same shape and device.

    Every distortion in this package is measured on pictures rounded like this.

    Raises:
        ImageError: not a picture, or NaN in it.
    """
    _require_picture(picture)
    return (picture.detach().clamp(0, 1) * 255).round() / 255


# ---------------------------------------------------------------------------------------------- files


def load(path: str | os.PathLike[str]) -> Tensor:
    """Read a picture from a file, as an image viewer would show it on a white page.

    PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF, PPM, JPEG 2000 and a few rarer formats. In detail:

    - alpha, a transparent palette entry or a transparent colour: composited over white, in 8 bits;
    - grey, 1-bit, palette, YCbCr, Lab: converted to RGB; CMYK through its embedded profile, or by the simple
      formula (1 − C)(1 − K) where it has none;
    - 16-bit grey: scaled by 1/65535, not clipped, and kept finer than 8 bits. Colour at 16 bits per channel
      is read at 8 bits, which is what Pillow offers;
    - floating-point grey is read when its values are in [0, 1], integer grey when they are in 0 … 65535;
      other ranges have no agreed white and are refused;
    - the EXIF orientation is applied; an embedded ICC profile other than sRGB is converted to sRGB
      (perceptual intent); a damaged profile is ignored;
    - animations and multi-page files: the first frame.

    Args:
        path: the file.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1], on the CPU.

    Raises:
        ImageError: the file does not exist, is a folder, is no picture, is damaged or cut short, or has more
            than `MAX_PIXELS` pixels. The message names the file.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            return _read(file, name, _READABLE)
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise ImageError(_why_unreadable(path, error)) from error


def load_bytes(data: bytes, name: str = "the data", formats: tuple[str, ...] = _READABLE) -> Tensor:
    """Like `load`, from the bytes of a file.

    Args:
        data: the content of a picture file.
        name: what error messages call it.
        formats: Pillow's names of the formats to accept.

    Raises:
        ImageError: as `load`.
    """
    return _read(io.BytesIO(data), name, formats)


def save(picture: Tensor, path: str | os.PathLike[str]) -> None:
    """Write a picture, rounded to 8 bits (see `to_uint8`), in the format its suffix names.

    Lossless: .png, .tif, .tiff, .bmp, .ppm. Lossy, at fixed settings that are hard to tell from the original:
    .jpg and .jpeg (quality 95, 4:4:4), .webp (quality 95), .avif (quality 90, 4:4:4). To choose a rate, use
    `tutorial_lib.classical_codecs`.

    The file appears complete or not at all (see `write_atomically`).

    Raises:
        ImageError: not a picture, unknown suffix, missing folder, or the file can't be written.
    """
    _require_picture(picture)
    path = check_writable(path)
    format_, options = _WRITABLE[path.suffix.lower()]
    buffer = io.BytesIO()
    try:
        Image.fromarray(to_uint8(picture)).save(buffer, format=format_, **options)
        write_atomically(path, buffer.getvalue())
    except (OSError, ValueError, KeyError) as error:  # KeyError: a Pillow built without this format
        raise ImageError(f"{path} can't be written: {_reason(error)}.") from error


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse, before the work, a path that `save` could not write a picture to.

    Raises:
        ImageError: an unknown suffix, a folder, or a file in a folder that does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not a file.")
    if not path.parent.is_dir():
        raise ImageError(f"{path} can't be written: the folder {path.parent} does not exist.")
    if path.suffix.lower() not in _WRITABLE:
        raise ImageError(f"{path}: the suffix {path.suffix!r} names no format; use one of {', '.join(_WRITABLE)}.")
    return path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it appears complete or not at all, even when the program is killed half-way.

    The bytes go to a temporary file in the same folder, which then takes the file's name. A symbolic link is
    followed; something that is no regular file (such as ``/dev/null``) is written to directly.

    Raises:
        OSError: the folder is missing, the disk is full, no permission, …
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# ---------------------------------------------------------------------------------------------- data sets


def sample(name: str) -> Tensor:
    """One of the course's sample pictures, from the installed scikit-image; never downloads anything.

    Args:
        name: one of `SAMPLES`: astronaut (512×512), chelsea (a cat, 300×451), coffee (400×600). All are
            free of rights (public domain or CC0; ``data/datasets.toml`` gives source and licence).

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: unknown name, scikit-image missing, or its file is not the one this course was made with.
    """
    if name not in SAMPLES:
        raise ImageError(f"there is no sample picture {name!r}: choose one of {', '.join(SAMPLES)}.")
    # Found without importing it: scikit-image takes a second to import, and its own loader may download.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ImageError("the sample pictures come with scikit-image: pip install scikit-image.")
    entry = _datasets()["samples"]["pictures"][name]
    path = Path(spec.submodule_search_locations[0]) / "data" / entry["file"]
    if not path.is_file():
        raise ImageError(f"the installed scikit-image has no {path}; the course was made with version 0.26.")
    _require_hash(path, entry["sha256"])
    return load(path)


def kodak(number: int) -> Tensor:
    """Picture 1 to 24 of the Kodak Lossless True Color Image Suite, 768×512 or 512×768 pixels.

    Looked for, in this order: the folder in the environment variable ``INR_DATA_DIR`` (``kodim01.png`` …,
    directly or in a folder ``kodak``), the cache (``data/downloads/kodak`` in a checkout of this repository,
    the user's cache folder otherwise), and then the site https://r0k.us/graphics/kodak, whence it is
    downloaded (0.5 to 0.8 MB) into the cache. Wherever a file comes from, its SHA-256 is checked.

    Args:
        number: 1 to 24.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: no such number, no network, or a file with another content.
    """
    file = _kodak_file(number)
    path = _kodak_local(file)
    return load(path if path is not None else _kodak_download(file))


def kodak_available() -> int:
    """How many of the 24 Kodak pictures are on this machine, complete and unchanged. Asks no network."""
    found = 0
    for file in _datasets()["kodak"]["sha256"]:
        try:
            found += _kodak_local(file) is not None
        except ImageError:
            continue
    return found


def open_picture(name_or_path: str | os.PathLike[str]) -> Tensor:
    """A picture by what a person would type: a sample's name, a Kodak number, or a path.

    Args:
        name_or_path: ``"astronaut"``, ``"chelsea"``, ``"coffee"``; ``"kodak:3"`` or ``"kodim03"``; anything
            else is a path. A file that happens to bear such a name is meant by ``./astronaut``.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: as `sample`, `kodak` and `load`.
    """
    if isinstance(name_or_path, str):
        if name_or_path in SAMPLES:
            return sample(name_or_path)
        if match := re.fullmatch(r"kodak:(\d{1,3})|kodim(\d{2})", name_or_path):
            return kodak(int(match[1] or match[2]))
        if name_or_path.startswith("kodak:"):
            raise ImageError(f"{name_or_path}: after 'kodak:' comes a number from 1 to {KODAK_COUNT}.")
        if not os.path.dirname(name_or_path) and not os.path.exists(name_or_path):
            raise ImageError(
                f"{name_or_path} does not exist (names of pictures: {', '.join(SAMPLES)}, kodak:1 to kodak:{KODAK_COUNT})."
            )
    return load(name_or_path)


# ---------------------------------------------------------------------------------------------- sizes


def resize(picture: Tensor, size: tuple[int, int], *, method: str = "bicubic") -> Tensor:
    """A picture at another size, computed by Pillow on the picture rounded to 8 bits.

    Pillow aligns pixel centres, as `canvas` does, and widens its filter when it shrinks (anti-aliasing).

    Args:
        picture: (3, H, W).
        size: (height, width) in pixels.
        method: "bicubic" or "lanczos".

    Returns:
        picture (3, height, width) on the 8-bit grid, on the device of the input.

    Raises:
        ImageError: not a picture, a size below 1 pixel or above `MAX_PIXELS`, an unknown method.
    """
    _require_picture(picture)
    height, width = check_size(size)
    if method not in _RESAMPLING:
        raise ImageError(f"unknown method {method!r}: choose one of {', '.join(_RESAMPLING)}.")
    image = Image.fromarray(to_uint8(picture)).resize((width, height), _RESAMPLING[method])
    return from_uint8(np.asarray(image)).to(picture.device)


def reduce(picture: Tensor, *, size: tuple[int, int] | None = None, factor: float | None = None) -> Tensor:
    """A smaller version of a picture: Pillow's Lanczos filter on its 8-bit values.

    The course's small Kodak pictures are made by ``reduce(kodak(n), factor=4)``: 768×512 becomes 192×128.

    Args:
        picture: (3, H, W).
        size: (height, width), neither larger than the picture; or
        factor: at least 1; both sides are divided by it and rounded (to 1 pixel at least).

    Returns:
        picture (3, height, width) on the 8-bit grid, on the device of the input.

    Raises:
        ImageError: neither or both of size and factor, or a size that would enlarge.

    Example:
        >>> reduce(sample("coffee"), factor=4).shape
        torch.Size([3, 100, 150])
    """
    _require_picture(picture)
    if (size is None) == (factor is None):
        raise ImageError("reduce() needs either size=(height, width) or factor=.")
    height, width = picture.shape[1:]
    if factor is not None:
        if not 1 <= factor < float("inf"):
            raise ImageError(f"reduce() needs a factor of at least 1, not {factor}.")
        size = (max(1, round(height / factor)), max(1, round(width / factor)))
    new_height, new_width = check_size(size)
    if new_height > height or new_width > width:
        raise ImageError(f"reduce() can't enlarge {height}x{width} to {new_height}x{new_width} (height x width): resize() can.")
    return resize(picture, (new_height, new_width), method="lanczos")


def crop(picture: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The part of a picture that starts at row `top` and column `left`: (3, height, width), a copy.

    Raises:
        ImageError: an empty part, or one that reaches outside the picture.
    """
    _require_picture(picture)
    check_size((height, width))
    rows, columns = picture.shape[1:]
    if top < 0 or left < 0 or top + height > rows or left + width > columns:
        raise ImageError(
            f"the crop (rows {top} to {top + height}, columns {left} to {left + width}) reaches outside the "
            f"picture of {rows} rows and {columns} columns."
        )
    return picture[:, top : top + height, left : left + width].clone()


def check_size(size: object) -> tuple[int, int]:
    """Check a (height, width) in pixels and return it as two ints.

    Raises:
        ImageError: not two whole numbers, a side below 1, or more than `MAX_PIXELS` pixels.
    """
    try:
        height, width = (operator.index(side) for side in size)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ImageError(f"a size is two whole numbers (height, width), not {size!r}.") from None
    if height < 1 or width < 1:
        raise ImageError(f"a picture of {height}x{width} (height x width) has no pixels.")
    if height * width > MAX_PIXELS:
        raise ImageError(f"a picture of {height}x{width} has {height * width:,} pixels; {MAX_PIXELS:,} are the limit.")
    return height, width


# ---------------------------------------------------------------------------------------------- coordinates


def canvas(
    height: int,
    width: int,
    source: tuple[int, int] | None = None,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """Coordinates of the pixels of a picture, or of the same picture rendered at another size.

    At the picture's own size the corners are −1 and 1, after Eq. 1 of the loss paper that the course follows:

        x = 2·px / (W − 1) − 1,     y = 2·py / (H − 1) − 1

    For a W×H rendering of a W₀×H₀ picture, pixel *centres* are aligned, so that a zoom lies exactly over a
    nearest-neighbour or bicubic zoom; the outermost centres of an enlargement are then a little outside
    [−1, 1]:

        u = (px + ½)·W₀/W − ½,     x = 2u / (W₀ − 1) − 1     (y likewise)

    A side of one pixel has the coordinate 0.

    Args:
        height: rows to render, at least 1.
        width: columns to render, at least 1.
        source: (H₀, W₀), the picture's own size; None when it is (height, width).
        device: where the result goes.

    Returns:
        (height, width, 2), float32, the last axis in the order (x, y).

    Raises:
        ImageError: a size that is no size.
    """
    height, width = check_size((height, width))
    rows, columns = (height, width) if source is None else check_size(source)
    y, x = canvas_axis(height, rows, device=device), canvas_axis(width, columns, device=device)
    return canvas_from_axes(y, x)


def canvas_axis(
    length: int,
    source_length: int | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    device: torch.device | str | None = None,
) -> Tensor:
    """Coordinates along one side: those of the pixels ``range(start, stop, step)`` of `length` pixels.

    Tiles and strided sub-canvases are made of two of these (see `canvas_from_axes`) and equal the same part
    of the whole canvas bit for bit: the arithmetic is float64, one pixel at a time, rounded to float32 at the
    end.

    Args:
        length: pixels along the rendered side.
        source_length: pixels along the same side of the picture; None when it is `length`.
        start: first pixel (the phase, when step > 1).
        stop: the pixel after the last one; None for `length`.
        step: distance between pixels.
        device: where the result goes.

    Returns:
        (n,), float32.

    Raises:
        ImageError: lengths below 1, a range outside the side, or an empty one.

    Example:
        >>> canvas_axis(5)
        tensor([-1.0000, -0.5000,  0.0000,  0.5000,  1.0000])
        >>> canvas_axis(5, start=1, step=2)
        tensor([-0.5000,  0.5000])
        >>> canvas_axis(4, source_length=2)  # the same two pixels, twice as large
        tensor([-1.5000, -0.5000,  0.5000,  1.5000])
    """
    source_length = length if source_length is None else source_length
    stop = length if stop is None else stop
    if length < 1 or source_length < 1:
        raise ImageError(f"a side has at least one pixel, not {min(length, source_length)}.")
    if not (0 <= start < stop <= length) or step < 1:
        raise ImageError(f"pixels {start} to {stop} in steps of {step} are no part of a side of {length}.")
    # On the CPU whatever the device: MPS has no float64.
    positions = torch.arange(start, stop, step, dtype=torch.float64)
    if source_length == 1:
        axis = torch.zeros_like(positions)
    else:
        source_positions = (positions + 0.5) * source_length / length - 0.5
        axis = 2 * source_positions / (source_length - 1) - 1
    return axis.to(torch.float32).to(device)


def canvas_from_axes(y: Tensor, x: Tensor) -> Tensor:
    """The canvas (len(y), len(x), 2), order (x, y), spanned by two axes from `canvas_axis`."""
    shape = (len(y), len(x))
    return torch.stack((x[None, :].expand(shape), y[:, None].expand(shape)), dim=-1)


# ---------------------------------------------------------------------------------------------- inside


def _require_picture(picture: object) -> None:
    if problem := picture_problem(picture):
        raise ImageError(f"this is no picture: {problem}.")


def _reason(error: BaseException) -> str:
    """An exception's message on one line, without the final stop."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def _why_unreadable(path: str | os.PathLike[str], error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{os.fspath(path)} does not exist."
    # Windows answers "permission denied" when asked to open a folder.
    if isinstance(error, IsADirectoryError) or (isinstance(error, PermissionError) and os.path.isdir(path)):
        return f"{os.fspath(path)} is a folder, not a picture."
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{os.fspath(path)[:60]}… is too long for the name of a file."
    return f"{os.fspath(path)!r} can't be read: {_reason(error)}."


def _read(file: BinaryIO, name: str, formats: tuple[str, ...]) -> Tensor:
    start = file.read(12)
    if not start:
        raise ImageError(f"{name} is empty.")
    Image.init()
    too_large = f"{name} has more than {MAX_PIXELS:,} pixels, the most that this library opens."
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of sizes; here a picture is read or refused, without remarks.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(file, formats=[format_ for format_ in formats if format_ in Image.OPEN])
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(too_large)
            if image.width < 1 or image.height < 1:
                raise ImageError(f"{name} is {image.width}x{image.height} pixels: there is nothing to see.")
            _rescale_color_key(image)
            image.load()
            return _to_picture(image, name)
        except (ImageError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
                raise ImageError(
                    f"{name} is a HEIC picture, which Pillow can't read by itself: export it as JPEG or PNG."
                ) from error
            raise ImageError(
                f"{name} is no picture in a format that this library reads, or its start or end is damaged."
            ) from error
        except Image.DecompressionBombError as error:
            raise ImageError(too_large) from error
        except Exception as error:  # Pillow's readers raise almost anything on damaged files
            raise ImageError(f"{name} is damaged or cut short ({_reason(error)}).") from error


def _rescale_color_key(image: Image.Image) -> None:
    """Bring the one transparent colour of a PNG to the scale of the pixels that Pillow delivers.

    Pillow leaves it in the scale of the file, which differs at 2, 4 and 16 bits per sample.
    """
    key = image.info.get("transparency")
    if image.format != "PNG" or image.mode == "P" or key is None or not image.tile:
        return
    args = image.tile[0][3]
    raw_mode = args if isinstance(args, str) else args[0]
    if raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    elif raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw_mode == "L;2" else 17)


def _to_picture(image: Image.Image, name: str) -> Tensor:
    icc = image.info.get("icc_profile")
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    white = _deep_white(image)
    inverted = deep and image.format == "TIFF" and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - damaged EXIF raises anything: show the pixels as they are stored
        image = image.copy()
    if deep:
        return _from_deep_grey(image, white, inverted, icc, name)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.replace("a", "A"))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        opaque = with_alpha.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
        opaque.info.pop("transparency", None)
        page = Image.new("RGB", image.size, "white")
        image = Image.composite(_to_srgb(opaque, icc), page, with_alpha.getchannel("A"))
    else:
        if image.mode in ("1", "P", "RGBX", "YCbCr", "HSV"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        image = _to_srgb(image, icc)
    return from_uint8(np.asarray(image))


def _deep_white(image: Image.Image) -> float:
    """The sample value that means white in a grey image of more than 8 bits."""
    if image.mode == "F":
        return 1.0
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        bits = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (16,))[0]  # type: ignore[attr-defined]
        return float(2**bits - 1)
    return 65535.0


def _from_deep_grey(image: Image.Image, white: float, inverted: bool, icc: bytes | None, name: str) -> Tensor:
    samples = np.asarray(image)
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= white):  # so that NaN is refused, too
        raise ImageError(
            f"{name} holds numbers from {low:g} to {high:g}, where black is 0 and white is {white:g}: rescale it first."
        )
    grey = (samples / white).astype(np.float32)
    grey = 1 - grey if inverted else grey
    # The profile's curve from 256 levels, read in between: Pillow's colour engine takes no 16-bit grey.
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    curve = np.asarray(_to_srgb(levels, icc))[0].astype(np.float32) / 255
    ramp = np.arange(256, dtype=np.float32) / 255
    channels = np.stack([np.interp(grey, ramp, curve[:, channel]) for channel in range(3)])
    key = image.info.get("transparency")
    if isinstance(key, int):
        channels[:, samples == key] = 1
    return torch.from_numpy(channels.astype(np.float32))


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """An image (L, RGB, CMYK, LAB) as RGB, through its embedded profile where that fits and says anything."""
    if icc:
        try:
            from PIL import ImageCms

            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(profile.profile.xcolor_space.strip())
            # A conversion from sRGB to sRGB would move values by a level.
            if space == image.mode and "sRGB" not in (profile.profile.profile_description or ""):
                converted = ImageCms.profileToProfile(
                    image,
                    profile,
                    ImageCms.createProfile("sRGB"),
                    renderingIntent=ImageCms.Intent.PERCEPTUAL,
                    outputMode="RGB",
                )
                if converted is not None:
                    return converted
        except (ImportError, OSError, ValueError, TypeError, AttributeError):
            pass  # a damaged profile, or a Pillow without colour management: viewers show the plain values
    return image.convert("RGB")


@functools.cache
def _datasets() -> dict[str, Any]:
    """data/datasets.toml: inside the package when installed, beside it in a checkout."""
    if path := data_path("datasets.toml"):
        return tomllib.loads(path.read_text(encoding="utf-8"))
    raise ImageError("data/datasets.toml is missing from this installation: install the package again.")


def _has_hash(path: Path, sha256: str) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _require_hash(path: Path, sha256: str) -> None:
    if not _has_hash(path, sha256):
        raise ImageError(f"{path} is not the expected file (its SHA-256 differs): replace or remove it.")


def _kodak_file(number: int) -> str:
    try:
        number = operator.index(number)
    except TypeError:
        raise ImageError(f"a Kodak picture is a number from 1 to {KODAK_COUNT}, not {number!r}.") from None
    if not 1 <= number <= KODAK_COUNT:
        raise ImageError(f"there is no Kodak picture {number}: they go from 1 to {KODAK_COUNT}.")
    return f"kodim{number:02d}.png"


def _kodak_cache() -> Path:
    repository = Path(__file__).resolve().parent.parent
    if (repository / "pyproject.toml").is_file() and (repository / "data" / "datasets.toml").is_file():
        return repository / "data" / "downloads" / "kodak"
    import platformdirs

    return Path(platformdirs.user_cache_dir("tutorial_lib", appauthor=False)) / "kodak"


def _kodak_local(file: str) -> Path | None:
    """The path of a Kodak file on this machine, its content checked; None when there is none."""
    sha256 = _datasets()["kodak"]["sha256"][file]
    if folder := os.environ.get("INR_DATA_DIR"):
        for path in (Path(folder) / file, Path(folder) / "kodak" / file):
            if path.is_file():
                _require_hash(path, sha256)  # the reader's own file: say it, don't go around it
                return path
    cached = _kodak_cache() / file
    return cached if cached.is_file() and _has_hash(cached, sha256) else None


def _kodak_download(file: str) -> Path:
    import pooch

    entry, cache = _datasets()["kodak"], _kodak_cache()
    try:
        return Path(
            pooch.retrieve(
                entry["url"].format(file=file),
                known_hash=f"sha256:{entry['sha256'][file]}",
                fname=file,
                path=cache,
                downloader=pooch.HTTPDownloader(timeout=30),
            )
        )
    except Exception as error:  # requests, urllib3, ssl, pooch and the disk each have their own
        raise ImageError(
            f"{file} is not on this machine and could not be downloaded from {entry['homepage']} "
            f"({type(error).__name__}); put the Kodak pictures into a folder and name it in INR_DATA_DIR."
        ) from error
