"""The fit: best state, interruption, divergence, seeds, sub-canvases, memory."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib import codecs, training
from tutorial_lib.quantization import (
    MaxAbsQuantizer,
    RateDistortionQuantizer,
    quantized_parameters,
    storable_step,
)
from tutorial_lib.siren import Siren, SirenConfig
from tutorial_lib.training import Constant, Cosine, OneCycle, Phase, Progress, SubCanvases, fit

SMALL = SirenConfig(width=12, sine_layers=2, frequencies=6)
PLAIN = Phase("plain", 60, "adam", 1e-3, Constant())
THREE = (
    replace(PLAIN, optimizer="soap", learning_rate=3e-3),
    replace(PLAIN, name="noise", optimizer="soap", quantization="noise", restart=False),
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
    phases = (PLAIN, replace(PLAIN, name="second", quantization=quantization, schedule=spoil, iterations=80))

    def keep(state: Progress) -> None:
        last["psnr"] = state.psnr

    report = fit(net, coffee, phases, quantizer=quantizer, progress=False, callback=keep)
    second = [psnr for _, name, psnr in report.history if name == "second"]
    assert last["psnr"] < report.best_psnr - 0.3  # it was ruined
    assert report.best_psnr >= max(second)
    assert bool(report.steps) == bool(quantization)
    assert -10 * math.log10(mse_as_stored(net, coffee, report.steps)) == pytest.approx(
        report.best_psnr, abs=2e-3
    )
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


def test_without_a_quantised_state_the_exact_one_is_kept(coffee: Tensor) -> None:
    net = siren(coffee)
    phases = (PLAIN, replace(PLAIN, quantization="round", learning_rate=0.1))
    report = fit(net, coffee, phases, quantizer=NeverSatisfied(), progress=False)
    assert report.steps == {}
    assert -10 * math.log10(mse_as_stored(net, coffee, {})) == pytest.approx(report.best_psnr, abs=2e-3)
    assert report.best_psnr >= max(psnr for _, _, psnr in report.history[:4])


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
    assert [(s.iteration, s.phase, s.psnr) for s in seen] == list(report.history)
    assert [name for _, name, _ in report.history[:: len(report.history) // 3]][:1] == ["plain"]
    assert {name for _, name, _ in report.history} == {"plain", "noise", "rounding"}
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


def test_a_bar_shows_the_phase_and_the_psnr(coffee: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
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
    report = fit(
        net, coffee, THREE, quantizer=quantizer_for(net), progress=False, callback=stop_at(iteration)
    )
    assert report.interrupted and report.history[-1][0] == iteration
    assert -10 * math.log10(mse_as_stored(net, coffee, report.steps)) == pytest.approx(
        report.best_psnr, abs=2e-3
    )
    # a phase's last record and the next one's first bear the same number: 60 is still of the first phase
    assert bool(report.steps) == (iteration > 60)


@pytest.mark.parametrize("name", ["siren", "coin", "struempler"])
@pytest.mark.parametrize("moment", ["before", 0, 100, "end"])
def test_a_stopped_encode_is_packed(
    coffee: Tensor, name: str, moment: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = codecs.get(name)
    plan = codec.plan(coffee, bpp=2.0, budget="quick")
    if moment == "before":  # not one step done, no state scored

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(training._Fit, "canvases", interrupt)
        callback = None
    else:
        callback = stop_at(sum(phase.iterations for phase in plan.recipe) if moment == "end" else int(moment))
    encoding = codec.execute(plan, coffee, progress=False, callback=callback)
    assert encoding.report.interrupted
    assert codecs.decode(encoding.data).shape == coffee.shape
    assert plan.storage != "rate" or len(encoding.data) <= plan.target_bytes


def test_stopping_an_estimate_stops(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there to keep yet, so the program ends as programs do."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training._Fit, "step", interrupt)
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
    assert report.best_psnr >= max(psnr for _, _, psnr in report.history[:4]) > -10 * math.log10(before) + 3


def test_divergence_while_quantising(coffee: Tensor) -> None:
    net = siren(coffee)
    wild = tuple(replace(phase, learning_rate=50.0) for phase in THREE[1:])
    report = fit(net, coffee, (THREE[0], *wild), quantizer=quantizer_for(net), progress=False)
    assert report.recoveries > 0 and report.steps
    assert all(math.isfinite(step) for step in report.steps.values())
    first = [psnr for _, name, psnr in report.history if name == "plain"]
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
    psnrs = [psnr for _, _, psnr in report.history]
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
        codec.encode(coffee, bpp=1.5, budget="quick", seed=seed, progress=False, device="cpu")
        for seed in (1, 1, 2)
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


@pytest.mark.parametrize(
    "size", [(3000, 4000), (4000, 3000), (1, 12_000_000), (12_000_000, 1), (100, 120_000)]
)
@pytest.mark.parametrize("points", [None, 6_000, 12_000_000])
@pytest.mark.parametrize("config", [SirenConfig(128), SirenConfig(512), SirenConfig(49, 13, 0)])
def test_a_step_respects_its_memory(size: tuple[int, int], points: int | None, config: SirenConfig) -> None:
    picture = torch.zeros(()).expand(3, *size)  # takes no memory itself
    run = training._Fit(Siren(config, *size), picture, (), None, 0, False, None)
    canvases = run.canvases(replace(PLAIN, points=points))
    assert 4 * activations(config) * canvases.points <= training.STEP_BYTES
    assert run.features.shape[0] * run.features.shape[1] <= training.VALIDATION_POINTS
    if points is None and size == (3000, 4000):  # and it makes use of it
        assert 4 * activations(config) * canvases.points >= 0.5 * training.STEP_BYTES
    features, colours = canvases.next()
    assert (
        features.shape[0] * features.shape[1] <= canvases.points and colours.shape[1:] == features.shape[:2]
    )


def test_what_fits_is_not_cut(coffee: Tensor) -> None:
    run = training._Fit(siren(coffee), coffee, (), None, 0, False, None)
    assert run.canvases(PLAIN).stride == 1 and run.canvases(PLAIN).points == 50 * 75
    assert 500 <= run.canvases(replace(PLAIN, points=500)).points < 2 * 500
    assert run.canvases(replace(PLAIN, points=10**9)).stride == 1


FIT_LARGE = """
import resource, sys, torch
from tutorial_lib.siren import Siren, SirenConfig
from tutorial_lib.training import Phase, fit
from tutorial_lib.quantization import RateDistortionQuantizer
small = torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))
picture = torch.nn.functional.interpolate(small, size=(3000, 4000), mode="bilinear")[0]
net = Siren(SirenConfig(128), 3000, 4000)
first = Phase("all pixels", 2)
noise = Phase("noise", 2, quantization="noise", restart=False)
phases = (first, noise, Phase("round", 2, quantization="round"))
report = fit(net, picture, phases, quantizer=RateDistortionQuantizer(8.0 * 30000), progress=False)
assert report.steps
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_twelve_megapixels_in_four_gigabytes() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FIT_LARGE], capture_output=True, text=True, timeout=900, check=True
    )
    assert int(run.stdout) < 4 * 10**9


# ------------------------------------------------------------------------------------------ a step


@pytest.mark.parametrize("weight_penalty", [0.0, 1e-3])
@pytest.mark.parametrize("rated", [False, True])
def test_a_step_takes_the_gradient_at_the_quantised_weights(
    coffee: Tensor, weight_penalty: float, rated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_optimizer", lambda _, net: torch.optim.SGD(net.parameters(), lr=1.0))
    net, after = siren(coffee), {}
    before = copy.deepcopy(net)
    quantizer = RateDistortionQuantizer(4.0 * SMALL.weights, rated=rated)
    phase = replace(
        PLAIN, iterations=1, learning_rate=0.01, quantization="round", weight_penalty=weight_penalty
    )
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
        rate = (
            quantizer.rate_weight * 2 * math.e / (quantizer.steps[name] * (1 + 2 * math.e * b) * math.log(2))
        )
        gradient = parameter.grad.double() + (rate + weight_penalty) * weight.sign()
        torch.testing.assert_close(after[name].double(), weight - 0.01 * gradient, atol=1e-7, rtol=1e-5)


def test_eight_bits_as_published(coffee: Tensor) -> None:
    net, quantizer = siren(coffee), MaxAbsQuantizer(8)
    report = fit(
        net, coffee, (PLAIN, replace(PLAIN, quantization="round")), quantizer=quantizer, progress=False
    )
    assert report.steps == quantizer.steps and all(
        storable_step(step) == step for step in report.steps.values()
    )


def test_calibrate_without_training(coffee: Tensor) -> None:
    net = siren(coffee)
    before, quantizer = copy.deepcopy(net.state_dict()), quantizer_for(net)
    training.calibrate(quantizer, net, coffee)
    assert quantizer.satisfied_by(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


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
    assert [there_and_back(step, 100) for step in (0, 25, 50, 75, 100)] == pytest.approx(
        [1, 0.55, 0.1, 0.55, 1]
    )
    cycle = OneCycle(warm_up=0.2, start=0.1, end=0.01)
    assert [cycle(step, 100) for step in (0, 10, 20, 60, 100)] == pytest.approx([0.1, 0.55, 1, 0.505, 0.01])
    assert all(0 < OneCycle()(step, 7) <= 1 for step in range(7))


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


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (replace(PLAIN, loss="hinge"), "no loss 'hinge'; there are mse"),
        (replace(PLAIN, optimizer="sgd"), "no optimiser 'sgd'"),
        (replace(PLAIN, quantization="floor"), "no quantization 'floor'"),
        (replace(PLAIN, quantization="round"), "phase 'plain' quantises: fit needs a quantizer"),
    ],
)
def test_what_fit_refuses(coffee: Tensor, phase: Phase, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(siren(coffee), coffee, (PLAIN, phase), progress=False)
