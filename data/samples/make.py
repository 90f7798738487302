"""Makes the small files that the notebooks decode.

python data/samples/make.py                        # all of them: three quarters of an hour on two cores
python data/samples/make.py coffee-nif-1.4.inr     # some
"""

import sys
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.looks import retouch
from tutorial_lib.codecs.recipes import modern, published_v1
from tutorial_lib.training import GridRecipe

FACE = (24, 120, 192, 240)
"""Chelsea the cat's face: top, left, height, width in the sample picture of scikit-image (CC0)."""


def chelsea() -> Tensor:
    """The face of Chelsea the cat, 240×192."""
    return images.crop(images.sample("chelsea"), *FACE)


def coffee() -> Tensor:
    """The cup of coffee of notebooks 02 and 03, 150×100."""
    return images.reduce(images.sample("coffee"), factor=4)


def small_cat() -> Tensor:
    """All of Chelsea the cat, 300×200: large enough for MS-SSIM."""
    return images.reduce(images.sample("chelsea"), size=(200, 300))


FILES = {
    "chelsea.inr": ("siren", chelsea, {"bpp": 0.9}),  # notebook 00
    # notebook 03: curves beside the reader's own point
    "coffee-coin-0.5.inr": ("coin", coffee, {"bpp": 0.5}),
    "coffee-coin-0.9.inr": ("coin", coffee, {"bpp": 0.9}),
    "coffee-coin-1.4.inr": ("coin", coffee, {"bpp": 1.4}),
    "coffee-coin-2.0.inr": ("coin", coffee, {"bpp": 2.0}),
    "coffee-nif-0.5.inr": ("nif", coffee, {"bpp": 0.5}),
    "coffee-nif-1.4.inr": ("nif", coffee, {"bpp": 1.4}),
    "coffee-nif-2.0.inr": ("nif", coffee, {"bpp": 2.0}),
    "coffee-nif-published.inr": ("nif", coffee, {"bpp": 2.0, "method": "published"}),
    # notebook 05: five losses at one rate, to be judged blind; a λ where steering would have taken half as many steps again
    "chelsea-loss-l1.inr": ("coolchic-v1", small_cat, {"lmbda": 0.0245, "loss": "l1", "iterations": 1500}),
    "chelsea-loss-mse.inr": ("coolchic-v1", small_cat, {"bpp": 0.5, "loss": "mse", "iterations": 1500}),
    "chelsea-loss-log-cosh.inr": ("coolchic-v1", small_cat, {"bpp": 0.5, "loss": "log-cosh", "iterations": 1500}),
    "chelsea-loss-log-cosh+ssim.inr": ("coolchic-v1", small_cat, {"lmbda": 0.0041, "loss": "log-cosh+ssim", "iterations": 1500}),
    "chelsea-loss-l1+ssim.inr": ("coolchic-v1", small_cat, {"bpp": 0.5, "loss": "l1+ssim", "iterations": 1500}),
}
"""File to codec, picture and options of `encode`; budget laptop, seed 0, on the CPU."""


def cat() -> Tensor:
    """All of Chelsea the cat, 451×300: large enough that the networks' bytes don't decide."""
    return images.sample("chelsea")


def ladder(steps: int) -> dict[str, GridRecipe]:
    """Recipes from COOL-CHIC v1's to ours, of as many steps: no warm-ups. Notebook 04 says what changes from one to the next."""
    noise = replace(published_v1(steps), candidates=(), warm_up=None)
    ours = modern(steps)
    main = replace(noise.phases[0], name="soft rounding", quantization="soft-round", patience=None)
    soap = replace(ours, gains="learned", start="zeros")
    return {
        "noise": noise,
        "soft": replace(noise, phases=(main, replace(ours.phases[1], optimizer="adam"))),
        # what SOAP is worth alone: its schedules and no clipping, with Adam at the rate of the rungs before
        "adam": replace(
            soap, phases=tuple(replace(p, optimizer="adam") for p in (replace(ours.phases[0], network_rate=1e-2), ours.phases[1]))
        ),
        "soap": soap,
        "gain": replace(ours, start="zeros"),
        "pyramid": replace(ours, start="pyramid"),
    }


def table() -> Tensor:
    """The cup on its table, 384×256."""
    return images.crop(images.sample("coffee"), 72, 108, 256, 384)


RUNGS = ladder(1000)
GRIDS = {
    # notebook 04: the file that is opened, and the curve beside the reader's own point
    "coffee-coolchic-0.5.inr": ("coolchic-small", coffee, {"bpp": 0.5}, modern(2000)),
    "coffee-coolchic-0.9.inr": ("coolchic-small", coffee, {"bpp": 0.9}, modern(2000)),
    "coffee-coolchic-1.4.inr": ("coolchic-small", coffee, {"bpp": 1.4}, modern(2000)),
    "coffee-coolchic-2.0.inr": ("coolchic-small", coffee, {"bpp": 2.0}, modern(2000)),
    # and a ladder
    "chelsea-1-v1.inr": ("coolchic-v1", cat, {"lmbda": 1e-3}, RUNGS["noise"]),
    "chelsea-2-v2.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["noise"]),
    "chelsea-3-soft.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["soft"]),
    "chelsea-4-adam.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["adam"]),
    "chelsea-4-soap.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["soap"]),
    "chelsea-5-gain.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["gain"]),
    "chelsea-6-pyramid.inr": ("coolchic-v2", cat, {"lmbda": 1e-3}, RUNGS["pyramid"]),
    # notebook 08: both looks in one file
    "coffee-two-looks.inr": ("coolchic-small", table, {"lmbda": 8e-3}, modern(1200)),
}
"""File to codec, picture, options of `plan` and the recipe that is carried out; seed 0, on the CPU."""


def encode(name: str, picture: Tensor) -> bytes:
    """The bytes of a file of `FILES` or `GRIDS`."""
    if name == "coffee-two-looks.inr":
        base = codecs.get("coolchic-small").encode(picture, lmbda=8e-3, iterations=1200, device="cpu", progress=False)
        return retouch(base, picture, iterations=120, seed=8, device="cpu", progress=False, thorough=False).data
    if name in FILES:
        codec, _, options = FILES[name]
        return codecs.get(codec).encode(picture, **options, budget="laptop", seed=0, device="cpu")
    codec, _, options, recipe = GRIDS[name]
    plan = replace(codecs.get(codec).plan(picture, **options, budget="laptop"), recipe=recipe)
    return codecs.get(codec).execute(plan, picture, seed=0, device="cpu", progress=False).data


def main(names: list[str]) -> None:
    for name in names or [*FILES, *GRIDS]:
        picture = (FILES.get(name) or GRIDS[name])[1]()
        data = encode(name, picture)
        (Path(__file__).parent / name).write_bytes(data)
        psnr = metrics.psnr(codecs.decode(data, device="cpu"), picture)
        print(f"{name}: {len(data)} bytes, {metrics.bits_per_pixel(data, picture):.3f} bpp, {psnr:.2f} dB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
