// What a reader sets: sliders, switches, choices. build*(control, id, change) returns {node, show(value),
// liven(live, fine)} and calls change(value, "move" or "end").

import { clamp, exists, h, number, withUnit } from "./kit.js";

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
export function indexOf(control, value) {
  if (control.kind !== "slider") return Math.max(0, control.values.indexOf(value));
  return Math.round(position(control, value));
}

// A value from a text: { value }, or { word } that says what is allowed.
export function read(control, text) {
  if (control.kind === "toggle") return ["true", "false"].includes(text) ? { value: text === "true" } : { word: "on or off." };
  if (control.kind === "choice") return control.values.includes(text) ? { value: text } : { word: `one of ${control.values.join(", ")}.` };
  const v = text.trim() === "" ? NaN : Number(text), [low, high] = control.limits;
  const fits = exists(v) && v >= low && v <= high && (!control.integer || Number.isInteger(v));
  return fits ? { value: v } : { word: `${control.integer ? "a whole number" : "a number"} from ${number(low)} to ${number(high)}.` };
}

// The line below a control in which it says what was wrong.
function complaint() {
  const node = h("span", { class: "qkd-word", role: "alert", hidden: true });
  return { node, say(word) { node.hidden = !word; node.textContent = word || ""; } };
}

// The whole range that may be trained, in a hundred steps; whole numbers that there are, one by one.
function track({ integer, log, limits: [low, high] }) {
  const place = (p) => (log ? low * (high / low) ** (p / 100) : low + (p / 100) * (high - low));
  const hundred = Array.from({ length: 101 }, (_, p) => place(p));
  const whole = log || high - low > 100 ? hundred.map(Math.round) : Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const values = integer ? [...new Set(whole)] : hundred.map((v) => +v.toPrecision(3));
  const apart = (v, i) => Math.abs((log ? Math.log(values[i] / v) : values[i] - v));
  const nearest = (v) => values.reduce((best, _, i) => (apart(v, i) < apart(v, best) ? i : best), 0);
  return { ends: [0, values.length - 1], to: nearest, from: (p) => values[p] };
}

function buildSlider(control, id, change) {
  const stored = { ends: [0, control.values.length - 1], to: (v) => position(control, v), from: (p) => valueAt(control, p) };
  const range = h("input", { type: "range", id, step: 1 });
  let scale = null, shown = control.values[control.start];
  function use(next) {
    scale = next;
    [range.min, range.max] = next.ends;
    range.disabled = next.ends[0] === next.ends[1];
    range.value = next.to(shown);
  }
  use(stored);
  const text = h("span", { class: "qkd-value-text" });
  const exact = h("input", { type: "number", class: "qkd-exact", hidden: true, min: control.limits[0], max: control.limits[1], step: control.integer ? 1 : "any", "aria-label": `${control.label}, exact value` });
  range.addEventListener("input", () => { say(""); change(scale.from(+range.value), "move"); });
  range.addEventListener("change", () => change(scale.from(+range.value), "end"));
  const { node: word, say } = complaint();
  exact.addEventListener("change", () => {
    const { value, word: wrong } = read(control, exact.value);
    if (wrong) { say(`Please type ${wrong} Nothing has changed.`); return; }
    say("");
    change(value, "end");
  });
  const node = h("div", { class: "qkd-control qkd-slider" }, h("label", { for: id }, control.label), range, h("span", { class: "qkd-value-box" }, text, exact, control.unit ? h("span", { class: "qkd-unit" }, control.unit) : null), word);
  return {
    node,
    say,
    show(value) {
      shown = value;
      range.value = scale.to(value);
      text.textContent = number(value);
      if (document.activeElement !== exact) exact.value = value;
      range.setAttribute("aria-valuetext", withUnit(number(value), control.unit));
    },
    // Where something trains, any value can be: type one, or let the slider run over all of them. With one
    // stored value there is nothing else that it could run over.
    liven(live, fine) {
      exact.hidden = !live;
      text.hidden = live;
      use(live && (fine || control.values.length === 1) ? track(control) : stored);
      if (control.limits[0] === control.limits[1]) exact.disabled = true;
    },
  };
}

function buildToggle(control, id, change) {
  const box = h("input", { type: "checkbox", role: "switch", id });
  box.addEventListener("change", () => change(box.checked, "end"));
  const { node: word, say } = complaint();
  const node = h("div", { class: "qkd-control qkd-toggle" }, h("label", { for: id }, control.label), h("span", {}, box), word);
  return { node, say, show(value) { box.checked = value; }, liven() {} };
}

function buildMenu(control, id, change) {
  const menu = h("select", { id, onchange: () => change(menu.value, "end") }, ...control.values.map((value, i) => h("option", { value }, control.texts[i])));
  const { node: word, say } = complaint();
  const node = h("div", { class: "qkd-control qkd-menu" }, h("label", { for: id }, control.label), menu, word);
  return { node, say, show(value) { menu.value = value; }, liven() {} };
}

function buildChoice(control, id, change) {
  if (control.menu) return buildMenu(control, id, change);
  const boxes = control.values.map((value, i) => h("input", { type: "radio", name: id, value, id: `${id}-${i}`, onchange: () => change(value, "end") }));
  const { node: word, say } = complaint();
  const node = h("fieldset", { class: "qkd-control qkd-choice" }, h("legend", {}, control.label),
    h("span", { class: "qkd-options" }, ...boxes.map((box, i) => h("label", {}, box, h("span", {}, control.texts[i])))), word);
  return { node, say, show(value) { boxes.forEach((box) => { box.checked = box.value === value; }); }, liven() {} };
}

export const CONTROL = { slider: buildSlider, toggle: buildToggle, choice: buildChoice };

export function textOf(control, value) {
  if (control.kind === "toggle") return `${control.label}: ${value ? "on" : "off"}`;
  if (control.kind === "choice") return `${control.label}: ${control.texts[control.values.indexOf(value)]}`;
  return `${control.label} ${withUnit(number(value), control.unit)}`;
}
