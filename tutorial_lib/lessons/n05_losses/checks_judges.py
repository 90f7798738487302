"""Checks of notebook 05's judges: MS-SSIM in decibels, and how far two rankings agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

from tutorial_lib import metrics
from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake

# ---------------------------------------------------------------------------------------------- 05.4


def decibels(similarity: float) -> float:
    """What `metrics.ms_ssim_db` does with an MS-SSIM; rounding errors can leave that a hair above 1."""
    return metrics.psnr_of_mse(max(1 - similarity, 0.0))


def agreement(first: str, second: str) -> float:
    """Share of the pairs that two rankings, best first, put into the same order: (1 + Kendall's τ) / 2."""
    pairs = list(combinations(first, 2))
    return sum(second.index(better) < second.index(worse) for better, worse in pairs) / len(pairs)


DECIBELS = Exercise(
    id="05.4",
    title="MS-SSIM in decibels",
    minutes=3,
    core=False,
    reference=decibels,
    checks=(
        Check(
            "right for random similarities",
            inputs=lambda random: (random.uniform(0.55, 0.9999),),
            mistakes=(
                Mistake(
                    "the minus is missing: 1 − v is below 1, so its logarithm is negative.",
                    like=lambda v: 10 * math.log10(1 - v),
                ),
                Mistake(
                    "that is the logarithm of v itself: it is 1 − v, the distance from the original, that counts.",
                    like=(
                        lambda v: -10 * math.log10(v),
                        lambda v: 10 * math.log10(v),
                    ),
                ),
                Mistake(
                    "20 in front (or a square of 1 − v) is for amplitudes. 1 − v is counted as errors squared are: 10.",
                    like=lambda v: -20 * math.log10(1 - v),
                ),
                Mistake("`math.log` is the natural logarithm: `math.log10`.", like=lambda v: -10 * math.log(1 - v)),
                Mistake("the 10 in front is missing: these are bels.", like=lambda v: -math.log10(1 - v)),
                Mistake("`math.log2` is the logarithm to base 2: `math.log10`.", like=lambda v: -10 * math.log2(1 - v)),
                Mistake(
                    "the root is taken of 1 − v: it is counted as errors squared are, as it stands.",
                    like=lambda v: -5 * math.log10(1 - v),
                ),
                Mistake(
                    "that is the ratio of v and 1 − v: only what is missing counts, 1 − v.",
                    like=lambda v: 10 * math.log10(v / (1 - v)),
                ),
            ),
        ),
        Check(
            "finite for a copy that is nearly perfect",
            inputs=lambda random: (1 - 10 ** -random.uniform(6.2, 8),),
            rounds=1,
            mistakes=(
                Mistake(
                    "this copy is nearly perfect, and gets infinity: only where nothing is missing, 1 − v is 0 or below, it is "
                    "`math.inf`.",
                    when=lambda yours, target, v: yours == math.inf,
                ),
            ),
        ),
        Check(
            "infinite for a perfect copy",
            inputs=lambda random: (random.choice([1.0, 1.0 + 2e-16, 1.0 + 1e-12]),),
            mistakes=(
                Mistake(
                    "a perfect copy has the similarity 1 (or a hair more, where sums were rounded), and the logarithm of 0 "
                    "or less fails: give `math.inf` then.",
                    error="ValueError|ZeroDivisionError",
                    when=lambda yours, target, v: math.isnan(yours),
                ),
                Mistake(
                    "a perfect copy is infinitely good, not infinitely bad: plus, `math.inf`.",
                    when=lambda yours, target, v: yours == -math.inf,
                ),
                Mistake(
                    "a perfect copy gets a finite number: its distance is 0, so it is infinitely good, `math.inf`.",
                    when=lambda yours, target, v: math.isfinite(yours),
                ),
            ),
        ),
    ),
    hints=(
        "It is PSNR's recipe (notebook 01) with the distance 1 − v in place of the mean squared error.",
        "`-10 * math.log10(…)`. And before it: is the distance 0, or below?",
        "`distance = 1 - similarity`; return `math.inf` unless `distance > 0`, and else minus ten times its `math.log10`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 05.5


_TOO_MUCH = "divided by too much: n letters make n·(n − 1)/2 pairs, each counted once."


def _same_places(first: str, second: str) -> float:
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def _neighbours_only(first: str, second: str) -> float:
    pairs = list(zip(first, first[1:], strict=False))
    return sum(second.index(better) < second.index(worse) for better, worse in pairs) / len(pairs)


_WRONG_AGREEMENTS: tuple[tuple[str, Callable[[str, str], float]], ...] = (
    (
        "that is the share of places with the same letter: `ABCDE` and `EABCD` share no place, and yet 6 of 10 pairs.",
        _same_places,
    ),
    ("only neighbours are compared: every letter makes a pair with every other, 10 pairs of five.", _neighbours_only),
    (
        "that is the number of pairs: divide by how many there are.",
        lambda first, second: agreement(first, second) * math.comb(len(first), 2),
    ),
    ("that is how often they disagree.", lambda first, second: 1 - agreement(first, second)),
    (
        "that is Kendall's τ, from −1 to 1: here the pairs that agree count 1, the others 0.",
        lambda first, second: 2 * agreement(first, second) - 1,
    ),
    (_TOO_MUCH, lambda first, second: agreement(first, second) * math.comb(len(first), 2) / len(first) ** 2),
    (_TOO_MUCH, lambda first, second: agreement(first, second) / 2),
    (
        "divided by the number of letters: n letters make n·(n − 1)/2 pairs.",
        lambda first, second: agreement(first, second) * math.comb(len(first), 2) / len(first),
    ),
    (
        "the letters next to each other in one ranking are looked for side by side in the other: a pair agrees as soon as its "
        "better letter stands farther in front, however far.",
        lambda first, second: sum(a + b in second for a, b in combinations(first, 2)) / math.comb(len(first), 2),
    ),
    (
        "the pairs are taken in the alphabet's order, so `first` has no say: `combinations(first, 2)`.",
        lambda first, second: agreement("".join(sorted(first)), second),
    ),
    (
        "this is 1 for all rankings: are the pairs compared with the ranking that they come from, or without their order?",
        lambda first, second: 1.0,
    ),
    (
        "pair number k of one ranking is compared with pair number k of the other: look each pair's letters up, by "
        "`second.index(letter)`.",
        lambda first, second: (
            sum(map(str.__eq__, *(map("".join, combinations(each, 2)) for each in (first, second)))) / math.comb(len(first), 2)
        ),
    ),
    ("per cents are not wanted: a share from 0 to 1.", lambda first, second: 100 * agreement(first, second)),
    (
        "each pair is counted in both orders, and then every second one agrees: ½ for all rankings. "
        "`combinations` gives each pair once.",
        lambda first, second: 0.5,
    ),
    (
        "divided by ten, whatever the number of letters: five make ten pairs, n make n·(n − 1)/2.",
        lambda first, second: agreement(first, second) * math.comb(len(first), 2) / 10,
    ),
)


def _rankings(random: Random) -> tuple[Any, ...]:
    """Pairs of rankings, so many that no two wrong answers give the same numbers."""
    pairs = []
    for count in (5, 6, 7, 8, 5, 6):
        letters = "ABCDEFGH"[:count]
        pairs.append(tuple("".join(random.sample(letters, count)) for _ in range(2)))
    return tuple(pairs)


def _each(answer: Callable[[str, str], Any], *pairs: tuple[str, str]) -> dict[str, Any]:
    """What an answer says of each pair of rankings."""
    return {f"{first}, {second}": answer(first, second) for first, second in pairs}


def _equal_or_reversed(random: Random) -> tuple[str, str]:
    first = "".join(random.sample("ABCDE", 5))
    return first, random.choice([first, first[::-1]])


AGREEMENT = Exercise(
    id="05.5",
    title="Judge blind: how far two judges agree",
    minutes=6,
    core=False,
    reference=agreement,
    checks=(
        Check(
            "right for random rankings",
            inputs=_rankings,
            call=_each,
            mistakes=(
                Mistake(
                    "nothing is left to count: `combinations` can be gone through once. Make a list of it first.",
                    error="ZeroDivisionError",
                ),
                *(Mistake(message, like=wrong) for message, wrong in _WRONG_AGREEMENTS),
            ),
        ),
        Check("1 for equal rankings, 0 for reversed ones", inputs=_equal_or_reversed),
    ),
    hints=(
        "A ranking says of each pair of letters which one is better. Count the pairs of which both say the same.",
        "`combinations(first, 2)` gives all pairs of letters, the better one in `first` in front. "
        "`second.index(letter)` is a letter's place in `second`.",
        "`sum(second.index(a) < second.index(b) for a, b in pairs) / len(pairs)`, with `pairs` as a list.",
    ),
)
