"""The coordinate network: encoding, initialization, sizes, rendering."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from codec_files import PEAK
from torch import Tensor, nn

from tutorial_lib import images
from tutorial_lib.images import render_tiles
from tutorial_lib.networks.siren import PositionalEncoding, SineLayer, Siren, SirenConfig, initialize

COIN = SirenConfig(width=20, sine_layers=5, frequencies=0, domain="aspect", narrow_biases=True)


def siren(config: SirenConfig, height: int, width: int, seed: int = 0) -> Siren:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Siren(config, height, width)


# ------------------------------------------------------------------------------------------ encoding


@pytest.mark.parametrize("frequencies", [0, 1, 5, 6, 16])
def test_encoding_is_the_formula_in_its_order(frequencies: int) -> None:
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    encoded = PositionalEncoding(frequencies)(points)
    assert encoded.shape == (7, 2 + 4 * frequencies)
    for row, (x, y) in zip(encoded.tolist(), points.double().tolist(), strict=True):
        periods = [math.pi * 1.4**i for i in range(frequencies)]
        expected = [x, y]
        expected += [math.sin(p * x) for p in periods] + [math.sin(p * y) for p in periods]
        expected += [math.cos(p * x) for p in periods] + [math.cos(p * y) for p in periods]
        assert row == pytest.approx(expected, abs=1e-4)  # the highest angle, 490, has a float32 grid of 3·10⁻⁵


def test_encoding_keeps_leading_dimensions_and_has_no_parameters() -> None:
    encoding = PositionalEncoding(3)
    assert encoding(torch.zeros(4, 5, 2)).shape == (4, 5, 14)
    assert not list(encoding.parameters()) and not encoding.state_dict()


# ------------------------------------------------------------------------------------------ layers


def test_sine_layer_is_its_formula() -> None:
    layer = SineLayer(4, 6, omega_0=7.0)
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.sin(7.0 * (features @ layer.weight.T + layer.bias))
    torch.testing.assert_close(layer(features), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize(("inputs", "omega_0"), [(66, 30.0), (2, 30.0), (128, 10.0)])
def test_initialization_ranges(inputs: int, omega_0: float, first: bool, narrow: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layer = nn.Linear(inputs, 4000)
        initialize(layer, omega_0, first=first, narrow_biases=narrow)
    bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
    bias_bound = bound if narrow else 1 / math.sqrt(inputs)
    for values, limit in ((layer.weight, bound), (layer.bias, bias_bound)):
        assert 0.99 * limit < float(values.detach().abs().max()) <= limit
        assert float(values.detach().var()) == pytest.approx(limit**2 / 3, rel=0.1)  # uniform
        assert abs(float(values.detach().mean())) < 0.1 * limit


def test_only_the_first_layer_of_a_siren_is_initialized_as_first() -> None:
    net = siren(SirenConfig(width=100, sine_layers=3), 5, 5)
    limits = [1 / 66] + [math.sqrt(6 / 100) / 30] * 3
    for layer, limit in zip(net.layers, limits, strict=True):
        assert 0.9 * limit < float(layer.weight.detach().abs().max()) <= limit
    narrow = siren(SirenConfig(width=100, narrow_biases=True), 5, 5)
    assert float(narrow.layers[1].bias.detach().abs().max()) <= limits[1] < 0.05
    assert float(net.layers[1].bias.detach().abs().max()) > 0.05


def test_initialization_keeps_the_spread_from_layer_to_layer() -> None:
    """Sitzmann et al., section 3.2: every later sine sees about the same distribution, σ near 1."""
    net = siren(SirenConfig(width=256, sine_layers=6, frequencies=0, domain="canvas", narrow_biases=True), 64, 64)
    features = net.features(images.canvas(64, 64)).reshape(-1, 2)
    spreads = []
    for layer in list(net.layers)[:-1]:
        spreads.append((layer.omega_0 * nn.functional.linear(features, layer.weight, layer.bias)).std().item())
        features = layer(features)
    assert all(0.8 < spread < 1.25 for spread in spreads[1:]), spreads


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        (SirenConfig(width=128), 41_987),
        (SirenConfig(20, 5, 0), 1_803),
        (SirenConfig(30, 5, 0), 3_903),
        (SirenConfig(28, 10, 0), 7_479),
        (SirenConfig(40, 10, 0), 15_003),
        (SirenConfig(49, 13, 0), 29_697),
    ],
)
def test_published_numbers_of_weights(config: SirenConfig, weights: int) -> None:
    assert config.weights == weights
    assert sum(parameter.numel() for parameter in Siren(config, 4, 4).parameters()) == weights


def test_network_is_the_naive_network() -> None:
    config = SirenConfig(width=11, sine_layers=3, frequencies=4)
    net = siren(config, 6, 9)
    points = images.canvas(6, 9)
    x = PositionalEncoding(4)((points + 1) / 2)
    for layer in list(net.layers)[:3]:
        x = torch.sin(30 * (x @ layer.weight.T + layer.bias))
    expected = x @ net.layers[3].weight.T + net.layers[3].bias
    torch.testing.assert_close(net(points), expected, atol=1e-4, rtol=0)


# ------------------------------------------------------------------------------------------ domains


def features_of(domain: str, height: int, width: int) -> Tensor:
    return Siren(SirenConfig(4, 1, 0, domain=domain), height, width).features(images.canvas(height, width))


def test_unit_domain() -> None:
    grid = features_of("unit", 5, 9)
    assert grid[0, 0].tolist() == [0, 0] and grid[-1, -1].tolist() == [1, 1] and grid[0, -1].tolist() == [1, 0]


def test_canvas_domain() -> None:
    assert torch.equal(features_of("canvas", 5, 9), images.canvas(5, 9))


@pytest.mark.parametrize(("height", "width"), [(5, 9), (9, 5), (128, 192), (7, 7), (2, 30)])
def test_aspect_domain_is_coin_s(height: int, width: int) -> None:
    """COIN divides both pixel indices by H − 1, subtracts ½ and doubles."""
    grid = features_of("aspect", height, width)
    rows, columns = np.mgrid[:height, :width]
    expected = np.stack([columns / (height - 1) - 0.5, rows / (height - 1) - 0.5], axis=-1) * 2
    np.testing.assert_allclose(grid.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("domain", ["unit", "canvas", "aspect"])
def test_a_side_of_one_pixel(domain: str) -> None:
    for height, width in ((1, 1), (1, 6), (6, 1)):
        assert torch.isfinite(features_of(domain, height, width)).all()


def test_colours_of_the_symmetric_range() -> None:
    unit, symmetric = (siren(SirenConfig(8, 2, 3, colours=colours), 4, 4) for colours in ("unit", "symmetric"))
    points = images.canvas(4, 4)
    torch.testing.assert_close(symmetric(points), (unit(points) + 1) / 2)


# ------------------------------------------------------------------------------------------ rendering


@pytest.mark.parametrize("size", [(37, 53), (53, 37), (1, 70), (70, 1), (1, 1)])
def test_tiles_equal_the_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    net = siren(SirenConfig(12), 20, 30)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.5  # so that some colours need clamping
        whole = net(images.canvas(*size, source=(20, 30))).clamp(0, 1).movedim(-1, 0)
    for values in (1 << 21, 66 * 60, 66 * 7, 1):
        monkeypatch.setattr(sys.modules["tutorial_lib.images.coordinates"], "TILE_VALUES", values)
        rendered = net.render(*size)
        assert rendered.shape == (3, *size) and rendered.dtype == torch.float32 and not rendered.requires_grad
        torch.testing.assert_close(rendered, whole, atol=2e-5, rtol=0)


def test_tiles_hold_no_more_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tutorial_lib.images.coordinates"], "TILE_VALUES", 1000)
    seen = []

    class Recorder(nn.Linear):
        def forward(self, points: Tensor) -> Tensor:
            seen.append(points.shape[0] * points.shape[1])
            return super().forward(points)

    render_tiles(Recorder(2, 3), 47, 90, (47, 90), 50)
    assert max(seen) <= 20 and sum(seen) == 47 * 90


def test_render_at_its_own_size_and_others() -> None:
    net = siren(SirenConfig(8), 6, 10)
    own = net.render()
    assert own.shape == (3, 6, 10) and 0 <= float(own.min()) <= float(own.max()) <= 1
    assert torch.equal(own, net.render(6, 10)) and torch.equal(own, net.render(6)) and net.render(12).shape[1:] == (12, 10)
    # three times as large, every middle pixel has the centre of a pixel of the picture
    torch.testing.assert_close(net.render(18, 30)[:, 1::3, 1::3], own, atol=2e-4, rtol=0)


def test_zoom_lies_over_a_bicubic_zoom() -> None:
    """A network that is a ramp: rendered at any size it must follow the pixel centres."""
    net = siren(SirenConfig(3, 1, 0, domain="canvas"), 8, 16)
    net.layers = nn.Sequential(nn.Linear(2, 3))
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[0.25, 0.0], [0.0, 0.25], [0.1, 0.1]]))
        net.layers[0].bias.fill_(0.5)
    own = net.render()
    for size in ((16, 32), (24, 40), (4, 8)):
        zoomed = nn.functional.interpolate(own[None], size=size, mode="bilinear", align_corners=False)[0]
        inner = (slice(None), slice(2, -2), slice(3, -3)) if size[0] > 8 else (slice(None), slice(1, -1), slice(1, -1))
        torch.testing.assert_close(net.render(*size)[inner], zoomed[inner], atol=1e-5, rtol=0)


RENDER_LARGE = f"""
import torch
{PEAK}
from tutorial_lib.networks.siren import Siren, SirenConfig
picture = Siren(SirenConfig(16, 2, 4), 300, 400).render(3000, 4000)
assert picture.shape == (3, 3000, 4000) and bool(torch.isfinite(picture[:, ::100, ::100]).all())
print(peak())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_twelve_megapixels_in_two_gigabytes() -> None:
    """In one piece even this small network would take more: 12 million times 16 + 18 numbers and more."""
    run = subprocess.run([sys.executable, "-c", RENDER_LARGE], capture_output=True, text=True, timeout=300, check=True)
    assert int(run.stdout) < 2 * 10**9
