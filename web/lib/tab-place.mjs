// @ts-check
/** The Guidance tab where the editor shows it: a panel, and the bar above it. */
import { canKeep } from "./keep.mjs";
import { nodeAt, scaleSource } from "./panel-graph.mjs";
import { put } from "./panel-parts.mjs";
import { Panel } from "./panel.mjs";
import { offer, tabParts } from "./tab-parts.mjs";
import { idOf, OFFERS, slotOf, stateOf } from "./tab-runs.mjs";

export class Place {
  /** @type {?string} */ shown = null; // id of the run, or of the series
  /** @type {?string} */ handed = null; // that, and when it ended, of the record that was handed over

  /** @param {GuidanceTab} tab */
  constructor(tab) {
    this.tab = tab;
    this.panel = new TabPanel(tab);
    this.panel.host.classList.add("gg-tab");
    this.parts = tabParts(this.panel.t);
    this.panel.content.querySelector("style").after(this.parts.bar);
    this.parts.bar.prepend(this.panel.parts.pageStrip);
    this.parts.bar.append(this.panel.change.box);
    this.parts.bar.after(this.parts.rows.box);
    this.parts.rows.choose = (/** @type {?string} */ slot) => tab.choose(slot);
    this.parts.toggle.addEventListener("change", () => tab.record(this.parts.toggle.checked));
    this.parts.runs.addEventListener("change", () => tab.choose(this.parts.runs.value));
    this.parts.begin.addEventListener("click", () => tab.recordAndRun());
    this.parts.fresh.addEventListener("click", () => tab.runAfresh());
    this.parts.keep.addEventListener("click", () => tab.editor.keep(nodeAt(tab.root, tab.choice().node)));
  }

  draw() {
    const { tab, panel, parts } = this;
    const { t } = panel;
    const state = tab.state();
    const { chosen } = state;
    put(parts.toggle, { checked: state.on });
    offer(parts.runs, tab.options(t), chosen ? slotOf(chosen) : "");
    put(parts.keep, { hidden: !chosen?.node || !canKeep(tab.root, nodeAt(tab.root, chosen.node)) });
    const record = chosen && panel.run?.run === idOf(chosen) ? panel.run : null;
    const where = stateOf(state);
    const said = where ? [t(where.key, where), where.earlier && chosen ? t("tabEarlier") : ""].filter(Boolean) : [];
    for (const name of OFFERS) put(parts[name], { hidden: where?.offer !== name });
    const missed = state.unreached.length ? [t("tabUnreached", { names: state.unreached.join(", ") })] : [];
    put(parts.said, { textContent: [...said, ...missed, ...wordsOf(record)].join(" ") });
    parts.rows.fill(tab.samplers(), tab, t, panel.editor.locale());
    put(panel.content, { "data-empty": chosen ? null : "" });
    panel.redraw();
    if (chosen) this.show(chosen);
  }

  /** Bring the panel to a run.  @param {any} chosen */
  async show(chosen) {
    const { tab, panel } = this;
    const id = idOf(chosen);
    if (this.shown !== id) {
      panel.turn();
      this.handed = null;
      if (chosen.live) panel.goOn(chosen.live);
    }
    this.shown = id;
    const version = `${id} ${whenOf(chosen)}`;
    if (chosen.live || this.handed === version) return;
    this.handed = version;
    const record = await tab.recordOf(chosen);
    if (this.handed !== version) return; // another one was chosen meanwhile, or it has grown
    await panel.show(record ?? { gone: true });
    this.draw();
  }

  /** @param {Message} message */
  step(message) {
    if (this.shown === message.run) this.panel.step(message);
  }
}

/** When a run ended, or the runs of a series: one that its node samples in pieces ends once more with each of them.
 * @param {any} run
 */
const whenOf = ({ when, chain }) => chain?.map(whenOf).join() ?? when;

/** @type {Record<string, number>} */
const WANTED = { advice: 350, geometry: 396 }; // pixels: there a figure of 300, with the slider below it and the bar above
const MOST = 0.88; // of what the graph and the panel share
const SETTLING = 2000; // milliseconds in which an editor on a busy machine may lay out anew what it has just shown

/** Where the editor opens its bottom panel so low that a page cannot be read, raise it: beside it are the graph and a bar.
 * @param {any} box @param {number} wanted
 */
function makeRoom(box, wanted) {
  const panel = box.closest(".bottom-panel");
  const beside = [...(panel?.parentElement?.children ?? [])].filter((sibling) => sibling !== panel);
  const [graph] = beside.sort((first, other) => other.clientHeight - first.clientHeight);
  const whole = panel && graph ? panel.clientHeight + graph.clientHeight : 0; // the bar between them has its height
  if (!whole || box.clientHeight >= wanted) return;
  const share = 100 * Math.min(MOST, (panel.clientHeight + wanted - box.clientHeight) / whole);
  panel.style.flex = `${share} 1 0px`; // as shares: some editors give sizes in this way, others as a basis
  graph.style.flex = `${100 - share} 1 0px`;
}

const NOT_MADE = "the prediction without the prompt was not made"; // how a note begins: host/recording/run_facts.py

/** Why a run broke off, and what the recording has to say of itself.  @param {any} record */
export function wordsOf(record) {
  const ended = record?.ended?.endsWith(": interrupted") ? "" : record?.ended;
  const notes = record?.notes ?? [];
  const looked = notes.some((/** @type {string} */ note) => note.includes("evaluated after the run")); // goes on from that note
  const others = notes.filter((/** @type {string} */ note) => looked || !note.startsWith(NOT_MADE)); // the panel says that itself
  return [ended, ...others].filter(Boolean).map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`);
}

class TabPanel extends Panel {
  raised = new Set();
  /** @type {?number} */ appeared = null;
  /** @type {?string} */ seenIn = null; // a window of this size
  wide = 1100; // it is low

  /** @param {GuidanceTab} tab */
  constructor(tab) {
    super(tab.view, tab.editor, new Map(), tab.tryouts);
    this.tab = tab;
  }

  start() {
    super.start();
    this.watcher?.observe(this.content.querySelector(".gg-bar")); // what it takes the figure has not
  }

  /** @param {string} page */
  choosePage(page) {
    super.choosePage(page);
    this.makeRoom();
  }

  /** Where it is wide, they stand beside the figures, too. */
  get offersTries() {
    return true;
  }

  /** Once for each page: after that, and while a pointer is pressed, whoever drags the panel has the last word. */
  makeRoom() {
    const settling = Date.now() - (this.appeared ?? 0) < SETTLING && !document.querySelector(":active");
    if (!this.host.clientHeight || (this.raised.has(this.choices.page) && !settling)) return; // the editor has not laid it out yet
    this.raised.add(this.choices.page);
    makeRoom(this.host, WANTED[this.choices.page]);
  }

  /** Where the editor took the panel away, as for App mode, or its window got another size, it lays it out anew.
   * @param {any[]} entries
   */
  measureViews(entries) {
    super.measureViews(entries);
    const { clientWidth, clientHeight } = document.documentElement;
    const seenIn = this.host.clientHeight ? `${clientWidth} x ${clientHeight}` : null;
    if (seenIn !== this.seenIn) {
      this.appeared = seenIn ? Date.now() : null;
      this.raised.clear();
    }
    this.seenIn = seenIn;
    this.makeRoom();
  }

  willRun() {
    this.tab.flag(true); // part of the step of undo that is written next
  }

  get jobId() {
    return this.tab.single()?.prompt_id;
  }

  judged() {
    const chosen = this.tab.choice();
    return chosen && !chosen.chain && this.whole ? { run: chosen, record: this.whole } : null;
  }

  earlier() {
    const { tab } = this;
    const chosen = tab.choice();
    const run = chosen?.live ? tab.runs.findLast((entry) => slotOf(entry) === slotOf(chosen)) : null;
    return run ? { run, record: tab.records.get(run.run), report: tab.reports.get(run.run) } : null;
  }

  /** Another run comes. */
  turn() {
    this.begin();
    this.handed = null;
    this.set({ finished: null });
  }

  scalePlace() {
    const chosen = this.tab.choice();
    const node = chosen?.node ?? chosen?.chain.at(-1).node;
    return node ? scaleSource(this.tab.root, nodeAt(this.tab.root, node), node) : null;
  }
}
