"""Checks of notebook 02's layers: the positional encoding, and the sine layer with its start."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n02_siren.answers import SineLayer, encode

# ---------------------------------------------------------------------------------------------- 02.1


def _points(random: Random) -> tuple[Tensor, int]:
    return random.tensor(*random.size(), 2, low=-1, high=1), random.randint(3, 7)


def _encoded(base: float = 1.4, factor: float = math.pi, first: int = 0, order: str = "library"):
    """Positional encodings that differ from the right one in one thing."""

    def wrong(x: Tensor, frequencies: int) -> Tensor:
        angles = x.unsqueeze(-1) * factor * base ** torch.arange(first, first + frequencies, device=x.device)
        sines, cosines = angles.sin(), angles.cos()  # (…, 2, L)
        match order:
            case "by frequency":  # sin, cos, sin, cos …, NeRF's order
                waves = torch.stack([sines, cosines], dim=-1).flatten(-3)
            case "by coordinate":  # x's sines and cosines, then y's
                waves = torch.cat([sines, cosines], dim=-1).flatten(-2)
            case "coordinates mixed":  # sin of x, sin of y, with the next frequency sin of x …
                waves = torch.cat([sines.transpose(-1, -2).flatten(-2), cosines.transpose(-1, -2).flatten(-2)], -1)
            case "cosines first":
                waves = torch.cat([cosines.flatten(-2), sines.flatten(-2)], dim=-1)
            case "coordinates last":
                return torch.cat([sines.flatten(-2), cosines.flatten(-2), x], dim=-1)
            case _:
                waves = torch.cat([sines.flatten(-2), cosines.flatten(-2)], dim=-1)
        return torch.cat([x, waves], dim=-1)

    return wrong


def _with_periods(coordinates: Tensor, periods: Tensor) -> Tensor:
    angles = (coordinates.unsqueeze(-1) * periods.to(coordinates)).flatten(-2)
    return torch.cat([coordinates, angles.sin(), angles.cos()], dim=-1)


def _linear_encoding(slope: float, first: int):
    return lambda x, n: _with_periods(x, math.pi * slope * torch.arange(first, first + n))


def _power_encoding(x: Tensor, frequencies: int) -> Tensor:
    return _with_periods(x, math.pi * torch.arange(frequencies) ** 1.4)


def _slopes_of_encoding(encode, coordinates: Tensor, frequencies: int) -> dict[str, Tensor]:
    coordinates = coordinates.requires_grad_()
    return slopes(encode(coordinates, frequencies), {"the coordinates": coordinates})


_AGREE = "The network would learn as well, but the weights in a file fit one order alone, so encoder and decoder must agree."

ENCODING = Exercise(
    id="02.1",
    title="Positional encoding",
    minutes=5,
    core=True,
    reference=encode,
    checks=(
        Check(
            "right for random coordinates",
            inputs=_points,
            mistakes=(
                Mistake("π is missing: the frequencies are π·1.4^i.", like=_encoded(factor=1.0)),
                Mistake(
                    "2π instead of π: the canvas is 2 wide, so π·x already makes one whole wave.",
                    like=_encoded(factor=2 * math.pi),
                ),
                Mistake(
                    "π stands inside the power: the frequencies are π·(1.4^i), not (π·1.4)^i.",
                    like=_encoded(base=1.4 * math.pi, factor=1.0),
                ),
                Mistake(
                    "the frequencies grow by equal steps: each is 1.4 times the one before, 1.4 to the power i.",
                    like=tuple(_linear_encoding(slope, first) for slope in (1.0, 1.4) for first in (0, 1)),
                ),
                Mistake(
                    "the base and the exponent are swapped: 1.4 to the power i, not i to the power 1.4.", like=_power_encoding
                ),
                Mistake("each frequency is twice the one before, as in NeRF; here it is 1.4 times.", like=_encoded(base=2.0)),
                Mistake(
                    "i starts at 1: the first frequency is π·1.4⁰ = π, so i goes from 0 to L − 1.",
                    like=_encoded(first=1),
                ),
                Mistake(
                    f"sine and cosine alternate: all sines come first, then all cosines. {_AGREE}",
                    like=_encoded(order="by frequency"),
                ),
                Mistake(
                    f"the sines and cosines of x, then those of y: the sines of both come first, then the cosines. {_AGREE}",
                    like=_encoded(order="by coordinate"),
                ),
                Mistake(
                    f"x and y alternate among the sines: all frequencies of x come first, then those of y. {_AGREE}",
                    like=_encoded(order="coordinates mixed"),
                ),
                Mistake(f"the cosines come before the sines. {_AGREE}", like=_encoded(order="cosines first")),
                Mistake(f"x and y stand at the end: they come first. {_AGREE}", like=_encoded(order="coordinates last")),
                Mistake(
                    "x and y themselves are missing: put `coordinates` in front of the sines.",
                    when=lambda yours, target, x, n: yours.shape == (*x.shape[:-1], 4 * n),
                ),
                Mistake(
                    "2L numbers stand behind x and y, half of what belongs there: a sine and a cosine, each of "
                    "x and of y, is 4L.",
                    when=lambda yours, target, x, n: yours.shape == (*x.shape[:-1], 2 + 2 * n),
                ),
                Mistake(
                    "the features of a point still have two axes, (…, 2, L): lay them side by side with `flatten(-2)`.",
                    when=lambda yours, target, x, n: yours.ndim == x.ndim + 1,
                ),
                Mistake(
                    "y stands before x: the order is x, then y, in each of the parts.",
                    like=lambda x, n: _encoded()(x.flip(-1), n),
                ),
                Mistake(
                    "the sines are there twice, and the cosines not at all.",
                    like=lambda x, n: torch.cat([_encoded()(x, n)[..., : 2 + 2 * n], _encoded()(x, n)[..., 2 : 2 + 2 * n]], -1),
                ),
                Mistake(
                    "there is one frequency too many: i goes from 0 to L − 1.",
                    when=lambda yours, target, x, n: yours.shape == (*x.shape[:-1], 2 + 4 * (n + 1)),
                ),
                Mistake(
                    "there is one frequency too few: i goes from 0 to L − 1, L of them.",
                    when=lambda yours, target, x, n: yours.shape == (*x.shape[:-1], 2 + 4 * (n - 1)),
                ),
                Mistake(
                    "it is float64: NumPy and Python compute so. Make it as the coordinates are, `.to(coordinates.dtype)`.",
                    when=lambda yours, target, x, n: yours.dtype == torch.float64,
                ),
            ),
        ),
        Check(
            "any number of points, on a line or on a grid",
            inputs=lambda random: (random.tensor(random.randint(3, 9), 2, low=-1, high=1), random.randint(3, 7)),
            mistakes=(
                Mistake(
                    "it works on a grid (H, W, 2) and not on a list (N, 2): count dimensions from the end, as in `dim=-1`.",
                    error="Error",
                ),
            ),
        ),
        Check(
            "with L = 0 the coordinates pass unchanged",
            inputs=lambda random: (random.tensor(*random.size(), 2, low=-1, high=1), 0),
            mistakes=(
                Mistake(
                    "with L = 0 there are no waves, and x and y alone are left, as in SIREN's own networks: begin the list of "
                    "what you stack with x and y.",
                    error="Error",
                ),
            ),
        ),
        Check(
            "it has slopes along x and y",
            inputs=lambda random: (random.tensor(*random.size(), 2, low=-1, high=1), random.randint(1, 5)),
            call=_slopes_of_encoding,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the result has no slope along x and y: NumPy, `detach()` or `torch.no_grad()` cut the gradient off, and a "
                    "later cell asks for the picture's slopes.",
                    error="no gradient",
                ),
            ),
        ),
    ),
    hints=(
        "The frequencies are one tensor: `math.pi * 1.4 ** torch.arange(frequencies, device=coordinates.device)`.",
        "`coordinates.unsqueeze(-1) * periods` multiplies every coordinate with every frequency: (…, 2) becomes (…, 2, L). "
        "`.flatten(-2)` then lays x's L angles and y's L angles side by side: (…, 2L).",
        "Then `torch.cat([coordinates, …, …], dim=-1)` with the sines of the angles, then their cosines.",
    ),
)

# ---------------------------------------------------------------------------------------------- 02.2


_OUTPUTS = 1000
"""Of a layer whose start is examined: enough weights for its largest to be near the bound."""


def _layer_inputs(random: Random) -> tuple[Any, ...]:
    inputs, outputs = random.randint(3, 6), random.randint(7, 9)
    return (
        random.tensor(*random.size(), inputs, low=-1, high=1),
        random.normal(outputs, inputs, std=0.1),
        random.normal(outputs, std=0.1),
        random.choice([5.0, 12.0, 20.0]),
    )


def _layer_output(layer_class: type[nn.Module], x: Tensor, weight: Tensor, bias: Tensor, omega_0: float) -> Tensor:
    layer = layer_class(weight.shape[1], weight.shape[0], omega_0).to(x.device)
    load_parameters(layer, [weight, bias])
    return layer(x)


def _slopes_of_layer(layer_class: type[nn.Module], x: Tensor, weight: Tensor, bias: Tensor, omega_0: float) -> dict[str, Tensor]:
    layer, x = layer_class(weight.shape[1], weight.shape[0], omega_0).to(x.device), x.requires_grad_()
    load_parameters(layer, [weight, bias])
    return slopes(layer(x), {"the features": x, **parameters_of(layer)})


def _layer_like(forward, bound=None) -> type[nn.Module]:
    """A sine layer that computes forward(ω₀, x, W, b) and draws its weights with bound(inputs, ω₀, first)."""

    class Wrong(nn.Linear):
        def __init__(self, inputs: int, outputs: int, omega_0: float = 30.0, first: bool = False) -> None:
            super().__init__(inputs, outputs)
            self.omega_0 = omega_0
            if bound is not None:
                limit = bound(inputs, omega_0, first)
                nn.init.uniform_(self.weight, -limit, limit)

        def forward(self, x: Tensor) -> Tensor:
            return forward(self.omega_0, x, self.weight, self.bias)

    return Wrong


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.linear(x, weight, bias)


def right_bound(inputs: int, omega_0: float, first: bool) -> float:
    """Sitzmann's: 1/n in the first layer, √(6/n)/ω₀ in the others."""
    return 1 / inputs if first else math.sqrt(6 / inputs) / omega_0


_LARGEST, _SPREAD, _MEAN, _BIASES = (
    "largest weight, where 1 is the bound c",
    "spread of the weights, where 1 is that of a uniform draw within c",
    "mean weight, where 1 is the largest",
    "largest bias, where 1 is PyTorch's own bound",
)


def _start(layer_class: type[nn.Module], inputs: int, outputs: int, omega_0: float, first: bool) -> dict[str, float]:
    layer = layer_class(inputs, outputs, omega_0, first=first)
    (weight, bias), bound = (each.detach() for each in layer.parameters()), right_bound(inputs, omega_0, first)
    return {
        _LARGEST: float(weight.abs().max() / bound),
        _SPREAD: float(weight.std() * math.sqrt(3) / bound),
        _MEAN: float(weight.mean() / weight.abs().max()),
        _BIASES: float(bias.abs().max() * math.sqrt(inputs)),
    }


def _started(bound) -> type[nn.Module]:
    return _layer_like(lambda omega, x, w, b: torch.sin(omega * _linear(x, w, b)), bound)


_NORMAL = Mistake(
    "the weights are normally distributed: a few of them are far outside the bound. `nn.init.uniform_` draws them uniformly.",
    when=lambda yours, target, *_: yours[_LARGEST] > 1.5 * yours[_SPREAD],
)
_ONE_SIDED = Mistake(
    "the weights lie on one side of 0: draw them from −bound to +bound.",
    when=lambda yours, target, *_: abs(yours[_MEAN]) > 0.3,
)
_REDRAWN = Mistake(
    "the biases were drawn anew: they keep PyTorch's own start, so set `self.weight` alone.",
    when=lambda yours, target, *_: abs(yours[_BIASES] - 1) > 0.1 and yours[_BIASES] > 0,
)
_ZEROED = Mistake(
    "the biases are 0: they keep PyTorch's own start, so set `self.weight` alone.",
    when=lambda yours, target, *_: yours[_BIASES] == 0,
)
_UNTOUCHED = Mistake(
    "the weights lie within ±1/√n, which is PyTorch's own start: draw `self.weight` anew, between −c and c.",
    like=_layer_like(None),
)

_OF_OUTPUTS = Mistake(
    "n is the number of outputs there: it is that of the inputs.",
    like=_started(lambda n, omega, first: right_bound(_OUTPUTS, omega, first)),
)
_OTHERS_START = Mistake(
    "that is Xavier's or Kaiming's bound, made for other activations: SIREN's is the c above.",
    like=tuple(
        _started(bound)
        for bound in (
            lambda n, omega, first: math.sqrt(6 / (n + _OUTPUTS)),
            lambda n, omega, first: math.sqrt(6 / n) if first else math.sqrt(3 / n),
            lambda n, omega, first: math.sqrt(3 / n),
        )
    ),
)

SINE_LAYER = Exercise(
    id="02.2",
    title="The sine layer and its start",
    minutes=6,
    core=True,
    reference=SineLayer,
    checks=(
        Check(
            "y = sin(ω₀·(W·h + b))",
            inputs=_layer_inputs,
            call=_layer_output,
            mistakes=(
                Mistake(
                    "ω₀ is missing: without it the sine bends too gently for fine detail.",
                    like=_layer_like(lambda omega, x, w, b: torch.sin(_linear(x, w, b))),
                ),
                Mistake(
                    "ω₀ stands outside the sine, where it makes the wave higher. Inside, it makes the wave faster.",
                    like=_layer_like(lambda omega, x, w, b: omega * torch.sin(_linear(x, w, b))),
                ),
                Mistake(
                    "the bias is added after ω₀: multiply the whole of W·h + b with ω₀.",
                    like=_layer_like(lambda omega, x, w, b: torch.sin(omega * (x @ w.T) + b)),
                ),
                Mistake(
                    "the sine is missing: that is a linear layer, and a stack of them is one linear layer.",
                    like=_layer_like(lambda omega, x, w, b: omega * _linear(x, w, b)),
                ),
                Mistake(
                    "the sine comes before the matrix: first W·h + b, then the sine.",
                    like=_layer_like(lambda omega, x, w, b: _linear(torch.sin(omega * x), w, b)),
                ),
                Mistake(
                    "30 stands where ω₀ should: use `self.omega_0`, which differs from layer to layer here.",
                    like=_layer_like(lambda omega, x, w, b: torch.sin(30 * _linear(x, w, b))),
                ),
            ),
        ),
        Check(
            "all of it can be trained",
            inputs=_layer_inputs,
            call=_slopes_of_layer,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the layer can't be trained: no gradient reaches its weights, its biases or what goes in. Is there a "
                    "`.data`, `detach()` or `torch.no_grad()` in `forward`?",
                    error="no gradient",
                ),
            ),
        ),
        Check(
            "first layer: weights uniform in ±1/n",
            inputs=lambda random: (random.randint(40, 60), _OUTPUTS, random.choice([10.0, 50.0]), True),
            call=_start,
            tolerance=0.02,
            mistakes=(
                _UNTOUCHED,
                _OF_OUTPUTS,
                _OTHERS_START,
                Mistake(
                    "the first layer has the bound of the hidden ones: there it is 1/n.",
                    like=_started(lambda n, omega, first: right_bound(n, omega, False)),
                ),
                Mistake(
                    "the first layer's bound is divided by ω₀: it is 1/n, without ω₀.",
                    like=_started(lambda n, omega, first: 1 / n / omega),
                ),
                _ONE_SIDED,
                _NORMAL,
                _ZEROED,
                _REDRAWN,
            ),
        ),
        Check(
            "other layers: weights uniform in ±√(6/n)/ω₀",
            inputs=lambda random: (random.randint(40, 60), _OUTPUTS, random.choice([8.0, 50.0]), False),
            call=_start,
            tolerance=0.02,
            mistakes=(
                _UNTOUCHED,
                _OF_OUTPUTS,
                _OTHERS_START,
                Mistake(
                    "the bound of the first layer, 1/n, is used in the others, too: there it is √(6/n)/ω₀.",
                    like=_started(lambda n, omega, first: 1 / n),
                ),
                Mistake(
                    "the division by ω₀ is missing: the sine gets ω₀ times too much, and the layers pass on noise.",
                    like=_started(lambda n, omega, first: right_bound(n, omega, first) * (1 if first else omega)),
                ),
                Mistake(
                    "the bound is divided by 30, whatever ω₀ is: use `omega_0`.",
                    like=_started(lambda n, omega, first: math.sqrt(6 / n) / 30),
                ),
                Mistake(
                    "the square root is missing: the bound is √(6/n)/ω₀.",
                    like=_started(lambda n, omega, first: 6 / n / omega),
                ),
                Mistake(
                    "ω₀ went under the root: the bound is √(6/n), and that divided by ω₀.",
                    like=_started(lambda n, omega, first: math.sqrt(6 / n / omega)),
                ),
                Mistake(
                    "n stands outside the root: the bound is √(6/n)/ω₀, the root of the whole fraction.",
                    like=_started(lambda n, omega, first: math.sqrt(6) / n / omega),
                ),
                _ONE_SIDED,
                _NORMAL,
                _ZEROED,
                _REDRAWN,
            ),
        ),
    ),
    hints=(
        "`SineLayer` is an `nn.Linear`, so `super().forward(features)` is W·h + b. What happens to that before the sine?",
        "The bound is a number: `1 / inputs` if `first`, else `math.sqrt(6 / inputs) / omega_0`.",
        "`nn.init.uniform_(self.weight, -bound, bound)`; and `forward` returns the sine of `self.omega_0` times what "
        "`nn.Linear` computes.",
    ),
)
