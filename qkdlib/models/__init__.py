"""Keras models on top of an engine. Importing this room imports TensorFlow."""

from qkdlib.models.autoencoder import QuantumAutoencoder, grow, trash_observable
from qkdlib.models.progress import ProgressBar
from qkdlib.models.qnn import QNN, recipe

__all__ = ["QNN", "ProgressBar", "QuantumAutoencoder", "grow", "recipe", "trash_observable"]
