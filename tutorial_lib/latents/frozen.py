"""D and R of latents that no longer move, while the networks do: of all of a picture, or of a sample."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.latents.contexts import Band, contexts_of
from tutorial_lib.latents.grids import BAND_PIXELS, LatentGrids
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.packing import Group, encode_networks
from tutorial_lib.losses import LOSSES
from tutorial_lib.metrics import psnr_of_mse

STRIP_ROWS = 16
"""Of a sample's strips of the picture: what their colours depend on beside them is small, and there are many."""


class FrozenLatents:
    """D and R of frozen latents while the networks change: what doesn't depend on them is computed once.

    Args:
        representation: its latents final.
        picture: (3, H, W).
        lmbda: λ.
        loss: a name in `losses.LOSSES`, or a function.
    """

    def __init__(self, representation: LatentGrids, picture: Tensor, lmbda: float, loss: str | Callable) -> None:
        self.representation, self.picture, self.lmbda = representation, picture, lmbda
        self.loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.pixels = picture.shape[1] * picture.shape[2]
        self.grids = representation.symbols()
        pieces, rows = representation.bands(), list(representation.rows())
        self._hold(pieces, rows, small=len(pieces) == len(rows) == 1)

    def _hold(self, pieces: list[list[Band]], rows: list[tuple[int, int]], *, small: bool) -> None:
        """Look at these parts of the grids and of the picture; all of them at once, if they are ``small``."""
        self.pieces, self.rows, self.small = pieces, rows, small
        self.features: list[Tensor] | None = None  # where there is little to look at, until the upsampling changes
        if self.small:
            self.contexts = contexts_of(self.representation.config, self.grids, pieces[0])
            self.values = torch.cat([self.grids[band.level][band.top : band.bottom].flatten() for band in pieces[0]])

    def sample(self, pixels: int) -> FrozenLatents:
        """The same of strips spread over the picture, about so many ``pixels`` of it, and of their integers; or of all."""
        if pixels >= self.pixels:
            return self
        height, width = self.picture.shape[1:]
        thick = max(min(STRIP_ROWS, height // 4, BAND_PIXELS // (2 * width)), 1)
        count = max(pixels // (thick * width), 2)
        middles = [round((index + 0.5) * height / count) for index in range(count)]
        rows = [(top, top + thick) for top in (min(middle - thick // 2, height - thick) for middle in middles)]
        owned = [enumerate(self.representation.own_rows(*strip)) for strip in rows]
        some = copy.copy(self)
        some._hold([[Band(level, *own) for levels in owned for level, own in levels if own[0] < own[1]]], rows, small=True)
        return some

    @torch.no_grad()
    def bits(self) -> float:
        """Of all grids; of a sample, extrapolated."""
        if self.small:
            return float(self._bits())
        total = sum(float(self.representation.bits(self.grids, piece).sum()) for piece in self.pieces)
        return total * self.unseen()

    def _bits(self) -> Tensor:
        """`bits` of few integers, differentiable."""
        return laplace_bits(self.values, *self.representation.context(self.contexts)).sum() * self.unseen()

    def unseen(self) -> float:
        """All integers for each that is looked at."""
        seen = sum((band.bottom - band.top) * self.grids[band.level].shape[1] for piece in self.pieces for band in piece)
        return sum(grid.numel() for grid in self.grids) / seen

    @torch.no_grad()
    def distortion(self) -> float:
        """D of the picture clamped to [0, 1]; of a sample, the mean of its strips."""
        if self.small:
            return float(self._distortion(clamped=True))
        total, seen = 0.0, 0
        for top, bottom in self.rows:
            painted = self.representation.colours(self.grids, top, bottom).clamp_(0, 1)
            total += float(self.loss(painted, self.picture[:, top:bottom])) * (bottom - top)
            seen += bottom - top
        return total / seen

    def _distortion(self, *, clamped: bool = False) -> Tensor:
        """`distortion` of few pixels, differentiable."""
        if self.features is None:
            self.features = self._features()
        parts, seen = [], 0
        for (top, bottom), features in zip(self.rows, self.features, strict=True):
            above = min(self.representation.synthesis.halo, top)
            painted = self.representation.synthesis(features)[:, above : above + bottom - top]
            loss = self.loss(painted.clamp(0, 1) if clamped else painted, self.picture[:, top:bottom])
            parts.append(loss * (bottom - top))
            seen += bottom - top
        return torch.stack(parts).sum() / seen

    def _features(self) -> list[Tensor]:
        """What the synthesis sees of each strip."""
        found = []
        for top, bottom in self.rows:
            windows = self.representation.windows(top, bottom)
            parts = [grid[first:last] for grid, (first, last) in zip(self.grids, windows, strict=True)]
            found.append(self.representation.features(parts, windows))
        return found

    def psnr(self) -> float:
        """Of the picture, in dB."""
        return psnr_of_mse(float(F.mse_loss(self.representation.render(), self.picture)))

    def total(self, exponents: Sequence[int]) -> float:
        """J with all bytes of the networks as they are, multiples of the groups' steps 2⁻ᵉ."""
        self.features = None
        networks = 8 * len(encode_networks(self.representation, exponents))
        return self.distortion() + self.lmbda * (self.bits() + networks) / self.pixels

    def cost(self, group: Group) -> float:
        """The part of J that a group of weights decides: λR for the context model, D for the others."""
        if group.name.startswith("context"):
            return self.lmbda * self.bits() / self.pixels
        if group.name.startswith("upsampling"):
            self.features = None
        return self.distortion()

    def differentiable_cost(self, group: Group) -> Tensor:
        """`cost` as a tensor with a gradient, where there is little to look at; D not clamped."""
        if group.name.startswith("context"):
            return self.lmbda / self.pixels * self._bits()
        if not group.name.startswith("upsampling"):
            return self._distortion()
        self.features = None
        distortion = self._distortion()
        self.features = None  # they hold a graph
        return distortion
