"""Device, budget, threads, memory: where and how hard to compute."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest
import torch
from codec_files import one_thread

from tutorial_lib import runtime
from tutorial_lib.runtime import ThreadTrial, choose_budget, choose_device, keep_freed_memory, threads_for

# ------------------------------------------------------------------------------------------ device and budget


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INR_DEVICE", "cpu")
    assert choose_device() == choose_device("cpu") == torch.device("cpu")
    monkeypatch.setenv("INR_DEVICE", "abacus")
    assert choose_device("cpu") == torch.device("cpu")  # an argument goes before the environment
    with pytest.raises(ValueError, match="device 'abacus' is not available here"):
        choose_device()


def test_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INR_BUDGET", raising=False)
    assert choose_budget(device=torch.device("cpu")) == "laptop"
    assert choose_budget(device=torch.device("cuda")) == "gpu"
    monkeypatch.setenv("INR_BUDGET", "quick")
    assert choose_budget() == "quick" and choose_budget("gpu") == "gpu"
    monkeypatch.setenv("INR_BUDGET", "week")
    with pytest.raises(ValueError, match="no budget 'week'; there are quick, laptop, gpu"):
        choose_budget()


# ------------------------------------------------------------------------------------------ threads


def test_threads_follow_the_work_and_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        per_thread = runtime.OPERATIONS_PER_THREAD
        for operations, expected in ((0, 1), (1.9 * per_thread, 1), (2 * per_thread, 2), (1e15, 3)):
            with threads_for(operations) as count:
                assert count == torch.get_num_threads() == expected
            assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), threads_for(0):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


# ------------------------------------------------------------------------------------------ memory

FAULTS = """
import resource, torch
from tutorial_lib.runtime import keep_freed_memory
def rounds():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        tensors = [torch.ones(1 << 21) for _ in range(20)]  # 8 MB each, all freed together
        assert all(float(tensor[-1]) == 1 for tensor in tensors)
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
default = rounds()
for _ in range(3):  # once is enough, more do no harm
    keep_freed_memory()
rounds()
print(default, rounds())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the option is glibc's")
def test_freed_memory_is_kept() -> None:
    """Pages that are mapped anew cost a fault each; kept ones none."""
    run = subprocess.run(
        [sys.executable, "-c", FAULTS], env=one_thread(), capture_output=True, text=True, timeout=120, check=True
    )
    default, kept = map(int, run.stdout.split())
    assert kept < 0.1 * default


def test_computing_goes_on_as_before() -> None:
    a = torch.rand(300, 300, generator=torch.Generator().manual_seed(0))
    before = a @ a
    for _ in range(5):
        keep_freed_memory()
    assert torch.equal(a @ a, before) and torch.ones(1 << 20).sum() == 1 << 20


def forbidden(*_: object) -> None:
    raise AssertionError("no library is to be opened here")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_nothing_happens(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", forbidden)
    keep_freed_memory()


@pytest.mark.parametrize("missing", ["library", "function"])
def test_another_libc(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_library(_: str) -> object:
        if missing == "library":
            raise OSError("libc.so.6: cannot open shared object file")
        return object()

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", open_library)
    keep_freed_memory()


# ------------------------------------------------------------------------------------------ threads by trial


@pytest.mark.parametrize(("alone", "together", "best"), [(25.0, 800.0, 1), (9.0, 6.0, 2)])
def test_the_faster_number_of_threads_is_found(monkeypatch: pytest.MonkeyPatch, alone: float, together: float, best: int) -> None:
    now, used = [0.0], [2]
    monkeypatch.setattr(runtime.torch, "set_num_threads", lambda count: used.append(count))
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: now[0])
    trial, steps = ThreadTrial(2), []
    for _ in range(2 * ThreadTrial.EVERY):
        with trial:
            steps.append(used[-1])
            now[0] += alone if used[-1] == 1 else together
    timed = ThreadTrial.TIMED
    for start in (0, ThreadTrial.EVERY):  # tried again: the other program may have ended
        assert steps[start : start + 2 * timed] == [2] * timed + [1] * timed
        assert set(steps[start + 2 * timed : start + ThreadTrial.EVERY]) == {best}


def test_one_thread_needs_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.torch, "set_num_threads", lambda count: pytest.fail("nothing to choose"))
    trial = ThreadTrial(1)
    for _ in range(10):
        with trial:
            pass
