"""The Guidance tab in the real editor: runs of graphs that hold no node of this pack but the model."""

import re

import pytest

from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.steering import queue
from guidance_geometry.tests.queue.tab_steering import (
    BOTTOM,
    FLAG,
    ROOT,
    SAMPLER,
    SIDE,
    TAB,
    TOGGLE,
    UNDO,
    begin,
    load,
    measured,
    offers,
    open_below,
    sampled,
    says,
    set_widget,
    shows_run_of,
    switch,
    turn_to,
)  # fmt: skip

pytestmark = pytest.mark.browser

TYPES = f"() => {ROOT}.nodes.map(node => node.type).sort()"
KEPT = ["GGRecord", "GGReadTrace", "GGInspector"]
LONG = 150  # steps: a run must last the two seconds after which the first event may come, on a fast machine too


@pytest.fixture
def page(tab):
    return tab


def test_the_switch_is_stored_in_the_workflow_and_undone_in_one_step(page):
    load(page, sampled())
    says(page, "Switch recording on")
    switch(page)
    says(page, "Recording is on. Queue")
    saved = page.evaluate("async () => (await app.graphToPrompt()).workflow.extra.guidance_geometry")
    assert saved["record"] is True
    page.evaluate(UNDO)
    page.wait_for_function("() => !document.querySelector('.gg-switch input').checked")
    assert not page.evaluate(FLAG)
    assert page.evaluate(f"() => {ROOT}.nodes.length") == len(sampled())
    page.evaluate(UNDO.replace("undo", "redo"))
    page.wait_for_function("() => document.querySelector('.gg-switch input').checked")
    switch(page, on=False)
    says(page, "Switch recording on")


def test_a_run_is_shown_with_no_node_in_the_graph(page):
    begin(page, sampled(steps=LONG))
    types = page.evaluate(TYPES)
    queue(page)
    heard = page.evaluate("window.heard")
    assert {(event["node"], len(event["targets"])) for event in heard} == {("4", 0)}
    offers(page, [r"^Mine \(4\) . \d\d:\d\d$"])
    shows_run_of(page, LONG)
    turn_to(page, "geometry")
    page.wait_for_function(steering.DRAWN.replace(".gg-panel", TAB))
    turn_to(page, "advice")
    assert page.evaluate(TYPES) == types
    assert set(page.evaluate("async () => (await app.graphToPrompt()).output")) == set(sampled())


def test_a_reload_brings_the_run_back_and_switched_off_nothing_is_recorded(page):
    steering.drafted(page)
    steering.reload(page)
    open_below(page)
    shows_run_of(page, LONG)
    assert page.locator(".gg-switch input").is_checked()
    switch(page, on=False)
    set_widget(page, steps=3)
    queue(page)
    assert not page.evaluate("window.heard")
    says(page, "Recording is off: this is an earlier run")
    shows_run_of(page, LONG)


LAID_OUT = f"""() => {{ const panel = document.querySelector('{TAB}').getBoundingClientRect();
    const box = name => document.querySelector(`{TAB} ${{name}}`).getBoundingClientRect();
    const inside = one => one.top >= panel.top - 1 && one.bottom <= panel.bottom + 1 && one.bottom <= innerHeight;
    const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1;
    const parts = ['.gg-figure', 'input[aria-label=Step]', '.gg-steps output', '.gg-reasons'];
    const [figure, slider, count, reasons] = parts.map(box);
    return [figure.height, [figure, slider, count].every(inside), apart(figure, reasons)]; }}"""
SHOTS = f"count => document.querySelectorAll('{TAB} .gg-pair .gg-shots > *').length === count"


def test_in_a_small_window_the_figure_has_the_room_and_the_reasons_stand_beside_it(page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.evaluate(TOGGLE, BOTTOM)
    page.evaluate(TOGGLE, BOTTOM)
    begin(page, measured(cfg=13.0))
    queue(page)
    shows_run_of(page, 20)
    turn_to(page, "advice")
    reasons = page.locator(f"{TAB} .gg-reasons")
    reasons.wait_for(state="visible")
    assert "The model itself was asked" in reasons.inner_text(), "what it was compared with"
    turn_to(page, "geometry")
    reasons.wait_for(state="hidden")
    page.locator(f"{TAB} .gg-why").click()
    page.wait_for_function(f"() => ({LAID_OUT})()[0] >= 300")
    assert page.evaluate(LAID_OUT)[1:] == [True, True], page.evaluate(LAID_OUT)
    turn_to(page, "advice")


def test_the_advised_setting_is_seen_beside_that_run_on_one_click_and_stays_with_it(page):
    page.locator(f"{TAB} .gg-reasons").wait_for(state="visible")
    page.locator(f"{TAB} .gg-see").click()
    line = page.locator(f"{TAB} .gg-strange")
    line.filter(has_text="times as strange as at").wait_for(timeout=60000)
    names = page.locator(f"{TAB} .gg-pair .gg-name").all_inner_texts()
    assert names[0] == "As it is: cfg 13"
    assert re.fullmatch(r"cfg [1-9][.\d]*, same seed", names[1])
    assert page.locator(f"{TAB} .gg-seed").count() == 4, "two seeds of two pictures"
    assert page.locator(f"{TAB} .gg-see").is_hidden()
    page.locator(f"{TAB} .gg-apply").click()
    queue(page)
    page.wait_for_function(f"() => document.querySelector('{TAB} .gg-verdict').dataset.colour === 'fine'")
    page.wait_for_function(SHOTS, arg=2)  # nothing is advised


def test_a_run_in_app_mode_is_told_and_in_the_tab_when_the_graph_is_back(page):
    begin(page, measured(cfg=13.0))
    height = f"() => document.querySelector('{TAB}')?.clientHeight ?? 0"
    mode = "mode => { app.extensionManager.workflow.activeWorkflow.activeMode = mode; }"
    page.evaluate(mode, "app")
    page.wait_for_function(f"() => !({height})()")
    queue(page)
    told = page.locator("[data-testid=toast], .p-toast-message").filter(has_text="cfg 13 is above")
    told.get_by_role("button", name="Guidance").click()
    page.locator(".gg-tab .gg-headline >> visible=true").first.wait_for()
    page.evaluate(TOGGLE, SIDE)
    page.evaluate(mode, "graph")
    shows_run_of(page, 20)
    page.wait_for_function(f"() => ({height})() >= 350")


def test_samplers_in_series_are_stages_and_shown_as_one_run_too(page):
    begin(page, sampled(stages=2, steps=5))
    queue(page)
    stages = [r"^Stage 1 \(4\) . stage 1 of 2 .", r"^Stage 2 \(5\) . stage 2 of 2 .", "^All stages: Stage 1 . Stage 2$"]
    offers(page, stages)
    shows_run_of(page, 5)
    page.locator(f"{TAB} .gg-verdict").wait_for(state="visible")  # it comes with the record, after the live steps
    page.locator(".gg-runs").select_option(index=2)
    shows_run_of(page, 10)
    page.locator(f"{TAB} .gg-verdict").wait_for(state="hidden")
    page.locator(".gg-runs").select_option(index=0)
    shows_run_of(page, 5)


def test_a_sampler_in_a_subgraph_is_named_by_its_path(page):
    begin(page)
    page.evaluate(
        f"""() => {{ app.canvas.selectItems([{SAMPLER}]); {ROOT}.convertToSubgraph(app.canvas.selectedItems); }}"""
    )
    queue(page)
    offers(page, [r"^Mine \(\d+:4\) . \d\d:\d\d$"])
    shows_run_of(page, 6)
    page.locator(".gg-keep").click()
    inside = f"{ROOT}.nodes.find(node => node.subgraph).subgraph.nodes"
    assert page.evaluate(f"() => {inside}.length") == 4
    queue(page)
    output = page.evaluate("async () => Object.values((await app.graphToPrompt()).output).map(n => n.class_type)")
    assert set(KEPT) <= set(output)
    page.evaluate(UNDO)
    page.wait_for_function(f"() => {inside}.length === 1")


def test_an_inspector_is_kept_and_undone_in_one_step(page):
    begin(page)
    queue(page)
    offers(page, [r"^Mine \(4\)"])
    before = page.evaluate(TYPES)
    offered = "app.collectNodeMenuItems({}).filter(item => item?.content === 'Add an inspector to the graph')"
    assert page.evaluate(f"() => {offered.format(SAMPLER)}.length") == 1, "the menu of a sampler offers the same"
    page.locator(".gg-keep").click()
    page.evaluate(steering.PAINTED)
    kept = sorted([*before, *KEPT])
    assert page.evaluate(TYPES) == kept
    page.evaluate(UNDO)
    has = f"types => JSON.stringify(({TYPES})()) === JSON.stringify(types)"
    page.wait_for_function(has, arg=before)
    source = page.evaluate("async () => (await app.graphToPrompt()).output[4].inputs.model[0]")
    assert source == "1"
    page.evaluate(UNDO.replace("undo", "redo"))
    page.wait_for_function(has, arg=kept)
    queue(page)
    page.wait_for_function("() => document.querySelectorAll('.gg-panel').length === 2")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.gg-steps output')].every(count => count.textContent.endsWith('/6'))"
    )
