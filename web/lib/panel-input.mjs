// @ts-check
/** Keys and wheel inside the panel. Nothing is bound outside it, and nothing with Ctrl, Alt or Meta. */
import { lastStep } from "./panel-state.mjs";

const REMOVE = ["Backspace", "Delete"]; // the editor would remove the node
const [MIDDLE, MIDDLE_HELD] = [1, 4]; // as `button` and `buttons` of an event count
/** @type {Record<string, (panel: InspectorPanel) => void>} */
const MOVES = {
  ArrowRight: (panel) => panel.goTo(panel.state.at + 1),
  ArrowLeft: (panel) => panel.goTo(panel.state.at - 1),
  Home: (panel) => panel.goTo(0),
  End: (panel) => panel.goTo(lastStep(panel.run)),
  " ": (panel) => panel.playOrPause(),
};

/** Arrows, Home and End move through the run, Space plays, Escape gives the focus back to the editor.
 * @param {InspectorPanel} panel @param {any} event
 */
export function keys(panel, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") event.target.blur();
  const own = ["INPUT", "SELECT", "BUTTON"].includes(event.target.tagName); // they know these keys themselves
  const move = MOVES[event.key];
  if (!move && !REMOVE.includes(event.key) && !event.key.startsWith("Arrow") && event.key !== "Enter") return;
  event.stopPropagation();
  if (own || !move || !panel.run) return;
  event.preventDefault();
  move(panel);
}

/** The wheel zooms the canvas as everywhere; with the focus inside it first scrolls what scrolls under the pointer.
 * @param {InspectorPanel} panel @param {any} event
 */
export function wheel(panel, event) {
  if (!panel.editor.wheel) return; // a page scrolls
  const { content } = panel;
  if (!event.ctrlKey && content.contains(content.ownerDocument.activeElement) && scrolls(event.target, content)) {
    event.stopPropagation();
    return;
  }
  event.preventDefault();
  panel.editor.wheel(event);
}

/** Whether an element, or one around it up to the panel, has more to show than it has room for.
 * @param {any} element @param {any} content
 */
function scrolls(element, content) {
  for (let around = element; around && content.contains(around); around = around.parentElement) {
    if (around.scrollHeight > around.clientHeight && /auto|scroll/.test(getComputedStyle(around).overflowY)) return true;
  }
  return false;
}

/** The middle button drags the canvas as everywhere; other presses stay here, or the older Nodes 2.0 drags the node.
 * @param {InspectorPanel} panel @param {MouseEvent} event
 */
export function drag(panel, event) {
  const { pan } = panel.editor;
  if (pan && (event.button === MIDDLE || event.buttons & MIDDLE_HELD)) pan(event);
  else if (event.type === "pointerdown") event.stopPropagation();
}
