"""What the papers' texts leave open, and the readings that are tried.

A *reading* fills in every setting that a text does not state. Levels and the reason for their range
stand beside each other; `readings` takes a space-filling sample of all combinations (Sobol' points),
the same each time. Two settings need no line of their own: whose weight alpha is (1 - alpha is among
the levels), and sums against means over a batch (Adam's steps do not see a factor of the loss).
"""

from math import pi

import numpy as np
from scipy.stats import qmc

TEACHING = {
    # Hinton et al. use 1 to 20; below 1 a teacher is sharpened, which bounded logits invite.
    "temperature": (0.1, 0.3, 1.0, 3.0, 10.0),
    # Weight of the teacher's term; 0 is "no teacher", run beside every reading.
    "alpha": (0.1, 0.3, 0.5, 0.7, 0.9, 1.0),
    # Eq. 7 was lost with its factors; published code has T squared, or not.
    "t_squared": (True, False),
    "direction": ("teacher || student", "student || teacher"),
    # Of the control "scaled logits": one try in each reading, as T and alpha have one.
    "scale": (2.0, 5.0, 10.0, 20.0),
}
TRAINING = {
    # "Initial learning rate ... decayed by a factor of ... every ... training steps"
    "learning_rate": (0.01, 0.03, 0.1, 0.3),
    "decay": (1.0, 0.9, 0.5),
    "decay_every": (10, 25),
    "weight_decay": (0.0, 1e-4, 1e-2),
    # "a uniform distribution on ...": [0, start); a turn by 2 pi is a global phase.
    "start": (2 * pi, pi, 1.0, 0.1),
    # "a well-trained QNN": with bare logits few teachers reach the paper's accuracy. The factor is the
    # teacher's while it trains; what it hands on are expectation values.
    "teacher_scale": (1.0, 5.0, 20.0),
}
CIRCUIT = {
    # Fig. 2 is a drawing: rotations, then gates on several qubits.
    "rotations": ("xyz", "zxz"),
    "entangler": ("cz", "cnot"),
    "topology": ("chain", "ring"),
    "final_rotations": (True, False),
    # Which expectation values are the two logits.
    "readout": ("first two", "middle two", "both ends", "plus and minus the middle"),
}
PHASES = {
    # "h1 sampled uniformly from the interval ...": around the transition, wide or narrow.
    "h1": ((0.05, 1.95), (0.5, 1.5), (0.05, 3.0)),
    "boundary": ("open", "ring"),
    "n_train": (100, 300),
}
# The autoencoder's depth and steps; its fidelity was lost.
CODE = {"code_layers": (2, 5, 12), "code_steps": (200, 1000)}
BITS = {
    # Raw scores against 0.5 is how the text reads; "after rescaling" is what bits need.
    "rescale": (False, True),
    # One image a bit string, or every image as it comes.
    "n_train": (2000, 12163),
}


def readings(space, n, seed=0):
    """The first n readings of a space.

    Args:
        space: dict from a setting's name to its levels.
        n: How many, at least 1.
        seed: Seed of the scrambling.

    Returns:
        A list of different dicts; a longer list begins with the shorter one.
    """
    points = qmc.Sobol(len(space), seed=seed).random_base2(int(np.ceil(np.log2(n))) + 1)
    names, found = list(space), {}
    for point in points:
        levels = (int(x * len(space[name])) for name, x in zip(names, point, strict=True))
        values = tuple(space[name][level] for name, level in zip(names, levels, strict=True))
        found[values] = dict(zip(names, values, strict=True))  # of twins the first
    return list(found.values())[:n]


def check_reading(space, reading):
    """Returns a reading with every setting named, of a known level or inside their range.

    Raises:
        ValueError: A setting that is unknown, missing, or out of its range; says what is allowed.
    """
    unknown = sorted(set(reading) - set(space))
    if unknown:
        raise ValueError(f"setting must be one of {', '.join(space)}; got {', '.join(unknown)}")
    for name, levels in space.items():
        if name not in reading:
            raise ValueError(f"{name} must be given, e.g. {levels[0]!r}")
        value, numbers = reading[name], all(type(x) in (int, float) for x in levels)
        inside = numbers and type(value) in (int, float) and min(levels) <= value <= max(levels)
        if value not in levels and not inside:
            allowed = f"from {min(levels):g} to {max(levels):g}" if numbers else f"one of {levels}"
            raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return {name: reading[name] for name in space}
