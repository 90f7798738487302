"""Checks of notebook 03's layers: the modulated sine, and the widths that a rate allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, load_parameters, parameters_of, slopes
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n03_modulated_nif.answers import modulated, predicted_bpp

# ---------------------------------------------------------------------------------------------- 03.1


def linear(random: Random, inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs).to(random.device)
    load_parameters(layer, [random.normal(outputs, inputs, std=0.1), random.normal(outputs, std=0.1)])
    return layer


def _layer_inputs(random: Random) -> tuple[Any, ...]:
    return _at(random, *random.size(), omega_0=random.choice([8.0, 14.0, 20.0]), sigma=random.choice([3.0, 5.0]))


def _at(random: Random, *shape: int, omega_0: float = 30.0, sigma: float = 10.0) -> tuple[Any, ...]:
    inputs = random.randint(3, 5)
    layer = linear(random, inputs, random.randint(6, 8))
    features = random.tensor(*shape, inputs, low=-1, high=1)
    return layer, features, random.tensor(*shape, 1, low=-1, high=1), omega_0, sigma


def _wide_map(random: Random) -> tuple[Any, ...]:
    """A modulation far beyond ±1."""
    layer, features, f_m, *rest = _layer_inputs(random)
    return layer, features, 3 * f_m, *rest


def _slopes(
    answer: Callable[..., Tensor], layer: nn.Linear, features: Tensor, f_m: Tensor, omega_0: float, sigma: float
) -> dict[str, Tensor]:
    features, f_m = features.requires_grad_(), f_m.requires_grad_()
    return slopes(answer(layer, features, f_m, omega_0, sigma), {"the features": features, "f_m": f_m, **parameters_of(layer)})


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
                    "ω₀ and σ are swapped: ω₀ is what all places have in common, and f_m is multiplied with σ.",
                    like=_sine(lambda w, s, f, z, b: torch.sin((s + w * f) * (z + b))),
                ),
                Mistake(
                    "σ·f_m is taken off ω₀: it is added.",
                    like=_sine(lambda w, s, f, z, b: torch.sin((w - s * f) * (z + b))),
                ),
                Mistake(
                    "ω₀ multiplies σ·f_m as well: ω₀·(1 + σ·f_m) is ω₀ + ω₀·σ·f_m, and the frequency is ω₀ + σ·f_m.",
                    like=_sine(lambda w, s, f, z, b: torch.sin(w * (1 + s * f) * (z + b))),
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
            "any number as f_m",
            inputs=_wide_map,
            tolerance=2e-3,
            mistakes=(
                Mistake(
                    "f_m is cut off: it may be any number, and where it is cut off, no gradient flows.",
                    like=(
                        lambda layer, x, f, w=30.0, s=10.0: modulated(layer, x, f.clamp(-1, 1), w, s),
                        lambda layer, x, f, w=30.0, s=10.0: modulated(layer, x, f.tanh(), w, s),
                    ),
                ),
            ),
        ),
        Check(
            "both networks can be trained through it",
            inputs=_layer_inputs,
            call=_slopes,
            tolerance=5e-3,
            mistakes=(
                Mistake(
                    "f_m is detached: the modulation network gets no gradient, and would never learn anything.",
                    error="no gradient reaches f_m",
                ),
            ),
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
    """Shapes for which no two mistakes, and none and the right answer, come to one number by chance."""
    while True:
        genesis = sorted((random.randint(5, 60) for _ in range(random.choice([5, 6]) if modulated else 2)), reverse=True)
        modulation = [random.randint(4, 20) for _ in range(random.randint(1, 3))] if modulated else []
        frequencies = (random.randint(6, 16), random.randint(2, 5))
        inputs = genesis, modulation, frequencies, *random.size(30, 90), random.choice([5.0, 7.0])
        rates = sorted(wrong(*inputs) for wrong in _variants())
        if not modulated or all(later > 1.001 * earlier for earlier, later in itertools.pairwise(rates)):
            return inputs


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
    ends: tuple[int, int] = (3, 1),
    of: Callable[[int, int], int] | None = None,
):
    """Predictions that differ from the right one in one thing; arguments as they are right."""

    def wrong(genesis, modulation, frequencies, height, width, bits_per_weight):
        networks = [([encoded * frequencies[0] + extra, *genesis], ends[0])]
        if modulation_too and (modulation or not empty_is_free):
            networks.append(([encoded * frequencies[1] + extra, *modulation], ends[1]))
        chains = [[*sizes, end] if last else sizes for sizes, end in networks]
        weights = sum(
            _count(chain, biases) if of is None else sum(itertools.starmap(of, itertools.pairwise(chain))) for chain in chains
        )
        rate = (bits or bits_per_weight) * weights / unit / of_colours
        return rate / (height * width) if area else rate

    return wrong


def _variants() -> list[Callable[..., float]]:
    """The right answer and what people write instead."""
    counts = ({}, {"biases": 0}, {"modulation_too": False}, {"last": False}, {"encoded": 0}, {"extra": 0}, {"encoded": 2})
    outputs = ({"ends": (3, 3)}, {"ends": (1, 1)}, {"of": lambda n, m: n * (m + 1)})
    return [
        *(counting(**options) for options in (*counts, *outputs)),
        lambda genesis, *rest: predicted_bpp(genesis[:4], *rest),
        lambda g, m, f, *rest: predicted_bpp(g, m, (f[1], f[0]), *rest),
        lambda g, m, f, *rest: predicted_bpp(g, m, (f[0], f[0]), *rest),
    ]


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
                    "(m + 1)·n: a layer n → m has a bias for each of its m outputs, so (n + 1)·m.",
                    like=counting(of=lambda n, m: n * (m + 1)),
                ),
                Mistake(
                    "both networks are counted with three outputs: the modulation network has one, f_m.",
                    like=counting(ends=(3, 3)),
                ),
                Mistake(
                    "both networks are counted with one output: the genesis network has three, red, green and blue.",
                    like=counting(ends=(1, 1)),
                ),
                Mistake(
                    "the first layers are counted with 2 + 2·L inputs: each frequency gives a sine and a cosine of x, and both "
                    "of y, so 2 + 4·L.",
                    like=counting(encoded=2),
                ),
                Mistake(
                    "the frequencies are swapped: `frequencies[0]` is the genesis network's L, `frequencies[1]` the modulation "
                    "network's.",
                    like=lambda g, m, f, h, w, bits: predicted_bpp(g, m, (f[1], f[0]), h, w, bits),
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
