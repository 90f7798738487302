"""The amortised codec against JPEG and WebP, what refining gains, what the second synthesis looks like, and seconds.

    INR_DATA_DIR=… python tests/benchmarks/amortised.py [--only rates,refine,looks,bridge] [--full] [--pictures 1 5]

Needs Kodak 1, 5, 8, 15, 18 and 24 (downloaded, or in INR_DATA_DIR), which the networks never saw; 384×256 unless ``--full`` asks
for 768×512. PSNR and bytes are of real files, decoded and rounded to 8 bits; seconds are of whole calls, files read from
memory, and CPU seconds, so that other work on the machine doesn't count: take one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.amortised import lambda_of, step_for
from tutorial_lib.evaluation import bd_rate

PICTURES = (1, 5, 8, 15, 18, 24)
RATES = (0.2, 0.3, 0.45, 0.7, 1.0, 1.5)
REFINE_STEPS = 80
Point = tuple[float, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="rates,refine,looks", help="parts to run, with commas between")
    options.add_argument("--full", action="store_true", help="768×512")
    options.add_argument("--pictures", type=int, nargs="+", default=PICTURES)
    chosen = options.parse_args()
    threads = torch.get_num_threads()
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {threads} threads\n")
    size = (512, 768) if chosen.full else (256, 384)
    pictures = {number: _reduced(images.kodak(number), size) for number in chosen.pictures}
    print(f"Kodak {', '.join(map(str, pictures))} at {size[1]}×{size[0]}")
    for part in chosen.only.split(","):
        PARTS[part](pictures)


def _reduced(picture: Tensor, size: tuple[int, int]) -> Tensor:
    upright = picture.shape[1] > picture.shape[2]
    wanted = size[::-1] if upright else size
    return picture if picture.shape[1:] == wanted else images.reduce(picture, size=wanted)


def _shown(decoded: Tensor) -> Tensor:
    return images.quantize_8bit(decoded.cpu())


def _point(picture: Tensor, name: str, **wishes: float) -> tuple[Point, float, float]:
    """(bpp, PSNR) of a file, and the seconds of encoding and decoding."""
    codec: Any = codecs.get(name)
    started = time.process_time()
    data = codec.encode(picture, **wishes, **({"progress": False} if name in codecs.LEARNED else {}))
    encoded = time.process_time()
    decoded = _shown(codec.decode(data))
    ended = time.process_time()
    return (metrics.bits_per_pixel(data, picture), metrics.psnr(decoded, picture)), encoded - started, ended - encoded


def rates(pictures: dict[int, Tensor]) -> None:
    """Mean PSNR at equal rates, BD-rates and seconds."""
    curves: dict[str, dict[int, list[Point]]] = {name: {} for name in ("jpeg", "webp", "amortised")}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in curves}
    for number, picture in pictures.items():
        for name, curve in curves.items():
            curve[number] = []
            for bpp in RATES:
                try:
                    point, encoding, decoding = _point(picture, name, bpp=bpp)
                except codecs.CodecError:  # beyond what its lowest quality reaches
                    continue
                curve[number].append(point)
                seconds[name].append((encoding, decoding))
    for bpp in RATES:
        # of pictures that all three have at that rate; interpolated in log rate: files only come near one
        shared = [n for n in pictures if all(min(curve[n])[0] < 1.05 * bpp for curve in curves.values())]
        means = {
            name: fmean(float(np.interp(np.log(bpp), *zip(*[(np.log(r), p) for r, p in curve[n]], strict=True))) for n in shared)
            for name, curve in curves.items()
            if shared
        }
        shown = ", ".join(f"{name} {psnr:.2f} dB" for name, psnr in means.items())
        print(f"  {bpp:4} bpp, {len(shared)} pictures: {shown}")
    for anchor in ("jpeg", "webp"):
        each = {number: bd_rate(points, curves["amortised"][number]) for number, points in curves[anchor].items()}
        print(
            f"  BD-rate against {anchor}: {fmean(each.values()):+.1f} % ("
            + ", ".join(f"{n}: {v:+.1f}" for n, v in each.items())
            + ")"
        )
    for name, both in seconds.items():
        encoding, decoding = (median(part) for part in zip(*both, strict=True))
        print(f"  {name}: encoding with a target rate {encoding:.3f} s, decoding {decoding:.3f} s (medians)")
    started = time.process_time()
    for picture in pictures.values():
        codecs.AMORTISED.encode(picture, lmbda=1e-3, progress=False)
    print(f"  amortised: encoding at a given λ {(time.process_time() - started) / len(pictures):.3f} s (mean)\n")


def refine(pictures: dict[int, Tensor]) -> None:
    """What `REFINE_STEPS` gain at λ = 10⁻³, in dB at the refined file's rate and in bytes at its PSNR."""
    gains, saved, spent = [], [], []
    for number, picture in pictures.items():
        plain = sorted(_point(picture, "amortised", lmbda=lmbda)[0] for lmbda in (2e-4, 4e-4, 6e-4, 1e-3, 1.6e-3, 2.5e-3, 5e-3))
        rates, decibels = np.log([rate for rate, _ in plain]), [psnr for _, psnr in plain]
        (rate, psnr), seconds, _ = _point(picture, "amortised", lmbda=1e-3, iterations=REFINE_STEPS)
        gains.append(psnr - float(np.interp(np.log(rate), rates, decibels)))
        saved.append(100 * (1 - rate / float(np.exp(np.interp(psnr, decibels, rates)))))
        spent.append(seconds)
        print(f"  {number}: {gains[-1]:+.2f} dB or {saved[-1]:.1f} % fewer bytes at {rate:.2f} bpp, {seconds:.1f} s", flush=True)
    print(f"  {REFINE_STEPS} steps, {fmean(spent):.1f} s: mean {fmean(gains):+.2f} dB, {fmean(saved):.1f} % fewer bytes\n")


def looks(pictures: dict[int, Tensor]) -> None:
    """The two syntheses on the same files."""
    for bpp in (0.25, 0.4, 0.7):
        rows: dict[str, list[list[float]]] = {look: [] for look in codecs.LOOKS}
        for picture in pictures.values():
            data = codecs.AMORTISED.encode(picture, bpp=bpp, progress=False)
            for look, found in rows.items():
                decoded = _shown(codecs.decode(data, look=look))
                found.append([measure(decoded, picture) for measure in MEASURES.values()])
        for look, found in rows.items():
            values = [fmean(column) for column in zip(*found, strict=True)]
            shown = ", ".join(f"{name} {value:.4g}" for name, value in zip(MEASURES, values, strict=True))
            print(f"  {bpp} bpp, {look}: {shown}", flush=True)
    print()


MEASURES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "PSNR": metrics.psnr,
    "LPIPS-AlexNet": lambda decoded, picture: metrics.lpips(decoded, picture, network="alex"),
    "MS-SSIM": metrics.ms_ssim,
}


def bridge(pictures: dict[int, Tensor]) -> None:
    """J over seconds at λ = 10⁻³: the pass, refined for a while, and latent grids from scratch."""
    lmbda = 1e-3
    lmbda = lambda_of(step_for(lmbda))  # the nearest that a step stands for
    for name, wishes in [
        ("amortised", {}),
        *(("amortised", {"iterations": count}) for count in (12, 30, 80)),
        *(("coolchic-small", {"iterations": count}) for count in (30, 100, 300, 1000)),
        *(("coolchic-large", {"iterations": count}) for count in (100, 300)),
    ]:
        costs, spent = [], []
        for picture in pictures.values():
            (bpp, psnr), seconds, _ = _point(picture, name, lmbda=lmbda, **wishes)
            costs.append(10 ** (-psnr / 10) + lmbda * bpp)
            spent.append(seconds)
        what = ", ".join(f"{key} {value:g}" for key, value in wishes.items())
        print(f"  {name} {what}: {fmean(spent):.2f} s, 1000·J = {1000 * fmean(costs):.3f}", flush=True)
    print()


PARTS: dict[str, Callable[[dict[int, Tensor]], None]] = {"rates": rates, "refine": refine, "looks": looks, "bridge": bridge}

if __name__ == "__main__":
    main()
