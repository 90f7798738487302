"""Wrong answers to the exercises of notebook 07 that people really write."""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F

from tutorial_lib import images

# ------------------------------------------------------------------------------------------------ 07.1


def psnr(shown, picture):
    return -10 * math.log10((shown - picture).square().mean().item())


def asked_rate(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        points.append((rate, psnr(images.quantize_8bit(codec.decode(data)), picture)))
    return points


def without_header(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        bpp = 8 * len(data[8:]) / (picture.shape[1] * picture.shape[2])
        points.append((bpp, psnr(images.quantize_8bit(codec.decode(data)), picture)))
    return points


def estimated(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        _, counts = np.unique(np.frombuffer(data, np.uint8), return_counts=True)
        p = counts / counts.sum()
        entropy = -(p * np.log2(p)).sum()
        bpp = entropy * len(data) / (picture.shape[1] * picture.shape[2])
        points.append((bpp, psnr(images.quantize_8bit(codec.decode(data)), picture)))
    return points


def all_values(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        points.append((8 * len(data) / picture.numel(), psnr(images.quantize_8bit(codec.decode(data)), picture)))
    return points


def in_bytes(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        bpp = len(data) / (picture.shape[1] * picture.shape[2])
        points.append((bpp, psnr(images.quantize_8bit(codec.decode(data)), picture)))
    return points


def not_rounded(codec, picture, rates):
    points = []
    for rate in rates:
        data = codec.encode(picture, bpp=rate)
        points.append((8 * len(data) / (picture.shape[1] * picture.shape[2]), psnr(codec.decode(data), picture)))
    return points


def pointwise(rate=lambda data, picture: 8 * len(data) / picture[0].numel(), quality=psnr, shown=images.quantize_8bit):
    def curve(codec, picture, rates):
        points = []
        for each in rates:
            data = codec.encode(picture, bpp=each)
            points.append((rate(data, picture), quality(shown(codec.decode(data)), picture)))
        return points

    return curve


# ------------------------------------------------------------------------------------------------ 07.2


def delta_from(ends):
    """BD-rates over a range of qualities that one of the curves may not have."""

    def bd_rate(anchor, test):
        (rate, quality), (other_rate, other_quality) = np.transpose(anchor), np.transpose(test)
        q = np.linspace(*ends(quality, other_quality), 1000)
        gap = np.interp(q, other_quality, np.log(other_rate)) - np.interp(q, quality, np.log(rate))
        return 100 * (math.exp(gap.mean()) - 1)

    return bd_rate


def delta(*, swapped=False, scale=np.log, undo=np.exp, union=False, after=False, last=lambda ratio: 100 * (ratio - 1)):
    def bd_rate(anchor, test):
        if swapped:
            anchor, test = test, anchor
        (r1, q1), (r2, q2) = np.transpose(anchor), np.transpose(test)
        low, high = max(q1[0], q2[0]), min(q1[-1], q2[-1])
        if union:
            low, high = min(q1[0], q2[0]), max(q1[-1], q2[-1])
        q = np.linspace(low, high, 500)
        gap = np.interp(q, q2, scale(r2)) - np.interp(q, q1, scale(r1))
        return float(last(undo(gap).mean() if after else undo(gap.mean())))

    return bd_rate


def plain_rates(anchor, test):
    (r1, q1), (r2, q2) = np.transpose(anchor), np.transpose(test)
    q = np.linspace(max(q1[0], q2[0]), min(q1[-1], q2[-1]), 500)
    first, second = np.interp(q, q1, r1), np.interp(q, q2, r2)
    return float(100 * (second.mean() - first.mean()) / first.mean())


def vertical(anchor, test):
    (r1, q1), (r2, q2) = np.transpose(anchor), np.transpose(test)
    r = np.linspace(np.log(max(r1[0], r2[0])), np.log(min(r1[-1], r2[-1])), 500)
    return float((np.interp(r, np.log(r2), q2) - np.interp(r, np.log(r1), q1)).mean())


def at_one_place(place):
    def bd_rate(anchor, test):
        (r1, q1), (r2, q2) = np.transpose(anchor), np.transpose(test)
        q = np.linspace(max(q1[0], q2[0]), min(q1[-1], q2[-1]), 501)
        return 100 * (math.exp(place(np.interp(q, q2, np.log(r2)) - np.interp(q, q1, np.log(r1)))) - 1)

    return bd_rate


# ------------------------------------------------------------------------------------------------ 07.3


def decibels(errors):
    return -10 * np.log10(errors)


def turned(errors):
    return decibels(errors.mean()), decibels(errors).mean()


def twice(errors):
    return decibels(errors).mean(), decibels(errors).mean()


def natural(errors):
    return (-10 * np.log(errors)).mean(), -10 * np.log(errors.mean())


def amplitudes(errors):
    return (-20 * np.log10(errors)).mean(), -20 * np.log10(errors.mean())


def no_minus(errors):
    return (10 * np.log10(errors)).mean(), 10 * np.log10(errors.mean())


def grey_levels(errors):
    return (10 * np.log10(255**2 / errors)).mean(), 10 * np.log10(255**2 / errors.mean())


# ------------------------------------------------------------------------------------------------ 07.4


def of_colours(measure):
    def flattering_crop(ours, theirs, original, side):
        gain = measure(theirs - original) - measure(ours - original)
        windows = F.avg_pool2d(gain[None, None], side, stride=1)[0, 0]
        return divmod(windows.argmax().item(), windows.shape[1])

    return flattering_crop


def last_ones_left_out(ours, theirs, original, side):
    gain = (theirs - original).square().mean(0) - (ours - original).square().mean(0)
    best, place = -math.inf, (0, 0)
    for top in range(gain.shape[0] - side):
        for left in range(gain.shape[1] - side):
            mean = gain[top : top + side, left : left + side].mean().item()
            if mean > best:
                best, place = mean, (top, left)
    return place


def cropper(*, sign=1, stride=1, window=True, own=True, picture_width=False, turned=False):
    def flattering_crop(ours, theirs, original, side):
        gain = (theirs - original).square().mean(0)
        if own:
            gain = gain - (ours - original).square().mean(0)
        windows = F.avg_pool2d(sign * gain[None, None], side if window else 1, stride=side if stride != 1 else 1)[0, 0]
        place = windows.argmax().item()
        top, left = divmod(place, original.shape[2] if picture_width else windows.shape[1])
        return (left, top) if turned else (top, left)

    return flattering_crop


MUTANTS = {
    "07.1": {
        "rate asked for": (asked_rate, "asked for"),
        "header left out": (without_header, "header"),
        "entropy": (estimated, "estimate"),
        "pixels times three": (all_values, "three values"),
        "bytes": (in_bytes, "8 bits"),
        "not rounded": (not_rounded, "whole grey levels"),
        "not clamped": (pointwise(shown=lambda decoded: (255 * decoded).round() / 255), "but not clamped"),
        "wrong sides": (pointwise(lambda data, picture: 8 * len(data) / picture.shape[0] / picture.shape[1]), "wrong sides"),
        "minus": (pointwise(quality=lambda shown, picture: -psnr(shown, picture)), "minus of the PSNR"),
        "20 log": (pointwise(quality=lambda shown, picture: 2 * psnr(shown, picture)), "amplitudes"),
        "255": (pointwise(quality=lambda shown, picture: psnr(shown, picture) + 20 * math.log10(255)), "too high"),
        "255 on one side": (pointwise(quality=lambda shown, picture: psnr(255 * shown, 255 * picture)), "too low"),
        "one point": (lambda codec, picture, rates: pointwise()(codec, picture, rates[:1]), "one point for each"),
    },
    "07.2": {
        "swapped": (delta(swapped=True), "swapped"),
        "rates themselves": (plain_rates, "their logarithms"),
        "exp before the mean": (delta(after=True), "half and double"),
        "two bases": (delta(scale=np.log10), "one pair"),
        "union of the ranges": (delta(union=True), "only one curve has"),
        "from the test's lowest": (delta_from(lambda a, t: (t[0], min(a[-1], t[-1]))), "expected"),
        "to the anchor's highest": (delta_from(lambda a, t: (max(a[0], t[0]), a[-1])), "expected"),
        "size of the mean": (lambda anchor, test: 100 * math.expm1(abs(math.log1p(delta()(anchor, test) / 100))), "expected"),
        "gap in the middle": (at_one_place(lambda gap: gap[250]), "at one PSNR"),
        "BD-PSNR": (vertical, "vertical"),
        "turned": (delta(last=lambda ratio: 100 * (1 - ratio)), "sign is turned"),
        "without signs": (at_one_place(lambda gap: np.abs(gap).mean()), "without their signs"),
        "ends": (at_one_place(lambda gap: (gap[0] + gap[-1]) / 2), "two ends"),
    },
    "07.3": {
        "swapped": (turned, "swapped"),
        "one average twice": (twice, "same number"),
        "natural logarithm": (natural, "natural logarithm"),
        "20 log": (amplitudes, "20·log"),
        "minus missing": (no_minus, "minus is missing"),
        "255": (grey_levels, "48.13"),
    },
    "07.4": {
        "last ones left out": (last_ones_left_out, "never tried"),
        "sign": (cropper(sign=-1), "the sign"),
        "left, top": (cropper(turned=True), "rows come first"),
        "pixel": (cropper(window=False), "best pixel"),
        "width of the picture": (cropper(picture_width=True), "fewer windows"),
        "grid": (cropper(stride=0), "stride=1"),
        "red alone": (of_colours(lambda error: error[0] ** 2), "don't count alike"),
        "roots": (of_colours(lambda error: (error**2).mean(0).sqrt()), "roots"),
        "worst colour": (of_colours(lambda error: (error**2).amax(0)), "worst of the three"),
        "signs kept": (of_colours(lambda error: error.mean(0)), "kept their signs"),
        "averaged, then squared": (of_colours(lambda error: error.mean(0) ** 2), "before they are squared"),
        "own error forgotten": (cropper(own=False), "your own error"),
    },
}
