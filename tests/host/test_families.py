"""A guidance chain on the host's own architectures, and under what graphs do to their MODEL and CONDITIONING."""

import pytest
import torch

from guidance_geometry.dev.fixtures.rule_nodes import active_chain
from guidance_geometry.dev.fixtures.tiny_families import CONFIGS, control_net, family, latent, text
from guidance_geometry.extension import nodes_in
from guidance_geometry.guidance.chain import PLAIN
from guidance_geometry.trace.checks import check

from .chains import Away, Doubling, patched
from .runs import Counter, guided, host_nodes, ksampler

STEPS = {"steps": 3, "scheduler": "simple"}
FLOW = ("SD3", "Flux", "WAN21_T2V")


class Families(dict):
    """name -> MODEL, positive, negative, made when first asked for."""

    def __missing__(self, name):
        with torch.inference_mode():
            self[name] = family(name), text(name, 1), text(name, 2)
        return self[name]


@pytest.fixture(scope="module")
def families(host):
    return Families()


@pytest.mark.parametrize("name", CONFIGS)
def test_plain_guidance_gives_the_host_pixels(families, name):
    arguments = (*families[name], latent(name), "dpmpp_2m")
    out, _, trace = guided(*arguments, **STEPS)
    assert torch.equal(out["samples"], ksampler(*arguments, **STEPS))
    assert torch.isfinite(out["samples"]).all()
    assert out["samples"].abs().max() > 0
    assert trace.header["space"] == ("flow" if name in FLOW else "ve")
    assert trace.batch == 2
    assert not check(trace)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_further_condition_runs_in_one_batch(families, name):
    model, positive, negative = families[name]
    counter, chain = Counter(model), PLAIN.then(Away(text(name, 3))).then(Doubling())
    out, _, trace = guided(counter.model, positive, negative, latent(name), "euler", guidance=chain, **STEPS)
    assert counter.items == [6] * 3
    assert torch.isfinite(out["samples"]).all()
    assert trace.header["evaluations"] == 9
    on_model = ksampler(patched(model, chain), positive, negative, latent(name), "euler", **STEPS)
    assert torch.equal(on_model, out["samples"])


def test_every_rule_is_finite_on_a_film(families):
    name = "WAN21_T2V"
    model, positive, negative = families[name]
    sockets = {"MODEL": model.clone(), "CONDITIONING": text(name, 3)}
    for node in nodes_in("rules"):
        rules = active_chain(node, sockets)
        found = ksampler(patched(model, rules), positive, negative, latent(name), "euler", **STEPS | {"steps": 2})
        assert torch.isfinite(found).all(), rules.text
        assert found.shape == latent(name)["samples"].shape


def test_a_control_net_steers_the_further_predictions_too(families):
    model, positive, negative = families["SD15"]
    hint = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(5))
    node = host_nodes().ControlNetApplyAdvanced()
    steered = node.apply_controlnet(positive, negative, control_net(0), hint, 1.0, 0.0, 1.0)
    arguments = (model, *steered, latent("SD15"), "euler")
    expected = ksampler(*arguments, **STEPS)
    assert not torch.allclose(expected, ksampler(model, positive, negative, *arguments[3:], **STEPS), atol=1e-3)
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)
    for same in (Away("cond"), Away("cond", family("SD15"))):
        found = guided(*arguments, guidance=PLAIN.then(same), **STEPS)[0]["samples"]
        assert (found - expected).abs().max() <= 1e-3
    assert torch.equal(guided(*arguments, **STEPS)[0]["samples"], expected)
