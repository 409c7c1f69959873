// @ts-check
/** The worker's side: tasks by number, each in parts, so that one that nobody waits for any more is given up. */
import { networkOf } from "./network.mjs";
import { TASKS } from "./tasks.mjs";
import { readWeights } from "./weights.mjs";

/** Answer messages: {weights}; {id, task, order}; {stop: id}.  scope: of the worker  @param {any} scope */
export function serve(scope) {
  /** @type {any} */ let network = null;
  /** @type {{id: number, parts: Generator<any>}[]} */ const waiting = [];
  const { port1, port2 } = new MessageChannel(); // its messages take turns with those that stop a task
  port1.onmessage = () => next();

  function next() {
    const [current] = waiting;
    if (!current) return;
    try {
      const { done, value } = current.parts.next();
      if (done) waiting.shift();
      if (done || value) scope.postMessage({ id: current.id, done, ...(value ?? {}) });
    } catch (error) {
      waiting.shift();
      scope.postMessage({ id: current.id, done: true, failed: String(error?.message ?? error) });
    }
    if (waiting.length) port2.postMessage(null);
  }

  scope.onmessage = (/** @type {MessageEvent} */ { data }) => {
    if (data.weights) network = networkOf(readWeights(data.weights));
    else if (data.stop) {
      const k = waiting.findIndex(({ id }) => id === data.stop);
      if (k >= 0) waiting.splice(k, 1);
    } else {
      waiting.push({ id: data.id, parts: TASKS[data.task](network, data.order) });
      if (waiting.length === 1) port2.postMessage(null);
    }
  };
}
