"""Exercises of notebook 00."""

from __future__ import annotations

from tutorial_lib.course.comparing import Random
from tutorial_lib.course.exercises import Check, Exercise, Mistake


def times_smaller(data: bytes, height: int, width: int) -> float:
    """How many times smaller a file is than the raw picture, at 3 bytes (red, green, blue) a pixel."""
    return 3 * height * width / len(data)


def _file(random: Random) -> tuple[bytes, int, int]:
    height, width = random.size(20, 90)
    return random.randbytes(random.randint(100, 900)), height, width


EXERCISES = [
    Exercise(
        id="00.1",
        title="How many times smaller?",
        minutes=3,
        core=True,
        reference=times_smaller,
        checks=(
            Check(
                "right for random files and sizes",
                inputs=_file,
                mistakes=(
                    Mistake(
                        "the colours are missing: each pixel has three of them, so three bytes, not one.",
                        like=lambda data, height, width: height * width / len(data),
                    ),
                    Mistake(
                        "upside down: that is the file's part of the picture. Divide the other way round.",
                        like=lambda data, height, width: len(data) / (3 * height * width),
                    ),
                    Mistake(
                        "that is how many bytes are saved: divide one size by the other instead.",
                        like=lambda data, height, width: 3 * height * width - len(data),
                    ),
                    Mistake(
                        "that is the share that is saved. How many times does the file go into the raw picture?",
                        like=(
                            lambda data, height, width: 1 - len(data) / (3 * height * width),
                            lambda data, height, width: 100 - 100 * len(data) / (3 * height * width),
                        ),
                    ),
                    Mistake(
                        "`sum(data)` adds up the values of the bytes: `len(data)` counts them.",
                        like=lambda data, height, width: 3 * height * width / sum(data),
                    ),
                    Mistake(
                        "bits against bytes: one side is counted in bits. Use bytes for both.",
                        like=lambda data, height, width: 24 * height * width / len(data),
                    ),
                    Mistake(
                        "bytes against bits: `8 * len(data)` counts the file in bits. Use bytes for both.",
                        like=lambda data, height, width: 3 * height * width / (8 * len(data)),
                    ),
                    Mistake(
                        "the fraction is lost: `//`, `int(…)` and `round(…)` take it away, `/` keeps it.",
                        like=(
                            lambda data, height, width: 3 * height * width // len(data),
                            lambda data, height, width: round(3 * height * width / len(data)),
                            lambda data, height, width: round(3 * height * width / len(data), 1),
                            lambda data, height, width: round(3 * height * width / len(data), 2),
                        ),
                    ),
                ),
            ),
        ),
        hints=(
            "A raw picture stores three numbers for each pixel, and each takes one byte. How many bytes "
            "is that for `height` rows of `width` pixels?",
            "The file's size in bytes is `len(data)`: all of it, the header too.",
            "Large divided by small: `3 * height * width` bytes against `len(data)` bytes.",
        ),
    ),
]
