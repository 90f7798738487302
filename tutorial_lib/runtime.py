"""Where and how hard to compute: the device, the budget, the number of threads.

All three are chosen here and nowhere else. ``INR_DEVICE`` and ``INR_BUDGET`` override the choice.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")

BUDGETS = ("quick", "laptop", "gpu")
"""How long a fit may take: seconds (tests), a minute or two (no GPU), or what a GPU does in that time."""

OPERATIONS_PER_THREAD = 5_000_000
"""Multiply-adds a step's forward pass must hold for each thread; below, a second thread gains little.

Measured on 2 cores, with threads that sleep while they wait (see `tutorial_lib`): 11 million multiply-adds a step take
6.0 ms with one thread and 4.4 with two, 44 million 15 and 9.
"""


def choose_device(name: str | None = None) -> torch.device:
    """The device to compute on: ``name``, else ``INR_DEVICE``, else cuda, mps, cpu, whichever is there first.

    Raises:
        ValueError: the device asked for is unknown or not available here.
    """
    name = name or os.environ.get("INR_DEVICE")
    if not name:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # read back: "meta" has no numbers
    except Exception as error:  # each of torch's backends that is not there raises something else
        raise ValueError(f"device {name!r} is not available here; try 'cpu'") from error
    return device


def choose_budget(name: str | None = None, device: torch.device | None = None) -> str:
    """The budget: ``name``, else ``INR_BUDGET``, else "gpu" on a GPU and "laptop" without one.

    Raises:
        ValueError: no budget of that name.
    """
    name = name or os.environ.get("INR_BUDGET")
    if not name:
        return "gpu" if (device or choose_device()).type == "cuda" else "laptop"
    if name not in BUDGETS:
        raise ValueError(f"no budget {name!r}; there are {', '.join(BUDGETS)}")
    return name


def data_path(name: str) -> Path | None:
    """A file or folder of ``data/``: inside the package when it is installed, beside it in a checkout; None where missing."""
    package = Path(__file__).resolve().parent
    return next((path for root in (package, package.parent) if (path := root / "data" / name).exists()), None)


@contextlib.contextmanager
def threads_for(operations: float) -> Iterator[int]:
    """Use as many threads as ``operations`` (multiply-adds in one step) can feed, then restore the number.

    Small steps run faster on one thread: OpenMP's threads meet after every operation, and on a busy machine
    each meeting waits for the slowest.
    """
    before = torch.get_num_threads()
    count = max(1, min(before, int(operations // OPERATIONS_PER_THREAD)))
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


class ThreadTrial:
    """Whether several threads are faster than one, tried while the work goes on.

    With another program on the second core a step on two threads can take thirty times as long as on one (measured: 800
    and 25 ms), since every operation waits for the thread that is not running. So of every 300 steps three are timed on each
    number of threads, and the rest runs on the faster one.

    Args:
        most: the larger number of threads; with 1 there is nothing to try.
    """

    EVERY, TIMED = 300, 3

    def __init__(self, most: int) -> None:
        self.most, self._count = most, 0
        self._seconds: dict[int, float] = {}

    def __enter__(self) -> None:
        if self.most == 1:
            return
        place = self._count % self.EVERY
        if place == 0:
            self._seconds = {1: float("inf"), self.most: float("inf")}
        if place <= 2 * self.TIMED:
            fastest = min(self._seconds, key=self._seconds.__getitem__)
            self._threads = self.most if place < self.TIMED else 1 if place < 2 * self.TIMED else fastest
            torch.set_num_threads(self._threads)
        self._started = time.perf_counter()

    def __exit__(self, *_) -> None:
        if self.most == 1:
            return
        if self._count % self.EVERY < 2 * self.TIMED:
            seconds = time.perf_counter() - self._started
            self._seconds[self._threads] = min(seconds, self._seconds[self._threads])
        self._count += 1


def keep_freed_memory() -> None:
    """Let glibc hand freed memory to the next tensor instead of giving it back to the system at once.

    By default every large tensor is mapped anew and its pages are cleared on first touch, which costs more than the
    arithmetic on them: a training step of NIF on 6,144 points takes 22 ms, and 16 ms with this; one of COOL-CHIC v2 at
    768×512 955 and 429 ms. The process keeps its peak memory until it ends. Elsewhere than on Linux with glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc
        return
    map_threshold, trim_threshold = -3, -1  # malloc.h
    set_option(map_threshold, 1 << 30)
    set_option(trim_threshold, (1 << 31) - 1)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it appears complete or not at all, even when the program is killed half-way.

    The bytes go to a temporary file in the same folder, which then takes the file's name. A symbolic link is
    followed; something that is no regular file (such as ``/dev/null``) is written to directly.

    Raises:
        OSError: the folder is missing, the disk is full, no permission, …; it names ``path``.
    """
    with _naming(path):
        target = Path(os.path.realpath(path))
        if _special(target):
            target.write_bytes(data)
            return
        temporary = _beside(target)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def require_writable(path: str | os.PathLike[str]) -> None:
    """Find out before the work whether `write_atomically` can begin, by beginning; leaves nothing behind.

    Raises:
        OSError: as `write_atomically`, or ``path`` is a folder.
    """
    with _naming(path):
        target = Path(os.path.realpath(path))
        if _special(target):
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return
        temporary = _beside(target)
        temporary.touch(exist_ok=False)
        temporary.unlink()


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors name ``path``, not a temporary file that the reader has never heard of."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
    except ValueError as error:  # a null character, or one that this system's names can't hold
        raise OSError(errno.EINVAL, "this can't be the name of a file", os.fspath(path)) from error


def _special(target: Path) -> bool:
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except FileNotFoundError:
        return False


def _beside(target: Path) -> Path:
    return target.with_name(f".{secrets.token_hex(8)}.tmp")


def insist(action: Callable[[], T]) -> T:
    """Do something quick, and begin it again where Ctrl-C meets it: what a fit has reached is worth more than its seconds."""
    for _ in range(9):
        try:
            return action()
        except KeyboardInterrupt:
            continue
    return action()
