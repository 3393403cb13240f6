"""Arrays kept on disk: written atomically, checked when read, recomputed when in doubt."""

import hashlib
import os
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

# What np.load and a with statement around it raise for a file that is no npz archive: a single array
# has no __enter__, which is a TypeError, or an AttributeError before Python 3.11.
UNREADABLE = (
    ValueError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error
)


def cache_folder(folder=None):
    """The cache's folder: the argument, else the variable QKDLIB_CACHE, else the user's cache."""
    if folder is None:
        folder = os.environ.get("QKDLIB_CACHE")
    if folder is None:
        from platformdirs import user_cache_dir

        folder = user_cache_dir("qkdlib", appauthor=False)
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"cache must name a folder, got {folder!r}")
    return Path(folder).expanduser()


def cached_arrays(path, compute, shapes):
    """Arrays from the file `path` if it is whole, else from `compute()`, which are then stored.

    A file that is truncated, altered or of another layout is recomputed and replaced. Where the file
    cannot be written, a warning says so and work goes on without it.

    Args:
        path: Name of the npz file.
        compute: Function without arguments that returns a dict of arrays.
        shapes: The arrays' shapes by name; a file with others is of another layout.

    Returns:
        A dict of arrays.
    """
    path = Path(path)
    stored = _read(path, shapes)
    if stored is not None:
        return stored
    arrays = {name: np.asarray(value) for name, value in compute().items()}
    try:
        _write(path, arrays)
    except OSError as error:
        warnings.warn(
            f"the cache file {path} could not be written ({error}); going on without it",
            RuntimeWarning,
            stacklevel=2,
        )
    return arrays


def digest(arrays):
    """SHA-256 over names, types, shapes and bytes of a dict of arrays, as hexadecimal text."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _read(path, shapes):
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive}
    except OSError:  # not there, or not to be read
        return None
    except UNREADABLE:
        arrays = {}
    checksum = arrays.pop("checksum", None)
    found = {name: array.shape for name, array in arrays.items()}
    if checksum is None or str(checksum) != digest(arrays) or found != shapes:
        warnings.warn(
            f"the cache file {path} is damaged or not ours and will be computed again",
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    return arrays


def _write(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, checksum=np.array(digest(arrays)), **arrays)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
