"""Checks of arguments that several rooms share: each error names the argument, what came and what
is allowed."""

import numbers
import warnings

import numpy as np


def check_count(name, value, minimum=1, maximum=None):
    """Returns `value` as an int; TypeError unless it is an integer, ValueError outside the range."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r} ({type(value).__name__})")
    if value < minimum or (maximum is not None and value > maximum):
        allowed = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return int(value)


def check_number(name, value, minimum=-np.inf, maximum=np.inf, open_minimum=False):
    """Returns `value` as a float; it must be a finite real number within the bounds."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r} ({type(value).__name__})")
    value = float(value)
    below = value <= minimum if open_minimum else value < minimum
    if not np.isfinite(value) or below or value > maximum:
        bounds = f"{'(' if open_minimum else '['}{minimum:g}, {maximum:g}]"
        raise ValueError(f"{name} must be a finite number in {bounds}, got {value}")
    return value


def check_choice(name, value, choices):
    """Returns `value`; ValueError unless it is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def check_matrix(name, values, n_columns=None, dtype=float):
    """Returns `values` as a finite array [rows, n_columns]; a single vector becomes one row."""
    try:
        with warnings.catch_warnings():
            # A complex vector where a real one is wanted loses its imaginary part: refuse it.
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            array = np.atleast_2d(np.asarray(values).astype(dtype))
    except (TypeError, ValueError, np.exceptions.ComplexWarning) as error:
        raise TypeError(
            f"{name} must be an array of {np.dtype(dtype).name} numbers, "
            f"got {type(values).__name__}: {error}"
        ) from None
    if array.ndim != 2 or (n_columns is not None and array.shape[1] != n_columns):
        columns = "n" if n_columns is None else n_columns
        raise ValueError(f"{name} must have shape [batch, {columns}], got {np.shape(values)}")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ValueError(f"{name} must be finite, but row {row} holds NaN or infinity")
    return array


def check_labels(name, labels, n_classes, n_samples=None):
    """Returns `labels` as int64 [n]; each must be an integer in [0, n_classes)."""
    array = np.asarray(labels)
    if array.ndim != 1 or (n_samples is not None and len(array) != n_samples):
        rows = "n" if n_samples is None else n_samples
        raise ValueError(f"{name} must have shape [{rows}], got {array.shape}")
    if not np.issubdtype(array.dtype, np.number) or not np.all(np.equal(np.mod(array, 1), 0)):
        raise TypeError(f"{name} must be integer class labels, got dtype {array.dtype}")
    outside = (array < 0) | (array >= n_classes)
    if outside.any():
        raise ValueError(
            f"{name} must lie in [0, {n_classes}), but entry {int(outside.argmax())} is "
            f"{array[outside][0]}"
        )
    return array.astype(np.int64)
