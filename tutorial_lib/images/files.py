"""Pictures from files of every kind, as an image viewer would show them, and back."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from tutorial_lib.images import containers
from tutorial_lib.images.arrays import MAX_PIXELS, ImageError, from_uint8, require_picture, to_uint8
from tutorial_lib.images.colour import Claim, to_srgb
from tutorial_lib.runtime import write_atomically

# A list, because Pillow would otherwise try everything it knows: its EPS reader runs an outside program on
# the file, its TGA reader takes almost any bytes for a picture. JXL needs a plugin that the reader registered, HEIF the
# optional one that `register_heif` does.
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

_TIFF_BITS_PER_SAMPLE, _TIFF_PHOTOMETRIC, _TIFF_PLANAR = 258, 262, 284
_TIFF_SUBFILE = 254
_MAX_BYTES = 9 * MAX_PIXELS  # the largest picture with four channels of 16 bits, and room for what stands beside it
_UNKNOWN_KIND = re.compile(r"support|cannot handle|unable to determine|unknown (?:code|pixel|raw|data)|not available", re.I)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What undoes each orientation of EXIF."""
_SILENCE = threading.Lock()
logging.getLogger("PIL").addHandler(logging.NullHandler())  # or Python prints Pillow's remarks where nobody logs


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
    - what the file says about its colours, by an ICC profile, code points or gamma and chromaticities, is
      followed into sRGB (`colour.to_srgb`); HDR is refused; a damaged profile is ignored;
    - the orientation of EXIF and the clean aperture of AVIF are applied; comments and other things beside the
      pixels (`containers.split`) can be broken or large: they never refuse a picture;
    - animations and multi-page files: the first frame.

    Args:
        path: the file; a pipe is read to its end.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1], on the CPU.

    Raises:
        ImageError: the file does not exist, is a folder, is no picture, of a kind that is not supported, HDR,
            damaged or cut short, or has more than `MAX_PIXELS` pixels. The message names the file and says which.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            return _read(_content(file, name), name, _READABLE)
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
    return _read(data, name, formats)


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


def _content(file: IO[bytes], name: str) -> bytes:
    """All of a file, or of a pipe, which says nothing of its length."""
    pieces, length = [], 0
    while piece := file.read(2**24):
        pieces.append(piece)
        length += len(piece)
        if length > _MAX_BYTES:
            raise ImageError(f"{name} is too large: more than {_MAX_BYTES:,} bytes.")
    return b"".join(pieces)


def _read(data: bytes, name: str, formats: tuple[str, ...]) -> Tensor:
    if not data:
        raise ImageError(f"{name} is empty.")
    bare, beside = containers.split(data)
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of sizes; here a picture is read or refused, without remarks.
        warnings.simplefilter("ignore")
        image = _open(bare, name, formats)
        try:
            _require_size(image)
            if image.format == "TIFF" and image.tag_v2.get(_TIFF_SUBFILE, 0) & 1:  # pyright: ignore[reportAttributeAccessIssue]
                raise ImageError(f"{name} begins with a thumbnail, as cameras' raw files do: export it as JPEG or PNG.")
            _rescale_colour_key(image)
            _name_samples(image)
            frame = image.tile[0].extents if image.format == "GIF" and image.tile else None
            with _silent() if image.format == "TIFF" else contextlib.nullcontext():
                image.load()
            _require_size(image)  # of an icon: only now it is known
            return _to_picture(image, beside, frame, name)
        except ImageError:
            raise
        except Exception as error:  # Pillow's readers raise almost anything on damaged files
            raise _refusal(name, image.format, error) from error


def _open(data: bytes, name: str, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    """As `Image.open` does it; but its "cannot identify image file" hides what a reader that knows the format found wrong."""
    Image.init()
    heic = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
    if heic and "HEIF" in formats:
        register_heif()
    refusal = None
    for format_ in formats:
        factory, accept = Image.OPEN.get(format_, (None, None))
        accepted = accept(data[:16].ljust(16, b"\0")) if accept else True  # some readers take a length for granted
        if isinstance(accepted, str):  # Pillow was built without what it takes
            refusal = _refusal(name, format_, NotImplementedError(accepted))
        elif factory and accepted:
            try:
                return factory(io.BytesIO(data), name)
            except Exception as error:
                if not str(error).lower().startswith("not a "):  # "not a PPM file": this reader looked at two letters
                    refusal = _refusal(name, format_, error)
    if heic and "HEIF" not in Image.OPEN:
        raise ImageError(
            f"{name} is a HEIC picture: export it as JPEG or PNG, or pip install 'inr-compression-course[heic]' to read it."
        )
    raise refusal or ImageError(f"{name} is no picture in a format that this library reads, or its start is damaged.")


def register_heif() -> bool:
    """Give Pillow its HEIF plugin, if the optional package pillow-heif is here."""
    if "HEIF" not in Image.OPEN:
        try:
            import pillow_heif  # pyright: ignore[reportMissingImports]
        except ImportError:
            return False
        pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)
    return True


def _refusal(name: str, format_: str | None, error: Exception) -> ImageError:
    """What to say of a file that a reader of Pillow's gave up: too large, of a kind that it doesn't know, or damaged."""
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(f"{name} is too large: more than {MAX_PIXELS:,} pixels, the most that this library opens.")
    if isinstance(error, MemoryError):
        return ImageError(f"{name} is too large for the memory of this machine.")
    reason = _reason(error)
    if error.args and isinstance(error.args[0], KeyError):  # a reader's table of what it takes lacks it
        reason = f"unknown code {reason}"
    if _UNKNOWN_KIND.search(reason):
        return ImageError(f"{name} is a kind of {format_} file that is not supported ({reason}): convert it to PNG.")
    return ImageError(f"{name} is damaged or cut short ({reason}).")


def _require_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if image.width < 1 or image.height < 1:
        raise ValueError(f"{image.width}x{image.height} pixels")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what C code prints: libtiff writes to the standard error of the process (only there, that it lacks a codec)."""
    said: IO[bytes] = io.BytesIO()
    with _SILENCE, contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # a process without a standard error, or nowhere to write
            said = undo.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, 2)
            os.dup2(said.fileno(), 2)
        try:
            yield
        except OSError as error:
            said.seek(0)
            if lacking := re.search(rb"\w+ compression support is not configured", said.read()):
                raise NotImplementedError(lacking[0].decode()) from error
            raise


def _name_samples(image: ImageFile.ImageFile) -> None:
    """Tell Pillow how a TIFF's samples lie where it has them wrong.

    Planes of 16 bits are read as if they had 8; and what libtiff has brought into the machine's byte order is turned once more.
    """
    if image.format != "TIFF":
        return
    tags: Any = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    planar, deep = tags.get(_TIFF_PLANAR) == 2, max(tags.get(_TIFF_BITS_PER_SAMPLE, (1,))) > 8
    if planar and image.mode == "LA":
        raise NotImplementedError("unsupported planes of grey and alpha")
    for index, tile in enumerate(image.tile):
        raw, *more = tile.args if isinstance(tile.args, tuple) else ("",)
        if tile.codec_name == "libtiff":
            named = re.sub(r"(?<=\d)B", "N", raw)
        elif planar and deep and raw in ("R", "G", "B", "A"):
            named = raw + (";16L" if tags.prefix == b"II" else ";16B")
        else:
            continue
        image.tile[index] = tile._replace(args=(named, *more))


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


def _to_picture(image: Image.Image, beside: containers.Beside, frame: containers.Box | None, name: str) -> Tensor:
    claims = beside.claims or tuple(filter(None, [image.info.get("icc_profile")]))
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    white = _deep_white(image)
    inverted = deep and image.format == "TIFF" and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0  # pyright: ignore[reportAttributeAccessIssue]
    image = _as_shown(image, beside, frame)
    if deep:
        return _from_deep_grey(image, white, inverted, claims, name)
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.replace("a", "A"))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        opaque = with_alpha.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
        opaque.info.pop("transparency", None)
        page = Image.new("RGB", image.size, "white")
        image = Image.composite(to_srgb(opaque, claims, name), page, with_alpha.getchannel("A"))
    else:
        if image.mode in ("1", "P", "RGBX", "YCbCr", "HSV"):
            image = image.convert("L" if image.mode == "1" else "RGB")
        image = to_srgb(image, claims, name)
    return from_uint8(np.asarray(image))


def _as_shown(image: Image.Image, beside: containers.Beside, frame: containers.Box | None) -> Image.Image:
    """Cropped to the clean aperture (which libheif does itself), then turned: the order of ISO/IEC 23000-22, 7.3.6.7.

    A GIF's frame lies on a transparent screen, as browsers have it, where Pillow fills the rest with a colour.
    """
    if beside.grey and image.mode == "RGBA":  # what Pillow makes of grey and alpha in 16 bits
        image = image.convert("LA")
    if frame and frame != (0, 0, *image.size):
        drawn = image.convert("RGBA").crop(frame)
        image = Image.new("RGBA", image.size)
        image.paste(drawn, frame)
    if beside.aperture and image.format == "AVIF":
        image = image.crop(beside.aperture)
    exif, xmp = (image.info.get(key) or b"" for key in ("exif", "xmp"))
    turn = beside.orientation or containers.orientation(exif, xmp if image.format == "WEBP" else b"")
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _deep_white(image: Image.Image) -> float:
    """The sample value that means white in a grey image of more than 8 bits."""
    if image.mode == "F":
        return 1.0
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        bits = image.tag_v2.get(_TIFF_BITS_PER_SAMPLE, (16,))[0]  # pyright: ignore[reportAttributeAccessIssue]
        return float(2**bits - 1)
    return 65535.0


def _from_deep_grey(image: Image.Image, white: float, inverted: bool, claims: tuple[Claim, ...], name: str) -> Tensor:
    samples = np.asarray(image)
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= white):  # so that NaN is refused, too
        raise ImageError(
            f"{name} holds numbers from {low:g} to {high:g}, where black is 0 and white is {white:g}: rescale it first."
        )
    grey = (samples / white).astype(np.float32)
    grey = 1 - grey if inverted else grey
    levels = Image.fromarray((grey * 65535).round().astype(np.uint16))
    if (shown := to_srgb(levels, claims, name)) is not levels:
        grey = np.asarray(shown).astype(np.float32) / 65535
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = np.where(samples == key, np.float32(1), grey)
    return torch.from_numpy(np.stack([grey] * 3))
