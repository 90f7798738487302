"""The integers of latent grids to bytes and back, exactly, under the context model.

Grids are coded coarsest first, each along anti-diagonal waves: position (r, c) belongs to wave c + slope·r, and
all its neighbours to earlier ones, so a wave is decoded at once. `latents.contexts.IntegerContextModel`
gives each value an integer location in 1/32 steps, μ = m + f/32 with −16 ≤ f < 16, and the index of a scale. Coded is
y − m, with one of 32 · 113 tables of integer probabilities: Laplace laws shifted by f/32, made like those of
`coding.laws` with multiplications, shifts and square roots of integers. One range-coder stream holds all grids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from constriction import stream  # pyright: ignore[reportAttributeAccessIssue]  # it comes without types
from torch import Tensor

from tutorial_lib.coding.bitstream import MAX_OPERATIONS, BitstreamError, Reader, varint
from tutorial_lib.coding.laws import FRACTION_BITS, PRECISION, decay, tails
from tutorial_lib.latents.contexts import IntegerContextModel, contexts_of
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.kernels import Offsets, reach
from tutorial_lib.latents.shape import FRACTIONS, GAIN, LATENT_SPREADS, MAX_LATENT, GridsConfig, grid_sizes, operations_per_pixel

PER_WAVE, PER_POSITION, PER_PROBABILITY = 1 << 23, 1 << 16, 1 << 8
"""What a wave, a position and an entry of a table take a decoder beside the products, in multiply-adds.

At the 4·10¹⁰ a second that one core of a Xeon does they are 0.2 ms, 1.6 µs and 6 ns, two to four times what it takes: to be on
the safe side. So the slowest grids that a file may hold take it 2 minutes (one row of 2 million pixels, a wave for each) to 4
(``tests/benchmarks/worst_files.py``, November 2026).
"""

MAX_RESIDUAL = 2 * MAX_LATENT + 1
_CHUNK = 1 << 14
CATEGORICAL = stream.model.Categorical(perfect=False, lazy=False)


class LaplaceTables:
    """Integer probabilities of −bound … bound for every scale and every fraction of a step; made when first wanted.

    Row ``spread · FRACTIONS + f + FRACTIONS/2`` belongs to b = 2^(spread/8 − 4) and μ = f/32. In units of 2⁻²⁴ it adds up to
    2²⁴ less one unit a symbol, which constriction gives to each (see `coding.laws`). The tails are lumped on ±bound.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._rows = np.empty((LATENT_SPREADS * FRACTIONS, 2 * bound + 1))
        self._ready = np.zeros(LATENT_SPREADS, dtype=bool)

    def rows(self, spreads: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """(n, 2·bound + 1) probabilities, float64, for spreads 0 … `LATENT_SPREADS` − 1 and fractions −16 … 15."""
        ready = self._ready[spreads]
        if not ready.all():  # np.unique is slow
            for spread in np.unique(spreads[~ready]).tolist():
                self._rows[spread * FRACTIONS : (spread + 1) * FRACTIONS] = self._make(spread)
                self._ready[spread] = True
        return self._rows[spreads * FRACTIONS + fractions + FRACTIONS // 2]

    def _make(self, spread: int) -> np.ndarray:
        bound, half = self.bound, FRACTIONS // 2
        total = (1 << PRECISION) - (2 * bound + 1)
        # e^(−1/(2b)) to the power 2/32: four square roots
        base = decay(spread)
        for _ in range(int(math.log2(FRACTIONS)) - 1):
            base = math.isqrt(base << FRACTION_BITS)
        beyond = tails(total, 1 << FRACTION_BITS, base, FRACTIONS * (bound + 1) + half + 1)  # half of e^(−m/(32b)), in units
        # left edge of symbol r seen from μ, in 1/32: 32·r − 16 − f
        symbols = np.arange(-bound + 1, bound + 1)
        edges = FRACTIONS * symbols[None, :] - half - (np.arange(FRACTIONS) - half)[:, None]
        below = np.where(edges <= 0, beyond[np.abs(edges)], total - beyond[np.abs(edges)])
        ends = np.zeros((FRACTIONS, 1), dtype=np.int64)
        return np.diff(np.concatenate([ends, below, ends + total], axis=1), axis=1).astype(np.float64)


def wave_slope(neighbours: Offsets) -> int:
    """The smallest slope for which all neighbours of a position lie in earlier waves c + slope·r.

    >>> wave_slope(((-2, 2), (-1, 1), (0, -1))), wave_slope(((0, -1),))
    (2, 1)
    """
    return max([1] + [column // -row + 1 for row, column in neighbours if row < 0])


def waves(rows: int, columns: int, slope: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The positions of a grid wave by wave: arrays of rows and columns. Every position comes once."""
    for wave in range(columns + slope * (rows - 1)):
        first, last = max(0, -((columns - 1 - wave) // slope)), min(rows - 1, wave // slope)
        row = np.arange(first, last + 1)
        if row.size:
            yield row, wave - slope * row


def operations(config: GridsConfig, height: int, width: int, bounds: Sequence[int] = ()) -> float:
    """What decoding takes, in multiply-adds; a wave takes its time even if it is of one position.

    Args:
        bounds: of the grids' residuals, finest first; those left out are 0.
    """
    slope, total = wave_slope(config.neighbours), operations_per_pixel(config, height, width) * height * width
    for level, (rows, columns) in enumerate(grid_sizes(config, height, width)):
        positions, bound = rows * columns, bounds[level] if level < len(bounds) else 0
        total += PER_WAVE * min(columns + slope * (rows - 1), positions)
        total += positions * (PER_POSITION + PER_PROBABILITY * (2 * bound + 1))
    return total


def split(locations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole steps m and the fraction −16 … 15 of a location in 1/32."""
    whole = (locations + FRACTIONS // 2) >> int(math.log2(FRACTIONS))
    return whole, locations - FRACTIONS * whole


# ------------------------------------------------------------------------------------------ there


def encode_latents(representation: LatentGrids) -> bytes:
    """The section "latents": for each grid, finest first, a varint, then the one stream of all grids, coarsest first.

    The varint is 0 for a grid of zeros, which is not coded, else 1 + the largest |y − m|.
    """
    config, model = representation.config, IntegerContextModel(representation.context)
    grids = [grid.cpu().double() for grid in representation.symbols()]
    bands = [band for piece in representation.bands() for band in piece]
    encoder = stream.queue.RangeEncoder()
    head, slope = b"", wave_slope(config.neighbours)
    for level in range(len(grids) - 1, -1, -1):
        rows, columns = grids[level].shape
        if not grids[level].any():
            head = varint(0) + head
            continue
        laws = [model(contexts_of(config, grids, [band]).numpy()) for band in bands if band.level == level]
        places = np.concatenate([row * columns + column for row, column in waves(rows, columns, slope)])
        locations, spreads = (np.concatenate(part)[places] for part in zip(*laws, strict=True))
        whole, fractions = split(locations)
        residuals = grids[level].flatten().numpy().astype(np.int64)[places] - whole
        bound = int(np.abs(residuals).max())
        head = varint(1 + bound) + head
        tables = LaplaceTables(bound)
        for begin in range(0, residuals.size if bound else 0, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            shifted = np.ascontiguousarray(residuals[part] + bound, dtype=np.int32)
            encoder.encode(shifted, CATEGORICAL, tables.rows(spreads[part], fractions[part]))
    return head + encoder.get_compressed().astype("<u4").tobytes()


# ------------------------------------------------------------------------------------------ and back


def decode_latents(representation: LatentGrids, data: bytes) -> None:
    """Fill the grids of ``representation``, whose context model must be the file's, from the section "latents".

    Raises:
        BitstreamError: bytes that the context model did not write.
    """
    sizes = representation.sizes
    reader = Reader(data, "latents section")
    bounds = [reader.varint() for _ in sizes]
    if any(bound > 1 + MAX_RESIDUAL for bound in bounds):
        raise BitstreamError(f"a grid's largest residual of {max(bounds) - 1} is impossible")
    config, height, width = representation.config, representation.height, representation.width
    if operations(config, height, width, [max(bound - 1, 0) for bound in bounds]) > MAX_OPERATIONS:
        what = f"{width}×{height} pixels in {config.grids} grids with residuals of up to {max(bounds) - 1}"
        raise BitstreamError(f"{what} are more than this program decodes")
    decoder, model = Decoder(reader.take(len(data) - reader.position)), IntegerContextModel(representation.context)
    grids = []  # coarsest first
    for size, bound in zip(reversed(sizes), reversed(bounds), strict=True):
        if bound:
            grids.append(_decode_grid(config.neighbours, model, decoder, size, bound - 1))
        else:
            grids.append(torch.zeros(size, dtype=torch.float64))
    decoder.end(representation.latents.numel())
    with torch.no_grad():
        representation.latents.copy_(torch.cat([grid.flatten() for grid in reversed(grids)]).div_(GAIN))


def _decode_grid(neighbours: Offsets, model: IntegerContextModel, decoder: Decoder, size: tuple[int, int], bound: int) -> Tensor:
    """The next grid of the stream, (rows, columns), float64."""
    (rows, columns), (above, beside), tables = size, reach(neighbours), LaplaceTables(bound)
    stride = columns + 2 * beside
    padded = np.zeros((rows + above) * stride)
    offsets = np.array([row * stride + column for row, column in neighbours])[:, None]
    for row, column in waves(rows, columns, wave_slope(neighbours)):
        places = (row + above) * stride + column + beside
        locations, spreads = model(padded[places + offsets])
        whole, fractions = split(locations)
        if bound:
            whole = whole + decoder.take(tables.rows(spreads, fractions)) - bound
        padded[places] = whole
    grid = torch.from_numpy(padded.reshape(rows + above, stride)[above:, beside : beside + columns])
    if grid.abs().max() > MAX_LATENT:
        raise BitstreamError(f"a latent of {int(grid.abs().max())} is impossible")
    return grid.contiguous()


_SLACK_BITS = 96  # the coder's last two words, and a little
_WASTE = 0.006  # bits a symbol may lose: a range of 2³² or more is divided by 2²⁴ and rounded down, log₂(1 + 2⁻⁸) at worst


class Decoder:
    """A range decoder that counts the bits its symbols use up; constriction's own reads on beyond the end, for ever."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise BitstreamError(f"a range-coder stream is made of 4-byte words, this one has {len(data)} bytes")
        self.stream = stream.queue.RangeDecoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))
        self.left = 8.0 * len(data)

    def take(self, frequencies: np.ndarray) -> np.ndarray:
        """The next symbols, counted from 0, one for each row of frequencies (units of 2⁻²⁴, less the one that each is given)."""
        try:
            symbols = self.stream.decode(CATEGORICAL, frequencies)
        except AssertionError as error:
            raise BitstreamError("the latents' stream holds an impossible code word") from error
        self.left -= float(np.sum(PRECISION - np.log2(frequencies[np.arange(symbols.size), symbols] + 1)))
        if self.left < -_SLACK_BITS:
            raise BitstreamError("the latents' stream ends early: it is too short for its grids, or foreign")
        return symbols

    def end(self, symbols: int) -> None:
        """All ``symbols`` were taken: nothing may be left."""
        if self.left > _SLACK_BITS + _WASTE * symbols or not self.stream.maybe_exhausted():
            raise BitstreamError("the latents' stream does not fit its grids: it is too long or foreign")
