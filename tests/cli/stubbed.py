"""Servers that compute nothing, for tests of sweeps and studies."""

import contextlib
import json

from guidance_geometry.cli.sweep import FIRST_LOOK
from guidance_geometry.dev.fixtures.stub_server import Stub, node_types_of, serving, white_picture
from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.plan import Plan
from guidance_geometry.sweeps.rules import NOTHING
from guidance_geometry.tests.traces import trace_in


def plan_of_seeds(seeds):
    return Plan(json.loads(FIRST_LOOK.read_text(encoding="utf-8")), (Axis("seed", tuple(seeds)),))


def told():
    """What a server says of the nodes of a cell of the first look, and of one rule."""
    found = node_types_of(cells_of(plan_of_seeds([0]), NOTHING, {}, "1")[0].prompt)
    found["GGGuidedSampler"]["input"]["required"]["sampler_name"] = ["COMBO", {"options": ["euler", "heun"]}]
    rule = {"display_name": "Rescale CFG (std)", "category": "guidance geometry/rules"}
    return found | {"GGRescale": rule | {"input": {"required": {"phi": ["FLOAT", {"default": 0.7}]}}}}


@contextlib.contextmanager
def stubs(folder, count):
    """Servers and their addresses."""
    trace = trace_in(folder)
    made = [Stub(told(), trace, white_picture(), 0.05) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        yield made, [stack.enter_context(serving(one)) for one in made]


def rows_in(folder):
    """The rows of a sweep's folder."""
    return json.loads((folder / "results.json").read_text())["rows"]
