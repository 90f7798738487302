"""Does the course run here? One check for each thing it needs, and for each that is missing, the cure.

`check` looks, `text` spells it out; the command ``inr doctor`` and notebook 00 show what they return. Each check
is made on its own and imports for itself what it looks at: on a machine where torch is missing or broken,
this module still runs and says so.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTION = "inr-compression-course"
"""The course's name for pip; what the course requires is read from its installed metadata."""

MINIMUM_PYTHON = (3, 11)

_MODULES = {"pillow": "PIL", "scikit-image": "skimage"}  # where a package's module has another name
_LABELS = {"ok": "[ OK ]", "warn": "[WARN]", "fail": "[FAIL]"}

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        status: "ok"; "warn" where something is missing that the course runs without; "fail" otherwise.
        detail: what was found.
        cure: what to do about it, one line; empty when there is nothing to do.
    """

    name: str
    status: Status
    detail: str
    cure: str = ""


def check() -> list[Check]:
    """Look at everything the course needs. Raises nothing; takes seconds, for it imports torch and friends.

    Returns:
        The checks, in the order to read them: a cure often helps what stands below it too.
    """
    again = "install the course again, as README shows"
    # name and status where the examination itself breaks down, and the cure that is then worth trying
    examinations: list[tuple[str, Status, str, Callable[[], Iterator[Check]]]] = [
        ("Python", "fail", again, _python),
        ("packages", "fail", _pip("--force-reinstall", "packaging"), _packages),
        ("torch works", "fail", _pip("--force-reinstall", "torch"), _torch_works),
        ("device", "fail", "set the environment variable INR_DEVICE to cpu", _device),
        ("threads", "warn", "unset the environment variable OMP_NUM_THREADS", _threads),
        ("entropy coder", "fail", _pip("--force-reinstall", "--no-deps", "constriction"), _entropy_coder),
        ("sample pictures", "fail", _pip("--force-reinstall", "--no-deps", "scikit-image"), _samples),
        ("Kodak pictures", "warn", again, _kodak),
        ("LPIPS weights", "warn", again, _lpips_weights),
        ("data folder", "warn", again, _data_folder),
    ]
    checks: list[Check] = []
    for name, status, cure, examine in examinations:
        try:
            checks.extend(examine())
        except Exception as error:
            if isinstance(error, ImportError) and any(c.status == "fail" for c in checks):
                cure = "first cure what fails above"
            checks.append(Check(name, status, _reason(error), cure))
    return checks


def text(checks: list[Check]) -> str:
    """The checks in words: a line each, ``[FAIL] name: detail -> cure`` or the like, and a verdict.

    Example:
        >>> torch = Check("torch", "fail", "not installed", "pip install torch")
        >>> print(text([Check("Python", "ok", "3.13.0"), torch]))
        [ OK ] Python: 3.13.0
        [FAIL] torch: not installed -> pip install torch
        1 of 2 checks failed; start with the first.
    """
    lines = [f"{_LABELS[c.status]} {c.name}: {c.detail}{c.cure and f' -> {c.cure}'}" for c in checks]
    failures = sum(c.status == "fail" for c in checks)
    warned = sum(c.status == "warn" for c in checks)
    if failures:
        lines.append(f"{failures} of {len(checks)} checks failed; start with the first.")
    else:
        missing = f" {warned} optional {'thing is' if warned == 1 else 'things are'} missing." if warned else ""
        lines.append(f"The course runs.{missing}")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------ examinations


def _found(name: str, detail: str, cure: str = "", otherwise: Status = "warn") -> Check:
    """A check that is "ok" where there is nothing to cure."""
    return Check(name, otherwise if cure else "ok", detail, cure)


def _python() -> Iterator[Check]:
    bits, cure = 64 if sys.maxsize > 2**32 else 32, ""
    if sys.version_info < MINIMUM_PYTHON:
        cure = f"install Python {'.'.join(map(str, MINIMUM_PYTHON))} or newer, and the course with it"
    elif bits == 32:
        cure = "install a 64-bit Python: there is no torch for 32 bits"
    machine = f"{platform.system()} {platform.machine()}"
    yield _found("Python", f"{platform.python_version()}, {bits} bits, {machine}, {sys.executable}", cure, "fail")


def _packages() -> Iterator[Check]:
    """The course itself, then each package it requires, then its optional groups of packages."""
    from packaging.requirements import Requirement

    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        cure = _pip("-e", ".") + " in the course's folder"
        yield Check("course", "fail", "not installed, so the packages it requires are not known", cure)
        return
    yield Check("course", "ok", f"{DISTRIBUTION} {version}, {Path(__file__).parent}")
    requirements = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    always = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in always:
        yield _package(requirement, {_module(r.name): r for r in requirements})
    for extra in metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []:
        yield _extra(extra, [r for r in requirements if r not in always and r.marker and r.marker.evaluate({"extra": extra})])


def _package(requirement: Requirement, ranges: dict[str, Requirement]) -> Check:
    name = requirement.name
    if problem := _version_problem(requirement):
        return Check(name, "fail", problem, _install(requirement))
    version = metadata.version(name)
    try:
        return Check(name, "ok", version + _import(name))
    except Exception as error:
        cure = _pip("--force-reinstall", "--no-deps", _spell(requirement))
        # what a ModuleNotFoundError misses is the package's own module, or another package's that it needs
        missing = (getattr(error, "name", None) or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing not in ("", _module(name)):
            cure = _install(ranges[missing]) if missing in ranges else _pip(missing)
        return Check(name, "fail", f"{version}, but its import ends with {_reason(error)}", cure)


def _extra(extra: str, members: list[Requirement]) -> Check:
    """Optional packages: none of the course's own code waits for them, so their absence is no fault."""
    problems = {r.name: problem for r in members if (problem := _version_problem(r))}
    said = problems or {r.name: metadata.version(r.name) for r in members}
    detail = ", ".join(f"{package} {what}" for package, what in said.items())
    absent = all(problem == "not installed" for problem in problems.values())
    cure = "" if absent else _pip(*(_spell(r) for r in members if r.name in problems))
    return _found(f"optional packages [{extra}]", detail, cure)


def _torch_works() -> Iterator[Check]:
    import torch

    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (weight @ torch.ones(2, 1)).square().sum().backward()
    expected = torch.tensor([[6.0, 6.0], [14.0, 14.0]])
    if weight.grad is None or not torch.allclose(weight.grad, expected):
        raise RuntimeError(f"a gradient came out as {weight.grad}")
    yield Check("torch works", "ok", "a product and its gradient are right")


def _device() -> Iterator[Check]:
    import torch

    from tutorial_lib.runtime import choose_device

    device = choose_device()
    if float(torch.ones(2, 2, device=device).sum()) != 4:
        raise RuntimeError(f"the device {device} adds wrongly")
    detail, cure = str(device), ""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        detail += f" ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    elif device.type == "cpu" and not os.environ.get("INR_DEVICE") and shutil.which("nvidia-smi"):
        build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU alone"
        detail = f"cpu, though this machine has NVIDIA's driver; torch is built {build}"
        cure = "if it has an NVIDIA GPU: a newer driver, or the build of torch that pytorch.org names for it"
    yield _found("device", detail, cure)


def _threads() -> Iterator[Check]:
    import torch

    threads = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail, cure = f"torch computes with {threads}, this process may use {cores} cores", ""
    if (limit := os.environ.get("OMP_NUM_THREADS")) and threads < cores / 2:
        detail, cure = f"{detail}; OMP_NUM_THREADS is {limit}", "unset the environment variable OMP_NUM_THREADS to use them all"
    yield _found("threads", detail, cure)


def _entropy_coder() -> Iterator[Check]:
    import numpy as np
    from constriction import stream  # pyright: ignore[reportAttributeAccessIssue]  # it comes without types

    symbols = np.array([0, -3, 7, 0, 1, -20], dtype=np.int32)
    model = stream.model.QuantizedLaplace(-32, 32, 0.0, 2.0)
    encoder = stream.queue.RangeEncoder()
    encoder.encode(symbols, model)
    words = encoder.get_compressed()
    decoded = stream.queue.RangeDecoder(words).decode(model, len(symbols))
    if not np.array_equal(decoded, symbols):
        raise RuntimeError(f"{symbols.tolist()} came back as {decoded.tolist()}")
    yield Check("entropy coder", "ok", f"{len(symbols)} symbols came back unchanged from {4 * len(words)} bytes")


def _samples() -> Iterator[Check]:
    from tutorial_lib import images

    sizes = {name: images.sample(name).shape for name in images.SAMPLES}
    yield Check("sample pictures", "ok", ", ".join(f"{name} {width}×{height}" for name, (_, height, width) in sizes.items()))


def _kodak() -> Iterator[Check]:
    from tutorial_lib import images

    found, folder = images.kodak_available(), os.environ.get("INR_DATA_DIR")
    detail = f"{found} of {images.KODAK_COUNT} on this machine" + (f" (INR_DATA_DIR is {folder})" if folder else "")
    cure = "with a network each comes when first used; or name a folder that holds them in INR_DATA_DIR"
    yield _found("Kodak pictures", detail, cure if found < images.KODAK_COUNT else "")


def _lpips_weights() -> Iterator[Check]:
    import torch

    from tutorial_lib.metrics import LPIPS_WEIGHTS, lpips_weights_missing

    folder, missing = Path(torch.hub.get_dir()) / "checkpoints", lpips_weights_missing()
    files = " and ".join(LPIPS_WEIGHTS[network] for network in missing)
    detail = f"{files} not in {folder}, which LPIPS needs" if missing else f"{', '.join(LPIPS_WEIGHTS)} in {folder}"
    cure = "with a network they come when LPIPS is first computed; or copy them into that folder" if missing else ""
    yield _found("LPIPS weights", detail, cure)


def _data_folder() -> Iterator[Check]:
    """Where solved exercises and the reader's own measurements are kept; the trial leaves nothing behind."""
    import platformdirs

    folder = platformdirs.user_data_path("tutorial_lib", appauthor=False)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    detail, cure = str(folder), ""
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"inr")
    except OSError as error:
        detail = f"{folder} cannot be written ({_reason(error)})"
        cure = f"make {existing} a folder you may write to; until then solved exercises are not remembered"
    yield _found("data folder", detail, cure)


# ------------------------------------------------------------------------------------------ helpers


def _version_problem(requirement: Requirement) -> str | None:
    """What is wrong with the installed version of a package, in a few words; None if it lies in the range."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return "not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{version}, but the course needs {requirement.specifier}"
    return None


def _module(name: str) -> str:
    return _MODULES.get(name, name.replace("-", "_"))


def _import(name: str) -> str:
    """Import a package's module as the course does; returns what the reader should know about it."""
    if name not in ("torchvision", "lpips"):
        importlib.import_module(_module(name))
        return ""
    from tutorial_lib import torchvision_repair as repair

    (repair.import_lpips if name == "lpips" else repair.import_torchvision)()
    repaired = name == "torchvision" and repair.is_repaired()
    return " (repaired: its compiled part is not for this torch)" if repaired else ""


def _spell(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def _install(requirement: Requirement) -> str:
    arm = platform.machine().lower() in ("aarch64", "arm64") and platform.system() != "Darwin"
    if requirement.name == "constriction" and arm:
        return "it has no wheels for this processor: use a hosted notebook, or build it from source with Rust"
    return _pip(_spell(requirement))


def _pip(*arguments: str) -> str:
    """The command that installs into this very Python, ready to copy."""
    words = (sys.executable, "-m", "pip", "install", *arguments)
    return " ".join(f'"{word}"' if re.search(r"[\s<>!~*]", word) else word for word in words)


def _reason(error: BaseException) -> str:
    """The first line of an error, with its kind."""
    lines = str(error).strip().splitlines()
    return type(error).__name__ + (f": {lines[0]}" if lines else "")
