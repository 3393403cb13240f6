"""A student's process: namespaces of its own where the system has them, limits, nothing left behind."""

import contextlib
import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course.answering import MAX_ANSWER
from qkdlib.engine.caching import beside_the_package

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: Of running all its cells; a cell has `cell_seconds`, a call `call_seconds`.
        memory_mb: Of address space, of one process.
        processes: At a time.
        file_mb: Of one file that it writes.
    """

    seconds: float = 240.0
    cell_seconds: float = 90.0
    call_seconds: float = 30.0
    memory_mb: int = 4000
    processes: int = 64
    file_mb: int = 64


class Broken(Exception):
    """The student's process did not answer; says why in a few words."""


@cache
def isolation():
    """How a submission is shut in here: "bubblewrap", "namespaces" or "limits"."""
    trials = {
        "bubblewrap": ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
        "namespaces": [*_unshare(), "sh", "-c", "mount -t tmpfs none /run && test ! -e /run/lock"],
    }
    for name, command in trials.items():
        if shutil.which(command[0]):
            done = subprocess.run(command, capture_output=True)
            if done.returncode == 0:
                return name
    return "limits"


def _unshare():
    # Root of its own namespace only, which it needs to cover folders; outside it stays who it is.
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    own = ["--net", "--pid", "--ipc", "--mount", "--mount-proc"]
    return ["unshare", *user, *own, "--fork", "--kill-child"]


class Student:
    """A process that has run a student's cells and answers calls.

    Args:
        cells: Code to run, (name, text) each.
        hidden: Folders that must not be in its reach: the course's sources, other submissions.
        limits: `Limits`.

    Attributes:
        failed: dict from a cell's name to the error that it ended with.
    """

    def __init__(self, cells, hidden=(), limits=None):
        self.limits = limits or Limits()
        self._folder = tempfile.mkdtemp(prefix="student-")
        asked, self._ask = os.pipe()
        self._hear, told = os.pipe()
        os.set_blocking(self._hear, False)
        self._buffer = b""
        work = Path(self._folder, "work")
        work.mkdir()
        # Compiled kernels: a copy, which is the submission's to spoil.
        with contextlib.suppress(OSError):
            shutil.copytree(beside_the_package(), work / "kernels")
        if os.geteuid() == 0:
            for path in (work, *work.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            os.chmod(self._folder, 0o755)
        library = _library(self._folder)
        try:
            self._process = subprocess.Popen(
                _command(work, hidden, library, asked, told), cwd=work, env=_environment(work, library),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(asked, told), start_new_session=True, preexec_fn=self._limit,
            )  # fmt: skip
        finally:
            os.close(asked)
            os.close(told)
        try:
            first = {"cells": cells, "seconds": self.limits.cell_seconds}
            failed = self._ask_for(first, self.limits.seconds).get("failed")
            if not isinstance(failed, dict):
                raise Broken("its process answered nonsense")
            self.failed = {str(name): str(line)[:300] for name, line in failed.items()}
        except Broken:
            self.close()
            raise

    def _limit(self):
        """In the new process: its limits, and its end should this process end first."""
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        limits = self.limits
        size = limits.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_mb * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seconds = int(2 * limits.seconds + 60)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))

    def call(self, name, *args, **kwargs):
        """What the student's function gives.

        Raises:
            Broken: It raised, took too long, or its process died.
        """
        from course.answering import pack, unpack

        request = {"call": name, "args": pack(list(args)), "kwargs": pack(kwargs)}
        return _sense(lambda: unpack(self._answered(request)["value"]))

    def get(self, name):
        """A value that the student's cells made, or a function that calls theirs."""
        from course.answering import unpack

        found = self._answered({"get": name})
        if found.get("callable"):
            return lambda *args, **kwargs: self.call(name, *args, **kwargs)
        return _sense(lambda: unpack(found["value"]))

    def _answered(self, request):
        found = self._ask_for(request, self.limits.call_seconds)
        if "error" in found:
            raise Broken(str(found["error"])[:300])
        return found

    def _ask_for(self, request, seconds):
        try:
            data = (json.dumps(request) + "\n").encode()
            while data:
                data = data[os.write(self._ask, data) :]
        except OSError:
            raise Broken("its process has ended") from None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._hear, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.close()
                    raise Broken(f"it took longer than {seconds:.0f} s")
                if not selector.select(min(left, 1.0)):
                    continue
                piece = os.read(self._hear, 2**16)
                self._buffer += piece
                if not piece:
                    raise Broken("its process has ended (out of memory, or it ended itself)")
                if len(self._buffer) > 2 * MAX_ANSWER:
                    self.close()
                    raise Broken("its answer is too large")
        line, _, self._buffer = self._buffer.partition(b"\n")
        found = _sense(json.loads, line)
        if not isinstance(found, dict):
            raise Broken("its process answered nonsense")
        return found

    def close(self):
        """Ends the process and whatever it started; its folder goes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for end in ("_ask", "_hear"):
            if getattr(self, end) is not None:
                os.close(getattr(self, end))
                setattr(self, end, None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if getattr(self, "_ask", None) is not None:
            self.close()


def _sense(read, *given):
    """What a reader makes of an answer, which may be anything.

    Raises:
        Broken: It makes nothing of it.
    """
    try:
        return read(*given)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, EOFError, MemoryError):
        raise Broken("its process answered nonsense") from None


def _library(folder):
    """A copy of the answering side; with `qkdlib`, which stays where it is, all that may be imported."""
    library = Path(folder, "library")
    (library / "course").mkdir(parents=True)
    (library / "course" / "__init__.py").write_text("")
    shutil.copy2(ROOT / "course" / "answering.py", library / "course" / "answering.py")
    return library


def _environment(work, library):
    """Nothing of the instructor's environment."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    own = dict.fromkeys(("HOME", "TMPDIR", "QKDLIB_CACHE"), str(work))
    own |= {"QKDLIB_KERNEL_CACHE": str(work / "kernels"), "PYTHONPATH": f"{library}:{ROOT}"}
    python = {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg", "LANG": "C.UTF-8"}
    return {"PATH": "/usr/bin:/bin", **own, **python, **threads}


def _command(work, hidden, library, asked, told):
    run = [sys.executable, "-s", "-m", "course.answering", str(asked), str(told)]
    places = (tempfile.gettempdir(), *hidden, ROOT, Path.home())
    covered = sorted({str(Path(place).resolve()) for place in places if Path(place).exists()})
    kept = dict.fromkeys((sys.prefix, sys.base_prefix, str(ROOT / "qkdlib"), str(library)), "ro")
    kept[str(work)] = "rw"
    how = isolation()
    if how == "bubblewrap":
        covers = [word for path in covered for word in ("--tmpfs", path)]
        binds = [w for path, way in kept.items() for w in (_BINDS[way], path, path)]
        shut = ["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc"]
        return ["bwrap", *shut, "--dev", "/dev", *covers, *binds, "--chdir", str(work), *run]
    if how == "namespaces":
        return [*_unshare(), "sh", "-c", _cover(covered, kept, work), "sh", *_as_nobody(), *run]
    return run


_BINDS = {"ro": "--ro-bind", "rw": "--bind"}


def _as_nobody():
    """What takes away every right: to uncover what is covered, to be somebody."""
    few = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    if os.geteuid() != 0:
        return ["setpriv", *few]
    who = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return ["setpriv", *who, *few, "prlimit", f"--nproc={Limits().processes}"]


def _cover(covered, kept, work):
    """A script that hides folders behind empty ones, all but what is kept, and runs what it is given."""
    lines = ["set -e", "mount --make-rprivate /", "mount -t tmpfs none /run"]
    held = {path: f"/run/kept-{number}" for number, path in enumerate(kept)}
    for path, here in held.items():  # held open before what lies above them is covered
        lines += [f"mkdir {here}", f"mount --bind '{path}' {here}"]
        lines += [f"mount -o remount,bind,ro {here}"] if kept[path] == "ro" else []
    lines += [f"mkdir -p '{path}'; mount -t tmpfs -o mode=755 none '{path}'" for path in covered]
    lines += [f"mkdir -p '{path}'; mount --bind {here} '{path}'" for path, here in held.items()]
    return "; ".join([*lines, f"cd '{work}'", 'exec "$@"'])
