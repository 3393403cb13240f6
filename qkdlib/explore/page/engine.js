// Trains small quantum circuits in the page itself: no server, no kernel, no dependency.
//
// declaration.py writes what it reads; tests hold it to the Python engine. A chunk of samples is one array
// [psi real, psi imaginary, lam real, lam imaginary][2^n amplitudes][samples], float32, where
// lam = dL/dRe psi + i dL/dIm psi goes back through the circuit beside psi: adjoint differentiation.
//
//   const engine = qkdEngine(kernels)    // kernels.wasm in base64, or "" for plain JavaScript
//   engine.start(training, handlers)     // in a Worker where there may be one; returns { stop() }
//   engine.train(training)               // the same as a generator, for whoever has a loop of his own

function qkdEngine(wasm, { memory: LIMIT = 2 ** 29, worker: mayWork = true } = {}) {
const CHUNK = 16;  // samples: psi and lam of 7 qubits then stay in the first cache
const clock = () => performance.now(), isList = Array.isArray;
const average = values => values.reduce((a, b) => a + b, 0) / values.length;
const range = (n, f = i => i) => Array.from({ length: n }, (_, i) => f(i));

function refuse(reason, message, more) { throw Object.assign(new Error(message), { reason, ...more }); }
function must(good, name, wanted, got) {
  if (!good) refuse("input", `${name} must be ${wanted}, got ${JSON.stringify(got)}`);
}

// --- Sweeps over the states --------------------------------------------------------------------------
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
    for (let p = 0; p < pairs; p++) {
      for (let a = 0; a < rows; a++) {
        const c = F[table + a], d = sign * F[table + rows + a];
        if (c !== 1 || d) this.rotate1(x + 2 * p * plane + a * lanes, ZERO, 1, lanes, plane, c, d);
      }
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
          let j = x + I[starts + g] + I[offsets + c], i = j - I[offsets + c] + I[offsets + r] + 2 * plane;
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
      let i = x + a * lanes, b = sums + 2 * lanes * I[buckets + a], j = y + (a ^ flip) * lanes + Math.max(lane, 0);
      for (const end = i + lanes; i < end; i++, b++, j += lane < 0 ? 1 : 0) {
        const u = F[j], v = F[j + plane], p = back ? F[b] : F[i], q = back ? F[b + lanes] : -F[i + plane];
        const re = p * u - q * v, im = p * v + q * u;
        if (back) { F[i] += re; F[i + plane] += im; } else { F[b] += re; F[b + lanes] += im; }
      }
    }
  },
};

// One memory for all arrays; every training begins at its bottom.
const ZERO = 32, BOTTOM = 48;
const heap = {
  top: BOTTOM, F: new Float32Array(BOTTOM), kernels: plainKernels, memory: null,
  room(floats) {  // whether there is room for so many
    if (4 * floats > LIMIT) return false;
    if (floats <= this.F.length) return true;
    const wanted = Math.min(LIMIT / 4, Math.max(floats, 2 * this.F.length)), old = this.F;
    try {
      if (this.memory) this.memory.grow(Math.ceil((4 * wanted - old.byteLength) / 65536));
      this.F = new Float32Array(this.memory ? this.memory.buffer : wanted);
    } catch { return false; }
    if (!this.memory) this.F.set(old);
    this.I = new Int32Array(this.F.buffer);
    return true;
  },
  take(n) {
    const at = this.top;
    this.top += n + 15 & ~15;
    if (!this.room(this.top)) refuse("memory", "the training takes more memory than there is");
    return at;
  },
  put(integers) { const at = this.take(integers.length); this.I.set(integers, at); return at; },
};
try {
  const module = wasm && new WebAssembly.Module(Uint8Array.from(atob(wasm), c => c.charCodeAt(0)));
  const memory = module && new WebAssembly.Memory({ initial: 1, maximum: Math.ceil(LIMIT / 65536) });
  if (module) Object.assign(heap, { kernels: new WebAssembly.Instance(module, { env: { memory } }).exports, memory });
} catch { /* refused: the plain kernels do it */ }
if (heap.memory) heap.F = new Float32Array(heap.memory.buffer);
heap.I = new Int32Array(heap.F.buffer);

// --- Numbers --------------------------------------------------------------------------------------------

const half = h => (h >> 15 ? -1 : 1) * (h >> 10 & 31 ? (1024 + (h & 1023)) * 2 ** ((h >> 10 & 31) - 25) : (h & 1023) * 2 ** -24);

// An array [rows][columns]: nested lists, or base64 of float32, float16 or bytes.
function decode(name, array) {
  if (isList(array)) {
    const values = Float64Array.from(array.flat()), columns = values.length / array.length;
    must(values.length && values.every(Number.isFinite), name, "rows of numbers", array[0]);
    return { rows: array.length, columns, values };
  }
  must(array?.data, name, "an array", array);
  const { shape: [rows, columns], type, data, scale = 1, shift = 0 } = array;
  const { buffer } = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const raw = type === "u1" ? new Uint8Array(buffer) : type === "f4" ? new Float32Array(buffer) : new Uint16Array(buffer);
  return { rows, columns, values: Float32Array.from(raw, v => scale * (type === "f2" ? half(v) : v) + shift) };
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
function permutation(n, draw) {
  const order = range(n);
  for (let i = n - 1; i > 0; i--) { const j = Math.floor((i + 1) * draw()); [order[i], order[j]] = [order[j], order[i]]; }
  return order;
}

// --- The circuit ------------------------------------------------------------------------------------------

const AXES = { x: [1, 0, 0], y: [0, 1, 0], z: [0, 0, 1] };
// An angle is a number, or [symbol, scale, shift].
const angleAt = (angle, values) => isList(angle) ? (angle[1] ?? 1) * values[angle[0]] + (angle[2] ?? 0) : angle;

// A block, rotations of one qubit, is Rz(alpha) Ry(beta) Rz(gamma): their product, a quaternion, taken apart.
function settle(block, weights) {
  let w = 1, x = 0, y = 0, z = 0;
  for (const { axis, angle } of block.rotations) {
    const half = angleAt(angle, weights) / 2, c = Math.cos(half), s = Math.sin(half), [p, q, r] = [s * axis[0], s * axis[1], s * axis[2]];
    [w, x, y, z] = [c * w - p * x - q * y - r * z, c * x + p * w + q * z - r * y,
      c * y + q * w + r * x - p * z, c * z + r * w + p * y - q * x];
  }
  const sum = Math.atan2(z, w), difference = Math.atan2(-x, y);
  if (block.real) { block.cos = w; block.sin = y; return; }
  block.cos = Math.hypot(w, z); block.sin = Math.hypot(x, y);
  block.alpha = sum + difference; block.gamma = sum - difference;
}

// Derivatives of its angles from v = Im<lam|sigma|psi> / 2 behind it: undo one rotation after the other.
function chain(rotations, [x, y, z], weights, gradient) {
  for (let k = rotations.length - 1; k >= 0; k--) {
    const { axis: [p, q, r], angle } = rotations[k], along = p * x + q * y + r * z;
    if (isList(angle)) gradient[angle[0]] += (angle[1] ?? 1) * along;
    const theta = angleAt(angle, weights), c = Math.cos(theta), s = -Math.sin(theta), rest = along * (1 - c);
    [x, y, z] = [c * x + s * (q * z - r * y) + rest * p, c * y + s * (r * x - p * z) + rest * q, c * z + s * (p * y - q * x) + rest * r];
  }
}

// Samples: angles, a row each; states, a row of amplitudes each, any length; or coefficients of a basis of states.
class Inputs {
  constructor(name, { angles, states, imaginary, coefficients }, model) {
    const main = decode(name, angles || states), size = 2 ** model.qubits;
    must(angles ? main.columns === model.data : !model.data && main.columns <= size, name,
      model.data ? `rows of ${model.data} angles` : `rows of up to ${size} amplitudes`, `${main.columns} columns`);
    const given = coefficients && decode(name, coefficients);
    Object.assign(this, { name, main, angles: angles && main.values, imaginary: imaginary && decode(name, imaginary) });
    Object.assign(this, { stored: main.rows, samples: given?.rows ?? main.rows, rank: given?.columns ?? 0, coefficients: given?.values });
    this.all = range(this.samples);
    this.basis = range(this.rank);
  }
  write(rows) {  // initial states into memory, [stored][real, imaginary][2^n], of norm 1
    const { main: { columns, values }, imaginary } = this, at = this.at = heap.take(2 * rows * this.stored), { F } = heap;
    for (let k = 0; k < this.stored; k++) {
      const state = F.subarray(at + 2 * rows * k, at + 2 * rows * (k + 1)).fill(0), row = [columns * k, columns * (k + 1)];
      if (this.angles) { state[0] = 1; continue; }
      state.set(values.subarray(...row));
      if (imaginary) state.set(imaginary.values.subarray(...row), rows);
      const norm = Math.sqrt(state.reduce((sum, v) => sum + v * v, 0));
      must(norm > 0, this.name, "rows that are not all zero", `zeros in row ${k}`);
      state.forEach((v, i) => { state[i] = v / norm; });
    }
  }
}

// A model's circuit with room for a batch: `lanes` samples at once, or a basis of `rank` states.
class Program {
  constructor(model, lanes, rank = 0) {
    this.lanes = (rank || Math.ceil(lanes / Math.ceil(lanes / CHUNK))) + 3 & ~3;
    Object.assign(this, { model, rows: 1 << model.qubits, classes: model.classes, tables: {}, mixes: rank ? this.lanes : 1, blocks: [] });
    this.plane = this.rows * this.lanes;
    this.capacity = Math.ceil(Math.max(lanes, rank) / this.lanes);
    this.x = heap.take(4 * this.plane * this.capacity);
    this.items = model.items.map(([kind, ...rest]) => ({ kind, ...this[kind](...rest) }));
    for (const item of this.items) item.trained ??= item.ends.some(([, k]) => this.blocks[k].trained);
    const first = this.items.findIndex(item => item.trained);
    this.first = first < 0 ? this.items.length : first;  // what stands before is done once, see `encode`
    this.groups = model.observables.map(group => this.group(...group));
    this.peers = [this.group(0, [[0, 0, 0, 1, 1], [1, 0, 1, -1, 1]])];
    this.setWeights(new Float64Array(model.weights), this.items);
  }

  // Runs of rows whose targets are 0 and whose controls match; what lies below all of them is one run.
  runs(rows, targets, mask = 0, value = 0) {
    const touched = targets | mask, step = touched ? touched & -touched : rows, key = [rows, targets, mask, value];
    if (!this.tables[key]) {
      const starts = range(rows / step, k => k * step).filter(a => !(a & targets) && (a & mask) === value);
      this.tables[key] = { at: heap.put(starts.map(a => a * this.lanes)), n: starts.length, run: step * this.lanes };
    }
    return this.tables[key];
  }
  // Diagonal: constant phases [mask, value, angle], and turns about Z before and behind blocks [bit, number, end].
  turn(parts, ends) { return { parts, ends, table: heap.take(2 * this.rows) }; }
  // Blocks [number, bit, real, [[axis, angle], ...]] on different qubits, up to three of them at a time.
  sweep(list) {
    const blocks = list.map(([k, bit, real, rotations]) => this.blocks[k] = {
      d: 2, bit, real, runs: this.runs(this.rows, bit), sums: heap.take(8), offsets: heap.put([0, bit * this.lanes]),
      trained: rotations.some(r => isList(r[1])), rotations: rotations.map(([axis, angle]) => ({ axis: AXES[axis] || axis, angle })),
    });
    const groups = [];
    for (let k = 0, left = blocks.length; left;) {
      const size = left === 3 || left > 4 ? 3 : Math.min(left, 2), some = blocks.slice(k, k + size);
      groups.push({ some, runs: this.runs(4 * this.rows, some.reduce((a, b) => a | b.bit, 0)), steps: some.map(b => b.bit * this.lanes) });
      k += size; left -= size;
    }
    return { parts: blocks, groups, trained: blocks.some(block => block.trained) };
  }
  // A matrix, or exp(i angle K) with K^3 = K, on target bits of the rows where `mask` is `value`.
  gate(bits, mask, value, name, angle) {
    const d = 1 << bits.length, [re, im = re.map(() => 0)] = this.model.matrices[name], size = 2 * d * d * this.lanes;
    const data = angle?.[0] >= this.model.weights, targets = bits.reduce((a, b) => a | b, 0);
    const rows = range(d, k => bits.reduce((row, bit, b) => row | (k >> bits.length - 1 - b & 1 && bit), 0));
    const gate = {
      d, re, im, angle, size, data, trained: isList(angle) && !data, sums: heap.take(2 * d * d), runs: this.runs(this.rows, targets, mask, value),
      offsets: heap.put(rows.map(a => a * this.lanes)), matrices: heap.take(2 * size * (data ? this.capacity : 1)),  // gate, inverse
    };
    return { ...gate, parts: [gate] };
  }
  // Pauli strings [observable, signs, part, read, write] that flip the same bits share a sweep; rows where their
  // signs agree share a bucket.
  group(flips, terms) {
    const seen = {}, signs = [], parity = v => { for (let k = 16; k; k >>= 1) v ^= v >> k; return v & 1; };
    const buckets = range(this.rows, a => {
      const odd = terms.map(([, mask]) => parity((a ^ flips) & mask));
      return seen[odd] ??= signs.push(odd.map(o => 1 - 2 * o)) - 1;
    }), size = 2 * this.lanes * signs.length;
    return { flips, terms, signs, size, buckets: heap.put(buckets), sums: heap.take(this.mixes * size) };
  }

  setWeights(weights, items = this.items.filter(item => item.trained)) {
    const { F } = heap, { rows, lanes } = this;
    this.weights = weights;
    for (const block of this.blocks) settle(block, weights);
    for (const item of items) {
      if (item.kind === "turn") {
        const re = new Float64Array(rows).fill(1), im = new Float64Array(rows);
        for (const [mask, value, angle] of [...item.parts, ...item.ends.map(([bit, k, end]) => [bit, bit, this.blocks[k][end]])]) {
          const c = Math.cos(angle), s = Math.sin(angle);
          for (let a = 0; a < rows; a++) {
            if ((a & mask) !== value) continue;
            const u = re[a];
            re[a] = c * u - s * im[a]; im[a] = s * u + c * im[a];
          }
        }
        F.set(re, item.table); F.set(im, item.table + rows);
      } else if (item.kind === "gate" && !item.data) {
        for (let l = 0; l < lanes; l++) this.writeGate(item, item.matrices, l, item.angle && angleAt(item.angle, weights));
      }
    }
  }
  writeGate({ d, size, re, im }, at, lane, angle) {
    const { F } = heap, { lanes } = this, c = Math.cos(angle) - 1, s = Math.sin(angle);
    for (let rk = 0; rk < d * d; rk++) {
      const r = Math.floor(rk / d), k = rk % d, e = at + 2 * rk * lanes + lane, inverse = at + size + 2 * (k * d + r) * lanes + lane;
      let u = re[rk], v = im[rk];
      if (angle !== undefined) {  // 1 + (cos - 1) K^2 + i sin K
        [u, v] = [(r === k) - s * v, s * u];
        for (let a = r * d, b = k; b < d * d; a++, b += d) { u += c * (re[a] * re[b] - im[a] * im[b]); v += c * (re[a] * im[b] + im[a] * re[b]); }
      }
      F[e] = F[inverse] = u; F[e + lanes] = v; F[inverse + lanes] = -v;
    }
  }

  // Puts samples into the lanes: rows of the inputs, or the basis of inputs of low rank.
  load(inputs, rows, begin = this.first) {
    const { F } = heap, { lanes, plane, model } = this, size = 2 * this.rows, order = inputs.rank ? inputs.basis : rows, from = [];
    Object.assign(this, { inputs, order: rows, batch: rows.length, chunks: Math.ceil(order.length / lanes) });
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const x = this.x + 4 * plane * chunk, here = Math.min(lanes, order.length - chunk * lanes);
      for (let l = 0; l < here; l++) from[l] = inputs.at + size * order[chunk * lanes + l];
      for (let a = 0, to = x; a < size; a++, to += lanes) {
        for (let l = 0; l < here; l++) F[to + l] = F[from[l] + a];
        for (let l = here; l < lanes; l++) F[to + l] = 0;
      }
      for (const item of this.items.slice(begin)) {
        for (let l = 0; item.data && l < here; l++) {
          const [symbol, ...affine] = item.angle, at = order[chunk * lanes + l] * model.data + symbol - model.weights;
          this.writeGate(item, item.matrices + 2 * item.size * chunk, l, angleAt([at, ...affine], inputs.angles));
        }
      }
    }
  }
  // What the circuit does before its first weight, once for all samples.
  *encode(inputs) {
    inputs.write(this.rows);
    const { lanes } = this, piece = inputs.rank || this.capacity * lanes, size = 2 * this.rows;
    for (let k = 0; k < inputs.stored && this.first; k += piece) {
      const rows = range(Math.min(piece, inputs.stored - k), j => k + j), { F } = heap;
      this.load(inputs, rows, 0);
      yield* this.forward(0, this.first);
      rows.forEach((row, j) => {
        const from = this.x + 4 * this.plane * Math.floor(j / lanes) + j % lanes;
        for (let a = 0; a < size; a++) F[inputs.at + size * row + a] = F[from + a * lanes];
      });
    }
  }

  // One item forwards on psi, or (back) its inverse on psi and lam.
  act(item, x, chunk, back) {
    const { kernels } = heap, { rows, lanes, plane } = this, sign = back ? -1 : 1;
    if (item.kind === "turn") kernels.turn(x, back ? 2 : 1, rows, lanes, item.table, sign);
    else if (item.kind === "sweep") {
      for (const { some, runs: { at, n, run }, steps } of item.groups) {
        const numbers = some.flatMap(block => [block.cos, sign * block.sin]);
        kernels["rotate" + some.length](x, at, back ? n : n / 2, run, ...steps, ...numbers);
      }
    } else {
      const { runs: { at, n, run }, offsets, d, size, data } = item, matrix = item.matrices + (data ? 2 * size * chunk : 0) + (back ? size : 0);
      for (let p = back ? 2 : 0; p >= 0; p -= 2) kernels.apply(x + p * plane, at, n, run, lanes, offsets, d, matrix, plane);
    }
  }
  *forward(begin = this.first, end = this.items.length) {
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      for (let k = begin; k < end; k++) this.act(this.items[k], this.x + 4 * this.plane * chunk, chunk, false);
      yield;
    }
  }

  // Sums over the lanes, table[mixes][lanes], to samples, values[batch * stride], or back. A sample of low rank
  // is psi_b = sum_i c_bi psi_i, and what is quadratic in it a sum over pairs.
  exchange(table, values, at, stride, chunk, factor, back) {
    const { lanes, batch, order, inputs: { rank, coefficients: c } } = this;
    for (let b = rank ? 0 : chunk * lanes, l = 0; b < batch && (rank || l < lanes); b++, l++) {
      const v = b * stride + at;
      if (!rank && back) table[l] += factor * values[v];
      if (!rank && !back) values[v] += factor * table[l];
      for (let i = 0, from = order[b] * rank; i < rank; i++) {
        for (let j = 0, t = i * lanes; j < rank; j++, t++) {
          const weight = factor * c[from + i] * c[from + j];
          if (back) table[t] += weight * values[v];
          else values[v] += weight * table[t];
        }
      }
    }
  }
  // values += what terms say of the states, <psi| . |peer>; or (back) lam += the terms on the peer's states.
  meet(groups, peer, values, stride, back) {
    const { F, kernels } = heap, { rows, lanes, plane, mixes, inputs: { rank } } = this, table = new Float64Array(mixes * lanes);
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const at = 4 * plane * chunk;
      for (const { flips, terms, signs, size, buckets, sums } of groups) {
        const sweep = i => kernels.meet(this.x + at + (back ? 2 * plane : 0), peer.x + at, rows, lanes, flips, rank ? i : -1, buckets, sums + i * size, back);
        F.fill(0, sums, sums + mixes * size);
        for (let i = 0; !back && i < (rank || 1); i++) sweep(i);
        terms.forEach(([k, , part, read, write], term) => {
          table.fill(0);
          if (back) this.exchange(table, values, k, stride, chunk, write, back);
          for (let t = 0; t < mixes * lanes; t++) {
            const first = sums + Math.floor(t / lanes) * size + part * lanes + t % lanes;
            for (let b = 0; b < signs.length; b++) {
              if (back) F[first + 2 * b * lanes] += signs[b][term] * table[t];
              else table[t] += signs[b][term] * F[first + 2 * b * lanes];
            }
          }
          if (!back) this.exchange(table, values, k, stride, chunk, read, back);
        });
        for (let i = 0; back && i < (rank || 1); i++) sweep(i);
      }
    }
    return values;
  }
  values() { return this.meet(this.groups, this, new Float64Array(this.batch * this.classes), this.classes, false); }
  overlaps(peer) { return this.meet(this.peers, peer, new Float64Array(2 * this.batch), 2, false); }  // <peer|psi>
  seedPeer(peer, factors) { this.meet(this.peers, peer, factors, 2, true); }
  seed(slopes) {  // lam from dL/dvalues
    for (let x = this.x, k = 0; k < this.chunks; k++, x += 4 * this.plane) heap.F.fill(0, x + 2 * this.plane, x + 4 * this.plane);
    this.meet(this.groups, this, slopes, this.classes, true);
  }

  // Adds dL/dweights to the gradient; psi is undone on the way.
  *backward(gradient) {
    const { F, kernels } = heap, { lanes, plane, weights } = this, items = this.items.slice(this.first);
    const trained = item => item.kind === "turn" ? [] : item.parts.filter(part => part.trained);
    for (const { sums, d } of items.flatMap(trained)) F.fill(0, sums, sums + 2 * d * d);
    for (let chunk = 0; chunk < this.chunks; chunk++) {
      const x = this.x + 4 * plane * chunk;
      for (let k = items.length - 1; k >= 0; k--) {
        for (const { runs: { at, n, run }, offsets, d, sums } of trained(items[k])) kernels.pull(x, at, n, run, offsets, d, plane, sums);
        if (k) this.act(items[k], x, chunk, true);
      }
      yield;
    }
    for (const { sums, rotations, alpha = 0, re, im, angle } of items.flatMap(trained)) {
      const G = F.subarray(sums, sums + 32), c = Math.cos(alpha), s = Math.sin(alpha);  // <lam_r|psi_c>: real, imaginary
      if (rotations) {
        const x = (G[3] + G[5]) / 2, y = (G[4] - G[2]) / 2, z = (G[1] - G[7]) / 2;
        chain(rotations, [c * x - s * y, s * x + c * y, z], weights, gradient);
      } else gradient[angle[0]] -= (angle[1] ?? 1) * re.reduce((sum, v, e) => sum + v * G[2 * e + 1] + im[e] * G[2 * e], 0);
    }
  }

  // Expectation values of many samples, as many at a time as there is room for.
  *expectation(weights, inputs, rows = inputs.all) {
    const piece = inputs.rank ? rows.length : this.capacity * this.lanes, out = new Float64Array(rows.length * this.classes);
    this.setWeights(weights);
    for (let k = 0; k < rows.length; k += piece) {
      this.load(inputs, rows.slice(k, k + piece));
      yield* this.forward();
      out.set(this.values(), k * this.classes);
    }
    return out;
  }
}

// --- Losses: (what is wanted ..., logits, classes, settings) -> values [batch], slopes [batch * classes] ----

function logSoftened(logits, classes, T = 1) {
  const out = Float64Array.from(logits, z => z / T);
  for (let b = 0; b < out.length; b += classes) {
    let top = -Infinity, sum = 0;
    for (let i = b; i < b + classes; i++) top = Math.max(top, out[i]);
    for (let i = b; i < b + classes; i++) sum += Math.exp(out[i] - top);
    for (let i = b; i < b + classes; i++) out[i] -= top + Math.log(sum);
  }
  return out;
}
function perRow(logits, classes, row) {
  const values = new Float64Array(logits.length / classes), slopes = new Float64Array(logits.length);
  for (let b = 0; b < values.length; b++) values[b] = row(b * classes, (b + 1) * classes, slopes);
  return { values, slopes };
}
const losses = {
  crossEntropy(targets, logits, classes) {  // targets: probabilities
    const log = logSoftened(logits, classes);
    return perRow(logits, classes, (first, end, slopes) => {
      let value = 0, total = 0;
      for (let i = first; i < end; i++) { value -= targets[i] * log[i]; total += targets[i]; }
      for (let i = first; i < end; i++) slopes[i] = total * Math.exp(log[i]) - targets[i];
      return value;
    });
  },
  // KL(teacher || student) of the softened distributions; reverse: KL(student || teacher).
  divergence(teacher, logits, classes, T = 1, reverse = false) {
    const t = logSoftened(teacher, classes, T), s = logSoftened(logits, classes, T);
    return perRow(logits, classes, (first, end, slopes) => {
      let value = 0;
      for (let i = first; i < end; i++) value += reverse ? Math.exp(s[i]) * (s[i] - t[i]) : Math.exp(t[i]) * (t[i] - s[i]);
      for (let i = first; i < end; i++) {
        slopes[i] = (reverse ? Math.exp(s[i]) * (s[i] - t[i] - value) : Math.exp(s[i]) - Math.exp(t[i])) / T;
      }
      return Math.max(value, 0);
    });
  },
  // Eq. 7: alpha T^2 KL + (1 - alpha) CE.
  distillation(teacher, targets, logits, classes, { temperature: T, alpha, reverse }) {
    const soft = losses.divergence(teacher, logits, classes, T, reverse), hard = losses.crossEntropy(targets, logits, classes);
    const mix = (a, b) => a.map((v, i) => alpha * T * T * v + (1 - alpha) * b[i]);
    return { values: mix(soft.values, hard.values), slopes: mix(soft.slopes, hard.slopes) };
  },
  squaredError(targets, outputs, classes) {
    return perRow(outputs, classes, (first, end, slopes) => {
      let value = 0;
      for (let i = first; i < end; i++) { slopes[i] = 2 * (outputs[i] - targets[i]); value += slopes[i] ** 2 / 4; }
      return value;
    });
  },
  // 1 - mean |<peer|own>|^2 of states that Programs hold; its slope by own's is sum slopes[j] peer_j, complex.
  infidelity(own, peers) {
    const slopes = peers.map(peer => own.overlaps(peer)), values = new Float64Array(own.batch).fill(1);
    for (const overlap of slopes) {
      overlap.forEach((v, i) => { values[i >> 1] -= v * v / peers.length; overlap[i] = -2 / peers.length * v; });
    }
    return { values: values.map(v => Math.min(Math.max(v, 0), 1)), slopes };
  },
};

// What a student is told instead of the teacher's logits [samples * classes]: the controls of a distillation.
const TEACHERS = {
  given: said => said,
  uniform: said => said.map(() => 0),
  constant(said, classes) {
    const mean = new Float64Array(classes);
    said.forEach((z, i) => { mean[i % classes] += z * classes / said.length; });
    return said.map((_, i) => mean[i % classes]);
  },
  shuffled: (said, classes, order) => said.map((_, i) => said[order[Math.floor(i / classes)] * classes + i % classes]),
  decisions(said, classes) {
    const out = new Float64Array(said.length);
    let margin = 0;
    for (let b = 0; b < said.length; b += classes) {
      const row = said.slice(b, b + classes), top = Math.max(...row), rest = (row.reduce((x, y) => x + y) - top) / (classes - 1);
      margin += (top - rest) * classes / said.length;
      out[b + row.indexOf(top)] = 1;
    }
    return out.map(v => v * margin);
  },
};

// --- Training ----------------------------------------------------------------------------------------

// Rows of one batch after the other: epochs that were given, then some of our own.
function* batches(n, size, epochs, draw) {
  for (let k = 0; ; k++) {
    const order = epochs?.[k] ?? permutation(n, draw);
    for (let first = 0; first < n; first += size) yield order.slice(first, first + size);
  }
}
const gather = (values, rows, classes) => Float64Array.from({ length: rows.length * classes }, (_, i) => values[rows[Math.floor(i / classes)] * classes + i % classes]);

function check(spec) {
  const { steps = 50, batch = 64, rate = null, seed = 0, students = 1, condition = {}, pull = {} } = spec;
  const positive = v => Number.isFinite(v) && v > 0;
  for (const [name, value] of Object.entries({ steps, batch, students })) must(Number.isInteger(value) && value > 0, name, "a positive integer", value);
  must(Number.isInteger(seed) && seed >= 0, "seed", "an integer of at least 0", seed);
  const { temperature = 1, scale = 1, alpha = 0, smoothing = 0, teacher = "none" } = condition;
  for (const [name, value] of Object.entries({ temperature, logit_scale: scale, rate: rate ?? 1 })) must(positive(value), name, "a positive number", value);
  for (const [name, value] of Object.entries({ alpha, smoothing })) must(value >= 0 && value <= 1, name, "in [0, 1]", value);
  must(teacher === "none" || TEACHERS[teacher], "teacher", "none, " + Object.keys(TEACHERS).join(", "), teacher);
}

// Memory and circuits for a training, and the teacher's if it is trained here.
function* setUp(spec) {
  check(spec);
  const { model, students = 1, batch = 64, shared, watch = {} } = spec, sets = {}, n = model.qubits;
  for (const [name, declared] of Object.entries({ inputs: spec.inputs, ...shared && { shared }, ...watch })) {
    sets[name] = new Inputs(name, declared.inputs || declared, model);
  }
  const all = Object.values(sets), rank = Math.max(...all.map(set => set.rank)), lanes = Math.min(batch, Math.max(...all.map(set => set.samples)));
  const floats = qubits => 2 ** qubits * (4 * (rank || lanes + 16) * students + all.reduce((sum, set) => sum + 2 * set.stored, 64));
  if (!heap.room(heap.top + floats(n))) {
    let fits = n - 1;
    while (fits > 0 && !heap.room(heap.top + floats(fits))) fits--;
    refuse("memory", `${n} qubits would take ${Math.ceil(floats(n) / 2 ** 18)} MB, more than there is; ${fits} would fit`, { fits });
  }
  const programs = Array.from({ length: students }, () => new Program(model, lanes, rank));
  for (const set of all) yield* programs[0].encode(set);
  const teacher = spec.teacher?.training && { ...spec, teacher: null, condition: {}, weights: null, watch: {}, ...spec.teacher.training };
  return { sets, programs, teacher: teacher && { spec: teacher, setup: yield* setUp(teacher) } };
}

// A training of one student, or of several that pull at each other. Yields now and then: nothing, or a report.
function* run(spec, { sets, programs, teacher }, quiet = false) {
  const { model, seed = 0, rate = null, l2 = 0, pull = {}, shards, condition = {}, batch = 64, every = 40 } = spec;
  const { temperature = 1, alpha = 0, reverse, scale: factor = 1, smoothing = 0, budget = 1 } = condition;
  const K = programs.length, C = model.observables.length, samples = sets.inputs.samples, scale = model.scale * factor;
  const draw = generator(seed, 1), steps = (spec.steps ?? 50) * budget;

  // What is wanted
  let said = null, loss;
  if (condition.teacher && condition.teacher !== "none") {
    if (teacher) {
      const { weights } = yield* run({ ...teacher.spec, seed: (teacher.spec.seed ?? 0) + (spec.nth || 0) }, teacher.setup, true);
      said = (yield* teacher.setup.programs[0].expectation(weights[0], teacher.setup.sets.inputs)).map(v => v * teacher.spec.model.scale);
    } else said = decode("teacher logits", spec.teacher?.logits).values;
    must(said.length === samples * C, "teacher logits", `${samples} rows of ${C}`, said.length);
    said = TEACHERS[condition.teacher](Float64Array.from(said), C, condition.order || permutation(samples, draw));
  }
  const squared = spec.loss === "squared", targets = spec.targets ? decode("targets", spec.targets).values : new Float64Array(samples * C).fill(smoothing / C);
  if (!spec.targets) {
    must(spec.labels?.length === samples, "labels", `one for each of ${samples} samples`, spec.labels?.length);
    spec.labels.forEach((label, b) => {
      must(Number.isInteger(label) && label >= 0 && label < C, "labels", `integers below ${C}`, label);
      targets[b * C + label] += 1 - smoothing;
    });
  }
  const answer = (logits, rows) => {
    const wanted = gather(targets, rows, C);
    if (squared) return losses.squaredError(wanted, logits, C);
    if (!said) return losses.crossEntropy(wanted, logits, C);
    return losses.distillation(gather(said, rows, C), wanted, logits, C, { temperature, alpha, reverse });
  };

  // Where it starts, and in what order it goes
  const weights = programs.map((_, k) => {
    const given = spec.weights?.[k], from = generator(seed, 2, k);
    must(!given || given.length === model.weights, "weights", `${model.weights} numbers`, given?.length);
    return Float64Array.from({ length: model.weights }, (_, i) => given ? given[i] : 2 * Math.PI * from());
  });
  const orders = programs.map((_, k) => batches(shards ? shards[k].length : samples, batch, spec.orders, generator(seed, 3)));
  const meeting = sets.shared && batches(sets.shared.samples, batch, spec.shared_orders, generator(seed, 4));
  const moments = weights.map(w => [new Float64Array(w.length), new Float64Array(w.length)]);
  const history = weights.map(() => []), distances = weights.map(() => []);

  function* pass(set, rows, learns, force, gradients) {
    for (let k = 0; k < K; k++) { programs[k].load(set, rows[k]); yield* programs[k].forward(); }
    const logits = programs.map(program => program.values().map(v => v * scale));
    for (let k = 0; k < K; k++) {
      const program = programs[k], size = rows[k].length, slopes = new Float64Array(size * C), others = programs.filter(p => p !== program);
      const add = (found, weight) => found.forEach((v, i) => { slopes[i] += weight * scale / size * v; });
      if (learns) {
        const found = answer(logits[k], rows[k]);
        history[k].push(average(found.values) + (l2 && l2 * weights[k].reduce((sum, w) => sum + w * w, 0)));
        add(found.slopes, 1);
      }
      if (force && pull.kind === "kl") {
        const T = pull.temperature ?? 1, mean = new Float64Array(slopes.length);
        for (let j = 0; j < K; j++) if (j !== k) logSoftened(logits[j], C, T).forEach((v, i) => { mean[i] += Math.exp(v) / (K - 1); });
        const found = losses.divergence(mean.map(p => T * Math.log(Math.max(p, 1e-300))), logits[k], C, T);
        distances[k].push(T * T * average(found.values));
        add(found.slopes, force * T * T);
      }
      program.seed(slopes);
      if (force && pull.kind === "infidelity") {
        const found = losses.infidelity(program, others);
        distances[k].push(average(found.values));
        found.slopes.forEach((slope, j) => program.seedPeer(others[j], slope.map(v => v * force / size)));
      }
    }
    for (let k = 0; k < K; k++) yield* programs[k].backward(gradients[k]);
  }

  function* report(type, step) {
    const seen = {};
    for (const name of Object.keys(spec.watch || {})) {
      const { labels } = spec.watch[name], logits = [];
      for (let k = 0; k < K; k++) logits.push((yield* programs[k].expectation(weights[k], sets[name])).map(v => v * model.scale));
      seen[name] = { logits, ...labels && grade(logits, labels, C) };
    }
    return { type, step, steps, weights: weights.map(w => w.slice()), losses: history, distances, watch: seen };
  }

  let due = clock() + every;
  for (let step = 0; step < steps; step++) {
    const rows = orders.map((order, k) => { const found = order.next().value; return shards ? found.map(i => shards[k][i]) : found; });
    const gradients = weights.map(w => w.map(v => 2 * l2 * v)), before = weights.map(w => w.slice());
    const force = K > 1 && pull.weight ? pull.weight * (pull.warm_up ? Math.min(1, step / pull.warm_up) : 1) : 0;
    programs.forEach((program, k) => program.setWeights(weights[k]));
    const together = meeting && Array(K).fill(meeting.next().value);
    if (force && meeting) yield* pass(sets.shared, together, false, force, gradients);
    yield* pass(sets.inputs, rows, true, meeting ? 0 : force, gradients);
    const now = rate ?? 0.05 * 0.9 ** Math.floor(step / 50);
    weights.forEach((w, k) => gradients[k].forEach((g, i) => {  // Adam
      const [mean, square] = moments[k];
      mean[i] += 0.1 * (g - mean[i]); square[i] += 0.001 * (g * g - square[i]);
      w[i] -= now * mean[i] / (1 - 0.9 ** (step + 1)) / (Math.sqrt(square[i] / (1 - 0.999 ** (step + 1))) + 1e-7);
    }));
    if (!weights.every((w, k) => w.every(Number.isFinite) && Number.isFinite(history[k].at(-1)))) {
      refuse("diverged", `the training diverged at step ${step + 1}`, { step, weights: before });
    }
    if (!quiet && clock() > due) { yield yield* report("progress", step + 1); due = clock() + every; }
  }
  return quiet ? { weights } : yield* report("done", steps);
}

// Numbers beside a curve, for every student: accuracy, cross-entropy and mean entropy of the probabilities.
function grade(logits, labels, C) {
  const found = { accuracy: [], loss: [], entropy: [] };
  for (const z of logits) {
    const log = logSoftened(z, C), top = labels.map((_, b) => { const row = z.slice(b * C, b * C + C); return row.indexOf(Math.max(...row)); });
    found.accuracy.push(average(labels.map((label, b) => +(label === top[b]))));
    found.loss.push(-average(labels.map((label, b) => log[b * C + label])));
    found.entropy.push(-log.reduce((sum, v) => sum + v * Math.exp(v), 0) / labels.length);
  }
  return found;
}

// One training; or with `conditions` and `seeds`, each condition from each of so many initialisations.
function* train(spec) {
  heap.top = BOTTOM;
  const setup = yield* setUp(spec), { seeds, conditions = [spec.condition], seed = 0 } = spec;
  if (!seeds) return yield* run(spec, setup);
  for (let nth = 0; nth < seeds; nth++) {
    for (const [c, condition] of conditions.entries()) {
      const { watch, losses, weights } = yield* run({ ...spec, condition, nth, seed: seed + nth, weights: null, every: Infinity }, setup);
      yield { type: "result", seed: nth, condition: c, watch, losses, weights };
    }
  }
  return { type: "done" };
}

// --- In a Worker, or in slices on the page's own thread ------------------------------------------------

// Answers { start: id, training } and { stop: id } through `post`; works for `slice` ms at a time.
function serve(post, slice) {
  let id = null, work;
  function go(mine) {
    if (id !== mine) return;
    try {
      for (const end = clock() + slice; clock() < end;) {
        const { value, done } = work.next();
        if (value) post({ id, ...value });
        if (done) { id = null; return; }
      }
      setTimeout(go, 0, mine);
    } catch (error) {
      post({ ...error, id, type: "error", reason: error.reason || "failed", message: error.message });
      id = null;
    }
  }
  return message => {
    if (message.training) { id = message.start; work = train(message.training); go(id); }
    else if (message.stop === id) { post({ id, type: "stopped" }); id = null; }
  };
}

// One training at a time for a whole page; the others wait. handlers: progress, result, done, stopped, error.
let ask = null, jobs = [], count = 0;
function hear(message) {
  const job = jobs[0];
  if (!job || message.id !== job.id) return;
  const over = ["done", "stopped", "error"].includes(message.type);
  if (over) jobs.shift();
  job.handlers[message.type]?.(message);
  if (over) next();
}
function next() {
  if (jobs.length && !jobs[0].asked) { jobs[0].asked = true; ask({ start: jobs[0].id, training: jobs[0].training }); }
}
function open() {
  const here = serve(hear, 12);
  const fall = () => { ask = here; for (const job of jobs) job.asked = false; engine.where = "page"; next(); };
  try {
    if (!mayWork) throw 0;
    const text = `const e = (${qkdEngine})(${JSON.stringify(wasm)}, { memory: ${LIMIT} }), s = e.serve(postMessage, 40); onmessage = m => s(m.data);`;
    const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    worker.onmessage = message => hear(message.data);
    worker.onerror = event => { event.preventDefault(); fall(); };
    ask = message => worker.postMessage(message);
    engine.where = "worker";
  } catch { fall(); }
}
function start(training, handlers) {
  const job = { id: ++count, training, handlers };
  jobs.push(job);
  if (!ask) open();
  next();
  return { stop() {
    if (jobs[0] === job) ask({ stop: job.id });
    else if (jobs.includes(job)) { jobs = jobs.filter(other => other !== job); handlers.stopped?.({ type: "stopped" }); }
  } };
}

const engine = { start, train, serve, run, setUp, losses, TEACHERS, Program, Inputs, heap, generator, permutation, where: null, kernels: heap.memory ? "WebAssembly" : "JavaScript" };
return engine;
}
