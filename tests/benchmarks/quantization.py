"""From weights to bytes, six ways: PSNR and real bits per pixel of decoded files, and the seconds of packing.

    python tests/benchmarks/quantization.py [--only small,middle,pack]

Needs Kodak 3, 15 and 23 (downloaded, or in INR_DATA_DIR). One full-precision fit of a network is shared by PTQ, AdaRound and
RDOQ, which only round it, and by QAT, which goes on from it; entropy-aware QAT is `nif`'s own recipe, whose steps are as many
as those of the fit and QAT together, and RDOQ also rounds its result. All files hold the same network.
"""

from __future__ import annotations

import argparse
import copy
import functools
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import torch
from torch import Tensor, nn

from tutorial_lib import codecs, images, training
from tutorial_lib.codecs import Plan
from tutorial_lib.coding.parameters import pack_parameters, unpack_parameters
from tutorial_lib.coding.quantizers import MaxAbsQuantizer, Quantizer, RateDistortionQuantizer
from tutorial_lib.coding.rounding import AdaRound, RateDistortionRounding
from tutorial_lib.coding.steps import QuantizedTensor, storable_step
from tutorial_lib.metrics import bits_per_pixel, psnr
from tutorial_lib.networks import nif

PICTURES = (3, 15, 23)
BITS = (4, 5, 6, 7, 8)
METHODS = ("PTQ", "PTQ by rows", "AdaRound", "RDOQ", "QAT", "entropy-aware QAT", "entropy-aware QAT + RDOQ")


@dataclass(frozen=True)
class Point:
    bpp: float
    psnr: float


Curves = dict[str, list[Point]]
"""Method to a point for each of `BITS`."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas between")
    chosen = options.parse_args()
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for part in chosen.only.split(","):
        print(f"\n{part}: {PARTS[part].__doc__.splitlines()[0]}", flush=True)
        PARTS[part]()


@functools.cache
def kodak(number: int, factor: int) -> Tensor:
    return images.reduce(images.kodak(number), factor=factor)


def small() -> None:
    """192×128, Kodak 3, 15 and 23, `nif`'s network for 1 bpp; fits of 1,000 steps, 250 of QAT."""
    compare([codecs.NIF.plan(kodak(number, 4), bpp=1.0, iterations=1_250) for number in PICTURES], PICTURES, 4)


def middle() -> None:
    """384×256, Kodak 3, network "120" (14,992 weights); fits of 1,000 steps, 250 of QAT."""
    compare([codecs.NIF.plan(kodak(3, 2), bpp=1.2, config=nif.PUBLISHED["120"], iterations=1_250)], (3,), 2)


def compare(plans: Sequence[Plan], numbers: Sequence[int], factor: int) -> None:
    """Measure every method on each picture; print the means and the bytes saved."""
    measured = []
    for plan, number in zip(plans, numbers, strict=True):
        measured.append(curves(plan, kodak(number, factor)))
        print(f"  Kodak {number}, {plan.config.weights:,} weights", flush=True)
        table([measured[-1]])
    if len(measured) > 1:
        print(f"  mean of {len(measured)}")
        table(measured)
    reference = BITS.index(8)
    for method in METHODS:
        saved = [saving(of[method], of["QAT"][reference]) for of in measured]
        print(f"  {method} against 8-bit QAT at the same PSNR: {spell(saved)}", flush=True)


def curves(plan: Plan, picture: Tensor) -> Curves:
    """Files of every method at every number of bits, decoded."""
    total = sum(phase.iterations for phase in plan.recipe)
    first = replace(plan.recipe[0], iterations=total * 4 // 5, schedule=training.OneCycle())
    qat = replace(first, name="QAT", iterations=total // 5, learning_rate=first.learning_rate / 5, quantization="round")
    network = codecs.NIF.build(plan.config, plan.height, plan.width)
    training.fit(network, picture, (first,), progress=False)
    print(f"  full precision: {psnr(network.render(), picture):.2f} dB", flush=True)
    found: Curves = {method: [] for method in METHODS}

    def add(method: str, network: nn.Module, quantizer: Quantizer) -> None:
        rounded = copy.deepcopy(network)
        training.settle(quantizer, rounded, picture)
        data = codecs.NIF.pack(rounded, quantizer.steps)
        found[method].append(Point(bits_per_pixel(data, picture), psnr(codecs.NIF.decode(data, device="cpu"), picture)))

    for bits in BITS:
        roundings: dict[str, Quantizer] = {
            "PTQ": MaxAbsQuantizer(bits),
            "PTQ by rows": MaxAbsQuantizer(bits, rows=True),
            "AdaRound": MaxAbsQuantizer(bits, rounding=AdaRound()),
            "RDOQ": MaxAbsQuantizer(bits, rounding=RateDistortionRounding()),
        }
        for method, quantizer in roundings.items():
            training.calibrate(quantizer, network, picture)
            add(method, network, quantizer)
        trained, quantizer = copy.deepcopy(network), MaxAbsQuantizer(bits)
        quantizer.steps = training.fit(trained, picture, (qat,), quantizer=quantizer, progress=False).steps
        add("QAT", trained, quantizer)
        fresh = codecs.NIF.build(plan.config, plan.height, plan.width)
        aware = RateDistortionQuantizer(bits * plan.config.weights)
        aware.steps = training.fit(fresh, picture, plan.recipe, quantizer=aware, progress=False).steps
        add("entropy-aware QAT", fresh, aware)
        aware.rounding = RateDistortionRounding()
        add("entropy-aware QAT + RDOQ", fresh, aware)
    return found


def table(measured: Sequence[Curves]) -> None:
    print(f"    {'bits':<26}" + "".join(f"{bits:^18}" for bits in BITS))
    for method in METHODS:
        cells = []
        for index in range(len(BITS)):
            mean = [statistics.fmean(getattr(of[method][index], name) for of in measured) for name in ("psnr", "bpp")]
            cells.append(f"{mean[0]:6.2f} dB {mean[1]:.3f}".center(18))
        print(f"    {method:<26}" + "".join(cells), flush=True)


def saving(line: Sequence[Point], reference: Point) -> float | None:
    """The part of the reference's bytes that ``line`` saves at its PSNR, by straight lines between points of (PSNR, log bpp).

    A line that is better even at its lowest rate counts with that rate: it saves that much at least. None: it ends below.
    """
    points = sorted(line, key=lambda point: point.psnr)
    if points[-1].psnr < reference.psnr:
        return None
    logs = np.interp(reference.psnr, [point.psnr for point in points], [math.log(point.bpp) for point in points])
    return 1 - math.exp(float(logs)) / reference.bpp


def spell(saved: Sequence[float | None]) -> str:
    if any(each is None for each in saved):
        return "does not reach it with every picture"
    return f"{100 * statistics.fmean(saved):+.1f} % of the bytes saved ({', '.join(f'{100 * each:+.1f}' for each in saved)})"


def pack() -> None:
    """Seconds to pack and unpack 250,000 weights in ten tensors, median of nine; Laplace weights at three step sizes."""
    shapes = [torch.Size((250, 100))] * 10
    for spread in (4, 30, 1_000):
        random = np.random.default_rng(0)
        symbols = [np.round(random.laplace(0, spread, shape)).astype(np.int32) for shape in shapes]
        tensors = [QuantizedTensor(each, storable_step(1 / (1_000 * spread))) for each in symbols]
        for coder in ("range", "ans"):
            writing = functools.partial(pack_parameters, tensors, coder=coder)
            sections = writing()
            packing, unpacking = seconds(writing), seconds(functools.partial(unpack_parameters, *sections, shapes))
            size = sum(map(len, sections))
            print(
                f"  b = {spread} steps, {coder}: {packing:.3f} + {unpacking:.3f} = {packing + unpacking:.3f} s, {size:,} bytes",
                flush=True,
            )


def seconds(action: Callable[[], object]) -> float:
    found = []
    for _ in range(9):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


PARTS = {part.__name__: part for part in (small, middle, pack)}

if __name__ == "__main__":
    main()
