"""Where compiled kernels are kept, so that no chapter waits for the compiler and no upgrade loads
stale code."""

import hashlib
import os
import platform
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numba
import platformdirs
from llvmlite import binding

from qkdlib import __version__

FOLDER_VARIABLE = "QKDLIB_KERNEL_CACHE"
SOURCES = ("kernels.py", "vector.py")


def cache_key():
    """Version, sources, Numba and machine: kernels compiled under another key are never found."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(source(name).read_bytes())
    parts = (numba.__version__, platform.python_version(), platform.machine(), _cpu())
    digest.update("\n".join(parts).encode())
    return f"{__version__}-{digest.hexdigest()[:16]}"


def source(name):
    """Path of a source file of this folder."""
    return Path(__file__).with_name(name)


def beside_the_package():
    """Where compiled code belongs if the installation can be written to."""
    return source("__pycache__") / "kernels"


@cache
def cache_folder():
    """The first folder that can be written: the variable's, beside the package, the user's."""
    choices = [
        beside_the_package(),
        Path(platformdirs.user_cache_dir("qkdlib")) / "kernels",
    ]
    if os.environ.get(FOLDER_VARIABLE):
        choices.insert(0, Path(os.environ[FOLDER_VARIABLE]))
    for choice in choices:
        folder = choice / cache_key()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="qkdlib-kernels-"))  # lives as long as the process


@contextmanager
def kernel_cache():
    """Numba functions with cache=True defined inside are cached in `cache_folder()`."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _cpu():
    return f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
