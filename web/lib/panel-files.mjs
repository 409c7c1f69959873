// @ts-check
/** Files that a panel hands out: SVG and PNG that reopen their workflow. No DOM, no editor. */

/** JSON in ASCII: readers of PNG text take it for Latin-1.  @param {any} value */
const ascii = (value) =>
  JSON.stringify(value).replace(/[^\x20-\x7e]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** An SVG with the workflow inside, so that dropping it on the editor opens that. sources: {workflow, prompt}.
 * @param {string} svg @param {object} sources
 */
export function svgWithSources(svg, sources) {
  const words = ascii(sources).replaceAll("]]>", "]]\\u003e");
  return svg.replace(/<svg[^>]*>/, (tag) => `${tag}<metadata><![CDATA[${words}]]></metadata>`);
}

/** A PNG with text chunks {keyword: value} before its pixels. bytes: Uint8Array of the file.
 * @param {Uint8Array<any>} bytes @param {object} sources
 */
export function pngWithSources(bytes, sources) {
  const head = 33; // signature and IHDR
  const known = Object.entries(sources).filter(([, value]) => value !== undefined);
  const chunks = known.map(([name, value]) => textChunk(`${name}\0${ascii(value)}`));
  const parts = [bytes.subarray(0, head), ...chunks, bytes.subarray(head)];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {string} words */
function textChunk(words) {
  const body = Uint8Array.from(`tEXt${words}`, (letter) => letter.charCodeAt(0));
  const chunk = new Uint8Array(body.length + 8);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, crc(body));
  return chunk;
}

/** CRC-32 as PNG wants it.  @param {Uint8Array<any>} bytes */
export function crc(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let k = 0; k < 8; k += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  }
  return (rest ^ 0xffffffff) >>> 0;
}
