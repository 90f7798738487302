"""Pictures as arrays: what is one, its values on 8 bits, and its sizes.

A *picture* is a ``torch.float32`` tensor of shape (3, H, W): RGB (sRGB-encoded), values in [0, 1]. Everything
in this package that says "picture" means exactly that.
"""

from __future__ import annotations

import operator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MAX_PIXELS = 2**27
"""The largest picture, in pixels, that this library opens or makes: 134 megapixels, 1.6 GB as a picture."""


class ImageError(ValueError):
    """A picture, a file or a size that can't be used; the message is one sentence for the reader."""


FAR_ABOVE_WHITE = 16.0
"""No network overshoots as far; what is above was meant to be 255."""


def picture_problem(picture: object) -> str | None:
    """What keeps an object from being a picture: half a sentence, or None when it is one.

    Values a little outside [0, 1] are no problem: networks overshoot, and rounding to 8 bits clamps them.

    Example:
        >>> picture_problem(torch.zeros(3, 4, 5)) is None
        True
        >>> picture_problem(torch.zeros(4, 5, 3))
        'its shape must be (3, height, width), not (4, 5, 3)'
    """
    if not isinstance(picture, Tensor):
        return f"it must be a torch tensor, not {type(picture).__name__}"
    if picture.ndim != 3 or picture.shape[0] != 3:
        return f"its shape must be (3, height, width), not {tuple(picture.shape)}"
    if 0 in picture.shape:
        return f"it has no pixels (shape {tuple(picture.shape)})"
    if picture.dtype != torch.float32:
        return f"its values must be torch.float32 in [0, 1], not {picture.dtype}"
    if not bool(torch.isfinite(picture).all()):
        return "it contains NaN or infinite values"
    if float(picture.max()) > FAR_ABOVE_WHITE:
        return f"its values must lie in [0, 1], and one is {float(picture.max()):.4g}: divide 8-bit values by 255"
    return None


def to_uint8(picture: Tensor) -> np.ndarray:
    """Round a picture to 8 bits, as a file would.

    Values are clamped to [0, 1], multiplied by 255 and rounded to the nearest integer (a tie goes to the even
    one, as `torch.round` does).

    Args:
        picture: (3, H, W), float32, any device.

    Returns:
        (H, W, 3) uint8 array, 0 to 255, the layout that Pillow and Matplotlib want.

    Raises:
        ImageError: not a picture, or NaN in it.

    Example:
        >>> to_uint8(torch.tensor([0.0, 0.5, 1.2]).reshape(3, 1, 1)).tolist()
        [[[0, 128, 255]]]
    """
    require_picture(picture)
    levels = (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def from_uint8(array: np.ndarray) -> Tensor:
    """The picture (3, H, W) of an (H, W, 3) uint8 array: the levels divided by 255.

    Raises:
        ImageError: another shape or dtype, or no pixels.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ImageError(f"expected uint8 pixels (height, width, 3), not {array.dtype} {array.shape}.")
    levels = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    return levels.to(torch.float32).div_(255)


def quantize_8bit(picture: Tensor) -> Tensor:
    """The picture as an 8-bit file gives it back: round(clamp(picture) · 255) / 255, same shape and device.

    Every distortion in this package is measured on pictures rounded like this.

    Raises:
        ImageError: not a picture, or NaN in it.
    """
    require_picture(picture)
    return (picture.detach().clamp(0, 1) * 255).round() / 255


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture at another size: Pillow's bicubic filter on the picture rounded to 8 bits.

    Pillow aligns pixel centres, as `images.canvas` does, and widens its filter when it shrinks (anti-aliasing).

    Args:
        picture: (3, H, W).
        size: (height, width) in pixels.

    Returns:
        picture (3, height, width) on the 8-bit grid, on the device of the input.

    Raises:
        ImageError: not a picture, a size below 1 pixel or above `MAX_PIXELS`.
    """
    return _resample(picture, size, Image.Resampling.BICUBIC)


def reduce(picture: Tensor, *, size: tuple[int, int] | None = None, factor: float | None = None) -> Tensor:
    """A smaller version of a picture: Pillow's Lanczos filter on its 8-bit values.

    The course's small Kodak pictures are made by ``reduce(kodak(n), factor=4)``: 768×512 becomes 192×128.

    Args:
        picture: (3, H, W).
        size: (height, width), neither larger than the picture; or
        factor: at least 1; both sides are divided by it and rounded (to 1 pixel at least).

    Returns:
        picture (3, height, width) on the 8-bit grid, on the device of the input.

    Raises:
        ImageError: neither or both of size and factor, or a size that would enlarge.

    Example:
        >>> reduce(torch.zeros(3, 400, 600), factor=4).shape
        torch.Size([3, 100, 150])
    """
    require_picture(picture)
    if (size is None) == (factor is None):
        raise ImageError("reduce() needs either size=(height, width) or factor=.")
    height, width = picture.shape[1:]
    if factor is not None:
        if not 1 <= factor < float("inf"):
            raise ImageError(f"reduce() needs a factor of at least 1, not {factor}.")
        size = (max(1, round(height / factor)), max(1, round(width / factor)))
    new_height, new_width = check_size(size)
    if new_height > height or new_width > width:
        raise ImageError(f"reduce() can't enlarge {height}x{width} to {new_height}x{new_width} (height x width): resize() can.")
    return _resample(picture, (new_height, new_width), Image.Resampling.LANCZOS)


def _resample(picture: Tensor, size: tuple[int, int], method: Image.Resampling) -> Tensor:
    levels = to_uint8(picture)
    height, width = check_size(size)
    return from_uint8(np.asarray(Image.fromarray(levels).resize((width, height), method))).to(picture.device)


def crop(picture: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The part of a picture that starts at row `top` and column `left`: (3, height, width), a copy.

    Raises:
        ImageError: an empty part, or one that reaches outside the picture.
    """
    require_picture(picture)
    check_size((height, width))
    rows, columns = picture.shape[1:]
    if top < 0 or left < 0 or top + height > rows or left + width > columns:
        raise ImageError(
            f"the crop (rows {top} to {top + height}, columns {left} to {left + width}) reaches outside the "
            f"picture of {rows} rows and {columns} columns."
        )
    return picture[:, top : top + height, left : left + width].clone()


def check_size(size: object) -> tuple[int, int]:
    """Check a (height, width) in pixels and return it as two ints.

    Raises:
        ImageError: not two whole numbers, a side below 1, or more than `MAX_PIXELS` pixels.
    """
    try:
        height, width = (operator.index(side) for side in size)  # pyright: ignore[reportGeneralTypeIssues]
    except (TypeError, ValueError):
        raise ImageError(f"a size is two whole numbers (height, width), not {size!r}.") from None
    if height < 1 or width < 1:
        raise ImageError(f"a picture of {height}x{width} (height x width) has no pixels.")
    if height * width > MAX_PIXELS:
        raise ImageError(f"a picture of {height}x{width} has {height * width:,} pixels; {MAX_PIXELS:,} are the limit.")
    return height, width


def require_picture(picture: object) -> None:
    """Refuse what `picture_problem` finds.

    Raises:
        ImageError: not a picture.
    """
    if problem := picture_problem(picture):
        raise ImageError(f"this is no picture: {problem}.")
