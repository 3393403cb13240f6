"""The quantum autoencoder (QAE): section II.3 of Yan et al.

The register is split into A, the first `n_kept` qubits, and B, the rest. Write the encoder's output
U|psi> as a matrix Phi [2**n_kept, 2**(n - n_kept)], rows A, columns B, and Phi_0 for its first column
(B in |0...0>). Then

    encoded state   rho_A = Phi Phi^dagger                                    (Eq. 8)
    fidelity        F     = Phi_0^dagger rho_A Phi_0                          (Eqs. 9 and 10, pure psi)
    trash           P     = ||Phi_0||^2, the probability to find B in |0...0>

so P**2 <= F <= P: the trash cost is cheaper (one observable) and pins the fidelity from both sides.
"""

import cirq
import numpy as np

from qkdlib._checks import check_choice, check_count
from qkdlib._tensorflow import keras, tf
from qkdlib.circuits.ansatz import Ansatz, initial_weights
from qkdlib.circuits.observables import pauli_string
from qkdlib.models.batches import seeded_batches
from qkdlib.simulation.compression import code_scores
from qkdlib.simulation.density import check_states, encoded_density
from qkdlib.simulation.engine import create_engine, default_engine
from qkdlib.simulation.program import Program

COSTS = ("fidelity", "trash", "local_trash")


class QuantumAutoencoder(keras.Model):
    """An encoder that is trained to keep `n_kept` of its qubits.

    `fit` maximises the mean of one of three scores, each 1 for a perfect code:

    - "fidelity": F itself (Eq. 10); engine "adjoint" only, since it needs output states;
    - "trash": P, the probability to find all of B in |0>;
    - "local_trash": the mean over B's qubits of the probability to find that qubit in |0>. Its
      gradient does not vanish in wide registers as that of "trash" does.

    Args:
        ansatz: The encoder, an `Ansatz`.
        n_kept: Qubits of A, from 1 to n_qubits - 1. A is the first qubits.
        cost: One of the three.
        engine: "tfq" or "adjoint"; None takes "adjoint" for "fidelity" and the default otherwise.
        encoding: An `Encoding` that prepares the states; needed by "tfq", which takes no state vectors.
        seed: Seed of the initial weights, drawn from U[0, 2 pi) unless `initial_scale` is given.
        initial_scale: Draw them from a normal distribution with this standard deviation (radians).

    Inputs are states, complex [batch, 2**n_qubits], or with an encoding its angles. Outputs are the
    scores, float32 [batch].

    Raises:
        TypeError, ValueError: A bad argument, named.
    """

    def __init__(
        self,
        ansatz,
        n_kept,
        *,
        cost="fidelity",
        engine=None,
        encoding=None,
        seed,
        initial_scale=None,
        name="autoencoder",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.n_qubits = ansatz.n_qubits
        self.n_kept = check_count("n_kept", n_kept, 1, self.n_qubits - 1)
        self.cost = check_choice("cost", cost, COSTS)
        self.ansatz = ansatz
        engine = engine or ("adjoint" if cost == "fidelity" else default_engine())
        if engine == "tfq" and cost == "fidelity":
            raise ValueError(
                "cost must not be 'fidelity' with engine 'tfq', which has no gradient of output "
                "states; choose 'trash' or 'local_trash', or engine='adjoint'"
            )
        if engine == "tfq" and encoding is None:
            raise ValueError("encoding must be given with engine 'tfq', which takes no state vectors")
        self.engine_name = engine
        circuit, data_symbols = ansatz.circuit, ()
        if encoding is not None:
            circuit, data_symbols = encoding.circuit + circuit, encoding.symbols
        observables = [] if cost == "fidelity" else [trash_observable(self.n_qubits, n_kept, cost)]
        options = {"qubits": ansatz.qubits} if engine == "adjoint" else {}
        self._engine = create_engine(
            engine, circuit, ansatz.symbols, data_symbols, observables, **options
        )
        self._takes_states = encoding is None
        self.supports_jit = False
        self.seed = check_count("seed", seed, minimum=0)
        start = initial_weights(ansatz.n_weights, seed=self.seed)
        if initial_scale is not None:
            rng = np.random.default_rng(seed)
            start = rng.normal(0, initial_scale, ansatz.n_weights).astype(np.float32)
        self.theta = self.add_weight(
            name="theta",
            shape=(ansatz.n_weights,),
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(start, dtype),
        )
        self.built = True

    def call(self, inputs):
        """Scores in [0, 1], float32 [batch]."""
        if self.cost != "fidelity":
            return self._engine.expectation(self.theta, inputs)[:, 0]
        output = self._engine.output_states(self.theta, inputs)
        phi = tf.reshape(output, [-1, 2**self.n_kept, 2 ** (self.n_qubits - self.n_kept)])
        # F = sum_b |Phi_0^dagger Phi_b|^2
        overlaps = tf.einsum("xa,xab->xb", tf.math.conj(phi[:, :, 0]), phi)
        return tf.reduce_sum(tf.math.real(overlaps * tf.math.conj(overlaps)), axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """1 - mean score."""
        del x, y, sample_weight, training
        return 1.0 - tf.reduce_mean(y_pred)

    def fit(self, x=None, y=None, *, batch_size=None, shuffle=True, **kwargs):
        """As `keras.Model.fit`, without labels; states are checked, and shuffled by the seed."""
        if y is not None:
            raise ValueError("y must be None: an autoencoder's target is its input")
        if self._takes_states and isinstance(x, np.ndarray):
            x = check_states("x", x, self.n_qubits)
        if shuffle and isinstance(x, np.ndarray):
            span = {key: kwargs.pop(key) for key in ("epochs", "initial_epoch") if key in kwargs}
            batches = seeded_batches(x, len(x), batch_size=batch_size, seed=self.seed, **span)
            return super().fit(**batches, **kwargs)
        return super().fit(x, batch_size=batch_size, shuffle=shuffle, **kwargs)

    def output_states(self, states):
        """U|psi> for states [batch, 2**n_qubits]: complex64, same shape."""
        states = check_states("states", states, self.n_qubits)
        program = Program(self.ansatz.circuit, self.ansatz.symbols, qubits=self.ansatz.qubits)
        return program.output_states(self.theta.numpy(), states=states)

    def encode(self, states):
        """Encoded states (Eq. 8): density matrices, complex128 [batch, 2**n_kept, 2**n_kept]."""
        return encoded_density(self.output_states(states), self.n_kept)

    def decode(self, density):
        """Decoded states (Eq. 9): U^dagger (rho_A (x) |0><0|) U, complex128 [batch, 2**n, 2**n]."""
        density = np.asarray(density)
        size, rest = 2**self.n_kept, 2 ** (self.n_qubits - self.n_kept)
        full = np.zeros((len(density), size, rest, size, rest), complex)
        full[:, :, 0, :, 0] = density
        unitary = cirq.unitary(
            cirq.resolve_parameters(
                cirq.Circuit(cirq.I.on_each(*self.ansatz.qubits)) + self.ansatz.circuit,
                dict(zip(self.ansatz.symbols, self.theta.numpy().astype(float), strict=True)),
            )
        )
        full = full.reshape(len(density), size * rest, size * rest)
        return unitary.conj().T @ full @ unitary

    def fidelity(self, states):
        """F of each state [batch, 2**n_qubits] with its decoded code: float64 [batch]."""
        return code_scores(self.output_states(states), self.n_kept)[0]

    def trash(self, states):
        """P, the probability to find B in |0...0>: float64 [batch]."""
        return code_scores(self.output_states(states), self.n_kept)[1]


def trash_observable(n_qubits, n_kept, cost="trash"):
    """The projector on |0...0> of the last qubits, or its local form, as a `cirq.PauliSum`.

    Args:
        n_qubits: Qubits of the register.
        n_kept: Qubits of A.
        cost: "trash" or "local_trash".
    """
    check_count("n_kept", n_kept, 1, check_count("n_qubits", n_qubits) - 1)
    halves = [0.5 + 0.5 * pauli_string(f"Z{i}", n_qubits) for i in range(n_kept, n_qubits)]
    if check_choice("cost", cost, COSTS[1:]) == "trash":
        total = cirq.PauliSum() + 1.0
        for half in halves:
            total = total * half
        return total
    return sum(halves[1:], halves[0]) / len(halves)


def grow(autoencoder, ansatz, **options):
    """A deeper autoencoder that starts where a shallower one ended.

    The new ansatz must begin with the old one's layers; its further weights start at zero, so that
    they add nothing but entanglers to what was learned.

    Args:
        autoencoder: The trained, shallower model.
        ansatz: The deeper `Ansatz`, on the same qubits and with the same options.
        **options: As for `QuantumAutoencoder`; `cost`, `engine` and `seed` default to the old ones.
    """
    old = autoencoder.theta.numpy()
    if not isinstance(ansatz, Ansatz) or ansatz.n_weights < len(old):
        raise ValueError("ansatz must be an Ansatz with at least as many weights as the old one")
    settings = {"cost": autoencoder.cost, "engine": autoencoder.engine_name, "seed": 0, **options}
    grown = QuantumAutoencoder(ansatz, autoencoder.n_kept, **settings)
    grown.theta.assign(np.concatenate([old, np.zeros(ansatz.n_weights - len(old), np.float32)]))
    return grown
