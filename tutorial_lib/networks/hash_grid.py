"""A hash grid: a picture as tables of features at many resolutions, looked up at hashed places, and a tiny network.

The other famous grid beside the latent grids (Müller et al., Instant Neural Graphics Primitives, SIGGRAPH 2022), in plain
PyTorch, for pictures. It is made for fitting fast, not for storing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tutorial_lib.images.coordinates import render_tiles

PRIME = 2654435761
"""π₂ of the paper; π₁ is 1."""


@dataclass(frozen=True)
class HashGridConfig:
    """The shape of a `HashGrid`.

    Args:
        levels: resolutions, L in the paper.
        entries: of each level's table, T; a power of two. A level with fewer corners has as many entries as corners.
        channels: features an entry holds, F.
        coarsest, finest: cells along the longer side at the first and the last level; geometric in between.
        width: neurons of the network's one hidden layer.
    """

    levels: int = 8
    entries: int = 1 << 11
    channels: int = 2
    coarsest: int = 8
    finest: int = 128
    width: int = 16


class HashGrid(nn.Module):
    """Instant-NGP's multi-resolution hash table for a picture.

    A point's features are, at every level, the bilinear mean of its cell's four corners, whose vectors lie in a table at
    (x ⊕ 2654435761·y) mod T (Eq. 4), or at their own number where the table is large enough; a network makes colours of
    them. Nothing makes its tables cheap, so there is no codec of it here, and its honest size is that of its `weights`, 16 bits
    each.

    Args:
        config: the shape.
        height, width: of the picture, in pixels.
    """

    def __init__(self, config: HashGridConfig, height: int, width: int) -> None:
        super().__init__()
        if config.entries & (config.entries - 1):
            raise ValueError(f"a table has a power of two of entries, not {config.entries}")
        self.config, self.height, self.width = config, height, width
        growth = (config.finest / config.coarsest) ** (1 / max(config.levels - 1, 1))
        longer = max(height, width)
        self.cells = [  # (rows, columns) of each level
            tuple(max(round(config.coarsest * growth**level * side / longer), 1) for side in (height, width))
            for level in range(config.levels)
        ]
        sizes = [min(config.entries, (rows + 1) * (columns + 1)) for rows, columns in self.cells]
        self.tables = nn.ParameterList(nn.Parameter(torch.empty(size, config.channels).uniform_(-1e-4, 1e-4)) for size in sizes)
        self.network = nn.Sequential(
            nn.Linear(config.levels * config.channels, config.width), nn.ReLU(), nn.Linear(config.width, 3)
        )

    @property
    def weights(self) -> int:
        """Numbers to store: entries and network."""
        return sum(parameter.numel() for parameter in self.parameters())

    def features(self, coordinates: Tensor) -> Tensor:
        """Indices of corners and their shares at canvas coordinates (…, 2): (…, levels, 4, 2), float64; none learned."""
        unit = (coordinates.double().clamp(-1, 1) + 1) / 2
        levels = [corners(unit, cells, table.shape[0]) for table, cells in zip(self.tables, self.cells, strict=True)]
        return torch.stack(levels, -3)

    def colours(self, features: Tensor) -> Tensor:
        """What `features` gave to colours (…, 3), about [0, 1]; not clamped."""
        found = []
        for level, table in enumerate(self.tables):
            indices, shares = features[..., level, :, 0].long(), features[..., level, :, 1].to(table.dtype)
            # (channels, …, 4); the backward pass of F.embedding takes five times as long
            corners = table.T.index_select(1, indices.flatten()).view(-1, *indices.shape)
            found.append((corners * shares).sum(-1).movedim(0, -1))
        return self.network(torch.cat(found, -1)) + 0.5

    def forward(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, 2), order (x, y), to colours (…, 3)."""
        return self.colours(self.features(coordinates))

    def render(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The picture (3, height, width) in [0, 1] at any size; its own size by default. See `images.render_tiles`."""
        return render_tiles(self, height, width, (self.height, self.width), 16 * self.config.levels)


def corners(points: Tensor, cells: tuple[int, int], entries: int) -> Tensor:
    """The four corners of each point's cell: their places in a table of ``entries``, and their shares in the point's features.

    Args:
        points: (…, 2) in [0, 1], order (x, y), float64.
        cells: (rows, columns) of the level.

    Returns:
        (…, 4, 2), float64: places and shares; upper left, upper right, lower left, lower right.
    """
    rows, columns = cells
    x, y = points[..., 0] * columns, points[..., 1] * rows
    left, top = x.floor().clamp(max=columns - 1), y.floor().clamp(max=rows - 1)
    across, down = x - left, y - top
    found = []
    for lower, share_of_row in ((0, 1 - down), (1, down)):
        for right, share_of_column in ((0, 1 - across), (1, across)):
            column, row = (left + right).long(), (top + lower).long()
            hashed = entries < (rows + 1) * (columns + 1)
            place = (column ^ (row * PRIME)) % entries if hashed else row * (columns + 1) + column
            found.append(torch.stack([place.double(), share_of_column * share_of_row], -1))
    return torch.stack(found, -2)
