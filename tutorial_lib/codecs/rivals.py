"""The film and sound codecs everyone has, behind one interface: a clip or a sound in, bytes out, and back.

What comes with Pillow and NumPy always works (an AVIF sequence is AV1); H.264, FLAC and Opus need PyAV (the extra ``video``).
Settings are pinned, as `codecs.classical`'s are. All rivals are rows of one table at the end of this file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image

from tutorial_lib import images
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.signals import Clip, Kind, Signal, SignalError, Sound
from tutorial_lib.signals.files import (
    pyav,
    read_animated,
    read_film,
    read_sound,
    to_int16,
    write_animated,
    write_film,
    write_sound,
)

OPUS_RATE = 48_000
"""What Opus is decoded at, whatever went in."""


@dataclass(frozen=True, eq=False)
class Rival:
    """A codec of films or sounds of somebody else's, at pinned settings.

    Args:
        name: in `RIVALS`.
        kind: "film" or "sound".
        write: a signal and a quality to a file's bytes.
        read: and back.
        qualities: what it takes as quality, from the fewest bytes to the most; a sole one where nothing can be chosen.
        pyav: whether it needs PyAV.
        settings: of the encoder, to be kept beside every number.
    """

    name: str
    kind: Kind
    write: Callable[[Any, int], bytes]
    read: Callable[[bytes], Signal]
    qualities: range
    pyav: bool
    settings: str

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        try:
            return not self.pyav or bool(pyav(self.name))
        except SignalError:
            return False

    def encode(self, signal: Signal, *, quality: int | None = None, bpp: float | None = None, kbps: float | None = None) -> bytes:
        """Encode at a quality, or at the best one that a rate allows; the middle one if neither is given.

        Args:
            signal: a clip, rounded to 8 bits, or a sound, rounded to 16.
            quality: one of `qualities`.
            bpp: the most bits for each pixel of each frame (each sample); or
            kbps: the most thousands of bits a second.

        Raises:
            CodecError: another kind of signal, more than one wish, no such quality, a rate that isn't reached, PyAV missing.
        """
        if signal.kind != self.kind:
            raise CodecError(f"{self.name} encodes a {self.kind}, not a {signal.kind}")
        if sum(wish is not None for wish in (quality, bpp, kbps)) > 1:
            raise CodecError(f"{self.name} takes a quality or a rate, not several")
        if quality is not None and quality not in self.qualities:
            raise CodecError(f"{self.name}'s quality is one of {self.qualities}, not {quality}")
        if bpp is None and kbps is None:
            return self._at(signal, self.qualities[len(self.qualities) // 2] if quality is None else quality)
        most = bpp * math.prod(signal.size) / 8 if bpp is not None else 125 * (kbps or 0.0) * signal.seconds
        low, high, best, data = 0, len(self.qualities) - 1, None, b""
        while low <= high:
            middle = (low + high) // 2
            data = self._at(signal, self.qualities[middle])
            low, high, best = (middle + 1, high, data) if len(data) <= most else (low, middle - 1, best)
        if best is None:
            raise CodecError(f"{self.name} can't reach {most:,.0f} bytes: its smallest file takes {len(data):,}")
        return best

    def decode(self, data: bytes) -> Signal:
        """Decode a file of `encode`'s.

        Raises:
            BitstreamError: other bytes, damaged or cut short.
            CodecError: PyAV missing.
        """
        if not self.available:
            raise CodecError(f"{self.name} needs PyAV: pip install 'inr-compression-course[video]'")
        try:
            return self.read(data)
        except (SignalError, images.ImageError) as error:
            raise BitstreamError(str(error)) from error

    def _at(self, signal: Signal, quality: int) -> bytes:
        try:
            return self.write(signal, quality)
        except (OSError, KeyError, ValueError) as error:
            raise CodecError(f"{self.name} can't encode this {self.kind}: {' '.join(str(error).split())}") from error


# ------------------------------------------------------------------------------------------ films


def _write_mjpeg(clip: Clip, quality: int) -> bytes:
    """Rate, number and height of the frames, then one JPEG of all of them, below each other.

    It is what motion JPEG can be at its best: each frame is coded for itself, and the tables, optimized for all, stand there
    once. 4:4:4, since at 96×64 it is smaller than 4:2:0 from 26 dB on (Big Buck Bunny at 29.8 dB: 75,039 and 62,000 bytes).
    """
    frames = torch.nn.functional.pad(clip.frames, (0, 0, 0, -clip.size[1] % 8), mode="replicate")
    buffer = io.BytesIO()
    image = Image.fromarray(images.to_uint8(torch.cat([*frames], dim=1)))
    image.save(buffer, "JPEG", quality=quality, subsampling="4:4:4", optimize=True)
    return b"".join(map(varint, (round(1000 * clip.fps), *clip.size[:2]))) + buffer.getvalue()


def _read_mjpeg(data: bytes) -> Clip:
    reader = Reader(data, "motion JPEG file")
    rate, count, height = reader.varint(), reader.varint(), reader.varint()
    picture = images.load_bytes(data[reader.position :], "this motion JPEG file", ("JPEG",))
    if not (rate and count and height) or picture.shape[1] != count * -(-height // 8) * 8:
        raise BitstreamError("this motion JPEG file has other frames than its head says")
    frames = picture.unflatten(1, (count, -1)).transpose(0, 1)[:, :, :height]
    return Clip(frames.contiguous(), rate / 1000)


def _by_pillow(name: str, format_: str, options: dict[str, Any], shown: str) -> Rival:
    def write(clip: Clip, quality: int) -> bytes:
        return write_animated(clip, format_, {"quality": quality, **options})

    def read(data: bytes) -> Clip:
        return read_animated(data, f"this {name} file", (format_,))

    return Rival(name, "film", write, read, range(101), False, f"Image.save({shown}, quality=…)")


def _by_pyav(name: str, codec: str, options: dict[str, str], pixels: str, worst: int) -> Rival:
    """A film codec of FFmpeg's in an mp4 file, its rate factor from ``worst`` down."""

    def write(clip: Clip, quality: int) -> bytes:
        return write_film(clip, "mp4", codec, {"crf": str(quality), **options}, pixels)

    def read(data: bytes) -> Clip:
        return read_film(io.BytesIO(data), f"this {name} file.mp4")

    return Rival(name, "film", write, read, range(worst, 0, -1), True, f"{codec}, {pixels}, {options}, crf, one thread, mp4")


# ------------------------------------------------------------------------------------------ sounds


def _head(sound: Sound) -> bytes:
    return bytes([len(sound.samples)]) + varint(round(sound.rate)) + varint(sound.size[0])


def _read_head(reader: Reader) -> tuple[int, int, int]:
    """Channels, rate, samples: checked against what the file has."""
    channels, rate, count = reader.byte(), reader.varint(), reader.varint()
    if channels not in (1, 2) or rate < 1 or not 1 <= channels * count <= 2 * len(reader.data):
        raise BitstreamError(f"a sound of {channels} channels and {count} samples at {rate} Hz is impossible here")
    return channels, rate, count


def _write_mu_law(sound: Sound, _: int) -> bytes:
    """8 bits a sample, spaced logarithmically: ITU-T G.711's μ = 255, as a formula."""
    heard = sound.samples.numpy()
    levels = np.sign(heard) * np.log1p(255 * np.abs(heard).clip(0, 1)) / math.log(256)
    return _head(sound) + np.round(levels * 127 + 128).astype(np.uint8).tobytes()


def _read_mu_law(data: bytes) -> Sound:
    reader = Reader(data, "μ-law file")
    channels, rate, count = _read_head(reader)
    levels = (np.frombuffer(reader.take(channels * count), np.uint8).astype(np.float32) - 128) / 127
    reader.end()
    heard = np.sign(levels) * np.expm1(np.abs(levels) * math.log(256)) / 255
    return Sound(torch.from_numpy(heard.reshape(channels, count).astype(np.float32)), rate)


_STEPS = np.array([int(7 * 1.1**index + 0.5) for index in range(89)])
_INDEX = (-1, -1, -1, -1, 2, 4, 6, 8)


def _adpcm(count: int, code_of: Callable[[int, int, int], int]) -> list[int]:
    """The decoder's samples, in the loop that coder and decoder share: ``code_of(index, prediction, step)`` gives 4 bits."""
    heard, prediction, at = [], 0, 0
    for index in range(count):
        step = int(_STEPS[at])
        code = code_of(index, prediction, step)
        change = step * (2 * (code & 7) + 1) // 8
        prediction = min(max(prediction + (-change if code & 8 else change), -32768), 32767)
        at = min(max(at + _INDEX[code & 7], 0), 88)
        heard.append(prediction)
    return heard


def _write_adpcm(sound: Sound, _: int) -> bytes:
    """4 bits a sample: the difference to the last one, in steps that grow and shrink with it (as IMA's ADPCM)."""
    written = _head(sound)
    for channel in to_int16(sound).T.astype(int).tolist():
        codes: list[int] = []

        def code_of(index: int, prediction: int, step: int, channel: list[int] = channel, codes: list[int] = codes) -> int:
            difference = channel[index] - prediction
            codes.append(min(abs(difference) * 4 // step, 7) | (8 if difference < 0 else 0))
            return codes[-1]

        _adpcm(len(channel), code_of)
        pairs = np.array([*codes, *[0] * (len(codes) % 2)], np.uint8).reshape(-1, 2)
        written += (pairs[:, 0] | pairs[:, 1] << 4).tobytes()
    return written


def _read_adpcm(data: bytes) -> Sound:
    reader = Reader(data, "ADPCM file")
    channels, rate, count = _read_head(reader)
    heard = []
    for _ in range(channels):
        packed = np.frombuffer(reader.take(-(-count // 2)), np.uint8)
        codes = np.stack([packed & 15, packed >> 4], axis=1).ravel().tolist()
        heard.append(_adpcm(count, lambda index, *_, codes=codes: codes[index]))
    reader.end()
    return Sound(torch.tensor(heard, dtype=torch.float32) / 32768, rate)


def _write_flac(sound: Sound, _: int) -> bytes:
    return write_sound(sound, "flac", "flac", {"compression_level": "12"})


def _read_flac(data: bytes) -> Sound:
    return read_sound(io.BytesIO(data), "this flac file.flac")


def _write_opus(sound: Sound, kbps: int) -> bytes:
    """Rate and number of samples, which Opus doesn't keep, and an Ogg file at ``kbps``."""
    return _head(sound) + write_sound(sound, "ogg", "libopus", {"compression_level": "10"}, 1000 * kbps)


def _read_opus(data: bytes) -> Sound:
    reader = Reader(data, "Opus file")
    channels, rate, count = reader.byte(), reader.varint(), reader.varint()
    sound = read_sound(io.BytesIO(reader.take(len(data) - reader.position)), "this opus file.opus", rate)
    missing = count - sound.size[0]
    if channels != len(sound.samples) or abs(missing) > OPUS_RATE:
        raise BitstreamError("this Opus file holds another sound than its head says")
    return Sound(torch.nn.functional.pad(sound.samples, (0, max(missing, 0)))[:, :count].contiguous(), rate)


_TABLE = (
    Rival("mjpeg", "film", _write_mjpeg, _read_mjpeg, range(1, 101), False, "libjpeg-turbo, 4:4:4, optimized tables once"),
    _by_pillow("webp-animated", "WEBP", {"method": 6, "minimize_size": True}, "WEBP, method=6, minimize_size=True"),
    _by_pillow(
        "avif-sequence",
        "AVIF",
        {"subsampling": "4:4:4", "speed": 4, "codec": "aom", "max_threads": 1, "autotiling": False},
        "AVIF, 4:4:4, speed=4, aom",
    ),
    _by_pyav("h264", "libx264", {"preset": "veryslow"}, "yuv444p", 51),
    Rival("mu-law", "sound", _write_mu_law, _read_mu_law, range(1), False, "8 bits a sample, μ = 255"),
    Rival("adpcm", "sound", _write_adpcm, _read_adpcm, range(1), False, "4 bits a sample"),
    Rival("flac", "sound", _write_flac, _read_flac, range(1), True, "16 bits, compression level 12"),
    Rival("opus", "sound", _write_opus, _read_opus, range(6, 129), True, "libopus, complexity 10, variable rate, Ogg"),
)

RIVALS: Mapping[str, Rival] = MappingProxyType({rival.name: rival for rival in _TABLE})
"""By name."""
