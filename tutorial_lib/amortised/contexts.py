"""The laws of the latents: what of a block is known when a slice of it is coded, and the networks that make laws of it.

Blocks are coded in seven stages, each a finer lattice: every fourth row and column; the middles of those squares; the blocks
half-way between in the same rows, then those in the same columns; then the same three with every second row and column. So a
slice is predicted from the lower slices of its block and from four or eight neighbours on all sides, and thousands of symbols
are decoded at once.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutorial_lib.amortised.transforms import CHANNELS, SLICES
from tutorial_lib.latents.layers import Affine
from tutorial_lib.latents.shape import MAX_LATENT

LOCATED = 3
"""Slices whose laws have a location; the others' is 0."""

MARGIN = 2
"""Rows and columns of zeros around the blocks."""

STAGES = 7
STARTS = (0, *(sum(SLICES[: k + 1]) for k in range(len(SLICES))))
"""First channel of each slice, and the end."""

_HIDDEN = 32
_DIAGONAL, _DIRECT = ((-1, -1), (-1, 1), (1, -1), (1, 1)), ((-1, 0), (0, -1), (0, 1), (1, 0))


def stages(rows: int, columns: int) -> Tensor:
    """The stage 0 … 6 of each block, (rows, columns).

    >>> stages(4, 4).tolist()
    [[0, 5, 2, 5], [6, 4, 6, 4], [3, 5, 1, 5], [6, 4, 6, 4]]
    """
    y, x = torch.arange(rows)[:, None], torch.arange(columns)[None]
    fine, coarse = 2 * (y % 2) + x % 2, 2 * (y // 2 % 2) + x // 2 % 2
    return torch.where(fine == 0, torch.tensor([0, 2, 3, 1])[coarse], torch.tensor([0, 5, 6, 4])[fine])


def magnitudes(levels: Tensor) -> Tensor:
    """⌊16·log₂(1 + |q|)⌋/16 of integers, exact."""
    return _table().to(levels)[levels.abs().long().clamp_(max=MAX_LATENT)]


@functools.cache
def _table() -> Tensor:
    return torch.tensor([((n + 1) ** 16).bit_length() - 1 for n in range(MAX_LATENT + 1)]) / 16


@dataclass(frozen=True)
class Around:
    """What is known around n blocks: sums over four neighbours each; zeros where they are not yet decoded.

    Attributes:
        stage: (n,).
        sizes: magnitudes of all channels: (3, channels, n), the diagonal neighbours where only they are known, the
            diagonal ones where all are, the direct ones where these are.
        values: the same of the values of the located slices.
        edges: the first channel of the neighbours one by one, (12, n).
    """

    stage: Tensor
    sizes: Tensor
    values: Tensor
    edges: Tensor


def around(levels: Tensor, sizes: Tensor, places: Tensor, stage: Tensor, row: int) -> Around:
    """The neighbours of blocks.

    Args:
        levels: latents as whole numbers, (channels, m), with `MARGIN`.
        sizes: their `magnitudes`.
        places: of the blocks in them, (n,).
        stage: of each.
        row: places from one row to the next.
    """
    reach, kind = torch.where(stage < 4, 2, 1), (stage + 2) % 3
    only, both, beside = (((kind == k) | (kind == m)) & (stage > 0) for k, m in ((0, 0), (2, 2), (1, 2)))
    diagonal = [places + reach * (y * row + x) for y, x in _DIAGONAL]
    direct = [places + reach * (y * row + x) for y, x in _DIRECT]

    def sums(tensor: Tensor) -> Tensor:
        corners, sides = (sum(tensor.index_select(1, p) for p in part) for part in (diagonal, direct))
        return torch.stack([corners * only, corners * both, sides * beside])

    first = levels[0]
    corners, sides = (torch.stack([first.index_select(0, p) for p in part]) for part in (diagonal, direct))
    edges = torch.cat([corners * only, corners * both, sides * beside])
    return Around(stage, sums(sizes), sums(levels[: STARTS[LOCATED]]), edges)


def inputs_of(index: int, known: Around, levels: Tensor, sizes: Tensor, told: Tensor) -> Tensor:
    """What the network of slice ``index`` sees, (inputs, n); all multiples of 1/32.

    Args:
        levels, sizes: of the block's lower slices at least, (channels, n).
        told: log₂ of the step as the networks are told it, (n,).
    """
    begin, end = STARTS[index], STARTS[index + 1]
    stage = (known.stage == torch.arange(STAGES, device=levels.device)[:, None]).to(levels.dtype)
    totals = [known.sizes[:, a:b].sum(1) for a, b in zip(STARTS[:-1], STARTS[1:], strict=True)]
    parts = [told[None], stage, sizes[:begin], known.sizes[:, begin:end].flatten(0, 1), *totals]
    if index < LOCATED:
        parts += [levels[:begin], known.values[:, begin:end].flatten(0, 1)]
    if index < 2:
        parts.append(known.edges)
    return torch.cat(parts)


def count_inputs(index: int) -> int:
    """Rows of `inputs_of`.

    >>> [count_inputs(index) for index in range(6)]
    [56, 98, 140, 116, 137, 176]
    """
    own = SLICES[index]
    located = STARTS[index] + 3 * own if index < LOCATED else 0
    return 1 + STAGES + STARTS[index] + 3 * own + 3 * len(SLICES) + located + (12 if index < 2 else 0)


class SliceModel(nn.Module):
    """Inputs (inputs, n) to location and log₂ of the scale of a slice's laws, (2, channels, n), in steps."""

    skip = True
    """`IntegerContextModel`'s: the inputs go to the last layer, too."""

    def __init__(self, index: int) -> None:
        super().__init__()
        inputs, self.channels, self.located = count_inputs(index), SLICES[index], index < LOCATED
        last = Affine(_HIDDEN + inputs, (1 + self.located) * self.channels, 0.02)
        last.matrix.data[:, _HIDDEN:] = 0
        self.layers = nn.ModuleList([Affine(inputs, _HIDDEN, 0.3 * inputs**-0.5), Affine(_HIDDEN, _HIDDEN), last])

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.layers[0](inputs).relu()
        hidden = (hidden + self.layers[1](hidden)).relu()
        found = self.layers[2](hidden, inputs)
        if self.located:
            return found.unflatten(0, (2, self.channels))
        return torch.stack([torch.zeros_like(found), found])

    def whole(self) -> SliceModel:
        """Itself, or a copy that gives locations of 0 by weights: what `IntegerContextModel` takes."""
        if self.located:
            return self
        model = copy.deepcopy(self)
        last = model.layers[-1].get_parameter("matrix")
        last.data = torch.cat([torch.zeros_like(last), last.detach()])
        return model


class ContextNetworks(nn.ModuleList):
    """One `SliceModel` for each slice."""

    def __init__(self) -> None:
        super().__init__(SliceModel(index) for index in range(len(SLICES)))

    def slices(self) -> list[SliceModel]:
        """In order."""
        return [model for model in self if isinstance(model, SliceModel)]

    def laws(self, levels: Tensor, told: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Locations and log₂ of scales for whole pictures at once, (2, n, channels, rows, columns).

        Args:
            levels: whole numbers, (n, channels, rows, columns).
            told: as in `inputs_of`, (n,).
            sizes: their `magnitudes`, if there should be a gradient to these.
        """
        count, _, rows, columns = levels.shape
        padded = nn.functional.pad(levels.transpose(0, 1), (MARGIN,) * 4)
        sizes = magnitudes(levels) if sizes is None else sizes
        flat, sizes = padded.flatten(1), nn.functional.pad(sizes.transpose(0, 1), (MARGIN,) * 4).flatten(1)
        places = torch.arange(flat.shape[1], device=flat.device).view(padded.shape[1:])
        places = places[:, MARGIN:-MARGIN, MARGIN:-MARGIN].reshape(-1)
        stage = stages(rows, columns).to(flat.device).expand(count, -1, -1).reshape(-1)
        known = around(flat, sizes, places, stage, columns + 2 * MARGIN)
        told = told.repeat_interleave(rows * columns)
        own, own_sizes = flat.index_select(1, places), sizes.index_select(1, places)
        found = [model(inputs_of(index, known, own, own_sizes, told)) for index, model in enumerate(self.slices())]
        return torch.cat(found, 1).view(2, CHANNELS, count, rows, columns).transpose(1, 2)
