"""The explorer: one widget for two hosts, JupyterLab with a kernel and the published page."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path

import anywidget
import traitlets

from qkdlib.explore.controls import check_controls
from qkdlib.explore.grid import Record
from qkdlib.explore.panels import PANELS, Curves, Readout
from qkdlib.explore.still import draw_still
from qkdlib.explore.training import Training, takes_report

_FOLDER = Path(__file__).parent
MAX_KB = 100  # of an explorer in a page, everything included

_PAGE = """<div class="qkd-host" data-explorer="{key}">
<section class="qkd-explorer">{still}</section></div>
<style>{css}</style>
<script type="module">
const source = {script}, state = {state}, heard = {{}};
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; (heard["change:" + name] || []).forEach((f) => f()); }},
  on: (event, f) => {{ (heard[event] ||= []).push(f); }},
  off: () => {{}}, save_changes: () => {{}}, send: () => {{}},
}};
const url = URL.createObjectURL(new Blob([source], {{ type: "text/javascript" }}));
const host = document.querySelector('[data-explorer="{key}"]:not([data-ready])');
host.dataset.ready = "";
(await import(url)).default.render({{ model, el: host }});
URL.revokeObjectURL(url);
</script>"""


class Explorer(anywidget.AnyWidget):
    """A figure that follows its controls: from a stored grid, and live where there is a kernel.

    In a notebook it is a widget. Its output also holds a web page of its own (`text/html`) with the
    same script and the grid inside, which works without a kernel, from disk, and a still picture
    (`image/svg+xml`) for where scripts are off.

    Args:
        title: The question that the explorer answers.
        controls: `Slider`, `Toggle`, `Choice`: one or several. They span the grid, in their order.
        panels: `Curves`, `HeatMap`, `Bars`, `BlochSpheres`, `Circuits`: one or several.
        readouts: Some `Readout`, or none.
        record: How the grid was computed: `Grid.record`, or what `recorded` yielded.
        trainer: For live training: takes the controls' values as keywords and yields `Live(...)` or
            (x, y, progress) after each step; or returns a single `Live`; or has one more
            parameter, `report`, and calls it with each step. It can be stopped between two steps
            only, so a step should take a tenth of a second at most.

    Raises:
        TypeError, ValueError: Something cannot be drawn; the message names it. So does a grid that
            makes the page too heavy, and a trainer that does not take the controls' names.
    """

    _esm = _FOLDER / "explorer.js"
    _css = _FOLDER / "explorer.css"
    spec = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        title: str,
        controls: Sequence,
        panels: Sequence,
        *,
        record: Record,
        readouts: Sequence[Readout] = (),
        trainer: Callable | None = None,
    ):
        controls = check_controls(controls)
        panels = (panels,) if isinstance(panels, PANELS) else tuple(panels)
        readouts = (readouts,) if isinstance(readouts, Readout) else tuple(readouts)
        spec = _pack(title, controls, panels, readouts, record)
        if trainer is not None:
            _check_trainer(trainer, controls)
        super().__init__(spec=spec, values={c.name: c.start for c in controls})
        self._controls = controls
        weight, grid = len(self.html.encode()) / 1000, len(_script_text(spec).encode()) / 1000
        if weight > MAX_KB:
            raise ValueError(
                f"the explorer would weigh {weight:.0f} kB, {grid:.0f} of them the panels' content; "
                f"at most {MAX_KB} are allowed: use fewer grid points, fewer points a curve, or `over`"
            )
        self._training = None
        if trainer is not None:
            curve = next((p.curves for p in panels if isinstance(p, Curves)), None)
            first = (curve if hasattr(curve, "name") else curve[0]).name if curve else "run"
            self._training = Training(trainer, first, self.send)
        self.on_msg(self._receive)

    def _receive(self, _, message, buffers):
        kind = message.get("kind")
        if kind == "ping":
            self.send({"kind": "pong", "live": self._training is not None})
        elif kind == "train" and self._training is not None:
            try:
                values = {c.name: c.accept(message["values"][c.name]) for c in self._controls}
            except (KeyError, TypeError, ValueError) as problem:
                run = {"run": message.get("run"), "values": message.get("values")}
                self.send({"kind": "ended", **run, "seconds": 0, "error": str(problem)})
            else:
                self._training.start(message["run"], values)
        elif kind == "stop" and self._training is not None:
            self._training.stop()

    @cached_property
    def html(self) -> str:
        """The explorer as a piece of a web page that needs nothing else."""
        state = {"spec": self.spec, "values": {c.name: c.start for c in self._controls}}
        text = _script_text(state)
        return _PAGE.format(
            key="qkd-" + hashlib.sha256(text.encode()).hexdigest()[:12],
            still=draw_still(self.spec, page=True),
            css=_compact("explorer.css", r"/\*.*?\*/"),
            script=_script_text(_compact("explorer.js", r"^ *//[^\n]*")),
            state=text,
        )

    @cached_property
    def svg(self) -> str:
        """The still picture, as a file's text."""
        return draw_still(self.spec, page=False)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        data = dict(data) | {"text/html": self.html, "image/svg+xml": self.svg}
        data["text/plain"] = f"Explorer({escape(self.spec['title'])!r})"
        return data, meta


def _pack(title, controls, panels, readouts, record):
    if not isinstance(title, str) or not title.strip():
        raise ValueError(f"title must be a text, got {title!r}")
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    for panel in panels:
        if not isinstance(panel, PANELS):
            names = ", ".join(kind.__name__ for kind in PANELS)
            raise TypeError(f"panels must be {names}, got {panel!r}")
    for readout in readouts:
        if not isinstance(readout, Readout):
            raise TypeError(f"readouts must be Readout, got {readout!r}")
    if not isinstance(record, Record):
        raise TypeError(f"record must be a Record (grid.record, recorded()), got {record!r}")
    spec = {
        "title": title,
        "controls": [control.pack() for control in controls],
        "panels": [panel.pack(controls) for panel in panels],
        "readouts": [readout.pack(controls) for readout in readouts],
        "record": record.pack(),
    }
    return spec


def _check_trainer(trainer, controls):
    names = [control.name for control in controls]
    try:
        more = ["report"] if takes_report(trainer) else []
        inspect.signature(trainer).bind(**dict.fromkeys(names + more))
    except TypeError as problem:
        raise TypeError(f"trainer must take the keywords {', '.join(names)}: {problem}") from None


def _script_text(value):
    """JSON that can stand in a script element whatever it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _compact(name, comment):
    """A source file without its comments and indentation; no text in it spans several lines."""
    text = re.sub(
        comment, "", (_FOLDER / name).read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL
    )
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
