// @ts-check
/** Rules of guidance on one picture of a flow model, x = (1 - sigma) x0 + sigma eps: guidance/rules/ in the browser, at its defaults. */
import { deviation, dot, minus, plus, ratio } from "./vectors.mjs";

const APG = { eta: 0, threshold: 0.06, momentum: -0.5 };
const PHI = 0.7; // of the contrast is taken back
const ZERO_STEPS = 1;
const [START, END] = [0.2, 0.8]; // of the run
const SKIM = 3;

/** D = u + gamma (c - u)  @param {Pick<Predictions, "u" | "c" | "gamma">} p */
export const plain = ({ u, c, gamma }) => plus(u, minus(c, u), gamma);

/** Ho and Salimans 2022, arXiv 2207.12598, eq. 6, with gamma = 1 + w.  @type {GuidanceRule} */
const cfg = { name: "CFG", guide: plain };

/** m = delta + beta m; no longer than the threshold; without its part along c.  Sadat et al. 2024, arXiv 2410.02416, alg. 1.
 * @type {GuidanceRule}
 */
const apg = {
  name: "APG",
  guide({ u, c, gamma, state }) {
    const mean = state.mean ? plus(minus(c, u), state.mean, APG.momentum) : minus(c, u);
    state.mean = mean;
    const [length, cap] = [Math.sqrt(dot(mean, mean)), APG.threshold * Math.sqrt(mean.length)];
    const short = mean.map((value) => value * ratio(Math.min(length, cap), length));
    const square = dot(c, c);
    const delta = plus(short, c, square === 0 ? 0 : ((APG.eta - 1) * dot(short, c)) / square);
    return plus(c, delta, gamma - 1);
  },
};

/** The guided velocity with the deviation of the one with the label, by a share phi.  Lin et al. 2023, arXiv 2305.08891, sec. 3.4.
 * @type {GuidanceRule}
 */
const rescale = {
  name: "Rescale",
  guide(p) {
    const guided = plain(p);
    const share = ratio(deviation(minus(p.c, p.x)), deviation(minus(guided, p.x)));
    return plus(p.x, minus(guided, p.x), PHI * share + 1 - PHI);
  },
};

/** The velocity without the label at its best length, and no first step.  Fan et al. 2025, arXiv 2503.18886.  @type {GuidanceRule} */
const zeroStar = {
  name: "CFG-Zero*",
  guide({ x, u, c, gamma, i }) {
    if (i < ZERO_STEPS) return x;
    const [free, bound] = [minus(u, x), minus(c, x)];
    return plain({ u: plus(x, free, ratio(dot(bound, free), dot(free, free))), c, gamma });
  },
};

/** Guidance in a part of the run alone.  Kynkaanniemi et al. 2024, arXiv 2404.07724.  @type {GuidanceRule} */
const interval = { name: "Interval", scale: (gamma, share) => (START <= share && share < END ? gamma : 1), guide: plain };

/** A lower scale at values that guidance makes more extreme than they are. No paper.  @type {GuidanceRule} */
const skim = {
  name: "Skimmed",
  guide({ x, u, c, gamma }) {
    return plain({ u, c, gamma }).map((guided, k) => {
      const delta = c[k] - u[k];
      const [way, ...others] = [delta, c[k], guided, guided - x[k]].map(Math.sign);
      return others.every((other) => other === way) ? u[k] + Math.min(SKIM, gamma) * delta : guided;
    });
  },
};

/** @type {Record<string, GuidanceRule>} */
export const RULES = { cfg, apg, rescale, zero: zeroStar, interval, skim };
