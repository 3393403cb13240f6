"""What every page must have, checked on its structure; `problems` names what is missing.

A chapter is a core page (one idea, one sitting) and pages below it (one question each).
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_LINES = 20  # a cell that the reader sees; plotting cells carry the tag hide-input
MAX_FOLDED = 30  # any cell, folded or not: small steps for who unfolds or edits it
MAX_WIDTH = 76  # characters of a line that the reader sees: what a page of 1280 px shows whole
CORE_WORDS, CORE_LINES = 2500, 120  # one sitting
FIRST_SCREEN = 8  # cells, of which one is something to turn
HIDDEN = {"hide-input", "remove-input", "hide-cell", "remove-cell"}
CORE_BOXES = {
    "predict": 'a question "Predict before you run" (class predict)',
    "pitfall": 'the box "Where it goes wrong" (class pitfall)',
}


class Measure(NamedTuple):
    """How long a page is for a reader: words of prose and lines of code in view."""

    words: int
    lines: int


def _text(cell: dict) -> str:
    return "".join(cell["source"])


def _tags(cell: dict) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


def _code_in_view(cell: dict) -> list[str]:
    """A code cell's lines as a reader sees them, without the empty ones."""
    if HIDDEN & set(_tags(cell)):
        return []
    return [line for line in _text(cell).splitlines() if line.strip()]


def _words(prose: str) -> int:
    """Words that are read: a formula is one, marks of the format and the list of sources are none."""
    prose = prose.partition("## References")[0]
    prose = re.sub(r"^([:`]{3,}).*?\{(?:figure|image)\}.*\n(?::.*\n)*", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"\$\$.*?\$\$(?: *\([\w-]+\))?", " formula ", prose, flags=re.DOTALL)
    prose = re.sub(r"\$[^$]+\$|\{[\w:]+\}`[^`]*`|\([\w-]+\)=", " word ", prose)
    prose = re.sub(r"^(?:[:`]{3,}.*|:[\w-]+:.*)$", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"\]\([^)]*\)|\{\.\w+\}", " ", prose)
    return len(re.findall(r"[^\W_][\w'’.%-]*", prose))


def measure(notebook: dict) -> Measure:
    """Words and lines in view; solutions are folded and count for nothing.

    Args:
        notebook: the page as JSON (nbformat 4.5).
    """
    prose, lines, folded = [], 0, False
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            lines += 0 if folded else len(_code_in_view(cell))
            continue
        text = _text(cell)
        whole = re.sub(
            r"^([:`]{3,})\{solution\}.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE
        )
        for i, part in enumerate(re.split(r"^[:`]{3,}\{solution-(start|end)\}", whole, flags=re.M)):
            if i % 2:
                folded = part == "start"
            elif not folded:
                prose.append(part)
    return Measure(_words("\n\n".join(prose)), lines)


def unstripped(notebook: dict) -> list[str]:
    """Traces of a run, which do not belong under version control."""
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code":
            if cell.get("outputs"):
                found.append(f"cell {number} has outputs; strip them (nbstripout --keep-id)")
            if cell.get("execution_count") is not None:
                found.append(f"cell {number} has an execution count; strip it")
        if "execution" in cell.get("metadata", {}):
            found.append(f"cell {number} has execution times in its metadata; strip them")
    if "widgets" in notebook.get("metadata", {}):
        found.append("the notebook holds widget states; strip them")
    ids = [cell.get("id") for cell in notebook["cells"]]
    if None in ids or len(set(ids)) < len(ids):
        found.append("every cell needs an id of its own (nbformat 4.5)")
    return found


def _opening(notebook: dict, prose: str) -> list[str]:
    titles = re.findall(r"^# .+$", prose, re.MULTILINE)
    if len(titles) != 1:
        return [f"a page has one title; this one has {len(titles)}"]
    first = notebook["cells"][0]
    if first["cell_type"] != "markdown" or not _text(first).lstrip().startswith(("# ", "(")):
        return ["the first cell holds the title and, below it, the promise"]
    if not re.search(r"^# .+\n+\S", _text(first), re.MULTILINE):
        return ["no promise follows the title in the first cell"]
    return []


def _exercises(prose: str) -> tuple[list[str], list[str], list[str]]:
    """Labels of exercises and of solutions, and what is wrong with the two together."""
    labels = re.findall(
        r"^[:`]{3,}\{exercise(?:-start)?\}.*\n(?::[a-z]+:.*\n)*?:label: *(\S+)", prose, re.MULTILINE
    )
    answers = re.findall(r"^[:`]{3,}\{solution(?:-start)?\} *(\S+)", prose, re.MULTILINE)
    found = [f"solution {label} answers no exercise" for label in answers if label not in labels]
    return labels, answers, found


def _cells(notebook: dict) -> list[str]:
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        lines = [line for line in _code_in_view(cell) if not line.lstrip().startswith("#")]
        if len(lines) > MAX_LINES:
            found.append(f"cell {number} shows {len(lines)} lines of code; at most {MAX_LINES}")
        length = len(_text(cell).splitlines())
        if length > MAX_FOLDED:
            found.append(f"cell {number} has {length} lines; at most {MAX_FOLDED}, folded or not")
        widest = max(map(len, _code_in_view(cell)), default=0)
        if widest > MAX_WIDTH:
            found.append(f"cell {number} shows a line of {widest} characters; at most {MAX_WIDTH}")
        figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
        if figure and not figure.get("caption"):
            found.append(f"the figure of cell {number} has no caption")
    return found


def problems(notebook: dict, kind: str = "core") -> list[str]:
    """Every way in which a page breaks the contract, one sentence each; empty if none.

    Args:
        notebook: the page as JSON (nbformat 4.5).
        kind: "core", "below", or "whole" for a chapter that is not yet split into the two.
    """
    prose = "\n\n".join(_text(c) for c in notebook["cells"] if c["cell_type"] == "markdown")
    found = unstripped(notebook) + _opening(notebook, prose) + _cells(notebook)
    labels, answers, unmatched = _exercises(prose)
    found += unmatched
    if ("{footcite" in prose) != ("{footbibliography}" in prose):
        found.append("what it cites stands under '## References' in a footbibliography, and only then")
    if re.search(r"mybinder\.org|colab\.research", prose):
        found.append("launch links are written by the build, not by hand")
    if kind == "whole":
        return [one for one in found if "shows a line" not in one]
    return found + (_below(notebook) if kind == "below" else _core(notebook, prose, labels, answers))


def _core(notebook: dict, prose: str, labels: list[str], answers: list[str]) -> list[str]:
    found = []
    for name, meaning in CORE_BOXES.items():
        if not re.search(rf"^:class: .*\b{name}\b", prose, re.MULTILINE):
            found.append(f"it lacks {meaning}")
    opening = "".join(_text(c) for c in notebook["cells"][:FIRST_SCREEN] if c["cell_type"] == "code")
    if "xplorer(" not in opening:
        found.append(f"there is nothing to turn (an explorer) among its first {FIRST_SCREEN} cells")
    if not any(c.get("metadata", {}).get("mystnb", {}).get("figure") for c in notebook["cells"]):
        found.append("no cell makes a figure with a caption (metadata mystnb: figure: caption)")
    if len(set(labels)) != 4:
        found.append(f"a core page has four exercises with labels; found {len(set(labels))}")
    if len(set(answers)) != 3:
        found.append(f"three of four exercises have a printed solution; found {len(set(answers))}")
    for heading in ("Summary", "Where to go deeper"):
        if not re.search(rf"^## {heading}$", prose, re.MULTILINE):
            found.append(f"it lacks the section {heading!r}")
    words, lines = measure(notebook)
    if words > CORE_WORDS:
        found.append(f"it has {words} words of prose; a core page at most {CORE_WORDS}")
    if lines > CORE_LINES:
        found.append(f"it shows {lines} lines of code; a core page at most {CORE_LINES}")
    return found


def _below(notebook: dict) -> list[str]:
    first = _text(notebook["cells"][0])
    found = []
    if not re.search(r"^# .+\?$", first, re.MULTILINE):
        found.append("the title of a page below a core page is one question")
    if not re.search(r"^\*Adds:\* .+ \*Needs:\* .+", first, re.MULTILINE):
        found.append("its second line says what it adds and needs: *Adds:* ... *Needs:* ...")
    return found
