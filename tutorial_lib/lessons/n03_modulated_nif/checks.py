"""Exercises of notebook 03: sines whose frequency differs from place to place, and how to train them."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib import nif
from tutorial_lib.course.comparing import Random, Wrong, load_parameters
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.training import WarmUpCycles

# ---------------------------------------------------------------------------------------------- the library's answers


def modulated(layer: nn.Linear, features: Tensor, f_m: Tensor, omega_0: float = 30.0, sigma: float = 10.0) -> Tensor:
    """`nif.ModulatedSine` on a linear layer: (…, inputs) and f_m (…, 1) to (…, outputs)."""
    return nif.ModulatedSine.apply(F.linear(features, layer.weight, layer.bias), omega_0 + sigma * f_m)


def predicted_bpp(
    genesis: Sequence[int],
    modulation: Sequence[int],
    frequencies: tuple[int, int],
    height: int,
    width: int,
    bits_per_weight: float,
) -> float:
    """Bits per pixel of a NIF, from `nif.NifConfig.weights`."""
    weights = nif.NifConfig(tuple(genesis), tuple(modulation), *frequencies).weights
    return bits_per_weight * weights / (height * width)


class Nif(nif.Nif):
    """`nif.Nif` as notebook 03 makes it: from its widths and frequencies alone."""

    def __init__(
        self,
        genesis: Sequence[int] = (40, 16, 11, 8),
        modulation: Sequence[int] = (12, 8),
        frequencies: int = 10,
        modulation_frequencies: int = 4,
    ) -> None:
        super().__init__(nif.NifConfig(tuple(genesis), tuple(modulation), frequencies, modulation_frequencies), 2, 2)

    def modulation_map(self, features: Tensor) -> Tensor:
        return super().modulation_map(features)

    def colours(self, features: Tensor) -> Tensor:
        return super().colours(features)


def rise_and_fall(t: int, period: int, warm_up: int, floor: float) -> float:
    """`training.WarmUpCycles`: the factor on the learning rate in iteration t."""
    return WarmUpCycles(period, warm_up, floor)(t, 0)


def disturbed(weight: Tensor, fraction: float, strength: float) -> Tensor:
    """What `training.WeightRestart` makes of a weight matrix."""
    chosen = torch.rand_like(weight) < fraction
    noise = 2 * torch.rand_like(weight) - 1
    return weight + chosen * noise * strength * weight.abs().mean() / fraction


def race(
    start: nn.Module,
    optimizers: Mapping[str, Callable[[Any], torch.optim.Optimizer]],
    loss: Callable[[nn.Module], Tensor],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[tuple[float, float]]]:
    """Each optimiser trains a copy of ``start`` of its own for so many seconds: name to (seconds, loss) of each step."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, make in optimizers.items():
        network = copy.deepcopy(start)
        optimizer = make(network.parameters())
        points, begun = [], clock()
        while (elapsed := clock() - begun) < seconds:
            error = loss(network)
            points.append((elapsed, error.item()))
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
        curves[name] = points
    return curves


# ---------------------------------------------------------------------------------------------- 03.1


def _linear(random: Random, inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs).to(random.device)
    load_parameters(layer, [random.normal(outputs, inputs, std=0.1), random.normal(outputs, std=0.1)])
    return layer


def _layer_inputs(random: Random) -> tuple[Any, ...]:
    return _at(random, *random.size(), omega_0=random.choice([8.0, 14.0, 20.0]), sigma=random.choice([3.0, 5.0]))


def _at(random: Random, *shape: int, omega_0: float = 30.0, sigma: float = 10.0) -> tuple[Any, ...]:
    inputs = random.randint(3, 5)
    layer = _linear(random, inputs, random.randint(6, 8))
    features = random.tensor(*shape, inputs, low=-1, high=1)
    return layer, features, random.tensor(*shape, 1, low=-1, high=1), omega_0, sigma


def _sine(formula: Callable[..., Tensor]):
    """A layer that computes formula(ω₀, σ, f_m, W·x, b)."""

    def wrong(layer: nn.Linear, features: Tensor, f_m: Tensor, omega_0: float = 30.0, sigma: float = 10.0) -> Tensor:
        return formula(omega_0, sigma, f_m, features @ layer.weight.T, layer.bias)

    return wrong


ACTIVATION = Exercise(
    id="03.1",
    title="The modulated activation",
    minutes=4,
    core=True,
    reference=modulated,
    checks=(
        Check(
            "y = sin((ω₀ + σ·f_m)·(W·x + b))",
            inputs=_layer_inputs,
            tolerance=5e-4,
            mistakes=(
                Mistake(
                    "f_m is added to ω₀ without σ: σ says how many steps of frequency f_m = 1 is worth.",
                    like=_sine(lambda w, s, f, z, b: torch.sin((w + f) * (z + b))),
                ),
                Mistake(
                    "σ·f_m stands beside the product, so it shifts the wave (its phase). To make it faster, σ·f_m has to be "
                    "added to ω₀ before the multiplication: brackets.",
                    like=_sine(lambda w, s, f, z, b: torch.sin(w * (z + b) + s * f)),
                ),
                Mistake(
                    "f_m stands outside the sine, where it makes the wave higher and not faster.",
                    like=(
                        _sine(lambda w, s, f, z, b: (1 + s * f) * torch.sin(w * (z + b))),
                        _sine(lambda w, s, f, z, b: s * f * torch.sin(w * (z + b))),
                        _sine(lambda w, s, f, z, b: (w + s * f) * torch.sin(z + b)),
                    ),
                ),
                Mistake(
                    "ω₀ and σ·f_m are multiplied: the frequency is their sum, so that f_m = 0 leaves the plain SIREN.",
                    like=_sine(lambda w, s, f, z, b: torch.sin(w * s * f * (z + b))),
                ),
                Mistake(
                    "ω₀ is missing: where f_m is 0, nothing would be left of the wave.",
                    like=_sine(lambda w, s, f, z, b: torch.sin(s * f * (z + b))),
                ),
                Mistake(
                    "f_m is ignored: that is SIREN's layer, with one frequency for all places.",
                    like=_sine(lambda w, s, f, z, b: torch.sin(w * (z + b))),
                ),
                Mistake(
                    "the bias is outside the brackets: the frequency multiplies the whole of W·x + b.",
                    like=_sine(lambda w, s, f, z, b: torch.sin((w + s * f) * z + b)),
                ),
                Mistake(
                    "the sine is missing: that is a linear layer with a factor.",
                    like=_sine(lambda w, s, f, z, b: (w + s * f) * (z + b)),
                ),
                Mistake(
                    "30 and 10 stand where `omega_0` and `sigma` should: use the arguments.",
                    like=_sine(lambda w, s, f, z, b: torch.sin((30 + 10 * f) * (z + b))),
                ),
            ),
        ),
        Check(
            "where f_m is 0, it is SIREN's layer",
            inputs=lambda random: (lambda all: (*all[:2], torch.zeros_like(all[2]), *all[3:]))(_layer_inputs(random)),
            tolerance=5e-4,
        ),
        Check(
            "any number of points, on a line or on a grid",
            inputs=lambda random: _at(random, random.randint(3, 9), omega_0=12.0),
            tolerance=5e-4,
            mistakes=(
                Mistake(
                    "it works on a grid (H, W, n) and not on a list (N, n): f_m has one number for each point, (…, 1), and "
                    "PyTorch stretches it over the layer's outputs by itself.",
                    error="Error",
                ),
            ),
        ),
    ),
    hints=(
        "`layer(features)` is W·x + b. In SIREN that is multiplied with the number ω₀. By what now?",
        "The frequency is `omega_0 + sigma * f_m`: one number for each point, shape (…, 1).",
        "Multiply it with `layer(features)`, all of it, and take `torch.sin` of the product.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.2


def _shape_inputs(random: Random, modulated: bool = True) -> tuple[Any, ...]:
    genesis = sorted((random.randint(5, 60) for _ in range(random.randint(2, 4))), reverse=True)
    modulation = [random.randint(4, 20) for _ in range(random.randint(1, 3))] if modulated else []
    frequencies = (random.randint(6, 16), random.randint(2, 5))
    return genesis, modulation, frequencies, *random.size(30, 90), random.choice([5.0, 7.0])


def _count(sizes: Sequence[int], biases: int = 1) -> int:
    return sum((n + biases) * m for n, m in itertools.pairwise(sizes))


def counting(
    *,
    biases: int = 1,
    encoded: int = 4,
    extra: int = 2,
    last: bool = True,
    modulation_too: bool = True,
    empty_is_free: bool = True,
    unit: float = 1.0,
    of_colours: int = 1,
    bits: float | None = None,
    area: bool = True,
):
    """Predictions that differ from the right one in one thing; arguments as they are right."""

    def wrong(genesis, modulation, frequencies, height, width, bits_per_weight):
        networks = [([encoded * frequencies[0] + extra, *genesis], 3)]
        if modulation_too and (modulation or not empty_is_free):
            networks.append(([encoded * frequencies[1] + extra, *modulation], 1))
        weights = sum(_count([*sizes, end] if last else sizes, biases) for sizes, end in networks)
        rate = (bits or bits_per_weight) * weights / unit / of_colours
        return rate / (height * width) if area else rate

    return wrong


WIDTHS = Exercise(
    id="03.2",
    title="Widths under a bit budget",
    minutes=4,
    core=True,
    reference=predicted_bpp,
    checks=(
        Check(
            "right for random widths and sizes",
            inputs=_shape_inputs,
            mistakes=(
                Mistake("the biases are not counted: a layer n → m has n·m weights and m biases.", like=counting(biases=0)),
                Mistake(
                    "the modulation network is not counted: the decoder needs it as well.",
                    like=counting(modulation_too=False),
                ),
                Mistake(
                    "the last layers are not counted: after its widths, one network has 3 outputs and the other 1.",
                    like=counting(last=False),
                ),
                Mistake(
                    "the first layers are counted with 2 inputs: the encoding makes 2 + 4·L numbers of (x, y).",
                    like=counting(encoded=0),
                ),
                Mistake(
                    "the first layers are counted with 4·L inputs: x and y themselves go in as well, 2 + 4·L.",
                    like=counting(extra=0),
                ),
                Mistake("bytes instead of bits: a rate is in bits per pixel.", like=counting(unit=8)),
                Mistake(
                    "8 bits a weight, whatever was asked for: use `bits_per_weight`.",
                    like=counting(bits=8),
                ),
                Mistake(
                    "divided by the three colours as well: a rate is for each pixel, with all its colours.",
                    like=counting(of_colours=3),
                ),
                Mistake(
                    "that is the size of the whole file in bits: divide by the number of pixels.",
                    like=counting(area=False),
                ),
                Mistake(
                    "both networks are counted with the same L: `frequencies[0]` is the genesis network's, `frequencies[1]` "
                    "the modulation network's.",
                    like=lambda g, m, f, h, w, bits: predicted_bpp(g, m, (f[0], f[0]), h, w, bits),
                ),
            ),
        ),
        Check(
            "no modulation network, no bits for it",
            inputs=lambda random: _shape_inputs(random, modulated=False),
            mistakes=(
                Mistake(
                    "with an empty list there is no modulation network at all, and nothing of it is stored: yours still counts a "
                    "layer straight from its encoding to f_m.",
                    like=counting(empty_is_free=False),
                ),
            ),
        ),
    ),
    hints=(
        "Write down the sizes that a pixel passes through: 2 + 4·L numbers, then each width, then the outputs.",
        "Between two neighbours n and m of that list lie (n + 1)·m numbers. `itertools.pairwise(sizes)` gives the neighbours: "
        "`sum((n + 1) * m for n, m in …)`.",
        "Genesis: `[2 + 4 * frequencies[0], *genesis, 3]`. Modulation, unless it is empty: the same with `frequencies[1]` and "
        "1 at the end. Then bits are weights times `bits_per_weight`, pixels are `height * width`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.3

Shape = tuple[tuple[int, ...], tuple[int, ...], int, int]


def _network_inputs(random: Random) -> tuple[Any, ...]:
    genesis = tuple(random.randint(5, 8) for _ in range(random.randint(2, 3)))
    modulation = tuple(random.randint(4, 6) for _ in range(random.randint(1, 2)))
    shape: Shape = (genesis, modulation, random.randint(2, 4), random.choice([1, 5]))
    tensors = []
    for parameter in Nif(*shape).parameters():
        size = tuple(parameter.shape)
        bound = math.sqrt(6 / size[1]) / 30 if len(size) == 2 else 0.01
        # f_m of about ±1/2, so that a modulation gone astray shows
        tensors.append(random.tensor(*size, low=-10 * bound, high=10 * bound) if size[0] == 1 else _uniform(random, size, bound))
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


# ---------------------------------------------------------------------------------------------- 03.4


def _cycle_inputs(random: Random) -> tuple[int, int, float]:
    period = random.randint(20, 40)
    return period, random.randint(4, period // 3), random.choice([0.1, 0.25, 0.4])


def _factors(function: Callable[..., float], period: int, warm_up: int, floor: float) -> list[float]:
    return [function(t, period, warm_up, floor) for t in range(2 * period + period // 2)]


def cycling(
    *,
    again: bool = True,
    rise: Callable[[int, int], float] = lambda t, n: t / (n - 1),
    fall: Callable[[int, int, int], float] = lambda t, n, period: 1 - t / period,
    scale: Callable[[float, float], float] = lambda f, floor: floor + (1 - floor) * f,
):
    """Schedules that differ from the right one in one thing; arguments as they are right."""

    def wrong(t: int, period: int, warm_up: int, floor: float) -> float:
        t = t % period if again else t
        return scale(rise(t, warm_up) if t < warm_up else fall(t, warm_up, period), floor)

    return wrong


SCHEDULE = Exercise(
    id="03.4a",
    title="The schedule of a step",
    minutes=3,
    core=False,
    reference=rise_and_fall,
    checks=(
        Check(
            "right in the first step, and again in the next",
            inputs=_cycle_inputs,
            call=_factors,
            draw="curve",
            mistakes=(
                Mistake(
                    "it does not begin again: t goes on counting over all steps, so its place within a step is `t % period`.",
                    like=cycling(again=False),
                ),
                Mistake(
                    "the rise is a little too slow: its last iteration is `warm_up - 1`, and there f is 1.",
                    like=cycling(rise=lambda t, n: t / n),
                ),
                Mistake(
                    "the rise starts at 1/warm_up: at t = 0 it is 0, and the learning rate at its floor.",
                    like=cycling(rise=lambda t, n: (t + 1) / n),
                ),
                Mistake(
                    "the fall starts at 1: in NIF it is 1 − t/period with t counted from the beginning of the step, so that "
                    "there is a small jump after the rise.",
                    like=cycling(fall=lambda t, n, period: 1 - (t - n) / (period - n)),
                ),
                Mistake(
                    "the floor is missing: f = 0 gives `floor`, f = 1 gives 1.",
                    like=cycling(scale=lambda f, floor: f),
                ),
                Mistake(
                    "the floor is added on top: then f = 1 gives more than 1. Scale f by (1 − floor) first.",
                    like=cycling(scale=lambda f, floor: floor + f),
                ),
                Mistake(
                    "the floor cuts f off: it is scaled, floor + (1 − floor)·f.",
                    like=cycling(scale=lambda f, floor: max(f, floor)),
                ),
                Mistake("f rises and never falls.", like=cycling(fall=lambda t, n, period: t / period)),
            ),
        ),
    ),
    hints=(
        "First the place within the step: `t % period`.",
        "`f = t / (warm_up - 1)` as long as `t < warm_up`, and `1 - t / period` after that.",
        "Return `floor + (1 - floor) * f`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.4, second half

_SHARE, _LARGEST, _MEAN, _SPREAD = (
    "share of the weights that changed",
    "largest change, divided by the bound",
    "mean change, divided by the bound",
    "standard deviation of the changes, divided by bound/√3",
)


def _matrix(random: Random) -> tuple[Tensor, float, float]:
    weight = random.normal(300, 300, std=0.2) + 0.05
    return weight, random.choice([0.25, 0.65]), random.choice([0.3, 0.9])


def _change(function: Callable[..., Tensor], weight: Tensor, fraction: float, strength: float) -> dict[str, float]:
    before = weight.clone()
    result = function(weight, fraction, strength)
    if not isinstance(result, Tensor):
        raise Wrong("the disturbed matrix is to be returned: a tensor of the same shape.")
    if result.shape != weight.shape:
        raise Wrong(f"the result has the shape {tuple(result.shape)}: it is the whole matrix, {tuple(weight.shape)}.")
    if not torch.equal(weight, before):
        raise Wrong("it changes the matrix that it was given: return a new one, `weight + …`.")
    change = (result - weight).detach()
    moved = change[change != 0]
    if not len(moved):
        raise Wrong("nothing has changed: add the noise to `weight`.")
    bound = float(strength * weight.abs().mean() / fraction)
    return {
        _SHARE: len(moved) / change.numel(),
        _LARGEST: float(moved.abs().max()) / bound,
        _MEAN: float(moved.mean()) / bound,
        _SPREAD: float(moved.std()) * math.sqrt(3) / bound,
    }


def _near(value: float, target: float) -> bool:
    return abs(value - target) < 0.04 * (1 + target)


RESTART = Exercise(
    id="03.4b",
    title="The weight restart",
    minutes=4,
    core=False,
    reference=disturbed,
    checks=(
        Check(
            "the right share of the weights, by the right amount",
            inputs=_matrix,
            call=_change,
            tolerance=0.04,
            mistakes=(
                Mistake(
                    "all weights are disturbed: only a random share `fraction` of them gets noise. "
                    "`torch.rand_like(weight) < fraction` chooses.",
                    when=lambda yours, target, w, fraction, strength: yours[_SHARE] > 0.99,
                ),
                Mistake(
                    "the weights outside the share are disturbed: choose those with `torch.rand_like(weight) < fraction`.",
                    when=lambda yours, target, w, fraction, strength: _near(yours[_SHARE], 1 - fraction),
                ),
                Mistake(
                    "the noise has one sign only: uniform from −1 to +1.",
                    when=lambda yours, target, *_: abs(yours[_MEAN]) > 0.25 * yours[_LARGEST],
                ),
                Mistake(
                    "the noise is normally distributed: a few changes are far outside the bound. It is uniform in [−1, 1].",
                    when=lambda yours, target, *_: yours[_LARGEST] > 1.8 * yours[_SPREAD],
                ),
                Mistake(
                    "the division by `fraction` is missing: the fewer weights are disturbed, the further each one goes.",
                    when=lambda yours, target, w, fraction, strength: _near(yours[_LARGEST], fraction),
                ),
                Mistake(
                    "the mean of the weights themselves is nearly 0, positive and negative ones cancel: take the mean of |w|.",
                    when=lambda yours, target, w, fraction, strength: _near(
                        yours[_LARGEST], abs(float(w.mean() / w.abs().mean()))
                    ),
                ),
                Mistake(
                    "each weight's own size is the measure: take the mean of |w| over the whole matrix, one number.",
                    when=lambda yours, target, *_: yours[_LARGEST] > 2,
                ),
                Mistake(
                    "the noise goes from −½ to ½: `2 * torch.rand_like(weight) - 1` is uniform in [−1, 1].",
                    when=lambda yours, target, *_: _near(yours[_LARGEST], 0.5) and _near(yours[_SPREAD], 0.5),
                ),
            ),
        ),
    ),
    hints=(
        "Two random matrices: one decides which weights move, the other how far. `torch.rand_like(weight)` is uniform in [0, 1).",
        "Which: `torch.rand_like(weight) < fraction`. How far, as uniform noise in [−1, 1]: `2 * torch.rand_like(weight) - 1`.",
        "Return `weight` plus the product of both, times `strength`, times the mean of `weight.abs()`, divided by `fraction`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 03.5


_START = 1000.0
"""Clocks start anywhere: `time.perf_counter()` is not 0 at the beginning."""


class _Stopwatch:
    """A clock on which time passes only while an optimiser works."""

    def __init__(self) -> None:
        self.now, self.asked = _START, 0

    def __call__(self) -> float:
        self.asked += 1
        if self.asked > 10_000:
            raise Wrong("the race never ends: the clock is asked again and again, but no optimiser takes a step.")
        return self.now


class _Timed(torch.optim.SGD):
    """Gradient descent that takes a given time for each step."""

    def __init__(self, parameters: Any, clock: _Stopwatch, cost: float, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.clock, self.cost, self.steps = clock, cost, 0

    def step(self, closure: Any = None) -> None:
        self.steps += 1
        if self.steps > 400:
            raise Wrong("the race never ends: one optimiser took 400 steps and the clock was not looked at.")
        self.clock.now += self.cost
        super().step(closure)


def _race_inputs(random: Random) -> tuple[Any, ...]:
    clock = _Stopwatch()
    start = _linear(random, 3, 2)
    inputs, targets = random.tensor(12, 3, low=-1, high=1), random.tensor(12, 2)
    fast, slow = random.uniform(0.11, 0.15), random.uniform(0.31, 0.45)
    optimizers = {
        "light": lambda parameters: _Timed(parameters, clock, fast, 0.1),
        "heavy": lambda parameters: _Timed(parameters, clock, slow, 0.25),
    }
    return start, optimizers, lambda network: (network(inputs) - targets).square().mean(), random.uniform(2.05, 2.95), clock


def racing(
    *,
    copied: bool = True,
    one_clock: bool = False,
    of_start: bool = False,
    zero: bool = True,
    early: bool = True,
    number: bool = True,
    steps: int | None = None,
    relative: bool = True,
):
    """Races that differ from the right one in one thing; arguments as they are right."""

    def wrong(start, optimizers, loss, seconds, clock=time.perf_counter):
        curves, begun = {}, clock()
        for name, make in optimizers.items():
            network = copy.deepcopy(start) if copied else start
            optimizer = make((start if of_start else network).parameters())
            begun, points = begun if one_clock else clock(), []
            while len(points) < steps if steps else clock() - begun < seconds:
                elapsed, error = clock() - begun if relative else clock(), loss(network)
                if zero:
                    optimizer.zero_grad()
                error.backward()
                optimizer.step()
                points.append((elapsed if early else clock() - begun, error.item() if number else error))
            curves[name] = points
        return curves

    return wrong


def _same_steps(yours: Mapping[str, Sequence[Any]], target: Mapping[str, Sequence[Any]], *_: Any) -> bool:
    lengths = {len(points) for points in yours.values()}
    return len(lengths) == 1 and len({len(points) for points in target.values()}) > 1


RACE = Exercise(
    id="03.5",
    title="A race on the same clock",
    minutes=5,
    core=False,
    reference=race,
    checks=(
        Check(
            "same start, same clock, each step noted",
            inputs=_race_inputs,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the losses still carry their graph of gradients: `error.item()` makes a plain number.",
                    when=lambda yours, target, *_: any(isinstance(e, Tensor) for points in yours.values() for _, e in points),
                ),
                Mistake(
                    "the second optimiser starts where the first one ended: give each its own `copy.deepcopy(start)`.",
                    like=racing(copied=False),
                ),
                Mistake(
                    "the clock runs on from the first optimiser to the second, which has no time left: note `begun` for "
                    "each of them anew.",
                    like=racing(one_clock=True),
                ),
                Mistake(
                    "the losses never change: the optimiser moves other weights than those of the copy that the loss sees. Make "
                    "it with the copy's parameters; and there are a `backward()` and a `step()` in each step.",
                    when=lambda yours, target, *_: all(
                        len(points) > 1 and max(e for _, e in points) - min(e for _, e in points) < 1e-7
                        for points in yours.values()
                    ),
                ),
                Mistake(
                    "gradients pile up from step to step: `optimizer.zero_grad()` belongs before `error.backward()`.",
                    like=racing(zero=False),
                ),
                Mistake(
                    "both optimisers took the same number of steps: a slow one gets fewer. Let the clock end the loop, "
                    "not a count.",
                    when=_same_steps,
                ),
                Mistake(
                    "the time is noted after the step, but the loss is that of the weights before it: note both together.",
                    like=racing(early=False),
                ),
                Mistake(
                    "the time of day is noted, not the time since the start: subtract `begun`.",
                    like=racing(relative=False),
                ),
            ),
        ),
    ),
    hints=(
        "For each optimiser: a copy of the network of its own, an optimiser for the copy's parameters, and a clock that starts "
        "then.",
        "The loop ends by the clock: `while (elapsed := clock() - begun) < seconds:`.",
        "In the loop: `error = loss(network)`, note `(elapsed, error.item())`, then `zero_grad`, `backward`, `step`.",
    ),
)

EXERCISES = [ACTIVATION, WIDTHS, NIF, SCHEDULE, RESTART, RACE]
