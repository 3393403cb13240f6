"""The still picture of an explorer: for print, for previews, and where scripts are off.

It shows the explorer as it starts. Written out as SVG rather than plotted, it takes a few kilobytes
and needs no plotting library; the drawing follows explorer.js, without what moves.
"""

import math
from html import escape

from qkdlib.explore.panels import unpack_array
from qkdlib.style import COLOURS

WIDTH = 640
_FONT = "Source Sans 3, Book Sans, system-ui, Segoe UI, sans-serif"


def draw_still(spec, page):
    """Draws the starting state of an explorer.

    Args:
        spec: What `Explorer` packed for the page.
        page: Whether the picture becomes part of a page (it then takes the page's colours) or a
            file of its own (light colours on a background).

    Returns:
        SVG text. Everything in it that came from outside is escaped.
    """
    index = [control["start"] for control in spec["controls"]]
    y, parts = 22, [_text(0, 18, spec["title"], size=16, weight=600)]
    for line in _lines("; ".join(_setting(c) for c in spec["controls"]), 95):
        y += 18
        parts.append(_text(0, y, line, role="muted", size=13))
    for readout in spec["readouts"]:
        y += 20
        parts.append(_text(0, y, _readout(readout, _cell(readout, spec, index)), size=13))
    for panel in spec["panels"]:
        y += 34
        if panel["title"]:
            parts.append(_text(0, y, panel["title"], weight=600))
            y += 10
        height, drawn = _DRAW[panel["kind"]](panel, _cell(panel, spec, index))
        parts.append(f'<g transform="translate(0 {y})">{drawn}</g>')
        y += height
    words = escape(f"{spec['title']} Still picture of an interactive figure.", quote=True)
    box = f"0 0 {WIDTH} {math.ceil(y) + 6}" if page else f"-12 -8 {WIDTH + 24} {math.ceil(y) + 20}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="qkd-still" role="img" aria-label="{words}" '
        f'viewBox="{box}" width="{box.split()[2]}" font-family="{_FONT}">'
    )
    back = "" if page else f'<rect x="-12" y="-8" width="100%" height="100%" fill="{_hex("paper")}"/>'
    text = svg + back + "".join(parts) + "</svg>"
    for role, colour in COLOURS.items():
        text = text.replace(f"%{role}%", f"var(--qkd-{role})" if page else colour)
    return text


def _hex(role):
    return COLOURS[role]


def _cell(part, spec, index):
    cell = 0
    for k in part["over"]:
        cell = cell * len(spec["controls"][k]["values"]) + index[k]
    return cell


def _at(array, cell):
    values = unpack_array(array)
    start = cell * array["n"] if len(values) > array["n"] else 0
    return values[start : start + array["n"]]


def _number(value, decimals=None):
    if value is None:
        return "–"
    text = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−")


def _setting(control):
    value = control["values"][control["start"]]
    if control["kind"] == "toggle":
        return f"{control['label']}: {'on' if value else 'off'}"
    if control["kind"] == "choice":
        return f"{control['label']}: {control['texts'][control['start']]}"
    return f"{control['label']} {_number(value)} {control['unit']}".strip()


def _readout(readout, cell):
    def text(key):
        return f"{_number(_at(readout[key], cell)[0], readout['decimals'])} {readout['unit']}".strip()

    spread = f" ({text('low')} to {text('high')})" if "low" in readout else ""
    return f"{readout['label']}: {text('values')}{spread}"


def _lines(text, width):
    line, lines = "", []
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, line] if line else lines


def _text(x, y, text, *, role="ink", size=13, anchor="start", weight=400):
    more = "" if weight == 400 else f' font-weight="{weight}"'
    more += "" if anchor == "start" else f' text-anchor="{anchor}"'
    style = f'font-size="{size}" style="fill:%{role}%"'
    return f'<text x="{x:.4g}" y="{y:.4g}" {style}{more}>{escape(str(text))}</text>'


def _line(x1, y1, x2, y2, role, width=1.0):
    return _path(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", role, width)


def _path(d, role, width=2.0, more=""):
    return f'<path d="{d}" style="stroke:%{role}%;fill:none" stroke-width="{width}"{more}/>'


def _disc(x, y, r, role):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" style="fill:%{role}%"/>'


def _rect(x, y, width, height, fill):
    box = f'x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"'
    return f'<rect {box} style="fill:{fill}"/>'


def _legend(series, y):
    x, parts = 0, []
    for one in series:
        parts.append(_line(x, y - 4, x + 18, y - 4, one["role"], 3))
        parts.append(_text(x + 24, y, one["name"]))
        x += 42 + 7 * len(one["name"])
    return "".join(parts)


def _scale(axis, start, end):
    low, high = axis["range"]
    if axis["log"]:
        low, high = math.log10(low), math.log10(high)

    def place(value):
        if axis["log"]:
            value = math.log10(value) if value > 0 else low
        return start + (value - low) / (high - low) * (end - start)

    if axis["log"] and high - low >= 1:
        powers = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
        ticks = [10.0**e for e in powers][:: max(1, len(powers) // 6)]
    elif axis["log"]:
        ticks = [10**low, 10**high]
    else:
        power = 10 ** math.floor(math.log10((high - low) / 5))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= (high - low) / 5 * 0.999)
        first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
        ticks = [round(i * step, 12) for i in range(first, last + 1)]
    return place, ticks


def _frame(y_axis, box):
    """Horizontal lines with their numbers, and the label of the vertical axis."""
    place, ticks = _scale(y_axis, box[3], box[1])
    parts = [_text(0, 12, y_axis["label"], role="muted")]
    for tick in ticks:
        parts.append(_line(box[0], place(tick), box[2], place(tick), "grid"))
        parts.append(
            _text(box[0] - 8, place(tick) + 4, _number(tick), role="muted", size=12, anchor="end")
        )
    return place, parts


def _curves(panel, cell):
    height, box = 312, (56, 50, WIDTH - 8, 268)
    if panel["square"]:
        height, box = 460, (56, 50, 422, 416)
    sy, parts = _frame(panel["y"], box)
    parts.append(_legend(panel["series"], 36))
    sx, ticks = _scale(panel["x"], box[0], box[2])
    parts.append(_line(box[0], box[3], box[2], box[3], "muted"))
    parts += [
        _text(sx(t), box[3] + 18, _number(t), role="muted", size=12, anchor="middle") for t in ticks
    ]
    middle = (box[0] + box[2]) / 2
    parts.append(_text(middle, height - 6, panel["x"]["label"], role="muted", anchor="middle"))

    def points(xs, ys):
        pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
        return [f"{sx(x):.1f} {sy(y):.1f}" for x, y in pairs]

    for one in panel["series"]:
        xs = _at(one["x"], cell)
        if "low" in one:
            edge = points(xs, _at(one["high"], cell)) + points(xs, _at(one["low"], cell))[::-1]
            fill = f'style="fill:%{one["role"]}%" opacity=".17"'
            parts.append(f'<path d="M{"L".join(edge)}Z" {fill}/>')
        found = points(xs, _at(one["y"], cell))
        if one["style"] != "points" and found:
            more = ' stroke-dasharray="2 5"' if one["dashed"] else ""
            parts.append(_path("M" + "L".join(found), one["role"], 2.2, more))
        if one["style"] != "line" or len(found) == 1:
            parts += [_disc(*map(float, p.split()), 3, one["role"]) for p in found]
    return height, "".join(parts)


def _heat(panel, cell):
    rows, columns = len(panel["rows"]), len(panel["columns"])
    left = 12 + 7 * max(len(text) for text in panel["rows"])
    size = min((WIDTH - left - 8) / columns, max(10, 300 / rows))
    low, high = panel["scale"]["range"]
    parts = [_text(0, 12, panel["y"]["label"], role="muted")]
    shades = {}
    for k, value in enumerate(_at(panel["values"], cell)):
        if value is None:
            continue
        t = min(1, max(0, (value - low) / (high - low)))
        role, share = "teacher", t
        if panel["diverging"]:
            role, share = ("teacher" if t < 0.5 else "student"), 2 * abs(t - 0.5)
        place = f"M{k % columns} {k // columns + 0.5}h.97"
        shades.setdefault((role, round(20 * share) / 20), []).append(place)
    parts.append(f'<g transform="translate({left} 22) scale({size:.4g})">')
    for (role, share), places in sorted(shades.items()):
        if share:
            more = f' stroke-opacity="{share}"'
            parts.append(_path("".join(places), role, 0.97, more))
    parts.append("</g>")
    step = max(1, math.ceil(15 / size))
    parts += [
        _text(left - 6, 22 + (i + 0.5) * size + 4, text, role="muted", size=12, anchor="end")
        for i, text in enumerate(panel["rows"])
        if i % step == 0
    ]
    bottom = 22 + rows * size
    step = max(1, math.ceil((8 + 7 * max(len(text) for text in panel["columns"])) / size))
    parts += [
        _text(left + (j + 0.5) * size, bottom + 16, t, role="muted", size=12, anchor="middle")
        for j, t in enumerate(panel["columns"])
        if j % step == 0
    ]
    scale = f"{panel['scale']['label']} from {_number(low)} (pale) to {_number(high)} (strong)"
    parts.append(_text(left, bottom + 36, panel["x"]["label"], role="muted"))
    parts.append(_text(left, bottom + 54, scale.strip(), role="muted", size=12))
    return bottom + 60, "".join(parts)


def _bars(panel, cell):
    height, box = 264, (56, 46, WIDTH - 8, 236)
    sy, parts = _frame(panel["y"], box)
    parts.append(_legend(panel["series"], 34))
    n, m = len(panel["categories"]), len(panel["series"])
    step = (box[2] - box[0]) / n
    width, zero = (
        min(46, 0.78 * step / m),
        sy(min(max(0, panel["y"]["range"][0]), panel["y"]["range"][1])),
    )
    values = _at(panel["values"], cell)
    for j, name in enumerate(panel["categories"]):
        middle = box[0] + (j + 0.5) * step
        parts.append(_text(middle, height - 8, name, role="muted", size=12, anchor="middle"))
        for i, one in enumerate(panel["series"]):
            if values[i * n + j] is not None:
                x, y = middle + (i - m / 2) * width, sy(values[i * n + j])
                box_height = max(1, abs(zero - y))
                parts.append(_rect(x + 1, min(y, zero), width - 2, box_height, f"%{one['role']}%"))
    return height, "".join(parts)


def _bloch(panel, cell):
    e, a = math.radians(18), math.radians(35)
    right = (-math.sin(a), math.cos(a), 0)
    up = (-math.sin(e) * math.cos(a), -math.sin(e) * math.sin(a), math.cos(e))
    vectors, m = _at(panel["values"], cell), len(panel["series"])
    parts, per_row = [_legend(panel["series"], 12)], 4
    for i, name in enumerate(panel["spheres"]):
        cx, cy = 78 + 158 * (i % per_row), 100 + 180 * (i // per_row)
        circle = f'cx="{cx}" cy="{cy}" r="58" style="stroke:%muted%;fill:none" stroke-width=".8"'
        parts.append(f"<circle {circle}/>")
        ring = f'cx="{cx}" cy="{cy}" rx="58" ry="{58 * math.sin(e):.1f}"'
        parts.append(f'<ellipse {ring} style="stroke:%muted%;fill:none" stroke-width=".6"/>')
        parts.append(_text(cx, cy - 62, "|0⟩", role="muted", size=12, anchor="middle"))
        parts.append(_text(cx, cy + 88, name, role="muted", size=12, anchor="middle"))
        for k, one in enumerate(panel["series"]):
            v = vectors[3 * (i * m + k) : 3 * (i * m + k) + 3]
            x = cx + 58 * sum(p * c for p, c in zip(right, v, strict=True))
            y = cy - 58 * sum(p * c for p, c in zip(up, v, strict=True))
            parts += [_line(cx, cy, x, y, one["role"], 2.4), _disc(x, y, 4.5, one["role"])]
    return 24 + 180 * math.ceil(len(panel["spheres"]) / per_row), "".join(parts)


def _circuit(panel, cell):
    circuit = panel["cells"][cell if len(panel["cells"]) > 1 else 0]
    shown = [panel["columns"][c] for c in circuit["columns"][:16]]  # the page scrolls, this does not
    right = 34 + 36 * len(shown)
    parts = [_text(right + 8, 20, "…")] if len(shown) < len(circuit["columns"]) else []
    for i in range(circuit["wires"]):
        parts.append(_line(30, 36 * i + 18, right, 36 * i + 18, "muted"))
        parts.append(_text(24, 36 * i + 22, f"q{i}", role="muted", size=12, anchor="end"))
    for c, column in enumerate(shown):
        x = 52 + 36 * c
        for role, wires, labels in column:
            ys = [36 * i + 18 for i in wires]
            if len(ys) > 1:
                parts.append(_line(x, min(ys), x, max(ys), role, 1.6))
            for y, label in zip(ys, labels, strict=True):
                if label == "@":
                    parts.append(_disc(x, y, 4.5, role))
                else:
                    parts.append(_rect(x - 13.5, y - 13.5, 27, 27, f"%{role}%"))
                    parts.append(_text(x, y + 4, label, role="paper", size=11, anchor="middle"))
    return 36 * circuit["wires"], "".join(parts)


_DRAW = {"curves": _curves, "heat": _heat, "bars": _bars, "bloch": _bloch, "circuit": _circuit}
