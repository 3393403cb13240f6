"""The panel of the page *How to extend* in a real browser."""

import re
import runpy

from built import HTML
from explorers import page_of


def test_the_new_panel_draws_every_run(browser, tmp_path):
    page_text = (HTML.parents[1] / "book" / "extending.md").read_text(encoding="utf8")
    section = page_text.split("## A panel of an explorer")[1]
    snippet = tmp_path / "panel.py"
    snippet.write_text(re.search(r"^```python\n(.*?)^```$", section, re.M | re.S)[1])
    explorer, errors = runpy.run_path(str(snippet))["figure"], []
    (tmp_path / "page.html").write_text(page_of([explorer]))
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector(".qkd-explorer circle.qkd-point")
    assert page.locator("circle.qkd-point").count() == 20
    assert "fair 0.6" in page.locator(".qkd-plot").get_attribute("aria-label")
    page.locator("input[type=range]").press("End")
    heights = {c.get_attribute("cy") for c in page.locator("circle.qkd-point").all()}
    assert len(heights) > 10  # shares of a hundred tosses differ
    assert not errors
    page.close()
