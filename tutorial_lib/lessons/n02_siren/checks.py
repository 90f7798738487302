"""Exercises of notebook 02: from coordinates to a picture in the weights of a network."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib import siren
from tutorial_lib.course.comparing import Random, Wrong, load_parameters
from tutorial_lib.course.exercises import Check, Exercise, Mistake

# ---------------------------------------------------------------------------------------------- the library's answers


def encode(coordinates: Tensor, frequencies: int) -> Tensor:
    """`siren.PositionalEncoding` as a function: (…, 2) to (…, 2 + 4L)."""
    return siren.PositionalEncoding(frequencies).to(coordinates.device)(coordinates)


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
    """`siren.render_tiles`: a network on canvas coordinates as a picture (3, height, width)."""
    return siren.render_tiles(network, height, width, source, features=64)


def rate_of_weights(network: nn.Module, height: int, width: int, bits_per_weight: int = 16) -> float:
    """Bits per pixel of all parameters of a network, stored plainly."""
    return bits_per_weight * sum(p.numel() for p in network.parameters()) / (height * width)


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
                    "one number is left of each frequency: sine and cosine of every coordinate stay apart, 4L numbers in all.",
                    when=lambda yours, target, x, n: yours.shape == (*x.shape[:-1], 2 + 2 * n),
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


_LARGEST, _SPREAD = "largest weight, divided by the bound", "standard deviation, divided by bound/√3"


def _start(layer_class: type[nn.Module], inputs: int, outputs: int, omega_0: float, first: bool) -> dict[str, float]:
    layer = layer_class(inputs, outputs, omega_0, first=first)
    weight, bound = layer.weight.detach(), right_bound(inputs, omega_0, first)
    return {
        _LARGEST: float(weight.abs().max() / bound),
        _SPREAD: float(weight.std() * math.sqrt(3) / bound),
    }


def _started(bound) -> type[nn.Module]:
    return _layer_like(lambda omega, x, w, b: torch.sin(omega * _linear(x, w, b)), bound)


_NORMAL = Mistake(
    "the weights are normally distributed: a few of them are far outside the bound. `nn.init.uniform_` draws them uniformly.",
    when=lambda yours, target, *_: yours[_LARGEST] > 1.5 * yours[_SPREAD],
)
_ONE_SIDED = Mistake(
    "the weights lie on one side of 0: draw them from −bound to +bound.",
    when=lambda yours, target, *_: yours[_SPREAD] < 0.7 * yours[_LARGEST],
)
_UNTOUCHED = Mistake(
    "the weights are still PyTorch's own ±1/√n: set `self.weight` after `super().__init__`.", like=_layer_like(None)
)

SINE_LAYER = Exercise(
    id="02.2",
    title="The sine layer and its start",
    minutes=6,
    core=True,
    reference=siren.SineLayer,
    checks=(
        Check(
            "y = sin(ω₀·(W·x + b))",
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
                    "the bias is added after ω₀: multiply the whole of W·x + b with ω₀.",
                    like=_layer_like(lambda omega, x, w, b: torch.sin(omega * (x @ w.T) + b)),
                ),
                Mistake(
                    "the sine is missing: that is a linear layer, and a stack of them is one linear layer.",
                    like=_layer_like(lambda omega, x, w, b: omega * _linear(x, w, b)),
                ),
                Mistake(
                    "the sine comes before the matrix: first W·x + b, then the sine.",
                    like=_layer_like(lambda omega, x, w, b: _linear(torch.sin(omega * x), w, b)),
                ),
                Mistake(
                    "30 stands where ω₀ should: use `self.omega_0`, which differs from layer to layer here.",
                    like=_layer_like(lambda omega, x, w, b: torch.sin(30 * _linear(x, w, b))),
                ),
            ),
        ),
        Check(
            "first layer: weights uniform in ±1/n",
            inputs=lambda random: (random.randint(40, 60), 150, random.choice([10.0, 50.0]), True),
            call=_start,
            tolerance=0.05,
            mistakes=(
                _UNTOUCHED,
                Mistake(
                    "the rule of the hidden layers is used in the first layer as well: there the bound is 1/n.",
                    like=_started(lambda n, omega, first: right_bound(n, omega, False)),
                ),
                Mistake(
                    "the first layer's bound is divided by ω₀: it is 1/n, without ω₀.",
                    like=_started(lambda n, omega, first: 1 / n / omega),
                ),
                _NORMAL,
                _ONE_SIDED,
            ),
        ),
        Check(
            "other layers: weights uniform in ±√(6/n)/ω₀",
            inputs=lambda random: (random.randint(40, 60), 150, random.choice([8.0, 50.0]), False),
            call=_start,
            tolerance=0.05,
            mistakes=(
                _UNTOUCHED,
                Mistake(
                    "the rule of the first layer is used everywhere: in the others the bound is √(6/n)/ω₀.",
                    like=_started(lambda n, omega, first: 1 / n),
                ),
                Mistake(
                    "the division by ω₀ is missing: the sine gets ω₀ times too much, and the layers pass on noise.",
                    like=_started(lambda n, omega, first: right_bound(n, omega, first) * (1 if first else omega)),
                ),
                Mistake(
                    "the square root is missing: the bound is √(6/n)/ω₀.",
                    like=_started(lambda n, omega, first: 6 / n / omega),
                ),
                Mistake(
                    "ω₀ went under the root: the bound is √(6/n), and that divided by ω₀.",
                    like=_started(lambda n, omega, first: math.sqrt(6 / n / omega)),
                ),
                _NORMAL,
                _ONE_SIDED,
            ),
        ),
    ),
    hints=(
        "`SineLayer` is an `nn.Linear`, so `super().forward(features)` is W·x + b. What happens to that before the sine?",
        "The bound is a number: `1 / inputs` if `first`, else `math.sqrt(6 / inputs) / omega_0`.",
        "`nn.init.uniform_(self.weight, -bound, bound)`; and `forward` returns the sine of `self.omega_0` times what "
        "`nn.Linear` computes.",
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
    network = siren_class(*shape)
    if not isinstance(network, nn.Module):
        raise Wrong("a SIREN is a torch module: `class Siren(nn.Module)`")
    width, sine_layers, frequencies = shape[:3]
    mine = [tuple(p.shape) for p in network.parameters()]
    right = _shapes_of(width, sine_layers, frequencies)
    if not mine:
        raise Wrong(
            "the network has no parameters: is `self.layers` set? In a plain Python list PyTorch doesn't see the "
            "layers: `nn.Sequential(*layers)`."
        )
    if mine[0] != right[0] and mine[0][-1] == 2:
        raise Wrong(f"the first layer takes 2 numbers; with the encoding in front it gets 2 + 4L of them, {right[0][1]} here.")
    if len(mine) == len(right) + 2:
        raise Wrong("there is one layer too many: `sine_layers` counts the first one as well.")
    if len(mine) == len(right) - 2:
        raise Wrong("one layer is missing: `sine_layers` sine layers, and then a linear one to the three colours.")
    if mine[-1] == (1,):
        raise Wrong("the last layer has one output: a colour has three numbers, red, green and blue.")
    return network


def _painted(
    siren_class: type[nn.Module], coordinates: Tensor, shape: tuple[int, int, int, float], tensors: list[Tensor]
) -> Tensor:
    network = _made(siren_class, shape).to(coordinates.device)
    load_parameters(network, tensors)
    return network(coordinates)


def _siren_like(after=None, omega=lambda omega: omega) -> type[nn.Module]:
    class Wrong(Siren):
        def __init__(self, width: int, sine_layers: int, frequencies: int, omega_0: float) -> None:
            super().__init__(width, sine_layers, frequencies, omega(omega_0))
            self.right_omega = omega_0

        def forward(self, coordinates: Tensor) -> Tensor:
            output = super().forward(coordinates)
            return after(output, self.right_omega) if after else output

    return Wrong


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
    minutes=5,
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
                    "the colours are clamped: where they are, no gradient flows. Clamp when the picture is shown, not here.",
                    like=_siren_like(lambda y, omega: y.clamp(0, 1)),
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
                    error=r"cannot be multiplied|mat1 and mat2",
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
            "every layer starts with the right spread",
            inputs=lambda random: ((64, 3, random.randint(3, 6), random.choice([30.0, 45.0])),),
            call=_first_and_last,
            tolerance=0.07,
            mistakes=(
                Mistake(
                    "the first layer starts like the others: it needs `first=True`.",
                    when=lambda yours, target, *_: not 0.85 < yours["first layer"] < 1.15,
                ),
                Mistake(
                    "the hidden layers start like the first one: `first=True` is for the first alone.",
                    when=lambda yours, target, *_: not 0.85 < yours["hidden layer"] < 1.15,
                ),
                Mistake(
                    "the last layer still has PyTorch's start: draw its weights as the hidden layers' with "
                    "`siren.initialize(layer, omega_0)`.",
                    when=lambda yours, target, *_: not 0.85 < yours["last layer"] < 1.15,
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

# ---------------------------------------------------------------------------------------------- 02.4


class _DownThenUp(torch.optim.SGD):
    """Walks downhill for a while, then uphill: the best state lies on the way."""

    def __init__(self, parameters: Any, turn: int) -> None:
        super().__init__(parameters, lr=0.05)
        self.turn, self.taken = turn, 0

    def step(self, closure: Any = None) -> None:
        self.param_groups[0]["lr"] = 0.05 if self.taken < self.turn else -0.03
        self.taken += 1
        super().step(closure)


def _fit_inputs(random: Random) -> tuple[Any, ...]:
    height, width = random.size(4, 8)
    return (
        random.tensor(height, width, 2, low=-1, high=1),
        random.tensor(height, width, 3),
        random.randint(4, 6),
        random.randint(9, 12),
    )


def _fitted(fit: Any, coordinates: Tensor, colours: Tensor, turn: int, steps: int) -> dict[str, Any]:
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).to(coordinates.device)
    losses = fit(network, coordinates, colours, _DownThenUp(network.parameters(), turn), steps)
    if isinstance(losses, list | tuple) and len(losses) == steps + 1:
        raise Wrong("there is one loss too many: one before each step, and no more.")
    weights = torch.cat([p.detach().flatten() for p in network.parameters()])
    return {"losses": losses, "weights": weights}


def _fit_like(
    keep: str = "copy",
    zero: bool = True,
    backward: bool = True,
    step: bool = True,
    loss=lambda output, target: (output - target).square().mean(),
):
    """Fit loops that differ from the right one in one thing."""

    def wrong(network: nn.Module, x: Tensor, target: Tensor, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        losses: list[float] = []
        best, state = (-math.inf if keep == "worst" else math.inf), None
        for _ in range(steps):
            if zero:
                optimizer.zero_grad()
            error = loss(network(x), target)
            losses.append(error.item())
            better = losses[-1] > best if keep == "worst" else losses[-1] < best
            if better and keep in ("copy", "alias", "worst"):
                best = losses[-1]
                state = network.state_dict() if keep == "alias" else copy.deepcopy(network.state_dict())
            if backward:
                error.backward()
            if step:
                optimizer.step()
            if better and keep == "after":
                best, state = losses[-1], copy.deepcopy(network.state_dict())
        if state is not None:
            network.load_state_dict(state)
        return losses

    return wrong


FIT = Exercise(
    id="02.4",
    title="The fit loop that keeps the best state",
    minutes=7,
    core=True,
    reference=fit,
    checks=(
        Check(
            "right losses, and the best state at the end",
            inputs=_fit_inputs,
            call=_fitted,
            tolerance=1e-4,
            mistakes=(
                Mistake(
                    "the state at the end is the last one, not the best: `state_dict()` holds the weights themselves, and "
                    "they move on. Keep a copy: `copy.deepcopy(network.state_dict())`. (Or nothing was kept, or not loaded.)",
                    like=_fit_like(keep="alias"),
                ),
                Mistake(
                    "the state that you keep is from after the step, but the loss that you judge it by is from before: keep "
                    "the copy before `optimizer.step()`, so that both belong together.",
                    like=_fit_like(keep="after"),
                ),
                Mistake(
                    "no state was kept: `best_state` is still None after the loop. Where the loss is the smallest so "
                    "far, keep a copy of `network.state_dict()`.",
                    error="state_dict to be dict-like",
                ),
                Mistake("the worst state is kept: smaller losses are better.", like=_fit_like(keep="worst")),
                Mistake(
                    "gradients pile up from step to step: `optimizer.zero_grad()` belongs before `loss.backward()`.",
                    like=_fit_like(zero=False),
                ),
                Mistake(
                    "the sign is wrong: that loss falls when the picture gets worse.",
                    like=_fit_like(loss=lambda output, target: -(output - target).square().mean()),
                ),
                Mistake(
                    "the weights never move: there are a `loss.backward()` and an `optimizer.step()` in each step.",
                    when=lambda yours, target, *_: max(yours["losses"]) - min(yours["losses"]) < 1e-7,
                ),
                Mistake(
                    "that is the mean absolute error: square the differences.",
                    like=_fit_like(loss=lambda output, target: (output - target).abs().mean()),
                ),
                Mistake(
                    "the loss is a sum: take the mean, or the step's size depends on the number of pixels.",
                    like=_fit_like(loss=lambda output, target: (output - target).square().sum()),
                ),
                Mistake(
                    "the root of the mean is taken: the mean of the squares is all that is asked for.",
                    like=_fit_like(loss=lambda output, target: (output - target).square().mean().sqrt()),
                ),
                Mistake(
                    "the losses still carry their graph of gradients: `loss.item()` makes a plain number.",
                    when=lambda yours, target, *_: any(isinstance(each, Tensor) for each in yours["losses"]),
                ),
            ),
        ),
    ),
    hints=(
        "The order within a step: compute the loss; note it; keep the state if it is the best so far; then the three lines "
        "that every PyTorch loop has.",
        "`network.state_dict()` holds the weights themselves, not copies of them: the optimiser goes on to change them. "
        "`copy.deepcopy(…)` makes copies.",
        "`loss = ((network(coordinates) - colours) ** 2).mean()`, then `if loss.item() < best_loss:` keep both, then "
        "`optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`.",
    ),
)

# ---------------------------------------------------------------------------------------------- 02.5


class _Scene(nn.Module):
    """A picture as a function with a known formula, brighter than white and darker than black in places."""

    def __init__(self, tilt: Tensor) -> None:
        super().__init__()
        self.tilt = nn.Parameter(tilt)  # (2, 3)

    def forward(self, coordinates: Tensor) -> Tensor:
        x, y = coordinates.unbind(-1)
        return 0.5 + torch.stack([0.7 * torch.sin(2 * x), 0.5 * y, 0.3 * x * y], dim=-1) + coordinates @ self.tilt


def _own_size(random: Random) -> tuple[Any, ...]:
    height, width = random.size(4, 9)
    return _Scene(random.tensor(2, 3, low=-0.3, high=0.3)), height, width, (height, width)


def _other_size(random: Random) -> tuple[Any, ...]:
    height, width = random.size(5, 12)
    rows, columns = random.size(4, 9)
    return _Scene(random.tensor(2, 3, low=-0.3, high=0.3)), height, width, (rows, columns + 4)


def _rendered(render: Any, network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
    picture = render(network, height, width, source)
    if isinstance(picture, Tensor) and picture.requires_grad:
        raise Wrong("the picture carries a graph of gradients, which costs memory: `@torch.no_grad()` above the function.")
    return picture


def _paint(network: nn.Module, x: Tensor, y: Tensor, clamp: bool = True) -> Tensor:
    """Colours at all pairs of a column's x and a row's y, as a picture."""
    device = next(network.parameters()).device
    y, x = torch.meshgrid(y.to(device), x.to(device), indexing="ij")
    with torch.no_grad():
        picture = network(torch.stack([x, y], dim=-1)).movedim(-1, 0)
    return picture.clamp(0, 1) if clamp else picture


def centres(length: int, source: int) -> Tensor:
    """Canvas coordinates of the pixel centres of a side rendered at another length."""
    return 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / (source - 1) - 1


class _AskedYX(nn.Module):
    """A network that is asked for (y, x)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, coordinates: Tensor) -> Tensor:
        return self.network(coordinates.flip(-1))


def _render_like(axis=centres, clamp: bool = True, swapped: bool = False, yx: bool = False):
    """Renderers that differ from the right one in one thing."""

    def wrong(network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
        x, y = axis(width, source[1]), axis(height, source[0])
        if swapped:
            x, y = axis(width, source[0]), axis(height, source[1])
        if yx:
            return _paint(_AskedYX(network), x, y, clamp)
        return _paint(network, x, y, clamp)

    return wrong


RENDER = Exercise(
    id="02.5",
    title="Rendering at any size",
    minutes=5,
    core=False,
    reference=render,
    checks=(
        Check(
            "right at the picture's own size",
            inputs=_own_size,
            call=_rendered,
            draw="picture",
            mistakes=(
                Mistake(
                    'H and W are swapped: the picture lies on its side. `torch.meshgrid(y, x, indexing="ij")` has rows first.',
                    when=lambda yours, target, network, height, width, source: yours.shape == (3, width, height),
                ),
                Mistake(
                    "the colours come last: a picture is (3, height, width), so move them to the front with `movedim(-1, 0)`.",
                    when=lambda yours, target, network, height, width, source: yours.shape == (height, width, 3),
                ),
                Mistake(
                    "colours leave [0, 1]: `clamp(0, 1)`, since nothing is blacker than black.",
                    like=_render_like(clamp=False),
                ),
                Mistake(
                    "the network is asked for (y, x): the order of coordinates is (x, y).",
                    like=_render_like(yx=True),
                ),
            ),
        ),
        Check(
            "pixel centres stay in place at every other size",
            inputs=_other_size,
            call=_rendered,
            draw="picture",
            mistakes=(
                Mistake(
                    "corners instead of centres: from −1 to 1 at every size shifts the picture by up to half a pixel. At "
                    "twice the size, the first two centres lie a quarter of a pixel left and right of the old one.",
                    like=_render_like(lambda length, source: torch.linspace(-1, 1, length)),
                ),
                Mistake(
                    "the half pixels are missing: pixel px has its centre at px + ½.",
                    like=_render_like(lambda length, source: 2 * torch.arange(length) * source / length / (source - 1) - 1),
                ),
                Mistake(
                    "one half pixel is missing: add ½ before scaling, and take ½ off again afterwards.",
                    like=_render_like(
                        lambda length, source: 2 * (torch.arange(length) + 0.5) * source / length / (source - 1) - 1
                    ),
                ),
                Mistake(
                    "the last division is by the source's size: −1 and 1 are the centres of its first and last pixel, and "
                    "they lie (size − 1) pixels apart.",
                    like=_render_like(
                        lambda length, source: 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / source - 1
                    ),
                ),
                Mistake(
                    "the source's height and width are swapped: it is (H₀, W₀), and x goes with the width.",
                    like=_render_like(swapped=True),
                ),
            ),
        ),
    ),
    hints=(
        "Do one side first: the positions `px` of the new columns, as positions `u` between the old columns, and then as x.",
        "`u = (px + 0.5) * source[1] / width - 0.5`, then `x = 2 * u / (source[1] - 1) - 1`. The same for y with the heights.",
        '`y, x = torch.meshgrid(y, x, indexing="ij")` makes two grids, `torch.stack([x, y], dim=-1)` one '
        "of (height, width, 2). "
        "Give it to the network, move the colours to the front, clamp.",
    ),
)

# ---------------------------------------------------------------------------------------------- 02.6


def _network_and_size(random: Random) -> tuple[Any, ...]:
    network = Siren(random.randint(5, 30), random.randint(2, 5), random.randint(0, 6))
    return network, *random.size(20, 90), random.choice([8, 12, 24])


RATE = Exercise(
    id="02.6",
    title="Count the bits",
    minutes=2,
    core=True,
    reference=rate_of_weights,
    checks=(
        Check(
            "right for random networks and sizes",
            inputs=_network_and_size,
            mistakes=(
                Mistake(
                    "the biases are not counted: the decoder needs them too.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters() if p.ndim > 1) / (h * w),
                ),
                Mistake(
                    "bytes instead of bits: a rate is in bits per pixel.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()) / (8 * h * w),
                ),
                Mistake(
                    "32 bits a weight: that is how PyTorch computes (float32). Count the `bits_per_weight` that are stored.",
                    like=lambda net, h, w, bits: 32 * sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "16 bits a weight, whatever was asked for: use `bits_per_weight`.",
                    like=lambda net, h, w, bits: 16 * sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "divided by the three colours as well: a rate is for each pixel, with all its colours.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()) / (3 * h * w),
                ),
                Mistake(
                    "tensors are counted instead of weights: `p.numel()` says how many numbers a tensor holds.",
                    like=lambda net, h, w, bits: bits * len(list(net.parameters())) / (h * w),
                ),
                Mistake(
                    "that is the size of the whole file in bits: divide by the number of pixels.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()),
                ),
            ),
        ),
    ),
    hints=(
        "How many numbers must the decoder know? All of them, weights and biases: `network.parameters()` goes through them.",
        "`p.numel()` is how many numbers a tensor holds. Sum that over all parameters.",
        "Bits in all are `bits_per_weight` times that sum; pixels are `height * width`.",
    ),
)

EXERCISES = [ENCODING, SINE_LAYER, SIREN, FIT, RENDER, RATE]
