// One bar, divided into named parts.

import { at, exists, legend, number, register, s, stage } from "kit.js";

const CSS = ".qkd-shares rect { fill: var(--c); stroke: var(--qkd-paper); }";

function build(panel, host, figure) {
  host.append(legend(panel.series));
  const { svg, size } = stage(host);
  let shares = [];

  function draw({ cell, live }) {
    const values = (live || at(panel.values, cell)).map((v) => (exists(v) ? v : 0));
    const whole = values.reduce((a, b) => a + b, 0) || 1, width = figure.width(host);
    shares = values.map((v) => v / whole);
    size(width, 36);
    let x = 0;
    svg.replaceChildren(...panel.series.map((one, i) => {
      const part = s("rect", { class: "qkd-role-" + one.role, x, y: 3, width: shares[i] * width, height: 30 });
      x += shares[i] * width;
      return part;
    }));
    const words = panel.series.map((one, i) => `${one.name} ${number(shares[i])}`);
    svg.setAttribute("aria-label", `Shares: ${words.join(", ")}`);
  }
  const table = () => ({ head: ["Part", "Share"], rows: panel.series.map((one, i) => [one.name, number(shares[i])]) });
  return { draw, table };
}

register("shares", build, CSS);
