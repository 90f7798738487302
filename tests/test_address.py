"""The repository's address is one setting, and the ways to start with one click follow from it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tutorial_lib import cli
from tutorial_lib.course import address, builder

ROOT = Path(__file__).resolve().parent.parent
NAME = "inr-compression-course"
SETTING = "pyproject.toml"
WRITTEN = {"CITATION.cff", address.PAGE}


def others(root: Path) -> dict[str, set[str]]:
    """Addresses of this repository, or placeholders for one, that stand in files which are not written from the setting."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True).stdout
    if not listed:
        pytest.skip("not a git checkout")
    found = {}
    for name in listed.splitlines():
        if (
            Path(name).suffix in (".py", ".md", ".toml", ".yml", ".yaml", ".json", ".cff", ".jinja", ".js", "")
            and (ROOT / name).is_file()
        ):
            text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
            if standing := set(re.findall(rf"[\w.-]+/[\w.-]+/{NAME}\b|your-name|YOUR_NAME", text)):
                found[name] = standing
    return found


def test_the_address_stands_in_one_place() -> None:
    """This file and what the builder writes aside; notebooks' set-up cells are compared with their sources elsewhere."""
    place = address.repository().partition("://")[2]
    assert place.endswith(NAME)
    found = others(ROOT)
    assert set(found) - WRITTEN - {"tests/test_address.py"} == {SETTING}
    text = (ROOT / SETTING).read_text(encoding="utf-8")
    assert text.count(place) == 1


def test_what_repeats_the_address_is_written_from_it(tmp_path: Path) -> None:
    for name in (SETTING, *WRITTEN):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert address.written(ROOT, names := [builder.name_of(each) for each in builder.sources(ROOT)]) == {
        ROOT / name: (ROOT / name).read_text(encoding="utf-8") for name in WRITTEN
    }
    old, new = address.repository(tmp_path), f"https://github.com/ada/{NAME}"
    setting = tmp_path / SETTING
    setting.write_text(setting.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    for path, text in address.written(tmp_path, names).items():
        assert "your-name" not in text and f"ada/{NAME}" in text, path
        citation = yaml.safe_load(text) if path.suffix == ".cff" else {"repository-code": new}
        assert citation["repository-code"] == new
    assert f"https://github.com/ada/{NAME}/blob/main/docs" == address.file("docs", tmp_path)


def test_the_page_opens_every_notebook() -> None:
    text = (ROOT / address.PAGE).read_text(encoding="utf-8")
    for source in builder.sources(ROOT):
        assert all(place in text for place in address.openers(builder.name_of(source)).values())


def test_the_container_makes_the_environment_of_the_makefile() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert container["postCreateCommand"] == "make install"
    version = container["image"].partition(":")[2]
    assert f"python{version}" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


def test_binder_finds_what_it_looks_for() -> None:
    """repo2docker takes the environment.yml at the root if no folder binder is there, and copies all first for "-e ."."""
    assert not any((ROOT / name).exists() for name in ("binder", ".binder", "Dockerfile", "requirements.txt", "Pipfile"))
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert "-e ." in environment["dependencies"][-1]["pip"]
    assert any(line.startswith("jupyterlab") for line in environment["dependencies"] if isinstance(line, str))


def test_the_notebooks_are_copied_and_never_over_a_readers_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["notebooks", "mine"]) == 0
    said = capsys.readouterr().out
    copied = {path.name: path.read_bytes() for path in Path("mine").iterdir()}
    assert copied == {path.name: path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert f"{len(copied)} notebooks" in said and "jupyter lab mine" in said and min(copied) in said
    assert cli.main(["notebooks", "mine"]) == 0  # again: nothing to lose
    capsys.readouterr()
    worked = Path("mine") / max(copied)
    worked.write_bytes(copied[worked.name] + b" ")
    Path("mine", min(copied)).unlink()
    assert cli.main(["notebooks", "mine"]) == 2
    assert f"{worked} is there already and has changed" in capsys.readouterr().err
    assert worked.read_bytes() == copied[worked.name] + b" " and not Path("mine", min(copied)).exists()
    assert cli.main(["notebooks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == "inr-notebooks"


def test_an_installed_package_knows_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Metadata:
        def get_all(self, _: str) -> list[str]:
            return ["Homepage, https://example.org", "Repository, https://github.com/ada/course"]

    monkeypatch.setattr(address.metadata, "metadata", lambda _: Metadata())
    assert address.repository(tmp_path) == "https://github.com/ada/course"
