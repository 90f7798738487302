"""Between a picture and its latents: a lapped linear analysis, and a synthesis that knows what rounding does.

A latent is a coefficient of a block of 8×8 pixels. Untrained, analysis and synthesis are the block DCT of JPEG, in three
orthonormal colours; trained, their windows are 16×16 pixels and overlap. `Synthesis` then mends the rounded latents and the
pixels by two small convolutional networks. Latents are in grey levels, and one step Δ, the file's choice, rounds all of them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 8
"""Pixels a side of a block."""

SLICES = (3, 9, 15, 21, 21, 27)
"""Channels of a block that are decoded together, from low frequencies to high ones."""

CHANNELS = sum(SLICES)
"""Latents of a block: 64 of luma, and the 16 of lowest frequency of either chroma."""

MIDDLE = 4.5
"""log₂ of the step that the networks are told as 0: 22.6 grey levels."""

STEPS = 256
"""Steps that a file can name: Δ = 2^(index/32) grey levels."""

_LEVELS = 255.0
_COLOURS = ((3**-0.5,) * 3, (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
_HIDDEN, _PLANES, _WIDTH = 64, 4, 32


def step_of(index: int) -> float:
    """Δ in grey levels."""
    return 2.0 ** (index / 32)


def octaves(index: int) -> float:
    """How the networks are told the step, a multiple of 1/32."""
    return index / 32 - MIDDLE


def frequencies() -> list[tuple[int, int, int]]:
    """(colour, u, v) of each channel of the untrained transform, in the order of `SLICES`.

    >>> frequencies()[:4], len(frequencies())
    ([(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1)], 96)
    """

    def slice_of(colour: int, total: int) -> int:
        if colour == 0:
            return (total + 1) // 2 if total <= 8 else 5
        return min(total, 5)

    places = [(c, u, v) for c in range(3) for u in range(BLOCK) for v in range(BLOCK) if c == 0 or max(u, v) < 4]
    return sorted(places, key=lambda p: (slice_of(p[0], p[1] + p[2]), p[0], p[1] + p[2]))


def _windows() -> Tensor:
    """The block DCT in the middle of windows of 16×16 pixels: (channels, 3, 16, 16)."""
    n = torch.arange(BLOCK, dtype=torch.float64)
    basis = torch.cos(math.pi / BLOCK * (n + 0.5)[None] * n[:, None]) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    colours = torch.tensor(_COLOURS, dtype=torch.float64)
    blocks = torch.stack([torch.einsum("c,y,x->cyx", colours[c], basis[u], basis[v]) for c, u, v in frequencies()])
    return F.pad(blocks, (BLOCK // 2,) * 4).float()


class Analysis(nn.Module):
    """A picture (n, 3, H, W) in [0, 1], sides multiples of 8, to latents (n, channels, H/8, W/8) in grey levels."""

    def __init__(self) -> None:
        super().__init__()
        # as a convolution of 2×2 blocks of 8×8 pixels that lie as the windows do, half a block off: the fastest form
        self.windows = nn.Parameter(F.pixel_unshuffle(_windows(), BLOCK))

    def forward(self, pictures: Tensor) -> Tensor:
        padded = F.pad(pictures - 0.5, (BLOCK // 2,) * 4, mode="replicate")
        return F.conv2d(F.pixel_unshuffle(padded, BLOCK), _LEVELS * self.windows)


class Synthesis(nn.Module):
    """Latents in steps (n, channels, rows, columns), rounded or not, to pictures (n, 3, 8·rows, 8·columns), not clamped.

    Args:
        noise: planes of noise at the picture's size that its last layers see, for texture.
    """

    HALO = 4
    """Rows of blocks around a band that its pixels depend on."""

    FINE = ("fine", "last")
    """How the names begin of the layers that work on 2×2 pixels."""

    def __init__(self, noise: int = 0) -> None:
        super().__init__()
        self.noise = noise
        self.windows = nn.Parameter(F.pixel_unshuffle(_windows(), BLOCK).flip(2, 3).transpose(0, 1).contiguous())
        self.first = nn.Conv2d(CHANNELS + 1, _HIDDEN, 3, padding=1)
        self.second = nn.Conv2d(_HIDDEN, _HIDDEN, 3, padding=1)
        self.mend = nn.Conv2d(_HIDDEN, CHANNELS, 1)
        self.spread = nn.Conv2d(_HIDDEN, _PLANES * 16, 1)
        self.fine = nn.Conv2d(12 + _PLANES + 1 + 4 * noise, _WIDTH, 3, padding=1)
        self.finer = nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
        self.last = nn.Conv2d(_WIDTH, 12, 3, padding=1)
        for layer in (self.mend, self.last):  # so that all begins as the transform alone
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, latents: Tensor, steps: Tensor, noise: Tensor | None = None) -> Tensor:
        """
        Args:
            latents: in steps.
            steps: Δ in grey levels, (n,).
            noise: (n, planes, 8·rows, 8·columns), of a standard deviation of 1.
        """
        steps = steps.view(-1, 1, 1, 1)
        told = steps.log2() - MIDDLE
        hidden = latents / (1 + latents.abs() / 8)  # what stands out counts less
        hidden = F.relu(self.first(torch.cat([hidden, told.expand(-1, 1, *latents.shape[2:])], 1)))
        hidden = F.relu(hidden + self.second(hidden))
        mended = (latents + self.mend(hidden)) * steps
        pixels = F.conv2d(mended, self.windows, padding=1)
        halves = F.pixel_unshuffle(F.pixel_shuffle(pixels, BLOCK)[:, :, BLOCK // 2 : -BLOCK // 2, BLOCK // 2 : -BLOCK // 2], 2)
        inputs = [halves / 64, F.pixel_shuffle(self.spread(hidden), 4), told.expand(-1, 1, *halves.shape[2:])]
        inputs += [] if noise is None else [F.pixel_unshuffle(noise, 2)]
        hidden = F.relu(self.fine(torch.cat(inputs, 1)))
        hidden = F.relu(hidden + self.finer(hidden))
        return F.pixel_shuffle(halves + self.last(hidden) * (steps / 4), 2) / _LEVELS + 0.5
