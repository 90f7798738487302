"""Every picture file of some folders through `images.load`, beside ImageMagick where it is installed: what differs?

    python tests/benchmarks/picture_suite.py FOLDER… [--levels 2] [--verbose]

A file counts as the same when both give one size and differ by at most `--levels` of 255 on average; what both refuse counts as
refused. The rest is listed, to be judged by eye: ImageMagick shows some files differently on purpose. About 10 files a second.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from shutil import which

import numpy as np
from PIL import Image, ImageCms

from tutorial_lib import images

SUFFIXES = set(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .avif .heic .heif .tif .tiff .bmp .dib .gif .ppm .pgm .pbm .pnm .jp2 .j2k .jpx "
    ".ico .psd .qoi .jxl".split()
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--levels", type=float, default=2.0, help="mean difference that counts as the same")
    options.add_argument("--verbose", action="store_true", help="list files that both refuse, too")
    chosen = options.parse_args()
    command = which("magick") or which("convert")
    print(f"second decoder: {command or 'none (ImageMagick is not installed)'}")
    paths = sorted({path for folder in chosen.folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES})
    counts = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "srgb.icc"
        profile.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        for path in paths:
            outcome, remark = compare(path, command, profile, chosen.levels)
            counts[outcome] += 1
            if outcome not in ("same", "read") and (outcome != "refused" or chosen.verbose):
                print(f"{outcome}: {path}: {remark}")
    print(f"\n{len(paths)} files: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))


def compare(path: Path, command: str | None, profile: Path, limit: float) -> tuple[str, str]:
    """What became of a file in one or two words, and a remark for who looks into it."""
    try:
        ours = images.to_uint8(images.load(path)).astype(int)
    except images.ImageError as error:
        ours, remark = None, str(error)
    except Exception as error:
        return "TRACEBACK", f"{type(error).__name__}: {error}"
    if command is None:
        return ("read", "") if ours is not None else ("refused", remark)
    theirs = second(path, command, profile)
    if ours is None:
        return ("refused", remark) if theirs is None else ("refused here alone", remark)
    if theirs is None:
        return "read here alone", ""
    if ours.shape != theirs.shape:
        return "other size", f"{ours.shape[:2]} here, {theirs.shape[:2]} there"
    difference = np.abs(ours - theirs)
    remark = f"mean {difference.mean():.1f}, largest {difference.max()}"
    return ("same" if difference.mean() <= limit else "differs"), remark


def second(path: Path, command: str, profile: Path) -> np.ndarray | None:
    """ImageMagick's picture on a white page as sRGB, (H, W, 3); None where it gives none."""
    shown = ["-auto-orient", "-profile", str(profile), "-background", "white", "-alpha", "remove", "-colorspace", "sRGB"]
    made = [command, f"{path}[0]", *shown, "-depth", "8", "-type", "TrueColor", "ppm:-"]
    try:
        done = subprocess.run(made, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode or not done.stdout.startswith(b"P6"):
        return None
    with tempfile.TemporaryFile() as file:
        file.write(done.stdout)
        file.seek(0)
        return np.asarray(Image.open(file).convert("RGB")).astype(int)


if __name__ == "__main__":
    main()
