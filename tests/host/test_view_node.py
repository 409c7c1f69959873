"""What only shows a run never stops a job: where it fails, its outputs say so."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from comfy_execution.graph_utils import ExecutionBlocker

from guidance_geometry.extension import every_node
from guidance_geometry.figures.compare import draw_comparison
from guidance_geometry.figures.difference import difference_images
from guidance_geometry.figures.difference_grid import draw_differences
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.table import as_text
from guidance_geometry.host.editor.panel_record import record_with_parts
from guidance_geometry.tests.traces import exact_trace

from .shown import FIGURE, in_a_workflow, ui_of

GIVEN = {
    "GGFigure": FIGURE,
    "GGDifferenceImages": {},
    "GGMetrics": {"filename_prefix": "metrics", "sample": 0},
    "GGCompareTraces": {"sample": 0, "theme": "light"},
    "GGExportHTML": {"filename_prefix": "page"},
    "GGInspector": {},
    "GGReport": {},
}


class Unreadable(Mapping):
    """Columns that fail in a way that nobody has thought of."""

    def __getitem__(self, name):
        raise ZeroDivisionError("float division by zero")

    def __iter__(self):
        raise ZeroDivisionError("float division by zero")

    def __len__(self):
        return 1


@pytest.fixture
def nodes(host):
    return {node.define_schema().node_id: node for node in every_node()}


def outputs_fit(node, out, trace, words):
    """Whether each output is of its kind, and one of them or the node says the words."""
    for declared, value in zip(node.define_schema().outputs, out.args, strict=True):
        match declared.get_io_type():
            case "IMAGE":
                assert value.shape == (1, 540, 960, 3)
                assert 0 < float(value.mean()) < 1
            case "STRING":
                assert words in value or value == "{}"
            case "GUIDANCE_TRACE":
                assert value is trace
            case _:
                assert isinstance(value, ExecutionBlocker)
    return words in str([*ui_of(out).get("text", []), *(one for one in out.args if isinstance(one, str))])


def given_to(name, trace):
    return {"trace_a": trace, "trace_b": trace} if name == "GGCompareTraces" else {"trace": trace}


@pytest.mark.parametrize("name", GIVEN)
def test_a_fault_in_it_becomes_its_result(nodes, trace, name):
    broken = replace(trace, steps=Unreadable())
    out = nodes[name].execute(**given_to(name, broken), **GIVEN[name])
    (said,) = ui_of(out)["text"]
    assert "ZeroDivisionError" in said
    assert "report the fault" in said
    assert outputs_fit(nodes[name], out, broken, said)


class OtherVAE:
    """Of another model."""

    latent_channels = 16

    def decode(self, x): ...


REFUSED = [
    ("GGFigure", {"step": 6}, "no step 6: the trace has 6"),
    ("GGDifferenceImages", {"steps": "7"}, "steps asks for 7"),
    ("GGFigure", {"figure": "filmstrip", "vae": OtherVAE()}, "16 channels"),
    ("GGCompareTraces", {"sample": 99}, "no sample 99"),
    ("GGInspector", {"vae": OtherVAE()}, ""),
    ("GGExportHTML", {"vae": OtherVAE()}, ""),
]


@pytest.mark.parametrize(("name", "asked", "words"), REFUSED)
def test_what_cannot_be_shown_is_said_and_no_job_stops(nodes, trace, output, name, asked, words):
    out = in_a_workflow(nodes[name]).execute(**given_to(name, trace), **{**GIVEN[name], **asked})
    assert outputs_fit(nodes[name], out, trace, words)
    assert "report the fault" not in str(ui_of(out))


def test_a_run_opens_on_one_sample_everywhere():
    trace = exact_trace(4.0, batch=41, steps=3)
    shown = next(sample for sample in (trace.median_sample(), 7) if sample)  # 7: any that an even choice leaves out
    strength = trace.column("M1").nanmean(dim=0)
    assert shown == int((strength - strength.nanmedian()).abs().argmin())
    record = record_with_parts(trace, None, 2, lambda data, ending: {"filename": "kept"})
    assert record["sample"] == shown
    assert shown in record["steps"][0]["subset"]
    assert shown in record["choices"]["samples"]
    assert shown in record["pictures"]["samples"]
    assert Order(trace).scene.facts.sample == shown
    assert f"sample {shown} of 0-40 (median)" in as_text(trace)
    assert f"sample {shown} " in draw_comparison(trace, trace, pictures=[Pictures()] * 2)[1]
    grid = draw_differences(trace, difference_images(trace, Pictures()))
    assert any(words.startswith(f"{shown}: ") for words, _ in grid.texts())
