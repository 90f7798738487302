"""The command ``inr``: what it prints, writes and returns."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from codec_files import NETWORKS, encoded, float16_file, inr, inr_command, one_thread, picture

from tutorial_lib import cli, codecs, commands, images, metrics, training
from tutorial_lib.coding import bitstream


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a picture and a file of each codec in a folder ``in``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INR_DEVICE", "cpu")
    monkeypatch.setenv("INR_BUDGET", "quick")
    (tmp_path / "in").mkdir()
    images.save(picture(), tmp_path / "in" / "cup.png")
    for name in codecs.LEARNED:
        (tmp_path / "in" / f"{name}.inr").write_bytes(encoded(name))
    return tmp_path


def run(*arguments: str) -> int:
    """`main`, with the exit of argparse turned into its status."""
    try:
        return cli.main(list(arguments))
    except SystemExit as exit_:
        return int(exit_.code or 0)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("inr"), captured.err
    assert "Traceback" not in captured.err and captured.out == ""
    return lines[0]


def files() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"in"}


# ------------------------------------------------------------------------------------------ encode


def test_encode_says_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "in/cup.png", "--codec", "siren", "--bpp", "2") == 0
    out = capsys.readouterr().out
    data = Path("cup.inr").read_bytes()
    plan = codecs.SIREN.plan(picture(), bpp=2.0, budget="quick")
    before, after = out.split("→")[0], out.split("→")[1]
    assert "75×50 pixels" in before
    for fact in (
        "cup.inr",
        "siren",
        f"{plan.config.weights:,} weights",
        f"{plan.expected_bytes:,} bytes",
        "on cpu",
    ):
        assert fact in after.splitlines()[0]
    last = out.splitlines()[-1]
    assert last.startswith(f"cup.inr: {len(data):,} bytes") and "bpp, PSNR" in last and "dB" in last
    decoded = codecs.decode(data)
    assert f"PSNR {metrics.psnr(decoded, picture()):.2f} dB" in last
    assert files() == {"cup.inr"}


def test_a_missed_rate_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(commands, "RATE_TOLERANCE", 0.0)
    assert run("encode", "in/cup.png", "--codec", "coolchic-small", "--bpp", "3", "--iterations", "60") == 0
    bpp = 8 * len(Path("cup.inr").read_bytes()) / (75 * 50)
    says = f"{bpp:.4g} bpp ({abs(bpp / 3 - 1):.0%} {'more' if bpp > 3 else 'less'} than asked for), PSNR"
    assert says in capsys.readouterr().out.splitlines()[-1]
    assert run("encode", "in/cup.png", "--codec", "coolchic-small", "--bpp", "30") == 2
    assert "30 bpp is more than coolchic-small can use for this picture: beyond about" in capsys.readouterr().err


@pytest.mark.parametrize("name", NETWORKS)
def test_encode_as_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("encode", "in/cup.png", "--codec", name, "--bpp", "2", "-o", "out.inr", "--json", "--seed", "0") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    data = Path("out.inr").read_bytes()
    assert result["file"] == "out.inr" and result["bytes"] == len(data) == sum(result["anatomy"].values())
    assert result["bpp"] == metrics.bits_per_pixel(data, picture()) and not result["interrupted"]
    assert result["psnr"] == pytest.approx(metrics.psnr(codecs.decode(data), picture()))
    assert codecs.codec_of(data).name == name and data == encoded(name)  # as the library's encode


@pytest.mark.parametrize("name", NETWORKS)
def test_encode_says_what_kind_of_network(name: str, capsys: pytest.CaptureFixture[str], brief: None) -> None:
    assert run("encode", "in/cup.png", "--codec", name, "--bpp", "2") == 0
    line = capsys.readouterr().out.splitlines()[1]
    plan = codecs.LEARNED[name].plan(picture(), bpp=2.0, budget="quick")
    assert line.startswith(f"→ cup.inr: {name}, {plan.config}, {plan.config.weights:,} weights; about")


def test_encode_latent_grids(capsys: pytest.CaptureFixture[str], brief: None) -> None:
    assert run("encode", "in/cup.png", "--codec", "coolchic-small", "--bpp", "6", "--loss", "l1") == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(f"→ cup.inr: coolchic-small, {codecs.COOLCHIC_SMALL.family.template}, 4")
    assert codecs.decode(Path("cup.inr").read_bytes()).shape == (3, 50, 75)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of a few steps."""
    budget = codecs.Budget(operations=1e6, iterations=30, default_bytes=600)
    monkeypatch.setitem(codecs.BUDGETS, "quick", budget)


@pytest.mark.parametrize("name", ["siren", "nif"])
def test_encode_with_another_loss(name: str, brief: None) -> None:
    files = {}
    for loss in (None, "mse", "l1", "log-cosh+ssim"):
        chosen = [] if loss is None else ["--loss", loss]
        assert run("encode", "in/cup.png", "--codec", name, "--bpp", "2", "-o", "out.inr", "--json", *chosen) == 0
        files[loss] = Path("out.inr").read_bytes()
        options = {"bpp": 2.0, "budget": "quick", "device": "cpu", "progress": False}
        assert files[loss] == codecs.get(name).encode(picture(), loss=loss, **options)
    assert files[None] == files["mse"] and len(set(files.values())) == 3


def test_encode_a_sample_under_its_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codecs.BUDGETS, "quick", codecs.Budget(operations=1e6, iterations=1, default_bytes=600))
    assert run("encode", "astronaut", "--json") == 0
    assert json.loads(capsys.readouterr().out)["file"] == "astronaut.inr" and files() == {"astronaut.inr"}


def test_encode_without_options_has_an_answer_for_any_picture(capsys: pytest.CaptureFixture[str]) -> None:
    for size in ((1, 1), (1, 40), (16, 16)):
        images.save(torch.rand(3, *size), "tiny.png")
        assert run("encode", "tiny.png", "--json") == 0
        assert run("decode", "tiny.inr", "-o", "again.png") == 0
        assert images.load("again.png").shape == (3, *size)


def test_the_codec_follows_the_picture_and_the_rate() -> None:
    small, large = torch.rand(3, 50, 75), torch.rand(3, 400, 400)
    assert [codecs.suitable(each).name for each in (small, large)] == ["coolchic-small", "coolchic-large"]
    assert codecs.suitable(small, bpp=1.0).name == codecs.suitable(large, bpp=0.01).name == "siren"


def test_a_reduced_picture_is_shown_at_its_own_size(capsys: pytest.CaptureFixture[str]) -> None:
    what = ("encode", "in/cup.png", "--codec", "coolchic-large", "--iterations", "12")
    assert run(*what, "--reduce", "3") == 0
    assert "0.00375 megapixels: fitted at 25×17, shown at 75×50\n" in capsys.readouterr().out
    reduced = Path("cup.inr").read_bytes()
    assert codecs.decode(reduced).shape == (3, 50, 75) and codecs.COOLCHIC_LARGE.open(reduced).width == 25
    assert run(*what, "--size", "24x16", "--json") == 0 and Path("cup.inr").read_bytes() == reduced
    assert run(*what, "--full-size", "--json") == 0 and codecs.COOLCHIC_LARGE.open(Path("cup.inr").read_bytes()).width == 75
    assert "1/0" in refused(capsys, *what, "--reduce", "0") and "1/65" in refused(capsys, *what, "--reduce", "65")
    assert "a size is WxH" in refused(capsys, *what, "--size", "0x4")


def test_encode_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("no picture")
    Path("folder.inr").mkdir()
    before = files()
    for arguments, message in [
        (["nowhere.png"], "nowhere.png does not exist"),
        (["text.png"], "text.png is no picture"),
        (["in"], "in is a folder, not a picture"),
        (["in/siren.inr"], "is no picture"),
        (["kodak:99"], "no Kodak picture 99"),
        (["in/cup.png", "--codec", "jpeg"], "jpeg makes no .inr file; take coin, siren, struempler, nif"),
        (["in/cup.png", "--codec", "nerf"], "no codec 'nerf'"),
        (["in/cup.png", "--bpp", "0"], "positive number"),
        (["in/cup.png", "--bpp", "-1"], "positive number"),
        (["in/cup.png", "--bpp", "nan"], "positive number"),
        (["in/cup.png", "--bpp", "inf"], "positive number"),
        (["in/cup.png", "--bpp", "1e308"], "more than coolchic-small can use"),
        (["in/cup.png", "--bpp", "1e308", "--codec", "siren"], "more than the largest"),
        (["in/cup.png", "--bpp", "1e-9"], "the smallest siren network takes"),
        (["in/cup.png", "--bpp", "much"], "--bpp: invalid float value: 'much'"),
        (["in/cup.png", "--loss", "hinge"], "no loss 'hinge'; there are l1, mse, "),
        (["in/cup.png", "--loss", "hinge", "--codec", "nif"], "no loss 'hinge'; there are l1, mse, "),
        (["in/cup.png", "--codec", "nif", "--bpp", "0.01"], "the smallest nif network takes"),
        (["in/cup.png", "--seed", "0.5"], "--seed: a seed is a whole number"),
        (["in/cup.png", "--seed", "99999999999999999999"], "--seed: a seed is a whole number"),
        (["in/cup.png", "--budget", "week"], "--budget: invalid choice: 'week'"),
        (["in/cup.png", "--device", "abacus"], "device 'abacus' is not available here; try 'cpu'"),
        (["in/cup.png", "-o", "none/there.inr"], "there is no folder none"),
        (["in/cup.png", "-o", "folder.inr"], "folder.inr is a folder"),
        (["in/cup.png", "-o", "in/cup.png"], "in/cup.png is the picture itself"),
        (["in/cup.png", "-o", "b.png"], "b.png would be an .inr file; name it b.inr"),
        (["in/cup.png", "-o", "b\0.inr"], "this can't be the name of a file"),
        (["in/cup.png", "-o", 300 * "b"], "File name too long"),
        (["in/cup.png", "--device", "meta"], "device 'meta' is not available here"),
        (["in/cup.png", "--device", "privateuseone"], "device 'privateuseone' is not available here"),
        (["in/cup.png", "-o", "in/../in/cup.png"], "is the picture itself"),
        (["in/cup.png", "--codec", "amortised", "--refine", "1", "--iterations", "12"], "seconds or iterations, not both"),
        (["sample:scene", "--reduce", "0"], "1/1 to 1/64 of its size, not at 1/0"),
        (["sample:scene", "--reduce", "-1"], "1/1 to 1/64 of its size, not at 1/-1"),
        ([], "the following arguments are required: picture"),
        (["in/cup.png", "another.png"], "unrecognized arguments: another.png"),
    ]:
        line = refused(capsys, "encode", *arguments)
        assert message in line, line
    assert files() == before and torch.equal(images.load("in/cup.png"), picture())


def test_budget_from_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INR_BUDGET", "week")
    assert "no budget 'week'" in refused(capsys, "encode", "in/cup.png")


def test_too_little_memory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        torch.empty(1 << 60)  # torch says so by a RuntimeError

    monkeypatch.setattr(codecs, "decode", fail)
    assert "not enough memory" in refused(capsys, "decode", "in/siren.inr")

    def be_wrong(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(codecs, "decode", be_wrong)
    with pytest.raises(RuntimeError, match="illegal"):  # a fault of ours is shown as it is
        run("decode", "in/siren.inr")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_failed_write_leaves_the_old_file(
    code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("cup.inr").write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", fail)
    assert run("encode", "in/cup.png", "--bpp", "1", "--json") == 2
    captured = capsys.readouterr()
    assert captured.err == f"inr: cup.inr: {os.strerror(code)}\n" and len(captured.err.splitlines()) == 1 and captured.out == ""
    assert Path("cup.inr").read_bytes() == b"old" and files() == {"cup.inr"}


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_what_cannot_be_written_is_found_out_before_the_work(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "touch", denied)  # as in a folder that is read-only, which for root none is
    monkeypatch.setattr(codecs.Codec, "execute", pytest.fail)
    monkeypatch.setattr(codecs.Codec, "decode", pytest.fail)
    file = {"encode": "in/cup.png", "decode": "in/siren.inr"}[command]
    output = {"encode": "in/x.inr", "decode": "in/x.png"}[command]
    assert refused(capsys, command, file, "-o", output) == f"inr: {output}: {os.strerror(errno.EACCES)}"


def test_a_failed_fit_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(training, "fit", fail)
    assert run("encode", "in/cup.png", "--codec", "siren", "--json") == 2
    assert files() == set()


def test_stopped_before_there_is_anything_to_keep(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(codecs.Codec, "estimate_seconds", interrupt)
    assert run("encode", "in/cup.png") == 130
    assert capsys.readouterr().err == "inr: stopped\n" and files() == set()


def started(place: Path) -> subprocess.Popen[str]:
    """An encode that takes a while, once its progress bar, which wants a terminal, shows a PSNR."""
    import termios  # not on Windows

    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = subprocess.Popen(
        inr_command("encode", "in/cup.png", "--budget", "gpu", "--bpp", "8"),
        cwd=place,
        env=one_thread(),
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
    )
    os.close(terminal)  # the process has its own: once it ends, reading fails instead of waiting
    seen, deadline = b"", time.monotonic() + 120
    while b" dB" not in seen:
        assert process.poll() is None and time.monotonic() < deadline, seen
        seen += os.read(screen, 1)
    # what comes after must not fill the terminal's buffer, or the process would wait for a reader
    threading.Thread(target=_drain, args=(screen,), daemon=True).start()
    return process


def _drain(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 1024):
            continue


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_it_leaves_nothing(place: Path) -> None:
    Path("cup.inr").write_bytes(b"old")
    process = started(place)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert Path("cup.inr").read_bytes() == b"old" and files() == {"cup.inr"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a single process")
def test_stopped_it_keeps_what_it_has(place: Path) -> None:
    process = started(place)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped early" in out.splitlines()[-1]
    assert codecs.decode(Path("cup.inr").read_bytes(), size=(40, 60)).shape == (3, 40, 60)
    assert files() == {"cup.inr"}


# ------------------------------------------------------------------------------------------ decode


@pytest.mark.parametrize("name", codecs.LEARNED)
def test_decode(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", f"in/{name}.inr") == 0
    assert capsys.readouterr().out == f"{name}.decoded.png: 75×50 pixels\n"
    assert files() == {f"{name}.decoded.png"}
    assert torch.equal(images.load(f"{name}.decoded.png"), images.quantize_8bit(codecs.decode(encoded(name))))


@pytest.mark.parametrize(
    ("option", "size"),
    [
        (["--scale", "2"], (100, 150)),
        (["--scale", "0.5"], (25, 38)),
        (["--scale", "1e-6"], (1, 1)),
        (["--size", "30x20"], (20, 30)),
        (["--size", "30X20"], (20, 30)),
        (["--size", "30×20"], (20, 30)),
        (["--size", "1x1"], (1, 1)),
    ],
)
def test_decode_at_a_size(option: list[str], size: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", "in/siren.inr", *option, "--json", "-o", "out.png") == 0
    assert json.loads(capsys.readouterr().out) == {"file": "out.png", "width": size[1], "height": size[0]}
    expected = codecs.decode(encoded("siren"), size=size)
    assert torch.equal(images.load("out.png"), images.quantize_8bit(expected))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".PNG"])
def test_decode_to_other_formats(suffix: str) -> None:
    assert run("decode", "in/siren.inr", "-o", f"out{suffix}") == 0
    assert metrics.psnr(images.load(f"out{suffix}"), codecs.decode(encoded("siren"))) > 28


def test_decode_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    data = encoded("siren")
    Path("cut.inr").write_bytes(data[:-20])
    Path("damaged.inr").write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    Path("empty.inr").write_bytes(b"")
    before = files()
    for arguments, message in [
        (["cut.inr"], "the checksum does not match: the file is damaged or cut off"),
        (["damaged.inr"], "the checksum does not match"),
        (["empty.inr"], "the file is empty"),
        (["in/cup.png"], "this is not an .inr file"),
        (["none.inr"], "there is no file none.inr"),
        (["in"], "in is a folder"),
        (["in/siren.inr", "-o", "none/out.png"], "the folder none does not exist"),
        (["in/siren.inr", "-o", "in"], "in is a folder"),
        (["in/siren.inr", "-o", "out.xyz"], "'.xyz' names no format"),
        (["in/siren.inr", "-o", "out"], "names no format"),
        (["in/siren.inr", "-o", "in/siren.inr"], "'.inr' names no format"),
        (["in/siren.inr", "--scale", "0"], "positive number"),
        (["in/siren.inr", "--scale", "-2"], "positive number"),
        (["in/siren.inr", "--scale", "nan"], "positive number"),
        (["in/siren.inr", "--scale", "1e308"], "positive number"),
        (["in/siren.inr", "--scale", "100000"], "134,217,728 are the limit"),
        (["in/siren.inr", "--size", "0x10"], "has no pixels"),
        (["in/siren.inr", "--size", "10"], "a size is WxH in pixels"),
        (["in/siren.inr", "--size", "10x"], "a size is WxH in pixels"),
        (["in/siren.inr", "--size", "1x2x3"], "a size is WxH in pixels"),
        (["in/siren.inr", "--size", "99999x99999"], "are the limit"),
        (["in/siren.inr", "--size", "9x9", "--scale", "2"], "not allowed with argument"),
    ]:
        line = refused(capsys, "decode", *arguments)
        assert message in line, line
    assert files() == before and Path("in/siren.inr").read_bytes() == data


# ------------------------------------------------------------------------------------------ info


@pytest.mark.parametrize("name", [*codecs.LEARNED, "float16"])
def test_info(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = float16_file() if name == "float16" else encoded(name)
    Path("cup.inr").write_bytes(data)
    assert run("info", "cup.inr", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    codec = codecs.codec_of(data)
    assert (facts["codec"], facts["width"], facts["height"]) == (codec.name, 75, 50)
    assert facts["bytes"] == len(data) == sum(facts["anatomy"].values())
    assert facts["anatomy"] == bitstream.anatomy(data) and facts["weights"] == codec.config_of(data).weights
    assert facts["tensors"] == codec.describe(data)

    assert run("info", "cup.inr") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"cup.inr: {codec.name}, 75×50 pixels") and f"{len(data):,} bytes" in lines[0]
    counted = [line for line in lines if " bytes " in line and "%" in line]
    assert [line.split()[0] for line in counted] == list(facts["anatomy"])
    assert sum(int(line.split()[1].replace(",", "")) for line in counted) == len(data)
    assert len(lines) == 2 + len(counted) + len(facts["tensors"])
    assert all(len(line) <= 110 for line in lines)


@pytest.mark.parametrize("name", [*codecs.LEARNED, "float16"])
def test_info_anatomy(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = float16_file() if name == "float16" else encoded(name)
    Path("cup.inr").write_bytes(data)
    assert run("info", "--anatomy", "cup.inr", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] == len(data) == sum(part["bytes"] for part in found["parts"])
    assert run("info", "--anatomy", "cup.inr") == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first == f"cup.inr: {len(data):,} bytes" and "estimated" in last and len(lines) == len(found["parts"])
    assert sum(int(line.split(" bytes")[0].split()[-1].replace(",", "")) for line in lines) == len(data)
    assert all(len(line) <= 110 for line in lines)
    # the bars lie behind one another, from one end to the other
    bars = [line[max(line.find("█"), 0) :] for line in lines]
    assert sum(bar.count("█") for bar in bars) == commands.BAR_WIDTH and {line[60] for line in lines} == {"%"}
    assert max(map(len, lines)) == len(lines[-1]) == 61 + 2 + commands.BAR_WIDTH


def test_info_anatomy_of_a_jpeg(capsys: pytest.CaptureFixture[str]) -> None:
    images.save(picture(), "cup.jpg")
    assert run("info", "--anatomy", "cup.jpg") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("scan 1" in line for line in lines) and any("quantization tables" in line for line in lines)


def test_info_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not an .inr file" in refused(capsys, "info", "in/cup.png")
    assert "no file x.inr" in refused(capsys, "info", "x.inr")


# ------------------------------------------------------------------------------------------ compare


def test_compare(capsys: pytest.CaptureFixture[str]) -> None:
    decoded = codecs.decode(encoded("siren"))
    images.save(decoded, "siren.png")
    images.save(decoded, "siren.jpg")
    names = ["in/siren.inr", "siren.png", "siren.jpg", "in/cup.png"]
    assert run("compare", "in/cup.png", *names, "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == names
    file, png, jpeg, itself = rows
    assert file["bpp"] == metrics.bits_per_pixel(encoded("siren"), picture()) and png["bpp"] is None
    assert jpeg["bpp"] == metrics.bits_per_pixel(Path("siren.jpg").read_bytes(), picture())
    assert file["psnr"] == png["psnr"] == pytest.approx(metrics.psnr(decoded, picture()))
    assert file["ssim"] == pytest.approx(metrics.ssim(decoded, picture()))
    assert file["ssimulacra2"] == pytest.approx(metrics.ssimulacra2(decoded, picture())) and "lpips" not in file
    assert file["ms_ssim"] is None and "161 pixels" in file["notes"][0]
    assert itself["psnr"] is None and any("identical" in note for note in itself["notes"])

    assert run("compare", "in/cup.png", *names) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["bpp", "PSNR/dB", "SSIM", "MS-SSIM", "SSIMULACRA2", "NIQE"]
    assert lines[1].split() == [
        "in/siren.inr",
        f"{file['bpp']:.4f}",
        f"{file['psnr']:.2f}",
        f"{file['ssim']:.4f}",
        "n/a",
        f"{file['ssimulacra2']:.1f}",
        "n/a",
    ]
    assert "inf" in lines[4] and lines[5].startswith("n/a: MS-SSIM needs")


def test_compare_of_large_pictures_has_ms_ssim(chelsea: torch.Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    images.save(chelsea, "cat.png")
    images.save(chelsea, "cat.jpg")
    assert run("compare", "cat.png", "cat.jpg", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert 0.9 < row["ms_ssim"] < 1 and all("NIQE" in note for note in row["notes"])  # chelsea has 176 rows


def test_compare_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file no.inr" in refused(capsys, "compare", "in/cup.png", "no.inr")
    assert "is 600×400" in refused(capsys, "compare", "in/cup.png", "coffee")
    assert "required: DECODED" in refused(capsys, "compare", "in/cup.png")


# ------------------------------------------------------------------------------------------ the rest


def test_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: COMMAND" in refused(capsys)
    assert "invalid choice: 'paint'" in refused(capsys, "paint")


@pytest.mark.parametrize("command", [[], ["encode"], ["decode"], ["info"], ["compare"], ["doctor"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*command, "--help") == 0
    assert "usage: inr" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    from tutorial_lib import doctor

    expected = int(any(check.status == "fail" for check in doctor.check()))
    assert run("doctor") == expected
    assert "torch" in capsys.readouterr().out
    assert run("doctor", "--json") == expected
    checks = json.loads(capsys.readouterr().out)
    assert len(checks) > 5 and all({"name", "status"} <= set(check) for check in checks)


def test_in_a_process_of_its_own(place: Path) -> None:
    good = inr("decode", "in/coin.inr", "-o", "out.png", cwd=place)
    assert (good.returncode, good.stdout, good.stderr) == (0, "out.png: 75×50 pixels\n", "")
    bad = inr("info", "in/cup.png", cwd=place)
    assert bad.returncode == 2 and bad.stdout == "" and bad.stderr.count("\n") == 1
    assert bad.stderr.startswith("inr: this is not an .inr file")


# ------------------------------------------------------------------------------------------ what can't be printed


def test_a_code_page_without_arrows(place: Path) -> None:
    """Windows' one, wherever output goes to a pipe; and the smallest."""
    for command, encoding, says in (
        (("encode", "in/cup.png", "--bpp", "2"), "cp1252", ("75×50 pixels", "-> cup.inr: coolchic-small")),
        (("info", "in/siren.inr"), "ascii", ("75x50 pixels", "####")),
        (("encode", "--help"), "ascii", ("kodak:1 ... kodak:24",)),
    ):
        environment = one_thread(PYTHONIOENCODING=f"{encoding}:strict", PYTHONUTF8="0", INR_BUDGET="quick")
        done = subprocess.run(inr_command(*command), cwd=place, env=environment, capture_output=True, timeout=120)
        out = " ".join(done.stdout.decode(encoding).split())
        assert (done.returncode, done.stderr) == (0, b"") and all(each in out for each in says), out
    assert codecs.decode((place / "cup.inr").read_bytes()).shape == (3, 50, 75)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text(place: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (place / "in" / "cup.png").rename(place / f"{name}.png")
    done = inr("encode", f"{name}.png", "--bpp", "2", cwd=place, PYTHONIOENCODING="utf-8:strict", INR_BUDGET="quick")
    assert done.returncode == 0 and r"caf\udce9.inr" in done.stdout and (place / f"{name}.inr").is_file()
    done = inr("info", f"{name}.inr", "--json", cwd=place)
    assert json.loads(done.stdout)["file"] == r"caf\udce9.inr"
    what = ("evaluate", "--images", f"{name}.png", "--codecs", "jpeg", "--rates", "4", "--workers", "0", "-o", "out")
    assert inr(*what, cwd=place).returncode == 0 and inr("report", "out", cwd=place).returncode == 0


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("command", [["encode", "in/cup.png", "--bpp", "2", "-o", "x.inr"], ["info", "in/nif.inr"], ["--help"]])
def test_a_reader_who_goes_away(command: list[str], buffered: bool, place: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # before the first line
    environment = one_thread(INR_BUDGET="quick", PYTHONUNBUFFERED="" if buffered else "1")
    done = subprocess.run(inr_command(*command), cwd=place, env=environment, stdout=theirs, stderr=subprocess.PIPE, timeout=120)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert command[0] != "encode" or codecs.decode((place / "x.inr").read_bytes()).shape == (3, 50, 75)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_said_and_costs_no_work(place: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = inr_command("encode", "in/cup.png", "--bpp", "2", "-o", "x.inr")
        done = subprocess.run(
            command, cwd=place, env=one_thread(INR_BUDGET="quick"), stdout=full, stderr=subprocess.PIPE, timeout=120
        )
    assert done.returncode == 2 and b"No space left" in done.stderr and done.stderr.count(b"\n") == 1
    assert (place / "x.inr").is_file()


# ------------------------------------------------------------------------------------------ evaluate, report


def test_evaluate_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    what = ("evaluate", "--images", "in", "--codecs", "jpeg,webp", "--rates", "4", "6,8", "--workers", "0", "-o", "out")
    assert run(*what) == 0
    assert "6 runs in out, 0 of them failed" in capsys.readouterr().out
    rows = (Path("out") / "runs.jsonl").read_text().splitlines()
    assert run(*what) == 0 and (Path("out") / "runs.jsonl").read_text().splitlines() == rows  # nothing ran twice
    assert run("report", "out") == 0
    assert "report.html" in capsys.readouterr().out and (Path("out") / "report.html").stat().st_size > 10_000
    assert len((Path("out") / "runs.csv").read_text().splitlines()) == 7


def test_evaluate_names_failures_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--images", "in", "--codecs", "nif", "--rates", "0.001", "--workers", "0", "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert "CodecError" in row["error"]
    assert run("evaluate", "--images", "in", "--codecs", "nif", "--rates", "0.001", "--workers", "0") == 1
    assert "--retry" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--codecs", "gif", "--rates", "1"], "gif"),
        (["--codecs", "png"], "--rates"),
        (["--codecs", "jpeg", "--rates", ","], "--rates takes numbers"),
        (["--codecs", "jpeg", "--rates", "1", "--size", "0x10"], "has no pixels"),
        (["--codecs", "jpeg", "--rates", "1", "--size", "99999x99999"], "are the limit"),
        (["--codecs", "jpeg", "--rates", "fast"], "fast"),
        (["--codecs", "jpeg", "--rates", "-1"], "positive"),
        (["--codecs", "nif", "--rates", "1", "--losses", "l3"], "l3"),
        (["--codecs", "jpeg", "--rates", "1", "--size", "big"], "WxH"),
        (["--codecs", "jpeg", "--rates", "1", "--workers", "-1"], "--workers"),
    ],
)
def test_evaluate_refuses(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, "evaluate", "--images", "in", *arguments, "-o", "out")
    assert "out" not in files()


def test_evaluate_has_rates_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("evaluate", "--images", "in", "--codecs", "jpeg", "--workers", "0", "-o", "out", "--json") == 1
    )  # too small for 0.3
    assert [row["bpp"] for row in json.loads(capsys.readouterr().out)] == [0.3, 0.6, 1.2]


def test_evaluate_answers_in_json_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever libraries print meanwhile; and a lossless file has no PSNR that JSON could say."""

    def talkative(*_: object, **__: object) -> float:
        print('Downloading: "https://example.org/alexnet.pth"')
        return float("nan")

    monkeypatch.setattr(metrics, "lpips", talkative)
    what = ("--images", "in", "--codecs", "png", "--rates", "40", "--workers", "0", "--lpips", "-o", "out", "--json")
    assert run("evaluate", *what) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out, parse_constant=pytest.fail)
    assert row["psnr"] is None and row["lpips_alex"] is None and "Downloading" in captured.err


def test_encode_without_loss_answers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    images.save(torch.zeros(3, 8, 8), "black.png")
    assert run("encode", "black.png", "--json") == 0
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["psnr"] is None


def test_foreign_rows_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    what = ("evaluate", "--images", "in", "--codecs", "jpeg", "--rates", "8", "--workers", "0", "-o", "out")
    assert run(*what) == 0
    file = Path("out") / "runs.jsonl"
    file.write_bytes(b"{}\n" + file.read_bytes())
    capsys.readouterr()
    assert run(*what) == 0 and "line 1 is passed over: it is no run of a sweep" in capsys.readouterr().out
    assert run("report", "out") == 0 and "line 1 is passed over" in capsys.readouterr().out
    assert "line 1 is passed over" in (Path("out") / "report.html").read_text(encoding="utf-8")


def test_evaluate_asks_for_lpips_only_when_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setenv("TORCH_HOME", str(Path("nothing there").resolve()))
    monkeypatch.setattr(metrics, "lpips", lambda *_, network: tried.append(network) or 0.25)
    what = ("evaluate", "--images", "in", "--codecs", "jpeg", "--rates", "4", "--workers", "0")
    assert run(*what, "-o", "a") == 0 and not tried
    assert run(*what, "-o", "b", "--lpips") == 0 and tried == ["alex", "squeeze"]
    capsys.readouterr()
    assert run("evaluate", "--help") == 0 and "238 MB" in " ".join(capsys.readouterr().out.split())


def test_report_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "inr evaluate writes it" in refused(capsys, "report", "nowhere")
    assert "nowhere" not in files()


# ------------------------------------------------------------------------------------------ two looks


def test_retouch_adds_a_look_and_strip_drops_it(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("in/coolchic-small.inr").read_bytes()
    assert run("retouch", "in/coolchic-small.inr", "in/cup.png", "-o", "both.inr", "--iterations", "3") == 0
    out = capsys.readouterr().out
    data = Path("both.inr").read_bytes()
    assert (
        data[: len(before)] == before and f"{len(data) - len(before):,} of them for the second look: two looks, one stream" in out
    )
    assert "structure" in out and "texture" in out
    assert run("info", "both.inr") == 0 and "two looks, one stream" in capsys.readouterr().out
    assert run("info", "both.inr", "--anatomy") == 0 and "Two looks, one stream" in capsys.readouterr().out
    assert run("info", "both.inr", "--json") == 0
    assert json.loads(capsys.readouterr().out)["looks"] == ["structure", "texture"]
    for look in codecs.LOOKS:
        assert run("decode", "both.inr", "--look", look, "-o", f"{look}.png") == 0
        decoded = images.quantize_8bit(codecs.decode(data, look=look, device="cpu"))
        assert torch.equal(images.load(f"{look}.png"), decoded)
    assert run("strip", "both.inr") == 0 and Path("both.inr").read_bytes() == before


def test_what_has_no_second_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert "one look; inr retouch" in refused(capsys, "decode", "in/coolchic-v1.inr", "--look", "texture")
    assert "siren has no synthesis" in refused(capsys, "retouch", "in/siren.inr", "in/cup.png")
    assert "siren has no synthesis" in refused(capsys, "encode", "in/cup.png", "--codec", "siren", "--looks", "both")


def test_encode_with_both_looks(capsys: pytest.CaptureFixture[str]) -> None:
    what = ("encode", "in/cup.png", "--codec", "coolchic-small", "--iterations", "12", "--looks", "both", "--json")
    assert run(*what) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["anatomy"]["second look"] > 9 and facts["bytes"] == Path("cup.inr").stat().st_size
