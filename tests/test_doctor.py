"""The doctor on this machine and on broken ones; the repair of torchvision's import."""

import dataclasses
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from tutorial_lib import doctor
from tutorial_lib.doctor import Check
from tutorial_lib.metrics import LPIPS_WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(code: str, *folders: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh Python that finds what is in ``folders``, then this repository's library."""
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def one(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


# -------------------------------------------------------------------------------------- text


def test_a_check_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Check("Python", "ok", "3.13.0").status = "fail"  # type: ignore[misc]


def test_the_text_has_a_line_for_each_check_and_a_verdict() -> None:
    checks = [
        Check("Python", "ok", "3.13.0"),
        Check("Kodak pictures", "warn", "0 of 24", "fetch them"),
        Check("torch", "fail", "not installed", "pip install torch"),
    ]
    assert doctor.text(checks).splitlines() == [
        "[ OK ] Python: 3.13.0",
        "[WARN] Kodak pictures: 0 of 24 -> fetch them",
        "[FAIL] torch: not installed -> pip install torch",
        "1 of 3 checks failed; start with the first.",
    ]
    assert doctor.text(checks[:1]).splitlines()[-1] == "The course runs."
    verdict = doctor.text(checks[:2]).splitlines()[-1]
    assert verdict == "The course runs. 1 optional thing is missing."


# -------------------------------------------------------------------------------------- this machine


@pytest.fixture(scope="module")
def here() -> list[Check]:
    return doctor.check()


def test_nothing_fails_here(here: list[Check]) -> None:
    assert [check for check in here if check.status == "fail"] == []


def test_each_thing_is_looked_at_once(here: list[Check]) -> None:
    packages = [re.match(r"[a-z0-9-]+", line)[0] for line in PROJECT["dependencies"]]  # type: ignore[index]
    extras = [f"optional packages [{extra}]" for extra in PROJECT["optional-dependencies"]]
    others = ["Python", "course", "torch works", "device", "threads", "entropy coder", "sample pictures"]
    others += ["Kodak pictures", "LPIPS weights", "data folder"]
    assert sorted(check.name for check in here) == sorted(packages + extras + others)


def test_details_are_those_of_this_machine(here: list[Check]) -> None:
    import torch

    assert one(here, "torch").detail == metadata.version("torch")
    assert one(here, "pillow").detail == metadata.version("pillow")
    assert one(here, "threads").detail.startswith(f"torch computes with {torch.get_num_threads()},")
    assert sys.executable in one(here, "Python").detail
    assert "astronaut 512×512" in one(here, "sample pictures").detail


def test_what_is_wrong_has_a_cure(here: list[Check]) -> None:
    assert all(bool(check.cure) == (check.status != "ok") for check in here)


def test_minimum_python_is_that_of_the_package() -> None:
    assert f">={'.'.join(map(str, doctor.MINIMUM_PYTHON))}," in PROJECT["requires-python"]


# -------------------------------------------------------------------------------------- broken machines


@pytest.fixture
def requires(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the course require other packages than it does."""

    def set_requirements(*lines: str) -> None:
        monkeypatch.setattr(doctor.metadata, "requires", lambda name: list(lines))

    return set_requirements


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Put a package of this name and version, with this code, among the installed ones."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, version: str, code: str) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_a_missing_package(requires: Callable[..., None]) -> None:
    requires("inr-test-absent>=2.0,<3")
    check = one(doctor.check(), "inr-test-absent")
    assert (check.status, check.detail) == ("fail", "not installed")
    assert check.cure == f'{sys.executable} -m pip install "inr-test-absent<3,>=2.0"'


@pytest.mark.parametrize(("version", "status"), [("1.9", "fail"), ("2.5", "ok"), ("2.6.0rc1", "ok"), ("3.0", "fail")])
def test_a_version_in_and_out_of_range(
    version: str, status: str, requires: Callable[..., None], installed: Callable[[str, str, str], None]
) -> None:
    installed("inr-test-versions", version, "")
    requires("inr-test-versions>=2.0,<3")
    check = one(doctor.check(), "inr-test-versions")
    assert check.status == status
    assert version in check.detail
    assert ("needs <3,>=2.0" in check.detail) == (status == "fail")


def test_a_broken_package_does_not_stop_the_others(
    requires: Callable[..., None], installed: Callable[[str, str, str], None]
) -> None:
    installed("inr-test-broken", "1.0", "raise OSError('a library it is linked with\\nis not there')")
    requires("inr-test-broken>=1.0", "tqdm>=4")
    checks = doctor.check()
    check = one(checks, "inr-test-broken")
    assert check.status == "fail"
    assert check.detail == "1.0, but its import ends with OSError: a library it is linked with"
    assert "--force-reinstall --no-deps" in check.cure and "inr-test-broken>=1.0" in check.cure
    assert one(checks, "tqdm").status == "ok"
    assert one(checks, "data folder").name == checks[-1].name


def test_a_package_that_lacks_another(requires: Callable[..., None], installed: Callable[[str, str, str], None]) -> None:
    installed("inr-test-needy", "1.0", "import inr_test_absent.deep")
    requires("inr-test-needy", "inr-test-absent>=2")
    cure = one(doctor.check(), "inr-test-needy").cure
    assert cure == f'{sys.executable} -m pip install "inr-test-absent>=2"'


def test_optional_packages(requires: Callable[..., None], installed: Callable[[str, str, str], None]) -> None:
    installed("inr-test-old", "1.0", "raise RuntimeError('optional packages are not imported')")
    requires("inr-test-old>=2; extra == 'dev'", "inr-test-absent; extra == 'lab'")
    checks = doctor.check()
    absent, old = one(checks, "optional packages [lab]"), one(checks, "optional packages [dev]")
    assert (absent.status, absent.detail, absent.cure) == ("ok", "inr-test-absent not installed", "")
    assert (old.status, old.detail) == ("warn", "inr-test-old 1.0, but the course needs >=2")
    assert old.cure.endswith('pip install "inr-test-old>=2"')


def test_the_course_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISTRIBUTION", "inr-test-absent")
    check = one(doctor.check(), "course")
    assert check.status == "fail" and "pip install -e ." in check.cure


@pytest.mark.parametrize(
    "missing",
    [
        "torch",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("numpy", "packaging", "skimage", "PIL")),
    ],
)
def test_a_machine_without(missing: str) -> None:
    """The doctor runs to its end where a package cannot be imported at all, and blames that package."""
    done = run(f"""
        import sys
        sys.modules[{missing!r}] = None  # makes its import raise ModuleNotFoundError
        from tutorial_lib.doctor import check, text
        print(text(check()))
    """)
    assert done.returncode == 0, done.stderr
    failures = [line for line in done.stdout.splitlines() if line.startswith("[FAIL]")]
    assert missing in failures[0]
    assert all(" -> " in line for line in failures)
    assert "[ OK ] Python" in done.stdout
    assert "checks failed; start with the first." in done.stdout.splitlines()[-1]


def test_an_unknown_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INR_DEVICE", "abacus")
    check = one(doctor.check(), "device")
    assert check.status == "fail" and "abacus" in check.detail and "INR_DEVICE" in check.cure


def test_lpips_weights_missing_and_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    check = one(doctor.check(), "LPIPS weights")
    assert check.status == "warn" and check.cure
    assert all(file in check.detail for file in LPIPS_WEIGHTS.values())

    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / LPIPS_WEIGHTS["alex"]).touch()
    check = one(doctor.check(), "LPIPS weights")
    assert check.status == "warn" and LPIPS_WEIGHTS["alex"] not in check.detail

    (checkpoints / LPIPS_WEIGHTS["squeeze"]).touch()
    assert one(doctor.check(), "LPIPS weights").status == "ok"


def test_lpips_weights_are_the_files_that_torchvision_asks_for() -> None:
    done = run("""
        from tutorial_lib.torchvision_repair import import_torchvision
        models = import_torchvision().models
        print(models.AlexNet_Weights.DEFAULT.url, models.SqueezeNet1_1_Weights.DEFAULT.url)
    """)
    assert [url.rsplit("/", 1)[1] for url in done.stdout.split()] == list(LPIPS_WEIGHTS.values())


@pytest.mark.parametrize(("found", "status"), [(0, "warn"), (5, "warn"), (24, "ok")])
def test_kodak(found: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutorial_lib import images

    monkeypatch.setattr(images, "kodak_available", lambda: found)
    check = one(doctor.check(), "Kodak pictures")
    assert check.status == status and check.detail.startswith(f"{found} of 24")


def test_a_data_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    (tmp_path / "file").touch()  # a file where a folder is needed: refused to the superuser as well
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *a, **k: tmp_path / "file" / "tutorial_lib")
    check = one(doctor.check(), "data folder")
    assert check.status == "warn" and str(tmp_path / "file") in check.cure

    monkeypatch.setattr(platformdirs, "user_data_path", lambda *a, **k: tmp_path / "new" / "tutorial_lib")
    assert one(doctor.check(), "data folder").status == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_thread_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    check = one(doctor.check(), "threads")
    assert check.status == "warn" and "OMP_NUM_THREADS" in check.cure
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert one(doctor.check(), "threads").status == "ok"


# -------------------------------------------------------------------------------------- torchvision

FAILS_LIKE_TORCHVISION = """
    import torch
    torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
    repaired = True
"""
"""What torchvision's own import does, and where it ends when its compiled part was not loaded."""


def fake_torchvision(folder: Path, code: str) -> Path:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text("import torchvision.first\n" + textwrap.dedent(code))
    (folder / "torchvision" / "first.py").write_text("print('first imported')")
    return folder


USE = """
    from tutorial_lib import torchvision_repair as repair
    import torch
    module = repair.import_torchvision()
    assert repair.import_torchvision() is module
    print(module.repaired, repair.is_repaired(), hasattr(torch.ops.torchvision, "nms"))
"""


def test_torchvision_is_repaired(tmp_path: Path) -> None:
    fake_torchvision(tmp_path, FAILS_LIKE_TORCHVISION)
    unaided = run("import torchvision", tmp_path)
    assert "RuntimeError: operator torchvision::nms does not exist" in unaided.stderr
    done = run(USE, tmp_path)
    assert done.stdout.splitlines() == ["first imported", "first imported", "True True True"], done.stderr


def test_torchvision_that_works_is_left_alone(tmp_path: Path) -> None:
    done = run(USE, fake_torchvision(tmp_path, "repaired = False"))
    assert done.stdout.splitlines() == ["first imported", "False False False"], done.stderr


@pytest.mark.parametrize("error", ["RuntimeError('no memory')", "ImportError('operator torchvision::nms does not exist')"])
def test_other_failures_of_torchvision_are_not_hidden(error: str, tmp_path: Path) -> None:
    done = run(USE, fake_torchvision(tmp_path, f"raise {error}"))
    assert done.returncode != 0
    assert done.stdout.splitlines() == ["first imported"]
    assert done.stderr.splitlines()[-1] == error.replace("('", ": ").replace("')", "")


def test_lpips_computes_a_gradient_and_does_not_chatter(tmp_path: Path) -> None:
    """With random weights, since the trained ones may not be here: what is tried is the way to them."""
    code = """
        import warnings
        import torch
        from tutorial_lib.torchvision_repair import import_lpips

        lpips = import_lpips()
        torch.manual_seed(0)
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
        x = torch.rand(1, 3, 64, 64, requires_grad=True)
        distance = model(x, torch.rand(1, 3, 64, 64), normalize=True)
        distance.sum().backward()
        assert distance.item() > 0 and x.grad.abs().max() > 0
        warnings.warn("another warning")
    """
    done = run(code, TORCH_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "another warning" in done.stderr
    assert "deprecated" not in done.stderr
