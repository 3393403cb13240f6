"""qkdlib's adjoint engine from NumPy as a user gets it: light cone on, threads where they pay."""

from peers import qkdlib_numpy
from peers.qkdlib_numpy import setup, version  # noqa: F401

qkdlib_numpy.OPTIONS.clear()
