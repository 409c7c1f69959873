"""The memory of a guided step: what is counted, what that decides, and that it leaves the run as it was."""

import pytest
import torch
from torch.nn import Linear

from guidance_geometry.guidance.energies.label import LabelEnergy
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.host.sampling import network_calls
from guidance_geometry.host.sampling.memory_plan import MemoryPlan, Tally, TooMuch, surely_fits
from guidance_geometry.nodes.start import GGClassLabel

from .chains import Bright, bright, chain_of
from .runs import guided

BATCH, GB = 7, 2**30
OUT = torch.cuda.OutOfMemoryError("CUDA out of memory.")
IN_PLACE = RuntimeError("one of the variables needed has been modified by an inplace operation")
NO_FORMULA = RuntimeError("no autograd formula was registered for it")


class Heavy(Bright):
    """A classifier with more weights than the demo denoiser, so that memory is counted before the run."""

    def __init__(self):
        self.network = Linear(1600, 1600)


def heavy():
    return LabelEnergy(Heavy(), ((0,),))


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


def test_a_lack_of_memory_costs_time_first_and_backprop_last(host):
    twice, first = MemoryPlan().after(OUT)
    without, second = twice.after(OUT)
    assert (twice.twice, twice.backprop, without.backprop) == (True, True, False)
    assert "computed twice" in first
    assert "x0 without backprop, with 50 times the gamma" in second
    wants, said = MemoryPlan().after(TooMuch(8 * GB))
    assert wants.twice
    assert "needs more than 8.0 GB, and 10.0 GB are free: " in said, "a step leaves a fifth free"


@pytest.mark.parametrize(("error", "name"), [(IN_PLACE, "copies"), (NO_FORMULA, "pytorch_attention")])
def test_what_a_model_needs_is_learnt_from_its_error_once(host, error, name):
    found, _ = MemoryPlan().after(error)
    assert getattr(found, name)
    assert found.backprop
    assert MemoryPlan().after(ValueError("anything else")) is None
    without, words = found.after(error)
    assert not without.backprop
    assert "allows no gradient" in words
    assert without.after(error) is without.after(OUT) is None


@pytest.mark.parametrize(
    ("needs", "other", "expected"), [(1, 10, True), (3, 10, False), (1, 30, False)], ids=["small", "large", "energy"]
)
def test_only_a_graph_that_is_small_beside_the_memory_is_not_counted(host, needs, other, expected):
    class Model(Linear):
        def memory_required(self, shape):
            return needs * shape[0]

    assert surely_fits(Model(4, 5), [2, 3, 8, 8], [Linear(1, other, bias=False)], free=100) is expected
