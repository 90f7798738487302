"""The library's answers to the exercises of notebook 07."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import metrics

Points = Sequence[tuple[float, float]]


def curve(codec: Any, picture: Tensor, rates: Sequence[float]) -> list[tuple[float, float]]:
    """Points (bits per pixel, PSNR in dB) of real files, as `evaluation.measure` makes them."""
    files = [codec.encode(picture, bpp=rate) for rate in rates]
    return [(metrics.bits_per_pixel(data, picture), metrics.psnr(codec.decode(data).cpu(), picture)) for data in files]


def bd_rate(anchor: Points, test: Points) -> float:
    """Per cent of rate at equal PSNR as `evaluation.bd_rate`, with straight lines between the points instead of cubic pieces."""
    (rate, quality), (other_rate, other_quality) = (np.transpose(sorted(points)) for points in (anchor, test))
    low, high = max(quality[0], other_quality[0]), min(quality[-1], other_quality[-1])
    knots = np.unique(np.clip([*quality, *other_quality], low, high))
    gap = np.interp(knots, other_quality, np.log(other_rate)) - np.interp(knots, quality, np.log(rate))
    mean = np.sum((gap[1:] + gap[:-1]) / 2 * np.diff(knots)) / (high - low)
    return 100 * math.expm1(float(mean))


def two_averages(errors: np.ndarray) -> tuple[float, float]:
    """Both of `evaluation.AVERAGES` for the mean squared errors of some pictures."""
    return float(np.mean([metrics.psnr_of_mse(error) for error in errors])), metrics.psnr_of_mse(float(np.mean(errors)))


def flattering_crop(ours: Tensor, theirs: Tensor, original: Tensor, side: int) -> tuple[int, int]:
    """(top, left) of the crop of side × side pixels in which ``ours`` has most squared error less than ``theirs``."""
    return best_window(squared_error(theirs, original) - squared_error(ours, original), side)


def squared_error(picture: Tensor, original: Tensor) -> Tensor:
    """Squared error of each pixel, mean of the colours: (H, W)."""
    return (picture - original).square().mean(0)


def windows(values: Tensor, side: int) -> Tensor:
    """The mean of every window of side × side pixels of a map (H, W)."""
    return F.avg_pool2d(values[None, None], side, stride=1)[0, 0]


def best_window(values: Tensor, side: int) -> tuple[int, int]:
    """(top, left) of the window with the largest mean."""
    means = windows(values, side)
    top, left = divmod(int(means.argmax()), means.shape[1])
    return top, left
