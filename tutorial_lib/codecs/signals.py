"""Films and sounds as codecs: the steps of a picture's codec on another canvas.

    >>> from tutorial_lib import codecs, signals
    >>> clip = signals.sample_clip("zoom", frames=8, size=(16, 24))
    >>> data = codecs.SIREN_VIDEO.encode(clip, bpp=4, budget="quick", progress=False)
    >>> codecs.SIREN_VIDEO.decode(data, count=15).frames.shape  # slow motion: a frame between each two
    torch.Size([15, 3, 16, 24])

Fit, quantizers, laws, range coder and container are those of pictures; a family's ``size`` has one axis or three. The file says
which signal it holds (`bitstream.SignalContainer`), so that a decoder of pictures refuses it, and the other way round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from tutorial_lib import images, signals
from tutorial_lib.codecs.base import RATE, Codec
from tutorial_lib.codecs.nerv import NervNetworks, nerv_recipe
from tutorial_lib.codecs.networks import Method
from tutorial_lib.codecs.plans import BUDGETS, Budget, CodecError, Encoding, Plan, Representation, Wishes
from tutorial_lib.codecs.sirens import SirenNetworks, siren_recipe
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import MAX_RATE, BitstreamError, Reader, SignalContainer, varint
from tutorial_lib.coding.quantizers import Quantizer
from tutorial_lib.coding.steps import Step
from tutorial_lib.networks.siren import SirenConfig
from tutorial_lib.runtime import choose_budget, choose_device, insist
from tutorial_lib.signals import Clip, Kind, Signal, SignalError, Sound
from tutorial_lib.training.loop import Progress

LOSSES = {"sound": ("l1", "mse", "log-cosh"), "film": ("l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim")}
"""What a fit can minimize, by kind: the others look at pictures."""

_TIME_STEPS, _MAX_TIME_SCALE = 256, 1 << 12
"""A file holds `SirenConfig.time_scale` in 1/256."""


@dataclass(frozen=True, kw_only=True)
class SirenSignals(SirenNetworks):
    """SIRENs on (x, y, t) or (t); the template says which.

    A film's t is its number of frames over 256, where x and y have 1: neighbouring frames are nearer than neighbouring pixels.
    The same encoding on a shorter t (500 steps, 10,900 bytes, 32 frames of 96×64, one seed; dB for t of 1, 1/2, 1/4, 1/8, 1/16):
    Big Buck Bunny 28.7, 28.9, 29.1, 29.2, 29.1; at 1 and 1/8 the made scene 23.8 and 25.0, the zoom 30.3 and 31.5.
    """

    def plan(self, name: str, picture: Tensor, wishes: Wishes, budget: Budget) -> Plan:
        own, config = replace(self.template, channels=len(picture)), wishes.config
        if own.axes == 3:
            own = replace(own, time_scale=min(picture.shape[1] / _TIME_STEPS, _MAX_TIME_SCALE))
        if config is not None and (config.axes, config.channels) != (own.axes, own.channels):
            asked = f"{own.channels} channels on {own.axes} coordinates"
            raise CodecError(f"this signal has {asked}, and the network is for {config.channels} on {config.axes}")
        return super(SirenSignals, replace(self, template=own)).plan(name, picture, wishes, budget)

    def write_config(self, config: SirenConfig) -> bytes:
        return super().write_config(config) + varint(round(_TIME_STEPS * config.time_scale)) + varint(config.channels)

    def read_config(self, reader: Reader) -> SirenConfig:
        config, scale, channels = super().read_config(reader), reader.varint(), reader.varint()
        return replace(config, time_scale=scale / _TIME_STEPS, channels=channels)

    def impossible(self, config: SirenConfig) -> str | None:
        possible = config.channels in ((1, 2) if config.axes == 1 else (3,)) and 0 < config.time_scale <= _MAX_TIME_SCALE
        return super().impossible(config) if possible else f"{config} for {config.channels} channels is impossible here"


@dataclass(frozen=True)
class SignalCodec(Codec):
    """A learned codec of films or of sounds; what a picture's has too is said at `Codec`.

    Args:
        kind: of signal: "film" or "sound".
    """

    kind: Kind

    def plan(
        self,
        picture: Signal,
        *,
        bpp: float | None = None,
        kbps: float | None = None,
        loss: str | None = None,
        budget: str | None = None,
        method: str = "fast",
        iterations: int | None = None,
        config: Any = None,
        device: torch.device | None = None,
    ) -> Plan:
        """Decide shape, recipe and aim.

        Args:
            picture: the clip or the sound.
            bpp: the most bits for each pixel of each frame, or each sample of all channels together; everything is counted. Or
            kbps: the most thousands of bits a second. Neither: what suits the budget.
            loss: one of `LOSSES`; it takes the place of the recipe's own.
            budget, method, iterations, config, device: as for pictures.

        Raises:
            CodecError: another kind of signal, no such method or loss, a rate out of reach, or what this codec can't do.
        """
        self._require(picture)
        if bpp is not None and kbps is not None:
            raise CodecError("a rate is given in bits per point or in kbit/s, not in both")
        self._check_wishes(method, iterations, {RATE: bpp, "a rate is a positive number of kbit/s": kbps})
        if loss is not None and loss not in LOSSES[self.kind]:
            raise CodecError(f"no loss {loss!r} for a {self.kind}; there are {', '.join(LOSSES[self.kind])}")
        if kbps is not None:
            bpp = 1000 * kbps * picture.seconds / math.prod(picture.size)
        wishes = Wishes(bpp, None, loss, method, iterations, True, config, False)
        return self.family.plan(self.name, picture.values, wishes, BUDGETS[choose_budget(budget, device)])

    def execute(
        self,
        plan: Plan,
        picture: Signal,
        *,
        seed: int = 0,
        device: str | None = None,
        progress: bool = True,
        callback: Callable[[Progress], None] | None = None,
        quantizer: Quantizer | None = None,
    ) -> Encoding:
        """Carry out a plan for this clip or sound, as `Codec.execute`; a `CodecError` if the plan is for another."""
        self._require(picture)
        if plan.codec != self.name or plan.size != picture.size:
            raise CodecError(f"this is a plan of {plan.codec} for {plan.size} points, not of {self.name} for {picture.size}")
        started = time.perf_counter()
        how: dict[str, Any] = {"seed": seed, "progress": progress, "callback": callback}
        representation, report = self._fit(plan, picture.values, device, self.family.quantizer(plan, quantizer), **how)
        data = insist(lambda: self.pack(representation, report.steps, picture.rate, picture.peak))
        return Encoding(data, replace(report, seconds=time.perf_counter() - started))

    def estimate_seconds(self, plan: Plan, picture: Signal, device: str | None = None) -> float:
        return super().estimate_seconds(plan, picture.values, device)

    def pack(
        self, representation: Representation, steps: Mapping[str, Step], rate: float, peak: int = signals.FULL_SCALE
    ) -> bytes:
        """The file of a representation.

        Args:
            representation, steps: as `Codec.pack`.
            rate: frames or samples a second.
            peak: of a sound, `Sound.peak`.
        """
        sections = {"configuration": self.family.write_config(representation.config)}
        sections |= self.family.pack(representation, steps)
        exact = Fraction(min(rate, MAX_RATE)).limit_denominator(1001)
        return bitstream.write_signal(SignalContainer(self.number, representation.size, exact, sections, peak))

    def decode(
        self,
        data: bytes,
        size: tuple[int, int] | None = None,
        *,
        rate: float | None = None,
        count: int | None = None,
        times: Sequence[float] | Tensor | None = None,
        device: str | None = None,
    ) -> Signal:
        """The clip or sound in a file of this codec, at its own times and size or at others.

        Args:
            data: the whole file.
            size: (height, width) of a film's frames in pixels.
            rate, count, times: see `signals.instants`: as many a second, so many evenly, or at these seconds.
            device: that renders.

        Raises:
            BitstreamError, CodecError, SignalError, ImageError: as `open`; a size of a sound; times outside the signal; no size.
        """
        container = self._container(data)
        own, own_rate = container.size, float(container.rate)
        if size is not None and self.kind == "sound":
            raise CodecError("a sound has no height and width: ask for a rate, a number of samples, or times")
        t, played = signals.instants(own[0], own_rate, rate=rate, count=count, times=times)
        frame = own[1:] if size is None else images.check_size(size)
        if len(t) * math.prod(frame) > images.MAX_PIXELS:
            raise SignalError(f"{len(t):,} × {'×'.join(map(str, frame))} points are more than the {images.MAX_PIXELS:,} allowed")
        values = self.open(data).to(choose_device(device)).render(None, *frame, times=t).cpu()
        if not torch.isfinite(values).all():
            raise BitstreamError("the file's weights are so large that what it holds are no numbers")
        return (Clip if self.kind == "film" else Sound).of(values, played, container.peak)

    def operations_per_pixel(self, data: bytes) -> float:
        """Multiply-adds of decoding, for each pixel of a frame, or each sample."""
        container = self._container(data)
        return self.family.operations_per_pixel(self._config(container), *container.size)

    def _require(self, signal: object) -> None:
        kind = getattr(signal, "kind", "picture")
        if kind != self.kind:
            raise CodecError(f"{self.name} encodes a {self.kind}, not a {kind}")

    def _container(self, data: bytes) -> Any:
        container = bitstream.read_signal(data)
        axes = {"film": 3, "sound": 1}[self.kind]
        if container.codec != self.number or len(container.size) != axes:
            raise BitstreamError(f"this file holds a {container.kind} of codec number {container.codec}, none of {self.name}'s")
        return container

    def _config(self, container: Any) -> Any:
        if missing := {"configuration", *self.family.sections} ^ set(container.sections):
            raise BitstreamError(f"a file of {self.name} has no section {min(missing)!r}, or has one too many")
        reader = Reader(container.sections["configuration"], "configuration section")
        config = self.family.read_config(reader)
        reader.end()
        if problem := self.family.problem(config, *container.size):
            raise BitstreamError(problem)
        return config

    def _open(self, data: bytes) -> Any:
        container = self._container(data)
        representation = self.build(self._config(container), *container.size)
        return representation, self.family.unpack(representation, container.sections)


SIREN_AUDIO = SignalCodec(
    "siren-audio",
    10,
    SirenSignals(
        template=SirenConfig(width=64, frequencies=40, domain="canvas", colours="symmetric", axes=1, channels=1),
        depths=((math.inf, 3),),
        methods={"fast": Method(siren_recipe, "rate", 5.5)},
    ),
    "sound",
)
"""A sound as a SIREN of t: positional encoding with as many frequencies as the samples can carry, three sine layers."""

SIREN_VIDEO = SignalCodec(
    "siren-video",
    11,
    SirenSignals(
        template=SirenConfig(width=64, axes=3),
        depths=((math.inf, 3),),
        methods={"fast": Method(siren_recipe, "rate", 7.0)},
    ),
    "film",
)
"""A film as the SIREN of pictures, on (x, y, t)."""

NERV = SignalCodec("nerv", 12, NervNetworks(methods={"fast": Method(nerv_recipe, "rate", 7.0)}), "film")
"""A film as a generator of whole frames from t (Chen et al., NeurIPS 2021)."""

SIGNALS: dict[str, SignalCodec] = {codec.name: codec for codec in (SIREN_AUDIO, SIREN_VIDEO, NERV)}
"""The codecs of films and sounds by name."""


def signal_codec_of(data: bytes) -> SignalCodec:
    """The codec that wrote the file of a film or a sound.

    Raises:
        BitstreamError: not an intact one, a picture's, or of a codec this version doesn't have.
    """
    number = bitstream.read_signal(data).codec
    for codec in SIGNALS.values():
        if codec.number == number:
            return codec
    raise BitstreamError(f"the file belongs to codec number {number}, which this version doesn't have for films and sounds")


def decode_signal(data: bytes, size: tuple[int, int] | None = None, **options: Any) -> Signal:
    """The clip or sound in any ``.inr`` file of one; arguments and errors as `SignalCodec.decode`."""
    return signal_codec_of(data).decode(data, size, **options)
