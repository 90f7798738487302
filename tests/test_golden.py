"""Committed files decode to the same symbols everywhere: threads, vector instructions, library versions.

The files are made by ``tests/golden/make.py``, which says when they may be made again.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from codec_files import LEARNED, largest_difference, one_thread

from tutorial_lib import bitstream, codecs, images

GOLDEN = Path(__file__).resolve().parent / "golden"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


def facts(data: bytes) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.facts(data)


def test_every_learned_codec_has_a_golden_file() -> None:
    assert tuple(EXPECTED) == LEARNED
    assert sorted(path.stem for path in GOLDEN.glob("*.inr")) == sorted(LEARNED)


@pytest.mark.parametrize("name", LEARNED)
def test_the_same_symbols_and_picture(name: str) -> None:
    data = (GOLDEN / f"{name}.inr").read_bytes()
    assert facts(data) == EXPECTED[name]
    assert codecs.codec_of(data).name == name and data[3] == bitstream.VERSION
    assert largest_difference(codecs.decode(data, device="cpu"), images.load(GOLDEN / f"{name}.png")) <= 1


@pytest.mark.parametrize("name", LEARNED)
def test_packed_again_they_are_the_same_bytes(name: str) -> None:
    """The encoder's half of the format is pinned as well: container, tables of the laws, range coder."""
    data = (GOLDEN / f"{name}.inr").read_bytes()
    codec = codecs.get(name)
    container = bitstream.read(data)
    assert bitstream.write(container) == data
    if isinstance(codec, codecs.CoolChicCodec):
        representation, groups = codec._read(container)
        assert codec._write(representation, tuple(exponent for exponent, _ in groups)) == data
        return
    steps = {key: tensor.step for key, tensor in codec.tensors(data).items()}
    assert codec._write(codec._read(container), steps) == data


DECODE = """
import importlib.util, json, sys, torch
from pathlib import Path
from tutorial_lib import codecs, images
golden, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(int(sys.argv[3]))
spec = importlib.util.spec_from_file_location("golden_make", golden / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)
found = {}
for path in sorted(golden.glob("*.inr")):
    data = path.read_bytes()
    found[path.stem] = make.facts(data)
    images.save(codecs.decode(data, device="cpu"), out / f"{path.stem}.png")
print(json.dumps([found, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()]))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_with_other_threads_and_instructions(threads: int, capability: str, tmp_path: Path) -> None:
    if capability == "avx2" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    run = subprocess.run(
        [sys.executable, "-c", DECODE, str(GOLDEN), str(tmp_path), str(threads)],
        env=one_thread(OMP_NUM_THREADS=str(threads), ATEN_CPU_CAPABILITY=capability),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    found, used, reported = json.loads(run.stdout)
    assert used == threads and reported.lower() == capability
    assert found == EXPECTED
    for name in LEARNED:
        assert (
            largest_difference(images.load(tmp_path / f"{name}.png"), images.load(GOLDEN / f"{name}.png"))
            <= 1
        )
