"""Builds the book: executes its chapters, each one once, and writes its pages.

    python tools/book.py build              execute what changed, then write the pages
    python tools/book.py execute [chapter]  execute only (all chapters, or those named: 2, 02-ansatz)
    python tools/book.py html               write the pages from what has been executed
    python tools/book.py check              say what is wrong or out of date, without executing

`--force` executes and builds again even where nothing changed. The result is in `_build/`:
`html/` (the pages), `executed/` (the chapters' runs), `chapters.json` (their times and memory).

Environment: BOOK_REPOSITORY_URL (e.g. https://github.com/owner/name) adds repository, source and
launch links to the pages, BOOK_REPOSITORY_BRANCH (main) says for which branch.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chapters
from chapters import ROOT, BookError, Cache
from contract import measure, problems
from staging import stage

BUILD = ROOT / "_build"
JOBS = min(2, os.cpu_count() or 1)  # chapters at a time: one takes about 1.2 GB
TOOLS = ("jupyter_book", "nbmake", "psutil", "pytest", "sphinx_exercise", "yaml")


def say(text: str = "") -> None:
    print(text, flush=True)


def need_tools() -> None:
    """Raises BookError with the one thing to do when a package of the environment is missing."""
    missing = [name for name in TOOLS if importlib.util.find_spec(name) is None]
    if missing:
        raise BookError(
            f"this Python lacks {', '.join(missing)}; `make book` makes an environment with them"
        )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Holds the build folder for this process: two builds in it would mix their files."""
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / ".lock", "w") as handle:
        try:
            import fcntl
        except ImportError:  # Windows: no advisory locks, builds are started by hand there
            yield
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another build is at work here; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# ---- executing -----------------------------------------------------------------------------


def execute(names: list[str], force: bool = False) -> None:
    """Executes the chapters whose results are missing or out of date; then writes the record.

    Raises:
        BookError: after all chapters were tried, if any of them failed.
    """
    cache, shared, todo = Cache(), chapters.shared_digest(), []
    for chapter in chapters.select(names):
        if not force and cache.is_current(chapter, shared):
            record = cache.record(chapter)
            say(f"  {chapter.stem:40} as before ({record['seconds']:.0f} s when it ran)")
        else:
            todo.append(chapter)
    with ThreadPoolExecutor(JOBS) as pool:
        try:
            failed = [name for name in pool.map(lambda one: _execute_one(one, shared), todo) if name]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    write_record()
    if failed:
        raise BookError(f"{len(failed)} chapter(s) failed: {', '.join(failed)}")


def _execute_one(chapter: Path, shared: str) -> str | None:
    """Executes a chapter and says how it went; returns its name if it failed."""
    say(f"  {chapter.stem:40} executing ...")
    try:
        record = chapters.execute(chapter, shared)
    except BookError as error:
        say(f"\nFAILED {error}\n")
        return chapter.stem
    said = [f"  {chapter.stem:40} {record['seconds']:.0f} s, {record['peak_mb']} MB"]
    say("\n".join(said + [f"    {note}" for note in record["notes"]]))
    return None


def write_record() -> None:
    """Writes `_build/chapters.json`: what each chapter's last good run took, and where."""
    records = [r for c in chapters.find() if (r := Cache().record(c))]
    chapters.write_atomically(BUILD / "chapters.json", json.dumps(records, indent=1) + "\n")


# ---- pages ---------------------------------------------------------------------------------


def look_digest(stage_dir: Path) -> str:
    """Digest of what every page is made with; Sphinx notices a change in one page's text only."""
    digest = hashlib.sha256()
    made_with = [stage_dir / "_config.yml", stage_dir / "tools" / "bookpage.py"]
    made_with += [ROOT / "requirements.lock", ROOT / "qkdlib" / "style.py"]
    made_with += sorted(p for p in (stage_dir / "book" / "assets").rglob("*") if p.is_file())
    for path in made_with:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def html(force: bool = False) -> Path:
    """Writes the pages to `_build/html` and returns the first one.

    Raises:
        BookError: a chapter has no current result, or Sphinx warned of anything; the pages of
            the last good build stay.
    """
    stage_dir, out, log = BUILD / "stage", BUILD / "pages", BUILD / "pages.log"
    for name in stage(stage_dir):
        say(f"  note: {name} is in _toc.yml but not written; left out")
    look, key_file = look_digest(stage_dir), BUILD / "pages.key"
    if force or not key_file.exists() or key_file.read_text() != look:
        shutil.rmtree(out, ignore_errors=True)
        key_file.unlink(missing_ok=True)
    command = [
        sys.executable, "-c", "from jupyter_book.cli.main import main; main()",
        "build", str(stage_dir), "--path-output", str(out), "-W", "-n", "--keep-going",
    ]  # fmt: skip
    env = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    log.write_text(output, encoding="utf8")
    if done.returncode:
        # Sphinx would not repeat its warnings about pages that it need not read again.
        shutil.rmtree(out, ignore_errors=True)
        if "No space left on device" in output:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        lines = [line for line in output.splitlines() if re.search(r"WARNING|ERROR", line)]
        raise BookError("\n".join(["the pages have faults:", *(lines or [output[-3000:]])]))
    key_file.write_text(look)
    for chapter in chapters.find():
        # The notebook as its author wrote it, for the download link under the title.
        shutil.copy2(chapter, out / "_build" / "html" / "book" / chapter.name)
    fresh = BUILD / "html.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(out / "_build" / "html", fresh)
    shutil.rmtree(BUILD / "html", ignore_errors=True)
    os.replace(fresh, BUILD / "html")
    return BUILD / "html" / "index.html"


def check() -> None:
    """Prints what is wrong with the chapters' form and what is out of date; executes nothing.

    Raises:
        BookError: a chapter breaks the contract.
    """
    shared, cache, broken = chapters.shared_digest(), Cache(), 0
    for chapter in chapters.find():
        current = cache.is_current(chapter, shared)
        notebook = chapters.as_committed(chapter)
        words, lines = measure(notebook)
        size = f"{words:5} words, {lines:3} lines"
        say(f"  {chapter.stem:40} {size}  {'executed' if current else 'to be executed'}")
        for problem in problems(notebook, chapters.kind(chapter)):
            broken += 1
            say(f"    {problem}")
    if broken:
        raise BookError(f"{broken} fault(s) in the chapters' form")


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["build", "execute", "html", "check"])
    parser.add_argument("chapter", nargs="*", help="for execute: which chapters (all)")
    parser.add_argument("--force", action="store_true", help="even where nothing changed")
    args = parser.parse_args(argv)
    started = time.perf_counter()
    try:
        need_tools()
        if args.command == "check":
            check()
            return 0
        with alone():
            if args.command in ("build", "execute"):
                say("Executing chapters")
                execute(args.chapter, args.force)
            if args.command in ("build", "html"):
                say("Writing pages")
                first = html(args.force)
                say(f"\nThe book is written ({time.perf_counter() - started:.0f} s). Its first page:")
                say(f"  {first.relative_to(ROOT)}\n  {first.as_uri()}")
    except BookError as error:
        say(f"book: {error}")
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        say("book: no space left on this disk; a build needs about 200 MB under _build/")
        return 1
    except KeyboardInterrupt:
        say("book: stopped; what was finished is kept")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
