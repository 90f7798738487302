"""How near a film or a sound is to its original, and at which rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tutorial_lib.signals.arrays import Clip, Signal, SignalError, Sound

_WINDOW, _HOP = 512, 128
_FLOOR = 1e-10
"""Power of a frequency, beside a full-scale sine's 1, below which nothing is heard and nothing counts: −100 dB."""


def bits_per_pixel(data: bytes, clip: Clip) -> float:
    """Bits of a file for each pixel of each frame."""
    return 8 * len(data) / math.prod(clip.size)


def kilobits_per_second(data: bytes, signal: Signal) -> float:
    """Thousands of bits of a file for each second."""
    return 8 * len(data) / signal.seconds / 1000


def clip_psnr(clip: Clip, original: Clip) -> float:
    """PSNR in dB, of the mean squared error over the whole clip, both rounded to 8 bits; infinite where they are equal."""
    return _psnr(_squares(clip, original).mean())


def frame_psnrs(clip: Clip, original: Clip) -> list[float]:
    """PSNR in dB of each frame, rounded to 8 bits."""
    return [_psnr(mse) for mse in _squares(clip, original).mean((1, 2, 3))]


def _squares(clip: Clip, original: Clip) -> Tensor:
    if clip.frames.shape != original.frames.shape:
        sizes = [f"{count} frames of {width}×{height}" for count, height, width in (clip.size, original.size)]
        raise SignalError(f"the clips differ in size: {sizes[0]} and {sizes[1]}")
    first, second = ((each.frames.detach().cpu().double().clamp(0, 1) * 255).round() for each in (clip, original))
    return ((first - second) / 255).square()


def _psnr(mse: Tensor) -> float:
    return -10 * math.log10(float(mse)) if mse > 0 else math.inf


def snr(sound: Sound, original: Sound) -> float:
    """Signal-to-noise ratio in dB: the original's power over that of the difference; infinite where they are equal.

    Raises:
        SignalError: sounds that differ in size or rate, or a silent original.
    """
    first, second = _pair(sound, original)
    power, noise = float(second.square().mean()), float((first - second).square().mean())
    if power == 0:
        raise SignalError("the original is silent: no signal, no signal-to-noise ratio")
    return 10 * math.log10(power / noise) if noise > 0 else math.inf


def log_spectral_distance(sound: Sound, original: Sound) -> float:
    """In dB: the root mean square difference of log power spectra over frequencies, averaged over windows.

    Hann windows of 512 samples, every 128 (Gray and Markel, Distance measures for speech processing, 1976). What is 100 dB
    below full scale counts as that: silence is silence.

    Raises:
        SignalError: sounds that differ in size or rate.
    """
    levels = [10 * torch.log10(spectrogram(each) + _FLOOR) for each in _pair(sound, original)]
    return float((levels[0] - levels[1]).square().mean(-2).sqrt().mean())


def spectrogram(samples: Tensor) -> Tensor:
    """Power at (channels, 257 frequencies, windows) of samples (channels, N); a full-scale sine has about 1."""
    window = torch.hann_window(_WINDOW, dtype=samples.dtype)
    spectrum = torch.stft(samples, _WINDOW, _HOP, window=window, pad_mode="constant", return_complex=True)
    return (spectrum.abs() / (window.sum() / 2)).square()


def _pair(sound: Sound, original: Sound) -> tuple[Tensor, Tensor]:
    if sound.samples.shape != original.samples.shape or sound.rate != original.rate:
        sizes = [f"{tuple(each.samples.shape)} at {each.rate:g} Hz" for each in (sound, original)]
        raise SignalError(f"the sounds differ: {sizes[0]} and {sizes[1]}")
    return sound.samples.detach().cpu().double(), original.samples.detach().cpu().double()


def blend(clip: Clip, times: Sequence[float]) -> Clip:
    """Frames at other times, in seconds, as the weighted mean of the two around each: what a network must beat."""
    places = _places(clip, times)
    before = places.floor().long().clamp(max=len(clip.frames) - 1)
    behind = (before + 1).clamp(max=len(clip.frames) - 1)
    share = (places - before).float().view(-1, 1, 1, 1)
    return Clip((1 - share) * clip.frames[before] + share * clip.frames[behind], clip.fps)


def hold(clip: Clip, times: Sequence[float]) -> Clip:
    """Frames at other times, in seconds: the last one shown."""
    return Clip(clip.frames[_places(clip, times).floor().long().clamp(max=len(clip.frames) - 1)], clip.fps)


def _places(clip: Clip, times: Sequence[float]) -> Tensor:
    places = torch.as_tensor(times, dtype=torch.float64) * clip.fps + 1e-6
    if len(places) == 0 or float(places.min()) < 0 or float(places.max()) > len(clip.frames) - 1 + 1e-3:
        raise SignalError(f"times lie between 0 and {(len(clip.frames) - 1) / clip.fps:g} seconds, the clip's last frame")
    return places
