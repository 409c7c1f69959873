// @ts-check
/** The numbers that guided a run and that can be tried: as its report names them, and where they are set. No DOM. */
import { nodeAt, scaleSource, widgetSource } from "./panel-graph.mjs";

const MOST_GUIDERS = 8; // one inside another
export const CFG = "cfg"; // key of the knob that most runs have
export const LORA = "lora"; // kind of the knob that is the strength of a LoRA
const OFF = 1; // cfg at which guidance is off

/** Every knob of a run that is set by a widget, first the one that its report is about; without a report cfg.
 * @param {?Run} record
 */
export function knobsOf(record) {
  const { report, cfg } = record ?? {};
  return report?.knobs ?? [{ key: CFG, kind: CFG, name: CFG, value: cfg ?? null, title: null, node: null, input: CFG, limits: [OFF, null] }];
}

/** The knob of a key, else the one that the report is about.
 * @param {any} record
 * @param {?string} key
 */
export const knobOf = (record, key = null) => knobsOf(record).find((knob) => knob.key === key) ?? knobsOf(record)[0];

/** What a knob is called, and whose it is.  @param {Knob} knob */
export const knobName = ({ kind, name, title, what }) => (kind === CFG || !(what ?? title) ? name : `${name} (${what ?? title})`);

/** By what the choices and the curves of a knob of a run are kept; null where nothing tells its model from others.
 * @param {any} record @param {any} knob
 */
export const keyFor = (record, knob) => (record?.model?.key ? (knob?.model ?? record.model.key) : null);

/** Those among which a person may choose: whose widget is known, and that is above nothing.  @param {Run} record */
export const triableKnobs = (record) => knobsOf(record).filter(({ kind, node, value }) => kind === CFG || (node && (value ?? 0) > 0));

/** What is worth trying: between the ends that a widget takes, as it shows numbers.
 * @param {Knob} knob @param {number} value
 */
export function roundWithin({ limits: [low, high] }, value) {
  const bounded = Math.min(high ?? Infinity, Math.max(low ?? 0, value));
  return Number(bounded >= 1 ? bounded.toFixed(1) : bounded.toPrecision(2));
}

/** The middle of two values of a knob: by their ratio, but from 0 by their difference.
 * @param {number} low @param {number} high
 */
export const halfWay = (low, high) => (low > 0 ? Math.sqrt(low * high) : (low + high) / 2);

/** Half of a value, null where that is nothing to try.  @param {any} knob */
export function halfValue(knob, value = knob?.value) {
  const half = value > 0 ? Math.max(knob.limits[0] ?? 0, value / 2) : value;
  return half < value ? half : null;
}

/** Id of the node in a prompt whose cfg is the scale of a sampler, which a wire may bring; null where nobody has one.
 * @param {Prompt} prompt @param {any} sampler
 */
function scalePlace(prompt, sampler) {
  let id = sampler;
  for (let hops = 0; prompt[id] && hops < MOST_GUIDERS; hops += 1) {
    const { cfg, guider } = prompt[id].inputs ?? {};
    if (cfg !== undefined) return id;
    id = Array.isArray(guider) ? String(guider[0]) : null;
  }
  return null;
}

/** Id of the node in a prompt that holds a knob of a sampler; null where none does.
 * @param {Prompt} prompt @param {string} sampler @param {any} knob
 */
export function knobPlace(prompt, sampler, { kind, node, input }) {
  if (kind === CFG) return scalePlace(prompt, sampler);
  return prompt[node]?.inputs?.[input] === undefined ? null : node;
}

/** Where a knob is set in the graph, as `scaleSource` says it; with beside: [{widget, value}] that must stand so for it to
 * count, where a preset stands in for it.
 * @param {?Graph} root @param {string} sampler @param {Knob} knob
 */
export function knobSource(root, sampler, { kind, node, input, beside }) {
  if (kind === CFG) return scaleSource(root, nodeAt(root, sampler) ?? {}, sampler);
  const source = node ? widgetSource(root, node, input) : null;
  if (!source?.widget || !beside) return source;
  const others = Object.entries(beside).map(([name, value]) => ({ ...widgetSource(root, node, name), value }));
  return others.every(({ widget }) => widget) ? { ...source, beside: others } : null;
}
