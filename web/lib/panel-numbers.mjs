// @ts-check
/** The numbers of a run beside its figure: a table whose rows light their steps, and that can be saved and copied. */
import { download, fillTable, listen, markRows } from "./panel-parts.mjs";
import { csv, table } from "./panel-record.mjs";
import { fileName } from "./saving.mjs";
import { number } from "./words.mjs";

export class NumbersView {
  /** panel: has the place for it, and takes the step that is lit or picked.  @param {InspectorPanel} panel */
  constructor(panel) {
    this.panel = panel;
    const { numbers, copy, csv: save, table: place } = panel.parts;
    this.place = place;
    listen(numbers, "click", () => this.toggle());
    listen(save, "click", () => this.save());
    listen(copy, "click", () => this.copy());
    for (const kind of ["pointerover", "focusin"]) listen(place, kind, (event) => panel.light(stepOfRow(event)));
    for (const kind of ["pointerleave", "focusout"]) listen(place, kind, () => panel.light(null));
    listen(place, "click", (event) => {
      const step = stepOfRow(event);
      if (step !== null) panel.goTo(step);
    });
    listen(place, "keydown", (event) => this.turnRow(event));
  }

  get isOpen() {
    return !this.place.hidden;
  }

  toggle() {
    const { numbers, copy, table: place } = this.panel.parts;
    const isOpen = place.hidden;
    place.hidden = !isOpen;
    copy.hidden = !isOpen;
    this.panel.light(null);
    numbers.setAttribute("aria-pressed", String(isOpen));
    this.panel.redraw();
  }

  draw() {
    const { place, panel: { run, state } } = this;
    const key = [run?.run, run?.part, run?.live, run?.steps?.length, state.sample].join();
    if (place.dataset.key !== key) {
      fillTable(place, table(run, state.sample), (value) => (typeof value === "string" ? value : number(value)));
      place.dataset.key = key;
    }
    markRows(place, state.at, state.lit);
  }

  /** Up and down go from row to row, Enter shows the row's step.  @param {any} event */
  turnRow(event) {
    const row = event.target.closest("tr[data-step]");
    const next = event.key === "ArrowDown" ? row?.nextElementSibling : event.key === "ArrowUp" ? row?.previousElementSibling : null;
    if (!row || (!next && event.key !== "Enter")) return;
    event.preventDefault();
    event.stopPropagation();
    if (next) next.focus();
    else this.panel.goTo(Number(row.dataset.step));
  }

  rows() {
    return table(this.panel.run, this.panel.state.sample);
  }

  save() {
    download(new Blob([csv(this.rows())], { type: "text/csv" }), fileName(this.panel, "csv"));
  }

  async copy() {
    const { panel } = this;
    const rows = this.rows();
    const isCopied = await navigator.clipboard?.writeText(csv(rows)).then(() => true, () => false);
    panel.set({ note: panel.t(isCopied ? "copied" : "notCopied", { rows: rows.length - 1 }) });
  }
}

/** The step of the table's row that an event comes from, null outside the rows.  @param {any} event */
function stepOfRow({ target }) {
  const row = target.closest("tr[data-step]");
  return row ? Number(row.dataset.step) : null;
}
