"""Sums the rows up into `results/paper.json`, which the book reads: `python -m experiments.report`."""

import json
from pathlib import Path

import numpy as np

from experiments.plan import CLAIMS, JUDGE, LOOK, PAPER, RESULTS, TRIES
from experiments.readings import TEACHING
from experiments.store import Store
from experiments.training import CONDITIONS, CONTROLS
from experiments.verdicts import censored_median, decides, share, verdict
from qkdlib.statistics import mean_interval

SUMMARY = RESULTS.parent / "paper.json"
NEAR = 3.0  # points: what one run of a few hundred test states scatters by


def rows_of(name, folder=RESULTS):
    """{(reading, seed): a list of rows of numbers} of a claim, and its tasks by the same key."""
    claim, store = CLAIMS[name], Store(Path(folder) / f"{name}.jsonl", say=lambda text: None)
    found, tasks = {}, {}
    for at, task in claim.tasks(False):
        if task.key in store.rows:
            numbers = store.rows[task.key]["found"]
            found[tuple(at)] = numbers if isinstance(numbers[0], list) else [numbers]
            tasks[tuple(at)] = task
    return found, tasks


# ---- one reading, many seeds -----------------------------------------------------------------


def book_reading(name, students, folder=RESULTS):
    """A claim in the book's reading: each condition at the try that is best on validation data.

    Args:
        name: Of the claim.
        students: dict from what the report calls a student to how its columns begin.
        folder: Where the rows are.

    Returns:
        A list of dicts, one a student, or an empty list where there are fewer than three seeds.
    """
    found, tasks = rows_of(name, folder)
    if not found:
        return []
    some = next(iter(tasks.values()))
    options = {n: getattr(some, n) for n in ("validate", "depths") if hasattr(some, n)}
    columns = type(some).columns(**options)
    seeds = sorted({seed for _, seed in found})
    several = len({i for i, _ in found}) > 1  # a try is a task, or a row of one
    tries = sorted({i for i, _ in found}) if several else range(len(next(iter(found.values()))))
    pick = (lambda i, s: found[i, s][0]) if several else (lambda i, s: found[0, s][i])
    seeds = [s for s in seeds if all((i if several else 0, s) in found for i in tries)]
    if len(seeds) < 3:
        return []
    numbers = np.array([[pick(i, s) for i in tries] for s in seeds], dtype=object)
    step = len(TRIES) // len(tries)
    return [
        _student(label, start, columns, numbers, [TRIES[i * step] for i in range(len(tries))])
        for label, start in students.items()
    ]


def _student(label, start, columns, numbers, tries):
    """One student's conditions, tuned on validation data, and the verdict."""
    at = {
        c: [columns.index(f"{start}{c} {part}") for part in ("test", "validation")] for c in CONDITIONS
    }
    best = {c: int(numbers[:, :, at[c][1]].mean(axis=0).argmax()) for c in CONDITIONS}
    held_out = {c: float(numbers[:, best[c], at[c][1]].mean()) for c in CONDITIONS}
    test = {c: numbers[:, best[c], at[c][0]].astype(float) for c in CONDITIONS}
    chosen = int(np.argmax([held_out[c] for c in CONTROLS]))
    gain, beyond, word = verdict(
        test["distilled"], test["no teacher"], [test[c] for c in CONTROLS], chosen
    )
    return {
        "student": label,
        "n_seeds": len(numbers),
        "n_tries": len(tries),
        "teacher": mean_interval(numbers[:, 0, columns.index("teacher test")].astype(float)),
        "accuracy": {c: mean_interval(test[c]) for c in CONDITIONS},
        "tuned": {
            c: tries[best[c]]["scale"]
            if c == "scaled logits"
            else [tries[best[c]][k] for k in ("temperature", "alpha")]
            for c in CONDITIONS[1:]
        },
        "best_control": CONTROLS[chosen],
        "gain": gain,
        "beyond": beyond,
        "verdict": word,
    }


def own_copy(folder=RESULTS):
    """Fig. 6: accuracy after 31 epochs, and the images until a line, by condition."""
    from experiments.digits import LINES, OwnCopy

    found, _ = rows_of("figure-6", folder)
    if len(found) < 3:
        return {}
    columns, numbers = OwnCopy.columns(), [found[key] for key in sorted(found)]
    result = {"n_seeds": len(numbers), "n_tries": len(numbers[0]), "accuracy": {}, "to_line": {}}
    for c in CONDITIONS:
        test = np.array([[row[columns.index(f"{c} test")] for row in rows] for rows in numbers])
        best = int(test.mean(axis=0).argmax())  # no validation images in this claim: said in the chapter
        result["accuracy"][c] = mean_interval(test[:, best])
        times = {
            line: [rows[best][columns.index(f"{c} to {line:g}")] for rows in numbers] for line in LINES
        }
        result["to_line"][c] = {
            f"{line:g}": [censored_median(t), sum(x is None for x in t)] for line, t in times.items()
        }
    return result


# ---- many readings ---------------------------------------------------------------------------


def judged(name, students, columns, folder=RESULTS):
    """Every reading that both halves of the seeds have seen: settings, and what the second half says.

    The best control is chosen on the first half.

    Returns:
        (readings, dict from a student to arrays: "untaught", "distilled", "gain", "beyond", "teacher").
    """
    found, tasks = rows_of(name, folder)
    readings, numbers = [], []
    for (i, seed), look in found.items():
        if seed != LOOK[0] or (i, JUDGE[0]) not in found:
            continue
        task, judge = tasks[i, seed], found[i, JUDGE[0]]
        teachings = getattr(task, "teachings", ((),))
        for teaching, first, second in zip(teachings, look, judge, strict=True):
            readings.append(dict(teaching) | dict(task.reading))
            numbers.append((first, second))
    if not readings:
        return [], {}
    first, second = (np.array([n[half] for n in numbers], dtype=object) for half in (0, 1))
    result = {}
    for label, start in students.items():
        at = [columns.index(f"{start}{c} test") for c in CONDITIONS]
        best = first[:, at[2:]].astype(float).argmax(axis=1)
        values = second[:, at].astype(float)
        control = values[np.arange(len(values)), 2 + best]
        result[label] = {
            "untaught": values[:, 0],
            "distilled": values[:, 1],
            "gain": values[:, 1] - values[:, 0],
            "beyond": values[:, 1] - control,
            "teacher": second[:, 0].astype(float),
        }
    return readings, result


def multiverse(name, students, columns, folder=RESULTS):
    """A claim over its readings: shares, what decides, and every reading for the explorer."""
    readings, found = judged(name, students, columns, folder)
    if len(readings) < 50:
        return {}
    levels = {k: _levels(k, readings) for k in readings[0]}
    result = {
        "n": len(readings),
        "levels": {k: [_text(v) for v in values] for k, values in levels.items()},
        "readings": [[values.index(r[k]) for k, values in levels.items()] for r in readings],
        "students": {},
    }
    for label, f in found.items():
        told = PAPER.get(label)
        near = None
        if told:
            wanted = zip(("untaught", "distilled", "teacher"), told, strict=True)
            near = share(np.all([np.abs(f[k] - x) <= NEAR for k, x in wanted], axis=0))
        result["students"][label] = {
            "gain": np.round(f["gain"], 1).tolist(),
            "beyond": np.round(f["beyond"], 1).tolist(),
            "helps": share(f["gain"] > 1),
            "hurts": share(f["gain"] < -1),
            "beats": share(f["beyond"] > 1),
            "beaten": share(f["beyond"] < -1),
            "met": near,
            "decides_gain": decides(readings, f["gain"]),
            "decides_beyond": decides(readings, f["beyond"]),
        }
    return result


def _levels(name, readings):
    """A setting's levels in the order of its space."""
    seen = {json.dumps(r[name]): r[name] for r in readings}
    known = [v for v in TEACHING.get(name, ()) if json.dumps(v) in seen]
    return known or sorted(
        seen.values(), key=lambda v: (str(type(v)), v if not isinstance(v, bool) else not v)
    )


def _text(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return f"{value:.3g}"
    return " to ".join(f"{v:g}" for v in value) if isinstance(value, tuple | list) else str(value)


def peers(folder=RESULTS):
    """The codistillation claims over their readings, on the seeds that judge."""
    from experiments.peers import Peers

    found, tasks = rows_of("codistillation-readings", folder)
    judge = [(dict(tasks[key].reading), found[key][0]) for key in sorted(found) if key[1] == JUDGE[0]]
    if len(judge) < 50:
        return {}
    columns, readings = Peers.columns(), [r for r, _ in judge]
    at = {name: np.array([row[i] for _, row in judge], float) for i, name in enumerate(columns)}
    pairs = {
        "QICD against no pull, students": ("QICD students", "no pull students"),
        "QCD against no pull, students": ("QCD students", "no pull students"),
        "QICD against QCD, students": ("QICD students", "QCD students"),
        "QICD against QCD, pace": ("QICD pace", "QCD pace"),
        "QICD against a trained teacher": ("QICD students", "taught students"),
        "QICD's students against the vote of students that never met": ("QICD students", "no pull vote"),
        "QICD's vote against the vote of students that never met": ("QICD vote", "no pull vote"),
    }
    result = {"n": len(judge), "pairs": {}, "by_students": by_students(judge, columns)}
    for name, (one, other) in pairs.items():
        known = ~np.isnan(at[other])
        d = (at[one] - at[other])[known]
        few = [r for r, k in zip(readings, known, strict=True) if k]
        result["pairs"][name] = {
            "n": len(d), "difference": mean_interval(d), "above": share(d > 1), "below": share(d < -1),
            "decides": dict(list(decides(few, d).items())[:4]),
        }  # fmt: skip
    return result


def by_students(judge, columns):
    """Codistillation by the number of students: accuracy of students and vote, and pace."""
    names = ["no pull students", "no pull vote", "no pull pace", "QICD pace", "QCD pace"]
    found = {}
    for k in sorted({r["n_students"] for r, _ in judge}):
        rows = [row for r, row in judge if r["n_students"] == k]
        found[str(k)] = {n: mean_interval([row[columns.index(n)] for row in rows]) for n in names}
    return found


def closest(student, folder=RESULTS):
    """The closest reading over fresh seeds: the first ten choose the best control, the others judge."""
    from experiments.phases import SevenQubits

    found, tasks = rows_of(f"table-1-closest-{student[1]}", folder)
    if len(found) < 20:
        return {}
    columns = SevenQubits.columns()
    numbers = np.array([found[key][0] for key in sorted(found)], float)
    at = {c: numbers[:, columns.index(f"{student} {c} test")] for c in CONDITIONS}
    chosen = int(np.argmax([at[c][:10].mean() for c in CONTROLS]))
    late = {c: runs[10:] for c, runs in at.items()}
    controls = [late[c] for c in CONTROLS]
    gain, beyond, word = verdict(late["distilled"], late["no teacher"], controls, chosen)
    return {
        "reading": {k: _text(v) for k, v in next(iter(tasks.values())).reading},
        "n_seeds": len(numbers),
        "teacher": mean_interval(numbers[:, columns.index("teacher test")]),
        "accuracy": {c: mean_interval(runs) for c, runs in late.items()},
        "best_control": CONTROLS[chosen],
        "gain": gain,
        "beyond": beyond,
        "verdict": word,
    }


def fidelity(folder=RESULTS):
    """Mean fidelity of the autoencoder by its layers and steps, over readings and seeds."""
    from experiments.phases import SevenQubits

    found, tasks = rows_of("table-1-readings", folder)
    at, groups = SevenQubits.columns().index("fidelity"), {}
    for key, (row,) in found.items():
        r = dict(tasks[key].reading)
        groups.setdefault(f"{r['code_layers']} layers, {r['code_steps']} steps", []).append(row[at])
    return {name: [float(np.mean(x)), len(x)] for name, x in sorted(groups.items())}


# ---- all -------------------------------------------------------------------------------------


def summary(folder=RESULTS):
    """Everything that the chapter reads, a dict that JSON can hold."""
    from experiments.digits import DEPTHS, FifteenBits, OwnCopy
    from experiments.phases import LongChain, SevenQubits

    layers = {f"{n} layers" if n > 1 else "1 layer": f"{n} " for n in (1, 2, 3)}
    deep = {f"{n} layers": f"{n} " for n in DEPTHS}
    seven = {"(1)": "(1) ", "(2)": "(2) "}
    return {
        "book": {
            "table-1": book_reading("table-1", seven, folder),
            "figure-4": book_reading("figure-4", layers, folder),
            "figure-5-raw": book_reading("figure-5-raw", deep, folder),
            "figure-5-rescaled": book_reading("figure-5-rescaled", deep, folder),
            "figure-6": own_copy(folder),
            "few-labels": book_reading("few-labels", {"few labels": ""}, folder),
            "noisy-labels": book_reading("noisy-labels", {"noisy labels": ""}, folder),
            "missing-labels": book_reading("missing-labels", {"missing labels": ""}, folder),
        },
        "closest": {student: closest(student, folder) for student in PAPER},
        "fidelity": fidelity(folder),
        "readings": {
            "table-1": multiverse("table-1-readings", seven, SevenQubits.columns(), folder),
            "figure-4": multiverse("figure-4-readings", layers, LongChain.columns(), folder),
            "figure-5": multiverse(
                "figure-5-readings", {"6 layers": "6 "}, FifteenBits.columns((6,)), folder
            ),
            "figure-6": multiverse(
                "figure-6-readings", {"half an epoch": ""}, OwnCopy.columns(), folder
            ),
            "codistillation": peers(folder),
        },
        "runs": runs(folder),
    }


def runs(folder=RESULTS):
    """How many tasks of each claim are recorded, their seconds, and with what they were made."""
    result = {}
    for name, claim in CLAIMS.items():
        store, tasks = Store(Path(folder) / f"{name}.jsonl", say=lambda text: None), claim.tasks(False)
        rows = [store.rows[t.key] for _, t in tasks if t.key in store.rows]
        result[name] = {
            "title": claim.title,
            "recorded": len(rows),
            "planned": len(tasks),
            "seconds": round(sum(row["seconds"] for row in rows)),
            "commits": sorted({run["commit"] for run in store.provenance()}),
        }
    return result


if __name__ == "__main__":
    unfinished = SUMMARY.with_suffix(".new")
    unfinished.write_text(json.dumps(summary(), separators=(",", ":")) + "\n")
    unfinished.replace(SUMMARY)
    print(f"{SUMMARY.name}: {SUMMARY.stat().st_size / 1000:.0f} kB")
