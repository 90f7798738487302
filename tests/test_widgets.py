"""Curves that answer the pointer, and a swipe between any two: what stands in the page, with scripts and without."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import urllib.parse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from html_elements import Elements
from PIL import Image
from torch import Tensor

from tutorial_lib import images, widgets

SERIES = {
    "jpeg": [{"bpp": 1.0, "psnr": 31.0}, {"bpp": 0.5, "psnr": 28.0, "caption": "quality 30"}],
    "<siren> & co": [(0.5, 27.0), (1.0, 30.0)],
}
SVG = "{http://www.w3.org/2000/svg}"


def drawing(page: str) -> ElementTree.Element:
    (image,) = Elements(page).of("img")
    kind, _, text = str(image["src"]).partition(",")
    assert kind == "data:image/svg+xml"
    return ElementTree.fromstring(urllib.parse.unquote(text))


def groups(svg: ElementTree.Element, attribute: str) -> dict[str, ElementTree.Element]:
    return {group.attrib[attribute]: group for group in svg.iter(f"{SVG}g") if attribute in group.attrib}


@pytest.mark.parametrize("script", sorted(Path(widgets.__file__).parent.glob("**/*.js")), ids=lambda path: path.name)
def test_the_scripts_are_javascript(script: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on this machine")
    checked = subprocess.run([node, "--check", script], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_every_point_says_what_it_is() -> None:
    shown = widgets.hover_curves(SERIES, yours=[(0.8, 29.0)], faint={"others": [(0.9, 33.0)]})
    page = Elements(shown.html)
    hints = [point["title"] for point in page.of("button", "data-point")]
    assert hints == [
        "others\n0.900 bpp, 33.00 dB PSNR",
        "jpeg\n0.500 bpp, 28.00 dB PSNR\nquality 30",
        "jpeg\n1.000 bpp, 31.00 dB PSNR",
        "<siren> & co\n0.500 bpp, 27.00 dB PSNR",
        "<siren> & co\n1.000 bpp, 30.00 dB PSNR",
        "you are here\n0.800 bpp, 29.00 dB PSNR",
    ]
    assert [entry["title"] for entry in page.of("button", "data-toggle")] == ["others", "jpeg", "<siren> & co", "you are here"]
    assert "jpeg: 28.0 at 0.50, 31.0 at 1.00." in shown.text and page.of("img")[0]["alt"] == shown.text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", urllib.parse.unquote(shown.html))


def test_faint_points_do_not_squeeze_the_others() -> None:
    others = {"published": [(0.9, 33.0), (5.0, 50.0)]}
    shown = widgets.hover_curves(SERIES, faint=others)
    assert "published: 33.0 at 0.90." in shown.text and "5.0" not in shown.text
    assert "50.0 at 5.00" in widgets.hover_curves({}, faint=others).text


def test_points_lie_where_they_are_drawn() -> None:
    shown = widgets.hover_curves(SERIES, title="cup")
    svg, page = drawing(shown.html), Elements(shown.html)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    marks = [
        mark.attrib["transform"] for line in groups(svg, "data-line").values() for mark in line if "transform" in mark.attrib
    ]
    points = page.of("button", "data-point")
    assert len(marks) == len(points) == 4
    for mark, point in zip(marks, points, strict=True):
        x, y = (float(number) for number in re.match(r"translate\((\S+) (\S+)\)", mark).groups())
        left, top = (float(re.search(rf"{side}:([\d.]+)%", str(point["style"])).group(1)) for side in ("left", "top"))
        assert left == pytest.approx(100 * x / width, abs=0.02) and top == pytest.approx(100 * y / height, abs=0.02)
    texts = ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]
    assert {"cup", "jpeg", "<siren> & co", "bits per pixel", "PSNR (dB)"} <= set(texts)
    assert all(float(text.attrib["font-size"]) >= 14 for text in svg.iter(f"{SVG}text"))


def heights(shown: object) -> list[float]:
    return [
        float(re.search(r"top:([\d.]+)%", str(point["style"])).group(1))
        for point in Elements(shown.html).of("button", "data-point")
    ]


def test_up_is_better() -> None:
    rising = [(0.5, 0.1), (1.0, 0.3)]
    first, second = heights(widgets.hover_curves({"a": rising}))
    assert first > second  # higher on the page, less from its top
    shown = widgets.hover_curves({"a": rising}, y="LPIPS (less is better)", less_is_better=True)
    first, second = heights(shown)
    assert first < second
    assert "a\n0.500 bpp, 0.100 LPIPS" in [point["title"] for point in Elements(shown.html).of("button", "data-point")]
    ticks = ["".join(text.itertext()) for text in drawing(shown.html).iter(f"{SVG}text")]
    assert not any(tick.startswith("−") for tick in ticks)  # a distance has no axis below zero


def test_many_lines_are_told_apart() -> None:
    svg = drawing(widgets.hover_curves({f"line {n}": [(0.5, n), (1, n + 1)] for n in range(21)}).html)
    looks = set()
    for line in groups(svg, "data-line").values():
        stroke, mark, _ = line
        looks.add((stroke.attrib["stroke"], stroke.attrib.get("stroke-dasharray"), mark.attrib["d"]))
    assert len(looks) == 21
    rows = [group[0].attrib["d"] for group in groups(svg, "data-entry").values()]
    last = float(re.search(r" ([\d.]+)h", rows[-1]).group(1))
    assert len(set(rows)) == 21 and last < float(svg.attrib["height"])


def test_crops_stand_beside_their_points(coffee: Tensor) -> None:
    shown = widgets.hover_curves({"a": [{"bpp": 1, "value": 30, "picture": coffee}, {"bpp": 2, "value": 31}]})
    first, second = Elements(shown.html).of("button", "data-point")
    found = Image.open(io.BytesIO(base64.b64decode(str(first["data-picture"]).partition("base64,")[2])))
    assert np.array_equal(np.asarray(found.convert("RGB")), images.to_uint8(coffee)) and "data-picture" not in second


def test_what_is_not_finite_is_left_out() -> None:
    shown = widgets.hover_curves({"png": [(8.0, float("inf"))], "jpeg": [(1, 30), {"bpp": 2, "value": None}]})
    assert shown.text.endswith("jpeg: 30.0 at 1.00.") and "png" not in shown.html
    with pytest.raises(ValueError, match="no point"):
        widgets.hover_curves({"png": []})


def test_two_snippets_of_one_page_share_no_name() -> None:
    assert not Elements(2 * widgets.hover_curves(SERIES).html).of("div", "id")
    assert " id=" not in widgets.hover_curves(SERIES).html


def test_swipe_any_embeds_each_picture_once_and_exactly(coffee: Tensor) -> None:
    pictures = {"original": coffee, "<b>": 1 - coffee, "dark": coffee / 2}
    shown = widgets.swipe_any(pictures, alt="a cup", zoom=3)
    page = Elements(shown.html)
    embedded = re.findall(r"data:image/webp;base64,([\w+/=]+)", shown.html)
    assert len(set(embedded)) == len(embedded) == 3
    below, above = (str(image["src"]).partition("base64,")[2] for image in page.of("img"))
    (other,) = json.loads(re.search(r'<script type="application/json">(.*?)</script>', shown.html).group(1))
    for data, picture in zip((above, below, other.partition("base64,")[2]), pictures.values(), strict=True):
        found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        assert np.array_equal(found, images.to_uint8(picture))
    assert [image["alt"] for image in page.of("img")] == ["<b>, a cup", "original, a cup"]
    assert len(page.of("select")) == 2 and len(page.of("option", "selected")) == 2 and "<b>" not in shown.html
    assert "original, <b>, dark" in shown.text
    for some, words in (({"a": coffee}, "two pictures"), ({"a": coffee, "b": coffee[:, 1:]}, "one size")):
        with pytest.raises(ValueError, match=words):
            widgets.swipe_any(some)


def test_a_picture_that_is_held_shows_the_original(coffee: Tensor) -> None:
    shown = widgets.hold(coffee, {"A": 1 - coffee, "<b>": coffee / 2}, alt="a cup", zoom=3)
    page = Elements(shown.html)
    buttons = page.of("div", "role")
    assert [button["aria-label"] for button in buttons] == ["A: hold to see original", "<b>: hold to see original"]
    for begin, end in (("onpointerdown", "onpointerup"), ("onkeydown", "onkeyup"), ("onpointerdown", "onpointerleave")):
        assert all("opacity=1" in button[begin] and "opacity=0" in button[end] for button in buttons)
    first, *pairs = page.of("img")
    assert len(pairs) == 4 and all("opacity:0" in each["style"] and each["src"] == first["src"] for each in pairs[1::2])
    for data, picture in zip((first["src"], pairs[0]["src"], pairs[2]["src"]), (coffee, 1 - coffee, coffee / 2), strict=True):
        found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition("base64,")[2]))).convert("RGB"))
        assert np.array_equal(found, images.to_uint8(picture))
    assert all(len(each["alt"]) >= 5 for each in page.of("img")) and "<script" not in shown.html
    with pytest.raises(ValueError, match="one size"):
        widgets.hold(coffee, {"A": coffee[:, 1:]})
