"""The results as tables: all of them in results.md, the steps alone in the README."""

from pathlib import Path

OURS = "qkdlib_numpy"
MARKS = ("<!-- benchmark: written by benchmarks/run.py -->", "<!-- end of benchmark -->")
README = Path(__file__).parent.parent / "README.md"


def write_summary(results, names, readme=README):
    """Replaces the README's table, between two comments, by that of these results."""
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(before + MARKS[0] + "\n" + summary(results, names) + MARKS[1] + after)


def summary(results, names):
    """The README's table: a step of both engines and of the fastest peer.

    Args:
        results: What results.json holds.
        names: module in peers/ -> (name, environment).
    """
    steps, fits = _medians(results, "angles"), _medians(results, "keras")
    others = [p for p in names if p in steps and not p.startswith(("qkdlib", "tfq"))]
    lines = [
        "| qubits, layers | TFQ | fastest other | `adjoint`, TensorFlow | `adjoint`, NumPy |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for size, tfq in steps["tfq_pqc"].items():
        best = min((p for p in others if size in steps[p]), key=lambda p, s=size: steps[p][s])
        shown = [steps[p][size] for p in (best, "qkdlib_tensorflow", OURS)]
        cells = [f"{_short(ms)} ms ({tfq / ms:.3g}x)" for ms in shown]
        cells[0] = f"{names[best][0].split(',')[0]}, {cells[0]}"
        lines.append(f"| {size[0]}, {size[1]} | {_short(tfq)} ms | {' | '.join(cells)} |")
    host = results["machine"]
    slow, fast = fits["keras_tfq"], fits["keras_adjoint"]
    pairs = [f"{slow[s]:.3g} and {fast[s]:.2g} ms at ({s[0]}, {s[1]})" for s in slow]
    text = (
        f"One loss and its gradient by all weights, {results['batch']} samples, light cone off, one "
        f"core of a machine with {host['cpu']} processors ({host['system']}); in brackets, how many "
        "times as fast as TensorFlow Quantum's PQC. Keras adds a part of its own to both: a step of "
        f"`fit` takes {', '.join(pairs)}. `make bench` measures again; "
        "[all results](benchmarks/results.md)."
    )
    return "\n".join([*lines, "", text, ""])


def _short(ms):
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def _medians(results, task):
    """peer -> {(n_qubits, n_layers): median in milliseconds}, of those that have one."""
    found = {}
    for row in results["rows"]:
        if row["task"] == task and "median_ms" in row and "error" not in row:
            found.setdefault(row["peer"], {})[row["n_qubits"], row["n_layers"]] = row["median_ms"]
    return found


def table(results, names):
    """The results as Markdown."""
    host = results["machine"]
    lines = [
        "# The engines and their peers",
        "",
        f"{host['cpu']}, {host['cores']} cores, {host['system']}, Python {host['python']}. "
        f"Batch {results['batch']}, single precision, one core except where a row says otherwise. "
        "A step is a loss and its gradient by all weights; times are medians in milliseconds; in "
        "brackets, how many times as long as qkdlib's NumPy path.",
        "",
        *([results["note"], ""] if "note" in results else []),
    ]
    lines += _section(results, names, "angles", "A step, samples as angles", "median_ms", "{:.3g}")
    lines += _section(
        results, names, "angles", "First step in seconds: circuit built, compiled, run once",
        "first_seconds", "{:.2g}",
    )
    lines += _section(
        results, names, "angles", "Peak memory of the process in MB, sizes run in this order",
        "peak_mb", "{:.0f}", ratio=False,
    )
    lines += _section(results, names, "states", "A step, samples as raw states", "median_ms", "{:.3g}")
    lines += _section(
        results, names, "keras", "A step inside Keras `fit`", "median_ms", "{:.3g}", "keras_adjoint"
    )
    lines += _section(
        results, names, "retrain",
        "From \"depth changed\" to \"retrained, 50 iterations\", in seconds", "seconds", "{:.2g}",
    )
    lines += _limit(results)
    versions = {names[p][0]: v.get("version", v.get("error")) for p, v in results["versions"].items()}
    lines += ["## Versions", ""] + [f"- {name}: {version}" for name, version in versions.items()]
    return "\n".join(lines) + "\n"


def _limit(results):
    peak = results["limit"][0][2]
    lines = [
        "## How far from the limit", "",
        "One core; a sweep is two one-qubit gates on 16 samples of 11 qubits; products and sums are "
        "counted alike.", "", "| | ms | Gflop/s | of the most |", "| --- | ---: | ---: | ---: |",
    ]
    for what, seconds, rate in results["limit"]:
        lines.append(f"| {what} | {1e3 * seconds:.3g} | {rate:.3g} | {rate / peak:.0%} |")
    return [*lines, ""]


def _section(results, names, task, title, key, form, base=OURS, ratio=True):
    rows = [r for r in results["rows"] if r["task"] == task]
    sizes = list(dict.fromkeys((r["n_qubits"], r["n_layers"]) for r in rows))
    found = {(r["peer"], r["n_qubits"], r["n_layers"]): r for r in rows}
    if not rows:
        return []
    lines = [f"## {title}", "", "| qubits, layers | " + " | ".join(f"{n}, {k}" for n, k in sizes)]
    lines[-1] += " |"
    lines.append("| --- |" + " ---: |" * len(sizes))
    for peer in dict.fromkeys(r["peer"] for r in rows):
        cells = []
        for size in sizes:
            entry, ours = found.get((peer, *size), {}), found.get((base, *size), {})
            if key in entry and "error" not in entry:
                cell = form.format(entry[key])
                if ratio and peer != base and key in ours:
                    cell += f" ({entry[key] / ours[key]:.3g})"
            else:
                cell = entry.get("error", "not run")
            cells.append(cell)
        lines.append(f"| {names[peer][0]} | " + " | ".join(cells) + " |")
    return [*lines, ""]
