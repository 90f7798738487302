"""Checks of notebook 07's curves: points from real files, and the BD-rate."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n07_evaluation.answers import Points, bd_rate, curve

# ---------------------------------------------------------------------------------------------- 07.1


class Levels:
    """A codec for trying: so many grey levels a colour that the file, packed by zlib, fits the rate.

    Its pictures lie off the 8-bit grid by as much as they are wrong, and go beyond black and white, so that rounding and
    clamping show in the PSNR.
    """

    header = 8

    def encode(self, picture: Tensor, *, bpp: float) -> bytes:
        """The file of the most levels that fits; of the fewest where none does."""
        height, width = picture.shape[1:]
        for levels in (111, 81, 61, 45, 31, 21):  # odd: no value lies half way between two grey levels
            symbols = (picture * levels).round().to(torch.uint8).numpy()
            sides = height.to_bytes(2, "little") + width.to_bytes(2, "little")
            data = b"LVL" + bytes([levels]) + sides + zlib.compress(symbols.tobytes(), 9)
            if 8 * len(data) <= bpp * height * width:
                break
        return data

    def decode(self, data: bytes) -> Tensor:
        """The picture in a file."""
        levels, height, width = data[3], int.from_bytes(data[4:6], "little"), int.from_bytes(data[6:8], "little")
        symbols = np.frombuffer(zlib.decompress(data[self.header :]), dtype=np.uint8).astype(np.float32)
        decoded = torch.from_numpy(symbols.reshape(3, height, width) / levels)
        return decoded + 0.03 * (decoded == 1) - 0.03 * (decoded == 0)


def _codec_and_rates(random: Random) -> tuple[Any, ...]:
    """Rates that no file meets exactly."""
    height, width = random.size(18, 30)
    rates = sorted(random.uniform(low, low + 1.5) for low in (13.5, 16.0, 18.5))
    picture = random.picture(height, width).cpu()
    picture[:, 0, 0], picture[:, -1, -1] = 0.0, 1.0
    return Levels(), picture, rates


def _curve_like(
    bits: Callable[[bytes, float], float] = lambda data, rate: 8 * len(data),
    pixels: Callable[[Tensor], int] = lambda picture: picture[0].numel(),
    shown: Callable[[Tensor], Tensor] = images.quantize_8bit,
    turned: bool = False,
    decibels: Callable[[float], float] = lambda quality: quality,
) -> Callable[..., Any]:
    """A curve that differs from the right one in one thing."""

    def wrong(codec: Any, picture: Tensor, rates: Sequence[float]) -> list[tuple[float, float]]:
        points = []
        for rate in rates:
            data = codec.encode(picture, bpp=rate)
            quality = decibels(metrics.psnr(shown(codec.decode(data)), picture, rounded=False))
            bpp = bits(data, rate) / pixels(picture)
            points.append((quality, bpp) if turned else (bpp, quality))
        return points

    return wrong


def file_entropy(data: bytes) -> float:
    """Bits that a file's bytes would take by their own histogram."""
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8))
    shares = counts[counts > 0] / len(data)
    return float(-(counts[counts > 0] * np.log2(shares)).sum())


def _named(curve: Callable[..., Any], codec: Any, picture: Tensor, rates: Sequence[float]) -> dict[str, Any]:
    """A curve's numbers, each under a name that a message can use."""
    points = curve(codec, picture, rates)
    if not isinstance(points, Sequence | np.ndarray) or any(np.shape(point) != (2,) for point in points):
        raise Wrong("a list of points is wanted, each one (bits per pixel, PSNR)")
    if len(points) != len(rates):
        raise Wrong(f"it gives {len(points)} for {len(rates)} rates: one point for each")
    names = [(f"rate of file {number}", f"PSNR of file {number}") for number in range(1, len(rates) + 1)]
    return {name: value for pair, point in zip(names, points, strict=True) for name, value in zip(pair, point, strict=True)}


def _rates(named: Mapping[str, Any]) -> list[float]:
    return [float(value) for name, value in named.items() if name.startswith("rate")]


def _asked(yours: Any, target: Any, codec: Any, picture: Tensor, rates: Sequence[float]) -> bool:
    return all(math.isclose(mine, rate, rel_tol=1e-6) for mine, rate in zip(_rates(yours), rates, strict=True))


def _bytes_missing(yours: Any, target: Any, codec: Any, picture: Tensor, rates: Sequence[float]) -> bool:
    """Whether every file was counted short by the same whole number of bytes."""
    pixels = picture[0].numel()
    missing = [(right - mine) * pixels / 8 for mine, right in zip(_rates(yours), _rates(target), strict=True)]
    return missing[0] > 0.5 and all(abs(each - round(missing[0])) < 0.05 for each in missing)


CURVE = Exercise(
    id="07.1",
    title="A curve from real files",
    minutes=6,
    core=True,
    reference=curve,
    checks=(
        Check(
            "rate and PSNR of a small codec's files",
            inputs=_codec_and_rates,
            call=_named,
            tolerance=1e-5,
            mistakes=(
                Mistake(
                    "these are the rates that were asked for. The codec gave other ones: count the bytes, `len(data)`.",
                    when=_asked,
                ),
                Mistake(
                    "every file is counted short by the same few bytes: without its header nobody can decode it. Take all of "
                    "`len(data)`.",
                    when=_bytes_missing,
                ),
                Mistake(
                    "this is the entropy of the bytes, an estimate: what counts is the file that is there, 8 · `len(data)` bits.",
                    like=_curve_like(bits=lambda data, rate: file_entropy(data)),
                ),
                Mistake(
                    "the rate is a third of the right one: a pixel is a place, with three values. Divide by height · width.",
                    like=_curve_like(pixels=lambda picture: picture.numel()),
                ),
                Mistake(
                    "these are bytes per pixel: a byte has 8 bits.",
                    like=_curve_like(bits=lambda data, rate: len(data)),
                ),
                Mistake(
                    "the decoded picture is compared before it is rounded, but a screen or a file has whole grey levels only: "
                    "`images.quantize_8bit(…)` first.",
                    like=(_curve_like(shown=lambda decoded: decoded), _curve_like(shown=lambda decoded: decoded.clamp(0, 1))),
                ),
                Mistake(
                    "the decoded picture is rounded, but not clamped: no screen shows less than black or more than white. "
                    "`images.quantize_8bit(…)` does both.",
                    like=_curve_like(shown=lambda decoded: (255 * decoded).round() / 255),
                ),
                Mistake("rate and PSNR are swapped: a point is (bits per pixel, dB).", like=_curve_like(turned=True)),
                Mistake(
                    "the rate is divided by the wrong sides: `picture.shape` is (3, height, width), and height · width are the "
                    "pixels.",
                    like=tuple(
                        _curve_like(pixels=lambda picture, sides=sides: picture.shape[sides[0]] * picture.shape[sides[1]])
                        for sides in ((0, 1), (0, 2), (1, 1), (2, 2))
                    ),
                ),
                Mistake(
                    "the minus of the PSNR is missing: the logarithm of a small error is negative.",
                    like=_curve_like(decibels=lambda quality: -quality),
                ),
                Mistake(
                    "20·log₁₀ is for amplitudes, as the root of the error: for a squared error take 10.",
                    like=_curve_like(decibels=lambda quality: 2 * quality),
                ),
                Mistake(
                    "the PSNR is 48.13 dB too high: 255² belongs to errors of grey levels, and these are of values from 0 to 1.",
                    like=_curve_like(decibels=lambda quality: quality + 20 * math.log10(255)),
                ),
                Mistake(
                    "the PSNR is 48.13 dB too low: these are errors of grey levels, whose largest square is 255², not 1.",
                    like=_curve_like(decibels=lambda quality: quality - 20 * math.log10(255)),
                ),
                Mistake(
                    "`math.log` is the natural logarithm: decibels need `math.log10`.",
                    like=_curve_like(decibels=lambda quality: quality * math.log(10)),
                ),
                Mistake("the rate goes by name: `codec.encode(picture, bpp=rate)`.", error="encode.*positional argument"),
            ),
        ),
    ),
    hints=(
        "For each rate: encode, decode those bytes, count them, compare. Append (bits per pixel, PSNR) to a list.",
        "The rate is `8 * len(data) / (height * width)`, with `height, width = picture.shape[1:]`. The PSNR is −10·log₁₀ of the "
        "mean squared error.",
        "`shown = images.quantize_8bit(codec.decode(data))`, then `error = (shown - picture).square().mean().item()`, and "
        "`-10 * math.log10(error)`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 07.2


def _pairs(random: Random) -> tuple[Any, ...]:
    """Two pairs of curves, so that a wrong answer that happens to give another one's number is found out by the second.

    One test curve takes less than its anchor and the other more: a value without its sign is then no swap of both.
    """
    while True:
        pairs = _two_curves(random, 0.0), _two_curves(random, random.uniform(0.7, 0.8), turned=True)
        if bd_rate(*pairs[0]) * bd_rate(*pairs[1]) < 0:
            return pairs


def _each(answer: Callable[[Points, Points], Any], *pairs: tuple[Points, Points]) -> dict[str, Any]:
    """What an answer says of each pair."""
    return {f"pair {number}": answer(*pair) for number, pair in enumerate(pairs, 1)}


def _two_curves(
    random: Random, above: float, turned: bool = False
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Bent curves of so many points that any sound interpolation gives the same; they share 5 dB or more.

    Their slopes, bends and ranges differ so much that each wrong answer gives a number of its own: so does a gap that is read
    at one PSNR instead of integrated. The second one takes e^above times the rate that it would, so that they may cross.
    Turned, they come in the other order: the second one takes more then, and begins and ends lower.
    """

    def line(low: float, high: float, slope: float, start: float, bend: float) -> list[tuple[float, float]]:
        count = random.randint(180, 198)
        step = (high - low) / (count - 1)
        inner = [low + step * (index + random.uniform(-0.2, 0.2)) for index in range(1, count - 1)]
        exponents = [(slope * (quality - 28) + bend * (quality - 32) ** 2, quality) for quality in (low, *inner, high)]
        return [(start * math.exp(exponent), quality) for exponent, quality in exponents]

    while True:
        ends = random.uniform(26.5, 27), random.uniform(34.8, 35.3)
        anchor = line(*ends, random.uniform(0.12, 0.13), random.uniform(0.25, 0.3), 0.0)
        ends = random.uniform(29, 29.3), random.uniform(39, 39.5)
        start = math.exp(above) * random.uniform(0.05, 0.08)
        test = line(*ends, random.uniform(0.25, 0.26), start, random.uniform(0.033, 0.037))
        anchor, test = (test, anchor) if turned else (anchor, test)
        found = [0.0, bd_rate(anchor, test), bd_rate(test, anchor), *(wrong(anchor, test) for wrong in _NUMBERS)]
        if min(abs(a - b) for a, b in combinations(found, 2)) > 0.8:
            return anchor, test


def _gap(
    anchor: Points, test: Points, scale: Callable[[np.ndarray], np.ndarray] = np.log, union: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Both curves' scaled rates on a grid of the qualities that they share, or that either has."""
    (rate, quality), (other_rate, other_quality) = np.transpose(anchor), np.transpose(test)
    inner, outer = (min, max) if union else (max, min)
    grid = np.linspace(inner(quality[0], other_quality[0]), outer(quality[-1], other_quality[-1]), 1001)
    return np.interp(grid, quality, scale(rate)), np.interp(grid, other_quality, scale(other_rate))


def _percent(ratio: float) -> float:
    return 100 * (ratio - 1)


def _near(wrong: Callable[[Points, Points], float]) -> Callable[..., bool]:
    """Recognizes a wrong answer on a coarser or finer grid than ours, too."""
    return _all(lambda yours, target, pair: abs(yours - wrong(*pair)) < 0.3 + 3e-3 * abs(wrong(*pair)))


def _all(holds: Callable[[float, float, tuple[Points, Points]], bool]) -> Callable[..., bool]:
    """Whether something holds for every pair."""
    return lambda yours, target, *pairs: all(
        holds(float(yours[name]), target[name], pair) for name, pair in zip(target, pairs, strict=True)
    )


def _plain_rates(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test, scale=lambda rate: rate)
    return _percent(second.mean() / first.mean())


def _mean_of_ratios(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test)
    return _percent(np.exp(second - first).mean())


def _wrong_base(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test, scale=np.log10)
    return _percent(math.exp((second - first).mean()))


def _everywhere(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test, union=True)
    return _percent(math.exp((second - first).mean()))


def _not_undone(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test)
    return 100 * float((second - first).mean())


def _magnitudes(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test)
    return _percent(math.exp(np.abs(second - first).mean()))


def _ends_alone(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test)
    return _percent(math.exp((second - first)[[0, -1]].mean()))


def _integral(anchor: Points, test: Points) -> float:
    first, second = _gap(anchor, test)
    shared = min(anchor[-1][1], test[-1][1]) - max(anchor[0][1], test[0][1])
    return _percent(math.exp((second - first).mean() * shared))


def _at_one_place(place: Callable[[np.ndarray], float]) -> Callable[[Points, Points], float]:
    """The gap at one PSNR."""

    def wrong(anchor: Points, test: Points) -> float:
        first, second = _gap(anchor, test)
        return _percent(math.exp(place(second - first)))

    return wrong


def _bd_psnr(anchor: Points, test: Points) -> float:
    """The mean vertical gap instead of the horizontal one."""
    first, second = (np.transpose(points) for points in (anchor, test))
    low, high = max(first[0][0], second[0][0]), min(first[0][-1], second[0][-1])
    grid = np.linspace(math.log(low), math.log(high), 1001)
    return float((np.interp(grid, np.log(second[0]), second[1]) - np.interp(grid, np.log(first[0]), first[1])).mean())


def _middle(gap: np.ndarray) -> float:
    return float(gap[len(gap) // 2])


_NUMBERS = (
    *(_plain_rates, _mean_of_ratios, _wrong_base, _everywhere, _not_undone, _bd_psnr),
    _at_one_place(_middle),
)
"""Wrong answers of which each shall give a number of its own."""

BD_RATE = Exercise(
    id="07.2",
    title="BD-rate by hand",
    minutes=7,
    core=False,
    reference=bd_rate,
    checks=(
        Check(
            "per cent of rate, for random curves",
            inputs=_pairs,
            call=_each,
            tolerance=2e-3,
            mistakes=(
                Mistake(
                    "anchor and test are swapped: the anchor is what the per cents are of. Take test − anchor.",
                    when=_near(lambda anchor, test: bd_rate(test, anchor)),
                ),
                Mistake(
                    "the mean is taken of the rates themselves: then the largest files decide alone. Interpolate and average "
                    "their logarithms, `np.log(rate)`.",
                    when=_near(_plain_rates),
                ),
                Mistake(
                    "the ratios are averaged after `exp`: half and double don't cancel that way. Average the logarithms first.",
                    when=_near(_mean_of_ratios),
                ),
                Mistake(
                    "this is the gap at one PSNR (or the median gap): the curves come nearer and drift apart, so take the "
                    "mean over all PSNRs that both have.",
                    when=_near(_at_one_place(_middle)),
                ),
                Mistake("`np.log10` needs `10 ** …`, and `np.exp` needs `np.log`: take one pair.", when=_near(_wrong_base)),
                Mistake(
                    "the mean goes over qualities that only one curve has. `np.interp` doesn't object, it repeats the last "
                    "point. Begin at the larger of both lowest PSNRs, end at the smaller of both highest.",
                    when=_near(_everywhere),
                ),
                Mistake(
                    "this is the mean of the logarithms, times 100: exp(…) − 1 makes a ratio of it.", when=_near(_not_undone)
                ),
                Mistake(
                    "per cents are wanted: times 100.",
                    when=_all(lambda yours, target, pair: abs(100 * yours - target) < 0.5),
                ),
                Mistake(
                    "these are decibels at equal rate, the vertical gap (BD-PSNR): interpolate log rate over PSNR, not PSNR "
                    "over log rate.",
                    when=_all(lambda yours, target, pair: abs(yours - _bd_psnr(*pair)) < 0.05),
                ),
                Mistake(
                    "this is the ratio of the rates: subtract 1, so that no difference is 0.",
                    when=_all(
                        lambda yours, target, pair: abs(100 * yours - 100 - target) < 0.5 or abs(yours - 100 - target) < 0.5
                    ),
                ),
                Mistake(
                    "the sign is turned: less rate is negative, exp(…) − 1.",
                    when=_near(lambda anchor, test: -bd_rate(anchor, test)),
                ),
                Mistake(
                    "these are the gaps without their signs: where the curves cross, they have to cancel. Leave out the `abs`.",
                    when=_near(_magnitudes),
                ),
                Mistake(
                    "the mean is taken of the two ends of the range alone: `np.linspace(a, b, 1000)` makes places between them.",
                    when=_near(_ends_alone),
                ),
                Mistake(
                    "this is the integral: divide by b − a, so that it is a mean.",
                    when=_near(_integral),
                ),
            ),
        ),
    ),
    hints=(
        "`rate, psnr = np.transpose(points)` gives two arrays. The common range goes from the larger of both lowest PSNRs to the "
        "smaller of both highest.",
        "On `q = np.linspace(low, high, 1000)`, `np.interp(q, psnr, np.log(rate))` is the logarithm of the rate at each quality.",
        "Subtract the anchor's from the test's, take the mean, and return `100 * (math.exp(mean) - 1)`.",
    ),
)
