"""The family of NeRVs: how large a generator of frames a rate buys, how it is fitted, and its section of a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from tutorial_lib.codecs.networks import MAX_FREQUENCIES, MAX_WEIGHTS, CoordinateNetworks
from tutorial_lib.codecs.plans import Budget, CodecError, Plan, Wishes
from tutorial_lib.codecs.recipes import full_cycle
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, Reader, varint
from tutorial_lib.networks.nerv import Nerv, NervConfig
from tutorial_lib.training import Recipe

MIN_CHANNELS, MAX_CHANNELS = 4, 256
MAX_BLOCKS = 12
MAX_VALUES = 1 << 28
"""Of a frame's largest feature map: 1 GiB."""

FRAMES_PER_STEP = 8
"""Big Buck Bunny, 96×64, 16,815 weights, 14,700 bytes: 8 frames 28.25 dB (600 steps, 24 CPU s), 4 frames 27.27 dB (500, 13)."""
COARSE = 4
"""Rows or columns of the coarse grid, about, whichever are fewer."""


def suited(channels: int, height: int, width: int) -> NervConfig:
    """The generator of that many channels on the coarse grid for frames of that size; each block has some fewer."""
    blocks = min(max(round(math.log2(max(min(height, width), 1) / COARSE)), 1), MAX_BLOCKS)
    widths = tuple(max(round(channels * 0.9**index), MIN_CHANNELS) for index in range(blocks + 1))
    return NervConfig(_grid(height, width, blocks), widths, max(channels * 3 // 4, MIN_CHANNELS), 8)


def _grid(height: int, width: int, blocks: int) -> tuple[int, int]:
    return -(-height >> blocks), -(-width >> blocks)


@dataclass(frozen=True, kw_only=True)
class NervNetworks(CoordinateNetworks):
    """NeRVs. A rate chooses the channels.

    Args:
        frame: (height, width) that they are for.
    """

    frame: tuple[int, int] = (64, 64)

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        _, _, height, width = picture.shape
        return super(NervNetworks, replace(self, frame=(height, width))).plan(name, picture, wishes, budget)

    def widest(self, fits: Callable[[NervConfig], bool], size: tuple[int, ...] | None) -> NervConfig | None:
        fitting = None
        for channels in range(MIN_CHANNELS, MAX_CHANNELS + 1):
            config = suited(channels, *self.frame)
            if not fits(config):
                return fitting
            fitting = config
        return None

    def smallest(self) -> NervConfig:
        return suited(MIN_CHANNELS, *self.frame)

    def paper(self) -> NervConfig:
        """Nobody asks for it: the authors' smallest network has 3 million weights."""
        raise CodecError("there is no published method of NeRV here")

    def build(self, config: NervConfig, *size: int) -> Nerv:
        return Nerv(config, *size)

    def write_config(self, config: NervConfig) -> bytes:
        return b"".join(map(varint, (*config.grid, config.hidden, config.frequencies, *config.widths)))

    def read_config(self, reader: Reader) -> NervConfig:
        rows, columns, hidden, frequencies = (reader.varint() for _ in range(4))
        widths = []
        while reader.position < len(reader.data) and len(widths) <= MAX_BLOCKS + 1:
            widths.append(reader.varint())
        return NervConfig((rows, columns), tuple(widths), hidden, frequencies)

    def impossible(self, config: NervConfig) -> str | None:
        possible = 1 <= config.blocks <= MAX_BLOCKS and 0 <= config.frequencies <= MAX_FREQUENCIES
        possible = possible and min(*config.grid, *config.widths, config.hidden) >= 1
        return None if possible else f"{config} is impossible here"

    def problem(self, config: NervConfig, *size: int) -> str | None:
        if problem := self.impossible(config):
            return problem
        frames, height, width = size
        if config.grid != _grid(height, width, config.blocks):
            return f"{config} makes no frames of {width}×{height} pixels"
        if config.weights > MAX_WEIGHTS:
            return f"{config} has {config.weights:,} weights, and {MAX_WEIGHTS:,} are the most that this program decodes"
        largest = 4 * max(config.widths) * math.prod(config.grid) << 2 * config.blocks
        if config.multiply_adds * frames > MAX_OPERATIONS or largest > MAX_VALUES:
            return f"{config} and {frames:,} frames of {width}×{height} pixels are together more than this program decodes"
        return None

    def operations_per_pixel(self, config: NervConfig, *size: int) -> float:
        """A weight of a block is used once a position of its coarse grid."""
        return config.multiply_adds / math.prod(size[-2:])


def nerv_recipe(config: NervConfig, pixels: int, budget: Budget) -> Recipe:
    """As `recipes.rate_aware`, on some whole frames a step."""
    frame = math.prod(config.grid) << 2 * config.blocks
    affordable = budget.operations / (config.multiply_adds * FRAMES_PER_STEP)
    total = int(min(max(affordable, 120), budget.iterations))
    return full_cycle(total, FRAMES_PER_STEP * frame, 5e-3)
