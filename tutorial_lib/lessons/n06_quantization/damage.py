"""Notebook 06's file from within: its first bytes, and what becomes of it when one bit changes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import matplotlib
import numpy as np
import torch
from torch import Tensor

from tutorial_lib import metrics, plots
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Reader
from tutorial_lib.coding.parameters import Entry, entries
from tutorial_lib.coding.steps import QuantizedTensor
from tutorial_lib.course.drawing import compare, folded, table


def bytes_table(data: bytes, names: Mapping[int, str]) -> plots.Shown:
    """The first bytes of a file of ours, up to the bodies, with what they mean; names of section kinds."""
    reader = Reader(data, "file")
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
    sealed = data + zlib.crc32(data).to_bytes(4, "little")
    try:
        container = bitstream.read(sealed)
    except BitstreamError as error:
        if "ends early" in str(error) or "left over" in str(error):  # of its checksum nobody has heard yet
            raise BitstreamError("the table's lengths don't add up to the file") from error
        raise
    if container.codec != codec.number or set(container.sections) != {"configuration", "quantizer", "networks"}:
        raise BitstreamError("the file is of another codec")
    network = codec.build(codec.config_of(sealed), container.height, container.width)
    laws_and_steps = _entries(container.sections["quantizer"], [parameter.shape for parameter in network.parameters()])
    if len(container.sections["networks"]) % 4:
        raise BitstreamError("the stream is of another kind")
    words = np.frombuffer(container.sections["networks"], dtype="<u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    with torch.no_grad():
        for parameter, (law, step) in zip(network.parameters(), laws_and_steps, strict=True):
            symbols = np.zeros(parameter.numel(), dtype=np.int32)
            if law.bound:
                model = constriction.stream.model.Categorical(law.frequencies(), perfect=False, lazy=False)
                for index in range(len(symbols)):
                    symbols[index] = next_symbol(decoder, model, law.bound)
            parameter.copy_(QuantizedTensor(symbols.reshape(parameter.shape), step).values())
    return network.render()


def _entries(quantizer: bytes, shapes: Sequence[torch.Size]) -> list[Entry]:
    """Law and step of each tensor, where a section "quantizer" gives each a law and one step."""
    coder, found = entries(quantizer, shapes)
    known = [entry for entry in found if entry is not None and isinstance(entry.step, float)]
    if coder != "range" or len(known) < len(found):
        raise BitstreamError("the steps are of another kind")
    return known


def next_symbol(decoder: Any, model: Any, bound: int) -> int:
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
    reader = Reader(data, "file")
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
    quantizer = data[begins[2] : begins[2] + lengths[2]]
    first_step = 2 if quantizer[0] in (160, 161) else 1  # behind the law of the first tensor; its high byte comes second
    places = {
        "A: the width": width,
        "B: the table": table_ends[3],
        "C: a step": begins[2] + first_step + 1,
        "D: the first weights": begins[3],
        "E: the last weights": begins[3] + lengths[3] - 8,
    }
    return [flip(data, place, name, intact, codec) for name, place in places.items()]


def flips_figure(flips: Sequence[Flip], prediction: str | None) -> plots.Shown:
    """The five damaged files side by side, and the reader's prediction beside what came out; folded until there is one."""
    grey = torch.full_like(next(each.picture for each in flips if each.picture is not None), 0.9)
    shown = [grey if each.picture is None else each.picture for each in flips]
    titles = [f"{each.name[0]}: {OUTCOMES[each.outcome]}" for each in flips]
    drawn = plots.pictures(shown, titles, zoom=1.25, method="bicubic", alt="decoded after one bit has changed")
    truth = "".join(each.outcome for each in flips)
    lines = [f"In letters: {compare(prediction, truth)}"]
    lines += [f"{each.name}: {each.says}" for each in flips]
    page = "<br>".join(lines)
    shown = plots.Shown(drawn.html + page, "\n".join([drawn.text, *lines]))
    return folded(shown, prediction, "your five letters")


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
