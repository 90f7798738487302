"""Fitting latent grids to one picture: J = D + λR, and λ steered towards a rate.

D is a distortion from `tutorial_lib.losses`, R the rate in bits per pixel. Rounding has no gradient, so the fit sees a
stand-in (`stand_ins`): uniform noise (Ballé et al., arXiv 1611.01704; COOL-CHIC v1 and v2) or soft rounding with noise that
sharpens as the fit goes on (Agustsson and Theis, arXiv 2006.09952; C3, Kim et al., arXiv 2312.02753; Cool-chic 3 to 5).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.latents.contexts import Band
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.kernels import reach
from tutorial_lib.latents.shape import GAIN, MAX_LATENT, operations_per_pixel
from tutorial_lib.latents.starts import start_from_networks, start_from_pyramid
from tutorial_lib.losses import LOSSES
from tutorial_lib.runtime import keep_freed_memory, threads_for
from tutorial_lib.training.bands import Passes, RowAdam
from tutorial_lib.training.loop import Fit, Progress, Report, State, median_seconds, optimizer_for
from tutorial_lib.training.phases import GridPhase, GridRecipe
from tutorial_lib.training.stand_ins import noisy_soft_round, straight_through
from tutorial_lib.training.steering import correction, meet_target
from tutorial_lib.training.tradeoff import (
    DEFAULT_LAMBDA,
    EXPECTED_ERROR,
    RateTarget,
    first_step,
    lambda_for,
    loss_lambda,
    mse_lambda,
    worth_of_mse,
)

EVALUATE_EVERY = 100
STEER_FROM, STEER_UNTIL = 0.2, 0.95
"""The part of a steered phase in which λ moves. Earlier the rate falls by itself and says little about where it will end.

Later it is about f^((1 − s)^1.5) times its end, s being the share of the phase that is done and f `FALLS`/√R, R in bits per pixel
(three codecs, six pictures of 150×100 to 768×512, 200 to 600 steps, R from 0.24 to 1.2: 3 % off in the mean, 17 % at worst; with
a square 4 %, but up to 16 % too little in the middle, and λ rose too far)."""

FALLS = 1.42

FIRST_GAIN = 1.5
"""λ's first move, before it is led on in small steps: a rate goes with about the square root of λ."""


def fit(
    representation: LatentGrids,
    picture: Tensor,
    recipe: GridRecipe,
    *,
    lmbda: float | None = None,
    target: RateTarget | None = None,
    steer: bool = True,
    loss: str = "mse",
    seed: int = 0,
    progress: bool = True,
    callback: Callable[[Progress], None] | None = None,
) -> Report:
    """Fit ``representation`` (on its device, in place) to ``picture``; leave its latents integers, its networks exact.

    Stopping it (Ctrl-C, the notebook's stop button) ends the fit, not the program: the best state so far is kept.

    Args:
        picture: float32 (3, H, W) in [0, 1].
        lmbda: λ in J = D + λR: what a bit per pixel is worth in the loss. Default 10⁻³, or what ``target`` leads to.
        target: a rate to aim at: λ is steered while the fit runs. Not reached where the networks alone take most of it.
        steer: with False, only start from the λ that ``target`` leads to and keep it: a rate somewhere near.
        loss: a name in `losses.LOSSES`; on larger pictures the mean over bands of rows: an SSIM's windows end at their borders.
        seed: of warm-ups and noise. The networks' start is the representation's own.
        progress: show a progress bar with PSNR and rate.
        callback: called at every evaluation.

    Raises:
        ValueError: an unknown loss, or a λ that is not positive.
    """
    if loss not in LOSSES:
        raise ValueError(f"no loss {loss!r}; there are {', '.join(LOSSES)}")
    if lmbda is not None and not (math.isfinite(lmbda) and lmbda > 0):
        raise ValueError(f"lmbda must be a positive number, not {lmbda}")
    if lmbda is not None:
        in_mse = mse_lambda(loss, picture, lmbda)
    else:
        in_mse = DEFAULT_LAMBDA
        if target is not None:
            aim = target.latents(picture[0].numel())
            in_mse = lambda_for(representation, picture.to(representation.latents.device), aim)
        lmbda = loss_lambda(loss, picture, in_mse)
    run = GridFit(representation, picture, recipe, lmbda, loss, seed, callback, target if steer else None, in_mse)
    interrupted = run.carry_out(progress)
    return run.report(interrupted, run.best.mse, steps={}, bpp=run.best.rate, lmbda=run.lmbda)


def estimate_seconds(representation: LatentGrids, picture: Tensor, recipe: GridRecipe, corrections: int = 0) -> float:
    """About how long `fit` will take here, in seconds, from a few timed steps on a copy; with so many corrections of λ."""
    keep_freed_memory()
    run = GridFit(copy.deepcopy(representation), picture, recipe, 1e-3, "mse", 0)
    first, *_ = phases = [*recipe.phases]
    seconds = 0.0
    if corrections:
        phases.append(replace(first, iterations=corrections * correction(first).iterations))
    if recipe.warm_up:
        phases.append(replace(recipe.warm_up, iterations=sum(recipe.candidates) * recipe.warm_up.iterations))
    for phase in phases:
        with threads_for(run.begin(phase)):
            seconds += phase.iterations * median_seconds(lambda: run.step(0), 3)
    return seconds + recipe.iterations / run.evaluate_every * median_seconds(lambda: run.measure(run.integers()), 1)


class GridFit(Fit):
    """The state of one `fit`. While it runs, the representation's latents are not integers, and divided by gains."""

    representation: LatentGrids
    phase: GridPhase

    def __init__(
        self,
        representation: LatentGrids,
        picture: Tensor,
        recipe: GridRecipe,
        lmbda: float,
        loss: str,
        seed: int,
        callback: Callable[[Progress], None] | None = None,
        target: RateTarget | None = None,
        in_mse: float = 1e-3,
    ) -> None:
        super().__init__(representation, picture, recipe.iterations, seed, callback)
        self.recipe, self.lmbda, self.loss = recipe, lmbda, LOSSES[loss]
        self.pixels = picture.shape[1] * picture.shape[2]
        self.pieces, self.rows = representation.bands(), list(representation.rows())
        self.grids = representation.split(representation.latents.detach())
        self.above = reach(representation.config.neighbours)[0]
        self.seen: list[tuple[float, int]] = []  # (bits, rows) of the bands of this pass
        self.rate = 0.0  # bits per pixel of the stand-ins, as the last whole pass saw them
        self.log2_gains = None
        if recipe.gains == "learned":
            self.log2_gains = nn.Parameter(torch.arange(len(representation.sizes), device=self.device).float())
        self.start_step = first_step(in_mse)
        self.worth = worth = worth_of_mse(loss, self.picture, EXPECTED_ERROR * in_mse)
        self.first_loss = self.loss if loss in ("mse", "log-cosh") else lambda *pair: worth * LOSSES["mse"](*pair)
        self.begin_from()
        self.target, self.steering, self.steered, self.frozen = target, True, False, False
        self.hard_over_soft = 1.0

    def begin_from(self) -> None:
        """What the recipe starts from, into the representation, whose latents are zeros."""
        starts = {"pyramid": start_from_pyramid, "networks": start_from_networks}
        if start := starts.get(self.recipe.start):
            start(self.representation, self.picture, self.start_step, self.recipe.threshold)

    # -- quantities

    def gains(self) -> list[Tensor | float]:
        """Of each grid: its latents times this are in steps."""
        return [GAIN] * len(self.grids) if self.log2_gains is None else list(torch.exp2(self.log2_gains.detach()))

    @torch.no_grad()
    def values(self) -> Tensor:
        """The latents in steps, (n,)."""
        return torch.cat([(grid * gain).flatten() for grid, gain in zip(self.grids, self.gains(), strict=True)])

    def integers(self) -> Tensor:
        return self.values().round_().clamp_(-MAX_LATENT, MAX_LATENT)

    def stand_in(self, values: Tensor, share: float) -> Tensor:
        """What the networks see in place of rounded ``values``, ``share`` of the phase being done."""
        phase = self.phase
        match phase.quantization:
            case "noise":
                return values + torch.rand(values.shape, generator=self.generator, device=self.device).sub_(0.5)
            case "soft-round":
                temperature, deviation = (first + (last - first) * share for first, last in (phase.temperature, phase.deviation))
                return noisy_soft_round(values, temperature, deviation, self.generator)
            case "straight-through":
                return straight_through(values)
        return values.round().clamp_(-MAX_LATENT, MAX_LATENT)

    @torch.no_grad()
    def measure(self, values: Tensor) -> tuple[float, float, float]:
        """Distortion, rate of the latents in bits per pixel, and MSE, for integers ``values``."""
        grids = self.representation.split(values)
        bits = sum(float(self.representation.bits(grids, piece).sum()) for piece in self.pieces)
        distortion = error = 0.0
        for top, bottom in self.rows:
            share = (bottom - top) / self.picture.shape[1]
            painted = self.representation.colours(grids, top, bottom).clamp_(0, 1)
            distortion += share * float(self.loss(painted, self.picture[:, top:bottom]))
            error += share * float(F.mse_loss(painted, self.picture[:, top:bottom]))
        return distortion, bits / self.pixels, error

    # -- running

    def all(self) -> None:
        self.warm_up()
        for index, phase in enumerate(self.recipe.phases):
            if phase.quantization == "round":
                meet_target(self)
                self.freeze()
            # a steered fit has no best state before its rate is right
            if index and self.target is None:
                self.load(self.best)
            self.run(phase)
        meet_target(self)

    def price_networks(self) -> None:
        """Find out what the file holds beside its latents as the networks are now, and so what is left for the latents."""
        if self.target and self.target.measure:
            rounded = copy.deepcopy(self.representation)
            with torch.no_grad():
                rounded.latents.copy_(self.integers().div_(GAIN))
            self.target.side_bytes = self.target.measure(rounded, self.lmbda)

    def warm_up(self) -> None:
        """Rounds of short fits from different networks; the best ones go on."""
        if not self.recipe.warm_up:
            return
        field: list[State] = []
        with torch.random.fork_rng(devices=[]):
            for number, count in enumerate(self.recipe.candidates):
                field = sorted(field, key=lambda state: state.cost(self.lmbda))[:count]
                for index in range(count):
                    if number:
                        self.load(field[index])
                    elif index:
                        self._another_start(self.seed + 1000 + index)
                    self.run(self.recipe.warm_up)
                    state = self.state(*self.measure(self.integers()))
                    field = [*field[:index], state, *field[index + 1 :]] if number else [*field, state]
        self.load(min(field, key=lambda state: state.cost(self.lmbda)))

    def _another_start(self, seed: int) -> None:
        torch.manual_seed(seed)
        fresh = LatentGrids(self.representation.config, *self.picture.shape[1:])
        self.representation.load_state_dict(fresh.state_dict())
        if self.log2_gains is not None:
            self.log2_gains.data = torch.arange(float(len(fresh.sizes)), device=self.device)
        self.begin_from()

    def begin(self, phase: GridPhase) -> float:
        """Only what the phase trains has gradients; about."""
        self.phase, self.waited, self.record_cost = phase, 0, math.inf
        self.priced_at = {round(share * phase.iterations) for share in (0.4, 0.7)}
        height, width = self.picture.shape[1:]
        self.passes = Passes(height, width, self.seed)
        self.seen.clear()
        self.renew()
        self.scale = 1.0
        grids = self.representation
        return operations_per_pixel(grids.config, grids.height, grids.width) * self.pixels / self.passes.count

    def renew(self) -> None:
        phase, moving = self.phase, []
        for name, parameter in self.representation.networks().items():
            trained = name.split(".")[0] in phase.trains
            parameter.requires_grad_(trained)
            parameter.grad = None
            if trained:
                moving.append(parameter)
        self.moving_latents = "latents" in phase.trains and phase.quantization != "round"
        self.groups: list[Tensor] = [*moving]
        # (optimizer, its learning rate, its schedule)
        self.optimizers: list[tuple[torch.optim.Optimizer, float, Callable[[int, int], float]]] = []
        if moving:
            optimizer = optimizer_for(phase.optimizer, moving, phase.network_rate)
            self.optimizers.append((optimizer, phase.network_rate, phase.network_schedule))
        latents = self.representation.latents
        latents.requires_grad_(False)
        latents.grad = None
        if self.moving_latents:
            latents.grad = torch.zeros_like(latents)
            self.groups.append(latents)
            self.gradients = self.representation.split(latents.grad)
            # an ε that is felt keeps latents still whose gradient is small beside that of the rate
            epsilon = phase.latent_epsilon * GAIN * self.lmbda / self.pixels
            self.latent_adam = RowAdam(self.grids, self.gradients, phase.latent_betas, epsilon)
            if self.log2_gains is not None:
                self.groups.append(self.log2_gains)
                adam = torch.optim.Adam([self.log2_gains], lr=phase.latent_rate, eps=epsilon)
                self.optimizers.append((adam, phase.latent_rate, phase.latent_schedule))

    def step(self, index: int) -> None:
        """One step of all optimizers, on a band of the picture, or on all of them."""
        phase = self.phase
        for optimizer, rate, schedule in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.scale * rate * schedule(index, phase.iterations)
            optimizer.zero_grad()
        bands = [self.passes.take()] if phase.banded else self.passes.cut()
        for top, bottom in bands:
            self._see(self._backward(top, bottom, index / phase.iterations), bottom - top)
        seen = sum(bottom - top for top, bottom in bands) / self.picture.shape[1]
        if seen < 1:
            for parameter in self.groups:
                if parameter is not self.representation.latents and parameter.grad is not None:
                    parameter.grad /= seen
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(self.groups, phase.clip)
        for optimizer, _, _ in self.optimizers:
            optimizer.step()
        if self.moving_latents:
            rate = self.scale * phase.latent_rate * phase.latent_schedule(index, phase.iterations)
            self.latent_adam.step(self.representation.own_rows(bands[0][0], bands[-1][1]), rate)

    def _backward(self, top: int, bottom: int, share: float) -> float:
        """The gradients of a band's part of J: of rows ``top`` … ``bottom`` − 1, and the latents that are theirs; its bits."""
        representation, windows = self.representation, self.representation.windows(top, bottom, self.above)
        gains = self.gains()
        held = [(grid[first:last] * gain) for grid, gain, (first, last) in zip(self.grids, gains, windows, strict=True)]
        if self.moving_latents:
            held = [values.requires_grad_() for values in held]
        flat = self.stand_in(torch.cat([values.flatten() for values in held]), share)
        grids = [part.view(values.shape) for part, values in zip(flat.split([v.numel() for v in held]), held, strict=True)]
        own = [
            Band(level, rows[0] - window[0], rows[1] - window[0])
            for level, (rows, window) in enumerate(zip(representation.own_rows(top, bottom), windows, strict=True))
            if rows[0] < rows[1]
        ]
        bits = representation.bits(grids, own).sum()
        features = representation.features(grids, windows)
        painted = representation.synthesis(features)[:, top - windows[0][0] : bottom - windows[0][0]]
        loss = self.first_loss if share < self.phase.mse_first else self.loss
        distortion = loss(painted, self.picture[:, top:bottom]) * ((bottom - top) / self.picture.shape[1])
        cost = distortion + self.lmbda / self.pixels * bits
        if cost.requires_grad:
            cost.backward()
        if self.moving_latents:
            self._collect(held, windows, gains)
        return float(bits.detach())

    @torch.no_grad()
    def _collect(self, held: Sequence[Tensor], windows: Sequence[tuple[int, int]], gains: Sequence[Tensor | float]) -> None:
        """Add the gradients of the ``held`` values in steps to those of the latents, and of learned gains."""
        slopes = [cast(Tensor, values.grad).mul_(self.phase.latent_gradient) for values in held]
        for total, slope, (first, last), gain in zip(self.gradients, slopes, windows, gains, strict=True):
            total[first:last] += slope * gain
        if self.log2_gains is not None:
            by_gain = torch.stack([(slope * values).sum() for slope, values in zip(slopes, held, strict=True)]) * math.log(2)
            self.log2_gains.grad = by_gain if self.log2_gains.grad is None else self.log2_gains.grad + by_gain

    def _see(self, bits: float, rows: int) -> None:
        """Keep the bits of a band, and the rate when all have come by."""
        self.seen.append((bits, rows))
        height, width = self.picture.shape[1:]
        if sum(rows for _, rows in self.seen) == height:
            self.rate = sum(bits for bits, _ in self.seen) / (height * width)
            self.seen.clear()

    @property
    def evaluate_every(self) -> int:
        """Steps after which the state is looked at: of a large picture two passes, or looking would take longer than fitting."""
        return max(EVALUATE_EVERY, 2 * self.passes.count)

    def over(self, index: int) -> bool:
        """Steer λ; from time to time look at the state, and end the phase after plateaus."""
        phase, share = self.phase, index / self.phase.iterations
        # what a rate is while D is MSE says little of what it will be with another loss
        begin = STEER_FROM if self.first_loss is self.loss or not phase.mse_first else phase.mse_first + 0.1
        if self.target and self.steering and self.moving_latents and begin <= share <= STEER_UNTIL:
            if index in self.priced_at:
                self.price_networks()
            aim = self.target.latents(self.pixels)
            self.steer(aim * max(FALLS / math.sqrt(aim), 1.0) ** ((1 - share) ** 1.5))
        if (index + 1) % self.evaluate_every and index + 1 < phase.iterations:
            return False
        cost = self.evaluate()
        if not cost <= 10 * self.best.cost(self.lmbda):
            self.recover()
        if phase.patience:
            self.waited, self.record_cost = (0, cost) if cost < self.record_cost else (self.waited + 1, self.record_cost)
            if self.waited >= phase.patience:
                self.load(self.best)
                self.scale /= 2
                self.waited = 0
                return self.scale * phase.network_rate < phase.lowest
        return False

    def steer(self, aim: float) -> None:
        """Move λ so that the hard-rounded rate approaches the target: an integral controller in log λ."""
        error = math.log(max(self.rate * self.hard_over_soft, 1e-9) / aim)
        first, self.steered = not self.steered, True
        gain = FIRST_GAIN if first else min(0.02, 8 / self.phase.iterations)
        change = gain * max(-0.5, min(0.5, error))
        self.lmbda = min(max(self.lmbda * math.exp(change), 1e-7), 10.0)

    def evaluate(self) -> float:
        """J of the present state, rounded; it is kept if it is the best."""
        distortion, hard, error = self.measure(self.integers())
        if self.rate > 0 and hard > 0:
            self.hard_over_soft = min(max(hard / self.rate, 0.5), 2.0)
        cost = distortion + self.lmbda * hard
        if cost < self.best.cost(self.lmbda) or (self.target and self.moving_latents and math.isfinite(cost)):
            self.best = self.state(distortion, hard, error)
        self.record(error, hard, self.lmbda)
        return cost

    def state(self, distortion: float, rate: float, mse: float) -> State:
        gains = None if self.log2_gains is None else self.log2_gains.detach().clone()
        return replace(self.snapshot(), distortion=distortion, rate=rate, mse=mse, gains=gains)

    def load(self, state: State) -> None:
        super().load(state)
        if self.log2_gains is not None and state.gains is not None:
            self.log2_gains.data.copy_(state.gains)

    @torch.no_grad()
    def freeze(self) -> None:
        """Take the best state and make its latents integers."""
        self.load(self.best)
        if self.frozen:
            return
        integers = self.integers()
        self.log2_gains = None
        self.representation.latents.copy_(integers / GAIN)
        self.frozen = True
        self.best = self.state(*self.measure(integers))

    def finish(self) -> None:
        self.freeze()
        for parameter in self.representation.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None
