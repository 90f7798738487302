"""The sweep of notebook 05: what each loss gains, and what it pays in bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutorial_lib import evaluation, losses, plots
from tutorial_lib.course.drawing import nothing
from tutorial_lib.lessons.n05_losses.figures import LOOKS
from tutorial_lib.runtime import data_path


def sweep_rows() -> list[dict[str, Any]]:
    """The committed sweep's rows; none where it is missing."""
    there = data_path("results/losses-288x192")
    return evaluation.Results(there).rows() if there else []


def _measures(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Fields to axes' labels, with the LPIPS that was measured."""
    alex = any(row.get("lpips_alex") is not None for row in rows)
    label = "LPIPS (less is better)"
    return {"psnr": "PSNR (dB)", "ms_ssim_db": "MS-SSIM (dB)", "lpips_alex" if alex else "lpips_squeeze": label}


def sweep_figure(rows: Sequence[Mapping[str, Any]]) -> plots.Shown:
    """`plots.loss_curves` of the rows; a sentence where there are too few."""
    try:
        pictures = list(dict.fromkeys(row["picture"] for row in rows))
        title = f"{', '.join(pictures)} at 288 × 192" if pictures else ""
        return plots.loss_curves(rows, measures=_measures(rows), title=title)
    except ValueError as error:
        return nothing(str(error))


def gains_at_rate(rows: Sequence[Mapping[str, Any]], measure: str) -> dict[tuple[str, str], float]:
    """(codec, loss) to its mean gain over mse at equal rate, over pictures and five rates that both curves span."""
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row.get("loss") and row.get("bpp") and row.get("bpp_real") and row.get(measure) is not None:
            key = row["codec"], row["loss"], row["picture"]
            curves.setdefault(key, []).append((row["bpp_real"], row[measure]))
    gains: dict[tuple[str, str], list[float]] = {}
    for (codec, loss, picture), some in curves.items():
        plain = curves.get((codec, "mse", picture), [])
        if loss == "mse" or len(some) < 2 or len(plain) < 2:
            continue
        (rates, values), (plain_rates, plain_values) = (zip(*each, strict=True) for each in (some, plain))
        low, high = max(min(rates), min(plain_rates)), min(max(rates), max(plain_rates))
        if low < high:
            for rate in np.geomspace(low, high, 5):
                gain = evaluation.at_rate(rates, values, rate) - evaluation.at_rate(plain_rates, plain_values, rate)
                gains.setdefault((codec, loss), []).append(gain)
    return {key: sum(some) / len(some) for key, some in gains.items()}


def gains_at_lambda(rows: Sequence[Mapping[str, Any]], measure: str) -> dict[tuple[str, str], float]:
    """(codec, loss) to its mean gain over mse at equal λ; of "bpp_real" the change in percent of mse's rate."""
    kept = [row for row in rows if row.get("lmbda") and row.get("loss") and row.get(measure) is not None]
    plain = {(r["codec"], r["picture"], r["lmbda"]): r[measure] for r in kept if r["loss"] == "mse"}
    gains: dict[tuple[str, str], list[float]] = {}
    for row in kept:
        other = plain.get((row["codec"], row["picture"], row["lmbda"]))
        if other is not None and row["loss"] != "mse":
            gain = 100 * (row[measure] / other - 1) if measure == "bpp_real" else row[measure] - other
            gains.setdefault((row["codec"], row["loss"]), []).append(gain)
    return {key: sum(some) / len(some) for key, some in gains.items()}


@matplotlib.rc_context(plots.STYLE)
def gains_figure(rows: Sequence[Mapping[str, Any]]) -> plots.Shown:
    """What each loss gains over mse, at equal λ (hollow) and at equal rate (filled), and what it pays in bits at equal λ."""
    measures = _measures(rows)
    at_rate = {measure: gains_at_rate(rows, measure) for measure in measures}
    at_lambda = {measure: gains_at_lambda(rows, measure) for measure in ("bpp_real", *measures)}
    pairs = {pair for found in (*at_rate.values(), *at_lambda.values()) for pair in found}
    if not pairs:
        return nothing("there is nothing to compare")
    names = [name for name in losses.PAPER_LOSSES if any(loss == name for _, loss in pairs)]
    chosen = sorted({codec for codec, _ in pairs if any((codec, n) in at_lambda["bpp_real"] for n in names)})
    chosen = chosen or sorted({codec for codec, _ in pairs})
    titles = {"bpp_real": "rate at equal λ (%)"} | measures
    made = Figure(figsize=(14.5, 0.9 + 2.6 * len(chosen)), layout="constrained")
    panels = made.subplots(len(chosen), len(titles), sharex="col", sharey=True, squeeze=False)
    texts = ["Gains over mse, at equal λ and at equal rate."]
    for codec, across in zip(chosen, panels, strict=True):
        for (measure, title), axis in zip(titles.items(), across, strict=True):
            texts.append(f"{codec}, {title}: " + _dots(axis, codec, names, at_lambda[measure], at_rate.get(measure, {})))
            axis.axvline(0, color="0.4", linewidth=1.5, zorder=0)
            axis.set_title(f"{codec}: {title.replace(' (less is better)', ', less is better')}", fontsize=13)
            axis.set(yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5))
            axis.set_yticklabels(names)
            axis.margins(x=0.12)
    for (measure, title), axis in zip(titles.items(), panels[-1], strict=True):
        axis.set_xlabel("more bits than mse →" if measure == "bpp_real" else "← better" if "less" in title else "better →")
    handles = [
        matplotlib.lines.Line2D([], [], color="0.3", marker="D", markerfacecolor="white", linestyle="none", label="at equal λ"),
        matplotlib.lines.Line2D([], [], color="0.3", marker="o", linestyle="none", label="at equal rate"),
    ]
    made.legend(handles=handles, loc="outside lower center", ncols=2)
    return plots.show(made, " ".join(texts))


def _dots(axis: Axes, codec: str, names: Sequence[str], hollow: Mapping[Any, float], filled: Mapping[Any, float]) -> str:
    """One panel's dots; what they are in words."""
    said = []
    for place, name in enumerate(names):
        colour, words = LOOKS[name]["color"], []
        if (codec, name) in hollow:
            value = hollow[codec, name]
            axis.plot(value, place, "D", color=colour, markerfacecolor="white", markersize=10, markeredgewidth=2.5)
            words.append(f"{value:+.3g} at equal λ")
        if (codec, name) in filled:
            value = filled[codec, name]
            axis.plot(value, place, "o", color=colour, markersize=11)
            words.append(f"{value:+.3g} at equal rate")
        said.append(f"{name} {' and '.join(words) or 'n/a'}")
    return "; ".join(said) + "."
