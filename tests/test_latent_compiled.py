"""The compiled loops of latent grids and the plain lines beside them: the same values, the same gradients."""

import copy
import subprocess
import sys

import pytest
import torch

from tutorial_lib import codecs, images
from tutorial_lib.codecs.recipes import modern
from tutorial_lib.latents import kernels, shape
from tutorial_lib.latents.grids import LatentGrids, start_from_pyramid
from tutorial_lib.latents.layers import ContextModel, Synthesis, Upsampling
from tutorial_lib.training import grids as training

pytest.importorskip("numba")

SHAPES = {"v1": shape.V1, "v2": shape.V2, "small": shape.SMALL, "large": shape.LARGE}


def plainly(monkeypatch):
    monkeypatch.setattr(kernels, "loops", lambda: None)


def both(monkeypatch, module, inputs, call):
    """Outputs and gradients (of inputs and weights) of the compiled form, and of the plain one."""
    found = []
    for compiled in (True, False):
        with monkeypatch.context() as patched:
            if not compiled:
                plainly(patched)
            module.zero_grad()
            given = [each.clone().requires_grad_() for each in inputs]
            assert (kernels.compiled(given[0]) is not None) == compiled
            output = call(module, *given)
            weights = torch.Generator().manual_seed(1)
            (output * torch.randn(output.shape, generator=weights)).sum().backward()
            slopes = [each.grad for each in (*given, *module.parameters()) if each.grad is not None]
            found.append([output.detach(), *slopes])
    return zip(*found, strict=True)


def alike(pairs):
    """Equal to the last digits, but for single columns whose ReLU, about 0, falls on the other side."""
    for one, other in pairs:
        difference, most = (one - other).abs(), float(other.abs().max()) + 1e-3
        elsewhere = float((difference > 1e-4 * most).float().mean())
        assert elsewhere <= 0.01 or float(difference.max()) <= 0.01 * most


def shaken(module, seed=0):
    """All weights random: fresh networks are mostly zeros and identities."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("count", [1, 255, 256, 1000])
def test_context_model(monkeypatch, name, count):
    contexts = torch.randn(len(SHAPES[name].neighbours), count)
    alike(both(monkeypatch, shaken(ContextModel(SHAPES[name])), [contexts], lambda model, given: model(given)))


def test_context_model_on_several_threads(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        contexts = torch.randn(10, 70_001)
        alike(both(monkeypatch, shaken(ContextModel(shape.SMALL)), [contexts], lambda model, given: model(given)))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 33)])
def test_synthesis(monkeypatch, name, size):
    features = torch.randn(7, *size)
    alike(both(monkeypatch, shaken(Synthesis(SHAPES[name])), [features], lambda model, given: model(given)))


def test_synthesis_that_begins_with_a_convolution(monkeypatch):
    layers = (shape.Layer(4, kernel=3, relu=True), shape.Layer(3))
    for skip in (False, True):
        config = shape.GridsConfig(grids=3, synthesis=layers, synthesis_skip=skip)
        alike(both(monkeypatch, shaken(Synthesis(config)), [torch.randn(3, 5, 6)], lambda model, given: model(given)))


@pytest.mark.parametrize("name", ["v1", "small"])
@pytest.mark.parametrize(
    ("coarse", "fine", "top", "bottom", "skipped"),
    [
        ((1, 1), (1, 1), True, True, 0),
        ((1, 2), (2, 3), True, True, 0),
        ((7, 9), (13, 17), True, True, 0),
        ((9, 6), (5, 12), True, False, 3),
        ((9, 6), (9, 11), False, False, 1),
        ((9, 6), (13, 12), False, True, 0),
    ],
)
def test_doubling(monkeypatch, name, coarse, fine, top, bottom, skipped):
    given = [torch.randn(*fine), torch.randn(4, *coarse)]
    alike(
        both(
            monkeypatch, shaken(Upsampling(SHAPES[name])), given,
            lambda model, grid, planes: model.stacked(grid, planes, 1, top, bottom, skipped),
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_step_of_a_fit(monkeypatch, name):
    """All gradients of J are those of the plain lines: in a band, with what lies around it."""
    picture = images.open_picture("coffee")[:, :150, :200]
    grids = shaken(LatentGrids(SHAPES[name], 150, 200))
    start_from_pyramid(grids, picture, 0.05)
    found = []
    for compiled in (True, False):
        with monkeypatch.context() as patched:
            if not compiled:
                plainly(patched)
            run = training.GridFit(copy.deepcopy(grids), picture, modern(20), 1e-3, "mse", 0)
            run.begin(run.recipe.phases[0])
            run._backward(40, 101, 0.5)
            networks = [parameter.grad for parameter in run.representation.networks().values() if parameter.grad is not None]
            found.append([*run.gradients, *networks])
    alike(zip(*found, strict=True))


def test_files_are_decoded_by_the_plain_lines(monkeypatch):
    data = codecs.get("coolchic-small").encode(images.open_picture("coffee")[:, :40, :60], iterations=12, progress=False)
    monkeypatch.setattr(kernels, "loops", lambda: pytest.fail("decoding took the compiled loops"))
    codecs.decode(data)


def test_without_numba_and_without_the_wish_for_it():
    code = "from tutorial_lib.latents import kernels; import torch; print(kernels.compiled(torch.ones(1)))"
    for prelude, environment in (("import sys; sys.modules['numba'] = None; ", "1"), ("", "0")):
        command = [sys.executable, "-c", f"import os; os.environ['INR_COMPILED'] = '{environment}'; {prelude}{code}"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "None"
