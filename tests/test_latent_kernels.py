"""The fast operations of latent grids against their plain forms: values and gradients, in float64."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import torch
from torch import Tensor

from tutorial_lib.latents import kernels
from tutorial_lib.latents.contexts import Band, contexts_of
from tutorial_lib.latents.kernels import Offsets
from tutorial_lib.latents.shape import GridsConfig, nearest, window

SEEDS = range(6)


def tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def agree(fast: Callable[..., Tensor], plain: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    """Both give the same values and the same gradients, for all inputs together and for each alone."""
    found, expected = fast(*inputs), plain(*inputs)
    torch.testing.assert_close(found, expected)
    slope = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
    for needed in (inputs, *((each,) for each in inputs)):
        for one, other in zip(
            torch.autograd.grad(fast(*inputs), needed, slope), torch.autograd.grad(plain(*inputs), needed, slope), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (3, 1), (4, 5)])
def test_shifted(side: int, height: int, width: int) -> None:
    planes = tensor(2, height + side - 1, width + side - 1)
    agree(lambda planes: kernels.shifted(planes, side), lambda planes: kernels.shifted_plain(planes, side), (planes,))


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("shape", [(1, 5, 5), (2, 5, 7), (3, 8, 6)])
def test_doubled(shape: tuple[int, ...], axis: int) -> None:
    def fast(planes: Tensor, half: Tensor) -> Tensor:
        return kernels.doubled(planes, half, axis)

    def plain(planes: Tensor, half: Tensor) -> Tensor:
        return kernels.doubled_plain(planes, half, axis)

    assert fast(tensor(*shape), tensor(4)).shape[axis] == 2 * (shape[axis] - 4)
    agree(fast, plain, (tensor(*shape), tensor(4, seed=2)))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_doubling_matrix(count: int) -> None:
    def fast(samples: Tensor, half: Tensor) -> Tensor:
        return kernels.doubling_matrix(half, count) @ samples

    def plain(samples: Tensor, half: Tensor) -> Tensor:
        return kernels.doubled_plain(samples[[0, 0, *range(count), -1, -1]][None], half, 1)[0]

    agree(fast, plain, (tensor(count, 2), tensor(4, seed=2)))


def some_neighbours(random: Random) -> Offsets:
    return random.choice([window(1), window(3), nearest(9), ((0, -1),), tuple(random.sample(window(2), 5))])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (9, 5)])
def test_contexts_of_bands(size: tuple[int, int], seed: int) -> None:
    """Whole grids, then a band somewhere in the first one and its last row once more."""
    random = Random(seed)
    config = GridsConfig(grids=2, neighbours=some_neighbours(random))
    top = random.randrange(size[0])
    bands = [Band(0, 0, size[0]), Band(1, 0, 3), Band(0, top, random.randint(top + 1, size[0])), Band(0, size[0] - 1, size[0])]

    def fast(*grids: Tensor) -> Tensor:
        return contexts_of(config, grids, bands)

    def plain(*grids: Tensor) -> Tensor:
        whole = [kernels.contexts_plain(grid, config.neighbours) for grid in grids]
        return torch.cat([whole[band.level][:, band.top : band.bottom].flatten(1) for band in bands], 1)

    agree(fast, plain, (tensor(*size), tensor(3, 4, seed=2)))


@pytest.mark.parametrize("seed", SEEDS)
def test_laplace_bits(seed: int) -> None:
    """As far as the plain form has digits: the narrowest laws only near their centre."""
    values, location = 3 * tensor(60, seed=seed).detach(), tensor(60, seed=seed + 10).detach()
    log2_scale = torch.linspace(-3.9, 9.9, 60, dtype=torch.float64)
    clear = kernels.laplace_bits_plain(values, location, log2_scale) < 25
    assert clear.sum() > 30
    inputs = tuple(each[clear].requires_grad_() for each in (values, location, log2_scale))
    assert bool(((inputs[0] - inputs[1]).abs() < 0.5).any()) and bool(((inputs[0] - inputs[1]).abs() > 0.5).any())
    close = {"atol": 1e-6, "rtol": 1e-6}
    found, expected = kernels.laplace_bits(*inputs), kernels.laplace_bits_plain(*inputs)
    torch.testing.assert_close(found, expected, **close)
    for one, other in zip(torch.autograd.grad(found.sum(), inputs), torch.autograd.grad(expected.sum(), inputs), strict=True):
        torch.testing.assert_close(one, other, **close)
    assert torch.autograd.gradcheck(kernels.laplace_bits, inputs)
