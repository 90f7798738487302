"""Wrong answers to the exercises of notebook 08 that people really write."""

from __future__ import annotations

import torch
import torch.nn.functional as F

# ------------------------------------------------------------------------------------------------ 08.1


def not_relativistic(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()


def own_mean(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return F.softplus(real.mean() - real).mean() + F.softplus(fake - fake.mean()).mean()


def exchanged(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return F.softplus(real.mean() - fake).mean() + F.softplus(real - fake.mean()).mean()


def mean_first(judge, picture, painted, base):
    real, fake = judge(picture, base).mean(), judge(painted.detach(), base).mean()
    return F.softplus(fake - real) + F.softplus(fake - real)


def one_half(judge, picture, painted, base):
    return F.softplus(judge(painted.detach(), base).mean() - judge(picture, base)).mean()


def base_left_out(judge, picture, painted, base):
    real, fake = judge(picture, picture), judge(painted.detach(), painted.detach())
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def not_detached(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted, base)
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def judged_without_gradient(judge, picture, painted, base):
    with torch.no_grad():
        return not_detached(judge, picture, painted, base)


def verdict_detached(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted, base).detach()
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def original_detached(judge, picture, painted, base):
    real, fake = judge(picture, base).detach(), judge(painted.detach(), base)
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def same_way(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return -F.logsigmoid(real - fake.mean()).mean() - F.logsigmoid(fake - real.mean()).mean()


def place_by_place(judge, picture, painted, base):
    return F.softplus(judge(painted.detach(), base) - judge(picture, base)).mean()


def fakes_alone(judge, picture, painted, base):
    return F.softplus(judge(painted.detach(), base) - judge(picture, base).mean()).mean()


def detached_in_place(judge, picture, painted, base):
    painted.detach_()
    return not_detached(judge, picture, painted, base)


def means_as_numbers(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return F.softplus(fake.mean().item() - real).mean() + F.softplus(fake - real.mean().item()).mean()


# ------------------------------------------------------------------------------------------------ 08.2


def _windows(planes):
    return planes.unfold(1, 8, 8).unfold(2, 8, 8).flatten(3)


def variances(prediction, target):
    a, b = _windows(prediction), _windows(target)
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (a.var(-1, correction=0) - b.var(-1, correction=0)) ** 2).mean()


def means_alone(prediction, target):
    return ((_windows(prediction).mean(-1) - _windows(target).mean(-1)) ** 2).mean()


def deviations_alone(prediction, target):
    return ((_windows(prediction).std(-1, correction=0) - _windows(target).std(-1, correction=0)) ** 2).mean()


def pixel_by_pixel(prediction, target):
    return ((prediction - target) ** 2).mean()


def mean_not_taken_away(prediction, target):
    a, b = _windows(prediction), _windows(target)
    roots = [(each**2).mean(-1).sqrt() for each in (a, b)]
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (roots[0] - roots[1]) ** 2).mean()


def one_window(prediction, target):
    a, b = prediction.flatten(1), target.flatten(1)
    return ((a.mean(1) - b.mean(1)) ** 2 + (a.std(1, correction=0) - b.std(1, correction=0)) ** 2).mean()


def root_below_zero(prediction, target):
    (mean, square), (other, others) = ([F.avg_pool2d(each[None], 8) for each in (side, side**2)] for side in (prediction, target))
    return ((mean - other) ** 2 + ((square - mean**2).sqrt() - (others - other**2).sqrt()) ** 2).mean()


def samples(prediction, target):
    a, b = _windows(prediction), _windows(target)
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (a.std(-1) - b.std(-1)) ** 2).mean()


def deviations_cut_off(prediction, target):
    a, b = _windows(prediction), _windows(target)
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (a.detach().std(-1, correction=0) - b.std(-1, correction=0)) ** 2).mean()


def texture_cut_off(prediction, target):
    a, b = _windows(prediction.detach()), _windows(target)
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (a.std(-1, correction=0) - b.std(-1, correction=0)) ** 2).mean()


# ------------------------------------------------------------------------------------------------ 08.3


def _sum(words):
    return sum((words >> 8 * byte) & 255 for byte in range(4)).sum(-1)


def lowest_bytes(words):
    return (words & 255).sum(-1) - 1530


# ------------------------------------------------------------------------------------------------ 08.4


def nothing_frozen(representation):
    representation.requires_grad_(True)
    return list(representation.synthesis.parameters())


def context_forgotten(representation):
    representation.requires_grad_(True)
    representation.latents.requires_grad_(False)
    representation.upsampling.requires_grad_(False)
    return list(representation.synthesis.parameters())


def all_frozen(representation):
    representation.requires_grad_(False)
    return list(representation.synthesis.parameters())


def everything_returned(representation):
    representation.requires_grad_(False)
    representation.synthesis.requires_grad_(True)
    return list(representation.parameters())


# ------------------------------------------------------------------------------------------------ 08.5


def _changes(numbers, slope, curvature, bits):
    here = bits(numbers)
    return slope + curvature + bits(numbers + 1) - here, -slope + curvature + bits(numbers - 1) - here


def _stepped(numbers, up, down):
    numbers = torch.where((up < down) & (up < 0), numbers + 1, numbers)
    return torch.where((down <= up) & (down < 0), numbers - 1, numbers)


def always_moves(numbers, slope, curvature, bits):
    up, down = _changes(numbers, slope, curvature, bits)
    return torch.where(up < down, numbers + 1, numbers - 1)


def uphill(numbers, slope, curvature, bits):
    return _stepped(numbers, *_changes(numbers, -slope, curvature, bits))


def curvature_taken_away(numbers, slope, curvature, bits):
    up, down = _changes(numbers, slope, curvature, bits)
    return _stepped(numbers, up, down - 2 * curvature)


def no_curvature(numbers, slope, curvature, bits):
    return _stepped(numbers, *_changes(numbers, slope, 0 * curvature, bits))


def no_bits(numbers, slope, curvature, bits):
    return _stepped(numbers, slope + curvature, curvature - slope)


def old_price_forgotten(numbers, slope, curvature, bits):
    return _stepped(numbers, slope + curvature + bits(numbers + 1), -slope + curvature + bits(numbers - 1))


def up_first(numbers, slope, curvature, bits):
    up = slope + curvature + bits(numbers + 1) - bits(numbers)
    down = -slope + curvature + bits(numbers - 1) - bits(numbers)
    return numbers + torch.where(up < 0, 1, torch.where(down < 0, -1, 0))


def half_of_the_half(numbers, slope, curvature, bits):
    up = slope + curvature / 2 + bits(numbers + 1) - bits(numbers)
    down = -slope + curvature / 2 + bits(numbers - 1) - bits(numbers)
    return numbers + torch.where(up < down, 1, -1) * (torch.minimum(up, down) < 0)


def steps_alone(numbers, slope, curvature, bits):
    return _stepped(numbers, *_changes(numbers, slope, curvature, bits)) - numbers


MUTANTS = {
    "08.1": {
        "not relativistic": (not_relativistic, "isn't relativistic"),
        "its own mean": (own_mean, "its own mean"),
        "exchanged": (exchanged, "exchanged"),
        "means first": (mean_first, "the means come first"),
        "one half": (one_half, "the fakes' half is missing"),
        "base left out": (base_left_out, "doesn't get to see the base"),
        "not detached": (not_detached, "a gradient reaches"),
        "no gradient at all": (judged_without_gradient, "no gradient comes back"),
        "the verdict detached": (verdict_detached, "not to the judge's values"),
        "the original detached": (original_detached, "of the original gives it no gradient"),
        "the same way": (same_way, "pull the same way"),
        "place by place": (place_by_place, "place is compared with place"),
        "fakes alone": (fakes_alone, "the real pictures' half is missing"),
        "detached in place": (detached_in_place, "for its painter, too"),
        "means as numbers": (means_as_numbers, "the means give the judge no gradient"),
    },
    "08.2": {
        "variances": (variances, "these are variances"),
        "means alone": (means_alone, "only the means"),
        "deviations alone": (deviations_alone, "only the deviations"),
        "pixel by pixel": (pixel_by_pixel, "every single value"),
        "mean not taken away": (mean_not_taken_away, "no deviation yet"),
        "one window": (one_window, "the whole plane"),
        "a root below zero": (root_below_zero, "has no root"),
        "of samples": (samples, "divided by 63"),
        "deviations cut off": (deviations_cut_off, "the deviations give no gradient"),
        "cut off": (texture_cut_off, "no gradient"),
    },
    "08.3": {
        "no mean": (lambda words: _sum(words), "the mean is missing"),
        "128": (lambda words: _sum(words) - 12 * 128, "127.5, not 128"),
        "lowest bytes": (lowest_bytes, "one byte of each number"),
        "divided": (lambda words: (_sum(words) - 1530) / 256, "are divided"),
        "one number": (lambda words: torch.as_tensor(_sum(words).sum() - 1530), "one number"),
    },
    "08.4": {
        "nothing frozen": (nothing_frozen, "the latents may still move"),
        "context forgotten": (context_forgotten, "the context model may still move"),
        "all frozen": (all_frozen, "can't move"),
        "everything returned": (everything_returned, "others were returned"),
    },
    "08.5": {
        "always moves": (always_moves, "every number moves"),
        "uphill": (uphill, "go uphill"),
        "curvature taken away": (curvature_taken_away, "a parabola rises"),
        "no curvature": (no_curvature, "the curvature is left out"),
        "no bits": (no_bits, "bits are left out"),
        "old price forgotten": (old_price_forgotten, "is missing"),
        "steps alone": (steps_alone, "these are the steps"),
        "up first": (up_first, "the better of the two"),
        "half of the half": (half_of_the_half, "`curvature` is c itself"),
    },
}
