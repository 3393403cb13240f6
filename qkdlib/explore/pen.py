"""SVG, written out line by line: the still pictures of explorers.

A still picture is for print, for previews, and where scripts are off. Written out rather than
plotted, it takes a few kilobytes and needs no plotting library. Colours are roles of the palette,
`%role%` in the text, until `draw_still` puts in the page's variables or the palette's values.
Lengths are pixels of a picture that is `WIDTH` wide; y points down.
"""

import math
from html import escape

from qkdlib.explore.packing import at
from qkdlib.style import COLOURS

WIDTH = 640
_FONT = "Source Sans 3, Book Sans, system-ui, Segoe UI, sans-serif"


def text(x, y, words, *, role="ink", size=13, anchor="start", weight=400):
    """Words (escaped) at a place; `anchor` says which of their ends or middle stands there."""
    more = "" if weight == 400 else f' font-weight="{weight}"'
    more += "" if anchor == "start" else f' text-anchor="{anchor}"'
    style = f'font-size="{size}" style="fill:%{role}%"'
    return f'<text x="{x:.4g}" y="{y:.4g}" {style}{more}>{escape(str(words))}</text>'


def tick(x, y, words, anchor="middle"):
    """The small grey text beside an axis."""
    return text(x, y, words, role="muted", size=12, anchor=anchor)


def line(x1, y1, x2, y2, role, width=1.0):
    """A straight line."""
    return path(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", role, width)


def path(d, role, width=2.0, more=""):
    """A line along the SVG path `d`; `more` are further attributes."""
    return f'<path d="{d}" style="stroke:%{role}%;fill:none" stroke-width="{width}"{more}/>'


def area(d, role, opacity=1.0):
    """The inside of the SVG path `d`."""
    return f'<path d="{d}" style="fill:%{role}%" opacity="{opacity:g}"/>'


def disc(x, y, r, role):
    """A filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" style="fill:%{role}%"/>'


def rect(x, y, width, height, role):
    """A filled rectangle."""
    box = f'x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"'
    return f'<rect {box} style="fill:%{role}%"/>'


def number(value, decimals=None):
    """A number as readers see it; by default three significant digits, "–" for None."""
    if value is None:
        return "–"
    words = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return words.replace("-", "−")


def legend(series, y):
    """A row of names, each behind a stroke of its colour; `series` as `pack_series` makes it."""
    x, parts = 0, []
    for one in series:
        parts.append(line(x, y - 4, x + 18, y - 4, one["role"], 3))
        parts.append(text(x + 24, y, one["name"]))
        x += 42 + 7 * len(one["name"])
    return "".join(parts)


def scale(axis, start, end):
    """(place, ticks) of an axis from `pack_axis`: a function from value to pixel, and round values."""
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


def frame(y_axis, box):
    """The vertical axis: (place, parts), horizontal lines with their numbers and the axis' label.

    Args:
        y_axis: From `pack_axis`.
        box: Left, top, right and bottom of what the axes enclose.
    """
    place, ticks = scale(y_axis, box[3], box[1])
    parts = [text(0, 12, y_axis["label"], role="muted")]
    for value in ticks:
        parts.append(line(box[0], place(value), box[2], place(value), "grid"))
        parts.append(tick(box[0] - 8, place(value) + 4, number(value), anchor="end"))
    return place, parts


# ---- the whole picture -------------------------------------------------------------------------


def draw_still(spec, panels, page):
    """Draws the starting state of an explorer.

    Args:
        spec: What `Explorer` packed for the page.
        panels: Its panels.
        page: Whether the picture becomes part of a page (it then takes the page's colours) or a
            file of its own (light colours on a background).

    Returns:
        SVG text. Everything in it that came from outside is escaped.
    """
    index = [control["start"] for control in spec["controls"]]
    y, parts = 22, [text(0, 18, spec["title"], size=16, weight=600)]
    for words in _lines("; ".join(_setting(c) for c in spec["controls"]), 95):
        y += 18
        parts.append(text(0, y, words, role="muted", size=13))
    for readout in spec["readouts"]:
        y += 20
        parts.append(text(0, y, _readout(readout, _cell(readout, spec, index)), size=13))
    for panel, packed in zip(panels, spec["panels"], strict=True):
        y += 34
        if packed["title"]:
            parts.append(text(0, y, packed["title"], weight=600))
            y += 10
        height, drawn = panel.still(packed, _cell(packed, spec, index))
        parts.append(f'<g transform="translate(0 {y})">{drawn}</g>')
        y += height
    words = escape(f"{spec['title']} Still picture of an interactive figure.", quote=True)
    box = f"0 0 {WIDTH} {math.ceil(y) + 6}" if page else f"-12 -8 {WIDTH + 24} {math.ceil(y) + 20}"
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="qkd-still" role="img" aria-label="{words}" '
        f'viewBox="{box}" width="{box.split()[2]}" font-family="{_FONT}">'
    )
    back = '<rect x="-12" y="-8" width="100%" height="100%" style="fill:%paper%"/>'
    drawing = svg + ("" if page else back) + "".join(parts) + "</svg>"
    for role, colour in COLOURS.items():
        drawing = drawing.replace(f"%{role}%", f"var(--qkd-{role})" if page else colour)
    return drawing


def _cell(part, spec, index):
    cell = 0
    for k in part["over"]:
        cell = cell * len(spec["controls"][k]["values"]) + index[k]
    return cell


def _setting(control):
    value = control["values"][control["start"]]
    if control["kind"] == "toggle":
        return f"{control['label']}: {'on' if value else 'off'}"
    if control["kind"] == "choice":
        return f"{control['label']}: {control['texts'][control['start']]}"
    return f"{control['label']} {number(value)} {control['unit']}".strip()


def _readout(readout, cell):
    def words(key):
        value = at(readout[key], cell)[0]
        return f"{number(value, readout['decimals'])} {readout['unit']}".strip()

    spread = f" ({words('low')} to {words('high')})" if "low" in readout else ""
    return f"{readout['label']}: {words('values')}{spread}"


def _lines(words, width):
    row, rows = "", []
    for word in words.split():
        if row and len(row) + len(word) >= width:
            rows.append(row)
            row = ""
        row = f"{row} {word}".strip()
    return [*rows, row] if row else rows
