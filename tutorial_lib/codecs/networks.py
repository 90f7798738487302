"""Codecs of networks on coordinates: the width that a rate buys, what quantizes its weights, their sections of a file.

Nothing here knows how many coordinates: ``size`` is (height, width) of a picture, (frames, height, width), or (samples,).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib import training
from tutorial_lib.codecs.plans import Budget, CodecError, Effort, Plan, Storage, Wishes
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, Reader
from tutorial_lib.coding.parameters import pack_parameters, stored_laws, unpack_parameters
from tutorial_lib.coding.quantizers import MaxAbsQuantizer, Quantizer, RateDistortionQuantizer
from tutorial_lib.coding.rounding import Rounding
from tutorial_lib.coding.steps import QuantizedTensor, Step, quantize
from tutorial_lib.training import Recipe, Report

SINE_OPERATIONS = 64
"""Multiply-adds that a sine takes as long as, about."""

MAX_WEIGHTS = 1 << 20
MAX_LAYERS = 64
MAX_FREQUENCIES = 64


class NetworkConfig(Protocol):
    """What is asked of a network's shape."""

    @property
    def weights(self) -> int: ...
    @property
    def sines(self) -> int: ...
    @property
    def tensors(self) -> int: ...


@dataclass(frozen=True)
class Method:
    """A way of encoding.

    Args:
        recipe: phases for a network, a number of pixels and a budget.
        storage: see `Plan`.
        bits_per_weight: what a weight will cost, about; turns a target rate into a width.
        rounding: see `Plan`; None: to the nearest.
        network: gives the one network that this method encodes with; None: any of the family.
    """

    recipe: Callable[[Any, int, Budget], Recipe]
    storage: Storage
    bits_per_weight: float
    rounding: Rounding | None = None
    network: Callable[[], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class CoordinateNetworks(abc.ABC):
    """The family of codecs whose file is one network on coordinates; see `base.Family`. A subclass knows the networks.

    Args:
        methods: ways of encoding by name.
    """

    methods: Mapping[str, Method]
    sections: ClassVar[tuple[str, ...]] = ("quantizer", "networks")
    takes_lambda: ClassVar[bool] = False

    @abc.abstractmethod
    def widest(self, fits: Callable[[Any], bool], size: tuple[int, ...] | None) -> Any | None:
        """The largest network of the family that ``fits``, None if none does or even the largest one does.

        ``size``: of the picture, when the network may be suited to it; None for the published family.
        """

    @abc.abstractmethod
    def smallest(self) -> Any:
        """The family's smallest network."""

    @abc.abstractmethod
    def paper(self) -> Any:
        """The paper's own network."""

    @abc.abstractmethod
    def build(self, config: Any, *size: int) -> nn.Module:
        """See `base.Family`; a `training.canvases.CoordinateRepresentation` with `render`."""

    @abc.abstractmethod
    def write_config(self, config: Any) -> bytes:
        """See `base.Family`."""

    @abc.abstractmethod
    def read_config(self, reader: Reader) -> Any:
        """See `base.Family`."""

    @abc.abstractmethod
    def impossible(self, config: Any) -> str | None:
        """What makes a shape none: a sentence, or None."""

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        size: tuple[int, ...] = tuple(picture.shape[1:])
        how, pixels = self.methods[wishes.method], math.prod(size)
        config: Any = wishes.config
        if wishes.iterations is not None:
            if wishes.method != "fast":
                raise CodecError(f"only the method fast takes a number of iterations, not {wishes.method}")
            budget = replace(budget, operations=math.inf, iterations=wishes.iterations)
        if config is not None and not isinstance(config, type(self.smallest())):
            raise CodecError(f"{name}'s networks are described by a {type(self.smallest()).__name__}, not by {config}")
        target = None
        if wishes.bpp is not None:
            target = int(min(wishes.bpp * pixels / 8, bitstream.MAX_PIXELS))
        elif wishes.method == "fast" and config is None:
            target = max(min(pixels // 8, budget.default_bytes), self.expected_bytes(self.smallest(), how))
        if how.network is not None:
            config = self._only(how, wishes, target)
        elif config is None:
            suited = None if wishes.method == "published" else size
            config = self.paper() if target is None else self._within(name, target, how, wishes.bpp, suited)
        if problem := self.problem(config, *size):
            raise CodecError(problem)
        if self.read_config(Reader(self.write_config(config), "configuration section")) != config:
            raise CodecError(f"a file of {name} can't hold every detail of {config}")
        expected = self.expected_bytes(config, how)
        if how.storage == "rate":
            expected = target = expected if target is None else target
        recipe = how.recipe(config, pixels, budget)
        if wishes.loss is not None:
            recipe = tuple(replace(phase, loss=wishes.loss, criterion="loss") for phase in recipe)
        options: dict[str, Any] = {"storage": how.storage, "rounding": how.rounding, "target_bytes": target}
        return Plan(name, config, size, recipe, wishes.loss, expected, self._side_bytes(config), **options)

    def _only(self, how: Method, wishes: Wishes, target: int | None) -> Any:
        """The one network of a method, if it is what is wished for."""
        own: Any = how.network() if how.network else None
        if wishes.config not in (None, own):
            raise CodecError(f"the method {wishes.method} encodes with {own} alone, not with {wishes.config}")
        if target is not None and (need := self.expected_bytes(own, how)) > target:
            raise CodecError(f"{wishes.bpp:g} bpp is {target:,} bytes for this picture; {own} takes about {need:,}")
        return own

    def _within(self, name: str, target: int, how: Method, bpp: float | None, size: tuple[int, ...] | None) -> Any:
        """The largest network whose file should fit ``target`` bytes."""
        config = self.widest(lambda config: self.expected_bytes(config, how) <= target, size)
        if config is not None:
            return config
        need = self.expected_bytes(self.smallest(), how)
        rate = f"{bpp:g} bpp is {target:,} bytes for this {'picture' if size is None or len(size) == 2 else 'signal'}"
        if target < need:
            raise CodecError(f"{rate}; the smallest {name} network takes about {need}")
        raise CodecError(f"{rate}, more than the largest {name} network takes")

    def expected_bytes(self, config: NetworkConfig, how: Method) -> int:
        """About how many bytes a file with this network has."""
        return self._side_bytes(config) + math.ceil(config.weights * how.bits_per_weight / 8)

    def _side_bytes(self, config: NetworkConfig) -> int:
        """Bytes that aren't weights: header, table and checksum, configuration, steps and laws, the coder's last word."""
        return 32 + len(self.write_config(config)) + 5 * config.tensors + 4

    def reduction(self, config: Any, height: int, width: int, budget: Budget) -> int:
        """1: a step sees some of the pixels, however many there are."""
        return 1

    def problem(self, config: NetworkConfig, *size: int) -> str | None:
        if problem := self.impossible(config):
            return problem
        if config.weights > MAX_WEIGHTS:
            return f"{config} has {config.weights:,} weights, and {MAX_WEIGHTS:,} are the most that this program decodes"
        if (config.weights + SINE_OPERATIONS * config.sines) * math.prod(size) > MAX_OPERATIONS:
            what = f"a picture of {math.prod(size):,} pixels" if len(size) == 2 else f"a signal of {math.prod(size):,} points"
            return f"{config} and {what} are together more than this program decodes"
        return None

    def quantizer(self, plan: Plan, wished: Quantizer | None) -> Quantizer | None:
        if plan.storage == "float16":
            if wished is not None:
                raise CodecError("a plan with float16 weights quantizes nothing: replace its storage")
            return None
        if wished is not None:
            return wished
        if plan.target_bytes is not None and plan.storage == "rate":
            return RateDistortionQuantizer(8 * (plan.target_bytes - plan.side_bytes), rounding=plan.rounding)
        return MaxAbsQuantizer(7 if plan.storage == "7 bits" else 8, rounding=plan.rounding)

    def fit(self, representation: nn.Module, picture: Tensor, plan: Plan, quantizer: Quantizer | None, **options: Any) -> Report:
        return training.fit(representation, picture, plan.recipe, quantizer=quantizer, **options)

    def round(
        self,
        representation: nn.Module,
        picture: Tensor,
        plan: Plan,
        report: Report,
        effort: Effort,
        quantizer: Quantizer | None,
        seed: int,
    ) -> Report:
        """To the nearest symbol, or with "thorough" as the quantizer does it, unless a phase of the recipe has done so."""
        if quantizer is None:
            return report
        if report.steps:
            quantizer.steps = report.steps
        else:  # stopped before the first quantized state was scored
            training.calibrate(quantizer, representation, picture)
        if effort == "thorough" and not any(phase.settle for phase in plan.recipe):
            training.settle(quantizer, representation, picture, seed=seed)
        return replace(report, steps=quantizer.steps)

    def estimate_seconds(self, representation: nn.Module, picture: Tensor, plan: Plan) -> float:
        return training.estimate_seconds(representation, picture, plan.recipe, self.quantizer(plan, None))

    def pack(self, representation: nn.Module, steps: Mapping[str, Step]) -> dict[str, bytes]:
        tensors = [
            quantize(parameter, steps[name]) if steps else parameter.detach()
            for name, parameter in representation.named_parameters()
        ]
        return dict(zip(self.sections, pack_parameters(tensors), strict=True))

    def unpack(self, representation: nn.Module, sections: Mapping[str, bytes]) -> dict[str, QuantizedTensor | Tensor]:
        shapes = [parameter.shape for parameter in representation.parameters()]
        stored = unpack_parameters(sections["quantizer"], sections["networks"], shapes)
        with torch.no_grad():
            for parameter, tensor in zip(representation.parameters(), stored, strict=True):
                parameter.copy_(tensor.values() if isinstance(tensor, QuantizedTensor) else tensor.float())
        return dict(zip((name for name, _ in representation.named_parameters()), stored, strict=True))

    def describe(
        self, representation: nn.Module, tensors: Mapping[str, QuantizedTensor | Tensor], sections: Mapping[str, bytes]
    ) -> list[dict[str, Any]]:
        """Of rows' steps the largest; law, step and bound of a float16 tensor are None."""
        rows = []
        laws = stored_laws(sections["quantizer"], [parameter.shape for parameter in representation.parameters()])
        for (name, tensor), law in zip(tensors.items(), laws, strict=True):
            shape = list(tensor.symbols.shape if isinstance(tensor, QuantizedTensor) else tensor.shape)
            row: dict[str, Any] = {"name": name, "shape": shape, "law": None, "step": None, "bound": None}
            row["bits_per_weight"] = 16.0
            if isinstance(tensor, QuantizedTensor) and law is not None:
                row |= {"law": type(law).__name__, "step": float(np.max(tensor.step)), "bound": law.bound}
                row["bits_per_weight"] = law.bits(tensor.symbols) / tensor.symbols.size
            rows.append(row)
        return rows

    def operations_per_pixel(self, config: NetworkConfig, *size: int) -> float:
        """A network on coordinates uses each weight once a pixel."""
        return float(config.weights)
