"""Threads that share the chunks of a batch.

The kernels hold no Python lock, so plain threads run in parallel. Every chunk is computed alone and
sums over chunks are taken afterwards in a fixed order: the result does not depend on their number.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

# Amplitudes times operations in a batch below which handing out work costs more than it gains.
MINIMUM_WORK = 1 << 21

_pool = None
_lock = threading.Lock()


def count(threads, n_chunks, tables):
    """How many threads to use for a batch."""
    if threads is None:
        work = (n_chunks * len(tables.ops)) << tables.n
        threads = _cores() if work >= MINIMUM_WORK else 1
    return max(1, min(threads, n_chunks))


def share(kernel, tables, n_chunks, n_workers, keep, *arguments):
    """Runs kernel(tables, first, last, worker, keep, ...) on all chunks."""
    edges = [n_chunks * i // n_workers for i in range(n_workers + 1)]
    futures = [
        _executor().submit(kernel, tables, edges[i], edges[i + 1], i, keep, *arguments)
        for i in range(1, n_workers)
    ]
    try:
        kernel(tables, 0, edges[1], 0, keep, *arguments)
    finally:
        for future in futures:
            future.result()


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _executor():
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=_cores(), thread_name_prefix="qkdlib")
        return _pool


def _forget_pool():
    """A forked child has none of its parent's threads: it makes its own when it needs them."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
