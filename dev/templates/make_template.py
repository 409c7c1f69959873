"""Make the templates in example_workflows/ and the blueprints in subgraphs/ out of API forms, in the editor itself.

    python lab make_template ["First look at guidance"]

The editor that the host ships converts each form, stands its nodes in columns, encloses some in subgraphs, and
serialises what it has: widget order, link slots and subgraphs are as it would save them.
"""

from __future__ import annotations

import argparse
import json
from io import BytesIO
from pathlib import Path
from typing import Any

from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import PACK
from ..browser import CHROMIUM, editor
from ..hosts import own_host
from ..places import ROOT, pack_version
from ..provision import find_host
from .blueprints import BLUEPRINTS, Blueprint
from .layouts import LAYOUTS, Layout
from .thumbnails import DRAWN, jpeg, labelled
from .wires import Wire, lead_around

PREFIX = "GG"  # of the ids of this pack's nodes
ROOM = [80, 140, 1330, 730]  # left, top, width, height: what bars leave of a window of 1440 x 900
GROWN = 1.2  # how much larger Nodes 2.0 of the oldest editor draws everything
SCRIPT = Path(__file__).with_name("editor.mjs")
CALL = """async ([source, name, given]) => {
  window.make ??= await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
  return window.make[name](given);
}"""


def call(page, name: str, given: Any = None) -> Any:
    """Call a function of the script in the editor's page."""
    return page.evaluate(CALL, [SCRIPT.read_text(encoding="utf-8"), name, given])


def build(page, layout: Layout) -> dict:
    """Let the editor turn the API form of a template into a workflow."""
    api = json.loads(layout.api.read_text(encoding="utf-8"))
    form = {"api": api, "name": layout.title, "titles": layout.titles, "downloads": layout.downloads}
    form |= {"properties": chosen_samples(api), "notes": layout.notes}
    call(page, "build", form | {"parts": layout.subgraphs, "columns": layout.columns})
    return save(page, {"id": layout.workflow_id, "extra": {}, "shown": layout.app})


def build_blueprint(page, blueprint: Blueprint) -> dict:
    """Let the editor turn an API form into a workflow that is one subgraph."""
    form = {"api": blueprint.api, "name": blueprint.title, "titles": {}, "downloads": {}, "properties": {}}
    form |= {"notes": [], "parts": [blueprint.part], "alone": blueprint.title}
    call(page, "build", form | {"columns": [{"width": 320, "nodes": [blueprint.title]}]})
    extra = {"BlueprintDescription": blueprint.description, "BlueprintSearchAliases": blueprint.aliases}
    return save(page, {"extra": extra})


def save(page, more: dict) -> dict:
    """What the editor saves of the graph that it shows, with wires that go round the nodes.  more: beside the graph"""
    led = {}
    for graph in call(page, "survey"):
        wires = [Wire(**wire) for wire in graph["wires"]]
        before = sum(len(one["points"]) for one in led.values())
        led[graph["graph"]] = lead_around(dict(graph["boxes"]), wires, before)
    call(page, "lead", led)
    marks = {"cnr_id": PACK, "ver": pack_version()}  # by these ComfyUI Manager finds a pack that is not installed
    return json.loads(call(page, "save", more | {"prefix": PREFIX, "marks": marks, "room": ROOM, "grown": GROWN}))


def chosen_samples(api: dict) -> dict[str, dict]:
    """Properties of inspectors by their id: they open on the sample which all figures beside them draw."""
    drawn = {node["inputs"]["sample"] for node in api.values() if node["class_type"] == "GGFigure"}
    inspectors = [name for name, node in api.items() if node["class_type"] == "GGInspector"]
    return {name: {"gg_sample": min(drawn)} for name in inspectors} if len(drawn) == 1 else {}


def pictures_of(client: Client, layout: Layout) -> list[tuple[str, Any]]:
    """Run the workflow and fetch some pictures of its preview nodes, each with its words."""
    import numpy
    from PIL import Image

    job = client.run(json.loads(layout.api.read_text(encoding="utf-8")))
    return [
        (
            words,
            numpy.asarray(Image.open(BytesIO(client.file(job.outputs[node]["images"][int(k)]))).convert("RGB")) / 255,
        )
        for node, chosen in layout.thumbnails.items()
        for k, words in chosen.items()
    ]


def draw_thumbnail(address: str, layout: Layout) -> bytes:
    """The file that the editor shows with a template."""
    if layout.title in DRAWN:
        return jpeg(DRAWN[layout.title]())
    with Client(address) as client:
        return jpeg(labelled(layout.tells, pictures_of(client, layout)))


def write(file: Path, workflow: dict) -> None:
    """Keep what the editor saved."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(workflow, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Make templates and blueprints with the host in .host/ or $COMFYUI_PATH."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*LAYOUTS, *BLUEPRINTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(names)}")
    parser.add_argument("--no-thumbnails", action="store_true", help="leave the pictures as they are; nothing runs")
    parser.add_argument("--chromium", default=CHROMIUM)
    args = parser.parse_args()
    with own_host(find_host()) as live, editor(live.address, program=args.chromium) as page:
        for name in args.names or names:
            if name in BLUEPRINTS:
                write(ROOT / "subgraphs" / f"{name}.json", build_blueprint(page, BLUEPRINTS[name]))
                continue
            write(LAYOUTS[name].template, build(page, LAYOUTS[name]))
            if not args.no_thumbnails:
                LAYOUTS[name].template.with_suffix(".jpg").write_bytes(draw_thumbnail(live.address, LAYOUTS[name]))


if __name__ == "__main__":
    main()
