"""A folder of submissions: found, graded side by side, written down."""

import csv
import re
import stat
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from course.feedback import page
from course.grading import Result, grade
from course.notebooks import MAX_MB, CourseError, checks, read
from qkdlib.progress import Bar


@dataclass
class Submission:
    """A student's notebook for an assignment.

    Attributes:
        student, assignment: Names.
        path: The notebook; None where it cannot be used.
        words: What there is to say about how it came.
    """

    student: str
    assignment: str
    path: Path | None
    words: list = field(default_factory=list)


def collect(folder, assignments, scratch):
    """Finds submissions: `<student>/<assignment>.ipynb`, also one folder deeper, also in a zip.

    Args:
        folder: The class's folder.
        assignments: Names that are known.
        scratch: Where zips are unpacked.

    Returns:
        A list of `Submission`, by student and assignment.

    Raises:
        CourseError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}")
    found, strange = {}, []
    for home in sorted(folder.iterdir()):
        if home.name.startswith("."):
            continue
        student = home.stem if home.suffix == ".zip" else home.name
        words = []
        if home.suffix == ".zip":
            home, words = _unzipped(home, Path(scratch) / student)
        for path in sorted(home.rglob("*.ipynb")) if home and home.is_dir() else []:
            if ".ipynb_checkpoints" in path.parts:
                continue
            name = _assignment(path, assignments)
            if name is None:
                said = f"{path.name} names no assignment; there are: {', '.join(assignments)}"
                strange.append(Submission(student, "", None, [said]))
                continue
            found.setdefault((student, name), []).append(path)
        if words:
            strange.append(Submission(student, "", None, words))
    result = []
    for (student, name), paths in found.items():
        newest = max(paths, key=lambda path: path.stat().st_mtime)
        words = [f"{len(paths)} submissions; the newest counts"] if len(paths) > 1 else []
        result.append(Submission(student, name, newest, words))
    return sorted(result + strange, key=lambda one: (one.student, one.assignment))


def _assignment(path, assignments):
    """The assignment that a path belongs to: by its name, by the folder's, or by its number."""
    for text in (path.stem, path.parent.name):
        for name in assignments:
            if name in text or re.match(rf"0?{int(name[:2])}(?!\d)", text):
                return name
    return None


def _unzipped(archive, to):
    """(folder, what there is to say) of a zip whose notebooks are unpacked within limits."""
    try:
        with zipfile.ZipFile(archive) as file:
            members = [m for m in file.infolist() if m.filename.endswith(".ipynb") and not _is_link(m)]
            size = sum(m.file_size for m in members)
            if size > 10 * MAX_MB * 2**20 or len(members) > 200:
                return None, [f"{archive.name} would unpack to {size / 2**20:.0f} MB: not opened"]
            for number, member in enumerate(members):
                target = to / str(number) / Path(member.filename).name
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source:
                    target.write_bytes(source.read(MAX_MB * 2**20 + 1))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as problem:
        return None, [f"{archive.name} cannot be unpacked: {problem}"]
    return to, []


def _is_link(member):
    return stat.S_ISLNK(member.external_attr >> 16)


def grade_folder(sources, folder, to, *, n_jobs=2, deadline=None, limits=None):
    """Grades a class: `grades.csv`, `went-wrong.csv`, and a page of feedback for each submission.

    Args:
        sources: Folder of the instructor's notebooks.
        folder: See `collect`.
        to: Where results go.
        n_jobs: Submissions at a time.
        deadline: A date and time in ISO format; later files are graded and marked.
        limits: `course.sandbox.Limits`.

    Returns:
        The rows of `grades.csv`, dicts.

    Raises:
        CourseError: A folder is missing, or the deadline is no date.
    """
    import tempfile

    try:
        until = datetime.fromisoformat(deadline).timestamp() if deadline else None
    except ValueError:
        raise CourseError(
            f"deadline must be a date such as 2027-03-01T12:00, got {deadline!r}"
        ) from None
    names = sorted(path.parent.name for path in Path(sources).glob("*/*.ipynb"))
    source = {name: read(Path(sources) / name / f"{name}.ipynb") for name in names}
    to = Path(to)
    with tempfile.TemporaryDirectory() as scratch:
        some = collect(folder, names, scratch)
        bar = Bar("grading", len(some), "submissions")

        def one(submission):
            hidden = (sources, folder, to)
            result = _graded(submission, source, until, hidden, limits)
            bar.advance(submission.student)
            return result

        with ThreadPoolExecutor(n_jobs) as pool:
            results = list(pool.map(one, some))
        bar.close()
    rows = [_row(s, r, source) for s, r in zip(some, results, strict=True)]
    to.mkdir(parents=True, exist_ok=True)
    _write(to / "grades.csv", rows)
    wrong = Counter(
        (s.assignment, one.check.grade_id, one.word)
        for s, r in zip(some, results, strict=True)
        for one in r.cells
        if one.points is not None and one.points < one.check.points
    )
    table = [
        {"assignment": a, "cell": cell, "what": what, "students": n}
        for (a, cell, what), n in sorted(wrong.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    _write(to / "went-wrong.csv", table, ("assignment", "cell", "what", "students"))
    for submission, result in zip(some, results, strict=True):
        path = to / "feedback" / submission.student / f"{submission.assignment or 'submission'}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(submission, result), encoding="utf8")
    return rows


def _graded(submission, source, until, hidden, limits):
    if submission.path is None:
        return Result(word="; ".join(submission.words))
    try:
        if until and submission.path.stat().st_mtime > until:
            submission.words.append("after the deadline")
        notebook = read(submission.path)
        options = {"hidden": hidden, "limits": limits}
        return grade(source[submission.assignment], notebook, submission.student, **options)
    except CourseError as problem:
        return Result(word=str(problem))


def _row(submission, result, source):
    total = 0
    if submission.assignment:
        total = sum(check.points for check in checks(source[submission.assignment]))
    words = [*submission.words, result.word] if submission.path else [result.word]
    return {
        "student": submission.student,
        "assignment": submission.assignment,
        "points": f"{result.points:g}",
        "of": f"{total:g}",
        "to_read": sum(one.points is None for one in result.cells),
        "remarks": "; ".join(filter(None, words)),
    }


def _write(path, rows, names=("student", "assignment", "points", "of", "to_read", "remarks")):
    """A csv; a cell that a spreadsheet would take for a formula is made a text."""
    half = path.with_suffix(".part")
    with open(half, "w", newline="", encoding="utf-8-sig") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: _plain(v) for k, v in row.items()})
    half.replace(path)


def _plain(value):
    text = str(value)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text
