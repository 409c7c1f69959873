"""The templates that a new user opens first, in the real editors."""

import hashlib
import json
import re
import time
from contextlib import ExitStack
from functools import cache

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.files import labels_of, load_classifier
from guidance_geometry.dev.browser import page_in
from guidance_geometry.dev.templates.blueprints import BLUEPRINTS
from guidance_geometry.dev.templates.layouts import LAYOUTS
from guidance_geometry.dev.templates.make_template import call
from guidance_geometry.dev.templates.wires import Wire, behind
from guidance_geometry.figures.canvas import Box
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.conftest import NEWEST, editor_page
from guidance_geometry.tests.queue.prompts import ASKING, ROOT, fetched, first_look, picture, runs_of
from guidance_geometry.tests.queue.stand_ins import in_models
from guidance_geometry.tests.queue.steering import PAINTED, SETTLE, unmask

LEGIBLE = 0.65  # zoom from which words can be read
FEW = {"Autoguidance": 4, "ImageNet class with a classifier": 2}  # steps: a pass at 256 x 256 takes seconds on a CPU
OPEN = """async ([workflow, name]) => {
  await app.loadGraphData(workflow, true, true, name, {openSource: "template"}); }"""
PLACES = """vue => {  // of the graph shown: [title, left, top, right, bottom, the bar that covers a corner of it]
  const { ds, canvas } = app.canvas, view = canvas.getBoundingClientRect();
  const place = node => {
    const drawn = vue && document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
    if (drawn) return [drawn.left, drawn.top, drawn.right, drawn.bottom];
    const [left, top] = [node.pos[0] + ds.offset[0], node.pos[1] - 30 + ds.offset[1]].map(at => at * ds.scale);
    const [width, height] = [node.size[0], node.size[1] + 30].map(side => side * ds.scale);
    return [left + view.x, top + view.y, left + width + view.x, top + height + view.y];
  };
  const bar = (x, y) => {
    const top = document.elementFromPoint(x, y);
    const ours = !top || top === canvas || top.closest("[data-node-id], .dom-widget, [data-testid=transform-pane]");
    return ours ? null : top.outerHTML.slice(0, 120);
  };
  return app.canvas.graph.nodes.map(node => {
    const [left, top, right, bottom] = place(node);
    const bars = [[left, top], [right, top], [left, bottom], [right, bottom]].map(([x, y]) =>
      bar(x + (x === left ? 8 : -8), y + (y === top ? 8 : -8)));
    return [node.title, left, top, right, bottom, bars.find(Boolean) ?? null];
  });
}"""
CUT = """() => [...document.querySelectorAll(".comfy-markdown .tiptap, .comfy-markdown-content")]
  .filter(words => words.clientHeight && words.scrollHeight > words.clientHeight + 2).map(words => words.textContent)"""
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=[*LAYOUTS])


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stocked(host, server):
    """The host, with stand-ins for the files that a user is told to get."""
    with in_models(server.log.parent / "models"):
        yield server


@pytest.fixture(scope="module")
def first(stocked, browser):
    """The editor, opened at the address that `dev.py serve` prints."""
    with page_in(browser, stocked.address, LAYOUTS["First look at guidance"].address(stocked.pack)) as page:
        page.wait_for_function("() => (app.rootGraph ?? app.graph).nodes.some(node => node.type === 'GGGuidedSampler')")
        yield page


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=[*LAYOUTS])
def opened(first, request):
    """That editor, with a template."""
    layout = request.param
    if layout.title != "First look at guidance":
        first.evaluate(OPEN, [read(layout.template), layout.template.stem])
    return first, layout


@pytest.mark.browser
def test_its_address_opens_a_template(first):
    shown = first.evaluate("() => (app.rootGraph ?? app.graph).nodes.map(node => [String(node.id), node.title])")
    saved = read(LAYOUTS["First look at guidance"].template)["nodes"]
    assert {name for name, _ in shown} == {str(node["id"]) for node in saved}


def meanings(prompt):
    """The nodes of a prompt, each with a digest of all that feeds it: the same whatever their ids."""

    def plain(value):
        if isinstance(value, list):
            return [meaning(value[0]), value[1]]
        return float(value) if isinstance(value, int) else value  # a page knows one kind of number

    @cache
    def meaning(name):
        node = prompt[name]
        inputs = {key: plain(value) for key, value in node["inputs"].items()}
        widgets = {key: value for key, value in inputs.items() if not isinstance(value, list)}
        digest = hashlib.sha256(json.dumps([node["class_type"], inputs], sort_keys=True).encode()).hexdigest()
        return f"{node['class_type']} {sorted(widgets.items())} {digest}"

    return sorted(map(meaning, prompt))


@pytest.mark.browser
def test_template_and_api_form_agree(opened):
    page, layout = opened
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert meanings(prompt) == meanings(read(layout.api))


@pytest.mark.browser
def test_no_wire_passes_behind_a_node(opened):
    page, _ = opened
    for graph in call(page, "survey"):
        boxes = dict(map(tuple, graph["boxes"]))
        for wire in graph["wires"]:
            assert not behind(Wire(**wire).points, boxes), (graph["graph"], wire)


@pytest.mark.parametrize(("title", "steps"), FEW.items(), ids=[*FEW])
def test_a_template_whose_files_do_not_come_with_the_pack_runs(stocked, client, title, steps):
    """With one picture. The others run below, as their notes say."""
    prompt = read(LAYOUTS[title].api)
    for inputs in (node["inputs"] for node in prompt.values()):
        for name, value in {"steps": steps, "batch_size": 1, "label": inputs.get("label", "").split("\n")[0]}.items():
            if name in inputs:
                inputs[name] = value
    assert client.run(prompt).outputs


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "nodes 2.0"])
def complete(request, browser, front_ends):
    """The newest editor with either renderer; it knows the files which a user is told to get, so it warns of none."""
    folder = front_ends(NEWEST).log.parent / "models"
    with in_models(folder), ExitStack() as opened:
        if request.param:
            page = opened.enter_context(editor_page(browser, front_ends, NEWEST, vue=True))
        else:
            page = request.getfixturevalue("editor")
            page.evaluate("() => app.refreshComboInNodes()")
        yield page


@pytest.mark.browser
@layouts
def test_it_opens_whole_and_legible_and_no_node_covers_another(complete, layout):
    editor = complete
    load(editor, layout.template)
    assert editor.evaluate("() => app.canvas.ds.scale") >= LEGIBLE
    shown = places(editor)
    size = editor.viewport_size
    window = Box(0, 0, size["width"], size["height"])
    assert not [place for place in shown if not window.holds(box_of(place))]
    assert not [place for place in shown if place[-1]], "a bar lies over a node"
    assert covering(shown) == []
    assert editor.evaluate(CUT) == []
    for name in editor.evaluate("() => [...(app.rootGraph ?? app.graph).subgraphs.keys()]"):
        editor.evaluate("id => app.canvas.setGraph((app.rootGraph ?? app.graph).subgraphs.get(id))", name)
        editor.evaluate(PAINTED)
        assert covering(editor.evaluate(PLACES, editor.vue)) == []


def places(editor):
    """Where the nodes are, once the messages that go by themselves have gone: what then lies over a node is a bar."""
    shown = editor.evaluate(PLACES, editor.vue)
    until = time.monotonic() + 10
    while any(place[-1] for place in shown) and time.monotonic() < until:
        editor.evaluate(PAINTED)
        shown = editor.evaluate(PLACES, editor.vue)
    return shown


def box_of(place):
    _, left, top, right, bottom, _ = place
    return Box(left, top, right - left, bottom - top)


def covering(shown):
    """Nodes that cover each other."""
    return [(a[0], b[0]) for k, a in enumerate(shown) for b in shown[k + 1 :] if box_of(a).meets(box_of(b))]


def load(page, file):
    page.evaluate(SETTLE)
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    page.evaluate(OPEN, [read(file), file.stem])
    unmask(page)
    page.evaluate(PAINTED)


def test_the_host_offers_the_blueprints(server):
    with DIRECT.open(f"{server.address}/api/global_subgraphs") as answer:
        offered = {one["name"]: key for key, one in json.load(answer).items()}
    for name in BLUEPRINTS:
        with DIRECT.open(f"{server.address}/api/global_subgraphs/{offered[name]}") as answer:
            assert json.loads(json.load(answer)["data"]) == read(ROOT / "subgraphs" / f"{name}.json")


def test_the_first_look_runs_on_the_latent_model_by_one_widget(client):
    prompt = first_look()
    prompt["1"]["inputs"]["denoiser_name"] = "pocket-flow-1"
    job = client.run(prompt)
    made = {prompt[node]["class_type"]: output.get("images") for node, output in job.outputs.items()}
    small = np.stack([picture(client, entry)[4::8, 4::8] for entry in made["PreviewImage"]])  # it is enlarged 8 times
    judge, _ = load_classifier(ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors")
    named = judge(torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1)
    assert small.shape == (10, 32, 32, 3)
    assert (named == torch.arange(10)).sum() >= 9
    assert made["GGFigure"]


def told(layout):
    """The words of a template's notes."""
    return "\n".join(note["words"] for note in layout.notes)


def test_the_first_note_its_default_and_the_tab_agree(client):
    words, prompt = told(LAYOUTS["First look at guidance"]), first_look()

    def advice(cfg):
        prompt["4"]["inputs"]["cfg"] = cfg
        (run,) = runs_of(client, client.run(prompt, **ASKING))
        return fetched(client, f"tab/runs/{run['run']}/report")

    opens = prompt["4"]["inputs"]["cfg"]
    first = advice(opens)
    assert first["headline"]["id"] == "head.card.edge"
    assert f"{opens:g}, where it opens, is a little above" in words
    tried = [float(cfg) for cfg in re.findall(r"\*\*Set cfg to ([\d.]+)\.\*\*", words)]
    assert f"{first['suggested']:g}" in map("{:g}".format, tried)
    assert [advice(cfg)["colour"] for cfg in tried] == ["off", "fine", "above"]


JUDGES = ("pocket-judge-1", "pocket-clean-1")


def seen(client, job, node, judge=JUDGES[0]):
    """The pictures [B, 3, 32, 32] of a preview, which are enlarged, and what a network calls each."""
    shown = np.stack([picture(client, entry) for entry in job.outputs[node]["images"]])
    zoom = shown.shape[1] // 32
    small = torch.from_numpy(shown[:, zoom // 2 :: zoom, zoom // 2 :: zoom]).permute(0, 3, 1, 2).float() / 127.5 - 1
    network, metadata = load_classifier(ROOT / "assets" / "classifiers" / f"{judge}.safetensors")
    return small, [labels_of(metadata)[k] for k in network(small).argmax(1).tolist()]


def noted_story(client, job):
    names = {node: seen(client, job, node)[1][2] for node in ("9", "12")}
    return {
        "It should be a robot. Without guidance it is a landscape": names == {"9": "landscape", "12": "robot"},
        "goes four times as far": read(LAYOUTS["The geometry of guidance"].api)["6"]["inputs"]["cfg"] == 4,
    }


def noted_classifiers(client, job):
    wanted = "plant, monster, robot, person, planet, smiley, stones, landscape"
    asked = wanted.split(", ")
    missed = [label for label, name in zip(asked, seen(client, job, "44")[1], strict=True) if name != label]
    last = [seen(client, job, "54", judge)[1][asked.index("planet")] for judge in JUDGES]
    return {
        wanted: seen(client, job, "23")[1] == asked,
        "Backprop misses the robot and the smiley": missed == ["robot", "smiley"],
        "its classifier is confident, and the judge, who never guides, is not": last[0] != "planet" == last[1],
    }


def noted_colours(client, job):
    colours = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])  # red, green, blue, yellow
    means = seen(client, job, "82")[0].mean(dim=(2, 3))
    nearest = torch.cdist(means - means.mean(dim=1, keepdim=True), colours - colours.mean(dim=1, keepdim=True)).argmin(
        1
    )
    return {
        "red, green, blue and yellow in turn": nearest.tolist() == [k % 4 for k in range(len(means))],
        "**Below** the label robot comes by CFG": seen(client, job, "88")[1].count("robot") > len(means) / 2,
    }


def noted_halves(client, job):
    def lost(job):
        return float((seen(client, job, "17")[0] - seen(client, job, "19")[0])[..., :16].abs().mean())

    weaker = read(LAYOUTS["DPS inpainting"].api)
    weaker["10"]["inputs"]["scale"] = 0.1
    return {
        "only the **left half** of each is kept": lost(job) < 0.15,
        "Set **scale** to 0.1: the half is lost": lost(client.run(weaker)) > 2 * lost(job),
    }


HALF = 5  # of its pictures: each step back is as many passes


def noted_travel(client, job):
    wanted = labels_of(load_classifier(ROOT / "assets" / "classifiers" / "pocket-clean-1.safetensors")[1])[:HALF]
    right = [sum(map(str.__eq__, seen(client, job, node)[1], wanted)) for node in ("15", "16")]
    return {"so that the model can correct the push": right[1] > right[0]}


@pytest.mark.parametrize(
    ("title", "noted"),
    [
        ("The geometry of guidance", noted_story),
        ("Classifier guidance", noted_classifiers),
        ("A colour by a gradient", noted_colours),
        ("DPS inpainting", noted_halves),
        ("FreeDoM time travel", noted_travel),
    ],
)
def test_what_a_note_says_is_so_when_its_template_runs(client, title, noted):
    layout, prompt = LAYOUTS[title], read(LAYOUTS[title].api)
    if noted is noted_travel:
        (canvas,) = (node for node in prompt.values() if node["class_type"] == "GGEmptyCanvas")
        canvas["inputs"]["batch_size"] = HALF
    held = noted(client, client.run(prompt))
    assert {words for words in held if words not in told(layout)} == set()
    assert all(held.values()), held


@pytest.mark.parametrize(
    ("title", "node", "widget", "words"),
    [
        ("Autoguidance", "GGGuidedSampler", "cfg", "**cfg** {:g} times that way"),
        ("ImageNet class with a classifier", "GGGuidedSampler", "steps", "{:g} steps of DDIM are quick"),
    ],
)
def test_numbers_of_a_note_are_those_that_its_template_opens_with(title, node, widget, words):
    values = {one["inputs"][widget] for one in read(LAYOUTS[title].api).values() if one["class_type"] == node}
    assert words.format(*values) in told(LAYOUTS[title])
