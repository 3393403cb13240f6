"""Sphinx extension of the book: figures that take a page's colours, and docstrings as pages.

A figure that lies in a file of its own cannot take the page's colours. Inlined, it can: each
palette colour of `qkdlib.style` becomes the CSS variable of the same name, so a figure changes
with the page between light and dark, and a curve has its colour from the same place as the word
"teacher" in the prose.

Docstrings are plain text with `code`, formulas and examples. `as_rst` marks up what Sphinx would
misread, so that they need not be written for Sphinx.
"""

from __future__ import annotations

import hashlib
import html
import importlib.util
import inspect
import re
from collections import _tuplegetter
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.inspect import stringify_signature

LOGGER = logging.getLogger(__name__)


def palette(source: Path) -> dict[str, str]:
    """The light palette of `qkdlib/style.py`, hex -> CSS variable, read without its package."""
    spec = importlib.util.spec_from_file_location("book_style", source)
    style = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(style)
    return {value.lower(): f"var(--qkd-{name})" for name, value in style.COLOURS.items()}


def inline_svg(text: str, label: str, colours: dict[str, str]) -> str:
    """An SVG file's text as an element of a page.

    Args:
        text: the file's content.
        label: what the picture shows, for readers who do not see it.
        colours: hex colour (lower case) -> what to write in its place.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    # Two figures of a page may use one id; a prefix from the content keeps them apart.
    prefix = "f" + hashlib.sha256(text.encode()).hexdigest()[:8] + "-"
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'((?:xlink:)?href)="#', rf'\1="#{prefix}', text)
    text = re.sub(r"url\(#", f"url(#{prefix}", text)
    text = re.sub(r"#[0-9a-fA-F]{6}\b", lambda m: colours.get(m.group().lower(), m.group()), text)
    # A presentation attribute takes no variable; a style does.
    text = re.sub(r'\b(fill|stroke|stop-color)="(var\([^)]*\))"', r'style="\1: \2"', text)
    attributes = f'role="img" aria-label="{html.escape(label, quote=True)}" '
    svg = text.replace("<svg ", "<svg " + attributes, 1).strip()
    return f'<div class="qkd-figure">{svg}</div>'


def _in_cell_output(node: nodes.Node) -> bool:
    while node is not None:
        if isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_output":
            return True
        node = node.parent
    return False


class Figures(SphinxPostTransform):
    """Inlines SVG figures and gives every output picture a text that stands for it."""

    default_priority = 8  # after myst-nb chose among an output's forms, before images are copied
    formats = ("html",)

    def run(self, **kwargs) -> None:
        colours = self.app.config.book_palette
        for image in list(self.document.findall(nodes.image)):
            figure = image.parent
            while figure is not None and not isinstance(figure, nodes.figure):
                figure = figure.parent
            label = image.get("alt") or ""
            if not label and figure is not None:
                label = next((c.astext() for c in figure.findall(nodes.caption)), "")
            output = _in_cell_output(image)
            if output and not label:
                LOGGER.warning(
                    "a picture in a cell's output has neither caption nor alt text "
                    "(cell metadata: mystnb: figure: caption)", location=image
                )  # fmt: skip
            image["alt"] = label
            drawing = "assets/drawings/" in image["uri"]
            path = Path(self.app.srcdir) / image["uri"].lstrip("/")
            if path.suffix != ".svg" or not path.exists() or not (output or drawing):
                continue
            svg = inline_svg(path.read_text(encoding="utf8"), label, colours)
            image.replace_self(nodes.raw("", svg, format="html"))


def _plain_citations(app, pagename, templatename, context, doctree) -> None:
    """Drops roles from the bibliography that its markup does not fulfil (screen readers stumble)."""
    if "citation-list" in context.get("body", ""):
        body = context["body"].replace(' role="list" class="citation-list"', ' class="citation-list"')
        context["body"] = body.replace(' role="doc-biblioentry"', "")


def as_rst(lines: list[str]) -> list[str]:
    """A docstring's lines as reStructuredText.

    Between backticks is code, and a link where it is a documented name. A paragraph that is indented
    more than the one before is a formula: it stays as it is, like the lines of an example.
    """
    found, prose, formula, example = [], 0, False, False
    for above, line in zip(["", *lines], lines, strict=False):
        indent = len(line) - len(line.lstrip())
        if not line:
            example = False
        elif line.startswith(">>>", indent):
            example = True
        elif not example:
            if formula or not above:
                begins, formula = not formula, indent > prose
                if formula and begins:
                    found += [" " * prose + ".. code-block:: none", ""]
            if not formula:
                prose, line = indent, _marked_up(line)
        found.append(line)
    return found


def _marked_up(line: str) -> str:
    """One line of prose, with *stress*; a text without spaces in quotes is code too."""

    def mark(match: re.Match) -> str:
        code = match[1] or match[2]
        if code is None:
            return match[3] or "\\" + match[0]
        name = re.fullmatch(r"([a-zA-Z_][\w.]*)(\(\))?", code)
        return f"\\ :py:obj:`{code} <{name[1]}>`\\ " if name else f"\\ ``{code}``\\ "

    stress = r"(?<![\w*])\*\w+(?: \w+)*\*(?![\w*])"
    return re.sub(rf'`([^`]+)`|("[^\s"]+")|({stress})|[*|\\]|_(?!\w)', mark, line)


def _docstring(app, what, name, obj, options, lines) -> None:
    lines[:] = as_rst(lines)


def _of_init(app, what, name, obj, options, signature, returns) -> tuple | None:
    """A class's arguments, where a base class of Keras or of widgets hides them."""
    if what == "class" and signature.startswith(("(*args", "(**kwargs")):
        _, *own = inspect.signature(obj.__init__).parameters.values()
        return stringify_signature(inspect.Signature(own), show_annotation=False), None
    return None


def _no_fields(app, what, name, obj, skip, options) -> bool | None:
    """Leaves out the fields of named tuples, whose classes describe them, as members."""
    return True if isinstance(obj, _tuplegetter) else None


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _of_init)
    app.connect("autodoc-skip-member", _no_fields)
    app.connect("html-page-context", _plain_citations)
    app.add_config_value("book_palette", {}, "env")
    app.add_post_transform(Figures)

    def read_palette(app, config):
        # srcdir is the stage under _build/, or the repository itself.
        for folder in (Path(app.srcdir), *Path(app.srcdir).parents):
            source = folder / "qkdlib" / "style.py"
            if source.exists():
                config.book_palette = palette(source)
                return
        raise FileNotFoundError("qkdlib/style.py, the palette of the book's figures")

    app.connect("config-inited", read_palette)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
