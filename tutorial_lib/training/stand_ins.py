"""What a fit sees in place of rounding, which has no gradient: noise, soft rounding, the straight-through estimator."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from tutorial_lib.coding.steps import Step, factor, to_symbols


class _SoftRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, temperature):
        whole = values.floor()
        t = (values - whole).sub_(0.5).div_(temperature).tanh_()
        scale = 1 / (2 * math.tanh(0.5 / temperature))
        ctx.save_for_backward(t)
        ctx.slope = scale / temperature
        return whole.add_(t, alpha=scale).add_(0.5)

    @staticmethod
    def backward(ctx, gradient):
        (t,) = ctx.saved_tensors
        return (1 - t * t).mul_(gradient).mul_(ctx.slope), None


def soft_round(values: Tensor, temperature: float) -> Tensor:
    """s(y) = ⌊y⌋ + ½ + tanh((r − ½)/T) / (2·tanh(1/2T)), r = y − ⌊y⌋: the identity for large T, rounding for T → 0.

    Agustsson and Theis (arXiv 2006.09952), with C3's temperature T = 1/α. Integers and halves stay where they are. This is
    `soft_round_plain` with fewer copies of the latents, and one kept for the backward pass.
    """
    return _SoftRound.apply(values, temperature)


def soft_round_plain(values: Tensor, temperature: float) -> Tensor:
    """What `soft_round` computes, as its formula reads."""
    rest = values - values.floor().detach()
    return values.floor() + 0.5 + torch.tanh((rest - 0.5) / temperature) / (2 * math.tanh(0.5 / temperature))


def noisy_soft_round(values: Tensor, temperature: float, deviation: float, generator: torch.Generator) -> Tensor:
    """s(s(y) + n), n Gaussian: what stands for round(y) in a fit (Cool-chic 3.4 and later; C3 takes other noise)."""
    noise = torch.randn(values.shape, generator=generator, device=values.device)
    return soft_round(soft_round(values, temperature).add(noise, alpha=deviation), temperature)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def straight_through(values: Tensor) -> Tensor:
    """Rounding, with the gradient of the identity (Bengio et al., arXiv 1308.3432)."""
    return _StraightThrough.apply(values)


@contextlib.contextmanager
def quantized_parameters(
    representation: nn.Module, steps: Mapping[str, Step], generator: torch.Generator | None = None
) -> Iterator[None]:
    """Inside, the parameters hold quantized values; afterwards their exact values again (gradients stay).

    With a ``generator`` the rounding is replaced by its stand-in, uniform noise of one step: smooth in the
    weights, same variance Δ²/12 (Ballé et al., arXiv 1611.01704).
    """
    parameters = dict(representation.named_parameters())
    exact = [parameter.detach().clone() for parameter in parameters.values()]
    with torch.no_grad():
        for name, parameter in parameters.items():
            width = factor(steps[name], parameter)
            if generator is None:
                parameter.copy_(to_symbols(parameter, steps[name]).mul_(width))
            else:
                noise = torch.rand(parameter.shape, generator=generator, device=generator.device).sub_(0.5)
                parameter.add_(noise.to(parameter.device).mul_(width))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, kept in zip(parameters.values(), exact, strict=True):
                parameter.copy_(kept)
