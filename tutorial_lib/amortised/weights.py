"""The trained networks, shipped in two small files: what encodes and decodes, and a second synthesis, for texture.

A file ``NAME-N.weights`` is a container like that of pictures, its weights in 8 bits or less by the steps of
`coding.quantizers`. A picture's file names the number N and the checksum of the first: without the very same networks it can't be
decoded. The second holds differences from the first's synthesis. ``tests/benchmarks/amortised_training.py`` makes both.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from tutorial_lib.amortised.contexts import ContextNetworks
from tutorial_lib.amortised.transforms import Analysis, Synthesis
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Container
from tutorial_lib.coding.parameters import pack_parameters, unpack_parameters
from tutorial_lib.coding.steps import QuantizedTensor, Step, quantize

FOLDER = Path(__file__).resolve().parent / "weights"
NUMBER = 9
"""The codec's, in the registry and in every file."""

NOISE_PLANES = 2
"""That the synthesis for texture sees."""

LATEST = 1
"""The networks that encode."""


class WeightsError(ValueError):
    """This installation lacks trained networks, or their files are damaged."""


class Networks(nn.Module):
    """Analysis, synthesis, and the context networks of the latents' laws; untrained."""

    def __init__(self) -> None:
        super().__init__()
        self.analysis, self.synthesis, self.contexts = Analysis(), Synthesis(), ContextNetworks()


def pack(module: nn.Module, steps: Mapping[str, Step]) -> bytes:
    """A file of a module's parameters in these steps."""
    tensors = [quantize(parameter, steps[name]) for name, parameter in module.named_parameters()]
    quantizer, networks = pack_parameters(tensors)
    return bitstream.write(Container(NUMBER, 1, 1, {"quantizer": quantizer, "networks": networks}))


def unpack(module: nn.Module, data: bytes) -> dict[str, Tensor]:
    """The parameters by name in a file of `pack`, for a module of that shape."""
    sections = bitstream.read(data).sections
    shapes = [parameter.shape for parameter in module.parameters()]
    tensors = unpack_parameters(sections["quantizer"], sections["networks"], shapes)
    names = (name for name, _ in module.named_parameters())
    return {name: cast(QuantizedTensor, tensor).values() for name, tensor in zip(names, tensors, strict=True)}


@functools.cache
def _load(number: int) -> tuple[Networks, int]:
    networks = Networks().requires_grad_(False)
    data, path = _read(f"amortised-{number}")
    try:
        networks.load_state_dict(unpack(networks, data))
    except (BitstreamError, KeyError) as error:
        raise WeightsError(f"{path} is damaged ({error}): install the package again") from error
    return networks.eval(), int.from_bytes(data[-4:], "little")


@functools.cache
def _load_texture(number: int) -> Synthesis:
    base, own = _load(number)
    data, path = _read(f"texture-{number}")
    synthesis = for_texture(base.synthesis).requires_grad_(False)
    if int.from_bytes(data[:4], "little") != own:
        raise WeightsError(f"{path} belongs to other networks than amortised-{number}.weights: install the package again")
    try:
        differences = unpack(synthesis, data[4:])
    except (BitstreamError, KeyError) as error:
        raise WeightsError(f"{path} is damaged ({error}): install the package again") from error
    for name, parameter in synthesis.named_parameters():
        parameter += differences[name]
    return synthesis


def for_texture(base: Synthesis) -> Synthesis:
    """A synthesis that sees noise, and as yet does what ``base`` does."""
    synthesis, state = Synthesis(NOISE_PLANES), dict(base.state_dict())
    old = state["fine.weight"]
    state["fine.weight"] = torch.cat([old, old.new_zeros(len(old), 4 * NOISE_PLANES, 3, 3)], 1)
    synthesis.load_state_dict(state)
    return synthesis


def _read(name: str) -> tuple[bytes, Path]:
    path = FOLDER / f"{name}.weights"
    if not path.is_file():
        raise WeightsError(f"the networks of {name} are not part of this installation: {path} is missing")
    return path.read_bytes(), path


def load(number: int) -> Networks:
    """The trained networks of that number, one's own to change.

    Raises:
        WeightsError: this installation doesn't have them, or their file is damaged.
    """
    return copy.deepcopy(_load(number)[0])


def load_texture(number: int) -> Synthesis:
    """The synthesis for texture that belongs to the networks of that number; errors as `load`."""
    return copy.deepcopy(_load_texture(number))


def checksum(number: int) -> int:
    """CRC-32 of the networks' file; errors as `load`."""
    return _load(number)[1]
