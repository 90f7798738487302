"""Right answers to the exercises of notebook 05 in other styles than ours: they must pass."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import SSIM, ssim

from tutorial_lib import losses

# ------------------------------------------------------------------------------------------------ 05.1


def log_cosh_by_logaddexp(prediction, target):
    d = prediction - target
    return torch.mean(torch.logaddexp(d, -d) - math.log(2))


def log_cosh_by_magnitude(prediction, target):
    d = (target - prediction).abs()
    return (d + torch.log1p(torch.exp(-2 * d)) - np.log(2)).mean()


def log_cosh_in_float64(prediction, target):
    d = (prediction - target).double()
    return (F.softplus(2 * d) - d - math.log(2)).mean().float()


def log_cosh_of_channels(prediction, target):
    total = prediction.new_zeros(())
    for one, other in zip(prediction, target, strict=True):
        d = one - other
        total = total + torch.logsumexp(torch.stack([d, -d]), dim=0).sub(math.log(2)).sum()
    return total / prediction.numel()


# ------------------------------------------------------------------------------------------------ 05.2


def l1_ssim_by_functional(prediction, target):
    similarity = ssim(prediction.unsqueeze(0), target.unsqueeze(0), 1.0, size_average=True)
    return torch.lerp(F.l1_loss(prediction, target), 1 - similarity, 0.2)


def l1_ssim_by_module(prediction, target):
    measure = SSIM(data_range=1, channel=3)
    d = prediction - target
    return 0.8 * torch.where(d > 0, d, -d).mean() + 0.2 - 0.2 * measure(prediction[None], target[None])


def l1_ssim_as_one_batch(prediction, target):
    pair = torch.stack([prediction, target])
    similarities = ssim(pair[:1], pair[1:], data_range=1.0, size_average=False)
    absolute = torch.maximum(prediction, target) - torch.minimum(prediction, target)
    return 4 / 5 * torch.sum(absolute) / absolute.numel() + (1 - similarities[0]) / 5


# ------------------------------------------------------------------------------------------------ 05.3


def log_cosh_ssim_by_parts(prediction, target):
    return log_cosh_by_logaddexp(prediction, target) + losses.ssim_loss(prediction, target) / 100


def log_cosh_ssim_by_module(prediction, target):
    structure = 1.0 - SSIM(data_range=1.0, channel=3)(prediction[None, ...], target[None, ...])
    return torch.add(log_cosh_by_magnitude(prediction, target), structure, alpha=0.01)


def log_cosh_ssim_backwards(prediction, target):
    result = 0.01 * (1 - ssim(target[None], prediction[None], data_range=1.0))
    return result + log_cosh_of_channels(target, prediction)


# ------------------------------------------------------------------------------------------------ 05.4


def decibels_by_numpy(similarity):
    with np.errstate(divide="ignore"):
        return -10 * np.log10(np.maximum(1 - np.float64(similarity), 0.0))


def decibels_by_torch(similarity):
    return (-10 * torch.log10((1 - torch.tensor(similarity, dtype=torch.float64)).clamp(min=0))).item()


def decibels_by_attempt(similarity):
    try:
        return 10 * math.log(1 / (1 - similarity), 10)
    except (ValueError, ZeroDivisionError):
        return float("inf")


# ------------------------------------------------------------------------------------------------ 05.5


def agreement_by_loops(first, second):
    alike = pairs = 0
    for i in range(len(first)):
        for j in range(i):
            pairs += 1
            if second.find(first[j]) < second.find(first[i]):
                alike += 1
    return alike / pairs


def agreement_by_numpy(first, second):
    places = np.array([second.index(letter) for letter in first])
    upper = np.triu_indices(len(first), 1)
    return np.mean(np.sign(places[None, :] - places[:, None])[upper] > 0)


def agreement_of_sets(first, second):
    pairs = set(combinations(first, 2))
    return len(pairs & set(combinations(second, 2))) / len(pairs)


RIGHT = {
    "05.1": {
        "logaddexp": log_cosh_by_logaddexp,
        "magnitude": log_cosh_by_magnitude,
        "float64": log_cosh_in_float64,
        "channel by channel": log_cosh_of_channels,
    },
    "05.2": {"functional": l1_ssim_by_functional, "module": l1_ssim_by_module, "one batch": l1_ssim_as_one_batch},
    "05.3": {"by parts": log_cosh_ssim_by_parts, "module": log_cosh_ssim_by_module, "backwards": log_cosh_ssim_backwards},
    "05.4": {"NumPy": decibels_by_numpy, "torch": decibels_by_torch, "by attempt": decibels_by_attempt},
    "05.5": {"loops": agreement_by_loops, "NumPy": agreement_by_numpy, "sets": agreement_of_sets},
}
