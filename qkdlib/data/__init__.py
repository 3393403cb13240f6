"""Data for the chapters: digits and their preprocessing, ZXZ ground states. It knows no model."""

from qkdlib.data.images import Dataset, load_images, load_mnist
from qkdlib.data.phases import PhaseDataset, load_zxz
from qkdlib.data.preprocessing import PCABits
from qkdlib.data.zxz import (
    GroundStates,
    edge_correlators,
    pauli_expectation,
    string_order,
    zxz_energy,
    zxz_ground_states,
    zxz_hamiltonian,
    zxz_labels,
)

__all__ = [
    "Dataset",
    "GroundStates",
    "PCABits",
    "PhaseDataset",
    "edge_correlators",
    "load_images",
    "load_mnist",
    "load_zxz",
    "pauli_expectation",
    "string_order",
    "zxz_energy",
    "zxz_ground_states",
    "zxz_hamiltonian",
    "zxz_labels",
]
