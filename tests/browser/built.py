"""The pages that `make book` wrote."""

from __future__ import annotations

from pathlib import Path

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"


def pages() -> list[str]:
    """The built pages, relative to `_build/html`; empty before `make book`."""
    found = [p.relative_to(HTML).as_posix() for p in HTML.rglob("*.html")]
    return sorted(p for p in found if not p.startswith(("_static/", "_sources/")))
