"""The core: a model, its losses, one training loop, and what it is compared with.

Read it in this order, from top to bottom: `encoding`, `ansatz`, `observables`, `model`, `losses`,
`train`, `conditions`, `compare`, `regularisers`, `codistill`. It needs NumPy and Cirq; what computes is
behind one door, `qkdlib.engine.Program`.
"""

from qkdlib.core.ansatz import Ansatz, hardware_efficient_ansatz, initial_weights
from qkdlib.core.codistill import Codistillation, Pupil, Schedule, codistill, student_seed
from qkdlib.core.compare import Comparison, compare
from qkdlib.core.conditions import (
    Condition,
    ConstantTeacher,
    DecisionsOnly,
    Distilled,
    LabelSmoothing,
    LongerTraining,
    NoTeacher,
    ScaledLogits,
    ShuffledTeacher,
    UniformTeacher,
)
from qkdlib.core.encoding import (
    Encoding,
    amplitude_encoding,
    angle_encoding,
    basis_encoding,
    bind_symbols,
    phase_encoding,
    symbol_names,
)
from qkdlib.core.losses import (
    cross_entropy,
    distillation_loss,
    kl_divergence,
    log_softened,
    reverse_kl_divergence,
    smoothed_labels,
    softened,
    squared_error,
    with_targets,
)
from qkdlib.core.model import Model
from qkdlib.core.observables import pauli_string, z_observables
from qkdlib.core.regularisers import Divergence, Infidelity, Regulariser
from qkdlib.core.train import (
    LEARNING_RATE,
    Adam,
    StepDecay,
    Supervised,
    Trained,
    batches,
    minimise,
    train,
)
