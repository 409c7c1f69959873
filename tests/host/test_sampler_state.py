"""Recording never reaches a sampler's state, wherever it lies: no line of another pack's code runs beside the run."""

import functools
import importlib.util
import itertools
import random
import sys

import comfy.k_diffusion.sampling as host_samplers
import comfy.samplers
import numpy
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom

from guidance_geometry.host.sampling.dry_run import own_noise, response
from guidance_geometry.nodes.sampling import GGInspectedSampler
from guidance_geometry.nodes.tap import GGTap

from .runs import of_the_host
from .schedules import sampling_of, schedule

LEVELS = torch.tensor([10.0, 5.0, 1.0, 0.0])
SAMPLER = """
from itertools import pairwise
from . import state

def sample(model, x, sigmas, extra_args=None, callback=None, disable=None, **options):
    for i, (now, then) in enumerate(pairwise(sigmas)):
        denoised = model(x, now * x.new_ones(len(x)), **extra_args)
        callback({"x": x, "i": i, "sigma": now, "sigma_hat": now, "denoised": denoised})
        x = denoised + then / now * (x - denoised) + 0.01 * state.turn()
    return x
"""
STATES = {
    "counter": "calls = 0\ndef turn():\n global calls\n calls += 1\n return calls",
    "late import": "def turn():\n from . import later\n later.calls += 1\n return later.calls",
    "thread": "import threading\ncalls = []\ndef turn():\n one = threading.Thread(target=calls.append, args=(1,))\n"
    " one.start()\n one.join()\n return len(calls)",
    "shared numbers": "import random, numpy, torch\n"
    "def turn(): return random.random() + numpy.random.rand() + torch.rand(())",
    "file": "from pathlib import Path\nfile = Path(__file__).with_name('calls')\ndef turn():\n"
    " n = len(file.read_text()) if file.exists() else 0\n file.write_text('x' * (n + 1))\n return n",
}


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """state -> `sample` of a pack of three files, as new as the host imports it when it starts."""
    made = itertools.count()

    def load(state):
        torch.manual_seed(0)
        random.seed(0)
        numpy.random.seed(0)  # noqa: NPY002
        folder = tmp_path / f"pack{next(made)}"
        folder.mkdir()
        (folder / "__init__.py").write_text(SAMPLER)
        (folder / "state.py").write_text(state)
        (folder / "later.py").write_text("calls = 0")
        name = str(folder)
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[name])
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def plain(model):
    return custom.SamplerCustomAdvanced, model


WAYS = {"off": plain, "on": lambda model: (GGInspectedSampler, model), "tab": lambda m: plain(GGTap.execute(m)[0])}


def sampled(way, parts, latent, sampler):
    """The samples of two runs in a row with one SAMPLER."""
    model, positive, negative = parts
    node, model = WAYS[way](model)
    guider = custom.CFGGuider.execute(model, positive, negative, 3.0)[0]
    runs = (node.execute(custom.Noise_RandomNoise(7), guider, sampler, LEVELS, dict(latent)) for _ in range(2))
    return [run[0]["samples"] for run in runs]


class Bound(comfy.samplers.KSAMPLER):
    """Another pack's SAMPLER, whose function is its own method and counts there."""

    runs = 0

    def __init__(self):
        super().__init__(self.count)

    def count(self, *given, **named):
        self.runs += 1
        return host_samplers.sample_euler(*given, **named) + self.runs


@pytest.mark.parametrize("state", [*STATES, "itself"])
def test_the_state_of_another_packs_sampler_is_out_of_reach(job, labelled, empty_latent, pack, state):
    found = {}
    for way in WAYS:
        sampler = comfy.samplers.KSAMPLER(pack(STATES[state]).sample) if state in STATES else Bound()
        function = sampler.sampler_function
        found[way] = sampled(way, labelled["ve"], empty_latent("ve", 2), sampler)
        assert sampler.sampler_function == function
    assert not torch.equal(*found["off"]), "the state shows in the samples"
    for way in ("on", "tab"):
        assert all(map(torch.equal, found["off"], found[way])), way


def host_euler(*given, **named):
    return host_samplers.sample_euler(*given, **named)


@functools.wraps(host_samplers.sample_euler)
def disguised(*given, **named):
    return host_samplers.sample_euler(*given, **named)


class Noisy(float):
    """A number of another pack that counts how often it is used."""

    uses = 0

    def __mul__(self, other):
        type(self).uses += 1
        return float(self) * (1 + type(self).uses) * other

    __rmul__ = __mul__


OTHERS = {
    "a function": (host_euler, {}),
    "the host's name": (disguised, {}),
    "an option that acts": (host_samplers.sample_euler, {"s_churn": Noisy(1.0)}),
    "an option that is called": (host_samplers.sample_sa_solver, {"tau_func": lambda sigma: 1.0}),
}


@pytest.mark.parametrize(("function", "options"), OTHERS.values(), ids=OTHERS)
def test_what_may_remember_its_runs_is_not_run_dry(function, options):
    Noisy.uses = 0
    found = response(function, options, schedule("ve", 3), sampling_of("ve"))
    assert not found.steps
    assert "remember" in found.why
    assert not Noisy.uses


@pytest.mark.parametrize(("name", "replaced"), [("heun", "to_d"), ("dpmpp_sde", "BrownianTreeNoiseSampler")])
def test_what_another_pack_put_into_the_host_is_not_run(monkeypatch, name, replaced):
    calls, sampling = [], sampling_of("ve")

    def foreign(*given, **named):
        calls.append(1)
        return torch.zeros(1, 1, 1, 1)

    monkeypatch.setattr(host_samplers, replaced, foreign)
    function = comfy.samplers.sampler_object(name).sampler_function
    found = response(function, {}, schedule("ve", 3), sampling)
    assert name == "dpmpp_sde" or "foreign" in found.why
    assert own_noise(function, torch.zeros(1, 3, 4, 4), schedule("ve", 3), 7, sampling) is None
    assert not calls


def test_a_destructor_of_another_pack_does_its_work_in_a_dry_run(host):
    ended = []

    class Kept:
        def __del__(self):
            ended.append(1)

    @of_the_host
    def dropping(model, x, sigmas, extra_args=None, callback=None, disable=None):
        Kept()
        return host_samplers.sample_euler(model, x, sigmas, extra_args, callback, disable)

    assert response(dropping, {}, schedule("ve", 3), sampling_of("ve")).steps
    assert ended
