"""Films and sounds from files, and back: animated pictures by Pillow, wav by the standard library, the rest by PyAV.

PyAV is optional (the extra ``video``), because its wheels hold FFmpeg with x264 and x265, which are under the GPL.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import warnings
import wave
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageSequence

from tutorial_lib.images import MAX_PIXELS, from_uint8, to_uint8
from tutorial_lib.runtime import write_atomically
from tutorial_lib.signals.arrays import Clip, Signal, SignalError, Sound

ANIMATED: dict[str, tuple[str, dict[str, Any]]] = {
    ".gif": ("GIF", {"loop": 0}),
    ".webp": ("WEBP", {"loop": 0, "quality": 90, "method": 4}),
    ".avif": ("AVIF", {"quality": 90, "subsampling": "4:4:4", "speed": 6}),
    ".png": ("PNG", {"loop": 0}),
    ".apng": ("PNG", {"loop": 0}),
}
"""What Pillow reads and writes, by suffix, with the options it writes with."""

_FORMATS = ("GIF", "WEBP", "AVIF", "PNG")

FILMS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska"}
SOUNDS = {".flac": "flac", ".mp3": "mp3", ".ogg": "ogg", ".opus": "ogg"}
"""What PyAV reads, by suffix: FFmpeg's name of the container, so that it tries no other on the file."""

FILM_SUFFIXES = (*ANIMATED, *FILMS)
SOUND_SUFFIXES = (".wav", *SOUNDS)
_MAX_BYTES = 1 << 30
_MOST_REPEATED = 8
_PLAYED = 25.0
"""Frames a second of a film that doesn't say."""


def pyav(name: str) -> Any:
    """The module av.

    Raises:
        SignalError: it is not installed; ``name`` says what needs it.
    """
    try:
        import av  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise SignalError(
            f"{name} needs PyAV: pip install 'inr-compression-course[video]' (its wheels hold x264 and x265, under the GPL)"
        ) from None
    return av


def is_film(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a film: by its suffix, of a picture that may be animated by how many frames are in it."""
    suffix = Path(path).suffix.lower()
    if suffix not in ANIMATED:
        return suffix in FILMS
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return getattr(image, "n_frames", 1) > 1
    except Exception:  # Pillow's readers raise almost anything on damaged files
        return False


def load(path: str | os.PathLike[str], frames: int | None = None) -> Signal:
    """A film or a sound, by the file's suffix; see `load_clip` and `load_sound`."""
    return load_sound(path) if Path(path).suffix.lower() in SOUND_SUFFIXES else load_clip(path, frames)


def load_clip(path: str | os.PathLike[str], frames: int | None = None) -> Clip:
    """Read a film: .gif, .webp, .avif, .png, .apng, or with PyAV .mp4, .mov, .mkv, .webm.

    An animated picture is seen over white; a picture that is shown longer than others becomes several frames.

    Args:
        path: the file; its sound is left out.
        frames: only the first so many.

    Raises:
        SignalError: a file that isn't there, is no film or damaged, has too many pixels, or needs PyAV.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise SignalError(f"{path}: a film is one of {', '.join(FILM_SUFFIXES)}")
    if frames is not None and frames < 1:
        raise SignalError(f"a film has one frame at least, not {frames}")
    data, name = _content(path), os.fspath(path)
    if suffix in FILMS:
        return read_film(io.BytesIO(data), name, frames)
    return read_animated(data, name, _FORMATS, frames)


def read_animated(data: bytes, name: str, formats: tuple[str, ...], frames: int | None = None) -> Clip:
    """The film in an animated picture of one of Pillow's ``formats``; errors as `load_clip`, with ``name`` in them."""
    pictures, milliseconds = [], list[int]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _check_size(name, 1, image.height, image.width)
                for frame in ImageSequence.Iterator(image):
                    _check_size(name, len(pictures) + 1, image.height, image.width)
                    shown = frame.convert("RGBA")
                    milliseconds.append(round(frame.info.get("duration") or 0))
                    page = Image.new("RGBA", shown.size, "white")
                    pictures.append(from_uint8(np.asarray(Image.alpha_composite(page, shown).convert("RGB"))))
                    if len(pictures) == frames:
                        break
            frames_of = torch.stack(pictures)
        except SignalError:
            raise
        except Exception as error:  # Pillow's readers raise almost anything on damaged files
            raise SignalError(f"{name} is no {' or '.join(formats)} film, or damaged ({_reason(error)})") from error
    counts = _repeats(milliseconds)
    if sum(counts) > MAX_PIXELS // pictures[0][0].numel():
        counts = [1] * len(pictures)
    fps = 1000 * sum(counts) / sum(milliseconds) if sum(milliseconds) else _PLAYED
    return Clip(frames_of.repeat_interleave(torch.tensor(counts), 0)[:frames], fps)


def _repeats(milliseconds: list[int]) -> list[int]:
    """How often each picture of an animation is a frame: encoders join equal frames into a longer one, and round times.

    Once each where that would take more than `_MOST_REPEATED` times as many: then the pictures are spaced evenly.
    """
    once = [1] * len(milliseconds)
    for unit in (min(milliseconds), math.gcd(*milliseconds)):
        counts = [round(long / unit) for long in milliseconds] if unit else once
        near = all(abs(long - count * unit) <= 10 * count for long, count in zip(milliseconds, counts, strict=True))
        if near and sum(counts) <= _MOST_REPEATED * len(counts):
            return counts
    return once


def read_film(file: IO[bytes], name: str, frames: int | None = None) -> Clip:
    """The film in an open file, by PyAV; errors as `load_clip`."""
    av, pictures = pyav(name), []
    try:
        with av.open(file, format=FILMS[Path(name).suffix.lower()]) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or _PLAYED)
            for frame in container.decode(stream):
                _check_size(name, len(pictures) + 1, frame.height, frame.width)
                picture = from_uint8(frame.to_ndarray(format="rgb24"))
                pictures.append(torch.rot90(picture, round(frame.rotation / 90), (1, 2)))  # as a phone held upright has it
                if len(pictures) == frames:
                    break
            return Clip(torch.stack(pictures), rate)
    except SignalError:
        raise
    except Exception as error:  # FFmpeg's, and those of a file without pictures or with pictures of two sizes
        raise SignalError(f"{name} is no film that can be read, or damaged ({_reason(error)})") from error


def save_clip(clip: Clip, path: str | os.PathLike[str]) -> None:
    """Write a film, rounded to 8 bits: lossless .png, .apng; lossy .webp, .avif, .gif (256 colours); with PyAV .mp4 and others.

    Raises:
        SignalError: an unknown suffix, a missing folder, PyAV missing, or a file that can't be written.
    """
    path = check_writable(path, "film")
    try:
        suffix = path.suffix.lower()
        if suffix in FILMS:
            return write_atomically(path, write_film(clip, FILMS[suffix], "libx264", {"crf": "16", "preset": "medium"}))
        format_, options = ANIMATED[suffix]
        write_atomically(path, write_animated(clip, format_, options))
    except (OSError, ValueError, KeyError) as error:  # KeyError: a Pillow built without this format
        raise error if isinstance(error, SignalError) else SignalError(f"{path} can't be written: {_reason(error)}") from error


def write_animated(clip: Clip, format_: str, options: dict[str, Any]) -> bytes:
    """The bytes of an animated picture; frames begin at whole milliseconds, in a GIF at hundredths of a second.

    Raises:
        SignalError: more frames a second than the format has times for.
    """
    unit, most = (10, 50) if format_ == "GIF" else (1, 1000)
    if clip.fps > most:
        raise SignalError(f"{format_} shows {most} frames a second at most, not {clip.fps:g}")
    buffer = io.BytesIO()
    first, *rest = [Image.fromarray(to_uint8(frame)) for frame in clip.frames]
    begins = [unit * round(1000 * index / clip.fps / unit) for index in range(len(rest) + 2)]
    durations = [end - begin for begin, end in itertools.pairwise(begins)]
    first.save(buffer, format_, save_all=True, append_images=rest, duration=durations if rest else durations[0], **options)
    return buffer.getvalue()


def write_film(clip: Clip, container: str, codec: str, options: dict[str, str], pixels: str | None = None) -> bytes:
    """The bytes of a film by PyAV, one thread; colour at half the resolution if both sides are even, unless ``pixels`` says."""
    av, buffer = pyav("a film"), io.BytesIO()
    _, height, width = clip.size
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=Fraction(clip.fps).limit_denominator(1001), options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = pixels or ("yuv420p" if width % 2 == height % 2 == 0 else "yuv444p")
        stream.codec_context.thread_count = 1
        for frame in clip.frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(to_uint8(frame), format="rgb24")))
        file.mux(stream.encode(None))
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------ sounds


def load_sound(path: str | os.PathLike[str]) -> Sound:
    """Read a sound of one or two channels: .wav of 8, 16, 24 or 32 bits, or with PyAV .flac, .mp3, .ogg, .opus.

    Raises:
        SignalError: a file that isn't there, is no sound or damaged, has other channels, or needs PyAV.
    """
    suffix, data, name = Path(path).suffix.lower(), _content(path), os.fspath(path)
    if suffix in SOUNDS:
        return read_sound(io.BytesIO(data), name)
    if suffix != ".wav":
        raise SignalError(f"{path}: a sound is one of {', '.join(SOUND_SUFFIXES)}")
    try:
        with wave.open(io.BytesIO(_plain(data))) as file:
            channels, width, rate, count = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
            samples = _integers(file.readframes(count), width)
            if len(samples) < count * channels and count < _UNKNOWN_LENGTH:
                raise wave.Error(f"{count:,} samples are promised, {len(samples) // channels:,} are there")
    except (wave.Error, EOFError, ValueError) as error:
        raise SignalError(f"{name} is no wav file of whole numbers, or damaged ({_reason(error)})") from error
    if channels not in (1, 2):
        raise SignalError(f"{name} has {channels} channels: one or two are read")
    samples = samples[: len(samples) // channels * channels].reshape(-1, channels).T
    if samples.size == 0 or rate == 0:
        raise SignalError(f"{name} holds {'no samples' if rate else 'a sound of 0 samples a second'}")
    return Sound(torch.from_numpy(np.ascontiguousarray(samples)), rate)


_UNKNOWN_LENGTH = 1 << 28
"""Samples: more than a file may have that is read; what is written into a pipe promises as many as there can be."""


def _plain(wav: bytes) -> bytes:
    """The file with the plain format tag where its extensible one means the same; `wave` reads that from Python 3.12 on."""
    tag = wav.find(b"fmt ", 0, 4096) + 8
    extensible = tag > 7 and wav[tag : tag + 2] == b"\xfe\xff" and wav[tag + 24 : tag + 26] == b"\x01\x00"
    return wav[:tag] + b"\x01\x00" + wav[tag + 2 :] if extensible else wav


def _integers(data: bytes, width: int) -> np.ndarray:
    """PCM of 1, 2, 3 or 4 bytes a sample in [−1, 1), float32; one byte counts from −128."""
    raw = np.frombuffer(data[: len(data) // width * width], np.uint8).reshape(-1, width)
    if width == 1:
        return (raw[:, 0].astype(np.float32) - 128) / 128
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 4 - width :] = raw
    return (padded.view("<i4")[:, 0] / 2.0**31).astype(np.float32)


def save_sound(sound: Sound, path: str | os.PathLike[str]) -> None:
    """Write a sound: .wav of 16 bits, or with PyAV .flac.

    Raises:
        SignalError: an unknown suffix, a missing folder, PyAV missing, or a file that can't be written.
    """
    path = check_writable(path, "sound")
    try:
        if path.suffix.lower() == ".wav":
            write_atomically(path, write_wav(sound))
        else:
            write_atomically(path, write_sound(sound, "flac", "flac", {}))
    except OSError as error:
        raise SignalError(f"{path} can't be written: {_reason(error)}") from error


def to_int16(sound: Sound) -> np.ndarray:
    """(N, C) whole numbers, little-endian, as a file has them."""
    levels = (sound.samples.detach().cpu().double().numpy().T * 32768).round().clip(-32768, 32767)
    return np.ascontiguousarray(levels.astype("<i2"))


def _whole_rate(sound: Sound) -> int:
    if (rate := round(sound.rate)) < 1:
        raise SignalError(f"a file holds a whole number of samples a second, not {sound.rate:g}")
    return rate


def write_wav(sound: Sound) -> bytes:
    """A wav file's bytes, 16 bits a sample."""
    rate, buffer = _whole_rate(sound), io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(len(sound.samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(sound).tobytes())
    return buffer.getvalue()


def write_sound(sound: Sound, container: str, codec: str, options: dict[str, str], bit_rate: int | None = None) -> bytes:
    """The bytes of a sound by PyAV, from 16 bits a sample."""
    rate, av, buffer = _whole_rate(sound), pyav("a sound"), io.BytesIO()
    layout = "mono" if len(sound.samples) == 1 else "stereo"
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, options=options, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(to_int16(sound).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def read_sound(file: IO[bytes], name: str, rate: int | None = None) -> Sound:
    """The sound in an open file, by PyAV, resampled to ``rate`` where one is given; errors as `load_sound`."""
    av, pieces, count = pyav(name), [], 0
    try:
        with av.open(file, format=SOUNDS[Path(name).suffix.lower()]) as container:
            stream = container.streams.audio[0]
            channels = stream.codec_context.channels
            if channels not in (1, 2):
                raise SignalError(f"{name} has {channels} channels: one or two are read")
            played = rate or stream.codec_context.sample_rate
            resampler = av.AudioResampler("fltp", "mono" if channels == 1 else "stereo", played)
            for frame in [*container.decode(stream), None]:
                for piece in resampler.resample(frame):
                    count += piece.samples
                    _check_size(name, count, 1, 1)
                    pieces.append(piece.to_ndarray())
            return Sound(torch.from_numpy(np.concatenate(pieces, axis=1)), played)
    except SignalError:
        raise
    except Exception as error:  # FFmpeg's, and those of a file without sound
        raise SignalError(f"{name} is no sound that can be read, or damaged ({_reason(error)})") from error


# ------------------------------------------------------------------------------------------ both


def check_writable(path: str | os.PathLike[str], kind: str) -> Path:
    """Refuse, before the work, a path that a film or a sound could not be written to.

    Raises:
        SignalError: an unknown suffix, a folder, a file in a folder that does not exist, or PyAV missing.
    """
    path = Path(path)
    suffixes = FILM_SUFFIXES if kind == "film" else (".wav", ".flac")
    if path.is_dir() or not path.parent.is_dir():
        raise SignalError(
            f"{path} can't be written: {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}"
        )
    if path.suffix.lower() not in suffixes:
        raise SignalError(f"{path}: a {kind} is written as one of {', '.join(suffixes)}")
    if path.suffix.lower() in (*FILMS, ".flac"):
        pyav(path.name)
    return path


def _content(path: str | os.PathLike[str]) -> bytes:
    try:
        if (length := os.path.getsize(path)) > _MAX_BYTES:
            raise SignalError(f"{os.fspath(path)} has {length:,} bytes: {_MAX_BYTES:,} are the most that are read")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, SignalError):
            raise
        raise SignalError(f"{os.fspath(path)} can't be read: {_reason(error)}") from error


def _check_size(name: str, count: int, height: int, width: int) -> None:
    if count * height * width > MAX_PIXELS:
        raise SignalError(f"{name} has more than the {MAX_PIXELS:,} points that are read: take fewer frames of it")


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__
