"""A picture as the latents of shared networks: analysed, rounded where it pays, rendered band by band."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.amortised import weights
from tutorial_lib.amortised.transforms import BLOCK, CHANNELS, Synthesis, octaves, step_of
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.shape import MAX_LATENT
from tutorial_lib.latents.texture import noise

LAMBDA_PER_STEP = 0.13
"""λ, for errors in squared grey levels, in Δ²: between 0.115, that of fine uniform steps, and 0.134, H.264's."""

FINEST = 32
"""Index of the finest step, 2 grey levels, for which every latent is below `MAX_LATENT`."""

NOISE_SEED = 9
"""Of the noise that the synthesis for texture sees."""

BAND_PIXELS = 1 << 18
"""Pixels that are worked on at once."""


@dataclass(frozen=True)
class AmortisedConfig:
    """What a file says before its latents.

    Args:
        step: the index of Δ, `FINEST` … 255.
        networks: the number of the trained networks.
    """

    step: int
    networks: int = weights.LATEST

    @property
    def weights(self) -> int:
        """Weights in the file: none."""
        return 0

    def __str__(self) -> str:
        return f"steps of {step_of(self.step):.3g} grey levels, networks {self.networks}"


def energies(networks: weights.Networks) -> Tensor:
    """What a step of each channel adds to the picture's squared error, in Δ², (channels, 1, 1); untrained 1."""
    return networks.synthesis.windows.square().sum((0, 2, 3)).view(-1, 1, 1)


@torch.no_grad()
def frugal_levels(networks: weights.Networks, scaled: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    """Latents in steps to whole numbers, the nearest ones or, where that pays, one nearer to their law's location; and bits.

    Args:
        scaled: (n, channels, rows, columns).
        told: how the networks are told the steps, (n,).
    """
    nearest = scaled.round()
    location, log2_scale = networks.contexts.laws(nearest, told)
    bits = laplace_bits(nearest, location, log2_scale)
    nearer = nearest - (nearest - location).round().sign()
    fewer = laplace_bits(nearer, location, log2_scale)
    dearer = ((scaled - nearer).square() - (scaled - nearest).square()) * energies(networks)
    pays = dearer < LAMBDA_PER_STEP * (bits - fewer)
    return torch.where(pays, nearer, nearest), torch.where(pays, fewer, bits)


class AmortisedPicture(nn.Module):
    """A picture of a given size as ``latents`` in steps, (channels, ⌈height/8⌉, ⌈width/8⌉), and the trained ``networks``."""

    def __init__(self, config: AmortisedConfig, height: int, width: int) -> None:
        super().__init__()
        self.config, self.height, self.width = config, height, width
        self.networks = weights.load(config.networks)
        self.latents = nn.Parameter(torch.zeros(CHANNELS, -(-height // BLOCK), -(-width // BLOCK)))

    @property
    def told(self) -> float:
        """How the networks are told the step."""
        return octaves(self.config.step)

    def bands(self, halo: int) -> Iterator[tuple[int, int, int, int]]:
        """Rows of blocks (top, bottom) band by band, and (first, last) with a halo."""
        rows, columns = self.latents.shape[1:]
        band = max(BAND_PIXELS // (BLOCK * BLOCK * columns), 1)
        for top in range(0, rows, band):
            bottom = min(top + band, rows)
            yield top, bottom, max(top - halo, 0), min(bottom + halo, rows)

    @torch.no_grad()
    def analyse(self, picture: Tensor) -> Tensor:
        """The picture's coefficients in grey levels, not rounded, of the latents' shape."""
        rows, columns = self.latents.shape[1:]
        beyond = (0, columns * BLOCK - self.width, 0, rows * BLOCK - self.height)
        padded = F.pad(picture[None], beyond, mode="replicate")
        found = torch.empty_like(self.latents)
        for top, bottom, first, last in self.bands(1):
            part = self.networks.analysis(padded[:, :, first * BLOCK : last * BLOCK])[0]
            found[:, top:bottom] = part[:, top - first : bottom - first]
        return found

    def laws(self, levels: Tensor, sizes: Tensor | None = None) -> Tensor:
        """`ContextNetworks.laws` of this picture's whole numbers, (2, channels, rows, columns)."""
        told = torch.tensor([self.told], device=levels.device)
        return self.networks.contexts.laws(levels[None], told, None if sizes is None else sizes[None])[:, 0]

    def bits(self, levels: Tensor) -> Tensor:
        """Estimated bits of whole numbers, of their shape."""
        return laplace_bits(levels, *self.laws(levels))

    @torch.no_grad()
    def levels(self, coefficients: Tensor) -> tuple[Tensor, float]:
        """Coefficients in grey levels to whole numbers by `frugal_levels`; and about their bits."""
        scaled = (coefficients / step_of(self.config.step)).clamp_(-MAX_LATENT, MAX_LATENT)
        found, bits = frugal_levels(self.networks, scaled[None], torch.tensor([self.told], device=scaled.device))
        return found[0], float(bits.sum())

    def symbols(self) -> Tensor:
        """The latents rounded."""
        return self.latents.detach().round()

    def _noise(self, first: int, last: int) -> Tensor | None:
        """The same on every machine, for rows of blocks, if the synthesis wants it."""
        if not self.networks.synthesis.noise:
            return None
        rows, columns = self.latents.shape[1:]
        return noise(NOISE_SEED, rows * BLOCK, columns * BLOCK, first * BLOCK, last * BLOCK)[None].to(self.latents.device)

    def use(self, synthesis: Synthesis) -> AmortisedPicture:
        """Itself, with another synthesis."""
        self.networks.synthesis = synthesis
        return self

    @torch.no_grad()
    def render(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The picture (3, height, width) in [0, 1], float32; its own size by default, others by bicubic resampling."""
        symbols, step = self.symbols()[None], torch.tensor([step_of(self.config.step)], device=self.latents.device)
        picture = torch.empty(3, self.height, self.width, device=self.latents.device)
        for top, bottom, first, last in self.bands(Synthesis.HALO):
            band = self.networks.synthesis(symbols[:, :, first:last], step, self._noise(first, last))[0]
            pixels = band[:, (top - first) * BLOCK : (bottom - first) * BLOCK, : self.width]
            place = picture[:, top * BLOCK : bottom * BLOCK]
            place.copy_(pixels[:, : place.shape[1]].clamp(0, 1))
        height, width = self.height if height is None else height, self.width if width is None else width
        if (height, width) == (self.height, self.width):
            return picture
        return F.interpolate(picture[None], (height, width), mode="bicubic", antialias=True)[0].clamp_(0, 1)
