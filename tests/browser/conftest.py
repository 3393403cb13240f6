"""A real Chromium on the pages that `make book` wrote.

Where no Chromium is found these tests are skipped, loudly; QKD_REQUIRE_BROWSER=1 (set in CI) makes
that a failure. CHROMIUM names another executable.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from built import HTML, pages

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MISSING = (
    "no Chromium was found, so NOTHING WAS TESTED IN A BROWSER; install it "
    "(Debian: apt-get install chromium) or set CHROMIUM to its path"
)


def find_chromium() -> str | None:
    """The executable that CHROMIUM names, or the first that the path holds."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    if any("NOTHING WAS TESTED" in str(report.longrepr) for report in skipped):
        terminalreporter.section("browser tests", sep="!", red=True)
        terminalreporter.line(MISSING)


@pytest.fixture(scope="session")
def browser():
    executable = find_chromium()
    if executable is None:
        if os.environ.get("QKD_REQUIRE_BROWSER") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield running
        running.close()


class Visit:
    """An opened page with everything it asked for and complained of."""

    def __init__(self, context, path: str, settle: bool = True):
        self.requests, self.errors = [], []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.goto(f"{HTML.as_uri()}/{path}", wait_until="load")
        if not settle:
            return
        # Mathematics is typeset after loading, and changes widths.
        self.page.evaluate(
            "() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1"
        )


@pytest.fixture
def visit(browser):
    """Opens built pages: `visit(path, theme="light", width=1280)` gives a `Visit`."""
    if not pages():
        pytest.fail("there are no pages in _build/html yet: run `make book` first")
    contexts = []

    def opened(path: str, theme="light", width: int = 1280, settle: bool = True) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
        )
        contexts.append(context)
        return Visit(context, path, settle)

    yield opened
    for context in contexts:
        context.close()
