"""The named codecs: a picture in, bytes out, and back.

    >>> from tutorial_lib import codecs, images
    >>> picture = images.reduce(images.sample("coffee"), factor=4)
    >>> data = codecs.get("siren").encode(picture, bpp=1.0, budget="quick", progress=False)
    >>> 8 * len(data) / (100 * 150) <= 1.0
    True
    >>> codecs.decode(data, size=(200, 300)).shape
    torch.Size([3, 200, 300])

Learned and classical codecs have the same two methods. The learned ones offer two ways of encoding: "fast", ours, and
"published", the recipe of the paper, kept for comparison; struempler also "meta", from a meta-learned initialization. What
they share is `codecs.base.Codec`; `register` adds one. Codecs of films and sounds stand in `SIGNALS` (`codecs.signals`).
"""

from __future__ import annotations

from torch import Tensor

from tutorial_lib.codecs.amortised import AMORTISED
from tutorial_lib.codecs.base import Codec
from tutorial_lib.codecs.classical import CODECS as CLASSICAL
from tutorial_lib.codecs.classical import ClassicalCodec
from tutorial_lib.codecs.coolchic import COOLCHIC_LARGE, COOLCHIC_SMALL, COOLCHIC_V1, COOLCHIC_V2
from tutorial_lib.codecs.networks import MAX_FREQUENCIES, MAX_LAYERS, MAX_WEIGHTS, Method
from tutorial_lib.codecs.nif import NIF
from tutorial_lib.codecs.plans import BUDGETS, Budget, CodecError, Encoding, Plan
from tutorial_lib.codecs.rivals import RIVALS, Rival
from tutorial_lib.codecs.signals import NERV, SIGNALS, SIREN_AUDIO, SIREN_VIDEO, SignalCodec, decode_signal, signal_codec_of
from tutorial_lib.codecs.sirens import COIN, SIREN, STRUEMPLER
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import LOOKS, MAX_OPERATIONS, BitstreamError

__all__ = [
    "AMORTISED", "BUDGETS", "CLASSICAL", "COIN", "COOLCHIC_LARGE", "COOLCHIC_SMALL", "COOLCHIC_V1", "COOLCHIC_V2", "LEARNED",
    "LOOKS", "MAX_FREQUENCIES", "MAX_LAYERS", "MAX_OPERATIONS", "MAX_WEIGHTS", "NERV", "NIF", "RIVALS", "SIGNALS", "SIREN",
    "SIREN_AUDIO", "SIREN_VIDEO", "STRUEMPLER", "Budget", "ClassicalCodec", "Codec", "CodecError", "Encoding", "Method",
    "Plan", "Rival", "SignalCodec", "codec_of", "decode", "decode_signal", "get", "names", "register", "signal_codec_of",
    "suitable",
]  # fmt: skip

LEARNED: dict[str, Codec] = {}
"""By name."""

LARGE_FROM = 150_000
"""Pixels from which `suitable` prefers `COOLCHIC_LARGE`."""

FEW_BYTES = 700
"""Of a file, below which `suitable` takes networks on coordinates: those of latent grids take 440 bytes."""


def register(codec: Codec) -> None:
    """Add a codec: `get`, `decode`, ``inr`` and sweeps then know it.

    Raises:
        CodecError: its name or number is another codec's, or the number doesn't fit a file's byte.
    """
    if not 0 <= codec.number <= 255:
        raise CodecError(f"a codec's number is one byte of its files, 0 to 255, not {codec.number}")
    others = [other for other in (*LEARNED.values(), *SIGNALS.values()) if other != codec]
    if codec.name in CLASSICAL or any(codec.name == other.name or codec.number == other.number for other in others):
        raise CodecError(f"there is a codec {codec.name!r}, or one of number {codec.number}, already")
    LEARNED[codec.name] = codec


for _codec in (COIN, SIREN, STRUEMPLER, NIF, COOLCHIC_LARGE, COOLCHIC_SMALL, COOLCHIC_V1, COOLCHIC_V2, AMORTISED):
    register(_codec)


def names() -> tuple[str, ...]:
    """All codecs, learned ones first."""
    return (*LEARNED, *CLASSICAL)


def get(name: str) -> Codec | ClassicalCodec:
    """The codec of that name.

    Raises:
        CodecError: there is none; the message lists those there are.
    """
    if name in LEARNED:
        return LEARNED[name]
    if name in CLASSICAL:
        return CLASSICAL[name]
    if name in SIGNALS:
        raise CodecError(f"{name} encodes a {SIGNALS[name].kind}, not a picture")
    raise CodecError(f"no codec {name!r}; there are {', '.join(names())}")


def suitable(picture: Tensor, bpp: float | None = None) -> Codec:
    """What encodes a picture (3, H, W) best here unless told otherwise: latent grids, on a large one with larger networks.

    Where ``bpp`` bits per pixel are so few bytes that the grids' networks would take most of them, it is `SIREN`.
    """
    if bpp is not None and bpp * picture[0].numel() < 8 * FEW_BYTES:
        return SIREN
    return COOLCHIC_LARGE if picture[0].numel() >= LARGE_FROM else COOLCHIC_SMALL


def codec_of(data: bytes) -> Codec:
    """The codec that wrote an ``.inr`` file.

    Raises:
        BitstreamError: not an intact ``.inr`` file, or of a codec this version doesn't have.
    """
    number = bitstream.read(data).codec
    for codec in LEARNED.values():
        if codec.number == number:
            return codec
    raise BitstreamError(f"the file belongs to codec number {number}, which this version doesn't have")


def decode(data: bytes, size: tuple[int, int] | None = None, *, device: str | None = None, look: str = LOOKS[0]) -> Tensor:
    """The picture in any ``.inr`` file; arguments and errors as `Codec.decode`."""
    return codec_of(data).decode(data, size, device=device, look=look)
