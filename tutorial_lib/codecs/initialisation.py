"""Meta-learned initialisations: networks that start near every picture, so that a file holds the difference alone.

An initialisation is two files beside this module: ``struempler-N.f16``, all weights as little-endian float16 in the order of
the network's parameters, and ``struempler-N.toml``, the network's shape and where the weights come from. They are made by
`tutorial_lib.codecs.meta`. A file of the codec names the number N and the CRC-32 of the weights: without the very same ones it
can't be decoded.
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

from tutorial_lib.bitstream import BitstreamError, Reader, varint
from tutorial_lib.siren import Siren, SirenConfig

FOLDER = Path(__file__).resolve().parent / "initialisations"
_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class MetaConfig(SirenConfig):
    """The shape of a SIREN whose parameters are differences to an initialisation.

    Args:
        initialisation: its number.
    """

    initialisation: int = 1

    def __str__(self) -> str:
        return f"{super().__str__()} from initialisation {self.initialisation}"


@dataclass(frozen=True)
class Initialisation:
    """The weights a network starts from.

    Args:
        config: the network's shape, and the initialisation's number.
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
    """A `Siren` whose parameters are differences to an initialisation: zero at first, and all that a file holds.

    What is done to parameters (L1 penalty, quantisation, entropy coding) is so done to the differences.

    Raises:
        BitstreamError: the initialisation is missing.
    """

    config: MetaConfig

    def __init__(self, config: MetaConfig, height: int, width: int) -> None:
        super().__init__(config, height, width)
        for index, tensor in enumerate(load(config.initialisation).tensors(self)):
            self.register_buffer(f"origin_{index}", tensor, persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()

    def colours(self, features: Tensor) -> Tensor:
        named = self.layers.named_parameters()
        weights = {name: self.get_buffer(f"origin_{i}") + difference for i, (name, difference) in enumerate(named)}
        return (torch.func.functional_call(self.layers, weights, (features,)) + 1) / 2


@functools.cache
def load(number: int) -> Initialisation:
    """The initialisation of that number.

    Raises:
        BitstreamError: this installation doesn't have it, or its files are damaged.
    """
    weights, about = (FOLDER / f"struempler-{number}{suffix}" for suffix in (".f16", ".toml"))
    if not (weights.is_file() and about.is_file()):
        raise BitstreamError(f"the file starts from initialisation {number}, which this installation doesn't have")
    shape = tomllib.loads(about.read_text(encoding="utf-8"))["network"]
    config = meta_config(number, shape)
    data = weights.read_bytes()
    if len(data) != 2 * config.weights or not np.isfinite(np.frombuffer(data, dtype="<f2")).all():
        raise BitstreamError(f"{weights} is damaged: install the package again")
    return Initialisation(config, data)


def meta_config(number: int, shape: dict[str, Any]) -> MetaConfig:
    """The configuration of an initialisation: Strümpler et al.'s network of ``shape`` (width, sine_layers, frequencies)."""
    return MetaConfig(**shape, domain="canvas", colours="symmetric", initialisation=number)


def write_reference(config: MetaConfig) -> bytes:
    """What a file says of its initialisation: number (varint) and CRC-32 (4 bytes)."""
    return varint(config.initialisation) + load(config.initialisation).checksum.to_bytes(_CHECKSUM_BYTES, "little")


def read_reference(reader: Reader, config: SirenConfig) -> MetaConfig:
    """The configuration of a network that starts where the file says.

    Raises:
        BitstreamError: the initialisation is missing, another one, or one for networks of another shape.
    """
    number, checksum = reader.varint(), int.from_bytes(reader.take(_CHECKSUM_BYTES), "little")
    found = load(number)
    if found.checksum != checksum:
        raise BitstreamError(
            f"the file starts from an initialisation {number} with checksum {checksum:08x}, the one here has {found.checksum:08x}"
        )
    shape = (config.width, config.sine_layers, config.frequencies)
    if shape != (found.config.width, found.config.sine_layers, found.config.frequencies):
        raise BitstreamError(f"initialisation {number} is for {SirenConfig.__str__(found.config)}, not for {config}")
    return found.config
