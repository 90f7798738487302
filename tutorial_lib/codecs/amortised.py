"""The codec that was trained once, for all pictures: encoding is a pass through its networks, refining it a choice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.amortised import coding, weights
from tutorial_lib.amortised.contexts import STARTS
from tutorial_lib.amortised.picture import FINEST, LAMBDA_PER_STEP, AmortisedConfig, AmortisedPicture
from tutorial_lib.amortised.transforms import BLOCK, SLICES, STEPS, Synthesis, step_of
from tutorial_lib.codecs.base import Codec
from tutorial_lib.codecs.plans import Budget, CodecError, Effort, Plan, Wishes
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, BitstreamError, Reader
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.steps import QuantizedTensor, Step
from tutorial_lib.runtime import threads_for
from tutorial_lib.training import Report
from tutorial_lib.training.refining import Refining, refine
from tutorial_lib.training.tradeoff import DEFAULT_LAMBDA, middle

HEADER_BYTES = 38
"""What a file holds beside its latents' stream, about."""

RATE_SLOPE = 32 / 1.2
"""Indices by which the step grows while the rate is halved: it goes with the step to the power of −1.2, about."""

CLOSE = 0.025
"""How near to a rate is near enough, in octaves."""

COARSER = 6
"""Indices by which the step is coarser where latents are refined, at the same λ: they use it better."""

REFINED_RATE = 0.055
"""By how much refining at such a step raises the rate, about."""


def lambda_of(step: int) -> float:
    """λ in D + λR, D the MSE of colours in [0, 1], that a step was trained for."""
    return LAMBDA_PER_STEP * step_of(step) ** 2 / (3 * 255**2)


def step_for(lmbda: float) -> int:
    """The index of the step whose λ is nearest."""
    index = 32 * math.log2(math.sqrt(lmbda / LAMBDA_PER_STEP * 3 * 255**2))
    return min(max(round(index), FINEST), STEPS - 1)


def refined(plan: Plan, seconds: float) -> Plan:
    """The plan, with so many seconds in which the latents are fitted to this one picture.

    Raises:
        CodecError: another codec's plan, no time, or steps asked for as well.
    """
    if not isinstance(plan.recipe, Refining):
        raise CodecError(f"{plan.codec} fits every picture from the start: there is nothing to refine")
    if not 0 < seconds < math.inf:
        raise CodecError(f"refining takes a positive number of seconds, not {seconds}")
    if plan.recipe.iterations:
        raise CodecError("refining takes seconds or iterations, not both")
    return replace(plan, recipe=Refining(seconds=seconds))


@dataclass(frozen=True)
class Amortised:
    """The family of the one codec whose representation is an `AmortisedPicture`; see `base.Family`."""

    methods: Mapping[str, Any] = field(default_factory=lambda: {"fast": Refining})
    sections: ClassVar[tuple[str, ...]] = ("latents",)
    takes_lambda: ClassVar[bool] = True

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        height, width = picture.shape[1:]
        if wishes.loss not in (None, "mse"):
            raise CodecError(f"{name}'s networks were trained for the mean squared error and take no loss {wishes.loss!r}")
        if not isinstance(wishes.config, AmortisedConfig | None):
            raise CodecError(f"{name} has a step and the number of its networks for a shape, not {wishes.config}")
        config = wishes.config or AmortisedConfig(step_for(wishes.lmbda or DEFAULT_LAMBDA))
        if problem := self.problem(config, height, width):
            raise CodecError(problem)
        part = middle(picture)
        trial = self.build(config, *part.shape[1:])
        coefficients, scale = trial.analyse(part), height * width / part[0].numel()
        if wishes.bpp is not None:
            _, bits = self._steered(trial, coefficients, (wishes.bpp * height * width - 8 * HEADER_BYTES) / scale)
            self._within_reach(name, trial.config.step, wishes.bpp, (bits * scale + 8 * HEADER_BYTES) / (height * width))
        expected = math.ceil(trial.levels(coefficients)[1] * scale / 8) + HEADER_BYTES
        recipe = Refining(wishes.iterations or 0)
        aim: dict[str, Any] = {"target_bpp": wishes.bpp, "lmbda": lambda_of(trial.config.step), "steer": wishes.steer}
        return Plan(name, trial.config, (height, width), recipe, None, expected, HEADER_BYTES, **aim)

    @staticmethod
    def _steered(trial: AmortisedPicture, coefficients: Tensor, bits: float) -> tuple[Tensor, float]:
        """Levels, and their bits, in the step that ``trial`` is given for them to take ``bits``, or nearly so."""
        low, high = FINEST, STEPS - 1
        while True:
            step, (levels, _) = trial.config.step, trial.levels(coefficients)
            found = float(trial.bits(levels).sum())
            error = math.log2((found + 1) / max(bits, 1))
            low, high = (min(step + 1, high), high) if error > 0 else (low, max(step - 1, low))
            better = min(max(step + round(RATE_SLOPE * error), low), high)
            if abs(error) < CLOSE or better == step:
                return levels, found
            trial.config = replace(trial.config, step=better)

    @staticmethod
    def _within_reach(name: str, step: int, bpp: float, found: float) -> None:
        """A `CodecError` where neither the finest nor the coarsest step gives the rate."""
        if step == FINEST and found < 0.9 * bpp:
            raise CodecError(f"{bpp:g} bpp is more than {name} can use for this picture: its finest step takes {found:.2g} bpp")
        if step == STEPS - 1 and found > 1.1 * bpp:
            raise CodecError(f"{bpp:g} bpp is too little for this picture: {name}'s coarsest step takes {found:.2g} bpp")

    def reduction(self, config: AmortisedConfig | None, height: int, width: int, budget: Budget) -> int:
        """1: a pass takes some seconds a megapixel."""
        return 1

    def problem(self, config: AmortisedConfig, height: int, width: int) -> str | None:
        rows, columns = -(-height // BLOCK), -(-width // BLOCK)
        if coding.operations(rows, columns, [0] * len(SLICES)) > MAX_OPERATIONS:
            return f"{width}×{height} pixels are more than this program decodes"
        return None

    def build(self, config: AmortisedConfig, height: int, width: int) -> AmortisedPicture:
        return AmortisedPicture(config, height, width)

    def quantizer(self, plan: Plan, wished: Quantizer | None) -> Quantizer | None:
        if wished is not None:
            raise CodecError(f"{plan.codec} stores no weights and takes no quantizer")
        return None

    def fit(
        self, representation: AmortisedPicture, picture: Tensor, plan: Plan, quantizer: Quantizer | None, **options: Any
    ) -> Report:
        picture = picture.to(representation.latents.device)
        refining = bool(plan.recipe.iterations or plan.recipe.seconds)
        with threads_for(self.operations_per_pixel(plan.config, plan.height, plan.width) * plan.height * plan.width):
            coefficients = representation.analyse(picture)
            if plan.target_bpp is None:
                step = min(representation.config.step + COARSER * refining, STEPS - 1)
                representation.config = replace(representation.config, step=step)
            if plan.target_bpp is not None and plan.steer:
                target = plan.target_bpp / (1 + REFINED_RATE * refining)
                levels, bits = self._steered(representation, coefficients, target * picture[0].numel() - 8 * HEADER_BYTES)
            else:
                levels, bits = representation.levels(coefficients)
            representation.latents.data.copy_(levels)
        lmbda = lambda_of(representation.config.step - COARSER * refining)
        report = Report((), math.nan, {}, 0.0, False, 0, bits / picture[0].numel(), lmbda)
        return refine(representation, picture, plan.recipe, report, **options) if refining else report

    def round(
        self,
        representation: AmortisedPicture,
        picture: Tensor,
        plan: Plan,
        report: Report,
        effort: Effort,
        quantizer: Quantizer | None,
        seed: int,
    ) -> Report:
        """The latents are whole already; what they are worth, unless refining has found it out."""
        if math.isfinite(report.best_psnr):
            return report
        error = float((representation.render() - picture.to(representation.latents.device)).square().mean())
        return replace(report, best_psnr=-10 * math.log10(error) if error else math.inf)

    def estimate_seconds(self, representation: AmortisedPicture, picture: Tensor, plan: Plan) -> float:
        megapixels = plan.height * plan.width / 1e6
        return 0.2 + 2.5 * megapixels + (plan.recipe.seconds or 2.0 * megapixels * plan.recipe.iterations)

    def write_config(self, config: AmortisedConfig) -> bytes:
        """The step, the networks' number and their checksum."""
        return bytes([config.step, config.networks]) + weights.checksum(config.networks).to_bytes(4, "little")

    def read_config(self, reader: Reader) -> AmortisedConfig:
        config, wanted = AmortisedConfig(reader.byte(), reader.byte()), int.from_bytes(reader.take(4), "little")
        if config.step < FINEST:
            raise BitstreamError(f"a step of {step_of(config.step):.3g} grey levels is impossible")
        try:
            found = weights.checksum(config.networks)
        except weights.WeightsError as error:
            raise BitstreamError(f"the file can't be decoded here: {error}") from error
        if found != wanted:
            raise BitstreamError(f"the file was made by other networks of number {config.networks} than this installation has")
        return config

    def pack(self, representation: AmortisedPicture, steps: Mapping[str, Step]) -> dict[str, bytes]:
        networks = representation.networks.contexts
        return {"latents": coding.encode_latents(networks, representation.told, representation.symbols())}

    def unpack(self, representation: AmortisedPicture, sections: Mapping[str, bytes]) -> dict[str, QuantizedTensor | Tensor]:
        """ "slice 0" …, from low frequencies to high ones."""
        rows, columns = representation.latents.shape[1:]
        found = coding.decode_latents(representation.networks.contexts, representation.told, rows, columns, sections["latents"])
        representation.latents.data.copy_(found)
        parts = found.numpy().astype(np.int32)
        step, slices = step_of(representation.config.step), (parts[begin:end] for begin, end in pairwise(STARTS))
        return {f"slice {index}": QuantizedTensor(part, step) for index, part in enumerate(slices)}

    @torch.no_grad()
    def describe(
        self, representation: AmortisedPicture, tensors: Mapping[str, QuantizedTensor | Tensor], sections: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        """Bits are the context networks' estimate."""
        bits, rows = representation.bits(representation.symbols()), []
        slices = (bits[begin:end] for begin, end in pairwise(STARTS))
        for (name, tensor), own in zip(tensors.items(), slices, strict=True):
            assert isinstance(tensor, QuantizedTensor)
            row = {"name": name, "shape": list(tensor.symbols.shape), "law": None, "step": tensor.step}
            rows.append(row | {"bound": int(np.abs(tensor.symbols).max()), "bits_per_weight": float(own.mean())})
        return rows

    def operations_per_pixel(self, config: AmortisedConfig, height: int, width: int) -> float:
        networks = weights.load(config.networks)
        blocks = sum(parameter.numel() for name, parameter in networks.named_parameters() if not name.startswith("analysis"))
        fine = sum(
            parameter.numel() for name, parameter in networks.synthesis.named_parameters() if name.startswith(Synthesis.FINE)
        )
        return (blocks - fine) / BLOCK**2 + fine / 4

    def second_look(self, representation: AmortisedPicture, body: bytes | None) -> AmortisedPicture:
        """The same latents through the synthesis for texture, which comes with the networks: a file has no ``body`` for it."""
        return representation.use(weights.load_texture(representation.config.networks))


AMORTISED = Codec("amortised", weights.NUMBER, Amortised())
"""Ours: trained once, a pass through its networks for each picture."""
