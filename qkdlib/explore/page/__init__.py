"""Training in the page: an engine in JavaScript, and what Python declares to it.

engine.js      the engine: circuits, losses, trainings, the Worker        (read this)
kernels.ts     its sweeps once more, for WebAssembly; kernels.js is what `build` makes of it
declaration    models, samples and trainings as values for JSON
script         the engine as text for a page
"""

from qkdlib.explore.page.declaration import (
    declare,
    declare_array,
    declare_condition,
    declare_data,
    declare_images,
    declare_orders,
    declare_samples,
    declare_training,
)
from qkdlib.explore.page.script import page_script

__all__ = [
    "declare",
    "declare_array",
    "declare_condition",
    "declare_data",
    "declare_images",
    "declare_orders",
    "declare_samples",
    "declare_training",
    "page_script",
]
