"""Servers that answer as no ComfyUI does: a sweep says so in a sentence, and counts nothing that it did not get."""

import json
import time
from functools import partial

import pytest

from guidance_geometry.dev.fixtures import hostile_answers as hostile
from guidance_geometry.dev.fixtures.hostile_answers import send
from guidance_geometry.sweeps.comfyui.answers import ServerFault
from guidance_geometry.sweeps.comfyui.client import Client

from .stubbed import rows_in


@pytest.fixture
def swept(swept):
    """A sweep that waits two seconds."""
    return lambda *words: swept("--timeout", "2", *words)


def test_a_cell_whose_picture_cannot_be_opened_is_set_aside_and_runs_again(swept, stub, tmp_path):
    from random import Random

    bad = partial(send, hostile.bad_pictures(Random(0))["cut off"], "image/png", 200)
    stub.spoilt["/view picture"] = hostile.for_a_while(stub, "/view picture", bad, 2)
    code, words = swept("--cfg", "1,2")
    assert (code, "cannot be opened" in words, len(rows_in(tmp_path / "out"))) == (1, True, 1), words
    (aside,) = (tmp_path / "out" / "rejected").iterdir()
    assert "Its picture of" in json.loads(aside.read_text())["error"]
    code, words = swept("--cfg", "1,2")
    assert (code, "1 to run" in words, len(rows_in(tmp_path / "out"))) == (0, True, 2), words


@pytest.mark.parametrize(
    ("place", "spoil", "words"),
    [
        ("/object_info", hostile.html, "/object_info with '<html><body>Please log in.</body></html>'"),
        ("/object_info", hostile.endless, "/object_info with more than 128 MB"),
        ("/ws", hostile.hang, "does not answer /ws within 2 s"),
        ("/prompt", partial(send, "{}", "", 200), "/prompt with '{}': prompt_id: Field required"),
        ("/history/{job}", partial(send, "[1]", "", 200), "with '[1]': Input should be an object"),
        ("/view trace", hostile.html, "safetensors"),
    ],
)
def test_what_a_server_answered_is_said_with_its_name(swept, stub, place, spoil, words, served):
    stub.spoilt[place] = spoil
    code, told = swept("--cfg", "1", *(("--timeout", "60") if spoil is hostile.endless else ()))  # a while for so much
    assert (code in (1, 2), words in told, "Give another file" in told) == (True, True, False), told
    assert served[1] in told or spoil is hostile.html, told


def test_a_fault_of_the_server_is_no_file_and_is_asked_again(swept, stub, served):
    broken = partial(send, "500: out of order", "text/plain", 500)
    stub.spoilt["/object_info"] = hostile.for_a_while(stub, "/object_info", broken, 2)
    assert swept("--cfg", "1")[0] == 0
    stub.spoilt["/object_info"] = broken
    code, words = swept("--cfg", "1")
    assert (code, f"{served[1]} answered /object_info with HTTP 500: '500: out of order'" in words) == (2, True), words
    assert ("another file" in words, "Give the same command again" in words) == (False, True)


@pytest.mark.parametrize("kind", ["deep", "an odd error"])
def test_messages_that_are_none_end_a_cell_and_not_the_sweep(swept, stub, kind):
    from random import Random

    stub.words = hostile.strange_words(Random(0))[kind]
    code, words = swept("--cfg", "1")
    assert (code, "failed: cfg=1: " in words, "Traceback" in words) == (1, True, False), words
    hostile.make_honest(stub)
    assert swept("--cfg", "1")[0] == 0


def test_a_node_of_another_pack_may_say_anything_of_itself(swept, stub, monkeypatch):
    odd = {"Odd": 5, "Odder": {"input": {"required": {"x": "IMAGE", "y": ["COMBO", {"options": 7}]}}, "category": "a"}}
    monkeypatch.setattr(stub, "node_types", stub.node_types | odd)
    assert swept("--cfg", "1")[0] == 0
    monkeypatch.setattr(stub, "node_types", stub.node_types | {"GGSaveTrace": [1]})
    code, words = swept("--cfg", "1")
    assert (code, "what it says of its node GGSaveTrace cannot be read" in words) == (2, True), words


def test_an_answer_that_never_ends_is_left_in_time(served, stub):
    stub.spoilt["/object_info"] = hostile.drip
    began = time.monotonic()
    with Client(served[1], 1.0) as one, pytest.raises(ServerFault, match=r"does not answer /object_info within 1 s"):
        one.get("/object_info")
    assert time.monotonic() - began < 10
