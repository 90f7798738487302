"""How long the slowest files take that a decoder accepts: seconds of one core, from a part of each picture.

    python tests/benchmarks/worst_files.py

A network takes the same time for every pixel, and latent grids for every position of a wave, so a small picture of the same
network or of the same bounds says what the largest accepted one takes. Thin grids, a step for each column, are decoded whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from constriction import stream  # pyright: ignore[reportAttributeAccessIssue]  # it comes without types

from tutorial_lib import codecs
from tutorial_lib.codecs.networks import SINE_OPERATIONS
from tutorial_lib.coding.bitstream import MAX_OPERATIONS, MAX_PIXELS, varint
from tutorial_lib.latents import coding
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.shape import MIN_LOG2_SCALE
from tutorial_lib.networks.nif import NifConfig

SIREN = codecs.SIREN.family.smallest()
NETWORKS = {
    "siren, wide": replace(SIREN, width=511, sine_layers=4),
    "siren, deep": replace(SIREN, width=60, sine_layers=64, frequencies=64),
    "nif, wide": NifConfig((1000, 500), (), 64, 0),
    "nif, deep": NifConfig((45,) * 64, (45,) * 64, 64, 64),
    "nif, narrow": NifConfig((1,) * 64, (1,) * 64, 64, 64),
}


def seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def largest(accepted: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that is accepted."""
    low, high = 1, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    return low


def network(name: str, config: Any) -> None:
    codec, side = codecs.SIREN if name.startswith("siren") else codecs.NIF, 300
    pixels = min(MAX_OPERATIONS // (config.weights + SINE_OPERATIONS * config.sines), MAX_PIXELS)
    took = seconds(codec.build(config, side, side).render) * pixels / side**2
    print(f"{name}: {config.weights:,} weights, {pixels:,} pixels: {took:,.0f} s", flush=True)


def zeros(representation: LatentGrids, bound: int) -> bytes:
    """The section "latents" of nothing but zeros under the narrowest law, with tables of that bound; none for a bound of 0."""
    with torch.no_grad():
        for parameter in representation.context.parameters():
            parameter.zero_()
        representation.context.layers[-1].get_parameter("matrix")[1, -1] = MIN_LOG2_SCALE
    encoder, tables, count = stream.queue.RangeEncoder(), coding.LaplaceTables(bound), representation.latents.numel()
    for begin in range(0, count if bound else 0, 4096):
        none = np.zeros(min(4096, count - begin), dtype=np.int64)
        encoder.encode((none + bound).astype(np.int32), coding.CATEGORICAL, tables.rows(none, none))
    return varint(1 + bound) * len(representation.sizes) + encoder.get_compressed().astype("<u4").tobytes()


def grids(name: str, bound: int | None) -> None:
    """Of a square picture; without a bound of one row."""
    config = codecs.LEARNED[name].family.template
    bounds = [bound or 0] * config.grids

    def accepted(length: int) -> bool:
        return coding.operations(config, length if bound else 1, length, bounds) <= MAX_OPERATIONS

    length = largest(accepted, math.isqrt(MAX_PIXELS) if bound else MAX_PIXELS)
    size = (700, 700) if bound else (1, length)
    representation = codecs.LEARNED[name].build(config, *size)
    data, pieces = zeros(representation, bound or 0), representation.bands()
    parts = [lambda: coding.decode_latents(representation, data), representation.render]
    parts.append(lambda: [representation.bits(representation.symbols(), piece) for piece in pieces])
    with torch.no_grad():
        decode, render, bits = (seconds(part) * (length / size[1]) ** (2 if bound else 1) for part in parts)
    shape = f"{length:,}² pixels, residuals of up to {bound}" if bound else f"1×{length:,} pixels"
    print(f"{name}, {shape}: decode {decode + render:,.0f} s, info {decode + bits:,.0f} s", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, config in NETWORKS.items():
        network(name, config)
    for name in ("coolchic-small", "coolchic-v1", "coolchic-v2"):
        for bound in (None, 2047, 400, 240):
            grids(name, bound)
