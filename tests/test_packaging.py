"""The three files that describe the environment agree; importing is light."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = [
    Requirement(line.rstrip(" \\")) for line in LOCK.splitlines() if line and line[0] not in " #"
]
PLATFORMS = [
    {"sys_platform": "linux", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_machine": "arm64"},
]
WANTED = [
    Requirement(text)
    for text in PROJECT["dependencies"]
    + PROJECT["optional-dependencies"]["book"]
    + PROJECT["optional-dependencies"]["dev"]
]


def environment(platform, python):
    return {
        **platform,
        "python_version": python,
        "python_full_version": f"{python}.7",
        "platform_system": platform["sys_platform"].capitalize(),
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
        "extra": "",
    }


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12"])
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: "-".join(p.values()))
def test_lock_pins_each_dependency_once_within_its_bounds(platform, python):
    where = environment(platform, python)
    pins = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate(where):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"{name} is pinned twice"
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            pins[name] = specifier.version
    for wanted in WANTED:
        name = canonicalize_name(wanted.name)
        needed = wanted.marker is None or wanted.marker.evaluate(where)
        assert (name in pins) or not needed, f"{name} is missing from the lock"
        if needed:
            assert wanted.specifier.contains(pins[name]), f"{name} {pins[name]} is out of bounds"
    linux_x86 = platform == PLATFORMS[0]
    assert ("tensorflow-quantum" in pins) == linux_x86
    assert "tensorflow" in pins


def test_lock_has_hashes_and_no_address():
    assert not re.search(r"https?://|file://|--(extra-)?index-url|--find-links", LOCK)
    assert LOCK.count("==") >= len(PINS) > 100
    blocks = re.split(r"\n(?=\S)", LOCK.strip())
    assert all("--hash=sha256:" in block for block in blocks)


def test_environment_yml_installs_the_lock_and_leaves_the_rest_to_post_build():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [item["pip"] for item in conda["dependencies"] if isinstance(item, dict)]
    # pip refuses `-e .` beside hashed lines, so the lock stands alone here.
    assert pip == ["-r requirements.lock"]
    (python,) = [d for d in conda["dependencies"] if str(d).startswith("python=")]
    chosen = python.removeprefix("python=")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(chosen)
    post_build = (ROOT / "postBuild").read_text()
    assert "pip install --no-deps --no-build-isolation -e ." in post_build


def test_the_environment_is_the_locked_one():
    here = {canonicalize_name(p.name): p for p in PINS if p.marker is None or p.marker.evaluate()}
    for name in ("tensorflow", "cirq-core", "jupyter-book", "keras", "numpy"):
        (specifier,) = here[name].specifier
        assert Version(version(name)) == Version(specifier.version)


def test_instructor_tools_stay_out_of_the_default_environment():
    assert "nbgrader" not in LOCK
    assert any("nbgrader" in d for d in PROJECT["optional-dependencies"]["instructor"])


def modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(' '.join(sys.modules))"],
        capture_output=True, text=True, check=True,
    )
    return set(done.stdout.split())


def test_importing_qkdlib_imports_nothing_heavy():
    heavy = {"numpy", "cirq", "tensorflow", "keras", "matplotlib", "sklearn", "numba", "sympy"}
    assert not modules_after("import qkdlib") & heavy


@pytest.mark.parametrize("room", ["circuits", "data", "explore", "simulation"])
def test_rooms_before_models_do_not_import_tensorflow(room):
    heavy = {"tensorflow", "keras", "tensorflow_quantum"}
    assert not modules_after(f"import qkdlib.{room}") & heavy


def test_no_room_imports_one_to_its_right():
    order = ["circuits", "simulation", "models", "distillation", "explore"]
    for path in (ROOT / "qkdlib").rglob("*.py"):
        room = path.relative_to(ROOT / "qkdlib").parts[0]
        named = set(re.findall(r"(?:from|import) qkdlib\.(\w+)", path.read_text()))
        if room in order:
            right = set(order[order.index(room) + 1 :])
            assert not named & right, f"{path.name} imports {named & right}"
        if room == "data":
            assert not named & set(order[1:]), f"{path.name} imports {named}"


def test_targets_that_the_readme_names_exist():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = set(re.findall(r"make (\w+)", done.stdout))
    assert {"book", "test", "lab", "check", "help"} <= targets
    assert set(re.findall(r"`make (\w+)", (ROOT / "README.md").read_text())) <= targets
