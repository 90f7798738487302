"""Where the pixels of a picture lie, at its own size or at another, and a network rendered on them.

A film and a sound have such axes, too: what is for any number of them says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutorial_lib.images.arrays import ImageError, check_size

TILE_VALUES = 1 << 21
"""How many activations of the widest layer a tile may hold when rendering (8 MiB as float32)."""


def canvas(height: int, width: int, source: tuple[int, int] | None = None, *, device: torch.device | str | None = None) -> Tensor:
    """Coordinates of the pixels of a picture, or of the same picture rendered at another size.

    At the picture's own size the corners are −1 and 1, after Eq. 1 of the loss paper that the course follows:

        x = 2·px / (W − 1) − 1,     y = 2·py / (H − 1) − 1

    For a W×H rendering of a W₀×H₀ picture, pixel *centres* are aligned, so that a zoom lies exactly over a nearest-neighbour
    or bicubic zoom; the outermost centres of an enlargement are then a little outside [−1, 1]:

        u = (px + ½)·W₀/W − ½,     x = 2u / (W₀ − 1) − 1     (y likewise)

    A side of one pixel has the coordinate 0.

    Args:
        height: rows to render, at least 1.
        width: columns to render, at least 1.
        source: (H₀, W₀), the picture's own size; None when it is (height, width).
        device: where the result goes.

    Returns:
        (height, width, 2), float32, the last axis in the order (x, y).

    Raises:
        ImageError: a size that is no size.
    """
    height, width = check_size((height, width))
    rows, columns = (height, width) if source is None else check_size(source)
    y, x = canvas_axis(height, rows, device=device), canvas_axis(width, columns, device=device)
    return canvas_from_axes(y, x)


def canvas_axis(
    length: int, source_length: int | None = None, *, start: int = 0, step: int = 1, device: torch.device | str | None = None
) -> Tensor:
    """Coordinates along one side: those of the pixels ``range(start, length, step)`` of `length` pixels.

    Tiles and strided sub-canvases are made of two of these (see `canvas_from_axes`) and equal the same part of the whole
    canvas bit for bit: the arithmetic is float64, one pixel at a time, rounded to float32 at the end.

    Args:
        length: pixels along the rendered side.
        source_length: pixels along the same side of the picture; None when it is `length`.
        start: first pixel (the phase, when step > 1).
        step: distance between pixels.
        device: where the result goes.

    Returns:
        (n,), float32.

    Raises:
        ImageError: lengths below 1, a start outside the side, or a step below 1.

    Example:
        >>> canvas_axis(5)
        tensor([-1.0000, -0.5000,  0.0000,  0.5000,  1.0000])
        >>> canvas_axis(5, start=1, step=2)
        tensor([-0.5000,  0.5000])
        >>> canvas_axis(4, source_length=2)  # the same two pixels, twice as large
        tensor([-1.5000, -0.5000,  0.5000,  1.5000])
    """
    source_length = length if source_length is None else source_length
    if length < 1 or source_length < 1:
        raise ImageError(f"a side has at least one pixel, not {min(length, source_length)}.")
    if not 0 <= start < length or step < 1:
        raise ImageError(f"pixels from {start} on in steps of {step} are no part of a side of {length}.")
    # On the CPU whatever the device: MPS has no float64.
    positions = torch.arange(start, length, step, dtype=torch.float64)
    if source_length == 1:
        axis = torch.zeros_like(positions)
    else:
        source_positions = (positions + 0.5) * source_length / length - 0.5
        axis = 2 * source_positions / (source_length - 1) - 1
    return axis.to(torch.float32).to(device)


def canvas_from_axes(*axes: Tensor) -> Tensor:
    """The canvas spanned by axes from `canvas_axis`: of (y, x), shape (len(y), len(x), 2), order (x, y).

    Of any number of axes: coordinates stand in the reverse order of the axes, so that (t, y, x) gives (x, y, t).
    """
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)


def render_tiles(network: nn.Module, height: int | None, width: int | None, source: tuple[int, int], features: int) -> Tensor:
    """Evaluate a coordinate network on a whole canvas, tile by tile, in bounded memory.

    Args:
        network: a module, coordinates (h, w, 2) to colours (h, w, 3).
        height, width: the size to render, in pixels; None for the source's.
        source: (height, width) of the picture the network stands for; see `canvas_axis`.
        features: activations a point takes at the widest layer; sets the tile's size.

    Returns:
        float32 (3, height, width), clamped to [0, 1], on the network's device.
    """
    device = next(network.parameters()).device
    size = source[0] if height is None else height, source[1] if width is None else width
    return render_axes(network, [canvas_axis(*pair, device=device) for pair in zip(size, source, strict=True)], features)


@torch.no_grad()
def render_axes(network: nn.Module, axes: Sequence[Tensor], features: int) -> Tensor:
    """`render_tiles` on the canvas that any number of axes span: float32 (channels, *their lengths), clamped to [0, 1]."""
    size = tuple(map(len, axes))
    points, sides = max(TILE_VALUES // features, 1), list[int]()
    for length in reversed(size):
        sides.insert(0, min(length, points))
        points = max(points // sides[0], 1)
    rendered = None
    for corner in itertools.product(*map(range, [0] * len(size), size, sides)):
        part = tuple(slice(start, start + side) for start, side in zip(corner, sides, strict=True))
        tile = (
            network(canvas_from_axes(*(axis[piece] for axis, piece in zip(axes, part, strict=True)))).clamp_(0, 1).movedim(-1, 0)
        )
        if rendered is None:
            rendered = torch.empty(len(tile), *size, device=tile.device)
        rendered[(slice(None), *part)] = tile
    if rendered is None:
        raise ImageError(f"a canvas of {size} has no points.")
    return rendered
