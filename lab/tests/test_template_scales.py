"""What a stock template says of its cfg, and what it does not say."""

from guidance_geometry.lab.pages.template_scales import table_of


def node(kind, *widgets, mode=0, inputs=()):
    return {"type": kind, "widgets_values": list(widgets), "mode": mode, "inputs": list(inputs)}


def sampler(cfg, **more):
    return node("KSampler", 1, "fixed", 20, cfg, "euler", "normal", 1, **more)


def test_samplers_with_a_literal_cfg_count_also_inside_subgraphs():
    promoted = sampler(5, inputs=[{"name": "cfg", "link": 9}])
    inner = {"nodes": [promoted, sampler(6)], "links": [{"id": 9, "origin_id": -10}]}
    loaded = {"nodes": [node("UNETLoader", "a/m.safetensors")], "definitions": {"subgraphs": [inner]}}
    assert table_of([loaded]) == {"m.safetensors": {"cfg": [5.0, 6.0], "templates": 1}}


def test_what_does_not_run_or_is_linked_does_not_count():
    linked = sampler(9, inputs=[{"name": "cfg", "link": 3}])
    nodes = [node("UNETLoader", "m.safetensors"), linked, sampler(8, mode=4), sampler(4)]
    assert table_of([{"nodes": nodes}])["m.safetensors"]["cfg"] == [4.0]


def test_the_scale_of_a_distilled_lora_is_not_that_of_the_weights():
    nodes = [node("UNETLoader", "m.safetensors"), node("LoraLoaderModelOnly", "fast.safetensors"), sampler(1)]
    assert table_of([{"nodes": nodes}]) == {}


def test_of_two_files_a_template_says_which_only_where_one_stands_alone():
    alone = {"nodes": [node("UNETLoader", "m.safetensors"), sampler(4)]}
    both = {"nodes": [node("UNETLoader", "m.safetensors"), node("CheckpointLoaderSimple", "r.ckpt"), sampler(7)]}
    assert table_of([alone, both, both]) == {
        "m.safetensors": {"cfg": [4.0], "templates": 1},
        "r.ckpt": {"cfg": [7.0], "templates": 2},
    }
