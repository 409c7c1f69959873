// @ts-check
/** The page's side of the workers: what is asked last counts, and what is not needed any more is stopped. */

const MOST = 4; // workers: each holds the network, 12 MB

export class Engine {
  /** @type {{worker: Worker, busy: number}[]} */ workers = [];
  /** @type {Map<number, any>} */ open = new Map(); // what was asked and not answered, by its number
  last = 0;
  /** What is told where work begins, goes on and ends.  @type {() => void} */ changed = () => {};

  /** code: text of the script that a worker runs. weights: of the network  @param {string} code @param {ArrayBuffer} weights */
  constructor(code, weights) {
    this.address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.weights = weights;
    this.most = Math.min(MOST, Math.max(1, (navigator.hardwareConcurrency ?? 2) - 1));
  }

  /** The worker that has least to do; a further one is started where all are busy. first: the first one, which remembers clean pictures.
   * @param {boolean} first
   */
  choose(first) {
    const free = this.workers.find(({ busy }, k) => !busy && !(k === 0 && !first && this.most > 1));
    if (first ? this.workers.length : free) return first ? this.workers[0] : /** @type {any} */ (free);
    if (this.workers.length < this.most) return this.start();
    return this.workers.reduce((least, other) => (other.busy < least.busy ? other : least));
  }

  start() {
    const worker = new Worker(this.address);
    const made = { worker, busy: 0 };
    worker.onmessage = ({ data }) => this.hear(data);
    worker.onerror = (event) => [...this.open.values()].filter(({ place }) => place === made).forEach(({ id }) => this.hear({ id, done: true, failed: event.message }));
    worker.postMessage({ weights: this.weights });
    this.workers.push(made);
    return made;
  }

  /** Ask for a task; each part that it finds is told. slot: another order of the same slot takes its place.
   * @param {string} task @param {any} order @param {(part: any) => void} told @param {{slot?: string, first?: boolean}} [how]
   * @returns {Promise<any>} what it found last; null where it was stopped
   */
  ask(task, order, told, { slot = "", first = true } = {}) {
    if (slot) this.stop(slot);
    const place = this.choose(first);
    const id = this.last += 1;
    place.busy += 1;
    const answer = new Promise((resolve, reject) => this.open.set(id, { id, slot, place, told, resolve, reject, found: null }));
    place.worker.postMessage({ id, task, order });
    this.changed();
    return answer;
  }

  /** @param {any} message */
  hear({ id, done, failed, ...found }) {
    const asked = this.open.get(id);
    if (!asked) return; // it was stopped
    if (Object.keys(found).length) {
      asked.found = found;
      asked.told(found);
    }
    if (!done) return;
    this.close(asked);
    if (failed) asked.reject(new Error(failed));
    else asked.resolve(asked.found);
  }

  /** Give up what a slot waits for.  @param {string} slot */
  stop(slot) {
    for (const asked of [...this.open.values()].filter((one) => one.slot === slot)) {
      asked.place.worker.postMessage({ stop: asked.id });
      this.close(asked);
      asked.resolve(null);
    }
  }

  /** @param {any} asked */
  close(asked) {
    this.open.delete(asked.id);
    asked.place.busy -= 1;
    this.changed();
  }
}
