"""Wrong answers to the exercises of notebook 09 that people really write."""

from __future__ import annotations

import math

import torch

# ---------------------------------------------------------------------------------------------- 09.1


def canvas(order="xyt", *, first=-1.0, scale_t=1, scale_all=False, indexing="tyx"):
    def film_canvas(frames, height, width, scale=1.0):
        lengths = {"t": frames, "y": height, "x": width}
        lines = {name: torch.linspace(-1, 1, length) for name, length in lengths.items()}
        lines["t"] = torch.linspace(first, 1, frames) * scale**scale_t
        grids = dict(zip(indexing, torch.meshgrid(*(lines[name] for name in indexing), indexing="ij"), strict=True))
        found = torch.stack([grids[name] for name in order], dim=-1)
        return found * scale if scale_all else found

    return film_canvas


# ---------------------------------------------------------------------------------------------- 09.2


def drawn_twice(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    return places[torch.randint(len(places), (points,))], colours[torch.randint(len(places), (points,))]


def channels_torn(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.reshape(-1, len(values))
    chosen = torch.randint(len(places), (points,))
    return places[chosen], colours[chosen]


def channels_first(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1)
    chosen = torch.randint(len(places), (points,))
    return places[chosen], colours[:, chosen]


def the_first_ones(coordinates, values, points):
    return coordinates.flatten(0, -2)[:points], values.flatten(1).T[:points]


def first_axis(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    chosen = torch.randint(len(coordinates), (points,))
    return places[chosen], colours[chosen]


def never_the_last(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    chosen = torch.randint(len(places) - 1, (points,))
    return places[chosen], colours[chosen]


def halved(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T / 2
    chosen = torch.randint(len(places), (points,))
    return places[chosen], colours[chosen]


def swapped(coordinates, values, points):
    places, colours = coordinates.flatten(0, -2), values.flatten(1).T
    chosen = torch.randint(len(places), (points,))
    return colours[chosen], places[chosen]


def all_of_them(coordinates, values, points):
    return coordinates.flatten(0, -2), values.flatten(1).T


# ---------------------------------------------------------------------------------------------- 09.5


def arranged(axes, order):
    def pixel_shuffle(features, factor):
        b, many, h, w = features.shape
        c = many // factor**2
        split = features.reshape(b, *({"c": c, "r": factor}[axis] for axis in axes), h, w)
        return split.permute(order).reshape(b, c, factor * h, factor * w)

    return pixel_shuffle


def plain_reshape(features, factor):
    b, many, h, w = features.shape
    return features.reshape(b, many // factor**2, factor * h, factor * w)


def sides_exchanged(features, factor):
    return torch.nn.functional.pixel_shuffle(features, factor).transpose(2, 3)


def repeated(features, factor):
    return features[:, :: factor**2].repeat_interleave(factor, 2).repeat_interleave(factor, 3)


MUTANTS = {
    "09.1": {
        "t, y, x": (canvas("tyx"), "t comes first here: the order"),
        "t, x, y": (canvas("txy"), "t comes first here, then x"),
        "y, x, t": (canvas("yxt"), "x and y are exchanged"),
        "scale forgotten": (canvas(scale_t=0), "t isn't scaled"),
        "everything scaled": (canvas(scale_t=0, scale_all=True), "x and y are scaled too"),
        "divided": (canvas(scale_t=-1), "divided by the scale"),
        "from 0": (canvas(first=0.0), "t begins at 0"),
        "axes x, y, t": (canvas(indexing="xyt"), "the axes come in another order"),
    },
    "09.2": {
        "indices drawn twice": (drawn_twice, "of other points than the coordinates"),
        "values halved": (halved, "aren't those of the point beside them"),
        "channels torn": (channels_torn, "channels are mixed"),
        "channels first": (channels_first, "turn them round"),
        "the first ones": (the_first_ones, "the same points every time"),
        "first axis": (first_axis, "as the first axis is long"),
        "never the last": (never_the_last, "never drawn"),
        "swapped": (swapped, "coordinates are expected first"),
        "all of them": (all_of_them, "two tables are expected"),
    },
    "09.3": {
        "the canvas is one long": (lambda hertz, seconds, omega_0=30.0: 2 * math.pi * hertz * seconds / omega_0, "twice as fast"),
        "2π missing": (lambda hertz, seconds, omega_0=30.0: hertz * seconds / omega_0, "2π is missing"),
        "seconds missing": (lambda hertz, seconds, omega_0=30.0: math.pi * hertz / omega_0, "length of the sound is missing"),
        "ω₀ missing": (lambda hertz, seconds, omega_0=30.0: math.pi * hertz * seconds, "isn't divided by"),
        "ω₀ = 30 always": (lambda hertz, seconds, omega_0=30.0: math.pi * hertz * seconds / 30, "ω₀ = 30 alone"),
        "upside down": (lambda hertz, seconds, omega_0=30.0: omega_0 / (math.pi * hertz * seconds), "upside down"),
    },
    "09.4": {
        "fence posts": (lambda frames, factor: torch.linspace(-1, 1, frames * factor), "fence posts"),
        "last one missing": (
            lambda frames, factor: 2 * torch.arange((frames - 1) * factor) / ((frames - 1) * factor) - 1,
            "the last frame is missing",
        ),
        "one dot less": (lambda frames, factor: torch.linspace(-1, 1, (frames - 1) * factor), "count the dots"),
        "own frames alone": (lambda frames, factor: torch.linspace(-1, 1, frames), "own frames alone"),
        "one more in each gap": (lambda frames, factor: torch.linspace(-1, 1, (frames - 1) * (factor + 1) + 1), "slower than"),
        "from 0 to 1": (lambda frames, factor: torch.linspace(0, 1, (frames - 1) * factor + 1), "from 0 to 1"),
        "numbers of frames": (lambda frames, factor: torch.arange(0, frames - 1 + 1e-6, 1 / factor), "numbers of frames"),
    },
    "09.5": {
        "plain reshape": (plain_reshape, "plain `reshape`"),
        "rows and columns": (arranged("crr", (0, 1, 4, 3, 5, 2)), "rows and columns within a square"),
        "channels last in the split": (arranged("rrc", (0, 3, 4, 1, 5, 2)), "split as (r, r, c)"),
        "small pictures": (arranged("crr", (0, 1, 2, 4, 3, 5)), "small pictures beside each other"),
        "sides exchanged": (sides_exchanged, "height and width are exchanged"),
        "repeated": (repeated, "enlarged by repeating"),
    },
}
