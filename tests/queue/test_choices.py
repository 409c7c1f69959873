"""What a user chose, and a second run, over the addresses that browsers and scripts ask."""

import pytest

from guidance_geometry.tests.queue.prompts import fetched, recorded, sent, small

PICTURES = {"half.same", "half.all", "half.some", "half.close", "half.close.all", "half.close.some", "half.mixed"}
PICTURES |= {"half.other", "half.none"}


def picks(key, **chosen):
    """Picks as they are sent: good or not, by cfg."""
    one = [{"cfg": float(cfg[1:]), "sampler_class": "ode-few", "good": good} for cfg, good in chosen.items()]
    return {"format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": key}, "picks": one}


@pytest.fixture(scope="module")
def key():
    """Of a model that no run of these tests has."""
    return "file:a folder/some model & more.safetensors"


def test_picks_are_added_shown_and_forgotten(client, key):
    assert sent(client, "GET", key) == (204, None)
    status, first = sent(client, "POST", key, picks(key, _2=True, _4=False))
    assert status == 200
    assert first["ranges"]["ode-few"] == pytest.approx([2, 8**0.5])
    status, more = sent(client, "POST", key, picks(key, _4=True, _8=False))
    assert {one["cfg"]: one["good"] for one in more["picks"]} == {2: True, 4: True, 8: False}
    assert all(len(one["when"]) == 10 for one in more["picks"])
    assert sent(client, "GET", key) == (200, more)
    assert sent(client, "POST", key, more)[1] == more, "what was exported can be sent again"
    assert sent(client, "DELETE", key, sampler_class="sde")[1] == more
    assert sent(client, "DELETE", key, sampler_class="ode-few") == (204, None)
    assert sent(client, "GET", key) == (204, None)


def test_the_next_run_is_compared_with_the_picks_and_so_is_an_earlier_one(client):
    before = recorded(client, small(seed=4242, steps=6, cfg=8.0))
    assert before["report"]["against"] != "picks"
    own = before["model"]["key"]
    chosen = picks(own, _2=True, _4=True, _8=False)
    for one in chosen["picks"]:
        one["sampler_class"] = before["report"]["sampler_class"]
    try:
        assert sent(client, "POST", own, chosen)[0] == 200
        report = fetched(client, f"tab/runs/{before['run']}/report")
        assert report["headline"]["id"] == "head.picks.above"
        assert recorded(client, small(seed=4242, steps=6, cfg=3.0))["report"]["headline"]["id"] == "head.picks.inside"
    finally:
        sent(client, "DELETE", own)


def about_pictures(client, own, half, **shown):
    (said,) = [
        one
        for one in fetched(client, f"tab/runs/{own}/report", half=half, **shown)["findings"]
        if "distance" in one["facts"]
    ]
    return said


def shown(client, cfg, save=False):
    """The run of a latent model in a job that shows or saves its pictures."""
    graph = small(denoiser="pocket-flow-1", seed=4344, steps=6, cfg=cfg, capture="pictures")
    graph["5"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}}
    kind = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "a/half"}}
    graph["6"] = kind if save else {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    return recorded(client, graph)["run"]


def test_the_pictures_that_both_jobs_showed_decide_whether_they_are_the_same(client):
    own, half, near = (shown(client, cfg, save) for cfg, save in ((8.0, True), (4.0, False), (7.99, False)))
    assert fetched(client, "tab/runs/gone/report") is None
    assert fetched(client, f"tab/runs/{own}/report", half="gone") is None
    for second, expected in ((half, PICTURES), (near, {"half.all"})):
        assert about_pictures(client, own, second, shown="6")["id"] in expected
    for node in ("", "9", "gone"):
        told = about_pictures(client, own, near, shown=node)
        assert told["id"] == "half.near"
        assert "Colours and details were not compared" in told["en"]
