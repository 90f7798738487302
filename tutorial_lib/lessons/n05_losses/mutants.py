"""Wrong answers to the exercises of notebook 05 that people really write."""

from __future__ import annotations

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from pytorch_msssim import ssim

from tutorial_lib import losses, metrics

# ------------------------------------------------------------------------------------------------ 05.1


def as_printed(prediction, target):
    d = prediction - target
    return (d + F.softplus(2 * d) - math.log(2)).mean()


def cosh_itself(prediction, target):
    return torch.log(torch.cosh(prediction - target)).mean()


def without_ln_2(prediction, target):
    d = prediction - target
    return (d + F.softplus(-2 * d)).mean()


def not_a_mean(prediction, target):
    d = prediction - target
    return d + F.softplus(-2 * d) - math.log(2)


def two_branches(prediction, target):
    d = prediction - target
    return torch.where(d.abs() > 20, d.abs() - math.log(2), torch.log(torch.cosh(d))).mean()


def cut_off(prediction, target):
    return torch.log(torch.cosh((prediction - target).clamp(-80, 80))).mean()


def mean_first(prediction, target):
    d = (prediction - target).mean()
    return d + F.softplus(-2 * d) - math.log(2)


def without_log(prediction, target):
    return torch.cosh(prediction - target).mean()


def plain_number(prediction, target):
    return losses.log_cosh(prediction, target).item()


def huber(prediction, target):
    return F.smooth_l1_loss(prediction, target)


# ------------------------------------------------------------------------------------------------ 05.2, 05.3


def structure(prediction, target):
    return 1 - ssim(prediction[None], target[None], data_range=1.0)


def l1_similar(prediction, target):
    return 0.8 * (prediction - target).abs().mean() + 0.2 * ssim(prediction[None], target[None], data_range=1.0)


def l1_swapped(prediction, target):
    return 0.2 * (prediction - target).abs().mean() + 0.8 * structure(prediction, target)


def l1_of_255(prediction, target):
    return 0.8 * (prediction - target).abs().mean() + 0.2 * (1 - ssim(prediction[None], target[None]))


def l1_no_batch(prediction, target):
    return 0.8 * (prediction - target).abs().mean() + 0.2 * (1 - ssim(prediction, target, data_range=1.0))


def l1_squared(prediction, target):
    return 0.8 * (prediction - target).square().mean() + 0.2 * structure(prediction, target)


def l1_measured(prediction, target):
    return 0.8 * (prediction - target).abs().mean() + 0.2 * (1 - metrics.ssim(prediction, target))


def l1_rooted(prediction, target):
    return 0.8 * ((prediction - target) ** 2).sqrt().mean() + 0.2 * structure(prediction, target)


def l1_clamped(prediction, target):
    prediction = prediction.clamp(0, 1)
    return 0.8 * (prediction - target).abs().mean() + 0.2 * structure(prediction, target)


def l1_of_clamped_similarity(prediction, target):
    return 0.8 * (prediction - target).abs().mean() + 0.2 * structure(prediction.clamp(0, 1), target)


def l1_plain_number(prediction, target):
    return 0.8 * (prediction - target).abs().mean().item() + 0.2 * structure(prediction, target)


def l1_one_in_front(prediction, target):
    return 1 - (0.8 * (prediction - target).abs().mean() + 0.2 * ssim(prediction[None], target[None], data_range=1.0))


def l1_summed(prediction, target):
    return 0.8 * (prediction - target).abs().sum() + 0.2 * structure(prediction, target)


def log_cosh_detached(prediction, target):
    return losses.log_cosh(prediction, target) + 0.01 * structure(prediction, target).item()


def log_cosh_weighted(prediction, target):
    return 0.99 * losses.log_cosh(prediction, target) + 0.01 * structure(prediction, target)


def log_cosh_alpha_of_l1(prediction, target):
    return losses.log_cosh(prediction, target) + 0.2 * structure(prediction, target)


def log_cosh_average(prediction, target):
    return (losses.log_cosh(prediction, target) + 0.01 * structure(prediction, target)) / 2


def log_cosh_squared(prediction, target):
    return losses.mse(prediction, target) + 0.01 * structure(prediction, target)


def log_cosh_minus(prediction, target):
    return losses.log_cosh(prediction, target) - 0.01 * structure(prediction, target)


def log_cosh_no_alpha(prediction, target):
    return losses.log_cosh(prediction, target) + structure(prediction, target)


# ------------------------------------------------------------------------------------------------ 05.4


def no_minus(similarity):
    return 10 * math.log10(1 - similarity) if similarity < 1 else math.inf


def of_similarity(similarity):
    return -10 * math.log10(similarity)


def twenty(similarity):
    return -20 * math.log10(1 - similarity) if similarity < 1 else math.inf


def natural(similarity):
    return -10 * math.log(1 - similarity) if similarity < 1 else math.inf


def perfect_fails(similarity):
    return -10 * math.log10(1 - similarity)


def nearly_perfect_is_infinite(similarity):
    return -10 * math.log10(1 - similarity) if similarity < 1 - 1e-6 else math.inf


def infinitely_bad(similarity):
    return -10 * math.log10(1 - similarity) if similarity < 1 else -math.inf


def held_above(similarity):
    return -10 * math.log10(max(1 - similarity, 1e-12))


# ------------------------------------------------------------------------------------------------ 05.5


def same_place(first, second):
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def number_of_pairs(first, second):
    return sum(second.index(a) < second.index(b) for a, b in combinations(first, 2))


def next_to_each_other(first, second):
    return sum(second.index(a) < second.index(b) for a, b in zip(first, first[1:], strict=False)) / (len(first) - 1)


def kendall(first, second):
    signs = [1 if second.index(a) < second.index(b) else -1 for a, b in combinations(first, 2)]
    return sum(signs) / len(signs)


def disagreement(first, second):
    pairs = list(combinations(first, 2))
    return sum(second.index(a) > second.index(b) for a, b in pairs) / len(pairs)


def always_ten(first, second):
    return sum(second.index(a) < second.index(b) for a, b in combinations(first, 2)) / 10


def by_letters(first, second):
    return sum(second.index(a) < second.index(b) for a, b in combinations(first, 2)) / len(first)


def with_itself(first, second):
    pairs = list(combinations(second, 2))
    return sum(second.index(a) < second.index(b) for a, b in pairs) / len(pairs)


def side_by_side(first, second):
    pairs = list(combinations(first, 2))
    return sum(a + b in second for a, b in pairs) / len(pairs)


def pair_by_pair(first, second):
    pairs = list(combinations(first, 2))
    return sum(one == other for one, other in zip(pairs, combinations(second, 2), strict=True)) / len(pairs)


def each_twice(first, second):
    found = [first.index(a) < first.index(b) and second.index(a) < second.index(b) for a in first for b in first if a != b]
    return sum(found) / len(found)


MUTANTS = {
    "05.1": {
        "as printed": (as_printed, "as printed"),
        "cosh itself": (cosh_itself, "more than float32"),
        "ln 2 missing": (without_ln_2, "ln 2 is missing"),
        "no mean": (not_a_mean, ".mean()"),
        "two branches": (two_branches, "gradient is NaN"),
        "cut off": (cut_off, "cut off"),
        "mean first": (mean_first, "bright and dark cancel"),
        "no logarithm": (without_log, "logarithm is missing"),
        "plain number": (plain_number, "plain number"),
        "Huber": (huber, "Huber"),
    },
    "05.2": {
        "SSIM for 1 − SSIM": (l1_similar, "take 1 − SSIM"),
        "weights swapped": (l1_swapped, "swapped"),
        "data range of 255": (l1_of_255, "data_range=1.0"),
        "no batch": (l1_no_batch, "batches"),
        "squared": (l1_squared, "d is squared"),
        "root of the square": (l1_rooted, "root of d²"),
        "clamped": (l1_clamped, "prediction is clamped"),
        "measured SSIM": (l1_measured, "metrics.ssim"),
        "clamped for SSIM alone": (l1_of_clamped_similarity, "SSIM gets a clamped"),
        "|d| without gradient": (l1_plain_number, "from the loss of the pixels"),
        "1 in front": (l1_one_in_front, "in front of the whole sum"),
        "summed": (l1_summed, "added up"),
    },
    "05.3": {
        "weight for log cosh": (log_cosh_weighted, "here it has none"),
        "α of L1": (log_cosh_alpha_of_l1, "is L1's"),
        "average": (log_cosh_average, "average"),
        "squared": (log_cosh_squared, "the first term is d²"),
        "minus": (log_cosh_minus, "SSIM − 1"),
        "SSIM without gradient": (log_cosh_detached, "from the SSIM"),
        "no α": (log_cosh_no_alpha, "α of 1 − SSIM is missing"),
    },
    "05.4": {
        "no minus": (no_minus, "minus is missing"),
        "of the similarity": (of_similarity, "logarithm of v itself"),
        "20 for 10": (twenty, "amplitudes"),
        "natural logarithm": (natural, "log10"),
        "perfect copy fails": (perfect_fails, "logarithm of 0"),
        "perfect copy is finite": (held_above, "finite number"),
        "nearly perfect is infinite": (nearly_perfect_is_infinite, "nearly perfect, and gets infinity"),
        "minus infinity": (infinitely_bad, "not infinitely bad"),
    },
    "05.5": {
        "same place": (same_place, "same letter"),
        "number of pairs": (number_of_pairs, "number of pairs"),
        "neighbours only": (next_to_each_other, "only neighbours"),
        "Kendall's τ": (kendall, "Kendall"),
        "disagreement": (disagreement, "disagree"),
        "always ten": (always_ten, "divided by ten"),
        "each pair twice": (each_twice, "too much"),
        "by letters": (by_letters, "number of letters"),
        "with itself": (with_itself, "1 for all rankings"),
        "side by side": (side_by_side, "side by side"),
        "pair by pair": (pair_by_pair, "pair number k"),
    },
}
