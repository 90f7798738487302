"""SIREN: a picture, film or sound as a small network with sine activations, from canvas coordinates to colours or samples.

Sitzmann et al., Implicit Neural Representations with Periodic Activation Functions (NeurIPS 2020): layers
y = sin(ω₀·(W·x + b)), initialized so that every layer's input to the sine keeps the same spread. The positional
encoding in front is NeRF's (Mildenhall et al., ECCV 2020) with periods π·1.4^i (Strümpler et al., ECCV 2022; the
ICIP 2024 tutorial).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.images.coordinates import canvas_axis, render_axes


@dataclass(frozen=True)
class SirenConfig:
    """The shape of a SIREN; together with the signal's size, all a decoder must know before the weights.

    Args:
        width: neurons in each sine layer.
        sine_layers: how many sine layers; one linear layer to the channels follows.
        frequencies: L of the positional encoding, 0 for none.
        domain: where the canvas lands. "canvas": [−1, 1] each axis as it is; "unit": [0, 1] (the ICIP 2024 tutorial);
            "aspect": y in [−1, 1], x stretched by the aspect ratio (COIN).
        colours: range of the network's outputs, "unit" for [0, 1] or "symmetric" for [−1, 1].
        omega_0: ω₀, the frequency scale of every sine.
        narrow_biases: draw biases from the range of the weights (COIN) instead of ±1/√inputs (PyTorch).
        axes: 2 for pictures, (x, y); 3 for films, (x, y, t); 1 for sounds, (t).
        channels: outputs: 3 colours, or the channels of a sound.
        time_scale: t times this, before the encoding: Sitzmann et al. hear with 100, which with ω₀ = 30 makes 3000.
    """

    width: int
    sine_layers: int = 3
    frequencies: int = 16
    domain: Literal["canvas", "unit", "aspect"] = "unit"
    colours: Literal["unit", "symmetric"] = "unit"
    omega_0: float = 30.0
    narrow_biases: bool = False
    axes: int = 2
    channels: int = 3
    time_scale: float = 1.0

    @property
    def inputs(self) -> int:
        """Features of a point: its coordinates, and a sine and a cosine of each for every frequency."""
        return self.axes * (1 + 2 * self.frequencies)

    @property
    def weights(self) -> int:
        """Number of parameters, biases included; also, less the biases, the multiply-adds for a point."""
        hidden = (self.sine_layers - 1) * (self.width + 1) * self.width
        return (self.inputs + 1) * self.width + hidden + self.channels * (self.width + 1)

    @property
    def sines(self) -> int:
        """Sines for a point, those of the encoding too."""
        return self.sine_layers * self.width + 2 * self.axes * self.frequencies

    @property
    def tensors(self) -> int:
        """Number of parameter tensors: a weight and a bias for each linear layer."""
        return 2 * (self.sine_layers + 1)

    def __str__(self) -> str:
        return f"a network of {self.sine_layers} layers of {self.width} with {self.frequencies} frequencies"


class PositionalEncoding(nn.Module):
    """γ(x) = (x, sin(p₀x), …, sin(p_{L−1}x), cos(p₀x), …), applied to each coordinate; p_i = π·1.4^i.

    Input (…, d), output (…, d + 2dL): the coordinates, the sines of x then of y (then of t), the cosines in that order.
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
    """A signal of a given size as a SIREN.

    Args:
        config: the network's shape.
        size: of the signal it stands for: a picture's (height, width), a film's (frames, height, width), a sound's (samples).
            It can be rendered at any other.
    """

    def __init__(self, config: SirenConfig, *size: int) -> None:
        super().__init__()
        if len(size) != config.axes:
            raise ValueError(f"a network on {config.axes} coordinates stands for no signal of size {size}")
        self.config, self.size = config, size
        self.height, self.width = size[-2:] if len(size) > 1 else (1, *size)
        self.encoding = PositionalEncoding(config.frequencies)
        layers = sine_layers((config.inputs, *[config.width] * config.sine_layers, config.channels), config.omega_0)
        for index, layer in enumerate(layers):
            initialize(layer, config.omega_0, first=index == 0, narrow_biases=config.narrow_biases)
        self.layers = nn.Sequential(*layers)

    def features(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, axes) as the network's inputs (…, inputs); nothing here is learned."""
        match self.config.domain:
            case "unit":
                coordinates = (coordinates + 1) / 2
            case "aspect":
                stretch = max(self.width - 1, 1) / max(self.height - 1, 1)
                x, y = coordinates.unbind(-1)
                coordinates = torch.stack([(x + 1) * stretch - 1, y], dim=-1)
        if self.config.time_scale != 1:
            coordinates = torch.cat([coordinates[..., :-1], self.config.time_scale * coordinates[..., -1:]], dim=-1)
        return self.encoding(coordinates)

    def colours(self, features: Tensor) -> Tensor:
        """Features (…, inputs) to colours (…, channels), [0, 1] where the fit is good; not clamped."""
        output = self.layers(features)
        return output if self.config.colours == "unit" else (output + 1) / 2

    def forward(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, axes), order (x, y, t), to colours (…, channels)."""
        return self.colours(self.features(coordinates))

    def render(self, *size: int | None, times: Tensor | None = None) -> Tensor:
        """The signal (channels, *size) in [0, 1] at any size; its own size by default. See `images.render_axes`.

        Args:
            size: in the order of `Siren`'s own; what is None or not given is the signal's own.
            times: t of a film's frames or a sound's samples in place of size[0], [−1, 1] from the first to the last.
        """
        wanted = [own if new is None else new for new, own in itertools.zip_longest(size, self.size)]
        sides = [*zip(wanted, self.size, strict=True)]
        axes = [canvas_axis(*pair) for pair in (sides if times is None else sides[1:])]
        axes = axes if times is None else [times.float(), *axes]
        device = next(self.parameters()).device
        return render_axes(self, [axis.to(device) for axis in axes], max(self.config.width, self.config.inputs))
