"""Every rule's documented formula, written a second time for one item in float64, and chains of them in acting order.

It shares no code with the pack: rules are read for their knobs alone. A chain asks for an outer step with `first` and
for the further evaluations of that step with `stage`, which leave no memory behind.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import torch

ORDER = (
    ("ScaleSchedule", "Interval", "PlusPlus"),
    ("Autoguidance",),
    ("PerpNeg", "Negative"),
    ("AdaptiveProjected", "ZeroStar", "Tangential", "Bands", "PowerLaw", "MagnitudeAware", "Reuse"),
    ("Angle", "Skim", "Feedback", "Formula"),
    ("Rescale", "EnergyPreserving", "LocationNorm", "DynamicThreshold", "TangentialAmplify"),
    ("Perturbed",),
)


@dataclass(frozen=True)
class Moment:
    """One evaluation of one item: x = alpha x0 + sigma eps; further: predictions by index of the rule and its name."""

    x: torch.Tensor  # [C, H, W]
    u: torch.Tensor
    c: torch.Tensor
    sigma: float
    alpha: float
    flow: bool
    further: dict = field(default_factory=dict)

    @property
    def n(self):
        """Noise per signal."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    def out(self, space, x0):
        """What a network of a space outputs, up to a factor."""
        eps_like, v_like = self.x - self.alpha * x0, self.x - x0
        if space == "x0":
            return x0
        if space == "epsilon" or (space == "ode" and not self.flow):
            return eps_like
        return v_like if self.flow else self.alpha * self.x - (self.alpha**2 + self.sigma**2) * x0

    def back(self, space, output):
        """The x0-hat of such an output."""
        if space == "x0":
            return output
        if space == "epsilon" or (space == "ode" and not self.flow):
            return (self.x - output) / self.alpha
        if self.flow:
            return self.x - output
        return (self.alpha * self.x - output) / (self.alpha**2 + self.sigma**2)


def dot(a, b):
    return float((a * b).sum())


def length(a):
    return math.sqrt(dot(a, a))


def along(a, b):
    return dot(a, b) / dot(b, b) * b if dot(b, b) else 0 * b


def quantile(values, q):
    values = sorted(values)
    place = q * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


class Run:
    """The schedule, and a place in it: the outer step, and a noise level that may lie further on."""

    def __init__(self, sigmas, flow):
        self.sigmas, self.flow, self.steps = sigmas, flow, len(sigmas) - 1

    def position(self, sigma):
        for i in range(self.steps):
            if self.sigmas[i] >= sigma > self.sigmas[i + 1]:
                return i + (self.sigmas[i] - sigma) / (self.sigmas[i] - self.sigmas[i + 1])
        return self.steps

    def n(self, i):
        sigma = self.sigmas[i]
        return (sigma / (1 - sigma) if sigma < 1 else math.inf) if self.flow else sigma


# gamma of the sampler -> gamma in force


def schedule(rule, gamma, run, i, sigma):
    if rule.shape == "list":
        return rule.values[i]
    p = min(run.position(sigma) / (run.steps - 1), 1.0)
    shape = {"linear": p, "cosine": (1 - math.cos(math.pi * p)) / 2, "power": p**rule.power}[rule.shape]
    return 1 + (gamma - 1) * (rule.start + (rule.end - rule.start) * shape)


def interval(rule, gamma, run, i, sigma):
    return gamma if rule.start <= i / run.steps < rule.end else 1.0


def plus_plus(rule, gamma, run, i, sigma):
    return gamma / (1 - run.n(i + 1) / run.n(i))


SCALES = {"ScaleSchedule": schedule, "Interval": interval, "PlusPlus": plus_plus}


# conditions: D of u, c and further ones


def perp_neg(rule, u, c, further, gamma):
    e = further["empty"]
    q = u - e
    return e + gamma * (c - e - rule.weight * (q - along(q, c - e)))


def negative(rule, u, c, further, gamma):
    found = list(further.values())
    if rule.form == "sum":
        return u + gamma * (c - u + sum(w * (m - u) for w, m in zip(rule.weights, found, strict=True)))
    m, w = found[0], rule.weights[0]
    return u + w * (m - u) + gamma * (c - m) if rule.form == "InstructPix2Pix" else u + w * (m + gamma * (c - m) - u)


CONDITIONS = {"PerpNeg": perp_neg, "Negative": negative}


# before the combination: (u, c) and memory -> (u, c) and memory


def apg(rule, memory, m, u, c, gamma):
    mean = c - u + rule.momentum * (0 if memory is None else memory)
    axis, kept = m.out(rule.space, c), torch.empty_like(mean)
    places = [...]
    if rule.part == "channel":
        places = range(mean.shape[0])
    elif rule.part == "frame" and mean.ndim == 4:
        places = [(slice(None), time) for time in range(mean.shape[1])]
    for at in places:
        d = mean[at]
        if rule.threshold and length(d):
            radius = rule.threshold * (1 if rule.absolute else math.sqrt(d.numel()))
            d = d * min(1.0, radius / length(d))
        parallel = along(d, axis[at])
        kept[at] = d - parallel + rule.eta * parallel
    return c - kept, c, mean


def zero_star(rule, memory, m, u, c, gamma):
    v_u, v_c = m.out("ode", u), m.out("ode", c)
    return m.back("ode", dot(v_c, v_u) / dot(v_u, v_u) * v_u), c, None


def tangential(rule, memory, m, u, c, gamma):
    rows = torch.stack([m.out(rule.space, u).flatten(), m.out(rule.space, c).flatten()])
    leading = torch.linalg.svd(rows, full_matrices=False).Vh[0]
    return m.back(rule.space, (rows[0] @ leading * leading).reshape(u.shape)), c, None


def blurred(row):
    n = len(row)
    mirror = [abs(i) if i < n else 2 * (n - 1) - i for i in range(-2, n + 2)]
    mirror = mirror if n > 2 else [min(max(i, 0), n - 1) for i in range(-2, n + 2)]
    return [sum(w * row[mirror[i + k]] for k, w in enumerate((1, 4, 6, 4, 1))) / 16 for i in range(n)]


def resized(row, size):
    places = [min(max((i + 0.5) * len(row) / size - 0.5, 0), len(row) - 1) for i in range(size)]
    ends = [(int(p), min(int(p) + 1, len(row) - 1)) for p in places]
    return [row[a] + (p - a) * (row[b] - row[a]) for p, (a, b) in zip(places, ends, strict=True)]


def pyramid(row, level):
    """What is left of a row below a level of the pyramid, in full size."""
    if level == 0:
        return row
    half = resized(blurred(row), max(len(row) // 2, 1))
    return blurred(resized(pyramid(half, level - 1), len(row)))


def along_rows(v, change):
    return torch.tensor([[change(row) for row in plane] for plane in v.tolist()], dtype=v.dtype)


def bands(rule, memory, m, u, c, gamma):
    d = c - u
    if rule.method == "FDG":
        weights = [rule.high, *reversed(rule.middle), rule.low]  # from fine to coarse
        below = [partial(pyramid, level=level) for level in range(len(weights))]
        kept = [along_rows(along_rows(d, low).mT, low).mT for low in below] + [torch.zeros_like(d)]
        return c - sum(w * (fine - coarse) for w, (fine, coarse) in zip(weights, pairwise(kept), strict=True)), c, None
    waves = torch.fft.fft2(d)
    for axis in (-2, -1):
        k = torch.arange(d.shape[axis])
        kept = torch.minimum(k, d.shape[axis] - k) * 2 / d.shape[axis] <= rule.cutoff
        waves = waves * (kept[:, None] if axis == -2 else kept)
    low = torch.fft.ifft2(waves).real
    return u, u + rule.low * low + rule.high * (d - low), None


def power_law(rule, memory, m, u, c, gamma):
    factor = {"score": m.alpha / m.sigma**2, "epsilon": m.alpha / m.sigma, "x0": 1.0}[rule.space]
    size = length(c - u) * factor
    return c - (size**rule.power if size else 0.0) * (c - u), c, None


def magnitude_aware(rule, memory, m, u, c, gamma):
    o_u, o_c = m.out(rule.space, u), m.out(rule.space, c)
    return c - math.exp(-rule.damping * length(o_c - o_u) / length(o_u)) * (c - u), c, None


def reuse(rule, memory, m, u, c, gamma):
    """memory: differences measured, newest first, each with its n; steps skipped since."""
    measured, skipped = memory or ([], 0)
    if u is not None:
        return u, c, ([(c - u, m.n), *measured][:2], 0)
    delta, n = measured[0]
    if rule.predictor == "line":
        before, n_before = measured[1]
        theta = 0.0 if math.isinf(n_before) else math.log(m.n / n) / math.log(n / n_before)
        delta = delta if math.isinf(n) else m.n * (delta / n + theta * (delta / n - before / n_before))
    return c - delta, c, (measured, skipped + 1)


def skips(rule, memory):
    """Whether a step goes without u."""
    measured, skipped = memory or ((), 0)
    return len(measured) >= (2 if rule.predictor == "line" else 1) and skipped < rule.every - 1


BEFORE = {"AdaptiveProjected": apg, "ZeroStar": zero_star, "Tangential": tangential, "Bands": bands}
BEFORE |= {"PowerLaw": power_law, "MagnitudeAware": magnitude_aware, "Reuse": reuse}


# in the place of CFG


def angle(rule, m, u, c, gamma):
    across = c - u - along(c - u, u)
    turn = (gamma - 1) * math.acos(max(-1.0, min(1.0, dot(u, c) / length(u) / length(c))))
    turn = max(-math.radians(rule.max_angle), min(math.radians(rule.max_angle), turn))
    found = math.cos(turn) * c + (math.sin(turn) * length(c) * across / length(across) if length(across) else 0)
    return found * length(c) / length(found) if rule.keep_norm else found


def skim(rule, m, u, c, gamma):
    d = c - u
    plain = u + gamma * d
    same = (d.sign() == c.sign()) & (d.sign() == plain.sign()) & (d.sign() == (plain - m.x).sign())
    return torch.where(same, u + min(rule.skim, gamma) * d, plain)


def formula(rule, m, u, c, gamma):
    """The one formula that is tried: c + (gamma - 1) * rej(d, x)."""
    assert rule.formula == "c + (gamma - 1) * rej(d, x)"
    return c + (gamma - 1) * (c - u - along(c - u, m.x))


COMBINE = {"Angle": angle, "Skim": skim, "Formula": formula}


def feedback_posterior(rule, run, memory, m, u, c, gamma):
    """Log posterior of a step.  memory: that of the step before, and its moment, u and c."""
    offset = math.log((1 - rule.pi) * 3 / 2) / ((1 - rule.t0) * run.steps)
    kernel = [run.n(i + 1) ** 2 * (1 - (run.n(i + 1) / run.n(i)) ** 2) for i in range(run.steps)][::-1]
    low, share = int(rule.t1 * run.steps), rule.t1 * run.steps - int(rule.t1 * run.steps)
    temperature = abs(2 * ((1 - share) * kernel[low] + share * kernel[min(low + 1, run.steps - 1)]) / 10 * offset)
    posterior = 0.0
    if memory is not None:
        posterior, before, u_, c_ = memory
        square = (m.n / before.n) ** 2
        start = 0 * m.x if before.alpha == 0 else square * before.x / before.alpha
        miss_c, miss_u = (dot(e, e) for e in (m.x / m.alpha - start - (1 - square) * v for v in (c_, u_)))
        posterior += offset - temperature / (2 * m.n**2 * (1 - square)) * (miss_c - miss_u)
    return min(max(posterior, math.log((1 - rule.pi) * gamma / (gamma - 1))), 3.0)


# after the combination


def rescale(rule, m, u, c, guided, gamma):
    o_c, o_g = m.out(rule.space, c), m.out(rule.space, guided)
    share = float(o_c.std(correction=0) / o_g.std(correction=0))
    return m.back(rule.space, o_g * (rule.phi * share + 1 - rule.phi))


def energy(o, robust):
    squares = (o * o).flatten().tolist()
    low, high = (quantile(squares, q) for q in ((0.45, 0.55) if robust else (0, 1)))
    return math.fsum(square for square in squares if low <= square <= high)


def energy_preserving(rule, m, u, c, guided, gamma):
    o_c, o_g = m.out(rule.space, c), m.out(rule.space, guided)
    return m.back(rule.space, o_g * math.sqrt(energy(o_c, rule.robust) / energy(o_g, rule.robust)))


def location_norm(rule, m, u, c, guided, gamma):
    o_c, o_g = m.out(rule.space, c), m.out(rule.space, guided)
    share = o_c.square().sum(0).sqrt() / o_g.square().sum(0).sqrt()
    share = share if rule.match else share.clamp(max=1)
    return m.back(rule.space, o_g * (1 + rule.strength * (share - 1)))


def threshold(rule, m, u, c, guided, gamma):
    if gamma == 1:
        return guided
    if rule.method == "percentile":
        limit = max(rule.bound, quantile(guided.flatten().abs().tolist(), rule.quantile))
        return guided.clamp(-limit, limit) * rule.bound / limit
    found, example = [], u + min(rule.mimic_scale, gamma) * (c - u)
    for channel, model in zip(guided, example, strict=True):
        off, reach = channel - channel.mean(), float((model - model.mean()).abs().max())
        limit = max(reach, quantile(off.flatten().abs().tolist(), rule.quantile))
        found.append(channel.mean() + off.clamp(-limit, limit) * reach / limit)
    return torch.stack(found)


def tangential_amplify(rule, m, u, c, guided, gamma):
    if gamma == 1:
        return guided
    d = c - u - along(c - u, m.x)
    guided = guided + rule.align * along(c, d)
    return guided + (rule.eta - 1) * (guided - along(guided, m.x))


AFTER = {"Rescale": rescale, "EnergyPreserving": energy_preserving, "LocationNorm": location_norm}
AFTER |= {"DynamicThreshold": threshold, "TangentialAmplify": tangential_amplify}


def in_window(rule, share):
    """The rule where a share of the steps lies in all its windows; None outside."""
    return rule if all(start <= share < end for start, end in rule.windows) else None


class ByHand:
    """A chain of rules on one item."""

    def __init__(self, rules, sigmas, flow):
        self.rules, self.run = list(rules), Run(sigmas, flow)
        self.old: list[Any] = [None] * len(self.rules)
        self.new = self.old
        self.waited, self.still = 0, False

    def first(self, i, m, gamma):
        """D in the first evaluation of outer step i."""
        self.old, self.new = self.new, list(self.new)
        self.there = [in_window(rule, i / self.run.steps) for rule in self.rules]
        return self._guided(i, m, gamma, True)

    def stage(self, i, m, gamma):
        """D in a further evaluation of it."""
        return self._guided(i, m, gamma, False)

    def _named(self, table) -> list[tuple[int, Any, str]]:
        return [(k, rule, type(rule).__name__) for k, rule in enumerate(self.there) if type(rule).__name__ in table]

    def _further(self, m, k):
        return {key.split(" ", 1)[1]: v for key, v in m.further.items() if key.startswith(f"{k} ")}

    def _guided(self, i, m, gamma, first):
        for _, rule, name in self._named(SCALES):
            gamma = SCALES[name](rule, gamma, self.run, i, m.sigma)
        if first:
            self.still = gamma != 1 and self._wants_to_wait(i)
            self.waited += self.still
        found = self._combined(i, m, gamma, first)
        for k, rule, _ in self._named(("Perturbed",)):
            if rule.start <= i / self.run.steps < rule.end:
                found = found + rule.weight * (m.c - self._further(m, k)["perturbed"])
        return found

    def _wants_to_wait(self, i):
        """Whether a flow run from pure noise has waited in every step before i and is to wait in this one."""
        most = max((rule.zero_steps for _, rule, _ in self._named(("ZeroStar",))), default=0)
        return self.run.flow and self.run.sigmas[0] >= 0.98 and self.waited == i < most

    def _combined(self, i, m, gamma, first):
        if gamma == 1:
            return m.x if self.still else m.c
        skipped = any(skips(rule, self.old[k]) for k, rule, _ in self._named(("Reuse",)))
        guided, u, c = self._conditions(m, gamma, skipped)
        for k, rule, name in self._named(BEFORE):
            if name == "ZeroStar" and self.still:
                return m.x
            if u is None and name != "Reuse":
                continue
            u, c, memory = BEFORE[name](rule, self.old[k], m, u, c, gamma)
            guided = None
            if first:
                self.new[k] = memory
        guided = self._between(m, u, c, gamma, first) if guided is None else guided
        for _, rule, name in self._named(AFTER):
            guided = AFTER[name](rule, m, u, c, guided, gamma)
        return guided

    def _conditions(self, m, gamma, skipped):
        """D of the conditions, if there are any, and the u and c between which it is CFG."""
        if skipped:
            return None, None, m.c
        u = m.u
        for k, rule, _ in self._named(("Autoguidance",)):
            u = u + rule.share * (self._further(m, k)["weak"] - u)
        for k, rule, name in self._named(CONDITIONS):
            found = CONDITIONS[name](rule, u, m.c, self._further(m, k), gamma)
            return found, m.c - (found - m.c) / (gamma - 1), m.c
        return None, u, m.c

    def _between(self, m, u, c, gamma, first):
        for _, rule, name in self._named(COMBINE):
            return COMBINE[name](rule, m, u, c, gamma)
        for k, rule, _ in self._named(("Feedback",)):
            if gamma <= 1:
                break
            if first or self.new[k] is self.old[k]:  # a step whose first evaluation was not guided has no lambda yet
                posterior = feedback_posterior(rule, self.run, self.old[k], m, u, c, gamma)
            else:
                posterior = self.new[k][0]
            if first:
                self.new[k] = (posterior, m, u, c)
            return u + math.exp(posterior) / (math.exp(posterior) - (1 - rule.pi)) * (c - u)
        return u + gamma * (c - u)
