"""The one gate through which TensorFlow and Keras are imported.

TensorFlow and TensorFlow Quantum print notices of drivers and plugins at C level, into the middle of
a notebook's output; `TF_CPP_MIN_LOG_LEVEL` alone does not stop them. So the GPU is hidden (the
engines run on the processor) and file descriptor 2 points at the null device during the import.
An import that fails prints its Python traceback as usual.
"""

import contextlib
import os
import sys


@contextlib.contextmanager
def quiet_stderr():
    """Points file descriptor 2 at the null device for the length of the block."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all, as under some servers
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(sink)
        os.close(saved)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

with quiet_stderr():
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "qkdlib.models needs TensorFlow, which is not installed here; `make env` installs it "
            "on Linux and on Apple-silicon macOS. The NumPy path, qkdlib.core, works without."
        ) from error

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            f"qkdlib needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()!r}"
        )


def import_tfq():
    """Imports TensorFlow Quantum quietly; ImportError with one clear sentence where it has no wheel."""
    try:
        with quiet_stderr():
            import tensorflow_quantum as tfq
    except ImportError as error:
        raise ImportError(
            'engine "tfq" needs TensorFlow Quantum, which is published for Linux on x86-64 with '
            'Python 3.10 to 3.12 only; choose engine="adjoint" here'
        ) from error
    return tfq


__all__ = ["import_tfq", "keras", "quiet_stderr", "tf"]
