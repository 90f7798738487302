"""What symbols are going to cost: estimates in bits, for choosing steps and symbols and for the loss, never used to code.

They all assume the discretized Laplace law, P(0) = 1 − t and P(±k) = ½·(1/t − t)·t^(2k) with t = exp(−1/2b) for a scale of b
steps; what a coder works with are the tables of whole numbers in `laws`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tutorial_lib.coding.steps import Step, in_steps


def laplace_decay(count: int, zeros: int, total: float) -> float:
    """t of the law that suits symbols best; 0 if all are zero.

    For n symbols, z of them zero, with sum of magnitudes S, the likelihood is largest where
    (n + 2S)·t² + z·t − (2S − n + z) = 0.

    Args:
        count, zeros, total: n, z and S.
    """
    if total == 0:
        return 0.0
    lead = count + 2 * total
    return (math.sqrt(zeros**2 + 4 * lead * (2 * total - count + zeros)) - zeros) / (2 * lead)


def laplace_entropy_bits(symbols: Tensor) -> float:
    """Bits an ideal coder spends on ``symbols`` (whole numbers, any shape) under the law that suits them best."""
    n, total = symbols.numel(), float(symbols.abs().sum(dtype=torch.float64))
    if total == 0:
        return 0.0
    zeros = n - int(torch.count_nonzero(symbols))
    t = laplace_decay(n, zeros, total)
    nats = (n - zeros) * math.log(2 * t / (1 - t * t)) - 2 * total * math.log(t)
    if zeros:
        nats -= zeros * math.log(1 - t)
    return nats / math.log(2)


def laplace_lengths(symbols: Tensor) -> Callable[[Tensor], Tensor]:
    """The code length in bits of any symbols, one by one, under the law that suits ``symbols`` best."""
    n, zeros = symbols.numel(), symbols.numel() - int(torch.count_nonzero(symbols))
    t = laplace_decay(n, zeros, float(symbols.abs().sum(dtype=torch.float64)))
    t = min(max(t, 2.0**-24), 1 - 2.0**-24)  # a law of nothing but zeros, or without one, still allows the other
    zero, slope = -math.log2(1 - t), -2 * math.log2(t)
    first = -math.log2(0.5 * (1 / t - t))
    return lambda some: torch.where(some == 0, zero, first + slope * some.abs())


def laplace_rate(values: Tensor, step: Step) -> Tensor:
    """About how many bits the Laplace coder spends on ``values`` quantized with ``step``; a scalar with gradient.

    The entropy of a Laplace law of scale b (in steps) is log₂(2e·b) bits a symbol when b is large and falls to 0
    with it; n·log₂(1 + 2e·b) with b = mean|w|/Δ has both limits. It is never below the exact entropy of the
    discretized law, and above it by at most 0.61 bits a symbol (near b = 0.14), 0.25 from b = 0.75 on.

    Args:
        values: weights, float32, any shape.
        step: their quantization step Δ > 0, or one for each row.
    """
    return values.numel() * torch.log2(1 + 2 * math.e * in_steps(values, step).abs().mean())


def parameter_rate(representation: nn.Module, steps: Mapping[str, Step]) -> Tensor:
    """`laplace_rate` summed over all parameters: bits, a scalar with gradient.

    Args:
        steps: by the parameters' names.
    """
    rates = (laplace_rate(parameter, steps[name]) for name, parameter in representation.named_parameters())
    return sum(rates, start=torch.zeros(()))
