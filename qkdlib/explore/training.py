"""Training behind an explorer: one run at a time, in a thread, a message every few hundredths.

A kernel answers no message while it computes, so a run in the main thread could not be stopped. It
takes place in a thread instead, step by step: between two steps the run can be stopped, and the
runs of two explorers take turns, so no trainer needs to be thread-safe.
"""

import contextvars
import inspect
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qkdlib.explore.panels.curves import MAX_POINTS

MESSAGE_S = 0.04  # the eye does not follow faster, and the page has to draw every message
_TURN = threading.Lock()


@dataclass
class Live:
    """What a trainer reports after a step.

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


def check_trainer(trainer, controls):
    """Raises TypeError unless `trainer` can be called as `trainer(**values, report=...)`."""
    names = [control.name for control in controls]
    wanted = (
        f"trainer must take the keywords {', '.join(names)} and report, and call "
        "report(Live(progress, curves, ...)) after each step"
    )
    if not callable(trainer):
        raise TypeError(f"{wanted}; got {trainer!r}")
    try:
        inspect.signature(trainer).bind(**dict.fromkeys([*names, "report"]))
    except (TypeError, ValueError) as problem:
        raise TypeError(f"{wanted}; {getattr(trainer, '__name__', trainer)}: {problem}") from None


def message_of(step, spec):
    """What a trainer reported, as the page reads it.

    Args:
        step: A `Live`.
        spec: What the explorer packed for the page; readouts and panels must be in it.

    Raises:
        TypeError, ValueError: Something in it could not be drawn.
    """
    sizes = {p["title"]: p["values"]["n"] for p in spec["panels"] if "values" in p}
    sizes_of = {"readouts": {r["label"]: 1 for r in spec["readouts"]}, "panels": sizes}
    message = {
        "progress": _plain("progress", step.progress)[0],
        "curves": {str(name): _thin(name, xy) for name, xy in step.curves.items()},
    }
    for kind, known in sizes_of.items():
        message[kind] = {}
        for name, values in getattr(step, kind).items():
            if name not in known:
                there = ", ".join(map(repr, known)) or "none that can be"
                raise ValueError(f"{kind} of Live must be among {there}, got {name!r}")
            found = _plain(f"{kind}[{name!r}] of Live", values)
            if len(found) != known[name]:
                raise ValueError(
                    f"{kind}[{name!r}] of Live must hold {known[name]} numbers, got {len(found)}"
                )
            message[kind][name] = found[0] if kind == "readouts" else found
    return message


def _numbers(name, values):
    """`values` as a flat array; NaN for what is masked."""
    try:
        return np.ma.filled(np.ma.asarray(values, float), np.nan).ravel()
    except (TypeError, ValueError) as problem:
        raise TypeError(f"{name} must be numbers: {problem}") from None


def _plain(name, values):
    """Numbers as the page reads them: a flat list, None for what is not finite."""
    values = _numbers(name, values).tolist()
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values]


def _thin(name, xy):
    """At most `MAX_POINTS` evenly spaced points of a curve, its ends included."""
    try:
        x, y = xy
    except (TypeError, ValueError):
        raise TypeError(f"curves[{name!r}] of Live must be a pair (x, y), got {xy!r}") from None
    x, y = (_numbers(f"{key} of the live curve {name!r}", v) for key, v in (("x", x), ("y", y)))
    if len(x) != len(y):
        raise ValueError(f"the live curve {name!r} needs as many x as y, got {len(x)} and {len(y)}")
    if len(x) > MAX_POINTS:
        keep = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).round().astype(int))
        x, y = x[keep], y[keep]
    return {"x": _plain("x", x), "y": _plain("y", y)}


class StopTraining(BaseException):
    """Ends a run from within; not an `Exception`, so that a trainer does not catch it unawares."""


class Report:
    """What a run calls after each step: tells the page, lets others have their turn, or stops.

    Args:
        spec: See `message_of`.
        send: Called with each message that is due.
        stopped: Called after each step; the run ends where it returns True.

    Raises:
        TypeError, ValueError: See `message_of`.
        StopTraining: The run is to end.
    """

    def __init__(self, spec, send, stopped):
        self._spec, self._send, self._stopped = spec, send, stopped
        self._last, self._step = 0.0, None
        self.said = None  # the last message

    def __call__(self, step):
        if not isinstance(step, Live):
            raise TypeError(f"report takes a Live(progress, curves, ...), got {step!r}")
        self._step = step
        if self._stopped():
            self.flush()
            raise StopTraining
        if time.perf_counter() - self._last >= MESSAGE_S:
            self.flush()
        _TURN.release()
        time.sleep(0)  # hands the interpreter to a run that waits for its turn
        _TURN.acquire()

    def flush(self):
        """Sends what the page has not seen yet."""
        if self._step is not None:
            self.said = message_of(self._step, self._spec)
            self._send(self.said)
            self._last, self._step = time.perf_counter(), None


class Training:
    """Runs a trainer for an explorer, the latest request only.

    Args:
        trainer: Called with the controls' values and `report` as keywords; what it returns is ignored.
        spec: See `message_of`.
        send: Called with each message for the page, from the run's thread.
    """

    def __init__(self, trainer, spec, send):
        self._trainer, self._spec, self._send = trainer, spec, send
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

    def once(self, values, limit_s):
        """Runs the trainer here and now, at most until its first report after `limit_s` seconds.

        Returns:
            (message, seconds, ended): the last report as the page would read it, or None; the wall
            time; whether the run came to its end.

        Raises:
            Whatever the trainer raises.
        """
        started = time.perf_counter()
        report = Report(self._spec, lambda _: None, lambda: time.perf_counter() - started > limit_s)
        ended = self._train(values, report)
        return report.said, time.perf_counter() - started, ended

    def _run(self, run, values, before, stopped):
        if before is not None:
            before.join()

        def send(kind, **more):
            self._send({"kind": kind, "run": run, "values": values, **more})

        report = Report(self._spec, lambda message: send("update", **message), stopped.is_set)
        started, error = time.perf_counter(), None
        send("started")
        try:
            if self._train(values, report) and report.said is None:
                error = "the trainer reported nothing: it must call report(Live(...))"
        except Exception as problem:  # whatever it is, the reader sees it, the kernel lives on
            error = f"{type(problem).__name__}: {problem}"
        send("ended", seconds=time.perf_counter() - started, stopped=stopped.is_set(), error=error)

    def _train(self, values, report):
        """Calls the trainer; returns whether it came to its end."""
        with _TURN:
            try:
                self._trainer(**values, report=report)
                report.flush()
            except StopTraining:
                return False
        return True
