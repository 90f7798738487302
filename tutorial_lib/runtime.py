"""Where and how hard to compute: the device, the budget, the number of threads.

All three are chosen here and nowhere else. ``INR_DEVICE`` and ``INR_BUDGET`` override the choice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import torch

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
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
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


def keep_freed_memory() -> None:
    """Let glibc hand freed memory to the next tensor instead of giving it back to the system at once.

    By default every tensor above 128 KB to 32 MB is mapped anew and its pages are cleared on first touch, which costs more
    than the arithmetic on them: a training step of NIF on 6,144 points takes 22 ms, and 16 ms with this. The process
    keeps its peak memory until it ends. Elsewhere than on Linux with glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another libc
        return
    map_threshold, trim_threshold = -3, -1  # malloc.h; 32 MB is the largest threshold that it takes
    set_option(map_threshold, 1 << 25)
    set_option(trim_threshold, (1 << 31) - 1)
