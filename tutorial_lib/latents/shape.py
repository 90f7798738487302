"""The shape of latent grids: how many there are, which neighbours predict an integer, which layers paint the picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

GAIN = 16.0
"""Latents are trained as y/16, so that Adam's steps of about the learning rate cross many integers (Cool-chic 3.2)."""

MAX_LATENT = 1023
"""Largest magnitude of an integer in a grid, and of a prediction."""

MIN_LOG2_SCALE, MAX_LOG2_SCALE = -4.0, 10.0
"""Range of log₂ b, b the Laplace scale in steps: that of the tables in `latents.coding`."""

FRACTIONS = 32
"""Parts of a step in which the coder takes a location μ; see `latents.coding`."""

LATENT_SPREADS = 113
"""Scales that the coder knows: b = 2^(index/8 − 4), from `MIN_LOG2_SCALE` to `MAX_LOG2_SCALE`."""

_NEAREST: tuple[tuple[int, int], ...] = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-1, -2), (-2, -1), (-3, 0), (0, -3), (-1, 2),
    (-2, -2), (-1, -3),
)  # fmt: skip


def nearest(count: int) -> tuple[tuple[int, int], ...]:
    """The ``count`` (1 to 14) nearest causal neighbours as (row, column), sorted by row and column."""
    if not 1 <= count <= len(_NEAREST):
        raise ValueError(f"1 to {len(_NEAREST)} neighbours, not {count}")
    return tuple(sorted(_NEAREST[:count]))


def window(radius: int) -> tuple[tuple[int, int], ...]:
    """All positions decoded before the centre of a square window, row by row: 2·radius·(radius + 1) offsets (row, column).

    >>> window(1)
    ((-1, -1), (-1, 0), (-1, 1), (0, -1))
    """
    offsets = [(row, column) for row in range(-radius, 1) for column in range(-radius, radius + 1)]
    return tuple(offset for offset in offsets if offset < (0, 0))


@dataclass(frozen=True)
class Layer:
    """A convolution of the synthesis.

    Args:
        channels: outputs.
        kernel: 1 or 3 (3×3, borders repeated).
        residual: add the input to the output (as many inputs as outputs); starts as the identity.
        relu: end with a ReLU.
    """

    channels: int
    kernel: Literal[1, 3] = 1
    residual: bool = False
    relu: bool = False


@dataclass(frozen=True)
class GridsConfig:
    """The shape of a `LatentGrids`; with the picture's size all that a decoder must know before the weights.

    Args:
        grids: how many, 1 or more.
        neighbours: decoded before an integer and known to its context model, as (row, column) offsets.
        hidden: widths of the context model's hidden layers; one as wide as its input is residual.
        context_skip: add a linear map of the contexts to the context model's output.
        upsampling: "bicubic", nothing learned; "learned", one 8×8 kernel; "separable", 4 weights for each doubling:
            a symmetric kernel of 8 taps, used along rows and columns.
        synthesis: its layers; the last has 3 channels.
        synthesis_skip: add a linear map of the features to the 1×1 layers' output.
    """

    grids: int = 7
    neighbours: tuple[tuple[int, int], ...] = window(2)
    hidden: tuple[int, ...] = (12, 12)
    context_skip: bool = False
    upsampling: Literal["bicubic", "learned", "separable"] = "bicubic"
    synthesis: tuple[Layer, ...] = (Layer(12, relu=True), Layer(12, residual=True, relu=True), Layer(3))
    synthesis_skip: bool = False

    @property
    def skip_to(self) -> int:
        """Index of the synthesis's last 1×1 layer, which sees the features once more if there is a skip."""
        return max(index for index, layer in enumerate(self.synthesis) if layer.kernel == 1)

    @property
    def synthesis_inputs(self) -> tuple[int, ...]:
        """Inputs of each layer of the synthesis."""
        inputs = [self.grids, *(layer.channels for layer in self.synthesis[:-1])]
        if self.synthesis_skip:
            inputs[self.skip_to] += self.grids
        return tuple(inputs)

    @property
    def weights(self) -> int:
        """Weights of all networks of this shape; the latents are no weights."""
        return sum(weight_counts(self).values())

    def __str__(self) -> str:
        return f"{self.grids} grids, {len(self.neighbours)} contexts"


V1 = GridsConfig()
"""COOL-CHIC v1: 12 neighbours, bicubic upsampling, an MLP 7→12→12→3; 629 weights."""

V2 = GridsConfig(
    neighbours=window(3),
    hidden=(24, 24),
    upsampling="learned",
    synthesis=(
        Layer(40, relu=True),
        Layer(3, relu=True),
        Layer(3, kernel=3, residual=True, relu=True),
        Layer(3, kernel=3, residual=True),
    ),
)
"""COOL-CHIC v2: 24 neighbours, a learned 8×8 upsampling, 3×3 convolutions at the end; 1,925 weights."""

SMALL = GridsConfig(
    neighbours=nearest(10),
    hidden=(8, 8),
    context_skip=True,
    upsampling="separable",
    synthesis=(Layer(12, relu=True), Layer(3), Layer(3, kernel=3, residual=True)),
    synthesis_skip=True,
)
"""Ours, for small pictures, where the networks' bytes count."""


LARGE = GridsConfig(
    neighbours=nearest(14),
    hidden=(14, 14),
    context_skip=True,
    upsampling="separable",
    synthesis=(
        Layer(16, relu=True),
        Layer(3),
        Layer(3, kernel=3, residual=True, relu=True),
        Layer(3, kernel=3, residual=True),
    ),
    synthesis_skip=True,
)
"""Ours, for photographs at the size of a screen, where a few hundred bytes more of networks don't count.

J·10³ after 240 CPU seconds at 768×512 (λ = 10⁻³, one seed): Kodak 3 0.550, with hidden (16, 16) and 24 channels 0.560, `SMALL`
0.559; Kodak 23 with hidden (16, 16) and 24 channels 0.529, `SMALL` 0.540. From networks, `V2` needs 2 % less after 300 s.
"""


def weight_counts(config: GridsConfig) -> dict[str, int]:
    """Weights, biases included, of the networks "context", "upsampling" and "synthesis".

    >>> weight_counts(V1)
    {'context': 338, 'upsampling': 0, 'synthesis': 291}
    """
    widths = (len(config.neighbours), *config.hidden)
    hidden = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
    last = 2 * (widths[-1] + (widths[0] if config.context_skip else 0) + 1)
    layers = zip(config.synthesis_inputs, config.synthesis, strict=True)
    return {
        "context": hidden + last,
        "upsampling": {"bicubic": 0, "learned": 64, "separable": 4 * max(config.grids - 1, 1)}[config.upsampling],
        "synthesis": sum((inputs * layer.kernel**2 + 1) * layer.channels for inputs, layer in layers),
    }


def grid_sizes(config: GridsConfig, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of each grid, finest first: ⌈height/2^i⌉, ⌈width/2^i⌉.

    >>> grid_sizes(GridsConfig(grids=3), 5, 1)
    ((5, 1), (3, 1), (2, 1))
    """
    return tuple((-(-height >> i), -(-width >> i)) if i else (height, width) for i in range(config.grids))


def operations_per_pixel(config: GridsConfig, height: int, width: int) -> float:
    """Multiply-adds of decoding, for each pixel: context model (once for each latent), upsampling and synthesis.

    A doubling by symmetric kernels of 8 taps takes 4 products along columns and 4 along rows for each value, one by a
    learned 8×8 kernel 16. The coarsest grid is doubled grids − 1 times, the finest never.

    >>> round(operations_per_pixel(V1, 512, 768)), round(operations_per_pixel(V2, 512, 768))
    (787, 2398)
    """
    counts, sizes = weight_counts(config), grid_sizes(config, height, width)
    per_value = 16 if config.upsampling == "learned" else 6
    doubled = sum((config.grids - 1 - level) * rows * columns for level, (rows, columns) in enumerate(sizes))
    predicted = sum(rows * columns for rows, columns in sizes)
    return (counts["context"] * predicted + per_value * doubled) / (height * width) + counts["synthesis"]
