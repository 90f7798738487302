"""SIREN: a picture as a small network with sine activations, from canvas coordinates to colours.

Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions (NeurIPS 2020): layers
y = sin(ω₀·(W·x + b)), initialized so that every layer's input to the sine keeps the same spread. The positional
encoding in front is NeRF's (Mildenhall et al., ECCV 2020) with periods π·1.4^i (Strümpler et al., ECCV 2022; the
ICIP 2024 tutorial).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.images.coordinates import render_tiles


@dataclass(frozen=True)
class SirenConfig:
    """The shape of a SIREN; together with the picture's size, all a decoder must know before the weights.

    Args:
        width: neurons in each sine layer.
        sine_layers: how many sine layers; one linear layer to three colours follows.
        frequencies: L of the positional encoding, 0 for none.
        domain: where the canvas lands. "canvas": [−1, 1]² as it is; "unit": [0, 1]² (the ICIP 2024 tutorial);
            "aspect": y in [−1, 1], x stretched by the aspect ratio (COIN).
        colours: range of the network's outputs, "unit" for [0, 1] or "symmetric" for [−1, 1].
        omega_0: ω₀, the frequency scale of every sine.
        narrow_biases: draw biases from the range of the weights (COIN) instead of ±1/√inputs (PyTorch).
    """

    width: int
    sine_layers: int = 3
    frequencies: int = 16
    domain: Literal["canvas", "unit", "aspect"] = "unit"
    colours: Literal["unit", "symmetric"] = "unit"
    omega_0: float = 30.0
    narrow_biases: bool = False

    @property
    def inputs(self) -> int:
        """Features of a coordinate: x, y, and a sine and a cosine of each for every frequency."""
        return 2 + 4 * self.frequencies

    @property
    def weights(self) -> int:
        """Number of parameters, biases included; also, less the biases, the multiply-adds for a point."""
        hidden = (self.sine_layers - 1) * (self.width + 1) * self.width
        return (self.inputs + 1) * self.width + hidden + 3 * (self.width + 1)

    @property
    def sines(self) -> int:
        """Sines for a point, those of the encoding too."""
        return self.sine_layers * self.width + 4 * self.frequencies

    @property
    def tensors(self) -> int:
        """Number of parameter tensors: a weight and a bias for each linear layer."""
        return 2 * (self.sine_layers + 1)

    def __str__(self) -> str:
        return f"a network of {self.sine_layers} layers of {self.width} with {self.frequencies} frequencies"


class PositionalEncoding(nn.Module):
    """γ(x) = (x, sin(p₀x), …, sin(p_{L−1}x), cos(p₀x), …), applied to each coordinate; p_i = π·1.4^i.

    Input (…, 2), output (…, 2 + 4L): both coordinates, the sines of x then of y, the cosines of x then of y.
    No parameters.

    Args:
        frequencies: L ≥ 0; with 0 the coordinates pass unchanged.
    """

    periods: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        periods = math.pi * 1.4 ** torch.arange(frequencies, dtype=torch.float64)
        self.register_buffer("periods", periods.float(), persistent=False)

    def forward(self, coordinates: Tensor) -> Tensor:
        angles = (coordinates.unsqueeze(-1) * self.periods).flatten(-2)
        return torch.cat([coordinates, angles.sin(), angles.cos()], dim=-1)


def initialize(layer: nn.Linear, omega_0: float, *, first: bool = False, narrow_biases: bool = False) -> None:
    """Sitzmann's initialization (section 3.2): W uniform in ±1/inputs in the first layer, else ±√(6/inputs)/ω₀.

    Biases keep PyTorch's ±1/√inputs, as in the published image codecs, or take the range of W (COIN).
    """
    bound = 1 / layer.in_features if first else math.sqrt(6 / layer.in_features) / omega_0
    nn.init.uniform_(layer.weight, -bound, bound)
    if narrow_biases:
        nn.init.uniform_(layer.bias, -bound, bound)


class SineLayer(nn.Linear):
    """y = sin(ω₀·(W·x + b)): (…, inputs) → (…, outputs), initialized by `initialize`."""

    def __init__(self, inputs: int, outputs: int, omega_0: float = 30.0, *, first: bool = False) -> None:
        super().__init__(inputs, outputs)
        self.omega_0 = omega_0
        initialize(self, omega_0, first=first)

    def forward(self, features: Tensor) -> Tensor:
        # ω₀ on the few weights instead of on every pixel's activations
        return torch.sin(F.linear(features, self.omega_0 * self.weight, self.omega_0 * self.bias))


def sine_layers(sizes: tuple[int, ...], omega_0: float) -> list[nn.Linear]:
    """Layers of these widths, inputs first: sines, and a linear one at the end, which is as PyTorch initializes it."""
    pairs = enumerate(pairwise(sizes[:-1]))
    return [*(SineLayer(*pair, omega_0, first=index == 0) for index, pair in pairs), nn.Linear(sizes[-2], sizes[-1])]


class Siren(nn.Module):
    """A picture of a given size as a SIREN.

    Args:
        config: the network's shape.
        height, width: the size of the picture it stands for, in pixels; it can be rendered at any other.
    """

    def __init__(self, config: SirenConfig, height: int, width: int) -> None:
        super().__init__()
        self.config, self.height, self.width = config, height, width
        self.encoding = PositionalEncoding(config.frequencies)
        layers = sine_layers((config.inputs, *[config.width] * config.sine_layers, 3), config.omega_0)
        for index, layer in enumerate(layers):
            initialize(layer, config.omega_0, first=index == 0, narrow_biases=config.narrow_biases)
        self.layers = nn.Sequential(*layers)

    def features(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, 2) as the network's inputs (…, inputs); nothing here is learned."""
        match self.config.domain:
            case "unit":
                coordinates = (coordinates + 1) / 2
            case "aspect":
                stretch = max(self.width - 1, 1) / max(self.height - 1, 1)
                x, y = coordinates.unbind(-1)
                coordinates = torch.stack([(x + 1) * stretch - 1, y], dim=-1)
        return self.encoding(coordinates)

    def colours(self, features: Tensor) -> Tensor:
        """Features (…, inputs) to colours (…, 3), [0, 1] where the fit is good; not clamped."""
        output = self.layers(features)
        return output if self.config.colours == "unit" else (output + 1) / 2

    def forward(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, 2), order (x, y), to colours (…, 3)."""
        return self.colours(self.features(coordinates))

    def render(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The picture (3, height, width) in [0, 1] at any size; its own size by default. See `images.render_tiles`."""
        return render_tiles(self, height, width, (self.height, self.width), max(self.config.width, self.config.inputs))
