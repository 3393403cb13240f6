"""Chapters in a real JupyterLab: all cells run, then every explorer is moved and retrained.

`make test-lab` tries all pages with an explorer, or those of the chapters that CHAPTERS names ("1 6").
`make test` tries those whose code changed since they were last tried, and two at least, those tried
longest ago. What was tried, and when, is kept in `_build/lab`; where nothing was tried yet, as in a
fresh clone, it tries the first two.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from lab import REPOSITORY, retrain, run_all, started

sys.path.insert(0, str(REPOSITORY / "tools"))

import chapters

TRIED = REPOSITORY / "_build" / "lab"
AT_LEAST = 2
PATIENCE_S = 900  # for all cells of a chapter, on two cores that others use as well


def code_key(chapter: Path) -> str:
    """The chapter's own code; a change in the library tries the two that `AT_LEAST` asks for."""
    return chapters.key(chapters.read(chapter), "")


def has_explorer(chapter: Path) -> bool:
    cells = chapters.code_cells(chapters.read(chapter))
    return any("xplorer(" in chapters.source_of(cell) for cell in cells)


def last_trial(chapter: Path) -> dict:
    try:
        return json.loads((TRIED / f"{chapter.stem}.json").read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {"key": "", "date": ""}


def chosen() -> list[Path]:
    """The chapters to try, see above."""
    names = os.environ.get("CHAPTERS", "").split()
    found = chapters.select([] if names == ["all"] else names)
    found = [chapter for chapter in found if has_explorer(chapter)]
    if names:
        return found
    if not any(TRIED.glob("*.json")):
        return found[:AT_LEAST]
    found.sort(key=lambda chapter: last_trial(chapter)["date"])
    changed = [c for c in found if last_trial(c)["key"] != code_key(c)]
    others = [c for c in found if c not in changed]
    return sorted(changed + others[: max(0, AT_LEAST - len(changed))])


def narrow(section) -> bool:
    """Whether an explorer filters readings; then a menu must change what is counted."""
    count = section.locator(".qkd-readings-count")
    if not count.count():
        return False
    before = count.inner_text()
    section.locator("select").first.select_option(index=1)
    assert count.inner_text() != before
    return True


@pytest.fixture
def lab(tmp_path):
    chapters.lay_out(tmp_path)
    with started(tmp_path) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_S)
@pytest.mark.parametrize("chapter", chosen(), ids=lambda chapter: chapter.stem)
def test_a_chapter_runs_and_its_explorers_retrain(lab, browser, chapter):
    shutil.copy(chapter, lab.home / "book")
    page = lab.open(browser, f"book/{chapter.name}", patience_s=180)
    try:
        run_all(page, PATIENCE_S)
        sections = page.locator(".qkd-explorer")
        trains = [retrain(section) for section in sections.all()]
        filters = [narrow(section) for section in sections.all()]
        assert any(trains + filters), f"none of {len(trains)} explorers offers to train or to filter"
    finally:
        page.context.close()
    record = {"key": code_key(chapter), "date": datetime.now(timezone.utc).isoformat()}
    chapters.write_atomically(TRIED / f"{chapter.stem}.json", json.dumps(record))
