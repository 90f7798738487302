"""Meta-learned initializations: networks that start near every picture, so that a file holds the differences alone.

An initialization is two files in the folder ``initializations``: ``struempler-N.f16``, all weights as little-endian float16 in
the order of the network's parameters, and ``struempler-N.toml``, the network's shape and where the weights come from. Number 1
is Reptile's (Nichol et al., arXiv 1803.02999) on 1,199 crops of pictures in scikit-image's wheel, made by

    python tests/benchmarks/reptile.py --number 1 --minutes 3.5

A file of the codec names the number N and the CRC-32 of the weights: without the very same ones it can't be decoded.
"""

from __future__ import annotations

import functools
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.networks.siren import Siren, SirenConfig

FOLDER = Path(__file__).resolve().parent / "initializations"


class InitializationError(ValueError):
    """This installation lacks an initialization, or its files are damaged."""


@dataclass(frozen=True)
class MetaConfig(SirenConfig):
    """The shape of a SIREN whose parameters are differences to an initialization.

    Args:
        initialization: its number.
    """

    initialization: int = 1

    def __str__(self) -> str:
        return f"{super().__str__()} from initialization {self.initialization}"


@dataclass(frozen=True)
class Initialization:
    """The weights a network starts from.

    Args:
        config: the network's shape, and the initialization's number.
        data: all weights, float16, little-endian.
    """

    config: MetaConfig
    data: bytes

    @property
    def checksum(self) -> int:
        """CRC-32 of `data`."""
        return zlib.crc32(self.data)

    def tensors(self, network: Siren) -> list[Tensor]:
        """The weights in the shapes of a network's parameters, float32."""
        values = torch.from_numpy(np.frombuffer(self.data, dtype="<f2").astype(np.float32))
        shapes = [parameter.shape for parameter in network.parameters()]
        parts = values.split([shape.numel() for shape in shapes])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


class SirenFrom(Siren):
    """A `Siren` whose parameters are differences to an initialization: zero at first, and all that a file holds.

    What is done to parameters (L1 penalty, quantization, entropy coding) is so done to the differences.

    Raises:
        InitializationError: the initialization is missing.
    """

    config: MetaConfig

    def __init__(self, config: MetaConfig, *size: int) -> None:
        super().__init__(config, *size)
        for index, tensor in enumerate(load(config.initialization).tensors(self)):
            self.register_buffer(f"origin_{index}", tensor, persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()

    def colours(self, features: Tensor) -> Tensor:
        named = self.layers.named_parameters()
        weights = {name: self.get_buffer(f"origin_{i}") + difference for i, (name, difference) in enumerate(named)}
        return (torch.func.functional_call(self.layers, weights, (features,)) + 1) / 2


@functools.cache
def load(number: int) -> Initialization:
    """The initialization of that number.

    Raises:
        InitializationError: this installation doesn't have it, or its files are damaged.
    """
    weights, about = (FOLDER / f"struempler-{number}{suffix}" for suffix in (".f16", ".toml"))
    if not (weights.is_file() and about.is_file()):
        raise InitializationError(f"the network starts from initialization {number}, which this installation doesn't have")
    shape = tomllib.loads(about.read_text(encoding="utf-8"))["network"]
    config = meta_config(number, shape)
    data = weights.read_bytes()
    if len(data) != 2 * config.weights or not np.isfinite(np.frombuffer(data, dtype="<f2")).all():
        raise InitializationError(f"{weights} is damaged: install the package again")
    return Initialization(config, data)


def meta_config(number: int, shape: dict[str, Any]) -> MetaConfig:
    """The configuration of an initialization: Strümpler et al.'s network of ``shape`` (width, sine_layers, frequencies)."""
    return MetaConfig(**shape, domain="canvas", colours="symmetric", initialization=number)
