// Two classes in the plane: shades for what is said of every place, a line where it is undecided, points.

import { at, clamp, number, register, s, stage } from "../kit.js";

const CSS = `
.qkd-plane rect { fill: var(--c); }
.qkd-plane .qkd-border { fill: none; stroke: var(--qkd-ink); stroke-width: 2; stroke-linejoin: round; }
.qkd-plane .qkd-dot-0 { fill: var(--qkd-fourth); stroke: var(--qkd-paper); stroke-width: 1.5; }
.qkd-plane .qkd-dot-1 { fill: var(--qkd-paper); stroke: var(--qkd-fifth); stroke-width: 2.5; }`;

// Where the values pass one half, through the squares between four middles of cells.
function border(values, n, size) {
  const step = size / n, mid = (k) => (k + 0.5) * step;
  const cross = (a, b) => (0.5 - a) / (b - a);
  let d = "";
  for (let i = 0; i + 1 < n; i++) {
    for (let j = 0; j + 1 < n; j++) {
      const [a, b, c, e] = [values[i * n + j], values[i * n + j + 1], values[(i + 1) * n + j + 1], values[(i + 1) * n + j]];
      const found = [];
      if (a > 0.5 !== b > 0.5) found.push([mid(j + cross(a, b)), mid(i)]);
      if (b > 0.5 !== c > 0.5) found.push([mid(j + 1), mid(i + cross(b, c))]);
      if (e > 0.5 !== c > 0.5) found.push([mid(j + cross(e, c)), mid(i + 1)]);
      if (a > 0.5 !== e > 0.5) found.push([mid(j), mid(i + cross(a, e))]);
      for (let k = 0; k + 1 < found.length; k += 2) {
        d += `M${found[k].map((v) => v.toFixed(1)).join(" ")}L${found[k + 1].map((v) => v.toFixed(1)).join(" ")}`;
      }
    }
  }
  return d;
}

function build(panel, host, figure) {
  const { svg, size: resize } = stage(host);
  const { n, extent: [low, high], dots } = panel, left = 22, top = 22;
  const line = s("path", { class: "qkd-border" });
  let key = 0, size = 0, cells = [], values = [], shades = [];

  function layout() {
    const width = figure.width(host);
    if (width === key) return;
    key = width;
    shades = [];
    size = clamp(width - left - 8, 180, 340);
    const step = size / n, place = (x, y) => ({ cx: left + (x - low) / (high - low) * size, cy: top + (high - y) / (high - low) * size });
    resize(width, top + size + 26);
    cells = Array.from({ length: n * n }, (_, k) => s("rect", { x: left + (k % n) * step, y: top + Math.floor(k / n) * step, width: step, height: step, "shape-rendering": "crispEdges" }));
    line.setAttribute("transform", `translate(${left} ${top})`);
    svg.replaceChildren(...cells, line,
      ...dots.map(([x, y, label]) => s("circle", { class: "qkd-dot-" + label, ...place(x, y), r: label ? 4.2 : 5 })),
      s("text", { class: "qkd-label", x: 0, y: 13 }, panel.axes[1]),
      s("text", { class: "qkd-label", x: left + size / 2, y: top + size + 18, "text-anchor": "middle" }, panel.axes[0]));
  }

  const index = (share) => clamp(Math.floor(share * n), 0, n - 1);
  const saidAt = (x, y) => values[index((high - y) / (high - low)) * n + index((x - low) / (high - low))];

  function draw({ cell, live }) {
    layout();
    values = live || at(panel.values, cell);
    values.forEach((v, k) => {
      const shade = Math.round(16 * (2 * v - 1)) / 16;
      if (shades[k] === shade) return;
      shades[k] = shade;
      cells[k].setAttribute("class", "qkd-role-" + (shade > 0 ? "fifth" : "fourth"));
      cells[k].setAttribute("fill-opacity", 0.4 * Math.abs(shade));
    });
    line.setAttribute("d", border(values, n, size));
    const right = dots.filter(([x, y, label]) => (saidAt(x, y) > 0.5) === !!label);
    svg.setAttribute("aria-label", `The plane in two shades; ${right.length} of ${dots.length} points lie in the shade of their class`);
  }
  const table = () => ({ head: [panel.axes[0], panel.axes[1], "class", "probability of class 1 there"],
    rows: dots.map(([x, y, label]) => [number(x), number(y), String(label), number(saidAt(x, y), 2)]) });
  return { draw, table };
}

register("plane", build, CSS);
