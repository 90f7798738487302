"""Right answers to the exercises of notebook 08 in other styles than ours: they must pass."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def judged_by_logsigmoid(judge, picture, painted, base):
    real, fake = judge(picture, base), judge(painted.detach(), base)
    return -F.logsigmoid(real - fake.mean()).mean() - F.logsigmoid(-(fake - real.mean())).mean()


def judged_by_entropy(judge, picture, painted, base):
    with torch.no_grad():
        still = painted.clone()
    real, fake = judge(picture, base), judge(still, base)
    bce = F.binary_cross_entropy_with_logits
    return bce(real - fake.mean(), torch.ones_like(real)) + bce(fake - real.mean(), torch.zeros_like(fake))


def judged_in_float64(judge, picture, painted, base):
    real, fake = (judge(each, base).double() for each in (picture, painted.detach()))
    return (torch.log1p(torch.exp(fake.mean() - real)).mean() + torch.log1p(torch.exp(fake - real.mean())).mean()).float()


def texture_by_unfold(prediction, target):
    a, b = (each.unfold(1, 8, 8).unfold(2, 8, 8).flatten(3) for each in (prediction, target))
    return ((a.mean(-1) - b.mean(-1)) ** 2 + (a.std(-1, correction=0) - b.std(-1, correction=0)) ** 2).mean()


def judged_side_by_side(judge, picture, painted, base):
    both = judge(torch.cat([picture, painted.detach()], 1), torch.cat([base, base], 1))
    real, fake = both.chunk(2, 1)
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def texture_with_epsilon(prediction, target):
    a, b = (each.unfold(1, 8, 8).unfold(2, 8, 8).flatten(3) for each in (prediction, target))
    spreads = [(each.var(-1, correction=0) + 1e-5).sqrt() for each in (a, b)]
    return (a.mean(-1) - b.mean(-1)).square().mean() + F.mse_loss(*spreads)


def texture_by_loops(prediction, target):
    total, count = 0.0, 0
    for a, b in zip(prediction, target, strict=True):
        for top in range(0, a.shape[0], 8):
            for left in range(0, a.shape[1], 8):
                one, other = (each[top : top + 8, left : left + 8] for each in (a, b))
                total = total + (one.mean() - other.mean()) ** 2
                total = total + (one.std(correction=0) - other.std(correction=0)) ** 2
                count += 1
    return total / count


def texture_by_views(prediction, target):
    c, h, w = prediction.shape
    a, b = (each.double().reshape(c, h // 8, 8, w // 8, 8) for each in (prediction, target))
    means = [each.mean((2, 4)) for each in (a, b)]
    spreads = [(each.square().mean((2, 4)) - mean.square()).clamp(min=0).sqrt() for each, mean in zip((a, b), means, strict=True)]
    return ((means[0] - means[1]).square() + (spreads[0] - spreads[1]).square()).mean().float()


def dice_by_loop(words):
    total = torch.full(words.shape[:-1], -1530, dtype=words.dtype, device=words.device)
    for column in range(words.shape[-1]):
        rest = words[..., column].clone()
        for _ in range(4):
            total += rest % 256
            rest //= 256
    return total


def dice_by_numpy(words):
    parts = words.cpu().numpy().astype("<u4")
    parts = np.ascontiguousarray(parts).view(np.uint8).reshape(len(words), 12)
    return torch.from_numpy(parts.astype(np.int64).sum(1) - 1530).to(words.device)


def dice_by_stack(words):
    shifts = torch.tensor([0, 8, 16, 24], device=words.device)
    return ((words[..., None] >> shifts) & 0xFF).sum((-2, -1)) - 12 * 255 // 2


def freeze_all_then_free(representation):
    representation.requires_grad_(False)
    representation.synthesis.requires_grad_(True)
    return [*representation.synthesis.parameters()]


def freeze_by_parts(representation):
    for part in (representation.context, representation.upsampling):
        for parameter in part.parameters():
            parameter.requires_grad = False
    representation.latents.requires_grad = False
    free = []
    for parameter in representation.synthesis.parameters():
        parameter.requires_grad = True
        free.append(parameter)
    return free


def freeze_by_name(representation):
    for name, parameter in representation.named_parameters():
        parameter.requires_grad_("synthesis" in name)
    return [parameter for parameter in representation.parameters() if parameter.requires_grad]


def numbers_by_argmin(numbers, slope, curvature, bits):
    changes = [by * slope + by**2 * curvature + bits(numbers + by) for by in (0, 1, -1)]
    return numbers + torch.tensor([0.0, 1.0, -1.0], device=numbers.device)[torch.stack(changes).argmin(0)]


def numbers_by_masks(numbers, slope, curvature, bits):
    moved, here = numbers.clone(), bits(numbers)
    up, down = slope + curvature + bits(numbers + 1) - here, curvature - slope + bits(numbers - 1) - here
    moved[(up < 0) & (up < down)] += 1
    moved[(down < 0) & (down < up)] -= 1
    return moved


def numbers_by_numpy(numbers, slope, curvature, bits):
    up, here, down = (bits(numbers + by).cpu().numpy().astype(np.float64) for by in (1, 0, -1))
    g, c = slope.cpu().numpy(), curvature.cpu().numpy()
    best = np.argmin([down - here - g + c, np.zeros_like(here), up - here + g + c], axis=0) - 1
    return numbers + torch.from_numpy(best).to(numbers)


RIGHT = {
    "08.1": {
        "logsigmoid": judged_by_logsigmoid,
        "cross entropy": judged_by_entropy,
        "float64": judged_in_float64,
        "side by side": judged_side_by_side,
    },
    "08.2": {
        "unfold": texture_by_unfold,
        "epsilon": texture_with_epsilon,
        "loops": texture_by_loops,
        "views": texture_by_views,
    },
    "08.3": {"loop": dice_by_loop, "NumPy": dice_by_numpy, "stack": dice_by_stack},
    "08.4": {"all, then free": freeze_all_then_free, "by parts": freeze_by_parts, "by name": freeze_by_name},
    "08.5": {"argmin": numbers_by_argmin, "masks": numbers_by_masks, "NumPy": numbers_by_numpy},
}
