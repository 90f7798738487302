"""From quantised weights to bytes and back, exactly, on every machine.

Each tensor is coded under a law, a table of integer probabilities that encoder and decoder must share to the last bit, or the
decoder goes astray at the first difference. A `Histogram` counts the symbols and sends the counts; a `Laplace`, a
`Gaussian` and the law behind an `ExpGolomb` code send one byte and the largest symbol. The shortest is taken, side
information counted (`best_law`).

No table needs exp() or log(), whose last bit is the platform's affair (constriction's own QuantizedLaplace evaluates them): all
are made of integer multiplications, divisions, shifts and square roots, from sixteen committed constants. A table goes in
as `Categorical(perfect=False)`, which only divides, multiplies and truncates, and is made so that its factor is
exactly 1. What remains to be trusted is IEEE arithmetic on integers below 2⁵³ and constriction's stream format (equal
bytes in 0.3.5, 0.4.2 and 0.5.0).

The coder is constriction's (Bamler, arXiv 2201.01741), 24-bit probabilities, 32-bit words: the range coder, a queue, or ANS
(Duda, arXiv 1311.2540), a stack: what was encoded last is decoded first. Both come within a few bytes of the laws' bits.
"""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import constriction
import numpy as np
import torch
from torch import Tensor

from tutorial_lib.bitstream import BitstreamError, Reader, varint
from tutorial_lib.quantization import MAX_SYMBOL, QuantizedTensor, Step, laplace_decay, storable_row_steps

PRECISION = 24
SPREADS = 160
"""Number of Laplace scales, b = 2^(index/8 − 4) steps, from 1/16 to 60,000; and of Gaussian ones, σ = 2^(index/8 − 2)."""
MAX_ORDER = 12
"""Largest order of an Exp-Golomb code."""

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
# exp(−1/(2σ²))·2⁴⁸, σ = 2^(j/8 − 2), j = 0 … 7.
_FIRST_GAUSSIAN_OCTAVE = (
    94424335376,
    337183572614,
    983329812783,
    2418663442086,
    5155394029647,
    9742111590861,
    16636788636993,
    26092014794417,
)
MAX_WEIGHT = 65504.0
"""The largest weight a file may hold, float16's: no sum in a network can then overflow float32."""

# The first byte of a tensor's entry: 0 … 159 are the spreads of a Laplace law, with the rest as in format version 0.
_GAUSSIAN, _EXP_GOLOMB, _HISTOGRAM, _ROWS, _ANS, _FLOAT16 = 160, 161, 162, 200, 201, 255

Coder = Literal["range", "ans"]


# ------------------------------------------------------------------------------------------ laws


class Law(abc.ABC):
    """Probabilities of the integers −bound … bound; with a bound of 0 every symbol is 0 and costs nothing."""

    bound: int

    @abc.abstractmethod
    def frequencies(self) -> np.ndarray:
        """Integer probabilities of −bound … bound in units of 2⁻²⁴, float64, shape (2·bound + 1,).

        They add up to 2²⁴ less one unit a symbol, which constriction gives to each so that none is impossible.
        """

    @abc.abstractmethod
    def side_information(self) -> tuple[bytes, bytes]:
        """What the decoder must know: the bytes before a tensor's step and bound, and those behind them."""

    def bits(self, symbols: np.ndarray) -> float:
        """What coding ``symbols`` (integers within ±bound) costs, without side information and the coder's last word."""
        return self.bits_of_counts(_counts(symbols, self.bound))

    def bits_of_counts(self, counts: np.ndarray) -> float:
        """`bits` of symbols of which −bound … bound appear ``counts`` times, shape (2·bound + 1,)."""
        if self.bound == 0:
            return 0.0
        used = counts > 0
        return float(np.sum(counts[used] * (PRECISION - np.log2(self.frequencies()[used] + 1))))


def _counts(symbols: np.ndarray, bound: int) -> np.ndarray:
    return np.bincount(symbols.ravel() + bound, minlength=2 * bound + 1)


def _magnitudes(symbols: np.ndarray) -> tuple[int, np.ndarray]:
    """The largest magnitude, and how often −bound … bound appear."""
    bound = int(np.abs(symbols).max(initial=0))
    return bound, _counts(symbols, bound)


@dataclass(frozen=True)
class Laplace(Law):
    """A discretised Laplace law.

    Args:
        spread: index of the scale, 0 … `SPREADS` − 1.
        bound: largest magnitude that can be coded, 0 … `MAX_SYMBOL`.
    """

    spread: int
    bound: int

    def frequencies(self) -> np.ndarray:
        return _laplace_table(self.spread, self.bound)

    def side_information(self) -> tuple[bytes, bytes]:
        return bytes([self.spread]), b""

    @staticmethod
    def fitted(symbols: np.ndarray) -> Laplace:
        """The law that codes ``symbols`` in the fewest bits: the likeliest scale, then the best near it."""
        bound, counts = _magnitudes(symbols)
        if bound == 0:
            return Laplace(0, 0)
        total = float(np.sum(counts * np.abs(np.arange(-bound, bound + 1))))
        decay = laplace_decay(symbols.size, int(counts[bound]), total)
        spread = 8 * (math.log2(-1 / (2 * math.log(decay))) + 4) if decay < 1 else SPREADS
        return _descend(spread, lambda index: Laplace(index, bound), counts)


@dataclass(frozen=True)
class Gaussian(Law):
    """P(k) ∝ exp(−k²/(2σ²)), a Gaussian law's density at the integers.

    Args:
        scale: index of σ, 0 … `SPREADS` − 1.
        bound: largest magnitude that can be coded, 0 … `MAX_SYMBOL`.
    """

    scale: int
    bound: int

    def frequencies(self) -> np.ndarray:
        return _gaussian_table(self.scale, self.bound)

    def side_information(self) -> tuple[bytes, bytes]:
        return bytes([_GAUSSIAN, self.scale]), b""

    @staticmethod
    def fitted(symbols: np.ndarray) -> Gaussian:
        """The law that codes ``symbols`` in the fewest bits."""
        bound, counts = _magnitudes(symbols)
        if bound == 0:
            return Gaussian(0, 0)
        square = float(np.sum(counts * np.arange(-bound, bound + 1, dtype=float) ** 2)) / symbols.size
        return _descend(8 * (math.log2(square) / 2 + 2), lambda index: Gaussian(index, bound), counts)


@dataclass(frozen=True)
class ExpGolomb(Law):
    """The law for which signed Exp-Golomb codes are the right ones: a code of l bits stands for a probability of 2^−l.

    0, 1, −1, 2, −2 … are numbered v = 0, 1, 2, 3, 4 …; code k of v takes k + 1 + 2·⌊log₂(⌊v/2ᵏ⌋ + 1)⌋ bits (Teuhola, 1978).
    Its tails are heavier than any exponential's, so outliers are cheap. Here it shares the coder with the other laws; as a
    string of bits, which needs none, it is in `tutorial_lib.latent_coding`.

    Args:
        order: k, 0 … `MAX_ORDER`.
        bound: largest magnitude that can be coded, 0 … `MAX_SYMBOL`; what lies beyond is shared out.
    """

    order: int
    bound: int

    def lengths(self) -> np.ndarray:
        """Bits of the codes of −bound … bound, integers."""
        symbols = np.arange(-self.bound, self.bound + 1)
        numbers = np.where(symbols > 0, 2 * symbols - 1, -2 * symbols)
        digits = np.frexp((numbers >> self.order) + 1)[1] - 1  # exact, as it only reads the exponent
        return self.order + 1 + 2 * digits.astype(np.int64)

    def frequencies(self) -> np.ndarray:
        return _shared_out(np.left_shift(np.int64(1), 38 - self.lengths()), self.bound)

    def side_information(self) -> tuple[bytes, bytes]:
        return bytes([_EXP_GOLOMB, self.order]), b""

    @staticmethod
    def fitted(symbols: np.ndarray) -> ExpGolomb:
        """The order that codes ``symbols`` in the fewest bits."""
        bound, counts = _magnitudes(symbols)
        if bound == 0:
            return ExpGolomb(0, 0)
        mean = float(np.sum(counts * np.abs(np.arange(-bound, bound + 1)))) / symbols.size
        return _descend(math.log2(2 * mean + 1), lambda order: ExpGolomb(order, bound), counts, MAX_ORDER + 1)


@dataclass(frozen=True)
class Histogram(Law):
    """How often each symbol appears in the tensor: the best law there is, but the counts must be sent too.

    Args:
        counts: of −bound … bound, an odd number of them.
    """

    counts: tuple[int, ...]

    @property
    def bound(self) -> int:
        return len(self.counts) // 2

    def frequencies(self) -> np.ndarray:
        return _shared_out(np.array(self.counts, dtype=np.int64), int(np.argmax(self.counts)))

    def side_information(self) -> tuple[bytes, bytes]:
        return bytes([_HISTOGRAM]), b"".join(map(varint, self.counts))

    @staticmethod
    def fitted(symbols: np.ndarray) -> Histogram:
        """The counts of ``symbols``."""
        return Histogram(tuple(_magnitudes(symbols)[1].tolist()))


LAWS: tuple[type[Law], ...] = (Laplace, Gaussian, ExpGolomb, Histogram)


def best_law(symbols: np.ndarray, laws: Sequence[type[Law]] = LAWS) -> Law:
    """The law of these kinds under which symbols and side information take the fewest bits; the first of equals."""
    if not laws:
        raise ValueError(f"no laws to choose from; there are {', '.join(law.__name__ for law in LAWS)}")
    bound, counts = _magnitudes(symbols)
    best, least = None, math.inf
    for kind in laws:
        if best is not None and kind is Histogram and 8 * len(counts) >= least:
            continue  # a count takes a byte at least: not worth writing thousands of them to see
        law = kind.fitted(symbols)
        bits = law.bits_of_counts(counts) + 8 * sum(map(len, law.side_information()))
        if bits < least:
            best, least = law, bits
    return best


def _descend(likeliest: float, law: Callable[[int], Law], counts: np.ndarray, limit: int = SPREADS) -> Law:
    """The best law up and down from the likeliest index, as long as it gets better; for few symbols, from the best of a grid.

    An outlier costs 24 bits at most, one unit of 2⁻²⁴, so that where it counts, among few symbols, there are several minima.
    """
    visited: dict[int, float] = {}

    def bits(index: int) -> float:
        if index not in visited:
            visited[index] = law(index).bits_of_counts(counts)
        return visited[index]

    start = min(max(round(likeliest), 0), limit - 1)
    if counts.sum() < 1000:
        start = min((start, *range(0, limit, 2)), key=bits)
    for direction in (-1, 1):
        index = start
        while 0 <= index + direction < limit and bits(index + direction) < bits(index):
            index += direction
    return law(min(visited, key=bits))


def _shared_out(weights: np.ndarray, rest: int) -> np.ndarray:
    """Frequencies in proportion to integer weights below 2³⁸; what rounding down leaves goes to symbol number ``rest``."""
    total = (1 << PRECISION) - len(weights)
    frequencies = total * weights // int(weights.sum())
    frequencies[rest] += total - int(frequencies.sum())
    return frequencies.astype(np.float64)


@functools.cache
def _decay(spread: int) -> int:
    """t = exp(−1/(2b)) as an integer over 2⁴⁸. Twice the scale is the square root of t: exact in integers."""
    if spread < len(_FIRST_OCTAVE):
        return _FIRST_OCTAVE[spread]
    return math.isqrt(_decay(spread - len(_FIRST_OCTAVE)) << _FRACTION_BITS)


@functools.cache
def _gaussian_decay(scale: int) -> int:
    """exp(−1/(2σ²)) as an integer over 2⁴⁸. Twice the scale is the fourth root."""
    if scale < len(_FIRST_GAUSSIAN_OCTAVE):
        return _FIRST_GAUSSIAN_OCTAVE[scale]
    root = math.isqrt(_gaussian_decay(scale - len(_FIRST_GAUSSIAN_OCTAVE)) << _FRACTION_BITS)
    return math.isqrt(root << _FRACTION_BITS)


@functools.lru_cache(maxsize=256)
def _laplace_table(spread: int, bound: int) -> np.ndarray:
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
    return _symmetric(one_side, centre)


@functools.lru_cache(maxsize=256)
def _gaussian_table(scale: int, bound: int) -> np.ndarray:
    total = (1 << PRECISION) - (2 * bound + 1)
    weights = []  # g^(k²), k ≥ 1, over 2⁴⁸
    decay = _gaussian_decay(scale)
    square = decay * decay >> _FRACTION_BITS
    weight, ratio = 1 << _FRACTION_BITS, decay  # g^((k + 1)² − k²) = g^(2k + 1)
    for _ in range(bound):
        weight = weight * ratio >> _FRACTION_BITS
        if total * weight >> _FRACTION_BITS == 0:
            break
        weights.append(weight)
        ratio = ratio * square >> _FRACTION_BITS
    mass = (1 << _FRACTION_BITS) + 2 * sum(weights)
    one_side = np.zeros(bound, dtype=np.int64)
    one_side[: len(weights)] = [total * weight // mass for weight in weights]
    return _symmetric(one_side, total - 2 * int(one_side.sum()))


def _symmetric(one_side: np.ndarray, centre: int) -> np.ndarray:
    frequencies = np.concatenate([one_side[::-1], [centre], one_side]).astype(np.float64)
    frequencies.setflags(write=False)
    return frequencies


# ------------------------------------------------------------------------------------------ coders


def encode_symbols(tensors: Sequence[np.ndarray], laws: Sequence[Law], coder: Coder = "range") -> bytes:
    """All tensors in one stream, row-major, to be decoded one after the other; little-endian 32-bit words.

    Raises:
        ValueError: no such coder.
    """
    pairs = [
        (np.ascontiguousarray(symbols.ravel() + law.bound, dtype=np.int32), _categorical(law))
        for symbols, law in zip(tensors, laws, strict=True)
        if law.bound
    ]
    if coder == "range":
        encoder = constriction.stream.queue.RangeEncoder()
        for shifted, model in pairs:
            encoder.encode(shifted, model)
    elif coder == "ans":
        encoder = constriction.stream.stack.AnsCoder()
        for shifted, model in reversed(pairs):
            encoder.encode_reverse(shifted, model)
    else:
        raise ValueError(f"no coder {coder!r}; there are {', '.join(get_args(Coder))}")
    return encoder.get_compressed().astype("<u4").tobytes()


def decode_symbols(data: bytes, counts: Sequence[int], laws: Sequence[Law], coder: Coder = "range") -> list[np.ndarray]:
    """The symbols of `encode_symbols`, int32, one flat array for each count.

    A range-coder stream that is cut or lengthened is noticed. For ANS every stream that isn't too long is the stream of some
    symbols, so there the file's checksum alone protects.

    Raises:
        BitstreamError: the stream is not one that these laws wrote.
    """
    if len(data) % 4:
        raise BitstreamError(f"a coder's stream is made of 4-byte words, this one has {len(data)} bytes")
    words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
    decoded = []
    try:
        if coder == "range":
            decoder = constriction.stream.queue.RangeDecoder(words)
        else:
            decoder = constriction.stream.stack.AnsCoder(words)
        for count, law in zip(counts, laws, strict=True):
            if law.bound == 0 or count == 0:
                decoded.append(np.zeros(count, dtype=np.int32))
            else:
                decoded.append(decoder.decode(_categorical(law), count) - law.bound)
    except (AssertionError, ValueError) as error:
        raise BitstreamError("the weights' stream holds an impossible code word") from error
    if encode_symbols(decoded, laws, coder) != data:
        raise BitstreamError("the weights' stream does not fit its weights: it is too short, too long or foreign")
    return decoded


def _categorical(law: Law) -> constriction.stream.model.Categorical:
    return constriction.stream.model.Categorical(law.frequencies(), perfect=False, lazy=False)


# ------------------------------------------------------------------------------------------ sections


def pack_parameters(
    tensors: Sequence[QuantizedTensor | Tensor], *, laws: Sequence[type[Law]] = LAWS, coder: Coder = "range"
) -> tuple[bytes, bytes]:
    """The sections "quantiser" and "networks" for a network's tensors, in order.

    The entry of a `QuantizedTensor` in "quantiser" is its law (1 byte, for all but Laplace and histogram 2), the step as bfloat16
    (2 bytes), the bound (varint), and of a histogram the counts (varints). Steps of rows come first: the byte 200
    and for each row k − 1, where k/256 of the entry's step is the row's. A plain Tensor is stored as float16, 2 bytes a
    weight; its entry is the byte 255. The byte 201 before all entries stands for ANS. "networks" holds the float16
    tensors, then the one stream of all others.

    Args:
        laws: kinds to choose from, tensor by tensor (`best_law`).
        coder: "range" or "ans".

    Raises:
        ValueError: a step that a file cannot hold, or no such coder.
    """
    entries, verbatim, symbols, chosen = bytearray(), bytearray(), [], []
    if coder == "ans":
        entries.append(_ANS)
    for tensor in tensors:
        if isinstance(tensor, QuantizedTensor):
            law = best_law(tensor.symbols, laws)
            before, behind = law.side_information()
            rows, step = _step_bytes(tensor.step)
            entries += rows + before + step + varint(law.bound) + behind
            symbols.append(tensor.symbols)
            chosen.append(law)
        else:
            entries.append(_FLOAT16)
            verbatim += tensor.detach().cpu().numpy().astype("<f2").tobytes()
    return bytes(entries), bytes(verbatim) + encode_symbols(symbols, chosen, coder)


def unpack_parameters(quantiser: bytes, networks: bytes, shapes: Sequence[torch.Size]) -> list[QuantizedTensor | Tensor]:
    """What `pack_parameters` was given: `QuantizedTensor` with equal symbols, or float16 tensors.

    Raises:
        BitstreamError: entries or streams that don't belong to tensors of these shapes.
    """
    coder, entries = _read_entries(quantiser, shapes)
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
    counts, laws = [shapes[index].numel() for index in coded], [entries[index][0] for index in coded]
    decoded = dict(zip(coded, decode_symbols(stream, counts, laws, coder), strict=True))
    return [
        QuantizedTensor(decoded[i].reshape(shape), entries[i][1]) if i in decoded else verbatim[i].reshape(shape)
        for i, shape in enumerate(shapes)
    ]


def stored_laws(quantiser: bytes, shapes: Sequence[torch.Size]) -> list[Law | None]:
    """The law of each tensor as a section "quantiser" gives it; None for float16. Errors as `unpack_parameters`."""
    return [entry and entry[0] for entry in _read_entries(quantiser, shapes)[1]]


def _read_entries(quantiser: bytes, shapes: Sequence[torch.Size]) -> tuple[Coder, list[tuple[Law, Step] | None]]:
    reader = Reader(quantiser, "quantiser section")
    coder: Coder = "range"
    if quantiser[:1] == bytes([_ANS]):
        reader.byte()
        coder = "ans"
    entries = [_read_entry(reader, shape) for shape in shapes]
    reader.end()
    return coder, entries


def _read_entry(reader: Reader, shape: torch.Size) -> tuple[Law, Step] | None:
    model, rows = reader.byte(), None
    if model == _FLOAT16:
        return None
    if model == _ROWS:
        if len(shape) < 2:
            raise BitstreamError("a tensor without rows has steps of rows")
        rows, model = np.frombuffer(reader.take(shape[0]), dtype=np.uint8), reader.byte()
    parameter = reader.byte() if model in (_GAUSSIAN, _EXP_GOLOMB) else model
    step, bound = _from_bfloat16(reader.take(2)), reader.varint()
    if bound > MAX_SYMBOL or not (math.isfinite(step) and step > 0):
        raise BitstreamError(f"no quantiser has step {step} and bound {bound}")
    if bound * step > MAX_WEIGHT:
        raise BitstreamError(f"weights up to {bound * step:.3g} are impossible: {MAX_WEIGHT:g} is the most")
    if model < SPREADS:
        law: Law = Laplace(parameter, bound)
    elif model == _GAUSSIAN and parameter < SPREADS:
        law = Gaussian(parameter, bound)
    elif model == _EXP_GOLOMB and parameter <= MAX_ORDER:
        law = ExpGolomb(parameter, bound)
    elif model == _HISTOGRAM:
        law = Histogram(tuple(reader.varint() for _ in range(2 * bound + 1)))
        if sum(law.counts) != shape.numel():
            raise BitstreamError(f"a histogram counts {sum(law.counts)} weights of {shape.numel()}")
    else:
        raise BitstreamError(f"no quantiser has the law {model} with the parameter {parameter}")
    if rows is None:
        return law, step
    if rows.max(initial=0) != 255:
        raise BitstreamError("of a tensor's rows, none has the largest step")
    return law, ((rows.astype(np.float64) + 1) / 256 * step).astype(np.float32)


def _step_bytes(step: Step) -> tuple[bytes, bytes]:
    """What stands before the law, for steps of rows, and the step."""
    if isinstance(step, float):
        return b"", _bfloat16(step)
    if not np.array_equal(storable_row_steps(step), step):
        raise ValueError("steps of rows are not what a file can hold: take quantization.storable_row_steps")
    largest = float(step.max())
    return bytes([_ROWS, *(np.round(256 * step.astype(np.float64) / largest).astype(int) - 1).tolist()]), _bfloat16(largest)


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
