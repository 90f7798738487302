"""Where the pixels of a picture lie, at its own size or at another, and a network rendered on them."""

from __future__ import annotations

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


def canvas_from_axes(y: Tensor, x: Tensor) -> Tensor:
    """The canvas (len(y), len(x), 2), order (x, y), spanned by two axes from `canvas_axis`."""
    shape = (len(y), len(x))
    return torch.stack((x[None, :].expand(shape), y[:, None].expand(shape)), dim=-1)


@torch.no_grad()
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
    height, width = source[0] if height is None else height, source[1] if width is None else width
    device = next(network.parameters()).device
    points = max(TILE_VALUES // features, 1)
    columns = min(width, points)
    rows = max(points // columns, 1)
    xs = canvas_axis(width, source[1], device=device)
    ys = canvas_axis(height, source[0], device=device)
    picture = torch.empty(3, height, width, device=device)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            coordinates = canvas_from_axes(ys[top : top + rows], xs[left : left + columns])
            tile = network(coordinates).clamp_(0, 1)
            picture[:, top : top + rows, left : left + columns] = tile.movedim(-1, 0)
    return picture
