"""Right answers to the exercises of notebook 07 in other styles than ours: they must pass."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from tutorial_lib import images, metrics

# ------------------------------------------------------------------------------------------------ 07.1


def curve_by_metrics(codec, picture, rates):
    files = [codec.encode(picture, bpp=rate) for rate in rates]
    return [(metrics.bits_per_pixel(data, picture), metrics.psnr(codec.decode(data), picture)) for data in files]


def curve_by_numpy(codec, picture, rates):
    original, points = picture.numpy().astype(np.float64), []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        shown = np.rint(255 * np.clip(codec.decode(data).numpy(), 0, 1).astype(np.float64)) / 255
        points.append([np.float64(len(data)) * 8 / np.prod(original.shape[1:]), -10 * np.log10(np.mean((shown - original) ** 2))])
    return points


def curve_by_map(codec, picture, rates):
    def point(rate):
        data = codec.encode(picture, bpp=rate)
        error = torch.nn.functional.mse_loss(images.quantize_8bit(codec.decode(data)).double(), picture.double())
        return 8 * len(data) * 3 / picture.numel(), 20 * math.log10(1 / math.sqrt(error))

    return list(map(point, rates))


# ------------------------------------------------------------------------------------------------ 07.2


def _shared(anchor, test):
    (r1, q1), (r2, q2) = (np.array(points).T for points in (anchor, test))
    return r1, q1, r2, q2, max(q1.min(), q2.min()), min(q1.max(), q2.max())


def bd_rate_by_pieces(anchor, test):
    r1, q1, r2, q2, low, high = _shared(anchor, test)
    integrals = [PchipInterpolator(q, np.log(r)).integrate(low, high) for r, q in ((r1, q1), (r2, q2))]
    return 100 * math.expm1((integrals[1] - integrals[0]) / (high - low))


def bd_rate_by_trapezoids(anchor, test):
    r1, q1, r2, q2, low, high = _shared(anchor, test)
    q = np.linspace(low, high, 3001)
    gap = np.interp(q, q2, np.log10(r2)) - np.interp(q, q1, np.log10(r1))
    return (10 ** (np.trapezoid(gap, q) / (high - low)) - 1) * 100


def bd_rate_by_loops(anchor, test):
    def log_rate(points, quality):
        for (r1, q1), (r2, q2) in zip(points, points[1:], strict=False):
            if q1 <= quality <= q2:
                share = (quality - q1) / (q2 - q1)
                return (1 - share) * math.log(r1) + share * math.log(r2)
        raise ValueError(f"no point at {quality}")

    low, high = max(anchor[0][1], test[0][1]), min(anchor[-1][1], test[-1][1])
    total, count = 0.0, 2000
    for index in range(count):
        quality = low + (index + 0.5) * (high - low) / count
        total += log_rate(test, quality) - log_rate(anchor, quality)
    return 100 * math.exp(total / count) - 100


# ------------------------------------------------------------------------------------------------ 07.3


def averages_by_loops(errors):
    total = 0.0
    for error in errors:
        total += -10 * math.log10(error)
    return total / len(errors), -10 * math.log10(sum(errors) / len(errors))


def averages_by_torch(errors):
    errors = torch.tensor(errors, dtype=torch.float64)
    return [-10 * errors.log10().mean().item(), -10 * errors.mean().log10().item()]


def averages_of_products(errors):
    return 10 * np.log10(1 / np.exp(np.mean(np.log(errors)))), 20 * np.log10(1 / np.sqrt(np.average(errors)))


# ------------------------------------------------------------------------------------------------ 07.4


def crop_by_loops(ours, theirs, original, side):
    gain = ((theirs - original) ** 2 - (ours - original) ** 2).sum(0).double()
    best, place = -math.inf, None
    for top in range(gain.shape[0] - side + 1):
        for left in range(gain.shape[1] - side + 1):
            total = gain[top : top + side, left : left + side].sum().item()
            if total > best:
                best, place = total, (top, left)
    return place


def crop_by_numpy(ours, theirs, original, side):
    ours, theirs, original = (each.cpu().numpy().astype(np.float64) for each in (ours, theirs, original))
    gain = np.square(theirs - original).mean(axis=0) - np.square(ours - original).mean(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(gain, (side, side)).mean(axis=(2, 3))
    return np.unravel_index(np.argmax(windows), windows.shape)


def crop_by_sums(ours, theirs, original, side):
    gain = (theirs - original).double().pow(2).sum(0) - (ours - original).double().pow(2).sum(0)
    table = torch.nn.functional.pad(gain.cumsum(0).cumsum(1), (1, 0, 1, 0))
    windows = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    index = int(torch.argmax(windows))
    return index // windows.shape[1], index % windows.shape[1]


RIGHT = {
    "07.1": {"metrics": curve_by_metrics, "NumPy": curve_by_numpy, "map": curve_by_map},
    "07.2": {"cubic pieces": bd_rate_by_pieces, "trapezoids": bd_rate_by_trapezoids, "loops": bd_rate_by_loops},
    "07.3": {"loops": averages_by_loops, "torch": averages_by_torch, "products": averages_of_products},
    "07.4": {"loops": crop_by_loops, "NumPy": crop_by_numpy, "sums": crop_by_sums},
}
