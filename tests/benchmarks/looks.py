"""Two looks of one stream: texture look against structure look of the same files, and what each part of the loss does.

    INR_DATA_DIR=… TORCH_HOME=… python tests/benchmarks/looks.py --folder out             # the six Kodak pictures at 384×256
    … --pictures 15 24 --factor 1 --lmbda 4e-3                                          # 768×512

Files are `coolchic-small`'s (made here where the folder lacks them: 1,200 steps, λ so that they take 0.25 to 0.44 bpp), looks
take the laptop budget's steps. LPIPS is AlexNet's, which nothing is trained on; NIQE at 384×256 has 8 patches and is noisy. The
two rows "grain" are the control that every such table needs: untrained grey noise over the base, σ = 0.01, and as loud as lets
PSNR fall by what the default look may cost.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.looks import retouch
from tutorial_lib.latents.texture import noise
from tutorial_lib.niqe import niqe
from tutorial_lib.perception import DEFAULT_LOOK, PAPER_STRUCTURE, PAPER_TEXTURE, Look
from tutorial_lib.training.looks import ITERATIONS

LAMBDAS = {1: 8e-3, 5: 1.5e-2, 8: 1.5e-2, 15: 4e-3, 18: 7e-3, 24: 7e-3}

JUDGE = PAPER_STRUCTURE.adversarial_weight

LOOKS = {
    "default": DEFAULT_LOOK,
    "no noise": replace(DEFAULT_LOOK, noise=False),
    "no perceptual term": replace(DEFAULT_LOOK, perception="none", adversarial_weight=JUDGE),
    "with the judge": replace(DEFAULT_LOOK, adversarial_weight=JUDGE),
    "40 : 0 : 0": Look(perception="none", adversarial_weight=0.0),
    "40 : 0.5 : 0": Look(perceptual_weight=0.5, adversarial_weight=0.0),
    "40 : 0.5 : 0.005": Look(perceptual_weight=0.5),
    "paper, structure": PAPER_STRUCTURE,
    "paper, texture": PAPER_TEXTURE,
    "paper, features + noise": replace(PAPER_STRUCTURE, noise=True),
}
"""The default and its variants, all at the default's price; fixed weights (squared error : wavelets : judge); the paper's."""


def base_file(folder: Path, name: str, number: int, picture: Tensor, lmbda: float, steps: int) -> bytes:
    """A file of the codec, made once."""
    file = folder / f"{name}-{number}.inr"
    if not file.exists():
        how = {"lmbda": lmbda, "iterations": steps, "device": "cpu", "progress": False}
        file.write_bytes(codecs.get(name).encode(picture, **how))
    return file.read_bytes()


def row(kind: str, number: int, decoded: Tensor, picture: Tensor, size: int, extra: int, seconds: float) -> dict[str, object]:
    """What is measured of a decoded picture."""
    return {
        "look": kind,
        "picture": number,
        "bytes": size,
        "extra": extra,
        "psnr": metrics.psnr(decoded, picture),
        "lpips": metrics.lpips(decoded, picture),
        "niqe": abs(niqe(decoded) - niqe(picture)),
        "ssimulacra2": metrics.ssimulacra2(decoded, picture),
        "seconds": seconds,
    }


def show(rows: list[dict[str, object]]) -> None:
    """The rows, and the mean of each look over its pictures beside that of the same pictures' base."""
    for kind in dict.fromkeys(each["look"] for each in rows):
        own = [each for each in rows if each["look"] == kind]
        base = [each for each in rows if each["look"] == "base" and each["picture"] in {o["picture"] for o in own}]

        def mean(name: str, group: list[dict[str, object]]) -> float:
            return sum(float(str(each[name])) for each in group) / len(group)

        less = mean("lpips", own) / mean("lpips", base) - 1
        print(
            f"{kind:<24} {len(own)} pictures  PSNR {mean('psnr', own):6.2f} ({mean('psnr', own) - mean('psnr', base):+.2f})"
            f"  LPIPS {mean('lpips', own):.4f} ({less:+.1%})  |NIQE − original's| {mean('niqe', own):.2f}"
            f" ({mean('niqe', own) / mean('niqe', base):.2f}×)  SSIMULACRA2 {mean('ssimulacra2', own):5.1f}"
            f"  bytes +{mean('extra', own):.0f} ({mean('extra', own) / mean('bytes', own):.1%}), {mean('seconds', own):.0f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("looks"))
    parser.add_argument("--codec", default="coolchic-small")
    parser.add_argument("--pictures", type=int, nargs="+", default=list(LAMBDAS))
    parser.add_argument("--factor", type=int, default=2)
    parser.add_argument("--lmbda", type=float)
    parser.add_argument("--looks", nargs="+", default=list(LOOKS))
    parser.add_argument("--iterations", type=int, default=ITERATIONS["laptop"])
    parser.add_argument("--base-steps", type=int, default=1200, help="of files that the folder lacks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="round to the nearest, not by curvature")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True, parents=True)
    rows: list[dict[str, object]] = []

    def add(*values: Any) -> None:
        rows.append(row(*values))
        print({name: round(value, 4) if isinstance(value, float) else value for name, value in rows[-1].items()}, flush=True)

    files: dict[int, tuple[Tensor, bytes]] = {}
    for number in options.pictures:
        picture = images.reduce(images.kodak(number), factor=options.factor) if options.factor > 1 else images.kodak(number)
        data = base_file(options.folder, options.codec, number, picture, options.lmbda or LAMBDAS[number], options.base_steps)
        files[number] = picture, data
        base = codecs.decode(data, device="cpu")
        add("base", number, base, picture, len(data), 0, 0.0)
        # as loud as lets PSNR fall by the default look's price
        priced = (float(F.mse_loss(base, picture)) * (10 ** ((DEFAULT_LOOK.price or 0.0) / 10) - 1)) ** 0.5
        for kind, deviation in (("grain", 0.01), ("grain, same price", priced)):
            grain = deviation * noise(options.seed, *picture.shape[1:])[:1]
            add(kind, number, (base + grain).clamp(0, 1), picture, len(data), 0, 0.0)
    for kind in options.looks:
        for number, (picture, data) in files.items():
            start = time.process_time()
            how = {
                "iterations": options.iterations,
                "seed": options.seed,
                "device": "cpu",
                "progress": False,
                "thorough": not options.quick,
            }
            made = retouch(data, picture, LOOKS[kind], **how).data
            seconds = time.process_time() - start
            texture = codecs.decode(made, look="texture", device="cpu")
            images.save(texture, options.folder / f"{number}-{kind.replace(' ', '_')}.png")
            add(kind, number, texture, picture, len(data), len(made) - len(data), seconds)
        show(rows)
        with (options.folder / "looks.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
