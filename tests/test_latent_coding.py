"""Networks and grids to bytes and back: exact, as short as estimated, safe against damage, equal on every machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from codec_files import one_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from tutorial_lib.coding import golomb
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.coding.laws import PRECISION, Laplace
from tutorial_lib.latents import packing
from tutorial_lib.latents.coding import LaplaceTables, decode_latents, encode_latents, wave_slope, waves
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.packing import (
    code_lengths,
    decode_networks,
    encode_networks,
    from_group_symbols,
    gather,
    groups_of,
    scatter,
    symbols_bits,
    to_group_symbols,
)
from tutorial_lib.latents.shape import FRACTIONS, GAIN, LATENT_SPREADS, MAX_LATENT, SMALL, V1, V2, GridsConfig

CONFIGS = {"v1": V1, "v2": V2, "small": SMALL, "narrow": replace(SMALL, hidden=(5,)), "one": replace(V2, grids=1)}


def quantized(config: GridsConfig, height: int, width: int, spread: float = 2.0) -> tuple[LatentGrids, list[int]]:
    """A representation with random integers and quantized random networks, and its exponents."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        representation = LatentGrids(config, height, width)
        with torch.no_grad():
            representation.latents.copy_(torch.randn(representation.latents.shape).mul_(spread).round_() / GAIN)
            for parameter in representation.networks().values():
                parameter.add_(torch.randn(parameter.shape), alpha=0.03)
    exponents = []
    for index, group in enumerate(groups_of(representation)):
        exponents.append(6 + index % 4)
        symbols = to_group_symbols(gather(representation, group), exponents[-1], group)
        scatter(representation, group, from_group_symbols(symbols, exponents[-1]))
    return representation, exponents


def new(like: LatentGrids) -> LatentGrids:
    return LatentGrids(like.config, like.height, like.width)


# ------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("name", CONFIGS)
def test_networks_there_and_back(name: str) -> None:
    representation, exponents = quantized(CONFIGS[name], 5, 7)
    data = encode_networks(representation, exponents)
    other = new(representation)
    groups = decode_networks(other, data)
    assert [exponent for exponent, _ in groups] == exponents
    for key, parameter in representation.networks().items():
        assert torch.equal(other.networks()[key], parameter), key
    assert encode_networks(other, exponents) == data


def test_every_weight_is_in_one_group() -> None:
    for config in CONFIGS.values():
        representation = LatentGrids(config, 3, 3)
        count = sum(gather(representation, group).numel() for group in groups_of(representation))
        assert count == sum(parameter.numel() for parameter in representation.networks().values())


def test_the_upsampling_costs_nothing_where_it_is_bicubic() -> None:
    representation = LatentGrids(SMALL, 8, 8)
    group = next(group for group in groups_of(representation) if group.name.startswith("upsampling"))
    assert not gather(representation, group).any()


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=60))
@settings(max_examples=30)
def test_code_lengths_are_the_price(values: list[int]) -> None:
    symbols = np.array(values, dtype=np.int32)
    lengths = code_lengths(symbols)
    total = float(lengths[symbols + lengths.size // 2].sum())
    assert lengths.size == 2 * np.abs(symbols).max() + 3
    assert symbols_bits(symbols) - 1 <= total <= golomb.best_order(symbols)[1] + 1e-6


@pytest.mark.parametrize("laplace", [False, True])
def test_damaged_networks(laplace: bool) -> None:
    """Any byte changed, any end cut: a BitstreamError or other finite weights, never anything else."""
    representation, exponents = quantized(SMALL, 4, 4)
    groups = groups_of(representation)
    symbols = [to_group_symbols(gather(representation, group), e, group) for group, e in zip(groups, exponents, strict=True)]
    data = packing._pack(exponents, symbols, [Laplace.fitted(part) if laplace else 5 for part in symbols])
    assert len(data) >= len(encode_networks(representation, exponents))
    decode_networks(new(representation), data)
    refused = 0
    for position in range(len(data)):
        other = new(representation)
        try:
            decode_networks(other, data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        except BitstreamError:
            refused += 1
        assert all(torch.isfinite(parameter).all() for parameter in other.parameters())
    assert refused > 5
    for length in range(0, len(data), 3):
        with pytest.raises(BitstreamError):
            decode_networks(new(representation), data[:length])
    with pytest.raises(BitstreamError):
        decode_networks(new(representation), data + b"\1\0\0\0")


# ------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("bound", [1, 3, 60])
def test_tables_are_integers_that_add_up(bound: int) -> None:
    spreads, fractions = (part.ravel() for part in np.mgrid[:LATENT_SPREADS, -FRACTIONS // 2 : FRACTIONS // 2])
    rows = LaplaceTables(bound).rows(spreads, fractions)
    assert rows.shape == (LATENT_SPREADS * FRACTIONS, 2 * bound + 1)
    assert np.all(rows >= 0) and np.all(rows == np.floor(rows))
    assert np.all(rows.sum(1) == (1 << PRECISION) - (2 * bound + 1))


@pytest.mark.parametrize(("spread", "fraction"), [(0, 0), (8, -16), (32, 5), (60, 15), (112, -3)])
def test_tables_are_laplace(spread: int, fraction: int) -> None:
    bound = 40
    law = torch.distributions.Laplace(
        torch.tensor(fraction / FRACTIONS, dtype=torch.float64), torch.tensor(2.0 ** (spread / 8 - 4), dtype=torch.float64)
    )
    edges = law.cdf(torch.arange(-bound, bound, dtype=torch.float64) + 0.5)
    exact = torch.diff(edges, prepend=torch.zeros(1), append=torch.ones(1)).numpy()
    row = LaplaceTables(bound).rows(np.array([spread]), np.array([fraction]))[0]
    np.testing.assert_allclose(row / row.sum(), exact, atol=3e-7)


def test_the_same_tables_everywhere() -> None:
    spreads, fractions = (part.ravel() for part in np.mgrid[:LATENT_SPREADS, -FRACTIONS // 2 : FRACTIONS // 2])
    tables = LaplaceTables(30).rows(spreads, fractions).astype("<u4").tobytes()
    assert hashlib.sha256(tables).hexdigest() == "9e85b3cb8a42f4377f468a839d5de3a29094f5906cc13ad3a07fd71926b66a75"


# ------------------------------------------------------------------------------------------ latents


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 30), (30, 1)])
def test_a_wave_s_neighbours_are_decoded(name: str, size: tuple[int, int]) -> None:
    config, done = CONFIGS[name], np.zeros(size, dtype=bool)
    for rows, columns in waves(*size, wave_slope(config.neighbours)):
        assert not done[rows, columns].any()
        for row, column in config.neighbours:
            r, c = rows + row, columns + column
            inside = (r >= 0) & (c >= 0) & (c < size[1])
            assert done[r[inside], c[inside]].all()
        done[rows, columns] = True
    assert done.all()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [(21, 34), (1, 9), (9, 1), (1, 1)])
def test_latents_there_and_back(name: str, size: tuple[int, int]) -> None:
    representation, exponents = quantized(CONFIGS[name], *size)
    data = encode_latents(representation)
    other = new(representation)
    decode_networks(other, encode_networks(representation, exponents))
    decode_latents(other, data)
    assert torch.equal(other.latents, representation.latents)
    assert torch.equal(other.render(), representation.render())


def test_zeros_and_extremes() -> None:
    representation, _ = quantized(SMALL, 20, 20)
    with torch.no_grad():
        representation.latents.zero_()
    assert encode_latents(representation) == bytes(7)
    with torch.no_grad():
        representation.split(representation.latents)[2][1, 1] = MAX_LATENT / GAIN
        representation.split(representation.latents)[0][3, 3] = -MAX_LATENT / GAIN
    other, _ = quantized(SMALL, 20, 20)
    decode_latents(other, encode_latents(representation))
    assert torch.equal(other.latents, representation.latents)


def test_damaged_latents() -> None:
    representation, _ = quantized(SMALL, 12, 15)
    data = encode_latents(representation)
    outcomes = []
    for position in range(len(data)):
        other, _ = quantized(SMALL, 12, 15)
        try:
            decode_latents(other, data[:position] + bytes([data[position] ^ 0x11]) + data[position + 1 :])
            outcomes.append("other")
        except BitstreamError:
            outcomes.append("refused")
        assert float(other.latents.detach().abs().max()) <= MAX_LATENT / GAIN
    assert outcomes.count("refused") > len(data) // 3
    for cut in (data[:3], data[:-1], data[:-8], data + bytes(3), data + b"\1\2\3\4" * 4, b""):
        with pytest.raises(BitstreamError):
            decode_latents(quantized(SMALL, 12, 15)[0], cut)


def test_a_larger_residual_than_possible_is_refused_at_once() -> None:
    representation, _ = quantized(SMALL, 12, 15)
    with pytest.raises(BitstreamError, match="impossible"):
        decode_latents(representation, b"\xff\xff\x7f" + bytes(6))


DECODE = """
import sys, torch, hashlib
sys.path.insert(0, "tests")
torch.set_num_threads(int(sys.argv[1]))
from test_latent_coding import CONFIGS, decode_latents, encode_latents, quantized
found = []
for name in ("v1", "v2", "small"):
    representation, _ = quantized(CONFIGS[name], 40, 60)
    data = encode_latents(representation)
    kept = representation.latents.clone()
    decode_latents(representation, data)
    assert torch.equal(kept, representation.latents)
    found.append(hashlib.sha256(data).hexdigest()[:16])
print(*found, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability().lower())
"""


@pytest.mark.parametrize(("threads", "capability"), [(1, "default"), (2, "default"), (2, "avx2")])
def test_other_threads_and_instructions_give_the_same_bytes(threads: int, capability: str) -> None:
    if capability == "avx2" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    run = subprocess.run(
        [sys.executable, "-c", DECODE, str(threads)],
        env=one_thread(OMP_NUM_THREADS=str(threads), ATEN_CPU_CAPABILITY=capability),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    *hashes, used, reported = run.stdout.split()
    assert (used, reported) == (str(threads), capability)
    own = [hashlib.sha256(encode_latents(quantized(CONFIGS[name], 40, 60)[0])).hexdigest()[:16] for name in ("v1", "v2", "small")]
    assert hashes == own
