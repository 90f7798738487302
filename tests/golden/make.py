"""Make golden files of the present format version: their symbols as SHA-256 in golden.json, what they show as PNG.

    python tests/golden/make.py nif        # the files of these codecs, and no others
    python tests/golden/make.py            # those that are missing

They pin the format: every later version must decode them to the same symbols. A file that was once part of a release stays for
good, as those in ``v0`` do; a new codec, or something new that a file can hold, gets a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import codec_files  # noqa: E402
from codec_files import mixed_file  # noqa: E402

from tutorial_lib import codecs, images  # noqa: E402
from tutorial_lib.coding import bitstream  # noqa: E402
from tutorial_lib.coding.steps import QuantizedTensor  # noqa: E402

NAMES = (*codecs.LEARNED, "struempler-meta", "mixed", "reduced", *codecs.SIGNALS)
"""Of format version 1, but for the last: of version 2, and films and sounds of version 3."""


def codec_of(data: bytes) -> codecs.Codec:
    """Also of a film or a sound."""
    return codecs.codec_of(data) if bitstream.kind_of(data) == "picture" else codecs.signal_codec_of(data)


def shown(data: bytes) -> Tensor:
    """What a file holds, as a picture: of a film the frames below each other, of a sound's first channel a row of greys."""
    if bitstream.kind_of(data) == "picture":
        return codecs.decode(data, device="cpu")
    signal = codecs.decode_signal(data, device="cpu")
    return torch.cat([*signal.frames], dim=1) if signal.kind == "film" else signal.values[:1, None].expand(3, -1, -1)


def facts(data: bytes) -> dict:
    """What must not change about a file: its size, and for each tensor shape, step (or steps) and symbols."""
    tensors = {}
    for name, tensor in codec_of(data).tensors(data).items():
        quantized = isinstance(tensor, QuantizedTensor)
        values = tensor.symbols.astype("<i4") if quantized else tensor.numpy().astype("<f2")
        tensors[name] = {
            "shape": list(values.shape),
            "step": np.asarray(tensor.step).tolist() if quantized else None,
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        }
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "tensors": tensors}


def make(name: str) -> bytes:
    """A file that a codec makes of the same picture, or the made-up one."""
    if name == "mixed":
        return mixed_file()
    if name in codecs.SIGNALS:
        codec = codecs.SIGNALS[name]
        signal = codec_files.clip() if codec.kind == "film" else codec_files.sound()
        return codec.encode(signal, bpp=8, budget="quick", device="cpu", progress=False)
    picture = images.reduce(images.sample("coffee"), factor=4)
    if name == "reduced":
        return codecs.COOLCHIC_LARGE.encode(picture, budget="quick", reduction=2, device="cpu", progress=False)
    codec, method = ("struempler", "meta") if name == "struempler-meta" else (name, "fast")
    return codecs.LEARNED[codec].encode(picture, budget="quick", method=method, seed=0, device="cpu", progress=False)


def main(names: list[str]) -> None:
    if unknown := set(names) - set(NAMES):
        raise SystemExit(f"no file {unknown.pop()!r}; there are {', '.join(NAMES)}")
    for name in names or [name for name in NAMES if not (folder_of(name) / f"{name}.inr").exists()]:
        data = make(name)
        images.write_atomically(folder_of(name) / f"{name}.inr", data)
        images.save(shown(data), folder_of(name) / f"{name}.png")
    for folder in {folder_of(name) for name in NAMES}:
        files = {name: folder / f"{name}.inr" for name in NAMES}
        everything = {name: facts(file.read_bytes()) for name, file in files.items() if file.exists()}
        images.write_atomically(folder / "golden.json", (json.dumps(everything, indent=1) + "\n").encode())


def folder_of(name: str) -> Path:
    """Of the format version that a file is written in."""
    folder = HERE / ("v3" if name in codecs.SIGNALS else "v2" if name == "reduced" else "v1")
    folder.mkdir(exist_ok=True)
    return folder


if __name__ == "__main__":
    main(sys.argv[1:])
