"""Handwritten digits: scikit-learn's bundled 8 x 8 images, and MNIST through a real loader."""

import hashlib
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qkdlib._checks import check_choice, check_count, check_number
from qkdlib.data.cache import UNREADABLE, cache_folder

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"

# Of the arrays' bytes, not of the archive: the same images may be packed in more than one way.
_MNIST_ARRAYS = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of samples and labels.

    Attributes:
        x_train, x_validation, x_test: float32 arrays [samples, features], pixels in [0, 1].
        y_train, y_validation, y_test: int64 arrays [samples], positions in `classes`.
        classes: The digits, in the order of their labels.
        image_shape: (height, width) of an image.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[int, ...]
    image_shape: tuple[int, int]


def load_images(source="digits", *, classes=(1, 5), seed, validation_fraction=0.2):
    """Loads digits of some classes, split into train, validation and test.

    Args:
        source: "digits" (scikit-learn's bundled 8 x 8 images; needs no network) or "mnist".
        classes: Two or more different digits.
        seed: Seed of the splits, below 2**32 (scikit-learn takes no other). MNIST keeps its own test
            split.
        validation_fraction: Fraction of the training images kept for validation, in (0, 0.5]; of the
            bundled digits a quarter becomes the test split first.

    Returns:
        A `Dataset`.

    Raises:
        TypeError, ValueError: A bad argument, or a file that is not MNIST.
        OSError: MNIST can be neither read nor downloaded; the message says what to do.
    """
    check_choice("source", source, ("digits", "mnist"))
    digits = _digits(classes)
    seed = check_count("seed", seed, 0, 2**32 - 1)
    fraction = check_number("validation_fraction", validation_fraction, 0, 0.5, open_minimum=True)
    from sklearn.model_selection import train_test_split

    if source == "mnist":
        arrays = load_mnist()
        train = _of_classes(arrays["x_train"] / np.float32(255), arrays["y_train"], digits)
        test = _of_classes(arrays["x_test"] / np.float32(255), arrays["y_test"], digits)
        shape = (28, 28)
    else:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        x, y = _of_classes(images.astype(np.float32) / 16, labels, digits)
        x_train, x_test, y_train, y_test = train_test_split(
            x, y, test_size=0.25, stratify=y, random_state=seed
        )
        train, test, shape = (x_train, y_train), (x_test, y_test), (8, 8)
    x_train, x_validation, y_train, y_validation = train_test_split(
        *train, test_size=fraction, stratify=train[1], random_state=seed
    )
    return Dataset(x_train, y_train, x_validation, y_validation, *test, digits, shape)


def _digits(classes):
    if not isinstance(classes, Iterable):
        raise TypeError(f"classes must be a list of digits, got {classes!r}")
    digits = tuple(check_count("a class", c, 0, 9) for c in classes)
    if len(set(digits)) < max(2, len(digits)):
        raise ValueError(f"classes must be two or more different digits, got {classes!r}")
    return digits


def _of_classes(images, labels, digits):
    keep = np.isin(labels, digits)
    position = np.full(10, -1, np.int64)
    position[list(digits)] = range(len(digits))
    return images[keep].reshape(keep.sum(), -1), position[labels[keep]]


def load_mnist(path=None, *, url=None, sha256=None, cache=None, timeout=60.0):
    """Loads the MNIST arrays from a local file, else from the cache, else over the network.

    Args:
        path: A local mnist.npz; by default what the variable QKDLIB_MNIST names. No download then.
        url: Where to download from (http, https, file); by default QKDLIB_MNIST_URL, else the address
            that Keras uses.
        sha256: Checksum of the archive at `url`, 64 hexadecimal digits; by default that of Keras'
            archive.
        cache: Folder of the cache; by default QKDLIB_CACHE, else the user's cache folder.
        timeout: Seconds to wait for the network.

    Returns:
        A dict of uint8 arrays: x_train [60000, 28, 28], y_train [60000], x_test [10000, 28, 28],
        y_test [10000].

    Raises:
        TypeError, ValueError: A bad argument; a file that is truncated or holds other arrays.
        OSError: There is no file and no network, or the cache cannot be written.
    """
    local = os.environ.get("QKDLIB_MNIST") if path is None else path
    timeout = check_number("timeout", timeout, 0, open_minimum=True)
    if not isinstance(local, (str, os.PathLike, type(None))):
        raise TypeError(f"path must name a file, got {local!r:.60}")
    if local:
        local = Path(local).expanduser()
        if not local.is_file():
            raise FileNotFoundError(f"path (or the variable QKDLIB_MNIST) names no file: {local}")
        return _read_mnist(local)
    stored = cache_folder(cache) / "mnist.npz"
    if not stored.is_file():
        url = (os.environ.get("QKDLIB_MNIST_URL") or MNIST_URL) if url is None else url
        sha256 = MNIST_SHA256 if sha256 is None else sha256
        if not re.match(r"(https?|file)://", str(url)):
            raise ValueError(
                "url (or the variable QKDLIB_MNIST_URL) must begin with http://, https:// or file://, "
                f"got {url!r}"
            )
        if not re.fullmatch("[0-9a-f]{64}", str(sha256)):
            raise ValueError(f"sha256 must be 64 hexadecimal digits in lower case, got {sha256!r}")
        _download(url, stored, sha256, timeout)
    return _read_mnist(stored)


def _download(url, target, sha256, timeout):
    """Downloads into a temporary file beside `target`; only a complete, right one gets the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".mnist-")
    try:
        try:
            with (
                os.fdopen(handle, "wb") as file,
                urllib.request.urlopen(url, timeout=timeout) as response,
            ):
                shutil.copyfileobj(response, file)
        except OSError as error:
            raise OSError(
                f"MNIST could not be downloaded ({error}). Without a network, set the variable "
                "QKDLIB_MNIST to a local mnist.npz, or use source='digits', which is bundled"
            ) from error
        found = hashlib.sha256(Path(temporary).read_bytes()).hexdigest()
        if found != sha256:
            raise ValueError(
                f"the file downloaded as MNIST has sha256 {found}, expected {sha256}: the transfer "
                "was cut off or the file at that address is another; it was not kept"
            )
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _read_mnist(path):
    try:
        # Opened here: np.load leaves the file of a truncated archive open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in _MNIST_ARRAYS if key in archive}
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is no readable npz archive ({error}); delete it and load again"
        ) from error
    for key, expected in _MNIST_ARRAYS.items():
        if key not in arrays:
            raise ValueError(f"{path} must hold the arrays {', '.join(_MNIST_ARRAYS)}; no {key}")
        found = hashlib.sha256(np.ascontiguousarray(arrays[key]).tobytes()).hexdigest()
        if found != expected:
            raise ValueError(
                f"{path}: {key} (shape {arrays[key].shape}, {arrays[key].dtype}) is not MNIST's; "
                "delete the file and load again"
            )
    return arrays
