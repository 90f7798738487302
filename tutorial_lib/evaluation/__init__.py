"""Evaluation: sweeps over pictures, codecs, rates and losses, their rows, curves and page.

    inr evaluate --images kodak:3 coffee --codecs siren jpeg avif --rates 0.5 1 2 -o results/mine
    inr report results/mine

Rows go to ``runs.jsonl`` in the results folder as soon as a run is done, so a sweep that was killed goes on where it was: start
it again with the same arguments. A run that fails is a row too, with its error; ``--retry`` runs those again.
Codecs are compared at equal *rate* (`bd_rate`, `at_rate`): curves of three rates or more. At equal λ, as in the loss
paper, losses of different scale buy different rates: log cosh d ≈ d²/2 halves the distortion, which is doubling λ.
"""

from tutorial_lib.evaluation.curves import (
    AVERAGES,
    EvaluationError,
    PublishedPoint,
    at_rate,
    bd_rate,
    bd_rates,
    complete,
    curves,
    lines,
    mean,
    name_of,
    published_points,
    shared_pictures,
)
from tutorial_lib.evaluation.results import Results
from tutorial_lib.evaluation.runs import Job, Run, measure
from tutorial_lib.evaluation.sweeps import expand, jobs, sweep
from tutorial_lib.evaluation.workers import default_workers

__all__ = [
    "AVERAGES", "EvaluationError", "Job", "PublishedPoint", "Results", "Run", "at_rate", "bd_rate", "bd_rates", "complete",
    "curves", "default_workers", "expand", "jobs", "lines", "mean", "measure", "name_of", "published_points",
    "shared_pictures", "sweep",
]  # fmt: skip
