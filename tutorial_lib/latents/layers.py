"""The networks of latent grids: what doubles a grid, paints a pixel, and predicts an integer. All work on columns or planes."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.latents.kernels import doubled, doubling_matrix, shifted
from tutorial_lib.latents.shape import GridsConfig

_DENSE_PIXELS = 2048  # up to here a doubling by two dense matrices is faster


class Affine(nn.Module):
    """Y = W·X + b on columns: (inputs, n) → (outputs, n). ``matrix`` is [W | b], shape (outputs, inputs + 1).

    One matrix, because a second-order optimizer works on matrices and pays for every tensor.
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
    """A 3×3 convolution, borders repeated: `planes` takes (inputs, h, w) to (outputs, h, w).

    ``matrix`` is (outputs, 9·inputs + 1): all inputs at the first of the nine places, then at the second, and so on. As one
    matrix product a step takes less than half the time of PyTorch's convolution, which is not made for 3 channels.
    """

    def __init__(self, inputs: int, outputs: int, deviation: float = 0.0) -> None:
        super().__init__(9 * inputs, outputs, deviation)

    def planes(self, planes: Tensor) -> Tensor:
        columns = shifted(F.pad(planes[None], (1, 1, 1, 1), mode="replicate")[0], 3)
        return self(columns.flatten(0, 1).flatten(1)).unflatten(1, planes.shape[1:])


HALF_KERNEL = (0.87890625, 0.26171875, -0.10546875, -0.03515625)
"""Bicubic doubling: a sample's weights for the fine positions at the distances ¼, ¾, 1¼, 1¾ on either side, which are Keys' cubic
convolution kernel with PyTorch's a = −¾."""


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
            return doubling_matrix(half, rows) @ planes @ doubling_matrix(half, columns).T
        planes = F.pad(planes[None], (2, 2, 2 * top, 2 * bottom), mode="replicate")[0]
        if self.kind != "learned":
            return doubled(doubled(planes, self.kernel[level], 1), self.kernel[level], 2)
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
        self.layers = nn.ModuleList(
            (Convolution if layer.kernel == 3 else Affine)(
                inputs, layer.channels, 0.0 if layer.residual else 1 / layer.channels**2
            )
            for inputs, layer in zip(config.synthesis_inputs, config.synthesis, strict=True)
        )

    @property
    def halo(self) -> int:
        """Rows around a band that its colours depend on."""
        return sum(layer.kernel // 2 for layer in self.config.synthesis)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[1:]
        columns = features = features.flatten(1)
        skip_to = self.config.skip_to if self.config.synthesis_skip else None
        for index, (shape, layer) in enumerate(zip(self.config.synthesis, self.layers, strict=True)):
            if isinstance(layer, Convolution):
                output = layer.planes(columns.unflatten(1, size)).flatten(1)
            else:
                output = layer(columns, features if index == skip_to else None)
            if shape.residual:
                output = output + columns
            columns = output.relu() if shape.relu else output
        return columns.unflatten(1, size)


class ContextModel(nn.Module):
    """Contexts (neighbours, n) to the Laplace laws' parameters (2, n): location μ and log₂ of the scale b, in steps."""

    def __init__(self, config: GridsConfig) -> None:
        super().__init__()
        widths = (len(config.neighbours), *config.hidden)
        layers = [Affine(inputs, outputs, 0.0 if inputs == outputs else inputs**-0.5) for inputs, outputs in pairwise(widths)]
        last = Affine(widths[-1] + (widths[0] if config.context_skip else 0), 2)
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
