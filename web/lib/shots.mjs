// @ts-check
/** Elements that show the pictures of a run, and a shelf of frames in which they stand as large as there is room. */
import { element } from "./panel-parts.mjs";
import { addressOf } from "./panel-record.mjs";

const ROWS = 4; // samples of a sheet

/** Pictures that a job made; where it made none, the last prediction of the record.
 * @param {Editor} editor
 * @param {{shots: any[] | null, record: any}} found
 * @param {string} words
 */
export function shotsOf(editor, { shots, record }, words) {
  /** @param {any} file */
  const address = (file) => file.src ?? editor.address(addressOf({ type: "output", subfolder: "", ...file }));
  if (shots?.length) return shots.map((file) => element("img", { src: address(file), alt: words }));
  const { pictures } = record ?? {};
  if (!pictures?.steps?.length) return [];
  const [w, h] = pictures.size;
  const sheet = new Image();
  const made = pictures.samples.slice(0, ROWS).map((/** @type {any} */ _, /** @type {number} */ row) => {
    const canvas = element("canvas", { width: w, height: h, role: "img", "aria-label": words });
    sheet.addEventListener("load", () => canvas.getContext("2d").drawImage(sheet, -pictures.kinds.indexOf("guided") * w, -row * h));
    return canvas;
  });
  sheet.src = address(pictures.steps.at(-1));
  return made;
}

const NAME = 40; // pixels of a frame that its name and its edges take

/** How many of a few pictures, taken as squares, stand side by side, so that they are largest in a frame of a shelf.
 * @param {number} count @param {HTMLElement} shelf
 */
function columnsFor(count, shelf) {
  const [w, h] = [shelf.clientWidth / Math.max(1, shelf.childElementCount), shelf.clientHeight - NAME];
  /** @param {number} columns */
  const side = (columns) => Math.min(w / columns, h / Math.ceil(count / columns));
  return count > 1 && side(1) <= side(2) ? 2 : 1;
}

/** Put pictures into a frame of a shelf, all of whose frames get their proportions: --gg-ratio, width by height.
 *
 * wide: the frame has more room beside itself than below.
 * @param {HTMLElement} place
 * @param {HTMLElement} shelf
 * @param {any[]} pictures
 */
export function fillShots(place, shelf, pictures, wide = false) {
  const columns = wide ? Math.min(pictures.length, 2) || 1 : columnsFor(pictures.length, shelf);
  const [first] = pictures;
  const measure = () => {
    const [w, h] = [first.naturalWidth ?? first.width, first.naturalHeight ?? first.height];
    if (w && h) shelf.style.setProperty("--gg-ratio", String((columns * w) / (Math.ceil(pictures.length / columns) * h)));
  };
  place.replaceChildren(...pictures);
  place.style.setProperty("--gg-columns", String(columns));
  first?.addEventListener("load", measure);
  if (first) measure();
}
