"""Committed files decode to the same symbols everywhere: threads, vector instructions, library and format versions.

The files are made by ``tests/golden/make.py``, which says when there are new ones.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from codec_files import LEARNED, largest_difference, one_thread

from tutorial_lib import codecs, images
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.parameters import pack_parameters

GOLDEN = Path(__file__).resolve().parent / "golden"
SAMPLES = Path(__file__).resolve().parent.parent / "data" / "samples"
EXPECTED: dict[str, Any] = {
    f"v{version}/{name}": facts
    for version in range(bitstream.VERSION + 1)
    for name, facts in json.loads((GOLDEN / f"v{version}" / "golden.json").read_text(encoding="utf-8")).items()
}
"""Version and name to what must not change."""


@functools.cache
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def file(name: str) -> bytes:
    return (GOLDEN / f"{name}.inr").read_bytes()


def test_every_learned_codec_has_a_golden_file_in_every_version() -> None:
    assert sorted(EXPECTED) == sorted(f"{path.parent.name}/{path.stem}" for path in GOLDEN.glob("*/*.inr"))
    later = {"coolchic-large", "amortised"}  # than version 0
    assert {name for name in EXPECTED if name.startswith("v0/")} == {f"v0/{name}" for name in {*LEARNED} - later}
    assert {name for name in EXPECTED if not name.startswith("v0/")} == {
        f"{make().folder_of(name).name}/{name}" for name in make().NAMES
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_the_same_symbols_and_picture(name: str) -> None:
    data = file(name)
    assert make().facts(data) == EXPECTED[name] and f"v{data[3]}" == name.split("/")[0]
    codec = make().codec_of(data).name
    assert codec == {"struempler-meta": "struempler", "mixed": "coin", "reduced": "coolchic-large"}.get(name[3:], name[3:])
    assert largest_difference(make().shown(data), images.load(GOLDEN / f"{name}.png")) <= 1


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.startswith("v0/")])
def test_packed_again_they_are_the_same_bytes(name: str) -> None:
    """The encoder's half of the format is pinned as well: container, tables of the laws, coders."""
    data = file(name)
    codec, tensors = make().codec_of(data), make().codec_of(data).tensors(data)
    if name.startswith("v3/"):
        film = bitstream.read_signal(data)
        assert bitstream.write_signal(film) == data
        steps = {key: tensor.step for key, tensor in tensors.items()}
        assert codec.pack(codec.open(data), steps, float(film.rate), film.peak) == data
        return
    container = bitstream.read(data)
    assert bitstream.write(container) == data
    if name.endswith("mixed"):  # ANS, which no codec writes
        sections = pack_parameters(list(tensors.values()), coder="ans")
        assert sections == (container.sections["quantizer"], container.sections["networks"])
    else:
        shown = {"size": (container.height, container.width), "reduction": 2} if name.endswith("reduced") else {}
        assert codec.pack(codec.open(data), {key: tensor.step for key, tensor in tensors.items()}, **shown) == data


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.inr")), ids=lambda path: path.stem)
def test_sample_files_are_read_whatever_their_version(path: Path) -> None:
    data = path.read_bytes()
    assert data[3] <= bitstream.VERSION and (data[3] == 0 or path.name != "chelsea.inr")
    codec = codecs.codec_of(data)
    tensors = codec.tensors(data)
    assert len(tensors) == len(codec.describe(data)) and codecs.decode(data, size=(4, 6)).shape == (3, 4, 6)


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
for path in sorted(golden.glob("*/*.inr")):
    data, name = path.read_bytes(), f"{path.parent.name}/{path.stem}"
    found[name] = make.facts(data)
    (out / path.parent.name).mkdir(exist_ok=True)
    images.save(make.shown(data), out / f"{name}.png")
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
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    found, used, reported = json.loads(run.stdout)
    assert used == threads and reported.lower() == capability
    assert found == EXPECTED
    for name in EXPECTED:
        decoded, golden = (images.load(folder / f"{name}.png") for folder in (tmp_path, GOLDEN))
        assert largest_difference(decoded, golden) <= 1
