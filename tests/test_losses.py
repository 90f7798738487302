"""The distortions: formulas, extremes, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytorch_msssim
import torch
from torch import Tensor

from tutorial_lib import losses
from tutorial_lib.losses import LOSSES
from tutorial_lib.metrics import MetricError, lpips_network
from tutorial_lib.perception import features_of

PLAIN = [name for name in LOSSES if name not in ("mse+lpips", "mse+features", "mse+wasserstein")]


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    """Every loss; one whose network's weights are not on this machine is left out."""
    if "lpips" in request.param:
        try:
            lpips_network("squeeze", torch.device("cpu"))
        except MetricError as error:
            pytest.skip(str(error))
    if "features" in request.param and features_of() is None:
        pytest.skip("no network's weights are in torch's cache")
    return request.param


def pair(height: int = 20, width: int = 31, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A prediction, a little outside [0, 1] too, and its target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(3, height, width, generator=generator)
    return target + 0.2 * torch.randn(3, height, width, generator=generator), target


def ssim(prediction: Tensor, target: Tensor) -> float:
    return float(pytorch_msssim.ssim(prediction[None], target[None], data_range=1.0))


# ------------------------------------------------------------------------------------------ formulas


def test_names() -> None:
    assert PLAIN == ["l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim"]


def test_values_are_the_formulas() -> None:
    prediction, target = pair()
    d = prediction.double().numpy() - target.double().numpy()
    structure = 1 - ssim(prediction, target)
    expected = {
        "l1": np.abs(d).mean(),
        "mse": (d**2).mean(),
        "log-cosh": np.log(np.cosh(d)).mean(),
        "log-cosh+ssim": np.log(np.cosh(d)).mean() + 0.01 * structure,
        "l1+ssim": 0.8 * np.abs(d).mean() + 0.2 * structure,
    }
    for name in PLAIN:
        assert float(LOSSES[name](prediction, target)) == pytest.approx(expected[name], rel=1e-5), name


def test_a_loss_is_a_number_and_zero_for_equal_pictures(name: str) -> None:
    prediction, target = pair()
    value = LOSSES[name](prediction, target)
    assert value.shape == () and float(value) > 0
    assert float(LOSSES[name](target, target)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["mse+lpips"], indirect=True)
@pytest.mark.parametrize("size", [(40, 48), (32, 32), (10, 50), (1, 1)])
def test_lpips_as_a_term(name: str, size: tuple[int, int]) -> None:
    """LPIPS of pictures in [−1, 1], short sides filled up with their border, a thousandth of it."""
    prediction, target = pair(*size)
    missing = [max(32 - side, 0) for side in size]
    margins = [(each // 2, each - each // 2) for each in missing]
    first, second = (
        torch.from_numpy(np.pad(picture.numpy(), [(0, 0), *margins], mode="edge"))[None] for picture in (prediction, target)
    )
    with torch.no_grad():
        distance = lpips_network("squeeze", torch.device("cpu"))(2 * first - 1, 2 * second - 1)
    expected = float(losses.mse(prediction, target)) + 0.001 * float(distance)
    assert float(distance) > 0 and float(LOSSES[name](prediction, target)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("d", [100.0, -100.0, 88.0, 1e4, -1e4, 1.0, -1.0, 0.01, -0.01, 0.0])
def test_log_cosh_never_overflows(d: float) -> None:
    prediction = torch.tensor([d], requires_grad=True)
    value = losses.log_cosh(prediction, torch.zeros(1))
    expected = abs(d) + math.log1p(math.exp(-2 * abs(d))) - math.log(2)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6, abs=2e-7)
    value.backward()
    assert float(prediction.grad) == pytest.approx(math.tanh(d), abs=1e-6)


def test_log_cosh_is_not_what_the_paper_prints() -> None:
    """Eq. 6 has softplus(+2d): that is 2d + log cosh d, negative where a prediction is too dark."""
    d = torch.tensor([-0.5, 0.5])
    printed = d + torch.nn.functional.softplus(2 * d) - math.log(2)
    ours = torch.stack([losses.log_cosh(each[None], torch.zeros(1)) for each in d])
    torch.testing.assert_close(printed, 2 * d + ours)
    assert printed[0] < 0 < ours[0] and float(ours[0]) == pytest.approx(float(ours[1]))
    assert not torch.allclose(printed, ours, atol=0.5)


def test_log_cosh_lies_between_its_two_limits() -> None:
    for d in (1e-2, 0.3, 1.0, 5.0, 50.0):
        value = float(losses.log_cosh(torch.tensor([d], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)))
        assert d - math.log(2) <= value <= d * d / 2
    assert value == pytest.approx(50 - math.log(2))
    assert float(losses.log_cosh(torch.tensor([1e-2]).double(), torch.zeros(1))) == pytest.approx(5e-5, rel=1e-4)


# ------------------------------------------------------------------------------------------ structure


@pytest.mark.parametrize("size", [(11, 11), (20, 31), (11, 40), (64, 48)])
def test_ssim_is_the_package_s(size: tuple[int, int]) -> None:
    prediction, target = pair(*size)
    assert float(losses.ssim_loss(prediction, target)) == pytest.approx(1 - ssim(prediction, target), abs=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (10, 10), (5, 20), (2, 11)])
def test_short_sides_are_filled_up_with_their_border(size: tuple[int, int]) -> None:
    prediction, target = pair(*size)
    missing = [max(11 - side, 0) for side in size]
    margins = [(each // 2, each - each // 2) for each in missing]
    filled = [torch.from_numpy(np.pad(picture.numpy(), [(0, 0), *margins], mode="edge")) for picture in (prediction, target)]
    assert float(losses.ssim_loss(prediction, target)) == pytest.approx(1 - ssim(*filled), abs=1e-6)


def test_ssim_sees_structure_that_errors_do_not() -> None:
    """Two pictures at the same distance from a checkerboard: its negative around grey has lost the structure's sign."""
    y, x = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    board = ((x + y) % 2).float().expand(3, 24, 24)
    half, negative = (0.5 + contrast * (board - 0.5) for contrast in (0.5, -1.0))
    assert float(losses.ssim_loss(half, board)) < 1 < float(losses.ssim_loss(negative, board)) <= 2
    assert float(losses.ssim_loss(board, board)) == pytest.approx(0, abs=1e-6)


def test_memory_layout_does_not_matter(name: str) -> None:
    prediction, target = pair()
    last = [picture.movedim(0, -1).contiguous().movedim(-1, 0) for picture in (prediction, target)]
    assert float(LOSSES[name](*last)) == pytest.approx(float(LOSSES[name](prediction, target)), rel=1e-5)


# ------------------------------------------------------------------------------------------ gradients

PICTURES = {
    "black": lambda size: torch.zeros(3, *size),
    "white": lambda size: torch.ones(3, *size),
    "random": lambda size: torch.rand(3, *size, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("size", [(16, 20), (1, 1), (1, 40), (40, 1), (9, 9)])
@pytest.mark.parametrize("target", PICTURES)
@pytest.mark.parametrize("prediction", [*PICTURES, "far"])
def test_gradients_are_finite(name: str, prediction: str, target: str, size: tuple[int, int]) -> None:
    values = torch.full((3, *size), 1e4) if prediction == "far" else PICTURES[prediction](size)
    values.requires_grad_()
    loss = LOSSES[name](values, PICTURES[target](size))
    loss.backward()
    assert math.isfinite(float(loss.detach())) and bool(torch.isfinite(values.grad).all())
    if prediction != target:
        assert float(values.grad.abs().max()) > 0


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_are_the_slopes(name: str) -> None:
    prediction, target = (each.double() for each in pair(12, 13))
    loss = LOSSES[name]
    assert torch.autograd.gradcheck(lambda values: loss(values, target), (prediction.requires_grad_(),))


def test_descent_descends(name: str) -> None:
    prediction, target = pair()
    prediction.requires_grad_()
    loss = LOSSES[name](prediction, target)
    (slope,) = torch.autograd.grad(loss, prediction)
    step = 0.05 * float(loss.detach()) / float(slope.square().sum())
    assert float(LOSSES[name](prediction.detach() - step * slope, target)) < float(loss.detach())
