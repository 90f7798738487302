"""Differentiable rates for training: estimates in bits, never used to code (see `tutorial_lib.entropy_coding`)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tutorial_lib.quantization import Step, in_steps


def laplace_rate(values: Tensor, step: Step) -> Tensor:
    """About how many bits the Laplace coder spends on ``values`` quantised with ``step``; a scalar with gradient.

    The entropy of a Laplace law of scale b (in steps) is log₂(2e·b) bits a symbol when b is large and falls to 0
    with it; n·log₂(1 + 2e·b) with b = mean|w|/Δ has both limits. It is never below the exact entropy of the
    discretised law, and above it by at most 0.61 bits a symbol (near b = 0.14), 0.25 from b = 0.75 on.

    Args:
        values: weights, float32, any shape.
        step: their quantisation step Δ > 0, or one for each row.
    """
    return values.numel() * torch.log2(1 + 2 * math.e * in_steps(values, step).abs().mean())


def parameter_rate(representation: nn.Module, steps: Mapping[str, Step]) -> Tensor:
    """`laplace_rate` summed over all parameters: bits, a scalar with gradient."""
    return sum(laplace_rate(parameter, steps[name]) for name, parameter in representation.named_parameters())
