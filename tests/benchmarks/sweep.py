"""How much sooner two workers finish a sweep than one: the same jobs, both on a local Dask cluster of single-thread workers.

    python tests/benchmarks/sweep.py [--runs 12] [--iterations 400] [--rounds 2]

On CPU, with a sample picture, so that it needs no download. The seconds include starting the cluster.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from datetime import date

import torch

from tutorial_lib.evaluation import Results, jobs, sweep


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=12)
    options.add_argument("--iterations", type=int, default=400)
    options.add_argument("--rounds", type=int, default=2, help="of one worker and two in turn; the best of each counts")
    chosen = options.parse_args()
    os.environ["INR_DEVICE"] = "cpu"
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}", flush=True)
    rates = [1 + 0.05 * number for number in range(chosen.runs)]
    wanted = jobs(["coffee"], ["siren"], rates, size=(128, 192), budget="laptop", iterations=chosen.iterations)
    seconds = {}
    for workers in (1, 2) * chosen.rounds:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            rows = sweep(wanted, Results(folder), workers=workers, progress=False)
            took = time.perf_counter() - started
        assert len(rows) == len(wanted) and not any(row["error"] for row in rows)
        seconds.setdefault(workers, []).append(took)
        print(f"  {workers} {'worker' if workers == 1 else 'workers'}: {len(rows)} runs in {took:.1f} s", flush=True)
    best = {workers: min(some) for workers, some in seconds.items()}
    print(f"two workers: {best[1] / best[2]:.2f} times sooner (the best of {chosen.rounds})")


if __name__ == "__main__":
    main()
