"""Latent grids: a picture as a pyramid of integer grids, a tiny synthesis network and a causal context model.

COOL-CHIC (Ladune et al., ICCV 2023; its second version: Leguay et al., arXiv 2307.12706). Grid i has ⌈H/2^i⌉×⌈W/2^i⌉
integers. Upsampled step by step and stacked, they are features from which a network of a few hundred weights paints
each pixel. A second network, the context model, predicts each integer from its decoded neighbours as a Laplace law:
its entropy is the file's size and part of the loss, so grids and both networks are fitted together to D + λR.

The decoder must repeat the context model's predictions exactly, or the range decoder goes astray. `IntegerContextModel`
therefore computes with integers carried in float64: weights and activations are multiples of 2⁻¹², all sums stay below
2⁵³ and are exact in any order, and a floor stands between the layers. Any batch size, thread count and device agree.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAIN = 16.0
"""Latents are trained as y/16, so that Adam's steps of about the learning rate cross many integers (Cool-chic 3.2)."""

MAX_LATENT = 1023
"""Largest magnitude of an integer in a grid, and of a prediction."""

MIN_LOG2_SCALE, MAX_LOG2_SCALE = -4.0, 10.0
"""Range of log₂ b, b the Laplace scale in steps: that of the tables in `tutorial_lib.latent_coding`."""

BAND_PIXELS = 1 << 19
"""Pixels of a picture, or positions of grids, that are worked on at once; what lies between is computed again."""

FRACTIONS = 32
"""Parts of a step in which the coder takes a location μ; see `tutorial_lib.latent_coding`."""

SPREADS = 113
"""Scales that the coder knows: b = 2^(index/8 − 4), from `MIN_LOG2_SCALE` to `MAX_LOG2_SCALE`."""

FRACTION_BITS = 12
_UNIT = 1 << FRACTION_BITS
MAX_CONTEXT_WEIGHT = 63
"""Largest magnitude of a weight or bias of the context model; keeps its integer sums below 2⁵³."""

_DENSE_PIXELS = 2048  # up to here a doubling by two dense matrices is faster
_MAX_EXPONENT = 60.0  # e^−60 and its square root's inverse are normal float32 numbers
_MAX_ACTIVATION = 1 << 26  # 2¹⁴ in units of 2⁻¹²: 2²⁶ · 2¹⁸ · 64 inputs < 2⁵¹

_NEAREST: tuple[tuple[int, int], ...] = (
    (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-2, 1), (-1, -2), (-2, -1), (-3, 0), (0, -3), (-1, 2),
    (-2, -2), (-1, -3),
)  # fmt: skip


def nearest(count: int) -> tuple[tuple[int, int], ...]:
    """The ``count`` (1 to 14) nearest causal neighbours as (row, column), sorted by row and column."""
    if not 1 <= count <= len(_NEAREST):
        raise ValueError(f"1 to {len(_NEAREST)} neighbours, not {count}")
    return tuple(sorted(_NEAREST[:count]))


def window(radius: int) -> tuple[tuple[int, int], ...]:
    """All positions decoded before the centre of a square window, row by row: 2·radius·(radius + 1) offsets (row, column).

    >>> window(1)
    ((-1, -1), (-1, 0), (-1, 1), (0, -1))
    """
    offsets = [(row, column) for row in range(-radius, 1) for column in range(-radius, radius + 1)]
    return tuple(offset for offset in offsets if offset < (0, 0))


@dataclass(frozen=True)
class Layer:
    """A convolution of the synthesis.

    Args:
        channels: outputs.
        kernel: 1 or 3 (3×3, borders repeated).
        residual: add the input to the output (as many inputs as outputs); starts as the identity.
        relu: end with a ReLU.
    """

    channels: int
    kernel: Literal[1, 3] = 1
    residual: bool = False
    relu: bool = False


@dataclass(frozen=True)
class GridsConfig:
    """The shape of a `LatentGrids`; with the picture's size all that a decoder must know before the weights.

    Args:
        grids: how many, 1 or more.
        context: causal neighbours as (row, column) offsets.
        parents: how many of the next coarser grids give the value at the same place as a further context.
        hidden: widths of the context model's hidden layers; one as wide as its input is residual.
        context_skip: add a linear map of the contexts to the context model's output.
        upsampling: "bicubic", nothing learned; "learned", one 8×8 kernel; "separable", 4 weights for each doubling:
            a symmetric kernel of 8 taps, used along rows and columns.
        synthesis: its layers; the last has 3 channels.
        synthesis_skip: add a linear map of the features to the 1×1 layers' output.
    """

    grids: int = 7
    context: tuple[tuple[int, int], ...] = window(2)
    parents: int = 0
    hidden: tuple[int, ...] = (12, 12)
    context_skip: bool = False
    upsampling: Literal["bicubic", "learned", "separable"] = "bicubic"
    synthesis: tuple[Layer, ...] = (Layer(12, relu=True), Layer(12, residual=True, relu=True), Layer(3))
    synthesis_skip: bool = False

    @property
    def contexts(self) -> int:
        """Inputs of the context model."""
        return len(self.context) + self.parents

    @property
    def weights(self) -> int:
        """Weights of all networks of this shape; the latents are no weights."""
        return sum(parameter.numel() for parameter in LatentGrids(self, 1, 1).networks().values())

    def __str__(self) -> str:
        return f"{self.grids} grids, {self.contexts} contexts"


V1 = GridsConfig()
"""COOL-CHIC v1: 12 neighbours, bicubic upsampling, an MLP 7→12→12→3; 629 weights."""

V2 = GridsConfig(
    context=window(3),
    hidden=(24, 24),
    upsampling="learned",
    synthesis=(
        Layer(40, relu=True),
        Layer(3, relu=True),
        Layer(3, kernel=3, residual=True, relu=True),
        Layer(3, kernel=3, residual=True),
    ),
)
"""COOL-CHIC v2: 24 neighbours, a learned 8×8 upsampling, 3×3 convolutions at the end; 1,925 weights."""

SMALL = GridsConfig(
    context=nearest(10),
    hidden=(8, 8),
    context_skip=True,
    upsampling="separable",
    synthesis=(Layer(12, relu=True), Layer(3), Layer(3, kernel=3, residual=True)),
    synthesis_skip=True,
)
"""Ours, for small pictures, where the networks' bytes count."""


def grid_sizes(config: GridsConfig, height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of each grid, finest first: ⌈height/2^i⌉, ⌈width/2^i⌉.

    >>> grid_sizes(GridsConfig(grids=3), 5, 1)
    ((5, 1), (3, 1), (2, 1))
    """
    return tuple((-(-height >> i), -(-width >> i)) if i else (height, width) for i in range(config.grids))


def operations_per_pixel(config: GridsConfig, height: int, width: int) -> float:
    """Multiply-adds of decoding, for each pixel: context model (once for each latent), upsampling and synthesis.

    A doubling by symmetric kernels of 8 taps takes 4 products along columns and 4 along rows for each value, one by a
    learned 8×8 kernel 16. The coarsest grid is doubled grids − 1 times, the finest never.

    >>> round(operations_per_pixel(V1, 512, 768)), round(operations_per_pixel(V2, 512, 768))
    (787, 2398)
    """
    pixels, sizes = height * width, grid_sizes(config, height, width)
    weights = {name: parameter.numel() for name, parameter in LatentGrids(config, 1, 1).networks().items()}
    context = sum(count for name, count in weights.items() if name.startswith("context"))
    synthesis = sum(count for name, count in weights.items() if name.startswith("synthesis"))
    per_value = 16 if config.upsampling == "learned" else 6
    doubled = sum((config.grids - 1 - level) * rows * columns for level, (rows, columns) in enumerate(sizes))
    return (context * sum(rows * columns for rows, columns in sizes) + per_value * doubled) / pixels + synthesis


# ------------------------------------------------------------------------------------------ layers


class Affine(nn.Module):
    """Y = W·X + b on columns: (inputs, n) → (outputs, n). ``matrix`` is [W | b], shape (outputs, inputs + 1).

    One matrix, because a second-order optimiser works on matrices and pays for every tensor.
    """

    def __init__(self, inputs: int, outputs: int, deviation: float = 0.0) -> None:
        super().__init__()
        matrix = torch.zeros(outputs, inputs + 1)
        if deviation:
            matrix[:, :-1].normal_(0, deviation)
        self.matrix = nn.Parameter(matrix)

    def forward(self, columns: Tensor, extra: Tensor | None = None) -> Tensor:
        """With ``extra`` the inputs are the rows of both, ``columns`` first."""
        result = torch.addmm(self.matrix[:, -1:], self.matrix[:, : columns.shape[0]], columns)
        return result if extra is None else torch.addmm(result, self.matrix[:, columns.shape[0] : -1], extra)


class Convolution(Affine):
    """A 3×3 convolution, borders repeated: (inputs, h, w) → (outputs, h, w).

    ``matrix`` is (outputs, 9·inputs + 1): all inputs at the first of the nine places, then at the second, and so on. As one
    matrix product a step takes less than half the time of PyTorch's convolution, which is not made for 3 channels.
    """

    def __init__(self, inputs: int, outputs: int, deviation: float = 0.0) -> None:
        super().__init__(9 * inputs, outputs, deviation)

    def forward(self, planes: Tensor) -> Tensor:
        columns = shifted(F.pad(planes[None], (1, 1, 1, 1), mode="replicate")[0], 3)
        return super().forward(columns.flatten(0, 1).flatten(1)).unflatten(1, planes.shape[1:])


class _Shifted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, planes, side):
        count, height, width = planes.shape
        ctx.side, ctx.shape = side, planes.shape
        h, w = height - side + 1, width - side + 1
        windows = planes.new_empty(side * side, count, h, w)
        for place, window in enumerate(windows):
            row, column = divmod(place, side)
            window.copy_(planes[:, row : row + h, column : column + w])
        return windows

    @staticmethod
    def backward(ctx, gradient):
        total = gradient.new_zeros(ctx.shape)
        h, w = gradient.shape[2:]
        for place, part in enumerate(gradient):
            row, column = divmod(place, ctx.side)
            total[:, row : row + h, column : column + w] += part
        return total, None


def shifted(planes: Tensor, side: int) -> Tensor:
    """The planes (c, h + side − 1, w + side − 1) seen from each place of a square window: (side², c, h, w)."""
    return _Shifted.apply(planes, side)


def cubic(distance: float, a: float = -0.75) -> float:
    """Keys' cubic convolution kernel with PyTorch's a."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


HALF_KERNEL = tuple(cubic(distance) for distance in (0.25, 0.75, 1.25, 1.75))
"""Bicubic doubling: the weights of a sample for the fine positions at these distances, on either side."""


class _Doubling(torch.autograd.Function):
    """One axis doubled with a symmetric kernel of 8 taps; ``half`` holds its weights for the distances ¼, ¾, 1¼, 1¾.

    Sample k lands at the fine coordinate 2k + ½, so it is ¼ (coarse units) from the fine samples 2k and 2k + 1. The
    axis has 2 more samples at either end than are doubled.
    """

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


@functools.lru_cache(maxsize=64)
def _doubling_basis(count: int, device: torch.device) -> Tensor:
    """(4, 2·count · count): what each of the four weights adds to the matrix that doubles ``count`` samples."""
    basis = torch.zeros(4, 2 * count, count)
    place = torch.arange(count)
    for weight, (before, after) in enumerate(((0, 0), (-1, 1), (1, -1), (-2, 2))):
        basis[weight, 2 * place, (place + before).clamp(0, count - 1)] = 1
        basis[weight, 2 * place + 1, (place + after).clamp(0, count - 1)] = 1
    return basis.flatten(1).to(device)


def _doubling_matrix(half: Tensor, count: int) -> Tensor:
    """One axis of ``count`` samples doubled as a matrix (2·count, count): the fastest way for few samples."""
    return (half @ _doubling_basis(count, half.device).to(half.dtype)).view(2 * count, count)


class Upsampling(nn.Module):
    """Doubles planes: (c, h, w) → (c, 2h, 2w), sample k landing at the fine coordinate 2k + ½; borders repeated."""

    def __init__(self, config: GridsConfig) -> None:
        super().__init__()
        self.kind = config.upsampling
        half = torch.tensor(HALF_KERNEL)
        match self.kind:
            case "bicubic":
                self.register_buffer("kernel", half.expand(config.grids, 4), persistent=False)
            case "separable":
                self.kernel = nn.Parameter(half.repeat(max(config.grids - 1, 1), 1))
            case "learned":
                taps = torch.cat([half.flip(0), half])
                self.kernel = nn.Parameter(torch.outer(taps, taps))

    def forward(self, planes: Tensor, level: int, *, top: bool = True, bottom: bool = True) -> Tensor:
        """Double ``planes``, which become level ``level`` (0 the finest).

        With ``top`` or ``bottom`` False the planes are a band that goes on there: its 2 outer rows are only looked at.
        """
        rows, columns = planes.shape[1:]
        if self.kind != "learned" and rows * columns <= _DENSE_PIXELS and top and bottom:
            half = self.kernel[level]
            return _doubling_matrix(half, rows) @ planes @ _doubling_matrix(half, columns).T
        planes = F.pad(planes[None], (2, 2, 2 * top, 2 * bottom), mode="replicate")[0]
        if self.kind != "learned":
            return _Doubling.apply(_Doubling.apply(planes, self.kernel[level], 1), self.kernel[level], 2)
        # as a transposed convolution, but one product for the four phases of (2, 2): a quarter of the time
        columns = shifted(planes, 5)
        fine = self._phases() @ columns.flatten(1)
        count, h, w = columns.shape[1:]
        return fine.view(2, 2, count, h, w).permute(2, 3, 0, 4, 1).reshape(count, 2 * h, 2 * w)

    def _phases(self) -> Tensor:
        """The 8×8 kernel as (4, 25): weights of the 5×5 coarse neighbours for the fine samples 2k and 2k + 1, both ways.

        A fine sample at 2k + a takes the coarse sample k + δ with tap a − 2δ + 3, if there is one.
        """
        phase, shift = torch.arange(2)[:, None], torch.arange(-2, 3)
        taps = (phase - 2 * shift + 4).to(self.kernel.device)  # with a margin of zeros around the 8
        padded = F.pad(self.kernel, (1, 1, 1, 1))
        return padded[taps[:, None, :, None], taps[None, :, None, :]].flatten(2).flatten(0, 1)


class Synthesis(nn.Module):
    """Features (grids, h, w) to colours (3, h, w), not clamped."""

    def __init__(self, config: GridsConfig) -> None:
        super().__init__()
        self.config = config
        layers, inputs = [], config.grids
        self.skip_to = max(index for index, layer in enumerate(config.synthesis) if layer.kernel == 1)
        for index, layer in enumerate(config.synthesis):
            kind = Convolution if layer.kernel == 3 else Affine
            if config.synthesis_skip and index == self.skip_to:
                inputs += config.grids
            layers.append(kind(inputs, layer.channels, 0.0 if layer.residual else 1 / layer.channels**2))
            inputs = layer.channels
        self.layers = nn.ModuleList(layers)

    @property
    def halo(self) -> int:
        """Rows around a band that its colours depend on."""
        return sum(layer.kernel // 2 for layer in self.config.synthesis)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[1:]
        columns = features = features.flatten(1)
        for index, (shape, layer) in enumerate(zip(self.config.synthesis, self.layers, strict=True)):
            if shape.kernel == 3:
                output = layer(columns.unflatten(1, size)).flatten(1)
            else:
                output = layer(columns, features if self.config.synthesis_skip and index == self.skip_to else None)
            if shape.residual:
                output = output + columns
            columns = output.relu() if shape.relu else output
        return columns.unflatten(1, size)


class ContextModel(nn.Module):
    """Contexts (contexts, n) to the Laplace laws' parameters (2, n): location μ and log₂ of the scale b, in steps."""

    def __init__(self, config: GridsConfig) -> None:
        super().__init__()
        widths = (config.contexts, *config.hidden)
        layers = [
            Affine(inputs, outputs, 0.0 if inputs == outputs else inputs**-0.5)
            for inputs, outputs in zip(widths, widths[1:], strict=False)
        ]
        last = Affine(widths[-1] + (config.contexts if config.context_skip else 0), 2)
        with torch.no_grad():
            last.matrix[:, : widths[-1]].normal_(0, 0.05)
        self.layers = nn.ModuleList([*layers, last])
        self.skip = config.context_skip

    def forward(self, contexts: Tensor) -> Tensor:
        columns = contexts
        for layer in self.layers[:-1]:
            output = layer(columns)
            columns = (output + columns if output.shape == columns.shape else output).relu()
        return self.layers[-1](columns, contexts if self.skip else None)


# ------------------------------------------------------------------------------------------ contexts and rate


@functools.cache
def _runs(offsets: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Offsets in one row, next to each other, as (first index, count): a run is one strided copy."""
    runs: list[tuple[int, int]] = []
    for k, (row, column) in enumerate(offsets):
        if runs and (row, column - 1) == offsets[k - 1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((k, 1))
    return tuple(runs)


@dataclass(frozen=True)
class Band:
    """Rows ``top`` … ``bottom`` − 1 of grid ``level``."""

    level: int
    top: int
    bottom: int


class _Contexts(torch.autograd.Function):
    """Shifted slices as rows of one matrix. Written out, because autograd would give every slice a zeroed copy of its grid."""

    @staticmethod
    def forward(ctx, config, heights, *tensors):
        """For each height: a band of a grid that ends with so many wanted rows, and the rows of its parents.

        Parents beyond the coarsest grid are missing, None: their contexts are 0.
        """
        reach, side = _reach(config.context)
        width = 1 + config.parents
        bands, parents = tensors[::width], [tensors[i + 1 : i + width] for i in range(0, len(tensors), width)]
        sizes = [(height, band.shape[1]) for height, band in zip(heights, bands, strict=True)]
        contexts = bands[0].new_empty(config.contexts, sum(h * w for h, w in sizes))
        begin = 0
        for (h, w), band, coarser in zip(sizes, bands, parents, strict=True):
            padded = F.pad(band, (side, side, max(reach + h - band.shape[0], 0), 0)).contiguous()
            skipped = padded.shape[0] - h
            rows = contexts[:, begin : begin + h * w].unflatten(1, (h, w))
            stride = w + 2 * side
            for k, count in _runs(config.context):
                row, column = config.context[k]
                first = (skipped + row) * stride + side + column
                rows[k : k + count].copy_(padded.as_strided((count, h, w), (1, stride, 1), first))
            for k, parent in enumerate(coarser):
                if parent is None:
                    rows[len(config.context) + k].zero_()
                else:
                    rows[len(config.context) + k].copy_(repeat(parent, 2 << k)[:h, :w])
            begin += h * w
        ctx.config, ctx.sizes = config, sizes
        ctx.shapes = [None if tensor is None else tensor.shape for tensor in tensors]
        return contexts

    @staticmethod
    def backward(ctx, gradient):
        config = ctx.config
        reach, side = _reach(config.context)
        results, begin = [], 0
        shapes = iter(ctx.shapes)
        for h, w in ctx.sizes:
            rows = gradient[:, begin : begin + h * w].unflatten(1, (h, w))
            band = next(shapes)
            above = max(reach + h - band[0], 0)
            padded = gradient.new_zeros(band[0] + above, w + 2 * side)
            skipped = padded.shape[0] - h
            stride = w + 2 * side
            for k, (row, column) in enumerate(config.context):
                first = (skipped + row) * stride + side + column
                padded.as_strided((h, w), (stride, 1), first).add_(rows[k])
            results.append(padded[above:, side : side + w])
            for k in range(config.parents):
                parent = next(shapes)
                if parent is None:
                    results.append(None)
                    continue
                times = 2 << k
                own = F.pad(rows[len(config.context) + k], (0, parent[1] * times - w, 0, parent[0] * times - h))
                results.append(own.view(parent[0], times, parent[1], times).sum((1, 3)))
            begin += h * w
        return None, None, *results


def repeat(plane: Tensor, times: int) -> Tensor:
    """Each value of (h, w) as a square of times×times: (times·h, times·w)."""
    h, w = plane.shape
    return plane[:, None, :, None].expand(h, times, w, times).reshape(times * h, times * w)


def contexts_of(config: GridsConfig, grids: Sequence[Tensor], bands: Sequence[Band]) -> Tensor:
    """The contexts (contexts, n) of all positions of the bands, row by row, one band after the other.

    Outside of its grid a neighbour counts as 0. A band's top must be a multiple of 2^parents.

    Args:
        grids: the pyramid, finest first, (rows, columns) each.
    """
    reach = _reach(config.context)[0]
    heights, tensors = [], []
    for band in bands:
        heights.append(band.bottom - band.top)
        tensors.append(grids[band.level][max(band.top - reach, 0) : band.bottom])
        for k in range(1, config.parents + 1):
            missing = band.level + k >= len(grids)
            tensors.append(None if missing else grids[band.level + k][band.top >> k : -(-band.bottom >> k)])
    return _Contexts.apply(config, tuple(heights), *tensors)


def _reach(offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(rows above, columns to either side) that the neighbours take."""
    return max(-row for row, _ in offsets), max(abs(column) for _, column in offsets)


class _LaplaceBits(torch.autograd.Function):
    """−log₂ P of values under Laplace laws integrated over a step; gradients in closed form, a third of autograd's time."""

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


def laplace_bits(values: Tensor, location: Tensor, log2_scale: Tensor) -> Tensor:
    """Bits of each value under Laplace(μ, b) integrated over ±½: −log₂(F(y + ½) − F(y − ½)); all of one shape.

    log₂ b is held within `MIN_LOG2_SCALE` … `MAX_LOG2_SCALE` (its gradient goes on beyond). Far out the bits stop
    growing at some 87, but not their gradient, so that a value out there comes back.
    """
    return _LaplaceBits.apply(values, location, log2_scale)


class IntegerContextModel:
    """A `ContextModel` in integers carried in float64: the same result in any batch, on any machine.

    Weights and biases are taken as multiples of 2⁻¹² (quantised ones are, exactly), activations are floored to multiples
    of 2⁻¹² after each layer and held below 2¹⁴. No sum of products reaches 2⁵³, so every order of adding
    them, fused or not, gives the same float64. (int64 would do as well; CUDA has no matrix product for it.)

    Args:
        model: weights and biases within ±`MAX_CONTEXT_WEIGHT`, at most 64 inputs a layer.
    """

    def __init__(self, model: ContextModel) -> None:
        def integers(layer: Affine) -> tuple[Tensor, Tensor]:
            matrix = torch.round(layer.matrix.detach().double() * _UNIT)
            return matrix[:, :-1].contiguous(), matrix[:, -1:] * _UNIT

        self.layers = [integers(layer) for layer in model.layers]
        self.skip = model.skip

    def __call__(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """(contexts, n) integers as float64 → locations in 1/`FRACTIONS` steps and spreads 0 … `SPREADS` − 1, int64 (n,)."""
        inputs = columns = contexts.clamp(-MAX_LATENT, MAX_LATENT) * _UNIT
        for weights, biases in self.layers[:-1]:
            total = torch.addmm(biases, weights, columns)
            if total.shape == columns.shape:
                total.add_(columns, alpha=_UNIT)
            columns = total.div_(_UNIT).floor_().clamp_(0, _MAX_ACTIVATION)
        weights, biases = self.layers[-1]
        total = torch.addmm(biases, weights, torch.cat([columns, inputs]) if self.skip else columns)
        location, log2_scale = total.div_(_UNIT).floor_()
        limit = MAX_LATENT * FRACTIONS
        location = (location * (FRACTIONS / _UNIT) + 0.5).floor_().clamp_(-limit, limit)
        spread = ((log2_scale - MIN_LOG2_SCALE * _UNIT) * (8 / _UNIT) + 0.5).floor_().clamp_(0, SPREADS - 1)
        return location.long(), spread.long()


# ------------------------------------------------------------------------------------------ the picture


class LatentGrids(nn.Module):
    """A picture of a given size as latent grids.

    Its parameters are those of the networks `context`, `upsampling` and `synthesis`, and ``latents``: all grids, finest
    first, row by row, in one vector, as integers divided by `GAIN` (while a fit runs, not yet integers).

    Args:
        config: the shape.
        height, width: of the picture, in pixels, 1 or more.
    """

    def __init__(self, config: GridsConfig, height: int, width: int) -> None:
        super().__init__()
        self.config, self.height, self.width = config, height, width
        self.sizes = grid_sizes(config, height, width)
        self.latents = nn.Parameter(torch.zeros(sum(rows * columns for rows, columns in self.sizes)))
        self.context = ContextModel(config)
        self.upsampling = Upsampling(config)
        self.synthesis = Synthesis(config)

    def networks(self) -> dict[str, nn.Parameter]:
        """The networks' parameters by name: everything but the latents."""
        return {name: parameter for name, parameter in self.named_parameters() if name != "latents"}

    def split(self, values: Tensor) -> list[Tensor]:
        """A vector as long as ``latents`` as grids (rows, columns), finest first; views."""
        parts = values.split([rows * columns for rows, columns in self.sizes])
        return [part.view(size) for part, size in zip(parts, self.sizes, strict=True)]

    def symbols(self) -> list[Tensor]:
        """The grids rounded to integers, within ±`MAX_LATENT`: what a file holds. float32."""
        return self.split((self.latents.detach() * GAIN).round_().clamp_(-MAX_LATENT, MAX_LATENT))

    def bands(self, positions: int = BAND_PIXELS) -> list[list[Band]]:
        """The pyramid in pieces for `bits`, of about ``positions`` integers each."""
        pieces, held = [[]], 0
        for level, (rows, columns) in enumerate(self.sizes):
            step = max(positions // columns >> 4 << 4, 16)  # a multiple of 2^parents
            for top in range(0, rows, step):
                band = Band(level, top, min(top + step, rows))
                count = (band.bottom - top) * columns
                if pieces[-1] and held + count > positions:
                    pieces.append([])
                    held = 0
                pieces[-1].append(band)
                held += count
        return pieces

    def bits(self, grids: Sequence[Tensor], bands: Sequence[Band]) -> Tensor:
        """Estimated bits of every value of the bands, row by row, in the order given; differentiable, (n,).

        Args:
            grids: the whole pyramid, integers or their stand-ins.
        """
        location, log2_scale = self.context(contexts_of(self.config, grids, bands))
        values = [grids[band.level][band.top : band.bottom].flatten() for band in bands]
        return laplace_bits(torch.cat(values) if len(values) > 1 else values[0], location, log2_scale)

    def coarse(self, grids: Sequence[Tensor]) -> Tensor:
        """All grids but the finest, upsampled and stacked, finest first, at the size of grid 1: (grids − 1, rows, columns)."""
        stack = grids[-1][None]
        for level in range(len(grids) - 2, 0, -1):
            rows, columns = self.sizes[level]
            fine = self.upsampling(stack, level)[:, :rows, :columns]
            stack = torch.cat([grids[level][None], fine])
        return stack

    def features(self, finest: Tensor, coarse: Tensor | None, top: int = 0, bottom: int | None = None) -> Tensor:
        """Rows ``top`` … ``bottom`` − 1 of all grids at the picture's size, finest first: (grids, rows, width); differentiable.

        Args:
            finest: grid 0.
            coarse: from `coarse`; None when there is one grid only.
        """
        bottom = self.height if bottom is None else bottom
        features = finest[None, top:bottom]
        if coarse is None:
            return features
        # a fine row depends on its own coarse row and on two at either side
        begin, end = max((top >> 1) - 2, 0), min((bottom + 1 >> 1) + 2, coarse.shape[1])
        at_top, at_bottom = begin == 0, end == coarse.shape[1]
        fine = self.upsampling(coarse[:, begin:end], 0, top=at_top, bottom=at_bottom)
        skipped = top - 2 * (0 if at_top else begin + 2)
        return torch.cat([features, fine[:, skipped : skipped + bottom - top, : self.width]])

    def colours(self, finest: Tensor, coarse: Tensor | None, top: int = 0, bottom: int | None = None) -> Tensor:
        """Rows ``top`` … ``bottom`` − 1 of the picture, (3, rows, width), not clamped; differentiable. Arguments: `features`."""
        bottom = self.height if bottom is None else bottom
        first, last = max(top - self.synthesis.halo, 0), min(bottom + self.synthesis.halo, self.height)
        return self.synthesis(self.features(finest, coarse, first, last))[:, top - first : bottom - first]

    def rows(self, pixels: int = BAND_PIXELS) -> Iterator[tuple[int, int]]:
        """The picture cut into (top, bottom) of about ``pixels`` pixels each."""
        step = max(pixels // self.width, 1)
        for top in range(0, self.height, step):
            yield top, min(top + step, self.height)

    @torch.no_grad()
    def render(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The picture (3, height, width) in [0, 1], float32; its own size by default.

        Painted band by band from the rounded grids. A pyramid has a resolution of its own, so other sizes are this
        picture resampled bicubically about pixel centres (antialiased when it shrinks).
        """
        grids = self.symbols()
        coarse = self.coarse(grids) if len(grids) > 1 else None
        picture = torch.empty(3, self.height, self.width, device=self.latents.device)
        for top, bottom in self.rows():
            picture[:, top:bottom] = self.colours(grids[0], coarse, top, bottom).clamp_(0, 1)
        height, width = self.height if height is None else height, self.width if width is None else width
        if (height, width) == (self.height, self.width):
            return picture
        resampled = F.interpolate(picture[None], (height, width), mode="bicubic", antialias=True)
        return resampled[0].clamp_(0, 1)


@torch.no_grad()
def start_from_pyramid(representation: LatentGrids, picture: Tensor, step: float) -> None:
    """Start a fit from what is known before it: the latents are a Laplacian pyramid of the picture's grey values.

    Every grid holds what the coarser ones leave of the mean of red, green and blue, a step being worth ``step``, and the
    synthesis starts by adding all grids to the picture's mean colour; colour and everything better are left to the fit.

    Args:
        representation: new, as constructed.
        picture: (3, H, W) in [0, 1].
        step: in [0, 1] colour values.
    """
    means = picture.mean((1, 2))
    grey = picture.mean(0) - means.mean()
    grids = [torch.zeros(size, device=picture.device) for size in representation.sizes]
    for level in range(len(grids) - 1, -1, -1):
        rest = grey
        if level < len(grids) - 1:
            coarse = representation.coarse(grids)
            rest = grey - step * representation.features(grids[0], coarse).sum(0)
        grids[level] = F.adaptive_avg_pool2d(rest[None], representation.sizes[level])[0] / step
    representation.latents.copy_(torch.cat([grid.flatten() for grid in grids]).div_(GAIN))

    synthesis, count = representation.synthesis, len(grids)
    layers = [(shape, layer) for shape, layer in zip(synthesis.config.synthesis, synthesis.layers, strict=True)]
    if synthesis.config.synthesis_skip:
        matrix = layers[synthesis.skip_to][1].matrix
        matrix[:, -1 - count : -1], matrix[:, -1] = step, means
        return
    first = layers[0][1].matrix
    first[:3, :-1], first[:3, -1] = step, means
    for shape, layer in layers[1:]:
        if shape.kernel == 1 and not shape.residual:  # residual layers start as the identity
            layer.matrix[:3, :3] = torch.eye(3, device=picture.device)
