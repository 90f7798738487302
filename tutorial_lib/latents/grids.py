"""A picture as latent grids: the pyramid, its bits, its colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.latents.contexts import Band, contexts_of
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.layers import ContextModel, Synthesis, Upsampling
from tutorial_lib.latents.shape import GAIN, MAX_LATENT, GridsConfig, grid_sizes

BAND_PIXELS = 1 << 19
"""Pixels of a picture, or positions of grids, that are worked on at once; what lies between is computed again."""


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
        self.origins: dict[str, Tensor] = {}  # what a file holds parameters as differences from, if not from the usual

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
            step = 16 * max(positions // columns // 16, 1)  # fewer rows would mostly look at those above them
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

    def own_rows(self, top: int, bottom: int) -> list[tuple[int, int]]:
        """Rows (first, after the last) of each grid that belong to rows ``top`` … ``bottom`` − 1 of the picture alone."""
        return [(-(-top >> level), -(-bottom >> level)) for level in range(len(self.sizes))]

    def windows(self, top: int, bottom: int, above: int = 0) -> list[tuple[int, int]]:
        """Rows (first, after the last) of each grid that rows ``top`` … ``bottom`` − 1 of the picture depend on.

        Args:
            above: so many rows above the band's own are among them.
        """
        first, last = max(top - max(self.synthesis.halo, above), 0), min(bottom + self.synthesis.halo, self.height)
        found = [(first, last)]
        for (rows, _), (own, _) in zip(self.sizes[1:], self.own_rows(top, bottom)[1:], strict=True):
            # a fine row depends on its own coarse row and on two at either side
            first, last = max(min((first >> 1) - 2, own - above), 0), min((last + 1 >> 1) + 2, rows)
            found.append((first, last))
        return found

    def features(self, grids: Sequence[Tensor], windows: Sequence[tuple[int, int]] | None = None) -> Tensor:
        """All grids at the picture's size, finest first: (grids, rows, width); differentiable.

        Args:
            grids: finest first.
            windows: the rows of each grid that ``grids`` holds, as `windows` gives them or more; None: all.
        """
        windows = [(0, rows) for rows, _ in self.sizes] if windows is None else windows
        stack = grids[-1][None]
        for level in range(len(grids) - 2, -1, -1):
            (first, last), (begin, end) = windows[level : level + 2]
            at_top, at_bottom = begin == 0, end == self.sizes[level + 1][0]
            fine = self.upsampling(stack, level, top=at_top, bottom=at_bottom)
            skipped = first - 2 * (0 if at_top else begin + 2)
            stack = torch.cat([grids[level][None], fine[:, skipped : skipped + last - first, : self.sizes[level][1]]])
        return stack

    def colours(self, grids: Sequence[Tensor], top: int = 0, bottom: int | None = None) -> Tensor:
        """Rows ``top`` … ``bottom`` − 1 of the picture, (3, rows, width), not clamped; differentiable.

        Args:
            grids: the whole pyramid, finest first.
        """
        bottom = self.height if bottom is None else bottom
        windows = self.windows(top, bottom)
        parts = [grid[first:last] for grid, (first, last) in zip(grids, windows, strict=True)]
        first = windows[0][0]
        return self.synthesis(self.features(parts, windows))[:, top - first : bottom - first]

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
        picture = torch.empty(3, self.height, self.width, device=self.latents.device)
        for top, bottom in self.rows():
            picture[:, top:bottom] = self.colours(grids, top, bottom).clamp_(0, 1)
        height, width = self.height if height is None else height, self.width if width is None else width
        if (height, width) == (self.height, self.width):
            return picture
        resampled = F.interpolate(picture[None], (height, width), mode="bicubic", antialias=True)
        return resampled[0].clamp_(0, 1)


@torch.no_grad()
def scale_latents(representation: LatentGrids, factor: float) -> None:
    """Make all latents ``factor`` times as large and the networks such that picture and predictions stay what they are.

    Rounded, the latents then have steps of 1/``factor`` of their size before. Exact but for a residual layer at the synthesis's
    begin: upsampling is linear, and ReLUs pass a positive factor on.
    """
    config, (*hidden, last) = representation.config, [layer.get_parameter("matrix") for layer in representation.context.layers]
    representation.latents.mul_(factor)
    for matrix in hidden:
        matrix[:, -1] *= factor
    location, log2_scale = last
    location[-1] *= factor
    log2_scale[:-1] /= factor
    log2_scale[-1] += math.log2(factor)
    matrices = [layer.get_parameter("matrix") for layer in representation.synthesis.layers]
    matrices[0][:, :-1] /= factor
    if config.synthesis_skip and config.skip_to:
        matrices[config.skip_to][:, -1 - config.grids : -1] /= factor
