"""Checks of what notebook 02 does with a network: a picture of any size, and a count of its bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.course.comparing import Random, Wrong
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.lessons.n02_siren.answers import Siren, rate_of_weights, render

# ---------------------------------------------------------------------------------------------- 02.5


class _Scene(nn.Module):
    """A picture as a function with a known formula, brighter than white and darker than black in places."""

    def __init__(self, tilt: Tensor) -> None:
        super().__init__()
        self.tilt = nn.Parameter(tilt)  # (2, 3)

    def forward(self, coordinates: Tensor) -> Tensor:
        x, y = coordinates.unbind(-1)
        return 0.5 + torch.stack([0.7 * torch.sin(2 * x), 0.5 * y, 0.3 * x * y], dim=-1) + coordinates @ self.tilt


def _own_size(random: Random) -> tuple[Any, ...]:
    height, width = random.size(4, 9)
    return _Scene(random.tensor(2, 3, low=-0.3, high=0.3)), height, width, (height, width)


def _other_size(random: Random) -> tuple[Any, ...]:
    height, width = random.size(5, 12)
    rows, columns = random.size(4, 9)
    return _Scene(random.tensor(2, 3, low=-0.3, high=0.3)), height, width, (rows, columns + 4)


def _rendered(render: Any, network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
    picture = render(network, height, width, source)
    if isinstance(picture, Tensor) and picture.requires_grad:
        raise Wrong("the picture carries a graph of gradients, which costs memory: `@torch.no_grad()` above the function.")
    return picture


def _paint(network: nn.Module, x: Tensor, y: Tensor, clamp: bool = True) -> Tensor:
    """Colours at all pairs of a column's x and a row's y, as a picture."""
    device = next(network.parameters()).device
    y, x = torch.meshgrid(y.to(device), x.to(device), indexing="ij")
    with torch.no_grad():
        picture = network(torch.stack([x, y], dim=-1)).movedim(-1, 0)
    return picture.clamp(0, 1) if clamp else picture


def centres(length: int, source: int) -> Tensor:
    """Canvas coordinates of the pixel centres of a side rendered at another length."""
    return 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / (source - 1) - 1


class _AskedYX(nn.Module):
    """A network that is asked for (y, x)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, coordinates: Tensor) -> Tensor:
        return self.network(coordinates.flip(-1))


def _render_like(axis=centres, clamp: bool = True, swapped: bool = False, yx: bool = False):
    """Renderers that differ from the right one in one thing."""

    def wrong(network: nn.Module, height: int, width: int, source: tuple[int, int]) -> Tensor:
        x, y = axis(width, source[1]), axis(height, source[0])
        if swapped:
            x, y = axis(width, source[0]), axis(height, source[1])
        if yx:
            return _paint(_AskedYX(network), x, y, clamp)
        return _paint(network, x, y, clamp)

    return wrong


_SOURCE_SWAPPED = Mistake(
    "the source's height and width are swapped: it is (H₀, W₀), and x goes with the width.",
    like=_render_like(swapped=True),
)

RENDER = Exercise(
    id="02.5",
    title="Rendering at any size",
    minutes=5,
    core=False,
    reference=render,
    checks=(
        Check(
            "right at the picture's own size",
            inputs=_own_size,
            call=_rendered,
            draw="picture",
            mistakes=(
                Mistake(
                    'H and W are swapped: the picture lies on its side. `torch.meshgrid(y, x, indexing="ij")` has rows first.',
                    when=lambda yours, target, network, height, width, source: yours.shape == (3, width, height),
                ),
                Mistake(
                    "the colours come last: a picture is (3, height, width), so move them to the front with `movedim(-1, 0)`.",
                    when=lambda yours, target, network, height, width, source: yours.shape == (height, width, 3),
                ),
                Mistake(
                    "colours leave [0, 1]: `clamp(0, 1)`, since nothing is blacker than black.",
                    like=_render_like(clamp=False),
                ),
                Mistake(
                    "the network is asked for (y, x): the order of coordinates is (x, y).",
                    like=_render_like(yx=True),
                ),
                _SOURCE_SWAPPED,
                Mistake(
                    "the network is asked within [0, 1]: the canvas goes from −1 to 1.",
                    like=_render_like(lambda length, source: (centres(length, source) + 1) / 2),
                ),
                Mistake(
                    "−1 and 1 are the centres of the outermost pixels, not the rims of the picture.",
                    like=_render_like(lambda length, source: 2 * (torch.arange(length) + 0.5) / length - 1),
                ),
                Mistake(
                    "scrambled: `reshape` moves no number. `movedim(-1, 0)` brings the colours to the front.",
                    like=lambda network, height, width, source: (
                        render(network, height, width, source).movedim(0, -1).reshape(3, height, width)
                    ),
                ),
            ),
        ),
        Check(
            "pixel centres stay in place at every other size",
            inputs=_other_size,
            call=_rendered,
            draw="picture",
            mistakes=(
                Mistake(
                    "corners instead of centres: from −1 to 1 at every size shifts the picture by up to half a pixel. At "
                    "twice the size, the first two centres lie a quarter of a pixel left and right of the old one.",
                    like=_render_like(lambda length, source: torch.linspace(-1, 1, length)),
                ),
                Mistake(
                    "the half pixels are missing: pixel px has its centre at px + ½.",
                    like=_render_like(lambda length, source: 2 * torch.arange(length) * source / length / (source - 1) - 1),
                ),
                Mistake(
                    "one half pixel is missing: add ½ before scaling, and take ½ off again afterwards.",
                    like=_render_like(
                        lambda length, source: 2 * (torch.arange(length) + 0.5) * source / length / (source - 1) - 1
                    ),
                ),
                Mistake(
                    "the last division is by the source's size: −1 and 1 are the centres of its first and last pixel, and "
                    "they lie (size − 1) pixels apart.",
                    like=_render_like(
                        lambda length, source: 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / source - 1
                    ),
                ),
                _SOURCE_SWAPPED,
                Mistake(
                    "the scale is upside down: a new pixel is W₀ / W old ones wide.",
                    like=_render_like(
                        lambda length, source: 2 * ((torch.arange(length) + 0.5) * length / source - 0.5) / (source - 1) - 1
                    ),
                ),
                Mistake(
                    "the last division is by the new size: u is a place among the old pixels, so it is by W₀ − 1.",
                    like=_render_like(
                        lambda length, source: 2 * ((torch.arange(length) + 0.5) * source / length - 0.5) / (length - 1) - 1
                    ),
                ),
            ),
        ),
    ),
    hints=(
        "Do one side first: the positions `px` of the new columns, as positions `u` between the old columns, and then as x.",
        "`u = (px + 0.5) * source[1] / width - 0.5`, then `x = 2 * u / (source[1] - 1) - 1`. The same for y with the heights.",
        '`y, x = torch.meshgrid(y, x, indexing="ij")` makes two grids, `torch.stack([x, y], dim=-1)` one '
        "of (height, width, 2). "
        "Give it to the network, move the colours to the front, clamp.",
    ),
)

# ---------------------------------------------------------------------------------------------- 02.6


def _network_and_size(random: Random) -> tuple[Any, ...]:
    network = Siren(random.randint(5, 30), random.randint(2, 5), random.randint(0, 6))
    torch.nn.init.zeros_(network.layers[-1].bias)  # a weight that is 0 counts as well
    return network, *random.size(20, 90), random.choice([10, 12, 20])


RATE = Exercise(
    id="02.6",
    title="Count the bits",
    minutes=2,
    core=True,
    reference=rate_of_weights,
    checks=(
        Check(
            "right for random networks and sizes",
            inputs=_network_and_size,
            mistakes=(
                Mistake(
                    "the biases are not counted: the decoder needs them too.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters() if p.ndim > 1) / (h * w),
                ),
                Mistake(
                    "bytes instead of bits: a rate is in bits per pixel.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()) / (8 * h * w),
                ),
                Mistake(
                    "bits are counted eight times: `bits_per_weight` is in bits already.",
                    like=lambda net, h, w, bits: 8 * bits * sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "that is weights per pixel: each has `bits_per_weight` bits.",
                    like=lambda net, h, w, bits: sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "the fraction is lost: `//`, `int` and `round` take it away, `/` keeps it.",
                    like=(
                        lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()) // (h * w),
                        lambda net, h, w, bits: round(bits * sum(p.numel() for p in net.parameters()) / (h * w)),
                        lambda net, h, w, bits: round(bits * sum(p.numel() for p in net.parameters()) / (h * w), 2),
                    ),
                ),
                Mistake(
                    "32 bits a weight: that is how PyTorch computes (float32). Count the `bits_per_weight` that are stored.",
                    like=lambda net, h, w, bits: 32 * sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "16 bits a weight, whatever was asked for: use `bits_per_weight`.",
                    like=lambda net, h, w, bits: 16 * sum(p.numel() for p in net.parameters()) / (h * w),
                ),
                Mistake(
                    "divided by the three colours as well: a rate is for each pixel, with all its colours.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()) / (3 * h * w),
                ),
                Mistake(
                    "tensors are counted instead of weights: `p.numel()` says how many numbers a tensor holds.",
                    like=lambda net, h, w, bits: bits * len(list(net.parameters())) / (h * w),
                ),
                Mistake(
                    "that is the size of the whole file in bits: divide by the number of pixels.",
                    like=lambda net, h, w, bits: bits * sum(p.numel() for p in net.parameters()),
                ),
            ),
        ),
    ),
    hints=(
        "How many numbers must the decoder know? All of them, weights and biases: `network.parameters()` goes through them.",
        "`p.numel()` is how many numbers a tensor holds. Sum that over all parameters.",
        "Bits in all are `bits_per_weight` times that sum; pixels are `height * width`.",
    ),
)
