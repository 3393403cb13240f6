// Bloch vectors in spheres.

import { at, h, legend, number, register, s } from "../kit.js";

// Seen from 18 degrees above the equator and 35 degrees east of the x axis: (right, up, front).
const VIEW = [[-0.5736, 0.8192, 0], [-0.2531, -0.1772, 0.9511], [0.7791, 0.5455, 0.309]];
const project = (v) => VIEW.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
const ENDS = [[[1, 0, 0], "x"], [[0, 1, 0], "y"], [[0, 0, 1], "|0⟩"], [[0, 0, -1], "|1⟩"]];
const CSS = `
.qkd-spheres { display: flex; flex-wrap: wrap; gap: .2rem .6rem; }
.qkd-spheres > div { flex: 0 1 158px; min-width: 116px; }
.qkd-sphere { width: 100%; }
.qkd-sphere-name { text-align: center; font-size: .9em; color: var(--qkd-muted); }
.qkd-sphere :is(.qkd-outline, .qkd-front, .qkd-back) { fill: none; stroke: var(--qkd-muted); stroke-width: .8; }
.qkd-sphere .qkd-back { opacity: .35; }
.qkd-sphere .qkd-arrow { stroke: var(--c); stroke-width: 2.4; }
.qkd-sphere .qkd-behind { opacity: .55; }`;

// The part of a great circle that lies in front, or behind.
function ring(f, front) {
  let d = "", pen = false;
  for (let i = 0; i < 73; i++) {
    const a = (i * Math.PI) / 36, p = project(f(Math.cos(a), Math.sin(a)));
    if (p[2] >= -0.01 !== front) { pen = false; continue; }
    d += `${pen ? "L" : "M"}${(58 * p[0]).toFixed(1)} ${(-58 * p[1]).toFixed(1)}`;
    pen = true;
  }
  return d;
}
const rings = (front) => ring((c, d) => [c, d, 0], front) + ring((c, d) => [c, 0, d], front);

function sphere(name, row) {
  const arrows = s("g");
  const names = ENDS.map(([v, text]) => {
    const p = project(v);
    return s("text", { class: "qkd-tick", x: 70 * p[0] + Math.sign(Math.round(p[0])) * 6, y: -71 * p[1] + 4, "text-anchor": "middle" }, text);
  });
  const svg = s("svg", { role: "img", viewBox: "-80 -80 160 160", class: "qkd-sphere" },
    s("circle", { class: "qkd-outline", r: 58 }), s("path", { class: "qkd-back", d: rings(false) }), s("path", { class: "qkd-front", d: rings(true) }), ...names, arrows);
  row.append(h("div", {}, svg, h("div", { class: "qkd-sphere-name" }, name)));
  return { svg, arrows, name };
}

function build(panel, host) {
  const row = h("div", { class: "qkd-spheres" }), m = panel.series.length;
  host.append(...(m > 1 ? [legend(panel.series)] : []), row);
  const spheres = panel.spheres.map((name) => sphere(name, row));
  let vectors = [];
  const vector = (i, k) => vectors.slice(3 * (i * m + k), 3 * (i * m + k) + 3);

  function draw({ cell, live }) {
    vectors = live || at(panel.values, cell);
    spheres.forEach(({ svg, arrows, name }, i) => {
      arrows.replaceChildren(...panel.series.map((one, k) => {
        const p = project(vector(i, k)), x = 58 * p[0], y = -58 * p[1];
        return s("g", { class: "qkd-role-" + one.role + (p[2] < -0.01 ? " qkd-behind" : "") },
          s("line", { class: "qkd-arrow", x1: 0, y1: 0, x2: x, y2: y }), s("circle", { class: "qkd-point", cx: x, cy: y, r: 4.5 }));
      }));
      const words = panel.series.map((one, k) => `${one.name} (${vector(i, k).map((c) => number(c)).join(", ")})`);
      svg.setAttribute("aria-label", `Bloch sphere of ${name}: ${words.join("; ")}`);
    });
  }
  const table = () => ({ head: ["Sphere", "Vector", "x", "y", "z"],
    rows: panel.spheres.flatMap((name, i) => panel.series.map((one, k) => [name, one.name, ...vector(i, k).map((v) => number(v))])) });
  return { draw, table };
}

register("bloch", build, CSS);
