"""Digits, MNIST's loader against a local server, and the paper's pipeline."""

import functools
import hashlib
import http.server
import io
import threading
from pathlib import Path

import numpy as np
import pytest

from qkdlib.data import PCABits, load_images, load_mnist

REAL = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
needs_mnist = pytest.mark.skipif(not REAL.is_file(), reason="no local mnist.npz to serve")


@pytest.fixture
def serve(tmp_path):
    """Serves a folder on the loopback interface; yields (folder, url)."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("QKDLIB_MNIST", "QKDLIB_MNIST_URL", "QKDLIB_CACHE"):
        monkeypatch.delenv(name, raising=False)


def test_bundled_digits_split_into_three_disjoint_parts():
    data = load_images(classes=(1, 5), seed=3)
    parts = [data.x_train, data.x_validation, data.x_test]
    assert sum(map(len, parts)) == 182 + 182
    rows = [row.tobytes() for part in parts for row in part]
    assert len(set(rows)) == len(rows)
    assert {*data.y_train, *data.y_validation, *data.y_test} == {0, 1}
    assert data.x_train.dtype == np.float32
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1


def test_splits_follow_their_seed():
    a, b, c = (load_images(seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.x_train, b.x_train)
    assert not np.array_equal(a.x_train, c.x_train)


def test_labels_are_positions_in_classes():
    data = load_images(classes=(7, 2), seed=0)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    known = {(image / 16).astype(np.float32).tobytes(): label
             for image, label in zip(images, labels, strict=True)}
    for image, label in zip(data.x_test, data.y_test, strict=True):
        assert known[image.tobytes()] == (7, 2)[label]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "cifar"}, "source must be one of 'digits', 'mnist'"),
        ({"classes": (1,)}, "two or more different digits"),
        ({"classes": (1, 1)}, "two or more different digits"),
        ({"classes": (1, 10)}, "a class must be from 0 to 9, got 10"),
        ({"validation_fraction": 0}, "validation_fraction must be"),
        ({"seed": -1}, "seed must be from 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed must be from 0 to 4294967295, got 4294967296"),
    ],
)
def test_load_images_names_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_images(**{"seed": 0, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 5}, "classes must be a list of digits, got 5"),
        ({"classes": None}, "classes must be a list of digits, got None"),
        ({"classes": "15"}, "a class must be an integer, got '1'"),
        ({"seed": None}, "seed must be an integer, got None"),
    ],
)
def test_load_images_names_what_is_of_the_wrong_type(arguments, message):
    with pytest.raises(TypeError, match=message):
        load_images(**{"seed": 0, **arguments})


def test_a_seed_may_be_a_numpy_integer():
    np.testing.assert_array_equal(load_images(seed=np.int64(3)).x_test, load_images(seed=3).x_test)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"url": "foo"}, ValueError, "url .* must begin with http://, https:// or file://, got 'foo'"),
        ({"url": 5}, ValueError, "url .* must begin with http://.*, got 5"),
        ({"sha256": "abc"}, ValueError, "sha256 must be 64 hexadecimal digits"),
        ({"timeout": 0}, ValueError, "timeout must be a finite number"),
        ({"timeout": "1"}, TypeError, "timeout must be a real number, got '1'"),
        ({"path": 5}, TypeError, "path must name a file, got 5"),
        ({"cache": 5}, TypeError, "cache must name a folder, got 5"),
    ],
)
def test_load_mnist_names_what_is_wrong(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        load_mnist(**{"cache": tmp_path, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_variable_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("QKDLIB_MNIST_URL", "mnist.npz")
    with pytest.raises(ValueError, match="QKDLIB_MNIST_URL.* got 'mnist.npz'"):
        load_mnist(cache=tmp_path)


def test_bundled_digits_need_no_network(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert len(load_images(seed=0).x_train) > 200


@needs_mnist
def test_mnist_from_a_local_file_has_the_papers_counts(monkeypatch):
    monkeypatch.setenv("QKDLIB_MNIST", str(REAL))
    data = load_images("mnist", classes=(1, 5), seed=0)
    assert len(data.x_train) + len(data.x_validation) == 12_163
    assert len(data.x_test) == 2_027
    assert data.image_shape == (28, 28)


@needs_mnist
def test_mnist_is_downloaded_once_and_then_read_from_the_cache(serve, tmp_path):
    folder, url = serve
    (folder / "mnist.npz").write_bytes(REAL.read_bytes())
    options = {
        "url": f"{url}/mnist.npz",
        "sha256": hashlib.sha256(REAL.read_bytes()).hexdigest(),
        "cache": tmp_path / "cache",
    }
    first = load_mnist(**options)
    (folder / "mnist.npz").unlink()
    second = load_mnist(**options)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["mnist.npz"]
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])
    assert first["x_train"].shape == (60000, 28, 28)


def test_a_wrong_download_is_not_kept(serve, tmp_path):
    folder, url = serve
    (folder / "mnist.npz").write_bytes(b"half of it")
    with pytest.raises(ValueError, match="sha256 .* expected .* not kept"):
        load_mnist(url=f"{url}/mnist.npz", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path):
    class Truncated(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Truncated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises((OSError, ValueError)):
            load_mnist(url=f"http://127.0.0.1:{server.server_port}/m.npz", cache=tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert list(tmp_path.iterdir()) == []


def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match="QKDLIB_MNIST to a local mnist.npz, or use source='digits'"):
        load_mnist(url="http://127.0.0.1:9/mnist.npz", cache=tmp_path, timeout=2)
    assert list(tmp_path.iterdir()) == []


def test_local_files_that_are_not_mnist_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("QKDLIB_MNIST", str(tmp_path / "absent.npz"))
    with pytest.raises(OSError, match="QKDLIB_MNIST\\) names no file"):
        load_mnist()
    buffer = io.BytesIO()
    np.savez(buffer, x_train=np.zeros((2, 28, 28), np.uint8))
    whole = buffer.getvalue()
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for content, message in [
        (b"", "no readable npz"),
        (single.getvalue(), "no readable npz"),
        (whole[: len(whole) // 2], "no readable npz"),
        (whole, "is not MNIST's"),
    ]:
        (tmp_path / "m.npz").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_mnist(tmp_path / "m.npz")


def test_pca_is_fitted_on_the_training_images_alone():
    data = load_images(seed=0)
    pipeline = PCABits(5).fit(data.x_train)
    scores = pipeline.scores(data.x_train)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-5)
    covariance = np.cov(scores.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-5)
    before = pipeline.bits(data.x_train)
    pipeline.bits(data.x_test)
    np.testing.assert_array_equal(pipeline.bits(data.x_train), before)


def test_bits_are_scores_above_the_threshold():
    images = load_images(seed=0).x_train
    pipeline = PCABits(4, threshold=0.5).fit(images)
    np.testing.assert_array_equal(pipeline.bits(images), pipeline.scores(images) > 0.5)
    assert set(np.unique(pipeline.bits(images))) == {0, 1}


def test_rescaled_scores_span_the_unit_interval_on_the_training_images():
    images = load_images(seed=0).x_train
    scores = PCABits(4, rescale=True).fit(images).scores(images)
    np.testing.assert_allclose(scores.min(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(scores.max(axis=0), 1, atol=1e-7)


def test_all_components_reconstruct_the_image():
    images = load_images(seed=0).x_train
    pipeline = PCABits(64).fit(images)
    np.testing.assert_allclose(
        pipeline.reconstruct(pipeline.scores(images)), images, atol=1e-5
    )


def test_pca_bits_name_what_is_wrong():
    for method in ("bits", "scores", "reconstruct"):
        with pytest.raises(ValueError, match="PCABits must be fitted on training images first"):
            getattr(PCABits(2), method)(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        PCABits(0)
    with pytest.raises(ValueError, match="at least n_components = 5 samples and pixels"):
        PCABits(5).fit(np.zeros((3, 10)))
    with pytest.raises(ValueError, match="row 1 holds NaN"):
        PCABits(1).fit([[1.0, 2.0], [np.nan, 1.0]])
