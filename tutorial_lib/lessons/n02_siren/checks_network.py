"""Checks of notebook 02's network: SIREN, and the loop that fits it."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n02_siren.answers import Siren, fit
from tutorial_lib.lessons.n02_siren.checks_layers import right_bound

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
        "`network.state_dict()` holds the weights themselves, not copies of them: the optimizer goes on to change them. "
        "`copy.deepcopy(…)` makes copies.",
        "`loss = ((network(coordinates) - colours) ** 2).mean()`, then `if loss.item() < best_loss:` keep both, then "
        "`optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`.",
    ),
)
