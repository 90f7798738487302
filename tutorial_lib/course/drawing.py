"""What several lessons draw and tabulate alike: maps, tables, guesses, the plane of rate and quality."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
import torch
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor

from tutorial_lib import codecs, images, metrics, plots
from tutorial_lib.course import labels
from tutorial_lib.course.session import sample_file

_SIGNED = LinearSegmentedColormap.from_list("", [plots.ORANGE, "white", plots.BLUE])


def signed(values: Tensor, reach: float | None = None) -> Tensor:
    """A map (H, W) of values around 0 as a picture (3, H, W): orange below, white at 0, blue above.

    Args:
        values: the map.
        reach: what gets the full colour; by default the 98th percentile of the magnitudes.
    """
    values = values.detach().cpu().float()
    reach = float(values.abs().flatten().quantile(0.98)) if reach is None else reach
    levels = (values / (reach or 1.0)).clamp(-1, 1).mul(0.5).add(0.5)
    return torch.from_numpy(_SIGNED(levels.numpy())[..., :3]).float().movedim(-1, 0)


def grey(values: Tensor) -> Tensor:
    """A map (H, W) of values from 0 up as a grey picture (3, H, W); white is the 98th percentile."""
    values = values.detach().cpu().float()
    return (values / (float(values.flatten().quantile(0.98)) or 1.0)).clamp(0, 1).expand(3, *values.shape).clone()


def equally_wrong(picture: Tensor, decoded: Tensor) -> list[Tensor]:
    """Three versions of a picture with one mean squared error: brighter, noisy, and the decoded one.

    Args:
        picture: (3, H, W), the original.
        decoded: (3, H, W), which sets the error.
    """
    error = _error(decoded, picture)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0)).to(picture.device)
    return [_at_error(picture, change, error) for change in (torch.ones_like(picture), noise)] + [decoded]


def _at_error(picture: Tensor, change: Tensor, error: float) -> Tensor:
    """The picture plus so much of a change that its error is the given one, found by bisection."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _error(picture + middle * change, picture) < error else (low, middle)
    return images.quantize_8bit(picture + high * change)


def _error(first: Tensor, second: Tensor) -> float:
    return float((images.quantize_8bit(first) - images.quantize_8bit(second)).square().mean())


def table(columns: Sequence[str], rows: Mapping[str, Sequence[str]], caption: str) -> plots.Shown:
    """Words and numbers in rows and columns, the first column being the rows' names."""
    cell = 'style="text-align:right;padding:3px 14px"'
    first = cell.replace("right", "left")
    head = f"<th {first}></th>" + "".join(f"<th {cell}>{html.escape(each)}</th>" for each in columns)
    body = "".join(
        f"<tr><th {first} scope='row'>{html.escape(name)}</th>"
        + "".join(f"<td {cell}>{html.escape(each)}</td>" for each in row)
        + "</tr>"
        for name, row in rows.items()
    )
    title = f'<caption style="caption-side:top;text-align:left;padding:3px 14px">{html.escape(caption)}</caption>'
    lines = [caption]
    for name, row in rows.items():
        lines.append(f"{name}: " + ", ".join(f"{c} {v}" for c, v in zip(columns, row, strict=True)))
    page = f'<table style="font-size:1.1em">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return plots.Shown(f'<div style="overflow-x:auto">{page}</div>', "\n".join(lines))


def compare(guess: float | str | None, truth: float | str, unit: str = "") -> str:
    """A reader's guess beside what came out, in words."""
    said = truth if isinstance(truth, str) else f"{truth:.2f}{unit}"
    if guess is None:
        return f"{said}. (You made no guess: the next one counts.)"
    if isinstance(truth, str):
        right = str(guess).strip().lower() == truth.lower()
        return f"{said}. {'As you said.' if right else f'You said {guess}.'}"
    if isinstance(guess, str):
        number = re.search(r"[-+]?\d+(?:[.,]\d+)?", guess)
        if number is None:
            return f"{said}. (Your guess, {guess}, has no number in it.)"
        guess = float(number[0].replace(",", "."))
    off = guess - truth
    return f"{said}. You said {guess:g}{unit}, {abs(off):.2g}{unit} {'too much' if off > 0 else 'too little'}."


def folded(shown: plots.Shown | str, guess: object, ask: str = "your guess") -> plots.Shown:
    """An answer that stays folded while the reader's guess is None, so that "Run All" gives nothing away.

    Args:
        shown: the answer.
        guess: the reader's, None where there is none yet.
        ask: what is missing, in words.
    """
    shown = plots.Shown(html.escape(shown), shown) if isinstance(shown, str) else shown
    if guess is not None:
        return shown
    summary = f"First {ask}: write it into the cell and run it again. Or open this for the answer."
    return plots.Shown(f"<details><summary>{html.escape(summary)}</summary>{shown.html}</details>", summary)


def reveal(question: str, guess: float | str | None, truth: float | str, unit: str = "") -> plots.Shown:
    """A question, what came out, and the reader's guess beside it; `folded` while there is none."""
    return folded(f"{question}: {compare(guess, truth, unit)}", guess)


def nothing(why: str) -> plots.Shown:
    """A sentence in the place of a figure whose numbers are missing."""
    return plots.Shown(f"<i>Nothing to draw yet: {html.escape(why)}.</i>", f"Nothing to draw yet: {why}.")


def histogram_bits(grid: Tensor) -> float:
    """Bits of a grid by the entropy of its own histogram, the histogram itself not counted."""
    counts = grid.flatten().unique(return_counts=True)[1].double()
    return float(-(counts * torch.log2(counts / counts.sum())).sum())


@matplotlib.rc_context(plots.STYLE)
def plane(
    series: Mapping[str, Sequence[tuple[float, float]]], stars: Mapping[str, tuple[float, float]], *, title: str
) -> plots.Shown:
    """Rate against quality: codecs as lines, and the reader's own points as named stars."""
    made, axis = plots.figure(9, 5.2)
    texts = [f"Rate-distortion plane, {title}."]
    for (name, some), marker in zip(series.items(), plots.MARKERS, strict=False):
        axis.plot(*zip(*some, strict=True), marker=marker, label=name)
        texts.append(f"{name}: " + ", ".join(f"{quality:.1f} dB at {rate:.2f} bpp" for rate, quality in some) + ".")
    look = {"markersize": 22, "markeredgecolor": "black", "color": plots.YELLOW, "linestyle": "none", "zorder": 5}
    # a star far below the curves, as after a quick run, would squash them: it sits at the edge and says where it belongs
    floor = min(quality for some in series.values() for _, quality in some) - 3
    shown = {}
    for name, (rate, quality) in stars.items():
        below = quality < floor
        axis.plot(rate, max(quality, floor), marker="v" if below else "*", **look)
        shown[f"{name}: {quality:.1f} dB" if below else name] = (rate, max(quality, floor))
        texts.append(f"Your star {name}: {quality:.1f} dB at {rate:.2f} bpp.")
    axis.set(xlabel="bits per pixel", ylabel="PSNR (dB)", title=title)
    axis.set_xlim(left=0)
    axis.legend(loc="lower right")
    labels.name_points(axis, shown, fontweight="bold")
    return plots.show(made, " ".join(texts))


def coffee_plane(
    stars: Mapping[str, tuple[float, float]], original: Tensor, lines: Mapping[str, Literal["jpeg", "coolchic-small"]]
) -> plots.Shown:
    """`plane` of the cup of coffee at 150×100: JPEG encoded now, latent grids decoded now from sample files, and stars.

    Args:
        stars: name to (bits per pixel, dB).
        original: (3, 100, 150).
        lines: name to codec.
    """
    encoded = {
        "jpeg": lambda codec: [codec.encode(original, quality=quality) for quality in (5, 10, 20, 30, 40, 50, 60, 70)],
        "coolchic-small": lambda _: [sample_file(f"coffee-coolchic-{rate}.inr") for rate in ("0.5", "0.9", "1.4", "2.0")],
    }
    series = {}
    for name, key in lines.items():
        codec = codecs.get(key)
        series[name] = [
            (metrics.bits_per_pixel(data, original), metrics.psnr(codec.decode(data).cpu(), original))
            for data in encoded[key](codec)
        ]
    return plane(series, stars, title="coffee, 150 × 100 pixels, every byte counted")
