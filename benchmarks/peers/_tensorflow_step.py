"""A step in a `tf.function`, for the engines that TensorFlow calls."""

from qkdlib._tensorflow import tf


def make_step(expectation, problem):
    """step(weights) -> (loss, gradient) of the cross-entropy of expectation(weights)."""
    labels = tf.constant(problem.labels)

    @tf.function
    def traced(weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, expectation(weights))
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, weights)

    def step(weights):
        loss, gradient = traced(tf.constant(weights))
        return loss.numpy(), gradient.numpy()

    return step
