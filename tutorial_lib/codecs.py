"""The named codecs: a picture in, bytes out, and back.

    >>> from tutorial_lib import codecs, images
    >>> picture = images.reduce(images.sample("coffee"), factor=4)
    >>> data = codecs.get("siren").encode(picture, bpp=1.0, budget="quick", progress=False)
    >>> 8 * len(data) / (100 * 150) <= 1.0
    True
    >>> codecs.decode(data, size=(200, 300)).shape
    torch.Size([3, 200, 300])

Learned and classical codecs have the same two methods. The learned ones offer two ways of encoding: "fast", ours, and
"published", the recipe of the paper, kept for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from tutorial_lib import bitstream, images, training
from tutorial_lib.bitstream import BitstreamError, Container, Reader, varint
from tutorial_lib.classical_codecs import CODECS as CLASSICAL
from tutorial_lib.classical_codecs import ClassicalCodec, CodecError
from tutorial_lib.entropy_coding import Laplace, pack_parameters, unpack_parameters
from tutorial_lib.quantization import (
    MaxAbsQuantizer,
    QuantizedTensor,
    Quantizer,
    RateDistortionQuantizer,
    quantize,
)
from tutorial_lib.runtime import choose_budget, choose_device
from tutorial_lib.siren import Siren, SirenConfig
from tutorial_lib.training import Constant, Cosine, Phase, Recipe, Report

MAX_WEIGHTS = 1 << 20
MAX_LAYERS = 64
MAX_FREQUENCIES = 64
MIN_WIDTH, MAX_WIDTH = 4, 512
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

Storage = Literal["rate", "8 bits", "float16"]


@dataclass(frozen=True)
class Method:
    """A way of encoding.

    Args:
        recipe: phases for a network, a number of pixels and a budget.
        storage: "rate", steps by rate and distortion within the target; "8 bits", steps by the largest weight;
            "float16", two bytes a weight and no entropy coding.
        bits_per_weight: what a weight will cost, about; turns a target rate into a width.
    """

    recipe: Callable[[SirenConfig, int, Budget], Recipe]
    storage: Storage
    bits_per_weight: float


@dataclass(frozen=True)
class Plan:
    """What an encode is about to do: network, recipe and the bytes to stay within (None: whatever it takes)."""

    codec: str
    config: SirenConfig
    height: int
    width: int
    recipe: Recipe
    storage: Storage
    target_bytes: int | None
    expected_bytes: int

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
class SirenCodec:
    """A codec whose representation is a SIREN; see `SIREN`, `COIN` and `STRUEMPLER`.

    Args:
        name, number: in the registry, and in every file.
        template: the family's network; width and depth follow from the rate.
        depths: (largest number of weights, sine layers) in rising order.
        methods: ways of encoding by name.
        published_width, published_layers: the paper's own network, for "published" when no rate is asked for.
    """

    name: str
    number: int
    template: SirenConfig
    depths: tuple[tuple[float, int], ...]
    methods: Mapping[str, Method]
    published_width: int
    published_layers: int

    def plan(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        budget: str | None = None,
        method: str = "fast",
        config: SirenConfig | None = None,
        device: torch.device | None = None,
    ) -> Plan:
        """Decide the network, the recipe and the size of the file.

        Args:
            picture: (3, H, W) in [0, 1].
            bpp: target in bits per pixel. The network's width follows from it; a "rate" method's file stays within it.
                Default: 1, but no more bytes than the budget can fit well; for "published" the paper's own network.
            budget: "quick", "laptop" or "gpu"; default `runtime.choose_budget`.
            method: "fast" or "published".
            config: take this network instead of choosing one.

        Raises:
            CodecError: no such method, or a rate too low for the smallest network or too high for the largest.
            ValueError: not a picture, or no such budget.
        """
        if problem := images.picture_problem(picture):
            raise ValueError(problem)
        if method not in self.methods:
            raise CodecError(f"{self.name} has no method {method!r}; there are {', '.join(self.methods)}")
        how, limits = self.methods[method], BUDGETS[choose_budget(budget, device)]
        height, width = picture.shape[1:]
        pixels = height * width
        target = None
        if bpp is not None:
            if not (math.isfinite(bpp) and bpp > 0):
                raise CodecError(f"a rate is a positive number of bits per pixel, not {bpp}")
            target = int(min(bpp * pixels / 8, bitstream.MAX_PIXELS))
        elif method == "fast" and config is None:
            target = max(min(pixels // 8, limits.default_bytes), self._expected(self._smallest(), how))
        if config is None and method == "published":
            config = self._published() if target is None else self._within(target, how, bpp)
        elif config is None:
            # the network's frequencies follow from the picture, its width from the rate
            suited = replace(self, template=_with_suitable_frequencies(self.template, height, width))
            config = suited._within(target, how, bpp)
        if problem := _undecodable(config, pixels):
            raise CodecError(problem)
        expected = self._expected(config, how)
        if how.storage == "rate":
            target = expected if target is None else target
            expected = target
        recipe = how.recipe(config, pixels, limits)
        return Plan(self.name, config, height, width, recipe, how.storage, target, expected)

    def encode(
        self,
        picture: Tensor,
        *,
        bpp: float | None = None,
        budget: str | None = None,
        method: str = "fast",
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
        plan = self.plan(picture, bpp=bpp, budget=budget, method=method, device=where)
        return self.execute(plan, picture, seed=seed, device=device, progress=progress, callback=callback).data

    def execute(
        self,
        plan: Plan,
        picture: Tensor,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[training.Progress], None] | None = None,
    ) -> Encoding:
        """Carry out a plan of this codec: fit, quantise, entropy-code, write.

        Args:
            plan: from `plan`, for a picture of this size.
            picture: (3, H, W) in [0, 1].
            seed: the same seed on the same machine gives the same file.
            device: "cpu", "cuda", "mps"; default `runtime.choose_device`.
            progress: show a progress bar.
            callback: see `training.fit`.
        """
        if picture.shape != (3, plan.height, plan.width):
            raise ValueError(f"the plan is for {plan.width}×{plan.height} pixels, not for {tuple(picture.shape)}")
        representation = self._network(plan.config, plan.height, plan.width, seed)
        representation.to(choose_device(device))
        quantizer = self._quantizer(plan)
        report = training.fit(
            representation,
            picture,
            plan.recipe,
            quantizer=quantizer,
            seed=seed,
            progress=progress,
            callback=callback,
        )
        if quantizer and not report.steps:  # stopped before the first quantised state was scored
            training.calibrate(quantizer, representation, picture)
            report = replace(report, steps=quantizer.steps)
        return Encoding(self._write(representation, report.steps), report)

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

    def config_of(self, data: bytes) -> SirenConfig:
        """The network's shape as a file gives it."""
        return self._read_config(bitstream.read(data))

    def describe(self, data: bytes) -> list[dict[str, Any]]:
        """A row for each stored tensor: name, shape, step and bound (None for float16), bits_per_weight."""
        rows = []
        for name, tensor in self.tensors(data).items():
            row: dict[str, Any] = {"name": name, "step": None, "bound": None, "bits_per_weight": 16.0}
            if isinstance(tensor, QuantizedTensor):
                model = Laplace.fitted(tensor.symbols)
                row |= {"step": tensor.step, "bound": model.bound}
                row["bits_per_weight"] = model.bits(tensor.symbols) / tensor.symbols.size
                row["shape"] = list(tensor.symbols.shape)
            else:
                row["shape"] = list(tensor.shape)
            rows.append(row)
        return rows

    def _within(self, target: int, how: Method, bpp: float | None) -> SirenConfig:
        """The widest network whose file should fit ``target`` bytes, of the family's depth for its size."""
        for largest, layers in self.depths:
            fitting = None
            for width in range(MIN_WIDTH, MAX_WIDTH + 1):
                config = replace(self.template, width=width, sine_layers=layers)
                if self._expected(config, how) > target:
                    break
                fitting = config
            if fitting and fitting.weights <= largest and fitting.width < MAX_WIDTH:
                return fitting
        need = self._expected(self._smallest(), how)
        rate = f"{bpp:g} bpp is {target:,} bytes for this picture"
        if target < need:
            raise CodecError(f"{rate}; the smallest {self.name} network takes about {need}")
        raise CodecError(f"{rate}, more than the largest {self.name} network takes")

    def _smallest(self) -> SirenConfig:
        return replace(self.template, width=MIN_WIDTH, sine_layers=self.depths[0][1])

    def _expected(self, config: SirenConfig, how: Method) -> int:
        """About how many bytes a file with this network has."""
        return self._overhead(config) + math.ceil(config.weights * how.bits_per_weight / 8)

    def _published(self) -> SirenConfig:
        return replace(self.template, width=self.published_width, sine_layers=self.published_layers)

    @staticmethod
    def _overhead(config: SirenConfig) -> int:
        """Bytes that aren't weights: header, table and checksum, configuration, quantiser, the coder's last word."""
        return 32 + 6 + 5 * 2 * (config.sine_layers + 1) + 4

    @staticmethod
    def _network(config: SirenConfig, height: int, width: int, seed: int) -> Siren:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Siren(config, height, width)

    def _quantizer(self, plan: Plan) -> Quantizer | None:
        match plan.storage:
            case "rate":
                return RateDistortionQuantizer(8 * (plan.target_bytes - self._overhead(plan.config)))
            case "8 bits":
                return MaxAbsQuantizer(8)
        return None

    def _write(self, representation: Siren, steps: Mapping[str, float]) -> bytes:
        tensors = [
            quantize(parameter, steps[name]) if steps else parameter.detach()
            for name, parameter in representation.named_parameters()
        ]
        quantiser, networks = pack_parameters(tensors)
        config = representation.config
        configuration = varint(config.width) + varint(config.sine_layers) + varint(config.frequencies)
        sections = {"configuration": configuration, "quantiser": quantiser, "networks": networks}
        return bitstream.write(Container(self.number, representation.height, representation.width, sections))

    def _read_config(self, container: Container) -> SirenConfig:
        missing = {"configuration", "quantiser", "networks"} ^ set(container.sections)
        if missing:
            raise BitstreamError(f"a file of {self.name} has no section {missing.pop()!r}, or has one too many")
        reader = Reader(container.sections["configuration"], "configuration section")
        width, sine_layers, frequencies = reader.varint(), reader.varint(), reader.varint()
        reader.end()
        config = replace(self.template, width=width, sine_layers=sine_layers, frequencies=frequencies)
        if problem := _undecodable(config, container.height * container.width):
            raise BitstreamError(problem)
        return config

    def _read(self, container: Container) -> Siren:
        network = self._network(self._read_config(container), container.height, container.width, 0)
        with torch.no_grad():
            for parameter, stored in zip(
                network.parameters(), self._read_tensors(container, network), strict=True
            ):
                parameter.copy_(stored.values() if isinstance(stored, QuantizedTensor) else stored.float())
        return network

    @staticmethod
    def _read_tensors(container: Container, network: Siren) -> list[QuantizedTensor | Tensor]:
        shapes = [parameter.shape for parameter in network.parameters()]
        return unpack_parameters(container.sections["quantiser"], container.sections["networks"], shapes)


def _undecodable(config: SirenConfig, pixels: int) -> str | None:
    """What keeps a decoder from a network of this shape: a sentence, or None."""
    shape = f"a network of {config.sine_layers} layers of {config.width} with {config.frequencies} frequencies"
    if not (config.width >= 1 and 1 <= config.sine_layers <= MAX_LAYERS and 0 <= config.frequencies <= MAX_FREQUENCIES):
        return f"{shape} is impossible here"
    if config.weights > MAX_WEIGHTS:
        return f"{shape} has {config.weights:,} weights, and {MAX_WEIGHTS:,} are the most that this program decodes"
    if config.weights * pixels > MAX_OPERATIONS:
        return f"{shape} and a picture of {pixels:,} pixels are together more than this program decodes"
    return None


def _with_suitable_frequencies(config: SirenConfig, height: int, width: int) -> SirenConfig:
    """The network with no frequency above half of what the shorter side's pixels can carry.

    π·1.4^i makes 1.4^i / 2 oscillations across [0, 1] and twice as many across [−1, 1]; a side of n pixels carries
    n/2. Higher ones are noise between the pixels, and weights spent on nothing: at 192×128 and 1 bpp, 12 frequencies
    in place of 16 gain `siren` 0.3 dB and `struempler` 0.4 dB (means over Kodak 3, 15, 23), and zooms lose their
    ripples. From 512 pixels on, `siren` keeps the paper's 16.
    """
    carried = min(height, width) / (2 if config.domain == "unit" else 4)
    suitable = 1 + math.floor(math.log(max(carried, 1)) / math.log(1.4))
    return replace(config, frequencies=min(config.frequencies, suitable))


def _points(config: SirenConfig, pixels: int) -> int:
    """Pixels a step: a quarter of a small picture; of a large one, as many as there are weights.

    With fewer, a step's gradient says more about its sub-canvas than about the picture. `siren` with 21,000 weights on
    Kodak 3 (768×512): 1,800 steps of 24,600 pixels end at 32.6 dB after 70 s, 3,000 of 10,900 at 31.2 dB after 57 s.
    """
    return min(pixels, max(6_000, min(pixels // 4, config.weights)))


def _iterations(config: SirenConfig, pixels: int, budget: Budget) -> int:
    affordable = budget.operations / (config.weights * _points(config, pixels))
    return int(min(max(affordable, 120), budget.iterations))


def _learning_rate(config: SirenConfig) -> float:
    """SOAP's largest stable rate: it falls with the width, and an encoding's high frequencies lower it.

    Measured on Kodak 3 and 15 at 192×128: COIN 5×20 is best at 8·10⁻³ (5·10⁻³: −0.3 dB, 1.2·10⁻²: −0.5 dB), the
    encoded networks take 5·10⁻³ at a width of 31 and 2·10⁻³ at 128, where 5·10⁻³ ends 18 dB lower.
    """
    return min(5e-3 if config.frequencies else 8e-3, 0.256 / config.width)


def _fast(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """Full precision, noise with adapting steps and the rate in the loss, straight-through rounding; one cycle."""
    total = _iterations(config, pixels, budget)
    first = Phase(
        "full precision", total // 6, learning_rate=_learning_rate(config), points=_points(config, pixels)
    )
    return (
        first,
        replace(first, name="noise", iterations=total - 2 * (total // 6), quantization="noise", restart=False),
        replace(first, name="rounding", quantization="round", restart=False),
    )


def _fast_8_bits(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """Strümpler et al.'s two stages with SOAP: L1 on the weights throughout, then 8-bit QAT."""
    total = _iterations(config, pixels, budget)
    first = Phase(
        "full precision",
        total * 3 // 4,
        learning_rate=_learning_rate(config),
        points=_points(config, pixels),
        weight_penalty=1e-5,
    )
    qat = replace(first, name="8-bit QAT", iterations=total - total * 3 // 4, quantization="round")
    return first, replace(qat, learning_rate=first.learning_rate / 5)


def _tutorial(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """ICIP 2024 tutorial: 100 iterations, then 20 with 8-bit QAT; Adam 10⁻³, cosine with half-period 50."""
    first = Phase("full precision", 100, "adam", 1e-3, Cosine(half_period=50, floor=0.1))
    return first, replace(first, name="8-bit QAT", iterations=20, quantization="round")


def _coin(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """COIN (Dupont et al., arXiv 2103.03123): 50,000 full-batch iterations of Adam at 2·10⁻⁴."""
    return (Phase("full precision", 50_000, "adam", 2e-4, Constant()),)


def _struempler(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """Strümpler et al. (ECCV 2022): 25,000 + 300 iterations of Adam at 5·10⁻⁴ with L1, then 8-bit QAT at 10⁻⁶.

    Not theirs: a cosine in place of halving on plateaus, steps by the largest weight, no AdaRound, no meta-learning,
    and the weights coded tensor by tensor with Laplace models instead of one histogram.
    """
    first = Phase("full precision", 25_000, "adam", 5e-4, Cosine(floor=0.01), weight_penalty=1e-5)
    return first, replace(first, name="8-bit QAT", iterations=300, learning_rate=1e-6, quantization="round")


SIREN = SirenCodec(
    name="siren",
    number=2,
    template=SirenConfig(width=128),
    depths=((math.inf, 3),),
    methods={"fast": Method(_fast, "rate", 5.5), "published": Method(_tutorial, "8 bits", 7.3)},
    published_width=128,
    published_layers=3,
)
"""The network of the ICIP 2024 tutorial: 66 features of [0, 1]², three sine layers, a linear one."""

COIN = SirenCodec(
    name="coin",
    number=1,
    template=SirenConfig(width=20, sine_layers=5, frequencies=0, domain="aspect", narrow_biases=True),
    depths=((5_500, 5), (22_000, 10), (math.inf, 13)),
    methods={"fast": Method(_fast, "rate", 7.0), "published": Method(_coin, "float16", 16)},
    published_width=28,
    published_layers=10,
)
"""COIN (Dupont et al., 2021): a plain SIREN on (x, y); published with float16 weights and no entropy coding."""

STRUEMPLER = SirenCodec(
    name="struempler",
    number=3,
    template=SirenConfig(width=64, sine_layers=4, frequencies=16, domain="canvas", colours="symmetric"),
    depths=((math.inf, 4),),
    methods={
        "fast": Method(_fast_8_bits, "8 bits", 6.2),
        "published": Method(_struempler, "8 bits", 7.0),
    },
    published_width=64,
    published_layers=4,
)
"""Strümpler et al. (2022): positional encoding, L1 on the weights, 8-bit QAT; their meta-learning is not part of it."""

LEARNED: dict[str, SirenCodec] = {codec.name: codec for codec in (COIN, SIREN, STRUEMPLER)}


def names() -> tuple[str, ...]:
    """All codecs, learned ones first."""
    return (*LEARNED, *CLASSICAL)


def get(name: str) -> SirenCodec | ClassicalCodec:
    """The codec of that name.

    Raises:
        CodecError: there is none; the message lists those there are.
    """
    if name in LEARNED:
        return LEARNED[name]
    if name in CLASSICAL:
        return CLASSICAL[name]
    raise CodecError(f"no codec {name!r}; there are {', '.join(names())}")


def codec_of(data: bytes) -> SirenCodec:
    """The codec that wrote an ``.inr`` file.

    Raises:
        BitstreamError: not an intact ``.inr`` file, or of a codec this version doesn't have.
    """
    number = bitstream.read(data).codec
    for codec in LEARNED.values():
        if codec.number == number:
            return codec
    raise BitstreamError(f"the file belongs to codec number {number}, which this version doesn't have")


def decode(data: bytes, size: tuple[int, int] | None = None, *, device: str | None = None) -> Tensor:
    """The picture in any ``.inr`` file; arguments and errors as `SirenCodec.decode`."""
    return codec_of(data).decode(data, size, device=device)
