"""Pictures from files of every kind, as an image viewer would show them, and back."""

from __future__ import annotations

import errno
import io
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from tutorial_lib.images.arrays import MAX_PIXELS, ImageError, from_uint8, require_picture, to_uint8
from tutorial_lib.runtime import write_atomically

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

_TIFF_BITS_PER_SAMPLE, _TIFF_PHOTOMETRIC = 258, 262


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

    Lossless: .png, .tif, .tiff, .bmp, .ppm. Lossy, at fixed settings that are hard to tell from the original: .jpg and .jpeg
    (quality 95, 4:4:4), .webp (quality 95), .avif (quality 90, 4:4:4). To choose a rate, use `tutorial_lib.codecs.classical`.

    The file appears complete or not at all (see `write_atomically`).

    Raises:
        ImageError: not a picture, unknown suffix, missing folder, or the file can't be written.
    """
    require_picture(picture)
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
            _rescale_colour_key(image)
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


def _rescale_colour_key(image: ImageFile.ImageFile) -> None:
    """Bring the one transparent colour of a PNG to the scale of the pixels that Pillow delivers.

    Pillow leaves it in the scale of the file, which differs at 2, 4 and 16 bits per sample.
    """
    key = image.info.get("transparency")
    if image.format != "PNG" or image.mode == "P" or key is None or not image.tile:
        return
    args = image.tile[0].args
    raw_mode = args[0] if isinstance(args, tuple) else args
    if raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    elif raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if raw_mode == "L;2" else 17)


def _to_picture(image: Image.Image, name: str) -> Tensor:
    icc = image.info.get("icc_profile")
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    white = _deep_white(image)
    inverted = deep and image.format == "TIFF" and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0  # pyright: ignore[reportAttributeAccessIssue]
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF raises anything: show the pixels as they are stored
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
        bits = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (16,))[0]  # pyright: ignore[reportAttributeAccessIssue]
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
            inside: Any = profile.profile
            space = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(inside.xcolor_space.strip())
            # A conversion from sRGB to sRGB would move values by a level.
            if space == image.mode and "sRGB" not in (inside.profile_description or ""):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, profile, srgb, ImageCms.Intent.PERCEPTUAL, "RGB")
                if converted is not None:
                    return converted
        except (ImportError, OSError, ValueError, TypeError, AttributeError):
            pass  # a damaged profile, or a Pillow without colour management: viewers show the plain values
    return image.convert("RGB")
