// @ts-check
/** The inspector's panel: one element, one run. What it shows is a function of its state and of a person's choices
 * (panel-state.mjs); here events change the two, and whatever changed is drawn. Nothing runs while nothing changes.
 */
import { followed, nodeAt, pathOf, scaleSource } from "./panel-graph.mjs";
import { drag, keys, wheel } from "./panel-input.mjs";
import { AdviceView } from "./advice-parts.mjs";
import { ChangeLine } from "./change.mjs";
import { chooserOptions, pageControls, scaleControls, stepControls } from "./panel-controls.mjs";
import { NumbersView } from "./panel-numbers.mjs";
import { element, listen, markTabs, parts, put, putAll, turnTab } from "./panel-parts.mjs";
import { blame } from "./panel-record.mjs";
import { Sheets } from "./panel-sheets.mjs";
import { beginRun, choosePart, continueRun, FIRST_CHOICES, goToStep, lastStep, NO_RUN, ownScale, PAGES, partnerOf, receiveSteps, restoreChoices, settleSample,
  shownRun, takeRecord, takeReport, usualSample } from "./panel-state.mjs";
import { VerdictView } from "./panel-verdict.mjs";
import { View } from "./panel-view.mjs";
import { ariaWords, joinSentences, pictureWords, status } from "./panel-words.mjs";
import { Presentation } from "./present.mjs";
import { runAgain } from "./run-again.mjs";
import { CFG, knobOf, knobSource } from "./run-knobs.mjs";
import { savePNG, saveSVG } from "./saving.mjs";
import { share } from "./sharing.mjs";
import { speaker } from "./strings.mjs";
import { offer } from "./tab-parts.mjs";
import { brightness, DARK, LIGHT } from "./theme.mjs";
import { TriesView } from "./tries-parts.mjs";
import { Tryouts } from "./tryouts.mjs";
import { viewOf, VIEWS } from "./views.mjs";

const PACE = 220; // milliseconds a step while playing; slower for those who asked for less motion
const CALM_PACE = 1000;
const GRACE = 3000; // milliseconds in which undo puts another node in the place of one that it has removed
/** @type {WeakMap<any, Panel>} */
const OWNERS = new WeakMap(); // host -> the panel that was there last

export class Panel {
  state = NO_RUN;
  choices = FIRST_CHOICES;
  width = 0; // pixels, as measured: of the panel
  room = 0; // and of its figures
  wide = 820; // pixels of room from which on a second view stands beside the first
  theme = DARK;
  /** @type {any} */ handed = null; // the record that was handed over last, or the file that holds it
  /** @type {?Panel} */ before = null; // that was in this place
  /** @type {any} */ widget = null;
  /** @type {?ResizeObserver} */ watcher = null;
  /** @type {?MutationObserver} */ palette = null;
  /** @type {?number} */ frame = null; // in which it will be drawn
  /** @type {any} */ timer = null; // of the next step while it plays
  /** @type {any} */ leaving = undefined; // the timer that lets go of what is tried

  /** node: the editor's. editor: what the panel may ask it (see inspector.js). hosts: locator -> element on the page.
   * tryouts: of who else shows the same run, null for its own.
   * @param {any} node @param {Editor} editor @param {Map<any, any>} hosts @param {?Tryouts} [tryouts]
   */
  constructor(node, editor, hosts, tryouts = null) {
    this.node = node;
    this.editor = editor;
    this.hosts = hosts;
    this.tryouts = tryouts ?? new Tryouts(editor, this);
    this.choices = restoreChoices(this.choices, node.properties);
    this.t = speaker(editor.locale());
    this.parts = parts(PAGES, VIEWS.map(({ name }) => name), this.t);
    this.content = this.parts.content;
    this.advice = new AdviceView(this);
    this.tries = new TriesView(this);
    this.verdict = new VerdictView(this);
    this.numbers = new NumbersView(this);
    this.change = new ChangeLine(this);
    this.parts.top.after(this.change.box);
    const { main, beside, track } = this.parts;
    this.views = { main: new View(main, this), beside: new View(beside, this), track: new View(track, this) };
    this.host = element("div", { class: "gg-host widget-expands" }, this.content); // the second for the older Nodes 2.0
    this.sheets = this.freshSheets();
    this.listen();
  }

  listen() {
    const { content } = this;
    const { tabs, strip, pages, pageStrip, second, scrub, play, part, sample, scale, use, why, how, info, apply, again, svg, png, full, present } = this.parts;
    for (const tab of tabs) listen(tab, "click", () => this.choose(tab.dataset.view));
    for (const page of pages) listen(page, "click", () => this.choosePage(page.dataset.page));
    listen(strip, "keydown", (event) => turnTab(event, tabs));
    listen(pageStrip, "keydown", (event) => turnTab(event, pages));
    listen(second, "change", () => this.chooseSecond(second.value));
    listen(scrub, "input", () => this.goTo(Number(scrub.value)));
    listen(play, "click", () => this.playOrPause());
    listen(part, "change", () => this.choosePart(part.value));
    listen(sample, "change", () => this.chooseSample(Number(sample.value)));
    listen(scale, "input", () => this.set({ scale: Number(scale.value), note: "" }));
    listen(use, "click", () => this.useScale());
    listen(why, "click", () => this.setChoices({ open: !this.verdict.isOpen }));
    listen(how, "click", () => this.setChoices({ deep: !this.choices.deep }));
    listen(info, "click", () => this.setChoices({ info: !this.choices.info }));
    listen(apply, "click", () => this.applyVerdict());
    listen(again, "click", () => this.runAgain());
    listen(svg, "click", () => saveSVG(this));
    listen(png, "click", () => (this.choices.page === "advice" ? share(this) : savePNG(this)));
    listen(full, "click", () => this.fillScreen());
    listen(present, "click", () => new Presentation(this.shareable(), content.dataset.theme, this.t).open(content.parentElement));
    for (const kind of ["pointerdown", "pointermove", "pointerup"]) listen(content, kind, (event) => drag(this, event));
    listen(content, "pointerenter", () => this.look());
    listen(content, "keydown", (event) => keys(this, event));
    listen(content, "focusout", ({ target }) => setTimeout(() => this.keepFocus(target)));
    listen(content, "wheel", (event) => wheel(this, event), { passive: false });
  }

  /** Where a button goes with its click, who uses the keyboard stays in the panel.  @param {any} target */
  keepFocus(target) {
    const { content } = this;
    if (document.activeElement === document.body && content.isConnected && !target.getClientRects().length) content.focus({ preventScroll: true });
  }

  /** The run that is shown, all parts of its samples. */
  get whole() {
    return this.state.whole;
  }

  /** The part of it that is shown. */
  get run() {
    return shownRun(this.state);
  }

  /** Id of the job of the run that is shown. */
  get jobId() {
    return this.whole?.prompt_id;
  }

  /** @param {Partial<import("./panel-state.mjs").PanelState>} changes */
  set(changes) {
    this.state = { ...this.state, ...changes };
    this.redraw();
  }

  /** @param {Partial<import("./panel-state.mjs").PanelChoices>} changes */
  setChoices(changes) {
    this.choices = { ...this.choices, ...changes };
    this.redraw();
  }

  /** What the workflow keeps with the node.  @param {string} name @param {any} value */
  keepProperty(name, value) {
    this.node.properties ??= {};
    this.node.properties[name] = value;
  }

  // In and out of the graph

  /** The node has entered a graph. */
  start() {
    clearTimeout(this.leaving);
    this.watcher ??= new ResizeObserver((entries) => this.measureViews(entries));
    for (const box of [this.content, this.parts.figures, ...Object.values(this.views).map((view) => view.box)]) this.watcher.observe(box);
    this.palette ??= new MutationObserver(() => this.look());
    this.palette.observe(document.documentElement, { attributeFilter: ["style", "class"] }); // the editor's themes
    this.editor.advice?.watchers.add(this);
    this.redraw();
  }

  /** @param {ResizeObserverEntry[]} entries */
  measureViews(entries) {
    for (const { target, contentRect } of entries) {
      const size = { w: Math.round(contentRect.width), h: Math.round(contentRect.height) };
      if (target === this.content) this.width = size.w;
      else if (target === this.parts.figures) this.room = size.w;
      else for (const view of Object.values(this.views)) if (view.box === target) view.size = size;
    }
    const bar = this.content.querySelector(".gg-bar"); // of the tab
    this.content.style.setProperty("--gg-room", `${this.content.clientHeight - (bar?.offsetHeight ?? 0)}px`);
    this.look();
  }

  /** See which theme the editor has; asked now and then only, for the answer costs more than a figure. */
  look() {
    const isLight = brightness(getComputedStyle(this.content).color) < 0.5; // dark words
    put(this.content, { "data-theme": isLight ? "light" : "dark" });
    this.theme = isLight ? LIGHT : DARK;
    this.redraw();
  }

  /** Nodes 2.0 keeps the element of a rebuilt node on the page: move into it.  @param {string} key */
  adopt(key) {
    this.choices = restoreChoices(this.choices, this.node.properties);
    const old = this.hosts.get(key);
    this.follows(OWNERS.get(old) ?? null);
    if (old && old !== this.host && old.isConnected) {
      old.replaceChildren(this.content);
      this.host = old;
      this.widget.element = old;
    }
    this.hosts.set(key, this.host);
    OWNERS.set(this.host, this);
    this.redraw();
  }

  /** Another panel was in this place, or handed it on before it had a run itself.  @param {?Panel} last */
  follows(last) {
    if (!last || last === this) return;
    clearTimeout(last.leaving); // what is tried there may go on here
    this.before = last.whole ? last : last.before;
    last.before = null;
  }

  /** The node has left its graph. The element stays: Nodes 2.0 may give it to the node that comes instead. */
  dispose() {
    this.pause();
    this.editor.advice?.watchers.delete(this);
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => this.letGo(), GRACE);
    this.watcher?.disconnect();
    this.palette?.disconnect();
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.sheets = this.freshSheets();
  }

  /** What is tried here ends; what was tried in the panel before, too, unless it goes on here. */
  letGo() {
    this.letGoBefore();
    if (this.tryouts.owner === this) this.tryouts.forget();
  }

  letGoBefore() {
    this.before?.letGo();
    this.before = null;
  }

  // A run comes in, as long as it goes on and when it has ended

  begin() {
    this.pause();
    this.set(beginRun(this.state));
  }

  /** Numbers that arrive while the sampler runs.  @param {Message} message */
  step(message) {
    if (this.whole?.run !== message.run && this.state.finished !== message.run) this.pause();
    this.set(receiveSteps(this.state, message));
  }

  /** A run as far as it has come.  @param {?Run} whole */
  goOn(whole) {
    this.set(continueRun(this.state, whole));
  }

  /** A finished run: the record, or the file that holds it.  @param {any} record */
  async show(record) {
    if (record === this.handed) return;
    this.handed = record;
    if (record.file) this.set({ trouble: { key: "reading" } });
    const whole = record.file ? ((await this.editor.record(record.file.filename)) ?? { gone: true }) : record;
    if (this.handed === record) this.take(whole);
    this.redraw();
  }

  /** @param {Run} record */
  take(record) {
    const isNew = this.run?.run !== record.run;
    const before = isNew ? this.replaced(record) : null;
    this.state = takeRecord(this.state, record, this.usualSample(record), before && { at: before.state.at, sample: before.state.sample, follow: before.state.follow });
    if (this.state.trouble) return;
    if (before) this.choices = { ...this.choices, page: before.choices.page };
    if (before && before.tryouts.owner === before) { // what was tried out there goes on here
      this.tryouts = before.tryouts;
      this.tryouts.owner = this;
    }
    if (isNew) this.letGoBefore();
    this.sheets = this.freshSheets();
    this.look();
  }

  /** The panel of the node that undo has replaced, where it showed this very run.  @param {Run} record */
  replaced(record) {
    return this.before?.run?.run === record.run ? this.before : null;
  }

  /** A report on the run that is shown.  @param {any} report */
  takeReport(report) {
    if (!this.whole) return;
    this.set(takeReport(this.state, report));
    if (this.watcher) this.verdict.draw(); // before the figures, which take longer
  }

  /** The report on a run is another one by now.  @param {string} run @param {any} report */
  renew(run, report) {
    if (this.whole?.run === run) this.takeReport(report);
  }

  /** The sample at which a reader begins: the one that was chosen on this node is saved with the workflow.  @param {?Run} run */
  usualSample(run) {
    return usualSample(run, this.node.properties?.gg_sample);
  }

  /** A job ended early; none is named where it may be any.  @param {string} [job] */
  endEarly(job) {
    if (!this.run?.live || (job && this.run.prompt_id !== job)) return;
    this.blame({ fault: "stopped" });
  }

  /** The run goes on where its job does.  jobs: that run or wait, none as long as ComfyUI does not answer
   * @param {string[]} jobs
   */
  goOnWith(jobs) {
    const { live, prompt_id: job = "", fault } = this.run ?? {};
    if (!live || fault === "stopped") return;
    this.blame({ fault: jobs.includes(job) ? undefined : "away" });
  }

  /** A job of this workflow ran without this node.  whole: the run that was shown when it ended  @param {?Run} whole */
  leftOut(whole) {
    if (this.whole !== whole) return; // another one has begun since
    this.blame({ fault: "leftOut" });
  }

  /** @param {{fault?: string}} fault */
  blame(fault) {
    blame(this.whole, fault);
    this.redraw();
  }

  // What a person does

  /** Light a step wherever it is shown; null for none.  @param {?number} step */
  light(step) {
    if (step !== this.state.lit) this.set({ lit: step });
  }

  /** Show a step and stay there.  @param {number} step */
  goTo(step) {
    this.set(goToStep(this.state, step));
  }

  /** A view, on its page.  @param {string} view */
  choose(view) {
    if (this.numbers.isOpen) this.numbers.toggle();
    this.set({ note: "" });
    this.keepProperty("gg_view", view);
    this.setChoices({ view, page: "geometry" });
  }

  /** @param {string} page */
  choosePage(page) {
    this.keepProperty("gg_page", page);
    this.setChoices({ page });
  }

  /** The view beside the first, or "none".  @param {string} second */
  chooseSecond(second) {
    this.keepProperty("gg_second", second);
    this.setChoices({ second });
  }

  /** Show another part of the samples, at the same step.  @param {string} part */
  choosePart(part) {
    this.sheets = this.freshSheets();
    this.set(choosePart(this.state, part));
  }

  /** @param {number} sample */
  chooseSample(sample) {
    this.keepProperty("gg_sample", sample);
    this.set({ sample });
  }

  playOrPause() {
    if (this.timer) return this.pause();
    if (this.state.at >= lastStep(this.run)) this.goTo(0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.timer = setInterval(() => this.playOn(), calm ? CALM_PACE : PACE);
    return this.redraw();
  }

  playOn() {
    const { at } = this.state;
    if (document.hidden || at >= lastStep(this.run)) this.pause();
    else this.goTo(at + 1);
  }

  pause() {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
    this.redraw();
  }

  /** Show the panel alone, laid out as in the wide tab, or in its place again. */
  fillScreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    const { host } = this;
    const narrow = !host.classList.contains("gg-tab");
    if (narrow) host.onfullscreenchange = () => host.classList.toggle("gg-tab", document.fullscreenElement === host);
    return host.requestFullscreen().catch(() => this.set({ note: this.t("noFull") }));
  }

  // What is tried of the run, and where its numbers are set

  /** Whether the buttons are in view that try other scales. */
  get offersTries() {
    return this.choices.page === "advice";
  }

  /** Runs at other scales take the place of the pair of pictures. */
  get occupied() {
    return Boolean(this.tryouts.opened);
  }

  /** What the page Advice shows, for others: see AdviceView. */
  shareable() {
    return this.occupied ? this.tries.shareable() : this.advice.shareable();
  }

  /** Whether the run can be queued at another scale. */
  canTry() {
    const source = this.knobSource();
    return Boolean(source && source.reason !== "listed");
  }

  /** The run that is judged, as `Advice` takes it; null where it cannot be queued again.  @returns {?Judged} */
  judged() {
    const { whole, node, editor } = this;
    const job = whole?.prompt_id;
    if (!whole || !job) return null;
    const place = { prompt_id: job, node: null, shown: pathOf(editor.root(), node), list_index: 0, index: 0 };
    return { run: { ...place, run: whole.run, live: whole.live, ended: whole.fault === "stopped" }, record: whole };
  }

  /** The run before this one of the same sampler, {run, record, report}, while this one goes on; null where nobody knows.
   * @returns {any}
   */
  earlier() {
    return null;
  }

  /** What is tried has changed. */
  changed() {
    this.redraw();
  }

  /** Where the scale of the run is set.  @returns {?Source} */
  source() {
    return this.checked(this.scalePlace(), knobOf(this.whole, CFG));
  }

  /** Where the wires alone say that it is set. */
  scalePlace() {
    return scaleSource(this.editor.root(), this.node);
  }

  /** A source, if the job of the run that is shown bears it out.  @param {?Source} source @param {Knob} knob */
  checked(source, { value }) {
    const job = source?.held && this.judged()?.run.prompt_id;
    return followed(this.editor.root(), source, job && this.editor.advice?.promptOf(job), value ?? NaN);
  }

  /** Where the number is set that the report on the run is about. */
  knobSource() {
    return this.sourceOf(knobOf(this.whole));
  }

  /** Where a knob of the run is set.  @param {Knob} knob @returns {?Source} */
  sourceOf(knob) {
    const root = this.editor.root();
    if (knob.kind === CFG) return this.source();
    const node = knob.node && nodeAt(root, knob.node); // a trace from elsewhere names nodes of another graph
    return node && (node.title ?? node.type) === knob.title ? this.checked(knobSource(root, "", knob), knob) : null;
  }

  /** Write the number that the verdict offers, and let the seed that was judged run with it. */
  runAgain() {
    const [value, source, judged] = [this.verdict.offered, this.knobSource(), this.judged()];
    if (value === null || !source?.widget || !judged) return null; // gone since the button was drawn
    return runAgain(this, judged.run, source, value);
  }

  /** The graph is about to be queued, and its run is to come here: an inspector has a recorder of its own. */
  willRun() {}

  applyVerdict() {
    const value = this.verdict.offered;
    if (knobOf(this.whole).kind === CFG) this.state = { ...this.state, scale: value };
    if (value !== null) this.write(this.knobSource(), value);
  }

  useScale() {
    this.write(this.source(), Number((this.state.scale ?? ownScale(this.state)).toFixed(2)));
  }

  /** @param {?Source} source @param {number} value */
  write(source, value) {
    if (!source?.widget) return;
    this.editor.write(source, value);
    this.redraw();
  }

  /** The workflow and the prompt of the run that is shown; of the graph as it is, where the server has forgotten its job. */
  async sources() {
    const { editor, jobId } = this;
    const { workflow, prompt, output } = (jobId && (await editor.job?.(jobId))) || (await editor.sources());
    return { workflow, prompt: prompt ?? output };
  }

  // Drawing

  freshSheets() {
    return new Sheets((path) => this.editor.address(path), () => this.redraw());
  }

  /** What every view draws.  A file is of these, though others are chosen while it waits. */
  drawn() {
    const { run, t, sheets, choices, state: { at: step, sample, scale } } = this;
    return { run, step, sample, t, sheets, gamma: scale ?? undefined, captioned: choices.info,
      mix: (/** @type {number} */ at) => sheets.mix(run, at, sample), image: (/** @type {any} */ sheet) => sheets.image(sheet) };
  }

  /** Draw once, in the next frame. */
  redraw() {
    if (this.frame || !this.watcher) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (this.width < 20) return;
    const { theme, t, views, choices: { view }, parts: { main, beside, facts } } = this;
    const hasRoom = this.room >= this.wide;
    const partner = partnerOf(this.choices, hasRoom);
    this.state = settleSample(this.state, this.node.properties?.gg_sample);
    views.main.draw(view, theme);
    views.beside.draw(partner, theme);
    views.track.draw("ticks", theme);
    const lines = this.drawControls(partner, hasRoom); // after the drawings: words on a canvas wait for all styles that a write has touched
    const words = [facts.textContent.replaceAll("\u00a0", " "), ...lines].filter(Boolean);
    put(main.canvas, { "aria-label": ariaWords(t(viewOf(view).title ?? view), words) });
    put(beside.canvas, { "aria-label": partner ? t(partner) : "" });
    if (this.numbers.isOpen) this.numbers.draw();
  }

  /** Bring every control in line; returns the sentences that the panel says.  @param {?string} partner @param {boolean} hasRoom */
  drawControls(partner, hasRoom) {
    const { parts, state, choices, t } = this;
    markTabs(parts.tabs, (tab) => tab.dataset.view === choices.view);
    this.drawPage(partner, hasRoom);
    put(parts.beside.box, { hidden: !partner });
    putAll(parts, stepControls(state, Boolean(this.timer), t));
    this.verdict.draw();
    this.change.draw();
    for (const [name, { options, chosen, hidden }] of Object.entries(chooserOptions(state, t))) {
      offer(parts[name], options, chosen);
      put(parts[name], { hidden });
    }
    const obstacle = parts.what.hidden ? null : this.drawScale();
    const about = { ...state, run: this.run, step: state.at };
    const standing = status({ ...about, view: choices.view, note: obstacle ?? state.note }, t);
    const lines = [...standing, ...pictureWords(this.drawn(), choices.view)];
    const live = this.run?.live || this.timer ? "off" : "polite"; // words for the eye at once; read aloud once they have settled
    put(parts.words, { "data-quiet": standing.length ? null : "", "aria-live": live, textContent: joinSentences(lines) });
    put(parts.note, { textContent: choices.page === "advice" ? joinSentences(status({ ...about, view: null }, t)) : "" });
    return lines;
  }

  /** One page of the two.  @param {?string} partner @param {boolean} hasRoom */
  drawPage(partner, hasRoom) {
    const { parts, choices } = this;
    const row = choices.page === "geometry" ? parts.files : parts.acts;
    if (parts.full.parentElement !== row) row.append(parts.png, parts.full);
    markTabs(parts.pages, (page) => page.dataset.page === choices.page);
    putAll(parts, pageControls(this.state, choices, partner, hasRoom, this.t));
  }

  /** The slider of another scale; returns why that cannot be written, null where it can. */
  drawScale() {
    const { controls, obstacle } = scaleControls(this.state, this.source(), this.t);
    putAll(this.parts, controls);
    return obstacle;
  }
}
