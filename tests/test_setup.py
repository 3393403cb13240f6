"""tools/setup.sh: each way to fail is one line that says what to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools")
    (tmp_path / "requirements.lock").write_text("")
    return tmp_path


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(clone, tools=(), **variables):
    """Runs set-up with the given programs in front of PATH; returns its lines on stderr."""
    for name, text in dict(tools).items():
        program(clone / "bin", name, text)
    path = f"{clone / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "tools/setup.sh"], cwd=clone, capture_output=True, text=True,
        env={**os.environ, "PATH": path, **variables},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert not (clone / ".venv" / ".complete").exists()
    return line


WORKING = 'case "$*" in *version_info*) exit 0;; *--version*) echo Python 3.11.7;; esac'


def test_a_named_python_that_does_not_suit(clone):
    assert "is no Python 3.10, 3.11 or 3.12" in run(clone, PYTHON="false")


def test_no_python_that_suits(clone):
    names = ["python3.10", "python3.11", "python3.12", "python3", "python"]
    assert "install one, or name it: make book PYTHON=" in run(
        clone, dict.fromkeys(names, "exit 1")
    )


def test_a_machine_without_wheels(clone):
    line = run(clone, {"uname": "echo SunOS sparc", "good": WORKING}, PYTHON="good")
    assert "SunOS sparc is not covered by the lock" in line


def test_a_python_without_venv(clone):
    python = WORKING + '; case "$*" in *ensurepip*) exit 1;; esac'
    assert "apt install python3-venv" in run(clone, {"good": python}, PYTHON="good")


def test_too_little_room(clone):
    df = 'echo "F B U A C M"; echo "/dev/x 9 9 1000000 1% /"'
    line = run(clone, {"df": df, "good": WORKING}, PYTHON="good")
    assert "needs 5 GB and this disk has 1 GB free; make room" in line


@pytest.mark.parametrize(
    ("pip", "message"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for numpy==2.0.2", "No matching distribution"),
    ],
)
def test_pip_that_fails(clone, pip, message):
    (clone / ".venv").mkdir()
    python = WORKING + f"; case \"$*\" in *pip*) echo '{pip}'; exit 1;; esac"
    program(clone / ".venv" / "bin", "python", python)
    assert message in run(clone, {"good": WORKING}, PYTHON="good")


def git(folder, *arguments):
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    who = ["-c", "user.name=x", "-c", "user.email=x"]
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True,
        env={**os.environ, **nobody},
    )  # fmt: skip
    return done.stdout


def set_up(clone, **variables):
    """Runs set-up with a Python that agrees to everything."""
    (clone / ".venv").mkdir(exist_ok=True)
    program(clone / ".venv" / "bin", "python", "exit 0")
    good = program(clone / "bin", "good", WORKING)
    env = {**os.environ, "PYTHON": str(good), **variables}
    return subprocess.run(["sh", "tools/setup.sh"], cwd=clone, capture_output=True, text=True, env=env)


def test_a_checkout_commits_notebooks_without_outputs(clone):
    shutil.copy(ROOT / ".gitattributes", clone)
    git(clone, "init", "-q")
    assert set_up(clone).returncode == 0
    # The environment's Python, where the filter looks for it.
    program(clone / ".venv" / "bin", "python", f'exec "{sys.executable}" "$@"')
    code = {
        "cell_type": "code", "id": "mine", "source": "print(1)", "execution_count": 3, "metadata": {},
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}],
    }  # fmt: skip
    notebook = {"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (clone / "a.ipynb").write_text(json.dumps(notebook))
    git(clone, "add", "a.ipynb", ".gitattributes")
    git(clone, "commit", "-q", "-m", "x")
    (committed,) = json.loads(git(clone, "show", "HEAD:a.ipynb"))["cells"]
    assert committed["outputs"] == []
    assert committed["execution_count"] is None
    assert committed["id"] == "mine"
    assert json.loads((clone / "a.ipynb").read_text())["cells"][0]["outputs"]  # the file keeps its own


@pytest.mark.parametrize("place", ["no checkout", "a broken checkout", "a git that fails"])
def test_without_a_checkout_set_up_does_without_the_filter(clone, place):
    path = os.environ["PATH"]
    if place == "a broken checkout":
        (clone / ".git").write_text("gitdir: nowhere")
    if place == "a git that fails":
        git(clone, "init", "-q")
        path = f"{program(clone / 'bin', 'git', 'echo no >&2; exit 127').parent}:{path}"
    done = set_up(clone, PATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (clone / ".venv" / ".complete").exists()
