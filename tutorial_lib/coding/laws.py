"""How probable each symbol is, in whole numbers: tables that encoder and decoder share to the last bit, on every machine.

At the first difference between two tables a decoder goes astray. So no table needs exp() or log(), whose last bit is the
platform's affair (constriction's own QuantizedLaplace evaluates them): all are made of integer multiplications, divisions,
shifts and square roots, from twelve committed constants. What remains to be trusted is IEEE arithmetic on integers below 2⁵³.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tutorial_lib.coding import golomb
from tutorial_lib.coding.rates import laplace_decay

PRECISION = 24
"""Bits of a probability: tables are in units of 2⁻²⁴."""
SCALES = 160
"""Number of Laplace scales, b = 2^(index/8 − 4) steps, from 1/16 to 60,000; and of Gaussian ones, σ = 2^(index/8 − 2)."""

FEW = 1000
"""Fewer symbols than these have several best scales."""

FRACTION_BITS = 48
"""Of the integers that all tables are made from."""
# exp(−1/(2b))·2⁴⁸ for b = 2^(j/8 − 4), j = 0 … 7, rounded from 50 digits. With b = σ² the even ones are Gaussian, too.
_FIRST_OCTAVE = (
    94424335376, 183417776810, 337183572614, 589311866533, 983329812783, 1572529284551, 2418663442086, 3589498934828,
)  # fmt: skip
# exp(−1/(2σ²))·2⁴⁸, σ = 2^(j/8 − 2), j = 0 … 7.
_FIRST_GAUSSIAN_OCTAVE = (*_FIRST_OCTAVE[::2], 5155394029647, 9742111590861, 16636788636993, 26092014794417)


class Law(abc.ABC):
    """Probabilities of the integers −bound … bound; with a bound of 0 every symbol is 0 and costs nothing."""

    bound: int

    @staticmethod
    @abc.abstractmethod
    def fitted(symbols: np.ndarray) -> Law:
        """The law of this kind that codes ``symbols`` (integers within ±`steps.MAX_SYMBOL`, any shape) in the fewest bits."""

    @abc.abstractmethod
    def frequencies(self) -> np.ndarray:
        """Integer probabilities of −bound … bound in units of 2⁻²⁴, float64, shape (2·bound + 1,).

        They add up to 2²⁴ less one unit a symbol, which constriction gives to each so that none is impossible.
        """

    def bits(self, symbols: np.ndarray) -> float:
        """What coding ``symbols`` (integers within ±bound) costs, without side information and the coder's last word."""
        return self.bits_of_counts(_counts(symbols, self.bound))

    def bits_of_counts(self, counts: np.ndarray) -> float:
        """`bits` of symbols of which −bound … bound appear ``counts`` times, shape (2·bound + 1,)."""
        if self.bound == 0:
            return 0.0
        used = counts > 0
        return float(np.sum(counts[used] * (PRECISION - np.log2(self.frequencies()[used] + 1))))


@dataclass(frozen=True)
class Laplace(Law):
    """A discretized Laplace law: P(0) = 1 − t and P(±k) = ½·(1/t − t)·t^(2k), t = exp(−1/2b); the tails are lumped on ±bound.

    Args:
        spread: index of the scale b, 0 … `SCALES` − 1.
        bound: largest magnitude that can be coded, 0 … `steps.MAX_SYMBOL`.
    """

    spread: int
    bound: int

    def frequencies(self) -> np.ndarray:
        return _laplace_table(self.spread, self.bound)

    @staticmethod
    def fitted(symbols: np.ndarray) -> Laplace:
        def likeliest(k: np.ndarray) -> float:
            if k.size < FEW:
                return _likeliest_of_few(k)
            t = laplace_decay(k.size, k.size - int(np.count_nonzero(k)), float(k.sum()))
            return 8 * (math.log2(-1 / (2 * math.log(t))) + 4) if t < 1 else SCALES

        return _fitted(Laplace, SCALES, likeliest, symbols, grid=False)


@dataclass(frozen=True)
class Gaussian(Law):
    """P(k) ∝ exp(−k²/(2σ²)), a Gaussian law's density at the integers.

    Args:
        scale: index of σ, 0 … `SCALES` − 1.
        bound: largest magnitude that can be coded, 0 … `steps.MAX_SYMBOL`.
    """

    scale: int
    bound: int

    def frequencies(self) -> np.ndarray:
        return _gaussian_table(self.scale, self.bound)

    @staticmethod
    def fitted(symbols: np.ndarray) -> Gaussian:
        return _fitted(Gaussian, SCALES, lambda k: 8 * (math.log2(np.square(k).mean()) / 2 + 2), symbols, grid=True)


@dataclass(frozen=True)
class ExpGolomb(Law):
    """The law for which signed Exp-Golomb codes are the right ones: a code of l bits stands for a probability of 2^−l.

    0, 1, −1, 2, −2 … are numbered v = 0, 1, 2, 3, 4 …; code k of v takes k + 1 + 2·⌊log₂(⌊v/2ᵏ⌋ + 1)⌋ bits (Teuhola, 1978).
    Its tails are heavier than any exponential's, so outliers are cheap. Here it shares the coder with the other laws; as a
    string of bits, which needs none, it is in `tutorial_lib.coding.golomb`.

    Args:
        order: k, 0 … `golomb.MAX_ORDER`.
        bound: largest magnitude that can be coded, 0 … `steps.MAX_SYMBOL`; what lies beyond is shared out.
    """

    order: int
    bound: int

    def lengths(self) -> np.ndarray:
        """Bits of the codes of −bound … bound, integers, 38 at most."""
        return golomb.lengths(np.arange(-self.bound, self.bound + 1), self.order)

    def frequencies(self) -> np.ndarray:
        return _shared_out(np.left_shift(np.int64(1), 38 - self.lengths()), self.bound)

    @staticmethod
    def fitted(symbols: np.ndarray) -> ExpGolomb:
        return _fitted(ExpGolomb, golomb.MAX_ORDER + 1, lambda k: math.log2(2 * k.mean() + 1), symbols, grid=True)


@dataclass(frozen=True)
class Histogram(Law):
    """How often each symbol appears in the tensor: the best law there is, but the counts must be sent too.

    Args:
        counts: of −bound … bound, an odd number of them.
    """

    counts: tuple[int, ...]

    @property
    def bound(self) -> int:
        return len(self.counts) // 2

    def frequencies(self) -> np.ndarray:
        return _shared_out(np.array(self.counts, dtype=np.int64), int(np.argmax(self.counts)))

    @staticmethod
    def fitted(symbols: np.ndarray) -> Histogram:
        return Histogram(tuple(magnitudes(symbols)[1].tolist()))


LAWS: tuple[type[Law], ...] = (Laplace, Gaussian, ExpGolomb, Histogram)

_Kind = TypeVar("_Kind", bound=Law)


def magnitudes(symbols: np.ndarray) -> tuple[int, np.ndarray]:
    """The largest magnitude of integers of any shape, and how often −it … it appear; 0 where there are none."""
    bound = int(np.abs(symbols).max(initial=0))
    return bound, _counts(symbols, bound)


def _counts(symbols: np.ndarray, bound: int) -> np.ndarray:
    return np.bincount(symbols.ravel() + bound, minlength=2 * bound + 1)


def _fitted(
    kind: Callable[[int, int], _Kind], limit: int, likeliest: Callable[[np.ndarray], float], symbols: np.ndarray, grid: bool
) -> _Kind:
    """The best law up and down from the likeliest index, as long as it gets better.

    An outlier costs 24 bits at most, one unit of 2⁻²⁴, so that where it counts, among few symbols, there are several minima.

    Args:
        kind: the law of an index, 0 … ``limit`` − 1, and a bound.
        likeliest: the index for magnitudes (float64, not all of them 0), whole or not.
        grid: begin at the best of a grid, where there are few; for a ``likeliest`` that knows one minimum only.
    """
    bound, counts = magnitudes(symbols)
    if bound == 0:
        return kind(0, 0)
    visited: dict[int, float] = {}

    def bits(index: int) -> float:
        if index not in visited:
            visited[index] = kind(index, bound).bits_of_counts(counts)
        return visited[index]

    start = min(max(round(likeliest(np.abs(symbols.astype(np.float64)))), 0), limit - 1)
    if grid and counts.sum() < FEW:
        start = min((start, *range(0, limit, 2)), key=bits)
    for direction in (-1, 1):
        index = start
        while 0 <= index + direction < limit and bits(index + direction) < bits(index):
            index += direction
    return kind(min(visited, key=bits), bound)


def _likeliest_of_few(k: np.ndarray) -> int:
    """The Laplace scale whose formula gives magnitudes the fewest bits, none more than a unit of 2⁻²⁴ costs; all at once."""
    found, counts = np.unique(k, return_counts=True)
    t = np.array([decay(spread) for spread in range(SCALES)])[:, None] / (1 << FRACTION_BITS)
    chances = np.where(found > 0, (1 / t - t) / 2 * t ** (2 * found), 1 - t)
    return int((np.log2(chances + 2.0**-PRECISION) @ counts).argmax())


def _shared_out(weights: np.ndarray, rest: int) -> np.ndarray:
    """Frequencies in proportion to integer weights below 2³⁸; what rounding down leaves goes to symbol number ``rest``."""
    total = (1 << PRECISION) - len(weights)
    frequencies = total * weights // int(weights.sum())
    frequencies[rest] += total - int(frequencies.sum())
    return frequencies.astype(np.float64)


@functools.cache
def decay(spread: int) -> int:
    """t = e^(−1/(2b)) for the scale b = 2^(spread/8 − 4), over 2⁴⁸: the seed of every Laplace table.

    Twice the scale is the square root of t, exact in integers but for its rounding down.

    >>> [decay(spread) / 2**48 for spread in (0, 32)]  # e^−8, e^−½
    [0.000335..., 0.606...]
    """
    if spread < len(_FIRST_OCTAVE):
        return _FIRST_OCTAVE[spread]
    return math.isqrt(decay(spread - len(_FIRST_OCTAVE)) << FRACTION_BITS)


@functools.cache
def _gaussian_decay(scale: int) -> int:
    """exp(−1/(2σ²)) as an integer over 2⁴⁸. Twice the scale is the fourth root."""
    if scale < len(_FIRST_GAUSSIAN_OCTAVE):
        return _FIRST_GAUSSIAN_OCTAVE[scale]
    root = math.isqrt(_gaussian_decay(scale - len(_FIRST_GAUSSIAN_OCTAVE)) << FRACTION_BITS)
    return math.isqrt(root << FRACTION_BITS)


@functools.lru_cache(maxsize=256)
def _laplace_table(spread: int, bound: int) -> np.ndarray:
    total, t = (1 << PRECISION) - (2 * bound + 1), decay(spread)
    beyond = tails(total, t, t * t >> FRACTION_BITS, bound)  # P(q ≥ k) = ½·t^(2k − 1)
    return _symmetric(beyond - np.append(beyond[1:], 0)[:bound], total)


def tails(total: int, first: int, ratio: int, count: int) -> np.ndarray:
    """What lies beyond each of ``count`` equidistant edges of a Laplace law: ½·total·first·ratioᵏ, rounded down; int64.

    Args:
        total: below 2²⁴.
        first, ratio: over 2⁴⁸, at most 1.
    """
    powers = _powers(first, ratio, 1 << (count - 1).bit_length())[:count] if count else np.zeros(0, dtype=np.int64)
    high, low = powers >> PRECISION, powers & ((1 << PRECISION) - 1)  # a product of 72 bits in two of 48
    found = np.zeros(count, dtype=np.int64)
    found[: powers.size] = (total * high + (total * low >> PRECISION)) >> (FRACTION_BITS + 1 - PRECISION)
    return found


@functools.lru_cache(maxsize=1024)
def _powers(first: int, ratio: int, count: int) -> np.ndarray:
    """first·ratioᵏ over 2⁴⁸, each rounded down, while half of it is a unit of 2⁻²⁴ or more and k < ``count``; int64."""
    powers = []
    while len(powers) < count and first >> (FRACTION_BITS - PRECISION + 1):
        powers.append(first)
        first = first * ratio >> FRACTION_BITS
    return np.array(powers, dtype=np.int64)


@functools.lru_cache(maxsize=256)
def _gaussian_table(scale: int, bound: int) -> np.ndarray:
    total = (1 << PRECISION) - (2 * bound + 1)
    weights = []  # g^(k²), k ≥ 1, over 2⁴⁸
    g = _gaussian_decay(scale)
    square = g * g >> FRACTION_BITS
    weight, ratio = 1 << FRACTION_BITS, g  # g^((k + 1)² − k²) = g^(2k + 1)
    for _ in range(bound):
        weight = weight * ratio >> FRACTION_BITS
        if total * weight >> FRACTION_BITS == 0:
            break
        weights.append(weight)
        ratio = ratio * square >> FRACTION_BITS
    mass = (1 << FRACTION_BITS) + 2 * sum(weights)
    one_side = np.zeros(bound, dtype=np.int64)
    one_side[: len(weights)] = [total * weight // mass for weight in weights]
    return _symmetric(one_side, total)


def _symmetric(one_side: np.ndarray, total: int) -> np.ndarray:
    """Frequencies of ±1 … ±bound on both sides of 0, which gets what they leave of ``total``."""
    frequencies = np.concatenate([one_side[::-1], [total - 2 * int(one_side.sum())], one_side]).astype(np.float64)
    frequencies.setflags(write=False)
    return frequencies
