"""Where a fit of latent grids starts: a pyramid that is near the picture, and networks that know what other pictures are like.

The networks of ``starts`` were fitted to a mosaic of photographs (``tests/benchmarks/latent_starts.py``); a file doesn't depend
on them. They spare a fit what all pictures have in common: what neighbours say of a latent, and which grids colours are kept in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.latents.grids import LatentGrids, scale_latents
from tutorial_lib.latents.layers import Affine
from tutorial_lib.latents.packing import decode_networks
from tutorial_lib.latents.shape import GAIN, LARGE, SMALL, V1, V2

FOLDER = Path(__file__).resolve().parent / "starts"

NAMES = {SMALL: "small", LARGE: "large", V1: "v1", V2: "v2"}
"""Of the files, each the section "networks" of one fit."""

STEP = 0.03
"""The first step, in colour, of the fits that the shipped networks are from."""

PUSH = 2.0
"""How far a latent is moved to see what it does to the picture."""

LEAST_GAIN = 0.3
"""Of a grid in the pyramid, in first steps: others would need huge latents."""


@torch.no_grad()
def start_from_pyramid(representation: LatentGrids, picture: Tensor, step: float, threshold: float = 0.0) -> None:
    """Start a fit from nothing but the picture: the latents are a Laplacian pyramid of its grey values.

    Every grid holds what the coarser ones leave of the mean of red, green and blue, a step being worth ``step``, and the
    synthesis starts by adding all grids to the picture's mean colour; colour and everything better are left to the fit.

    Args:
        representation: new, as constructed.
        picture: (3, H, W) in [0, 1].
        step: in [0, 1] colour values.
        threshold: in steps; values come so much nearer to 0, and smaller ones are 0: what a picture's noise would cost in bits.
            What a grid loses, the next finer one sees.
    """
    means, config, count = picture.mean((1, 2)), representation.config, len(representation.sizes)
    _take_pyramid(representation, picture.mean(0) - means.mean(), [step] * count, threshold)
    first, *others = matrices = [layer.get_parameter("matrix") for layer in representation.synthesis.layers]
    if config.synthesis_skip:
        matrix = matrices[config.skip_to]
        matrix[:, -1 - count : -1], matrix[:, -1] = step, means
        return
    first[:3, :-1], first[:3, -1] = step, means
    for shape, matrix in zip(config.synthesis[1:], others, strict=True):
        if shape.kernel == 1 and not shape.residual:  # residual layers start as the identity
            matrix[:3, :3] = torch.eye(3, device=picture.device)


@torch.no_grad()
def start_from_networks(representation: LatentGrids, picture: Tensor, step: float, threshold: float = 0.0) -> None:
    """Start a fit from networks fitted to other pictures, if this shape has some, and the pyramid that suits them.

    Otherwise it is `start_from_pyramid`, whose arguments it has. ``step`` is what a latent would be worth with that.
    """
    config = representation.config
    path = FOLDER / f"{NAMES.get(config)}.networks"
    if not path.is_file():
        start_from_pyramid(representation, picture, step, threshold)
        return
    decode_networks(representation, path.read_bytes())
    scale_latents(representation, STEP / step)
    means, nothing = picture.mean((1, 2)), torch.zeros(config.grids, 1, 1, device=picture.device)
    last = representation.synthesis.layers[config.skip_to]
    assert isinstance(last, Affine)
    last.matrix[:, -1] += means - representation.synthesis(nothing).flatten()
    gains = []
    for level in range(config.grids):
        pushed = nothing.clone()
        pushed[level] = PUSH
        gain = float(representation.synthesis(pushed).mean() - representation.synthesis(-pushed).mean()) / (2 * PUSH)
        gains.append(max(abs(gain), LEAST_GAIN * step) * (1 if gain >= 0 else -1))
    _take_pyramid(representation, picture.mean(0) - means.mean(), gains, threshold)


def _take_pyramid(representation: LatentGrids, grey: Tensor, gains: Sequence[float], threshold: float) -> None:
    """Make the latents a Laplacian pyramid of ``grey`` (H, W), each grid's integers being worth its gain there."""
    grids = [torch.zeros(size, device=grey.device) for size in representation.sizes]
    worth = torch.tensor(gains, device=grey.device)
    for level in range(len(grids) - 1, -1, -1):
        rest = grey
        if level < len(grids) - 1:
            rest = grey - torch.tensordot(worth, representation.features(grids), 1)
        values = F.adaptive_avg_pool2d(rest[None], representation.sizes[level])[0] / gains[level]
        grids[level] = values.sign() * (values.abs() - threshold).clamp_min_(0)
    representation.latents.copy_(torch.cat([grid.flatten() for grid in grids]).div_(GAIN))
