"""Wrong answers to the exercises of notebook 04 that people really write."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

# ------------------------------------------------------------------------------------------------ 04.1


def coarsest_first(grids, double):
    stack = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        rows, columns = grids[level].shape
        stack = torch.cat([double(stack, level)[:, :rows, :columns], grids[level][None]])
    return stack


def added_up(grids, double):
    total = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        rows, columns = grids[level].shape
        total = grids[level][None] + double(total, level)[:, :rows, :columns]
    return total


def not_cut(grids, double):
    stack = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        stack = torch.cat([grids[level][None], double(stack, level)])
    return stack


def stretched(grids, double):
    stack = grids[-1][None]
    for level in range(len(grids) - 2, -1, -1):
        fine = F.interpolate(double(stack, level)[None], grids[level].shape, mode="bilinear")[0]
        stack = torch.cat([grids[level][None], fine])
    return stack


def squares(grids, double):
    height, width = grids[0].shape
    return torch.stack(
        [grid.repeat_interleave(2**k, 0).repeat_interleave(2**k, 1)[:height, :width] for k, grid in enumerate(grids)]
    )


def finest_missing(grids, double):
    stack = grids[-1][None]
    for level in range(len(grids) - 2, 0, -1):
        rows, columns = grids[level].shape
        stack = torch.cat([grids[level][None], double(stack, level)[:, :rows, :columns]])
    rows, columns = grids[0].shape
    return double(stack, 0)[:, :rows, :columns]


def detached_grids(grids, double):
    stack = grids[-1].detach()[None]
    for level in range(len(grids) - 2, -1, -1):
        rows, columns = grids[level].shape
        stack = torch.cat([grids[level][None], double(stack, level)[:, :rows, :columns]])
    return stack


# ------------------------------------------------------------------------------------------------ 04.2


def hard(values, temperature):
    return torch.round(values)


def not_to_the_ends(values, temperature):
    rest = values - values.floor() - 0.5
    return values.floor() + 0.5 + 0.5 * torch.tanh(rest / temperature)


def times_temperature(values, temperature):
    rest = values - values.floor() - 0.5
    return values.floor() + 0.5 + torch.tanh(rest * temperature) / (2 * math.tanh(0.5 * temperature))


def steps_at_integers(values, temperature):
    rest = values - values.round()
    return values.round() + torch.tanh(rest / temperature) / (2 * math.tanh(0.5 / temperature))


def cut_off(values, temperature):
    whole = values.int().float()
    return whole + 0.5 + torch.tanh((values - whole - 0.5) / temperature) / (2 * math.tanh(0.5 / temperature))


def straight_through(values, temperature):
    rest = values - values.floor() - 0.5
    soft = values.floor() + 0.5 + torch.tanh(rest / temperature) / (2 * math.tanh(0.5 / temperature))
    return values + (soft - values).detach()


def detached_rounding(values, temperature):
    values = values.detach()
    rest = values - values.floor() - 0.5
    return values.floor() + 0.5 + torch.tanh(rest / temperature) / (2 * math.tanh(0.5 / temperature))


# ------------------------------------------------------------------------------------------------ 04.3


def into_the_future(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (4, 4, 4, 4))
    return torch.stack([padded[4 - r : 4 - r + rows, 4 - c : 4 - c + columns] for r, c in offsets])


def around_the_edge(grid, offsets):
    return torch.stack([torch.roll(grid, (-r, -c), (0, 1)) for r, c in offsets])


def border_repeated(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid[None, None], (4, 4, 4, 4), mode="replicate")[0, 0]
    return torch.stack([padded[4 + r : 4 + r + rows, 4 + c : 4 + c + columns] for r, c in offsets])


def column_and_row(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (4, 4, 4, 4))
    return torch.stack([padded[4 + c : 4 + c + rows, 4 + r : 4 + r + columns] for r, c in offsets])


def planes_last(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (4, 4, 4, 4))
    return torch.stack([padded[4 + r : 4 + r + rows, 4 + c : 4 + c + columns] for r, c in offsets], dim=-1)


def magnitudes(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid.abs(), (4, 4, 4, 4))
    return torch.stack([padded[4 + r : 4 + r + rows, 4 + c : 4 + c + columns] for r, c in offsets])


def detached_grid(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid.detach(), (4, 4, 4, 4))
    return torch.stack([padded[4 + r : 4 + r + rows, 4 + c : 4 + c + columns] for r, c in offsets])


def shifted_in_place(grid, offsets):
    planes = []
    for row, column in offsets:
        plane = torch.zeros_like(grid)
        rows, columns = grid.shape
        left, right = max(column, 0), max(-column, 0)
        plane[-row:, right : columns - left] = grid[: rows + row, left : columns - right]
        if -row > rows or right >= columns:
            raise ValueError("grid too small")
        planes.append(plane)
    return torch.stack(planes)


# ------------------------------------------------------------------------------------------------ 04.4


def cdf(x, b):
    return 0.5 + 0.5 * x.sign() * (1 - torch.exp(-x.abs() / b))


def nats(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return -torch.log((cdf(d + 0.5, b) - cdf(d - 0.5, b)).clamp(min=2**-16))


def density(values, location, log2_scale):
    b = torch.exp2(log2_scale)
    return -torch.log2(torch.exp(-(values - location).abs() / b) / (2 * b))


def natural_scale(values, location, log2_scale):
    b, d = log2_scale.exp(), values - location
    return -torch.log2((cdf(d + 0.5, b) - cdf(d - 0.5, b)).clamp(min=2**-16))


def without_minus(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return torch.log2((cdf(d + 0.5, b) - cdf(d - 0.5, b)).clamp(min=2**-16))


def two_wide(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return -torch.log2((cdf(d + 1, b) - cdf(d - 1, b)).clamp(min=2**-16))


def infinite(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return -torch.log2(cdf(d + 0.5, b) - cdf(d - 0.5, b))


def clamped_after_the_logarithm(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return (-torch.log2(cdf(d + 0.5, b) - cdf(d - 0.5, b))).clamp(max=16)


def detached_values(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values.detach() - location
    return -torch.log2((cdf(d + 0.5, b) - cdf(d - 0.5, b)).clamp(min=2**-16))


def two_cases(values, location, log2_scale):
    """The formula to the letter: right, but its gradient is NaN where e^(x/b) overflows in the case that isn't taken."""
    b, d = torch.exp2(log2_scale), values - location

    def area(x):
        return torch.where(x < 0, 0.5 * torch.exp(x / b), 1 - 0.5 * torch.exp(-x / b))

    return -torch.log2((area(d + 0.5) - area(d - 0.5)).clamp(min=2**-16))


# ------------------------------------------------------------------------------------------------ 04.5


class Context(nn.Module):
    """A right answer as a participant would write it, to be spoilt."""

    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.first = nn.Linear(neighbours, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width + neighbours, 2)

    def forward(self, contexts):
        hidden = torch.relu(self.first(contexts))
        hidden = torch.relu(self.second(hidden) + hidden)
        location, log2_scale = self.last(torch.cat([hidden, contexts], dim=-1)).unbind(-1)
        return location, log2_scale


class HiddenAlone(Context):
    def __init__(self, neighbours=10, width=8):
        super().__init__(neighbours, width)
        self.last = nn.Linear(width, 2)

    def forward(self, contexts):
        hidden = torch.relu(self.first(contexts))
        return self.last(torch.relu(self.second(hidden) + hidden)).unbind(-1)


class NotResidual(Context):
    def forward(self, contexts):
        hidden = torch.relu(self.second(torch.relu(self.first(contexts))))
        return self.last(torch.cat([hidden, contexts], dim=-1)).unbind(-1)


class NoBends(Context):
    def forward(self, contexts):
        hidden = self.first(contexts)
        return self.last(torch.cat([self.second(hidden) + hidden, contexts], dim=-1)).unbind(-1)


class BendAtTheEnd(Context):
    def forward(self, contexts):
        location, log2_scale = super().forward(contexts)
        return location.relu(), log2_scale.relu()


class Normalized(Context):
    def forward(self, contexts):
        return super().forward(contexts - contexts.mean(0))


class OneTensor(Context):
    def forward(self, contexts):
        return torch.stack(super().forward(contexts), dim=-1)


class NeighboursDetached(Context):
    def forward(self, contexts):
        return super().forward(contexts.detach())


class InAList(nn.Module):
    def __init__(self, neighbours=10, width=8):
        super().__init__()
        self.layers = [nn.Linear(neighbours, width), nn.Linear(width, width), nn.Linear(width + neighbours, 2)]


# ------------------------------------------------------------------------------------------------ 04.6


def stepper(*, price="right", pixels="right", zero=True, both=True, numbers=True):
    def step(model, picture, lmbda, stand_in, optimizers):
        grids = model.split(stand_in(16.0 * model.latents))
        distortion = ((model.paint(grids) - picture) ** 2).mean()
        count = {"right": picture.shape[1] * picture.shape[2], "one": 1, "colours": picture.numel()}[pixels]
        rate = model.bits_of(grids).sum() / count
        cost = distortion + (0 if price == "none" else lmbda) * rate
        if zero:
            for optimizer in optimizers:
                optimizer.zero_grad()
        cost.backward()
        for optimizer in optimizers if both else optimizers[:1]:
            optimizer.step()
        return (distortion.item(), rate.item()) if numbers else (distortion, rate)

    return step


# ------------------------------------------------------------------------------------------------ 04.7


def small_bias(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return torch.floor((whole[:, :-1] @ columns + whole[:, -1:]) / 4096)


def exact_weights(matrix, columns):
    matrix = matrix.double() * 4096
    return torch.floor((matrix[:, :-1] @ columns + matrix[:, -1:] * 4096) / 4096)


def towards_zero(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return torch.trunc((whole[:, :-1] @ columns + whole[:, -1:] * 4096) / 4096)


def single_precision(matrix, columns):
    whole = torch.round(matrix * 4096)
    return torch.floor((whole[:, :-1] @ columns.float() + whole[:, -1:] * 4096) / 4096)


def single_sums(matrix, columns):
    whole = torch.round(matrix * 4096)
    total = whole[:, :-1] @ columns.float() + whole[:, -1:] * 4096
    return torch.floor(total.double() / 4096)


def not_divided(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return whole[:, :-1] @ columns + whole[:, -1:] * 4096


def fractions_kept(matrix, columns):
    whole = torch.round(matrix.double() * 4096)
    return (whole[:, :-1] @ columns + whole[:, -1:] * 4096) / 4096


MUTANTS = {
    "04.1": {
        "coarsest grid first": (coarsest_first, "coarsest grid comes first"),
        "grids added up": (added_up, "added up"),
        "not cut to size": (not_cut, "one row or column larger"),
        "stretched to size": (stretched, "stretched"),
        "repeated as squares": (squares, "repeated as squares"),
        "coarsest grid detached": (detached_grids, "no gradient"),
        "finest grid missing": (finest_missing, "finest grid is missing"),
    },
    "04.2": {
        "plain rounding": (hard, "plain rounding"),
        "doesn't reach the integers": (not_to_the_ends, "reach the integers"),
        "times T": (times_temperature, "T is multiplied"),
        "steps at the integers": (steps_at_integers, "not from the nearest integer"),
        "cut off for floor": (cut_off, "negative numbers"),
        "detached": (detached_rounding, "no gradient comes back"),
        "straight-through": (straight_through, "slope is 1"),
    },
    "04.3": {
        "the future": (into_the_future, "into the future"),
        "around the edge": (around_the_edge, "torch.roll"),
        "border repeated": (border_repeated, "border is repeated"),
        "row and column swapped": (column_and_row, "swapped"),
        "planes last": (planes_last, "stand last"),
        "magnitudes": (magnitudes, "signs are gone"),
        "detached": (detached_grid, "no gradient"),
        "fails on narrow grids": (shifted_in_place, "one row or column"),
    },
    "04.4": {
        "nats": (nats, "nats"),
        "density": (density, "density"),
        "e for 2": (natural_scale, "e^…"),
        "minus missing": (without_minus, "minus is missing"),
        "interval two wide": (two_wide, "two wide"),
        "clamped after the logarithm": (clamped_after_the_logarithm, "after it"),
        "values detached": (detached_values, "no slope"),
        "infinite far out": (infinite, "infinite"),
    },
    "04.5": {
        "last layer without the neighbours": (HiddenAlone, "hidden numbers alone"),
        "second layer not residual": (NotResidual, "not added to its output"),
        "no ReLUs": (NoBends, "ReLUs are missing"),
        "a ReLU at the end": (BendAtTheEnd, "may be negative"),
        "normalized over the table": (Normalized, "doesn't have yet"),
        "one tensor": (OneTensor, "hand back two"),
        "neighbours detached": (NeighboursDetached, "no gradient comes back to the neighbours"),
        "layers in a list": (InAList, "plain Python list"),
    },
    "04.6": {
        "bits of the whole picture": (stepper(pixels="one"), "whole picture"),
        "three pixels for one": (stepper(pixels="colours"), "once for each colour"),
        "rate without a price": (stepper(price="none"), "rate doesn't count"),
        "gradients pile up": (stepper(zero=False), "pile up"),
        "one optimizer": (stepper(both=False), "only one of the two"),
        "tensors returned": (stepper(numbers=False), "graph of gradients"),
    },
    "04.7": {
        "bias too small": (small_bias, "4096 times too small"),
        "weights not rounded": (exact_weights, "not rounded"),
        "cut off for floor": (towards_zero, "towards 0"),
        "float32": (single_precision, "the result is float32"),
        "sums in float32": (single_sums, "on their way"),
        "not divided": (not_divided, "units of 1/4096²"),
        "fractions kept": (fractions_kept, "no whole number"),
    },
}
