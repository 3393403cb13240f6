"""Rows of results in files of JSON lines, one file a claim: appended, checked, never lost.

A line is a run's provenance, `{"run": 3, "commit": ...}`, or a row, `{"key": ..., "found": [...]}` with
the number of its run. Each ends in a checksum of itself. Rows are appended by the one process that holds
the file's lock; a line that was cut off or altered is set aside in `<name>.damaged`, and its task runs
again.
"""

import contextlib
import errno
import json
import os
import platform
import subprocess
import zlib
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

RESERVE = 2**20  # bytes kept free, so that a row that was computed can still be written
PACKAGES = ("numpy", "scipy", "numba", "cirq-core", "scikit-learn")


class Store:
    """One file of rows.

    Args:
        path: The file, `<claim>.jsonl`; made with its folder when the first row is written.
        say: Called with a line of text where a user should know of something.

    Attributes:
        rows: dict from a task's key to its row, a dict with "found", "seconds", "at" and "run".
    """

    def __init__(self, path, say=print):
        self.path, self.say, self.rows, self._runs = Path(path), say, {}, []
        self._handle = self._run = None
        self.read()

    def read(self):
        """Reads the file; lines that are no whole rows are counted in `damaged`."""
        self.rows, self._runs, self._good, self.damaged = {}, [], [], []
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in filter(None, lines):
            entry = _opened(line)
            if entry is None:
                self.damaged.append(line)
                continue
            self._good.append(line)
            if "key" in entry:
                self.rows[entry["key"]] = entry
            else:
                self._runs.append(entry)

    def provenance(self):
        """What is known of each run that wrote here, a list of dicts."""
        return list(self._runs)

    @contextlib.contextmanager
    def writing(self):
        """Holds the file for this process; a second runner waits here until the first has ended.

        Raises:
            OSError: The disk is full, said before anything is computed.
        """
        import fcntl

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.say(f"{self.path.name}: another runner is at work on it; waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self.read()
            self._reserve()
            self._mend()
            with open(self.path, "ab", buffering=0) as self._handle:
                try:
                    yield self
                finally:
                    self._run = None
                    self._spare.unlink(missing_ok=True)

    def add(self, key, found, seconds, at):
        """Appends a row and makes sure that it is on the disk.

        Raises:
            OSError: The disk is full; the row was still written, from what was kept free.
        """
        if self._run is None:
            self._run = len(self._runs) + 1
            self._runs.append({"run": self._run, **provenance()})
            self._append(self._runs[-1])
        row = {"key": key, "at": at, "found": found, "seconds": round(seconds, 3), "run": self._run}
        self._append(row)
        self.rows[key] = row

    def _append(self, entry):
        line, end = _sealed(entry) + b"\n", self._handle.seek(0, os.SEEK_END)
        try:
            _write(self._handle, line)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._handle.truncate(end)
            self._spare.unlink(missing_ok=True)
            _write(self._handle, line)
            raise _full(self.path) from None

    @property
    def _spare(self):
        return self.path.with_suffix(".spare")

    def _reserve(self):
        try:
            with open(self._spare, "wb") as spare:
                os.posix_fallocate(spare.fileno(), 0, RESERVE)
        except OSError as error:
            self._spare.unlink(missing_ok=True)
            raise _full(self.path) if error.errno == errno.ENOSPC else error from None

    def _mend(self):
        """Sets damaged lines aside; the good ones replace the file at once."""
        if not self.damaged and (not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")):
            return
        if self.damaged:
            aside = self.path.with_suffix(".damaged")
            with open(aside, "ab") as handle:
                handle.write(b"\n".join(self.damaged) + b"\n")
            n = len(self.damaged)
            self.say(f"{self.path.name}: {n} damaged line(s) set aside in {aside.name}; they run again")
        whole = self.path.with_suffix(".new")
        whole.write_bytes(b"".join(line + b"\n" for line in self._good))
        os.replace(whole, self.path)
        self.damaged = []


def provenance():
    """Where and with what a run was made; nothing that names the machine."""
    root = Path(__file__).resolve().parent.parent
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        commit = subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "unknown"
    except OSError:
        commit = "unknown"
    versions = {name: metadata.version(name) for name in PACKAGES}
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {
        "commit": commit,
        "python": platform.python_version(),
        **versions,
        "machine": machine,
        "date": date,
    }


def _sealed(entry):
    body = json.dumps(entry, separators=(",", ":"))
    return f'{body[:-1]},"crc":{zlib.crc32(body.encode())}}}'.encode()


def _opened(line):
    """The entry of a line, or None where the line is not what was written."""
    body, mark, crc = line.rpartition(b',"crc":')
    if not mark or not crc[:-1].isdigit() or zlib.crc32(body + b"}") != int(crc[:-1]):
        return None
    return json.loads(body + b"}")


def _write(handle, line):
    if handle.write(line) != len(line):  # a short write: the disk took a part of it
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle.fileno())


def _full(path):
    return OSError(
        errno.ENOSPC,
        f"no space left for {path.name}: free {2 * RESERVE // 2**20} MB and start again; "
        "what was computed is kept",
    )
