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
import io
import math
import socket
import sys
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from tutorial_lib.images import ImageError, check_size, picture_problem, to_uint8

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window (σ = 1.5) of SSIM, hence the shortest side of a picture for it."""

MS_SSIM_MIN_SIDE = 161
"""Shortest side for MS-SSIM: its fifth scale, after four halvings, must still hold the 11-pixel window."""

LPIPS_MIN_SIDE = 32
"""Shortest side for LPIPS: below, the last layer of AlexNet or SqueezeNet has nothing left to look at."""

SSIMULACRA2_MIN_SIDE = 8

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
    return float((first - second).square().mean()) / 255**2


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
    first, second = _batches(picture, reference, "SSIM", SSIM_WINDOW, "its window is 11x11 pixels")
    import pytorch_msssim

    value = pytorch_msssim.ssim(first, second, data_range=1.0, win_size=SSIM_WINDOW, nonnegative_ssim=True)
    return float(value)


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
    why = "its window of 11 pixels must still fit after four halvings"
    first, second = _batches(picture, reference, "MS-SSIM", MS_SSIM_MIN_SIDE, why)
    import pytorch_msssim

    return float(pytorch_msssim.ms_ssim(first, second, data_range=1.0, win_size=SSIM_WINDOW))


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
    first, second = _batches(picture, reference, "LPIPS", LPIPS_MIN_SIDE, why)
    with torch.no_grad():
        distance = lpips_network(network, "cpu")(2 * first.float() - 1, 2 * second.float() - 1)
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
    _batches(picture, reference, "SSIMULACRA 2", SSIMULACRA2_MIN_SIDE, "its smallest scale needs them")
    from PIL import Image
    from ssimulacra2 import compute_ssimulacra2

    files = []
    for each in (reference, picture):
        files.append(io.BytesIO())
        Image.fromarray(to_uint8(each)).save(files[-1], format="PNG", compress_level=0)
    return float(compute_ssimulacra2(*files))


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


def _pair(picture: Tensor, reference: Tensor, rounded: bool) -> tuple[Tensor, Tensor]:
    """Both pictures in grey levels, 0 to 255, float64, on the CPU; whole numbers when rounded."""
    for role, tensor in (("picture", picture), ("reference", reference)):
        if problem := picture_problem(tensor):
            raise MetricError(f"the {role} can't be compared: {problem}.")
    if picture.shape != reference.shape:
        sizes = [f"{tensor.shape[1]}x{tensor.shape[2]}" for tensor in (picture, reference)]
        raise MetricError(f"the pictures differ in size (height x width): {sizes[0]} and {sizes[1]}.")
    first, second = (tensor.detach().cpu() for tensor in (picture, reference))
    if rounded:
        # In float32, as images.to_uint8 rounds, so that a tie goes the same way here as in a file.
        return (first.clamp(0, 1) * 255).round().double(), (second.clamp(0, 1) * 255).round().double()
    return first.double() * 255, second.double() * 255


def _batches(picture: Tensor, reference: Tensor, metric: str, min_side: int, why: str) -> tuple[Tensor, Tensor]:
    """Both pictures, rounded to 8 bits, as (1, 3, H, W), values in [0, 1], float64: variances cancel badly in float32."""
    first, second = _pair(picture, reference, rounded=True)
    height, width = first.shape[1:]
    if min(height, width) < min_side:
        raise MetricError(
            f"{metric} needs both sides to have at least {min_side} pixels ({why}), and this picture is "
            f"{height}x{width} (height x width)."
        )
    return first[None] / 255, second[None] / 255
