"""One run: encode, decode from the bytes, compare; and the rows of many, kept so that a crash loses none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.classical import SUFFIXES, ClassicalCodec
from tutorial_lib.runtime import choose_device, require_writable

PACKAGES = ("torch", "numpy", "pillow", "constriction", "pytorch-optimizer")

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        picture: as `images.open_picture` takes it.
        size: (height, width) to reduce it to; None for its own.
        codec: a name in `codecs.names`.
        bpp: the rate asked for; None where λ decides.
        loss: a name in `losses.LOSSES`; None for classical codecs, and for a recipe's own.
        budget: "quick", "laptop" or "gpu"; None for classical codecs.
        seed: of the fit.
        iterations: of the fit; None for what the budget affords.
        lmbda: λ in D + λR, D being the loss as it is; latent grids only.
        steer: False for latent grids whose λ is not to move: a rate near ``bpp``, in less time.
        content: `content_of` the picture, so that another one under its name is another job; `sweep` finds it out.
    """

    picture: str
    codec: str
    bpp: float | None
    size: tuple[int, int] | None = None
    loss: str | None = None
    budget: str | None = None
    seed: int = 0
    iterations: int | None = None
    lmbda: float | None = None
    steer: bool = True
    content: str | None = None

    @property
    def key(self) -> str:
        """Equal for equal jobs, in one process or another."""
        fields = asdict(self)
        if self.content is None:  # as in the rows of earlier releases
            del fields["content"]
        return json.dumps(fields, sort_keys=True)

    def __str__(self) -> str:
        aim = f"λ = {self.lmbda:g}" if self.bpp is None else f"{self.bpp:g} bpp"
        return " ".join(filter(None, (self.picture, self.codec, self.loss, aim)))


def content_of(picture: str) -> str | None:
    """What tells a picture from others that its file has held or will hold: the beginning of its pixels' SHA-256.

    None for a picture that the course knows by name, whose file is checked already, and for one that can't be opened here.
    """
    if picture in images.SAMPLES or re.fullmatch(r"kodak:\d+|kodim\d\d", picture):
        return None
    with contextlib.suppress(ValueError, OSError):
        return _content(images.open_picture(picture))
    return None


def _content(picture: Tensor) -> str:
    return hashlib.sha256(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes()).hexdigest()[:16]


class Results:
    """The rows of a sweep, in a folder's ``runs.jsonl``, and the encoded files beside it, in ``files``.

    A line torn by a crash is dropped and its run repeated. Nothing is created before the first row.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.file = self.folder / "runs.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """One row for each job: the last one that ran. `read` says what was passed over."""
        return self.read()[0]

    def read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """`rows`, and remarks: lines that are no rows, and names under which several pictures were measured."""
        latest: dict[str, dict[str, Any]] = {}
        remarks: list[str] = []
        lines = self.file.read_bytes().split(b"\n") if self.file.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line or "{}", parse_constant=lambda _: None)
                problem = _row_problem(row) if line else None
            except (ValueError, RecursionError):
                row, problem = {}, "it is cut off, or no JSON"
            if problem:
                remarks.append(f"{self.file}, line {number} is passed over: {problem}")
            elif row:
                latest[row["key"]] = row
        rows = list(latest.values())
        return rows, remarks + _tell_apart(rows)

    def require_writable(self) -> None:
        """Find out before the first run whether its row can be written.

        Raises:
            OSError: it can't.
        """
        there = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if self.file.exists():
            self.file.open("ab").close()
        # the files beside the rows, too, are new
        for folder in (self.folder / "files",) if (self.folder / "files").exists() else (there,):
            require_writable(folder / "runs.jsonl")

    def append(self, row: dict[str, Any], data: bytes | None = None) -> dict[str, Any]:
        """Add a row, and its file, so that they survive whatever comes next; returns the row with the file's name."""
        row = row | {"file": None}
        if data is not None:
            try:
                (self.folder / "files").mkdir(parents=True, exist_ok=True)
                images.write_atomically(self.folder / "files" / _file_name(row), data)
                row["file"] = _file_name(row)
            except OSError as error:  # the numbers are worth more than the file
                row["file_error"] = str(error)
        self.folder.mkdir(parents=True, exist_ok=True)
        torn = self.file.exists() and not self.file.read_bytes().endswith(b"\n") and self.file.stat().st_size > 0
        with self.file.open("ab") as file:
            file.write(b"\n" * torn + json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def data(self, row: Mapping[str, Any]) -> bytes | None:
        """The file of a run; None where the folder came without it."""
        name = row.get("file") or ""
        path = self.folder / "files" / name
        # a folder from elsewhere may name anything: only what lies in its own files is read
        return path.read_bytes() if name and Path(name).name == name and path.is_file() else None


_MEASURED = ("bytes", "bpp_real", "height", "width")
_NUMBERS = ("bpp", "lmbda", "mse", "psnr", "ssim", "ms_ssim_db", "lpips_alex", "lpips_squeeze", "ssimulacra2", "encode_seconds",
            "decode_seconds", "encode_peak_mb", "decode_peak_mb", "device_peak_mb", "operations_per_pixel")  # fmt: skip


def _row_problem(row: Any) -> str | None:
    """Why a line's content is no row of a sweep; None where it is one."""
    if not isinstance(row, dict) or not all(isinstance(row.get(field), str) for field in ("key", "picture", "codec")):
        return "it is no run of a sweep"
    if not isinstance(row.get("error"), str | None) or not isinstance(row.get("loss"), str | None):
        return "its error or its loss is no text"
    if not row.get("error") and not all(isinstance(row.get(name), int | float) and row[name] > 0 for name in _MEASURED):
        return f"it lacks one of {', '.join(_MEASURED)}"
    if wrong := [name for name in _NUMBERS if not isinstance(row.get(name), int | float | None)]:
        return f"its {wrong[0]} is no number"
    return None


def _tell_apart(rows: list[dict[str, Any]]) -> list[str]:
    """Give a "name" to the rows whose picture's name doesn't say which it is; and say so.

    A picture under several names is called by the first; several pictures under one name by their contents, too.
    """
    names: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    for row in rows:
        if content := row.get("content"):
            found.setdefault(names.setdefault(content, row["picture"]), set()).add(content)
    for row in rows:
        if content := row.get("content"):
            name = names[content] if len(found[names[content]]) == 1 else f"{names[content]} [{content[:6]}]"
            row |= {"name": name} if name != row["picture"] else {}
    several = {name: contents for name, contents in found.items() if len(contents) > 1}
    return [
        f"{name} has been {len(contents)} pictures, told apart here by their pixels' SHA-256"
        for name, contents in several.items()
    ]


def _file_name(row: Mapping[str, Any]) -> str:
    """What ran, readable, and a hash of all that tells it from other runs: "kodak3-jpeg-0.5-1f2e3d4c.jpg"."""
    suffixes = {"png": ".png", "jpeg-444": ".jpg"} | {codec: suffix for suffix, codec in list(SUFFIXES.items())[::-1]}
    suffix = suffixes.get(row["codec"], ".inr")
    aim = f"lambda{row['lmbda']:g}" if row.get("bpp") is None else f"{row['bpp']:g}"
    picture = Path(str(row["picture"]).replace(":", "")).stem
    name = "-".join(filter(None, (picture, row["codec"], row.get("loss"), aim)))
    return f"{re.sub(r'[^a-zA-Z0-9.+-]', '_', name)}-{hashlib.sha256(row['key'].encode()).hexdigest()[:8]}{suffix}"


@dataclass(frozen=True)
class Run:
    """What became of a job: its row, and the encoded file, None of a failure."""

    row: dict[str, Any]
    data: bytes | None


def run(job: Job, lpips: bool = False) -> Run:
    """`measure`, with a failure as a row of its own: the job's fields, ``key`` and ``error``."""
    try:
        return measure(job, lpips)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return failure(job, f"{type(error).__name__}: {error}")


def failure(job: Job, error: str) -> Run:
    """The row of a run that failed."""
    return Run(asdict(job) | {"key": job.key, "error": error} | circumstances(), None)


def measure(job: Job, lpips: bool = False) -> Run:
    """Encode, decode from the bytes, compare. Ctrl-C ends it: the file of a fit cut short is no measurement.

    Returns:
        the file, and a row of the job's fields and ``key``; ``height``, ``width``, ``bytes``, ``bpp_real``; ``mse`` and
        the `scores`, None where a picture is too small or weights are missing; ``encode_seconds`` and ``decode_seconds`` by the
        clock, ``encode_cpu_seconds`` and ``decode_cpu_seconds``; ``encode_peak_mb`` and ``decode_peak_mb``, most memory of
        the process meanwhile (Python and PyTorch included, and what earlier runs in it keep mapped), ``device_peak_mb``, of a
        GPU's memory, None without one; ``operations_per_pixel``, multiply-adds of the decoder, None for classical codecs;
        ``settings``, what those were called with; machine, versions and time.
    """
    picture = original(asdict(job))
    codec = codecs.get(job.codec)
    on_gpu = choose_device().type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    data, encoding = watched(lambda: _encoded(job, picture), "encode")
    decoded, decoding = watched(lambda: codec.decode(data).cpu(), "decode")
    row: dict[str, Any] = asdict(job) | {"key": job.key, "error": None, "height": picture.shape[1], "width": picture.shape[2]}
    row |= {"bytes": len(data), "bpp_real": metrics.bits_per_pixel(data, picture)} | encoding | decoding
    row["device_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else None
    row["operations_per_pixel"] = None if isinstance(codec, ClassicalCodec) else codec.operations_per_pixel(data)
    row["settings"] = codec.settings if isinstance(codec, ClassicalCodec) else None
    row["mse"] = metrics.mse(decoded, picture)
    return Run(row | scores(decoded, picture, lpips) | circumstances(), data)


def _encoded(job: Job, picture: Tensor) -> bytes:
    codec = codecs.get(job.codec)
    if isinstance(codec, ClassicalCodec):
        return codec.encode(picture, bpp=job.bpp)
    wishes: dict[str, Any] = {"bpp": job.bpp, "budget": job.budget, "iterations": job.iterations, "loss": job.loss}
    wishes |= {} if job.lmbda is None else {"lmbda": job.lmbda}
    wishes |= {} if job.steer else {"steer": False}
    encoding = codec.execute(codec.plan(picture, device=choose_device(), **wishes), picture, seed=job.seed, progress=False)
    if encoding.report.interrupted:
        raise KeyboardInterrupt  # half a fit is no measurement
    return encoding.data


def original(row: Mapping[str, Any]) -> Tensor:
    """The picture of a row or job's fields, as it was encoded: opened, and reduced to ``size``.

    Raises:
        ValueError: it can't be opened, or has other pixels now.
    """
    picture = images.open_picture(row["picture"])
    if row.get("content") not in (None, _content(picture)):
        raise ValueError(f"{row['picture']} has other pixels now than when it was first looked at")
    return images.reduce(picture, size=tuple(row["size"])) if row.get("size") else picture


def watched(work: Callable[[], T], role: str) -> tuple[T, dict[str, float]]:
    """What some work gives, and what it took, with a look at the process's memory every 20 ms.

    The fields, with ``role`` before each: ``seconds`` by the clock; ``cpu_seconds`` of the process, all its threads, what other
    programs beside it change least; ``peak_mb``, the process's largest memory meanwhile, in 10⁶ bytes.
    """
    import psutil

    process, done = psutil.Process(), threading.Event()
    peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started, cpu_started = time.perf_counter(), time.process_time()
    try:
        result = work()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        peak = max(peak, process.memory_info().rss)
    finally:
        done.set()
        watcher.join()
    return result, {f"{role}_seconds": seconds, f"{role}_cpu_seconds": cpu_seconds, f"{role}_peak_mb": peak / 1e6}


def scores(decoded: Tensor, picture: Tensor, lpips: bool) -> dict[str, float | None]:
    """Distortions of a decoded picture, None where one is not to be had; LPIPS without ``lpips`` only where its weights are."""
    measures: dict[str, Callable[[Tensor, Tensor], float]] = {
        "psnr": metrics.psnr,
        "ssim": metrics.ssim,
        "ms_ssim_db": metrics.ms_ssim_db,
        "lpips_alex": partial(metrics.lpips, network="alex"),
        "lpips_squeeze": partial(metrics.lpips, network="squeeze"),
        "ssimulacra2": metrics.ssimulacra2,
    }
    unasked = () if lpips else {f"lpips_{network}" for network in metrics.lpips_weights_missing()}
    values: dict[str, float | None] = dict.fromkeys(measures)
    for name in [name for name in measures if name not in unasked]:
        with contextlib.suppress(metrics.MetricError):
            value = measures[name](decoded, picture)
            values[name] = value if math.isfinite(value) else None  # JSON has no infinity
    return values


def circumstances() -> dict[str, Any]:
    """Where and with what a run was made."""
    device = choose_device()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES},
    }
