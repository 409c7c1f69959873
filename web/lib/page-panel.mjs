// @ts-check
/** The editor's panel in a page of its own, without an editor. */
import { Panel } from "./panel.mjs";
import { viewOf } from "./views.mjs";

const OPENING = ["plane", "pictures", "lengths"]; // best first; the last is always available

class PagePanel extends Panel {
  /** @type {?() => void} */ afterDraw = null;

  draw() {
    super.draw();
    this.afterDraw?.();
  }

  /** A page has no sampler to write a scale to. */
  drawScale() {
    super.drawScale();
    this.parts.use.hidden = true;
    return null;
  }

  /** On paper there is no button for more. */
  drawn() {
    return { ...super.drawn(), captioned: true };
  }
}

/** A panel for a record. sheets: {name: data URI} of its pictures; sources(): {workflow, output}, for files that it saves.
 * @param {Run} record @param {Record<string, string>} sheets @param {() => Promise<any>} sources
 */
export function panelOf(record, sheets, sources) {
  const editor = /** @type {any} */ ({
    root: () => null,
    locale: () => "en",
    address: (/** @type {string} */ path) => sheets[new URLSearchParams(path.split("?")[1]).get("filename") ?? ""],
    sources,
  });
  const opening = OPENING.find((name) => viewOf(name).available(record)); // what has something to show
  const panel = new PagePanel({ properties: { gg_view: opening, gg_page: "geometry" } }, editor, new Map());
  panel.parts.pageStrip.hidden = true; // nothing can be queued from here: the figures are all
  return panel;
}

/** Show the record in its panel, which is on the page already; its colours follow the reader's.
 * @param {InspectorPanel} panel @param {Run} record
 */
export function openPanel(panel, record) {
  panel.start();
  panel.show(record);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", () => panel.content.dispatchEvent(new Event("pointerenter"))); // it looks at its colours then
  return panel;
}
