"""Rows of the papers' experiments: none lost, none twice, whatever is killed, cut or full."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import joblib
import pytest

from experiments import store as stores
from experiments.runner import Claim, Task, run_claim
from experiments.store import Store

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Square(Task):
    """A task that takes a moment."""

    number: int
    seconds: float = 0.0

    def run(self):
        time.sleep(self.seconds)
        return [self.number**2]


def squares(n=40, seconds=0.0):
    return Claim("squares", "", "", lambda small: [([i, 0], Square(i, seconds)) for i in range(n)])


def found(folder):
    return {row["at"][0]: row["found"] for row in Store(folder / "squares.jsonl").rows.values()}


def lines(folder):
    return [json.loads(line) for line in (folder / "squares.jsonl").read_text().splitlines()]


def test_rows_are_stored_with_where_they_come_from(tmp_path):
    assert run_claim(squares(3), tmp_path, n_jobs=1) == 0
    run, *rows = lines(tmp_path)
    assert {"commit", "python", "numpy", "machine", "date"} <= set(run)
    assert [row["found"] for row in rows] == [[0], [1], [4]]
    assert {row["run"] for row in rows} == {1}


def test_what_is_done_is_not_done_again(tmp_path):
    run_claim(squares(3), tmp_path, n_jobs=1)
    run_claim(squares(5), tmp_path, n_jobs=1)
    assert found(tmp_path) == {i: [i * i] for i in range(5)}
    assert len(lines(tmp_path)) == 2 + 5
    said = []
    assert run_claim(squares(5), tmp_path, n_jobs=1, say=said.append) == 0
    assert said == ["squares: all 5 tasks are recorded"]


def test_rows_of_another_version_are_kept_and_not_mixed(tmp_path, monkeypatch):
    run_claim(squares(3), tmp_path, n_jobs=1)
    monkeypatch.setattr(Square, "VERSION", 2)
    said = []
    run_claim(squares(3), tmp_path, n_jobs=1, say=said.append)
    assert said == ["squares: 3 row(s) of another version or plan are kept and not used"]
    assert len(Store(tmp_path / "squares.jsonl").rows) == 6


@pytest.mark.parametrize("damage", ["cut", "flipped", "no newline"])
def test_a_damaged_line_is_set_aside_and_its_task_runs_again(tmp_path, damage):
    run_claim(squares(5), tmp_path, n_jobs=1)
    path = tmp_path / "squares.jsonl"
    whole = path.read_bytes()
    rows = whole.splitlines(keepends=True)
    if damage == "cut":
        path.write_bytes(b"".join(rows[:4]) + rows[4][:20])
    elif damage == "flipped":
        path.write_bytes(whole.replace(b'"found":[4]', b'"found":[5]'))
    else:
        path.write_bytes(whole[:-1])
    said = []
    run_claim(squares(5), tmp_path, n_jobs=1, say=said.append)
    assert found(tmp_path) == {i: [i * i] for i in range(5)}
    aside = tmp_path / "squares.damaged"
    assert aside.exists() == (damage != "no newline")
    assert any("set aside in squares.damaged" in text for text in said) == aside.exists()
    assert not Store(path).damaged


def test_a_full_disk_is_said_before_the_result_is_lost(tmp_path, monkeypatch):
    write, calls = stores._write, []

    def full(handle, line):
        calls.append(line)
        if len(calls) == 3:  # provenance, first row, second row
            handle.write(line[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle, line)

    monkeypatch.setattr(stores, "_write", full)
    with pytest.raises(OSError, match=r"no space left for squares\.jsonl: free 2 MB and start again"):
        run_claim(squares(5), tmp_path, n_jobs=1)
    assert found(tmp_path) == {0: [0], 1: [1]}  # the row that did not fit is there
    monkeypatch.undo()
    run_claim(squares(5), tmp_path, n_jobs=1)
    assert found(tmp_path) == {i: [i * i] for i in range(5)}


def test_a_disk_that_is_full_from_the_start_is_said_at_once(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="no space left"):
        run_claim(squares(2), tmp_path, n_jobs=1)
    assert not (tmp_path / "squares.jsonl").exists()


RUNNER = (
    "import sys; sys.path.insert(0, sys.argv[2]); from test_paper_store import *; "
    "run_claim(squares(40, 0.01), Path(sys.argv[1]), n_jobs=int(sys.argv[3]))"
)


def runner(folder, n_jobs=1):
    command = [sys.executable, "-c", RUNNER, str(folder), str(Path(__file__).parent), str(n_jobs)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_runner_that_is_killed_at_any_moment_loses_no_row_and_writes_none_twice(tmp_path):
    chance, kills = random.Random(0), 0
    for _ in range(20):
        process = runner(tmp_path)
        path, before = tmp_path / "squares.jsonl", len(Store(tmp_path / "squares.jsonl").rows)
        while process.poll() is None and len(Store(path).rows) == before:
            time.sleep(0.002)  # its imports take longer than its work
        time.sleep(chance.uniform(0, 0.04))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 5
    run_claim(squares(40, 0.01), tmp_path, n_jobs=1)
    assert found(tmp_path) == {i: [i * i] for i in range(40)}
    keys = [line["key"] for line in lines(tmp_path) if "key" in line]
    assert len(keys) == len(set(keys)) == 40


@pytest.mark.slow
def test_of_two_runners_one_waits_and_neither_loses_a_row(tmp_path):
    both = [runner(tmp_path), runner(tmp_path)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert found(tmp_path) == {i: [i * i] for i in range(40)}
    assert sum("key" in line for line in lines(tmp_path)) == 40


def test_keys_are_contents():
    assert Square(3).key == Square(3).key != Square(4).key


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_on_dask_a_killed_worker_loses_no_row(tmp_path):
    from distributed import Client, LocalCluster

    victims = []

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        victim = min(client.run(os.getpid).values())

        def kill():
            victims.append(len(Store(tmp_path / "squares.jsonl").rows))
            os.kill(victim, signal.SIGKILL)

        killer = threading.Timer(1.0, kill)
        killer.start()
        assert run_claim(squares(40, 0.1), tmp_path) == 0
        killer.join()
    assert victims[0] < 40  # it died before all was done
    assert found(tmp_path) == {i: [i * i] for i in range(40)}
    assert sum("key" in line for line in lines(tmp_path)) == 40
