// @ts-check
/** What stays while the chosen step moves: found once, and kept as long as that on which it rests. */

/** @type {WeakMap<object, Record<string, {given: any[], found: any}>>} */
const FOUND = new WeakMap(); // what it rests on -> {name: {given, found}}

/** What `find` says of an object that does not change; asked again when one of the values given is another.
 * @template T
 * @param {object} object @param {string} name @param {any[]} given @param {() => T} find
 * @returns {T}
 */
export function still(object, name, given, find) {
  if (!FOUND.has(object)) FOUND.set(object, {});
  const all = /** @type {Record<string, {given: any[], found: any}>} */ (FOUND.get(object));
  if (!all[name]?.given.every((value, k) => Object.is(value, given[k]))) all[name] = { given, found: find() };
  return all[name].found;
}
