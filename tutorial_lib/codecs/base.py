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
from typing import Any

import torch
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.codecs.plans import (
    BUDGETS,
    MAX_REDUCTION,
    MIN_ITERATIONS,
    CodecError,
    Effort,
    Encoding,
    Family,
    Plan,
    Representation,
    Wishes,
    reduced_size,
)
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import LOOKS, BitstreamError, Container, Reader, varint
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.steps import QuantizedTensor, Step
from tutorial_lib.runtime import choose_budget, choose_device, insist
from tutorial_lib.training.loop import Progress, Report
from tutorial_lib.training.tradeoff import DEFAULT_LAMBDA, loss_lambda, loss_problem


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

    @property
    def can_be_retouched(self) -> bool:
        """Whether a second synthesis can be trained for a file's latents."""
        return {"networks", "latents"} <= {*self.family.sections}

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
        reduction: int | None = 1,
        patient: bool = False,
        device: torch.device | None = None,
    ) -> Plan:
        """Decide shape, recipe and aim.

        Args:
            picture: (3, H, W) in [0, 1].
            bpp: rate in bits per pixel, everything counted: what networks on coordinates have at the most, and latent grids
                within 5 %. Default: what suits the budget, a "published" network, or what λ leads to.
            lmbda: λ in D + λR, R in bits per pixel shown; for latent grids; default 10⁻³, about 34 dB. With ``bpp`` it
                is only where the fit begins.
            loss: a name in `losses.LOSSES`; it takes the place of the recipe's own.
            budget: "quick", "laptop" or "gpu"; default `runtime.choose_budget`.
            method: "fast", ours, or another of `methods`.
            iterations: of the fit's main phases, at least 12; default what the budget affords.
            steer: with False, the λ of latent grids is chosen before the fit and kept; the rate is only near ``bpp``. Quicker.
            config: this shape instead of a chosen one.
            reduction: fit the picture at 1/this of its sides; it is shown at its own size, and rates are of its own pixels. None:
                as the budget needs it (`Family.reduction`).
            patient: take the steps that latent grids of this size need, also where the budget has fewer.
            device: that the fit will run on; decides the default budget.

        Raises:
            CodecError: no such method or loss, a rate out of the codec's reach, or what this codec can't do.
            ValueError: not a picture, or no such budget.
        """
        if problem := images.picture_problem(picture):
            raise ValueError(problem)
        if loss is not None and (problem := loss_problem(loss, picture)):
            raise CodecError(problem)
        self._check_wishes(method, iterations, {RATE: bpp, "λ is a positive number": lmbda})
        if not self.takes_lambda and (lmbda is not None or not steer):
            raise CodecError(f"{self.name} has no λ to choose or to steer: ask for a rate")
        granted = BUDGETS[choose_budget(budget, device)]
        height, width = picture.shape[1:]
        if reduction is None:
            reduction = self.family.reduction(config, height, width, granted)
        if not 1 <= reduction <= MAX_REDUCTION:
            raise CodecError(f"a picture is fitted at 1/1 to 1/{MAX_REDUCTION} of its size, not at 1/{reduction}")
        small = _reduced(picture, reduction)
        share = small.numel() / picture.numel()
        # a fit's bits are those of fewer pixels
        if lmbda is not None:
            lmbda *= share
        elif bpp is None and share < 1 and self.takes_lambda:
            lmbda = loss_lambda(loss or "mse", small, share * DEFAULT_LAMBDA)
        if bpp is not None:
            bpp /= share
        wishes = Wishes(bpp, lmbda, loss, method, iterations, steer, config, patient)
        plan = self.family.plan(self.name, small, wishes, granted)
        if problem := self.family.problem(plan.config, height, width):
            raise CodecError(problem)
        return replace(plan, size=(height, width), reduction=reduction)

    def _check_wishes(self, method: str, iterations: int | None, numbers: Mapping[str, float | None]) -> None:
        if method not in self.methods:
            raise CodecError(f"{self.name} has no method {method!r}; there are {', '.join(self.methods)}")
        for what, value in numbers.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise CodecError(f"{what}, not {value}")
        if iterations is not None and iterations < MIN_ITERATIONS:
            raise CodecError(f"a fit takes {MIN_ITERATIONS} iterations or more, not {iterations}")

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
        if picture.shape != (3, *plan.size):
            raise ValueError(f"the plan is for {plan.width}×{plan.height} pixels, not for {tuple(picture.shape)}")
        started, small = time.perf_counter(), _reduced(picture, plan.reduction)
        how: dict[str, Any] = {"seed": seed, "progress": progress, "callback": callback}
        representation, report = self._fit(plan.fitted, small, device, self.family.quantizer(plan, quantizer), **how)
        data = insist(lambda: self.pack(representation, report.steps, (plan.height, plan.width), plan.reduction))
        return Encoding(data, replace(report, seconds=time.perf_counter() - started))

    def _fit(
        self, plan: Plan, target: Tensor, device: str | None, quantizer: Quantizer | None, seed: int, **options: Any
    ) -> tuple[Representation, Report]:
        """A new representation, fitted to ``target`` (channels, *size), rounded and brought to the CPU."""
        representation = self.build(plan.config, *plan.size, seed=seed).to(choose_device(device))
        report = self.family.fit(representation, target, plan, quantizer, seed=seed, **options)
        report = self.round(representation, target, plan, report, quantizer=quantizer, seed=seed)
        return representation.cpu(), report

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
        picture, plan = _reduced(picture, plan.reduction), plan.fitted
        representation = self.build(plan.config, *plan.size).to(choose_device(device))
        return self.family.estimate_seconds(representation, picture, plan)

    def build(self, config: Any, *size: int, seed: int = 0) -> Representation:
        """A new representation of a shape, for a picture of that size (height, width); on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.family.build(config, *size)

    def pack(
        self,
        representation: Representation,
        steps: Mapping[str, Step],
        size: tuple[int, int] | None = None,
        reduction: int = 1,
    ) -> bytes:
        """The file of a representation.

        Args:
            representation: from `build`, on the CPU.
            steps: as in a fit's `Report`: quantization steps by tensor, or group of weights; empty for float16.
            size: (height, width) of the picture where it isn't the representation's.
            reduction: then the representation is the picture's at 1/this of its sides.
        """
        sections = self.family.pack(representation, steps)
        sections = {"configuration": self.family.write_config(representation.config), **sections}
        if reduction > 1:
            sections["reduction"] = varint(reduction)
        height, width = size or (representation.height, representation.width)
        return bitstream.write(Container(self.number, height, width, sections))

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
            size: (height, width) in pixels to render at; default the picture's own, also where it was fitted at a smaller one.
            look: one of `bitstream.LOOKS`.

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
        return self.family.describe(representation, tensors, self._container(data).sections)

    def config_of(self, data: bytes) -> Any:
        """The representation's shape as a file gives it."""
        return self._config(self._container(data))

    def operations_per_pixel(self, data: bytes) -> float:
        """Multiply-adds of decoding, for each pixel."""
        container = self._container(data)
        height, width = _fitted_size(container)
        share = height * width / (container.height * container.width)
        return share * self.family.operations_per_pixel(self._config(container), height, width)

    def _container(self, data: bytes) -> Container:
        container = bitstream.read(data)
        if container.codec != self.number:
            raise BitstreamError(f"this file belongs to codec number {container.codec}, not to {self.name}")
        return container

    def _config(self, container: Container) -> Any:
        wanted = {"configuration", *self.family.sections}
        if missing := wanted ^ (set(container.sections) - {"reduction"}):
            raise BitstreamError(f"a file of {self.name} has no section {min(missing)!r}, or has one too many")
        if container.second_look is not None and not self.can_be_retouched:
            raise BitstreamError(f"a file of {self.name} has no second look")
        reader = Reader(container.sections["configuration"], "configuration section")
        config = self.family.read_config(reader)
        reader.end()
        # a network on coordinates is evaluated at the picture's own size, whatever the size of its fit
        for size in {_fitted_size(container), (container.height, container.width)}:
            if problem := self.family.problem(config, *size):
                raise BitstreamError(problem)
        return config

    def _open(self, data: bytes) -> tuple[Representation, dict[str, QuantizedTensor | Tensor]]:
        container = self._container(data)
        representation = self.build(self._config(container), *_fitted_size(container))
        return representation, self.family.unpack(representation, container.sections)


RATE = "a rate is a positive number of bits per pixel"


def _reduced(picture: Tensor, reduction: int) -> Tensor:
    if reduction == 1:
        return picture
    height, width = picture.shape[1:]
    return images.reduce(picture, size=reduced_size(height, width, reduction))


def _fitted_size(container: Container) -> tuple[int, int]:
    """Height and width of the representation in a file, in pixels."""
    if "reduction" not in container.sections:
        return container.height, container.width
    reader = Reader(container.sections["reduction"], "reduction section")
    reduction = reader.varint()
    reader.end()
    if not 2 <= reduction <= MAX_REDUCTION:
        raise BitstreamError(f"a picture fitted at 1/{reduction} of its size is impossible here")
    return reduced_size(container.height, container.width, reduction)
