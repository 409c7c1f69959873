// @ts-check
/** Keys and wheel inside the panel. Nothing is bound outside it, and nothing with Ctrl, Alt or Meta. */

const REMOVE = ["Backspace", "Delete"]; // the editor would remove the node
const MOVES = {
  ArrowRight: (panel) => panel.goTo(panel.at + 1),
  ArrowLeft: (panel) => panel.goTo(panel.at - 1),
  Home: (panel) => panel.goTo(0),
  End: (panel) => panel.goTo(panel.lastStep()),
  " ": (panel) => panel.playOrPause(),
};

/** Arrows, Home and End move through the run, Space plays, Escape gives the focus back to the editor. */
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

/** With the focus inside, the wheel scrolls here; otherwise it zooms the canvas as everywhere. */
export function wheel(panel, event) {
  if (!panel.editor.wheel) return; // a page scrolls
  if (panel.content.contains(panel.content.ownerDocument.activeElement) && !event.ctrlKey) {
    event.stopPropagation();
    return;
  }
  event.preventDefault();
  panel.editor.wheel(event);
}
