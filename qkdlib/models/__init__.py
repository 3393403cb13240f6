"""Keras models on top of the core. Importing this room imports TensorFlow."""

from qkdlib.models.autoencoder import (
    QuantumAutoencoder,
    local_trash_observable,
    trash_observable,
)
from qkdlib.models.codistiller import Codistiller
from qkdlib.models.distiller import Distiller
from qkdlib.models.engines import create_engine
from qkdlib.models.losses import CrossEntropy, differentiable
from qkdlib.models.progress import ProgressBar
from qkdlib.models.qnn import QNN, adam, recipe
from qkdlib.models.stand_in import stand_in_for_tfq

__all__ = [
    "QNN",
    "Codistiller",
    "CrossEntropy",
    "Distiller",
    "ProgressBar",
    "QuantumAutoencoder",
    "adam",
    "create_engine",
    "differentiable",
    "local_trash_observable",
    "recipe",
    "stand_in_for_tfq",
    "trash_observable",
]
