"""Fitting latent grids: stand-ins for rounding, recipes, the target rate, interruption, bands, quantized networks, files."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tutorial_lib.codecs import COOLCHIC_SMALL, COOLCHIC_V1, COOLCHIC_V2, Codec, coolchic
from tutorial_lib.codecs.plans import CodecError
from tutorial_lib.codecs.recipes import modern, published_v1, published_v2
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.images import open_picture, reduce
from tutorial_lib.latents import rounding
from tutorial_lib.latents.frozen import FrozenLatents
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.kernels import laplace_bits
from tutorial_lib.latents.packing import encode_networks, gather, groups_of, scatter, to_group_symbols
from tutorial_lib.latents.shape import GAIN, SMALL, V1, V2, GridsConfig
from tutorial_lib.latents.starts import NAMES, start_from_networks, start_from_pyramid
from tutorial_lib.metrics import bits_per_pixel, psnr
from tutorial_lib.training import GridPhase, GridRecipe, Progress, Report, grids
from tutorial_lib.training.grids import fit
from tutorial_lib.training.stand_ins import noisy_soft_round, soft_round, soft_round_plain
from tutorial_lib.training.tradeoff import RateTarget, lambda_for, mse_lambda, worth_of_mse


@pytest.fixture(autouse=True)
def quick_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the slow rounding by curvature; the tests that are about it call it."""
    plain = rounding.quantize_networks
    monkeypatch.setattr(coolchic, "quantize_networks", lambda frozen, by_curvature: plain(frozen, by_curvature=False))


def new(config: GridsConfig, picture: Tensor) -> LatentGrids:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LatentGrids(config, *picture.shape[1:])


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Tensor:
    """A real photograph of 24×36 pixels."""
    coffee = request.getfixturevalue("coffee")
    return coffee[:, 10:34, 20:56].contiguous()


def encoding_of(
    codec: Codec, picture: Tensor, recipe: GridRecipe, callback: object = None, **wishes: float
) -> tuple[bytes, Report]:
    plan = replace(codec.plan(picture, **wishes), recipe=recipe)
    encoding = codec.execute(plan, picture, progress=False, device="cpu", callback=callback)
    return encoding.data, encoding.report


# ------------------------------------------------------------------------------------------ stand-ins


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
def test_soft_round(temperature: float) -> None:
    values = torch.linspace(-2.9, 2.9, 59, dtype=torch.float64, requires_grad=True)
    soft = soft_round(values, temperature)
    fixed = torch.tensor([-2.0, -0.5, 0.0, 1.0, 1.5], dtype=torch.float64)
    torch.testing.assert_close(soft_round(fixed, temperature), fixed)
    assert bool((soft.diff() > -1e-12).all())
    between = (values.detach() - values.detach().round()).abs() < 0.45
    closer = (soft - values.round()).abs() <= (values - values.round()).abs() + 1e-9
    assert bool(closer[between].all())
    assert torch.autograd.gradcheck(lambda v: soft_round(v, temperature), values)
    plain = soft_round_plain(values, temperature)
    torch.testing.assert_close(soft, plain)
    (fast,), (slow,) = (torch.autograd.grad(each.square().sum(), values) for each in (soft, plain))
    torch.testing.assert_close(fast, slow)


def test_soft_round_has_both_limits() -> None:
    values = torch.tensor([-1.3, 0.2, 0.8, 3.4])
    torch.testing.assert_close(soft_round(values, 0.01), values.round())
    torch.testing.assert_close(soft_round(values, 30.0), values, atol=1e-3, rtol=0)
    generator = torch.Generator().manual_seed(0)
    noisy = noisy_soft_round(values.repeat(1000), 0.08, 0.15, generator)
    assert float((noisy - values.round().repeat(1000)).abs().mean()) < 0.2


# ------------------------------------------------------------------------------------------ recipes


def test_iterations_add_up() -> None:
    assert modern(1000).iterations == 1000 and modern(2).iterations == 2
    assert published_v2(6300).iterations == 9100  # the preset `faster`, warm-ups included
    assert published_v1(1000).iterations == 2000
    assert published_v2(6300).candidates == (5, 4, 3, 2)


def brief(recipe: GridRecipe, iterations: int) -> GridRecipe:
    """The recipe with every phase and warm-up cut to ``iterations``."""
    phases = tuple(replace(phase, iterations=min(phase.iterations, iterations)) for phase in recipe.phases)
    warm_up = replace(recipe.warm_up, iterations=iterations) if recipe.warm_up else None
    return replace(recipe, phases=phases, warm_up=warm_up)


@pytest.mark.parametrize(
    ("codec", "recipe"),
    [
        (COOLCHIC_V1, published_v1(200)),
        (COOLCHIC_V2, brief(published_v2(200), 12)),
        (COOLCHIC_V1, modern(120)),
        (COOLCHIC_V2, modern(120)),
        (COOLCHIC_SMALL, modern(250)),
        (COOLCHIC_SMALL, replace(brief(modern(60), 40), candidates=(3, 2), warm_up=GridPhase("warm-up", 10))),
    ],
)
def test_a_fit_gets_better_and_its_file_says_the_same(codec: Codec, recipe: GridRecipe, small: Tensor) -> None:
    if recipe.warm_up:
        recipe = replace(recipe, warm_up=replace(recipe.warm_up, iterations=10))
    flat = psnr(small.mean((1, 2), keepdim=True).expand_as(small).contiguous(), small)
    seen: list[float] = []
    data, report = encoding_of(codec, small, recipe, callback=lambda p: seen.append(p.psnr))
    assert report.best_psnr > flat + 2 and len(seen) == len(report.history) >= len(recipe.phases)
    assert not report.interrupted and report.lmbda == 1e-3
    assert psnr(codec.decode(data, device="cpu"), small) == pytest.approx(report.best_psnr, abs=0.1)
    assert codec.pack(codec.open(data), report.steps) == data


def test_a_fit_leaves_integers_and_no_gradients(small: Tensor) -> None:
    representation = new(V1, small)
    fit(representation, small, modern(40), progress=False)
    integers = representation.latents.detach() * GAIN
    assert torch.equal(integers, integers.round()) and bool(integers.any())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in representation.parameters())


def test_the_estimated_rate_is_that_of_the_bytes(coffee: Tensor) -> None:
    data, report = encoding_of(COOLCHIC_SMALL, coffee, modern(150), lmbda=3e-4)
    estimated = report.bpp * coffee[0].numel() / 8
    assert estimated > 700
    assert bitstream.anatomy(data)["latents"] == pytest.approx(estimated, rel=0.01, abs=12)


def test_a_larger_lambda_is_a_smaller_file(small: Tensor) -> None:
    rates = []
    for lmbda in (1e-4, 1e-3, 1e-2):
        rates.append(fit(new(SMALL, small), small, modern(100), lmbda=lmbda, progress=False).bpp)
    assert rates[0] > 1.3 * rates[1] > 1.3 * 1.3 * rates[2]


def test_the_target_rate_is_met(chelsea: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # steering counts on networks that are rounded by curvature
    picture = chelsea[:, :80, :96].contiguous()
    for bpp in (1.2, 3.0, 6.0):
        data = COOLCHIC_SMALL.execute(
            replace(COOLCHIC_SMALL.plan(picture, bpp=bpp), recipe=modern(200)), picture, progress=False, device="cpu"
        ).data
        assert bits_per_pixel(data, picture) == pytest.approx(bpp, rel=0.05)


@pytest.mark.slow
def test_what_the_rate_costs() -> None:
    """A steered fit trades as well as one at the λ it ends with: corrections must not take the picture apart."""
    picture = reduce(open_picture("chelsea"), size=(160, 240))
    steered = COOLCHIC_SMALL.execute(COOLCHIC_SMALL.plan(picture, bpp=0.6, iterations=400), picture, progress=False, device="cpu")
    lmbda = steered.report.lmbda
    kept = COOLCHIC_SMALL.encode(picture, lmbda=lmbda, iterations=400, progress=False, device="cpu")
    costs = [
        10 ** (-psnr(COOLCHIC_SMALL.decode(data, device="cpu"), picture) / 10) + lmbda * bits_per_pixel(data, picture)
        for data in (steered.data, kept)
    ]
    assert costs[0] < 1.08 * costs[1]


def test_a_rate_that_latents_have_no_use_for_is_refused_before_the_fit(chelsea: Tensor) -> None:
    with pytest.raises(CodecError, match=r"20 bpp is more than coolchic-small can use .* beyond about \d"):
        COOLCHIC_SMALL.plan(chelsea[:, :80, :96].contiguous(), bpp=20.0)


def test_the_expected_rate_knows_lambda_iterations_and_picture(chelsea: Tensor) -> None:
    picture, flat = chelsea[:, :80, :96].contiguous(), torch.full((3, 80, 96), 0.5)
    expected = [COOLCHIC_SMALL.plan(picture, lmbda=lmbda, iterations=200).expected_bytes for lmbda in (1e-2, 1e-3, 1e-4)]
    assert expected == sorted(expected)
    long, short = (COOLCHIC_SMALL.plan(picture, iterations=iterations).expected_bytes for iterations in (1500, 100))
    assert COOLCHIC_SMALL.plan(flat).expected_bytes < long < short
    data, _ = encoding_of(COOLCHIC_SMALL, picture, modern(100))
    assert len(data) == pytest.approx(short, rel=0.5)


def test_lambda_falls_with_the_rate(chelsea: Tensor) -> None:
    representation = new(SMALL, chelsea)
    lambdas = [lambda_for(representation, chelsea, bpp) for bpp in (0.2, 0.5, 1.0, 2.0)]
    assert all(later < earlier / 1.5 for earlier, later in zip(lambdas, lambdas[1:], strict=False))


# ------------------------------------------------------------------------------------------ how it ends


def test_interruption_keeps_the_best_state(small: Tensor) -> None:
    def stop(progress: Progress) -> None:
        if progress.iteration >= 200:
            raise KeyboardInterrupt

    data, report = encoding_of(COOLCHIC_SMALL, small, modern(5000), callback=stop)
    assert report.interrupted and len(report.history) == 2
    assert psnr(COOLCHIC_SMALL.decode(data, device="cpu"), small) == pytest.approx(report.best_psnr, abs=0.1)
    assert report.best_psnr > max(moment.psnr for moment in report.history) - 2


def test_interruption_before_anything(small: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grids.GridFit, "step", stop)
    data, report = encoding_of(COOLCHIC_SMALL, small, modern(100))
    assert report.interrupted and COOLCHIC_SMALL.decode(data, device="cpu").shape == small.shape


def test_a_diverging_fit_recovers(small: Tensor) -> None:
    wild = GridPhase("wild", 300, optimizer="adam", network_rate=30.0, network_schedule=lambda i, n: float(100 < i < 250))
    report = fit(new(SMALL, small), small, GridRecipe((wild,)), progress=False)
    assert report.recoveries >= 1 and report.best_psnr > 15


def test_plateaus_halve_the_rate_and_end_the_phase(small: Tensor) -> None:
    rates = {"network_rate": 1e-30, "latent_rate": 1e-30, "lowest": 4e-31}
    phase = GridPhase("short", 100_000, "noise", optimizer="adam", patience=1, **rates)
    report = fit(new(SMALL, small), small, GridRecipe((phase,)), progress=False)
    assert report.history[-1][0] < 3000


def test_bands_train_as_the_whole(small: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large pictures are worked on in bands; cut into bands, a small one gets the same fit."""
    fits = []
    for pixels in (1 << 19, 36 * 5):
        for name in ("bands", "rows"):
            monkeypatch.setattr(getattr(LatentGrids, name), "__defaults__", (pixels,))
        representation = new(V2, small)
        phase = GridPhase("short", 8, latent_rate=1e-3, network_rate=1e-3, optimizer="adam")
        report = fit(representation, small, GridRecipe((phase,)), progress=False)
        fits.append((report.history[-1][2:], len(representation.bands())))
    assert fits[0][1] == 1 and fits[1][1] >= 4
    assert fits[0][0] == pytest.approx(fits[1][0], rel=1e-3)


def test_quantized_networks_are_worth_their_bits(coffee: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding by curvature lowers J; so does choosing the steps, against finer or coarser ones for all."""
    representation = new(SMALL, coffee)
    fit(representation, coffee, modern(150), progress=False)
    exact = {name: parameter.detach().clone() for name, parameter in representation.networks().items()}
    with torch.no_grad():
        for parameter in exact.values():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)), alpha=1e-3)

    def cost(exponents: list[int] | None, by_curvature: bool) -> float:
        with torch.no_grad():
            for name, parameter in representation.networks().items():
                parameter.copy_(exact[name])
        trial = FrozenLatents(representation, coffee, 1e-3, "mse")
        if exponents is None:
            exponents = rounding.quantize_networks(trial, by_curvature=by_curvature)
        else:
            for group, exponent in zip(groups_of(representation), exponents, strict=True):
                symbols = torch.from_numpy(to_group_symbols(gather(representation, group), exponent, group))
                scatter(representation, group, symbols.float() * 2.0**-exponent)
        networks = 8 * len(encode_networks(representation, exponents))
        fresh = FrozenLatents(representation, coffee, 1e-3, "mse")
        return fresh.distortion() + 1e-3 * (fresh.bits() + networks) / fresh.pixels

    groups = len(groups_of(representation))
    chosen = cost(None, False)
    assert chosen < min(cost([exponent] * groups, False) for exponent in (2, 4, 6, 8, 10, 12))
    assert cost(None, True) < chosen
    monkeypatch.setattr(rounding, "CURVATURE_OPERATIONS", 1)
    monkeypatch.setattr(rounding, "CURVATURE_SAMPLE", (coffee[0].numel() // 2, coffee[0].numel() // 2))
    assert cost(None, True) < chosen  # H of two strips
    monkeypatch.setattr(rounding._Network, "_hessian", lambda network: np.eye(network.exact.numel()) * 1e-9)
    assert cost(None, True) == chosen  # where the quadratic is wrong, the best steps stay


def test_the_context_models_curvature_is_made_of_single_latents_gradients(small: Tensor) -> None:
    representation = new(SMALL, small[:, :24, :16])
    start_from_networks(representation, small[:, :24, :16], 0.03)
    frozen = FrozenLatents(representation, small[:, :24, :16], 1e-3, "mse")
    groups = [group for group in groups_of(representation) if group.name.startswith("context")]
    found = rounding._Network(frozen, groups)._information()
    parameters = [layer.get_parameter("matrix") for layer in representation.context.layers]
    expected = np.zeros(found.shape)
    for index in range(frozen.values.numel()):
        law = representation.context(frozen.contexts[:, index : index + 1])
        bits = laplace_bits(frozen.values[index : index + 1], *law).sum()
        slopes = torch.autograd.grad(bits, parameters)
        flat = torch.cat([*(slope[:, :-1].flatten() for slope in slopes), *(slope[:, -1] for slope in slopes)]).double().numpy()
        expected += np.outer(flat, flat)
    scale = 1e-3 / frozen.pixels * math.log(2)
    np.testing.assert_allclose(found, expected * scale, rtol=1e-3, atol=1e-5 * abs(found).max())


@pytest.mark.parametrize("config", NAMES, ids=NAMES.values())
def test_networks_of_other_pictures_are_a_start(config: GridsConfig, small: Tensor) -> None:
    """A short fit from them ends lower than one from the pyramid alone, whatever the first step is."""
    for lmbda in (1e-3, 1e-2):
        costs = {}
        for start in ("networks", "pyramid"):
            report = fit(new(config, small), small, replace(modern(60), start=start), lmbda=lmbda, progress=False)
            costs[start] = 10 ** (-report.best_psnr / 10) + lmbda * report.bpp
        assert costs["networks"] < 0.97 * costs["pyramid"]


def test_other_shapes_start_from_the_pyramid_alone(small: Tensor) -> None:
    config = replace(SMALL, grids=3)
    plain, shipped = new(config, small), new(config, small)
    start_from_pyramid(plain, small, 0.03)
    start_from_networks(shipped, small, 0.03)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, shipped.state_dict()[name])


def test_rounding_one_weight_moves_the_others() -> None:
    """With a diagonal H it is rounding to the nearest; with a full one the quadratic ends lower than there."""
    generator = np.random.default_rng(0)
    ideal, steps = generator.normal(0, 3, 40), generator.choice([0.5, 1.0], 40)
    nearest = np.round(ideal / steps)
    assert (rounding.surgery(ideal, np.diag(generator.uniform(1, 2, 40)), steps) == nearest).all()
    features = generator.normal(size=(60, 40)) + 2 * generator.normal(size=(60, 1))
    hessian = features.T @ features
    symbols = rounding.surgery(ideal, np.linalg.inv(hessian), steps)

    def rise(symbols: np.ndarray) -> float:
        away = symbols * steps - ideal
        return away @ hessian @ away

    assert rise(symbols) < 0.8 * rise(nearest)


def test_without_steering_lambda_stays(small: Tensor) -> None:
    recipe = GridRecipe((replace(modern(120).phases[0], iterations=60),))
    kept = [fit(new(SMALL, small), small, recipe, target=RateTarget(bpp, 400), steer=False, progress=False) for bpp in (5.0, 8.0)]
    steered = fit(new(SMALL, small), small, recipe, target=RateTarget(5.0, 400), progress=False)
    assert [report.history[-1][0] for report in kept] == [60, 60]
    assert kept[1].lmbda < kept[0].lmbda != steered.lmbda
    assert kept[1].bpp > kept[0].bpp


def test_of_a_large_picture_the_middle_is_looked_at() -> None:
    middle = torch.rand((3, 256, 256), generator=torch.Generator().manual_seed(0))
    wide = torch.zeros((3, 300, 400))
    wide[:, 22:278, 72:328] = middle
    assert worth_of_mse("l1", wide, 1e-3) == worth_of_mse("l1", middle, 1e-3)


def test_a_sample_of_strips_tells_nearly_what_all_do(chelsea: Tensor) -> None:
    representation = new(V1, chelsea)
    start_from_pyramid(representation, chelsea, 0.05)
    whole = FrozenLatents(representation, chelsea, 1e-3, "mse")
    banded = FrozenLatents(representation, chelsea, 1e-3, "mse")
    pixels = chelsea[0].numel() // 12
    banded._hold(representation.bands(pixels), list(representation.rows(pixels)), small=False)
    sample = whole.sample(pixels * 4)
    assert len(banded.pieces) > 8 and not banded.small and sample.small and len(sample.rows) > 2
    for trial, within in ((banded, 1e-5), (sample, 0.1)):
        assert trial.bits() == pytest.approx(whole.bits(), rel=within)
        assert trial.distortion() == pytest.approx(whole.distortion(), rel=within)
    assert whole.sample(chelsea[0].numel()) is whole


@pytest.mark.parametrize("size", [(1, 20_000), (3, 9_000), (40, 700)])
def test_thin_pictures_have_samples(size: tuple[int, int]) -> None:
    picture = torch.rand((3, *size), generator=torch.Generator().manual_seed(0))
    sample = FrozenLatents(new(SMALL, picture), picture, 1e-3, "mse").sample(1 << 13)
    assert sample.small and all(0 <= top < bottom <= size[0] for top, bottom in sample.rows)
    assert math.isfinite(sample.distortion()) and math.isfinite(sample.bits())


@pytest.mark.parametrize("loss", ["l1", "log-cosh", "log-cosh+ssim", "l1+ssim"])
def test_what_mse_is_worth_in_a_loss(loss: str, small: Tensor) -> None:
    worth = worth_of_mse(loss, small, 1e-3)
    if loss == "log-cosh":
        assert worth == pytest.approx(0.5, rel=0.02)
    assert mse_lambda(loss, small, 1e-3 / 0.4 * worth) == pytest.approx(1e-3 / 0.4, rel=0.05)
    assert math.isfinite(worth_of_mse(loss, torch.full((3, 4, 5), 0.5), 1e-3))


def test_mse_first_is_the_same_fit_in_other_units(small: Tensor) -> None:
    main, tail = modern(120).phases
    wholly = GridRecipe((replace(main, mse_first=1.0),))
    lmbda = 1e-3 * worth_of_mse("l1", small, 0.4e-3)
    by_mse = fit(new(SMALL, small), small, wholly, lmbda=1e-3, progress=False)
    by_l1 = fit(new(SMALL, small), small, wholly, lmbda=lmbda, loss="l1", progress=False)
    never = fit(new(SMALL, small), small, GridRecipe((replace(main, mse_first=0.0),)), lmbda=lmbda, loss="l1", progress=False)
    assert by_l1.history[-1][2] == pytest.approx(by_mse.history[-1][2], abs=0.6)  # luck: the last digits differ
    assert by_l1.history[-1][3] == pytest.approx(by_mse.history[-1][3], rel=0.05)
    assert abs(never.history[-1][2] - by_mse.history[-1][2]) > 0.5
    assert tail.mse_first == 0


@pytest.mark.parametrize("wrong", [{"lmbda": -1.0}, {"lmbda": math.nan}, {"loss": "nonsense"}])
def test_wrong_arguments(wrong: dict[str, object], small: Tensor) -> None:
    with pytest.raises(ValueError):
        fit(new(SMALL, small), small, modern(10), progress=False, **wrong)


def test_another_loss(small: Tensor) -> None:
    _, report = encoding_of(COOLCHIC_SMALL, small, modern(100), loss="l1", lmbda=1e-2)
    assert report.best_psnr > 15


def test_seconds_are_estimated(small: Tensor) -> None:
    plan = COOLCHIC_V1.plan(small, iterations=100)
    assert 0 < COOLCHIC_V1.estimate_seconds(plan, small, "cpu") < 600


# ------------------------------------------------------------------------------------------ the codecs


def test_a_codec_from_plan_to_picture(small: Tensor) -> None:
    codec = COOLCHIC_SMALL
    plan = codec.plan(small, budget="quick", config=replace(SMALL, grids=4))
    encoding = codec.execute(replace(plan, recipe=modern(60)), small, progress=False)
    assert codec.config_of(encoding.data).grids == 4
    assert sum(bitstream.anatomy(encoding.data).values()) == len(encoding.data)
    tensors = codec.tensors(encoding.data)
    assert [tensors[f"grid {level}"].symbols.shape for level in range(4)] == [(24, 36), (12, 18), (6, 9), (3, 5)]
    rows = codec.describe(encoding.data)
    assert [row["name"] for row in rows] == list(tensors)
    bits = sum(row["bits_per_weight"] * math.prod(row["shape"]) for row in rows)
    assert bits / 8 == pytest.approx(len(encoding.data), rel=0.15)
    assert codec.decode(encoding.data, (50, 40)).shape == (3, 50, 40)


def test_a_plan_s_refusals(small: Tensor) -> None:
    for wrong in ({"bpp": 0.5}, {"method": "published"}, {"config": V2}, {"lmbda": 0.0}, {"config": replace(SMALL, grids=99)}):
        with pytest.raises(CodecError):
            COOLCHIC_SMALL.plan(small, **wrong)


def test_foreign_and_damaged_files(small: Tensor) -> None:
    plan = replace(COOLCHIC_SMALL.plan(small, budget="quick"), recipe=modern(10))
    data = COOLCHIC_SMALL.execute(plan, small, progress=False).data
    with pytest.raises(BitstreamError, match="belongs to codec"):
        COOLCHIC_V1.decode(data)
    container = bitstream.read(data)
    for name in container.sections:
        broken = {**container.sections, name: container.sections[name][:-1]}
        with pytest.raises(BitstreamError):
            COOLCHIC_SMALL.decode(bitstream.write(replace(container, sections=broken)))
        less = {key: body for key, body in container.sections.items() if key != name}
        with pytest.raises(BitstreamError):
            COOLCHIC_SMALL.decode(bitstream.write(replace(container, sections=less)))
    larger = bitstream.write(replace(container, height=8 * container.height))
    with pytest.raises(BitstreamError):
        COOLCHIC_SMALL.decode(larger)
