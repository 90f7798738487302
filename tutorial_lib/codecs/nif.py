"""NIF as a codec, with two recipes: the authors' and a faster one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from tutorial_lib import images, losses
from tutorial_lib.codecs.base import Codec
from tutorial_lib.codecs.networks import MAX_FREQUENCIES, MAX_LAYERS, CoordinateNetworks, Method
from tutorial_lib.codecs.plans import Budget
from tutorial_lib.codecs.recipes import rate_aware, suitable_frequencies
from tutorial_lib.coding.bitstream import Reader, varint
from tutorial_lib.networks import nif
from tutorial_lib.networks.nif import Nif, NifConfig
from tutorial_lib.training import Phase, Recipe, WarmUpCycles, WeightRestart

MIN_WIDTH, MAX_WIDTH = 10, 1_000


@dataclass(frozen=True, kw_only=True)
class NifNetworks(CoordinateNetworks):
    """NIF's networks. A rate chooses the width; with "published", one of the paper's networks."""

    def widest(self, fits: Callable[[NifConfig], bool], picture: tuple[int, int] | None) -> NifConfig | None:
        if picture is None:
            ladder = sorted(nif.PUBLISHED.values(), key=lambda config: config.weights)
        else:
            ladder = (_of_width(width, *picture) for width in range(MIN_WIDTH, MAX_WIDTH + 1))
        fitting = None
        for config in ladder:
            if not fits(config):
                return fitting
            fitting = config
        return None if picture else fitting

    def smallest(self) -> NifConfig:
        return _of_width(MIN_WIDTH, images.MAX_PIXELS, images.MAX_PIXELS)  # all 16 frequencies

    def paper(self) -> NifConfig:
        return nif.PUBLISHED["120"]

    def build(self, config: NifConfig, height: int, width: int) -> Nif:
        return Nif(config, height, width)

    def write_config(self, config: NifConfig) -> bytes:
        frequencies = varint(config.frequencies) + varint(config.modulation_frequencies)
        return _write_widths(config.genesis) + _write_widths(config.modulation) + frequencies

    def read_config(self, reader: Reader) -> NifConfig:
        genesis, modulation = _read_widths(reader), _read_widths(reader)
        return NifConfig(genesis, modulation, reader.varint(), reader.varint())

    def impossible(self, config: NifConfig) -> str | None:
        layers, frequencies = (config.genesis, config.modulation), (config.frequencies, config.modulation_frequencies)
        possible = len(config.genesis) >= 1 and all(len(widths) <= MAX_LAYERS for widths in layers)
        possible = possible and all(width >= 1 for widths in layers for width in widths)
        possible = possible and all(0 <= each <= MAX_FREQUENCIES for each in frequencies)
        return None if possible else f"{config} is impossible here"


def _write_widths(widths: tuple[int, ...]) -> bytes:
    return varint(len(widths)) + b"".join(map(varint, widths))


def _read_widths(reader: Reader) -> tuple[int, ...]:
    count = min(reader.varint(), MAX_LAYERS + 1)  # one too many is enough to be refused
    return tuple(reader.varint() for _ in range(count))


def _of_width(width: int, height: int, columns: int) -> NifConfig:
    """Our ladder: the proportions of the paper's small networks, frequencies that suit the picture."""
    genesis = (width, round(0.4 * width), round(0.27 * width), round(0.2 * width))
    modulation = (max(round(0.14 * width), 4),) * 3
    frequencies = suitable_frequencies(16, height, columns, unit=False)
    return NifConfig(genesis, modulation, frequencies, min(4, frequencies))


def _log_cosh_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """NIF's loss: log cosh of colours in [−1, 1], where differences are twice as large, + 0.01·(1 − SSIM)."""
    ssim = losses.SSIM_OF_LOG_COSH * losses.ssim_loss(prediction, target)
    return losses.log_cosh(2 * prediction, 2 * target) + ssim


def _published(config: NifConfig, pixels: int, budget: Budget) -> Recipe:
    """The paper's recipe for Kodak: 10 steps of 150 iterations, then 5 of 40 with 8-bit QAT.

    An iteration visits the four sub-canvases of stride 2, one optimizer step (AdamW) each. Learning rates rise and fall
    within each step (10⁻³ to 6·10⁻⁴, the peak 1 % lower each time; QAT 5·10⁻⁵ to 2·10⁻⁵), and every step
    but the first starts from the best state, disturbed. Constants are those of the authors' configuration files.

    Not theirs: the order of the sub-canvases is random, weights and pixels are rounded instead of truncated, steps
    are bfloat16 and weights float32 instead of both float16; while fitting, the best state is sought every 25 optimizer
    steps instead of every four; a range coder instead of brotli in a pickle. Pictures smaller than
    CelebA's would be fitted whole there; here in quarters, as in the authors' own tests on reduced Kodak pictures.
    """
    parts = 4
    fit = Phase(
        "step 1 of 10",
        150 * parts,
        "adam",
        1e-3,
        WarmUpCycles(150, 20, 0.6, 0.99, parts),
        _log_cosh_ssim,
        weight_decay=1e-4,
        points=max(pixels // parts, 1),
    )
    recipe = [fit]
    for step in range(1, 10):
        p = step / 10
        restart = WeightRestart(0.125 + 0.575 * p**0.05, 0.9 - 0.7 * p**0.2)
        recipe.append(replace(fit, name=f"step {step + 1} of 10", restart=False, weight_restart=restart))
    for step in range(5):
        recipe.append(
            replace(
                fit,
                name=f"8-bit QAT {step + 1} of 5",
                iterations=40 * parts,
                learning_rate=5e-5,
                schedule=WarmUpCycles(40, 5, 0.4, 1.0, parts),
                weight_decay=0.01,
                quantization="round",
                calibrate_every=1,
                evaluate_every=parts,
                restart=step == 0,
                weight_restart=WeightRestart(0.005, 0.005 * step / 5) if step else None,
            )
        )
    return tuple(recipe)


def _learning_rate(config: NifConfig) -> float:
    return min(5e-3, 0.256 / config.genesis[0])


def _fast(config: NifConfig, pixels: int, budget: Budget) -> Recipe:
    """Ours: `recipes.rate_aware`. What each part gives, measured by replacing it, at 192×128, 0.95 bpp, 800 steps (PSNR of the
    decoded files, mean over Kodak 3, 15, 23; ``python tests/benchmarks/nif.py --only candidates,costs``, 2 cores, 2026-11-21):

    ======================================================  ==========
    as it is                                                32.18 dB
    Adam at 2·10⁻³ / 5·10⁻³ instead of SOAP                 30.81 / 31.58 dB
    a constant learning rate instead of one cycle           29.12 dB
    a warm-up of a tenth of the steps instead of 0.4        31.88 dB
    the whole picture in every step, 200 steps              29.51 dB
    no rate in the loss                                     31.47 dB
    rounding from the start of QAT, no noise                31.34 dB
    log-cosh+ssim instead of mse                            32.01 dB
    ======================================================  ==========

    A step on 6,000 points of the network "120-reduced" takes 14.1 ms, with PyTorch's own operations in place of
    `nif.ModulatedSine` 15.3; that freed memory stays mapped and that threads are tried while it runs is in
    `tutorial_lib.runtime`. No autocast and no TF32: no GPU was at hand to measure whether they are harmless.
    """
    return rate_aware(config, pixels, budget, _learning_rate(config))


NIF = Codec(
    "nif",
    4,
    NifNetworks(methods={"fast": Method(_fast, "rate", 5.5), "published": Method(_published, "8 bits", 7.3)}),
)
"""NIF (Catania and Allegra, 2023): see `networks.nif`."""
