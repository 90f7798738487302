"""A second synthesis for the same latents, and the dice that it makes texture of.

Latents of a few tenths of a bit per pixel hold no grain, and a synthesis can't make what it isn't given. So the second one has
two more features, noise at full and at half the picture's size. Encoder and decoder must see the same noise ("common
randomness"), or the colours that the synthesis was trained for would not be those that come out: `dice` computes it with integers
alone, from a seed in the file. No generator of a library promises that for all machines and versions; logarithms and cosines
(Box, Muller) differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.layers import Synthesis
from tutorial_lib.latents.packing import decode_networks, encode_networks

PLANES = 2
"""Of noise: at the picture's size, and at half of it."""

_BYTES = 12  # their sum has the variance 12·(256² − 1)/12, that of 2⁸ but for 1/65536


def mixed(counters: np.ndarray, key: int) -> np.ndarray:
    """32 bits, uint32, that look random, of each counter: multiplications and shifts that every bit goes through.

    "lowbias32" (Wellons, Prospecting for Hash Functions, 2018), which no statistic of our size finds fault with.
    """
    x = counters.astype(np.uint32) ^ np.uint32(key & 0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def dice(seed: int, plane: int, rows: tuple[int, int], width: int) -> np.ndarray:
    """Rows of a plane of noise, (rows, width) int32: nearly normal, mean 0, standard deviation 256.

    Each value is a sum of twelve bytes (Irwin and Hall's law), less its mean 1530: integers, the same on every machine.

    Args:
        seed: 0 or more.
        plane: another number, another plane.
        rows: (first, one after the last).

    >>> dice(7, 0, (0, 2), 4).tolist()
    [[-114, -173, 276, 127], [391, -2, -92, -165]]
    """
    counters = np.arange(rows[0] * width, rows[1] * width, dtype=np.uint64).astype(np.uint32)
    total = np.full(counters.shape, -_BYTES * 255 // 2, np.int32)
    for word in range(_BYTES // 4):
        path = np.array([seed & 0xFFFFFFFF, seed >> 32, 4 * plane + word])
        key = 0
        for part in path:
            key = int(mixed(np.array([part]), key)[0])
        bits = mixed(counters, key)
        for byte in range(4):
            total += ((bits >> np.uint32(8 * byte)) & np.uint32(255)).astype(np.int32)
    return total.reshape(rows[1] - rows[0], width)


def noise(seed: int, height: int, width: int, top: int = 0, bottom: int | None = None) -> Tensor:
    """Rows ``top`` … ``bottom`` − 1 of both planes, (2, rows, width) float32, exact multiples of 2⁻¹².

    The plane of half size is doubled with the weights ¾ and ¼, so that its grain is round.
    """
    bottom = height if bottom is None else bottom
    first, last = max((top >> 1) - 1, 0), min((bottom >> 1) + 2, (height + 1) // 2)
    half = dice(seed, 1, (first, last), (width + 1) // 2)
    for axis, begin, end, offset in ((0, top, bottom, first), (1, 0, width, 0)):
        fine = np.arange(begin, end)
        near = (fine >> 1) - offset
        beside = np.clip(near + np.where(fine % 2, 1, -1), 0, half.shape[axis] - 1)
        half = 3 * half.take(near, axis) + half.take(beside, axis)
    full = dice(seed, 0, (top, bottom), width)
    return torch.from_numpy(np.stack([16 * full, half]).astype(np.float32)) * 2.0**-12


class Texture(LatentGrids):
    """The same latents, context model and upsampling, seen by another synthesis, of two more features.

    Only the synthesis is its own: `networks` knows nothing else, so whatever rounds or packs networks does so with that alone.

    Args:
        base: whose parts it shares; on the same device.
        seed: of the noise.
        differences: store the synthesis as differences from the base's.
    """

    def __init__(self, base: LatentGrids, seed: int, *, differences: bool = True) -> None:
        with torch.random.fork_rng(devices=[]):
            super().__init__(base.config, base.height, base.width)
            own = Synthesis(replace(base.config, grids=base.config.grids + PLANES))
        self.latents, self.context, self.upsampling = base.latents, base.context, base.upsampling
        self.synthesis, self.seed = own.to(base.latents.device), seed
        started = self.started(base.synthesis)
        if differences:
            self.origins = {name: matrix.cpu() for name, matrix in started.items()}
        with torch.no_grad():
            for name, parameter in self.networks().items():
                parameter.copy_(started[name])

    def networks(self) -> dict[str, nn.Parameter]:
        """The synthesis's parameters."""
        return {name: parameter for name, parameter in super().networks().items() if name.startswith("synthesis.")}

    def started(self, synthesis: Synthesis) -> dict[str, Tensor]:
        """A synthesis's parameters with columns of zeros for the noise: the look that it has already."""
        found = {}
        for (name, own), (_, old) in zip(self.networks().items(), synthesis.named_parameters(), strict=True):
            matrix = torch.zeros_like(own)
            matrix[:, ~self.from_noise(name)] = old.detach()
            found[name] = matrix
        return found

    def from_noise(self, name: str) -> Tensor:
        """Which columns of a parameter weigh the noise, bool."""
        layer = int(name.split(".")[2])
        config, grids = self.synthesis.config, self.config.grids
        columns = self.networks()[name].shape[1] - 1
        inputs = torch.arange(columns) % config.synthesis_inputs[layer]  # of a 3×3 layer nine times over
        # the features stand first in the first layer, and last in that which sees them once more
        begin = 0 if layer == 0 else config.synthesis_inputs[layer] - config.grids
        sees = layer == 0 or (config.synthesis_skip and layer == config.skip_to)
        return torch.cat([(inputs >= begin + grids) & torch.tensor(sees), torch.zeros(1, dtype=torch.bool)])

    def features(self, finest: Tensor, coarse: Tensor | None, top: int = 0, bottom: int | None = None) -> Tensor:
        """As the base's, and the noise behind them: (grids + 2, rows, width)."""
        features = super().features(finest, coarse, top, bottom)
        own = noise(self.seed, self.height, self.width, top, bottom).to(features.device)
        return torch.cat([features, own])


# ------------------------------------------------------------------------------------------ in a file


def pack_texture(texture: Texture, exponents: Sequence[int]) -> bytes:
    """What a file holds behind its end: 1 for differences or 0 (a byte), the seed (varint), the synthesis as "networks" are."""
    return bytes([bool(texture.origins)]) + varint(texture.seed) + encode_networks(texture, exponents)


def unpack_texture(base: LatentGrids, body: bytes) -> Texture:
    """The texture that `pack_texture` wrote.

    Raises:
        BitstreamError: bytes that it does not write for this base.
    """
    reader = Reader(body, "second look")
    differences, seed = reader.byte(), reader.varint()
    if differences > 1:
        raise BitstreamError(f"the second look can't be stored in the way {differences}")
    texture = Texture(base, seed, differences=bool(differences))
    decode_networks(texture, body[reader.position :])
    return texture
