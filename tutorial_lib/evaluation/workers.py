"""Runs one after the other in this process, or on Dask's workers, which first learn what the reader added: losses and codecs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from tutorial_lib import codecs, losses
from tutorial_lib.evaluation import runs
from tutorial_lib.evaluation.runs import Job, Run

if TYPE_CHECKING:
    from types import ModuleType

    from distributed import Client

WORKER_MEMORY = 2_000_000_000
"""Bytes to allow for each worker: COOL-CHIC v2 takes 1.2 GB at 768×512, Python and PyTorch included."""

DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""What a worker runs first. A terminal sends Ctrl-C to all its processes; this one hears it and ends the others."""

SCHEDULER_SECONDS = 30
"""How long a scheduler may take to answer."""

DEATHS_ALLOWED = 3
"""Workers that may die over one run before it counts as failed: the run itself may be what kills them."""


def default_workers() -> int:
    """One for each GPU; without one, for each core, as far as memory goes: short steps gain little from more threads."""
    import psutil

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, min(psutil.cpu_count(logical=False) or 1, int(psutil.virtual_memory().total / WORKER_MEMORY)))


@contextmanager
def finished(
    missing: Sequence[Job], lpips: bool, workers: int, scheduler: str | None, say: Callable[[str], None]
) -> Iterator[tuple[Iterator[tuple[Job, Run]], int]]:
    """(job, run) in the order in which they end, and how many run at once."""
    if not workers and scheduler is None:
        yield ((job, runs.run(job, lpips)) for job in missing), 1
        return
    from dask import config
    from distributed import Client, LocalCluster

    added, count = packed(), min(workers, len(missing))
    # a run may last longer than Dask's patience with a worker that computes without answering; the nanny ends those that died
    quiet = {"distributed.scheduler.allowed-failures": DEATHS_ALLOWED, "distributed.comm.timeouts.connect": "60s"}
    # a worker that ends late or is replaced is no news; its run starts again
    options: dict[str, Any] = {"memory_limit": 0, "dashboard_address": ":0", "silence_logs": logging.ERROR, "preload": [DEAF]}
    with config.set(quiet), ExitStack() as open_:
        if scheduler is not None:
            client = open_.enter_context(_client(scheduler))
            threads: Any = client.nthreads()  # its types allow for an asynchronous client
            count = len(threads)
        else:
            with _children_deaf():
                cluster = open_.enter_context(LocalCluster(n_workers=count, threads_per_worker=1, **options))
            client = open_.enter_context(Client(cluster))
        where = "" if scheduler is None else f"scheduler {scheduler}: "
        say(f"{where}{count} workers, dashboard at {client.dashboard_link}")
        yield _computed(client, missing, lpips, added), max(1, count)


def _client(scheduler: str) -> Client:
    """A client of a scheduler that answers; Dask's own waits for ever for one that accepts and is silent."""
    from distributed import Client
    from distributed.core import rpc

    async def ask() -> None:
        async with rpc(scheduler) as found:
            await asyncio.wait_for(found.identity(), SCHEDULER_SECONDS)

    try:
        with ThreadPoolExecutor(1) as beside:  # a notebook has a loop of its own here
            beside.submit(asyncio.run, ask()).result()
        return Client(scheduler)
    except (OSError, ValueError) as error:  # a time-out is one of the former, without a word
        why = " ".join(str(error).split()) or f"for {SCHEDULER_SECONDS} s"
        raise ValueError(f"no Dask scheduler answers at {scheduler} ({why})") from error


@contextmanager
def _children_deaf() -> Iterator[None]:
    """Processes started in here don't hear Ctrl-C from their first moment on, before they come to `DEAF`; nor does this one."""
    if threading.current_thread() is not threading.main_thread():  # only the main one may ask
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _computed(client: Client, missing: Sequence[Job], lpips: bool, added: bytes) -> Iterator[tuple[Job, Run]]:
    from distributed import as_completed

    futures = {}
    for place, job in enumerate(missing):
        # in order: earlier jobs have the higher priority; not pure, since a retried job must run again; what was added goes with
        # each job, since a worker that replaces a dead one must learn it too
        futures[client.submit(_on_worker, job, lpips, added, pure=False, priority=-place)] = job
    for future in as_completed(list(futures)):
        job = futures.pop(future)
        error = future.exception()
        yield job, runs.failure(job, f"{type(error).__name__}: {error}") if error is not None else future.result()
        future.release()


def _on_worker(job: Job, lpips: bool, added: bytes) -> Run:
    """`runs.run` on a Dask worker: a thread, and a GPU chosen by the worker's name, a number in local clusters."""
    from distributed import get_worker

    if torch.cuda.is_available():
        name = str(get_worker().name)
        torch.cuda.set_device(int(name) % torch.cuda.device_count() if name.isdecimal() else 0)
    # a number, or one for each level of nesting; whatever else stands there, OpenMP passes over it too
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    torch.set_num_threads(max(1, int(threads)) if threads.isdecimal() else 1)
    tqdm.set_lock(threading.RLock())  # its own is the system's, which warns about it when a worker is ended
    unpack(added)
    return runs.run(job, lpips)


def packed() -> bytes:
    """The losses, and the codecs that aren't the package's own, with the code that makes them, for `unpack` in another process.

    Raises:
        ValueError: one of them can't leave this process.
    """
    import cloudpickle

    # all losses: of the package's own only the names travel
    own = list(vars(codecs).values())
    added = {
        name: codec for name, codec in codecs.LEARNED.items() if name != codec.name or not any(codec is each for each in own)
    }
    modules = set(filter(None, map(_readers_module, (*losses.LOSSES.values(), *added.values()))))
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps((losses.LOSSES, added))
    except Exception as error:  # whatever the pickling of a reader's objects raises
        raise ValueError(f"a loss or codec can't be sent to other processes ({error}); workers 0 stays in this one") from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def unpack(added: bytes) -> None:
    """Enter what `packed` took along beside the package's own losses and codecs."""
    import cloudpickle

    found, learned = cloudpickle.loads(added)
    losses.LOSSES.update(found)
    codecs.LEARNED.update(learned)


def _readers_module(value: object) -> ModuleType | None:
    """The module (or package around it) that defines a function or an object's class, if other processes may not have it."""
    name = str(getattr(getattr(value, "func", value), "__module__", None)).partition(".")[0]
    module = sys.modules.get(name)
    installed = {"site-packages", "dist-packages"} & set(Path(getattr(module, "__file__", None) or "").parts)
    return None if installed or name in {"__main__", "tutorial_lib", *sys.stdlib_module_names} else module
