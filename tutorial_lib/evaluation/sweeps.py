"""Sweeps: every (picture, codec, rate, loss) once, on one machine or many, resumed where they were stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm.auto import tqdm

from tutorial_lib import codecs, images
from tutorial_lib.evaluation.results import Results
from tutorial_lib.evaluation.runs import Job, content_of, key_of
from tutorial_lib.evaluation.workers import finished
from tutorial_lib.losses import LOSSES
from tutorial_lib.runtime import choose_budget

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm")


def expand(pictures: Sequence[str]) -> list[str]:
    """Names of single pictures: a folder's pictures, "kodak" for all 24, "samples" for all samples, others as they are.

    Raises:
        ValueError: a folder without pictures.
    """
    found: list[str] = []
    for name in pictures:
        if match := re.fullmatch(r"kodak:0*(\d+)|kodim(\d\d)", name):
            found.append(f"kodak:{int(match[1] or match[2])}")
        elif name == "kodak":
            found += [f"kodak:{number}" for number in range(1, 25)]
        elif name == "samples":
            found += images.SAMPLES
        elif Path(name).is_dir():
            inside = [str(path) for path in sorted(Path(name).iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES]
            if not inside:
                raise ValueError(f"there is no picture in the folder {name}")
            found += inside
        else:
            found.append(name)
    return list(dict.fromkeys(found))


def jobs(
    pictures: Sequence[str],
    names: Sequence[str],
    rates: Sequence[float],
    *,
    losses: Sequence[str] = (),
    lambdas: Sequence[float] = (),
    size: tuple[int, int] | None = None,
    budget: str | None = None,
    iterations: int | None = None,
    seed: int = 0,
    steer: bool = True,
) -> list[Job]:
    """Picture × rate × codec × loss.

    Args:
        pictures: as `images.open_picture` takes them.
        names: of codecs.
        rates: in bits per pixel, for every codec.
        losses: learned codecs are fitted with each of them; none for their recipes' own.
        lambdas: fit latent grids at these λ as well, to compare losses as the loss paper does.
        size, budget, iterations, seed, steer: see `Job`.

    Returns:
        jobs, a picture and a rate after the other, so that a sweep cut short has whole comparisons.

    Raises:
        ValueError: no such codec or loss.
    """
    for name in names:
        codecs.get(name)
    if unknown := [loss for loss in losses if loss not in LOSSES]:
        raise ValueError(f"no loss {unknown[0]!r}; there are {', '.join(LOSSES)}")
    fitted = {"size": size, "budget": choose_budget(budget), "iterations": iterations, "seed": seed}
    learned = [name for name in names if name in codecs.LEARNED]
    grids = [name for name in learned if codecs.LEARNED[name].takes_lambda]
    found = []
    for picture in pictures:
        for bpp in map(float, rates):
            found += [Job(picture, name, bpp, size) for name in names if name not in learned]
            for name in learned:
                moving = steer or name not in grids
                found += [Job(picture, name, bpp, loss=loss, steer=moving, **fitted) for loss in losses or [None]]
        for lmbda in map(float, lambdas):
            found += [Job(picture, name, None, loss=loss, lmbda=lmbda, **fitted) for name in grids for loss in losses or [None]]
    return found


def sweep(
    wanted: Iterable[Job],
    results: Results,
    *,
    retry: bool = False,
    progress: bool = True,
    workers: int = 0,
    scheduler: str | None = None,
    lpips: bool = False,
) -> list[dict[str, Any]]:
    """Run the jobs that have no row yet. Killed at any moment, it goes on where it was when it is called again.

    Args:
        wanted: equal jobs run once.
        results: where rows and files are and go; only this process writes there.
        retry: run failed jobs again.
        progress: show a bar with the time left, and where Dask's dashboard is.
        workers: 0 to run in this process; else so many processes of a local Dask cluster, a thread each, each with a GPU of
            its own while there are as many. A run whose worker died starts again on another one. A script that asks for
            workers must do so under ``if __name__ == "__main__":``, since each of them imports it.
        scheduler: the address of a Dask scheduler to use instead ("tcp://host:8786"). Its workers must have this package,
            and find pictures given as files under the same paths. Losses and codecs that you added travel with the runs.
        lpips: measure LPIPS even where its weights must be downloaded first, 238 MB; else only where they lie already.

    Returns:
        the rows of all ``wanted`` that are done or failed.
    """
    say = print if progress else lambda _: None
    rows, remarks = results.read()
    for remark in remarks:
        say(remark)
    there = {row["key"]: row for row in rows}
    unique = {job.key: job for job in _looked_at(list(wanted), there, say)}
    missing = [job for key, job in unique.items() if key not in there or (retry and there[key].get("error"))]
    if missing:
        results.require_writable()
        with finished(missing, lpips, workers, scheduler, say) as (ended, parallel):
            seconds: dict[str, list[float]] = {}
            for row in there.values():
                _note(row, seconds)
            left = {job.key: job for job in missing}
            form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
            with tqdm(total=len(missing), unit="run", disable=not progress, bar_format=form) as bar:
                for job, run in ended:
                    _note(results.append(run.row, run.data), seconds)
                    del left[job.key]
                    bar.set_postfix_str(f"{_time_left(list(left.values()), seconds, parallel)}{job}", refresh=False)
                    bar.update()
    return [row for row in results.rows() if row["key"] in unique]


def _looked_at(wanted: Sequence[Job], there: Mapping[str, Mapping[str, Any]], say: Callable[[str], None]) -> Iterator[Job]:
    """The jobs with their pictures' contents, without those of a picture that came before under another name.

    A row that doesn't know its picture's content, as of earlier releases, counts for a job that does, and the other way round
    where a picture can't be opened any more.
    """
    contents = {picture: content_of(picture) for picture in dict.fromkeys(job.picture for job in wanted)}
    first: dict[str, str] = {}
    for picture, content in contents.items():
        if content and first.setdefault(content, picture) != picture:
            say(f"{picture} is the same picture as {first[content]}: counted once")
    measured: dict[str, set[str]] = {}
    known: dict[str, str] = {}
    for row in there.values():
        if row.get("content"):
            measured.setdefault(row["picture"], set()).add(row["content"])
            known[key_of(row)] = row["content"]
    for picture, content in contents.items():
        if content and content not in measured.get(picture, {content}):
            say(f"{picture} is another picture than when it was measured: measured anew")
    for job in wanted:
        content = contents[job.picture]
        if not content or first[content] == job.picture:
            yield job if job.key in there else replace(job, content=content or known.get(job.key))


def _note(row: Mapping[str, Any], seconds: dict[str, list[float]]) -> None:
    """Enter what a run took by its codec: JPEG's milliseconds say nothing about a fit."""
    if not row.get("error") and row.get("encode_seconds") is not None:
        seconds.setdefault(row["codec"], []).append(row["encode_seconds"] + (row.get("decode_seconds") or 0))


def _time_left(left: Sequence[Job], seconds: Mapping[str, Sequence[float]], parallel: int) -> str:
    """ "about 12 min left, ", or nothing while a codec that is still to run has not run yet."""
    if not left or any(job.codec not in seconds for job in left):
        return ""
    total = sum(fmean(seconds[job.codec]) for job in left) / parallel
    return f"about {math.ceil(total / 60)} min left, " if total > 90 else f"about {math.ceil(total)} s left, "
