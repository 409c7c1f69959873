// @ts-check
/** The inspector's panel: one element, one run, one state. The editor is passed in; nothing runs while nothing changes. */
import { defaultSample, defaultStep, stepOf } from "./gram.mjs";
import { followed, nodeAt, pathOf, placeName, readersOf, scaleSource } from "./panel-graph.mjs";
import { drag, keys, wheel } from "./panel-input.mjs";
import { AdviceView } from "./advice-parts.mjs";
import { download, element, fillLists, fillTable, markRows, PAGES, parts, put } from "./panel-parts.mjs";
import { nearestSheet, rowOf } from "./panel-pictures.mjs";
import { addressOf, blame, csv, partOf, partsOf, samplesOf, table, withSteps } from "./panel-record.mjs";
import { View } from "./panel-view.mjs";
import { facts, ariaWords, noPictures, status } from "./panel-words.mjs";
import { runAgain } from "./run-again.mjs";
import { CFG, knobOf, knobSource } from "./run-knobs.mjs";
import { Presentation } from "./present.mjs";
import { fileName, savePNG, saveSVG } from "./saving.mjs";
import { share } from "./sharing.mjs";
import { speaker } from "./strings.mjs";
import { brightness, DARK, LIGHT } from "./theme.mjs";
import { verdictOf, verdictSoFar } from "./verdict.mjs";
import { viewOf, VIEWS } from "./views.mjs";
import { nth, number } from "./words.mjs";
import { ChangeLine } from "./change.mjs";
import { TriesView } from "./tries-parts.mjs";
import { Tryouts } from "./tryouts.mjs";

const VERSION = 1;
const TABS = VIEWS.map(({ name }) => name);
const PACE = 220; // milliseconds a step while playing; slower for those who asked for less motion
const CALM_PACE = 1000;
const GRACE = 3000; // milliseconds in which undo puts another node in the place of one that it has removed
const SIGNS = { play: "\u25b6", pause: "\u275a\u275a" };
const OWNERS = new WeakMap(); // host -> the panel that was there last
const MOST_SCALE = 100; // of a sampler's cfg
const INSIDE = /(?<!\u00b7) (?!\u00b7)/g; // a line of facts breaks between them: where it is cut, no number is
const ROOM_FOR_WHY = 820; // pixels from which on its sentences stand open: in the tab beside the pictures

export class Panel {
  /** @type {?Run} */ run = null; // the part that is shown, of the
  /** @type {?Run} */ whole = null;
  part = "";
  at = 0;
  /** @type {?number} */ lit = null;
  sample = 0;
  /** @type {?number} */ scale = null;
  follow = true;
  note = "";
  view = "plane";
  page = "advice";
  width = 0;
  /** @type {?string} */ second = null;
  room = 0;
  wide = 820; // pixels from which on a second view stands beside the first
  theme = DARK;
  /** @type {?boolean} */ open = null; // the reasons; null: where they stand beside the pictures
  deep = false;
  info = false;
  /** @type {?{key: string, v?: number}} */ trouble = null;
  /** @type {any} */ shown = null;
  /** @type {?string} */ finished = null;
  /** @type {?Panel} */ before = null;
  /** @type {?string} */ obstacle = null;
  /** @type {?{whole: ?Run, compared: boolean}} */ reasoned = null; // what the reasons that are listed are of
  /** @type {any} */ widget = null;
  /** @type {?ResizeObserver} */ watcher = null;
  /** @type {?MutationObserver} */ palette = null;
  /** @type {?number} */ frame = null;
  /** @type {?number} */ timer = null;
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
    this.restoreChoices();
    this.t = speaker(editor.locale());
    this.parts = parts(TABS, this.t);
    this.content = this.parts.content;
    this.advice = new AdviceView(this);
    this.tries = new TriesView(this);
    this.change = new ChangeLine(this);
    this.parts.top.after(this.change.box);
    const { main, beside, track } = this.parts;
    this.views = { main: new View(main, this), beside: new View(beside, this), track: new View(track, this) };
    this.host = element("div", { class: "gg-host widget-expands" }, this.content); // the second for the older Nodes 2.0
    /** @type {Map<string, any>} */ this.images = new Map();
    /** @type {Set<Promise<any>>} */ this.coming = new Set(); // pictures that were asked for
    this.listen();
  }

  listen() {
    const { tabs, strip, second, scrub, play, part, sample, scale, use, apply, numbers, csv: sheet, copy, svg, png, full, table: rows } = this.parts;
    const { pages, pageStrip, why, how, info, again, present } = this.parts;
    tabs.forEach((/** @type {any} */ tab) => tab.addEventListener("click", () => this.choose(tab.dataset.view)));
    strip.addEventListener("keydown", (/** @type {any} */ event) => turnTab(event, tabs));
    pages.forEach((/** @type {any} */ page) => page.addEventListener("click", () => this.choosePage(page.dataset.page)));
    pageStrip.addEventListener("keydown", (/** @type {any} */ event) => turnTab(event, pages));
    second.addEventListener("change", () => this.chooseSecond(second.value));
    scrub.addEventListener("input", () => this.goTo(Number(scrub.value)));
    play.addEventListener("click", () => this.playOrPause());
    part.addEventListener("change", () => this.choosePart(part.value));
    sample.addEventListener("change", () => this.chooseSample(Number(sample.value)));
    scale.addEventListener("input", () => this.set({ scale: Number(scale.value), note: "" }));
    use.addEventListener("click", () => this.useScale());
    why.addEventListener("click", () => this.set({ open: !this.reasonsOpen }));
    how.addEventListener("click", () => this.set({ deep: !this.deep }));
    info.addEventListener("click", () => this.set({ info: !this.info }));
    apply.addEventListener("click", () => this.applyVerdict());
    again.addEventListener("click", () => this.runAgain());
    numbers.addEventListener("click", () => this.toggleTable());
    sheet.addEventListener("click", () => this.saveNumbers());
    copy.addEventListener("click", () => this.copyNumbers());
    svg.addEventListener("click", () => saveSVG(this));
    png.addEventListener("click", () => (this.page === "advice" ? share(this) : savePNG(this)));
    full.addEventListener("click", () => this.fillScreen());
    present.addEventListener("click", () => new Presentation(this.shareable(), this.content.dataset.theme, this.t).open(this.content.parentElement));
    for (const kind of ["pointerover", "focusin"]) rows.addEventListener(kind, (/** @type {any} */ event) => this.light(stepOfRow(event)));
    for (const kind of ["pointerleave", "focusout"]) rows.addEventListener(kind, () => this.light(null));
    rows.addEventListener("click", (/** @type {any} */ event) => stepOfRow(event) !== null && this.goTo(stepOfRow(event)));
    rows.addEventListener("keydown", (/** @type {any} */ event) => this.turnRow(event));
    for (const kind of ["pointerdown", "pointermove", "pointerup"]) this.content.addEventListener(kind, (/** @type {any} */ event) => drag(this, event));
    this.content.addEventListener("pointerenter", () => this.look());
    this.content.addEventListener("keydown", (/** @type {any} */ event) => keys(this, event));
    this.content.addEventListener("focusout", (/** @type {any} */ { target }) => setTimeout(() => this.keepFocus(target)));
    this.content.addEventListener("wheel", (/** @type {any} */ event) => wheel(this, event), { passive: false });
  }

  /** Where a button goes with its click, who uses the keyboard stays in the panel.  @param {any} gone */
  keepFocus(gone) {
    const { content } = this;
    if (document.activeElement === document.body && content.isConnected && !gone.getClientRects().length) content.focus({ preventScroll: true });
  }

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

  /** @param {any[]} entries */
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
    const light = brightness(getComputedStyle(this.content).color) < 0.5;
    put(this.content, { "data-theme": light ? "light" : "dark" });
    this.theme = light ? LIGHT : DARK;
    this.redraw();
  }

  /** Nodes 2.0 keeps the element of a rebuilt node on the page: move into it.  @param {any} key */
  adopt(key) {
    this.restoreChoices();
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

  /** Another panel was in this place, or handed it on before it had a run itself.  @param {any} last */
  follows(last) {
    if (!last || last === this) return;
    clearTimeout(last.leaving); // what is tried there may go on here
    this.before = last.whole ? last : last.before;
    last.before = null;
  }

  restoreChoices() {
    const { gg_view: view, gg_second: second, gg_page: page } = this.node.properties ?? {};
    if (PAGES.includes(page)) this.page = page;
    if (TABS.includes(view)) this.view = view;
    if (second === "none" || TABS.includes(second)) this.second = second;
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
    this.images = new Map();
  }

  /** Numbers that arrive while the sampler runs.  @param {any} message */
  step(message) {
    if (this.finished === message.run) return;
    if (this.whole?.run !== message.run) this.begin();
    this.goOn(withSteps(this.whole, message));
  }

  /** A run as far as it has come.  @param {any} whole */
  goOn(whole) {
    const run = partOf(whole, this.part);
    Object.assign(this, { whole, run, trouble: null });
    if (this.follow) this.at = run?.steps.at(-1)?.i ?? this.at;
    this.redraw();
  }

  begin() {
    this.pause();
    Object.assign(this, { run: null, whole: null, lit: null, follow: true, scale: null, note: "" });
  }

  /** A finished run: the record, or the file that holds it.  @param {any} record */
  async show(record) {
    if (record === this.shown) return;
    this.shown = record;
    const whole = record.file ? await this.fetchRecord(record.file) : record;
    if (this.shown === record) this.take(whole);
    this.redraw();
  }

  /** @param {any} run */
  take(run) {
    this.trouble = troubleWith(run);
    if (this.trouble) return;
    const [same, wasLive] = [this.run?.run === run.run, this.run?.live];
    const usual = same && this.at === defaultStep(this.run, this.sample); // nobody chose a step
    this.finished = run.run;
    this.whole = run;
    this.run = partOf(run, this.part);
    if (!same) {
      Object.assign(this, { scale: null, note: "", ...this.startAt(run) });
      this.goOnTrying(run);
      this.letGoBefore();
    } else if (wasLive) this.sample = this.usualSample(run); // which stands for the batch is known at the end
    if (this.follow || usual || !stepOf(run, this.at)) this.at = defaultStep(run, this.sample);
    this.images = new Map();
    this.look();
  }

  /** A report on the run that is shown, which may come before its record; a new object, so that its reasons are written anew.
   * @param {any} report
   */
  takeReport(report) {
    if (!this.whole) return;
    const whole = { ...this.whole, report };
    this.set({ whole, run: partOf(whole, this.part) });
    if (this.watcher) this.tellVerdict(); // before the figures, which take longer
  }

  /** The panel of the node that undo has replaced, where it showed this very run.  @param {any} run */
  replaced(run) {
    return this.before?.run?.run === run.run ? this.before : null;
  }

  /** Where a reader begins: where that panel stood, on its page, else at what tells most.  @param {any} run */
  startAt(run) {
    const before = this.replaced(run);
    const { page, at } = before ?? this;
    return { page, at, sample: before?.sample ?? this.usualSample(run), follow: before?.follow ?? true };
  }

  /** What was tried out in that panel goes on here.  @param {any} run */
  goOnTrying(run) {
    const before = this.replaced(run);
    if (!before || before.tryouts.owner !== before) return;
    this.tryouts = before.tryouts;
    this.tryouts.owner = this;
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

  /** The one that was chosen on this node, saved with the workflow; else the one that stands for the batch.
   * @param {any} run
   */
  usualSample(run) {
    const chosen = this.node.properties?.gg_sample;
    return samplesOf(run).includes(chosen) ? chosen : defaultSample(run);
  }

  /** @param {{filename: any}} given */
  async fetchRecord({ filename }) {
    this.trouble = { key: "reading" };
    this.redraw();
    return (await this.editor.record(filename)) ?? { gone: true };
  }

  /** The job ended early.  @param {any} job */
  endEarly(job) {
    if (!this.run?.live || (job && this.run.prompt_id !== job)) return;
    blame(this.whole, { fault: "stopped" });
    this.redraw();
  }

  /** The run goes on where its job does.  jobs: that run or wait, none as long as ComfyUI does not answer
   * @param {string[]} jobs
   */
  goOnWith(jobs) {
    const { live, prompt_id: job, fault } = this.run ?? {};
    if (!live || fault === "stopped") return;
    blame(this.whole, { fault: jobs.includes(job ?? "") ? undefined : "away" });
    this.redraw();
  }

  /** A job of this workflow ran without this node.  whole: the run that was shown when it ended  @param {any} whole */
  leftOut(whole) {
    if (this.whole !== whole) return; // another one has begun since
    blame(whole, { fault: "leftOut" });
    this.redraw();
  }

  /** @param {Partial<any>} changes */
  set(changes) {
    Object.assign(this, changes);
    this.redraw();
  }

  /** What every view draws. */
  state() {
    const { run, at: step, sample, t, images } = this; // a file is of these, though others are chosen while it waits
    const scale = { gamma: this.scale ?? undefined, mix: (/** @type {number} */ at) => this.mix(at, run, sample, images) };
    return { run, step, sample, t, ...scale, captioned: this.info, image: (/** @type {any} */ sheet) => this.image(sheet, images) };
  }

  /** Light a step wherever it is shown; null for none.  @param {any} step */
  light(step) {
    if (step !== this.lit) this.set({ lit: step });
  }

  /** The view beside the chosen one, null for none. */
  partner() {
    const fits = this.room >= this.wide && this.second !== "none";
    const second = this.second === this.view ? null : this.second;
    return fits ? (second ?? viewOf(this.view).partner) : null;
  }

  /** @param {any} view */
  chooseSecond(view) {
    this.node.properties ??= {};
    this.node.properties.gg_second = view;
    this.set({ second: view });
  }

  /** Show another part of the samples, at the same step.  @param {string} name */
  choosePart(name) {
    Object.assign(this, { part: name, run: partOf(this.whole, name) });
    this.images = new Map();
    this.set({ scale: null, note: "" });
  }

  /** @param {number} sample */
  chooseSample(sample) {
    this.node.properties ??= {};
    this.node.properties.gg_sample = sample;
    this.set({ sample });
  }

  /** @param {any} view */
  choose(view) {
    this.node.properties ??= {};
    this.node.properties.gg_view = view;
    this.parts.numbers.getAttribute("aria-pressed") === "true" && this.toggleTable();
    this.set({ view, page: "geometry", note: "" });
  }

  /** Show the panel alone, laid out as in the wide tab, or in its place again. */
  fillScreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    const { host } = this;
    const narrow = !host.classList.contains("gg-tab");
    if (narrow) host.onfullscreenchange = () => host.classList.toggle("gg-tab", document.fullscreenElement === host);
    return host.requestFullscreen().catch(() => this.set({ note: this.t("noFull") }));
  }

  /** @param {any} page */
  choosePage(page) {
    this.node.properties ??= {};
    this.node.properties.gg_page = page;
    this.set({ page });
  }

  /** Whether the buttons are in view that try other scales. */
  get offersTries() {
    return this.page === "advice";
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

  /** The run that is judged: {run, record} for `Advice`; null where it cannot be queued again. */
  judged() {
    const { whole, node, editor } = this;
    const job = whole?.prompt_id;
    if (!whole || !job) return null;
    const place = { prompt_id: job, node: null, shown: pathOf(editor.root(), node), list_index: 0, index: 0 };
    return { run: { ...place, run: whole.run, live: whole.live, ended: whole.fault === "stopped" }, record: whole };
  }

  /** The run before this one of the same sampler, {run, record, report}, while this one goes on; null where nobody knows. */
  /** @returns {any} */
  earlier() {
    return null;
  }

  /** The report on a run is another one by now.  @param {any} run @param {any} report */
  renew(run, report) {
    if (this.whole?.run === run) this.takeReport(report);
  }

  changed() {
    this.redraw();
  }

  /** Up and down go from row to row of the table, Enter shows the row's step.  @param {any} event */
  turnRow(event) {
    const row = event.target.closest("tr[data-step]");
    /** @type {Record<string, any>} */ const rows = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling };
    const next = rows[event.key];
    if (!row || (!next && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (next) next.focus();
    else this.goTo(stepOfRow(event));
  }

  /** Show a step and stay there.  @param {any} step */
  goTo(step) {
    const last = this.lastStep();
    this.set({ at: Math.max(0, Math.min(last, step)), follow: false, note: "" });
  }

  lastStep() {
    return Math.max(0, (this.run?.n || (this.run?.steps?.at(-1)?.i ?? 0) + 1) - 1);
  }

  playOrPause() {
    if (this.timer) return this.pause();
    if (this.at >= this.lastStep()) this.goTo(0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.timer = setInterval(() => this.playOn(), calm ? CALM_PACE : PACE);
    return this.redraw();
  }

  playOn() {
    if (document.hidden || this.at >= this.lastStep()) return this.pause();
    return this.goTo(this.at + 1);
  }

  pause() {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
    this.redraw();
  }

  toggleTable() {
    const { numbers, copy, table: place } = this.parts;
    const on = place.hidden;
    place.hidden = !on;
    copy.hidden = !on;
    this.light(null);
    numbers.setAttribute("aria-pressed", String(on));
    this.redraw();
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
    const { main, beside } = this.parts;
    const { theme } = this;
    const partner = this.partner();
    this.keepSample();
    this.views.main.draw(this.view, theme);
    this.views.beside.draw(partner, theme);
    this.views.track.draw("ticks", theme);
    const lines = this.controls(partner); // after the drawings: words on a canvas wait for all styles that a write has touched
    const about = [this.parts.facts.textContent.replaceAll("\u00a0", " "), ...lines].filter(Boolean);
    put(main.canvas, { "aria-label": ariaWords(this.t(viewOf(this.view).title ?? this.view), about) });
    put(beside.canvas, { "aria-label": partner ? this.t(partner) : "" });
    if (!this.parts.table.hidden) this.drawTable();
  }

  /** The image of a sheet once it is there, else null.  @param {any} sheet @param {Map<string, any>} images */
  image(sheet, images) {
    if (!sheet) return null;
    let known = images.get(sheet.filename);
    if (!known) {
      known = { image: new Image(), state: "waiting" };
      images.set(sheet.filename, known);
      this.expect(new Promise((done) => {
        known.image.onload = () => done("there");
        known.image.onerror = () => done("gone");
        known.image.src = this.editor.address(addressOf(sheet));
      }).then((state) => Object.assign(known, { state })));
    }
    return known.state === "there" ? known.image : null;
  }

  /** Both predictions of the step nearest to `step`, to be mixed, once they are there: see mix.mjs; else null.
   * @param {any} step @param {any} run @param {number} sample @param {Map<string, any>} images
   */
  mix(step, run, sample, images) {
    const pictures = run?.pictures;
    const sheet = nearestSheet(pictures?.mix, step);
    if (!sheet) return null;
    if (!images.has(sheet.filename)) {
      images.set(sheet.filename, null);
      this.expect(this.fetchMix(images, sheet, { i: sheet.i, scale: sheet.scale, size: pictures.mix.size, rows: pictures.samples.length }));
    }
    const pair = images.get(sheet.filename);
    return pair && { ...pair, row: rowOf(pictures, sample) };
  }

  /** @param {Map<string, any>} images @param {any} sheet @param {any} about */
  async fetchMix(images, sheet, about) {
    const answer = await fetch(this.editor.address(addressOf(sheet))).catch(() => null);
    const bytes = answer?.ok ? await answer.arrayBuffer().catch(() => null) : null;
    if (bytes) images.set(sheet.filename, { ...about, values: new Int16Array(bytes) }); // else it went with its run
  }

  /** A picture is on its way; once it is there, or will not come, it is drawn.  @param {Promise<any>} picture */
  async expect(picture) {
    this.coming.add(picture);
    await picture;
    this.coming.delete(picture);
    this.redraw();
  }

  /** Bring every control in line with the state; returns the sentences that the panel says.  @param {any} partner */
  controls(partner) {
    const { tabs, second, beside, scrub, count, play, what, words, facts: place } = this.parts;
    const { csv: sheet, svg, png, numbers } = this.parts;
    const last = this.lastStep();
    const known = Boolean(this.run?.steps?.length);
    const here = facts(this.run, this.at, this.sample, this.t);
    const aside = this.lit !== null && this.lit !== this.at;
    markTabs(tabs, (tab) => tab.dataset.view === this.view);
    this.showPage();
    put(second, { hidden: this.room < this.wide, value: partner ?? "none" });
    put(beside.box, { hidden: !partner });
    const shown = aside ? facts(this.run, Number(this.lit), this.sample, this.t) : here;
    put(place, { textContent: shown.replace(INSIDE, "\u00a0"), "data-lit": aside ? "" : null });
    put(scrub, { max: String(last), value: String(this.at), "aria-valuetext": here || this.t("empty") });
    put(count, { textContent: known ? `${nth(this.at)}/${nth(last)}` : "\u2013" });
    for (const part of [scrub, play, sheet, png, numbers]) put(part, { disabled: !known });
    const { figure } = viewOf(this.view);
    put(svg, { disabled: !known || !figure, title: this.t(figure ? "svgTip" : "noSvg") });
    const plays = this.timer ? "pause" : "play";
    put(play, { textContent: SIGNS[plays], "aria-label": this.t(plays), title: this.t(plays) });
    this.tellVerdict();
    this.change.draw();
    this.fillParts(this.parts.part);
    this.fillSamples(this.parts.sample);
    put(what, { hidden: ![this.view, partner].some((view) => viewOf(view)?.scales) });
    this.obstacle = null;
    if (!what.hidden) this.scaleControls();
    const state = { run: this.run, step: this.at, sample: this.sample, view: this.view, trouble: this.trouble };
    const now = status({ ...state, note: this.obstacle ?? this.note }, this.t);
    const lines = [...now, ...this.pictureWords()];
    put(words, { "data-quiet": now.length ? null : "" });
    this.say(words, joined(lines));
    put(this.parts.note, { textContent: this.page === "advice" ? joined(status({ ...state, view: null, note: this.note }, this.t)) : "" });
    return lines;
  }

  /** One page of the two: what belongs to the other is not there, not even for the keyboard. */
  showPage() {
    const { pages, head, stage, side, advice, asks, says, info, acts, files, png, full } = this.parts;
    const geometry = this.page === "geometry";
    const row = geometry ? files : acts;
    if (full.parentElement !== row) row.append(png, full);
    put(png, { textContent: this.t(geometry ? "png" : "share"), title: this.t(geometry ? "pngTip" : "shareTip") });
    markTabs(pages, (page) => page.dataset.page === this.page);
    put(this.content, { "data-page": this.page });
    for (const part of [head, stage, side]) put(part, { hidden: !geometry });
    put(advice, { hidden: geometry });
    put(asks, { textContent: this.t(`${this.view}Asks`) });
    put(info, { "aria-pressed": String(this.info) });
    put(says, { hidden: !this.info, textContent: this.t(`${this.view}Says`) });
    put(this.content, { "data-info": this.info ? "" : null });
  }

  /** Words for the eye at once; readers aloud get them at most once a second, through aria-live on a settled text.
   * @param {any} place @param {string} sentence
   */
  say(place, sentence) {
    put(place, { "aria-live": this.run?.live || this.timer ? "off" : "polite", textContent: sentence });
  }

  pictureWords() {
    const view = viewOf(this.view);
    if (!view.pictures || !this.run) return [];
    const { pictures } = this.run;
    if (!view.available(this.run)) { // the figure itself says so; this is for those who do not see it
      const { missing, advice } = noPictures(this.run, this.t);
      return [missing, advice].filter(Boolean);
    }
    const sheet = nearestSheet(pictures, this.at);
    const { gain, clipped, scale } = sheet.scales ?? pictures;
    const facts = { gain: number(gain), clipped: number(100 * clipped, 2), scale: number(scale) };
    const gone = this.images.get(sheet.filename)?.state === "gone" && this.t("noPicture", { i: nth(sheet.i) });
    const nearest = sheet.i !== this.at && this.t("nearest", { i: nth(sheet.i) });
    const kept = pictures.samples[rowOf(pictures, this.sample)];
    const other = kept !== this.sample && this.t("otherSample", { sample: kept });
    return [gone, nearest, other, this.t("gain", facts)].filter(Boolean);
  }

  /** The first steps of a run tell which samples there are. */
  keepSample() {
    const samples = samplesOf(this.run);
    if (samples.length && !samples.includes(this.sample)) this.sample = this.usualSample(this.run);
  }

  /** @param {HTMLSelectElement} select */
  fillParts(select) {
    const names = partsOf(this.whole);
    const key = names.join("|");
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    }
    put(select, { value: this.run?.part ?? "", hidden: !names.length });
  }

  /** @param {HTMLSelectElement} select */
  fillSamples(select) {
    const { labels: own } = this.run ?? { labels: [] };
    const samples = samplesOf(this.run);
    const labels = samples.map((b) => (own?.[b] ? `${b} \u00b7 ${own[b]}` : `${this.t("sample")} ${b}`));
    const key = labels.join("|");
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...labels.map((words, k) => element("option", { value: samples[k] }, words)));
    }
    put(select, { value: String(this.sample), hidden: samples.length < 2 });
  }

  ownScale() {
    const scale = stepOf(this.run, this.at)?.gamma ?? NaN;
    return Number.isFinite(scale) ? scale : (this.run?.cfg ?? 1);
  }

  /** Where the scale of the run comes from. */
  source() {
    return this.checked(this.scalePlace(), knobOf(this.whole, CFG));
  }

  /** The same by the wires alone. */
  scalePlace() {
    return scaleSource(this.editor.root(), this.node);
  }

  /** A source, if the job of the run that is shown bears it out.  @param {any} source @param {{value: any}} given */
  checked(source, { value }) {
    const job = source?.held && this.judged()?.run.prompt_id;
    return followed(this.editor.root(), source, job && this.editor.advice?.promptOf(job), value);
  }

  scaleControls() {
    const { scale, scaleWords, use } = this.parts;
    const own = this.ownScale();
    const shown = this.scale ?? own;
    put(scale, { max: String(Math.min(MOST_SCALE, Math.max(8, 2 * Math.ceil(own)))), value: String(shown) });
    put(scaleWords, { textContent: number(shown) });
    const source = this.source();
    const name = source && `${source.node.title ?? source.node.type} (${source.node.id})`;
    const title = source ? this.t(source.reason ?? "useTip", { node: name }) : this.t("nowhere");
    put(use, { textContent: this.t("use", { value: number(shown) }), disabled: !source?.widget || !this.run, title });
    this.obstacle = source?.widget ? null : title;
  }

  /** The verdict on the run that is shown: a line with a colour, its reasons, and the scale that it suggests. */
  tellVerdict() {
    const { verdict: place, aloud, sign, headline, apply, again, explain } = this.parts;
    const { whole, t } = this;
    const found = this.run && !this.trouble ? (verdictOf(whole, this.editor.locale()) ?? verdictSoFar(whole, this.earlier()?.report?.range ?? null, t)) : null; // it may come before the record
    put(place, { hidden: !found, "data-colour": found?.colour ?? null });
    put(explain, { hidden: !found?.why.length });
    put(aloud, { textContent: whole?.report ? (found?.headline ?? "") : "" }); // not at every step
    if (this.page === "advice") this.advice.draw(found && this.judged());
    if (this.offersTries) this.tries.draw();
    put(this.parts.present, { hidden: this.page !== "advice" || !found || this.shareable().columns.length < 2 });
    if (!found) return [apply, again].forEach((button) => put(button, { hidden: true }));
    put(sign, { textContent: found.sign });
    put(headline, { textContent: found.headline, title: found.headline });
    this.explain(found);
    this.offerScale(this.offered);
  }

  /** Whether the reasons are shown: as somebody chose, else where the room beside the pictures is theirs. */
  get reasonsOpen() {
    return this.open ?? (this.page === "advice" && this.host.clientWidth >= ROOM_FOR_WHY);
  }

  /** Why, in three sentences; below them how that is known.
   * @param {{why: any, errand: any, reasons: any, findings: any}} given
   */
  explain({ why: lines, errand, reasons: numbers, findings }) {
    const { why, reasons, how, evidence } = this.parts;
    const open = this.reasonsOpen;
    put(why, { "aria-expanded": String(open) });
    put(how, { "aria-expanded": String(this.deep), hidden: !open || !(numbers.length || findings.length) });
    put(reasons, { hidden: !open });
    put(evidence, { hidden: !open || !this.deep });
    const compared = this.occupied || this.advice.isThere; // with a picture at another scale
    if (this.reasoned?.whole === this.whole && this.reasoned?.compared === compared) return;
    this.reasoned = { whole: this.whole, compared };
    fillLists(reasons, lines.filter((/** @type {string} */ line) => !compared || line !== errand));
    fillLists(evidence, numbers.filter((/** @type {string} */ line) => !lines.includes(line)), findings);
  }

  /** Where the number is set that the report on the run is about. */
  knobSource() {
    return this.sourceOf(knobOf(this.whole));
  }

  /** Where a knob of the run is set.  @param {Knob} knob */
  sourceOf(knob) {
    const root = this.editor.root();
    if (knob.kind === CFG) return this.source();
    const node = knob.node && nodeAt(root, knob.node); // a trace from elsewhere names nodes of another graph
    return node && (node.title ?? node.type) === knob.title ? this.checked(knobSource(root, "", knob), knob) : null;
  }

  /** The number that can be taken: the suggested one, or the one that was seen beside the run's own. */
  get offered() {
    const seen = this.page === "advice" && this.advice.isThere && !this.advice.isKept ? this.advice.value : null;
    return verdictOf(this.whole)?.suggested ?? seen;
  }

  /** The buttons that write the number that is offered, where there is one and a node that takes it.
   * @param {any} value
   */
  offerScale(value) {
    const { apply, again } = this.parts;
    const [source, { name: knob }] = [this.knobSource(), knobOf(this.whole)];
    const taken = this.tryouts.takesValueOf(knobOf(this.whole)); // its own buttons say so
    const hidden = value === null || !source?.widget || taken;
    put(apply, { hidden });
    put(again, { hidden: hidden || !this.judged() });
    if (hidden) return;
    const facts = { knob, value: number(value) };
    const readers = readersOf(this.editor.root(), source).map(({ node }) => placeName(this.editor.root(), node, this.t));
    const shared = readers.length > 1 ? this.t("shared", { nodes: readers.join(", ") }) : "";
    put(apply, { textContent: this.t("apply", facts), title: shared });
    put(again, { textContent: this.t("applyAgain", facts), title: [this.t("applyAgainTip"), shared].join(" ") });
  }

  /** Write the number, and let the seed that was judged run with it. */
  runAgain() {
    const [value, source, about] = [this.offered, this.knobSource(), this.judged()];
    if (value === null || !source?.widget || !about) return null; // gone since the button was drawn
    return runAgain(this, about.run, source, value);
  }

  /** The graph is about to be queued, and its run is to come here: an inspector has a recorder of its own. */
  willRun() {}

  applyVerdict() {
    const value = this.offered;
    if (knobOf(this.whole).kind === CFG) this.scale = value;
    if (value !== null) this.write(this.knobSource(), value);
  }

  useScale() {
    this.write(this.source(), Number((this.scale ?? this.ownScale()).toFixed(2)));
  }

  /** @param {any} source @param {any} value */
  write(source, value) {
    if (!source?.widget) return;
    this.editor.write(source, value);
    this.redraw();
  }

  drawTable() {
    const { table: place } = this.parts;
    const key = [this.run?.run, this.run?.part, this.run?.live, this.run?.steps?.length, this.sample].join();
    if (place.dataset.key !== key) {
      /** @param {any} value */
      const words = (value) => (typeof value === "string" ? value : number(value));
      fillTable(place, table(this.run, this.sample), words);
      place.dataset.key = key;
    }
    markRows(place, this.at, this.lit);
  }

  saveNumbers() {
    download(new Blob([csv(table(this.run, this.sample))], { type: "text/csv" }), fileName(this, "csv"));
  }

  async copyNumbers() {
    const rows = table(this.run, this.sample);
    const copied = await navigator.clipboard?.writeText(csv(rows)).then(() => true, () => false);
    this.set({ note: this.t(copied ? "copied" : "notCopied", { rows: rows.length - 1 }) });
  }

  /** Of the run that is shown. */
  get jobId() {
    return this.whole?.prompt_id;
  }

  /** The workflow and the prompt of the run that is shown; of the graph as it is, where the server has forgotten its job. */
  async sources() {
    const { editor, jobId } = this;
    const { workflow, prompt, output } = (jobId && (await editor.job?.(jobId))) || (await editor.sources());
    return { workflow, prompt: prompt ?? output };
  }
}

/** Say which of some tabs is chosen; the Tab key reaches it alone.
 * @param {any[]} tabs @param {(tab: any) => boolean} isChosen
 */
function markTabs(tabs, isChosen) {
  for (const tab of tabs) {
    const chosen = isChosen(tab);
    put(tab, { "aria-selected": chosen, tabindex: chosen ? 0 : -1 });
  }
}

/** @type {Record<string, number>} */
const TURNS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Arrows go from tab to tab, and choose.  @param {any} event @param {any[]} tabs */
function turnTab(event, tabs) {
  const turn = TURNS[event.key];
  if (!turn) return;
  event.preventDefault();
  event.stopPropagation();
  const next = tabs[(tabs.findIndex(({ ariaSelected }) => ariaSelected === "true") + turn + tabs.length) % tabs.length];
  next.click();
  next.focus();
}

/** Why a record cannot be shown, null where it can.  @param {{gone: any, v: any}} given */
function troubleWith({ gone, v }) {
  if (gone) return { key: "gone" };
  return v > VERSION ? { key: "newer", v } : null;
}

/** The step of the table's row that an event comes from, null outside the rows.  @param {any} given */
function stepOfRow({ target }) {
  const row = target.closest("tr[data-step]");
  return row ? Number(row.dataset.step) : null;
}

/** Sentences in a row; what does not end with a full stop is set off by a dot.  @param {string[]} lines */
const joined = (lines) => lines.map((line, k) => (k < lines.length - 1 && !line.endsWith(".") ? `${line} \u00b7` : line)).join(" ");
