"""Training behind an explorer: one run at a time, in a thread, a message every few hundredths.

A kernel answers no message while it computes, so a run in the main thread could not be stopped. It
takes place in a thread instead, step by step: between two steps the run can be stopped, and the
runs of two explorers take turns, so no trainer needs to be thread-safe.
"""

import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from qkdlib.explore.panels import MAX_POINTS

MESSAGE_S = 0.04  # the eye does not follow faster, and the page has to draw every message
_TURN = threading.Lock()


@dataclass
class Live:
    """What a trainer yields after a step.

    Args:
        progress: How much of the run is done, from 0 to 1.
        curves: Name of a `Curve` -> (x, y) so far. A new name makes a new curve.
        readouts: Label of a `Readout` -> number.
        panels: Title of a heat map, of bars or of spheres -> its values for this setting.
    """

    progress: float
    curves: Mapping = field(default_factory=dict)
    readouts: Mapping = field(default_factory=dict)
    panels: Mapping = field(default_factory=dict)


def plain(values):
    """Numbers as the page reads them: a flat list, None for what is not finite."""
    array = np.asarray(values, float).ravel()
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in array.tolist()]


def thin(x, y):
    """At most `MAX_POINTS` evenly spaced points of a curve, its ends included."""
    x, y = plain(x), plain(y)
    if len(x) != len(y):
        raise ValueError(f"a live curve needs as many x as y, got {len(x)} and {len(y)}")
    if len(x) <= MAX_POINTS:
        return {"x": x, "y": y}
    keep = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).round().astype(int)).tolist()
    return {"x": [x[i] for i in keep], "y": [y[i] for i in keep]}


class Progress:
    """Collects what a trainer yields into the message that the page draws."""

    def __init__(self, curve):
        self._curve = curve
        self._points = {}

    def message(self, step):
        """The message for one yielded step: a `Live`, or (x, y, progress).

        Raises:
            TypeError: Neither of the two.
        """
        if not isinstance(step, Live):
            if not isinstance(step, tuple) or len(step) != 3:
                raise TypeError(f"a trainer yields Live(...) or (x, y, progress), got {step!r}")
            step = self._extended(*step)
        return {
            "progress": float(step.progress),
            "curves": {str(k): thin(*xy) for k, xy in step.curves.items()},
            "readouts": {str(k): plain(v)[0] for k, v in step.readouts.items()},
            "panels": {str(k): plain(v) for k, v in step.panels.items()},
        }

    def _extended(self, x, y, progress):
        for name, value in (y if isinstance(y, Mapping) else {self._curve: y}).items():
            xs, ys = self._points.setdefault(name, ([], []))
            xs.append(x)
            ys.append(value)
        return Live(progress, self._points)


class StopTraining(BaseException):
    """Ends a run from within; not an `Exception`, so that a trainer does not catch it unawares."""


class Report:
    """What a run calls after each step: tells the page, lets others have their turn, or stops.

    Raises:
        StopTraining: The reader asked to stop.
    """

    def __init__(self, progress, send, stopped):
        self._progress, self._send, self._stopped = progress, send, stopped
        self._last, self._message = 0.0, None

    def __call__(self, step):
        self._message = self._progress.message(step)
        if self._stopped.is_set():
            self.flush()
            raise StopTraining
        if time.perf_counter() - self._last >= MESSAGE_S:
            self.flush()
        _TURN.release()
        time.sleep(0)  # hands the interpreter to a run that waits for its turn
        _TURN.acquire()

    def flush(self):
        """Sends what the page has not seen yet."""
        if self._message is not None:
            self._send("update", **self._message)
            self._last, self._message = time.perf_counter(), None


def takes_report(trainer):
    """Whether a trainer wants to be handed the function that it reports to."""
    return "report" in inspect.signature(trainer).parameters


class Training:
    """Runs a trainer for an explorer, the latest request only.

    Args:
        trainer: Called with the controls' values as keywords. It returns an iterator of steps (a
            generator) or one step; or, if it has a parameter `report`, calls that with each step.
        curve: Name of the curve that a step (x, y, progress) extends.
        send: Called with each message for the page, from the run's thread.
    """

    def __init__(self, trainer, curve, send):
        self._trainer, self._curve, self._send = trainer, curve, send
        self._reports = takes_report(trainer)
        self._lock = threading.Lock()
        self._thread, self._stopped = None, threading.Event()

    def start(self, run, values):
        """Starts the run called `run`; one that is under way ends after its present step."""
        with self._lock:
            self._stopped.set()
            before, self._stopped = self._thread, threading.Event()
            context = contextvars.copy_context()  # the kernel keeps there whom it answers
            self._thread = threading.Thread(
                target=context.run, args=(self._run, run, values, before, self._stopped), daemon=True
            )
            self._thread.start()

    def stop(self):
        """Ends the run after its present step."""
        with self._lock:
            self._stopped.set()

    def join(self, timeout=None):
        """Waits for the run; returns whether it has ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self, run, values, before, stopped):
        if before is not None:
            before.join()

        def send(kind, **more):
            self._send({"kind": kind, "run": run, "values": values, **more})

        report = Report(Progress(self._curve), send, stopped)
        started, error = time.perf_counter(), None
        with _TURN:
            try:
                send("started")
                self._train(values, report)
                report.flush()
            except StopTraining:
                pass
            except Exception as problem:  # whatever it is, the reader sees it, the kernel lives on
                error = f"{type(problem).__name__}: {problem}"
        send("ended", seconds=time.perf_counter() - started, stopped=stopped.is_set(), error=error)

    def _train(self, values, report):
        result = self._trainer(**values, **({"report": report} if self._reports else {}))
        if isinstance(result, Iterator):
            with contextlib.closing(result) if hasattr(result, "close") else contextlib.nullcontext():
                for step in result:
                    report(step)
        elif result is not None:
            report(result)
