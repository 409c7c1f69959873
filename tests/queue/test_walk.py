"""What a user walks through, from a graph of one's own to a value at which its model does not strain."""

import pytest

from guidance_geometry.tests.queue.steering import PAINTED, QUEUE, queue
from guidance_geometry.tests.queue.tab_steering import (
    ROOT,
    RUNS,
    TAB,
    UNDO,
    load,
    measured,
    offers,
    sampled,
    says,
    sees,
    shows_run_of,
    switch,
)  # fmt: skip

pytestmark = pytest.mark.browser

NODES = f"{ROOT}.nodes.flatMap(node => [node, ...(node.subgraph?.nodes ?? [])])"
WIDGET = f"""([id, name]) => {NODES}.find(node => node.type === "KSampler" && String(node.id) === id)
  .widgets.find(widget => widget.name === name)"""
SET = f"""([id, values]) => {{
  for (const [name, value] of Object.entries(values)) ({WIDGET})([id, name]).value = value; }}"""
MODE = f"""mode => {{ for (const node of {NODES}) if (node.type === "KSampler") node.mode = mode; }}"""
INTO_SUBGRAPH = f"""() => {{ app.canvas.selectItems({ROOT}.nodes.filter(node => node.type === "KSampler"));
  {ROOT}.convertToSubgraph(app.canvas.selectedItems); }}"""
NOTICE = """() => { const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
  (tracker.captureCanvasState ?? tracker.checkState).call(tracker); }"""  # as the editor does after a click or a key
TOAST = ".p-toast-message, [data-testid=toast]"
OWN = 13.0  # a cfg at which everybody sees it
CONTROL = "control_after_generate"
VALUES = f"""() => ["seed", "{CONTROL}", "cfg"].map(name => ({WIDGET})(["4", name]).value)"""


class Walker:
    """A user whose clicks count."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, place):
        self.page.locator(f".gg-tab {place} >> visible=true").first.click()
        self.clicks += 1

    def run(self):
        """The editor's own button."""
        queue(self.page)
        self.clicks += 1


def cfg_of(page, node="4"):
    return page.evaluate(f"given => ({WIDGET})(given).value", [node, "cfg"])


def notice(page, change, given):
    """Change something as a user does, so that the editor takes note of it."""
    page.evaluate(change, given)
    page.evaluate(NOTICE)


def changed(page, words):
    """Wait for the line about a change since the run that is shown; no words: until there is none."""
    page.wait_for_function(
        """words => { const line = document.querySelector('.gg-tab .gg-changed-words').textContent;
          return words ? new RegExp(words).test(line) : !line; }""",
        arg=words,
        timeout=8000,
    )


@pytest.fixture
def page(tab):
    return tab


def walk(page, where):
    """From the editor to a value where nothing is seen: record and run, read, apply, run again."""
    user = Walker(page)
    user.click(".gg-begin")
    sees(page, "above", r"[Tt]ry cfg \d")
    user.click(".gg-apply")
    advised = cfg_of(page)
    assert 1 < advised < OWN
    changed(page, rf"cfg 13 \u2192 {advised:g} in {where}")
    assert page.locator(f"{TAB} .gg-verdict").get_attribute("data-before") == ""
    user.run()
    sees(page, "fine")
    changed(page, "")
    assert user.clicks == 3
    return advised


def test_from_ones_own_graph_to_a_calm_value_and_back(page):
    load(page, measured(cfg=OWN))
    advised = walk(page, "Mine")
    notice(page, SET, ["4", {"cfg": OWN}])
    changed(page, rf"cfg {advised:g} \u2192 13 in Mine \(4\)")
    page.locator(".gg-tab .gg-back").click()
    assert cfg_of(page) == advised
    changed(page, "")
    page.evaluate(UNDO)  # of what the button wrote: one step
    page.wait_for_function(f"() => ({WIDGET})(['4', 'cfg']).value === {OWN}")
    changed(page, rf"cfg {advised:g} \u2192 13")


def test_the_seed_that_was_judged_runs_next_and_one_undo_takes_all_back(page):
    load(page, measured(cfg=OWN))
    page.evaluate(SET, ["4", {CONTROL: "randomize"}])
    judged, user = page.evaluate(VALUES), Walker(page)
    user.click(".gg-begin")
    sees(page, "above", r"[Tt]ry cfg \d")
    page.evaluate(NOTICE)
    after = page.evaluate(VALUES)
    assert after[0] != judged[0]
    user.click(".gg-apply-again")
    sees(page, "fine")
    changed(page, "")
    assert user.clicks == 2
    assert page.evaluate(VALUES)[:2] == [judged[0], "fixed"]
    assert page.evaluate(VALUES)[2] < OWN
    page.locator(TOAST).filter(has_text=f"Seed {judged[0]}").first.wait_for()
    page.evaluate(UNDO)
    page.wait_for_function(f"after => JSON.stringify(({VALUES})()) === JSON.stringify(after)", arg=after)


def test_a_result_from_the_cache_is_named_and_sampled_afresh_on_a_click_also_in_a_subgraph(page):
    graph = sampled(cfg=2.8)
    load(page, graph)
    page.evaluate(INTO_SUBGRAPH)
    switch(page)
    queue(page)
    load(page, graph)
    page.evaluate(INTO_SUBGRAPH)
    switch(page)
    queue(page)
    says(page, "took the result from its cache. Nothing was sampled")
    page.locator(".gg-tab .gg-fresh").click()
    offers(page, [r"^Mine \(\d+:4\) . \d\d:\d\d$"])


def test_the_worst_of_several_samplers_is_shown_and_the_others_in_a_row_each(page):
    load(page, measured(stages=3, cfg=2.8))
    page.evaluate(SET, ["4", {"cfg": OWN}])
    page.evaluate(f"() => {{ {NODES}.find(node => node.title === 'Stage 3').mode = 4; }}")
    page.locator(".gg-tab .gg-begin").click()
    sees(page, "above", "cfg 13")
    rows = page.locator(".gg-tab .gg-one")
    page.locator(".gg-tab .gg-one[data-colour=fine]").wait_for()
    found = rows.evaluate_all("rows => rows.map(row => [row.dataset.colour ?? '', row.textContent])")
    assert [colour for colour, _ in found] == ["above", "fine", ""]
    assert "Stage 1 (4)" in found[0][1]
    assert "Stage 3 (6)bypassed or muted" in found[2][1]
    rows.nth(1).click()
    sees(page, "fine", "cfg 2.8")


def test_a_job_that_waits_is_said_to_wait_and_while_it_goes_it_says_how_guidance_acts(page):
    load(page, sampled(cfg=OWN))
    switch(page)
    queue(page)
    sees(page, "above")
    page.evaluate(SET, ["4", {"steps": 2000}])
    assert page.request.post(f"{page.live.address}/prompt", data={"prompt": sampled(steps=3000)}).ok
    page.evaluate(QUEUE)
    says(page, "^In the queue: 1 job runs first")
    page.request.post(f"{page.live.address}/interrupt")
    sees(page, "unclear", r"^\W*Step \d+ of 2000: guidance acts like cfg 13 so far")
    assert page.locator(".gg-tab .gg-pair canvas").count() == 2, "the picture of the run before"
    page.request.post(f"{page.live.address}/interrupt")
    offers(page, [r"^Mine \(4\) . stopped at step \d+"])


def test_in_a_subgraph_the_change_is_named_shown_and_undone_in_one_step(page):
    load(page, measured(cfg=OWN))
    page.evaluate(INTO_SUBGRAPH)
    advised = walk(page, r"Mine \(\d+:4\), inside New Subgraph")
    page.evaluate(SET, ["4", {"cfg": OWN}])
    queue(page)
    sees(page, "above")
    page.locator(".gg-tab .gg-apply").click()
    assert cfg_of(page) == advised
    page.locator(TOAST).filter(has_text="inside New Subgraph: 13").first.wait_for()
    page.locator(".gg-tab .gg-showNode").click()
    page.wait_for_function("() => app.canvas.graph.nodes.map(node => node.type).join() === 'KSampler'")
    page.evaluate(PAINTED)
    page.wait_for_function("() => app.canvas.ds.scale <= 1")
    page.evaluate(f"() => app.canvas.setGraph({ROOT})")
    page.evaluate(UNDO)
    page.wait_for_function(f"() => ({WIDGET})(['4', 'cfg']).value === {OWN}")
    sees(page, "above", "cfg 13")


def test_at_cfg_1_it_says_that_guidance_was_off_and_offers_to_measure(page):
    load(page, sampled(cfg=1.0))
    switch(page)
    queue(page)
    sees(page, "off")
    assert page.locator(".gg-tab .gg-see").is_hidden()
    page.locator(".gg-tab .gg-measureModel").wait_for()


def test_a_cleared_workflow_forgets_its_runs(page):
    load(page, sampled(cfg=2.8))
    switch(page)
    queue(page)
    shows_run_of(page, 6)
    notice(page, MODE, 4)
    says(page, r"Nothing samples.*Mine \(4\).*An earlier run is shown")
    page.once("dialog", lambda dialog: dialog.accept())
    page.evaluate("() => app.extensionManager.command.execute('Comfy.ClearWorkflow')")
    says(page, "Switch recording on")
    assert page.evaluate(RUNS) == []
