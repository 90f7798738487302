"""Checks of notebook 02's networks: the plain one with ReLU, and SIREN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n02_siren.answers import ReluNetwork, Siren
from tutorial_lib.lessons.n02_siren.checks_layers import right_bound

# ---------------------------------------------------------------------------------------------- 02.0a


def _relu_inputs(random: Random) -> tuple[Any, ...]:
    sides = random.randint(3, 6), random.randint(7, 11), random.choice([2, 4, 5])  # never the notebook's 2, 64 and 3
    tensors = [random.tensor(*shape, low=-0.6, high=0.6) for shape in _relu_shapes(*sides)]
    tensors[-1] = random.tensor(sides[2], low=0.5, high=2)
    tensors[-1][0] -= 3  # so that a ReLU at the end shows,
    tensors[-1][1] += 2  # and is told from a clamp to [0, 1]
    return random.tensor(*random.size(), sides[0], low=-1, high=1), sides, tensors


def _relu_shapes(inputs: int, width: int, outputs: int) -> list[tuple[int, ...]]:
    sides = [inputs, width, width, width, outputs]
    return [shape for n, m in zip(sides, sides[1:], strict=False) for shape in ((m, n), (m,))]


def _counted(network: nn.Module, right: list[tuple[int, ...]]) -> None:
    """Raises what is wrong with the shapes of a network's parameters, as far as it has a name."""
    if not isinstance(network, nn.Module):
        raise Wrong("a network is a torch module here: `class …(nn.Module)`")
    mine = [tuple(p.shape) for p in network.parameters()]
    if not mine:
        raise Wrong(
            "the network has no parameters: is `self.layers` set? In a plain Python list PyTorch doesn't see the "
            "layers: `nn.Sequential(*layers)`."
        )
    if len(mine) == len(right) // 2 and all(len(shape) == 2 for shape in mine):
        raise Wrong("the biases are missing: `nn.Linear` has them, unless `bias=False` takes them away.")


def _relu_output(network_class: type[nn.Module], x: Tensor, sides: tuple[int, int, int], tensors: list[Tensor]) -> Tensor:
    network, right = network_class(*sides), _relu_shapes(*sides)
    _counted(network, right)
    mine = [tuple(p.shape) for p in network.parameters()]
    matrices = sum(len(shape) == 2 for shape in mine)
    if matrices == 5:
        raise Wrong("there is one linear layer too many: three hidden ones, and one more to the outputs.")
    if matrices == 3:
        raise Wrong("one linear layer is missing, or one serves twice: three hidden ones, and then one more to the outputs.")
    if mine[0] == (64, sides[0]) != right[0]:
        raise Wrong("the layers always have 64 neurons: they have `width` of them, 64 unless another number is asked for.")
    if mine[-1] == (3,) != right[-1]:
        raise Wrong("the last layer always gives 3 numbers: it gives `outputs` of them, 3 unless another number is asked for.")
    if mine[0] == (sides[1], 2) != right[0]:
        raise Wrong("the first layer always takes 2 numbers: it takes `inputs` of them.")
    network = network.to(x.device)
    load_parameters(network, tensors)
    return network(x)


def _relu_like(*between: Callable[[Tensor], Tensor]) -> type[nn.Module]:
    """A plain network with these activations behind its four linear layers."""

    class Wrong(ReluNetwork):
        def forward(self, features: Tensor) -> Tensor:
            linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
            for layer, activation in zip(linear, between, strict=True):
                features = activation(layer(features))
            return features

    return Wrong


def _slopes_of_relu(network_class: type[nn.Module], x: Tensor, sides: Any, tensors: list[Tensor]) -> dict[str, Tensor]:
    network, x = network_class(*sides).to(x.device), x.requires_grad_()
    load_parameters(network, tensors)
    return slopes(network(x), {"the features": x, **parameters_of(network)})


def _starts_of_relu(network_class: type[nn.Module], x: Tensor, sides: Any, tensors: list[Tensor]) -> list[bool]:
    """Whether the neurons of each layer start with different weights."""
    return [float(p.detach().std(0).mean()) > 1e-4 for p in network_class(*sides).parameters() if p.ndim > 1]


_ON, _OFF = torch.relu, nn.Identity()

RELU_NETWORK = Exercise(
    id="02.0a",
    title="A plain network",
    minutes=4,
    core=True,
    reference=ReluNetwork,
    checks=(
        Check(
            "the right layers, and the right numbers",
            inputs=_relu_inputs,
            call=_relu_output,
            mistakes=(
                Mistake(
                    "there is a ReLU after the last layer: that one is linear. Where a ReLU gives 0, it passes "
                    "no slope on, and a "
                    "colour stuck at black stays there.",
                    like=_relu_like(_ON, _ON, _ON, _ON),
                ),
                Mistake(
                    "there is no ReLU: four linear layers on top of each other are one linear layer, and paint one ramp.",
                    like=_relu_like(_OFF, _OFF, _OFF, _OFF),
                ),
                Mistake(
                    "a ReLU is missing: there is one after each of the three hidden layers.",
                    like=(
                        _relu_like(_OFF, _ON, _ON, _OFF),
                        _relu_like(_ON, _OFF, _ON, _OFF),
                        _relu_like(_ON, _ON, _OFF, _OFF),
                        _relu_like(_ON, _OFF, _OFF, _OFF),
                        _relu_like(_OFF, _OFF, _ON, _OFF),
                        _relu_like(_OFF, _ON, _OFF, _OFF),
                    ),
                ),
                Mistake(
                    "a sigmoid stands at the end: the last layer is linear here, so that a colour can be any number.",
                    like=_relu_like(_ON, _ON, _ON, torch.sigmoid),
                ),
                Mistake(
                    "the result is clamped to [0, 1]: where it is, no slope comes back. Clamp when the picture is shown.",
                    like=_relu_like(_ON, _ON, _ON, lambda x: x.clamp(0, 1)),
                ),
                Mistake(
                    "that is another activation than ReLU, max(0, z).",
                    like=tuple(
                        _relu_like(other, other, other, _OFF)
                        for other in (torch.tanh, torch.sigmoid, torch.sin, nn.functional.gelu, nn.functional.leaky_relu)
                    ),
                ),
            ),
        ),
        Check(
            "every layer can be trained",
            inputs=_relu_inputs,
            call=_slopes_of_relu,
            tolerance=2e-3,
        ),
        Check(
            "its weights start at random",
            inputs=_relu_inputs,
            call=_starts_of_relu,
            rounds=1,
            mistakes=(
                Mistake(
                    "all neurons of a layer start with the same weights, and would learn the same: leave the start that "
                    "`nn.Linear` gives them.",
                    when=lambda yours, target, *_: not all(yours),
                ),
            ),
        ),
    ),
    hints=(
        "A linear layer is `nn.Linear(numbers in, numbers out)`, and `nn.ReLU()` the bend after it. The first "
        "takes `inputs` numbers, "
        "the others `width`.",
        "`nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), …)`: three such pairs, and at the end "
        "`nn.Linear(width, outputs)` alone.",
        "`forward` sends the numbers through: `return self.layers(features)`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 02.3


def _shapes_of(width: int, sine_layers: int, frequencies: int) -> list[tuple[int, ...]]:
    sides = [2 + 4 * frequencies, *[width] * sine_layers, 3]
    return [shape for n, m in zip(sides, sides[1:], strict=False) for shape in ((m, n), (m,))]


def _siren_inputs(random: Random) -> tuple[Any, ...]:
    width, layers, frequencies = random.randint(5, 9), random.randint(2, 4), random.randint(1, 4)
    omega_0 = random.choice([8.0, 15.0, 22.0])
    tensors = []
    for shape in _shapes_of(width, layers, frequencies):
        bound = math.sqrt(6 / shape[1]) / omega_0 if len(shape) == 2 else 0.5 / omega_0
        tensors.append(random.tensor(*shape, low=-bound, high=bound))
    tensors[-1] = random.tensor(3, low=-1, high=2)  # so that clamping the colours shows
    return random.tensor(*random.size(), 2, low=-1, high=1), (width, layers, frequencies, omega_0), tensors


def _made(siren_class: type[nn.Module], shape: tuple[int, int, int, float]) -> nn.Module:
    """The participant's network, or what is wrong with how it is built."""
    network, right = siren_class(*shape), _shapes_of(*shape[:3])
    _counted(network, right)
    mine = [tuple(p.shape) for p in network.parameters()]
    if mine[0] != right[0] and mine[0][-1] == 2:
        raise Wrong(f"the first layer takes 2 numbers; with the encoding in front it gets 2 + 4L of them, {right[0][1]} here.")
    if len(mine) == len(right) + 2:
        raise Wrong("there is one layer too many: `sine_layers` counts the first one as well.")
    if len(mine) == len(right) - 2:
        raise Wrong(
            "one layer is missing, or one serves twice: `sine_layers` sine layers, and then a linear one to the three colours."
        )
    if mine[-1] == (1,):
        raise Wrong("the last layer has one output: a colour has three numbers, red, green and blue.")
    return network


def _painted(
    siren_class: type[nn.Module], coordinates: Tensor, shape: tuple[int, int, int, float], tensors: list[Tensor]
) -> Tensor:
    network = _made(siren_class, shape).to(coordinates.device)
    load_parameters(network, tensors)
    return network(coordinates)


def _slopes(siren_class: type[nn.Module], coordinates: Tensor, shape: Any, tensors: list[Tensor]) -> dict[str, Tensor]:
    network, coordinates = _made(siren_class, shape).to(coordinates.device), coordinates.requires_grad_()
    load_parameters(network, tensors)
    return slopes(network(coordinates), {"the coordinates": coordinates, **parameters_of(network)})


def _siren_like(after=None, omega=lambda omega: omega) -> type[nn.Module]:
    class Wrong(Siren):
        def __init__(self, width: int, sine_layers: int, frequencies: int, omega_0: float) -> None:
            super().__init__(width, sine_layers, frequencies, omega(omega_0))
            self.right_omega = omega_0

        def forward(self, coordinates: Tensor) -> Tensor:
            output = super().forward(coordinates)
            return after(output, self.right_omega) if after else output

    return Wrong


def _drawn_by(name: str, rule: Callable[[int, float], float]) -> Callable[..., bool]:
    """Whether a layer's weights fill the bound of a rule (inputs, ω₀), another than theirs."""

    def fits(yours: dict[str, float], target: dict[str, float], shape: tuple[int, int, int, float]) -> bool:
        n, omega_0 = (2 + 4 * shape[2] if name == "first layer" else shape[0]), shape[3]
        return abs(yours[name] * right_bound(n, omega_0, name == "first layer") / rule(n, omega_0) - 1) < 0.06

    return fits


def _first_and_last(siren_class: type[nn.Module], shape: tuple[int, int, int, float]) -> dict[str, float]:
    network = _made(siren_class, shape)
    matrices = [p.detach() for p in network.parameters() if p.ndim == 2]
    return {
        name: float(matrix.abs().max() / right_bound(matrix.shape[1], shape[3], name == "first layer"))
        for name, matrix in (("first layer", matrices[0]), ("hidden layer", matrices[1]), ("last layer", matrices[-1]))
    }


SIREN = Exercise(
    id="02.3",
    title="SIREN",
    minutes=4,
    core=True,
    reference=Siren,
    checks=(
        Check(
            "the right layers, and the right colours",
            inputs=_siren_inputs,
            call=_painted,
            mistakes=(
                Mistake(
                    "there is a sine after the last layer: that one is linear, so that a colour can be any number.",
                    like=(
                        _siren_like(lambda y, omega: torch.sin(omega * y)),
                        _siren_like(lambda y, omega: torch.sin(y)),
                    ),
                ),
                Mistake(
                    "the colours are clamped, or go through a ReLU: where they are cut off, no gradient flows. Clamp when the "
                    "picture is shown, not here.",
                    like=(_siren_like(lambda y, omega: y.clamp(0, 1)), _siren_like(lambda y, omega: y.clamp_min(0))),
                ),
                Mistake(
                    "the colours go through a sigmoid: SIREN's last layer is linear.",
                    like=_siren_like(lambda y, omega: torch.sigmoid(y)),
                ),
                Mistake(
                    "`omega_0` doesn't reach the layers: each is made with its own 30. Pass it on.",
                    like=_siren_like(omega=lambda omega: 30.0),
                ),
                Mistake(
                    "the layers get the bare coordinates: `forward` has to encode them first.",
                    error=r"cannot be multiplied \(\d+x2 and",
                ),
                Mistake(
                    "`forward` encodes with 8 frequencies, whatever the network was made for: use `self.frequencies`.",
                    error=r"cannot be multiplied \(\d+x34 and",
                ),
            ),
        ),
        Check(
            "without frequencies it takes (x, y)",
            inputs=lambda random: (
                random.tensor(*random.size(), 2, low=-1, high=1),
                (6, 2, 0, 10.0),
                [random.tensor(*shape, low=-0.3, high=0.3) for shape in _shapes_of(6, 2, 0)],
            ),
            call=_painted,
        ),
        Check(
            "every layer can be trained",
            inputs=_siren_inputs,
            call=_slopes,
            tolerance=2e-3,
            mistakes=(
                Mistake(
                    "a gradient stops on its way: nothing in `forward` may be under `torch.no_grad()` or detached, the encoding "
                    "included. The fit needs the slope of every weight, and a later cell those along x and y.",
                    error="no gradient",
                ),
            ),
        ),
        Check(
            "every layer starts with the right spread",
            inputs=lambda random: ((64, 3, random.randint(3, 6), random.choice([45.0, 70.0])),),
            call=_first_and_last,
            tolerance=0.07,
            mistakes=(
                Mistake(
                    "the first layer starts like the others: it needs `first=True`.",
                    when=_drawn_by("first layer", lambda n, omega: right_bound(n, omega, False)),
                ),
                Mistake(
                    "the hidden layers start like the first one: `first=True` is for the first alone.",
                    when=_drawn_by("hidden layer", lambda n, omega: 1 / n),
                ),
                Mistake(
                    "the last layer still has PyTorch's start: draw its weights as the hidden layers' with "
                    "`siren.initialize(layer, omega_0)`.",
                    when=_drawn_by("last layer", lambda n, omega: 1 / math.sqrt(n)),
                ),
                Mistake(
                    "the last layer starts like the first one: `siren.initialize(layer, omega_0)`, without `first=True`.",
                    when=_drawn_by("last layer", lambda n, omega: 1 / n),
                ),
                Mistake(
                    "the last layer is drawn for ω₀ = 30, whatever the network's is: `siren.initialize(layer, omega_0)`.",
                    when=_drawn_by("last layer", lambda n, omega: math.sqrt(6 / n) / 30),
                ),
                Mistake(
                    "the last layer's bound is not divided by ω₀: `siren.initialize(layer, omega_0)` does so.",
                    when=_drawn_by("last layer", lambda n, omega: math.sqrt(6 / n)),
                ),
            ),
        ),
    ),
    hints=(
        "How many numbers does `encode(coordinates, frequencies)` give for a point? So many inputs has the first layer.",
        "Make a list: `SineLayer(inputs, width, omega_0, first=True)`, then `sine_layers - 1` of `SineLayer(width, width, "
        "omega_0)`, then `nn.Linear(width, 3)`. `nn.Sequential(*layers)` makes one module of it.",
        "The last layer needs `siren.initialize(layer, omega_0)`. And `forward` returns `self.layers(…)` of the encoded "
        "coordinates.",
    ),
)
