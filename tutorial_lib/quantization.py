"""From weights to integers and back: uniform quantisation, how its steps are chosen, and which way each weight is rounded.

A weight w becomes the symbol q = round(w/Δ) and is read back as ŵ = q·Δ. A `Quantizer` makes two choices, and every
combination of them works in every codec (``codecs.NIF.execute(plan, picture, quantizer=…)``).

**Steps.** One Δ for a tensor, or one for each of its rows.

* `MaxAbsQuantizer`: the largest weight of a tensor (or row) decides (the tutorial of ICIP 2024, NIF). One outlier costs
  every other weight its precision.
* `RateDistortionQuantizer`: Δ follows from what an error in that tensor does to the picture. With rounding error
  uniform in ±Δ/2, tensor t with n weights and sensitivity s = ∂MSE/∂Δ² adds s·Δ² to the MSE and saves
  n·log₂ Δ bits. Minimising MSE + λ·bits over Δ gives s·Δ² = c·n with one c for all tensors, and λ = 2·c·ln 2
  (MSE a bit). A target in bits fixes c, so the same number sets the steps and weighs the rate in the loss
  (reverse water-filling; Cover and Thomas, Elements of Information Theory, section 10.3.3).

**Rounding**, once the training is over and before the file is written (`Quantizer.round`): to the nearest symbol, or by

* `AdaRound`: up or down, as the picture's error says (Nagel et al., ICML 2020);
* `RateDistortionRounding`: to the symbol of least error + λ·bits, as video encoders do with their coefficients (RDOQ).

What the literature calls post-training quantisation (PTQ) is any of these after a fit in full precision. A recipe with
phases of ``quantization="round"`` makes it quantisation-aware training (QAT): the gradient is taken at the quantised weights and
applied to the exact ones, the straight-through estimator (Bengio et al., arXiv 1308.3432). With `RateDistortionQuantizer` the
rate joins the loss: entropy-aware QAT. ``tests/benchmarks/quantization.py`` compares them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

MAX_SYMBOL = (1 << 15) - 1
MIN_STEP = 2.0**-60

Step = float | np.ndarray
"""Δ of a tensor: one for all of it, or float32 of shape (rows,), one for each index of the first dimension."""


@dataclass(frozen=True)
class QuantizedTensor:
    """Integer symbols (int32, any shape, within ±`MAX_SYMBOL`) and the step Δ that turns them into weights."""

    symbols: np.ndarray
    step: Step

    def values(self) -> Tensor:
        """The weights ŵ = q·Δ, float32, on the CPU."""
        symbols = torch.from_numpy(self.symbols.astype(np.float32))
        return symbols * _factor(self.step, symbols)


def storable_step(step: float) -> float:
    """``step`` rounded to the nearest bfloat16 (8 significant bits): the form in which a file keeps it."""
    return torch.tensor(max(step, MIN_STEP)).bfloat16().item()


def storable_row_steps(steps: np.ndarray) -> np.ndarray:
    """Steps of rows as a file keeps them: the largest as bfloat16, each as k/256 of it with k = 1 … 256, rounded up.

    Args:
        steps: (rows,), not negative.

    Returns:
        float32 (rows,), exact; the first of the largest has k = 256.
    """
    largest = storable_step(float(steps.max(initial=0.0)))
    parts = np.clip(np.ceil(256 * (np.asarray(steps, dtype=np.float64) / largest)), 1, 256)
    parts[np.argmax(steps)] = 256
    return (parts / 256 * largest).astype(np.float32)


def _factor(step: Step, values: Tensor) -> float | Tensor:
    """The step in a form that multiplies ``values``."""
    if isinstance(step, float):
        return step
    return torch.from_numpy(step).to(values.device).view(-1, *[1] * (values.ndim - 1))


def in_steps(values: Tensor, step: Step) -> Tensor:
    """w/Δ, of the same shape."""
    return values / _factor(step, values)


def to_symbols(values: Tensor, step: Step) -> Tensor:
    """round(w/Δ), ties to even, within ±`MAX_SYMBOL`; float32 holding integers, same shape and device."""
    return torch.round(in_steps(values, step)).clamp_(-MAX_SYMBOL, MAX_SYMBOL)


def quantize(values: Tensor, step: Step) -> QuantizedTensor:
    """The tensor as a file will hold it; ``step`` from `storable_step` or `storable_row_steps`."""
    return QuantizedTensor(to_symbols(values.detach(), step).cpu().numpy().astype(np.int32), step)


# ------------------------------------------------------------------------------------------ what symbols cost, about


def laplace_decay(count: int, zeros: int, total: float) -> float:
    """t = exp(−1/2b) of the discretised Laplace law that suits symbols best; 0 if all are zero.

    P(0) = 1 − t and P(±k) = ½·(1/t − t)·t^(2k). For n symbols, z of them zero, with sum of magnitudes S, the likelihood
    is largest where (n + 2S)·t² + z·t − (2S − n + z) = 0.

    Args:
        count, zeros, total: n, z and S.
    """
    if total == 0:
        return 0.0
    lead = count + 2 * total
    return (math.sqrt(zeros**2 + 4 * lead * (2 * total - count + zeros)) - zeros) / (2 * lead)


def laplace_entropy_bits(symbols: Tensor) -> float:
    """Bits an ideal coder spends on ``symbols`` under the discretised Laplace law that suits them best."""
    n, total = symbols.numel(), float(symbols.abs().sum(dtype=torch.float64))
    if total == 0:
        return 0.0
    zeros = n - int(torch.count_nonzero(symbols))
    t = laplace_decay(n, zeros, total)
    nats = (n - zeros) * math.log(2 * t / (1 - t * t)) - 2 * total * math.log(t)
    if zeros:
        nats -= zeros * math.log(1 - t)
    return nats / math.log(2)


def _laplace_lengths(symbols: Tensor) -> Callable[[Tensor], Tensor]:
    """The code length in bits of any symbols under the law that suits ``symbols`` best."""
    n, zeros = symbols.numel(), symbols.numel() - int(torch.count_nonzero(symbols))
    t = laplace_decay(n, zeros, float(symbols.abs().sum(dtype=torch.float64)))
    t = min(max(t, 2.0**-24), 1 - 2.0**-24)  # a law of nothing but zeros, or without one, still allows the other
    zero, slope = -math.log2(1 - t), -2 * math.log2(t)
    first = -math.log2(0.5 * (1 / t - t))
    return lambda some: torch.where(some == 0, zero, first + slope * some.abs())


# ------------------------------------------------------------------------------------------ rounding


class Canvas(Protocol):
    """The picture that a network stands for, as a rounding needs it (`training.PictureCanvas`)."""

    def residual(self) -> Tensor:
        """Prediction − colours of the network as it stands, on the next of some sub-canvases, with gradients; any shape."""

    def error(self) -> float:
        """MSE of the network as it stands, always on the same pixels."""


class Rounding(Protocol):
    """Chooses a symbol for every weight.

    Attributes:
        passes: about how many forward and backward passes on a sub-canvas it takes.
    """

    @property
    def passes(self) -> int: ...

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], canvas: Canvas) -> None:
        """Move every parameter onto a multiple of its step; ``steps`` stay."""


class _Flat:
    """All parameters of a network, and their steps, as vectors."""

    def __init__(self, representation: nn.Module, steps: Mapping[str, Step]) -> None:
        named = dict(representation.named_parameters())
        self.parameters = list(named.values())
        self.sizes = [parameter.numel() for parameter in self.parameters]
        every = zip(named.values(), (steps[name] for name in named), strict=True)
        self.steps = self._join(torch.ones_like(p, requires_grad=False) * _factor(step, p) for p, step in every)
        self.exact = self._join(parameter.detach() for parameter in self.parameters)

    @staticmethod
    def _join(tensors: Iterator[Tensor]) -> Tensor:
        return torch.cat([tensor.flatten() for tensor in tensors])

    @torch.no_grad()
    def place(self, symbols: Tensor) -> None:
        """Give the network the weights q·Δ; ``symbols`` need not be whole."""
        for parameter, part in zip(self.parameters, (symbols * self.steps).split(self.sizes), strict=True):
            parameter.copy_(part.view_as(parameter))

    def gradient(self, value: Tensor, *, again: bool = False) -> Tensor:
        """∂value/∂w, one vector; ``again``: the graph will be needed once more."""
        return self._join(iter(torch.autograd.grad(value, self.parameters, retain_graph=again)))

    def nearest(self) -> Tensor:
        return torch.round(self.exact / self.steps).clamp_(-MAX_SYMBOL, MAX_SYMBOL)


@dataclass(frozen=True)
class AdaRound:
    """Rounding up or down, learned by gradient descent (Nagel et al., Up or Down? Adaptive Rounding, ICML 2020).

    ŵ = Δ·(⌊w/Δ⌋ + h(α)) with the rectified sigmoid h(α) = clip((ζ − γ)·σ(α) + γ, 0, 1), ζ = 1.1, γ = −0.1 (their Eq. 23);
    minimised is the error plus Σ 1 − |2h − 1|^β (Eq. 24), whose β falls from 20 to 2 along a cosine and so drives every h to 0
    or 1. The first fifth of the iterations goes without it, all as in Strümpler et al. (ECCV 2022).

    Not theirs: the error is the picture's, for all layers together, where they reconstruct the output of one layer after the
    other; these networks are small enough. So the penalty's weight is in units of what rounding to nearest adds to that error,
    for each weight. A result with a larger error than rounding to nearest is dropped.

    Args:
        iterations: of Adam.
        learning_rate: of α.
        penalty: weight of the second term; 3 gives a weight halfway between its symbols, at β = 2, about the push that
            the picture gives.
    """

    iterations: int = 1000
    learning_rate: float = 1e-2
    penalty: float = 10.0

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.learning_rate > 0 or not self.penalty > 0:
            raise ValueError(f"AdaRound needs iterations, a learning rate and a penalty above 0, not {self}")

    @property
    def passes(self) -> int:
        return self.iterations

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], canvas: Canvas) -> None:
        flat = _Flat(representation, steps)
        nearest, exact = flat.nearest(), canvas.error()
        flat.place(nearest)
        unit = self.penalty * max(canvas.error() - exact, 1e-3 * exact) / len(nearest)
        floors = torch.floor(flat.exact / flat.steps)
        fractions = flat.exact / flat.steps - floors
        gamma, zeta = -0.1, 1.1
        alpha = torch.logit((fractions - gamma) / (zeta - gamma)).requires_grad_()  # so that h(α) is the fraction
        optimizer = torch.optim.Adam([alpha], self.learning_rate)
        warm_up = self.iterations // 5
        for iteration in range(self.iterations):
            h = ((zeta - gamma) * torch.sigmoid(alpha) + gamma).clamp(0, 1)
            weights = floors + h
            flat.place(weights.detach())
            gradient = flat.gradient(canvas.residual().square().mean()) * flat.steps  # by h
            optimizer.zero_grad()
            if iteration < warm_up:
                weights.backward(gradient)
            else:
                progress = (iteration - warm_up) / (self.iterations - warm_up)
                beta = 2 + 9 * (1 + math.cos(math.pi * progress))
                term = unit * (1 - (2 * h - 1).abs().pow(beta)).sum()
                torch.autograd.backward([weights, term], [gradient, None])
            optimizer.step()
        with torch.no_grad():
            h = ((zeta - gamma) * torch.sigmoid(alpha) + gamma).clamp(0, 1)
        # rounding up must not ask for a symbol that the number of bits doesn't have
        decided = torch.cat([
            new.clamp(-old.abs().max(), old.abs().max())
            for new, old in zip((floors + (h >= 0.5)).split(flat.sizes), nearest.split(flat.sizes), strict=True)
        ])  # fmt: skip
        flat.place(decided)
        error = canvas.error()
        flat.place(nearest)
        if error < canvas.error():
            flat.place(decided)


@dataclass(frozen=True)
class RateDistortionRounding:
    """RDOQ of weights: each becomes the symbol among q − 1, q, q + 1 of least D + λ·bits, D the picture's MSE.

    A change of a weight by δ changes D by g·δ + ½·h·δ², to second order and as if alone; g is the gradient at the rounded
    weights, h the Gauss–Newton diagonal (2/N)·Σ (∂f/∂w)², both from a few passes: for random signs v, (Jᵀv)² has the
    expectation Σ (∂f/∂w)² (Hutchinson's estimator). All weights that promise a gain move together, largest promise first;
    if the true D + λ·bits does not fall, half of them do, and so on. Then everything is estimated anew.

    λ is what a bit is worth at these steps: with Σ h·Δ²/24 the error of rounding, λ = 2·ln 2·Σ h·Δ²/24 / n (see the module's
    docstring), times ``strength``.

    Args:
        strength: more than 1 saves more bits at more error.
        samples: passes for an estimate of g and h.
        rounds: estimates at most.
        seed: of the random signs.
    """

    strength: float = 1.0
    samples: int = 16
    rounds: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.rounds < 1 or not self.strength > 0:
            raise ValueError(f"RDOQ needs samples, rounds and a strength above 0, not {self}")

    @property
    def passes(self) -> int:
        return self.samples * self.rounds

    def __call__(self, representation: nn.Module, steps: Mapping[str, Step], canvas: Canvas) -> None:
        flat = _Flat(representation, steps)
        signs = torch.Generator().manual_seed(self.seed)
        symbols = flat.nearest()
        flat.place(symbols)
        gradient, curvature = self._derivatives(flat, canvas, signs)
        price = self.strength * 2 * math.log(2) * float((curvature * flat.steps.square()).mean()) / 24

        def cost(symbols: Tensor) -> float:
            flat.place(symbols)
            return canvas.error() + price * sum(map(laplace_entropy_bits, symbols.split(flat.sizes)))

        least = cost(symbols)
        for turn in range(self.rounds):
            if turn:
                gradient, curvature = self._derivatives(flat, canvas, signs)
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
        bits = []
        for part in symbols.split(flat.sizes):
            length = _laplace_lengths(part)
            bits.append(length(part + way) - length(part))
        delta = way * flat.steps
        return gradient * delta + curvature * delta.square() / 2 + price * torch.cat(bits)

    def _derivatives(self, flat: _Flat, canvas: Canvas, signs: torch.Generator) -> tuple[Tensor, Tensor]:
        """g and h of every weight."""
        gradient, curvature = torch.zeros_like(flat.steps), torch.zeros_like(flat.steps)
        for _ in range(self.samples):
            residual = canvas.residual()
            gradient += flat.gradient(residual.square().mean(), again=True) / self.samples
            sign = torch.randint(2, residual.shape, generator=signs).mul_(2).sub_(1).to(residual)
            curvature += flat.gradient((residual * sign).sum()).square() * (2 / residual.numel() / self.samples)
        return gradient, curvature


# ------------------------------------------------------------------------------------------ quantisers


class Quantizer(Protocol):
    """Chooses a step for every parameter, and the symbol of every weight. `steps` is empty until `calibrate` has run once."""

    steps: dict[str, Step]
    rate_weight: float  # λ: what one bit is worth in MSE; 0 leaves the rate out of the loss
    rounding: Rounding | None  # None: to the nearest symbol

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        """Set `steps` for the representation's present parameters; ``render()`` gives its present output."""

    def satisfied_by(self, representation: nn.Module) -> bool:
        """Whether the rounded parameters meet the quantiser's aim (its size, if it has one)."""

    def round(self, representation: nn.Module, canvas: Canvas) -> None:
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
        self.bits, self.rows, self.rounding = bits, rows, rounding
        self.rate_weight, self.steps = 0.0, {}

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        self.steps = {name: self._step(parameter.detach().abs()) for name, parameter in representation.named_parameters()}

    def satisfied_by(self, representation: nn.Module) -> bool:
        return True

    def round(self, representation: nn.Module, canvas: Canvas) -> None:
        if self.rounding:
            self.rounding(representation, self.steps, canvas)

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
        seed: of the small perturbations that measure the sensitivities.
        rounding: see `Quantizer.round`; one that takes more than the target is dropped.

    Raises:
        ValueError: a target that is none.
    """

    def __init__(self, target_bits: float, *, rated: bool = True, seed: int = 0, rounding: Rounding | None = None) -> None:
        if not target_bits > 0:
            raise ValueError(f"a target of {target_bits} bits leaves nothing to store")
        self.target_bits, self.rated, self.rate_weight, self.steps = target_bits, rated, 0.0, {}
        self.rounding = rounding
        self._generator = torch.Generator().manual_seed(seed)

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        parameters = dict(representation.named_parameters())
        steps_of = {
            name: math.sqrt(parameter.numel() / slope)
            for (name, parameter), slope in zip(parameters.items(), self._sensitivities(parameters, render), strict=True)
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

    def round(self, representation: nn.Module, canvas: Canvas) -> None:
        if self.rounding:
            exact = [parameter.detach().clone() for parameter in representation.parameters()]
            self.rounding(representation, self.steps, canvas)
            if not self.satisfied_by(representation):
                with torch.no_grad():
                    for parameter, kept in zip(representation.parameters(), exact, strict=True):
                        parameter.copy_(kept)

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
    representation: nn.Module, steps: Mapping[str, Step], generator: torch.Generator | None = None
) -> Iterator[None]:
    """Inside, the parameters hold quantised values; afterwards their exact values again (gradients stay).

    With a ``generator`` the rounding is replaced by its stand-in, uniform noise of one step: smooth in the
    weights, same variance Δ²/12 (Ballé et al., arXiv 1611.01704).
    """
    parameters = dict(representation.named_parameters())
    exact = [parameter.detach().clone() for parameter in parameters.values()]
    with torch.no_grad():
        for name, parameter in parameters.items():
            factor = _factor(steps[name], parameter)
            if generator is None:
                parameter.copy_(to_symbols(parameter, steps[name]).mul_(factor))
            else:
                noise = torch.rand(parameter.shape, generator=generator, device=generator.device).sub_(0.5)
                parameter.add_(noise.to(parameter.device).mul_(factor))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, kept in zip(parameters.values(), exact, strict=True):
                parameter.copy_(kept)
