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
from tutorial_lib.latents.grids import LatentGrids, start_from_pyramid
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


EXPECTED_ERROR = 0.4
"""The MSE that a fit with the loss "mse" ends with, about, as a multiple of λ."""


WORTH_SIDE = 256
"""Pixels of a side of the crop that `worth_of_mse` looks at."""


@torch.no_grad()
def worth_of_mse(loss: str, picture: Tensor, error: float) -> float:
    """How much ``loss`` rises for each unit of MSE where the picture's error has the mean square ``error``.

    The error is what a blur takes away, scaled: like a codec's, it lies where the picture has detail. Noise would be twice as
    dear to an SSIM as a codec's error. Of large pictures the middle is looked at: an SSIM of megapixels takes seconds.
    """
    if loss == "mse":
        return 1.0
    height, width = picture.shape[1:]
    if height * width > WORTH_SIDE**2:
        top, left = max(height - WORTH_SIDE, 0) // 2, max(width - WORTH_SIDE, 0) // 2
        picture = picture[:, top : top + WORTH_SIDE, left : left + WORTH_SIDE]
        height, width = picture.shape[1:]
    coarse = F.interpolate(picture[None], size=(-(-height // 2), -(-width // 2)), mode="area")
    change = F.interpolate(coarse, size=(height, width), mode="bilinear")[0] - picture
    if not bool(change.any()):  # one colour
        change = torch.ones_like(picture)
    change *= math.sqrt(error) / change.square().mean().sqrt()
    low, high = (float(LOSSES[loss](picture + scale * change, picture)) for scale in (1.0, 1.1))
    return max(high - low, 1e-12) / (0.21 * error)


def mse_lambda(loss: str, picture: Tensor, lmbda: float) -> float:
    """The λ at which a fit with the loss "mse" would trade bits for error as one with ``loss`` does at ``lmbda``, about."""
    if loss == "mse":
        return lmbda
    low, high = -24.0, 4.0  # log2; what is traded rises with λ
    for _ in range(9):
        middle = (low + high) / 2
        if 2.0**middle * worth_of_mse(loss, picture, EXPECTED_ERROR * 2.0**middle) > lmbda:
            high = middle
        else:
            low = middle
    return 2.0**low


def lambda_for(representation: LatentGrids, picture: Tensor, bpp: float) -> float:
    """About the λ at which a fit ends with ``bpp`` bits per pixel in the latents: where a steered fit begins.

    A fit at λ = 10⁻³ ends near the entropy of the picture's Laplacian pyramid in steps of 0.12 (Kodak 3 and 15 at 192×128:
    0.55 and 0.72 bpp, the pyramids 0.47 and 0.90), and λ goes with the step's square.
    """
    trial = copy.deepcopy(representation)
    pixels = picture.shape[1] * picture.shape[2]
    low, high = -10.0, 1.0  # log2 of the step; the entropy falls as it grows
    for _ in range(12):
        middle = (low + high) / 2
        start_from_pyramid(trial, picture, 2.0**middle)
        if sum(laplace_entropy_bits(grid) for grid in trial.symbols()) / pixels > bpp:
            low = middle
        else:
            high = middle
    return 1e-3 * (2.0**high / 0.12) ** 2


def first_step(lmbda: float) -> float:
    """The size in colour of a latent's step at the start, for the `mse_lambda`: it goes with the square root of the error."""
    return min(max(0.03 * math.sqrt(lmbda / 1e-3), 0.004), 0.2)
