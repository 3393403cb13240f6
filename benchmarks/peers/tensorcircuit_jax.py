"""TensorCircuit-NG, JAX jit and vmap, complex64."""

import jax
import jax.numpy as jnp
import numpy as np
import tensorcircuit as tc

tc.set_backend("jax")
tc.set_dtype("complex64")


def version():
    return f"TensorCircuit-NG {tc.__version__}, JAX {jax.__version__}"


def setup(problem):
    n = problem.n_qubits

    def values(weights, sample):
        if problem.inputs == "states":
            circuit = tc.Circuit(n, inputs=sample)
        else:
            circuit = tc.Circuit(n)
            for qubit in range(n):
                circuit.rx(qubit, theta=sample[qubit])
        for kind, *rest in problem.rotations():
            if kind == "cz":
                circuit.cz(*rest)
            else:
                axis, qubit, weight = rest
                getattr(circuit, f"r{axis}")(qubit, theta=weights[weight])
        return jnp.stack([jnp.real(circuit.expectation_ps(z=[k])) for k in (0, 1)])

    samples = jnp.asarray(problem.data if problem.inputs == "angles" else problem.states)
    labels = jnp.asarray(problem.labels)

    def loss(weights, samples):
        logits = jax.vmap(values, (None, 0))(weights, samples)
        return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()

    compiled = jax.jit(jax.value_and_grad(loss))

    def step(weights):
        value, gradient = compiled(jnp.asarray(weights), samples)
        return float(value), np.asarray(gradient)

    return step
