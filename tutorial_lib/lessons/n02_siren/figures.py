"""Figures and small experiments of notebook 02 that would stand in the reader's way there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from ipywidgets import SelectionSlider
from matplotlib.figure import Figure
from torch import Tensor, nn

from tutorial_lib import images, metrics, plots

WAVES = (1, 2, 4, 8, 16, 32)


def learned_waves(
    network: nn.Module, fit: Callable[..., Any], features: Callable[[Tensor], Tensor], steps: int
) -> dict[int, list[tuple[int, float]]]:
    """How much of each wave of a sum of waves a network has learned, as the fit goes on.

    The target is a sum of six cosines of amplitude 1 along x, with 1, 2, 4 … 32 waves from −1 to 1. Rahaman et
    al. (ICML 2019) measure the same on a similar sum.

    Args:
        network: features (n, F) to one number (n, 1).
        fit: called as fit(network, inputs, target, optimizer, steps), again and again.
        features: coordinates (n, 2) to the network's inputs (n, F).
        steps: of Adam.

    Returns:
        number of waves → (step, share learned: 0 nothing, 1 all of it).
    """
    count, looks = 256, 60
    x = torch.arange(count) * 2 / count - 1
    phases = torch.tensor([0.9, 5.1, 2.0, 3.7, 0.3, 4.4])
    target = sum(torch.cos(math.pi * k * x + phase) for k, phase in zip(WAVES, phases, strict=True))
    inputs = features(torch.stack([x, torch.zeros(count)], dim=-1)).detach()
    learned: dict[int, list[tuple[int, float]]] = {k: [] for k in WAVES}
    optimizer, goes = torch.optim.Adam(network.parameters(), lr=2e-3), max(steps // looks, 1)
    for step in range(0, steps + 1, goes):
        with torch.no_grad():
            spectrum = torch.fft.rfft(network(inputs)[:, 0]).abs() / (count / 2)
        for k in WAVES:
            learned[k].append((step, float(spectrum[k])))
        fit(network, inputs, target[:, None], optimizer, goes)
    return learned


@matplotlib.rc_context(plots.STYLE)
def waves_figure(cases: Mapping[str, dict[int, list[tuple[int, float]]]]) -> plots.Shown:
    """Draw `learned_waves`, a panel for each case: slow waves dark, fast waves bright, each labelled at its end."""
    made, axes = plots.figure(6.2 * len(cases), 4.4, len(cases), sharey=True, squeeze=False)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(WAVES)))
    texts = ["How much of each wave a ReLU network has learned, against the steps of the fit."]
    for axis, (name, learned) in zip(axes[0], cases.items(), strict=True):
        heights = []
        for points, colour in zip(learned.values(), colours, strict=True):
            steps, shares = zip(*points, strict=True)
            axis.plot(steps, shares, color=colour)
            heights.append(shares[-1])
        for k, colour, height in zip(learned, colours, _apart(heights, 0.09), strict=True):
            axis.annotate(
                f"{k} wave{'s' * (k > 1)}", (1.02, height), xycoords=("axes fraction", "data"), color=0.6 * colour[:3],
                va="center", fontweight="bold", annotation_clip=False,
            )  # fmt: skip
        axis.set(title=name, xlabel="steps", ylim=(-0.05, 1.3))
        found = ", ".join(f"{k} waves {points[-1][1]:.0%}" for k, points in learned.items())
        texts.append(f"{name}: at the end {found}.")
    axes[0, 0].set_ylabel("share learned")
    made.get_layout_engine().set(wspace=0.12)
    return plots.show(made, " ".join(texts))


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Heights for labels: the given ones, moved as little as keeps them a gap apart."""
    order = np.lexsort((-np.arange(len(heights)), np.round(heights, 1)))  # equal ones stand as they come, from above
    placed = np.array(heights, dtype=float)[order]
    for _ in range(100):
        for low in range(len(placed) - 1):
            lack = gap - (placed[low + 1] - placed[low])
            if lack > 0:
                placed[low] -= lack / 2
                placed[low + 1] += lack / 2
    result = np.empty_like(placed)
    result[order] = placed
    return result.tolist()


@matplotlib.rc_context(plots.STYLE)
def depth_figure(stacks: Mapping[str, nn.Sequential], owner: str, omega_0: float = 30.0) -> plots.Shown:
    """What enters the sine in some layers of untrained stacks of sine layers, and what the last layer paints.

    Args:
        stacks: name to sine layers, coordinates (H, W, 2) to (H, W, width).
        owner: "yours" or "library's", for the title.
        omega_0: ω₀ of the layers.
    """
    shown = (1, 2, 4, 6)
    made = Figure(figsize=(13, 2.5 * len(stacks) + 0.6), layout="constrained")
    axes = made.subplots(len(stacks), len(shown) + 1, squeeze=False, width_ratios=[1] * len(shown) + [1.25])
    texts = [f"What enters the sine in layers {', '.join(map(str, shown))} of untrained networks ({owner})."]
    coordinates = images.canvas(100, 150)
    for row, (name, stack) in zip(axes, stacks.items(), strict=True):
        features, spreads = coordinates, []
        for number, layer in enumerate(stack, 1):
            with torch.no_grad():
                entering = omega_0 * nn.functional.linear(features, layer.weight, layer.bias)
                features = torch.sin(entering)
            if number not in shown:
                continue
            entering = (entering - entering.mean((0, 1))).flatten()[::7]  # without each neuron's own mean
            axis = row[shown.index(number)]
            axis.hist(entering.numpy(), bins=60, range=(-15, 15), color=plots.BLUE, density=True)
            axis.text(0.97, 0.97, f"± {entering.std():.2g}", transform=axis.transAxes, ha="right", va="top")
            axis.set(yticks=[], xlim=(-15, 15), xticks=[-10, 0, 10], ylim=(0, 1.3 * axis.get_ylim()[1]))
            axis.grid(False)
            spreads.append(f"{entering.std():.2g} in layer {number}")
        row[0].set_ylabel(name)
        paint = (features[..., :3] - features[..., :3].mean((0, 1)) + 1) / 2
        row[-1].imshow(images.to_uint8(paint.movedim(-1, 0)))
        row[-1].set_axis_off()
        texts.append(f"{name}: standard deviation {', '.join(spreads)}.".replace("\n", " "))
    for axis, number in zip(axes[0], shown, strict=False):
        axis.set_title(f"layer {number}")
    axes[0, -1].set_title("what layer 6 paints")
    for axis in axes[-1, :-1]:
        axis.set_xlabel("into the sine")
    made.suptitle(f"Untrained sine layers ({owner}): how much their inputs vary over the picture")
    texts.append("The last column shows what layer 6 paints.")
    return plots.show(made, " ".join(texts))


@matplotlib.rc_context(plots.STYLE)
def _map(scores: Mapping[tuple[float, int], float], here: tuple[float, int], title: str) -> plots.Shown:
    """A table of PSNRs as a coloured map, ω₀ down and L across, with a frame around one of them."""
    omegas, counts = (sorted({key[i] for key in scores}) for i in (0, 1))
    table = np.array([[scores[omega, count] for count in counts] for omega in omegas])
    made, axis = plots.figure(6.6, 4.6)
    axis.imshow(table, cmap="viridis", aspect="auto")
    middle = (table.min() + table.max()) / 2
    for (i, j), value in np.ndenumerate(table):
        axis.text(j, i, f"{value:.1f}", ha="center", va="center", color="black" if value > middle else "white")
    box = {"fill": False, "edgecolor": plots.RED, "linewidth": 4}
    axis.add_patch(matplotlib.patches.Rectangle((counts.index(here[1]) - 0.5, omegas.index(here[0]) - 0.5), 1, 1, **box))
    axis.set(xticks=range(len(counts)), xticklabels=counts, yticks=range(len(omegas)))
    axis.set(yticklabels=[f"{omega:g}" for omega in omegas], xlabel="L, frequencies", ylabel="ω₀", title=title)
    axis.grid(False)
    best = max(scores, key=scores.__getitem__)
    return plots.show(
        made,
        f"{title}, for each ω₀ and L. Best: {scores[best]:.1f} dB at ω₀ {best[0]:g} and L {best[1]}; "
        f"lowest: {min(scores.values()):.1f} dB. Framed: {scores[here]:.1f} dB at ω₀ {here[0]:g}, L {here[1]}.",
    )


class Choices:
    """Many fits of one picture, one for each ω₀ and L: what they paint, and where each stands among the others.

    Args:
        fitted: (ω₀, L) to what a network paints at the size that it was fitted at.
        doubled: (ω₀, L) to the same at twice the size.
        small, large: the originals at both sizes.
        owner: "yours" or "library's", for the titles.
    """

    def __init__(
        self,
        fitted: Mapping[tuple[float, int], Tensor],
        doubled: Mapping[tuple[float, int], Tensor],
        small: Tensor,
        large: Tensor,
        owner: str,
    ) -> None:
        self.fitted, self.doubled, self.owner = fitted, doubled, owner
        self.on_pixels = {key: metrics.psnr(picture, small) for key, picture in fitted.items()}
        self.between = {key: metrics.psnr(picture, large) for key, picture in doubled.items()}

    @staticmethod
    def slider(name: str, values: Sequence[float]) -> SelectionSlider:
        """A slider over these values alone, starting in their middle."""
        return SelectionSlider(options=values, value=values[len(values) // 2], description=name)

    def show(self, omega_0: float, frequencies: int) -> plots.Shown:
        """One of the fits, at both sizes, above the two tables of PSNRs."""
        here = (omega_0, frequencies)
        titles = [
            f"its pixels ({self.owner}): {self.on_pixels[here]:.1f} dB",
            f"twice the size ({self.owner}): {self.between[here]:.1f} dB",
        ]
        alt = f"A SIREN with ω₀ = {omega_0:g} and L = {frequencies}"
        left = plots.pictures([self.fitted[here]], titles[:1], zoom=5, alt=alt)
        right = plots.pictures([plots.zoomed(self.doubled[here], 2.5)], titles[1:], alt=alt)
        cells = (
            left,
            right,
            _map(self.on_pixels, here, "PSNR on the fitted pixels (dB)"),
            _map(self.between, here, "PSNR at twice the size (dB)"),
        )
        grid = "display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px;max-width:860px"
        body = "".join(f"<div>{cell.html}</div>" for cell in cells)
        return plots.Shown(f'<div style="{grid}">{body}</div>', "\n".join(cell.text for cell in cells))


@matplotlib.rc_context(plots.STYLE)
def folded_plane() -> plots.Shown:
    """One number that goes through a ReLU: max(0, z) as a curve, and what three such neurons paint on the canvas."""
    made, axes = plots.figure(12, 3.1, 4, width_ratios=[1, 1.2, 1.2, 1.2])
    z = np.linspace(-1, 1, 101)
    axes[0].plot(z, np.maximum(z, 0), color=plots.BLUE)
    axes[0].set(title="max(0, z)", xlabel="z", xticks=[-1, 0, 1], yticks=[0, 1])
    x, y = images.canvas(100, 150).unbind(-1)
    sums = {"z = x + 0.2": x + 0.2, "z = 0.4x + 0.9y": 0.4 * x + 0.9 * y, "z = −0.8x + 0.5y + 0.3": 0.3 - 0.8 * x + 0.5 * y}
    for axis, (name, values) in zip(axes[1:], sums.items(), strict=True):
        axis.imshow(values.clamp_min(0), cmap="Blues", vmin=0, vmax=1.2)
        axis.set(xticks=[], yticks=[], title=name)
        axis.grid(False)
    return plots.show(
        made,
        "Left: max(0, z), a curve that is 0 up to z = 0 and rises straight from there. Right: three neurons "
        "over the canvas, each "
        "white on one side of a straight line, and evenly darker with the distance from it on the other.",
    )


@matplotlib.rc_context(plots.STYLE)
def best_and_last(losses: Sequence[float], owner: str) -> plots.Shown:
    """The losses of a fit, and what it costs to stop at one of its later steps with the weights of that step, "
    "not the best so far."""
    made, (axis, close) = plots.figure(12, 4.2, 2)
    best_so_far = np.minimum.accumulate(losses)
    begin = len(losses) * 2 // 3
    gaps = 10 * np.log10(np.array(losses) / best_so_far)[begin:]
    axis.plot(losses, linewidth=1.5)
    axis.set(xlabel="step", ylabel="mean squared error", yscale="log", title=f"the whole fit ({owner})")
    close.fill_between(range(begin, len(losses)), gaps, color=plots.RED, alpha=0.35)
    close.plot(range(begin, len(losses)), gaps, color=plots.RED, linewidth=1.5)
    close.set(xlabel="stopped at this step", ylabel="dB lost", title="last weights, against the best so far")
    close.set_ylim(bottom=0)
    return plots.show(
        made,
        f"Left: the loss of a fit falls from {losses[0]:.3f} to {losses[-1]:.5f}, in jumps. Right: who stops it "
        f"at one of the last "
        f"{len(gaps)} steps and takes the weights as they are, loses {gaps.mean():.1f} dB on average against "
        f"the best weights so far, "
        f"and up to {gaps.max():.1f} dB.",
    )


@matplotlib.rc_context(plots.STYLE)
def ladder_figure(rungs: Mapping[str, tuple[Tensor, int]], picture: Tensor, owner: str) -> plots.Shown:
    """What several networks paint after one recipe, side by side, above bars of their PSNR.

    Args:
        rungs: name to what it paints (3, H, W) and its number of weights.
        picture: (3, H, W), the original.
        owner: "yours" or "library's", for the title.
    """
    made = Figure(figsize=(13, 5.2), layout="constrained")
    grid = made.add_gridspec(2, len(rungs), height_ratios=(1, 0.75))
    scores = {name: metrics.psnr(painted, picture) for name, (painted, _) in rungs.items()}
    for column, (name, (painted, weights)) in enumerate(rungs.items()):
        axis = made.add_subplot(grid[0, column])
        axis.imshow(images.to_uint8(painted), interpolation="nearest")
        axis.set(xticks=[], yticks=[], xlabel=f"{weights:,} weights")
        axis.set_title(name, fontweight="bold")
        axis.grid(False)
    bars = made.add_subplot(grid[1, :])
    bars.barh(range(len(scores)), list(scores.values()), color=plots.BLUE)
    for place, score in enumerate(scores.values()):
        bars.text(score + 0.3, place, f"{score:.1f} dB", va="center", fontweight="bold")
    bars.set(yticks=range(len(scores)), yticklabels=list(scores), xlabel=f"PSNR of the fitted pixels, in dB ({owner})")
    bars.set_xlim(0, max(scores.values()) + 4)
    bars.invert_yaxis()
    bars.grid(False, axis="y")
    spelled = ", ".join(f"{name} {scores[name]:.1f} dB with {weights:,} weights" for name, (_, weights) in rungs.items())
    return plots.show(made, f"What four networks paint after the same steps, and bars of their PSNR: {spelled}.")


@matplotlib.rc_context(plots.STYLE)
def centres_figure(source: int, length: int) -> plots.Shown:
    """A side of `source` pixels rendered with `length`: where the new pixels could be, wrong above, right below."""
    made, axis = plots.figure(11, 3.4)
    old, corners = np.linspace(-1, 1, source), np.linspace(-1, 1, length)
    centres = images.canvas_axis(length, source).numpy()
    half = 1 / (source - 1)
    for row, (places, colour, name) in enumerate(
        ((corners, plots.RED, "corners at −1 and 1"), (centres, plots.BLUE, "centres of the halves"))
    ):
        level = -row
        for x in old:
            axis.add_patch(
                matplotlib.patches.Rectangle((x - half, level - 0.3), 2 * half, 0.6, facecolor="0.93", edgecolor="0.35")
            )
            axis.plot([x, x], [level - 0.3, level + 0.3], color="0.35", linewidth=1, linestyle=":")
        axis.plot(old, np.full(source, level), "o", markersize=17, markerfacecolor="none", color="0.35")
        axis.plot(places, np.full(length, level), "oD"[row], color=colour)
        axis.text(-1 - 1.35 * half, level, name, ha="right", va="center", color=colour, fontweight="bold")
    axis.set(xlim=(-2.6, 1 + 1.2 * half), ylim=(-1.5, 0.5), yticks=[], xticks=old, xlabel="x")
    axis.set_xticklabels([f"{x:.2g}".replace("-", "−") for x in old])
    axis.spines["left"].set_visible(False)
    axis.grid(False)
    return plots.show(
        made,
        f"Two rows of {source} pixels, drawn as squares with a ring at each centre, and {length} new places in each row. "
        f"Above, they go from corner to corner, {corners[0]:.2f}, {corners[1]:.2f}, … {corners[-1]:.2f}, and lie unevenly "
        f"in the squares. Below, {centres[0]:.2f}, {centres[1]:.2f}, … {centres[-1]:.2f}: two in each square, left and "
        "right of its centre alike.",
    )
