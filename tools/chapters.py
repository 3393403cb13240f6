"""Chapters as notebooks: finding them, executing each one once, remembering the result.

A chapter's outputs depend on its code, on `qkdlib`, on the locked environment, on the files that
lie beside it and on the records that it names, not on its prose. The cache's key is made of exactly
those, so an edit in the library executes every chapter again and a corrected sentence executes none:
`merged` puts the remembered outputs into the notebook as it is now.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 600
# Tags that change what a run does; all others (hide-input, ...) only change how a page looks.
EXECUTION_TAGS = {"raises-exception", "skip-execution"}
# Runs after a chapter's last cell and is not part of what is stored. One expression, so that it takes no
# name that a trainer might use; a chapter without explorers imports nothing for it.
TRIAL = {
    "cell_type": "code", "id": "trial-of-trainers", "metadata": {}, "outputs": [],
    "execution_count": None,
    "source": "__import__('sys').modules.get('qkdlib.explore.explorer') and "
    "__import__('qkdlib.explore').explore.try_trainers()",
}  # fmt: skip
PACKAGES = (
    "cirq-core", "jupyter-book", "keras", "numpy", "tensorflow", "tensorflow-quantum",
)  # fmt: skip


class BookError(Exception):
    """A failure that one line (and, for a chapter, its traceback) tells in full."""


def find(root: Path = ROOT) -> list[Path]:
    """All notebooks of the book in reading order, which is that of their names.

    A chapter is a core page, `06-distillation`, and the pages below it, `06a-...`, `06b-...`.
    """
    return sorted((root / "book").glob("[0-9]*.ipynb"))


def is_core(notebook: Path) -> bool:
    """Whether this is a chapter's core page, and no page below one."""
    return notebook.stem[2:3] == "-"


def kind(notebook: Path) -> str:
    """The form that a page has: "core", "below", or "whole" for a chapter without pages below it."""
    if not is_core(notebook):
        return "below"
    split = any(notebook.parent.glob(f"{notebook.stem[:2]}[a-z]-*.ipynb"))
    return "core" if split else "whole"


def select(names: list[str], root: Path = ROOT) -> list[Path]:
    """The notebooks that `names` mean: a file name, its stem, or a chapter's number, e.g. `2` or `02`,
    which means its core page and the pages below it.

    Raises:
        BookError: a name fits no chapter.
    """
    chapters = find(root)
    if not names:
        return chapters
    chosen = []
    for name in names:
        stem = Path(name).stem
        number = stem.zfill(2) if stem.isdigit() else None
        hits = [c for c in chapters if c.stem == stem or (number and c.stem.startswith(number))]
        if not hits:
            known = ", ".join(c.stem for c in chapters) or "none yet"
            raise BookError(f"no chapter is called {name!r}; there are: {known}")
        chosen += hits
    return sorted(set(chosen))


def read(path: Path) -> dict:
    """A notebook as plain JSON.

    Raises:
        BookError: the file is no notebook.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf8"))
        notebook["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise BookError(f"{path.name} is no notebook: {error}") from None
    return notebook


def as_committed(path: Path, root: Path = ROOT) -> dict:
    """A notebook as git takes it: without what a run left, where set-up installed the filter for that.

    Raises:
        BookError: the file is no notebook.
    """
    notebook = read(path)
    asked = ["git", "-C", str(root), "config", "filter.nbstripout.clean"]
    try:
        filtered = bool(subprocess.run(asked, capture_output=True, text=True).stdout.strip())
    except OSError:  # no git
        filtered = False
    if filtered:
        notebook.get("metadata", {}).pop("widgets", None)
        for cell in code_cells(notebook):
            cell["outputs"], cell["execution_count"] = [], None
            cell.get("metadata", {}).pop("execution", None)
    return notebook


def source_of(cell: dict) -> str:
    """A cell's text; nbformat allows both one string and a list of lines."""
    return "".join(cell["source"])


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _shared_files(root: Path) -> list[Path]:
    """Files besides the notebook that a chapter's outputs depend on."""
    files = [root / "requirements.lock"]
    files += [p for p in (root / "qkdlib").rglob("*") if p.is_file()]
    skip = {".ipynb", ".md", ".bib"}
    for path in (root / "book").rglob("*"):
        inside = path.relative_to(root / "book").parts
        if path.is_file() and path.suffix not in skip and inside[0] != "assets":
            files.append(path)
    hidden = ("__pycache__", ".ipynb_checkpoints")
    return sorted(p for p in files if p.exists() and not any(h in p.parts for h in hidden))


def shared_digest(root: Path = ROOT) -> str:
    """Digest of everything that all chapters share: library, lock, helper files, Python."""
    digest = hashlib.sha256()
    digest.update(f"{platform.python_version()} {sys.platform} {platform.machine()}".encode())
    for path in _shared_files(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def key(notebook: dict, shared: str, root: Path = ROOT) -> str:
    """The cache's key of one chapter: its code, the records that it names, and `shared` (see
    `shared_digest`)."""
    digest, code = hashlib.sha256(shared.encode()), "\n".join(map(source_of, code_cells(notebook)))
    named = [p for p in (root / "experiments" / "results").glob("*.json") if p.name in code]
    if "experiments." in code:  # it runs what is there
        named += (root / "experiments").glob("*.py")
    for path in sorted(named):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for cell in code_cells(notebook):
        tags = EXECUTION_TAGS & set(cell.get("metadata", {}).get("tags", []))
        digest.update(json.dumps([source_of(cell), sorted(tags)]).encode())
    # The kernel by its name alone: its display name and version follow whatever last saved the file.
    kernel = notebook.get("metadata", {}).get("kernelspec", {}).get("name", "python3")
    digest.update(kernel.encode())
    return digest.hexdigest()


def machine() -> dict:
    """What a run time depends on, and nothing that names the machine."""
    import psutil

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        model = found.group(1).strip() if found else model
    elif sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        model = subprocess.run(asked, capture_output=True, text=True).stdout.strip() or model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model,
        "cores": cores,
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class _PeakMemory(threading.Thread):
    """Polls the memory of a process's descendants: the kernel and what it starts."""

    def __init__(self, pid: int, interval_s: float = 0.05):
        super().__init__(daemon=True)
        self.pid, self.interval_s, self.peak = pid, interval_s, 0
        self._done = threading.Event()

    def run(self) -> None:
        import psutil

        while not self._done.wait(self.interval_s):
            try:
                children = psutil.Process(self.pid).children(recursive=True)
            except psutil.Error:
                continue
            total = 0
            for child in children:
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)

    def stop(self) -> float:
        self._done.set()
        self.join()
        return self.peak / 2**20


class Cache:
    """Executed chapters under `_build/executed/`, each with the record of its run."""

    def __init__(self, root: Path = ROOT):
        self.root = root
        self.folder = root / "_build" / "executed"

    def notebook(self, chapter: Path) -> Path:
        return self.folder / "book" / chapter.name

    def record(self, chapter: Path) -> dict | None:
        """The record of the chapter's last successful run, or None."""
        try:
            found = json.loads((self.folder / f"{chapter.stem}.json").read_text(encoding="utf8"))
        except (OSError, ValueError):
            return None
        return found if self.notebook(chapter).exists() else None

    def is_current(self, chapter: Path, shared: str) -> bool:
        record = self.record(chapter)
        return record is not None and record["key"] == key(read(chapter), shared, self.root)

    def store(self, chapter: Path, executed: Path, record: dict) -> None:
        """Takes over a finished run. The record goes last: without it, the run never was."""
        target = self.notebook(chapter)
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{chapter.stem}.json").unlink(missing_ok=True)
        write_atomically(target, executed.read_text(encoding="utf8"))
        write_atomically(self.folder / f"{chapter.stem}.json", json.dumps(record, indent=1))


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".part")
    try:
        half.write_text(text, encoding="utf8")
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def lay_out(work: Path, root: Path = ROOT) -> None:
    """Makes the empty folder `work` look to a chapter as the repository does."""
    (work / "book").mkdir(parents=True)
    for path in (root / "book").iterdir():
        if path.suffix in {".ipynb", ".md", ".bib"} or path.name in {"assets", "__pycache__"}:
            continue
        if path.name.startswith("."):
            continue
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, work / "book" / path.name)
    results = root / "experiments" / "results"
    if results.is_dir():
        rows = shutil.ignore_patterns("rows")
        shutil.copytree(results, work / "experiments" / "results", ignore=rows)
    (work / "pytest.ini").write_text("[pytest]\n")  # ours has rules for tests, not for chapters


def execute(chapter: Path, shared: str, root: Path = ROOT) -> dict:
    """Executes one chapter in a fresh kernel through nbmake and stores the result.

    Args:
        chapter: the notebook in `book/`.
        shared: see `shared_digest`.
        root: the repository.

    Returns:
        The record: seconds (wall time, kernel start and imports included), peak_mb (kernel and
        its children), date (UTC), machine, versions, key, notes (what the trial of the chapter's
        explorers had to say).

    Raises:
        BookError: a cell failed or ran longer than `TIMEOUT_S`, or an explorer of the chapter does not
            train after the last cell; nothing is stored.
    """
    # Not under _build/: nbmake passes over every path with a folder of that name.
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        return _execute_in(Path(folder), chapter, shared, root)


def _execute_in(work: Path, chapter: Path, shared: str, root: Path) -> dict:
    lay_out(work, root)
    copy = work / "book" / chapter.name
    notebook = read(chapter)
    for cell in code_cells(notebook):
        cell["outputs"], cell["execution_count"] = [], None
    copy.write_text(json.dumps(notebook | {"cells": [*notebook["cells"], TRIAL]}), encoding="utf8")
    output, code, seconds, peak_mb = _run_nbmake(work, copy, root)
    if code:
        raise BookError(failure(chapter, copy, output))
    executed = read(copy)
    trial = executed["cells"].pop()
    write_atomically(copy, json.dumps(executed, indent=1))
    said = "".join("".join(out.get("text", "")) for out in trial["outputs"])
    record = {
        "chapter": chapter.stem,
        "seconds": round(seconds - _seconds_of(trial), 1),
        "peak_mb": round(peak_mb),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "key": key(notebook, shared, root),
        "notes": [line for line in said.splitlines() if line.startswith("note: ")],
    }
    Cache(root).store(chapter, copy, record)
    return record


def _run_nbmake(work: Path, notebook: Path, root: Path) -> tuple[str, int, float, float]:
    """Executes a notebook in place: (what was printed, exit status, seconds, peak memory in MB)."""
    command = [
        sys.executable, "-m", "pytest", "-q", "--nbmake", "--overwrite",
        f"--nbmake-timeout={TIMEOUT_S}", "-p", "nbmake.pytest_plugin", "-p", "no:cacheprovider",
        "-c", str(work / "pytest.ini"), "--rootdir", str(work), str(notebook),
    ]  # fmt: skip
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"}
    env["PYTHONPATH"] = os.pathsep.join([str(root), env.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env.pop("PYTEST_ADDOPTS", None)
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=work, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        memory = _PeakMemory(process.pid)
        memory.start()
        output, _ = process.communicate()
        seconds, peak_mb = time.perf_counter() - started, memory.stop()
    return output, process.returncode, seconds, peak_mb


def _seconds_of(cell: dict) -> float:
    """How long an executed cell took, from the times that its kernel reported."""
    times = cell["metadata"].get("execution", {})
    ends = [times.get("iopub.execute_input"), times.get("shell.execute_reply")]
    if None in ends:
        return 0.0
    # Python 3.10 reads no "Z".
    begun, done = (datetime.fromisoformat(end.replace("Z", "+00:00")) for end in ends)
    return (done - begun).total_seconds()


def failure(chapter: Path, executed: Path, output: str) -> str:
    """Says which chapter and cell failed, and how."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    if "No space left on device" in output:
        return f"{chapter.stem}: no space left on this disk; free some and run again"
    try:
        cells = read(executed)["cells"]
    except (BookError, OSError):
        cells = []
    for index, cell in enumerate(cells):
        if "raises-exception" in cell.get("metadata", {}).get("tags", []):
            continue
        for out in cell.get("outputs", []):
            if out["output_type"] == "error":
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(out["traceback"]))
                title = f"{chapter.stem}, cell {index + 1} of {len(cells)}"
                if cell.get("id") == TRIAL["id"]:
                    title = f"{chapter.stem}, after its last cell"
                return f"{title}: {out['ename']}: {out['evalue']}\n{trace}"
    for index, cell in enumerate(cells):
        times = cell.get("metadata", {}).get("execution", {})
        begun = any(name.startswith("iopub") for name in times)
        if cell["cell_type"] == "code" and begun and "shell.execute_reply" not in times:
            return f"{chapter.stem}, cell {index + 1}: still running after {TIMEOUT_S} s"
    return f"{chapter.stem} could not be executed:\n{output.strip()[-3000:]}"


def noise(executed: dict, root: Path = ROOT) -> list[str]:
    """Outputs that no reader should see (warnings, paths of the machine) or could not see (widgets).

    A cell that shows a warning on purpose carries the tag `shows-warning`.
    """
    warning = re.compile(r"^(WARNING\b.*|W\d{4} .*|.*\b\w*Warning: .*)$", re.MULTILINE)
    found = []
    for number, cell in enumerate(executed["cells"], 1):
        if "shows-warning" in cell.get("metadata", {}).get("tags", []):
            continue
        for out in cell.get("outputs", []):
            shown = "".join(out.get("text", ""))
            if said := warning.search(shown):
                found.append(f"cell {number} prints a warning: {said.group()[:100]}")
            if str(root) in json.dumps(out) or "/ipykernel_" in shown:
                found.append(f"cell {number} prints a path of this machine")
    return found + lost_widgets(executed)


def lost_widgets(executed: dict) -> list[str]:
    """What the published page would lose: a widget needs a kernel, an HTML form beside it does not."""
    view, found = "application/vnd.jupyter.widget-view+json", []
    for number, cell in enumerate(executed["cells"], 1):
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            if view in data and not data.get("text/html"):
                text = "".join(data.get("text/plain", "")).strip()[:60]
                found.append(
                    f"cell {number} shows a widget that the page cannot ({text}); make it an Explorer "
                    "(qkdlib.explore), or display something that has an HTML form"
                )
    return found


def merged(notebook: dict, executed: dict) -> dict:
    """`notebook`, prose and layout as they are now, with the outputs of `executed`.

    Raises:
        BookError: the two hold different numbers of code cells, so they are not the same code.
    """
    now, ran = code_cells(notebook), code_cells(executed)
    if len(now) != len(ran):
        raise BookError(f"{len(ran)} code cells were executed, the chapter has {len(now)}")
    for cell, done in zip(now, ran, strict=True):
        cell["outputs"] = done["outputs"]
        cell["execution_count"] = done["execution_count"]
    return notebook
