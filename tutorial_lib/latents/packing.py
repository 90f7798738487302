"""The networks of latent grids to bytes and back, exactly.

Weights are multiples of a power of two, one step for each `Group`: the context model's weights, its biases, the upsampling's
differences from the bicubic kernel, the synthesis's weights, its biases. A group is written in Exp-Golomb codes or with the
Laplace tables of `tutorial_lib.coding.laws`, whichever is shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.coding import golomb
from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.coding.laws import PRECISION, SCALES, Laplace
from tutorial_lib.coding.streams import decode_symbols, encode_symbols
from tutorial_lib.latents.contexts import FIXED_POINT_BITS, MAX_CONTEXT_WEIGHT
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.layers import HALF_KERNEL

MAX_EXPONENT = 16
"""Finest step of a group of weights: 2⁻¹⁶; 2⁻¹² for the context model, whose arithmetic is no finer."""

_MAX_SYMBOL = (1 << 15) - 1
_LAPLACE = 32  # added to the exponent of a group with a Laplace law

# ------------------------------------------------------------------------------------------ groups


@dataclass(frozen=True)
class Group:
    """Weights that share a quantization step.

    Args:
        name: such as "synthesis weights".
        parts: (parameter's name, its first column or None for all of it, the column after the last).
        finest: the largest exponent e of the step 2⁻ᵉ.
    """

    name: str
    parts: tuple[tuple[str, int | None, int | None], ...]
    finest: int


def groups_of(representation: LatentGrids) -> tuple[Group, ...]:
    """The groups of a representation's networks, in the order of the file."""
    networks = representation.networks()
    groups = []
    for part, finest in (("context", FIXED_POINT_BITS), ("upsampling", MAX_EXPONENT), ("synthesis", MAX_EXPONENT)):
        names = [name for name in networks if name.startswith(part + ".")]
        matrices = [name for name in names if name.endswith(".matrix")]
        groups += [Group(name, ((name, None, -1),), finest) for name in matrices]
        if matrices:
            groups.append(Group(f"{part} biases", tuple((name, -1, None) for name in matrices), finest))
        groups += [Group(name, ((name, None, None),), finest) for name in names if name not in matrices]
    return tuple(groups)


def _origin(representation: LatentGrids, name: str) -> Tensor:
    """What a parameter is stored as a difference from, broadcasting: its own origin, the bicubic kernel for the upsampling, 0."""
    if name in representation.origins:
        return representation.origins[name]
    if name != "upsampling.kernel":
        return torch.zeros(1, 1).expand_as(representation.networks()[name])
    half = torch.tensor(HALF_KERNEL)
    if representation.config.upsampling == "separable":
        return half.expand(1, 4)
    taps = torch.cat([half.flip(0), half])
    return torch.outer(taps, taps)


@torch.no_grad()
def gather(representation: LatentGrids, group: Group) -> Tensor:
    """A group's weights as differences from where they start, flat, float32."""
    networks = representation.networks()
    parts = [(networks[n].cpu() - _origin(representation, n))[:, first:last].reshape(-1) for n, first, last in group.parts]
    return torch.cat(parts)


@torch.no_grad()
def scatter(representation: LatentGrids, group: Group, values: Tensor) -> None:
    """Put what `gather` gave, or other values, into the networks."""
    networks, begin = representation.networks(), 0
    for name, first, last in group.parts:
        place = networks[name][:, first:last]
        part = values[begin : begin + place.numel()].view(place.shape)
        place.copy_(part + _origin(representation, name)[:, first:last])
        begin += place.numel()


def limit_of(group: Group, exponent: int) -> int:
    """The largest symbol of a group."""
    return min(MAX_CONTEXT_WEIGHT << exponent, 1 << 18) if group.name.startswith("context") else _MAX_SYMBOL


def to_group_symbols(values: Tensor, exponent: int, group: Group) -> np.ndarray:
    """round(w·2ᵉ), int32, within what a file may hold."""
    largest = limit_of(group, exponent)
    return torch.round(values.double() * 2.0**exponent).clamp_(-largest, largest).numpy().astype(np.int32)


def from_group_symbols(symbols: np.ndarray, exponent: int) -> Tensor:
    """Symbols times 2⁻ᵉ, float32."""
    return torch.from_numpy(symbols.astype(np.float32)) * 2.0**-exponent


# ------------------------------------------------------------------------------------------ what a group costs


def symbols_bits(symbols: np.ndarray) -> float:
    """The shorter of the best Exp-Golomb and the best Laplace code for a group, without its side information."""
    return min(golomb.best_order(symbols)[1], Laplace.fitted(symbols).bits(symbols))


def code_lengths(symbols: np.ndarray) -> np.ndarray:
    """Bits of −n … n, n = max|symbol| + 1, in the code that `symbols_bits` prices ``symbols`` by."""
    bound = int(np.abs(symbols).max(initial=0)) + 1
    order, bits = golomb.best_order(symbols)
    law = replace(Laplace.fitted(symbols), bound=bound)
    if bits <= law.bits(symbols):
        return golomb.lengths(np.arange(-bound, bound + 1), order)
    return PRECISION - np.log2(law.frequencies() + 1)


# ------------------------------------------------------------------------------------------ the section


def encode_networks(representation: LatentGrids, exponents: Sequence[int]) -> bytes:
    """The section "networks": for each group its step's exponent and code, then the codes.

    A group's entry is a byte (exponent; 32 more for a Laplace law) and the order of its Exp-Golomb code (a byte), or the
    law's spread (a byte) and bound (varint). All Exp-Golomb codes follow as one string of bits, filled up with zeros
    to whole bytes, then the range coder's one stream for the groups with a Laplace law.

    Args:
        exponents: e of each group's step 2⁻ᵉ.
    """
    pairs = zip(groups_of(representation), exponents, strict=True)
    symbols = [to_group_symbols(gather(representation, group), exponent, group) for group, exponent in pairs]
    orders, bits = zip(*map(golomb.best_order, symbols), strict=True)
    laws = [Laplace.fitted(part) for part in symbols]
    # a stream of its own costs its last word, so it must gain more than that
    mixed = [laws[i] if 8 + laws[i].bits(part) < bits[i] else orders[i] for i, part in enumerate(symbols)]
    return min((_pack(exponents, symbols, codes) for codes in (mixed, laws, orders)), key=len)


def _pack(exponents: Sequence[int], symbols: Sequence[np.ndarray], codes: Sequence[int | Laplace]) -> bytes:
    """The section with these codes: of each group the order of its Exp-Golomb code, or a law."""
    head, bits, coded = bytearray(), "", []
    for exponent, part, code in zip(exponents, symbols, codes, strict=True):
        if isinstance(code, Laplace):
            head += bytes([exponent | _LAPLACE, code.spread]) + varint(code.bound)
            coded.append((part, code))
        else:
            head += bytes([exponent, code])
            bits += golomb.write(part, code)
    return bytes(head) + golomb.to_bytes(bits) + encode_symbols([part for part, _ in coded], [law for _, law in coded])


def decode_networks(representation: LatentGrids, data: bytes) -> list[tuple[int, np.ndarray]]:
    """Fill the networks of ``representation`` from the section "networks".

    Returns:
        exponent and symbols of each group.

    Raises:
        BitstreamError: bytes that `encode_networks` does not write for networks of these shapes.
    """
    reader, groups = Reader(data, "networks section"), groups_of(representation)
    exponents, codes = zip(*(_read_entry(reader, group) for group in groups), strict=True)
    counts = [gather(representation, group).numel() for group in groups]
    bits, symbols = golomb.BitReader(data[reader.position :]), {}
    try:
        for index, code in enumerate(codes):
            if not isinstance(code, Laplace):
                symbols[index] = bits.read(counts[index], code).astype(np.int32)
        rest = bits.rest()
    except ValueError as error:
        raise BitstreamError(f"the networks section is damaged: {error}") from error
    coded = [index for index in range(len(groups)) if index not in symbols]
    decoded = decode_symbols(rest, [counts[index] for index in coded], [codes[index] for index in coded])
    symbols |= dict(zip(coded, decoded, strict=True))
    found = [(exponent, symbols[index]) for index, exponent in enumerate(exponents)]
    for group, (exponent, part) in zip(groups, found, strict=True):
        if int(np.abs(part).max(initial=0)) > limit_of(group, exponent):
            raise BitstreamError(f"the {group.name} are larger than a file may hold")
        scatter(representation, group, from_group_symbols(part, exponent))
    return found


def _read_entry(reader: Reader, group: Group) -> tuple[int, int | Laplace]:
    """A group's exponent, and the order of its Exp-Golomb code or its law."""
    first, parameter = reader.byte(), reader.byte()
    exponent = first % _LAPLACE
    if first >= 2 * _LAPLACE or exponent > group.finest:
        raise BitstreamError(f"the {group.name} can't have the code {first}")
    if first < _LAPLACE:
        if parameter > golomb.MAX_ORDER:
            raise BitstreamError(f"no Exp-Golomb code has order {parameter}")
        return exponent, parameter
    law = Laplace(parameter, reader.varint())
    if parameter >= SCALES or law.bound > limit_of(group, exponent):
        raise BitstreamError(f"the {group.name} can't have a law of spread {parameter} and bound {law.bound}")
    return exponent, law
