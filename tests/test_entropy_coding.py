"""The integer laws, the coders around them, and the sections that hold a network's tensors."""

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

from tutorial_lib.coding import golomb
from tutorial_lib.coding import laws as law_tables
from tutorial_lib.coding.bitstream import BitstreamError, varint
from tutorial_lib.coding.laws import LAWS, PRECISION, SCALES, ExpGolomb, Gaussian, Histogram, Laplace, Law
from tutorial_lib.coding.parameters import best_law, pack_parameters, stored_laws, unpack_parameters
from tutorial_lib.coding.rates import laplace_entropy_bits
from tutorial_lib.coding.steps import MAX_SYMBOL, QuantizedTensor, storable_row_steps, storable_step
from tutorial_lib.coding.streams import Coder, decode_symbols, encode_symbols

UNITS = 1 << PRECISION

symbols_strategy = hnp.arrays(
    np.int32,
    hnp.array_shapes(max_dims=2, max_side=30),
    elements=st.one_of(st.integers(-2, 2), st.integers(-200, 200), st.just(0)),
)


def exact_probabilities(spread: int, bound: int) -> list[decimal.Decimal]:
    """P(−bound) … P(bound) of the discretized Laplace law, the tails lumped on ±bound, from 60 digits."""
    with decimal.localcontext(prec=60):
        eighth = decimal.Decimal(2) ** (decimal.Decimal(spread) / 8 - 4)
        t = (-1 / (2 * eighth)).exp()
        beyond = [t ** (2 * k - 1) / 2 for k in range(1, bound + 1)] + [decimal.Decimal(0)]
        side = [beyond[k] - beyond[k + 1] for k in range(bound)]
        return [*reversed(side), 1 - t, *side]


def test_committed_constants() -> None:
    for j, constant in enumerate(law_tables._FIRST_OCTAVE):
        with decimal.localcontext(prec=60):
            b = decimal.Decimal(2) ** (decimal.Decimal(j) / 8 - 4)
            assert constant == round((-1 / (2 * b)).exp() * (1 << 48))

    for j, constant in enumerate(law_tables._FIRST_GAUSSIAN_OCTAVE):
        with decimal.localcontext(prec=60):
            sigma = decimal.Decimal(2) ** (decimal.Decimal(j) / 8 - 2)
            assert constant == round((-1 / (2 * sigma * sigma)).exp() * (1 << 48))


@pytest.mark.parametrize("spread", [0, 9, 40, 100, 159])
def test_tails_in_two_halves_are_those_of_whole_products(spread: int) -> None:
    t, total, count = law_tables.decay(spread), (1 << PRECISION) - 2001, 1000
    ratio = t * t >> law_tables.FRACTION_BITS
    power, expected = t, []
    for _ in range(count):
        expected.append(total * power >> (law_tables.FRACTION_BITS + 1))
        power = power * ratio >> law_tables.FRACTION_BITS
    assert law_tables.tails(total, t, ratio, count).tolist() == expected


@pytest.mark.parametrize(("spread", "bound"), [(0, 1), (5, 3), (17, 4), (32, 30), (50, 200), (90, 500), (159, 50)])
def test_law_is_laplace(spread: int, bound: int) -> None:
    frequencies = Laplace(spread, bound).frequencies()
    exact = exact_probabilities(spread, bound)
    total = UNITS - (2 * bound + 1)
    # each octave is a square root of integers: t's error stays near 2⁻⁴⁰, and sums round down by a unit
    for units, probability in zip(frequencies, exact, strict=True):
        assert abs(units - float(probability) * total) <= 2 + 1e-6 * units


@pytest.mark.parametrize(("scale", "bound"), [(0, 1), (9, 3), (16, 6), (40, 60), (60, 20), (100, 900)])
def test_law_is_gaussian(scale: int, bound: int) -> None:
    frequencies = Gaussian(scale, bound).frequencies()
    with decimal.localcontext(prec=60):
        sigma = decimal.Decimal(2) ** (decimal.Decimal(scale) / 8 - 2)
        density = [(-decimal.Decimal(k * k) / (2 * sigma * sigma)).exp() for k in range(-bound, bound + 1)]
        exact = [float(each / sum(density)) for each in density]
    for units, probability in zip(frequencies, exact, strict=True):
        assert abs(units - probability * (UNITS - (2 * bound + 1))) <= 2 * bound + 2 + 1e-6 * units
    assert abs(frequencies[0] - exact[0] * UNITS) <= 2 + 1e-6 * frequencies[0]


@pytest.mark.parametrize("order", [0, 1, 3, golomb.MAX_ORDER])
def test_lengths_are_those_of_exp_golomb_codes(order: int) -> None:
    law = ExpGolomb(order, 300)
    assert law.lengths().tolist() == [len(golomb.write(np.array([symbol]), order)) for symbol in range(-300, 301)]
    assert ExpGolomb(order, MAX_SYMBOL).lengths().max() <= 38
    # a bit more in the code is half the probability, and the law never costs more than the code
    mass = law.frequencies() * 2.0 ** law.lengths()
    np.testing.assert_allclose(mass, mass[0], rtol=0.03)
    assert law.bits(np.arange(-300, 301)) <= law.lengths().sum()


@given(symbols_strategy)
def test_a_histogram_has_the_entropy_of_the_symbols(symbols: np.ndarray) -> None:
    law = Histogram.fitted(symbols)
    counts = np.unique(symbols, return_counts=True)[1]
    entropy = float(-(counts * np.log2(counts / symbols.size)).sum())
    assert sum(law.counts) == symbols.size and law.bound == np.abs(symbols).max()
    assert entropy - 1e-6 <= law.bits(symbols) <= entropy + 0.01 * symbols.size + 0.1


def any_law(kind: int, parameter: int, bound: int) -> Law:
    """A law of any kind that has a bound."""
    return (Laplace(parameter, bound), Gaussian(parameter, bound), ExpGolomb(parameter % (golomb.MAX_ORDER + 1), bound))[kind]


@given(st.integers(0, 2), st.integers(0, SCALES - 1), st.integers(1, 300))
def test_laws_are_made_of_integers(kind: int, parameter: int, bound: int) -> None:
    frequencies = any_law(kind, parameter, bound).frequencies()
    assert frequencies.dtype == np.float64 and frequencies.shape == (2 * bound + 1,)
    assert np.all(frequencies >= 0) and np.all(frequencies == np.floor(frequencies))
    assert frequencies.sum() == UNITS - (2 * bound + 1)
    assert kind == 2 or np.array_equal(frequencies, frequencies[::-1])


def test_the_same_tables_and_bytes_everywhere() -> None:
    laws = [Laplace(spread, bound) for spread in (0, 7, 8, 33, 80, 159) for bound in (1, 40, 3000)]
    tables = b"".join(law.frequencies().astype("<u4").tobytes() for law in laws)
    symbols = [np.array([k * k % (2 * law.bound + 1) - law.bound for k in range(50)]) for law in laws]
    stream = encode_symbols(symbols, laws)
    assert hashlib.sha256(tables).hexdigest() == "3550ae581e02f580c8eace5b6025a54667cbb0da97f966b83b885cb58a3d6281"
    assert hashlib.sha256(stream).hexdigest() == "f24111a89df226f432e74396a3572e4f31bdf96d982cc268c016da01998bcba4"


def test_the_same_tables_and_bytes_of_the_other_laws() -> None:
    scales = [Gaussian(scale, bound) for scale in (0, 7, 8, 33, 80, 159) for bound in (1, 40, 3000)]
    orders = [ExpGolomb(order, bound) for order in (0, 1, 12) for bound in (1, 40, 3000)]
    laws: list[Law] = [*scales, *orders, Histogram((1, 0, 7)), Histogram(tuple(range(101)))]
    tables = b"".join(law.frequencies().astype("<u4").tobytes() for law in laws)
    symbols = [np.array([k * k % (2 * law.bound + 1) - law.bound for k in range(50)]) for law in laws]
    found = [tables, encode_symbols(symbols, laws), encode_symbols(symbols, laws, "ans")]
    assert [hashlib.sha256(each).hexdigest() for each in found] == [
        "66feb2f03ddbdefe7ea43e3f40382ef968e13c0643ba0347bc2cb63f0ad5b992",
        "94d4caae78b8203303ca56cb9b5f160f13f64b016e903d232119bcac5d3ff3ea",
        "ea980c57ffdf00bfab7f0196ed080e5da647b76fe3c194c0e03ae9b13098e295",
    ]


def test_no_such_coder() -> None:
    with pytest.raises(ValueError, match="no coder 'huffman'; there are range, ans"):
        encode_symbols([], [], "huffman")  # type: ignore[arg-type]


@pytest.mark.parametrize("coder", ["range", "ans"])
@given(tensors=st.lists(st.tuples(symbols_strategy, st.sampled_from(LAWS)), max_size=5))
def test_there_and_back(tensors: list[tuple[np.ndarray, type[Law]]], coder: Coder) -> None:
    laws = [kind.fitted(symbols) for symbols, kind in tensors]
    tensors = [symbols for symbols, _ in tensors]
    data = encode_symbols(tensors, laws, coder)
    decoded = decode_symbols(data, [symbols.size for symbols in tensors], laws, coder)
    assert [part.tolist() for part in decoded] == [symbols.ravel().tolist() for symbols in tensors]
    assert all(part.dtype == np.int32 for part in decoded)
    bits = sum(law.bits(symbols) for law, symbols in zip(laws, tensors, strict=True))
    assert 8 * len(data) <= bits + 64
    # ANS takes the lowest symbols for nothing while its state is empty
    assert bits - 1 <= 8 * len(data) or coder == "ans"


@given(symbols_strategy, st.integers(0, 2), st.integers(0, SCALES - 1), st.integers(0, 100))
def test_any_law_codes_what_is_within_its_bound(symbols: np.ndarray, kind: int, parameter: int, more: int) -> None:
    law = any_law(kind, parameter, int(np.abs(symbols).max()) + more)
    for coder in ("range", "ans"):
        data = encode_symbols([symbols], [law], coder)
        assert np.array_equal(decode_symbols(data, [symbols.size], [law], coder)[0], symbols.ravel())


@pytest.mark.parametrize("kind", LAWS)
def test_the_largest_symbols(kind: type[Law]) -> None:
    symbols = np.array([-MAX_SYMBOL, MAX_SYMBOL, 0, 1], dtype=np.int32)
    law = kind.fitted(symbols)
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
    every = [Laplace(spread, law.bound).bits(symbols) for spread in range(SCALES)]
    assert law.bits(symbols) <= 1.01 * min(every) + 0.1


@settings(max_examples=60)
@given(symbols_strategy)
def test_fitted_takes_the_fewest_bits_of_its_kind(symbols: np.ndarray) -> None:
    bound = int(np.abs(symbols).max())
    scales = [Gaussian(scale, bound).bits(symbols) for scale in range(SCALES)]
    assert Gaussian.fitted(symbols).bits(symbols) <= 1.01 * min(scales) + 0.1
    orders = [ExpGolomb(order, bound).bits(symbols) for order in range(golomb.MAX_ORDER + 1)]
    assert ExpGolomb.fitted(symbols).bits(symbols) <= 1.01 * min(orders) + 0.1


DRAWS = {
    Laplace: lambda random: random.laplace(0, 5, 3000),
    Gaussian: lambda random: random.normal(0, 5, 3000),
    ExpGolomb: lambda random: random.laplace(0, 1.0, 3000) * np.where(random.random(3000) < 0.1, 30, 1),
    Histogram: lambda random: random.choice([-3, -2, 2, 3], 3000),
}


@pytest.mark.parametrize("kind", LAWS)
def test_the_best_law_is_the_one_the_symbols_come_from(kind: type[Law]) -> None:
    symbols = np.round(DRAWS[kind](np.random.default_rng(0))).astype(np.int32)
    law = best_law(symbols)
    assert type(law) is kind
    sections = {other: sum(map(len, pack_parameters([QuantizedTensor(symbols, 1.0)], laws=[other]))) for other in LAWS}
    assert min(sections, key=sections.get) is kind
    assert sum(map(len, pack_parameters([QuantizedTensor(symbols, 1.0)]))) == sections[kind]


def test_a_histogram_counts_its_own_bytes() -> None:
    """For a few symbols its law is the best and its table the most expensive."""
    symbols = np.array([-9, 9, 9, -9, 9], dtype=np.int32)
    assert Histogram.fitted(symbols).bits(symbols) < Laplace.fitted(symbols).bits(symbols)
    assert type(best_law(symbols)) is not Histogram
    with pytest.raises(ValueError, match="no laws to choose from; there are Laplace, Gaussian"):
        best_law(symbols, [])


@pytest.mark.parametrize("scale", [0.06, 0.1, 0.2, 0.5, 1.0, 10.0, 300.0])
def test_cost_is_near_the_entropy(scale: float) -> None:
    """Sparse tensors as well: the price of the table and of the grid of scales is below half a per cent."""
    values = np.random.default_rng(0).laplace(0, scale, 40_000)
    symbols = np.round(values).astype(np.int32)
    ideal = laplace_entropy_bits(torch.from_numpy(symbols).float())
    assert ideal - 1 <= Laplace.fitted(symbols).bits(symbols) <= 1.005 * ideal + 16


@pytest.mark.parametrize("coder", ["range", "ans"])
def test_streams_that_are_none(coder: Coder) -> None:
    law = Laplace(30, 20)
    symbols = np.random.default_rng(1).integers(-5, 6, 200).astype(np.int32)
    data = encode_symbols([symbols], [law], coder)
    for bad in (data[:-1], data + b"\0"):
        with pytest.raises(BitstreamError, match="4-byte words"):
            decode_symbols(bad, [200], [law], coder)
    # of ANS, every stream that is not too long is one of other symbols
    others = [data[:-4], b"", data + b"\xff" * 4, b"\xff" * len(data)] if coder == "range" else []
    for bad in (data + bytes(4), b"\xff" * 4000, *others):
        with pytest.raises(BitstreamError, match="does not fit|impossible"):
            decode_symbols(bad, [200], [law], coder)
    for count in (199, 0) if coder == "ans" else (199, 201, 0, 1000):
        with pytest.raises(BitstreamError):
            decode_symbols(data, [count], [law], coder)
    with pytest.raises(BitstreamError):
        decode_symbols(data, [200], [Laplace(0, 0)], coder)


@settings(max_examples=200)
@given(
    st.binary(max_size=48),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(0, SCALES - 1), st.integers(0, 60)), max_size=4),
    st.sampled_from(["range", "ans"]),
)
def test_random_streams_decode_or_are_refused(data: bytes, tensors: list[tuple[int, int, int, int]], coder: Coder) -> None:
    laws = [any_law(*rest) for _, *rest in tensors]
    try:
        decoded = decode_symbols(data, [count for count, *_ in tensors], laws, coder)
    except BitstreamError:
        return
    assert encode_symbols(decoded, laws, coder) == data
    assert all(np.abs(part).max(initial=0) <= law.bound for part, law in zip(decoded, laws, strict=True))


# ------------------------------------------------------------------------------------------ sections

SHAPES = [torch.Size(shape) for shape in [(4, 3), (4,), (2, 4), (2,)]]


def tensors(kinds: str, seed: int = 0) -> list[QuantizedTensor | torch.Tensor]:
    """For each shape "q", quantized, "r", with steps of rows, "0", quantized to nothing, or "f", floating point."""
    generator = torch.Generator().manual_seed(seed)
    made: list[QuantizedTensor | torch.Tensor] = []
    for kind, shape in zip(kinds, SHAPES, strict=True):
        values = torch.randn(shape, generator=generator)
        symbols = (0 if kind == "0" else 30) * values
        step = storable_row_steps(np.linspace(0.001, 0.037, len(symbols))) if kind == "r" else storable_step(0.037)
        made.append(values if kind == "f" else QuantizedTensor(symbols.round().int().numpy(), step))
    return made


@pytest.mark.parametrize("coder", ["range", "ans"])
@pytest.mark.parametrize("kinds", ["qqqq", "ffff", "0000", "q0q0", "qfqf", "f00q", "rqrq", "rfr0"])
def test_sections_there_and_back(kinds: str, coder: Coder) -> None:
    before = tensors(kinds)
    quantizer, networks = pack_parameters(before, coder=coder)
    after = unpack_parameters(quantizer, networks, SHAPES)
    for kind, old, new in zip(kinds, before, after, strict=True):
        if kind == "f":
            assert isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor)
            assert new.dtype == torch.float16 and torch.equal(new, old.half())
        else:
            assert isinstance(old, QuantizedTensor) and isinstance(new, QuantizedTensor)
            assert np.array_equal(new.step, old.step) and np.array_equal(new.symbols, old.symbols)
            assert torch.equal(new.values(), old.values())
    assert pack_parameters(after, coder=coder) == (quantizer, networks)
    laws = stored_laws(quantizer, SHAPES)
    assert [law is None for law in laws] == [kind == "f" for kind in kinds]
    assert all(law is None or law == best_law(old.symbols) for law, old in zip(laws, before, strict=True))


@pytest.mark.parametrize("kind", LAWS)
def test_sections_of_every_law(kind: type[Law]) -> None:
    before = tensors("rqr0")
    sections = pack_parameters(before, laws=[kind])
    assert all(type(law) is kind for law in stored_laws(sections[0], SHAPES))
    for old, new in zip(before, unpack_parameters(*sections, SHAPES), strict=True):
        assert np.array_equal(new.symbols, old.symbols)


def test_entries_of_version_0_by_hand() -> None:
    """Spread, step, bound: a Laplace law's entry is what it was."""
    quantizer, _ = pack_parameters([QuantizedTensor(np.array([0, 3, -2]), 0.5)], laws=[Laplace])
    (law,) = stored_laws(quantizer, [torch.Size([3])])
    assert isinstance(law, Laplace) and quantizer == bytes([law.spread, 0x00, 0x3F, 3])
    rows = QuantizedTensor(np.array([[0, 3], [-2, 1]]), np.float32([0.25, 0.5]))
    quantizer, _ = pack_parameters([rows], laws=[Gaussian], coder="ans")
    assert quantizer[:5] == bytes([201, 200, 127, 255, 160]) and quantizer[6:] == b"\x00\x3f\x03"


def test_float16_takes_two_bytes_a_weight_and_zeros_none() -> None:
    assert [len(part) for part in pack_parameters(tensors("ffff"))] == [4, 2 * (12 + 4 + 8 + 2)]
    assert [len(part) for part in pack_parameters(tensors("0000"))] == [4 * 4, 0]


def test_a_step_that_a_file_cannot_hold() -> None:
    with pytest.raises(ValueError, match="not a bfloat16"):
        pack_parameters([QuantizedTensor(np.ones(3, dtype=np.int32), 0.1)])
    with pytest.raises(ValueError, match="take steps.storable_row_steps"):
        pack_parameters([QuantizedTensor(np.ones((2, 3), dtype=np.int32), np.float32([0.1, 0.2]))])


def test_a_law_that_a_file_cannot_hold() -> None:
    class Foreign(Law):
        bound = 1

        @staticmethod
        def fitted(symbols: np.ndarray) -> Law:
            return Foreign()

        def frequencies(self) -> np.ndarray:
            return np.array([1.0, UNITS - 5.0, 1.0])

    with pytest.raises(ValueError, match="a file has no number for the law Foreign"):
        pack_parameters([QuantizedTensor(np.array([0, 1, -1]), 1.0)], laws=[Foreign])


def test_sections_that_are_none() -> None:
    quantizer, networks = pack_parameters(tensors("qfq0"))
    for bad in (quantizer[:-1], quantizer + b"\0", b"", quantizer * 2):
        with pytest.raises(BitstreamError, match="quantizer section"):
            unpack_parameters(bad, networks, SHAPES)
    for bad in (networks[:-4], networks + bytes(4), b"", networks[:5]):
        with pytest.raises(BitstreamError):
            unpack_parameters(quantizer, bad, SHAPES)
    with pytest.raises(BitstreamError):
        unpack_parameters(quantizer, networks, SHAPES[:3])


def entry(spread: int, step: float, bound: int) -> bytes:
    return bytes([spread]) + np.float32(step).astype("<f4").tobytes()[2:] + varint(bound)


@pytest.mark.parametrize(
    ("spread", "step", "bound"),
    [
        (163, 1.0, 1),
        (199, 1.0, 1),
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
def test_quantizers_that_are_none(spread: int, step: float, bound: int) -> None:
    with pytest.raises(BitstreamError, match="no quantizer has|impossible"):
        unpack_parameters(entry(spread, step, bound), b"", [torch.Size([2])])


STEP_AND_BOUND = b"\x80\x3f\x01"


@pytest.mark.parametrize(
    ("quantizer", "message"),
    [
        (b"\xa0\xa0" + STEP_AND_BOUND, "no quantizer has the law 160 with the parameter 160"),
        (b"\xa1\x0d" + STEP_AND_BOUND, "no quantizer has the law 161 with the parameter 13"),
        (b"\xa2" + STEP_AND_BOUND + b"\x01\x02\x02", "a histogram counts 5 weights of 4"),
        (b"\xa2" + STEP_AND_BOUND + b"\x01\x02", "ends early"),
        (b"\xa2" + STEP_AND_BOUND + varint(1 << 34) + b"\x00\x00", "counts 17179869184 weights of 4"),
        (b"\xc8\xff\xff\xff" + STEP_AND_BOUND, "no quantizer has the law 255"),
        (b"\xc8\xff\xff\xc8" + STEP_AND_BOUND, "no quantizer has the law 200"),
        (b"\xc8\xfe\x00\x10" + STEP_AND_BOUND, "none has the largest step"),
        (b"\xc8\xff", "ends early"),
        (b"\xc9\xc9\x10" + STEP_AND_BOUND, "no quantizer has"),
        (b"\xc9", "ends early"),
    ],
)
def test_entries_that_are_none(quantizer: bytes, message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        unpack_parameters(quantizer, b"", [torch.Size([2, 2])])


def test_a_bias_has_no_rows() -> None:
    with pytest.raises(BitstreamError, match="without rows"):
        unpack_parameters(b"\xc8\xff\xff\x10" + STEP_AND_BOUND, b"", [torch.Size([2])])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_float16_that_is_no_number(value: float) -> None:
    with pytest.raises(BitstreamError, match="infinite or not a number"):
        unpack_parameters(b"\xff", np.array([1, value], dtype="<f2").tobytes(), [torch.Size([2])])
