"""What bits and scores of MNIST's 1 and 5 are worth to a linear classifier: the figures that chapter 1
quotes.

Uses MNIST's own splits, all training images and PCA fitted on them. The threshold of 0.5 is read in two
ways: on the scores as they are, and on scores rescaled to [0, 1]. Nothing is chosen on the test
images. Run from the repository's root, with MNIST at hand (see `qkdlib.data.load_mnist`)::

    python experiments/encoding_mnist.py
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from qkdlib.data import PCABits, load_images

RESULT = Path(__file__).parent / "results" / "encoding-mnist.json"


@dataclass(frozen=True)
class Task:
    """Settings of the run."""

    classes: tuple[int, ...] = (1, 5)
    n_components: tuple[int, ...] = (1, 4, 15)
    threshold: float = 0.5
    inverse_penalty: float = 100.0  # C of scikit-learn's LogisticRegression


def run(task, data):
    """Test accuracies of a logistic regression on bits and on scores, per number of components.

    Args:
        task: A `Task`.
        data: A `qkdlib.data.Dataset`; its training and validation images are pooled.

    Returns:
        A dict that JSON can hold: the task, numbers of images, a list of results, and the largest
        half width of a 95 % interval for one accuracy, from the number of test images alone.
    """
    images = np.concatenate([data.x_train, data.x_validation])
    labels = np.concatenate([data.y_train, data.y_validation])
    results, half_widths = [], []
    for n in task.n_components:
        pipeline = PCABits(n, threshold=task.threshold).fit(images)
        entry = {"n_components": n}
        rescaled = PCABits(n, threshold=task.threshold, rescale=True).fit(images)
        for kind, features in (
            ("bits", pipeline.bits),
            ("rescaled_bits", rescaled.bits),
            ("scores", pipeline.scores),
        ):
            inside, outside = features(images), features(data.x_test)
            control = LogisticRegression(C=task.inverse_penalty, max_iter=5000).fit(inside, labels)
            accuracy = control.score(outside, data.y_test)
            entry[f"{kind}_test"] = round(float(accuracy), 4)
            half_widths.append(1.96 * np.sqrt(accuracy * (1 - accuracy) / len(data.y_test)))
        place = 2 ** np.arange(n)
        seen = np.isin(pipeline.bits(data.x_test) @ place, pipeline.bits(images) @ place)
        entry["unseen_strings"] = round(float(1 - seen.mean()), 4)
        results.append(entry)
    return {
        "task": asdict(task),
        "n_train": len(images),
        "n_test": len(data.y_test),
        "results": results,
        "half_width": round(float(max(half_widths)), 4),
    }


if __name__ == "__main__":
    task = Task()
    record = run(task, load_images("mnist", classes=task.classes, seed=0))
    RESULT.parent.mkdir(exist_ok=True)
    unfinished = RESULT.with_suffix(".new")
    unfinished.write_text(json.dumps(record, indent=1) + "\n")
    unfinished.replace(RESULT)
    print(RESULT.read_text())
