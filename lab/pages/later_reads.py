"""Whether the estimate of what is left of a push gains by what later steps of a multistep sampler read of it.

`python lab later_reads [MODEL ...]` holds both forms against an ablation, as `ablation` does, and keeps the
numbers for its page. It needs the host, whose samplers are measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ...dev.inside import enter_host
from ...dev.places import HOST
from ...guidance.vectors import flat
from ...library.denoisers import ExactDenoiser, NetworkDenoiser
from ...samplers.response import Response
from ...samplers.steps import level
from ...trace.pushes import contraction
from .ablation import LATER_NUMBERS, correlations
from .ablation_runs import CLASSES, DEMO, EXACT, GAMMA, SEED, SHAPE, WINDOWS, denoiser_of, levels_of

SAMPLERS = ("dpmpp_2m", "deis", "lms", "ipndm", "uni_pc")
RUNS = 30
NEARLY = 0.999  # where a schedule on flow begins: some of these samplers ask for the logarithm of alpha


def reads_of(response: Response) -> ndarray:  # -> [n, n]
    """What every step reads of the prediction of every other by itself: kappa on the diagonal, later reads below it.

        b_jk = B_j+1,k - a_j B_jk    B_jk: weight of D_k in x_j;  a_j: what the step keeps of the start

    Unlike the weights of a step, these do not depend on which of several equal forms its response has.
    """
    n = len(response.steps)
    weights, start = np.zeros((n + 1, n)), np.eye(n + 1)[0]
    for j, step in enumerate(response.steps):
        for back, weight in enumerate(step.states):
            weights[j + 1] += weight * weights[j - back]
            start[j + 1] += weight * start[j - back]
        for back, guided in enumerate(step.guided):
            weights[j + 1, j - back] += sum(guided)
    kept = np.divide(start[1:], start[:-1], out=np.zeros(n), where=start[:-1] != 0)
    return weights[1:] - kept[:, None] * weights[:-1]


def estimates(response: Response, left: ndarray) -> dict[str, ndarray]:  # -> [n] each
    """Factors of |D - c|: as a push is made and what is left of it, both without and with later reads.

    push  |kappa_k|    left  |kappa_k| C_k+1    with later reads  |sum_j b_jk C_j+1|, over C_k+1 for the push
    """
    reads = reads_of(response)
    kappa, total = np.abs(np.diag(reads)), np.abs((reads * left[:, None]).sum(axis=0))
    return {"push": kappa, "left": kappa * left, "push later": total / left, "left later": total}


class Guided:
    """Stands where the host's samplers expect a model; gamma is 1 at the steps of a window.  beyond: |D - c| [n, B]"""

    def __init__(self, predict, inner, firsts: Sequence[int | None], window: Sequence[int]):
        self.predict, self.inner_model, self.firsts, self.window = predict, inner, firsts, window
        self.calls, self.beyond = 0, list[Tensor]()

    def __call__(self, x: Tensor, sigma: Tensor, **rest) -> Tensor:
        """D of a call."""
        step = max(i for i, first in enumerate(self.firsts) if first is not None and first <= self.calls)
        uncond, cond = self.predict(x, float(sigma.flatten()[0]))
        denoised = uncond + (1.0 if step in self.window else GAMMA) * (cond - uncond)
        if self.calls in self.firsts:
            self.beyond.append(flat(denoised.double() - cond.double()).norm(dim=1))
        self.calls += 1
        return denoised


def measure_model(model: str, name: str) -> dict[str, float]:
    """Correlations of each estimate with the change of the end, over the windows of a run; the mean of all runs."""
    import comfy.samplers

    from ...host.dry_run import Network, response
    from ...samplers.response import Probes

    denoiser, sampler = denoiser_of(model), comfy.samplers.sampler_object(name)
    flow, levels = denoiser.facts["space"] == "flow", levels_of(denoiser)
    levels[0] = min(levels[0], NEARLY) if flow else levels[0]
    sigmas, sampling = torch.tensor(levels), sampling_of(flow)
    found = response(sampler.sampler_function, {}, sigmas, sampling)
    predict, start = world_of(denoiser)
    inner = Network(Probes(1, 1.0), sampling).inner_model

    def run(window: Sequence[int] = ()) -> tuple[Tensor, Guided]:
        network = Guided(predict, inner, found.firsts, window)
        settings = {"extra_args": {"seed": SEED, "model_options": {}}, "callback": lambda info: None, "disable": True}
        return sampler.sampler_function(network, levels[0] * start, sigmas.clone(), **settings).double(), network

    end, network = run()
    beyond = torch.stack(network.beyond).numpy()
    change = np.stack([flat(run(window)[0] - end).norm(dim=1).numpy() for window in WINDOWS])
    then = [level(sigma, flow) for sigma in levels[1:]]
    alpha, sigma = torch.tensor([tuple(one) for one in then], dtype=torch.float64).unbind(dim=1)
    left = contraction(sigma, alpha, denoiser.facts["sigma_data"], False).numpy()
    sums = {key: factor[:, None] * beyond for key, factor in estimates(found, left).items()}
    windows = {key: np.stack([one[window].sum(axis=0) for window in WINDOWS]) for key, one in sums.items()}
    return {
        key: float(correlations(one / one.sum(axis=0), change / change.sum(axis=0)).mean())
        for key, one in windows.items()
    }


def sampling_of(flow: bool):
    """The host's object for a kind of noise levels."""
    from comfy import model_sampling as host

    bases = (host.ModelSamplingDiscreteFlow, host.CONST) if flow else (host.ModelSamplingDiscrete, host.EPS)
    return type("Sampling", bases, {})()


def world_of(denoiser: NetworkDenoiser | ExactDenoiser):
    """Both predictions as a function of x and sigma, and the noise at the start; the labels of the runs cycle."""
    exact = isinstance(denoiser, ExactDenoiser)
    shape, count = (SHAPE, CLASSES) if exact else (denoiser.shape, len(denoiser.labels))
    labels = [i % count for i in range(RUNS)]
    noise = torch.randn(RUNS, *shape, generator=torch.Generator().manual_seed(SEED))
    return lambda x, sigma: (denoiser(x, sigma, None), denoiser(x, sigma, labels)), noise


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[*DEMO, EXACT])
    models = parser.parse_args().models
    torch.set_num_threads(1)
    enter_host(HOST)
    rows = json.loads(LATER_NUMBERS.read_text(encoding="utf-8")) if LATER_NUMBERS.exists() else []
    for model in models:
        for name in SAMPLERS:
            row = {"model": model, "sampler": name, **measure_model(model, name)}
            rows = [*(one for one in rows if (one["model"], one["sampler"]) != (model, name)), row]
            LATER_NUMBERS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(row, flush=True)


if __name__ == "__main__":
    main()
