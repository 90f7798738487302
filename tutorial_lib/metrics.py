"""How far a decoded picture is from its original, and what its file costs.

Distortion is measured on pictures rounded to 8 bits, as a file would hold them, and on the CPU; every
function takes two pictures (3, H, W) and gives one float. Means over a picture set are the caller's: report
the mean of per-picture PSNRs, and keep the per-picture values (`mse`), since some tables give the PSNR of the
mean MSE; on the Kodak suite the two conventions differ by up to half a decibel.

Example:
    >>> import torch
    >>> original = torch.full((3, 16, 16), 100 / 255)
    >>> decoded = torch.full((3, 16, 16), 101 / 255)  # one grey level too bright, everywhere
    >>> round(psnr(decoded, original), 2)
    48.13
    >>> bits_per_pixel(bytes(64), original)
    2.0
"""

from __future__ import annotations

import contextlib
import functools
import math
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from tutorial_lib.images import ImageError, check_size, picture_problem

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window (σ = 1.5) of SSIM, hence the shortest side of a picture for it."""

MS_SSIM_MIN_SIDE = 161
"""Shortest side for MS-SSIM: its fifth scale, after four halvings, must still hold the 11-pixel window."""

LPIPS_MIN_SIDE = 32
"""Shortest side for LPIPS: below, the last layer of AlexNet or SqueezeNet has nothing left to look at."""

SSIMULACRA2_MIN_SIDE = 8

BAND_PIXELS = 1 << 18
"""What is compared at once: memory for a picture of any size, and quicker, since a band's maps stay near the processor."""

_LUMINANCE, _NO_LUMINANCE = (0.01, 0.03), (1e9, 0.03)
"""SSIM's constants K₁ and K₂, with its term of luminance and without."""

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""MS-SSIM's exponents, finest scale first (Wang, Simoncelli, Bovik, 2003)."""

_BLUR_RADIUS = 5
"""Of SSIMULACRA 2's Gaussian window."""

LPIPS_WEIGHTS = {"alex": "alexnet-owt-7be5be79.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}
"""The networks of LPIPS and their files in torch.hub's folder ``checkpoints``: AlexNet (233 MB), as in the papers, and SqueezeNet
(5 MB). Their values can't be compared."""


class MetricError(ValueError):
    """Pictures that can't be compared; the message is one sentence for the reader."""


def mse(picture: Tensor, reference: Tensor, *, rounded: bool = True) -> float:
    """Mean squared error over all pixels and channels, for values in [0, 1].

    Args:
        picture: (3, H, W), the decoded picture.
        reference: (3, H, W), the original.
        rounded: compare both rounded to 8 bits (and clamped); False compares the values as they are.

    Returns:
        MSE, at least 0. Exact for rounded pictures: squared grey levels are summed before dividing by 255².

    Raises:
        MetricError: not two pictures, different sizes, or NaN.

    Example:
        >>> import torch
        >>> mse(torch.ones(3, 4, 4), torch.zeros(3, 4, 4))
        1.0
    """
    first, second = _pair(picture, reference, rounded)
    # of whole grey levels every sum is exact
    total = sum(float((a.double() - b.double()).square().sum()) for a, b in _bands("MSE", first, second))
    return total / first.numel() / (255**2 if rounded else 1)


def psnr(picture: Tensor, reference: Tensor, *, rounded: bool = True) -> float:
    """Peak signal-to-noise ratio, 10·log10(1 / MSE), the MSE taken over all three channels at once.

    Args:
        picture: (3, H, W), the decoded picture.
        reference: (3, H, W), the original.
        rounded: compare both rounded to 8 bits (and clamped); False compares the values as they are.

    Returns:
        PSNR in dB; ``inf`` for identical pictures. Higher is better.

    Raises:
        MetricError: not two pictures, different sizes, or NaN.

    Example:
        >>> import torch
        >>> grey = torch.full((3, 8, 8), 0.5)
        >>> psnr(grey, grey)
        inf
        >>> psnr(grey + 0.001, grey)  # less than half a grey level: the same file
        inf
        >>> round(psnr(grey + 0.001, grey, rounded=False), 1)
        60.0
    """
    return psnr_of_mse(mse(picture, reference, rounded=rounded))


def psnr_of_mse(error: float) -> float:
    """PSNR in dB of a mean squared error of values in [0, 1]; ``inf`` for 0.

    Raises:
        MetricError: a negative error, or NaN.

    Example:
        >>> psnr_of_mse(0.001)
        30.0
    """
    error = float(error)
    if not error >= 0:
        raise MetricError(f"a mean squared error is at least 0, not {error}.")
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(picture: Tensor, reference: Tensor) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli, 2004), by pytorch-msssim.

    Window 11×11, σ = 1.5, K = (0.01, 0.03), data range 1; computed per RGB channel, then averaged. The
    non-negative variant: a channel whose mean is below 0 counts as 0 (`nonnegative_ssim`).

    Args:
        picture: (3, H, W), the decoded picture.
        reference: (3, H, W), the original.

    Returns:
        SSIM in [0, 1]; 1 for identical pictures. Higher is better.

    Raises:
        MetricError: as `psnr`, or a side below 11 pixels.
    """
    first, second = _pair(picture, reference)
    _require_side(first, "SSIM", SSIM_WINDOW, "its window is 11x11 pixels")
    return float(_similarity("SSIM", first, second, _LUMINANCE).relu().mean())


def ms_ssim(picture: Tensor, reference: Tensor) -> float:
    """Multi-scale structural similarity (Wang, Simoncelli, Bovik, 2003), by pytorch-msssim.

    Five scales with the paper's weights, window 11×11, σ = 1.5, K = (0.01, 0.03), data range 1; computed per
    RGB channel, then averaged. Non-negative: a scale whose mean structure term is below 0 counts as 0, since
    a negative number to a fractional power would be NaN.

    Args:
        picture: (3, H, W), the decoded picture.
        reference: (3, H, W), the original.

    Returns:
        MS-SSIM in [0, 1]; 1 for identical pictures. Higher is better.

    Raises:
        MetricError: as `psnr`, or a side of 160 pixels or less.
    """
    first, second = _pair(picture, reference)
    _require_side(first, "MS-SSIM", MS_SSIM_MIN_SIDE, "its window of 11 pixels must still fit after four halvings")
    similarity = torch.ones(3, dtype=torch.float64)
    for scale, weight in enumerate(_SCALE_WEIGHTS, start=1):
        last = scale == len(_SCALE_WEIGHTS)
        similarity *= (
            _similarity(f"MS-SSIM, scale {scale}", first, second, _LUMINANCE if last else _NO_LUMINANCE).relu() ** weight
        )
        if not last:  # means of four grey levels, exact in float32
            odd = [side % 2 for side in first.shape[1:]]
            first, second = (F.avg_pool2d(each.float(), 2, padding=odd) for each in (first, second))
    return float(similarity.mean())


def _similarity(metric: str, first: Tensor, second: Tensor, k: tuple[float, float]) -> Tensor:
    """SSIM of each channel, (3,) float64, from bands of rows: variances cancel badly in float32.

    Args:
        first, second: (3, H, W) in grey levels.
        k: SSIM's two constants. With a boundless first one its term of luminance is 1: what MS-SSIM wants of all scales but one.
    """
    import pytorch_msssim

    total = torch.zeros(3, dtype=torch.float64)
    for a, b in _bands(metric, first, second, halo=SSIM_WINDOW - 1):
        means = pytorch_msssim.ssim(
            a[:, None].double(), b[:, None].double(), data_range=255.0, size_average=False, win_size=SSIM_WINDOW, K=k
        )
        total += means * (a.shape[1] - SSIM_WINDOW + 1)
    return total / (first.shape[1] - SSIM_WINDOW + 1)


def ms_ssim_db(picture: Tensor, reference: Tensor) -> float:
    """MS-SSIM in decibels, −10·log10(1 − MS-SSIM), which spreads out the values near 1; ``inf`` for 1.

    Arguments and errors as `ms_ssim`.
    """
    # Rounding errors can leave the similarity of two equal pictures a hair above 1.
    distance = 1 - ms_ssim(picture, reference)
    return -10 * math.log10(distance) if distance > 0 else math.inf


def lpips(picture: Tensor, reference: Tensor, *, network: Literal["alex", "squeeze"] = "alex") -> float:
    """Learned perceptual distance (Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018).

    Differences between the features that a network for classification finds in both pictures, weighted by what people
    judged. By the package lpips, version 0.1 of its weights.

    Args:
        picture, reference: (3, H, W) in [0, 1]; brought to the [−1, 1] that the network expects here.
        network: one of `LPIPS_WEIGHTS`.

    Returns:
        Distance, 0 for identical pictures, about 0.5 for a badly damaged one. Lower is better.

    Raises:
        MetricError: as `psnr`, a side below 32 pixels, no such network, or its weights are not to be had: they are
            torchvision's, in torch's cache (``TORCH_HOME``), and downloaded on first use.
    """
    why = "the network halves it five times"
    first, second = _pair(picture, reference)
    _require_side(first, "LPIPS", LPIPS_MIN_SIDE, why)
    with torch.no_grad():
        distance = lpips_network(network, "cpu")(first[None].float() / 127.5 - 1, second[None].float() / 127.5 - 1)
    return float(distance)


def lpips_weights_missing() -> list[str]:
    """The networks of `LPIPS_WEIGHTS` whose first use would be a download."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return [network for network, file in LPIPS_WEIGHTS.items() if not (folder / file).is_file()]


def lpips_network(network: str, device: torch.device | str) -> nn.Module:
    """LPIPS as a module, pictures (1, 3, H, W) in [−1, 1] to a distance; its weights don't train.

    Raises:
        MetricError: no such network, or its weights are not to be had.
    """
    module = _lpips_or_reason(network, str(device))
    if isinstance(module, str):
        raise MetricError(module)
    return module


@functools.cache  # a failure too: one attempt at a download is enough
def _lpips_or_reason(network: str, device: str) -> nn.Module | str:
    if network not in LPIPS_WEIGHTS:
        return f"LPIPS has no network {network!r} here; there are {', '.join(LPIPS_WEIGHTS)}."
    from tutorial_lib.torchvision_repair import import_lpips

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(10)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where torch says what it downloads
            module = import_lpips().LPIPS(net=network, verbose=False)
    except (OSError, RuntimeError) as error:
        folder = f"{torch.hub.get_dir()}/checkpoints"
        return f"LPIPS is unavailable: its {network} weights are not in {folder} and can't be downloaded ({error})."
    finally:
        socket.setdefaulttimeout(timeout)
    return module.to(device).eval().requires_grad_(False)


def ssimulacra2(picture: Tensor, reference: Tensor) -> float:
    """SSIMULACRA 2 (Sneyers, 2022): structural similarity on several scales of a perceptual colour space.

    The perceptual metric for when there are no weights to download: it needs none, takes pictures from 8 pixels on, and
    its weighting was fitted to people's judgements of compressed pictures, JPEG to AVIF. By the package ssimulacra2
    (BSD, NumPy and SciPy only); on pictures rounded to 8 bits.

    Returns:
        100 for identical pictures; by its author 90 is visually lossless, 70 high quality, 50 medium, 30 low, and
        negative values are possible. Higher is better.

    Raises:
        MetricError: as `psnr`, or a side below 8 pixels.
    """
    pair = _pair(reference, picture)
    _require_side(pair[0], "SSIMULACRA 2", SSIMULACRA2_MIN_SIDE, "its smallest scale needs them")
    from ssimulacra2 import ssimulacra2 as package

    scales = package.Msssim()
    planes, light = list(pair), package.srgb_to_linear
    while len(scales.scales) < package.kNumScales and min(planes[0].shape[1:]) >= SSIMULACRA2_MIN_SIDE:
        scale = package.MsssimScale()
        smaller: list[list[Tensor]] = [[], []]
        for top, bottom in _rows(f"SSIMULACRA 2, scale {len(scales.scales) + 1}", planes[0]):
            above, below = max(top - _BLUR_RADIUS, 0), bottom + _BLUR_RADIUS
            linear = [light(each[:, above:below].permute(1, 2, 0).double().numpy()) for each in planes]
            inner = slice(top - above, bottom - above)
            for halves, each in zip(smaller, linear, strict=True):
                halves.append(torch.from_numpy(package.downsample(each[inner], 2, 2)).permute(2, 0, 1))
            share = (bottom - top) / planes[0].shape[1]
            similarity, edges = _ssimulacra2_means(package, linear[0], linear[1], inner)
            scale.avg_ssim += share * similarity
            scale.avg_edgediff += share * edges
        for averages in (scale.avg_ssim, scale.avg_edgediff):
            averages[1::2] **= 0.25
        scales.scales.append(scale)
        planes, light = [torch.cat(halves, 1) for halves in smaller], lambda linear: linear
    return float(scales.score())


def _ssimulacra2_means(package: Any, first: np.ndarray, second: np.ndarray, inner: slice) -> tuple[np.ndarray, np.ndarray]:
    """SSIMULACRA 2's averages over the rows ``inner`` of a band of linear colours (rows, width, 3), of SSIM and of edges.

    Every second one is a mean of fourth powers, without the root, so that those of several bands can be averaged.
    """
    # (width, rows, 3), as the package has it
    first, second = (package.make_positive_xyb(package.linear_rgb_to_xyb(each)) for each in (first, second))
    blurred = [package.blur_image(each)[:, inner] for each in (first, second, first * first, second * second, first * second)]
    similarity = package.ssim_map(*blurred)
    edges = package.edge_diff_map(first[:, inner], blurred[0], second[:, inner], blurred[1])
    for averages in (similarity, edges):
        averages[1::2] **= 4
    return similarity, edges


def bits_per_pixel(data: bytes | bytearray | memoryview, picture_or_size: Tensor | tuple[int, int]) -> float:
    """The rate of a file: 8 · len(data) / (H · W), everything counted, the header too.

    Args:
        data: the bytes that the decoder reads. The bytes, not their number: a rate is never an estimate.
        picture_or_size: the picture (3, H, W) that was encoded, or (height, width) in pixels. For a reduced
            picture, that is the reduced size.

    Returns:
        Bits per pixel.

    Raises:
        MetricError: no bytes, or no size.

    Example:
        >>> bits_per_pixel(b"0123456789", (4, 5))
        4.0
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise MetricError(f"a rate is computed from the bytes of a file, not from {type(data).__name__}.")
    if isinstance(picture_or_size, Tensor):
        if problem := picture_problem(picture_or_size):
            raise MetricError(f"this is no picture: {problem}.")
        height, width = picture_or_size.shape[1:]
    else:
        try:
            height, width = check_size(picture_or_size)
        except ImageError as error:
            raise MetricError(str(error)) from None
    return 8 * memoryview(data).nbytes / (height * width)


def _pair(picture: Tensor, reference: Tensor, rounded: bool = True) -> tuple[Tensor, Tensor]:
    """Both pictures on the CPU: rounded, in grey levels, uint8, or as they are, float32."""
    for role, tensor in (("picture", picture), ("reference", reference)):
        if problem := picture_problem(tensor):
            raise MetricError(f"the {role} can't be compared: {problem}.")
    if picture.shape != reference.shape:
        sizes = [f"{tensor.shape[1]}x{tensor.shape[2]}" for tensor in (picture, reference)]
        raise MetricError(f"the pictures differ in size (height x width): {sizes[0]} and {sizes[1]}.")
    first, second = (tensor.detach().cpu() for tensor in (picture, reference))
    if not rounded:
        return first, second
    # rounded as images.to_uint8 does, so that a tie goes the same way here as in a file
    levels = [tensor.clamp(0, 1).mul_(255).round_().to(torch.uint8) for tensor in (first, second)]
    return levels[0], levels[1]


def _require_side(picture: Tensor, metric: str, least: int, why: str) -> None:
    height, width = picture.shape[1:]
    if min(height, width) < least:
        raise MetricError(
            f"{metric} needs both sides to have at least {least} pixels ({why}), and this picture is "
            f"{height}x{width} (height x width)."
        )


def _bands(metric: str, first: Tensor, second: Tensor, halo: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Bands of rows of two pictures, each with the first ``halo`` rows of the next, which the last of all must have, too."""
    for top, bottom in _rows(metric, first[:, halo:]):
        yield first[:, top : bottom + halo], second[:, top : bottom + halo]


def _rows(metric: str, picture: Tensor) -> Iterator[tuple[int, int]]:
    """(top, bottom) of bands of about `BAND_PIXELS`, from even rows; with a bar on a terminal when it takes long."""
    height, width = picture.shape[1:]
    step = max(BAND_PIXELS // width // 2 * 2, 2)
    tops = tqdm(range(0, height, step), desc=metric, disable=None, delay=2, leave=False)
    return ((top, min(top + step, height)) for top in tops)
