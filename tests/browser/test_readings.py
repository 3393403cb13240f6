"""The panel of readings in a real browser: what is let through is counted and drawn."""

import numpy as np
import pytest
from explorers import page_of
from playwright.sync_api import expect

from qkdlib.explore import Explorer, Readings, Record

LEVELS = {"temperature": ["0.1", "0.3", "1", "3", "10"], "gate": ["cz", "cnot"]}
RNG = np.random.default_rng(0)
ROWS = np.column_stack([RNG.integers(0, 5, 400), RNG.integers(0, 2, 400)])
GAIN = np.round(RNG.normal(4 * (ROWS[:, 1] == 0), 6))


@pytest.fixture
def page(browser, tmp_path):
    panel = Readings(LEVELS, ROWS, {"Gain": GAIN}, {"Gain": "it helps"})
    explorer = Explorer("Where does it help?", panel.filters(), panel, record=Record(seeds=(0,)))
    (tmp_path / "page.html").write_text(page_of([explorer]))
    found, errors = browser.new_page(), []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto((tmp_path / "page.html").as_uri())
    found.wait_for_selector(".qkd-readings-count")
    yield found
    assert not errors
    found.close()


def says(page, rows):
    above, below = (100 * np.mean(sign * GAIN[rows] > 1) for sign in (1, -1))
    expect(page.locator(".qkd-readings-count")).to_have_text(f"{rows.sum()} of 400 readings")
    words = page.locator(".qkd-readings-words").inner_text()
    assert words.startswith(f"Gain: it helps in {above:.0f} % [")
    assert f"the reverse in {below:.0f} % [" in words
    assert f"mean {GAIN[rows].mean():.1f}".replace("-", "−") in words


def test_filters_let_through_what_they_say(page):
    says(page, np.ones(400, bool))
    temperature, gate = page.locator("select").all()
    temperature.select_option(label="at least 1")
    says(page, ROWS[:, 0] >= 2)
    gate.select_option(label="cnot")
    says(page, (ROWS[:, 0] >= 2) & (ROWS[:, 1] == 1))
    temperature.select_option(label="0.3")
    says(page, (ROWS[:, 0] == 1) & (ROWS[:, 1] == 1))


def test_bars_hold_every_reading(page):
    heights = [float(bar.get_attribute("height")) for bar in page.locator("rect.qkd-bar").all()]
    bins = np.bincount((np.clip(np.floor(GAIN / 4 + 0.5), -8, 8) + 8).astype(int), minlength=17)
    sides = np.delete(bins, 8).max()  # the middle bar is cut off there
    np.testing.assert_allclose(np.array(heights) / max(heights), np.minimum(1, bins / sides), atol=1e-6)
    middle = page.locator(".qkd-readings-middle").text_content()
    assert middle == f"{100 * bins[8] / 400:.0f} %"


def test_where_nothing_is_left_it_says_so(browser, tmp_path):
    panel = Readings(LEVELS, [[0, 0], [1, 1]], {"Gain": [1.0, 2.0]}, {"Gain": "it helps"})
    explorer = Explorer("Where?", panel.filters(), panel, record=Record(seeds=(0,)))
    (tmp_path / "page.html").write_text(page_of([explorer]))
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    temperature, gate = page.locator("select").all()
    temperature.select_option(label="0.1")
    gate.select_option(label="cnot")
    expect(page.locator(".qkd-readings-count")).to_have_text(
        "No reading that was run has all of these settings: allow more."
    )
    page.close()
