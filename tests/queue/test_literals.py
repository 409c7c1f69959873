"""A job may say anything beside its prompt."""

import pytest

from guidance_geometry.tests.queue.prompts import small

KEEPING = {
    "5": {"class_type": "GGFigure", "inputs": {"trace": ["4", 2], "figure": "step plane", "step": -1, "sample": 0,
          "size": "column 600", "theme": "light", "save": "all", "filename_prefix": "odd"}},
    "6": {"class_type": "GGSaveTrace", "inputs": {"trace": ["4", 2], "filename_prefix": "odd"}},
    "7": {"class_type": "GGInspector", "inputs": {"trace": ["4", 2]}},
    "8": {"class_type": "GGExportHTML", "inputs": {"trace": ["4", 2], "filename_prefix": "odd"}},
    "10": {"class_type": "GGReport", "inputs": {"trace": ["4", 2]}},
}  # fmt: skip


@pytest.mark.parametrize("given", ["x", {"workflow": {"extra": [], "id": 3}}])
def test_what_a_job_says_beside_its_prompt_is_no_error_of_our_nodes(client, given):
    graph = {name: node for name, node in small(seed=hash(str(given)) % 10**6).items() if name != "9"} | KEEPING
    done = client.run(graph, extra_data={"extra_pnginfo": given, "guidance_geometry": {"record": True}})
    assert {"5", "6", "7", "8", "10"} <= done.outputs.keys()
    assert "Not written" not in str(done.outputs["5"])
