"""One stream of bytes for many tensors of symbols, each under a law of its own.

The coder is constriction's (Bamler, arXiv 2201.01741), 24-bit probabilities, 32-bit words: the range coder, a queue, or ANS
(Duda, arXiv 1311.2540), a stack: what was encoded last is decoded first. Both come within a few bytes of the laws' bits.

A table goes in as `Categorical(perfect=False)`, which only divides, multiplies and truncates, and is made so that its factor is
exactly 1. To be trusted, besides the tables, is constriction's stream format (equal bytes in 0.3.5, 0.4.2 and 0.5.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from constriction import stream  # pyright: ignore[reportAttributeAccessIssue]  # it comes without types

from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.coding.laws import Law

Coder = Literal["range", "ans"]


def encode_symbols(tensors: Sequence[np.ndarray], laws: Sequence[Law], coder: Coder = "range") -> bytes:
    """All tensors in one stream, row-major, to be decoded one after the other; little-endian 32-bit words.

    Args:
        tensors: integers within ±bound of their law, any shapes.

    Raises:
        ValueError: no such coder.
    """
    pairs = [
        (np.ascontiguousarray(symbols.ravel() + law.bound, dtype=np.int32), _categorical(law))
        for symbols, law in zip(tensors, laws, strict=True)
        if law.bound
    ]
    if coder == "range":
        encoder = stream.queue.RangeEncoder()
        for shifted, model in pairs:
            encoder.encode(shifted, model)
    elif coder == "ans":
        encoder = stream.stack.AnsCoder()
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
            decoder = stream.queue.RangeDecoder(words)
        else:
            decoder = stream.stack.AnsCoder(words)
        for count, law in zip(counts, laws, strict=True):
            empty = law.bound == 0 or count == 0
            decoded.append(np.zeros(count, np.int32) if empty else decoder.decode(_categorical(law), count) - law.bound)
    except (AssertionError, ValueError) as error:
        raise BitstreamError("the weights' stream holds an impossible code word") from error
    if encode_symbols(decoded, laws, coder) != data:
        raise BitstreamError("the weights' stream does not fit its weights: it is too short, too long or foreign")
    return decoded


def _categorical(law: Law) -> stream.model.Categorical:
    return stream.model.Categorical(law.frequencies(), perfect=False, lazy=False)
