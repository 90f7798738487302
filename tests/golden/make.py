"""Make the golden files: one ``.inr`` per learned codec, its symbols as SHA-256, its picture as PNG.

    python tests/golden/make.py            # all of them
    python tests/golden/make.py nif        # the files of these codecs only; the others stay as they are

They pin the format: a later version must decode them to the same symbols. While the format is version 0 it
may still change, and this script may then be run again; from version 1 on the files stay for good.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from tutorial_lib import codecs, images
from tutorial_lib.quantization import QuantizedTensor

HERE = Path(__file__).resolve().parent


def facts(data: bytes) -> dict:
    """What must not change about a file: its size, and for each tensor shape, step and symbols."""
    tensors = {}
    for name, tensor in codecs.codec_of(data).tensors(data).items():
        quantized = isinstance(tensor, QuantizedTensor)
        values = tensor.symbols.astype("<i4") if quantized else tensor.numpy().astype("<f2")
        tensors[name] = {
            "shape": list(values.shape),
            "step": tensor.step if quantized else None,
            "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        }
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "tensors": tensors}


def main(names: list[str]) -> None:
    if unknown := set(names) - set(codecs.LEARNED):
        raise SystemExit(f"no learned codec {unknown.pop()!r}; there are {', '.join(codecs.LEARNED)}")
    picture = images.reduce(images.sample("coffee"), factor=4)
    for name in names or codecs.LEARNED:
        codec = codecs.LEARNED[name]
        data = codec.encode(picture, budget="quick", seed=0, device="cpu", progress=False)
        images.write_atomically(HERE / f"{name}.inr", data)
        images.save(codec.decode(data, device="cpu"), HERE / f"{name}.png")
    files = {name: HERE / f"{name}.inr" for name in codecs.LEARNED}
    everything = {name: facts(file.read_bytes()) for name, file in files.items() if file.exists()}
    images.write_atomically(HERE / "golden.json", (json.dumps(everything, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(sys.argv[1:])
