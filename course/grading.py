"""Grading: a student's cells run shut in; tests run here and reach what they defined by calls alone."""

import ast
import builtins
import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

from course.answering import run_cells
from course.notebooks import answers, checks, marks_of, source_of
from course.sandbox import Broken, Student


@dataclass
class Graded:
    """A graded cell of a submission.

    Attributes:
        check: The `Check`.
        points: What it earned; None where a person decides.
        word: What is said to the student.
        answer: The written answer.
    """

    check: object
    points: float | None
    word: str
    answer: str = ""


@dataclass
class Result:
    """A graded submission: its cells, and what there is to say of the whole."""

    cells: list = field(default_factory=list)
    word: str = ""

    @property
    def points(self):
        """What was earned without a person."""
        return sum(one.points or 0.0 for one in self.cells)


def grade(source, submitted, student, *, hidden=(), limits=None):
    """Grades a submission.

    Args:
        source: The instructor's notebook.
        submitted: The student's.
        student: Their name, from which their numbers follow.
        hidden: Folders that must not be in the submission's reach.
        limits: `course.sandbox.Limits`.

    Returns:
        A `Result`.
    """
    cells, missing, words = answers(source, submitted)
    cells = [("", f"STUDENT = {student!r}"), *((g, _named(text, student)) for g, text in cells)]
    result = Result()
    try:
        with Student(cells, hidden, limits) as process:
            setup, theirs = _setup(source, student), _defined(source)
            for check in checks(source):
                if check.written:
                    text = words.get(check.grade_id, "")
                    word = "for a person to read" if text else "no answer"
                    result.cells.append(Graded(check, None if text else 0.0, word, text))
                else:
                    result.cells.append(_judge(check, process, setup, theirs, missing))
            if process.failed:
                said = "; ".join(f"{name or 'a cell'}: {line}" for name, line in process.failed.items())
                result.word = f"cells that ended in an error: {said}"
    except Broken as problem:
        result.word = f"the notebook could not be run: {problem}"
        result.cells = [Graded(c, 0.0, result.word) for c in checks(source)]
    if missing:
        result.word = "; ".join(filter(None, [result.word, f"missing cells: {', '.join(missing)}"]))
    return result


def _named(text, student):
    """A cell with the student's name in the place of the line that asks for it."""
    return re.sub(r"^STUDENT = .*$", f"STUDENT = {student!r}", text, flags=re.M)


def _setup(source, student):
    """What the source's own cells (imports, data) make here, where no student's code runs."""
    cells = []
    for cell in source["cells"]:
        marks = marks_of(cell)
        if cell["cell_type"] == "code" and not marks.get("solution") and not marks.get("grade"):
            cells.append((marks.get("grade_id", ""), _named(source_of(cell), student)))
    namespace = {"__name__": "tests", "__builtins__": builtins}
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        failed = run_cells(cells, namespace)
    if failed:
        raise RuntimeError(f"the assignment's own cells fail: {failed}")
    return namespace


def _defined(source):
    """Names that solution cells define."""
    found = set()
    for cell in source["cells"]:
        if cell["cell_type"] == "code" and marks_of(cell).get("solution"):
            for node in ast.parse(source_of(cell)).body:
                if isinstance(node, ast.FunctionDef):
                    found.add(node.name)
                for part in ast.walk(node) if isinstance(node, ast.Assign) else ():
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                        found.add(part.id)
    return found


def _judge(check, process, setup, theirs, missing):
    """Points and a word for a cell of tests: visible tests first, hidden ones decide."""
    used = {
        n.id for n in ast.walk(ast.parse(check.visible + "\n" + check.hidden)) if isinstance(n, ast.Name)
    }
    namespace = dict(setup)
    try:
        for name in sorted(used & theirs):
            namespace[name] = process.get(name)
    except Broken as problem:
        return Graded(check, 0.0, str(problem))
    for kind, text in (("visible", check.visible), ("hidden", check.hidden)):
        try:
            with redirect_stdout(io.StringIO()):
                exec(compile(text, f"<{check.grade_id}>", "exec"), dict(namespace))
        except AssertionError as wrong:
            said = str(wrong).strip().splitlines()
            return Graded(check, 0.0, said[0] if said else f"a {kind} test found another value")
        except Broken as problem:
            return Graded(check, 0.0, f"a call of yours failed: {problem}")
        except Exception as wrong:  # e.g. a shape that the test cannot add up
            return Graded(
                check, 0.0, f"a {kind} test could not use what came back: {type(wrong).__name__}"
            )
    return Graded(check, check.points, "right")
