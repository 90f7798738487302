"""Files made to be slow, large or no picture, and as many damaged ones behind a checksum as there is time for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_files import (
    GRIDS,
    OTHER_FILES,
    PEAK,
    altered,
    encoded,
    mixed_file,
    one_thread,
    refused_or_a_picture,
    refused_or_a_signal,
    seal,
)

from tutorial_lib import codecs, images
from tutorial_lib.codecs import networks
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, varint
from tutorial_lib.latents import coding
from tutorial_lib.latents.packing import gather, groups_of, scatter


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("size", [(1, (1 << 24) - 1), (1 << 24, 1), (5, 1 << 23)])
def test_thin_latent_grids_take_a_step_for_each_column(name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 242 bytes, read or planned: refused before the work."""
    codec, container = codecs.LEARNED[name], bitstream.read(encoded(name))
    data = bitstream.write(replace(container, height=size[0], width=size[1]))
    for read in (codec.config_of, codec.operations_per_pixel, codec.describe, codec.open, codecs.decode):
        with pytest.raises(BitstreamError, match=f"{size[1]}×{size[0]} pixels are more than this program decodes"):
            read(data)
    monkeypatch.setattr(images, "picture_problem", lambda _: None)  # it would look at every pixel
    with pytest.raises(CodecError, match=f"{size[1]}×{size[0]} pixels are more than this program decodes"):
        codec.plan(torch.zeros(3, 1, 1).expand(3, *size))


@pytest.mark.parametrize("reduction", [varint(0), varint(1), varint(65), b"", b"\x02\x00", b"\x82\x00"])
def test_impossible_reductions(reduction: bytes) -> None:
    data = altered(encoded("coolchic-small"), reduction=reduction)
    for read in (codecs.COOLCHIC_SMALL.config_of, codecs.decode):
        with pytest.raises(BitstreamError, match="impossible here|reduction section"):
            read(data)


def test_a_small_fit_is_no_way_around_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks on coordinates are evaluated at the picture's own size."""
    monkeypatch.setattr(networks, "MAX_OPERATIONS", 1 << 34)
    container = bitstream.read(encoded("siren"))
    data = bitstream.write(replace(container, height=1 << 13, width=1 << 14))
    with pytest.raises(BitstreamError) as whole:
        codecs.SIREN.config_of(data)
    with pytest.raises(BitstreamError) as reduced:
        codecs.SIREN.config_of(altered(data, reduction=varint(64)))
    assert str(reduced.value) == str(whole.value)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("size", [(1 << 13, 1 << 14), (6000, 8000), (1, 1_000_000), (250_000, 1), (30, 250_000)])
def test_latent_grids_of_large_pictures_are_not_refused(name: str, size: tuple[int, int]) -> None:
    family = codecs.LEARNED[name].family
    assert family.problem(codecs.LEARNED[name].config_of(encoded(name)), *size) is None


def test_wide_tables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each symbol has its decoder look at 2·bound + 1 probabilities, and a grid of zeros may claim any bound."""
    data, codec = encoded("coolchic-small"), codecs.COOLCHIC_SMALL
    wide = altered(data, latents=varint(2048) * codec.config_of(data).grids + bytes(4))
    refused_or_a_picture(wide)
    monkeypatch.setattr(coding, "MAX_OPERATIONS", 1.5 * coding.operations(codec.config_of(data), 50, 75))
    codecs.decode(data)
    for read in (codec.describe, codecs.decode):
        with pytest.raises(BitstreamError, match="residuals of up to 2047 are more than this program decodes"):
            read(wide)


@pytest.mark.parametrize("name", GRIDS)
def test_colours_that_are_no_numbers(name: str) -> None:
    """Upsampling weights of 32,767, kernel after kernel, leave float32's range."""
    codec = codecs.LEARNED[name]
    representation, signs = codec.open(encoded(name)), torch.Generator().manual_seed(0)
    groups = groups_of(representation)
    for group in groups:
        if not group.name.startswith("context"):
            weights = gather(representation, group)
            scatter(representation, group, 65534.0 * torch.randint(2, weights.shape, generator=signs) - 32767.0)
    steps = {group.name: codec.tensors(encoded(name))[group.name].step for group in groups}
    data = codec.pack(representation, {group: step if group.startswith("context") else 1.0 for group, step in steps.items()})
    if representation.config.upsampling != "bicubic":
        assert not torch.isfinite(codec.open(data).render()).all()
    refused_or_a_picture(data)


HOSTILE = f"""
import sys, time
from pathlib import Path
from tutorial_lib import codecs
from tutorial_lib.coding.bitstream import BitstreamError
{PEAK}
codecs.decode(Path(sys.argv[1]).read_bytes())
before = peak()
for path in sys.argv[2:]:
    try:
        codecs.decode(Path(path).read_bytes())
    except BitstreamError:
        continue
    raise SystemExit(path + " was decoded")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_large_claims_in_bounded_time_and_memory(tmp_path: Path) -> None:
    """Small files that claim much: 10⁹ pixels, layers, neurons, frequencies, symbols, bytes of a section."""
    data = encoded("siren")
    head, rest = data[:5], data[5:-4][len(varint(50)) + len(varint(75)) :]
    files = {f"{h}x{w}": seal(head + varint(h) + varint(w) + rest) for h, w in [(10**9, 1), (1, 10**9), (10**5, 10**5)]}
    for width in (1, 6, 1000, 10**9):
        for layers in (1, 3, 1000, 300_000, 10**9):
            for frequencies in (0, 16, 200_000, 10**9):
                configuration = varint(width) + varint(layers) + varint(frequencies)
                files[f"n{width}-{layers}-{frequencies}"] = altered(data, configuration=configuration)
    for width in (1, 1000, 10**9):
        for count in (1, 65, 300_000, 10**9):
            for frequencies in (0, 200_000, 10**9):
                widths = varint(count) + varint(width) * min(count, 70)
                configuration = 2 * widths + 2 * varint(frequencies)
                files[f"m{width}-{count}-{frequencies}"] = altered(encoded("nif"), configuration=configuration)
    tensors = 2 * 4
    wide = varint(500) + varint(3) + varint(16)  # half a million weights
    for bound in (1, 32767, 32768, 10**9):
        for spread in (0, 100, 159, 200, 254):
            quantizer = (bytes([spread]) + b"\x80\x38" + varint(bound)) * tensors
            files[f"q{bound}-{spread}"] = altered(data, quantizer=quantizer)
            files[f"w{bound}-{spread}"] = altered(data, configuration=wide, quantizer=quantizer)
    for model in (b"\xa0\x9f", b"\xa1\x00", b"\xa2"):  # a large Gaussian, Exp-Golomb, a histogram without its counts
        files[f"l{model[0]}"] = altered(data, configuration=wide, quantizer=(model + b"\x80\x38" + varint(32767)) * tensors)
        files[f"r{model[0]}"] = altered(data, configuration=wide, quantizer=b"\xc8" + model + b"\xff" * 498)
    files["ans"] = altered(mixed_file(), networks=b"\xff" * 400)
    files["meta"] = altered(OTHER_FILES["struempler-meta"](), configuration=wide + b"\x01\0\0\0\0")
    files["float16"] = altered(data, configuration=wide, quantizer=b"\xff" * tensors)
    files["section"] = seal(data[:5] + varint(50) + varint(75) + b"\x01\x01" + varint(10**9) + b"abc")
    paths = []
    for name, body in {"good": data, **files}.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(body)
    run = subprocess.run(
        [sys.executable, "-c", HOSTILE, *map(str, paths)],
        env=one_thread(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 300 * 2**20


# ------------------------------------------------------------------------------------------ as many as there is time for

GOLDEN = sorted((Path(__file__).resolve().parent / "golden").glob("*/*.inr"))
"""Of every codec and version."""


def opened(data: bytes) -> tuple[bytes, list[bytes], dict[str, bytes]]:
    """What a file says: magic, version, codec and, of a film or a sound, which it is; the header's numbers; sections."""
    if bitstream.kind_of(data) == "picture":
        picture = bitstream.read(data)
        return data[:5], [varint(picture.height), varint(picture.width)], dict(picture.sections)
    signal = bitstream.read_signal(data)
    peak = [signal.peak] if signal.kind == "sound" else []
    numbers = (*signal.size, signal.rate.numerator, signal.rate.denominator, *peak)
    return data[:6], [*map(varint, numbers)], dict(signal.sections)


def damaged(random: np.random.Generator) -> tuple[str, bytes]:
    """A golden file with a header, sections or bytes of its own, behind a checksum that is right; and its name."""

    def some(most: int) -> bytes:
        return random.bytes(int(random.integers(0, most)))

    def number() -> bytes:
        return varint(int(2.0 ** random.uniform(0, random.choice([4, 12, 34.9])) - 1))

    path, other = (GOLDEN[i] for i in random.integers(0, len(GOLDEN), 2))
    head, numbers, sections = opened(path.read_bytes())
    name = str(random.choice(list(sections)))
    match random.integers(0, 7):
        case 0:  # another size
            numbers = [number() for _ in numbers]
        case 1:  # what another file says there
            another, _, found = opened(other.read_bytes())
            head = head[:4] + (head, another)[random.integers(2)][4:5] + head[5:]
            sections[name] = found.get(name, b"")
        case 2:
            sections[name] = some(200)
        case 3:  # numbers
            sections[name] = b"".join(number() for _ in range(random.integers(1, 12))) + sections[name][random.integers(0, 12) :]
        case _:  # edits
            body = bytearray(sections[name])
            for _ in range(random.integers(1, 5)):
                place = int(random.integers(0, min(len(body) + 1, int(random.choice([8, 40, 10**6])))))
                body[place : place + int(random.integers(0, 4))] = some(4)
            sections[name] = bytes(body)
    table = b"".join(bytes([bitstream.SECTION_KINDS[name]]) + varint(len(body)) for name, body in sections.items())
    front = head + b"".join(numbers) + bytes([len(sections)])
    return f"{path.parent.name}/{path.stem}", seal(front + table + b"".join(sections.values()))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_many_damaged_files() -> None:
    """``INR_FUZZ=100000,7`` makes so many, from that seed on, instead of 500 from 0; ``-s`` shows what became of them."""
    import resource

    count, first = map(int, os.environ.get("INR_FUZZ", "500,0").split(","))
    outcomes, foreign, slowest = Counter[str](), [], (0.0, "")
    for seed in range(first, first + count):
        name, data = damaged(np.random.default_rng(seed))
        started = time.perf_counter()
        try:
            right = refused_or_a_signal(data) if name.startswith("v3") else refused_or_a_picture(data)
            outcomes["decoded" if right else "refused"] += 1
        except Exception as error:  # whatever it is, it is foreign
            foreign.append(f"seed {seed}, {name}: {type(error).__name__}: {error}")
        slowest = max(slowest, (time.perf_counter() - started, f"seed {seed}, {name}"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (30 if sys.platform == "darwin" else 20))
    print(f"{count:,} files: {dict(outcomes)}, {len(foreign)} foreign", end="; ")
    print(f"the slowest {slowest[0]:.1f} s ({slowest[1]}), {peak:.2f} GiB at the most")
    assert not foreign, "\n".join(foreign[:20])
