"""Is there a picture on which NIF's modulation pays? Networks of as many weights, with it and without, on two dozen pictures.

    python tests/benchmarks/modulation.py [--only search,seeds,files]

All pictures have 150×100 pixels: eight made by formulas (a chirp, ripples, a sharp patch in a smooth field …) and sixteen that
come with scikit-image. On each, two modulated networks and two plain ones, all of about 3,000 weights, are fitted for 500
steps as in notebook 03: of both kinds one whose widths fall, and another shape. The better of each pair counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import platform
import statistics
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.lessons.n03_modulated_nif import figures
from tutorial_lib.networks.nif import NifConfig

HEIGHT, WIDTH, STEPS = 100, 150, 500
FULL = NifConfig((40, 16, 11, 8), (12, 8), 10, 4)
NETWORKS = {
    "modulated, falling": FULL,
    "modulated, more of it": NifConfig((28, 14, 10, 8), (24, 16, 8), 10, 4),
    "plain, falling": figures.widest_unmodulated(FULL),
    "plain, equal": figures.widest_equal(FULL, modulated=False),
}
BEST = ("horse.png", "hubble_deep_field.jpg", "log spiral", "two stones")
"""Where modulation was ahead by more than half a decibel in the search."""

FROM_WHEEL = (
    "moon.png coins.png horse.png logo.png phantom.png page.png text.png clock_motion.png brick.png color.png rocket.jpg "
    "hubble_deep_field.jpg retina.jpg ihc.png camera.png motorcycle_left.png"
).split()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default="search,seeds,files", help="parts to run, with commas between")
    torch.set_num_threads(1)
    print(f"{date.today()}, {platform.machine()}, torch {torch.__version__}, one thread", flush=True)
    for part in options.parse_args().only.split(","):
        print(f"\n{part}: {PARTS[part].__doc__}", flush=True)
        PARTS[part]()


def search() -> None:
    """Every picture, one seed: PSNR before rounding, and the lead of the better modulated network on the better plain one."""
    leads, widths = [], []
    for name in pictures():
        found = {kind: figures.fitted_psnr(config, pictures()[name], STEPS) for kind, config in NETWORKS.items()}
        leads.append(lead(found))
        widths.append(found["plain, falling"] - found["plain, equal"])
        print(f"  {leads[-1]:+.2f} dB {name}: " + ", ".join(f"{kind} {psnr:.2f}" for kind, psnr in found.items()), flush=True)
    for what, some in (("modulation", leads), ("falling widths, both plain", widths)):
        above, below = sum(each > 0.5 for each in some), sum(each < -0.5 for each in some)
        print(f"  {what}: median {statistics.median(some):+.2f} dB; above +0.5: {above} of {len(some)}, below −0.5: {below}")


def seeds() -> None:
    """The best of the search with three seeds: mean PSNR of each network, and its range."""
    for name in BEST:
        found = {
            kind: [figures.fitted_psnr(config, pictures()[name], STEPS, seed) for seed in range(3)]
            for kind, config in NETWORKS.items()
        }
        means = {kind: statistics.fmean(some) for kind, some in found.items()}
        said = ", ".join(f"{kind} {means[kind]:.2f} ({min(some):.2f} to {max(some):.2f})" for kind, some in found.items())
        print(f"  {lead(means):+.2f} dB {name}: {said}", flush=True)


def files() -> None:
    """The two best as files of at most 1.1 bits per pixel, 1,500 steps, three seeds."""
    kinds = ("modulated, falling", "plain, falling", "plain, equal")
    for name, kind in itertools.product(("hubble_deep_field.jpg", "horse.png"), kinds):
        rates, qualities = [], []
        for seed in range(3):
            plan = codecs.NIF.plan(pictures()[name], config=NETWORKS[kind], bpp=1.1, budget="laptop", iterations=1500)
            data = codecs.NIF.execute(plan, pictures()[name], seed=seed, progress=False).data
            rates.append(metrics.bits_per_pixel(data, pictures()[name]))
            qualities.append(metrics.psnr(codecs.decode(data), pictures()[name]))
        said = ", ".join(f"{quality:.2f} dB at {rate:.3f}" for rate, quality in zip(rates, qualities, strict=True))
        means = f"{statistics.fmean(qualities):.2f} dB at {statistics.fmean(rates):.3f} bpp"
        print(f"  {name}, {kind}: {said}; mean {means}", flush=True)


def lead(found: dict[str, float]) -> float:
    """Of the better modulated network on the better plain one, in dB."""
    modulated, plain = (max(psnr for kind, psnr in found.items() if kind.startswith(word)) for word in ("modulated", "plain"))
    return modulated - plain


@cache
def pictures() -> dict[str, Tensor]:
    """Name to picture (3, 100, 150)."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return formulas() | {name: covering(images.load(folder / name)) for name in FROM_WHEEL}


def covering(picture: Tensor) -> Tensor:
    """The middle of a picture, 3:2, at 150×100."""
    height, width = picture.shape[1:]
    wide, high = min(width, height * 3 // 2), min(height, width * 2 // 3)
    middle = images.crop(picture, (height - high) // 2, (width - wide) // 2, high, wide)
    return images.resize(middle, (HEIGHT, WIDTH))


def formulas() -> dict[str, Tensor]:
    """Waves whose speed changes from place to place, and sharp things in smooth fields."""
    x, y = images.canvas(HEIGHT, WIDTH, device="cpu").unbind(-1)
    y = y * 2 / 3
    radius, right, left = torch.hypot(x, y), torch.hypot(x - 0.4, y), torch.hypot(x + 0.5, y - 0.2)
    disc = torch.sigmoid(60 * (0.3 - torch.hypot(x - 0.3, y + 0.1)))
    depth = 1 / (0.9 + y)
    floor = torch.tanh(4 * torch.sin(14 * x * depth) * torch.sin(14 * depth)) * torch.exp(-0.4 * (depth - 1))
    waves = {
        "zone plate": 0.5 + 0.5 * torch.cos(55 * radius**2),
        "chirp": 0.5 + 0.5 * torch.cos(80 * ((x + 1) / 2) ** 2),
        "striped disc": (1 - disc) * (0.5 + 0.3 * x - 0.2 * y) + disc * (0.5 + 0.5 * torch.sin(90 * x + 40 * y)),
        "ripples": 0.5 + 0.5 * torch.cos(60 * right) * torch.exp(-2.5 * right),
        "two stones": 0.5 + 0.25 * torch.cos(50 * torch.hypot(x - 0.5, y)) + 0.25 * torch.cos(50 * left),
        "bent stripes": 0.5 + 0.5 * torch.sin(40 * (x + 0.15 * torch.sin(5 * y) + 0.1 * torch.sin(4 * x))),
        "log spiral": 0.5 + 0.5 * torch.sin(10 * torch.log(radius + 0.05) + 3 * torch.atan2(y, x)),
        "perspective floor": 0.5 + 0.5 * floor,
    }
    light, dark = (torch.tensor(each)[:, None, None] for each in ((0.95, 0.85, 0.6), (0.1, 0.25, 0.45)))
    return {name: (dark + (light - dark) * wave).clamp(0, 1) for name, wave in waves.items()}


PARTS: dict[str, Callable[[], None]] = {part.__name__: part for part in (search, seeds, files)}

if __name__ == "__main__":
    main()
