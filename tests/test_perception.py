"""Losses for the eye: what they forgive, what they don't, and that the judge learns to tell."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import images, perception
from tutorial_lib.perception import (
    PAPER_STRUCTURE,
    PAPER_TEXTURE,
    Discriminator,
    Features,
    Look,
    PerceptionError,
    WaveletWasserstein,
    features_of,
    local_statistics,
    relativistic_average,
    wavelet_planes,
    wavelet_wasserstein,
)


def texture(seed: int, height: int = 96, width: int = 96) -> Tensor:
    """Grey grain of one kind; another seed gives other grain of the same kind."""
    grain = torch.randn(1, height, width, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.1 * grain).expand(3, -1, -1).clamp(0, 1)


def test_other_grain_of_the_same_kind_is_nearer_than_none() -> None:
    """The opposite of what the mean squared error says."""
    target, other, flat = texture(0), texture(1), torch.full((3, 96, 96), 0.5)
    assert float(wavelet_wasserstein(other, target)) < 0.5 * float(wavelet_wasserstein(flat, target))
    assert float(F.mse_loss(other, target)) > 1.5 * float(F.mse_loss(flat, target))


def test_the_kind_counts() -> None:
    target, other, finer, stronger = texture(0), texture(1), texture(2), texture(3)
    smooth = F.avg_pool2d(finer[None], 3, 1, 1)[0]
    louder = 0.5 + 2 * (stronger - 0.5)
    least = float(wavelet_wasserstein(other, target))
    assert all(float(wavelet_wasserstein(each, target)) > 2 * least for each in (smooth, louder))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (40, 33)])
def test_any_size_has_a_value_and_a_gradient(size: tuple[int, int]) -> None:
    target = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    prediction = torch.full_like(target, 0.5).requires_grad_()
    value = wavelet_wasserstein(prediction, target)
    value.backward()
    assert math.isfinite(float(value.detach())) and bool(torch.isfinite(prediction.grad).all())
    assert float(wavelet_wasserstein(target, target)) == 0


def test_the_transform_loses_nothing() -> None:
    """Details and the rest add up to Y, Cb and Cr; a flat picture has no details."""
    picture = torch.rand(3, 20, 31, generator=torch.Generator().manual_seed(0))
    planes = wavelet_planes(picture)[0]
    assert planes.shape == (17, 20, 31)
    whole = sum(planes[7 * scale : 7 * scale + 3] for scale in range(2)) + planes[14:]
    y = 0.299 * picture[0] + 0.587 * picture[1] + 0.114 * picture[2]
    torch.testing.assert_close(whole[0], y, atol=1e-6, rtol=0)
    torch.testing.assert_close(whole[1:], torch.stack([0.564 * (picture[2] - y), 0.713 * (picture[0] - y)]), atol=1e-6, rtol=0)
    assert float(wavelet_planes(torch.full((3, 20, 31), 0.7))[0, :14].abs().max()) < 1e-6


def test_local_statistics_are_means_and_spreads() -> None:
    planes = torch.full((1, 2, 64, 64), 3.0)
    planes[:, 1] = torch.tensor([2.0, 4.0]).repeat(32)  # alternating: mean 3, deviation 1
    mean, spread = local_statistics(planes)
    assert mean.shape == spread.shape == (1, 2, 16, 16)
    torch.testing.assert_close(mean[..., 3:-3], torch.full((1, 2, 16, 10), 3.0))
    spreads = torch.tensor([1e-3, 1.0])[:, None, None].expand(2, 16, 10)
    torch.testing.assert_close(spread[0, :, :, 3:-3], spreads, atol=1e-3, rtol=0)


def test_a_batch_is_its_pictures() -> None:
    """For pictures of one kind, which the planes' scale does not tell apart."""
    target, prediction = texture(0), texture(1)
    alone = wavelet_wasserstein(prediction, target)
    together = wavelet_wasserstein(prediction.expand(2, -1, -1, -1), target.expand(2, -1, -1, -1))
    torch.testing.assert_close(alone, together)


# ------------------------------------------------------------------------------------------ features


def test_features() -> None:
    if features_of() is None:
        pytest.skip("no network's weights are in torch's cache")
    target = images.reduce(images.sample("coffee"), factor=4)
    distance = Features(target)
    blurred = F.avg_pool2d(target[None], 5, 1, 2)[0].requires_grad_()
    value = distance(blurred)
    value.backward()
    assert float(distance(target)) == 0 < float(value.detach()) < 2 and float(blurred.grad.abs().max()) > 0
    with pytest.raises(PerceptionError, match="32 pixels a side"):
        Features(target[:, :31])


def test_without_weights_features_say_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    perception.feature_network.cache_clear()
    assert features_of() is None
    with pytest.raises(PerceptionError, match="vgg19-dcbb9e9d.pth or squeezenet1_1-b8a52dc0.pth in .*; nothing is downloaded"):
        Features(torch.zeros(3, 40, 40))


# ------------------------------------------------------------------------------------------ the judge


def test_the_relativistic_loss_is_the_papers() -> None:
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(2, 1, 3, 4, generator=random, dtype=torch.float64) for _ in range(2))
    by_definition = -torch.log(torch.sigmoid(real - fake.mean())).mean()
    by_definition -= torch.log(1 - torch.sigmoid(fake - real.mean())).mean()
    torch.testing.assert_close(relativistic_average(real, fake), by_definition)
    shifted = relativistic_average(real + 5, fake + 5)  # only differences count
    torch.testing.assert_close(shifted, by_definition)
    assert math.isfinite(float(relativistic_average(real - 1e6, fake + 1e6)))


def test_the_discriminator_learns_to_tell() -> None:
    torch.manual_seed(0)
    base = torch.full((3, 48, 48), 0.5)
    judge = Discriminator(8)
    adam = torch.optim.Adam(judge.parameters(), 3e-3)
    for step in range(60):
        loss = relativistic_average(judge(texture(step, 48, 48), base), judge(base, base))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert float(loss.detach()) < 0.3 < 2 * math.log(2)
    assert judge(base.expand(2, -1, -1, -1), base).shape == (2, 1, 6, 6)


# ------------------------------------------------------------------------------------------ a look


def test_a_look_is_the_weighted_sum() -> None:
    target, prediction = texture(0), texture(1)
    mse = F.mse_loss(prediction, target)
    expected = 40 * mse + 0.1 * WaveletWasserstein(target)(prediction)
    torch.testing.assert_close(Look().distance(target)(prediction), expected)
    torch.testing.assert_close(Look(perception="none").distance(target)(prediction), 40 * mse)
    assert (PAPER_STRUCTURE.reconstruction_weight, PAPER_TEXTURE.reconstruction_weight) == (40, 30)
    assert {look.perceptual_weight for look in (PAPER_STRUCTURE, PAPER_TEXTURE)} == {0.1}
    assert {look.adversarial_weight for look in (PAPER_STRUCTURE, PAPER_TEXTURE)} == {0.005}


def test_ms_ssim_as_a_term() -> None:
    """Pictures below its least size, too: 0 for equal ones, more for a blur."""
    target = images.reduce(images.sample("coffee"), factor=4)
    blurred = F.avg_pool2d(target[None], 5, 1, 2)[0]
    distance = Look("ms-ssim", "none", 1.0).distance(target)
    assert float(distance(target)) == pytest.approx(0, abs=1e-6) and 0.01 < float(distance(blurred)) < 1
