"""Checks of notebook 04's layer in whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n04_latent_grids.answers import UNIT, integer_layer


def _layer_inputs(random: Random) -> tuple[Any, ...]:
    outputs, inputs = random.size(3, 9)
    columns = random.tensor(inputs, random.randint(5, 9), low=-900, high=900).double().mul(UNIT).round()
    return random.normal(outputs, inputs + 1, std=0.4), columns


def _integer_like(
    matrix_of: Callable[[Tensor], Tensor] = torch.round,
    bias: float = UNIT,
    end: Callable[[Tensor], Tensor] = torch.floor,
    unit: float = UNIT,
    kind: torch.dtype = torch.float64,
    first: bool = False,
    inputs: float = 1.0,
):
    """Integer layers that differ from the right one in one thing."""

    def wrong(matrix: Tensor, columns: Tensor) -> Tensor:
        whole = matrix_of(matrix.detach().to(kind) * UNIT)
        weights, biases = (whole[:, 1:], whole[:, :1]) if first else (whole[:, :-1], whole[:, -1:])
        total = weights @ columns.to(kind) * inputs + biases * bias
        return end(total / unit).double()

    return wrong


def _fine_bias(matrix: Tensor, columns: Tensor) -> Tensor:
    whole = torch.round(matrix.detach().double() * UNIT)
    return torch.floor((whole[:, :-1] @ columns + torch.round(matrix.detach().double()[:, -1:] * UNIT**2)) / UNIT)


INTEGERS = Exercise(
    id="04.7",
    title="A layer in whole numbers",
    minutes=5,
    core=False,
    reference=integer_layer,
    checks=(
        Check(
            "right to the last digit",
            inputs=_layer_inputs,
            tolerance=0.0,
            mistakes=(
                Mistake(
                    "the bias is 4096 times too small: W·x is a product of two numbers in units of 1/4096, so the bias needs "
                    "another factor of 4096 before it is added.",
                    like=_integer_like(bias=1),
                ),
                Mistake("the bias is missing: W·x + b.", like=_integer_like(bias=0)),
                Mistake(
                    "the bias is 4096 times too large: it is in units of 1/4096 already, and needs one more factor of 4096.",
                    like=_integer_like(bias=UNIT**2),
                ),
                Mistake(
                    "the bias is rounded in units of 1/4096²: it is rounded to 1/4096 like the weights, and then multiplied.",
                    like=_fine_bias,
                ),
                Mistake(
                    "the first column is taken for the bias: it is the last one, `whole[:, -1:]`.",
                    like=_integer_like(first=True),
                ),
                Mistake(
                    "the inputs are multiplied with 4096 again: `columns` are in units of 1/4096 already.",
                    like=_integer_like(inputs=UNIT),
                ),
                Mistake(
                    "divided by 4096 twice: the result is in units of 1/4096, as the inputs are.",
                    like=_integer_like(unit=UNIT**2),
                ),
                Mistake(
                    "the weights are not rounded: only multiples of 1/4096 make sums of whole numbers.",
                    like=_integer_like(lambda m: m),
                ),
                Mistake(
                    "the weights are cut off instead of rounded: `torch.round`.",
                    like=(
                        _integer_like(torch.floor),
                        _integer_like(torch.trunc),
                    ),
                ),
                Mistake(
                    "negative sums are cut off towards 0: `torch.floor` goes down for all, and that is what the decoder does.",
                    like=_integer_like(end=torch.trunc),
                ),
                Mistake(
                    "the end result is rounded: that would do, but encoder and decoder must agree, and here it is `torch.floor`.",
                    like=_integer_like(end=torch.round),
                ),
                Mistake(
                    "the end result is no whole number: after the division by 4096 comes `torch.floor`.",
                    like=_integer_like(end=lambda total: total),
                ),
                Mistake(
                    "the sum is still in units of 1/4096²: divide by 4096.",
                    like=_integer_like(unit=1.0),
                ),
                Mistake(
                    "the numbers are right, but of a type for integers: layers around this one compute in float64, `.double()`.",
                    when=lambda yours, target, *_: not yours.is_floating_point() and torch.equal(yours.double(), target),
                ),
                Mistake(
                    "`.int()` and `.long()` cut off towards 0: `torch.floor` goes down for all, and its result stays float64.",
                    when=lambda yours, target, *inputs: (
                        not yours.is_floating_point() and torch.equal(yours.double(), _integer_like(end=torch.trunc)(*inputs))
                    ),
                ),
                Mistake(
                    "the result is rounded up: `torch.floor` rounds down.",
                    like=_integer_like(end=torch.ceil),
                ),
                Mistake(
                    "the result has another type than float64, in which the layers around this one compute.",
                    when=lambda yours, target, *_: yours.dtype not in (torch.float64, torch.float32),
                ),
                Mistake(
                    "the result is float32, which holds whole numbers up to 2²⁴ only, and these sums are larger: "
                    "`matrix.double()` first, float64 holds them up to 2⁵³.",
                    when=lambda yours, target, *_: yours.dtype != torch.float64,
                ),
                Mistake(
                    "the sums are float32 on their way, where whole numbers above 2²⁴ lose their last digits; float64 at the end "
                    "doesn't bring them back. `matrix.double()` first.",
                    when=lambda yours, target, *_: bool(0 < (yours - target).abs().max() <= 16),
                ),
            ),
        ),
        Check(
            "the same one column at a time, or in any other batch",
            inputs=_layer_inputs,
            call=lambda layer, matrix, columns: torch.cat(
                [layer(matrix, columns[:, i : i + 1]) for i in range(columns.shape[1])], 1
            ),
            tolerance=0.0,
        ),
    ),
    hints=(
        "In units of 1/4096 a weight w is the whole number round(4096·w). The columns are whole numbers in these units already.",
        "A product of two such numbers is in units of 1/4096². Bring the bias there with another 4096, add, then go back: "
        "divide by 4096 and `torch.floor`.",
        "`whole = torch.round(matrix.double() * 4096)`, W is `whole[:, :-1]`, b is `whole[:, -1:] * 4096`, and the layer is "
        "`torch.floor((W @ columns + b) / 4096)`.",
    ),
)
