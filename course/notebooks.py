"""Assignments as notebooks in nbgrader's format: what is released of them, and what is graded.

A source notebook holds solutions between `### BEGIN SOLUTION` and `### END SOLUTION`, tests that
students do not see between `### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS`, and nbgrader's metadata
(`grade_id`, `points`, `grade`, `solution`, `locked`, `task`). nbgrader reads the same files.
"""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path

STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
ANSWER = "YOUR ANSWER HERE"
MAX_MB = 20  # of a submitted notebook
_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.M | re.S)
_HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS\n?", re.M | re.S)
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS")


class CourseError(Exception):
    """Something that one sentence tells."""


@dataclass(frozen=True)
class Check:
    """A graded cell.

    Attributes:
        grade_id: Its name.
        points: What it is worth.
        title: What it asks, for feedback.
        visible: Tests that students see, Python.
        hidden: Tests that decide, Python; empty for an answer in words.
        written: Whether a person grades it.
    """

    grade_id: str
    points: float
    title: str
    visible: str
    hidden: str
    written: bool


def read(path, max_mb=MAX_MB):
    """A notebook as plain JSON.

    Raises:
        CourseError: There is no such file, it is too large, or no notebook.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError:
        raise CourseError(f"{path.name} is missing") from None
    if size > max_mb * 2**20:
        raise CourseError(f"{path.name} has {size / 2**20:.0f} MB; at most {max_mb} are read")
    try:
        notebook = json.loads(path.read_text(encoding="utf8"))
        for cell in notebook["cells"]:
            cell["cell_type"], "".join(cell["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CourseError(f"{path.name} is no notebook") from None
    return notebook


def source_of(cell):
    """A cell's text."""
    return "".join(cell["source"])


def marks_of(cell):
    """nbgrader's metadata of a cell, or an empty dict."""
    found = cell.get("metadata", {})
    found = found.get("nbgrader", {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def released(notebook):
    """The students' version: solutions and hidden tests removed, outputs too.

    Raises:
        CourseError: A mark is left over, so something would be given away.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        text, marks = source_of(cell), marks_of(cell)
        if cell["cell_type"] == "code":
            text = _SOLUTION.sub(lambda found: _indented(STUB, found[1]), text)
            text = _HIDDEN.sub("", text).rstrip("\n")
            cell["outputs"], cell["execution_count"] = [], None
        elif marks.get("solution"):
            text = ANSWER
        if marks.get("locked"):
            cell["metadata"] |= {"editable": False, "deletable": False}
        cell["source"] = text
        if left := [mark for mark in MARKS if mark in text]:
            raise CourseError(f"cell {marks.get('grade_id')}: '{left[0]}' has no other half")
    return notebook


def _indented(text, indent):
    return "\n".join(indent + line for line in text.splitlines())


def checks(notebook):
    """The graded cells of a source notebook, in order."""
    found, title = [], ""
    for cell in notebook["cells"]:
        text, marks = source_of(cell), marks_of(cell)
        headings = re.findall(r"^#+ (.+)$", text, re.M) if cell["cell_type"] == "markdown" else []
        title = headings[-1] if headings else title
        if not marks.get("grade"):
            continue
        hidden = "\n".join(_HIDDEN.findall(text)) if cell["cell_type"] == "code" else ""
        visible = _HIDDEN.sub("", text) if cell["cell_type"] == "code" else ""
        written = bool(marks.get("solution"))
        found.append(Check(marks["grade_id"], marks["points"], title, visible, hidden, written))
    return found


def answers(source, submitted):
    """The submission's solution cells, each in its place among the cells that the source has.

    What a student changed in tests, imports or data does not count: those cells are the source's own.

    Args:
        source: The instructor's notebook.
        submitted: The student's.

    Returns:
        (cells, missing, words): code to run, `(grade_id, text)` each; ids of solution cells that the
        submission lacks; and the written answers by id.
    """
    theirs = {}
    for cell in submitted["cells"]:
        if grade_id := marks_of(cell).get("grade_id"):
            theirs.setdefault(grade_id, source_of(cell))
    cells, missing, words = [], [], {}
    for cell in released(source)["cells"]:
        marks, text = marks_of(cell), source_of(cell)
        grade_id = marks.get("grade_id", "")
        if marks.get("solution"):
            if grade_id not in theirs:
                missing.append(grade_id)
            text = theirs.get(grade_id, text)
        if cell["cell_type"] != "code":
            if marks.get("solution"):
                words[grade_id] = "" if text.strip() == ANSWER else text
        elif not marks.get("grade"):
            cells.append((grade_id, text))
    return cells, missing, words
