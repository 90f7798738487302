"""What all learned codecs are: from a picture to a plan, a fit, a file, and back.

A `Codec` is a name, a number and a `Family`. The steps are here, once; a family says what a kind of representation adds to
them. No step knows the one after the next.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import LOOKS, BitstreamError, Container, Reader
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.rounding import Rounding
from tutorial_lib.coding.steps import QuantizedTensor, Step
from tutorial_lib.runtime import choose_budget, choose_device, insist
from tutorial_lib.training.loop import Progress, Report
from tutorial_lib.training.tradeoff import loss_problem

MIN_ITERATIONS = 12


class CodecError(ValueError):
    """A request that a codec can't fulfil; the message is one sentence for the reader."""


@dataclass(frozen=True)
class Budget:
    """What a budget buys: multiply-adds of the forward passes of a fit, most steps of a fit, bytes of a file."""

    operations: float
    iterations: int
    default_bytes: int


BUDGETS = {
    "quick": Budget(1e10, 300, 2_000),
    "laptop": Budget(8e11, 3_000, 24_000),
    "gpu": Budget(1e14, 8_000, 96_000),
}

Representation = Any
"""An nn.Module with ``config``, ``height``, ``width`` and ``render(height, width)``: Python's types know no "both"."""

Effort = Literal["thorough", "quick", "at once"]
Storage = Literal["rate", "8 bits", "7 bits", "float16"]


@dataclass(frozen=True)
class Wishes:
    """What an encode is asked for; see `Codec.plan`."""

    bpp: float | None
    lmbda: float | None
    loss: str | None
    method: str
    iterations: int | None
    steer: bool
    config: Any


@dataclass(frozen=True)
class Plan:
    """What an encode is about to do.

    Args:
        codec: its name.
        config: the representation's shape.
        height, width: of the picture, in pixels.
        recipe: of the fit, as the family takes it.
        loss: a name in `losses.LOSSES`; None for the recipe's own.
        expected_bytes: of the file, about.
        side_bytes: those of them that are neither weights nor latents.
        target_bytes: the most that the file may take; None: whatever it takes.
        target_bpp: bits per pixel that the file is steered to; None: what λ leads to.
        lmbda: λ in D + λR where the fit begins; None: the family's choice.
        steer: whether λ follows the target.
        storage: "rate", steps by rate and distortion within the target; "8 bits" and "7 bits", steps by the largest weight;
            "float16", two bytes a weight and no entropy coding; None: as the family does it.
        rounding: how weights are rounded in the end, or where a phase of the recipe says so; None: the family's way.
    """

    codec: str
    config: Any
    height: int
    width: int
    recipe: Any
    loss: str | None
    expected_bytes: int
    side_bytes: int
    target_bytes: int | None = None
    target_bpp: float | None = None
    lmbda: float | None = None
    steer: bool = True
    storage: Storage | None = None
    rounding: Rounding | None = None

    @property
    def bpp(self) -> float:
        """Expected bits per pixel."""
        return 8 * self.expected_bytes / (self.height * self.width)


@dataclass(frozen=True)
class Encoding:
    """The bytes of a file, and how the fit behind them went."""

    data: bytes
    report: Report


class Family(Protocol):
    """What a kind of representation adds to the steps of a `Codec`.

    Attributes:
        methods: ways of encoding, by name.
        sections: of a file, in its order, behind "configuration".
        takes_lambda: whether D + λR can be asked for.
    """

    sections: ClassVar[tuple[str, ...]]
    takes_lambda: ClassVar[bool]

    @property
    def methods(self) -> Mapping[str, Any]: ...

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        """Shape, recipe and aim for a codec of that name; a `CodecError` where the wishes can't be met."""
        ...

    def problem(self, config: Any, height: int, width: int) -> str | None:
        """What keeps a decoder from this shape: a sentence, or None."""
        ...

    def build(self, config: Any, height: int, width: int) -> Representation:
        """A new representation, its weights drawn from torch's random numbers."""
        ...

    def quantizer(self, plan: Plan, wished: Quantizer | None) -> Quantizer | None:
        """What quantizes while the fit runs, ``wished`` if there is one; None where nothing does."""
        ...

    def fit(
        self, representation: Representation, picture: Tensor, plan: Plan, quantizer: Quantizer | None, **options: Any
    ) -> Report:
        """Fit in place. Options: seed, progress, callback."""
        ...

    def round(
        self,
        representation: Representation,
        picture: Tensor,
        plan: Plan,
        report: Report,
        effort: Effort,
        quantizer: Quantizer | None,
        seed: int,
    ) -> Report:
        """Round what was fitted, in place; the report with its steps."""
        ...

    def estimate_seconds(self, representation: Representation, picture: Tensor, plan: Plan) -> float:
        """About how long `fit` and `round` take here."""
        ...

    def write_config(self, config: Any) -> bytes:
        """The section "configuration"."""
        ...

    def read_config(self, reader: Reader) -> Any:
        """What `write_config` was given."""
        ...

    def pack(self, representation: Representation, steps: Mapping[str, Step]) -> dict[str, bytes]:
        """The other sections."""
        ...

    def unpack(self, representation: Representation, sections: Mapping[str, bytes]) -> dict[str, QuantizedTensor | Tensor]:
        """Fill the representation; the stored tensors by name."""
        ...

    def describe(
        self, representation: Representation, tensors: Mapping[str, QuantizedTensor | Tensor], sections: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        """The rows of `Codec.describe` for what `unpack` gave."""
        ...

    def operations_per_pixel(self, config: Any, height: int, width: int) -> float:
        """Multiply-adds of decoding, for each pixel."""
        ...


@dataclass(frozen=True)
class Codec:
    """A learned codec.

    Args:
        name, number: in the registry, and in every file.
        family: what it fits.
    """

    name: str
    number: int
    family: Family

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways of encoding."""
        return tuple(self.family.methods)

    @property
    def takes_lambda(self) -> bool:
        """Whether λ in D + λR can be asked for instead of a rate."""
        return self.family.takes_lambda

    def plan(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        lmbda: float | None = None,
        loss: str | None = None,
        budget: str | None = None,
        method: str = "fast",
        iterations: int | None = None,
        steer: bool = True,
        config: Any = None,
        device: torch.device | None = None,
    ) -> Plan:
        """Decide shape, recipe and aim.

        Args:
            picture: (3, H, W) in [0, 1].
            bpp: rate in bits per pixel, everything counted: what networks on coordinates have at the most, and latent grids
                within 5 %. Default: what suits the budget, a "published" network, or what λ leads to.
            lmbda: λ in D + λR, for latent grids; default 10⁻³, about 34 dB. With ``bpp`` it is only where the fit begins.
            loss: a name in `losses.LOSSES`; it takes the place of the recipe's own.
            budget: "quick", "laptop" or "gpu"; default `runtime.choose_budget`.
            method: "fast", ours, or another of `methods`.
            iterations: of the fit's main phases, at least 12; default what the budget affords.
            steer: with False, the λ of latent grids is chosen before the fit and kept; the rate is only near ``bpp``. Quicker.
            config: this shape instead of a chosen one.
            device: that the fit will run on; decides the default budget.

        Raises:
            CodecError: no such method or loss, a rate out of the codec's reach, or what this codec can't do.
            ValueError: not a picture, or no such budget.
        """
        if problem := images.picture_problem(picture):
            raise ValueError(problem)
        if method not in self.methods:
            raise CodecError(f"{self.name} has no method {method!r}; there are {', '.join(self.methods)}")
        if loss is not None and (problem := loss_problem(loss, picture)):
            raise CodecError(problem)
        for what, value in (("a rate is a positive number of bits per pixel", bpp), ("λ is a positive number", lmbda)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise CodecError(f"{what}, not {value}")
        if not self.takes_lambda and (lmbda is not None or not steer):
            raise CodecError(f"{self.name} has no λ to choose or to steer: ask for a rate")
        if iterations is not None and iterations < MIN_ITERATIONS:
            raise CodecError(f"a fit takes {MIN_ITERATIONS} iterations or more, not {iterations}")
        wishes = Wishes(bpp, lmbda, loss, method, iterations, steer, config)
        return self.family.plan(self.name, picture, wishes, BUDGETS[choose_budget(budget, device)])

    def encode(
        self,
        picture: Tensor,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[Progress], None] | None = None,
        **wishes: Any,
    ) -> bytes:
        """Fit a representation to ``picture`` and return it as the bytes of a file. Arguments: `plan` and `execute`."""
        plan = self.plan(picture, device=choose_device(device), **wishes)
        return self.execute(plan, picture, seed=seed, device=device, progress=progress, callback=callback).data

    def execute(
        self,
        plan: Plan,
        picture: Tensor,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[Progress], None] | None = None,
        quantizer: Quantizer | None = None,
    ) -> Encoding:
        """Carry out a plan of this codec: fit, round, entropy-code, write.

        Stopping it (Ctrl-C, the notebook's stop button) ends what goes on and keeps what it has reached: the best state of the
        fit, rounded more quickly, becomes the file.

        Args:
            plan: from `plan`, for a picture of this size.
            picture: (3, H, W) in [0, 1].
            seed: the same seed on the same machine gives the same file with one thread (``OMP_NUM_THREADS=1``); with more,
                `runtime.ThreadTrial` picks their number by the clock, and sums differ in their last digits.
            device: "cpu", "cuda", "mps"; default `runtime.choose_device`. Coding happens on the CPU.
            progress: show a progress bar.
            callback: called at every evaluation.
            quantizer: take this one instead of the plan's own, whose target in bytes it need not know.

        Raises:
            CodecError: another codec's plan, or a quantizer where nothing asks for one.
            ValueError: a plan for another size.
        """
        if plan.codec != self.name:
            raise CodecError(f"this is a plan of {plan.codec}, not of {self.name}")
        if picture.shape != (3, plan.height, plan.width):
            raise ValueError(f"the plan is for {plan.width}×{plan.height} pixels, not for {tuple(picture.shape)}")
        quantizer = self.family.quantizer(plan, quantizer)
        representation = self.build(plan.config, plan.height, plan.width, seed=seed).to(choose_device(device))
        started = time.perf_counter()
        report = self.family.fit(representation, picture, plan, quantizer, seed=seed, progress=progress, callback=callback)
        report = self.round(representation, picture, plan, report, quantizer=quantizer, seed=seed)
        data = insist(lambda: self.pack(representation.cpu(), report.steps))
        return Encoding(data, replace(report, seconds=time.perf_counter() - started))

    def round(
        self,
        representation: Representation,
        picture: Tensor,
        plan: Plan,
        report: Report,
        *,
        quantizer: Quantizer | None = None,
        seed: int = 0,
    ) -> Report:
        """Round a fitted representation for good, in place, with less effort each time that Ctrl-C ends it.

        Returns:
            ``report`` with the steps for `pack`.
        """
        how = quantizer, seed
        efforts: tuple[Effort, ...] = ("quick", "at once") if report.interrupted else ("thorough", "quick", "at once")
        fitted = copy.deepcopy(representation.state_dict())
        for effort in efforts[:-1]:
            try:
                return self.family.round(representation, picture, plan, report, effort, *how)
            except KeyboardInterrupt:
                representation.load_state_dict(fitted)
                report = replace(report, interrupted=True)
        return insist(lambda: self.family.round(representation, picture, plan, report, efforts[-1], *how))

    def estimate_seconds(self, plan: Plan, picture: Tensor, device: str | None = None) -> float:
        """About how long `execute` will take here, from a few timed steps."""
        representation = self.build(plan.config, plan.height, plan.width).to(choose_device(device))
        return self.family.estimate_seconds(representation, picture, plan)

    def build(self, config: Any, height: int, width: int, *, seed: int = 0) -> Representation:
        """A new representation of a shape, for a picture of that size; on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.family.build(config, height, width)

    def pack(self, representation: Representation, steps: Mapping[str, Step]) -> bytes:
        """The file of a representation.

        Args:
            representation: from `build`, on the CPU.
            steps: as in a fit's `Report`: quantization steps by tensor, or group of weights; empty for float16.
        """
        sections = self.family.pack(representation, steps)
        sections = {"configuration": self.family.write_config(representation.config), **sections}
        return bitstream.write(Container(self.number, representation.height, representation.width, sections))

    def open(self, data: bytes, look: str = LOOKS[0]) -> Representation:
        """The representation in a file of this codec, or another look of it, on the CPU.

        Raises:
            BitstreamError: damaged, truncated or foreign bytes, or another codec's.
            CodecError: no such look.
        """
        second_look = getattr(self.family, "second_look", None)  # a method that families may have
        if look not in (LOOKS if second_look else LOOKS[:1]):
            raise CodecError(f"files of {self.name} have no look {look!r}")
        first = self._open(data)[0]
        return second_look(first, bitstream.read(data).second_look) if second_look and look != LOOKS[0] else first

    def decode(
        self, data: bytes, size: tuple[int, int] | None = None, *, device: str | None = None, look: str = LOOKS[0]
    ) -> Tensor:
        """The picture in a file of this codec, (3, height, width) in [0, 1], on the device it was rendered on.

        Args:
            data: the whole file.
            size, look: (height, width) in pixels to render at; default the picture's own. One of `bitstream.LOOKS`.

        Raises:
            BitstreamError, CodecError, ValueError: as `open`; a size that isn't one.
        """
        container = self._container(data)
        height, width = images.check_size(size) if size is not None else (container.height, container.width)
        picture = self.open(data, look).to(choose_device(device)).render(height, width)
        if not torch.isfinite(picture).all():
            raise BitstreamError("the file's weights are so large that its colours are no numbers")
        return picture

    def tensors(self, data: bytes) -> dict[str, QuantizedTensor | Tensor]:
        """What entropy decoding gives, by name: parameters, or grids and groups of weights; integers with their steps."""
        return self._open(data)[1]

    def describe(self, data: bytes) -> list[dict[str, Any]]:
        """A row for each stored tensor: name, shape, law, step, bound, bits_per_weight; None where there is none."""
        representation, tensors = self._open(data)
        return self.family.describe(representation, tensors, bitstream.read(data).sections)

    def config_of(self, data: bytes) -> Any:
        """The representation's shape as a file gives it."""
        return self._config(self._container(data))

    def operations_per_pixel(self, data: bytes) -> float:
        """Multiply-adds of decoding, for each pixel."""
        container = self._container(data)
        return self.family.operations_per_pixel(self._config(container), container.height, container.width)

    def _container(self, data: bytes) -> Container:
        container = bitstream.read(data)
        if container.codec != self.number:
            raise BitstreamError(f"this file belongs to codec number {container.codec}, not to {self.name}")
        return container

    def _config(self, container: Container) -> Any:
        wanted = {"configuration", *self.family.sections}
        if missing := wanted ^ set(container.sections):
            raise BitstreamError(f"a file of {self.name} has no section {min(missing)!r}, or has one too many")
        if container.second_look is not None and not hasattr(self.family, "second_look"):
            raise BitstreamError(f"a file of {self.name} has no second look")
        reader = Reader(container.sections["configuration"], "configuration section")
        config = self.family.read_config(reader)
        reader.end()
        if problem := self.family.problem(config, container.height, container.width):
            raise BitstreamError(problem)
        return config

    def _open(self, data: bytes) -> tuple[Representation, dict[str, QuantizedTensor | Tensor]]:
        container = self._container(data)
        representation = self.build(self._config(container), container.height, container.width)
        return representation, self.family.unpack(representation, container.sections)
