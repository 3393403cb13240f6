"""The instructor's two commands: `python -m course release` and `python -m course grade FOLDER`."""

import argparse
import sys
from pathlib import Path

from course.collecting import grade_folder
from course.notebooks import CourseError
from course.release import release
from course.sandbox import isolation

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "assignments" / "source"


def main(argv=None):
    """Runs from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m course", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("release", help="the students' versions, and a zip of each")
    one.add_argument("--to", type=Path, default=ROOT / "_build" / "assignments")
    two = commands.add_parser("grade", help="grades a folder of submissions")
    two.add_argument(
        "folder", type=Path, help="a folder for each student, a notebook for each assignment"
    )
    two.add_argument("--to", type=Path, help="where grades.csv and feedback go (FOLDER-graded)")
    two.add_argument("--jobs", type=int, default=2, help="submissions at a time")
    two.add_argument("--deadline", help="e.g. 2027-03-01T12:00; later files are graded and marked")
    two.add_argument("--trusted", action="store_true", help="grade where nothing shuts a submission in")
    args = parser.parse_args(argv)
    try:
        if args.command == "release":
            for path in release(SOURCES, args.to):
                print(path)
            return 0
        if isolation() == "limits" and not args.trusted:
            raise CourseError(
                "neither bubblewrap nor namespaces work here, so a submission could read your files: "
                "install bubblewrap, or say --trusted if you know who wrote them"
            )
        to = args.to or args.folder.with_name(args.folder.name + "-graded")
        grade_folder(SOURCES, args.folder, to, n_jobs=args.jobs, deadline=args.deadline)
        print(f"submissions were shut in by: {isolation()}\n{to / 'grades.csv'}")
    except CourseError as problem:
        print(f"course: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
