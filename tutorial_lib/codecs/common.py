"""What the learned codecs share: from a rate to a network, from a network to a file, and back.

A codec of a coordinate network is a `NetworkCodec` that knows its family of networks; everything from the fit to
the bytes is here.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib import bitstream, images, training
from tutorial_lib.bitstream import BitstreamError, Container, Reader
from tutorial_lib.codecs.base import CodecError
from tutorial_lib.entropy_coding import pack_parameters, stored_laws, unpack_parameters
from tutorial_lib.losses import LOSSES
from tutorial_lib.quantization import (
    MaxAbsQuantizer,
    QuantizedTensor,
    Quantizer,
    RateDistortionQuantizer,
    Rounding,
    Step,
    quantize,
)
from tutorial_lib.runtime import choose_budget, choose_device
from tutorial_lib.training import OneCycle, Phase, Recipe, Report

MAX_WEIGHTS = 1 << 20
MAX_LAYERS = 64
MAX_FREQUENCIES = 64
MAX_OPERATIONS = 1 << 45
"""Multiply-adds a file may ask of its decoder: about ten minutes on a laptop."""


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


class NetworkConfig(Protocol):
    """What a codec asks of a network's shape."""

    @property
    def weights(self) -> int: ...
    @property
    def tensors(self) -> int: ...


Storage = Literal["rate", "8 bits", "7 bits", "float16"]


@dataclass(frozen=True)
class Method:
    """A way of encoding.

    Args:
        recipe: phases for a network, a number of pixels and a budget.
        storage: "rate", steps by rate and distortion within the target; "8 bits" and "7 bits", steps by the largest weight;
            "float16", two bytes a weight and no entropy coding.
        bits_per_weight: what a weight will cost, about; turns a target rate into a width.
        rounding: how weights are rounded in the end, or where a phase of the recipe says so (`Phase.settle`); None: to the
            nearest.
        network: gives the one network that this method encodes with; None: any of the family.
    """

    recipe: Callable[[Any, int, Budget], Recipe]
    storage: Storage
    bits_per_weight: float
    rounding: Rounding | None = None
    network: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Plan:
    """What an encode is about to do: network, recipe and the bytes to stay within (None: whatever it takes)."""

    codec: str
    config: Any
    height: int
    width: int
    recipe: Recipe
    storage: Storage
    target_bytes: int | None
    expected_bytes: int
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


@dataclass(frozen=True)
class NetworkCodec(abc.ABC):
    """A codec whose representation is a network on coordinates.

    Args:
        name, number: in the registry, and in every file.
        methods: ways of encoding by name.
    """

    name: str
    number: int
    methods: Mapping[str, Method]

    @abc.abstractmethod
    def widest(self, fits: Callable[[Any], bool], picture: tuple[int, int] | None) -> Any | None:
        """The largest network of the family that ``fits``, None if none does or even the largest one does.

        ``picture``: (height, width), when the network may be suited to it; None for the published family.
        """

    @abc.abstractmethod
    def smallest(self) -> Any:
        """The family's smallest network."""

    @abc.abstractmethod
    def published(self) -> Any:
        """The paper's own network."""

    @abc.abstractmethod
    def build(self, config: Any, height: int, width: int) -> nn.Module:
        """A new network, its weights drawn from torch's random numbers."""

    @abc.abstractmethod
    def write_config(self, config: Any) -> bytes:
        """The section "configuration"."""

    @abc.abstractmethod
    def read_config(self, reader: Reader) -> Any:
        """What `write_config` was given."""

    @abc.abstractmethod
    def impossible(self, config: Any) -> str | None:
        """What is wrong with a network of this shape, whatever the picture: a sentence, or None."""

    def plan(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        budget: str | None = None,
        method: str = "fast",
        loss: str | None = None,
        iterations: int | None = None,
        config: Any | None = None,
        device: torch.device | None = None,
    ) -> Plan:
        """Decide the network, the recipe and the size of the file.

        Args:
            picture: (3, H, W) in [0, 1].
            bpp: target in bits per pixel. The network's width follows from it; a "rate" method's file stays within it.
                Default: 1, but no more bytes than the budget can fit well; for "published" the paper's own network.
            budget: "quick", "laptop" or "gpu"; default `runtime.choose_budget`.
            method: "fast", "published", or another of `methods`.
            loss: a name in `losses.LOSSES`, for all phases; the best state is then the one of least loss. Default: the
                recipe's own ("mse" for "fast").
            iterations: steps of "fast", at least 12; default what the budget affords.
            config: take this network (a `SirenConfig`, `NifConfig`, …) instead of choosing one.

        Raises:
            CodecError: no such method, a rate too low for the smallest network or too high for the largest, or another
                network than a method's only one.
            ValueError: not a picture, or no such budget.
        """
        if problem := images.picture_problem(picture):
            raise ValueError(problem)
        if method not in self.methods:
            raise CodecError(f"{self.name} has no method {method!r}; there are {', '.join(self.methods)}")
        if loss is not None and loss not in LOSSES:
            raise CodecError(f"no loss {loss!r}; there are {', '.join(LOSSES)}")
        how, limits = self.methods[method], BUDGETS[choose_budget(budget, device)]
        if iterations is not None:
            if method != "fast" or iterations < 12:
                raise CodecError(f"only the method fast takes a number of iterations, 12 or more; not {method} {iterations}")
            limits = replace(limits, operations=math.inf, iterations=iterations)
        height, width = picture.shape[1:]
        pixels = height * width
        target = None
        if bpp is not None:
            if not (math.isfinite(bpp) and bpp > 0):
                raise CodecError(f"a rate is a positive number of bits per pixel, not {bpp}")
            target = int(min(bpp * pixels / 8, bitstream.MAX_PIXELS))
        elif method == "fast" and config is None:
            target = max(min(pixels // 8, limits.default_bytes), self._expected(self.smallest(), how))
        if how.network is not None:
            own = how.network()
            if config not in (None, own):
                raise CodecError(f"the method {method} encodes with {own} alone, not with {config}")
            config = own
            if target is not None and self._expected(config, how) > target:
                need = self._expected(config, how)
                raise CodecError(f"{bpp:g} bpp is {target:,} bytes for this picture; {config} takes about {need:,}")
        if config is None and method == "published":
            config = self.published() if target is None else self._within(target, how, bpp, None)
        elif config is None:
            config = self._within(target, how, bpp, (height, width))
        if problem := self._undecodable(config, pixels):
            raise CodecError(problem)
        if self.read_config(Reader(self.write_config(config), "configuration section")) != config:
            raise CodecError(f"a file of {self.name} can't hold every detail of {config}")
        expected = self._expected(config, how)
        if how.storage == "rate":
            target = expected if target is None else target
            expected = target
        recipe = how.recipe(config, pixels, limits)
        if loss is not None:
            recipe = tuple(replace(phase, loss=loss, criterion="loss") for phase in recipe)
        return Plan(self.name, config, height, width, recipe, how.storage, target, expected, how.rounding)

    def encode(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        budget: str | None = None,
        method: str = "fast",
        loss: str | None = None,
        iterations: int | None = None,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[training.Progress], None] | None = None,
    ) -> bytes:
        """Fit a network to ``picture`` and return it as the bytes of a file. Arguments: `plan` and `execute`.

        Returns:
            the whole file. With "fast" it holds ``bpp`` · H · W / 8 bytes at the most.
        """
        where = choose_device(device)
        options = {"budget": budget, "method": method, "loss": loss, "iterations": iterations}
        plan = self.plan(picture, bpp=bpp, device=where, **options)
        return self.execute(plan, picture, seed=seed, device=device, progress=progress, callback=callback).data

    def encode_many(
        self,
        pictures: Sequence[Tensor],
        *,
        bpp: float | None = None,
        budget: str | None = None,
        method: str = "fast",
        loss: str | None = None,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
    ) -> list[bytes]:
        """The file of each picture; pictures of one size are fitted together (`training.fit_many`).

        Meant for a GPU, which a single small picture leaves idle (not measured there yet). Arguments: see `encode`.

        Returns:
            files in the order of ``pictures``.
        """
        if problem := next(filter(None, map(images.picture_problem, pictures)), None):
            raise ValueError(problem)
        where = choose_device(device)
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, picture in enumerate(pictures):
            groups.setdefault(tuple(picture.shape), []).append(index)
        files: dict[int, bytes] = {}
        for indices in groups.values():
            together = [pictures[index] for index in indices]
            plan = self.plan(together[0], bpp=bpp, budget=budget, method=method, loss=loss, device=where)
            for encoding, index in zip(self._execute(plan, together, seed, where, progress, None), indices, strict=True):
                files[index] = encoding.data
        return [files[index] for index in range(len(pictures))]

    def execute(
        self,
        plan: Plan,
        picture: Tensor,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[training.Progress], None] | None = None,
        quantizer: Quantizer | None = None,
    ) -> Encoding:
        """Carry out a plan of this codec: fit, quantise, entropy-code, write.

        Args:
            plan: from `plan`, for a picture of this size.
            picture: (3, H, W) in [0, 1].
            seed: the same seed on the same machine gives the same file with one thread (``OMP_NUM_THREADS=1``); with more,
                `runtime.ThreadTrial` picks their number by the clock, and sums differ in their last digits.
            device: "cpu", "cuda", "mps"; default `runtime.choose_device`.
            progress: show a progress bar.
            callback: see `training.fit`.
            quantizer: take this one instead of the plan's own, whose target in bytes it need not know. Not for "float16".

        Raises:
            ValueError: a plan for another size, or a quantiser where nothing is quantised.
        """
        return self._execute(plan, [picture], seed, choose_device(device), progress, callback, quantizer)[0]

    def _execute(
        self,
        plan: Plan,
        pictures: Sequence[Tensor],
        seed: int,
        device: torch.device,
        progress: bool,
        callback: Callable[[training.Progress], None] | None,
        quantizer: Quantizer | None = None,
    ) -> list[Encoding]:
        for picture in pictures:
            if picture.shape != (3, plan.height, plan.width):
                raise ValueError(f"the plan is for {plan.width}×{plan.height} pixels, not for {tuple(picture.shape)}")
        networks = [self._network(plan.config, plan.height, plan.width, seed).to(device) for _ in pictures]
        if quantizer is not None and plan.storage == "float16":
            raise ValueError("a plan with float16 weights quantises nothing: replace its storage")
        quantizers = [quantizer or self._quantizer(plan) for _ in pictures]
        options = {"seed": seed, "progress": progress}
        if len(pictures) == 1:
            quantizer = quantizers[0]
            options |= {"quantizer": quantizer, "callback": callback}
            reports = [training.fit(networks[0], pictures[0], plan.recipe, **options)]
        else:
            options["quantizers"] = None if plan.storage == "float16" else quantizers
            reports = training.fit_many(networks, torch.stack(list(pictures)), plan.recipe, **options)
        encodings = []
        for network, picture, quantizer, report in zip(networks, pictures, quantizers, reports, strict=True):
            if quantizer and not report.steps:  # stopped before the first quantised state was scored
                training.calibrate(quantizer, network, picture)
                report = replace(report, steps=quantizer.steps)
            if quantizer and not report.interrupted and not any(phase.settle for phase in plan.recipe):
                quantizer.steps = report.steps
                training.settle(quantizer, network, picture, seed=seed)
            encodings.append(Encoding(self._write(network, report.steps), report))
        return encodings

    def estimate_seconds(self, plan: Plan, picture: Tensor, device: str | None = None) -> float:
        """About how long `execute` will take here, from a few timed steps."""
        representation = self._network(plan.config, plan.height, plan.width, 0).to(choose_device(device))
        return training.estimate_seconds(representation, picture, plan.recipe, self._quantizer(plan))

    def decode(self, data: bytes, size: tuple[int, int] | None = None, *, device: str | None = None) -> Tensor:
        """The picture in a file of this codec, (3, height, width) in [0, 1], on the device it was rendered on.

        Args:
            data: the whole file.
            size: (height, width) in pixels to render at; default the picture's own.

        Raises:
            BitstreamError: damaged, truncated or foreign bytes, or another codec's.
            ValueError: a size that isn't one.
        """
        container = bitstream.read(data)
        if container.codec != self.number:
            raise BitstreamError(f"this file belongs to codec number {container.codec}, not to {self.name}")
        height, width = images.check_size(size) if size is not None else (container.height, container.width)
        return self._read(container).to(choose_device(device)).render(height, width)

    def tensors(self, data: bytes) -> dict[str, QuantizedTensor | Tensor]:
        """The stored tensors of a file by parameter name: what entropy decoding gives, before rendering."""
        container = bitstream.read(data)
        network = self._network(self._read_config(container), container.height, container.width, 0)
        names = [name for name, _ in network.named_parameters()]
        return dict(zip(names, self._read_tensors(container, network), strict=True))

    def config_of(self, data: bytes) -> Any:
        """The network's shape as a file gives it."""
        return self._read_config(bitstream.read(data))

    def operations_per_pixel(self, data: bytes) -> float:
        """Multiply-adds of decoding, for each pixel: a network on coordinates uses each weight once a pixel."""
        return float(self.config_of(data).weights)

    def describe(self, data: bytes) -> list[dict[str, Any]]:
        """A row for each stored tensor: name, shape, law, step (of rows: the largest), bound, bits_per_weight.

        Law, step and bound of a float16 tensor are None.
        """
        rows, tensors = [], self.tensors(data)
        quantiser = bitstream.read(data).sections["quantiser"]
        shapes = [torch.Size(t.symbols.shape if isinstance(t, QuantizedTensor) else t.shape) for t in tensors.values()]
        for (name, tensor), law, shape in zip(tensors.items(), stored_laws(quantiser, shapes), shapes, strict=True):
            row: dict[str, Any] = {"name": name, "shape": list(shape), "law": None, "step": None, "bound": None}
            row["bits_per_weight"] = 16.0
            if isinstance(tensor, QuantizedTensor):
                row |= {"law": type(law).__name__, "step": float(np.max(tensor.step)), "bound": law.bound}
                row["bits_per_weight"] = law.bits(tensor.symbols) / tensor.symbols.size
            rows.append(row)
        return rows

    def _within(self, target: int, how: Method, bpp: float | None, picture: tuple[int, int] | None) -> Any:
        """The largest network whose file should fit ``target`` bytes."""
        config = self.widest(lambda config: self._expected(config, how) <= target, picture)
        if config is not None:
            return config
        need = self._expected(self.smallest(), how)
        rate = f"{bpp:g} bpp is {target:,} bytes for this picture"
        if target < need:
            raise CodecError(f"{rate}; the smallest {self.name} network takes about {need}")
        raise CodecError(f"{rate}, more than the largest {self.name} network takes")

    def _expected(self, config: NetworkConfig, how: Method) -> int:
        """About how many bytes a file with this network has."""
        return self._overhead(config) + math.ceil(config.weights * how.bits_per_weight / 8)

    def _undecodable(self, config: NetworkConfig, pixels: int) -> str | None:
        """What keeps a decoder from this network: a sentence, or None."""
        if problem := self.impossible(config):
            return problem
        if config.weights > MAX_WEIGHTS:
            return f"{config} has {config.weights:,} weights, and {MAX_WEIGHTS:,} are the most that this program decodes"
        if config.weights * pixels > MAX_OPERATIONS:
            return f"{config} and a picture of {pixels:,} pixels are together more than this program decodes"
        return None

    def _overhead(self, config: NetworkConfig) -> int:
        """Bytes that aren't weights: header, table and checksum, configuration, quantiser, the coder's last word."""
        return 32 + len(self.write_config(config)) + 5 * config.tensors + 4

    def _network(self, config: Any, height: int, width: int, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build(config, height, width)

    def _quantizer(self, plan: Plan) -> Quantizer | None:
        match plan.storage:
            case "rate":
                bits = 8 * (plan.target_bytes - self._overhead(plan.config))
                return RateDistortionQuantizer(bits, rounding=plan.rounding)
            case "8 bits" | "7 bits" as bits:
                return MaxAbsQuantizer(int(bits[0]), rounding=plan.rounding)
        return None

    def _write(self, representation: nn.Module, steps: Mapping[str, Step]) -> bytes:
        tensors = [
            quantize(parameter, steps[name]) if steps else parameter.detach()
            for name, parameter in representation.named_parameters()
        ]
        quantiser, networks = pack_parameters(tensors)
        configuration = self.write_config(representation.config)
        sections = {"configuration": configuration, "quantiser": quantiser, "networks": networks}
        return bitstream.write(Container(self.number, representation.height, representation.width, sections))

    def _read_config(self, container: Container) -> Any:
        missing = {"configuration", "quantiser", "networks"} ^ set(container.sections)
        if missing:
            raise BitstreamError(f"a file of {self.name} has no section {missing.pop()!r}, or has one too many")
        reader = Reader(container.sections["configuration"], "configuration section")
        config = self.read_config(reader)
        reader.end()
        if problem := self._undecodable(config, container.height * container.width):
            raise BitstreamError(problem)
        return config

    def _read(self, container: Container) -> nn.Module:
        network = self._network(self._read_config(container), container.height, container.width, 0)
        with torch.no_grad():
            for parameter, stored in zip(network.parameters(), self._read_tensors(container, network), strict=True):
                parameter.copy_(stored.values() if isinstance(stored, QuantizedTensor) else stored.float())
        return network

    @staticmethod
    def _read_tensors(container: Container, network: nn.Module) -> list[QuantizedTensor | Tensor]:
        shapes = [parameter.shape for parameter in network.parameters()]
        return unpack_parameters(container.sections["quantiser"], container.sections["networks"], shapes)


def suitable_frequencies(frequencies: int, height: int, width: int, *, unit: bool) -> int:
    """The largest L up to ``frequencies`` with no frequency above half of what the shorter side's pixels can carry.

    π·1.4^i makes 1.4^i / 2 oscillations across [0, 1] (``unit``) and twice as many across [−1, 1]; a side of n pixels
    carries n/2. Higher ones are noise between the pixels, and weights spent on nothing: at 192×128 and 1 bpp, 12
    frequencies in place of 16 gain `siren` 0.3 dB and `struempler` 0.4 dB (means over Kodak 3, 15, 23), and zooms lose
    their ripples. From 512 pixels on, `siren` keeps the paper's 16.
    """
    carried = min(height, width) / (2 if unit else 4)
    return min(frequencies, 1 + math.floor(math.log(max(carried, 1)) / math.log(1.4)))


def points_per_step(config: NetworkConfig, pixels: int) -> int:
    """Pixels a step: a quarter of a small picture; of a large one, seven for ten weights, 6,000 at least.

    More make a step slower than they make it better, far fewer fit the sub-canvas instead of the picture. In equal
    computing, on Kodak 3: at 384×256 (17,454 weights) 24,600 points end at 34.5 dB, 17,500 at 35.6, 12,300 at 36.4 and 6,100
    at 35.8; at 768×512 (14,992 weights) 7,500 to 21,000 end within 0.2 dB. Growing the canvas phase by phase gains nothing.
    """
    return min(pixels, max(6_000, min(pixels // 4, 7 * config.weights // 10)))


def affordable_iterations(config: NetworkConfig, pixels: int, budget: Budget) -> int:
    """Steps that a budget buys."""
    affordable = budget.operations / (config.weights * points_per_step(config, pixels))
    return int(min(max(affordable, 120), budget.iterations))


def rate_aware(config: NetworkConfig, pixels: int, budget: Budget, learning_rate: float) -> Recipe:
    """Full precision, noise with adapting steps and the rate in the loss, straight-through rounding; one cycle."""
    total = affordable_iterations(config, pixels, budget)
    points = points_per_step(config, pixels)
    first = Phase("full precision", total // 6, learning_rate=learning_rate, points=points, schedule=OneCycle())
    noise = replace(first, name="noise", iterations=total - 2 * (total // 6), restart=False)
    return (
        first,
        replace(noise, quantization="noise", calibrate_every=50),
        replace(first, name="rounding", quantization="round", restart=False),
    )
