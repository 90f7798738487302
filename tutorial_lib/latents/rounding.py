"""Rounding the networks of latent grids so that D + λR is least, their own bits in R.

On a small picture the networks are a fifth of the file, so their rounding decides. Around the trained weights w*, J is nearly
a quadratic: J(w) ≈ J(w*) + ½(w − w*)ᵀH(w − w*). Rounding one weight moves the others' best values, and those
still free can make up for it (Hassibi and Stork, optimal brain surgeon, NIPS 1992; Frantar et al., GPTQ, arXiv 2210.17323),
so steps can be coarser. Then symbols move one by one as long as ½δᵀHδ + λ·bits falls (rate-distortion optimized
quantization). Against the best step for each group and nearest rounding, `coolchic-small`'s networks take 350 bytes instead of
460 at 192×128, and J falls by 2 to 4 % (λ = 10⁻³, Kodak 3, 15, 23; trying each weight one step up and down gives 0.6 %). At
384×256 (Kodak 15, after 600 steps) `coolchic-v2`'s take 1,078 instead of 1,504 and J falls by 3.0 %, `coolchic-large`'s 633
instead of 832 and by 1.5 %. There H is measured on a sample: of the synthesis on strips, and of the context model by the
gradients of single latents. By differences on strips of 10,000 pixels its H misled v2's rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib.latents.frozen import FrozenLatents
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.packing import (
    Group,
    code_lengths,
    from_group_symbols,
    gather,
    groups_of,
    limit_of,
    scatter,
    symbols_bits,
    to_group_symbols,
)

CURVATURE_OPERATIONS = 2_000_000_000
"""Weights² · pixels that H is measured with, about, at the price of a gradient for every weight."""

INFORMATION_OPERATIONS = 100_000_000_000
"""Weights² · latents, about, for the context model, where the gradients of all latents come at once."""

CURVATURE_SAMPLE = (1 << 13, 1 << 17)
"""Pixels that H is measured on, at least and at most."""

INFORMATION_SAMPLE = 1 << 18
"""Pixels whose latents the context model's H is measured on, at most."""

LATENTS_AT_ONCE = 1 << 12
"""Whose gradients, one for each weight, are held at a time."""

CURVATURE_STEP = 2.0**-7
"""How far a weight is moved to see how the gradient changes: about a quantization step."""

DAMPING = 0.01
"""Least eigenvalue of H as a share of its mean diagonal: ReLUs and Laplace's |y − μ| make the smallest ones mere guesses."""

STEP_SAMPLE = 1 << 19
"""Pixels that groups' steps are chosen by, about, at most."""

SAVING = 0.2
"""What rounding by curvature takes off the networks' bytes, about."""

SWEEPS = 6
"""How often every symbol may move, at most."""


def quantize_networks(frozen: FrozenLatents, *, by_curvature: bool = True) -> list[int]:
    """Round the networks' weights in place so that D + λR is least, their own bits in R.

    Interrupted, it leaves the weights half way: who catches a KeyboardInterrupt loads the state_dict from before, and can round
    a new `FrozenLatents` without curvature.

    Args:
        frozen: the latents final.
        by_curvature: measure H, of a large picture on a sample; with False only the groups' steps are chosen, and weights are
            rounded to the nearest multiple.

    Returns:
        the exponents e of the groups' steps 2⁻ᵉ, in the order of `packing.groups_of`.
    """
    representation, groups = frozen.representation, groups_of(frozen.representation)
    if not by_curvature:
        return _by_steps(frozen, groups)
    exact = _weights(representation, groups)
    plain = _by_steps(frozen, groups)
    kept, least = _weights(representation, groups), frozen.total(plain)
    _put(representation, groups, exact)
    frozen.features = None
    exponents: list[int] = []
    for network in ("context", "upsampling", "synthesis"):
        if members := [group for group in groups if group.name.startswith(network)]:
            exponents += _Network(frozen, members).round()
    if frozen.total(exponents) < least:
        return exponents
    _put(representation, groups, kept)  # J was no quadratic there
    frozen.features = None
    return plain


def curvature_pixels(weights: int) -> int:
    """Of the sample on which H of so many weights is measured."""
    least, most = CURVATURE_SAMPLE
    return min(max(CURVATURE_OPERATIONS // weights**2, least), most)


def _weights(representation: LatentGrids, groups: Sequence[Group]) -> list[Tensor]:
    return [gather(representation, group) for group in groups]


def _put(representation: LatentGrids, groups: Sequence[Group], values: Sequence[Tensor]) -> None:
    for group, part in zip(groups, values, strict=True):
        scatter(representation, group, part)


def _by_steps(frozen: FrozenLatents, groups: Sequence[Group]) -> list[int]:
    """Group by group, the step that is best while the others stay as they are."""
    frozen, representation = frozen.sample(STEP_SAMPLE), frozen.representation
    per_bit = frozen.lmbda / frozen.pixels
    exact = _weights(representation, groups)
    exponents = [min(10, group.finest) for group in groups]
    rounded = [to_group_symbols(*each) for each in zip(exact, exponents, groups, strict=True)]
    _put(representation, groups, [from_group_symbols(*each) for each in zip(rounded, exponents, strict=True)])
    for index, group in enumerate(groups):
        best, worse = math.inf, 0
        for exponent in range(min(group.finest, 12), 0, -1):
            symbols = to_group_symbols(exact[index], exponent, group)
            scatter(representation, group, from_group_symbols(symbols, exponent))
            cost = frozen.cost(group) + per_bit * symbols_bits(symbols)
            if cost < best:
                best, exponents[index], rounded[index], worse = cost, exponent, symbols, 0
            else:
                worse += 1
                if worse == 2:
                    break
        scatter(representation, group, from_group_symbols(rounded[index], exponents[index]))
        frozen.cost(group)  # features follow the upsampling
    return exponents


class _Network:
    """One network's weights as a flat vector, and the quadratic that J is around them; float64."""

    def __init__(self, frozen: FrozenLatents, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.per_bit = frozen.lmbda / frozen.pixels
        parts = _weights(frozen.representation, groups)
        self.exact = torch.cat(parts)
        self.ideal = self.exact.double().numpy()
        self.counts = [part.numel() for part in parts]
        self.ends = np.cumsum(self.counts)[:-1]  # for numpy.split
        self.shuffle = np.random.default_rng(0).permutation
        weights = self.exact.numel()
        if groups[0].name.startswith("context"):
            self.frozen = frozen.sample(min(INFORMATION_OPERATIONS // weights**2, INFORMATION_SAMPLE))
            hessian = self._information()
        else:
            self.frozen = frozen.sample(curvature_pixels(weights))
            hessian = self._hessian()
        eigenvalues, vectors = np.linalg.eigh(hessian)
        eigenvalues = np.maximum(eigenvalues, DAMPING * np.maximum(np.diag(hessian), 0).mean() + 1e-30)
        self.hessian = (vectors * eigenvalues) @ vectors.T
        self.inverse = (vectors / eigenvalues) @ vectors.T

    def round(self) -> list[int]:
        """Round the weights in place; the exponent of each group."""
        exponents = self._first_steps()
        best, symbols = self._rounded(exponents)
        improved = True
        while improved:
            improved = False
            for index, group in enumerate(self.groups):
                for change in (-1, 1):
                    others = [*exponents]
                    others[index] += change
                    if not 0 <= others[index] <= group.finest:
                        continue
                    cost, candidate = self._rounded(others)
                    if cost < best * (1 - 1e-9):
                        best, symbols, exponents, improved = cost, candidate, others, True
                        break
        self._put(torch.from_numpy((symbols * self._spread([2.0**-e for e in exponents])).astype(np.float32)))
        self.frozen.cost(self.groups[0])  # features follow the upsampling
        return exponents

    def _first_steps(self) -> list[int]:
        """Where a step's error ½h·Δ²/12 and its saving λ·log₂ Δ balance, h being what the other weights can't make up for."""
        exponents = []
        for group, free in zip(self.groups, np.split(1 / np.diag(self.inverse), self.ends), strict=True):
            step = math.sqrt(12 * self.per_bit / (np.mean(free) * math.log(2)))
            exponents.append(int(min(max(round(-math.log2(step)), 0), group.finest)))
        return exponents

    def _rounded(self, exponents: Sequence[int]) -> tuple[float, np.ndarray]:
        """The quadratic's rise and the bits' price, and the symbols, for these steps."""
        steps = self._spread([2.0**-exponent for exponent in exponents])
        limits = self._spread([limit_of(*each) for each in zip(self.groups, exponents, strict=True)]).astype(np.int64)
        symbols = np.clip(surgery(self.ideal, self.inverse, steps), -limits, limits)
        symbols = self._descend(symbols, steps, limits)
        away = symbols * steps - self.ideal
        bits = sum(symbols_bits(part.astype(np.int32)) for part in np.split(symbols, self.ends))
        return float(0.5 * away @ self.hessian @ away + self.per_bit * bits), symbols

    def _descend(self, symbols: np.ndarray, steps: np.ndarray, limits: np.ndarray) -> np.ndarray:
        """Move symbols, one at a time, where that lowers the quadratic and the bits' price together."""
        pull, curvatures = self.hessian @ (symbols * steps - self.ideal), np.diag(self.hessian)
        owner = self._spread(range(len(self.groups))).astype(int)
        for _ in range(SWEEPS):
            prices = [self.per_bit * code_lengths(part.astype(np.int32)) for part in np.split(symbols, self.ends)]
            moved = False
            for index in self.shuffle(len(symbols)):
                price, kept = prices[owner[index]], symbols[index]
                zero, best, least = len(price) // 2, kept, -1e-15
                nearest = math.floor(kept - pull[index] / curvatures[index] / steps[index])
                for candidate in (nearest, nearest + 1, kept - 1, kept + 1, 0):
                    if candidate == kept or abs(candidate) > min(zero, limits[index]):
                        continue
                    change = (candidate - kept) * steps[index]
                    rise = change * (pull[index] + 0.5 * curvatures[index] * change)
                    rise += price[zero + candidate] - price[zero + kept]
                    if rise < least:
                        best, least = candidate, rise
                if best != kept:
                    pull += self.hessian[index] * ((best - kept) * steps[index])
                    symbols[index], moved = best, True
            if not moved:
                break
        return symbols

    def _hessian(self) -> np.ndarray:
        """H at the exact weights, by differences of gradients."""
        gradient = self._gradient()
        rows = []
        for index in range(self.exact.numel()):
            moved = self.exact.clone()
            moved[index] += CURVATURE_STEP
            self._put(moved)
            rows.append((self._gradient() - gradient) / CURVATURE_STEP)
        self._put(self.exact)
        hessian = np.stack(rows)
        return (hessian + hessian.T) / 2

    def _information(self) -> np.ndarray:
        """H of the context model: the sum of all latents' gradients times themselves.

        Bits are −log₂ of a probability, whose second derivative is on average its gradient's square (the Fisher information).
        Gradients of single latents cost one look at all of them, and their squares have no kinks.
        """
        frozen, representation = self.frozen, self.frozen.representation
        networks = representation.networks()
        names = self._names()
        seen: list[tuple[Tensor, Tensor]] = []  # (inputs and a one for the biases, outputs) of each layer

        def watch(_: nn.Module, given: tuple[Tensor | None, ...], output: Tensor) -> None:
            columns = [part for part in given if part is not None]
            seen.append((torch.cat([*columns, torch.ones_like(columns[0][:1])]), output))

        places, begin = {}, 0  # of a matrix's weights among all
        for name in names:
            places[name] = torch.arange(begin, begin + networks[name].numel()).view(networks[name].shape)
            begin += networks[name].numel()
        order = torch.cat([places[n][:, first:last].reshape(-1) for group in self.groups for n, first, last in group.parts])
        layers = [representation.get_submodule(name.rpartition(".")[0]) for name in names]
        watches = [layer.register_forward_hook(watch) for layer in layers]
        total = torch.zeros(len(order), len(order), device=frozen.values.device)
        pieces = zip(frozen.contexts.split(LATENTS_AT_ONCE, 1), frozen.values.split(LATENTS_AT_ONCE), strict=True)
        try:
            for contexts, values in pieces:
                seen.clear()
                with torch.enable_grad():
                    bits = laplace_bits(values, *representation.context(contexts)).sum()
                    slopes = torch.autograd.grad(bits, [output for _, output in seen])
                parts = [slope[:, None] * inputs for slope, (inputs, _) in zip(slopes, seen, strict=True)]
                gradients = torch.cat([part.flatten(0, 1).detach() for part in parts])
                total.addmm_(gradients, gradients.T)
        finally:  # Ctrl-C ends it, and the networks go on
            for each in watches:
                each.remove()
        return total[order][:, order].double().cpu().numpy() * (self.per_bit * math.log(2) * frozen.unseen())

    def _names(self) -> list[str]:
        """Of the parameters, which take gradients from here on."""
        names = list(dict.fromkeys(name for group in self.groups for name, _, _ in group.parts))
        for name in names:
            self.frozen.representation.networks()[name].requires_grad_(True)
        return names

    def _gradient(self) -> np.ndarray:
        networks, names = self.frozen.representation.networks(), self._names()
        with torch.enable_grad():
            cost = self.frozen.differentiable_cost(self.groups[0])
            gradients = dict(zip(names, torch.autograd.grad(cost, [networks[name] for name in names]), strict=True))
        flat = [gradients[name][:, first:last].reshape(-1) for group in self.groups for name, first, last in group.parts]
        return torch.cat(flat).double().cpu().numpy()

    def _put(self, values: Tensor) -> None:
        _put(self.frozen.representation, self.groups, values.split(self.counts))

    def _spread(self, values: Sequence[float]) -> np.ndarray:
        """One value a group as one a weight."""
        return np.repeat(np.asarray(values), self.counts)


def surgery(values: np.ndarray, inverse: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Round ``values`` to multiples of ``steps``, each error made up for by those not yet rounded (GPTQ, Algorithm 1).

    Args:
        values: (n,), where the quadratic is least.
        inverse: H⁻¹, (n, n), symmetric and positive definite.
        steps: (n,).

    Returns:
        symbols, int64. With a diagonal ``inverse`` this is rounding to the nearest.
    """
    order = np.argsort(np.diag(inverse))  # the most sensitive first, while many are still free
    upper = np.linalg.cholesky(inverse[np.ix_(order, order)]).T
    free, scale = values[order].copy(), steps[order]
    symbols = np.zeros(len(values), dtype=np.int64)
    for index in range(len(free)):
        symbol = np.round(free[index] / scale[index])
        free[index:] -= (free[index] - symbol * scale[index]) / upper[index, index] * upper[index, index:]
        symbols[order[index]] = symbol
    return symbols
