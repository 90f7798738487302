"""Right answers to the exercises of notebook 01 in other styles than ours: they must pass."""

from __future__ import annotations

import math

import numpy as np
import torch

from tutorial_lib import images

# ------------------------------------------------------------------------------------------------ 01.1


def canvas_by_loops(height, width):
    result = torch.zeros(height, width, 2)
    for py in range(height):
        for px in range(width):
            result[py, px, 0] = 2 * px / (width - 1) - 1 if width > 1 else 0
            result[py, px, 1] = 2 * py / (height - 1) - 1 if height > 1 else 0
    return result


def canvas_by_numpy(height, width):
    x, y = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (width, height))
    return torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32))


def canvas_by_where(height, width):
    sides = torch.tensor([width, height])
    steps = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1)
    return torch.where(sides > 1, 2 * steps / (sides - 1).clamp(min=1) - 1, torch.zeros(()))


def canvas_expanded(height, width):
    x = torch.linspace(-1, 1, width) if width > 1 else torch.tensor([0.0])
    y = torch.linspace(-1, 1, height) if height > 1 else torch.tensor([0.0])
    return torch.stack([x[None, :].expand(height, width), y[:, None].expand(height, width)], -1)


# ------------------------------------------------------------------------------------------------ 01.2


class PairsByLoops:
    @staticmethod
    def from_picture(picture):
        _, height, width = picture.shape
        colours = [picture[:, py, px] for py in range(height) for px in range(width)]
        return images.canvas(height, width).flatten(0, 1), torch.stack(colours)

    @staticmethod
    def to_picture(colours, height, width):
        picture = torch.empty(3, height, width)
        for index, colour in enumerate(colours):
            picture[:, index // width, index % width] = colour
        return picture


class PairsByNumpy:
    def from_picture(picture):  # noqa: N805
        height, width = picture.shape[1:]
        colours = picture.numpy().transpose(1, 2, 0).reshape(height * width, 3)
        return images.canvas(height, width).view(-1, 2), torch.from_numpy(np.ascontiguousarray(colours))

    def to_picture(colours, height, width):  # noqa: N805
        return torch.from_numpy(colours.numpy().T.reshape(3, height, width).copy())


class PairsByChannel:
    @classmethod
    def from_picture(cls, picture):
        return images.canvas(*picture.shape[-2:]).reshape(-1, 2), picture.flatten(1).T.contiguous()

    @classmethod
    def to_picture(cls, colours, height, width):
        return torch.stack([channel.unflatten(0, (height, width)) for channel in colours.unbind(-1)])


# ------------------------------------------------------------------------------------------------ 01.3


def psnr_by_numpy(picture, reference):
    a, b = (np.round(np.clip(each.numpy().astype(np.float64), 0, 1) * 255) for each in (picture, reference))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255**2 / np.mean((a - b) ** 2))


def psnr_by_loops(picture, reference):
    total, count = 0.0, 0
    for one, other in zip(picture.flatten().tolist(), reference.flatten().tolist(), strict=True):
        a, b = (round(255 * min(max(each, 0.0), 1.0)) for each in (one, other))
        total, count = total + (a - b) ** 2, count + 1
    return 10 * math.log10(255**2 * count / total) if total else math.inf


def psnr_of_the_root(picture, reference):
    a, b = ((each.clamp(0, 1) * 255).round().double() for each in (picture, reference))
    return float(20 * torch.log10(255 / torch.nn.functional.mse_loss(a, b).sqrt()))


def psnr_in_integers(picture, reference):
    a, b = ((each.clamp(0, 1) * 255).round().to(torch.uint8).int() for each in (picture, reference))
    mse = ((a - b) ** 2).float().mean().item() / 255**2
    return math.inf if mse == 0 else -10 * math.log10(mse)


# ------------------------------------------------------------------------------------------------ 01.4


def bits_one_by_one(data, picture):
    bits = 0
    for _ in data:
        bits += 8
    return bits / sum(1 for row in picture[0] for _ in row)


def bits_by_numpy(data, picture):
    return np.unpackbits(np.frombuffer(data, np.uint8)).size / np.prod(picture.shape[1:])


def bits_of_all_values(data, picture):
    return 8 * len(data) / (picture.numel() / picture.shape[0])


RIGHT = {
    "01.1": {
        "loops": canvas_by_loops,
        "NumPy": canvas_by_numpy,
        "torch.where": canvas_by_where,
        "expanded": canvas_expanded,
    },
    "01.2": {"loops": PairsByLoops, "NumPy, without a decorator": PairsByNumpy, "channel by channel": PairsByChannel},
    "01.3": {
        "NumPy": psnr_by_numpy,
        "loops": psnr_by_loops,
        "20 log of the root": psnr_of_the_root,
        "integers": psnr_in_integers,
    },
    "01.4": {"one by one": bits_one_by_one, "NumPy": bits_by_numpy, "of all values": bits_of_all_values},
}
