"""Exercises of notebook 08: a judge's loss, a distance that forgives places, dice, what is frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.course.comparing import Random, slope
from tutorial_lib.course.exercises import Check, Exercise, Mistake, Wrong
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.shape import SMALL, V1, V2
from tutorial_lib.lessons.n08_looks.checks_numbers import NUMBERS
from tutorial_lib.perception import relativistic_average

# ---------------------------------------------------------------------------------------------- 08.1

Judge = Callable[[Tensor, Tensor], Tensor]


def judges_loss(judge: Judge, picture: Tensor, painted: Tensor, base: Tensor) -> Tensor:
    """The judge's loss for a picture and what was painted, each beside the base."""
    return relativistic_average(judge(picture, base), judge(painted.detach(), base))


def _bench(random: Random) -> tuple[Any, ...]:
    """A judge of random weights that sees both, and three pictures; what was painted is dark, so that the means lie apart."""
    height, width = random.size(4, 9)
    own, beside = random.normal(4, 3, std=3).abs(), random.normal(4, 3, std=3)

    def judge(picture: Tensor, base: Tensor) -> Tensor:
        """Values (4, h, w)."""
        own_part = torch.einsum("kc,chw->khw", own.to(picture), picture)
        return own_part + torch.einsum("kc,chw->khw", beside.to(base), base.square())

    return judge, random.picture(height, width), 0.4 * random.picture(height, width), random.picture(height, width)


def _of(values: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """A loss of the judge's values for the picture and for what was painted."""
    return lambda judge, picture, painted, base: values(judge(picture, base), judge(painted, base))


def _to_the_painter(answer: Callable[..., Any], judge: Judge, picture: Tensor, painted: Tensor, base: Tensor) -> Tensor:
    """The gradient that reaches what was painted."""
    with torch.enable_grad():
        leaf = painted.detach().clone().requires_grad_()
        made = leaf * 1  # as a painter makes it
        loss = answer(judge, picture, made, base)
        if not made.requires_grad:
            raise Wrong("what was painted is cut off for its painter, too: `painted.detach()` leaves it as it is.")
        if not getattr(loss, "requires_grad", False):
            return torch.zeros_like(painted)
        (gradient,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    return torch.zeros_like(painted) if gradient is None else gradient


def _to_the_judge(answer: Callable[..., Any], judge: Judge, picture: Tensor, painted: Tensor, base: Tensor) -> Tensor:
    """The gradient for a factor before the judge's values: by such a one it learns."""

    def loss(factor: Tensor) -> Any:
        return answer(lambda picture, base: factor * judge(picture, base), picture, painted, base)

    return slope(loss, torch.ones((), device=picture.device))


JUDGE = Exercise(
    id="08.1",
    title="The judge's loss",
    minutes=6,
    core=True,
    reference=judges_loss,
    checks=(
        Check(
            "more real than the others are on average",
            inputs=_bench,
            mistakes=(
                Mistake(
                    "this judge isn't relativistic: it asks whether a picture is real, not whether it is more real than the "
                    "others are on average.",
                    like=_of(lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean()),
                ),
                Mistake(
                    "both halves pull the same way: the judge wants r above the mean of f, and f below the mean of r.",
                    like=(
                        _of(lambda r, f: F.softplus(f.mean() - r).mean() + F.softplus(r.mean() - f).mean()),
                        _of(lambda r, f: F.softplus(r - f.mean()).mean() + F.softplus(f - r.mean()).mean()),
                    ),
                ),
                Mistake(
                    "place is compared with place, r − f: compare each with the mean of the other side.",
                    like=tuple(_of(lambda r, f, n=n: n * F.softplus(f - r).mean()) for n in (1, 2)),
                ),
                Mistake(
                    "each side is compared with its own mean: take the mean of the other side.",
                    like=_of(lambda real, fake: F.softplus(real.mean() - real).mean() + F.softplus(fake - fake.mean()).mean()),
                ),
                Mistake(
                    "the two sides are exchanged: this is the painter's loss, which wants its pictures to look more real.",
                    like=_of(lambda real, fake: relativistic_average(fake, real)),
                ),
                Mistake(
                    "the means come first, so that one number stands for all places: softplus of each place, then the mean.",
                    like=tuple(_of(lambda r, f, n=n: n * F.softplus(f.mean() - r.mean())) for n in (1, 2)),
                ),
                Mistake(
                    "this is the half about real pictures: the fakes' half is missing.",
                    like=_of(lambda real, fake: F.softplus(fake.mean() - real).mean()),
                ),
                Mistake(
                    "this is the half about what was painted: the real pictures' half is missing.",
                    like=_of(lambda real, fake: F.softplus(fake - real.mean()).mean()),
                ),
                Mistake(
                    "the judge doesn't get to see the base beside what it judges: `judge(picture, base)`.",
                    like=lambda judge, picture, painted, base: relativistic_average(
                        judge(picture, picture), judge(painted, painted)
                    ),
                ),
            ),
        ),
        Check(
            "the painter is not moved by the judge's step",
            inputs=_bench,
            call=_to_the_painter,
            mistakes=(
                Mistake(
                    "a gradient reaches what was painted: in this step the judge learns, not the painter. `painted.detach()`.",
                    when=lambda yours, target, *_: bool(yours.any()),
                ),
            ),
        ),
        Check(
            "the judge learns from both",
            inputs=_bench,
            call=_to_the_judge,
            mistakes=(
                Mistake(
                    "what the judge says of the painted picture gives it no gradient: `detach()` belongs to the picture, not to "
                    "the judge's values.",
                    like=_of(lambda real, fake: relativistic_average(real, fake.detach())),
                ),
                Mistake(
                    "what the judge says of the original gives it no gradient: only the painted picture is to be cut off.",
                    like=_of(lambda real, fake: relativistic_average(real.detach(), fake)),
                ),
                Mistake(
                    "the means give the judge no gradient: it is to learn from them, too.",
                    like=_of(
                        lambda real, fake: (
                            F.softplus(fake.mean().detach() - real).mean() + F.softplus(fake - real.mean().detach()).mean()
                        )
                    ),
                ),
            ),
        ),
    ),
    hints=(
        "Ask the judge twice: about the picture, and about what was painted. Give it the base both times.",
        "−log σ(x) is `F.softplus(-x)`, and −log(1 − σ(x)) is `F.softplus(x)`.",
        "x is for real pictures `real - fake.mean()`, for painted ones `fake - real.mean()`. Then the mean of each, and the sum.",
    ),
)

# ---------------------------------------------------------------------------------------------- 08.2


def texture_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of (μ − μ')² + (σ − σ')² over windows of 8×8."""
    (mean, spread), (other, others) = _moments(prediction), _moments(target)
    return ((mean - other).square() + (spread - others).square()).mean()


def _moments(planes: Tensor) -> tuple[Tensor, Tensor]:
    mean = F.avg_pool2d(planes[None], 8)
    return mean, (F.avg_pool2d(planes[None].square(), 8) - mean.square()).clamp_min(1e-12).sqrt()


def _planes(random: Random) -> tuple[Any, ...]:
    height, width = (8 * side for side in random.size(2, 4))
    quiet, loud = random.tensor(2, 1, 1, low=0.2, high=0.6), random.tensor(2, 1, 1, low=0.8, high=1.4)
    return quiet * random.normal(2, height, width) + 0.3, loud * random.normal(2, height, width) - 0.2


def _flat_planes(random: Random) -> tuple[Any, ...]:
    """Nothing at all, and threads."""
    prediction, target = _planes(random)
    return random.tensor(2, 1, 1).expand_as(prediction).contiguous(), target


def _by(distance: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A mean of something of both sides' moments."""
    return lambda prediction, target: distance(*_moments(prediction), *_moments(target)).mean()


def _root_of_square(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes[None].square(), 8).sqrt()


TEXTURE = Exercise(
    id="08.2",
    title="There shall be threads",
    minutes=6,
    core=True,
    reference=texture_distance,
    checks=(
        Check(
            "means and deviations of windows of 8×8",
            inputs=_planes,
            mistakes=(
                Mistake(
                    "these are variances: the deviation is their root.",
                    like=_by(lambda m, s, n, t: (m - n).square() + (s.square() - t.square()).square()),
                ),
                Mistake(
                    "these are deviations of samples, divided by 63: the formula's is divided by 64, `correction=0`.",
                    like=_by(lambda m, s, n, t: (m - n).square() + (s - t).square() * (64 / 63)),
                ),
                Mistake(
                    "only the means are compared: a flat window is then as good as one full of threads.",
                    like=_by(lambda m, s, n, t: (m - n).square()),
                ),
                Mistake(
                    "only the deviations are compared: the colours may then drift.",
                    like=_by(lambda m, s, n, t: (s - t).square()),
                ),
                Mistake(
                    "this is the squared error of every single value: it asks where each thread lies.",
                    like=F.mse_loss,
                ),
                Mistake(
                    "the root of the mean square is no deviation yet: take the squared mean away first.",
                    like=lambda a, b: (
                        (_moments(a)[0] - _moments(b)[0]).square() + (_root_of_square(a) - _root_of_square(b)).square()
                    ).mean(),
                ),
                Mistake(
                    "one mean and one deviation for the whole plane: take them in windows of 8×8.",
                    like=lambda a, b: (
                        (a.mean((1, 2)) - b.mean((1, 2))).square()
                        + (a.std((1, 2), correction=0) - b.std((1, 2), correction=0)).square()
                    ).mean(),
                ),
            ),
        ),
        Check(
            "flat windows, too",
            inputs=_flat_planes,
            mistakes=(
                Mistake(
                    "NaN: where a window is flat, rounding leaves its variance below 0, by a millionth perhaps, and that has no "
                    "root. `.clamp_min(1e-12)` comes first.",
                    when=lambda yours, *_: isinstance(yours, Tensor) and bool(yours.isnan().any()),
                ),
            ),
            tolerance=2e-2,  # a little below the root does no harm
        ),
        Check(
            "a painter can follow its slope",
            inputs=_planes,
            call=slope,
            mistakes=(
                Mistake(
                    "the deviations give no gradient: is there a `detach()` or `torch.no_grad()` on the way?",
                    like=_by(lambda m, s, n, t: (m - n).square() + (s.detach() - t).square()),
                ),
                Mistake(
                    "the means give no gradient: is there a `detach()` or `torch.no_grad()` on the way?",
                    like=_by(lambda m, s, n, t: (m.detach() - n).square() + (s - t).square()),
                ),
            ),
        ),
    ),
    hints=(
        "`F.avg_pool2d(planes, 8)` gives the mean of each window of 8×8.",
        "The variance is the mean of the squares less the square of the mean.",
        "Then both differences squared, added, and the mean over everything.",
    ),
)

# ---------------------------------------------------------------------------------------------- 08.3


def dice(words: Tensor) -> Tensor:
    """The sum of twelve bytes, less what it is on average."""
    return sum((words >> shift) & 255 for shift in (0, 8, 16, 24)).sum(-1) - 1530


def _words(random: Random) -> tuple[Any, ...]:
    """Three numbers of 32 bits for each throw."""
    return ((random.tensor(random.size(20, 40)[0], 3).double() * 2**32).long(),)


def _bytes_of(words: Tensor, shifts: tuple[int, ...]) -> Tensor:
    return sum((words >> shift) & 255 for shift in shifts).sum(-1)


DICE = Exercise(
    id="08.3",
    title="Dice of integers",
    minutes=6,
    core=False,
    reference=dice,
    checks=(
        Check(
            "twelve bytes, added, about 0",
            inputs=_words,
            mistakes=(
                Mistake("the mean is missing: twelve bytes of 0 … 255 are 1530 on average.", like=lambda w: dice(w) + 1530),
                Mistake("a byte's mean is 127.5, not 128: twelve of them are 1530.", like=lambda w: dice(w) - 6),
                Mistake("a byte's mean is 127.5, not 127: twelve of them are 1530.", like=lambda w: dice(w) + 6),
                Mistake(
                    "one byte of each number is used: a number of 32 bits holds four.",
                    like=(lambda w: _bytes_of(w, (0,)) - 1530, lambda w: 4 * _bytes_of(w, (0,)) - 1530),
                ),
                Mistake(
                    "the throws are divided: leave them whole, a power of two is divided by at the very end.",
                    like=(lambda w: dice(w) / 256, lambda w: dice(w) // 256, lambda w: dice(w) / 12),
                ),
                Mistake(
                    "all throws are one number: add along the last axis.",
                    when=lambda yours, target, *_: isinstance(yours, Tensor) and yours.ndim == 0,
                ),
            ),
        ),
    ),
    hints=(
        "`(words >> 8) & 255` is the second byte of each number.",
        "Add the four bytes of each number (shifts 0, 8, 16, 24), then the three numbers of each throw: `.sum(-1)`.",
        "Take 12 · 127.5 = 1530 away.",
    ),
)

# ---------------------------------------------------------------------------------------------- 08.4


def freeze(representation: LatentGrids) -> list[Tensor]:
    """Leave the synthesis alone free to move; its parameters."""
    for name, parameter in representation.named_parameters():
        parameter.requires_grad_(name.startswith("synthesis."))
    return list(representation.synthesis.parameters())


def _grids(random: Random) -> tuple[Any, ...]:
    config = (SMALL, V1, V2)[random.size(0, 2)[0]]
    height, width = random.size(5, 9)
    representation = LatentGrids(config, height, width).to(random.device)
    representation.context.requires_grad_(False)  # as a fit leaves some of it
    return (representation,)


def _free(answer: Callable[..., Any], representation: LatentGrids) -> dict[str, Any]:
    """What may move after the call, and the names of what was returned."""
    returned = answer(representation)
    names = {id(parameter): name for name, parameter in representation.named_parameters()}
    given = sorted(names.get(id(each), "something else") for each in (returned or ()))
    free = {name: parameter.requires_grad for name, parameter in representation.named_parameters()}
    return {"free": sorted(name for name, is_free in free.items() if is_free), "returned": given}


FREEZE = Exercise(
    id="08.4",
    title="Freeze the stream",
    minutes=4,
    core=True,
    reference=freeze,
    checks=(
        Check(
            "the synthesis moves, and nothing else",
            inputs=_grids,
            call=_free,
            mutates=True,
            mistakes=(
                Mistake(
                    "the latents may still move: they are the stream itself.",
                    when=lambda yours, *_: "latents" in yours["free"],
                ),
                Mistake(
                    "the context model may still move: with other predictions the decoder can't read the stream.",
                    when=lambda yours, *_: any(name.startswith("context.") for name in yours["free"]),
                ),
                Mistake(
                    "the upsampling may still move: the file has one for both looks.",
                    when=lambda yours, *_: any(name.startswith("upsampling.") for name in yours["free"]),
                ),
                Mistake(
                    "some of the synthesis can't move: it is what shall learn.",
                    when=lambda yours, target, *_: set(yours["free"]) < set(target["free"]),
                ),
                Mistake(
                    "the right parameters are free, but others were returned: an optimizer needs those of the synthesis.",
                    when=lambda yours, target, *_: yours["free"] == target["free"] and yours["returned"] != target["returned"],
                ),
            ),
        ),
    ),
    hints=(
        "`representation.named_parameters()` gives names such as `latents` and `synthesis.layers.0.matrix`.",
        "`parameter.requires_grad_(False)` freezes, `requires_grad_(True)` frees.",
        "Those to free are `representation.synthesis.parameters()`; return them as a list.",
    ),
)

EXERCISES = [JUDGE, TEXTURE, DICE, FREEZE, NUMBERS]
