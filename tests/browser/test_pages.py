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


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole(visit, path, theme, width):
    """Opened once in each look: nothing foreign, no error, accessible, and what belongs to that look."""
    seen = visit(path, theme, width)
    foreign = [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert foreign == []
    assert [error for error in seen.errors if KNOWN_ERROR not in error] == []
    assert seen.page.evaluate("document.documentElement.dataset.theme") == theme
    if (theme, width) == ("light", 1280):
        assert _broken(seen.page) == []
    if path not in READING:
        return
    assert _sideways(seen.page) == []
    if theme == "dark":
        assert _light_grounds(seen.page) == []
    assert _barriers(seen.page) == []


def _sideways(page):
    """What reaches beyond the page's width."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll("main *")].filter(
            e => e.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )


def _barriers(page):
    """What axe calls serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{v['id']}: {n['html'][:160]} | {n['failureSummary'][:240]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"][:3]
    ]


def _light_grounds(page):
    """Pictures, outputs and boxes that keep a light ground under the dark page's text."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".cell_output *, .admonition, table, pre, .sd-card")]
        .filter(e => !e.closest("svg")).filter(e => {
            const c = getComputedStyle(e).backgroundColor.match(/[\\d.]+/g).map(Number);
            return (c.length < 4 || c[3] > 0.5) && (c[0] + c[1] + c[2]) / 3 > 128
                && !e.closest("progress, .qkd-progress, .qkd-explorer");
        }).slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )


def _broken(page):
    """Pictures and links that lead nowhere."""
    pictures = page.evaluate(
        "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    )
    links = page.evaluate("() => [...document.querySelectorAll('a[href]')].map(a => a.href)")
    return pictures + [link for link in links if not _resolves(link)]


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
