// @ts-check
/** Weights of a safetensors file, half precision as float64. */

/** All tensors of a file by name.  @param {ArrayBuffer} file @returns {Record<string, Float64Array>} */
export function readWeights(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  delete header.__metadata__;
  return Object.fromEntries(Object.entries(header).map(([name, { dtype, data_offsets: [from, to] }]) => {
    if (dtype !== "F16") throw new Error(`The weight ${name} is ${dtype}, but F16 is needed. Save the model in half precision.`);
    return [name, widen(new Uint16Array(file.slice(8 + length + from, 8 + length + to)))];
  }));
}

/** Half precision as float64: a sign, five bits of the exponent, ten of the fraction.  @param {Uint16Array} halves */
export function widen(halves) {
  return Float64Array.from(halves, (bits) => {
    const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction); // no weight is infinite
  });
}
