"""The first codecs against their published recipes and against JPEG: ratios from one run on one machine.

    python tests/benchmarks/first_codecs.py [--only tutorial,coin,optimizer,jpeg,decode]

Needs Kodak 3 and 15 (downloaded, or in INR_DATA_DIR). PSNR and bytes are of the real, decoded file; seconds are of
the whole encode, in turn, at the same number of threads. `published` is written as efficiently as ours (full batch,
cached encodings). Takes about 6 minutes on two cores.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from datetime import date

import torch
from torch import Tensor

from tutorial_lib import codecs, images
from tutorial_lib.codecs import Codec, Plan
from tutorial_lib.metrics import bits_per_pixel, psnr
from tutorial_lib.networks.siren import SirenConfig


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas between")
    parts = options.parse_args().only.split(",")
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    warm_up()
    for part in parts:
        PARTS[part]()


def warm_up() -> None:
    """Imports and first calls, so that the first measurement doesn't pay for them."""
    run(codecs.SIREN, codecs.SIREN.plan(small(3), bpp=1.0, budget="quick"), small(3))


def small(number: int) -> Tensor:
    """A Kodak picture reduced to 192×128."""
    return images.reduce(images.kodak(number), factor=4)


def run(codec: Codec, plan: Plan, picture: Tensor) -> tuple[float, float, float]:
    """(seconds of encoding, bpp and PSNR of the decoded file)."""
    started = time.perf_counter()
    data = codec.execute(plan, picture, progress=False).data
    seconds = time.perf_counter() - started
    return seconds, bits_per_pixel(data, picture), psnr(codec.decode(data).cpu(), picture)


def shorten(plan: Plan, iterations: int) -> Plan:
    """The plan with its phases scaled to ``iterations`` in all."""
    total = sum(phase.iterations for phase in plan.recipe)
    scaled = [replace(phase, iterations=round(phase.iterations * iterations / total)) for phase in plan.recipe]
    return replace(plan, recipe=tuple(scaled))


def tutorial() -> None:
    """The ICIP 2024 tutorial's network and recipe, and the same network fitted in at most twice the time."""
    print("66→128→128→128→3 at 192×128: `published` (120 iterations, Adam) and ours (640 iterations)")
    codec, config = codecs.SIREN, SirenConfig(width=128)
    for number in (3, 15):
        picture = small(number)
        theirs = run(codec, codec.plan(picture, method="published"), picture)
        plan = codec.plan(picture, bpp=theirs[1], budget="laptop", config=config)
        report(f"Kodak {number}", theirs, run(codec, shorten(plan, 640), picture))


def coin() -> None:
    """COIN 5×20 for 10,000 iterations, and the same network by `fast`."""
    print("COIN 5×20 at 192×128: `published` (10,000 iterations, Adam 2·10⁻⁴, float16) and ours (1,500)")
    codec = codecs.COIN
    config = replace(codec.family.template, width=20, sine_layers=5)
    for number in (3, 15):
        picture = small(number)
        theirs = run(codec, shorten(codec.plan(picture, method="published", config=config), 10_000), picture)
        plan = codec.plan(picture, bpp=0.75, budget="laptop", config=config)
        report(f"Kodak {number}", theirs, run(codec, shorten(plan, 1_500), picture))


def optimizer() -> None:
    """What chose the default optimizer: the same recipe with Adam at three rates, in twice the steps."""
    print("`siren` at 1 bpp, 192×128: Adam (3,000 iterations, the best of three rates), and SOAP (1,500)")
    for number in (3, 15):
        picture = small(number)
        plan = codecs.SIREN.plan(picture, bpp=1.0, budget="laptop")
        adam = []
        for rate in (2e-3, 5e-3, 1e-2):
            phases = [replace(phase, optimizer="adam", learning_rate=rate) for phase in plan.recipe]
            adam.append(run(codecs.SIREN, shorten(replace(plan, recipe=tuple(phases)), 3_000), picture))
        best = max(adam, key=lambda side: side[2])
        report(f"Kodak {number}", best, run(codecs.SIREN, shorten(plan, 1_500), picture))


def jpeg() -> None:
    """`siren` with default settings at 1 bpp against JPEG 4:2:0 at no lower rate."""
    print("1 bpp at 192×128: JPEG 4:2:0 and `siren` with its default settings")
    for number in (3, 15):
        picture = small(number)
        data = codecs.get("jpeg").encode(picture, bpp=1.02)
        theirs = (0.0, bits_per_pixel(data, picture), psnr(codecs.get("jpeg").decode(data), picture))
        report(f"Kodak {number}", theirs, run(codecs.SIREN, codecs.SIREN.plan(picture, bpp=1.0), picture))


def decode() -> None:
    """Seconds to decode a 768×512 picture, for the default rate and for the tutorial's large network."""
    print("decoding 768×512 (a network's weights don't change its time: these are untrained)")
    picture = images.kodak(3)
    for label, plan in (
        ("0.3 bpp", codecs.SIREN.plan(picture, bpp=0.3, budget="quick")),
        ("width 128", codecs.SIREN.plan(picture, budget="quick", config=SirenConfig(width=128))),
    ):
        data = codecs.SIREN.execute(shorten(plan, 6), picture, progress=False).data
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            codecs.decode(data)
            seconds.append(time.perf_counter() - started)
        print(f"  {label}: {plan.config.weights:,} weights, median {sorted(seconds)[2]:.2f} s")


def report(label: str, theirs: tuple[float, float, float], ours: tuple[float, float, float]) -> None:
    """One line: both sides, the ratio of the seconds, the difference in dB and the ratio of the bytes."""
    ratio = f", {ours[0] / theirs[0]:.2f} of the time" if theirs[0] else ""
    print(
        f"  {label}: {theirs[2]:.2f} dB at {theirs[1]:.3f} bpp in {theirs[0]:.1f} s; "
        f"ours {ours[2]:.2f} dB at {ours[1]:.3f} bpp in {ours[0]:.1f} s: "
        f"{ours[2] - theirs[2]:+.2f} dB, {ours[1] / theirs[1]:.2f} of the bytes{ratio}",
        flush=True,
    )


PARTS = {"tutorial": tutorial, "coin": coin, "optimizer": optimizer, "jpeg": jpeg, "decode": decode}

if __name__ == "__main__":
    main()
