"""Rule nodes in the host: what they put on the wire, what they refuse, and whole runs with them.

A rule node needs no entry here: it is held to what holds for every one, with the settings that its schema gives it. An
entry in NODES also fixes its knobs, its text and the knobs that leave plain CFG.
"""

import pytest
import torch

from guidance_geometry.extension import nodes_in
from guidance_geometry.tests.classes import or_skipped

from .rule_knobs import ALL, NEW, NODES, acting, chain
from .runs import guided, ksampler


def test_every_rule_node_is_found_and_artists_see_fourteen():
    assert {cls.__name__ for cls in nodes_in("rules")} == set(ALL)
    shown = [cls.__name__ for cls in nodes_in("rules") if not cls.define_schema().is_experimental]
    assert len(shown) <= 14, "make the newest experimental"


@pytest.mark.parametrize("name", or_skipped(NEW, "every rule node has an entry, and is tried with its knobs"))
def test_a_node_without_an_entry_adds_a_rule_and_says_what_it_is(name, wires):
    found = acting(name, wires["ve"])
    assert found.rules, "knobs that do something, or options"
    assert all(rule.text for rule in found.rules)


@pytest.mark.parametrize("name", NODES)
def test_the_chain_grows_by_the_rule_and_says_what_it_is(name, wires):
    assert chain(name, {}, wires["ve"]).text == NODES[name][0]
    before = chain("GGRescale", {"phi": 1.0, "space": "x0"})
    assert len(chain(name, {}, wires["ve"], before).rules) == 2
    assert len(before.rules) == 1


@pytest.fixture(scope="module")
def plain(labelled, empty_latent):
    """name of a model -> the host's samples without a rule."""
    with torch.inference_mode():
        models = ("pocket", "ve", "flow")
        return {name: ksampler(*labelled[name], empty_latent(name), "euler", cfg=5.0) for name in models}


@pytest.mark.parametrize(("name", "model"), [(name, ("pocket", "ve", "flow")[i % 3]) for i, name in enumerate(ALL)])
def test_a_run_is_finite_and_not_plain_guidance(labelled, empty_latent, wires, plain, model, name):
    guidance = acting(name, wires[model])
    run = (*labelled[model], empty_latent(model), "euler")
    out, _, trace = guided(*run, cfg=5.0, guidance=guidance)
    assert out["samples"].isfinite().all()
    assert trace.header["chain"] == guidance.text
    assert name != "GGPerpNeg" or trace.header["beside"] == ["Perp-Neg 1"]
    assert not torch.equal(out["samples"], plain[model])
    again = guided(*run, cfg=5.0, guidance=guidance)[0]["samples"]
    assert torch.equal(out["samples"], again), "the second run differs from the first"


@pytest.mark.parametrize("name", [name for name, (_, plain) in NODES.items() if plain is not None])
def test_neutral_knobs_give_the_host_pixels(labelled, empty_latent, wires, plain, name):
    neutral = chain(name, NODES[name][1], wires["flow"])
    out = guided(*labelled["flow"], empty_latent("flow"), "euler", cfg=5.0, guidance=neutral)[0]["samples"]
    assert torch.equal(out, plain["flow"])
