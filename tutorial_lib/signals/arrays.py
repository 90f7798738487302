"""Films and sounds as arrays: what changes beside a picture is the canvas alone.

A *clip* is `Clip`: frames and how many a second. A *sound* is `Sound`: samples and how many a second. What a network is fitted
to is their ``values``, (channels, *size) in [0, 1], as a picture is (3, H, W); ``size`` is (T, H, W) or (N,), time first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tutorial_lib.images import MAX_PIXELS, canvas_axis, canvas_from_axes

FULL_SCALE = 32768
"""Steps of a sample's amplitude, those of 16 bits; a file gives the peak in them."""

Kind = Literal["film", "sound"]


class SignalError(ValueError):
    """A film, a sound, a file or a time that can't be used; the message is one sentence for the reader."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A film without its sound.

    Args:
        frames: float32 (T, 3, H, W), each a picture: RGB in [0, 1].
        fps: frames a second.

    Raises:
        SignalError: frames of another shape, type or range, too many pixels, or a rate that is none.
    """

    frames: Tensor
    fps: float
    kind: ClassVar[Kind] = "film"

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[1] != 3:
            raise SignalError(f"frames have the shape (frames, 3, height, width), not {tuple(self.frames.shape)}")
        _check(self.frames, self.fps, "frames", 16.0)

    @property
    def size(self) -> tuple[int, int, int]:
        """(frames, height, width)."""
        count, _, height, width = self.frames.shape
        return count, height, width

    @property
    def rate(self) -> float:
        """Frames a second, as a sound's samples."""
        return self.fps

    @property
    def peak(self) -> int:
        """A film is at full scale."""
        return FULL_SCALE

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.frames) / self.fps

    @property
    def values(self) -> Tensor:
        """(3, T, H, W) in [0, 1]."""
        return self.frames.transpose(0, 1)

    @staticmethod
    def of(values: Tensor, rate: float, peak: int = FULL_SCALE) -> Clip:
        """The clip of `values`; ``peak`` is a sound's."""
        return Clip(values.transpose(0, 1).contiguous(), rate)


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound.

    Args:
        samples: float32 (C, N) in [−1, 1]: one channel, or left and right.
        rate: samples a second, in Hz.

    Raises:
        SignalError: samples of another shape, type or range, too many, or a rate that is none.
    """

    samples: Tensor
    rate: float
    kind: ClassVar[Kind] = "sound"

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or len(self.samples) not in (1, 2):
            raise SignalError(f"samples have the shape (1 or 2 channels, samples), not {tuple(self.samples.shape)}")
        _check(self.samples, self.rate, "samples", 4.0)

    @property
    def size(self) -> tuple[int]:
        """(samples,)."""
        return (self.samples.shape[1],)

    @property
    def peak(self) -> int:
        """The largest amplitude, in 1/`FULL_SCALE`: a quiet sound is learned as a loud one. 1 at least."""
        return min(max(math.ceil(FULL_SCALE * float(self.samples.abs().max())), 1), FULL_SCALE)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples.shape[1] / self.rate

    @property
    def values(self) -> Tensor:
        """(C, N) in [0, 1]: (samples / peak + 1) / 2."""
        return (self.samples * (FULL_SCALE / self.peak) + 1).div_(2).clamp_(0, 1)

    @staticmethod
    def of(values: Tensor, rate: float, peak: int = FULL_SCALE) -> Sound:
        """The sound of `values`."""
        return Sound((2 * values - 1) * (peak / FULL_SCALE), rate)


Signal = Clip | Sound


def _check(values: Tensor, rate: float, what: str, most: float) -> None:
    if values.dtype != torch.float32 or values.numel() == 0:
        raise SignalError(f"{what} are float32 and one at least, not {values.dtype} of shape {tuple(values.shape)}")
    if values[:, 0].numel() > MAX_PIXELS:
        raise SignalError(f"{values[:, 0].numel():,} points are more than the {MAX_PIXELS:,} that this library takes")
    if not bool(torch.isfinite(values).all()) or float(values.abs().max()) > most:
        raise SignalError(f"{what} lie in [{'0' if what == 'frames' else '−1'}, 1], and some are far outside or no numbers")
    if not (math.isfinite(rate) and rate > 0):
        raise SignalError(f"{rate} {what} a second are no rate")


def canvas(size: Sequence[int]) -> Tensor:
    """Coordinates of all points of a signal: each axis from −1, its first point, to 1, its last.

    Args:
        size: (T, H, W), (H, W) or (N,).

    Returns:
        float32 (*size, d), the last axis in the order (x, y, t), (x, y) or (t).

    Example:
        >>> canvas((2, 1, 1)).flatten(0, 2)
        tensor([[ 0.,  0., -1.],
                [ 0.,  0.,  1.]])
    """
    return canvas_from_axes(*map(canvas_axis, size))


def instants(
    own: int,
    own_rate: float,
    *,
    rate: float | None = None,
    count: int | None = None,
    times: Sequence[float] | Tensor | None = None,
) -> tuple[Tensor, float]:
    """Where on the canvas a rendering at other times lies, and at which rate it plays.

    Args:
        own: frames or samples of the signal.
        own_rate: of them a second.
        rate: as many a second over the same duration; behind the last of the signal's own, that one is held. With ``count`` or
            ``times`` it is only what the result plays at.
        count: as many, evenly from the first to the last: more than there are is slow motion.
        times: in seconds from the first frame or sample.

    Returns:
        t in [−1, 1], float32 (M,), and the rate.

    Raises:
        SignalError: times outside the signal, a rate or number that is none, or more instants than `MAX_PIXELS`.
    """
    if count is not None and times is not None:
        raise SignalError("a number of instants or their times, not both")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise SignalError(f"{rate} a second are no rate")
    last = own - 1
    wanted = count if count is not None else own if rate is None or times is not None else max(round(own * rate / own_rate), 1)
    if not 1 <= wanted <= MAX_PIXELS:
        raise SignalError(f"{wanted} instants: 1 to {MAX_PIXELS:,} can be rendered")
    if times is not None:
        places = torch.as_tensor(times, dtype=torch.float64).flatten() * own_rate
        if len(places) == 0 or not bool(((places > -1e-6) & (places < last + 1e-6)).all()):
            raise SignalError(f"times lie between 0 and {last / own_rate:g} seconds, the last instant of this signal")
    elif count is not None:
        places = torch.linspace(0, last, count, dtype=torch.float64)
    else:
        places = torch.arange(wanted, dtype=torch.float64) * (own_rate / (rate or own_rate))
    places = places.clamp(0, last)
    t = 2 * places / last - 1 if last else torch.zeros_like(places)
    return t.float(), rate or own_rate
