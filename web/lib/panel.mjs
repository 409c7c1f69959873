/** The inspector's panel: one element, one run, one state. The editor is passed in; nothing runs while nothing changes. */
import { FIGURES, paint, toSVG } from "./figures.mjs";
import { defaultSample, defaultStep, stepOf } from "./gram.mjs";
import { pngWithSources, svgWithSources } from "./panel-files.mjs";
import { scaleSource, writeScale } from "./panel-graph.mjs";
import { keys, wheel } from "./panel-input.mjs";
import { download, element, fillTable, parts } from "./panel-parts.mjs";
import { film, heat, nearestSheet } from "./panel-pictures.mjs";
import { csv, samplesOf, table, withSteps } from "./panel-record.mjs";
import { hint, hintAlong, stepPlaces } from "./panel-hints.mjs";
import { spoken, status } from "./panel-words.mjs";
import { speaker } from "./strings.mjs";
import { DARK, LIGHT } from "./theme.mjs";
import { number } from "./words.mjs";

const PICTURES = { pictures: film, heat };
const VIEWS = [...Object.keys(FIGURES), ...Object.keys(PICTURES)];
const VERSION = 1;
const FONT = "Inter, Arial, sans-serif";
const EXPORT = { w: 960, h: 540 };
const PACE = 220; // milliseconds a step while playing; slower for those who asked for less motion
const CALM_PACE = 1000;
const MOST_SCALE = 100; // of a sampler's cfg

export class Panel {
  /** node: the editor's. editor: what the panel may ask it (see inspector.js). hosts: locator -> element on the page. */
  constructor(node, editor, hosts) {
    Object.assign(this, { node, editor, hosts, run: null, at: 0, sample: 0, scale: null, follow: true, note: "" });
    this.view = VIEWS.includes(node.properties?.gg_view) ? node.properties.gg_view : "plane";
    this.t = speaker(editor.locale());
    this.parts = parts(VIEWS, this.t);
    this.content = this.parts.content;
    this.host = element("div", { class: "gg-host" }, this.content);
    this.images = new Map();
    this.listen();
  }

  listen() {
    const { tabs, strip, scrub, play, sample, scale, use, numbers, csv: copy, svg, png, canvas } = this.parts;
    tabs.forEach((tab) => tab.addEventListener("click", () => this.choose(tab.dataset.view)));
    strip.addEventListener("keydown", (event) => this.turnTab(event));
    scrub.addEventListener("input", () => this.goTo(Number(scrub.value)));
    play.addEventListener("click", () => this.playOrPause());
    sample.addEventListener("change", () => this.set({ sample: Number(sample.value) }));
    scale.addEventListener("input", () => this.set({ scale: Number(scale.value), note: "" }));
    use.addEventListener("click", () => this.useScale());
    numbers.addEventListener("click", () => this.toggleTable());
    copy.addEventListener("click", () => this.copyNumbers());
    svg.addEventListener("click", () => this.saveSVG());
    png.addEventListener("click", () => this.savePNG());
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => this.tell(null));
    canvas.addEventListener("click", (event) => this.pick(event));
    this.content.addEventListener("pointerdown", (event) => event.stopPropagation());
    this.content.addEventListener("pointerenter", () => this.redraw()); // the theme may have changed
    this.content.addEventListener("keydown", (event) => keys(this, event));
    this.content.addEventListener("wheel", (event) => wheel(this, event), { passive: false });
  }

  /** The node has entered a graph. */
  start() {
    this.watcher ??= new ResizeObserver(() => this.redraw());
    this.watcher.observe(this.parts.box);
    this.redraw();
  }

  /** Nodes 2.0 keeps the element of a rebuilt node on the page: move into it. */
  adopt(key) {
    this.restoreChoices();
    const old = this.hosts.get(key);
    if (old && old !== this.host && old.isConnected) {
      old.replaceChildren(this.content);
      this.host = old;
      this.widget.element = old;
    }
    this.hosts.set(key, this.host);
    this.redraw();
  }

  restoreChoices() {
    const { gg_view: view } = this.node.properties ?? {};
    if (VIEWS.includes(view)) this.view = view;
  }

  /** The node has left its graph. The element stays: Nodes 2.0 may give it to the node that comes instead. */
  dispose() {
    this.pause();
    this.watcher?.disconnect();
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.images.clear();
  }

  /** Numbers that arrive while the sampler runs. */
  step(message) {
    if (this.finished === message.run) return;
    if (this.run?.run !== message.run) this.begin();
    this.run = withSteps(this.run, message);
    this.trouble = null;
    if (this.follow && this.run.steps.length) this.at = this.run.steps.at(-1).i;
    this.redraw();
  }

  begin() {
    this.pause();
    Object.assign(this, { run: null, follow: true, scale: null, note: "" });
  }

  /** A finished run: the record, or the file that holds it. */
  async show(record) {
    if (record === this.shown) return;
    this.shown = record;
    const whole = record.file ? await this.fetched(record) : record;
    if (this.shown === record && whole) this.take(whole);
    this.redraw();
  }

  take(run) {
    if (run.v > VERSION) {
      this.trouble = { key: "newer", v: run.v };
      return;
    }
    const same = this.run?.run === run.run;
    this.trouble = null;
    this.finished = run.run;
    this.run = run;
    if (!same) Object.assign(this, { scale: null, note: "", follow: true, sample: defaultSample(run) });
    if (this.follow || !stepOf(run, this.at)) this.at = defaultStep(run, this.sample);
    this.images.clear();
  }

  async fetched(record) {
    this.trouble = { key: "reading" };
    this.redraw();
    const answer = await this.editor.fetch(`/view?${new URLSearchParams(record.file)}`).catch(() => null);
    const run = answer?.ok ? await answer.json().catch(() => null) : null;
    if (!run && this.shown === record) this.trouble = { key: "gone" };
    return run;
  }

  /** The job ended early. */
  stopped(job) {
    if (!this.run?.live || (job && this.run.prompt_id !== job)) return;
    this.run.fault = "stopped";
    this.redraw();
  }

  /** A job of this workflow ran without this node. */
  leftOut() {
    this.run.fault = "leftOut";
    this.redraw();
  }

  set(changes) {
    Object.assign(this, changes);
    this.parts.tip.hidden = true;
    this.redraw();
  }

  choose(view) {
    this.node.properties ??= {};
    this.node.properties.gg_view = view;
    this.parts.numbers.getAttribute("aria-pressed") === "true" && this.toggleTable();
    this.set({ view, note: "" });
  }

  turnTab(event) {
    const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!turn) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (VIEWS.indexOf(this.view) + turn + VIEWS.length) % VIEWS.length;
    this.choose(VIEWS[next]);
    this.parts.tabs[next].focus();
  }

  /** Show a step and stay there. */
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
    clearInterval(this.timer);
    this.timer = null;
    this.redraw();
  }

  toggleTable() {
    const { numbers, table: place } = this.parts;
    const on = place.hidden;
    place.hidden = !on;
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
    const { box, content } = this.parts;
    const [w, h] = [box.clientWidth, box.clientHeight];
    if (w < 20 || h < 20) return;
    const light = brightness(getComputedStyle(content).color) < 0.5;
    content.dataset.theme = light ? "light" : "dark";
    const lines = this.controls();
    const key = [this.view, w, h, light, this.run?.run, this.run?.steps?.length, this.sample].join();
    if (key !== this.placesOf) Object.assign(this, { placesOf: key, places: null, size: { w, h, theme: light ? LIGHT : DARK } });
    this.paintOn(this.parts.canvas, { w, h, theme: light ? LIGHT : DARK }, 2 * (globalThis.devicePixelRatio || 1));
    this.parts.canvas.setAttribute("aria-label", spoken(FIGURES[this.view]?.title ?? this.t(this.view), lines));
    if (!this.parts.table.hidden) this.drawTable();
  }

  paintOn(canvas, options, scale) {
    const { w, h, theme } = options;
    const size = [Math.round(w * scale), Math.round(h * scale)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const ctx = canvas.getContext("2d");
    this.marks = [];
    if (PICTURES[this.view]) this.paintPictures(ctx, options, scale);
    else if (this.run) {
      this.marks = this.commands(options);
      paint(this.marks, ctx, scale);
    } else {
      ctx.fillStyle = theme.paper;
      ctx.fillRect(0, 0, canvas.width, canvas.height);
    }
  }

  commands({ w, h, theme }) {
    const gamma = this.view === "whatif" ? (this.scale ?? this.ownScale()) : undefined;
    return FIGURES[this.view].figure(this.run, { w, h, theme, step: this.at, sample: this.sample, gamma });
  }

  paintPictures(ctx, options, scale) {
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.fillStyle = options.theme.paper;
    ctx.fillRect(0, 0, options.w, options.h);
    const { pictures } = this.run ?? {};
    if (!pictures?.steps?.length) return;
    const more = { step: this.at, sample: this.sample, t: this.t, font: FONT };
    this.marks = PICTURES[this.view](ctx, pictures, (sheet) => this.image(sheet), { ...options, ...more });
  }

  /** The image of a sheet once it is there, else null. */
  image(sheet) {
    if (!sheet) return null;
    let known = this.images.get(sheet.filename);
    if (!known) {
      known = { image: new Image(), state: "waiting" };
      this.images.set(sheet.filename, known);
      const ends = (state) => () => {
        known.state = state;
        this.redraw();
      };
      known.image.onload = ends("there");
      known.image.onerror = ends("gone");
      const { filename, subfolder, type } = sheet;
      known.image.src = this.editor.address(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
    }
    return known.state === "there" ? known.image : null;
  }

  /** Bring every control in line with the state; returns the sentences that the panel says. */
  controls() {
    const { tabs, scrub, count, play, sample, what, words } = this.parts;
    const last = this.lastStep();
    tabs.forEach((tab) => {
      const chosen = tab.dataset.view === this.view;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    });
    scrub.max = String(last);
    scrub.value = String(this.at);
    const shown = this.run?.steps?.length ? `${this.at}/${last}` : "\u2013";
    if (count.textContent !== shown) count.textContent = shown;
    for (const part of [scrub, play, this.parts.csv, this.parts.png, this.parts.numbers]) part.disabled = !this.run?.steps?.length;
    this.parts.svg.disabled = !this.run?.steps?.length || Boolean(PICTURES[this.view]);
    this.parts.svg.title = this.t(PICTURES[this.view] ? "noSvg" : "svgTip");
    play.textContent = this.timer ? "\u275a\u275a" : "\u25b6";
    play.setAttribute("aria-label", this.t(this.timer ? "pause" : "play"));
    this.fillSamples(sample);
    what.hidden = this.view !== "whatif";
    this.obstacle = null;
    if (!what.hidden) this.scaleControls();
    const state = { run: this.run, step: this.at, sample: this.sample, view: this.view, trouble: this.trouble };
    const lines = [...status({ ...state, note: this.obstacle ?? this.note }, this.t), ...this.pictureWords()];
    this.say(words, joined(lines));
    return lines;
  }

  /** Words for the eye at once; readers aloud get them at most once a second, through aria-live on a settled text. */
  say(place, sentence) {
    if (place.textContent === sentence) return;
    place.setAttribute("aria-live", this.run?.live || this.timer ? "off" : "polite");
    place.textContent = sentence;
  }

  pictureWords() {
    if (!PICTURES[this.view] || !this.run) return [];
    const { pictures } = this.run;
    if (!pictures?.steps?.length) return this.run.live ? [this.t("loading")] : [pictures?.note || this.t("noPictures")];
    const sheet = nearestSheet(pictures, this.at);
    const { gain, clipped, scale } = pictures;
    const facts = { gain: number(gain), clipped: number(100 * clipped, 2), scale: number(scale) };
    const gone = this.images.get(sheet.filename)?.state === "gone" && this.t("noPicture", { i: sheet.i });
    const nearest = sheet.i !== this.at && this.t("nearest", { i: sheet.i });
    return [gone, nearest, this.t("gain", facts)].filter(Boolean);
  }

  fillSamples(select) {
    const samples = samplesOf(this.run);
    if (samples.length && !samples.includes(this.sample)) this.sample = defaultSample(this.run);
    const labels = samples.map((b) => (this.run.labels?.[b] ? `${b} \u00b7 ${this.run.labels[b]}` : `${this.t("sample")} ${b}`));
    const key = labels.join("|");
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...labels.map((words, k) => element("option", { value: samples[k] }, words)));
    }
    select.value = String(this.sample);
    select.hidden = samples.length < 2;
  }

  ownScale() {
    const scale = stepOf(this.run, this.at)?.gamma;
    return Number.isFinite(scale) ? scale : (this.run?.cfg ?? 1);
  }

  scaleControls() {
    const { scale, scaleWords, use } = this.parts;
    const own = this.ownScale();
    const shown = this.scale ?? own;
    scale.max = String(Math.min(MOST_SCALE, Math.max(8, 2 * Math.ceil(own))));
    scale.value = String(shown);
    scaleWords.textContent = number(shown);
    const source = scaleSource(this.editor.root(), this.node);
    const name = source && `${source.node.title ?? source.node.type} (${source.node.id})`;
    use.textContent = this.t("use", { value: number(shown) });
    use.disabled = !source?.widget || !this.run;
    use.title = source ? this.t(source.reason ?? "useTip", { node: name }) : this.t("nowhere");
    this.obstacle = source?.widget ? null : use.title;
  }

  useScale() {
    const source = scaleSource(this.editor.root(), this.node);
    if (!source?.widget) return;
    const value = Number((this.scale ?? this.ownScale()).toFixed(2));
    writeScale(source, value);
    this.editor.refresh();
    const name = `${source.node.title ?? source.node.type} (${source.node.id})`;
    this.set({ note: this.t("written", { node: name, value: number(value) }) });
  }

  drawTable() {
    const rows = table(this.run, this.sample);
    fillTable(this.parts.table, rows, this.at, (value) => (typeof value === "string" ? value : number(value)));
  }

  async copyNumbers() {
    const rows = table(this.run, this.sample);
    const words = csv(rows);
    const copied = await navigator.clipboard?.writeText(words).then(() => true, () => false);
    if (!copied) download(new Blob([words], { type: "text/csv" }), this.fileName("csv"));
    this.set({ note: this.t("copied", { rows: rows.length - 1 }) });
  }

  fileName(ending) {
    return `guidance-${this.view}-step-${this.at}.${ending}`;
  }

  async sources() {
    const { workflow, output } = await this.editor.sources();
    return { workflow, prompt: output };
  }

  async saveSVG() {
    const svg = toSVG(this.commands({ ...EXPORT, theme: LIGHT }), { title: FIGURES[this.view].title });
    const whole = svgWithSources(svg, await this.sources());
    download(new Blob([whole], { type: "image/svg+xml" }), this.fileName("svg"));
  }

  async savePNG() {
    const canvas = element("canvas");
    const marks = this.marks;
    this.paintOn(canvas, { ...EXPORT, theme: LIGHT }, 2);
    this.marks = marks;
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const bytes = pngWithSources(new Uint8Array(await blob.arrayBuffer()), await this.sources());
    download(new Blob([bytes], { type: "image/png" }), this.fileName("png"));
  }

  hover(event) {
    const { x, y } = this.place(event);
    this.tell(this.found(x, y), x, y);
  }

  /** A click on what stands for a step shows that step, in every view. */
  pick(event) {
    const { x, y } = this.place(event);
    const { step } = this.found(x, y) ?? {};
    if (Number.isInteger(step)) this.goTo(step);
  }

  /** What the pointer is over. Places of steps are found once for each drawing. */
  found(x, y) {
    if (!this.run) return null;
    const about = { run: this.run, step: this.at, sample: this.sample, t: this.t };
    if (PICTURES[this.view] || !this.size) return hint(this.marks, { x, y }, about);
    this.places ??= stepPlaces(this.view, this.run, (step) =>
      FIGURES[this.view].figure(this.run, { ...this.size, step, sample: this.sample }));
    return hintAlong(this.view, this.places, x, about) ?? hint(this.marks, { x, y }, about);
  }

  /** Where a pointer is, in the figure's own pixels: the editor zooms the whole panel. */
  place(event) {
    const seen = this.parts.canvas.getBoundingClientRect();
    const zoom = seen.width / this.parts.box.clientWidth || 1;
    return { x: (event.clientX - seen.left) / zoom, y: (event.clientY - seen.top) / zoom };
  }

  tell(found, x, y) {
    const { tip, box } = this.parts;
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = found.words;
    const right = x > box.clientWidth / 2;
    tip.style.left = right ? "auto" : `${x + 12}px`;
    tip.style.right = right ? `${box.clientWidth - x + 12}px` : "auto";
    tip.style.top = `${Math.min(y + 10, box.clientHeight - 40)}px`;
  }
}

/** Sentences in a row; what does not end with a full stop is set off by a dot. */
const joined = (lines) => lines.map((line, k) => (k < lines.length - 1 && !line.endsWith(".") ? `${line} \u00b7` : line)).join(" ");

/** Brightness of a CSS colour "rgb(r, g, b)", 0 to 1. */
function brightness(colour) {
  const [r, g, b] = (colour.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return (0.299 * r + 0.587 * g + 0.114 * b) / 255;
}
