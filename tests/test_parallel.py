"""Runs in several processes: the same result, whatever happens to the processes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from toys import toy_data, toy_model

from qkdlib.core import Distilled, NoTeacher, ShuffledTeacher, compare
from qkdlib.parallel import ATTEMPTS, run_jobs

MODEL, (X, Y) = toy_model(), toy_data(30)


def noted(folder, number):
    """A job: notes that it runs, and kills its process where a file says so."""
    with open(Path(folder) / "runs", "a") as file:
        file.write(f"{number}\n")
    fatal = Path(folder) / f"fatal {number}"
    if fatal.exists():
        left = int(fatal.read_text()) - 1
        fatal.unlink() if left == 0 else fatal.write_text(str(left))
        time.sleep(0.5)  # what others have done has come by now
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def runs(folder):
    return sorted(map(int, (folder / "runs").read_text().split()))


def run(folder, count=6):
    jobs = [(folder, number) for number in range(count)]
    return run_jobs(noted, jobs, names=[f"seed {number}" for number in range(count)], n_jobs=2)


def test_results_come_in_the_order_of_the_jobs(tmp_path):
    seen = {}
    jobs = [(tmp_path, number) for number in range(5)]
    found = run_jobs(noted, jobs, names=list("abcde"), done=seen.__setitem__)
    assert found == [0, 1, 4, 9, 16]
    assert seen == dict(enumerate(found))


@pytest.mark.slow
def test_a_killed_worker_loses_no_finished_run(tmp_path):
    (tmp_path / "fatal 4").write_text("1")
    assert run(tmp_path) == [0, 1, 4, 9, 16, 25]
    counts = {number: runs(tmp_path).count(number) for number in range(6)}
    assert counts[4] == 2
    assert [counts[number] for number in range(4)] == [1, 1, 1, 1]


@pytest.mark.slow
def test_a_job_that_kills_every_worker_is_named(tmp_path):
    (tmp_path / "fatal 1").write_text("99")
    message = f"worker processes died {ATTEMPTS} times; not finished: .*seed 1"
    with pytest.raises(RuntimeError, match=message):
        run(tmp_path, 3)
    assert runs(tmp_path).count(1) == ATTEMPTS


@dataclass(frozen=True)
class Fatal(NoTeacher):
    """Kills its process the first time that it is asked with seed 1."""

    folder: str = ""

    def loss(self, labels, teacher_logits, n_classes, seed):
        mark = Path(self.folder) / "died"
        if seed == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(labels, teacher_logits, n_classes, seed)


@pytest.mark.slow
def test_compare_gives_the_same_table_whatever_dies(tmp_path):
    def table(**options):
        conditions = [NoTeacher(), Distilled(1.0, 0.9), ShuffledTeacher(1.0, 0.9)]
        conditions += [Fatal(name="fatal", folder=str(tmp_path))] * ("n_jobs" in options)
        teacher = toy_model(2).logits(toy_model(2).initial_weights(seed=9), X)
        found = compare(
            MODEL, (X, Y), (X, Y), conditions, seeds=4, teacher_logits=teacher, n_steps=8,
            progress=False, **options,
        )  # fmt: skip
        return found.table[found.table["condition"] != "fatal"]

    assert table().equals(table(n_jobs=2))
    assert (tmp_path / "died").exists()


# A script that a test interrupts: seeds 0 and 1 finish, the others wait for a file.
WAITING = """
    import sys, time
    from dataclasses import dataclass
    from pathlib import Path
    from qkdlib.core import NoTeacher

    FOLDER = Path(__file__).parent

    @dataclass(frozen=True)
    class Waiting(NoTeacher):
        def loss(self, labels, teacher_logits, n_classes, seed):
            with open(FOLDER / "runs", "a") as file:
                file.write(f"{seed}\\n")
            while seed > 1 and not (FOLDER / "go").exists():
                time.sleep(0.05)
            return super().loss(labels, teacher_logits, n_classes, seed)
"""
SCRIPT = """
    from joblib import Memory
    from toys import toy_data, toy_model
    from qkdlib.core import compare
    from waiting import FOLDER, Waiting

    data = toy_data(30)
    found = compare(toy_model(), data, data, [Waiting()], seeds=4, n_steps=8, progress=False,
                    n_jobs=2, memory=Memory(FOLDER / "memory", verbose=0))
    print(found.table.to_csv())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_an_ended_comparison_leaves_no_process_and_goes_on_where_it_was(kind, tmp_path):
    for name, text in (("waiting.py", WAITING), ("script.py", SCRIPT)):
        (tmp_path / name).write_text(textwrap.dedent(text))
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])

    def start():
        return subprocess.Popen(
            [sys.executable, "script.py"], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip

    first = start()
    deadline = time.monotonic() + 240
    while not (tmp_path / "runs").exists() or len(runs(tmp_path)) < 4:
        assert first.poll() is None, first.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert runs(tmp_path) == [0, 1, 2, 3]
    family = psutil.Process(first.pid).children(recursive=True)
    assert len(family) >= 2
    first.send_signal(kind)
    first.communicate(timeout=30)
    assert first.returncode != 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []

    (tmp_path / "go").touch()
    second = start()
    table, errors = second.communicate(timeout=240)
    assert second.returncode == 0, errors
    assert runs(tmp_path) == [0, 1, 2, 2, 3, 3]  # 0 and 1 were finished
    data, options = toy_data(30), {"seeds": 4, "n_steps": 8, "progress": False}
    alone = compare(toy_model(), data, data, [NoTeacher()], **options).table
    assert table.strip() == alone.to_csv().strip()
