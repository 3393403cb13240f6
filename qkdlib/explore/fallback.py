"""Other people's widgets in the book: shown in the notebook, and never missing from the page.

A plain ipywidget needs a kernel. The published page has none, and shows nothing in its place; no
warning tells the author. `with_fallback` gives a widget what the page shows instead, and
`missing_fallbacks` finds the outputs that have nothing.
"""

import html

_VIEW = "application/vnd.jupyter.widget-view+json"


class with_fallback:
    """Shows a widget where there is a kernel, and `fallback` in the published page.

    Make it the last expression of a cell, or pass it to `display`.

    Args:
        widget: An ipywidget.
        fallback: What the page shows: text, or anything that a notebook can show as HTML or SVG (a
            pandas table, `IPython.display.HTML`, ...), or a matplotlib figure.

    Raises:
        TypeError: `widget` is no widget, or `fallback` has no form that a page can show.
        ValueError: `fallback` is an empty text.
    """

    def __init__(self, widget, fallback):
        if not hasattr(widget, "_repr_mimebundle_") or not hasattr(widget, "comm"):
            raise TypeError(f"widget must be an ipywidget, got {type(widget).__name__}")
        self.widget, self.html = widget, _as_html(fallback)

    def _repr_mimebundle_(self, **kwargs):
        bundle = self.widget._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle, {})
        return dict(data) | {"text/html": self.html}, meta


def _as_html(fallback):
    if isinstance(fallback, str):
        if not fallback.strip():
            raise ValueError("fallback must not be empty")
        return f"<p>{html.escape(fallback)}</p>"
    for name in ("_repr_html_", "_repr_svg_"):
        text = getattr(fallback, name, lambda: None)()
        if text:
            return text
    if hasattr(fallback, "savefig"):
        return _figure(fallback)
    raise TypeError(
        "fallback must be text, a matplotlib figure or something with an HTML or SVG form, "
        f"got {type(fallback).__name__}"
    )


def _figure(figure):
    import io

    import matplotlib.pyplot as plt

    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)  # or the notebook would show it a second time
    text = file.getvalue()
    return text[text.index("<svg") :]


def missing_fallbacks(notebook):
    """Finds what the published page would lose: widget outputs without an HTML form.

    Args:
        notebook: An executed notebook as JSON (nbformat 4).

    Returns:
        A sentence for each such output, with the number of its cell; empty if there are none.
    """
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if _VIEW in data and not data.get("text/html"):
                text = "".join(data.get("text/plain", "")).strip()[:60]
                found.append(
                    f"cell {number} shows a widget that the page cannot ({text}); wrap it: "
                    "qkdlib.explore.with_fallback(widget, what the page shows instead)"
                )
    return found
