"""The codecs everyone has, behind the interface of the learned ones: a picture in, bytes out, and back.

The bytes are ordinary files that any viewer opens. Encoder settings are pinned and can be printed
(`settings`), because "JPEG" is not one codec: two published JPEG curves of the Kodak suite differ by 12 % of
rate.

Example:
    >>> from tutorial_lib import images, metrics
    >>> coffee = images.reduce(images.sample("coffee"), factor=4)
    >>> data = CODECS["jpeg"].encode(coffee, bpp=1.5)
    >>> metrics.bits_per_pixel(data, coffee) <= 1.5
    True
    >>> CODECS["jpeg"].decode(data).shape
    torch.Size([3, 100, 150])
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import PIL
from PIL import Image, features
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.bitstream import BitstreamError
from tutorial_lib.metrics import bits_per_pixel


class CodecError(ValueError):
    """A request that a codec can't fulfil; the message is one sentence for the reader."""


class ClassicalCodec(Protocol):
    """What every codec in `CODECS` offers."""

    @property
    def name(self) -> str:
        """The codec's name in `CODECS`."""
        ...

    @property
    def settings(self) -> str:
        """The encoder call and the versions behind it, to be kept beside every number."""
        ...

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """The bytes of a file."""
        ...

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """The picture in a file, at its own or another size (height, width)."""
        ...


@dataclass(frozen=True)
class Jpeg:
    """Baseline JPEG with optimised Huffman tables, by the libjpeg-turbo in Pillow.

    Args:
        subsampling: "4:2:0" (colour at half the resolution, what cameras and the web use) or "4:4:4".
    """

    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        _check_subsampling(self.subsampling)

    @property
    def name(self) -> str:
        return "jpeg" if self.subsampling == "4:2:0" else "jpeg-444"

    @property
    def settings(self) -> str:
        return _settings("JPEG", self._options, "libjpeg_turbo")

    @property
    def _options(self) -> dict[str, Any]:
        return {"subsampling": self.subsampling, "optimize": True, "progressive": False}

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 1 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`."""

        def at(value: int) -> bytes:
            return _save(self.name, picture, "JPEG", {**self._options, "quality": value})

        return _encode_lossy(self.name, at, range(1, 101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        return _decode(self.name, ("JPEG", "MPO"), data, size)


@dataclass(frozen=True)
class Png:
    """PNG, the lossless end of the scale: level-9 deflate with Pillow's choice of filters."""

    @property
    def name(self) -> str:
        return "png"

    @property
    def settings(self) -> str:
        return _settings("PNG", self._options, "zlib")

    @property
    def _options(self) -> dict[str, Any]:
        return {"optimize": True}

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode the picture, rounded to 8 bits, without loss.

        Args:
            picture: (3, H, W).
            quality: not for PNG; None.
            bpp: the most bits per pixel that the file may have; PNG has one size only.

        Raises:
            CodecError: a quality, or a file above `bpp`.
            ImageError: not a picture.
        """
        if quality is not None:
            raise CodecError("png is lossless and has no quality to choose.")
        _check_bpp(bpp)
        data = _save("png", picture, "PNG", self._options)
        if bpp is not None and (reached := bits_per_pixel(data, picture)) > bpp:
            raise CodecError(f"png can't reach {bpp:g} bpp on this picture: it takes {reached:.3f} bpp.")
        return data

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        return _decode(self.name, ("PNG",), data, size)


@dataclass(frozen=True)
class WebP:
    """Lossy WebP (a VP8 key frame, always 4:2:0), by libwebp at its slowest and best setting.

    Args:
        method: encoder effort, 0 (fast) to 6 (best).
    """

    method: int = 6

    def __post_init__(self) -> None:
        if self.method not in range(7):
            raise CodecError(f"WebP's method goes from 0 to 6, not {self.method!r}.")

    @property
    def name(self) -> str:
        return "webp"

    @property
    def settings(self) -> str:
        return _settings("WEBP", self._options, "webp")

    @property
    def _options(self) -> dict[str, Any]:
        return {"lossless": False, "method": self.method}

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 0 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`."""

        def at(value: int) -> bytes:
            return _save(self.name, picture, "WEBP", {**self._options, "quality": value})

        return _encode_lossy(self.name, at, range(101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        return _decode(self.name, ("WEBP",), data, size)


@dataclass(frozen=True)
class Avif:
    """AVIF (an AV1 key frame), by libaom.

    One thread and no tiles: tiles would cost rate, and their number would follow the machine's.

    Args:
        subsampling: "4:4:4" or "4:2:0".
        speed: encoder effort, 0 (best, very slow) to 10 (fast).
    """

    subsampling: str = "4:4:4"
    speed: int = 4

    def __post_init__(self) -> None:
        _check_subsampling(self.subsampling)
        if self.speed not in range(11):
            raise CodecError(f"AVIF's speed goes from 0 to 10, not {self.speed!r}.")

    @property
    def name(self) -> str:
        return "avif"

    @property
    def settings(self) -> str:
        return _settings("AVIF", self._options, "avif")

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "subsampling": self.subsampling,
            "speed": self.speed,
            "codec": "aom",
            "max_threads": 1,
            "autotiling": False,
        }

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 0 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`."""

        def at(value: int) -> bytes:
            return _save(self.name, picture, "AVIF", {**self._options, "quality": value})

        return _encode_lossy(self.name, at, range(101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        return _decode(self.name, ("AVIF",), data, size)


@dataclass(frozen=True)
class Jpeg2000:
    """JPEG 2000 Part 1, by the OpenJPEG in Pillow: irreversible 9/7 wavelet and colour transform, one layer, a .jp2 file.

    The box around the codestream costs 85 bytes; most viewers open no bare codestream. Of the two ways in which OpenJPEG
    cuts the bits, the one by PSNR is taken: its target maps to the quality scale below, and bytes grow with it.
    """

    @property
    def name(self) -> str:
        return "jpeg2000"

    @property
    def settings(self) -> str:
        return _settings("JPEG2000", {**self._options, "quality_layers": "[10 + 0.4 * quality]"}, "jpg_2000")

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "irreversible": True,
            "mct": 1,
            "quality_mode": "dB",
            "progression": "LRCP",
            "codeblock_size": (64, 64),
            "no_jp2": False,
        }

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 0 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`.

        Quality q asks OpenJPEG for a PSNR of 10 + 0.4 q dB: 10 dB at 0, 40 dB at 75. It estimates the error in the
        wavelet domain, so that the decoded picture is a little off this value.
        """

        def at(value: int) -> bytes:
            return _save(self.name, picture, "JPEG2000", {**self._options, "quality_layers": [10 + 0.4 * value]})

        return _encode_lossy(self.name, at, range(101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        # A file that stops before its first tile decodes to grey in OpenJPEG; no packet holds this end marker.
        if data and b"\xff\xd9" not in data:
            raise BitstreamError(f"this {self.name} file is cut short, or no JPEG 2000 file.")
        return _decode(self.name, ("JPEG2000",), data, size)


@dataclass(frozen=True)
class JpegXl:
    """JPEG XL's lossy mode (variable-size DCT in the XYB colour space), by the libjxl in imagecodecs; a bare codestream.

    Its encoder aims at equal visible error, not at PSNR.

    Args:
        effort: encoder effort, 1 (fast) to 9 (best).
    """

    effort: int = 7

    def __post_init__(self) -> None:
        if self.effort not in range(1, 10):
            raise CodecError(f"JPEG XL's effort goes from 1 to 9, not {self.effort!r}.")

    @property
    def name(self) -> str:
        return "jpegxl"

    @property
    def settings(self) -> str:
        import imagecodecs

        call = ", ".join(f"{key}={value!r}" for key, value in self._options.items())
        return f"jpegxl_encode({call}), imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    @property
    def _options(self) -> dict[str, Any]:
        return {"effort": self.effort, "lossless": False, "usecontainer": False, "numthreads": 1}

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 5 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`.

        The quality is that of libjxl's own tool `cjxl`, see `_jpegxl_distance`. Below 5 the encoder would halve the
        picture's resolution, and its files would grow again.
        """

        def at(value: int) -> bytes:
            import imagecodecs  # not at the top: it takes a while to import, and few need it

            pixels = images.to_uint8(picture)
            try:
                return bytes(imagecodecs.jpegxl_encode(pixels, distance=_jpegxl_distance(value), **self._options))
            except (RuntimeError, ValueError) as error:
                height, width = pixels.shape[:2]
                raise CodecError(
                    f"{self.name} can't encode this picture of {height}x{width} (height x width): {_one_line(error)}."
                ) from error

        return _encode_lossy(self.name, at, range(5, 101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode what `encode` writes: a bare codestream whose header says nothing but the size (8-bit sRGB, no alpha).

        The size is read before libjxl sees the data, and only the first frame is decoded. What libjxl needs
        besides the pixels for a hostile file's patches and reference frames is bounded by libjxl alone.

        Args:
            data: the file.
            size: see `_decode`.

        Returns:
            picture (3, H, W), float32, RGB in [0, 1].

        Raises:
            BitstreamError: other bytes than these, damaged or cut short, or more than `images.MAX_PIXELS` pixels.
            ImageError: a size of zero or beyond the limit.
        """
        import imagecodecs

        if size is not None:
            size = images.check_size(size)
        height, width = _jpegxl_size(data)
        if height * width > images.MAX_PIXELS:
            raise BitstreamError(
                f"this {self.name} file has more than {images.MAX_PIXELS:,} pixels, the most that this library opens."
            )
        try:
            pixels = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise BitstreamError(f"this {self.name} file is damaged or cut short ({_one_line(error)}).") from error
        if pixels.shape != (height, width, 3):
            raise BitstreamError(f"this {self.name} file is damaged: its header and its pixels differ in size.")
        picture = images.from_uint8(pixels)
        return picture if size is None else images.resize(picture, size)


@dataclass(frozen=True)
class Heic:
    """HEIC: an HEVC intra picture, by the x265 in pillow-heif, an optional package.

    Stands in for BPG, which is HEVC intra in a smaller container; x265 writes both. The preset is what
    x265 calls slow, tuned for PSNR, with 4:4:4 colour as in CompressAI's curve of BPG. No thread
    pool: with one, the bytes could follow the number of the machine's cores.

    Args:
        subsampling: "4:4:4" or "4:2:0".
    """

    subsampling: str = "4:4:4"

    def __post_init__(self) -> None:
        _check_subsampling(self.subsampling)

    @property
    def name(self) -> str:
        return "heic"

    @property
    def settings(self) -> str:
        call = ", ".join(f"{key}={value!r}" for key, value in {"format": "HEIF", **self._options}.items())
        if importlib.util.find_spec("pillow_heif") is None:
            return f"Image.save({call}), pillow-heif is not installed"
        import pillow_heif

        info = pillow_heif.libheif_info()
        version = importlib.metadata.version("pillow-heif")
        return f"Image.save({call}), Pillow {PIL.__version__}, pillow-heif {version}, libheif {info['libheif']}, {info['HEIF']}"

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "chroma": self.subsampling.replace(":", ""),
            "enc_params": {"preset": "slow", "tune": "psnr", "x265:pools": "none"},
        }

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode at a quality from 0 to 100 (75 when nothing is asked), or at a rate; see `_encode_lossy`.

        Raises:
            CodecError: also where pillow-heif is not installed.
        """
        _register_heif()

        def at(value: int) -> bytes:
            return _save(self.name, picture, "HEIF", {**self._options, "quality": value})

        return _encode_lossy(self.name, at, range(101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`.

        Raises:
            CodecError: pillow-heif is not installed.
        """
        _register_heif()
        return _decode(self.name, ("HEIF",), data, size)


_DEFAULT_QUALITY = 75


def _encode_lossy(
    name: str,
    at: Callable[[int], bytes],
    qualities: range,
    picture: Tensor,
    quality: int | None,
    bpp: float | None,
) -> bytes:
    """Encode a picture, rounded to 8 bits, at a quality or at a rate.

    Args:
        name: the codec, for messages.
        at: the encoder: the file at a quality.
        qualities: the whole numbers that the encoder takes.
        picture: (3, H, W).
        quality: one of them; or
        bpp: the most bits per pixel the file may have: the largest quality that fits, found by bisection.
            Files grow with quality, with exceptions of a few bytes (a few per cent for JPEG XL); the result
            fits in any case.

    Returns:
        The file.

    Raises:
        CodecError: both quality and bpp, a value out of range, a rate that even the lowest quality exceeds,
            a picture too large for the format.
        ImageError: not a picture.
    """
    if quality is not None and bpp is not None:
        raise CodecError(f"{name} takes a quality or a rate (bpp), not both.")
    _check_bpp(bpp)
    if bpp is not None:
        data = _largest_within(at, qualities, lambda file: bits_per_pixel(file, picture) <= bpp)
        if data is None:
            smallest = bits_per_pixel(at(qualities[0]), picture)
            raise CodecError(
                f"{name} can't reach {bpp:g} bpp on this picture: its smallest file (quality {qualities[0]}) "
                f"has {smallest:.3f} bpp."
            )
        return data
    try:
        value = _DEFAULT_QUALITY if quality is None else operator.index(quality)
    except TypeError:
        raise CodecError(f"a quality is a whole number, not {quality!r}.") from None
    if value not in qualities:
        raise CodecError(f"{name}'s quality goes from {qualities[0]} to {qualities[-1]}, not {value}.")
    return at(value)


def _largest_within(at: Callable[[int], bytes], qualities: range, fits: Callable[[bytes], bool]) -> bytes | None:
    """The file of the largest quality that fits, by bisection; None when not even the lowest does."""
    low, high, best = 0, len(qualities) - 1, None
    while low <= high:
        middle = (low + high) // 2
        data = at(qualities[middle])
        if fits(data):
            low, best = middle + 1, data
        else:
            high = middle - 1
    return best


def _save(name: str, picture: Tensor, format_: str, options: Mapping[str, Any]) -> bytes:
    image = Image.fromarray(images.to_uint8(picture))
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=format_, **options)
    except KeyError:
        raise CodecError(f"the installed Pillow was built without {format_}.") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise CodecError(
            f"{name} can't encode this picture of {image.height}x{image.width} (height x width): {_one_line(error)}."
        ) from error
    return buffer.getvalue()


def _decode(name: str, formats: tuple[str, ...], data: bytes, size: tuple[int, int] | None) -> Tensor:
    """Decode a file.

    Args:
        name: the codec, for messages.
        formats: Pillow's names of the formats to accept.
        data: the file.
        size: (height, width) of the result; None for the picture's own. Another size is made by bicubic
            interpolation of the decoded 8-bit picture.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        BitstreamError: other bytes than this codec's, damaged or cut short.
        ImageError: a size of zero or beyond the limit.
    """
    if size is not None:
        size = images.check_size(size)
    try:
        picture = images.load_bytes(data, f"this {name} file", formats)
    except images.ImageError as error:
        raise BitstreamError(str(error)) from error
    return picture if size is None else images.resize(picture, size)


def _settings(format_: str, options: Mapping[str, Any], library: str) -> str:
    """For example: Image.save(format='JPEG', …), Pillow 13.0.0, libjpeg_turbo 3.2.0."""
    call = ", ".join(f"{key}={value!r}" for key, value in {"format": format_, **options}.items())
    return f"Image.save({call}), Pillow {PIL.__version__}, {library} {features.version(library)}"


def _jpegxl_distance(quality: int) -> float:
    """The distance (visible error; 1 is about the threshold of seeing it) that libjxl's tools use for a quality.

    From 30 on 0.1 + 0.09 (100 − q), below 53/3000 q² − 23/20 q + 25, as JxlEncoderDistanceFromQuality in libjxl's
    encode.cc; but 0.1 at 100, where libjxl would turn lossless.

    Args:
        quality: 0 to 100.

    Example:
        >>> [round(_jpegxl_distance(quality), 2) for quality in (5, 30, 90, 100)]
        [19.69, 6.4, 1.0, 0.1]
    """
    if quality >= 30:
        return 0.1 + 0.09 * (100 - quality)
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


# Widths that a header gives as a ratio to the height (ISO/IEC 18181-1, SizeHeader).
_JPEGXL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def _jpegxl_size(data: bytes) -> tuple[int, int]:
    """Height and width in the header of a bare JPEG XL codestream with default metadata.

    Example:
        >>> _jpegxl_size(bytes.fromhex("ff0af8cf0100130800000000"))
        (512, 768)

    Raises:
        BitstreamError: other bytes, or other metadata.
    """
    if data[:2] != b"\xff\x0a":
        raise BitstreamError(
            "this jpegxl file is no bare JPEG XL codestream, or its start is damaged (files with a container are not read here)."
        )
    if len(data) < 12:  # the longest of these headers has 9 bytes, and a frame needs more than 3
        raise BitstreamError("this jpegxl file is cut short.")
    header, position = int.from_bytes(data[2:12], "little"), 0

    def bits(count: int) -> int:
        nonlocal position
        value = header >> position & ((1 << count) - 1)
        position += count
        return value

    small = bits(1)

    def side() -> int:
        return 8 * (1 + bits(5)) if small else 1 + bits((9, 13, 18, 30)[bits(2)])

    height = side()
    ratio = bits(3)
    if ratio:
        numerator, denominator = _JPEGXL_RATIOS[ratio]
        width = height * numerator // denominator
    else:
        width = side()
    if not bits(1):
        raise BitstreamError("this jpegxl file is not 8-bit sRGB alone (alpha, animation, a profile), which is not read here.")
    return height, width


def _register_heif() -> None:
    """Give Pillow its HEIF plugin; from then on `images.load` reads HEIC pictures, too."""
    if "HEIF" in Image.SAVE:
        return
    try:
        import pillow_heif
    except ImportError:
        raise CodecError(
            "heic needs the optional package pillow-heif: pip install 'inr-compression-course[heic]' "
            "(its wheels hold x265, which is under the GPL)."
        ) from None
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _check_subsampling(subsampling: str) -> None:
    if subsampling not in ("4:2:0", "4:4:4"):
        raise CodecError(f"the subsampling is '4:2:0' or '4:4:4', not {subsampling!r}.")


def _check_bpp(bpp: float | None) -> None:
    if bpp is not None and not 0 < bpp < float("inf"):
        raise CodecError(f"a rate (bpp) is a number above 0, not {bpp!r}.")


CODECS: Mapping[str, ClassicalCodec] = MappingProxyType(
    {codec.name: codec for codec in (Jpeg(), Jpeg("4:4:4"), Png(), WebP(), Avif(), Jpeg2000(), JpegXl(), Heic())}
)
"""The codecs by name: jpeg, jpeg-444, png, webp, avif, jpeg2000, jpegxl, heic."""

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".jpg": "jpeg",
        ".jpeg": "jpeg",
        ".webp": "webp",
        ".avif": "avif",
        ".jp2": "jpeg2000",
        ".jxl": "jpegxl",
        ".heic": "heic",
    }
)
"""Which codec of `CODECS` decodes a compressed file, by the suffix of its name."""
