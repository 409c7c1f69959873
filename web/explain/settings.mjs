// @ts-check
/** What can be set on the page, its range, and a link that carries all of it. */
import { LABELS } from "./network.mjs";
import { RULES } from "./rules.mjs";
import { SAMPLERS } from "./sampling.mjs";

export const SCREENS = 8; // seven of the lesson, and the workbench
export const CFG = [1, 2, 3, 4, 6, 8, 11, 16]; // columns of the workbench
export const EDGE = 2.5; // of the map

/** Numbers between two ends.  @type {Record<string, Limits>} */
export const RANGES = {
  screen: { least: 1, most: SCREENS, by: 1, usual: 1 },
  gamma: { least: 0, most: 16, by: 0.25, usual: 4 },
  steps: { least: 2, most: 50, by: 1, usual: 20 },
  seed: { least: 0, most: 999, by: 1, usual: 4 },
  noise: { least: 0.02, most: 0.98, by: 0.02, usual: 0.86 },
  pictures: { least: 2, most: 16, by: 2, usual: 4 },
  step: { least: 1, most: 50, by: 1, usual: 8 },
  picture: { least: 1, most: 16, by: 1, usual: 1 },
};

/** One of several words.  @type {Record<string, string[]>} */
export const CHOICES = { sampler: Object.keys(SAMPLERS), label: LABELS, rule: Object.keys(RULES), language: ["", "en", "zh"], cfg: CFG.map(String) };
/** @type {Record<string, string>} */
const USUAL = { sampler: "euler", label: "monster", rule: "cfg", language: "", cfg: "8" };
/** @type {[number, number]} */ const POINT = [-0.8, 0.8];

/** A value inside its range, on its grid; the usual one for what is no number.  @param {Limits} range @param {string | number | null} value */
export function inside({ least, most, by, usual }, value) {
  const number = value === null || value === "" ? NaN : Number(value);
  if (!Number.isFinite(number)) return usual;
  const steps = Math.round((Math.min(Math.max(number, least), most) - least) / by);
  return Number((least + steps * by).toFixed(4));
}

/** The settings of a link, such as "#screen=3&gamma=4"; whatever is not understood is as usual.  @param {string} link @returns {Settings} */
export function readLink(link) {
  const given = new URLSearchParams(link.replace(/^#/, ""));
  const numbers = Object.entries(RANGES).map(([name, range]) => [name, inside(range, given.get(name))]);
  const words = Object.entries(CHOICES).map(([name, list]) => [name, list.find((value) => value === given.get(name)) ?? USUAL[name]]);
  const point = (given.get("x") ?? "").split(",").map((value) => (value.trim() ? Number(value) : NaN));
  const known = point.length === 2 && point.every(Number.isFinite);
  const settings = { ...Object.fromEntries([...numbers, ...words]), x: known ? point.map((value) => Math.min(Math.max(value, -EDGE), EDGE)) : POINT };
  return { ...settings, cfg: Number(settings.cfg) };
}

/** @param {Settings} settings */
export function writeLink(settings) {
  const values = Object.entries(settings).filter(([, value]) => value !== "").map(([name, value]) => [name, Array.isArray(value) ? value.map((v) => Number(v.toFixed(3))).join(",") : String(value)]);
  return `#${values.map(([name, value]) => `${name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`).join("&")}`;
}
