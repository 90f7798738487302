"""Checks of notebook 04's context network: from the neighbours that are known to a law for the integer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n04_latent_grids.answers import ContextNetwork

Weights = Sequence[Tensor]
Law = tuple[Tensor, Tensor]


def _inputs(random: Random) -> tuple[Any, ...]:
    neighbours, width = random.sample(range(4, 10), 2)  # never the 10 and 8 of the notebook
    weights = [random.normal(*parameter.shape, std=0.4) for parameter in ContextNetwork(neighbours, width).parameters()]
    return random.tensor(random.randint(12, 20), neighbours, low=-4, high=4).round(), neighbours, width, weights


def _large(random: Random) -> tuple[Any, ...]:
    """The largest integers that a grid may hold."""
    contexts, *rest = _inputs(random)
    return 1023 * contexts.sign(), *rest


def _made(network_class: Callable[..., nn.Module], neighbours: int, width: int) -> nn.Module:
    network = network_class(neighbours, width)
    if not isinstance(network, nn.Module):
        raise Wrong("it is no network: `class ContextNetwork(nn.Module)`, with the layers made in `__init__`.")
    return network


def _fits(network_class: Callable[..., nn.Module], contexts: Tensor, neighbours: int, width: int, weights: Weights) -> bool:
    """Whether its parameters have the right shapes; `Wrong` in words where they don't."""
    network = _made(network_class, neighbours, width)
    hidden = [name for name, value in vars(network).items() if isinstance(value, list | tuple) and _layers_in(value)]
    if hidden:
        raise Wrong(
            f"`self.{hidden[0]}` is a plain Python list, in which PyTorch finds no layers, and no optimizer would move them: "
            "give each layer an attribute of its own, or use `nn.ModuleList`."
        )
    found = [tuple(parameter.shape) for parameter in network.parameters()]
    for slip, message in _slips(neighbours, width):
        if found == slip:
            raise Wrong(message)
    load_parameters(network, weights)
    return True


def _layers_in(container: Sequence[Any]) -> bool:
    return any(isinstance(each, nn.Module) for each in container)


def _slips(n: int, w: int) -> list[tuple[list[tuple[int, ...]], str]]:
    """Shapes of parameters that are wrong in a known way, for n neighbours and the width w."""

    def layers(*sizes: tuple[int, int], biases: bool = True) -> list[tuple[int, ...]]:
        return [shape for m, k in sizes for shape in ([(m, k), (m,)] if biases else [(m, k)])]

    first, second, last = (w, n), (w, w), (2, w + n)
    return [
        ([], "there are no parameters: make the layers in `__init__` as attributes, `self.first = nn.Linear(…)`."),
        (layers(first, second, last, biases=False), "the layers have no biases: leave `bias=True`, as `nn.Linear` has it."),
        (
            layers(first, second, (2, w)),
            "the last layer has room for the hidden numbers alone: it also sees the neighbours themselves, so it has "
            "`width + neighbours` inputs.",
        ),
        (layers(first, second, (1, w + n)), "the last layer gives one number: a law has two, μ and log₂ b."),
        (
            layers(first, (2, w)),
            "there are two layers: between the first and the last is one from `width` to `width`; and the last one also sees the "
            "neighbours themselves, so it has `width + neighbours` inputs.",
        ),
        (layers(first, last), "there are two layers: between the first and the last is one from `width` to `width`."),
        (layers((8, 10), (8, 8), (2, 18)), "10 and 8 are written into the layers: use the arguments `neighbours` and `width`."),
    ]


def _law(network_class: Callable[..., nn.Module], contexts: Tensor, neighbours: int, width: int, weights: Weights) -> Law:
    network = _made(network_class, neighbours, width).to(contexts.device)
    load_parameters(network, weights)
    return _two(network(contexts), len(contexts))


def _two(result: Any, count: int) -> Law:
    """μ and log₂ b, of a pair or of a tensor that can be taken apart as one."""
    if isinstance(result, Tensor) and result.shape == (count, 2):
        raise Wrong(
            f"it returns one tensor of shape ({count}, 2): hand back two of shape ({count},), μ and log₂ b. "
            "`.unbind(-1)` takes the columns apart."
        )
    if isinstance(result, Tensor) and result.shape == (2, count):
        result = (result[0], result[1])
    if not isinstance(result, tuple | list) or len(result) != 2 or not all(isinstance(each, Tensor) for each in result):
        raise Wrong("it returns two tensors, μ and log₂ b of every integer: `return location, log2_scale`.")
    if any(each.shape != (count,) for each in result):
        shapes = " and ".join(str(tuple(each.shape)) for each in result)
        raise Wrong(f"its results have the shapes {shapes}: μ and log₂ b are ({count},) each, one for each row of the table.")
    return result[0], result[1]


def _one_by_one(network_class: Callable[..., nn.Module], contexts: Tensor, *shape: Any) -> Law:
    """The laws of each row alone, as a decoder asks for them."""
    laws = [_law(network_class, row[None], *shape) for row in contexts]
    location, log2_scale = zip(*laws, strict=True)
    return torch.cat(location), torch.cat(log2_scale)


def _slopes(
    network_class: Callable[..., nn.Module], contexts: Tensor, neighbours: int, width: int, weights: Weights
) -> dict[str, Tensor]:
    """Of both outputs, for the neighbours and for each parameter."""
    contexts = contexts.requires_grad_()
    network = _made(network_class, neighbours, width).to(contexts.device)
    load_parameters(network, weights)
    sources = {"the neighbours": contexts, **parameters_of(network)}
    return slopes(torch.cat(_two(network(contexts), len(contexts))), sources)


def context_like(
    *,
    first: Callable[[Tensor], Tensor] = torch.relu,
    second: Callable[[Tensor], Tensor] = torch.relu,
    residual: float = 1.0,
    early: bool = False,
    end: Callable[[Tensor, Tensor], Law] = lambda location, log2_scale: (location, log2_scale),
    seen: Callable[[Tensor], Tensor] = lambda contexts: contexts,
    swapped: bool = False,
) -> type[nn.Module]:
    """Context networks that differ from the right one in one thing; arguments as they are right."""

    class Other(ContextNetwork):
        def forward(self, contexts: Tensor) -> Law:
            contexts = seen(contexts)
            hidden = first(self.first(contexts))
            both = second(self.second(hidden)) + hidden if early else second(self.second(hidden) + residual * hidden)
            parts = [contexts, both] if swapped else [both, contexts]
            return end(*self.last(torch.cat(parts, dim=-1)).unbind(-1))

    return Other


def _same(values: Tensor) -> Tensor:
    return values


CONTEXT = Exercise(
    id="04.5",
    title="The context network",
    minutes=7,
    core=True,
    reference=ContextNetwork,
    checks=(
        Check("three layers with biases, of the right sizes", inputs=_inputs, call=_fits),
        Check(
            "the right μ and log₂ b",
            inputs=_inputs,
            call=_law,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "the first two are swapped: μ comes first, then log₂ b.",
                    like=context_like(end=lambda location, log2_scale: (log2_scale, location)),
                ),
                Mistake(
                    "the ReLUs are missing: without them three layers are no more than one.",
                    like=context_like(first=_same, second=_same),
                ),
                Mistake("the ReLU after the second layer is missing.", like=context_like(second=_same)),
                Mistake("the ReLU after the first layer is missing.", like=context_like(first=_same)),
                Mistake(
                    "the second layer's input is not added to its output: ReLU(W₂·h + b₂ + h).",
                    like=context_like(residual=0.0),
                ),
                Mistake(
                    "h is added after the second ReLU: add it before, ReLU(W₂·h + b₂ + h).",
                    like=context_like(early=True),
                ),
                Mistake(
                    "a ReLU at the end: μ and log₂ b may be negative, so the last layer has none.",
                    like=context_like(end=lambda location, log2_scale: (location.relu(), log2_scale.relu())),
                ),
                Mistake(
                    "b itself is returned: the network gives log₂ b, and `laplace_bits` makes b of it.",
                    like=(
                        context_like(end=lambda location, log2_scale: (location, torch.exp2(log2_scale))),
                        context_like(end=lambda location, log2_scale: (location, torch.exp(log2_scale))),
                    ),
                ),
                Mistake(
                    "neighbours and hidden numbers stand in the other order: the hidden ones come first, "
                    "`torch.cat([hidden, contexts], dim=-1)`.",
                    like=context_like(swapped=True),
                ),
                Mistake(
                    "another bend than ReLU: decoders like it because it needs no exponential.",
                    like=(
                        context_like(first=torch.tanh, second=torch.tanh),
                        context_like(first=torch.sigmoid, second=torch.sigmoid),
                        context_like(first=torch.sin, second=torch.sin),
                        context_like(first=nn.functional.gelu, second=nn.functional.gelu),
                        context_like(first=nn.functional.silu, second=nn.functional.silu),
                    ),
                ),
                Mistake(
                    "the signs of the neighbours are gone: they go in as they are.",
                    like=context_like(seen=torch.abs),
                ),
                Mistake(
                    "the neighbours are normalized over the whole table: then the law of an integer depends on integers that the "
                    "decoder doesn't have yet.",
                    like=(
                        context_like(seen=lambda c: c - c.mean(0)),
                        context_like(seen=lambda c: (c - c.mean(0)) / c.std(0)),
                        context_like(seen=lambda c: (c - c.mean(0)) / (c.std(0) + 1e-5)),
                        context_like(seen=lambda c: (c - c.mean()) / c.std()),
                        context_like(seen=lambda c: c / c.abs().max()),
                    ),
                ),
            ),
        ),
        Check(
            "a table of one row gives the same, as a decoder asks for it",
            inputs=_inputs,
            call=_one_by_one,
            tolerance=1e-3,
        ),
        Check(
            "the largest integers, too",
            inputs=_large,
            call=_law,
            tolerance=1e-3,
            mistakes=(
                Mistake(
                    "large integers are cut off on their way: the neighbours go in as they are.",
                    like=(
                        context_like(seen=lambda c: c.clamp(-8, 8)),
                        context_like(seen=lambda c: c.clamp(-16, 16)),
                        context_like(seen=lambda c: c.clamp(-100, 100)),
                    ),
                ),
                Mistake(
                    "log₂ b is cut off here: the cell below does that, `log2_scale.clamp(-4, 10)`, and once is enough.",
                    like=context_like(end=lambda location, log2_scale: (location, log2_scale.clamp(-4, 10))),
                ),
            ),
        ),
        Check(
            "every weight can be trained, and the neighbours as well",
            inputs=_inputs,
            call=_slopes,
            tolerance=5e-3,
            mistakes=(
                Mistake(
                    "no gradient comes back to the neighbours: they are latents, and learn to make the next guess better. No "
                    "`detach()` here.",
                    error="no gradient reaches the neighbours",
                ),
                Mistake(
                    "a part of the network gets no gradient and would never learn: no `detach()`, `.data` or `torch.no_grad()`.",
                    error="no gradient",
                ),
            ),
        ),
    ),
    hints=(
        "Three layers of the kind `nn.Linear(inputs, outputs)`, made in `__init__`: `neighbours` to `width`, `width` to `width`, "
        "`width + neighbours` to 2.",
        "`hidden = torch.relu(self.first(contexts))`. The second layer also adds what it got: "
        "`hidden = torch.relu(self.second(hidden) + hidden)`.",
        "The last layer sees both, `torch.cat([hidden, contexts], dim=-1)`, and has no ReLU. Its result is (n, 2): "
        "`location, log2_scale = ….unbind(-1)`.",
    ),
)
