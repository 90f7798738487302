"""Figures of notebook 04 that would stand in the reader's way there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import torch
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.func import functional_call

from tutorial_lib import images, plots, training
from tutorial_lib.course.drawing import signed
from tutorial_lib.latents.layers import ContextModel
from tutorial_lib.training import Phase


def fitted_for(
    seconds: float, make: Callable[[], nn.Module], picture: Tensor, optimizer: Literal["soap", "adam"], learning_rate: float
) -> tuple[nn.Module, int]:
    """A new network on coordinates, fitted for so many seconds, and in how many steps.

    Two short fits measure what it takes to begin and what a step takes, so that the learning rate's rise and fall fills the
    time.
    """

    def fitted(steps: int) -> tuple[nn.Module, float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = make().to(picture.device)
        recipe = (Phase("full precision", steps, optimizer, learning_rate),)
        return network, training.fit(network, picture, recipe, progress=False).seconds

    fitted(3)  # the first fit of a kernel loads what the others find loaded
    few, many = fitted(3)[1], fitted(13)[1]
    a_step = max(many - few, 0.01) / 10
    steps = max(int((seconds - few) / a_step), 10)
    return fitted(steps)[0], steps


def shade(grid: Tensor) -> Tensor:
    """A grid as a picture: orange below 0, white at 0, blue above; full colour at twice its standard deviation."""
    return signed(grid, reach=max(2 * float(grid.float().std(correction=0)), 1.0))


@matplotlib.rc_context(plots.STYLE)
def pyramid_figure(grids: Sequence[Tensor], picture: Tensor) -> plots.Shown:
    """All grids in one scale, an integer being as large as a pixel of the picture beside them."""
    height, width = grids[0].shape
    gap, wide = 8, 2.5 * width + 5 * 8
    made, axis = plots.figure(13, 5)
    texts = []

    def place(pixels: Tensor, left: float, top: float) -> None:
        rows, columns = pixels.shape[1:]
        axis.imshow(images.to_uint8(pixels), extent=(left, left + columns, top + rows, top), interpolation="nearest")
        axis.add_patch(Rectangle((left, top), columns, rows, fill=False, edgecolor="0.35", linewidth=1))

    place(picture, 0, 0)
    axis.text(0, -3, "the picture", va="bottom", fontweight="bold")
    left, top = width + 2.5 * gap, 0.0
    for level, grid in enumerate(grids):
        rows, columns = grid.shape
        place(shade(grid), left, top)
        name = f"grid {level}: {columns}×{rows}"
        if level < 2:
            axis.text(left, top - 3, name, va="bottom", fontweight="bold")
        elif rows > 3:
            axis.text(left + columns + 4, top + rows / 2, name, va="center")
        else:
            axis.text(left + columns + 4, top + rows / 2, name if level == len(grids) - 1 else "", va="center")
        texts.append(f"{columns}×{rows}")
        if level == 0:
            left += columns + gap
        else:
            top += rows + (5 if rows > 3 else 3)
    bottom = max(height, top) + 4
    made.set_size_inches(13, 13 * (bottom + 14) / wide)
    axis.set(xlim=(-1, wide), ylim=(bottom, -14), aspect="equal")
    axis.set_axis_off()
    count, zeros = sum(g.numel() for g in grids), sum(int((g == 0).sum()) for g in grids)
    return plots.show(
        made,
        f"A picture of {width}×{height} pixels, and beside it {len(grids)} grids of integers of {', '.join(texts)}, drawn in "
        f"orange below 0 and blue above 0. In the finest the edges of the picture can be seen, in the next ones its larger "
        f"shapes. {zeros:,} of {count:,} integers are 0.",
    )


@matplotlib.rc_context(plots.STYLE)
def rounding_figure(
    soft_round: Callable[[Tensor, float], Tensor], temperature: float, value: float, owner: str, deviation: float = 0.2
) -> plots.Shown:
    """Soft rounding as a curve, and what the networks see of one latent under three stand-ins for rounding."""
    made, (left, right) = plots.figure(12.5, 4.4, 2, width_ratios=(1, 1.25))
    y = torch.linspace(-1.5, 2.5, 401)
    with torch.no_grad():
        curve = soft_round(y, temperature)
        here = float(soft_round(torch.tensor([value]), temperature))
    left.plot(y, y.round(), color="0.6", linewidth=1.5, label="rounding")
    left.plot(y, curve, color=plots.BLUE, label=f"soft, T = {temperature:g}")
    left.plot(value, here, "o", color=plots.RED, markersize=11, zorder=5)
    left.set(xlabel="latent y", ylabel="s(y)", title=f"Soft rounding ({owner})", aspect="equal", xticks=range(-1, 3))
    left.legend(loc="upper left")

    generator = torch.Generator().manual_seed(0)
    count = 20_000
    with torch.no_grad():
        noisy = here + deviation * torch.randn(count, generator=generator)
        seen = {
            "y + uniform noise (v1, v2)": value + torch.rand(count, generator=generator) - 0.5,
            "s(s(y) + noise)": soft_round(noisy, temperature),
        }
    for (name, values), colour in zip(seen.items(), (plots.ORANGE, plots.BLUE), strict=True):
        right.hist(values.numpy(), bins=80, range=(-1.5, 2.5), density=True, alpha=0.65, color=colour, label=name)
    right.axvline(round(value), color="0.3", linestyle=":", linewidth=3, label=f"what the file will hold: {round(value)}")
    right.set(xlabel="what the networks see", yticks=[], title=f"A latent of y = {value:g}, 20,000 times", ylim=(0, 4.2))
    right.legend(loc="upper right")
    soft = seen["s(s(y) + noise)"]
    error = (soft - round(value)).abs().mean()
    return plots.show(
        made,
        f"Left: rounding as a staircase, and soft rounding ({owner}) at T = {temperature:g}, which takes y = {value:g} to "
        f"{here:.2f}. Right: what the networks see of this latent. With uniform noise anything from {value - 0.5:.2f} to "
        f"{value + 0.5:.2f}, all alike. With soft rounding and Gaussian noise on average {float(soft.mean()):.2f}, "
        f"{error:.2f} away from {round(value)}, the integer that the file will hold.",
    )


@matplotlib.rc_context(plots.STYLE)
def neighbours_figure(grid: Tensor, offsets: Sequence[tuple[int, int]], at: tuple[int, int]) -> plots.Shown:
    """A piece of a grid as numbers: decoded so far, the one wanted, the neighbours that it is predicted from."""
    row, column = at
    top, left = row - 4, column - 6
    piece = grid[top : row + 3, left : column + 7].int().tolist()
    made, axis = plots.figure(8, 4.5)
    known = {(row + r, column + c) for r, c in offsets}
    for r, line in enumerate(piece):
        for c, value in enumerate(line):
            place = (top + r, left + c)
            later = place >= at
            colour = "#9fd3f0" if place in known else "0.94" if not later else "white"
            text = "?" if place == at else "" if later else str(value).replace("-", "−")
            colour = plots.YELLOW if place == at else colour
            axis.add_patch(Rectangle((c, r), 1, 1, facecolor=colour, edgecolor="0.75"))
            axis.text(c + 0.5, r + 0.53, text, ha="center", va="center", fontweight="bold" if place in known else "normal")
    axis.set(xlim=(0, len(piece[0])), ylim=(len(piece), 0), aspect="equal")
    axis.set_title("decoded so far, row by row")
    axis.set_axis_off()
    near = ", ".join(str(int(grid[row + r, column + c])) for r, c in offsets)
    return plots.show(
        made,
        f"A piece of the finest grid as a table of integers, mostly small. The rows above and the integers to the left are "
        f"known, the one in the middle is asked for, everything after it is empty. Its {len(offsets)} nearest known neighbours "
        f"are marked: {near}.",
    )


@matplotlib.rc_context(plots.STYLE)
def causal_figure(touched: Tensor, at: tuple[int, int], owner: str) -> plots.Shown:
    """Which cells' contexts change with the one at ``at``; those decoded before it on grey."""
    (row, column), reach = at, 5
    made, axis = plots.figure(7, 4.2)
    early = 0
    for r in range(row - reach + 1, row + reach):
        for c in range(column - reach - 2, column + reach + 3):
            before, hit = (r, c) < at, bool(touched[r, c])
            colour = plots.SKY if hit else "0.9" if before else "white"
            early += before and hit
            axis.add_patch(Rectangle((c, r), 1, 1, facecolor=plots.YELLOW if (r, c) == at else colour, edgecolor="0.75"))
    axis.text(column + 0.5, row + 0.55, "+5", ha="center", va="center", fontweight="bold")
    axis.set(xlim=(column - reach - 2, column + reach + 3), ylim=(row + reach, row - reach + 1), aspect="equal")
    axis.set_title(f"whose context changes ({owner})")
    axis.set_axis_off()
    count = int(touched.sum())
    return plots.show(
        made,
        f"A piece of a grid, one cell changed. The contexts of {count} cells change with it ({owner}), drawn in blue: {early} of "
        f"them are decoded before it, on grey, and {count - early} after it, to its right and below.",
    )


@matplotlib.rc_context(plots.STYLE)
def laplace_figure(laplace_bits: Callable[..., Tensor], laws: Sequence[tuple[float, float]], owner: str) -> plots.Shown:
    """Laplace laws (μ, log₂ b), the area of each integer, and its bits."""
    made, axes = plots.figure(13, 4.3, len(laws), sharey=True)
    integers = torch.arange(-4, 5).float()
    x = np.linspace(-4.5, 4.5, 721)
    texts = [f"Laplace laws, and the bits of the integers −4 to 4 under them ({owner})."]
    for axis, (location, log2_scale) in zip(axes, laws, strict=True):
        with torch.no_grad():
            bits = laplace_bits(integers, torch.full((9,), location), torch.full((9,), log2_scale))
        axis.bar(integers, torch.exp2(-bits), 0.94, color=plots.SKY, label="area = P")
        b = 2.0**log2_scale
        axis.plot(x, np.exp(-np.abs(x - location) / b) / (2 * b), color=plots.BLUE)
        for integer, some in zip(integers.tolist(), bits.tolist(), strict=True):
            near = max(abs(integer - location) - 0.36, 0)  # the curve at the nearer end of the number, which it must not cross
            top = max(2**-some, math.exp(-near / b) / (2 * b))
            axis.text(integer, top + 0.02, f"{some:.1f}", ha="center", fontsize=11, fontweight="bold")
        axis.set(title=f"μ = {location:g}, b = {b:.2g}", xlabel="integer", xticks=range(-4, 5), yticks=[], ylim=(0, 1.12))
        axis.grid(False)
        spelled = ", ".join(f"{int(i)}: {v:.1f}" for i, v in zip(integers.tolist(), bits.tolist(), strict=True))
        texts.append(f"μ = {location:g}, b = {b:.2g}: {spelled}.")
    axes[0].set_ylabel("probability")
    made.suptitle(f"Bits of each integer ({owner})")
    return plots.show(made, " ".join(texts))


def run(network: nn.Module, model: ContextModel, contexts: Tensor) -> tuple[Tensor, Tensor]:
    """A context network on rows (n, neighbours) with the weights of the library's, which keeps W and b in one matrix.

    The gradients go to the library's matrices; the network's own weights stay as they are.
    """
    matrices = [layer.get_parameter("matrix") for layer in model.layers]
    pieces = [piece for matrix in matrices for piece in (matrix[:, :-1], matrix[:, -1])]
    names = [name for name, _ in network.named_parameters()]
    location, log2_scale = functional_call(network, dict(zip(names, pieces, strict=True)), (contexts,))
    return location, log2_scale


@matplotlib.rc_context(plots.STYLE)
def network_figure(neighbours: int, width: int) -> plots.Shown:
    """The context network as rows of circles from left to right: what is known, two hidden layers, μ and log₂ b."""
    made, axis = plots.figure(10.5, 4.4)
    columns = [(0.0, neighbours, plots.SKY), (3.2, width, "0.85"), (6.4, width, "0.85"), (9.6, 2, plots.YELLOW)]
    places = [[(x, (count - 1) / 2 - k) for k in range(count)] for x, count, _ in columns]
    for before, after in itertools.pairwise(places):
        for start, end in itertools.product(before, after):
            axis.plot(*zip(start, end, strict=True), color="0.75", linewidth=0.6, zorder=1)
    for (_, _, colour), some in zip(columns, places, strict=True):
        axis.scatter(*zip(*some, strict=True), s=170, color=colour, edgecolor="0.3", zorder=2)
    top = neighbours / 2 + 0.15
    arrow = {"arrowstyle": "->", "color": plots.BLUE, "linewidth": 2}
    axis.annotate("", (9.5, 0.85), (0.1, top), arrowprops={**arrow, "connectionstyle": "arc3,rad=-0.22"})
    axis.annotate("", (6.3, width / 2), (3.3, width / 2), arrowprops={**arrow, "connectionstyle": "arc3,rad=-0.35"})
    axis.text(4.8, width / 2 + 0.25, "+", ha="center", fontsize=20, fontweight="bold", color=plots.BLUE)
    for (x, _, _), name in zip(columns, ("neighbours", "ReLU", "ReLU", ""), strict=True):
        axis.text(x, -neighbours / 2 - 0.6, name, ha="center")
    for place, name in zip(places[-1], ("μ", "log₂ b"), strict=True):
        axis.text(place[0] + 0.3, place[1], name, va="center", fontweight="bold")
    axis.set(xlim=(-1, 11), ylim=(-neighbours / 2 - 1.1, neighbours / 2 + 2.2), title="The context network")
    axis.set_axis_off()
    return plots.show(
        made,
        f"A network drawn from left to right: {neighbours} neighbours, two layers of {width} numbers with ReLUs, and two "
        f"numbers at the end, μ and log₂ b. An arrow adds the first {width} numbers to the second layer, another takes the "
        "neighbours straight to the end.",
    )


def heat(values: Tensor, reach: float) -> Tensor:
    """A map (H, W) from 0 up as a picture: dark to bright, brightest from ``reach`` on."""
    levels = (values.detach().cpu().float() / (reach or 1.0)).clamp(0, 1)
    return torch.from_numpy(matplotlib.colormaps["magma"](levels.numpy())[..., :3]).float().movedim(-1, 0)


def learning_figure(noted: Sequence[Sequence[Tensor]], owner: str) -> plots.Shown:
    """Where the bits are at the start of a context network's training, after a twentieth of it, and at its end.

    Args:
        noted: bits of every integer, grid by grid, after each step.
    """
    chosen = [0, len(noted) // 20, len(noted) - 1]
    maps = [bits_per_pixel_map(noted[index]) for index in chosen]
    reach = float(maps[-1].flatten().quantile(0.99))
    titles = [f"step {index}: {sum(float(part.sum()) for part in noted[index]):,.0f} bits" for index in chosen]
    titles[0] += f" ({owner})"
    alt = "a map of bits, bright where they are many: all bright at first, at the end along the edges of the cup alone"
    return plots.pictures([heat(each, reach) for each in maps], titles, zoom=2.2, alt=alt)


def bits_per_pixel_map(bits: Sequence[Tensor]) -> Tensor:
    """Bits of every integer, spread evenly over the pixels that it stands for: (height, width), summing to all bits, about."""
    height, width = bits[0].shape
    return sum(
        part.repeat_interleave(2**level, 0).repeat_interleave(2**level, 1)[:height, :width] / 4**level
        for level, part in enumerate(bits)
    )


@matplotlib.rc_context(plots.STYLE)
def bits_figure(picture: Tensor, bits: Sequence[Tensor], network_bits: float, owner: str) -> plots.Shown:
    """Where the bits go: over the picture, and over the parts of the file."""
    height, width = bits[0].shape
    made, axes = plots.figure(14, 3.9, 3, width_ratios=(1, 1.22, 1))
    axes[0].imshow(images.to_uint8(picture))
    axes[0].set_title("decoded")
    heat = bits_per_pixel_map(bits)
    shown = axes[1].imshow(heat, cmap="magma", vmin=0, vmax=float(heat.flatten().quantile(0.99)))
    axes[1].set_title(f"bits for each pixel ({owner})")
    made.colorbar(shown, ax=axes[1], shrink=0.85)
    made.get_layout_engine().set(w_pad=0.14)
    for axis in axes[:2]:
        axis.set_axis_off()
    pixels = height * width
    parts = {f"grid {level}": float(part.sum()) / pixels for level, part in enumerate(bits)}
    parts["networks"] = network_bits / pixels
    names, rates = list(parts), list(parts.values())
    colours = [plots.BLUE] * len(bits) + [plots.ORANGE]
    axes[2].barh(names, rates, color=colours)
    for index, rate in enumerate(rates):
        axes[2].text(rate + 0.01 * max(rates), index, f"{rate:.3f}", va="center", fontsize=12)
    axes[2].invert_yaxis()
    axes[2].set(xlabel="bits per pixel", title="parts of the file", xlim=(0, 1.25 * max(rates)))
    axes[2].grid(axis="y", visible=False)
    top = heat >= heat.flatten().quantile(0.9)
    share = float(heat[top].sum() / heat.sum())
    return plots.show(
        made,
        f"Left, the decoded picture. Middle, a map of the bits ({owner}): bright along edges and on texture, dark on smooth "
        f"areas; a tenth of the pixels takes {share:.0%} of the bits. Right, the parts of the file in bits per pixel: "
        + ", ".join(f"{name} {rate:.3f}" for name, rate in parts.items()) + ".",
    )  # fmt: skip


@matplotlib.rc_context(plots.STYLE)
def fit_figure(noted: Sequence[tuple[float, float]], lmbda: float, owner: str) -> plots.Shown:
    """Distortion in dB and rate in the course of a fit, and J."""
    made, axes = plots.figure(13, 3.8, 3)
    distortions, rates = (np.array(column) for column in zip(*noted, strict=True))
    steps = np.arange(len(noted))
    decibels = -10 * np.log10(distortions)
    cost = 1000 * (distortions + lmbda * rates)
    for axis, values, name, colour in zip(
        axes, (decibels, rates, cost), ("D as PSNR (dB)", "R (bits per pixel)", "1000 · J"), plots.COLOURS, strict=False
    ):
        axis.plot(steps, values, color=colour)
        axis.set(xlabel="step", title=name)
    axes[2].set_ylim(bottom=0)
    made.suptitle(f"The fit ({owner}), latents softly rounded")
    return plots.show(
        made,
        f"A fit of {len(noted)} steps ({owner}). PSNR from {decibels[0]:.1f} to {decibels[-1]:.1f} dB, rate from "
        f"{rates[0]:.2f} to {rates[-1]:.2f} bits per pixel, 1000·J from {cost[0]:.2f} to {cost[-1]:.2f}.",
    )


@matplotlib.rc_context(plots.STYLE)
def ladder_figure(rungs: Mapping[str, tuple[float, float]], lmbda: float, title: str) -> plots.Shown:
    """Files fitted with one λ on the rate-distortion plane, with lines of equal J through the first and the last.

    Args:
        rungs: name to (bits per pixel, dB), in order.
    """
    made, (axis, bars) = plots.figure(14, 5.2, 2, width_ratios=(1.25, 1))
    rates, decibels = (np.array(column) for column in zip(*rungs.values(), strict=True))
    costs = 10 ** (-decibels / 10) + lmbda * rates
    margin = 0.35 * (rates.max() - rates.min()) + 0.005
    x = np.linspace(rates.min() - margin, rates.max() + margin, 200)
    for cost, name in ((costs[0], "J of rung 1"), (costs[-1], f"J of rung {len(rungs)}")):
        inside = cost > lmbda * x
        axis.plot(x[inside], -10 * np.log10(cost - lmbda * x[inside]), color="0.65", linestyle="--", linewidth=1.5)
        shown = inside & (cost - lmbda * x > 10 ** (-(decibels.max() + 0.35) / 10))
        end = (x[shown][-1], -10 * np.log10(cost - lmbda * x[shown][-1]))
        axis.annotate(name, end, (-10, 2), color="0.4", ha="right", textcoords="offset points", fontsize=12)
    axis.plot(rates, decibels, color=plots.BLUE, marker="o", markersize=17)
    for index, (rate, quality) in enumerate(zip(rates, decibels, strict=True), 1):
        covers = index > 1 and abs(rate - rates[index - 2]) < 0.02 * np.ptp(rates) and abs(quality - decibels[index - 2]) < 0.1
        place = {"xytext": (22, 0), "color": plots.BLUE} if covers else {"xytext": (0, 0), "color": "white"}
        axis.annotate(str(index), (rate, quality), ha="center", va="center", fontweight="bold", fontsize=12,
                      textcoords="offset points", **place)  # fmt: skip
    lowest = -10 * np.log10(costs[0] - lmbda * x[0])
    axis.set(xlabel="bits per pixel", ylabel="PSNR (dB)", title="up and to the left is better")
    axis.set_ylim(min(lowest, decibels.min()) - 0.3, decibels.max() + 0.8)
    names = [f"{index}  {name}" for index, name in enumerate(rungs, 1)]
    bars.barh(names, 1000 * costs, color=plots.BLUE)
    for index, cost in enumerate(costs):
        change = "" if index == 0 else f"  {100 * (cost / costs[index - 1] - 1):+.1f} %".replace("-", "−")
        bars.text(1000 * cost, index, f" {1000 * cost:.3f}{change}", va="center", fontsize=13)
    bars.invert_yaxis()
    bars.set(xlabel="1000 · J", xlim=(0, 1450 * costs.max()), title="J = D + λR")
    bars.grid(axis="y", visible=False)
    made.suptitle(title)
    spelled = "; ".join(
        f"{name}: {q:.2f} dB at {r:.3f} bpp, 1000·J = {1000 * c:.3f}"
        for (name, (r, q)), c in zip(rungs.items(), costs, strict=True)
    )
    return plots.show(made, f"A ladder of files on the rate-distortion plane, {title}. {spelled}.")


def verdict(sent: Sequence[Tensor], received: Sequence[Tensor]) -> str:
    """A sentence on how far two pyramids agree, in the order of decoding: coarsest grid first, row by row."""
    mine, theirs = (torch.cat([grid.flatten().double().cpu() for grid in reversed(grids)]) for grids in (sent, received))
    wrong = (mine != theirs).nonzero().flatten()
    if not len(wrong):
        return f"All {len(mine):,} integers are right."
    return f"The first {int(wrong[0]):,} integers are right, then the decoder is lost: {len(wrong):,} of {len(mine):,} are wrong."


def next_integer(decoder: Any, family: Any, location: np.ndarray, scale: np.ndarray) -> int:
    """The next integer from a range decoder, or 0 once it notices that it has read what no encoder writes."""
    try:
        return int(decoder.decode(family, location, scale)[0])
    except AssertionError:
        return 0
