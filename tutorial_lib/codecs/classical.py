"""The codecs everyone has, behind the interface of the learned ones: a picture in, bytes out, and back.

The bytes are ordinary files that any viewer opens. Encoder settings are pinned and can be printed
(`ClassicalCodec.settings`), because "JPEG" is not one codec: two published JPEG curves of the Kodak suite differ by 12 % of
rate. All codecs are rows of one table at the end of this file; functions stand before it where a format needs its own.

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
from typing import Any

import numpy as np
import PIL
from PIL import Image, features
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.metrics import bits_per_pixel

DEFAULT_QUALITY = 75


def _write_by_pillow(codec: ClassicalCodec, pixels: np.ndarray, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=codec.format, **options)
    return buffer.getvalue()


def _read_by_pillow(codec: ClassicalCodec, data: bytes) -> Tensor:
    try:
        return images.load_bytes(data, f"this {codec.name} file", codec.reads or (codec.format,))
    except images.ImageError as error:
        raise BitstreamError(str(error)) from error


def _pillow_versions(codec: ClassicalCodec) -> str:
    """For example: Pillow 13.0.0, libjpeg_turbo 3.2.0."""
    return f"Pillow {PIL.__version__}, {codec.library} {features.version(codec.library)}"


@dataclass(frozen=True, eq=False)
class ClassicalCodec:
    """A codec of somebody else's at pinned settings; where a format differs from what Pillow does, it brings a function."""

    name: str  # in `CODECS`
    format: str  # as Pillow calls it
    options: Mapping[str, Any]  # of the encoder, besides the quality
    qualities: range | None  # the whole numbers that it takes as quality; None when it is lossless
    library: str = ""  # the encoder in Pillow's `features`
    suffixes: tuple[str, ...] = ()  # of the names of its files
    reads: tuple[str, ...] = ()  # Pillow's names of the formats it decodes, where there are more than `format`
    scale: Callable[[int], dict[str, Any]] = lambda quality: {"quality": quality}  # the encoder's options for a quality
    shown_scale: str = ""  # and what `settings` says of them
    call: str = "Image.save"  # the encoder, for `settings`
    versions: Callable[[ClassicalCodec], str] = _pillow_versions
    write: Callable[[ClassicalCodec, np.ndarray, Mapping[str, Any]], bytes] = _write_by_pillow  # pixels (H, W, 3) to a file
    read: Callable[[ClassicalCodec, bytes], Tensor] = _read_by_pillow  # a file to a picture, or `BitstreamError`
    prepare: Callable[[], None] = lambda: None  # before encoding and decoding

    @property
    def settings(self) -> str:
        """The encoder call and the versions behind it, to be kept beside every number."""
        named = {"format": self.format, **self.options} if self.write is _write_by_pillow else self.options
        options = ", ".join(f"{key}={value!r}" for key, value in named.items())
        return f"{self.call}({options}{self.shown_scale}), {self.versions(self)}"

    def encode(self, picture: Tensor, *, quality: int | None = None, bpp: float | None = None) -> bytes:
        """Encode a picture, rounded to 8 bits, at a quality or at a rate.

        Args:
            picture: (3, H, W).
            quality: one of `qualities`; 75 when neither is given. Not for PNG. Or
            bpp: the most bits per pixel the file may have: the largest quality that fits, found by bisection. Files grow with
                quality, with exceptions of a few bytes (a few per cent for JPEG XL); the result fits in any case.

        Returns:
            The file.

        Raises:
            CodecError: both quality and bpp, a value out of range, a rate that even the lowest quality exceeds,
                a picture too large for the format, an optional package that is missing.
            ImageError: not a picture.
        """
        self.prepare()
        if quality is not None and self.qualities is None:
            raise CodecError(f"{self.name} is lossless and has no quality to choose.")
        if quality is not None and bpp is not None:
            raise CodecError(f"{self.name} takes a quality or a rate (bpp), not both.")
        if bpp is not None:
            return self._within(picture, bpp)
        return self._at(picture, self._checked(DEFAULT_QUALITY if quality is None else quality))

    def decode(self, data: bytes, size: tuple[int, int] | None = None) -> Tensor:
        """Decode a file.

        Args:
            data: the file.
            size: (height, width) of the result; None for the picture's own. Another size is made by bicubic
                interpolation of the decoded 8-bit picture.

        Returns:
            picture (3, H, W), float32, RGB in [0, 1].

        Raises:
            BitstreamError: other bytes than this codec's, damaged or cut short.
            CodecError: an optional package is missing.
            ImageError: a size of zero or beyond the limit.
        """
        self.prepare()
        size = None if size is None else images.check_size(size)
        picture = self.read(self, data)
        return picture if size is None else images.resize(picture, size)

    def _checked(self, quality: int) -> int:
        try:
            quality = operator.index(quality)
        except TypeError:
            raise CodecError(f"a quality is a whole number, not {quality!r}.") from None
        if self.qualities and quality not in self.qualities:
            raise CodecError(f"{self.name}'s quality goes from {self.qualities[0]} to {self.qualities[-1]}, not {quality}.")
        return quality

    def _at(self, picture: Tensor, quality: int) -> bytes:
        pixels = images.to_uint8(picture)
        options = {**self.options, **(self.scale(quality) if self.qualities else {})}
        try:
            return self.write(self, pixels, options)
        except KeyError:
            raise CodecError(f"the installed Pillow was built without {self.format}.") from None
        except (OSError, ValueError, RuntimeError) as error:
            height, width = pixels.shape[:2]
            raise CodecError(
                f"{self.name} can't encode this picture of {height}x{width} (height x width): {_one_line(error)}."
            ) from error

    def _within(self, picture: Tensor, bpp: float) -> bytes:
        """The file of the largest quality that takes at most `bpp`, by bisection."""
        if not 0 < bpp < float("inf"):
            raise CodecError(f"a rate (bpp) is a number above 0, not {bpp!r}.")
        qualities = self.qualities or range(1)
        low, high, best = 0, len(qualities) - 1, None
        while low <= high:
            middle = (low + high) // 2
            data = self._at(picture, qualities[middle])
            if bits_per_pixel(data, picture) <= bpp:
                low, best = middle + 1, data
            else:
                high = middle - 1
        if best is None:
            smallest = bits_per_pixel(data, picture)  # the last one tried: bisection ends at the lowest
            takes = f"its smallest file (quality {qualities[0]}) has" if self.qualities else "it takes"
            raise CodecError(f"{self.name} can't reach {bpp:g} bpp on this picture: {takes} {smallest:.3f} bpp.")
        return best


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _read_jpeg2000(codec: ClassicalCodec, data: bytes) -> Tensor:
    # A file that stops before its first tile decodes to grey in OpenJPEG; no packet holds this end marker.
    if data and b"\xff\xd9" not in data:
        raise BitstreamError(f"this {codec.name} file is cut short, or no JPEG 2000 file.")
    return _read_by_pillow(codec, data)


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


def _write_jpegxl(_: ClassicalCodec, pixels: np.ndarray, options: Mapping[str, Any]) -> bytes:
    import imagecodecs  # not at the top: it takes a while to import, and few need it

    return bytes(imagecodecs.jpegxl_encode(pixels, **options))


def _read_jpegxl(codec: ClassicalCodec, data: bytes) -> Tensor:
    """Decode what `_write_jpegxl` writes: a bare codestream whose header says nothing but the size (8-bit sRGB, no alpha).

    The size is read before libjxl sees the data, and only the first frame is decoded. What libjxl needs
    besides the pixels for a hostile file's patches and reference frames is bounded by libjxl alone.
    """
    import imagecodecs

    height, width = _jpegxl_size(data)
    if height * width > images.MAX_PIXELS:
        raise BitstreamError(
            f"this {codec.name} file has more than {images.MAX_PIXELS:,} pixels, the most that this library opens."
        )
    try:
        pixels = imagecodecs.jpegxl_decode(data, index=0, numthreads=1)
    except (RuntimeError, ValueError) as error:
        raise BitstreamError(f"this {codec.name} file is damaged or cut short ({_one_line(error)}).") from error
    if pixels.shape != (height, width, 3):
        raise BitstreamError(f"this {codec.name} file is damaged: its header and its pixels differ in size.")
    return images.from_uint8(pixels)


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


def _jpegxl_versions(_: ClassicalCodec) -> str:
    import imagecodecs

    return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"


def _register_heif() -> None:
    if not images.register_heif():
        raise CodecError(
            "heic needs the optional package pillow-heif: pip install 'inr-compression-course[heic]' "
            "(its wheels hold x265, which is under the GPL)."
        )


def _heif_versions(_: ClassicalCodec) -> str:
    if importlib.util.find_spec("pillow_heif") is None:
        return "pillow-heif is not installed"
    import pillow_heif  # pyright: ignore[reportMissingImports]

    info, version = pillow_heif.libheif_info(), importlib.metadata.version("pillow-heif")
    return f"Pillow {PIL.__version__}, pillow-heif {version}, libheif {info['libheif']}, {info['HEIF']}"


_BASELINE = {"optimize": True, "progressive": False}
_AOM = {"codec": "aom", "max_threads": 1, "autotiling": False}
_OPENJPEG = {"progression": "LRCP", "codeblock_size": (64, 64), "no_jp2": False}
_X265 = {"preset": "slow", "tune": "psnr", "x265:pools": "none"}
_TABLE = (
    # Baseline JPEG with optimized Huffman tables, by the libjpeg-turbo in Pillow; colour at half the resolution, as cameras
    # and the web have it, and at the full one.
    ClassicalCodec(
        "jpeg", "JPEG", {"subsampling": "4:2:0", **_BASELINE}, range(1, 101), "libjpeg_turbo", (".jpg", ".jpeg"), ("JPEG", "MPO")
    ),
    ClassicalCodec(
        "jpeg-444", "JPEG", {"subsampling": "4:4:4", **_BASELINE}, range(1, 101), "libjpeg_turbo", (), ("JPEG", "MPO")
    ),
    # PNG, the lossless end of the scale: level-9 deflate with Pillow's choice of filters.
    ClassicalCodec("png", "PNG", {"optimize": True}, None, "zlib"),
    # Lossy WebP (a VP8 key frame, always 4:2:0), by libwebp at its slowest and best setting.
    ClassicalCodec("webp", "WEBP", {"lossless": False, "method": 6}, range(101), "webp", (".webp",)),
    # AVIF (an AV1 key frame), by libaom. One thread and no tiles: tiles would cost rate, and their number would follow the
    # machine's. Speed goes from 0 (best, very slow) to 10.
    ClassicalCodec("avif", "AVIF", {"subsampling": "4:4:4", "speed": 4, **_AOM}, range(101), "avif", (".avif",)),
    # JPEG 2000 Part 1, by the OpenJPEG in Pillow: irreversible 9/7 wavelet and colour transform, one layer, a .jp2 file. The
    # box around the codestream costs 85 bytes; most viewers open no bare codestream. Of the two ways in which OpenJPEG cuts
    # the bits, the one by PSNR is taken, since bytes grow with it: quality q asks for 10 + 0.4 q dB, 10 dB at 0, 40 dB at 75.
    # It estimates the error in the wavelet domain, so that the decoded picture is a little off this value.
    ClassicalCodec(
        "jpeg2000",
        "JPEG2000",
        {"irreversible": True, "mct": 1, "quality_mode": "dB", **_OPENJPEG},
        range(101),
        "jpg_2000",
        (".jp2",),
        scale=lambda quality: {"quality_layers": [10 + 0.4 * quality]},
        shown_scale=", quality_layers='[10 + 0.4 * quality]'",
        read=_read_jpeg2000,
    ),
    # JPEG XL's lossy mode (variable-size DCT in the XYB colour space), by the libjxl in imagecodecs; a bare codestream. Its
    # encoder aims at equal visible error, not at PSNR. The quality is that of libjxl's own tool `cjxl`; below 5 the encoder
    # would halve the picture's resolution, and its files would grow again. Effort goes from 1 (fast) to 9.
    ClassicalCodec(
        "jpegxl",
        "JXL",
        {"effort": 7, "lossless": False, "usecontainer": False, "numthreads": 1},
        range(5, 101),
        suffixes=(".jxl",),
        scale=lambda quality: {"distance": _jpegxl_distance(quality)},
        call="jpegxl_encode",
        versions=_jpegxl_versions,
        write=_write_jpegxl,
        read=_read_jpegxl,
    ),
    # HEIC: an HEVC intra picture, by the x265 in pillow-heif, an optional package. Stands in for BPG, which is HEVC intra in
    # a smaller container; x265 writes both. The preset is what x265 calls slow, tuned for PSNR, with 4:4:4 colour as in
    # CompressAI's curve of BPG. No thread pool: with one, the bytes could follow the number of the machine's cores.
    ClassicalCodec(
        "heic",
        "HEIF",
        {"chroma": "444", "enc_params": _X265},
        range(101),
        suffixes=(".heic",),
        versions=_heif_versions,
        prepare=_register_heif,
    ),
)

CODECS: Mapping[str, ClassicalCodec] = MappingProxyType({codec.name: codec for codec in _TABLE})
"""The codecs by name: jpeg, jpeg-444, png, webp, avif, jpeg2000, jpegxl, heic."""

SUFFIXES: Mapping[str, str] = MappingProxyType({suffix: codec.name for codec in _TABLE for suffix in codec.suffixes})
"""Which codec of `CODECS` decodes a compressed file, by the suffix of its name."""
