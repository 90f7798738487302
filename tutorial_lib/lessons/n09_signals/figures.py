"""Figures and small experiments of notebook 09 that would stand in the reader's way there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import matplotlib
import numpy as np
import torch
from ipywidgets import SelectionSlider
from torch import Tensor, nn

from tutorial_lib import codecs, images, plots, signals
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.course import drawing, live
from tutorial_lib.lessons.n09_signals import players
from tutorial_lib.signals import Clip, Sound
from tutorial_lib.training import Progress

NAMES = {"mjpeg": "motion JPEG", "webp-animated": "animated WebP", "avif-sequence": "AV1 (AVIF sequence)"}


def psnr(film: Tensor, original: Tensor) -> float:
    """PSNR in dB of films (3, T, H, W)."""
    return -10 * math.log10(float((film - original).square().mean().clamp_min(1e-10)))


def clip_of(values: Tensor, fps: float = 25.0) -> Clip:
    """The clip of what a network painted, (3, T, H, W)."""
    return Clip.of(values.detach().cpu().clamp(0, 1), fps)


# ---------------------------------------------------------------------------------------------- the unit of t


@matplotlib.rc_context(plots.STYLE)
def slice_figure(clip: Clip, row: int) -> plots.Shown:
    """One frame with a line across it, and what that line sees in all frames, one below the other."""
    frames, height, width = clip.size
    middle = clip.frames[frames // 2]
    made, (left, right) = plots.figure(11, 3.9, 2)
    left.imshow(images.to_uint8(middle), extent=(0, width, height, 0))
    left.axhline(row + 0.5, color=plots.YELLOW, linewidth=2)
    left.set(title=f"frame {frames // 2}", xlabel="x", ylabel="y")
    right.imshow(images.to_uint8(clip.values[:, :, row]), extent=(0, width, frames, 0), aspect="auto", interpolation="nearest")
    right.set(title="the yellow line in every frame", xlabel="x", ylabel="t (frame)")
    for axis in (left, right):
        axis.grid(False)
    return plots.show(
        made,
        "Left: a frame of a film, a disc with a face and a green ball on a table, and a yellow line across it. Right: the pixels "
        "on that line, a row for each frame: what moves makes slanted bands, what stands still upright ones.",
    )


class Units:
    """Fits of every second frame of a film, one for each scale of t: what they paint on those frames and between them.

    Args:
        painted: scale to all frames (3, T, H, W) that the network paints; the even ones were fitted.
        clip: all frames.
        owner: "yours" or "library's", for the titles.
    """

    row = 14

    def __init__(self, painted: Mapping[float, Tensor], clip: Clip, owner: str) -> None:
        self.painted, self.clip, self.owner = painted, clip, owner
        truth = clip.values
        self.fitted = {scale: psnr(each[:, ::2], truth[:, ::2]) for scale, each in painted.items()}
        self.between = {scale: psnr(each[:, 1::2], truth[:, 1::2]) for scale, each in painted.items()}

    def slider(self) -> SelectionSlider:
        """A slider over the scales, starting at the largest."""
        return SelectionSlider(options=[*self.painted], value=max(self.painted), description="scale of t")

    def show(self, scale: float = 8) -> plots.Shown:
        """The film of one scale, its slice and where its two PSNRs stand among the others'."""
        film = players.films(
            {"the film": self.clip, f"scale {scale:g} ({self.owner})": clip_of(self.painted[scale], 12.5)}, zoom=5
        )
        curves = self._curves(scale)
        return plots.Shown(f"{film.html}{curves.html}", f"{film.text}\n{curves.text}")

    @matplotlib.rc_context(plots.STYLE)
    def _curves(self, scale: float) -> plots.Shown:
        made, (left, middle, right) = plots.figure(14, 3.8, 3)
        for axis, values, title in (
            (left, self.clip.values, "a line of the film"),
            (middle, self.painted[scale], f"of the network, scale {scale:g}"),
        ):
            axis.imshow(images.to_uint8(values[:, :, self.row]), aspect="auto", interpolation="nearest")
            axis.set(title=title, xlabel="x", ylabel="t (frame)")
            axis.grid(False)
        lines = {"fitted frames": self.fitted, "frames between": self.between}
        for (name, values), style in zip(lines.items(), ("o-", "s--"), strict=True):
            right.plot([*values], [*values.values()], style, label=name)
            right.plot(
                scale, values[scale], "o", markersize=16, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2
            )
        right.set(xscale="log", xlabel="scale of t", ylabel="PSNR (dB)", title=f"all scales ({self.owner})")
        right.legend(loc="lower left")
        spelled = "; ".join(f"{s:g}: {self.fitted[s]:.1f} and {self.between[s]:.1f} dB" for s in self.painted)
        return plots.show(
            made,
            "One row of pixels over time, of the film and of the network, and the PSNR for each scale of t, on fitted frames and "
            f"between them. {spelled}. Marked: scale {scale:g}.",
        )


# ---------------------------------------------------------------------------------------------- sound


def heard(network: nn.Module, coordinates: Tensor, sound: Sound) -> Sound:
    """What a network of values in [−1, 1] sounds like at these coordinates."""
    with torch.no_grad():
        samples = network(coordinates).T.cpu().clamp(-1, 1)
    return Sound(samples * float(sound.samples.abs().max()), sound.rate)


def snr(sound: Sound, original: Sound) -> str:
    """The signal-to-noise ratio, in words; nothing like −0."""
    return f"{round(signals.snr(sound, original), 1) + 0.0:.1f} dB"


@matplotlib.rc_context(plots.STYLE)
def first_neurons(scales: Mapping[str, float], seconds: float, omega_0: float = 30.0) -> plots.Shown:
    """The fastest neuron of the first layer over a tenth of a second, for each scale of t."""
    made, axis = plots.figure(11, 3.2)
    moments = np.linspace(0, 0.05, 2000)
    texts = []
    for (name, scale), style in zip(scales.items(), ("-", "--", ":"), strict=False):
        axis.plot(1000 * moments, np.sin(omega_0 * scale * 2 * moments / seconds), style, label=name)
        texts.append(f"{name}: {omega_0 * scale / (math.pi * seconds):.1f} waves a second.")
    axis.set(
        xlabel="milliseconds", ylim=(-1.15, 1.9), yticks=[-1, 0, 1], title="the fastest neuron of the first layer, sin(ω₀ · t)"
    )
    axis.legend(loc="upper right", ncols=2)
    return plots.show(made, "The fastest neuron of the first layer over 50 milliseconds. " + " ".join(texts))


def sound_table(sound: Sound, data: bytes) -> plots.Shown:
    """A network's file beside what telephones, players and streams use."""
    rows = {"siren-audio": _heard_row(data, codecs.decode_signal(data), sound)}
    for name, said in (("adpcm", "ADPCM, 4 bits a sample"), ("mu-law", "μ-law, 8 bits a sample"), ("opus", "Opus")):
        rival = codecs.RIVALS[name]
        if not rival.available:
            rows[said] = ["(needs PyAV)", "", "", ""]
            continue
        other = _opus(sound, data) if name == "opus" else rival.encode(sound)
        rows[said] = _heard_row(other, rival.decode(other), sound)
    return drawing.table(
        ["bytes", "kbit/s", "SNR", "log-spectral distance"],
        rows,
        f"{sound.seconds:g} seconds of sound, raw {2 * sound.size[0]:,} bytes",
    )


def contest(sound: Sound, data: bytes) -> dict[str, Sound]:
    """What a network's file sounds like, and Opus at as many bytes where it is installed."""
    found = {f"siren-audio, {len(data):,} bytes": codecs.decode_signal(data)}
    rival = codecs.RIVALS["opus"]
    if rival.available:
        other = _opus(sound, data)
        found[f"Opus, {len(other):,} bytes"] = rival.decode(other)
    return {name: each for name, each in found.items() if isinstance(each, Sound)}


def _opus(sound: Sound, data: bytes) -> bytes:
    """As many bytes as ``data`` or fewer; at its lowest quality where its container alone is more."""
    rival = codecs.RIVALS["opus"]
    try:
        return rival.encode(sound, kbps=signals.kilobits_per_second(data, sound))
    except CodecError:
        return rival.encode(sound, quality=rival.qualities[0])


def _heard_row(data: bytes, decoded: signals.Signal, sound: Sound) -> list[str]:
    assert isinstance(decoded, Sound)
    distance = signals.log_spectral_distance(decoded, sound)
    return [f"{len(data):,}", f"{signals.kilobits_per_second(data, sound):.1f}", snr(decoded, sound), f"{distance:.1f} dB"]


# ---------------------------------------------------------------------------------------------- a film in a file


def learn_film(clip: Clip, bpp: float, iterations: int) -> bytes:
    """Encode a film by `siren-video`, and show four of its frames while it is learned; the file.

    The stop button ends it early, and the file is written all the same. A film that is too small for the rate gets a larger one.
    """
    screen, place = live.Screen(1.0), torch.linspace(-1, 1, 4)
    own = clip.frames[torch.linspace(0, len(clip.frames) - 1, 4).round().long()]

    def look(progress: Progress) -> None:
        if screen.due():
            with torch.no_grad():
                painted = progress.representation.render(times=place).cpu()
            title = f"step {progress.iteration} of {progress.iterations}: {progress.psnr:.1f} dB"
            screen.draw(_strips(own, painted.movedim(1, 0), title))

    plan = None
    while plan is None:
        try:
            plan = codecs.SIREN_VIDEO.plan(clip, bpp=bpp, iterations=iterations)
        except CodecError:
            if bpp > 100:
                raise
            bpp *= 2
    data = codecs.SIREN_VIDEO.execute(plan, clip, progress=False, callback=look).data
    decoded = codecs.SIREN_VIDEO.decode(data)
    assert isinstance(decoded, Clip)
    title = f"the file: {signals.clip_psnr(decoded, clip):.1f} dB in {len(data):,} bytes"
    screen.draw(players.films({"the film": clip, title: decoded}, alt="a film and what a network has learned of it"), last=True)
    return data


def _strips(above: Tensor, below: Tensor, title: str) -> plots.Shown:
    strips = [torch.cat([*each], dim=2) for each in (above, below)]
    return plots.pictures(strips, ["four frames", title], zoom=2, alt="four frames of a film")


def equal_quality(clip: Clip, data: bytes) -> plots.Shown:
    """A file of a network, and of each rival the smallest one that is at least as near to the film."""
    mine = codecs.decode_signal(data)
    assert isinstance(mine, Clip)
    aim = signals.clip_psnr(mine, clip)
    rows = {"siren-video": [f"{len(data):,}", f"{signals.bits_per_pixel(data, clip):.3f}", f"{aim:.1f} dB", ""]}
    for name, said in NAMES.items():
        found = _smallest(codecs.RIVALS[name], clip, aim)
        if isinstance(found, str):
            rows[said] = ["", "", "", found]
            continue
        other, decibels = found
        share = f"{len(other) / len(data):.2f} × ours"
        rows[said] = [f"{len(other):,}", f"{signals.bits_per_pixel(other, clip):.3f}", f"{decibels:.1f} dB", share]
    caption = "Each rival's lowest quality that reaches the network's PSNR; containers counted"
    return drawing.table(["bytes", "bits per pixel and frame", "PSNR", "size"], rows, caption)


def _smallest(rival: codecs.Rival, clip: Clip, aim: float) -> tuple[bytes, float] | str:
    """The file of the lowest quality with that PSNR, by bisection, and its PSNR; or why there is none."""

    def at(place: int) -> tuple[bytes, float]:
        data = rival.encode(clip, quality=rival.qualities[place])
        decoded = rival.decode(data)
        assert isinstance(decoded, Clip)
        return data, signals.clip_psnr(decoded, clip)

    low, high, found = 0, len(rival.qualities) - 1, None
    try:
        while low <= high:
            middle = (low + high) // 2
            each = at(middle)
            if each[1] >= aim:
                found, high = each, middle - 1
            else:
                low = middle + 1
    except (CodecError, ValueError) as error:  # this Pillow has no AVIF
        return str(error).removesuffix(".")
    return found or "never as near"


# ---------------------------------------------------------------------------------------------- between the frames


def missing_frames(clip: Clip, gap: int, painted: Tensor) -> dict[str, Tensor]:
    """The frames in the middle of each gap, (3, n, H, W): of the film, blended, held, and as the network paints them.

    Args:
        clip: the whole film.
        gap: every gap-th frame was fitted.
        painted: (3, n, H, W), the network's.
    """
    kept = Clip(clip.frames[::gap], clip.fps / gap)
    times = [(index + 0.5) / kept.fps for index in range(len(kept.frames) - 1)]
    return {
        "the film": clip.values[:, gap // 2 :: gap][:, : len(times)],
        "held": signals.hold(kept, times).values,
        "blended": signals.blend(kept, times).values,
        "network": painted,
    }


@matplotlib.rc_context(plots.STYLE)
def gaps_figure(found: Mapping[int, Mapping[str, Tensor]], owner: str) -> plots.Shown:
    """PSNR of frames that nobody showed to the network, against the size of the gap."""
    made, axis = plots.figure(8, 4.2)
    texts = ["PSNR of the frames in the middle of gaps."]
    for name, style in (("held", "s:"), ("blended", "D--"), ("network", "o-")):
        values = [psnr(each[name], each["the film"]) for each in found.values()]
        axis.plot(range(len(found)), values, style, label=name if name != "network" else f"network ({owner})")
        texts.append(f"{name}: " + ", ".join(f"{v:.1f} dB for 1 in {gap}" for gap, v in zip(found, values, strict=True)) + ".")
    axis.set(xticks=range(len(found)), xticklabels=[f"every {gap}th" if gap > 2 else "every 2nd" for gap in found])
    axis.set(xlabel="frames that were fitted", ylabel="PSNR of the missing frames (dB)", title="frames that were never there")
    axis.legend()
    return plots.show(made, " ".join(texts))


def ghosts(found: Mapping[str, Tensor], which: int) -> plots.Shown:
    """One missing frame in its versions."""
    truth = found["the film"][:, which]
    titles = [name if name == "the film" else f"{name}: {psnr(each[:, which], truth):.1f} dB" for name, each in found.items()]
    shown = [each[:, which].clamp(0, 1) for each in found.values()]
    return plots.pictures(shown, titles, zoom=4, alt="a frame in the middle of a gap")


# ---------------------------------------------------------------------------------------------- whole frames


@matplotlib.rc_context(plots.STYLE)
def growth(network: nn.Sequential, t: float, owner: str) -> plots.Shown:
    """How a frame grows: the mean of the channels behind each step that changes the size, and the frame."""
    features, stages = torch.tensor([[t]]), []
    with torch.no_grad():
        for layer in network:
            features = layer(features)
            if features.ndim == 4:
                stages.append(features[0])
    made, axes = plots.figure(14, 2.8, len(stages))
    for axis, stage in zip(axes, stages, strict=True):
        channels, height, width = stage.shape
        last = stage is stages[-1]
        axis.imshow(images.to_uint8(stage.clamp(0, 1)) if last else stage.std(0), cmap="viridis", interpolation="nearest")
        axis.set(xticks=[], yticks=[], xlabel="the frame" if last else f"{channels} channels")
        axis.set_title(f"{width} × {height}")
        axis.grid(False)
    sizes = ", ".join(f"{each.shape[2]}×{each.shape[1]}" for each in stages)
    return plots.show(made, f"A frame grows from a coarse grid ({owner}): {sizes}; the last is the frame.")


def decoding_race(makers: Mapping[str, tuple[Callable[[], object], float]], rounds: int = 5) -> plots.Shown:
    """Multiply-adds for a pixel, and the seconds of decoding a film, the fastest of some rounds in turn.

    Args:
        makers: name to what decodes, and its multiply-adds a pixel.
        rounds: of all in turn.
    """
    seconds = dict.fromkeys(makers, math.inf)
    for _ in range(rounds):
        for name, (decode, _) in makers.items():
            begun = time.perf_counter()
            decode()
            seconds[name] = min(seconds[name], time.perf_counter() - begun)
    slowest = max(seconds.values())
    rows = {
        name: [f"{operations:,.0f}", f"{1000 * seconds[name]:.0f} ms", f"{slowest / seconds[name]:.1f} ×"]
        for name, (_, operations) in makers.items()
    }
    return drawing.table(["multiply-adds a pixel", "all frames", "speed"], rows, "Decoding a film, one thread")


def multiply_adds(network: nn.Sequential, inputs: Tensor) -> float:
    """Multiply-adds of linear layers and convolutions for these inputs, counted while they run.

    Behind a block's shuffle there are as many numbers as before it.
    """
    counted = [0.0]

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            counted[0] += output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d):
            counted[0] += output.numel() * layer.in_channels * math.prod(layer.kernel_size)

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    with torch.no_grad():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return counted[0]


REPORTED = {
    "HiNeRV (2023)": ["not in its abstract", "72 % less than HNeRV, 43 % less than DCVC, UVG", "arXiv 2306.09818"],
    "C3 (2023)": ["under 5,000", "that of the Video Compression Transformer, UVG", "arXiv 2312.02753"],
    "Cool-chic video (2024)": ["900", "close to AVC", "arXiv 2402.03179"],
    "Cool-chic video (2025)": ["1,300", "close to HEVC", "arXiv 2501.16976"],
    "Cool-chic 4.1 (2025)": ["639", "14 % less than AVC (x264 medium), 54 % more than HEVC (HM)", "its release notes"],
}
"""Codec: multiply-adds a pixel, rate beside others', source: as their authors say."""


def standing() -> plots.Shown:
    """What others reach, as they say."""
    return drawing.table(["multiply-adds a pixel", "rate", "source"], REPORTED, "Codecs that are fitted to one film")
