"""The named codecs: registry, plans, rates, and the way there and back."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from codec_files import LEARNED, NETWORKS, OTHER_FILES, encoded, float16_file, meta_file, mixed_file, picture
from PIL import Image
from torch import Tensor

from tutorial_lib import codecs, images, losses, metrics, training
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.codecs.classical import CODECS as CLASSICAL
from tutorial_lib.codecs.networks import SINE_OPERATIONS, NetworkConfig
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Container, varint
from tutorial_lib.coding.quantizers import MaxAbsQuantizer
from tutorial_lib.coding.rounding import AdaRound, RateDistortionRounding
from tutorial_lib.coding.steps import QuantizedTensor
from tutorial_lib.images import ImageError
from tutorial_lib.networks import differences
from tutorial_lib.networks.nif import NifConfig
from tutorial_lib.networks.siren import SirenConfig
from tutorial_lib.training import Constant, Cosine, Phase
from tutorial_lib.training.bands import count_of
from tutorial_lib.training.tradeoff import mse_lambda


def untrained(name: str, config: NetworkConfig, height: int, width: int) -> bytes:
    """A file with the network as it was initialized, in float16."""
    codec = codecs.LEARNED[name]
    return codec.pack(codec.build(config, height, width), {})


def large(height: int, width: int) -> Tensor:
    """A picture that takes no memory."""
    return torch.zeros(()).expand(3, height, width)


# ------------------------------------------------------------------------------------------ registry


def test_names() -> None:
    assert codecs.names() == (*LEARNED, *CLASSICAL) and LEARNED[:4] == ("coin", "siren", "struempler", "nif")
    assert all(codecs.get(name).name == name for name in codecs.names())
    numbers = [codec.number for codec in codecs.LEARNED.values()]
    assert sorted(set(numbers)) == sorted(numbers) and all(0 <= number < 256 for number in numbers)
    assert [codecs.LEARNED[name].number for name in ("coin", "siren", "struempler", "nif")] == [1, 2, 3, 4]
    assert codecs.NIF is codecs.get("nif")


def test_no_such_codec() -> None:
    with pytest.raises(CodecError, match="no codec 'nerf'; there are coin, siren, .*, avif"):
        codecs.get("nerf")


# ------------------------------------------------------------------------------------------ there and back


@pytest.mark.parametrize("name", NETWORKS)
def test_there_and_back(name: str) -> None:
    data = encoded(name)
    codec = codecs.get(name)
    decoded = codec.decode(data)
    assert isinstance(data, bytes) and decoded.shape == picture().shape and decoded.dtype == torch.float32
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    flat = picture().mean((1, 2), keepdim=True).expand_as(picture())
    assert metrics.psnr(decoded, picture()) > metrics.psnr(flat, picture()) + 4
    assert codecs.codec_of(data) is codec and torch.equal(decoded, codecs.decode(data))


@pytest.mark.parametrize(
    ("name", "bpp"), [("siren", 1.0), ("siren", 3.0), ("coin", 1.0), ("coin", 3.0), ("nif", 1.5), ("nif", 3.0)]
)
def test_a_target_is_a_promise(name: str, bpp: float) -> None:
    data = codecs.get(name).encode(picture(), bpp=bpp, budget="quick", progress=False)
    assert 0.85 * bpp < metrics.bits_per_pixel(data, picture()) <= bpp
    assert metrics.bits_per_pixel(encoded(name), picture()) <= 2.0


def test_a_target_is_a_promise_for_a_picture_of_noise() -> None:
    noise = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    data = codecs.get("siren").encode(noise, bpp=4.0, budget="quick", progress=False)
    assert metrics.bits_per_pixel(data, noise) <= 4.0


@pytest.mark.parametrize("name", NETWORKS)
def test_every_byte_is_counted(name: str) -> None:
    for data in (encoded(name), float16_file()):
        anatomy = bitstream.anatomy(data)
        assert list(anatomy) == ["header", "configuration", "quantizer", "networks", "checksum"]
        assert sum(anatomy.values()) == len(data)
        assert anatomy["header"] + anatomy["checksum"] <= 40


@pytest.mark.parametrize("name", [*LEARNED, *OTHER_FILES])
def test_anatomy(name: str) -> None:
    data = OTHER_FILES[name]() if name in OTHER_FILES else encoded(name)
    found, sections = parts(data), bitstream.anatomy(data)
    assert sum(part.bytes for part in found) == len(data) and all(part.bytes >= 0 for part in found)
    assert list(dict.fromkeys(part.section for part in found)) == list(sections)
    for section, count in sections.items():
        assert sum(part.bytes for part in found if part.section == section) == count
    assert sections["header"] + sections["checksum"] <= 40
    codec = codecs.codec_of(data)
    assert [part.name for part in found if part.name != part.section] == [
        row["name"] for row in sorted(codec.describe(data), key=lambda row: row["name"].startswith("grid "))
    ]
    for part in found:
        for row in codec.describe(data):
            if row["name"] == part.name:
                assert part.bytes == pytest.approx(row["bits_per_weight"] * math.prod(row["shape"]) / 8, rel=0.1, abs=12)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "comment": b"hello"}])
def test_anatomy_of_a_jpeg(options: dict) -> None:
    buffer = io.BytesIO()
    Image.fromarray(images.to_uint8(picture())).save(buffer, "JPEG", quality=80, **options)
    data = buffer.getvalue()
    found = parts(data)
    assert sum(part.bytes for part in found) == len(data)
    assert {part.section for part in found} == {"header", "tables", "scan"}
    assert (found[0].name, found[-1].name) == ("start", "end")
    assert sum(part.bytes for part in found if part.section == "scan") > 0.5 * len(data)
    scans = sum(part.section == "scan" for part in found)
    assert scans > 1 if "progressive" in options else scans == 1
    assert ("comment" in [part.name for part in found]) == ("comment" in options)
    assert parts(data + b"abc")[-1].name == "behind the end"
    for length in range(len(data)):
        try:
            assert sum(part.bytes for part in parts(data[:length])) == length
        except BitstreamError:
            continue


def test_anatomy_of_nothing_known() -> None:
    with pytest.raises(BitstreamError, match="not an .inr file"):
        parts(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BitstreamError, match="no marker at byte 6"):
        parts(b"\xff\xd8\xff\xe0\x00\x02abc")


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_but_the_file_is_needed(name: str) -> None:
    """Every section counts: its bytes are read, and others give another picture or none."""
    data = encoded(name)
    container = bitstream.read(data)
    for section, body in container.sections.items():
        shorter = bitstream.write(Container(container.codec, 50, 75, container.sections | {section: body[:-1]}))
        with pytest.raises(BitstreamError):
            codecs.decode(shorter)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(50, 75), (100, 150), (25, 37), (1, 1), (7, 300)])
def test_decoding_at_another_size(name: str, size: tuple[int, int]) -> None:
    decoded = codecs.decode(encoded(name), size=size)
    assert decoded.shape == (3, *size) and 0 <= float(decoded.min()) <= float(decoded.max()) <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_zoom_passes_through_the_pixels(name: str) -> None:
    data = encoded(name)
    own, tripled = codecs.decode(data), codecs.decode(data, size=(150, 225))
    torch.testing.assert_close(tripled[:, 1::3, 1::3], own, atol=2e-3, rtol=0)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (10**6, 10**6), (2.5, 3), "big", (1, 2, 3)])
def test_decode_refuses_sizes(size: object) -> None:
    with pytest.raises(ImageError):
        codecs.decode(encoded("siren"), size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 2), (20, 20)])
@pytest.mark.parametrize("name", NETWORKS)
def test_tiny_pictures_without_options(name: str, size: tuple[int, int]) -> None:
    tiny = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    data = codecs.get(name).encode(tiny, budget="quick", progress=False)
    assert codecs.decode(data).shape == tiny.shape


def test_one_colour() -> None:
    for value in (0.0, 0.5, 1.0):
        flat = torch.full((3, 30, 30), value)
        data = codecs.get("siren").encode(flat, bpp=4.0, budget="quick", progress=False)
        assert metrics.psnr(codecs.decode(data), flat) > 30


# ------------------------------------------------------------------------------------------ several at once


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of 120 steps."""
    monkeypatch.setitem(codecs.BUDGETS, "quick", codecs.Budget(operations=1e8, iterations=120, default_bytes=600))


def shades_of_grey(height: int, width: int) -> Tensor:
    """A picture a little lighter to the right."""
    return 0.1 + 0.05 * torch.linspace(-1, 1, width).expand(3, height, width).contiguous()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "quantizer",
    [
        lambda: MaxAbsQuantizer(3),
        lambda: MaxAbsQuantizer(16),
        lambda: MaxAbsQuantizer(6, rows=True),
        lambda: MaxAbsQuantizer(6, rounding=AdaRound(20)),
        lambda: MaxAbsQuantizer(6, rows=True, rounding=RateDistortionRounding(samples=2, rounds=2)),
    ],
)
@pytest.mark.usefixtures("brief")
def test_any_quantizer_in_any_codec(name: str, quantizer: Callable[[], MaxAbsQuantizer]) -> None:
    codec, shades, chosen = codecs.LEARNED[name], shades_of_grey(12, 16), quantizer()
    plan = replace(codec.plan(shades, bpp=40.0, budget="quick"), storage="8 bits")
    data = codec.execute(plan, shades, progress=False, device="cpu", quantizer=chosen).data
    tensors = codec.tensors(data)
    for key, tensor in tensors.items():
        assert np.array_equal(tensor.step, chosen.steps[key])
        # training goes on after the steps were chosen, so a weight may grow beyond them
        assert abs(tensor.symbols).max() <= 2 * 2 ** (chosen.bits - 1)
    assert metrics.psnr(codecs.decode(data), shades) > (15 if chosen.bits > 3 else 0)


def test_a_quantizer_where_nothing_is_quantized() -> None:
    plan = codecs.COIN.plan(picture(), bpp=8.0, budget="quick", method="published")
    with pytest.raises(ValueError, match="float16 weights quantizes nothing"):
        codecs.COIN.execute(plan, picture(), quantizer=MaxAbsQuantizer(8))


# ------------------------------------------------------------------------------------------ the same questions to all


def interrupted(times: int, action: Callable[..., Any]) -> Callable[..., Any]:
    """``action``, half done and stopped by Ctrl-C the first few times."""
    left = [times]

    def act(*arguments: Any, **options: Any) -> Any:
        if left[0]:
            left[0] -= 1
            action(*arguments, **options)
            raise KeyboardInterrupt
        return action(*arguments, **options)

    return act


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("times", [1, 2])
def test_stopping_the_last_rounding_keeps_the_fit(name: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codecs.LEARNED[name]
    monkeypatch.setattr(type(codec.family), "round", interrupted(times, type(codec.family).round))
    encoding = codec.execute(codec.plan(picture(), bpp=6.0, budget="quick", iterations=60), picture(), progress=False)
    assert encoding.report.interrupted
    psnr = metrics.psnr(codec.decode(encoding.data), picture())
    assert psnr == pytest.approx(encoding.report.best_psnr, abs=0.6) and psnr > 16  # processors differ: 17.3 dB for nif on one


@pytest.mark.parametrize("name", LEARNED)
def test_stopping_the_packing_begins_it_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codecs.LEARNED[name]
    plan = codec.plan(picture(), bpp=6.0, budget="quick", iterations=12)
    whole = codec.execute(plan, picture(), progress=False).data
    monkeypatch.setattr(type(codec.family), "pack", interrupted(3, type(codec.family).pack))
    assert codec.execute(plan, picture(), progress=False).data == whole


@pytest.mark.parametrize("name", LEARNED)
def test_every_codec_answers_the_same_calls(name: str) -> None:
    codec, data = codecs.LEARNED[name], encoded(name)
    representation, tensors = codec.open(data), codec.tensors(data)
    assert torch.equal(representation.render(), codec.decode(data, device="cpu"))
    assert codec.pack(representation, {key: tensor.step for key, tensor in tensors.items()}) == data
    rows = codec.describe(data)
    assert [row["name"] for row in rows] == list(tensors)
    assert {key for row in rows for key in row} == {"name", "shape", "law", "step", "bound", "bits_per_weight"}
    assert codec.operations_per_pixel(data) > 0 and codec.config_of(data) == representation.config
    untouched = codec.build(codec.config_of(data), 50, 75, seed=1)
    assert not torch.equal(untouched.render(), representation.render())


@pytest.mark.parametrize(
    ("name", "wish"),
    [
        ("siren", {"lmbda": 1e-3}),
        ("nif", {"steer": False}),
        ("coin", {"method": "meta"}),
        ("coolchic-small", {"config": SirenConfig(8)}),
        ("siren", {"config": NifConfig((8,))}),
        ("nif", {"config": SirenConfig(8)}),
        ("siren", {"method": "published", "iterations": 20}),
    ],
)
def test_what_a_family_cannot_do_is_one_sentence(name: str, wish: dict[str, Any]) -> None:
    with pytest.raises(CodecError) as caught:
        codecs.LEARNED[name].plan(picture(), budget="quick", **wish)
    assert "\n" not in str(caught.value)


def test_another_codec_s_plan_is_refused() -> None:
    plan = codecs.SIREN.plan(picture(), bpp=4.0, budget="quick", iterations=12)
    for codec in (codecs.COIN, codecs.NIF, codecs.COOLCHIC_SMALL):
        with pytest.raises(CodecError, match="a plan of siren, not of"):
            codec.execute(plan, picture(), progress=False)


def test_latent_grids_take_no_quantizer() -> None:
    plan = codecs.COOLCHIC_SMALL.plan(picture(), budget="quick", iterations=12)
    with pytest.raises(CodecError, match="takes no quantizer"):
        codecs.COOLCHIC_SMALL.execute(plan, picture(), quantizer=MaxAbsQuantizer(8))


def test_a_codec_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "LEARNED", dict(codecs.LEARNED))
    mine = replace(codecs.COIN, name="mine", number=200)
    data = mine.encode(picture(), bpp=4.0, budget="quick", iterations=12, progress=False)
    with pytest.raises(BitstreamError, match="codec number 200"):
        codecs.decode(data)
    codecs.register(mine)
    codecs.register(mine)  # twice is once
    assert codecs.get("mine") is mine and torch.equal(codecs.decode(data), mine.decode(data))
    for taken in (replace(mine, number=201), replace(mine, name="other"), replace(mine, name="jpeg", number=202)):
        with pytest.raises(CodecError, match="already"):
            codecs.register(taken)
    with pytest.raises(CodecError, match="0 to 255, not 300"):
        codecs.register(replace(mine, name="large", number=300))


# ------------------------------------------------------------------------------------------ what a file says


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_and_their_description(name: str) -> None:
    codec, data = codecs.get(name), encoded(name)
    tensors, rows = codec.tensors(data), codec.describe(data)
    network = codec.build(codec.config_of(data), 50, 75)
    expected = [(key, list(parameter.shape)) for key, parameter in network.named_parameters()]
    assert [(row["name"], row["shape"]) for row in rows] == expected and list(tensors) == [key for key, _ in expected]
    for row in rows:
        tensor = tensors[row["name"]]
        assert isinstance(tensor, QuantizedTensor)
        assert row["step"] == tensor.step and row["bound"] == abs(tensor.symbols).max()
        assert 0 <= row["bits_per_weight"] <= 24
    bits = sum(row["bits_per_weight"] * math.prod(row["shape"]) for row in rows)
    assert bits - 1 <= 8 * bitstream.anatomy(data)["networks"] <= bits + 64
    # the picture is what the described weights give, and nothing else
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            parameter.copy_(tensors[key].values())
    assert torch.equal(network.render(), codecs.decode(data))


def test_a_file_with_everything() -> None:
    rows = codecs.COIN.describe(mixed_file())
    assert {row["law"] for row in rows} == {"Laplace", "Gaussian", "ExpGolomb", "Histogram", None}
    assert codecs.decode(mixed_file()).shape == (3, 50, 75)
    steps = codecs.COIN.tensors(mixed_file())[rows[0]["name"]].step
    assert steps.shape == (rows[0]["shape"][0],) and rows[0]["step"] == steps.max()


def test_float16_files() -> None:
    data = float16_file()
    config = codecs.COIN.config_of(data)
    assert bitstream.anatomy(data)["networks"] == 2 * config.weights
    for row in codecs.COIN.describe(data):
        assert (row["step"], row["bound"], row["bits_per_weight"]) == (None, None, 16.0)
    assert codecs.decode(data).shape == (3, 50, 75)


def test_a_file_of_another_codec() -> None:
    with pytest.raises(BitstreamError, match="belongs to codec number 1, not to siren"):
        codecs.get("siren").decode(encoded("coin"))
    with pytest.raises(BitstreamError, match="belongs to codec number 4, not to coin"):
        codecs.get("coin").decode(encoded("nif"))
    container = bitstream.read(encoded("coin"))
    foreign = bitstream.write(replace(container, codec=200))
    with pytest.raises(BitstreamError, match="codec number 200, which this version doesn't have"):
        codecs.decode(foreign)


# ------------------------------------------------------------------------------------------ plans


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bpp", [1.0, 2.0, 6.0])
def test_a_plan_says_what_will_be_made(name: str, bpp: float) -> None:
    plan = codecs.get(name).plan(large(100, 150), bpp=bpp, budget="quick")
    assert (plan.codec, plan.height, plan.width) == (name, 100, 150)
    assert plan.expected_bytes <= bpp * 15_000 / 8 and plan.bpp == 8 * plan.expected_bytes / 15_000
    assert 0.7 * bpp < plan.bpp <= bpp
    assert sum(phase.iterations for phase in plan.recipe) <= codecs.BUDGETS["quick"].iterations


def test_a_higher_rate_buys_a_larger_network() -> None:
    for name in NETWORKS:
        plans = [codecs.get(name).plan(large(200, 300), bpp=bpp, budget="quick") for bpp in (0.5, 1, 2, 4)]
        weights = [plan.config.weights for plan in plans]
        assert weights == sorted(set(weights))


@pytest.mark.parametrize("budget", codecs.BUDGETS)
def test_by_default_one_bit_a_pixel_or_what_the_budget_can_do(budget: str) -> None:
    small, phone = (codecs.get("siren").plan(large(*size), budget=budget) for size in ((100, 150), (3000, 4000)))
    assert small.bpp <= 1.0 and small.target_bytes == min(1875, codecs.BUDGETS[budget].default_bytes)
    assert phone.target_bytes == codecs.BUDGETS[budget].default_bytes


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (50, 75), (3000, 4000), (1, 100_000), (1 << 14, 1 << 13)])
@pytest.mark.parametrize("budget", codecs.BUDGETS)
def test_what_is_planned_by_default_can_be_decoded(
    name: str, size: tuple[int, int], budget: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "picture_problem", lambda _: None)  # it would look at every pixel
    plan = codecs.get(name).plan(large(*size), budget=budget)
    assert plan.config.weights <= codecs.MAX_WEIGHTS
    assert plan.config.weights * size[0] * size[1] <= codecs.MAX_OPERATIONS
    assert codecs.get(name).config_of(untrained(name, plan.config, *size)) == plan.config


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        ("siren", (50, 75), {"bpp": 0.01}, "0.01 bpp is 4 bytes .* the smallest siren network takes about"),
        ("coin", (50, 75), {"bpp": 1e9}, "1e.09 bpp .* more than the largest coin network"),
        ("siren", (50, 75), {"bpp": 1e305}, "more than the largest siren network"),
        ("nif", (50, 75), {"bpp": 0.01}, "0.01 bpp is 4 bytes .* the smallest nif network takes about"),
        ("nif", (50, 75), {"bpp": 1e9}, "more than the largest nif network"),
        ("siren", (50, 75), {"bpp": 0.0}, "positive number"),
        ("siren", (50, 75), {"bpp": -1.0}, "positive number"),
        ("siren", (50, 75), {"bpp": math.nan}, "positive number"),
        ("siren", (50, 75), {"bpp": math.inf}, "positive number"),
        ("siren", (50, 75), {"method": "slow"}, "siren has no method 'slow'; there are fast, published"),
        ("siren", (50, 75), {"budget": "week"}, "no budget 'week'; there are quick, laptop, gpu"),
        # what could be fitted but not be decoded again is refused before the fit
        ("coin", (3000, 4000), {"bpp": 1.0}, "weights, and 1,048,576 are the most"),
    ],
)
def test_what_plan_refuses(name: str, size: tuple[int, int], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        codecs.get(name).plan(large(*size), **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["siren", "coolchic-small"])
def test_a_loss_of_ones_own_is_looked_at_before_the_fit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.LOSSES, "mine", lambda picture, reference: (picture - reference).mean().log())
    with pytest.raises(CodecError, match=r"the loss 'mine' is (nan|-inf) for this picture beside a grey one"):
        codecs.get(name).plan(torch.full((3, 20, 30), 0.7), loss="mine")
    with pytest.raises(CodecError, match=r"by its name; a function gets one by tutorial_lib.losses.LOSSES\['mine'\]"):
        codecs.get(name).plan(picture(), loss=losses.LOSSES["mine"])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], and one is 255: divide 8-bit values by 255"):
        codecs.get(name).plan(torch.full((3, 20, 30), 255.0))


def test_plan_refuses_what_would_take_too_long_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutorial_lib.codecs.networks.MAX_OPERATIONS", 10**6)
    for codec in (codecs.SIREN, codecs.NIF):
        with pytest.raises(CodecError, match="together more than this program decodes"):
            codec.plan(picture(), bpp=2.0, budget="quick")


@pytest.mark.parametrize(
    "bad",
    [torch.zeros(4, 5, 3), torch.zeros(3, 0, 5), torch.full((3, 4, 4), math.nan), torch.zeros(3, 4, 4).int()],
)
def test_what_is_no_picture(bad: Tensor) -> None:
    with pytest.raises(ValueError):
        codecs.get("siren").encode(bad, budget="quick", progress=False)


@pytest.mark.parametrize("name", LEARNED)
def test_a_fit_of_so_many_iterations(name: str) -> None:
    for iterations in (12, 1000):
        plan = codecs.LEARNED[name].plan(picture(), bpp=6.0, budget="quick", iterations=iterations)
        if name == "amortised":
            assert plan.recipe.iterations == iterations
            continue
        recipe = plan.recipe if name in NETWORKS else plan.recipe.phases
        assert sum(phase.iterations for phase in recipe) == iterations
    with pytest.raises(CodecError, match="12"):
        codecs.LEARNED[name].plan(picture(), bpp=6.0, iterations=11)


def test_published_recipes_of_networks_have_their_own_iterations() -> None:
    with pytest.raises(CodecError, match="published"):
        codecs.NIF.plan(picture(), method="published", iterations=100)


def test_an_estimate_of_seconds() -> None:
    codec = codecs.get("siren")
    plan = codec.plan(picture(), bpp=2.0, budget="quick")
    assert 0 < codec.estimate_seconds(plan, picture(), "cpu") < 600


# ------------------------------------------------------------------------------------------ as published


def test_published_coin() -> None:
    plan = codecs.COIN.plan(large(512, 768), method="published")
    assert (plan.config.width, plan.config.sine_layers, plan.config.frequencies) == (28, 10, 0)
    assert (plan.config.domain, plan.config.omega_0, plan.config.narrow_biases) == ("aspect", 30.0, True)
    (phase,) = plan.recipe
    assert (phase.iterations, phase.optimizer, phase.learning_rate) == (50_000, "adam", 2e-4)
    assert phase.schedule == Constant() and phase.points is None and phase.quantization is None
    assert plan.storage == "float16" and plan.target_bytes is None
    assert plan.bpp == pytest.approx(0.307, abs=0.004)  # the paper's, without a header


@pytest.mark.parametrize(
    ("bpp", "width", "layers"),
    [(0.077, 20, 5), (0.163, 30, 5), (0.310, 28, 10), (0.6145, 40, 10), (1.2125, 49, 13)],
)
def test_published_coin_at_its_rates(bpp: float, width: int, layers: int) -> None:
    config = codecs.COIN.plan(large(512, 768), method="published", bpp=bpp).config
    assert (config.width, config.sine_layers) == (width, layers)


def test_published_tutorial() -> None:
    plan = codecs.SIREN.plan(large(128, 192), method="published")
    assert plan.config.weights == 41_987 and plan.config.inputs == 66 and plan.storage == "8 bits"
    first, second = plan.recipe
    for phase in (first, second):
        assert (phase.optimizer, phase.learning_rate, phase.points) == ("adam", 1e-3, None)
        assert phase.schedule == Cosine(half_period=50, floor=0.1) and phase.restart
    assert (first.iterations, first.quantization) == (100, None)
    assert (second.iterations, second.quantization) == (20, "round")


def test_published_struempler() -> None:
    plan = codecs.STRUEMPLER.plan(large(512, 768), method="published")
    assert (plan.config.width, plan.config.sine_layers, plan.config.inputs) == (64, 4, 66)
    assert (plan.config.domain, plan.config.colours) == ("canvas", "symmetric") and plan.storage == "8 bits"
    first, second = plan.recipe
    assert (first.iterations, first.optimizer, first.learning_rate) == (25_000, "adam", 5e-4)
    assert (second.iterations, second.learning_rate, second.quantization) == (300, 1e-6, "round")
    assert first.weight_penalty == second.weight_penalty == 1e-5
    assert second.settle and plan.rounding == AdaRound(iterations=1000)


@pytest.mark.parametrize("name", NETWORKS)
def test_published_methods_make_files(name: str) -> None:
    codec = codecs.LEARNED[name]
    plan = codec.plan(picture(), method="published")
    brief = replace(plan, recipe=tuple(replace(phase, iterations=2) for phase in plan.recipe))
    brief = replace(brief, rounding=plan.rounding and AdaRound(iterations=4))
    data = codec.execute(brief, picture(), progress=False).data
    assert codecs.decode(data).shape == picture().shape and codec.config_of(data) == plan.config
    if plan.storage == "float16":
        assert 2 * plan.config.weights < len(data) <= plan.expected_bytes
    else:
        assert len(data) < 1.1 * plan.config.weights + 100


# ------------------------------------------------------------------------------------------ from an initialization


def test_a_meta_file_holds_the_difference() -> None:
    data = meta_file()
    config = codecs.STRUEMPLER.config_of(data)
    assert config == differences.load(1).config and config.initialization == 1
    origin = differences.load(1)
    network = codecs.STRUEMPLER.build(SirenConfig(**{f.name: getattr(config, f.name) for f in fields(SirenConfig)}), 50, 75)
    with torch.no_grad():
        stored = codecs.STRUEMPLER.tensors(data).values()
        for parameter, start, difference in zip(network.parameters(), origin.tensors(network), stored, strict=True):
            parameter.copy_(start + difference.values())
    torch.testing.assert_close(network.render(), codecs.decode(data), atol=1e-5, rtol=0)
    assert metrics.psnr(codecs.decode(data), picture()) > 25
    reference = bitstream.read(data).sections["configuration"][3:]
    assert reference == b"\x01" + origin.checksum.to_bytes(4, "little")


def test_meta_learning_helps_where_steps_are_few() -> None:
    """Against the usual initialization, with its own best learning rate, after 100 steps of Adam."""

    def psnr_after(config: SirenConfig, rate: float) -> float:
        network = codecs.STRUEMPLER.build(config, 50, 75)
        training.fit(network, picture(), (Phase("fit", 100, "adam", rate, Cosine()),), progress=False)
        return metrics.psnr(network.render(), picture())

    config = differences.load(1).config
    plain = SirenConfig(**{f.name: getattr(config, f.name) for f in fields(SirenConfig)})
    usual = max(psnr_after(plain, rate) for rate in (5e-4, 1e-3, 2e-3, 4e-3))
    assert psnr_after(config, 2e-3) > usual + 1


def test_a_missing_initialization(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = meta_file()
    monkeypatch.setattr(differences, "FOLDER", tmp_path)
    differences.load.cache_clear()
    try:
        for read in (codecs.decode, codecs.STRUEMPLER.config_of, codecs.STRUEMPLER.describe):
            with pytest.raises(BitstreamError, match="starts from initialization 1, which this installation doesn't have"):
                read(data)
        (tmp_path / "struempler-1.f16").write_bytes(b"abc")
        (tmp_path / "struempler-1.toml").write_text("[network]\nwidth = 32\nsine_layers = 4\nfrequencies = 12\n")
        with pytest.raises(BitstreamError, match="struempler-1.f16 is damaged"):
            codecs.decode(data)
    finally:
        differences.load.cache_clear()


def test_another_initialization() -> None:
    data = meta_file()
    body = bitstream.read(data).sections["configuration"]
    container = bitstream.read(data)

    def refused(configuration: bytes, message: str) -> None:
        other = bitstream.write(replace(container, sections=container.sections | {"configuration": configuration}))
        with pytest.raises(BitstreamError, match=message):
            codecs.decode(other)

    refused(body[:3] + b"\x02" + body[4:], "starts from initialization 2, which")
    refused(body[:4] + bytes(4), "an initialization 1 with checksum 00000000, the one here has")
    refused(bytes([body[0] + 1]) + body[1:], "1 is for a network of 4 layers of 32 .* not for a network of 4 layers of 33")
    refused(body + b"\0", "left over")
    refused(body[:-1], "ends early")
    siren = bitstream.read(encoded("siren"))
    with pytest.raises(BitstreamError, match="left over"):
        own = siren.sections["configuration"] + body[3:]
        codecs.decode(bitstream.write(replace(siren, sections=siren.sections | {"configuration": own})))


def test_the_method_meta_has_one_network() -> None:
    plan = codecs.STRUEMPLER.plan(large(100, 150), method="meta", bpp=3.0, budget="quick")
    assert plan.config == differences.load(1).config and plan.storage == "7 bits" and plan.recipe[-1].settle
    with pytest.raises(CodecError, match="0.5 bpp is 937 bytes for this picture; .* takes about"):
        codecs.STRUEMPLER.plan(large(100, 150), method="meta", bpp=0.5, budget="quick")
    with pytest.raises(CodecError, match="the method meta encodes with a network of 4 layers of 32 .* alone"):
        codecs.STRUEMPLER.plan(large(100, 150), method="meta", config=SirenConfig(20), budget="quick")


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.parametrize(
    ("width", "layers", "frequencies", "message"),
    [
        (0, 3, 16, "impossible"),
        (8, 0, 16, "impossible"),
        (8, codecs.MAX_LAYERS + 1, 16, "impossible"),
        (8, 10**9, 16, "impossible"),
        (1, 200_000, 0, "impossible"),
        (8, 3, codecs.MAX_FREQUENCIES + 1, "impossible"),
        (8, 3, 10**9, "impossible"),
        (10**9, 3, 16, "1,048,576 are the most"),
        (1000, 3, 16, "1,048,576 are the most"),
    ],
)
def test_networks_that_are_too_large(width: int, layers: int, frequencies: int, message: str) -> None:
    sections = {
        "configuration": varint(width) + varint(layers) + varint(frequencies),
        "quantizer": b"",
        "networks": b"",
    }
    data = bitstream.write(Container(codecs.SIREN.number, 50, 75, sections))
    for read in (codecs.decode, codecs.SIREN.config_of, codecs.SIREN.describe):
        with pytest.raises(BitstreamError, match=message):
            read(data)


def test_sines_count_where_there_are_hardly_any_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = NifConfig((1,) * 64, (1,) * 64, 64, 64)
    assert narrow.sines == 640 and narrow.weights < 800
    monkeypatch.setattr("tutorial_lib.codecs.networks.MAX_OPERATIONS", 20 * narrow.weights * 100)
    assert codecs.NIF.family.problem(NifConfig((10,), (10,)), 10, 10) is None
    assert "together more" in str(codecs.NIF.family.problem(narrow, 10, 10))


def test_network_and_picture_together() -> None:
    config = SirenConfig(width=511)
    side = math.isqrt(codecs.MAX_OPERATIONS // (config.weights + SINE_OPERATIONS * config.sines))
    assert codecs.SIREN.config_of(untrained("siren", config, side, side)) == config
    with pytest.raises(BitstreamError, match="together more than this program decodes"):
        codecs.SIREN.config_of(untrained("siren", config, side + 1, side + 1))


def test_sections_missing_or_too_many() -> None:
    container = bitstream.read(encoded("siren"))
    for name in container.sections:
        fewer = {key: body for key, body in container.sections.items() if key != name}
        with pytest.raises(BitstreamError, match=f"no section '{name}'"):
            codecs.decode(bitstream.write(replace(container, sections=fewer)))
    with pytest.raises(BitstreamError, match="'latents', or has one too many"):
        codecs.decode(bitstream.write(replace(container, sections=container.sections | {"latents": b"abc"})))


@pytest.mark.slow
def test_decoding_a_photograph_takes_no_age() -> None:
    data = untrained("siren", SirenConfig(width=128), 512, 768)
    started = time.monotonic()
    assert codecs.decode(data, device="cpu").shape == (3, 512, 768)
    assert time.monotonic() - started < 60


def test_deep_and_wide_networks_learn_at_lower_rates() -> None:
    """Ten layers at the rate of five fell from 25 to 15 dB as the rate rose, with every seed."""

    def rate(layers: int, width: int) -> float:
        config = replace(codecs.COIN.family.template, sine_layers=layers, width=width)
        return codecs.COIN.plan(picture(), config=config, budget="quick").recipe[0].learning_rate

    assert rate(10, 29) <= rate(5, 29) / 2
    assert rate(5, 40) < rate(5, 20)


@pytest.mark.parametrize("name", codecs.LEARNED)
def test_every_codec_fits_a_picture_at_a_part_of_its_size(name: str) -> None:
    """The file's rate and size are the picture's own, its representation has a third of the sides."""
    codec, shown = codecs.LEARNED[name], picture()
    plan = codec.plan(shown, budget="quick", iterations=12, reduction=3)
    assert (plan.height, plan.width, plan.fitted.height, plan.fitted.width) == (*shown.shape[1:], 17, 25)
    data = codec.execute(plan, shown, progress=False).data
    opened = codec.open(data)
    assert (opened.height, opened.width) == (17, 25) and codec.decode(data).shape == shown.shape
    assert data[3] == 2 and bitstream.read(data).height == 50
    for wrong in (0, 65):
        with pytest.raises(CodecError, match=f"not at 1/{wrong}"):
            codec.plan(shown, reduction=wrong)


def test_lambda_counts_the_pixels_that_are_shown() -> None:
    shown, codec = torch.rand((3, 96, 144), generator=torch.Generator().manual_seed(0)), codecs.COOLCHIC_LARGE
    for reduction in (1, 2, 4):
        plan = codec.plan(shown, lmbda=2e-3, budget="quick", reduction=reduction)
        assert plan.lmbda == pytest.approx(2e-3 / reduction**2)
    assert codec.plan(shown, budget="quick", reduction=2).lmbda == pytest.approx(2.5e-4)
    assert codec.plan(shown, budget="quick").lmbda is None
    l1 = codec.plan(shown, budget="quick", reduction=2, loss="l1").lmbda
    assert l1 is not None and mse_lambda("l1", images.reduce(shown, factor=2), l1) == pytest.approx(2.5e-4, rel=0.1)
    assert codec.plan(shown, bpp=2.0, budget="quick", reduction=2).lmbda is None


def test_steps_follow_what_a_step_sees() -> None:
    """A step of our recipe sees a band of a large picture, one of a published recipe all of it; patience lasts for 150 passes."""
    large, codec = torch.rand(3, 1, 1).expand(3, 600, 800), codecs.COOLCHIC_V2
    ours, published = (codec.plan(large, budget="laptop", method=method).recipe.iterations for method in ("fast", "published"))
    assert 0.2 < ours / count_of(600, 800) / published < 0.4  # passes: a share of the budget, and more overhead
    assert codec.plan(large, budget="quick", patient=True).recipe.iterations == 150 * count_of(600, 800)
    assert codec.plan(large, budget="quick").recipe.iterations < 150 < ours
    assert codec.plan(large, budget="laptop", patient=True).recipe.iterations == ours


def test_a_large_picture_is_fitted_at_a_part_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "picture_problem", lambda _: None)  # it would look at every pixel
    phone = torch.rand(3, 1, 1).expand(3, 3000, 4000)
    plan = codecs.COOLCHIC_LARGE.plan(phone, budget="laptop", reduction=None)
    assert plan.reduction == 3 and plan.recipe.iterations > 150 * count_of(1000, 1334)
    assert codecs.COOLCHIC_LARGE.plan(phone[:, :500, :700], budget="laptop", reduction=None).reduction == 1
    assert codecs.SIREN.plan(phone, budget="laptop", reduction=None).reduction == 1
