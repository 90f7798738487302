"""Wrong answers to the exercises of notebook 04 that people really write."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tutorial_lib.lessons.n04_latent_grids import mutants_fit
from tutorial_lib.lessons.n04_latent_grids.answers import neighbours

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


def joined(join=lambda grid, doubled: torch.cat([grid, doubled]), level_of=lambda level: level):
    def features(grids, double):
        stack = grids[-1][None]
        for level in range(len(grids) - 2, -1, -1):
            rows, columns = grids[level].shape
            stack = join(grids[level][None], double(stack, level_of(level))[:, :rows, :columns])
        return stack

    return features


def one_doubling(grids, double):
    rows, columns = grids[-2].shape
    return torch.cat([grids[-2][None], double(grids[-1][None], len(grids) - 2)[:, :rows, :columns]])


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


def within_a_step(values, temperature):
    rest = values - values.floor() - 0.5
    return 0.5 + torch.tanh(rest / temperature) / (2 * math.tanh(0.5 / temperature))


def by_sigmoid(values, temperature):
    return values.floor() + torch.sigmoid((values - values.floor() - 0.5) / temperature)


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


def one_off(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (4, 4, 4, 4))
    return torch.stack([padded[3 + r : 3 + r + rows, 3 + c : 3 + c + columns] for r, c in offsets])


def below_each_other(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (3, 3, 3, 3))
    return torch.cat([padded[3 + r : 3 + r + rows, 3 + c : 3 + c + columns] for r, c in offsets])


def not_padded(grid, offsets):
    rows, columns = grid.shape
    padded = F.pad(grid, (3, 0, 3, 0))
    return torch.stack([padded[3 + r : 3 + r + rows, 3 + c : 3 + c + columns] for r, c in [*offsets, (0, 1), (0, 0)]])


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


def half_an_integer(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return -torch.log2((cdf(d + 0.5, b) - cdf(d, b)).clamp(min=2**-16))


def normal_law(values, location, log2_scale):
    law = torch.distributions.Normal(location, torch.exp2(log2_scale))
    return -torch.log2((law.cdf(values + 0.5) - law.cdf(values - 0.5)).clamp(min=2**-16))


def held_too_high(values, location, log2_scale):
    b, d = torch.exp2(log2_scale), values - location
    return -torch.log2((cdf(d + 0.5, b) - cdf(d - 0.5, b)).clamp(min=0.05))


MUTANTS = {
    "04.1": {
        "coarsest grid first": (coarsest_first, "coarsest grid comes first"),
        "grids added up": (added_up, "added up"),
        "not cut to size": (not_cut, "one row or column larger"),
        "stretched to size": (stretched, "stretched"),
        "repeated as squares": (squares, "repeated as squares"),
        "coarsest grid detached": (detached_grids, "no gradient"),
        "finest grid missing": (finest_missing, "finest grid is missing"),
        "doubled alone": (joined(lambda grid, doubled: doubled), "not put in front"),
        "grid alone": (joined(lambda grid, doubled: grid), "what was doubled is lost"),
        "below each other": (joined(lambda grid, doubled: torch.cat([grid, doubled], dim=1)), "first axis"),
        "level of what goes in": (joined(level_of=lambda level: level + 1), "too large"),
        "level 0": (joined(level_of=lambda level: 0), "level 0 every time"),
        "two axes": (joined(lambda grid, doubled: torch.cat([grid[0], doubled])), "a stack of planes three"),
        "return in the loop": (one_doubling, "`return` stands in the loop"),
    },
    "04.2": {
        "plain rounding": (hard, "plain rounding"),
        "doesn't reach the integers": (not_to_the_ends, "reach the integers"),
        "times T": (times_temperature, "T is multiplied"),
        "steps at the integers": (steps_at_integers, "not from the nearest integer"),
        "cut off for floor": (cut_off, "negative numbers"),
        "detached": (detached_rounding, "no gradient comes back"),
        "straight-through": (straight_through, "slope is 1"),
        "⌊y⌋ missing": (within_a_step, "⌊y⌋ is missing"),
        "sigmoid": (by_sigmoid, "sigmoid"),
    },
    "04.3": {
        "the future": (into_the_future, "into the future"),
        "around the edge": (around_the_edge, "torch.roll"),
        "border repeated": (border_repeated, "border is repeated"),
        "row and column swapped": (column_and_row, "swapped"),
        "planes last": (planes_last, "stand last"),
        "magnitudes": (magnitudes, "signs are gone"),
        "cut off": (lambda grid, offsets: neighbours(grid.clamp(-8, 8), offsets), "expected 1000"),
        "ten offsets at most": (lambda grid, offsets: neighbours(grid, offsets[:10]), "its shape is (10"),
        "detached": (detached_grid, "no gradient"),
        "fails on narrow grids": (shifted_in_place, "one row or column"),
        "one off": (one_off, "by one row and one column"),
        "below each other": (below_each_other, "below each other"),
        "first offset alone": (lambda grid, offsets: one_off(grid, offsets[:1]), "first offset's plane"),
        "not padded": (not_padded, "on all sides"),
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
        "half an integer": (half_an_integer, "one wide"),
        "normal law": (normal_law, "normal law"),
        "P held too high": (held_too_high, "all at one price"),
        "mean": (lambda *law: without_minus(*law).neg().mean(), "mean of all bits"),
    },
    **mutants_fit.MUTANTS,
}
