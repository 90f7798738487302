"""The pictures of a zoom in README and on the site, taken from the page of ``inr view`` in Chromium.

    python tests/benchmarks/zoom_pictures.py            # docs/zoom.png and docs/zoom.webp
    python tests/benchmarks/zoom_pictures.py --time picture.inr    # frames a second of the whole picture at 768×512
    python tests/benchmarks/zoom_pictures.py --time picture.inr --canvas 384x256    # the same, of a smaller window

Needs Chromium, and Playwright (``pip install ".[browser]"``); Chromium paints with its software renderer, so seconds are a CPU's.
"""

from __future__ import annotations

import argparse
import base64
import io
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from browsers import chromium  # noqa: E402

from tutorial_lib import codecs, viewer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FILE = next((ROOT / "data" / "results" / "evaluation" / "files").glob("chelsea-nif-0.6-*.inr"))
PLACE = (171, 102)
"""Where the zoom goes, in pixels of Chelsea: the light in an eye."""

FRAMES, DEEPEST = 20, 100
DONE = "document.getElementById('screen').dataset.state === 'done'"


def opened(browser: Any, path: Path, width: int, height: int) -> Any:
    """The page of a file, its canvas of that size, fully painted."""
    page = browser.new_page(viewport={"width": width + 24, "height": 300})
    with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
        file.write(viewer.page(path.read_bytes(), path.stem))
    page.goto(Path(file.name).as_uri())
    page.wait_for_function(DONE, timeout=300_000)
    page.evaluate(f"document.getElementById('screen').style.height = '{height}px'")
    settle(page)
    Path(file.name).unlink()
    return page


def settle(page: Any) -> None:
    page.wait_for_timeout(120)
    page.wait_for_function(DONE, timeout=300_000)


def shot(page: Any) -> Image.Image:
    source = page.evaluate("document.getElementById('screen').toDataURL()")
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB")


def zoom_to(page: Any, factor: float, panels: int) -> None:
    """Zoom by a factor, about `PLACE`, with the wheel."""
    box = page.locator("#screen").bounding_box()
    scale = min(box["width"] / panels / 451, box["height"] / 300)
    x = box["x"] + box["width"] / panels / 2 + (PLACE[0] - 225) * scale
    y = box["y"] + box["height"] / 2 + (PLACE[1] - 149.5) * scale
    page.mouse.move(x, y)
    page.mouse.wheel(0, -math.log(factor) / 0.002)


def pictures(browser: Any) -> None:
    """docs/zoom.png: a hundredth of the picture's width, three ways; docs/zoom.webp: the way there."""
    page = opened(browser, FILE, 1200, 300)
    page.keyboard.press("n")
    page.keyboard.press("b")
    settle(page)
    zoom_to(page, DEEPEST, 3)
    settle(page)
    shot(page).save(ROOT / "docs" / "zoom.png", optimize=True)
    page.close()
    page = opened(browser, FILE, 480, 160)
    page.keyboard.press("n")
    settle(page)
    frames = [shot(page)]
    for _ in range(FRAMES - 1):
        zoom_to(page, DEEPEST ** (1 / (FRAMES - 1)), 2)
        settle(page)
        frames.append(shot(page))
    held = [frames[0]] * 6 + frames + [frames[-1]] * 10 + frames[-2:0:-2]
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": held[1:],
        "duration": 110,
        "loop": 0,
        "quality": 72,
        "method": 6,
    }
    held[0].save(ROOT / "docs" / "zoom.webp", **options)


PAINT = """async () => {
  const screen = document.getElementById('screen'), started = performance.now();
  screen.dispatchEvent(new KeyboardEvent('keydown', { key: '0', bubbles: true }));
  do { await new Promise(requestAnimationFrame); } while (screen.dataset.state !== 'done');
  return (performance.now() - started) / 1000;
}"""


def renderer() -> psutil.Process:
    """The browser's process that paints."""
    return next(each for each in psutil.Process().children(recursive=True) if "--type=gpu-process" in each.cmdline())


def measure(browser: Any, path: Path, width: int, height: int) -> None:
    """Frames of a file's whole picture, each painted in full: the best of five by the clock, and by the processor's time."""
    page, painter = opened(browser, path, width, height), renderer()
    seconds, busy = [], []
    for _ in range(5):
        before = sum(painter.cpu_times()[:2])
        seconds.append(page.evaluate(PAINT))
        busy.append(sum(painter.cpu_times()[:2]) - before)
    data = path.read_bytes()
    operations = codecs.codec_of(data).operations_per_pixel(data)
    total = operations * width * height
    print(f"{path.name} at {width}×{height}: {operations:,.0f} multiply-adds a pixel, {total / 1e9:.2f} · 10⁹ a frame")
    print(f"best of five: {min(seconds):.2f} s, {1 / min(seconds):.2f} frames/s; all: {[round(each, 2) for each in seconds]}")
    print(f"CPU {min(busy):.2f} s, {total / min(busy) / 1e9:.2f} · 10⁹ multiply-adds a CPU second")
    print(page.inner_text("#corner"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--time", type=Path, metavar="FILE", help="measure this file's frames instead")
    parser.add_argument("--canvas", default="768x512", metavar="WxH", help="the window's size for --time")
    options = parser.parse_args()
    with chromium() as browser:
        if options.time:
            measure(browser, options.time, *map(int, options.canvas.split("x")))
        else:
            pictures(browser)


if __name__ == "__main__":
    main()
