"""What predicts an integer: the values of its decoded neighbours, and the context model in exact arithmetic.

The decoder must repeat the context model's predictions exactly, or the range decoder goes astray. `IntegerContextModel`
therefore computes with integers carried in float64: weights and activations are multiples of 2⁻¹², all sums stay below
2⁵³ and are exact in any order, and a floor stands between the layers. Any batch size, thread count and processor agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from tutorial_lib.latents import kernels
from tutorial_lib.latents.layers import ContextModel
from tutorial_lib.latents.shape import FRACTIONS, LATENT_SPREADS, MAX_LATENT, MIN_LOG2_SCALE, GridsConfig

FIXED_POINT_BITS = 12
"""Binary digits behind the point in the context model's integer arithmetic."""

_UNIT = 1 << FIXED_POINT_BITS

MAX_CONTEXT_WEIGHT = 63
"""Largest magnitude of a weight or bias of the context model; keeps its integer sums below 2⁵³."""

_MAX_ACTIVATION = 1 << 26  # 2¹⁴ in units of 2⁻¹²: 2²⁶ · 2¹⁸ · 64 inputs < 2⁵¹


@dataclass(frozen=True)
class Band:
    """Rows ``top`` … ``bottom`` − 1 of grid ``level``."""

    level: int
    top: int
    bottom: int


def contexts_of(config: GridsConfig, grids: Sequence[Tensor], bands: Sequence[Band]) -> Tensor:
    """The contexts (neighbours, n) of all positions of the bands, row by row, one band after the other.

    Outside of its grid a neighbour counts as 0.

    Args:
        grids: the pyramid, finest first, (rows, columns) each.
    """
    above = kernels.reach(config.neighbours)[0]
    heights = [band.bottom - band.top for band in bands]
    return kernels.contexts(config.neighbours, heights, [grids[b.level][max(b.top - above, 0) : b.bottom] for b in bands])


class IntegerContextModel:
    """A `ContextModel` in integers carried in float64: the same result in any batch, on any machine.

    Weights and biases are taken as multiples of 2⁻¹² (quantized ones are, exactly), activations are floored to multiples
    of 2⁻¹² after each layer and held below 2¹⁴. No sum of products reaches 2⁵³, so every order of adding
    them, fused or not, gives the same float64. (int64 would do as well, without a fast matrix product.) NumPy's, because
    most waves of a decoder are of a few positions, for which its calls take less than half of PyTorch's time.

    Args:
        model: weights and biases within ±`MAX_CONTEXT_WEIGHT`, at most 64 inputs a layer.
    """

    def __init__(self, model: ContextModel) -> None:
        def integers(layer: nn.Module) -> tuple[np.ndarray, np.ndarray]:
            matrix = np.round(layer.get_parameter("matrix").detach().cpu().double().numpy() * _UNIT)
            return np.ascontiguousarray(matrix[:, :-1]), matrix[:, -1:] * _UNIT

        self.layers = [integers(layer) for layer in model.layers]
        self.skip = model.skip

    def __call__(self, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (neighbours, n), integers as float64, to int64 (n,): locations in 1/`FRACTIONS` steps, and spreads.

        A spread is the index of a scale, 0 … `LATENT_SPREADS` − 1. Where a model gives several laws for a position, all
        locations above all scales, there are so many times n, the first law's first; its contexts may be multiples of 2⁻¹².
        """
        inputs = columns = _held(contexts, -MAX_LATENT, MAX_LATENT) * _UNIT
        for weights, biases in self.layers[:-1]:
            total = weights @ columns
            total += biases
            total /= _UNIT
            if total.shape == columns.shape:
                total += columns
            columns = _held(np.floor(total, out=total), 0, _MAX_ACTIVATION)
        weights, biases = self.layers[-1]
        total = weights @ (np.concatenate([columns, inputs]) if self.skip else columns) + biases
        location, log2_scale = np.floor(total / _UNIT).reshape(2, -1)
        limit = MAX_LATENT * FRACTIONS
        location = _held(np.floor(location * (FRACTIONS / _UNIT) + 0.5), -limit, limit)
        spread = _held(np.floor((log2_scale - MIN_LOG2_SCALE * _UNIT) * (8 / _UNIT) + 0.5), 0, LATENT_SPREADS - 1)
        return location.astype(np.int64), spread.astype(np.int64)


def _held(values: np.ndarray, least: int, most: int) -> np.ndarray:
    """`numpy.clip`, which is slow for few values."""
    return np.minimum(np.maximum(values, least), most)
