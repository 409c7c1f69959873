"""Taps in a job's prompt, without a server."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from comfy.cli_args import args
from comfy_extras import nodes_custom_sampler

import nodes
from guidance_geometry.host.editor import jobs, taps, users
from guidance_geometry.host.editor.node_types import declaration_of
from guidance_geometry.host.editor.tap_places import Places, add_taps, set_epoch
from guidance_geometry.host.editor.taps import handle_prompt, requested_taps
from guidance_geometry.host.recording.run_recorder import is_recorded
from guidance_geometry.nodes.tap import GGPipeTap
from guidance_geometry.tests.host.queued import complete

SETTINGS = {"capture": "numbers", "uncond_steps": 0, "epoch": 0}
GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "latent_image": ["5", 0], "seed": 1}},
    "3": {"class_type": "KSamplerAdvanced", "inputs": {"model": ["1", 0], "latent_image": ["2", 0]}},
    "8:4": {"class_type": "LoraLoaderModelOnly", "inputs": {"model": ["1", 0]}},
    "8:2": {"class_type": "CFGGuider", "inputs": {"model": ["8:4", 0], "cfg": 4.0}},
    "9": {"class_type": "BasicScheduler", "inputs": {"model": ["1", 0], "steps": 4}},
    "10": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["8:2", 0], "sigmas": ["9", 0]}},
    "11": {"class_type": "GGGuidedSampler", "inputs": {"model": ["1", 0]}},
    "12": {"class_type": "NodeOfNobody", "inputs": {"model": ["1", 0]}},
}


@pytest.fixture(autouse=True)
def installed(host, monkeypatch):
    """Put a class into the host, as it has put in its own."""
    for name in ("CFGGuider", "BasicScheduler", "SamplerCustomAdvanced"):
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, name, getattr(nodes_custom_sampler, name))
    return lambda name, found: monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, name, found)


def tapped_and_made(prompt):
    return add_taps(prompt, declaration_of, SETTINGS)


def test_every_model_that_is_sampled_with_gets_one_tap_and_no_other_wire_changes():
    before = copy.deepcopy(GRAPH)
    tapped, made = tapped_and_made(GRAPH)
    assert before == GRAPH
    assert sorted(made) == ["gg-1-0", "gg-8-4-0"]
    assert tapped["gg-1-0"] == {"class_type": "GGTap", "inputs": {"model": ["1", 0], **SETTINGS}}
    wires = {name: tapped[name]["inputs"]["model"] for name in GRAPH if tapped[name] != GRAPH[name]}
    assert wires == {"2": ["gg-1-0", 0], "3": ["gg-1-0", 0], "8:2": ["gg-8-4-0", 0]}


def test_what_records_itself_is_told_apart_by_its_epoch():
    later = set_epoch(GRAPH, 2)
    assert later["11"]["inputs"] == GRAPH["11"]["inputs"] | {"epoch": 2}
    assert {name for name in GRAPH if later[name] != GRAPH[name]} == {"11"}


def test_taps_are_put_in_once_and_a_name_that_is_taken_is_left_to_its_node():
    tapped, _ = tapped_and_made(GRAPH)
    assert tapped_and_made(tapped) == (tapped, [])
    tapped, made = tapped_and_made({**GRAPH, "gg-1-0": wired("NodeOfNobody")})
    assert tapped["gg-1-0"]["class_type"] == "NodeOfNobody"
    assert "gg-1-0-" in made


@pytest.mark.parametrize("wire", ["text", ["1"], ["99", 0], ["1", 7], ["1", "0"], ["1", 1]], ids=str)
def test_a_wire_that_carries_no_model_is_left_as_it_is(wire):
    """Slot 1 is a CLIP: the host's error must name the sampler."""
    odd = {"3": None, "4": {"class_type": ["KSampler"], "inputs": {}}, "5": wired("GGRecord", model=["1", 0])}
    prompt = {"1": GRAPH["1"], "2": wired("KSampler", model=wire), **odd}
    assert tapped_and_made(prompt) == (prompt, [])


def broken():
    raise RuntimeError("no folder")


@pytest.fixture
def packs(installed):
    """Node classes of a pack by what they take and give: `packs(Name=(inputs, outputs))`."""

    def install(**classes):
        for name, (inputs, outputs) in classes.items():
            declared = {"required": {one: (kind,) for one, kind in inputs.items()}}
            members = {"RETURN_TYPES": outputs, "INPUT_TYPES": classmethod(lambda cls, said=declared: said)}
            installed(name, type(name, (), members))

    return install


def changed_by_taps(graph):
    """Of each node whose wires were changed, the inputs that read a tap, and the class of that."""
    tapped, _ = tapped_and_made(graph)
    read = {name: node["inputs"].items() for name, node in tapped.items() if name in graph and node != graph[name]}
    return {name: {one: tapped[wire[0]]["class_type"] for one, wire in inputs if wire != graph[name]["inputs"][one]}
            for name, inputs in read.items()}  # fmt: skip


def wired(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.mark.parametrize("declared", [broken, lambda: {"required": {"empty": (), "odd": None}}, lambda: 7])
def test_a_class_that_declares_nonsense_silences_no_other(installed, declared):
    members = {"RETURN_TYPES": ("LATENT",), "INPUT_TYPES": classmethod(lambda cls: declared())}
    installed("OddSampler", type("OddSampler", (), members))
    graph = {"0": wired("OddSampler", model=["1", 0]), "1": GRAPH["1"], "2": GRAPH["2"]}
    tapped, made = tapped_and_made(graph)
    assert made == ["gg-1-0"]
    assert tapped["0"] == graph["0"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"record": True}, ("pictures", 3)),
        ({"record": True, "capture": "numbers", "uncond_steps": 0}, ("numbers", 0)),
        ({"record": True, "capture": "films", "uncond_steps": 1e9}, ("pictures", 3)),
        (7, None),
    ],
    ids=str,
)
def test_a_job_asks_in_its_extra_data_or_in_its_workflow(said, wanted):
    extra = {"guidance_geometry": said}
    workflow = {"extra_pnginfo": {"workflow": {"id": ["a", "list"], "extra": extra}}}  # whose id may be anything
    for body in ({"prompt": GRAPH, "extra_data": where} for where in (extra, workflow)):
        found = requested_taps(body)
        assert (found and (found.capture, found.uncond_steps, found.epoch)) == (wanted and (*wanted, 0))
    assert wanted or handle_prompt(body) is body


@pytest.mark.parametrize(
    ("multi_user", "header", "user"),
    [(False, None, "default"), (True, "her", "her"), (True, "nobody", ""), (True, ..., "")],
    ids=str,
)
def test_the_request_says_whose_job_it_is_and_the_job_does_not(host, monkeypatch, multi_user, header, user):
    known = {"her": "her"} if multi_user else {"default": "default"}
    server = SimpleNamespace(
        user_manager=SimpleNamespace(get_request_user_id=lambda request: known[request or "default"])
    )
    monkeypatch.setattr(users, "prompt_server", lambda: server)
    monkeypatch.setattr(args, "multi_user", multi_user)
    body = {"prompt": {}, "extra_data": {"guidance_geometry": {"record": True, "user": "him"}}}

    async def answer(request):
        return handle_prompt(body)["extra_data"]["guidance_geometry"]["user"]

    asked: Any = header or False
    said = complete(answer(None) if header is ... else users.noting_who_asks(request=asked, handler=answer))
    assert said == user
    assert users.ASKING.get() is None


@pytest.mark.parametrize("owner", ["default", "her"])
@pytest.mark.parametrize("said", [{"record": False}, 7], ids=str)
def test_no_request_says_whose_job_it_is(monkeypatch, said, owner):
    """Whatever else it says of us, and whether it is recorded."""
    monkeypatch.setattr(args, "multi_user", owner == "her")
    monkeypatch.setattr(taps, "user_who_asks", lambda: owner)
    forged = {**said, "user": "../him"} if isinstance(said, dict) else said
    extra = handle_prompt({"prompt": {}, "extra_data": {"guidance_geometry": forged, "other": 1}})["extra_data"]
    assert extra["other"] == 1
    assert "../him" not in str(extra)
    assert jobs.owner_of(extra) == jobs.owner_of(handle_prompt({"prompt": {}}).get("extra_data")) == owner


CONDITIONED = {"model": "MODEL", "positive": "CONDITIONING"}
SEEDED = {"seed": "INT", "latent": "LATENT"}
PIPES = {"Unpack": ({"pipe": "PIPE"}, ("MODEL",)), "Sample": ({"pipe": "PIPE"}, ("LATENT",))}


@pytest.mark.parametrize("outputs", [("PIPE",), (["a", "b"], "PIPE", "LATENT")], ids=str)
def test_a_pipe_is_tapped_where_it_is_sampled_with_also_behind_a_switch(packs, outputs):
    packs(Pack=(CONDITIONED, outputs), Switch=({"one": "*"}, ("*",)), **PIPES)
    slot = outputs.index("PIPE")
    graph = {"1": GRAPH["1"], "2": wired("Pack", model=["1", 0]), "3": wired("Sample", pipe=["2", slot])}
    graph |= {"5": wired("Switch", one=["2", slot]), "6": wired("Sample", pipe=["5", 0])}
    own = {"2": {"model": "GGTap"}} if "LATENT" in outputs else {}
    assert changed_by_taps(graph) == {"3": {"pipe": "GGPipeTap"}, "6": {"pipe": "GGPipeTap"}} | own


@pytest.mark.parametrize(
    ("maker", "sampler", "taken"),
    [
        (CONDITIONED, SEEDED, True),
        (CONDITIONED, {"image": "IMAGE"}, False),
        ({"model": "MODEL"}, SEEDED, False),
    ],
    ids=str,
)
def test_an_object_that_can_sample_is_made_with_a_recorded_model_and_no_other(packs, maker, sampler, taken):
    packs(Make=(maker, ("OBJECT",)), Use=({"made": "OBJECT", **sampler}, ("LATENT",)))
    graph = {"1": GRAPH["1"], "2": wired("Make", model=["1", 0]), "3": wired("Use", made=["2", 0])}
    assert changed_by_taps(graph) == ({"2": {"model": "GGTap"}} if taken else {})


PACKED = {
    "tuple": lambda model: (model, "clip", None, [["cond", {}]]),
    "deep": lambda model: [{"inside": (1, {"model": model})}],
}


@pytest.mark.parametrize("around", PACKED.values(), ids=PACKED)
def test_the_models_in_a_pipe_are_recorded_and_the_pipe_stays_as_it_was(labelled, around):
    model = labelled["pocket"][0]
    pipe = around(model)
    tapped = GGPipeTap.execute(pipe)[0]
    (one,) = [leaf for leaf in leaves(tapped) if type(leaf) is type(model)]
    assert is_recorded(one)
    assert not is_recorded(model)
    assert [leaf for leaf in leaves(pipe) if leaf is model] == [model]
    assert type(tapped) is type(pipe)
    assert GGPipeTap.execute(tapped)[0] is tapped, "recorded once"


def leaves(value):
    """What stands in lists, tuples and tables."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    return [value] if parts is None else [leaf for part in parts for leaf in leaves(part)]


@pytest.mark.parametrize(
    ("inputs", "outputs", "named"),
    [
        ({"made": "OBJECT", **SEEDED}, ("LATENT",), True),
        ({"made": "OBJECT", "latent": "LATENT"}, ("LATENT",), False),
        ({"made": "OBJECT", "seed": "INT"}, ("IMAGE",), False),
    ],
    ids=str,
)
def test_what_makes_latents_of_an_object_that_nobody_opens_may_be_a_sampler(packs, inputs, outputs, named):
    packs(Load=({}, ("OBJECT",)), Use=(inputs, outputs))
    graph = {"1": wired("Load"), "2": wired("Use", made=["1", 0])}
    assert Places(graph, declaration_of).may_sample("2") is named
