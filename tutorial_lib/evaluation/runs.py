"""One run: encode, decode from the bytes, compare."""

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
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.classical import ClassicalCodec
from tutorial_lib.runtime import choose_device

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
        return key_of(asdict(self), self.content)

    def __str__(self) -> str:
        aim = f"λ = {self.lmbda:g}" if self.bpp is None else f"{self.bpp:g} bpp"
        return " ".join(filter(None, (self.picture, self.codec, self.loss, aim)))


def key_of(row: Mapping[str, Any], content: str | None = None) -> str:
    """The `Job.key` of a row or job's fields and a content; without one as in the rows of earlier releases."""
    asked = {field.name: row.get(field.name) for field in fields(Job) if field.name != "content"}
    return json.dumps(asked | ({} if content is None else {"content": content}), sort_keys=True)


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
