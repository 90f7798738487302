"""The canvases that the steps of a network's fit see: every s-th pixel both ways, from a random corner.

A coordinate network has no resolution of its own, so a small canvas teaches it nearly as much as a large one, at 1/s² of the
cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tutorial_lib.images import canvas_axis

CACHE_BYTES = 1 << 28


class CoordinateRepresentation(Protocol):
    """What a fit asks of a network on coordinates (an nn.Module): `features` once a canvas, `colours` each step."""

    def features(self, coordinates: Tensor) -> Tensor: ...
    def colours(self, features: Tensor) -> Tensor: ...


class SubCanvases:
    """The sub-canvases of one stride: features and colours of every ``stride``-th pixel from a random corner.

    All corners are visited, in random order, before one comes again: stride² of them, fewer where a side of the
    picture is shorter than the stride. Together they hold every pixel once.

    Args:
        picture: (3, H, W).
    """

    def __init__(
        self, representation: CoordinateRepresentation, picture: Tensor, stride: int, generator: torch.Generator
    ) -> None:
        self.representation, self.picture, self.stride, self.generator = representation, picture, stride, generator
        height, width = picture.shape[1:]
        self.points = math.ceil(height / stride) * math.ceil(width / stride)
        self.rows, self.columns = min(stride, height), min(stride, width)
        self._order: list[int] = []
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    def next(self) -> tuple[Tensor, Tensor]:
        """Features (h, w, F) and colours (3, h, w) of the next sub-canvas."""
        if not self._order:
            self._order = torch.randperm(self.rows * self.columns, generator=self.generator).tolist()
        corner = self._order.pop()
        if corner not in self._cache:
            pair = self.at(corner)
            if pair[0].nbytes * self.rows * self.columns > CACHE_BYTES:
                return pair
            self._cache[corner] = pair
        return self._cache[corner]

    @torch.no_grad()
    def at(self, corner: int) -> tuple[Tensor, Tensor]:
        """The sub-canvas from ``corner`` = row · `columns` + column."""
        height, width = self.picture.shape[1:]
        top, left = divmod(corner, self.columns)
        device = self.picture.device
        ys = canvas_axis(height, start=top, step=self.stride, device=device)
        xs = canvas_axis(width, start=left, step=self.stride, device=device)
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        features = self.representation.features(torch.stack([x, y], dim=-1))
        # channels last in memory, as the network's output: the loss then runs over equal layouts
        colours = self.picture[:, top :: self.stride, left :: self.stride].movedim(0, -1).contiguous()
        return features, colours.movedim(-1, 0)


class PictureResiduals:
    """A picture and its representation as `coding.rounding.Rounding` sees them.

    Args:
        canvases: whose pixels its passes see.
        error: the MSE of the representation as it stands.
    """

    def __init__(self, canvases: SubCanvases, error: Callable[[], float]) -> None:
        self.canvases, self.error = canvases, error

    def residual(self) -> Tensor:
        """Prediction − colours on the next sub-canvas, (3, h, w), with gradients."""
        features, colours = self.canvases.next()
        return self.canvases.representation.colours(features).movedim(-1, 0) - colours


def stride_for(size: Sequence[int], points: int) -> int:
    """The smallest stride whose sub-canvases hold ``points`` pixels at most; a thin picture shrinks one way only."""
    height, width = size
    stride = max(1, math.isqrt(height * width // points))
    while math.ceil(height / stride) * math.ceil(width / stride) > points:
        stride += 1
    return stride
