"""The reference names everything that is public, once, and its docstrings are read as plain text."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
API = ROOT / "book" / "api"
ROOMS = ("core", "engine", "measures", "models", "data", "explore")
SHARED = ("book", "statistics", "parallel")
READING_ORDER = (
    "encoding", "ansatz", "observables", "model", "losses", "train", "conditions", "compare",
    "regularisers", "codistill",
)  # fmt: skip

sys.path.append(str(ROOT / "tools"))
as_rst = importlib.import_module("bookpage").as_rst


def documented(page):
    """(module, name) of everything on a page, in its order."""
    found, module = [], None
    for kind, name in re.findall(
        r"^\.\. (currentmodule|autofunction|autoclass|autodata|py:data):: (\S+)$", page, re.MULTILINE
    ):
        if kind == "currentmodule":
            module = name
        else:
            found.append((module, name))
    return found


def public(module):
    """The public names of a module: `__all__`, or what it defines or offers without underscore."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name for name, value in vars(module).items()
            if not name.startswith("_") and not inspect.ismodule(value)
            and getattr(value, "__module__", "qkdlib").startswith("qkdlib")
        ]  # fmt: skip
    return {name for name in names if not inspect.ismodule(getattr(module, name))}


def page(name):
    return (API / f"{name}.md").read_text(encoding="utf8")


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_names_all_that_its_room_offers_once(room):
    found = [name for module, name in documented(page(room)) if module == f"qkdlib.{room}"]
    assert len(set(found)) == len(found)
    assert set(found) == public(importlib.import_module(f"qkdlib.{room}"))


def test_the_shared_modules_and_the_specification_are_there():
    found = set(documented(page("shared")) + documented(page("engine")))
    for name in (*(f"qkdlib.{name}" for name in SHARED), "qkdlib.engine.reference"):
        module = importlib.import_module(name)
        own = {n for n in public(module) if getattr(getattr(module, n), "__module__", "") == name}
        assert own <= {n for m, n in found if m == name}


def test_the_core_stands_in_its_reading_order():
    modules = re.findall(r"^\.\. automodule:: qkdlib\.core\.(\w+)$", page("core"), re.MULTILINE)
    assert tuple(modules) == READING_ORDER
    files = {path.stem for path in (ROOT / "qkdlib" / "core").glob("[!_]*.py")}
    assert files == set(READING_ORDER)


def test_the_overview_names_the_same_as_the_pages():
    overview = (ROOT / "book" / "api.md").read_text(encoding="utf8")
    tables = re.split(r"^\.\. currentmodule:: (\S+)$", overview, flags=re.MULTILINE)[1:]
    found = [
        (module, name)
        for module, text in zip(tables[::2], tables[1::2], strict=True)
        for name in re.findall(r"^   (\w+)$", text, re.MULTILINE)
    ]
    order = re.findall(r"\{doc\}`api/(\w+)`", overview)
    assert found == [pair for name in order for pair in documented(page(name))]
    assert sorted(order) == sorted(path.stem for path in API.glob("*.md"))


def test_docstrings_are_plain_text():
    lines = [
        "Runs 2**n states |x> of `Model` in `parallel_config(1)`, or \"tfq\", by a_ and sum_i x_i.",
        "",
        "    *F* = sum_b |<a|b>|^2",
        "      + 2**n",
        "",
        "    G = 1",
        "",
        "And *again* `x`s, *data symbols*, 2*a*b.",
        "",
        "Args:",
        "    a: 2**n.",
        "        More.",
        "    b: Last.",
        "",
        "Example:",
        "    >>> 2**3",
        "    8",
    ]
    assert as_rst(lines) == [
        r"Runs 2\*\*n states \|x> of \ :py:obj:`Model <Model>`\  in \ ``parallel_config(1)``\ , or "
        r'\ ``"tfq"``\ , by a\_ and sum_i x_i.',
        "",
        ".. code-block:: none",
        "",
        *lines[2:7],
        r"And *again* \ :py:obj:`x <x>`\ s, *data symbols*, 2\*a\*b.",
        "",
        "Args:",
        r"    a: 2\*\*n.",
        *lines[11:],
    ]
