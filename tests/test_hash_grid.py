"""The hash grid: interpolation at its corners, collisions only where they must be, a fit by the library's loop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import images, training
from tutorial_lib.networks.hash_grid import HashGrid, HashGridConfig
from tutorial_lib.training import Phase


def test_it_interpolates_its_corners() -> None:
    config = HashGridConfig(levels=1, entries=1 << 10, channels=1, coarsest=4, finest=4)
    grid = HashGrid(config, 5, 5)
    with torch.no_grad():
        grid.tables[0].copy_(torch.randn(25, 1, generator=torch.Generator().manual_seed(0)))
    features = grid.features(images.canvas(9, 9))
    indices, shares = features[..., 0, :, 0].long(), features[..., 0, :, 1]
    torch.testing.assert_close(shares.sum(-1), torch.ones(9, 9, dtype=torch.float64))
    values = (grid.tables[0][indices, 0] * shares).sum(-1)
    corners = grid.tables[0].view(1, 1, 5, 5).double()
    torch.testing.assert_close(values, F.interpolate(corners, (9, 9), mode="bilinear", align_corners=True)[0, 0])


def test_it_learns_and_collides_only_where_it_must(coffee: Tensor) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        grid = HashGrid(HashGridConfig(finest=64, entries=256), *coffee.shape[1:])
    assert [len(table) for table in grid.tables] == [min(256, (r + 1) * (c + 1)) for r, c in grid.cells]
    features = grid.features(images.canvas(*coffee.shape[1:]))
    assert all(int(features[..., level, :, 0].max()) < len(table) for level, table in enumerate(grid.tables))
    training.fit(grid, coffee, (Phase("fit", 150, "adam", 1e-2),), progress=False)
    assert float(F.mse_loss(grid.render(), coffee)) < 0.2 * float(coffee.var())
    assert grid.render(10, 12).shape == (3, 10, 12) and grid.weights == sum(p.numel() for p in grid.parameters())


def test_a_table_has_a_power_of_two_of_entries() -> None:
    with pytest.raises(ValueError, match="power of two"):
        HashGrid(HashGridConfig(entries=1000), 4, 4)
