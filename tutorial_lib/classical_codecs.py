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
        return _encode_lossy(self.name, "JPEG", self._options, range(1, 101), picture, quality, bpp)

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
        return _encode_lossy(self.name, "WEBP", self._options, range(101), picture, quality, bpp)

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
        return _encode_lossy(self.name, "AVIF", self._options, range(101), picture, quality, bpp)

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode; see `_decode`."""
        return _decode(self.name, ("AVIF",), data, size)


_DEFAULT_QUALITY = 75


def _encode_lossy(
    name: str,
    format_: str,
    options: Mapping[str, Any],
    qualities: range,
    picture: Tensor,
    quality: int | None,
    bpp: float | None,
) -> bytes:
    """Encode a picture, rounded to 8 bits, at a quality or at a rate.

    Args:
        name: the codec, for messages.
        format_: Pillow's name of the format.
        options: Pillow's encoder options, without the quality.
        qualities: the whole numbers that the encoder takes.
        picture: (3, H, W).
        quality: one of them; or
        bpp: the most bits per pixel the file may have: the largest quality that fits, found by bisection.
            Files grow with quality, with rare exceptions of a few bytes; the result fits in any case.

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

    def at(value: int) -> bytes:
        return _save(name, picture, format_, {**options, "quality": value})

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


def _largest_within(
    at: Callable[[int], bytes], qualities: range, fits: Callable[[bytes], bool]
) -> bytes | None:
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
    except (OSError, ValueError) as error:
        raise CodecError(
            f"{name} can't encode this picture of {image.height}x{image.width} (height x width): {error}."
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


def _check_subsampling(subsampling: str) -> None:
    if subsampling not in ("4:2:0", "4:4:4"):
        raise CodecError(f"the subsampling is '4:2:0' or '4:4:4', not {subsampling!r}.")


def _check_bpp(bpp: float | None) -> None:
    if bpp is not None and not 0 < bpp < float("inf"):
        raise CodecError(f"a rate (bpp) is a number above 0, not {bpp!r}.")


CODECS: Mapping[str, ClassicalCodec] = MappingProxyType(
    {codec.name: codec for codec in (Jpeg(), Jpeg("4:4:4"), Png(), WebP(), Avif())}
)
"""The codecs by name: jpeg, jpeg-444, png, webp, avif."""
