"""Phases and recipes: what a fit does, in which order. `networks` and `grids` carry them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tutorial_lib.losses import Loss
from tutorial_lib.training.schedules import Cosine, OneCycle

EVALUATE_EVERY = 25


@dataclass(frozen=True)
class WeightRestart:
    """Noise on the weights of a phase's best state, so that the next phase leaves its minimum (NIF).

    Every weight matrix but a network's first gets, on a random ``fraction`` a of its entries, noise uniform in
    ±r·mean|w| / a, with r the ``strength``.
    """

    fraction: float
    strength: float


@dataclass(frozen=True)
class Phase:
    """One stretch of a fit.

    Args:
        name: shown in the progress bar and the report.
        iterations: optimizer steps.
        optimizer: "soap" (Vyas et al., arXiv 2409.11321: Adam in the eigenbasis of Shampoo's preconditioner) or "adam".
        learning_rate: its largest value; ``schedule`` gives the factor for each step.
        loss: a name in `losses.LOSSES`, or a function of (prediction, target) like those.
        criterion: what makes a state the best one: "mse", or the phase's "loss".
        weight_penalty: this times Σ|θ| joins the loss (Strümpler et al.: 10⁻⁵).
        weight_decay: every step takes learning rate · this · θ off each parameter (AdamW).
        quantization: None; "noise", uniform noise of one step; "round", straight-through rounding.
        calibrate_every: iterations after which the quantization steps are chosen again; None: once, at the beginning.
        evaluate_every: iterations after which the state is scored, and kept if it is the best.
        points: pixels a step should see (the stride is chosen from it); None for the whole picture.
        restart: start from the best state so far, with a new optimizer and schedule; with False both go on
            from the phase before, and the schedule spans the phases together.
        settle: begin with the quantizer's own rounding (`Quantizer.round`), as Strümpler et al.'s QAT begins with AdaRound.
        weight_restart: begin with the best state of the phase before, disturbed (the optimizer goes on as ``restart``
            says).
    """

    name: str
    iterations: int
    optimizer: Literal["soap", "adam"] = "soap"
    learning_rate: float = 5e-3
    schedule: Callable[[int, int], float] = OneCycle()
    loss: str | Loss = "mse"
    criterion: Literal["mse", "loss"] = "mse"
    weight_penalty: float = 0.0
    weight_decay: float = 0.0
    quantization: Literal["noise", "round"] | None = None
    calibrate_every: int | None = None
    evaluate_every: int = EVALUATE_EVERY
    points: int | None = None
    restart: bool = True
    settle: bool = False
    weight_restart: WeightRestart | None = None


Recipe = tuple[Phase, ...]


Stand = Literal["noise", "soft-round", "straight-through", "round"]
Part = Literal["latents", "context", "upsampling", "synthesis"]
EVERYTHING: tuple[Part, ...] = ("latents", "context", "upsampling", "synthesis")
NETWORKS: tuple[Part, ...] = EVERYTHING[1:]


@dataclass(frozen=True)
class GridPhase:
    """One stretch of a fit, with new optimizers, from the best state so far.

    Args:
        name: shown in the progress bar and the report.
        iterations: optimizer steps, at most.
        quantization: what stands for rounding: "noise", uniform ±½; "soft-round", see `noisy_soft_round`;
            "straight-through", rounding with the gradient of the identity; "round", rounding, the latents frozen.
        trains: the parts that move.
        optimizer: of the networks; the latents have Adam.
        network_rate, latent_rate: largest learning rates; the schedules give the factor for each step.
        temperature, deviation: of the soft rounding and its noise, from the first step to the last.
        mse_first: for so large a share of the phase D is MSE, in units of the loss, unless the loss is "mse" or "log-cosh".
        clip: the gradient's norm is cut to this; None for no limit.
        banded: a step sees one band of a large picture's rows, and all of them in turn; otherwise the whole picture.
        latent_betas, latent_epsilon: of the latents' Adam; its ε as a multiple of what a bit's price is in one latent's gradient.
        latent_gradient: this times the latents' gradient.
        patience: halve the learning rates, and go back to the best state, after so many evaluations without a better one.
        lowest: end the phase when halving has brought ``network_rate`` below this.
    """

    name: str
    iterations: int
    quantization: Stand = "soft-round"
    trains: tuple[Part, ...] = EVERYTHING
    optimizer: Literal["soap", "adam"] = "soap"
    network_rate: float = 7e-3
    latent_rate: float = 1e-2
    network_schedule: Callable[[int, int], float] = OneCycle(warm_up=0.3)
    latent_schedule: Callable[[int, int], float] = Cosine()
    temperature: tuple[float, float] = (0.35, 0.08)
    deviation: tuple[float, float] = (0.22, 0.15)
    mse_first: float = 0.0
    clip: float | None = None
    banded: bool = False
    latent_betas: tuple[float, float] = (0.9, 0.999)
    latent_epsilon: float = 2.0
    latent_gradient: float = 1.0
    patience: int | None = None
    lowest: float = 0.0


@dataclass(frozen=True)
class GridRecipe:
    """How a picture is fitted.

    Args:
        phases: run in order; the last ones may freeze the latents ("round").
        candidates: of the warm-up: so many fits from different random networks, of which the best go on to the next round.
        warm_up: the phase of each round and candidate; None for no warm-up.
        gains: "fixed", latents are trained as y/`GAIN`; "learned", as y/2^g with one g a grid, starting at its level (v1, v2).
        start: of the latents, and of the networks: `latents.starts` has the last two.
        threshold: of the pyramid, in steps.
    """

    phases: tuple[GridPhase, ...]
    candidates: tuple[int, ...] = ()
    warm_up: GridPhase | None = None
    gains: Literal["fixed", "learned"] = "fixed"
    start: Literal["zeros", "pyramid", "networks"] = "networks"
    threshold: float = 0.0

    @property
    def iterations(self) -> int:
        """Optimizer steps in all."""
        warm_up = sum(self.candidates) * self.warm_up.iterations if self.warm_up else 0
        return warm_up + sum(phase.iterations for phase in self.phases)
