"""What `inr encode photograph.jpg` makes of large photographs, beside `siren`, JPEG and AVIF in as many bytes.

    python tests/benchmarks/phone.py sunset.jpg bridge.jpg … [--threads 2] [--without siren]

The measurements' pictures are six under CC BY in the packages lomiri-wallpapers-16.04 and -20.04. Encoding is a process of its
own, and so is its largest memory (read where Linux says it); files are decoded and compared with the photograph at its own size.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from torch import Tensor

from tutorial_lib import codecs, images
from tutorial_lib.metrics import psnr, ssimulacra2

COMMAND = """
import sys
from pathlib import Path
from tutorial_lib.cli import main
code = main(sys.argv[1:])
status = Path("/proc/self/status")
print(status.read_text() if status.exists() else "")
sys.exit(code)
"""


def encoded(path: str, threads: int, options: list[str]) -> tuple[bytes, str]:
    """The file, and how it came about: seconds, CPU seconds, GB."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "it.inr"
        command = [sys.executable, "-c", COMMAND, "encode", path, "-o", str(target), "--json", *options]
        began, before = time.monotonic(), os.times()
        run = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True
        )
        took, after = time.monotonic() - began, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        peak = re.search(r"VmHWM:\s+(\d+) kB", run.stdout)
        how = f"{took:.0f} s, {cpu:.0f} CPU s, {int(peak[1]) / 1e6 if peak else 0:.2f} GB"
        return target.read_bytes(), how


def row(name: str, data: bytes, picture: Tensor, how: str = "") -> None:
    painted = codecs.decode(data) if data.startswith(b"INR") else codecs.get(name).decode(data)
    judged = f"PSNR {psnr(painted, picture):.2f} dB, SSIMULACRA 2 {ssimulacra2(painted, picture):.1f}"
    print(f"  {name:<8}{len(data):>9,} bytes, {judged}; {how}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without", nargs="*", default=[], help="of: siren, jpeg, avif")
    options = parser.parse_args()
    for path in options.photographs:
        picture = images.open_picture(path)
        height, width = picture.shape[1:]
        print(f"{Path(path).stem}, {width}×{height}", flush=True)
        data, how = encoded(path, options.threads, [])
        row("default", data, picture, how)
        bpp = 8 * len(data) / (height * width)
        if "siren" not in options.without:
            data, how = encoded(path, options.threads, ["--codec", "siren", "--bpp", f"{bpp:.5f}"])
            row("siren", data, picture, how)
        for name in ("jpeg", "avif"):
            if name not in options.without:
                try:
                    row(name, codecs.get(name).encode(picture, bpp=bpp), picture)
                except codecs.CodecError:
                    row(name, codecs.get(name).encode(picture, quality=1), picture, "its smallest file")


if __name__ == "__main__":
    main()
