"""What every chapter must have, checked on its structure; `problems` names what is missing."""

from __future__ import annotations

import re

MAX_LINES = 20  # a cell that the reader sees; plotting cells carry the tag hide-input
BOXES = {
    "objectives": "a box of objectives (class objectives)",
    "predict": 'a question "Predict before you run" (class predict)',
    "paper": 'the box "What the paper says, what we measured" (class paper)',
    "pitfall": 'the box "Where it goes wrong" (class pitfall)',
}


def _text(cell: dict) -> str:
    return "".join(cell["source"])


def _tags(cell: dict) -> list[str]:
    return cell.get("metadata", {}).get("tags", [])


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
        return [f"a chapter has one title; this one has {len(titles)}"]
    first = notebook["cells"][0]
    if first["cell_type"] != "markdown" or not _text(first).lstrip().startswith(("# ", "(")):
        return ["the first cell holds the title and, below it, the promise"]
    if not re.search(r"^# .+\n+\S", _text(first), re.MULTILINE):
        return ["no promise follows the title in the first cell"]
    return []


def _exercises(prose: str) -> list[str]:
    labels = re.findall(
        r"^[:`]{3,}\{exercise(?:-start)?\}.*\n(?::[a-z]+:.*\n)*?:label: *(\S+)", prose, re.MULTILINE
    )
    answers = re.findall(r"^[:`]{3,}\{solution(?:-start)?\} *(\S+)", prose, re.MULTILINE)
    found = []
    if len(set(labels)) < 4:
        found.append(f"a chapter has at least four exercises with labels; found {len(set(labels))}")
    found += [f"exercise {label} has no solution" for label in labels if label not in answers]
    found += [f"solution {label} answers no exercise" for label in answers if label not in labels]
    return found


def _cells(notebook: dict) -> list[str]:
    found, figures = [], 0
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        lines = [s for s in _text(cell).splitlines() if s.strip() and not s.lstrip().startswith("#")]
        if len(lines) > MAX_LINES and not {"hide-input", "remove-input", "hide-cell"} & set(_tags(cell)):
            found.append(f"cell {number} shows {len(lines)} lines of code; at most {MAX_LINES}")
        figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
        figures += bool(figure.get("caption"))
        if figure and not figure.get("caption"):
            found.append(f"the figure of cell {number} has no caption")
    if not figures:
        found.append("no cell makes a figure with a caption (metadata mystnb: figure: caption)")
    return found


def problems(notebook: dict) -> list[str]:
    """Every way in which a chapter breaks the contract, one sentence each; empty if none.

    Args:
        notebook: the chapter as JSON (nbformat 4.5).
    """
    prose = "\n\n".join(_text(c) for c in notebook["cells"] if c["cell_type"] == "markdown")
    found = unstripped(notebook) + _opening(notebook, prose)
    for name, meaning in BOXES.items():
        if not re.search(rf"^:class: .*\b{name}\b", prose, re.MULTILINE):
            found.append(f"it lacks {meaning}")
    found += _exercises(prose) + _cells(notebook)
    for heading in ("Summary", "References"):
        if not re.search(rf"^## {heading}$", prose, re.MULTILINE):
            found.append(f"it lacks the section {heading!r}")
    if "{footbibliography}" not in prose:
        found.append("its references lack the directive footbibliography")
    if re.search(r"mybinder\.org|colab\.research", prose):
        found.append("launch links are written by the build, not by hand")
    return found
