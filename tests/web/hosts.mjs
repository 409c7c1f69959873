/** An editor that queues nothing: its jobs end at once, and what was queued is kept. */

export const PROMPT = {
  1: { class_type: "Loader", inputs: {} },
  4: { class_type: "KSampler", inputs: { cfg: 8, seed: 5, model: ["1", 0] } },
  6: { class_type: "CFGGuider", inputs: { cfg: 3, model: ["1", 0] } },
  7: { class_type: "SamplerCustomAdvanced", inputs: { guider: ["6", 0] } },
  8: { class_type: "VAEDecode", inputs: { samples: ["4", 0] } },
  9: { class_type: "SaveImage", inputs: { images: ["8", 0], filename_prefix: "x" } },
};
export const RUN = { run: "r", prompt_id: "job", node: "4", list_index: 0, index: 0 };
export const RECORD = { run: "r", cfg: 8, chain: "CFG", model: { name: "m", key: "ab" }, report: { sampler_class: "ode", range: null, plain: true } };

/** An editor whose jobs end at once; what was queued is kept. */
export function editor({ known = true, fails = [] } = {}) {
  const queued = new Map();
  const root = { nodes: [{ id: 4, widgets: [{ name: "cfg", value: 8 }], inputs: [] }] };
  const [own, tried] = ["9", "gg-try"].map((id) => ({ [id]: { images: [{ filename: "a.png" }] } }));
  return {
    queued, root: () => root, dropped: [],
    sources: async () => ({ workflow: { id: "w" }, output: PROMPT }),
    job: async (id) => (queued.has(id) || known ? { prompt: PROMPT, workflow: { id: "w", extra: { guidance_geometry: { key: "k" } } }, outputs: queued.has(id) ? tried : own, ended: !fails.includes(queued.get(id)?.prompt[4].inputs.cfg) } : null),
    queue: async (prompt, workflow) => { queued.set(`q${queued.size}`, { prompt, workflow }); return `q${queued.size - 1}`; },
    runsOf: async (job) => [{ ...RUN, run: `of ${job}`, prompt_id: job }],
    run: async (run) => ({ ...RECORD, run }),
    report: async (...runs) => ({ findings: [{ id: "acts.steps" }, { id: "half.same", en: runs.join(" ") }] }),
    inQueue: async () => [], // all have ended
    dequeue(jobs) { this.dropped.push(...jobs); },
  };
}
