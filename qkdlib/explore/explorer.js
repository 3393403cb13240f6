// A figure that follows its controls, in a published page and beside a live kernel.
//
// `render` is handed a model: JupyterLab's, with a kernel behind it, or the page's stand-in, which
// only holds the state. It draws what the state stores for the controls' setting, then sends
// "ping". Where a kernel answers "pong", or the page has a plan of its own, it can train.

import { KINDS, at, exists, h, number, withUnit } from "./kit.js";
import { CONTROL, indexOf, read, textOf } from "./controls.js";
import { buildLive, listen } from "./live.js";

let explorers = 0;

// The cell of an array that belongs to a setting.
const cellOf = (over, index, controls) => over.reduce((c, k) => c * controls[k].values.length + index[k], 0);

function buildReadout(readout) {
  const value = h("div", { class: "qkd-number" }), small = h("div", { class: "qkd-small" });
  const node = h("div", { class: "qkd-readout", "data-readout": readout.label }, h("div", { class: "qkd-name" }, readout.label), value, small);
  const text = (v) => (exists(v) ? withUnit(number(v, readout.decimals), readout.unit) : "–");
  function draw(cell, live) {
    const stored = at(readout.values, cell)[0];
    const reported = live && live.readouts && live.readouts[readout.label];
    const [fresh, low, high] = Array.isArray(reported) ? reported : [reported];
    const spread = readout.low && exists(at(readout.low, cell)[0]) ? `${text(at(readout.low, cell)[0])} to ${text(at(readout.high, cell)[0])}` : "";
    const now = fresh !== undefined && fresh !== null && live;
    value.textContent = text(now ? fresh : stored);
    small.textContent = exists(low) ? `${text(low)} to ${text(high)}` : now ? (live.page ? "this start" : `live; stored ${text(stored)}`) : spread;
    return `${readout.label} ${value.textContent}` + (small.textContent ? `, ${small.textContent}` : "");
  }
  return { node, draw };
}

// ---- the address: page.html?temperature=0.5&alpha=1&start=3#try-which-teacher-is-talking ----

const slugOf = (title) => "try-" + title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

// What the address says of this explorer, and how it follows the controls. Only in a page: a notebook's
// address is not ours.
function linkTo(model, spec) {
  const found = !!model.page && location.hash === "#" + slugOf(spec.title);
  const query = new URLSearchParams(found ? location.search : ""), words = {}, values = { ...model.get("values") };
  for (const control of spec.controls) {
    if (!query.has(control.name)) continue;
    const { value, word } = read(control, query.get(control.name));
    if (word) words[control.name] = `The address says ${JSON.stringify(query.get(control.name).slice(0, 20))}: ${word}`;
    else values[control.name] = value;
  }
  const start = Number(query.get("start"));
  function write(now, seed) {
    if (!model.page || !spec.plan) return;
    const next = new URLSearchParams(spec.controls.map((control) => [control.name, now[control.name]]));
    if (seed) next.set("start", seed);
    try { history.replaceState(null, "", `${location.pathname}?${next}#${slugOf(spec.title)}`); } catch { /* refused here, or too often */ }
  }
  return { found, values, words, seed: Number.isInteger(start) && start > 0 ? start : 0, write };
}

function buildNumbers(spec, panels) {
  const body = h("div");
  const details = h("details", { class: "qkd-numbers" }, h("summary", {}, "The numbers, and how they were computed"), body);
  const record = spec.record;
  const words = [];
  if (exists(record.seconds)) words.push(`The stored grid took ${number(record.seconds)} s to compute`);
  if (record.seeds.length) words.push(`${record.seeds.length} ${record.seeds.length === 1 ? "seed" : "seeds"} a point (${record.seeds.join(", ")})`);
  const versions = Object.entries(record.versions).map(([name, version]) => `${name} ${version}`);
  if (versions.length) words.push("versions: " + versions.join(", "));
  function draw() {
    if (!details.open) return;
    const notes = panels.map(({ view }) => view.note).filter(Boolean);
    body.replaceChildren(h("p", {}, [...words, ...notes].join("; ") + "."), ...panels.map(({ spec: panel, view }) => {
      const { head, rows } = view.table();
      const name = panel.title || (panel.y && panel.y.label) || "Values";
      return h("div", { class: "qkd-scroll", tabindex: "0", role: "group", "aria-label": name },
        h("table", {}, h("caption", {}, name), h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((text, i) => h(i ? "td" : "th", i ? {} : { scope: "row" }, text)))))));
    }));
  }
  details.addEventListener("toggle", draw);
  return { node: details, draw };
}

export function render({ model, el }) {
  const spec = model.get("spec");
  const id = `qkd-${++explorers}-${Math.random().toString(36).slice(2, 7)}`;
  // Keys belong to the controls here; JupyterLab would move between cells with them.
  const keep = (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); };
  const root = h("section", { class: "qkd-explorer", id: model.page && spec.plan && !document.getElementById(slugOf(spec.title)) ? slugOf(spec.title) : null, "aria-labelledby": id + "-title", onkeydown: keep });
  const note = h("p", { class: "qkd-note" });
  const news = h("p", { class: "qkd-unseen", "aria-live": "polite" });
  let live = null, words = "", newsTimer = 0, seed = 0, finished = null, due = 0;

  const widths = new Map();
  // What panels are offered, and what live training is.
  const figure = {
    id: (name) => `${id}-${name}-${++explorers}`,
    width(host) { // asked once for each size of the page: asking makes the browser lay it out
      if (!widths.get(host)) widths.set(host, Math.floor(host.clientWidth));
      return widths.get(host) || 600;
    },
    panels: spec.panels,
  };
  const link = linkTo(model, spec);
  const ui = {
    controls: spec.controls,
    plan: spec.plan,
    linked: link.found,
    values: () => model.get("values"),
    seed: () => seed,
    reseed() { seed += 1; link.write(model.get("values"), seed); },
    setLive(message) {
      if (live && live.progress === 1 && message && message.run !== live.run) finished = live.curves;
      live = message && { ...message, before: finished };
      if (!due) due = requestAnimationFrame(() => { due = 0; draw(); }); // reports may come faster than frames
    },
    liven(alive, fine) { widgets.forEach((widget) => widget.liven(alive, fine)); },
  };

  function change(name, value, how) {
    const values = { ...model.get("values"), [name]: value };
    if (values[name] !== model.get("values")[name]) {
      // The last run's curve stays for comparison; its numbers do not belong to the new setting.
      if (live && !training.following()) live = { ...live, readouts: {}, panels: {} };
      model.set("values", values); // draws, through change:values
      model.save_changes();
      link.write(values, seed);
    }
    training.moved(how);
  }

  const widgets = spec.controls.map((control, k) => CONTROL[control.kind](control, `${id}-${k}`, (value, how) => change(control.name, value, how)));
  const readouts = spec.readouts.map(buildReadout);
  const panels = spec.panels.map((panel) => {
    const host = h("div", { class: `qkd-panel qkd-${panel.kind}${panel.half ? " qkd-half" : ""}`, "data-panel": panel.title });
    if (panel.title) host.append(h("p", { class: "qkd-panel-title" }, panel.title));
    return { spec: panel, host, view: null };
  });
  const numbers = buildNumbers(spec, panels);
  const training = buildLive(ui, model, id);
  const parts = [
    training.node,
    ...(readouts.length ? [h("div", { class: "qkd-readouts" }, ...readouts.map((readout) => readout.node))] : []),
    h("div", { class: "qkd-panels" }, ...panels.map((panel) => panel.host))];
  if (spec.plan && spec.plan.now) parts.unshift(parts.pop()); // what moves before what says so
  root.append(
    h("p", { class: "qkd-title", id: id + "-title" }, spec.title),
    h("div", { class: "qkd-controls" }, ...widgets.map((widget) => widget.node)),
    ...parts,
    note, numbers.node, news);
  const kinds = [...new Set(spec.panels.map((panel) => panel.kind))];
  const rules = kinds.map((kind) => KINDS[kind].css).filter(Boolean).map((css) => h("style", {}, css));
  el.replaceChildren(...rules, root);
  panels.forEach((panel) => { panel.view = KINDS[panel.spec.kind].build(panel.spec, panel.host, figure); });

  function draw() {
    const values = model.get("values");
    const index = spec.controls.map((control) => indexOf(control, values[control.name]));
    widgets.forEach((widget, k) => widget.show(values[spec.controls[k].name]));
    panels.forEach(({ spec: panel, view }) => {
      const reported = (live && live.panels && live.panels[panel.title]) || null;
      view.draw({ cell: cellOf(panel.over, index, spec.controls), values, live: reported, run: live });
    });
    const read = readouts.map((readout, k) => readout.draw(cellOf(spec.readouts[k].over, index, spec.controls), live));
    root.dataset.cell = index.join();
    numbers.draw();
    const between = live && live.page ? [] : spec.controls.filter((control, k) => control.kind === "slider" && control.values[index[k]] !== values[control.name]);
    root.classList.toggle("qkd-between", between.length > 0);
    note.textContent = between.length ? "Stored curves: nearest computed point, " + between.map((c) => textOf(c, c.values[indexOf(c, values[c.name])])).join(", ") + "." : "";
    const next = spec.controls.map((control) => textOf(control, values[control.name])).join(", ") + (read.length ? ": " + read.join("; ") : "");
    if (next !== words && words) {
      clearTimeout(newsTimer);
      newsTimer = setTimeout(() => { news.textContent = next; }, 600); // once the hand rests
    }
    words = next;
  }
  const onLost = () => training.gone();
  model.on("change:values", draw);
  model.on("msg:custom", training.receive);
  model.on("comm_live_update", onLost);
  const resized = new ResizeObserver(() => requestAnimationFrame(() => { widths.clear(); draw(); }));
  resized.observe(root);
  seed = link.seed;
  if (link.found) model.set("values", link.values);
  else draw();
  if (link.found) root.scrollIntoView();
  for (const [name, word] of Object.entries(link.words)) widgets[spec.controls.findIndex((control) => control.name === name)].say(word);
  listen(model).then(training.ping);
  return () => {
    resized.disconnect();
    cancelAnimationFrame(due);
    clearTimeout(newsTimer);
    model.off("change:values", draw);
    model.off("msg:custom", training.receive);
    model.off("comm_live_update", onLost);
  };
}
