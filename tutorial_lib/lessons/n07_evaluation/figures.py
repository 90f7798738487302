"""Figures and small experiments of notebook 07 that would stand in the reader's way there."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from tutorial_lib import codecs, evaluation, images, metrics, plots, widgets
from tutorial_lib.coding import bitstream
from tutorial_lib.course import challenge, store
from tutorial_lib.course.drawing import nothing, table
from tutorial_lib.course.entries import SAMPLES
from tutorial_lib.course.session import sample_file

Points = Sequence[tuple[float, float]]
BdRate = Callable[[Points, Points], float]

RATES = (0.5, 0.9, 1.4, 2.0, 3.0)
"""Bits per pixel that codecs are asked for in this notebook."""

CUP = (26, 60, 36, 48)
"""What the interactive curve shows of the cup of coffee: top, left, height, width."""

# ---------------------------------------------------------------------------------------------- files to measure


@dataclass
class Shelf:
    """A codec whose files are made once: the same rate again gives the same file, from the shelf.

    Attributes:
        decoder: the codec.
        rates: what it can be asked for.
        make: a picture and a rate to a file.
    """

    decoder: Any
    rates: tuple[float, ...]
    make: Callable[[Tensor, float], bytes]
    _files: dict[float, bytes] = field(default_factory=dict, repr=False)

    def encode(self, picture: Tensor, *, bpp: float) -> bytes:
        """The file for a rate."""
        if bpp not in self._files:
            self._files[bpp] = self.make(picture, bpp)
        return self._files[bpp]

    def decode(self, data: bytes) -> Tensor:
        """The picture in a file."""
        return self.decoder.decode(data).cpu()


def coffee_codecs() -> dict[str, Shelf]:
    """Codecs for the cup of coffee at 150×100: classical ones encode live, learned ones have sample files."""

    def classical(name: str) -> Shelf:
        codec = codecs.get(name)
        return Shelf(codec, RATES, lambda picture, bpp: codec.encode(picture, bpp=bpp))

    def learned(name: str, stem: str, rates: tuple[float, ...]) -> Shelf:
        return Shelf(codecs.get(name), rates, lambda picture, bpp: sample_file(f"coffee-{stem}-{bpp:.1f}.inr"))

    return {
        "WebP": classical("webp"),
        "JPEG": classical("jpeg"),
        "JPEG 2000": classical("jpeg2000"),
        "AVIF": classical("avif"),
        "COIN": learned("coin", "coin", RATES[:4]),
        "NIF": learned("nif", "nif", (0.5, 1.4, 2.0)),
        "COOL-CHIC": learned("coolchic-small", "coolchic", RATES[:4]),
    }


@matplotlib.rc_context(plots.STYLE)
def two_points_figure(points: Mapping[str, tuple[float, float]]) -> plots.Shown:
    """Two files in the plane of rate and quality, and where a file would be better than one of them for certain."""
    made, axis = plots.figure(7, 4.2)
    (low, high), (bottom, top) = (0.6, 1.7), (30.6, 32.6)
    texts = ["The plane of rate and PSNR with two files, neither of which is above and to the left of the other."]
    for (name, (rate, quality)), colour in zip(points.items(), (plots.BLUE, plots.RED), strict=True):
        axis.add_patch(Rectangle((low, quality), rate - low, top - quality, color=colour, alpha=0.13, linewidth=0))
        axis.plot(rate, quality, "o", color=colour, markersize=13)
        axis.annotate(name, (rate, quality), (9, -20), textcoords="offset points", fontweight="bold", color=colour)
        texts.append(f"{name}: {quality:.1f} dB at {rate:.2f} bits per pixel.")
    axis.set(xlabel="bits per pixel", ylabel="PSNR (dB)", xlim=(low, high), ylim=(bottom, top))
    axis.set_title("shaded: fewer bits and more dB than that file")
    return plots.show(made, " ".join(texts))


def coffee_plane(
    lines: Mapping[str, Points], shelves: Mapping[str, Shelf], original: Tensor, owner: str, stars: Sequence[store.Point]
) -> plots.Shown:
    """The reader's curves, with the cup of each file under the pointer, and the reader's own points of earlier notebooks."""
    series = {}
    for name, points in lines.items():
        series[name] = []
        for (rate, quality), asked in zip(points, shelves[name].rates, strict=True):
            data = shelves[name].encode(original, bpp=asked)
            crop = plots.zoomed(images.crop(shelves[name].decode(data), *CUP), 4)
            caption = f"{len(data):,} bytes; asked for {asked:g} bpp"
            series[name].append({"bpp": rate, "psnr": quality, "caption": caption, "picture": crop})
    mine = [
        {"bpp": star["bpp"], "psnr": star["psnr"], "caption": ", ".join(filter(None, [star["codec"], star["note"]]))}
        for star in stars
    ]
    title = f"coffee, 150 × 100 pixels, every byte counted ({owner})"
    return widgets.hover_curves(series, title=title, yours=mine, alt=f"Rate-distortion curves of {len(series)} codecs.")


# ---------------------------------------------------------------------------------------------- BD-rate


def rate_for(points: Points, quality: float) -> float:
    """Bits per pixel for a PSNR, straight between points in the logarithm of the rate; NaN outside."""
    rates, qualities = np.transpose(sorted(points))
    if not qualities[0] <= quality <= qualities[-1]:
        return math.nan
    return math.exp(np.interp(quality, qualities, np.log(rates)))


@matplotlib.rc_context(plots.STYLE)
def gaps_figure(lines: Mapping[str, Points], count: int = 5) -> plots.Shown:
    """Two curves over a logarithmic rate, and between them the horizontal gaps in per cent; the first one is the anchor."""
    (anchor, first), (test, second) = lines.items()
    made, axis = plots.figure(10, 5.2)
    for (name, points), colour, marker in zip(lines.items(), (plots.BLUE, plots.ORANGE), "os", strict=True):
        axis.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name)
    low, high = (choose(some) for choose, some in ((max, [first[0][1], second[0][1]]), (min, [first[-1][1], second[-1][1]])))
    axis.axhspan(low, high, color="0.5", alpha=0.12, linewidth=0)
    texts = [f"{anchor} and {test} over a logarithmic rate. They share {low:.1f} to {high:.1f} dB."]
    for quality in np.linspace(low + 0.4, high - 0.4, count):
        begin, end = rate_for(first, quality), rate_for(second, quality)
        arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", (end, quality), (begin, quality), arrowprops=arrow)
        side = {"ha": "left", "va": "top"} if begin > end else {"ha": "right", "va": "bottom"}
        offset = (4, -4) if begin > end else (-4, 4)
        percent = f"{100 * (end / begin - 1):+.0f} %".replace("-", "−")
        axis.annotate(percent, (begin, quality), offset, textcoords="offset points", fontweight="bold", **side)
        texts.append(f"At {quality:.1f} dB {test} takes {percent} of rate.")
    logarithmic(axis, (0.25, 0.5, 1, 2, 4))
    axis.set(xlabel="bits per pixel, logarithmic", ylabel="PSNR (dB)", title=f"From {anchor} to {test}, at equal PSNR")
    axis.legend(loc="lower right")
    return plots.show(made, " ".join(texts))


def logarithmic(axis: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic x axis with plain numbers: powers of ten would need fonts for formulas, whose absence is said on stderr."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.xaxis.set_minor_locator(NullLocator())


def percent(value: float, digits: int = 1) -> str:
    """A signed number of per cents with a true minus."""
    return f"{value:+.{digits}f} %".replace("-", "−")


def bd_table(lines: Mapping[str, Points], anchor: str, bd_rate: BdRate, owner: str) -> plots.Shown:
    """BD-rates of all lines against one, by the reader's function and by the package bjontegaard, where that gives one."""
    rows = {}
    for name, points in lines.items():
        if name != anchor:
            try:
                package = percent(evaluation.bd_rate(lines[anchor], points))
            except evaluation.EvaluationError:
                package = "refused"
            rows[name] = (percent(bd_rate(lines[anchor], points)), package)
    return table((f"straight lines ({owner})", "bjontegaard, pchip"), rows, f"BD-rate against {anchor}; less is better")


@matplotlib.rc_context(plots.STYLE)
def windows_figure(lines: Mapping[str, Points], bd_rate: BdRate, owner: str, width: float = 1.5) -> plots.Shown:
    """BD-rate from a few decibels only, over where these lie; the first line is the anchor."""
    (anchor, first), (test, second) = lines.items()
    low, high = max(first[0][1], second[0][1]), min(first[-1][1], second[-1][1])
    middles = np.linspace(low + width / 2, high - width / 2, 60)
    values = [
        bd_rate(*(_within(points, middle - width / 2, middle + width / 2) for points in (first, second))) for middle in middles
    ]
    whole = bd_rate(first, second)
    made, axis = plots.figure(9, 4.2)
    axis.axhline(0, color="0.4", linewidth=1.5)
    axis.axhline(whole, color="black", linestyle=":", label=f"all {high - low:.1f} dB: {percent(whole)}")
    axis.plot(middles, values, color=plots.RED, label=f"{width:g} dB around here")
    axis.set(xlabel="PSNR (dB)", ylabel=f"BD-rate of {test} (%)", title=f"{test} against {anchor} ({owner})")
    axis.legend()
    return plots.show(
        made,
        f"BD-rate of {test} against {anchor} from windows of {width:g} dB: from {percent(values[0])} at {middles[0]:.1f} dB to "
        f"{percent(values[-1])} at {middles[-1]:.1f} dB. Over all {high - low:.1f} dB that they share it is {percent(whole)}.",
    )


def _within(points: Points, low: float, high: float) -> list[tuple[float, float]]:
    """A curve cut to a range of qualities, with points on both ends."""
    inner = [point for point in sorted(points) if low < point[1] < high]
    return [(rate_for(points, low), low), *inner, (rate_for(points, high), high)]


# ---------------------------------------------------------------------------------------------- two averages


@dataclass(frozen=True)
class Division:
    """A way to divide bytes among pictures, and what came out.

    Attributes:
        rates: bits per pixel by picture.
        errors: mean squared errors by picture.
    """

    rates: dict[str, float]
    errors: dict[str, float]


def two_ways(rate: float = 1.2) -> dict[str, Division]:
    """Three pictures by WebP, twice, with the same mean rate: to each the same rate, and to each the same quality setting."""
    sizes = {"astronaut": (200, 200), "chelsea": (200, 300), "coffee": (200, 300)}
    pictures = {name: images.reduce(images.sample(name), size=size) for name, size in sizes.items()}
    webp = codecs.get("webp")

    def divided(files: Mapping[str, bytes]) -> Division:
        rates = {name: metrics.bits_per_pixel(data, pictures[name]) for name, data in files.items()}
        errors = {name: metrics.mse(webp.decode(data), pictures[name]) for name, data in files.items()}
        return Division(rates, errors)

    even = divided({name: webp.encode(picture, bpp=rate) for name, picture in pictures.items()})
    low, high = 0, 100
    while low < high:  # the largest quality whose files take no more than those
        middle = (low + high + 1) // 2
        tried = divided({name: webp.encode(picture, quality=middle) for name, picture in pictures.items()})
        low, high = (middle, high) if _mean(tried.rates) <= _mean(even.rates) else (low, middle - 1)
    alike = divided({name: webp.encode(picture, quality=low) for name, picture in pictures.items()})
    return {"A": even, "B": alike}


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def ways_table(ways: Mapping[str, Division]) -> plots.Shown:
    """Rate and PSNR of each picture, one column for each way."""
    names = next(iter(ways.values())).rates
    rows = {}
    for name in names:
        rows[name] = tuple(f"{metrics.psnr_of_mse(way.errors[name]):.2f} dB at {way.rates[name]:.2f}" for way in ways.values())
    rows["mean rate"] = tuple(f"{_mean(way.rates):.3f}" for way in ways.values())
    return table(tuple(ways), rows, "PSNR at bits per pixel: three pictures, WebP, two ways to spend the same bits")


def winners_table(ways: Mapping[str, Division], averages: Callable[[np.ndarray], tuple[float, float]], owner: str) -> plots.Shown:
    """Both averages of each way, and the winner by each."""
    values = {name: averages(np.array(list(way.errors.values()))) for name, way in ways.items()}
    rows = {name: tuple(f"{value:.2f} dB" for value in pair) for name, pair in values.items()}
    rows["winner"] = tuple(max(values, key=lambda name: values[name][index]) for index in (0, 1))
    return table(tuple(evaluation.AVERAGES), rows, f"Who is better? ({owner})")


# ---------------------------------------------------------------------------------------------- crops


def crop_psnr(picture: Tensor, original: Tensor, place: tuple[int, int], side: int) -> float:
    """PSNR of a crop of side × side pixels."""
    return metrics.psnr(images.crop(picture, *place, side, side), images.crop(original, *place, side, side))


@matplotlib.rc_context(plots.STYLE)
def stories_figure(
    decoded: Mapping[str, Tensor], original: Tensor, places: Mapping[str, tuple[int, int]], side: int, owner: str
) -> plots.Shown:
    """A row of crops for each place, the original first, and where the places are.

    Args:
        decoded: name to picture.
        places: what the row says to (top, left).
    """
    made = Figure(figsize=(15, 4.1 * len(places)), layout="constrained")
    axes = made.subplots(len(places), len(decoded) + 2, squeeze=False, width_ratios=[1.5] + [1] * (len(decoded) + 1))
    texts = [f"Crops of {side} × {side} pixels ({owner})."]
    for (story, place), across in zip(places.items(), axes, strict=True):
        top, left = place
        across[0].imshow(images.to_uint8(original))
        across[0].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor="white", linewidth=6))
        across[0].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor=plots.BLUE, linewidth=3))
        across[0].set_title(story, fontweight="bold")
        values = {name: crop_psnr(picture, original, place, side) for name, picture in decoded.items()}
        best = max(values, key=values.__getitem__)
        shown = {"original": original} | dict(decoded)
        for axis, (name, picture) in zip(across[1:], shown.items(), strict=True):
            axis.imshow(images.to_uint8(images.crop(picture, top, left, side, side)), interpolation="nearest")
            axis.set_title(
                f"{name}: {values[name]:.1f} dB" if name in values else name, fontweight="bold" if name == best else None
            )
        texts.append(f"{story}, at row {top} and column {left}: " + ", ".join(f"{n} {v:.1f} dB" for n, v in values.items()) + ".")
        for axis in across:
            axis.set_axis_off()
    return plots.show(made, " ".join(texts))


def busiest_crop(original: Tensor, side: int) -> tuple[int, int]:
    """(top, left) of the crop with the largest variance: a place that no decoded picture has chosen."""
    mean, square = (F.avg_pool2d(each[None], side, stride=1)[0] for each in (original, original.square()))
    variance = (square - mean.square()).mean(0)
    top, left = divmod(int(variance.argmax()), variance.shape[1])
    return top, left


# ---------------------------------------------------------------------------------------------- one codec, many stories


def stories_table(lines: Mapping[str, Points], shelves: Mapping[str, Shelf], original: Tensor, bd_rate: BdRate) -> plots.Shown:
    """BD-rates of COIN's four files as they are, and as they can be told: other anchors, other ranges, headers left out."""
    coin, webp = lines["COIN"], lines["WebP"]
    jpeg_444 = codecs.get("jpeg-444")
    files = [jpeg_444.encode(original, bpp=rate) for rate in RATES]
    other = [(metrics.bits_per_pixel(data, original), metrics.psnr(jpeg_444.decode(data), original)) for data in files]
    bare = []
    for rate, (_, quality) in zip(shelves["COIN"].rates, coin, strict=True):
        data = shelves["COIN"].encode(original, bpp=rate)
        bare.append((metrics.bits_per_pixel(bytes(bitstream.anatomy(data)["networks"]), original), quality))
    low, high = max(coin[0][1], webp[0][1]), min(coin[-1][1], webp[-1][1])
    middle, top = (low + high) / 2, high - 1.5
    told = {
        "against WebP, every byte, all they share": bd_rate(webp, coin),
        f"only below {middle:.1f} dB": bd_rate(_within(webp, low, middle), _within(coin, low, middle)),
        f"only {top:.1f} to {high:.1f} dB": bd_rate(_within(webp, top, high), _within(coin, top, high)),
        "the weights' bits alone": bd_rate(webp, bare),
        "against JPEG": bd_rate(lines["JPEG"], coin),
        "against JPEG with all of its colours (4:4:4)": bd_rate(other, coin),
    }
    rows = {story: (percent(value),) for story, value in told.items()}
    return table(("BD-rate",), rows, "COIN on the cup of coffee, the same four files each time")


# ---------------------------------------------------------------------------------------------- the challenge


def enter(file: bytes | str | None, team: str = "") -> plots.Shown:
    """A file's score, or why it has none; with a team it goes into the leaderboard. None: no file yet."""
    if file is None:
        said = "No file of yours yet: set my_file, and run this again."
        return plots.Shown(f"<i>{said}</i>", said)
    try:
        entry = challenge.score(file, team)
    except challenge.ChallengeError as error:
        return plots.Shown(f"<b>Refused:</b> {html.escape(str(error))}.", f"Refused: {error}.")
    said = f"{entry.psnr:.2f} dB with {entry.bytes:,} of {challenge.LIMIT:,} bytes, {entry.codec}"
    said += f"; SSIM {entry.ssim:.4f}, SSIMULACRA 2 {entry.ssimulacra2:.1f}"
    if entry.copy_of:
        said += f". It is the picture of {entry.copy_of}, pixel for pixel, and counts for them"
    page = f"<b>{html.escape(entry.team or 'Scored')}:</b> {html.escape(said)}."
    return plots.Shown(page, f"{entry.team or 'Scored'}: {said}.")


def enter_samples() -> plots.Shown:
    """Two sample files, entered as somebody to beat."""
    shown = [enter(sample_file(name), team) for team, name in SAMPLES.items()]
    return plots.Shown("<br>".join(each.html for each in shown), "\n".join(each.text for each in shown))


def board() -> plots.Shown:
    """The leaderboard, every file decoded and measured again."""
    try:
        entries = challenge.leaderboard()
    except challenge.ChallengeError as error:
        return nothing(str(error))
    if not entries:
        return nothing("no file has been entered")
    rows = challenge.board_rows(entries)
    columns = ("team", "PSNR (dB)", "bytes", "SSIM", "SSIMULACRA 2", "codec")
    numbered = {f"{row[0]}{' ' * index if row[0] == '–' else ''}": row[1:] for index, row in enumerate(rows)}
    caption = f"{challenge.PICTURE}, {challenge.LIMIT:,} bytes at most; every file was decoded again just now"
    if best := challenge.second_prize(entries):
        caption += f". Second prize, for SSIMULACRA 2: {best.team}"
    return table(columns, numbered, caption)
