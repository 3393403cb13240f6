"""The three files that describe the environment agree; importing is light."""

import ast
import graphlib
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

import qkdlib.engine

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


@pytest.mark.parametrize("room", ["core", "data", "engine", "explore", "measures"])
def test_rooms_before_models_do_not_import_tensorflow(room):
    heavy = {"tensorflow", "keras", "tensorflow_quantum"}
    code = f"import qkdlib.{room} as room; [getattr(room, name) for name in dir(room)]"
    assert not modules_after(code) & heavy


@pytest.mark.parametrize("room", ["engine", "measures"])
def test_the_doors_of_engine_and_measures_are_light(room):
    heavy = {"numba", "cirq", "scipy", "sklearn", "matplotlib", "tensorflow"}
    assert not modules_after(f"import qkdlib.{room}; dir(qkdlib.{room})") & heavy


def test_a_name_of_measures_is_what_it_says_in_whatever_order_modules_were_imported():
    code = (
        "import pkgutil, importlib, qkdlib.measures as m; "
        "files = [f'qkdlib.measures.{i.name}' for i in pkgutil.iter_modules(m.__path__)]; "
        "[importlib.import_module(file) for file in files]; "
        "assert all(callable(getattr(m, name)) for name in m.__all__)"
    )
    modules_after(code)


# --- The flow between rooms -----------------------------------------------------------------------

# What a room may import, beside itself and the tools below.
ROOMS = {
    "engine": set(),
    "data": set(),
    "core": {"engine"},
    "measures": {"engine", "core"},
    "models": {"engine", "core", "measures"},
    "explore": {"engine", "core", "measures", "models", "data"},
    "book": {"engine", "core", "measures", "models", "data", "explore"},
}
# Files of their own beside the rooms; they import each other only, without circles.
TOOLS = {
    "_checks", "_tensorflow", "amplitude", "parallel", "progress", "results", "statistics", "style",
}  # fmt: skip
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "qkdlib").rglob("*.py")
}


def room_of(module):
    """The second part of a module's name; "qkdlib" for the package itself."""
    return [*module.split("."), "qkdlib"][1] if "." in module else "qkdlib"


def imports(module):
    """Pairs (module, name or None) that a module imports from qkdlib, anywhere in its text."""
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name in SOURCES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            for alias in node.names if node.module.split(".")[0] == "qkdlib" else ():
                whole = f"{node.module}.{alias.name}"
                yield (whole, None) if whole in SOURCES else (node.module, alias.name)


def test_every_module_belongs_to_a_room_or_is_a_tool():
    assert {room_of(module) for module in SOURCES} == {*ROOMS, *TOOLS, "qkdlib"}


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_no_module_imports_against_the_flow(module):
    room = room_of(module)
    allowed = {room, "qkdlib", *(TOOLS if room in ROOMS or room in TOOLS else ()), *ROOMS.get(room, ())}
    if room not in ("models", "_tensorflow"):
        allowed -= {"_tensorflow"}  # the gate of TensorFlow is the models'
    for other, name in imports(module):
        named = f"{module} imports {other}{f'.{name}' if name else ''}"
        assert room_of(other) in allowed, f"{named}, against the flow"
        if room_of(other) == room or room_of(other) in TOOLS:
            continue
        parts = [*other.split(".")[1:], name or ""]
        assert not any(re.match("_(?!_)", part) for part in parts), f"{named}, which is private there"
        if room_of(other) == "engine":
            offered = name if other == "qkdlib.engine" else other.removeprefix("qkdlib.engine.")
            assert offered in qkdlib.engine.__all__, f"{named}, which the engine does not offer"


def test_no_import_circle():
    graph = {
        module: {other for other, name in imports(module) if other != "qkdlib" and other != module}
        for module in SOURCES
    }
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) >= len(SOURCES) - 1


def test_targets_that_the_readme_names_exist():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = set(re.findall(r"make (\w+)", done.stdout))
    assert {"book", "test", "lab", "check", "help"} <= targets
    assert set(re.findall(r"`make (\w+)", (ROOT / "README.md").read_text())) <= targets
