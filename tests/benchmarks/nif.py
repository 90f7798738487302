"""NIF by its authors' recipe and by ours: quality and seconds from one run on one machine, from decoded files.

    python tests/benchmarks/nif.py [--only small,authors,middle,large,practical,candidates,costs,decode] [--full]

Needs Kodak 3, 15 and 23 (downloaded, or in INR_DATA_DIR). `published` is written as efficiently as ours: the same fit loop,
cached encodings, fused sines and optimizer. At 768×512 it takes half an hour, so by default its seconds are projected
there from 40 timed steps; ``--full`` runs it to the end.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from tutorial_lib import codecs, images, training
from tutorial_lib.codecs import Plan
from tutorial_lib.coding.quantizers import Quantizer, RateDistortionQuantizer
from tutorial_lib.metrics import bits_per_pixel, psnr
from tutorial_lib.networks import nif
from tutorial_lib.training import Constant, canvases

PICTURES = (3, 15, 23)

AUTHORS = {3: (43.25, 5.33, 145), 15: (40.91, 5.28, 147), 23: (41.34, 5.18, 153)}
"""(dB, bpp, s) of the authors' own program for "120-reduced" at 192×128, on two cores of the same kind of machine."""


@dataclass(frozen=True)
class Run:
    seconds: float
    bpp: float
    psnr: float

    def __str__(self) -> str:
        return f"{self.psnr:.2f} dB at {self.bpp:.3f} bpp in {self.seconds:.1f} s"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas between")
    options.add_argument("--full", action="store_true", help="run `published` at 768×512 to its end")
    chosen = options.parse_args()
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    encode(shorten(plan(kodak(3, 4), bpp=1.0), 60), kodak(3, 4))  # imports and first calls
    for part in chosen.only.split(","):
        print(f"\n{part}: {PARTS[part].__doc__.splitlines()[0]}", flush=True)
        if part == "large":
            large(full=chosen.full)
        else:
            PARTS[part]()


@functools.cache
def kodak(number: int, factor: int = 1) -> Tensor:
    return images.reduce(images.kodak(number), factor=factor) if factor > 1 else images.kodak(number)


def plan(picture: Tensor, **options) -> Plan:
    return codecs.NIF.plan(picture, budget="laptop", **options)


def encode(plan: Plan, picture: Tensor, quantizer: Quantizer | None = None) -> Run:
    started = time.perf_counter()
    data = codecs.NIF.execute(plan, picture, progress=False, quantizer=quantizer).data
    seconds = time.perf_counter() - started
    return Run(seconds, bits_per_pixel(data, picture), psnr(codecs.NIF.decode(data).cpu(), picture))


def shorten(plan: Plan, iterations: int) -> Plan:
    """The plan with its phases scaled to ``iterations`` in all."""
    total = sum(phase.iterations for phase in plan.recipe)
    scaled = [replace(phase, iterations=round(phase.iterations * iterations / total)) for phase in plan.recipe]
    return replace(plan, recipe=tuple(scaled))


def compare(label: str, theirs: Run, ours: Run) -> None:
    print(
        f"  {label}: published {theirs}; fast {ours}: {ours.psnr - theirs.psnr:+.2f} dB, "
        f"{ours.bpp / theirs.bpp:.2f} of the bytes, 1/{theirs.seconds / ours.seconds:.1f} of the time",
        flush=True,
    )


def small() -> None:
    """192×128, network "120-reduced": published (6,800 steps), fast (1,400 and 700)."""
    for number in PICTURES:
        picture, config = kodak(number, 4), nif.PUBLISHED["120-reduced"]
        theirs = encode(plan(picture, config=config, method="published"), picture)
        for iterations in (1_400, 700):
            ours = encode(shorten(plan(picture, config=config, bpp=theirs.bpp), iterations), picture)
            compare(f"Kodak {number}, {iterations} steps", theirs, ours)


def authors() -> None:
    """192×128, network "120-reduced": fast, in no more bytes than the authors' own file, in a tenth of their program's time."""
    for number, (quality, rate, took) in AUTHORS.items():
        picture = kodak(number, 4)
        ours = encode(plan(picture, config=nif.PUBLISHED["120-reduced"], bpp=rate, iterations=700), picture)
        print(
            f"  Kodak {number}: authors' program {quality:.2f} dB at {rate:.3f} bpp in {took} s; fast {ours}: "
            f"{ours.psnr - quality:+.2f} dB, {ours.seconds / took:.2f} of the time",
            flush=True,
        )


def middle() -> None:
    """384×256, network "120-reduced": published (6,800 steps) and fast (1,400)."""
    picture, config = kodak(3, 2), nif.PUBLISHED["120-reduced"]
    theirs = encode(plan(picture, config=config, method="published"), picture)
    compare("Kodak 3", theirs, encode(shorten(plan(picture, config=config, bpp=theirs.bpp), 900), picture))


def large(full: bool = False) -> None:
    """768×512, network "120": published (6,800 steps) and fast (1,300)."""
    picture, config = kodak(3), nif.PUBLISHED["120"]
    theirs = plan(picture, config=config, method="published")
    ours = shorten(plan(picture, config=config, bpp=0.273), 1_300)
    if full:
        compare("Kodak 3", encode(theirs, picture), encode(ours, picture))
        return
    seconds = projected(theirs, picture)
    run = encode(ours, picture)
    print(f"  Kodak 3: published {seconds:.0f} s (projected); fast {run}: 1/{seconds / run.seconds:.0f} of the time")


def projected(plan: Plan, picture: Tensor) -> float:
    """Seconds of a recipe whose phases all cost about the same a step, from 40 steps of the first."""
    first = replace(plan.recipe[0], iterations=40)
    network = nif.Nif(plan.config, plan.height, plan.width)
    training.fit(network, picture, (replace(first, iterations=2),), progress=False)
    seconds = training.fit(network, picture, (first,), progress=False).seconds
    return seconds / 40 * sum(phase.iterations for phase in plan.recipe)


def practical() -> None:
    """About 1 bpp at 192×128: fast in at most a tenth of published's time, the same and our own network."""
    for number in PICTURES:
        picture, config = kodak(number, 4), nif.PUBLISHED["celeba-0_78"]
        theirs = encode(plan(picture, config=config, method="published"), picture)
        same = shorten(plan(picture, config=config, bpp=theirs.bpp), 500)
        compare(f"Kodak {number}, same network", theirs, encode(same, picture))
        compare(f"Kodak {number}, our network", theirs, encode(shorten(plan(picture, bpp=theirs.bpp), 500), picture))
    print(f"  Kodak 3, 0.95 bpp, default settings: {encode(plan(kodak(3, 4), bpp=0.95), kodak(3, 4))}", flush=True)


def unrated(plan: Plan) -> Quantizer:
    """The plan's quantizer, but without the rate in the loss."""
    return RateDistortionQuantizer(codecs.NIF.family.quantizer(plan, None).target_bits, rated=False)


def candidates() -> None:
    """What each part of fast gives at 0.95 bpp, 192×128, 800 steps: PSNR with it replaced (mean of three pictures)."""

    def change(**values) -> Callable[[Plan], Plan]:
        return lambda plan: replace(plan, recipe=tuple(replace(phase, **values) for phase in plan.recipe))

    def late(plan: Plan) -> Plan:
        """Full precision for as long as the noise was on, then straight-through rounding."""
        first, noise, last = plan.recipe
        fit = replace(first, iterations=first.iterations + noise.iterations)
        return replace(plan, recipe=(fit, replace(last, calibrate_every=50)))

    whole = change(points=None)
    rows: dict[str, tuple[Callable[[Plan], Plan], Callable[[Plan], Quantizer] | None]] = {
        "fast": (lambda plan: plan, None),
        "Adam 2e-3": (change(optimizer="adam", learning_rate=2e-3), None),
        "Adam 5e-3": (change(optimizer="adam", learning_rate=5e-3), None),
        "constant learning rate": (change(schedule=Constant()), None),
        "short warm-up (a tenth)": (change(schedule=training.OneCycle(warm_up=0.1)), None),
        "whole picture, 200 steps": (lambda plan: whole(shorten(plan, 200)), None),
        "no rate in the loss": (lambda plan: plan, unrated),
        "no noise phase": (late, None),
        "log-cosh+ssim": (change(loss="log-cosh+ssim"), None),
    }
    for label, (alter, quantizer) in rows.items():
        plans = {n: alter(shorten(plan(kodak(n, 4), bpp=0.95), 800)) for n in PICTURES}
        runs = [encode(each, kodak(n, 4), quantizer and quantizer(each)) for n, each in plans.items()]
        means = [statistics.fmean(getattr(run, name) for run in runs) for name in ("psnr", "bpp", "seconds")]
        print(f"  {label}: {means[0]:.2f} dB at {means[1]:.3f} bpp in {means[2]:.1f} s", flush=True)


def costs() -> None:
    """Milliseconds of a step on 6,000 points, network "120-reduced", with and without what makes it cheap."""
    picture, config = kodak(3, 4), nif.PUBLISHED["120-reduced"]
    recipe = (replace(plan(picture, config=config, bpp=5.0).recipe[0], iterations=150),)

    def milliseconds() -> float:
        network = nif.Nif(config, *picture.shape[1:])
        return 1e3 * min(training.fit(network, picture, recipe, progress=False).seconds for _ in range(3)) / 150

    fused, cached, threads = nif.modulated_sine, canvases.CACHE_BYTES, torch.get_num_threads()
    print(f"  as it is: {milliseconds():.1f}")
    nif.modulated_sine = lambda z, m: torch.sin(m * z)
    print(f"  sines by PyTorch's own operations: {milliseconds():.1f}")
    nif.modulated_sine = fused
    canvases.CACHE_BYTES = 0
    print(f"  encodings computed again in every step: {milliseconds():.1f}")
    canvases.CACHE_BYTES = cached
    torch.set_num_threads(1)
    print(f"  one thread: {milliseconds():.1f}")
    torch.set_num_threads(threads)


def decode() -> None:
    """Seconds and peak memory of decoding 768×512, network "120", in a process of its own (barely trained, which is as slow)."""
    quick = plan(kodak(3), config=nif.PUBLISHED["120"], iterations=12)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.inr"
        file.write_bytes(codecs.NIF.execute(quick, kodak(3), progress=False).data)
        subprocess.run([sys.executable, "-c", DECODING, str(file)], check=True)


DECODING = """
import resource, statistics, sys, time
from pathlib import Path
from tutorial_lib import codecs

data, seconds = Path(sys.argv[1]).read_bytes(), []
for _ in range(5):
    started = time.perf_counter()
    codecs.decode(data)
    seconds.append(time.perf_counter() - started)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
print(f"  first {seconds[0]:.2f} s, median {statistics.median(seconds):.2f} s, peak {used:.0f} MB, Python and PyTorch included")
"""


PARTS = {part.__name__: part for part in (small, authors, middle, large, practical, candidates, costs, decode)}

if __name__ == "__main__":
    main()
