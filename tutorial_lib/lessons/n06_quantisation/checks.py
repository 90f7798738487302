"""Exercises of notebook 06: weights to symbols, a gradient through rounding, what symbols cost, and a file to the last byte."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import bitstream, quantization
from tutorial_lib.bitstream import BitstreamError, Container, varint
from tutorial_lib.course.comparing import Random, Wrong, slope
from tutorial_lib.course.drawing import histogram_bits
from tutorial_lib.course.exercises import Check, Exercise, Mistake
from tutorial_lib.quantization import storable_step

KINDS = {kind: name for name, kind in bitstream._SECTION_KINDS.items()}
CHECKSUM_BYTES = 4

# ---------------------------------------------------------------------------------------------- the library's answers


def quantize(weights: Tensor, bits: int) -> tuple[Tensor, float]:
    """`quantization.MaxAbsQuantizer` and `quantization.quantize` in one: symbols (int32), and their step."""
    step = quantization.MaxAbsQuantizer(bits)._step(weights.detach().abs())
    return quantization.to_symbols(weights.detach(), step).int(), step


def straight_through(weights: Tensor, step: float) -> Tensor:
    """What `quantization.quantized_parameters` is to a fit: quantised weights forwards, the identity backwards."""
    return weights + (quantization.to_symbols(weights.detach(), step) * step - weights.detach())


def entropy(symbols: Tensor) -> float:
    """Bits a symbol, by the symbols' own histogram."""
    return histogram_bits(symbols) / symbols.numel()


def laplace_table(b: float, bound: int) -> np.ndarray:
    """Probabilities of −bound … bound, float64; `entropy_coding.Laplace` makes the same of integers alone."""
    k = np.abs(np.arange(-bound, bound + 1))
    t = math.exp(-1 / (2 * b))
    table = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2.0 * k))
    return table / table.sum()


def pack(codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> bytes:
    """`bitstream.write`, without the checksum; sections by their number."""
    named = {KINDS[kind]: body for kind, body in sections.items()}
    return bitstream.write(Container(codec, height, width, named))[:-CHECKSUM_BYTES]


def seal(data: bytes) -> bytes:
    """The last line of `bitstream.write`."""
    return data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little")


def unpack(data: bytes) -> tuple[int, int, int, dict[int, bytes]]:
    """`bitstream.read` for data without a checksum."""
    container = bitstream.read(seal(data))
    sections = {bitstream._SECTION_KINDS[name]: body for name, body in container.sections.items()}
    return container.codec, container.height, container.width, sections


# ---------------------------------------------------------------------------------------------- 06.1


def _weights_and_bits(random: Random) -> tuple[Any, ...]:
    """Weights whose largest one is negative."""
    weights = random.normal(*random.size(6, 12), std=0.1)
    weights[-1, -1] = -random.uniform(0.4, 0.7)
    return weights, random.randint(3, 8)


def _quantize_like(
    levels: Callable[[int], int] = lambda bits: 2 ** (bits - 1) - 1,
    largest: Callable[[Tensor], Tensor] = lambda weights: weights.abs().max(),
    whole: Callable[[Tensor], Tensor] = torch.round,
    stored: Callable[[float], float] = storable_step,
    result: Callable[[Tensor, float], Tensor] = lambda symbols, step: symbols.int(),
):
    """A quantiser that differs from the right one in one thing."""

    def wrong(weights: Tensor, bits: int) -> tuple[Tensor, float]:
        step = stored(largest(weights).item() / levels(bits))
        return result(whole(weights / step), step), step

    return wrong


QUANTIZE = Exercise(
    id="06.1",
    title="A uniform quantiser",
    minutes=4,
    core=True,
    reference=quantize,
    checks=(
        Check(
            "symbols and step of random weights",
            inputs=_weights_and_bits,
            tolerance=1e-6,
            mistakes=(
                Mistake(
                    "the fraction is cut off towards 0, so all weights shrink: take the nearest integer, `torch.round`.",
                    like=_quantize_like(whole=torch.trunc),
                ),
                Mistake(
                    "it rounds down, so all weights move the same way: take the nearest integer, `torch.round`.",
                    like=_quantize_like(whole=torch.floor),
                ),
                Mistake(
                    "one symbol too many: with n = 2^(bits−1) the largest weight becomes ±n, but 8 bits end at 127. Take n − 1.",
                    like=_quantize_like(levels=lambda bits: 2 ** (bits - 1)),
                ),
                Mistake(
                    "the sign takes a bit, too: half of the 2^bits integers are negative. Divide by 2^(bits−1) − 1.",
                    like=_quantize_like(levels=lambda bits: 2**bits - 1),
                ),
                Mistake(
                    "the largest weight may be a negative one: take the largest *magnitude*, `weights.abs().max()`.",
                    like=_quantize_like(largest=lambda weights: weights.max()),
                ),
                Mistake(
                    "the step isn't a number that the file can hold: `storable_step(…)` makes it one, *before* you divide by it.",
                    like=_quantize_like(stored=lambda step: step),
                ),
                Mistake(
                    "these are the weights after rounding, q·Δ. The file holds the integers q: don't multiply yet.",
                    like=_quantize_like(result=lambda symbols, step: symbols * step),
                ),
            ),
        ),
    ),
    hints=(
        "The largest magnitude becomes the largest symbol, 2^(bits−1) − 1. That fixes the step.",
        "`largest = weights.abs().max().item()`, and the step is `storable_step(largest / (2 ** (bits - 1) - 1))`.",
        "The symbols are `torch.round(weights / step).int()`. Return them, then the step.",
    ),
)

# ---------------------------------------------------------------------------------------------- 06.2


def _weights_and_step(random: Random) -> tuple[Any, ...]:
    return random.normal(*random.size(), std=0.5), random.uniform(0.1, 0.3)


STRAIGHT_THROUGH = Exercise(
    id="06.2",
    title="Straight through",
    minutes=4,
    core=True,
    reference=straight_through,
    checks=(
        Check(
            "forwards, it rounds",
            inputs=_weights_and_step,
            call=lambda answer, weights, step: _detached(answer(weights, step)),
            mistakes=(
                Mistake(
                    "nothing is rounded: forwards, the network has to see Δ·round(w/Δ).",
                    like=lambda weights, step: weights,
                ),
                Mistake(
                    "these are the integers: times Δ, they are weights again.",
                    like=lambda weights, step: torch.round(weights / step),
                ),
                Mistake(
                    "the weights are added twice: add the *difference*, rounded − weights.",
                    like=lambda weights, step: weights + torch.round(weights / step) * step,
                ),
            ),
        ),
        Check(
            "backwards, its slope is 1",
            inputs=_weights_and_step,
            call=slope,
            mistakes=(
                Mistake(
                    "the gradient is 0: `torch.round` is flat, and what passes through it is lost. Hide the step from the "
                    "gradient with `.detach()`, and let the weights themselves through.",
                    when=lambda yours, target, *_: bool((yours == 0).all()),
                ),
                Mistake(
                    "the gradient has the wrong sign: `detach()` belongs to the difference, not to the weights in front of it.",
                    when=lambda yours, target, *_: bool((yours == -1).all()),
                ),
                Mistake(
                    "no gradient comes back: all of it is detached. The weights in front of the difference must not be.",
                    error="no gradient comes back",
                ),
            ),
        ),
    ),
    hints=(
        "Write the result as the weights plus a difference. Forwards both count, backwards only the weights shall.",
        "The difference is `rounded - weights`, and `.detach()` behind its bracket makes a constant of it.",
        "`rounded = torch.round(weights / step) * step`, then `weights + (rounded - weights)` with the bracket detached.",
    ),
)


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value


# ---------------------------------------------------------------------------------------------- 06.3a


def _symbols(random: Random) -> tuple[Any, ...]:
    """Symbols as of weights: many small ones, negative too, gaps, and an outlier."""
    symbols = random.normal(*random.size(9, 14), std=random.uniform(1.5, 3.5)).round().int()
    symbols[0, 0] = random.randint(15, 40)
    return (symbols,)


def _shares(symbols: Tensor) -> Tensor:
    counts = symbols.unique(return_counts=True)[1]
    return counts / counts.sum()


ENTROPY = Exercise(
    id="06.3a",
    title="The entropy of the symbols",
    minutes=4,
    core=True,
    reference=entropy,
    checks=(
        Check(
            "bits a symbol, for random symbols",
            inputs=_symbols,
            mistakes=(
                Mistake(
                    "these are nats: bits need the logarithm to base 2, `torch.log2`.",
                    when=lambda yours, target, *_: abs(float(yours) / target - math.log(2)) < 1e-3,
                ),
                Mistake(
                    "the minus is missing: log₂ of a probability is negative.",
                    when=lambda yours, target, *_: abs(float(yours) + target) < 1e-3,
                ),
                Mistake(
                    "these are the bits of all symbols together: bits *a symbol* are wanted.",
                    when=lambda yours, target, symbols: abs(float(yours) / symbols.numel() - target) < 1e-3,
                ),
                Mistake(
                    "each distinct symbol counts once: weigh −log₂ p with p, for what is frequent is written often.",
                    like=lambda symbols: float(-_shares(symbols).log2().mean()),
                ),
                Mistake(
                    "−log₂ p is added up without its weight p: what is frequent is written often.",
                    like=lambda symbols: float(-_shares(symbols).log2().sum()),
                ),
                Mistake(
                    "that is log₂ of how many distinct symbols there are, the bits if all were equally frequent.",
                    like=lambda symbols: math.log2(len(symbols.unique())),
                ),
                Mistake(
                    "0·log₂ 0 is NaN to a computer: leave out symbols that don't appear. `symbols.unique(return_counts=True)` "
                    "counts only those that do.",
                    when=lambda yours, target, *_: math.isnan(float(yours)),
                ),
                Mistake(
                    "`torch.bincount` can't count negative numbers: take `symbols.unique(return_counts=True)`.",
                    error="bincount only supports",
                ),
            ),
        ),
    ),
    hints=(
        "`values, counts = symbols.unique(return_counts=True)` says how often each symbol appears.",
        "p is counts divided by the number of symbols. Then H = −Σ p·log₂ p.",
        "`-(p * torch.log2(p)).sum()`, and `.item()` makes a plain number of it.",
    ),
)

# ---------------------------------------------------------------------------------------------- 06.3b


def _law(random: Random) -> tuple[Any, ...]:
    return random.uniform(1.0, 4.0), random.randint(3, 8)


def _table_like(
    decay: Callable[[float], float] = lambda b: math.exp(-1 / (2 * b)),
    power: int = 2,
    zero: bool = True,
    start: Callable[[int], int] = lambda bound: -bound,
    magnitude: Callable[[np.ndarray], np.ndarray] = np.abs,
    scaled: bool = True,
):
    """A table that differs from the right one in one thing."""

    def wrong(b: float, bound: int) -> np.ndarray:
        k = magnitude(np.arange(start(bound), bound + 1))
        t = decay(b)
        table = 0.5 * (1 / t - t) * t ** (1.0 * power * k)
        if zero:
            table = np.where(k == 0, 1 - t, table)
        return table / table.sum() if scaled else table

    return wrong


LAPLACE = Exercise(
    id="06.3b",
    title="A Laplace law for the symbols",
    minutes=6,
    core=False,
    reference=laplace_table,
    checks=(
        Check(
            "right for random widths and bounds",
            inputs=_law,
            tolerance=1e-6,
            draw="curve",
            mistakes=(
                Mistake(
                    "the probabilities don't add up to 1: the ends of the law are cut off. Divide by the sum.",
                    like=_table_like(scaled=False),
                ),
                Mistake("0 has a formula of its own: P(0) = 1 − t.", like=_table_like(zero=False)),
                Mistake("t is e^(−1/(2b)): the 2 is missing.", like=_table_like(decay=lambda b: math.exp(-1 / b))),
                Mistake("the exponent of t is 2|k|, not |k|.", like=_table_like(power=1)),
                Mistake(
                    "k goes in with its sign, so that −3 seems likelier than 0: take |k|, `np.abs(k)`.",
                    like=_table_like(magnitude=lambda k: k),
                ),
                Mistake(
                    "there are negative symbols, too: the table goes from −bound to bound.",
                    when=lambda yours, target, b, bound: len(yours) in (bound, bound + 1, 2 * bound),
                ),
            ),
        ),
    ),
    hints=(
        "`k = np.arange(-bound, bound + 1)` are the symbols, `t = math.exp(-1 / (2 * b))`.",
        "`np.where(k == 0, …, …)` chooses between the two formulas; use `np.abs(k)` in the second.",
        "`table = np.where(k == 0, 1 - t, 0.5 * (1 / t - t) * t ** (2 * np.abs(k)))`, divided by its sum.",
    ),
)

# ---------------------------------------------------------------------------------------------- 06.4


def _parts(random: Random) -> tuple[Any, ...]:
    """A picture with sides of more than a byte, and sections, one longer than a byte can count."""
    height, width = random.sample(range(130, 900), 2)
    kinds = random.sample(sorted(KINDS), 3)
    lengths = (random.randint(2, 9), random.randint(10, 40), random.randint(300, 900))
    return random.randint(1, 6), height, width, {kind: random.randbytes(n) for kind, n in zip(kinds, lengths, strict=True)}


def _cut(pack: Callable[..., bytes], codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> dict[str, bytes]:
    """What an answer packs, cut where the right file's parts end."""
    data = pack(codec, height, width, sections)
    if isinstance(data, bytearray):
        data = bytes(data)
    if data is None or not isinstance(data, bytes):
        raise Wrong(f"it returned {type(data).__name__}, expected bytes: add up bytes, and return them")
    size = len(varint(height) + varint(width))
    table = sum(1 + len(varint(len(body))) for body in sections.values())
    ends = [0, 5, 5 + size, 6 + size, 6 + size + table, max(len(data), 6 + size + table)]
    names = ("magic, version and codec", "height and width", "number of sections", "section table", "bodies")
    return {name: data[a:b] for name, a, b in zip(names, ends, ends[1:], strict=False)}


def _pack_like(
    size: Callable[[int, int], bytes] = lambda height, width: varint(height) + varint(width),
    start: Callable[[int], bytes] = lambda codec: b"INR" + bytes([1, codec]),
    count: Callable[[int], bytes] = lambda n: bytes([n]),
    length: Callable[[int], bytes] = varint,
    interleaved: bool = False,
    end: Callable[[bytes], bytes] = lambda data: data,
):
    """A packer that differs from the right one in one thing; to be called as `_cut` is."""

    def wrong(codec: int, height: int, width: int, sections: Mapping[int, bytes]) -> bytes:
        data = start(codec) + size(height, width) + count(len(sections))
        for kind, body in sections.items():
            data += bytes([kind]) + length(len(body)) + (body if interleaved else b"")
        return end(data if interleaved else data + b"".join(sections.values()))

    return wrong


PACK = Exercise(
    id="06.4",
    title="Pack",
    minutes=5,
    core=True,
    reference=pack,
    checks=(
        Check(
            "the file's bytes, from the magic to the last body",
            inputs=_parts,
            call=_cut,
            mistakes=(
                Mistake(
                    "height and width are swapped: the height comes first.",
                    like=_pack_like(size=lambda height, width: varint(width) + varint(height)),
                ),
                Mistake(
                    "each body stands behind its own entry: the whole table comes first, then all bodies.",
                    like=_pack_like(interleaved=True),
                ),
                Mistake(
                    "the number of sections is missing: without it nobody knows where the table ends.",
                    like=_pack_like(count=lambda n: b""),
                ),
                Mistake(
                    "the version is missing: behind b\"INR\" stands a byte 1, so that a later program knows how to read on.",
                    like=_pack_like(start=lambda codec: b"INR" + bytes([codec])),
                ),
                Mistake(
                    "a number of more than 255 doesn't fit a byte: `varint(…)` takes as many as needed.",
                    error="range\\(0, 256\\)",
                ),
                Mistake(
                    "the lengths take four bytes each: `varint(…)` takes one where one is enough.",
                    like=_pack_like(length=lambda n: n.to_bytes(4, "little")),
                ),
                Mistake("the checksum comes later: this file ends with the last body.", like=_pack_like(end=seal)),
                Mistake("text and bytes don't add up: the magic is b\"INR\", with a b.", error='can.?t concat|concatenate str'),
            ),
        ),
    ),
    hints=(
        "Bytes add up: `data = b\"INR\" + bytes([1, codec]) + …`. `bytes([n])` is one byte, `varint(n)` as many as n needs.",
        "After the size comes `bytes([len(sections)])`. Then a loop over `sections.items()` adds kind and length of each.",
        "In the loop: `data += bytes([kind]) + varint(len(body))`. Behind it: `b\"\".join(sections.values())`.",
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- 06.5


def _packed(random: Random) -> tuple[Any, ...]:
    return (pack(*_parts(random)),)


def _damaged(random: Random) -> tuple[Any, ...]:
    data = pack(*_parts(random))
    ways = {"foreign": b"\x89PN" + data[3:], "newer": data[:3] + b"\x07" + data[4:], "cut": data[:-5], "longer": data + b"\0\0"}
    return (ways,)


def _refusals(unpack: Callable[[bytes], Any], ways: Mapping[str, bytes]) -> dict[str, str]:
    """What becomes of each damaged file."""
    found = {}
    for way, data in ways.items():
        try:
            unpack(data)
            found[way] = "read"
        except BitstreamError:
            found[way] = "refused"
        except NotImplementedError:
            raise
        except Exception as error:  # what the participant's code stumbles over
            found[way] = type(error).__name__
    return found


def _taken(way: str) -> Callable[..., bool]:
    return lambda yours, target, *_: yours[way] != "refused"


_BODIES = "bodies are taken from the wrong places: read the *whole* table first, kinds and lengths, and only then the bodies."

UNPACK = Exercise(
    id="06.5",
    title="Unpack",
    minutes=5,
    core=False,
    reference=unpack,
    checks=(
        Check(
            "gives back what was packed",
            inputs=_packed,
            mistakes=(
                Mistake(
                    "height and width are swapped: the height comes first.",
                    when=lambda yours, target, *_: (yours[2], yours[1]) == target[1:3],
                ),
                Mistake(
                    _BODIES,
                    error="BitstreamError",
                    when=lambda yours, target, *_: yours[:3] == target[:3] and yours[3] != target[3],
                ),
            ),
        ),
        Check(
            "refuses what is foreign, newer, cut off or too long",
            inputs=_damaged,
            call=_refusals,
            mistakes=(
                Mistake(
                    "a PNG is read as if it were one of ours: if the first three bytes aren't b\"INR\", raise a BitstreamError.",
                    when=_taken("foreign"),
                ),
                Mistake(
                    "a file of version 7 is read as if nothing had changed: if the version isn't 1, raise a BitstreamError.",
                    when=_taken("newer"),
                ),
                Mistake(
                    "a file that is cut off passes: a slice that goes beyond the end is silently short. "
                    "`reader.take(n)` refuses instead.",
                    when=_taken("cut"),
                ),
                Mistake(
                    "bytes are left over at the end, and nobody asks why: `reader.end()` refuses them.",
                    when=_taken("longer"),
                ),
            ),
        ),
    ),
    hints=(
        "Read in the order of writing: `reader.take(3)` is the magic, `reader.byte()` the version, and so on.",
        "The table is a list of (kind, length): `[(reader.byte(), reader.varint()) for _ in range(reader.byte())]`.",
        "Then `sections = {kind: reader.take(length) for kind, length in table}`, and `reader.end()`.",
    ),
)  # fmt: skip

# ---------------------------------------------------------------------------------------------- 06.6


def _bytes(random: Random) -> tuple[Any, ...]:
    return (random.randbytes(random.randint(60, 200)),)


def _ends(seal: Callable[[bytes], bytes], data: bytes) -> dict[str, Any]:
    """A sealed file, cut where the data end."""
    sealed = seal(data)
    if not isinstance(sealed, bytes | bytearray):
        raise Wrong(f"it returned {type(sealed).__name__}, expected bytes: the data, and four more")
    return {"length": len(sealed), "data": bytes(sealed[: len(data)]), "checksum": bytes(sealed[len(data) :])}


SEAL = Exercise(
    id="06.6",
    title="The checksum",
    minutes=3,
    core=False,
    reference=seal,
    checks=(
        Check(
            "four bytes behind the data, least significant first",
            inputs=_bytes,
            call=_ends,
            mistakes=(
                Mistake(
                    'the bytes are in the wrong order: the least significant one comes first, "little".',
                    like=lambda data: data + zlib.crc32(data).to_bytes(4, "big"),
                ),
                Mistake(
                    "that is the sum of all bytes: two bytes swapped would have the same one. Take `zlib.crc32`.",
                    like=lambda data: data + sum(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "the checksum stands in front: the file would no longer start with b\"INR\". It goes behind the data.",
                    like=lambda data: zlib.crc32(data).to_bytes(4, "little") + data,
                ),
                Mistake(
                    "only the checksum comes back: return the data, too, with the checksum behind them.",
                    like=lambda data: zlib.crc32(data).to_bytes(4, "little"),
                ),
                Mistake(
                    "the checksum is written as text: `.to_bytes(4, \"little\")` makes four bytes of a number.",
                    when=lambda yours, target, *_: yours["length"] > target["length"],
                ),
                Mistake(
                    "that is Adler-32, weak where files are short. Take `zlib.crc32`.",
                    like=lambda data: data + zlib.adler32(data).to_bytes(4, "little"),
                ),
            ),
        ),
    ),
    hints=(
        "`zlib.crc32(data)` is the number.",
        '`number.to_bytes(4, "little")` makes four bytes of it.',
        "Return the data, plus those four bytes.",
    ),
)  # fmt: skip

EXERCISES = [QUANTIZE, STRAIGHT_THROUGH, ENTROPY, LAPLACE, PACK, UNPACK, SEAL]
