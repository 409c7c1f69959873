"""The inspector in the real editor."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from guidance_geometry.tests.pixels import same_picture
from guidance_geometry.tests.queue.steering import (
    DRAWN,
    INSPECTOR,
    NODE,
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
    start,
)

pytestmark = pytest.mark.browser

PANEL = ".gg-panel"
WIDGET = "widget => widget.name === 'gg_panel'"
SHOWN = f"""node => {{ const panel = node.widgets.find({WIDGET}).element;
  return [panel.querySelector("output").textContent, panel.querySelector(".gg-words").textContent]; }}"""
PANELS = f"""() => (app.rootGraph ?? app.graph).nodes.filter(node => node.type === "GGInspector").map({SHOWN})"""
INSIDE = """(app.rootGraph ?? app.graph).nodes.find(node => node.subgraph).subgraph
  .nodes.find(node => node.type === "GGInspector")"""
DRAWN_BY_VUE = "document.querySelector('[data-node-id] .gg-panel')"
TURN = "page => document.querySelector(`.gg-panel .gg-pages [data-page=${page}]`).click()"


def test_live_steps_arrive_and_name_the_inspector(page):
    heard = page.evaluate("window.heard")
    assert heard
    assert {tuple(event["targets"]) for event in heard} == {("8",)}
    assert {event["workflow_id"] for event in heard} == {page.evaluate("() => (app.rootGraph ?? app.graph).id")}
    assert max(len(json.dumps(event)) for event in heard) <= 9000


WHOLE = """() => { const words = document.querySelector(".gg-headline");
  return words.scrollWidth <= words.clientWidth && words.scrollHeight <= words.clientHeight; }"""


def test_it_opens_on_the_advice_and_the_figure_has_the_room_on_a_page_beside_it(page):
    panel = page.locator(".gg-panel")
    assert panel.get_attribute("data-page") == "advice"
    page.evaluate(TURN, "geometry")
    page.wait_for_function("() => document.querySelector('.gg-figure').offsetHeight >= 260")
    assert page.evaluate(WHOLE), "what to change stands at its end"
    assert panel.locator(".gg-line").evaluate("line => line.offsetHeight") <= 30, "one line"
    assert panel.locator(".gg-says").is_hidden()
    panel.locator(".gg-info").click()
    panel.locator(".gg-says").wait_for(state="visible")
    panel.locator(".gg-info").click()
    page.evaluate(TURN, "advice")
    page.wait_for_function("() => document.querySelectorAll('.gg-panel .gg-pair .gg-shots > *').length === 2")
    panel.locator(".gg-figures").wait_for(state="hidden")
    assert page.evaluate(f"() => {INSPECTOR}.properties.gg_page") == "advice", "saved with the workflow"
    page.evaluate(TURN, "geometry")
    page.wait_for_function("() => document.querySelector('.gg-figure').offsetHeight >= 260")


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


def test_half_is_tried_on_the_node_and_outlives_an_undo(page):
    def click(place):
        page.locator(f"{PANEL} {place}").first.dispatch_event("click")  # whatever lies over it

    page.evaluate(TURN, "advice")
    page.locator(f"{PANEL} .gg-half").wait_for(state="visible")
    click(".gg-half")
    tried = "() => /same picture|change/.test(document.querySelector('.gg-panel .gg-tried').textContent)"
    page.wait_for_function(tried, timeout=60000)
    names = page.locator(f"{PANEL} .gg-card .gg-name")
    assert names.all_inner_texts() == ["cfg 3", "cfg 1.5"]
    assert page.locator(f"{PANEL} .gg-pair").is_hidden()
    undo_steps(page, 17, 19)
    page.wait_for_function(
        "() => document.querySelectorAll('.gg-panel .gg-card .gg-shots > *').length >= 2", timeout=8000
    )
    assert names.all_inner_texts() == ["cfg 3", "cfg 1.5"], "what is tried outlives the node that undo replaces"
    click(".gg-tries .gg-close")
    page.evaluate(TURN, "geometry")


def test_the_editors_search_knows_what_people_call_it(page):
    find = """(words) => document.getElementById("vue-app").__vue_app__.config.globalProperties.$pinia._s.get("nodeDef")
      .nodeSearchService.searchNode(words).slice(0, 64).map(({ name }) => name)"""
    words = {
        "guidance geometry": "GGInspector",
        "burn": "GGAdaptiveProjected",
        "oversaturated": "GGRescale",
        "overcooked": "GGReport",
        "xy plot": "GGSweep",
        "guidance scale": "GGCFGSchedule",
        "negative": "GGNegative",
        "classifier guidance": "GGLabelEnergy",
        "2410.02416": "GGAdaptiveProjected",
    }
    for said, node in words.items():
        assert node in page.evaluate(find, said), said
    assert page.evaluate(find, "KSampler")[0] == "KSampler", "names come first"
    assert page.evaluate("() => 'GGTap' in LiteGraph.registered_node_types"), "saved prompts with it open"
    assert "GGTap" not in page.evaluate(find, "Tap of the Guidance Tab")


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
    page.keyboard.press("Backspace")
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


def test_the_advice_is_saved_with_its_pictures_and_says_of_which_run_it_is(page):
    page.evaluate(TURN, "advice")
    page.wait_for_function(
        """() => { const shots = [...document.querySelectorAll('.gg-panel .gg-pair .gg-shots > *')];
          return shots.length === 2 && shots.every(shot => shot.checkVisibility()); }"""
    )
    data = saved(page, "PNG")
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


def test_the_panel_fills_the_screen_and_goes_back(page):
    page.evaluate(TURN, "geometry")
    choose(page, "plane")
    full, figure = page.locator(".gg-full"), "() => document.querySelector('.gg-figure').getBoundingClientRect().width"
    before = page.evaluate(figure)
    full.dispatch_event("click")
    page.wait_for_function(f"wide => document.fullscreenElement && ({figure})() > 1.3 * wide", arg=before)
    height = figure.replace(".width", ".height")
    page.wait_for_function(f"() => ({height})() > innerHeight / 2")
    page.wait_for_function(DRAWN)
    full.dispatch_event("click")
    page.wait_for_function(f"wide => !document.fullscreenElement && ({figure})() === wide", arg=before)


def test_a_saved_svg_is_its_png(page):
    """Each holds all that it shows, the prediction's picture too: the same browser paints both alike."""
    viewer = page.context.browser.new_page(viewport={"width": 960, "height": 600})
    for view in VIEWS:
        choose(page, view)
        if page.locator(".gg-files button:has-text('SVG')").is_disabled():
            assert view in ("pictures", "heat")
            continue
        files = {kind: saved(page, kind) for kind in ("PNG", "SVG")}
        assert (view == "whatif") == (b"<image" in files["SVG"])
        svg = files["SVG"].decode()
        viewer.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{svg}")
        seen = viewer.locator("body > svg").screenshot()
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in (files["PNG"], seen)]
        png, drawn = (np.asarray(image.resize(images[1].size, Image.Resampling.BOX)).astype(int) for image in images)
        assert same_picture(png, drawn), view
    viewer.close()


def undo_steps(page, *steps):
    """Other numbers of steps, taken back one right after the other: each time the editor makes the graph anew."""
    page.evaluate(
        f"""async steps => {{ const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
        for (const value of steps) {{
          {SAMPLER}.widgets.find(w => w.name === 'steps').value = value;
          tracker.checkState(); }}
        for (const _ of steps) await tracker.undo(); }}""",
        list(steps),
    )
    page.wait_for_function(
        f"steps => !steps.includes({SAMPLER}.widgets.find(w => w.name === 'steps').value)", arg=list(steps)
    )


def test_undo_keeps_the_step_and_the_sample(page):
    page.locator(".gg-panel input[aria-label=Step]").fill("5")
    page.locator(".gg-files select[aria-label=Sample]").select_option("1")
    shows(page, "6/20")
    assert page.evaluate(f"() => {INSPECTOR}.properties.gg_sample") == 1, "saved with the workflow"
    undo_steps(page, 13)
    shows(page, "6/20")
    assert page.locator(".gg-files select[aria-label=Sample]").input_value() == "1"


def test_the_panel_is_as_high_as_its_node(page):
    height = page.evaluate("() => document.querySelector('.gg-host').offsetHeight")
    page.evaluate(f"() => {{ {INSPECTOR}.setSize([520, 940]); app.canvas.setDirty(true, true); }}")
    page.wait_for_function(
        "least => document.querySelector('.gg-host').offsetHeight > least", arg=height + 150, timeout=5000
    )
    page.evaluate(f"() => {{ {INSPECTOR}.setSize([520, 640]); app.canvas.setDirty(true, true); }}")


def test_a_pasted_inspector_is_empty_and_the_old_one_stays(page):
    page.evaluate(
        f"""() => {{ app.canvas.copyToClipboard([{INSPECTOR}]); app.canvas.graph_mouse = [700, 700];
        app.canvas.pasteFromClipboard(); }}"""
    )
    page.wait_for_function("() => document.querySelectorAll('.gg-panel').length === 2")
    page.wait_for_function(f"() => ({PANELS})()[1][1].startsWith('No run yet')")
    assert page.evaluate(PANELS)[0][0].endswith("/20")
    page.evaluate(
        """() => { const graph = app.rootGraph ?? app.graph;
        graph.remove(graph.nodes.filter(node => node.type === "GGInspector")[1]); }"""
    )
    page.wait_for_function("() => document.querySelectorAll('.gg-panel').length === 1")


def test_the_renderer_can_change_while_a_run_is_shown(page):
    for vue in (True, False):
        page.evaluate("vue => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue)", vue)
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
    reseed(page, cfg=3.0, steps=60)
    page.evaluate(f"() => {{ {NODE.format('GGEmptyCanvas')}.widgets.find(w => w.name === 'batch_size').value = 8; }}")
    queue(page)
    shows_run_of(page, 60)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    drafted(page)
    reload(page)
    shows_run_of(page, 60)
    assert len([url for url in asked if "/guidance_geometry/runs/" in url]) == 1
    assert not [url for url in asked if "/records/" in url]
    assert len([url for url in asked if "/history/" in url]) <= 1, "for the prompt and the pictures"
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


def test_a_scale_from_outside_a_subgraph_is_written_where_it_is_set(page):
    start(page)
    page.evaluate(
        f"""() => {{ const graph = app.rootGraph ?? app.graph;
        const source = LiteGraph.createNode("PrimitiveFloat"); source.title = "Scale"; graph.add(source);
        source.pos = [0, 700]; source.widgets[0].value = 2.5;
        source.connect(0, {SAMPLER}, {SAMPLER}.inputs.findIndex(i => i.name === "cfg"));
        app.canvas.selectItems([{SAMPLER}, {INSPECTOR}]); graph.convertToSubgraph(app.canvas.selectedItems); }}"""
    )
    queue(page)
    page.evaluate(f"() => app.canvas.setGraph({INSIDE}.graph)")
    page.wait_for_function(f"() => ({SHOWN})({INSIDE})[0].endsWith('/20')")
    page.evaluate(f"() => {INSIDE}.widgets.find({WIDGET}).element.querySelector('[data-view=whatif]').click()")
    use = f"{INSIDE}.widgets.find({WIDGET}).element.querySelector('.gg-use')"
    page.wait_for_function(f"() => {use}.title.includes('into Scale (') && !{use}.disabled")
    page.locator("input[aria-label='What-if scale']").fill("6")
    page.locator(".gg-use").click()
    source = "(app.rootGraph ?? app.graph).nodes.find(n => n.title === 'Scale')"
    assert page.evaluate(f"() => {source}.widgets[0].value") == 6
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
