"""Wrong answers to the exercises of notebook 06 that people really write."""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch

from tutorial_lib.coding.bitstream import BitstreamError, Reader, varint
from tutorial_lib.coding.steps import storable_step

# ------------------------------------------------------------------------------------------------ 06.1


def truncated(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return (weights / step).int(), step


def one_too_many(weights, bits):
    step = storable_step(weights.abs().max().item() / 2 ** (bits - 1))
    return torch.round(weights / step).int(), step


def unsigned(weights, bits):
    step = storable_step(weights.abs().max().item() / (2**bits - 1))
    return torch.round(weights / step).int(), step


def largest_negative(weights, bits):
    step = storable_step(weights.min().abs().item() / (2 ** (bits - 1) - 1))
    return torch.round(weights / step).int(), step


def eight_bits_at_most(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return torch.round(weights / step).clamp(-127, 127).int(), step


def largest_positive(weights, bits):
    step = storable_step(weights.max().item() / (2 ** (bits - 1) - 1))
    return torch.round(weights / step).int(), step


def exact_step(weights, bits):
    step = weights.abs().max().item() / (2 ** (bits - 1) - 1)
    return torch.round(weights / step).int(), step


def divided_by_the_exact_step(weights, bits):
    step = weights.abs().max().item() / (2 ** (bits - 1) - 1)
    return torch.round(weights / step).int(), storable_step(step)


def weights_again(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return torch.round(weights / step) * step, step


def half_added(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return (weights / step + 0.5).int(), step


def multiplied(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return torch.round(weights * step).int(), step


def of_the_range(weights, bits):
    step = storable_step((weights.max() - weights.min()).item() / (2**bits - 1))
    return torch.round(weights / step).int(), step


def step_first(weights, bits):
    step = storable_step(weights.abs().max().item() / (2 ** (bits - 1) - 1))
    return step, torch.round(weights / step).int()


# ------------------------------------------------------------------------------------------------ 06.2


def run_away(weights, step):
    return weights + (weights - torch.round(weights / step) * step).detach()


def whole(weights, step):
    return weights + (torch.round(weights) - weights).detach()


def plain(weights, step):
    return torch.round(weights / step) * step


def all_detached(weights, step):
    return (weights + (torch.round(weights / step) * step - weights)).detach()


def wrong_part_detached(weights, step):
    return weights.detach() + (torch.round(weights / step) * step - weights)


def not_rounded(weights, step):
    return weights * 1.0


def integers(weights, step):
    scaled = weights / step
    return scaled + (torch.round(scaled) - scaled).detach()


def added_twice(weights, step):
    return weights + (torch.round(weights / step) * step).detach()


# ------------------------------------------------------------------------------------------------ 06.3a


def shares(symbols):
    _, counts = torch.unique(symbols, return_counts=True)
    return counts / symbols.numel()


def nats(symbols):
    p = shares(symbols)
    return -(p * p.log()).sum().item()


def without_minus(symbols):
    p = shares(symbols)
    return (p * p.log2()).sum().item()


def of_all(symbols):
    p = shares(symbols)
    return -(p * p.log2()).sum().item() * symbols.numel()


def not_weighted(symbols):
    return -shares(symbols).log2().mean().item()


def with_gaps(symbols):
    p = torch.bincount(symbols.flatten() - symbols.min()) / symbols.numel()
    return -(p * p.log2()).sum().item()


def signs_forgotten(symbols):
    return with_shares(torch.unique(symbols.abs(), return_counts=True)[1] / symbols.numel())


def by_rows(symbols):
    return with_shares(torch.unique(symbols, return_counts=True)[1] / len(symbols))


def shares_of(symbols):
    return symbols.unique(return_counts=True)[1] / symbols.numel()


def by_kinds(symbols):
    values, counts = torch.unique(symbols, return_counts=True)
    return with_shares(counts / len(values))


def with_shares(p):
    return -(p * p.log2()).sum().item()


def negative_counted(symbols):
    p = torch.bincount(symbols.flatten()) / symbols.numel()
    p = p[p > 0]
    return -(p * p.log2()).sum().item()


# ------------------------------------------------------------------------------------------------ 06.3b


def table(*, two=2, power=2, zero=True, scaled=True, magnitude=np.abs, low=True, half=0.5, by=np.sum):
    def laplace_table(b, bound):
        k = np.arange(-bound if low else 0, bound + 1)
        t = math.exp(-1 / (two * b))
        p = half * (1 / t - t) * t ** (power * magnitude(k).astype(float))
        if zero:
            p[k == 0] = 1 - t
        return p / by(p) if scaled else p

    return laplace_table


# ------------------------------------------------------------------------------------------------ 06.4


def width_first(codec, height, width, sections):
    data = b"INR" + bytes([1, codec]) + varint(width) + varint(height) + bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind]) + varint(len(body))
    return data + b"".join(sections.values())


def body_after_entry(codec, height, width, sections):
    data = b"INR" + bytes([1, codec]) + varint(height) + varint(width) + bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind]) + varint(len(body)) + body
    return data


def not_counted(codec, height, width, sections):
    data = b"INR" + bytes([1, codec]) + varint(height) + varint(width)
    for kind, body in sections.items():
        data += bytes([kind]) + varint(len(body))
    return data + b"".join(sections.values())


def no_version(codec, height, width, sections):
    data = b"INR" + bytes([codec]) + varint(height) + varint(width) + bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind]) + varint(len(body))
    return data + b"".join(sections.values())


def one_byte_lengths(codec, height, width, sections):
    data = b"INR" + bytes([1, codec]) + varint(height) + varint(width) + bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind, len(body)])
    return data + b"".join(sections.values())


def four_byte_lengths(codec, height, width, sections):
    data = b"INR" + bytes([1, codec]) + varint(height) + varint(width) + bytes([len(sections)])
    for kind, body in sections.items():
        data += bytes([kind]) + len(body).to_bytes(4, "little")
    return data + b"".join(sections.values())


def packer(entry, start=b"INR\x01", bodies=lambda sections: b"".join(sections.values())):
    def pack(codec, height, width, sections):
        data = start + bytes([codec]) + varint(height) + varint(width) + bytes([len(sections)])
        for kind, body in sections.items():
            data += entry(bytes([kind]), varint(len(body)))
        return data + bodies(sections)

    return pack


# ------------------------------------------------------------------------------------------------ 06.5


def two_letters(data):
    if data[:2] != b"IN":
        raise BitstreamError("no .inr file")
    return unpacker(magic=False)(data)


def unpacker(*, swapped=False, interleaved=False, magic=True, version=True, sliced=False, end=True, read_version=True):
    def unpack(data):
        reader = Reader(data, "file")
        start, number = reader.take(3), reader.byte() if read_version else 1
        if magic and start != b"INR":
            raise BitstreamError("no .inr file")
        if version and number != 1:
            raise BitstreamError("another version")
        codec, height, width = reader.byte(), reader.varint(), reader.varint()
        sections = {}
        if interleaved:
            for _ in range(reader.byte()):
                kind = reader.byte()
                sections[kind] = reader.take(reader.varint())
            return codec, height, width, sections
        table = [(reader.byte(), reader.varint()) for _ in range(reader.byte())]
        if sliced:
            position = reader.position
            for kind, length in table:
                sections[kind] = data[position : position + length]
                position += length
            if position < len(data):
                raise BitstreamError("too long")
        else:
            sections = {kind: reader.take(length) for kind, length in table}
            if end:
                reader.end()
        return (codec, width, height, sections) if swapped else (codec, height, width, sections)

    return unpack


def compared_with_text(data):
    if data[:3] != "INR":
        raise BitstreamError("no .inr file")
    return unpacker()(data)


def nothing(data):
    return unpacker()(data) if data[:4] == b"INR\x01" else None


def value_error(data):
    if data[:3] != b"INR" or data[3] != 1:
        raise ValueError("none of ours")
    return unpacker()(data)


# ------------------------------------------------------------------------------------------------ 06.6


def big_endian(data):
    return data + zlib.crc32(data).to_bytes(4, "big")


def summed(data):
    return data + (sum(data) % 2**32).to_bytes(4, "little")


def in_front(data):
    return zlib.crc32(data).to_bytes(4, "little") + data


def alone(data):
    return zlib.crc32(data).to_bytes(4, "little")


def as_text(data):
    return data + f"{zlib.crc32(data):08x}".encode()


def eight_bytes(data):
    return data + zlib.crc32(data).to_bytes(8, "little")


def last_bytes_replaced(data):
    return data[:-4] + zlib.crc32(data).to_bytes(4, "little")


def twice(data):
    for _ in range(2):
        data += zlib.crc32(data).to_bytes(4, "little")
    return data


def no_bytes(data):
    return data + zlib.crc32(data)


def adler(data):
    return data + zlib.adler32(data).to_bytes(4, "little")


MUTANTS = {
    "06.1": {
        "cut off": (truncated, "cut off towards 0"),
        "one symbol too many": (one_too_many, "one symbol too many"),
        "sign forgotten": (unsigned, "sign takes a bit"),
        "largest without magnitude": (largest_positive, "magnitude"),
        "largest of the negative ones": (largest_negative, "may be positive or negative"),
        "eight bits at most": (eight_bits_at_most, "±127, whatever"),
        "step not stored": (exact_step, "storable_step"),
        "divided by the exact step": (divided_by_the_exact_step, "from before"),
        "weights for symbols": (weights_again, "integers q"),
        "half added": (half_added, "½ is added"),
        "multiplied": (multiplied, "divide by it"),
        "of the range": (of_the_range, "from the smallest to the largest"),
        "step first": (step_first, "other order"),
    },
    "06.2": {
        "plain rounding": (plain, "gradient is 0"),
        "all detached": (all_detached, "all of it is detached"),
        "wrong part detached": (wrong_part_detached, "wrong sign"),
        "not rounded": (not_rounded, "nothing is rounded"),
        "integers": (integers, "times Δ"),
        "added twice": (added_twice, "added twice"),
        "wrong sign": (run_away, "runs away"),
        "gradient of the mean": (
            lambda weights, step: weights.mean() + (torch.round(weights / step) * step - weights.mean()).detach(),
            "expected 1",
        ),
        "whole numbers": (whole, "whole numbers"),
    },
    "06.3a": {
        "nats": (nats, "nats"),
        "minus missing": (without_minus, "minus is missing"),
        "bits of all": (of_all, "all symbols together"),
        "not weighted": (not_weighted, "counts once"),
        "gaps": (with_gaps, "0·log₂ 0"),
        "signs forgotten": (signs_forgotten, "their negatives"),
        "by rows": (by_rows, "number of rows"),
        "by kinds": (by_kinds, "number of distinct"),
        "in a byte": (lambda symbols: with_shares(shares_of(symbols.to(torch.uint8))), "expected"),
        "negative symbols": (negative_counted, "negative numbers"),
    },
    "06.3b": {
        "not normalized": (table(scaled=False), "add up to 1"),
        "zero like the others": (table(zero=False), "formula of its own"),
        "2 missing in t": (table(two=1), "2 is missing"),
        "2 missing in the exponent": (table(power=1), "2|k|"),
        "sign kept": (table(magnitude=lambda k: k), "with its sign"),
        "one side": (table(low=False), "negative symbols"),
        "½ missing": (table(half=1), "½ missing"),
        "one short": (lambda b, bound: table()(b, bound)[:-1], "leaves out its end"),
        "largest made 1": (table(by=np.max), "the largest is made 1"),
    },
    "06.4": {
        "width first": (width_first, "swapped"),
        "bodies in the table": (body_after_entry, "whole table comes first"),
        "sections not counted": (not_counted, "number of sections is missing"),
        "version missing": (no_version, "version is missing"),
        "one byte a length": (one_byte_lengths, "doesn't fit a byte"),
        "four bytes a length": (four_byte_lengths, "four bytes each"),
        "length before kind": (packer(lambda kind, length: length + kind), "first the kind"),
        "no kinds": (packer(lambda kind, length: length), "kinds are missing"),
        "version 0": (packer(bytes.__add__, start=b"INR\0"), "not 0"),
        "small letters": (packer(bytes.__add__, start=b"inr\1"), "capitals"),
        "no bodies": (packer(bytes.__add__, bodies=lambda sections: b""), "bodies are missing"),
    },
    "06.5": {
        "width first": (unpacker(swapped=True), "swapped"),
        "bodies in the table": (unpacker(interleaved=True), "wrong places"),
        "two letters of the magic": (two_letters, "all three of them"),
        "magic not looked at": (unpacker(magic=False), "PNG"),
        "another exception": (value_error, "a BitstreamError alone"),
        "version not looked at": (unpacker(version=False), "version 7"),
        "slices": (unpacker(sliced=True), "silently short"),
        "rest not looked at": (unpacker(end=False), "left over"),
        "compared with text": (compared_with_text, "of your own"),
        "None for a foreign file": (nothing, "returns None"),
        "version not read": (unpacker(read_version=False), "too far in front"),
    },
    "06.6": {
        "big-endian": (big_endian, "wrong order"),
        "sum": (summed, "sum of all bytes"),
        "in front": (in_front, "stands in front"),
        "alone": (alone, "only the checksum"),
        "as text": (as_text, "as text"),
        "Adler-32": (adler, "Adler"),
        "eight bytes": (eight_bytes, "eight bytes"),
        "last bytes replaced": (last_bytes_replaced, "the last four bytes"),
        "twice": (twice, "sealed twice"),
        "a number": (no_bytes, "isn't bytes yet"),
    },
}
