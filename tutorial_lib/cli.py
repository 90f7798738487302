"""The command ``inr``: encode, decode, info, compare, evaluate, report, challenge, doctor.

Exit status: 0 for success, 1 when ``doctor`` finds a fault or a run of ``evaluate`` failed, 2 for bad input, 130 when stopped.
Errors are one line on stderr.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

# written out, since --help must not wait for torch
BUDGET_NAMES = ("quick", "laptop", "gpu")
LPIPS_NETWORKS = ("alex", "squeeze")
BAR_WIDTH = 40


class UsageError(ValueError):
    """What the user asked for can't be done; the message is one sentence."""


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows what there is)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("inr: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        print(f"inr: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="inr", description="Pictures as small neural networks: encode, decode, look inside, compare.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_encode, _add_decode, _add_info, _add_compare, _add_evaluate, _add_report, _add_challenge, _add_doctor):
        add(commands)
    return parser


def _add_encode(commands: Any) -> None:
    encode = commands.add_parser("encode", help="fit a network to a picture and write it as a file")
    encode.add_argument("picture", help="a picture file, a sample's name (coffee), or kodak:1 … kodak:24")
    encode.add_argument("-o", "--output", metavar="FILE", help="default: the picture's name with .inr, here")
    encode.add_argument("--codec", default="siren", metavar="NAME", help="siren (default), nif, coolchic-small, coolchic-v2, …")
    encode.add_argument("--bpp", type=float, metavar="X", help="target in bits per pixel; siren and coin stay within it")
    encode.add_argument("--loss", metavar="NAME", help="l1, mse (default), log-cosh, log-cosh+ssim, l1+ssim, mse+lpips")
    encode.add_argument("--budget", choices=BUDGET_NAMES, help="how long to compute (default: by device)")
    encode.add_argument("--iterations", type=int, metavar="N", help="steps of the fit (default: what the budget affords)")
    encode.add_argument("--seed", type=_seed, default=0, metavar="N", help="default 0")
    encode.add_argument("--device", metavar="D", help="cpu, cuda or mps (default: the fastest there is)")
    _finish(encode, _encode)


def _add_decode(commands: Any) -> None:
    decode = commands.add_parser("decode", help="render a file, at any size")
    decode.add_argument("file", metavar="FILE")
    decode.add_argument("-o", "--output", metavar="PICTURE", help="default: NAME.decoded.png, here")
    size = decode.add_mutually_exclusive_group()
    size.add_argument("--size", metavar="WxH", help="width and height in pixels, as 1536x1024")
    size.add_argument("--scale", type=float, metavar="S", help="times the picture's own size")
    decode.add_argument("--device", metavar="D", help="cpu, cuda or mps (default: the fastest there is)")
    _finish(decode, _decode)


def _add_info(commands: Any) -> None:
    info = commands.add_parser("info", help="what is in a file: bytes by section, the network, its tensors")
    info.add_argument("file", metavar="FILE")
    info.add_argument("--anatomy", action="store_true", help="only where its bytes are, down to each tensor; also of a JPEG file")
    _finish(info, _info)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser("compare", help="PSNR, SSIM, MS-SSIM, SSIMULACRA 2 (and bpp) of decoded pictures or files")
    compare.add_argument("original", metavar="ORIGINAL")
    compare.add_argument("decoded", nargs="+", metavar="DECODED", help="pictures, or compressed files: bpp as well")
    compare.add_argument("--lpips", choices=LPIPS_NETWORKS, help="add LPIPS by this network; its weights are downloaded")
    _finish(compare, _compare)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="encode pictures with several codecs and rates, and measure the files")
    evaluate.add_argument("--images", nargs="+", required=True, metavar="PICTURE", help="files, folders, coffee, kodak:1, kodak")
    evaluate.add_argument("--codecs", nargs="+", required=True, metavar="NAME", help="nif, coolchic-v2, jpeg, avif, …")
    evaluate.add_argument("--rates", nargs="+", default=[], metavar="BPP", help="bits per pixel to aim at")
    evaluate.add_argument("--losses", nargs="+", default=[], metavar="NAME", help="fit with each (default: the recipes')")
    evaluate.add_argument("--lambdas", nargs="+", default=[], metavar="X", help="fit latent grids at these λ as well")
    evaluate.add_argument("--size", metavar="WxH", help="reduce pictures to this size (default: their own)")
    evaluate.add_argument("--budget", choices=BUDGET_NAMES, help="how long to fit (default: by device)")
    evaluate.add_argument("--iterations", type=int, metavar="N", help="steps of every fit (default: what the budget affords)")
    evaluate.add_argument("--seed", type=_seed, default=0, metavar="N", help="default 0")
    evaluate.add_argument("--no-steering", action="store_true", help="latent grids: keep λ, come only near the rates, sooner")
    evaluate.add_argument("--lpips", action="store_true", help="LPIPS too: downloads its weights, 238 MB, where they are missing")
    evaluate.add_argument("--workers", type=int, metavar="N", help="processes; 0: only this one (default: one a GPU or core)")
    evaluate.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask scheduler to use instead, as tcp://host:8786")
    evaluate.add_argument("--retry", action="store_true", help="run failed runs again")
    evaluate.add_argument("-o", "--output", default="results", metavar="FOLDER", help="default: results")
    _finish(evaluate, _evaluate)


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="a page of curves, tables and crops from what evaluate measured")
    report.add_argument("results", metavar="FOLDER")
    report.add_argument("--anchor", default="jpeg", metavar="CODEC", help="what BD-rates are against (default: jpeg)")
    report.add_argument("--title", help="of the page")
    sides = ("TOP", "LEFT", "HEIGHT", "WIDTH")
    report.add_argument("--crop", type=int, nargs=4, metavar=sides, help="which part to show (default: the middle)")
    report.add_argument("--published", action="store_true", help="draw what others report for Kodak behind the curves")
    report.set_defaults(run=_report)


def _add_challenge(commands: Any) -> None:
    challenge = commands.add_parser("challenge", help="the best picture under N bytes: task, score, leaderboard")
    parts = challenge.add_subparsers(dest="part", required=True, metavar="COMMAND")
    task = parts.add_parser("task", help="the picture, its size, the limit")
    task.add_argument("-o", "--output", metavar="PICTURE", help="write the picture, as coffee.png")
    scored = parts.add_parser("score", help="decode a file and measure it; with --team, enter it into the leaderboard")
    scored.add_argument("file", metavar="FILE", help="an .inr file, yours or one that another team gave you")
    scored.add_argument("--team", default="", metavar="NAME", help="who made the file; default: measure only")
    board = parts.add_parser("board", help="the leaderboard; every file is decoded and measured again")
    for part in (task, scored, board):
        _finish(part, _challenge)


def _add_doctor(commands: Any) -> None:
    _finish(commands.add_parser("doctor", help="check this installation and say what to do about faults"), _doctor)


def _finish(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def _encode(options: argparse.Namespace) -> int:
    from tutorial_lib import codecs, images, metrics
    from tutorial_lib.coding import bitstream
    from tutorial_lib.runtime import choose_device

    codec = codecs.get(options.codec)
    if options.codec not in codecs.LEARNED:
        raise UsageError(f"{options.codec} makes no .inr file; take {', '.join(codecs.LEARNED)}")
    picture = images.open_picture(options.picture)
    output = Path(options.output or _beside(options.picture, ".inr"))
    _check_output(output, options.picture)
    wishes = {"bpp": options.bpp, "budget": options.budget, "loss": options.loss, "iterations": options.iterations}
    device = choose_device(options.device)
    plan = codec.plan(picture, device=device, **wishes)
    if not options.json:
        # the estimate takes a moment: say first what is being read
        print(f"{options.picture}: {picture.shape[2]}×{picture.shape[1]} pixels", flush=True)
        seconds = codec.estimate_seconds(plan, picture, options.device)
        print(
            f"→ {output}: {plan.codec}, {plan.config}, {plan.config.weights:,} weights; about {plan.expected_bytes:,} bytes "
            f"({plan.bpp:.3g} bpp), about {_duration(seconds)} on {device}",
            flush=True,
        )
    started = time.perf_counter()
    progress = not options.json and sys.stderr.isatty()
    encoding = codec.execute(plan, picture, seed=options.seed, device=options.device, progress=progress)
    seconds = time.perf_counter() - started
    images.write_atomically(output, encoding.data)
    decoded = codec.decode(encoding.data, device=options.device).cpu()
    result = {
        "file": str(output),
        "bytes": len(encoding.data),
        "bpp": metrics.bits_per_pixel(encoding.data, picture),
        "psnr": metrics.psnr(decoded, picture),
        "seconds": seconds,
        "interrupted": encoding.report.interrupted,
        "anatomy": bitstream.anatomy(encoding.data),
    }
    stopped = ", stopped early" if encoding.report.interrupted else ""
    text = f"{output}: {result['bytes']:,} bytes, {result['bpp']:.4g} bpp, PSNR {result['psnr']:.2f} dB "
    print(json.dumps(result) if options.json else f"{text}({_duration(seconds)}{stopped})")
    return 0


def _decode(options: argparse.Namespace) -> int:
    from tutorial_lib import codecs, images
    from tutorial_lib.coding import bitstream

    data = _read(options.file)
    output = images.check_writable(options.output or _beside(options.file, ".decoded.png"))
    container = bitstream.read(data)
    size = _size(options, container.height, container.width)
    picture = codecs.decode(data, size, device=options.device).cpu()
    images.save(picture, output)
    height, width = picture.shape[1:]
    facts = {"file": str(output), "width": width, "height": height}
    print(json.dumps(facts) if options.json else f"{output}: {width}×{height} pixels")
    return 0


def _info(options: argparse.Namespace) -> int:
    from tutorial_lib import codecs
    from tutorial_lib.coding import bitstream
    from tutorial_lib.metrics import bits_per_pixel

    data = _read(options.file)
    if options.anatomy:
        return _anatomy(options, data)
    container = bitstream.read(data)
    codec = codecs.codec_of(data)
    facts: dict[str, Any] = {
        "file": options.file,
        "codec": codec.name,
        "width": container.width,
        "height": container.height,
        "bytes": len(data),
        "bpp": bits_per_pixel(data, (container.height, container.width)),
        "weights": codec.config_of(data).weights,
        "anatomy": bitstream.anatomy(data),
        "tensors": codec.describe(data),
    }
    if options.json:
        print(json.dumps(facts))
        return 0
    size = f"{container.width}×{container.height} pixels, {facts['weights']:,} weights"
    print(f"{options.file}: {codec.name}, {size}, {len(data):,} bytes, {facts['bpp']:.4g} bpp")
    for part, count in facts["anatomy"].items():
        bar = "█" * round(40 * count / len(data))
        print(f"  {part:<14}{count:>9,} bytes  {100 * count / len(data):5.1f} %  {bar}".rstrip())
    print("  tensor            shape        step      symbols    bits/weight  law")
    for row in facts["tensors"]:
        shape = "×".join(map(str, row["shape"]))
        kept = "float16" if row["step"] is None else f"{row['step']:.3g}"
        symbols = "" if row["bound"] is None else f"±{row['bound']}"
        law = row.get("law") or ""
        print(f"  {row['name']:<18}{shape:<11}{kept:>7}{symbols:>12}{row['bits_per_weight']:>13.2f}  {law}".rstrip())
    return 0


def _anatomy(options: argparse.Namespace, data: bytes) -> int:
    """A line for each part of a file, its bar where it lies in the file."""
    from dataclasses import asdict

    from tutorial_lib.codecs.anatomy import parts

    found = parts(data)
    if options.json:
        print(json.dumps({"file": options.file, "bytes": len(data), "parts": [asdict(part) for part in found]}))
        return 0
    print(f"{options.file}: {len(data):,} bytes")
    begin = 0
    for part in found:
        left, right = (round(BAR_WIDTH * place / len(data)) for place in (begin, begin + part.bytes))
        bar, begin = "█" * (right - left) or "▏", begin + part.bytes
        label = part.section if part.name == part.section else f"{part.section}: {part.name}"
        share = f"{100 * part.bytes / len(data):5.1f} %"
        print(f"  {label:<36}{part.bytes:>9,} bytes {share}  {' ' * min(left, BAR_WIDTH - len(bar))}{bar}")
    print("  Bytes of single tensors and grids are estimated from their bits, and add up to the section's.")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tutorial_lib import images

    original = images.open_picture(options.original)
    rows = [_distances(name, original, options) for name in options.decoded]
    if options.json:
        # JSON has no infinity: identical pictures have a PSNR of null and the note says so
        for row in rows:
            if row["psnr"] == float("inf"):
                row["psnr"] = None
                row.setdefault("notes", []).append("identical pictures: the PSNR is infinite")
        print(json.dumps(rows))
        return 0
    wide = max(len(row["file"]) for row in rows)
    columns = {"bpp": "9.4f", "psnr": "9.2f", "ssim": "8.4f", "ms_ssim": "9.4f", "ssimulacra2": "13.1f"}
    columns |= {"lpips": "8.4f"} if options.lpips else {}
    print(f"{'':<{wide}}      bpp  PSNR/dB    SSIM  MS-SSIM  SSIMULACRA2{'   LPIPS' if options.lpips else ''}")
    for row in rows:
        print(f"{row['file']:<{wide}}" + "".join(_aligned(row[column], form) for column, form in columns.items()))
    for note in dict.fromkeys(note for row in rows for note in row.get("notes", [])):
        print(f"n/a: {note}")
    return 0


def _distances(name: str, original: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Rate and distortions of a picture or file; None, and a note, where one is not to be had."""
    from tutorial_lib import metrics

    picture, data = _decoded(name)
    if picture.shape != original.shape:
        (height, width), (rows, columns) = original.shape[1:], picture.shape[1:]
        raise UsageError(f"{name} is {columns}×{rows} pixels, {options.original} is {width}×{height}")
    row: dict[str, Any] = {"file": name, "bpp": None if data is None else metrics.bits_per_pixel(data, original)}
    measures: dict[str, Any] = {name: getattr(metrics, name) for name in ("psnr", "ssim", "ms_ssim", "ssimulacra2")}
    if options.lpips:
        measures["lpips"] = functools.partial(metrics.lpips, network=options.lpips)
    for label, metric in measures.items():
        try:
            row[label] = metric(picture, original)
        except metrics.MetricError as error:
            row[label] = None
            row.setdefault("notes", []).append(str(error))
    return row


def _evaluate(options: argparse.Namespace) -> int:
    from tutorial_lib.evaluation import Results, default_workers, expand, jobs, sweep

    if options.workers is not None and options.workers < 0:
        raise UsageError(f"--workers is 0 or more, not {options.workers}")
    if not options.rates and not options.lambdas:
        raise UsageError("nothing to do without --rates (or --lambdas, for latent grids)")
    wanted = jobs(
        expand(options.images),
        _several(options.codecs),
        _numbers("--rates", options.rates),
        losses=_several(options.losses),
        lambdas=_numbers("--lambdas", options.lambdas),
        size=None if options.size is None else _pair(options.size),
        budget=options.budget,
        iterations=options.iterations,
        seed=options.seed,
        steer=not options.no_steering,
    )
    workers = default_workers() if options.workers is None else options.workers
    how = {"retry": options.retry, "workers": workers, "scheduler": options.scheduler, "lpips": options.lpips}
    rows = sweep(wanted, Results(options.output), progress=not options.json, **how)
    failed = [row for row in rows if row["error"]]
    status = 1 if failed else 0
    if options.json:
        print(json.dumps(rows))
        return status
    again = " (--retry runs them again)" if failed else ""
    print(f"{len(rows)} runs in {options.output}, {len(failed)} of them failed{again}")
    for row in failed[:5]:
        print(f"  {row['picture']} {row['codec']} {row['loss'] or ''} {row['bpp']} bpp: {row['error']}")
    if len(failed) > 5:
        print("  …")
    print(f"inr report {options.output}: curves, tables and crops")
    return status


def _report(options: argparse.Namespace) -> int:
    from tutorial_lib.evaluation import Results
    from tutorial_lib.evaluation.page import write_page

    crop = tuple(options.crop) if options.crop else None
    results = Results(options.results)
    if not results.file.is_file():
        raise UsageError(f"there is no {results.file}: inr evaluate writes it")
    page = write_page(results, title=options.title, anchor=options.anchor, crop=crop, draw_published=options.published or None)
    print(f"→ {page}\n→ {page.with_name('runs.csv')}")
    return 0


def _challenge(options: argparse.Namespace) -> int:
    from tutorial_lib.course import challenge

    return {"task": challenge.run_task, "score": challenge.run_score, "board": challenge.run_board}[options.part](options)


def _doctor(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tutorial_lib import doctor

    checks = doctor.check()
    print(json.dumps([asdict(check) for check in checks]) if options.json else doctor.text(checks))
    return 1 if any(check.status == "fail" for check in checks) else 0


def _decoded(name: str) -> tuple[Any, bytes | None]:
    """A picture and, for a compressed file, its bytes: .inr and lossy formats count, PNG and samples don't."""
    from tutorial_lib import codecs, images
    from tutorial_lib.codecs.classical import SUFFIXES

    path = Path(name)
    if path.suffix.lower() == ".inr":
        data = _read(name)
        return codecs.decode(data).cpu(), data
    codec = SUFFIXES.get(path.suffix.lower())
    if codec is None or not path.is_file():
        return images.open_picture(name), None
    data = _read(name)
    return codecs.CLASSICAL[codec].decode(data), data


def _size(options: argparse.Namespace, height: int, width: int) -> tuple[int, int]:
    if options.size is not None:
        return _pair(options.size)
    scale = 1.0 if options.scale is None else options.scale
    if not 0 < scale <= 1e6:
        raise UsageError(f"a scale is a positive number, a million at most, not {scale}")
    return max(1, round(height * scale)), max(1, round(width * scale))


def _pair(text: str) -> tuple[int, int]:
    """(height, width) of "WxH"."""
    try:
        columns, rows = (int(side) for side in text.lower().replace("×", "x").split("x"))
    except ValueError:
        raise UsageError(f"a size is WxH in pixels, as 1536x1024, not {text!r}") from None
    return rows, columns


def _several(values: Sequence[str]) -> list[str]:
    """The parts of a list given with blanks, commas or both."""
    return [part for value in values for part in value.split(",") if part]


def _numbers(option: str, values: Sequence[str]) -> list[float]:
    numbers = []
    for part in _several(values):
        try:
            numbers.append(float(part))
        except ValueError:
            raise UsageError(f"{option} takes numbers, not {part!r}") from None
        if not 0 < numbers[-1] < float("inf"):
            raise UsageError(f"{option} takes positive numbers, not {part}")
    return numbers


def _beside(name: str, suffix: str) -> str:
    """A file of the same name in the current folder."""
    return Path(name.replace(":", "")).stem + suffix


def _seed(text: str) -> int:
    if not (text.isdecimal() and int(text) < 1 << 63):
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to 2^63 - 1, not {text!r}")
    return int(text)


def _check_output(path: Path, picture: str) -> None:
    """Fail before the work, not after it."""
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file to write")
    if path.exists() and Path(picture).exists() and path.samefile(picture):
        raise UsageError(f"{path} is the picture itself; name another file to write")


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise UsageError(f"there is no file {name}") from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder, not a file") from None


def _aligned(value: float | None, form: str) -> str:
    return f"{'n/a':>{form.split('.')[0]}}" if value is None else f"{value:{form}}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
