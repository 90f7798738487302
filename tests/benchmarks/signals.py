"""Films and sounds: `siren-video`, `nerv` and `siren-audio` beside the codecs everyone has.

    OMP_NUM_THREADS=1 python tests/benchmarks/signals.py films between sounds [--iterations 1000] [--clips bunny scene zoom]

Films are 32 frames of 96×64. A rival has the fewest bytes of any of its qualities at which it is at least as near as
`siren-video`; all bytes of a file count on both sides, and motion JPEG's tables stand in its file once. Between frames: every
second frame is fitted, at half the bytes, and the others are rendered. CPU seconds of the process, one thread.
Rows are printed as Markdown, as soon as they are there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tutorial_lib import codecs, signals
from tutorial_lib.codecs.rivals import Rival
from tutorial_lib.networks.siren import SirenConfig
from tutorial_lib.signals import Clip, Sound

FILM_BYTES, NERV_BYTES = 10_900, 14_700
SOUND_KBPS = 16.0
RIVALS = [rival for rival in codecs.RIVALS.values() if rival.available]
PLAIN = SirenConfig(0, 3, 0, axes=1, channels=1, domain="canvas", colours="symmetric", time_scale=100.0)
"""Sitzmann et al.'s: no encoding, ω₀ = 3000 in the first layer."""


def row(*cells: Any) -> None:
    print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |", flush=True)


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """What an action gives, and the CPU seconds that it takes."""
    started = time.process_time()
    return action(), time.process_time() - started


def encoded(
    codec: codecs.SignalCodec, signal: signals.Signal, target: int, iterations: int, **wishes: Any
) -> tuple[bytes, float]:
    """A file of at most ``target`` bytes, and the CPU seconds behind it."""
    points = signal.values[0].numel()
    return timed(
        lambda: codec.encode(
            signal, bpp=(8 * target + 1) / points, iterations=iterations, budget="laptop", device="cpu", progress=False, **wishes
        )
    )


def cheapest(rival: Rival, clip: Clip, psnr: float) -> int | None:
    """Bytes of the first quality, by bisection, that is as near to the original; None where none is."""
    low, high, found = 0, len(rival.qualities) - 1, None
    while low <= high:
        middle = (low + high) // 2
        data = rival.encode(clip, quality=rival.qualities[middle])
        if signals.clip_psnr(rival.decode(data), clip) >= psnr:
            high, found = middle - 1, len(data)
        else:
            low = middle + 1
    return found


def films(names: list[str], iterations: int) -> None:
    rivals = [rival for rival in RIVALS if rival.kind == "film"]
    row("clip", "codec", "bytes", "bpp", "PSNR", "worst frame", "CPU s", "decoding s", *(rival.name for rival in rivals))
    row(*["---"] * (8 + len(rivals)))
    for name in names:
        clip = signals.sample_clip(name)
        for codec, target in ((codecs.SIREN_VIDEO, FILM_BYTES), (codecs.NERV, NERV_BYTES)):
            data, seconds = encoded(codec, clip, target, iterations)
            decoded = codec.decode(data, device="cpu")
            psnr, worst = signals.clip_psnr(decoded, clip), min(signals.frame_psnrs(decoded, clip))
            decoding = statistics.median(timed(lambda: codec.decode(data, device="cpu"))[1] for _ in range(5))  # noqa: B023
            beside = [cheapest(rival, clip, psnr) or "–" for rival in rivals]
            rate = f"{signals.bits_per_pixel(data, clip):.3f}"
            row(name, codec.name, len(data), rate, f"{psnr:.2f}", f"{worst:.2f}", f"{seconds:.0f}", f"{decoding:.3f}", *beside)


def between(names: list[str], iterations: int) -> None:
    row("clip", "codec", "bytes", "fitted frames", "frames between", "blending", "holding")
    row(*["---"] * 7)
    for name in names:
        clip = signals.sample_clip(name)
        even = Clip(clip.frames[::2].contiguous(), clip.fps / 2)
        odd = Clip(clip.frames[1:-1:2].contiguous(), clip.fps / 2)  # the last odd frame lies behind the last even one
        times = [(2 * index + 1) / clip.fps for index in range(odd.size[0])]
        codec = codecs.SIREN_VIDEO
        data, _ = encoded(codec, even, FILM_BYTES // 2, iterations)
        found = codec.decode(data, times=times, device="cpu")
        near = [signals.clip_psnr(codec.decode(data, device="cpu"), even), signals.clip_psnr(Clip(found.frames, odd.fps), odd)]
        near += [signals.clip_psnr(make(even, times), odd) for make in (signals.blend, signals.hold)]
        row(name, codec.name, len(data), *(f"{each:.2f}" for each in near))


def sounds(iterations: int) -> None:
    row("sound", "codec", "kbit/s", "SNR / dB", "log-spectral distance / dB", "CPU s")
    row(*["---"] * 6)
    codec = codecs.SIREN_AUDIO
    for name in ("voice", "melody"):
        sound = signals.sample_sound(name)
        target = int(125 * SOUND_KBPS * sound.seconds)
        width = next(width for width in range(512, 0, -1) if 5.5 * replace(PLAIN, width=width).weights / 8 + 100 <= target)
        for label, config in (("encoding", None), ("ω₀ = 3000", replace(PLAIN, width=width))):
            data, seconds = encoded(codec, sound, target, iterations, config=config)
            heard(f"siren-audio, {label}", name, sound, data, codec.decode(data, device="cpu"), seconds)
        for rival in (rival for rival in RIVALS if rival.kind == "sound"):
            aim: dict[str, Any] = {"kbps": SOUND_KBPS} if len(rival.qualities) > 1 else {}
            data, seconds = timed(lambda: rival.encode(sound, **aim))  # noqa: B023
            heard(rival.name, name, sound, data, rival.decode(data), seconds)


def heard(label: str, name: str, sound: Sound, data: bytes, decoded: Any, seconds: float) -> None:
    distances = signals.snr(decoded, sound), signals.log_spectral_distance(decoded, sound)
    row(name, label, f"{signals.kilobits_per_second(data, sound):.1f}", *(f"{each:.1f}" for each in distances), f"{seconds:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=("films", "between", "sounds"))
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--clips", nargs="+", default=["bunny", "scene", "zoom"])
    options = parser.parse_args()
    for part in options.parts:
        if part == "sounds":
            sounds(options.iterations)
        else:
            {"films": films, "between": between}[part](options.clips, options.iterations)
        print()


if __name__ == "__main__":
    main()
