"""Overfitting as encoding: recipes, phases, and the loop that fits a representation to one picture.

A `Recipe` is a tuple of `Phase`; `fit` runs them in order and returns a `Report`. A step sees the whole picture or a
sub-canvas of it: every s-th pixel both ways from a random corner. A coordinate network has no resolution of its own,
so a small canvas teaches it nearly as much as a large one, at 1/s² of the cost. `fit_many` fits several pictures of one
size at once, with one batched network pass for all, so that a GPU has enough to do.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from tutorial_lib.images import canvas_axis
from tutorial_lib.losses import LOSSES, Loss
from tutorial_lib.quantization import Quantizer, Step, quantized_parameters
from tutorial_lib.rate_models import parameter_rate
from tutorial_lib.runtime import ThreadTrial, keep_freed_memory, threads_for

EVALUATE_EVERY = 25
VALIDATION_POINTS = 1 << 16
CALIBRATION_POINTS = 1 << 13
"""Pixels on which a quantiser measures its tensors' sensitivities: one pass for each tensor, so few are taken."""
ROUNDING_POINTS = 1 << 13
"""Pixels of a pass while symbols are chosen (`quantization.Rounding`): hundreds of passes."""
STEP_BYTES = 1 << 30
"""A step's activations may take this much memory; above it the step sees a sub-canvas, whatever the phase asks for."""
CACHE_BYTES = 1 << 28


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
class WarmUpCycles:
    """NIF's schedule: cycles of ``period`` iterations, each a linear rise over ``warm_up`` and a linear fall.

    Within cycle k, at iteration t: floor + (decay^k − floor)·f, with f = t / (warm_up − 1) while rising and
    1 − t / period after it. An iteration is ``steps`` optimiser steps, one for each sub-canvas.
    """

    period: int
    warm_up: int
    floor: float
    decay: float = 1.0
    steps: int = 1

    def __call__(self, step: int, total: int) -> float:
        cycle, t = divmod(step // self.steps, self.period)
        rise = t / (self.warm_up - 1) if t < self.warm_up else 1 - t / self.period
        return self.floor + (self.decay**cycle - self.floor) * rise


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
        iterations: optimiser steps.
        optimizer: "soap" (Vyas et al., arXiv 2409.11321: Adam in the eigenbasis of Shampoo's preconditioner) or "adam".
        learning_rate: its largest value; ``schedule`` gives the factor for each step.
        loss: a name in `losses.LOSSES`, or a function of (prediction, target) like those.
        criterion: what makes a state the best one: "mse", or the phase's "loss".
        weight_penalty: this times Σ|θ| joins the loss (Strümpler et al.: 10⁻⁵).
        weight_decay: every step takes learning rate · this · θ off each parameter (AdamW).
        quantization: None; "noise", uniform noise of one step; "round", straight-through rounding.
        calibrate_every: iterations after which the quantisation steps are chosen again; None: once, at the beginning.
        evaluate_every: iterations after which the state is scored, and kept if it is the best.
        points: pixels a step should see (the stride is chosen from it); None for the whole picture.
        restart: start from the best state so far, with a new optimiser and schedule; with False both go on
            from the phase before, and the schedule spans the phases together.
        settle: begin with the quantiser's own rounding (`Quantizer.round`), as Strümpler et al.'s QAT begins with AdaRound.
        weight_restart: begin with the best state of the phase before, disturbed (the optimiser goes on as ``restart``
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
    steps: dict[str, Step]
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
    quantizers = None if quantizer is None else [quantizer]
    return _fit([representation], picture[None], recipe, quantizers, seed, progress, callback)[0]


def fit_many(
    representations: Sequence[nn.Module],
    pictures: Tensor,
    recipe: Recipe,
    *,
    quantizers: Sequence[Quantizer] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> list[Report]:
    """Fit a representation to each of several pictures at once; as `fit` one by one, up to rounding.

    The forward and backward passes of all run as one batched network (a matrix product with one weight matrix a
    picture), on the same sub-canvas of every picture. Optimiser, best state and quantiser stay each picture's own.

    Args:
        representations: of equal shapes, on one device, one for each picture.
        pictures: float32 (B, 3, H, W) in [0, 1].
        quantizers: one for each picture, if a phase quantises.
        recipe, seed, progress: see `fit`; the bar shows the mean PSNR.

    Raises:
        ValueError: as `fit`, or the numbers of pictures, representations and quantisers differ.
    """
    if len(representations) != len(pictures) or (quantizers is not None and len(quantizers) != len(pictures)):
        raise ValueError("each picture needs a representation and, if there are any, a quantizer of its own")
    return _fit(representations, pictures, recipe, quantizers, seed, progress, None)


def _fit(representations, pictures, recipe, quantizers, seed, progress, callback) -> list[Report]:
    _check(recipe, quantizers)
    keep_freed_memory()
    started = time.perf_counter()
    group = _Group(representations, pictures, recipe, quantizers, seed, callback)
    interrupted = False
    with tqdm(total=group.iterations, disable=not progress, unit="it", leave=False) as bar:
        try:
            for stretch in _stretches(recipe):
                group.start(stretch)
                for phase in stretch:
                    with threads_for(group.begin(phase)) as threads:
                        trial = ThreadTrial(threads)
                        for _ in range(phase.iterations):
                            with trial:
                                group.step()
                            if math.isfinite(group.psnr):
                                bar.set_description(phase.name, refresh=False)
                                bar.set_postfix_str(f"{group.psnr:.2f} dB", refresh=False)
                            bar.update()
                        group.end()
        except KeyboardInterrupt:
            interrupted = True
    bests = [run.finish() for run in group.runs]
    seconds = time.perf_counter() - started
    return [
        Report(tuple(run.history), _psnr(best.mse), best.steps, seconds, interrupted, run.recoveries)
        for run, best in zip(group.runs, bests, strict=True)
    ]


def calibrate(quantizer: Quantizer, representation: nn.Module, picture: Tensor) -> None:
    """Choose ``quantizer.steps`` for a fitted representation as it stands, without training."""
    run = _Fit(representation, picture, 0, quantizer, 0, None)
    quantizer.calibrate(representation, run.render_sample)


def settle(quantizer: Quantizer, representation: nn.Module, picture: Tensor, *, seed: int = 0) -> None:
    """Let a quantiser with ``steps`` decide on the symbols of a fitted representation (`Quantizer.round`), in place.

    Stopping it (Ctrl-C) leaves the parameters as they were: they are then rounded to the nearest.
    """
    if quantizer.rounding is None:
        return
    state = copy.deepcopy(representation.state_dict())
    run = _Fit(representation, picture, 0, quantizer, seed, None)
    try:
        with threads_for(run.rounding_operations()):
            quantizer.round(representation, run.canvas())
    except KeyboardInterrupt:
        representation.load_state_dict(state)


def estimate_seconds(representation: nn.Module, picture: Tensor, recipe: Recipe, quantizer: Quantizer | None = None) -> float:
    """About how long `fit` will take here, in seconds, from a few timed steps of each kind of phase on a copy."""
    quantizers = None if quantizer is None else [copy.deepcopy(quantizer)]
    _check(recipe, quantizers)
    keep_freed_memory()
    group = _Group([copy.deepcopy(representation)], picture[None], recipe, quantizers, 0, None)
    (run,) = group.runs
    timed: dict[Phase, tuple[float, float, float]] = {}
    seconds = 0.0
    for phase in recipe:
        kind = replace(
            phase,
            name="",
            iterations=1,
            learning_rate=0.0,
            schedule=Constant(),
            restart=True,
            settle=False,
            weight_restart=None,
        )
        if kind not in timed:
            group.start((kind,))
            with threads_for(group.begin(kind)):
                step = _median_seconds(functools.partial(group.step, measure=False), 5)
                evaluation = _median_seconds(run.evaluate, 1)
                calibration = 0.0
                if phase.quantization:
                    measure = functools.partial(quantizers[0].calibrate, run.representation, run.render_sample)
                    calibration = _median_seconds(measure, 1)
            timed[kind] = step, evaluation, calibration
        step, evaluation, calibration = timed[kind]
        calibrations = 1 + (phase.iterations - 1) // (phase.calibrate_every or max(phase.iterations, 1))
        seconds += phase.iterations * (step + evaluation / phase.evaluate_every) + calibrations * calibration
    if quantizer is not None and quantizer.rounding is not None:
        canvas = run.canvas()
        seconds += quantizer.rounding.passes * _median_seconds(lambda: canvas.residual().square().mean().backward(), 3)
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
    score: float = math.inf
    mse: float = math.inf
    state: dict[str, Tensor] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)


class SubCanvases:
    """The sub-canvases of one stride: features and colours of every ``stride``-th pixel from a random corner.

    All corners are visited, in random order, before one comes again: stride² of them, fewer where a side of the
    picture is shorter than the stride. Together they hold every pixel once.

    Args:
        picture: (3, H, W), or (B, 3, H, W) for several pictures that share the corners.
    """

    def __init__(
        self, representation: CoordinateRepresentation, picture: Tensor, stride: int, generator: torch.Generator
    ) -> None:
        self.representation, self.picture, self.stride, self.generator = representation, picture, stride, generator
        height, width = picture.shape[-2:]
        self.points = math.ceil(height / stride) * math.ceil(width / stride)
        self.rows, self.columns = min(stride, height), min(stride, width)
        self._order: list[int] = []
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def next(self) -> tuple[Tensor, Tensor]:
        """Features (h, w, F) and colours (3, h, w), or (B, 3, h, w), of the next sub-canvas."""
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
        height, width = self.picture.shape[-2:]
        top, left = divmod(corner, self.columns)
        device = self.picture.device
        ys = canvas_axis(height, start=top, step=self.stride, device=device)
        xs = canvas_axis(width, start=left, step=self.stride, device=device)
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        features = self.representation.features(torch.stack([x, y], dim=-1))
        # channels last in memory, as the network's output: the loss then runs over equal layouts
        colours = self.picture[..., top :: self.stride, left :: self.stride].movedim(-3, -1).contiguous()
        return features, colours.movedim(-1, -3)


class PictureCanvas:
    """A picture and its representation as `quantization.Rounding` sees them.

    Args:
        canvases: of the picture alone, not of several.
        error: the MSE of the representation as it stands.
    """

    def __init__(self, canvases: SubCanvases, error: Callable[[], float]) -> None:
        self.canvases, self.error = canvases, error

    def residual(self) -> Tensor:
        """Prediction − colours on the next sub-canvas, (3, h, w), with gradients."""
        features, colours = self.canvases.next()
        return self.canvases.representation.colours(features).movedim(-1, 0) - colours


class _Fit:
    """The state of one picture's fit."""

    def __init__(self, representation, picture, iterations, quantizer, seed, callback) -> None:
        self.representation, self.quantizer, self.callback = representation, quantizer, callback
        self.iterations = iterations
        device = next(representation.parameters()).device
        self.noise = torch.Generator(device).manual_seed(seed)
        self.picture = picture = picture.to(device)
        self.seed = seed
        stride = _stride(*picture.shape[1:], VALIDATION_POINTS)
        validation = SubCanvases(representation, picture, stride, torch.Generator())
        self.features, self.colours = validation.at(validation.rows // 2 * validation.columns + validation.columns // 2)
        self.whole_picture_scores = stride == 1
        stride = _stride(*picture.shape[1:], CALIBRATION_POINTS)
        sample = SubCanvases(representation, picture, stride, torch.Generator())
        self.sample = sample.at(sample.rows // 2 * sample.columns + sample.columns // 2)[0]
        self.hopeless = 2 * float((self.colours - self.colours.mean((1, 2), keepdim=True)).square().mean())
        self.history: list[tuple[int, str, float]] = []
        self.best, self.best_of_phase, self.fallback = _Best(), _Best(), _Best()
        self.iteration, self.recoveries, self.scale = 0, 0, 1.0
        self.started = time.perf_counter()

    def start(self, stretch: Recipe) -> None:
        """A new optimiser for phases that share one, from the best state so far."""
        if self.best.state:
            self.representation.load_state_dict(self.best.state)
        self.total, self.stretch_step, self.scale = sum(phase.iterations for phase in stretch), 0, 1.0
        self.optimizer = _optimizer(stretch[0], self.representation)

    def begin(self, phase: Phase, stride: int) -> None:
        self.phase, self.index = phase, 0
        if phase.weight_restart:
            if self.best_of_phase.state:
                self.representation.load_state_dict(self.best_of_phase.state)
            self._disturb(phase.weight_restart)
        self.best_of_phase = _Best()
        if bool(phase.quantization) != bool(self.best.steps):
            # errors before and after quantisation can't be compared
            self.fallback = self.best if self.best.state else self.fallback
            self.best = _Best()
        # with the whole picture in a step, and no noise, the step's own loss scores its state, free of charge
        self.exact = stride == 1 and phase.quantization != "noise" and self.whole_picture_scores
        self.loss = LOSSES[phase.loss] if isinstance(phase.loss, str) else phase.loss
        if phase.quantization:
            self._calibrate()
        if phase.settle:
            self.quantizer.round(self.representation, self.canvas())

    def canvas(self) -> PictureCanvas:
        """What a rounding sees: small canvases for its passes, the validation canvas for its verdict."""
        stride = _stride(*self.picture.shape[1:], ROUNDING_POINTS)
        generator = torch.Generator().manual_seed(self.seed)
        return PictureCanvas(SubCanvases(self.representation, self.picture, stride, generator), self.validation_error)

    def rounding_operations(self) -> int:
        """Multiply-adds of a pass of a rounding."""
        return sum(p.numel() for p in self.representation.parameters()) * min(ROUNDING_POINTS, self.picture[0].numel())

    def _calibrate(self) -> None:
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
                chosen = torch.rand(shape, generator=self.noise, device=device) < restart.fraction
                noise = torch.rand(shape, generator=self.noise, device=device).mul_(2).sub_(1)
                size = restart.strength * parameter.abs().mean() / restart.fraction
                parameter.add_(noise * chosen * size)

    def before_step(self) -> None:
        phase, index = self.phase, self.index
        if phase.quantization and phase.calibrate_every and index and index % phase.calibrate_every == 0:
            self._calibrate()
        if index % phase.evaluate_every == 0 and not self.exact:
            self._record(self.evaluate())
        for group in self.optimizer.param_groups:
            group["lr"] = phase.learning_rate * self.scale * phase.schedule(self.stretch_step, self.total)
        self.optimizer.zero_grad()

    def quantized(self) -> contextlib.AbstractContextManager:
        """The parameters as the phase's steps see them."""
        if not self.phase.quantization:
            return contextlib.nullcontext()
        noise = self.noise if self.phase.quantization == "noise" else None
        return quantized_parameters(self.representation, self.quantizer.steps, noise)

    def after_step(self, prediction: Tensor, colours: Tensor, measure: bool) -> None:
        """Score the step if it saw everything, add the parameters' own gradients, move."""
        error = math.nan
        if self.exact and measure:
            error = self._judge(prediction, colours)
        extra = self._parameter_terms()
        if extra is not None:
            extra.backward()
        self.optimizer.step()
        if self.exact and measure and self.index % self.phase.evaluate_every == 0:
            self._record(error)
        self.index += 1
        self.iteration += 1
        self.stretch_step += 1

    def end(self) -> None:
        self._record(self.evaluate())

    def _parameter_terms(self) -> Tensor | None:
        """The loss terms that depend on the exact weights alone: λ·bits, and the penalty on their size."""
        phase, terms = self.phase, []
        if phase.quantization and self.quantizer.rate_weight:
            weight = self.quantizer.rate_weight * self.worth
            terms.append(weight * parameter_rate(self.representation, self.quantizer.steps))
        if phase.weight_penalty:
            terms.append(phase.weight_penalty * sum(p.abs().sum() for p in self.representation.parameters()))
        return sum(terms) if terms else None

    @torch.no_grad()
    def render(self) -> Tensor:
        """Colours of the validation canvas, (h, w, 3)."""
        return self.representation.colours(self.features)

    @torch.no_grad()
    def render_sample(self) -> Tensor:
        """Colours of a small canvas, for the quantiser's measurements."""
        return self.representation.colours(self.sample)

    @torch.no_grad()
    def validation_error(self) -> float:
        """MSE of the state as it stands, on the validation canvas."""
        return float(F.mse_loss(self.render().movedim(-1, 0).clamp(0, 1), self.colours))

    @torch.no_grad()
    def evaluate(self) -> float:
        """MSE of the state as it would be stored, on the validation canvas; kept if it is the best."""
        with contextlib.ExitStack() as stack:
            if self.phase.quantization:
                stack.enter_context(quantized_parameters(self.representation, self.quantizer.steps))
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
        if not score < self.best_of_phase.score:
            return
        if self.phase.quantization and not self.quantizer.satisfied_by(self.representation):
            return
        state = {name: value.detach().clone() for name, value in self.representation.state_dict().items()}
        self.best_of_phase = _Best(score, error, state, dict(self.quantizer.steps) if self.phase.quantization else {})
        if score < self.best.score:
            self.best = self.best_of_phase

    def _record(self, error: float) -> None:
        # NaN, far worse than the phase's best, or worse than any constant colour once the first steps are over
        first_steps = (self.index if self.phase.weight_restart else self.iteration) < 4 * EVALUATE_EVERY
        limit = min(10 * self.best_of_phase.mse, math.inf if first_steps else self.hopeless)
        if self.best.state and not error <= max(limit, self.best.mse):
            self.representation.load_state_dict(self.best.state)
            self.optimizer = _optimizer(self.phase, self.representation)
            self.scale /= 2
            self.recoveries += 1
        psnr = _psnr(error)
        self.history.append((self.iteration, self.phase.name, psnr))
        if self.callback:
            seconds = time.perf_counter() - self.started
            self.callback(Progress(self.iteration, self.iterations, self.phase.name, psnr, seconds, self.representation))

    def finish(self) -> _Best:
        best = self.best if self.best.state else self.fallback
        if best.state:
            self.representation.load_state_dict(best.state)
        return best


class _Group:
    """Fits that go on together: one canvas and one network pass for all in each step."""

    def __init__(self, representations, pictures, recipe, quantizers, seed, callback) -> None:
        self.iterations = sum(phase.iterations for phase in recipe)
        quantizers = quantizers or [None] * len(pictures)
        self.runs = [
            _Fit(representation, picture, self.iterations, quantizer, seed, callback)
            for representation, picture, quantizer in zip(representations, pictures, quantizers, strict=True)
        ]
        self.representations = list(representations)
        self.pictures = pictures.to(next(representations[0].parameters()).device)
        self.generator = torch.Generator().manual_seed(seed)

    @property
    def psnr(self) -> float:
        """Mean of the latest PSNRs; NaN before the first."""
        return statistics.fmean(run.history[-1][2] if run.history else math.nan for run in self.runs)

    def start(self, stretch: Recipe) -> None:
        for run in self.runs:
            run.start(stretch)

    def begin(self, phase: Phase) -> float:
        """Make the phase's sub-canvases; returns the multiply-adds of a step's forward pass."""
        self.canvases = SubCanvases(self.representations[0], self.pictures, self._stride(phase), self.generator)
        for run in self.runs:
            run.begin(phase, self.canvases.stride)
        weights = sum(p.numel() for p in self.representations[0].parameters())
        return weights * self.canvases.points * len(self.runs)

    def _stride(self, phase: Phase) -> int:
        """From the points a phase asks for, or the most that memory allows."""
        height, width = self.pictures.shape[-2:]
        points = min(phase.points or height * width, height * width)
        # every layer keeps its input to the sine and its output for the backward pass
        widths = [p.shape[0] for p in self.representations[0].parameters() if p.ndim == 2]
        inputs = self.runs[0].features.shape[-1]
        affordable = STEP_BYTES // (4 * (2 * sum(widths) + inputs) * len(self.runs))
        return max(math.isqrt(height * width // points), _stride(height, width, affordable))

    def step(self, measure: bool = True) -> None:
        features, colours = self.canvases.next()
        for run in self.runs:
            run.before_step()
        with contextlib.ExitStack() as stack:
            for run in self.runs:
                stack.enter_context(run.quantized())
            predictions = predict(self.representations, features).movedim(-1, -3)
            sum(map(self.runs[0].loss, predictions, colours)).backward()
        for run, prediction, target in zip(self.runs, predictions.detach(), colours, strict=True):
            run.after_step(prediction, target, measure)

    def end(self) -> None:
        for run in self.runs:
            run.end()


class _Colours(nn.Module):
    """`colours` as a forward pass, for torch.func."""

    def __init__(self, representation: nn.Module) -> None:
        super().__init__()
        self.representation = representation

    def forward(self, features: Tensor) -> Tensor:
        return self.representation.colours(features)


def predict(representations: Sequence[nn.Module], features: Tensor) -> Tensor:
    """Colours (B, h, w, 3) of B networks of equal shapes for the same features (h, w, F), with gradients."""
    if len(representations) == 1:
        return representations[0].colours(features)[None]
    modules = [_Colours(representation) for representation in representations]
    names = [name for name, _ in modules[0].named_parameters()]
    values = zip(*(module.parameters() for module in modules), strict=True)
    stacked = {name: torch.stack(parameters) for name, parameters in zip(names, values, strict=True)}
    one = functools.partial(torch.func.functional_call, modules[0])
    return torch.func.vmap(one, in_dims=(0, None))(stacked, features)


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
        # decay joins the loss in Adam, not in AdamW; fused: one pass over the parameters instead of a dozen
        return torch.optim.AdamW(representation.parameters(), lr=phase.learning_rate, weight_decay=phase.weight_decay, fused=True)
    from pytorch_optimizer import SOAP  # 0.7 s to import: not for decoding

    return SOAP(
        representation.parameters(),
        lr=phase.learning_rate,
        betas=(0.95, 0.95),
        weight_decay=phase.weight_decay,
        precondition_frequency=5,
    )


def _check(recipe: Recipe, quantizers: Sequence[Quantizer] | None) -> None:
    for phase in recipe:
        if isinstance(phase.loss, str) and phase.loss not in LOSSES:
            raise ValueError(f"no loss {phase.loss!r}; there are {', '.join(LOSSES)}")
        if phase.optimizer not in ("soap", "adam"):
            raise ValueError(f"no optimiser {phase.optimizer!r}; there are soap, adam")
        if phase.settle and not phase.quantization:
            raise ValueError(f"phase {phase.name!r} settles weights on symbols without quantising them")
        if phase.quantization not in (None, "noise", "round"):
            raise ValueError(f"no quantization {phase.quantization!r}; there are None, noise, round")
        if phase.quantization and not quantizers:
            raise ValueError(f"phase {phase.name!r} quantises: fit needs a quantizer")


def _psnr(mse: float) -> float:
    return -10 * math.log10(mse) if mse != 0 else math.inf
