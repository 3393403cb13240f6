// A circuit that follows the controls.

import { h, register, s } from "../kit.js";

const WIRE = 36, LEFT = 34, GATE = 27; // pixels
const MEANING = { fourth: "carry data", student: "carry weights", muted: "are fixed" };
const CSS = `
.qkd-circuit .qkd-wire { stroke: var(--qkd-muted); stroke-width: 1; }
.qkd-circuit .qkd-gate { fill: var(--c); }
.qkd-circuit .qkd-link { stroke: var(--c); stroke-width: 1.6; fill: none; }
.qkd-circuit .qkd-target { fill: var(--qkd-paper); stroke: var(--c); stroke-width: 1.6; }
.qkd-explorer svg .qkd-gate-name { font-size: 11.5px; fill: var(--qkd-paper); }`;

const y = (i) => (i + 0.5) * WIRE;

function drawGate(x, [role, wires, labels]) {
  const group = s("g", { class: "qkd-role-" + role });
  if (wires.length > 1) group.append(s("line", { class: "qkd-link", x1: x, x2: x, y1: y(Math.min(...wires)), y2: y(Math.max(...wires)) }));
  wires.forEach((i, k) => {
    if (labels[k] === "@") group.append(s("circle", { class: "qkd-point", cx: x, cy: y(i), r: 4.5 }));
    else if (labels[k] === "+") group.append(s("circle", { class: "qkd-target", cx: x, cy: y(i), r: 9 }), s("path", { class: "qkd-link", d: `M${x - 9} ${y(i)}h18M${x} ${y(i) - 9}v18` }));
    else group.append(s("rect", { class: "qkd-gate", x: x - GATE / 2, y: y(i) - GATE / 2, width: GATE, height: GATE, rx: 3 }), s("text", { class: "qkd-gate-name", x, y: y(i) + 4, "text-anchor": "middle" }, labels[k]));
  });
  return group;
}

function build(panel, host) {
  const box = h("div", { class: "qkd-scroll", tabindex: "0", role: "group", "aria-label": panel.title || "Circuit" });
  host.append(box);
  let circuit = null;

  // How many gates there are of each role.
  function counts() {
    const found = {};
    circuit.columns.flat().forEach(([role]) => { found[role] = (found[role] || 0) + 1; });
    return Object.entries(found);
  }
  function draw({ cell }) {
    const { wires, columns } = panel.cells.length > 1 ? panel.cells[cell] : panel.cells[0];
    circuit = { wires, columns: columns.map((c) => panel.columns[c]) };
    const width = LEFT + columns.length * WIRE + 10, height = wires * WIRE, nodes = [];
    for (let i = 0; i < wires; i++) {
      nodes.push(s("line", { class: "qkd-wire", x1: LEFT - 4, x2: width, y1: y(i), y2: y(i) }), s("text", { class: "qkd-tick", x: LEFT - 10, y: y(i) + 4, "text-anchor": "end" }, "q" + i));
    }
    circuit.columns.forEach((column, c) => nodes.push(...column.map((gate) => drawGate(LEFT + (c + 0.5) * WIRE, gate))));
    const words = counts().map(([role, n]) => `${n} ${n === 1 ? "gate" : "gates"} that ${MEANING[role]}`).join(", ");
    const old = box.scrollLeft;
    box.replaceChildren(s("svg", { role: "img", width, height, viewBox: `0 0 ${width} ${height}`, "aria-label": `Circuit on ${wires} qubits, ${columns.length} columns: ${words}` }, ...nodes));
    box.scrollLeft = old;
  }
  const table = () => ({ head: ["Gates that", "Count"], rows: counts().map(([role, n]) => [MEANING[role], String(n)]).concat([["Columns", String(circuit.columns.length)]]) });
  return { draw, table };
}

register("circuit", build, CSS);
