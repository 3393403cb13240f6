"""The students' versions of the assignments."""

import json
import zipfile
from pathlib import Path

from course.notebooks import CourseError, read, released, source_of


def release(sources, to):
    """Writes the students' notebook and a zip of each assignment; checks that nothing is given away.

    Args:
        sources: Folder of assignments, `<name>/<name>.ipynb` as in nbgrader.
        to: Where they go.

    Returns:
        The zips.

    Raises:
        CourseError: There is no assignment, or one would give away a solution or a hidden test.
    """
    names = sorted(path.parent.name for path in Path(sources).glob("*/*.ipynb"))
    if not names:
        raise CourseError(f"no assignment lies in {sources}")
    made = []
    for name in names:
        source = read(Path(sources) / name / f"{name}.ipynb")
        notebook = released(source)
        if given := leaks(source, notebook):
            raise CourseError(f"{name} would give away: {given[0]!r}")
        folder = Path(to) / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.ipynb"
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
        made.append(Path(to) / f"{name}.zip")
        with zipfile.ZipFile(made[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, path.name)
    return made


def leaks(source, notebook):
    """Lines of solutions and of hidden tests that a released notebook still holds."""
    shown = {line.strip() for cell in notebook["cells"] for line in source_of(cell).splitlines()}
    found, inside = [], False
    for cell in source["cells"]:
        for line in source_of(cell).splitlines():
            if "### END" in line:
                inside = False
            if inside and len(line.strip()) > 12 and line.strip() in shown:
                found.append(line.strip())
            if "### BEGIN" in line:
                inside = True
    return found
