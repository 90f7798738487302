"""NIF: the modulated sine, the networks of the paper, its training recipe, and the file's configuration."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_files import encoded
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tutorial_lib import codecs, images, losses
from tutorial_lib.codecs import NIF
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Container, Reader, varint
from tutorial_lib.networks import nif
from tutorial_lib.networks.nif import PUBLISHED, ModulatedSine, Nif, NifConfig, modulated_sine_plain
from tutorial_lib.networks.siren import PositionalEncoding

SMALL = NifConfig((11, 7, 5), (6, 4), 5, 2)


def network(config: NifConfig, height: int = 9, width: int = 14, seed: int = 0) -> Nif:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Nif(config, height, width)


def large(height: int, width: int) -> Tensor:
    """A picture that takes no memory."""
    return torch.zeros(()).expand(3, height, width)


# ------------------------------------------------------------------------------------------ forward


def encoding(points: np.ndarray, frequencies: int) -> np.ndarray:
    periods = math.pi * 1.4 ** np.arange(frequencies)
    x, y = points[..., :1], points[..., 1:]
    parts = [x, y, np.sin(periods * x), np.sin(periods * y), np.cos(periods * x), np.cos(periods * y)]
    return np.concatenate(parts, axis=-1)


def naive(net: Nif, points: np.ndarray) -> np.ndarray:
    """y_i = sin((ω₀ + σ·f_m)·(W_i·y_{i−1} + b_i)) in float64, from the formula alone."""
    config = net.config
    parameters = {name: value.detach().double().numpy() for name, value in net.named_parameters()}

    def linear(name: str, values: np.ndarray) -> np.ndarray:
        return values @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]

    omega = config.omega_0
    if config.modulation:
        f = encoding(points, config.modulation_frequencies)
        for index in range(len(config.modulation)):
            f = np.sin(config.omega_0 * linear(f"modulation.{index}", f))
        omega = config.omega_0 + config.sigma * linear(f"modulation.{len(config.modulation)}", f)
    y = encoding(points, config.frequencies)
    for index in range(len(config.genesis)):
        y = np.sin(omega * linear(f"genesis.{index}", y))
    return (linear(f"genesis.{len(config.genesis)}", y) + 1) / 2


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        NifConfig((11, 7, 5), (), 5),
        NifConfig((8,), (3,), 0, 0),
        NifConfig((6, 6), (5, 4, 3), 4, 3, omega_0=12.0, sigma=4.0),
        NifConfig((6, 6), (5,), 4, 3, sigma=0.0),
        PUBLISHED["120-reduced"],
        replace(PUBLISHED["120"], modulation=()),
    ],
    ids=str,
)
def test_forward_is_the_formula(config: NifConfig) -> None:
    net = network(config)
    with torch.no_grad():
        for value in net.parameters():
            value *= 1.3  # away from what an initialization may hide
    points = images.canvas(9, 14)
    found = net(points)
    assert found.shape == (9, 14, 3)
    np.testing.assert_allclose(found.detach().numpy(), naive(net, points.double().numpy()), atol=2e-3)
    # in float64 the two are the same function, to the periods' float32
    found = net.double()(points.double())
    np.testing.assert_allclose(found.detach().numpy(), naive(net, points.double().numpy()), atol=2e-4)


def test_modulation_map_is_one_number_a_pixel() -> None:
    net = network(SMALL)
    features = net.features(images.canvas(9, 14))
    modulation = net.modulation_map(features)
    assert features.shape == (9, 14, (2 + 4 * 5) + (2 + 4 * 2)) and modulation.shape == (9, 14, 1)
    assert float(modulation.detach().std()) > 0
    bare = network(replace(SMALL, modulation=()))
    features = bare.features(images.canvas(9, 14))
    assert features.shape == (9, 14, 22) and not bare.modulation_map(features).any()


def test_without_sigma_the_modulation_is_none() -> None:
    modulated, bare = network(replace(SMALL, sigma=0.0)), network(replace(SMALL, modulation=()))
    bare.genesis.load_state_dict(modulated.genesis.state_dict())
    points = images.canvas(9, 14)
    torch.testing.assert_close(modulated(points), bare(points), atol=1e-5, rtol=0)


def test_features_of_the_two_networks() -> None:
    net, points = network(SMALL), images.canvas(9, 14)
    features = net.features(points)
    assert torch.equal(features[..., :22], PositionalEncoding(5)(points))
    assert torch.equal(features[..., 22:], PositionalEncoding(2)(points))
    assert len(net.state_dict()) == len(list(net.parameters())) == SMALL.tensors  # encodings are not stored


# ------------------------------------------------------------------------------------------ the modulated sine


@pytest.mark.parametrize("shape", [(7,), (4, 5), (2, 3, 4), (1, 1)])
def test_modulated_sine_has_its_gradient(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    m = torch.randn((*shape[:-1], 1), dtype=torch.float64, generator=generator, requires_grad=True)
    fast, plain = ModulatedSine.apply(z, m), modulated_sine_plain(z, m)
    torch.testing.assert_close(fast, plain)
    for one, other in zip(*(torch.autograd.grad(each.square().sum(), (z, m)) for each in (fast, plain)), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(ModulatedSine.apply, (z, m))
    for needed in ((z, m.detach()), (z.detach(), m)):
        assert torch.autograd.gradcheck(ModulatedSine.apply, needed)


def test_modulated_sine_leaves_its_inputs_alone() -> None:
    z, m = torch.randn(6, 5, requires_grad=True), torch.randn(6, 1, requires_grad=True)
    before = z.detach().clone(), m.detach().clone()
    ModulatedSine.apply(z, m).square().sum().backward()
    assert torch.equal(z.detach(), before[0]) and torch.equal(m.detach(), before[1])


def test_gradients_of_the_network_are_those_of_plain_sines(monkeypatch: pytest.MonkeyPatch) -> None:
    points, target = images.canvas(9, 14).double(), torch.rand(9, 14, 3, dtype=torch.float64)

    def gradients() -> list[Tensor]:
        net = network(SMALL).double()
        (net(points) - target).square().mean().backward()
        return [value.grad for value in net.parameters()]

    ours = gradients()
    monkeypatch.setattr(nif, "modulated_sine", lambda z, m: torch.sin(m * z))
    for one, other in zip(ours, gradients(), strict=True):
        assert float(other.abs().max()) > 0
        torch.testing.assert_close(one, other)


# ------------------------------------------------------------------------------------------ sizes and initialization


@pytest.mark.parametrize(
    ("name", "genesis", "modulation", "weights", "raw_bpp"),
    [
        ("120", (120, 40, 28, 16), (16, 8), 14_992, 0.305),
        ("0_31", (120, 50, 28, 16), (24, 16, 8), 17_034, 0.347),
        ("200", (200, 64, 40, 20), (64, 16, 8), 32_148, 0.654),
        ("280", (280, 100, 48, 16), (64, 16, 8), 54_944, 1.118),
        ("360", (360, 150, 70, 32), (64, 16, 8), 93_612, 1.905),
        ("450", (450, 220, 85, 32), (64, 16, 8), 153_407, 3.121),
        ("680", (680, 260, 65, 30), (64, 16, 8), 244_059, 4.965),
    ],
)
def test_published_networks_for_kodak(
    name: str, genesis: tuple[int, ...], modulation: tuple[int, ...], weights: int, raw_bpp: float
) -> None:
    config = PUBLISHED[name]
    assert config == NifConfig(genesis, modulation, 16, 4, omega_0=30.0, sigma=10.0)
    assert config.weights == weights and round(8 * weights / (768 * 512), 3) == raw_bpp


@pytest.mark.parametrize(
    ("name", "genesis", "modulation", "frequencies"),
    [
        ("120-reduced", (120, 50, 32, 24), (16, 16, 16), 16),
        ("celeba-0_65", (24, 20, 18, 18), (20, 18, 16), 6),
        ("celeba-0_78", (28, 24, 20, 18), (22, 18, 16), 8),
        ("celeba-1_33", (50, 28, 24, 24), (28, 24, 16), 12),
        ("celeba-1_63", (64, 32, 24, 24), (32, 24, 16), 12),
        ("celeba-2_97", (120, 48, 32, 24), (32, 24, 16), 12),
    ],
)
def test_other_published_networks(name: str, genesis: tuple[int, ...], modulation: tuple[int, ...], frequencies: int) -> None:
    assert PUBLISHED[name] == NifConfig(genesis, modulation, frequencies, 4)


@pytest.mark.parametrize("config", [SMALL, NifConfig((8,), (3,), 0, 0), *PUBLISHED.values()], ids=str)
def test_numbers_of_weights_and_tensors(config: NifConfig) -> None:
    parameters = list(Nif(config, 4, 4).parameters())
    assert config.weights == sum(value.numel() for value in parameters) and config.tensors == len(parameters)


def test_initialization_ranges() -> None:
    config = NifConfig((400, 300, 200), (250, 150), 16, 4)
    net = network(config)
    for part in (net.genesis, net.modulation):
        for index, layer in enumerate(part):
            inputs = layer.in_features
            limit = 1 / inputs if index == 0 else math.sqrt(6 / inputs) / 30
            for values, bound in ((layer.weight.detach(), limit), (layer.bias.detach(), 1 / math.sqrt(inputs))):
                assert float(values.abs().max()) <= bound * 1.000001
                if values.numel() > 100:
                    assert float(values.abs().max()) > 0.95 * bound
                    assert float(values.square().mean()) == pytest.approx(bound**2 / 3, rel=0.25)  # uniform
    assert (net.genesis[0].in_features, net.modulation[0].in_features) == (66, 18)
    assert (net.genesis[-1].out_features, net.modulation[-1].out_features) == (3, 1)
    assert type(net.genesis[-1]) is type(net.modulation[-1]) is nn.Linear


# ------------------------------------------------------------------------------------------ rendering


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, modulation=())], ids=str)
@pytest.mark.parametrize("size", [(37, 53), (53, 37), (1, 70), (70, 1), (1, 1)])
def test_tiles_equal_the_whole(config: NifConfig, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(config, 20, 30)
    with torch.no_grad():
        for value in net.parameters():
            value *= 1.5  # so that some colours need clamping
        whole = net(images.canvas(*size, source=(20, 30))).clamp(0, 1).movedim(-1, 0)
    for values in (1 << 21, 66 * 60, 66 * 7, 1):
        monkeypatch.setattr(sys.modules["tutorial_lib.images.coordinates"], "TILE_VALUES", values)
        rendered = net.render(*size)
        assert rendered.shape == (3, *size) and rendered.dtype == torch.float32 and not rendered.requires_grad
        torch.testing.assert_close(rendered, whole, atol=5e-5, rtol=0)


def test_tiles_are_sized_for_the_widest_part(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    forward = Nif.forward

    def recording(self: Nif, points: Tensor) -> Tensor:
        seen.append(points.shape[0] * points.shape[1])
        return forward(self, points)

    monkeypatch.setattr(sys.modules["tutorial_lib.images.coordinates"], "TILE_VALUES", 2000)
    monkeypatch.setattr(Nif, "forward", recording)
    wide = [NifConfig((100, 5), (5,), 3, 1), NifConfig((5, 100), (5,), 3, 1), NifConfig((5,), (5, 100), 3, 1)]
    for config in [*wide, NifConfig((5,), (5,), 16, 8)]:  # the last: 66 + 34 features
        seen.clear()
        network(config).render(40, 30)
        assert max(seen) == 20 and sum(seen) == 1200


def test_render_at_its_own_size_and_others() -> None:
    net = network(SMALL, 6, 10)
    own = net.render()
    assert own.shape == (3, 6, 10) and 0 <= float(own.min()) <= float(own.max()) <= 1
    assert torch.equal(own, net.render(6, 10)) and net.render(12).shape == (3, 12, 10)
    # three times as large, every middle pixel has the centre of a pixel of the picture
    torch.testing.assert_close(net.render(18, 30)[:, 1::3, 1::3], own, atol=1e-3, rtol=0)


# ------------------------------------------------------------------------------------------ configurations in a file

widths = st.lists(st.integers(1, 1 << 34), min_size=1, max_size=6).map(tuple)


@given(widths, widths | st.just(()), st.integers(0, codecs.MAX_FREQUENCIES), st.integers(0, codecs.MAX_FREQUENCIES))
def test_configurations_there_and_back(
    genesis: tuple[int, ...], modulation: tuple[int, ...], frequencies: int, modulation_frequencies: int
) -> None:
    config = NifConfig(genesis, modulation, frequencies, modulation_frequencies)
    reader = Reader(NIF.family.write_config(config), "configuration section")
    assert NIF.family.read_config(reader) == config and NIF.family.impossible(config) is None
    reader.end()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_in_a_file(name: str) -> None:
    net = network(PUBLISHED[name], 40, 30)
    data = NIF.pack(net, {})
    assert NIF.config_of(data) == PUBLISHED[name] and codecs.codec_of(data) is NIF
    assert bitstream.anatomy(data)["configuration"] <= 20
    half = NIF.decode(data, device="cpu")
    with torch.no_grad():
        for value in net.parameters():
            value.copy_(value.half().float())
    assert torch.equal(half, net.render())


LAYERS = codecs.MAX_LAYERS
FREQUENCIES = codecs.MAX_FREQUENCIES
IMPOSSIBLE = [
    NifConfig(()),
    NifConfig((), (8, 8)),
    NifConfig((0,)),
    NifConfig((8, 0, 8), (4,)),
    NifConfig((8,), (4, 0)),
    NifConfig((1,) * (LAYERS + 1)),
    NifConfig((8,), (1,) * (LAYERS + 1)),
    NifConfig((8,), (4,), FREQUENCIES + 1),
    NifConfig((8,), (4,), 16, FREQUENCIES + 1),
    NifConfig((8,), (), 16, FREQUENCIES + 1),
]
TOO_LARGE = [NifConfig((10**9,)), NifConfig((1000, 1000)), NifConfig((8,), (1 << 20, 8))]


def with_config(configuration: bytes) -> bytes:
    sections = {"configuration": configuration, "quantizer": b"", "networks": b""}
    return bitstream.write(Container(NIF.number, 50, 75, sections))


@pytest.mark.parametrize("config", [*IMPOSSIBLE, *TOO_LARGE], ids=lambda config: str(config)[:60])
def test_impossible_configurations(config: NifConfig) -> None:
    message = "impossible" if config in IMPOSSIBLE else "1,048,576 are the most"
    assert (NIF.family.impossible(config) is not None) == (config in IMPOSSIBLE)
    for read in (codecs.decode, NIF.config_of, NIF.describe):
        with pytest.raises(BitstreamError, match=message):
            read(with_config(NIF.family.write_config(config)))
    with pytest.raises(CodecError, match=message):
        NIF.plan(large(50, 75), config=config)


@pytest.mark.parametrize(
    "configuration",
    [
        b"",
        varint(0),
        varint(1),
        varint(2) + varint(8),
        varint(10**9) + varint(8) * 8,
        varint(2**35 - 1) + varint(1) * 200,
        varint(1) + varint(8) + varint(10**10) + varint(4) * 100,
        varint(1) + varint(8) + varint(1) + varint(4),
        varint(1) + varint(8) + varint(1) + varint(4) + varint(16),
        varint(1) + varint(8) + varint(1) + varint(4) + varint(16) + varint(4) + b"\x00",
        varint(1) + b"\x88\x00" + varint(1) + varint(4) + varint(16) + varint(4),  # a number in its longer form
        varint(1) + varint(8) + varint(1) + varint(4) + varint(2**35 - 1) + varint(2**35 - 1),
        b"\xff" * 50,
    ],
)
def test_hostile_configurations(configuration: bytes) -> None:
    for read in (codecs.decode, NIF.config_of, NIF.describe):
        with pytest.raises(BitstreamError):
            read(with_config(configuration))


@pytest.mark.parametrize(
    "config",
    [
        NifConfig((10, 8), (4,), sigma=5.0),
        NifConfig((10, 8), (4,), omega_0=20.0),
        NifConfig([10, 8], (4,)),  # type: ignore[arg-type]
    ],
    ids=["sigma", "omega_0", "list"],
)
@pytest.mark.parametrize("method", ["fast", "published"])
def test_plan_refuses_what_a_file_cannot_hold(config: NifConfig, method: str) -> None:
    with pytest.raises(CodecError, match="a file of nif can't hold every detail of a network of widths"):
        NIF.plan(large(50, 75), config=config, method=method)


# ------------------------------------------------------------------------------------------ plans


def test_a_configuration_of_one_s_own() -> None:
    config = PUBLISHED["120-reduced"]
    plan = NIF.plan(large(128, 192), config=config, budget="quick")
    assert plan.config == config and plan.target_bytes == plan.expected_bytes and plan.storage == "rate"
    plan = NIF.plan(large(128, 192), config=config, bpp=3.0, budget="quick")
    assert plan.config == config and plan.target_bytes == plan.expected_bytes == 3 * 128 * 192 // 8
    assert NIF.plan(large(128, 192), config=config, method="published").target_bytes is None


def test_our_networks_have_the_paper_s_proportions() -> None:
    plan = NIF.plan(large(128, 192), bpp=1.0, budget="quick")
    first, *later = plan.config.genesis
    assert len(later) == 3 and [width / first for width in later] == pytest.approx([0.4, 0.27, 0.2], abs=0.02)
    assert len(set(plan.config.modulation)) == 1 and len(plan.config.modulation) == 3
    # no frequency above what 128 pixels can carry, 32 oscillations across [0, 1]
    assert 1.4 ** (plan.config.frequencies - 1) <= 32 < 1.4**plan.config.frequencies
    assert plan.config.modulation_frequencies == 4


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 2), (8, 8)])
def test_small_pictures_have_few_frequencies(size: tuple[int, int]) -> None:
    config = NIF.plan(large(*size), budget="quick").config
    assert config.frequencies <= 3 and config.modulation_frequencies <= config.frequencies


@pytest.mark.parametrize("size", [(64, 64), (128, 192), (512, 768)])
def test_a_rate_that_is_too_low_is_called_too_low(size: tuple[int, int]) -> None:
    """At every rate below the first that buys a network."""
    pixels = size[0] * size[1]
    refused = None
    for target in range(200, 900, 10):
        try:
            NIF.plan(large(*size), bpp=(8 * target + 4) / pixels, budget="quick")
        except CodecError as error:
            refused = str(error)
            assert f"{target} bytes" in refused and "the smallest nif network takes about" in refused
        else:
            break
    assert refused and target < 890


# ------------------------------------------------------------------------------------------ as published


def published(height: int = 512, width: int = 768) -> codecs.Plan:
    return NIF.plan(large(height, width), method="published")


def test_published_plan() -> None:
    plan = published()
    assert plan.config == PUBLISHED["120"] and plan.storage == "8 bits" and plan.target_bytes is None
    assert plan.bpp == pytest.approx(0.277, abs=0.01)  # the paper's


@pytest.mark.parametrize(
    ("bpp", "name"), [(0.3, "120"), (0.323, "0_31"), (0.6, "200"), (1.05, "280"), (1.8, "360"), (3.0, "450"), (5.0, "680")]
)
def test_published_networks_at_their_rates(bpp: float, name: str) -> None:
    assert NIF.plan(large(512, 768), method="published", bpp=bpp).config == PUBLISHED[name]


def test_published_recipe() -> None:
    recipe = published().recipe
    assert len(recipe) == 15
    fits, qats = recipe[:10], recipe[10:]
    assert [phase.iterations for phase in recipe] == [600] * 10 + [160] * 5  # 150 and 40, of four steps each
    assert all(phase.optimizer == "adam" and phase.weight_penalty == 0 for phase in recipe)
    assert {phase.points for phase in recipe} == {512 * 768 // 4}
    for phase in fits:
        assert (phase.learning_rate, phase.weight_decay, phase.quantization) == (1e-3, 1e-4, None)
    for phase in qats:
        assert (phase.learning_rate, phase.weight_decay) == (5e-5, 0.01)
        assert (phase.quantization, phase.calibrate_every) == ("round", 1)
    # optimizer and schedule persist over the steps of each part
    assert [phase.restart for phase in recipe] == [True] + [False] * 9 + [True] + [False] * 4


def test_published_learning_rates() -> None:
    """Iteration by iteration, from the constants: rise over the warm-up, fall to the cycle's end, peaks 1 % lower."""

    def expected(t: int, period: int, warm_up: int, peak: float, least: float, decay: float) -> float:
        cycle, t = divmod(t, period)
        factor = t / (warm_up - 1) if t < warm_up else 1 - t / period
        return least + (peak * decay**cycle - least) * factor

    recipe = published().recipe
    fit, qat = recipe[0], recipe[10]
    assert {phase.schedule for phase in recipe[:10]} == {fit.schedule} != {qat.schedule}
    for t in range(1500):
        found = fit.learning_rate * fit.schedule(4 * t + t % 4, 6000)
        assert found == pytest.approx(expected(t, 150, 20, 1e-3, 6e-4, 0.99), rel=1e-6)
    for t in range(200):
        found = qat.learning_rate * qat.schedule(4 * t + t % 4, 800)
        assert found == pytest.approx(expected(t, 40, 5, 5e-5, 2e-5, 1.0), rel=1e-6)


def test_published_weight_restarts() -> None:
    restarts = [phase.weight_restart for phase in published().recipe]
    assert restarts[0] is None and restarts[10] is None
    for p, a, r in ((1, 0.637, 0.458), (5, 0.680, 0.291), (9, 0.697, 0.215)):
        assert (restarts[p].fraction, restarts[p].strength) == pytest.approx((a, r), abs=6e-4)
    for step, restart in enumerate(restarts[1:10], 1):
        p = step / 10
        assert restart.fraction == pytest.approx(0.125 + 0.575 * p**0.05)
        assert restart.strength == pytest.approx(0.9 - 0.7 * p**0.2)
    for step, restart in enumerate(restarts[11:], 1):
        assert (restart.fraction, restart.strength) == pytest.approx((0.005, 0.005 * step / 5))


def test_published_loss() -> None:
    """log cosh of colours in [−1, 1], SSIM of colours in [0, 1]."""
    (loss,) = {phase.loss for phase in published().recipe}
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.rand(2, 3, 16, 20, generator=generator)
    theirs = [2 * picture - 1 for picture in (prediction, target)]
    expected = losses.log_cosh(*theirs) + 0.01 * losses.ssim_loss(prediction, target)
    assert float(loss(prediction, target)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 5)])
def test_published_recipe_on_tiny_pictures(size: tuple[int, int]) -> None:
    tiny = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    plan = NIF.plan(tiny, method="published", config=SMALL)
    brief = replace(plan, recipe=tuple(replace(phase, iterations=2) for phase in plan.recipe))
    assert codecs.decode(NIF.execute(brief, tiny, progress=False).data).shape == tiny.shape


def test_published_steps_are_no_divergence(coffee: Tensor) -> None:
    """Weight restarts cost quality at first; none may be taken back or slow the fit down."""
    small = coffee[:, :24, :32].contiguous()
    plan = NIF.plan(small, method="published", config=NifConfig((48, 32, 24), (12, 12), 8, 4))
    recipe = tuple(replace(phase, iterations=phase.iterations // 2) for phase in plan.recipe[:3])
    report = NIF.execute(replace(plan, recipe=recipe), small, progress=False).report
    assert report.recoveries == 0 and report.best_psnr > 25


def test_a_file_of_nif_is_described_by_its_two_networks() -> None:
    names = [row["name"] for row in NIF.describe(encoded("nif"))]
    layers = [f"genesis.{index}" for index in range(5)] + [f"modulation.{index}" for index in range(4)]
    assert names == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
