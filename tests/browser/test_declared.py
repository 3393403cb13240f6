"""A `DeclaredTraining` in Chromium: the page trains what Python trains; what a reader can do."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from explorers import page_of
from playwright.sync_api import expect
from toys import toy_data, toy_model

from qkdlib import core
from qkdlib.explore import (
    Answers,
    Choice,
    DeclaredTraining,
    Explorer,
    Field,
    Record,
    Slider,
    bundle,
)
from qkdlib.explore.page import declare_orders, page_script

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from staging import share_engine

expect.set_options(timeout=30_000)  # other tests run beside these, on as few cores

MODELS = {n: {"model": toy_model(n)} for n in (1, 2, 3)}
TRAIN, VALIDATION = toy_data(40), toy_data(24, seed=1)
SAID = toy_model(2).logits(toy_model(2).initial_weights(seed=5), TRAIN[0])
VIEWS = [
    Answers("what they say", 7, ("no", "yes")),
    Field("everywhere", TRAIN[0][:25], (0, 1), TRAIN[0][:9], TRAIN[1][:9]),
]
CONTROLS = [
    Slider("temperature", [0.5, 1.0, 2.0], log=True, limits=(0.1, 10)),
    Slider("n_layers", [1, 2, 3], start=1),
    Choice("teacher", {"trained": "Trained", "uniform": "Uniform", "none": "None"}),
]


def lesson(**settings):
    settings = {"teacher": "trained", "teacher_logits": SAID, "control": {"teacher": "none"}} | settings
    return DeclaredTraining(
        toy_model(), TRAIN, VALIDATION, options={"n_layers": MODELS}, views=VIEWS, n_steps=30,
        batch_size=16, **settings,
    )  # fmt: skip


def school(**settings):
    settings = {"n_students": 3, "weight": 2.0, "control": {"weight": 0.0}} | settings
    return DeclaredTraining(toy_model(2), TRAIN, VALIDATION, n_steps=20, batch_size=16, **settings)


# --- The same training --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(browser, tmp_path_factory):
    """A page with the engine and the functions of host.js."""
    kit, host = (bundle._common(name) for name in ("kit.js", "page/host.js"))
    path = tmp_path_factory.mktemp("host") / "index.html"
    more = "window.host = {trainingOf, shown, interval}; window.engine = qkdEngine(qkdKernels);"
    path.write_text(
        f"<!doctype html><meta charset=utf-8><script>{page_script()}{kit}{host}{more}</script>"
    )
    page = browser.new_page()
    page.goto(path.as_uri())
    yield page
    page.close()


RUN = """([plan, values, own]) => {
  const training = Object.assign(host.trainingOf(plan, values, 0), own.training);
  Object.assign(training.condition, own.condition);
  const work = engine.train(training);
  for (;;) { const { value, done } = work.next(); if (done) return host.shown(plan, training, value); }
}"""


def in_page(bare, declared, values, controls, starts, condition=None):
    n = len(declared.train[1])
    own = {"weights": [np.asarray(w, float).tolist() for w in starts]}
    own["orders"] = declare_orders(n, declared.n_steps, declared.batch_size, 0)
    plan = json.loads(json.dumps(declared.pack(controls)))
    return bare.evaluate(RUN, [plan, values, {"training": own, "condition": condition or {}}])


def same(found, expected, names):
    for name, key in names.items():
        np.testing.assert_allclose(found["curves"][name]["y"], expected[key], atol=1e-6)
        assert found["curves"][name]["x"] == list(range(0, 5 * len(expected[key]), 5))
    for name, value in found["readouts"].items():
        assert value == pytest.approx(expected[name], abs=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"teacher": "trained", "temperature": 0.3}, {"teacher": "uniform"}, {"teacher": "constant"},
        {"teacher": "decisions", "alpha": 0.4}, {"teacher": "shuffled"}, {"teacher": "none"},
        {"teacher": "none", "smoothing": 0.2}, {"logit_scale": 4.0}, {"learning_rate": 0.2},
        {"n_layers": 3},
    ],
    ids=str,
)  # fmt: skip
def test_one_student_is_the_same_in_python_and_in_the_page(bare, values):
    declared = lesson()
    names = [name for name in values if name not in ("teacher", "n_layers")]
    controls = [Slider(name, [values[name]]) for name in names]
    controls += [Slider("n_layers", [1, 3]), Choice("teacher", [values.get("teacher", "trained")])]
    order = np.random.default_rng([0, 1]).permutation(40).tolist()  # as ShuffledTeacher deals
    start = declared.resolve(values)["model"].initial_weights(seed=0)
    found = in_page(bare, declared, values, controls, [start], {"order": order})
    expected = declared(seed=0, **values)
    same(found, expected, {"student": "student"})
    for name in ("what they say", "everywhere"):
        np.testing.assert_allclose(found["panels"][name], expected[name].ravel(), atol=1e-3)


@pytest.mark.parametrize("distance", ["kl", "infidelity"])
@pytest.mark.parametrize("n_students", [2, 3])
def test_several_students_are_the_same_in_python_and_in_the_page(bare, distance, n_students):
    declared, values = school(), {"distance": distance, "n_students": n_students}
    controls = [Choice("distance", ["kl", "infidelity"]), Slider("n_students", [2, 3])]
    starts = declared._starts(declared.resolve(values), 0)
    found = in_page(bare, declared, values, controls, starts)
    same(found, declared(seed=0, **values), {"students": "student", "their vote": "vote"})


def test_a_teacher_counted_out_is_as_noisy_as_shots_are(bare):
    """With n shots an expectation value e is off by sqrt((1 - e**2) / n)."""
    declared = lesson()
    for shots in (10, 300, 2000):
        controls = [Slider("shots", [shots])]
        plan = json.loads(json.dumps(declared.pack(controls)))
        said = bare.evaluate(
            """([plan, shots]) => [0, 1, 2, 3, 4, 5].map(seed => {
              const training = { ...host.trainingOf(plan, { shots }, seed), steps: 1 };
              const work = engine.train(training);
              for (;;) { const { value, done } = work.next(); if (done) return [...value.said]; }
            })""",
            [plan, shots],
        )
        off = (np.array(said) - SAID.ravel()) / np.sqrt((1 - SAID.ravel() ** 2) / shots)
        assert 0.85 < off.std() < 1.15
        assert abs(off.mean()) < 0.15


def test_on_many_shots_a_student_trains_as_on_none(bare):
    declared = lesson(teacher="none", control={"measured": None})
    start = declared.settings["model"].initial_weights(seed=0)
    found = in_page(bare, declared, {"measured": 10**9}, [Slider("measured", [10**9])], [start])
    exact, counted = declared(seed=0), declared(seed=0, measured=10**9)
    for name, value in found["readouts"].items():
        assert value == pytest.approx(exact[name], abs=1e-3)
        assert counted[name] == pytest.approx(exact[name], abs=1e-3)
    few = in_page(bare, declared, {"measured": 1}, [Slider("measured", [1])], [start])
    assert abs(few["readouts"]["training loss"] - exact["training loss"]) > 1e-3


def test_students_start_near_each_other(bare):
    declared = school(spread=0.1)
    plan = json.loads(json.dumps(declared.pack([Slider("weight", [2.0])])))
    starts = bare.evaluate(
        """plan => {
          const work = engine.train({ ...host.trainingOf(plan, {}, 3), rate: 1e-12, steps: 1 });
          for (;;) {
            const { value, done } = work.next();
            if (done) return value.weights.map(w => [...w]);
          }
        }""",
        plan,
    )
    apart = np.std(starts, axis=0, ddof=1)
    assert 0.05 < np.sqrt((apart**2).mean()) < 0.16
    assert np.std(starts[0]) > 1


def test_intervals_are_student_s(bare):
    from qkdlib.statistics import mean_interval

    values = np.random.default_rng(0).normal(size=20)
    for n in (2, 3, 11, 20):
        expected = mean_interval(values[:n])
        found = bare.evaluate("values => host.interval(values)", values[:n].tolist())
        wanted = [expected.value, expected.low, expected.high]
        np.testing.assert_allclose(found, wanted, rtol=2e-4)


# --- What a reader can do -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample():
    return lesson().explorer("Which teacher?", CONTROLS, seeds=2)


@pytest.fixture
def opened(browser, sample, tmp_path):
    """`opened(address="")`: the explorer's section in a page from disk; nothing may go wrong there."""
    context, complaints = browser.new_context(viewport={"width": 900, "height": 900}), []
    path = tmp_path / "index.html"
    path.write_text(page_of([sample]), encoding="utf8")

    def show(address=""):
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if r.url.startswith("http") else None)
        page.goto(path.as_uri() + address)
        page.locator("[data-cell]").wait_for()
        return page

    yield show
    context.close()
    assert complaints == []


def drawn(page, name):
    return page.locator(f'g[data-series="{name}"][data-live] path.qkd-curve').get_attribute("d")


def test_a_moved_slider_trains_in_the_page(opened):
    page = opened()
    status, slider = page.locator(".qkd-status"), page.locator("input[type=range]").first
    expect(status).to_contain_text("Trains here, in the page")
    slider.press("ArrowRight")
    expect(status).to_contain_text(
        re.compile(r"Trained with Temperature 1\.0\d.* in this page, start 0\.")
    )
    first, readout = drawn(page, "student"), page.locator('[data-readout="validation accuracy"]')
    expect(readout).to_contain_text("this start")
    assert drawn(page, "no teacher")
    page.get_by_role("button", name="Another start").click()
    expect(status).to_contain_text("start 1.")
    assert drawn(page, "student") != first
    page.locator(".qkd-faded").first.wait_for(state="attached")
    assert page.url.endswith("?temperature=1.05&n_layers=1&teacher=trained&start=1#try-which-teacher")


def test_twenty_starts_give_bands_and_a_paired_gain(opened):
    page = opened()
    page.get_by_role("button", name="20 seeds").click()
    expect(page.locator(".qkd-status")).to_contain_text("20 starts with Temperature 1, N layers 1")
    assert page.locator(".qkd-band").count() == 2
    gain = page.locator('[data-readout="gain over no teacher"] .qkd-small')
    expect(gain).to_have_text(re.compile(r"^−?0\.\d{3} to −?0\.\d{3}$"))


def test_a_link_opens_the_setting_and_trains_it(opened):
    page = opened("?temperature=0.7&n_layers=2&teacher=uniform&start=4#try-which-teacher")
    expect(page.locator(".qkd-status")).to_contain_text(
        re.compile(r"Trained with Temperature 0\.7, N layers 2, Teacher: Uniform: .*start 4\.")
    )
    assert page.locator(".qkd-exact").first.input_value() == "0.7"


def test_an_address_that_makes_no_sense_gives_the_default_and_a_word(opened):
    page = opened("?temperature=hot&n_layers=2.5&teacher=nobody#try-which-teacher")
    words = page.locator(".qkd-word")
    expect(words.nth(0)).to_have_text('The address says "hot": a number from 0.1 to 10.')
    expect(words.nth(1)).to_have_text('The address says "2.5": a whole number from 1 to 3.')
    expect(words.nth(2)).to_have_text('The address says "nobody": one of trained, uniform, none.')
    expect(page.locator(".qkd-status")).to_contain_text(
        "Trained with Temperature 1, N layers 1, Teacher: Trained"
    )


@pytest.mark.parametrize("typed", ["99", "-1", ""])
def test_a_typed_value_that_is_not_allowed_changes_nothing(opened, typed):
    page = opened()
    page.locator("input[type=range]").first.press("ArrowRight")
    expect(page.locator(".qkd-status")).to_contain_text("Trained with")
    before = drawn(page, "student")
    field = page.locator(".qkd-exact").first
    field.fill(typed)
    field.press("Enter")
    expect(page.locator(".qkd-word").first).to_have_text(
        "Please type a number from 0.1 to 10. Nothing has changed."
    )
    assert drawn(page, "student") == before
    field.fill("3")
    field.press("Enter")
    expect(page.locator(".qkd-status")).to_contain_text("Trained with Temperature 3,")
    expect(page.locator(".qkd-word").first).to_be_hidden()


def test_a_training_that_fails_keeps_the_last_result(opened, sample):
    page = opened()
    page.locator("input[type=range]").first.press("ArrowRight")
    expect(page.locator(".qkd-status")).to_contain_text("Trained with")
    before = drawn(page, "student")
    # What a rate beyond all bounds does to weights: the engine refuses to go on.
    page.evaluate("""() => {
      const start = qkdPageEngine.start;
      qkdPageEngine.start = (training, handlers) => start({ ...training, rate: 1.7e308 }, handlers);
    }""")
    page.get_by_role("button", name="Another start").click()
    expect(page.locator(".qkd-status")).to_contain_text("the training diverged at step")
    assert drawn(page, "student") == before


def test_stop_ends_a_run_at_once(opened):
    page = opened()
    page.evaluate("""() => {
      globalThis.qkdPageEngine ||= qkdEngine(qkdKernels);
      const start = qkdPageEngine.start;
      qkdPageEngine.start = (training, handlers) => start({ ...training, steps: 1e6 }, handlers);
    }""")
    page.get_by_role("button", name="Another start").click()
    page.locator("g[data-live]").first.wait_for(state="attached")
    took = page.evaluate("""() => new Promise(resolve => {
      const status = document.querySelector(".qkd-status"), began = performance.now();
      new MutationObserver(() => {
        if (status.textContent.startsWith("Stopped with")) resolve(performance.now() - began);
      }).observe(status, { childList: true, characterData: true, subtree: true });
      document.querySelector(".qkd-stop").click();
    })""")
    assert took < 1000  # measured: tens of milliseconds; the bound is for a busy machine


def test_explorers_of_a_page_share_the_engine_of_the_first(browser, sample, tmp_path):
    titles = ("One?", "Two?", "Three?")
    kept = {"record": Record(), "trainer": lesson()}
    others = [Explorer(title, sample.controls, sample._panels, **kept) for title in titles]
    notebook = {"cells": [{"outputs": [{"data": {"text/html": one.html}}]} for one in others]}
    share_engine(notebook)
    body = "".join(cell["outputs"][0]["data"]["text/html"] for cell in notebook["cells"])
    assert body.count("<script data-qkd-engine>") == 1
    path = tmp_path / "three.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><title>Three</title>{body}", encoding="utf8")
    page = browser.new_page()
    page.goto(path.as_uri())
    for button in page.get_by_role("button", name="Another start").all():
        button.click()
    for status in page.locator(".qkd-status").all():
        expect(status).to_contain_text("Trained with")
    page.close()


# --- Bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lesson(temprature=1), "a setting must be one of .*, got 'temprature'"),
        (lambda: lesson(teacher="nobody"), "teacher must be one of .*, got 'nobody'"),
        (lambda: lesson(teacher_logits=SAID[:3]), "teacher_logits must have 40 rows, got 3"),
        (lambda: lesson(teacher_logits=None)(seed=0), "'trained' needs teacher_logits, got None"),
        (lambda: lesson()(seed=0, n_layers=9), "n_layers must be one of"),
        (
            lambda: lesson().pack([Slider("n_layers", [1, 2], limits=(1, 6))]),
            "options of 'n_layers' must hold 4",
        ),
        (lambda: lesson().pack([Slider("heat", [1, 2])]), "a control of a declared training must"),
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_declared_training_reports_to_a_kernel():
    told = []
    lesson()(seed=0, report=told.append, temperature=2.0)
    assert [one.progress for one in told] == pytest.approx([*np.arange(1, 7) / 6, 1])
    assert set(told[-2].curves) == {"student"}
    assert set(told[-1].curves) == {"student", "no teacher"}
    assert set(told[-1].panels) == {"what they say", "everywhere"}
    base = lesson()(seed=0, teacher="none")["student"]
    np.testing.assert_array_equal(told[-1].curves["no teacher"][1], base)
    gain = told[-1].curves["student"][1][-1] - base[-1]
    assert told[-1].readouts["gain over no teacher"] == pytest.approx(gain)
    assert set(told[-1].panels) == {"what they say", "everywhere"}


def test_core_and_page_know_the_same_rate():
    assert lesson().settings["learning_rate"] == core.LEARNING_RATE.rate
