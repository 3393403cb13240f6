"""What an explorer must show, computed from what its page stores, and how to ask the browser."""

from __future__ import annotations

import json
import re

import numpy as np

from qkdlib.explore.panels import unpack_array

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><head><title>Explorers</title>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"></head>
<body style="margin:8px;background:{ground}"><main><h1>Explorers</h1>{body}</main></body></html>"""
GROUND = {"light": "#fdfcfa", "dark": "#15181d"}


def page_of(explorers, theme="light") -> str:
    """A page that holds explorers and nothing else."""
    body = "".join(explorer.html for explorer in explorers)
    return PAGE.format(theme=theme, ground=GROUND[theme], body=body)


def specs(html: str) -> list[dict]:
    """What the explorers of a page store, in the page's order."""
    found = re.findall(r"^const state = (\{.*\}), heard = \{\};$", html, re.MULTILINE)
    return [json.loads(text)["spec"] for text in found]


def cell_of(part: dict, spec: dict, index: list[int]) -> int:
    cell = 0
    for k in part["over"]:
        cell = cell * len(spec["controls"][k]["values"]) + index[k]
    return cell


def content(array: dict, cell: int) -> np.ndarray:
    """One cell of a stored array; NaN where there is a gap."""
    flat = unpack_array(array)
    start = cell * array["n"] if len(flat) > array["n"] else 0
    return np.array(flat[start : start + array["n"]], float)


DRAWN = """section => {
  const read = (node, name) => node.getAttribute(name);
  return {
    cell: section.dataset.cell.split(",").map(Number),
    readouts: [...section.querySelectorAll(".qkd-number")].map(n => n.textContent),
    panels: [...section.querySelectorAll(".qkd-panel")].map(p => ({
      label: [...p.querySelectorAll("[role=img]")].map(n => read(n, "aria-label")),
      curves: [...p.querySelectorAll("g[data-series]:not([data-live])")].map(g => ({
        name: g.dataset.series,
        d: [...g.querySelectorAll(".qkd-curve")].map(n => read(n, "d")).join(""),
        dots: [...g.querySelectorAll("circle")].map(c => [+read(c, "cx"), +read(c, "cy")])})),
      bars: [...p.querySelectorAll(".qkd-bar")].map(r => [+read(r, "y"), +read(r, "height")]),
      fills: [...p.querySelectorAll("svg > rect")].map(r => r.style.fill),
      ends: [...p.querySelectorAll(".qkd-sphere .qkd-point")].map(c => [+read(c, "cx"), +read(c, "cy")]),
      gates: p.querySelectorAll(".qkd-gate").length,
    })),
  };
}"""


def check_shown(section, spec: dict, index: list[int]) -> None:
    """Asserts that the figure shows what is stored for a setting, panel by panel.

    Args:
        section: Playwright locator of one explorer.
        spec: What the page stores for it.
        index: Which of its values each control is set to.
    """
    drawn = section.evaluate(DRAWN)
    assert drawn["cell"] == index
    for readout, text in zip(spec["readouts"], drawn["readouts"], strict=True):
        value = content(readout["values"], cell_of(readout, spec, index))[0]
        assert close(text, value, readout["unit"], readout["decimals"]), (readout["label"], text, value)
    for panel, shown in zip(spec["panels"], drawn["panels"], strict=True):
        CHECKS[panel["kind"]](panel, shown, cell_of(panel, spec, index))


def close(text: str, value: float, unit: str, decimals: int | None) -> bool:
    """Whether a number on the page is `value`, rounded."""
    if np.isnan(value):
        return text == "–"
    text = text.removesuffix(unit).strip().replace("−", "-")
    power = re.search(r"10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)$", text)
    if power:
        exponent = int(power.group(1).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
        front = text[: power.start()].replace("×", "").strip()
        shown = float(front if front not in ("", "-") else front + "1") * 10.0**exponent
    else:
        shown = float(text)
    tolerance = 0.501 * 10.0**-decimals if decimals is not None and not power else 0.006 * abs(value)
    return abs(shown - value) <= tolerance + 1e-12


def affine(pixels, values) -> None:
    """Asserts that pixels are a linear function of the values, falling, to half a pixel."""
    pixels, values = np.array(pixels), np.array(values)
    if np.ptp(values) > 1e-9 * max(1.0, np.abs(values).max()):
        slope, start = np.polyfit(values, pixels, 1)
        assert slope < 0
        np.testing.assert_allclose(pixels, start + slope * values, atol=0.5)


def check_curves(panel, shown, cell) -> None:
    pixels, values = [], []
    for one, drawn in zip(panel["series"], shown["curves"], strict=True):
        assert one["name"] == drawn["name"]
        y = content(one["y"], cell)
        y = y[~np.isnan(y)]
        points = re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn["d"])
        points = [float(v) for _, v in points] or [v for _, v in drawn["dots"]]
        assert len(points) == len(y), (one["name"], len(points), len(y))
        low, high = panel["y"]["range"]
        inside = (y >= low) & (y <= high)
        scaled = np.log10(y[inside]) if panel["y"]["log"] else y[inside]
        values += list(scaled)
        pixels += [p for p, keep in zip(points, inside, strict=True) if keep]
        if one["style"] != "points":
            (said,) = re.findall(re.escape(one["name"]) + r" ends at ([^;]+)", shown["label"][0])
            assert close(said, y[-1], "", None)
    affine(pixels, values)  # all curves of a panel share one axis


def check_bars(panel, shown, cell) -> None:
    values = content(panel["values"], cell).reshape(len(panel["series"]), -1).T.ravel()
    tops = [y if v >= 0 else y + height for v, (y, height) in zip(values, shown["bars"], strict=True)]
    visible = [abs(height) > 1 for _, height in shown["bars"]]
    affine(np.array(tops)[visible], values[visible])


def check_heat(panel, shown, cell) -> None:
    values = content(panel["values"], cell)
    low, high = panel["scale"]["range"]
    share = np.clip((values - low) / (high - low), 0, 1)
    share = 2 * np.abs(share - 0.5) if panel["diverging"] else share
    percents = [float(re.search(r"([\d.]+)%", fill).group(1)) for fill in shown["fills"][: len(values)]]
    np.testing.assert_allclose(percents, 100 * share, atol=0.11)


def check_bloch(panel, shown, cell) -> None:
    e, a = np.radians([18, 35])
    right = [-np.sin(a), np.cos(a), 0]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    vectors = content(panel["values"], cell).reshape(-1, 3)
    expected = 58 * np.stack([vectors @ right, -(vectors @ up)], axis=1)
    np.testing.assert_allclose(shown["ends"], expected, atol=0.05)


def check_circuit(panel, shown, cell) -> None:
    circuit = panel["cells"][cell if len(panel["cells"]) > 1 else 0]
    gates = [gate for c in circuit["columns"] for gate in panel["columns"][c]]
    labels = [label for gate in gates for label in gate[2]]
    assert shown["gates"] == sum(label not in "@+" for label in labels)
    assert f"{len(circuit['columns'])} columns" in shown["label"][0]


CHECKS = {
    "curves": check_curves,
    "heat": check_heat,
    "bars": check_bars,
    "bloch": check_bloch,
    "circuit": check_circuit,
}
