"""The library's answers to the exercises of notebook 04."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.latents.contexts import FIXED_POINT_BITS as FRACTION_BITS
from tutorial_lib.latents.contexts import Band, contexts_of
from tutorial_lib.latents.shape import GAIN, GridsConfig

UNIT = 1 << FRACTION_BITS


Doubling = Callable[[Tensor, int], Tensor]


def features(grids: Sequence[Tensor], double: Doubling) -> Tensor:
    """`LatentGrids.coarse` and `LatentGrids.features` in one: all grids at the finest one's size, finest first."""
    stack = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        rows, columns = grids[level].shape
        stack = torch.cat([grids[level][None], double(stack, level)[:, :rows, :columns]])
    return stack


def neighbours(grid: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """`latents.contexts.contexts_of` for one grid: (rows, columns) to (neighbours, rows, columns)."""
    config = GridsConfig(grids=1, neighbours=tuple(offsets))
    return contexts_of(config, [grid], [Band(0, 0, grid.shape[0])]).unflatten(1, grid.shape)


class ContextNetwork(nn.Module):
    """`latents.layers.ContextModel` as `latents.shape.SMALL` has it, on rows: (n, neighbours) to μ and log₂ b, (n,) each."""

    def __init__(self, neighbours: int = 10, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Linear(neighbours, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width + neighbours, 2)

    def forward(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.first(contexts).relu()
        hidden = (self.second(hidden) + hidden).relu()
        location, log2_scale = self.last(torch.cat([hidden, contexts], dim=-1)).unbind(-1)
        return location, log2_scale


def step(
    model: nn.Module,
    picture: Tensor,
    lmbda: float,
    stand_in: Callable[[Tensor], Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> tuple[float, float]:
    """A step of `training.grids.fit`, without its bands: D, and R in bits per pixel, before the step."""
    grids = model.split(stand_in(GAIN * model.latents))
    distortion = F.mse_loss(model.paint(grids), picture)
    rate = model.bits_of(grids).sum() / (picture.shape[1] * picture.shape[2])
    for optimizer in optimizers:
        optimizer.zero_grad()
    (distortion + lmbda * rate).backward()
    for optimizer in optimizers:
        optimizer.step()
    return distortion.item(), rate.item()


def integer_layer(matrix: Tensor, columns: Tensor) -> Tensor:
    """A layer of `latents.contexts.IntegerContextModel`: [W | b], and integers in units of 2⁻¹², to the same units."""
    whole = torch.round(matrix.detach().double() * UNIT)
    return torch.addmm(whole[:, -1:] * UNIT, whole[:, :-1], columns).div_(UNIT).floor_()
