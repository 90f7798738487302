"""A sweep as one page that opens from disk, and as a table for spreadsheets.

The page is self-contained: curves that answer the pointer, BD-rates, what encoding and decoding cost, decoded pictures side by
side and on each other, and every run. It says what its numbers are means of, and gives the reason where it leaves one out. What
it says stands in ``templates``; this module gathers what it shows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutorial_lib import codecs, images, widgets
from tutorial_lib.evaluation.curves import (
    AVERAGES,
    EvaluationError,
    Row,
    bd_rates,
    curves,
    lines,
    mean,
    name_of,
    published_points,
    shared_pictures,
)
from tutorial_lib.evaluation.results import Results
from tutorial_lib.evaluation.shelves import crops, decode, pictures_of, swipe
from tutorial_lib.plots import loss_curves
from tutorial_lib.runtime import require_writable

MEASURES = {
    "psnr": "PSNR (dB)",
    "ms_ssim_db": "MS-SSIM (dB)",
    "lpips_alex": "LPIPS (AlexNet, less is better)",
    "ssimulacra2": "SSIMULACRA 2",
}
"""Fields that are drawn, and what their axes say."""

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "bpp_real": ("bpp", "{:.3f}".format),
    "psnr": ("PSNR, dB", "{:.2f}".format),
    "ssim": ("SSIM", "{:.4f}".format),
    "ms_ssim_db": ("MS-SSIM, dB", "{:.2f}".format),
    "lpips_alex": ("LPIPS (AlexNet)", "{:.4f}".format),
    "lpips_squeeze": ("LPIPS (SqueezeNet)", "{:.4f}".format),
    "ssimulacra2": ("SSIMULACRA 2", "{:.1f}".format),
    "encode_seconds": ("encode, s", lambda value: f"{value:.3g}" if value < 100 else f"{value:.0f}"),
    "decode_seconds": ("decode, s", lambda value: f"{value:.3g}" if value < 100 else f"{value:.0f}"),
    "encode_peak_mb": ("encode, peak MB", "{:,.0f}".format),
    "decode_peak_mb": ("decode, peak MB", "{:,.0f}".format),
    "device_peak_mb": ("GPU, peak MB", "{:,.0f}".format),
    "operations_per_pixel": ("multiply-adds a pixel", "{:,.0f}".format),
}
"""Fields of the tables: what their columns say, and how their values are written."""

Cell = str | tuple[str, float | None]
"""A text, or a text and the number to sort by."""

Table = tuple[list[str], list[list[Cell]]]
"""Headings, and rows of cells."""

Points = dict[str, list[dict[str, Any]]]


def write_page(
    results: Results,
    *,
    title: str | None = None,
    anchor: str = "jpeg",
    crop: tuple[int, int, int, int] | None = None,
    draw_published: bool | None = None,
) -> Path:
    """Write ``report.html`` and ``runs.csv`` into the folder of the results.

    Args:
        results: a folder with rows; files of runs that it keeps are decoded and shown.
        title: heading of the page; None names the codecs' and pictures' number.
        anchor: the line that BD-rates are relative to.
        crop: (top, left, height, width) of the crop, in pixels, the same in every picture; None takes 160×120 pixels at the
            centre, a choice that favours nobody.
        draw_published: draw what papers report for the Kodak suite behind the curves; None does where all pictures are Kodak's at
            full size.

    Returns:
        path of the page.

    Raises:
        EvaluationError: no row in the folder.
        OSError: the folder can't be written; said before the files are decoded.
        ImageError: a crop that reaches outside a picture.
    """
    rows, remarks = results.read()
    if not rows:
        raise EvaluationError(
            f"there are no runs in {results.folder}: sweep first" + "".join(f" ({each})" for each in remarks[:1])
        )
    for path in (page_path := results.folder / "report.html", results.folder / "runs.csv"):
        require_writable(path)
    found, shared = lines(rows), shared_pictures(rows)
    shelves, problems = decode(results, found)
    beside, anchors = crops(shelves, crop)
    faint, published = {}, ""
    if len(shared) > 1 and (_all_full_kodak(rows) if draw_published is None else draw_published):
        faint, published = _published()
    template = widgets.templates("evaluation/templates").get_template("page.html.jinja")
    page = template.render(
        title=title or f"{_count(len({row['codec'] for row in rows}), 'codec')} on {_count(len(_names(rows)), 'picture')}",
        facts=_facts(rows),
        views=_mean_views(rows, len(shared), faint) + _picture_views(found, anchors),
        losses=_losses(rows),
        bd=_bd_tables(rows, found, anchor),
        means=_means(rows, found, set(shared)),
        swipe=swipe(shelves),
        failures=[
            [row["picture"], row["codec"], row.get("loss") or "–", _aim(row), row["error"]] for row in rows if row.get("error")
        ],
        settings=_settings(rows),
        runs=_runs(rows),
        pictures=len(_names(rows)),
        shared_names=[name for name in _names(rows) if name in shared],
        shared=shared,
        anchor=anchor,
        published=published,
        crops=beside,
        problems=problems,
        remarks=remarks,
        count=_count,
    )
    images.write_atomically(results.folder / "runs.csv", _csv(rows))
    images.write_atomically(page_path, page.encode(errors="backslashreplace"))  # a name may be no text
    return page_path


def _facts(rows: Sequence[Row]) -> dict[str, str]:
    failed = sum(bool(row.get("error")) for row in rows)
    days = sorted({str(row["time"])[:10] for row in rows if row.get("time")})
    machines = dict.fromkeys(
        f"{row['machine']}, {row.get('device', '?')}, {_count(row.get('threads') or 1, 'thread')}"
        for row in rows
        if row.get("machine")
    )
    rates = sorted({row["bpp"] for row in rows if row.get("bpp")})
    facts = {
        "Pictures": ", ".join(_names(rows)),
        "Runs": f"{len(rows)}" + (f", {failed} of them failed" if failed else ""),
        "Rates asked for": ", ".join(f"{rate:g}" for rate in rates) + " bpp" if rates else "",
        "Machine": "; ".join(machines),
        "Date": days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "",
        "Versions": "; ".join(dict.fromkeys(filter(None, map(_versions, rows)))),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _losses(rows: Sequence[Row]) -> str:
    """Losses side by side, a column for each learned codec, where one was fitted with several."""
    fitted = {(row["codec"], row["loss"]) for row in rows if row.get("loss") and not row.get("error")}
    if len(fitted) == len({codec for codec, _ in fitted}):
        return ""
    try:
        return loss_curves(rows).html
    except ValueError:  # no picture yet that all lines have
        return ""


def _mean_views(rows: Sequence[Row], count: int, faint: Mapping[str, Points]) -> list[tuple[str, list[str]]]:
    """The plots of means over ``count`` pictures by either average; none of a single picture."""
    over, views = f"mean of {_count(count, 'picture')}", []
    for average in AVERAGES if count > 1 else ():
        drawn = []
        for measure, axis in MEASURES.items():
            convention = average if measure == "psnr" else AVERAGES[0]
            points = {
                name: [{"bpp": rate, "value": value, "caption": over} for rate, value in some]
                for name, some in curves(rows, measure, average=convention).items()
            }
            behind = faint.get(average, {}) if measure == "psnr" else {}
            title = f"{axis.partition(' (')[0]}, {average if measure == 'psnr' else 'mean'}"
            drawn.append(_plot(points, axis, title, behind))
        views.append((f"{over}, {average}", list(filter(None, drawn))))
    return views


def _picture_views(found: Mapping[str, list[Row]], crops: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """The plots of each picture alone; ``crops`` names the image that shows a run, by the run's key."""
    views = []
    for picture in pictures_of(found):
        drawn = []
        for measure, axis in MEASURES.items():
            points = {
                name: [
                    {
                        "bpp": row["bpp_real"],
                        "value": row[measure],
                        "caption": f"{row['bytes']:,} bytes, {row['bpp']:g} bpp asked for",
                        "picture": crops.get(row["key"]),
                    }
                    for row in some
                    if name_of(row) == picture and row.get(measure) is not None
                ]
                for name, some in found.items()
            }
            drawn.append(_plot(points, axis, f"{axis.partition(' (')[0]}, {picture}", {}))
        views.append((picture, list(filter(None, drawn))))
    return views


def _plot(points: Points, axis: str, title: str, faint: Points) -> str:
    if not any(points.values()):
        return ""
    return widgets.hover_curves(points, y=axis, title=title, faint=faint, less_is_better="less" in axis).html


def _published() -> tuple[dict[str, Points], str]:
    """Published points by average and codec, and "drawn", or why there are none."""
    faint: dict[str, Points] = {}
    try:
        points = published_points()
    except EvaluationError as error:
        return {}, str(error)
    for point in points:
        some = faint.setdefault(point.average, {}).setdefault(f"{point.codec} (published)", [])
        some.append({"bpp": point.bpp, "value": point.psnr, "caption": point.source})
    return faint, "drawn"


def _all_full_kodak(rows: Sequence[Row]) -> bool:
    return all(
        str(row["picture"]).startswith("kodak:") and sorted((row.get("height") or 512, row.get("width") or 768)) == [512, 768]
        for row in rows
    )


def _bd_tables(rows: Sequence[Row], found: Mapping[str, list[Row]], anchor: str) -> dict[str, Any] | str:
    """BD-rates against the anchor by both averages, and of learned codecs against each classical one; or why there are none."""
    if not found:
        return {}
    try:
        columns = {average: bd_rates(rows, anchor, average=average) for average in AVERAGES}
    except EvaluationError as error:
        text = str(error)
        return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    classical = [name for name in found if name.partition(",")[0] in codecs.CLASSICAL]
    learned = [name for name in found if name not in classical]
    matrix: dict[str, dict[str, float | str]] = {}
    for name in classical if learned and len(classical) > 1 else ():
        try:
            matrix[f"against {name}"] = bd_rates(rows, name)
        except EvaluationError as error:
            matrix[f"against {name}"] = dict.fromkeys(learned, str(error))
    return {"against_anchor": _bd_table(columns, names), "matrix": matrix and _bd_table(matrix, learned)}


def _bd_table(columns: Mapping[str, Mapping[str, float | str]], names: Sequence[str]) -> Table:
    return ["line", *columns], [[name, *(_bd_cell(column.get(name)) for column in columns.values())] for name in names]


def _bd_cell(value: float | str | None) -> Cell:
    if value is None:
        return "no curve"
    return value if isinstance(value, str) else (f"{value:+.1f} %".replace("-", "−"), value)


def _means(rows: Sequence[Row], found: Mapping[str, list[Row]], shared: set[str]) -> Table | None:
    """Means over pictures of each line at each rate asked for, or each λ; None where there are none."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for name, some in found.items():
        for row in sorted(some, key=lambda row: row["bpp"]):
            if not shared or name_of(row) in shared:
                groups.setdefault((name, _aim(row)), []).append(row)
    for row in rows:
        if not row.get("error") and row.get("bpp") is None and row.get("lmbda") is not None:
            name = ", ".join(filter(None, (row["codec"], row.get("loss"))))
            groups.setdefault((name, _aim(row)), []).append(row)
    if not groups:
        return None
    measured = [row for some in groups.values() for row in some]
    columns: list[tuple[str, str, str]] = []
    for field in _fields(measured):
        columns.append((COLUMNS[field][0], field, AVERAGES[0]))
        if field == "psnr" and all(row.get("mse") is not None for row in measured):
            columns.append(("PSNR of mean MSE, dB", field, AVERAGES[1]))
    body: list[list[Cell]] = []
    for (name, aim), some in groups.items():
        pictures = str(len({name_of(row) for row in some})), float(len(some))
        body.append([name, aim, pictures, *(_cell(field, mean(some, field, average)) for _, field, average in columns)])
    return ["line", "asked for", "pictures", *(head for head, *_ in columns)], body


def _settings(rows: Sequence[Row]) -> list[list[str]]:
    """Encoder calls of the classical codecs."""
    kept = dict.fromkeys((row["codec"], str(row["settings"])) for row in rows if row.get("settings"))
    missing = sorted({row["codec"] for row in rows if row["codec"] in codecs.CLASSICAL} - {codec for codec, _ in kept})
    return [[codec, settings] for codec, settings in kept] + [[codec, "not recorded in these rows"] for codec in missing]


def _runs(rows: Sequence[Row]) -> Table:
    fields = _fields(rows)
    head = ["picture", "codec", "loss", "asked for", "budget", "seed", "bytes", *(COLUMNS[field][0] for field in fields)]
    body = []
    for row in rows:
        cells: list[Cell] = [name_of(row), row["codec"], row.get("loss") or "–", _aim(row), row.get("budget") or "–"]
        cells += [str(row.get("seed", "–")), (f"{row['bytes']:,}", row["bytes"]) if row.get("bytes") else "–"]
        body.append(cells + [_cell(field, row.get(field)) for field in fields])
    return head, body


def _csv(rows: Sequence[Row]) -> bytes:
    """All rows, one column a field; lists and mappings as JSON."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for k, v in row.items()})
    return buffer.getvalue().encode(errors="backslashreplace")


def _fields(rows: Sequence[Row]) -> list[str]:
    """Those of `COLUMNS` that some row has."""
    return [field for field in COLUMNS if any(row.get(field) is not None for row in rows)]


def _cell(field: str, value: float | None) -> Cell:
    return "–" if value is None else (COLUMNS[field][1](value).replace("-", "−"), float(value))


def _aim(row: Row) -> str:
    if row.get("bpp") is not None:
        return f"{row['bpp']:g} bpp"
    return f"λ = {row['lmbda']:g}" if row.get("lmbda") is not None else "–"


def _versions(row: Row) -> str:
    versions = row.get("versions") or ({"torch": row["torch"]} if row.get("torch") else {})
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _names(rows: Sequence[Row]) -> list[str]:
    """The pictures with their sizes; a failed run's, which has none, only where no other names its picture."""
    measured = {str(row["picture"]) for row in rows if row.get("width")}
    return list(dict.fromkeys(name_of(row) for row in rows if row.get("width") or str(row["picture"]) not in measured))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
