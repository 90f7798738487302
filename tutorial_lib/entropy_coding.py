"""From quantised weights to bytes and back, exactly, on every machine.

The range coder is constriction's (Bamler, arXiv 2201.01741): 24-bit probabilities, 32-bit words. The decoder must
see the very same probabilities as the encoder, or it goes astray at the first difference. constriction's own
QuantizedLaplace evaluates exp() in floating point, whose last bit is the platform's affair; so the Laplace law
is a table of integers here, made with integer multiplications, shifts and square roots from eight committed
constants. It goes in as `Categorical(perfect=False)`, which only divides, multiplies and truncates, and the table is
made so that its factor is exactly 1. What remains to be trusted is IEEE arithmetic on integers below 2⁵³
and constriction's stream format (equal bytes in 0.3.5, 0.4.2 and 0.5.0).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import constriction
import numpy as np
import torch
from torch import Tensor

from tutorial_lib.bitstream import BitstreamError, Reader, varint
from tutorial_lib.quantization import MAX_SYMBOL, QuantizedTensor

PRECISION = 24
SPREADS = 160
"""Number of Laplace scales: b = 2^(index/8 − 4) steps, from 1/16 to 60,000."""

_FRACTION_BITS = 48
# exp(−1/(2b))·2⁴⁸ for the first octave, b = 2^(j/8 − 4), j = 0 … 7, rounded from 50 digits.
_FIRST_OCTAVE = (
    94424335376,
    183417776810,
    337183572614,
    589311866533,
    983329812783,
    1572529284551,
    2418663442086,
    3589498934828,
)
MAX_WEIGHT = 65504.0
"""The largest weight a file may hold, float16's: no sum in a network can then overflow float32."""
_FLOAT16 = 255  # the model byte of a tensor stored verbatim


@dataclass(frozen=True)
class Laplace:
    """A discretised Laplace law on −bound … bound.

    Args:
        spread: index of the scale, 0 … `SPREADS` − 1.
        bound: largest magnitude that can be coded, 0 … `MAX_SYMBOL`; with 0 every symbol is 0 and costs nothing.
    """

    spread: int
    bound: int

    def frequencies(self) -> np.ndarray:
        """Integer probabilities of −bound … bound in units of 2⁻²⁴, float64, shape (2·bound + 1,).

        They add up to 2²⁴ less one unit a symbol, which constriction gives to each so that none is impossible.
        """
        return _frequencies(self.spread, self.bound)

    def bits(self, symbols: np.ndarray) -> float:
        """What coding ``symbols`` (integers within ±bound) costs, without the coder's last word."""
        if self.bound == 0:
            return 0.0
        counts = np.bincount(symbols.ravel() + self.bound, minlength=2 * self.bound + 1)
        used = counts > 0
        return float(np.sum(counts[used] * (PRECISION - np.log2(self.frequencies()[used] + 1))))

    @staticmethod
    def fitted(symbols: np.ndarray) -> Laplace:
        """The law that codes ``symbols`` in the fewest bits: the best of a coarse grid, then the best near it."""
        bound = int(np.abs(symbols).max(initial=0))
        if bound == 0:
            return Laplace(0, 0)
        coarse = [Laplace(spread, bound) for spread in range(0, SPREADS, 4)]
        near = min(coarse, key=lambda law: law.bits(symbols)).spread
        candidates = [Laplace(spread, bound) for spread in range(max(near - 3, 0), min(near + 4, SPREADS))]
        return min(candidates, key=lambda law: law.bits(symbols))


@functools.cache
def _decay(spread: int) -> int:
    """t = exp(−1/(2b)) as an integer over 2⁴⁸. Twice the scale is the square root of t: exact in integers."""
    if spread < len(_FIRST_OCTAVE):
        return _FIRST_OCTAVE[spread]
    return math.isqrt(_decay(spread - len(_FIRST_OCTAVE)) << _FRACTION_BITS)


@functools.lru_cache(maxsize=256)
def _frequencies(spread: int, bound: int) -> np.ndarray:
    total = (1 << PRECISION) - (2 * bound + 1)
    decay = _decay(spread)
    square = decay * decay >> _FRACTION_BITS
    tail = np.zeros(bound + 2, dtype=np.int64)  # tail[k]: units of all symbols ≥ k, for k ≥ 1
    power = decay  # t^(2k − 1); P(q ≥ k) is half of it
    for k in range(1, bound + 1):
        tail[k] = total * power >> (_FRACTION_BITS + 1)
        if tail[k] == 0:
            break
        power = power * square >> _FRACTION_BITS
    one_side = tail[1:-1] - tail[2:]
    centre = total - 2 * int(tail[1])
    frequencies = np.concatenate([one_side[::-1], [centre], one_side]).astype(np.float64)
    frequencies.setflags(write=False)
    return frequencies


def encode_symbols(tensors: Sequence[np.ndarray], models: Sequence[Laplace]) -> bytes:
    """All tensors in one range-coder stream, row-major, one after the other; little-endian 32-bit words."""
    encoder = constriction.stream.queue.RangeEncoder()
    for symbols, model in zip(tensors, models, strict=True):
        if model.bound:
            shifted = np.ascontiguousarray(symbols.ravel() + model.bound, dtype=np.int32)
            encoder.encode(shifted, _categorical(model))
    return encoder.get_compressed().astype("<u4").tobytes()


def decode_symbols(data: bytes, counts: Sequence[int], models: Sequence[Laplace]) -> list[np.ndarray]:
    """The symbols of `encode_symbols`, int32, one flat array for each count.

    Raises:
        BitstreamError: the stream is not one that these models wrote.
    """
    if len(data) % 4:
        raise BitstreamError(f"a range-coder stream is made of 4-byte words, this one has {len(data)} bytes")
    decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))
    decoded = []
    for count, model in zip(counts, models, strict=True):
        if model.bound == 0:
            decoded.append(np.zeros(count, dtype=np.int32))
            continue
        try:
            decoded.append(decoder.decode(_categorical(model), count) - model.bound)
        except AssertionError as error:
            raise BitstreamError("the weights' stream holds an impossible code word") from error
    if encode_symbols(decoded, models) != data:
        raise BitstreamError("the weights' stream does not fit its weights: it is too short, too long or foreign")
    return decoded


def _categorical(model: Laplace) -> constriction.stream.model.Categorical:
    return constriction.stream.model.Categorical(model.frequencies(), perfect=False, lazy=False)


def pack_parameters(tensors: Sequence[QuantizedTensor | Tensor]) -> tuple[bytes, bytes]:
    """The sections "quantiser" and "networks" for a network's tensors, in order.

    A `QuantizedTensor` is range coded; its entry in "quantiser" is the spread's index (1 byte), the step as
    bfloat16 (2 bytes) and the bound (varint). A plain Tensor is stored as float16, 2 bytes a weight; its entry
    is the byte 255. "networks" holds the float16 tensors, then the one range-coder stream of all others.
    """
    entries, verbatim, symbols, models = bytearray(), bytearray(), [], []
    for tensor in tensors:
        if isinstance(tensor, QuantizedTensor):
            model = Laplace.fitted(tensor.symbols)
            entries += bytes([model.spread]) + _bfloat16(tensor.step) + varint(model.bound)
            symbols.append(tensor.symbols)
            models.append(model)
        else:
            entries.append(_FLOAT16)
            verbatim += tensor.detach().cpu().numpy().astype("<f2").tobytes()
    return bytes(entries), bytes(verbatim) + encode_symbols(symbols, models)


def unpack_parameters(
    quantiser: bytes, networks: bytes, shapes: Sequence[torch.Size]
) -> list[QuantizedTensor | Tensor]:
    """What `pack_parameters` was given: `QuantizedTensor` with equal symbols, or float16 tensors.

    Raises:
        BitstreamError: entries or streams that don't belong to tensors of these shapes.
    """
    reader = Reader(quantiser, "quantiser section")
    entries: list[tuple[Laplace, float] | None] = []
    for _ in shapes:
        spread = reader.byte()
        if spread == _FLOAT16:
            entries.append(None)
            continue
        step, bound = _from_bfloat16(reader.take(2)), reader.varint()
        if spread >= SPREADS or bound > MAX_SYMBOL or not (math.isfinite(step) and step > 0):
            raise BitstreamError(f"no quantiser has spread {spread}, step {step} and bound {bound}")
        entries.append((Laplace(spread, bound), step))
        if bound * step > MAX_WEIGHT:
            raise BitstreamError(f"weights up to {bound * step:.3g} are impossible: {MAX_WEIGHT:g} is the most")
    reader.end()

    body = Reader(networks, "networks section")
    verbatim = {
        index: torch.from_numpy(np.frombuffer(body.take(2 * shape.numel()), dtype="<f2").astype(np.float16))
        for index, shape in enumerate(shapes)
        if entries[index] is None
    }
    if not all(torch.isfinite(values).all() for values in verbatim.values()):
        raise BitstreamError("a weight is infinite or not a number")
    coded = [index for index, entry in enumerate(entries) if entry is not None]
    stream = body.take(len(networks) - body.position)
    decoded = dict(
        zip(
            coded,
            decode_symbols(stream, [shapes[i].numel() for i in coded], [entries[i][0] for i in coded]),
            strict=True,
        )
    )
    return [
        QuantizedTensor(decoded[i].reshape(shape), entries[i][1]) if i in decoded else verbatim[i].reshape(shape)
        for i, shape in enumerate(shapes)
    ]


def _bfloat16(value: float) -> bytes:
    """The upper half of a float32, little-endian; ``value`` must be exact in it."""
    data = np.float32(value).astype("<f4").tobytes()
    if data[:2] != b"\0\0":
        raise ValueError(f"the step {value} is not a bfloat16: take quantization.storable_step")
    return data[2:]


def _from_bfloat16(data: bytes) -> float:
    return float(np.frombuffer(b"\0\0" + data, dtype="<f4")[0])


def decay(spread: int) -> int:
    """⌊e^(−1/(2b))·2⁴⁸⌋ for the scale b = 2^(spread/8 − 4), up to the square roots' rounding: the seed of every Laplace table.

    >>> [decay(spread) / 2**48 for spread in (0, 32)]  # e^−8, e^−½
    [0.000335..., 0.606...]
    """
    return _decay(spread)
