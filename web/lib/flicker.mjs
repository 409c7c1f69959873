// @ts-check
/** Two pictures that take turns in one place while it is pressed: what changes is seen where it is. */

const TURN = 500; // milliseconds that each stands: two turns a second, less than the flashes that may harm somebody

export class Flicker {
  /** @type {any} */ timer = null;
  on = false;
  turned = false;

  /** show(turned): draws the one picture or the other. calm(): whether a person asked for less motion.
   * @param {(turned: boolean) => void} show
   */
  constructor(show, calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches) {
    this.show = show;
    this.calm = calm;
  }

  /** From the other picture on; for those who asked for less motion it stays. */
  begin() {
    if (this.on) return;
    this.on = true;
    this.turn();
    if (!this.calm()) this.timer = setInterval(() => this.turn(), TURN);
  }

  turn() {
    this.turned = !this.turned;
    this.show(this.turned);
  }

  end() {
    if (!this.on) return;
    clearInterval(this.timer);
    Object.assign(this, { on: false, timer: null, turned: false });
    this.show(false);
  }

  /** A press on a place, and Space, hold it on; Enter switches it. ready(event): whether there are two pictures.
   * @param {HTMLElement} place @param {(event: any) => boolean} ready
   */
  listen(place, ready) {
    /** @type {Record<string, (event: any) => void>} */
    const acts = {
      pointerdown: (event) => {
        if (event.button !== 0 || !ready(event)) return;
        place.setPointerCapture(event.pointerId);
        this.begin();
      },
      keydown: (event) => {
        if (![" ", "Enter"].includes(event.key) || !ready(event)) return;
        event.preventDefault();
        event.stopPropagation(); // the panel would play the run
        if (event.repeat) return;
        if (event.key === "Enter" && this.on) this.end();
        else this.begin();
      },
      keyup: ({ key }) => key === " " && this.end(),
      dragstart: (event) => event.preventDefault(),
      contextmenu: (event) => this.on && event.preventDefault(), // of a long touch
    };
    for (const [kind, act] of Object.entries(acts)) place.addEventListener(kind, act);
    for (const kind of ["pointerup", "pointercancel"]) place.addEventListener(kind, () => this.end());
    place.addEventListener("focusout", ({ relatedTarget: next }) => place.contains(/** @type {?Node} */ (next)) || this.end());
  }
}
