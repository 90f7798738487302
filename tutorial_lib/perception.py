"""What a decoder for the eye is trained with: losses that ask for texture without asking where each thread of it lies.

Lee et al., A Training Method for Image Compression Networks to Improve Perceptual Quality of Reconstructions (EIC-E2E-P):
freeze what makes the stream, train the reconstruction alone, with

    L = λ_rec·L_rec + λ_perc·L_perc + λ_adv·L_adv.

L_perc is there a distance of VGG-19's features; `wavelet_wasserstein` is one that needs no weights. L_adv is the relativistic
average loss (Jolicoeur-Martineau, arXiv 1807.00734): a network beside, the `Discriminator`, learns whether a picture is more
real than the others are on average, and sees the base reconstruction beside each.

Pictures are (3, h, w), or (batch, 3, h, w), with values in [0, 1]; predictions may leave that range.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.metrics import MS_SSIM_MIN_SIDE

SCALES = 2
"""Of the wavelet transform: details of 1 to 2 and of 2 to 4 pixels."""

STRIDES = (2, 2)
"""Of the smoothings (1, 2, 1)/4 that make local means: one for every 4×4 pixels, under a bell of σ = 1.6; see `DEFAULT_LOOK`."""

LEAST_SPREAD = 0.01
"""A plane is divided by its standard deviation over the target, or by this, where the target is flat."""

NETWORKS: dict[str, tuple[str, int, str]] = {
    "vgg19": ("vgg19-dcbb9e9d.pth", 35, "its conv5_4 before the ReLU, the paper's"),
    "squeezenet1_1": ("squeezenet1_1-b8a52dc0.pth", 12, "of the same stride, 16"),
}
"""Networks for `features`, best first: their files in torch.hub's folder ``checkpoints``, and how many of their layers."""


class PerceptionError(ValueError):
    """A loss that can't be had here; the message is one sentence for the reader."""


# ------------------------------------------------------------------------------------------ local mean and spread


def wavelet_wasserstein(prediction: Tensor, target: Tensor) -> Tensor:
    """How far local means and spreads of wavelet coefficients are apart: 0 for equal pictures, about 1 for unlike ones.

    Each plane of coefficients is described, around every place, by mean μ and standard deviation σ. Of two normal laws
    (μ − μ')² + (σ − σ')² is the squared Wasserstein distance; the loss is its mean over planes and places. Where the threads of
    a fabric lie costs nothing, that there are threads does. After Wasserstein distortion (Qiu et al., arXiv 2310.03629), which
    C3 was trained with (Ballé et al., arXiv 2412.00505); both take features of VGG, these need no weights.
    """
    return WaveletWasserstein(target)(prediction)


class WaveletWasserstein:
    """`wavelet_wasserstein` to one target, whose side is computed once."""

    def __init__(self, target: Tensor) -> None:
        with torch.no_grad():
            planes = wavelet_planes(target)
            self.scale = planes.std((0, 2, 3), correction=0, keepdim=True).clamp_min(LEAST_SPREAD)
            self.target = local_statistics(planes / self.scale)

    def __call__(self, prediction: Tensor) -> Tensor:
        mean, spread = local_statistics(wavelet_planes(prediction) / self.scale)
        return ((mean - self.target[0]).square() + (spread - self.target[1]).square()).mean()


def wavelet_planes(pictures: Tensor) -> Tensor:
    """Coefficients (batch, 17, h, w) by the à trous algorithm with the B3 spline, none of them decimated.

    On each of two scales: what the next blur takes from Y, Cb and Cr, and differences of Y across a place along four
    directions; at the end what is left of the three.
    """
    smooth = _ycbcr(pictures if pictures.ndim == 4 else pictures[None])
    planes = []
    for scale in range(SCALES):
        step = 1 << scale
        coarse = _blurred(_blurred(smooth, step, 2), step, 3)
        y = F.pad(smooth[:, :1], (step,) * 4, mode="replicate")
        h, w = smooth.shape[2:]

        def at(row: int, column: int, y: Tensor = y, step: int = step, h: int = h, w: int = w) -> Tensor:
            """Y moved by so many steps."""
            return y[:, :, (1 + row) * step : (1 + row) * step + h, (1 + column) * step : (1 + column) * step + w]

        planes += [smooth - coarse, *(at(r, c) - at(-r, -c) for r, c in ((0, 1), (1, 0), (1, 1), (1, -1)))]
        smooth = coarse
    return torch.cat([*planes, smooth], 1)


def _ycbcr(pictures: Tensor) -> Tensor:
    """Y, Cb, Cr of BT.601, centred chroma; (batch, 3, h, w)."""
    red, green, blue = pictures.unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([y, 0.564 * (blue - y), 0.713 * (red - y)], 1)


def _blurred(planes: Tensor, step: int, axis: int) -> Tensor:
    """(1, 4, 6, 4, 1)/16 along one axis with holes between the taps. By slices: a tenth of a convolution's time."""
    size, pad = planes.shape[axis], (0, 0, 2 * step, 2 * step) if axis == 2 else (2 * step, 2 * step, 0, 0)
    padded = F.pad(planes, pad, mode="replicate")
    far, near, middle, near_too, far_too = (padded.narrow(axis, tap * step, size) for tap in range(5))
    return 0.375 * middle + 0.25 * (near + near_too) + 0.0625 * (far + far_too)


def local_statistics(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of planes (batch, c, h, w) around every fourth place, (batch, c, ⌈h/4⌉, ⌈w/4⌉) each."""
    moments = torch.cat([planes, planes.square()], 1)
    for stride in STRIDES:
        for axis in (2, 3):
            padded = F.pad(moments, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0), mode="replicate")
            first, middle, last = (
                padded[(slice(None),) * axis + (slice(tap, tap + moments.shape[axis], stride),)] for tap in range(3)
            )
            moments = 0.5 * middle + 0.25 * (first + last)
    mean, square = moments.chunk(2, 1)
    return mean, (square - mean.square()).clamp_min(0).add(1e-6).sqrt()  # a root has no slope at 0


# ------------------------------------------------------------------------------------------ features of a network


class Features:
    """Mean squared difference of a network's features from one target's, over the mean square of those; see `NETWORKS`.

    The quotient is ours: features of different networks differ by orders of magnitude, and their weight shall not.

    Args:
        target: (3, h, w), 32 pixels a side or more.

    Raises:
        PerceptionError: no network's weights are in torch's cache, or the target is smaller. Nothing is downloaded.
    """

    def __init__(self, target: Tensor) -> None:
        if min(target.shape[-2:]) < 32:
            raise PerceptionError("a network's features need 32 pixels a side: it halves pictures four times")
        self.network = feature_network(str(target.device))
        with torch.no_grad():
            self.target = self._of(target)
            self.power = self.target.square().mean().clamp_min(1e-6)

    def __call__(self, prediction: Tensor) -> Tensor:
        return F.mse_loss(self._of(prediction), self.target) / self.power

    def _of(self, pictures: Tensor) -> Tensor:
        pictures = pictures if pictures.ndim == 4 else pictures[None]
        mean, spread = (pictures.new_tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        return self.network((pictures - mean) / spread)


def features_of() -> str | None:
    """The network that `Features` would take: the best whose weights are in torch's cache; None where there are none."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return next((name for name, (file, *_) in NETWORKS.items() if (folder / file).is_file()), None)


@functools.cache
def feature_network(device: str) -> nn.Module:
    """The layers of the network of `features_of`, which don't train; errors as `Features`."""
    name = features_of()
    if name is None:
        files = " or ".join(file for file, *_ in NETWORKS.values())
        raise PerceptionError(f"features need {files} in {torch.hub.get_dir()}/checkpoints; nothing is downloaded unasked")
    from tutorial_lib.torchvision_repair import import_torchvision

    file, layers, _ = NETWORKS[name]
    network = getattr(import_torchvision().models, name)(weights=None)
    network.load_state_dict(torch.load(Path(torch.hub.get_dir()) / "checkpoints" / file, weights_only=True))
    return network.features[:layers].to(device).eval().requires_grad_(False)


# ------------------------------------------------------------------------------------------ a judge that learns


def relativistic_average(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss from its values for real and fake pictures; with the two exchanged, the generator's.

    −E log σ(real − E fake) − E log(1 − σ(fake − E real)): a real picture shall look more real than fakes do on average, a fake
    one less than real ones do. 2·ln 2 where it can't tell them apart. Lee et al., Eq. 5 and 6.

    >>> float(relativistic_average(torch.zeros(4), torch.zeros(4)))
    1.3862943649291992
    """
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


class Discriminator(nn.Module):
    """How real a picture looks beside the base reconstruction of it: (batch, 6, h, w) to (batch, 1, ⌈h/8⌉, ⌈w/8⌉).

    As in the paper it is given pairs, picture and base, so that it judges what was added; each value sees 45×45 pixels.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = (6, width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 1, 3, 1, 1)

    def forward(self, pictures: Tensor, base: Tensor) -> Tensor:
        planes = torch.cat([pictures, base.expand_as(pictures)], -3) - 0.5
        planes = planes if planes.ndim == 4 else planes[None]
        for layer in self.layers:
            planes = F.leaky_relu(layer(planes), 0.2)
        return self.last(planes)


# ------------------------------------------------------------------------------------------ all of it


@dataclass(frozen=True)
class Look:
    """What a reconstruction is trained for.

    Args:
        reconstruction: L_rec.
        perception: L_perc; "none" for a control.
        reconstruction_weight, perceptual_weight, adversarial_weight: λ_rec, λ_perc, λ_adv.
        noise: give the synthesis planes of common randomness, to make texture of.
        price: dB of PSNR that the others may cost: λ_rec is then steered while it trains, from where it begins, so that
            all of it is spent and no more. None: it stays what it is, and a coarse file, whose squared error is large,
            gets next to no texture.
    """

    reconstruction: Literal["mse", "ms-ssim"] = "mse"
    perception: Literal["wavelets", "features", "none"] = "wavelets"
    reconstruction_weight: float = 40.0
    perceptual_weight: float = 0.1
    adversarial_weight: float = 0.005
    noise: bool = True
    price: float | None = None

    def distance(self, target: Tensor) -> Callable[..., Tensor]:
        """λ_rec·L_rec + λ_perc·L_perc to a target, all but the part of the discriminator: a function of a prediction.

        Its second argument, 1 by default, multiplies λ_rec.
        """
        near = ms_ssim_loss if self.reconstruction == "ms-ssim" else F.mse_loss
        judges = {"none": None, "wavelets": WaveletWasserstein, "features": Features}
        judge = judges[self.perception]
        alike = judge(target) if judge else None

        def distance(prediction: Tensor, factor: float = 1.0) -> Tensor:
            total = factor * self.reconstruction_weight * near(prediction, target)
            return total + self.perceptual_weight * alike(prediction) if alike else total

        return distance


PAPER_STRUCTURE = Look(perception="features", noise=False)
"""The paper's structure-oriented model: MSE, features, discriminator as 40 : 0.1 : 0.005."""

PAPER_TEXTURE = Look("ms-ssim", "features", 30.0, noise=False)
"""The paper's texture-oriented model: 1 − MS-SSIM in place of the MSE, 30 : 0.1 : 0.005."""

DEFAULT_LOOK = Look(perceptual_weight=0.5, adversarial_weight=0.0, price=0.45)
"""What `inr retouch` trains for: wavelets and noise, for 0.45 dB.

Chosen on photographs that nothing evaluates (`china` of scikit-learn's wheel, `picosdeeuropa` of Debian's lomiri-wallpapers;
384×256, `coolchic-small` at 0.41 and 0.23 bpp, 700 steps), one seed, 80 to 100 steps, not rounded; mean LPIPS against the base's
and NIQE's distance from the original's as a multiple of the base's, all at the same price. Rows with ¹ are of the second alone,
at 0.40 dB.

    what                                                              LPIPS     NIQE
    three scales, σ = 8.6 pixels                                      −21 %     0.86
    two scales, σ = 4.3                                               −24 %     0.66
    two scales, σ = 3.2                                               −24 %     0.61
    two scales, σ = 1.6: the default                                  −29 %     0.47
    one scale, σ = 1.6                                                −26 %     0.59
    the default with twice the rate of learning                       −29 %     0.67
    untrained grain                                                   +13 %     0.82
    ¹ three scales, σ = 8.6 pixels                                    −25 %     0.67
    ¹ the same, four scales; two scales                               −25, −25 %  0.66, 0.60
    ¹ the same, eight more hidden features                            −26 %     0.66
    ¹ the same with the judge, λ_adv = 0.005, twice the time          −15 %     0.61
    ¹ weights fixed at 40 : 0.5 : 0, −0.16 dB, 60 steps               −15 %     0.62

With σ = 0.7 `china` fell back to −18 % and 1.95. In 120 steps, with two more (`friends`, `life`; 0.30 bpp), the mean of four is
−26 % and 0.74; with the judge, λ_adv = 0.005, −20 % and 0.80, in twice the time.
"""


def ms_ssim_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − MS-SSIM; a side shorter than its five scales need is filled up by repeating the border."""
    import pytorch_msssim

    pair = [each if each.ndim == 4 else each[None] for each in (prediction, target)]
    bottom, right = (max(MS_SSIM_MIN_SIDE - side, 0) for side in target.shape[-2:])
    filled = [F.pad(each, (0, right, 0, bottom), mode="replicate") for each in pair]
    return 1 - pytorch_msssim.ms_ssim(*filled, data_range=1.0)
