"""Steps, the straight-through estimator, roundings that look at the picture, and the rate estimated in training."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tutorial_lib.coding import rounding as roundings
from tutorial_lib.coding.laws import Laplace
from tutorial_lib.coding.quantizers import MaxAbsQuantizer, RateDistortionQuantizer
from tutorial_lib.coding.rates import laplace_entropy_bits, laplace_rate, parameter_rate
from tutorial_lib.coding.rounding import AdaRound, RateDistortionRounding
from tutorial_lib.coding.steps import (
    MAX_SYMBOL,
    MIN_STEP,
    quantize,
    storable_row_steps,
    storable_step,
    to_symbols,
)
from tutorial_lib.training.stand_ins import quantized_parameters


class Gains(nn.Module):
    """An "image" that is each parameter times a gain: sensitivities are known exactly."""

    def __init__(self, *gains: float, size: int = 2000) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.gains = gains
        self.weights = nn.ParameterList([torch.randn(size, generator=generator) for _ in gains])

    def forward(self) -> Tensor:
        return torch.cat([gain * w for gain, w in zip(self.gains, self.weights, strict=True)])


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


# ------------------------------------------------------------------------------------------ rounding


def test_symbols_by_hand() -> None:
    values = torch.tensor([0.0, 0.24, 0.25, 0.26, 0.75, -0.25, -0.75, 1e9, -1e9])
    expected = [0, 0, 0, 1, 2, 0, -2, MAX_SYMBOL, -MAX_SYMBOL]  # ties to even
    assert to_symbols(values, 0.5).tolist() == expected
    tensor = quantize(values.reshape(3, 3), 0.5)
    assert tensor.symbols.dtype == np.int32 and tensor.symbols.ravel().tolist() == expected
    assert tensor.values().dtype == torch.float32
    assert tensor.values().ravel().tolist() == [0.5 * q for q in expected]


@given(st.floats(-50, 50, width=32), st.floats(1e-4, 1.0))
def test_rounding_error_is_half_a_step_at_most(value: float, step: float) -> None:
    step = max(storable_step(step), abs(value) / MAX_SYMBOL)
    step = storable_step(step * 1.01)
    error = abs(float(quantize(torch.tensor([value]), step).values()) - value)
    assert error <= step / 2 + 1e-6 * abs(value)


@given(st.floats(1e-15, 1e15))
def test_storable_steps_are_bfloat16(step: float) -> None:
    stored = storable_step(step)
    assert np.float32(stored).astype("<f4").tobytes()[:2] == b"\0\0"
    assert abs(stored / step - 1) <= 2.0**-8
    assert storable_step(stored) == stored


def test_storable_step_is_never_zero() -> None:
    assert storable_step(0.0) == MIN_STEP > 0


@given(st.lists(st.floats(0, 1e6) | st.just(0.0), min_size=1, max_size=20))
def test_storable_steps_of_rows(steps: list[float]) -> None:
    stored = storable_row_steps(np.array(steps))
    largest = float(stored.max())
    assert stored.dtype == np.float32 and storable_step(largest) == largest
    parts = 256 * stored.astype(np.float64) / largest
    assert np.array_equal(parts, np.round(parts)) and parts.min() >= 1
    assert np.all(np.abs(stored - steps) <= largest * (1 / 256 + 2.0**-8) + MIN_STEP)
    assert np.array_equal(storable_row_steps(stored), stored)


def test_symbols_of_rows_by_hand() -> None:
    values = torch.tensor([[1.0, -0.5, 0.26], [1.0, -0.5, 0.26]])
    steps = storable_row_steps(np.array([0.25, 0.5]))
    assert to_symbols(values, steps).tolist() == [[4, -2, 1], [2, -1, 1]]
    tensor = quantize(values, steps)
    assert tensor.values().tolist() == [[1.0, -0.5, 0.25], [1.0, -0.5, 0.5]]
    assert laplace_rate(values, steps).item() == pytest.approx(laplace_rate(values / torch.tensor([[0.25], [0.5]]), 1.0).item())


# ------------------------------------------------------------------------------------------ entropy


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 7.0, 400.0])
def test_entropy_is_that_of_the_best_law(scale: float) -> None:
    symbols = np.round(np.random.default_rng(5).laplace(0, scale, 3000))
    k, counts = np.unique(np.abs(symbols), return_counts=True)

    def bits(b: float) -> float:
        t = math.exp(-0.5 / b)
        probability = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2 * k))
        return float(-(counts * np.log2(np.maximum(probability, 1e-300))).sum())

    best = min(bits(b) for b in np.geomspace(0.03, 3000, 4000) if math.exp(-0.5 / b) > 1e-7)
    assert laplace_entropy_bits(torch.from_numpy(symbols)) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize(
    ("symbols", "bits"),
    [([0, 0, 0], 0.0), ([], 0.0), ([0, 1], None), ([5, 5, 5, -5], None), ([32767] * 100, None), ([1], None)],
)
def test_entropy_at_the_edges(symbols: list[int], bits: float | None) -> None:
    value = laplace_entropy_bits(torch.tensor(symbols, dtype=torch.float32))
    assert value == bits if bits is not None else 0 < value < 20 * len(symbols) + 3


def exact_entropy(b: float) -> float:
    """Bits a symbol of a Laplace law of scale b, discretized with step 1."""
    t = math.exp(-0.5 / b)
    k = np.arange(1, int(60 * b) + 60)
    side = 0.5 * (1 / t - t) * np.exp(-k / b)
    side = side[side > 0]
    return -(1 - t) * math.log2(1 - t) - 2 * float((side * np.log2(side)).sum())


def test_laplace_rate_is_as_near_the_entropy_as_it_says() -> None:
    largest = 0.0
    for b in np.geomspace(0.05, 1000, 300):
        values = torch.tensor([b, -b], dtype=torch.float64)  # a mean magnitude of b
        excess = float(laplace_rate(values, 1.0)) / 2 - exact_entropy(float(b))
        assert -1e-6 < excess <= (0.25 if b >= 0.75 else 0.61)
        largest = max(largest, excess)
    assert largest > 0.6


def test_laplace_rate_scales_and_pulls_inwards() -> None:
    values = torch.randn(50, generator=torch.Generator().manual_seed(1)).requires_grad_()
    rate = laplace_rate(values, 0.1)
    assert laplace_rate(values * 3, 0.3).item() == pytest.approx(rate.item(), rel=1e-5)
    assert laplace_rate(values, 0.2).item() < rate.item()
    assert float(laplace_rate(torch.zeros(9), 0.1)) == 0
    (gradient,) = torch.autograd.grad(rate, values)
    assert torch.equal(gradient.sign(), values.detach().sign())


def test_laplace_rate_predicts_the_coder() -> None:
    values = torch.from_numpy(np.random.default_rng(2).laplace(0, 0.2, 5000)).float()
    for step in (0.004, 0.02, 0.1):
        symbols = quantize(values, storable_step(step)).symbols
        assert float(laplace_rate(values, step)) == pytest.approx(Laplace.fitted(symbols).bits(symbols), rel=0.06)


def test_parameter_rate_adds_up() -> None:
    net = network()
    steps = {name: 0.01 * (1 + i) for i, (name, _) in enumerate(net.named_parameters())}
    separate = sum(laplace_rate(p, steps[name]).item() for name, p in net.named_parameters())
    assert parameter_rate(net, steps).item() == pytest.approx(separate, rel=1e-6)


# ------------------------------------------------------------------------------------------ choosing steps


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_max_abs(bits: int) -> None:
    net = network()
    with torch.no_grad():
        net[0].bias.zero_()
    quantizer = MaxAbsQuantizer(bits)
    assert quantizer.steps == {} and quantizer.rate_weight == 0
    quantizer.calibrate(net, lambda: torch.zeros(1))
    assert list(quantizer.steps) == [name for name, _ in net.named_parameters()]
    for name, parameter in net.named_parameters():
        assert quantizer.steps[name] == storable_step(parameter.abs().max().item() / (2 ** (bits - 1) - 1))
        if name != "0.bias":
            largest = int(to_symbols(parameter.detach(), quantizer.steps[name]).abs().max())
            assert abs(largest - (2 ** (bits - 1) - 1)) <= max(1, 2 ** (bits - 9))
    assert not quantize(net[0].bias, quantizer.steps["0.bias"]).symbols.any()
    assert quantizer.satisfied_by(net)


@pytest.mark.parametrize("bits", range(3, 17))
def test_max_abs_by_rows(bits: int) -> None:
    """Each row uses all levels, and no weight is further from its symbol than with one step for all."""
    net = network()
    with torch.no_grad():
        net[0].weight[0] *= 20
    by_rows, by_tensor = MaxAbsQuantizer(bits, rows=True), MaxAbsQuantizer(bits)
    errors = []
    for quantizer in (by_rows, by_tensor):
        quantizer.calibrate(net, lambda: torch.zeros(1))
        weight, step = net[0].weight.detach(), quantizer.steps["0.weight"]
        errors.append((quantize(weight, step).values() - weight).square().mean(1))
    levels = 2 ** (bits - 1) - 1
    assert isinstance(by_rows.steps["0.bias"], float) and by_rows.steps["0.weight"].shape == (8,)
    largest = to_symbols(net[0].weight.detach(), by_rows.steps["0.weight"]).abs().amax(1)
    assert int((largest - levels).abs().max()) <= 1 + 0.08 * levels
    assert float(errors[0][1:].sum()) < 0.1 * float(errors[1][1:].sum())


@pytest.mark.parametrize("bits", [1, 0, 17])
def test_max_abs_refuses(bits: int) -> None:
    with pytest.raises(ValueError, match="2 to 16 bits"):
        MaxAbsQuantizer(bits)


def test_steps_follow_the_sensitivities() -> None:
    net = Gains(1.0, 10.0, 0.1)
    quantizer = RateDistortionQuantizer(3 * 2000 * 5.0)
    quantizer.calibrate(net, net.forward)
    steps = list(quantizer.steps.values())
    assert steps[0] / steps[1] == pytest.approx(10, rel=0.1) and steps[2] / steps[0] == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("bits_per_weight", [0.5, 2.0, 6.0, 11.0])
def test_target_is_met_and_used(bits_per_weight: float) -> None:
    net = Gains(1.0, 4.0)
    target = 4000 * bits_per_weight
    quantizer = RateDistortionQuantizer(target)
    before = copy.deepcopy(net.state_dict())
    quantizer.calibrate(net, net.forward)
    bits = sum(laplace_entropy_bits(to_symbols(p.detach(), quantizer.steps[name])) for name, p in net.named_parameters())
    assert 0.95 * target < bits <= target and quantizer.satisfied_by(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(storable_step(step) == step for step in quantizer.steps.values())
    with torch.no_grad():
        net.weights[0] *= 8
        net.weights[1] *= 8
    assert not quantizer.satisfied_by(net)


def test_rate_weight_is_the_price_of_a_bit() -> None:
    """One bit a weight more divides the error by four: λ must be the slope of MSE over bits there."""
    net = Gains(1.0, 3.0, size=20_000)

    def point(bits_per_weight: float) -> tuple[float, float]:
        quantizer = RateDistortionQuantizer(40_000 * bits_per_weight)
        quantizer.calibrate(net, net.forward)
        exact = net().detach()
        with quantized_parameters(net, quantizer.steps):
            error = (net() - exact).square().mean().item()
        return error, quantizer.rate_weight

    (low, _), (_, price), (high, _) = (point(bits) for bits in (4.9, 5.0, 5.1))
    assert price == pytest.approx((low - high) / (40_000 * 0.2), rel=0.1)
    unrated = RateDistortionQuantizer(40_000 * 5.0, rated=False)
    unrated.calibrate(net, net.forward)
    assert unrated.rate_weight == 0


def test_calibration_repeats_with_its_seed() -> None:
    net = Gains(1.0, 2.0, size=50)
    first, second = (RateDistortionQuantizer(500.0) for _ in range(2))
    first.calibrate(net, net.forward)
    second.calibrate(net, net.forward)
    assert first.steps == second.steps


def test_a_tensor_of_zeros_is_no_obstacle() -> None:
    net = Gains(1.0, 1.0)
    with torch.no_grad():
        net.weights[1].zero_()
    quantizer = RateDistortionQuantizer(2000 * 4.0)
    quantizer.calibrate(net, net.forward)
    assert quantizer.satisfied_by(net) and all(math.isfinite(step) for step in quantizer.steps.values())


@pytest.mark.parametrize("target", [0.0, -8.0, math.nan])
def test_no_target(target: float) -> None:
    with pytest.raises(ValueError, match="leaves nothing to store"):
        RateDistortionQuantizer(target)


# ------------------------------------------------------------------------------------------ symbols by the picture


class Mixed(nn.Module):
    """An "image" of linear mixtures of the weights: errors of different weights can cancel out."""

    def __init__(self, weights: int = 60, pixels: int = 240, correlation: float = 3.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        common = torch.randn(pixels, 4, generator=generator) @ torch.randn(4, weights, generator=generator)
        self.mixture = torch.randn(pixels, weights, generator=generator) + correlation * common
        self.weights = nn.Parameter(torch.randn(weights, generator=generator))
        self.picture = self.mixture @ self.weights.detach()

    def residual(self) -> Tensor:
        return self.mixture @ self.weights - self.picture

    def error(self) -> float:
        with torch.no_grad():
            return self.residual().square().mean().item()


def errors_of(net: Mixed, step: float, *roundings: object) -> list[float]:
    """MSE after each rounding, of the same exact weights."""
    exact, found = net.weights.detach().clone(), []
    for rounding in roundings:
        with torch.no_grad():
            net.weights.copy_(exact)
        rounding(net, {"weights": step}, net)
        found.append(net.error())
    with torch.no_grad():
        net.weights.copy_(exact)
    return found


def to_nearest(net: Mixed, steps: dict[str, float], _: object) -> None:
    with torch.no_grad():
        net.weights.copy_(to_symbols(net.weights, steps["weights"]) * steps["weights"])


def test_adaround_lets_errors_cancel_out() -> None:
    net, step = Mixed(), storable_step(0.4)
    exact = net.weights.detach().clone()
    nearest, adaptive = errors_of(net, step, to_nearest, AdaRound())
    assert adaptive < 0.25 * nearest
    AdaRound()(net, {"weights": step}, net)
    symbols = net.weights.detach() / step
    assert torch.equal(symbols, symbols.round())
    assert torch.all((symbols - exact / step).abs() < 1), "up or down, never further"
    assert float(symbols.abs().max()) <= float(to_symbols(exact, step).abs().max())


@pytest.mark.parametrize("iterations", [1, 5, 30])
def test_adaround_is_never_worse_than_nearest(iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roundings, "LEARNING_RATE", 0.5)
    for correlation in (0.0, 3.0):
        net = Mixed(correlation=correlation)
        nearest, adaptive = errors_of(net, 0.5, to_nearest, AdaRound(iterations))
        assert adaptive <= nearest


def test_rdoq_finds_the_least_cost_where_weights_are_apart() -> None:
    """Without mixtures, the best symbol of each weight is known: try all of them at the final code lengths."""
    net = Mixed(weights=400, pixels=400)
    net.mixture = torch.diag(torch.linspace(0.5, 2, 400))
    net.picture = net.mixture @ net.weights.detach()
    exact, step = net.weights.detach().clone(), storable_step(0.6)
    curvature = 2 / 400 * torch.linspace(0.5, 2, 400).square()
    price = 2 * math.log(2) * float((curvature * step**2).mean()) / 24
    RateDistortionRounding(rounds=20)(net, {"weights": step}, net)
    symbols = net.weights.detach() / step

    def cost(some: Tensor) -> float:
        error = (net.mixture @ (some * step) - net.picture).square().mean()
        return float(error) + price * laplace_entropy_bits(some)

    nearest = to_symbols(exact, step)
    assert torch.equal(symbols, symbols.round()) and cost(symbols) < cost(nearest)
    assert laplace_entropy_bits(symbols) < 0.97 * laplace_entropy_bits(nearest)
    for index in range(0, 400, 7):
        for other in (-1, 1):
            changed = symbols.clone()
            changed[index] += other
            assert cost(changed) > cost(symbols) - 0.02 * price


def test_rdoq_only_accepts_what_is_really_better() -> None:
    net, step = Mixed(), storable_step(0.4)
    exact = net.weights.detach().clone()
    RateDistortionRounding()(net, {"weights": step}, net)
    error, symbols = net.error(), net.weights.detach() / step
    curvature = 2 * net.mixture.square().mean(0)
    price = 2 * math.log(2) * float((curvature * step**2).mean()) / 24
    with torch.no_grad():
        net.weights.copy_(to_symbols(exact, step) * step)
    gain = net.error() + price * laplace_entropy_bits(to_symbols(exact, step)) - error - price * laplace_entropy_bits(symbols)
    assert gain > 0


def test_adaround_refuses() -> None:
    with pytest.raises(ValueError, match="AdaRound needs"):
        AdaRound(0)


@pytest.mark.parametrize("bad", [{"samples": 0}, {"rounds": 0}])
def test_rdoq_refuses(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="RDOQ needs"):
        RateDistortionRounding(**bad)


@pytest.mark.parametrize("rounding", [None, AdaRound(50), RateDistortionRounding()])
def test_a_quantizer_rounds_with_its_rounding(rounding: object) -> None:
    net, by_hand = Mixed(), Mixed()
    quantizer = MaxAbsQuantizer(4, rounding=rounding)
    quantizer.calibrate(net, net.residual)
    quantizer.round(net, net)
    if rounding is not None:
        rounding(by_hand, quantizer.steps, by_hand)
    assert torch.equal(net.weights, by_hand.weights)
    assert torch.equal(net.weights, Mixed().weights) == (rounding is None)


def test_a_rounding_that_takes_too_much_is_dropped() -> None:
    class Spread:
        passes = 0

        def __call__(self, net: Mixed, steps: dict[str, float], residuals: object) -> None:
            with torch.no_grad():
                net.weights.mul_(50)

    net = Mixed()
    exact = net.weights.detach().clone()
    quantizer = RateDistortionQuantizer(60 * 4.0, rounding=Spread())
    quantizer.calibrate(net, lambda: net.residual().detach())
    assert quantizer.satisfied_by(net)
    quantizer.round(net, net)
    assert torch.equal(net.weights, exact) and quantizer.satisfied_by(net)


# ------------------------------------------------------------------------------------------ training


def test_straight_through_gradient_is_the_gradient_at_the_quantized_weights() -> None:
    net, inputs = network(), torch.linspace(-1, 1, 20).reshape(4, 5)
    steps = {name: 0.25 for name, _ in net.named_parameters()}
    rounded = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(torch.round(parameter / 0.25) * 0.25)
    rounded(inputs).square().mean().backward()

    exact = copy.deepcopy(net.state_dict())
    with quantized_parameters(net, steps):
        output = net(inputs)
        output.square().mean().backward()
    assert torch.equal(output, rounded(inputs))
    for (name, parameter), reference in zip(net.named_parameters(), rounded.parameters(), strict=True):
        assert torch.equal(parameter, exact[name]) and not torch.equal(parameter, reference)
        assert torch.equal(parameter.grad, reference.grad)


def test_noise_stands_in_for_rounding() -> None:
    net = Gains(1.0, size=20_000)
    exact, steps = net.weights[0].detach().clone(), {"weights.0": 0.5}
    with quantized_parameters(net, steps, torch.Generator().manual_seed(0)):
        noise = net.weights[0].detach() - exact
    assert float(noise.abs().max()) <= 0.25 + 1e-6
    assert float(noise.square().mean()) == pytest.approx(0.5**2 / 12, rel=0.03)
    assert abs(float(noise.mean())) < 0.005
    assert torch.equal(net.weights[0], exact)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_exact_weights_come_back_whatever_happens(error: type[BaseException]) -> None:
    net = network()
    exact = copy.deepcopy(net.state_dict())
    with pytest.raises(error), quantized_parameters(net, dict.fromkeys(exact, 1.0)):
        assert not torch.equal(net[0].weight, exact["0.weight"])
        raise error
    assert all(torch.equal(exact[name], value) for name, value in net.state_dict().items())
