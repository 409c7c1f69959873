// @ts-check
/** Pocket Flow and the decoder of its VAE: models/denoisers/pocket_flow.py and pocket.py, in the browser. */
import { blocks, convolution, features, multiply, pack, pointwise, room } from "./products.mjs";

/** @typedef {Record<string, Float64Array>} Weights */

export const CHANNELS = 4;
export const SIDE = 8; // of a latent
export const VALUES = CHANNELS * SIDE * SIDE;
export const PICTURE = 32; // pixels of a side
export const LABELS = ["plant", "monster", "robot", "person", "planet", "smiley", "stones", "landscape", "face", "marble"];
export const NO_LABEL = LABELS.length;
const SHIFT = [0.0278, -0.04449, 0.33503, 0.13337]; // of POCKET_LATENTS in models/denoisers/latents.py
const SCALE = [0.89253, 0.81144, 0.54199, 0.92083];
const GROUPS = 8;
const HEAD = 32; // channels that a head of attention sees
const [FREQUENCIES, SLOWEST, FASTEST] = [32, 0.25, 16];
const SMALLEST_SIGNAL = 1e-3; // ln(sigma / alpha) has no end at alpha = 0
const EPSILON = 1e-5; // of every norm

/** @param {number} x */
const silu = (x) => x / (1 + Math.exp(-x));

/** A map with a function of every value.  @param {Features} h @param {(x: number) => number} change @returns {Features} */
const each = ({ B, C, H, W, v }, change) => features(B, C, H, W, v.map(change));

/** The sum of two maps, in the first.  @param {Features} h @param {Features} other */
function add(h, other) {
  for (let k = 0; k < h.v.length; k += 1) h.v[k] += other.v[k];
  return h;
}

/** Every group of channels with mean 0 and variance 1, then scaled and shifted by channel, then silu where that is asked for.
 * a, b: by picture and channel besides, (1 + a) and + b; null for none.
 * @param {Features} h @param {Float64Array} weight @param {Float64Array} bias @param {?Float64Array} affine [B, 2 C]
 * @returns {Features}
 */
function groupNorm({ B, C, H, W, v }, weight, bias, affine, activate = true) {
  const out = features(B, C, H, W);
  const [area, wide] = [H * W, C / GROUPS];
  const size = wide * area;
  for (let b = 0; b < B; b += 1) {
    for (let g = 0; g < GROUPS; g += 1) {
      const from = (b * GROUPS + g) * size;
      let [sum, squares] = [0, 0];
      for (let k = from; k < from + size; k += 1) sum += v[k];
      const mean = sum / size;
      for (let k = from; k < from + size; k += 1) squares += (v[k] - mean) ** 2;
      const inverse = 1 / Math.sqrt(squares / size + EPSILON);
      for (let c = g * wide; c < (g + 1) * wide; c += 1) {
        const [more, shift] = affine ? [1 + affine[2 * b * C + c], affine[(2 * b + 1) * C + c]] : [1, 0];
        const scale = weight[c] * inverse * more;
        const offset = (bias[c] - weight[c] * inverse * mean) * more + shift;
        const at = (b * C + c) * area;
        for (let k = at; k < at + area; k += 1) {
          const value = scale * v[k] + offset;
          out.v[k] = activate ? value / (1 + Math.exp(-value)) : value;
        }
      }
    }
  }
  return out;
}

/** y = W x + b of every row.  @param {Float64Array} weight [M, K] @param {Float64Array} bias @param {Float64Array} x [B, K] */
function linear(weight, bias, x) {
  const [M, K] = [bias.length, weight.length / bias.length];
  const out = new Float64Array((x.length / K) * M);
  for (let n = 0; n < out.length; n += 1) {
    const [row, m] = [Math.floor(n / M) * K, n % M];
    let sum = bias[m];
    for (let k = 0; k < K; k += 1) sum += weight[m * K + k] * x[row + k];
    out[n] = sum;
  }
  return out;
}

/** Double the resolution: four channels are four places.  @param {Features} h @returns {Features} */
function shuffle({ B, C, H, W, v }) {
  const out = features(B, C / 4, 2 * H, 2 * W);
  for (let n = 0; n < B * C; n += 1) {
    const [dy, dx] = [(n % 4) >> 1, n % 2];
    for (let y = 0; y < H; y += 1) {
      for (let x = 0; x < W; x += 1) out.v[((n >> 2) * 2 * H + 2 * y + dy) * 2 * W + 2 * x + dx] = v[(n * H + y) * W + x];
    }
  }
  return out;
}

/** Half the resolution: four places are four channels.  @param {Features} h @returns {Features} */
function unshuffle({ B, C, H, W, v }) {
  const out = features(B, 4 * C, H / 2, W / 2);
  for (let n = 0; n < B * C; n += 1) {
    for (let y = 0; y < H; y += 1) {
      for (let x = 0; x < W; x += 1) {
        out.v[((4 * n + 2 * (y % 2) + (x % 2)) * (H / 2) + (y >> 1)) * (W / 2) + (x >> 1)] = v[(n * H + y) * W + x];
      }
    }
  }
  return out;
}

/** Self-attention over all places, added to what it reads.  @param {Weights} w @param {string} name @returns {(h: Features) => Features} */
function attention(w, name) {
  const split = pointwise(w[`${name}.queries_keys_values.weight`], w[`${name}.queries_keys_values.bias`]);
  const out = pointwise(w[`${name}.out.weight`], w[`${name}.out.bias`]);
  return (h) => {
    const { B, C, H, W } = h;
    const area = H * W;
    const { v } = split(groupNorm(h, w[`${name}.norm.weight`], w[`${name}.norm.bias`], null, false));
    const read = features(B, C, H, W);
    const [queries, keys, values] = ["queries", "keys", "values"].map((use) => room(use, blocks(area) * HEAD));
    const [logits, shares, found] = [room("logits", area * area), room("shares", area * area), room("read", HEAD * area)];
    for (let b = 0; b < B; b += 1) {
      for (let c = 0; c < C; c += HEAD) {
        const at = (3 * b * C + c) * area;
        pack(v, at, area, HEAD, 1, area, queries);
        pack(v, at + C * area, area, HEAD, 1, area, keys);
        pack(v, at + 2 * C * area, HEAD, area, area, 1, values);
        multiply(queries, 0, keys, 0, logits, 0, area, area, HEAD);
        softmaxRows(logits, area);
        pack(logits, 0, area, area, area, 1, shares);
        multiply(values, 0, shares, 0, found, 0, HEAD, area, area);
        read.v.set(found.subarray(0, HEAD * area), (b * C + c) * area);
      }
    }
    return add(out(read), h);
  };
}

/** @param {Float64Array} logits [area, area], scaled on the way @param {number} area */
function softmaxRows(logits, area) {
  for (let at = 0; at < area * area; at += area) {
    let most = -Infinity;
    for (let k = at; k < at + area; k += 1) most = Math.max(most, logits[k]);
    let sum = 0;
    for (let k = at; k < at + area; k += 1) sum += logits[k] = Math.exp((logits[k] - most) * HEAD ** -0.5);
    for (let k = at; k < at + area; k += 1) logits[k] /= sum;
  }
}

/** Residual block of two convolutions; the embedding enters between them.
 * @param {Weights} w @param {string} name @returns {(h: Features, e: Float64Array) => Features}
 */
function block(w, name) {
  const [first, second] = ["first", "second"].map((which) => convolution(w[`${name}.${which}.weight`], w[`${name}.${which}.bias`]));
  return (h, e) => {
    const affine = linear(w[`${name}.modulation.affine.weight`], w[`${name}.modulation.affine.bias`], e);
    const inner = first(groupNorm(h, w[`${name}.norm.weight`], w[`${name}.norm.bias`], null));
    return add(second(groupNorm(inner, w[`${name}.modulation.norm.weight`], w[`${name}.modulation.norm.bias`], affine)), h);
  };
}

/** Two convolutions beside a skip connection.  @param {Weights} w @param {string} name @returns {(h: Features) => Features} */
function residual(w, name) {
  const [first, second] = ["first", "second"].map((which) => convolution(w[`${name}.${which}.weight`], w[`${name}.${which}.bias`]));
  /** @param {Features} h @param {string} norm */
  const normed = (h, norm) => groupNorm(h, w[`${name}.${norm}.weight`], w[`${name}.${norm}.bias`], null);
  return (h) => add(second(normed(first(normed(h, "first_norm")), "second_norm")), h);
}

/** Cosines and sines of the time.  @param {number} t */
function waves(t) {
  const speeds = Array.from({ length: FREQUENCIES }, (_, k) => SLOWEST * (FASTEST / SLOWEST) ** (k / (FREQUENCIES - 1)));
  return [...speeds.map((speed) => Math.cos(t * speed)), ...speeds.map((speed) => Math.sin(t * speed))];
}

/** The network of a file: predict(x, sigma, labels) -> x0-hat, and decode(latents) -> pictures.
 * @param {Weights} w
 */
export function networkOf(w) {
  /** @param {string} name */
  const convolve = (name) => convolution(w[`${name}.weight`], w[`${name}.bias`]);
  /** @param {string} name */
  const point = (name) => pointwise(w[`${name}.weight`], w[`${name}.bias`]);
  const [stem, velocity, toHalf, fromHalf] = [convolve("stem"), convolve("velocity"), point("to_half"), point("from_half.spread")];
  const [encode0, encode1, middle, decode0, decode1] = ["encode.blocks.0", "encode.blocks.1", "middle.blocks.0", "decode.blocks.0", "decode.blocks.1"].map((name) => block(w, name));
  const [attendFull, attendHalf, attendUp] = ["encode", "middle", "decode"].map((name) => attention(w, `${name}.attention`));
  const decoder = decoderOf(w);

  /** The embedding of a level and of a label for each picture.  @param {number} sigma @param {number[]} labels */
  function embed(sigma, labels) {
    const t = Math.log(sigma / Math.max(1 - sigma, SMALLEST_SIGNAL)) / 4;
    const hidden = linear(w["embedding.first.weight"], w["embedding.first.bias"], Float64Array.from(waves(t))).map(silu);
    const level = linear(w["embedding.second.weight"], w["embedding.second.bias"], hidden);
    const rows = labels.map((label) => level.map((value, k) => silu(value + w["embedding.classes.weight"][label * level.length + k])));
    return Float64Array.from(rows.flatMap((row) => [...row]));
  }

  return {
    /** x0-hat = x - sigma v of noisy latents, one label for each.
     * @param {Float64Array} x [B, 4, 8, 8] @param {number} sigma @param {number[]} labels
     */
    predict(x, sigma, labels) {
      const e = embed(sigma, labels);
      const full = encode1(encode0(stem(features(labels.length, CHANNELS, SIDE, SIDE, x)), e), e);
      const atFull = attendFull(full);
      const atHalf = attendHalf(middle(toHalf(unshuffle(atFull)), e));
      const up = decode1(attendUp(decode0(add(shuffle(fromHalf(atHalf)), atFull), e)), e);
      const { v } = velocity(groupNorm(up, w["norm.weight"], w["norm.bias"], null));
      return x.map((value, k) => value - sigma * v[k]);
    },

    /** Pictures [B, 3, 32, 32] in -1 .. 1 of latents.  @param {Float64Array} latents */
    decode(latents) {
      const B = latents.length / VALUES;
      const area = SIDE * SIDE;
      return decoder(features(B, CHANNELS, SIDE, SIDE, latents.map((value, k) => {
        const c = Math.floor(k / area) % CHANNELS;
        return value / SCALE[c] + SHIFT[c];
      }))).v;
    },
  };
}

/** @param {Weights} w @returns {(h: Features) => Features} */
function decoderOf(w) {
  /** @param {number} k */
  const name = (k) => `vae.decoder.${k}`;
  /** @param {number} k */
  const convolve = (k) => convolution(w[`${name(k)}.weight`], w[`${name(k)}.bias`]);
  /** @param {number} k */
  const spread = (k) => pointwise(w[`${name(k)}.spread.weight`], w[`${name(k)}.spread.bias`]);
  const layers = [convolve(0), residual(w, name(1)), residual(w, name(2)), spread(3), shuffle, residual(w, name(4)), spread(5), shuffle, residual(w, name(6)),
    (/** @type {Features} */ h) => each(h, silu), convolve(8)];
  return (h) => layers.reduce((map, layer) => layer(map), h);
}
