"""The sections "quantizer" and "networks" of a file: a network's tensors in order, with all that their decoder must know.

The entry of a quantized tensor in "quantizer" is its law (1 byte, for all but Laplace and histogram 2), the step as bfloat16
(2 bytes), the bound (varint), and of a histogram the counts (varints). Steps of rows come first: the byte 200
and for each row k − 1, where k/256 of the entry's step is the row's. A tensor stored as float16, 2 bytes a
weight, has the byte 255 for an entry. The byte 201 before all entries stands for ANS. "networks" holds the float16
tensors, then the one stream of all others. Of the laws, each tensor takes the one of the shortest file, side information counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tutorial_lib.coding import golomb
from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.coding.laws import LAWS, SCALES, ExpGolomb, Gaussian, Histogram, Laplace, Law, magnitudes
from tutorial_lib.coding.steps import MAX_SYMBOL, QuantizedTensor, Step, storable_row_steps
from tutorial_lib.coding.streams import Coder, decode_symbols, encode_symbols

MAX_WEIGHT = 65504.0
"""The largest weight a file may hold, float16's: no sum in a network can then overflow float32."""

_ROWS, _ANS, _FLOAT16 = 200, 201, 255
_GAUSSIAN, _EXP_GOLOMB, _HISTOGRAM = 160, 161, 162
"""The first byte of a law; 0 … 159 are the scales of a Laplace law, with the rest as in format version 0."""


class Entry(NamedTuple):
    """What section "quantizer" says of a quantized tensor: the law of its symbols, and their step."""

    law: Law
    step: Step


def pack_parameters(
    tensors: Sequence[QuantizedTensor | Tensor], *, laws: Sequence[type[Law]] = LAWS, coder: Coder = "range"
) -> tuple[bytes, bytes]:
    """The sections "quantizer" and "networks" for a network's tensors, in order.

    Args:
        tensors: any shapes; those that are not quantized are stored as float16.
        laws: kinds to choose from, tensor by tensor (`best_law`).
        coder: "range" or "ans".

    Raises:
        ValueError: a step or a law that a file cannot hold, or no such coder.
    """
    found, verbatim, symbols, chosen = bytearray(), bytearray(), [], []
    if coder == "ans":
        found.append(_ANS)
    for tensor in tensors:
        if isinstance(tensor, QuantizedTensor):
            law = best_law(tensor.symbols, laws)
            (rows, step), (before, behind) = _step_bytes(tensor.step), _law_bytes(law)
            found += rows + before + step + varint(law.bound) + behind
            symbols.append(tensor.symbols)
            chosen.append(law)
        else:
            found.append(_FLOAT16)
            verbatim += tensor.detach().cpu().numpy().astype("<f2").tobytes()
    return bytes(found), bytes(verbatim) + encode_symbols(symbols, chosen, coder)


def unpack_parameters(quantizer: bytes, networks: bytes, shapes: Sequence[torch.Size]) -> list[QuantizedTensor | Tensor]:
    """What `pack_parameters` was given: `QuantizedTensor` with equal symbols, or float16 tensors.

    Raises:
        BitstreamError: entries or streams that don't belong to tensors of these shapes.
    """
    coder, found = entries(quantizer, shapes)
    body = Reader(networks, "networks section")
    pairs = list(zip(found, shapes, strict=True))
    verbatim = iter([_float16(body, shape) for entry, shape in pairs if entry is None])
    coded = [(entry, shape) for entry, shape in pairs if entry is not None]
    stream = body.take(len(networks) - body.position)
    counts, laws = [shape.numel() for _, shape in coded], [entry.law for entry, _ in coded]
    symbols = iter(decode_symbols(stream, counts, laws, coder))
    return [
        next(verbatim) if entry is None else QuantizedTensor(next(symbols).reshape(shape), entry.step) for entry, shape in pairs
    ]


def stored_laws(quantizer: bytes, shapes: Sequence[torch.Size]) -> list[Law | None]:
    """The law of each tensor as a section "quantizer" gives it; None for float16. Errors as `unpack_parameters`."""
    return [None if entry is None else entry.law for entry in entries(quantizer, shapes)[1]]


def entries(quantizer: bytes, shapes: Sequence[torch.Size]) -> tuple[Coder, list[Entry | None]]:
    """A section "quantizer", read: the coder, and for each tensor its law and step, or None for float16.

    Raises:
        BitstreamError: entries that don't belong to tensors of these shapes.
    """
    reader = Reader(quantizer, "quantizer section")
    coder: Coder = "range"
    if quantizer[:1] == bytes([_ANS]):
        reader.byte()
        coder = "ans"
    found = [_read_entry(reader, shape) for shape in shapes]
    reader.end()
    return coder, found


def best_law(symbols: np.ndarray, laws: Sequence[type[Law]] = LAWS) -> Law:
    """The law of these kinds under which symbols and side information take the fewest bits; the first of equals.

    Args:
        symbols: integers within ±`MAX_SYMBOL`, any shape.

    Raises:
        ValueError: no kinds, or one that a file cannot hold.
    """
    counts = magnitudes(symbols)[1]
    best, least = None, math.inf
    for kind in laws:
        if best is not None and kind is Histogram and 8 * len(counts) >= least:
            continue  # a count takes a byte at least: not worth writing thousands of them to see
        law = kind.fitted(symbols)
        bits = law.bits_of_counts(counts) + 8 * sum(map(len, _law_bytes(law)))
        if bits < least:
            best, least = law, bits
    if best is None:
        raise ValueError(f"no laws to choose from; there are {', '.join(law.__name__ for law in LAWS)}")
    return best


def _law_bytes(law: Law) -> tuple[bytes, bytes]:
    """What a file says of a law: the bytes before its tensor's step and bound, and those behind them."""
    match law:
        case Laplace(spread):
            return bytes([spread]), b""
        case Gaussian(scale):
            return bytes([_GAUSSIAN, scale]), b""
        case ExpGolomb(order):
            return bytes([_EXP_GOLOMB, order]), b""
        case Histogram(counts):
            return bytes([_HISTOGRAM]), b"".join(map(varint, counts))
    raise ValueError(f"a file has no number for the law {type(law).__name__}")


def _read_law(reader: Reader, tag: int, parameter: int, bound: int, size: int) -> Law:
    """The law of `_law_bytes`, from its first byte, the parameter (of a Laplace law that same byte), and what comes behind."""
    if tag < SCALES:
        return Laplace(tag, bound)
    if tag == _GAUSSIAN and parameter < SCALES:
        return Gaussian(parameter, bound)
    if tag == _EXP_GOLOMB and parameter <= golomb.MAX_ORDER:
        return ExpGolomb(parameter, bound)
    if tag == _HISTOGRAM:
        law = Histogram(tuple(reader.varint() for _ in range(2 * bound + 1)))
        if sum(law.counts) != size:
            raise BitstreamError(f"a histogram counts {sum(law.counts)} weights of {size}")
        return law
    raise BitstreamError(f"no quantizer has the law {tag} with the parameter {parameter}")


def _read_entry(reader: Reader, shape: torch.Size) -> Entry | None:
    tag, rows = reader.byte(), None
    if tag == _FLOAT16:
        return None
    if tag == _ROWS:
        if len(shape) < 2:
            raise BitstreamError("a tensor without rows has steps of rows")
        rows, tag = np.frombuffer(reader.take(shape[0]), dtype=np.uint8), reader.byte()
    parameter = reader.byte() if tag in (_GAUSSIAN, _EXP_GOLOMB) else tag
    step, bound = _from_bfloat16(reader.take(2)), reader.varint()
    if bound > MAX_SYMBOL or not (math.isfinite(step) and step > 0):
        raise BitstreamError(f"no quantizer has step {step} and bound {bound}")
    if bound * step > MAX_WEIGHT:
        raise BitstreamError(f"weights up to {bound * step:.3g} are impossible: {MAX_WEIGHT:g} is the most")
    law = _read_law(reader, tag, parameter, bound, shape.numel())
    if rows is None:
        return Entry(law, step)
    if rows.max(initial=0) != 255:
        raise BitstreamError("of a tensor's rows, none has the largest step")
    return Entry(law, ((rows.astype(np.float64) + 1) / 256 * step).astype(np.float32))


def _step_bytes(step: Step) -> tuple[bytes, bytes]:
    """What stands before the law, for steps of rows, and the step."""
    if not isinstance(step, np.ndarray):
        return b"", _bfloat16(step)
    if not np.array_equal(storable_row_steps(step), step):
        raise ValueError("steps of rows are not what a file can hold: take steps.storable_row_steps")
    largest = float(step.max())
    return bytes([_ROWS, *(np.round(256 * step.astype(np.float64) / largest).astype(int) - 1).tolist()]), _bfloat16(largest)


def _bfloat16(value: float) -> bytes:
    """The upper half of a float32, little-endian; ``value`` must be exact in it."""
    data = np.float32(value).astype("<f4").tobytes()
    if data[:2] != b"\0\0":
        raise ValueError(f"the step {value} is not a bfloat16: take steps.storable_step")
    return data[2:]


def _from_bfloat16(data: bytes) -> float:
    return float(np.frombuffer(b"\0\0" + data, dtype="<f4")[0])


def _float16(body: Reader, shape: torch.Size) -> Tensor:
    """The next tensor of a section "networks" that is stored as it is."""
    values = torch.from_numpy(np.frombuffer(body.take(2 * shape.numel()), dtype="<f2").astype(np.float16))
    if not torch.isfinite(values).all():
        raise BitstreamError("a weight is infinite or not a number")
    return values.reshape(shape)
