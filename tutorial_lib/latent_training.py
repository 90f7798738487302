"""Fitting latent grids to one picture: J = D + λR, the stand-ins for rounding, the recipes.

D is a distortion from `tutorial_lib.losses`, R the rate in bits per pixel. Rounding has no gradient, so the fit sees a
stand-in: uniform noise (Ballé et al., arXiv 1611.01704; COOL-CHIC v1 and v2) or soft rounding with noise that sharpens
as the fit goes on (Agustsson and Theis, arXiv 2006.09952; C3, Kim et al., arXiv 2312.02753; Cool-chic 3 to 5).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from tutorial_lib.latent_coding import encode_networks, gather, groups_of
from tutorial_lib.latent_grids import GAIN, MAX_LATENT, LatentGrids, start_from_pyramid
from tutorial_lib.latent_rounding import SAVING, Trial, affordable, quantize_networks
from tutorial_lib.losses import LOSSES
from tutorial_lib.quantization import laplace_entropy_bits
from tutorial_lib.runtime import ThreadTrial, keep_freed_memory, threads_for
from tutorial_lib.training import Constant, Cosine, OneCycle

EVALUATE_EVERY = 100
STEER_FROM, STEER_UNTIL = 0.35, 0.95
"""The part of a steered phase in which λ moves. Earlier the rate falls by itself and says little about where it will end."""

CORRECTIONS = 8
"""How often a steered fit may correct λ after its main phases, a tenth of the first one each time."""

Part = Literal["latents", "context", "upsampling", "synthesis"]
EVERYTHING: tuple[Part, ...] = ("latents", "context", "upsampling", "synthesis")
NETWORKS: tuple[Part, ...] = EVERYTHING[1:]


# ------------------------------------------------------------------------------------------ stand-ins for rounding


class _SoftRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, temperature):
        whole = values.floor()
        t = (values - whole).sub_(0.5).div_(temperature).tanh_()
        scale = 1 / (2 * math.tanh(0.5 / temperature))
        ctx.save_for_backward(t)
        ctx.slope = scale / temperature
        return whole.add_(t, alpha=scale).add_(0.5)

    @staticmethod
    def backward(ctx, gradient):
        (t,) = ctx.saved_tensors
        return (1 - t * t).mul_(gradient).mul_(ctx.slope), None


def soft_round(values: Tensor, temperature: float) -> Tensor:
    """s(y) = ⌊y⌋ + ½ + tanh((r − ½)/T) / (2·tanh(1/2T)), r = y − ⌊y⌋: the identity for large T, rounding for T → 0.

    Agustsson and Theis (arXiv 2006.09952), with C3's temperature T = 1/α. Integers and halves stay where they are.
    """
    return _SoftRound.apply(values, temperature)


def noisy_soft_round(values: Tensor, temperature: float, deviation: float, generator: torch.Generator) -> Tensor:
    """s(s(y) + n), n Gaussian: what stands for round(y) in a fit (Cool-chic 3.4 and later; C3 takes other noise)."""
    noise = torch.randn(values.shape, generator=generator, device=values.device)
    return soft_round(soft_round(values, temperature).add(noise, alpha=deviation), temperature)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


# ------------------------------------------------------------------------------------------ recipes


@dataclass(frozen=True)
class GridPhase:
    """One stretch of a fit, with new optimisers, from the best state so far.

    Args:
        name: shown in the progress bar and the report.
        iterations: optimiser steps, at most.
        quantization: what stands for rounding: "noise", uniform ±½; "soft-round", see `noisy_soft_round`;
            "straight-through", rounding with the gradient of the identity; "round", rounding, the latents frozen.
        trains: the parts that move.
        optimizer: of the networks; the latents have Adam.
        network_rate, latent_rate: largest learning rates; the schedules give the factor for each step.
        temperature, deviation: of the soft rounding and its noise, from the first step to the last.
        mse_first: for so large a share of the phase D is MSE, in units of the loss, unless the loss is "mse" or "log-cosh".
        clip: the gradient's norm is cut to this; None for no limit.
        latent_gradient: this times the latents' gradient.
        patience: halve the learning rates, and go back to the best state, after so many evaluations without a better one.
        lowest: end the phase when halving has brought ``network_rate`` below this.
    """

    name: str
    iterations: int
    quantization: Literal["noise", "soft-round", "straight-through", "round"] = "soft-round"
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
        pyramid: start from `start_from_pyramid` instead of zeros.
    """

    phases: tuple[GridPhase, ...]
    candidates: tuple[int, ...] = ()
    warm_up: GridPhase | None = None
    gains: Literal["fixed", "learned"] = "fixed"
    pyramid: bool = True

    @property
    def iterations(self) -> int:
        """Optimiser steps in all."""
        warm_up = sum(self.candidates) * self.warm_up.iterations if self.warm_up else 0
        return warm_up + sum(phase.iterations for phase in self.phases)


def modern(iterations: int) -> GridRecipe:
    """Ours, the default: soft rounding with Cool-chic 5's noise, SOAP on the networks, a tail for the networks alone.

    What paid and what didn't, as J·10³ (λ = 10⁻³, 192×128, mean of Kodak 3 and 15, one seed; less than 2 % is no evidence),
    after 700 iterations, networks' bytes not counted, unless said otherwise:

    =====================================================================  =======================
    start from a Laplacian pyramid instead of zeros                        1.296 → 1.139
    SOAP at 10⁻² instead of 5·10⁻³, from zeros / from the pyramid          1.296 → 1.178 / 1.139 → 1.130
    latents' rate 2·10⁻² / 5·10⁻³ instead of 10⁻²                          1.139 → 1.186 / 1.173
    temperature 0.3 → 0.1, deviation 0.25 → 0.1                            1.140 → 1.160
    bicubic instead of learned separable upsampling                        1.140 → 1.167
    the next coarser grid as a context, 2,000 iterations, all bytes        1.144 → 1.165
    one hidden layer in the context model, 2,000 iterations, all bytes     1.144 → 1.173
    noise on the weights and their rate in the loss, in the tail           1.440 → 1.452
    latents' Adam with ε = 2·16·λ/pixels instead of 10⁻⁸, 1,000 iterations 1.066 → 1.053
    =====================================================================  =======================

    A fit that minimises L1 + SSIM from its first step may never get beyond a blurred picture. On Kodak 3 at 288×192 (v1, 300
    iterations, λ = 0.02) it ended at 23.8 dB and 0.0576 for J; with MSE for the first 0.2 / 0.4 of the steps at 33.4 / 34.5 dB
    and 0.0445 / 0.0437.

    Args:
        iterations: in all; the tail has a tenth of them.
    """
    tail = max(iterations // 10, 1)
    main = GridPhase("soft rounding", max(iterations - tail, 1), mse_first=0.4)
    final = GridPhase("hard rounding", tail, "round", NETWORKS, network_rate=1e-3, network_schedule=Cosine(floor=0.01))
    return GridRecipe((main, final))


def published_v1(iterations: int) -> GridRecipe:
    """COOL-CHIC v1's: the best of 5 warm-ups of 200, noise at 10⁻², halved on plateaus, straight-through below 9·10⁻⁴.

    Not theirs: log₂ b is the context model's output itself instead of −s/(2 ln 2), and each phase starts a new Adam.

    Args:
        iterations: of the main phases together, at most (the paper: 10⁶; it ends when the rate falls below 4·10⁻⁴).
    """
    noise = GridPhase(
        "noise", iterations, "noise", optimizer="adam", network_rate=1e-2, latent_rate=1e-2, network_schedule=Constant(),
        latent_schedule=Constant(), clip=10.0, patience=15, lowest=9e-4,
    )  # fmt: skip
    through = replace(
        noise, name="straight-through", iterations=max(iterations // 10, 1), quantization="straight-through",
        network_rate=6.25e-4, latent_rate=6.25e-4, lowest=4e-4,
    )  # fmt: skip
    noise = replace(noise, iterations=max(iterations - through.iterations, 1))
    return GridRecipe((noise, through), (5,), replace(noise, name="warm-up", iterations=200), "learned", False)


def published_v2(iterations: int) -> GridRecipe:
    """COOL-CHIC v2's preset `faster`: warm-ups of 5, 4, 3 and 2 candidates, then 6,300 iterations in eleven phases.

    Not theirs: the networks are quantised at the very end and not before the latents' last phase.

    Args:
        iterations: of the phases together; 6,300 is the preset itself, other numbers shorten or lengthen them all.
    """

    def phase(name: str, count: int, rate: float, quantization: str = "noise", trains: tuple[Part, ...] = EVERYTHING):
        gradient = 100.0 if quantization == "noise" else 0.01
        return GridPhase(
            name, max(round(count * iterations / 6300), 1), quantization, trains, "adam", rate, rate, Constant(), Constant(),
            clip=0.1, latent_gradient=gradient,
        )  # fmt: skip

    through = "straight-through"
    phases = (
        phase("all", 4000, 1e-2),
        phase("all", 500, 5e-3),
        phase("latents", 100, 5e-3, trains=("latents",)),
        phase("context", 100, 5e-3, trains=("context",)),
        phase("synthesis", 100, 5e-3, trains=("upsampling", "synthesis")),
        phase("all", 500, 1e-3),
        phase("all", 500, 5e-4),
        phase("straight-through", 200, 5e-4, through),
        phase("context", 100, 5e-4, through, ("context",)),
        phase("synthesis", 100, 5e-4, through, ("upsampling", "synthesis")),
        phase("latents", 100, 2e-3, through, ("latents",)),
    )
    warm_up = phase("warm-up", 200, 1e-2)
    return GridRecipe(phases, (5, 4, 3, 2), warm_up, "learned", False)


# ------------------------------------------------------------------------------------------ the fit


@dataclass(frozen=True)
class GridProgress:
    """What a callback sees at every evaluation: the state with hard-rounded latents, rates of the latents alone."""

    iteration: int
    iterations: int
    phase: str
    psnr: float
    bpp: float
    lmbda: float
    seconds: float
    representation: LatentGrids = field(repr=False)


@dataclass(frozen=True)
class GridReport:
    """How a fit went.

    Args:
        history: (iteration, phase, PSNR in dB, bits per pixel of the latents) at every evaluation, latents rounded.
        best_psnr: of the state kept, networks quantised, in dB.
        bpp: estimated bits per pixel of the latents kept, without networks and header.
        lmbda: λ at the end.
        exponents: of the networks' quantisation steps 2⁻ᵉ, by group; for `latent_coding.encode_networks`.
        seconds: of wall time.
        interrupted: the user stopped the fit; the state kept is the best until then.
        recoveries: how often the fit diverged and went on from its best state at half the learning rates.
    """

    history: tuple[tuple[int, str, float, float], ...]
    best_psnr: float
    bpp: float
    lmbda: float
    exponents: tuple[int, ...]
    seconds: float
    interrupted: bool
    recoveries: int


def lambda_for(representation: LatentGrids, picture: Tensor, bpp: float) -> float:
    """About the λ at which a fit ends with ``bpp`` bits per pixel in the latents: where a steered fit begins.

    A fit at λ = 10⁻³ ends near the entropy of the picture's Laplacian pyramid in steps of 0.12 (Kodak 3 and 15 at 192×128:
    0.55 and 0.72 bpp, the pyramids 0.47 and 0.90), and λ goes with the step's square.
    """
    trial = copy.deepcopy(representation)
    pixels = picture.shape[1] * picture.shape[2]
    low, high = -10.0, 1.0  # log2 of the step; the entropy falls as it grows
    for _ in range(12):
        middle = (low + high) / 2
        start_from_pyramid(trial, picture, 2.0**middle)
        if sum(laplace_entropy_bits(grid) for grid in trial.symbols()) / pixels > bpp:
            low = middle
        else:
            high = middle
    return 1e-3 * (2.0**high / 0.12) ** 2


def fit(
    representation: LatentGrids,
    picture: Tensor,
    recipe: GridRecipe,
    *,
    lmbda: float | None = None,
    bpp: float | None = None,
    steer: bool = True,
    header_bytes: int = 32,
    loss: str = "mse",
    seed: int = 0,
    progress: bool = True,
    callback: Callable[[GridProgress], None] | None = None,
) -> GridReport:
    """Fit ``representation`` (on its device, in place) to ``picture``; leave it rounded and its networks quantised.

    Stopping it (Ctrl-C, the notebook's stop button) ends the fit, not the program: the best state so far is kept, and
    still rounded and quantised, so that it can be packed.

    Args:
        picture: float32 (3, H, W) in [0, 1].
        lmbda: λ in J = D + λR: what a bit per pixel is worth in the loss. Default 10⁻³, or what ``bpp`` leads to.
        bpp: aim at a file of so many bits per pixel, networks and header counted: λ is steered while the fit runs. Not
            reached where the networks alone take most of it.
        steer: with False, only start from the λ that ``bpp`` leads to and keep it: a rate somewhere near.
        header_bytes: of the file, without networks and latents.
        loss: a name in `losses.LOSSES`; on pictures larger than `latent_grids.BAND_PIXELS` the mean over bands of rows: an
            SSIM's windows then end at a band's border.
        seed: of warm-ups and noise. The networks' start is the representation's own.
        progress: show a progress bar with PSNR and rate.
        callback: called at every evaluation.

    Raises:
        ValueError: an unknown loss, or a λ or rate that is not positive.
    """
    if loss not in LOSSES:
        raise ValueError(f"no loss {loss!r}; there are {', '.join(LOSSES)}")
    for name, value in (("lmbda", lmbda), ("bpp", bpp)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive number, not {value}")
    keep_freed_memory()
    started = time.perf_counter()
    target = None if bpp is None else _Target(representation, bpp, header_bytes)
    in_mse = lmbda if lmbda is None else mse_lambda(loss, picture, lmbda)
    if lmbda is None:
        in_mse = 1e-3 if target is None else lambda_for(representation, picture.to(representation.latents.device), target.latents)
        lmbda = in_mse * worth_of_mse(loss, picture, EXPECTED_ERROR * in_mse)
    if not steer:
        target = None
    with _Fit(representation, picture, recipe, lmbda, loss, seed, progress, callback, target, in_mse) as run:
        interrupted = False
        with threads_for(step_operations(representation)) as threads:
            run.threads = ThreadTrial(threads)
            try:
                run.all()
            except KeyboardInterrupt:
                interrupted = True
            run.freeze()
            trial = Trial(representation, run.picture, run.lmbda, loss)
            exponents = quantize_networks(trial, by_curvature=not interrupted)
            error = float(F.mse_loss(trial.picture_of().clamp(0, 1), run.picture))
            rate = trial.bits() / run.pixels
    seconds = time.perf_counter() - started
    return GridReport(tuple(run.history), _psnr(error), rate, run.lmbda, tuple(exponents), seconds, interrupted, run.recoveries)


EXPECTED_ERROR = 0.4
"""The MSE that a fit with the loss "mse" ends with, about, as a multiple of λ."""


WORTH_SIDE = 256
"""Pixels of a side of the crop that `worth_of_mse` looks at."""


@torch.no_grad()
def worth_of_mse(loss: str, picture: Tensor, error: float) -> float:
    """How much ``loss`` rises for each unit of MSE where the picture's error has the mean square ``error``.

    The error is what a blur takes away, scaled: like a codec's, it lies where the picture has detail. Noise would be twice as
    dear to an SSIM as a codec's error. Of large pictures the middle is looked at: an SSIM of megapixels takes seconds.
    """
    if loss == "mse":
        return 1.0
    height, width = picture.shape[1:]
    if height * width > WORTH_SIDE**2:
        top, left = max(height - WORTH_SIDE, 0) // 2, max(width - WORTH_SIDE, 0) // 2
        picture = picture[:, top : top + WORTH_SIDE, left : left + WORTH_SIDE]
        height, width = picture.shape[1:]
    coarse = F.interpolate(picture[None], size=(-(-height // 2), -(-width // 2)), mode="area")
    change = F.interpolate(coarse, size=(height, width), mode="bilinear")[0] - picture
    if not bool(change.any()):  # one colour
        change = torch.ones_like(picture)
    change *= math.sqrt(error) / change.square().mean().sqrt()
    low, high = (float(LOSSES[loss](picture + scale * change, picture)) for scale in (1.0, 1.1))
    return max(high - low, 1e-12) / (0.21 * error)


def mse_lambda(loss: str, picture: Tensor, lmbda: float) -> float:
    """The λ at which a fit with the loss "mse" would trade bits for error as one with ``loss`` does at ``lmbda``, about."""
    if loss == "mse":
        return lmbda
    low, high = -24.0, 4.0  # log2; what is traded rises with λ
    for _ in range(9):
        middle = (low + high) / 2
        if 2.0**middle * worth_of_mse(loss, picture, EXPECTED_ERROR * 2.0**middle) > lmbda:
            high = middle
        else:
            low = middle
    return 2.0**low


def step_operations(representation: LatentGrids) -> float:
    """Multiply-adds of a step's forward pass, about: context model and synthesis, once for each latent and pixel."""
    networks = representation.networks()
    context = sum(parameter.numel() for name, parameter in networks.items() if name.startswith("context"))
    others = sum(parameter.numel() for name, parameter in networks.items() if not name.startswith("context"))
    return context * representation.latents.numel() + others * representation.height * representation.width


def estimate_seconds(representation: LatentGrids, picture: Tensor, recipe: GridRecipe) -> float:
    """About how long `fit` will take here, in seconds, from a few timed steps on a copy."""
    keep_freed_memory()
    seconds = 0.0
    with _Fit(copy.deepcopy(representation), picture, recipe, 1e-3, "mse", 0, False, None) as trial:
        phases = [*recipe.phases]
        if recipe.warm_up:
            phases.append(replace(recipe.warm_up, iterations=sum(recipe.candidates) * recipe.warm_up.iterations))
        with threads_for(step_operations(representation)):
            for phase in phases:
                trial.start(phase)
                trial.step(phase, 0.0)
                started = time.perf_counter()
                for _ in range(3):
                    trial.step(phase, 0.0)
                seconds += phase.iterations * (time.perf_counter() - started) / 3
            started = time.perf_counter()
            trial.score()
            once = time.perf_counter() - started
            seconds += recipe.iterations / EVALUATE_EVERY * once
    # the networks' quantisation works on half of J at a time
    groups = groups_of(representation)
    weights = sum(gather(representation, group).numel() for group in groups)
    return seconds + once / 2 * (12 * len(groups) + (3 * weights if affordable(representation) else 0))


@dataclass
class _State:
    """Parameters, gains, and the distortion and rate they have when rounded."""

    distortion: float = math.inf
    rate: float = math.inf
    parameters: dict[str, Tensor] = field(default_factory=dict)
    gains: Tensor | None = None

    def cost(self, lmbda: float) -> float:
        return self.distortion + lmbda * self.rate


class _Target:
    """What the latents may take of a rate for the whole file, ``latents`` in bits per pixel."""

    def __init__(self, representation: LatentGrids, bpp: float, header_bytes: int) -> None:
        self.bpp, self.header_bytes = bpp, header_bytes
        self.pixels = representation.height * representation.width
        weights = sum(parameter.numel() for parameter in representation.networks().values())
        self.beside(weights * BITS_PER_WEIGHT / 8)  # until they can be measured

    def beside(self, network_bytes: float) -> None:
        """Set `latents` to what networks of this size leave, and however large they are, to a tenth of the file."""
        self.latents = max(self.bpp - 8 * (network_bytes + self.header_bytes) / self.pixels, 0.1 * self.bpp)


class _Fit:
    """The state of one `fit`. While it runs, the representation's latents are not integers, and divided by `gains`."""

    def __init__(self, representation, picture, recipe, lmbda, loss, seed, progress, callback, target=None, in_mse=1e-3) -> None:
        self.representation, self.recipe, self.lmbda, self.callback = representation, recipe, lmbda, callback
        self.loss, self.seed = LOSSES[loss], seed
        self.device = representation.latents.device
        self.picture = picture.to(self.device)
        self.pixels = picture.shape[1] * picture.shape[2]
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        self.pieces, self.rows = representation.bands(), list(representation.rows())
        self.log2_gains = None
        if recipe.gains == "learned":
            self.log2_gains = nn.Parameter(torch.arange(len(representation.sizes), device=self.device).float())
        self.start_step = _start_step(in_mse)
        worth = worth_of_mse(loss, self.picture, EXPECTED_ERROR * in_mse)
        self.first_loss = self.loss if loss in ("mse", "log-cosh") else lambda *pair: worth * LOSSES["mse"](*pair)
        if recipe.pyramid:
            start_from_pyramid(representation, self.picture, self.start_step)
        self.best = _State()
        self.history: list[tuple[int, str, float, float]] = []
        self.iteration, self.recoveries, self.frozen = 0, 0, False
        self.target, self.steering = target, True
        self.hard_over_soft = 1.0
        self.bar = tqdm(total=recipe.iterations, disable=not progress, unit="it", leave=False)
        self.started = time.perf_counter()

    def __enter__(self) -> _Fit:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()
        for parameter in self.representation.parameters():
            parameter.requires_grad_(True)
            parameter.grad = None

    # -- quantities

    def values(self) -> Tensor:
        """The latents in steps, (n,), differentiable."""
        latents = self.representation.latents
        if self.log2_gains is None:
            return latents * GAIN
        counts = torch.tensor([rows * columns for rows, columns in self.representation.sizes], device=self.device)
        return latents * torch.exp2(self.log2_gains).repeat_interleave(counts)

    @torch.no_grad()
    def integers(self) -> Tensor:
        return self.values().round_().clamp_(-MAX_LATENT, MAX_LATENT)

    def stand_in(self, phase: GridPhase, share: float) -> Tensor:
        """What the networks see in place of rounded latents, ``share`` of the phase being done."""
        match phase.quantization:
            case "noise":
                values = self.values()
                return values + torch.rand(values.shape, generator=self.generator, device=self.device).sub_(0.5)
            case "soft-round":
                temperature, deviation = (first + (last - first) * share for first, last in (phase.temperature, phase.deviation))
                return noisy_soft_round(self.values(), temperature, deviation, self.generator)
            case "straight-through":
                return _StraightThrough.apply(self.values())
        return self.integers()

    @torch.no_grad()
    def measure(self, values: Tensor) -> tuple[float, float, float]:
        """Distortion, rate of the latents in bits per pixel, and MSE, for integers ``values``."""
        grids = self.representation.split(values)
        bits = sum(float(self.representation.bits(grids, piece).sum()) for piece in self.pieces)
        coarse = self.representation.coarse(grids) if len(grids) > 1 else None
        distortion = error = 0.0
        for top, bottom in self.rows:
            share = (bottom - top) / self.picture.shape[1]
            painted = self.representation.colours(grids[0], coarse, top, bottom).clamp_(0, 1)
            distortion += share * float(self.loss(painted, self.picture[:, top:bottom]))
            error += share * float(F.mse_loss(painted, self.picture[:, top:bottom]))
        return distortion, bits / self.pixels, error

    # -- running

    def all(self) -> None:
        """The whole recipe."""
        self.warm_up()
        for index, phase in enumerate(self.recipe.phases):
            if phase.quantization == "round":
                self.meet_target()
                self.freeze()
            # a steered fit has no best state before its rate is right
            if index and self.best.parameters and self.target is None:
                self.load(self.best)
            self.run(phase)
        self.meet_target()

    def meet_target(self) -> None:
        """In a steered fit, before the latents freeze: short phases with a corrected λ until their rate is right.

        They start from soft rounding at its softest: sharp rounding has no gradient that could move a latent to the next
        integer. Only now are the networks' bytes known well. Rounding down or up instead costs quality and hardly moves the rate.
        """
        if self.target is None or self.frozen:
            return
        first = self.recipe.phases[0]
        short = replace(
            first,
            name="steering",
            mse_first=0.0,
            iterations=max(first.iterations // 10, 30),
            network_rate=first.network_rate / 3,
            network_schedule=Cosine(floor=0.05),
            latent_schedule=Cosine(floor=0.05),
        )
        for _ in range(CORRECTIONS):
            self.price_networks()
            rate = self.measure(self.integers())[1]
            if abs(rate - self.target.latents) < 0.035 * self.target.bpp:
                return
            change = (max(rate, 1e-9) / self.target.latents) ** 1.5
            self.lmbda = min(max(self.lmbda * min(max(change, 0.25), 4.0), 1e-7), 10.0)
            steering, self.steering = self.steering, False
            self.run(short)
            self.steering = steering

    def price_networks(self) -> None:
        """Find out what the networks take of the file as they are now, and so what is left for the latents."""
        trial = copy.deepcopy(self.representation)
        with torch.no_grad():
            trial.latents.copy_(self.integers().div_(GAIN))
        exponents = quantize_networks(Trial(trial, self.picture, self.lmbda, self.loss), by_curvature=False)
        saving = SAVING if affordable(trial) else 0.0  # only the end is worth rounding by curvature
        self.target.beside((1 - saving) * len(encode_networks(trial, exponents)))

    def warm_up(self) -> None:
        """Rounds of short fits from different networks; the best ones go on."""
        if not self.recipe.warm_up:
            return
        field_: list[_State] = []
        with torch.random.fork_rng(devices=[]):
            for number, count in enumerate(self.recipe.candidates):
                field_ = sorted(field_, key=lambda state: state.cost(self.lmbda))[:count]
                for index in range(count):
                    if number:
                        self.load(field_[index])
                    elif index:
                        torch.manual_seed(self.seed + 1000 + index)
                        fresh = LatentGrids(self.representation.config, *self.picture.shape[1:])
                        self.representation.load_state_dict(fresh.state_dict())
                        if self.log2_gains is not None:
                            self.log2_gains.data = torch.arange(float(len(fresh.sizes)), device=self.device)
                        if self.recipe.pyramid:
                            start_from_pyramid(self.representation, self.picture, self.start_step)
                    self.run(self.recipe.warm_up)
                    state = self.state(*self.measure(self.integers())[:2])
                    field_ = [*field_[:index], state, *field_[index + 1 :]] if number else [*field_, state]
        self.load(min(field_, key=lambda state: state.cost(self.lmbda)))

    def start(self, phase: GridPhase) -> None:
        """New optimisers; only what the phase trains has gradients."""
        moving = []
        for name, parameter in self.representation.networks().items():
            trained = name.split(".")[0] in phase.trains
            parameter.requires_grad_(trained)
            parameter.grad = None
            if trained:
                moving.append(parameter)
        self.moving_latents = "latents" in phase.trains and phase.quantization != "round"
        self.representation.latents.requires_grad_(self.moving_latents)
        latents = [self.representation.latents] + ([] if self.log2_gains is None else [self.log2_gains])
        self.groups = (moving if moving else []) + (latents if self.moving_latents else [])
        # (optimiser, its learning rate, its schedule)
        self.optimizers = []
        if moving:
            self.optimizers.append((_optimizer(phase, moving), phase.network_rate, phase.network_schedule))
        if self.moving_latents:
            # an ε that is felt keeps latents still whose gradient is small beside that of the rate
            epsilon = 2 * GAIN * self.lmbda / self.pixels
            adam = torch.optim.Adam(latents, lr=phase.latent_rate, eps=epsilon)
            self.optimizers.append((adam, phase.latent_rate, phase.latent_schedule))
        self.scale = 1.0

    def run(self, phase: GridPhase) -> None:
        self.start(phase)
        self.bar.set_description(phase.name, refresh=False)
        waited, record = 0, math.inf
        priced_at = {round(share * phase.iterations) for share in (0.4, 0.7)}
        for index in range(phase.iterations):
            share = index / phase.iterations
            for optimizer, rate, schedule in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.scale * rate * schedule(index, phase.iterations)
            with self.threads:
                rate = self.step(phase, share)
            self.iteration += 1
            self.bar.update()
            if self.target and self.steering and self.moving_latents and STEER_FROM <= share <= STEER_UNTIL:
                if index in priced_at:
                    self.price_networks()
                self.steer(rate, phase)
            if (index + 1) % EVALUATE_EVERY and index + 1 < phase.iterations:
                continue
            cost = self.evaluate(phase, rate)
            if not cost <= 10 * self.best.cost(self.lmbda):
                self.recover(phase)
            if phase.patience:
                waited, record = (0, cost) if cost < record else (waited + 1, record)
                if waited >= phase.patience:
                    self.load(self.best)
                    self.scale /= 2
                    waited = 0
                    if self.scale * phase.network_rate < phase.lowest:
                        self.bar.update(phase.iterations - index - 1)
                        break

    def step(self, phase: GridPhase, share: float) -> float:
        """One step of all optimisers; the stand-in's rate in bits per pixel.

        The loss is a sum over bands of grids and of the picture, so each band's graph is gone before the next begins: what a
        step holds at once is the pyramid and one band.
        """
        representation = self.representation
        for optimizer, _, _ in self.optimizers:
            optimizer.zero_grad()
        values = self.stand_in(phase, share)
        loss = self.first_loss if share < phase.mse_first else self.loss
        grids = [grid.detach().requires_grad_(self.moving_latents) for grid in representation.split(values)]
        rate = 0.0
        for piece in self.pieces:
            bits = representation.bits(grids, piece).sum() / self.pixels
            if bits.requires_grad:
                (self.lmbda * bits).backward()
            rate += float(bits.detach())
        coarse = representation.coarse(grids) if len(grids) > 1 else None
        held = None if coarse is None else coarse.detach().requires_grad_(coarse.requires_grad)
        for top, bottom in self.rows:
            painted = representation.colours(grids[0], held, top, bottom)
            if painted.requires_grad:
                distortion = loss(painted, self.picture[:, top:bottom])
                (distortion * ((bottom - top) / self.picture.shape[1])).backward()
        if held is not None and held.grad is not None:
            coarse.backward(held.grad)
        if self.moving_latents:
            values.backward(torch.cat([grid.grad.flatten() for grid in grids]).mul_(phase.latent_gradient))
        if phase.clip is not None:
            nn.utils.clip_grad_norm_(self.groups, phase.clip)
        for optimizer, _, _ in self.optimizers:
            optimizer.step()
        return rate

    def steer(self, rate: float, phase: GridPhase) -> None:
        """Move λ so that the hard-rounded rate approaches the target: an integral controller in log λ."""
        error = math.log(max(rate * self.hard_over_soft, 1e-9) / self.target.latents)
        change = min(0.02, 20 / phase.iterations) * max(-0.5, min(0.5, error))
        self.lmbda = min(max(self.lmbda * math.exp(change), 1e-7), 10.0)

    def evaluate(self, phase: GridPhase, rate: float) -> float:
        """J of the present state, rounded; it is kept if it is the best."""
        distortion, hard, error = self.measure(self.integers())
        if rate > 0 and hard > 0:
            self.hard_over_soft = min(max(hard / rate, 0.5), 2.0)
        cost = distortion + self.lmbda * hard
        if cost < self.best.cost(self.lmbda) or (self.target and self.moving_latents and math.isfinite(cost)):
            self.best = self.state(distortion, hard)
        psnr = _psnr(error)
        self.history.append((self.iteration, phase.name, psnr, hard))
        self.bar.set_postfix_str(f"{psnr:.2f} dB, {hard:.3f} bpp")
        if self.callback:
            seconds = time.perf_counter() - self.started
            self.callback(
                GridProgress(
                    self.iteration, int(self.bar.total), phase.name, psnr, hard, self.lmbda, seconds, self.representation
                )
            )
        return cost

    def score(self) -> float:
        distortion, rate, _ = self.measure(self.integers())
        return distortion + self.lmbda * rate

    def recover(self, phase: GridPhase) -> None:
        """After a divergence: back to the best state, at half the learning rates."""
        if self.best.parameters:
            self.load(self.best)
        scale = self.scale / 2
        self.start(phase)
        self.scale = scale
        self.recoveries += 1

    def state(self, distortion: float, rate: float) -> _State:
        parameters = {name: value.detach().clone() for name, value in self.representation.state_dict().items()}
        gains = None if self.log2_gains is None else self.log2_gains.detach().clone()
        return _State(distortion, rate, parameters, gains)

    def load(self, state: _State) -> None:
        self.representation.load_state_dict(state.parameters)
        if self.log2_gains is not None and state.gains is not None:
            self.log2_gains.data.copy_(state.gains)

    @torch.no_grad()
    def freeze(self) -> None:
        """Take the best state and make its latents integers."""
        if self.best.parameters:
            self.load(self.best)
        if self.frozen:
            return
        values = self.values()
        integers = values.round().clamp_(-MAX_LATENT, MAX_LATENT)
        self.log2_gains = None
        self.representation.latents.copy_(integers / GAIN)
        self.frozen = True
        distortion, rate, _ = self.measure(integers)
        self.best = self.state(distortion, rate)


BITS_PER_WEIGHT = 7.0
"""What a weight costs, about: a guess that steering starts from."""


def _start_step(lmbda: float) -> float:
    """The size in colour of a latent's step at the start, for the `mse_lambda`: it goes with the square root of the error."""
    return min(max(0.03 * math.sqrt(lmbda / 1e-3), 0.004), 0.2)


def _optimizer(phase: GridPhase, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    if phase.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=phase.network_rate)
    from pytorch_optimizer import SOAP  # 0.7 s to import: not for decoding

    return SOAP(parameters, lr=phase.network_rate, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=10)


def _psnr(mse: float) -> float:
    return -10 * math.log10(mse) if mse > 0 else math.inf
