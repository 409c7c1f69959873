/** The fixtures that both languages read, and boxes of what is drawn. */
import { readdirSync, readFileSync } from "node:fs";

const FOLDER = new URL("../fixtures/records/", import.meta.url);

export const NAMES = readdirSync(FOLDER).filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -5));

export const fixture = (name) => frozen(JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER))));

/** Deeply read-only: a figure that changes its record throws. */
function frozen(value) {
  if (value && typeof value === "object") Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** The commands with a name. */
export const called = (commands, name) => commands.filter((command) => command.name === name);

/** Undo the typography of a printed number. */
export function read(words) {
  const plain = words.replace(" rms", "").normalize("NFKC").replace(/\u2212/g, "-");
  const [, mantissa, power] = words.match(/\u207b|[\u00b9\u00b2\u00b3\u2070-\u2079]/) ? plain.match(/^(?:(.*)\u00b7)?10(.*)$/) : [null, plain, 0];
  return Number(mantissa ?? 1) * 10 ** Number(power);
}
