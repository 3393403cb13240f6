// Live training: buttons, a progress bar, and what the one says who trains: a kernel, or the page itself.
//
// Out go {kind: "ping"}, {kind: "train", run, values} and {kind: "stop", run}; a kernel answers with
// "pong" (live), and whoever trains with "started", "update" (progress, curves, readouts, panels) and
// "ended" (seconds, stopped, error), each with `run` and `values`. Where no kernel answers, the page trains
// what spec.plan declares (page/host.js); without a plan nothing offers to train.

import { clamp, h, number } from "./kit.js";
import { textOf } from "./controls.js";
import { pageTrainer } from "./page/host.js";

const SLOW_RUN_S = 0.3; // longer runs start when a slider is let go, not while it moves
const QUIET_MS = 1500; // a kernel that has not answered by then is busy, or gone
const SEEDS = 20;

// anywidget (0.9.14 to 0.11) drops all messages to a widget that took more than two seconds to come up, for
// good: its handler waits for a promise that was rejected then. On a busy machine that is an explorer
// without its button. Where this script runs the widget is up, so messages may go straight to ipywidgets.
export async function listen(model) {
  try {
    const inner = await model.widget_manager.get_model(model.get("identity"));
    const { _handle_comm_msg: handle } = Object.getPrototypeOf(Object.getPrototypeOf(inner));
    inner.comm.on_msg((message) => handle.call(inner, message));
  } catch {
    // The page's stand-in, or another host, where nothing is in the way.
  }
}

export function buildLive(ui, model, id) {
  const train = h("button", { type: "button", class: "qkd-train" }, "Retrain");
  const many = h("button", { type: "button", class: "qkd-seeds", hidden: !ui.plan }, `${SEEDS} seeds`);
  const stop = h("button", { type: "button", class: "qkd-stop", disabled: true }, "Stop");
  const follow = h("input", { type: "checkbox", id: id + "-follow" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the run" });
  const status = h("p", { class: "qkd-status", role: "status" });
  const node = h("div", { class: "qkd-live", hidden: true },
    h("div", { class: "qkd-buttons" }, train, many, stop, h("label", { for: id + "-follow", class: "qkd-follow" }, follow, "Retrain as I move"), bar), status);
  const page = ui.plan ? pageTrainer(ui.plan, receive) : null;
  const kernel = { send(message) { try { model.send(message); return true; } catch { gone(); return false; } } };
  let here = false; // whether the page trains
  let alive = false, asked = null, wanted = null, running = null, again = false, seconds = null, chosen = false, timer = 0, runs = 0;

  const same = (a, b) => !!b && ui.controls.every((control) => a[control.name] === b[control.name]);
  const say = (text, bad) => { status.textContent = text; status.classList.toggle("qkd-bad", !!bad); };
  const setting = (values) => ui.controls.map((control) => textOf(control, values[control.name])).join(", ");
  function show() {
    node.hidden = !alive && node.dataset.was !== "live";
    train.disabled = many.disabled = follow.disabled = !alive;
    stop.disabled = !(alive && running);
    bar.hidden = !running;
    ui.liven(alive, follow.checked);
  }
  function live(words) {
    alive = true;
    node.dataset.was = "live";
    if (!status.textContent) say(words);
    clearTimeout(timer);
    show();
  }
  // The page takes over: at once where there is no kernel, else when none has answered, or it is lost.
  function stay(words = "Trains here, in the page: move a slider, or type any value.") {
    if (!page || here) return;
    here = true;
    follow.checked = true;
    train.textContent = "Another start";
    live(words);
    if (ui.plan.now || ui.linked) start();
  }
  function gone() {
    if (here || node.dataset.was !== "live") return;
    alive = again = false;
    running = null;
    if (page) { status.textContent = ""; stay("The kernel is gone; the page trains instead."); return; }
    say("The kernel is gone. The stored results still follow the controls; run this cell again to retrain.", true);
    show();
  }
  // No answer may mean a busy kernel: only say so. A lost comm is reported by the host.
  function expect(text) {
    clearTimeout(timer);
    timer = setTimeout(() => say(text), QUIET_MS);
  }
  function send(kind, to, more) {
    asked = `${id}-${++runs}`;
    wanted = ui.values();
    running = to;
    again = false;
    bar.value = 0;
    return to.send({ kind, run: asked, values: wanted, ...more });
  }
  function start() {
    if (!alive) return;
    if (send("train", here ? page : kernel, here ? { seed: ui.seed() } : {}) && !here) expect("The kernel is busy with another cell; the run starts when it is free.");
    show();
  }
  function moved(how) {
    if (!alive || !follow.checked) return;
    const slow = seconds === null || seconds > SLOW_RUN_S;
    if ((slow && how === "move") || same(ui.values(), wanted)) return;
    if (running && !slow && !here) again = true;
    else start();
  }
  train.addEventListener("click", () => { if (here && wanted) ui.reseed(); start(); });
  many.addEventListener("click", () => { ui.setLive(null); send("seeds", page, { n: SEEDS }); show(); });
  stop.addEventListener("click", () => { if (running) running.send({ kind: "stop", run: asked }); say("Stopping after this step."); });
  follow.addEventListener("change", () => { chosen = true; show(); if (follow.checked) start(); });

  function ended(message) {
    running = null;
    clearTimeout(timer);
    if (message.error) say(message.error, true);
    else if (message.seeds) say(`${message.seeds} starts with ${setting(message.values)}: ${number(message.seconds)} s in this page. Bands are 95 % intervals of the mean, Student's t.`);
    else {
      seconds = message.seconds;
      const where = message.page ? `in this page, start ${message.seed ?? ui.seed()}` : "by the kernel";
      say(`${message.stopped ? "Stopped" : "Trained"} with ${setting(message.values)}: ${number(message.seconds)} s ${where}.`);
      // A run that is over before the eye notices may as well follow the hand.
      if (!message.stopped && !chosen && seconds < SLOW_RUN_S) { follow.checked = true; }
    }
    show();
    if (again) start();
  }
  function receive(message) {
    if (message.kind === "pong") {
      if (!message.live) return;
      if (here) { // it was busy when the page took over
        here = false;
        follow.checked = chosen && follow.checked;
        train.textContent = "Retrain";
        status.textContent = "";
      }
      live("A kernel is here: retrain at these settings, or at any value that you type.");
      return;
    }
    if (message.kind === "started") { // perhaps by another view of this explorer
      asked = message.run; running ||= kernel; clearTimeout(timer); say(""); bar.value = 0;
      if (!follow.checked) ui.setLive(null);
      show();
    }
    if (message.run !== asked) return;
    if (message.kind === "update") {
      bar.value = clamp(message.progress, 0, 1);
      if (message.count) say(`${message.count} of ${SEEDS} starts`);
      ui.setLive(message);
    }
    if (message.kind === "ended") ended(message);
  }
  function ping() {
    if (model.page) { stay(); return; }
    kernel.send({ kind: "ping" });
    if (page) timer = setTimeout(() => { if (!alive) stay(); }, QUIET_MS);
  }
  return { node, receive, moved, gone, following: () => alive && follow.checked, ping };
}
