"""The challenge: only what a file really holds counts, and the leaderboard can be edited without anybody gaining by it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from tutorial_lib import cli, codecs, images, metrics
from tutorial_lib.coding import bitstream
from tutorial_lib.coding.bitstream import Container
from tutorial_lib.course import challenge, entries, sample_file, store
from tutorial_lib.course.challenge import ChallengeError, board_text, leaderboard, ranking, score

SAMPLES = Path(__file__).resolve().parent.parent / "data" / "samples"
BEST, WORSE = "coffee-coolchic-0.9.inr", "coffee-coin-0.9.inr"


@pytest.fixture(autouse=True)
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "class" / "board.json"
    monkeypatch.setenv(challenge.VARIABLE, str(path))
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.setattr(entries, "sample_owners", dict)  # teams enter samples here, as if they had made them
    return path


def edit(board: Path, team: str, **changes: Any) -> None:
    """Change a team's line of the leaderboard's file."""
    stored = json.loads(board.read_text())
    for row in stored["entries"]:
        if row["team"] == team:
            row.update(changes)
    board.write_text(json.dumps(stored))


def sealed(data: bytes) -> bytes:
    """A file whose last four bytes are the checksum of the others."""
    return data + zlib.crc32(data).to_bytes(4, "little")


def padded(data: bytes, count: int) -> bytes:
    """An intact file of so many bytes more: its last section grows."""
    container = bitstream.read(data)
    *_, last = container.sections
    sections = container.sections | {last: container.sections[last] + bytes(count)}
    return bitstream.write(Container(container.codec, container.height, container.width, sections))


# ------------------------------------------------------------------------------------------------ a file


def test_the_task_is_the_picture_of_the_notebooks() -> None:
    assert torch.equal(challenge.task(), images.reduce(images.sample("coffee"), factor=4))
    assert tuple(challenge.task().shape[1:]) == challenge.SIZE
    assert f"coffee {challenge.SIZE[1]}x{challenge.SIZE[0]}" == challenge.PICTURE


def test_a_score_is_what_the_decoded_picture_is_worth(board: Path, tmp_path: Path) -> None:
    data = sample_file(BEST)
    entry = score(data)
    picture = codecs.decode(data).cpu()
    assert entry.psnr == metrics.psnr(picture, challenge.task())
    assert entry.ssim == metrics.ssim(picture, challenge.task())
    assert entry.ms_ssim is None  # its windows don't fit into 100 pixels
    assert (entry.codec, entry.bytes, entry.sha256) == ("coolchic-small", len(data), hashlib.sha256(data).hexdigest())
    assert entry.team == "" and not board.exists()
    (tmp_path / "mine.inr").write_bytes(data)
    assert score(tmp_path / "mine.inr") == entry


@pytest.mark.parametrize(
    ("format_", "kind"), [("JPEG", "a JPEG file"), ("PNG", "a PNG file"), ("WEBP", "a WebP file"), ("AVIF", "an AVIF file")]
)
def test_a_renamed_picture_is_called_by_its_name(tmp_path: Path, format_: str, kind: str) -> None:
    from PIL import Image

    path = tmp_path / "mine.inr"
    Image.fromarray(images.to_uint8(challenge.task())).save(path, format=format_)
    with pytest.raises(ChallengeError, match=f"this is {kind}, not an .inr file"):
        score(path)
    with pytest.raises(ChallengeError, match=f"this is {kind}, not an .inr file"):
        score(path.read_bytes())


def test_one_byte_too_many_is_refused_and_the_last_one_that_fits_is_not_too_long(tmp_path: Path) -> None:
    data = sample_file(BEST)
    path = tmp_path / "mine.inr"
    path.write_bytes(padded(data, challenge.LIMIT + 1 - len(data)))
    assert path.stat().st_size == challenge.LIMIT + 1
    with pytest.raises(ChallengeError, match="1,701 bytes, 1 more than the limit of 1,700"):
        score(path)
    fits = padded(data, challenge.LIMIT - len(data))
    assert len(fits) == challenge.LIMIT
    with pytest.raises(ChallengeError) as caught:  # zeros that no encoder wrote: damaged, but no longer too long
        score(fits)
    assert "limit" not in str(caught.value)


def test_a_picture_of_another_size_is_refused() -> None:
    container = bitstream.read(sample_file(WORSE))
    turned = bitstream.write(Container(container.codec, container.width, container.height, container.sections))
    with pytest.raises(ChallengeError, match="has 100×150 pixels; the challenge is coffee 150x100"):
        score(turned)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-1], "damaged or cut off"),
        (lambda data: data[:40], "damaged or cut off"),
        (lambda data: data[:4], "ends early"),
        (lambda data: b"", "empty"),
        (lambda data: data[:700] + bytes([data[700] ^ 1]) + data[701:], "damaged"),
        (lambda data: sealed(data[:-40]), "ends early"),
        (lambda data: sealed(data[:4] + b"\x63" + data[5:-4]), "codec number 99"),
        (lambda data: b"INK" + data[3:], "not an .inr file"),
        (lambda data: b"text" * 1000, "not an .inr file"),
    ],
)
def test_a_damaged_file_is_refused_with_a_reason(tmp_path: Path, damage: Any, words: str) -> None:
    path = tmp_path / "mine.inr"
    path.write_bytes(damage(sample_file(WORSE)))
    with pytest.raises(ChallengeError, match=words):
        score(path, "we")
    assert leaderboard() == []


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChallengeError, match=f"there is no file {re.escape(str(tmp_path))}.absent.inr"):
        score("absent.inr")  # a path is meant from somewhere: the message says from where
    with pytest.raises(ChallengeError, match="can't be read"):
        score(tmp_path)


@pytest.mark.parametrize("name", [" ", "x" * 41, "a\x1b[2J"])
def test_a_team_has_a_name_that_can_be_printed(name: str) -> None:
    with pytest.raises(ChallengeError, match="a team's name"):
        score(sample_file(WORSE), name)
    assert leaderboard() == []


# ------------------------------------------------------------------------------------------------ the leaderboard


def test_the_best_file_leads_and_each_team_is_ranked_once(board: Path) -> None:
    score(sample_file(WORSE), "Owls")
    score(sample_file(BEST), "Foxes")
    score(sample_file("coffee-coolchic-0.5.inr"), "Foxes")
    again = score(sample_file(WORSE), "  Owls ")
    entries = leaderboard()
    assert [entry.team for entry in entries] == ["Foxes", "Owls", "Foxes"]
    assert again in entries
    assert [(entry.team, entry.codec) for entry in ranking(entries)] == [("Foxes", "coolchic-small"), ("Owls", "coin")]
    assert len(json.loads(board.read_text())["entries"]) == 3
    assert len(list(board.parent.rglob("*.inr"))) == 3
    assert len({row["pixels"] for row in json.loads(board.read_text())["entries"]}) == 3
    assert leaderboard(verify=False) == entries


def test_without_the_variable_it_lies_beside_the_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(challenge.VARIABLE)
    score(sample_file(WORSE), "Owls")
    assert {path.name for path in tmp_path.iterdir()} == {"leaderboard.json", "leaderboard-files"}


def test_a_copy_counts_for_whoever_was_first(board: Path) -> None:
    score(sample_file(WORSE), "Owls")
    copy = score(sample_file(WORSE), "Thieves")
    assert copy.copy_of == "Owls" and not copy.counts
    assert [(entry.team, entry.counts) for entry in ranking(leaderboard())] == [("Owls", True), ("Thieves", False)]
    assert "the picture of Owls, pixel for pixel" in board_text(leaderboard())


def rearranged(data: bytes) -> list[bytes]:
    """The same picture in other bytes: as a file of version 0, whose sections may also stand in another order."""
    container = bitstream.read(data)
    (first, a), (second, b), (third, c) = container.sections.items()
    swapped = [(first, a), (third, c), (second, b)]
    table = b"".join(bytes([bitstream.SECTION_KINDS[name]]) + bitstream.varint(len(body)) for name, body in swapped)
    head = b"INR\0" + bytes([container.codec]) + bitstream.varint(container.height) + bitstream.varint(container.width)
    return [sealed(b"INR\0" + data[4:-4]), sealed(head + b"\3" + table + b"".join(body for _, body in swapped))]


@pytest.mark.parametrize("which", [0, 1])
def test_the_same_picture_in_other_bytes_counts_for_whoever_was_first(board: Path, which: int) -> None:
    score(sample_file(WORSE), "Owls")
    copy = score(rearranged(sample_file(WORSE))[which], "Thieves")
    assert copy.copy_of == "Owls" and copy.psnr == leaderboard()[0].psnr
    assert score(rearranged(sample_file(WORSE))[1 - which], "More Thieves").copy_of == "Owls"
    edit(board, "Thieves", pixels="0" * 64)  # what is written there is found out anew
    assert [(entry.team, entry.copy_of) for entry in leaderboard()] == [
        ("Owls", ""),
        ("Thieves", "Owls"),
        ("More Thieves", "Owls"),
    ]


def test_a_leaderboard_from_before_pixels_were_noted_is_read(board: Path) -> None:
    score(sample_file(WORSE), "Owls")
    stored = json.loads(board.read_text())
    del stored["entries"][0]["pixels"]
    board.write_text(json.dumps(stored))
    assert leaderboard(verify=False)[0].pixels == ""
    score(rearranged(sample_file(WORSE))[0], "Thieves")
    assert [(entry.team, entry.copy_of) for entry in leaderboard()] == [("Owls", ""), ("Thieves", "Owls")]


def test_samples_are_nobody_s_own_even_before_they_are_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    owners = entries.sample_owners()
    small = [path for path in SAMPLES.glob("coffee-*.inr") if path.stat().st_size <= challenge.LIMIT]
    assert len(owners) == len(small) == 5
    assert set(entries.SAMPLES) < set(owners.values())


def test_a_sample_entered_as_one_s_own_counts_for_the_sample(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = {entries.measured(sample_file(BEST)).pixels: "sample file, COOL-CHIC"}
    monkeypatch.setattr(entries, "sample_owners", lambda: owner)
    assert score(sample_file(BEST), "Thieves").copy_of == "sample file, COOL-CHIC"
    assert score(rearranged(sample_file(BEST))[0], "Thieves").copy_of == "sample file, COOL-CHIC"
    assert score(sample_file(BEST), "sample file, COOL-CHIC").counts
    assert [entry.team for entry in leaderboard() if entry.counts] == ["sample file, COOL-CHIC"]


ENTER = """
import sys
from pathlib import Path
from tutorial_lib.course.challenge import score
print("ready", flush=True)
sys.stdin.readline()  # all at once
score(Path(sys.argv[1]).read_bytes(), sys.argv[2])
"""


def test_six_teams_enter_at_once(board: Path) -> None:
    files = sorted(path for path in SAMPLES.glob("coffee-*.inr") if path.stat().st_size <= challenge.LIMIT)[:5]
    teams = {f"team {index}": files[index % len(files)] for index in range(6)}
    run = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", ENTER, str(file), team], **run) for team, file in teams.items()]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
    assert sorted(row["team"] for row in json.loads(board.read_text())["entries"]) == sorted(teams)
    assert not list(board.parent.rglob("*.tmp")) and len(leaderboard()) == 6


def test_who_waits_too_long_is_told(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    score(sample_file(BEST), "Foxes")
    monkeypatch.setattr(challenge, "PATIENCE", 0.1)
    with FileLock(challenge.file_of("x").with_name("lock")):
        with pytest.raises(ChallengeError, match=r"28\.82 dB, but it can't be entered.*lock"):
            score(sample_file(WORSE), "Owls")
        assert [entry.team for entry in leaderboard()] == ["Foxes"]  # to look is always possible
    assert score(sample_file(WORSE), "Owls").counts


def test_the_second_prize_goes_by_another_judge(board: Path) -> None:
    assert challenge.second_prize([]) is None
    score(sample_file(BEST), "Foxes")
    score(sample_file(WORSE), "Owls")
    best = max(leaderboard(), key=lambda entry: entry.ssimulacra2)
    assert challenge.second_prize(leaderboard()) == best
    assert f"SSIMULACRA 2, would go to {best.team}" in board_text(leaderboard())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"psnr": 45.0}, "says 45.00 dB, the file 28.82 dB"),
        ({"psnr": float("nan")}, "says n/a dB, the file 28.82 dB"),
        ({"psnr": float("inf")}, "says n/a dB, the file 28.82 dB"),
        ({"psnr": None}, "says n/a dB, the file 28.82 dB"),
        ({"bytes": 900}, "says 900 bytes of coin, the file is 1,655"),
        ({"codec": "magic"}, "bytes of magic"),
        ({"sha256": "0" * 64}, "file is missing"),
    ],
)
def test_an_edited_number_shows(board: Path, changes: dict[str, Any], words: str) -> None:
    score(sample_file(WORSE), "Cheats")
    score(sample_file(BEST), "Foxes")
    edit(board, "Cheats", **changes)
    first, last = leaderboard()
    assert first.team == "Foxes" and first.counts
    assert last.team == "Cheats" and not last.counts and last.psnr is None
    assert words in last.problem and words in board_text(leaderboard())


def test_edited_opinions_are_replaced_by_measured_ones(board: Path) -> None:
    honest = score(sample_file(WORSE), "Owls")
    edit(board, "Owls", ssim=0.99, ssimulacra2=99.0)
    assert leaderboard() == [honest]
    assert leaderboard(verify=False)[0].ssim == 0.99


def test_a_replaced_file_shows_and_entering_again_mends_it(board: Path) -> None:
    entry = score(sample_file(WORSE), "Owls")
    challenge.file_of(entry.sha256).write_bytes(sample_file(BEST))
    assert "not the one that was entered" in leaderboard()[0].problem
    challenge.file_of(entry.sha256).unlink()
    assert "missing" in leaderboard()[0].problem
    edit(board, "Owls", psnr=99.0)
    assert score(sample_file(WORSE), "Owls") == entry
    assert leaderboard() == [entry]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"entries": 3}', '{"entries": [{}]}', '{"entries": [{"team": "x", "sha256": "../../etc"}]}', "\udcff"],
)
def test_a_broken_leaderboard_is_said_and_never_overwritten(board: Path, text: str) -> None:
    board.parent.mkdir()
    before = text.encode("utf-8", "surrogateescape")
    board.write_bytes(before)
    for action in (leaderboard, lambda: score(sample_file(WORSE), "Owls")):
        with pytest.raises(ChallengeError, match=r"board\.json"):
            action()
    assert board.read_bytes() == before


def test_a_folder_that_can_t_be_written_to_is_said_with_the_score(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv(challenge.VARIABLE, str(tmp_path / "occupied" / "board.json"))
    with pytest.raises(ChallengeError, match=r"28\.82 dB, but it can't be entered.*INR_LEADERBOARD_FILE"):
        score(sample_file(WORSE), "Owls")
    assert leaderboard() == []


# ------------------------------------------------------------------------------------------------ the command


def inr(*arguments: str) -> int:
    """The exit status of `inr challenge …`."""
    return cli.main(["challenge", *arguments])


def test_the_task_says_what_to_do_and_writes_the_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert inr("task", "-o", str(tmp_path / "coffee.png")) == 0
    said = capsys.readouterr().out
    assert "1,700 bytes" in said and "150×100" in said and f"inr encode {tmp_path / 'coffee.png'}" in said
    assert torch.equal(images.load(tmp_path / "coffee.png"), images.quantize_8bit(challenge.task()))
    assert inr("task", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["limit"]) == (150, 100, 1700)


def test_score_and_board_in_words_and_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in (BEST, WORSE):
        (tmp_path / name).write_bytes(sample_file(name))
    assert inr("board") == 0 and "No file has been entered yet" in capsys.readouterr().out
    assert inr("score", str(tmp_path / WORSE)) == 0
    said = capsys.readouterr().out
    assert "28.82 dB, 1,655 of 1,700 bytes, coin" in said and "MS-SSIM n/a" in said and "place" not in said
    assert inr("score", str(tmp_path / BEST), "--team", "Foxes") == 0
    assert "Foxes is on place 1 of 1." in capsys.readouterr().out
    assert inr("score", str(tmp_path / WORSE), "--team", "Owls") == 0
    assert "Owls is on place 2 of 2." in capsys.readouterr().out
    assert inr("score", str(tmp_path / WORSE), "--team", "Thieves", "--json") == 0
    assert json.loads(capsys.readouterr().out)["copy_of"] == "Owls"
    assert inr("score", str(tmp_path / WORSE), "--team", "Thieves") == 0
    assert "it counts for them" in capsys.readouterr().out
    assert inr("board") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [["1", "Foxes"], ["2", "Owls"], ["–", "Thieves"]]
    assert lines[-1].startswith("The second prize")
    assert inr("board", "--json") == 0
    assert [row["team"] for row in json.loads(capsys.readouterr().out)] == ["Foxes", "Owls", "Thieves"]


def test_json_has_no_infinity(
    board: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(metrics, "ssimulacra2", lambda *_: float("nan"))
    (tmp_path / WORSE).write_bytes(sample_file(WORSE))
    assert inr("score", str(tmp_path / WORSE), "--json") == 0
    assert json.loads(capsys.readouterr().out, parse_constant=no_constant)["ssimulacra2"] is None
    score(sample_file(WORSE), "Owls")
    assert json.loads(board.read_text(), parse_constant=no_constant)["entries"][0]["ssimulacra2"] is None
