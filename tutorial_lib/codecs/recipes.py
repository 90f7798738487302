"""Recipes that several codecs share: networks with the rate in the loss, latent grids old and new."""

from __future__ import annotations

import math
from dataclasses import replace

from tutorial_lib.codecs.networks import NetworkConfig
from tutorial_lib.codecs.plans import Budget
from tutorial_lib.training import Constant, Cosine, GridPhase, GridRecipe, OneCycle, Phase, Recipe
from tutorial_lib.training.phases import EVERYTHING, NETWORKS, Part, Stand


def suitable_frequencies(frequencies: int, *size: int, unit: bool) -> int:
    """The largest L up to ``frequencies`` with no frequency above half of what the shorter side's pixels can carry.

    π·1.4^i makes 1.4^i / 2 oscillations across [0, 1] (``unit``) and twice as many across [−1, 1]; a side of n pixels
    carries n/2. Higher ones are noise between the pixels, and weights spent on nothing: at 192×128 and 1 bpp, 12
    frequencies in place of 16 gain `siren` 0.3 dB and `struempler` 0.4 dB (means over Kodak 3, 15, 23), and zooms lose
    their ripples. From 512 pixels on, `siren` keeps the paper's 16.
    """
    carried = min(size) / (2 if unit else 4)
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
    """`full_cycle` on the points and in the steps that suit a network and a budget."""
    return full_cycle(affordable_iterations(config, pixels, budget), points_per_step(config, pixels), learning_rate)


def full_cycle(total: int, points: int, learning_rate: float) -> Recipe:
    """Full precision, noise with adapting steps and the rate in the loss, straight-through rounding; one cycle."""
    first = Phase("full precision", total // 6, learning_rate=learning_rate, points=points, schedule=OneCycle())
    noise = replace(first, name="noise", iterations=total - 2 * (total // 6), restart=False)
    return (
        first,
        replace(noise, quantization="noise", calibrate_every=50),
        replace(first, name="rounding", quantization="round", restart=False),
    )


# ------------------------------------------------------------------------------------------ latent grids


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

    Large pictures, where a minute is a hundred looks at every latent: Kodak 3 at 768×512, `coolchic-small`, one seed, 900 steps,
    each on one of six bands, unless said otherwise:

    =====================================================================  =======================
    a band a step instead of the whole picture, 60 CPU seconds             0.843 → 0.705
    pyramid nearer to zero by 1 / 2 steps; with twice the first step, 2    0.747 / 0.742; 0.824
    networks' rate 1.2·10⁻² / 2·10⁻² instead of 7·10⁻³                     0.742 → 0.729 / 0.729
    latents' betas (0.8, 0.98) / (0.6, 0.98) instead of (0.9, 0.98)        0.729 → 0.704 / 0.689
    betas (0.5, 0.9), rate 1.5·10⁻², ε halved                              0.689 → 0.669
    betas (0.6, 0.95) instead of (0.9, 0.98), 3,000 steps                  0.595 → 0.597
    ε four times as large, rate 10⁻² / 2·10⁻² / 4·10⁻²                     0.729 → 0.770 / 0.739 / 0.808
    half of the size first, then grid 0, 47 against about 47 CPU seconds   0.67 → 0.713
    two more grids for colour, at ¼ / ⅛ of the size, 40 CPU seconds        0.679 → 0.695 / 0.693
    =====================================================================  =======================

    Networks fitted to ten photographs to start from (`latents.starts`), with a pyramid that suits them, files decoded, one seed:

    =====================================================================  =======================
    `coolchic-large`, Kodak 5 at 768×512, 600 steps, 64 CPU seconds        1.872 → 1.655
    the same, Kodak 15, 8 at 384×256, 400 steps                            1.060 → 0.953, 2.274 → 1.945
    the same, Kodak 15 at 384×256, 1,500 steps                             0.867 → 0.820
    `coolchic-v2`, -`small`, -`v1`, Kodak 15 at 384×256, 500 steps         0.998 → 0.903, 1.032 → 1.001, 1.064 → 1.033
    `coolchic-small`, Kodak 3 at 192×128, 300 steps, λ = 10⁻², 10⁻³, 10⁻⁴  5.946 → 3.981, 1.112 → 1.022, 0.321 → 0.307
    pyramid nearer to zero by 1.25 instead of 2.5 steps, four pictures     +2.8, +0.3, −1.9, −0.5 %
    networks' rate 6·10⁻³ instead of 1.2·10⁻², three pictures              +1.7, +0.4, +1.7 %
    networks of six photographs: context model alone, Kodak 8 at 768×512   2.006 → 1.987
    the same: all, with the pyramid as it was                              2.006 → 1.910
    the same: weights in the file as differences, Kodak 15, 8 at 384×256   −0.8, −0.3 %: left out
    =====================================================================  =======================

    A fit that minimizes L1 + SSIM from its first step may never get beyond a blurred picture. On Kodak 3 at 288×192 (v1, 300
    iterations, λ = 0.02) it ended at 23.8 dB and 0.0576 for J; with MSE for the first 0.2 / 0.4 of the steps at 33.4 / 34.5 dB
    and 0.0445 / 0.0437.

    Args:
        iterations: in all; the tail has a tenth of them.
    """
    tail = max(iterations // 10, 1)
    main = GridPhase(
        "soft rounding", max(iterations - tail, 1), network_rate=1.2e-2, network_schedule=OneCycle(warm_up=0.2),
        latent_rate=1.5e-2, latent_betas=(0.5, 0.9), latent_epsilon=1.0, mse_first=0.4, banded=True,
    )  # fmt: skip
    final = GridPhase(
        "hard rounding", tail, "round", NETWORKS, network_rate=1e-3, network_schedule=Cosine(floor=0.01), banded=True
    )
    return GridRecipe((main, final), threshold=2.5)


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
    return GridRecipe((noise, through), (5,), replace(noise, name="warm-up", iterations=200), "learned", "zeros")


def published_v2(iterations: int) -> GridRecipe:
    """COOL-CHIC v2's preset `faster`: warm-ups of 5, 4, 3 and 2 candidates, then 6,300 iterations in eleven phases.

    Not theirs: the networks are quantized at the very end and not before the latents' last phase.

    Args:
        iterations: of the phases together; 6,300 is the preset itself, other numbers shorten or lengthen them all.
    """

    def phase(name: str, count: int, rate: float, quantization: Stand = "noise", trains: tuple[Part, ...] = EVERYTHING):
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
    return GridRecipe(phases, (5, 4, 3, 2), warm_up, "learned", "zeros")
