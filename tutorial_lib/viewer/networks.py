"""A network on coordinates as the page's shader takes it: its layers in four by four blocks, and what stands around them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch
from torch import nn

from tutorial_lib.codecs import CodecError
from tutorial_lib.images.coordinates import TILE_VALUES, canvas_axis, canvas_from_axes
from tutorial_lib.networks.differences import SirenFrom
from tutorial_lib.networks.nif import Nif
from tutorial_lib.networks.siren import PositionalEncoding, Siren

ROW = 1024
"""Texels in a row of the texture of weights."""

MAX_WIDTH = 1024
"""Neurons in a layer, at most: a shader holds two layers' activations in its registers or near them."""


def facts(network: Siren | Nif) -> dict[str, Any]:
    """What ``network.js`` needs to know of a network: numbers and lists alone, ready for JSON.

    Raises:
        CodecError: layers that are too wide for a shader.
    """
    modulation: dict[str, Any] | None = None
    if isinstance(network, Nif):
        blocks, genesis = _network(_layers(network.genesis), network.encoding)
        config = network.config
        found = {"omega": config.omega_0, "sigma": config.sigma, "symmetric": True, "domain": _domain(network)}
        if network.modulation is not None:
            more, modulation = _network(_layers(network.modulation), network.modulation_encoding)
            modulation |= {"start": sum(map(len, blocks)), "range": _range(network)}
            blocks += more
    else:
        blocks, genesis = _network(_layers(network.layers, network), network.encoding)
        symmetric = network.config.colours == "symmetric"
        found = {"omega": network.config.omega_0, "sigma": 0.0, "symmetric": symmetric, "domain": _domain(network)}
    texels = np.concatenate(blocks)
    rows = -(-len(texels) // ROW)
    texture = np.zeros((rows * ROW, 4), "<f4")
    texture[: len(texels)] = texels
    stored = {"width": ROW, "height": rows, "data": base64.b64encode(texture.tobytes()).decode()}
    return found | {"genesis": {"start": 0} | genesis, "modulation": modulation, "texture": stored}


def _layers(layers: nn.Module, network: Siren | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of each linear layer; of differences to an initialization the sums."""
    tensors = [parameter.detach() for parameter in layers.parameters()]
    if isinstance(network, SirenFrom):
        tensors = [network.get_buffer(f"origin_{index}") + tensor for index, tensor in enumerate(tensors)]
    arrays = [tensor.double().numpy() for tensor in tensors]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _network(
    layers: list[tuple[np.ndarray, np.ndarray]], encoding: PositionalEncoding
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The texels of all layers, and the network's shape."""
    periods = encoding.periods.tolist()
    (weight, bias), *others = layers
    first = np.zeros((len(weight), 4 + 4 * len(periods)))
    first[:, :2] = weight[:, :2]
    # the encoding's features are sines of x, of y, cosines of x, of y; the shader makes the four of a frequency at once
    first[:, 4:] = weight[:, 2:].reshape(len(weight), 4, len(periods)).swapaxes(1, 2).reshape(len(weight), -1)
    sizes = [2 + 4 * len(periods), *(len(bias) for _, bias in layers)]
    if max(sizes) > MAX_WIDTH:
        raise CodecError(f"a layer of {max(sizes)} is wider than the {MAX_WIDTH} neurons that a page's shader holds")
    return [_blocks(*layer) for layer in ((first, bias), *others)], {"sizes": sizes, "periods": periods}


def _blocks(weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """A layer as texels (n, 4): for each four outputs a 4×4 matrix for each four inputs, column by column, then the biases."""
    outputs, inputs = (-(-side // 4) for side in weight.shape)
    padded = np.zeros((4 * outputs, 4 * inputs))
    padded[: weight.shape[0], : weight.shape[1]] = weight
    biases = np.zeros((outputs, 4))
    biases.flat[: len(bias)] = bias
    columns = padded.reshape(outputs, 4, inputs, 4).transpose(0, 2, 3, 1).reshape(outputs, -1)
    return np.concatenate([columns, biases], axis=1).reshape(-1, 4).astype("<f4")


def _domain(network: Siren | Nif) -> list[float]:
    """[x scale, x shift, y scale, y shift] from canvas coordinates to what the network's encoding sees."""
    domain = "canvas" if isinstance(network, Nif) else network.config.domain
    if domain == "unit":
        return [0.5, 0.5, 0.5, 0.5]
    stretch = max(network.width - 1, 1) / max(network.height - 1, 1) if domain == "aspect" else 1.0
    return [stretch, stretch - 1, 1.0, 0.0]


@torch.no_grad()
def _range(network: Nif) -> list[float]:
    """Between which modulations f_m nearly all of the picture's pixels lie."""
    x, y = canvas_axis(network.width), canvas_axis(network.height)
    rows = max(1, TILE_VALUES // (network.width * max(sum(network.inputs), *network.config.modulation)))
    bands = [network.modulation_map(network.features(canvas_from_axes(band, x))) for band in y.split(rows)]
    return np.quantile(torch.cat(bands).numpy(), (0.01, 0.99)).tolist()
