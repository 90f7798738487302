"""The notebooks where readers meet them: JupyterLab in a browser, from the first cell to the last, with sliders and swipes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("00_welcome", "02_siren")
BUSY = "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt').values().some(prompt => prompt.textContent.includes('*'))"
LAST = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].at(-1)?.textContent"
ERROR = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that serves both copies of the notebooks; all of its files are temporary."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install '.[lab]'")
    folder = tmp_path_factory.mktemp("lab")
    for kind in ("notebooks", "solutions"):
        (folder / "work" / kind).mkdir(parents=True)
        for name in NAMES:
            shutil.copy(ROOT / kind / f"{name}.ipynb", folder / "work" / kind)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"windowingMode": "none"}))  # all cells are in the page, not only those in sight
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "INR_BUDGET": "quick",
        "INR_PROGRESS_FILE": str(folder / "progress.json"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": str(ROOT),
    }
    options = [
        "--no-browser",
        "--ServerApp.ip=127.0.0.1",
        "--IdentityProvider.token=",
        "--allow-root",
        f"--ServerApp.port={port}",
    ]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder / 'work'}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def run_all(page: Any) -> None:
    """Run every cell of the notebook that is open, and wait until the last one has its number."""
    page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=120_000)
    page.wait_for_function("document.body.textContent.includes('Python 3 (ipykernel) | Idle')", timeout=120_000)
    page.click('.lm-MenuBar-item:has-text("Run")')
    page.click('.lm-Menu-item:has-text("Run All Cells")')
    page.wait_for_function(f"/\\[\\d+\\]/.test({LAST}) && !({BUSY})", timeout=300_000)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["notebooks", "solutions"])
def test_a_notebook_works_in_jupyterlab(kind: str, name: str, lab: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{lab}/lab/tree/{kind}/{name}.ipynb?reset")
        run_all(page)
        edge = page.locator("[data-frame] input[type=range]").first
        edge.scroll_into_view_if_needed()
        left = "edge => edge.previousElementSibling.getBoundingClientRect().width"
        before, box = edge.evaluate(left), edge.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=5)
        page.mouse.up()
        assert edge.evaluate(left) > before
        if name == "02_siren":
            slider = page.locator(".widget-slider .noUi-handle, .jupyter-widgets.widget-slider .noUi-handle").first
            slider.scroll_into_view_if_needed()
            readout = page.locator(".widget-readout").first
            read, shown = readout.inner_text(), page.locator(".jp-OutputArea img").count()
            slider.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                "old => document.querySelector('.widget-readout').textContent !== old", arg=read, timeout=20_000
            )
            assert shown and page.locator(ERROR).count() == 0
            page.locator("iframe[srcdoc]").first.evaluate("frame => frame.scrollIntoView()")
            corner = page.frame_locator("iframe[srcdoc]").first.locator("#corner", has_text="5,138 bytes")
            corner.wait_for(timeout=120_000)  # it appears with the first frame that the network has painted
        page.close()
