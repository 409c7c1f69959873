"""The memory of a guided step: what is counted, what that decides, and that it leaves the run as it was."""

import comfy.patcher_extension
import pytest
import torch
from torch.nn import Linear

from guidance_geometry.dev.fixtures.tiny_families import family, text
from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.gradients.term import GradientOptions
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.host import network_calls
from guidance_geometry.host.memory_plan import Tally
from guidance_geometry.host.server import KEY
from guidance_geometry.nodes.rules.autoguidance import GGAutoguidance
from guidance_geometry.nodes.start import GGClassLabel

from .chains import Bright, bright, chain_of
from .runs import guided

BATCH = 7


class Heavy(Bright):
    """A classifier with more weights than the demo denoiser, so that memory is counted before the run."""

    def __init__(self):
        self.network = Linear(1600, 1600)


def heavy():
    return LabelEnergy(Heavy(), ((0,),))


def asked(model, wrapper):
    """The MODEL with something around every prediction of a run: wrapper(run, proceed, x, timestep, options, seed)."""

    def around(executor, x, timestep, options, seed=None):
        return wrapper(executor.class_obj.model_options[KEY], executor, x, timestep, options, seed)

    clone = model.clone()
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.PREDICT_NOISE, "asked", around)
    return clone


def test_a_tally_counts_what_lives_and_remembers_the_most(host):
    before = torch.zeros(1000)
    with Tally() as tally:
        one = before[:10].t() + 0.0  # 40 bytes; a view is nothing
        two = before + 1  # 4000
        three = (two * 2).view(10, 100)  # 4000
        assert tally.live == 40 + 4000 + 4000
        del two
        assert tally.live == 40 + 4000
        before.add_(1)
        four = torch.zeros(100, dtype=torch.float16)
    assert (tally.live, tally.most) == (40 + 4000 + 200, 8040)
    del one, three, four
    assert tally.live == 0


def test_a_tally_sees_what_a_graph_keeps_and_a_backward_makes(host):
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.ones(1000, requires_grad=True)
        with Tally() as tally:
            y = x.exp().exp()
            assert tally.live == 8000, "exp keeps what it has made"
            torch.autograd.grad(y.sum(), x)
            assert tally.most >= 12_000
        del y
        assert tally.live == 0


@pytest.mark.parametrize("name", ["pocket", "SD15"])
def test_what_is_counted_is_what_the_step_takes_and_twice_takes_less(pocket, monkeypatch, name):
    """Counted is what networks and energies make, by which a step is judged; beside them hardly anything is."""
    model, null = pocket("fp32")[:2] if name == "pocket" else (family("SD15"), text("SD15", 0))
    shape, found, counting = (3, 16, 16) if name == "pocket" else (4, 8, 8), [], []
    monkeypatch.setattr(network_calls, "Tally", lambda limit: counting.append(Tally(limit)) or counting[-1])

    def measure(run, proceed, *call):
        with Tally() as tally:
            made = proceed(*call)
        found.append(tally.most)
        return made

    latent = {"samples": torch.zeros(BATCH, *shape)}
    for twice in (True, False):
        chain = chain_of(heavy(), evaluation="x0 + backprop", options=GradientOptions(checkpoint=twice))
        guided(asked(model, measure), null, null, latent, "euler", scheduler="normal", steps=2, cfg=1.0, guidance=chain)
    assert len(counting) == 2, "the first step tells for all"
    assert [tally.most for tally in counting] == pytest.approx(found[::2], rel=0.1)
    assert 1e6 < found[0] < found[2]


def test_a_step_that_cannot_fit_is_stopped(pocket, empty_latent, monkeypatch):
    """The network is asked once in every step, as anybody outside counts, and x0 takes over in the same step."""
    monkeypatch.setattr(network_calls, "SPARE", 1e-9)
    parts, latent = pocket("fp32"), empty_latent("pocket")
    given = (parts[0], pocket_label(parts[0]), parts[1], latent, "euler")
    out, _, trace = guided(*given, guidance=chain_of(heavy(), evaluation="x0 + backprop"))
    told = trace.header["notes"]
    assert ["computed twice" in told[0], "x0 without backprop" in told[1]] == [True, True]
    assert all("a step needs more than" in note and "are free" in note for note in told[:2])
    at = chain_of(heavy(), evaluation="x0")
    plain, _, same = guided(*given, guidance=at)
    assert torch.equal(out["samples"], plain["samples"])
    assert trace.header["evaluations"] == same.header["evaluations"]


def test_counting_changes_no_bit_of_the_run(pocket, empty_latent):
    parts, latent, found = pocket("fp32"), empty_latent("pocket", 4), []
    label = pocket_label(parts[0])
    for energy in (heavy(), bright()):
        chain = chain_of(energy, evaluation="x0 + backprop", start=0.4).then(AdaptiveProjected(momentum=-0.5))
        out, _, trace = guided(parts[0], label, parts[1], latent, "euler", guidance=chain)
        found.append((out["samples"], trace.steps["K"], trace.header["evaluations"]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1].nan_to_num(), found[1][1].nan_to_num())
    assert found[0][2] == found[1][2], "what is counted is on nobody's record"


def pocket_label(model):
    with torch.inference_mode():
        return GGClassLabel.execute(model, "*")[0]


def test_a_weak_second_model_is_gone_through_too(pocket, empty_latent):
    """Its weights are inference tensors as well, and must be again."""
    model, null, _ = pocket("fp32")
    weak = pocket("fp32")[0]
    options = GradientOptions(checkpoint=True)
    with torch.inference_mode():
        chain = GGAutoguidance.execute(0.5, weak)[0]
    guided_by_both = chain_of(bright(), evaluation="x0 + backprop", options=options).then(chain.rules[0])
    arguments = (model, pocket_label(model), null, empty_latent("pocket"), "euler")
    out, _, trace = guided(*arguments, guidance=guided_by_both)
    assert (out["samples"] - guided(*arguments, guidance=chain)[0]["samples"]).abs().max() > 1e-3
    assert (trace.record.dot("gradient", "gradient") > 0).all()
    assert all(weight.is_inference() for one in (model, weak) for weight in one.model.diffusion_model.parameters())
