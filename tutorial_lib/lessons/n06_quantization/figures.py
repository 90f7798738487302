"""Figures and small experiments of notebook 06 that would stand in the reader's way there."""

from __future__ import annotations

import copy
import lzma
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import matplotlib
import numpy as np
from torch import Tensor, nn

from tutorial_lib import codecs, metrics, plots, training
from tutorial_lib.coding.laws import ExpGolomb
from tutorial_lib.coding.quantizers import MaxAbsQuantizer
from tutorial_lib.coding.rounding import AdaRound
from tutorial_lib.course.drawing import table
from tutorial_lib.lessons.n06_quantization.damage import next_symbol
from tutorial_lib.training import OneCycle, Phase

# ---------------------------------------------------------------------------------------------- a network without a file


def paint(network: nn.Module, weights: Mapping[str, Tensor]) -> Tensor:
    """The picture of a network with these weights, on the CPU; the network stays as it is."""
    painter = copy.deepcopy(network)
    painter.load_state_dict({name: value.detach() for name, value in weights.items()}, strict=False)
    return painter.render().cpu()


def as_good_a_jpeg(picture: Tensor, decibels: float) -> bytes:
    """The smallest JPEG whose PSNR is that high, or the best one there is."""
    jpeg, data = codecs.get("jpeg"), b""
    for quality in range(4, 100, 3):
        data = jpeg.encode(picture, quality=quality)
        if metrics.psnr(jpeg.decode(data), picture) >= decibels:
            break
    return data


def _step(weights: np.ndarray, bits: int) -> float:
    return float(np.abs(weights).max()) / (2 ** (bits - 1) - 1)


@matplotlib.rc_context(plots.STYLE)
def steps_figure(weights: Tensor, bits: int) -> plots.Shown:
    """The weights of a tensor as a histogram, over the values that a number of bits leaves to them."""
    values = weights.detach().cpu().numpy().ravel()
    step = _step(values, bits)
    allowed = step * np.arange(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1))
    made, axis = plots.figure(10, 3.8)
    axis.hist(values, bins=120, color=plots.SKY, label=f"{len(values):,} weights")
    top = axis.get_ylim()[1]
    axis.vlines(allowed, 0, top, color=plots.RED, linewidth=1.5, label=f"what {bits} bits can say")
    axis.annotate("", (allowed[-2], 0.55 * top), (allowed[-1], 0.55 * top), arrowprops={"arrowstyle": "<->", "linewidth": 2})
    axis.text((allowed[-2] + allowed[-1]) / 2, 0.58 * top, "Δ", ha="center", fontsize=17)
    axis.set(xlabel="weight", yticks=[], title="One layer's weights, and the few values they may keep")
    axis.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="white")
    near = float((np.abs(values) < step / 2).mean())
    return plots.show(
        made,
        f"Histogram of {len(values):,} weights, a peak around 0, the largest {np.abs(values).max():.2f}. Red lines mark the "
        f"{len(allowed)} multiples of a step of {step:.3f}; {near:.0%} of the weights are nearest to 0.",
    )


# ---------------------------------------------------------------------------------------------- straight through


@matplotlib.rc_context(plots.STYLE)
def staircase_figure() -> plots.Shown:
    """Rounding as a staircase, with its slope, and the line that straight-through takes for it."""
    w = np.linspace(-2.4, 2.4, 2001)
    made, (left, right) = plots.figure(12, 3.8, 2)
    left.plot(w, np.round(w), color=plots.BLUE, label="rounded")
    left.plot(w, w, color="0.5", linestyle="--", linewidth=1.5, label="w itself")
    left.set(xlabel="w / Δ", title="what the network gets")
    left.legend()
    right.plot(w, 0 * w, color=plots.BLUE, label="slope of rounding")
    right.plot(w, 0 * w + 1, color=plots.ORANGE, linestyle="--", label="what we pretend")
    right.set(xlabel="w / Δ", title="its slope", ylim=(-0.3, 1.6))
    right.legend(loc="upper right")
    return plots.show(
        made,
        "Left, rounding as a staircase around the line of w itself. Right, its slope: 0 everywhere (at the jumps it has none); "
        "a dashed line at 1 shows the slope that straight-through pretends.",
    )


@matplotlib.rc_context(plots.STYLE)
def climb_figure(lines: Mapping[str, Sequence[float]], title: str) -> plots.Shown:
    """PSNR in the course of short fits."""
    made, axis = plots.figure(9, 4)
    texts = [f"{title}: PSNR in the course of fits of {len(next(iter(lines.values())))} steps."]
    for name, decibels in lines.items():
        axis.plot(decibels, label=name)
        texts.append(f"{name}: from {decibels[0]:.1f} to {decibels[-1]:.1f} dB.")
    axis.set(xlabel="step", ylabel="PSNR (dB)", title=title)
    axis.set_ylim(bottom=min(map(min, lines.values())) - 1.2)
    axis.legend(loc="lower right", ncols=2)
    return plots.show(made, " ".join(texts))


# ---------------------------------------------------------------------------------------------- the race


@dataclass(frozen=True)
class Entry:
    """A network whose weights are rounded, or will be by its steps; bits per pixel and dB of its decoded file."""

    bpp: float
    psnr: float
    network: nn.Module
    steps: dict[str, Any]


Race = dict[str, dict[int, Entry]]
"""Method to number of bits to what came out."""


def race(codec: Any, network: nn.Module, picture: Tensor, bits: Sequence[int], phase: Phase, *, qat: int, adaround: int) -> Race:
    """The same fitted network rounded three ways, each with several numbers of bits.

    Args:
        phase: of the fit, which QAT goes on with at half its learning rate.
        qat, adaround: steps of QAT, and of AdaRound.
    """
    tuning = Phase(
        "QAT",
        qat,
        phase.optimizer,
        phase.learning_rate / 2,
        OneCycle(warm_up=0.2),
        points=phase.points,
        quantization="round",
    )
    found: Race = {"PTQ": {}, "AdaRound": {}, "QAT": {}}
    for number in bits:
        for method, rounding in (("PTQ", None), ("AdaRound", AdaRound(iterations=adaround))):
            rounded, quantizer = copy.deepcopy(network), MaxAbsQuantizer(number, rounding=rounding)
            training.calibrate(quantizer, rounded, picture)
            training.settle(quantizer, rounded, picture)
            found[method][number] = _entry(codec, rounded, quantizer.steps, picture)
        trained = copy.deepcopy(network)
        report = training.fit(trained, picture, (tuning,), quantizer=MaxAbsQuantizer(number), progress=False)
        found["QAT"][number] = _entry(codec, trained, report.steps, picture)
    return found


def _entry(codec: Any, network: nn.Module, steps: Mapping[str, Any], picture: Tensor) -> Entry:
    data = codec.pack(network, steps)
    return Entry(metrics.bits_per_pixel(data, picture), metrics.psnr(codec.decode(data).cpu(), picture), network, dict(steps))


@matplotlib.rc_context(plots.STYLE)
def race_figure(found: Race, full: float) -> plots.Shown:
    """PSNR over bits a weight, a line for each method."""
    made, axis = plots.figure(9, 4.8)
    texts = [f"PSNR over bits a weight; full precision has {full:.1f} dB."]
    axis.axhline(full, color="0.5", linestyle="--", linewidth=1.5)
    for (method, entries), marker in zip(found.items(), plots.MARKERS, strict=False):
        axis.plot(list(entries), [entry.psnr for entry in entries.values()], marker=marker, label=method)
        texts.append(f"{method}: " + ", ".join(f"{entry.psnr:.1f} dB with {n}" for n, entry in entries.items()) + ".")
    axis.annotate("32 bits", (min(found["QAT"]), full), (0, -17), textcoords="offset points", color="0.35")
    axis.set(xlabel="bits a weight", ylabel="PSNR (dB)", title="one fit, rounded three ways", xticks=list(found["QAT"]))
    axis.legend(loc="lower right")
    return plots.show(made, " ".join(texts))


# ---------------------------------------------------------------------------------------------- what symbols cost


@matplotlib.rc_context(plots.STYLE)
def symbols_figure(symbols: Tensor, law: np.ndarray | None = None, owner: str = "") -> plots.Shown:
    """How often each symbol appears; with a law, its probabilities over them."""
    flat = symbols.detach().cpu().numpy().ravel()
    bound = int(np.abs(flat).max())
    k = np.arange(-bound, bound + 1)
    shares = np.bincount(flat + bound, minlength=2 * bound + 1) / len(flat)
    made, axis = plots.figure(10, 3.8)
    axis.bar(k, shares, color=plots.SKY, width=0.85, label="how often it appears")
    text = (
        f"Bars of how often each symbol from {-bound} to {bound} appears: 0 with {shares[bound]:.1%}, "
        f"±10 with {shares[bound - 10] + shares[bound + 10]:.1%}." if bound >= 10 else f"Bars of symbols up to {bound}."
    )  # fmt: skip
    if law is not None:
        axis.plot(k, law, color=plots.RED, marker="o", markersize=4, linewidth=1.5, label=f"Laplace ({owner})")
        axis.legend()
        text += f" A Laplace law over them, with P(0) = {law[bound]:.1%}."
    axis.set(xlabel="symbol", ylabel="share", title=f"{len(flat):,} symbols of one layer")
    return plots.show(made, text)


@matplotlib.rc_context(plots.STYLE)
def interval_figure(message: Sequence[int], probabilities: Mapping[int, float]) -> plots.Shown:
    """How a range coder narrows an interval: a row for each symbol, the chosen part enlarged in the next row."""
    made, axis = plots.figure(10, 1.15 * (len(message) + 1))
    low, width = 0.0, 1.0
    colours = dict(zip(probabilities, plots.COLOURS, strict=False))

    def signed(number: int) -> str:
        return f"{number:+d}".replace("-", "−") if number else "0"

    for row, symbol in enumerate(message):
        begin, chosen = 0.0, (0.0, 1.0)
        for each, share in probabilities.items():
            taken = each == symbol
            look = {"color": colours[each], "edgecolor": "white", "alpha": 1.0 if taken else 0.35}
            axis.barh(-row, share, left=begin, height=0.55, **look)
            ink = "white" if taken and colours[each] == plots.BLUE else "black"
            axis.text(begin + share / 2, -row, signed(each), ha="center", va="center", fontsize=14, color=ink)
            if taken:
                chosen = (begin, share)
            begin += share
        for x, corner in ((0, chosen[0]), (1, sum(chosen))):
            axis.plot([corner, x], [-row - 0.28, -row - 0.72], color="0.4", linewidth=1)
        axis.text(-0.012, -row, f"{low:.4f}", ha="right", va="center", fontsize=12, color="0.3")
        axis.text(1.012, -row, f"{low + width:.4f}", ha="left", va="center", fontsize=12, color="0.3")
        low, width = low + chosen[0] * width, width * chosen[1]
    end = -len(message)
    axis.barh(end, 1, height=0.55, color="0.85")
    said = ", ".join(map(signed, message))
    bits = -math.log2(width)
    axis.text(0.5, end, f"[{low:.4f}, {low + width:.4f}) means “{said}”: {bits:.1f} bits", ha="center", va="center")
    axis.set(xlim=(-0.1, 1.1), ylim=(end - 0.5, 0.5), yticks=[], xticks=[])
    axis.grid(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_visible(False)
    return plots.show(
        made,
        f"The interval from 0 to 1 is split by probability; the part of the symbol to be sent is split again, and so "
        f"on. After {said} it goes from {low:.4f} to {low + width:.4f}; {bits:.1f} bits name a number in it.",
    )


def bits_table(rows: Mapping[str, tuple[int, float, float]], bits: int, real: int, owner: str) -> plots.Shown:
    """Tensors with their number of weights and the bits a weight by entropy and by law, and all of them together.

    Args:
        rows: tensor to (weights, entropy a weight, Laplace bits a weight).
        bits: of the quantizer.
        real: bytes of the range coder's stream of all tensors.
    """
    shown = {name: (f"{count:,}", f"{bits}", f"{own:.2f}", f"{law:.2f}", "") for name, (count, own, law) in rows.items()}
    total = sum(count for count, _, _ in rows.values())
    sums = [sum(row[0] * row[column] for row in rows.values()) / 8 for column in (1, 2)]
    cells = [f"{total * bits / 8:,.0f} bytes", *(f"{each:,.0f} bytes" for each in sums), f"{real:,} bytes"]
    shown["all"] = (f"{total:,}", *cells)
    columns = ("weights", "as they are", "entropy", "Laplace law", "real")
    return table(columns, shown, f"Bits a weight ({owner})")


# ---------------------------------------------------------------------------------------------- the boxes


def first_wrong(stream: np.ndarray, model: Any, sent: np.ndarray) -> str:
    """Where a range decoder with this model first goes wrong, in words."""
    decoder = constriction.stream.queue.RangeDecoder(stream)
    for index, symbol in enumerate(sent):
        if next_symbol(decoder, model, 0) != symbol:
            return f"wrong from symbol {index} on"
    return "all right"


def zip_table(weights: Sequence[Tensor], symbols: Sequence[Tensor], ours: int) -> plots.Shown:
    """Bytes of the weights in general-purpose packers, against a file."""
    exact = b"".join(each.detach().cpu().numpy().astype("<f4").tobytes() for each in weights)
    whole = b"".join(each.cpu().numpy().astype(np.int8).tobytes() for each in symbols)
    packers: dict[str, Callable[[bytes], bytes]] = {
        "nothing": lambda data: data,
        "zip (Deflate)": lambda data: zlib.compress(data, 9),
        "xz (LZMA)": lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}]),
    }
    rows = {name: (f"{len(packer(exact)):,}", f"{len(packer(whole)):,}") for name, packer in packers.items()}
    rows["your file, everything in it"] = ("", f"{ours:,}")
    return table(("float32", "integers, a byte each"), rows, "Bytes")


def golomb_table(symbols: Tensor) -> plots.Shown:
    """Exp-Golomb code words of order 0, and what three orders spend on symbols."""
    flat = symbols.cpu().numpy().ravel()
    bound = int(np.abs(flat).max())
    words = {"0": "1", "1": "010", "−1": "011", "2": "00100", "−2": "00101", "3": "00110", "40": _golomb(79)}
    rows = {name: (word, str(len(word))) for name, word in words.items()}
    spent = ", ".join(
        f"order {order}: {float(ExpGolomb(order, bound).lengths()[flat + bound].mean()):.2f}" for order in (0, 2, 4)
    )
    shown = table(("code word", "bits"), rows, "Exp-Golomb, order 0")
    said = f"Bits a weight for the layer from above: {spent}."
    return plots.Shown(f"{shown.html}<p>{said}</p>", f"{shown.text}\n{said}")


def _golomb(number: int) -> str:
    """The code word of order 0 of a number: as many zeros as number + 1 has binary digits less one, then those digits."""
    digits = f"{number + 1:b}"
    return "0" * (len(digits) - 1) + digits
