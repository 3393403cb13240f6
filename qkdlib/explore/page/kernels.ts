// The sweeps of engine.js for WebAssembly with SIMD (AssemblyScript): four samples at a time. The same
// functions in plain JavaScript stand in `plainKernels` of engine.js, where the arguments are explained.
// `python -m qkdlib.explore.page.build` writes kernels.wasm from this file.

// @ts-ignore: decorator
@inline function at(index: i32): usize { return (<usize>index) << 2; }
// @ts-ignore: decorator
@inline function get(index: i32): v128 { return v128.load(at(index)); }
// @ts-ignore: decorator
@inline function set(index: i32, value: v128): void { v128.store(at(index), value); }
// @ts-ignore: decorator
@inline function start(starts: i32, group: i32): i32 { return load<i32>(at(starts + group)); }
// @ts-ignore: decorator
@inline function all(value: f32): v128 { return f32x4.splat(value); }
// @ts-ignore: decorator
@inline function sum(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
}
// a b + c d, and a b - c d
// @ts-ignore: decorator
@inline function plus(a: v128, b: v128, c: v128, d: v128): v128 { return f32x4.add(f32x4.mul(a, b), f32x4.mul(c, d)); }
// @ts-ignore: decorator
@inline function minus(a: v128, b: v128, c: v128, d: v128): v128 { return f32x4.sub(f32x4.mul(a, b), f32x4.mul(c, d)); }
// @ts-ignore: decorator
@inline function add(index: i32, value: f32): void { store<f32>(at(index), load<f32>(at(index)) + value); }

export function rotate1(x: i32, starts: i32, n: i32, run: i32, s: i32, c0: f32, d0: f32): void {
  const c = all(c0), d = all(d0);
  for (let g = 0; g < n; g++) {
    const first = x + start(starts, g), end = first + run;
    for (let i = first; i < end; i += 4) {
      const u = get(i), v = get(i + s);
      set(i, minus(c, u, d, v)); set(i + s, plus(d, u, c, v));
    }
  }
}

export function rotate2(x: i32, starts: i32, n: i32, run: i32, s: i32, t: i32, c0: f32, d0: f32, e0: f32, f0: f32): void {
  const c = all(c0), d = all(d0), e = all(e0), f = all(f0);
  for (let g = 0; g < n; g++) {
    const first = x + start(starts, g), end = first + run;
    for (let i = first; i < end; i += 4) {
      const j = i + t, k = i + s, l = k + t, u = get(i), v = get(j), w = get(k), y = get(l);
      const u1 = minus(c, u, d, w), v1 = minus(c, v, d, y), w1 = plus(d, u, c, w), y1 = plus(d, v, c, y);
      set(i, minus(e, u1, f, v1)); set(j, plus(f, u1, e, v1));
      set(k, minus(e, w1, f, y1)); set(l, plus(f, w1, e, y1));
    }
  }
}

export function rotate3(x: i32, starts: i32, n: i32, run: i32, s: i32, t: i32, r: i32,
                        c0: f32, d0: f32, e0: f32, f0: f32, p0: f32, q0: f32): void {
  const c = all(c0), d = all(d0), e = all(e0), f = all(f0), p = all(p0), q = all(q0);
  for (let g = 0; g < n; g++) {
    const first = x + start(starts, g), end = first + run;
    for (let i = first; i < end; i += 4) {
      const i1 = i + r, i2 = i + t, i3 = i2 + r, i4 = i + s, i5 = i4 + r, i6 = i4 + t, i7 = i6 + r;
      const x0 = get(i), x1 = get(i1), x2 = get(i2), x3 = get(i3), x4 = get(i4), x5 = get(i5), x6 = get(i6), x7 = get(i7);
      const a0 = minus(c, x0, d, x4), a4 = plus(d, x0, c, x4), a1 = minus(c, x1, d, x5), a5 = plus(d, x1, c, x5);
      const a2 = minus(c, x2, d, x6), a6 = plus(d, x2, c, x6), a3 = minus(c, x3, d, x7), a7 = plus(d, x3, c, x7);
      const b0 = minus(e, a0, f, a2), b2 = plus(f, a0, e, a2), b1 = minus(e, a1, f, a3), b3 = plus(f, a1, e, a3);
      const b4 = minus(e, a4, f, a6), b6 = plus(f, a4, e, a6), b5 = minus(e, a5, f, a7), b7 = plus(f, a5, e, a7);
      set(i, minus(p, b0, q, b1)); set(i1, plus(q, b0, p, b1)); set(i2, minus(p, b2, q, b3)); set(i3, plus(q, b2, p, b3));
      set(i4, minus(p, b4, q, b5)); set(i5, plus(q, b4, p, b5)); set(i6, minus(p, b6, q, b7)); set(i7, plus(q, b6, p, b7));
    }
  }
}

export function turn(x: i32, pairs: i32, rows: i32, lanes: i32, table: i32, sign: f32): void {
  const plane = rows * lanes;
  for (let a = 0; a < rows; a++) {
    const c0 = load<f32>(at(table + a)), d0 = load<f32>(at(table + rows + a));
    if (c0 == 1 && d0 == 0) continue;
    const c = all(c0), d = all(sign * d0);
    for (let p = 0; p < pairs; p++) {
      const first = x + 2 * p * plane + a * lanes, end = first + lanes;
      for (let i = first; i < end; i += 4) {
        const u = get(i), v = get(i + plane);
        set(i, minus(c, u, d, v)); set(i + plane, plus(d, u, c, v));
      }
    }
  }
}

export function apply(x: i32, starts: i32, n: i32, run: i32, lanes: i32, offsets: i32, d: i32, matrix: i32, plane: i32): void {
  for (let g = 0; g < n; g++) {
    const first = x + start(starts, g), end = first + run;
    for (let row = first; row < end; row += lanes) {
      for (let l = 0; l < lanes; l += 4) {
        for (let c = 0; c < d; c++) {  // the first floats of memory are scratch
          const i = row + l + start(offsets, c);
          set(8 * c, get(i)); set(8 * c + 4, get(i + plane));
        }
        for (let r = 0; r < d; r++) {
          let re = all(0), im = all(0);
          for (let c = 0; c < d; c++) {
            const m = matrix + 2 * (r * d + c) * lanes + l, mr = get(m), mi = get(m + lanes);
            const u = get(8 * c), v = get(8 * c + 4);
            re = f32x4.add(re, minus(mr, u, mi, v)); im = f32x4.add(im, plus(mr, v, mi, u));
          }
          const i = row + l + start(offsets, r);
          set(i, re); set(i + plane, im);
        }
      }
    }
  }
}

export function pull(x: i32, starts: i32, n: i32, run: i32, offsets: i32, d: i32, plane: i32, sums: i32): void {
  if (d == 2) { pull2(x, starts, n, run, start(offsets, 1), plane, sums); return; }
  for (let r = 0; r < d; r++) {
    for (let c = 0; c < d; c++) {
      let re = all(0), im = all(0);
      const row = start(offsets, r) + 2 * plane, column = start(offsets, c);
      for (let g = 0; g < n; g++) {
        const first = x + start(starts, g), end = first + run;
        for (let i = first; i < end; i += 4) {
          const lr = get(i + row), li = get(i + row + plane), pr = get(i + column), pi = get(i + column + plane);
          re = f32x4.add(re, plus(lr, pr, li, pi)); im = f32x4.add(im, minus(lr, pi, li, pr));
        }
      }
      add(sums + 2 * (r * d + c), sum(re)); add(sums + 2 * (r * d + c) + 1, sum(im));
    }
  }
}

// The same for one qubit, in one go.
function pull2(x: i32, starts: i32, n: i32, run: i32, s: i32, plane: i32, sums: i32): void {
  let a = all(0), b = all(0), c = all(0), d = all(0), e = all(0), f = all(0), g = all(0), h = all(0);
  for (let k = 0; k < n; k++) {
    const first = x + start(starts, k), end = first + run;
    for (let i = first; i < end; i += 4) {
      const j = i + s, l = i + 2 * plane, m = j + 2 * plane;
      const ur = get(i), ui = get(i + plane), vr = get(j), vi = get(j + plane);
      const lr = get(l), li = get(l + plane), mr = get(m), mi = get(m + plane);
      a = f32x4.add(a, plus(lr, ur, li, ui)); b = f32x4.add(b, minus(lr, ui, li, ur));
      c = f32x4.add(c, plus(lr, vr, li, vi)); d = f32x4.add(d, minus(lr, vi, li, vr));
      e = f32x4.add(e, plus(mr, ur, mi, ui)); f = f32x4.add(f, minus(mr, ui, mi, ur));
      g = f32x4.add(g, plus(mr, vr, mi, vi)); h = f32x4.add(h, minus(mr, vi, mi, vr));
    }
  }
  add(sums, sum(a)); add(sums + 1, sum(b)); add(sums + 2, sum(c)); add(sums + 3, sum(d));
  add(sums + 4, sum(e)); add(sums + 5, sum(f)); add(sums + 6, sum(g)); add(sums + 7, sum(h));
}

export function meet(x: i32, y: i32, rows: i32, lanes: i32, flip: i32, lane: i32, buckets: i32, sums: i32, back: i32): void {
  const plane = rows * lanes;
  for (let a = 0; a < rows; a++) {
    const i = x + a * lanes, j = y + (a ^ flip) * lanes, b = sums + 2 * lanes * start(buckets, a);
    for (let l = 0; l < lanes; l += 4) {
      const yr = lane < 0 ? get(j + l) : all(load<f32>(at(j + lane)));
      const yi = lane < 0 ? get(j + plane + l) : all(load<f32>(at(j + plane + lane)));
      const into = back ? i : b, second = back ? plane : lanes, from = back ? b : i, other = back ? lanes : plane;
      const u = get(from + l), v = get(from + other + l);
      const re = back ? minus(u, yr, v, yi) : plus(u, yr, v, yi), im = back ? plus(u, yi, v, yr) : minus(u, yi, v, yr);
      set(into + l, f32x4.add(get(into + l), re)); set(into + second + l, f32x4.add(get(into + second + l), im));
    }
  }
}
