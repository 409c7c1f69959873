// @ts-check
/** One cell of a study's page in a dialog: its picture, its numbers, its verdict, its run in the panel, its workflow. */
import { valueWords } from "./study-plot.mjs";

const MARKS = { mark: "Mark", reject: "Reject", rerun: "Run again" };

/** Where a row is among others: one cell may have several rows, at places where it would be the same.
 * @param {any[]} cells @param {Cell} row
 */
export const placeOf = (cells, row) => (cells.includes(row) ? cells.indexOf(row) : cells.findIndex((cell) => cell.id === row.id));

/** The dialog. page: of study.mjs; make: makes elements; changed(): after a mark. -> {open(row)}
 * @param {StudyPage} page @param {any} make @param {() => void} changed
 */
export function cellDialog(page, make, changed) {
  const { study, files, title, marks } = page;
  const dialog = page.place("cell");
  /** @type {{row: any, panel: any}} */
  const state = { row: null, panel: null };

  /** @param {string} words @param {() => void} act @param {any} [facts] */
  const button = (words, act, facts = {}) => {
    const made = make("button", { type: "button", textContent: words, ...facts });
    made.addEventListener("click", act);
    return made;
  };

  const order = () => page.shown.flat().filter(Boolean);
  /** @param {number} by */
  const turn = (by) => {
    const cells = order();
    const next = cells[placeOf(cells, state.row) + by];
    if (next) open(next, by < 0 ? "back" : "on");
  };

  /** @param {Cell} row */
  const head = (row) => {
    const cells = order();
    const i = placeOf(cells, row);
    const back = button("\u2039", () => turn(-1), { id: "back", title: "The cell before", ariaLabel: "The cell before", disabled: i <= 0 });
    const on = button("\u203a", () => turn(1), { id: "on", title: "The next cell", ariaLabel: "The next cell", disabled: i < 0 || i === cells.length - 1 });
    return make("div", { className: "head" }, make("h3", { id: "cell-name", textContent: title(row) }), back, on, button("Close", () => dialog.close()));
  };

  /** @param {Cell} row */
  const facts = (row) => {
    const told = [...Object.entries(row.place), ...Object.entries(row.measures).map(([name, value]) => [study.measures[name]?.title ?? name, valueWords(value, study.measures[name]?.unit)])];
    return make("dl", {}, ...told.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  };

  /** @param {Cell} row */
  const marking = (row) => Object.entries(MARKS).map(([kind, words]) => button(words, () => {
    marks.turn(row.id, kind);
    changed();
    open(row, kind);
  }, { id: kind, ariaPressed: String(marks.of(row.id) === kind) }));

  /** @param {Cell} row */
  const verdict = (row) => (row.verdict ? [make("p", { className: "verdict", textContent: row.verdict })] : []);

  /** @param {Cell} row */
  const about = (row) => make("div", { className: "about" },
    ...(study.pictures[row.id] ? [make("img", { src: study.pictures[row.id], alt: title(row) })] : []),
    make("div", { className: "buttons" }, ...marking(row)),
    facts(row),
    ...(study.runs ? [] : verdict(row)),
    ...(study.workflows ? saving(row) : []));

  /** @param {Cell} row */
  const saving = (row) => [
    make("div", { className: "buttons" }, button("Save its workflow", async () => download(`${row.id}.json`, (await files.prompts())[row.id]))),
    make("p", { className: "note", textContent: "Drop the workflow on ComfyUI to open it." }),
  ];

  /** The pack's own panel, one for all cells: the view that was chosen stays.  @param {Cell} row @param {any} room */
  const show = async (row, room) => {
    const record = (await files.runs())[row.id];
    if (!record || state.row !== row) return;
    /** @type {typeof import("./page-panel.mjs")} */
    const { openPanel, panelOf } = await files.panel();
    if (state.row !== row) return;
    const first = !state.panel;
    state.panel ??= panelOf(record, {}, async () => ({ output: (await files.prompts())[state.row.id] }));
    room.replaceChildren(state.panel.host);
    if (first) openPanel(state.panel, record);
    else state.panel.show(record);
  };

  /** @param {Cell} row @param {any} focused */
  function open(row, focused) {
    state.row = row;
    const room = make("div", { className: "panel" });
    dialog.className = [study.square && "square", study.runs && "with-panel"].filter(Boolean).join(" ");
    if (study.runs && state.panel) room.append(state.panel.host);
    dialog.replaceChildren(head(row), make("div", { className: "body" }, about(row),
      ...(study.runs ? [make("div", {}, room, ...verdict(row))] : [])));
    if (!dialog.open) dialog.showModal();
    const place = focused && dialog.querySelector(`#${focused}`);
    if (place && !place.disabled) place.focus();
    if (study.runs) show(row, room);
  }

  return { open };
}

/** Save a value as a file.  @param {string} name @param {any} value */
export function download(name, value) {
  const link = Object.assign(document.createElement("a"), { download: name, href: URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], { type: "application/json" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
