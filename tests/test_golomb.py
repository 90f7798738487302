"""Exp-Golomb codes: known codes, there and back, lengths, damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_lib.coding import golomb

symbols_lists = st.lists(st.integers(-40_000, 40_000), min_size=1, max_size=40)


def test_known_codes() -> None:
    numbers = golomb.signed(np.arange(4))
    assert numbers.tolist() == [0, 1, -1, 2]
    assert [golomb.write(number, 0) for number in numbers] == ["1", "010", "011", "00100"]
    assert [golomb.write(number, 1) for number in numbers] == ["10", "11", "0100", "0101"]


def test_numbering_there_and_back() -> None:
    symbols = np.arange(-300, 301, dtype=np.int32)
    assert sorted(golomb.unsigned(symbols)) == list(range(601))
    assert np.array_equal(golomb.signed(golomb.unsigned(symbols)), symbols)


@given(symbols_lists, st.integers(0, golomb.MAX_ORDER))
@settings(max_examples=50)
def test_there_and_back(values: list[int], order: int) -> None:
    symbols = np.array(values, dtype=np.int32)
    bits = golomb.write(symbols, order)
    assert len(bits) == golomb.lengths(symbols, order).sum()
    assert [len(golomb.write(symbol, order)) for symbol in symbols] == golomb.lengths(symbols, order).tolist()
    reader = golomb.BitReader(golomb.to_bytes(bits) + b"rest")
    assert reader.read(len(values), order).tolist() == values
    assert reader.rest() == b"rest"


@given(symbols_lists)
@settings(max_examples=30)
def test_the_best_order(values: list[int]) -> None:
    symbols = np.array(values, dtype=np.int32)
    totals = [len(golomb.write(symbols, order)) for order in range(golomb.MAX_ORDER + 1)]
    assert golomb.best_order(symbols) == (totals.index(min(totals)), min(totals))


def test_no_bits() -> None:
    assert golomb.to_bytes("") == b"" and golomb.BitReader(b"").rest() == b""


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "end early"), (b"\x01", "end early"), (bytes(9), "impossibly large"), (b"\xff", "only zeros")]
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reader = golomb.BitReader(data)
        reader.read(1, 0)
        reader.rest()
