"""Exp-Golomb codes (Teuhola, 1978): integers as strings of bits, the small ones short, and no table to send.

The integers 0, 1, −1, 2, −2 … are numbered v = 0, 1, 2, 3, 4 …. The code of order k for v is ⌊v/2ᵏ⌋ + 1 in binary, after as
many zeros as it has digits behind the first, and then the k low bits of v: k + 1 + 2·⌊log₂(⌊v/2ᵏ⌋ + 1)⌋ bits.
"""

from __future__ import annotations

import numpy as np

MAX_ORDER = 12
"""Largest order in a file."""

MAX_ZEROS = 20
"""Zeros that a code may begin with: no symbol in a file reaches 2²⁰."""


def unsigned(symbols: np.ndarray) -> np.ndarray:
    """0, 1, −1, 2, −2 … as 0, 1, 2, 3, 4 …; int64, the shape stays."""
    wide = symbols.astype(np.int64)
    return np.where(wide > 0, 2 * wide - 1, -2 * wide)


def signed(numbers: np.ndarray) -> np.ndarray:
    """0, 1, 2, 3, 4 … as 0, 1, −1, 2, −2 …; int64, the shape stays."""
    wide = numbers.astype(np.int64)
    return np.where(wide % 2 == 1, (wide + 1) // 2, -(wide // 2))


def lengths(symbols: np.ndarray, order: int | np.ndarray) -> np.ndarray:
    """Bits of each symbol's code, int64; ``order`` can be an array that broadcasts with ``symbols``."""
    digits = np.frexp((unsigned(symbols) >> order) + 1)[1] - 1  # exact, as it only reads the exponent
    return order + 1 + 2 * digits.astype(np.int64)


def best_order(symbols: np.ndarray) -> tuple[int, int]:
    """The order that codes all ``symbols`` in the fewest bits, the lowest of equals, and those bits."""
    totals = lengths(symbols.ravel(), np.arange(MAX_ORDER + 1)[:, None]).sum(1)
    return int(totals.argmin()), int(totals.min())


def write(symbols: np.ndarray, order: int) -> str:
    """The codes of all ``symbols``, row-major, one after the other, as a string of "0" and "1".

    >>> [write(np.array([symbol]), order=0) for symbol in (0, 1, -1, 2)]
    ['1', '010', '011', '00100']
    """
    codes = []
    for number in unsigned(symbols).ravel().tolist():
        high = f"{(number >> order) + 1:b}"
        low = f"{number & ((1 << order) - 1):0{order}b}" if order else ""
        codes.append("0" * (len(high) - 1) + high + low)
    return "".join(codes)


def to_bytes(bits: str) -> bytes:
    """A string of "0" and "1" as bytes, the first bit highest, filled up with zeros."""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


class BitReader:
    """Reads what `write` and `to_bytes` wrote; whatever they don't write is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def bits(self, count: int) -> int:
        """The next bits as an integer, the first one highest."""
        value = 0
        for _ in range(count):
            if self.position >= 8 * len(self.data):
                raise ValueError("the bits end early")
            value = value << 1 | self.data[self.position >> 3] >> (7 - (self.position & 7)) & 1
            self.position += 1
        return value

    def read(self, count: int, order: int) -> np.ndarray:
        """So many symbols, int64 (count,)."""
        numbers = []
        for _ in range(count):
            zeros = 0
            while not self.bits(1):
                zeros += 1
                if zeros > MAX_ZEROS:
                    raise ValueError("a symbol is impossibly large")
            high = 1 << zeros | self.bits(zeros)
            numbers.append(high - 1 << order | self.bits(order))
        return signed(np.array(numbers, dtype=np.int64))

    def rest(self) -> bytes:
        """The whole bytes that are left."""
        if self.bits(-self.position % 8):
            raise ValueError("a bit is set where only zeros fill up")
        return self.data[self.position >> 3 :]
