// @ts-check
/** What stays while the chosen step moves: found once, and kept as long as that on which it rests. */

const FOUND = new WeakMap(); // what it rests on -> {name: {given, found}}

/** What `find` says of an object that does not change; asked again when one of the values given is another. */
export function still(object, name, given, find) {
  if (!FOUND.has(object)) FOUND.set(object, {});
  const all = FOUND.get(object);
  if (!all[name]?.given.every((value, k) => Object.is(value, given[k]))) all[name] = { given, found: find() };
  return all[name].found;
}
