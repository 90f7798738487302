"""Latent grids to bytes and back, exactly: the networks' weights, then the integers under the context model.

**Networks.** Weights are multiples of a power of two, one step for each `Group`: the context model's weights, its
biases, the upsampling's differences from the bicubic kernel, the synthesis's weights, its biases. A group is written in
Exp-Golomb codes or with the Laplace tables of `tutorial_lib.entropy_coding`, whichever is shorter.

**Latents.** Grids are coded coarsest first, each along anti-diagonal waves: position (r, c) belongs to wave c + slope·r, and
all its neighbours to earlier ones, so a wave is decoded at once. `tutorial_lib.latent_grids.IntegerContextModel`
gives each value an integer location in 1/32 steps, μ = m + f/32 with −16 ≤ f < 16, and the index of a scale. Coded is
y − m, with one of 32 · 113 tables of integer probabilities: Laplace laws shifted by f/32, made like those of
`entropy_coding` with multiplications, shifts and square roots of integers. One range-coder stream holds all grids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import constriction
import numpy as np
import torch
from torch import Tensor

from tutorial_lib.bitstream import BitstreamError, Reader, varint
from tutorial_lib.entropy_coding import PRECISION, Laplace, decay, decode_symbols, encode_symbols
from tutorial_lib.latent_grids import (
    FRACTIONS,
    GAIN,
    HALF_KERNEL,
    MAX_CONTEXT_WEIGHT,
    MAX_LATENT,
    SPREADS,
    GridsConfig,
    IntegerContextModel,
    LatentGrids,
    contexts_of,
    repeat,
)

MAX_EXPONENT = 16
"""Finest step of a group of weights: 2⁻¹⁶; 2⁻¹² for the context model, whose arithmetic is no finer."""

MAX_ORDER = 12
"""Largest order of an Exp-Golomb code."""

MAX_RESIDUAL = 2 * MAX_LATENT + 1
_CHUNK = 1 << 14
_FRACTION_BITS = 48


# ------------------------------------------------------------------------------------------ weights


@dataclass(frozen=True)
class Group:
    """Weights that share a quantisation step.

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
    for part, finest in (("context", 12), ("upsampling", MAX_EXPONENT), ("synthesis", MAX_EXPONENT)):
        names = [name for name in networks if name.startswith(part + ".")]
        matrices = [name for name in names if name.endswith(".matrix")]
        groups += [Group(name, ((name, None, -1),), finest) for name in matrices]
        if matrices:
            groups.append(Group(f"{part} biases", tuple((name, -1, None) for name in matrices), finest))
        groups += [Group(name, ((name, None, None),), finest) for name in names if name not in matrices]
    return tuple(groups)


def _origin(representation: LatentGrids, name: str) -> Tensor | float:
    """What a parameter is stored as a difference from: the bicubic kernel for the upsampling, 0 for all else."""
    if name != "upsampling.kernel":
        return 0.0
    half = torch.tensor(HALF_KERNEL)
    if representation.config.upsampling == "separable":
        return half
    taps = torch.cat([half.flip(0), half])
    return torch.outer(taps, taps)


def gather(representation: LatentGrids, group: Group) -> Tensor:
    """A group's weights as differences from where they start, flat, float32."""
    networks = representation.networks()
    with torch.no_grad():
        parts = [(networks[n].cpu() - _origin(representation, n))[:, begin:end].reshape(-1) for n, begin, end in group.parts]
    return torch.cat(parts)


def scatter(representation: LatentGrids, group: Group, values: Tensor) -> None:
    """Put what `gather` gave, or other values, into the networks."""
    networks, begin = representation.networks(), 0
    with torch.no_grad():
        for name, first, last in group.parts:
            origin = _origin(representation, name)
            place = networks[name][:, first:last]
            part = values[begin : begin + place.numel()].view(place.shape)
            place.copy_(part + (origin if isinstance(origin, float) else origin[..., first:last]))
            begin += place.numel()


def to_group_symbols(values: Tensor, exponent: int, group: Group) -> np.ndarray:
    """round(w·2ᵉ), int32, within what a file may hold."""
    largest = limit_of(group, exponent)
    return torch.round(values.double() * 2.0**exponent).clamp_(-largest, largest).numpy().astype(np.int32)


_MAX_WEIGHT_SYMBOL = (1 << 15) - 1


def golomb_bits(symbols: np.ndarray, order: int) -> int:
    """Length of ``symbols`` in signed Exp-Golomb codes of an order."""
    shifted = (_unsigned(symbols) >> order) + 1
    return int(symbols.size * (order + 1) + 2 * np.sum(np.floor(np.log2(shifted))))


def symbols_bits(symbols: np.ndarray) -> float:
    """The shorter of the best Exp-Golomb and the best Laplace code for a group, without its side information."""
    return min(min(golomb_bits(symbols, order) for order in range(MAX_ORDER + 1)), Laplace.fitted(symbols).bits(symbols))


def code_lengths(symbols: np.ndarray) -> np.ndarray:
    """Bits of −n … n, n = max|symbol| + 1, in the code that `symbols_bits` prices ``symbols`` by."""
    bound = int(np.abs(symbols).max(initial=0)) + 1
    every = np.arange(-bound, bound + 1)
    order = min(range(MAX_ORDER + 1), key=lambda order: golomb_bits(symbols, order))
    law = replace(Laplace.fitted(symbols), bound=bound)
    if golomb_bits(symbols, order) <= law.bits(symbols):
        return order + 1 + 2 * np.floor(np.log2((_unsigned(every) >> order) + 1))
    return PRECISION - np.log2(law.frequencies() + 1)


def _unsigned(symbols: np.ndarray) -> np.ndarray:
    """0, 1, −1, 2, −2 … as 0, 1, 2, 3, 4 …"""
    wide = symbols.astype(np.int64)
    return np.where(wide > 0, 2 * wide - 1, -2 * wide)


def encode_networks(representation: LatentGrids, exponents: Sequence[int]) -> bytes:
    """The section "networks": for each group its step's exponent and code, then the codes.

    A group's entry is a byte (exponent; 32 more for a Laplace law) and the order of its Exp-Golomb code (a byte), or the
    law's spread (a byte) and bound (varint). All Exp-Golomb codes follow as one string of bits, filled up with zeros
    to whole bytes, then the range coder's one stream for the groups with a Laplace law.

    Args:
        exponents: e of each group's step 2⁻ᵉ.
    """
    groups = groups_of(representation)
    symbols = [
        to_group_symbols(gather(representation, group), exponent, group)
        for group, exponent in zip(groups, exponents, strict=True)
    ]
    orders = [min(range(MAX_ORDER + 1), key=lambda order: golomb_bits(part, order)) for part in symbols]
    laws = [Laplace.fitted(part) for part in symbols]
    # a stream of its own costs its last word, so it must gain more than that
    mixed = [
        law if 8 + law.bits(part) < golomb_bits(part, order) else None
        for part, order, law in zip(symbols, orders, laws, strict=True)
    ]
    candidates = [_pack(exponents, symbols, orders, choice) for choice in (mixed, laws, [None] * len(laws))]
    return min(candidates, key=len)


def _pack(
    exponents: Sequence[int], symbols: Sequence[np.ndarray], orders: Sequence[int], laws: Sequence[Laplace | None]
) -> bytes:
    head, bits, coded = bytearray(), [], []
    for exponent, part, order, law in zip(exponents, symbols, orders, laws, strict=True):
        if law is None:
            head += bytes([exponent, order])
            bits += [_golomb(value, order) for value in _unsigned(part).tolist()]
        else:
            head += bytes([exponent | 32, law.spread]) + varint(law.bound)
            coded.append((part, law))
    string = "".join(bits)
    string += "0" * (-len(string) % 8)
    body = int(string, 2).to_bytes(len(string) // 8, "big") if string else b""
    return bytes(head) + body + encode_symbols([part for part, _ in coded], [law for _, law in coded])


def _golomb(value: int, order: int) -> str:
    """Exp-Golomb: ⌊v/2ᵏ⌋ + 1 in binary after as many zeros as it has further digits, then the k low bits of v."""
    high = f"{(value >> order) + 1:b}"
    low = f"{value & ((1 << order) - 1):0{order}b}" if order else ""
    return "0" * (len(high) - 1) + high + low


def decode_networks(representation: LatentGrids, data: bytes) -> list[tuple[int, np.ndarray]]:
    """Fill the networks of ``representation`` from the section "networks".

    Returns:
        exponent and symbols of each group.

    Raises:
        BitstreamError: bytes that `encode_networks` does not write for networks of these shapes.
    """
    reader = Reader(data, "networks section")
    groups, entries = groups_of(representation), []
    for group in groups:
        first = reader.byte()
        exponent, parameter = first & 31, reader.byte()
        if first >= 64 or exponent > group.finest:
            raise BitstreamError(f"the {group.name} can't have the code {first}")
        if first < 32:
            if parameter > MAX_ORDER:
                raise BitstreamError(f"no Exp-Golomb code has order {parameter}")
            entries.append((exponent, parameter, None))
            continue
        law = Laplace(parameter, reader.varint())
        if parameter >= 160 or law.bound > limit_of(group, exponent):
            raise BitstreamError(f"the {group.name} can't have a law of spread {parameter} and bound {law.bound}")
        entries.append((exponent, 0, law))
    counts = [gather(representation, group).numel() for group in groups]
    bits = _Bits(data[reader.position :])
    symbols: dict[int, np.ndarray] = {}
    for index, (_, order, law) in enumerate(entries):
        if law is None:
            values = np.array([bits.golomb(order) for _ in range(counts[index])], dtype=np.int64)
            symbols[index] = np.where(values % 2 == 1, (values + 1) // 2, -(values // 2)).astype(np.int32)
    rest = bits.rest()
    coded = [index for index, entry in enumerate(entries) if entry[2] is not None]
    streams = decode_symbols(rest, [counts[i] for i in coded], [entries[i][2] for i in coded])
    symbols |= dict(zip(coded, streams, strict=True))
    result = []
    for index, (group, (exponent, _, _)) in enumerate(zip(groups, entries, strict=True)):
        if int(np.abs(symbols[index]).max(initial=0)) > limit_of(group, exponent):
            raise BitstreamError(f"the {group.name} are larger than a file may hold")
        scatter(representation, group, torch.from_numpy(symbols[index].astype(np.float32)) * 2.0**-exponent)
        result.append((exponent, symbols[index]))
    return result


def limit_of(group: Group, exponent: int) -> int:
    """The largest symbol of a group."""
    return min(MAX_CONTEXT_WEIGHT << exponent, 1 << 18) if group.name.startswith("context") else _MAX_WEIGHT_SYMBOL


class _Bits:
    """Reads Exp-Golomb codes from bytes, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def bit(self) -> int:
        if self.position >= 8 * len(self.data):
            raise BitstreamError("the networks section ends early")
        byte = self.data[self.position >> 3]
        self.position += 1
        return byte >> (7 - (self.position - 1 & 7)) & 1

    def golomb(self, order: int) -> int:
        zeros = 0
        while not self.bit():
            zeros += 1
            if zeros > 20:
                raise BitstreamError("a weight in the networks section is impossibly large")
        high = 1
        for _ in range(zeros):
            high = high << 1 | self.bit()
        low = 0
        for _ in range(order):
            low = low << 1 | self.bit()
        return ((high - 1) << order) | low

    def rest(self) -> bytes:
        while self.position % 8:
            if self.bit():
                raise BitstreamError("the networks section has a bit set where only zeros fill up")
        return self.data[self.position >> 3 :]


# ------------------------------------------------------------------------------------------ latents


class LaplaceTables:
    """Integer probabilities of −bound … bound for every scale and every fraction of a step; made when first wanted.

    Row ``spread · FRACTIONS + f + FRACTIONS/2`` belongs to b = 2^(spread/8 − 4) and μ = f/32. In units of 2⁻²⁴ it adds up to
    2²⁴ less one unit a symbol, which constriction gives to each (see `entropy_coding`). The tails are lumped on ±bound.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._rows = np.empty((SPREADS * FRACTIONS, 2 * bound + 1))
        self._ready = np.zeros(SPREADS, dtype=bool)

    def rows(self, spreads: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """(n, 2·bound + 1) probabilities, float64, for spreads 0 … `SPREADS` − 1 and fractions −16 … 15."""
        for spread in np.unique(spreads[~self._ready[spreads]]).tolist():
            self._rows[spread * FRACTIONS : (spread + 1) * FRACTIONS] = self._make(spread)
            self._ready[spread] = True
        return self._rows[spreads * FRACTIONS + fractions + FRACTIONS // 2]

    def _make(self, spread: int) -> np.ndarray:
        bound, half = self.bound, FRACTIONS // 2
        total = (1 << PRECISION) - (2 * bound + 1)
        # e^(−1/(2b)) to the power 2/32: four square roots
        base = decay(spread)
        for _ in range(int(math.log2(FRACTIONS)) - 1):
            base = math.isqrt(base << _FRACTION_BITS)
        reach = FRACTIONS * (bound + 1) + half
        tails = np.zeros(reach + 1, dtype=np.int64)  # half of e^(−m/(32b)), in units
        power = 1 << _FRACTION_BITS
        for m in range(reach + 1):
            tails[m] = total * power >> (_FRACTION_BITS + 1)
            if tails[m] == 0:
                break
            power = power * base >> _FRACTION_BITS
        # left edge of symbol r seen from μ, in 1/32: 32·r − 16 − f
        symbols = np.arange(-bound + 1, bound + 1)
        edges = FRACTIONS * symbols[None, :] - half - (np.arange(FRACTIONS) - half)[:, None]
        below = np.where(edges <= 0, tails[np.abs(edges)], total - tails[np.abs(edges)])
        ends = np.zeros((FRACTIONS, 1), dtype=np.int64)
        return np.diff(np.concatenate([ends, below, ends + total], axis=1), axis=1).astype(np.float64)


def wave_slope(config: GridsConfig) -> int:
    """The smallest slope for which all neighbours of a position lie in earlier waves c + slope·r.

    >>> [wave_slope(config) for config in (GridsConfig(), GridsConfig(context=((0, -1),)))]
    [3, 1]
    """
    return max([1] + [column // -row + 1 for row, column in config.context if row < 0])


def waves(rows: int, columns: int, slope: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The positions of a grid wave by wave: arrays of rows and columns. Every position comes once."""
    for wave in range(columns + slope * (rows - 1)):
        first, last = max(0, -((columns - 1 - wave) // slope)), min(rows - 1, wave // slope)
        row = np.arange(first, last + 1)
        if row.size:
            yield row, wave - slope * row


def encode_latents(representation: LatentGrids) -> bytes:
    """The section "latents": for each grid, finest first, a varint, then the one stream of all grids, coarsest first.

    The varint is 0 for a grid of zeros, which is not coded, else 1 + the largest |y − m|.
    """
    config, model = representation.config, IntegerContextModel(representation.context)
    grids = [grid.cpu().double() for grid in representation.symbols()]
    encoder = constriction.stream.queue.RangeEncoder()
    bounds = []
    slope = wave_slope(config)
    for level in range(len(grids) - 1, -1, -1):
        rows, columns = grids[level].shape
        if not grids[level].any():
            bounds.append(0)
            continue
        places = np.concatenate([r * columns + c for r, c in waves(rows, columns, slope)])
        locations, spreads = (part.numpy()[places] for part in _predictions(representation, model, grids, level))
        whole, fractions = _split(locations)
        residuals = grids[level].flatten().numpy().astype(np.int64)[places] - whole
        bound = int(np.abs(residuals).max())
        bounds.append(1 + bound)
        if bound:
            tables = LaplaceTables(bound)
            for begin in range(0, residuals.size, _CHUNK):
                part = slice(begin, begin + _CHUNK)
                shifted = np.ascontiguousarray(residuals[part] + bound, dtype=np.int32)
                encoder.encode(shifted, _CATEGORICAL, tables.rows(spreads[part], fractions[part]))
    head = b"".join(varint(bound) for bound in reversed(bounds))
    return head + encoder.get_compressed().astype("<u4").tobytes()


def _predictions(
    representation: LatentGrids, model: IntegerContextModel, grids: Sequence[Tensor], level: int
) -> tuple[Tensor, Tensor]:
    """Location index and spread of every position of a grid, row by row."""
    bands = [band for piece in representation.bands() for band in piece if band.level == level]
    parts = [model(contexts_of(representation.config, grids, [band])) for band in bands]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def _split(locations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole steps m and the fraction −16 … 15 of a location in 1/32."""
    whole = (locations + FRACTIONS // 2) >> int(math.log2(FRACTIONS))
    return whole, locations - FRACTIONS * whole


_CATEGORICAL = constriction.stream.model.Categorical(perfect=False, lazy=False)


def decode_latents(representation: LatentGrids, data: bytes) -> None:
    """Fill the grids of ``representation``, whose context model must be the file's, from the section "latents".

    Raises:
        BitstreamError: bytes that the context model did not write.
    """
    config, sizes = representation.config, representation.sizes
    reader = Reader(data, "latents section")
    bounds = [reader.varint() for _ in sizes]
    if any(bound > 1 + MAX_RESIDUAL for bound in bounds):
        raise BitstreamError(f"a grid's largest residual of {max(bounds) - 1} is impossible")
    stream = reader.take(len(data) - reader.position)
    if len(stream) % 4:
        raise BitstreamError(f"a range-coder stream is made of 4-byte words, this one has {len(stream)} bytes")
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(stream, dtype="<u4").astype(np.uint32))
    model, budget = IntegerContextModel(representation.context), _Budget(len(stream))
    grids: list[Tensor] = []  # finest first
    for level in range(len(sizes) - 1, -1, -1):
        if bounds[level]:
            grid = _decode_grid(config, model, decoder, sizes[level], grids, bounds[level] - 1, budget)
        else:
            grid = torch.zeros(sizes[level], dtype=torch.float64)
        grids.insert(0, grid)
    if budget.left > _SLACK_BITS + _WASTE * representation.latents.numel() or not decoder.maybe_exhausted():
        raise BitstreamError("the latents' stream does not fit its grids: it is too long or foreign")
    with torch.no_grad():
        representation.latents.copy_(torch.cat([grid.flatten() for grid in grids]).div_(GAIN))


_SLACK_BITS = 96  # the coder's last two words, and a little
_WASTE = 0.006  # bits a symbol may lose: a range of 2³² or more is divided by 2²⁴ and rounded down, log₂(1 + 2⁻⁸) at worst


class _Budget:
    """Bits of a stream that the decoded symbols have not used up. A range decoder itself reads on beyond the end, for ever."""

    def __init__(self, stream_bytes: int) -> None:
        self.left = 8.0 * stream_bytes

    def spend(self, frequencies: np.ndarray) -> None:
        """Take what symbols of these frequencies (units of 2⁻²⁴, less the one that each is given) cost."""
        self.left -= float(np.sum(PRECISION - np.log2(frequencies + 1)))
        if self.left < -_SLACK_BITS:
            raise BitstreamError("the latents' stream ends early: it is too short for its grids, or foreign")


def _decode_grid(
    config: GridsConfig,
    model: IntegerContextModel,
    decoder: constriction.stream.queue.RangeDecoder,
    size: tuple[int, int],
    coarser: Sequence[Tensor],
    bound: int,
    budget: _Budget,
) -> Tensor:
    """One grid (rows, columns), float64, after the ``coarser`` ones, finest of them first."""
    rows, columns = size
    slope, tables = wave_slope(config), LaplaceTables(bound)
    above = max(-row for row, _ in config.context)
    beside = max(abs(column) for _, column in config.context)
    stride = columns + 2 * beside
    padded = np.zeros((rows + above) * stride)
    offsets = np.array([row * stride + column for row, column in config.context])[:, None]
    parents = np.zeros((config.parents, rows * columns))
    for k, parent in enumerate(coarser[: config.parents]):
        parents[k] = repeat(parent, 2 << k)[:rows, :columns].flatten().numpy()
    for row, column in waves(rows, columns, slope):
        places = (row + above) * stride + column + beside
        contexts = np.concatenate([padded[places + offsets], parents[:, row * columns + column]])
        locations, spreads = (part.numpy() for part in model(torch.from_numpy(contexts)))
        whole, fractions = _split(locations)
        if bound:
            try:
                frequencies = tables.rows(spreads, fractions)
                symbols = decoder.decode(_CATEGORICAL, frequencies)
            except AssertionError as error:
                raise BitstreamError("the latents' stream holds an impossible code word") from error
            budget.spend(frequencies[np.arange(symbols.size), symbols])
            whole = whole + symbols - bound
        padded[places] = whole
    grid = torch.from_numpy(padded.reshape(rows + above, stride)[above:, beside : beside + columns])
    if grid.abs().max() > MAX_LATENT:
        raise BitstreamError(f"a latent of {int(grid.abs().max())} is impossible")
    return grid.contiguous()
