"""Sweeps: every (picture, codec, rate, loss) once, measured from its real file, a row a run.

    python -m tutorial_lib.evaluation losses --pictures kodak:3 kodak:15 --size 288x192 -o results/losses

Rows go to ``runs.jsonl`` in the results folder as soon as a run is done, so a sweep that was killed goes on where it was:
start it again with the same arguments. A run that fails is a row too, with its error; ``--retry`` runs those again.
Codecs are compared at equal *rate* (`at_rate`): curves of three rates or more, interpolated. At equal λ, as in the loss
paper, losses of different scale buy different rates: log cosh d ≈ d²/2 halves the distortion, which is doubling λ.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs.coolchic import CoolChicCodec
from tutorial_lib.losses import LOSSES
from tutorial_lib.runtime import choose_budget, choose_device

PAPER_LOSSES = ("l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim")
METRICS = ("psnr", "ssim", "ms_ssim_db", "lpips_alex", "lpips_squeeze", "ssimulacra2")


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

    @property
    def key(self) -> str:
        """Equal for equal jobs, in one process or another."""
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        aim = f"λ = {self.lmbda:g}" if self.bpp is None else f"{self.bpp:g} bpp"
        return " ".join(filter(None, (self.picture, self.codec, self.loss, aim)))


class Results:
    """The rows of a sweep, in a folder's ``runs.jsonl``; a line torn by a crash is dropped and its run repeated."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "runs.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """One row for each job: the last one that ran."""
        latest: dict[str, dict[str, Any]] = {}
        if self.file.exists():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue
                latest[row["key"]] = row
        return list(latest.values())

    def append(self, row: dict[str, Any]) -> None:
        """Add a row so that it survives whatever comes next."""
        torn = self.file.exists() and not self.file.read_bytes().endswith(b"\n") and self.file.stat().st_size > 0
        with self.file.open("ab") as file:
            file.write(b"\n" * torn + json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def measure(job: Job) -> dict[str, Any]:
    """Encode, decode from the bytes, compare: a job's row.

    Returns:
        the job's fields and ``key``; ``bytes``, ``bpp_real``; ``mse`` and `METRICS`, None where a picture is
        too small or weights are missing; ``encode_seconds``, ``decode_seconds``; machine, versions and time.
    """
    picture = images.open_picture(job.picture)
    if job.size is not None:
        picture = images.reduce(picture, size=job.size)
    codec = codecs.get(job.codec)
    options: dict[str, Any] = {"bpp": job.bpp}
    if job.codec in codecs.LEARNED:
        options |= {"budget": job.budget, "iterations": job.iterations, "seed": job.seed, "loss": job.loss, "progress": False}
    if job.lmbda is not None:
        options["lmbda"] = job.lmbda
    if not job.steer:
        options["steer"] = False
    started = time.perf_counter()
    data = codec.encode(picture, **options)
    encoded = time.perf_counter()
    decoded = codec.decode(data).cpu()
    seconds = time.perf_counter() - encoded
    row: dict[str, Any] = asdict(job) | {"key": job.key, "error": None, "height": picture.shape[1], "width": picture.shape[2]}
    row |= {"bytes": len(data), "bpp_real": metrics.bits_per_pixel(data, picture)}
    row |= {"encode_seconds": encoded - started, "decode_seconds": seconds, "mse": metrics.mse(decoded, picture)}
    return row | scores(decoded, picture) | circumstances()


def scores(decoded: torch.Tensor, picture: torch.Tensor) -> dict[str, float | None]:
    """All `METRICS` of a decoded picture, None where one is not to be had."""
    measures = {
        "psnr": lambda: metrics.psnr(decoded, picture),
        "ssim": lambda: metrics.ssim(decoded, picture),
        "ms_ssim_db": lambda: metrics.ms_ssim_db(decoded, picture),
        "lpips_alex": lambda: metrics.lpips(decoded, picture, network="alex"),
        "lpips_squeeze": lambda: metrics.lpips(decoded, picture, network="squeeze"),
        "ssimulacra2": lambda: metrics.ssimulacra2(decoded, picture),
    }
    values: dict[str, float | None] = {}
    for name, measure_ in measures.items():
        try:
            value = measure_()
        except metrics.MetricError:
            value = None
        values[name] = value if value is not None and math.isfinite(value) else None  # JSON has no infinity
    return values


def circumstances() -> dict[str, Any]:
    """Where and with what a run was made."""
    device = choose_device()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def sweep(jobs: Iterable[Job], results: Results, *, retry: bool = False, progress: bool = True) -> list[dict[str, Any]]:
    """Run the jobs that have no row yet; Ctrl-C ends the sweep between two runs' rows and loses none.

    Args:
        jobs: equal ones run once.
        results: where rows are and go.
        retry: run failed jobs again.
        progress: show a bar with the time left.

    Returns:
        the rows of all ``jobs`` that are done or failed.
    """
    wanted = {job.key: job for job in jobs}
    there = {row["key"]: row for row in results.rows()}
    missing = [job for key, job in wanted.items() if key not in there or (retry and there[key]["error"])]
    with tqdm(missing, unit="run", disable=not progress) as bar:
        for job in bar:
            bar.set_postfix_str(str(job), refresh=True)
            try:
                row = measure(job)
            except (ValueError, OSError, RuntimeError, MemoryError) as error:
                row = asdict(job) | {"key": job.key, "error": f"{type(error).__name__}: {error}"} | circumstances()
            results.append(row)
    return [row for row in results.rows() if row["key"] in wanted]


def at_rate(rates: Sequence[float], values: Sequence[float], rate: float) -> float:
    """A metric at ``rate`` bits per pixel, linear in log rate between the two nearest points of a curve.

    Raises:
        ValueError: ``rate`` lies outside the curve: nothing is extrapolated.

    >>> at_rate([0.25, 1.0], [30.0, 34.0], 0.5)
    32.0
    """
    order = np.argsort(rates)
    xs, ys = np.log(np.asarray(rates, dtype=float)[order]), np.asarray(values, dtype=float)[order]
    x = math.log(rate)
    # a file may miss its rate by the last byte
    if not xs[0] - 1e-2 <= x <= xs[-1] + 1e-2:
        raise ValueError(f"{rate:g} bpp lies outside the curve, which spans {math.exp(xs[0]):.3g} to {math.exp(xs[-1]):.3g}")
    return float(np.interp(x, xs, ys))


def loss_jobs(
    pictures: Sequence[str],
    learned: Sequence[str],
    rates: Sequence[float],
    *,
    lambdas: Sequence[float] = (),
    size: tuple[int, int] | None = None,
    losses: Sequence[str] = PAPER_LOSSES,
    classical: Sequence[str] = ("jpeg", "avif"),
    budget: str | None = None,
    iterations: int | None = None,
    seed: int = 0,
    steer: bool = True,
) -> list[Job]:
    """Loss × architecture × rate × picture, as in the loss paper's Fig. 2, with classical codecs beside them.

    Args:
        pictures: as `images.open_picture` takes them.
        learned, classical: names of codecs; learned ones are fitted with each loss.
        rates: in bits per pixel.
        lambdas: fit latent grids at these λ as well, to compare losses as the paper does.
        size, losses, budget, iterations, seed, steer: see `Job`.

    Returns:
        jobs, a picture and a rate after the other, so that a sweep cut short has whole comparisons.
    """
    fitted = {"size": size, "budget": choose_budget(budget), "iterations": iterations, "seed": seed}
    grids = [name for name in learned if isinstance(codecs.get(name), CoolChicCodec)]
    jobs = []
    for picture in pictures:
        for bpp in rates:
            jobs += [Job(picture, codec, bpp, size) for codec in classical]
            for codec in learned:
                moving = steer or codec not in grids
                jobs += [Job(picture, codec, bpp, loss=loss, steer=moving, **fitted) for loss in losses]
        for lmbda in lambdas:
            jobs += [Job(picture, codec, None, loss=loss, lmbda=lmbda, **fitted) for codec in grids for loss in losses]
    return jobs


def _draw(rows: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    """The figure of a sweep of losses, as a page that opens from disk."""
    from tutorial_lib.plots import loss_curves

    try:
        drawn = loss_curves(rows, title=title)
    except ValueError as error:  # too little is there yet
        print(f"no figure: {error}")
        return
    images.write_atomically(file, f'<!doctype html><meta charset="utf-8"><title>Losses</title>{drawn.html}'.encode())
    print(f"→ {file}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tutorial_lib.evaluation", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    losses = commands.add_parser("losses", help="five losses on three architectures, with JPEG and AVIF")
    losses.add_argument("--pictures", nargs="+", required=True, help="files, samples' names, kodak:1 … kodak:24")
    losses.add_argument("--size", metavar="WxH", help="reduce pictures to this size; default: their own")
    losses.add_argument("--codecs", nargs="+", default=["nif", "coolchic-v1", "coolchic-v2"], choices=list(codecs.LEARNED))
    losses.add_argument("--losses", nargs="+", default=list(PAPER_LOSSES), choices=list(LOSSES))
    losses.add_argument("--rates", nargs="+", type=float, default=[0.4, 0.8, 1.4], metavar="BPP")
    losses.add_argument("--lambdas", nargs="*", type=float, default=[], help="also fit latent grids at these λ")
    losses.add_argument("--budget", choices=tuple(codecs.BUDGETS))
    losses.add_argument("--iterations", type=int, help="of every fit; default: what the budget affords")
    losses.add_argument("--seed", type=int, default=0)
    losses.add_argument("--no-steering", action="store_true", help="latent grids: keep λ, come only near the rates, sooner")
    losses.add_argument("--retry", action="store_true", help="run failed runs again")
    losses.add_argument("-o", "--output", default="results/losses", metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    size = None
    if chosen.size:
        width, height = (int(side) for side in chosen.size.lower().replace("×", "x").split("x"))
        size = height, width
    jobs = loss_jobs(
        chosen.pictures,
        chosen.codecs,
        chosen.rates,
        lambdas=chosen.lambdas,
        size=size,
        losses=chosen.losses,
        budget=chosen.budget,
        iterations=chosen.iterations,
        seed=chosen.seed,
        steer=not chosen.no_steering,
    )
    results = Results(chosen.output)
    rows = sweep(jobs, results, retry=chosen.retry)
    _draw(rows, results.folder / "curves.html", f"pictures at {chosen.size}" if chosen.size else "")
    failed = [row for row in rows if row["error"]]
    print(f"{len(rows)} runs in {chosen.output}, {len(failed)} of them failed")
    for row in failed[:5]:
        print(f"  {row['picture']} {row['codec']} {row['loss']} {row['bpp']} bpp, λ {row['lmbda']}: {row['error']}")


if __name__ == "__main__":
    main()
