"""The canvases that the steps of a network's fit see: every s-th pixel both ways (instant of a sound), from a random corner.

A coordinate network has no resolution of its own, so a small canvas teaches it nearly as much as a large one, at 1/s² of the
cost.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.images import canvas_axis, canvas_from_axes

CACHE_BYTES = 1 << 28


class CoordinateRepresentation(Protocol):
    """What a fit asks of a network on coordinates (an nn.Module): `features` once a canvas, `colours` each step.

    One that makes all of its last axes at once, as whole frames, says so in an attribute ``whole_axes`` (2 of them).
    """

    def features(self, coordinates: Tensor) -> Tensor: ...
    def colours(self, features: Tensor) -> Tensor: ...


class SubCanvases:
    """The sub-canvases of one stride: features and colours of every ``stride``-th pixel from a random corner.

    All corners are visited, in random order, before one comes again: stride² of them, fewer where a side of the
    picture is shorter than the stride. Together they hold every pixel once.

    Args:
        picture: (3, H, W), or any signal (channels, *size).
        stride: one for all axes, or one for each.
    """

    def __init__(
        self,
        representation: CoordinateRepresentation,
        picture: Tensor,
        stride: int | Sequence[int],
        generator: torch.Generator,
    ) -> None:
        self.representation, self.picture, self.generator = representation, picture, generator
        self.size = tuple(picture.shape[1:])
        self.strides = (stride,) * len(self.size) if isinstance(stride, int) else tuple(stride)
        self.points = points_of(self.size, self.strides)
        self.corners = tuple(map(min, self.strides, self.size))
        self._order: list[int] = []
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def stride(self) -> int:
        """The largest: 1 where a sub-canvas is the whole one."""
        return max(self.strides)

    @property
    def middle(self) -> int:
        """The corner whose sub-canvas lies in the middle."""
        return int(np.ravel_multi_index([count // 2 for count in self.corners], self.corners))

    def next(self) -> tuple[Tensor, Tensor]:
        """Features (h, w, F) and colours (3, h, w) of the next sub-canvas."""
        if not self._order:
            self._order = torch.randperm(math.prod(self.corners), generator=self.generator).tolist()
        corner = self._order.pop()
        if corner not in self._cache:
            pair = self.at(corner)
            if pair[0].nbytes * math.prod(self.corners) > CACHE_BYTES:
                return pair
            self._cache[corner] = pair
        return self._cache[corner]

    @torch.no_grad()
    def at(self, corner: int) -> tuple[Tensor, Tensor]:
        """The sub-canvas from ``corner``, counted along the last axis first."""
        starts = [int(start) for start in np.unravel_index(corner, self.corners)]
        device = self.picture.device
        lattice = list(zip(self.size, starts, self.strides, strict=True))
        axes = [canvas_axis(length, start=start, step=step, device=device) for length, start, step in lattice]
        features = self.representation.features(canvas_from_axes(*axes))
        # channels last in memory, as the network's output: the loss then runs over equal layouts
        part = (slice(None), *(slice(start, None, step) for _, start, step in lattice))
        colours = self.picture[part].movedim(0, -1).contiguous()
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


def points_of(size: Sequence[int], strides: Sequence[int]) -> int:
    """Of a sub-canvas, at the most."""
    return math.prod(map(math.ceil, map(operator.truediv, size, strides)))


def strides_near(size: Sequence[int], points: int, whole: int = 0) -> tuple[int, ...]:
    """Strides whose sub-canvases hold ``points``, or up to some times as many.

    One number both ways of a picture; of a film or a sound, the first axis, time, takes what the others leave.

    Args:
        whole: so many of the last axes keep stride 1 (`CoordinateRepresentation.whole_axes`).
    """
    thinned, free = max(math.prod(size) // points, 1), len(size) - whole
    side = 1
    while (side + 1) ** free <= thinned:
        side += 1
    first = side if len(size) == 2 else thinned // side ** (free - 1)
    return (first, *[side] * (free - 1), *[1] * whole)


def strides_for(size: Sequence[int], points: int, whole: int = 0) -> tuple[int, ...]:
    """The smallest strides whose sub-canvases hold ``points`` at most; a thin picture shrinks one way only.

    One instant is the least where only time can be thinned.
    """
    first, *rest = strides_near(size, points, whole)
    while points_of(size, (first, *rest)) > points:
        if len(size) == 2 or (first >= size[0] and not whole):
            first, rest = first + 1, [stride + 1 for stride in rest]
        elif first < size[0]:
            first += 1
        else:
            break
    return first, *rest
