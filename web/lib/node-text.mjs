// @ts-check
/** What a node of this pack says about its run, as text on the node: the editor itself shows none. */
import { element } from "./panel-parts.mjs";

const NAME = "gg_text";
const PROSE = 96; // pixels of height; longer text scrolls, or the node is made larger
const TABLE = 220;
const WORDS = [940, 380]; // width of a fresh node, and height below its widgets: a table of numbers is as wide
const PICTURE = [760, 600];
const MARGIN = 10; // above and below an element that the canvas places
const LINES = 15; // pixels of one line in a box for text
const SPARE = [2, 4]; // lines below those that a fresh box holds: at least, and at most
const DARK = "dark"; // a theme of figures
const COLUMNS = /\S {3,}\S/; // a row of a table, which a line break would tear
const BOX = "position: relative; height: 100%; width: 0; min-width: 100%;"; // as high as the node leaves, not as its text
const TEXT = `position: absolute; inset: 0; margin: 0; padding: 6px; overflow: auto; border-radius: 6px; user-select: text;
  font: 11px/1.4 ui-monospace, monospace; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);`;

const LINK = "color: inherit; text-decoration: underline;";

/** Give a fresh node the room for what it will say, and its boxes for what is written there: one whose file is all that it
 * gives needs none.  vue: Nodes 2.0 draws them, where such a box takes all room that is free
 * @param {GraphNode} node @param {any} definition
 */
export function makeRoom(node, { output_node: shows, output = [], output_name: names = [] }, vue = false) {
  const boxes = (node.widgets ?? []).filter(({ element: box }) => box?.localName === "textarea");
  for (const { options, value } of boxes) {
    const lines = String(value).split("\n").length;
    const [least, most] = SPARE.map((spare) => LINES * (lines + spare) + 2 * LINES);
    if (lines > 1) Object.assign(options, { getMinHeight: () => least, getMaxHeight: () => most });
  }
  if (!shows || names.includes("path")) return;
  const room = output.includes("IMAGE") ? PICTURE : output.includes("STRING") ? WORDS : null;
  const [w, h] = node.computeSize();
  if (room) node.setSize([Math.max(room[0], w), h + (vue && boxes.length ? WORDS[1] / 2 : room[1])]);
}

/** A fresh node that shows a run begins at the sample that every other view begins at; a saved one keeps its own.
 * @param {GraphNode} node
 */
export function beginAtMedian(node) {
  const sample = node.widgets?.find(({ name, options }) => name === "sample" && options?.min === -1);
  if (sample) sample.value = -1;
}

/** A fresh node draws for the editor that it is in: on dark ground where that is dark.
 * @param {GraphNode} node @param {boolean} dark
 */
export function beginDark(node, dark) {
  const theme = node.widgets?.find(({ name, options }) => name === "theme" && options?.values?.includes(DARK));
  if (theme && dark) theme.value = DARK;
}

/** Show lines on a node; the first time it gets a place for them.
 *
 * images: what the node shows beside them. gg_files: what the server kept; their names become links.
 * @param {GraphNode} node @param {any} output @param {(path: string) => string} address
 */
export function sayOn(node, { text: lines, images, gg_files: files }, address) {
  const words = lines.join("\n");
  const placed = node.widgets?.find(({ name }) => name === NAME);
  if (!placed && !lines.length) return;
  const widget = placed ?? placeOn(node, COLUMNS.test(words) && !images ? TABLE : PROSE, Boolean(images));
  const [place] = widget.element.children;
  place.replaceChildren(...words.split("\n").map((/** @type {string} */ line) => lineOf(line, files, address)));
}

/** One line; the rows of a table scroll, others are broken.
 * @param {string} line @param {any} files @param {(path: string) => string} address
 */
function lineOf(line, files, address) {
  const style = `display: block; min-height: 1.4em; white-space: ${COLUMNS.test(line) ? "pre" : "pre-wrap"};`;
  return element("span", { style }, ...linkFiles(line, files, address), "\n");
}

/** The words in pieces; the name of every file in them is a link that fetches it.
 * @param {string} words @param {any[]} [files] @param {(path: string) => string} [address]
 * @returns {any[]}
 */
export function linkFiles(words, files = [], address = String) {
  const [file, ...others] = files;
  const [before, ...rest] = file ? words.split(file.filename) : [words];
  if (!rest.length) return others.length ? linkFiles(words, others, address) : [words];
  const link = element("a", { href: address(`/view?${new URLSearchParams(file)}`), download: file.filename, style: LINK }, file.filename);
  return [before, link, ...linkFiles(rest.join(file.filename), others, address)];
}

/** least: height in pixels. beside: a picture, to which goes what words do not need; it says what they say.
 * @param {GraphNode} node @param {any} least @param {any} beside
 */
function placeOn(node, least, beside) {
  const text = element("pre", { class: "gg-text", tabindex: 0, "data-capture-wheel": "true", style: TEXT });
  const place = element("div", { class: beside ? "" : "widget-expands", style: `${BOX} min-height: ${least}px` }, text);
  place.addEventListener("pointerdown", (/** @type {Event} */ event) => event.stopPropagation());
  const whole = () => least + 2 * MARGIN;
  const heights = { getMinHeight: whole, ...(beside && { getMaxHeight: whole }) };
  const options = { serialize: false, hideOnZoom: false, ...heights, getValue: () => undefined, setValue() {} };
  const widget = node.addDOMWidget(NAME, NAME, place, options);
  widget.serialize = false;
  const [w, h] = node.computeSize();
  node.setSize([Math.max(node.size[0], w), Math.max(node.size[1], h)]);
  return widget;
}
