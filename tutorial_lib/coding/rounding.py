"""Which way each weight is rounded, once the training is over and before the file is written: as the picture says.

Rounding to nearest is best for each weight alone. But the errors of many weights add up in the picture, and there they can
cancel out:

* `AdaRound`: up or down, as the picture's error says (Nagel et al., ICML 2020);
* `RateDistortionRounding`: to the symbol of least error + λ·bits, as video encoders do with their coefficients (RDOQ).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tutorial_lib.coding.rates import laplace_entropy_bits, laplace_lengths
from tutorial_lib.coding.steps import MAX_SYMBOL, Step, factor

LEARNING_RATE = 1e-2
"""Of `AdaRound`'s Adam, for α."""
PENALTY = 10.0
"""Of `AdaRound`: 3 gives a weight halfway between its symbols, at β = 2, about the push that the picture gives."""


class Residuals(Protocol):
    """How far a network, as it stands, is from its picture (`training.PictureResiduals`)."""

    def residual(self) -> Tensor:
        """Prediction − colours on the next of some parts of the picture, with gradients; any shape."""
        ...

    def error(self) -> float:
        """MSE, always on the same pixels."""
        ...


class Rounding(Protocol):
    """Chooses a symbol for every weight."""

    @property
    def passes(self) -> int:
        """About how many forward and backward passes on a part of the picture (`Residuals.residual`) it takes."""
        ...

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], residuals: Residuals) -> None:
        """Move every parameter onto a multiple of its step; ``steps``, by the parameters' names, stay."""
        ...


def _join(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


class _Flat:
    """All parameters of a network, and their steps, as vectors."""

    def __init__(self, representation: nn.Module, steps: Mapping[str, Step]) -> None:
        named = dict(representation.named_parameters())
        self.parameters = list(named.values())
        self.sizes = [parameter.numel() for parameter in self.parameters]
        self.steps = _join(torch.ones_like(each) * factor(steps[name], each) for name, each in named.items())
        self.exact = _join(parameter.detach() for parameter in self.parameters)
        self.nearest = torch.round(self.exact / self.steps).clamp_(-MAX_SYMBOL, MAX_SYMBOL)

    @torch.no_grad()
    def place(self, symbols: Tensor) -> None:
        """Give the network the weights q·Δ; ``symbols`` need not be whole."""
        for parameter, part in zip(self.parameters, (symbols * self.steps).split(self.sizes), strict=True):
            parameter.copy_(part.view_as(parameter))

    def gradient(self, value: Tensor, *, again: bool = False) -> Tensor:
        """∂value/∂w, one vector; ``again``: the graph will be needed once more."""
        return _join(torch.autograd.grad(value, self.parameters, retain_graph=again))


@dataclass(frozen=True)
class AdaRound:
    """Rounding up or down, learned by gradient descent (Nagel et al., Up or Down? Adaptive Rounding, ICML 2020).

    ŵ = Δ·(⌊w/Δ⌋ + h(α)) with the rectified sigmoid h(α) = clip((ζ − γ)·σ(α) + γ, 0, 1), ζ = 1.1, γ = −0.1 (their Eq. 23);
    minimized is the error plus Σ 1 − |2h − 1|^β (Eq. 24), whose β falls from 20 to 2 along a cosine and so drives every h to 0
    or 1. The first fifth of the iterations goes without it, all as in Strümpler et al. (ECCV 2022).

    Not theirs: the error is the picture's, for all layers together, where they reconstruct the output of one layer after the
    other; these networks are small enough. So the penalty's weight is in units of what rounding to nearest adds to that error,
    for each weight. A result with a larger error than rounding to nearest is dropped.

    Args:
        iterations: of Adam.

    Raises:
        ValueError: no iterations.
    """

    iterations: int = 1000

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"AdaRound needs an iteration at least, not {self.iterations}")

    @property
    def passes(self) -> int:
        return self.iterations

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], residuals: Residuals) -> None:
        flat = _Flat(representation, steps)
        nearest, exact = flat.nearest, residuals.error()
        flat.place(nearest)
        unit = PENALTY * max(residuals.error() - exact, 1e-3 * exact) / len(nearest)
        floors = torch.floor(flat.exact / flat.steps)
        fractions = flat.exact / flat.steps - floors
        gamma, zeta = -0.1, 1.1
        alpha = torch.logit((fractions - gamma) / (zeta - gamma)).requires_grad_()  # so that h(α) is the fraction
        optimizer = torch.optim.Adam([alpha], LEARNING_RATE)
        warm_up = self.iterations // 5
        for iteration in range(self.iterations):
            h = ((zeta - gamma) * torch.sigmoid(alpha) + gamma).clamp(0, 1)
            weights = floors + h
            flat.place(weights.detach())
            gradient = flat.gradient(residuals.residual().square().mean()) * flat.steps  # by h
            objective = (weights * gradient).sum()
            if iteration >= warm_up:
                progress = (iteration - warm_up) / (self.iterations - warm_up)
                beta = 2 + 9 * (1 + math.cos(math.pi * progress))
                objective = objective + unit * (1 - (2 * h - 1).abs().pow(beta)).sum()
            optimizer.zero_grad()
            objective.backward()
            optimizer.step()
        ups = ((zeta - gamma) * torch.sigmoid(alpha.detach()) + gamma).clamp(0, 1) >= 0.5
        # rounding up must not ask for a symbol that the number of bits doesn't have
        decided = torch.cat([
            new.clamp(-old.abs().max(), old.abs().max())
            for new, old in zip((floors + ups).split(flat.sizes), nearest.split(flat.sizes), strict=True)
        ])  # fmt: skip
        flat.place(decided)
        error = residuals.error()
        flat.place(nearest)
        if error < residuals.error():
            flat.place(decided)


@dataclass(frozen=True)
class RateDistortionRounding:
    """RDOQ of weights: each becomes the symbol among q − 1, q, q + 1 of least D + λ·bits, D the picture's MSE.

    A change of a weight by δ changes D by g·δ + ½·h·δ², to second order and as if alone; g is the gradient at the rounded
    weights, h the Gauss–Newton diagonal (2/N)·Σ (∂f/∂w)², both from a few passes: for random signs v, (Jᵀv)² has the
    expectation Σ (∂f/∂w)² (Hutchinson's estimator). All weights that promise a gain move together, largest promise first;
    if the true D + λ·bits does not fall, half of them do, and so on. Then everything is estimated anew.

    λ is what a bit is worth at these steps: with Σ h·Δ²/24 the error of rounding, λ = 2·ln 2·Σ h·Δ²/24 / n (see `quantizers`).

    Args:
        samples: passes for an estimate of g and h.
        rounds: estimates at most.

    Raises:
        ValueError: no samples, or no rounds.
    """

    samples: int = 16
    rounds: int = 6

    def __post_init__(self) -> None:
        if self.samples < 1 or self.rounds < 1:
            raise ValueError(f"RDOQ needs a sample and a round at least, not {self}")

    @property
    def passes(self) -> int:
        return self.samples * self.rounds

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], residuals: Residuals) -> None:
        flat = _Flat(representation, steps)
        signs = torch.Generator().manual_seed(0)
        symbols = flat.nearest
        flat.place(symbols)
        gradient, curvature = self._derivatives(flat, residuals, signs)
        price = 2 * math.log(2) * float((curvature * flat.steps.square()).mean()) / 24

        def cost(symbols: Tensor) -> float:
            flat.place(symbols)
            return residuals.error() + price * sum(map(laplace_entropy_bits, symbols.split(flat.sizes)))

        least = cost(symbols)
        for turn in range(self.rounds):
            if turn:
                gradient, curvature = self._derivatives(flat, residuals, signs)
            down, up = (self._change(flat, symbols, way, gradient, curvature, price) for way in (-1, 1))
            gains, ways = torch.minimum(down, up), torch.where(down < up, -1.0, 1.0)
            chosen = torch.argsort(gains)[: int((gains < 0).sum())]
            while len(chosen):
                moved = symbols.clone()
                moved[chosen] += ways[chosen]
                moved.clamp_(-MAX_SYMBOL, MAX_SYMBOL)
                if (value := cost(moved)) < least:
                    symbols, least = moved, value
                    break
                chosen = chosen[: len(chosen) // 2]
            flat.place(symbols)
            if not len(chosen):
                break

    @staticmethod
    def _change(flat: _Flat, symbols: Tensor, way: int, gradient: Tensor, curvature: Tensor, price: float) -> Tensor:
        """What moving each weight alone by ``way`` symbols adds to D + λ·bits."""
        parts = [(part, laplace_lengths(part)) for part in symbols.split(flat.sizes)]
        bits, delta = torch.cat([length(part + way) - length(part) for part, length in parts]), way * flat.steps
        return gradient * delta + curvature * delta.square() / 2 + price * bits

    def _derivatives(self, flat: _Flat, residuals: Residuals, signs: torch.Generator) -> tuple[Tensor, Tensor]:
        """g and h of every weight."""
        gradient, curvature = torch.zeros_like(flat.steps), torch.zeros_like(flat.steps)
        for _ in range(self.samples):
            residual = residuals.residual()
            gradient += flat.gradient(residual.square().mean(), again=True) / self.samples
            sign = torch.randint(2, residual.shape, generator=signs).mul_(2).sub_(1).to(residual)
            curvature += flat.gradient((residual * sign).sum()).square() * (2 / residual.numel() / self.samples)
        return gradient, curvature
