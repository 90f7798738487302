"""Figures and small experiments of notebook 08 that would stand in the reader's way there."""

from __future__ import annotations

import csv
from collections.abc import Callable

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import images, metrics, plots
from tutorial_lib.course import drawing, live
from tutorial_lib.latents.texture import Texture, mixed, noise
from tutorial_lib.niqe import niqe
from tutorial_lib.perception import Look
from tutorial_lib.runtime import data_path
from tutorial_lib.training.looks import train_look


def coffee() -> Tensor:
    """The cup on its table, (3, 256, 384)."""
    return images.crop(images.sample("coffee"), 72, 108, 256, 384)


# ---------------------------------------------------------------------------------------------- 08.1


@matplotlib.rc_context(plots.STYLE)
def judge_figure(loss: Callable[..., Tensor], owner: str) -> plots.Shown:
    """The judge's loss when its values for the picture and the painted one lie apart, and when both move."""

    def value(real: float, fake: float) -> float:
        judged = {0: torch.tensor([real]), 1: torch.tensor([fake])}
        tensors = torch.zeros(1), torch.ones(1), torch.zeros(1)
        return float(loss(lambda picture, base: judged[int(picture[0])], *tensors))

    steps = np.linspace(-4, 4, 41)
    apart, both = [value(float(s), 0.0) for s in steps], [value(float(s), float(s)) for s in steps]
    made, axes = plots.figure(8, 3.8)
    axes.plot(steps, apart, label="only the original's value moves")
    axes.plot(steps, both, "--", label="both values move together")
    axes.set(xlabel="judge's value", ylabel="judge's loss", title=f"What the judge wants ({owner})")
    axes.legend()
    alt = (
        f"The judge's loss falls from {apart[0]:.1f} to {apart[-1]:.1f} as the original's value rises beside a painted "
        f"picture's 0; moving both together it stays at {both[0]:.1f}."
    )
    return plots.show(made, alt)


# ---------------------------------------------------------------------------------------------- 08.2


def fabrics() -> dict[str, Tensor]:
    """A woven cloth, the same cloth moved by half a thread, and none: grey (3, 96, 96) each."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")

    def cloth(dx: float, dy: float) -> Tensor:
        threads = torch.sin((x + dx) * torch.pi / 2).sign() * torch.sin((y + dy) * torch.pi / 4).sign()
        return (0.5 + 0.12 * threads).expand(3, -1, -1).clone()

    return {"cloth": cloth(0.5, 0.5), "moved by two pixels": cloth(2.5, 0.5), "flat": torch.full((3, 96, 96), 0.5)}


def distances_table(distance: Callable[[Tensor, Tensor], Tensor], owner: str) -> plots.Shown:
    """What the squared error and the other distance say of the cloth's two stand-ins."""
    target, *others = fabrics().items()
    rows = {
        name: [f"{float(F.mse_loss(each, target[1])):.4f}", f"{float(distance(each, target[1])):.4f}"] for name, each in others
    }
    return drawing.table(["squared error", f"mean and spread ({owner})"], rows, "Distance from the cloth")


# ---------------------------------------------------------------------------------------------- 08.3


def words(seed: int, count: int) -> Tensor:
    """Three numbers of 32 bits for each throw, (count, 3) int64."""
    columns = [mixed(np.arange(count), int(mixed(np.array([seed + 77 * word]), 1)[0])) for word in range(3)]
    return torch.from_numpy(np.stack(columns, 1).astype(np.int64))


@matplotlib.rc_context(plots.STYLE)
def dice_figure(throws: Tensor, owner: str) -> plots.Shown:
    """How often each throw falls, beside the bell."""
    made, axes = plots.figure(8, 3.6)
    values = throws.double().numpy().ravel() / 256
    axes.hist(values, bins=61, range=(-4, 4), density=True, color=plots.SKY)
    x = np.linspace(-4, 4, 200)
    axes.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), "k--", label="normal law")
    axes.set(xlabel="throw / 256", yticks=[], title=f"{len(values):,} throws of twelve bytes ({owner})")
    axes.legend()
    spread = f"mean {values.mean():.2f}, standard deviation {values.std():.2f}"
    return plots.show(made, f"A histogram of the throws over 256, on the bell of the normal law; {spread}.")


def box_muller(words: Tensor, dtype: torch.dtype) -> Tensor:
    """Normal numbers in the usual way, from logarithm and cosine."""
    first, second = ((words[:, i].to(dtype) + 0.5) / 2**32 for i in (0, 1))
    return (-2 * first.log()).sqrt() * (2 * torch.pi * second).cos()


# ---------------------------------------------------------------------------------------------- 08.4


def train_live(texture: Texture, base: Tensor, picture: Tensor, look: Look, iterations: int) -> None:
    """Train, and show what is painted as it goes on."""
    screen = live.Screen()
    every = max(iterations // 6, 1)

    def show(step: int, painted: Tensor) -> None:
        if step % every == 0:
            title = f"step {step}: {metrics.psnr(painted.clamp(0, 1), picture):.1f} dB"
            screen.draw(plots.pictures([painted.clamp(0, 1)], [title], zoom=2, alt="the texture look while it learns"))

    train_look(texture, base, picture, look, iterations=iterations, progress=False, callback=show)
    painted = texture.render()
    title = f"after {iterations} steps: {metrics.psnr(painted, picture):.1f} dB"
    screen.draw(plots.pictures([painted], [title], zoom=2, alt="the texture look when it has learnt"), last=True)


# ---------------------------------------------------------------------------------------------- the triangle


def judges_table(pictures: dict[str, Tensor], original: Tensor) -> plots.Shown:
    """PSNR, SSIMULACRA 2 and NIQE of several pictures of one original."""
    rows = {"original": ["∞", "100.0", f"{niqe(original):.2f}"]}
    for name, each in pictures.items():
        numbers = metrics.psnr(each, original), metrics.ssimulacra2(each, original), niqe(each)
        rows[name] = [f"{numbers[0]:.2f}", f"{numbers[1]:.1f}", f"{numbers[2]:.2f}"]
    return drawing.table(
        ["PSNR / dB", "SSIMULACRA 2", "NIQE"], rows, "Three judges of one file, and of grain that nobody trained"
    )


def grainy(base: Tensor) -> Tensor:
    """The base with grey noise over it, σ = 0.01: the control."""
    return (base + 0.01 * noise(0, *base.shape[1:])[:1]).clamp(0, 1)


def measured() -> list[dict[str, str]]:
    """What ``tests/benchmarks/looks.py`` measured on three photographs: means."""
    file = data_path("results/looks/looks.csv")
    if file is None:
        raise FileNotFoundError("data/results/looks/looks.csv is missing")
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def measured_table(rows: list[dict[str, str]]) -> plots.Shown:
    """PSNR, LPIPS, NIQE's distance, SSIMULACRA 2 and the second look's bytes."""
    table = {row["look"]: [row[name] for name in ("psnr", "lpips", "niqe", "ssimulacra2", "extra")] for row in rows}
    caption = "Kodak 8, 15 and 18 at 384×256, files of 3,175 to 4,676 bytes"
    return drawing.table(["PSNR / dB", "LPIPS", "NIQE, distance", "SSIMULACRA 2", "more bytes"], table, caption)
