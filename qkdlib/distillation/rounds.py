"""Codistillation as rounds that can be played anywhere, in any order that their messages allow.

From one exchange to the next a student needs nothing of the others: its *round*, `exchange_every` steps,
is a function of its state and of its peers' messages alone. The process that called keeps every
student's state at the beginning of its round and hands messages on. So a round whose worker died is run
again with the same result, and there is no barrier: a round starts as soon as the student's own last
round and the messages that it needs are there, which with a staleness of q are those of q rounds ago.

A message goes from each student to each other one, once per exchange:

    "weights"   float32 [n_weights]; the receiver runs its peer's circuit itself, at every step.
    "outputs"   what the regulariser compares, for each batch of the round that sees this exchange; the
                sender runs its circuit once for all receivers.

Both lead to the same result, bit by bit that of one process on the same machine.
"""

import copy
import itertools
from dataclasses import dataclass, replace

import numpy as np

from qkdlib.distillation.codistillation import Learner, compares


@dataclass(frozen=True)
class Plan:
    """What a run does: all that a worker has to know, sent to it once.

    Attributes:
        students, regulariser, schedule, task: As `codistillation.check_setup` returns them.
        exchange: "weights" or "outputs".
        threads: Of each program.
    """

    students: list
    regulariser: object
    schedule: object
    task: object
    exchange: str
    threads: int

    @property
    def n_rounds(self):
        return -(-self.students[0].iterations // self.schedule.exchange_every)

    def steps(self, number):
        """The steps of a round, a range; round -1, before the first step, has none."""
        first, every = number * self.schedule.exchange_every, self.schedule.exchange_every
        return range(max(first, 0), min(first + every, self.students[0].iterations))

    def compared(self, number):
        """The steps of a round at which students look at each other."""
        regulariser, schedule, n_students = self.regulariser, self.schedule, len(self.students)
        return [
            step
            for step in self.steps(number)
            if compares(regulariser, schedule, step, n_students)
        ]

    def exchange_seen(self, number):
        """The exchange, counted like the round at whose beginning it is, that a round sees."""
        return max(number - self.schedule.staleness, 0)

    def seen_at(self, exchange):
        """The steps at which an exchange's messages are looked at; a message for no step is not sent."""
        last = exchange + self.schedule.staleness
        rounds = range(0 if exchange == 0 else last, min(last + 1, self.n_rounds))
        return [step for number in rounds for step in self.compared(number)]

    def name(self, job):
        """A job in words, for messages of error."""
        steps = self.steps(job.number)
        if not steps:
            return f"student {job.student} before its first step"
        return f"student {job.student} in round {job.number} (steps {steps.start} to {steps.stop - 1})"

    def share(self, owned):
        """The plan for a worker that trains the students `owned`: others' data stay where they are."""
        task = replace(
            self.task,
            inputs=[x if k in owned else None for k, x in enumerate(self.task.inputs)],
            labels=[y if k in owned else None for k, y in enumerate(self.task.labels)],
        )
        return replace(self, task=task)


@dataclass(frozen=True)
class Job:
    """A round of one student: its `State` at the beginning, and {peer: message}."""

    student: int
    number: int
    state: object
    messages: dict


@dataclass(frozen=True)
class Done:
    """What a round led to: `State`, history [2, n_steps], and with "outputs" the next message."""

    student: int
    number: int
    state: object
    history: np.ndarray
    message: object


class Crew:
    """Students as they live in a worker: circuits are built once and serve for all rounds."""

    def __init__(self, plan):
        self.plan = plan
        self._learners, self._peers, self._batches = {}, {}, {}

    def __reduce__(self):
        return Crew, (self.plan,)

    def play(self, job):
        """Takes the steps of a job; it is not changed, so that it can be played again."""
        plan, k, state = self.plan, job.student, copy.deepcopy(job.state)
        learner, steps = self._learner(k), plan.steps(job.number)
        compared = set(plan.compared(job.number))
        history = np.zeros((2, len(steps)))
        for i, (rows, where) in enumerate(self._inputs(k, "learning", steps)):
            run = own = peers = None
            if steps[i] in compared:
                run = learner.forward(state.weights, where, keep=True)
                own = learner.output(run)
                peers = [self._seen(j, m, steps[i], where) for j, m in sorted(job.messages.items())]
            shared = None if plan.task.shared is None else where
            history[:, i] = learner.step(state, plan.schedule, rows, shared, run, own, peers)
            if run is not None:
                run.release()
        return Done(k, job.number, state, history, self._outputs(k, job.number + 1, state))

    def _seen(self, peer, message, step, where):
        if self.plan.exchange == "outputs":
            return message[step]
        return self._peer(peer).output_of(message, where)

    def _outputs(self, k, exchange, state):
        """The message of outputs: {step: output}, or None if there is none to send."""
        steps = self.plan.seen_at(exchange)
        if self.plan.exchange == "weights" or not steps:
            return None
        learner, weights = self._learner(k), state.shown(self.plan.schedule)
        span = range(steps[0], steps[-1] + 1)
        return {
            step: learner.output_of(weights, where)
            for step, (_, where) in zip(span, self._inputs(k, "telling", span), strict=True)
        }

    def _inputs(self, k, purpose, steps):
        """(rows, inputs on which students are compared) of consecutive steps.

        The order of samples follows from the seed and is drawn from the first step on: an iterator
        that stands where the last round ended is taken up again.
        """
        task = self.plan.task
        at, batches = self._batches.pop((k, purpose), (None, None))
        if at != steps.start:
            batches = task.batches(k, steps.start)
        for rows, shared_rows in itertools.islice(batches, len(steps)):
            yield rows, task.inputs[k][rows] if task.shared is None else task.shared[shared_rows]
        self._batches[k, purpose] = steps.stop, batches

    def _learner(self, k):
        if k not in self._learners:
            plan = self.plan
            self._learners[k] = Learner(
                plan.students[k], plan.regulariser, plan.task, k, threads=plan.threads
            )
        return self._learners[k]

    def _peer(self, k):
        """A learner that only runs student k's circuit; students that are the same share one."""
        plan, student = self.plan, self.plan.students[k]
        if id(student) not in self._peers:
            self._peers[id(student)] = Learner(
                student, plan.regulariser, plan.task, None, threads=plan.threads
            )
        return self._peers[id(student)]


# --- The coordinator ---------------------------------------------------------------------------


class Coordinator:
    """Where every student stands, and what it has told."""

    def __init__(self, plan, states):
        self.plan, self.states = plan, list(states)
        self.n_students = len(states)
        self.history = np.zeros((2, self.n_students, plan.students[0].iterations))
        self.bytes_exchanged = 0
        self.messages = {}  # exchange -> {student: message}
        self.snapshots = {}  # step -> {student: weights}, until all have reached it
        tells_outputs = plan.exchange == "outputs" and plan.seen_at(0)
        self.next = [-1 if tells_outputs else 0] * self.n_students
        if not tells_outputs:
            for k in range(self.n_students):
                self._tell(k, 0, None)

    def jobs(self, idle):
        """Jobs for those of the students `idle` that have all they need for their next round."""
        for k in idle:
            number = self.next[k]
            if number == self.plan.n_rounds:
                continue
            messages = {}
            if self.plan.compared(number):
                told = self.messages.get(self.plan.exchange_seen(number), {})
                messages = {j: message for j, message in told.items() if j != k}
                if len(messages) < self.n_students - 1:
                    continue
            yield Job(k, number, self.states[k], messages)

    def record(self, done):
        """Takes up what a round led to; returns the steps that by now all students have taken."""
        k, steps = done.student, self.plan.steps(done.number)
        self.states[k] = done.state
        self.next[k] = done.number + 1
        self.history[:, k, steps.start : steps.stop] = done.history
        self._tell(k, done.number + 1, done.message)
        oldest = min(self.plan.exchange_seen(number) for number in self.next)
        self.messages = {e: told for e, told in self.messages.items() if e >= oldest}
        if len(steps):
            self.snapshots.setdefault(steps.stop, {})[k] = done.state.weights
        return sorted(step for step, told in self.snapshots.items() if len(told) == self.n_students)

    def _tell(self, k, exchange, message):
        if not self.plan.seen_at(exchange):
            return
        if self.plan.exchange == "weights":
            message = self.states[k].shown(self.plan.schedule)
        parts = message.values() if isinstance(message, dict) else [message]
        self.bytes_exchanged += sum(part.nbytes for part in parts) * (self.n_students - 1)
        self.messages.setdefault(exchange, {})[k] = message

    def run(self, backend, callback):
        """Plays all rounds; returns (weights, history) at the end, or where the callback ended it."""
        idle = set(range(self.n_students))
        while True:
            for job in list(self.jobs(sorted(idle))):
                backend.submit(job)
                idle.discard(job.student)
            if len(idle) == self.n_students:
                return [state.weights for state in self.states], self.history
            for done in backend.results():
                idle.add(done.student)
                for step in self.record(done):
                    told = self.snapshots.pop(step)
                    weights = [told[k] for k in range(self.n_students)]
                    if callback is not None and callback(step, weights):
                        return weights, self.history[:, :, :step]
