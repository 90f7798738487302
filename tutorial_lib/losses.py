"""What a fit minimizes: the five distortions of the loss paper, and three for the eye, by name.

Catania and Allegra, Redefining Visual Quality: the impact of loss functions on INR-based image compression (ICIP 2024).
A loss takes a prediction and a target, pictures (3, h, w) of values in [0, 1] (the prediction may leave that range), and
gives a scalar, the mean over pixels and channels. With d = prediction − target:

==============  ======================================================  ====================================
name            formula                                                 what it forgives
==============  ======================================================  ====================================
l1              |d|                                                     large errors, if they are rare
mse             d²                                                      small errors everywhere
log-cosh        log cosh d = d + softplus(−2d) − ln 2                   as mse near 0, as l1 far from it
log-cosh+ssim   log cosh d + 0.01·(1 − SSIM)                            the same, but not lost structure
l1+ssim         0.8·|d| + 0.2·(1 − SSIM)                                the same
==============  ======================================================  ====================================

Both compound losses are sums. The paper's Eq. 6 prints log cosh with a wrong sign (d + softplus(2d) − ln 2 is
2d + log cosh d), its Eq. 5 prints a square root around the MSE that its programs don't take; here both are as computed.
SSIM is pytorch-msssim's, window 11×11, σ = 1.5, data range 1, negative values kept (they have gradients).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.metrics import LPIPS_MIN_SIDE, SSIM_WINDOW, lpips_network
from tutorial_lib.perception import DEFAULT_LOOK, Features, wavelet_wasserstein

SSIM_OF_LOG_COSH = 0.01
SSIM_OF_L1 = 0.2
LPIPS_OF_MSE = 0.001
PERCEPTION_OF_MSE = DEFAULT_LOOK.perceptual_weight / DEFAULT_LOOK.reconstruction_weight

PAPER_LOSSES = ("l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim")
"""The five that the paper compares, by their names in `LOSSES`."""

Loss = Callable[[Tensor, Tensor], Tensor]


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of |d| (paper, Eq. 4).

    >>> l1(torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.0]))
    tensor(0.2500)
    """
    return F.l1_loss(prediction, target)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of d² (paper, Eq. 5, without its square root).

    >>> mse(torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.0]))
    tensor(0.1250)
    """
    return F.mse_loss(prediction, target)


def log_cosh(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of log cosh d = d + softplus(−2d) − ln 2 (paper, Eq. 6, sign corrected); ≈ d²/2 near 0, |d| − ln 2 far off.

    cosh itself overflows float32 from |d| = 89 on; this form never does.

    >>> log_cosh(torch.tensor([100.0]), torch.tensor([0.0]))
    tensor(99.3069)
    """
    d = prediction - target
    return (d + F.softplus(-2 * d) - math.log(2)).mean()


def ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − SSIM of two pictures (3, h, w), or the mean of a film's frames (3, t, h, w): 0 for equal ones, 2 at the most.

    A side shorter than the window of 11 pixels is filled up by repeating the border, so that thin pictures have
    a structure too.
    """
    # contiguous, since channels-last planes make the window's convolutions several times slower
    frames = [each.movedim(0, -3).reshape(-1, len(each), *each.shape[-2:]) for each in (prediction, target)]
    pair = _filled_up(torch.cat(frames).contiguous(), SSIM_WINDOW)
    import pytorch_msssim

    half = len(pair) // 2
    return 1 - pytorch_msssim.ssim(pair[:half], pair[half:], data_range=1.0, win_size=SSIM_WINDOW)


def log_cosh_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """log cosh + α·(1 − SSIM), α = 0.01: NIF's loss (Catania and Allegra, ACM MM 2023)."""
    return log_cosh(prediction, target) + SSIM_OF_LOG_COSH * ssim_loss(prediction, target)


def l1_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """(1 − α)·L1 + α·(1 − SSIM), α = 0.2."""
    return (1 - SSIM_OF_L1) * l1(prediction, target) + SSIM_OF_L1 * ssim_loss(prediction, target)


def mse_lpips(prediction: Tensor, target: Tensor) -> Tensor:
    """MSE + β·LPIPS with SqueezeNet, β = 0.001: not of the paper; a metric as a training term.

    Raises:
        MetricError: the network's weights are not to be had; see `metrics.lpips`.
    """
    pair = _filled_up(torch.stack([prediction, target]).contiguous(), LPIPS_MIN_SIDE)
    distance = lpips_network("squeeze", prediction.device)(2 * pair[:1] - 1, 2 * pair[1:] - 1)
    return mse(prediction, target) + LPIPS_OF_MSE * distance.mean()


def mse_features(prediction: Tensor, target: Tensor) -> Tensor:
    """MSE + β·`perception.Features`, β that of a `perception.Look`; not of the paper.

    Raises:
        PerceptionError: no network's weights are in torch's cache.
    """
    pair = _filled_up(torch.stack([prediction, target]).contiguous(), LPIPS_MIN_SIDE)
    return mse(prediction, target) + PERCEPTION_OF_MSE * Features(pair[1])(pair[0])


def mse_wasserstein(prediction: Tensor, target: Tensor) -> Tensor:
    """MSE + β·`perception.wavelet_wasserstein`, β that of a `perception.Look`; not of the paper."""
    return mse(prediction, target) + PERCEPTION_OF_MSE * wavelet_wasserstein(prediction, target)


def _filled_up(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, h, w) with the border repeated until no side is shorter than ``side``."""
    bottom, right = (max(side - each, 0) for each in pictures.shape[-2:])
    if not (bottom or right):
        return pictures
    return F.pad(pictures, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2), mode="replicate")


LOSSES: dict[str, Loss] = {
    "l1": l1,
    "mse": mse,
    "log-cosh": log_cosh,
    "log-cosh+ssim": log_cosh_ssim,
    "l1+ssim": l1_ssim,
    "mse+lpips": mse_lpips,
    "mse+features": mse_features,
    "mse+wasserstein": mse_wasserstein,
}
"""Losses by name; put a function of your own in, and every codec can be fitted with it, by a sweep's workers too."""
