"""One sitting of a user, from the template to the saved pictures."""

import json

import pytest

from guidance_geometry.tests.queue.prompts import ROOT
from guidance_geometry.tests.queue.steering import (
    CFG,
    DRAWN,
    INSPECTOR,
    NODE,
    choose,
    clean,
    drop,
    queue,
    shows,
    unmask,
)

pytestmark = pytest.mark.browser

TEMPLATE = ROOT / "example_workflows" / "1-First-look-at-guidance.json"
STEPS = 120  # a run of some seconds: live events take one percent of it, so the first comes late
TYPES = "() => (app.rootGraph ?? app.graph).nodes.map(node => node.type).sort()"
HAS = f"types => JSON.stringify(({TYPES})()) === JSON.stringify(types)"
PREPARE = """([steps, seed]) => {
  const graph = app.rootGraph ?? app.graph;
  const named = type => graph.nodes.find(node => node.type === type);
  const inspector = LiteGraph.createNode("GGInspector");
  inspector.pos = [Math.max(...graph.nodes.map(node => node.pos[0] + node.size[0])) + 60, 60];
  graph.add(inspector);
  named("GGGuidedSampler").connect(2, inspector, inspector.inputs.findIndex(input => input.name === "trace"));
  const set = (node, values) => node.widgets.forEach(w => { if (w.name in values) w.value = values[w.name]; });
  set(named("GGGuidedSampler"), {steps, seed});
  set(named("GGFigure"), {figure: "guidance animated", size: "column 600", save: "webp", filename_prefix: "journey"});
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [100 - inspector.pos[0], 60];
  app.canvas.setDirty(true, true);
}"""


def drag_the_scale(page):
    """Another scale is tried with the mouse, and lands in the sampler."""
    choose(page, "whatif")
    slider = page.locator(".gg-panel input[aria-label^='What-if']")
    box = slider.evaluate("slider => ({width: slider.clientWidth, height: slider.clientHeight})")
    ends = [{"x": share * box["width"], "y": box["height"] / 2} for share in (0.5, 0.8)]
    slider.drag_to(slider, source_position=ends[0], target_position=ends[1])
    shown = float(page.locator(".gg-what output").inner_text())
    assert shown > 5
    assert page.evaluate(CFG) != shown
    page.locator(".gg-use").click()
    assert page.evaluate(CFG) == shown
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    (sampler,) = [node for node in prompt.values() if node["class_type"] == "GGGuidedSampler"]
    assert sampler["inputs"]["cfg"] == shown
    (inspector,) = [node for node in prompt.values() if node["class_type"] == "GGInspector"]
    assert set(inspector["inputs"]) == {"trace", "pictures"}


def save(page, name):
    """Save as a user would, and read the file."""
    page.locator(".gg-panel").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    page.locator("[role=dialog] input").fill(name)
    page.keyboard.press("Enter")
    page.locator("[role=dialog]").wait_for(state="detached")
    address = f"/userdata/{'workflows%2F'}{name}.json"
    page.wait_for_function("async path => (await app.api.fetchApi(path)).ok", arg=address)
    return page.evaluate("async path => (await app.api.fetchApi(path)).text()", address)


def test_from_the_template_to_pictures_that_reopen_it(editor):
    page = editor
    drop(page, TEMPLATE.name, "application/json", TEMPLATE.read_text(encoding="utf-8"))
    page.wait_for_function(f"() => {NODE.format('GGFigure')}")
    page.evaluate(PREPARE, [STEPS, 70])
    page.wait_for_selector(".gg-panel")
    unmask(page)
    queue(page)
    assert len(page.evaluate("window.heard")) > 1, "live frames arrive while the sampler runs"
    exported = page.evaluate(f"() => app.nodeOutputs[{NODE.format('GGFigure')}.id].images[0]")

    page.locator(".gg-panel .gg-pages [data-page=geometry]").click()
    page.locator(".gg-panel input[aria-label=Step]").fill("5")
    shows(page, f"6/{STEPS}")
    page.wait_for_function(DRAWN)
    drag_the_scale(page)

    saved = save(page, "journey")
    assert [node["widgets_values"] for node in json.loads(saved)["nodes"] if node["type"] == "GGInspector"] == [[8]]
    assert "gg_record" not in saved

    types, name = page.evaluate(TYPES), exported["filename"]
    page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_function("() => (app.rootGraph ?? app.graph).nodes.length === 0")
    place = "&".join(f"{key}={exported[key]}" for key in ("subfolder", "type"))
    drop(page, name, "image/webp", f"/view?filename={name}&{place}")
    page.wait_for_function(HAS, arg=types)
    assert page.evaluate(f"() => {INSPECTOR}.widgets.find(widget => widget.name === 'pictures').value") == 8
    clean(page)
