"""Students without a teacher, trained together on the fast engine, from NumPy alone.

K students minimise their own cross-entropy plus `weight` times a `Regulariser`'s distance to the
others. Everything that a run does follows from its `Schedule` and its seed, so that students in
processes of their own (`distributed`) take the same steps as here.
"""

from dataclasses import dataclass, field

import numpy as np

from qkdlib._checks import check_choice, check_count, check_labels, check_matrix, check_number
from qkdlib.circuits.ansatz import initial_weights
from qkdlib.distillation.comparison import Student
from qkdlib.distillation.losses import softened
from qkdlib.distillation.regularisers import Regulariser, pauli_strings
from qkdlib.simulation.optimise import Adam, cross_entropy
from qkdlib.simulation.program import Program

PEERS = ("constant", "average")


@dataclass(frozen=True)
class Schedule:
    """How strongly, and through which weights, students see each other.

    Attributes:
        weight: lambda, the regulariser's weight, at least 0.
        warm_up: Steps over which it grows from 0 in equal parts.
        peers: "constant": a peer is what its weights were at the last exchange; "average": what their
            moving average was.
        decay: Of the moving average, in [0, 1).
        exchange_every: s; students learn of each other's weights every s steps.
        staleness: Exchanges by which a message is late: 0 for one that arrives at once.
    """

    weight: float = 0.0
    warm_up: int = 0
    peers: str = "constant"
    decay: float = 0.9
    exchange_every: int = 1
    staleness: int = 0

    def __post_init__(self):
        check_number("weight", self.weight, 0)
        check_count("warm_up", self.warm_up, minimum=0)
        check_choice("peers", self.peers, PEERS)
        if not 0 <= check_number("decay", self.decay) < 1:
            raise ValueError(f"decay must be in [0, 1), got {self.decay}")
        check_count("exchange_every", self.exchange_every)
        check_count("staleness", self.staleness, minimum=0)

    def weight_at(self, step):
        """lambda at a step, counted from 0."""
        if self.warm_up == 0:
            return float(self.weight)
        return self.weight * min(1.0, step / self.warm_up)

    def source(self, step):
        """The step at whose beginning the peers' weights were taken that are seen at `step`."""
        exchange = max(step // self.exchange_every - self.staleness, 0)
        return exchange * self.exchange_every


@dataclass(frozen=True)
class Task:
    """Data of a run: what each student learns from, and what all compare themselves on.

    Attributes:
        inputs, labels: A list with an entry for each student: angles [n, n_data] or states, and
            integers [n].
        shared: Inputs without labels that every student holds, or None: then all have the same data
            and compare themselves on the batch that they learn from.
        batch_size: Samples a step, of each kind.
        logit_scale: Factor of the logits.
        seed: Seed of the order of samples, which is the same for all.
    """

    inputs: list
    labels: list
    shared: object
    batch_size: int
    logit_scale: float
    seed: int

    def batches(self, student, first=0):
        """Endless (rows, shared rows or None), from step `first`."""
        rows = _rows(len(self.inputs[student]), self.batch_size, self.seed, first)
        if self.shared is None:
            for batch in rows:
                yield batch, None
        else:
            others = _rows(len(self.shared), self.batch_size, [self.seed, 1], first)
            yield from zip(rows, others, strict=False)


@dataclass
class State:
    """A student between two steps: all that is needed to go on."""

    weights: np.ndarray
    optimiser: Adam
    average: np.ndarray
    step: int = 0

    @classmethod
    def start(cls, weights, learning_rate):
        weights = np.array(weights, np.float64)
        return cls(weights, Adam(learning_rate), weights.copy())

    def shown(self, schedule):
        """The weights that peers are told."""
        return (self.average if schedule.peers == "average" else self.weights).astype(np.float32)


class Learner:
    """A student's circuit with the steps that it takes.

    Args:
        student: A `Student`.
        regulariser: A `Regulariser` or None.
        task: The `Task`.
        index: Which of its students this is; None for one that runs its circuit for others to see, and
            takes no steps.
        threads: Of its programs, see `Program`.
    """

    def __init__(self, student, regulariser, task, index, *, threads=None):
        self.n_classes = len(student.observables)
        self.regulariser, self.task, self.schedule = regulariser, task, None
        self.program = self._comparing = _program(student, student.observables, threads)
        if regulariser is not None and regulariser.output == "paulis":
            seen = [student.qubits[q] for q in regulariser.qubits]
            observables = (*student.observables, *pauli_strings(seen))
            self._comparing = _program(student, observables, threads)
        if index is None:
            return
        self.inputs = task.inputs[index]
        self._loss = cross_entropy(
            task.labels[index], logit_scale=task.logit_scale, n_classes=self.n_classes
        )

    def forward(self, weights, inputs, *, keep):
        """A run whose outputs the regulariser can compare; with `keep` it can be pulled back.

        Its weights are rounded as a peer is told them: whoever runs it sees the same.
        """
        weights = np.asarray(weights, np.float32)
        states = self.regulariser is not None and self.regulariser.output == "states"
        return self._comparing.start(weights, **_as(inputs), keep=keep, output=states)

    def output(self, run):
        """What the regulariser compares, see `Regulariser`."""
        kind = self.regulariser.output
        if kind == "states":
            return run.outputs()
        values = run.values()
        if kind == "paulis":
            return values[:, self.n_classes :]
        return self.task.logit_scale * values

    def output_of(self, weights, inputs):
        """The regulariser's outputs for other weights of this student, e.g. older ones."""
        run = self.forward(weights, inputs, keep=False)
        output = self.output(run)
        run.release()
        return output

    def step(self, state, schedule, rows, shared, run, own, peers):
        """Takes one step; returns (cross-entropy, distance to the peers).

        Args:
            state: The `State`, changed in place.
            schedule: The `Schedule`.
            rows: The batch, integers.
            shared: The shared batch's inputs, or None.
            run: The forward run on the shared batch (on the batch itself if there is none), or None
                where nothing is compared.
            own: This student's output in it.
            peers: The peers' outputs on the same inputs, a list of arrays, or None.
        """
        weight, distance = schedule.weight_at(state.step), 0.0
        if run is None:
            task_loss, gradient = self._task(state.weights, rows)
        else:
            distance, slope = self.regulariser(own, peers)
            distance = float(distance.sum() / len(distance))
            slope *= weight / len(slope)
            if shared is None:
                values = run.values()[:, : self.n_classes]
                task_loss, cotangent = self._loss(values, rows)
                gradient = self._pull(run, slope, cotangent)
            else:
                task_loss, gradient = self._task(state.weights, rows)
                gradient = gradient + self._pull(run, slope, None)
        state.weights = state.optimiser.step(state.weights, gradient)
        state.average = schedule.decay * state.average + (1 - schedule.decay) * state.weights
        state.step += 1
        return float(task_loss), distance

    def _task(self, weights, rows):
        losses = []

        def cotangent(values):
            loss, slope = self._loss(values, rows)
            losses.append(loss)
            return slope

        batch = _as(self.inputs[rows])
        _, gradients = self.program.value_and_grad(
            weights, **batch, cotangent=cotangent, wrt=("weights",)
        )
        return losses[0], gradients.weights.astype(np.float64)

    def _pull(self, run, slope, cotangent):
        """Gradient by the weights of regulariser and, if given, cross-entropy."""
        kind = self.regulariser.output
        if kind == "states":
            gradients = run.pull_outputs(slope, ("weights",), cotangent)
        else:
            total = np.zeros((len(slope), self._comparing.n_observables), np.float32)
            if cotangent is not None:
                total[:, : self.n_classes] = cotangent
            if kind == "paulis":
                total[:, self.n_classes :] = slope
            else:
                total[:, : self.n_classes] += self.task.logit_scale * slope
            gradients = run.pull_values(total, ("weights",))
        return gradients.weights.astype(np.float64)


@dataclass(frozen=True)
class Codistillation:
    """Students that were trained together.

    Attributes:
        weights: A list of float32 [n_weights], one per student.
        task_losses: Cross-entropy of each step's batch, [n_students, iterations].
        distances: Distance to the peers, the same shape; 0 where nothing was compared.
        bytes_exchanged: Size of the messages that students sent each other, times their receivers;
            0 in one process. What goes to and from the process that called, so that a round can be
            run again, is not counted.
    """

    weights: list
    task_losses: np.ndarray
    distances: np.ndarray
    bytes_exchanged: int = 0
    _students: list = field(default_factory=list, repr=False)
    _logit_scale: float = 1.0

    def logits(self, inputs):
        """Every student's logits: float64 [n_students, n_samples, n_classes]."""
        found = []
        for student, weights in zip(self._students, self.weights, strict=True):
            values = student.program().expectation(weights, **_as(np.asarray(inputs)))
            found.append(self._logit_scale * values.astype(float))
        return np.stack(found)

    def ensemble(self, inputs):
        """Mean of the students' probabilities: float64 [n_samples, n_classes]."""
        return softened(self.logits(inputs)).mean(axis=0)

    def accuracy(self, inputs, labels):
        """Accuracy of each student, float64 [n_students]."""
        return (self.logits(inputs).argmax(axis=2) == np.asarray(labels)).mean(axis=1)

    def ensemble_accuracy(self, inputs, labels):
        """Accuracy of the ensemble's prediction."""
        return float((self.ensemble(inputs).argmax(axis=1) == np.asarray(labels)).mean())


def codistill(
    students,
    train,
    *,
    regulariser=None,
    schedule=None,
    shared=None,
    logit_scale=1.0,
    weights=None,
    seed,
    callback=None,
    processes=None,
    scheduler=None,
    exchange="weights",
    timeout=30.0,
):
    """Trains K students together, here or in processes of their own.

    All take their step from the weights that they had at its beginning; peers are constants in the
    gradient. Without a regulariser, or with weight 0, each student takes the steps that
    `qkdlib.simulation.optimise.fit` would take alone, from the same weights and seed.

    Args:
        students: K `Student` objects, e.g. `[student] * 4`; circuits may differ, settings of training
            must not.
        train: (inputs, labels) for all; or a list of K such pairs, a private shard for each.
        regulariser: A `Regulariser`, or None.
        schedule: A `Schedule`; by default weight 0.
        shared: Inputs without labels, known to all, on which students are compared; needed with private
            shards. By default students are compared on the batch that they learn from.
        logit_scale: Factor of all logits, positive.
        weights: Initial weights, a list of K arrays; by default student k draws its own from U[0, 2 pi)
            by `student_seed(seed, k)`.
        seed: Seed of initial weights and of the order of samples.
        callback: Called as callback(step, weights) after each step, step from 1, `weights` a list;
            returning True ends the training. In processes it is called where a round of
            `exchange_every` steps ends, once all students have come there.
        processes: Number of processes on this machine over which students are spread; each starts in
            a few seconds. By default students take turns in this one. The result is the same; see
            `rounds` for what it costs and where it pays.
        scheduler: Dask to use instead: a `distributed.Client` or a scheduler's address.
        exchange: What processes tell each other: "weights", or "outputs" on the inputs to come.
        timeout: Seconds within which a scheduler must answer.

    Returns:
        A `Codistillation`.

    Raises:
        TypeError, ValueError: A bad argument, named.
        RuntimeError: A student's round failed, or its worker died too often; says which.
        ConnectionError: The scheduler did not answer, or has no workers.
    """
    from qkdlib.distillation import distributed  # it builds on this module

    distributed.check_place(processes, scheduler, exchange, timeout)
    setup = check_setup(students, train, regulariser, schedule, shared, logit_scale, weights, seed)
    if processes is not None or scheduler is not None:
        return distributed.run(
            setup, processes=processes, scheduler=scheduler, exchange=exchange, timeout=timeout,
            callback=callback,
        )
    students, regulariser, schedule, task, states = setup
    learners = [Learner(s, regulariser, task, k) for k, s in enumerate(students)]
    iterations = students[0].iterations
    batches = [task.batches(k) for k in range(len(students))]
    history = np.zeros((2, len(students), iterations))
    messages = {}  # step -> what every student showed at its beginning
    for step in range(iterations):
        rows, shared_rows = zip(*[next(b) for b in batches], strict=True)
        if step % schedule.exchange_every == 0:
            messages[step] = [state.shown(schedule) for state in states]
            messages = {s: m for s, m in messages.items() if s >= schedule.source(step)}
        seen = messages[schedule.source(step)]
        runs = own = [None] * len(students)
        seen_outputs = shared_inputs = None
        if compares(regulariser, schedule, step, len(students)):
            where = task.inputs[0][rows[0]] if task.shared is None else task.shared[shared_rows[0]]
            shared_inputs = None if task.shared is None else where
            runs = [
                learner.forward(state.weights, where, keep=True)
                for learner, state in zip(learners, states, strict=True)
            ]
            own = [x.output(run) for x, run in zip(learners, runs, strict=True)]
            seen_outputs = own
            if not _fresh(schedule):
                seen_outputs = [x.output_of(w, where) for x, w in zip(learners, seen, strict=True)]
        for k, (learner, state) in enumerate(zip(learners, states, strict=True)):
            peers = None if seen_outputs is None else seen_outputs[:k] + seen_outputs[k + 1 :]
            history[:, k, step] = learner.step(
                state, schedule, rows[k], shared_inputs, runs[k], own[k], peers
            )
            if runs[k] is not None:
                runs[k].release()
        if callback is not None and callback(step + 1, [s.weights for s in states]):
            history = history[:, :, : step + 1]
            break
    final = [state.weights.astype(np.float32) for state in states]
    return Codistillation(final, *history, 0, students, task.logit_scale)


def _program(student, observables, threads):
    symbols = student.weight_symbols, student.data_symbols
    return Program(student.circuit, *symbols, observables, qubits=student.qubits, threads=threads)


def _fresh(schedule):
    """Whether peers are seen as they are now, so that their own forward runs serve."""
    return schedule.exchange_every == 1 and schedule.staleness == 0 and schedule.peers == "constant"


def compares(regulariser, schedule, step, n_students):
    """Whether students look at each other at a step."""
    return regulariser is not None and n_students > 1 and schedule.weight_at(step) > 0


def student_seed(seed, k):
    """The seed of student k's initial weights in a run with `seed`."""
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


def check_setup(students, train, regulariser, schedule, shared, logit_scale, weights, seed):
    """Checks the arguments of `codistill`; returns (students, regulariser, schedule, task, states)."""
    students = _checked_students(students)
    schedule = Schedule() if schedule is None else schedule
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, got {type(schedule).__name__}")
    check_comparison(students, regulariser, schedule)
    seed = check_count("seed", seed, minimum=0)
    logit_scale = check_number("logit_scale", logit_scale, 0, open_minimum=True)
    data = check_data(students, train, shared, needs_shared=regulariser is not None)
    task = Task(*data, students[0].batch_size, logit_scale, seed)
    if weights is None:
        weights = [
            initial_weights(len(s.weight_symbols), seed=student_seed(seed, k))
            for k, s in enumerate(students)
        ]
    if len(weights) != len(students):
        raise ValueError(
            f"weights must have an entry for each of {len(students)} students, got {len(weights)}"
        )
    states = []
    for k, (student, start) in enumerate(zip(students, weights, strict=True)):
        start = check_matrix(f"weights[{k}]", start, len(student.weight_symbols))[0]
        states.append(State.start(start, student.learning_rate))
    return students, regulariser, schedule, task, states


def check_comparison(students, regulariser, schedule):
    """Checks that students, `Student` objects or QNNs, can be compared by the regulariser."""
    classes = [len(student.observables) for student in students]
    if len(set(classes)) > 1:
        raise ValueError(f"students must have the same number of classes, got {classes}")
    if regulariser is None:
        if schedule.weight > 0:
            raise ValueError(f"regulariser must be given with weight {schedule.weight}")
        return
    if not isinstance(regulariser, Regulariser):
        raise TypeError(f"regulariser must be a Regulariser or None, got {regulariser!r}")
    _check_registers(students, regulariser)


def check_data(students, train, shared, *, needs_shared):
    """Checks `train` and `shared` as in `codistill`; returns (inputs, labels, shared).

    Students are `Student` objects or QNNs; inputs and labels are lists with an entry for each.
    """
    n_classes = len(students[0].observables)
    private = isinstance(train, list)
    pairs = train if private else [train] * len(students)
    if len(pairs) != len(students):
        raise ValueError(
            f"train must have a shard for each of {len(students)} students, got {len(pairs)}"
        )
    data = [_checked_data(s, *pair, n_classes) for s, pair in zip(students, pairs, strict=True)]
    if shared is not None:
        shared, *_ = [_checked_inputs("shared", student, shared) for student in students]
    elif private and needs_shared:
        raise ValueError("shared must be given with private shards: students are compared on it")
    return [x for x, _ in data], [y for _, y in data], shared


def _checked_students(students):
    students = [students] if isinstance(students, Student) else list(students)
    if not students:
        raise ValueError("students must be one or more, got none")
    for k, student in enumerate(students):
        if not isinstance(student, Student):
            raise TypeError(f"students[{k}] must be a Student, got {type(student).__name__}")
        for name in ("iterations", "batch_size", "learning_rate"):
            ours, first = getattr(student, name), getattr(students[0], name)
            if ours != first:
                raise ValueError(f"students must have the same {name}, got {first} and {ours}")
    check_count("iterations", students[0].iterations)
    check_count("batch_size", students[0].batch_size)
    return students


def _check_registers(students, regulariser):
    sizes = [len(student.qubits) for student in students]
    if regulariser.output == "states" and len(set(sizes)) > 1:
        raise ValueError(
            "students must have registers of the same size for the infidelity of full states, got "
            f"{sizes} qubits; compare a subsystem (qubits=...)"
        )
    if regulariser.output == "paulis" and max(regulariser.qubits) >= min(sizes):
        raise ValueError(
            f"qubits must be positions in every student's register of {min(sizes)} or more qubits, "
            f"got {regulariser.qubits}"
        )


def _checked_data(student, inputs, labels, n_classes):
    inputs = _checked_inputs("train", student, inputs)
    return inputs, check_labels("labels", labels, n_classes, len(inputs))


def _checked_inputs(name, student, inputs):
    if student.data_symbols:
        return check_matrix(name, inputs, len(student.data_symbols))
    return check_matrix(name, inputs, 2 ** len(student.qubits), np.complex64)


def _as(inputs):
    return {"states" if np.iscomplexobj(inputs) else "data": inputs}


def _rows(n_samples, batch_size, seed, first=0):
    """Batches in the order of `qkdlib.simulation.optimise.fit`, from step `first` on."""
    rng, step = np.random.default_rng(seed), 0
    while True:
        order = rng.permutation(n_samples)
        for start in range(0, n_samples, batch_size):
            if step >= first:
                yield order[start : start + batch_size]
            step += 1
