"""The library's answers to the exercises of notebook 02."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from tutorial_lib import images
from tutorial_lib.networks import siren


class ReluNetwork(nn.Module):
    """The plain network that everybody tries first: three hidden layers with ReLU, (…, inputs) → (…, outputs)."""

    def __init__(self, inputs: int = 2, width: int = 64, outputs: int = 3) -> None:
        super().__init__()
        hidden: list[nn.Module] = []
        for n in (inputs, width, width):
            hidden += [nn.Linear(n, width), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, outputs))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def descend(
    network: nn.Module, coordinates: Tensor, colours: Tensor, optimizer: torch.optim.Optimizer, steps: int
) -> list[float]:
    """The plainest fit, in place: the losses before each step; the network is left as the last step made it."""
    losses = []
    for _ in range(steps):
        loss = (network(coordinates) - colours).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def encode(coordinates: Tensor, frequencies: int) -> Tensor:
    """`siren.PositionalEncoding` as a function: (…, 2) to (…, 2 + 4L)."""
    return siren.PositionalEncoding(frequencies).to(coordinates.device)(coordinates)


class SineLayer(siren.SineLayer):
    """`siren.SineLayer`, called as notebook 02 prints it: ``first`` may be the fourth argument."""

    def __init__(self, inputs: int, outputs: int, omega_0: float = 30.0, first: bool = False) -> None:
        super().__init__(inputs, outputs, omega_0, first=first)


class Siren(siren.Siren):
    """`siren.Siren` as notebook 02 makes it: on the canvas [−1, 1]², whatever the size of the picture."""

    def __init__(self, width: int = 64, sine_layers: int = 3, frequencies: int = 8, omega_0: float = 30.0) -> None:
        config = siren.SirenConfig(width, sine_layers, frequencies, domain="canvas", omega_0=omega_0)
        super().__init__(config, 2, 2)


def fit(network: nn.Module, coordinates: Tensor, colours: Tensor, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    """The heart of `training.fit`: the losses before each step; the network is left in its best state."""
    losses, best_loss, best_state = [], math.inf, None
    for _ in range(steps):
        loss = (network(coordinates) - colours).square().mean()
        losses.append(loss.item())
        if losses[-1] < best_loss:
            best_loss, best_state = losses[-1], copy.deepcopy(network.state_dict())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if best_state is not None:
        network.load_state_dict(best_state)
    return losses


def render(network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
    """`images.render_tiles`: a network on canvas coordinates as a picture (3, height, width)."""
    return images.render_tiles(network, height, width, source, features=64)


def rate_of_weights(network: nn.Module, height: int, width: int, bits_per_weight: int = 16) -> float:
    """Bits per pixel of all parameters of a network, stored plainly."""
    return bits_per_weight * sum(p.numel() for p in network.parameters()) / (height * width)
