"""What README and CONTRIBUTING show runs, and what they say of the core's size is so."""

import re
from pathlib import Path

import numpy as np
import pytest

from qkdlib.explore import try_trainers

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {name: (ROOT / f"{name}.md").read_text("utf8") for name in ("README", "CONTRIBUTING")}


def blocks(name):
    return re.findall(r"^```python\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_readme_runs():
    features = np.random.default_rng(0).uniform(size=(120, 4))
    labels = (features[:, 0] > features[:, 1]).astype(int)
    space = {
        "features": features[:40], "labels": labels[:40],
        "test_features": features[40:], "test_labels": labels[40:],
    }  # fmt: skip
    first, second = blocks("README")
    exec(compile(first, "README", "exec"), space)
    assert len(space["table"].summary()) == 3
    exec(compile(second.replace("epochs=20", "epochs=1"), "README", "exec"), space)


def test_the_explorer_of_contributing_draws_and_trains():
    (block,), space = blocks("CONTRIBUTING"), {}
    *most, last = block.rpartition("Explorer(\n")
    exec(compile("".join([most[0], "explorer = Explorer(\n", last]), "CONTRIBUTING", "exec"), space)
    assert "student" in space["explorer"].html
    try_trainers([space["explorer"]])


@pytest.mark.parametrize("name", TEXTS)
def test_the_core_is_as_short_as_they_say(name):
    files = [p for p in (ROOT / "qkdlib" / "core").glob("*.py") if p.name != "__init__.py"]
    assert len(files) == 10
    (said,) = re.findall(r"fewer than ([\d,]+)\s+lines", TEXTS[name])
    assert sum(len(p.read_text("utf8").splitlines()) for p in files) < int(said.replace(",", ""))


@pytest.mark.parametrize("name", TEXTS)
def test_what_they_name_exists(name):
    import importlib

    for path in re.findall(r"`((?:book|tools|tests|examples|benchmarks|qkdlib)/[\w./-]*)`", TEXTS[name]):
        assert (ROOT / path).exists(), path
    for module, attribute in re.findall(r"`(qkdlib(?:\.\w+)*?)\.(\w+)(?:\(\))?`", TEXTS[name]):
        assert hasattr(importlib.import_module(module), attribute) or importlib.import_module(
            f"{module}.{attribute}"
        )
