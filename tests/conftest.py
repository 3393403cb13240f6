"""Settings for the whole run."""

import os

import hypothesis

# TensorFlow's own threads gain nothing on circuits this small and fight over two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")

# Timings vary on shared machines, so no deadline; the same examples in every run.
hypothesis.settings.register_profile("book", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("book")
