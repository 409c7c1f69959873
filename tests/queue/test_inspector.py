"""The inspector in the real editor."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from guidance_geometry.tests.pixels import same_picture
from guidance_geometry.tests.queue.steering import (
    COUNT,
    DRAWN,
    INSPECTOR,
    NODE,
    NODES_2,
    PAINTED,
    QUEUE,
    SAMPLER,
    VIEWS,
    choose,
    drafted,
    queue,
    reload,
    reseed,
    says,
    shows,
    shows_run_of,
)

pytestmark = pytest.mark.browser

DRAWN_BY_VUE = "document.querySelector('[data-node-id] .gg-panel')"
SIZE = f"""([w, h, left]) => {{ const node = {INSPECTOR}; node.setSize([w, h]);
  const box = document.querySelector(".gg-panel").closest("[data-node-id]"); // the old Nodes 2.0 reads no later size
  if (box) box.style.minWidth = `${{w}}px`;
  app.canvas.ds.offset = [left - node.pos[0], 80]; app.canvas.setDirty(true, true); }}"""
FACTS = "() => document.querySelector('.gg-facts').textContent.replaceAll('\\u00a0', ' ')"
LIT = """place => { const canvas = document.querySelectorAll('.gg-panel canvas')[place];
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let lit = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    lit += Math.abs(r - 240) + Math.abs(g - 228) + Math.abs(b - 66) < 12;
  }
  return lit > 20; }"""
BESIDE, TICKS = 1, 2
TURN = "page => document.querySelector(`.gg-panel .gg-pages [data-page=${page}]`).click()"


def test_live_steps_arrive_and_name_the_inspector(page):
    heard = page.evaluate("window.heard")
    assert heard
    assert {tuple(event["targets"]) for event in heard} == {("8",)}
    assert {event["workflow_id"] for event in heard} == {page.evaluate("() => (app.rootGraph ?? app.graph).id")}
    assert max(len(json.dumps(event)) for event in heard) <= 9000


TALK = f"""() => {{ const node = LiteGraph.createNode("GGMetrics"); node.pos = [0, 480]; {SAMPLER}.graph.add(node);
  {SAMPLER}.connect(2, node, node.inputs.findIndex(({{ name }}) => name === "trace")); }}"""
SPOKEN = f"""() => {{ const node = {NODE.format("GGMetrics")};
  const text = node.widgets.find(({{ name }}) => name === "gg_text").element.querySelector("pre");
  const found = [text.textContent, text.clientHeight, text.scrollHeight, text.scrollWidth - text.clientWidth,
    node.size[0], node.serialize().widgets_values.length];
  node.graph.remove(node);
  return found; }}"""


def test_what_a_node_says_can_be_read_on_it_and_is_not_saved(page):
    page.evaluate(TALK)
    queue(page)
    page.wait_for_selector(".gg-text", state="attached")
    page.evaluate(PAINTED)
    words, high, whole, cut, wide, saved = page.evaluate(SPOKEN)
    assert re.search(r"step +noise +scale", words)
    assert high >= min(whole, 280)
    assert cut <= 1
    assert (wide >= 700, saved) == (True, 2)


def test_every_view_is_drawn(page):
    for view in VIEWS:
        choose(page, view)
        page.wait_for_function(DRAWN, timeout=5000)


def test_the_scrubber_and_the_keys_move_through_the_run_and_play_stops_at_its_end(page):
    choose(page, "plane")
    panel = page.locator(".gg-panel")
    panel.locator("input[aria-label=Step]").fill("3")
    shows(page, "4/20")
    panel.focus()
    for key, shown in (("ArrowRight", "5/20"), ("ArrowLeft", "4/20"), ("End", "20/20"), ("Home", "1/20")):
        page.keyboard.press(key)
        shows(page, shown)
    page.keyboard.press("Delete")
    assert page.evaluate(f"() => Boolean({INSPECTOR})")
    page.locator(".gg-panel input[aria-label=Step]").fill("16")
    panel.focus()
    page.keyboard.press("Space")
    shows(page, "20/20")
    page.wait_for_function("() => document.querySelector('.gg-play').ariaLabel === 'Play the run'")


def saved(page, kind):
    with page.expect_download() as one:
        page.locator(f".gg-panel button:has-text('{kind}')").dispatch_event("click")
    return one.value.path().read_bytes()


def test_it_opens_on_the_advice_which_is_saved_with_its_pictures_and_says_of_which_run_it_is(page):
    page.evaluate(TURN, "advice")
    page.wait_for_function(
        """() => { const shots = [...document.querySelectorAll('.gg-panel .gg-pair .gg-shots > *')];
          return shots.length === 2 && shots.every(shot => shot.checkVisibility()); }"""
    )
    data = saved(page, "Share")
    assert json.loads(Image.open(io.BytesIO(data)).info["workflow"])["nodes"]
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    coloured = np.ptp(image, axis=2) > 60
    assert coloured[120:].mean() > 0.1, "the pictures"
    assert (image[:120].min(axis=2) < 128).sum() > 2000, "words above them"
    choose(page, "plane")
    svg = saved(page, "SVG").decode()
    for name in ("title", "run", "verdict"):
        assert f'data-name="{name}"' in svg
    assert page.locator(".gg-headline").text_content() in svg


def test_a_step_under_the_pointer_is_lit_everywhere_and_a_click_goes_there(page):
    """On a node so wide that two views stand side by side, in the dark theme, whose colour of light is known."""
    page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    page.wait_for_function("() => document.querySelector('.gg-panel').dataset.theme === 'dark'")
    page.evaluate(SIZE, [960, 640, 120])
    choose(page, "plane")
    page.wait_for_function("() => document.querySelectorAll('.gg-figure:not([hidden])').length === 2")
    page.locator(".gg-panel input[aria-label=Step]").fill("3")
    shows(page, "4/20")

    def over(place, share):
        box = page.locator(".gg-panel canvas").nth(place).bounding_box()
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.4 * box["height"])

    before = page.evaluate(FACTS)
    assert before.startswith("step 4 ")
    over(BESIDE, 0.7)
    page.wait_for_function("() => document.querySelector('.gg-facts').hasAttribute('data-lit')")
    lit = page.evaluate(FACTS).split(" \u00b7 ")[0]
    assert lit != "step 4"
    page.wait_for_function(LIT, arg=BESIDE)
    page.wait_for_function(LIT, arg=TICKS)
    assert page.evaluate(COUNT) == "4/20"
    page.mouse.move(2, 450)
    page.wait_for_function(f"before => ({FACTS})() === before", arg=before)
    assert not page.evaluate(LIT, TICKS)
    over(TICKS, 0.5)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("() => /^(10|11).20$/.test(document.querySelector('.gg-panel output').textContent)")
    page.mouse.move(2, 450)
    page.evaluate(SIZE, [520, 640, 760])


def test_readers_aloud_hear_the_figure_and_the_step(page):
    choose(page, "plane")
    page.locator(".gg-panel input[aria-label=Step]").fill("4")
    shows(page, "5/20")
    figure = page.locator(".gg-panel canvas").first
    page.wait_for_function(
        "() => document.querySelector('.gg-panel canvas').ariaLabel.startsWith('Step plane. step 5 \u00b7 ')"
    )
    assert figure.get_attribute("role") == "img"
    spoken = page.locator(".gg-panel input[aria-label=Step]").get_attribute("aria-valuetext")
    assert spoken.startswith("step 5 \u00b7 noise level")
    assert page.locator(".gg-panel").get_attribute("aria-label") == "Guidance inspector"


def test_a_saved_svg_is_its_png(page):
    """Each holds all that it shows, the prediction's picture too: the same browser paints both alike."""
    viewer = page.context.browser.new_page(viewport={"width": 960, "height": 600})
    for view in ("plane", "whatif", "lengths"):
        choose(page, view)
        files = {kind: saved(page, kind) for kind in ("PNG", "SVG")}
        assert (view == "whatif") == (b"<image" in files["SVG"])
        svg = files["SVG"].decode()
        viewer.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{svg}")
        seen = viewer.locator("body > svg").screenshot()
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in (files["PNG"], seen)]
        png, drawn = (np.asarray(image.resize(images[1].size, Image.Resampling.BOX)).astype(int) for image in images)
        assert same_picture(png, drawn), view
    viewer.close()


CHANGE_AND_UNDO = f"""async () => {{ const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
  {SAMPLER}.widgets.find(w => w.name === "steps").value = 13;
  tracker.checkState();
  await tracker.undo(); }}"""


def test_undo_keeps_the_step_and_the_sample(page):
    page.locator(".gg-panel input[aria-label=Step]").fill("5")
    page.locator(".gg-files select[aria-label=Sample]").select_option("1")
    shows(page, "6/20")
    assert page.evaluate(f"() => {INSPECTOR}.properties.gg_sample") == 1, "saved with the workflow"
    page.evaluate(CHANGE_AND_UNDO)
    page.wait_for_function(f"() => {SAMPLER}.widgets.find(w => w.name === 'steps').value !== 13")
    shows(page, "6/20")
    assert page.locator(".gg-files select[aria-label=Sample]").input_value() == "1"


def test_the_renderer_can_change_while_a_run_is_shown(page):
    for vue in (True, False):
        page.evaluate(NODES_2, vue)
        page.wait_for_function(f"vue => Boolean({DRAWN_BY_VUE}) === vue", arg=vue)
        page.wait_for_selector(".gg-panel")
        shows_run_of(page, 20)
        choose(page, "plane")
        page.wait_for_function(DRAWN)


def test_a_muted_inspector_says_that_it_shows_an_earlier_run(page):
    page.evaluate(f"() => {{ {INSPECTOR}.mode = 2; }}")
    queue(page)
    says(page, "not part of the last run")
    page.evaluate(f"() => {{ {INSPECTOR}.mode = 0; }}")


def test_an_interrupted_run_says_where_it_stopped(page):
    reseed(page, cfg=2.0, steps=2000)
    page.evaluate(QUEUE)
    page.wait_for_function("() => window.heard.length > 1")
    page.evaluate("() => app.api.interrupt()")
    assert page.evaluate("window.done")[0] == "execution_interrupted"
    says(page, "Stopped at step [0-9]+ of 2000")
    reseed(page, steps=20, cfg=3.0)


def test_a_reload_brings_a_large_record_with_one_question(page):
    reseed(page, cfg=3.0, steps=40)
    page.evaluate(f"() => {{ {NODE.format('GGEmptyCanvas')}.widgets.find(w => w.name === 'batch_size').value = 4; }}")
    queue(page)
    shows_run_of(page, 40)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    drafted(page)
    reload(page)
    shows_run_of(page, 40)
    assert len([url for url in asked if "/guidance_geometry/runs/" in url]) == 1
    queue(page)
    assert not page.evaluate("window.heard"), "it comes from the cache"
    page.wait_for_function(DRAWN)


def test_a_panel_in_a_subgraph_and_a_second_tab_show_their_run(page):
    reseed(page, steps=20)
    page.evaluate(
        f"""() => {{ const graph = app.rootGraph ?? app.graph; const inside = {INSPECTOR};
        app.canvas.selectItems([inside]); graph.convertToSubgraph(app.canvas.selectedItems); }}"""
    )
    queue(page)
    heard = page.evaluate("window.heard")
    assert {":" in target for event in heard for target in event["targets"]} == {True}
    page.evaluate("() => app.canvas.setGraph((app.rootGraph ?? app.graph).nodes.find(n => n.subgraph).subgraph)")
    shows_run_of(page, 20)
    page.wait_for_function(DRAWN)
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    page.evaluate("() => app.extensionManager.command.execute('Workspace.NextOpenedWorkflow')")
    page.evaluate("() => app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')")
    page.evaluate("() => app.canvas.setGraph((app.rootGraph ?? app.graph).nodes.find(n => n.subgraph).subgraph)")
    shows_run_of(page, 20)
