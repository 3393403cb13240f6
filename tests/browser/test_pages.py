"""What a reader of the built pages relies on, from disk, without a network."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
from built import HTML, pages

# The theme declares this constant twice on every page.
KNOWN_ERROR = "Identifier 'THEBE_JS_URL' has already been declared"
PAGES = [p for p in pages() if p != "index.html"] or ["book/index.html"]
READING = [p for p in PAGES if p not in ("genindex.html", "search.html")]


def test_first_page_leads_to_the_book(visit):
    page = visit("index.html", settle=False).page
    page.wait_for_url("**/book/index.html")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_asks_no_other_host_and_reports_no_error(visit, path, theme):
    seen = visit(path, theme)
    foreign = [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert foreign == []
    assert [error for error in seen.errors if KNOWN_ERROR not in error] == []


@pytest.mark.parametrize("path", READING)
def test_does_not_scroll_sideways_on_a_phone(visit, path):
    page = visit(path, width=390).page
    wide = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll("main *")].filter(
            e => e.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert wide == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("path", READING)
def test_is_accessible(visit, path, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(path, theme, width).page
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    bad = [
        f"{v['id']}: {n['html'][:160]} | {n['failureSummary'][:240]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"][:3]
    ]
    assert bad == []


@pytest.mark.parametrize("path", READING)
def test_figures_and_outputs_follow_the_dark(visit, path):
    """No picture, output or box keeps a light ground under the dark page's text."""
    page = visit(path, "dark").page
    light = page.evaluate(
        """() => [...document.querySelectorAll(".cell_output *, .admonition, table, pre, .sd-card")]
        .filter(e => !e.closest("svg")).filter(e => {
            const c = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
            return (c.length < 4 || c[3] > 0.5) && (c[0] + c[1] + c[2]) / 3 > 128
                && !e.closest("progress, .qkd-progress, .qkd-explorer");
        }).slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert light == []


def test_chapters_have_typeset_mathematics_and_copy_buttons(visit):
    chapters = [p for p in READING if p.startswith("book/0")]
    assert chapters, "the book has no chapter"
    for path in chapters:
        page = visit(path).page
        assert page.locator("mjx-container").count() > 0
        assert page.locator("mjx-merror, [data-mml-node=merror]").count() == 0
        cells = page.locator("div.cell_input").count()
        assert cells > 0
        assert page.locator("div.cell_input button.copybtn").count() == cells


def test_search_finds_a_term_from_disk(visit):
    seen = visit("search.html?q=expectation")
    seen.page.wait_for_selector("ul.search li a", timeout=10_000)
    hits = seen.page.locator("ul.search li a").all_text_contents()
    assert any("Glossary" in hit for hit in hits), hits
    assert [e for e in seen.errors if KNOWN_ERROR not in e] == []


def test_theme_can_be_switched_and_is_remembered(visit):
    page = visit("book/index.html").page
    before = page.evaluate("document.documentElement.dataset.theme")
    button = page.locator("button.theme-switch-button").first
    for _ in range(3):  # light, dark, auto
        button.click()
        if page.evaluate("document.documentElement.dataset.theme") != before:
            break
    after = page.evaluate("document.documentElement.dataset.theme")
    assert after != before
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == after


@pytest.mark.parametrize("path", PAGES)
def test_links_and_pictures_resolve(visit, path):
    page = visit(path).page
    broken = page.evaluate(
        "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    )
    assert broken == []
    links = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(a => a.href)")
    assert [link for link in links if not _resolves(link)] == []


_ids: dict[str, str] = {}


def _resolves(link: str) -> bool:
    """Whether a link inside the book leads to a file, and to a place in it."""
    address, place = urldefrag(link)
    parts = urlparse(address)
    if parts.scheme != "file":
        return parts.scheme in ("https", "mailto", "javascript")
    target = Path(unquote(parts.path))
    if not target.is_relative_to(HTML) or not target.is_file():
        return False
    if not place or target.suffix != ".html":
        return True
    text = _ids.setdefault(str(target), target.read_text(encoding="utf8"))
    return f'id="{unquote(place)}"' in text
