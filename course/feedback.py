"""The page of feedback that a student gets: what was asked, what it earned, a word."""

from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1f242b; --paper: #fdfcfa; --line: #c9ccd1; --good: #1d5ea8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --paper: #15181d; --line: #4a5058; --good: #8ab8ee; }
}
body { font: 1.05rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; }
th, td { border-bottom: 1px solid var(--line); }
td.points { white-space: nowrap; font-variant-numeric: tabular-nums; }
.right { color: var(--good); font-weight: 600; }
"""


def page(submission, result):
    """Feedback as a page of its own: accessible, no request to anywhere."""
    name, student = submission.assignment or "Submission", submission.student
    total = sum(one.check.points for one in result.cells)
    said = [*submission.words, result.word] if submission.path else [result.word]
    remarks = "".join(f"<p>{escape(text)}</p>" for text in said if text)
    rows = "".join(_row(one) for one in result.cells)
    table = (
        "<table><thead><tr><th scope='col'>Task</th><th scope='col'>Points</th><th scope='col'>Word</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>"
        if rows
        else ""
    )
    open_ones = sum(one.points is None for one in result.cells)
    waiting = f", {open_ones} answer to be read" if open_ones else ""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(name)}: {escape(student)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(name)}</h1>"
        f"<p>{escape(student)}: {result.points:g} of {total:g} points{waiting}.</p>"
        f"{remarks}{table}</main></body></html>"
    )


def _row(one):
    earned = "to be read" if one.points is None else f"{one.points:g} of {one.check.points:g}"
    kind = " class='right'" if one.points == one.check.points else ""
    return (
        f"<tr><th scope='row'>{escape(one.check.title)}</th><td class='points'>{earned}</td>"
        f"<td{kind}>{escape(one.word)}</td></tr>"
    )
