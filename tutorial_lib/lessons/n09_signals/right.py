"""Right answers to the exercises of notebook 09 in other styles than ours: they must pass."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from tutorial_lib import images


def canvas_by_loops(frames, height, width, scale=1.0):
    found = torch.empty(frames, height, width, 3)
    for i in range(frames):
        for j in range(height):
            for k in range(width):
                found[i, j, k] = torch.tensor(
                    [2 * k / (width - 1) - 1, 2 * j / (height - 1) - 1, scale * (2 * i / (frames - 1) - 1)]
                )
    return found


def canvas_of_pictures(frames, height, width, scale=1.0):
    still = images.canvas(height, width).expand(frames, -1, -1, -1)
    t = scale * torch.linspace(-1, 1, frames).view(-1, 1, 1, 1).expand(-1, height, width, -1)
    return torch.cat([still, t], dim=-1)


def canvas_by_numpy(frames, height, width, scale=1.0):
    t, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (frames, height, width)), indexing="ij")
    return torch.from_numpy(np.stack([x, y, scale * t], axis=-1)).float()


def draw_by_permutation(coordinates, values, points):
    places = coordinates.reshape(-1, coordinates.shape[-1])
    chosen = torch.randperm(len(places), device=places.device)[:points]
    return places[chosen], values.movedim(0, -1).reshape(-1, len(values))[chosen]


def draw_by_axes(coordinates, values, points):
    chosen = tuple(torch.randint(length, (points,), device=values.device) for length in values.shape[1:])
    return coordinates[chosen], values[(slice(None), *chosen)].T


def draw_by_numpy(coordinates, values, points):
    count = values[0].numel()
    chosen = np.random.default_rng(int(torch.randint(1 << 30, ()))).choice(count, points)
    chosen = torch.from_numpy(chosen).to(values.device)
    return coordinates.flatten(0, -2).index_select(0, chosen), values.flatten(1).index_select(1, chosen).t().contiguous()


def unit_by_waves(hertz, seconds, omega_0=30.0):
    waves = hertz * seconds
    return waves * 2 * math.pi / (2 * omega_0)


def unit_by_numpy(hertz, seconds, omega_0=30.0):
    return float(np.pi * np.float64(hertz) * seconds / omega_0)


def unit_by_one_wave(hertz, seconds, omega_0=30.0):
    heard_at_one = omega_0 / (math.pi * seconds)  # Hz with t from −1 to 1
    return hertz / heard_at_one


def slow_by_arange(frames, factor):
    steps = (frames - 1) * factor
    return 2 * torch.arange(steps + 1) / steps - 1


def slow_by_lists(frames, factor):
    t = [2 * (i + j / factor) / (frames - 1) - 1 for i in range(frames - 1) for j in range(factor)]
    return torch.tensor([*t, 1.0])


def slow_by_interpolation(frames, factor):
    own = torch.linspace(-1, 1, frames)
    return F.interpolate(own.view(1, 1, -1), size=(frames - 1) * factor + 1, mode="linear", align_corners=True).view(-1)


def shuffle_by_places(features, factor):
    b, many, h, w = features.shape
    found = features.new_empty(b, many // factor**2, factor * h, factor * w)
    for i in range(factor):
        for j in range(factor):
            found[:, :, i::factor, j::factor] = features[:, factor * i + j :: factor**2]
    return found


def shuffle_by_unflatten(features, factor):
    split = features.unflatten(1, (-1, factor, factor))
    return split.permute(0, 1, 4, 2, 5, 3).flatten(2, 3).flatten(3, 4)


def shuffle_by_einsum(features, factor):
    b, many, h, w = features.shape
    split = features.view(b, many // factor**2, factor, factor, h, w)
    return torch.einsum("bcijhw->bchiwj", split).reshape(b, -1, factor * h, factor * w)


RIGHT = {
    "09.1": {"loops": canvas_by_loops, "pictures": canvas_of_pictures, "NumPy": canvas_by_numpy},
    "09.2": {"permutation": draw_by_permutation, "axis by axis": draw_by_axes, "NumPy": draw_by_numpy},
    "09.3": {"waves": unit_by_waves, "NumPy": unit_by_numpy, "one wave": unit_by_one_wave},
    "09.4": {"arange": slow_by_arange, "lists": slow_by_lists, "interpolation": slow_by_interpolation},
    "09.5": {"places": shuffle_by_places, "unflatten": shuffle_by_unflatten, "einsum": shuffle_by_einsum},
}
