"""Tasks, the claims that they belong to, and what runs them: nothing here knows what is computed."""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.store import Store
from qkdlib.parallel import run_jobs
from qkdlib.progress import Bar


class Task:
    """What can be run: a frozen dataclass that says all that decides its result.

    Its key is its content and `VERSION`: raise that where a change of code changes results (a test runs
    recorded tasks again and fails where it was forgotten). Rows of another version are kept, not read.
    """

    VERSION = 1

    @property
    def key(self):
        """16 hexadecimal digits: of the class, its version, and every field."""
        content = [type(self).__name__, self.VERSION, asdict(self)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def run(self):
        """What is found: numbers, named by `columns()`, or rows of them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Claim:
    """A file of rows.

    Attributes:
        name: Of the file, and of `CLAIM=name`.
        title: In words.
        paper: Which claim it belongs to.
        tasks: Function (small) -> list of (at, `Task`), where `at` names a task for readers: [reading,
            seed].
    """

    name: str
    title: str
    paper: str
    tasks: Callable[[bool], list[tuple[list, Task]]]


def run_task(task):
    """(what a task found, seconds)."""
    started = time.perf_counter()
    return task.run(), time.perf_counter() - started


def run_claim(claim, folder, *, small=False, n_jobs=None, minutes=None, say=print):
    """Runs the tasks of a claim that have no row yet; each row is stored as it comes.

    Args:
        claim: A `Claim`.
        folder: Where the rows are.
        small: Whether to run the small version.
        n_jobs: As in joblib.
        minutes: Stop after so long; None: at the end.

    Returns:
        Number of rows that are missing still.
    """
    tasks, store = claim.tasks(small), Store(Path(folder) / f"{claim.name}.jsonl", say)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    with store.writing():
        wanted = {task.key for _, task in tasks}
        todo = [(at, task) for at, task in tasks if task.key not in store.rows]
        if others := len(set(store.rows) - wanted):
            say(f"{claim.name}: {others} row(s) of another version or plan are kept and not used")
        if not todo:
            say(f"{claim.name}: all {len(tasks)} tasks are recorded")
            return 0
        bar = Bar(f"{claim.name} ({len(tasks) - len(todo)} recorded)", len(todo), "tasks", refresh=5)

        def keep(i, result):
            at, task = todo[i]
            store.add(task.key, *result, at)
            left = (len(todo) - bar.done - 1) * (time.perf_counter() - started) / (bar.done + 1)
            bar.advance(f"{left / 60:.0f} min left")
            if deadline is not None and time.monotonic() > deadline:
                raise _Enough

        started, names = time.perf_counter(), [f"{claim.name} {at}" for at, _ in todo]
        with contextlib.suppress(_Enough):
            run_jobs(run_task, [(task,) for _, task in todo], names=names, n_jobs=n_jobs, done=keep)
        bar.close()
        return sum(task.key not in store.rows for _, task in tasks)


class _Enough(Exception):
    """The time that was given has passed."""
