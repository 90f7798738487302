"""Pictures: from files and back, the course's samples, Kodak, and the coordinates of pixels.

Example:
    >>> from tutorial_lib import images
    >>> cat = images.sample("chelsea")
    >>> cat.shape, cat.dtype
    (torch.Size([3, 300, 451]), torch.float32)
    >>> images.canvas(2, 3)[0]  # the first row: y = -1, x from -1 to 1
    tensor([[-1., -1.],
            [ 0., -1.],
            [ 1., -1.]])
"""

from tutorial_lib.images.arrays import (
    MAX_PIXELS,
    ImageError,
    check_size,
    crop,
    from_uint8,
    picture_problem,
    quantize_8bit,
    reduce,
    resize,
    to_uint8,
)
from tutorial_lib.images.coordinates import canvas, canvas_axis, canvas_from_axes, render_axes, render_tiles
from tutorial_lib.images.datasets import KODAK_COUNT, SAMPLES, kodak, kodak_available, kodak_path, open_picture, sample
from tutorial_lib.images.files import check_writable, load, load_bytes, register_heif, save
from tutorial_lib.runtime import write_atomically

__all__ = [
    "MAX_PIXELS", "ImageError", "check_size", "crop", "from_uint8", "picture_problem", "quantize_8bit", "reduce", "resize",
    "to_uint8", "canvas", "canvas_axis", "canvas_from_axes", "render_axes", "render_tiles", "KODAK_COUNT", "SAMPLES", "kodak",
    "kodak_available", "kodak_path", "open_picture", "sample", "check_writable", "load", "load_bytes", "register_heif", "save",
    "write_atomically",
]  # fmt: skip
