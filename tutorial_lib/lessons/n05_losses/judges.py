"""Notebook 05's blind test: pictures under letters, and what eyes and metrics say of them."""

from __future__ import annotations

import getpass
import html
import platform
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import matplotlib
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots, widgets
from tutorial_lib.course.drawing import table
from tutorial_lib.lessons.n05_losses.figures import LOOKS, SAVED_LPIPS, lpips, lpips_remark, number

PARTS = {
    "eye": (44, 86, 62, 78),
    "brow": (0, 100, 62, 78),
    "nose": (124, 110, 62, 78),
    "ear": (0, 222, 62, 78),
    "all": (0, 0, 200, 300),
}
"""What to look at of Chelsea at 300×200: top, left, height, width."""


@dataclass(frozen=True)
class BlindTest:
    """Decoded pictures under letters; which is which stays hidden until `reveal`."""

    original: Tensor
    decoded: dict[str, Tensor]
    rates: dict[str, float]
    _names: dict[str, str] = field(repr=False)

    def names(self) -> dict[str, str]:
        """Letters to losses, for after the test."""
        return dict(self._names)

    def look(self, part: str) -> plots.Shown:
        """One of `PARTS` of all of them; one that is held down shows the original in its place."""
        original, *crops = (images.crop(each, *PARTS[part]) for each in (self.original, *self.decoded.values()))
        shown = dict(zip(self.decoded, crops, strict=True))
        return widgets.hold(original, shown, zoom=1 if part == "all" else 3, alt=f"Chelsea the cat, {part}")


def reader() -> str:
    """Who reads, as far as a machine can know: the same each time, and another for a neighbour."""
    try:
        return f"{getpass.getuser()} on {platform.node()}"
    except (OSError, KeyError, ImportError):  # a user without a name
        return platform.node()


def blind_test(files: Mapping[str, bytes], original: Tensor) -> BlindTest:
    """Files by their loss's name, decoded, in the reader's own order: neighbours can't tell each other which is which."""
    names = list(files)
    random.Random(f"which is which, {reader()}").shuffle(names)
    letters = dict(zip("ABCDEFGH", names, strict=False))
    decoded = {letter: codecs.decode(files[name]).cpu() for letter, name in letters.items()}
    rates = {letter: metrics.bits_per_pixel(files[name], original) for letter, name in letters.items()}
    return BlindTest(original, decoded, rates, letters)


Judgement = dict[str, dict[str, float | None]]


def judge(test: BlindTest, decibels: Callable[[float], float]) -> Judgement:
    """PSNR, MS-SSIM in dB and LPIPS of each letter; without its weights the LPIPS that was saved, None where there is none."""
    pairs = {letter: (picture, test.original) for letter, picture in test.decoded.items()}
    return {
        "PSNR (dB)": {letter: metrics.psnr(*pair) for letter, pair in pairs.items()},
        "MS-SSIM (dB)": {letter: decibels(metrics.ms_ssim(*pair)) for letter, pair in pairs.items()},
        "LPIPS (less is better)": {letter: _lpips(test, letter) for letter in pairs},
    }


def _lpips(test: BlindTest, letter: str) -> float | None:
    measured = lpips(test.decoded[letter], test.original)
    return SAVED_LPIPS.get(test.names()[letter]) if measured is None else measured


def ranking(values: Mapping[str, float | None], less_is_better: bool = False) -> str | None:
    """Letters, the best first; None where a value is missing."""
    if any(value is None for value in values.values()):
        return None
    return "".join(sorted(values, key=lambda letter: values[letter] if less_is_better else -values[letter]))


def judges_table(test: BlindTest, judgement: Judgement, owner: str) -> plots.Shown:
    """What the metrics say, by letters."""
    rows = {}
    for letter in test.decoded:
        values = [number(some[letter], 3 if "LPIPS" in name else 2) for name, some in judgement.items()]
        rows[letter] = (f"{test.rates[letter]:.3f}", *values)
    caption = f"whole pictures; decibels: {owner}. {lpips_remark(test.original, saved=True)}".strip()
    return table(["bits per pixel", *judgement], rows, caption)


def rankings(test: BlindTest, judgement: Judgement, mine: str | None) -> dict[str, str]:
    """The reader's ranking, where it is one, and the metrics'."""
    found = {name.split(" ")[0]: ranking(values, "less" in name) for name, values in judgement.items()}
    tidy = "".join(letter for letter in str(mine or "").upper() if letter.isalpha())
    yours = tidy if sorted(tidy) == sorted(test.decoded) else None
    return {name: order for name, order in ({"you": yours} | found).items() if order}


def reveal(
    test: BlindTest, judgement: Judgement, mine: str | None, agreement: Callable[[str, str], float], owner: str
) -> plots.Shown:
    """Which is which, how each judge ranks them, and how far judges agree; folded until the reader has ranked, too."""
    judges = rankings(test, judgement, mine)
    drawn = _ranks_figure(test, judges)
    rows = {
        name: [f"{agreement(order, other):.0%}" if name != rival else "–" for rival, other in judges.items()]
        for name, order in judges.items()
    }
    agreed = table(list(judges), rows, f"how many pairs two judges order alike ({owner})")
    if "you" in judges:
        return plots.Shown(drawn.html + agreed.html, f"{drawn.text}\n{agreed.text}")
    why = "Your ranking has not all letters once" if mine else "You have not ranked them yet"
    summary = f"{why}: set my_ranking above and run this again. Or open this to see which is which."
    return plots.Shown(f"<details><summary>{html.escape(summary)}</summary>{drawn.html}{agreed.html}</details>", f"{why}.")


@matplotlib.rc_context(plots.STYLE)
def _ranks_figure(test: BlindTest, judges: Mapping[str, str]) -> plots.Shown:
    made, axis = plots.figure(4 + 2.4 * len(judges), 4.6)
    places, names = range(len(judges)), test.names()
    for letter, name in names.items():
        ranks = [order.index(letter) + 1 for order in judges.values()]
        look = LOOKS.get(name, {"color": "0.4"})
        axis.plot(places, ranks, color=look["color"], marker="o", markersize=25, linewidth=3)
        for place, rank in zip(places, ranks, strict=True):
            axis.text(place, rank, letter, color="white", ha="center", va="center_baseline", fontweight="bold", fontsize=15)
        axis.text(len(judges) - 0.75, ranks[-1], f"{letter} = {name}", color=look["color"], va="center", fontweight="bold")
    axis.set(xticks=list(places), yticks=range(1, len(test.decoded) + 1), ylabel="rank", xlim=(-0.4, len(judges) + 0.3))
    axis.set_xticklabels(list(judges), fontsize=15)
    axis.invert_yaxis()
    axis.grid(axis="x", visible=False)
    spelled = "; ".join(f"{judge}: " + ", ".join(names[letter] for letter in order) for judge, order in judges.items())
    letters = ", ".join(f"{letter} is {name}" for letter, name in names.items())
    return plots.show(made, f"Ranks from 1, the best, for each judge. {letters}. From best to worst, {spelled}.")
