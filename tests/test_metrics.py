"""Distortions and rates: against values worked out by hand, against other libraries, and what is refused."""

from __future__ import annotations

import doctest
import io
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tutorial_lib import images, metrics
from tutorial_lib.metrics import MetricError


@pytest.fixture(scope="module")
def noisy(chelsea: Tensor) -> Tensor:
    noise = torch.randn(chelsea.shape, generator=torch.Generator().manual_seed(0))
    return images.quantize_8bit(chelsea + 0.05 * noise)


@given(st.integers(0, 255), st.integers(0, 255))
def test_mse_of_two_levels_is_exact(first: int, second: int) -> None:
    pictures = [torch.full((3, 2, 2), level / 255) for level in (first, second)]
    assert metrics.mse(*pictures) == (first - second) ** 2 / 255**2


def test_psnr_by_hand() -> None:
    black, grey = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 51 / 255)
    assert metrics.psnr(grey, black) == pytest.approx(20 * math.log10(5))
    one_channel = black.clone()
    one_channel[0] = 51 / 255  # a third of the squared error, hence 4.77 dB more
    assert metrics.psnr(one_channel, black) == pytest.approx(20 * math.log10(5) + 10 * math.log10(3))
    assert metrics.psnr(black, black) == math.inf
    assert metrics.psnr_of_mse(0.01) == pytest.approx(20) and metrics.psnr_of_mse(0) == math.inf


def test_psnr_is_that_of_the_8_bit_file(chelsea: Tensor, noisy: Tensor) -> None:
    blurred = noisy * 0.999 + 0.0007 + (noisy > 0.9) * 0.2  # off the 8-bit grid, and above 1 in places
    in_files = metrics.psnr(images.from_uint8(images.to_uint8(blurred)), chelsea)
    assert metrics.psnr(blurred, chelsea) == in_files
    assert metrics.psnr(blurred, chelsea, rounded=False) < in_files - 0.01
    expected = -10 * math.log10(np.square(blurred.numpy().astype(float) - chelsea.numpy()).mean())
    assert metrics.psnr(blurred, chelsea, rounded=False) == pytest.approx(expected, abs=1e-4)


def test_ssim_against_scikit_image(chelsea: Tensor, noisy: Tensor) -> None:
    from skimage.metrics import structural_similarity

    pictures = [images.to_uint8(picture).astype(float) for picture in (chelsea, noisy)]
    _, similarity = structural_similarity(
        *pictures,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        use_sample_covariance=False,
        full=True,
    )
    assert metrics.ssim(noisy, chelsea) == pytest.approx(similarity[5:-5, 5:-5].mean(), abs=2e-4)


def test_similarities_fall_with_noise_and_with_size(chelsea: Tensor, noisy: Tensor) -> None:
    for metric in (metrics.ssim, metrics.ms_ssim):
        assert metric(chelsea, chelsea) == 1
        assert 0 < metric(noisy, chelsea) < 0.99
    assert metrics.ms_ssim(noisy, chelsea) > metrics.ssim(noisy, chelsea)  # noise fades at coarse scales
    assert metrics.ms_ssim_db(chelsea, chelsea) == math.inf
    assert metrics.ms_ssim_db(noisy, chelsea) == pytest.approx(-10 * math.log10(1 - metrics.ms_ssim(noisy, chelsea)))


def test_similarities_of_a_negative_are_zero_not_nan(chelsea: Tensor) -> None:
    for metric in (metrics.ssim, metrics.ms_ssim):
        assert metric(1 - chelsea, chelsea) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(161, 163), (200, 301)])
def test_bands_of_rows_give_what_the_whole_picture_gives(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the last band is one row: 13 pairs of rows at once, and both sides odd."""
    from PIL import Image
    from pytorch_msssim import ms_ssim, ssim
    from ssimulacra2 import compute_ssimulacra2

    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 20, 20, generator=generator)
    reference = images.quantize_8bit(torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0])
    picture = images.quantize_8bit(reference + 0.1 * torch.randn(3, *size, generator=generator))
    monkeypatch.setattr(metrics, "BAND_PIXELS", 20 * size[1])
    pair = [each[None].double() for each in (picture, reference)]
    assert metrics.mse(picture, reference) == pytest.approx(float((pair[0] - pair[1]).square().mean()), rel=1e-6)
    assert metrics.ssim(picture, reference) == pytest.approx(float(ssim(*pair, data_range=1.0)), rel=1e-6)
    assert metrics.ms_ssim(picture, reference) == pytest.approx(float(ms_ssim(*pair, data_range=1.0)), rel=1e-6)
    files = [io.BytesIO(), io.BytesIO()]
    for file, each in zip(files, (reference, picture), strict=True):
        Image.fromarray(images.to_uint8(each)).save(file, format="PNG")
    assert metrics.ssimulacra2(picture, reference) == pytest.approx(compute_ssimulacra2(*files), rel=1e-9)


def test_a_large_picture_is_compared_in_little_memory() -> None:
    """Eight megapixels, 96 MB a picture: its maps would take gigabytes."""
    lines = [
        "import torch, psutil, threading",
        "from tutorial_lib import metrics",
        "a = torch.rand(3, 2000, 4000); b = (a + 0.01).clamp(0, 1)",
        "metrics.mse(a[:, :9, :9], b[:, :9, :9]); metrics.ssimulacra2(a[:, :20, :20], b[:, :20, :20])",
        "process = psutil.Process(); before = process.memory_info().rss; most = [before]; done = threading.Event()",
        "def watch():",
        "    while not done.wait(0.02): most[0] = max(most[0], process.memory_info().rss)",
        "thread = threading.Thread(target=watch); thread.start()",
        "metrics.mse(a, b); metrics.ssimulacra2(a[:, :1000], b[:, :1000])",
        "done.set(); thread.join(); print((most[0] - before) // 2**20)",
    ]
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 700


def test_smallest_sides() -> None:
    metrics.ssim(torch.rand(3, 11, 11), torch.rand(3, 11, 11))
    metrics.ms_ssim(torch.rand(3, 161, 161), torch.rand(3, 161, 161))
    with pytest.raises(MetricError, match=r"SSIM needs .* 11 pixels .* 10x40"):
        metrics.ssim(torch.rand(3, 10, 40), torch.rand(3, 10, 40))
    with pytest.raises(MetricError, match=r"MS-SSIM needs .* 161 pixels .* four halvings.* 160x300"):
        metrics.ms_ssim(torch.rand(3, 160, 300), torch.rand(3, 160, 300))


@pytest.mark.parametrize("metric", [metrics.mse, metrics.psnr, metrics.ssim, metrics.ms_ssim])
@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (torch.zeros(3, 20, 21), "20x21 and 20x20"),
        (torch.full((3, 20, 20), float("nan")), "the picture .*NaN"),
        (torch.zeros(1, 3, 20, 20), "the picture .*shape"),
        (torch.zeros(3, 20, 20, dtype=torch.uint8), "float32"),
        (np.zeros((3, 20, 20), np.float32), "torch tensor"),
    ],
)
def test_what_is_refused(metric: Any, picture: Any, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        metric(picture, torch.zeros(3, 20, 20))


def test_the_reference_is_checked_too() -> None:
    with pytest.raises(MetricError, match="the reference .*NaN"):
        metrics.psnr(torch.zeros(3, 2, 2), torch.full((3, 2, 2), float("nan")))


def test_gradients_are_left_alone() -> None:
    picture = torch.rand(3, 11, 11, requires_grad=True)
    assert isinstance(metrics.psnr(picture, torch.rand(3, 11, 11)), float)
    assert isinstance(metrics.ssim(picture, torch.rand(3, 11, 11)), float)


@pytest.mark.parametrize("error", [-1e-9, math.nan])
def test_errors_that_are_none(error: float) -> None:
    with pytest.raises(MetricError):
        metrics.psnr_of_mse(error)


def test_bits_per_pixel() -> None:
    assert metrics.bits_per_pixel(bytes(12), (4, 6)) == 4
    assert metrics.bits_per_pixel(b"", torch.zeros(3, 4, 6)) == 0
    assert metrics.bits_per_pixel(memoryview(np.zeros(3, np.uint32)), (4, 6)) == 4
    for data, size in [
        (12, (4, 6)),
        ("abc", (4, 6)),
        (b"", (0, 6)),
        (b"", (4.5, 6)),
        (b"", torch.zeros(4, 6)),
    ]:
        with pytest.raises(MetricError):
            metrics.bits_per_pixel(data, size)  # type: ignore[arg-type]


def test_examples() -> None:
    result = doctest.testmod(metrics)
    assert result.attempted > 10 and not result.failed
