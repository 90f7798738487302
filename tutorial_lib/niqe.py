"""NIQE: how natural a picture looks, with no original to compare with.

Mittal, Soundararajan, Bovik, Making a "Completely Blind" Image Quality Analyzer (IEEE SPL 2013). In natural pictures luminance
less its local mean, over its local deviation, follows generalized normal laws of a certain kind, and so do products of
neighbours. The laws' parameters over all patches of 96×96 are one normal law, and NIQE is its distance from that of 125
pristine photographs. Their law is the authors' own (``niqe.npz``, with their notice in ``niqe.NOTICE.txt``).

It is a number about statistics, not about this picture: a JPEG of quality 90 can have a lower one than the original.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.images import picture_problem, to_uint8
from tutorial_lib.metrics import MetricError

PATCH = 96
"""Side of a patch, and of what is cut off at the right and at the bottom less one."""

NIQE_MIN_SIDE = 192
"""Shortest side: two patches. Of fewer than some 40 patches the value is noisy: see `niqe`."""

_SHAPES = np.arange(0.2, 10.001, 0.001)
"""Of generalized normal laws, those that moments are matched with."""


def niqe(picture: Tensor) -> float:
    """The distance of a picture's statistics from those of pristine photographs; lower is more natural.

    Around 2 to 5 for photographs, more for blurred, blocky or noisy ones. Compare pictures of one size: smaller ones have
    higher values, and fewer patches noisier ones. Cut out at nine places 16 pixels apart, Kodak 3, 15 and 24 span 0.2 to 0.6 in
    35 patches, 0.4 to 1.4 (halved in size) in 6.

    Args:
        picture: (3, H, W) in [0, 1], rounded to 8 bits here.

    Raises:
        MetricError: no picture, or a side below 192 pixels.
    """
    if problem := picture_problem(picture):
        raise MetricError(f"this is no picture: {problem}.")
    if min(picture.shape[1:]) < NIQE_MIN_SIDE:
        size = f"{picture.shape[1]}x{picture.shape[2]} (height x width)"
        raise MetricError(f"NIQE needs both sides to have at least {NIQE_MIN_SIDE} pixels, and this picture is {size}.")
    patches = _features(_luma(to_uint8(picture.detach().cpu())))
    mean, covariance = pristine()
    own = patches[np.isfinite(patches).all(1)]  # of a flat patch nothing can be said
    if len(own) < 2:
        raise MetricError("NIQE can say nothing of a picture without two patches that have any texture.")
    away = mean - np.nanmean(np.where(np.isfinite(patches), patches, np.nan), 0)
    return float(np.sqrt(away @ np.linalg.pinv((covariance + np.cov(own, rowvar=False)) / 2) @ away))


@functools.cache
def pristine() -> tuple[np.ndarray, np.ndarray]:
    """Mean (36,) and covariance (36, 36) of the features of 125 photographs: the authors' file."""
    with np.load(Path(__file__).with_name("niqe.npz")) as file:
        return file["mean"], file["covariance"]


def _luma(levels: np.ndarray) -> np.ndarray:
    """Y of BT.601 in 16 … 235, whole numbers, from grey levels (H, W, 3): what the authors' programs read."""
    return np.round(16 + levels.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255)


def _features(luma: np.ndarray) -> np.ndarray:
    """(patches, 36): eighteen at full and eighteen at half size."""
    height, width = (side // PATCH * PATCH for side in luma.shape)
    plane, found = luma[:height, :width], []
    for scale in (1, 2):
        side = PATCH // scale
        normal = _normalized(plane)
        # column by column, as the authors have it; the order doesn't matter to mean and covariance
        corners = [(top, left) for left in range(0, width // scale, side) for top in range(0, height // scale, side)]
        found.append([_patch(normal[top : top + side, left : left + side]) for top, left in corners])
        plane = _halved(plane)
    return np.concatenate(found, 1)


def _normalized(plane: np.ndarray) -> np.ndarray:
    """(Y − μ)/(σ + 1), μ and σ under a bell of 7×7 pixels (σ = 7/6), borders repeated."""
    bell = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    bell /= bell.sum()

    def blurred(values: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            padded = np.pad(values, [(3, 3) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, 7, axis)
            values = windows @ bell
        return values

    mean = blurred(plane)
    spread = np.sqrt(np.abs(blurred(plane**2) - mean**2))
    return (plane - mean) / (spread + 1)


def _halved(plane: np.ndarray) -> np.ndarray:
    """Half the size by Keys' cubic stretched to eight taps: antialiased, borders mirrored, as MATLAB does it."""
    taps = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    for axis in (0, 1):
        padded = np.pad(plane, [(3, 3) if each == axis else (0, 0) for each in (0, 1)], mode="symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 8, axis)
        plane = windows[(slice(None),) * axis + (slice(None, None, 2),)] @ taps
    return plane


def _patch(patch: np.ndarray) -> list[float]:
    """Eighteen features: shape and width of the values, and of products with four neighbours shape, mean and both widths."""
    shape, left, right = _asymmetric(patch)
    found = [shape, (left + right) / 2]
    for move in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _asymmetric(patch * np.roll(patch, move, (0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        found += [shape, mean, left, right]
    return found


@functools.cache
def _ratios() -> np.ndarray:
    """E|x|² / E x² of generalized normal laws of all `_SHAPES`."""
    log = torch.lgamma(torch.from_numpy(1 / _SHAPES[None] * np.array([[1], [2], [3]]))).numpy()
    return np.exp(2 * log[1] - log[0] - log[2])


def _asymmetric(values: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right width of the asymmetric generalized normal law with these values' moments; NaN for flat ones."""
    below, above = values[values < 0], values[values > 0]
    if not (below.size and above.size):
        return math.nan, math.nan, math.nan
    left, right = np.sqrt(np.mean(below**2)), np.sqrt(np.mean(above**2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = float(_SHAPES[np.argmin((_ratios() - ratio) ** 2)])
    width = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, float(left) * width, float(right) * width
