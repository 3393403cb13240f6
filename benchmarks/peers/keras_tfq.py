"""Keras `fit` on the engine "tfq"."""

from peers._keras_fit import make_setup
from peers.tfq_pqc import version  # noqa: F401

setup = make_setup("tfq")
