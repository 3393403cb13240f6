"""A `Model` as a differentiable TensorFlow function, by one of two engines.

    engine = create_engine(name, model)
    engine.expectation(weights, inputs)   # [n_weights], [batch, n_data] -> [batch, n_observables]
"""

from qkdlib._checks import check_choice, check_type
from qkdlib.core import Model
from qkdlib.engine import ENGINES, default_engine


def create_engine(name, model, **options):
    """Creates the engine `name` for a model.

    Args:
        name: "tfq", "adjoint", or None for `default_engine()`.
        model: A `qkdlib.core.Model`.
        **options: Passed to the engine.

    Raises:
        ValueError: No engine of this name, or it cannot run the model.
        ImportError: What the engine needs is not installed.
    """
    name = check_choice("engine", name or default_engine(), ENGINES)
    check_type("model", model, Model)
    if name == "tfq":
        from qkdlib.models.tfq import TFQEngine as Engine
    else:
        from qkdlib.models.adjoint import AdjointEngine as Engine
    return Engine(model, **options)
