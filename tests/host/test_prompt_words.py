"""Whether a negative was written, as a prompt shows it."""

import pytest

import nodes
from guidance_geometry.host.editor.prompt_words import has_words


def text(words, **more):
    return {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": words, **more}}


GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": text("a cat"),
    "3": text(" \n"),
    "4": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0]}},
    "5": {"class_type": "CFGGuider", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["6", 0]}},
    "6": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["3", 0], "conditioning_2": ["2", 0]}},
    "7": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["5", 0]}},
    "8": text(["9", 0]),
    "9": {"class_type": "TestOfWords", "inputs": {"value": "blurred"}},
    "10": {"class_type": "NodeOfNobody", "inputs": {}},
}


class Words:
    """A node that holds a text."""

    RETURN_TYPES = ("STRING",)

    @staticmethod
    def INPUT_TYPES():
        return {"required": {"value": ("STRING", {})}}


@pytest.mark.parametrize(
    ("sampler", "negative", "found"),
    [
        ("4", None, False),
        ("4", ["2", 0], True),
        ("7", None, True),
        ("4", ["8", 0], True),
        ("4", ["10", 0], None),
    ],
)
def test_words_are_looked_for_where_the_condition_comes_from(host, monkeypatch, sampler, negative, found):
    from comfy_extras.nodes_custom_sampler import CFGGuider

    for name, kind in (("TestOfWords", Words), ("CFGGuider", CFGGuider)):
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, name, kind)
    graph = dict(GRAPH)
    graph["4"] = {**graph["4"], "inputs": graph["4"]["inputs"] | ({"negative": negative} if negative else {})}
    assert has_words(graph, sampler, "negative") is found
