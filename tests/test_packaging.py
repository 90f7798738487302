"""The three lists of packages (pyproject.toml, requirements.lock, environment.yml) say the same."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")

REQUIRED_EXTRAS = ("lab", "dev", "site")  # an extra not named here is optional: neither pinned nor in environment.yml
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}

# The platforms and Pythons that README promises, as environment markers see them.
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
)
TARGETS = [
    {**system, "python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for system in SYSTEMS
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def ranges_of_pyproject(text: str) -> dict[str, SpecifierSet]:
    project = tomllib.loads(text)["project"]
    lines = list(project["dependencies"])
    for extra in REQUIRED_EXTRAS:
        lines += project["optional-dependencies"][extra]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): r.specifier for r in requirements}


def pins_of_lock(text: str) -> dict[str, Requirement]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def version_of(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    return specifier.version


def ranges_of_environment(text: str) -> dict[str, SpecifierSet]:
    found = {}
    for entry in yaml.safe_load(text)["dependencies"]:
        for line in entry["pip"] if isinstance(entry, dict) else [entry]:
            if line == "-e .":
                continue
            requirement = Requirement(re.sub(r"^python =(?=\d)", "python ==", line))
            name = CONDA_NAMES.get(requirement.name, requirement.name)
            found[canonicalize_name(name)] = requirement.specifier
    return found


def applies(requirement: Requirement, target: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(target)


def lock_problems(pyproject: str, lock: str) -> list[str]:
    """What keeps the lock file from being an installation of pyproject.toml, on any promised platform."""
    pins = pins_of_lock(lock)
    problems = []
    for name, pin in pins.items():
        if not re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)):
            problems.append(f"{name} is not pinned exactly: {pin.specifier}")
    for name, specifier in ranges_of_pyproject(pyproject).items():
        if name not in pins:
            problems.append(f"{name} is not in the lock file")
        elif not specifier.contains(version_of(pins[name])):
            problems.append(f"{name} is pinned to {version_of(pins[name])}, outside {specifier}")
        elif pins[name].marker is not None:
            problems.append(f"{name} is only pinned where {pins[name].marker}")
    return problems


def environment_problems(pyproject: str, environment: str) -> list[str]:
    """Where the conda environment names other packages or other ranges than pyproject.toml."""
    wanted = ranges_of_pyproject(pyproject)
    found = ranges_of_environment(environment)
    (python,), possible = found.pop("python"), SpecifierSet(tomllib.loads(pyproject)["project"]["requires-python"])
    problems = (
        [] if python.operator == "==" and possible.contains(python.version) else [f"python is {python}, not one of {possible}"]
    )
    problems += [f"{name} is not in the environment" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"{name} is not in pyproject" for name in sorted(found.keys() - wanted.keys() - {"pip"})]
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name] != found[name]:
            problems.append(f"{name} has the range {found[name]}, in pyproject it is {wanted[name]}")
    return problems


def incomplete(lock: str) -> list[str]:
    """Packages that a pinned package requires on a promised platform, and that the lock file does not give.

    Read from the metadata of the installed packages, where their version is the pinned one. torch is left
    out: on Linux its CUDA build pins packages of its own, which its CPU build does not have.
    """
    pins = pins_of_lock(lock)
    problems = set()
    for name, pin in pins.items():
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name == "torch" or distribution.version != version_of(pin):
            continue
        for requirement in map(Requirement, distribution.requires or []):
            needed = canonicalize_name(requirement.name)
            for target in TARGETS:
                if not (applies(pin, target) and applies(requirement, target)):
                    continue
                where = f"on {target['sys_platform']} with Python {target['python_version']}"
                if needed not in pins or not applies(pins[needed], target):
                    problems.add(f"{name} requires {needed} {where}, which is not pinned")
                elif not requirement.specifier.contains(version_of(pins[needed]), prereleases=True):
                    problems.add(f"{name} requires {requirement}, pinned is {version_of(pins[needed])}")
    return sorted(problems)


def replaced(text: str, old: str, new: str) -> str:
    """``text`` with ``old`` replaced, which must be there: an alarm is not to be tested with nothing."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
    return text.replace(old, new)


def test_lock_is_an_installation_of_pyproject() -> None:
    assert lock_problems(PYPROJECT, LOCK) == []


def test_lock_names_every_package_that_a_package_in_it_requires() -> None:
    assert incomplete(LOCK) == []


def test_environment_is_pyproject_for_conda() -> None:
    assert environment_problems(PYPROJECT, ENVIRONMENT) == []


def test_environment_installs_the_course_last() -> None:
    entry = yaml.safe_load(ENVIRONMENT)["dependencies"][-1]
    assert entry["pip"][-1] == "-e ."
    assert yaml.safe_load(ENVIRONMENT)["channels"] == ["conda-forge"]


def test_torch_is_pinned_without_a_build() -> None:
    assert str(pins_of_lock(LOCK)["torch"].specifier) == "==2.13.0"


@pytest.mark.parametrize("text", [LOCK, ENVIRONMENT], ids=["lock", "environment"])
def test_no_list_chooses_an_index(text: str) -> None:
    assert not re.search(r"https?://|file:|--(extra-)?index-url|--find-links|^-[fi]\b", text, re.MULTILINE)


def test_data_of_the_package_is_in_the_wheel() -> None:
    """The build takes everything under the package's folder that git does not ignore."""
    project = tomllib.loads(PYPROJECT)
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["tutorial_lib"]
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    tracked = {path.name for path in (ROOT / "data").iterdir() if path.name[0] != "."} - {"downloads"}
    notebooks = {"notebooks": "tutorial_lib/data/notebooks"}  # which `inr notebooks` copies
    assert included == {f"data/{name}": f"tutorial_lib/data/{name}" for name in tracked} | notebooks
    folder = ROOT / "tutorial_lib" / "networks" / "initializations"
    names = {path.name for path in folder.iterdir()}
    assert {f"{Path(name).stem}.toml" for name in names} == {name for name in names if name.endswith(".toml")} and len(names) >= 2
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()]
    assert not {"f16", "toml", "initializations", "*.f16", "*.toml"} & set(ignored)


def test_copyleft_packages_are_optional() -> None:
    """pillow-heif's wheels hold x265, which is under the GPL."""
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    assert [Requirement(line).name for line in extras["heic"]] == ["pillow-heif"] and "heic" not in REQUIRED_EXTRAS
    for listed in (ranges_of_pyproject(PYPROJECT), pins_of_lock(LOCK), ranges_of_environment(ENVIRONMENT)):
        assert "pillow-heif" not in listed


def test_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == tomllib.loads(PYPROJECT)["project"]["version"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("numpy==2.4.6\n", "", "numpy is not in the lock file"),
        ("numpy==2.4.6", "numpy==1.20.0", "numpy is pinned to 1.20.0, outside >=1.26"),
        ("constriction==0.5.0", "constriction==0.6.0", "constriction is pinned to 0.6.0, outside <0.6,>=0.5"),
        ("nbval==0.11.0\n", "", "nbval is not in the lock file"),
        ("jupyterlab==4.6.6", "jupyterlab>=4.6.6", "jupyterlab is not pinned exactly: >=4.6.6"),
        ("torch==2.13.0", "torch==2.13.0+cpu", "torch is not pinned exactly: ==2.13.0+cpu"),
        ("pillow==13.0.0", 'pillow==13.0.0 ; os_name == "nt"', 'pillow is only pinned where os_name == "nt"'),
    ],
)
def test_alarm_rings_for_a_wrong_lock(old: str, new: str, problem: str) -> None:
    doctored = replaced(LOCK, f"\n{old}", f"\n{new}")
    assert problem in lock_problems(PYPROJECT, doctored)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("requests==2.34.2\n", "", "pooch requires requests on linux with Python 3.11, which is not pinned"),
        ("\nurllib3==2.8.0", "\nurllib3==1.0", "requests requires urllib3"),
        ('overrides==7.7.0 ; python_version < "3.12"\n', "", "jupyter-server requires overrides on linux"),
        ('colorama==0.4.6 ; sys_platform == "win32"\n', "", "tqdm requires colorama on win32"),
        ('appnope==1.0.0 ; sys_platform == "darwin"\n', "", "ipykernel requires appnope on darwin"),
        ('pywinpty==3.1.2 ; os_name == "nt"\n', "", "terminado requires pywinpty on win32"),
        ('pexpect==4.9.0 ; sys_platform != "win32"', 'pexpect==4.9.0 ; sys_platform == "win32"', "on darwin"),
    ],
)
def test_alarm_rings_for_an_incomplete_lock(old: str, new: str, problem: str) -> None:
    parent = re.match(r"([a-z-]+) requires", problem)
    if parent and metadata.version(parent[1]) != version_of(pins_of_lock(LOCK)[parent[1]]):
        pytest.skip(f"{parent[1]} is installed in another version than the pinned one")
    assert any(problem in found for found in incomplete(replaced(LOCK, old, new)))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  - numpy >=1.26\n", "", "numpy is not in the environment"),
        ("pytorch >=2.4", "pytorch >=2.5", "torch has the range >=2.5, in pyproject it is >=2.4"),
        ("      - lpips>=0.1.4,<0.2\n", "", "lpips is not in the environment"),
        ("  - ruff >=0.12\n", "  - ruff >=0.12\n  - pandas\n", "pandas is not in pyproject"),
        ("python =3.13", "python =3.10", "python is ==3.10, not one of <3.15,>=3.11"),
    ],
)
def test_alarm_rings_for_a_wrong_environment(old: str, new: str, problem: str) -> None:
    problems = environment_problems(PYPROJECT, replaced(ENVIRONMENT, old, new))
    assert any(found.startswith(problem) for found in problems)


def test_alarm_rings_for_a_new_dependency() -> None:
    doctored = replaced(PYPROJECT, '    "tqdm>=4.66",\n', '    "tqdm>=4.66",\n    "pandas>=2",\n')
    assert "pandas is not in the lock file" in lock_problems(doctored, LOCK)
    assert "pandas is not in the environment" in environment_problems(doctored, ENVIRONMENT)
