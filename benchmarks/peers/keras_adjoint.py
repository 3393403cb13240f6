"""Keras `fit` on the engine "adjoint", one thread, light cone off."""

from peers._keras_fit import make_setup
from peers.qkdlib_tensorflow import version  # noqa: F401

setup = make_setup("adjoint", light_cone=False, threads=1)
