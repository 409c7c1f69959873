"""What a user walks through, from a graph of one's own to a green verdict; with a count of clicks and seconds (-s)."""

import sys
import time

import pytest

from guidance_geometry.dev.browser import READY, page_in
from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.prompts import asked
from guidance_geometry.tests.queue.steering import PAINTED, QUEUE, queue, unmask
from guidance_geometry.tests.queue.tab_steering import (
    BOTTOM,
    FLAG,
    ROOT,
    RUNS,
    TAB,
    TOGGLE,
    close_below,
    load,
    offers,
    open_below,
    sampled,
    says,
    shows_run_of,
    switch,
    workflow_id,
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
COMMAND = "id => app.extensionManager.command.execute(id)"
UNDO = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()"
SUMMED = """() => ['.gg-headline', '.gg-reasons', '.gg-evidence', '.gg-note', '.gg-words']
  .map(part => document.querySelector(`.gg-tab ${part}`)?.textContent ?? '').join(' ')"""
PROMPTLY = 3000  # milliseconds in which the tab says what has happened
OWN = 13.0  # a cfg far above every range


class Walker:
    """A user: what is clicked counts, and the seconds until something is to be seen."""

    def __init__(self, page):
        self.page, self.clicks, self.began = page, 0, time.monotonic()

    def click(self, place):
        self.page.locator(f".gg-tab {place} >> visible=true").first.click()
        self.clicks += 1

    def run(self):
        """The editor's own button."""
        queue(self.page)
        self.clicks += 1

    def tells(self, name):
        sys.stdout.write(f"{name}: {self.clicks} clicks, {time.monotonic() - self.began:.1f} s\n")


CONTROL = "control_after_generate"
VALUES = f"""() => ["seed", "{CONTROL}", "cfg"].map(name => ({WIDGET})(["4", name]).value)"""
LINKED = f"""kind => {{ const graph = {ROOT}, samplers = {NODES}.filter(node => node.type === "KSampler");
  const add = type => {{ const node = LiteGraph.createNode(type); graph.add(node); return node; }};
  const value = add(kind), [first, second] = samplers.map(node => node.inputs.findIndex(one => one.name === "cfg"));
  value.title = "Mine to set";
  const reroute = kind === "PrimitiveNode" ? value : add("Reroute");
  if (reroute !== value) value.connect(0, reroute, 0);
  reroute.connect(0, samplers[0], first);
  reroute.connect(0, samplers[1], second);
  value.widgets[0].value = {OWN};
  return value.id; }}"""
SET_BY = f"id => {ROOT}.nodes.find(node => node.id === id).widgets[0].value"


def cfg_of(page, node="4"):
    return page.evaluate(f"given => ({WIDGET})(given).value", [node, "cfg"])


def sees(page, colour, words=""):
    """Wait for a verdict of a colour."""
    page.wait_for_function(
        f"""([colour, words]) => {{ const verdict = document.querySelector('{TAB} .gg-verdict');
          return !verdict.hidden && verdict.dataset.colour === colour && verdict.dataset.before === undefined
            && new RegExp(words).test(verdict.textContent); }}""",
        arg=[colour, words],
        timeout=20000,
    )


def changed(page, words):
    """Wait for the line about a change since the run that is shown; no words: until there is none."""
    page.wait_for_function(
        """words => { const line = document.querySelector('.gg-tab .gg-changed-words').textContent;
          return words ? new RegExp(words).test(line) : !line; }""",
        arg=words,
        timeout=8000,
    )


def tried(page, words, timeout=20000):
    page.wait_for_function(
        "words => new RegExp(words).test(document.querySelector('.gg-tab .gg-tried').textContent)",
        arg=words,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def page(editor):
    """The editor with the tab open below; its console must be clean in the end."""
    load(editor, sampled())
    open_below(editor)
    editor.on("dialog", lambda dialog: dialog.accept())
    yield editor
    close_below(editor)
    steering.clean(editor)


def walk(page, node, colour="above", own=OWN, where=r"Mine|Stage"):
    """From the editor to a green verdict: record and run, read, apply, run again."""
    user = Walker(page)
    user.click(".gg-begin")
    sees(page, colour, r"[Uu]se cfg \d")
    user.tells("to the advice")
    user.click(".gg-apply")
    advised = cfg_of(page, node)
    assert 1 < advised < OWN
    changed(page, rf"cfg {own:g} \u2192 {advised:g} in ({where})")
    assert page.locator(f"{TAB} .gg-verdict").get_attribute("data-before") == ""
    user.tells("to the change")
    user.run()
    sees(page, "fine")
    changed(page, "")
    user.tells("to the green verdict")
    assert user.clicks == 3
    return advised


def test_from_ones_own_graph_to_a_green_verdict_and_back(page):
    load(page, sampled(cfg=OWN))
    advised = walk(page, "4")
    page.evaluate(SET, ["4", {"cfg": OWN}])
    page.evaluate(NOTICE)
    changed(page, rf"cfg {advised:g} \u2192 13 in Mine \(4\)")
    page.locator(".gg-tab .gg-back").click()
    assert cfg_of(page) == advised
    changed(page, "")
    page.evaluate(UNDO)  # of what the button wrote: one step
    page.wait_for_function(f"() => ({WIDGET})(['4', 'cfg']).value === {OWN}")
    changed(page, rf"cfg {advised:g} \u2192 13")


def test_the_seed_that_was_judged_runs_next_and_one_undo_takes_all_back(page):
    load(page, sampled(cfg=OWN))
    page.evaluate(SET, ["4", {CONTROL: "randomize"}])
    judged, user = page.evaluate(VALUES), Walker(page)
    user.click(".gg-begin")
    sees(page, "above", r"[Uu]se cfg \d")
    page.evaluate(NOTICE)
    after = page.evaluate(VALUES)
    assert after[0] != judged[0]
    user.click(".gg-apply-again")
    sees(page, "fine")
    changed(page, "")
    user.tells("to the green verdict of the same seed")
    assert user.clicks == 2
    assert page.evaluate(VALUES)[:2] == [judged[0], "fixed"]
    assert page.evaluate(VALUES)[2] < OWN
    page.locator(".p-toast-message, [data-testid=toast]").filter(has_text=f"Seed {judged[0]}").first.wait_for()
    page.evaluate(UNDO)
    page.wait_for_function(f"after => JSON.stringify(({VALUES})()) === JSON.stringify(after)", arg=after)


@pytest.mark.parametrize("kind", ["PrimitiveNode", "PrimitiveFloat"])
def test_a_linked_value_is_seen_and_used_where_it_is_set_and_who_shares_it_is_named(page, kind):
    load(page, sampled(stages=2))
    source = page.evaluate(LINKED, kind)
    page.evaluate(NOTICE)
    page.locator(".gg-tab .gg-begin").click()
    page.locator(".gg-tab .gg-one[data-colour=above]").nth(1).wait_for()
    sees(page, "above", r"cfg 13 .*[Uu]se cfg \d")
    page.locator(".gg-tab .gg-see").click()
    page.wait_for_function("() => document.querySelectorAll('.gg-tab .gg-pair .gg-shots > *').length === 4")
    shared = page.locator(".gg-tab .gg-apply").get_attribute("title")
    assert "Stage 1 (4)" in shared
    assert "Stage 2 (5)" in shared
    page.locator(".gg-tab .gg-apply").click()
    assert page.evaluate(SET_BY, source) < OWN
    changed(page, r"cfg 13 \u2192 \d.* in Mine to set")
    queue(page)
    sees(page, "fine")


def test_a_value_that_was_looked_at_first_is_recorded_when_it_is_used(page):
    """With a fixed seed: what was sampled for the picture beside is the very job that comes next."""
    load(page, sampled(cfg=OWN))
    user = Walker(page)
    user.click(".gg-begin")
    sees(page, "above", r"[Uu]se cfg \d")
    user.click(".gg-see")
    page.wait_for_function("() => document.querySelectorAll('.gg-tab .gg-pair .gg-shots > *').length === 2")
    user.click(".gg-apply")
    user.run()
    sees(page, "fine")
    changed(page, "")


def test_a_result_from_the_cache_is_named_and_sampled_afresh_on_a_click(page):
    load(page, sampled(cfg=2.8))
    switch(page)
    queue(page)
    offers(page, [r"^Mine \(4\) . \d\d:\d\d$"])
    queue(page)
    says(page, r"took this result from its cache; its run of \d\d:\d\d is shown")
    page.locator(".gg-tab .gg-fresh").click()
    offers(page, [r"^Mine \(4\) . \d\d:\d\d$"])
    page.wait_for_function("() => !document.querySelector('.gg-said').textContent")


def test_in_a_subgraph_what_came_from_the_cache_and_what_is_muted_are_told(page):
    graph = sampled(cfg=2.8)
    for _ in range(2):  # of the second workflow nothing is sampled
        load(page, graph)
        page.evaluate(INTO_SUBGRAPH)
        switch(page)
        queue(page)
    says(page, "took the result from its cache. Nothing was sampled")
    page.evaluate(MODE, 2)
    page.evaluate(NOTICE)
    says(page, r"Nothing samples.*Mine \(\d+:4\)")
    page.evaluate(MODE, 0)
    page.evaluate(NOTICE)
    page.locator(".gg-tab .gg-fresh").click()
    offers(page, [r"^Mine \(\d+:4\) . \d\d:\d\d$"])


def test_the_worst_of_several_samplers_is_shown_and_the_others_in_a_row_each(page):
    load(page, sampled(stages=3, cfg=2.8))
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


def test_a_job_that_waits_behind_another_is_said_to_wait(page):
    load(page, sampled(cfg=2.8))
    switch(page)
    assert page.request.post(f"{page.live.address}/prompt", data={"prompt": sampled(steps=3000)}).ok
    page.evaluate(QUEUE)
    says(page, "^In the queue: 1 job runs first")
    page.request.post(f"{page.live.address}/interrupt")
    sees(page, "fine")


def test_while_a_run_goes_there_is_advice(page):
    load(page, sampled(cfg=OWN))
    switch(page)
    queue(page)
    sees(page, "above")
    page.evaluate(SET, ["4", {"steps": 2000}])
    page.evaluate(QUEUE)
    sees(page, "unclear", r"^\W*Step \d+ of 2000: guidance acts like cfg 13 so far")
    assert "good range of the run before was" in page.evaluate(SUMMED)
    assert page.locator(".gg-tab .gg-pair canvas").count() == 2, "the picture of the run before"
    page.request.post(f"{page.live.address}/interrupt")
    offers(page, [r"^Mine \(4\) . stopped at step \d+"])


def test_in_a_subgraph_the_change_is_named_shown_and_undone_in_one_step(page):
    load(page, sampled(cfg=OWN))
    page.evaluate(INTO_SUBGRAPH)
    advised = walk(page, "4", where=r"Mine \(\d+:4\), inside New Subgraph")
    page.evaluate(SET, ["4", {"cfg": OWN}])
    queue(page)
    sees(page, "above")
    page.locator(".gg-tab .gg-apply").click()
    assert cfg_of(page) == advised
    toast = page.locator(".p-toast-message, [data-testid=toast]").filter(has_text="inside New Subgraph: 13")
    toast.first.wait_for()
    page.locator(".gg-tab .gg-showNode").click()
    page.wait_for_function("() => app.canvas.graph.nodes.map(node => node.type).join() === 'KSampler'")
    page.evaluate(PAINTED)
    page.wait_for_function("() => app.canvas.ds.scale <= 1")
    page.evaluate(f"() => app.canvas.setGraph({ROOT})")
    page.evaluate(UNDO)
    page.wait_for_function(f"() => ({WIDGET})(['4', 'cfg']).value === {OWN}")
    changed(page, "")
    sees(page, "above", "cfg 13")


def test_in_a_second_stage(page):
    load(page, sampled(stages=2, cfg=OWN))
    page.evaluate(SET, ["4", {"cfg": 2.8}])
    walk(page, "5", where=r"Stage 2 \(5\)")


def test_at_cfg_1_there_is_advice_and_no_word_about_a_push(page):
    load(page, sampled(cfg=1.0))
    user = Walker(page)
    user.click(".gg-switch input")
    user.run()
    sees(page, "off")
    said = page.evaluate(SUMMED)
    assert "holds 80 %" not in said, said
    assert "Guidance acted in" not in said, said
    user.click(".gg-apply")
    changed(page, r"cfg 1 \u2192 \d")
    user.run()
    sees(page, "fine")
    user.tells("at cfg 1")


def test_what_cannot_leave_a_run_says_why_and_what_to_do(page):
    graph = sampled(cfg=2.8)
    load(page, graph)
    switch(page)
    queue(page)
    shows_run_of(page, 6)
    for mode in (2, 4):
        page.evaluate(MODE, mode)
        page.evaluate(NOTICE)
        says(page, r"Nothing samples.*Mine \(4\).*An earlier run is shown")
    page.evaluate(MODE, 0)
    load(page, {name: node for name, node in sampled().items() if node["class_type"] != "SaveLatent"})
    switch(page)
    says(page, "Nothing here is saved or shown")
    load(page, {"1": graph["1"]})
    switch(page)
    says(page, "no node here has a MODEL input")


def test_a_cleared_workflow_has_neither_the_switch_nor_the_run_of_before(page):
    load(page, sampled())
    switch(page)
    queue(page)
    shows_run_of(page, 6)
    page.evaluate(COMMAND, "Comfy.ClearWorkflow")
    says(page, "Switch recording on")
    assert page.evaluate(RUNS) == []
    assert not page.locator(".gg-tab .gg-switch input").is_checked()
    switch(page)
    says(page, "the workflow is empty")
    load(page, sampled())
    says(page, "Switch recording on")
    assert not page.evaluate(FLAG)


def test_a_user_whose_result_another_one_made_gets_a_run_of_his_own(shared, browser):
    """One workflow with one key, as of a file that both opened."""
    graph, name = sampled(), workflow_id()
    settings = {"Comfy.TutorialCompleted": True, "Comfy.Locale": "en"}
    for user in ("anna", "ben"):
        known = asked(shared, "users", username=user)
        asked(shared, "settings", known, **settings)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(12000)
        page.add_init_script(f"localStorage['Comfy.userId'] = {known!r}; localStorage['Comfy.userName'] = {user!r}")
        page.goto(shared.address)
        page.wait_for_function(READY)
        load(page, graph, name)
        page.evaluate(f"() => {{ {ROOT}.extra.guidance_geometry = {{record: true, key: 'shared'}}; }}")
        page.evaluate(TOGGLE, BOTTOM)
        page.wait_for_selector(".gg-tab .gg-bar")
        page.wait_for_timeout(500)  # for an answer that should not come
        assert page.evaluate(RUNS) == []
        queue(page)
        if user == "ben":
            says(page, "took the result from its cache. Nothing was sampled")
            page.locator(".gg-tab .gg-fresh").click()
        shows_run_of(page, 6)
        page.close()


def test_a_server_that_is_killed_is_missed_at_once_and_found_again(browser, mortal):
    with page_in(browser, mortal.live.address) as page:
        page.set_default_timeout(12000)
        load(page, sampled(steps=3000, cfg=OWN))
        page.evaluate(TOGGLE, BOTTOM)
        page.wait_for_selector(".gg-tab .gg-bar")
        unmask(page)
        switch(page)
        page.evaluate(QUEUE)
        says(page, "^Recording")
        page.wait_for_function("() => window.heard.length > 1")
        mortal.live.process.kill()
        away = "() => /does not answer/.test(document.querySelector('.gg-said').textContent)"
        page.wait_for_function(away, timeout=PROMPTLY)
        offers(page, [r"^Mine \(4\) . stopped at step \d+$"])
        assert "stopped answering at step" in page.evaluate(SUMMED)
        back = mortal.start()
        says(page, "The server no longer has the runs of this workflow")
        assert page.evaluate(RUNS) == []
        page.evaluate(SET, ["4", {"steps": 6}])
        queue(page)
        sees(page, "above", "cfg 13")
        waits_and_recovers(page, back)


def waits_and_recovers(page, live):
    """Half the scale behind a job of somebody else's: cleared from the queue, tried again, and there."""
    assert page.request.post(f"{live.address}/prompt", data={"prompt": sampled(steps=3000)}).ok
    page.locator(".gg-tab .gg-half").click()
    tried(page, r"1 of 2 pictures are ready.* 1 job runs first")
    page.request.post(f"{live.address}/queue", data={"clear": True})
    tried(page, "1 of 2 pictures did not come: ComfyUI no longer has the job")
    page.locator(".gg-tab .gg-again").click()
    tried(page, "1 job runs first")
    page.request.post(f"{live.address}/interrupt")
    page.wait_for_selector(".gg-tab .gg-card[data-state=there]:nth-child(2)")
