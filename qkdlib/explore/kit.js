// What the scripts of panels are made of.
//
// A panel's script imports from this module and calls register(kind, build). `build(panel, host, figure)`
// is called once: `panel` is what the Python class packed, `host` the element to fill, `figure` offers
// width(host), the room in pixels, and id(name), a name that no other element of the page has. It
// returns two functions:
//   draw({ cell, values, live, run })   draws a setting. `cell` is the grid point, for at(array, cell);
//                                       `values` are the controls' values by name; `live` are the numbers
//                                       that a live run reports under the panel's title, or null; `run` is
//                                       its whole report, or null. Called again when the width changes.
//   table()                             { head: [text], rows: [[text]] }: what is drawn, in numbers.
// All text that comes from outside becomes text nodes and attributes, never markup. What is drawn needs
// a role="img" with an aria-label that says it in words.

const SVG = "http://www.w3.org/2000/svg";
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export const KINDS = {};

// Makes a kind of panel known; `css` are rules for its own classes.
export function register(kind, build, css = "") {
  KINDS[kind] = { build, css };
}

// ---- elements: h for HTML, s for SVG; "onclick" and the like are listeners, null leaves out ----

export function fill(node, attributes, children = []) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// ---- numbers ----

export const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
export const exists = (v) => v !== null && v !== undefined && Number.isFinite(v);

function superscript(n) {
  return String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
}

// A number as readers see it; by default with three significant digits.
export function number(v, decimals) {
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
export const withUnit = (text, unit) => (unit ? text + (unit === "%" || unit === "°" ? "" : " ") + unit : text);

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

// One cell of an array that pack_array packed, flat; null stands for a gap.
export function at(array, cell) {
  array.d ||= unpack(array);
  const start = array.d.length > array.n ? cell * array.n : 0;
  return array.d.slice(start, start + array.n);
}

// ---- axes ----

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

// From an axis that pack_axis packed: a function from value to pixel, with about `wanted` ticks.
export function scale(axis, from, to, wanted) {
  const [low, high] = axis.range;
  const f = axis.log ? Math.log : (v) => v;
  const a = f(low), b = f(high);
  const map = (v) => (axis.log && v <= 0 ? to + (to - from) : from + ((f(v) - a) / (b - a)) * (to - from));
  map.ticks = (axis.log ? logTicks : linearTicks)(low, high, wanted);
  return map;
}

// The lines and numbers of a vertical axis; `place` comes from scale, `box` is what the axes enclose.
export function rungs(place, box) {
  return place.ticks.flatMap((t) => [
    s("line", { class: "qkd-grid", x1: box.left, x2: box.right, y1: place(t.v), y2: place(t.v) }),
    s("text", { class: "qkd-tick", x: box.left - 8, y: place(t.v) + 4, "text-anchor": "end" }, t.text)]);
}

export const textWidth = (text) => String(text).length * 6.7;
export const widest = (texts) => Math.max(...texts.map(textWidth));

// ---- what several panels have ----

// `series` as pack_series made it.
export function legend(series) {
  return h("ul", { class: "qkd-legend" }, ...series.map((one) =>
    h("li", { class: "qkd-role-" + one.role },
      h("span", { class: "qkd-key" + (one.dashed ? " qkd-dashed" : "") + (one.style === "points" ? " qkd-dot" : ""), "aria-hidden": "true" }),
      one.name)));
}

// A drawing in `host` with a line of words that follows the pointer: { svg, tip, say(x, nodes) }.
export function stage(host) {
  const svg = s("svg", { role: "img", class: "qkd-plot" }), tip = h("div", { class: "qkd-tip", hidden: true });
  host.append(h("div", { class: "qkd-stage" }, svg, tip));
  const size = (width, height) => fill(svg, { viewBox: `0 0 ${width} ${height}`, height });
  // Beside x, on the side where there is more room; without nodes it goes.
  function say(x, nodes = [], gap = 12) {
    const width = svg.getBoundingClientRect().width, flip = x > width / 2;
    tip.hidden = !nodes.length;
    tip.replaceChildren(...nodes);
    tip.style.left = flip ? "auto" : x + gap + "px";
    tip.style.right = flip ? width - x + gap + "px" : "auto";
  }
  return { svg, size, say };
}
