"""What notebook 04 shows while a fit runs, and how the reader's context network takes the library's weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tutorial_lib import images
from tutorial_lib.latents.grids import LatentGrids
from tutorial_lib.latents.shape import SMALL
from tutorial_lib.latents.starts import start_from_pyramid
from tutorial_lib.lessons.n04_latent_grids import figures, films
from tutorial_lib.lessons.n04_latent_grids.answers import ContextNetwork
from tutorial_lib.lessons.n04_latent_grids.right import RIGHT


def pyramid(picture: torch.Tensor) -> LatentGrids:
    torch.manual_seed(0)
    model = LatentGrids(SMALL, *picture.shape[1:])
    start_from_pyramid(model, picture, step=0.04)
    return model


@pytest.mark.parametrize("network", [ContextNetwork, *RIGHT["04.5"].values()])
def test_a_context_network_with_the_librarys_weights_gives_its_laws_and_trains_them(network: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    model, contexts = pyramid(torch.rand(3, 8, 12)).context, torch.randn(10, 7)
    location, log2_scale = figures.run(network(10, 8), model, contexts.T)
    assert torch.allclose(torch.stack([location, log2_scale]), model(contexts), atol=1e-5)
    (location + log2_scale).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in list(model.parameters())[2:])


def test_a_watched_fit_keeps_three_moments_and_says_what_it_saw() -> None:
    picture = torch.rand(3, 12, 18)
    watch, model = films.Watch(picture, 100, "yours"), pyramid(picture)
    for done in range(1, 101):
        watch(done, model)
    assert [step for step, _, _ in watch.kept] == [1, 20, 100]
    shown = watch.figure(watch.kept)
    assert "step 20: " in shown.text and "(yours)" in shown.text and "<img" in shown.html


def test_the_bits_of_a_watched_fit_are_those_of_the_library() -> None:
    model = pyramid(torch.rand(3, 16, 32))
    _, bits = films.seen(model)
    whole = model.bits(model.symbols(), [band for piece in model.bands() for band in piece])
    assert bits.shape == (16, 32) and float(bits.sum()) == pytest.approx(float(whole.detach().sum()), rel=0.05)


def test_a_jpeg_of_about_as_many_bytes_stands_beside_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = images.reduce(images.sample("coffee"), factor=10)
    monkeypatch.setattr(films.codecs, "decode", lambda data: picture)
    shown = films.beside_jpeg(bytes(900), picture, zoom=2)
    assert "latent grids: 900 bytes" in shown.text and "JPEG: " in shown.text
