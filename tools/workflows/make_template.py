"""Make `example_workflows/First look at guidance.json` out of its API form, in the editor itself, and its thumbnail.

    python tools/run.py workflows.make_template

The editor that the host ships converts the workflow, so that widget order and link slots are what it would save.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from ..api_client import Client
from ..browser import CHROMIUM, editor
from ..provision import ROOT, device_options, find_host
from ..server import Server, own_folders, running

API = ROOT / "tools" / "workflows" / "first_look.json"
TEMPLATE = ROOT / "example_workflows" / "First look at guidance.json"
WORKFLOW_ID = "5b0f6a34-7c1d-4f0e-9a58-2d7c61f4e9b1"
PLACES = {  # node id -> left, top, width, height
    "1": (20, 60, 300, 170),
    "2": (20, 280, 300, 120),
    "3": (20, 450, 300, 130),
    "4": (370, 60, 320, 380),
    "5": (370, 490, 320, 60),
    "6": (370, 600, 320, 150),
    "7": (740, 60, 640, 300),
    "8": (740, 410, 640, 540),
}
NOTE_PLACE = (20, 640, 300, 310)
NOTE = """What to look at

1. Queue. Ten pictures appear, one for each label.
2. Set cfg to 1, the conditional prediction alone: some pictures show something else. Of the labels that the demo \
model learned from, 30 % were replaced at random: as careless as captions on the web.
3. Set cfg to 2, then 4: the labels come right. The figure shows why: the step goes beyond the conditional prediction.
4. Set cfg to 8: colours burn out and the variety goes.

Keep the seed: only then do the pictures show what cfg alone changes."""
BUILD = """async ([api, places, note, notePlace, id]) => {
  await app.loadApiJson(api, "First look at guidance");
  const graph = app.rootGraph ?? app.graph;
  for (const node of graph.nodes) {
    const [x, y, w, h] = places[node.id];
    node.pos = [x, y];
    node.setSize([w, h]);
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
  }
  const words = LiteGraph.createNode("Note");
  graph.add(words);
  [words.pos, words.title] = [[notePlace[0], notePlace[1]], "Read me"];
  words.setSize([notePlace[2], notePlace[3]]);
  words.widgets[0].value = note;
  const saved = graph.serialize();
  saved.id = id;
  saved.extra = {ds: {scale: 0.75, offset: [90, 160]}};
  return JSON.stringify(saved);
}"""


def build(page, api: dict) -> dict:
    """Let the editor turn the API form into a workflow: placed, with a note, seeds kept."""
    places = {node: list(place) for node, place in PLACES.items()}
    return json.loads(page.evaluate(BUILD, [api, places, NOTE, list(NOTE_PLACE), WORKFLOW_ID]))


def thumbnail(pictures: list, side: int = 512) -> bytes:
    """Lay square pictures out on a square of 512 px, as a JPEG that stays readable at 130 px."""
    from PIL import Image

    columns = math.ceil(math.sqrt(len(pictures)))
    cell = -(-side // columns)
    sheet = Image.new("RGB", (side, side), "#1e1e1e")
    for index, picture in enumerate(pictures):
        place = (index % columns * cell, index // columns * cell)
        sheet.paste(picture.resize((cell, cell), Image.Resampling.NEAREST), place)
    file = BytesIO()
    sheet.save(file, "JPEG", quality=90)
    return file.getvalue()


def pictures_of(live: Server, api: dict) -> list:
    """Run the workflow and fetch the pictures of its preview node."""
    from PIL import Image

    with Client(live.address) as client:
        job = client.run(api)
        entries = job.outputs["7"]["images"]
        return [Image.open(BytesIO(client.file(entry))).convert("RGB") for entry in entries]


def main() -> None:
    """Make template and thumbnail with the host in .host/ or $COMFYUI_PATH."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=CHROMIUM)
    chromium = parser.parse_args().chromium
    api = json.loads(API.read_text(encoding="utf-8"))
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="template-") as base:
        options, pack = own_folders(Path(base))
        host, log = find_host(python), Path(base) / "host.log"
        with running(python, host, log, options + device_options(python), pack) as live:
            with editor(live.address, program=chromium) as page:
                workflow = build(page, api)
            picture = thumbnail(pictures_of(live, api)[:9])
    TEMPLATE.parent.mkdir(exist_ok=True)
    TEMPLATE.write_text(json.dumps(workflow, indent=1) + "\n", encoding="utf-8")
    TEMPLATE.with_suffix(".jpg").write_bytes(picture)


if __name__ == "__main__":
    main()
