"""Checks of what notebook 04's integers cost, and of a step on D + λR."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.latents import kernels
from tutorial_lib.latents.shape import GAIN
from tutorial_lib.lessons.n04_latent_grids.answers import step
from tutorial_lib.training.stand_ins import soft_round

# ---------------------------------------------------------------------------------------------- 04.4


def _laws(random: Random) -> tuple[Any, ...]:
    count = random.randint(20, 40)
    location, log2_scale = random.tensor(count, low=-3, high=3), random.tensor(count, low=-1, high=3)
    return location + torch.exp2(log2_scale) * random.tensor(count, low=-3, high=3), location, log2_scale


def _cdf(x: Tensor, b: Tensor) -> Tensor:
    return torch.where(x < 0, torch.exp(x / b) / 2, 1 - torch.exp(-x / b) / 2)


def _bits_like(half: float = 0.5, scale=torch.exp2, log=torch.log2, sign: float = -1.0, centre: float = 1.0):
    """Bits that differ from the right ones in one thing."""

    def wrong(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
        distance, b = values - centre * location, scale(log2_scale)
        return sign * log(_cdf(distance + half, b) - _cdf(distance - half, b))

    return wrong


def _half_an_integer(below: float, above: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    def wrong(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
        distance, b = values - location, torch.exp2(log2_scale)
        return -torch.log2(_cdf(distance + above, b) - _cdf(distance + below, b))

    return wrong


def _far_out(random: Random) -> tuple[Any, ...]:
    location = random.tensor(6, low=-1, high=1)
    far = torch.tensor([150.0, -150.0, 400.0, -400.0, 60.0, -60.0], device=location.device)
    return location + far, location, random.tensor(6, low=-2, high=0)


def _finite(laplace_bits: Callable[..., Tensor], values: Tensor, location: Tensor, log2_scale: Tensor) -> dict[str, bool]:
    bits = laplace_bits(values, location, log2_scale)
    if not isinstance(bits, Tensor):
        raise Wrong("a tensor is expected here, a number of bits for each value")
    return {"finite": bool(torch.isfinite(bits).all()), "ten bits at least": bool((bits >= 10).all())}


def _slopes(laplace_bits: Callable[..., Tensor], *inputs: Tensor) -> dict[str, Tensor]:
    sources = dict(zip(("values", "location", "log2_scale"), (each.requires_grad_() for each in inputs), strict=True))
    return slopes(laplace_bits(*inputs), sources)


def _extremes(random: Random) -> tuple[Any, ...]:
    """Laws as narrow and as wide as the context model may give them, values in their middle and far out of them."""
    far = torch.tensor([0.0, 1.0, -1.0, 9.0, -9.0, 40.0, -40.0, 400.0, -400.0], device=random.device).repeat(3)
    log2_scale = torch.tensor([-4.0, 0.0, 10.0], device=random.device).repeat_interleave(9)
    location = random.tensor(len(far), low=-0.4, high=0.4)
    return location + far + random.tensor(len(far), low=-0.05, high=0.05), location, log2_scale


def _finite_slopes(laplace_bits: Callable[..., Tensor], *inputs: Tensor) -> bool:
    return bool(_slopes(laplace_bits, *inputs))


BITS = Exercise(
    id="04.4",
    title="What an integer costs",
    minutes=5,
    core=True,
    reference=kernels.laplace_bits,
    checks=(
        Check(
            "right for random values and laws",
            inputs=_laws,
            tolerance=2e-3,
            mistakes=(
                Mistake(
                    "natural logarithm: that counts nats. A bit is a logarithm to the base 2, `torch.log2`.",
                    like=_bits_like(log=torch.log),
                ),
                Mistake(
                    "that is the density at y, not a probability: an integer gets the area from y − ½ to y + ½.",
                    like=lambda y, m, s: -torch.log2(torch.exp(-(y - m).abs() / torch.exp2(s)) / (2 * torch.exp2(s))),
                ),
                Mistake("the minus is missing: bits are −log₂ P, and P is below 1.", like=_bits_like(sign=1.0)),
                Mistake(
                    "the scale is e^…: what the context model gives is log₂ b, so b = 2^…, `torch.exp2`.",
                    like=_bits_like(scale=torch.exp),
                ),
                Mistake(
                    "log₂ b is used as if it were b itself: b = 2^(log₂ b), `torch.exp2`.",
                    like=_bits_like(scale=lambda s: s),
                    when=lambda yours, target, y, m, s: not bool(torch.isfinite(yours).all()),
                ),
                Mistake(
                    "the interval is two wide, from y − 1 to y + 1: neighbours would overlap. It goes from y − ½ to y + ½.",
                    like=_bits_like(half=1.0),
                ),
                Mistake("μ is not taken into account: what counts is the distance y − μ.", like=_bits_like(centre=0.0)),
                Mistake("y + μ: what counts is the distance y − μ.", like=_bits_like(centre=-1.0)),
                Mistake(
                    "b is taken for a standard deviation (that would be √2·b): the law falls like e^(−|x|/b).",
                    like=_bits_like(scale=lambda s: torch.exp2(s) / math.sqrt(2)),
                ),
                Mistake(
                    "the area goes from y to y + ½, or from y − ½ to y: it is one wide, from y − ½ to y + ½.",
                    like=(_half_an_integer(0.0, 0.5), _half_an_integer(-0.5, 0.0)),
                ),
                Mistake(
                    "that is a normal law: here it is Laplace's, which falls like e^(−|x|/b).",
                    like=lambda y, m, s: (
                        -torch.log2(
                            torch.special.ndtr((y - m + 0.5) / torch.exp2(s)) - torch.special.ndtr((y - m - 0.5) / torch.exp2(s))
                        )
                    ),
                ),
                Mistake(
                    "rare values come out too cheap, all at one price: the least P you allow is too large. 2⁻¹⁶ is small enough.",
                    when=lambda yours, target, *_: bool(
                        yours.shape == target.shape
                        and yours.max() < 15
                        and torch.allclose(yours, target.clamp(max=float(yours.max())), atol=5e-3)
                    ),
                ),
                Mistake(
                    "that is the mean of all bits: one number for each value is asked for.",
                    when=lambda yours, target, *_: yours.ndim == 0 and bool((yours - target.mean()).abs() < 0.01 * target.mean()),
                ),
                Mistake(
                    "that is the sum of all bits: one number for each value is asked for.",
                    when=lambda yours, target, *_: yours.ndim == 0 and bool((yours - target.sum()).abs() < 0.01 * target.sum()),
                ),
                Mistake(
                    "that is the probability itself: bits are its −log₂.",
                    when=lambda yours, target, *_: bool((yours - torch.exp2(-target)).abs().max() < 2e-3),
                ),
            ),
        ),
        Check(
            "finite for values far out",
            inputs=_far_out,
            call=_finite,
            mistakes=(
                Mistake(
                    "far out, P is 0 in float32, and −log₂ 0 is infinite: hold P above a small number, `.clamp(min=2**-16)`.",
                    when=lambda yours, target, *_: not yours["finite"],
                ),
                Mistake(
                    "far out, a value must stay expensive: the least P you allow is too large. 2⁻¹⁶ is small enough.",
                    when=lambda yours, target, *_: not yours["ten bits at least"],
                ),
            ),
        ),
        Check(
            "values and law can be trained through it",
            inputs=_laws,
            call=_slopes,
            tolerance=0.02,
            mistakes=(
                Mistake(
                    "the bits have no slope for values, location or log2_scale: the fit makes R small by it. No `detach()`, "
                    "`round()` or `torch.no_grad()` here.",
                    error="no gradient",
                ),
            ),
        ),
        Check(
            "also far out, and in the narrowest laws",
            inputs=_extremes,
            call=_finite_slopes,
            mistakes=(
                Mistake(
                    "the bits are right, but far out the gradient is NaN, and one such integer ends a fit. The logarithm of 0 "
                    "has no slope: hold P above 2⁻¹⁶ before the logarithm, not the bits below 16 after it. And `torch.where` "
                    "also differentiates the case that it doesn't take: there, too, e^… has to stay finite, `-x.abs() / b`.",
                    error="NaN or infinite",
                ),
            ),
        ),
    ),
    hints=(
        "Bits are −log₂ of a probability. The probability of an integer is an area under the law: F(y + ½ − μ) − F(y − ½ − μ).",
        "F(x) = ½·e^(x/b) left of 0 and 1 − ½·e^(−x/b) right of it. In one line: "
        "`0.5 + 0.5 * x.sign() * (1 - torch.exp(-x.abs() / b))`.",
        "`b = torch.exp2(log2_scale)`; write F as a little function; then "
        "`-torch.log2((F(distance + 0.5) - F(distance - 0.5)).clamp(min=2**-16))`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 04.6


class _Toy(nn.Module):
    """Two grids, a picture made of them, and a price for each of their values: the interface of the notebook's model."""

    def __init__(self, height: int, width: int, start: Tensor) -> None:
        super().__init__()
        self.size = (height, width)
        self.latents = nn.Parameter(start)
        self.colours = nn.Parameter(torch.full((3, 1, 1), 0.1, device=start.device))

    def split(self, values: Tensor) -> list[Tensor]:
        height, width = self.size
        return [values[: height * width].view(height, width), values[height * width :].view(1, -1)]

    def paint(self, grids: Sequence[Tensor]) -> Tensor:
        return self.colours * grids[0] + grids[1].mean() / 20

    def bits_of(self, grids: Sequence[Tensor]) -> Tensor:
        return torch.cat([torch.log2(1 + grid.flatten() ** 2) for grid in grids])


def _soft(values: Tensor) -> Tensor:
    return soft_round(values, 0.3)


class _Watched(torch.optim.SGD):
    """Gradient descent on one parameter of a model, which says when it has nothing to go by."""

    def __init__(self, parameter: nn.Parameter, model: nn.Module) -> None:
        super().__init__([parameter], lr=0.02)
        self.parameter, self.model, self.had_gradients = parameter, model, False

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.had_gradients = self.had_gradients or self.parameter.grad is not None
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:
        if all(each.grad is None or not each.grad.any() for each in self.model.parameters()):
            raise Wrong(
                "the gradients are back at zero when an optimizer takes its step: `zero_grad()` comes before `backward()`, "
                "`step()` after it."
                if self.had_gradients
                else "an optimizer takes its step before there are gradients: `backward()` comes first."
            )
        if self.parameter.grad is None:
            raise Wrong("a part of the model gets no gradient: nothing may be detached on the way from it to D and R.")
        super().step(closure)


def _step_inputs(random: Random) -> tuple[Any, ...]:
    height, width = random.size(4, 9)
    toy = _Toy(height, width, random.tensor(height * width + 6, low=-0.2, high=0.2))
    return toy, random.picture(height, width), random.choice([0.02, 0.05, 0.1])


def _three_steps(step: Callable[..., Any], toy: _Toy, picture: Tensor, lmbda: float) -> dict[str, Any]:
    toy = copy.deepcopy(toy)
    optimizers = [_Watched(toy.colours, toy), _Watched(toy.latents, toy)]
    noted = []
    for _ in range(3):
        result = step(toy, picture, lmbda, _soft, optimizers)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Wrong("it returns two numbers, D and R: `return distortion.item(), rate.item()`")
        if any(isinstance(each, Tensor) for each in result):
            raise Wrong("D and R still carry their graph of gradients: `.item()` makes plain numbers of them.")
        noted.append(tuple(result))
    (first, last), height, width = (noted[0], noted[-1]), *picture.shape[1:]
    return {
        "D": [d for d, _ in noted],
        "R": [r for _, r in noted],
        "latents": toy.latents.detach(),
        "network": toy.colours.detach(),
        "moved": first != last,
        "pixels": height * width,
    }


def _step_like(
    cost: Callable[[Tensor, Tensor, float], Tensor] = lambda d, r, lmbda: d + lmbda * r,
    count: Callable[[Tensor], int] = lambda picture: picture.shape[1] * picture.shape[2],
    zero: bool = True,
    moves: slice = slice(None),
    distance: Callable[[Tensor], Tensor] = lambda error: error.square().mean(),
):
    """Steps that differ from the right one in one thing."""

    def wrong(model, picture, lmbda, stand_in, optimizers):
        grids = model.split(stand_in(GAIN * model.latents))
        distortion = distance(model.paint(grids) - picture)
        rate = model.bits_of(grids).sum() / count(picture)
        for optimizer in optimizers if zero else ():
            optimizer.zero_grad()
        cost(distortion, rate, lmbda).backward()
        for optimizer in optimizers[moves]:
            optimizer.step()
        return distortion.item(), rate.item()

    return wrong


STEP = Exercise(
    id="04.6",
    title="One step on D + λR",
    minutes=5,
    core=True,
    reference=step,
    checks=(
        Check(
            "right D and R, and everything moves the right way",
            inputs=_step_inputs,
            call=_three_steps,
            mistakes=(
                Mistake(
                    "the rate is that of the whole picture: divide the sum of all bits by the number of pixels.",
                    like=_step_like(count=lambda picture: 1),
                ),
                Mistake(
                    "a pixel is counted three times, once for each colour: the rate is per pixel, height · width of them.",
                    like=_step_like(count=Tensor.numel),
                ),
                Mistake(
                    "the mean of the bits is taken: the coarse grids have bits as well, but no pixels of their own. Sum all "
                    "bits, then divide by the number of pixels.",
                    when=lambda yours, target, toy, *_: (
                        abs(yours["R"][0] * toy.latents.numel() - target["R"][0] * target["pixels"]) < 1e-3
                    ),
                ),
                Mistake(
                    "λ stands at D: it is the price of a bit, J = D + λ·R.",
                    like=_step_like(lambda d, r, lmbda: lmbda * d + r),
                ),
                Mistake("λ is missing: J = D + λ·R.", like=_step_like(lambda d, r, lmbda: d + r)),
                Mistake(
                    "the rate doesn't count: only D is made smaller. J = D + λ·R is what goes `backward()`.",
                    like=_step_like(lambda d, r, lmbda: d),
                ),
                Mistake("the rate is rewarded: J = D + λ·R, with a plus.", like=_step_like(lambda d, r, lmbda: d - lmbda * r)),
                Mistake(
                    "gradients pile up from step to step: `zero_grad()` of every optimizer comes before `backward()`.",
                    like=_step_like(zero=False),
                ),
                Mistake(
                    "only one of the two optimizers takes its step: the networks have one, the latents have the other.",
                    like=(
                        _step_like(moves=slice(0, 1)),
                        _step_like(moves=slice(1, 2)),
                    ),
                ),
                Mistake(
                    "nothing moves: after `backward()`, every optimizer takes its `step()`.",
                    like=_step_like(moves=slice(0, 0)),
                ),
                Mistake(
                    "D is the mean absolute error: square the differences.",
                    like=_step_like(distance=lambda error: error.abs().mean()),
                ),
                Mistake(
                    "D and R are handed back in the other order: `return distortion.item(), rate.item()`.",
                    when=lambda yours, target, *_: (
                        abs(yours["D"][0] - target["R"][0]) + abs(yours["R"][0] - target["D"][0]) < 1e-3
                    ),
                ),
                Mistake(
                    "D is the root of the mean squared error: leave it squared.",
                    like=_step_like(distance=lambda error: error.square().mean().sqrt()),
                ),
                Mistake(
                    "D is the PSNR, which is better when it is larger: D is the mean squared error itself.",
                    like=(
                        _step_like(distance=lambda error: -10 * torch.log10(error.square().mean())),
                        _step_like(distance=lambda error: 10 * torch.log10(error.square().mean())),
                    ),
                ),
                Mistake(
                    "`backward()` runs once for each optimizer, and the second time the weights have moved already: all "
                    "gradients first, by one `backward()`, then a step of every optimizer.",
                    error="modified by an inplace operation|backward through the graph a second time",
                ),
                Mistake(
                    "D is a sum: take the mean over all pixels and colours, or λ means something else at every size.",
                    like=_step_like(distance=lambda error: error.square().sum()),
                ),
            ),
        ),
    ),
    hints=(
        "Three numbers: D from `model.paint(grids)` and the picture, R from `model.bits_of(grids)`, and J = D + λ·R.",
        "R is in bits per pixel: `model.bits_of(grids).sum()` divided by `picture.shape[1] * picture.shape[2]`.",
        "Then a loop of `optimizer.zero_grad()`, one `(distortion + lmbda * rate).backward()`, a loop of `optimizer.step()`, and "
        "`return distortion.item(), rate.item()`.",
    ),
)
