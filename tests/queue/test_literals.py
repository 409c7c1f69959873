"""A word where a wire belongs, and a file that says anything: an error on its node, and the worker lives on."""

import json

import pytest

from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.tests.queue.prompts import refusal, small
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

LOADED = {"1": {"class_type": "GGLoadTrace", "inputs": {"trace_name": "traces/hostile.safetensors"}}} | {
    "2": {"class_type": "GGMetrics", "inputs": {"trace": ["1", 0], "filename_prefix": "m", "sample": 99}},
    "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
}


def test_a_trace_whose_model_is_a_word_is_refused_and_the_next_job_runs(client, server):
    path = server.log.parent / "output" / "traces" / "hostile.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save(exact_trace(4.0, batch=1, steps=3), path)
    tensors, metadata = read_safetensors(path)
    header = json.loads(metadata["gg.header"]) | {"model": "x"}
    write_safetensors(path, tensors, metadata | {"gg.header": json.dumps(header)})
    assert "hostile.safetensors: the header: model is 'x'" in refusal(client, LOADED)


KEEPING = {
    "5": {"class_type": "GGFigure", "inputs": {"trace": ["4", 2], "figure": "step plane", "step": -1, "sample": 0,
          "size": "column 600", "theme": "light", "save": "all", "filename_prefix": "odd"}},
    "6": {"class_type": "GGSaveTrace", "inputs": {"trace": ["4", 2], "filename_prefix": "odd"}},
    "7": {"class_type": "GGInspector", "inputs": {"trace": ["4", 2]}},
    "8": {"class_type": "GGExportHTML", "inputs": {"trace": ["4", 2], "filename_prefix": "odd"}},
    "10": {"class_type": "GGReport", "inputs": {"trace": ["4", 2]}},
}  # fmt: skip


@pytest.mark.parametrize("given", [[1], "x", {"workflow": 5}, {"workflow": {"extra": [], "id": 3}}])
def test_what_a_job_says_beside_its_prompt_is_no_error_of_our_nodes(client, given):
    graph = {name: node for name, node in small(seed=hash(str(given)) % 10**6).items() if name != "9"} | KEEPING
    done = client.run(graph, extra_data={"extra_pnginfo": given, "guidance_geometry": {"record": True}})
    assert {"5", "6", "7", "8", "10"} <= done.outputs.keys()
    assert "Not written" not in str(done.outputs["5"])
