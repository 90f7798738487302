"""The library's answers to the exercises of notebook 06."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from tutorial_lib.coding import bitstream, steps
from tutorial_lib.coding.bitstream import Container
from tutorial_lib.course.drawing import histogram_bits

KINDS = {kind: name for kind, name in bitstream.SECTION_NAMES.items() if name != "reduction"}  # of version 1
CHECKSUM_BYTES = 4


def quantize(weights: Tensor, bits: int) -> tuple[Tensor, float]:
    """`quantizers.MaxAbsQuantizer` and `steps.quantize` in one: symbols (int32), and their step."""
    step = steps.storable_step(weights.detach().abs().max().item() / (2 ** (bits - 1) - 1))
    return steps.to_symbols(weights.detach(), step).int(), step


def straight_through(weights: Tensor, step: float) -> Tensor:
    """What `stand_ins.quantized_parameters` is to a fit: quantized weights forwards, the identity backwards."""
    return weights + (steps.to_symbols(weights.detach(), step) * step - weights.detach())


def entropy(symbols: Tensor) -> float:
    """Bits a symbol, by the symbols' own histogram."""
    return histogram_bits(symbols) / symbols.numel()


def laplace_table(b: float, bound: int) -> np.ndarray:
    """Probabilities of −bound … bound, float64; `coding.laws.Laplace` makes the same of integers alone."""
    k = np.abs(np.arange(-bound, bound + 1))
    t = math.exp(-1 / (2 * b))
    table = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2.0 * k))
    return table / table.sum()


def pack(codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> bytes:
    """`bitstream.write`, without the checksum; sections by their number."""
    named = {KINDS[kind]: body for kind, body in sections.items()}
    return bitstream.write(Container(codec, height, width, named))[:-CHECKSUM_BYTES]


def seal(data: bytes) -> bytes:
    """The last line of `bitstream.write`."""
    return data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little")


def unpack(data: bytes) -> tuple[int, int, int, dict[int, bytes]]:
    """`bitstream.read` for data without a checksum."""
    container = bitstream.read(seal(data))
    numbers = {name: kind for kind, name in KINDS.items()}
    sections = {numbers[name]: body for name, body in container.sections.items()}
    return container.codec, container.height, container.width, sections
