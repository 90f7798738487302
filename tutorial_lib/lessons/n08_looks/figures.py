"""Figures and small experiments of notebook 08 that would stand in the reader's way there."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots
from tutorial_lib.codecs.amortised import COARSER, lambda_of
from tutorial_lib.codecs.plans import Plan
from tutorial_lib.course import drawing, live
from tutorial_lib.latents.texture import Texture, mixed, noise
from tutorial_lib.niqe import niqe
from tutorial_lib.perception import Look
from tutorial_lib.runtime import data_path
from tutorial_lib.training.looks import train_look
from tutorial_lib.training.loop import Progress
from tutorial_lib.training.refining import MOST, Refinement


def coffee() -> Tensor:
    """The cup on its table, (3, 256, 384)."""
    return images.crop(images.sample("coffee"), 72, 108, 256, 384)


# ---------------------------------------------------------------------------------------------- 08.1


@matplotlib.rc_context(plots.STYLE)
def judge_figure(loss: Callable[..., Tensor], owner: str) -> plots.Shown:
    """The judge's loss when its values for the picture and the painted one lie apart, and when both move."""

    def value(real: float, fake: float) -> float:
        picture, painted, base = (torch.full((3, 2, 2), level) for level in (real, fake, 0.0))
        return float(loss(lambda picture, base: picture[:1] + base[:1], picture, painted, base))

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


# ---------------------------------------------------------------------------------------------- 08.5

Moves = Callable[..., Tensor]


def beside_original(picture: Tensor, data: bytes, name: str) -> plots.Shown:
    """The original, and what a file shows."""
    decoded = codecs.decode(data).cpu()
    title = f"{name}: {len(data):,} bytes, {metrics.psnr(decoded, picture):.1f} dB"
    return plots.pictures([picture, decoded], ["original", title], zoom=1, method="bicubic", alt="a photograph and its copy")


@matplotlib.rc_context(plots.STYLE)
def crowd_figure(moved: Moves, picture: Tensor, plan: Plan, owner: str, steps: int) -> plots.Shown:
    """J over steps in which all numbers move that want to, or a few of each block."""
    start = replace(plan, config=replace(plan.config, step=plan.config.step + COARSER))
    representation = codecs.AMORTISED.open(codecs.AMORTISED.execute(start, picture, device="cpu", progress=False).data)
    work = Refinement(representation, picture.cpu(), lambda_of(plan.config.step))
    made, axes = plots.figure(8, 3.8)
    ends = []
    for few, name, style in ((False, "all at once", "--"), (True, f"the {MOST} best of each block", "-")):
        levels, costs = representation.symbols(), list[float]()
        for _ in range(steps + 1):
            found = work.costs(levels)
            costs.append((work.worth * found.error + found.bits) / work.pixels)
            wanted = moved(levels, found.slope, work.curvature.expand_as(levels), found.price)
            levels = torch.where(work.moves(levels, found) != 0, wanted, levels) if few else wanted
        axes.plot(range(steps + 1), costs, style, label=name)
        ends.append(f"{name} it goes from {costs[0]:.3f} to {costs[-1]:.3f}")
    axes.set(xlabel="step", ylabel="J in bits a pixel", yscale="log", title=f"Who moves ({owner})")
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.yaxis.set_minor_formatter("{x:.2g}")
    axes.legend()
    return plots.show(made, f"J over steps of refining: {'; '.join(ends)} bits a pixel.")


def _cost(data: bytes, picture: Tensor, lmbda: float) -> float:
    """J of a file."""
    return F.mse_loss(codecs.decode(data).cpu(), picture.cpu()).item() + lmbda * metrics.bits_per_pixel(data, picture)


@matplotlib.rc_context(plots.STYLE)
def race(picture: Tensor, plan: Plan, steps: int) -> tuple[bytes, plots.Shown]:
    """The refined file, and J over CPU seconds beside files of `coolchic-small` from nothing."""
    course, others, began = list[tuple[float, float]](), list[tuple[float, float]](), time.process_time()
    lmbda = cast(float, plan.lmbda)

    def note(progress: Progress) -> None:
        cost = 10 ** (-progress.psnr / 10) + lmbda * cast(float, progress.bpp)
        course.append((time.process_time() - began, min(cost, course[-1][1] if course else math.inf)))

    recipe = replace(plan.recipe, iterations=steps)
    data = codecs.AMORTISED.execute(replace(plan, recipe=recipe), picture, progress=False, callback=note).data
    for iterations in (max(steps // 3, 12), 3 * steps):
        began = time.process_time()
        small = codecs.COOLCHIC_SMALL.encode(picture, lmbda=lmbda, iterations=iterations, progress=False)
        others.append((time.process_time() - began, _cost(small, picture, lmbda)))
    made, (wide, close) = plots.figure(10, 3.8, columns=2)
    for axes in (wide, close):
        axes.plot(*zip(*course, strict=True), color=plots.BLUE, label="amortised, refined")
        axes.plot(*course[0], "o", color=plots.BLUE)
        axes.set(xlabel="seconds of one core", xscale="log", xticks=(0.2, 0.5, 1, 2, 5, 10))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    wide.plot(*zip(*others, strict=True), "s--", color=plots.ORANGE, label="coolchic-small, two fits")
    wide.set(ylabel="J = D + λR", ylim=(0, None), title="Two ways to learn")
    close.set(title="The blue line alone")
    wide.legend(loc="center left")
    alt = (
        f"J over seconds of one core: the pass has {course[0][1]:.2e} after {course[0][0]:.1f} s, refined {course[-1][1]:.2e} "
        f"after {course[-1][0]:.0f} s; coolchic-small from nothing has {others[0][1]:.2e} after {others[0][0]:.0f} s and "
        f"{others[-1][1]:.2e} after {others[-1][0]:.0f} s."
    )
    return data, plots.show(made, alt)


def bytes_table(picture: Tensor, files: dict[str, bytes]) -> plots.Shown:
    """Bytes and PSNR of files, and the bytes that a pass takes for as many dB."""
    points = list[tuple[float, float]]()
    for lmbda in (2e-4, 5e-4, 1e-3, 2e-3, 4e-3):
        data = codecs.AMORTISED.encode(picture, lmbda=lmbda, progress=False)
        points.append((metrics.psnr(codecs.decode(data).cpu(), picture), math.log(len(data))))
    decibels, logs = np.array(sorted(points)).T
    rows = {}
    for name, data in files.items():
        psnr = metrics.psnr(codecs.decode(data).cpu(), picture)
        same = math.exp(float(np.interp(psnr, decibels, logs)))
        rows[name] = [f"{len(data):,}", f"{psnr:.2f}", f"{same:,.0f}"]
    return drawing.table(["bytes", "PSNR / dB", "bytes of one pass at this PSNR"], rows, "Files of your photograph, decoded")


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
