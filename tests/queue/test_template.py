"""The templates that a new user opens first, in the real editor."""

import json

import pytest

from guidance_geometry.figures.canvas import Box
from guidance_geometry.tools.host.browser import page_in
from guidance_geometry.tools.host.server import addressable
from guidance_geometry.tools.templates.layouts import FIRST_LOOK, LAYOUTS, TITLE

RUN = """() => new Promise(resolve => {
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => resolve([kind, detail]), {once: true});
  app.queuePrompt(0, 1);
})"""
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=LAYOUTS)
def opened(server, browser, request):
    """The editor, opened at the address that `dev.py serve` prints, and what it shows."""
    layout = request.param
    with (
        addressable(layout.template) as name,
        page_in(browser, server.address, f"/?template={name}&source={server.pack}") as page,
    ):
        page.wait_for_function("() => (app.rootGraph ?? app.graph).nodes.some(node => node.type === 'GGGuidedSampler')")
        yield page, layout


def test_first_template_has_at_most_eight_nodes_and_one_note():
    types = [node["type"] for node in read(FIRST_LOOK.template)["nodes"]]
    assert types.count("Note") == 1
    assert len(types) <= 9


@layouts
def test_no_node_covers_another_or_leaves_its_group(layout):
    workflow = read(layout.template)
    boxes = [Box(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    boxes = [Box(box.x, box.y - TITLE, box.w, box.h + TITLE) for box in boxes]
    for k, box in enumerate(boxes):
        assert not [other for other in boxes[k + 1 :] if box.meets(other)], workflow["nodes"][k]["id"]
    frames = [Box(*group["bounding"]) for group in workflow["groups"]]
    if frames:
        assert not [box for box in boxes if not any(frame.holds(box) for frame in frames)]
        assert not [k for k, frame in enumerate(frames) for other in frames[k + 1 :] if frame.meets(other)]


@pytest.mark.browser
def test_address_opens_the_template(opened):
    page, layout = opened
    shown = page.evaluate("() => (app.rootGraph ?? app.graph).nodes.map(node => [String(node.id), node.type])")
    assert dict(shown) == {str(node["id"]): node["type"] for node in read(layout.template)["nodes"]}


@pytest.mark.browser
def test_template_and_api_form_agree(opened):
    page, layout = opened
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert {node: {key: prompt[node][key] for key in ("class_type", "inputs")} for node in prompt} == read(layout.api)


@pytest.mark.browser
def test_template_runs_from_the_editor(opened):
    page, _ = opened
    ending, detail = page.evaluate(RUN)
    assert ending == "execution_success", detail
