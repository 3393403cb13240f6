"""What chapters measure: circuits, states, encodings, codes. It builds on the core."""

from importlib import import_module

_HOME = {
    "compression": (
        "Compression", "CosineDecay", "code_fidelity", "local_trash", "train_encoder", "trash",
    ),
    "density": ("best_subspace", "check_density", "encoded_density", "purify", "purity"),
    "entanglement": ("meyer_wallach",),
    "haar": ("expressibility", "fidelities", "haar_fidelity_mass", "haar_states"),
    "kernel": ("centred_alignment", "encoded_states", "fidelity_kernel"),
    "parameter_shift": ("ShiftTerm", "parameter_shift_gradient", "shift_rule", "shift_terms"),
    "plateaus": ("two_design_gradient_variance",),
    "pull": ("PullAlone", "teacher_pull"),
    "random_weights": ("random_gradients", "random_states"),
    "reduced": ("ReducedInfidelity", "pauli_strings"),
    "shots": ("OnShots", "counted"),
    "tangent": ("jacobian",),
}  # fmt: skip
_FOUND = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_FOUND)


def __getattr__(name):
    if name in _FOUND:
        return getattr(import_module(f"{__name__}.{_FOUND[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
