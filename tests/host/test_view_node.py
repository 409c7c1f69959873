"""What only shows a run never stops a job: where it fails, its outputs say so."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from guidance_geometry.extension import every_node
from guidance_geometry.host.view_node import ViewNode

from .shown import FIGURE, ui_of

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


@pytest.mark.parametrize("name", GIVEN)
def test_a_fault_in_it_becomes_its_result(nodes, trace, name):
    node = nodes[name]
    broken = replace(trace, steps=Unreadable())
    traces = {"trace_a": broken, "trace_b": broken} if name == "GGCompareTraces" else {"trace": broken}
    out = node.execute(**traces, **GIVEN[name])
    (said,) = ui_of(out)["text"]
    assert "ZeroDivisionError" in said
    assert "report the fault" in said
    for declared, value in zip(node.define_schema().outputs, out.args, strict=True):
        match declared.get_io_type():
            case "IMAGE":
                assert value.shape == (1, 540, 960, 3)
                assert 0 < float(value.mean()) < 1
                assert torch.isfinite(value).all()
            case "STRING":
                assert value in (said, "{}")
            case "GUIDANCE_TRACE":
                assert value is broken
            case _:
                assert isinstance(value, ExecutionBlocker)


def test_nothing_that_shows_a_run_is_left_out(nodes):
    """Every node that is given a trace, but for those that keep it in a file or take it apart."""
    given = {name for name, node in nodes.items() for one in node.define_schema().inputs
             if one.get_io_type() == "GUIDANCE_TRACE"}  # fmt: skip
    assert given == GIVEN.keys() | {"GGSaveTrace", "GGTracePart"}

    assert {name for name in given if issubclass(nodes[name], ViewNode)} == GIVEN.keys() - {"GGReport"}


def test_what_was_asked_by_mistake_stays_an_error_on_the_node(nodes, trace):
    with pytest.raises(ValueError, match="sample"):
        nodes["GGFigure"].execute(trace, **{**FIGURE, "sample": 99})
