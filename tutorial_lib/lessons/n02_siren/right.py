"""Right answers to the exercises of notebook 02 in other styles than ours: they must pass."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tutorial_lib.networks import siren

# ----------------------------------------------------------------------------------------- 02.0a, 02.0b


class ReluByName(nn.Module):
    def __init__(self, inputs=2, width=64, outputs=3):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, features):
        return self.last(F.relu(self.three(F.relu(self.two(F.relu(self.one(features)))))))


class ReluInAList(nn.Module):
    def __init__(self, inputs=2, width=64, outputs=3):
        super().__init__()
        sides = [inputs, width, width, width, outputs]
        self.layers = nn.ModuleList(nn.Linear(sides[i], sides[i + 1]) for i in range(4))

    def forward(self, features):
        for number, layer in enumerate(self.layers):
            features = layer(features)
            if number < 3:
                features = torch.where(features > 0, features, torch.zeros_like(features))
        return features


class ReluAppended(nn.Sequential):
    def __init__(self, inputs=2, width=64, outputs=3):
        super().__init__(nn.Linear(inputs, width), nn.ReLU())
        for _ in range(2):
            self.extend([nn.Linear(width, width), nn.ReLU()])
        self.append(nn.Linear(in_features=width, out_features=outputs))


def descend_by_mse(network, coordinates, colours, optimizer, steps):
    history = []
    for _ in range(steps):
        network.zero_grad(set_to_none=True)
        loss = F.mse_loss(network(coordinates), colours)
        loss.backward()
        history.append(float(loss))
        optimizer.step()
    return history


def descend_by_hand(network, coordinates, colours, optimizer, steps):
    losses = [0.0] * steps
    step = 0
    while step < steps:
        difference = (network(coordinates) - colours).flatten()
        loss = difference @ difference / difference.numel()
        losses[step] = loss.detach().cpu().numpy().item()
        for parameter, slope in zip(network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True):
            parameter.grad = slope
        optimizer.step()
        step += 1
    return losses


def descend_zero_last(network, coordinates, colours, optimizer, steps):
    losses = []
    for _ in range(steps):
        loss = torch.mean(torch.pow(colours - network(coordinates), 2))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses += [loss.item()]
    return losses


# ------------------------------------------------------------------------------------------------ 02.1


def encode_by_loops(coordinates, frequencies):
    parts = [coordinates[..., 0], coordinates[..., 1]]
    for wave in (torch.sin, torch.cos):
        for axis in (0, 1):
            for i in range(frequencies):
                parts.append(wave(math.pi * 1.4**i * coordinates[..., axis]))
    return torch.stack(parts, dim=-1)


def encode_by_numpy(coordinates, frequencies):
    periods = np.pi * 1.4 ** np.arange(frequencies)
    angles = (coordinates.double()[..., None] * torch.from_numpy(periods).to(coordinates.device)).flatten(-2)
    return torch.cat([coordinates.double(), angles.sin(), angles.cos()], -1).float()


def encode_by_einsum(coordinates, frequencies):
    periods = torch.pow(1.4, coordinates.new_tensor(range(frequencies))) * torch.pi
    angles = torch.einsum("...a,l->...al", coordinates, periods)
    x, y = angles[..., 0, :], angles[..., 1, :]
    return torch.concatenate((coordinates, torch.sin(x), torch.sin(y), torch.cos(x), torch.cos(y)), dim=-1)


def encode_into_a_table(coordinates, frequencies):
    result = coordinates.new_zeros(*coordinates.shape[:-1], 2 + 4 * frequencies)
    result[..., :2] = coordinates
    for i in range(frequencies):
        angle = math.pi * 1.4**i * coordinates
        result[..., 2 + i], result[..., 2 + frequencies + i] = angle[..., 0].sin(), angle[..., 1].sin()
        result[..., 2 + 2 * frequencies + i], result[..., 2 + 3 * frequencies + i] = angle[..., 0].cos(), angle[..., 1].cos()
    return result


# ------------------------------------------------------------------------------------------------ 02.2


class FunctionalLayer(nn.Linear):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        nn.Linear.__init__(self, inputs, outputs)
        self.omega_0, n = omega_0, inputs
        with torch.no_grad():
            self.weight.uniform_(-1 / n, 1 / n) if first else self.weight.uniform_(-((6 / n) ** 0.5), (6 / n) ** 0.5).div_(
                omega_0
            )

    def forward(self, features):
        return (F.linear(features, self.weight, self.bias) * self.omega_0).sin()


class DrawnLayer(nn.Linear):
    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs)
        self.omega_0 = omega_0
        bound = np.where(first, 1 / inputs, np.sqrt(6 / inputs) / omega_0).item()
        self.weight.data = (2 * torch.rand(outputs, inputs) - 1) * bound

    def forward(self, features):
        return torch.sin(self.omega_0 * (features @ self.weight.T + self.bias))


class ScaledLayer(nn.Linear):
    """The waves' speed goes into the weights, as the library has it."""

    def __init__(self, inputs, outputs, omega_0=30.0, first=False):
        super().__init__(inputs, outputs)
        self.omega_0 = omega_0
        distribution = torch.distributions.Uniform(-1.0, 1.0)
        scale = 1 / inputs if first else math.sqrt(6 / inputs) / omega_0
        self.weight = nn.Parameter(scale * distribution.sample((outputs, inputs)))

    def forward(self, features):
        weight, bias = self.weight * self.omega_0, self.bias * self.omega_0
        return torch.sin(torch.einsum("...i,oi->...o", features, weight) + bias)


# ------------------------------------------------------------------------------------------------ 02.3


class ListOfLayers(nn.Module):
    def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
        super().__init__()
        self.frequencies = frequencies
        sizes = [2 + 4 * frequencies] + [width] * sine_layers
        self.layers = nn.ModuleList(
            FunctionalLayer(n, m, omega_0, k == 0) for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False))
        )
        self.layers.append(nn.Linear(width, 3))
        bound = math.sqrt(6 / width) / omega_0
        nn.init.uniform_(self.layers[-1].weight, -bound, bound)

    def forward(self, coordinates):
        features = encode_by_loops(coordinates, self.frequencies)
        for layer in self.layers:
            features = layer(features)
        return features


class NamedLayers(nn.Module):
    def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
        super().__init__()
        self.encoding = siren.PositionalEncoding(frequencies)
        self.first = siren.SineLayer(2 + 4 * frequencies, width, omega_0=omega_0, first=True)
        self.hidden = nn.Sequential()
        for number in range(1, sine_layers):
            self.hidden.add_module(f"sine {number}", siren.SineLayer(width, width, omega_0))
        self.last = nn.Linear(width, 3)
        siren.initialize(self.last, omega_0)

    def forward(self, coordinates):
        return self.last(self.hidden(self.first(self.encoding(coordinates))))


class AppendedLayers(nn.Module):
    def __init__(self, width=64, sine_layers=3, frequencies=8, omega_0=30.0):
        super().__init__()
        self.frequencies = frequencies
        self.layers = nn.Sequential(DrawnLayer(2 + 4 * frequencies, width, omega_0, True))
        while len(self.layers) < sine_layers:
            self.layers.append(DrawnLayer(width, width, omega_0))
        linear = nn.Linear(width, 3)
        siren.initialize(linear, omega_0=omega_0)
        self.layers.append(linear)

    def forward(self, coordinates):
        return self.layers(encode_into_a_table(coordinates, self.frequencies))


# ------------------------------------------------------------------------------------------------ 02.4


def fit_by_hand(network, coordinates, colours, optimizer, steps):
    losses, best = [], None
    for _ in range(steps):
        loss = F.mse_loss(network(coordinates), colours)
        if not losses or loss.item() < min(losses):
            best = {name: value.clone() for name, value in network.state_dict().items()}
        losses.append(float(loss.detach()))
        network.zero_grad()
        loss.backward()
        optimizer.step()
    network.load_state_dict(best)
    return losses


def fit_with_all_states(network, coordinates, colours, optimizer, steps):
    losses, states = [], []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss = (network(coordinates) - colours).pow(2).mean()
        loss.backward()
        losses.append(loss.detach().item())
        states.append([parameter.detach().clone() for parameter in network.parameters()])
        optimizer.step()
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), states[int(np.argmin(losses))], strict=True):
            parameter.copy_(value)
    return losses


def fit_in_numpy_losses(network, coordinates, colours, optimizer, steps):
    losses = np.full(steps, np.inf)
    vector = None
    for step in range(steps):
        optimizer.zero_grad()
        loss = torch.square(network(coordinates) - colours).mean()
        losses[step] = loss.item()
        if losses.argmin() == step:
            vector = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
        loss.backward()
        optimizer.step()
    nn.utils.vector_to_parameters(vector, network.parameters())
    return losses.tolist()


# ------------------------------------------------------------------------------------------------ 02.5


def _place(pixel, new, old):
    return 2 * ((pixel + 0.5) * old / new - 0.5) / (old - 1) - 1


def render_by_loops(network, height, width, source):
    device = next(network.parameters()).device
    picture = torch.empty(3, height, width, device=device)
    for py in range(height):
        for px in range(width):
            at = torch.tensor([_place(px, width, source[1]), _place(py, height, source[0])], device=device)
            picture[:, py, px] = network(at[None])[0].detach().clamp(0, 1)
    return picture


def render_by_numpy(network, height, width, source):
    parameter = next(network.parameters())
    x, y = (_place(np.arange(n), n, old) for n, old in ((width, source[1]), (height, source[0])))
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), -1).astype(np.float32)).to(parameter.device)
    with torch.no_grad():
        return network(grid).permute(2, 0, 1).clip(0, 1)


def render_as_a_list(network, height, width, source):
    device = next(network.parameters()).device
    x = _place(torch.arange(width, device=device), width, source[1])
    y = _place(torch.arange(height, device=device), height, source[0])
    with torch.inference_mode():
        colours = network(torch.cartesian_prod(y, x).flip(-1))
        return colours.T.reshape(3, height, width).clamp(0, 1)


# ------------------------------------------------------------------------------------------------ 02.6


def rate_by_loops(network, height, width, bits_per_weight=16):
    bits = 0
    for parameter in network.parameters():
        for _ in parameter.flatten():
            bits += bits_per_weight
    return bits / height / width


def rate_by_numpy(network, height, width, bits_per_weight=16):
    counts = [np.prod(parameter.shape) for _, parameter in network.named_parameters()]
    return np.sum(counts) * bits_per_weight / (height * width)


def rate_of_the_vector(network, height, width, bits_per_weight=16):
    return bits_per_weight * len(nn.utils.parameters_to_vector(network.parameters())) / (width * height)


RIGHT = {
    "02.0a": {"by name": ReluByName, "where": ReluInAList, "a Sequential": ReluAppended},
    "02.0b": {"mse_loss": descend_by_mse, "by hand": descend_by_hand, "zero last": descend_zero_last},
    "02.1": {
        "loops": encode_by_loops,
        "NumPy and float64": encode_by_numpy,
        "einsum": encode_by_einsum,
        "into a table": encode_into_a_table,
    },
    "02.2": {"functional": FunctionalLayer, "drawn by hand": DrawnLayer, "scaled weights": ScaledLayer},
    "02.3": {"list of layers": ListOfLayers, "named layers": NamedLayers, "appended layers": AppendedLayers},
    "02.4": {"by hand": fit_by_hand, "all states": fit_with_all_states, "losses in NumPy": fit_in_numpy_losses},
    "02.5": {"loops": render_by_loops, "NumPy": render_by_numpy, "as a list": render_as_a_list},
    "02.6": {"loops": rate_by_loops, "NumPy": rate_by_numpy, "vector": rate_of_the_vector},
}
