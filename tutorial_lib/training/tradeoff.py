"""λ of J = D + λR: where a fit that aims at a rate begins, and what a unit of MSE is worth in another loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.coding.rates import laplace_entropy_bits
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.shape import GridsConfig
from tutorial_lib.latents.starts import start_from_pyramid
from tutorial_lib.losses import LOSSES


@dataclass
class RateTarget:
    """A rate for a whole file, of which the latents get what the rest of it leaves.

    Args:
        bpp: bits per pixel of the file.
        side_bytes: what it holds beside latents, about: networks and header.
        measure: (representation with integer latents, λ) to those bytes as they are; None to go on with the guess.
    """

    bpp: float
    side_bytes: float
    measure: Callable[[LatentGrids, float], float] | None = None

    def latents(self, pixels: int) -> float:
        """Bits per pixel for the latents; however large the networks are, a tenth of the file."""
        return max(self.bpp - 8 * self.side_bytes / pixels, 0.1 * self.bpp)


DEFAULT_LAMBDA = 1e-3

EXPECTED_ERROR = 0.4
"""The MSE that a fit with the loss "mse" ends with, about, as a multiple of λ."""


MIDDLE_SIDE = 256
"""Pixels of a side of the crop that stands for a picture where the whole would take seconds."""


def middle(picture: Tensor) -> Tensor:
    """The middle of a large picture, at most `MIDDLE_SIDE`² pixels; a view."""
    height, width = picture.shape[1:]
    if height * width <= MIDDLE_SIDE**2:
        return picture
    top, left = max(height - MIDDLE_SIDE, 0) // 2, max(width - MIDDLE_SIDE, 0) // 2
    return picture[:, top : top + MIDDLE_SIDE, left : left + MIDDLE_SIDE]


@torch.no_grad()
def loss_problem(name: object, picture: Tensor) -> str | None:
    """What keeps ``name`` from being the loss of a fit to ``picture``: a sentence, or None. It must have a value beside grey."""
    if not isinstance(name, str):
        return "a loss is given by its name; a function gets one by tutorial_lib.losses.LOSSES['mine'] = function"
    if name not in LOSSES:
        return f"no loss {name!r}; there are {', '.join(LOSSES)}"
    part = middle(picture)
    value = float(LOSSES[name](torch.full_like(part, 0.5), part))
    return None if math.isfinite(value) else f"the loss {name!r} is {value} for this picture beside a grey one"


@torch.no_grad()
def worth_of_mse(loss: str, picture: Tensor, error: float) -> float:
    """How much ``loss`` rises for each unit of MSE where the picture's error has the mean square ``error``.

    The error is what a blur takes away, scaled: like a codec's, it lies where the picture has detail. Noise would be twice as
    dear to an SSIM as a codec's error. Of large pictures the middle is looked at: an SSIM of megapixels takes seconds.
    """
    if loss == "mse":
        return 1.0
    picture = middle(picture)
    height, width = picture.shape[1:]
    coarse = F.interpolate(picture[None], size=(-(-height // 2), -(-width // 2)), mode="area")
    change = F.interpolate(coarse, size=(height, width), mode="bilinear")[0] - picture
    if not bool(change.any()):  # one colour
        change = torch.ones_like(picture)
    change *= math.sqrt(error) / change.square().mean().sqrt()
    low, high = (float(LOSSES[loss](picture + scale * change, picture)) for scale in (1.0, 1.1))
    return max(high - low, 1e-12) / (0.21 * error)


def loss_lambda(loss: str, picture: Tensor, in_mse: float) -> float:
    """The λ with which a fit with ``loss`` trades bits for error as one with the loss "mse" does at ``in_mse``, about."""
    return in_mse * worth_of_mse(loss, picture, EXPECTED_ERROR * in_mse)


def mse_lambda(loss: str, picture: Tensor, lmbda: float) -> float:
    """The λ at which a fit with the loss "mse" would trade bits for error as one with ``loss`` does at ``lmbda``, about."""
    if loss == "mse":
        return lmbda
    low, high = -24.0, 4.0  # log2; what is traded rises with λ
    for _ in range(9):
        guess = (low + high) / 2
        if loss_lambda(loss, picture, 2.0**guess) > lmbda:
            high = guess
        else:
            low = guess
    return 2.0**low


PYRAMID_STEP = 0.12
"""At λ = 10⁻³ a fit ends near the entropy of the picture's Laplacian pyramid in steps of this size in colour (Kodak 3 and 15 at
192×128: 0.55 and 0.72 bpp, the pyramids 0.47 and 0.90); λ goes with the step's square."""


def pyramid_bpp(trial: LatentGrids, picture: Tensor, step: float) -> float:
    """Entropy of the picture's Laplacian pyramid in steps of ``step``, bits per pixel; ``trial`` takes its values."""
    start_from_pyramid(trial, picture, step)
    return sum(laplace_entropy_bits(grid) for grid in trial.symbols()) / picture[0].numel()


def lambda_for(representation: LatentGrids, picture: Tensor, bpp: float) -> float:
    """About the λ at which a fit ends with ``bpp`` bits per pixel in the latents: where a steered fit begins."""
    trial = copy.deepcopy(representation)
    low, high = -10.0, 1.0  # log2 of the step; the entropy falls as it grows
    for _ in range(12):
        step = (low + high) / 2
        if pyramid_bpp(trial, picture, 2.0**step) > bpp:
            low = step
        else:
            high = step
    return 1e-3 * (2.0**high / PYRAMID_STEP) ** 2


def expected_bpp(config: GridsConfig, picture: Tensor, lmbda: float, iterations: int) -> float:
    """About what the latents take after a fit of so many steps at the `mse_lambda` ``lmbda``, in bits per pixel.

    A fit begins near 1.2 bpp, whatever λ, and comes near its end as e^(−n/60). The end is 0.8·P^0.7·(λ/10⁻³)^−0.46, P being the
    entropy of the pyramid in steps of `PYRAMID_STEP`. `coolchic-small` on Kodak 3, 8, 15 and coffee at 96×64 or 192×128, 12 to
    600 steps, λ from 10⁻² to 10⁻⁴: 14 % off in the mean, 59 % at worst (2026-11-27).
    """
    picture = middle(picture)
    settled = 0.8 * pyramid_bpp(LatentGrids(config, *picture.shape[1:]), picture, PYRAMID_STEP) ** 0.7
    start, end = min(1.2, 4 * settled), settled * (lmbda / 1e-3) ** -0.46
    return end + (start - end) * math.exp(-iterations / 60)


def largest_bpp(config: GridsConfig, picture: Tensor) -> float:
    """Bits per pixel of a pyramid in steps of one grey level: there is no use for more."""
    picture = middle(picture)
    return pyramid_bpp(LatentGrids(config, *picture.shape[1:]), picture, 1 / 255)


def first_step(lmbda: float) -> float:
    """The size in colour of a latent's step at the start, for the `mse_lambda`: it goes with the square root of the error.

    Fine steps leave the fit its choice, but where every latent is needed, below λ = 10⁻³, they only have to be unlearned. Twice
    as coarse, `coolchic-large` at 384×256 ends 500 steps at λ = 1.1·10⁻⁴ with 17 (Kodak 15) and 27 % (Kodak 5) less J, at 4·10⁻⁴
    with 2 and 7 %; at 10⁻³ and above it makes no difference (Kodak 3, 15, 24: −0.3, +2.5, +0.1 %). A photograph mostly out of
    focus, at 1,408×1,056 and 1.1·10⁻⁴, lost 4.5 %. One seed each.
    """
    coarser = min(max((1e-3 / lmbda) ** 0.43, 1.0), 2.0)
    return min(max(0.03 * coarser * math.sqrt(lmbda / 1e-3), 0.004), 0.2)
