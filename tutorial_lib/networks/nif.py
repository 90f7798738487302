"""NIF: a SIREN of falling widths whose sines are modulated, pixel by pixel, by a second, smaller SIREN.

Catania and Allegra, NIF: A Fast Implicit Image Compression with Bottleneck Layers and Modulated Sinusoidal Activations
(ACM MM 2023). The *genesis* network carries the colours, h₀ → … → 3; the *modulation* network gives one number for each
pixel, f_m(x, y), that raises or lowers the frequency of all genesis sines there:

    y_i = sin((ω₀ + σ·f_m(x, y)) · (W_i·y_{i−1} + b_i)),   ω₀ = 30, σ = 10.

So detail can be spent where the picture has it. The widths fall towards the output, since a wide first layer makes
many waves and the later ones only have to mix them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.images.coordinates import render_tiles
from tutorial_lib.networks.siren import PositionalEncoding, initialize, sine_layers


@dataclass(frozen=True)
class NifConfig:
    """The shape of a NIF.

    Args:
        genesis: widths of the genesis network's sine layers; a linear layer to three colours follows.
        modulation: widths of the modulation network's sine layers, a linear layer to one number follows; empty for a
            network without modulation: every sine then has the frequency ω₀.
        frequencies: L of the genesis network's positional encoding, 2 + 4·L inputs.
        modulation_frequencies: L of the modulation network's.
        omega_0: ω₀, of both networks.
        sigma: σ, how far f_m = ±1 moves the frequency.
    """

    genesis: tuple[int, ...]
    modulation: tuple[int, ...] = ()
    frequencies: int = 16
    modulation_frequencies: int = 4
    omega_0: float = field(default=30.0, kw_only=True)
    sigma: float = field(default=10.0, kw_only=True)

    @property
    def weights(self) -> int:
        """Number of parameters, biases included; also, less the biases, the multiply-adds for a point."""
        count = _weights((2 + 4 * self.frequencies, *self.genesis, 3))
        return count + (_weights((2 + 4 * self.modulation_frequencies, *self.modulation, 1)) if self.modulation else 0)

    @property
    def sines(self) -> int:
        """Sines for a point, those of the encodings too."""
        return sum(self.genesis) + sum(self.modulation) + 4 * (self.frequencies + self.modulation_frequencies)

    @property
    def tensors(self) -> int:
        """Number of parameter tensors: a weight and a bias for each linear layer."""
        return 2 * (len(self.genesis) + 1) + (2 * (len(self.modulation) + 1) if self.modulation else 0)

    def __str__(self) -> str:
        genesis, modulation = (", ".join(map(str, widths)) for widths in (self.genesis, self.modulation))
        return (
            f"a network of widths [{genesis}], modulated by [{modulation}], with {self.frequencies} and "
            f"{self.modulation_frequencies} frequencies"
        )


def _weights(sizes: tuple[int, ...]) -> int:
    return sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))


PUBLISHED = {
    "120": NifConfig((120, 40, 28, 16), (16, 8)),
    "0_31": NifConfig((120, 50, 28, 16), (24, 16, 8)),
    "200": NifConfig((200, 64, 40, 20), (64, 16, 8)),
    "280": NifConfig((280, 100, 48, 16), (64, 16, 8)),
    "360": NifConfig((360, 150, 70, 32), (64, 16, 8)),
    "450": NifConfig((450, 220, 85, 32), (64, 16, 8)),
    "680": NifConfig((680, 260, 65, 30), (64, 16, 8)),
    # reduced Kodak pictures of the speed tests (the ×2 and ×4 tests' other network is "280")
    "120-reduced": NifConfig((120, 50, 32, 24), (16, 16, 16)),
    "celeba-0_65": NifConfig((24, 20, 18, 18), (20, 18, 16), 6),
    "celeba-0_78": NifConfig((28, 24, 20, 18), (22, 18, 16), 8),
    "celeba-1_33": NifConfig((50, 28, 24, 24), (28, 24, 16), 12),
    "celeba-1_63": NifConfig((64, 32, 24, 24), (32, 24, 16), 12),
    "celeba-2_97": NifConfig((120, 48, 32, 24), (32, 24, 16), 12),
}
"""Networks of the paper's configuration files, by name. Kodak's at 768×512 are "120" (about 0.28 bpp), "0_31", "200",
"280", "360", "450" and "680" (about 4 bpp); CelebA's carry the set's name. Those of ICB and of the ablations are left out."""


class ModulatedSine(torch.autograd.Function):
    """sin(m·z) for z (…, outputs) and m (…, 1), in as little memory traffic as possible.

    The backward pass needs cos(m·z), once for each of the two gradients: dz = g·cos(m·z)·m, dm = Σ g·cos(m·z)·z. PyTorch's
    own chain keeps m·z too and goes through memory twice as often.
    """

    @staticmethod
    def forward(z: Tensor, m: Tensor) -> Tensor:
        return (m * z).sin_()

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        z, m = ctx.saved_tensors
        slope = (m * z).cos_().mul_(gradient)
        along_m = torch.linalg.vecdot(slope, z).unsqueeze(-1)
        return slope.mul_(m), along_m


modulated_sine = ModulatedSine.apply


def modulated_sine_plain(z: Tensor, m: Tensor) -> Tensor:
    """What `modulated_sine` computes, as it reads."""
    return torch.sin(m * z)


class Nif(nn.Module):
    """A picture of a given size as a NIF.

    Both networks see canvas coordinates in [−1, 1]² through their encodings, and the colours are fitted in [−1, 1], as
    published.

    Args:
        config: the networks' shapes.
        height, width: the size of the picture it stands for, in pixels; it can be rendered at any other.
    """

    def __init__(self, config: NifConfig, height: int, width: int) -> None:
        super().__init__()
        self.config, self.height, self.width = config, height, width
        self.encoding = PositionalEncoding(config.frequencies)
        self.modulation_encoding = PositionalEncoding(config.modulation_frequencies if config.modulation else 0)
        self.inputs = (2 + 4 * config.frequencies, 2 + 4 * config.modulation_frequencies if config.modulation else 0)
        self.genesis = _sine_network((self.inputs[0], *config.genesis, 3), config.omega_0)
        modulation = (self.inputs[1], *config.modulation, 1)
        self.modulation = _sine_network(modulation, config.omega_0) if config.modulation else None

    def features(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, 2) as both networks' inputs (…, Σ inputs); nothing here is learned."""
        features = self.encoding(coordinates)
        if self.modulation is None:
            return features
        return torch.cat([features, self.modulation_encoding(coordinates)], dim=-1)

    def modulation_map(self, features: Tensor) -> Tensor:
        """f_m of every point, (…, 1): what σ·f_m adds to ω₀ there. Zero without a modulation network."""
        if self.modulation is None:
            return features.new_zeros((*features.shape[:-1], 1))
        return self.modulation(features[..., self.inputs[0] :])

    def colours(self, features: Tensor) -> Tensor:
        """Features (…, inputs) to colours (…, 3), [0, 1] where the fit is good; not clamped."""
        if self.modulation is None:
            return (self.genesis(features) + 1) / 2
        omega = self.config.omega_0 + self.config.sigma * self.modulation_map(features)
        y = features[..., : self.inputs[0]]
        for layer in cast(list[nn.Linear], list(self.genesis)[:-1]):
            y = modulated_sine(F.linear(y, layer.weight, layer.bias), omega)
        return (self.genesis[-1](y) + 1) / 2

    def forward(self, coordinates: Tensor) -> Tensor:
        """Canvas coordinates (…, 2), order (x, y), to colours (…, 3)."""
        return self.colours(self.features(coordinates))

    def render(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The picture (3, height, width) in [0, 1] at any size; its own size by default. See `images.render_tiles`."""
        widest = max(*self.config.genesis, *self.config.modulation, sum(self.inputs))
        return render_tiles(self, height, width, (self.height, self.width), widest)


def _sine_network(sizes: tuple[int, ...], omega_0: float) -> nn.Sequential:
    """Sine layers and a linear one, initialized as SIREN; biases keep PyTorch's range, as published."""
    layers = sine_layers(sizes, omega_0)
    initialize(layers[-1], omega_0)
    return nn.Sequential(*layers)
