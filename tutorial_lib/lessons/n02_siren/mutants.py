"""Wrong answers to the exercises of notebook 02 that people really write."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import nn

from tutorial_lib.networks import siren

# ----------------------------------------------------------------------------------------------- 02.0a


def relu_network(*, hidden=3, bends=(0, 1, 2), bend=nn.ReLU, last=False, plain_list=False, outputs_always=None):
    class Network(nn.Module):
        def __init__(self, inputs=2, width=64, outputs=3):
            super().__init__()
            layers = []
            for number in range(hidden):
                layers += [nn.Linear(width if number else inputs, width)] + [bend()] * (number in bends)
            layers += [nn.Linear(width, outputs_always or outputs)] + [nn.ReLU()] * last
            self.layers = layers if plain_list else nn.Sequential(*layers)

        def forward(self, features):
            for layer in self.layers:
                features = layer(features)
            return features

    return Network


class Clamped(relu_network()):
    def forward(self, features):
        return super().forward(features).clamp(0, 1)


class InputsDetached(relu_network()):
    def forward(self, features):
        return super().forward(features.detach())


class AllZero(relu_network()):
    def __init__(self, inputs=2, width=64, outputs=3):
        super().__init__(inputs, width, outputs)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


# ------------------------------------------------------------------------------------------------ 02.1


def without_pi(coordinates, frequencies):
    angles = (coordinates.unsqueeze(-1) * 1.4 ** torch.arange(frequencies, device=coordinates.device)).flatten(-2)
    return torch.cat([coordinates, torch.sin(angles), torch.cos(angles)], dim=-1)


def doubling(coordinates, frequencies):
    periods = math.pi * 2.0 ** torch.arange(frequencies, device=coordinates.device)
    angles = (coordinates.unsqueeze(-1) * periods).flatten(-2)
    return torch.cat([coordinates, torch.sin(angles), torch.cos(angles)], dim=-1)


def pi_inside_the_power(coordinates, frequencies):
    angles = (coordinates[..., None] * (math.pi * 1.4) ** torch.arange(frequencies, device=coordinates.device)).flatten(-2)
    return torch.cat([coordinates, torch.sin(angles), torch.cos(angles)], dim=-1)


def in_equal_steps(coordinates, frequencies):
    angles = (coordinates[..., None] * math.pi * 1.4 * torch.arange(frequencies, device=coordinates.device)).flatten(-2)
    return torch.cat([coordinates, torch.sin(angles), torch.cos(angles)], dim=-1)


def interleaved(coordinates, frequencies):
    x, y = coordinates.unbind(-1)
    parts = [x, y]
    for axis in (x, y):
        for i in range(frequencies):
            parts += [torch.sin(math.pi * 1.4**i * axis), torch.cos(math.pi * 1.4**i * axis)]
    return torch.stack(parts, dim=-1)


def waves_alone(coordinates, frequencies):
    return siren.PositionalEncoding(frequencies).to(coordinates.device)(coordinates)[..., 2:]


def grids_alone(coordinates, frequencies):
    periods = math.pi * 1.4 ** torch.arange(frequencies, device=coordinates.device)
    angles = (coordinates[..., None] * periods).reshape(*coordinates.shape[:2], 2 * frequencies)
    return torch.cat([coordinates, torch.sin(angles), torch.cos(angles)], dim=-1)


def through_numpy(coordinates, frequencies):
    angles = (coordinates.detach().cpu().numpy()[..., None] * np.pi * 1.4 ** np.arange(frequencies)).reshape(
        *coordinates.shape[:-1], 2 * frequencies
    )
    waves = torch.from_numpy(np.concatenate([np.sin(angles), np.cos(angles)], -1)).float().to(coordinates.device)
    return torch.cat([coordinates.detach(), waves], dim=-1)


# ------------------------------------------------------------------------------------------------ 02.2


class NoOmega(siren.SineLayer):
    def forward(self, features):
        return torch.sin(nn.Linear.forward(self, features))


class FirstEverywhere(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0)
        nn.init.uniform_(self.weight, -1 / inputs, 1 / inputs)


class NotDivided(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0)
        bound = 1 / inputs if first else math.sqrt(6 / inputs)
        nn.init.uniform_(self.weight, -bound, bound)


class Normal(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0)
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
        nn.init.normal_(self.weight, 0, bound)


class OneSided(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0)
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
        self.weight.data = bound * torch.rand(outputs, inputs)


class Xavier(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0)
        nn.init.xavier_uniform_(self.weight)


class BiasesToo(siren.SineLayer):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs, omega_0, first=first)
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
        nn.init.uniform_(self.bias, -bound, bound)


class OwnStart(nn.Linear):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs)
        self.omega_0 = omega_0

    def forward(self, features):
        return torch.sin(self.omega_0 * super().forward(features))


# ------------------------------------------------------------------------------------------------ 02.3


class EncodedUnderNoGrad(siren.Siren):
    def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
        super().__init__(siren.SirenConfig(width, sine_layers, frequencies, domain="canvas", omega_0=omega_0), 2, 2)

    def forward(self, coordinates):
        with torch.no_grad():
            features = self.encoding(coordinates)
        return self.layers(features)


def network_like(
    *, last_sine=False, plain_list=False, bare=False, eight=False, pass_omega=True, start_last=True, last_first=False
):
    class Network(nn.Module):
        def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
            super().__init__()
            self.frequencies = frequencies
            omega = omega_0 if pass_omega else 30.0
            layers = [siren.SineLayer(2 + 4 * frequencies, width, omega, first=True)]
            layers += [siren.SineLayer(width, width, omega) for _ in range(sine_layers - 1)]
            last = siren.SineLayer(width, 3, omega) if last_sine else nn.Linear(width, 3)
            if start_last:
                siren.initialize(last, omega_0, first=last_first)
            layers.append(last)
            self.layers = layers if plain_list else nn.Sequential(*layers)

        def forward(self, coordinates):
            features = coordinates
            if not bare:
                count = 8 if eight else self.frequencies
                features = siren.PositionalEncoding(count).to(coordinates.device)(coordinates)
            for layer in self.layers:
                features = layer(features)
            return features

    return Network


# ----------------------------------------------------------------------------------------- 02.0b, 02.4


def loop(
    *, memory=False, order="loss note keep zero backward step", kept="state", update=True, sign=1, number=True, mean=torch.mean
):
    def fit(network, coordinates, colours, optimizer, steps):
        losses, best_loss, best_state = [], float("inf"), None
        for _ in range(steps):
            for what in order.split():
                if what == "loss":
                    loss = sign * mean((network(coordinates) - colours) ** 2)
                elif what == "note":
                    losses.append(loss.item() if number else loss)
                elif what == "keep" and memory and loss.item() < best_loss:
                    best_loss = loss.item() if update else best_loss
                    best_state = {
                        "state": lambda: copy.deepcopy(network.state_dict()),
                        "alias": lambda: network.state_dict(),
                        "network": lambda: copy.deepcopy(network),
                        "nothing": lambda: None,
                    }[kept]()
                elif what == "zero":
                    optimizer.zero_grad()
                elif what == "backward":
                    loss.backward()
                elif what == "step":
                    optimizer.step()
        if memory:
            network.load_state_dict(best_state)
        return losses

    return fit


def better_than_the_one_before(network, coordinates, colours, optimizer, steps):
    losses, state = [], None
    for _ in range(steps):
        loss = ((network(coordinates) - colours) ** 2).mean()
        if not losses or loss.item() < losses[-1]:
            state = copy.deepcopy(network.state_dict())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.load_state_dict(state)
    return losses


# ------------------------------------------------------------------------------------------------ 02.5


def renderer(axis, *, sideways=False, colours_last=False, clamp=True, graph=False, source_swapped=False):
    def render(network, height, width, source):
        source = source[::-1] if source_swapped else source
        device = next(network.parameters()).device
        x, y = axis(width, source[1]).to(device), axis(height, source[0]).to(device)
        y, x = torch.meshgrid(y, x, indexing="ij")
        picture = network(torch.stack([x, y], dim=-1))
        picture = picture if colours_last else picture.permute(2, 1, 0) if sideways else picture.movedim(-1, 0)
        picture = picture.clamp(0, 1) if clamp else picture
        return picture if graph else picture.detach()

    return render


def centres(length, source):
    return 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / (source - 1) - 1


def corners(length, source):
    return torch.linspace(-1, 1, length)


def no_halves(length, source):
    return 2 * (torch.arange(length) * source / length) / (source - 1) - 1


# ------------------------------------------------------------------------------------------------ 02.6


def no_biases(network, height, width, bits_per_weight=16):
    weights = sum(p.numel() for name, p in network.named_parameters() if "weight" in name)
    return bits_per_weight * weights / (height * width)


def in_bytes(network, height, width, bits_per_weight=16):
    return bits_per_weight / 8 * sum(p.numel() for p in network.parameters()) / (height * width)


def as_computed(network, height, width, bits_per_weight=16):
    return 8 * sum(p.numel() * p.element_size() for p in network.parameters()) / (height * width)


def each_colour(network, height, width, bits_per_weight=16):
    return bits_per_weight * sum(p.numel() for p in network.parameters()) / (3 * height * width)


def tensors(network, height, width, bits_per_weight=16):
    return bits_per_weight * len(list(network.parameters())) / (height * width)


MUTANTS = {
    "02.0a": {
        "ReLU at the end": (relu_network(last=True), "after the last layer"),
        "no ReLU": (relu_network(bends=()), "there is no ReLU"),
        "one ReLU missing": (relu_network(bends=(0, 2)), "a ReLU is missing"),
        "one layer too many": (relu_network(hidden=4, bends=(0, 1, 2, 3)), "one linear layer too many"),
        "one layer missing": (relu_network(hidden=2, bends=(0, 1)), "one linear layer is missing"),
        "tanh for ReLU": (relu_network(bend=nn.Tanh), "another activation"),
        "layers in a plain list": (relu_network(plain_list=True), "plain Python list"),
        "three outputs always": (relu_network(outputs_always=3), "always gives 3"),
        "clamped": (Clamped, "clamped to [0, 1]"),
        "inputs detached": (InputsDetached, "no gradient reaches the features"),
        "all weights 0": (AllZero, "start with the same weights"),
    },
    "02.0b": {
        "zero_grad missing": (loop(order="loss note backward step"), "pile up"),
        "zero_grad between backward and step": (loop(order="loss note backward zero step"), "the same before every step"),
        "step before backward": (loop(order="loss note step zero backward"), "comes before"),
        "losses after the step": (loop(order="loss zero backward step loss note"), "after each step"),
        "sign of the loss": (loop(sign=-1), "sign is wrong"),
        "sum for mean": (loop(mean=torch.sum), "the loss is a sum"),
        "losses with their graphs": (loop(number=False), "loss.item()"),
    },
    "02.1": {
        "π missing": (without_pi, "π is missing"),
        "doubling as in NeRF": (doubling, "1.4 times"),
        "sine and cosine alternate": (interleaved, "alternate"),
        "π inside the power": (pi_inside_the_power, "inside the power"),
        "frequencies in equal steps": (in_equal_steps, "equal steps"),
        "coordinates left out": (waves_alone, "x and y themselves are missing"),
        "through NumPy": (through_numpy, "no slope along x and y"),
        "works on grids alone": (grids_alone, "on a list (N, 2)"),
    },
    "02.2": {
        "ω₀ missing": (NoOmega, "ω₀ is missing"),
        "first layer's rule everywhere": (FirstEverywhere, "bound of the first layer"),
        "not divided by ω₀": (NotDivided, "division by ω₀ is missing"),
        "normal for uniform": (Normal, "normally distributed"),
        "on one side of 0": (OneSided, "on one side"),
        "Xavier's start": (Xavier, "Xavier's"),
        "biases drawn, too": (BiasesToo, "biases were drawn anew"),
        "start left to PyTorch": (OwnStart, "PyTorch's own start"),
    },
    "02.3": {
        "sine after the last layer": (network_like(last_sine=True), "after the last layer"),
        "layers in a plain list": (network_like(plain_list=True), "plain Python list"),
        "coordinates not encoded": (network_like(bare=True), "bare coordinates"),
        "encoded with 8 frequencies": (network_like(eight=True), "with 8 frequencies"),
        "last layer as the first": (network_like(last_first=True), "starts like the first"),
        "ω₀ not passed on": (network_like(pass_omega=False), "doesn't reach the layers"),
        "encoded under no_grad": (EncodedUnderNoGrad, "a gradient stops"),
        "last layer's start": (network_like(start_last=False), "the last layer still has"),
    },
    "02.4": {
        "best state not copied": (loop(memory=True, kept="alias"), "hold"),
        "best state after the step": (
            loop(memory=True, order="loss note zero backward step keep"),
            "from after the step",
        ),
        "best loss never noted": (loop(memory=True, update=False), "which changes together"),
        "whole network kept": (loop(memory=True, kept="network"), "wants a state"),
        "nothing kept": (loop(memory=True, kept="nothing"), "still None"),
        "zero_grad missing": (loop(memory=True, order="loss note keep backward step"), "pile up"),
        "zero_grad after backward": (loop(memory=True, order="loss note keep backward zero step"), "the same before every step"),
        "losses with their graphs": (loop(memory=True, number=False), "loss.item()"),
    },
    "02.5": {
        "corners for centres": (renderer(corners), "corners instead of centres"),
        "half pixels missing": (renderer(no_halves), "half pixel"),
        "height and width swapped": (renderer(centres, sideways=True), "H and W are swapped"),
        "colours last": (renderer(centres, colours_last=True), "colours come last"),
        "source swapped": (renderer(centres, source_swapped=True), "source's height and width"),
        "squares' rims": (renderer(lambda length, source: 2 * (torch.arange(length) + 0.5) / length - 1), "outermost"),
        "not clamped": (renderer(centres, clamp=False), "leave [0, 1]"),
        "gradients kept": (renderer(centres, graph=True), "graph of gradients"),
    },
    "02.6": {
        "biases not counted": (no_biases, "biases are not counted"),
        "bytes for bits": (in_bytes, "bytes instead of bits"),
        "float32 for float16": (as_computed, "32 bits a weight"),
        "divided by the colours": (each_colour, "three colours"),
        "weights per pixel": (lambda network, *size: as_computed(network, *size[:2]) / 32, "weights per pixel"),
        "tensors counted": (tensors, "tensors are counted"),
    },
}
