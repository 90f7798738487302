"""Overfitting as encoding: recipes, phases, and the loop that fits a representation to one picture.

A `Recipe` is a tuple of `Phase`; `fit` runs them in order and returns a `Report`. A step sees the whole picture or a
sub-canvas of it: every s-th pixel both ways from a random corner. A coordinate network has no resolution of its own,
so a small canvas teaches it nearly as much as a large one, at 1/s² of the cost.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from tutorial_lib.images import canvas_axis
from tutorial_lib.quantization import Quantizer, quantized_parameters
from tutorial_lib.rate_models import parameter_rate
from tutorial_lib.runtime import threads_for

EVALUATE_EVERY = 25
CALIBRATE_EVERY = 50
VALIDATION_POINTS = 1 << 16
STEP_BYTES = 1 << 30
"""A step's activations may take this much memory; above it the step sees a sub-canvas, whatever the phase asks for."""
CACHE_BYTES = 1 << 28

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss}
"""Distortions by name: (prediction, target), pictures (3, h, w), to a scalar."""


class CoordinateRepresentation(Protocol):
    """What `fit` asks of a network on coordinates (an nn.Module): `features` once a canvas, `colours` each step."""

    def features(self, coordinates: Tensor) -> Tensor: ...
    def colours(self, features: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is."""

    def __call__(self, step: int, total: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """From 1 down to ``floor`` in ``half_period`` steps (default: all of them), then up again, and so on."""

    half_period: int | None = None
    floor: float = 0.0

    def __call__(self, step: int, total: int) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * step / (self.half_period or total))) / 2


@dataclass(frozen=True)
class OneCycle:
    """Cosine rise from ``start`` to 1 over the first ``warm_up`` of the steps, cosine fall to ``end``.

    Smith and Topin, arXiv 1708.07120, without its momentum cycle. SOAP wants a slow rise: with a tenth of the steps
    instead of 0.3 to 0.5, `siren` at 192×128 loses 0.4 dB in 1,500 steps and 8 dB in 300 (means over Kodak 3, 15, 23).
    """

    warm_up: float = 0.4
    start: float = 0.1
    end: float = 0.001

    def __call__(self, step: int, total: int) -> float:
        peak = self.warm_up * total
        if step < peak:
            return self.start + (1 - self.start) * (1 - math.cos(math.pi * step / peak)) / 2
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * (step - peak) / (total - peak))) / 2


@dataclass(frozen=True)
class Phase:
    """One stretch of a fit.

    Args:
        name: shown in the progress bar and the report.
        iterations: optimiser steps.
        optimizer: "soap" (Vyas et al., arXiv 2409.11321: Adam in the eigenbasis of Shampoo's preconditioner) or "adam".
        learning_rate: its largest value; ``schedule`` gives the factor for each step.
        loss: a name in `LOSSES`.
        weight_penalty: this times Σ|θ| joins the loss (Strümpler et al.: 10⁻⁵).
        quantization: None; "noise", the stand-in that keeps steps adapting; "round", straight-through rounding.
        points: pixels a step should see (the stride is chosen from it); None for the whole picture.
        restart: start from the best state so far, with a new optimiser and schedule; with False both go on
            from the phase before, and the schedule spans the phases together.
    """

    name: str
    iterations: int
    optimizer: Literal["soap", "adam"] = "soap"
    learning_rate: float = 5e-3
    schedule: Callable[[int, int], float] = OneCycle()
    loss: str = "mse"
    weight_penalty: float = 0.0
    quantization: Literal["noise", "round"] | None = None
    points: int | None = None
    restart: bool = True


Recipe = tuple[Phase, ...]


@dataclass(frozen=True)
class Progress:
    """What a callback sees every few iterations. PSNR is of the state as it would be stored, on a fixed canvas."""

    iteration: int
    iterations: int
    phase: str
    psnr: float
    seconds: float
    representation: nn.Module = field(repr=False)


@dataclass(frozen=True)
class Report:
    """How a fit went.

    Args:
        history: (iteration, phase, PSNR in dB) at every evaluation.
        best_psnr: of the state kept; with its steps if it was quantised, on the validation canvas.
        steps: quantisation steps of the state kept, by parameter; empty if it was not quantised.
        seconds: of wall time.
        interrupted: the user stopped the fit; the state kept is the best until then.
        recoveries: how often the fit diverged and went on from its best state at half the learning rate.
    """

    history: tuple[tuple[int, str, float], ...]
    best_psnr: float
    steps: dict[str, float]
    seconds: float
    interrupted: bool
    recoveries: int


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
        picture: float32 (3, H, W) in [0, 1].
        recipe: phases, run in order.
        quantizer: needed if a phase quantises; the steps it ends with are in the report.
        seed: of the sub-canvases' order and of the quantisation noise.
        progress: show a progress bar with the time left and the PSNR.
        callback: called at every evaluation, with the representation in its present state.

    Raises:
        ValueError: a phase quantises and there is no quantiser, or a name in a phase is unknown.
    """
    _check(recipe, quantizer)
    started = time.perf_counter()
    with _Fit(representation, picture, recipe, quantizer, seed, progress, callback) as run:
        operations = sum(p.numel() for p in representation.parameters())
        interrupted = False
        try:
            for stretch in _stretches(recipe):
                run.start(stretch)
                for phase in stretch:
                    canvases = run.canvases(phase)
                    with threads_for(operations * canvases.points):
                        run.run(phase, canvases)
        except KeyboardInterrupt:
            interrupted = True
        best = run.finish()
    return Report(
        tuple(run.history), _psnr(best.mse), best.steps, time.perf_counter() - started, interrupted, run.recoveries
    )


def calibrate(quantizer: Quantizer, representation: nn.Module, picture: Tensor) -> None:
    """Choose ``quantizer.steps`` for a fitted representation as it stands, without training."""
    with _Fit(representation, picture, (), quantizer, 0, False, None) as run:
        quantizer.calibrate(representation, run.render)


def estimate_seconds(
    representation: nn.Module, picture: Tensor, recipe: Recipe, quantizer: Quantizer | None = None
) -> float:
    """About how long `fit` will take here, in seconds, from a few timed steps of each phase on a copy."""
    _check(recipe, quantizer)
    operations = sum(p.numel() for p in representation.parameters())
    seconds = 0.0
    with _Fit(copy.deepcopy(representation), picture, recipe, copy.deepcopy(quantizer), 0, False, None) as trial:
        for phase in recipe:
            trial.start((phase,))
            canvases = trial.canvases(phase)
            with threads_for(operations * canvases.points):
                if phase.quantization:
                    measure = functools.partial(trial.quantizer.calibrate, trial.representation, trial.render)
                    calibration = _median_seconds(measure, 1)
                    again = phase.iterations // CALIBRATE_EVERY if phase.quantization == "noise" else 0
                    seconds += (1 + again) * calibration
                step = _median_seconds(functools.partial(trial.step, phase, canvases, False), 5)
                evaluation = _median_seconds(functools.partial(trial.evaluate, phase), 1)
                seconds += phase.iterations * (step + evaluation / EVALUATE_EVERY)
    return seconds


def _median_seconds(action: Callable[[], object], times: int) -> float:
    """Seconds that ``action`` takes: the median of ``times`` calls, after one that only warms up."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


@dataclass
class _Best:
    mse: float = math.inf
    state: dict[str, Tensor] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)


class SubCanvases:
    """The sub-canvases of one stride: features and colours of every ``stride``-th pixel from a random corner.

    All corners are visited, in random order, before one comes again: stride² of them, fewer where a side of the
    picture is shorter than the stride. Together they hold every pixel once.
    """

    def __init__(
        self, representation: CoordinateRepresentation, picture: Tensor, stride: int, generator: torch.Generator
    ) -> None:
        self.representation, self.picture, self.stride, self.generator = representation, picture, stride, generator
        _, height, width = picture.shape
        self.points = math.ceil(height / stride) * math.ceil(width / stride)
        self.rows, self.columns = min(stride, height), min(stride, width)
        self._order: list[int] = []
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def next(self) -> tuple[Tensor, Tensor]:
        """Features (h, w, F) and colours (3, h, w) of the next sub-canvas."""
        if not self._order:
            self._order = torch.randperm(self.rows * self.columns, generator=self.generator).tolist()
        corner = self._order.pop()
        if corner not in self._cache:
            pair = self.at(corner)
            if pair[0].nbytes * self.rows * self.columns > CACHE_BYTES:
                return pair
            self._cache[corner] = pair
        return self._cache[corner]

    @torch.no_grad()
    def at(self, corner: int) -> tuple[Tensor, Tensor]:
        """The sub-canvas from ``corner`` = row · `columns` + column."""
        _, height, width = self.picture.shape
        top, left = divmod(corner, self.columns)
        device = self.picture.device
        ys = canvas_axis(height, start=top, step=self.stride, device=device)
        xs = canvas_axis(width, start=left, step=self.stride, device=device)
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        features = self.representation.features(torch.stack([x, y], dim=-1))
        # channels last in memory, as the network's output: the loss then runs over equal layouts
        colours = self.picture[:, top :: self.stride, left :: self.stride].movedim(0, -1).contiguous()
        return features, colours.movedim(-1, 0)


class _Fit:
    """The state of one `fit`."""

    def __init__(self, representation, picture, recipe, quantizer, seed, progress, callback) -> None:
        self.representation, self.quantizer, self.callback = representation, quantizer, callback
        device = next(representation.parameters()).device
        self.picture = picture.to(device)
        self.generator = torch.Generator().manual_seed(seed)
        stride = _stride(*picture.shape[1:], VALIDATION_POINTS)
        validation = SubCanvases(representation, self.picture, stride, self.generator)
        self.features, self.colours = validation.at(
            validation.rows // 2 * validation.columns + validation.columns // 2
        )
        self.whole_picture_scores = stride == 1
        self.hopeless = 2 * float((self.colours - self.colours.mean((1, 2), keepdim=True)).square().mean())
        self.bar = tqdm(total=sum(phase.iterations for phase in recipe), disable=not progress, unit="it", leave=False)
        self.history: list[tuple[int, str, float]] = []
        self.best, self.fallback = _Best(), _Best()
        self.iteration, self.recoveries, self.scale = 0, 0, 1.0
        self.started = time.perf_counter()

    def __enter__(self) -> _Fit:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def canvases(self, phase: Phase) -> SubCanvases:
        """The sub-canvases of a phase: of the points it asks for, or of as many as memory allows."""
        pixels = self.picture.shape[1] * self.picture.shape[2]
        points = phase.points or pixels
        # every layer keeps its input to the sine and its output for the backward pass
        widths = [p.shape[0] for p in self.representation.parameters() if p.ndim == 2]
        affordable = STEP_BYTES // (4 * (2 * sum(widths) + self.features.shape[-1]))
        stride = max(math.isqrt(pixels // min(points, pixels)), _stride(*self.picture.shape[1:], affordable))
        return SubCanvases(self.representation, self.picture, stride, self.generator)

    def start(self, stretch: Recipe) -> None:
        """A new optimiser for phases that share one, from the best state so far."""
        if self.best.state:
            self.representation.load_state_dict(self.best.state)
        self.stretch, self.stretch_step, self.scale = stretch, 0, 1.0
        self.optimizer = _optimizer(stretch[0], self.representation)

    def run(self, phase: Phase, canvases: SubCanvases) -> None:
        if bool(phase.quantization) != bool(self.best.steps):
            # errors before and after quantisation can't be compared
            self.fallback = self.best if self.best.state else self.fallback
            self.best = _Best()
        total = sum(each.iterations for each in self.stretch)
        # with the whole picture in a step, and no noise, the step's own loss scores its state, free of charge
        exact = canvases.stride == 1 and phase.quantization != "noise" and self.whole_picture_scores
        if phase.quantization:
            self.quantizer.calibrate(self.representation, self.render)
        for index in range(phase.iterations):
            if phase.quantization == "noise" and index and index % CALIBRATE_EVERY == 0:
                self.quantizer.calibrate(self.representation, self.render)
            report = index % EVALUATE_EVERY == 0
            if report and not exact:
                self._record(phase, self.evaluate(phase))
            for group in self.optimizer.param_groups:
                group["lr"] = phase.learning_rate * self.scale * phase.schedule(self.stretch_step, total)
            error = self.step(phase, canvases, exact)
            if report and exact:
                self._record(phase, error)
            self.iteration += 1
            self.stretch_step += 1
            self.bar.update()
        self._record(phase, self.evaluate(phase))

    def step(self, phase: Phase, canvases: SubCanvases, exact: bool) -> float:
        features, colours = canvases.next()
        self.optimizer.zero_grad()
        noise = self.generator if phase.quantization == "noise" else None
        with contextlib.ExitStack() as stack:
            if phase.quantization:
                stack.enter_context(quantized_parameters(self.representation, self.quantizer.steps, noise))
            prediction = self.representation.colours(features).movedim(-1, 0)
            distortion = LOSSES[phase.loss](prediction, colours)
            distortion.backward()
        error = math.nan
        if exact:
            with torch.no_grad():
                error = float(F.mse_loss(prediction.clamp(0, 1), colours))
            self._keep_if_better(phase, error)
        extra = self._parameter_terms(phase)
        if extra is not None:
            extra.backward()
        self.optimizer.step()
        return error

    def _parameter_terms(self, phase: Phase) -> Tensor | None:
        """The loss terms that depend on the exact weights alone: λ·bits, and the penalty on their size."""
        terms = []
        if phase.quantization and self.quantizer.rate_weight:
            terms.append(self.quantizer.rate_weight * parameter_rate(self.representation, self.quantizer.steps))
        if phase.weight_penalty:
            terms.append(phase.weight_penalty * sum(p.abs().sum() for p in self.representation.parameters()))
        return sum(terms) if terms else None

    @torch.no_grad()
    def render(self) -> Tensor:
        """Colours of the validation canvas, (h, w, 3)."""
        return self.representation.colours(self.features)

    @torch.no_grad()
    def evaluate(self, phase: Phase) -> float:
        """MSE of the state as it would be stored, on the validation canvas; kept if it is the best."""
        with contextlib.ExitStack() as stack:
            if phase.quantization:
                stack.enter_context(quantized_parameters(self.representation, self.quantizer.steps))
            error = float(F.mse_loss(self.render().clamp(0, 1).movedim(-1, 0), self.colours))
        self._keep_if_better(phase, error)
        return error

    def _keep_if_better(self, phase: Phase, error: float) -> None:
        if not error < self.best.mse:
            return
        if phase.quantization and not self.quantizer.satisfied_by(self.representation):
            return
        state = {name: value.detach().clone() for name, value in self.representation.state_dict().items()}
        self.best = _Best(error, state, dict(self.quantizer.steps) if phase.quantization else {})

    def _record(self, phase: Phase, error: float) -> None:
        # NaN, far worse than the best, or worse than any constant colour once the first steps are over
        limit = 10 * self.best.mse if self.iteration < 4 * EVALUATE_EVERY else min(10 * self.best.mse, self.hopeless)
        if self.best.state and not error <= max(limit, self.best.mse):
            self.representation.load_state_dict(self.best.state)
            self.optimizer = _optimizer(phase, self.representation)
            self.scale /= 2
            self.recoveries += 1
        psnr = _psnr(error)
        self.history.append((self.iteration, phase.name, psnr))
        self.bar.set_description(phase.name, refresh=False)
        self.bar.set_postfix_str(f"{psnr:.2f} dB")
        if self.callback:
            seconds = time.perf_counter() - self.started
            self.callback(
                Progress(self.iteration, int(self.bar.total), phase.name, psnr, seconds, self.representation)
            )

    def finish(self) -> _Best:
        best = self.best if self.best.state else self.fallback
        if best.state:
            self.representation.load_state_dict(best.state)
        return best


def _stride(height: int, width: int, points: int) -> int:
    """The smallest stride whose sub-canvases hold ``points`` pixels at most; a thin picture shrinks one way only."""
    stride = max(1, math.isqrt(height * width // points))
    while math.ceil(height / stride) * math.ceil(width / stride) > points:
        stride += 1
    return stride


def _stretches(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe cut before every phase that restarts."""
    begin = 0
    for end in range(1, len(recipe) + 1):
        if end == len(recipe) or recipe[end].restart:
            yield recipe[begin:end]
            begin = end


def _optimizer(phase: Phase, representation: nn.Module) -> torch.optim.Optimizer:
    if phase.optimizer == "adam":
        return torch.optim.Adam(representation.parameters(), lr=phase.learning_rate)
    from pytorch_optimizer import SOAP  # 0.7 s to import: not for decoding

    return SOAP(
        representation.parameters(),
        lr=phase.learning_rate,
        betas=(0.95, 0.95),
        weight_decay=0.0,
        precondition_frequency=5,
    )


def _check(recipe: Recipe, quantizer: Quantizer | None) -> None:
    for phase in recipe:
        if phase.loss not in LOSSES:
            raise ValueError(f"no loss {phase.loss!r}; there are {', '.join(LOSSES)}")
        if phase.optimizer not in ("soap", "adam"):
            raise ValueError(f"no optimiser {phase.optimizer!r}; there are soap, adam")
        if phase.quantization not in (None, "noise", "round"):
            raise ValueError(f"no quantization {phase.quantization!r}; there are None, noise, round")
        if phase.quantization and quantizer is None:
            raise ValueError(f"phase {phase.name!r} quantises: fit needs a quantizer")


def _psnr(mse: float) -> float:
    return -10 * math.log10(mse) if mse != 0 else math.inf
