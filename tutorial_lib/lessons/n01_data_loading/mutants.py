"""Wrong answers to the exercises of notebook 01 that people really write."""

from __future__ import annotations

import torch

from tutorial_lib import images

# ------------------------------------------------------------------------------------------------ 01.1


def _canvas(y, x):
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def swapped(height, width):
    y, x = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)


def divided_by_the_width(height, width):
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)


def from_zero(height, width):
    return _canvas(torch.linspace(0, 1, height), torch.linspace(0, 1, width))


def scrambled(height, width):
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack([x, y]).reshape(height, width, 2)


def centres(height, width):
    return _canvas(2 * (torch.arange(height) + 0.5) / height - 1, 2 * (torch.arange(width) + 0.5) / width - 1)


def thin_side_at_minus_one(height, width):
    return _canvas(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width))


def thin_side_divides_by_zero(height, width):
    return _canvas(2 * torch.arange(height) / (height - 1) - 1, 2 * torch.arange(width) / (width - 1) - 1)


# ------------------------------------------------------------------------------------------------ 01.2


def _right_pairs(picture):
    height, width = picture.shape[1:]
    return images.canvas(height, width).reshape(-1, 2), picture.permute(1, 2, 0).reshape(-1, 3)


class ReshapeAlone:
    @staticmethod
    def from_picture(picture):
        return _right_pairs(picture)[0], picture.reshape(-1, 3)

    @staticmethod
    def to_picture(colours, height, width):
        return colours.reshape(3, height, width)


class ColumnByColumn:
    @staticmethod
    def from_picture(picture):
        return _right_pairs(picture)[0], picture.permute(2, 1, 0).reshape(-1, 3)


class ChannelRows:
    @staticmethod
    def from_picture(picture):
        return _right_pairs(picture)[0], picture.flatten(1)


class OnItsSide:
    @staticmethod
    def from_picture(picture):
        _, height, width = picture.shape
        return images.canvas(width, height).reshape(-1, 2), _right_pairs(picture)[1]


class CanvasOfAPicture:
    @staticmethod
    def from_picture(picture):
        return images.canvas(picture).reshape(-1, 2), _right_pairs(picture)[1]


class YFirst:
    @staticmethod
    def from_picture(picture):
        return _right_pairs(picture)[0].flip(1), _right_pairs(picture)[1]


class BackByReshapeAlone:
    from_picture = staticmethod(_right_pairs)

    @staticmethod
    def to_picture(colours, height, width):
        return colours.reshape(3, height, width)


class BackSwapped:
    from_picture = staticmethod(_right_pairs)

    @staticmethod
    def to_picture(colours, height, width):
        return colours.reshape(width, height, 3).permute(2, 1, 0)


# ------------------------------------------------------------------------------------------------ 01.3


def _rounded(picture, reference):
    return images.quantize_8bit(picture), images.quantize_8bit(reference)


def natural_logarithm(picture, reference):
    a, b = _rounded(picture, reference)
    return 10 * torch.log(1 / (a - b).square().mean()).item()


def wrong_peak(picture, reference):
    a, b = _rounded(picture, reference)
    return 10 * torch.log10(255**2 / (a - b).square().mean()).item()


def rooted(picture, reference):
    a, b = _rounded(picture, reference)
    return 10 * torch.log10(1 / (a - b).square().mean().sqrt()).item()


def mean_over_the_wrong_axes(picture, reference):
    a, b = _rounded(picture, reference)
    return (10 * torch.log10(1 / (a - b).square().mean(dim=(1, 2)))).mean().item()


def not_rounded(picture, reference):
    return 10 * torch.log10(1 / (picture - reference).square().mean()).item()


def truncated(picture, reference):
    a, b = ((255 * each.clamp(0, 1)).to(torch.uint8).float() / 255 for each in (picture, reference))
    return 10 * torch.log10(1 / (a - b).square().mean()).item()


def reference_not_rounded(picture, reference):
    return 10 * torch.log10(1 / (images.quantize_8bit(picture) - reference).square().mean()).item()


def reference_not_clamped(picture, reference):
    a, b = images.quantize_8bit(picture), (255 * reference).round() / 255
    return 10 * torch.log10(1 / (a - b).square().mean()).item()


# ------------------------------------------------------------------------------------------------ 01.4


def _pixels(picture):
    return picture.shape[1] * picture.shape[2]


def in_bytes(data, picture):
    return len(data) / _pixels(picture)


def three_values_a_pixel(data, picture):
    return 8 * len(data) / picture.numel()


def without_header(data, picture):
    return 8 * (len(data) - data.index(b"\xff\xda")) / _pixels(picture)


def first_two_of_the_shape(data, picture):
    height, width = picture.shape[:2]
    return 8 * len(data) / (height * width)


def upside_down(data, picture):
    return _pixels(picture) / (8 * len(data))


def one_side_twice(data, picture):
    return 8 * len(data) / picture.shape[-1] ** 2


def without_twenty_bytes(data, picture):
    return 8 * (len(data) - 20) / _pixels(picture)


MUTANTS = {
    "01.1": {
        "x and y swapped": (swapped, "x and y are swapped"),
        "W instead of W - 1": (divided_by_the_width, "divided by W instead of W − 1"),
        "from 0 to 1": (from_zero, "the range is [0, 1]"),
        "reshaped for stacked": (scrambled, "`reshape` moves no number"),
        "pixel centres": (centres, "half a pixel inside"),
        "one pixel at -1": (thin_side_at_minus_one, "a side of one pixel lies at −1"),
        "one pixel divides by zero": (thin_side_divides_by_zero, "it divides by zero"),
    },
    "01.2": {
        "reshape scrambles the colours": (ReshapeAlone, "one row of your list holds three reds"),
        "column by column": (ColumnByColumn, "column by column"),
        "one row for each channel": (ChannelRows, "one row for each channel"),
        "canvas on its side": (OnItsSide, "lying on its side"),
        "back by reshape alone": (BackByReshapeAlone, "cut the list into (H, W, 3) first"),
        "canvas of a picture": (CanvasOfAPicture, "takes the two sides"),
        "(y, x)": (YFirst, "the order is (x, y)"),
        "back with sides swapped": (BackSwapped, "each row of the picture has `width` pixels"),
    },
    "01.3": {
        "natural logarithm": (natural_logarithm, "the logarithm is the natural one"),
        "peak 255 for values up to 1": (wrong_peak, "48 dB too high"),
        "root of the MSE": (rooted, "there is a square root on the MSE"),
        "mean over the wrong axes": (mean_over_the_wrong_axes, "the mean of the three channels' PSNRs"),
        "not rounded to 8 bits": (not_rounded, "not rounded to 8 bits"),
        "reference not rounded": (reference_not_rounded, "only one of the two"),
        "reference not clamped": (reference_not_clamped, "the reference isn't clamped"),
        "truncated to 8 bits": (truncated, "truncated, not rounded"),
    },
    "01.4": {
        "bytes, not bits": (in_bytes, "bytes, not bits"),
        "three values a pixel": (three_values_a_pixel, "three times too small"),
        "header left out": (without_header, "the header is left out"),
        "first two of the shape": (first_two_of_the_shape, "height and width are the last two"),
        "upside down": (upside_down, "upside down"),
        "one side twice": (one_side_twice, "one side is taken twice"),
        "another header left out": (without_twenty_bytes, "bytes are missing"),
    },
}
