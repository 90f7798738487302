"""How large the steps should be: from the weights, or from what their errors do to the picture.

* `MaxAbsQuantizer`: the largest weight of a tensor (or row) decides (the tutorial of ICIP 2024, NIF). One outlier costs
  every other weight its precision.
* `RateDistortionQuantizer`: Δ follows from what an error in that tensor does to the picture. With rounding error
  uniform in ±Δ/2, tensor t with n weights and sensitivity s = ∂MSE/∂Δ² adds s·Δ² to the MSE and saves
  n·log₂ Δ bits. Minimizing MSE + λ·bits over Δ gives s·Δ² = c·n with one c for all tensors, and λ = 2·c·ln 2
  (MSE a bit). A target in bits fixes c, so the same number sets the steps and weighs the rate in the loss
  (reverse water-filling; Cover and Thomas, Elements of Information Theory, section 10.3.3).

Each combines with any `rounding`, and works in every codec (``codecs.NIF.execute(plan, picture, quantizer=…)``). After a fit in
full precision that is what the literature calls post-training quantization (PTQ). A recipe with phases of
``quantization="round"`` makes it quantization-aware training (QAT): the gradient is taken at the quantized weights and applied
to the exact ones, the straight-through estimator (Bengio et al., arXiv 1308.3432). With `RateDistortionQuantizer` the rate
joins the loss: entropy-aware QAT. ``tests/benchmarks/quantization.py`` compares them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from tutorial_lib.coding.rates import laplace_entropy_bits
from tutorial_lib.coding.rounding import Residuals, Rounding
from tutorial_lib.coding.steps import MAX_SYMBOL, Step, storable_row_steps, storable_step, to_symbols


class Quantizer(Protocol):
    """Chooses a step for every parameter, and the symbol of every weight.

    Attributes:
        steps: Δ by the parameters' names, storable; empty until `calibrate` has run once.
        rate_weight: λ, what one bit is worth in MSE; 0 leaves the rate out of the loss.
        rounding: how symbols are chosen in the end; None: to the nearest.
    """

    steps: dict[str, Step]
    rate_weight: float
    rounding: Rounding | None

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        """Set `steps` for the representation's present parameters; ``render()`` gives its present output, any shape."""
        ...

    def satisfied_by(self, representation: nn.Module) -> bool:
        """Whether the rounded parameters meet the quantizer's aim (its size, if it has one)."""
        ...

    def round(self, representation: nn.Module, residuals: Residuals) -> None:
        """Decide on the symbols before a file is written: move the parameters to where its rounding to nearest keeps them.

        The aim is met afterwards if it was before.
        """


class MaxAbsQuantizer:
    """Symmetric: Δ = max|w| / (2^(bits−1) − 1), of a tensor as in the ICIP 2024 tutorial, or of each row.

    Args:
        bits: a weight, 2 … 16: symbols of magnitude 2^(bits−1) − 1 at the most, but for the rounding of the step.
        rows: a step for each row of a matrix (the weights into one neuron), at a byte of the file each; a bias keeps one.
        rounding: see `Quantizer.round`.

    Raises:
        ValueError: another number of bits.
    """

    def __init__(self, bits: int = 8, *, rows: bool = False, rounding: Rounding | None = None) -> None:
        if not 2 <= bits <= 16:
            raise ValueError(f"2 to 16 bits a weight, not {bits}")
        self.bits, self.rows, self.rounding, self.rate_weight = bits, rows, rounding, 0.0
        self.steps: dict[str, Step] = {}

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        self.steps = {name: self._step(parameter.detach().abs()) for name, parameter in representation.named_parameters()}

    def satisfied_by(self, representation: nn.Module) -> bool:
        return True

    def round(self, representation: nn.Module, residuals: Residuals) -> None:
        if self.rounding:
            self.rounding(representation, self.steps, residuals)

    def _step(self, magnitudes: Tensor) -> Step:
        levels = 2 ** (self.bits - 1) - 1
        if self.rows and magnitudes.ndim > 1:
            return storable_row_steps(magnitudes.flatten(1).amax(1).cpu().numpy() / levels)
        return storable_step(float(magnitudes.max()) / levels)


class RateDistortionQuantizer:
    """Steps by sensitivity, scaled so that the entropy of all symbols is ``target_bits`` at most.

    Args:
        target_bits: what all parameters together may cost, side information not counted.
        rated: put λ·bits into the loss (`rate_weight`), so that training moves weights to cheap places.
        rounding: see `Quantizer.round`; one that takes more than the target is dropped.

    Raises:
        ValueError: a target that is none.
    """

    def __init__(self, target_bits: float, *, rated: bool = True, rounding: Rounding | None = None) -> None:
        if not target_bits > 0:
            raise ValueError(f"a target of {target_bits} bits leaves nothing to store")
        self.target_bits, self.rated, self.rounding, self.rate_weight = target_bits, rated, rounding, 0.0
        self.steps: dict[str, Step] = {}
        self._generator = torch.Generator().manual_seed(0)

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        parameters = dict(representation.named_parameters())
        sensitivities = self._sensitivities(parameters, render)
        steps_of = {name: math.sqrt(parameter.numel() / sensitivities[name]) for name, parameter in parameters.items()}
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

    def round(self, representation: nn.Module, residuals: Residuals) -> None:
        if self.rounding:
            exact = [parameter.detach().clone() for parameter in representation.parameters()]
            self.rounding(representation, self.steps, residuals)
            if not self.satisfied_by(representation):
                with torch.no_grad():
                    for parameter, kept in zip(representation.parameters(), exact, strict=True):
                        parameter.copy_(kept)

    @staticmethod
    def _scaled(parameters: Mapping[str, Tensor], steps_of: Mapping[str, float], c: float) -> dict[str, Step]:
        # never so fine that a weight, or twice the largest one, would not fit a symbol
        finest = {name: 2 * float(p.detach().abs().max()) / MAX_SYMBOL for name, p in parameters.items()}
        return {name: storable_step(max(step * math.sqrt(c), finest[name])) for name, step in steps_of.items()}

    @staticmethod
    def _bits(parameters: Mapping[str, Tensor], steps: Mapping[str, Step]) -> float:
        return sum(laplace_entropy_bits(to_symbols(p.detach(), steps[name])) for name, p in parameters.items())

    @torch.no_grad()
    def _sensitivities(self, parameters: Mapping[str, Tensor], render: Callable[[], Tensor]) -> dict[str, float]:
        """∂MSE/∂Δ² of each tensor: the output's mean squared change under noise of ±1 % of the mean weight."""
        before, slopes = render(), {}
        for name, parameter in parameters.items():
            kept = parameter.clone()
            width = 0.02 * float(parameter.abs().mean()) + 1e-8
            noise = torch.rand(parameter.shape, generator=self._generator).sub_(0.5).to(parameter.device)
            parameter.add_(noise, alpha=width)
            slopes[name] = float((render() - before).square().mean()) / width**2 + 1e-12
            parameter.copy_(kept)
        return slopes
