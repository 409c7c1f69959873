// @ts-check
/** A run once more at another value: what it drew, such as its seed, is put back, stays, and is what runs next. No DOM. */
import { CONTROL, nodeAt, widgetSource } from "./panel-graph.mjs";
import { feedsSeed, samplerOf, SEED, shownBy, upstream } from "./try-prompt.mjs";

const FIXED = "fixed";

/** The widget that changes another one after each job; undefined where none does.
 * @param {GraphNode} node @param {Widget} widget
 */
function controlOf(node, widget) {
  const linked = widget.linkedWidgets?.find((/** @type {any} */ { name }) => name === CONTROL);
  const next = node.widgets?.[node.widgets.indexOf(widget) + 1];
  return linked ?? (next?.name === CONTROL ? next : undefined);
}

/** What a job drew for a sampler and for the picture that shows it: [{node, widget, value, seed: whether it is one}], to be
 * written so that it is drawn again.
 *
 * job: {prompt, outputs}. A widget that changes after each job is fixed; one that a person fixed stays, unless it is a seed.
 * @param {any} root @param {Job} job @param {any} sampler
 */
export function drawnFor(root, job, sampler) {
  const { prompt } = job;
  const found = new Map();
  const ids = new Set([String(sampler), shownBy(job, sampler, root).of].flatMap((id) => [...upstream(prompt, id)]));
  for (const id of ids) {
    for (const [name, value] of Object.entries(prompt[id]?.inputs ?? {})) {
      const source = Array.isArray(value) ? null : widgetSource(root, id, name);
      if (!source?.widget) continue;
      const inner = nodeAt(root, id);
      const places = [source, { node: inner, widget: inner.widgets?.find((/** @type {any} */ candidate) => candidate.name === name) }]; // a subgraph may show it
      const controls = places.flatMap(({ node, widget }) => (widget && controlOf(node, widget) ? [{ node, widget: controlOf(node, widget) }] : []));
      const seed = typeof value === "number" && (SEED.test(name) || (controls.length > 0 && feedsSeed(prompt, id)));
      if (!seed && controls.every(({ widget }) => widget.value === FIXED)) continue;
      found.set(source.widget, { node: source.node, widget: source.widget, value, seed });
      for (const control of controls) found.set(control.widget, { ...control, value: FIXED });
    }
  }
  return [...found.values()];
}

/** Write a value and what the run drew, in one step of undo, and queue the graph; without its job the value alone is written.
 *
 * panel: asks for it. run: as the tab lists it, or with `shown`, as `Tries` takes it. source: where the value is set.
 * @param {InspectorPanel} panel @param {ListedRun} run @param {any} source @param {number} value
 */
export async function runAgain(panel, run, source, value) {
  const { editor, t } = panel;
  const job = await editor.job(run.prompt_id);
  if (job === undefined) return editor.say(t("noAnswer"));
  const drawn = job ? drawnFor(editor.root(), job, run.node ?? samplerOf(job.prompt, run.shown)) : [];
  const seeds = drawn.filter(({ seed }) => seed).map(({ value: one }) => one).join(", ");
  if (seeds) panel.willRun();
  editor.write({ ...source, beside: [...(source.beside ?? []), ...drawn] }, value, t(seeds ? "seedKept" : "seedLost", { seeds }));
  return seeds ? editor.queueGraph() : null;
}
