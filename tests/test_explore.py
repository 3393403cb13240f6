"""Explorers without a browser: what goes into a page, what is refused, how a run is led."""

import gc
import json
import re
import subprocess
import sys
import threading
import time
import traceback
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
    Readings,
    Readout,
    Record,
    Slider,
    Toggle,
    compute_grid,
    draw_circuit,
    recorded,
    try_trainers,
)
from qkdlib.explore.layout import layout_circuit
from qkdlib.explore.panels import Panel, pack_array, unpack_array
from qkdlib.explore.panels.curves import MAX_POINTS
from qkdlib.explore.trial import other_setting
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
    assert len(explorer(np.zeros((3, 2, 8))).html.encode()) < 48_000


def test_a_page_gets_only_the_scripts_of_its_panels():
    map_ = Explorer("Q", DEPTH, HeatMap(np.zeros((2, 3, 3))), record=Record())
    for shown, kinds in ((map_, ["heat"]), (explorer(), ["curves"])):
        assert re.findall(r'^register\("(\w+)"', shown._esm, re.MULTILINE) == kinds
        script, _ = shown._esm.split("\nexport default")
        assert script in shown.html
    assert not re.search(r"^(import|export (?!default))", map_._esm, re.MULTILINE)


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


def drawn(n_layers, seed):
    return {"v": np.random.default_rng([n_layers, seed]).normal(size=50).cumsum()}


def test_a_grid_is_the_same_in_several_processes():
    # Defined here, a function is sent by its code: the processes need not import this module.
    def run(n_layers, seed):
        return {"v": np.random.default_rng([n_layers, seed]).normal(size=50).cumsum()}

    alone = compute_grid(run, DEPTH, seeds=3)
    together = compute_grid(run, DEPTH, seeds=3, n_jobs=2)
    assert alone["v"].shape == (2, 3, 50)
    assert (alone["v"] == together["v"]).all()  # to the last bit
    assert alone.record.seeds == together.record.seeds == (0, 1, 2)


def test_a_grid_goes_where_joblib_is_told_to_go():
    import joblib

    where = set()

    def run(n_layers, seed):
        where.add(threading.get_ident())
        return {"v": n_layers}

    compute_grid(run, DEPTH, seeds=2)
    assert where == {threading.get_ident()}  # here, unless somebody says otherwise
    with joblib.parallel_config("threading", n_jobs=2):
        compute_grid(run, DEPTH, seeds=20)
    assert len(where) > 1


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_failure_says_at_which_setting(n_jobs):
    def flaky(n_layers, seed):
        if (n_layers, seed) == (2, 1):
            raise KeyError("w7")
        return {"v": n_layers}

    with pytest.raises(RuntimeError, match="failed at n_layers=2, seed=1: KeyError: 'w7'") as caught:
        compute_grid(flaky, DEPTH, seeds=2, n_jobs=n_jobs)
    chain = "".join(traceback.format_exception(caught.value))
    assert 'raise KeyError("w7")' in chain  # the worker's own traceback as well


BAD_GRIDS = [
    ({"seeds": []}, ValueError, "seeds must hold at least one"),
    ({"seeds": 0}, ValueError, "seeds must be at least 1, got 0"),
    ({"seeds": -1}, ValueError, "seeds must be at least 1, got -1"),
    ({"seeds": 2.5}, TypeError, "seeds must be integers, or their number, got 2.5"),
    ({"seeds": [0.5]}, TypeError, "each of seeds must be an integer, got 0.5"),
    ({"seeds": True}, TypeError, "seeds must be an integer, got True"),
    ({"function": "f"}, TypeError, "function must be callable, got 'f'"),
    ({"function": lambda depth, seed: {}}, RuntimeError, "failed at n_layers=1, seed=0: TypeError.*key"),
    ({"function": lambda n_layers, seed: 1.0}, RuntimeError, "it must return a mapping, not 1.0"),
    ({"function": lambda n_layers, seed: {"v": "x"}}, RuntimeError, "could not convert string"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), BAD_GRIDS)
def test_a_grid_names_what_is_wrong(wrong, error, message):
    wanted = {"function": drawn, "seeds": 1} | wrong
    with pytest.raises(error, match=message):
        compute_grid(wanted.pop("function"), DEPTH, **wanted)


@pytest.mark.parametrize("level", [2, 0, 1, -0.5, np.nan, "0.9", None])
def test_an_interval_has_a_level_between_none_and_all(level):
    grid = compute_grid(drawn, DEPTH, seeds=2)
    with pytest.raises((TypeError, ValueError), match="level must"):
        grid.interval("v", level=level)


def test_a_ragged_grid_is_refused():
    with pytest.raises(ValueError, match="ragged: 'loss' has shape"):
        compute_grid(lambda n_layers, seed: {"loss": np.zeros(n_layers)}, DEPTH, seeds=[0])
    with pytest.raises(ValueError, match="ragged"):
        compute_grid(lambda n_layers, seed: {f"v{n_layers}": 0}, DEPTH, seeds=[0])
    with pytest.raises(ValueError, match="y of curve 'student' is ragged"):
        explorer([[1.0, 2.0], [1.0]], controls=DEPTH)


def test_recorded_times_a_block():
    with recorded(seeds=[1]) as record:
        assert record.seconds is None
    assert record.seconds >= 0
    assert record.seeds == (1,)


# ---- bad input ----

def few_readings(readings=((0, 0), (1, 1), (2, 0), (2, 1)), n=4):
    """Four readings of two settings."""
    levels = {"T": ["0.1", "1", "10"], "gate": ["cz", "cnot"]}
    return Readings(levels, readings, {"gain": [5.0, -3.0, 0.0, 40.0][:n]}, {"gain": "it helps"})


ONE_GATE = cirq.Circuit(cirq.X(cirq.LineQubit(0)))
BAD_EXPLORERS = [
    (lambda: explorer(np.zeros((0,)), controls=DEPTH), "needs as many x as y.*8 of x, 0 of y"),
    (lambda: Curves(Curve("a", [], [[], []]), "x", "y").pack((DEPTH,)), "empty|shape"),
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
    (lambda: Curve("a", X, X, role="red"), "role"),
    (lambda: Curve("a", X, X, style="dots"), "style of curve 'a' must be one of"),
    (lambda: Curve("a", X, X[1:]), "needs as many x as y, also in its band, got 8 of x, 7 of y"),
    (lambda: Curve("a", [np.nan], [1]), r"x of curve 'a' must be finite.*at index \[0\]"),
    (lambda: Curve("a", [0], [[[1]], [[np.inf]]]), r"y of curve 'a' .* at index \[1, 0, 0\]"),
    (lambda: Curve("a", [0], [1], [0], [np.nan]), "high of curve 'a' must be finite"),
    (lambda: HeatMap([[1.0]], range=(np.nan, 1)).pack((DEPTH,)), "must be two finite numbers"),
    (lambda: draw_circuit(cirq.Circuit()), "circuit must hold at least one gate"),
    (lambda: draw_circuit(ONE_GATE, wire_labels=["a", "b"]), "wire_labels must hold 1 labels"),
    (lambda: Bars(np.zeros((2, 1, 2)), ["a"], ["b"], "y").pack((DEPTH,)), "shape"),
    (lambda: HeatMap(np.zeros((2, 2, 2)), ["a"]).pack((DEPTH,)), "row_labels must hold 2"),
    (lambda: few_readings().pack((DEPTH,)), "controls must hold one for each of levels, lacks T, gate"),
    (lambda: few_readings([[0]]).pack(few_readings().filters()), r"shape \[n_readings, 2\], got"),
    (lambda: few_readings(n=2).pack(few_readings().filters()), r"values of 'gain' must be 4 numbers"),
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


def test_nan_in_a_panel_is_named_with_its_setting():
    values = np.zeros((3, 2, 4, 4))
    values[1, 1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="heat map must be finite.*temperature=1.0, n_layers=2"):
        Explorer("Q", [TEMPERATURE, DEPTH], HeatMap(values), record=Record())


WRONG_TYPES = [
    (lambda: Explorer("Q", DEPTH, curves(np.zeros((2, 8))), record={"seconds": 1}), "record must be"),
    (lambda: Explorer("Q", DEPTH, ["curve"], record=Record()), "panels must be Curves"),
    (lambda: explorer("text", controls=DEPTH), "y of curve 'student' must be numbers"),
    (lambda: Choice("a", [1, 2]), "values of 'a' must be strings"),
    (lambda: Slider("a", [1, 2], limits=5), r"limits of 'a' must be two numbers \(low, high\), got 5"),
    (lambda: Slider("a", [1, 2], limits="12"), "limits of 'a' must be two numbers"),
    (lambda: HeatMap([[1.0]], range=5).pack((DEPTH,)), "range of '' must be two numbers"),
    (lambda: layout_circuit("circuit"), "circuit must be a cirq.Circuit, got str"),
    (lambda: draw_circuit("abc"), "circuit must be a cirq.Circuit, got str"),
    (lambda: draw_circuit(ONE_GATE, data_symbols="x0"), "data_symbols must be a sequence of names"),
]


@pytest.mark.parametrize(("make", "message"), WRONG_TYPES)
def test_wrong_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


# ---- circuits ----


def test_a_circuit_is_laid_out_with_roles():
    a, b = cirq.LineQubit.range(2)
    gates = [cirq.rx(sympy.Symbol("x"))(a), cirq.CNOT(a, b), cirq.CZ(a, b)]
    laid = layout_circuit(cirq.Circuit(gates), data_symbols=["x"])
    assert laid == {
        "wires": 2,
        "columns": [
            [["fourth", [0], ["RX"]]],
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


# ---- a panel of one's own ----


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"script": "register('dial', build);"}, TypeError, "needs the class attributes kind and"),
        ({"kind": "dial", "script": 3}, TypeError, "needs the class attributes kind and script"),
        (
            {"kind": "dial", "script": 'import { h, dice } from "kit.js";\n'}, ValueError,
            "script of 'dial' imports 'dice'; kit.js has .*at, clamp",
        ),
        ({"kind": "curves", "script": "// mine\n"}, ValueError, "different scripts call themselves"),
        ({"kind": "dial", "script": "// mine\n"}, NotImplementedError, "needs a method pack_content"),
    ],
)  # fmt: skip
def test_a_panel_that_lacks_something_is_told_what(attributes, error, message):
    content = {} if error is NotImplementedError else {"pack_content": lambda self, controls: {}}
    mine = type("Dial", (Panel,), attributes | content)()
    with pytest.raises(error, match=message):
        Explorer("Q", DEPTH, [curves(np.zeros((2, 8))), mine], record=Record())


# ---- live training ----


class Page:
    """Stands where the browser would: keeps what the kernel sends."""

    def __init__(self, trainer, **more):
        self.messages, self.ended = [], threading.Event()
        self.explorer = explorer(trainer=trainer, **more)
        self.explorer.send = self._take

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

    def last(self):
        return [message for message in self.messages if message["kind"] == "update"][-1]


def one_step(temperature, n_layers, report):
    report(Live(1, {"student": ([1], [temperature])}))


def many_steps(temperature, n_layers, report, pause=0.0, n_steps=50):
    for step in range(1, n_steps + 1):
        time.sleep(pause)
        report(Live(step / n_steps, {"student": ([step], [temperature])}))


def test_only_an_explorer_with_a_trainer_says_that_it_is_live():
    for trainer, live in ((None, False), (one_step, True)):
        page = Page(trainer)
        page.say(kind="ping")
        assert page.messages == [{"kind": "pong", "live": live}]


@pytest.mark.parametrize(
    "trainer",
    [
        lambda temperature: None,
        lambda temperature, n_layers: None,  # a function without report
        lambda temperature, report: None,
        lambda temperature, n_layers, report, seed: None,
        "train",
    ],
)
def test_a_trainer_with_other_keywords_is_told_which(trainer):
    wanted = r"trainer must take the keywords temperature, n_layers and report, and call report\(Live"
    with pytest.raises(TypeError, match=wanted):
        explorer(trainer=trainer)


def test_any_value_is_trained_and_drawn_while_it_trains():
    def train(temperature, n_layers, report):
        steps, losses = [], []
        for step in range(1, 4):
            steps.append(step)
            losses.append(temperature * step)
            report(Live(step / 3, {"student": (steps, losses)}))

    page = Page(train)
    page.train(temperature=0.77)
    end = page.wait()
    assert page.kinds()[0] == "started"
    assert page.last()["progress"] == 1.0
    assert page.last()["curves"] == {"student": {"x": [1, 2, 3], "y": [0.77, 1.54, 2.31]}}
    assert end["error"] is None
    assert end["values"] == {"temperature": 0.77, "n_layers": 1}


def test_one_function_computes_the_grid_and_trains_live():
    def run(temperature, n_layers, seed=0, report=None):
        losses = []
        for step in range(1, 9):
            losses.append(temperature * step + seed)
            if report is not None:
                report(Live(step / 8, {"student": (X[:step], losses)}))
        return {"loss": losses}

    grid = compute_grid(run, [TEMPERATURE, DEPTH], seeds=2)
    page = Page(run, y=grid.mean("loss"))
    page.train(temperature=0.5)
    assert page.wait()["error"] is None
    assert page.last()["curves"]["student"]["y"] == list(grid["loss"][0, 0, 0])


def with_map(trainer):
    return Explorer(
        "Why?", DEPTH, HeatMap(np.zeros((2, 1, 2)), title="Map"), record=Record(),
        readouts=Readout("Loss", np.zeros(2)), trainer=trainer,
    )  # fmt: skip


def test_readouts_and_panels_are_reported_too():
    def train(n_layers, report):
        report(Live(0.5, {}, {"Loss": 0.5}, {"Map": [[1, np.nan]]}))

    shown = with_map(train)
    message, _, ended = shown.training.once({"n_layers": 1}, 20)
    assert ended
    assert message["readouts"] == {"Loss": 0.5}
    assert message["panels"] == {"Map": [1, None]}  # what is not finite is a gap, not a crash


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("x", "report takes a Live"),
        ((1, 2.0, 0.5), "report takes a Live"),
        (Live("half"), "progress must be numbers"),
        (Live(1, {"student": [1, 2, 3]}), r"curves\['student'\] of Live must be a pair"),
        (Live(1, {"student": ([1, 2], [3])}), "as many x as y, got 2 and 1"),
        (Live(1, {}, {"Lost": 1.0}), "readouts of Live must be among 'Loss', got 'Lost'"),
        (Live(1, {}, {}, {"Mop": [1, 2]}), "panels of Live must be among 'Map', got 'Mop'"),
        (Live(1, {}, {}, {"Map": [1, 2, 3]}), r"panels\['Map'\] of Live must hold 2 numbers, got 3"),
    ],
)
def test_a_report_that_cannot_be_drawn_is_told_why(step, message):
    with pytest.raises((TypeError, ValueError), match=message):
        with_map(lambda n_layers, report: report(step)).training.once({"n_layers": 1}, 20)


def test_a_run_stops_between_two_steps():
    begun, closed = threading.Event(), threading.Event()

    def train(temperature, n_layers, report):
        try:
            for step in range(10_000):
                report(Live(step / 10_000, {"student": ([step], [0.0])}))
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
    assert closed.is_set()  # the trainer could tidy up


def test_messages_are_throttled():
    def train(temperature, n_layers, report):
        x = list(range(2000))
        for step in range(1, 2001):
            report(Live(step / 2000, {"student": (x[:step], x[:step])}))

    page = Page(train)
    page.train()
    end = page.wait()
    updates = [m for m in page.messages if m["kind"] == "update"]
    assert len(updates) <= end["seconds"] / 0.04 + 2
    assert updates[-1]["progress"] == 1.0
    assert len(updates[-1]["curves"]["student"]["x"]) == MAX_POINTS


def test_a_trainer_that_raises_is_heard_and_the_next_run_works():
    calls = []

    def train(temperature, n_layers, report):
        calls.append(temperature)
        report(Live(0.5, {"student": ([1], [1.0])}))
        if len(calls) == 1:
            raise RuntimeError("the bath ran over")

    page = Page(train)
    page.train()
    assert page.wait()["error"] == "RuntimeError: the bath ran over"
    page.ended.clear()
    page.train(run="r2")
    assert page.wait()["error"] is None


def test_a_trainer_that_reports_nothing_is_told_so():
    page = Page(lambda temperature, n_layers, report: {"accuracy": 1.0})
    page.train()
    assert "reported nothing" in page.wait()["error"]


def test_values_from_the_page_are_checked():
    page = Page(one_step)
    page.train(temperature=1e9)
    assert "temperature must be a finite number in [0.5, 2]" in page.wait()["error"]
    page.say(kind="train", run="r", values={})
    assert page.messages[-1]["error"]
    page.say(kind="unknown")


def test_a_new_request_replaces_the_run_under_way():
    begun = threading.Event()

    def train(temperature, n_layers, report):
        for step in range(10_000):
            report(Live(0.1, {"student": ([step], [temperature])}))
            begun.set()
            if temperature == 1.0:
                return

    page = Page(train)
    page.train(run="old", temperature=0.6)
    assert begun.wait(20)
    page.train(run="new", temperature=1.0)
    for _ in range(1000):
        ends = {m["run"]: m for m in page.messages if m["kind"] == "ended"}
        if len(ends) == 2:
            break
        time.sleep(0.02)
    assert ends["old"]["stopped"]
    assert not ends["new"]["stopped"]


def test_two_runs_take_turns():
    together, most = [0], [0]

    def train(temperature, n_layers, report):
        for step in range(50):
            together[0] += 1
            most[0] = max(most[0], together[0])
            time.sleep(0.001)  # long enough for the other to barge in
            together[0] -= 1
            report(Live(step / 50, {"student": ([step], [0.0])}))

    first, second = Page(train), Page(train)
    first.train()
    second.train()
    first.wait(), second.wait()
    assert most == [1]


# ---- the trial after a chapter's last cell ----


def test_every_explorer_is_tried_at_its_start_and_elsewhere():
    seen = []

    def train(temperature, n_layers, report):
        seen.append((temperature, n_layers))
        one_step(temperature, n_layers, report)

    try_trainers([explorer(trainer=train), explorer()])
    assert seen == [(1.0, 2), (pytest.approx(2**0.5), 1)]


def test_the_other_setting_lies_where_a_reader_may_go():
    controls = [
        Slider("a", [0.0, 1.0, 3.0], start=1.0), Slider("b", [1, 4, 9], start=9), Slider("c", [2.5]),
        Toggle("d", start=True), Choice("e", ["x", "y"], start="y"), Slider("f", [1, 100], log=True),
    ]  # fmt: skip
    expected = {"a": 2.0, "b": 4, "c": 2.5, "d": False, "e": "x", "f": 1}
    assert other_setting(controls) == expected


def test_a_name_that_a_later_cell_took_is_found():
    scope = {"explorer": explorer, "Live": Live, "rate": 0.5}
    exec(
        "def train(temperature, n_layers, report):\n"
        "    report(Live(1, {'student': ([1], [rate * temperature])}))\n",
        scope,
    )
    made = explorer(trainer=scope["train"])
    try_trainers([made])
    scope["rate"] = {}
    wanted = r"the explorer 'Why\?' at temperature=1.0, n_layers=2 does not train: TypeError"
    with pytest.raises(RuntimeError, match=wanted) as caught:
        try_trainers([made])
    assert "in train" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "trainer",
    [
        lambda temperature, n_layers, report: {"a": 1},
        lambda temperature, n_layers, report: report(Live(1)),
        lambda temperature, n_layers, report: report(Live(1, {"student": ([1], [np.nan])})),
    ],
)
def test_a_trainer_that_says_nothing_fails_the_trial(trainer):
    with pytest.raises(RuntimeError, match="reports no number"):
        try_trainers([explorer(trainer=trainer)])


def test_a_long_run_is_cut_short_with_a_note(capsys):
    def train(temperature, n_layers, report):
        many_steps(temperature, n_layers, report, pause=0.01, n_steps=10_000)

    try_trainers([explorer(trainer=train)], limit_s=0.05)
    note = "note: the explorer 'Why?' at temperature=1.0, n_layers=2 trains for 0 s or longer"
    assert note in capsys.readouterr().out


def test_explorers_are_known_as_long_as_they_live():
    first, second = explorer(), explorer()
    made = Explorer.made()
    assert made.index(first) < made.index(second)
    first.close()  # the widgets' own registry holds an open one
    del first, made
    gc.collect()
    assert len([e for e in Explorer.made() if e is second]) == 1
