"""The page of feedback that a student gets has no barriers and asks nobody for anything."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from course.collecting import Submission
from course.feedback import page
from course.grading import Graded, Result
from course.notebooks import Check


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_feedback_has_no_barriers(browser, tmp_path, theme, width):
    tasks = [Check(f"t{i}", 3, f"{i}. <Task> & more", "", "", i == 3) for i in (1, 2, 3)]
    cells = [
        Graded(tasks[0], 3, "right"),
        Graded(tasks[1], 0.0, "alpha stands on the other term"),
        Graded(tasks[2], None, "for a person to read", "text"),
    ]
    sent = Submission("Zoë <b>", "06-distillation", tmp_path, ["after the deadline"])
    path = tmp_path / "feedback.html"
    path.write_text(page(sent, Result(cells, "a remark")), encoding="utf8")
    context = browser.new_context(color_scheme=theme, viewport={"width": width, "height": 800})
    shown, requests = context.new_page(), []
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(path.as_uri())
    assert "3 of 9 points, 1 answer to be read" in shown.locator("main").inner_text()
    assert shown.locator("tbody tr").count() == 3
    found = Axe().run(shown).response["violations"]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert requests == [path.as_uri()]
    context.close()
