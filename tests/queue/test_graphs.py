"""Panels in graphs that change: copies, several runs, undo, another renderer, and a scale that comes from elsewhere."""

import pytest

from guidance_geometry.tests.queue.prompts import first_look
from guidance_geometry.tests.queue.steering import (
    DRAWN,
    INSPECTOR,
    SAMPLER,
    choose,
    numbers,
    queue,
    says,
    shows_run_of,
    start,
)

pytestmark = pytest.mark.browser

PANEL = "widget => widget.name === 'gg_panel'"
SHOWN = f"""node => {{ const panel = node.widgets.find({PANEL}).element;
  return [panel.querySelector("output").textContent, panel.querySelector(".gg-words").textContent]; }}"""
PANELS = f"""() => (app.rootGraph ?? app.graph).nodes.filter(node => node.type === "GGInspector").map({SHOWN})"""
INSIDE = """(app.rootGraph ?? app.graph).nodes.find(node => node.subgraph).subgraph
  .nodes.find(node => node.type === "GGInspector")"""
SWITCH = "vue => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', vue)"
TRACKER = "app.extensionManager.workflow.activeWorkflow.changeTracker"


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


def test_undo_and_redo_keep_the_run(page):
    start(page)
    page.evaluate(f"() => {{ {SAMPLER}.widgets.find(w => w.name === 'steps').value = 11; }}")
    page.evaluate(f"async () => {{ {TRACKER}.checkState(); await {TRACKER}.undo(); await {TRACKER}.redo(); }}")
    page.wait_for_function(f"() => {SAMPLER}?.widgets.find(w => w.name === 'steps').value === 11")
    page.wait_for_selector(".gg-panel")
    shows_run_of(page, 20)
    choose(page, "plane")
    page.wait_for_function(DRAWN)
    start(page)


def test_the_renderer_can_change_while_a_run_is_shown(page):
    for vue in (not page.vue, page.vue):
        page.evaluate(SWITCH, vue)
        page.wait_for_timeout(300)  # the editor mounts its nodes anew
        page.wait_for_selector(".gg-panel")
        shows_run_of(page, 20)
        choose(page, "plane")
        page.wait_for_function(DRAWN)


def test_a_scale_from_a_list_names_the_schedule(page):
    page.evaluate(
        f"""() => {{ const graph = app.rootGraph ?? app.graph; const list = LiteGraph.createNode("GGCFGSchedule");
        list.title = "My list"; graph.add(list); list.pos = [0, 700];
        list.widgets.find(w => w.name === "schedule").value = "list";
        list.connect(0, {SAMPLER}, {SAMPLER}.inputs.findIndex(i => i.name === "guidance")); }}"""
    )
    choose(page, "whatif")
    says(page, "listed step by step: change My list \\(")
    page.evaluate("() => { const g = app.rootGraph ?? app.graph; g.remove(g.nodes.find(n => n.title === 'My list')); }")


def test_a_scale_from_outside_a_subgraph_is_written_where_it_is_set(page):
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
    page.evaluate(f"() => {INSIDE}.widgets.find({PANEL}).element.querySelector('[data-view=whatif]').click()")
    use = f"{INSIDE}.widgets.find({PANEL}).element.querySelector('.gg-use')"
    page.wait_for_function(f"() => {use}.title.includes('into Scale (') && !{use}.disabled")
    page.evaluate("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    start(page)


def three_runs():
    """Three samplers, each with an inspector of its own."""
    found = {node: first_look()[node] for node in "1234"}
    sampler = found.pop("4")
    found["3"]["inputs"]["batch_size"] = 1
    for k, steps in enumerate((4, 5, 6)):
        inputs = sampler["inputs"] | {"steps": steps, "seed": 1000 * next(numbers)}
        found[str(10 + k)] = sampler | {"inputs": inputs}
        found[str(20 + k)] = {"class_type": "GGInspector", "inputs": {"trace": [str(10 + k), 2], "pictures": 2}}
    return found


def test_three_inspectors_show_three_runs(page):
    start(page, three_runs())
    page.wait_for_function(f"() => ({PANELS})().map(([count]) => count.split('/')[1]).sort().join() === '4,5,6'")
    start(page)
