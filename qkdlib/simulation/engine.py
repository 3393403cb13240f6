"""Engines by name. An engine turns a circuit into expectation values and their gradients.

Both engines have the same interface::

    engine = create_engine(name, circuit, weight_symbols, data_symbols, observables)
    engine.expectation(weights, inputs)   # [n_weights], [batch, n_data] -> [batch, n_observables]

and are differentiable by TensorFlow with respect to both arguments.
"""

import importlib.util
import platform
import sys

from qkdlib._checks import check_choice

ENGINES = ("tfq", "adjoint")


def tfq_available():
    """Whether TensorFlow Quantum is installed; it is looked up, not imported."""
    return importlib.util.find_spec("tensorflow_quantum") is not None


def default_engine():
    """"tfq" where TensorFlow Quantum is installed, "adjoint" elsewhere."""
    return "tfq" if tfq_available() else "adjoint"


def describe_engine(name=None):
    """One line for a chapter's first cell: which engine runs, on what."""
    name = name or default_engine()
    text = {"tfq": "TensorFlow Quantum", "adjoint": "qkdlib's adjoint engine"}[name]
    return f"engine {name!r}: {text}, Python {platform.python_version()} on {sys.platform}"


def create_engine(name, circuit, weight_symbols, data_symbols, observables, **options):
    """Creates the engine `name` for a circuit.

    Args:
        name: "tfq", "adjoint", or None for `default_engine()`.
        circuit: A `cirq.Circuit`.
        weight_symbols: Names of the symbols that are trained, [n_weights].
        data_symbols: Names of the symbols that carry a sample, [n_data].
        observables: `cirq.PauliString` or `cirq.PauliSum` objects, [n_observables].
        **options: Passed to the engine.

    Raises:
        ValueError: No engine of this name.
        ImportError: What the engine needs is not installed.
    """
    name = check_choice("engine", name or default_engine(), ENGINES)
    if name == "tfq":
        from qkdlib.simulation.tfq import TFQEngine as Engine
    else:
        from qkdlib.simulation.adjoint import AdjointEngine as Engine
    return Engine(circuit, weight_symbols, data_symbols, observables, **options)
