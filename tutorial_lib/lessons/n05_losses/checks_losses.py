"""Checks of notebook 05's losses: their values, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim
from torch import Tensor

from tutorial_lib import losses, metrics
from tutorial_lib.course.comparing import Random, same, slope, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake

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

_PLAIN = Mistake(
    "it is a plain number, and has no gradient that a fit could follow: leave out `.item()` or `float(…)`.",
    when=lambda yours, target, *_: isinstance(yours, float),
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
                _PLAIN,
                Mistake(
                    "this is the loss of one number, the mean difference, in which bright and dark cancel: first log cosh of "
                    "each d, then the mean.",
                    like=lambda prediction, target: losses.log_cosh((prediction - target).mean(), target.new_zeros(())),
                ),
                Mistake(
                    "the logarithm is missing: this is the mean of cosh d.",
                    like=_log_cosh_like(torch.cosh),
                ),
                Mistake(
                    "the sign is turned: a loss grows with the error.",
                    like=lambda prediction, target: -losses.log_cosh(prediction, target),
                ),
                Mistake(
                    "that is d²/2, which log cosh d comes near where d is small. Far off it is |d| − ln 2.",
                    like=_log_cosh_like(lambda d: d.square() / 2),
                ),
                Mistake(
                    "that is Huber's loss, d²/2 and then |d| − ½: alike in form, but another one.",
                    like=_log_cosh_like(lambda d: F.smooth_l1_loss(d, torch.zeros_like(d), reduction="none")),
                ),
                Mistake(
                    "ln 2 is added instead of subtracted: where nothing is wrong, at d = 0, the loss should be 0.",
                    like=_log_cosh_like(lambda d: d + F.softplus(-2 * d) + math.log(2)),
                ),
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


def _apart(random: Random) -> tuple[Any, ...]:
    """`_pictures` for which a measured SSIM, rounded to 8 bits, differs from one that is clamped and nothing else."""
    while True:
        prediction, target = _pictures(random)
        if abs(_measured(prediction, target) - float(1 - _similarity(prediction.clamp(0, 1), target))) > 3e-5:
            return prediction, target


def _measured_one(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float) -> Mistake:
    """A measured SSIM may pass for right until the gradient is looked at. Another slip that comes near isn't meant."""
    wrong = _sum_like(plain, weight, alpha, _measured)
    clamped = _sum_like(plain, weight, alpha, lambda p, t: 1 - _similarity(p.clamp(0, 1), t))

    def measured(yours: Tensor, target: Tensor, prediction: Tensor, original: Tensor) -> bool:
        mine, only_clamped = (_of_kind(yours, each, prediction, original) for each in (wrong, clamped))
        return same(yours, mine, 1e-6) and float((yours - mine).abs()) < 0.5 * float((yours - only_clamped).abs())

    return Mistake(
        "`metrics.ssim` is for measuring: it rounds to 8 bits, and no gradient comes back through it. Take the `ssim` of "
        "pytorch_msssim.",
        when=measured,
    )


def _of_kind(yours: Tensor, loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor) -> Tensor:
    """A loss's value or its gradient, whichever it is to be compared with."""
    return _push(loss, prediction, target) if yours.ndim else loss(prediction, target)


def _structure_mistakes(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float) -> tuple[Mistake, ...]:
    """What can go wrong with the SSIM in a sum."""
    return (
        Mistake(
            "the term with the SSIM is missing.",
            like=lambda prediction, target: weight * plain(prediction, target),
        ),
        Mistake(
            "only the term with the SSIM is there: add the loss of the pixels.",
            like=lambda prediction, target: alpha * (1 - _similarity(prediction, target)),
        ),
        Mistake(
            "the losses of the pixels are added up: take their mean, or the SSIM isn't heard.",
            like=_sum_like(lambda prediction, target: plain(prediction, target) * prediction.numel(), weight, alpha),
        ),
        Mistake(
            "the 1 is in front of the whole sum: it belongs to the SSIM alone, 1 − SSIM.",
            like=lambda prediction, target: 1 - weight * plain(prediction, target) - alpha * _similarity(prediction, target),
        ),
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
        Mistake(
            "`ssim` wants batches, (1, 3, height, width): `prediction[None]` and `target[None]`.",
            error="4-d or 5-d",
        ),
    )


def _half_right(random: Random) -> tuple[Any, ...]:
    """A prediction that is right in its left half, to the last bit."""
    prediction, target = _pictures(random)
    prediction[..., : prediction.shape[2] // 2] = target[..., : prediction.shape[2] // 2]
    return prediction, target


def _finite_slope(loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor) -> bool:
    return bool(slopes(loss(prediction.requires_grad_(), target), {"the prediction": prediction}))


_FINITE = Check(
    "its gradient is finite where a pixel is right",
    inputs=_half_right,
    call=_finite_slope,
    mistakes=(
        Mistake(
            "where a pixel is right already, d = 0, the gradient is NaN: the root of d² has no slope there. `.abs()` "
            "gives the same number, and 0 for a slope.",
            error="NaN or infinite",
        ),
    ),
)


def _compound(plain: Callable[[Tensor, Tensor], Tensor], weight: float, alpha: float, own: tuple[Mistake, ...]):
    """The checks of a loss with an SSIM term: value, gradient, and a gradient where there is nothing to mend."""
    clamped = Mistake(
        "the prediction is clamped: where it is darker than black or brighter than white, no gradient pulls it back.",
        like=(
            lambda prediction, target: _sum_like(plain, weight, alpha)(prediction.clamp(0, 1), target),
            _sum_like(lambda p, t: plain(p.clamp(0, 1), t), weight, alpha),
        ),
    )
    half_clamped = Mistake(
        "the SSIM gets a clamped prediction: it then can't pull back what is darker than black or brighter than white.",
        like=_sum_like(plain, weight, alpha, lambda p, t: 1 - _similarity(p.clamp(0, 1), t)),
    )
    return (
        Check(
            "right for random pictures",
            inputs=_apart if alpha > 0.1 else _pictures,
            tolerance=2e-5,
            mistakes=(
                _NOT_A_MEAN,
                _PLAIN,
                _measured_one(plain, weight, alpha),
                clamped,
                half_clamped,
                *own,
                *_structure_mistakes(plain, weight, alpha),
            ),
        ),
        Check(
            "its gradient, too",
            inputs=_pictures,
            call=_push,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "no gradient comes back from the SSIM: is it detached, rounded, or made a plain number?",
                    like=_sum_like(plain, weight, alpha, lambda p, t: 1 - _similarity(p.detach(), t)),
                ),
                Mistake(
                    "no gradient comes back from the loss of the pixels: is it detached, or made a plain number?",
                    like=_sum_like(lambda p, t: plain(p.detach(), t), weight, alpha),
                ),
                Mistake("no gradient comes back: is there a `detach()`, `.item()` or `torch.no_grad()`?", error="no gradient"),
                _measured_one(plain, weight, alpha),
            ),
        ),
        _FINITE,
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
