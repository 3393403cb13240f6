"""One declaration of a training: Python runs it, the stored grid holds it, the page trains it.

    declared = DeclaredTraining(model, train, validation, teacher_logits=said, teacher="trained")
    declared.explorer("Which teacher is talking?", [Slider("temperature", ...), ...])

A control sets what it is called after; a control of another name chooses among `options`.
"""

from functools import cached_property

import numpy as np

from qkdlib import core
from qkdlib._checks import check_choice, check_count, check_matrix, check_number
from qkdlib.explore.controls import Slider, check_controls
from qkdlib.explore.explorer import Explorer
from qkdlib.explore.grid import compute_grid
from qkdlib.explore.look import READOUTS, TEACHER, Look
from qkdlib.explore.page import declare, declare_array, declare_samples
from qkdlib.explore.panels import Curve, Curves
from qkdlib.explore.readout import Readout
from qkdlib.explore.training import Live
from qkdlib.measures import OnShots, PullAlone, counted

TEACHERS = {
    "none": core.NoTeacher,
    "trained": core.Distilled,
    "uniform": core.UniformTeacher,
    "constant": core.ConstantTeacher,
    "shuffled": core.ShuffledTeacher,
    "decisions": core.DecisionsOnly,
    "pull": PullAlone,
}
DISTANCES = {"kl": core.Divergence, "infidelity": core.Infidelity}

# What can be set, its default, and where the page's engine finds it.
_SETTINGS = {
    "model": (None, "model"),
    "teacher": ("none", "condition.teacher"),
    "teacher_logits": (None, "teacher.logits"),
    "shots": (None, "teacher.shots"),
    "temperature": (1.0, "condition.temperature"),
    "alpha": (0.9, "condition.alpha"),
    "logit_scale": (1.0, "condition.scale"),
    "smoothing": (0.0, "condition.smoothing"),
    "learning_rate": (core.LEARNING_RATE.rate, "rate"),
    "n_students": (1, "students"),
    "distance": ("kl", "pull.kind"),
    "weight": (0.0, "pull.weight"),
    "spread": (None, "spread"),
    "measured": (None, "measured"),
    "shards": (None, "shards"),
}


class DeclaredTraining:
    """A training whose settings the reader changes.

    Args:
        model: The student, a `Model`.
        train: (inputs, labels).
        validation: (inputs, labels), whose accuracy is drawn.
        teacher_logits: [n_samples, n_classes], what "trained" and other teachers go by.
        teacher_scale: Factor of the teacher's logits: a logit divided by it is an expectation value.
        options: {control: {option: settings}}, for controls that stand for several settings at once.
        control: Settings of the run beside it, e.g. {"teacher": "none"}; None for no such run.
        control_name: What that run is called.
        views: What else of a run is shown, see `qkdlib.explore.views`.
        n_steps, batch_size: As in `qkdlib.core.train`.
        decays: Whether the learning rate falls by a tenth every 50 steps.
        every: Steps between two points of a curve.
        error: How far states (norm) or angles (rad) may be off in the page.
        now: Whether the page trains as soon as it opens; the explorer's panels then come first.
        **settings: What is not set by a control: temperature (1), alpha (0.9), logit_scale (1),
            smoothing (0), learning_rate (the library's), measured (None; outcomes for each of the
            student's expectation values), teacher ("none", or another of `TEACHERS`),
            shots (None; outcomes for each of the teacher's expectation values), and of
            codistillation n_students (1), distance ("kl", "infidelity"), weight (0), spread (None;
            students start that near each other, rad), shards (None; the rows of each).

    Called with settings by name and `seed`, it runs in Python and returns arrays by name: "student" and,
    of several students, "vote", accuracies at the `steps`; `READOUTS`; what the views show. With
    `report` it tells the explorer after each point.
    """

    def __init__(
        self, model, train, validation, *, teacher_logits=None, teacher_scale=1.0, options=None,
        control=None, control_name="no teacher", views=(), n_steps=50, batch_size=64, decays=True,
        every=5, error=1e-3, now=False, **settings,
    ):  # fmt: skip
        self.train = model.check_data("train", train)
        self.validation = model.check_data("validation", validation)
        if teacher_logits is not None:
            teacher_logits = check_matrix("teacher_logits", teacher_logits, model.n_classes)
            if len(teacher_logits) != len(self.train[1]):
                raise ValueError(
                    f"teacher_logits must have {len(self.train[1])} rows, got {len(teacher_logits)}"
                )
        self.teacher_scale = check_number("teacher_scale", teacher_scale, 0, open_minimum=True)
        self.n_steps = check_count("n_steps", n_steps)
        self.batch_size = check_count("batch_size", batch_size)
        self.every, self.decays = check_count("every", every, 1, n_steps), bool(decays)
        self.error = check_number("error", error, 0, open_minimum=True)
        self.views, self.control, self.control_name = tuple(views), control, str(control_name)
        self.options = {name: dict(chosen) for name, chosen in (options or {}).items()}
        self.settings = {name: default for name, (default, _) in _SETTINGS.items()}
        self.settings |= self._known({"model": model, "teacher_logits": teacher_logits} | settings)
        for chosen in (*(s for o in self.options.values() for s in o.values()), control or {}):
            self._known(chosen)
        self.now, self._runs = bool(now), {}

    def _known(self, settings):
        for name, value in settings.items():
            check_choice("a setting", name, tuple(_SETTINGS))
            if name in ("teacher", "distance"):
                check_choice(name, value, tuple(TEACHERS if name == "teacher" else DISTANCES))
        return settings

    def resolve(self, values):
        """All settings, where controls have these values."""
        found = dict(self.settings)
        for name, value in values.items():
            if name in self.options:
                check_choice(name, value, tuple(self.options[name]))
                found |= self.options[name][value]
            else:
                found |= self._known({name: value})
        if found["teacher"] != "none" and found["teacher_logits"] is None:
            raise ValueError(f"teacher {found['teacher']!r} needs teacher_logits, got None")
        return found

    @property
    def steps(self):
        """The steps at which curves have their points."""
        return np.arange(0, self.n_steps + 1, self.every)

    @cached_property
    def several(self):
        """Whether students are codistilled."""
        return self.settings["n_students"] > 1

    @cached_property
    def taught(self):
        """Whether there is a teacher at some setting."""
        return any(one["teacher_logits"] is not None for one in self._all_settings())

    @property
    def readouts(self):
        """The numbers beside the curves."""
        return (*READOUTS, TEACHER) if self.taught else READOUTS

    @property
    def names(self):
        """What the curves are called, by their key in a run."""
        found = {"student": "students", "vote": "their vote"} if self.several else {"student": "student"}
        if self.control is not None:
            found["control student"] = self.control_name
            if self.several:
                found["control vote"] = f"{found['vote']}, {self.control_name}"
        return found

    def condition(self, settings):
        """The `Condition` of some settings."""
        kind, scale = TEACHERS[settings["teacher"]], settings["logit_scale"]
        if kind is core.NoTeacher:
            return kind(smoothing=settings["smoothing"], logit_scale=scale)
        return kind(settings["temperature"], settings["alpha"], logit_scale=scale)

    def __call__(self, *, seed=0, report=None, **values):
        settings = self.resolve(values)
        found = self._run(settings, seed, report)
        if report is not None and self.control is not None:  # as the page shows it
            base = self._run(settings | self.control, seed)
            report(self.live(self._beside(found, base), 1.0))
        return found

    def _beside(self, found, base):
        """A run with its control's curves and the gain over it."""
        curves = {f"control {name}": base[name] for name in ("student", "vote") if name in base}
        return found | curves | {"gain": found["student"][-1] - base["student"][-1]}

    def live(self, found, progress):
        """What the explorer is told of a run so far; see `Look.result` for `found`."""
        x = self.steps[: len(found["student"])]
        curves = {name: (x, found[key]) for key, name in self.names.items() if key in found}
        readouts, panels = {name: found[name] for name in self.readouts}, {}
        if "gain" in found:
            readouts[self.gain_name] = found["gain"]
        for view in self.views:
            panels.update(view.live(found))
        return Live(progress, curves, readouts, panels)

    @property
    def gain_name(self):
        """What the difference to the control is called."""
        return f"gain over {self.control_name}"

    def _run(self, settings, seed, report=None):
        rate = settings["learning_rate"]
        options = {
            "n_steps": self.n_steps, "batch_size": self.batch_size, "seed": seed,
            "learning_rate": core.StepDecay(rate) if self.decays else rate,
        }  # fmt: skip
        condition, model = self.condition(settings), settings["model"]
        said = self._said(settings, seed)
        heard = condition.said(said, seed) if condition.needs_teacher else None
        look = Look(self, settings, heard, report)
        student = model.scaled(model.logit_scale * condition.logit_scale)
        if settings["n_students"] > 1:
            start = self._starts(settings, seed)
            look(0, start, np.nan)
            (inputs, labels), shards = self.train, settings["shards"]
            core.codistill(
                [student] * len(start),
                self.train if shards is None else [(inputs[rows], labels[rows]) for rows in shards],
                regulariser=DISTANCES[settings["distance"]](),
                schedule=core.Schedule(settings["weight"]),
                shared=None if shards is None else inputs, weights=start, callback=look, **options,
            )  # fmt: skip
        else:
            start = model.initial_weights(seed=seed)
            look(0, start, np.nan)
            inputs, loss = self.train[0], condition.loss(self.train[1], said, model.n_classes, seed)
            if settings["shards"] is not None:
                (mine,), everything = map(np.asarray, settings["shards"]), loss
                inputs, loss = inputs[mine], lambda logits, rows: everything(logits, mine[rows])
            if settings["measured"] is None:
                core.train(student, inputs, loss, weights=start, callback=look, **options)
            else:
                task = OnShots(student, inputs, loss, round(settings["measured"]), seed=[seed, 7])
                order = core.batches(len(inputs), options.pop("batch_size"), options.pop("seed"))
                core.minimise(task, start, order, callback=look, **options)
        return look.result()

    def _said(self, settings, seed):
        """The teacher's logits, from counts where there are shots."""
        logits, shots = settings["teacher_logits"], settings["shots"]
        if logits is None or shots is None:
            return logits
        rng, scale = np.random.default_rng([seed, 3]), self.teacher_scale
        return scale * counted(logits / scale, round(shots), rng)

    def _starts(self, settings, seed):
        model, n_students = settings["model"], settings["n_students"]
        if settings["spread"] is None:
            return [model.initial_weights(seed=core.student_seed(seed, k)) for k in range(n_students)]
        rng, common = np.random.default_rng([seed, 9]), model.initial_weights(seed=seed)
        return [common + rng.normal(0, settings["spread"], model.n_weights) for _ in range(n_students)]

    # --- For the page -------------------------------------------------------------------------------

    def pack(self, controls):
        """What the page needs to run it, a dict for JSON; see page/host.js.

        Args:
            controls: The explorer's controls.
        """
        whole = "infidelity" in self._values(controls, "distance")
        (inputs, labels), training = self.train, {}
        for path, value in self._packed_settings(self.settings, whole).items():
            _put(training, path, value)
        samples = {"inputs": declare_samples(inputs, self.error), "labels": labels.tolist()}
        held_out = {
            "inputs": declare_samples(self.validation[0], self.error),
            "labels": self.validation[1].tolist(),
        }
        training |= samples | {
            "watch": {"validation": held_out, "training": {}},
            "steps": self.n_steps, "batch": self.batch_size, "decay": self.decays, "every": self.every,
        }  # fmt: skip
        training["teacher"]["scale"] = self.teacher_scale
        if self.several and any(one["shards"] is not None for one in self._all_settings()):
            training["shared"] = True  # they meet on all images
        for view in self.views:
            if view.inputs is not None:
                training["watch"][view.name] = {"inputs": declare_samples(view.inputs, self.error)}
        options, paths = {}, {}
        for control in controls:
            if control.name not in self.options:
                check_choice("a control of a declared training", control.name, tuple(_SETTINGS))
            options[control.name] = self._packed_options(control, whole)
            paths[control.name] = _SETTINGS.get(control.name, (None, None))[1]
        return {
            "training": training, "paths": paths, "options": options, "several": self.several,
            "away": self._packed_settings(self.control or {}, whole),
            "control": None if self.control is None else self.control_name,
            "views": [view.pack() for view in self.views], "now": self.now,
        }  # fmt: skip

    def _all_settings(self):
        chosen = (settings for option in self.options.values() for settings in option.values())
        return [self.settings, *(self.settings | settings for settings in chosen)]

    def _values(self, controls, name):
        """All values that a setting can have."""
        found = {one[name] for one in self._all_settings()}
        return found.union(*(c.values for c in controls if c.name == name))

    def _packed_options(self, control, whole):
        """What the options of a control stand for; None where its value is meant as it is."""
        if control.name in self.options:
            chosen = self.options[control.name]
            wanted = control.values
            if isinstance(control, Slider):
                wanted = range(int(control.limits[0]), int(control.limits[1]) + 1)
            missing = [value for value in wanted if value not in chosen]
            if missing:
                raise ValueError(f"options of {control.name!r} must hold {missing[0]!r} too")
            return {str(value): self._packed_settings(chosen[value], whole) for value in wanted}
        if control.name in ("teacher", "distance"):
            return {v: self._packed_settings({control.name: v}, whole) for v in control.values}
        return None

    def _packed_settings(self, settings, whole):
        found = {_SETTINGS[name][1]: self._packed(name, v, whole) for name, v in settings.items()}
        if "teacher" in settings:
            found["condition.pull"] = settings["teacher"] == "pull"
        return found

    def _packed(self, name, value, whole):
        if name == "model":
            return declare(value, output_states=whole)
        if name == "teacher":
            return {"none": None, "trained": "given", "pull": "given"}.get(value, value)
        if name == "teacher_logits" and value is not None:
            return declare_array(value, "float16")
        if name == "shards" and value is not None:
            return [np.asarray(rows).tolist() for rows in value]
        return value

    # --- The explorer ---------------------------------------------------------------------------------

    def paired(self, *, seed, **values):
        """A run and its control from the same start; names of the latter begin with "control"."""
        settings = self.resolve(values)
        found = self._run_once(settings, seed)
        if self.control is None:
            return found
        return self._beside(found, self._run_once(settings | self.control, seed))

    def _run_once(self, settings, seed):
        """A run, or the same run from before: grid points may differ in what is not in use."""
        heard = ("shots", "teacher_logits")
        idle = {"uniform": heard, "none": (*heard, "alpha", *(() if self.views else ("temperature",)))}
        gone = idle.get(settings["teacher"], ()) + (() if settings["weight"] else ("distance",))
        used = (v if np.isscalar(v) else id(v) for name, v in settings.items() if name not in gone)
        key = (seed, *used)
        if key not in self._runs:
            self._runs[key] = self._run(settings, seed)
        return self._runs[key]

    def explorer(self, title, controls, *, panels=(), curves=True, seeds=range(10), n_jobs=None):
        """An explorer of this training: from a stored grid, by a kernel, and in the page.

        Args:
            title: The question that it answers.
            controls: What the reader sets.
            panels: Further panels, after the views.
            curves: Whether accuracies over the steps are drawn.
            seeds: Of the stored grid, ten or more; the page draws others.
            n_jobs: As in `compute_grid`.

        Returns:
            An `Explorer` with the accuracies of student and control over the steps, the views, and
            readouts.
        """
        controls = check_controls(controls)
        grid = compute_grid(self.paired, controls, seeds=seeds, n_jobs=n_jobs)
        self._runs.clear()
        shown = [*(view.panel(grid) for view in self.views), *panels]
        if curves:
            shown.insert(0, self._curves(grid))
        means = {name: np.ma.masked_invalid(grid.mean(name)) for name in self.readouts}
        found = [Readout(name, mean, decimals=3) for name, mean in means.items()]
        if self.control is not None:
            low, high = grid.interval("gain")
            found.append(Readout(self.gain_name, grid.mean("gain"), low, high, decimals=3))
        return Explorer(title, controls, shown, readouts=found, record=grid.record, trainer=self)

    def _curves(self, grid):
        looks = {
            "student": {"role": "student"},
            "vote": {"role": "teacher"},
            "control student": {"role": "control", "dashed": True},
            "control vote": {"role": "control"},
        }
        looks["student"]["low"], looks["student"]["high"] = grid.interval("student", clip=(0, 1))
        curves = [
            Curve(name, self.steps, grid.mean(key), **looks[key]) for key, name in self.names.items()
        ]
        half = any(view.half for view in self.views)
        return Curves(curves, "step", "validation accuracy", y_range=(0, 1), half=half)


def _put(target, path, value):
    """Sets "a.b" of a nested dict."""
    *above, last = path.split(".")
    for key in above:
        target = target.setdefault(key, {})
    target[last] = value
