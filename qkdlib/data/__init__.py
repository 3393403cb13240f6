"""Data for the chapters: digits and their preprocessing. This room knows no model."""

from qkdlib.data.images import Dataset, load_images, load_mnist
from qkdlib.data.preprocessing import PCABits

__all__ = ["Dataset", "PCABits", "load_images", "load_mnist"]
