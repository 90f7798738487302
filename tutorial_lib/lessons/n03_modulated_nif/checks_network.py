"""Checks of notebook 03's network, NIF."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n03_modulated_nif.answers import Nif, modulated

Shape = tuple[tuple[int, ...], tuple[int, ...], int, int]


def _network_inputs(random: Random) -> tuple[Any, ...]:
    genesis = tuple(random.randint(5, 8) for _ in range(random.randint(2, 3)))
    modulation = tuple(random.randint(4, 6) for _ in range(random.randint(1, 2)))
    shape: Shape = (genesis, modulation, random.randint(2, 4), random.choice([1, 5]))
    tensors = []
    for parameter in Nif(*shape).parameters():
        size = tuple(parameter.shape)
        bound = math.sqrt(6 / size[1]) / 30 if len(size) == 2 else 0.01
        # f_m beyond ±1 and colours of all sizes, so that a modulation gone astray shows
        tensors.append(_uniform(random, size, {1: 60 * bound, 3: 10 * bound}.get(size[0], bound)))
    tensors[2 * len(genesis) + 1] = random.tensor(3, low=-2, high=3)  # the last bias: beyond [0, 1], so that clamping shows
    return random.tensor(*random.size(), 2, low=-1, high=1), shape, tensors


def _uniform(random: Random, size: tuple[int, ...], bound: float) -> Tensor:
    return random.tensor(*size, low=-bound, high=bound)


def _loaded(nif_class: type[nn.Module], coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Any:
    network = nif_class(*shape).to(coordinates.device)
    load_parameters(network, tensors)
    return network, network.features(coordinates)


def _map(nif_class: type[nn.Module], coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Tensor:
    network, features = _loaded(nif_class, coordinates, shape, tensors)
    return network.modulation_map(features)


def _colours(nif_class: type[nn.Module], coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Tensor:
    network, features = _loaded(nif_class, coordinates, shape, tensors)
    return network.colours(features)


def _slopes(nif_class: type[nn.Module], coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> dict[str, Tensor]:
    """Of the genesis network's parameters, and of the modulation network's."""
    network, features = _loaded(nif_class, coordinates, shape, tensors)
    features = features.detach().requires_grad_()
    return slopes(network.colours(features), {"the features": features, **parameters_of(network)})


def _colours_of_another_map(nif_class: type[nn.Module], coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Tensor:
    network, features = _loaded(nif_class, coordinates, shape, tensors)
    network.modulation_map = lambda features: coordinates[..., :1]
    return network.colours(features)


def nif_like(
    *,
    modulated_layers: slice = slice(None),
    last: Callable[[Tensor], Tensor] = lambda y: y,
    range_of: Callable[[Tensor], Tensor] = lambda y: (y + 1) / 2,
    map_of: Callable[[Tensor], Tensor] = lambda f: f,
    sigma: float = 10.0,
    inlined: bool = False,
) -> type[nn.Module]:
    """NIFs that differ from the right one in one thing; arguments as they are right."""

    class Wrong(Nif):
        def modulation_map(self, features: Tensor) -> Tensor:
            return map_of(self.modulation(features[..., self.inputs[0] :]))

        def colours(self, features: Tensor) -> Tensor:
            f_m = Wrong.modulation_map(self, features) if inlined else self.modulation_map(features)
            y = features[..., : self.inputs[0]]
            layers = list(self.genesis[:-1])
            for layer in layers:
                there = f_m if layer in layers[modulated_layers] else torch.zeros_like(f_m)
                y = modulated(layer, y, there, sigma=sigma)
            return range_of(last(self.genesis[-1](y)))

    return Wrong


_MATRIX = (
    "a layer gets the wrong numbers: the first `self.inputs` features are the genesis network's, "
    "`features[..., : self.inputs]`; the rest are the modulation network's."
)

NIF = Exercise(
    id="03.3",
    title="The NIF forward pass",
    minutes=6,
    core=True,
    reference=Nif,
    checks=(
        Check(
            "the modulation map f_m, one number for each place",
            inputs=_network_inputs,
            call=_map,
            tolerance=1e-3,
            mistakes=(
                Mistake(_MATRIX, error=r"cannot be multiplied|mat1 and mat2|size of tensor"),
                Mistake(
                    "σ is already in the map: `modulated` multiplies with it, so it would count twice.",
                    like=nif_like(map_of=lambda f: 10 * f),
                ),
                Mistake(
                    "there is a sine after the modulation network's last layer: that one is linear.",
                    like=(
                        nif_like(map_of=lambda f: torch.sin(30 * f)),
                        nif_like(map_of=torch.sin),
                    ),
                ),
                Mistake(
                    "the map goes through a sigmoid or tanh: NIF's f_m may be any number.",
                    like=(
                        nif_like(map_of=torch.sigmoid),
                        nif_like(map_of=torch.tanh),
                    ),
                ),
                Mistake(
                    "the last axis is gone: keep it, (…, 1), so that one number can multiply all outputs of a layer.",
                    when=lambda yours, target, *_: yours.shape == target.shape[:-1],
                ),
            ),
        ),
        Check(
            "the right colours",
            inputs=_network_inputs,
            call=_colours,
            tolerance=1e-3,
            mistakes=(
                Mistake(_MATRIX, error=r"cannot be multiplied|mat1 and mat2|size of tensor"),
                Mistake(
                    "the colours are still in [−1, 1]: (y + 1)/2 brings them to [0, 1].",
                    like=nif_like(range_of=lambda y: y),
                ),
                Mistake(
                    "the last layer has a modulated sine, too: it is linear. `self.genesis[:-1]` are the layers before it.",
                    when=lambda yours, target, coordinates, shape, tensors: torch.allclose(
                        yours, _modulated_to_the_end(coordinates, shape, tensors), atol=1e-3
                    ),
                ),
                Mistake(
                    "the last layer has a sine, too: it is linear. `self.genesis[:-1]` are the layers before it.",
                    like=(
                        nif_like(last=lambda y: torch.sin(30 * y)),
                        nif_like(last=torch.sin),
                    ),
                ),
                Mistake(
                    "the first layer alone is modulated: all sines of the genesis network share the same f_m.",
                    like=nif_like(modulated_layers=slice(1)),
                ),
                Mistake(
                    "the first layer is not modulated: all sines of the genesis network share the same f_m.",
                    like=nif_like(modulated_layers=slice(1, None)),
                ),
                Mistake(
                    "nothing is modulated: every place gets ω₀ = 30. Hand f_m to `modulated`.",
                    like=nif_like(modulated_layers=slice(0)),
                ),
                Mistake(
                    "the sines are missing: the genesis network's layers are linear, `modulated(layer, …)` makes the sine.",
                    when=lambda yours, target, coordinates, shape, tensors: torch.allclose(
                        yours, _without_sines(coordinates, shape, tensors), atol=1e-3
                    ),
                ),
                Mistake(
                    "the colours are clamped: where they are, no gradient flows. Clamp when the picture is shown, not here.",
                    like=nif_like(range_of=lambda y: ((y + 1) / 2).clamp(0, 1)),
                ),
            ),
        ),
        Check(
            "both networks can be trained",
            inputs=_network_inputs,
            call=_slopes,
            tolerance=0.02,
            mistakes=(
                Mistake(
                    "no gradient comes back to the features, and so none to x and y: nothing here may be detached.",
                    error="no gradient reaches the features",
                ),
                Mistake(
                    "one of the two networks gets no gradient, and would never learn: nothing here may be detached, or under "
                    "`torch.no_grad()`, the map f_m included.",
                    error="no gradient",
                ),
            ),
        ),
        Check(
            "`colours` asks `modulation_map`",
            inputs=_network_inputs,
            call=_colours_of_another_map,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "`colours` computes f_m by itself: let it call `self.modulation_map(features)`. Then the map that is shown "
                    "is the map that is used, and it can be exchanged.",
                    like=nif_like(inlined=True),
                ),
            ),
        ),
    ),
    hints=(
        "The modulation map is one line: the modulation network, applied to its own part of the features, "
        "`features[..., self.inputs :]`.",
        "`colours`: get f_m from `self.modulation_map(features)`, then go through `self.genesis[:-1]` with `modulated`, from "
        "layer to layer, starting with `y = features[..., : self.inputs]`.",
        "In the loop: `y = modulated(layer, y, f_m)`. After it the last layer, `self.genesis[-1](y)`, which gives colours from "
        "−1 to 1: add 1 and halve.",
    ),
)


def _without_sines(coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Tensor:
    network, features = _loaded(Nif, coordinates, shape, tensors)
    y = features[..., : network.inputs[0]]
    for layer in network.genesis:
        y = F.linear(y, layer.weight, layer.bias)
    return (y + 1) / 2


def _modulated_to_the_end(coordinates: Tensor, shape: Shape, tensors: list[Tensor]) -> Tensor:
    network, features = _loaded(Nif, coordinates, shape, tensors)
    f_m, y = network.modulation_map(features), features[..., : network.inputs[0]]
    for layer in network.genesis:
        y = modulated(layer, y, f_m)
    return (y + 1) / 2
