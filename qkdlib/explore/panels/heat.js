// A matrix as coloured cells.

import { at, clamp, exists, h, number, register, s, stage, widest } from "../kit.js";

function build(panel, host, figure) {
  const { svg, size: resize, say } = stage(host);
  const nRows = panel.rows.length, nColumns = panel.columns.length;
  const [low, high] = panel.scale.range;
  const share = (v) => clamp((v - low) / (high - low), 0, 1);
  let key = "", cells = [], texts = [], values = [], size = 0, left = 0, top = 0;

  // Mixed by the browser from the palette's variables, so that the map follows the theme.
  function colour(v) {
    if (!exists(v)) return "transparent";
    const t = share(v), role = panel.diverging && t >= 0.5 ? "student" : "teacher";
    return `color-mix(in oklab, var(--qkd-${role}) ${(100 * strength(t)).toFixed(1)}%, var(--qkd-raised))`;
  }
  const strength = (t) => (panel.diverging ? 2 * Math.abs(t - 0.5) : t);
  const place = (i, j) => ({ x: left + j * size, y: top + i * size });

  function square(i, j) {
    const p = place(i, j), gap = size > 12 ? 1 : 0;
    cells.push(s("rect", { x: p.x, y: p.y, width: size - gap, height: size - gap, rx: gap * 2 }));
    texts.push(size >= 40 ? s("text", { class: "qkd-tick qkd-value", x: p.x + size / 2, y: p.y + size / 2 + 4, "text-anchor": "middle" }) : null);
  }

  // The names of rows and columns, as many as there is room for.
  function names(foot) {
    const row = (text, i) => s("text", { class: "qkd-tick", x: left - 6, y: place(i, 0).y + size / 2 + 4, "text-anchor": "end" }, text);
    const column = (text, j) => s("text", { class: "qkd-tick", x: place(0, j).x + size / 2, y: foot + 15, "text-anchor": "middle" }, text);
    const every = (room) => (_, i) => i % Math.ceil(room / size) === 0;
    const rows = panel.rows.map(row).filter(every(15));
    return [...rows, ...panel.columns.map(column).filter(every(widest(panel.columns) + 6))];
  }

  function layout() {
    const width = Math.max(220, figure.width(host));
    if (String(width) === key) return;
    key = String(width);
    left = Math.max(widest(panel.rows), 10) + 10;
    top = panel.y.label ? 24 : 6;
    size = clamp((width - left - 8) / nColumns, 3, Math.max(10, 340 / nRows));
    const foot = top + nRows * size;
    const bar = { y: foot + (panel.x.label ? 46 : 28), width: Math.min(180, nColumns * size) };
    resize(width, bar.y + 34);
    cells = []; texts = [];
    panel.rows.forEach((_, i) => panel.columns.forEach((__, j) => square(i, j)));
    const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => s("rect", { x: left + t * 0.8 * bar.width, y: bar.y, width: bar.width * 0.2 + 0.5, height: 9, style: "fill:" + colour(low + t * (high - low)) }));
    svg.replaceChildren(
      s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label), ...names(foot),
      s("text", { class: "qkd-label", x: left + (nColumns * size) / 2, y: foot + 34, "text-anchor": "middle" }, panel.x.label),
      ...cells, ...texts.filter(Boolean), ...stops,
      s("text", { class: "qkd-tick", x: left, y: bar.y + 24 }, number(low)),
      s("text", { class: "qkd-tick", x: left + bar.width, y: bar.y + 24, "text-anchor": "end" }, number(high)),
      s("text", { class: "qkd-label", x: left + bar.width + 10, y: bar.y + 9 }, panel.scale.label));
  }

  function draw({ cell, live }) {
    layout();
    values = live || at(panel.values, cell);
    values.forEach((v, k) => {
      cells[k].style.fill = colour(v);
      if (texts[k]) {
        texts[k].textContent = exists(v) ? v.toFixed(2).replace("-", "−") : "–";
        texts[k].classList.toggle("qkd-inverse", exists(v) && strength(share(v)) > 0.7);
      }
    });
    const real = values.filter(exists);
    svg.setAttribute("aria-label", `${panel.title || panel.scale.label || "Heat map"}, ${nRows} by ${nColumns}, from ${number(Math.min(...real))} to ${number(Math.max(...real))}`);
  }

  svg.addEventListener("pointermove", (event) => {
    const bounds = svg.getBoundingClientRect();
    const j = Math.floor((event.clientX - bounds.left - left) / size), i = Math.floor((event.clientY - bounds.top - top) / size);
    const over = i >= 0 && j >= 0 && i < nRows && j < nColumns;
    say(left + (j + 0.5) * size, over ? [h("div", {}, `${panel.rows[i]}, ${panel.columns[j]}: ${number(values[i * nColumns + j])}`)] : [], size / 2 + 6);
  });
  svg.addEventListener("pointerleave", () => say(0));
  const table = () => ({ head: [panel.y.label || "Row", ...panel.columns],
    rows: panel.rows.map((name, i) => [name, ...values.slice(i * nColumns, (i + 1) * nColumns).map((v) => number(v))]) });
  return { draw, table };
}

register("heat", build);
