"""Two looks of one stream: a second synthesis, for the eye, behind a file that stays what it is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import images
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.latents.frozen import FrozenLatents
from tutorial_lib.latents.packing import gather, groups_of, symbols_bits, to_group_symbols
from tutorial_lib.latents.rounding import quantize_networks
from tutorial_lib.latents.texture import Texture, pack_texture
from tutorial_lib.metrics import psnr
from tutorial_lib.perception import DEFAULT_LOOK, Look
from tutorial_lib.runtime import choose_budget, choose_device, insist
from tutorial_lib.training.looks import ITERATIONS, LookReport, train_look
from tutorial_lib.training.tradeoff import EXPECTED_ERROR


@dataclass(frozen=True)
class Retouched:
    """A file with two looks, and how the training went."""

    data: bytes
    report: LookReport


RECOGNIZABLE = 14.0
"""dB of PSNR: between two Kodak pictures there are 7.6 to 13.1 (21 pairs)."""


def retouch(
    data: bytes,
    picture: Tensor,
    look: Look = DEFAULT_LOOK,
    *,
    iterations: int | None = None,
    budget: str | None = None,
    seed: int = 0,
    thorough: bool = True,
    device: str | None = None,
    progress: bool = True,
    callback: Callable[[int, Tensor], None] | None = None,
    own: bool = False,
) -> Retouched:
    """Give a file of latent grids a second look for texture; its own bytes stay as they are, and stand first.

    Args:
        data: the file; a second look that it has is replaced.
        picture: the original, (3, H, W) in [0, 1].
        look: what to train for.
        iterations: steps; default by ``budget``.
        seed: of the noise, 0 to 2³⁵ − 1, and of the training.
        thorough: round by curvature; it takes longer than the training and saves some bytes.
        device, progress, callback: of the training, as `training.looks.train_look`.
        own: the file was made from this picture; otherwise one that it doesn't show is refused.

    Raises:
        BitstreamError: damaged bytes.
        CodecError: less than one step, a file of another family, or an original of another size or that the file doesn't show.
        PerceptionError: the look asks for a network whose weights are not there.
    """
    from tutorial_lib.codecs import codec_of

    data, place = bitstream.without_second_look(data), choose_device(device)
    codec = codec_of(data)
    base = codec.open(data)
    if not codec.can_be_retouched:
        raise CodecError(f"{codec.name} has no synthesis to train a second time; latent grids have, amortised has both looks")
    if iterations is not None and iterations < 1:
        raise CodecError(f"a look takes one step or more, not {iterations}")
    container = bitstream.read(data)
    if picture.shape != (3, container.height, container.width):
        sizes = f"{picture.shape[2]}×{picture.shape[1]} pixels, the file {container.width}×{container.height}"
        raise CodecError(f"the original has {sizes}")
    if picture.shape[1:] != (base.height, base.width):  # it was fitted at a part of its size
        picture = images.reduce(picture, size=(base.height, base.width))
    base, picture = base.to(place).requires_grad_(False), picture.to(place)
    texture, painted = Texture(base, seed), base.render()
    if not own and (likeness := psnr(painted, picture)) < RECOGNIZABLE:
        raise CodecError(f"the file shows another picture than this original: {likeness:.1f} dB of PSNR between them")
    steps = iterations or ITERATIONS[choose_budget(budget, place)]
    how = {"iterations": steps, "seed": seed, "progress": progress, "callback": callback}
    report = train_look(texture, painted, picture, look, **how)
    look = report.look  # with λ_rec where steering left it
    # what a bit of the file's own latents was worth, about, in units of this look's loss
    lmbda = look.reconstruction_weight * float(F.mse_loss(painted, picture)) / EXPECTED_ERROR
    body = insist(lambda: _smallest(texture, picture, look, max(lmbda, 1e-6), thorough and not report.interrupted))
    return Retouched(bitstream.with_second_look(data, body), report)


def _smallest(texture: Texture, picture: Tensor, look: Look, lmbda: float, by_curvature: bool) -> bytes:
    """The synthesis rounded so that D + λR is least, and packed: as differences from the first one, or as it is."""
    own = look.distance(picture)

    def distance(prediction: Tensor, target: Tensor) -> Tensor:
        return (own if target.shape == picture.shape else look.distance(target))(prediction)

    plain = copy.deepcopy(texture)
    plain.origins = {}
    texture = min(texture, plain, key=_bits)
    exponents = quantize_networks(FrozenLatents(texture, picture, lmbda, distance), by_curvature=by_curvature)
    return pack_texture(texture, exponents)


def _bits(texture: Texture) -> float:
    """What the weights take in steps of 2⁻⁶, about those that they get."""
    return sum(symbols_bits(to_group_symbols(gather(texture, group), 6, group)) for group in groups_of(texture))
