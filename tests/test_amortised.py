"""The amortised codec: its transform, its laws, its exact coding, refining, its two looks, and what it refuses."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from codec_files import PEAK, altered, encoded, one_thread, picture, refused_or_a_picture
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.amortised import coding, contexts, transforms, weights
from tutorial_lib.amortised import picture as pictures
from tutorial_lib.amortised.contexts import around, count_inputs, inputs_of, magnitudes, stages
from tutorial_lib.amortised.picture import AmortisedConfig
from tutorial_lib.amortised.transforms import CHANNELS, Analysis, Synthesis
from tutorial_lib.codecs.amortised import lambda_of, refined, step_for
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, varint

CODEC = codecs.AMORTISED


def encode(what: Tensor, **wishes: Any) -> bytes:
    return CODEC.encode(what, progress=False, device="cpu", **wishes)


def coffee(factor: float = 2) -> Tensor:
    return images.reduce(images.sample("coffee"), factor=factor)


# ------------------------------------------------------------------------------------------ transform


def test_untrained_it_is_the_block_dct() -> None:
    """JPEG's transform, orthonormal: what is left out of chroma is all that is lost."""
    grey = torch.rand(1, 1, 24, 32, generator=torch.Generator().manual_seed(0)).expand(1, 3, 24, 32)
    latents = Analysis()(grey)
    assert latents.shape == (1, CHANNELS, 3, 4)
    blocks = (grey[0, 0].unfold(0, 8, 8).unfold(1, 8, 8) - 0.5).sum((2, 3)) * 255 * 3**0.5 / 8
    torch.testing.assert_close(latents[0, 0], blocks, rtol=1e-4, atol=1e-2)
    step = torch.tensor([4.0])
    torch.testing.assert_close(Synthesis()(latents / 4, step), grey, atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.square().sum(), ((grey - 0.5) * 255).square().sum(), rtol=1e-4, atol=0)


def test_frequencies_ascend_and_none_is_missing() -> None:
    found = transforms.frequencies()
    assert len(set(found)) == CHANNELS == sum(transforms.SLICES) and sum(c == 0 for c, _, _ in found) == 64
    luma = [u + v for colour, u, v in found if colour == 0]
    assert luma == sorted(luma)


@pytest.mark.parametrize("look", ["structure", "texture"])
def test_bands_make_no_difference(look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(coffee(3))
    whole, analysed = codecs.decode(data, look=look, device="cpu"), CODEC.open(data).analyse(coffee(3))
    monkeypatch.setattr(pictures, "BAND_PIXELS", 2000)
    torch.testing.assert_close(codecs.decode(data, look=look, device="cpu"), whole, atol=2e-5, rtol=0)
    torch.testing.assert_close(CODEC.open(data).analyse(coffee(3)), analysed, atol=1e-2, rtol=0)


# ------------------------------------------------------------------------------------------ laws


def test_a_law_depends_on_nothing_that_is_decoded_later() -> None:
    """Whatever is put in the place of later stages, and of the slice and those above it, the inputs stay."""
    rows, columns, row = 9, 11, 11 + 2 * contexts.MARGIN
    generator = torch.Generator().manual_seed(0)
    stage_of = stages(rows, columns)
    assert set(stage_of.flatten().tolist()) == set(range(contexts.STAGES))
    inner = (torch.arange(rows)[:, None] + contexts.MARGIN) * row + torch.arange(columns) + contexts.MARGIN
    size = (CHANNELS, (rows + 2 * contexts.MARGIN) * row)

    def random() -> Tensor:
        levels = torch.zeros(size)
        levels[:, inner.flatten()] = torch.randint(-9, 10, (CHANNELS, rows * columns), generator=generator).float()
        return levels

    for stage in range(contexts.STAGES):
        places = inner[stage_of == stage]
        for index in range(len(transforms.SLICES)):
            first, second = random(), random()
            known = inner[stage_of < stage]
            second[:, known] = first[:, known]
            lower = contexts.STARTS[index]
            second[:lower, places] = first[:lower, places]
            seen = [
                inputs_of(
                    index,
                    around(levels, magnitudes(levels), places, torch.full_like(places, stage), row),
                    levels[:, places],
                    magnitudes(levels)[:, places],
                    torch.zeros(len(places)),
                )
                for levels in (first, second)
            ]
            assert torch.equal(*seen) and seen[0].shape == (count_inputs(index), len(places))


def test_magnitudes_are_logarithms_in_sixteenths() -> None:
    levels = torch.arange(-1023.0, 1024)
    found = magnitudes(levels)
    assert torch.equal(found * 16, torch.log2(1 + levels.abs().double()).mul(16).add(1e-9).floor().float())


def test_the_estimate_is_what_coding_takes() -> None:
    for step in (80, 150, 220):
        representation = CODEC.build(AmortisedConfig(step), *coffee().shape[1:])
        levels, _ = representation.levels(representation.analyse(coffee()))
        data = coding.encode_latents(representation.networks.contexts, representation.told, levels)
        estimate = float(representation.bits(levels).sum()) / 8
        assert len(data) == pytest.approx(estimate, rel=0.02, abs=16)


@pytest.mark.parametrize("bound", [0, 1, 1023])
def test_any_latents_are_coded(bound: int) -> None:
    networks, generator = weights.load(1).contexts, torch.Generator().manual_seed(bound)
    latents = torch.randint(-bound, bound + 1, (CHANNELS, 3, 5), generator=generator).float()
    if bound == 1023:  # all slices so wild would need more table than a file may ask for
        latents[9:] = latents[9:].clamp(-300, 300)
    data = coding.encode_latents(networks, 0.5, latents)
    assert torch.equal(coding.decode_latents(networks, 0.5, 3, 5, data), latents)


def test_blocks_and_tables_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many blocks are coded together is the format's, how much table is looked up at once is not."""
    networks, own, data = weights.load(1).contexts, CODEC.open(encoded("amortised")), encoded("amortised")
    monkeypatch.setattr(coding, "_ENTRIES", 100)
    assert torch.equal(CODEC.open(data).symbols(), own.symbols())
    assert CODEC.pack(own, {}) == data
    monkeypatch.setattr(coding, "_BLOCKS", 3)
    other = coding.encode_latents(networks, own.told, own.symbols())
    assert other != bitstream.read(data).sections["latents"]
    assert torch.equal(coding.decode_latents(networks, own.told, 7, 10, other), own.symbols())


# ------------------------------------------------------------------------------------------ encoding


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (8, 8), (17, 40), (33, 15)])
def test_any_size(size: tuple[int, int]) -> None:
    small = images.crop(images.sample("astronaut"), 100, 200, *size)
    data = encode(small, lmbda=1e-4)
    decoded = codecs.decode(data, device="cpu")
    assert decoded.shape == small.shape and metrics.psnr(decoded, small) > 26
    assert codecs.decode(data, size=(5, 9)).shape == (3, 5, 9)


@pytest.mark.parametrize("name", ["coffee", "astronaut", "chelsea"])
@pytest.mark.parametrize("bpp", [0.25, 0.6, 1.5])
def test_a_rate_is_met(name: str, bpp: float) -> None:
    what = images.reduce(images.sample(name), factor=1.5)
    assert metrics.bits_per_pixel(encode(what, bpp=bpp), what) == pytest.approx(bpp, rel=0.05)


def test_better_than_jpeg_at_its_rate() -> None:
    what = coffee()
    for quality in (10, 30, 60):
        jpeg = codecs.get("jpeg").encode(what, quality=quality)  # type: ignore[call-arg]
        data = encode(what, bpp=metrics.bits_per_pixel(jpeg, what))
        assert metrics.psnr(codecs.decode(data), what) > metrics.psnr(codecs.get("jpeg").decode(jpeg), what) + 0.5


def test_lambda_names_the_step() -> None:
    assert [step_for(lambda_of(step)) for step in (40, 111, 200)] == [40, 111, 200]
    sizes = [len(encode(coffee(4), lmbda=lmbda)) for lmbda in (1e-4, 1e-3, 1e-2)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"loss": "l1"}, "trained for the mean squared error"),
        ({"config": "small"}, "for a shape"),
        ({"bpp": 90.0}, "more than amortised can use"),
        ({"bpp": 1e-4}, "too little for this picture"),
        ({"method": "published"}, "no method"),
    ],
)
def test_what_it_cannot_do_is_one_sentence(wishes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CodecError, match=sentence) as caught:
        CODEC.plan(picture(), **wishes)
    assert "\n" not in str(caught.value)


def test_others_have_nothing_to_refine() -> None:
    with pytest.raises(CodecError, match="nothing to refine"):
        refined(codecs.COIN.plan(picture(), bpp=4.0), 1.0)
    for seconds in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(CodecError, match="positive number of seconds"):
            refined(CODEC.plan(picture()), seconds)


LARGE = f"""
import torch
from tutorial_lib import codecs
rows = torch.linspace(0, 20, 3000)[:, None].sin()
columns = torch.linspace(0, 30, 4000)[None].cos()
picture = (0.5 + 0.4 * rows * columns).expand(3, -1, -1).contiguous()
codecs.decode(codecs.AMORTISED.encode(picture[:, :64, :64], progress=False))
{PEAK}
before = peak()
data = codecs.AMORTISED.encode(picture, progress=False)
decoded = codecs.decode(data)
error = float((decoded - picture).square().mean())
print(peak() - before, error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no resource module")
def test_twelve_megapixels_in_bounded_memory() -> None:
    run = subprocess.run([sys.executable, "-c", LARGE], env=one_thread(), capture_output=True, text=True, timeout=600)
    memory, error = map(float, run.stdout.split())
    assert memory < 3e9 and error < 1e-4, run.stderr


# ------------------------------------------------------------------------------------------ refining


def test_refining_gains() -> None:
    what, lmbda = coffee(4), lambda_of(130)
    plan = CODEC.plan(what, lmbda=lmbda)

    def cost(data: bytes) -> float:
        error = float((codecs.decode(data, device="cpu") - what).square().mean())
        return error + lmbda * metrics.bits_per_pixel(data, what)

    before = cost(CODEC.execute(plan, what, device="cpu", progress=False).data)
    refined = [CODEC.execute(replace(plan, recipe=replace(plan.recipe, iterations=n)), what, progress=False) for n in (4, 16)]
    costs = [cost(encoding.data) for encoding in refined]
    assert before > 1.005 * costs[0] and costs[0] > costs[1]
    history = refined[1].report.history
    assert [moment.iteration for moment in history] == list(range(17))
    assert metrics.psnr(codecs.decode(refined[1].data), what) == pytest.approx(refined[1].report.best_psnr, abs=0.1)


def test_refining_for_some_seconds() -> None:
    encoding = CODEC.execute(refined(CODEC.plan(picture()), 0.5), picture(), progress=False, device="cpu")
    assert 1 < len(encoding.report.history) and encoding.report.seconds < 60


def test_stopping_a_refinement_keeps_its_best() -> None:
    def stop(progress: Any) -> None:
        if progress.iteration == 5:
            raise KeyboardInterrupt

    plan = CODEC.plan(picture(), iterations=100)
    encoding = CODEC.execute(plan, picture(), progress=False, device="cpu", callback=stop)
    assert encoding.report.interrupted
    assert codecs.decode(encoding.data).shape == picture().shape


# ------------------------------------------------------------------------------------------ two looks


def test_two_looks_of_the_same_bytes() -> None:
    data = encode(coffee(), bpp=0.4)
    structure, texture = (codecs.decode(data, look=look, device="cpu") for look in codecs.LOOKS)
    assert torch.equal(structure, codecs.decode(data, device="cpu")) and not torch.equal(structure, texture)
    assert torch.equal(texture, codecs.decode(data, look="texture", device="cpu"))
    assert abs(metrics.psnr(structure, coffee()) - metrics.psnr(texture, coffee())) < 1.0


# ------------------------------------------------------------------------------------------ weights


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of copies of the shipped networks, in the place of theirs."""
    for path in weights.FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    for cached in (weights._load, weights._load_texture):
        monkeypatch.setattr(weights, cached.__name__, cached.__wrapped__)
    return tmp_path


def test_what_is_shipped() -> None:
    assert sum(path.stat().st_size for path in weights.FOLDER.iterdir()) < 300_000
    assert weights.load(1) is not weights.load(1)


def test_networks_that_are_missing_damaged_or_others(elsewhere: Path) -> None:
    data, own = encoded("amortised"), (elsewhere / "amortised-1.weights").read_bytes()
    networks = weights.load(1)
    steps = {name: 2.0**-6 for name, _ in networks.named_parameters()}
    other = weights.pack(networks, steps)
    for body, sentence in ((other, "made by other networks"), (own[:-9], "damaged"), (None, "not part of this installation")):
        path = elsewhere / "amortised-1.weights"
        path.unlink() if body is None else path.write_bytes(body)
        with pytest.raises(BitstreamError, match=sentence) as caught:
            codecs.decode(data)
        assert "\n" not in str(caught.value)
    with pytest.raises(weights.WeightsError, match="missing"):
        encode(picture())


def test_a_texture_of_other_networks(elsewhere: Path) -> None:
    data = encoded("amortised")
    path = elsewhere / "texture-1.weights"
    own = path.read_bytes()
    for body, sentence in ((b"\0\0\0\0" + own[4:], "belongs to other networks"), (own[:-9], "damaged")):
        path.write_bytes(body)
        with pytest.raises(weights.WeightsError, match=sentence):
            codecs.decode(data, look="texture")


# ------------------------------------------------------------------------------------------ hostile


def test_claims_of_a_file() -> None:
    data = encoded("amortised")
    for latents in (varint(2048) + bytes(20), varint(2000) * 6 + bytes(20), b"", bytes(6), bytes(5)):
        assert not refused_or_a_picture(altered(data, latents=latents)) or latents == bytes(6)
    body = bitstream.read(data).sections["configuration"]
    for configuration in (bytes([31]) + body[1:], body[:1] + b"\7" + body[2:], body[:-1], body + b"\0"):
        with pytest.raises(BitstreamError):
            codecs.decode(altered(data, configuration=configuration))


def test_large_claims_are_refused_before_the_work() -> None:
    container = bitstream.read(encoded("amortised"))
    latents = varint(1300) * 6 + bytes(40)
    large = replace(container, height=8000, width=16000, sections=container.sections | {"latents": latents})
    with pytest.raises(BitstreamError, match="more than this program decodes"):
        codecs.decode(bitstream.write(large), size=(5, 7))


def test_symbols_are_integers_in_steps() -> None:
    tensors = CODEC.tensors(encoded("amortised"))
    assert [tensor.symbols.shape[0] for tensor in tensors.values()] == list(transforms.SLICES)  # type: ignore[union-attr]
    assert all(tensor.symbols.dtype == np.int32 for tensor in tensors.values())  # type: ignore[union-attr]
