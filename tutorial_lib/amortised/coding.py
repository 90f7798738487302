"""The latents of the amortised codec to bytes and back, exactly, by the arithmetic and the tables of `tutorial_lib.latents`.

Stage by stage, and of a stage's blocks slice by slice, the networks of `contexts`, in integers, give each latent a location and a
scale; coded is what is left of it, by tables of whole numbers. One range-coder stream holds all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from constriction import stream  # pyright: ignore[reportAttributeAccessIssue]  # it comes without types
from torch import Tensor
from torch.nn import functional as F

from tutorial_lib.amortised.contexts import MARGIN, STAGES, STARTS, ContextNetworks, around, inputs_of, magnitudes, stages
from tutorial_lib.amortised.transforms import CHANNELS, SLICES
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, BitstreamError, Reader, varint
from tutorial_lib.latents.coding import (
    CATEGORICAL,
    MAX_RESIDUAL,
    PER_POSITION,
    PER_PROBABILITY,
    Decoder,
    LaplaceTables,
    split,
)
from tutorial_lib.latents.contexts import IntegerContextModel
from tutorial_lib.latents.layers import ContextModel
from tutorial_lib.latents.shape import MAX_LATENT

_BLOCKS = 4096  # of a stage, that go through all slices together: part of the format
_ENTRIES = 1 << 21  # of tables, looked up at once
_MAX_BOUNDS = 1 << 13  # all slices' bounds together: tables of half a gigabyte at the most


def operations(rows: int, columns: int, bounds: list[int]) -> float:
    """What decoding so many blocks takes, in multiply-adds."""
    each = sum(size * (PER_POSITION + PER_PROBABILITY * (2 * bound + 1)) for size, bound in zip(SLICES, bounds, strict=True))
    return float(rows * columns * each)


class _Field:
    """Latents, or what is decoded of them, with what the networks are told."""

    def __init__(self, networks: ContextNetworks, told: float, rows: int, columns: int) -> None:
        self.models = [IntegerContextModel(cast(ContextModel, model.whole())) for model in networks.slices()]
        self.told, self.size, self.row = told, (rows, columns), columns + 2 * MARGIN
        self.levels = torch.zeros(CHANNELS, (rows + 2 * MARGIN) * self.row, dtype=torch.float64)
        self.sizes = torch.zeros_like(self.levels)

    def fill(self, latents: Tensor) -> None:
        self.levels.copy_(F.pad(latents.double(), (MARGIN,) * 4).flatten(1))
        self.sizes.copy_(magnitudes(self.levels))

    def pieces(self) -> Iterator[tuple[int, Tensor, np.ndarray, np.ndarray]]:
        """In the order of the stream: a slice, the places of its blocks, and their laws' locations and spreads, (channels, n)."""
        rows, columns = self.size
        stage_of = stages(rows, columns).flatten()
        inner = (torch.arange(rows)[:, None] + MARGIN) * self.row + torch.arange(columns) + MARGIN
        for stage in range(STAGES):
            own = inner.flatten()[stage_of == stage]
            for places in own.split(_BLOCKS) if len(own) else ():
                known = around(self.levels, self.sizes, places, torch.full_like(places, stage), self.row)
                told = torch.full(places.shape, self.told, dtype=torch.float64)
                for index, model in enumerate(self.models):
                    lower = slice(0, STARTS[index])
                    seen = inputs_of(index, known, self.levels[lower, places], self.sizes[lower, places], told)
                    locations, spreads = model(seen.numpy())
                    shape = (SLICES[index], len(places))
                    yield index, places, locations.reshape(shape), spreads.reshape(shape)


def _parts(width: int, count: int) -> Iterator[slice]:
    step = max(_ENTRIES // width, 1)
    return (slice(begin, begin + step) for begin in range(0, count, step))


def encode_latents(networks: ContextNetworks, told: float, latents: Tensor) -> bytes:
    """The section "latents": each slice's bound as a varint, then the one stream.

    Args:
        told: log₂ of the step as the networks are told it.
        latents: whole numbers within ±`MAX_LATENT`, (channels, rows, columns).
    """
    field = _Field(networks, told, *latents.shape[1:])
    field.fill(latents)
    pieces, bounds = [], [0] * len(SLICES)
    for index, places, locations, spreads in field.pieces():
        whole, fractions = split(locations)
        own = field.levels[STARTS[index] : STARTS[index + 1], places].numpy().astype(np.int64)
        residuals = own - whole
        bounds[index] = max(bounds[index], int(np.abs(residuals).max()))
        pieces.append((index, *(part.ravel().astype(np.int16) for part in (residuals, spreads, fractions))))
    encoder, tables = stream.queue.RangeEncoder(), [LaplaceTables(bound) for bound in bounds]
    for index, residuals, spreads, fractions in pieces:
        for part in _parts(2 * bounds[index] + 1, residuals.size if bounds[index] else 0):
            rows = tables[index].rows(spreads[part].astype(np.int64), fractions[part].astype(np.int64))
            encoder.encode(np.ascontiguousarray(residuals[part] + bounds[index], dtype=np.int32), CATEGORICAL, rows)
    return b"".join(map(varint, bounds)) + encoder.get_compressed().astype("<u4").tobytes()


def decode_latents(networks: ContextNetworks, told: float, rows: int, columns: int, data: bytes) -> Tensor:
    """The latents (channels, rows, columns), float32, of the section "latents".

    Raises:
        BitstreamError: bytes that these networks did not write.
    """
    reader = Reader(data, "latents section")
    bounds = [reader.varint() for _ in SLICES]
    if max(bounds) > MAX_RESIDUAL or sum(bounds) > _MAX_BOUNDS:
        raise BitstreamError(f"largest residuals of {max(bounds)} are impossible")
    if operations(rows, columns, bounds) > MAX_OPERATIONS:
        raise BitstreamError(f"{rows * columns} blocks with residuals of up to {max(bounds)} are more than this program decodes")
    field, tables = _Field(networks, told, rows, columns), [LaplaceTables(bound) for bound in bounds]
    decoder = Decoder(reader.take(len(data) - reader.position))
    for index, places, locations, spreads in field.pieces():
        levels, fractions = (part.ravel() for part in split(locations))
        bound, spreads = bounds[index], spreads.ravel()
        for part in _parts(2 * bound + 1, levels.size if bound else 0):
            levels[part] += decoder.take(tables[index].rows(spreads[part], fractions[part])) - bound
        found = torch.from_numpy(levels.reshape(locations.shape)).double()
        own = slice(STARTS[index], STARTS[index + 1])
        field.levels[own, places], field.sizes[own, places] = found, magnitudes(found)
    decoder.end(CHANNELS * rows * columns)
    if field.levels.abs().max() > MAX_LATENT:
        raise BitstreamError(f"a latent of {int(field.levels.abs().max())} is impossible")
    inner = field.levels.view(CHANNELS, -1, field.row)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    return inner.float().contiguous()
