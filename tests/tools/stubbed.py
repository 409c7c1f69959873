"""Servers that compute nothing, for tests of sweeps and studies."""

import contextlib
import io
import json

from PIL import Image

from guidance_geometry.studies.axes import Axis
from guidance_geometry.studies.cells import cells_of
from guidance_geometry.studies.plan import Plan
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.tools.fixtures.stub_server import Stub, serving
from guidance_geometry.tools.run_sweep import FIRST_LOOK
from guidance_geometry.trace.file import save


def plan_of_seeds(seeds):
    return Plan(json.loads(FIRST_LOOK.read_text(encoding="utf-8")), (Axis("seed", tuple(seeds)),))


def told():
    """What a server says of the nodes of a cell of the first look, and of one rule."""
    prompt = cells_of(plan_of_seeds([0]), [], {}, "1")[0].prompt
    given = {n["class_type"]: {"required": {name: ["STRING", {}] for name in n["inputs"]}} for n in prompt.values()}
    given["GGGuidedSampler"]["required"]["sampler_name"] = ["COMBO", {"options": ["euler", "heun"]}]
    found = {name: {"display_name": name, "category": "", "input": inputs} for name, inputs in given.items()}
    rule = {"display_name": "Rescale CFG (std)", "category": "guidance geometry/rules"}
    return found | {"GGRescale": rule | {"input": {"required": {"phi": ["FLOAT", {"default": 0.7}]}}}}


def picture():
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(sink, "PNG")
    return sink.getvalue()


@contextlib.contextmanager
def stubs(folder, count):
    """Servers and their addresses."""
    save(exact_trace(), folder / "trace.safetensors")
    trace = (folder / "trace.safetensors").read_bytes()
    made = [Stub(told(), trace, picture(), 0.05) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        yield made, [stack.enter_context(serving(one)) for one in made]
