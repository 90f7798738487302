"""The course around the library: exercises that answer back, hints, answers, progress (see ``docs/add_an_exercise.md``).

Example: the first lines of a notebook after its set-up cell:
    >>> from tutorial_lib.course import exercise, hint, solution, progress
"""

from tutorial_lib.course.boxes import hint, machine, progress, solution
from tutorial_lib.course.exercises import exercise, label
from tutorial_lib.course.session import budget_value, sample_file, setup
from tutorial_lib.course.store import points, record_point, reset

__all__ = [
    "budget_value", "exercise", "hint", "label", "machine", "points", "progress", "record_point", "reset",
    "sample_file", "setup", "solution",
]  # fmt: skip
