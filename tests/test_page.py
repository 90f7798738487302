"""The page of a sweep: self-contained, its numbers are the rows', and what is missing is said."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tutorial_lib import codecs, images, metrics
from tutorial_lib.evaluation import EvaluationError, Job, Results, bd_rates, curves, shelves, sweep
from tutorial_lib.evaluation import page as module
from tutorial_lib.evaluation.page import write_page

RATES = (0.4, 0.8, 1.6, 3.2)


class Page(HTMLParser):
    """A page's elements and the text of its tables, by heading."""

    VOID = {"img", "input", "meta", "br", "link"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.heading, self.text, self._open = "", "", []
        self.feed(page)
        assert not self._open  # every element is closed

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag in ("h2", "h3"):
            self.heading = ""
        if tag == "tr":
            self.tables.setdefault(self.heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self.heading][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            return
        self.text += data
        if self._open and self._open[-1] in ("h2", "h3"):
            self.heading += data
        if set(self._open) & {"td", "th"}:
            self.tables[self.heading][-1][-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three classical codecs on two tiny pictures, and one run that fails."""
    folder = tmp_path_factory.mktemp("report")
    pictures = []
    for name in ("coffee", "chelsea"):
        pictures.append(str(folder / f"{name}.png"))
        images.save(images.reduce(images.sample(name), size=(48, 64)), pictures[-1])
    jobs = [
        Job(picture, codec, bpp) for picture in pictures for codec in ("jpeg", "webp", "jpeg-444") for bpp in (3.0, 4.0, 6.0, 9.0)
    ]
    results = Results(folder / "results")
    sweep([*jobs, Job(pictures[0], "jpeg", 1e-4)], results, progress=False)
    return results


@pytest.fixture(scope="module")
def page(swept: Results) -> Page:
    path = write_page(swept)
    assert path == swept.folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_but_itself(swept: Results, page: Page) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            address = attributes.get(name)
            assert address is None or address.startswith("data:") or (name == "href" and address == "runs.csv")
    assert not page.of("link") and "@import" not in (swept.folder / "report.html").read_text(encoding="utf-8")
    assert page.of("img") and all(image.get("alt") for image in page.of("img"))
    assert "3 codecs on 2 pictures" in page.text and "25, 1 of them failed" in page.text
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_the_table_of_means_holds_the_rows(swept: Results, page: Page) -> None:
    head, *body = page.tables["Quality and cost"]
    rows = [row for row in swept.rows() if not row["error"]]
    assert len(body) == 12
    for cells in body:
        named = dict(zip(head, cells, strict=True))
        some = [row for row in rows if row["codec"] == named["line"] and f"{row['bpp']:g} bpp" == named["asked for"]]
        assert len(some) == 2 and named["pictures"] == "2"
        assert named["PSNR, dB"] == f"{sum(row['psnr'] for row in some) / 2:.2f}"
        assert named["PSNR of mean MSE, dB"] == f"{metrics.psnr_of_mse(sum(row['mse'] for row in some) / 2):.2f}"
        assert named["bpp"] == f"{sum(row['bpp_real'] for row in some) / 2:.3f}"
        assert named["encode, s"] == f"{sum(row['encode_seconds'] for row in some) / 2:.3g}"
    assert "multiply-adds a pixel" not in head  # no learned codec ran


def test_bd_rates_are_those_of_the_curves(swept: Results, page: Page) -> None:
    head, *body = page.tables["BD-rate against jpeg"]
    assert head == ["line", "mean of PSNR", "PSNR of mean MSE"]
    for column, average in enumerate(head[1:], 1):
        for name, value in bd_rates(swept.rows(), average=average).items():
            (cells,) = (cells for cells in body if cells[0] == name)
            assert cells[column] == (value if isinstance(value, str) else f"{value:+.1f} %".replace("-", "−"))


def test_the_points_are_those_of_the_curves(swept: Results, page: Page) -> None:
    hints = {button["title"] for button in page.of("button") if "data-point" in button}
    for average in ("mean of PSNR", "PSNR of mean MSE"):
        for name, points in curves(swept.rows(), average=average).items():
            for bpp, psnr in points:
                assert f"{name}\n{bpp:.3f} bpp, {psnr:.2f} dB PSNR\nmean of 2 pictures" in hints
    for row in swept.rows():
        if not row["error"]:
            caption = f"{row['bytes']:,} bytes, {row['bpp']:g} bpp asked for"
            assert f"{row['codec']}\n{row['bpp_real']:.3f} bpp, {row['psnr']:.2f} dB PSNR\n{caption}" in hints


def test_failures_settings_and_all_runs_are_listed(swept: Results, page: Page) -> None:
    (failure,) = page.tables["Failed runs"][1:]
    assert failure[1] == "jpeg" and failure[3] == "0.0001 bpp" and "can't reach" in failure[4]
    assert dict(page.tables["Settings of the classical codecs"][1:]) == {
        name: codecs.get(name).settings for name in ("jpeg", "webp", "jpeg-444")
    }
    head, *body = page.tables["All runs"]
    assert len(body) == 25
    shown = {tuple(dict(zip(head, cells, strict=True))[name] for name in ("codec", "asked for", "PSNR, dB")) for cells in body}
    for row in swept.rows():
        psnr = f"{row['psnr']:.2f}" if not row["error"] else "–"
        assert (row["codec"], f"{row['bpp']:g} bpp", psnr) in shown


def test_the_csv_holds_every_field_of_every_row(swept: Results, page: Page) -> None:
    with (swept.folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    rows = swept.rows()
    assert len(written) == len(rows) == 25
    for found, row in zip(written, rows, strict=True):
        assert set(row) <= set(found)
        assert json.loads(found["versions"]) == row["versions"] and found["codec"] == row["codec"]
        assert found["psnr"] == ("" if row.get("psnr") is None else str(row["psnr"]))


def test_crops_are_measured_and_say_how_they_were_chosen(swept: Results, page: Page) -> None:
    assert "They are the centres of the pictures" in page.text
    row = next(row for row in swept.rows() if row["codec"] == "webp" and row["bpp"] == 3.0)
    decoded, original = codecs.get("webp").decode(swept.data(row)), images.open_picture(row["picture"])
    caption = f"{row['bpp_real']:.3f} bpp, PSNR {row['psnr']:.2f} dB, of this crop "
    assert f"webp {caption}{row['psnr']:.2f} dB" in page.text  # the picture is smaller than the window: all of it
    write_page(swept, crop=(8, 16, 20, 30))
    other = Page((swept.folder / "report.html").read_text(encoding="utf-8"))
    part = metrics.psnr(images.crop(decoded, 8, 16, 20, 30), images.crop(original, 8, 16, 20, 30))
    assert f"webp {caption}{part:.2f} dB" in other.text and "They were chosen by hand." in other.text
    assert "30×20 pixels from row 8, column 16; 3 bpp asked for." in other.text
    with pytest.raises(images.ImageError, match="outside"):
        write_page(swept, crop=(40, 0, 20, 30))


def test_a_point_shows_the_crop_of_its_run(swept: Results, page: Page) -> None:
    alts = {image.get("id"): str(image["alt"]) for image in page.of("img")}
    points = [button for button in page.of("button") if "data-picture" in button]
    assert len({point["data-picture"] for point in points}) == 6  # three codecs, two pictures, one rate
    for point in points:
        line, rate, _ = str(point["title"]).split("\n")
        assert f", {line}, crop: {rate.split(',')[0]}" in alts[str(point["data-picture"]).removeprefix("#")]


def test_the_swipe_offers_the_original_and_every_codec(page: Page) -> None:
    options = [attributes for attributes in page.of("option") if "value" not in attributes]
    assert len(options) == 2 * 4  # the original and three codecs, on both sides


def test_a_page_has_room_for_so_much(swept: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "SWIPE_BYTES", 1)
    monkeypatch.setattr(shelves, "CROP_BYTES", 1)
    full = Page(write_page(swept).read_text(encoding="utf-8"))
    text = full.text
    assert "2 decoded pictures did not fit into this page." in text
    assert re.search(r"Left out to keep the page small: \S*chelsea.png 64×48\.", text)
    assert len({button["data-picture"] for button in full.of("button") if "data-picture" in button}) == 3  # coffee's alone


# ------------------------------------------------------------------------------------------- made rows


def made(picture: str, codec: str, bpp: float, psnr: float, **others: Any) -> dict[str, Any]:
    job = Job(picture, codec, bpp)
    row = asdict(job) | {"key": job.key, "error": None, "height": 512, "width": 768, "bytes": 1000, "bpp_real": bpp}
    return row | {"psnr": psnr, "mse": 10 ** (-psnr / 10), "time": "2026-01-02T03:04:05+00:00", "machine": "made up"} | others


def written(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Page:
    results = Results(folder)
    for row in rows:
        results.append(row)
    return Page(write_page(results, **options).read_text(encoding="utf-8"))


def line(codec: str, first: float, picture: str = "kodak:3") -> list[dict[str, Any]]:
    return [made(picture, codec, bpp, first + 4 * step) for step, bpp in enumerate(RATES)]


def test_a_bd_rate_that_is_refused_gives_its_reason(tmp_path: Path) -> None:
    page = written(tmp_path, [*line("jpeg", 25), *line("avif", 27), *line("siren", 36)])
    bd = {cells[0]: cells for cells in page.tables["BD-rate against jpeg"][1:]}
    assert bd["avif"][1].startswith("−") and "share only 1.0 dB" in bd["siren"][1]
    head, cells = page.tables["Learned codecs against each classical one"]
    assert (
        head == ["line", "against jpeg", "against avif"] and "share only 1.0 dB" in cells[1] and "share only 3.0 dB" in cells[2]
    )
    assert "no curve of webp" in written(tmp_path, [], anchor="webp").text


def test_rows_without_files_and_old_rows_make_a_page(tmp_path: Path) -> None:
    page = written(tmp_path, line("jpeg", 25))
    assert "This folder came without encoded files" in page.text
    assert page.tables["Settings of the classical codecs"][1:] == [["jpeg", "not recorded in these rows"]]
    assert "multiply-adds a pixel" not in page.tables["Quality and cost"][0]


def test_nothing_but_failures_makes_a_page_and_nothing_makes_none(tmp_path: Path) -> None:
    failed = asdict(Job("cup", "jpeg", 1.0)) | {"key": "k", "error": "OSError: full"}
    page = written(tmp_path, [failed])
    assert page.tables["Failed runs"][1:] == [["cup", "jpeg", "–", "1 bpp", "OSError: full"]]
    with pytest.raises(EvaluationError, match="no runs"):
        write_page(Results(tmp_path / "empty"))


def test_files_that_are_gone_or_damaged_are_said(swept: Results, tmp_path: Path) -> None:
    good = [row for row in swept.rows() if not row["error"] and row["bpp"] == 3.0 and "coffee" in row["picture"]]
    results = Results(tmp_path)
    for row in good:
        data = swept.data(row)
        results.append(row, {"jpeg": data, "webp": data[:40], "jpeg-444": None}[row["codec"]])
    gone = next(row for row in swept.rows() if "chelsea" in row["picture"])
    results.append(gone | {"picture": "nowhere.png"}, swept.data(gone))
    page = Page(write_page(results).read_text(encoding="utf-8"))
    assert re.search(r"coffee.png 64×48, webp: the file \S+\.webp can't be shown", page.text)
    assert "nowhere.png 64×48: the original can't be opened here" in page.text
    assert [image["alt"] for image in page.of("img") if ", crop" in str(image["alt"])][1].find("jpeg, crop: ") > 0


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    page = written(
        tmp_path, [*line("jpeg", 25, name), *line("avif", 27, name), made(name, "webp", 1, 1, error=f"no {name}")], title=name
    )
    assert not [image for image in page.of("img") if image["src"] == "x" or "onerror" in image]
    assert "<script>alert" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.text.count(name) > 3 and any(name in str(image["alt"]) for image in page.of("img"))


def test_published_points_are_drawn_behind_full_kodak_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutorial_lib.evaluation import PublishedPoint

    points = [PublishedPoint("COIN", 0.3, 26.0, "kodak", average, "a table") for average in ("mean of PSNR", "PSNR of mean MSE")]
    monkeypatch.setattr(module, "published_points", lambda: points)
    rows = line("jpeg", 25) + line("jpeg", 26, "kodak:4")

    def drawn(page: Page) -> int:
        return sum("COIN (published)" in str(button.get("title")) and "data-point" in button for button in page.of("button"))

    page = written(tmp_path / "full", rows)
    assert drawn(page) == 2 and "all 24 pictures of the Kodak suite" in page.text
    small = [row | {"height": 192, "width": 288} for row in rows]
    assert drawn(written(tmp_path / "small", small)) == 0
    assert drawn(written(tmp_path / "asked", small, draw_published=True)) == 2


def test_losses_stand_side_by_side_where_there_are_several(tmp_path: Path) -> None:
    rows = [row | {"loss": loss, "key": row["key"] + loss} for loss in ("l1", "mse") for row in line("nif", 30)]
    page = written(tmp_path / "two", rows)
    assert any("Panels of quality" in (image["alt"] or "") for image in page.of("img")) and "Losses" in page.text
    one = written(tmp_path / "one", [row for row in rows if row["loss"] == "mse"])
    assert "Losses" not in one.text


def test_one_picture_is_no_lack_of_pictures(tmp_path: Path) -> None:
    rows = [*line("jpeg", 25), *line("avif", 27)]
    alone = written(tmp_path / "one", rows)
    assert "One picture, so there are no means" in alone.text and "Fewer than two" not in alone.text
    apart = written(tmp_path / "two", [*rows, *line("jpeg", 26, "kodak:23")])
    assert "Fewer than two pictures have two rates" in apart.text
