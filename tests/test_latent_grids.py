"""Latent grids: sizes, upsampling, contexts, the rate, bands, rendering, the integer context model's exactness."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.latents import layers
from tutorial_lib.latents.contexts import FIXED_POINT_BITS, Band, IntegerContextModel, contexts_of
from tutorial_lib.latents.grids import LatentGrids, scale_latents
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.layers import Convolution, Upsampling
from tutorial_lib.latents.shape import (
    FRACTIONS,
    GAIN,
    LATENT_SPREADS,
    MIN_LOG2_SCALE,
    SMALL,
    V1,
    V2,
    GridsConfig,
    Layer,
    grid_sizes,
    nearest,
    operations_per_pixel,
    weight_counts,
    window,
)
from tutorial_lib.latents.starts import start_from_pyramid

CONFIGS = {"v1": V1, "v2": V2, "small": SMALL, "narrow": replace(SMALL, hidden=(5,)), "one": replace(V2, grids=1)}
SIZES = [(37, 53), (1, 9), (9, 1), (1, 1), (16, 16)]


def untrained(config: GridsConfig, height: int, width: int, seed: int = 0) -> LatentGrids:
    """Random integers in the grids, random networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        representation = LatentGrids(config, height, width)
        with torch.no_grad():
            representation.latents.copy_(torch.randn(representation.latents.shape).mul_(3).round_() / GAIN)
            for parameter in representation.networks().values():
                parameter.add_(torch.randn(parameter.shape), alpha=0.05)
    return representation


def test_published_numbers_of_weights() -> None:
    """The papers: v1 291 + 338; v2 611 + 1,250 + 64. Ours stays below 800."""
    assert weight_counts(V1) == {"context": 338, "upsampling": 0, "synthesis": 291}
    assert weight_counts(V2) == {"context": 1250, "upsampling": 64, "synthesis": 611}
    assert SMALL.weights <= 800


def random_config(seed: int) -> GridsConfig:
    random = Random(seed)
    synthesis = [Layer(random.randint(3, 9)) for _ in range(random.randint(0, 2))] + [Layer(3)]
    synthesis += [Layer(3, kernel=3, residual=random.random() < 0.5) for _ in range(random.randint(0, 2))]
    return GridsConfig(
        grids=random.randint(1, 9),
        neighbours=random.choice([window(1), window(3), nearest(7)]),
        hidden=tuple(random.randint(1, 9) for _ in range(random.randint(0, 3))),
        context_skip=random.random() < 0.5,
        upsampling=random.choice(["bicubic", "separable", "learned"]),
        synthesis=tuple(synthesis),
        synthesis_skip=random.random() < 0.5,
    )


@pytest.mark.parametrize("config", [*CONFIGS.values(), *map(random_config, range(20))])
def test_weights_are_those_of_the_networks(config: GridsConfig) -> None:
    networks = LatentGrids(config, 4, 4).networks()
    for part, count in weight_counts(config).items():
        assert count == sum(parameter.numel() for name, parameter in networks.items() if name.startswith(f"{part}."))
    assert config.weights == sum(parameter.numel() for parameter in networks.values())


def test_counting_draws_no_random_number() -> None:
    before = torch.random.get_rng_state()
    assert SMALL.weights and operations_per_pixel(SMALL, 30, 40) > 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_neighbours() -> None:
    assert len(window(2)) == 12 and len(window(3)) == 24 and (0, 0) not in window(3)
    assert all(offset < (0, 0) for offset in window(3) + nearest(14))
    assert set(nearest(4)) == {(0, -1), (-1, 0), (-1, -1), (-1, 1)} and list(nearest(9)) == sorted(nearest(9))
    with pytest.raises(ValueError, match="neighbours"):
        nearest(15)


@pytest.mark.parametrize("size", SIZES)
def test_grid_sizes_are_rounded_up(size: tuple[int, int]) -> None:
    for level, (rows, columns) in enumerate(grid_sizes(V1, *size)):
        assert (rows, columns) == tuple(math.ceil(side / 2**level) for side in size)


# ------------------------------------------------------------------------------------------ upsampling


@pytest.mark.parametrize("kind", ["bicubic", "separable", "learned"])
@pytest.mark.parametrize("size", [(9, 11), (1, 5), (60, 50)])
def test_upsampling_starts_as_bicubic(kind: str, size: tuple[int, int]) -> None:
    planes = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(planes[None], scale_factor=2, mode="bicubic", align_corners=False)[0]
    torch.testing.assert_close(Upsampling(replace(V1, upsampling=kind))(planes, 0), expected, atol=1e-5, rtol=0)


def test_learned_upsampling_is_a_transposed_convolution() -> None:
    module = Upsampling(V2).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        module.kernel.copy_(torch.randn(8, 8, generator=generator))
    planes = torch.randn(2, 6, 7, dtype=torch.float64, generator=generator)
    padded = F.pad(planes[:, None], (4, 4, 4, 4), mode="replicate")
    expected = F.conv_transpose2d(padded, module.kernel[None, None], stride=2)[:, 0, 11:-11, 11:-11]
    torch.testing.assert_close(module(planes, 0), expected)


def test_dense_and_sliding_doubling_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Upsampling(replace(V1, upsampling="separable")).double()
    with torch.no_grad():
        module.kernel.add_(torch.randn(module.kernel.shape, generator=torch.Generator().manual_seed(0)))
    planes = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    results = []
    for limit in (0, 10_000):
        monkeypatch.setattr(layers, "_DENSE_PIXELS", limit)
        fine = module(planes, 2)
        results.append((fine, *torch.autograd.grad(fine.square().sum(), (planes, module.kernel))))
    for sliding, dense in zip(*results, strict=True):
        torch.testing.assert_close(sliding, dense)


def test_convolution_is_pytorchs() -> None:
    layer = Convolution(2, 3, 1.0).double()
    planes = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    kernel = layer.matrix[:, :-1].view(3, 3, 3, 2).permute(0, 3, 1, 2)
    padded = F.pad(planes[None], (1, 1, 1, 1), mode="replicate")
    expected = F.conv2d(padded, kernel, layer.matrix[:, -1])[0]
    torch.testing.assert_close(layer.planes(planes), expected)
    (ours,) = torch.autograd.grad(layer.planes(planes).square().sum(), planes)
    (theirs,) = torch.autograd.grad(expected.square().sum(), planes)
    torch.testing.assert_close(ours, theirs)


# ------------------------------------------------------------------------------------------ contexts and rate


@pytest.mark.parametrize("name", ["v1", "v2", "small", "narrow"])
@pytest.mark.parametrize("size", [(6, 7), (1, 5), (5, 1)])
def test_contexts_are_the_neighbours(name: str, size: tuple[int, int]) -> None:
    config = CONFIGS[name]
    representation = untrained(config, *size)
    grids = representation.symbols()
    for level, (rows, columns) in enumerate(representation.sizes):
        contexts = contexts_of(config, grids, [Band(level, 0, rows)]).view(-1, rows, columns)
        for r in range(rows):
            for c in range(columns):
                expected = []
                for row, column in config.neighbours:
                    inside = 0 <= r + row and 0 <= c + column < columns
                    expected.append(float(grids[level][r + row, c + column]) if inside else 0.0)
                assert contexts[:, r, c].tolist() == expected


def test_a_context_never_looks_ahead() -> None:
    """What is decoded later must not change the law of what comes before."""
    representation = untrained(SMALL, 12, 10)
    grids = representation.symbols()
    (rows, columns), config = representation.sizes[0], SMALL
    before = contexts_of(config, grids, [Band(0, 0, rows)])
    for place in (0, 37, rows * columns - 1):
        changed = [grid.clone() for grid in grids]
        changed[0].view(-1)[place:] += 5
        after = contexts_of(config, changed, [Band(0, 0, rows)])
        assert torch.equal(before[:, : place + 1], after[:, : place + 1])


def test_a_value_far_out_still_has_a_gradient() -> None:
    value = torch.tensor([500.0], requires_grad=True)
    bits = laplace_bits(value, torch.zeros(1), torch.full((1,), MIN_LOG2_SCALE))
    bits.sum().backward()
    assert torch.isfinite(bits).all() and float(value.grad) == pytest.approx(16 / math.log(2), rel=1e-4)


# ------------------------------------------------------------------------------------------ bands, rendering


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", SIZES)
def test_bands_are_the_whole(name: str, size: tuple[int, int]) -> None:
    representation = untrained(CONFIGS[name], *size)
    grids = representation.symbols()
    whole = representation.colours(grids)
    assert whole.shape == (3, *size)
    bits = representation.bits(grids, [Band(level, 0, rows) for level, (rows, _) in enumerate(representation.sizes)])
    for pixels in (1, 5 * size[1], 1 << 20):
        rows = [representation.colours(grids, *band) for band in representation.rows(pixels)]
        torch.testing.assert_close(torch.cat(rows, 1), whole, atol=1e-5, rtol=0)
        parts = [representation.bits(grids, piece) for piece in representation.bands(pixels)]
        torch.testing.assert_close(torch.cat(parts), bits, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_rendering(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    representation = untrained(CONFIGS[name], 20, 31)
    own = representation.render()
    assert own.shape == (3, 20, 31) and own.dtype == torch.float32 and not own.requires_grad
    assert 0 <= float(own.min()) and float(own.max()) <= 1
    monkeypatch.setattr(LatentGrids.rows, "__defaults__", (50,))
    torch.testing.assert_close(representation.render(), own, atol=1e-5, rtol=0)
    for size in ((40, 62), (7, 9), (1, 1)):
        zoomed = representation.render(*size)
        assert zoomed.shape == (3, *size) and 0 <= float(zoomed.min()) and float(zoomed.max()) <= 1


def test_a_large_side_is_possible() -> None:
    representation = untrained(SMALL, 2, 5000)
    assert representation.render().shape == (3, 2, 5000)
    grids = representation.symbols()
    assert sum(representation.bits(grids, piece).numel() for piece in representation.bands()) == representation.latents.numel()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_pyramid_start_is_the_grey_picture(name: str, coffee: Tensor) -> None:
    """Before rounding, all grids together are the picture's grey values, in the picture's mean colour."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        representation = LatentGrids(CONFIGS[name], *coffee.shape[1:])
    start_from_pyramid(representation, coffee, 0.02)
    with torch.no_grad():
        grids = representation.split(representation.latents * GAIN)
        features = representation.features(grids)
        grey = coffee.mean(0) - coffee.mean()
        torch.testing.assert_close(features.sum(0) * 0.02, grey, atol=1e-4, rtol=0)
        painted = representation.colours(grids)
    expected = grey + coffee.mean((1, 2))[:, None, None]
    assert float((painted - expected).abs().mean()) < 0.06  # the other hidden units add a little


# ------------------------------------------------------------------------------------------ the integer context model


def integer_model(config: GridsConfig) -> tuple[IntegerContextModel, np.ndarray]:
    representation = untrained(config, 4, 4)
    contexts = torch.randint(-30, 31, (len(config.neighbours), 500), generator=torch.Generator().manual_seed(1)).double()
    contexts[:, 0], contexts[:, 1] = 1023, -1023
    return IntegerContextModel(representation.context), contexts.numpy()


@pytest.mark.parametrize("name", ["v1", "v2", "small", "narrow"])
def test_any_batch_gives_the_same_integers(name: str) -> None:
    model, contexts = integer_model(CONFIGS[name])
    location, spread = model(contexts)
    assert 0 <= int(spread.min()) and int(spread.max()) < LATENT_SPREADS
    order = np.random.default_rng(2).permutation(500)
    shuffled = model(contexts[:, order])
    assert np.array_equal(shuffled[0], location[order]) and np.array_equal(shuffled[1], spread[order])
    for size in (1, 7, 64):
        parts = [model(contexts[:, begin : begin + size]) for begin in range(0, 500, size)]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), location)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), spread)


@pytest.mark.parametrize("name", ["v1", "v2", "small", "narrow"])
def test_the_same_in_int64(name: str) -> None:
    """float64 carries the integers exactly: the same sums in 64-bit integers, one product at a time."""
    model, contexts = integer_model(CONFIGS[name])
    unit = 1 << FIXED_POINT_BITS
    inputs = columns = contexts.astype(np.int64) * unit
    for index, (weights, biases) in enumerate(model.layers):
        last = index == len(model.layers) - 1
        columns = np.concatenate([columns, inputs]) if last and model.skip else columns
        total = (weights.astype(np.int64)[:, :, None] * columns[None]).sum(1) + biases.astype(np.int64)
        assert int(np.abs(total).max()) < 1 << 53
        if not last:
            if total.shape == columns.shape:
                total += columns * unit
            columns = (total // unit).clip(0, 1 << 26)
    location, log2_scale = total // unit
    halves = unit // FRACTIONS
    expected = ((location + halves // 2) // halves).clip(-1023 * FRACTIONS, 1023 * FRACTIONS)
    assert np.array_equal(model(contexts)[0], expected)
    spread = ((8 * (log2_scale + 4 * unit) + unit // 2) // unit).clip(0, LATENT_SPREADS - 1)
    assert np.array_equal(model(contexts)[1], spread)


@pytest.mark.parametrize("name", ["v1", "v2", "small"])
def test_it_is_the_context_model(name: str) -> None:
    config = CONFIGS[name]
    representation = untrained(config, 4, 4)
    contexts = torch.randint(-4, 5, (len(config.neighbours), 300), generator=torch.Generator().manual_seed(1))
    location, spread = map(torch.from_numpy, IntegerContextModel(representation.context)(contexts.double().numpy()))
    with torch.no_grad():
        exact_location, log2_scale = representation.context(contexts.float())
    assert float((location / FRACTIONS - exact_location).abs().max()) < 0.5 / FRACTIONS + 0.01
    expected = (8 * (log2_scale - MIN_LOG2_SCALE)).clamp(0, LATENT_SPREADS - 1)
    assert float((spread - expected).abs().max()) < 0.5 + 0.1


@pytest.mark.parametrize("config", [V1, V2, SMALL], ids=["v1", "v2", "small"])
@pytest.mark.parametrize("factor", [0.3, 5.0])
def test_scaled_latents_paint_and_predict_the_same(config: GridsConfig, factor: float) -> None:
    """Bits stay too where steps are fine beside the law's scale: log2 of the factor for each latent apart."""
    torch.manual_seed(0)
    representation = LatentGrids(config, 20, 28)
    with torch.no_grad():
        for parameter in representation.networks().values():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    values = 10 * torch.randn(representation.latents.shape)
    with torch.no_grad():
        representation.latents.copy_(values)

    def outputs() -> tuple[Tensor, Tensor, Tensor]:
        grids = representation.split(representation.latents.detach())
        contexts = contexts_of(config, grids, [band for piece in representation.bands() for band in piece])
        location, log2_scale = representation.context(contexts)
        return representation.colours(grids).detach(), location.detach(), log2_scale.detach()

    colours, location, log2_scale = outputs()
    scale_latents(representation, factor)
    torch.testing.assert_close(representation.latents.detach(), factor * values)
    scaled = outputs()
    torch.testing.assert_close(scaled[0], colours, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(scaled[1], factor * location, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(scaled[2], log2_scale + math.log2(factor), atol=1e-3, rtol=1e-3)
