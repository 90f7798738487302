"""The three parts of a step that take most of its time as loops that numba compiles: layers on columns, 3×3, doubling.

PyTorch's operations are made for many channels. Here a layer has 2 to 40, and each operation (a bias, a ReLU, its gradient, a
copy of shifted planes) goes through memory once more; a loop does them all while a few hundred values are at hand. A pass over
768×512 takes `coolchic-small` 0.55, `-large` 0.54, `-v1` 0.67 and `-v2` 0.77 of the time of PyTorch's operations (one thread of a
busy Xeon, November 2026; ``tests/benchmarks/full_size.py --only cost``). The plain lines stand in `layers` and `kernels`; tests
hold both together. Only fits use them: files are decoded by the plain lines.

numba is optional. The loops are compiled when a fit first wants them, in some ten seconds, and kept on disk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def _loop(function: Callable[..., Any]) -> Callable[..., Any]:
    return numba.njit(function, fastmath=True, nogil=True, cache=True, error_model="numpy")


_BLOCK = 256  # columns that go through all layers together: what lies between stays in the nearest cache
_PART = 1 << 14  # columns that are worth a thread of their own

_ZERO = np.float32(0)


# ------------------------------------------------------------------------------------------ layers on columns


@dataclass(frozen=True)
class Chain:
    """Layers [W | b] on columns, one after the other.

    Args:
        widths: inputs of the first layer, then outputs of each.
        residual, relu: of each layer: whether it adds its input, and ends with a ReLU.
        skip: the last layer sees the first one's inputs, too.
    """

    widths: tuple[int, ...]
    residual: tuple[bool, ...]
    relu: tuple[bool, ...]
    skip: bool

    @functools.cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        return np.array(self.widths), np.array(self.residual), np.array(self.relu), self.skip


def columns(inputs: Tensor, chain: Chain, matrices: Sequence[Tensor]) -> Tensor:
    """The chain's outputs (outputs, n) for ``inputs`` (inputs, n): what `layers.Affine` and ReLUs give, layer by layer."""
    return _Columns.apply(chain, inputs, *matrices)


class _Columns(torch.autograd.Function):
    @staticmethod
    def forward(ctx, chain, inputs, *matrices):
        inputs = inputs.contiguous()
        weights = torch.cat([matrix.flatten() for matrix in matrices])
        outputs = inputs.new_empty(chain.widths[-1], inputs.shape[1])
        given = (inputs.numpy(), weights.numpy(), *chain.arrays)
        _in_parts(inputs.shape[1], lambda first, last: _columns_forward(*given, first, last, outputs.numpy()))
        ctx.save_for_backward(inputs, weights)
        ctx.chain, ctx.sizes = chain, [matrix.shape for matrix in matrices]
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        inputs, weights = ctx.saved_tensors
        given = (inputs.numpy(), weights.numpy(), *ctx.chain.arrays)
        slopes, by_input = gradient.contiguous().numpy(), torch.empty_like(inputs)

        def part(first: int, last: int) -> Tensor:
            by_weight = torch.zeros_like(weights)
            _columns_backward(*given, first, last, slopes, by_input.numpy(), by_weight.numpy())
            return by_weight

        total = functools.reduce(torch.add, _in_parts(inputs.shape[1], part))
        pieces = total.split([size.numel() for size in ctx.sizes])
        return None, by_input, *(piece.view(size) for piece, size in zip(pieces, ctx.sizes, strict=True))


def _in_parts(count: int, work):
    """``work(first, last)`` for parts of ``count`` columns, as many at once as PyTorch has threads."""
    parts = max(min(torch.get_num_threads(), count // _PART), 1)
    borders = [count * part // parts for part in range(parts + 1)]
    return list(_pool(parts).map(work, borders[:-1], borders[1:])) if parts > 1 else [work(0, count)]


_pool = functools.cache(ThreadPoolExecutor)


@_loop
def _multiply(result, weights, first, across, down, outputs, inputs, columns, n):
    """``result`` += W·``columns``; W (outputs, inputs) begins at ``first``, its entries ``across`` and ``down`` apart.

    Two rows of the result at once: every column is read half as often.
    """
    for o in range(0, outputs - 1, 2):
        upper, lower = result[o], result[o + 1]
        for i in range(0, inputs - 1, 2):
            k = first + o * down + i * across
            x, y = columns[i], columns[i + 1]
            a, b, c, d = weights[k], weights[k + across], weights[k + down], weights[k + down + across]
            for t in range(n):
                upper[t] += a * x[t] + b * y[t]
                lower[t] += c * x[t] + d * y[t]
    for o in range(outputs):
        for i in range(inputs // 2 * 2 if o < outputs // 2 * 2 else 0, inputs):
            row, x, a = result[o], columns[i], weights[first + o * down + i * across]
            for t in range(n):
                row[t] += a * x[t]


@_loop
def _multiply_weights(slopes, by_weight, first, stride, outputs, inputs, columns, n):
    """The gradient of W += ``slopes``·``columns``ᵀ; four columns at once."""
    for o in range(outputs):
        slope, place = slopes[o], first + o * stride
        for i in range(0, inputs - 3, 4):
            x, y, z, u, a, b, c, d = columns[i], columns[i + 1], columns[i + 2], columns[i + 3], _ZERO, _ZERO, _ZERO, _ZERO
            for t in range(n):
                a += slope[t] * x[t]
                b += slope[t] * y[t]
                c += slope[t] * z[t]
                d += slope[t] * u[t]
            for k, total in enumerate((a, b, c, d)):
                by_weight[place + i + k] += total
        for i in range(inputs // 4 * 4, inputs):
            x, a = columns[i], _ZERO
            for t in range(n):
                a += slope[t] * x[t]
            by_weight[place + i] += a


@_loop
def _stop(slope, output, n):
    """The gradient before a ReLU from the one after it."""
    for t in range(n):
        slope[t] = slope[t] if output[t] > _ZERO else _ZERO


@_loop
def _activate(inputs, begin, n, weights, widths, residual, relu, skip, held):
    """``held[layer]``: what layer ``layer`` sees of ``n`` columns from ``begin`` on; the last entry is the output."""
    layers, first = len(widths) - 1, 0
    for i in range(widths[0]):
        held[0, i, :n] = inputs[i, begin : begin + n]
    for layer in range(layers):
        seen, given = widths[layer], widths[layer + 1]
        again = widths[0] if skip and layer == layers - 1 else 0
        stride = seen + again + 1
        for o in range(given):
            row, bias = held[layer + 1, o], weights[first + o * stride + stride - 1]
            for t in range(n):
                row[t] = bias
            if residual[layer]:
                row[:n] += held[layer, o, :n]
        _multiply(held[layer + 1], weights, first, 1, stride, given, seen, held[layer], n)
        _multiply(held[layer + 1], weights, first + seen, 1, stride, given, again, held[0], n)
        if relu[layer]:
            for o in range(given):
                row = held[layer + 1, o]
                for t in range(n):
                    row[t] = max(row[t], _ZERO)
        first += given * stride
    return first


@_loop
def _columns_forward(inputs, weights, widths, residual, relu, skip, first, last, outputs):
    held = np.empty((len(widths), widths.max(), _BLOCK), np.float32)
    for begin in range(first, last, _BLOCK):
        n = min(_BLOCK, last - begin)
        _activate(inputs, begin, n, weights, widths, residual, relu, skip, held)
        for o in range(widths[-1]):
            outputs[o, begin : begin + n] = held[-1, o, :n]


@_loop
def _columns_backward(inputs, weights, widths, residual, relu, skip, first, last, slopes, by_input, by_weight):
    held = np.empty((len(widths), widths.max(), _BLOCK), np.float32)
    back = np.empty_like(held)
    for begin in range(first, last, _BLOCK):
        n = min(_BLOCK, last - begin)
        place = _activate(inputs, begin, n, weights, widths, residual, relu, skip, held)
        back[:-1] = 0
        for o in range(widths[-1]):
            back[-1, o, :n] = slopes[o, begin : begin + n]
        for layer in range(len(widths) - 2, -1, -1):
            seen, given = widths[layer], widths[layer + 1]
            again = widths[0] if skip and layer == len(widths) - 2 else 0
            stride = seen + again + 1
            place -= given * stride
            for o in range(given):
                total, slope = _ZERO, back[layer + 1, o]
                if relu[layer]:
                    _stop(slope, held[layer + 1, o], n)
                for t in range(n):
                    total += slope[t]
                if residual[layer]:
                    back[layer, o, :n] += slope[:n]
                by_weight[place + o * stride + stride - 1] += total
            _multiply_weights(back[layer + 1], by_weight, place, stride, given, seen, held[layer], n)
            _multiply_weights(back[layer + 1], by_weight, place + seen, stride, given, again, held[0], n)
            _multiply(back[layer], weights, place, stride, 1, seen, given, back[layer + 1], n)
            _multiply(back[0], weights, place + seen, stride, 1, again, given, back[layer + 1], n)
        for i in range(widths[0]):
            by_input[i, begin : begin + n] = back[0, i, :n]


# ------------------------------------------------------------------------------------------ 3×3 convolutions


def convolved(planes: Tensor, matrix: Tensor, residual: bool, relu: bool) -> Tensor:
    """What `layers.Convolution.planes` gives for (inputs, h, w), ``planes`` added if ``residual``, then a ReLU if ``relu``."""
    return _Convolved.apply(planes, matrix, residual, relu)


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, planes, matrix, residual, relu):
        planes, matrix = planes.contiguous(), matrix.contiguous()
        outputs = planes.new_empty(matrix.shape[0], *planes.shape[1:])
        _convolve(planes.numpy(), matrix.numpy(), residual, relu, outputs.numpy())
        ctx.save_for_backward(planes, matrix, outputs)
        ctx.residual, ctx.relu = residual, relu
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        planes, matrix, outputs = ctx.saved_tensors
        by_plane, by_weight = torch.zeros_like(planes), torch.zeros_like(matrix)
        given = (planes.numpy(), matrix.numpy(), ctx.residual, ctx.relu, outputs.numpy(), gradient.contiguous().numpy())
        _convolve_back(*given, by_plane.numpy(), by_weight.numpy())
        return by_plane, by_weight, None, None


@_loop
def _pad(padded, row, margin):
    """``row`` with its ends repeated ``margin`` times."""
    width = len(row)
    padded[margin : margin + width] = row
    for t in range(margin):
        padded[t] = row[0]
        padded[margin + width + t] = row[width - 1]


@_loop
def _three_rows(planes, row, padded):
    for d in range(3):
        for i in range(planes.shape[0]):
            _pad(padded[d, i], planes[i, _held(row + d - 1, planes.shape[1])], 1)


@_loop
def _convolve(planes, matrix, residual, relu, outputs):
    inputs, height, width = planes.shape
    padded = np.empty((3, inputs, width + 2), np.float32)
    for row in range(height):
        _three_rows(planes, row, padded)
        for o in range(outputs.shape[0]):
            result = outputs[o, row]
            result[:] = matrix[o, 9 * inputs]
            if residual:
                result += planes[o, row]
            for d in range(3):
                for i in range(inputs):
                    x, k = padded[d, i], 3 * d * inputs + i
                    a, b, c = matrix[o, k], matrix[o, k + inputs], matrix[o, k + 2 * inputs]
                    for t in range(width):
                        result[t] += a * x[t] + b * x[t + 1] + c * x[t + 2]
            if relu:
                for t in range(width):
                    result[t] = max(result[t], _ZERO)


@_loop
def _convolve_back(planes, matrix, residual, relu, outputs, slopes, by_plane, by_weight):
    inputs, height, width = planes.shape
    padded, back = np.empty((3, inputs, width + 2), np.float32), np.empty((3, inputs, width + 2), np.float32)
    slope = np.empty(width, np.float32)
    for row in range(height):
        _three_rows(planes, row, padded)
        back[:] = 0
        for o in range(outputs.shape[0]):
            slope[:] = slopes[o, row]
            if relu:
                _stop(slope, outputs[o, row], width)
            total = _ZERO
            for t in range(width):
                total += slope[t]
            by_weight[o, 9 * inputs] += total
            if residual:
                by_plane[o, row] += slope
            for d in range(3):
                for i in range(inputs):
                    _convolve_row_back(padded[d, i], matrix[o], 3 * d * inputs + i, inputs, slope, back[d, i], by_weight[o])
        for d in range(3):
            for i in range(inputs):
                result, found = by_plane[i, _held(row + d - 1, height)], back[d, i]
                result += found[1 : width + 1]
                result[0] += found[0]
                result[width - 1] += found[width + 1]


@_loop
def _convolve_row_back(row, weights, k, apart, slope, back, by_weight):
    """What three places in a row, their weights ``apart`` from ``k`` on, add to the gradients."""
    a = b = c = _ZERO
    for t in range(len(slope)):
        a += slope[t] * row[t]
        b += slope[t] * row[t + 1]
        c += slope[t] * row[t + 2]
    by_weight[k] += a
    by_weight[k + apart] += b
    by_weight[k + 2 * apart] += c
    for place in range(3):
        weight = weights[k + place * apart]
        for t in range(len(slope)):
            back[t + place] += weight * slope[t]


# ------------------------------------------------------------------------------------------ doubling


def stacked(grid: Tensor, planes: Tensor, half: Tensor, at_top: bool, skipped: int) -> Tensor:
    """What `layers.Upsampling.stacked` gives with symmetric kernels: ``grid`` (rows, columns) over the doubled ``planes``."""
    return _Stacked.apply(grid, planes, half, at_top, skipped)


class _Stacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, grid, planes, half, at_top, skipped):
        planes, half = planes.contiguous(), half.contiguous()
        outputs = planes.new_empty(planes.shape[0] + 1, *grid.shape)
        outputs[0] = grid
        _double(planes.numpy(), half.numpy(), at_top, skipped, outputs.numpy())
        ctx.save_for_backward(planes, half)
        ctx.at_top, ctx.skipped = at_top, skipped
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        planes, half = ctx.saved_tensors
        by_plane, by_weight, slopes = torch.zeros_like(planes), torch.zeros_like(half), gradient.contiguous()
        _double_back(planes.numpy(), half.numpy(), ctx.at_top, ctx.skipped, slopes.numpy(), by_plane.numpy(), by_weight.numpy())
        return slopes[0], by_plane, by_weight, None, None


@_loop
def _rows_of(height, fine, at_top):
    """Of the coarse rows around a fine one: the nearest, then those at the distances ¾, 1¼ and 1¾, as `half` wants them."""
    near, side = fine // 2 + (0 if at_top else 2), 1 if fine % 2 else -1
    return _held(near, height), _held(near + side, height), _held(near - side, height), _held(near + 2 * side, height)


@_loop
def _held(row, height):
    return min(max(row, 0), height - 1)


@_loop
def _between(planes, i, places, half, row):
    """A doubled row before its columns are."""
    w, x, y, z = planes[i, places[0]], planes[i, places[1]], planes[i, places[2]], planes[i, places[3]]
    for t in range(len(row)):
        row[t] = half[0] * w[t] + half[1] * x[t] + half[2] * y[t] + half[3] * z[t]


@_loop
def _double(planes, half, at_top, skipped, outputs):
    width = planes.shape[2]
    row, padded, fine = np.empty(width, np.float32), np.empty(width + 4, np.float32), np.empty(2 * width, np.float32)
    a, b, c, d = half[0], half[1], half[2], half[3]
    for i in range(planes.shape[0]):
        for r in range(outputs.shape[1]):
            _between(planes, i, _rows_of(planes.shape[1], r + skipped, at_top), half, row)
            _pad(padded, row, 2)
            for t in range(width):
                fine[2 * t] = a * padded[t + 2] + b * padded[t + 1] + c * padded[t + 3] + d * padded[t]
                fine[2 * t + 1] = a * padded[t + 2] + b * padded[t + 3] + c * padded[t + 1] + d * padded[t + 4]
            outputs[i + 1, r] = fine[: outputs.shape[2]]


@_loop
def _double_back(planes, half, at_top, skipped, slopes, by_plane, by_weight):
    width = planes.shape[2]
    row, padded, both = np.empty(width, np.float32), np.empty(width + 4, np.float32), np.zeros(2 * width, np.float32)
    slope, total = np.empty(width, np.float32), np.zeros(4)
    for i in range(planes.shape[0]):
        for r in range(slopes.shape[1]):
            places = _rows_of(planes.shape[1], r + skipped, at_top)
            _between(planes, i, places, half, row)
            _pad(padded, row, 2)
            both[: slopes.shape[2]] = slopes[i + 1, r]
            _columns_of_double_back(both, padded, half, slope, total)
            for k in range(4):
                found, result, weight, sum_ = planes[i, places[k]], by_plane[i, places[k]], half[k], _ZERO
                for t in range(width):
                    sum_ += slope[t] * found[t]
                    result[t] += weight * slope[t]
                total[k] += sum_
    for k in range(4):
        by_weight[k] = total[k]


@_loop
def _columns_of_double_back(both, padded, half, slope, total):
    """From the gradients ``both`` of a fine row to those of the coarse one's columns, and of the four weights."""
    width = len(slope)
    even, odd, back = both[::2].copy(), both[1::2].copy(), np.zeros(width + 4, np.float32)
    p = q = r = s = _ZERO
    for t in range(width):
        p += padded[t + 2] * (even[t] + odd[t])
        q += padded[t + 1] * even[t] + padded[t + 3] * odd[t]
        r += padded[t + 3] * even[t] + padded[t + 1] * odd[t]
        s += padded[t] * even[t] + padded[t + 4] * odd[t]
    for k, part in enumerate((p, q, r, s)):
        total[k] += part
    a, b, c, d = half[0], half[1], half[2], half[3]
    for t in range(width):
        back[t + 2] += a * (even[t] + odd[t])
    for t in range(width):
        back[t + 1] += b * even[t] + c * odd[t]
    for t in range(width):
        back[t + 3] += c * even[t] + b * odd[t]
    for t in range(width):
        back[t] += d * even[t]
    for t in range(width):
        back[t + 4] += d * odd[t]
    slope[:] = back[2 : width + 2]
    slope[0] += back[0] + back[1]
    slope[width - 1] += back[width + 2] + back[width + 3]
