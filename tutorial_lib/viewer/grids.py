"""Latent grids as the page takes them: the integers, a kernel for each doubling, the layers that paint, the map of bits."""

from __future__ import annotations

import base64
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.widgets import exact_source

BRIGHTEST = 0.995
"""The share of pixels that the map of bits shows without saturating."""


@torch.no_grad()
def facts(representation: LatentGrids) -> dict[str, Any]:
    """What ``grids.js`` needs to know: numbers, lists and pictures as data URLs, ready for JSON."""
    grids, bits = representation.symbols(), _bits(representation)
    size = representation.height, representation.width
    painted = np.sum([_shared(each, *size, level) for level, each in enumerate(bits)], axis=0)
    most = float(np.quantile(painted, BRIGHTEST)) or 1.0
    layers = []
    for shape, layer in zip(representation.config.synthesis, representation.synthesis.layers, strict=True):
        matrix = layer.get_parameter("matrix")
        found = {"outputs": matrix.shape[0], "kernel": shape.kernel, "residual": shape.residual, "relu": shape.relu}
        layers.append(found | {"matrix": matrix.flatten().tolist()})
    return {
        "grids": [
            {"rows": grid.shape[0], "columns": grid.shape[1], "bits": float(each.sum()), "data": _packed(grid)}
            for grid, each in zip(grids, bits, strict=True)
        ],
        "kernels": [_kernel(representation, level) for level in range(max(len(grids) - 1, 0))],
        "layers": layers,
        "skip": representation.config.skip_to if representation.config.synthesis_skip else -1,
        "bits": {"source": exact_source(_heat(painted / most)), "most": most},
    }


def _packed(grid: Tensor) -> str:
    return base64.b64encode(grid.numpy().astype("<i2").tobytes()).decode()


def _kernel(representation: LatentGrids, level: int) -> list[float]:
    """The 8×8 weights that double level + 1 into ``level``, row by row, whichever way they are stored."""
    upsampling = representation.upsampling
    if upsampling.kind == "learned":
        return upsampling.kernel.flatten().tolist()
    half = upsampling.kernel[level]
    taps = torch.cat([half.flip(0), half])
    return torch.outer(taps, taps).flatten().tolist()


def _bits(representation: LatentGrids) -> list[np.ndarray]:
    """Estimated bits of every integer, a plane for each grid."""
    grids = representation.symbols()
    found = [np.zeros(tuple(grid.shape)) for grid in grids]
    for bands in representation.bands():
        values, begin = representation.bits(grids, bands).numpy(), 0
        for band in bands:
            plane = found[band.level][band.top : band.bottom]
            plane[:] = values[begin : begin + plane.size].reshape(plane.shape)
            begin += plane.size
    return found


def _shared(bits: np.ndarray, height: int, width: int, level: int) -> np.ndarray:
    """Bits of a grid shared out to the pixels that each integer stands over, (height, width)."""
    side = 1 << level
    rows, columns = (np.arange(length) // side for length in (height, width))
    return bits[rows[:, None], columns[None]] / side**2


def _heat(values: np.ndarray) -> Tensor:
    """Values in [0, 1] as colours from dark to bright, (3, height, width)."""
    colours = matplotlib.colormaps["cividis"](np.clip(values, 0, 1))[..., :3]
    return torch.from_numpy(colours).movedim(-1, 0).float()
