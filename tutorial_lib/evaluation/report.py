"""A sweep as one page that opens from disk, and as a table for spreadsheets.

The page is self-contained: curves that answer the pointer, BD-rates, what encoding and decoding cost, decoded pictures side by
side and on each other, and every run. It says what its numbers are means of, and gives the reason where it leaves one out.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from tutorial_lib import codecs, images, metrics, widgets
from tutorial_lib.evaluation.curves import (
    AVERAGES,
    EvaluationError,
    bd_rates,
    curves,
    lines,
    mean,
    name_of,
    published_points,
    shared_pictures,
)
from tutorial_lib.evaluation.runs import Results, original
from tutorial_lib.plots import loss_curves

MEASURES = {
    "psnr": "PSNR (dB)",
    "ms_ssim_db": "MS-SSIM (dB)",
    "lpips_alex": "LPIPS (AlexNet, less is better)",
    "ssimulacra2": "SSIMULACRA 2",
}
"""Fields that are drawn, and what their axes say."""

CROP = (120, 160)
"""Height and width of the crops, in pixels."""

FRAME = (512, 768)
"""Largest frame of the swipe, in pixels; a portrait is turned. A larger picture shows its centre."""

CROP_BYTES = 4_500_000
SWIPE_BYTES = 8_000_000
"""What the embedded pictures may take of the page, in bytes of base64."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Decoded:
    """A kept file of a line, decoded: one of the pictures that the page shows."""

    line: str
    row: Row
    picture: Tensor

    @property
    def label(self) -> str:
        return f"{self.line}, {self.row['bpp_real']:.3f} bpp, {_number(self.row.get('psnr'), 2)} dB"


@dataclass(frozen=True)
class _Shelf:
    """A picture with its decoded files at one rate asked for."""

    name: str
    bpp: float
    original: Tensor
    decoded: tuple[_Decoded, ...]


def write_report(
    results: Results,
    *,
    title: str | None = None,
    anchor: str = "jpeg",
    crop: tuple[int, int, int, int] | None = None,
    draw_published: bool | None = None,
    progress: bool = True,
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
        progress: show a bar while files are decoded.

    Returns:
        path of the page.

    Raises:
        EvaluationError: no row in the folder.
        ImageError: a crop that reaches outside a picture.
    """
    rows = results.rows()
    if not rows:
        raise EvaluationError(f"there are no runs in {results.folder}: sweep first")
    found = lines(rows)
    pictures = list(dict.fromkeys(name_of(row) for some in found.values() for row in some))
    shelves, problems = _decode(results, found, pictures, progress)
    crops, anchors = _crops(shelves, crop)
    heading = title or f"{_count(len({row['codec'] for row in rows}), 'codec')} on {_count(len(_names(rows)), 'picture')}"
    parts = [
        f"<h1>{_text(heading)}</h1>",
        _facts(rows),
        _plots(rows, found, pictures, anchors, _all_full_kodak(rows) if draw_published is None else draw_published),
        _losses(rows),
        _bd_tables(rows, found, anchor),
        _means_table(rows, found),
        _swipe(shelves),
        crops,
        _problems(problems, shelves),
        _failures(rows),
        _settings(rows),
        _runs_table(rows),
    ]
    page = _PAGE.format(title=_text(heading), style=_STYLE, body="\n".join(filter(None, parts)), script=_SCRIPT)
    images.write_atomically(results.folder / "runs.csv", _csv(rows))
    path = results.folder / "report.html"
    images.write_atomically(path, page.encode())
    return path


# ---------------------------------------------------------------------------------------------- numbers


def _facts(rows: Sequence[Row]) -> str:
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
    body = "".join(f"<dt>{name}</dt><dd>{_text(fact)}</dd>" for name, fact in facts.items() if fact)
    return f'<dl>{body}</dl><p>Every run is a row of <a href="runs.csv">runs.csv</a>, in this folder.</p>'


def _losses(rows: Sequence[Row]) -> str:
    """Losses side by side, a column for each learned codec, where one was fitted with several."""
    fitted = {(row["codec"], row["loss"]) for row in rows if row.get("loss") and not row.get("error")}
    if len(fitted) == len({codec for codec, _ in fitted}):
        return ""
    try:
        drawn = loss_curves(rows)
    except ValueError:  # no picture yet that all lines have
        return ""
    return f"<h2>Losses</h2><p>Up is better in every panel; means over the pictures that all lines have.</p>{drawn.html}"


def _plots(
    rows: Sequence[Row],
    found: Mapping[str, list[Row]],
    pictures: Sequence[str],
    crops: Mapping[str, str],
    draw_published: bool,
) -> str:
    """The chooser and its plots; ``crops`` names the image that shows a run, by the run's key."""
    if not found:
        return ""
    shared = shared_pictures(rows)
    views: list[tuple[str, str]] = []  # what the chooser says, and its plots
    note = ""
    faint: dict[str, list[dict[str, Any]]] = {}
    for average in AVERAGES if len(shared) > 1 else ():
        if draw_published:
            faint, note = _published(average)
        views.append((f"mean of {_count(len(shared), 'picture')}, {average}", _mean_plots(rows, average, len(shared), faint)))
    views += [(picture, _picture_plots(found, picture, crops)) for picture in pictures]
    options = "".join(f'<option value="{number}">{_text(name)}</option>' for number, (name, _) in enumerate(views))
    blocks = "".join(
        f'<section class="view" data-view="{number}"><h3>{_text(name)}</h3>{body}</section>'
        for number, (name, body) in enumerate(views)
    )
    if len(shared) > 1:
        about = (
            f"Means are taken over the {len(shared)} pictures of which every line has two rates or more: {', '.join(shared)}. "
            "“Mean of PSNR” averages the pictures' PSNR; “PSNR of mean MSE” averages their errors first and is the lower one."
        )
    else:
        about = "Fewer than two pictures have two rates or more of every line, so each picture stands alone."
    return (
        f"<h2>Rate and distortion</h2><p>{_text(about)}{note}</p>"
        f'<p class="chooser"><label>Show: <select id="view">{options}</select></label></p>{blocks}'
    )


def _mean_plots(rows: Sequence[Row], average: str, count: int, faint: Mapping[str, list[dict[str, Any]]]) -> str:
    drawn = []
    for measure, axis in MEASURES.items():
        of_psnr = measure == "psnr"
        series = curves(rows, measure, average=average if of_psnr else AVERAGES[0])
        over = f"mean of {_count(count, 'picture')}"
        points = {name: [{"bpp": rate, "value": value, "caption": over} for rate, value in some] for name, some in series.items()}
        convention = f", {average}" if of_psnr else ", mean"
        drawn.append(_plot(points, axis, f"{axis.partition(' (')[0]}{convention}", faint if of_psnr else {}))
    return "".join(drawn)


def _picture_plots(found: Mapping[str, list[Row]], picture: str, crops: Mapping[str, str]) -> str:
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
    return "".join(drawn)


def _plot(points: Mapping[str, list[dict[str, Any]]], axis: str, title: str, faint: Mapping[str, list[dict[str, Any]]]) -> str:
    if not any(points.values()):
        return ""
    shown = widgets.hover_curves(points, y=axis, title=title, faint=faint, less_is_better="less" in axis)
    return f'<div class="plot">{shown.html}</div>'


def _published(average: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Published points of one convention, by codec, and a sentence for the page."""
    try:
        points = published_points()
    except EvaluationError as error:
        return {}, f" {_text(str(error))}."
    faint: dict[str, list[dict[str, Any]]] = {}
    for point in points:
        if point.average == average:
            faint.setdefault(f"{point.codec} (published)", []).append(
                {"bpp": point.bpp, "value": point.psnr, "caption": point.source}
            )
    return faint, (
        " The grey lines are what others report for all 24 pictures of the Kodak suite at full size (768×512), each in the plot "
        "of its own average; means over fewer pictures don't compare with them. Point at one to see its source."
    )


def _all_full_kodak(rows: Sequence[Row]) -> bool:
    return all(
        str(row["picture"]).startswith("kodak:") and sorted((row.get("height") or 512, row.get("width") or 768)) == [512, 768]
        for row in rows
    )


def _bd_tables(rows: Sequence[Row], found: Mapping[str, list[Row]], anchor: str) -> str:
    if not found:
        return ""
    count = _count(len(shared_pictures(rows)), "picture")
    about = (
        f"How much more rate a line needs than {_text(anchor)} for equal PSNR, on average over the PSNR that both reach, from "
        f"means over {count}; below zero it needs less. Where there is no number, the reason stands instead."
    )
    columns: dict[str, dict[str, float | str]] = {}
    for average in AVERAGES:
        try:
            columns[average] = bd_rates(rows, anchor, average=average)
        except EvaluationError as error:
            return f"<h2>BD-rate</h2><p>{_text(_sentence(str(error)))}</p>"
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    body = [[name, *(_bd_cell(column.get(name)) for column in columns.values())] for name in names]
    parts = [f"<h2>BD-rate against {_text(anchor)}</h2><p>{about}</p>", _table(["line", *AVERAGES], body)]

    classical = [name for name in found if name.partition(",")[0] in codecs.CLASSICAL]
    learned = [name for name in found if name not in classical]
    if learned and len(classical) > 1:
        matrix = {}
        for name in classical:
            try:
                matrix[name] = bd_rates(rows, name)
            except EvaluationError as error:
                matrix[name] = dict.fromkeys(learned, str(error))
        body = [[name, *(_bd_cell(matrix[other].get(name)) for other in classical)] for name in learned]
        head = ["line", *(f"against {name}" for name in classical)]
        parts += [f"<h3>Learned codecs against each classical one</h3><p>From the {AVERAGES[0]}.</p>", _table(head, body)]
    return "".join(parts)


def _bd_cell(value: float | str | None) -> tuple[str, float | None]:
    if value is None:
        return "no curve", None
    return (value, None) if isinstance(value, str) else (f"{value:+.1f} %".replace("-", "−"), value)


_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "bpp_real": ("bpp", lambda value: f"{value:.3f}"),
    "psnr": ("PSNR, dB", lambda value: f"{value:.2f}"),
    "ssim": ("SSIM", lambda value: f"{value:.4f}"),
    "ms_ssim_db": ("MS-SSIM, dB", lambda value: f"{value:.2f}"),
    "lpips_alex": ("LPIPS (AlexNet)", lambda value: f"{value:.4f}"),
    "lpips_squeeze": ("LPIPS (SqueezeNet)", lambda value: f"{value:.4f}"),
    "ssimulacra2": ("SSIMULACRA 2", lambda value: f"{value:.1f}"),
    "encode_seconds": ("encode, s", lambda value: f"{value:.3g}" if value < 100 else f"{value:.0f}"),
    "decode_seconds": ("decode, s", lambda value: f"{value:.3g}" if value < 100 else f"{value:.0f}"),
    "encode_peak_mb": ("encode, peak MB", lambda value: f"{value:,.0f}"),
    "decode_peak_mb": ("decode, peak MB", lambda value: f"{value:,.0f}"),
    "device_peak_mb": ("GPU, peak MB", lambda value: f"{value:,.0f}"),
    "operations_per_pixel": ("multiply-adds a pixel", lambda value: f"{value:,.0f}"),
}


def _means_table(rows: Sequence[Row], found: Mapping[str, list[Row]]) -> str:
    shared = set(shared_pictures(rows))
    groups: dict[tuple[str, str], list[Row]] = {}
    for name, some in found.items():
        for row in sorted(some, key=lambda row: row["bpp"]):
            if not shared or name_of(row) in shared:
                groups.setdefault((name, f"{row['bpp']:g} bpp"), []).append(row)
    for row in rows:
        if not row.get("error") and row.get("bpp") is None and row.get("lmbda") is not None:
            name = ", ".join(filter(None, (row["codec"], row.get("loss"))))
            groups.setdefault((name, f"λ = {row['lmbda']:g}"), []).append(row)
    if not groups:
        return ""
    fields = [field for field in _COLUMNS if any(row.get(field) is not None for some in groups.values() for row in some)]
    has_mse = all(row.get("mse") is not None for some in groups.values() for row in some)
    head = ["line", "asked for", "pictures"]
    for field in fields:
        head += [_COLUMNS[field][0]] + ["PSNR of mean MSE, dB"] * (field == "psnr" and has_mse)
    body = []
    for (name, aim), some in groups.items():
        cells: list[Any] = [name, aim, (str(len({name_of(row) for row in some})), float(len(some)))]
        for field in fields:
            cells.append(_cell(field, mean(some, field)))
            if field == "psnr" and has_mse:
                cells.append(_cell(field, mean(some, field, AVERAGES[1])))
        body.append(cells)
    about = "Means over pictures" + (f" ({', '.join(name for name in _names(rows) if name in shared)})" if shared else "")
    about += (
        "; a dash where a measure is missing for one of them. Seconds and memory hold for the machine above; the memory is the "
        "whole process's, Python and PyTorch included. Click a heading to sort."
    )
    return f"<h2>Quality and cost</h2><p>{_text(about)}</p>{_table(head, body)}"


def _failures(rows: Sequence[Row]) -> str:
    failed = [row for row in rows if row.get("error")]
    if not failed:
        return ""
    body = [[str(row["picture"]), row["codec"], row.get("loss") or "–", _aim(row), str(row["error"])] for row in failed]
    return f"<h2>Failed runs</h2>{_table(['picture', 'codec', 'loss', 'asked for', 'error'], body)}"


def _settings(rows: Sequence[Row]) -> str:
    kept = dict.fromkeys((row["codec"], str(row["settings"])) for row in rows if row.get("settings"))
    missing = sorted({row["codec"] for row in rows if row["codec"] in codecs.CLASSICAL} - {codec for codec, _ in kept})
    body = [[codec, settings] for codec, settings in kept] + [[codec, "not recorded in these rows"] for codec in missing]
    return f"<h2>Settings of the classical codecs</h2>{_table(['codec', 'encoder call and versions'], body)}" if body else ""


def _runs_table(rows: Sequence[Row]) -> str:
    fields = [field for field in _COLUMNS if any(row.get(field) is not None for row in rows)]
    head = ["picture", "codec", "loss", "asked for", "budget", "seed", "bytes", *(_COLUMNS[field][0] for field in fields)]
    body = []
    for row in rows:
        cells: list[Any] = [name_of(row), row["codec"], row.get("loss") or "–", _aim(row), row.get("budget") or "–"]
        cells += [str(row.get("seed", "–")), (f"{row['bytes']:,}", row["bytes"]) if row.get("bytes") else "–"]
        body.append(cells + [_cell(field, row.get(field)) for field in fields])
    return f"<h2>All runs</h2><details><summary>{_count(len(rows), 'run')}</summary>{_table(head, body)}</details>"


def _csv(rows: Sequence[Row]) -> bytes:
    """All rows, one column a field; lists and mappings as JSON."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else v for k, v in row.items()})
    return buffer.getvalue().encode()


# --------------------------------------------------------------------------------------------- pictures


def _decode(
    results: Results, found: Mapping[str, list[Row]], pictures: Sequence[str], progress: bool
) -> tuple[list[_Shelf], list[str]]:
    """Every picture's kept files at the rate where most lines have one, decoded; and what could not be."""
    chosen = []
    for picture in pictures:
        rates: dict[float, dict[str, Row]] = {}
        for name, some in found.items():
            for row in some:
                if name_of(row) == picture and results.data(row) is not None:
                    rates.setdefault(row["bpp"], {})[name] = row
        if rates:
            # of equally many the lowest: it is there that codecs look different
            bpp = max(rates, key=lambda rate: (len(rates[rate]), -rate))
            chosen.append((picture, bpp, rates[bpp]))
    shelves, problems = [], []
    count = sum(len(some) for *_, some in chosen)
    with tqdm(total=count, unit="file", desc="decoding", disable=not (progress and count)) as bar:
        for picture, bpp, some in chosen:
            try:
                first = original(next(iter(some.values())))
            except (ValueError, OSError) as error:
                problems.append(f"{picture}: the original can't be opened here, so its files aren't shown ({error})")
                bar.update(len(some))
                continue
            decoded = []
            for name, row in some.items():
                try:
                    made = codecs.get(row["codec"]).decode(results.data(row) or b"").detach().cpu()
                    if made.shape != first.shape:
                        raise ValueError(f"it is {made.shape[2]}×{made.shape[1]} pixels large")
                    decoded.append(_Decoded(name, row, made))
                except (ValueError, OSError, RuntimeError) as error:
                    problems.append(f"{picture}, {name}: the file {row['file']} can't be shown ({error})")
                bar.update()
            if decoded:
                shelves.append(_Shelf(picture, bpp, first, tuple(decoded)))
    return shelves, problems


def _swipe(shelves: Sequence[_Shelf]) -> str:
    """The first picture's frames on each other, as many as the page can hold."""
    if not shelves:
        return ""
    shelf = shelves[0]
    height, width = shelf.original.shape[1:]
    largest = FRAME if width >= height else FRAME[::-1]
    frame = _centred((height, width), largest)
    shown = {"original": images.crop(shelf.original, *frame)}
    shown |= {each.label: images.crop(each.picture, *frame) for each in shelf.decoded}
    room = SWIPE_BYTES
    for label, picture in list(shown.items()):
        room -= len(widgets.exact_source(picture))
        if room < 0 and len(shown) > 2:
            del shown[label]
    left_out = len(shelf.decoded) + 1 - len(shown)
    part = f"the central {frame[3]}×{frame[2]} pixels of " if (frame[2], frame[3]) != (height, width) else ""
    about = f"Choose two; the edge follows the pointer. Shown are {part}{shelf.name}, {shelf.bpp:g} bpp asked for, without loss."
    if left_out:
        about += f" {_count(left_out, 'decoded picture')} did not fit into this page."
    drawn = widgets.swipe_any(shown, alt=f"the picture {shelf.name}", zoom=max(1, 700 // frame[3]))
    return f"<h2>On each other</h2><p>{_text(about)}</p>{drawn.html}"


def _crops(shelves: Sequence[_Shelf], crop: tuple[int, int, int, int] | None) -> tuple[str, dict[str, str]]:
    """The same part of each picture from every codec, with captions, until the page is full; and where a run is shown, by key."""
    if not shelves:
        return "", {}
    room, left_out, blocks, anchors = CROP_BYTES, [], [], {}
    for number, shelf in enumerate(shelves):
        size = (shelf.original.shape[1], shelf.original.shape[2])
        window = crop or _centred(size, CROP)
        reference = images.crop(shelf.original, *window)
        figures = [_figure(reference, f"crop-{number}", f"{shelf.name}, original, crop", "original", "")]
        names = {}
        for index, each in enumerate(shelf.decoded):
            part = images.crop(each.picture, *window)
            here = metrics.psnr(part, reference)
            caption = (
                f"{each.row['bpp_real']:.3f} bpp, PSNR {_number(each.row.get('psnr'), 2)} dB, of this crop {_number(here, 2)} dB"
            )
            names[each.row["key"]] = f"#crop-{number}-{index}"
            alt = f"{shelf.name}, {each.line}, crop: {caption}"
            figures.append(_figure(part, f"crop-{number}-{index}", alt, each.line, caption))
        block = "".join(figures)
        if blocks and len(block) > room:
            left_out.append(shelf.name)
            continue
        room -= len(block)
        anchors |= names
        where = f"{window[3]}×{window[2]} pixels from row {window[0]}, column {window[1]}; {shelf.bpp:g} bpp asked for"
        blocks.append(f'<h3>{_text(shelf.name)}</h3><p>{_text(where)}.</p><div class="crops">{block}</div>')
    how = "They were chosen by hand." if crop else "They are the centres of the pictures, whatever is to be seen there."
    about = f"Crops of the decoded pictures, without loss, at the rate where most lines have a file. {how}"
    if left_out:
        about += f" Left out to keep the page small: {', '.join(left_out)}."
    return f"<h2>Side by side</h2><p>{_text(about)}</p>{''.join(blocks)}", anchors


def _figure(picture: Tensor, anchor: str, alt: str, name: str, caption: str) -> str:
    width = picture.shape[2]
    zoom = max(1, 320 // width)
    look = f"width:{width * zoom}px;max-width:100%;image-rendering:pixelated"
    source = widgets.exact_source(picture)
    return (
        f'<figure style="max-width:{width * zoom}px"><img id="{anchor}" alt="{_text(alt)}" src="{source}" style="{look}">'
        f"<figcaption><b>{_text(name)}</b> {_text(caption)}</figcaption></figure>"
    )


def _problems(problems: Sequence[str], shelves: Sequence[_Shelf]) -> str:
    if problems:
        return "<h2>Pictures not shown</h2><ul>" + "".join(f"<li>{_text(each)}</li>" for each in problems) + "</ul>"
    return "" if shelves else "<p>This folder came without encoded files, so there are no pictures to show.</p>"


def _centred(size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a window at the centre, no larger than the picture."""
    height, width = min(size[0], window[0]), min(size[1], window[1])
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


# ------------------------------------------------------------------------------------------------- HTML


def _table(head: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """A table whose cells are texts, or pairs of a text and the number to sort by; all escaped."""
    parts = []
    for cells in body:
        row = []
        for index, cell in enumerate(cells):
            text, value = cell if isinstance(cell, tuple) else (cell, None)
            if index == 0:
                row.append(f'<th scope="row">{_text(text)}</th>')
            elif value is not None:
                row.append(f'<td class="number" data-value="{value!r}">{_text(text)}</td>')
            else:
                row.append(f'<td class="{"reason" if len(text) > 40 else "word"}">{_text(text)}</td>')
        parts.append(f"<tr>{''.join(row)}</tr>")
    headings = "".join(f'<th scope="col"><button type="button">{_text(name)}</button></th>' for name in head)
    return f'<div class="wide"><table><thead><tr>{headings}</tr></thead><tbody>{"".join(parts)}</tbody></table></div>'


def _cell(field: str, value: float | None) -> tuple[str, float | None]:
    return ("–", None) if value is None else (_COLUMNS[field][1](value).replace("-", "−"), float(value))


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else "∞" if value == float("inf") else f"{value:.{digits}f}"


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


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _text(text: str) -> str:
    return html.escape(str(text))


_STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 1240px; margin: 0 auto;
  padding: 8px 24px 64px; }
h1 { font-size: 1.8em; margin: 0.6em 0 0.4em; }
h2 { margin: 1.8em 0 0.3em; border-bottom: 2px solid #ddd; }
h3 { margin: 1.2em 0 0.2em; }
p, ul { max-width: 80ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 20px; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
select { font: inherit; max-width: 100%; }
summary { cursor: pointer; }
[hidden] { display: none; }
.plot { margin: 12px 0 28px; }
.crops { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; }
figcaption { font-size: 0.88em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9em; }
th, td { padding: 4px 10px; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
thead th { vertical-align: bottom; background: #f3f3f3; min-width: 4em; }
thead button { font: inherit; font-weight: 600; border: 0; padding: 0; background: none; color: inherit; text-align: left;
  cursor: pointer; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
tbody th { font-weight: 600; }
tbody th, td.word, td.number { white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.reason { min-width: 12em; max-width: 46em; color: #555; font-size: 0.92em; overflow-wrap: anywhere; }
"""

_SCRIPT = """
var chooser = document.getElementById('view');
function look() {
  document.querySelectorAll('.view').forEach(function (view) { view.hidden = view.dataset.view !== chooser.value; });
}
if (chooser) { chooser.addEventListener('change', look); look(); }
document.querySelectorAll('thead th').forEach(function (head) {
  head.firstElementChild.addEventListener('click', function () {
    var body = head.closest('table').tBodies[0], column = head.cellIndex;
    var sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
    head.parentNode.querySelectorAll('th').forEach(function (other) { other.removeAttribute('aria-sort'); });
    head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
    Array.from(body.rows).sort(function (a, b) {
      var p = a.cells[column], q = b.cells[column], x = p.dataset.value, y = q.dataset.value;
      if (x !== undefined && y !== undefined) return sign * (x - y);
      if (x !== undefined || y !== undefined) return x !== undefined ? -1 : 1;
      return sign * p.textContent.localeCompare(q.textContent, undefined, { numeric: true });
    }).forEach(function (row) { body.appendChild(row); });
  });
});
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body>
{body}
<script>{script}</script>
</body></html>
"""
