"""The examples in the library's docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def modules():
    """Names of the modules that hold an example."""
    for path in sorted((ROOT / "qkdlib").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf8"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__")


NAMES = list(modules())


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with np.printoptions(precision=8, legacy=False):
        found = doctest.testmod(importlib.import_module(name), optionflags=options, verbose=False)
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples_where_a_reader_begins():
    assert {"qkdlib.core.encoding", "qkdlib.core.losses", "qkdlib.core.train"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_examples_print_no_bare_numpy_numbers(name):
    """NumPy 1 and 2 print scalars differently, `0.5` and `np.float64(0.5)`."""
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        for example in test.examples:
            assert "np." not in example.want
