"""Rule nodes in the host: what they put on the wire, what they refuse, and whole runs with them.

A rule node needs no entry here: it is held to what holds for every one, with the settings that its schema gives it. An
entry in NODES also fixes its knobs, its text and the knobs that leave plain CFG.
"""

import re
from pathlib import Path

import pytest
import torch

from guidance_geometry.extension import nodes_in
from guidance_geometry.tests.classes import or_skipped

from .rule_knobs import ALL, NEW, NODES, acting, chain, node
from .runs import guided, ksampler

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "web" / "docs"
NO_PAPER = ("HiDream-E1", "no paper", "your own", "APG", "any rule")


def test_every_rule_node_is_found_and_artists_see_fourteen():
    assert {cls.__name__ for cls in nodes_in("rules")} == set(ALL)
    shown = [cls.__name__ for cls in nodes_in("rules") if not cls.define_schema().is_experimental]
    assert len(shown) <= 14, "make the newest experimental"


@pytest.mark.parametrize("name", ALL)
def test_the_schema_explains_itself_and_names_its_source(name):
    schema = node(name).define_schema()
    assert [one.id for one in (*schema.inputs, *schema.outputs) if not one.tooltip] == []
    assert schema.category == "guidance geometry/rules" + ("/experimental" if schema.is_experimental else "")
    ids = [one.id for one in schema.inputs]
    assert all(one.optional for one in schema.inputs[ids.index("guidance") :]), "what came later is optional"
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert [one for one in ids if one != "guidance" and one not in page] == []
    words = " ".join([schema.display_name, schema.description, *(one.tooltip for one in schema.inputs)])
    assert re.search(r"arXiv \d{4}\.\d{5}", words) or any(one.lower() in words.lower() for one in NO_PAPER)


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


@pytest.mark.parametrize(("name", "model"), [(name, ("pocket", "ve", "flow")[i % 3]) for i, name in enumerate(ALL)])
def test_a_run_is_finite_and_not_plain_guidance(labelled, empty_latent, wires, model, name):
    latent = empty_latent(model)
    guidance = acting(name, wires[model])
    out, _, trace = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)
    assert out["samples"].isfinite().all()
    assert trace.header["chain"] == guidance.text
    assert not torch.equal(out["samples"], ksampler(*labelled[model], latent, "euler", cfg=5.0))
    again = guided(*labelled[model], latent, "euler", cfg=5.0, guidance=guidance)[0]["samples"]
    assert torch.equal(out["samples"], again), "the second run differs from the first"


@pytest.mark.parametrize("name", [name for name, (_, plain) in NODES.items() if plain is not None])
def test_neutral_knobs_give_the_host_pixels(labelled, empty_latent, wires, name):
    latent, neutral = empty_latent("flow"), chain(name, NODES[name][1], wires["flow"])
    out = guided(*labelled["flow"], latent, "euler", guidance=neutral)[0]["samples"]
    assert torch.equal(out, ksampler(*labelled["flow"], latent, "euler"))
