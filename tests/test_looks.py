"""Two looks of one stream: the file's own bytes stay, the dice fall the same everywhere, and the second look is trained."""

from __future__ import annotations

import functools
import hashlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_files import encoded, largest_difference, one_thread, picture, refused_or_a_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tutorial_lib import codecs, images
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.codecs.looks import retouch
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, varint, with_second_look, without_second_look
from tutorial_lib.latents.packing import gather, groups_of
from tutorial_lib.latents.texture import Texture, dice, mixed, noise, pack_texture, unpack_texture
from tutorial_lib.perception import Look
from tutorial_lib.training.looks import MOST, STEERING, _Training, train_look

GRIDS = sorted(name for name, codec in codecs.LEARNED.items() if codec.can_be_retouched)
LOUD = Look("mse", "wavelets", 40.0, 4.0, 0.005)
"""A look that a few steps show."""


@functools.cache
def two_looks(name: str = "coolchic-small") -> bytes:
    return retouch(encoded(name), picture(), LOUD, iterations=40, seed=5, device="cpu", progress=False).data


# ------------------------------------------------------------------------------------------ dice


def test_the_dice_are_golden() -> None:
    """Whatever changes these numbers changes every picture that was ever made with them."""
    whole = dice(7, 0, (0, 50), 75)
    assert whole[0, :6].tolist() == [-114, -173, 276, 127, 391, -2]
    digests = [hashlib.sha256(each.astype("<i4").tobytes()).hexdigest()[:16] for each in (whole, dice(2**34 + 1, 1, (0, 9), 11))]
    assert digests == ["4362744631d18240", "798362c2981f7422"]
    planes = noise(7, 51, 37)
    assert hashlib.sha256((planes * 4096).numpy().astype("<i4").tobytes()).hexdigest()[:16] == "9bcd23bc810160a7"


def test_dice_are_sums_of_twelve_bytes() -> None:
    """By Python's own integers."""

    def mix(x: int, key: int) -> int:
        x ^= key
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = (x ^ x >> shift) * factor % 2**32
        return x ^ x >> 16

    seed, plane, width = 2**33 + 12345, 1, 10
    for row, column in ((0, 0), (3, 7)):
        total = -1530
        for word in range(3):
            key = functools.reduce(lambda key, part: mix(part, key), (seed % 2**32, seed >> 32, 4 * plane + word), 0)
            total += sum(mix(row * width + column, key).to_bytes(4, "little"))
        assert dice(seed, plane, (row, row + 1), width)[0, column] == total
    assert mixed(np.array([1, 2]), 3).tolist() == [mix(1, 3), mix(2, 3)]


def test_dice_look_normal_and_independent() -> None:
    values = dice(3, 0, (0, 300), 400) / 256
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01 and abs((values**4).mean() - 2.9) < 0.05
    others = [values[1:] * values[:-1], values[:, 1:] * values[:, :-1], values * dice(4, 0, (0, 300), 400) / 256]
    others += [values * dice(3, 1, (0, 300), 400) / 256]
    assert all(abs(each.mean()) < 0.015 for each in others)


@pytest.mark.parametrize("size", [(51, 37), (50, 36), (1, 1), (2, 1), (1, 9), (3, 2)])
def test_noise_by_bands_is_the_noise(size: tuple[int, int]) -> None:
    whole = noise(7, *size)
    assert whole.shape == (2, *size) and whole.dtype == torch.float32
    for step in (1, 3, 20):
        bands = [noise(7, *size, top, min(top + step, size[0])) for top in range(0, size[0], step)]
        assert torch.equal(torch.cat(bands, 1), whole)


def test_the_half_sized_plane_is_smoother() -> None:
    full, half = noise(7, 200, 200)
    neighbours = [float((plane[:, 1:] * plane[:, :-1]).mean() / plane.square().mean()) for plane in (full, half)]
    assert abs(neighbours[0]) < 0.02 < 0.5 < neighbours[1]


@pytest.mark.slow
def test_dice_are_the_same_with_other_threads() -> None:
    code = "from tutorial_lib.latents.texture import noise; print(noise(9, 40, 60).numpy().tobytes().hex())"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env=one_thread(OMP_NUM_THREADS=n), capture_output=True, text=True, check=True
        ).stdout
        for n in ("1", "2", "3")
    }
    assert len(runs) == 1


# ------------------------------------------------------------------------------------------ another synthesis


@pytest.mark.parametrize("name", GRIDS)
def test_it_begins_as_the_first_look(name: str) -> None:
    base = codecs.LEARNED[name].open(encoded(name))
    texture = Texture(base, 1)
    assert torch.equal(texture.render(), base.render())
    names = [group.name for group in groups_of(texture)]
    assert all(group.startswith("synthesis") for group in names)
    assert not any(gather(texture, group).any() for group in groups_of(texture))  # differences
    plain = Texture(base, 1, differences=False)
    assert any(gather(plain, group).any() for group in groups_of(plain))
    body = pack_texture(texture, [8] * len(names))
    assert len(body) < 20 < len(pack_texture(plain, [8] * len(names)))


@pytest.mark.parametrize("differences", [True, False])
@pytest.mark.parametrize("name", GRIDS)
def test_packed_and_back(name: str, differences: bool) -> None:
    base = codecs.LEARNED[name].open(encoded(name))
    texture = Texture(base, 2**34 + 3, differences=differences)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in texture.networks().values():
            parameter.add_(torch.randint(-9, 9, parameter.shape, generator=random) / 256)
    exponents = [16 if not differences else 8] * len(groups_of(texture))
    if not differences:
        exponents = [8] * len(exponents)
        with torch.no_grad():
            for parameter in texture.networks().values():
                parameter.mul_(256).round_().div_(256)
    back = unpack_texture(codecs.LEARNED[name].open(encoded(name)), pack_texture(texture, exponents))
    assert back.seed == texture.seed and torch.equal(back.render(), texture.render())


@pytest.mark.parametrize("name", GRIDS)
def test_only_columns_of_the_noise_see_the_noise(name: str) -> None:
    base = codecs.LEARNED[name].open(encoded(name))
    one, other = Texture(base, 1), Texture(base, 2)
    random = torch.Generator().manual_seed(0)
    for texture in (one, other):
        random.manual_seed(0)
        with torch.no_grad():
            for parameter_name, parameter in texture.networks().items():
                change = 0.1 * torch.randn(parameter.shape, generator=random)
                change[:, texture.from_noise(parameter_name)] = 0
                parameter.add_(change)
    assert torch.equal(one.render(), other.render()) and not torch.equal(one.render(), base.render())
    with torch.no_grad():
        for texture in (one, other):
            for parameter_name, parameter in texture.networks().items():
                parameter[:, texture.from_noise(parameter_name)] = 0.05
    assert not torch.equal(one.render(), other.render())


def test_bands_of_a_large_picture_see_their_own_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    texture = codecs.codec_of(two_looks()).open(two_looks(), "texture")
    whole = texture.render()
    monkeypatch.setattr(Texture.rows, "__defaults__", (200,))
    torch.testing.assert_close(texture.render(), whole, atol=1e-5, rtol=0)


# ------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("name", GRIDS)
def test_a_file_with_two_looks(name: str) -> None:
    data, original = two_looks(name), encoded(name)
    assert data[: len(original)] == original and without_second_look(data) == original
    codec = codecs.codec_of(data)
    structure, texture = (codecs.decode(data, look=look, device="cpu") for look in codecs.LOOKS)
    assert torch.equal(structure, codecs.decode(original, device="cpu")) and not torch.equal(structure, texture)
    assert codec.tensors(data).keys() == codec.tensors(original).keys()
    assert bitstream.anatomy(data)["second look"] == len(data) - len(original)
    assert sum(part.bytes for part in parts(data)) == len(data)
    distance = LOUD.distance(picture())
    assert float(distance(texture)) < float(distance(structure))


def test_a_second_time_replaces_it() -> None:
    again = retouch(two_looks(), picture(), LOUD, iterations=2, seed=6, device="cpu", progress=False).data
    assert again != two_looks() and without_second_look(again) == encoded("coolchic-small")


def test_the_same_seed_gives_the_same_bytes() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(99)
        state = torch.get_rng_state()
        again = retouch(encoded("coolchic-small"), picture(), LOUD, iterations=40, seed=5, device="cpu", progress=False)
        assert torch.equal(torch.get_rng_state(), state)  # nobody's dice but its own
    assert again.data == two_looks() and not again.report.interrupted


def trained(look: Look, steps: int = 12) -> Texture:
    base = codecs.LEARNED["coolchic-small"].open(encoded("coolchic-small"))
    texture = Texture(base.requires_grad_(False), 5)
    train_look(texture, base.render(), picture(), look, iterations=steps, progress=False)
    return texture


def test_without_noise_its_columns_stay_zero() -> None:
    for noisy in (True, False):
        texture = trained(replace(LOUD, noise=noisy))
        columns = [parameter[:, texture.from_noise(name)] for name, parameter in texture.networks().items()]
        assert any(bool(each.any()) for each in columns) == noisy
    base = codecs.LEARNED["coolchic-small"].open(encoded("coolchic-small"))
    assert torch.equal(texture.context.layers[0].matrix, base.context.layers[0].matrix)
    assert torch.equal(texture.latents, base.latents)


def test_the_judge_has_a_say() -> None:
    with_judge, without = (trained(replace(LOUD, adversarial_weight=weight)) for weight in (0.5, 0.0))
    assert not torch.equal(with_judge.render(), without.render())


def test_the_price_steers() -> None:
    """λ_rec falls while the error rises by less than the price, and rises where by more; it stays where by that."""
    first = codecs.LEARNED["coolchic-small"].open(encoded("coolchic-small")).requires_grad_(False)
    base, factors = first.render(), []
    for cost in (0.0, 0.3, 3.0):
        run = _Training(Texture(first, 5), base, picture(), replace(LOUD, price=0.3), 0)
        run.steer(picture() + (base - picture()) * 10 ** (cost / 20), base)
        factors.append(run.factor)
        assert run.steered() == replace(LOUD, price=0.3, reconstruction_weight=40.0 * run.factor)
    assert factors == pytest.approx([math.exp(-STEERING), 1.0, math.exp(MOST * STEERING)], abs=1e-4)


@pytest.mark.parametrize("price", [None, 0.3])
def test_without_a_price_weights_stay(price: float | None) -> None:
    base = codecs.LEARNED["coolchic-small"].open(encoded("coolchic-small")).requires_grad_(False)
    look = replace(LOUD, price=price)
    report = train_look(Texture(base, 5), base.render(), picture(), look, iterations=5, progress=False)
    assert (report.look == look) == (price is None)


def test_parts_of_a_large_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutorial_lib.training.looks.WINDOW", 32)
    base = codecs.LEARNED["coolchic-small"].open(encoded("coolchic-small")).requires_grad_(False)
    texture, sizes = Texture(base, 5), []
    report = train_look(
        texture,
        base.render(),
        picture(),
        LOUD,
        iterations=30,
        progress=False,
        callback=lambda _, painted: sizes.append(painted.shape),
    )
    assert set(sizes) == {(3, 32, 32)} and len(report.history) == 3
    assert not torch.equal(texture.render(), base.render())


def test_stopped_it_packs_what_it_has() -> None:
    def stop(step: int, painted: object) -> None:
        if step == 3:
            raise KeyboardInterrupt

    made = retouch(encoded("coolchic-small"), picture(), LOUD, device="cpu", progress=False, callback=stop)
    assert made.report.interrupted
    assert not torch.equal(codecs.decode(made.data, look="texture"), codecs.decode(made.data))


def test_what_retouch_refuses() -> None:
    with pytest.raises(CodecError, match="siren has no synthesis"):
        retouch(encoded("siren"), picture(), progress=False)
    with pytest.raises(CodecError, match="74×50 pixels, the file 75×50"):
        retouch(encoded("coolchic-v1"), picture()[:, :, 1:], progress=False)
    with pytest.raises(CodecError, match=r"another picture than this original: \d\.\d dB"):
        retouch(encoded("coolchic-v1"), 1 - picture().round(), progress=False)
    for steps in (0, -4):
        with pytest.raises(CodecError, match=f"one step or more, not {steps}"):
            retouch(encoded("coolchic-v1"), picture(), iterations=steps, progress=False)


# ------------------------------------------------------------------------------------------ the file


def test_what_has_one_look_says_so() -> None:
    with pytest.raises(CodecError, match="one look; inr retouch"):
        codecs.decode(encoded("coolchic-v1"), look="texture")
    with pytest.raises(CodecError, match="siren have no look 'texture'"):
        codecs.decode(encoded("siren"), look="texture")
    with pytest.raises(CodecError, match="no look 'sketch'"):
        codecs.decode(two_looks(), look="sketch")
    for name in ("siren", "amortised"):  # whose texture stands in the library, not in files
        with pytest.raises(BitstreamError, match=f"{name} has no second look"):
            codecs.decode(with_second_look(encoded(name), b"\0\0"))


def refused(data: bytes) -> str:
    with pytest.raises(BitstreamError) as caught:
        codecs.decode(data, look="texture", device="cpu")
    return str(caught.value)


def test_accidents_behind_the_end() -> None:
    data, end = two_looks(), len(encoded("coolchic-small"))
    for length in range(len(data)):
        if length != end:  # there it is the file that it was
            refused(data[:length])
    for position in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= change
            refused(bytes(damaged))
    assert "left over" in refused(data + b"\0") or "checksum" in refused(data + b"\0")


def test_another_file_s_second_look_is_found_out() -> None:
    data, end = two_looks(), len(encoded("coolchic-small"))
    other = bitstream.write(replace(bitstream.read(encoded("coolchic-small")), width=74))
    assert len(other) == end and "another file's" in refused(other + data[end:])


def test_a_newer_second_look_can_be_stripped() -> None:
    data, end = two_looks(), len(encoded("coolchic-small"))
    newer = data[: end + 4] + b"\2" + data[end + 5 :]
    assert "second look is in version 2" in refused(newer) and without_second_look(newer) == data[:end]
    assert without_second_look(data[:-1]) == data[:end]


@settings(max_examples=150, parent=settings.get_profile("course"), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_hostile_second_looks(data: st.DataObject) -> None:
    """Any bytes behind a right checksum: refused, or a picture; the first look stays what it is."""
    own = bitstream.read(two_looks()).second_look
    assert own is not None
    body = bytearray(own)
    if data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 4))):
            position = data.draw(st.integers(0, len(body)))
            body[position : position + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    else:
        body = bytearray(
            data.draw(st.binary(max_size=3)) + varint(data.draw(st.integers(0, 2**35 - 1))) + data.draw(st.binary(max_size=90))
        )
    file = with_second_look(encoded("coolchic-small"), bytes(body))
    assert refused_or_a_picture(file)
    try:
        decoded = codecs.decode(file, size=(5, 7), look="texture", device="cpu")
    except BitstreamError as error:
        assert "\n" not in str(error)
    else:
        assert images.picture_problem(decoded) is None


@pytest.mark.parametrize("body", [b"", b"\2\0", b"\0", b"\1\xff\xff\xff\xff\xff\xff", b"\1\0" + bytes(400)])
def test_bodies_that_are_none(body: bytes) -> None:
    refused(with_second_look(encoded("coolchic-small"), body))


GOLDEN = Path(__file__).parent / "golden"


def test_the_golden_file() -> None:
    """What `two_looks` gave in November 2026 decodes to the same two pictures for good."""
    data = (GOLDEN / "two_looks.inr").read_bytes()
    for look in codecs.LOOKS:
        decoded = codecs.decode(data, look=look, device="cpu")
        assert largest_difference(decoded, images.load(GOLDEN / f"two_looks.{look}.png")) <= 1
