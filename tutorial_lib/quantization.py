"""From weights to integers and back: uniform quantisation, one step a tensor, and how the steps are chosen.

A weight w becomes the symbol q = round(w/Δ) and is read back as ŵ = q·Δ. Two choices of Δ:

* `MaxAbsQuantizer`: the largest weight of a tensor decides (the tutorial of ICIP 2024, NIF). One outlier costs
  every other weight its precision.
* `RateDistortionQuantizer`: Δ follows from what an error in that tensor does to the picture. With rounding error
  uniform in ±Δ/2, tensor t with n weights and sensitivity s = ∂MSE/∂Δ² adds s·Δ² to the MSE and saves
  n·log₂ Δ bits. Minimising MSE + λ·bits over Δ gives s·Δ² = c·n with one c for all tensors, and λ = 2·c·ln 2
  (MSE a bit). A target in bits fixes c, so the same number sets the steps and weighs the rate in the loss
  (reverse water-filling; Cover and Thomas, Elements of Information Theory, section 10.3.3).

During quantisation-aware training the gradient is taken at the quantised weights and applied to the exact ones:
the straight-through estimator (Bengio et al., arXiv 1308.3432).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

MAX_SYMBOL = (1 << 15) - 1
MIN_STEP = 2.0**-60


@dataclass(frozen=True)
class QuantizedTensor:
    """Integer symbols (int32, any shape, within ±`MAX_SYMBOL`) and the step Δ that turns them into weights."""

    symbols: np.ndarray
    step: float

    def values(self) -> Tensor:
        """The weights ŵ = q·Δ, float32, on the CPU."""
        return torch.from_numpy(self.symbols.astype(np.float32)) * self.step


def storable_step(step: float) -> float:
    """``step`` rounded to the nearest bfloat16 (8 significant bits): the form in which a file keeps it."""
    return torch.tensor(max(step, MIN_STEP)).bfloat16().item()


def to_symbols(values: Tensor, step: float) -> Tensor:
    """round(w/Δ), ties to even, within ±`MAX_SYMBOL`; float32 holding integers, same shape and device."""
    return torch.round(values / step).clamp_(-MAX_SYMBOL, MAX_SYMBOL)


def quantize(values: Tensor, step: float) -> QuantizedTensor:
    """The tensor as a file will hold it; ``step`` must be a `storable_step`."""
    return QuantizedTensor(to_symbols(values.detach(), step).cpu().numpy().astype(np.int32), step)


def laplace_entropy_bits(symbols: Tensor) -> float:
    """Bits an ideal coder spends on ``symbols`` under the discretised Laplace law that suits them best.

    With t = exp(−1/2b): P(0) = 1 − t and P(±k) = ½·(1/t − t)·t^(2k). For n symbols, z of them zero, with sum of
    magnitudes S, the likelihood is largest where (n + 2S)·t² + z·t − (2S − n + z) = 0.
    """
    n, total = symbols.numel(), float(symbols.abs().sum(dtype=torch.float64))
    if total == 0:
        return 0.0
    zeros = n - int(torch.count_nonzero(symbols))
    lead = n + 2 * total
    t = (math.sqrt(zeros**2 + 4 * lead * (2 * total - n + zeros)) - zeros) / (2 * lead)
    nats = (n - zeros) * math.log(2 * t / (1 - t * t)) - 2 * total * math.log(t)
    if zeros:
        nats -= zeros * math.log(1 - t)
    return nats / math.log(2)


class Quantizer(Protocol):
    """Chooses a step for every parameter. `steps` is empty until `calibrate` has run once."""

    steps: dict[str, float]
    rate_weight: float  # λ: what one bit is worth in MSE; 0 leaves the rate out of the loss

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        """Set `steps` for the representation's present parameters; ``render()`` gives its present output."""

    def satisfied_by(self, representation: nn.Module) -> bool:
        """Whether the rounded parameters meet the quantiser's aim (its size, if it has one)."""


class MaxAbsQuantizer:
    """Symmetric, per tensor: Δ = max|w| / (2^(bits−1) − 1), as in the ICIP 2024 tutorial."""

    def __init__(self, bits: int = 8) -> None:
        if not 2 <= bits <= 16:
            raise ValueError(f"2 to 16 bits a weight, not {bits}")
        self.bits, self.rate_weight, self.steps = bits, 0.0, {}

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        levels = 2 ** (self.bits - 1) - 1
        self.steps = {
            name: storable_step(float(parameter.detach().abs().max()) / levels)
            for name, parameter in representation.named_parameters()
        }

    def satisfied_by(self, representation: nn.Module) -> bool:
        return True


class RateDistortionQuantizer:
    """Steps by sensitivity, scaled so that the entropy of all symbols is ``target_bits`` at most.

    Args:
        target_bits: what all parameters together may cost, side information not counted.
        rated: put λ·bits into the loss (`rate_weight`), so that training moves weights to cheap places.
        seed: of the small perturbations that measure the sensitivities.
    """

    def __init__(self, target_bits: float, *, rated: bool = True, seed: int = 0) -> None:
        if not target_bits > 0:
            raise ValueError(f"a target of {target_bits} bits leaves nothing to store")
        self.target_bits, self.rated, self.rate_weight, self.steps = target_bits, rated, 0.0, {}
        self._generator = torch.Generator().manual_seed(seed)

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        parameters = dict(representation.named_parameters())
        steps_of = {
            name: math.sqrt(parameter.numel() / slope)
            for (name, parameter), slope in zip(
                parameters.items(), self._sensitivities(parameters, render), strict=True
            )
        }
        aim = 0.995 * self.target_bits  # room for the weights to move in a phase that keeps its steps
        low, high = -80.0, 10.0  # log2 of c; the rate falls as c grows
        while high - low > 0.01:
            middle = (low + high) / 2
            if self._bits(parameters, self._scaled(parameters, steps_of, 2.0**middle)) > aim:
                low = middle
            else:
                high = middle
        self.steps = self._scaled(parameters, steps_of, 2.0**high)
        self.rate_weight = 2 * math.log(2) * 2.0**high if self.rated else 0.0

    def satisfied_by(self, representation: nn.Module) -> bool:
        return self._bits(dict(representation.named_parameters()), self.steps) <= self.target_bits

    @staticmethod
    def _scaled(parameters: dict[str, Tensor], steps_of: dict[str, float], c: float) -> dict[str, float]:
        # never so fine that a weight, or twice the largest one, would not fit a symbol
        finest = {name: 2 * float(p.detach().abs().max()) / MAX_SYMBOL for name, p in parameters.items()}
        return {name: storable_step(max(step * math.sqrt(c), finest[name])) for name, step in steps_of.items()}

    @staticmethod
    def _bits(parameters: dict[str, Tensor], steps: dict[str, float]) -> float:
        return sum(laplace_entropy_bits(to_symbols(p.detach(), steps[name])) for name, p in parameters.items())

    @torch.no_grad()
    def _sensitivities(self, parameters: dict[str, Tensor], render: Callable[[], Tensor]) -> list[float]:
        """∂MSE/∂Δ² of each tensor: the output's mean squared change under noise of ±1 % of the mean weight."""
        before = render()
        slopes = []
        for parameter in parameters.values():
            kept = parameter.clone()
            width = 0.02 * float(parameter.abs().mean()) + 1e-8
            noise = torch.rand(parameter.shape, generator=self._generator).sub_(0.5).to(parameter.device)
            parameter.add_(noise, alpha=width)
            slopes.append(float((render() - before).square().mean()) / width**2 + 1e-12)
            parameter.copy_(kept)
        return slopes


@contextlib.contextmanager
def quantized_parameters(
    representation: nn.Module, steps: dict[str, float], generator: torch.Generator | None = None
) -> Iterator[None]:
    """Inside, the parameters hold quantised values; afterwards their exact values again (gradients stay).

    With a ``generator`` the rounding is replaced by its stand-in, uniform noise of one step: smooth in the
    weights, same variance Δ²/12 (Ballé et al., arXiv 1611.01704).
    """
    parameters = dict(representation.named_parameters())
    exact = [parameter.detach().clone() for parameter in parameters.values()]
    with torch.no_grad():
        for name, parameter in parameters.items():
            if generator is None:
                parameter.copy_(to_symbols(parameter, steps[name]).mul_(steps[name]))
            else:
                noise = torch.rand(parameter.shape, generator=generator, device=generator.device).sub_(0.5)
                parameter.add_(noise.to(parameter.device), alpha=steps[name])
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, kept in zip(parameters.values(), exact, strict=True):
                parameter.copy_(kept)
