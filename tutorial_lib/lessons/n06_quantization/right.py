"""Right answers to the exercises of notebook 06 in other styles than ours: they must pass."""

from __future__ import annotations

import binascii
import math
import struct
import zlib
from collections import Counter

import numpy as np
import torch

from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.coding.steps import storable_step

# ------------------------------------------------------------------------------------------------ 06.1


def quantize_by_numpy(weights, bits):
    values = weights.detach().cpu().numpy().astype(np.float64)
    step = storable_step(float(np.max(np.abs(values))) / (2 ** (bits - 1) - 1))
    return torch.from_numpy(np.rint(values / step).astype(np.int32)).to(weights.device), step


def quantize_by_loops(weights, bits):
    largest = max(abs(each) for each in weights.flatten().tolist())
    step = storable_step(largest / ((1 << bits - 1) - 1))
    symbols = torch.zeros(weights.shape, dtype=torch.int32, device=weights.device)
    for row in range(weights.shape[0]):
        for column in range(weights.shape[1]):
            symbols[row, column] = round(weights[row, column].item() / step)
    return symbols, step


def quantize_by_where(weights, bits):
    largest = max(weights.max().item(), -weights.min().item())
    step = storable_step(largest / (2.0 ** (bits - 1) - 1))
    scaled = weights / step
    return torch.where(scaled < 0, torch.ceil(scaled - 0.5), torch.floor(scaled + 0.5)).to(torch.int32), step


# ------------------------------------------------------------------------------------------------ 06.2


class _Passing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weights, step):
        return (weights / step).round() * step

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def through_a_function(weights, step):
    return _Passing.apply(weights, step)


def through_nothing(weights, step):
    with torch.no_grad():
        difference = torch.round(weights / step) * step - weights
    return difference + weights


def through_a_constant(weights, step):
    values = weights.detach().double().numpy(force=True)
    rounded = torch.from_numpy(np.rint(values / step) * step).to(weights)
    return rounded + (weights - weights.detach())


# ------------------------------------------------------------------------------------------------ 06.3


def entropy_by_counter(symbols):
    counts = Counter(symbols.flatten().tolist())
    total = sum(counts.values())
    return sum(n / total * math.log2(total / n) for n in counts.values())


def entropy_by_numpy(symbols):
    _, counts = np.unique(symbols.cpu().numpy(), return_counts=True)
    p = counts / counts.sum()
    return -np.sum(p * np.log2(p))


def entropy_by_bincount(symbols):
    p = torch.bincount((symbols - symbols.min()).flatten()).double() / symbols.numel()
    return float(torch.special.entr(p).sum() / math.log(2))


def table_by_loops(b, bound):
    t = math.exp(-1 / (2 * b))
    table = []
    for k in range(-bound, bound + 1):
        table.append(1 - t if k == 0 else (1 / t - t) / 2 * t ** (2 * abs(k)))
    return np.array(table) / sum(table)


def table_of_areas(b, bound):
    """The areas themselves, from k − ½ to k + ½."""
    edges = np.arange(-bound, bound + 2) - 0.5
    below = np.where(edges < 0, 0.5 * np.exp(edges / b), 1 - 0.5 * np.exp(-np.abs(edges) / b))
    areas = np.diff(below)
    return areas / areas.sum()


def table_mirrored(b, bound):
    t = torch.exp(torch.tensor(-0.5 / b, dtype=torch.float64))
    half = 0.5 * (1 / t - t) * t ** (2 * torch.arange(1, bound + 1, dtype=torch.float64))
    table = torch.cat([half.flip(0), (1 - t)[None], half])
    return (table / table.sum()).numpy()


# ------------------------------------------------------------------------------------------------ 06.4


def pack_with_a_buffer(codec, height, width, sections):
    data = bytearray(b"INR")
    data.append(1)
    data.append(codec)
    data.extend(varint(height))
    data.extend(varint(width))
    data.append(len(sections))
    for kind in sections:
        data.append(kind)
        data.extend(varint(len(sections[kind])))
    for body in sections.values():
        data.extend(body)
    return bytes(data)


def pack_with_struct(codec, height, width, sections):
    table = b"".join(struct.pack("B", kind) + varint(len(body)) for kind, body in sections.items())
    head = struct.pack("<3sBB", b"INR", 1, codec) + varint(height) + varint(width)
    return b"".join([head, struct.pack("B", len(sections)), table, *sections.values()])


def pack_with_own_varints(codec, height, width, sections):
    def number(n):
        return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + number(n // 128)

    data, bodies = "INR".encode("ascii") + b"\x01" + codec.to_bytes(1, "little") + number(height) + number(width), b""
    data += len(sections).to_bytes(1, "big")
    for kind, body in sections.items():
        data, bodies = data + bytes([kind]) + number(len(body)), bodies + body
    return data + bodies


# ------------------------------------------------------------------------------------------------ 06.5


def unpack_with_lists(data):
    reader = Reader(data, "file")
    if bytes(reader.take(4)) != b"INR\x01":
        raise BitstreamError("not an .inr file of version 1")
    codec = reader.byte()
    height = reader.varint()
    width = reader.varint()
    count = reader.byte()
    kinds, lengths = [], []
    while len(kinds) < count:
        kinds.append(reader.byte())
        lengths.append(reader.varint())
    sections = dict(zip(kinds, [reader.take(length) for length in lengths], strict=True))
    reader.end()
    return [codec, height, width, sections]


def unpack_by_slices(data):
    def number(at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at

    try:
        if data[:3] != b"INR" or data[3] != 1:
            raise BitstreamError("none of ours")
        codec, (height, at) = data[4], number(5)
        width, at = number(at)
        count, at, table = data[at], at + 1, []
        for _ in range(count):
            length, after = number(at + 1)
            table.append((data[at], length))
            at = after
    except IndexError:
        raise BitstreamError("it ends early") from None
    if len(data) != at + sum(length for _, length in table):
        raise BitstreamError("bodies and table don't fit")
    sections = {}
    for kind, length in table:
        sections[kind], at = data[at : at + length], at + length
    return codec, height, width, sections


def unpack_by_a_generator(data):
    reader = Reader(data, "file")
    magic, version, codec = reader.take(3), reader.byte(), reader.byte()
    if magic != b"INR" or version > 1 or version < 1:
        raise BitstreamError(f"magic {magic!r}, version {version}")
    height, width = (reader.varint() for _ in range(2))
    table = {reader.byte(): reader.varint() for _ in range(reader.byte())}
    for kind in table:
        table[kind] = reader.take(table[kind])
    reader.end()
    return codec, height, width, table


# ------------------------------------------------------------------------------------------------ 06.6


def seal_with_struct(data):
    return data + struct.pack("<I", binascii.crc32(data) & 0xFFFFFFFF)


def seal_by_shifts(data):
    number, end = zlib.crc32(data), []
    for _ in range(4):
        end.append(number & 255)
        number >>= 8
    return b"".join([data, bytes(end)])


def seal_by_numpy(data):
    running = 0
    for byte in data:
        running = zlib.crc32(bytes([byte]), running)
    return data + np.array([running], dtype="<u4").tobytes()


RIGHT = {
    "06.1": {"NumPy": quantize_by_numpy, "loops": quantize_by_loops, "torch.where": quantize_by_where},
    "06.2": {"a function": through_a_function, "no_grad": through_nothing, "a constant": through_a_constant},
    "06.3a": {"Counter": entropy_by_counter, "NumPy": entropy_by_numpy, "bincount": entropy_by_bincount},
    "06.3b": {"loops": table_by_loops, "areas": table_of_areas, "mirrored": table_mirrored},
    "06.4": {"a buffer": pack_with_a_buffer, "struct": pack_with_struct, "own varints": pack_with_own_varints},
    "06.5": {"lists": unpack_with_lists, "slices": unpack_by_slices, "generator": unpack_by_a_generator},
    "06.6": {"struct": seal_with_struct, "shifts": seal_by_shifts, "NumPy": seal_by_numpy},
}
