"""Runs a student's cells and answers calls to what they defined. No test is in this process.

Started by `course.sandbox` as `python -m course.answering` in an empty folder, with limits. It talks on
a pair of pipes of its own: a request is a line of JSON, so is the answer. What a student prints goes
nowhere near them.
"""

import base64
import builtins
import io
import json
import os
import signal
import sys
import traceback

import numpy as np

MAX_ANSWER = 32 * 2**20  # bytes


def pack(value, depth=0):
    """A value as JSON that says what it was.

    Raises:
        TypeError: It is none of the kinds that can be sent.
    """
    if depth > 8:
        raise TypeError("it is nested too deeply")
    if value is None or isinstance(value, bool | str):
        return value
    if type(value) in (int, float):
        return {"number": repr(value)}
    if isinstance(value, np.generic | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind not in "biufcU":
            raise TypeError(f"an array of {array.dtype} cannot be sent")
        memory = io.BytesIO()
        np.save(memory, array, allow_pickle=False)
        return {"array": base64.b64encode(memory.getvalue()).decode()}
    if isinstance(value, dict):
        return {"dict": [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return {
            type(value).__name__ if type(value) is list else "tuple": [pack(v, depth + 1) for v in value]
        }
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def unpack(packed):
    """What `pack` packed."""
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "number":
        return float(content) if any(c in content for c in ".en") else int(content)
    if kind == "array":
        return np.load(io.BytesIO(base64.b64decode(content)), allow_pickle=False)
    if kind == "dict":
        return {unpack(k): unpack(v) for k, v in content}
    return {"list": list, "tuple": tuple}[kind](unpack(v) for v in content)


def run_cells(cells, namespace, seconds=None):
    """Runs cells in order; an error, or more than so many seconds, ends its cell only.

    Returns:
        dict from a cell's name to the line of its error.
    """
    failed = {}
    for name, text in cells:
        try:
            if seconds:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            exec(compile(text, f"<{name or 'cell'}>", "exec"), namespace)
        except BaseException as error:
            failed[name] = _line(error)
        finally:
            if seconds:
                signal.setitimer(signal.ITIMER_REAL, 0)
    return failed


def _too_long(*_):
    raise TimeoutError("the cell took too long")


def answer(request, namespace):
    """The answer to one request: {"call": name, "args": ..., "kwargs": ...} or {"get": name}."""
    try:
        if "get" in request:
            name = request["get"]
            if name not in namespace:
                return {"error": f"NameError: {name} is not defined"}
            value = namespace[name]
            return {"callable": True} if callable(value) else {"value": pack(value)}
        function = namespace[request["call"]]
        args, kwargs = unpack(request["args"]), unpack(request["kwargs"])
        return {"value": pack(function(*args, **kwargs))}
    except BaseException as error:
        return {"error": _line(error)}


def _line(error):
    last = traceback.format_exception_only(type(error), error)
    return "".join(last).strip().splitlines()[-1][:300] if last else type(error).__name__


def main(asked, told):
    """Serves until the other side closes.

    Args:
        asked, told: File descriptors to read requests from and write answers to.
    """
    # What a student's code might replace later is bound now.
    load, dump, write, exit_now = json.loads, json.dumps, os.write, os._exit
    requests = os.fdopen(asked, "r", encoding="utf8")

    def tell(entry):
        text = dump(entry) + "\n"
        if len(text) > MAX_ANSWER:
            text = dump({"error": "the answer is too large to be sent"}) + "\n"
        data = text.encode()
        while data:
            data = data[write(told, data) :]

    first = load(requests.readline())
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    signal.signal(signal.SIGALRM, _too_long)  # a cell that undoes this loses the whole notebook
    tell({"failed": run_cells(first["cells"], namespace, first["seconds"])})
    for line in requests:
        tell(answer(load(line), namespace))
    exit_now(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
