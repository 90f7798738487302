"""The command ``inr``: encode, decode, retouch, strip, info, view, compare, evaluate, report, notebooks, challenge, doctor.

Exit status: 0 for success, 1 when ``doctor`` finds a fault or a run of ``evaluate`` failed, 2 for bad input, 130 when stopped.
Errors are one line on stderr. What the commands do stands in `tutorial_lib.commands`.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import json
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TextIO, cast

# written out, since --help must not wait for torch
BUDGET_NAMES = ("quick", "laptop", "gpu")
LOOKS = ("structure", "texture")
LPIPS_NETWORKS = ("alex", "squeeze")


class _Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help shows what there is)\n")


class _Patient:
    """A stream to print to that never ends the work: what it can't spell is spelled otherwise, and a reader may go away."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.problem = stream, None
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="tutorial_lib.spelled")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except OSError as error:
            # a pipe that nobody reads any more is no problem; Windows calls it an invalid argument
            self.problem = None if isinstance(error, BrokenPipeError) or error.errno == errno.EINVAL else error
            # so that what is left in the buffer, too, goes somewhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


_SPELLED = {
    "→": "->",
    "−": "-",
    "–": "-",
    "…": "...",
    "×": "x",
    "±": "+-",
    "█": "#",
    "▏": "|",
    "▌": "#",
    "∞": "inf",
    "λ": "lambda",
}


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(
        _SPELLED.get(c, c if c.isascii() else c.encode("ascii", "backslashreplace").decode()) for c in wrong
    ), error.end


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    codecs.register_error("tutorial_lib.spelled", _spelled)
    out, err = _Patient(sys.stdout), _Patient(sys.stderr)
    with contextlib.redirect_stdout(cast("TextIO", out)), contextlib.redirect_stderr(cast("TextIO", err)):
        try:
            try:
                status = _run(_parser().parse_args(arguments))
            finally:
                out.flush()  # here, where a reader's absence is nothing; after --help, too
            if out.problem:
                raise out.problem
            return status
        except KeyboardInterrupt:
            print("inr: stopped", file=sys.stderr)
            return 130
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not re.search("(allocate|out of|not enough) memory", str(error)):  # torch's
                raise
            print(f"inr: {_sentence(error)}", file=sys.stderr)
            return 2


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return "not enough memory" if isinstance(error, MemoryError | RuntimeError) else " ".join(str(error).split())


def _run(options: argparse.Namespace) -> int:
    if options.command == "doctor":  # runs where torch is missing, too
        return _doctor(options)
    # what libraries print meanwhile, as of downloads, is no part of the JSON
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        if options.command == "challenge":
            from tutorial_lib.course import challenge

            answer = {"task": challenge.run_task, "score": challenge.run_score, "board": challenge.run_board}[options.part](
                options
            )
        else:
            from tutorial_lib import commands, signal_commands

            if signal_commands.concerns(options):
                answer = getattr(signal_commands, options.command)(options)
            else:
                signal_commands.refuse_for_a_picture(options)
                answer = getattr(commands, options.command)(options)
    print(json.dumps(finite(answer.facts), allow_nan=False) if options.json else answer.text)
    return answer.status


def finite(facts: Any) -> Any:
    """JSON has no infinity and no NaN: null stands in their place; and a name that is no text is spelled out."""
    if isinstance(facts, dict):
        return {name: finite(fact) for name, fact in facts.items()}
    if isinstance(facts, list | tuple):
        return [finite(fact) for fact in facts]
    if isinstance(facts, str):
        return facts.encode(errors="backslashreplace").decode()
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def _doctor(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tutorial_lib import doctor

    checks = doctor.check()
    print(json.dumps([asdict(check) for check in checks]) if options.json else doctor.text(checks))
    return 1 if any(check.status == "fail" for check in checks) else 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="inr", description="Pictures as small neural networks: encode, decode, look inside, compare.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_file_commands(commands)
    _add_sweep_commands(commands)
    add = _command(commands, "notebooks", "copy the course's notebooks into a folder, to work in").add_argument
    add("folder", nargs="?", default="inr-notebooks", metavar="DIR", help="default: inr-notebooks")
    challenge = commands.add_parser("challenge", help="the best picture under N bytes: task, score, leaderboard")
    parts = challenge.add_subparsers(dest="part", required=True, metavar="COMMAND")
    add = _command(parts, "task", "the picture, its size, the limit").add_argument
    add("-o", "--output", metavar="PICTURE", help="write the picture, as coffee.png")
    add = _command(parts, "score", "decode a file and measure it; with --team, enter it into the leaderboard").add_argument
    add("file", metavar="FILE", help="an .inr file, yours or one that another team gave you")
    add("--team", default="", metavar="NAME", help="who made the file; default: measure only")
    _command(parts, "board", "the leaderboard; every file is decoded and measured again")
    _command(commands, "doctor", "check this installation and say what to do about faults")
    return parser


def _command(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    """A new command, which can answer in JSON."""
    parser = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _add_file_commands(commands: Any) -> None:
    encode = _command(commands, "encode", "fit a network to a picture, film or sound and write it as a file")
    add = encode.add_argument
    add("picture", help="a picture, a film (animated, .mp4) or a sound (.wav, .flac); coffee, kodak:1 … kodak:24, sample:scene")
    add("-o", "--output", metavar="FILE", help="default: the picture's name with .inr, here")
    add("--codec", metavar="NAME", help="siren, amortised, … (default: coolchic-small or -large; siren-video, siren-audio)")
    add("--bpp", type=float, metavar="X", help="target in bits per pixel (default: λ = 0.001); plain networks stay within it")
    add("--kbps", type=float, metavar="X", help="of a film or a sound: target in kbit/s")
    add("--frames", type=int, metavar="N", help="of a film: only the first N frames")
    add("--loss", metavar="NAME", help="l1, mse (default), log-cosh, log-cosh+ssim, l1+ssim, mse+wasserstein, mse+lpips, …")
    add("--looks", choices=("one", "both"), default="one", help="both: a second synthesis for texture, as retouch adds it")
    add("--budget", choices=BUDGET_NAMES, help="how long to compute (default: by device)")
    add("--iterations", type=int, metavar="N", help="steps of the fit, at least 12 (default: what the budget affords)")
    add("--refine", type=float, metavar="SECONDS", help="amortised: fit the latents to this picture for so long")
    add("--seed", type=_seed, default=0, metavar="N", help="default 0")
    add("--device", metavar="D", help="cpu, cuda or mps (default: the fastest there is)")
    fitted = encode.add_mutually_exclusive_group()
    fitted.add_argument("--full-size", action="store_true", help="fit every pixel, however long it takes")
    fitted.add_argument("--reduce", type=int, metavar="N", help="fit at 1/N of width and height (default: by budget)")
    fitted.add_argument("--size", metavar="WxH", help="fit at the 1/N that comes nearest to this size")
    _add_decode(commands)
    add = _command(commands, "retouch", "give a file of latent grids a second look, for texture; its stream stays").add_argument
    add("file", metavar="FILE")
    add("original", metavar="ORIGINAL", help="the picture that the file was made of")
    add("-o", "--output", metavar="FILE", help="default: the file itself")
    add("--budget", choices=BUDGET_NAMES, help="how long to compute (default: by device)")
    add("--iterations", type=int, metavar="N", help="steps of the training (default: by budget)")
    add("--seed", type=_seed, default=0, metavar="N", help="of noise and training (default 0)")
    add("--device", metavar="D", help="cpu, cuda or mps (default: the fastest there is)")
    add = _command(commands, "strip", "drop a file's second look: the bytes that it was made of are left").add_argument
    add("file", metavar="FILE")
    add("-o", "--output", metavar="FILE", help="default: the file itself")
    add = _command(commands, "info", "what is in a file: bytes by section, the network, its tensors").add_argument
    add("file", metavar="FILE")
    add("--anatomy", action="store_true", help="only where its bytes are, down to each tensor; also of a JPEG file")
    add = _command(commands, "view", "a page to zoom into a file, or to take its grids apart").add_argument
    add("file", metavar="FILE")
    add("-o", "--output", metavar="PAGE", help="default: the file's name with .html, here")
    add = _command(
        commands, "compare", "PSNR, SSIM, MS-SSIM, SSIMULACRA 2, NIQE (and bpp) of decoded pictures or files"
    ).add_argument
    add("original", metavar="ORIGINAL")
    add("decoded", nargs="+", metavar="DECODED", help="pictures, or compressed files: bpp as well")
    add("--lpips", choices=LPIPS_NETWORKS, help="add LPIPS by this network; its weights are downloaded")


def _add_decode(commands: Any) -> None:
    decode = _command(commands, "decode", "render a file, at any size; a film at any frames a second")
    add, size = decode.add_argument, decode.add_mutually_exclusive_group()
    add("file", metavar="FILE")
    add("-o", "--output", metavar="PICTURE", help="default: NAME.decoded.png, here; of a film .webp, of a sound .wav")
    add("--fps", type=float, metavar="F", help="of a film: F frames a second")
    add("--frames", type=int, metavar="N", help="of a film: N frames from the first to the last, for slow motion")
    add("--rate", type=float, metavar="HZ", help="of a sound: HZ samples a second")
    size.add_argument("--size", metavar="WxH", help="width and height in pixels, as 1536x1024")
    size.add_argument("--scale", type=float, metavar="S", help="times the picture's own size")
    add("--look", choices=LOOKS, default=LOOKS[0], help="of a file with two looks (default: structure)")
    add("--device", metavar="D", help="cpu, cuda or mps (default: the fastest there is)")


def _add_sweep_commands(commands: Any) -> None:
    add = _command(commands, "evaluate", "encode pictures with several codecs and rates, and measure the files").add_argument
    add("--images", nargs="+", required=True, metavar="PICTURE", help="files, folders, coffee, kodak:1, kodak")
    add("--codecs", nargs="+", required=True, metavar="NAME", help="nif, coolchic-v2, jpeg, avif, …")
    add("--rates", nargs="+", default=[], metavar="BPP", help="bits per pixel to aim at")
    add("--losses", nargs="+", default=[], metavar="NAME", help="fit with each (default: the recipes')")
    add("--lambdas", nargs="+", default=[], metavar="X", help="fit latent grids at these λ as well")
    add("--size", metavar="WxH", help="reduce pictures to this size (default: their own)")
    add("--budget", choices=BUDGET_NAMES, help="how long to fit (default: by device)")
    add("--iterations", type=int, metavar="N", help="steps of every fit (default: what the budget affords)")
    add("--seed", type=_seed, default=0, metavar="N", help="default 0")
    add("--no-steering", action="store_true", help="latent grids: keep λ, come only near the rates, sooner")
    add("--lpips", action="store_true", help="LPIPS too: downloads its weights, 238 MB, where they are missing")
    add("--workers", type=int, metavar="N", help="processes; 0: only this one (default: one a GPU or core)")
    add("--scheduler", metavar="ADDRESS", help="a running Dask scheduler to use instead, as tcp://host:8786")
    add("--retry", action="store_true", help="run failed runs again")
    add("-o", "--output", default="results", metavar="FOLDER", help="default: results")
    report = commands.add_parser("report", help="a page of curves, tables and crops from what evaluate measured")
    report.set_defaults(json=False)
    add = report.add_argument
    add("results", metavar="FOLDER")
    add("--anchor", default="jpeg", metavar="CODEC", help="what BD-rates are against (default: jpeg)")
    add("--title", help="of the page")
    sides = ("TOP", "LEFT", "HEIGHT", "WIDTH")
    add("--crop", type=int, nargs=4, metavar=sides, help="which part to show (default: the middle)")
    add("--published", action="store_true", help="draw what others report for Kodak behind the curves")


def _seed(text: str) -> int:
    if not (text.isdecimal() and int(text) < 1 << 63):
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to 2^63 - 1, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
