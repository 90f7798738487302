"""NeRV: a film as a network from the time to a whole frame.

Chen et al., NeRV: Neural Representations for Videos (NeurIPS 2021): the positional encoding of t, a small perceptron that makes
a coarse grid of features, and blocks that double its size: a 3×3 convolution to four times the channels, `PixelShuffle`, an
activation. A frame costs one pass, each weight of a block being used once a position of its coarse grid, where a network on
(x, y, t) uses every weight for every pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.images import canvas_axis
from tutorial_lib.networks.siren import PositionalEncoding

FRAME_VALUES = 1 << 24
"""Values of the largest feature map of the frames that are made together when rendering (64 MiB)."""


@dataclass(frozen=True)
class NervConfig:
    """The shape of a NeRV; together with the film's size, all a decoder must know before the weights.

    Args:
        grid: (rows, columns) of the coarse grid; twice as many behind each block, and what is beyond a frame is cut off.
        widths: channels of the coarse grid, then behind each block.
        hidden: width of the perceptron's hidden layer.
        frequencies: L of the positional encoding of t.
    """

    grid: tuple[int, int]
    widths: tuple[int, ...]
    hidden: int
    frequencies: int

    @property
    def inputs(self) -> int:
        """Features of t."""
        return 1 + 2 * self.frequencies

    @property
    def blocks(self) -> int:
        """How often the size is doubled."""
        return len(self.widths) - 1

    @property
    def tensors(self) -> int:
        """Number of parameter tensors: a weight and a bias for each layer and block, and the last convolution's."""
        return 2 * (3 + self.blocks)

    @property
    def weights(self) -> int:
        """Number of parameters, biases included."""
        perceptron = (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.widths[0] * math.prod(self.grid)
        blocks = sum(4 * after * (9 * before + 1) for before, after in pairwise(self.widths))
        return perceptron + blocks + 3 * (9 * self.widths[-1] + 1)

    @property
    def multiply_adds(self) -> int:
        """Of one frame."""
        positions = math.prod(self.grid)
        total = self.inputs * self.hidden + self.hidden * self.widths[0] * positions
        for before, after in pairwise(self.widths):
            total += 36 * before * after * positions
            positions *= 4
        return total + 27 * self.widths[-1] * positions

    def __str__(self) -> str:
        return f"a frame generator of {self.blocks} blocks, channels {', '.join(map(str, self.widths))}"


class Block(nn.Conv2d):
    """(B, inputs, h, w) → (B, outputs, 2h, 2w): 3×3 convolution, pixel shuffle, SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, 4 * outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return F.silu(F.pixel_shuffle(super().forward(features), 2))


class Nerv(nn.Module):
    """A film of a given size as a NeRV.

    Args:
        config: the network's shape.
        size: of the film, (frames, height, width).
    """

    whole_axes = 2  # see `training.canvases.CoordinateRepresentation`

    def __init__(self, config: NervConfig, *size: int) -> None:
        super().__init__()
        self.config, self.size = config, size
        _, self.height, self.width = size
        self.encoding = PositionalEncoding(config.frequencies)
        self.perceptron = nn.Sequential(
            nn.Linear(config.inputs, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, config.widths[0] * math.prod(config.grid)),
            nn.SiLU(),
        )
        self.blocks = nn.Sequential(*(Block(*pair) for pair in pairwise(config.widths)))
        self.head = nn.Conv2d(config.widths[-1], 3, 3, padding=1)

    def features(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (T, …, 3), order (x, y, t), to the encoding of t in [0, 1] alone, (T, inputs)."""
        t = coordinates.flatten(1, -2)[:, 0, -1:]
        return self.encoding((t + 1) / 2)

    def colours(self, features: Tensor) -> Tensor:
        """Features (T, inputs) to whole frames (T, height, width, 3); not clamped."""
        coarse = self.perceptron(features).view(len(features), -1, *self.config.grid)
        frames = self.head(self.blocks(coarse)) + 0.5
        return frames[..., : self.height, : self.width].movedim(1, -1)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (T, …, 3) of whole frames to colours (T, height, width, 3)."""
        return self.colours(self.features(coordinates))

    @torch.no_grad()
    def render(self, *size: int | None, times: Tensor | None = None) -> Tensor:
        """The film (3, T, H, W) in [0, 1] at any size, as `Siren.render`; frames know no other height and width than the
        film's own: another is made of them by bicubic interpolation."""
        count, height, width = (*size, *[None] * (3 - len(size)))
        t = canvas_axis(count or self.size[0], self.size[0]) if times is None else times.float()
        shown = (height or self.height, width or self.width)
        film = torch.empty(3, len(t), *shown)
        largest = 4 * max(self.config.widths) * self.height * self.width
        for part in torch.arange(len(t)).split(max(FRAME_VALUES // largest, 1)):
            frames = self(t[part, None, None].to(self.head.weight.device)).movedim(-1, 1)
            if shown != (self.height, self.width):
                frames = F.interpolate(frames, shown, mode="bicubic", align_corners=False, antialias=True)
            film[:, part] = frames.clamp(0, 1).transpose(0, 1).to(film.device)
        return film
