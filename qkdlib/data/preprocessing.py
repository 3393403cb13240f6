"""The paper's pipeline for images: principal components, a threshold, bits (Yan et al., III.2)."""

import numpy as np

from qkdlib._checks import check_count, check_matrix, check_number


class PCABits:
    """Turns images into bits: PCA fitted on training data, then a threshold.

    The paper says that PCA is followed by a threshold of 0.5 and not whether the components were
    rescaled in between. `rescale=False` compares the raw scores with the threshold, which is how the
    text reads; `rescale=True` first maps each component's range on the training data to [0, 1].

    Args:
        n_components: Number of components and of bits, at least 1.
        threshold: A value above it becomes 1, any other 0.
        rescale: See above.
    """

    def __init__(self, n_components, *, threshold=0.5, rescale=False):
        self.n_components = check_count("n_components", n_components)
        self.threshold = check_number("threshold", threshold)
        self.rescale = bool(rescale)
        self._pca = None

    def fit(self, images):
        """Fits the components on training images [samples, pixels]; returns self.

        Raises:
            ValueError: Fewer samples or pixels than components, or values that are not finite.
        """
        images = check_matrix("images", images)
        if min(images.shape) < self.n_components:
            raise ValueError(
                f"images must have at least n_components = {self.n_components} samples and pixels, "
                f"got shape {images.shape}"
            )
        from sklearn.decomposition import PCA

        # The full solver is exact and deterministic; the sizes here are small.
        self._pca = PCA(self.n_components, svd_solver="full").fit(images)
        scores = self._pca.transform(images)
        self._low, self._high = scores.min(axis=0), scores.max(axis=0)
        return self

    def scores(self, images):
        """Components of images [samples, pixels]: float64 [samples, n_components]."""
        self._check_fitted()
        images = check_matrix("images", images, self._pca.n_features_in_)
        scores = self._pca.transform(images)
        if self.rescale:
            scores = (scores - self._low) / np.where(self._high > self._low, self._high - self._low, 1)
        return scores

    def bits(self, images):
        """Bits of images [samples, pixels]: int64 [samples, n_components], 0 or 1."""
        return (self.scores(images) > self.threshold).astype(np.int64)

    def reconstruct(self, scores):
        """Images [samples, pixels] from components that were not rescaled."""
        self._check_fitted()
        scores = check_matrix("scores", scores, self.n_components)
        return self._pca.inverse_transform(scores)

    def _check_fitted(self):
        if self._pca is None:
            raise ValueError("PCABits must be fitted on training images first: call fit(images)")
