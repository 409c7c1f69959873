// @ts-check
/** Pictures of a run that a panel fetches from the server, each once. */
import { nearestSheet, rowOf } from "./panel-pictures.mjs";
import { addressOf } from "./panel-record.mjs";

export class Sheets {
  /** @type {Map<string, any>} */ found = new Map(); // name of a file -> {image, state}, or both predictions; null while it waits
  /** @type {Set<Promise<any>>} */ coming = new Set();

  /** changed(): one has come, or will not come.  @param {(path: string) => string} address @param {() => void} changed */
  constructor(address, changed) {
    this.address = address;
    this.changed = changed;
  }

  /** @param {Promise<any>} picture */
  async expect(picture) {
    this.coming.add(picture);
    await picture;
    this.coming.delete(picture);
    this.changed();
  }

  /** The image of a sheet once it is there, else null.  @param {Sheet} sheet */
  image(sheet) {
    if (!sheet) return null;
    let known = this.found.get(sheet.filename);
    if (!known) {
      known = { image: new Image(), state: "waiting" };
      this.found.set(sheet.filename, known);
      this.expect(new Promise((done) => {
        known.image.onload = () => done("there");
        known.image.onerror = () => done("gone");
        known.image.src = this.address(addressOf(sheet));
      }).then((state) => Object.assign(known, { state })));
    }
    return known.state === "there" ? known.image : null;
  }

  /** Whether the server has the file of a sheet no longer.  @param {Sheet} sheet */
  isGone(sheet) {
    return this.found.get(sheet.filename)?.state === "gone";
  }

  /** Both predictions of the step nearest to `step`, to be mixed, once they are there: see mix.mjs; else null.
   * @param {?Run} run @param {number} step @param {number} sample
   */
  mix(run, step, sample) {
    const pictures = run?.pictures;
    const sheet = nearestSheet(pictures?.mix, step);
    if (!sheet) return null;
    if (!this.found.has(sheet.filename)) {
      this.found.set(sheet.filename, null);
      this.expect(this.fetchMix(sheet, { i: sheet.i, scale: sheet.scale, size: pictures.mix.size, rows: pictures.samples.length }));
    }
    const pair = this.found.get(sheet.filename);
    return pair && { ...pair, row: rowOf(pictures, sample) };
  }

  /** @param {Sheet} sheet @param {object} about */
  async fetchMix(sheet, about) {
    const answer = await fetch(this.address(addressOf(sheet))).catch(() => null);
    const bytes = answer?.ok ? await answer.arrayBuffer().catch(() => null) : null;
    if (bytes) this.found.set(sheet.filename, { ...about, values: new Int16Array(bytes) }); // else it went with its run
  }
}
