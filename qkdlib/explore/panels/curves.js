// Curves with bands over common axes, also single points.

import { at, clamp, exists, fill, h, legend, number, register, rungs, s, scale, stage, widest } from "../kit.js";

// ---- what is drawn: series with x, y, low and high of the present setting ----

function storedSeries(panel, cell) {
  return panel.series.map((one) => ({
    ...one, x: at(one.x, cell), y: at(one.y, cell),
    low: one.low && at(one.low, cell), high: one.high && at(one.high, cell),
  }));
}

// The curves of a live run that belong here; a name that no panel knows goes to the first.
function liveSeries(panel, curves, figure) {
  const all = figure.panels.filter((other) => other.kind === "curves");
  const known = new Set(all.flatMap((other) => other.series.map((one) => one.name)));
  return Object.entries(curves || {}).flatMap(([name, { x, y, low = null, high = null }]) => {
    const mine = panel.series.find((one) => one.name === name);
    if (!mine && (known.has(name) || all[0] !== panel)) return [];
    return [{ role: "ink", style: "line", ...mine, name, x, y, low, high, live: true }];
  });
}

// What is drawn. A kernel's run stands beside the stored curves; the page's, which is there at every
// setting, takes their place, and the run before it fades.
function seriesOf(panel, cell, run, figure) {
  const stored = storedSeries(panel, cell), live = liveSeries(panel, run && run.curves, figure);
  if (!run || !run.page) return [...stored, ...live.map((one) => ({ ...one, name: one.name + ", live", dashed: false }))];
  const names = new Set(live.map((one) => one.name));
  const before = liveSeries(panel, run.before, figure).map((one) => ({ ...one, low: null, faded: true }));
  return [...before, ...stored.filter((one) => !names.has(one.name)).map((one) => (one.live ? one : { ...one, low: null })), ...live];
}

// An axis wide enough for the live curves as well.
function widened(axis, shown, key) {
  const values = shown.filter((one) => one.live).flatMap((one) => one[key]).filter((v) => exists(v) && (!axis.log || v > 0));
  return { ...axis, range: [Math.min(axis.range[0], ...values), Math.max(axis.range[1], ...values)] };
}

// ---- where it goes ----

// What the axes enclose in pixels, the scales, and whether names stand at the curves' ends.
function frameFor(panel, shown, width) {
  const height = panel.square ? Math.min(width, 420) + 25 : clamp(width * 0.55, 210, 330);
  const x = widened(panel.x, shown, "x"), y = widened(panel.y, shown, "y");
  const direct = panel.series.every((one) => one.style !== "points") && width >= 430 && shown.length > 1;
  let right = direct ? clamp(widest(shown.map((one) => one.name)) + 14, 30, width * 0.3) : 14;
  const yTicks = (from, to) => scale(y, from, to, Math.floor(height / 52));
  const left = widest(yTicks(0, 1).ticks.map((t) => t.text)) + 14;
  if (panel.square) right = Math.max(right, width - left - (height - 70));
  const box = { left, right: width - right, top: 28, bottom: height - 42, width, height, direct };
  return { ...box, sx: scale(x, box.left, box.right, Math.floor((box.right - box.left) / 75)), sy: yTicks(box.bottom, box.top) };
}

function axesOf(panel, frame) {
  const { left, right, bottom, height, sx, sy } = frame;
  return [
    ...rungs(sy, frame),
    s("path", { class: "qkd-axis", d: `M${left} ${bottom}H${right}` + sx.ticks.map((t) => `M${sx(t.v)} ${bottom}v5`).join("") }),
    ...sx.ticks.map((t) => s("text", { class: "qkd-tick", x: sx(t.v), y: bottom + 19, "text-anchor": "middle" }, t.text)),
    s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label),
    s("text", { class: "qkd-label", x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, panel.x.label)];
}

function path({ sx, sy, height }, xs, ys) {
  let d = "", pen = false;
  xs.forEach((x, i) => {
    if (!exists(ys[i]) || !exists(x)) { pen = false; return; }
    d += `${pen ? "L" : "M"}${sx(x).toFixed(1)} ${clamp(sy(ys[i]), -50, height + 50).toFixed(1)}`;
    pen = true;
  });
  return d;
}

function band(frame, one) {
  const whole = one.x.map((_, i) => i).filter((i) => exists(one.low[i]) && exists(one.high[i]));
  const there = path(frame, whole.map((i) => one.x[i]), whole.map((i) => one.high[i]));
  whole.reverse();
  return there + path(frame, whole.map((i) => one.x[i]), whole.map((i) => one.low[i])).replace("M", "L") + "Z";
}

const dots = ({ sx, sy }, one) => one.x.map((x, i) => (exists(one.y[i]) && exists(x)
  ? s("circle", { class: "qkd-point", cx: sx(x).toFixed(1), cy: sy(one.y[i]).toFixed(1), r: 3.2 }) : null)).filter(Boolean);

function endLabels(frame, shown) {
  const ends = shown.map((one) => {
    const i = one.y.findLastIndex((v, j) => exists(v) && exists(one.x[j]));
    return i < 0 ? null : { one, y: frame.sy(one.y[i]) };
  }).filter(Boolean).sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => { if (i) end.y = Math.max(end.y, ends[i - 1].y + 15); });
  const over = ends.length ? Math.max(0, ends[ends.length - 1].y - frame.bottom) : 0;
  return ends.map((end) => s("text", { class: "qkd-end qkd-role-" + end.one.role + (end.one.live ? " qkd-strong" : ""), x: frame.right + 8, y: end.y - over + 4 }, end.one.name));
}

const nearest = (xs, v) => xs.reduce((best, x, i) => (Math.abs(x - v) < Math.abs(xs[best] - v) ? i : best), 0);

// A line at the slider's value, and a spot on every curve there.
function markerAt(frame, shown, v) {
  const x = frame.sx(v), lines = shown.filter((one) => one.style !== "points");
  return [s("line", { class: "qkd-marker", x1: x, x2: x, y1: frame.top - 6, y2: frame.bottom }), ...lines.flatMap((one) => {
    const i = nearest(one.x, v);
    return exists(one.y[i]) ? [s("circle", { class: "qkd-role-" + one.role + " qkd-spot", cx: frame.sx(one.x[i]), cy: frame.sy(one.y[i]), r: 5 })] : [];
  })];
}

function drawSeries(frame, one, live, page) {
  const state = one.faded ? " qkd-faded" : page ? "" : one.live ? " qkd-now" : live ? " qkd-dim" : "";
  const kind = state + (one.dashed ? " qkd-dashes" : "");
  const group = s("g", { class: "qkd-role-" + one.role + kind, "data-series": one.name, "data-live": (one.live && !one.faded) || null });
  if (one.style !== "points") group.append(s("path", { class: "qkd-curve", d: path(frame, one.x, one.y) }));
  if (one.style !== "line" || one.y.length === 1) group.append(...dots(frame, one));
  return group;
}

// ---- in words and numbers ----

function words(panel, shown) {
  const ends = shown.filter((one) => one.style !== "points").map((one) => {
    const y = one.y.filter(exists);
    return y.length ? `${one.name} ends at ${number(y[y.length - 1])}` : `${one.name} is empty`;
  });
  return `${panel.y.label} against ${panel.x.label}` + (ends.length ? ": " + ends.join("; ") : "");
}

const valueText = (one, i) => number(one.y[i]) + (one.low ? ` (${number(one.low[i])} to ${number(one.high[i])})` : "");

function tableOf(panel, shown) {
  if (shown.every((one) => one.x.join() === shown[0].x.join())) {
    return { head: [panel.x.label, ...shown.map((one) => one.name)],
      rows: shown[0].x.map((x, i) => [number(x), ...shown.map((one) => valueText(one, i))]) };
  }
  return { head: ["Series", panel.x.label, panel.y.label],
    rows: shown.flatMap((one) => one.x.map((x, i) => [one.name, number(x), valueText(one, i)])) };
}

function build(panel, host, figure) {
  const names = h("div");
  host.append(names);
  const { svg, size, say } = stage(host);
  const axes = s("g"), content = s("g"), labels = s("g"), cross = s("line", { class: "qkd-cross", visibility: "hidden" });
  const clip = figure.id("clip"), hole = s("rect");
  fill(content, { "clip-path": `url(#${clip})` });
  svg.append(s("clipPath", { id: clip }, hole), axes, content, labels, cross);
  let frame = null, key = "", shown = [];

  function layout() {
    frame = frameFor(panel, shown, Math.max(240, figure.width(host)));
    const next = [frame.width, frame.left, frame.right, ...[frame.sx, frame.sy].flatMap((f) => f.ticks.map((t) => f(t.v) + t.text))].join();
    if (next === key) return;
    key = next;
    size(frame.width, frame.height);
    // A little more than the axes enclose, so that the dots at the edge are whole.
    fill(hole, { x: frame.left - 6, y: frame.top - 8, width: frame.right - frame.left + 12, height: frame.bottom - frame.top + 14 });
    axes.replaceChildren(...axesOf(panel, frame));
  }

  function draw({ cell, values, run }) {
    const all = seriesOf(panel, cell, run, figure);
    shown = all.filter((one) => !one.faded);
    layout();
    const live = shown.some((one) => one.live);
    content.replaceChildren(
      ...shown.filter((one) => one.low).map((one) => s("path", { class: "qkd-band qkd-role-" + one.role, d: band(frame, one) })),
      ...(panel.marker === null ? [] : markerAt(frame, shown, values[panel.marker])),
      ...all.map((one) => drawSeries(frame, one, live, run && run.page)));
    labels.replaceChildren(...(frame.direct ? endLabels(frame, shown) : []));
    names.replaceChildren(...(frame.direct || shown.length < 2 ? [] : [legend(shown)]));
    svg.setAttribute("aria-label", words(panel, shown));
  }

  function point(event) {
    const px = event.clientX - svg.getBoundingClientRect().left;
    const first = shown.find((one) => one.x.length);
    if (!first || px < frame.left - 10 || px > frame.right + 10) return leave();
    const v = first.x[nearest(first.x.map(frame.sx), px)], x = frame.sx(v);
    fill(cross, { x1: x, x2: x, y1: frame.top, y2: frame.bottom, visibility: "visible" });
    const rows = shown.filter((one) => one.style !== "points" && one.x.length).map((one) =>
      h("div", { class: "qkd-role-" + one.role }, h("span", { class: "qkd-key", "aria-hidden": "true" }), `${one.name} ${valueText(one, nearest(one.x, v))}`));
    say(x, rows.length ? [h("div", {}, `${panel.x.label} ${number(v)}`), ...rows] : []);
  }
  function leave() { say(0); cross.setAttribute("visibility", "hidden"); }
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", leave);

  const thinned = panel.series.find((one) => one.points > one.x.n);
  const note = thinned && `of ${thinned.points} computed points a curve, ${thinned.x.n} evenly spaced ones are shown`;
  return { draw, table: () => tableOf(panel, shown), note };
}

register("curves", build);
