"""The page of ``inr view``: self-contained, safe, and in a browser the same picture as the library's, at any zoom."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium, opened
from html_elements import Elements
from PIL import Image
from torch import Tensor

from tutorial_lib import cli, codecs, images, widgets
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError
from tutorial_lib.viewer import page

FILES = {
    path.stem: path
    for path in sorted((Path(__file__).parent / "golden").glob("v[12]/*.inr"))
    if path.stem not in ("amortised", "reduced")
}
NETWORKS = [name for name in FILES if not name.startswith("coolchic")]
GRIDS = [name for name in FILES if name.startswith("coolchic")]
SMALL = {"viewport": {"width": 224, "height": 300}}


NO_WEBGL = """
const offered = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind === 'webgl2' ? null : offered.call(this, kind, ...more);
};
"""


def data_of(name: str) -> bytes:
    return FILES[name].read_bytes()


def facts_of(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="file">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


# ------------------------------------------------------------------------------------------ the page as text


@pytest.mark.parametrize("name", FILES)
def test_a_page_needs_nothing_but_itself(name: str) -> None:
    text = page(data_of(name), "a cup")
    for _, attributes in Elements(text).found:
        addresses = [attributes.get(each) for each in ("src", "href", "srcset", "action", "data")]
        assert all(address is None or address.startswith("data:") for address in addresses)
    assert "://" not in re.sub(r'"[A-Za-z0-9+/=]{200,}"', "", text)
    (image,) = Elements(text).of("img")
    assert "a cup" in str(image["alt"])
    found = facts_of(text)
    assert found["bytes"] == len(data_of(name)) and found["codec"] == codecs.codec_of(data_of(name)).name
    assert {"network", "pyramid"} & set(found)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["decoded"].partition("base64,")[2]))).convert("RGB"))
    assert np.array_equal(picture, images.to_uint8(codecs.decode(data_of(name))))


def test_a_reduced_picture_counts_its_own_pixels() -> None:
    """A rate is of the picture's pixels, also where fewer were fitted and are painted."""
    data = (Path(__file__).parent / "golden" / "v2" / "reduced.inr").read_bytes()
    text = page(data, "a cup")
    found, header = facts_of(text), bitstream.read(data)
    assert (found["width"], found["height"]) == (75, 50) and (header.width, header.height) == (150, 100)
    assert found["bpp"] == 8 * len(data) / (150 * 100)
    assert "The picture has 150×100 pixels and was fitted at 75×50" in text
    assert "and was fitted at" not in page(data_of("coolchic-large"), "a cup")


def test_the_texture_holds_every_weight_once() -> None:
    found = facts_of(page(data_of("nif")))["network"]
    values = np.frombuffer(base64.b64decode(found["texture"]["data"]), "<f4")
    network = codecs.NIF.open(data_of("nif"))
    weights = np.concatenate([parameter.detach().flatten().numpy() for parameter in network.parameters()])
    assert np.array_equal(np.sort(values[values != 0]), np.sort(weights[weights != 0]))
    assert found["modulation"]["start"] % 1 == 0 and len(values) == 4 * found["texture"]["width"] * found["texture"]["height"]


def test_a_title_stays_text() -> None:
    title = '</title></script><img src=x onerror=alert(1)> "quoted"'
    text = page(data_of("coin"), title)
    elements = Elements(text)
    assert len(elements.of("img")) == 1 and len(elements.of("script")) == 2
    assert all("onerror" not in attributes for _, attributes in elements.found)
    assert len(Elements(widgets.zoom(data_of("coin"), title=title).html).found) == 1


@pytest.mark.parametrize("name", ["coin", "coolchic-v2"])
def test_bytes_that_are_no_file_make_no_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = data_of(name)
    for wrong in (data[:-1], data[:20], b"", b"<html>", data[:40] + b"\xff" + data[41:]):
        with pytest.raises(BitstreamError):
            page(wrong)
        Path("hostile.inr").write_bytes(wrong)
        assert cli.main(["view", "hostile.inr"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.inr"]


def test_what_a_page_can_not_show_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    container = bitstream.read(data_of("coin"))
    large = bitstream.write(bitstream.Container(container.codec, 1, 5000, container.sections))
    with pytest.raises(codecs.CodecError, match="5000×1 pixels are more than a page shows"):
        page(large)
    monkeypatch.setattr("tutorial_lib.viewer.networks.MAX_WIDTH", 8)
    with pytest.raises(codecs.CodecError, match="wider than the 8 neurons"):
        page(data_of("coin"))
    monkeypatch.setattr("tutorial_lib.viewer.pages.Siren", Tensor)  # as if a codec from outside had fitted something else
    with pytest.raises(codecs.CodecError, match="can't evaluate what coin fits"):
        page(data_of("coin"))


def test_the_command_writes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("<b>.inr").write_bytes(data_of("siren"))
    assert cli.main(["view", "<b>.inr"]) == 0
    assert "<b>.html: a page of" in capsys.readouterr().out
    text = Path("<b>.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;.inr" in text and "<b>" not in text
    assert cli.main(["view", "<b>.inr", "-o", "other.htm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == Path("other.htm").stat().st_size
    assert cli.main(["view", "<b>.inr", "-o", "<b>.inr"]) == 2
    assert "would be a web page" in capsys.readouterr().err


def test_in_a_notebook_it_is_a_frame() -> None:
    shown = widgets.zoom(data_of("nif"), title="The cup", height=300)
    ((tag, attributes),) = Elements(shown.html).found
    assert (
        tag == "iframe" and attributes["srcdoc"] == page(data_of("nif"), "The cup") and "height:300px" in str(attributes["style"])
    )
    assert attributes["title"] == shown.text and "The cup" in shown.text


# ------------------------------------------------------------------------------------------ the page in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def settle(window: Any, *keys: str) -> str:
    """Press keys and wait until every pixel is painted; what the corner says."""
    ready = "['done', 'failed'].includes(document.getElementById('screen').dataset.state)"
    window.wait_for_function(ready, timeout=60_000)
    for key in keys:
        window.keyboard.press(key)
    window.wait_for_function(ready, timeout=60_000)
    return window.inner_text("#corner") if window.is_visible("#corner") else ""


def seen(window: Any, left: int = 0, width: int | None = None) -> np.ndarray:
    """What stands on the screen, or in a part of it: (height, width, 3)."""
    source = window.evaluate("document.getElementById('screen').toDataURL()")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")).astype(int)
    return pixels[:, left : None if width is None else left + width]


def middle(pixels: np.ndarray, picture: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What is seen of the picture pixel for pixel, and the picture in 8 bits."""
    rows, columns = picture.shape[1:]
    top, left = (pixels.shape[0] - rows) // 2, (pixels.shape[1] - columns) // 2
    return pixels[top : top + rows, left : left + columns], images.to_uint8(picture).astype(int)


def shown(tmp_path: Path, name: str) -> str:
    path = tmp_path / f"{name}.html"
    path.write_text(page(data_of(name), name), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shader_paints_the_librarys_picture(name: str, browser: Any, tmp_path: Path) -> None:
    with opened(browser, shown(tmp_path, name), **SMALL) as window:
        corner = settle(window, "1")
        found, expected = middle(seen(window), codecs.decode(data_of(name)))
    assert np.abs(found - expected).max() <= 1
    assert f"{len(data_of(name)):,} bytes" in corner and "multiply-adds a pixel" in corner and "frames/s" in corner


@pytest.mark.parametrize("name", ["coin", "nif", "siren"])
def test_a_thousandth_of_the_picture_is_as_exact(name: str, browser: Any, tmp_path: Path) -> None:
    """Against the same network in float64, at the places that the screen's pixels show."""
    with opened(browser, shown(tmp_path, name), **SMALL) as window:
        corner = settle(window, "ArrowRight", "ArrowUp", *["+"] * 32)
        pixels = seen(window)
    assert "zoom 1,000×" in corner
    network = codecs.codec_of(data_of(name)).open(data_of(name)).double()
    rows, columns = pixels.shape[:2]
    centre = ((network.width - 1) / 2 + network.width / 10, (network.height - 1) / 2 - network.height / 10)
    scale = 1000 * min(columns / network.width, rows / network.height)
    u, v = (at + (torch.arange(side) + 0.5 - side / 2) / scale for at, side in zip(centre, (columns, rows), strict=True))
    x, y = 2 * u / (network.width - 1) - 1, 2 * v / (network.height - 1) - 1
    with torch.no_grad():
        expected = network(torch.stack(torch.meshgrid(x.double(), y.double(), indexing="xy"), dim=-1)).clamp(0, 1)
    assert np.abs(pixels - 255 * expected.numpy()).max() <= 1.5


def zoom_of(corner: str) -> float:
    (found,) = re.findall(r"zoom ([\d.,]+)×", corner)
    return float(found.replace(",", ""))


def test_wheel_drag_and_two_fingers_move_the_window(browser: Any, tmp_path: Path) -> None:
    """The wheel keeps what is under the pointer where it is; a drag takes it along; fingers that part zoom."""
    with opened(browser, shown(tmp_path, "coin"), **SMALL) as window:
        settle(window, "n")  # beside it, where nearest pixels are exact
        box = window.locator("#screen").bounding_box()
        x, y = int(box["x"] + 3 * box["width"] / 4 + 12), int(box["y"] + box["height"] / 2 - 9)
        at = int(y - box["y"]), int(x - box["x"])
        before = seen(window)
        window.mouse.move(x, y)
        window.mouse.wheel(0, -1000)
        corner = settle(window)
        assert zoom_of(corner) == pytest.approx(np.exp(2), rel=0.02)
        wheeled = seen(window)
        assert np.array_equal(wheeled[at], before[at]) and not np.array_equal(wheeled, before)
        window.mouse.down()
        window.mouse.move(x - 20, y + 6, steps=2)
        window.mouse.up()
        settle(window)
        dragged, half = seen(window)[:, wheeled.shape[1] // 2 :], wheeled[:, wheeled.shape[1] // 2 :]
        assert np.mean(dragged[6:, :-20] == half[:-6, 20:]) > 0.98 > np.mean(dragged == half)
        fingers = window.context.new_cdp_session(window)

        def touch(kind: str, apart: int) -> None:
            points = [{"x": x - 40 + side * apart, "y": y, "id": side} for side in (0, 1)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if kind != "touchEnd" else []})

        touch("touchStart", 20)
        for apart in (25, 30, 40):
            touch("touchMove", apart)
        touch("touchEnd", 0)
        assert zoom_of(settle(window)) == pytest.approx(2 * zoom_of(corner), rel=0.1)


def test_nearest_and_bicubic_stand_beside_it(browser: Any, tmp_path: Path) -> None:
    picture = codecs.decode(data_of("nif"))
    rows, columns = picture.shape[1:]
    with opened(browser, shown(tmp_path, "nif"), viewport={"width": 3 * 2 * columns + 24, "height": 400}) as window:
        settle(window, "n", "b")
        pixels = seen(window)
        names = [each.inner_text() for each in window.query_selector_all("#names span")]
        settle(window, "m")
        assert "modulation" in window.inner_text("#buttons") and "frequency" in window.inner_text("#legend")
        maps = seen(window)[:, 3 * (pixels.shape[1] // 4) :]
    assert names == ["network", "nearest", "bicubic"]
    wide = pixels.shape[1] // 3
    parts = [pixels[:, index * wide : (index + 1) * wide] for index in range(3)]
    assert wide == 2 * columns
    enlarged = images.to_uint8(picture).astype(int).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(middle(parts[1], torch.zeros(3, 2 * rows, 2 * columns))[0], enlarged)
    bicubic = torch.nn.functional.interpolate(picture[None], scale_factor=2, mode="bicubic", antialias=True)[0]  # a = −1/2
    found, expected = middle(parts[2], bicubic.clamp(0, 1))
    assert np.abs(found - expected)[8:-8, 8:-8].max() <= 2
    assert np.abs(parts[0] - parts[2]).max() > 3 and maps.std() > 10


@pytest.mark.parametrize("name", GRIDS)
def test_the_page_paints_the_grids_that_are_ticked(name: str, browser: Any, tmp_path: Path) -> None:
    representation = codecs.codec_of(data_of(name)).open(data_of(name))
    whole = representation.render()
    with opened(browser, shown(tmp_path, name), **SMALL) as window:
        settle(window, "1")
        boxes = window.query_selector_all("#grids input")
        boxes[1].click()
        settle(window)
        without, _ = middle(seen(window), whole)
        boxes[1].click()
        settle(window)
        again, expected = middle(seen(window), whole)
    assert np.abs(again - expected).max() <= 1
    start = representation.sizes[0][0] * representation.sizes[0][1]
    with torch.no_grad():
        representation.latents[start : start + representation.sizes[1][0] * representation.sizes[1][1]] = 0
    changed = images.to_uint8(representation.render()).astype(int)
    assert np.abs(without - changed).max() <= 1 and np.abs(changed - expected).max() > 3


@pytest.mark.parametrize("name", ["nif", "coolchic-small"])
def test_without_webgl_the_decoded_picture_stays(name: str, browser: Any, tmp_path: Path) -> None:
    with opened(browser, "about:blank") as window:
        window.add_init_script(NO_WEBGL)
        window.goto(shown(tmp_path, name))
        settle(window)
        assert window.is_visible("#sorry") and window.is_visible("#decoded") and not window.is_visible("#screen")
