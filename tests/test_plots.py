"""Figures and widgets: each carries alternative text from its data, is small, and never hides an exception."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import codec_files
import nbformat
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from nbclient.exceptions import CellExecutionError
from PIL import Image
from torch import Tensor

from tutorial_lib import codecs, images, plots, widgets
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.course import builder, labels, sample_file
from tutorial_lib.lessons.n00_welcome.figures import journey


def decoded(shown: plots.Shown) -> list[Image.Image]:
    found = re.findall(r'src="data:image/\w+;base64,([^"]+)"', shown.html)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def alts(shown: plots.Shown) -> list[str]:
    return re.findall(r'<img alt="([^"]+)"', shown.html)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (lambda: plots.curves({"fit": ([0, 1, 2], torch.tensor([1.0, 9.0, 3.0]))}, "step", "dB"), "highest 9 at 1"),
        (lambda: plots.curves({"a": ([1, 2], [3, 1]), "b": ([1, 2], [1, 2])}, "x", "y"), "b: from 1 at 1"),
        (lambda: plots.target_and_yours("curve", [0, 1], [1, 0]), "yours: from 1 at 0"),
    ],
)
def test_a_figure_says_its_numbers(shown: object, words: str) -> None:
    figure = shown()
    assert words in figure.text and alts(figure) == [figure.text]
    (image,) = decoded(figure)
    assert image.width > 300 and len(figure.html) < 60_000
    assert figure._repr_mimebundle_() == {"text/html": figure.html, "text/plain": figure.text}


def sweep_rows() -> list[dict]:
    """Two learned codecs with two losses and JPEG, at two rates, on two pictures; quality grows by 10 dB a bit."""
    rows = []
    for picture in ("cup", "cat"):
        for bpp in (0.5, 1.0):
            quality = 25 + 10 * bpp + 2 * (picture == "cat")
            row = {"picture": picture, "bpp": bpp, "bpp_real": bpp + 0.02 * (picture == "cat"), "error": None, "lpips_alex": None}
            measured = {"psnr": quality, "ms_ssim_db": quality / 2}
            rows.append(row | measured | {"codec": "jpeg", "loss": None})
            for codec in ("grids", "net"):
                rows += [row | measured | {"codec": codec, "loss": loss, "psnr": quality + len(loss)} for loss in ("l1", "mse")]
    return rows


def test_loss_curves_are_means_over_pictures() -> None:
    shown = plots.loss_curves(sweep_rows(), title="two pictures")
    assert "means over 2 pictures" in shown.text and alts(shown) == [shown.text]
    assert "PSNR (dB), grids: l1 38 at 1.01, mse 39 at 1.01, JPEG 36 at 1.01." in shown.text
    assert "MS-SSIM (dB), net: l1 18 at 1.01" in shown.text
    assert "LPIPS (less is better), net: n/a." in shown.text  # no weights: all of them are None
    (image,) = decoded(shown)
    assert image.height > image.width / 2 and len(shown.html) < 150_000


def test_loss_curves_draw_what_there_is() -> None:
    rows = sweep_rows()
    gone = ("cat", 1.0, "mse")
    partial = [row for row in rows if row["codec"] != "net" and (row["picture"], row["bpp"], row["loss"]) != gone]
    partial += [{"picture": "cat", "codec": "grids", "loss": "mse", "bpp": 1.0, "error": "OSError: full"}]
    partial += [rows[1] | {"bpp": None, "lmbda": 1e-3, "psnr": 99.0}]
    text = plots.loss_curves(partial).text
    # the point that lacks a picture is left out, and the line is what remains of it
    assert "grids: l1 38 at 1.01, mse 34 at 0.51" in text and "net" not in text and "99" not in text
    for some, words in (([], "no learned"), (rows[:1], "no learned"), ([rows[0], rows[-1]], "no picture")):
        with pytest.raises(ValueError, match=words):
            plots.loss_curves(some)


def test_two_sizes_of_one_picture_are_two_pictures() -> None:
    """A large coffee at 30 dB and a small one at 35: the mean is 32.5, whichever row comes last."""
    row = {"picture": "coffee", "bpp": 1.0, "bpp_real": 1.0, "error": None}
    sizes = ({"width": 600, "height": 400, "psnr": 30.0}, {"width": 300, "height": 200, "psnr": 35.0})
    for some in (sizes, sizes[::-1]):
        shown = plots.loss_curves([row | size | {"codec": "net", "loss": loss} for size in some for loss in ("l1", "mse")])
        assert "means over 2 pictures" in shown.text and "net: l1 32.5 at 1.00, mse 32.5 at 1.00." in shown.text


@pytest.mark.parametrize("name", [*codec_files.LEARNED, *codec_files.OTHER_FILES, "jpeg"])
def test_the_anatomy_of_a_file(name: str, coffee: Tensor) -> None:
    data = codecs.get("jpeg").encode(coffee) if name == "jpeg" else None
    data = data or codec_files.OTHER_FILES.get(name, lambda: codec_files.encoded(name))()
    shown = plots.file_anatomy(data, title=name)
    assert alts(shown) == [shown.text] and shown.text.startswith(f"A file of {len(data):,} bytes as a bar.")
    for section in dict.fromkeys(part.section for part in parts(data)):
        assert f" {section} " in shown.text
    (image,) = decoded(shown)
    pixels = {tuple(colour) for colour in np.asarray(image.convert("RGB")).reshape(-1, 3)[::7].tolist()}
    assert len(pixels) > 5 and image.width > 1000


def test_a_figure_without_alternative_text_is_refused() -> None:
    figure, axes = plots.figure()
    axes.plot([1, 2])
    with pytest.raises(ValueError, match="alternative text"):
        plots.show(figure, " ")
    assert alts(plots.show(figure, 'A "line" <b>')) == ["A &quot;line&quot; &lt;b&gt;"]


def test_pictures_are_exact_when_small_and_enlarged_by_squares(coffee: Tensor) -> None:
    shown = plots.pictures([coffee, 1 - coffee], ["original", "negative"], zoom=3)
    first, _ = decoded(shown)
    assert np.array_equal(np.asarray(first)[::3, ::3], images.to_uint8(coffee))
    assert alts(shown)[0] == "original (75×50 pixels, shown 3 times as large)"
    assert decoded(plots.pictures([coffee], zoom=0.5))[0].size == (38, 25)
    assert decoded(plots.pictures([coffee], zoom=2, method="bicubic"))[0].size == (150, 100)
    with pytest.raises(ValueError, match="1 titles"):
        plots.pictures([coffee, coffee], ["one"])


def test_large_photographs_become_small_files() -> None:
    shown = plots.pictures([images.sample("astronaut")])
    assert decoded(shown)[0].format == "JPEG" and len(shown.html) < 150_000


def test_the_palette_has_no_twins() -> None:
    assert len(set(plots.COLOURS)) == 7


def test_the_journey_is_drawn_from_the_file() -> None:
    original = images.crop(images.sample("chelsea"), 24, 120, 192, 240)
    data = sample_file("chelsea.inr")
    shown = journey(original, data)
    assert f"{len(data):,} bytes" in shown.text and "138,240 bytes raw" in shown.text
    assert len(shown.html) < 250_000


# ------------------------------------------------------------------------------------------ widgets


def test_swipe_holds_two_pictures_and_can_be_moved_by_keys(coffee: Tensor) -> None:
    shown = widgets.swipe(coffee, 1 - coffee, ("original", "<decoded>"), alt="a cup", zoom=2)
    assert alts(shown) == ["&lt;decoded&gt;, a cup", "original, a cup"]
    assert 'type="range"' in shown.html and 'aria-label="Edge between original and &lt;decoded&gt;"' in shown.html
    assert "http" not in shown.html and shown.html.count("<div") == shown.html.count("</div")
    with pytest.raises(ValueError, match="one size"):
        widgets.swipe(coffee, coffee[:, :9], ("a", "b"))


def test_explore_calls_once_outside_notebooks() -> None:
    calls = []
    widgets.explore(lambda a=1, b="x": calls.append((a, b)), a=(0, 3), b=["x", "y"])
    assert calls == [(1, "x")]


def run(source: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell("print(calls)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    builder.execute(notebook, budget="quick")
    return notebook


EXPLORE = """
from tutorial_lib import plots, widgets
calls = []
def draw(quality=30, *, name, bright=True):
    calls.append((quality, name, bright))
    return plots.Shown(f"<b>{quality}</b>", f"quality {quality}")
widgets.explore(draw, quality=(5, 95, 5), name=["cup", "cat"], bright=True)
"""


@pytest.mark.slow
def test_explore_shows_its_first_result_in_a_saved_notebook_and_follows_its_controls() -> None:
    notebook = run(EXPLORE)
    controls, first = notebook.cells[0].outputs
    assert "quality 30, name cup, bright True" in controls["data"]["text/html"]
    assert builder.WIDGET not in controls["data"]
    assert first["data"] == {"text/html": "<b>30</b>", "text/plain": "quality 30"}
    assert notebook.cells[1].outputs[0].text == "[(30, 'cup', True)]\n"

    moved = EXPLORE.replace("widgets.explore", "from ipywidgets import IntSlider\ns = IntSlider(40)\nwidgets.explore")
    moved = moved.replace("quality=(5, 95, 5)", "quality=s") + "s.value = 50\n"
    notebook = run(moved)
    assert notebook.cells[1].outputs[0].text == "[(40, 'cup', True), (50, 'cup', True)]\n"
    assert [o.data["text/plain"] for o in notebook.cells[0].outputs][1] == "quality 50"


@pytest.mark.slow
def test_an_exception_in_the_first_call_fails_the_run_and_a_later_one_is_shown(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="boom"):
        run("from tutorial_lib import widgets\ncalls = []\ndef f(a=1): raise ValueError('boom')\nwidgets.explore(f, a=(0, 3))")
    source = "from tutorial_lib import widgets\nfrom ipywidgets import IntSlider\ncalls = []\ns = IntSlider(5)\n"
    source += "def f(a): return 1 // (a - 7)\nwidgets.explore(f, a=s)\ns.value = 7\n"
    shown = run(source).cells[0].outputs[1].data
    assert "ZeroDivisionError" in shown["text/html"]


def boxes(axis: Any) -> list[np.ndarray]:
    """Where the names beside points stand, in pixels."""
    renderer = FigureCanvasAgg(axis.figure).get_renderer()
    return [Text.get_window_extent(each, renderer).extents for each in axis.texts]


@pytest.mark.parametrize("seed", range(8))
def test_names_beside_points_meet_neither_each_other_nor_points_nor_lines(seed: int) -> None:
    random = np.random.default_rng(seed)
    made, axis = plots.figure(9, 5.2)
    axis.plot([0, 1, 2], [20, 30, 35], label="a line")
    count = 3 + seed
    middle = random.uniform(0.4, 1.6), random.uniform(24, 34)
    points = {f"star {index}": tuple(middle + random.normal(size=2) * (0.06, 0.8)) for index in range(count)}
    for place in points.values():
        axis.plot(*place, "*", markersize=22)
    axis.legend(loc="lower right")
    labels.name_points(axis, points)
    plots.show(made, "many stars")
    found = boxes(axis)
    assert len(found) == count
    places = axis.transData.transform(list(points.values()))
    for index, box in enumerate(found):
        assert not any(labels._shared(box, other) for other in found[:index])
        assert not ((places > box[:2]) & (places < box[2:])).all(1).any()
        assert labels._shared(box, axis.get_window_extent().extents) > 0.95 * np.prod(box[2:] - box[:2])


def test_names_at_the_ends_of_lines_keep_their_order_and_distance() -> None:
    made, axis = plots.figure(9, 5)
    axis.set(xlim=(0, 1), ylim=(20, 40))
    heights = {"a": 30.0, "b": 30.1, "c": 30.05, "d": 21.0, "e": 39.9}
    labels.name_ends(axis, {name: (height, "black") for name, height in heights.items()})
    plots.show(made, "five names")
    stand = {text.get_text(): box for text, box in zip(axis.texts, boxes(axis), strict=True)}
    order = sorted(stand, key=lambda name: stand[name][1])
    assert order == ["d", "a", "c", "b", "e"]
    assert all(stand[low][3] <= stand[high][1] + 1 for low, high in zip(order, order[1:], strict=False))
    middle = axis.transData.transform((1, 30.05))[1]
    assert abs((stand["c"][1] + stand["c"][3]) / 2 - middle) < 4  # the others give way to both sides
