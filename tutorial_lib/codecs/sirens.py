"""The codecs whose network is a SIREN: the ICIP 2024 tutorial's, COIN's, Strümpler et al.'s."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tutorial_lib.codecs.base import Codec
from tutorial_lib.codecs.networks import MAX_FREQUENCIES, MAX_LAYERS, CoordinateNetworks, Method
from tutorial_lib.codecs.plans import Budget
from tutorial_lib.codecs.recipes import affordable_iterations, points_per_step, rate_aware, suitable_frequencies
from tutorial_lib.codecs.references import read_reference, write_reference
from tutorial_lib.coding.bitstream import Reader, varint
from tutorial_lib.coding.rounding import AdaRound
from tutorial_lib.networks.differences import MetaConfig, SirenFrom, load
from tutorial_lib.networks.siren import Siren, SirenConfig
from tutorial_lib.training import Constant, Cosine, Phase, Recipe

MIN_WIDTH, MAX_WIDTH = 4, 512


@dataclass(frozen=True, kw_only=True)
class SirenNetworks(CoordinateNetworks):
    """Networks of one SIREN codec; see `SIREN`, `COIN` and `STRUEMPLER`.

    Args:
        template: the family's network; width and depth follow from the rate.
        depths: (largest number of weights, sine layers) in rising order.
        paper_width, paper_layers: the paper's own network, for "published" when no rate is asked for.
        meta: files may start from a meta-learned initialization (`networks.differences`).
    """

    template: SirenConfig
    depths: tuple[tuple[float, int], ...]
    paper_width: int = 64
    paper_layers: int = 3
    meta: bool = False

    def widest(self, fits: Callable[[SirenConfig], bool], size: tuple[int, ...] | None) -> SirenConfig | None:
        template = self.template
        if size:
            frequencies = suitable_frequencies(template.frequencies, *size[-2:], unit=template.domain == "unit")
            template = replace(template, frequencies=frequencies)
        for largest, layers in self.depths:
            fitting = None
            for width in range(MIN_WIDTH, MAX_WIDTH + 1):
                config = replace(template, width=width, sine_layers=layers)
                if not fits(config):
                    break
                fitting = config
            if fitting and fitting.weights <= largest and fitting.width < MAX_WIDTH:
                return fitting
        return None

    def smallest(self) -> SirenConfig:
        return replace(self.template, width=MIN_WIDTH, sine_layers=self.depths[0][1])

    def paper(self) -> SirenConfig:
        return replace(self.template, width=self.paper_width, sine_layers=self.paper_layers)

    def build(self, config: SirenConfig, *size: int) -> Siren:
        if isinstance(config, MetaConfig):
            return SirenFrom(config, *size)
        return Siren(config, *size)

    def write_config(self, config: SirenConfig) -> bytes:
        shape = varint(config.width) + varint(config.sine_layers) + varint(config.frequencies)
        return shape + (write_reference(config) if isinstance(config, MetaConfig) else b"")

    def read_config(self, reader: Reader) -> SirenConfig:
        width, sine_layers, frequencies = reader.varint(), reader.varint(), reader.varint()
        config = replace(self.template, width=width, sine_layers=sine_layers, frequencies=frequencies)
        return read_reference(reader, config) if self.meta and reader.position < len(reader.data) else config

    def impossible(self, config: SirenConfig) -> str | None:
        possible = 1 <= config.sine_layers <= MAX_LAYERS and 0 <= config.frequencies <= MAX_FREQUENCIES
        return None if possible and config.width >= 1 else f"{config} is impossible here"


def _learning_rate(config: SirenConfig) -> float:
    """SOAP's largest stable rate: it falls with width and depth, and an encoding's high frequencies lower it.

    Measured on Kodak 3 and 15 at 192×128: COIN 5×20 is best at 8·10⁻³ (5·10⁻³: −0.3 dB, 1.2·10⁻²: −0.5 dB), the
    encoded networks take 5·10⁻³ at a width of 31 and 2·10⁻³ at 128, where 5·10⁻³ ends 18 dB lower. At 384×256 COIN 5×30 gains
    0.5 dB from 4·10⁻³ instead of 8·10⁻³, and 10×29, at 0.6 bpp, has 32.1 dB at 2·10⁻³, 31.2 at 4·10⁻³ and, with one of two seeds,
    25.3 at 8·10⁻³ (Kodak 3; on Kodak 15 29.9 dB at 1·10⁻³ and at 2·10⁻³, 27.9 at 4·10⁻³).
    """
    if config.frequencies:
        return min(5e-3, 0.256 / config.width)
    return 2e-3 if config.sine_layers > 5 else min(8e-3, 0.16 / config.width)


def siren_recipe(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """Ours: the rate in the loss, SOAP."""
    return rate_aware(config, pixels, budget, _learning_rate(config))


def _fast_8_bits(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """Strümpler et al.'s two stages with SOAP: L1 on the weights throughout, then 8-bit QAT."""
    total = affordable_iterations(config, pixels, budget)
    first = Phase(
        "full precision",
        total * 3 // 4,
        learning_rate=_learning_rate(config),
        points=points_per_step(config, pixels),
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
    """Strümpler et al. (ECCV 2022): 25,000 iterations of Adam at 5·10⁻⁴ with L1, AdaRound, 300 of 8-bit QAT at 10⁻⁶.

    Not theirs: a cosine in place of halving on plateaus, steps by the largest weight instead of a search that leaves outliers
    out, AdaRound for all layers at once (`coding.rounding.AdaRound`), and each tensor coded under the best of four laws
    instead of one histogram for all.
    """
    first = Phase("full precision", 25_000, "adam", 5e-4, Cosine(floor=0.01), weight_penalty=1e-5)
    return first, replace(first, name="8-bit QAT", iterations=300, learning_rate=1e-6, quantization="round", settle=True)


def _meta(config: SirenConfig, pixels: int, budget: Budget) -> Recipe:
    """From a meta-learned initialization: Adam with L1 on the differences, AdaRound, 7-bit QAT, as Strümpler et al.

    Not theirs: the steps (what the budget affords, and a larger learning rate for so few), the schedules, and, as in
    `_struempler`, the steps of the quantizer, AdaRound for all layers and the laws. The initialization is Reptile's, of a few
    minutes: on coffee at 75×50, 30, 100 and 300 steps of Adam lead from it to 21.6, 27.9 and 33.6 dB, and from the usual one to
    15.2, 26.4 and 32.8 dB (each at the best of four learning rates); on Kodak 3 at 192×128, 100 steps to 26.5 and 28.1 dB: there
    it only helps at half that best rate, 10⁻³, and below (26.0 and 24.6 dB).
    """
    total = affordable_iterations(config, pixels, budget)
    points = points_per_step(config, pixels)
    first = Phase("full precision", total * 9 // 10, "adam", 2e-3, Cosine(floor=0.01), weight_penalty=1e-5, points=points)
    qat = replace(first, name="7-bit QAT", iterations=total - first.iterations, learning_rate=1e-5)
    return first, replace(qat, quantization="round", settle=True)


SIREN = Codec(
    "siren",
    2,
    SirenNetworks(
        template=SirenConfig(width=128),
        depths=((math.inf, 3),),
        paper_width=128,
        paper_layers=3,
        methods={"fast": Method(siren_recipe, "rate", 5.5), "published": Method(_tutorial, "8 bits", 7.3)},
    ),
)
"""The network of the ICIP 2024 tutorial: 66 features of [0, 1]², three sine layers, a linear one."""

COIN = Codec(
    "coin",
    1,
    SirenNetworks(
        template=SirenConfig(width=20, sine_layers=5, frequencies=0, domain="aspect", narrow_biases=True),
        depths=((5_500, 5), (22_000, 10), (math.inf, 13)),
        paper_width=28,
        paper_layers=10,
        methods={"fast": Method(siren_recipe, "rate", 7.0), "published": Method(_coin, "float16", 16)},
    ),
)
"""COIN (Dupont et al., 2021): a plain SIREN on (x, y); published with float16 weights and no entropy coding."""

STRUEMPLER = Codec(
    "struempler",
    3,
    SirenNetworks(
        template=SirenConfig(width=64, sine_layers=4, frequencies=16, domain="canvas", colours="symmetric"),
        depths=((math.inf, 4),),
        paper_width=64,
        paper_layers=4,
        meta=True,
        methods={
            "fast": Method(_fast_8_bits, "8 bits", 6.2),
            "published": Method(_struempler, "8 bits", 7.0, AdaRound()),
            "meta": Method(_meta, "7 bits", 6.0, AdaRound(iterations=400), lambda: load(1).config),
        },
    ),
)
"""Strümpler et al. (2022): positional encoding, L1 on the weights, AdaRound and 8-bit QAT; "meta" starts from a meta-learned
initialization, and the file holds the differences to it at 7 bits."""
