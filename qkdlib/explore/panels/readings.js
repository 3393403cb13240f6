// Readings of a claim: bars of those that the controls let through, before all of them in grey.

import { clamp, h, number, register, s, stage } from "../kit.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const END = 32, BIN = 4, N_BINS = (2 * END) / BIN + 1;
const decode = (text) => Array.from(text, (c) => LETTERS.indexOf(c));
const bin = (v) => clamp(Math.round(v / BIN), -END / BIN, END / BIN) + END / BIN;
const role = (k) => (k > END / BIN ? "student" : k < END / BIN ? "control" : "muted");

// Share in per cent with its 95 % Wilson interval.
function share(hits, n) {
  if (!n) return "–";
  const z = 1.96, p = hits / n, middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const per = (x) => number(100 * clamp(x, 0, 1), 0);
  return `${per(p)} % [${per(middle - half)}, ${per(middle + half)}]`;
}

function build(panel, host, figure) {
  const names = Object.keys(panel.settings), rows = panel.rows.map(decode);
  const numbers = Object.entries(panel.numbers).map(([name, text]) => ({ name, values: decode(text).map((c) => c - 32) }));
  const count = h("p", { class: "qkd-readings-count", "aria-live": "polite" });
  host.append(count);
  const parts = numbers.map((one) => {
    const words = h("p", { class: "qkd-readings-words" });
    host.append(words);
    return { ...one, words, ...stage(host) };
  });
  let shown = [];

  function chosen(values) {
    const allowed = names.map((name) => new Set(panel.settings[name][values[name]]));
    return rows[0].map((_, i) => i).filter((i) => allowed.every((set, k) => set.has(rows[k][i])));
  }

  function bars(part, few) {
    const width = Math.max(220, figure.width(host)), height = 142, foot = height - 22;
    const x = (v) => 8 + ((v + END + BIN / 2) / (2 * END + BIN)) * (width - 16);
    const tally = (indices) => indices.reduce((bins, i) => (bins[bin(part.values[i])]++, bins), new Array(N_BINS).fill(0));
    const all = tally(rows[0].map((_, i) => i)), some = tally(few), scale = (n, total) => (total ? n / total : 0);
    // Most readings change little; the middle bar is cut off, its share stands above it.
    const sides = (bins, total) => bins.filter((_, k) => k !== END / BIN).map((n) => scale(n, total));
    const top = Math.max(0.01, ...sides(all, rows[0].length), ...sides(some, few.length));
    const bar = (n, total, k, kind) => {
      const tall = Math.min(1, scale(n, total) / top) * (foot - 18);
      return s("rect", { class: kind, x: x(k * BIN - END - BIN / 2) + 1, y: foot - tall, width: x(BIN) - x(0) - 2, height: tall, rx: 1.5 });
    };
    part.size(width, height);
    part.svg.replaceChildren(
      ...all.map((n, k) => bar(n, rows[0].length, k, "qkd-readings-all")),
      ...some.map((n, k) => bar(n, few.length, k, "qkd-bar qkd-role-" + role(k))),
      s("text", { class: "qkd-tick qkd-readings-middle", x: x(0), y: 11, "text-anchor": "middle" }, `${number(100 * scale(some[END / BIN], few.length), 0)} %`),
      s("line", { class: "qkd-axis", x1: 8, x2: width - 8, y1: foot, y2: foot }),
      ...[-30, -20, -10, 0, 10, 20, 30].map((v) => s("text", { class: "qkd-tick", x: x(v), y: height - 6, "text-anchor": "middle" }, (v > 0 ? "+" : "") + number(v))));
  }

  function draw({ values }) {
    const few = chosen(values), n = few.length;
    count.textContent = n ? `${n} of ${rows[0].length} readings` : "No reading that was run has all of these settings: allow more.";
    shown = parts.map((part) => {
      const above = few.filter((i) => part.values[i] > panel.matters).length;
      const below = few.filter((i) => part.values[i] < -panel.matters).length;
      const mean = n ? number(few.reduce((sum, i) => sum + part.values[i], 0) / n, 1) : "–";
      part.words.replaceChildren(h("strong", {}, part.name), `: ${panel.above[part.name]} in ${share(above, n)} of them, the reverse in ${share(below, n)}; mean ${mean} points`);
      bars(part, few);
      part.svg.setAttribute("aria-label", part.words.textContent);
      return [part.name, share(above, n), share(below, n), mean];
    });
  }
  const table = () => ({ head: ["Difference", "Above", "Below", "Mean, points"], rows: shown });
  return { draw, table };
}

register("readings", build, `
.qkd-readings-all { fill: var(--qkd-muted); opacity: 0.22; }
.qkd-readings-count, .qkd-readings-words { margin: 0.4em 0 0.1em; }
`);
