"""The house: the way of a picture through the rooms goes forward, and comes by each of them once or twice."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from codec_files import LEARNED, picture

import tutorial_lib
from tutorial_lib import codecs

LIBRARY = Path(tutorial_lib.__file__).parent


def room_of(frame: FrameType) -> str | None:
    """The folder of the library that a frame's code lies in, or the name of its file; None outside of it."""
    path = Path(frame.f_code.co_filename)
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py") if path.is_relative_to(LIBRARY) else None


def rooms_entered(work: Callable[[], Any], home: str = "codecs") -> list[str]:
    """The rooms that ``work`` enters from ``home``, in order; what they enter themselves is theirs, as are callbacks."""
    entered: list[str] = []
    away: list[FrameType] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and not away:
            room, caller = room_of(frame), frame.f_back and room_of(frame.f_back)
            if caller == home and room not in (home, "runtime", None):  # the runtime is where everybody stands
                away.append(frame)
                if entered[-1:] != [room]:
                    entered.append(room)
        elif event == "return" and away and frame is away[0]:
            away.clear()

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return entered


@pytest.mark.parametrize("name", LEARNED)
def test_an_encode_enters_no_room_more_than_twice(name: str) -> None:
    codec = codecs.LEARNED[name]
    plan = codec.plan(picture(), bpp=6.0, budget="quick", iterations=12)
    way = rooms_entered(lambda: codec.execute(plan, picture(), progress=False, device="cpu"))
    assert {"training", "coding"} < set(way)
    assert max(Counter(way).values()) <= 2, way
