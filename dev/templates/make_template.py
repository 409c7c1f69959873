"""Make a template of example_workflows/ out of its API form, in the editor itself, and its thumbnail.

    python lab make_template ["First look at guidance"]

The editor that the host ships converts the workflow, so that widget order and link slots are what it would save.
"""

from __future__ import annotations

import argparse
import json
import math
from io import BytesIO

from ...sweeps.comfyui.client import Client
from ...sweeps.comfyui.process import PACK
from ..browser import CHROMIUM, editor
from ..hosts import own_host
from ..places import pack_version
from ..provision import find_host
from .layouts import LAYOUTS, Layout
from .thumbnails import DRAWN
from .wires import led_around

PREFIX = "GG"  # of the ids of this pack's nodes
SAMPLE = 2  # the place of this widget on a figure node

BUILD = """async ([api, name, places, titles, downloads, notes]) => {
  await app.loadApiJson(api, name);
  const graph = app.rootGraph ?? app.graph;
  const place = (node, [x, y, w, h]) => { node.pos = [x, y]; node.setSize([w, h]); };
  for (const node of graph.nodes) {
    place(node, places[node.id]);
    node.title = titles[node.id] ?? node.title;
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
  }
  for (const [id, file] of Object.entries(downloads)) graph.getNodeById(Number(id)).properties.models = [file];
  for (const {title, words, place: spot} of notes) {
    const note = LiteGraph.createNode("Note");
    graph.add(note);
    note.title = title;
    place(note, spot);
    note.widgets[0].value = words;
  }
  return JSON.stringify(graph.serialize());
}"""


def build(page, layout: Layout) -> dict:
    """Let the editor turn the API form into a workflow: placed, with notes, seeds kept."""
    api = json.loads(layout.api.read_text(encoding="utf-8"))
    notes = [vars(note) for note in layout.notes]
    given = [api, layout.name, layout.places, layout.titles, layout.downloads, notes]
    workflow = json.loads(page.evaluate(BUILD, given))
    scale, *offset = layout.view
    framed = {"id": layout.workflow_id, "groups": layout.frames()}
    return led_around(
        of_one_sample(with_pack_id(workflow | framed | {"extra": {"ds": {"scale": scale, "offset": offset}}}))
    )


def of_one_sample(workflow: dict) -> dict:
    """The same, with inspectors that open on the sample which all figures beside them draw."""
    drawn = {node["widgets_values"][SAMPLE] for node in workflow["nodes"] if node["type"] == "GGFigure"}
    for node in workflow["nodes"]:
        if node["type"] == "GGInspector" and len(drawn) == 1:
            node["properties"]["gg_sample"] = min(drawn)
    return workflow


def with_pack_id(workflow: dict) -> dict:
    """The same, with nodes that say whose they are: by this ComfyUI Manager finds a pack that is not installed."""
    version = pack_version()
    for node in workflow["nodes"]:
        if node["type"].startswith(PREFIX):
            node["properties"] |= {"cnr_id": PACK, "ver": version}
    return workflow


def thumbnail(pictures: list, side: int = 512) -> bytes:
    """Lay square pictures out on a square of 512 px, as a JPEG that stays readable at 130 px."""
    from PIL import Image

    columns = math.ceil(math.sqrt(len(pictures)))
    cell = -(-side // columns)
    sheet = Image.new("RGB", (side, side), "#1e1e1e")
    for index, picture in enumerate(pictures):
        place = (index % columns * cell, index // columns * cell)
        sheet.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), place)
    return jpeg(sheet)


def jpeg(picture) -> bytes:
    """A picture as a file."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def draw_thumbnail(layout: Layout) -> bytes:
    """The thumbnail of a template whose networks do not come with the pack."""
    from PIL import Image

    return jpeg(Image.fromarray(DRAWN[layout.name]().png()).convert("RGB"))


def pictures_of(client: Client, layout: Layout) -> list:
    """Run the workflow and fetch some pictures of its preview nodes."""
    from PIL import Image

    job = client.run(json.loads(layout.api.read_text(encoding="utf-8")))
    entries = [job.outputs[node]["images"][k] for node, chosen in layout.thumbnails.items() for k in chosen]
    return [Image.open(BytesIO(client.file(entry))).convert("RGB") for entry in entries]


def make(layout: Layout, address: str, chromium: str | None) -> None:
    """Write one template and its thumbnail."""
    with editor(address, program=chromium) as page:
        workflow = build(page, layout)
    if layout.thumbnails:
        with Client(address) as client:
            picture = thumbnail(pictures_of(client, layout))
    else:
        picture = draw_thumbnail(layout)
    layout.template.parent.mkdir(exist_ok=True)
    layout.template.write_text(json.dumps(workflow, indent=1) + "\n", encoding="utf-8")
    layout.template.with_suffix(".jpg").write_bytes(picture)


def main() -> None:
    """Make templates with the host in .host/ or $COMFYUI_PATH."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(LAYOUTS)}")
    parser.add_argument("--chromium", default=CHROMIUM)
    args = parser.parse_args()
    with own_host(find_host()) as live:
        for name in args.names or LAYOUTS:
            make(LAYOUTS[name], live.address, args.chromium)


if __name__ == "__main__":
    main()
