// @ts-check
/** A run once more at another value: what it drew, such as its seed, is put back, stays, and is what runs next. No DOM. */
import { nodeAt, widgetSource } from "./panel-graph.mjs";
import { samplerOf, upstream } from "./try-prompt.mjs";

const CONTROL = "control_after_generate";
const SEED = /seed/i; // where a node of a pack draws by itself, its widget has no such control
const FIXED = "fixed";

/** The widget that changes another one after each job; undefined where none does. */
function controlOf(node, widget) {
  const linked = widget.linkedWidgets?.find(({ name }) => name === CONTROL);
  const next = node.widgets?.[node.widgets.indexOf(widget) + 1];
  return linked ?? (next?.name === CONTROL ? next : undefined);
}

/** What a job drew for a sampler and what it depends on: [{node, widget, value}], to be written so that it is drawn again.
 *
 * prompt: of the job, in API form. A widget that changes after each job is fixed.
 */
export function drawnFor(root, prompt, sampler) {
  const found = new Map();
  for (const id of upstream(prompt, String(sampler))) {
    for (const [name, value] of Object.entries(prompt[id]?.inputs ?? {})) {
      const source = Array.isArray(value) ? null : widgetSource(root, id, name);
      if (!source?.widget) continue;
      const inner = nodeAt(root, id);
      const places = [source, { node: inner, widget: inner.widgets?.find((one) => one.name === name) }]; // a subgraph may show it
      const controls = places.flatMap(({ node, widget }) => (widget && controlOf(node, widget) ? [{ node, widget: controlOf(node, widget) }] : []));
      if (!controls.length && !(SEED.test(name) && typeof value === "number")) continue;
      found.set(source.widget, { node: source.node, widget: source.widget, value });
      for (const one of controls) found.set(one.widget, { ...one, value: FIXED });
    }
  }
  return [...found.values()];
}

/** Write a value and what the run drew, in one step of undo, and queue the graph; without its job the value alone is written.
 *
 * run: as the tab lists it, or with `shown`, as `Tries` takes it. source: where the value is set. words: `speaker`.
 */
export async function runAgain(editor, run, source, value, words) {
  const job = await editor.job(run.prompt_id);
  const drawn = job ? drawnFor(editor.root(), job.prompt, run.node ?? samplerOf(job.prompt, run.shown)) : [];
  const seeds = drawn.filter(({ value: one }) => one !== FIXED).map(({ value: one }) => one).join(", ");
  editor.write({ ...source, beside: [...(source.beside ?? []), ...drawn] }, value, words(seeds ? "seedKept" : "seedLost", { seeds }));
  if (seeds) await editor.queueGraph();
}
