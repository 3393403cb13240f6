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
from pathlib import Path

import chapters
from chapters import ROOT, BookError, Cache
from contract import problems

BUILD = ROOT / "_build"
TOOLS = ("jupyter_book", "nbmake", "psutil", "pytest", "sphinx_exercise", "yaml")
PAGES = (".md", ".bib")


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
    cache, shared, failed = Cache(), chapters.shared_digest(), []
    for chapter in chapters.select(names):
        if not force and cache.is_current(chapter, shared):
            record = cache.record(chapter)
            say(f"  {chapter.stem:24} as before ({record['seconds']:.0f} s when it ran)")
            continue
        say(f"  {chapter.stem:24} executing ...")
        try:
            record = chapters.execute(chapter, shared)
        except BookError as error:
            failed.append(chapter.stem)
            say(f"\nFAILED {error}\n")
            continue
        say(f"  {chapter.stem:24} {record['seconds']:.0f} s, {record['peak_mb']} MB")
    write_record()
    if failed:
        raise BookError(f"{len(failed)} chapter(s) failed: {', '.join(failed)}")


def write_record() -> None:
    """Writes `_build/chapters.json`: what each chapter's last good run took, and where."""
    records = [r for c in chapters.find() if (r := Cache().record(c))]
    chapters.write_atomically(BUILD / "chapters.json", json.dumps(records, indent=1) + "\n")


# ---- staging: the folder that Jupyter Book sees ---------------------------------------------


def repository() -> dict | None:
    """Where the book's source lives, from the environment, or None.

    Raises:
        BookError: the variable is set to something that is no web address.
    """
    url = os.environ.get("BOOK_REPOSITORY_URL", "").strip().rstrip("/").removesuffix(".git")
    if not url:
        return None
    if not re.fullmatch(r"https?://[^/\s]+/[^/\s]+/[^\s]+", url):
        raise BookError(
            f"BOOK_REPOSITORY_URL is {url!r}; allowed is an address like https://host/owner/name"
        )
    branch = os.environ.get("BOOK_REPOSITORY_BRANCH", "").strip() or "main"
    binder = None
    for host, provider in (("github.com", "gh"), ("gitlab.com", "gl")):
        if re.match(rf"https?://{re.escape(host)}/", url):
            path = url.split(host + "/", 1)[1]
            path = path if provider == "gh" else path.replace("/", "%2F")
            binder = f"https://mybinder.org/v2/{provider}/{path}/{branch}?urlpath=lab/tree/"
    return {"url": url, "branch": branch, "binder": binder}


def staged_config(home: dict | None) -> str:
    """The text of `_config.yml`, with repository and launch buttons if there is a repository."""
    import yaml

    text = (ROOT / "_config.yml").read_text(encoding="utf8")
    if home is None:
        return text
    config = yaml.safe_load(text)
    config["repository"] = {"url": home["url"], "branch": home["branch"], "path_to_book": ""}
    config["html"] |= {"use_repository_button": True, "use_issues_button": True}
    config["sphinx"]["config"]["html_theme_options"]["use_source_button"] = True
    if home["binder"]:
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
    return yaml.safe_dump(config, sort_keys=False)


def staged_toc() -> str:
    """The text of `_toc.yml` without the chapters that are not written yet."""
    import yaml

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    for part in toc["parts"]:
        for entry in list(part["chapters"]):
            if not any((ROOT / (entry["file"] + end)).exists() for end in (".ipynb", ".md")):
                say(f"  note: {entry['file']} is in _toc.yml but not in the book; left out")
                part["chapters"].remove(entry)
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return yaml.safe_dump(toc, sort_keys=False)


def facts_line(chapter: Path, record: dict, home: dict | None) -> str:
    """The line under a chapter's title: its run time as measured, and its launch links."""
    ran = f"{record['seconds']:.0f} s and {record['peak_mb'] / 1000:.1f} GB of memory"
    parts = [
        f"Runs in <strong>{ran}</strong> on {record['machine']['cores']} cores "
        '(<a href="status.html">all run times</a>)',
        f'<a href="{chapter.name}" download>Download the notebook</a>',
    ]
    if home and home["binder"]:
        parts.append(f'<a href="{home["binder"]}book/{chapter.name}">Run it on Binder</a>')
    if home:
        address = f"{home['url']}/blob/{home['branch']}/book/{chapter.name}"
        parts.append(f'<a href="{address}">Source</a>')
    items = "".join(f"<li>{part}</li>" for part in parts)
    return f'<ul class="chapter-facts">{items}</ul>'


def first_page() -> str:
    """The first page with a card per chapter: a link if it exists, else marked as planned."""
    import yaml

    cards = yaml.safe_load((ROOT / "tools" / "cards.yml").read_text(encoding="utf8"))
    lines = [":::::{grid} 1 1 2 3", ":gutter: 3", ""]
    for number, card in enumerate(cards, 1):
        written = (ROOT / "book" / f"{card['file']}.ipynb").exists()
        lines.append(f"::::{{grid-item-card}} {number}. {card['title']}")
        if written:
            lines += [f":link: {card['file']}", ":link-type: doc", "", card["text"]]
        else:
            lines += [":class-card: planned", "", card["text"], ""]
            lines += [":::{card-footer}", "Planned, not yet written", ":::"]
        lines += ["::::", ""]
    text = (ROOT / "book" / "index.md").read_text(encoding="utf8")
    return text.replace("<!-- cards -->", "\n".join([*lines, ":::::"]))


def status_page(records: list[dict]) -> str:
    """The page that says what every chapter took, and on which machine."""
    text = (ROOT / "book" / "status.md").read_text(encoding="utf8")
    if not records:
        return text.replace("<!-- chapters -->", "No chapter has been executed yet.")
    rows = ["| Chapter | Seconds | Memory (MB) | Executed (UTC) |", "|:--|--:|--:|:--|"]
    for r in records:
        date = r["date"][:16].replace("T", " ")
        rows.append(f"| [](./{r['chapter']}) | {r['seconds']:.1f} | {r['peak_mb']} | {date} |")
    total = sum(r["seconds"] for r in records)
    rows.append(f"| All chapters | {total:.1f} | {max(r['peak_mb'] for r in records)} | |")
    seen = []
    for r in records:
        m = r["machine"]
        line = f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB of memory, {m['system']}"
        if line not in seen:
            seen.append(line)
    used = [f"| {name} | {value} |" for name, value in records[-1]["versions"].items()]
    table = "\n".join(rows)
    machines = "\n".join(f"- {line}" for line in seen)
    packages = "\n".join(["| Package | Version |", "|:--|:--|", *used])
    body = f"{table}\n\n## Machine\n\n{machines}\n\n## Software\n\n{packages}"
    return text.replace("<!-- chapters -->", body)


def staged_notebook(chapter: Path, home: dict | None) -> str:
    """The executed chapter as a page: its outputs, and the line of facts after the first cell."""
    cache = Cache()
    record = cache.record(chapter)
    notebook = chapters.merged(chapters.read(chapter), chapters.read(cache.notebook(chapter)))
    line = {
        "cell_type": "markdown",
        "id": "chapter-facts",
        "metadata": {},
        "source": facts_line(chapter, record, home),
    }
    notebook["cells"].insert(1, line)
    return json.dumps(notebook, indent=1)


def write_if_changed(path: Path, content: bytes) -> None:
    """Leaves an equal file alone, so that Sphinx does not read it again."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    half.write_bytes(content)
    os.replace(half, path)


def stage(stage_dir: Path) -> None:
    """Fills the stage and removes from it what is no longer part of the book."""
    home, shared, cache = repository(), chapters.shared_digest(), Cache()
    stale = [c.stem for c in chapters.find() if not cache.is_current(c, shared)]
    if stale:
        raise BookError(f"not executed since they changed: {', '.join(stale)}; run `make book`")
    records = [cache.record(c) for c in chapters.find()]
    files = {
        "_config.yml": staged_config(home).encode(),
        "_toc.yml": staged_toc().encode(),
        "tools/bookpage.py": (ROOT / "tools" / "bookpage.py").read_bytes(),
    }
    for path in (ROOT / "book").rglob("*"):
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and (path.suffix in PAGES or name.startswith("book/assets/")):
            files[name] = path.read_bytes()
    files["book/index.md"] = first_page().encode()
    files["book/status.md"] = status_page(records).encode()
    for chapter in chapters.find():
        files[f"book/{chapter.name}"] = staged_notebook(chapter, home).encode()
    for path in list(stage_dir.rglob("*")):
        if path.is_file() and path.relative_to(stage_dir).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        write_if_changed(stage_dir / name, content)


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
    stage(stage_dir)
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
        say(f"  {chapter.stem:24} {'executed' if current else 'to be executed'}")
        for problem in problems(chapters.read(chapter)):
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
