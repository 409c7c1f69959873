// @ts-check
/** The Guidance tab where the editor shows it: a panel, and the bar above it. */
import { canKeep } from "./keep.mjs";
import { nodeAt, scaleSource } from "./panel-graph.mjs";
import { put } from "./panel-parts.mjs";
import { Panel } from "./panel.mjs";
import { offer, tabParts } from "./tab-parts.mjs";
import { idOf, slotOf, stateOf } from "./tab-runs.mjs";
import { TriesView } from "./tries-parts.mjs";

export class Place {
  constructor(tab) {
    this.tab = tab;
    this.panel = new TabPanel(tab);
    this.panel.host.classList.add("gg-tab");
    this.parts = tabParts(this.panel.t);
    this.panel.content.querySelector("style").after(this.parts.bar);
    this.tries = new TriesView(tab, this.panel);
    this.parts.keep.before(this.tries.find, this.tries.half);
    this.parts.bar.append(this.tries.box);
    this.parts.toggle.addEventListener("change", () => tab.record(this.parts.toggle.checked));
    this.parts.runs.addEventListener("change", () => tab.choose(this.parts.runs.value));
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
    const said = [stateOf(state)].filter(Boolean).map((key) => t(key));
    const missed = state.unreached.length ? [t("tabUnreached", { names: state.unreached.join(", ") })] : [];
    put(parts.said, { textContent: [...said, ...missed, ...wordsOf(record)].join(" ") });
    put(panel.content, { "data-empty": chosen ? null : "" });
    this.tries.draw(chosen);
    if (chosen) this.show(chosen);
  }

  /** Bring the panel to a run. */
  async show(chosen) {
    const { tab, panel } = this;
    const id = idOf(chosen);
    if (this.shown !== id) {
      panel.turn();
      this.given = null;
      if (chosen.live) panel.goOn(chosen.live);
    }
    this.shown = id;
    if (chosen.live || this.given === id) return;
    this.given = id;
    const record = await tab.recordOf(chosen);
    if (this.shown !== id) return; // another one was chosen meanwhile
    await panel.show(record ?? { gone: true });
    this.draw();
  }

  step(message) {
    if (this.shown === message.run) this.panel.step(message);
  }
}

/** Why a run broke off, and what the recording has to say of itself. */
export function wordsOf(record) {
  const ended = record?.ended?.endsWith(": interrupted") ? "" : record?.ended;
  const notes = record?.notes ?? [];
  const looked = notes.some((note) => note.includes("evaluated after the run")); // goes on from the note on uncond
  const others = notes.filter((note) => looked || !note.startsWith("uncond was not")); // the panel says that itself
  return [ended, ...others].filter(Boolean).map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`);
}

class TabPanel extends Panel {
  constructor(tab) {
    super(tab.view, tab.editor, new Map());
    this.tab = tab;
  }

  /** Another run comes. */
  turn() {
    this.begin();
    Object.assign(this, { shown: null, finished: null });
  }

  source() {
    const chosen = this.tab.choice();
    const node = chosen?.node ?? chosen?.chain.at(-1).node;
    return node ? scaleSource(this.tab.root, nodeAt(this.tab.root, node), node) : null;
  }
}
