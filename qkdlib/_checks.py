"""Checks of arguments that several rooms share: each error names the argument, what came and what
is allowed."""

import math
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


def check_seed(name, seed):
    """Returns `seed` as an int; it must be an integer in [0, 2**63)."""
    return check_count(name, seed, 0, 2**63 - 1)


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
    if isinstance(value, np.ndarray) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def check_type(name, value, kind):
    """Returns `value`; TypeError unless it is of class `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of class {kind.__name__}, got {value!r:.60}")
    return value


def check_list(name, values, kind):
    """Returns `values` as a list of objects of class `kind`; a single one becomes a list of one."""
    alone = isinstance(values, (kind, str)) or not np.iterable(values)
    return [check_type(f"{name}[{i}]", v, kind) for i, v in enumerate([values] if alone else values)]


def check_function(name, value):
    """Returns `value`; TypeError unless it can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r:.60}")
    return value


def check_finite(name, values):
    """Returns `values` as a float64 array of any shape; they must be real and finite."""
    try:
        if values is None or np.iscomplexobj(values):
            raise TypeError
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be real numbers, got {values!r:.60}") from None
    # The product comes first: a training step of two qubits would feel `isfinite`.
    if not math.isfinite(np.vdot(array, array)) and not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but hold NaN or infinity")
    return array


def check_vector(name, values, size):
    """Returns `values` as a finite float64 array [size]."""
    array = check_finite(name, values)
    if array.shape != (size,):
        raise ValueError(f"{name} must have shape [{size}], got {array.shape}")
    return array


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


NORM_TOLERANCE = 1e-3  # states in single precision that were normalised once lie far within


def check_states(name, states, n_qubits=None):
    """Returns `states` as a C-contiguous complex64 array [batch, 2**n_qubits]; a single state becomes
    one row. They must be finite and of norm 1, to `NORM_TOLERANCE`."""
    try:
        array = np.atleast_2d(np.asarray(states))
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"{name} must be an array of complex numbers: {error}") from None
    if not np.issubdtype(array.dtype, np.number):
        raise TypeError(f"{name} must be complex numbers, got dtype {array.dtype}")
    width = array.shape[-1]
    is_power = width >= 2 and not width & (width - 1)
    if array.ndim != 2 or not is_power or (n_qubits is not None and width != 1 << n_qubits):
        wanted = "2**n_qubits" if n_qubits is None else 1 << n_qubits
        raise ValueError(f"{name} must have shape [batch, {wanted}], got {np.shape(states)}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused below
        array = np.ascontiguousarray(array, np.complex64)
    parts = array.view(np.float32)
    norms = np.einsum("br,br->b", parts, parts)
    if not np.isfinite(norms).all():
        row = int(np.flatnonzero(~np.isfinite(norms))[0])
        raise ValueError(f"{name} must be finite, but row {row} holds NaN or infinity")
    wrong = np.abs(norms - 1)
    if wrong.max(initial=0) > 2 * NORM_TOLERANCE:  # norms are squares here
        row = int(wrong.argmax())
        raise ValueError(f"{name} must have norm 1, but row {row} has norm {norms[row] ** 0.5:.4g}")
    return array


def check_labels(name, labels, n_classes, n_samples=None):
    """Returns `labels` as int64 [n]; each must be an integer in [0, n_classes)."""
    try:
        array = np.asarray(labels)
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"{name} must be integer class labels: {error}") from None
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
