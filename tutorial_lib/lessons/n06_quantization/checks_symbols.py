"""Checks of notebook 06's symbols: quantization, a gradient through it, and what symbols cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.coding.steps import storable_step
from tutorial_lib.course.comparing import Random, slope
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n06_quantization.answers import entropy, laplace_table, quantize, straight_through

# ---------------------------------------------------------------------------------------------- 06.1


def _more_bits(random: Random) -> tuple[Any, ...]:
    weights, _ = _weights_and_bits(random)
    return -weights, random.randint(9, 12)


def _weights_and_bits(random: Random) -> tuple[Any, ...]:
    """Weights whose largest one is negative, and none of which is so near to a tie that its last digit decides.

    Some of them get another symbol if they are divided by the step as it was before it was stored.
    """
    bits = random.randint(3, 8)
    while True:
        weights = random.normal(*random.size(20, 30), std=0.15).clamp(max=0.4)  # many: wrong answers differ somewhere
        weights[-1, -1] = -random.uniform(0.5, 0.7)
        exact = weights.abs().max().item() / (2 ** (bits - 1) - 1)
        scaled = weights / storable_step(exact)
        ties = bool(((scaled - scaled.floor() - 0.5).abs() < 1e-4).any())
        if not ties and not torch.equal(scaled.round(), (weights / exact).round()):
            return weights, bits


def _divided_by_the_exact_step(weights: Tensor, bits: int) -> tuple[Tensor, float]:
    step = weights.abs().max().item() / (2 ** (bits - 1) - 1)
    return torch.round(weights / step).int(), storable_step(step)


def _quantize_like(
    levels: Callable[[int], int] = lambda bits: 2 ** (bits - 1) - 1,
    largest: Callable[[Tensor], Tensor] = lambda weights: weights.abs().max(),
    whole: Callable[[Tensor], Tensor] = torch.round,
    stored: Callable[[float], float] = storable_step,
    result: Callable[[Tensor, float], Tensor] = lambda symbols, step: symbols.int(),
):
    """A quantizer that differs from the right one in one thing."""

    def wrong(weights: Tensor, bits: int) -> tuple[Tensor, float]:
        step = stored(largest(weights).item() / levels(bits))
        return result(whole(weights / step), step), step

    return wrong


def _multiplied(weights: Tensor, bits: int) -> tuple[Tensor, float]:
    step = quantize(weights, bits)[1]
    return torch.round(weights * step).int(), step


def _turned(yours: Any, target: Any, *_: Any) -> bool:
    return isinstance(yours[1], Tensor) and yours[1].shape == target[0].shape and not isinstance(yours[0], Tensor)


QUANTIZE = Exercise(
    id="06.1",
    title="A uniform quantizer",
    minutes=4,
    core=True,
    reference=quantize,
    checks=(
        Check(
            "symbols and step of random weights",
            inputs=_weights_and_bits,
            tolerance=1e-6,
            mistakes=(
                Mistake(
                    "the fraction is cut off towards 0, so all weights shrink: take the nearest integer, `torch.round`.",
                    like=_quantize_like(whole=torch.trunc),
                ),
                Mistake(
                    "it rounds down, so all weights move the same way: take the nearest integer, `torch.round`.",
                    like=_quantize_like(whole=torch.floor),
                ),
                Mistake(
                    "it rounds up, so all weights move the same way: take the nearest integer, `torch.round`.",
                    like=_quantize_like(whole=torch.ceil),
                ),
                Mistake(
                    "½ is added and then the fraction cut off: that is the nearest integer for positive weights alone. "
                    "`torch.round`.",
                    like=_quantize_like(whole=lambda scaled: (scaled + 0.5).trunc()),
                ),
                Mistake(
                    "the weights are multiplied by the step: divide by it.",
                    like=_multiplied,
                ),
                Mistake(
                    "2·(bits − 1) − 1 instead of 2^(bits−1) − 1: powers are `**`.",
                    like=_quantize_like(levels=lambda bits: 2 * (bits - 1) - 1),
                ),
                Mistake(
                    "the step is made of the range from the smallest to the largest weight: take the largest magnitude, so that "
                    "both signs have as many symbols.",
                    like=_quantize_like(largest=lambda weights: weights.max() - weights.min(), levels=lambda bits: 2**bits - 1),
                ),
                Mistake("the two come in the other order: symbols, then the step.", when=_turned),
                Mistake(
                    "one symbol too many: with n = 2^(bits−1) the largest weight becomes ±n, but 8 bits end at 127. Take n − 1.",
                    like=_quantize_like(levels=lambda bits: 2 ** (bits - 1)),
                ),
                Mistake(
                    "the sign takes a bit, too: half of the 2^bits integers are negative. Divide by 2^(bits−1) − 1.",
                    like=_quantize_like(levels=lambda bits: 2**bits - 1),
                ),
                Mistake(
                    "the largest weight may be a negative one: take the largest magnitude, `weights.abs().max()`.",
                    like=_quantize_like(largest=lambda weights: weights.max()),
                ),
                Mistake(
                    "the step isn't a number that the file can hold: `storable_step(…)` makes it one, before you divide by it.",
                    like=_quantize_like(stored=lambda step: step),
                ),
                Mistake(
                    "the step is stored, but the weights are divided by the one from before: the decoder multiplies with what "
                    "the file holds. First `storable_step(…)`, then divide by that.",
                    like=_divided_by_the_exact_step,
                ),
                Mistake(
                    "these are the weights after rounding, q·Δ. The file holds the integers q: don't multiply yet.",
                    like=_quantize_like(result=lambda symbols, step: symbols * step),
                ),
            ),
        ),
        Check(
            "with more bits, and where the largest weight is positive",
            inputs=_more_bits,
            rounds=1,
            mistakes=(
                Mistake(
                    "the largest weight in magnitude may be positive or negative: `weights.abs().max()`.",
                    like=_quantize_like(largest=lambda weights: weights.min().abs()),
                ),
                Mistake(
                    "the symbols end at ±127, whatever `bits` says: 8 bits do, and here there are more.",
                    like=_quantize_like(result=lambda symbols, step: symbols.clamp(-127, 127).int()),
                ),
            ),
        ),
    ),
    hints=(
        "The largest magnitude becomes the largest symbol, 2^(bits−1) − 1. That fixes the step.",
        "`largest = weights.abs().max().item()`, and the step is `storable_step(largest / (2 ** (bits - 1) - 1))`.",
        "The symbols are `torch.round(weights / step).int()`. Return them, then the step.",
    ),
)

# ---------------------------------------------------------------------------------------------- 06.2


def _own_slopes(answer: Callable[..., Tensor], weights: Tensor, step: float) -> Tensor:
    """The slope of each result for its own weight; a plain sum wouldn't show that they get each other's."""
    factors = torch.linspace(1, 2, weights.numel(), device=weights.device).view_as(weights)
    return slope(lambda w: factors * answer(w, step), weights) / factors


def _weights_and_step(random: Random) -> tuple[Any, ...]:
    return random.normal(*random.size(), std=0.5), random.uniform(0.1, 0.3)


STRAIGHT_THROUGH = Exercise(
    id="06.2",
    title="Straight through",
    minutes=4,
    core=True,
    reference=straight_through,
    checks=(
        Check(
            "forwards, it rounds",
            inputs=_weights_and_step,
            call=lambda answer, weights, step: _detached(answer(weights, step)),
            mistakes=(
                Mistake(
                    "nothing is rounded: forwards, the network has to see Δ·round(w/Δ).",
                    like=lambda weights, step: weights,
                ),
                Mistake(
                    "these are the integers: times Δ, they are weights again.",
                    like=lambda weights, step: torch.round(weights / step),
                ),
                Mistake(
                    "the difference has the wrong sign, w − rounded: the sum runs away from the grid.",
                    like=lambda weights, step: 2 * weights - torch.round(weights / step) * step,
                ),
                Mistake(
                    "these are whole numbers: round w/Δ, and multiply by Δ.",
                    like=lambda weights, step: torch.round(weights),
                ),
                Mistake(
                    "it rounds down: take the nearest, `torch.round`.",
                    like=lambda weights, step: torch.floor(weights / step) * step,
                ),
                Mistake(
                    "the weights are added twice: add the difference, rounded − weights.",
                    like=lambda weights, step: weights + torch.round(weights / step) * step,
                ),
            ),
        ),
        Check(
            "backwards, its slope is 1",
            inputs=_weights_and_step,
            call=_own_slopes,
            mistakes=(
                Mistake(
                    "the gradient is 0: `torch.round` is flat, and weights that are added and taken off cancel. Hide the whole "
                    "difference from the gradient, `(rounded - weights).detach()`, and let the weights in front of it through.",
                    when=lambda yours, target, *_: bool((yours == 0).all()),
                ),
                Mistake(
                    "the gradient has the wrong sign: `detach()` belongs to the difference, not to the weights in front of it.",
                    when=lambda yours, target, *_: bool((yours == -1).all()),
                ),
                Mistake(
                    "no gradient comes back: all of it is detached. The weights in front of the difference must not be.",
                    error="no gradient comes back",
                ),
            ),
        ),
    ),
    hints=(
        "Write the result as the weights plus a difference. Forwards both count, backwards only the weights shall.",
        "The difference is `rounded - weights`, and `.detach()` behind its bracket makes a constant of it.",
        "`rounded = torch.round(weights / step) * step`, then `weights + (rounded - weights)` with the bracket detached.",
    ),
)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


# ---------------------------------------------------------------------------------------------- 06.3a


def _symbols(random: Random) -> tuple[Any, ...]:
    """Symbols as of weights: many small ones, negative too, gaps, and an outlier; not as many kinds as rows or columns."""
    while True:
        symbols = random.normal(*random.size(9, 14), std=random.uniform(1.5, 3.5)).round().int()
        symbols[0, 0] = random.randint(15, 40)
        symbols[0, 1] = symbols[0, 0] + 256  # one byte would take both for the same
        if len(symbols.unique()) not in symbols.shape:
            return (symbols,)


def _shares(symbols: Tensor) -> Tensor:
    counts = symbols.unique(return_counts=True)[1]
    return counts / counts.sum()


def _row_shares(symbols: Tensor) -> Tensor:
    counts = symbols.unique(return_counts=True, dim=0)[1]
    return counts / counts.sum()


def _by(symbols: Tensor, count: int) -> float:
    """The sum with counts divided by something else."""
    p = symbols.unique(return_counts=True)[1] / count
    return float(-(p * p.log2()).sum())


ENTROPY = Exercise(
    id="06.3a",
    title="The entropy of the symbols",
    minutes=4,
    core=True,
    reference=entropy,
    checks=(
        Check(
            "bits a symbol, for random symbols",
            inputs=_symbols,
            mistakes=(
                Mistake(
                    "these are nats: bits need the logarithm to base 2, `torch.log2`.",
                    when=lambda yours, target, *_: abs(float(yours) / target - math.log(2)) < 1e-3,
                ),
                Mistake(
                    "the minus is missing: log₂ of a probability is negative.",
                    when=lambda yours, target, *_: abs(float(yours) + target) < 1e-3,
                ),
                Mistake(
                    "these are the bits of all symbols together: bits a symbol are wanted.",
                    when=lambda yours, target, symbols: abs(float(yours) / symbols.numel() - target) < 1e-3,
                ),
                Mistake(
                    "each distinct symbol counts once: weigh −log₂ p with p, for what is frequent is written often.",
                    like=lambda symbols: float(-_shares(symbols).log2().mean()),
                ),
                Mistake(
                    "−log₂ p is added up without its weight p: what is frequent is written often.",
                    like=lambda symbols: float(-_shares(symbols).log2().sum()),
                ),
                Mistake(
                    "that is log₂ of how many distinct symbols there are, the bits if all were equally frequent.",
                    like=lambda symbols: math.log2(len(symbols.unique())),
                ),
                Mistake(
                    "these are bans: bits need the logarithm to base 2, `torch.log2`.",
                    when=lambda yours, target, *_: abs(float(yours) / target - math.log10(2)) < 1e-3,
                ),
                Mistake(
                    "symbols and their negatives are counted as one: −3 and 3 are two symbols. Leave out the `abs`.",
                    like=lambda symbols: entropy(symbols.abs()),
                ),
                Mistake(
                    "the counts are divided by the number of distinct symbols: divide by the number of all, `symbols.numel()`.",
                    like=lambda symbols: _by(symbols, len(symbols.unique())),
                ),
                Mistake(
                    "the counts are divided by the number of rows: divide by the number of all symbols, `symbols.numel()`.",
                    like=lambda symbols: _by(symbols, len(symbols)),
                ),
                Mistake(
                    "whole rows are counted: without `dim=`, `unique` looks at single symbols.",
                    like=lambda symbols: float(-(_row_shares(symbols) * _row_shares(symbols).log2()).sum()),
                ),
                Mistake(
                    "a p is 0 or negative, and its logarithm makes NaN of the sum (0·log₂ 0, too): p are the shares of those "
                    "symbols that appear, counts by the number of all. `symbols.unique(return_counts=True)` counts only those.",
                    when=lambda yours, target, *_: math.isnan(float(yours)),
                ),
                Mistake(
                    "`torch.bincount` can't count negative numbers: take `symbols.unique(return_counts=True)`.",
                    error="bincount only supports",
                ),
            ),
        ),
    ),
    hints=(
        "`values, counts = symbols.unique(return_counts=True)` says how often each symbol appears.",
        "p is counts divided by the number of symbols. Then H = −Σ p·log₂ p.",
        "`-(p * torch.log2(p)).sum()`, and `.item()` makes a plain number of it.",
    ),
)

# ---------------------------------------------------------------------------------------------- 06.3b


def _law(random: Random) -> tuple[Any, ...]:
    return random.uniform(1.0, 4.0), random.randint(3, 8)


def _table_like(
    decay: Callable[[float], float] = lambda b: math.exp(-1 / (2 * b)),
    power: int = 2,
    zero: bool = True,
    start: Callable[[int], int] = lambda bound: -bound,
    magnitude: Callable[[np.ndarray], np.ndarray] = np.abs,
    scaled: bool = True,
    half: float = 0.5,
    at_zero: Callable[[float], float] = lambda t: 1 - t,
):
    """A table that differs from the right one in one thing."""

    def wrong(b: float, bound: int) -> np.ndarray:
        k = magnitude(np.arange(start(bound), bound + 1))
        t = decay(b)
        table = half * (1 / t - t) * t ** (1.0 * power * k)
        if zero:
            table = np.where(k == 0, at_zero(t), table)
        return table / table.sum() if scaled else table

    return wrong


def _in_float64(answer: Callable[[float, int], Any], b: float, bound: int) -> Any:
    """A table; what kind of float it holds is the answer's affair."""
    table = answer(b, bound)
    return table.astype(float) if isinstance(table, np.ndarray) else table


LAPLACE = Exercise(
    id="06.3b",
    title="A Laplace law for the symbols",
    minutes=6,
    core=False,
    reference=laplace_table,
    checks=(
        Check(
            "right for random widths and bounds",
            inputs=_law,
            call=_in_float64,
            tolerance=1e-6,
            draw="curve",
            mistakes=(
                Mistake(
                    "the probabilities don't add up to 1: the ends of the law are cut off. Divide by the sum.",
                    like=_table_like(scaled=False),
                ),
                Mistake(
                    "the largest is made 1, not the sum: divide by the sum.",
                    when=lambda yours, target, *_: bool(np.allclose(yours, target / target.max())),
                ),
                Mistake(
                    "0 is half as likely beside the others as it should be: is the ½ missing in front of (1/t − t), or does P(0) "
                    "have one, too? The ½ is one half for +k, one for −k.",
                    like=_table_like(half=1.0),
                ),
                Mistake("P(0) is 1 − t, not 1 + t.", like=_table_like(at_zero=lambda t: 1 + t)),
                Mistake("the sign is turned: it is 1/t − t, not t − 1/t.", like=_table_like(half=-0.5)),
                Mistake(
                    "t is e^(−1/(2b)), with a minus: below 1, so that large symbols are rare.",
                    like=_table_like(decay=lambda b: math.exp(1 / (2 * b))),
                ),
                Mistake("0 has a formula of its own: P(0) = 1 − t.", like=_table_like(zero=False)),
                Mistake("t is e^(−1/(2b)): the 2 is missing.", like=_table_like(decay=lambda b: math.exp(-1 / b))),
                Mistake("the exponent of t is 2|k|, not |k|.", like=_table_like(power=1)),
                Mistake(
                    "k goes in with its sign, so that −3 seems likelier than 0: take |k|, `np.abs(k)`.",
                    like=_table_like(magnitude=lambda k: k),
                ),
                Mistake(
                    "the last symbol is missing, or the first, or 0: from −bound to bound there are 2·bound + 1. "
                    "(`np.arange` leaves out its end.)",
                    when=lambda yours, target, b, bound: len(yours) == 2 * bound,
                ),
                Mistake(
                    "there are negative symbols, too: the table goes from −bound to bound.",
                    when=lambda yours, target, b, bound: len(yours) in (bound, bound + 1),
                ),
            ),
        ),
    ),
    hints=(
        "`k = np.arange(-bound, bound + 1)` are the symbols, `t = math.exp(-1 / (2 * b))`.",
        "`np.where(k == 0, …, …)` chooses between the two formulas; use `np.abs(k)` in the second.",
        "`table = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2 * np.abs(k)))`, divided by its sum.",
    ),
)
