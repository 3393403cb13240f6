"""Explorers without a browser: what goes into a page, what is refused, how a run is led."""

import json
import re
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import cirq
import numpy as np
import pytest
import sympy

from qkdlib.explore import (
    Bars,
    BlochSpheres,
    Choice,
    Circuits,
    Curve,
    Curves,
    Explorer,
    HeatMap,
    Live,
    Readout,
    Record,
    Slider,
    Toggle,
    compute_grid,
    recorded,
    with_fallback,
)
from qkdlib.explore.fallback import missing_fallbacks
from qkdlib.explore.layout import layout_circuit
from qkdlib.explore.panels import MAX_POINTS, pack_array, unpack_array
from qkdlib.style import COLOURS, COLOURS_DARK

FOLDER = Path(__file__).parents[1] / "qkdlib" / "explore"
X = np.arange(1.0, 9.0)
TEMPERATURE = Slider("temperature", [0.5, 1.0, 2.0], log=True)
DEPTH = Slider("n_layers", [1, 2])


def curves(y, controls=None, **more):
    return Curves(Curve("student", X, y), "iteration", "loss", **more)


def explorer(y=None, controls=(TEMPERATURE, DEPTH), trainer=None, **more):
    y = np.arange(48.0).reshape(3, 2, 8) if y is None else y
    return Explorer("Why?", controls, curves(y), record=Record(), trainer=trainer, **more)


# ---- what the page holds ----


def test_every_cell_of_a_grid_arrives_where_the_page_looks_for_it():
    y = np.random.default_rng(0).normal(size=(3, 2, 8))
    packed = explorer(y).spec["panels"][0]["series"][0]["y"]
    flat = unpack_array(packed)
    for i in range(3):
        for j in range(2):
            cell = 2 * i + j  # the last control runs fastest
            stored = flat[cell * packed["n"] : (cell + 1) * packed["n"]]
            np.testing.assert_allclose(stored, y[i, j], rtol=6e-4)  # four digits


@pytest.mark.parametrize("log", [False, True])
def test_long_arrays_are_encoded_to_five_decimals_of_their_range(log):
    values = np.exp(np.random.default_rng(1).normal(size=(3, 2, 50)) * (4 if log else 1))
    packed, _ = pack_array("y", values, (TEMPERATURE, DEPTH), (50,), log=log)
    assert "text" in packed
    found = np.array(unpack_array(packed)).reshape(values.shape)
    if log:
        np.testing.assert_allclose(found, values, rtol=1e-3)
    else:
        np.testing.assert_allclose(found, values, atol=np.ptp(values) * 2e-6)


def test_masked_entries_become_gaps():
    y = np.ma.array(np.arange(300.0).reshape(3, 2, 50), mask=False)
    y[1, 0, 7] = np.ma.masked
    for values in (y, y[..., :8]):  # encoded, and in decimals
        packed, _ = pack_array("y", values, (TEMPERATURE, DEPTH), (None,))
        flat = unpack_array(packed)
        assert [k for k, v in enumerate(flat) if v is None] == [2 * packed["n"] + 7]


def test_the_page_is_light_and_needs_nothing_else():
    y = np.random.default_rng(2).random((3, 2, 8))
    html = explorer(y).html
    assert len(html.encode()) < 100_000
    addresses = set(re.findall(r"https?://[^\s\"'\\]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a format, not a request


def test_script_and_style_leave_room_for_content():
    assert len(explorer(np.zeros((3, 2, 8))).html.encode()) < 65_000


def test_labels_with_html_are_text_in_every_form():
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    shown = Explorer(
        evil,
        [Slider("a", [1, 2], label=evil, unit=evil), Choice("b", {"x": evil, "y": "y"}, label=evil)],
        [
            Curves(Curve(evil, X, np.zeros((2, 2, 8))), evil, evil, title=evil),
            Bars(np.zeros((2, 2, 1, 1)), [evil], [evil], evil),
            HeatMap(np.zeros((2, 2, 1, 1)), [evil], [evil], evil, evil, evil),
            BlochSpheres(np.zeros((2, 2, 1, 1, 3)), [evil], [evil]),
        ],
        readouts=Readout(evil, np.zeros((2, 2)), unit=evil),
        record=Record(),
    )
    html = shown.html
    assert html.count("<script") == html.count("</script>") == 1
    assert "<img" not in html
    texts = [element.text for element in ET.fromstring(shown.svg).iter() if element.text]
    assert evil in texts  # whole and as text
    assert not any("script" in element.tag for element in ET.fromstring(shown.svg).iter())


def test_a_display_offers_widget_page_and_picture():
    data, _ = explorer()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"].startswith('<div class="qkd-host"')
    ET.fromstring(data["image/svg+xml"])
    json.dumps(data)


def test_the_same_explorer_gives_the_same_page():
    assert explorer().html == explorer().html


def test_the_style_uses_the_book_palette():
    css = (FOLDER / "explorer.css").read_text()
    light, dark = re.findall(r":where\([^{]*\{([^}]*)\}", css)[:2]
    for text, colours in ((light, COLOURS), (dark, COLOURS_DARK)):
        assert dict(re.findall(r"--qkd-(\w+): (#\w{6})", text)) == colours


def test_the_module_imports_no_tensorflow():
    code = (
        "import sys; from qkdlib.explore import Explorer, Curves, compute_grid; "
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_panels_that_depend_on_one_control_hold_one_axis():
    panel = curves(np.zeros((2, 8)), over="n_layers").pack((TEMPERATURE, DEPTH))
    assert panel["over"] == [1]
    assert len(unpack_array(panel["series"][0]["y"])) == 16


def test_one_grid_point_is_enough():
    one = explorer(np.ones((1, 8)), controls=Slider("only", [3]))
    assert one.values == {"only": 3}
    assert one.spec["panels"][0]["y"]["range"] == [0.95, 1.05]  # a constant still has an axis


def test_ten_thousand_points_are_thinned_and_the_page_says_so():
    x = np.arange(10_000.0)
    panel = Curves(Curve("a", x, np.stack([x, x**2])), "x", "y").pack((DEPTH,))
    series = panel["series"][0]
    kept = unpack_array(series["x"])
    assert series["points"] == 10_000
    assert len(kept) == series["y"]["n"] == MAX_POINTS
    np.testing.assert_allclose([kept[0], kept[-1]], [0, 9999], atol=0.1)


def test_too_much_for_a_page_is_refused_with_its_weight():
    controls = [Slider("a", range(60)), Slider("b", range(60))]
    with pytest.raises(ValueError, match=r"would weigh \d+ kB, \d+ of them .* at most 100"):
        explorer(np.zeros((60, 60, 8)), controls=controls)


# ---- grids ----


def test_a_grid_records_how_it_was_computed():
    seen = []

    def run(temperature, n_layers, seed):
        seen.append((temperature, n_layers, seed))
        return {"loss": X * temperature + seed, "final": n_layers}

    grid = compute_grid(run, [TEMPERATURE, DEPTH], seeds=[3, 4])
    assert grid["loss"].shape == (3, 2, 2, 8)
    assert seen[:3] == [(0.5, 1, 3), (0.5, 1, 4), (0.5, 2, 3)]
    np.testing.assert_allclose(grid.mean("loss")[2, 0], 2 * X + 3.5)
    record = grid.record.pack()
    assert record["seconds"] >= 0
    assert record["seeds"] == [3, 4]
    assert {"python", "qkdlib", "numpy"} <= set(record["versions"])


def test_the_interval_is_students():
    grid = compute_grid(lambda a, seed: {"v": float(seed)}, Slider("a", [1]), seeds=[0, 1, 2])
    low, high = grid.interval("v")
    half = 4.302652729911275 * 1.0 / np.sqrt(3)  # t(0.975, 2 degrees of freedom), s = 1
    np.testing.assert_allclose([low[0], high[0]], [1 - half, 1 + half])
    np.testing.assert_allclose(grid.interval("v", clip=(0, 2))[1], [2.0])
    single = compute_grid(lambda a, seed: {"v": 1.0}, Slider("a", [1]), seeds=[0])
    assert single.interval("v") == (None, None)


def test_a_ragged_grid_is_refused():
    with pytest.raises(ValueError, match="ragged: 'loss' has shape"):
        compute_grid(lambda n_layers, seed: {"loss": np.zeros(n_layers)}, DEPTH, seeds=[0])
    with pytest.raises(ValueError, match="ragged"):
        compute_grid(lambda n_layers, seed: {f"v{n_layers}": 0}, DEPTH, seeds=[0])
    with pytest.raises(ValueError, match="y of curve 'student' is ragged"):
        explorer([[1.0, 2.0], [1.0]], controls=DEPTH)
    with pytest.raises(ValueError, match="seeds must hold at least one"):
        compute_grid(lambda n_layers, seed: {}, DEPTH, seeds=[])
    with pytest.raises(TypeError, match="must return a mapping"):
        compute_grid(lambda n_layers, seed: 1.0, DEPTH, seeds=[0])


def test_recorded_times_a_block():
    with recorded(seeds=[1]) as record:
        assert record.seconds is None
    assert record.seconds >= 0
    assert record.seeds == (1,)


# ---- bad input ----

BAD_EXPLORERS = [
    (lambda: explorer(np.zeros((0,)), controls=DEPTH), "y of curve 'student'"),
    (lambda: explorer(np.zeros((2, 0)), controls=DEPTH), "empty|shape"),
    (lambda: explorer(np.zeros((3, 8)), controls=DEPTH), r"\[n_layers, 8\] = \[2, 8\], got \[3, 8\]"),
    (lambda: explorer(controls=[]), "controls must hold at least one"),
    (lambda: explorer(controls=[DEPTH, DEPTH]), "different names"),
    (lambda: Explorer("", DEPTH, curves(np.zeros((2, 8))), record=Record()), "title"),
    (lambda: Explorer("Q", DEPTH, [], record=Record()), "panels must hold at least one"),
    (lambda: curves(np.zeros((2, 8)), marker="depth").pack((DEPTH,)), "marker must name a slider"),
    (lambda: curves(np.zeros((2, 8)), over="depth").pack((DEPTH,)), "over must be one of"),
    (lambda: curves(np.zeros((2, 8)), y_log=True).pack((DEPTH,)), "needs positive values"),
    (lambda: curves(np.zeros((2, 8)), y_range=(1, 0)).pack((DEPTH,)), "must increase"),
    (lambda: Curves([], "x", "y").pack((DEPTH,)), "at least one Curve"),
    (lambda: Curves(Curve("a", X, X, low=X), "x", "y").pack((DEPTH,)), "both low and high"),
    (lambda: Curves(Curve("a", X, X, role="red"), "x", "y").pack((DEPTH,)), "role"),
    (lambda: Bars(np.zeros((2, 1, 2)), ["a"], ["b"], "y").pack((DEPTH,)), "shape"),
    (lambda: HeatMap(np.zeros((2, 2, 2)), ["a"]).pack((DEPTH,)), "row_labels must hold 2"),
    (lambda: BlochSpheres([[[[1, 1, 0]]]] * 2, ["a"], ["b"]).pack((DEPTH,)), "unit sphere"),
    (lambda: Slider("a", []), "1 to 60"),
    (lambda: Slider("a", range(61)), "1 to 60"),
    (lambda: Slider("a", [2, 1]), "increase"),
    (lambda: Slider("a", [0, 1], log=True), "positive"),
    (lambda: Slider("a", [1, 2], start=3), "start"),
    (lambda: Slider("a", [1, 2], limits=(1, 1.5)), "enclose"),
    (lambda: Slider("a", [1, np.nan]), "finite"),
    (lambda: Slider("not a name", [1]), "identifier"),
    (lambda: Choice("a", ["x", "x"]), "differ"),
    (lambda: Toggle("a", start=2), "start"),
]


@pytest.mark.parametrize(("make", "message"), BAD_EXPLORERS)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_nan_in_a_curve_is_named_with_its_setting():
    y = np.zeros((3, 2, 8))
    y[1, 1, 4] = np.nan
    with pytest.raises(ValueError, match="y of curve 'student'.*temperature=1.0, n_layers=2"):
        explorer(y)


@pytest.mark.parametrize(
    "make",
    [
        lambda: explorer(trainer=lambda temperature: None),
        lambda: Explorer("Q", DEPTH, curves(np.zeros((2, 8))), record={"seconds": 1}),
        lambda: Explorer("Q", DEPTH, ["curve"], record=Record()),
        lambda: explorer("text", controls=DEPTH),
        lambda: Choice("a", [1, 2]),
        lambda: layout_circuit("circuit"),
    ],
)
def test_wrong_types_are_refused(make):
    with pytest.raises(TypeError):
        make()


# ---- circuits ----


def test_a_circuit_is_laid_out_with_roles():
    a, b = cirq.LineQubit.range(2)
    gates = [cirq.rx(sympy.Symbol("x"))(a), cirq.CNOT(a, b), cirq.CZ(a, b)]
    laid = layout_circuit(cirq.Circuit(gates), data_symbols=["x"])
    assert laid == {
        "wires": 2,
        "columns": [
            [["control", [0], ["RX"]]],
            [["muted", [0, 1], ["@", "+"]]],
            [["muted", [0, 1], ["@", "@"]]],
        ],
    }


def test_circuits_follow_their_control():
    qubit = cirq.LineQubit(0)
    panel = Circuits(lambda n_layers: cirq.Circuit([cirq.X(qubit)] * n_layers), over="n_layers")
    packed = panel.pack((TEMPERATURE, DEPTH))
    assert packed["columns"] == [[["muted", [0], ["X"]]]]  # stored once
    assert [cell["columns"] for cell in packed["cells"]] == [[0], [0, 0]]


# ---- live training ----


class Page:
    """Stands where the browser would: keeps what the kernel sends."""

    def __init__(self, trainer, **more):
        self.messages, self.ended = [], threading.Event()
        self.explorer = explorer(trainer=trainer, **more)
        self.explorer.send = self._take
        if self.explorer._training is not None:
            self.explorer._training._send = self._take

    def _take(self, message):
        self.messages.append(message)
        if message["kind"] == "ended":
            self.ended.set()

    def say(self, **message):
        self.explorer._receive(None, message, [])

    def train(self, run="r1", **values):
        self.say(kind="train", run=run, values={"temperature": 0.7, "n_layers": 1} | values)

    def wait(self):
        assert self.ended.wait(20)
        return self.messages[-1]

    def kinds(self):
        return [message["kind"] for message in self.messages]


def test_only_an_explorer_with_a_trainer_says_that_it_is_live():
    for trainer, live in ((None, False), (lambda temperature, n_layers: Live(1), True)):
        page = Page(trainer)
        page.say(kind="ping")
        assert page.messages == [{"kind": "pong", "live": live}]


def test_any_value_is_trained_and_drawn_while_it_trains():
    def train(temperature, n_layers):
        for step in range(1, 4):
            yield step, temperature * step, step / 3

    page = Page(train)
    page.train(temperature=0.77)
    end = page.wait()
    assert page.kinds()[0] == "started"
    last = [m for m in page.messages if m["kind"] == "update"][-1]
    assert last["progress"] == 1.0
    assert last["curves"] == {"student": {"x": [1, 2, 3], "y": [0.77, 1.54, 2.31]}}
    assert end["error"] is None
    assert end["values"] == {"temperature": 0.77, "n_layers": 1}


def test_a_trainer_may_report_instead_of_yielding():
    def train(temperature, n_layers, report):
        for step in (1, 2):
            report(Live(step / 2, {"student": ([1], [step])}, {"Loss": 0.5}, {"Map": [[1, np.nan]]}))

    page = Page(train)
    page.train()
    page.wait()
    last = [m for m in page.messages if m["kind"] == "update"][-1]
    assert last["curves"]["student"] == {"x": [1], "y": [2]}
    assert last["readouts"] == {"Loss": 0.5}
    assert last["panels"] == {"Map": [1, None]}  # what is not finite is a gap, not a crash


def test_a_run_stops_between_two_steps():
    begun, closed = threading.Event(), threading.Event()

    def train(temperature, n_layers):
        try:
            for step in range(10_000):
                yield step, 0.0, step / 10_000
                begun.set()
                closed.wait(0.002)
        finally:
            closed.set()

    page = Page(train)
    page.train()
    assert begun.wait(20)
    page.say(kind="stop", run="r1")
    end = page.wait()
    assert end["stopped"]
    assert end["error"] is None
    assert closed.is_set()  # the generator was told


def test_messages_are_throttled():
    def train(temperature, n_layers):
        for step in range(2000):
            yield step, float(step), (step + 1) / 2000

    page = Page(train)
    page.train()
    end = page.wait()
    updates = [m for m in page.messages if m["kind"] == "update"]
    assert len(updates) <= end["seconds"] / 0.04 + 2
    assert updates[-1]["progress"] == 1.0
    assert len(updates[-1]["curves"]["student"]["x"]) == MAX_POINTS


def test_a_trainer_that_raises_is_heard_and_the_next_run_works():
    calls = []

    def train(temperature, n_layers):
        calls.append(temperature)
        yield 1, 1.0, 0.5
        if len(calls) == 1:
            raise RuntimeError("the bath ran over")

    page = Page(train)
    page.train()
    assert page.wait()["error"] == "RuntimeError: the bath ran over"
    page.ended.clear()
    page.train(run="r2")
    assert page.wait()["error"] is None


def test_a_trainer_that_yields_nonsense_is_told_what_is_expected():
    page = Page(lambda temperature, n_layers: iter(["x"]))
    page.train()
    assert "yields Live(...) or (x, y, progress)" in page.wait()["error"]


def test_values_from_the_page_are_checked():
    page = Page(lambda temperature, n_layers: Live(1))
    page.train(temperature=1e9)
    assert "temperature must be a finite number in [0.5, 2]" in page.wait()["error"]
    page.say(kind="train", run="r", values={})
    assert page.messages[-1]["error"]
    page.say(kind="unknown")


def test_a_new_request_replaces_the_run_under_way():
    begun = threading.Event()

    def train(temperature, n_layers):
        for step in range(10_000):
            yield step, temperature, 0.1
            begun.set()
            if temperature == 1.0:
                return

    page = Page(train)
    page.train(run="old", temperature=0.6)
    assert begun.wait(20)
    page.train(run="new", temperature=1.0)
    assert page.explorer._training.join(20)
    ends = {m["run"]: m for m in page.messages if m["kind"] == "ended"}
    assert ends["old"]["stopped"]
    assert not ends["new"]["stopped"]


def test_two_runs_take_turns():
    together, most = [0], [0]

    def train(temperature, n_layers):
        for step in range(50):
            together[0] += 1
            most[0] = max(most[0], together[0])
            time.sleep(0.001)  # long enough for the other to barge in
            together[0] -= 1
            yield step, 0.0, step / 50

    first, second = Page(train), Page(train)
    first.train()
    second.train()
    first.wait(), second.wait()
    assert most == [1]


# ---- other widgets ----


def test_a_plain_widget_gets_a_page():
    import ipywidgets
    from IPython.display import HTML

    slider = ipywidgets.IntSlider()
    for fallback, text in (("run <me>", "<p>run &lt;me&gt;</p>"), (HTML("<b>1</b>"), "<b>1</b>")):
        data, _ = with_fallback(slider, fallback)._repr_mimebundle_()
        assert data["text/html"] == text
        assert "application/vnd.jupyter.widget-view+json" in data
    with pytest.raises(ValueError, match="empty"):
        with_fallback(slider, " ")
    with pytest.raises(TypeError, match="HTML or SVG form"):
        with_fallback(slider, 3)
    with pytest.raises(TypeError, match="must be an ipywidget"):
        with_fallback("slider", "text")


def test_widgets_that_the_page_would_lose_are_found():
    view = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": ["IntSlider()"]}
    shown = {**view, "text/html": ["<p>x</p>"]}
    cells = [{"outputs": [{"data": shown}]}, {"outputs": [{"data": view}]}, {"source": ""}]
    found = missing_fallbacks({"cells": cells})
    assert len(found) == 1
    assert "cell 2" in found[0]
    assert "IntSlider()" in found[0]
