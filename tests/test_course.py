"""The course: what is released gives nothing away, and what is graded gets what it deserves."""

import copy
import csv
import json
import os
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from course import sandbox
from course.__main__ import SOURCES, main
from course.collecting import collect, grade_folder
from course.grading import grade
from course.notebooks import ANSWER, STUB, CourseError, checks, marks_of, read, released, source_of
from course.release import leaks, release
from course.sandbox import Broken, Limits, Student
from instructor.fixtures import distillation

NAME = "06-distillation"
SOURCE = read(SOURCES / NAME / f"{NAME}.ipynb")
SHORT = Limits(seconds=120, cell_seconds=20, call_seconds=8)
shut_in = pytest.mark.skipif(
    sandbox.isolation() == "limits", reason="nothing shuts a submission in here"
)


def submission(cells=(), empty=False):
    """A student's notebook: the solution, with some cells replaced."""
    notebook = released(SOURCE)
    solved = {marks_of(c).get("grade_id"): source_of(c) for c in SOURCE["cells"]}
    for cell in notebook["cells"]:
        grade_id = marks_of(cell).get("grade_id")
        if marks_of(cell).get("solution") and not empty:
            cell["source"] = dict(cells).get(grade_id, solved[grade_id])
    return notebook


def graded(notebook, student="Ada Lovelace"):
    result = grade(SOURCE, notebook, student, hidden=(SOURCES,), limits=SHORT)
    return {one.check.grade_id: one for one in result.cells}, result


def points(found):
    return {name: one.points for name, one in found.items()}


# ---- release ---------------------------------------------------------------------------------


def test_what_is_released_gives_nothing_away(tmp_path):
    zips = release(SOURCES, tmp_path)
    assert [path.stem for path in zips] == sorted(path.name for path in SOURCES.iterdir())
    for path in zips:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            notebook = json.loads(archive.read(name))
        text = "\n".join(map(source_of, notebook["cells"]))
        assert "BEGIN" not in text
        assert not leaks(read(SOURCES / path.stem / f"{path.stem}.ipynb"), notebook)
        assert STUB.splitlines()[1] in text
        assert ANSWER in text


def test_a_leak_is_found():
    notebook = released(SOURCE)
    notebook["cells"][3]["source"] += "\n    return powers / powers.sum(axis=1, keepdims=True)"
    assert leaks(SOURCE, notebook) == ["return powers / powers.sum(axis=1, keepdims=True)"]


def test_a_mark_without_its_other_half_is_named():
    notebook = copy.deepcopy(SOURCE)
    for cell in notebook["cells"]:
        cell["source"] = source_of(cell).replace("### END SOLUTION", "")
    with pytest.raises(CourseError, match=r"cell softened: 'BEGIN SOLUTION' has no other half"):
        released(notebook)


def test_assignments_keep_to_their_form():
    for path in SOURCES.glob("*/*.ipynb"):
        found = checks(read(path))
        assert 5 <= len(found) <= 8, path.stem
        assert all(one.hidden.strip() for one in found if not one.written)
        assert sum(one.written for one in found) == 1  # the open question
        assert len({one.grade_id for one in found}) == len(found)


# ---- grading ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_solution_gets_all_points():
    found, result = graded(submission())
    assert points(found) == distillation.FULL, {k: v.word for k, v in found.items()}
    assert result.points == 36
    assert result.word == ""


@pytest.mark.slow
def test_numbers_follow_the_students_name():
    """Accents, capitals and spaces do not matter; another name gives another teacher."""
    seen = {}
    for name in ("Ada Lovelace", "ADA  lovelace", "Émile Borel"):
        cells = [("", f"STUDENT = {name!r}")]
        cells += [("", source_of(c)) for c in SOURCE["cells"] if marks_of(c).get("grade_id") == "setup"]
        with Student(cells, limits=SHORT) as process:
            assert not process.failed
            seen[name] = process.get("NUMBER"), process.get("SAID").sum()
    assert seen["Ada Lovelace"] == seen["ADA  lovelace"] != seen["Émile Borel"]


@pytest.mark.slow
@pytest.mark.parametrize("name", distillation.WRONG)
def test_typical_mistakes_cost_their_own_points_and_are_called_by_name(name):
    cells, lost, words = distillation.WRONG[name]
    found, _ = graded(submission(cells))
    wanted = distillation.FULL | lost
    if "test-compare" not in lost:  # a wrong loss may or may not train to other accuracies
        wanted["test-compare"] = found["test-compare"].points
    assert points(found) == wanted, {k: v.word for k, v in found.items()}
    for cell, word in words.items():
        assert found[cell].word == word


@pytest.mark.slow
def test_an_empty_submission_gets_nothing_and_a_clear_word():
    found, _ = graded(submission(empty=True))
    assert set(points(found).values()) == {0}
    assert "NotImplementedError" in found["test-softened"].word
    assert found["verdict"].word == "no answer"


@shut_in
@pytest.mark.slow
@pytest.mark.parametrize("name", distillation.HOSTILE)
def test_what_is_hostile_costs_its_own_points_and_leaves_nothing(name, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_INSTRUCTOR", "a password")
    before = {p.pid for p in psutil.process_iter()}
    cells, lost = distillation.HOSTILE[name]
    found, _ = graded(submission(cells))
    assert points(found) == distillation.FULL | lost, {k: v.word for k, v in found.items()}
    left = [p for p in psutil.process_iter(["cmdline"]) if p.pid not in before]
    assert not [p for p in left if "course.answering" in " ".join(p.info["cmdline"] or ())]


# ---- the sandbox -----------------------------------------------------------------------------


@shut_in
def test_a_submission_sees_no_instructor_no_network_and_no_other_submission(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_INSTRUCTOR", "a password")
    secret = tmp_path / "secret.txt"
    secret.write_text("the right answers")
    code = f"""
import os, socket, pathlib
def look():
    found = []
    for path in ({str(secret)!r}, {str(SOURCES)!r}, {str(Path.home() / ".ssh")!r}):
        if os.path.exists(path):
            found.append(path)
    try:
        socket.create_connection(("127.0.0.1", {{port}}), 1)
        found.append("network")
    except OSError:
        pass
    found += [key for key in os.environ if "SECRET" in key]
    try:
        pathlib.Path({str(sandbox.ROOT / "qkdlib" / "mine.py")!r}).write_text("x = 1")
        found.append("library")
    except OSError:
        pass
    import subprocess
    if subprocess.run(["umount", {str(sandbox.ROOT)!r}], capture_output=True).returncode == 0:
        found.append("what was covered")
    return found, os.getpid() < 50, [p for p in os.listdir("/proc") if p.isdigit()]
"""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        cells = [("look", code.replace("{port}", str(server.getsockname()[1])))]
        with Student(cells, hidden=(tmp_path,), limits=SHORT) as process:
            found, first, others = process.call("look")
    assert found == []
    assert first
    assert len(others) <= 4  # its own namespace of processes
    assert not (sandbox.ROOT / "qkdlib" / "mine.py").exists()


@shut_in
def test_a_fork_bomb_ends_with_its_submission():
    code = """
import os, time
def bomb():
    started = 0
    for _ in range(300):
        try:
            if os.fork() == 0:
                time.sleep(300)
        except OSError:
            break
        started += 1
    return started
"""
    before = len(psutil.pids())
    with Student([("bomb", code)], limits=SHORT) as process:
        assert process.call("bomb") < 200
    time.sleep(0.5)
    assert len(psutil.pids()) < before + 20


def test_files_and_time_have_limits():
    code = """
def fill():
    with open("big", "wb") as handle:
        for _ in range(200):
            handle.write(b"0" * 2**20)
def loop():
    while True:
        pass
"""
    with Student([("fill", code)], limits=Limits(call_seconds=5, file_mb=32)) as process:
        folder = process._folder
        with pytest.raises(Broken):
            process.call("fill")
    assert not os.path.exists(folder)
    with (
        Student([("fill", code)], limits=Limits(call_seconds=1)) as process,
        pytest.raises(Broken, match="it took longer than 1 s"),
    ):
        process.call("loop")
    with pytest.raises(Broken, match="it took longer than 6 s"):
        Student([("", "while True: pass")], limits=Limits(seconds=6))


def test_what_cannot_be_sent_is_said():
    code = """
class Own: pass
def give(): return Own()
def deep():
    x = []
    for _ in range(50):
        x = [x]
    return x
"""
    with Student([("", code)], limits=SHORT) as process:
        with pytest.raises(Broken, match="a Own cannot be sent"):
            process.call("give")
        with pytest.raises(Broken, match="nested too deeply"):
            process.call("deep")
        with pytest.raises(Broken, match="none is not defined"):
            process.get("none")


# ---- a class ---------------------------------------------------------------------------------


@pytest.fixture
def quick(tmp_path):
    """An assignment of one task, for what concerns the folder and not the physics."""
    meta = {"schema_version": 3, "task": False, "locked": False}
    cells = [
        ("# Double\n\n## 1. Twice", "markdown", {}),
        ("STUDENT = 'x'", "code", {"grade_id": "name"}),
        ("def twice(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", "code",
         {"grade_id": "twice", "solution": True}),
        ("assert twice(1) == 2\n### BEGIN HIDDEN TESTS\nassert twice(21) == 42, 'not twice'\n"
         "### END HIDDEN TESTS", "code", {"grade_id": "test-twice", "grade": True, "points": 2}),
    ]  # fmt: skip
    notebook = {
        "cells": [
            {"cell_type": kind, "source": text, "metadata": {"nbgrader": meta | marks} if marks else {}}
            | ({"outputs": [], "execution_count": None} if kind == "code" else {})
            for text, kind, marks in cells
        ],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    path = tmp_path / "source" / "01-double" / "01-double.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook))
    return tmp_path


def hand_in(quick, student, text=None, name="01-double.ipynb", notebook=None):
    notebook = notebook or read(quick / "source" / "01-double" / "01-double.ipynb")
    if text is not None:
        notebook["cells"][2]["source"] = text
    path = quick / "class" / student / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook))
    return path


@pytest.mark.slow
def test_a_class_with_everything_that_goes_wrong(quick):
    hand_in(quick, "Zoë de la Cruz", "def twice(x):\n    return x + x")
    hand_in(quick, "Bad", "def twice(x):\n    return x * x + 1")
    hand_in(quick, "Nested", "def twice(x):\n    return 2 * x", name="01-double/01-double.ipynb")
    (quick / "class" / "Broken").mkdir(parents=True)
    (quick / "class" / "Broken" / "01-double.ipynb").write_text("{ not json")
    hand_in(quick, "Huge").write_bytes(b" " * (21 * 2**20))
    older = hand_in(quick, "Twice", "def twice(x):\n    return 0", name="01-double-old.ipynb")
    os.utime(older, (1, 1))
    hand_in(quick, "Twice", "def twice(x):\n    return 2 * x")
    hand_in(quick, "Lost", name="homework.ipynb")
    lacking = read(quick / "source" / "01-double" / "01-double.ipynb")
    del lacking["cells"][2]
    hand_in(quick, "Lacks", notebook=lacking)
    changed = read(quick / "source" / "01-double" / "01-double.ipynb")
    changed["cells"][2]["source"] = "def twice(x):\n    return 7"
    changed["cells"][3]["source"] = "assert True"
    hand_in(quick, "Cheats", notebook=changed)
    with zipfile.ZipFile(quick / "class" / "Zip.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(quick / "class" / "Nested" / "01-double" / "01-double.ipynb", "x/01-double.ipynb")
    with zipfile.ZipFile(quick / "class" / "Bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("01-double.ipynb", b" " * (250 * 2**20))
    (quick / "class" / "Torn.zip").write_bytes(b"PK\x03\x04 and no more")
    late = hand_in(quick, "Late", "def twice(x):\n    return 2 * x")
    os.utime(late, (4e9, 4e9))
    rows = grade_folder(
        quick / "source", quick / "class", quick / "out", deadline="2090-01-01T00:00", limits=SHORT
    )
    found = {row["student"]: row for row in rows}
    got = {name: (row["points"], row["of"]) for name, row in found.items()}
    full = dict.fromkeys(("Zoë de la Cruz", "Nested", "Twice", "Zip", "Late"), ("2", "2"))
    assert got == full | dict.fromkeys(("Bad", "Broken", "Huge", "Lacks", "Cheats"), ("0", "2")) | {
        "Lost": ("0", "0"), "Bomb": ("0", "0"), "Torn": ("0", "0"),
    }  # fmt: skip
    remarks = {name: row["remarks"] for name, row in found.items()}
    assert remarks["Broken"] == "01-double.ipynb is no notebook"
    assert remarks["Huge"] == "01-double.ipynb has 21 MB; at most 20 are read"
    assert remarks["Twice"] == "2 submissions; the newest counts"
    assert remarks["Lost"] == "homework.ipynb names no assignment; there are: 01-double"
    assert "missing cells: twice" in remarks["Lacks"]
    assert remarks["Bomb"] == "Bomb.zip would unpack to 250 MB: not opened"
    assert remarks["Torn"].startswith("Torn.zip cannot be unpacked")
    assert remarks["Late"] == "after the deadline"
    with open(quick / "out" / "grades.csv", encoding="utf-8-sig", newline="") as handle:
        assert len(list(csv.DictReader(handle))) == len(rows)
    wrong = (quick / "out" / "went-wrong.csv").read_text(encoding="utf-8-sig")
    assert "test-twice" in wrong
    pages = sorted(path.parent.name for path in (quick / "out" / "feedback").rglob("*.html"))
    assert pages == sorted(found)


def test_a_missing_folder_and_a_deadline_that_is_none_are_named(quick, capsys):
    assert main(["grade", str(quick / "nowhere"), "--trusted"]) == 1
    assert "there is no folder" in capsys.readouterr().err
    (quick / "class").mkdir()
    assert main(["grade", str(quick / "class"), "--trusted", "--deadline", "soon"]) == 1
    assert "deadline must be a date such as 2027-03-01T12:00, got 'soon'" in capsys.readouterr().err


def test_where_nothing_shuts_a_submission_in_it_asks_for_trust(quick, monkeypatch, capsys):
    monkeypatch.setattr("course.__main__.isolation", lambda: "limits")
    (quick / "class").mkdir()
    assert main(["grade", str(quick / "class")]) == 1
    assert "install bubblewrap, or say --trusted" in capsys.readouterr().err


def test_formulas_in_a_name_stay_text(quick):
    from course.collecting import _plain

    assert _plain("=cmd()") == "'=cmd()"
    assert _plain("") == ""
    assert collect(quick / "source", ["01-double"], quick)[0].assignment == "01-double"
