// Trains small quantum circuits in the page itself: no server, no kernel, no dependency.
//
// declaration.py writes what it reads and ships it without comments; tests hold it to the Python engine.
// A chunk of samples is one array [psi real, psi imaginary, lam real, lam imaginary][2^n amplitudes][samples]
// of float32, where lam = dL/dRe psi + i dL/dIm psi goes back through the circuit beside psi: adjoint
// differentiation.
//
//   const engine = qkdEngine(kernels)    // kernels.wasm in base64, or "" for plain JavaScript
//   engine.start(training, handlers)     // in a Worker where there may be one; returns { stop() }
//   engine.train(training)               // the same as a generator, for whoever has a loop of his own

function qkdEngine(wasm, { memory: LIMIT = 2 ** 29, worker: mayWork = true } = {}) {
const EVERY = 40;  // ms between two reports of a training
// Samples at once: so many that their states stay in the first cache.
const chunkOf = qubits => Math.min(Math.max(2048 >> qubits, 16), 64);
const clock = () => performance.now(), isList = Array.isArray;
const range = (n, f = i => i) => { const out = []; for (let i = 0; i < n; i++) out.push(f(i)); return out; };
const average = values => values.reduce((a, b) => a + b, 0) / values.length;

function refuse(reason, message, more) { throw Object.assign(new Error(message), { reason, ...more }); }
function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
function must(good, name, wanted, got) {
  if (!good) refuse("input", `${name} must be ${wanted}, got ${JSON.stringify(got)?.slice(0, 60)}`);
}

// --- Sweeps over the states ----------------------------------------------------------------------------
// Addresses count floats; n runs of `run` floats begin at `starts`; s, t, r: how far off the amplitude is
// whose bit is 1. kernels.ts holds the same for WebAssembly, four samples at a time.
const plainKernels = {
  // Real rotations [[c, -d], [d, c]] of one, two, three qubits.
  rotate1(x, starts, n, run, s, c, d) {
    const { F, I } = heap;
    for (let g = 0; g < n; g++) {
      for (let i = x + I[starts + g], end = i + run; i < end; i++) {
        const u = F[i], v = F[i + s];
        F[i] = c * u - d * v; F[i + s] = d * u + c * v;
      }
    }
  },
  rotate2(x, starts, n, run, s, t, c, d, e, f) {
    const { F, I } = heap;
    for (let g = 0; g < n; g++) {
      for (let i = x + I[starts + g], end = i + run; i < end; i++) {
        const j = i + t, k = i + s, l = k + t, u = F[i], v = F[j], w = F[k], y = F[l];
        const a = c * u - d * w, b = c * v - d * y, p = d * u + c * w, q = d * v + c * y;
        F[i] = e * a - f * b; F[j] = f * a + e * b; F[k] = e * p - f * q; F[l] = f * p + e * q;
      }
    }
  },
  rotate3(x, starts, n, run, s, t, r, c, d, ...rest) {
    for (const at of [0, t, r, r + t]) this.rotate1(x + at, starts, n, run, s, c, d);
    for (const at of [0, s]) this.rotate2(x + at, starts, n, run, t, r, ...rest);
  },
  // Row a of psi (pairs = 1) or of psi and lam (2) times table[a] + i sign table[rows + a].
  turn(x, pairs, rows, lanes, table, sign) {
    const { F } = heap, plane = rows * lanes;
    for (let k = 0; k < pairs * rows; k++) {
      const a = k % rows, c = F[table + a], d = sign * F[table + rows + a];
      if (c !== 1 || d) this.rotate1(x + (k + (k - a)) * lanes, ZERO, 1, lanes, plane, c, d);
    }
  },
  // Any gate: d amplitudes (at `offsets`) times a d x d matrix, [entry][real, imaginary][samples].
  apply(x, starts, n, run, lanes, offsets, d, matrix, plane) {
    const { F, I } = heap;
    for (let g = 0; g < n; g++) {
      for (let k = 0, row = x + I[starts + g]; k < run; k++, row++) {
        for (let c = 0; c < d; c++) {  // the first floats of memory are scratch
          const i = row + I[offsets + c];
          F[2 * c] = F[i]; F[2 * c + 1] = F[i + plane];
        }
        for (let r = 0, m = matrix + k % lanes; r < d; r++) {
          const i = row + I[offsets + r];
          F[i] = F[i + plane] = 0;
          for (let c = 0; c < d; c++, m += 2 * lanes) {
            F[i] += F[m] * F[2 * c] - F[m + lanes] * F[2 * c + 1];
            F[i + plane] += F[m] * F[2 * c + 1] + F[m + lanes] * F[2 * c];
          }
        }
      }
    }
  },
  // sums[r, c] += sum of conj(lam_r) psi_c, of which a gate's derivative is made.
  pull(x, starts, n, run, offsets, d, plane, sums) {
    const { F, I } = heap;
    for (let r = 0; r < d; r++) {
      for (let c = 0; c < d; c++, sums += 2) {
        let re = 0, im = 0;
        for (let g = 0; g < n; g++) {
          let i = x + I[starts + g] + I[offsets + r] + 2 * plane, j = x + I[starts + g] + I[offsets + c];
          for (const end = i + run; i < end; i++, j++) {
            re += F[i] * F[j] + F[i + plane] * F[j + plane]; im += F[i] * F[j + plane] - F[i + plane] * F[j];
          }
        }
        F[sums] += re; F[sums + 1] += im;
      }
    }
  },
  // sums[bucket of row a] += conj(x[a]) y[a ^ flip], per sample; lane >= 0: that sample of y for all.
  // back: x[a] += sums[bucket of row a] y[a ^ flip].
  meet(x, y, rows, lanes, flip, lane, buckets, sums, back) {
    const { F, I } = heap, plane = rows * lanes;
    for (let a = 0; a < rows; a++) {
      let i = x + a * lanes, j = y + (a ^ flip) * lanes + Math.max(lane, 0), b = sums + 2 * lanes * I[buckets + a];
      for (const end = i + lanes; i < end; i++, b++, j += lane < 0 ? 1 : 0) {
        const u = F[j], v = F[j + plane], p = back ? F[b] : F[i], q = back ? F[b + lanes] : -F[i + plane];
        const to = back ? i : b, second = back ? plane : lanes;
        F[to] += p * u - q * v; F[to + second] += p * v + q * u;
      }
    }
  },
};

// One memory for all arrays; every training begins at its bottom.
const ZERO = 32, BOTTOM = 48;
let memory = {
  buffer: new ArrayBuffer(65536),
  grow(pages) {
    const old = new Uint8Array(this.buffer);
    this.buffer = new ArrayBuffer(old.length + 65536 * pages);
    new Uint8Array(this.buffer).set(old);
  },
};
const heap = {
  top: BOTTOM, kernels: plainKernels,
  room(floats) {  // whether there is room for so many
    const more = Math.ceil((4 * floats - memory.buffer.byteLength) / 65536);
    if (4 * floats > LIMIT) return false;
    try { if (more > 0) memory.grow(more + (memory.buffer.byteLength >> 17)); } catch { return false; }
    const { buffer } = memory;
    if (this.F?.buffer !== buffer) Object.assign(this, { F: new Float32Array(buffer), I: new Int32Array(buffer) });
    return true;
  },
  take(n) {
    const at = this.top;
    this.top += n + 15 & ~15;
    return this.room(this.top) ? at : refuse("memory", "memory is full");
  },
  put(integers) { const at = this.take(integers.length); this.I.set(integers, at); return at; },
};
try {
  const module = wasm && new WebAssembly.Module(bytesOf(wasm));
  const own = module && new WebAssembly.Memory({ initial: 1 });
  if (module) heap.kernels = new WebAssembly.Instance(module, { env: { memory: own } }).exports;
  memory = own || memory;
} catch { /* refused here: the plain kernels do it */ }
heap.room(BOTTOM);

// --- Numbers ---------------------------------------------------------------------------------------------

function half(h) {
  const exponent = h >> 10 & 31, digits = (h & 1023) + (exponent && 1024);
  return (h >> 15 ? -digits : digits) * 2 ** (Math.max(exponent, 1) - 25);
}

// An array [rows][columns]: nested lists, or base64 of float32, float16 or bytes.
function decode(name, array) {
  must(array?.length || array?.data, name, "an array", array);
  if (isList(array)) {
    const values = Float64Array.from(array.flat());
    must(values.every(Number.isFinite), name, "numbers", array[0]);
    return { rows: array.length, columns: values.length / array.length, values };
  }
  const { shape: [rows, columns], type, data, scale = 1, shift = 0 } = array;
  const kind = { u1: Uint8Array, f2: Uint16Array, f4: Float32Array }[type];
  const raw = new Float32Array(new kind(bytesOf(data).buffer));
  const values = type === "f2" ? raw.map(half) : raw;
  return { rows, columns, values: scale === 1 && !shift ? values : values.map(v => scale * v + shift) };
}

// Uniform in [0, 1) by mulberry32; every list of seeds is a stream of its own.
function generator(...seeds) {
  let a = seeds.reduce((h, s) => Math.imul(h ^ s ^ h >>> 15, 0x85ebca6b) + 0x6d2b79f5 | 0, 0x9e3779b9);
  return () => {
    a = a + 0x6d2b79f5 | 0;
    let t = Math.imul(a ^ a >>> 15, a | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}
const normal = draw => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
function permutation(n, draw) {
  const order = range(n);
  for (let i = n; i > 1;) { const j = Math.floor(i-- * draw()); [order[i], order[j]] = [order[j], order[i]]; }
  return order;
}

// --- The circuit -------------------------------------------------------------------------------------------

// An angle is a number, or [symbol, scale, shift].
const angleAt = (angle, values) => isList(angle) ? (angle[1] ?? 1) * values[angle[0]] + (angle[2] ?? 0) : angle;

// A block, rotations of one qubit, is Rz(alpha) Ry(beta) Rz(gamma): their product, a quaternion, taken apart.
function settle(block, weights) {
  let w = 1, x = 0, y = 0, z = 0;
  for (const [axis, angle] of block.rotations) {
    const theta = angleAt(angle, weights) / 2, c = Math.cos(theta), s = Math.sin(theta);
    const p = s * axis[0], q = s * axis[1], r = s * axis[2];
    [w, x, y, z] = [c * w - p * x - q * y - r * z, c * x + p * w + q * z - r * y,
      c * y + q * w + r * x - p * z, c * z + r * w + p * y - q * x];
  }
  const sum = Math.atan2(z, w), difference = Math.atan2(-x, y), { hypot } = Math;
  Object.assign(block, block.real ? { cos: w, sin: y, alpha: 0 }
    : { cos: hypot(w, z), sin: hypot(x, y), alpha: sum + difference, gamma: sum - difference });
}

// Derivatives of its angles from v = Im<lam|sigma|psi> / 2 behind it: undo one rotation after the other.
function chain(rotations, [x, y, z], weights, gradient) {
  for (const [[p, q, r], angle] of [...rotations].reverse()) {
    const theta = angleAt(angle, weights), c = Math.cos(theta), s = Math.sin(theta);
    const along = p * x + q * y + r * z, rest = along * (1 - c);
    if (isList(angle)) gradient[angle[0]] += (angle[1] ?? 1) * along;
    [x, y, z] = [c * x - s * (q * z - r * y) + rest * p, c * y - s * (r * x - p * z) + rest * q,
      c * z - s * (p * y - q * x) + rest * r];
  }
}

// Samples: angles, a row each; states, a row of amplitudes each; or coefficients of a basis of states.
class Inputs {
  constructor(name, { angles, states, imaginary, coefficients }, { qubits, data }) {
    const main = decode(name, angles || states), given = coefficients && decode(name, coefficients);
    must(angles ? main.columns === data : !data && main.columns <= 2 ** qubits, name,
      data ? `rows of ${data} angles` : `rows of up to ${2 ** qubits} amplitudes`, `${main.columns} columns`);
    const parts = angles ? [] : imaginary ? [main, decode(name, imaginary)] : [main];
    Object.assign(this, { name, parts, angles: angles && main.values, coefficients: given?.values });
    Object.assign(this, { stored: main.rows, samples: (given || main).rows, rank: given?.columns || 0 });
    this.all = range(this.samples);
    this.basis = range(this.rank);
  }
  write(rows) {  // initial states into memory, [stored][real, imaginary][2^n], of norm 1
    this.at = heap.take(2 * rows * this.stored);
    for (let k = 0; k < this.stored; k++) {
      const at = this.at + 2 * rows * k, state = heap.F.subarray(at, at + 2 * rows).fill(0);
      if (this.angles) state[0] = 1;
      this.parts.forEach(({ columns, values }, part) => {
        state.set(values.subarray(columns * k, columns * (k + 1)), part * rows);
      });
      const norm = Math.sqrt(state.reduce((sum, v) => sum + v * v, 0));
      must(norm > 0, this.name, "rows that are not all zero", `zeros in row ${k}`);
      state.forEach((v, i) => { state[i] = v / norm; });
    }
  }
}

// A model's circuit with room for a batch: `lanes` samples at once, or a basis of `rank` states.
class Program {
  constructor(model, lanes, rank = 0) {
    this.lanes = (rank || Math.ceil(lanes / Math.ceil(lanes / chunkOf(model.qubits)))) + 3 & ~3;
    Object.assign(this, { model, rows: 1 << model.qubits, classes: model.classes, tables: {}, blocks: [] });
    this.mixes = rank ? this.lanes : 1;
    this.plane = this.rows * this.lanes;
    this.capacity = Math.ceil(Math.max(lanes, rank) / this.lanes);
    this.x = heap.take(4 * this.plane * this.capacity);
    this.items = model.items.map(([kind, ...rest]) => ({ kind, parts: [], ...this[kind](...rest) }));
    for (const item of this.items) item.trained ??= item.ends.some(([, k]) => this.blocks[k].trained);
    const first = this.items.findIndex(item => item.trained);
    this.first = first < 0 ? this.items.length : first;  // what stands before is done once, see `encode`
    this.groups = model.observables.map(group => this.group(...group));
    this.peers = [this.group(0, [[0, 0, 0, 1, 1], [1, 0, 1, -1, 1]])];
    this.setWeights(new Float64Array(model.weights), this.items);
  }

  // Runs of rows whose targets are 0 and whose controls match; what lies below all of them is one run.
  runs(rows, targets, mask = 0, value = 0) {
    const touched = targets | mask, step = touched ? touched & -touched : rows;
    const starts = range(rows / step, k => k * step).filter(a => !(a & targets) && (a & mask) === value);
    return this.tables[[rows, targets, mask, value]] ??=
      { at: heap.put(starts.map(a => a * this.lanes)), n: starts.length, run: step * this.lanes };
  }
  // Diagonal: constant phases [mask, value, angle]; turns about Z before and behind blocks [bit, number, end].
  turn(phases, ends) {
    const at = a => phases.reduce((sum, [mask, value, angle]) => sum + ((a & mask) === value && angle), 0);
    return { ends, constants: range(this.rows, at), table: heap.take(2 * this.rows) };
  }
  // Blocks [number, bit, real, [[axis, angle], ...]] on different qubits, up to three of them at a time.
  sweep(list) {
    const parts = list.map(([k, bit, real, rotations]) => this.blocks[k] = {
      d: 2, bit, real, rotations, trained: rotations.some(([, angle]) => isList(angle)), sums: heap.take(8),
      runs: this.runs(this.rows, bit), offsets: heap.put([0, bit * this.lanes]),
    });
    const groups = [];
    for (let k = 0, left = parts.length; left;) {
      const size = left === 3 || left > 4 ? 3 : Math.min(left, 2), some = parts.slice(k, k += size);
      const steps = some.map(block => block.bit * this.lanes);
      groups.push({ some, steps, runs: this.runs(4 * this.rows, some.reduce((a, b) => a | b.bit, 0)) });
      left -= size;
    }
    return { parts, groups, trained: parts.some(block => block.trained) };
  }
  // A matrix, or exp(i angle K) with K^3 = K, on target bits of the rows where `mask` is `value`.
  gate(bits, mask, value, matrix, angle) {
    const [re, im = re.map(() => 0)] = this.model.matrices[matrix], d = 1 << bits.length;
    const size = 2 * d * d * this.lanes;
    const row = k => bits.reduce((sum, bit, b) => sum + (k >> bits.length - 1 - b & 1 && bit), 0);
    const data = angle?.[0] >= this.model.weights, gate = {
      d, re, im, angle, size, data, trained: isList(angle) && !data, sums: heap.take(2 * d * d),
      runs: this.runs(this.rows, row(d - 1), mask, value), offsets: heap.put(range(d, k => row(k) * this.lanes)),
      matrices: heap.take(2 * size * (data ? this.capacity : 1)),  // of the gate, then of its inverse
    };
    return { ...gate, parts: [gate] };
  }
  // Pauli strings [observable, signs, part, read, write] that flip the same bits share a sweep; rows where
  // their signs agree share a bucket.
  group(flips, terms) {
    const sign = v => { for (let k = 16; k; k >>= 1) v ^= v >> k; return 1 - 2 * (v & 1); };
    const seen = {}, signs = [];
    const buckets = range(this.rows, a => {
      const own = terms.map(([, mask]) => sign((a ^ flips) & mask));
      return seen[own] ??= signs.push(own) - 1;
    });
    const size = 2 * this.lanes * signs.length;
    return { flips, terms, signs, size, buckets: heap.put(buckets), sums: heap.take(this.mixes * size) };
  }

  setWeights(weights, items = this.items.filter(item => item.trained)) {
    const { F } = heap, { rows, lanes } = this, { cos, sin } = Math;
    this.weights = weights;
    for (const block of this.blocks) settle(block, weights);
    for (const item of items) {
      for (const group of item.groups || []) {
        group.numbers = [1, -1].map(sign => group.some.flatMap(block => [block.cos, sign * block.sin]));
      }
      if (item.kind === "turn") {
        const re = [1], im = [0];
        for (let bit = 1; bit < rows; bit *= 2) {
          const phase = item.ends.reduce((sum, [b, k, end]) => sum + (b === bit && this.blocks[k][end]), 0);
          const c = cos(phase), s = sin(phase);
          for (let a = 0; a < bit; a++) { re.push(c * re[a] - s * im[a]); im.push(s * re[a] + c * im[a]); }
        }
        item.constants.forEach((phase, a) => {
          const c = phase ? cos(phase) : 1, s = phase && sin(phase);
          F[item.table + a] = c * re[a] - s * im[a]; F[item.table + rows + a] = s * re[a] + c * im[a];
        });
      } else if (item.kind === "gate" && !item.data) {
        const angle = item.angle && angleAt(item.angle, weights);
        for (let l = 0; l < lanes; l++) this.writeGate(item, item.matrices, l, angle);
      }
    }
  }
  writeGate({ d, size, re, im }, at, lane, angle) {
    const { F } = heap, { lanes } = this, c = Math.cos(angle) - 1, s = Math.sin(angle);
    re.forEach((_, e) => {
      const r = Math.floor(e / d), k = e % d;
      const to = at + 2 * e * lanes + lane, back = at + size + 2 * (k * d + r) * lanes + lane;
      let u = re[e], v = im[e];
      if (angle !== undefined) {  // 1 + (cos - 1) K^2 + i sin K
        [u, v] = [(r === k) - s * v, s * u];
        for (let a = r * d, b = k; b < d * d; a++, b += d) {
          u += c * (re[a] * re[b] - im[a] * im[b]); v += c * (re[a] * im[b] + im[a] * re[b]);
        }
      }
      F[to] = F[back] = u; F[to + lanes] = v; F[back + lanes] = -v;
    });
  }

  // Puts samples into the lanes: rows of the inputs, or the basis of inputs of low rank.
  load(inputs, rows, begin = this.first) {
    const { F } = heap, { lanes, model } = this, size = 2 * this.rows, from = [];
    const order = inputs.rank ? inputs.basis : rows;
    Object.assign(this, { inputs, order: rows, batch: rows.length, chunks: Math.ceil(order.length / lanes) });
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const samples = order.slice(chunk * lanes, (chunk + 1) * lanes), here = samples.length;
      samples.forEach((sample, l) => { from[l] = inputs.at + size * sample; });
      for (let a = 0, to = this.at(chunk); a < size; a++, to += lanes) {
        for (let l = 0; l < here; l++) F[to + l] = F[from[l] + a];
        for (let l = here; l < lanes; l++) F[to + l] = 0;
      }
      for (const item of this.items.slice(begin)) {
        if (item.data) samples.forEach((sample, l) => {
          const [symbol, ...affine] = item.angle, at = sample * model.data + symbol - model.weights;
          const angle = angleAt([at, ...affine], inputs.angles);
          this.writeGate(item, item.matrices + 2 * item.size * chunk, l, angle);
        });
      }
    }
  }
  at(chunk) { return this.x + 4 * this.plane * chunk; }
  // What the circuit does before its first weight, once for all samples.
  *encode(inputs) {
    inputs.write(this.rows);
    const { lanes } = this, piece = inputs.rank || this.capacity * lanes, size = 2 * this.rows;
    for (let k = 0; k < inputs.stored && this.first; k += piece) {
      const rows = range(Math.min(piece, inputs.stored - k), j => k + j);
      this.load(inputs, rows, 0);
      yield* this.forward(0, this.first);
      rows.forEach((row, j) => {
        const from = this.at(Math.floor(j / lanes)) + j % lanes;
        for (let a = 0; a < size; a++) heap.F[inputs.at + size * row + a] = heap.F[from + a * lanes];
      });
    }
  }

  // One item forwards on psi, or (back) its inverse on psi and lam.
  act(item, chunk, back) {
    const { kernels } = heap, { rows, lanes, plane } = this, x = this.at(chunk);
    if (item.kind === "turn") kernels.turn(x, back ? 2 : 1, rows, lanes, item.table, back ? -1 : 1);
    else if (item.kind === "sweep") {
      for (const { some, runs: { at, n, run }, steps, numbers } of item.groups) {
        kernels["rotate" + some.length](x, at, back ? n : n / 2, run, ...steps, ...numbers[+back]);
      }
    } else {
      const { runs: { at, n, run }, offsets, d, size, data } = item;
      const matrix = item.matrices + (data ? 2 * size * chunk : 0) + (back ? size : 0);
      kernels.apply(x, at, n, run, lanes, offsets, d, matrix, plane);
      if (back) kernels.apply(x + 2 * plane, at, n, run, lanes, offsets, d, matrix, plane);
    }
  }
  *forward(begin = this.first, end = this.items.length) {
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      for (let k = begin; k < end; k++) this.act(this.items[k], chunk, false);
      yield;
    }
  }

  // From sums over the lanes, table[mixes][lanes], to values[batch * stride + k], or back. A sample of low rank
  // is psi_b = sum_i c_bi psi_i; what is quadratic in it is a sum over pairs.
  exchange(table, values, k, stride, chunk, factor, back) {
    const { lanes, batch, order, inputs: { rank, coefficients: c } } = this;
    if (!rank) {
      for (let l = 0, v = chunk * lanes * stride + k; l < lanes && v < values.length; l++, v += stride) {
        if (back) table[l] += factor * values[v];
        else values[v] += factor * table[l];
      }
    }
    for (let b = 0, v = k; rank && b < batch; b++, v += stride) {
      let sum = 0;
      for (let i = 0, from = order[b] * rank; i < rank; i++) {
        const weight = factor * c[from + i] * (back ? values[v] : 1);
        for (let l = 0, t = i * lanes; l < rank; l++, t++) {
          if (back) table[t] += weight * c[from + l];
          else sum += weight * c[from + l] * table[t];
        }
      }
      if (!back) values[v] += sum;
    }
  }
  // values += what terms say of the states, <psi| . |peer>; or (back) lam += the terms on the peer's states.
  meet(groups, peer, values, stride, back) {
    const { rows, lanes, plane, mixes, inputs: { rank } } = this, { F } = heap;
    const table = new Float64Array(mixes * lanes);
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const x = this.at(chunk) + (back ? 2 * plane : 0), y = peer.at(chunk);
      for (const { flips, terms, signs, size, buckets, sums } of groups) {
        const sweep = () => {
          for (let i = 0; i < (rank || 1); i++) {
            heap.kernels.meet(x, y, rows, lanes, flips, rank ? i : -1, buckets, sums + i * size, back);
          }
        };
        F.fill(0, sums, sums + mixes * size);
        if (!back) sweep();
        terms.forEach(([k, , part, read, write], term) => {
          table.fill(0);
          if (back) this.exchange(table, values, k, stride, chunk, write, true);
          for (let b = 0; b < signs.length; b++) {
            const sign = signs[b][term];
            for (let t = 0; t < mixes * lanes; t++) {
              const f = sums + (t - t % lanes) / lanes * size + (2 * b + part) * lanes + t % lanes;
              if (back) F[f] += sign * table[t];
              else table[t] += sign * F[f];
            }
          }
          if (!back) this.exchange(table, values, k, stride, chunk, read, false);
        });
        if (back) sweep();
      }
    }
    return values;
  }
  values() {
    return this.meet(this.groups, this, new Float64Array(this.batch * this.classes), this.classes, false);
  }
  // <peer|psi>: real, imaginary.
  overlaps(peer) { return this.meet(this.peers, peer, new Float64Array(2 * this.batch), 2, false); }
  seedPeer(peer, factors) { this.meet(this.peers, peer, factors, 2, true); }
  seed(slopes) {  // lam from dL/dvalues
    for (let k = 0; k < this.chunks; k++) heap.F.fill(0, this.at(k) + 2 * this.plane, this.at(k + 1));
    this.meet(this.groups, this, slopes, this.classes, true);
  }

  // Adds dL/dweights to the gradient; psi is undone on the way.
  *backward(gradient) {
    const { F, kernels } = heap, { weights } = this, items = this.items.slice(this.first);
    const trained = item => item.parts.filter(part => part.trained), all = items.flatMap(trained);
    for (const { sums, d } of all) F.fill(0, sums, sums + 2 * d * d);
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      for (let k = items.length - 1; k >= 0; k--) {
        for (const { runs: { at, n, run }, offsets, d, sums } of trained(items[k])) {
          kernels.pull(this.at(chunk), at, n, run, offsets, d, this.plane, sums);
        }
        if (k) this.act(items[k], chunk, true);
      }
      yield;
    }
    for (const { sums, rotations, alpha, re, im, angle } of all) {
      const G = F.subarray(sums, sums + 32);  // <lam_r|psi_c>: real, imaginary
      if (rotations) {
        const c = Math.cos(alpha) / 2, s = Math.sin(alpha) / 2, x = G[3] + G[5], y = G[4] - G[2];
        chain(rotations, [c * x - s * y, s * x + c * y, (G[1] - G[7]) / 2], weights, gradient);
      } else {
        const sum = re.reduce((total, v, e) => total + v * G[2 * e + 1] + im[e] * G[2 * e], 0);
        gradient[angle[0]] -= (angle[1] ?? 1) * sum;
      }
    }
  }

  // Expectation values of many samples, as many at a time as there is room for.
  *expectation(weights, inputs, rows = inputs.all) {
    const piece = inputs.rank ? rows.length : this.capacity * this.lanes, out = [];
    this.setWeights(weights);
    for (let k = 0; k < rows.length; k += piece) {
      this.load(inputs, rows.slice(k, k + piece));
      yield* this.forward();
      out.push(...this.values());
    }
    return out;
  }
}

// --- Losses: (what is wanted ..., logits, classes, settings) -> values [batch], slopes [batch * classes] -

function logSoftened(logits, classes, T = 1) {
  const out = new Float64Array(logits).map(z => z / T);
  for (let b = 0; b < out.length; b += classes) {
    let top = -Infinity, sum = 0;
    for (let i = b; i < b + classes; i++) top = Math.max(top, out[i]);
    for (let i = b; i < b + classes; i++) sum += Math.exp(out[i] - top);
    for (let i = b; i < b + classes; i++) out[i] -= top + Math.log(sum);
  }
  return out;
}
// value(i): what entry i adds to its row's value; slope(i, value of the row).
function perRow({ length }, classes, value, slope) {
  const values = new Float64Array(length / classes), slopes = new Float64Array(length);
  for (let i = 0; i < length; i++) values[Math.floor(i / classes)] += value(i);
  for (let i = 0; i < length; i++) slopes[i] = slope(i, values[Math.floor(i / classes)]);
  return { values, slopes };
}
const losses = {
  crossEntropy(targets, logits, classes) {  // targets: probabilities
    const log = logSoftened(logits, classes), { exp } = Math;
    return perRow(logits, classes, i => -targets[i] * log[i], i => exp(log[i]) - targets[i]);
  },
  // KL(teacher || student) of the softened distributions; reverse: KL(student || teacher).
  divergence(teacher, logits, classes, T = 1, reverse = false) {
    const t = logSoftened(teacher, classes, T), s = logSoftened(logits, classes, T), { exp } = Math;
    if (!reverse) return perRow(logits, classes, i => exp(t[i]) * (t[i] - s[i]), i => (exp(s[i]) - exp(t[i])) / T);
    const slope = (i, value) => exp(s[i]) * (s[i] - t[i] - value) / T;
    return perRow(logits, classes, i => exp(s[i]) * (s[i] - t[i]), slope);
  },
  // What of KL(teacher || student) knows the teacher: linear in the logits.
  pull(teacher, logits, classes, T = 1) {
    const t = logSoftened(teacher, classes, T), weight = i => (Math.exp(t[i]) - 1 / classes) / T;
    return perRow(logits, classes, i => -weight(i) * logits[i], i => -weight(i));
  },
  // Eq. 7: alpha T^2 KL + (1 - alpha) CE.
  distillation(teacher, targets, logits, classes, { temperature: T, alpha, reverse, pull }) {
    const soft = losses[pull ? "pull" : "divergence"](teacher, logits, classes, T, reverse);
    const hard = losses.crossEntropy(targets, logits, classes);
    const mix = name => soft[name].map((v, i) => alpha * T * T * v + (1 - alpha) * hard[name][i]);
    return { values: mix("values"), slopes: mix("slopes") };
  },
  // 1 - mean |<peer|own>|^2 of states that Programs hold; its slope by own's is sum slopes[j] peer_j, complex.
  infidelity(own, peers) {
    const slopes = peers.map(peer => own.overlaps(peer)), values = new Float64Array(own.batch).fill(1);
    for (const overlap of slopes) {
      overlap.forEach((v, i) => {
        values[i >> 1] -= v * v / peers.length;
        overlap[i] = -2 / peers.length * v;
      });
    }
    return { values, slopes };
  },
};

// What a student is told instead of the teacher's logits [samples * classes]: the controls of a distillation.
const teachers = {
  given: said => said,
  uniform: said => said.map(() => 0),
  constant(said, C) {
    const means = range(C, c => average(said.filter((_, i) => i % C === c)));
    return said.map((_, i) => means[i % C]);
  },
  shuffled: (said, C, order) => gather(said, order, C),
  decisions(said, C) {
    const rows = range(said.length / C, b => [...said.slice(b * C, b * C + C)]);
    const tops = rows.map(row => Math.max(...row));
    const margin = average(rows.map((row, b) => tops[b] - (C * average(row) - tops[b]) / (C - 1)));
    return rows.flatMap((row, b) => row.map((_, c) => c === row.indexOf(tops[b]) ? margin : 0));
  },
};

// --- Training ------------------------------------------------------------------------------------------------

// A training, all entries but the first three optional:
//   model, inputs, labels         see declaration.py; the loss is cross-entropy, or with a teacher Eq. 7
//   watch                         { name: { inputs, labels } }: what the page wants the logits of; an
//                                 entry without inputs watches the training's own
//   every                         steps between two points of the trace: all that is watched, graded
//   steps, batch, rate, seed      rate: by default 0.05, times 0.9 every 50 steps; a number stays as it
//                                 is, or decays where `decay` says so
//   weights, orders               initial ones [students][weights]; orders of the rows [epochs][samples]
//   condition                     { teacher, temperature, alpha, reverse, pull, scale, smoothing, budget, order }
//   teacher                       { logits }, or { training: what differs from its student's }; `shots`: each
//                                 expectation value, a logit / `scale`, is the mean of so many outcomes
//   students, pull                how many; { kind: "kl" or "infidelity", weight, warm_up, temperature }
//   spread                        students start that near: normal around a common start (rad)
//   measured                      one student's expectation values, also at weights shifted by pi/2, are the
//                                 means of so many outcomes
//   shards, shared                rows of each student [students][rows]; inputs that all meet on, or true: their own
//   seeds, conditions             20 seeds: each condition from each of so many initialisations
// Messages: "progress", "result" (of a seed and a condition) and "done" hold step, steps, and for every student
// weights, losses, distances, watch: { name: { logits, accuracy, loss, entropy, vote } }; trace: of every point
// { step, watch } without the logits; said: what the teacher said. "stopped"; "error" holds message and
// reason: "input", "memory" (and fits), "diverged" (and step, weights), "failed".

const gather = (values, rows, C) =>
  new Float64Array(rows.length * C).map((_, i) => values[rows[Math.floor(i / C)] * C + i % C]);

// Rows of one batch after the other: epochs that were given, then some of our own.
function* batches(n, size, epochs, draw) {
  for (let k = 0; ; k++) {
    const order = epochs?.[k] ?? permutation(n, draw);
    for (let first = 0; first < n; first += size) yield order.slice(first, first + size);
  }
}

const RULES = {
  "a positive integer": [v => Number.isInteger(v) && v > 0, "steps", "batch", "students", "seeds", "budget", "shots", "every", "measured"],
  "a positive number": [v => v > 0 && v < Infinity, "rate", "temperature", "scale"],
  "a number in [0, 1]": [v => v >= 0 && v <= 1, "alpha", "smoothing"],
  "at least 0": [v => v >= 0 && v < Infinity, "seed", "weight", "warm_up", "spread"],
};
function check(settings) {
  for (const [wanted, [good, ...names]] of Object.entries(RULES)) {
    for (const name of names) {
      const value = settings[name];
      must(value == null || good(value), name, wanted, value);
    }
  }
}

// Memory and circuits for a training, and for its teacher's if that is trained here.
function* setUp(given) {
  const conditions = given.conditions || [given.condition || {}];
  const spec = { steps: 50, batch: 64, students: 1, seed: 0, pull: {}, watch: {}, ...given, conditions };
  [spec, spec.pull, spec.teacher || {}, ...conditions].forEach(check);
  const { model, students, inputs, watch, shared } = spec;
  const others = Object.fromEntries(Object.entries(watch).filter(([, one]) => one.inputs));
  const named = { inputs, ...others, ...shared && shared !== true && { shared } }, sets = {};
  const sum = (total, set) => total + 2 * set.stored;
  for (const name in named) sets[name] = new Inputs(name, named[name].inputs || named[name], model);
  if (shared === true) sets.shared = sets.inputs;
  const all = [...new Set(Object.values(sets))], rank = Math.max(...all.map(set => set.rank));
  const lanes = Math.min(spec.batch, Math.max(...all.map(set => set.samples)));
  const size = n => heap.top + 2 ** n * (4 * (rank || lanes + 16) * students + all.reduce(sum, 64));
  let n = model.qubits;
  while (n && !heap.room(size(n))) n--;
  if (n < model.qubits) {
    const needed = `${model.qubits} qubits take ${Math.ceil(size(model.qubits) / 2 ** 18)} MB`;
    refuse("memory", `${needed}, more than there is; ${n} would fit`, { fits: n });
  }
  const programs = range(students, () => new Program(model, lanes, rank)), other = spec.teacher?.training;
  for (const set of all) yield* programs[0].encode(set);
  // A teacher that is trained here has its student's settings, but for its own.
  const own = { seed: spec.seed + 1000, teacher: null, weights: null, watch: {}, students: 1, pull: {} };
  const alone = { ...given, ...own, condition: {}, conditions: null, ...other };
  return { spec, sets, programs, teacher: other && (yield* setUp(alone)) };
}

// A training of one student, or of several that pull at each other. Yields now and then: nothing, or a report.
function* run(setup, condition, nth = 0, quiet = false) {
  const { spec, sets, programs, teacher } = setup, { model, shards, pull, rate, labels, every } = spec;
  const { temperature = 1, alpha = 0, reverse, pull: bare, scale: factor = 1, smoothing = 0, budget = 1 } = condition;
  const K = programs.length, C = model.classes, { samples } = sets.inputs;
  const seed = spec.seed + nth, scale = model.scale * factor, steps = spec.steps * budget;

  // What is wanted
  let said = null;
  if (condition.teacher) {
    if (teacher && teacher.nth !== nth) {
      const { weights: [w] } = yield* run(teacher, teacher.spec.conditions[0], nth, true);
      const heard = yield* teacher.programs[0].expectation(w, teacher.sets.inputs);
      Object.assign(teacher, { nth, said: heard.map(v => v * teacher.spec.model.scale) });
    }
    said = teacher ? teacher.said : decode("teacher", spec.teacher?.logits).values;
    must(said.length === samples * C, "teacher", `${samples} rows of ${C} logits`, said.length);
    if (spec.teacher.shots) said = counted(said, spec.teacher, generator(seed, 5));
    must(teachers[condition.teacher], "teacher", "one of " + Object.keys(teachers), condition.teacher);
    said = teachers[condition.teacher](said, C, condition.order || permutation(samples, generator(seed, 1)));
  }
  const right = labels?.length === samples && labels.every(v => Number.isInteger(v) && v >= 0 && v < C);
  must(right, "labels", `${samples} integers below ${C}`, labels);
  const targets = labels.flatMap(label => range(C, c => smoothing / C + (c === label ? 1 - smoothing : 0)));
  const loss = (logits, rows) => {
    const wanted = gather(targets, rows, C), settings = { temperature, alpha, reverse, pull: bare };
    if (said) return losses.distillation(gather(said, rows, C), wanted, logits, C, settings);
    return losses.crossEntropy(wanted, logits, C);
  };

  // Where it starts, and in what order it goes
  const weights = range(K, k => {
    const near = spec.spread != null, own = generator(seed, 6, k);
    const draw = generator(seed, 2, near ? 0 : k), given = !nth && spec.weights?.[k];
    must(!given || given.length === model.weights, "weights", `${model.weights} numbers`, given?.length);
    const start = () => 2 * Math.PI * draw() + (near && spec.spread * normal(own));
    return Float64Array.from(given || range(model.weights, start));
  });
  const moments = weights.map(w => [w.map(() => 0), w.map(() => 0)]);
  const history = range(K, () => []), distances = range(K, () => []), trace = [];
  const rowsOf = (n, epochs, stream) => batches(n, spec.batch, epochs, generator(seed, stream));
  const orders = range(K, k => rowsOf(shards?.[k].length ?? samples, spec.orders, 3));
  const common = sets.shared && rowsOf(sets.shared.samples, spec.shared_orders, 4);

  // Through a batch and back; `learns` from labels, is pulled at with `force`, or both.
  function* pass(set, rows, learns, force, gradients) {
    for (let k = 0; k < K; k++) { programs[k].load(set, rows[k]); yield* programs[k].forward(); }
    const logits = programs.map(program => program.values().map(v => v * scale));
    for (let k = 0; k < K; k++) {
      const program = programs[k], others = range(K).filter(j => j !== k), size = rows[k].length;
      const slopes = new Float64Array(size * C);
      const add = (found, weight) => found.slopes.forEach((v, i) => { slopes[i] += weight * scale / size * v; });
      if (learns) {
        const found = loss(logits[k], rows[k]);
        history[k].push(average(found.values));
        add(found, 1);
      }
      if (force && pull.kind === "kl") {
        const T = pull.temperature ?? 1, logs = others.map(j => logSoftened(logits[j], C, T));
        const mean = slopes.map((_, i) => average(logs.map(log => Math.exp(log[i]))));
        const said = mean.map(p => T * Math.log(Math.max(p, 1e-300)));
        const found = losses.divergence(said, logits[k], C, T);
        distances[k].push(T * T * average(found.values));
        add(found, force * T * T);
      }
      program.seed(slopes);
      if (force && pull.kind === "infidelity") {
        const found = losses.infidelity(program, others.map(j => programs[j]));
        distances[k].push(average(found.values));
        found.slopes.forEach((slope, j) => {
          program.seedPeer(programs[others[j]], slope.map(v => v * force / size));
        });
      }
    }
    for (let k = 0; k < K; k++) yield* programs[k].backward(gradients[k]);
  }

  // A batch of one student as a device does it: 2 P + 1 circuits, each with so many shots.
  const luck = generator(seed, 7);
  function* measure(set, rows, gradient) {
    const [program] = programs, [w] = weights, size = rows.length;
    const at = function* (own) {
      program.setWeights(own);
      program.load(set, rows);
      yield* program.forward();
      return counted(program.values(), { shots: spec.measured }, luck);
    };
    const found = loss((yield* at(w)).map(v => v * scale), rows);
    history[0].push(average(found.values));
    for (let k = 0; k < w.length; k++) {
      const shifted = sign => w.map((v, i) => v + (i === k && sign * Math.PI / 2));
      const plus = yield* at(shifted(1)), minus = yield* at(shifted(-1));
      found.slopes.forEach((v, i) => { gradient[k] += scale / size * v * (plus[i] - minus[i]) / 2; });
    }
  }

  function* look(only = () => true) {
    const watch = {};
    for (const name in spec.watch) {
      const logits = [], one = spec.watch[name].inputs ? spec.watch[name] : spec;
      if (!only(one)) continue;
      for (let k = 0; k < K; k++) {
        const values = yield* programs[k].expectation(weights[k], sets[one === spec ? "inputs" : name]);
        logits.push(values.map(v => v * model.scale));
      }
      watch[name] = { logits, ...one.labels && grade(logits, one.labels, C) };
    }
    return watch;
  }
  function* report(type, step) {
    const watch = yield* look(), own = weights.map(w => w.slice());
    return { type, step, steps, weights: own, losses: history, distances, watch, trace, said };
  }
  function* mark(step) {
    if (!every || step % every) return;
    const watch = yield* look(one => one !== spec && one.labels);
    for (const name in watch) delete watch[name].logits;
    trace.push({ step, watch });
  }

  yield* mark(0);
  for (let step = 0, due = clock() + EVERY; step < steps; step++) {
    const rows = orders.map((order, k) => order.next().value.map(i => shards ? shards[k][i] : i));
    const met = common?.next().value;
    const gradients = weights.map(w => w.map(() => 0)), before = weights.map(w => w.slice());
    const force = K > 1 && pull.weight && pull.weight * (pull.warm_up ? Math.min(1, step / pull.warm_up) : 1);
    programs.forEach((program, k) => program.setWeights(weights[k]));
    if (common && force) yield* pass(sets.shared, range(K, () => met), false, force, gradients);
    if (spec.measured) yield* measure(sets.inputs, rows[0], gradients[0]);
    else yield* pass(sets.inputs, rows, true, !common && force, gradients);
    const first = 1 - 0.9 ** (step + 1), second = 1 - 0.999 ** (step + 1);
    const pace = (rate ?? 0.05) * (rate == null || spec.decay ? 0.9 ** Math.floor(step / 50) : 1);
    weights.forEach((w, k) => gradients[k].forEach((g, i) => {  // Adam
      const [mean, square] = moments[k];
      mean[i] += 0.1 * (g - mean[i]); square[i] += 0.001 * (g * g - square[i]);
      w[i] -= pace * mean[i] / first / (Math.sqrt(square[i] / second) + 1e-7);
    }));
    if (!weights.every((w, k) => Number.isFinite(history[k].at(-1)) && w.every(Number.isFinite))) {
      refuse("diverged", `the training diverged at step ${step + 1}`, { step, weights: before });
    }
    yield* mark(step + 1);
    const now = clock();
    if (!quiet && now > due) {
      yield yield* report("progress", step + 1);
      due = clock() + Math.max(EVERY, 3 * (clock() - now));
    }
  }
  return yield* report("done", steps);
}

// What so many shots show of logits, each of them `scale` times the mean of outcomes +1 and -1.
function counted(logits, { shots, scale = 1 }, draw) {
  return logits.map(z => {
    const share = Math.min(Math.max((1 + z / scale) / 2, 0), 1);
    let ups = 0;
    if (shots > 500) {
      ups = shots * share + Math.sqrt(shots * share * (1 - share)) * normal(draw);
      ups = Math.min(Math.max(Math.round(ups), 0), shots);
    } else for (let k = 0; k < shots; k++) ups += draw() < share;
    return scale * (2 * ups / shots - 1);
  });
}

// Numbers beside a curve: of every student accuracy, cross-entropy, mean entropy of the probabilities; and
// the accuracy of their mean probabilities.
function grade(logits, labels, C) {
  const logs = logits.map(z => logSoftened(z, C));
  const mean = f => logs.map(log => average(labels.map((label, b) => f(log.subarray(b * C, b * C + C), label))));
  return {
    accuracy: mean((log, label) => +(log.indexOf(Math.max(...log)) === label)),
    loss: mean((log, label) => -log[label]),
    entropy: mean(log => -log.reduce((sum, v) => sum + v * Math.exp(v), 0)),
    vote: average(labels.map((label, b) => {
      const sums = range(C, c => average(logs.map(log => Math.exp(log[b * C + c]))));
      return +(sums.indexOf(Math.max(...sums)) === label);
    })),
  };
}

// One training; or, with `seeds`, one from each of so many initialisations under each of the `conditions`.
function* train(given) {
  heap.top = BOTTOM;
  const setup = yield* setUp(given), { conditions, seeds } = setup.spec;
  if (!seeds) return yield* run(setup, conditions[0]);
  for (let nth = 0; nth < seeds; nth++) {
    for (let c = 0; c < conditions.length; c++) {
      yield { ...yield* run(setup, conditions[c], nth, true), type: "result", seed: nth, condition: c };
    }
  }
  return { type: "done" };
}

// --- In a Worker, or in slices on the page's own thread ------------------------------------------------------

// Answers { start: id, training } and { stop: id } through `post`: one training at a time, `slice` ms each.
function serve(post, slice) {
  const jobs = [];
  let due = false;
  const soon = () => { if (jobs.length && !due) { due = true; setTimeout(go); } };
  function go() {
    const [job] = jobs, end = clock() + slice, over = message => { jobs.shift(); post(message); };
    due = false;
    try {
      while (job && jobs[0] === job && clock() < end) {
        const { value, done } = (job.work ??= train(job.training)).next();
        if (value) (done ? over : post)({ ...value, id: job.start });
      }
    } catch (error) {
      const { reason = "failed", message } = error;
      over({ ...error, id: job.start, type: "error", reason, message });
    }
    soon();
  }
  return message => {
    const at = jobs.findIndex(job => job.start === message.stop);
    if (message.training) jobs.push(message);
    if (at >= 0) { jobs.splice(at, 1); post({ id: message.stop, type: "stopped" }); }
    soon();
  };
}

// handlers: progress, result, done, stopped, error. A page's trainings take turns.
const pending = new Map();
let ask = null;
function hear(message) {
  const { handlers } = pending.get(message.id) || {};
  if (["done", "stopped", "error"].includes(message.type)) pending.delete(message.id);
  handlers?.[message.type]?.(message);
}
function open() {
  const stay = () => {
    engine.where = "page";
    ask = serve(hear, 12);
    for (const job of pending.values()) ask(job.message);
  };
  try {
    if (!mayWork) throw 0;
    const text = `const engine = (${qkdEngine})(${JSON.stringify(wasm)}, { memory: ${LIMIT} });
      const answer = engine.serve(message => postMessage(message), 40);
      onmessage = message => answer(message.data);`;
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    worker.onmessage = message => hear(message.data);
    worker.onerror = event => { event.preventDefault(); stay(); };
    ask = message => worker.postMessage(message);
    engine.where = "worker";
  } catch { stay(); }
}
function start(training, handlers) {
  const id = ++engine.started, message = { start: id, training };
  if (!ask) open();
  pending.set(id, { message, handlers });
  ask(message);
  return { stop: () => ask({ stop: id }) };
}

const kernels = heap.kernels === plainKernels ? "JavaScript" : "WebAssembly";
const engine = {
  start, train, serve, losses, teachers, Program, Inputs, heap, generator, kernels, started: 0, where: null,
};
return engine;
}
