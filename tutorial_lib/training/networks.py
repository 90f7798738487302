"""Overfitting a network on coordinates to one picture, film or sound: the phases of a recipe, in full precision and quantized.

A `Recipe` is a tuple of `Phase`; `fit` runs them in order and returns a `Report`. A step sees the whole picture or a
sub-canvas of it (`canvases`).
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.rates import parameter_rate
from tutorial_lib.coding.steps import Step
from tutorial_lib.losses import LOSSES
from tutorial_lib.runtime import keep_freed_memory, threads_for
from tutorial_lib.training.canvases import PictureResiduals, SubCanvases, strides_for, strides_near
from tutorial_lib.training.loop import Fit, Progress, Report, State, median_seconds, optimizer_for
from tutorial_lib.training.phases import EVALUATE_EVERY, Phase, Recipe, WeightRestart
from tutorial_lib.training.schedules import Constant
from tutorial_lib.training.stand_ins import quantized_parameters

VALIDATION_POINTS = 1 << 16
CALIBRATION_POINTS = 1 << 13
"""Pixels on which a quantizer measures its tensors' sensitivities: one pass for each tensor, so few are taken."""
ROUNDING_POINTS = 1 << 13
"""Pixels of a pass while symbols are chosen (`Rounding`): hundreds of passes."""
STEP_BYTES = 1 << 30
"""A step's activations may take this much memory; above it the step sees a sub-canvas, whatever the phase asks for."""


def fit(
    representation: nn.Module,
    picture: Tensor,
    recipe: Recipe,
    *,
    quantizer: Quantizer | None = None,
    seed: int = 0,
    progress: bool = True,
    callback: Callable[[Progress], None] | None = None,
) -> Report:
    """Fit ``representation`` (on its device, in place) to ``picture`` and leave it in the best state found.

    Stopping it (Ctrl-C, the notebook's stop button) ends the fit, not the program: the best state so far stays.

    Args:
        representation: a `CoordinateRepresentation`.
        picture: float32 (3, H, W) in [0, 1], or any signal (channels, *size): a film (3, T, H, W), a sound (C, N).
        recipe: phases, run in order.
        quantizer: needed if a phase quantizes; the steps it ends with are in the report.
        seed: of the sub-canvases' order and of the quantization noise.
        progress: show a progress bar with the time left and the PSNR.
        callback: called at every evaluation, with the representation in its present state.

    Raises:
        ValueError: a phase quantizes and there is no quantizer, or a name in a phase is unknown.
    """
    _check(recipe, quantizer)
    run = NetworkFit(representation, picture, recipe, quantizer, seed, callback)
    interrupted = run.carry_out(progress)
    return run.report(interrupted, run.best.mse, steps=run.best.steps)


def calibrate(quantizer: Quantizer, representation: nn.Module, picture: Tensor) -> None:
    """Choose ``quantizer.steps`` for a fitted representation as it stands, without training."""
    run = NetworkFit(representation, picture, (), quantizer)
    quantizer.calibrate(representation, run.render_sample)


def settle(quantizer: Quantizer, representation: nn.Module, picture: Tensor, *, seed: int = 0) -> None:
    """Let a quantizer with ``steps`` decide on the symbols of a fitted representation (`Quantizer.round`), in place."""
    if quantizer.rounding is None:
        return
    run = NetworkFit(representation, picture, (), quantizer, seed)
    weights = sum(parameter.numel() for parameter in representation.parameters())
    with threads_for(weights * min(ROUNDING_POINTS, picture[0].numel())):
        quantizer.round(representation, run.residuals())


def estimate_seconds(representation: nn.Module, picture: Tensor, recipe: Recipe, quantizer: Quantizer | None = None) -> float:
    """About how long `fit` will take here, in seconds, from a few timed steps of each kind of phase on a copy.

    The quantizer's rounding at the end is counted in.
    """
    quantizer = copy.deepcopy(quantizer)
    _check(recipe, quantizer)
    keep_freed_memory()
    run = NetworkFit(copy.deepcopy(representation), picture, recipe, quantizer)
    still = {"name": "", "iterations": 1, "learning_rate": 0.0, "schedule": Constant()}
    timed: dict[Phase, tuple[float, float, float]] = {}
    seconds = 0.0
    for phase in recipe:
        kind = replace(phase, **still, restart=True, settle=False, weight_restart=None)
        if kind not in timed:
            run.start((kind,))
            with threads_for(run.begin(kind)):
                step = median_seconds(functools.partial(run.step, 1), 5)
                evaluation = median_seconds(run.evaluate, 1)
                calibration = median_seconds(run.calibrate, 1) if phase.quantization else 0.0
            timed[kind] = step, evaluation, calibration
        step, evaluation, calibration = timed[kind]
        calibrations = 1 + (phase.iterations - 1) // (phase.calibrate_every or max(phase.iterations, 1))
        seconds += phase.iterations * (step + evaluation / phase.evaluate_every) + calibrations * calibration
    if quantizer is not None and quantizer.rounding is not None:
        residuals = run.residuals()
        seconds += quantizer.rounding.passes * median_seconds(lambda: residuals.residual().square().mean().backward(), 3)
    return seconds


class NetworkFit(Fit):
    """The state of a fit; see `fit` for the arguments."""

    representation: Any  # an nn.Module that is a CoordinateRepresentation: Python's types know no "both"
    phase: Phase

    def __init__(
        self,
        representation: nn.Module,
        picture: Tensor,
        recipe: Recipe,
        quantizer: Quantizer | None = None,
        seed: int = 0,
        callback: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(representation, picture, sum(phase.iterations for phase in recipe), seed, callback)
        self.recipe = recipe
        self.quantizer = cast(Quantizer, quantizer)  # `_check` has seen to it that a phase which quantizes has one
        self.order = torch.Generator().manual_seed(seed)
        self.whole_axes: int = getattr(representation, "whole_axes", 0)
        self.features, self.colours = self._middle(VALIDATION_POINTS)
        self.whole_picture_scores = self.colours.shape == self.picture.shape
        self.sample = self._middle(CALIBRATION_POINTS)[0]
        levels = self.colours.flatten(1)
        self.hopeless = 2 * float((levels - levels.mean(1, keepdim=True)).square().mean())
        self.best_of_phase, self.fallback = State(), State()

    def _middle(self, points: int) -> tuple[Tensor, Tensor]:
        """The sub-canvas of about ``points`` pixels that lies in the middle."""
        canvases = SubCanvases(self.representation, self.picture, self._finest(points), torch.Generator())
        return canvases.at(canvases.middle)

    def _finest(self, points: int) -> tuple[int, ...]:
        return strides_for(self.picture.shape[1:], points, self.whole_axes)

    def all(self) -> None:
        for stretch in _stretches(self.recipe):
            self.start(stretch)
            for phase in stretch:
                self.run(phase)
                self.index = phase.iterations
                self._record(self.evaluate())

    def start(self, stretch: Recipe) -> None:
        """A new optimizer for phases that share one, from the best state so far."""
        self.load(self.best)
        self.total, self.stretch_step, self.scale = sum(phase.iterations for phase in stretch), 0, 1.0
        self.phase = stretch[0]
        self.renew()

    def renew(self) -> None:
        phase, decay = self.phase, self.phase.weight_decay
        rate, parameters = phase.learning_rate, self.representation.parameters()
        self.optimizer = optimizer_for(phase.optimizer, parameters, rate, weight_decay=decay, frequency=5, fused=True)

    def begin(self, phase: Phase) -> float:
        """Make the phase's sub-canvases; the multiply-adds of a step's forward pass."""
        self.phase, self.index = phase, 0
        self.canvases = SubCanvases(self.representation, self.picture, self._strides(phase), self.order)
        if phase.weight_restart:
            self.load(self.best_of_phase)
            self._disturb(phase.weight_restart)
        self.best_of_phase = State()
        if bool(phase.quantization) != bool(self.best.steps):
            # errors before and after quantization can't be compared
            self.fallback = self.best if self.best.parameters else self.fallback
            self.best = State()
        # with the whole picture in a step, and no noise, the step's own loss scores its state, free of charge
        self.exact = self.canvases.stride == 1 and phase.quantization != "noise" and self.whole_picture_scores
        self.loss = LOSSES[phase.loss] if isinstance(phase.loss, str) else phase.loss
        if phase.quantization:
            self.calibrate()
        if phase.settle:
            self.quantizer.round(self.representation, self.residuals())
        return sum(p.numel() for p in self.representation.parameters()) * self.canvases.points

    def _strides(self, phase: Phase) -> tuple[int, ...]:
        """From the points a phase asks for, or the most that memory allows."""
        size, count = self.picture.shape[1:], self.picture[0].numel()
        points = min(phase.points or count, count)
        # every layer keeps its input to the sine and its output for the backward pass
        widths = [p.shape[0] for p in self.representation.parameters() if p.ndim >= 2]
        affordable = STEP_BYTES // (4 * (2 * sum(widths) + self.features.shape[-1]))
        return tuple(map(max, strides_near(size, points, self.whole_axes), self._finest(affordable)))

    def residuals(self) -> PictureResiduals:
        """What a rounding sees: small canvases for its passes, the validation canvas for its verdict."""
        strides, order = self._finest(ROUNDING_POINTS), torch.Generator().manual_seed(self.seed)
        return PictureResiduals(SubCanvases(self.representation, self.picture, strides, order), self.validation_error)

    def calibrate(self) -> None:
        """Choose the steps, and what a unit of MSE is worth in units of the loss: λ counts bits in MSE."""
        self.quantizer.calibrate(self.representation, self.render_sample)
        self.worth = 1.0
        if self.quantizer.rate_weight and self.phase.loss != "mse":
            prediction = self.render().movedim(-1, 0)
            error = prediction - self.colours
            with torch.no_grad():
                rise = self.loss(prediction + 0.01 * error, self.colours) - self.loss(prediction, self.colours)
            self.worth = max(float(rise), 0.0) / (0.0201 * float(error.square().mean()) + 1e-12)

    @torch.no_grad()
    def _disturb(self, restart: WeightRestart) -> None:
        for name, parameter in self.representation.named_parameters():
            if parameter.ndim == 2 and not name.endswith(".0.weight"):
                shape, device = parameter.shape, parameter.device
                chosen = torch.rand(shape, generator=self.generator, device=device) < restart.fraction
                noise = torch.rand(shape, generator=self.generator, device=device).mul_(2).sub_(1)
                size = restart.strength * parameter.abs().mean() / restart.fraction
                parameter.add_(noise * chosen * size)

    def step(self, index: int) -> None:
        phase, self.index = self.phase, index
        features, colours = self.canvases.next()
        if phase.quantization and phase.calibrate_every and index and index % phase.calibrate_every == 0:
            self.calibrate()
        if index % phase.evaluate_every == 0 and not self.exact:
            self._record(self.evaluate())
        for group in self.optimizer.param_groups:
            group["lr"] = phase.learning_rate * self.scale * phase.schedule(self.stretch_step, self.total)
        self.optimizer.zero_grad()
        with self.quantized(self.generator if phase.quantization == "noise" else None):
            prediction = self.representation.colours(features).movedim(-1, 0)
            self.loss(prediction, colours).backward()
        error = self._judge(prediction.detach(), colours) if self.exact else math.nan
        if (extra := self._parameter_terms()) is not None:
            extra.backward()
        self.optimizer.step()
        if self.exact and index % phase.evaluate_every == 0:
            self._record(error)
        self.stretch_step += 1

    def quantized(self, noise: torch.Generator | None = None) -> contextlib.AbstractContextManager[None]:
        """Inside, the parameters are as the phase stores them, or with ``noise`` in place of rounding."""
        if not self.phase.quantization:
            return contextlib.nullcontext()
        return quantized_parameters(self.representation, self.quantizer.steps, noise)

    def _parameter_terms(self) -> Tensor | None:
        """The loss terms that depend on the exact weights alone: λ·bits, and the penalty on their size."""
        phase, terms = self.phase, list[Tensor]()
        if phase.quantization and self.quantizer.rate_weight:
            weight = self.quantizer.rate_weight * self.worth
            terms.append(weight * parameter_rate(self.representation, self.quantizer.steps))
        if phase.weight_penalty:
            size = functools.reduce(torch.add, (p.abs().sum() for p in self.representation.parameters()))
            terms.append(phase.weight_penalty * size)
        return functools.reduce(torch.add, terms) if terms else None

    @torch.no_grad()
    def render(self) -> Tensor:
        """Colours of the validation canvas, (h, w, 3)."""
        return self.representation.colours(self.features)

    @torch.no_grad()
    def render_sample(self) -> Tensor:
        """Colours of a small canvas, for the quantizer's measurements."""
        return self.representation.colours(self.sample)

    @torch.no_grad()
    def validation_error(self) -> float:
        """MSE of the state as it stands, on the validation canvas."""
        return float(F.mse_loss(self.render().movedim(-1, 0).clamp(0, 1), self.colours))

    @torch.no_grad()
    def evaluate(self) -> float:
        """MSE of the state as it would be stored, on the validation canvas; kept if it is the best."""
        with self.quantized():
            prediction = self.render().movedim(-1, 0)
        return self._judge(prediction, self.colours)

    @torch.no_grad()
    def _judge(self, prediction: Tensor, colours: Tensor) -> float:
        """MSE of a prediction; the state behind it is kept if it is the best."""
        prediction = prediction.clamp(0, 1)
        error = float(F.mse_loss(prediction, colours))
        by_loss = self.phase.criterion == "loss" and self.phase.loss != "mse"
        self._keep_if_better(float(self.loss(prediction, colours)) if by_loss else error, error)
        return error

    def _keep_if_better(self, score: float, error: float) -> None:
        if not score < self.best_of_phase.distortion:
            return
        if self.phase.quantization and not self.quantizer.satisfied_by(self.representation):
            return
        steps: dict[str, Step] = dict(self.quantizer.steps) if self.phase.quantization else {}
        self.best_of_phase = replace(self.snapshot(), distortion=score, mse=error, steps=steps)
        if score < self.best.distortion:
            self.best = self.best_of_phase

    def _record(self, error: float) -> None:
        # NaN, far worse than the phase's best, or worse than any constant colour once the first steps are over
        first_steps = (self.index if self.phase.weight_restart else self.iteration) < 4 * EVALUATE_EVERY
        limit = min(10 * self.best_of_phase.mse, math.inf if first_steps else self.hopeless)
        if self.best.parameters and not error <= max(limit, self.best.mse):
            self.recover()
        self.record(error)

    def finish(self) -> None:
        self.best = self.best if self.best.parameters else self.fallback
        self.load(self.best)


def _stretches(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe cut before every phase that restarts."""
    begin = 0
    for end in range(1, len(recipe) + 1):
        if end == len(recipe) or recipe[end].restart:
            yield recipe[begin:end]
            begin = end


def _check(recipe: Recipe, quantizer: Quantizer | None) -> None:
    for phase in recipe:
        if isinstance(phase.loss, str) and phase.loss not in LOSSES:
            raise ValueError(f"no loss {phase.loss!r}; there are {', '.join(LOSSES)}")
        if phase.optimizer not in ("soap", "adam"):
            raise ValueError(f"no optimizer {phase.optimizer!r}; there are soap, adam")
        if phase.settle and not phase.quantization:
            raise ValueError(f"phase {phase.name!r} settles weights on symbols without quantizing them")
        if phase.quantization not in (None, "noise", "round"):
            raise ValueError(f"no quantization {phase.quantization!r}; there are None, noise, round")
        if phase.quantization and not quantizer:
            raise ValueError(f"phase {phase.name!r} quantizes: fit needs a quantizer")
