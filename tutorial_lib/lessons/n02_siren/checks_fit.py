"""Checks of notebook 02's two fit loops: the plainest one, and the one that keeps the best state."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n02_siren.answers import descend, fit


class _UpAndDown(torch.optim.SGD):
    """Walks uphill, downhill, uphill again, and at last a little down: no end of the way is the best or the worst state.

    So neither the last state, nor the first, nor one that is better than that before it alone, passes for the best.
    """

    def __init__(self, parameters: Any, turn: int, steps: int) -> None:
        super().__init__(parameters, lr=0.05)
        self.rates = [-0.15, *[0.05] * (turn - 2), 0.003, *[-0.012] * (steps - turn - 2), 0.005, 0.005]
        self.taken = 0

    def step(self, closure: Any = None) -> None:
        self.param_groups[0]["lr"] = self.rates[min(self.taken, len(self.rates) - 1)]
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
    start = _weights(network)
    losses = fit(network, coordinates, colours, _UpAndDown(network.parameters(), turn, steps), steps)
    if losses is None:
        raise Wrong("nothing comes back: `return losses` stands at the end, below the loop.")
    if isinstance(losses, Tensor | float):
        raise Wrong("one loss comes back: return the list of all of them.")
    if isinstance(losses, list | tuple) and len(losses) != steps:
        if len(losses) == steps + 1:
            raise Wrong("there is one loss too many: one before each step, and no more.")
        if len(losses) == 1:
            raise Wrong(
                f"one loss comes back from {steps} steps: does the `return` stand inside the loop, or the noting outside?"
            )
        raise Wrong(f"{len(losses)} losses come back from {steps} steps: note one in each, before the weights move.")
    end = _weights(network)
    return {"losses": losses, "weights at the end": end, _MOVED: not torch.equal(start, end)}


_MOVED = "whether the weights have moved"


def _weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def _squared(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean()


_ORDER = ("zero", "loss", "note", "keep", "backward", "step")


def _fit_like(*order: str, keep: str = "", loss: Any = _squared):
    """Fit loops that differ from the right one in one thing.

    Args:
        order: what happens in a step; "note again" computes the loss anew before it is noted.
        keep: which state is loaded at the end: none, the "best", the "worst", each "better than nothing", or an "alias".
        loss: of the network's output and the colours.
    """

    def wrong(network: nn.Module, x: Tensor, target: Tensor, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        losses: list[float] = []
        best, state = (-math.inf if keep == "worst" else math.inf), None
        for _ in range(steps):
            for what in order or _ORDER:
                if what == "zero":
                    optimizer.zero_grad()
                elif what == "loss":
                    error = loss(network(x), target)
                elif what == "note":
                    losses.append(error.item())
                elif what == "note again":
                    losses.append(loss(network(x), target).item())
                elif what == "keep" and keep and (error.item() > best if keep == "worst" else error.item() < best):
                    best = best if keep == "better than nothing" else error.item()
                    state = network.state_dict() if keep == "alias" else copy.deepcopy(network.state_dict())
                elif what == "backward":
                    error.backward()
                elif what == "step":
                    optimizer.step()
        if state is not None:
            network.load_state_dict(state)
        return losses

    return wrong


def _still(yours: Any, target: Any, *_: Any) -> bool:
    return not yours[_MOVED] and max(yours["losses"]) - min(yours["losses"]) < 1e-7


def _loss_mistakes(like: Any) -> tuple[Mistake, ...]:
    """Other losses than the mean of the squares."""
    return (
        Mistake(
            "that is the mean absolute error: square the differences.",
            like=like(loss=lambda output, target: (output - target).abs().mean()),
        ),
        Mistake(
            "the loss is a sum: take the mean, or the step's size depends on the number of pixels.",
            like=like(loss=lambda output, target: (output - target).square().sum()),
        ),
        Mistake(
            "the squares of a pixel's three colours are added up: take the mean of everything.",
            like=like(loss=lambda output, target: (output - target).square().sum(-1).mean()),
        ),
        Mistake(
            "the differences cancel out: square each of them first, then take the mean.",
            like=(
                like(loss=lambda output, target: (output - target).mean()),
                like(loss=lambda output, target: (output - target).mean().square()),
            ),
        ),
        Mistake(
            "the root of the mean is taken: the mean of the squares is all that is asked for.",
            like=like(loss=lambda output, target: _squared(output, target).sqrt()),
        ),
    )


def _step_mistakes(keep: str) -> tuple[Mistake, ...]:
    """What goes wrong within a step, for a loop that keeps a state or none."""

    def like(*order: str, **options: Any) -> Any:
        return _fit_like(*order, keep=keep, **options)

    return (
        Mistake(
            "gradients pile up from step to step: `optimizer.zero_grad()` belongs before `loss.backward()`.",
            like=like("loss", "note", "keep", "backward", "step"),
        ),
        Mistake(
            "the step comes before `loss.backward()`: it takes the slopes of the step before. First backward, then step.",
            like=(
                like("loss", "note", "keep", "step", "zero", "backward"),
                like("step", "zero", "loss", "note", "keep", "backward"),
            ),
        ),
        Mistake(
            "something comes before `loss.backward()` that changes the weights which gave the loss: first backward, then "
            "`optimizer.step()`" + (", and `load_state_dict` after the loop." if keep else "."),
            error="modified by an inplace operation",
        ),
        Mistake(
            "the losses are those after each step: note the loss that `backward` is called on, which comes "
            "before the weights move.",
            like=like("zero", "loss", "keep", "backward", "step", "note again"),
        ),
        Mistake(
            "the sign is wrong: that loss falls when the picture gets worse.",
            like=like(loss=lambda output, target: -_squared(output, target)),
        ),
        Mistake(
            "the weights are the same before every step. What moves them: `loss.backward()` finds the slopes, "
            "and `optimizer.step()` "
            "uses them, with no `zero_grad()` between the two" + (", and nothing is loaded inside the loop." if keep else "."),
            when=_still,
        ),
        *_loss_mistakes(like),
        Mistake(
            "the losses are still tensors: `loss.item()` makes a plain number, without the graph of gradients.",
            when=lambda yours, target, *_: any(isinstance(each, Tensor) for each in yours["losses"]),
        ),
        Mistake(
            "`backward` is called twice on one loss. Compute the loss anew in each step, inside the loop, and call it once.",
            error="backward through the graph a second time",
        ),
        Mistake(
            "`backward` finds no graph: the loss has been made a plain number, or detached, before it.",
            error="does not require grad|has no attribute 'backward'",
        ),
    )


DESCENT = Exercise(
    id="02.0b",
    title="A loop that fits it",
    minutes=5,
    core=True,
    reference=descend,
    checks=(
        Check(
            "right losses, and the right weights at the end",
            inputs=_fit_inputs,
            call=_fitted,
            mistakes=_step_mistakes(keep=""),
        ),
    ),
    hints=(
        "The loss is one number for all pixels: subtract the colours from what the network paints, square, "
        "take the mean. Note it: "
        "`losses.append(loss.item())`.",
        "Then three lines that every PyTorch loop has: old slopes to zero, `loss.backward()` for the new ones, one step of the "
        "optimizer along them.",
        "`loss = ((network(coordinates) - colours) ** 2).mean()`, then `optimizer.zero_grad()`, `loss.backward()`, "
        "`optimizer.step()`.",
    ),
)

FIT = Exercise(
    id="02.4",
    title="A loop that keeps the best state",
    minutes=5,
    core=False,
    reference=fit,
    checks=(
        Check(
            "right losses, and the best state at the end",
            inputs=_fit_inputs,
            call=_fitted,
            mistakes=(
                Mistake(
                    "the state at the end is the last one, not the best: `state_dict()` holds the weights themselves, and "
                    "they move on; `.copy()` and `dict(…)` copy their names alone. Keep `copy.deepcopy(network.state_dict())`. "
                    "(Or nothing was loaded after the loop.)",
                    like=_fit_like(keep="alias"),
                ),
                Mistake(
                    "the state before the last step is kept, not the best: a state is kept only where its loss is below "
                    "`best_loss`, the smallest so far, which changes together with the state.",
                    like=_fit_like(keep="better than nothing"),
                ),
                Mistake(
                    "the state that you keep is from after the step, but the loss that you judge it by is from before: keep "
                    "the copy before `optimizer.step()`, so that both belong together.",
                    like=_fit_like("zero", "loss", "note", "backward", "step", "keep", keep="best"),
                ),
                Mistake(
                    "no state was kept: `best_state` is still None after the loop. Where the loss is the smallest so "
                    "far, keep a copy of `network.state_dict()`.",
                    error="state_dict to be dict-like.*NoneType",
                ),
                Mistake(
                    "what was kept can't be loaded: `load_state_dict` wants a state, `copy.deepcopy(network.state_dict())`, not "
                    "the network or a list of its weights.",
                    error="state_dict to be dict-like",
                ),
                Mistake("the worst state is kept: smaller losses are better.", like=_fit_like(keep="worst")),
                *_step_mistakes(keep="best"),
            ),
        ),
    ),
    hints=(
        "Begin with your loop of 02.0b. Right after the loss is noted, and before anything moves: is it the "
        "smallest so far? Then keep "
        "the loss and the state.",
        "`network.state_dict()` holds the weights themselves, not copies of them: the optimizer goes on to change them. "
        "`copy.deepcopy(…)` makes copies.",
        "`if loss.item() < best_loss:` then `best_loss = loss.item()` and `best_state = copy.deepcopy(network.state_dict())`.",
    ),
)
