// @ts-check
/** What is tried out of one run: half of what guided it, or a range of it; and what is stored of its model. No DOM.
 *
 * The tab has one for all places that show it, each inspector one of its own.
 */
import { FindRange, knownRange, picksOf, rangeOf } from "./find-range.mjs";
import { MeasureModel } from "./measure-model.mjs";
import { LikedPictures } from "./liked-pictures.mjs";
import { CFG, keyFor, knobOf, roundWithin } from "./run-knobs.mjs";
import { TryHalf } from "./try-half.mjs";

export class Tryouts {
  /** @type {any} */ tries = null;
  /** @type {?string} */ opened = null;
  /** @type {any} */ stored = null;
  /** @type {?string} */ storedOf = null;
  /** @type {?string} */ unkept = null;
  /** @type {any} */ mine = null; // pictures of a person's own, while they are asked about and after
  /** @type {?string} */ knobKey = null; // chosen; null for the one that the report is about

  /** editor: what may be asked of it (see inspector.js). owner: shows the run. Its judged() is {run, record}, as `Tries`
   * takes them, null where nothing can be tried; sourceOf(knob, run) is where a knob is set; changed() draws; renew(run,
   * report) takes a newer report on a run.
   * @param {Editor} editor @param {any} owner
   */
  constructor(editor, owner) {
    this.editor = editor;
    this.owner = owner;
  }

  /** Of another workflow nothing is known. */
  forget() {
    this.stop();
    Object.assign(this, { opened: null, stored: null, storedOf: null, unkept: null, knobKey: null });
  }

  /** Nobody waits any longer for what was queued. */
  stop() {
    for (const attempt of [this.tries, this.mine]) attempt?.stop();
    Object.assign(this, { tries: null, mine: null });
  }

  /** The record of the run whose scale is judged. */
  record() {
    return this.tries?.record ?? this.owner.judged()?.record ?? null;
  }

  /** The number that is tried. */
  knob() {
    return this.tries?.knob ?? knobOf(this.record(), this.knobKey);
  }

  /** Where that number is set. */
  source() {
    const run = this.tries?.run ?? this.owner.judged()?.run;
    return run ? this.owner.sourceOf(this.knob(), run) : null;
  }

  /** What is stored of that number, as `rangeOf` says it. */
  range() {
    const record = this.record();
    return record && rangeOf(this.stored, record, this.knob());
  }

  /** What liked pictures name on the curve: a person's own, else those that were clicked; as the server tells it, null for nothing. */
  liked() {
    return this.mine?.liked ?? this.record()?.report?.liked?.[this.knob().key] ?? null;
  }

  /** The value to take: the one that liked pictures name, else the middle of the range; null for none. */
  wanted() {
    const named = this.liked()?.value[0] ?? null;
    return named === null ? (this.range()?.middle ?? null) : roundWithin(this.knob(), named);
  }

  /** Whether buttons of its own write a value of this knob.  @param {Knob} knob */
  takesValueOf({ key }) {
    return ["range", "measure"].includes(this.opened ?? "") && this.knob().key === key && this.wanted() !== null;
  }

  /** Another number is to be tried: show what is known of it, or find it.  @param {string} key */
  chooseKnob(key) {
    const { opened } = this;
    this.stop();
    Object.assign(this, { knobKey: key, opened: null });
    return opened === "measure" ? this.openMeasure() : this.openRange();
  }

  /** What is stored of the model of the run that is shown; asked once for each model in a row. */
  async askStored() {
    const record = this.record();
    const key = keyFor(record, this.knob());
    if (!record || this.storedOf === key) return;
    Object.assign(this, { storedOf: key, stored: null });
    const stored = key ? await this.editor.picks("GET", key) : null;
    if (this.storedOf === key) this.stored = stored;
    this.owner.changed();
  }

  /** Show what is known, or find it. */
  openRange() {
    if (this.opened === "range") return this.close();
    if (!this.record()) return; // its run is not read yet
    if (!this.range()) return this.findRange();
    this.stop();
    this.opened = "range";
    return this.owner.changed();
  }

  findRange() {
    return this.begin("range", (about, changed) => new FindRange(this.editor, about, changed, (picks) => this.keepPicks(picks)));
  }

  /** Show what was measured of this model, or measure it. */
  openMeasure() {
    if (this.opened === "measure") return this.close();
    if (!this.record()) return null;
    this.stop();
    this.opened = "measure";
    return this.owner.changed();
  }

  measure() {
    return this.begin("measure", (about, changed) => new MeasureModel(this.editor, about, changed, (picks) => this.keepPicks(picks), (asked) => this.keepCurve(asked)));
  }

  /** The curve of some runs, kept for their model; the report is of it from then on.  @param {any} asked */
  async keepCurve(asked) {
    const answer = await this.editor.curves("POST", asked);
    await this.reportAnew();
    return answer;
  }

  /** What was measured with this model, sampler, schedule and size: of now, or as the report tells it; null for nothing. */
  curve() {
    const { report } = this.record() ?? {};
    const { key } = this.knob();
    return this.tries?.measured ?? (key === knobOf(this.record()).key ? report?.curve : report?.curves?.[key]) ?? null;
  }

  /** Ask the model about pictures of a person's own.  @param {any[]} files */
  askAbout(files) {
    const judged = this.owner.judged();
    if (!judged) return null;
    this.mine?.stop();
    this.mine = new LikedPictures(this.editor, { ...judged, knob: this.knob() }, () => this.owner.changed());
    return this.mine.ask(files);
  }

  /** Further pictures of every value, where there are too few to tell. */
  addPictures() {
    if (this.opened !== "measure") this.openMeasure();
    return this.tryAgain();
  }

  openHalf() {
    if (this.opened === "half") return this.close();
    return this.begin("half", (about, changed) => new TryHalf(this.editor, about, changed));
  }

  /** The same pictures once more. */
  tryAgain() {
    if (this.opened === "measure") return this.tries?.cards.length ? this.tries.more() : this.measure();
    if (this.opened !== "half") return this.findRange();
    this.close();
    return this.openHalf();
  }

  /** @param {string} kind @param {(about: Judged, changed: () => void) => any} make */
  begin(kind, make) {
    const judged = this.owner.judged();
    if (!judged) return;
    this.stop(); // it may be of another run
    const knob = this.knob();
    this.tries = make({ ...judged, knob, range: knownRange(this.stored, judged.record, knob) }, () => this.owner.changed());
    Object.assign(this, { opened: kind, unkept: null });
    this.owner.changed();
    return this.tries.begin();
  }

  close() {
    this.stop();
    this.opened = null;
    this.owner.changed();
  }

  /** Store what a person finds good; what is stored by then is what the report is of.  @param {any} picks */
  async keepPicks(picks) {
    this.mine = null; // what was clicked last counts
    const { key } = picks.model;
    const stored = key ? await this.editor.picks("POST", key, picks) : null;
    const { plain } = this.record()?.report ?? {};
    this.unkept = stored?.ranges ? (plain || this.knob().key !== CFG ? null : "notPlain") : key ? "unkept" : "noKey";
    if (stored?.ranges) Object.assign(this, { stored, storedOf: key });
    await this.reportAnew();
  }

  /** Store that a value was liked, and another one beside it was not, unless that was liked before.
   *
   * Returns what `takeBack` needs; null where it could not be stored.
   * @param {number} value @param {any} other @param {Knob} knob
   */
  async prefer(value, other, knob) {
    const record = this.record();
    const about = this.stored?.picks.filter((/** @type {any} */ pick) => [value, other].includes(pick.cfg) && pick.knob === knob.key && pick.sampler_class === record.report.sampler_class) ?? [];
    const liked = about.some((/** @type {any} */ pick) => pick.cfg === other && pick.good);
    const picks = picksOf(record, [value, ...(liked ? [] : [other])].map((cfg) => ({ cfg, good: cfg === value, state: "there" })), null, knob);
    await this.keepPicks(picks);
    const values = picks.picks.map(({ cfg }) => cfg);
    const before = { ...picks, picks: about.filter((/** @type {any} */ { cfg }) => values.includes(cfg)) };
    return ["unkept", "noKey"].includes(this.unkept ?? "") ? null : { knob, values, before };
  }

  /** Store what was stored before.  @param {any} taken */
  async takeBack({ knob, values, before }) {
    await this.forgetPicks(knob, values);
    if (before.picks.length) await this.keepPicks(before);
    this.unkept = null;
    return null;
  }

  /** Forget what was chosen of a knob; of these values of it alone where there are any.  @param {any[]} [values] */
  async forgetPicks(knob = this.knob(), values = []) {
    const record = this.record();
    this.stored = await this.editor.picks("DELETE", keyFor(record, knob), null, record.report.sampler_class, knob.key, values);
    for (const card of this.tries?.cards ?? []) Object.assign(card, { good: false, liked: false });
    await this.reportAnew();
  }

  /** The verdict on the run that is shown, with what is known by now. */
  async reportAnew() {
    this.owner.changed();
    const { run } = this.owner.judged()?.run ?? {};
    const report = run && (await this.editor.report(run));
    if (report) this.owner.renew(run, report);
  }
}
