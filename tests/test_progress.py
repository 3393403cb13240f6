"""The progress bar, and what Keras tells it."""

from toys import toy_data, toy_model

from qkdlib.models import QNN, ProgressBar, recipe
from qkdlib.progress import Picture


def test_it_reports_loss_and_accuracy(capsys):
    qnn = QNN(toy_model(), engine="adjoint", seed=0)
    qnn.compile(**recipe())
    qnn.fit(*toy_data(20), epochs=2, verbose=0, callbacks=[ProgressBar("a <student>")])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "a <student>: 2/2 epochs" in line
    assert "loss" in line
    assert "accuracy" in line


def test_it_escapes_its_label_in_html():
    page = Picture("a <b>", 1, 2, "loss < 1")._repr_html_()
    assert "<b>" not in page
    assert 'value="1" max="2"' in page
