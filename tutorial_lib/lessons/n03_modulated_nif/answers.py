"""The library's answers to the exercises of notebook 03."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.networks import nif
from tutorial_lib.training import WarmUpCycles


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
    """Each optimizer trains a copy of ``start`` of its own for so many seconds: name to (seconds, loss) of each step."""
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
