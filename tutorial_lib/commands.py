"""What the commands of ``inr`` do; `tutorial_lib.cli` reads their options, prints their answers and ends with their status."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from tutorial_lib import codecs, images, metrics
from tutorial_lib.codecs import looks
from tutorial_lib.codecs.amortised import refined
from tutorial_lib.codecs.anatomy import parts
from tutorial_lib.codecs.classical import SUFFIXES
from tutorial_lib.coding import bitstream
from tutorial_lib.runtime import choose_device, data_path, keep_freed_memory, require_writable
from tutorial_lib.training.bands import count_of

BAR_WIDTH = 40

RATE_TOLERANCE = 0.05
"""How far a file may be from the rate that was asked for without a word about it, as a share of that rate."""

DEFAULT_RATES = (0.3, 0.6, 1.2)
"""Bits per pixel that ``evaluate`` aims at unless told otherwise."""


class UsageError(ValueError):
    """What the user asked for can't be done; the message is one sentence."""


@dataclass(frozen=True)
class Answer:
    """What a command found out.

    Attributes:
        facts: for ``--json``.
        text: for people.
        status: the exit status.
    """

    facts: Any
    text: str
    status: int = 0


def encode(options: argparse.Namespace) -> Answer:
    """Fit a network to a picture and write it as a file; says beforehand what that will take."""
    codec = None if options.codec is None else codecs.get(options.codec)
    if codec is not None and not isinstance(codec, codecs.Codec):
        raise UsageError(f"{options.codec} makes no .inr file; take {', '.join(codecs.LEARNED)}")
    picture = images.open_picture(options.picture)
    codec = codec or codecs.suitable(picture, options.bpp)
    if options.looks == "both" and not codec.can_be_retouched:
        raise UsageError(f"{codec.name} has no synthesis to train a second time; latent grids have, amortised has both looks")
    output = Path(options.output or beside(options.picture, ".inr"))
    check_output(output, options.picture)
    wishes = {"bpp": options.bpp, "budget": options.budget, "loss": options.loss, "iterations": options.iterations}
    device = choose_device(options.device)
    reduction = _reduction(options, picture)
    plan = codec.plan(picture, device=device, reduction=reduction, patient=options.full_size, **wishes)
    plan = plan if options.refine is None else refined(plan, options.refine)
    if not options.json:
        # the estimate takes a moment: say first what is being read
        print(f"{options.picture}: {_size_of(picture)} pixels", flush=True)
        seconds = codec.estimate_seconds(plan, picture, options.device)
        rate = f"about {plan.expected_bytes:,} bytes ({plan.bpp:.3g} bpp), about {duration(seconds)} on {device}"
        print(f"→ {output}: {plan.codec}, {plan.config}, {plan.config.weights:,} weights; {rate}", flush=True)
        if plan.reduction > 1:
            whole = None if reduction else codec.plan(picture, device=device, patient=True, **wishes)
            print(_reduction_sentence(plan, whole, seconds), flush=True)
    started = time.perf_counter()
    progress = not options.json and sys.stderr.isatty()
    encoding = codec.execute(plan, picture, seed=options.seed, device=options.device, progress=progress)
    seconds = time.perf_counter() - started
    images.write_atomically(output, encoding.data)
    data, interrupted = encoding.data, encoding.report.interrupted
    if options.looks == "both" and not interrupted:
        how = {"budget": options.budget, "seed": options.seed, "device": options.device, "progress": progress, "own": True}
        made = looks.retouch(data, picture, **how)
        data, interrupted, seconds = made.data, made.report.interrupted, time.perf_counter() - started
        images.write_atomically(output, data)
    decoded = codec.decode(data, device=options.device).cpu()
    facts = {
        "file": str(output),
        "bytes": len(data),
        "bpp": metrics.bits_per_pixel(data, picture),
        "psnr": metrics.psnr(decoded, picture),
        "seconds": seconds,
        "interrupted": interrupted,
        "anatomy": bitstream.anatomy(data),
    }
    took = duration(seconds) + (", stopped early" if interrupted else "")
    rate = f"{facts['bpp']:.4g} bpp"
    if options.bpp and abs(off := facts["bpp"] / options.bpp - 1) > RATE_TOLERANCE:
        rate += f" ({abs(off):.0%} {'more' if off > 0 else 'less'} than asked for)"
    return Answer(facts, f"{output}: {facts['bytes']:,} bytes, {rate}, PSNR {facts['psnr']:.2f} dB ({took})")


def _reduction(options: argparse.Namespace, picture: Tensor) -> int | None:
    """1/which of its sides a picture is to be fitted at; None: as the budget needs it."""
    if options.full_size:
        return 1
    if options.size is None:
        return options.reduce
    height, width = pair_of(options.size)
    if height < 1 or width < 1:
        raise UsageError(f"a size is WxH in pixels, as 1536x1024, not {options.size!r}")
    return max(round((picture[0].numel() / (height * width)) ** 0.5), 1)


def _reduction_sentence(plan: codecs.Plan, whole: codecs.Plan | None, seconds: float) -> str:
    """What is fitted, and how long it would take to fit the ``whole`` picture, as nobody has asked for less."""
    fitted, megapixels = plan.fitted, f"{plan.height * plan.width / 1e6:.3g} megapixels"
    more = f"; --full-size takes about {duration(seconds * _pixels_seen(whole) / _pixels_seen(fitted))}" if whole else ""
    return f"{megapixels}: fitted at {fitted.width:,}×{fitted.height:,}, shown at {plan.width:,}×{plan.height:,}{more}"


def _pixels_seen(plan: codecs.Plan) -> float:
    """By all steps of a fit of latent grids."""
    return plan.recipe.iterations * plan.height * plan.width / count_of(plan.height, plan.width)


def decode(options: argparse.Namespace) -> Answer:
    """Render a file as a picture, at any size."""
    data = bytes_of(options.file)
    output = images.check_writable(options.output or beside(options.file, ".decoded.png"))
    require_writable(output)
    container = bitstream.read(data)
    size = size_asked(options, container.height, container.width)
    picture = codecs.decode(data, size, device=options.device, look=options.look).cpu()
    images.save(picture, output)
    facts = {"file": str(output), "width": picture.shape[2], "height": picture.shape[1]}
    return Answer(facts, f"{output}: {_size_of(picture)} pixels")


def retouch(options: argparse.Namespace) -> Answer:
    """Give a file a second look for texture; what stands in it already stays as it is, and stands first."""
    data, picture = bytes_of(options.file), images.open_picture(options.original)
    output = Path(options.output or options.file)
    check_output(output, options.original)
    progress = not options.json and sys.stderr.isatty()
    how = {"budget": options.budget, "iterations": options.iterations, "seed": options.seed, "device": options.device}
    started = time.perf_counter()
    made = looks.retouch(data, picture, progress=progress, **how)
    seconds = time.perf_counter() - started
    images.write_atomically(output, made.data)
    rows = [_distances_of(codecs.decode(made.data, look=look).cpu(), picture) for look in codecs.LOOKS]
    extra = bitstream.anatomy(made.data)[bitstream.SECOND_LOOK]
    found = dict(zip(codecs.LOOKS, rows, strict=True))
    facts = {"file": str(output), "bytes": len(made.data), "second_look": extra, "seconds": seconds, "looks": found}
    lines = [f"{output}: {len(made.data):,} bytes, {extra:,} of them for the second look: two looks, one stream"]
    lines[0] += f" ({duration(seconds)})"
    for look, row in found.items():
        niqe = "" if row["niqe"] is None else f", NIQE {row['niqe']:.2f}"
        lines.append(f"  {look:<10} PSNR {row['psnr']:.2f} dB, SSIMULACRA2 {row['ssimulacra2']:.1f}{niqe}")
    return Answer(facts, "\n".join(lines))


def strip(options: argparse.Namespace) -> Answer:
    """The file without its second look: byte for byte what it was."""
    data = bytes_of(options.file)
    output = Path(options.output or options.file)
    stripped = bitstream.without_second_look(data)
    check_output(output)
    images.write_atomically(output, stripped)
    facts = {"file": str(output), "bytes": len(stripped), "dropped": len(data) - len(stripped)}
    return Answer(facts, f"{output}: {len(stripped):,} bytes; {facts['dropped'] or 'no second look to be'} dropped")


def info(options: argparse.Namespace) -> Answer:
    """What is in a file: bytes by section, the network, its tensors."""
    data = bytes_of(options.file)
    if options.anatomy:
        return _anatomy(options.file, data)
    container, codec = bitstream.read(data), codecs.codec_of(data)
    facts: dict[str, Any] = {
        "file": options.file,
        "codec": codec.name,
        "width": container.width,
        "height": container.height,
        "bytes": len(data),
        "bpp": metrics.bits_per_pixel(data, (container.height, container.width)),
        "weights": codec.config_of(data).weights,
        "looks": list(codecs.LOOKS[: 1 + (container.second_look is not None)]),
        "anatomy": bitstream.anatomy(data),
        "tensors": codec.describe(data),
    }
    size = f"{container.width}×{container.height} pixels, {facts['weights']:,} weights"
    lines = [f"{options.file}: {codec.name}, {size}, {len(data):,} bytes, {facts['bpp']:.4g} bpp"]
    for part, count in facts["anatomy"].items():
        bar = "█" * round(BAR_WIDTH * count / len(data))
        lines.append(f"  {part:<14}{count:>9,} bytes  {100 * count / len(data):5.1f} %  {bar}".rstrip())
    if container.second_look is not None:
        lines.append(f"  two looks, one stream: inr decode --look {' or '.join(codecs.LOOKS)}")
    lines.append("  tensor                    shape        step      symbols    bits/weight  law")
    for row in facts["tensors"]:
        shape = "×".join(map(str, row["shape"]))
        kept = "float16" if row["step"] is None else f"{row['step']:.3g}"
        symbols, law = "" if row["bound"] is None else f"±{row['bound']}", row.get("law") or ""
        lines.append(f"  {row['name']:<26}{shape:<11}{kept:>7}{symbols:>12}{row['bits_per_weight']:>13.2f}  {law}".rstrip())
    return Answer(facts, "\n".join(lines))


def _anatomy(file: str, data: bytes) -> Answer:
    """A line for each part of a file, its bar where it lies in the file."""
    found, begin = parts(data), 0
    lines = [f"{file}: {len(data):,} bytes"]
    for part in found:
        left, right = (round(BAR_WIDTH * place / len(data)) for place in (begin, begin + part.bytes))
        bar, begin = "█" * (right - left) or "▏", begin + part.bytes
        label = part.section if part.name == part.section else f"{part.section}: {part.name}"
        share = f"{100 * part.bytes / len(data):5.1f} %"
        lines.append(f"  {label:<36}{part.bytes:>9,} bytes {share}  {' ' * min(left, BAR_WIDTH - len(bar))}{bar}")
    if any(part.name == bitstream.SECOND_LOOK for part in found):
        lines.append("  Two looks, one stream: the bytes before the second look are the file as it is without it.")
    if data.startswith(bitstream.MAGIC):
        lines.append("  Bytes of single tensors and grids are estimated from their bits, and add up to the section's.")
    return Answer({"file": file, "bytes": len(data), "parts": [asdict(part) for part in found]}, "\n".join(lines))


def view(options: argparse.Namespace) -> Answer:
    """One HTML page that shows a file: a network at any zoom, latent grids one by one."""
    from tutorial_lib import viewer

    output = Path(options.output or beside(options.file, ".html"))
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output} would be a web page; name it {output.with_suffix('.html')}")
    require_writable(output)
    page = viewer.page(bytes_of(options.file), Path(options.file).name).encode(errors="backslashreplace")  # a name may be no text
    images.write_atomically(output, page)
    return Answer({"file": str(output), "bytes": len(page)}, f"{output}: a page of {len(page):,} bytes; open it in a browser")


def compare(options: argparse.Namespace) -> Answer:
    """Rate and distortions of decoded pictures or files."""
    keep_freed_memory()
    original = images.open_picture(options.original)
    rows = [_distances(name, original, options) for name in options.decoded]
    wide = max(len(row["file"]) for row in rows)
    columns = {"bpp": "9.4f", "psnr": "9.2f", "ssim": "8.4f", "ms_ssim": "9.4f", "ssimulacra2": "13.1f", "niqe": "8.2f"}
    columns |= {"lpips": "8.4f"} if options.lpips else {}
    lines = [f"{'':<{wide}}      bpp  PSNR/dB    SSIM  MS-SSIM  SSIMULACRA2    NIQE{'   LPIPS' if options.lpips else ''}"]
    for row in rows:
        lines.append(f"{row['file']:<{wide}}" + "".join(_aligned(row[column], form) for column, form in columns.items()))
    lines += [f"n/a: {note}" for note in dict.fromkeys(note for row in rows for note in row.get("notes", []))]
    for row in rows:
        # JSON has no infinity: identical pictures have a PSNR of null and the note says so
        if row["psnr"] == float("inf"):
            row["psnr"] = None
            row.setdefault("notes", []).append("identical pictures: the PSNR is infinite")
    return Answer(rows, "\n".join(lines))


def _distances(name: str, original: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    """Rate and distortions of a picture or file; None, and a note, where one is not to be had."""
    picture, data = _decoded(name)
    if picture.shape != original.shape:
        raise UsageError(f"{name} is {_size_of(picture)} pixels, {options.original} is {_size_of(original)}")
    rate = None if data is None else metrics.bits_per_pixel(data, original)
    return {"file": name, "bpp": rate} | _distances_of(picture, original, options.lpips)


def _distances_of(picture: Tensor, original: Tensor, lpips: Any = None) -> dict[str, Any]:
    """Of two pictures of one size, and NIQE, for which the original isn't needed."""
    from tutorial_lib.niqe import niqe

    row: dict[str, Any] = {}
    measures: dict[str, Any] = {name: getattr(metrics, name) for name in ("psnr", "ssim", "ms_ssim", "ssimulacra2")}
    measures["niqe"] = lambda picture, _: niqe(picture)
    if lpips:
        measures["lpips"] = functools.partial(metrics.lpips, network=lpips)
    for label, metric in measures.items():
        try:
            row[label] = metric(picture, original)
        except metrics.MetricError as error:
            row[label] = None
            row.setdefault("notes", []).append(str(error))
    return row


def _decoded(name: str) -> tuple[Tensor, bytes | None]:
    """A picture and, for a compressed file, its bytes: .inr and lossy formats count, PNG and samples don't."""
    suffix = Path(name).suffix.lower()
    if suffix == ".inr":
        data = bytes_of(name)
        return codecs.decode(data).cpu(), data
    if suffix not in SUFFIXES or not Path(name).is_file():
        return images.open_picture(name), None
    data = bytes_of(name)
    return codecs.CLASSICAL[SUFFIXES[suffix]].decode(data), data


def evaluate(options: argparse.Namespace) -> Answer:
    """Encode pictures with several codecs and rates, and measure the files."""
    from tutorial_lib.evaluation import Results, default_workers, expand, jobs, sweep

    if options.workers is not None and options.workers < 0:
        raise UsageError(f"--workers is 0 or more, not {options.workers}")
    names, rates, lambdas = _several(options.codecs), _numbers("--rates", options.rates), _numbers("--lambdas", options.lambdas)
    if not rates and not lambdas:
        rates = DEFAULT_RATES
        if lossless := [name for name in names if name in codecs.CLASSICAL and codecs.CLASSICAL[name].qualities is None]:
            raise UsageError(f"{lossless[0]} is lossless and aims at no rate: say with --rates how much it may take")
    wanted = jobs(
        expand(options.images),
        names,
        rates,
        losses=_several(options.losses),
        lambdas=lambdas,
        size=None if options.size is None else images.check_size(pair_of(options.size)),
        budget=options.budget,
        iterations=options.iterations,
        seed=options.seed,
        steer=not options.no_steering,
    )
    workers = default_workers() if options.workers is None else options.workers
    how = {"retry": options.retry, "workers": workers, "scheduler": options.scheduler, "lpips": options.lpips}
    rows = sweep(wanted, Results(options.output), progress=not options.json, **how)
    failed = [row for row in rows if row.get("error")]
    again = " (--retry runs them again)" if failed else ""
    lines = [f"{len(rows)} runs in {options.output}, {len(failed)} of them failed{again}"]
    lines += [f"  {row['picture']} {row['codec']} {row['loss'] or ''} {row['bpp']} bpp: {row['error']}" for row in failed[:5]]
    lines += ["  …"] if len(failed) > 5 else []
    if unkept := [row["file_error"] for row in rows if row.get("file_error")]:
        lines.append(f"{len(unkept)} encoded files could not be kept ({unkept[0]}): the report can't show them")
    lines.append(f"inr report {options.output}: curves, tables and crops")
    return Answer(rows, "\n".join(lines), status=1 if failed else 0)


def report(options: argparse.Namespace) -> Answer:
    """A page of curves, tables and crops from what `evaluate` measured."""
    from tutorial_lib.evaluation import Results
    from tutorial_lib.evaluation.page import write_page

    crop = tuple(options.crop) if options.crop else None
    results = Results(options.results)
    if not results.file.is_file():
        raise UsageError(f"there is no {results.file}: inr evaluate writes it")
    remarks = results.read()[1]
    page = write_page(results, title=options.title, anchor=options.anchor, crop=crop, draw_published=options.published or None)
    return Answer(None, "\n".join([*remarks, f"→ {page}", f"→ {page.with_name('runs.csv')}"]))


def notebooks(options: argparse.Namespace) -> Answer:
    """Copy the participants' notebooks into a folder; those that a reader has worked in stay as they are."""
    folder, source = Path(options.folder), data_path("notebooks") or Path(__file__).resolve().parent.parent / "notebooks"
    files = {path.name: path.read_bytes() for path in sorted(source.glob("*.ipynb"))}
    if not files:
        raise UsageError("the notebooks are missing from this installation: install the package again")
    if worked := [name for name, data in files.items() if (folder / name).exists() and (folder / name).read_bytes() != data]:
        raise UsageError(f"{folder / worked[0]} is there already and has changed: your work stays; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        images.write_atomically(folder / name, data)
    lab = importlib.util.find_spec("jupyterlab") is not None
    ways = [f"jupyter lab {folder}" if lab else f"pip install jupyterlab, then jupyter lab {folder}", "or as a folder in VS Code"]
    lines = [f"{folder}: {len(files)} notebooks", f"Open them with: {', '.join(ways)}. Begin with {next(iter(files))}."]
    return Answer({"folder": str(folder), "notebooks": list(files)}, "\n".join(lines))


# ------------------------------------------------------------------------------------------ what was typed


def size_asked(options: argparse.Namespace, height: int, width: int) -> tuple[int, int]:
    if options.size is not None:
        return pair_of(options.size)
    scale = 1.0 if options.scale is None else options.scale
    if not 0 < scale <= 1e6:
        raise UsageError(f"a scale is a positive number, a million at most, not {scale}")
    return max(1, round(height * scale)), max(1, round(width * scale))


def pair_of(text: str) -> tuple[int, int]:
    """(height, width) of "WxH"."""
    try:
        columns, rows = (int(side) for side in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise UsageError(f"a size is WxH in pixels, as 1536x1024, not {text!r}") from None
    return rows, columns


def _several(values: Sequence[str]) -> list[str]:
    """The parts of a list given with blanks, commas or both."""
    return [part for value in values for part in value.split(",") if part]


def _numbers(option: str, values: Sequence[str]) -> Sequence[float]:
    parts = _several(values) or values  # so that commas alone are an error, too
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise UsageError(f"{option} takes numbers, not {' '.join(parts)!r}") from None
    if not all(0 < number < float("inf") for number in numbers):
        raise UsageError(f"{option} takes positive numbers, not {' '.join(parts)}")
    return numbers


def beside(name: str, suffix: str) -> str:
    """A file of the same name in the current folder."""
    return Path(name.replace(":", "")).stem + suffix


def check_output(path: Path, picture: str | None = None) -> None:
    """Fail before the work, not after it."""
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file to write")
    if picture and path.exists() and Path(picture).exists() and path.samefile(picture):
        raise UsageError(f"{path} is the picture itself; name another file to write")
    if path.suffix.lower() in {*SUFFIXES, *Image.registered_extensions()}:
        raise UsageError(
            f"{path} would be an .inr file; name it {path.with_suffix('.inr')}, and inr decode makes a picture of it"
        )
    require_writable(path)


def bytes_of(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {name}") from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder, not a file") from None


# ------------------------------------------------------------------------------------------ what is said


def _size_of(picture: Tensor) -> str:
    return f"{picture.shape[2]}×{picture.shape[1]}"


def _aligned(value: float | None, form: str) -> str:
    return f"{'n/a':>{form.split('.')[0]}}" if value is None else f"{value:{form}}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
