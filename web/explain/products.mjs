// @ts-check
/** Products of matrices and convolutions, as fast as plain JavaScript allows: blocks of 4 x 4 sums stay in registers.
 *
 * A matrix [rows, K] is packed as [rows / 4][K][4]: what a block reads lies in a row. All numbers are float64, which a
 * JavaScript engine multiplies without conversion. Feature maps are [B, C, H, W].
 */

/** Rows rounded up to whole blocks.  @param {number} rows */
export const blocks = (rows) => 4 * Math.ceil(rows / 4);

/** Pack rows of a matrix; the rows that fill up the last block are 0.
 * @param {ArrayLike<number>} source @param {number} at where its first value lies @param {number} rows @param {number} K
 * @param {number} rowStep @param {number} step from a value of a row to the next @param {Float64Array} into
 */
export function pack(source, at, rows, K, rowStep, step, into) {
  for (let i = 0; i < blocks(rows); i += 1) {
    let to = (i >> 2) * 4 * K + (i & 3);
    let from = at + i * rowStep;
    for (let k = 0; k < K; k += 1, to += 4, from += step) into[to] = i < rows ? source[from] : 0;
  }
}

/** C[i, j] = sum_k A[i, k] B[j, k] of packed A and B, for whole blocks.
 * @param {Float64Array} A @param {number} a where A begins @param {Float64Array} B @param {number} b
 * @param {Float64Array} C [M, N] @param {number} c @param {number} M @param {number} N @param {number} K
 */
export function multiply(A, a, B, b, C, c, M, N, K) {
  for (let i = 0; i < M; i += 4) {
    for (let j = 0; j < N; j += 4) {
      let p = a + i * K;
      let q = b + j * K;
      let c00 = 0, c01 = 0, c02 = 0, c03 = 0, c10 = 0, c11 = 0, c12 = 0, c13 = 0;
      let c20 = 0, c21 = 0, c22 = 0, c23 = 0, c30 = 0, c31 = 0, c32 = 0, c33 = 0;
      for (const end = p + 4 * K; p < end; p += 4, q += 4) {
        const x = B[q], y = B[q + 1], z = B[q + 2], w = B[q + 3]; // no list: this line runs a billion times
        let left = A[p];
        c00 += left * x; c01 += left * y; c02 += left * z; c03 += left * w;
        left = A[p + 1];
        c10 += left * x; c11 += left * y; c12 += left * z; c13 += left * w;
        left = A[p + 2];
        c20 += left * x; c21 += left * y; c22 += left * z; c23 += left * w;
        left = A[p + 3];
        c30 += left * x; c31 += left * y; c32 += left * z; c33 += left * w;
      }
      let to = c + i * N + j;
      C[to] = c00; C[to + 1] = c01; C[to + 2] = c02; C[to + 3] = c03;
      to += N;
      C[to] = c10; C[to + 1] = c11; C[to + 2] = c12; C[to + 3] = c13;
      to += N;
      C[to] = c20; C[to + 1] = c21; C[to + 2] = c22; C[to + 3] = c23;
      to += N;
      C[to] = c30; C[to + 1] = c31; C[to + 2] = c32; C[to + 3] = c33;
    }
  }
}

/** @type {Map<string, Float64Array>} */ const ROOMS = new Map();

/** Memory for what is needed only for a moment, by its use; it keeps what was written there last.
 * @param {string} use @param {number} size
 */
export function room(use, size) {
  const there = ROOMS.get(use);
  if (there && there.length >= size) return there;
  const made = new Float64Array(size);
  ROOMS.set(use, made);
  return made;
}

/** @param {number} B @param {number} C @param {number} H @param {number} W @param {Float64Array} [v] @returns {Features} */
export const features = (B, C, H, W, v) => ({ B, C, H, W, v: v ?? new Float64Array(B * C * H * W) });

/** A 1 x 1 convolution, which is one product.
 * @param {ArrayLike<number>} weight [M, K] @param {ArrayLike<number>} bias [M]
 * @returns {(h: Features) => Features}
 */
export function pointwise(weight, bias) {
  const M = bias.length;
  const K = weight.length / M;
  const A = new Float64Array(blocks(M) * K);
  pack(weight, 0, M, K, K, 1, A);
  return ({ B, C, H, W, v }) => {
    const area = H * W;
    const packed = room("columns", blocks(area) * K);
    const product = room("product", blocks(M) * blocks(area));
    const out = features(B, M, H, W);
    for (let b = 0; b < B; b += 1) {
      pack(v, b * C * area, area, K, 1, area, packed);
      multiply(A, 0, packed, 0, product, 0, blocks(M), blocks(area), K);
      addBias(product, blocks(area), bias, area, out.v, b * M * area);
    }
    return out;
  };
}

/** @param {Float64Array} from @param {number} width of its rows @param {ArrayLike<number>} bias @param {number} area
 * @param {Float64Array} into @param {number} at
 */
function addBias(from, width, bias, area, into, at) {
  for (let m = 0; m < bias.length; m += 1) {
    for (let p = 0; p < area; p += 1) into[at + m * area + p] = from[m * width + p] + bias[m];
  }
}

/** A 3 x 3 convolution with a rim of zeros, by tiles of 2 x 2 results: 16 multiplications in the place of 36.
 *
 *     Y = A' [(G g G') * (B' d B)] A          g: a kernel, d: 4 x 4 values of the map
 *
 * Source: Lavin and Gray 2015, arXiv 1509.09308, F(2 x 2, 3 x 3); recalled, and checked against torch.
 * @param {ArrayLike<number>} weight [M, K, 3, 3] @param {ArrayLike<number>} bias [M]
 * @returns {(h: Features) => Features}
 */
export function convolution(weight, bias) {
  const M = bias.length;
  const K = weight.length / M / 9;
  const A = transformKernels(weight, M, K);
  return (h) => {
    const { B, H, W } = h;
    const tiles = (H / 2) * (W / 2);
    const N = blocks(B * tiles);
    const inputs = room("tiles", 16 * N * K);
    const products = room("results", 16 * blocks(M) * N);
    transformMap(h, inputs, N);
    for (let f = 0; f < 16; f += 1) {
      multiply(A, f * blocks(M) * K, inputs, f * N * K, products, f * blocks(M) * N, blocks(M), N, K);
    }
    return transformBack(products, blocks(M) * N, N, bias, features(B, M, H, W));
  };
}

/** G g G' of every kernel, packed, one matrix [M, K] for each of the 16 places.
 * @param {ArrayLike<number>} weight @param {number} M @param {number} K
 */
function transformKernels(weight, M, K) {
  const places = Array.from({ length: 16 }, () => new Float64Array(M * K));
  /** @param {number} a @param {number} b @param {number} c */
  const G = (a, b, c) => [a, (a + b + c) / 2, (a - b + c) / 2, c];
  for (let k = 0; k < M * K; k += 1) {
    const rows = [0, 1, 2].map((r) => G(weight[9 * k + 3 * r], weight[9 * k + 3 * r + 1], weight[9 * k + 3 * r + 2]));
    for (let y = 0; y < 4; y += 1) G(rows[0][y], rows[1][y], rows[2][y]).forEach((value, x) => { places[4 * x + y][k] = value; });
  }
  const A = new Float64Array(16 * blocks(M) * K);
  places.forEach((place, f) => pack(place, 0, M, K, K, 1, A.subarray(f * blocks(M) * K)));
  return A;
}

/** B' d B of every tile, packed, one matrix [tiles, K] for each of the 16 places.
 * @param {Features} h @param {Float64Array} into @param {number} N
 */
function transformMap({ B, C, H, W, v }, into, N) {
  const wide = W + 2;
  const framed = room("framed", (H + 2) * wide).fill(0, 0, (H + 2) * wide);
  const size = N * C;
  for (let b = 0; b < B; b += 1) {
    for (let c = 0; c < C; c += 1) {
      const from = (b * C + c) * H * W;
      for (let y = 0; y < H; y += 1) {
        for (let x = 0; x < W; x += 1) framed[(y + 1) * wide + x + 1] = v[from + y * W + x];
      }
      let n = b * (H / 2) * (W / 2);
      for (let y = 0; y < H; y += 2) {
        for (let x = 0; x < W; x += 2, n += 1) {
          let to = (n >> 2) * 4 * C + 4 * c + (n & 3);
          for (let r = 0; r < 4; r += 1) { // rows 0 - 2, 1 + 2, 2 - 1, 1 - 3
            const first = (y + (r === 0 ? 0 : r === 2 ? 2 : 1)) * wide + x;
            const second = (y + (r === 2 ? 1 : r === 3 ? 3 : 2)) * wide + x;
            const sign = r === 1 ? 1 : -1;
            const d0 = framed[first] + sign * framed[second];
            const d1 = framed[first + 1] + sign * framed[second + 1];
            const d2 = framed[first + 2] + sign * framed[second + 2];
            const d3 = framed[first + 3] + sign * framed[second + 3];
            into[to] = d0 - d2;
            into[to + size] = d1 + d2;
            into[to + 2 * size] = d2 - d1;
            into[to + 3 * size] = d1 - d3;
            to += 4 * size;
          }
        }
      }
    }
  }
}

/** A' m A of every tile, and the bias.
 * @param {Float64Array} m [16][M][N] @param {number} size of one of the 16 @param {number} N @param {ArrayLike<number>} bias
 * @param {Features} out
 */
function transformBack(m, size, N, bias, out) {
  const { B, C, H, W, v } = out;
  const column = new Float64Array(8); // two rows of four
  for (let b = 0; b < B; b += 1) {
    for (let c = 0; c < C; c += 1) {
      let from = c * N + b * (H / 2) * (W / 2);
      for (let y = 0; y < H; y += 2) {
        for (let x = 0; x < W; x += 2, from += 1) {
          for (let k = 0; k < 4; k += 1) {
            const m1 = m[from + (4 + k) * size], m2 = m[from + (8 + k) * size];
            column[k] = m[from + k * size] + m1 + m2;
            column[4 + k] = m1 - m2 - m[from + (12 + k) * size];
          }
          let to = (b * C + c) * H * W + y * W + x;
          for (let r = 0; r < 8; r += 4, to += W) {
            v[to] = column[r] + column[r + 1] + column[r + 2] + bias[c];
            v[to + 1] = column[r + 1] - column[r + 2] - column[r + 3] + bias[c];
          }
        }
      }
    }
  }
  return out;
}
