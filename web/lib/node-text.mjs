// @ts-check
/** What a node of this pack says about its run, as text on the node: the editor itself shows none. */
import { element } from "./panel-parts.mjs";

const NAME = "gg_text";
const PROSE = 96; // pixels of height; longer text scrolls, or the node is made larger
const TABLE = 220;
const BOX = "position: relative; height: 100%; width: 0; min-width: 100%;"; // as high as the node leaves, not as its text
const TEXT = `position: absolute; inset: 0; margin: 0; padding: 6px; overflow: auto; border-radius: 6px; user-select: text;
  font: 11px/1.4 ui-monospace, monospace; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);`;

const LINK = "color: inherit; text-decoration: underline;";

/** Show lines on a node; the first time it gets a place for them. files: what the server kept; their names become links. */
export function sayOn(node, lines, files, address) {
  const words = lines.join("\n");
  const table = /\S {3,}\S/.test(words); // columns, which a line break would tear
  const placed = node.widgets?.find(({ name }) => name === NAME);
  if (!placed && !lines.length) return;
  const widget = placed ?? placeOn(node, table ? TABLE : PROSE);
  const [place] = widget.element.children;
  place.replaceChildren(...linkFiles(words, files, address));
  place.style.whiteSpace = table ? "pre" : "pre-wrap";
}

/** The words in pieces; the name of every file in them is a link that fetches it. */
export function linkFiles(words, files = [], address = String) {
  const [file, ...others] = files;
  const [before, ...rest] = file ? words.split(file.filename) : [words];
  if (!rest.length) return others.length ? linkFiles(words, others, address) : [words];
  const link = element("a", { href: address(`/view?${new URLSearchParams(file)}`), download: file.filename, style: LINK }, file.filename);
  return [before, link, ...linkFiles(rest.join(file.filename), others, address)];
}

function placeOn(node, least) {
  const text = element("pre", { class: "gg-text", tabindex: 0, "data-capture-wheel": "true", style: TEXT });
  const place = element("div", { class: "widget-expands", style: `${BOX} min-height: ${least}px` }, text);
  place.addEventListener("pointerdown", (event) => event.stopPropagation());
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => least, getValue: () => undefined, setValue() {} };
  const widget = node.addDOMWidget(NAME, NAME, place, options);
  widget.serialize = false;
  const [w, h] = node.computeSize();
  node.setSize([Math.max(node.size[0], w), Math.max(node.size[1], h)]);
  return widget;
}
