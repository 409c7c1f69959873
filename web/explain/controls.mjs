// @ts-check
/** Sliders and lists that set one thing each. */
import { element } from "../lib/panel-parts.mjs";
import { number } from "../lib/words.mjs";
import { CHOICES, inside, RANGES } from "./settings.mjs";

/** A control of one setting: its element, and show(settings).
 * @param {string} name @param {Speaker} t @param {(values: any) => void} change @param {{most?: number}} [limits] @returns {{element: any, show: (settings: any) => void}}
 */
export function controlOf(name, t, change, limits = {}) {
  return RANGES[name] ? sliderOf(name, { ...RANGES[name], ...limits }, t, change) : listOf(name, t, change);
}

/** @param {string} name @param {Limits} range @param {Speaker} t @param {(values: any) => void} change */
function sliderOf(name, range, t, change) {
  const input = element("input", { type: "range", id: `set-${name}`, name, min: range.least, max: range.most, step: range.by });
  const value = element("output", { for: `set-${name}` });
  const label = element("label", { for: `set-${name}` }, t(name === "step" ? "stepLabelled" : name), value);
  const whole = element("div", { class: "control" }, label, input);
  if (name === "seed") {
    const button = element("button", { type: "button", class: "small" }, t("another"));
    button.addEventListener("click", () => change({ seed: (Number(input.value) + 1) % (range.most + 1) }));
    whole.append(button);
  }
  input.addEventListener("input", () => change({ [name]: inside(range, input.value) }));
  return { element: whole, show: (/** @type {any} */ settings) => { input.value = settings[name]; value.textContent = number(settings[name]); } };
}

/** @param {string} name @param {Speaker} t @param {(values: any) => void} change */
function listOf(name, t, change) {
  const options = CHOICES[name].map((value) => element("option", { value }, t(value)));
  const select = element("select", { id: `set-${name}`, name }, ...options);
  select.addEventListener("change", () => change({ [name]: select.value }));
  return { element: element("div", { class: "control" }, element("label", { for: `set-${name}` }, t(name)), select), show: (/** @type {any} */ settings) => { select.value = settings[name]; } };
}
