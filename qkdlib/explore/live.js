// Live training: a button, a progress bar, and what a kernel says.
//
// Out go {kind: "ping"}, {kind: "train", run, values} and {kind: "stop", run}; whoever trains answers with
// "pong" (live), "started", "update" (progress, curves, readouts, panels) and "ended" (seconds, stopped,
// error), each of the last three with `run` and `values`. Without a pong nothing offers to train.

import { clamp, h, number } from "./kit.js";
import { textOf } from "./controls.js";

const SLOW_RUN_S = 0.15; // longer runs start when a slider is let go, not while it moves
const QUIET_MS = 1500; // a kernel that has not answered by then is busy, or gone

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
  const stop = h("button", { type: "button", class: "qkd-stop", disabled: true }, "Stop");
  const follow = h("input", { type: "checkbox", id: id + "-follow" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Progress of the run" });
  const status = h("p", { class: "qkd-status", role: "status" });
  const node = h("div", { class: "qkd-live", hidden: true },
    h("div", { class: "qkd-buttons" }, train, stop, h("label", { for: id + "-follow", class: "qkd-follow" }, follow, "Retrain as I move"), bar), status);
  let alive = false, asked = null, wanted = null, running = false, again = false, seconds = null, chosen = false, timer = 0, runs = 0;

  const same = (a, b) => !!b && ui.controls.every((control) => a[control.name] === b[control.name]);
  const say = (text, bad) => { status.textContent = text; status.classList.toggle("qkd-bad", !!bad); };
  const setting = (values) => ui.controls.map((control) => textOf(control, values[control.name])).join(", ");
  function send(message) {
    try { model.send(message); return true; } catch { gone(); return false; }
  }
  function show() {
    node.hidden = !alive && node.dataset.was !== "live";
    train.disabled = !alive;
    follow.disabled = !alive;
    stop.disabled = !(alive && running);
    bar.hidden = !running;
    ui.liven(alive, follow.checked);
  }
  function gone() {
    if (node.dataset.was !== "live") return;
    alive = running = again = false;
    say("The kernel is gone. The stored results still follow the controls; run this cell again to retrain.", true);
    show();
  }
  // No answer may mean a busy kernel: only say so. A lost comm is reported by the host.
  function expect(text) {
    clearTimeout(timer);
    timer = setTimeout(() => say(text), QUIET_MS);
  }
  function start() {
    if (!alive) return;
    asked = `${id}-${++runs}`;
    wanted = ui.values();
    running = true;
    again = false;
    bar.value = 0;
    if (send({ kind: "train", run: asked, values: wanted })) expect("The kernel is busy with another cell; the run starts when it is free.");
    show();
  }
  function moved(how) {
    if (!alive || !follow.checked) return;
    const slow = seconds === null || seconds > SLOW_RUN_S;
    if ((slow && how === "move") || same(ui.values(), wanted)) return;
    if (running && !slow) again = true;
    else start();
  }
  train.addEventListener("click", start);
  stop.addEventListener("click", () => { send({ kind: "stop", run: asked }); say("Stopping after this step."); });
  follow.addEventListener("change", () => { chosen = true; show(); if (follow.checked) start(); });

  function receive(message) {
    if (message.kind === "pong") {
      alive = message.live;
      if (alive) { node.dataset.was = "live"; if (!status.textContent) say("A kernel is here: retrain at these settings, or at any value that you type."); }
      clearTimeout(timer);
      show();
      return;
    }
    if (message.kind === "started") { // perhaps by another view of this explorer
      asked = message.run; running = true; clearTimeout(timer); say(""); bar.value = 0;
      if (!follow.checked) ui.setLive(null);
      show();
    }
    if (message.run !== asked) return;
    if (message.kind === "update") {
      bar.value = clamp(message.progress, 0, 1);
      ui.setLive(message);
    }
    if (message.kind === "ended") {
      running = false;
      clearTimeout(timer);
      if (message.error) say(message.error, true);
      else {
        seconds = message.seconds;
        say(`${message.stopped ? "Stopped" : "Trained"} with ${setting(message.values)}: ${number(message.seconds)} s.`);
        // A run that is over before the eye notices may as well follow the hand.
        if (!message.stopped && !chosen && seconds < SLOW_RUN_S) { follow.checked = true; }
      }
      show();
      if (again) start();
    }
  }
  return { node, receive, moved, gone, following: () => alive && follow.checked, ping: () => send({ kind: "ping" }) };
}
