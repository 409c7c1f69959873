// @ts-check
/** Try half: the same noise at half the value of a knob, and what becomes of the picture. No DOM. */
import { halfValue } from "./run-knobs.mjs";
import { Tries } from "./tries.mjs";

const SAYS = /^half\./;

/** Sentences of a report about a second run.  @param {any} report */
export const halfOf = (report) => (report?.findings ?? []).filter((/** @type {{id: string}} */ { id }) => SAYS.test(id));

export class TryHalf extends Tries {
  kind = "half";
  /** @type {any[]} */ said = [];

  /** @param {Editor} editor @param {Judged} about @param {() => void} changed */
  constructor(editor, about, changed) {
    super(editor, about, (own) => [own, halfValue(this.knob, own) ?? own], changed);
  }

  async begin() {
    await super.begin();
    const [own, half] = this.cards.map(({ run }) => run?.run);
    if (this.over || !own || !half) return;
    this.said = halfOf(await this.editor.report(own, half, [this.shown.of, this.shown.id])); // compared is what both jobs showed there
    this.changed();
  }
}
