"""Sweeps: every run once, whatever happens in between; and curves read at a rate."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tutorial_lib import evaluation, images, metrics
from tutorial_lib.evaluation import Job, Results, at_rate, loss_jobs, measure, sweep

JOBS = [Job("coffee", codec, bpp, (64, 96)) for codec in ("jpeg", "webp") for bpp in (1.0, 2.0)]


def test_a_row_says_what_the_file_gives() -> None:
    row = measure(JOBS[1])
    picture = images.reduce(images.sample("coffee"), size=(64, 96))
    data = evaluation.codecs.get("jpeg").encode(picture, bpp=2.0)
    decoded = evaluation.codecs.get("jpeg").decode(data)
    assert row["bytes"] == len(data) and row["bpp_real"] == 8 * len(data) / (64 * 96) <= 2.0
    assert row["psnr"] == metrics.psnr(decoded, picture) and row["ssim"] == metrics.ssim(decoded, picture)
    assert row["ms_ssim_db"] is None  # too small a picture for it
    assert row["key"] == JOBS[1].key and row["error"] is None
    json.dumps(row, allow_nan=False)


def test_a_learned_run_takes_loss_budget_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    codec = evaluation.codecs.LEARNED["siren"]

    def encode(self, picture, **options):
        seen.update(options)
        return codec.execute(codec.plan(picture, bpp=2.0, budget="quick"), picture, progress=False).data

    monkeypatch.setattr(type(codec), "encode", encode)
    row = measure(Job("coffee", "siren", 2.0, (32, 48), "l1", "quick", 7))
    assert seen == {"bpp": 2.0, "budget": "quick", "seed": 7, "progress": False, "loss": "l1", "iterations": None}
    assert row["loss"] == "l1" and 0 < row["bpp_real"] <= 2.0


def test_a_killed_sweep_goes_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def stop_at_third(job: Job) -> dict:
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(job)
        return {"key": job.key, "error": None}

    monkeypatch.setattr(evaluation, "measure", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        sweep(JOBS, Results(tmp_path), progress=False)
    assert len(Results(tmp_path).rows()) == 2
    monkeypatch.setattr(evaluation, "measure", lambda job: ran.append(job) or {"key": job.key, "error": None})
    rows = sweep([*JOBS, JOBS[0]], Results(tmp_path), progress=False)
    assert ran == JOBS and {row["key"] for row in rows} == {job.key for job in JOBS}


def test_a_torn_line_costs_one_run(tmp_path) -> None:
    results = Results(tmp_path)
    for job in JOBS:
        results.append({"key": job.key, "error": None})
    whole = results.file.read_bytes()
    results.file.write_bytes(whole[:-10])
    assert len(results.rows()) == 3
    results.append({"key": JOBS[3].key, "error": None})
    assert [row["key"] for row in results.rows()] == [job.key for job in JOBS]


def test_failures_are_rows_and_retried_when_asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    impossible = Job("coffee", "nif", 1e-4, (64, 96), None, "quick")
    (row,) = sweep([impossible], Results(tmp_path), progress=False)
    assert "CodecError" in row["error"]
    monkeypatch.setattr(evaluation, "measure", lambda job: {"key": job.key, "error": None})
    assert sweep([impossible], Results(tmp_path), progress=False)[0]["error"]
    assert sweep([impossible], Results(tmp_path), retry=True, progress=False)[0]["error"] is None


def test_rates_are_interpolated_and_never_extrapolated() -> None:
    rates, values = [1.0, 0.25, 4.0], [34.0, 30.0, 40.0]
    assert at_rate(rates, values, 0.5) == pytest.approx(32.0)
    assert at_rate(rates, values, 4.0) == pytest.approx(40.0)
    for outside in (0.2, 4.2):
        with pytest.raises(ValueError, match="outside"):
            at_rate(rates, values, outside)


def test_the_papers_grid_of_runs() -> None:
    jobs = loss_jobs(["coffee", "chelsea"], ["nif", "siren"], [0.5, 1.0, 2.0], budget="quick")
    learned = [job for job in jobs if job.loss]
    assert len(learned) == len(set(learned)) == 2 * 2 * 3 * 5
    assert {job.codec for job in jobs if not job.loss} == {"jpeg", "avif"}


def test_equal_lambda_is_for_latent_grids_alone() -> None:
    jobs = loss_jobs(["coffee"], ["nif", "coolchic-v1"], [1.0], lambdas=[1e-3, 1e-2], budget="quick", iterations=12)
    steered = [job for job in jobs if job.lmbda is not None]
    assert {(job.codec, job.bpp) for job in steered} == {("coolchic-v1", None)} and len(steered) == 2 * 5
    assert "λ = 0.001" in str(steered[0]) and "1 bpp" in str(jobs[0])


def test_the_loss_is_minimised_as_it_is_at_equal_lambda() -> None:
    job = Job("coffee", "coolchic-small", None, (32, 48), "mse", "quick", iterations=150, lmbda=1e-4)
    fine, coarse = (measure(replace(job, lmbda=lmbda)) for lmbda in (1e-5, 1e-2))
    assert fine["bpp"] is None and fine["bpp_real"] > 1.2 * coarse["bpp_real"] and fine["psnr"] > coarse["psnr"]


def test_the_command_runs_a_sweep_and_names_failures(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["losses", "--pictures", "coffee", "--size", "48x32", "--codecs", "nif", "--losses", "l1", "--budget", "quick"]
    evaluation.main([*arguments, "--rates", "3", "0.0001", "-o", str(tmp_path)])
    out = capsys.readouterr().out
    assert "6 runs" in out and "0.0001 bpp" in out
    assert "<img" in (tmp_path / "curves.html").read_text(encoding="utf-8")
    row = next(row for row in Results(tmp_path).rows() if row["codec"] == "nif" and row["bpp"] == 3)
    assert row["bpp_real"] <= 3 and row["psnr"] > 15
