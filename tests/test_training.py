"""The fit: best state, interruption, divergence, seeds, sub-canvases, memory."""

from __future__ import annotations

import copy
import functools
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from codec_files import NETWORKS, PEAK
from torch import Tensor, nn

from tutorial_lib import codecs, images, losses, training
from tutorial_lib.coding.quantizers import MaxAbsQuantizer, RateDistortionQuantizer
from tutorial_lib.coding.steps import storable_step
from tutorial_lib.metrics import MetricError, lpips_network
from tutorial_lib.networks.nif import Nif, NifConfig
from tutorial_lib.networks.siren import Siren, SirenConfig
from tutorial_lib.perception import features_of
from tutorial_lib.training import (
    Constant,
    Cosine,
    OneCycle,
    Phase,
    Progress,
    SubCanvases,
    WarmUpCycles,
    WeightRestart,
    fit,
    loop,
    networks,
)
from tutorial_lib.training.stand_ins import quantized_parameters

SMALL = SirenConfig(width=12, sine_layers=2, frequencies=6)
PLAIN = Phase("plain", 60, "adam", 1e-3, Constant())
THREE = (
    replace(PLAIN, optimizer="soap", learning_rate=3e-3),
    replace(PLAIN, name="noise", optimizer="soap", quantization="noise", calibrate_every=50, restart=False),
    replace(PLAIN, name="rounding", optimizer="soap", quantization="round", restart=False),
)


def siren(picture: Tensor, config: SirenConfig = SMALL, seed: int = 0) -> Siren:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Siren(config, *picture.shape[1:])


def mse_as_stored(net: Siren, picture: Tensor, steps: dict[str, float]) -> float:
    if steps:
        with quantized_parameters(net, steps):
            return float(F.mse_loss(net.render(), picture))
    return float(F.mse_loss(net.render(), picture))


def quantizer_for(net: Siren, bits_per_weight: float = 7.0) -> RateDistortionQuantizer:
    return RateDistortionQuantizer(bits_per_weight * net.config.weights)


# ------------------------------------------------------------------------------------------ best state


def spoil(step: int, total: int) -> float:
    """A schedule that ruins the fit in its last ten steps."""
    return 1.0 if step < total - 10 else 8.0


@pytest.mark.parametrize("quantization", [None, "round", "noise"])
def test_best_state_is_kept_with_its_score_and_steps(coffee: Tensor, quantization: str | None) -> None:
    net, last = siren(coffee), {}
    # without recalibration a state may outgrow a target and is not kept then; eight bits have none
    quantizer = {None: None, "noise": quantizer_for(net), "round": MaxAbsQuantizer(8)}[quantization]
    second = replace(PLAIN, name="second", quantization=quantization, schedule=spoil, iterations=80)
    phases = (PLAIN, replace(second, calibrate_every=50 if quantization == "noise" else None))

    def keep(state: Progress) -> None:
        last["psnr"] = state.psnr

    report = fit(net, coffee, phases, quantizer=quantizer, progress=False, callback=keep)
    second = [psnr for _, name, psnr, _ in report.history if name == "second"]
    assert last["psnr"] < report.best_psnr - 0.3  # it was ruined
    assert report.best_psnr >= max(second)
    assert bool(report.steps) == bool(quantization)
    assert -10 * math.log10(mse_as_stored(net, coffee, report.steps)) == pytest.approx(report.best_psnr, abs=2e-3)
    if quantization:
        quantizer.steps = report.steps
        assert quantizer.satisfied_by(net)


def test_states_that_outgrow_their_target_are_not_kept(coffee: Tensor) -> None:
    net, psnrs = siren(coffee), []
    quantizer = quantizer_for(net)
    phases = (PLAIN, replace(PLAIN, quantization="round"))
    report = fit(
        net,
        coffee,
        phases,
        quantizer=quantizer,
        progress=False,
        callback=lambda state: psnrs.append(state.psnr),
    )
    assert quantizer.steps == report.steps and quantizer.satisfied_by(net)
    assert report.best_psnr < max(psnrs)  # a better one was too large


class NeverSatisfied(MaxAbsQuantizer):
    def satisfied_by(self, representation: nn.Module) -> bool:
        return False


def test_without_a_quantized_state_the_exact_one_is_kept(coffee: Tensor) -> None:
    net = siren(coffee)
    phases = (PLAIN, replace(PLAIN, quantization="round", learning_rate=0.1))
    report = fit(net, coffee, phases, quantizer=NeverSatisfied(), progress=False)
    assert report.steps == {}
    assert -10 * math.log10(mse_as_stored(net, coffee, {})) == pytest.approx(report.best_psnr, abs=2e-3)
    assert report.best_psnr >= max(psnr for _, _, psnr, _ in report.history[:4])


def test_a_fit_learns_and_reports(coffee: Tensor) -> None:
    net, seen = siren(coffee), []
    report = fit(
        net,
        coffee,
        THREE,
        quantizer=quantizer_for(net),
        progress=False,
        callback=lambda state: seen.append(state),
    )
    constant = float((coffee - coffee.mean((1, 2), keepdim=True)).square().mean())
    assert report.best_psnr > -10 * math.log10(constant) + 2
    assert [(s.iteration, s.phase, s.psnr, None) for s in seen] == list(report.history)
    assert [name for _, name, *_ in report.history[:: len(report.history) // 3]][:1] == ["plain"]
    assert {name for _, name, *_ in report.history} == {"plain", "noise", "rounding"}
    assert report.history[0][0] == 0 and report.history[-1][0] == 180 == seen[0].iterations
    assert set(report.steps) == {name for name, _ in net.named_parameters()}
    assert not report.interrupted and report.recoveries == 0 and report.seconds >= seen[-1].seconds > 0
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_without_phases_nothing_changes(coffee: Tensor) -> None:
    net = siren(coffee)
    before = copy.deepcopy(net.state_dict())
    report = fit(net, coffee, (), progress=False)
    assert report.history == () and report.steps == {}
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_bar_shows_the_phase_and_the_psnr(
    coffee: Tensor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # drawn at every step, however fast they are
    monkeypatch.setattr(loop, "tqdm", functools.partial(loop.tqdm, mininterval=0, miniters=1))
    fit(siren(coffee), coffee, (replace(PLAIN, iterations=30),))
    err = capsys.readouterr().err
    assert "plain" in err and " dB" in err and "30" in err


# ------------------------------------------------------------------------------------------ interruption


def stop_at(iteration: int) -> Callable[[Progress], None]:
    def callback(state: Progress) -> None:
        if state.iteration >= iteration:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("iteration", [0, 25, 60, 85, 120, 145, 180])
def test_stopping_keeps_the_best_of_any_phase(coffee: Tensor, iteration: int) -> None:
    net = siren(coffee)
    report = fit(net, coffee, THREE, quantizer=quantizer_for(net), progress=False, callback=stop_at(iteration))
    assert report.interrupted and report.history[-1][0] == iteration
    assert -10 * math.log10(mse_as_stored(net, coffee, report.steps)) == pytest.approx(report.best_psnr, abs=2e-3)
    # a phase's last record and the next one's first bear the same number: 60 is still of the first phase
    assert bool(report.steps) == (iteration > 60)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("moment", ["before", 0, 100, "end"])
def test_a_stopped_encode_is_packed(coffee: Tensor, name: str, moment: str | int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codecs.get(name)
    plan = codec.plan(coffee, bpp=2.0, budget="quick")
    if moment == "before":  # not one step done, no state scored
        monkeypatch.setattr(SubCanvases, "next", interrupt)
        callback = None
    else:
        callback = stop_at(sum(phase.iterations for phase in plan.recipe) if moment == "end" else int(moment))
    encoding = codec.execute(plan, coffee, progress=False, callback=callback)
    assert encoding.report.interrupted
    assert codecs.decode(encoding.data).shape == coffee.shape
    assert plan.storage != "rate" or len(encoding.data) <= plan.target_bytes


def test_stopping_an_estimate_stops(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there to keep yet, so the program ends as programs do."""
    monkeypatch.setattr(SubCanvases, "next", interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.estimate_seconds(siren(coffee), coffee, (PLAIN,))


def test_an_error_in_a_callback_is_an_error(coffee: Tensor) -> None:
    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(siren(coffee), coffee, (PLAIN,), progress=False, callback=fail)


# ------------------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
@pytest.mark.parametrize("points", [None, 500])
def test_divergence_is_undone(coffee: Tensor, optimizer: str, points: int | None) -> None:
    net = siren(coffee)
    before = mse_as_stored(net, coffee, {})
    wild = replace(PLAIN, optimizer=optimizer, learning_rate=100.0, points=points, iterations=120)
    fit(net, coffee, (wild,), progress=False)
    assert mse_as_stored(net, coffee, {}) <= before * 1.001  # nothing learned, nothing lost
    net = siren(coffee)
    report = fit(net, coffee, (PLAIN, wild), progress=False)
    assert report.recoveries > 0
    assert all(bool(torch.isfinite(parameter).all()) for parameter in net.parameters())
    assert report.best_psnr >= max(psnr for _, _, psnr, _ in report.history[:4]) > -10 * math.log10(before) + 3


def test_divergence_while_quantizing(coffee: Tensor) -> None:
    net = siren(coffee)
    wild = tuple(replace(phase, learning_rate=50.0) for phase in THREE[1:])
    report = fit(net, coffee, (THREE[0], *wild), quantizer=quantizer_for(net), progress=False)
    assert report.recoveries > 0 and report.steps
    assert all(math.isfinite(step) for step in report.steps.values())
    first = [psnr for _, name, psnr, _ in report.history if name == "plain"]
    assert -10 * math.log10(mse_as_stored(net, coffee, report.steps)) > max(first) - 1


class Exploding(Siren):
    """Its outputs are not a number from the twentieth call to the twenty-fifth."""

    calls = 0

    def colours(self, features: Tensor) -> Tensor:
        self.calls += 1
        return super().colours(features) * (math.nan if 20 <= self.calls < 26 else 1.0)


def test_not_a_number_is_undone_and_shown_as_such(coffee: Tensor) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Exploding(SMALL, *coffee.shape[1:])
    report = fit(net, coffee, (PLAIN,), progress=False)
    psnrs = [psnr for _, _, psnr, _ in report.history]
    assert any(math.isnan(psnr) for psnr in psnrs) and not any(math.isinf(psnr) for psnr in psnrs)
    assert report.recoveries == 1 and report.best_psnr > psnrs[0]
    assert all(bool(torch.isfinite(parameter).all()) for parameter in net.parameters())


def test_a_perfect_fit_is_no_divergence() -> None:
    black = torch.zeros(3, 6, 6)
    net = siren(black)
    with torch.no_grad():
        net.layers[-1].bias.fill_(-5)  # below black everywhere: clamped, and perfect
    report = fit(net, black, (replace(PLAIN, learning_rate=1e-5),), progress=False)
    assert report.best_psnr == math.inf and report.recoveries == 0


# ------------------------------------------------------------------------------------------ seeds


def test_same_seed_same_bytes(coffee: Tensor) -> None:
    codec = codecs.get("siren")
    first, second, third = (
        codec.encode(coffee, bpp=1.5, budget="quick", seed=seed, progress=False, device="cpu") for seed in (1, 1, 2)
    )
    assert first == second != third


def test_the_seed_orders_the_sub_canvases(coffee: Tensor) -> None:
    def run(seed: int) -> Tensor:
        net = siren(coffee)
        fit(net, coffee, (replace(PLAIN, points=300, iterations=30),), seed=seed, progress=False)
        return net.layers[0].weight.detach()

    assert torch.equal(run(5), run(5)) and not torch.equal(run(5), run(6))


def test_a_fit_leaves_the_global_generator_alone(coffee: Tensor) -> None:
    state = torch.random.get_rng_state()
    codecs.get("siren").encode(coffee[:, :8, :8].contiguous(), bpp=60.0, budget="quick", progress=False)
    assert torch.equal(state, torch.random.get_rng_state())


# ------------------------------------------------------------------------------------------ sub-canvases


class Coordinates(nn.Linear):
    """A representation whose features are the coordinates themselves."""

    def __init__(self) -> None:
        super().__init__(2, 3)

    def features(self, coordinates: Tensor) -> Tensor:
        return coordinates

    def colours(self, features: Tensor) -> Tensor:
        return self(features)


@pytest.mark.parametrize(
    ("height", "width", "stride"),
    [
        (12, 12, 3),
        (13, 17, 4),
        (5, 9, 1),
        (3, 500, 7),
        (500, 3, 7),
        (1, 7, 2),
        (1, 1, 5),
        (2, 2, 2),
        (10, 10, 10),
    ],
)
def test_sub_canvases_partition_the_pixels(height: int, width: int, stride: int) -> None:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack([y, x, y * width + x]).float()
    canvases = SubCanvases(Coordinates(), picture, stride, torch.Generator().manual_seed(0))
    for _ in range(2):  # the second round comes from the cache, in another order
        seen = []
        for _ in range(min(stride, height) * min(stride, width)):
            features, colours = canvases.next()
            rows, columns, number = colours
            assert features.shape[:2] == rows.shape and 0 < rows.numel() <= canvases.points
            for axis, position, length in ((0, columns, width), (1, rows, height)):
                expected = 2 * position / (length - 1) - 1 if length > 1 else torch.zeros_like(position)
                torch.testing.assert_close(features[..., axis], expected, atol=1e-5, rtol=0)
            seen += number.flatten().int().tolist()
        assert sorted(seen) == list(range(height * width))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 500), (500, 3), (2, 2)])
@pytest.mark.parametrize("points", [None, 1, 50])
def test_small_and_thin_pictures(size: tuple[int, int], points: int | None) -> None:
    picture = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    net = siren(picture)
    recipe = tuple(replace(phase, points=points, iterations=20) for phase in THREE)
    report = fit(net, picture, recipe, quantizer=quantizer_for(net), progress=False)
    assert report.steps and math.isfinite(report.best_psnr) and net.render().shape == picture.shape


def activations(config: SirenConfig) -> int:
    """Numbers a point costs in a step: its features, and each layer's output before and after its sine."""
    return config.inputs + 2 * config.sine_layers * config.width + 2 * 3


def begun(net: nn.Module, picture: Tensor, phase: Phase) -> networks.NetworkFit:
    """A fit of which ``phase`` has begun and no step is done."""
    run = networks.NetworkFit(net, picture, (phase,))
    run.start((phase,))
    run.begin(phase)
    return run


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 3000), (1, 12_000_000), (12_000_000, 1), (100, 120_000)])
@pytest.mark.parametrize("points", [None, 6_000, 12_000_000])
@pytest.mark.parametrize("config", [SirenConfig(128), SirenConfig(512), SirenConfig(49, 13, 0)])
def test_a_step_respects_its_memory(size: tuple[int, int], points: int | None, config: SirenConfig) -> None:
    picture = torch.zeros(()).expand(3, *size)  # takes no memory itself
    run = begun(Siren(config, *size), picture, replace(PLAIN, points=points))
    canvases, validation = run.canvases, run.features
    assert 4 * activations(config) * canvases.points <= networks.STEP_BYTES
    assert validation.shape[0] * validation.shape[1] <= networks.VALIDATION_POINTS
    if points is None and size == (3000, 4000):  # and it makes use of it
        assert 4 * activations(config) * canvases.points >= 0.5 * networks.STEP_BYTES
    features, colours = canvases.next()
    assert features.shape[0] * features.shape[1] <= canvases.points and colours.shape[1:] == features.shape[:2]


def test_what_fits_is_not_cut(coffee: Tensor) -> None:
    def canvases(points: int | None) -> SubCanvases:
        return begun(siren(coffee), coffee, replace(PLAIN, points=points)).canvases

    assert canvases(None).stride == 1 and canvases(None).points == 50 * 75
    assert 500 <= canvases(500).points < 2 * 500
    assert canvases(10**9).stride == 1


FIT_LARGE = f"""
import torch
{PEAK}
from tutorial_lib.networks.siren import Siren, SirenConfig
from tutorial_lib.training import Phase, fit
from tutorial_lib.coding.quantizers import RateDistortionQuantizer
small = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))
picture = torch.nn.functional.interpolate(small, size=(3000, 4000), mode="bilinear")[0]
net = Siren(SirenConfig(128), 3000, 4000)
first = Phase("all pixels", 2)
noise = Phase("noise", 2, quantization="noise", restart=False)
phases = (first, noise, Phase("round", 2, quantization="round"))
report = fit(net, picture, phases, quantizer=RateDistortionQuantizer(8.0 * 30000), progress=False)
assert report.steps
print(peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_twelve_megapixels_in_four_gigabytes() -> None:
    run = subprocess.run([sys.executable, "-c", FIT_LARGE], capture_output=True, text=True, timeout=900, check=True)
    assert int(run.stdout) < 4 * 10**9


# ------------------------------------------------------------------------------------------ a step


@pytest.mark.parametrize("weight_penalty", [0.0, 1e-3])
@pytest.mark.parametrize("rated", [False, True])
def test_a_step_takes_the_gradient_at_the_quantized_weights(
    coffee: Tensor, weight_penalty: float, rated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "optimizer_for", lambda _, parameters, *__, **___: torch.optim.SGD(parameters, lr=1.0))
    net, after = siren(coffee), {}
    before = copy.deepcopy(net)
    quantizer = RateDistortionQuantizer(4.0 * SMALL.weights, rated=rated)
    phase = replace(PLAIN, iterations=1, learning_rate=0.01, quantization="round", weight_penalty=weight_penalty)
    fit(
        net,
        coffee,
        (phase,),
        quantizer=quantizer,
        progress=False,
        callback=lambda state: after.update(copy.deepcopy(dict(state.representation.named_parameters()))),
    )
    exact = dict(before.named_parameters())
    rounded = copy.deepcopy(before)
    with torch.no_grad():
        for name, parameter in rounded.named_parameters():
            parameter.copy_(torch.round(parameter / quantizer.steps[name]) * quantizer.steps[name])
    points = training.SubCanvases(rounded, coffee, 1, torch.Generator()).at(0)[0]
    F.mse_loss(rounded.colours(points).movedim(-1, 0), coffee).backward()
    assert rated == (quantizer.rate_weight > 0)
    for name, parameter in rounded.named_parameters():
        weight = exact[name].detach().double()
        b = weight.abs().mean() / quantizer.steps[name]  # d/dw of λ·n·log₂(1 + 2e·b)
        rate = quantizer.rate_weight * 2 * math.e / (quantizer.steps[name] * (1 + 2 * math.e * b) * math.log(2))
        gradient = parameter.grad.double() + (rate + weight_penalty) * weight.sign()
        torch.testing.assert_close(after[name].double(), weight - 0.01 * gradient, atol=1e-7, rtol=1e-5)


def test_eight_bits_as_published(coffee: Tensor) -> None:
    net, quantizer = siren(coffee), MaxAbsQuantizer(8)
    report = fit(net, coffee, (PLAIN, replace(PLAIN, quantization="round")), quantizer=quantizer, progress=False)
    assert report.steps == quantizer.steps and all(storable_step(step) == step for step in report.steps.values())


def test_calibrate_without_training(coffee: Tensor) -> None:
    net = siren(coffee)
    before, quantizer = copy.deepcopy(net.state_dict()), quantizer_for(net)
    training.calibrate(quantizer, net, coffee)
    assert quantizer.satisfied_by(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


class Halves:
    """A rounding that puts every weight on the symbol 1, and says that it takes long."""

    def __init__(self, passes: int = 10_000) -> None:
        self.passes, self.calls = passes, 0

    def __call__(self, net: nn.Module, steps: dict[str, float], canvas: training.PictureResiduals) -> None:
        self.calls += 1
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.fill_(steps[name])


def test_a_phase_that_settles_begins_with_the_quantizer_s_rounding(coffee: Tensor) -> None:
    still = replace(PLAIN, iterations=1, learning_rate=0.0)
    for settles in (False, True):
        net, rounding = siren(coffee), Halves()
        quantizer = MaxAbsQuantizer(8, rounding=rounding)
        qat = replace(still, quantization="round", settle=settles)
        report = fit(net, coffee, (still, qat), quantizer=quantizer, progress=False)
        assert rounding.calls == settles
        on_one = [bool((p == report.steps[name]).all()) for name, p in net.named_parameters()]
        assert all(on_one) if settles else not any(on_one)


def test_settle_rounds(coffee: Tensor) -> None:
    net, rounding = siren(coffee), Halves()
    quantizer = MaxAbsQuantizer(8, rounding=rounding)
    training.calibrate(quantizer, net, coffee)
    training.settle(quantizer, net, coffee)
    assert rounding.calls == 1
    assert all(bool((p == quantizer.steps[name]).all()) for name, p in net.named_parameters())
    training.settle(MaxAbsQuantizer(8), net, coffee)  # nothing to decide, so no steps are needed


def test_the_canvas_of_a_rounding_is_the_picture(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "ROUNDING_POINTS", 1000)
    net = siren(coffee)
    canvas = networks.NetworkFit(net, coffee, ()).residuals()
    count = math.prod(canvas.canvases.corners)
    residuals = [canvas.residual() for _ in range(count)]
    assert count == 4 and all(residual.requires_grad and residual[0].numel() <= 1000 for residual in residuals)
    squares = torch.cat([residual.detach().square().flatten() for residual in residuals])
    with torch.no_grad():
        exact = net.colours(net.features(images.canvas(*coffee.shape[1:]))).movedim(-1, 0) - coffee
    assert squares.numel() == coffee.numel() and float(squares.mean()) == pytest.approx(float(exact.square().mean()), rel=1e-4)
    assert canvas.error() == pytest.approx(float(F.mse_loss(net.render(), coffee)), rel=1e-4)


def test_an_estimate_counts_the_rounding(coffee: Tensor) -> None:
    net = siren(coffee)
    without, with_it = (
        training.estimate_seconds(net, coffee, (PLAIN,), MaxAbsQuantizer(8, rounding=rounding)) for rounding in (None, Halves())
    )
    assert with_it > 20 * without


def test_an_estimate_touches_nothing(coffee: Tensor) -> None:
    net = siren(coffee)
    before, quantizer = copy.deepcopy(net.state_dict()), quantizer_for(net)
    one = training.estimate_seconds(net, coffee, THREE, quantizer)
    assert 0 < one < 600 and quantizer.steps == {}
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


# ------------------------------------------------------------------------------------------ schedules


def test_schedules() -> None:
    assert [Constant()(step, 10) for step in (0, 5, 9)] == [1, 1, 1]
    cosine = Cosine(floor=0.1)
    assert [cosine(step, 100) for step in (0, 50, 100)] == pytest.approx([1, 0.55, 0.1])
    there_and_back = Cosine(half_period=50, floor=0.1)
    assert [there_and_back(step, 100) for step in (0, 25, 50, 75, 100)] == pytest.approx([1, 0.55, 0.1, 0.55, 1])
    cycle = OneCycle(warm_up=0.2, start=0.1, end=0.01)
    assert [cycle(step, 100) for step in (0, 10, 20, 60, 100)] == pytest.approx([0.1, 0.55, 1, 0.505, 0.01])
    assert all(0 < OneCycle()(step, 7) <= 1 for step in range(7))


def test_warm_up_cycles_are_nif_s() -> None:
    """Rates as published: 20 iterations up from 6e-4 to the peak 1e-3, then down; the peak 1 % lower every cycle of 150."""
    schedule = WarmUpCycles(150, 20, floor=0.6, decay=0.99, steps=4)

    def rate(iteration: int, step: int = 0) -> float:
        return 1e-3 * schedule(4 * iteration + step, 10**9)

    assert [rate(t) for t in (0, 19, 20, 149)] == pytest.approx([6e-4, 1e-3, 6e-4 + 4e-4 * (1 - 20 / 150), 6e-4 + 4e-4 / 150])
    for cycle, peak in ((1, 0.99e-3), (9, 1e-3 * 0.99**9)):
        assert [rate(150 * cycle + t) for t in (0, 10, 19, 75)] == pytest.approx(
            [6e-4, 6e-4 + (peak - 6e-4) * 10 / 19, peak, 6e-4 + (peak - 6e-4) / 2]
        )
    # the four steps of an iteration share a rate
    assert all(rate(t, step) == rate(t) for t in (0, 7, 149, 150, 1499) for step in range(4))
    qat = WarmUpCycles(40, 5, floor=0.4)
    assert [5e-5 * qat(t, 1) for t in (0, 2, 4, 5, 39, 40, 44)] == pytest.approx(
        [2e-5, 3.5e-5, 5e-5, 2e-5 + 3e-5 * 35 / 40, 2e-5 + 3e-5 / 40, 2e-5, 5e-5]
    )


def test_cosine_is_torch_s() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-4)
    for step in range(100):
        ours = 1e-3 * Cosine(half_period=50, floor=0.1)(step, 100)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        reference.step()


def test_phases_without_restart_share_a_schedule(coffee: Tensor) -> None:
    seen: list[tuple[int, int]] = []

    def schedule(step: int, total: int) -> float:
        seen.append((step, total))
        return 1.0

    phase = replace(PLAIN, iterations=4, schedule=schedule)
    fit(siren(coffee), coffee, (phase, replace(phase, restart=False), phase), progress=False)
    assert seen == [(step, 8) for step in range(8)] + [(step, 4) for step in range(4)]


# ------------------------------------------------------------------------------------------ a phase's other fields


def parameters_at(records: dict[str, dict[str, Tensor]], which: str) -> Callable[[Progress], None]:
    """A callback that keeps, for each phase, the parameters at its first or last evaluation."""

    def keep(state: Progress) -> None:
        if which == "last" or state.phase not in records:
            records[state.phase] = {name: value.detach().clone() for name, value in state.representation.named_parameters()}

    return keep


def nif(picture: Tensor, config: NifConfig, seed: int = 0) -> Nif:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Nif(config, *picture.shape[-2:])


STILL = replace(PLAIN, iterations=1, learning_rate=0.0, points=500)  # on sub-canvases, so that a phase begins with a record


@pytest.mark.parametrize(("fraction", "strength"), [(0.637, 0.458), (0.697, 0.215), (0.1, 0.9)])
def test_weight_restart(coffee: Tensor, fraction: float, strength: float) -> None:
    net, states = nif(coffee, NifConfig((80, 60, 50), (40, 30))), {}
    restart = replace(STILL, name="restarted", restart=False, weight_restart=WeightRestart(fraction, strength))
    fit(net, coffee, (STILL, restart), progress=False, callback=parameters_at(states, "first"))
    before, after = states["plain"], states["restarted"]
    heads = {"genesis.0.weight", "modulation.0.weight"}
    for name, weight in before.items():
        noise = after[name] - weight
        if weight.ndim == 1 or name in heads:
            assert not noise.any(), name
            continue
        size, count = strength * float(weight.abs().mean()) / fraction, noise.numel()
        assert float(noise.abs().max()) <= size * 1.00001
        touched = noise[noise != 0]
        assert abs(touched.numel() - fraction * count) <= 4.5 * math.sqrt(fraction * (1 - fraction) * count) + 1
        if touched.numel() > 100:  # uniform in ±size
            assert float(touched.abs().max()) > 0.93 * size
            assert float(touched.square().mean()) == pytest.approx(size**2 / 3, rel=0.25)


def test_a_weight_restart_begins_with_the_best_state(coffee: Tensor) -> None:
    """Though the phase before ended in ruins; heads and biases show it, for they aren't disturbed."""
    first = replace(PLAIN, schedule=spoil, points=900, iterations=80)
    best, net, states = siren(coffee), siren(coffee), {}
    fit(best, coffee, (first,), progress=False)
    restart = replace(STILL, name="restarted", restart=False, weight_restart=WeightRestart(0.5, 0.1))
    keep = parameters_at(states, "first")
    fit(net, coffee, (first, restart), progress=False, callback=keep)
    for name, value in best.named_parameters():
        same = torch.equal(value, states["restarted"][name])
        assert same == (value.ndim == 1 or name == "layers.0.weight"), name


def test_a_weight_restart_begins_where_the_phase_before_was_best(coffee: Tensor) -> None:
    """Not where the whole fit was: training in steps leaves the first minimum for good."""
    away = replace(STILL, name="away", restart=False, weight_restart=WeightRestart(1.0, 0.6))
    on = replace(away, name="on", weight_restart=WeightRestart(1.0, 1e-6))
    net, states = siren(coffee), {}
    first = replace(PLAIN, points=900, iterations=80)
    report = fit(net, coffee, (first, away, on), progress=False, callback=parameters_at(states, "first"))
    psnrs = {name: psnr for _, name, psnr, _ in report.history}
    assert report.recoveries == 0 and report.best_psnr > psnrs["away"] + 0.3
    for name, value in net.named_parameters():  # as the fit ends: the best of all
        torch.testing.assert_close(states["on"][name], states["away"][name], rtol=0, atol=1e-6)
        assert torch.equal(value, states["away"][name]) == (value.ndim == 1 or name == "layers.0.weight")


@pytest.mark.parametrize("contrast", [1.0, 0.1])
def test_a_weight_restart_is_no_divergence(contrast: float) -> None:
    """The disturbed state may be far worse than the best one; it must be trained on, at the full learning rate."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 24), torch.linspace(0, 1, 32), indexing="ij")
    smooth = 0.5 + contrast * (torch.stack([x, y, (x + y) / 2]) - 0.5)
    rates: list[float] = []

    def schedule(step: int, total: int) -> float:
        rates.append(1.0)
        return 1.0

    first = replace(PLAIN, iterations=300, learning_rate=5e-4, points=192)
    restart = replace(first, name="restarted", restart=False, weight_restart=WeightRestart(0.637, 0.458), schedule=schedule)
    net = siren(smooth, SirenConfig(32, 3, 6))
    report = fit(net, smooth, (first, restart), progress=False)
    plain, restarted = ([psnr for _, name, psnr, _ in report.history if name == each] for each in ("plain", "restarted"))
    assert restarted[0] < max(plain) - 12  # ten decibels are the limit of a divergence
    assert report.recoveries == 0 and len(rates) == 300
    assert report.best_psnr >= max(plain) - 1e-3 and max(restarted) > restarted[0] + 6


class Counting(MaxAbsQuantizer):
    calls = 0

    def calibrate(self, representation: nn.Module, render: Callable[[], Tensor]) -> None:
        self.calls += 1
        super().calibrate(representation, render)


@pytest.mark.parametrize("quantization", ["noise", "round"])
@pytest.mark.parametrize(("every", "calls"), [(None, 1), (1, 60), (25, 3), (20, 3), (60, 1), (1000, 1)])
def test_calibrate_every(coffee: Tensor, quantization: str, every: int | None, calls: int) -> None:
    quantizer = Counting()
    phase = replace(PLAIN, quantization=quantization, calibrate_every=every)
    fit(siren(coffee), coffee, (phase,), quantizer=quantizer, progress=False)
    assert quantizer.calls == calls


def flat(prediction: Tensor, target: Tensor) -> Tensor:
    """A loss without a slope."""
    return 0 * prediction.sum()


def test_weight_decay(coffee: Tensor) -> None:
    net, states = siren(coffee), {}
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    phase = replace(PLAIN, iterations=10, learning_rate=0.02, weight_decay=0.5, loss=flat, points=500)
    fit(net, coffee, (phase,), progress=False, callback=parameters_at(states, "last"))
    for name, value in before.items():
        torch.testing.assert_close(states["plain"][name], value * (1 - 0.02 * 0.5) ** 10, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_weight_decay_shrinks_the_weights(coffee: Tensor, optimizer: str) -> None:
    def size(weight_decay: float) -> float:
        states = {}
        phase = replace(PLAIN, optimizer=optimizer, weight_decay=weight_decay, iterations=20, points=500)
        fit(siren(coffee), coffee, (phase,), progress=False, callback=parameters_at(states, "last"))
        return sum(float(value.square().sum()) for value in states["plain"].values())

    without, with_ten = size(0.0), size(10.0)
    # (1 − 10⁻³ · 10)²⁰ of a weight, 0.67 of its square, is left by decay alone
    assert 0.6 * without < with_ten < 0.75 * without


def test_a_loss_may_be_a_function(coffee: Tensor) -> None:
    def run(loss: str | losses.Loss) -> list[Tensor]:
        net = siren(coffee)
        fit(net, coffee, (replace(PLAIN, loss=loss, iterations=20),), progress=False)
        return [value.detach() for value in net.parameters()]

    seen: list[tuple[torch.Size, torch.Size]] = []

    def own(prediction: Tensor, target: Tensor) -> Tensor:
        seen.append((prediction.shape, target.shape))
        return (prediction - target).square().mean()

    named, given, other = run("mse"), run(own), run(losses.l1)
    assert seen == [((3, 50, 75), (3, 50, 75))] * 20
    for first, second in zip(named, given, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    assert not torch.equal(named[0], other[0])


def negated(prediction: Tensor, target: Tensor) -> Tensor:
    """The further off the better."""
    return -F.mse_loss(prediction, target)


def test_the_criterion_decides_which_state_is_the_best(coffee: Tensor) -> None:
    by_error, by_loss = siren(coffee), siren(coffee)
    before = mse_as_stored(by_error, coffee, {})
    phase = replace(PLAIN, loss=negated, learning_rate=1e-4)
    assert fit(by_error, coffee, (phase,), progress=False).best_psnr == pytest.approx(-10 * math.log10(before), abs=2e-3)
    report = fit(by_loss, coffee, (replace(phase, criterion="loss"),), progress=False)
    after = mse_as_stored(by_loss, coffee, {})
    # by its own loss the last state is the best one, by errors the first
    assert mse_as_stored(by_error, coffee, {}) == pytest.approx(before) and after > 1.05 * before
    assert report.best_psnr == pytest.approx(-10 * math.log10(after), abs=2e-3)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_the_rate_is_weighed_in_the_loss_s_own_units(coffee: Tensor, scale: float) -> None:
    """A loss k times as large takes k times the rate's weight, or it would mean another trade."""

    def scaled(prediction: Tensor, target: Tensor) -> Tensor:
        return scale * F.mse_loss(prediction, target)

    run = networks.NetworkFit(siren(coffee), coffee, (), quantizer := RateDistortionQuantizer(4.0 * SMALL.weights))
    run.begin(replace(PLAIN, loss=scaled, quantization="noise"))
    assert quantizer.rate_weight > 0 and run.worth == pytest.approx(scale, rel=1e-3)
    run.begin(replace(PLAIN, quantization="noise"))
    assert run.worth == 1


def test_a_loss_of_one_s_own_by_name(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.LOSSES, "flat", flat)
    net = siren(coffee)
    before = copy.deepcopy(net.state_dict())
    fit(net, coffee, (replace(PLAIN, loss="flat"),), progress=False)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_codec_can_be_fitted_with_every_loss(coffee: Tensor, name: str, loss: str) -> None:
    if "lpips" in loss:
        try:
            lpips_network("squeeze", torch.device("cpu"))
        except MetricError as error:
            pytest.skip(str(error))
    if "features" in loss and features_of() is None:
        pytest.skip("no network's weights are in torch's cache")
    codec = codecs.LEARNED[name]
    plan = codec.plan(coffee, bpp=2.0, budget="quick", loss=loss)
    assert {(phase.loss, phase.criterion) for phase in plan.recipe} == {(loss, "loss")}
    brief = tuple(replace(phase, iterations=8) for phase in plan.recipe)
    encoding = codec.execute(replace(plan, recipe=brief), coffee, progress=False)
    psnrs = [psnr for _, _, psnr, _ in encoding.report.history]
    assert all(math.isfinite(psnr) for psnr in psnrs) and max(psnrs) > psnrs[0]
    assert codecs.decode(encoding.data).shape == coffee.shape


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (replace(PLAIN, loss="hinge"), "no loss 'hinge'; there are .*mse"),
        (replace(PLAIN, optimizer="sgd"), "no optimizer 'sgd'"),
        (replace(PLAIN, quantization="floor"), "no quantization 'floor'"),
        (replace(PLAIN, quantization="round"), "phase 'plain' quantizes: fit needs a quantizer"),
        (replace(PLAIN, settle=True), "phase 'plain' settles weights on symbols without quantizing them"),
    ],
)
def test_what_fit_refuses(coffee: Tensor, phase: Phase, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(siren(coffee), coffee, (PLAIN, phase), progress=False)
