"""The course's pictures: the samples of scikit-image, and the Kodak suite."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import operator
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from torch import Tensor

from tutorial_lib.images.arrays import ImageError
from tutorial_lib.images.files import load
from tutorial_lib.runtime import data_path

SAMPLES: tuple[str, ...] = ("astronaut", "chelsea", "coffee")
"""Names of the pictures that `sample` reads from the installed scikit-image."""

KODAK_COUNT = 24
"""How many pictures the Kodak suite holds."""


def sample(name: str) -> Tensor:
    """One of the course's sample pictures, from the installed scikit-image; never downloads anything.

    Args:
        name: one of `SAMPLES`: astronaut (512×512), chelsea (a cat, 300×451), coffee (400×600). All are
            free of rights (public domain or CC0; ``data/datasets.toml`` gives source and licence).

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: unknown name, scikit-image missing, or its file is not the one this course was made with.
    """
    if name not in SAMPLES:
        raise ImageError(f"there is no sample picture {name!r}: choose one of {', '.join(SAMPLES)}.")
    # Found without importing it: scikit-image takes a second to import, and its own loader may download.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ImageError("the sample pictures come with scikit-image: pip install scikit-image.")
    entry = _datasets()["samples"]["pictures"][name]
    path = Path(spec.submodule_search_locations[0]) / "data" / entry["file"]
    if not path.is_file():
        raise ImageError(f"the installed scikit-image has no {path}; the course was made with version 0.26.")
    _require_hash(path, entry["sha256"])
    return load(path)


def kodak(number: int) -> Tensor:
    """Picture 1 to 24 of the Kodak Lossless True Color Image Suite, 768×512 or 512×768 pixels.

    Looked for, in this order: the folder in the environment variable ``INR_DATA_DIR`` (``kodim01.png`` …,
    directly or in a folder ``kodak``), the cache (``data/downloads/kodak`` in a checkout of this repository,
    the user's cache folder otherwise), and then the site https://r0k.us/graphics/kodak, whence it is
    downloaded (0.5 to 0.8 MB) into the cache. Wherever a file comes from, its SHA-256 is checked.

    Args:
        number: 1 to 24.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: no such number, no network, or a file with another content.
    """
    if path := kodak_path(number):
        return load(path)
    import pooch  # not at the top: most readers need none of it

    entry, file = _datasets()["kodak"], f"kodim{number:02d}.png"
    hashes = {name: f"sha256:{digest}" for name, digest in entry["sha256"].items()}
    store = pooch.create(_kodak_cache(), entry["url"], registry=hashes)
    try:
        downloader: Any = pooch.HTTPDownloader(timeout=30)  # pooch's own protocol is wider than its downloader
        path = store.fetch(file, downloader=downloader)
    except Exception as error:  # requests, urllib3, ssl, pooch and the disk each have their own
        raise ImageError(
            f"{file} is not on this machine and could not be downloaded from {entry['homepage']} "
            f"({type(error).__name__}); put the Kodak pictures into a folder and name it in INR_DATA_DIR."
        ) from error
    return load(path)


def kodak_path(number: int) -> Path | None:
    """Where picture 1 to 24 of the Kodak suite lies on this machine, its content checked; None when it does not. Asks no network.

    Raises:
        ImageError: no such number, or a file with another content in the reader's own folder.
    """
    try:
        number = operator.index(number)
    except TypeError:
        raise ImageError(f"a Kodak picture is a number from 1 to {KODAK_COUNT}, not {number!r}.") from None
    if not 1 <= number <= KODAK_COUNT:
        raise ImageError(f"there is no Kodak picture {number}: they go from 1 to {KODAK_COUNT}.")
    file = f"kodim{number:02d}.png"
    sha256 = _datasets()["kodak"]["sha256"][file]
    if folder := os.environ.get("INR_DATA_DIR"):
        for path in (Path(folder) / file, Path(folder) / "kodak" / file):
            if path.is_file():
                _require_hash(path, sha256)  # the reader's own file: say it, don't go around it
                return path
    cached = _kodak_cache() / file
    return cached if cached.is_file() and _has_hash(cached, sha256) else None


def kodak_available() -> int:
    """How many of the 24 Kodak pictures are on this machine, complete and unchanged. Asks no network."""
    found = 0
    for number in range(1, len(_datasets()["kodak"]["sha256"]) + 1):
        with contextlib.suppress(ImageError):
            found += kodak_path(number) is not None
    return found


def open_picture(name_or_path: str | os.PathLike[str]) -> Tensor:
    """A picture by what a person would type: a sample's name, a Kodak number, or a path.

    Args:
        name_or_path: ``"astronaut"``, ``"chelsea"``, ``"coffee"``; ``"kodak:3"`` or ``"kodim03"``; anything
            else is a path. A file that happens to bear such a name is meant by ``./astronaut``.

    Returns:
        picture (3, H, W), float32, RGB in [0, 1].

    Raises:
        ImageError: as `sample`, `kodak` and `load`.
    """
    if isinstance(name_or_path, str):
        if name_or_path in SAMPLES:
            return sample(name_or_path)
        if match := re.fullmatch(r"kodak:(\d{1,3})|kodim(\d{2})", name_or_path):
            return kodak(int(match[1] or match[2]))
        if name_or_path.startswith("kodak:"):
            raise ImageError(f"{name_or_path}: after 'kodak:' comes a number from 1 to {KODAK_COUNT}.")
        if not os.path.dirname(name_or_path) and not os.path.exists(name_or_path):
            raise ImageError(
                f"{name_or_path} does not exist (names of pictures: {', '.join(SAMPLES)}, kodak:1 to kodak:{KODAK_COUNT})."
            )
    return load(name_or_path)


def dataset(name: str) -> dict[str, Any]:
    """What data/datasets.toml says of a set of data: title, homepage, licence, and what it must hash to."""
    return _datasets()[name]


@functools.cache
def _datasets() -> dict[str, Any]:
    """data/datasets.toml: inside the package when installed, beside it in a checkout."""
    if path := data_path("datasets.toml"):
        return tomllib.loads(path.read_text(encoding="utf-8"))
    raise ImageError("data/datasets.toml is missing from this installation: install the package again.")


def _has_hash(path: Path, sha256: str) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _require_hash(path: Path, sha256: str) -> None:
    if not _has_hash(path, sha256):
        raise ImageError(f"{path} is not the expected file (its SHA-256 differs): replace or remove it.")


def _kodak_cache() -> Path:
    return cache_folder("kodak")


def cache_folder(name: str) -> Path:
    """Where downloads of that set lie: ``data/downloads`` of a checkout of this repository, else the user's cache folder."""
    table = data_path("datasets.toml")
    if table is not None and (table.parent.parent / "pyproject.toml").is_file():  # a checkout
        return table.parent / "downloads" / name
    import platformdirs

    return Path(platformdirs.user_cache_dir("tutorial_lib", appauthor=False)) / name
