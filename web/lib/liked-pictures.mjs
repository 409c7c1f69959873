// @ts-check
/** Pictures of a person's own: how strongly they show the prompt of a run, by its model, and the value which that names. No DOM. */
import { FLAG } from "./tab-runs.mjs";
import { apart, Tries } from "./tries.mjs";
import { downstream, neededBy, picturesOf, samplerOf, shownBy } from "./try-prompt.mjs";

const ASKS = "gg-liked"; // no nodes of the graph
const SAID = `${ASKS}-said`;
const MOST = 64; // pictures
const DRAWS = 2; // how often the model is asked about each
const MOST_GUIDERS = 8; // one inside another

/** The job that asks the model of a sampler about pictures; null where its model, its prompts or a VAE cannot be found.
 *
 * names: of files in the host's input folder. size: [width, height] of the run's pictures.
 * @param {Prompt} prompt @param {string} sampler @param {any[]} names @param {number[]} size
 */
export function askingPrompt(prompt, sampler, names, [width, height]) {
  const asked = conditionsOf(prompt, sampler);
  const inputs = [...downstream(prompt, String(sampler)), ...Object.keys(prompt)].flatMap((id) => Object.entries(prompt[id].inputs ?? {}));
  const vae = inputs.find(([name, wire]) => /vae/i.test(name) && Array.isArray(wire))?.[1];
  if (!asked || !vae) return null;
  /** @type {Prompt} */ const own = {};
  /** @param {string} name @param {string} class_type @param {object} wires */
  const add = (name, class_type, wires) => {
    own[`${ASKS}-${name}`] = { class_type, inputs: wires };
    return [`${ASKS}-${name}`, 0];
  };
  const scaled = names.map((image, i) => add(`scaled${i}`, "ImageScale", { image: add(`loaded${i}`, "LoadImage", { image }), upscale_method: "lanczos", width, height, crop: "center" }));
  const pixels = scaled.reduce((image1, image2, i) => add(`batch${i}`, "ImageBatch", { image1, image2 }));
  const [measured] = add("measured", "GGMeasure", { ...asked, latent: add("encoded", "VAEEncode", { pixels, vae }), noise_seed: 0, draws: DRAWS });
  own[SAID] = { class_type: "PreviewAny", inputs: { source: [measured, 1] } };
  return neededBy({ ...prompt, ...own }, SAID);
}

/** {model, positive, negative}: wires of a sampler, or of the guider that it is given; null where one is missing.
 * @param {Prompt} prompt @param {string} sampler
 */
function conditionsOf(prompt, sampler) {
  let id = String(sampler);
  for (let hops = 0; prompt[id] && hops < MOST_GUIDERS; hops += 1) {
    const { model, positive, negative, guider } = prompt[id].inputs ?? {};
    if ([model, positive, negative].every(Array.isArray)) return { model, positive, negative };
    id = Array.isArray(guider) ? String(guider[0]) : "";
  }
  return null;
}

/** What the model said in such a job: [value, low, high]; null where the job did not come so far.  @param {Job} job */
function strengthOf(job) {
  try {
    return JSON.parse(job.outputs[SAID].text[0]).prompt_strength;
  } catch {
    return null;
  }
}

export class LikedPictures extends Tries {
  isAsking = true;
  count = 0;
  /** @type {?string} */ fault = null; // key of a sentence, or what the server says
  /** @type {any} */ liked = null; // what they name, as the server tells it

  /** about: {run, record, knob}, as `Tries` takes them.
   * @param {Editor} editor @param {Judged} about @param {() => void} changed
   */
  constructor(editor, about, changed) {
    super(editor, about, () => [], changed);
  }

  /** Have the model of the run asked about some files, and the value that they name looked up on the curve.
   * @param {File[]} files
   */
  async ask(files) {
    this.count = Math.min(files.length, MOST);
    this.changed();
    const answer = await this.answer(files.slice(0, MOST));
    if (this.over) return;
    const liked = answer?.value ? answer : null;
    Object.assign(this, { isAsking: false, liked, fault: liked ? null : (answer?.error ?? "mineFailed") });
    this.changed();
  }

  /** What the server says of them: {value, ...}, or {error: key of a sentence, or what it says}.
   * @param {File[]} files
   */
  async answer(files) {
    const { editor, run, knob } = this;
    const job = await editor.job(run.prompt_id);
    const sampler = job && (run.node ?? samplerOf(job.prompt, run.shown));
    const [shot] = job ? picturesOf(job.outputs, shownBy(job, sampler, editor.root()).of) : [];
    const size = shot ? await editor.sizeOf(shot) : null;
    if (!job || !size) return { error: "mineNoRun" };
    const names = await Promise.all(files.map((file) => editor.upload(file)));
    if (!names.every(Boolean)) return { error: "mineNotSent" };
    const prompt = askingPrompt(job.prompt, sampler, names, size);
    if (!prompt) return { error: "mineNoVae" };
    const workflow = apart(job.workflow ?? {});
    const unrecorded = { ...workflow, extra: { ...workflow.extra, [FLAG]: { ...workflow.extra[FLAG], record: false } } };
    const id = this.over ? null : await editor.queue(prompt, unrecorded);
    const prompt_strength = id && strengthOf(await this.waitForJob(id));
    return prompt_strength ? editor.curves("POST", { run: run.run, knob: knob.key, prompt_strength }) : null;
  }
}
