"""The map of chapter 8 is what its script would record."""

import importlib
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXPERIMENTS)
        yield importlib.import_module("codistillation_regimes")


def test_the_recorded_regimes_are_those_of_the_script(script):
    record = json.loads(script.RESULT.read_text())
    assert record["seeds"] == list(script.SEEDS)
    assert record["methods"] == {m: [s, list(w)] for m, (_, s, w) in script.METHODS.items()}
    recorded = {entry["name"]: entry for entry in record["regimes"]}
    assert list(recorded) == list(script.REGIMES)
    for name, regime in script.REGIMES.items():
        assert recorded[name]["regime"] == json.loads(json.dumps(asdict(regime)))
        for method, (_, _, weights) in script.METHODS.items():
            found = recorded[name]["methods"][method]
            assert list(found) == [str(weight) for weight in weights]
            assert all(np.shape(rows) == (len(script.SEEDS), 4) for rows in found.values())


def test_a_recorded_run_comes_out_again(script):
    # The control of the quickest regime; another machine's rounding may move an image or two.
    name = "1 and 5, skewed 9 to 1"
    record = json.loads(script.RESULT.read_text())
    entry = next(e for e in record["regimes"] if e["name"] == name)
    regime, seed = script.REGIMES[name], script.SEEDS[0]
    found = script.score(regime, seed, script.train(regime, seed))
    assert found == pytest.approx(entry["references"]["lambda = 0"][0], abs=0.05)


@pytest.mark.parametrize("name", ["private, 16 labels", "two classes", "1 and 5, skewed 9 to 1"])
def test_private_shards_share_no_image_and_hold_what_they_promise(script, name):
    regime = script.REGIMES[name]
    labels = script.images(regime.classes, 0)["train"][1]
    shards = script.shards(regime, 0)
    rows = np.concatenate(shards)
    assert len(shards) == regime.n_students
    assert len(np.unique(rows)) == len(rows) == regime.n_students * regime.n_labels
    for k, shard in enumerate(shards):
        counts = np.bincount(labels[shard], minlength=len(regime.classes))
        if regime.data == "private":
            assert set(counts) == {regime.n_labels // len(regime.classes)}
        elif regime.data == "two classes":
            assert sorted(counts)[:2] == [0, 0]
        else:
            assert math.isclose(counts[k] / regime.n_labels, 0.9)
