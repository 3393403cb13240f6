"""The explorer: one widget for two hosts, JupyterLab with a kernel and the published page."""

import hashlib
import itertools
import json
import uuid
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape

import anywidget
import traitlets

from qkdlib.explore.bundle import script_for, style
from qkdlib.explore.controls import check_controls
from qkdlib.explore.grid import Record
from qkdlib.explore.page import page_script
from qkdlib.explore.panels import Panel
from qkdlib.explore.pen import draw_still
from qkdlib.explore.readout import Readout
from qkdlib.explore.training import Training, check_trainer

MAX_KB = 100  # of an explorer in a page, but for the engine, which a page needs once
_MADE = weakref.WeakKeyDictionary()  # explorer -> its number
_NUMBERS = itertools.count()

_PAGE = """<div class="qkd-host" data-explorer="{key}">
<section class="qkd-explorer">{still}</section></div>
<style>{css}</style>
{engine}<script type="module">
{script}
const state = {state}, heard = {{}};
const host = document.querySelector('[data-explorer="{key}"]:not([data-ready])');
host.dataset.ready = "";
render({{ el: host, model: {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; (heard["change:" + name] || []).forEach((f) => f()); }},
  on: (event, f) => {{ (heard[event] ||= []).push(f); }},
  off: () => {{}}, save_changes: () => {{}}, send: () => {{}}, page: true,
}} }});
</script>"""


class Explorer(anywidget.AnyWidget):
    """A figure that follows its controls: from a stored grid, and live where there is a kernel.

    In a notebook it is a widget. Its output also holds a web page of its own (`text/html`) with the
    same script and the grid inside, which works without a kernel, from disk, and a still picture
    (`image/svg+xml`) for where scripts are off.

    Args:
        title: The question that the explorer answers.
        controls: `Slider`, `Toggle`, `Choice`: one or several. They span the grid, in their order.
        panels: `Curves`, `HeatMap`, `Bars`, `BlochSpheres`, `Circuits` or any other `Panel`: one or
            several.
        readouts: Some `Readout`, or none.
        record: How the grid was computed: `Grid.record`, or what `recorded` yielded.
        trainer: For live training: called as `trainer(**values, report=report)`, the controls' values
            under their names. It calls `report(Live(...))` after each step; what it returns is
            ignored, so a function with `seed=0, report=None` can serve `compute_grid` as well. It
            can be stopped between two steps only, so a step should take a tenth of a second at most. One
            with a method `pack` (a `DeclaredTraining`) trains in the page as well.

    Attributes:
        controls: The controls, a tuple.
        training: What runs the trainer, or None.

    Raises:
        TypeError, ValueError: Something cannot be drawn; the message names it. So does a grid that
            makes the page too heavy, and a trainer that does not take the keywords.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    identity = traitlets.Unicode().tag(sync=True)  # by which live.js finds the widget's model

    def __init__(
        self,
        title: str,
        controls: Sequence,
        panels: Panel | Sequence[Panel],
        *,
        record: Record,
        readouts: Readout | Sequence[Readout] = (),
        trainer: Callable | None = None,
    ):
        self.controls = check_controls(controls)
        self._panels = (panels,) if isinstance(panels, Panel) else tuple(panels)
        readouts = (readouts,) if isinstance(readouts, Readout) else tuple(readouts)
        spec, script = _pack(title, self.controls, self._panels, readouts, record, trainer)
        start = {control.name: control.start for control in self.controls}
        identity = uuid.uuid4().hex
        self._script, self._engine = script, page_script() if "plan" in spec else ""
        super().__init__(
            spec=spec, values=start, identity=identity, model_id=identity, _css=style(),
            _esm=f"{self._engine}{script}\nexport default {{ render }};",
        )  # fmt: skip
        weight = (len(self.html.encode()) - len(self._engine)) / 1000
        grid = len(_script_text(spec).encode()) / 1000
        if weight > MAX_KB:
            raise ValueError(
                f"the explorer would weigh {weight:.0f} kB, {grid:.0f} of them the panels' content; "
                f"at most {MAX_KB} are allowed: use fewer grid points, fewer points a curve, or `over`"
            )
        # Through self.send at the time, so that a test may listen in.
        self.training = trainer and Training(trainer, spec, lambda message: self.send(message))
        self.on_msg(self._receive)
        _MADE[self] = next(_NUMBERS)

    @classmethod
    def made(cls):
        """The explorers that exist in this process, in the order in which they were made."""
        return sorted(_MADE, key=_MADE.get)

    def _receive(self, _, message, buffers):
        kind = message.get("kind")
        if kind == "ping":
            self.send({"kind": "pong", "live": self.training is not None})
        elif kind == "train" and self.training is not None:
            try:
                values = {c.name: c.accept(message["values"][c.name]) for c in self.controls}
            except (KeyError, TypeError, ValueError) as problem:
                run = {"run": message.get("run"), "values": message.get("values")}
                self.send({"kind": "ended", **run, "seconds": 0, "error": str(problem)})
            else:
                self.training.start(message["run"], values)
        elif kind == "stop" and self.training is not None:
            self.training.stop()

    @cached_property
    def html(self) -> str:
        """The explorer as a piece of a web page that needs nothing else."""
        state = {"spec": self.spec, "values": {c.name: c.start for c in self.controls}}
        text = _script_text(state)
        return _PAGE.format(
            key="qkd-" + hashlib.sha256(text.encode()).hexdigest()[:12],
            still=draw_still(self.spec, self._panels, page=True),
            css=self._css,
            engine=self._engine and f"<script data-qkd-engine>{self._engine}</script>\n",
            script=self._script,
            state=text,
        )

    @cached_property
    def svg(self) -> str:
        """The still picture, as a file's text."""
        return draw_still(self.spec, self._panels, page=False)

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, meta = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        data = dict(data) | {"text/html": self.html, "image/svg+xml": self.svg}
        data["text/plain"] = f"Explorer({escape(self.spec['title'])!r})"
        return data, meta


def _pack(title, controls, panels, readouts, record, trainer):
    """(spec, script): everything that the page needs, checked."""
    if not isinstance(title, str) or not title.strip():
        raise ValueError(f"title must be a text, got {title!r}")
    if not panels:
        raise ValueError("panels must hold at least one panel, got none")
    for panel in panels:
        if not isinstance(panel, Panel):
            raise TypeError(f"panels must be Curves, HeatMap, Bars or another Panel, got {panel!r}")
    for readout in readouts:
        if not isinstance(readout, Readout):
            raise TypeError(f"readouts must be Readout, got {readout!r}")
    if not isinstance(record, Record):
        raise TypeError(f"record must be a Record (grid.record, recorded()), got {record!r}")
    if trainer is not None:
        check_trainer(trainer, controls)
    declared = hasattr(trainer, "pack")
    script = script_for(panels, trains=declared)
    spec = {
        "title": title,
        "controls": [control.pack() for control in controls],
        "panels": [panel.pack(controls) for panel in panels],
        "readouts": [readout.pack(controls) for readout in readouts],
        "record": record.pack(),
    }
    if declared:
        spec["plan"] = trainer.pack(controls)
    return spec, script


def _script_text(value):
    """JSON that can stand in a script element whatever it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
