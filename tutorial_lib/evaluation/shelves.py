"""The decoded pictures of a sweep's page: the files of a picture at one rate, on each other and side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from tutorial_lib import codecs, images, metrics, widgets
from tutorial_lib.evaluation.curves import Row, name_of
from tutorial_lib.evaluation.results import Results
from tutorial_lib.evaluation.runs import original

CROP = (120, 160)
"""Height and width of the crops, in pixels."""

FRAME: tuple[int, int] = (512, 768)
"""Largest frame of the swipe, in pixels; a portrait is turned. A larger picture shows its centre."""

CROP_BYTES = 4_500_000
SWIPE_BYTES = 8_000_000
"""What the embedded pictures may take of the page, in bytes of base64."""


@dataclass(frozen=True)
class Decoded:
    """A kept file of a line, decoded: one of the pictures that the page shows."""

    line: str
    row: Row
    picture: Tensor

    @property
    def label(self) -> str:
        return f"{self.line}, {self.row['bpp_real']:.3f} bpp, {_number(self.row.get('psnr'), 2)} dB"


@dataclass(frozen=True)
class Shelf:
    """A picture with its decoded files at one rate asked for."""

    name: str
    bpp: float
    original: Tensor
    decoded: tuple[Decoded, ...]


def pictures_of(found: Mapping[str, Sequence[Row]]) -> list[str]:
    """The pictures of some lines, as `name_of` calls them."""
    return list(dict.fromkeys(name_of(row) for some in found.values() for row in some))


def decode(results: Results, found: Mapping[str, list[Row]]) -> tuple[list[Shelf], list[str]]:
    """Every picture's kept files at the rate where most lines have one, decoded; and what could not be."""
    chosen = []
    for picture in pictures_of(found):
        rates: dict[float, dict[str, Row]] = {}
        for name, some in found.items():
            for row in some:
                if name_of(row) == picture and results.data(row) is not None:
                    rates.setdefault(row["bpp"], {})[name] = row
        if rates:
            # of equally many the lowest: it is there that codecs look different
            bpp = max(rates, key=lambda rate: (len(rates[rate]), -rate))
            chosen.append((picture, bpp, rates[bpp]))
    shelves: list[Shelf] = []
    problems: list[str] = []
    count = sum(len(some) for *_, some in chosen)
    with tqdm(total=count, unit="file", desc="decoding", disable=not count) as bar:
        for picture, bpp, some in chosen:
            try:
                first = original(next(iter(some.values())))
            except (ValueError, OSError, TypeError) as error:  # the last of rows from elsewhere
                problems.append(f"{picture}: the original can't be opened here, so its files aren't shown ({error})")
                bar.update(len(some))
                continue
            decoded = []
            for name, row in some.items():
                try:
                    made = codecs.get(row["codec"]).decode(results.data(row) or b"").detach().cpu()
                    if made.shape != first.shape:
                        raise ValueError(f"it is {made.shape[2]}×{made.shape[1]} pixels large")
                    decoded.append(Decoded(name, row, made))
                except (ValueError, OSError, RuntimeError) as error:
                    problems.append(f"{picture}, {name}: the file {row['file']} can't be shown ({error})")
                bar.update()
            if decoded:
                shelves.append(Shelf(picture, bpp, first, tuple(decoded)))
    return shelves, problems


def swipe(shelves: Sequence[Shelf]) -> dict[str, Any] | None:
    """The first picture's frames on each other, as many as the page can hold."""
    if not shelves:
        return None
    shelf = shelves[0]
    height, width = shelf.original.shape[1:]
    frame = _centred((height, width), FRAME if width >= height else (FRAME[1], FRAME[0]))
    shown = {"original": images.crop(shelf.original, *frame)}
    shown |= {each.label: images.crop(each.picture, *frame) for each in shelf.decoded}
    room = SWIPE_BYTES
    for label, picture in list(shown.items()):
        room -= len(widgets.exact_source(picture))
        if room < 0 and len(shown) > 2:
            del shown[label]
    return {
        "html": widgets.swipe_any(shown, alt=f"the picture {shelf.name}", zoom=max(1, 700 // frame[3])).html,
        "part": f"the central {frame[3]}×{frame[2]} pixels of " if (frame[2], frame[3]) != (height, width) else "",
        "name": shelf.name,
        "bpp": f"{shelf.bpp:g}",
        "left_out": len(shelf.decoded) + 1 - len(shown),
    }


def crops(shelves: Sequence[Shelf], crop: tuple[int, int, int, int] | None) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The same part of each picture from every codec, with captions, until the page is full; and where a run is shown, by key."""
    room, left_out, blocks, anchors = CROP_BYTES, [], [], {}
    for number, shelf in enumerate(shelves):
        window = crop or _centred((shelf.original.shape[1], shelf.original.shape[2]), CROP)
        reference = images.crop(shelf.original, *window)
        made = [_crop(reference, f"crop-{number}", f"{shelf.name}, original, crop", "original", "")]
        names = {}
        for index, each in enumerate(shelf.decoded):
            part, psnr = images.crop(each.picture, *window), _number(each.row.get("psnr"), 2)
            here = _number(metrics.psnr(part, reference), 2)
            caption = f"{each.row['bpp_real']:.3f} bpp, PSNR {psnr} dB, of this crop {here} dB"
            names[each.row["key"]] = f"#crop-{number}-{index}"
            alt = f"{shelf.name}, {each.line}, crop: {caption}"
            made.append(_crop(part, f"crop-{number}-{index}", alt, each.line, caption))
        taken = sum(len(each["source"]) for each in made)
        if blocks and taken > room:
            left_out.append(shelf.name)
            continue
        room -= taken
        anchors |= names
        where = f"{window[3]}×{window[2]} pixels from row {window[0]}, column {window[1]}; {shelf.bpp:g} bpp asked for"
        blocks.append({"name": shelf.name, "where": where, "crops": made})
    return ({"shelves": blocks, "by_hand": crop is not None, "left_out": left_out} if blocks else None), anchors


def _crop(picture: Tensor, anchor: str, alt: str, name: str, caption: str) -> dict[str, Any]:
    width = picture.shape[2] * max(1, 320 // picture.shape[2])
    source = widgets.exact_source(picture)
    return {"width": width, "anchor": anchor, "alt": alt, "source": source, "name": name, "caption": caption}


def _centred(size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a window at the centre, no larger than the picture."""
    height, width = min(size[0], window[0]), min(size[1], window[1])
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else "∞" if value == float("inf") else f"{value:.{digits}f}"
