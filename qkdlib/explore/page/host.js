// Trains in the page what declared.py packed, and answers like a kernel: "pong", "started", "update",
// "ended". It alone knows { kind: "seeds", n }: n starts of the student and of the run beside it.
//
// A plan: `training` is what engine.js reads; `paths` say where in it a control's value belongs, `options`
// what an option of a control stands for, `away` what the run beside it has instead.

import { exists } from "../kit.js";

const T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093];
const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
const last = (values) => values[values.length - 1];

// Mean and ends of its 95 % interval, Student's t, of 2 to 20 values.
function interval(values) {
  const m = mean(values), n = values.length;
  const half = T95[n - 2] * Math.sqrt(values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (n - 1) / n);
  return [m, m - half, m + half];
}

// What belongs at "a.b", without touching what others hold.
function put(target, path, value) {
  const [first, ...rest] = path.split(".");
  if (rest.length) put(target[first] = { ...target[first] }, rest.join("."), value);
  else target[first] = value;
}

function trainingOf(plan, values, seed, away = {}) {
  const training = { ...plan.training, seed };
  for (const [name, value] of Object.entries(values)) {
    const chosen = plan.options[name] ? plan.options[name][value] : { [plan.paths[name]]: value };
    for (const [path, one] of Object.entries(chosen)) put(training, path, one);
  }
  for (const [path, one] of Object.entries(away)) put(training, path, one);
  return training;
}

// ---- what is shown of a run ----

function softened(logits, T) {
  const top = Math.max(...logits), powers = Array.from(logits, (z) => Math.exp((z - top) / T));
  const sum = powers.reduce((a, v) => a + v, 0);
  return powers.map((v) => v / sum);
}
// Who is undecided between classes is right by chance.
const rightOf = (z, labels, C) => mean(labels.map((label, b) => {
  const row = Array.from(rowOf(z, b, C)), tops = row.filter((v) => v === Math.max(...row)).length;
  return row[label] === Math.max(...row) ? 1 / tops : 0;
}));
const rowOf = (z, row, C) => z.slice(row * C, row * C + C);

// The classes of views.py: what a run gives to the panel of each.
const VIEWS = {
  answers({ name, row }, { own, said, C, T }) {
    return { [name]: [said || own, own].flatMap((z) => softened(rowOf(z, row, C), T)) };
  },
  field({ name }, { report, C }) {
    const z = report.watch[name].logits[0];
    return { [name]: Array.from({ length: z.length / C }, (_, i) => softened(rowOf(z, i, C), 1)[1]) };
  },
};

function curvesOf(plan, trace, suffix) {
  const x = trace.map((point) => point.step), name = plan.several ? "students" : "student";
  const of = (value) => ({ x, y: trace.map((point) => value(point.watch.validation)) });
  const found = { [suffix || name]: of((one) => mean(one.accuracy)) };
  if (plan.several) found["their vote" + (suffix && ", " + suffix)] = of((one) => one.vote);
  return found;
}

function shown(plan, training, report) {
  const { validation, training: learnt } = report.watch, C = training.model.classes;
  const found = { curves: curvesOf(plan, report.trace, ""), panels: {} };
  found.readouts = {
    "validation accuracy": mean(validation.accuracy), "training accuracy": mean(learnt.accuracy),
    "training loss": mean(learnt.loss), entropy: mean(validation.entropy),
  };
  if (report.said) found.readouts["teacher is right"] = rightOf(report.said, training.labels, C);
  const run = { report, C, own: learnt.logits[0], said: report.said, T: training.condition.temperature };
  for (const view of plan.views) {
    Object.assign(found.panels, VIEWS[view.kind](view, run));
  }
  return found;
}

// ---- who is sent messages instead of a kernel; `receive` hears the answers ----

export function pageTrainer(plan, receive) {
  let job = null, beside = { key: "" };
  const engine = () => (globalThis.qkdPageEngine ||= qkdEngine(qkdKernels));

  // One training; how it ends goes to `tell`, unless another has taken its place.
  function start(training, tell, handlers) {
    const current = (f) => (message) => { if (job === own) f(message); };
    const own = engine().start(training, {
      progress: current(handlers.progress || (() => {})), result: current(handlers.result || (() => {})),
      done: current(handlers.done),
      stopped: current(() => tell("ended", { stopped: true })),
      error: current((problem) => tell("ended", { error: problem.message })),
    });
    job = own;
  }
  function teller({ run, values }) {
    const began = performance.now();
    return (kind, more) => {
      if (kind === "ended") { job = null; more = { seconds: (performance.now() - began) / 1000, ...more }; }
      receive({ kind, run, values, page: true, ...more });
    };
  }

  function train(message) {
    const { values, seed = 0 } = message, tell = teller(message), training = trainingOf(plan, values, seed);
    const key = plan.control && JSON.stringify([seed, values]);
    if (job) job.stop();
    tell("started");
    const update = (report, more) => tell("update", { progress: report.step / report.steps, ...shown(plan, training, report), ...more });
    function done(report) {
      update(report);
      if (!plan.control || beside.key === key) { finish(report); return; }
      start({ ...trainingOf(plan, values, seed, plan.away), watch: { validation: training.watch.validation } }, tell, {
        done(other) { beside = { key, trace: other.trace }; finish(report); },
      });
    }
    function finish(report) {
      if (plan.control) {
        const found = shown(plan, training, report), control = curvesOf(plan, beside.trace, plan.control);
        const end = (trace) => mean(last(trace).watch.validation.accuracy);
        const readouts = { ...found.readouts, ["gain over " + plan.control]: end(report.trace) - end(beside.trace) };
        tell("update", { progress: 1, ...found, readouts, curves: { ...found.curves, ...control } });
      }
      tell("ended", { seed });
    }
    start(training, tell, { progress: update, done });
  }

  // Each of two runs from n starts: bands of both, and paired differences.
  function seeds(message) {
    const { values, n } = message, tell = teller(message), found = [[], []];
    const { validation, training } = plan.training.watch, sides = plan.control ? [{}, plan.away] : [{}];
    const nameOf = (side) => (side ? plan.control : plan.several ? "students" : "student");
    const ends = (side) => found[side].map((run) => last(run.y));
    function update() {
      const curves = {};
      found.forEach((runs, side) => {
        if (runs.length < 2) return;
        const bands = runs[0].y.map((_, i) => interval(runs.map((run) => run.y[i])));
        curves[nameOf(side)] = { x: runs[0].x, y: bands.map((b) => b[0]), low: bands.map((b) => b[1]), high: bands.map((b) => b[2]) };
      });
      const readouts = {};
      if (found[0].length > 1) for (const name in found[0][0].readouts) readouts[name] = interval(found[0].map((run) => run.readouts[name]));
      if (found[1].length > 1) readouts["gain over " + plan.control] = interval(found[1].map((run, k) => ends(0)[k] - last(run.y)));
      const count = found[0].length + found[1].length;
      tell("update", { progress: count / n / sides.length, curves, panels: {}, readouts, count: found[0].length });
    }
    function go(side) {
      const one = { ...trainingOf(plan, values, 0, sides[side]), watch: { validation, training }, seeds: n };
      start(one, tell, {
        result(report) {
          const [x, y] = [report.trace.map((p) => p.step), report.trace.map((p) => mean(p.watch.validation.accuracy))];
          found[side].push({ x, y, readouts: shown({ ...plan, views: [] }, one, report).readouts });
          update();
        },
        done() { if (side + 1 < sides.length) go(side + 1); else tell("ended", { seeds: n }); },
      });
    }
    if (job) job.stop();
    tell("started");
    go(0);
  }

  return {
    send(message) {
      if (message.kind === "train") train(message);
      if (message.kind === "seeds") seeds(message);
      if (message.kind === "stop" && job) job.stop();
    },
  };
}
