"""qkdlib's adjoint engine from NumPy, light cone off, all cores where they pay."""

from peers import qkdlib_numpy
from peers.qkdlib_numpy import setup, version  # noqa: F401

qkdlib_numpy.OPTIONS["threads"] = None
