"""How a notebook begins: the set-up cell, the budget, and the files that come with the course."""

from __future__ import annotations

import warnings
from typing import TypeVar

import matplotlib

from tutorial_lib.course.address import repository
from tutorial_lib.plots import STYLE, Shown
from tutorial_lib.runtime import choose_budget, choose_device, data_path

T = TypeVar("T")

SETUP_CELL = f"""\
# Set up: installs the course where it is missing, else does nothing.
try:
    from tutorial_lib import course
except ModuleNotFoundError:
    %pip install --quiet "git+{repository()}"
    from tutorial_lib import course
course.setup()"""
"""The first code cell of every notebook; the builder puts it there."""


def setup() -> Shown:
    """Give figures the course's style, and say where the notebook computes. May be called again."""
    matplotlib.rcParams.update(STYLE)
    warnings.filterwarnings("ignore", message=".*IProgress not found.*")
    device, budget = choose_device(), choose_budget()
    text = f"The course is ready. Device: {device.type}. Budget: {budget} (INR_BUDGET sets another)."
    return Shown(f"<i>{text}</i>", text)


def budget_value(*, quick: T, laptop: T, gpu: T) -> T:
    """The value for this run's budget: iteration counts and picture sizes, never another way of computing.

    Example:
        >>> import os; os.environ["INR_BUDGET"] = "quick"
        >>> budget_value(quick=10, laptop=300, gpu=2000)
        10
    """
    return {"quick": quick, "laptop": laptop, "gpu": gpu}[choose_budget()]


def sample_file(name: str) -> bytes:
    """A small file that comes with the course, made by ``data/samples/make.py``: "chelsea.inr".

    Raises:
        FileNotFoundError: there is none of that name; the message lists those there are.
    """
    folder = data_path("samples")
    if folder is None:
        raise FileNotFoundError("the sample files are missing from this installation: install the package again")
    if name in (known := sorted(path.name for path in folder.glob("*.inr"))):
        return (folder / name).read_bytes()
    raise FileNotFoundError(f"no sample file {name!r}; there are {', '.join(known)}")
