// A figure that follows its controls, in a published page and beside a live kernel.
//
// `render` is handed a model: JupyterLab's, with a kernel behind it, or the page's stand-in, which
// only holds the state. It draws what the state stores for the controls' setting, then sends
// "ping". Only a kernel answers "pong", and that reveals what trains live. All text that comes from
// outside becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SLOW_RUN_S = 0.15; // longer runs start when a slider is let go, not while it moves
const QUIET_MS = 1500; // a kernel that has not answered by then is busy, or gone
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
let explorers = 0;

// ---- small helpers ----

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const exists = (v) => v !== null && v !== undefined && Number.isFinite(v);

function superscript(n) {
  return String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
}

function number(v, decimals) {
  if (!exists(v)) return "–";
  const size = Math.abs(v);
  if (size && (size >= 1e6 || size < 1e-3)) {
    const [digits, power] = v.toExponential(2).split("e");
    const front = String(+digits);
    return (front === "1" ? "" : front + " × ").replace("-", "−") + "10" + superscript(+power);
  }
  if (exists(decimals)) return v.toFixed(decimals).replace("-", "−");
  const text = size >= 1000 ? String(Math.round(v)) : String(+v.toPrecision(3));
  return text.replace("-", "−");
}
const withUnit = (text, unit) => (unit ? text + (unit === "%" || unit === "°" ? "" : " ") + unit : text);

// The cell of an array that belongs to a setting, and its content.
const cellOf = (over, index, controls) => over.reduce((c, k) => c * controls[k].values.length + index[k], 0);
function unpack({ text, chars, low, step, log }) {
  const out = [];
  for (let i = 0; i < text.length; i += chars) {
    let code = 0;
    for (let k = i; k < i + chars; k++) code = 64 * code + LETTERS.indexOf(text[k]);
    const v = low + code * step;
    out.push(code === 64 ** chars - 1 ? null : log ? 10 ** v : v);
  }
  return out;
}
function at(array, cell) {
  array.d ||= unpack(array);
  const start = array.d.length > array.n ? cell * array.n : 0;
  return array.d.slice(start, start + array.n);
}

// ---- scales ----

function linearTicks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((v) => v >= raw * 0.999);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-6); i * step <= high + step * 1e-6; i++) out.push(i * step);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-6));
  return out.map((v) => ({ v, text: number(+v.toFixed(decimals + 2), decimals > 3 ? null : decimals) }));
}

function logTicks(low, high, wanted) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const out = [];
  if (last - first >= 2) {
    const every = Math.max(1, Math.ceil((last - first) / wanted));
    for (let e = first; e <= last; e += every) {
      out.push({ v: 10 ** e, text: e >= -2 && e <= 3 ? String(10 ** e) : "10" + superscript(e) });
    }
    return out;
  }
  for (let e = first - 1; e <= last; e++) {
    for (const m of last - first && wanted < 4 ? [1] : [1, 2, 5]) {
      const v = m * 10 ** e;
      if (v >= low * 0.999 && v <= high * 1.001) out.push({ v, text: number(v) });
    }
  }
  return out.length > 1 ? out : [{ v: low, text: number(low) }, { v: high, text: number(high) }];
}

function scale(axis, from, to, wanted) {
  const [low, high] = axis.range;
  const f = axis.log ? Math.log : (v) => v;
  const a = f(low), b = f(high);
  const map = (v) => (axis.log && v <= 0 ? to + (to - from) : from + ((f(v) - a) / (b - a)) * (to - from));
  map.ticks = (axis.log ? logTicks : linearTicks)(low, high, wanted);
  return map;
}

const textWidth = (text) => String(text).length * 6.7;

// ---- panels: each build* returns {draw(cell, setting), table(cell)} ----

function legendOf(series, note) {
  return h("ul", { class: "qkd-legend" }, ...series.map((one) =>
    h("li", { class: "qkd-role-" + one.role },
      h("span", { class: "qkd-key" + (one.dashed ? " qkd-dashed" : "") + (one.style === "points" ? " qkd-dot" : ""), "aria-hidden": "true" }),
      one.name + (note ? note : ""))));
}

function buildCurves(panel, host, ui) {
  const svg = s("svg", { role: "img", class: "qkd-plot" });
  const legend = h("div");
  const tip = h("div", { class: "qkd-tip", hidden: true });
  const axes = s("g"), content = s("g"), labels = s("g"), cross = s("line", { class: "qkd-cross", visibility: "hidden" });
  const clip = ui.id("clip"), hole = s("rect");
  fill(content, { "clip-path": `url(#${clip})` }, []);
  svg.append(s("clipPath", { id: clip }, hole), axes, content, labels, cross);
  host.append(legend, h("div", { class: "qkd-stage" }, svg, tip));
  const lines = panel.series.every((one) => one.style !== "points");
  let frame = null, key = "", shown = [];

  // What is to be drawn: the stored curves, and over them those of a live run.
  function collect(cell, live) {
    const stored = panel.series.map((one) => ({
      ...one, x: at(one.x, cell), y: at(one.y, cell),
      low: one.low && at(one.low, cell), high: one.high && at(one.high, cell),
    }));
    const names = panel.series.map((one) => one.name);
    const mine = Object.entries((live && live.curves) || {}).filter(([name]) =>
      names.includes(name) || (ui.firstCurves === panel && !ui.curveNames.has(name)));
    const fresh = mine.map(([name, data]) => ({
      ...(panel.series[names.indexOf(name)] || { role: "ink", style: "line" }),
      name: name + ", live", x: data.x, y: data.y, low: null, high: null, live: true, dashed: false,
    }));
    return stored.concat(fresh);
  }

  function ranged(axis, name) {
    const values = shown.filter((one) => one.live).flatMap((one) => one[name]).filter((v) => exists(v) && (!axis.log || v > 0));
    const range = [Math.min(axis.range[0], ...values), Math.max(axis.range[1], ...values)];
    return { ...axis, range };
  }

  function layout() {
    const width = Math.max(240, ui.width(host));
    const height = panel.square ? Math.min(width, 420) + 25 : clamp(width * 0.55, 210, 330);
    const x = ranged(panel.x, "x"), y = ranged(panel.y, "y");
    const direct = lines && width >= 430 && shown.length > 1;
    const next = [width, direct, x.range, y.range, direct && shown.map((one) => one.name)].join();
    if (next === key) return;
    key = next;
    let right = direct ? clamp(Math.max(...shown.map((one) => textWidth(one.name))) + 14, 30, width * 0.3) : 14;
    const yTicks = (axis, from, to) => scale(axis, from, to, Math.floor(height / 52));
    const left = Math.max(...yTicks(y, 0, 1).ticks.map((t) => textWidth(t.text))) + 14;
    if (panel.square) right = Math.max(right, width - left - (height - 70));
    const box = { left, right: width - right, top: 28, bottom: height - 42, width, height };
    const sx = scale(x, box.left, box.right, Math.floor((box.right - box.left) / 75));
    const sy = yTicks(y, box.bottom, box.top);
    frame = { ...box, sx, sy, direct };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    // A little more than the axes enclose, so that the dots at the edge are whole.
    fill(hole, { x: box.left - 6, y: box.top - 8, width: box.right - box.left + 12, height: box.bottom - box.top + 14 }, []);
    axes.replaceChildren(
      ...sy.ticks.map((t) => s("line", { class: "qkd-grid", x1: box.left, x2: box.right, y1: sy(t.v), y2: sy(t.v) })),
      ...sy.ticks.map((t) => s("text", { class: "qkd-tick", x: box.left - 8, y: sy(t.v) + 4, "text-anchor": "end" }, t.text)),
      s("path", { class: "qkd-axis", d: `M${box.left} ${box.bottom}H${box.right}` + sx.ticks.map((t) => `M${sx(t.v)} ${box.bottom}v5`).join("") }),
      ...sx.ticks.map((t) => s("text", { class: "qkd-tick", x: sx(t.v), y: box.bottom + 19, "text-anchor": "middle" }, t.text)),
      s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label),
      s("text", { class: "qkd-label", x: (box.left + box.right) / 2, y: height - 5, "text-anchor": "middle" }, panel.x.label));
  }

  const inside = (v) => v.toFixed(1);
  function path(xs, ys) {
    let d = "", pen = false;
    xs.forEach((x, i) => {
      if (!exists(ys[i]) || !exists(x)) { pen = false; return; }
      d += (pen ? "L" : "M") + inside(frame.sx(x)) + " " + inside(clamp(frame.sy(ys[i]), -50, frame.height + 50));
      pen = true;
    });
    return d;
  }
  function band(one) {
    const whole = one.x.map((_, i) => i).filter((i) => exists(one.low[i]) && exists(one.high[i]));
    const there = path(whole.map((i) => one.x[i]), whole.map((i) => one.high[i]));
    whole.reverse();
    return there + path(whole.map((i) => one.x[i]), whole.map((i) => one.low[i])).replace("M", "L") + "Z";
  }

  function endLabels() {
    const ends = shown.map((one) => {
      const i = one.y.findLastIndex((v, j) => exists(v) && exists(one.x[j]));
      return i < 0 ? null : { one, x: frame.sx(one.x[i]), y: frame.sy(one.y[i]) };
    }).filter(Boolean).sort((a, b) => a.y - b.y);
    ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 15); });
    const over = ends.length ? Math.max(0, ends[ends.length - 1].y - frame.bottom) : 0;
    return ends.map((end) => s("text", { class: "qkd-end qkd-role-" + end.one.role + (end.one.live ? " qkd-strong" : ""), x: frame.right + 8, y: end.y - over + 4 }, end.one.name));
  }

  function dots(one) {
    return one.x.map((x, i) => (exists(one.y[i]) && exists(x)
      ? s("circle", { class: "qkd-point", cx: inside(frame.sx(x)), cy: inside(frame.sy(one.y[i])), r: 3.2 }) : null));
  }

  const nearest = (xs, v) => xs.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(xs[best] - v) ? i : best), 0);

  function draw(cell, setting) {
    shown = collect(cell, setting.live);
    layout();
    const live = shown.some((one) => one.live);
    const nodes = shown.filter((one) => one.low).map((one) =>
      s("path", { class: "qkd-band qkd-role-" + one.role, d: band(one) }));
    if (panel.marker !== null) {
      const v = setting.values[panel.marker], x = frame.sx(v);
      nodes.push(s("line", { class: "qkd-marker", x1: x, x2: x, y1: frame.top - 6, y2: frame.bottom }));
      for (const one of shown.filter((o) => o.style !== "points")) {
        const i = nearest(one.x, v);
        if (exists(one.y[i])) nodes.push(s("circle", { class: "qkd-role-" + one.role + " qkd-spot", cx: frame.sx(one.x[i]), cy: frame.sy(one.y[i]), r: 5 }));
      }
    }
    shown.forEach((one, i) => {
      const kind = (one.live ? " qkd-now" : live ? " qkd-dim" : "") + (one.dashed ? " qkd-dashes" : "");
      const group = s("g", { class: "qkd-role-" + one.role + kind, "data-series": one.name, "data-live": one.live || null });
      if (one.style !== "points") group.append(s("path", { class: "qkd-curve", d: path(one.x, one.y) }));
      if (one.style !== "line" || one.y.length === 1) group.append(...dots(one).filter(Boolean));
      nodes.push(group);
    });
    content.replaceChildren(...nodes);
    labels.replaceChildren(...(frame.direct ? endLabels() : []));
    legend.replaceChildren(...(frame.direct || shown.length < 2 ? [] : [legendOf(shown)]));
    const ends = shown.filter((one) => one.style !== "points").map((one) => {
      const y = one.y.filter(exists);
      return y.length ? `${one.name} ends at ${number(y[y.length - 1])}` : `${one.name} is empty`;
    });
    svg.setAttribute("aria-label", `${panel.y.label} against ${panel.x.label}` + (ends.length ? ": " + ends.join("; ") : ""));
  }

  function point(event) {
    const bounds = svg.getBoundingClientRect();
    const px = event.clientX - bounds.left;
    const first = shown.find((one) => one.x.length);
    if (!first || px < frame.left - 10 || px > frame.right + 10) return leave();
    const i = nearest(first.x.map(frame.sx), px), v = first.x[i], x = frame.sx(v);
    fill(cross, { x1: x, x2: x, y1: frame.top, y2: frame.bottom, visibility: "visible" }, []);
    const rows = shown.filter((one) => one.style !== "points" && one.x.length).map((one) => {
      const j = nearest(one.x, v);
      return h("div", { class: "qkd-role-" + one.role }, h("span", { class: "qkd-key", "aria-hidden": "true" }),
        `${one.name} ${number(one.y[j])}` + (one.low ? ` (${number(one.low[j])} to ${number(one.high[j])})` : ""));
    });
    tip.replaceChildren(h("div", {}, `${panel.x.label} ${number(v)}`), ...rows);
    tip.hidden = !rows.length;
    tip.style.left = x > frame.width / 2 ? "auto" : x + 12 + "px";
    tip.style.right = x > frame.width / 2 ? frame.width - x + 12 + "px" : "auto";
  }
  function leave() { tip.hidden = true; cross.setAttribute("visibility", "hidden"); }
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);

  function table() {
    const shared = shown.every((one) => one.x.join() === shown[0].x.join());
    const value = (one, i) => number(one.y[i]) + (one.low ? ` (${number(one.low[i])} to ${number(one.high[i])})` : "");
    if (shared) {
      return { head: [panel.x.label, ...shown.map((one) => one.name)],
        rows: shown[0].x.map((x, i) => [number(x), ...shown.map((one) => value(one, i))]) };
    }
    return { head: ["Series", panel.x.label, panel.y.label],
      rows: shown.flatMap((one) => one.x.map((x, i) => [one.name, number(x), value(one, i)])) };
  }
  return { draw, table };
}

function buildHeat(panel, host, ui) {
  const svg = s("svg", { role: "img", class: "qkd-plot" });
  const tip = h("div", { class: "qkd-tip", hidden: true });
  host.append(h("div", { class: "qkd-stage" }, svg, tip));
  const nRows = panel.rows.length, nColumns = panel.columns.length;
  const [low, high] = panel.scale.range;
  let key = "", cells = [], texts = [], values = [], size = 0, left = 0, top = 0;

  // Mixed by the browser from the palette's variables, so that the map follows the theme.
  function colour(v) {
    if (!exists(v)) return "transparent";
    const t = clamp((v - low) / (high - low), 0, 1);
    if (!panel.diverging) return `color-mix(in oklab, var(--qkd-teacher) ${(100 * t).toFixed(1)}%, var(--qkd-raised))`;
    const role = t < 0.5 ? "teacher" : "student";
    return `color-mix(in oklab, var(--qkd-${role}) ${(200 * Math.abs(t - 0.5)).toFixed(1)}%, var(--qkd-raised))`;
  }

  function layout() {
    const width = Math.max(220, ui.width(host));
    if (String(width) === key) return;
    key = String(width);
    left = Math.max(...panel.rows.map(textWidth), 10) + 10;
    top = panel.y.label ? 24 : 6;
    size = clamp((width - left - 8) / nColumns, 3, Math.max(10, 340 / nRows));
    const every = (n, room) => Math.ceil((n * room) / (n * size));
    const foot = top + nRows * size, wide = Math.max(...panel.columns.map(textWidth)) + 6;
    const bar = { y: foot + (panel.x.label ? 46 : 28), width: Math.min(180, nColumns * size) };
    const height = bar.y + 34;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const at = (i, j) => ({ x: left + j * size, y: top + i * size });
    cells = []; texts = [];
    for (let i = 0; i < nRows; i++) {
      for (let j = 0; j < nColumns; j++) {
        const p = at(i, j), gap = size > 12 ? 1 : 0;
        cells.push(s("rect", { x: p.x, y: p.y, width: size - gap, height: size - gap, rx: gap * 2 }));
        texts.push(size >= 40 ? s("text", { class: "qkd-tick qkd-value", x: p.x + size / 2, y: p.y + size / 2 + 4, "text-anchor": "middle" }) : null);
      }
    }
    const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => s("rect", { x: left + t * 0.8 * bar.width, y: bar.y, width: bar.width * 0.2 + 0.5, height: 9, style: "fill:" + colour(low + t * (high - low)) }));
    svg.replaceChildren(
      s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label),
      ...panel.rows.map((text, i) => (i % every(nRows, 15) ? null : s("text", { class: "qkd-tick", x: left - 6, y: at(i, 0).y + size / 2 + 4, "text-anchor": "end" }, text))).filter(Boolean),
      ...panel.columns.map((text, j) => (j % every(nColumns, wide) ? null : s("text", { class: "qkd-tick", x: at(0, j).x + size / 2, y: foot + 15, "text-anchor": "middle" }, text))).filter(Boolean),
      s("text", { class: "qkd-label", x: left + (nColumns * size) / 2, y: foot + 34, "text-anchor": "middle" }, panel.x.label),
      ...cells, ...texts.filter(Boolean), ...stops,
      s("text", { class: "qkd-tick", x: left, y: bar.y + 24 }, number(low)),
      s("text", { class: "qkd-tick", x: left + bar.width, y: bar.y + 24, "text-anchor": "end" }, number(high)),
      s("text", { class: "qkd-label", x: left + bar.width + 10, y: bar.y + 9 }, panel.scale.label));
  }

  function draw(cell, setting) {
    layout();
    values = ui.live(panel, setting) || at(panel.values, cell);
    values.forEach((v, k) => {
      cells[k].style.fill = colour(v);
      if (texts[k]) {
        texts[k].textContent = exists(v) ? v.toFixed(2).replace("-", "−") : "–";
        const t = panel.diverging ? 2 * Math.abs((v - low) / (high - low) - 0.5) : (v - low) / (high - low);
        texts[k].classList.toggle("qkd-inverse", t > 0.5);
      }
    });
    const real = values.filter(exists);
    svg.setAttribute("aria-label", `${panel.title || panel.scale.label || "Heat map"}, ${nRows} by ${nColumns}, from ${number(Math.min(...real))} to ${number(Math.max(...real))}`);
  }

  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const j = Math.floor((event.clientX - bounds.left - left) / size), i = Math.floor((event.clientY - bounds.top - top) / size);
    tip.hidden = !(i >= 0 && j >= 0 && i < nRows && j < nColumns);
    if (tip.hidden) return;
    tip.textContent = `${panel.rows[i]}, ${panel.columns[j]}: ${number(values[i * nColumns + j])}`;
    const x = left + (j + 1) * size, flip = x > bounds.width / 2;
    tip.style.left = flip ? "auto" : x + 6 + "px";
    tip.style.right = flip ? bounds.width - left - j * size + 6 + "px" : "auto";
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  const table = () => ({ head: [panel.y.label || "Row", ...panel.columns],
    rows: panel.rows.map((name, i) => [name, ...values.slice(i * nColumns, (i + 1) * nColumns).map((v) => number(v))]) });
  return { draw, table };
}

function buildBars(panel, host, ui) {
  const svg = s("svg", { role: "img", class: "qkd-plot" });
  host.append(legendOf(panel.series), h("div", { class: "qkd-stage" }, svg));
  const n = panel.categories.length, m = panel.series.length;
  let values = [];

  function draw(cell, setting) {
    values = ui.live(panel, setting) || at(panel.values, cell);
    const width = Math.max(220, ui.width(host)), height = clamp(width * 0.5, 180, 260);
    const probe = scale(panel.y, 0, 1, 4);
    const box = { left: Math.max(...probe.ticks.map((t) => textWidth(t.text))) + 14, right: width - 6, top: 28, bottom: height - 26 };
    const sy = scale(panel.y, box.bottom, box.top, 4), step = (box.right - box.left) / n;
    const bar = Math.min(46, (step * 0.78) / m), zero = sy(clamp(0, ...panel.y.range));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const nodes = sy.ticks.flatMap((t) => [
      s("line", { class: "qkd-grid", x1: box.left, x2: box.right, y1: sy(t.v), y2: sy(t.v) }),
      s("text", { class: "qkd-tick", x: box.left - 8, y: sy(t.v) + 4, "text-anchor": "end" }, t.text)]);
    nodes.push(s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label));
    panel.categories.forEach((name, j) => {
      const middle = box.left + (j + 0.5) * step;
      nodes.push(s("text", { class: "qkd-tick", x: middle, y: height - 8, "text-anchor": "middle" }, name));
      panel.series.forEach((one, i) => {
        const v = values[i * n + j];
        if (!exists(v)) return;
        const x = middle + (i - m / 2) * bar, y = sy(clamp(v, ...panel.y.range));
        nodes.push(s("rect", { class: "qkd-bar qkd-role-" + one.role, "data-series": one.name, x: x + 1, y: Math.min(y, zero), width: bar - 2, height: Math.max(1, Math.abs(zero - y)), rx: 1.5 }));
        if (bar >= 30) nodes.push(s("text", { class: "qkd-tick qkd-value", x: x + bar / 2, y: Math.min(y, zero) - 4, "text-anchor": "middle" }, number(v, 2)));
      });
    });
    nodes.push(s("line", { class: "qkd-axis", x1: box.left, x2: box.right, y1: zero, y2: zero }));
    svg.replaceChildren(...nodes);
    const words = panel.series.map((one, i) => `${one.name} ` + panel.categories.map((c, j) => `${c} ${number(values[i * n + j])}`).join(", "));
    svg.setAttribute("aria-label", `${panel.y.label}: ${words.join("; ")}`);
  }
  const table = () => ({ head: ["Category", ...panel.series.map((one) => one.name)],
    rows: panel.categories.map((name, j) => [name, ...panel.series.map((_, i) => number(values[i * n + j]))]) });
  return { draw, table };
}

// Seen from 18 degrees above the equator and 35 degrees east of the x axis: (right, up, front).
const VIEW = [[-0.5736, 0.8192, 0], [-0.2531, -0.1772, 0.9511], [0.7791, 0.5455, 0.309]];
const project = (v) => VIEW.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);

function buildBloch(panel, host, ui) {
  const row = h("div", { class: "qkd-spheres" });
  host.append(...(panel.series.length > 1 ? [legendOf(panel.series)] : []), row);
  const m = panel.series.length;
  let vectors = [];
  const turn = Array.from({ length: 73 }, (_, i) => (i * Math.PI) / 36);
  const ring = (f, front) => {
    let d = "", pen = false;
    for (const a of turn) {
      const p = project(f(Math.cos(a), Math.sin(a)));
      if (p[2] >= -0.01 !== front) { pen = false; continue; }
      d += `${pen ? "L" : "M"}${(58 * p[0]).toFixed(1)} ${(-58 * p[1]).toFixed(1)}`;
      pen = true;
    }
    return d;
  };
  const rings = (front) => ring((c, d) => [c, d, 0], front) + ring((c, d) => [c, 0, d], front);
  const groups = panel.spheres.map((name) => {
    const arrows = s("g");
    const ends = [[[1, 0, 0], "x"], [[0, 1, 0], "y"], [[0, 0, 1], "|0⟩"], [[0, 0, -1], "|1⟩"]];
    const svg = s("svg", { role: "img", viewBox: "-80 -80 160 160", class: "qkd-sphere" },
      s("circle", { class: "qkd-outline", r: 58 }), s("path", { class: "qkd-back", d: rings(false) }), s("path", { class: "qkd-front", d: rings(true) }),
      ...ends.map(([v, text]) => { const p = project(v); return s("text", { class: "qkd-tick", x: 70 * p[0] + Math.sign(Math.round(p[0])) * 6, y: -71 * p[1] + 4, "text-anchor": "middle" }, text); }), arrows);
    row.append(h("div", {}, svg, h("div", { class: "qkd-sphere-name" }, name)));
    return { svg, arrows, name };
  });

  function draw(cell, setting) {
    vectors = ui.live(panel, setting) || at(panel.values, cell);
    groups.forEach((group, i) => {
      const words = [];
      group.arrows.replaceChildren(...panel.series.map((one, k) => {
        const v = vectors.slice(3 * (i * m + k), 3 * (i * m + k) + 3), p = project(v);
        words.push(`${one.name} (${v.map((c) => number(c)).join(", ")})`);
        const x = 58 * p[0], y = -58 * p[1];
        return s("g", { class: "qkd-role-" + one.role + (p[2] < -0.01 ? " qkd-behind" : "") },
          s("line", { class: "qkd-arrow", x1: 0, y1: 0, x2: x, y2: y }), s("circle", { class: "qkd-point", cx: x, cy: y, r: 4.5 }));
      }));
      group.svg.setAttribute("aria-label", `Bloch sphere of ${group.name}: ${words.join("; ")}`);
    });
  }
  const table = () => ({ head: ["Sphere", "Vector", "x", "y", "z"],
    rows: panel.spheres.flatMap((name, i) => panel.series.map((one, k) => [name, one.name, ...vectors.slice(3 * (i * m + k), 3 * (i * m + k) + 3).map((v) => number(v))])) });
  return { draw, table };
}

function buildCircuit(panel, host) {
  const box = h("div", { class: "qkd-scroll", tabindex: "0", role: "group", "aria-label": panel.title || "Circuit" });
  host.append(box);
  let circuit = null;
  const kinds = { control: "carry data", student: "carry weights", muted: "are fixed" };

  function gates() {
    const counts = {};
    circuit.columns.flat().forEach(([role]) => { counts[role] = (counts[role] || 0) + 1; });
    return Object.entries(counts);
  }
  function draw(cell) {
    const { wires: count, columns } = panel.cells.length > 1 ? panel.cells[cell] : panel.cells[0];
    circuit = { wires: count, columns: columns.map((c) => panel.columns[c]) };
    const step = 36, wire = 36, left = 34, size = 27;
    const width = left + circuit.columns.length * step + 10, height = circuit.wires * wire;
    const y = (i) => (i + 0.5) * wire;
    const nodes = [];
    for (let i = 0; i < circuit.wires; i++) {
      nodes.push(s("line", { class: "qkd-wire", x1: left - 4, x2: width, y1: y(i), y2: y(i) }), s("text", { class: "qkd-tick", x: left - 10, y: y(i) + 4, "text-anchor": "end" }, "q" + i));
    }
    circuit.columns.forEach((column, c) => column.forEach(([role, wires, labels]) => {
      const x = left + (c + 0.5) * step, group = s("g", { class: "qkd-role-" + role });
      if (wires.length > 1) group.append(s("line", { class: "qkd-link", x1: x, x2: x, y1: y(Math.min(...wires)), y2: y(Math.max(...wires)) }));
      wires.forEach((i, k) => {
        if (labels[k] === "@") group.append(s("circle", { class: "qkd-point", cx: x, cy: y(i), r: 4.5 }));
        else if (labels[k] === "+") group.append(s("circle", { class: "qkd-target", cx: x, cy: y(i), r: 9 }), s("path", { class: "qkd-link", d: `M${x - 9} ${y(i)}h18M${x} ${y(i) - 9}v18` }));
        else group.append(s("rect", { class: "qkd-gate", x: x - size / 2, y: y(i) - size / 2, width: size, height: size, rx: 3 }), s("text", { class: "qkd-gate-name", x, y: y(i) + 4, "text-anchor": "middle" }, labels[k]));
      });
      nodes.push(group);
    }));
    const words = gates().map(([role, n]) => `${n} ${n === 1 ? "gate" : "gates"} that ${kinds[role]}`).join(", ");
    const old = box.scrollLeft;
    box.replaceChildren(s("svg", { role: "img", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `Circuit on ${circuit.wires} qubits, ${circuit.columns.length} columns: ${words}` }, ...nodes));
    box.scrollLeft = old;
  }
  const table = () => ({ head: ["Gates that", "Count"], rows: gates().map(([role, n]) => [kinds[role], String(n)]).concat([["Columns", String(circuit.columns.length)]]) });
  return { draw, table };
}

const BUILD = { curves: buildCurves, heat: buildHeat, bars: buildBars, bloch: buildBloch, circuit: buildCircuit };

// ---- controls ----

const onScale = (control, v) => (control.log ? Math.log(v) : v);

// Where a value lies among the grid's values, in steps, and back.
function position(control, value) {
  const grid = control.values, v = onScale(control, clamp(value, grid[0], grid[grid.length - 1]));
  for (let i = 0; i + 1 < grid.length; i++) {
    const a = onScale(control, grid[i]), b = onScale(control, grid[i + 1]);
    if (v <= b) return i + (v - a) / (b - a);
  }
  return grid.length - 1;
}
function valueAt(control, p) {
  const grid = control.values, i = Math.min(Math.floor(p), grid.length - 1), t = p - i;
  if (t < 1e-9 || i + 1 >= grid.length) return grid[i];
  const v = onScale(control, grid[i]) * (1 - t) + onScale(control, grid[i + 1]) * t;
  const exact = control.log ? Math.exp(v) : v;
  return control.integer ? Math.round(exact) : +exact.toPrecision(4);
}
function indexOf(control, value) {
  if (control.kind !== "slider") return Math.max(0, control.values.indexOf(value));
  return Math.round(position(control, value));
}

function buildSlider(control, id, change) {
  const last = control.values.length - 1;
  const range = h("input", { type: "range", id, min: 0, max: last, step: 1, disabled: last === 0 });
  const text = h("span", { class: "qkd-value-text" });
  const exact = h("input", { type: "number", class: "qkd-exact", hidden: true, min: control.limits[0], max: control.limits[1], step: control.integer ? 1 : "any", "aria-label": `${control.label}, exact value` });
  range.addEventListener("input", () => change(valueAt(control, +range.value), "move"));
  range.addEventListener("change", () => change(valueAt(control, +range.value), "end"));
  exact.addEventListener("change", () => {
    const v = exact.valueAsNumber;
    change(exists(v) ? clamp(control.integer ? Math.round(v) : v, ...control.limits) : control.values[control.start], "end");
  });
  const node = h("div", { class: "qkd-control qkd-slider" }, h("label", { for: id }, control.label), range, h("span", { class: "qkd-value-box" }, text, exact, control.unit ? h("span", { class: "qkd-unit" }, control.unit) : null));
  return {
    node,
    show(value) {
      range.value = position(control, value);
      text.textContent = number(value);
      if (document.activeElement !== exact) exact.value = value;
      range.setAttribute("aria-valuetext", withUnit(number(value), control.unit));
    },
    // With a kernel any value can be trained: type one, or let the slider run between grid points.
    liven(live, fine) {
      exact.hidden = !live;
      text.hidden = live;
      range.step = live && fine && !control.integer ? 0.02 : 1;
      if (control.limits[0] === control.limits[1]) exact.disabled = true;
    },
  };
}

function buildToggle(control, id, change) {
  const box = h("input", { type: "checkbox", role: "switch", id });
  box.addEventListener("change", () => change(box.checked, "end"));
  const node = h("div", { class: "qkd-control qkd-toggle" }, h("label", { for: id }, control.label), h("span", {}, box));
  return { node, show(value) { box.checked = value; }, liven() {} };
}

function buildChoice(control, id, change) {
  const boxes = control.values.map((value, i) => h("input", { type: "radio", name: id, value, id: `${id}-${i}`, onchange: () => change(value, "end") }));
  const node = h("fieldset", { class: "qkd-control qkd-choice" }, h("legend", {}, control.label),
    h("span", { class: "qkd-options" }, ...boxes.map((box, i) => h("label", {}, box, h("span", {}, control.texts[i])))));
  return { node, show(value) { boxes.forEach((box) => { box.checked = box.value === value; }); }, liven() {} };
}

const CONTROL = { slider: buildSlider, toggle: buildToggle, choice: buildChoice };

function textOf(control, value) {
  if (control.kind === "toggle") return `${control.label}: ${value ? "on" : "off"}`;
  if (control.kind === "choice") return `${control.label}: ${control.texts[control.values.indexOf(value)]}`;
  return `${control.label} ${withUnit(number(value), control.unit)}`;
}

// ---- readouts, numbers, live training ----

function buildReadout(readout) {
  const value = h("div", { class: "qkd-number" }), small = h("div", { class: "qkd-small" });
  const node = h("div", { class: "qkd-readout", "data-readout": readout.label }, h("div", { class: "qkd-name" }, readout.label), value, small);
  const text = (v) => (exists(v) ? withUnit(number(v, readout.decimals), readout.unit) : "–");
  function draw(cell, live) {
    const stored = at(readout.values, cell)[0];
    const fresh = live && live.readouts && live.readouts[readout.label];
    const spread = readout.low && exists(at(readout.low, cell)[0]) ? `${text(at(readout.low, cell)[0])} to ${text(at(readout.high, cell)[0])}` : "";
    const now = fresh !== undefined && fresh !== null && live;
    value.textContent = text(now ? fresh : stored);
    small.textContent = now ? `live; stored ${text(stored)}` : spread;
    return `${readout.label} ${value.textContent}` + (small.textContent ? `, ${small.textContent}` : "");
  }
  return { node, draw };
}

function buildNumbers(spec, panels) {
  const body = h("div");
  const details = h("details", { class: "qkd-numbers" }, h("summary", {}, "The numbers, and how they were computed"), body);
  const record = spec.record;
  const words = [];
  if (exists(record.seconds)) words.push(`The stored grid took ${number(record.seconds)} s to compute`);
  if (record.seeds.length) words.push(`${record.seeds.length} ${record.seeds.length === 1 ? "seed" : "seeds"} a point (${record.seeds.join(", ")})`);
  const versions = Object.entries(record.versions).map(([name, version]) => `${name} ${version}`);
  if (versions.length) words.push("versions: " + versions.join(", "));
  const thinned = spec.panels.flatMap((p) => p.series || []).filter((one) => one.points > (one.x ? one.x.n : Infinity));
  if (thinned.length) words.push(`of ${thinned[0].points} computed points a curve, ${thinned[0].x.n} evenly spaced ones are shown`);
  function draw() {
    if (!details.open) return;
    body.replaceChildren(h("p", {}, words.join("; ") + "."), ...panels.map(({ spec: panel, view }) => {
      const { head, rows } = view.table();
      const name = panel.title || (panel.y && panel.y.label) || "Values";
      return h("div", { class: "qkd-scroll", tabindex: "0", role: "group", "aria-label": name },
        h("table", {}, h("caption", {}, name), h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((text, i) => h(i ? "td" : "th", i ? {} : { scope: "row" }, text)))))));
    }));
  }
  details.addEventListener("toggle", draw);
  return { node: details, draw };
}

function buildLive(ui, model, id) {
  const train = h("button", { type: "button", class: "qkd-train" }, "Retrain");
  const stop = h("button", { type: "button", class: "qkd-stop", disabled: true }, "Stop");
  const follow = h("input", { type: "checkbox", id: id + "-follow" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the run" });
  const status = h("p", { class: "qkd-status", role: "status" });
  const node = h("div", { class: "qkd-live", hidden: true },
    h("div", { class: "qkd-buttons" }, train, stop, h("label", { for: id + "-follow", class: "qkd-follow" }, follow, "Retrain as I move"), bar), status);
  let alive = false, asked = null, wanted = null, running = false, again = false, seconds = null, chosen = false, timer = 0, runs = 0;

  const same = (a, b) => !!b && ui.controls.every((control) => a[control.name] === b[control.name]);
  const say = (text, bad) => { status.textContent = text; status.classList.toggle("qkd-bad", !!bad); };
  const setting = (values) => ui.controls.map((control) => textOf(control, values[control.name])).join(", ");
  function send(message) {
    try { model.send(message); return true; } catch { gone(); return false; }
  }
  function show() {
    node.hidden = !alive && node.dataset.was !== "live";
    train.disabled = !alive;
    follow.disabled = !alive;
    stop.disabled = !(alive && running);
    bar.hidden = !running;
    ui.liven(alive, follow.checked);
  }
  function gone() {
    if (node.dataset.was !== "live") return;
    alive = running = again = false;
    say("The kernel is gone. The stored results still follow the controls; run this cell again to retrain.", true);
    show();
  }
  // No answer may mean a busy kernel: only say so. A lost comm is reported by the host.
  function expect(text) {
    clearTimeout(timer);
    timer = setTimeout(() => say(text), QUIET_MS);
  }
  function start() {
    if (!alive) return;
    asked = `${id}-${++runs}`;
    wanted = ui.values();
    running = true;
    again = false;
    bar.value = 0;
    if (send({ kind: "train", run: asked, values: wanted })) expect("The kernel is busy with another cell; the run starts when it is free.");
    show();
  }
  function moved(how) {
    if (!alive || !follow.checked) return;
    const slow = seconds === null || seconds > SLOW_RUN_S;
    if ((slow && how === "move") || same(ui.values(), wanted)) return;
    if (running && !slow) again = true;
    else start();
  }
  train.addEventListener("click", start);
  stop.addEventListener("click", () => { send({ kind: "stop", run: asked }); say("Stopping after this step."); });
  follow.addEventListener("change", () => { chosen = true; show(); if (follow.checked) start(); });

  function receive(message) {
    if (message.kind === "pong") {
      alive = message.live;
      if (alive) { node.dataset.was = "live"; if (!status.textContent) say("A kernel is here: retrain at these settings, or at any value that you type."); }
      clearTimeout(timer);
      show();
      return;
    }
    if (message.kind === "started") { // perhaps by another view of this explorer
      asked = message.run; running = true; clearTimeout(timer); say(""); bar.value = 0;
      if (!follow.checked) ui.setLive(null);
      show();
    }
    if (message.run !== asked) return;
    if (message.kind === "update") {
      bar.value = clamp(message.progress, 0, 1);
      ui.setLive(message);
    }
    if (message.kind === "ended") {
      running = false;
      clearTimeout(timer);
      if (message.error) say(message.error, true);
      else {
        seconds = message.seconds;
        say(`${message.stopped ? "Stopped" : "Trained"} with ${setting(message.values)}: ${number(message.seconds)} s.`);
        // A run that is over before the eye notices may as well follow the hand.
        if (!message.stopped && !chosen && seconds < SLOW_RUN_S) { follow.checked = true; }
      }
      show();
      if (again) start();
    }
  }
  return { node, receive, moved, gone, following: () => alive && follow.checked, ping: () => send({ kind: "ping" }) };
}

// ---- the whole ----

function render({ model, el }) {
  const spec = model.get("spec");
  const id = `qkd-${++explorers}-${Math.random().toString(36).slice(2, 7)}`;
  // Keys belong to the controls here; JupyterLab would move between cells with them.
  const keep = (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); };
  const root = h("section", { class: "qkd-explorer", "aria-labelledby": id + "-title", onkeydown: keep });
  const note = h("p", { class: "qkd-note" });
  const news = h("p", { class: "qkd-unseen", "aria-live": "polite" });
  let live = null, words = "", newsTimer = 0;

  const curves = spec.panels.filter((panel) => panel.kind === "curves");
  const ui = {
    controls: spec.controls,
    id: (name) => `${id}-${name}-${++explorers}`,
    firstCurves: curves[0],
    curveNames: new Set(curves.flatMap((panel) => panel.series.map((one) => one.name))),
    width: (host) => Math.floor(host.clientWidth) || 600,
    live: (panel, setting) => setting.live && setting.live.panels && setting.live.panels[panel.title],
    values: () => model.get("values"),
    setLive(message) { live = message; draw(); },
    liven(alive, fine) { widgets.forEach((widget) => widget.liven(alive, fine)); },
  };

  function change(name, value, how) {
    const values = { ...model.get("values"), [name]: value };
    if (values[name] !== model.get("values")[name]) {
      // The last run's curve stays for comparison; its numbers do not belong to the new setting.
      if (live && !training.following()) live = { ...live, readouts: {}, panels: {} };
      model.set("values", values); // draws, through change:values
      model.save_changes();
    }
    training.moved(how);
  }

  const widgets = spec.controls.map((control, k) => CONTROL[control.kind](control, `${id}-${k}`, (value, how) => change(control.name, value, how)));
  const readouts = spec.readouts.map(buildReadout);
  const panels = spec.panels.map((panel) => {
    const figure = h("div", { class: `qkd-panel qkd-${panel.kind}${panel.half ? " qkd-half" : ""}`, "data-panel": panel.title });
    if (panel.title) figure.append(h("p", { class: "qkd-panel-title" }, panel.title));
    return { spec: panel, figure, view: null };
  });
  const numbers = buildNumbers(spec, panels);
  const training = buildLive(ui, model, id);
  root.append(
    h("p", { class: "qkd-title", id: id + "-title" }, spec.title),
    h("div", { class: "qkd-controls" }, ...widgets.map((widget) => widget.node)),
    training.node,
    ...(readouts.length ? [h("div", { class: "qkd-readouts" }, ...readouts.map((readout) => readout.node))] : []),
    h("div", { class: "qkd-panels" }, ...panels.map((panel) => panel.figure)),
    note, numbers.node, news);
  el.replaceChildren(root);
  panels.forEach((panel) => { panel.view = BUILD[panel.spec.kind](panel.spec, panel.figure, ui); });

  function draw() {
    const values = model.get("values");
    const index = spec.controls.map((control) => indexOf(control, values[control.name]));
    const setting = { values: spec.controls.map((control) => values[control.name]), live };
    widgets.forEach((widget, k) => widget.show(values[spec.controls[k].name]));
    panels.forEach((panel) => panel.view.draw(cellOf(panel.spec.over, index, spec.controls), setting));
    const read = readouts.map((readout, k) => readout.draw(cellOf(spec.readouts[k].over, index, spec.controls), live));
    root.dataset.cell = index.join();
    numbers.draw();
    const between = spec.controls.filter((control, k) => control.kind === "slider" && control.values[index[k]] !== values[control.name]);
    root.classList.toggle("qkd-between", between.length > 0);
    note.textContent = between.length ? "Stored curves: nearest computed point, " + between.map((c) => textOf(c, c.values[indexOf(c, values[c.name])])).join(", ") + "." : "";
    const next = spec.controls.map((control) => textOf(control, values[control.name])).join(", ") + (read.length ? ": " + read.join("; ") : "");
    if (next !== words && words) {
      clearTimeout(newsTimer);
      newsTimer = setTimeout(() => { news.textContent = next; }, 600); // once the hand rests
    }
    words = next;
  }
  const onLost = () => training.gone();
  model.on("change:values", draw);
  model.on("msg:custom", training.receive);
  model.on("comm_live_update", onLost);
  const resized = new ResizeObserver(() => requestAnimationFrame(draw));
  resized.observe(root);
  draw();
  training.ping();
  return () => {
    resized.disconnect();
    clearTimeout(newsTimer);
    model.off("change:values", draw);
    model.off("msg:custom", training.receive);
    model.off("comm_live_update", onLost);
  };
}

export default { render };
