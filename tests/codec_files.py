"""Small encoded files that several test modules share; each is made once per process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tutorial_lib import codecs, images, signals
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.codecs.coolchic import Grids
from tutorial_lib.codecs.recipes import modern
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import BitstreamError, Container
from tutorial_lib.coding.laws import LAWS
from tutorial_lib.coding.parameters import pack_parameters, stored_laws
from tutorial_lib.coding.steps import QuantizedTensor, storable_row_steps, storable_step

LEARNED = tuple(codecs.LEARNED)
NETWORKS = tuple(name for name, codec in codecs.LEARNED.items() if not codec.takes_lambda)
"""The learned codecs whose file is one network on coordinates."""
GRIDS = tuple(name for name, codec in codecs.LEARNED.items() if isinstance(codec.family, Grids))
"""Those of latent grids."""


@functools.cache
def picture() -> Tensor:
    """The picture in the files of `encoded`: (3, 50, 75)."""
    return images.reduce(images.sample("coffee"), factor=8)


@functools.cache
def encoded(name: str) -> bytes:
    """A file of the learned codec ``name``, at about 2 bpp; of latent grids, one that was hardly fitted."""
    codec = codecs.LEARNED[name]
    if name == "amortised":
        return codec.encode(picture(), progress=False, device="cpu")
    if name in NETWORKS:
        return codec.encode(picture(), bpp=2.0, budget="quick", progress=False, device="cpu")
    plan = replace(codec.plan(picture(), budget="quick"), recipe=modern(40))
    return codec.execute(plan, picture(), progress=False, device="cpu").data


@functools.cache
def float16_file() -> bytes:
    """A file of COIN's published form: float16 weights, nothing range coded; the network is untrained."""
    plan = codecs.COIN.plan(picture(), bpp=8.0, budget="quick", method="published")
    network = codecs.COIN.build(plan.config, plan.height, plan.width)
    return codecs.COIN.pack(network, {})


@functools.cache
def meta_file() -> bytes:
    """A file of struempler that starts from a meta-learned initialization."""
    return codecs.STRUEMPLER.encode(picture(), method="meta", budget="quick", progress=False, device="cpu")


@functools.cache
def mixed_file() -> bytes:
    """A file of coin with everything that a quantizer section can hold: all laws, steps of rows, float16, ANS. Made up."""
    config = codecs.COIN.plan(picture(), bpp=2.0, budget="quick").config
    network = codecs.COIN.build(config, 50, 75)
    random = np.random.default_rng(0)
    draws = (
        lambda shape: random.laplace(0, 4, shape),
        lambda shape: random.normal(0, 4, shape),
        lambda shape: random.laplace(0, 0.6, shape) * np.where(random.random(shape) < 0.1, 40, 1),
        lambda shape: random.choice([-3, -2, 2, 3], shape),
    )
    tensors: list[QuantizedTensor | Tensor] = []
    for index, (name, parameter) in enumerate(network.named_parameters()):
        if name.endswith("bias"):
            tensors.append(parameter.detach())
            continue
        symbols = np.round(draws[index // 2 % len(draws)](tuple(parameter.shape))).astype(np.int32)
        rows = storable_row_steps(np.linspace(0.002, 0.01, len(symbols)))
        tensors.append(QuantizedTensor(symbols, rows if index % 4 == 0 else storable_step(0.01)))
    quantizer, networks = pack_parameters(tensors, coder="ans")
    laws = stored_laws(quantizer, [parameter.shape for parameter in network.parameters()])
    assert {type(law) for law in laws} == {*LAWS, type(None)}
    sections = {"configuration": codecs.COIN.family.write_config(config), "quantizer": quantizer, "networks": networks}
    return bitstream.write(Container(codecs.COIN.number, 50, 75, sections))


@functools.cache
def clip() -> signals.Clip:
    """The film in the files of `encoded_signal`: 6 frames of 24×16."""
    return signals.sample_clip("zoom", frames=6, size=(16, 24))


@functools.cache
def sound() -> signals.Sound:
    """The sound in the file of `encoded_signal`: two channels, 0.1 seconds."""
    melody = signals.sample_sound("melody", seconds=0.1).samples
    return signals.Sound(torch.cat([0.5 * melody, -0.25 * melody]), 16_000)


@functools.cache
def encoded_signal(name: str) -> bytes:
    """A small file of a codec of films or sounds."""
    codec = codecs.SIGNALS[name]
    signal = clip() if codec.kind == "film" else sound()
    return codec.encode(signal, bpp=6, budget="quick", iterations=40, progress=False, device="cpu")


OTHER_FILES = {"float16": float16_file, "struempler-meta": meta_file, "mixed": mixed_file}
"""Files that `encoded` doesn't make."""


def seal(body: bytes) -> bytes:
    """``body`` with the checksum that makes it look intact."""
    return body + zlib.crc32(body).to_bytes(4, "little")


def altered(data: bytes, **sections: bytes) -> bytes:
    """The file with other sections in place of its own, and a correct table and checksum."""
    container = bitstream.read(data)
    return bitstream.write(Container(container.codec, container.height, container.width, container.sections | sections))


SIZE = (5, 7)
"""Of a small rendering, (height, width)."""


def refused_or_a_picture(data: bytes) -> bool:
    """Decode, small whatever the file says of its size, and look inside, as ``inr info`` does; whether it is a picture."""
    try:
        decoded = codecs.decode(data, size=SIZE, device="cpu")
    except BitstreamError as error:
        assert str(error) and "\n" not in str(error)
        return False
    assert images.picture_problem(decoded) is None and decoded.shape == (3, *SIZE)
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    assert len(codecs.codec_of(data).describe(data)) > 0
    assert sum(bitstream.anatomy(data).values()) == sum(part.bytes for part in parts(data)) == len(data)
    return True


def refused_or_a_signal(data: bytes) -> bool:
    """Decode one frame, small, or one sample of a film or sound, whatever the file says, and look inside; whether it is one."""
    try:
        kind, length = bitstream.kind_of(data), bitstream.read_signal(data).size[0]
        signal = codecs.decode_signal(data, (5, 7) if kind == "film" else None, times=[0], device="cpu")
        codecs.signal_codec_of(data).describe(data)
    except BitstreamError as error:
        assert str(error) and "\n" not in str(error)
        return False
    assert length >= 1 and signal.kind == kind and signal.size[0] == 1
    return True


def inr(*arguments: str | Path, cwd: Path, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command ``inr`` in a process of its own."""
    return subprocess.run(
        inr_command(*arguments),
        cwd=cwd,
        env=one_thread(**environment),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def inr_command(*arguments: str | Path) -> Sequence[str]:
    return [sys.executable, "-m", "tutorial_lib.cli", *map(str, arguments)]


PEAK = """
def peak():
    import resource, sys
    from pathlib import Path
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
"""For a child process: its largest resident memory in bytes. Linux's ``ru_maxrss`` begins with that of the parent's process."""


def one_thread(**environment: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "INR_DEVICE": "cpu", "PYTHONUTF8": "1"} | environment


def largest_difference(first: Tensor, second: Tensor) -> int:
    """In grey levels, of two pictures rounded to 8 bits."""
    levels = [torch.from_numpy(images.to_uint8(each)).int() for each in (first, second)]
    return int((levels[0] - levels[1]).abs().max())
