"""What every fit does around its steps: best state, history, divergence, progress bar, Ctrl-C, threads, time left.

`networks` and `grids` say what a step, a score and an order of phases are.
"""

from __future__ import annotations

import abc
import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tutorial_lib.runtime import ThreadTrial, insist, keep_freed_memory, threads_for


class Moment(NamedTuple):
    """An evaluation: iterations done, phase, PSNR in dB, and the latents' bits per pixel where there are latents."""

    iteration: int
    phase: str
    psnr: float
    bpp: float | None = None


@dataclass(frozen=True)
class Progress:
    """What a callback sees at every evaluation. PSNR and rate are of the state as it would be stored.

    Args:
        iteration, iterations: done, and in all.
        phase: its name.
        psnr: in dB; of a network on coordinates, on a fixed canvas.
        seconds: since the fit began.
        representation: in its present state.
        bpp: bits per pixel of the latents alone; None without latents.
        lmbda: λ at present; None where the fit has none.
    """

    iteration: int
    iterations: int
    phase: str
    psnr: float
    seconds: float
    representation: nn.Module = field(repr=False)
    bpp: float | None = None
    lmbda: float | None = None


@dataclass(frozen=True)
class Report:
    """How a fit went.

    Args:
        history: every evaluation.
        best_psnr: in dB, of the state kept; with its steps if it was quantized.
        steps: quantization steps of the state kept, by tensor or group of weights; empty if it was not quantized.
        seconds: of wall time.
        interrupted: the user stopped the fit; the state kept is the best until then.
        recoveries: how often the fit diverged and went on from its best state at half the learning rate.
        bpp: estimated bits per pixel of the latents kept, without networks and header; None without latents.
        lmbda: λ at the end; None where the fit had none.
    """

    history: tuple[Moment, ...]
    best_psnr: float
    steps: dict[str, Any]
    seconds: float
    interrupted: bool
    recoveries: int
    bpp: float | None = None
    lmbda: float | None = None


@dataclass
class State:
    """A state of a representation, and what it is worth as it would be stored.

    Args:
        parameters: copies; empty for no state at all.
        distortion: D, in units of the loss.
        rate: R of the latents in bits per pixel.
        mse: mean squared error.
        steps: quantization steps of its weights.
        gains: log₂ of the latents' gains where they are learned.
    """

    parameters: dict[str, Tensor] = field(default_factory=dict)
    distortion: float = math.inf
    rate: float = math.inf
    mse: float = math.inf
    steps: dict[str, Any] = field(default_factory=dict)
    gains: Tensor | None = None

    def cost(self, lmbda: float) -> float:
        """J = D + λR."""
        return self.distortion + lmbda * self.rate


class Fit(abc.ABC):
    """A representation (on its device, in place) on its way to a picture.

    Args:
        representation: an nn.Module with `render`.
        picture: float32 (3, H, W) in [0, 1].
        iterations: of all phases.
        seed: of noise and order.
        callback: called at every evaluation.
    """

    phase: Any

    def __init__(
        self,
        representation: nn.Module,
        picture: Tensor,
        iterations: int,
        seed: int,
        callback: Callable[[Progress], None] | None,
    ) -> None:
        self.representation, self.iterations, self.seed, self.callback = representation, iterations, seed, callback
        self.device = next(representation.parameters()).device
        self.picture = picture.to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.history: list[Moment] = []
        self.best = State()
        self.iteration, self.recoveries, self.scale = 0, 0, 1.0
        self.bar = tqdm(disable=True)
        self.started = time.perf_counter()

    @abc.abstractmethod
    def all(self) -> None:
        """The whole recipe: `run` for each phase."""

    @abc.abstractmethod
    def begin(self, phase: Any) -> float:
        """Prepare a phase; the multiply-adds of a step's forward pass."""

    @abc.abstractmethod
    def renew(self) -> None:
        """New optimizers for the present phase."""

    @abc.abstractmethod
    def step(self, index: int) -> None:
        """Step ``index`` of the present phase."""

    def over(self, index: int) -> bool:
        """What follows a step; whether the phase ends with it before its time."""
        return False

    @abc.abstractmethod
    def finish(self) -> None:
        """Leave the representation in the best state found."""

    def carry_out(self, progress: bool) -> bool:
        """The recipe, then `finish`; whether the user stopped it. ``progress``: show a bar with time left and PSNR."""
        keep_freed_memory()
        interrupted = False
        with tqdm(total=self.iterations, disable=not progress, unit="it", leave=False) as self.bar:
            try:
                self.all()
            except KeyboardInterrupt:
                interrupted = True
        insist(self.finish)
        return interrupted

    def run(self, phase: Any) -> None:
        """The steps of a phase."""
        with threads_for(self.begin(phase)) as threads:
            trial = ThreadTrial(threads)
            self.bar.set_description(phase.name, refresh=False)
            for index in range(phase.iterations):
                with trial:
                    self.step(index)
                self.iteration += 1
                self.bar.update()
                if self.over(index):
                    self.bar.update(phase.iterations - index - 1)
                    break

    def snapshot(self) -> State:
        """The present parameters; what they are worth is left to the caller."""
        return State({name: value.detach().clone() for name, value in self.representation.state_dict().items()})

    def load(self, state: State) -> None:
        """Go back to a state, if there is one."""
        if state.parameters:
            self.representation.load_state_dict(state.parameters)

    def record(self, mse: float, bpp: float | None = None, lmbda: float | None = None) -> None:
        """Put an evaluation into history and bar, and tell the callback."""
        psnr = psnr_of(mse)
        self.history.append(Moment(self.iteration, self.phase.name, psnr, bpp))
        if math.isfinite(psnr):
            self.bar.set_postfix_str(f"{psnr:.2f} dB" + ("" if bpp is None else f", {bpp:.3f} bpp"), refresh=False)
        if self.callback:
            seconds = time.perf_counter() - self.started
            where = self.iteration, self.iterations, self.phase.name
            self.callback(Progress(*where, psnr, seconds, self.representation, bpp, lmbda))

    def recover(self) -> None:
        """After a divergence: back to the best state, with new optimizers at half the learning rates."""
        self.load(self.best)
        self.renew()
        self.scale /= 2
        self.recoveries += 1

    def report(self, interrupted: bool, mse: float, **more: Any) -> Report:
        seconds = time.perf_counter() - self.started
        history = tuple(self.history)
        return Report(history, psnr_of(mse), seconds=seconds, interrupted=interrupted, recoveries=self.recoveries, **more)


def optimizer_for(
    kind: Literal["soap", "adam"],
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    *,
    weight_decay: float = 0.0,
    frequency: int = 10,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """SOAP, its preconditioner renewed every ``frequency`` steps, or Adam.

    Args:
        weight_decay: every step takes learning rate · this · θ off each parameter (AdamW; in Adam it would join the loss).
        fused: Adam in one pass over the parameters instead of a dozen.
    """
    if kind == "adam":
        return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused or None)
    from pytorch_optimizer import SOAP  # 0.7 s to import: not for decoding

    betas = (0.95, 0.95)
    return SOAP(parameters, learning_rate, betas=betas, weight_decay=weight_decay, precondition_frequency=frequency)


def median_seconds(action: Callable[[], object], times: int) -> float:
    """Seconds that ``action`` takes: the median of ``times`` calls, after one that only warms up."""
    seconds = []
    for _ in range(times + 1):
        started = time.perf_counter()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def psnr_of(mse: float) -> float:
    """In dB; infinite for 0, NaN for NaN."""
    return -10 * math.log10(mse) if mse != 0 else math.inf
