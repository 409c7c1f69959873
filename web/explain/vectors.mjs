// @ts-check
/** Lengths, angles and sums of vectors: lists of numbers of one length. */

/** <a, b>  @param {Vector} a @param {Vector} b */
export function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += a[k] * b[k];
  return sum;
}

/** a + factor b  @param {Vector} a @param {Vector} b @returns {Vector} */
export const plus = (a, b, factor = 1) => a.map((value, k) => value + factor * b[k]);

/** @param {Vector} a @param {Vector} b */
export const minus = (a, b) => plus(a, b, -1);

/** Standard deviation of the elements.  @param {Vector} v */
export function deviation(v) {
  const mean = v.reduce((sum, value) => sum + value, 0) / v.length;
  return Math.sqrt(v.reduce((sum, value) => sum + (value - mean) ** 2, 0) / v.length);
}

/** a / b, and 1 where b is 0: there is nothing to scale.  @param {number} a @param {number} b */
export const ratio = (a, b) => (b === 0 ? 1 : a / b);
