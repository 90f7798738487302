"""Exercises of notebook 05: the losses, MS-SSIM in decibels, and how far two judges agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor

from tutorial_lib import losses, metrics
from tutorial_lib.course.comparing import Random, slope
from tutorial_lib.course.exercises import Check, Exercise, Mistake

# ---------------------------------------------------------------------------------------------- the library's answers


def decibels(similarity: float) -> float:
    """What `metrics.ms_ssim_db` does with an MS-SSIM; rounding errors can leave that a hair above 1."""
    return metrics.psnr_of_mse(max(1 - similarity, 0.0))


def agreement(first: str, second: str) -> float:
    """Share of the pairs that two rankings, best first, put into the same order: (1 + Kendall's τ) / 2."""
    pairs = list(combinations(first, 2))
    return sum(second.index(better) < second.index(worse) for better, worse in pairs) / len(pairs)


# ---------------------------------------------------------------------------------------------- what losses are tried on


def _push(loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor) -> Tensor:
    """The loss's gradient for the prediction, times the number of values, so that a mean doesn't make it tiny."""
    return slope(loss, prediction, target) * prediction.numel()


def _pictures(random: Random) -> tuple[Any, ...]:
    """A prediction, far off and partly outside [0, 1], and its target, both larger than SSIM's window."""
    target = random.picture(*random.size(12, 20))
    return target + random.normal(*target.shape, std=0.4), target


def _moderate(random: Random) -> tuple[Any, ...]:
    height, width = random.size()
    return random.tensor(3, height, width, low=-2, high=2), random.tensor(3, height, width)


def _enormous(random: Random) -> tuple[Any, ...]:
    height, width = random.size()
    signs = random.tensor(3, height, width, low=-1, high=1).sign()
    return 100 * signs + random.normal(3, height, width), torch.zeros(3, height, width, device=random.device)


def _both(random: Random) -> tuple[Any, ...]:
    """Moderate differences in red and green, enormous ones in blue."""
    (prediction, target), (far, _) = _moderate(random), _enormous(random)
    height, width = (min(a, b) for a, b in zip(prediction.shape[1:], far.shape[1:], strict=True))
    prediction, target = prediction[:, :height, :width].clone(), target[:, :height, :width].clone()
    prediction[2] = far[2, :height, :width]
    return prediction, target


# ---------------------------------------------------------------------------------------------- 05.1


def _log_cosh_like(inside: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A mean of something else than log cosh d."""
    return lambda prediction, target: inside(prediction - target).mean()


_NOT_A_MEAN = Mistake(
    "one number is wanted for all pixels and colours: end with `.mean()`.",
    when=lambda yours, target, *_: yours.ndim > 0,
)

LOG_COSH = Exercise(
    id="05.1",
    title="LogCosh",
    minutes=5,
    core=True,
    reference=losses.log_cosh,
    checks=(
        Check(
            "log cosh of the differences, on average",
            inputs=_moderate,
            mistakes=(
                _NOT_A_MEAN,
                Mistake(
                    "that is the formula as printed, 2d + log cosh d: the sign inside of softplus has to change.",
                    like=_log_cosh_like(lambda d: d + F.softplus(2 * d) - math.log(2)),
                ),
                Mistake(
                    "ln 2 is missing: where nothing is wrong, at d = 0, the loss should be 0, and it is 0.69.",
                    like=_log_cosh_like(lambda d: d + F.softplus(-2 * d)),
                ),
                Mistake(
                    "the 2 inside of softplus is missing: e^(−2d) is what stays of e^d + e^(−d) when e^d is taken out.",
                    like=_log_cosh_like(lambda d: d + F.softplus(-d) - math.log(2)),
                ),
                Mistake(
                    "all losses are added up: take the mean, or a large picture costs more than a small one.",
                    like=lambda prediction, target: losses.log_cosh(prediction, target) * prediction.numel(),
                ),
                Mistake(
                    "that is log₂ or log₁₀: the logarithm of log cosh is the natural one.",
                    when=lambda yours, target, *_: any(
                        abs(float(yours / target) * math.log(base) - 1) < 1e-3 for base in (2, 10)
                    ),
                ),
            ),
        ),
        Check(
            "finite for |d| = 100, too",
            inputs=_enormous,
            mistakes=(
                Mistake(
                    "cosh 100 is about 10⁴³, more than float32 can hold, so this is infinite: take e^d out of the logarithm. "
                    "`F.softplus(x)` is log(1 + e^x) and never overflows.",
                    when=lambda yours, target, *_: not bool(yours.isfinite().all()),
                ),
                Mistake(
                    "large differences are cut off: a pixel that is far off would cost no more, and feel no force.",
                    when=lambda yours, target, *_: bool(yours < 0.97 * target),
                ),
            ),
        ),
        Check(
            "its gradient is tanh d, everywhere",
            inputs=_both,
            call=_push,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the value is right, but the gradient is NaN: `torch.where` also differentiates the branch that it doesn't "
                    "take, and infinity times 0 is NaN. Use a formula that holds for all d.",
                    when=lambda yours, target, *_: bool(yours.isnan().any()),
                ),
            ),
        ),
    ),
    hints=(
        "cosh d = (e^d + e^(−d)) / 2. Take e^d out of the bracket: what is left is 1 + e^(−2d).",
        "The logarithm of a product is a sum: log cosh d = d + log(1 + e^(−2d)) − ln 2. The middle one is a softplus.",
        "With `d = prediction - target`: d, plus `F.softplus(-2 * d)`, minus `math.log(2)`, and of all that the mean.",
    ),
)

# ---------------------------------------------------------------------------------------------- 05.2, 05.3


def _similarity(prediction: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    return ssim(prediction[None], target[None], data_range=data_range)


def _sum_like(
    plain: Callable[[Tensor, Tensor], Tensor],
    weight: float,
    alpha: float,
    structure: Callable[[Tensor, Tensor], Tensor | float] = lambda prediction, target: 1 - _similarity(prediction, target),
) -> Callable[[Tensor, Tensor], Tensor]:
    """A weighted sum of a loss and a structure term, which differs from the right one in one thing."""
    return lambda prediction, target: weight * plain(prediction, target) + alpha * structure(prediction, target)


def _measured(prediction: Tensor, target: Tensor) -> float:
    return 1 - metrics.ssim(prediction, target)


def _measured_one(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float) -> Mistake:
    """A measured SSIM may pass for right until the gradient is looked at."""
    return Mistake(
        "`metrics.ssim` is for measuring: it rounds to 8 bits, and no gradient comes back through it. Take the `ssim` of "
        "pytorch_msssim.",
        like=_sum_like(plain, weight, alpha, _measured),
    )


def _structure_mistakes(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float) -> tuple[Mistake, ...]:
    """What can go wrong with the SSIM in a sum."""
    return (
        Mistake(
            "SSIM is 1 where pictures are equal, and a loss should be 0 there: take 1 − SSIM.",
            like=_sum_like(plain, weight, alpha, _similarity),
        ),
        Mistake(
            "SSIM gets smaller where pictures differ, and a loss should grow: the term is 1 − SSIM, not SSIM − 1.",
            like=_sum_like(plain, weight, -alpha),
        ),
        Mistake(
            "SSIM takes these colours for numbers from 0 to 255, for which all are nearly black: `data_range=1.0`.",
            like=_sum_like(plain, weight, alpha, lambda p, t: 1 - _similarity(p, t, data_range=255.0)),
        ),
        _measured_one(plain, weight, alpha),
        Mistake(
            "`ssim` wants batches, (1, 3, height, width): `prediction[None]` and `target[None]`.",
            error="4-d or 5-d",
        ),
    )


def _compound(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float, own: tuple[Mistake, ...]):
    """Both checks of a loss with an SSIM term: value, then gradient."""
    return (
        Check(
            "right for random pictures",
            inputs=_pictures,
            tolerance=2e-5,
            mistakes=(_NOT_A_MEAN, *own, *_structure_mistakes(plain, weight, alpha)),
        ),
        Check(
            "its gradient, too",
            inputs=_pictures,
            call=_push,
            tolerance=1e-3,
            mistakes=(_measured_one(plain, weight, alpha),),
        ),
    )


_L1 = _compound(
    losses.l1,
    0.8,
    0.2,
    own=(
        Mistake(
            "the weights are swapped: 0.8 belongs to |d|, 0.2 to 1 − SSIM.",
            like=_sum_like(losses.l1, 0.2, 0.8),
        ),
        Mistake(
            "|d| has no weight: the two weights are 1 − α and α, and make 1 together.",
            like=_sum_like(losses.l1, 1.0, 0.2),
        ),
        Mistake("the weights are missing: 1 − α and α.", like=_sum_like(losses.l1, 1.0, 1.0)),
        Mistake(
            "d is squared: the loss takes |d|, `.abs()`.",
            like=_sum_like(losses.mse, 0.8, 0.2),
        ),
        Mistake(
            "d enters with its sign, so that too bright and too dark cancel: `.abs()`.",
            like=_sum_like(lambda prediction, target: (prediction - target).mean(), 0.8, 0.2),
        ),
    ),
)

L1_SSIM = Exercise(
    id="05.2",
    title="L1+SSIM",
    minutes=4,
    core=True,
    reference=losses.l1_ssim,
    checks=_L1,
    hints=(
        "Two numbers, then a weighted sum of them: the mean of |d|, and 1 − SSIM.",
        "`ssim(prediction[None], target[None], data_range=1.0)` is the SSIM: batches of one picture, colours from 0 to 1.",
        "`0.8 * (…).abs().mean() + 0.2 * (1 - …)`.",
    ),
)

_LOG_COSH = _compound(
    losses.log_cosh,
    1.0,
    0.01,
    own=(
        Mistake(
            "log cosh has a weight, 1 − α: here it has none. The sum is log cosh + α·(1 − SSIM).",
            like=_sum_like(losses.log_cosh, 0.99, 0.01),
        ),
        Mistake(
            "α = 0.2 is L1's: log cosh is far smaller than |d|, and here α is 0.01.",
            like=_sum_like(losses.log_cosh, 1.0, 0.2),
        ),
        Mistake(
            "α = 0.2 is L1's, and so is the weight 1 − α: here it is log cosh + 0.01·(1 − SSIM).",
            like=_sum_like(losses.log_cosh, 0.8, 0.2),
        ),
        Mistake(
            "that is the average of the two terms: add them up. Halving a distortion doubles what a bit costs beside it.",
            like=_sum_like(losses.log_cosh, 0.5, 0.005),
        ),
        Mistake(
            "the first term is d²: near 0 that is twice log cosh d, and far off much more. Use `log_cosh`.",
            like=_sum_like(losses.mse, 1.0, 0.01),
        ),
        Mistake("the weight α of 1 − SSIM is missing: 0.01.", like=_sum_like(losses.log_cosh, 1.0, 1.0)),
    ),
)

LOG_COSH_SSIM = Exercise(
    id="05.3",
    title="LogCosh+SSIM",
    minutes=3,
    core=False,
    reference=losses.log_cosh_ssim,
    checks=_LOG_COSH,
    hints=(
        "It is 05.2 with another first term and other weights.",
        "`log_cosh(prediction, target)` is your own, or the library's; the second term is 1 − SSIM, as before.",
        "`log_cosh(prediction, target) + 0.01 * (1 - ssim(…))`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 05.4

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
                    "20 in front is for amplitudes. 1 − v is counted as errors squared are: 10.",
                    like=lambda v: -20 * math.log10(1 - v),
                ),
                Mistake("`math.log` is the natural logarithm: `math.log10`.", like=lambda v: -10 * math.log(1 - v)),
                Mistake("the 10 in front is missing: these are bels.", like=lambda v: -math.log10(1 - v)),
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
)


def _rankings(random: Random) -> tuple[str, str]:
    """Two rankings for which every wrong answer gives a number of its own."""
    while True:
        letters = "ABCDEFGH"[: random.randint(5, 8)]
        first, second = ("".join(random.sample(letters, len(letters))) for _ in range(2))
        found = [agreement(first, second), *(wrong(first, second) for _, wrong in _WRONG_AGREEMENTS)]
        if min(abs(a - b) for a, b in combinations(found, 2)) > 1e-2:
            return first, second


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
            mistakes=tuple(Mistake(message, like=wrong) for message, wrong in _WRONG_AGREEMENTS),
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

EXERCISES = [LOG_COSH, L1_SSIM, LOG_COSH_SSIM, DECIBELS, AGREEMENT]
