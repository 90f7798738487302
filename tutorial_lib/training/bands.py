"""A fit in bands: which rows of a picture a step sees, and Adam for latents whose rows come by in turn."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import torch
from torch import Tensor

MIN_ROWS = 64
"""Of a band: what lies around it is computed for nothing, and an SSIM's windows end at its border."""

LEAST, MOST = 1 << 15, 1 << 17
"""Pixels of a band: a quarter of the picture's, but within these, about.

More bands are more steps of the networks for a look at all latents, fewer cost less: a pass over 768×512 takes `coolchic-small`
0.22 s in six bands, 0.21 in four, 0.19 in two (one thread, a busy machine, November 2026).
"""


def count_of(height: int, width: int) -> int:
    """Bands of a picture of so many pixels a side."""
    pixels = min(max(height * width // 4, LEAST), MOST)
    return max(round(height / max(pixels / width, MIN_ROWS)), 1)


class Passes:
    """The rows of a picture in bands: every row once a pass, in random order, cut at other places in each pass.

    Args:
        height, width: of the picture, in pixels.
        seed: of the order and the cuts.
    """

    def __init__(self, height: int, width: int, seed: int) -> None:
        self.height = height
        self.count = count_of(height, width)
        self._random, self._left = random.Random(seed), list[tuple[int, int]]()

    def cut(self, shift: float = 0.0) -> list[tuple[int, int]]:
        """All bands (first row, the one after the last), from top to bottom; their borders moved by ``shift`` of a band."""
        inner = [round((index + shift) * self.height / self.count) for index in range(1, self.count)]
        return list(itertools.pairwise([0, *inner, self.height]))

    def take(self) -> tuple[int, int]:
        """The next band."""
        if not self._left:
            self._left = self.cut(self._random.uniform(-0.25, 0.25))
            self._random.shuffle(self._left)
        return self._left.pop()


class RowAdam:
    """Adam (Kingma and Ba, arXiv 1412.6980) for grids of which a step moves some rows.

    A row has its own count of steps, and a step takes the gradients that have come since its last one: a band's pixels depend on
    rows of its neighbours, too. With all rows in every step it is `torch.optim.Adam`.

    Args:
        grids: (rows, columns) each; moved in place.
        gradients: of the same sizes; the caller adds to them, `step` empties the rows that it has moved.
        betas, epsilon: Adam's.
    """

    def __init__(self, grids: Sequence[Tensor], gradients: Sequence[Tensor], betas: tuple[float, float], epsilon: float) -> None:
        self.betas, self.epsilon = betas, epsilon
        moments = ([torch.zeros_like(grid) for grid in grids] for _ in range(2))
        steps = [grid.new_zeros(len(grid), 1) for grid in grids]
        self._levels = list(zip(grids, gradients, *moments, steps, strict=True))

    @torch.no_grad()
    def step(self, rows: Sequence[tuple[int, int]], rate: float) -> None:
        """Move rows first … last − 1 of each grid with the learning rate ``rate``."""
        first_decay, second_decay = self.betas
        for (first, last), level in zip(rows, self._levels, strict=True):
            if first == last:
                continue
            values, gradient, mean, square, steps = (tensor[first:last] for tensor in level)
            steps += 1
            mean.lerp_(gradient, 1 - first_decay)
            square.mul_(second_decay).addcmul_(gradient, gradient, value=1 - second_decay)
            spread = (square / (1 - second_decay**steps)).sqrt_().add_(self.epsilon)
            values.sub_((mean / (1 - first_decay**steps)).div_(spread), alpha=rate)
            gradient.zero_()
