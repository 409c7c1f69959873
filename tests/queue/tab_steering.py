"""Driving the Guidance tab: a graph of the host's own samplers, its switch, and which runs it offers."""

from typing import Any

from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.prompts import small
from guidance_geometry.tests.queue.steering import numbers

ROOT = "(app.rootGraph ?? app.graph)"
OPEN = steering.OPEN.replace('"GGGuidedSampler"', '"KSampler"').replace(
    '"inspector.json"', "`sampled-${Date.now()}.json`"
)
SAMPLER = f"{ROOT}.nodes.find(node => node.type === 'KSampler')"
TOGGLE = "id => app.extensionManager.command.execute(`Workspace.Toggle${id}`)"
BOTTOM, SIDE = "BottomPanelTab.guidancegeometry.tab", "SidebarTab.guidancegeometry.sidebar"
TAB = ".gg-tab .gg-panel"
RUNS = "() => [...document.querySelectorAll('.gg-runs option')].map(option => option.textContent)"
UNDO = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()"
MEASURED_STEPS = 20
FLAG = f"() => {ROOT}.extra?.guidance_geometry ?? null"


def sampled(stages=1, **given):
    """A graph with the host's own samplers, one after the other."""
    values: dict[str, Any] = {"seed": 7000 + 100 * next(numbers), "steps": 6, **given}
    graph = small(**values)
    last = graph.pop("9")
    recorded = ("capture", "capture_mb", "measure")  # what KSampler has not
    inputs = {name: value for name, value in graph.pop("4")["inputs"].items() if name not in recorded}
    for stage in range(stages):
        latent = {"latent_image": [str(3 + stage), 0]} if stage else {}
        title = {"title": f"Stage {stage + 1}" if stages > 1 else "Mine"}
        graph[str(4 + stage)] = {
            "class_type": "KSampler",
            "inputs": {**inputs, "denoise": 1.0, **latent},
            "_meta": title,
        }
    last["inputs"]["samples"] = [str(3 + stages), 0]
    return graph | {str(max(9, 4 + stages)): last}


def measured(**given):
    """The same as the model was measured whose curve comes with the pack."""
    return sampled(**({"denoiser": "pocket-flow-1", "scheduler": "simple", "steps": MEASURED_STEPS} | given))


def workflow_id():
    return f"5d0c1f0e-5a55-4f4e-9d5c-{next(numbers):012}"


def load(page, graph, name=None, opening=OPEN):
    """Open a graph as a workflow of its own."""
    page.evaluate(steering.SETTLE)
    page.evaluate(opening, [graph, name or workflow_id()])
    page.wait_for_function(f"count => {ROOT}.nodes.length === count", arg=len(graph))
    steering.unmask(page)


def switch(page, on=True):
    """Bring the switch where it is wanted, as a user does."""
    box = page.locator(".gg-tab .gg-switch input").first
    if box.is_checked() != on:
        box.click()
    page.wait_for_function(f"on => ({FLAG})()?.record === on", arg=on)


def begin(page, graph=None, name=None):
    """A workflow of its own with recording on."""
    load(page, graph or sampled(), name)
    page.wait_for_function("() => !document.querySelector('.gg-switch input').checked")
    switch(page)


def offers(page, pattern, timeout=8000):
    """Wait until the chooser is a list of runs, each like a pattern."""
    page.wait_for_function(
        f"patterns => {{ const found = ({RUNS})(); return found.length === patterns.length"
        " && found.every((words, k) => new RegExp(patterns[k]).test(words)); }",
        arg=pattern,
        timeout=timeout,
    )


def shows_run_of(page, steps, timeout=8000):
    """Wait until the panel of the tab has a run of so many steps."""
    page.wait_for_function(
        f"steps => document.querySelector('{TAB} .gg-steps output')?.textContent.split('/')[1] === String(steps)",
        arg=steps,
        timeout=timeout,
    )


def turn_to(page, name):
    """Turn to a page of the tab: advice, or geometry."""
    page.locator(f"{TAB} .gg-pages [data-page={name}] >> visible=true").first.click()
    page.wait_for_function(f"name => document.querySelector('{TAB}').dataset.page === name", arg=name)
    steering.steady(page, f"() => document.querySelector('{TAB}').clientHeight")  # the panel is raised for some pages


def open_below(page):
    """The tab in the bottom panel, however the test before left it."""
    if not page.locator(f"{TAB} .gg-bar >> visible=true").count():
        page.evaluate(TOGGLE, BOTTOM)
    page.wait_for_selector(f"{TAB} .gg-bar")


def close_below(page):
    """No tab in the bottom panel; where it is opened again, it opens on its first page."""
    if page.locator(f"{TAB} .gg-bar >> visible=true").count():
        page.locator(f"{TAB} .gg-pages [data-page=advice]").first.dispatch_event("click")  # whatever lies over it
        page.evaluate(TOGGLE, BOTTOM)
    page.wait_for_selector(".gg-bar", state="detached")


def says(page, words):
    page.wait_for_function(
        "words => new RegExp(words).test(document.querySelector('.gg-said').textContent)", arg=words, timeout=8000
    )


def says_at(page, words, place=".gg-tried", timeout=60000):
    """Wait for words, a regular expression, at a place of the tab."""
    page.wait_for_function(
        "([place, words]) => new RegExp(words).test(document.querySelector(`.gg-tab ${place}`)?.textContent)",
        arg=[place, words],
        timeout=timeout,
    )


def click(page, place):
    """Click what is visible at a place of the tab."""
    page.locator(f".gg-tab {place} >> visible=true").first.click(timeout=20000)


def sees(page, colour, words=""):
    """Wait for a verdict of a colour on what the graph holds now."""
    page.wait_for_function(
        f"""([colour, words]) => {{ const verdict = document.querySelector('{TAB} .gg-verdict');
          return !verdict.hidden && verdict.dataset.colour === colour && verdict.dataset.before === undefined
            && new RegExp(words).test(verdict.textContent); }}""",
        arg=[colour, words],
        timeout=20000,
    )


def set_widget(page, **values):
    """Other values of the first KSampler."""
    page.evaluate(
        f"values => {{ for (const w of {SAMPLER}.widgets) if (w.name in values) w.value = values[w.name]; }}", values
    )
