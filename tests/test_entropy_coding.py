"""The integer Laplace law, the range coder around it, and the sections that hold a network's tensors."""

from __future__ import annotations

import decimal
import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tutorial_lib import entropy_coding
from tutorial_lib.bitstream import BitstreamError, varint
from tutorial_lib.entropy_coding import (
    SPREADS,
    Laplace,
    decode_symbols,
    encode_symbols,
    pack_parameters,
    unpack_parameters,
)
from tutorial_lib.quantization import MAX_SYMBOL, QuantizedTensor, laplace_entropy_bits, storable_step

UNITS = 1 << entropy_coding.PRECISION

symbols_strategy = hnp.arrays(
    np.int32,
    hnp.array_shapes(max_dims=2, max_side=30),
    elements=st.one_of(st.integers(-2, 2), st.integers(-200, 200), st.just(0)),
)


def exact_probabilities(spread: int, bound: int) -> list[decimal.Decimal]:
    """P(−bound) … P(bound) of the discretised Laplace law, the tails lumped on ±bound, from 60 digits."""
    with decimal.localcontext(prec=60):
        eighth = decimal.Decimal(2) ** (decimal.Decimal(spread) / 8 - 4)
        t = (-1 / (2 * eighth)).exp()
        beyond = [t ** (2 * k - 1) / 2 for k in range(1, bound + 1)] + [decimal.Decimal(0)]
        side = [beyond[k] - beyond[k + 1] for k in range(bound)]
        return [*reversed(side), 1 - t, *side]


def test_committed_constants() -> None:
    for j, constant in enumerate(entropy_coding._FIRST_OCTAVE):
        with decimal.localcontext(prec=60):
            b = decimal.Decimal(2) ** (decimal.Decimal(j) / 8 - 4)
            assert constant == round((-1 / (2 * b)).exp() * (1 << 48))


@pytest.mark.parametrize(
    ("spread", "bound"), [(0, 1), (5, 3), (17, 4), (32, 30), (50, 200), (90, 500), (159, 50)]
)
def test_law_is_laplace(spread: int, bound: int) -> None:
    frequencies = Laplace(spread, bound).frequencies()
    exact = exact_probabilities(spread, bound)
    total = UNITS - (2 * bound + 1)
    # each octave is a square root of integers: t's error stays near 2⁻⁴⁰, and sums round down by a unit
    for units, probability in zip(frequencies, exact, strict=True):
        assert abs(units - float(probability) * total) <= 2 + 1e-6 * units


@given(st.integers(0, SPREADS - 1), st.integers(1, 300))
def test_law_is_made_of_integers(spread: int, bound: int) -> None:
    frequencies = Laplace(spread, bound).frequencies()
    assert frequencies.dtype == np.float64 and frequencies.shape == (2 * bound + 1,)
    assert np.all(frequencies >= 0) and np.all(frequencies == np.floor(frequencies))
    assert np.array_equal(frequencies, frequencies[::-1])
    assert frequencies.sum() == UNITS - (2 * bound + 1)


def test_the_same_tables_and_bytes_everywhere() -> None:
    laws = [Laplace(spread, bound) for spread in (0, 7, 8, 33, 80, 159) for bound in (1, 40, 3000)]
    tables = b"".join(law.frequencies().astype("<u4").tobytes() for law in laws)
    symbols = [np.array([k * k % (2 * law.bound + 1) - law.bound for k in range(50)]) for law in laws]
    stream = encode_symbols(symbols, laws)
    assert (
        hashlib.sha256(tables).hexdigest()
        == "3550ae581e02f580c8eace5b6025a54667cbb0da97f966b83b885cb58a3d6281"
    )
    assert (
        hashlib.sha256(stream).hexdigest()
        == "f24111a89df226f432e74396a3572e4f31bdf96d982cc268c016da01998bcba4"
    )


@given(st.lists(symbols_strategy, max_size=5))
def test_there_and_back(tensors: list[np.ndarray]) -> None:
    laws = [Laplace.fitted(symbols) for symbols in tensors]
    data = encode_symbols(tensors, laws)
    decoded = decode_symbols(data, [symbols.size for symbols in tensors], laws)
    assert [part.tolist() for part in decoded] == [symbols.ravel().tolist() for symbols in tensors]
    assert all(part.dtype == np.int32 for part in decoded)
    bits = sum(law.bits(symbols) for law, symbols in zip(laws, tensors, strict=True))
    assert bits - 1 <= 8 * len(data) <= bits + 64


@given(symbols_strategy, st.integers(0, SPREADS - 1), st.integers(0, 100))
def test_any_law_codes_what_is_within_its_bound(symbols: np.ndarray, spread: int, more: int) -> None:
    law = Laplace(spread, int(np.abs(symbols).max()) + more)
    data = encode_symbols([symbols], [law])
    assert np.array_equal(decode_symbols(data, [symbols.size], [law])[0], symbols.ravel())


def test_the_largest_symbols() -> None:
    symbols = np.array([-MAX_SYMBOL, MAX_SYMBOL, 0, 1], dtype=np.int32)
    law = Laplace.fitted(symbols)
    assert law.bound == MAX_SYMBOL
    assert np.array_equal(decode_symbols(encode_symbols([symbols], [law]), [4], [law])[0], symbols)


def test_zeros_cost_nothing() -> None:
    zeros = np.zeros((7, 9), dtype=np.int32)
    law = Laplace.fitted(zeros)
    assert law.bound == 0 and law.bits(zeros) == 0 and encode_symbols([zeros] * 3, [law] * 3) == b""
    assert np.array_equal(decode_symbols(b"", [63], [law])[0], zeros.ravel())
    assert Laplace.fitted(np.zeros(0, dtype=np.int32)) == law


@settings(max_examples=60)
@given(symbols_strategy)
def test_fitted_takes_the_fewest_bits(symbols: np.ndarray) -> None:
    law = Laplace.fitted(symbols)
    every = [Laplace(spread, law.bound).bits(symbols) for spread in range(SPREADS)]
    assert law.bits(symbols) <= 1.01 * min(every) + 0.1


@pytest.mark.parametrize("scale", [0.06, 0.1, 0.2, 0.5, 1.0, 10.0, 300.0])
def test_cost_is_near_the_entropy(scale: float) -> None:
    """Sparse tensors as well: the price of the table and of the grid of spreads is below half a per cent."""
    values = np.random.default_rng(0).laplace(0, scale, 40_000)
    symbols = np.round(values).astype(np.int32)
    ideal = laplace_entropy_bits(torch.from_numpy(symbols).float())
    assert ideal - 1 <= Laplace.fitted(symbols).bits(symbols) <= 1.005 * ideal + 16


def test_streams_that_are_none() -> None:
    law = Laplace(30, 20)
    symbols = np.random.default_rng(1).integers(-5, 6, 200).astype(np.int32)
    data = encode_symbols([symbols], [law])
    for bad in (data[:-1], data + b"\0"):
        with pytest.raises(BitstreamError, match="4-byte words"):
            decode_symbols(bad, [200], [law])
    for bad in (data[:-4], data + bytes(4), data + b"\xff" * 4, b"", b"\xff" * len(data)):
        with pytest.raises(BitstreamError, match="does not fit|impossible"):
            decode_symbols(bad, [200], [law])
    for count in (199, 201, 0, 1000):
        with pytest.raises(BitstreamError):
            decode_symbols(data, [count], [law])
    with pytest.raises(BitstreamError):
        decode_symbols(data, [200], [Laplace(0, 0)])


@settings(max_examples=200)
@given(
    st.binary(max_size=48),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, SPREADS - 1), st.integers(0, 60)), max_size=4),
)
def test_random_streams_decode_or_are_refused(data: bytes, tensors: list[tuple[int, int, int]]) -> None:
    laws = [Laplace(spread, bound) for _, spread, bound in tensors]
    try:
        decoded = decode_symbols(data, [count for count, _, _ in tensors], laws)
    except BitstreamError:
        return
    assert encode_symbols(decoded, laws) == data
    assert all(np.abs(part).max(initial=0) <= law.bound for part, law in zip(decoded, laws, strict=True))


# ------------------------------------------------------------------------------------------ sections

SHAPES = [torch.Size(shape) for shape in [(4, 3), (4,), (2, 4), (2,)]]


def tensors(kinds: str, seed: int = 0) -> list[QuantizedTensor | torch.Tensor]:
    """For each shape "q", quantised, "0", quantised to nothing, or "f", floating point."""
    generator = torch.Generator().manual_seed(seed)
    made: list[QuantizedTensor | torch.Tensor] = []
    for kind, shape in zip(kinds, SHAPES, strict=True):
        values = torch.randn(shape, generator=generator)
        symbols = (0 if kind == "0" else 30) * values
        made.append(
            values if kind == "f" else QuantizedTensor(symbols.round().int().numpy(), storable_step(0.037))
        )
    return made


@pytest.mark.parametrize("kinds", ["qqqq", "ffff", "0000", "q0q0", "qfqf", "f00q"])
def test_sections_there_and_back(kinds: str) -> None:
    before = tensors(kinds)
    quantiser, networks = pack_parameters(before)
    after = unpack_parameters(quantiser, networks, SHAPES)
    for kind, old, new in zip(kinds, before, after, strict=True):
        if kind == "f":
            assert isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor)
            assert new.dtype == torch.float16 and torch.equal(new, old.half())
        else:
            assert isinstance(old, QuantizedTensor) and isinstance(new, QuantizedTensor)
            assert new.step == old.step and np.array_equal(new.symbols, old.symbols)
            assert torch.equal(new.values(), old.values())
    assert pack_parameters(after) == (quantiser, networks)


def test_float16_takes_two_bytes_a_weight_and_zeros_none() -> None:
    assert [len(part) for part in pack_parameters(tensors("ffff"))] == [4, 2 * (12 + 4 + 8 + 2)]
    assert [len(part) for part in pack_parameters(tensors("0000"))] == [4 * 4, 0]


def test_a_step_that_a_file_cannot_hold() -> None:
    with pytest.raises(ValueError, match="not a bfloat16"):
        pack_parameters([QuantizedTensor(np.ones(3, dtype=np.int32), 0.1)])


def test_sections_that_are_none() -> None:
    quantiser, networks = pack_parameters(tensors("qfq0"))
    for bad in (quantiser[:-1], quantiser + b"\0", b"", quantiser * 2):
        with pytest.raises(BitstreamError, match="quantiser section"):
            unpack_parameters(bad, networks, SHAPES)
    for bad in (networks[:-4], networks + bytes(4), b"", networks[:5]):
        with pytest.raises(BitstreamError):
            unpack_parameters(quantiser, bad, SHAPES)
    with pytest.raises(BitstreamError):
        unpack_parameters(quantiser, networks, SHAPES[:3])


def entry(spread: int, step: float, bound: int) -> bytes:
    return bytes([spread]) + np.float32(step).astype("<f4").tobytes()[2:] + varint(bound)


@pytest.mark.parametrize(
    ("spread", "step", "bound"),
    [
        (SPREADS, 1.0, 1),
        (254, 1.0, 1),
        (3, 1.0, MAX_SYMBOL + 1),
        (3, 1.0, 1 << 34),
        (3, 0.0, 1),
        (3, -1.0, 1),
        (3, math.inf, 1),
        (3, math.nan, 1),
        (3, 2.0**120, 100),  # a finite step, but weights that would overflow
    ],
)
def test_quantisers_that_are_none(spread: int, step: float, bound: int) -> None:
    with pytest.raises(BitstreamError, match="no quantiser has|impossible"):
        unpack_parameters(entry(spread, step, bound), b"", [torch.Size([2])])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_float16_that_is_no_number(value: float) -> None:
    with pytest.raises(BitstreamError, match="infinite or not a number"):
        unpack_parameters(b"\xff", np.array([1, value], dtype="<f2").tobytes(), [torch.Size([2])])
