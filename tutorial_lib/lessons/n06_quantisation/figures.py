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
import torch
from torch import Tensor, nn

from tutorial_lib import bitstream, codecs, entropy_coding, metrics, plots, training
from tutorial_lib.bitstream import BitstreamError
from tutorial_lib.course.drawing import compare, table
from tutorial_lib.entropy_coding import ExpGolomb
from tutorial_lib.quantization import AdaRound, MaxAbsQuantizer, QuantizedTensor
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
    data = codec._write(network, steps)
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
    for row, symbol in enumerate(message):
        begin, chosen = 0.0, (0.0, 1.0)
        for each, share in probabilities.items():
            taken = each == symbol
            look = {"color": colours[each], "edgecolor": "white", "alpha": 1.0 if taken else 0.35}
            axis.barh(-row, share, left=begin, height=0.55, **look)
            axis.text(begin + share / 2, -row, f"{each:+d}" if each else "0", ha="center", va="center", fontsize=14)
            if taken:
                chosen = (begin, share)
            begin += share
        for x, corner in ((0, chosen[0]), (1, sum(chosen))):
            axis.plot([corner, x], [-row - 0.28, -row - 0.72], color="0.4", linewidth=1)
        axis.text(-0.01, -row + 0.33, f"{low:.4f}", ha="left", va="bottom", fontsize=11, color="0.3")
        axis.text(1.01, -row + 0.33, f"{low + width:.4f}", ha="right", va="bottom", fontsize=11, color="0.3")
        low, width = low + chosen[0] * width, width * chosen[1]
    end = -len(message)
    axis.barh(end, 1, height=0.55, color="0.85")
    said = ", ".join(f"{s:+d}" if s else "0" for s in message)
    bits = -math.log2(width)
    axis.text(0.5, end, f"[{low:.4f}, {low + width:.4f}) means “{said}”: {bits:.1f} bits", ha="center", va="center")
    axis.set(xlim=(-0.02, 1.02), ylim=(end - 0.5, 0.7), yticks=[], xticks=[])
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
        bits: of the quantiser.
        real: bytes of the range coder's stream of all tensors.
    """
    shown = {name: (f"{count:,}", f"{bits}", f"{own:.2f}", f"{law:.2f}", "") for name, (count, own, law) in rows.items()}
    total = sum(count for count, _, _ in rows.values())
    sums = [sum(row[0] * row[column] for row in rows.values()) / 8 for column in (1, 2)]
    cells = [f"{total * bits / 8:,.0f} bytes", *(f"{each:,.0f} bytes" for each in sums), f"{real:,} bytes"]
    shown["all"] = (f"{total:,}", *cells)
    columns = ("weights", "as they are", "entropy", "Laplace law", "real")
    return table(columns, shown, f"Bits a weight ({owner})")


# ---------------------------------------------------------------------------------------------- the file


def bytes_table(data: bytes, names: Mapping[int, str]) -> plots.Shown:
    """The first bytes of a file of ours, up to the bodies, with what they mean; names of section kinds."""
    reader = bitstream.Reader(data, "file")
    rows: dict[str, tuple[str, str]] = {}

    def note(name: str, begin: int, value: Any) -> None:
        rows[name] = (data[begin : reader.position].hex(" "), str(value))

    fields: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("magic", lambda: reader.take(3).decode()), ("version", reader.byte), ("codec", reader.byte),
        ("height", reader.varint), ("width", reader.varint), ("sections", reader.byte),
    )  # fmt: skip
    count = 0
    for name, read in fields:
        begin, value = reader.position, read()
        note(name, begin, value)
        count = value
    for _ in range(count):
        begin = reader.position
        kind, length = reader.byte(), reader.varint()
        note(f"section {kind}", begin, f"{names.get(kind, '?')}, {length:,} bytes")
    return table(("bytes", "meaning"), rows, f"The first {reader.position} of {len(data):,} bytes")


OUTCOMES = {"r": "refused", "s": "another size", "w": "wrecked", "h": "hardly visible"}


@dataclass(frozen=True)
class Flip:
    """A byte of a file with one bit changed, and what a decoder without a checksum makes of that."""

    name: str
    position: int
    outcome: str  # a letter of `OUTCOMES`
    says: str
    picture: Tensor | None


def believe(data: bytes, codec: Any) -> Tensor:
    """The picture in a file without a checksum, of a coordinate network, by a decoder that believes what it reads.

    The library's own encodes what it has decoded once more, and compares: that finds nearly all damage in a stream.

    Raises:
        BitstreamError: what the file says is impossible.
    """
    container = bitstream.read(data + zlib.crc32(data).to_bytes(4, "little"))
    if container.codec != codec.number or set(container.sections) != {"configuration", "quantiser", "networks"}:
        raise BitstreamError("the file is of another codec")
    network = codec.build(codec._read_config(container), container.height, container.width)
    shapes = [parameter.shape for parameter in network.parameters()]
    entries = entropy_coding._read_entries(container.sections["quantiser"], shapes)[1]
    if None in entries or len(container.sections["networks"]) % 4:
        raise BitstreamError("the stream is of another kind")
    words = np.frombuffer(container.sections["networks"], dtype="<u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    with torch.no_grad():
        for parameter, (law, step) in zip(network.parameters(), entries, strict=True):
            symbols = np.zeros(parameter.numel(), dtype=np.int32)
            if law.bound:
                model = constriction.stream.model.Categorical(law.frequencies(), perfect=False, lazy=False)
                for index in range(len(symbols)):
                    symbols[index] = _next(decoder, model, law.bound)
            parameter.copy_(QuantizedTensor(symbols.reshape(parameter.shape), step).values())
    return network.render()


def _next(decoder: Any, model: Any, bound: int) -> int:
    """The next symbol, or 0 where there is none that an encoder could have written."""
    try:
        return int(decoder.decode(model)) - bound
    except AssertionError:
        return 0


def flip(data: bytes, position: int, name: str, intact: Tensor, codec: Any) -> Flip:
    """Flip the lowest bit of a byte of a file without a checksum, and decode it all the same."""
    damaged = bytearray(data)
    damaged[position] ^= 1
    try:
        picture = believe(bytes(damaged), codec)
    except BitstreamError as error:
        return Flip(name, position, "r", str(error), None)
    if picture.shape != intact.shape:
        return Flip(name, position, "s", f"{picture.shape[2]} × {picture.shape[1]} pixels", picture)
    decibels = metrics.psnr(picture, intact)
    says = "no change" if math.isinf(decibels) else f"{decibels:.1f} dB"
    return Flip(name, position, "h" if decibels > 30 else "w", says, picture)


def five_flips(data: bytes, intact: Tensor, codec: Any) -> list[Flip]:
    """One bit changed in five places: width, section table, a step, and both ends of the weights' stream."""
    reader = bitstream.Reader(data, "file")
    reader.take(5)
    reader.varint()
    width = reader.position
    reader.varint()
    lengths = {}
    table_ends = {}
    for _ in range(reader.byte()):
        kind = reader.byte()
        table_ends[kind] = reader.position
        lengths[kind] = reader.varint()
    begins, position = {}, reader.position
    for kind, length in lengths.items():
        begins[kind], position = position, position + length
    quantiser = data[begins[2] : begins[2] + lengths[2]]
    first_step = 2 if quantiser[0] in (160, 161) else 1  # behind the law of the first tensor; its high byte comes second
    places = {
        "A: the width": width,
        "B: the table": table_ends[3],
        "C: a step": begins[2] + first_step + 1,
        "D: the first weights": begins[3],
        "E: the last weights": begins[3] + lengths[3] - 8,
    }
    return [flip(data, place, name, intact, codec) for name, place in places.items()]


def flips_figure(flips: Sequence[Flip], prediction: str | None) -> plots.Shown:
    """The five damaged files side by side, and the reader's prediction beside what came out."""
    grey = torch.full_like(next(each.picture for each in flips if each.picture is not None), 0.9)
    shown = [grey if each.picture is None else each.picture for each in flips]
    titles = [f"{each.name[0]}: {OUTCOMES[each.outcome]}" for each in flips]
    drawn = plots.pictures(shown, titles, zoom=1.25, method="bicubic", alt="decoded after one bit has changed")
    truth = "".join(each.outcome for each in flips)
    lines = [f"In letters: {compare(prediction, truth)}"]
    lines += [f"{each.name}: {each.says}" for each in flips]
    page = "<br>".join(lines)
    return plots.Shown(drawn.html + page, "\n".join([drawn.text, *lines]))


@matplotlib.rc_context(plots.STYLE)
def every_flip_figure(data: bytes, intact: Tensor, codec: Any, count: int) -> plots.Shown:
    """PSNR after one bit has changed, for bytes all over the file; refused files at the bottom."""
    places = np.unique(np.linspace(0, len(data) - 1, count).astype(int))
    flips = [flip(data, int(place), "", intact, codec) for place in places]
    made, axis = plots.figure(11, 4)
    kept = [(f.position, min(metrics.psnr(f.picture, intact), 60.0)) for f in flips if f.outcome in "wh"]
    refused = [f.position for f in flips if f.outcome in "rs"]
    axis.plot(*zip(*kept, strict=True), color=plots.BLUE, marker="o", markersize=5, linestyle="none", label="decoded")
    axis.plot(refused, [0] * len(refused), color=plots.RED, marker="x", linestyle="none", label="refused, or another size")
    axis.set(xlabel="byte whose lowest bit has changed", ylabel="PSNR to the intact picture (dB)", ylim=(-3, None))
    axis.legend(loc="upper center")
    median = float(np.median([value for _, value in kept]))
    last = [value for place, value in kept if place > 0.9 * len(data)]
    return plots.show(
        made,
        f"{len(places)} files with one bit changed: {len(refused)} are refused or have another size, the others decode, with a "
        f"median of {median:.0f} dB; in the last tenth of the file they reach {max(last, default=0):.0f} dB.",
    )


def unnoticed_flips(data: bytes) -> int:
    """How many of all single-bit changes `bitstream.read` lets pass."""
    passed = 0
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            bitstream.read(bytes(damaged))
            passed += 1
        except BitstreamError:
            pass
    return passed


# ---------------------------------------------------------------------------------------------- the boxes


def first_wrong(stream: np.ndarray, model: Any, sent: np.ndarray) -> str:
    """Where a range decoder with this model first goes wrong, in words."""
    decoder = constriction.stream.queue.RangeDecoder(stream)
    for index, symbol in enumerate(sent):
        if _next(decoder, model, 0) != symbol:
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
