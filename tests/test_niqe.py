"""NIQE against values by another program with the authors' parameters, and what it says of damage."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.metrics import MetricError
from tutorial_lib.niqe import NIQE_MIN_SIDE, _asymmetric, _halved, _normalized, niqe, pristine


def as_jpeg(picture: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(images.to_uint8(picture)).save(file, "jpeg", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(("number", "original", "low", "high"), [(3, 4.33, 9.4, 3.9), (15, 3.96, 8.6, 3.7), (24, 2.27, 6.2, 2.2)])
def test_kodak_as_another_program_has_it(number: int, original: float, low: float, high: float) -> None:
    """Checked at 768×512 with mmagic's NIQE, whose halving differs at the borders; JPEG's 10 depends on the encoder, too."""
    if not (Path(os.environ.get("INR_DATA_DIR", "/nowhere")) / f"kodim{number:02}.png").is_file():
        pytest.skip(f"Kodak picture {number} is not on this machine (name its folder in INR_DATA_DIR)")
    picture = images.kodak(number)
    assert niqe(picture) == pytest.approx(original, abs=0.05)
    assert niqe(as_jpeg(picture, 10)) == pytest.approx(low, abs=0.6)
    assert niqe(as_jpeg(picture, 90)) == pytest.approx(high, abs=0.1)


def test_damage_is_less_natural() -> None:
    picture = images.sample("coffee")
    blurred = F.avg_pool2d(picture[None], 5, 1, 2)[0]
    noisy = (picture + 0.2 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert all(niqe(each) > niqe(picture) + 1 for each in (blurred, noisy, as_jpeg(picture, 10)))


def test_the_authors_parameters() -> None:
    mean, covariance = pristine()
    assert mean.shape == (36,) and covariance.shape == (36, 36)
    assert np.array_equal(covariance, covariance.T) and np.linalg.eigvalsh(covariance).min() > 0
    assert 2.5 < mean[0] < 3.5  # shape of the normalized luminance: nearer to a normal law's 2 than to Laplace's 1


def test_a_normal_law_is_recognized() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    shape, left, right = _asymmetric(values)
    assert shape == pytest.approx(2, abs=0.05) and left == pytest.approx(2**0.5, abs=0.03) == right
    shape, left, right = _asymmetric(np.where(values < 0, values, 2 * values))
    assert right == pytest.approx(2 * left, rel=0.03)


def test_its_steps() -> None:
    flat = np.full((20, 30), 7.0)
    np.testing.assert_allclose(_halved(flat), np.full((10, 15), 7.0))
    np.testing.assert_allclose(_normalized(flat), 0, atol=1e-9)
    ramp = np.arange(40.0)[None].repeat(20, 0)
    np.testing.assert_allclose(_halved(ramp)[:, 2:-2], (ramp[::2, ::2] + 0.5)[:, 2:-2])


def test_what_it_refuses() -> None:
    for size in ((NIQE_MIN_SIDE - 1, 300), (300, 10)):
        with pytest.raises(MetricError, match="at least 192 pixels"):
            niqe(torch.rand(3, *size))
    with pytest.raises(MetricError, match="two patches that have any texture"):
        niqe(torch.full((3, 200, 200), 0.5))
    with pytest.raises(MetricError, match="no picture"):
        niqe(torch.rand(200, 200))
