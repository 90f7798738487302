"""Sweeps: every run once, whatever happens in between; and curves read at a rate."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from dataclasses import asdict, replace
from functools import partial

import cloudpickle
import psutil
import pytest
import torch
from codec_files import inr_command, one_thread

from tutorial_lib import codecs, evaluation, images, losses, metrics
from tutorial_lib.evaluation import (
    AVERAGES,
    EvaluationError,
    Job,
    Results,
    Run,
    at_rate,
    bd_rate,
    curves,
    jobs,
    runs,
    sweep,
    workers,
)

JOBS = [Job("coffee", codec, bpp, (64, 96)) for codec in ("jpeg", "webp") for bpp in (1.0, 2.0)]


MEASURED = {"error": None, "bytes": 100, "bpp_real": 0.13, "height": 64, "width": 96}


def done(job: Job, lpips: bool = False) -> Run:
    return Run(asdict(job) | {"key": job.key, "encode_seconds": 1.0, "decode_seconds": 0.0} | MEASURED, None)


def test_a_row_says_what_the_file_gives() -> None:
    run = runs.measure(JOBS[1])
    row = run.row
    picture = images.reduce(images.sample("coffee"), size=(64, 96))
    data = codecs.get("jpeg").encode(picture, bpp=2.0)
    decoded = codecs.get("jpeg").decode(data)
    assert row["bytes"] == len(data) and row["bpp_real"] == 8 * len(data) / (64 * 96) <= 2.0
    assert row["psnr"] == metrics.psnr(decoded, picture) and row["ssim"] == metrics.ssim(decoded, picture)
    assert row["ms_ssim_db"] is None  # too small a picture for it
    assert row["key"] == JOBS[1].key and row["error"] is None and run.data == data
    assert row["operations_per_pixel"] is None and "quality" not in row["settings"] and "JPEG" in row["settings"]
    assert row["encode_seconds"] > 0 and row["encode_peak_mb"] > 50 and row["decode_peak_mb"] > 50
    json.dumps(row, allow_nan=False)


def test_a_learned_run_takes_loss_budget_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    codec = codecs.LEARNED["siren"]
    plan, execute = type(codec).plan, type(codec).execute

    def spied_plan(self, picture, **options):
        seen.update(options)
        return plan(self, picture, **options)

    def spied_execute(self, plan, picture, **options):
        seen.update(options)
        return execute(self, plan, picture, **options)

    monkeypatch.setattr(type(codec), "plan", spied_plan)
    monkeypatch.setattr(type(codec), "execute", spied_execute)
    run = runs.measure(Job("coffee", "siren", 2.0, (32, 48), "l1", "quick", 7))
    row = run.row
    wanted = {"bpp": 2.0, "budget": "quick", "loss": "l1", "iterations": None, "device": runs.choose_device()}
    assert seen == wanted | {"seed": 7, "progress": False}
    assert row["loss"] == "l1" and 0 < row["bpp_real"] <= 2.0
    assert row["operations_per_pixel"] == codec.config_of(run.data).weights


def test_lpips_is_downloaded_by_nobody_who_did_not_ask(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights, 238 MB, come when they were asked for, and are used where they lie already."""
    tried = []
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(metrics, "lpips", lambda *_, network: tried.append(network) or 0.25)
    (row,) = sweep(JOBS[:1], Results(tmp_path / "silent"), progress=False)
    assert row["lpips_alex"] is row["lpips_squeeze"] is None and row["psnr"] > 20 and not tried
    weights = tmp_path / "hub" / "checkpoints" / metrics.LPIPS_WEIGHTS["squeeze"]
    weights.parent.mkdir(parents=True)
    weights.touch()
    (row,) = sweep(JOBS[:1], Results(tmp_path / "there"), progress=False)
    assert row["lpips_alex"] is None and row["lpips_squeeze"] == 0.25 and tried == ["squeeze"]
    (row,) = sweep(JOBS[:1], Results(tmp_path / "asked"), lpips=True, progress=False)
    assert row["lpips_alex"] == row["lpips_squeeze"] == 0.25


def test_a_killed_sweep_goes_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def stop_at_third(job: Job, lpips: bool) -> Run:
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(job)
        return done(job)

    monkeypatch.setattr(runs, "measure", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        sweep(JOBS, Results(tmp_path), progress=False)
    assert len(Results(tmp_path).rows()) == 2
    monkeypatch.setattr(runs, "measure", lambda job, lpips: ran.append(job) or done(job))
    rows = sweep([*JOBS, JOBS[0]], Results(tmp_path), progress=False)
    assert ran == JOBS and {row["key"] for row in rows} == {job.key for job in JOBS}


def test_an_interrupted_fit_is_no_row(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C within a fit, which keeps its best state for whoever asked for a file, ends the sweep before there is a row."""
    execute = codecs.Codec.execute

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    def cut(self, plan, picture, **options):
        return execute(self, plan, picture, **options | {"callback": stop})

    monkeypatch.setattr(codecs.Codec, "execute", cut)
    fitted = Job("coffee", "siren", 3.0, (40, 60), budget="quick")
    with pytest.raises(KeyboardInterrupt):
        sweep([JOBS[0], fitted, JOBS[1]], Results(tmp_path), progress=False)
    assert [row["key"] for row in Results(tmp_path).rows()] == [JOBS[0].key]
    assert len(list((tmp_path / "files").iterdir())) == 1


def changed(path, shade: float) -> str:
    images.save(torch.full((3, 40, 60), shade), path)
    return str(path)


def test_an_edited_picture_is_measured_anew(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    job, results = Job(changed(tmp_path / "x.png", 0.2), "jpeg", 3.0), Results(tmp_path / "results")
    (first,) = sweep([job], results, progress=False)
    assert sweep([job], results, progress=False) == [first] and len(results.rows()) == 1
    changed(tmp_path / "x.png", 0.7)
    (second,) = sweep([job], results)
    assert "is another picture than when it was measured: measured anew" in capsys.readouterr().out
    assert second["content"] != first["content"] and second["file"] != first["file"] and len(results.rows()) == 2
    rows, (remark,) = results.read()
    assert "has been 2 pictures" in remark
    assert len({evaluation.name_of(row) for row in rows}) == 2  # no mean takes them for one
    with pytest.raises(ValueError, match="other pixels now"):
        runs.original(first)
    assert sweep([job], results, progress=False) == [row for row in rows if row["key"] == second["key"]]
    (tmp_path / "x.png").unlink()  # what it held last is what counts
    assert sweep([job], results, progress=False) == [row for row in rows if row["key"] == second["key"]]


def test_a_picture_edited_while_the_sweep_runs_is_a_failure(tmp_path) -> None:
    job = Job(changed(tmp_path / "x.png", 0.2), "jpeg", 3.0, content="0123456789abcdef")
    assert "other pixels now" in runs.run(job).row["error"]


def test_rows_that_do_not_know_their_picture_still_count(tmp_path) -> None:
    job, results = Job(changed(tmp_path / "x.png", 0.2), "jpeg", 3.0), Results(tmp_path / "results")
    assert '"content"' not in job.key
    results.append({key: value for key, value in done(job).row.items() if key != "content"})
    (row,) = sweep([job], results, progress=False)
    assert row["bytes"] == MEASURED["bytes"] and len(results.rows()) == 1


def test_a_picture_under_two_names_counts_once(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        changed(tmp_path / "a.png", 0.2),
        changed(tmp_path / "b.png", 0.2),
        str(tmp_path / "." / ".." / tmp_path.name / "a.png"),
    ]
    rows = sweep([Job(name, "jpeg", 3.0) for name in names], Results(tmp_path / "results"))
    assert [row["picture"] for row in rows] == names[:1] and capsys.readouterr().out.count("counted once") == 2
    # and in rows of two sweeps
    sweep([Job(names[1], "webp", 3.0)], Results(tmp_path / "results"), progress=False)
    found, remarks = Results(tmp_path / "results").read()
    assert len({evaluation.name_of(row) for row in found}) == 1 and not remarks
    assert evaluation.expand(["kodak:3", "kodim03", "kodak:03"]) == ["kodak:3"]


def test_lines_that_are_no_rows_are_named_and_passed_over(tmp_path) -> None:
    results = Results(tmp_path)
    good = done(JOBS[0]).row
    foreign = [{}, [], 3, {"key": 1}, good | {"bytes": None}, good | {"psnr": "high"}, good | {"loss": 1}, "\ufeff"]
    lines = [json.dumps(each).encode() for each in foreign] + [b"\xff\xfe", b"[" * 100_000, b"", b'{"key": "cut']
    results.file.write_bytes(b"\n".join([*lines, json.dumps(good | {"psnr": float("nan")}).encode(), b""]))
    rows, remarks = results.read()
    assert [row["key"] for row in rows] == [JOBS[0].key] and rows[0]["psnr"] is None
    assert len(remarks) == len(lines) - 1 and all(f"{results.file}, line " in remark for remark in remarks)
    assert sweep(JOBS[:1], results, progress=False) == rows


def test_a_sweep_that_cannot_be_kept_does_not_begin(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(runs, "measure", lambda job, lpips: ran.append(job) or done(job))
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder" / "runs.jsonl").mkdir(parents=True)
    for folder in ("file", "file/below", "folder"):
        with pytest.raises(OSError, match="runs.jsonl|file"):
            sweep(JOBS[:1], Results(tmp_path / folder), progress=False)
    assert not ran


def test_a_file_that_cannot_be_kept_costs_no_row(tmp_path) -> None:
    (tmp_path / "files").write_text("no folder")
    results = Results(tmp_path)
    results.append(done(JOBS[0]).row, b"data")
    (row,) = results.rows()
    assert row["file"] is None and "files" in row["file_error"] and row["bytes"] == MEASURED["bytes"]


def test_a_torn_line_costs_one_run(tmp_path) -> None:
    results = Results(tmp_path)
    for job in JOBS:
        results.append(done(job).row)
    whole = results.file.read_bytes()
    results.file.write_bytes(whole[:-10])
    rows, (remark,) = results.read()
    assert len(rows) == 3 and "line 4 is passed over: it is cut off" in remark
    results.append(done(JOBS[3]).row)
    assert [row["key"] for row in results.rows()] == [job.key for job in JOBS]


def test_failures_are_rows_and_retried_when_asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    impossible = Job("coffee", "nif", 1e-4, (64, 96), None, "quick")
    (row,) = sweep([impossible], Results(tmp_path), progress=False)
    assert "CodecError" in row["error"]
    monkeypatch.setattr(runs, "measure", done)
    assert sweep([impossible], Results(tmp_path), progress=False)[0]["error"]
    assert sweep([impossible], Results(tmp_path), retry=True, progress=False)[0]["error"] is None


def test_rates_are_interpolated_and_never_extrapolated() -> None:
    rates, values = [1.0, 0.25, 4.0], [34.0, 30.0, 40.0]
    assert at_rate(rates, values, 0.5) == pytest.approx(32.0)
    assert at_rate(rates, values, 4.0) == pytest.approx(40.0)
    for outside in (0.2, 4.2):
        with pytest.raises(ValueError, match="outside"):
            at_rate(rates, values, outside)


def test_jobs_are_every_combination_once_and_classical_codecs_have_no_loss() -> None:
    found = jobs(["coffee", "chelsea"], ["nif", "jpeg", "siren"], [0.5, 1.0, 2.0], losses=["l1", "mse"], budget="quick")
    learned = [job for job in found if job.loss]
    assert len(learned) == len(set(learned)) == 2 * 2 * 3 * 2
    assert [job for job in found if not job.loss] == [Job(p, "jpeg", r) for p in ("coffee", "chelsea") for r in (0.5, 1.0, 2.0)]
    with pytest.raises(ValueError, match="l3"):
        jobs(["coffee"], ["nif"], [1.0], losses=["l3"])
    with pytest.raises(ValueError, match="gif"):
        jobs(["coffee"], ["gif"], [1.0])


def test_equal_lambda_is_for_latent_grids_alone() -> None:
    found = jobs(["coffee"], ["nif", "coolchic-v1"], [1.0], lambdas=[1e-3, 1e-2], budget="quick", iterations=12)
    steered = [job for job in found if job.lmbda is not None]
    assert {(job.codec, job.bpp) for job in steered} == {("coolchic-v1", None)} and len(steered) == 2
    assert "λ = 0.001" in str(steered[0]) and "1 bpp" in str(found[0])


def test_the_loss_is_minimized_as_it_is_at_equal_lambda() -> None:
    job = Job("coffee", "coolchic-small", None, (32, 48), "mse", "quick", iterations=150, lmbda=1e-4)
    fine, coarse = (runs.measure(replace(job, lmbda=lmbda)).row for lmbda in (1e-5, 1e-2))
    assert fine["bpp"] is None and fine["bpp_real"] > 1.2 * coarse["bpp_real"] and fine["psnr"] > coarse["psnr"]


def test_the_committed_sweep_of_losses_is_what_its_command_asks_for() -> None:
    """The rows would be found again by the command in README: nothing of it would run twice."""
    rows = Results("data/results/losses-288x192").rows()
    pictures = ["kodak:15", "kodak:3", "kodak:23"]
    names, losses = ["nif", "coolchic-v1", "coolchic-v2", "jpeg", "avif"], ["l1", "mse", "log-cosh", "log-cosh+ssim", "l1+ssim"]
    options = {"losses": losses, "size": (192, 288), "budget": "laptop", "iterations": 300}
    wanted = jobs(pictures, names, [0.6, 1, 1.6], **options) + jobs(pictures, ["coolchic-v1"], [], lambdas=[0.002], **options)
    assert {job.key for job in wanted} == {row["key"] for row in rows} and not any(row["error"] for row in rows)


def test_the_committed_evaluation_is_what_its_commands_ask_for() -> None:
    results = Results("data/results/evaluation")
    rows = results.rows()
    assert not any(row["error"] for row in rows)
    wanted = []
    kodak, grids = ["kodak:3", "kodak:15", "kodak:23"], ["coolchic-v2", "coolchic-v1", "coolchic-small", "coolchic-large"]
    for pictures, size, steps in ((kodak, (256, 384), 1500), (["chelsea"], None, 2000), (["coffee", "astronaut"], None, 3000)):
        fitted = {"size": size, "budget": "laptop"}
        wanted += jobs(pictures, grids, [0.3, 0.6, 1.2], iterations=steps, **fitted)
        wanted += jobs(pictures, ["amortised"], [0.3, 0.45, 0.6, 0.9, 1.2, 1.8], **fitted)
        wanted += jobs(pictures, ["coin", "struempler", "siren", "nif"], [0.3, 0.6, 1.2], iterations=1000, **fitted)
        classical = ["jpeg", "jpeg-444", "jpeg2000", "webp", "jpegxl", "heic", "avif"]
        wanted += jobs(pictures, classical, [0.3, 0.45, 0.6, 0.9, 1.2, 1.8, 2.6, 3.5], size=size)
    assert {job.key for job in wanted} == {row["key"] for row in rows}
    for row in rows:
        data = results.data(row)
        if row["picture"] == "chelsea" and row["codec"] in codecs.LEARNED:
            assert len(data) == row["bytes"] and codecs.codec_of(data).name == row["codec"]
        if row["codec"] in codecs.CLASSICAL:
            assert row["settings"] and row["operations_per_pixel"] is None


def test_latent_grids_save_two_fifths_of_jpegs_bytes_in_the_committed_rows() -> None:
    rows = Results("data/results/evaluation").rows()
    for some in (rows, [row for row in rows if row["picture"].startswith("kodak")]):
        for average in AVERAGES:
            assert evaluation.bd_rates(some, average=average)["coolchic-v2"] < -40


def test_files_are_kept_beside_their_rows(tmp_path) -> None:
    results = Results(tmp_path / "results")
    assert results.rows() == [] and not results.folder.exists()
    (row,) = sweep([JOBS[0]], results, progress=False)
    assert row["file"].startswith("coffee-jpeg-1-") and row["file"].endswith(".jpg")
    assert len(results.data(row)) == row["bytes"]
    (results.folder / "files" / row["file"]).unlink()
    assert results.data(row) is None


def test_names_of_folders_and_sets(tmp_path) -> None:
    images.save(images.reduce(images.sample("coffee"), factor=20), tmp_path / "b.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert evaluation.expand([str(tmp_path), "coffee", "coffee"]) == [str(tmp_path / "b.png"), "coffee"]
    assert evaluation.expand(["kodak"])[23] == "kodak:24" and "chelsea" in evaluation.expand(["samples"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture in the folder"):
        evaluation.expand([str(tmp_path / "empty")])


# ------------------------------------------------------------------------------------------- curves

CURVE = [(0.25, 28.0), (0.5, 31.0), (1.0, 34.5), (2.0, 38.0)]


def row(picture: str, codec: str, bpp: float, psnr: float | None, **more) -> dict:
    common = {"picture": picture, "codec": codec, "bpp": bpp, "bpp_real": 0.98 * bpp, "error": None, "loss": None}
    return common | {"width": 96, "height": 64, "psnr": psnr, "mse": psnr and 10 ** (-psnr / 10)} | more


def test_bd_rate_of_a_shifted_curve_is_the_shift() -> None:
    assert bd_rate(CURVE, [(1.25 * rate, quality) for rate, quality in CURVE]) == pytest.approx(25)
    assert bd_rate(CURVE, CURVE[::-1]) == pytest.approx(0, abs=1e-9)


def test_bd_rate_is_refused_with_a_reason() -> None:
    with pytest.raises(EvaluationError, match="share only 3.0 dB"):
        bd_rate(CURVE, [(0.5, 35.0), (1.0, 39.0), (2.0, 42.0)])
    with pytest.raises(EvaluationError, match="no quality at all"):
        bd_rate(CURVE, [(0.5, 45.0), (1.0, 49.0), (2.0, 52.0)])
    with pytest.raises(EvaluationError, match="2 rising points"):
        bd_rate(CURVE, [(0.5, 30.0), (1.0, 29.0), (2.0, 37.0)])  # the middle one is dominated


@pytest.mark.parametrize(
    ("curves_", "role"), [((CURVE, [*CURVE, (9.0, math.inf)]), "tested"), (([*CURVE, (9.0, math.inf)], CURVE), "anchor's")]
)
def test_a_curve_of_infinite_quality_is_refused_by_name(curves_, role: str) -> None:
    with pytest.raises(EvaluationError, match=f"the {role} curve has a point without finite quality"):
        bd_rate(*curves_)


def test_two_averages_of_the_same_rows() -> None:
    rows = [row(p, "jpeg", b, q + d) for p, d in (("a", 0), ("b", 10)) for b, q in CURVE]
    (mean,), (pooled,) = (curves(rows, average=average).values() for average in AVERAGES)
    assert [quality for _, quality in mean] == pytest.approx([q + 5 for _, q in CURVE])
    # 10·log10 of the mean of 1 and 1/10
    assert [quality for _, quality in pooled] == pytest.approx([q + 2.596 for _, q in CURVE], abs=1e-3)
    assert mean[0][0] == pytest.approx(0.245)
    with pytest.raises(EvaluationError):
        curves(rows, "ssim", average=AVERAGES[1])


def test_a_mean_is_over_pictures_whatever_else_was_repeated() -> None:
    """Sizes are pictures of their own, seeds are not; a run that lacks the measure leaves no mean behind."""
    some = [row("a", "nif", 1.0, 30.0, seed=seed) for seed in (0, 1)] + [row("a", "nif", 1.0, 36.0, width=48, height=32)]
    assert evaluation.mean(some, "psnr") == 33.0
    assert evaluation.mean(some, "psnr", AVERAGES[1]) == pytest.approx(32.04, abs=0.01)
    assert evaluation.mean([*some, row("b", "nif", 1.0, None, mse=1e-3)], "psnr") is None and evaluation.mean([], "psnr") is None
    rows = [each | {"bpp": bpp, "bpp_real": bpp} for each in some for bpp in (0.5, 1.0)]
    assert curves(rows)["nif"] == [(0.5, 33.0), (1.0, 33.0)]
    assert list(evaluation.complete(rows, ["a 96×64", "a 48×32"])) == [0.5, 1.0]
    assert not evaluation.complete(rows, ["a 96×64", "b 96×64"])


def test_means_are_over_pictures_that_all_lines_have() -> None:
    rows = [row(p, c, b, q) for p, c in (("a", "jpeg"), ("b", "jpeg"), ("a", "nif")) for b, q in CURVE]
    rows += [row("b", "nif", 1.0, 99.0)]
    assert evaluation.shared_pictures(rows) == ["a 96×64"]
    assert [quality for _, quality in curves(rows)["nif"]] == [quality for _, quality in CURVE]
    assert evaluation.bd_rates(rows)["nif"] == pytest.approx(0, abs=1e-9)


def test_losses_make_lines_of_their_own_and_failures_none() -> None:
    rows = [row("a", "nif", b, q, loss=loss) for loss in ("l1", "mse") for b, q in CURVE]
    rows += [row("a", "jpeg", b, q) for b, q in CURVE] + [{**row("a", "avif", 1.0, 30.0), "error": "no"}]
    assert list(curves(rows)) == ["nif, l1", "nif, mse", "jpeg"]
    with pytest.raises(EvaluationError, match="no curve of avif"):
        evaluation.bd_rates(rows, "avif")


# -------------------------------------------------------------------------------------------- Dask


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_no_run(tmp_path) -> None:
    """Two workers; one is killed while it computes. Every run has one row, and none failed."""
    found = jobs(["coffee"], ["siren"], [2.0, 2.5, 3.0, 3.5], size=(32, 48), budget="quick", iterations=200)
    found += jobs(["coffee"], ["jpeg"], [1.0, 2.0], size=(64, 96))
    killed = []

    def kill_one() -> None:
        while not stop.wait(0.2):
            workers = []
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it may have ended in between
                    workers += [process] if "spawn_main" in " ".join(process.cmdline()) else []
            if Results(tmp_path).rows() and workers:
                workers[-1].kill()
                killed.append(workers[-1].pid)
                return

    stop = threading.Event()
    killer = threading.Thread(target=kill_one)
    killer.start()
    rows = sweep(found, Results(tmp_path), workers=2, progress=False)
    stop.set()
    killer.join()
    assert killed
    assert sorted(row["key"] for row in rows) == sorted(job.key for job in found)
    assert len(Results(tmp_path).file.read_text().splitlines()) == len(found)
    assert not any(row["error"] for row in rows)


READERS = """
import dataclasses
import torch
from tutorial_lib import codecs

class NeverStopped:
    interrupted = False

def mine(prediction, target):
    return (prediction - target).abs().mean() + OFFSET

OFFSET = 0.5

class Grey:
    name, number, takes_lambda = "grey", 200, False

    def plan(self, picture, **wishes):
        assert wishes["bpp"] == 1.0

    def execute(self, plan, picture, **options):
        return codecs.Encoding(bytes([round(255 * float(picture.mean()))]), NeverStopped())

    def decode(self, data, size=None, *, device=None):
        return torch.full((3, 32, 48), data[0] / 255)

    def operations_per_pixel(self, data):
        return 0.0
"""


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the reader's, of which a worker has no file, with a loss and a codec entered beside the package's own."""
    module = types.ModuleType("readers_own")
    exec(READERS, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(losses.LOSSES, "mine", module.mine)
    monkeypatch.setitem(codecs.LEARNED, "grey", module.Grey())
    return module


def test_what_a_reader_added_travels_and_nothing_else(readers: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(losses.LOSSES, "mse", partial(losses.l1))  # another loss under a known name
    monkeypatch.setitem(losses.LOSSES, "known", losses.l1)  # and a known one under another
    data = workers.packed()
    assert set(cloudpickle.loads(data)[1]) == {"grey"} and len(data) < 5000
    monkeypatch.delitem(sys.modules, "readers_own")
    for name in ("mine", "mse", "known"):
        monkeypatch.delitem(losses.LOSSES, name)
    monkeypatch.delitem(codecs.LEARNED, "grey")
    workers.unpack(data)
    assert float(losses.LOSSES["mine"](torch.zeros(1), torch.ones(1))) == 1.5
    assert losses.LOSSES["mse"].func is losses.LOSSES["known"] is losses.l1 and codecs.get("grey").decode(b"3").shape == (
        3,
        32,
        48,
    )


def test_what_cannot_travel_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()
    monkeypatch.setitem(losses.LOSSES, "locked", lambda prediction, target: lock)
    with pytest.raises(ValueError, match="lock.*workers 0"):
        workers.packed()


@pytest.mark.slow
def test_workers_know_what_the_reader_added(readers: types.ModuleType, tmp_path) -> None:
    fitted = {"size": (32, 48), "budget": "quick", "iterations": 20}
    wanted = jobs(["coffee"], ["siren"], [2.0], losses=["mine", "mse"], **fitted) + jobs(["coffee"], ["grey"], [1.0], **fitted)
    rows = sweep(wanted, Results(tmp_path), workers=2, progress=False)
    assert [row["error"] for row in rows] == [None] * 3
    grey = next(row for row in rows if row["codec"] == "grey")
    assert grey["bytes"] == 1 and 5 < grey["psnr"] < 20


@pytest.mark.parametrize("threads", ["", " ", "4,2", "many", "0"])
def test_any_number_of_threads_in_the_environment(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    set_to = []
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    monkeypatch.setattr(distributed, "get_worker", lambda: types.SimpleNamespace(name="0"))
    monkeypatch.setattr(runs, "measure", done)
    assert workers._on_worker(JOBS[0], False, workers.packed()).row["error"] is None
    assert set_to == [4 if threads == "4,2" else 1]


def test_a_scheduler_that_is_silent_is_given_up(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SCHEDULER_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts: the kernel does
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"no Dask scheduler answers at {address} .for 1 s"):
            sweep(JOBS, Results(tmp_path), scheduler=address, progress=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a group")
@pytest.mark.parametrize("count", ["0", "2"])
def test_ctrl_c_ends_a_sweep_in_one_line(count: str, tmp_path) -> None:
    """A terminal sends it to all processes; those finished are rows, and nobody shows a traceback."""
    what = [
        "evaluate",
        "--images",
        "coffee",
        "--size",
        "60x40",
        "--codecs",
        "jpeg,siren",
        "--rates",
        "3",
        "--iterations",
        "50000",
    ]
    command = inr_command(*what, "--workers", count, "-o", tmp_path / "out")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=one_thread(), start_new_session=True, **pipes)
    while not Results(tmp_path / "out").rows():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)  # the fit is under way
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    said = [line for line in errors.splitlines() if line and "%|" not in line]
    assert process.returncode == 130 and said == ["inr: stopped"]
    assert [row["codec"] for row in Results(tmp_path / "out").rows()] == ["jpeg"]


@pytest.mark.slow
def test_an_existing_scheduler_is_used(tmp_path) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        rows = sweep(JOBS, Results(tmp_path), scheduler=cluster.scheduler_address, progress=False)
    assert len(rows) == len(JOBS) and not any(row["error"] for row in rows)
    assert all(Results(tmp_path).data(row) for row in rows)
