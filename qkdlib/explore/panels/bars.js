// Bars in groups.

import { at, clamp, exists, legend, number, register, rungs, s, scale, stage, widest } from "../kit.js";

function build(panel, host, figure) {
  host.append(legend(panel.series));
  const { svg, size } = stage(host);
  const n = panel.categories.length, m = panel.series.length;
  let values = [];

  // The bars of one category, with their values where they are wide enough.
  function group(j, middle, bar, sy, zero) {
    return panel.series.flatMap((one, i) => {
      const v = values[i * n + j];
      if (!exists(v)) return [];
      const x = middle + (i - m / 2) * bar, y = sy(clamp(v, ...panel.y.range));
      const rect = s("rect", { class: "qkd-bar qkd-role-" + one.role, "data-series": one.name, x: x + 1, y: Math.min(y, zero), width: bar - 2, height: Math.max(1, Math.abs(zero - y)), rx: 1.5 });
      return bar < 30 ? [rect] : [rect, s("text", { class: "qkd-tick qkd-value", x: x + bar / 2, y: Math.min(y, zero) - 4, "text-anchor": "middle" }, number(v, 2))];
    });
  }

  function draw({ cell, live }) {
    values = live || at(panel.values, cell);
    const width = Math.max(220, figure.width(host)), height = clamp(width * 0.5, 180, 260);
    const left = widest(scale(panel.y, 0, 1, 4).ticks.map((t) => t.text)) + 14;
    const box = { left, right: width - 6, top: 28, bottom: height - 26 };
    const sy = scale(panel.y, box.bottom, box.top, 4), step = (box.right - box.left) / n;
    const bar = Math.min(46, (step * 0.78) / m), zero = sy(clamp(0, ...panel.y.range));
    size(width, height);
    svg.replaceChildren(
      ...rungs(sy, box), s("text", { class: "qkd-label", x: 0, y: 13 }, panel.y.label),
      ...panel.categories.flatMap((name, j) => {
        const middle = box.left + (j + 0.5) * step;
        return [s("text", { class: "qkd-tick", x: middle, y: height - 8, "text-anchor": "middle" }, name), ...group(j, middle, bar, sy, zero)];
      }),
      s("line", { class: "qkd-axis", x1: box.left, x2: box.right, y1: zero, y2: zero }));
    const words = panel.series.map((one, i) => `${one.name} ` + panel.categories.map((c, j) => `${c} ${number(values[i * n + j])}`).join(", "));
    svg.setAttribute("aria-label", `${panel.y.label}: ${words.join("; ")}`);
  }
  const table = () => ({ head: ["Category", ...panel.series.map((one) => one.name)],
    rows: panel.categories.map((name, j) => [name, ...panel.series.map((_, i) => number(values[i * n + j]))]) });
  return { draw, table };
}

register("bars", build);
