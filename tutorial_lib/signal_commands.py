"""What the commands of ``inr`` do with films and sounds; see `tutorial_lib.commands`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tutorial_lib import codecs, images, signals
from tutorial_lib.codecs import CodecError
from tutorial_lib.codecs.plans import MAX_REDUCTION
from tutorial_lib.codecs.signals import SIGNALS
from tutorial_lib.coding import bitstream
from tutorial_lib.commands import BAR_WIDTH, Answer, UsageError, beside, bytes_of, check_output, duration, pair_of, size_asked
from tutorial_lib.runtime import choose_device, require_writable
from tutorial_lib.signals import Clip, Signal, Sound
from tutorial_lib.signals.files import FILMS, SOUND_SUFFIXES, check_writable, is_film

SAMPLES = ("scene", "zoom", "bunny", "melody", "voice")
"""What ``inr encode sample:scene`` takes."""


def concerns(options: argparse.Namespace) -> bool:
    """Whether a command is about a film or a sound."""
    match options.command:
        case "encode":
            return _is_signal(options.picture) or options.codec in SIGNALS
        case "decode" | "info":
            return Path(options.file).is_file() and _holds_signal(options.file)
        case "compare":
            return any(_is_signal(name) or _holds_signal(name) for name in (options.original, *options.decoded))
    return False


def refuse_for_a_picture(options: argparse.Namespace) -> None:
    """Refuse wishes that only films and sounds can meet."""
    wishes = {"encode": ("kbps", "frames"), "decode": ("fps", "frames", "rate")}.get(options.command, ())
    if asked := [f"--{wish}" for wish in wishes if getattr(options, wish) is not None]:
        raise UsageError(f"{' and '.join(asked)}: for films and sounds; a picture has no time")


def _is_signal(name: str) -> bool:
    if Path(name).suffix.lower() in (*FILMS, *SOUND_SUFFIXES):
        return True
    return name.startswith("sample:") or (Path(name).is_file() and is_film(name))


def _holds_signal(name: str) -> bool:
    try:
        with open(name, "rb") as file:
            return file.read(4) == bitstream.MAGIC + bytes([bitstream.SIGNAL_VERSION])
    except OSError:
        return False


def _opened(name: str, frames: int | None = None) -> Signal:
    if not name.startswith("sample:"):
        return signals.load(name, frames)
    sample = name.removeprefix("sample:")
    if sample not in SAMPLES:
        raise UsageError(f"there is no {name}: after 'sample:' comes one of {', '.join(SAMPLES)}")
    return signals.sample_sound(sample) if sample in SAMPLES[3:] else signals.sample_clip(sample, frames or 32)


def encode(options: argparse.Namespace) -> Answer:
    """Fit a network to a film or a sound and write it as a file."""
    if not _is_signal(options.picture):
        raise UsageError(f"{options.codec} encodes a {SIGNALS[options.codec].kind}, and {options.picture} is none that is here")
    if options.looks != "one" or options.refine is not None:
        raise UsageError("films and sounds have one look, and nothing to refine")
    signal = _opened(options.picture, options.frames)
    codec = SIGNALS.get(options.codec or ("siren-audio" if signal.kind == "sound" else "siren-video"))
    if codec is None:
        able = ", ".join(name for name, codec in SIGNALS.items() if codec.kind == signal.kind)
        raise UsageError(f"{options.codec} encodes no {signal.kind}; take {able}")
    if isinstance(signal, Sound):
        if options.frames is not None:
            raise UsageError("a sound has no frames")
        if not bool(signal.samples.any()):
            raise UsageError(f"{options.picture} is silent: there is nothing to fit")
    signal = _reduced(signal, options)
    output = Path(options.output or beside(options.picture, ".inr"))
    check_output(output, options.picture)
    wishes = {"bpp": options.bpp, "kbps": options.kbps, "budget": options.budget, "loss": options.loss}
    device = choose_device(options.device)
    plan = codec.plan(signal, iterations=options.iterations, device=device, **wishes)
    if not options.json:
        print(f"{options.picture}: {described(signal)}", flush=True)
        seconds = codec.estimate_seconds(plan, signal, options.device)
        rate = f"about {plan.expected_bytes:,} bytes ({plan.bpp:.3g} bpp), about {duration(seconds)} on {device}"
        print(f"→ {output}: {plan.codec}, {plan.config}, {plan.config.weights:,} weights; {rate}", flush=True)
    progress = not options.json and sys.stderr.isatty()
    started = time.perf_counter()
    encoding = codec.execute(plan, signal, seed=options.seed, device=options.device, progress=progress)
    seconds, data = time.perf_counter() - started, encoding.data
    images.write_atomically(output, data)
    facts = {"file": str(output), "bytes": len(data), **_measured(codec.decode(data, device=options.device), signal, data)}
    facts |= {"seconds": seconds, "interrupted": encoding.report.interrupted, "anatomy": bitstream.anatomy(data)}
    took = duration(seconds) + (", stopped early" if encoding.report.interrupted else "")
    return Answer(facts, f"{output}: {len(data):,} bytes, {_said(facts)} ({took})")


def _reduced(signal: Signal, options: argparse.Namespace) -> Signal:
    """A film at the size asked for."""
    if options.size is None and options.reduce is None:
        return signal
    if isinstance(signal, Sound):
        raise UsageError("a sound has no width and height to reduce")
    _, height, width = signal.size
    if options.size:
        size = pair_of(options.size)
    elif 1 <= options.reduce <= MAX_REDUCTION:
        size = math.ceil(height / options.reduce), math.ceil(width / options.reduce)
    else:
        raise UsageError(f"a film is fitted at 1/1 to 1/{MAX_REDUCTION} of its size, not at 1/{options.reduce}")
    return Clip(torch.stack([images.reduce(frame, size=size) for frame in signal.frames]), signal.fps)


def described(signal: Signal) -> str:
    """A film's or a sound's size, rate and length in words."""
    if isinstance(signal, Clip):
        count, height, width = signal.size
        return f"{count} frames of {width}×{height}, {signal.fps:g} a second, {signal.seconds:.3g} s"
    channels = "one channel" if len(signal.samples) == 1 else "two channels"
    return f"{channels}, {signal.size[0]:,} samples at {signal.rate:g} Hz, {signal.seconds:.3g} s"


def _measured(decoded: Signal, original: Signal, data: bytes | None) -> dict[str, Any]:
    """Rate and distortions; None where there is none."""
    facts: dict[str, Any] = {"bpp": None, "kbps": None}
    if data is not None:
        facts = {"bpp": 8 * len(data) / math.prod(original.size), "kbps": signals.kilobits_per_second(data, decoded)}
    if isinstance(decoded, Clip) and isinstance(original, Clip):
        frames = signals.frame_psnrs(decoded, original)
        return facts | {"psnr": signals.clip_psnr(decoded, original), "worst_frame_psnr": min(frames), "frame_psnrs": frames}
    if isinstance(decoded, Sound) and isinstance(original, Sound):
        return facts | {"snr": signals.snr(decoded, original), "lsd": signals.log_spectral_distance(decoded, original)}
    raise UsageError(f"a {decoded.kind} can't be compared with a {original.kind}")


def _said(facts: dict[str, Any]) -> str:
    rate = [] if facts["kbps"] is None else [f"{facts['kbps']:.4g} kbit/s"]
    rate += [f"{facts['bpp']:.4g} bpp"] if rate and "psnr" in facts else []
    if "psnr" in facts:
        return ", ".join([*rate, f"PSNR {facts['psnr']:.2f} dB, worst frame {facts['worst_frame_psnr']:.2f} dB"])
    return ", ".join([*rate, f"SNR {facts['snr']:.2f} dB, log-spectral distance {facts['lsd']:.2f} dB"])


def decode(options: argparse.Namespace) -> Answer:
    """Render a film or a sound at its own times and size, or at others."""
    data = bytes_of(options.file)
    container = bitstream.read_signal(data)
    suffix = ".decoded.webp" if container.kind == "film" else ".decoded.wav"
    output = check_writable(options.output or beside(options.file, suffix), container.kind)
    require_writable(output)
    if options.look != codecs.LOOKS[0]:
        raise UsageError(f"a {container.kind} has one look")
    if container.kind == "sound" and (options.fps is not None or options.frames is not None):
        raise UsageError("a sound has no frames; --rate gives it another number of samples a second")
    if container.kind == "film" and options.rate is not None:
        raise UsageError("--rate is a sound's; --fps gives a film another number of frames a second")
    scaled = options.size is not None or options.scale is not None
    size = size_asked(options, *container.size[-2:]) if scaled and container.kind == "film" else None
    if scaled and container.kind == "sound":
        raise CodecError("a sound has no width and height to scale")
    how = {"rate": options.fps if options.rate is None else options.rate, "count": options.frames, "device": options.device}
    signal = codecs.decode_signal(data, size, **how)
    (signals.save_clip if isinstance(signal, Clip) else signals.save_sound)(signal, output)  # pyright: ignore[reportArgumentType]
    return Answer({"file": str(output), **_shape(signal)}, f"{output}: {described(signal)}")


def _shape(signal: Signal) -> dict[str, Any]:
    if isinstance(signal, Clip):
        return {"frames": signal.size[0], "width": signal.size[2], "height": signal.size[1], "fps": signal.fps}
    return {"samples": signal.size[0], "channels": len(signal.samples), "rate": signal.rate}


def info(options: argparse.Namespace) -> Answer:
    """What is in a film's or a sound's file: bytes by section, the network, its tensors."""
    data = bytes_of(options.file)
    container, codec = bitstream.read_signal(data), codecs.signal_codec_of(data)
    config, rate = codec.config_of(data), float(container.rate)
    shape = "×".join(map(str, reversed(container.size)))
    facts: dict[str, Any] = {"file": options.file, "codec": codec.name, "kind": container.kind, "size": list(container.size)}
    facts |= {"rate": rate, "bytes": len(data), "bpp": 8 * len(data) / math.prod(container.size)}
    facts |= {"kbps": 8 * len(data) * rate / container.size[0] / 1000, "weights": config.weights}
    facts |= {
        "multiply_adds": codec.operations_per_pixel(data),
        "anatomy": bitstream.anatomy(data),
        "tensors": codec.describe(data),
    }
    what = f"{shape} ({'width×height×frames' if container.kind == 'film' else 'samples'}), {rate:g} a second"
    lines = [f"{options.file}: {codec.name}, {what}, {len(data):,} bytes, {facts['bpp']:.4g} bpp, {facts['kbps']:.4g} kbit/s"]
    lines.append(f"  {config}, {config.weights:,} weights, {facts['multiply_adds']:,.0f} multiply-adds a point")
    for part, count in facts["anatomy"].items():
        bar = "█" * round(BAR_WIDTH * count / len(data))
        lines.append(f"  {part:<14}{count:>9,} bytes  {100 * count / len(data):5.1f} %  {bar}".rstrip())
    for row in facts["tensors"]:
        shape, law = "×".join(map(str, row["shape"])), row["law"] or "float16"
        lines.append(f"  {row['name']:<26}{shape:<14}{row['bits_per_weight']:6.2f} bits/weight  {law}")
    return Answer(facts, "\n".join(lines))


def compare(options: argparse.Namespace) -> Answer:
    """Rate and distortions of decoded films or sounds."""
    if options.lpips:
        raise UsageError("LPIPS is for pictures: films are compared by PSNR, sounds by SNR")
    original = _of_file(options.original)[0]
    rows = []
    for name in options.decoded:
        signal, data = _of_file(name, original)
        rows.append({"file": name, **_measured(signal, original, data)})
    return Answer(rows, "\n".join(f"{row['file']}: {_said(row)}" for row in rows))


_LOSSY = {".gif": None, ".webp": "webp-animated", ".avif": "avif-sequence", ".png": None, ".apng": None, ".wav": None}


def _of_file(name: str, original: Signal | None = None) -> tuple[Signal, bytes | None]:
    """A film or a sound, and its bytes if it is compressed: .inr, WebP, AVIF and what PyAV reads."""
    if _holds_signal(name):
        data = bytes_of(name)
        return codecs.decode_signal(data), data
    if not _is_signal(name):
        raise UsageError(f"{name} is no film and no sound")
    signal = _opened(name)
    if isinstance(original, Clip) and isinstance(signal, Clip) and abs(signal.fps / original.fps - 1) < 0.1:
        signal = replace(signal, fps=original.fps)  # whole milliseconds a frame
    compressed = not name.startswith("sample:") and _LOSSY.get(Path(name).suffix.lower(), "yes") is not None
    return signal, bytes_of(name) if compressed else None
