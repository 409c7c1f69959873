"""Ground truth, written a second time from the formulas and sharing no code with the pack.

The exact mixture one component at a time, and the reference model R: a mixture in the DCT domain whose condition is a
class and a continuous attribute, sampled with Euler and DDPM in float64. Tables of expected numbers stand in the tests.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

SIDE = 32
COUNT = 3 * SIDE * SIDE
MODES = 3


def mixture_log_density(x, sigma, alpha, components):  # x [N] -> log p(x)
    """log sum_m w_m N(x; alpha mu_m, (alpha^2 v_m + sigma^2) I).  components: (weight, mu [N], v) each."""
    terms = []
    for weight, mean, variance in components:
        spread = alpha**2 * variance + sigma**2
        exponent = -sum(((x - alpha * mean) ** 2 / (2 * spread)).flatten().tolist())
        terms.append(math.log(weight) + exponent - x.numel() / 2 * math.log(2 * math.pi * spread))
    largest = max(terms)
    return largest + math.log(sum(math.exp(term - largest) for term in terms))


def mixture_denoised(x, sigma, alpha, components):  # x [N] -> E[x0 | x] [N]
    """Tweedie's formula: E[x0 | x] = (x + sigma^2 grad log p(x)) / alpha, the gradient one component at a time."""
    total = mixture_log_density(x, sigma, alpha, components)
    gradient = torch.zeros_like(x)
    for weight, mean, variance in components:
        own = mixture_log_density(x, sigma, alpha, [(weight, mean, variance)])
        gradient -= math.exp(own - total) * (x - alpha * mean) / (alpha**2 * variance + sigma**2)
    return (x + sigma**2 * gradient) / alpha


def components_of(mixture, label=None):
    """The components of one of the pack's mixtures as plain (weight, mean, variance)."""
    weights, variances, labels = (v.tolist() for v in (mixture.log_weights.exp(), mixture.variances, mixture.labels))
    rows = zip(weights, mixture.means, variances, labels, strict=True)
    found = [(weight, mean, variance) for weight, mean, variance, own in rows if label is None or own == label]
    return [(weight / sum(row[0] for row in found), mean, variance) for weight, mean, variance in found]


@dataclass(frozen=True)
class Moment:
    """One step of a run of R, float64 [B, N]; noise is None where none was added."""

    sigma: float
    sigma_next: float
    x: torch.Tensor
    uncond: torch.Tensor
    cond: torch.Tensor
    guided: torch.Tensor
    move: torch.Tensor
    noise: torch.Tensor | None

    @property
    def travel(self):
        return self.move if self.noise is None else self.move + self.noise


class ReferenceModel:
    """Model R: u is a mixture of 30 Gaussians N(M_km, S_u), c of the 3 N(M_km + A_b, S) of the sample's class.

    r^2 = i^2 + j^2;  S_u = A / (1 + r^2), mean 0.2;  V = 0.4 S_u / (1 + r^2 / 36);  S = S_u - V
    M_km = [r <= 6] sqrt(S_u) (0.35 h_k + 0.20 h_(100+3k+m));  A_b = sqrt(V) h_(200+b)
    h_n(ch, i, j) = sqrt(2) cos((n + 1) (12.9898 i + 78.233 j + 37.719 ch + 1))
    """

    data_rms = 0.4684

    def __init__(self, batch=64):
        i = torch.arange(SIDE, dtype=torch.float64).reshape(1, SIDE, 1)
        j = torch.arange(SIDE, dtype=torch.float64).reshape(1, 1, SIDE)
        square = (i * i + j * j).expand(3, SIDE, SIDE)
        falling = 1 / (1 + square)
        self.spread = (0.2 * falling / falling.mean()).flatten()
        attribute_spread = self.spread * 0.4 / (1 + square.flatten() / 36)
        low = (square.flatten() <= 36).double() * self.spread.sqrt()
        fields = [(self.field(k), self.field(100 + MODES * k + m)) for k in range(10) for m in range(MODES)]
        self.means = torch.stack([low * (0.35 * one + 0.20 * other) for one, other in fields])
        self.classes = torch.arange(batch) % 10
        attributes = torch.stack([attribute_spread.sqrt() * self.field(200 + b) for b in range(batch)])
        self.own_spread = self.spread - attribute_spread
        self.own_means = self.means.reshape(10, MODES, COUNT)[self.classes] + attributes[:, None]

    @staticmethod
    def field(n):  # -> [N]
        channel = torch.arange(3, dtype=torch.float64).reshape(3, 1, 1)
        i = torch.arange(SIDE, dtype=torch.float64).reshape(1, SIDE, 1)
        j = torch.arange(SIDE, dtype=torch.float64).reshape(1, 1, SIDE)
        return (math.sqrt(2) * torch.cos((n + 1) * (12.9898 * i + 78.233 * j + 37.719 * channel + 1))).flatten()

    def uncond(self, x, sigma):  # [B, N] -> [B, N]
        total = self.spread + sigma**2
        fit = (x / total) @ self.means.T - 0.5 * (self.means**2) @ (1 / total)
        return (self.spread * x + sigma**2 * (fit.softmax(dim=1) @ self.means)) / total

    def cond(self, x, sigma):  # [B, N] -> [B, N]
        total = self.own_spread + sigma**2
        fit = (self.own_means @ (x / total)[..., None])[..., 0] - 0.5 * self.own_means**2 @ (1 / total)
        return (self.own_spread * x + sigma**2 * (fit.softmax(dim=1)[:, None] @ self.own_means)[:, 0]) / total

    @staticmethod
    def waves():  # the orthonormal DCT, [32, 32]
        k = torch.arange(SIDE, dtype=torch.float64)
        found = math.sqrt(2 / SIDE) * torch.cos(math.pi / SIDE * (k[None, :] + 0.5) * k[:, None])
        found[0] /= math.sqrt(2)
        return found

    def pixels(self, v):  # DCT coefficients [B, N] -> pictures [B, 3, 32, 32]
        waves = self.waves()
        return waves.T @ v.reshape(-1, 3, SIDE, SIDE) @ waves


def reference_sigmas(steps=20):
    """Levels 20 .. 0.02, equidistant in the seventh root, then 0."""
    root = [20 ** (1 / 7) + i / (steps - 1) * (0.02 ** (1 / 7) - 20 ** (1 / 7)) for i in range(steps)]
    return [value**7 for value in root] + [0.0]


def reference_run(model, gamma, stochastic=False):
    """Sample R with Euler, or with DDPM's exact posterior; yield a Moment a step. VE."""
    batch = len(model.classes)
    draws = torch.Generator().manual_seed(1)
    sigmas = reference_sigmas()
    x = sigmas[0] * torch.randn(batch, COUNT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sigma, after in pairwise(sigmas):
        u, c = model.uncond(x, sigma), model.cond(x, sigma)
        guided = u + gamma * (c - u)
        kappa = 1 - (after / sigma) ** 2 if stochastic else 1 - after / sigma
        eps = torch.randn(x.shape, generator=draws, dtype=torch.float64) if stochastic and after > 0 else None
        noise = None if eps is None else after * math.sqrt(sigma**2 - after**2) / sigma * eps
        moment = Moment(sigma, after, x, u, c, guided, kappa * (guided - x), noise)
        yield moment
        x = x + moment.travel
