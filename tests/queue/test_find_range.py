"""From a workflow that only knows KSampler to a range of one's own and an applied cfg, in the real editor."""

import pytest

from guidance_geometry.tests.queue import steering, tab_steering
from guidance_geometry.tests.queue.prompts import distilled, text_to_image
from guidance_geometry.tests.queue.steering import queue
from guidance_geometry.tests.queue.tab_steering import ROOT, click, close_below, load, open_below, says_at

pytestmark = pytest.mark.browser

CARD = ".gg-tab .gg-card"
CFG = f"() => {ROOT}.nodes.find(node => node.type === 'KSampler').widgets.find(one => one.name === 'cfg').value"
WIDGETS = f"() => JSON.stringify({ROOT}.serialize().nodes.map(node => node.widgets_values))"
OPEN = tab_steering.OPEN.replace('values[values.indexOf("randomize")] = "fixed"', 'values[1] = "randomize"')
SHOWN = "count => [...document.querySelectorAll('.gg-tab .gg-card img')].filter(one => one.complete).length === count"


@pytest.fixture(scope="module")
def page(editor):
    close_below(editor)
    load(editor, text_to_image(), opening=OPEN)
    yield editor
    close_below(editor)
    steering.clean(editor)


def test_somebody_who_only_knows_ksampler_finds_a_range_and_takes_it(page):
    open_below(page)
    click(page, ".gg-switch input")
    queue(page)
    before = page.evaluate(WIDGETS)
    click(page, ".gg-find")
    says_at(page, "Click the pictures that you like")
    cards = page.locator(f"{CARD} .gg-name")
    assert cards.all_inner_texts() == ["cfg 4", "cfg 8", "cfg 16"], "around the run's own"
    page.wait_for_function(SHOWN, arg=3)
    click(page, f"{CARD.removeprefix('.gg-tab ')}:nth-child(1)")
    page.wait_for_function(SHOWN, arg=5)
    beyond = ["cfg 1", "cfg 2", "\u2713 cfg 4", "cfg 8", "cfg 16"]
    assert cards.all_inner_texts() == beyond, "it was the lowest"
    assert page.evaluate(WIDGETS) == before, "the graph and its seed stay as they were"
    says_at(page, "You chose cfg 4: your range is 2.83 to 5.66")
    says_at(page, "cfg 8 is above your range", ".gg-headline")
    click(page, ".gg-take")
    assert page.evaluate(CFG) == 4
    assert page.locator(".gg-runs option").count() == 1, "the tries are no runs of the workflow"


def test_later_runs_are_compared_with_the_choice(page):
    history = f"{page.live.address}/history"
    liked = list(page.request.get(history).json().values())[-1]["prompt"][2]["4"]["inputs"]["seed"]
    page.locator(".gg-tab .gg-takeAgain").click()
    says_at(page, "cfg 4 is inside your range", ".gg-headline")
    ran = list(page.request.get(history).json().values())[-1]["prompt"][2]["4"]["inputs"]
    assert (ran["seed"], ran["cfg"]) == (liked, 4)
    page.locator(".gg-tab .gg-close").click()
    says_at(page, "^My range: 2.83 to 5.66$", ".gg-find")


TOLD = f"() => {ROOT}.nodes.find(node => node.type === 'FluxGuidance').widgets[0].value"


def test_of_a_distilled_model_its_guidance_is_tried_chosen_and_written(page):
    load(page, distilled(), opening=OPEN)
    page.locator(".gg-tab .gg-switch input").click()
    queue(page)
    says_at(page, "guidance 3.5 .*has not been measured", ".gg-headline")
    page.locator(".gg-tab .gg-find").click()
    cards = page.locator(f"{CARD} .gg-name")
    page.wait_for_function(SHOWN, arg=3)
    assert cards.all_inner_texts() == ["guidance 1.8", "guidance 3.5", "guidance 7"]
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(2)").click()
    says_at(page, "You chose guidance 3.5")
    page.wait_for_function(SHOWN, arg=5)
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(2)").click()
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(3)").click()
    says_at(page, "guidance 3.5 .* is above your range", ".gg-headline")
    page.locator(".gg-tab .gg-take").click()
    assert (page.evaluate(TOLD), page.evaluate(CFG)) == (2.5, 1)
    page.locator(".gg-tab .gg-forget").click()
    page.locator(".gg-tab .gg-close").click()
