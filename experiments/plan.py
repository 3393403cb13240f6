"""What is run: for each claim its tasks, in the order in which they are worth having."""

from itertools import product
from math import pi
from pathlib import Path

from experiments.digits import FIGURE_5, FIGURE_6, FifteenBits, OwnCopy
from experiments.peers import PEERS, Peers
from experiments.phases import FIFTEEN, SEVEN, LongChain, ScarceLabels, SevenQubits
from experiments.readings import TEACHING, readings
from experiments.runner import Claim
from experiments.store import Store

RESULTS = Path(__file__).resolve().parent / "results" / "rows"
LOOK, JUDGE = (0, 1), (2, 3)  # seeds on which settings may be looked at, and those of the verdicts
# The numbers of Table 1 in per cent: a student without and with its teacher, and the teacher.
PAPER = {"(1)": (52.3, 81.7, 98.3), "(2)": (86.0, 99.8, 98.3)}
# The book's own reading, as in its chapters.
BOOK = {
    "learning_rate": 0.1, "decay": 1.0, "decay_every": 10, "weight_decay": 0.0, "start": 2 * pi,
    "teacher_scale": 20.0,
    "rotations": "xyz", "entangler": "cz", "topology": "chain", "final_rotations": True,
    "readout": "first two", "h1": (0.05, 1.95), "boundary": "open", "n_train": 300,
    "code_layers": 12, "code_steps": 1000,
}  # fmt: skip
# Twelve tries, the same for distillation and for each control that has a teacher; as many factors.
TRIES = [
    {"temperature": t, "alpha": a, "t_squared": True, "direction": "teacher || student", "scale": s}
    for (t, a), s in zip(
        product((0.1, 0.3, 1.0, 3.0), (0.5, 0.9, 1.0)),
        (1.5, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 60),
        strict=True,
    )
]


def pairs(reading):
    """A reading as a task holds it."""
    return tuple(reading.items())


def _single(kind, space, n, n_small, seeds):
    """Tasks of one reading and one seed; in blocks of readings, so that what is run first is whole."""

    def tasks(small):
        some = list(enumerate(readings(space, n_small if small else n)))
        blocks = [some[first : first + 50] for first in range(0, len(some), 50)]
        return [([i, s], kind(pairs(r), s)) for block in blocks for s in seeds for i, r in block]

    return tasks


def teachings_of(i, n):
    """n teachings of the i-th group of readings."""
    return tuple(pairs(t) for t in readings(TEACHING, n, seed=1000 + i))


def _grouped(kind, space, n, n_teachings, n_small, **options):
    """Tasks of one way to train and several teachings, which share the teacher."""

    def tasks(small):
        some, each = readings(space, n_small if small else n), 2 if small else n_teachings
        fewer = SMALLER.get(kind, {}) if small else {}
        return [
            ([i, s], kind(pairs(r), teachings_of(i, each), s, **(options | fewer)))
            for s in (LOOK[0], JUDGE[0])
            for i, r in enumerate(some)
        ]

    return tasks


def _tried(small):
    """Table 1 in the book's reading: twelve tries, twenty seeds and as many teachers."""
    tries, seeds = (TRIES[:2], range(2)) if small else (TRIES, range(100, 120))
    return [
        ([i, s], SevenQubits(pairs(t | BOOK), s, validate=True))
        for s in seeds
        for i, t in enumerate(tries)
    ]


def _book(kind, space, n_seeds, n_tries, **changed):
    """A figure in the book's reading: all tries at a seed in one task."""

    def tasks(small):
        reading = pairs({name: (BOOK | changed)[name] for name in space})
        tries = tuple(pairs(t) for t in (TRIES[:1] if small else TRIES[:: len(TRIES) // n_tries]))
        options = {} if kind is OwnCopy else {"validate": True}
        options |= SMALLER[kind] if small else {}
        return [
            ([0, s], kind(reading, tries, s, **options))
            for s in range(100, 100 + (1 if small else n_seeds))
        ]

    return tasks


def _scarce(labels):
    """Student (2) with scarce labels: twelve tries, twenty seeds and as many teachers."""

    def tasks(small):
        tries, seeds = (TRIES[:1], range(1)) if small else (TRIES, range(100, 120))
        return [
            ([i, s], ScarceLabels(pairs(t | BOOK), s, labels))
            for s in seeds
            for i, t in enumerate(tries)
        ]

    return tasks


def _closest(student, rows=RESULTS / "table-1-readings.jsonl"):
    """The reading that came closest to the paper on the seeds that may be looked at, fifty fresh seeds.

    Its distance is the largest of three: teacher, student without, student with teacher.
    """

    def tasks(small):
        some, told, columns = readings(SEVEN, 10_000), PAPER[student], SevenQubits.columns()
        names = [f"{student} no teacher test", f"{student} distilled test", "teacher test"]
        at, distances = [columns.index(name) for name in names], {}
        for row in Store(rows, say=lambda text: None).rows.values():
            i, seed = row["at"]
            if seed == LOOK[0]:
                distances[i] = max(abs(row["found"][k] - x) for k, x in zip(at, told, strict=True))
        best = min(distances, key=distances.get, default=0)
        seeds = range(1000, 1001 if small else 1050)
        return [([best, s], SevenQubits(pairs(some[best]), s)) for s in seeds]

    return tasks


SMALLER = {LongChain: {"n_qubits": 8}, FifteenBits: {"depths": (4,)}, OwnCopy: {"epochs": 0.01}}
CLAIMS = {
    claim.name: claim
    for claim in (
        Claim("table-1", "Table 1 in the book's reading", "table 1", _tried),
        Claim("figure-4", "Fig. 4 in the book's reading", "figure 4",
              _book(LongChain, FIFTEEN, 20, 12, h1=(0.1, 1.9))),
        Claim("figure-5-raw", "Fig. 5, raw scores against 0.5", "figure 5",
              _book(FifteenBits, FIGURE_5, 10, 4, rescale=False, n_train=12163)),
        Claim("figure-5-rescaled", "Fig. 5, rescaled scores against 0.5", "figure 5",
              _book(FifteenBits, FIGURE_5, 10, 4, rescale=True, n_train=12163)),
        Claim("figure-6", "Fig. 6 in the book's reading, 31 epochs", "figure 6",
              _book(OwnCopy, FIGURE_6, 5, 3, learning_rate=0.01)),
        Claim("few-labels", "Eight labels, and a teacher that had all", "ours", _scarce("few")),
        Claim("noisy-labels", "A fifth of the labels wrong", "ours", _scarce("noisy")),
        Claim("missing-labels", "Eight labels, all states", "ours", _scarce("missing")),
        Claim("table-1-readings", "Table 1, 10,000 readings", "table 1",
              _single(SevenQubits, SEVEN, 10_000, 3, (LOOK[0], JUDGE[0]))),
        Claim("codistillation-readings", "Codistillation, 2,000 readings", "codistillation",
              _single(Peers, PEERS, 2_000, 3, (LOOK[0], JUDGE[0]))),
        Claim("figure-4-readings", "Fig. 4, 2,000 readings", "figure 4",
              _grouped(LongChain, FIFTEEN, 200, 10, 1)),
        Claim("figure-5-readings", "Fig. 5, 2,000 readings", "figure 5",
              _grouped(FifteenBits, FIGURE_5, 200, 10, 1, depths=(6,))),
        Claim("figure-6-readings", "Fig. 6, 2,000 readings of half an epoch", "figure 6",
              _grouped(OwnCopy, FIGURE_6, 100, 20, 1, epochs=0.5)),
        Claim("table-1-closest-1", "Student (1) in the closest reading", "table 1", _closest("(1)")),
        Claim("table-1-closest-2", "Student (2) in the closest reading", "table 1", _closest("(2)")),
    )
}  # fmt: skip
