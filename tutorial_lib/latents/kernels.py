"""Four operations written out for speed, each beside the plain lines of PyTorch that say the same.

Their gradients are written by hand, because autograd keeps more, and copies more, than they need. Forward and backward at
192×128 `shifted` takes 0.7 of the plain form's time, `doubled` 0.3, `contexts` 0.5 and `laplace_bits` 0.6
(``tests/benchmarks/latent_grids.py --only kernels``; one thread of a Xeon, November 2026). Tests hold both forms together.

What was tried and left out: loops compiled by numba. At 768×512 a 3×3 convolution took 1.8 instead of 10.0 ms a band, a doubling
1.0 instead of 8.4, layers on columns two thirds; a whole pass 0.60 (`coolchic-large`), 0.62 (-small) and 0.89 (-v2) of the time
of these lines. Less than half was asked of 450 lines and 200 MB of compiler.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.latents.shape import MAX_LOG2_SCALE, MIN_LOG2_SCALE

Offsets = tuple[tuple[int, int], ...]

_MAX_EXPONENT = 60.0  # e^−60 and its square root's inverse are normal float32 numbers

# ------------------------------------------------------------------------------------------ a window's places


def shifted_plain(planes: Tensor, side: int) -> Tensor:
    """What `shifted` gives, as slices. For the gradient of each of them autograd makes a zeroed copy of all planes."""
    height, width = planes.shape[1] - side + 1, planes.shape[2] - side + 1
    return torch.stack([planes[:, r : r + height, c : c + width] for r in range(side) for c in range(side)])


def shifted(planes: Tensor, side: int) -> Tensor:
    """The planes (c, h + side − 1, w + side − 1) seen from each place of a square window: (side², c, h, w)."""
    return _Shifted.apply(planes, side)


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, planes, side):
        ctx.side, ctx.shape = side, planes.shape
        return shifted_plain(planes, side)

    @staticmethod
    def backward(ctx, gradient):
        total = gradient.new_zeros(ctx.shape)
        h, w = gradient.shape[2:]
        for place, part in enumerate(gradient):
            row, column = divmod(place, ctx.side)
            total[:, row : row + h, column : column + w] += part
        return total, None


# ------------------------------------------------------------------------------------------ doubling


def doubled_plain(planes: Tensor, half: Tensor, axis: int) -> Tensor:
    """What `doubled` gives, as a transposed convolution. PyTorch's is made for many channels, not for one of 8 taps."""
    taps = torch.cat([half.flip(0), half])
    lines = planes.movedim(axis, -1)
    fine = F.conv_transpose1d(lines.reshape(-1, 1, lines.shape[-1]), taps[None, None], stride=2)[:, 0, 7:-7]
    return fine.unflatten(0, lines.shape[:-1]).movedim(-1, axis)


def doubled(planes: Tensor, half: Tensor, axis: int) -> Tensor:
    """One axis doubled with a symmetric kernel of 8 taps; ``half`` (4,) holds its weights for the distances ¼, ¾, 1¼, 1¾.

    Sample k lands at the fine coordinate 2k + ½, so it is ¼ (coarse units) from the fine samples 2k and 2k + 1. The
    axis has 2 more samples at either end than are doubled.
    """
    return _Doubled.apply(planes, half, axis)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, planes, half, axis):
        count = planes.shape[axis] - 4
        x = [planes.narrow(axis, start, count) for start in range(5)]
        weights = half.tolist()
        even, odd = x[2] * weights[0], x[2] * weights[0]
        for weight, before, after in zip(weights[1:], (1, 3, 0), (3, 1, 4), strict=True):
            even.add_(x[before], alpha=weight)
            odd.add_(x[after], alpha=weight)
        ctx.save_for_backward(planes, half)
        ctx.axis = axis
        return torch.stack([even, odd], axis + 1).flatten(axis, axis + 1)

    @staticmethod
    def backward(ctx, gradient):
        planes, half = ctx.saved_tensors
        axis, count = ctx.axis, planes.shape[ctx.axis] - 4
        weights = half.tolist()
        even, odd = (part.contiguous() for part in gradient.unflatten(axis, (count, 2)).unbind(axis + 1))
        both = even + odd
        back = torch.zeros_like(planes)
        back.narrow(axis, 2, count).add_(both, alpha=weights[0])
        for weight, before, after in zip(weights[1:], (1, 3, 0), (3, 1, 4), strict=True):
            back.narrow(axis, before, count).add_(even, alpha=weight)
            back.narrow(axis, after, count).add_(odd, alpha=weight)
        if not ctx.needs_input_grad[1]:
            return back, None, None
        x = [planes.narrow(axis, start, count) for start in range(5)]
        sums = [(x[2] * both).sum()]
        sums += [(x[before] * even).sum() + (x[after] * odd).sum() for before, after in ((1, 3), (3, 1), (0, 4))]
        return back, torch.stack(sums), None


def doubling_matrix(half: Tensor, count: int) -> Tensor:
    """`doubled` for an axis of ``count`` samples, its ends repeated, as a matrix (2·count, count): fastest for few samples."""
    return (half @ _doubling_basis(count, half.device).to(half.dtype)).view(2 * count, count)


@functools.lru_cache(maxsize=64)
def _doubling_basis(count: int, device: torch.device) -> Tensor:
    """(4, 2·count · count): what each of the four weights adds to the matrix that doubles ``count`` samples."""
    samples = torch.eye(count)[[0, 0, *range(count), -1, -1]]  # with their ends repeated
    return torch.stack([doubled_plain(samples[None], unit, 1) for unit in torch.eye(4)]).flatten(1).to(device)


# ------------------------------------------------------------------------------------------ contexts


def contexts_plain(grid: Tensor, neighbours: Offsets) -> Tensor:
    """The contexts of a whole grid (rows, columns), as shifted slices: (neighbours, rows, columns), 0 outside of the grid.

    `contexts` writes those of many grids into one matrix, and adds up their gradients without a copy of a grid for each.
    """
    (rows, columns), (above, beside) = grid.shape, reach(neighbours)
    padded = F.pad(grid, (beside, beside, above, 0))
    return torch.stack([padded[above + r :, beside + c :][:rows, :columns] for r, c in neighbours])


def contexts(neighbours: Offsets, heights: Sequence[int], bands: Sequence[Tensor]) -> Tensor:
    """The contexts of all positions of some bands, row by row, one band after the other: (neighbours, n).

    Args:
        neighbours: (row, column) offsets.
        heights: of each band, the rows wanted: its last ones.
        bands: (rows, columns) each: the rows wanted, and those above that the neighbours reach, as far as the grid has them.
    """
    return _Contexts.apply(neighbours, tuple(heights), *bands)


def reach(neighbours: Offsets) -> tuple[int, int]:
    """(rows above, columns to either side) that the neighbours take."""
    return max(-row for row, _ in neighbours), max(abs(column) for _, column in neighbours)


@functools.cache
def _runs(neighbours: Offsets) -> tuple[tuple[int, int], ...]:
    """Offsets in one row, next to each other, as (first index, count): a run is one strided copy."""
    runs: list[tuple[int, int]] = []
    for k, (row, column) in enumerate(neighbours):
        if runs and (row, column - 1) == neighbours[k - 1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((k, 1))
    return tuple(runs)


class _Contexts(torch.autograd.Function):
    @staticmethod
    def forward(ctx, neighbours, heights, *bands):
        above, beside = reach(neighbours)
        sizes = [(height, band.shape[1]) for height, band in zip(heights, bands, strict=True)]
        found = bands[0].new_empty(len(neighbours), sum(h * w for h, w in sizes))
        parts = found.split([h * w for h, w in sizes], dim=1)
        for (h, w), band, part in zip(sizes, bands, parts, strict=True):
            padded = F.pad(band, (beside, beside, above + h - band.shape[0], 0)).contiguous()
            rows, stride = part.unflatten(1, (h, w)), w + 2 * beside
            for k, count in _runs(neighbours):
                row, column = neighbours[k]
                first = (above + row) * stride + beside + column
                rows[k : k + count].copy_(padded.as_strided((count, h, w), (1, stride, 1), first))
        ctx.neighbours, ctx.sizes, ctx.given = neighbours, sizes, [band.shape[0] for band in bands]
        return found

    @staticmethod
    def backward(ctx, gradient):
        above, beside = reach(ctx.neighbours)
        results = []
        parts = gradient.split([h * w for h, w in ctx.sizes], dim=1)
        for (h, w), given, part in zip(ctx.sizes, ctx.given, parts, strict=True):
            padded = gradient.new_zeros(above + h, w + 2 * beside)
            for (row, column), plane in zip(ctx.neighbours, part.unflatten(1, (h, w)), strict=True):
                padded[above + row : above + row + h, beside + column : beside + column + w] += plane
            results.append(padded[above + h - given :, beside : beside + w])
        return None, None, *results


# ------------------------------------------------------------------------------------------ bits


def laplace_bits_plain(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
    """What `laplace_bits` gives, by definition. Far out the difference has no digits left: infinite bits, and no gradient."""
    law = torch.distributions.Laplace(location, torch.exp2(log2_scale.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE)))
    return -torch.log2(law.cdf(values + 0.5) - law.cdf(values - 0.5))


def laplace_bits(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
    """Bits of each value under Laplace(μ, b) integrated over ±½: −log₂(F(y + ½) − F(y − ½)); all of one shape.

    log₂ b is held within `MIN_LOG2_SCALE` … `MAX_LOG2_SCALE` (its gradient goes on beyond). Far out the bits stop
    growing at some 87, but not their gradient, so that a value out there comes back.
    """
    return _LaplaceBits.apply(values, location, log2_scale)


class _LaplaceBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, location, log2_scale):
        inverse = torch.exp2(-log2_scale.clamp(MIN_LOG2_SCALE, MAX_LOG2_SCALE))
        signed = values - location
        distance = signed.abs()
        near, far = 0.5 - distance, 0.5 + distance
        # |d| < ½: 1 − ½(e^−(½−|d|)/b + e^−(½+|d|)/b); else ½(e^−(|d|−½)/b − e^−(|d|+½)/b)
        first = torch.exp(-(near.abs() * inverse).clamp_(max=_MAX_EXPONENT))
        inside = near > 0
        second = torch.exp(-inverse).mul_(torch.where(inside, 1 / first, first))
        probability = torch.where(inside, 1 - (first + second) / 2, (first - second) / 2)
        weight = inverse.div_(2 * probability)
        ctx.save_for_backward(
            (first - second).mul_(weight).mul_(signed.sign_()).div_(math.log(2)),
            (first.mul_(near) + second.mul_(far)).mul_(weight),
        )
        return -probability.log2_()

    @staticmethod
    def backward(ctx, gradient):
        by_value, by_scale = ctx.saved_tensors
        by_value = gradient * by_value
        return by_value, -by_value, gradient * by_scale
