"""From a workflow that only knows KSampler to a range of one's own and an applied cfg, in the real editor."""

import json

import pytest

from guidance_geometry.tests.queue import steering, tab_steering
from guidance_geometry.tests.queue.prompts import first_look, text_to_image
from guidance_geometry.tests.queue.steering import queue
from guidance_geometry.tests.queue.tab_steering import ROOT, TAB, close_below, load, open_below, turn_to

pytestmark = pytest.mark.browser

CARD = ".gg-tab .gg-card"
CFG = f"() => {ROOT}.nodes.find(node => node.type === 'KSampler').widgets.find(one => one.name === 'cfg').value"
WIDGETS = f"() => JSON.stringify({ROOT}.serialize().nodes.map(node => node.widgets_values))"
OPEN = tab_steering.OPEN.replace('values[values.indexOf("randomize")] = "fixed"', 'values[1] = "randomize"')
SHOWN = "count => [...document.querySelectorAll('.gg-tab .gg-card img')].filter(one => one.complete).length === count"
FILLED = """() => [...document.querySelectorAll('.gg-tab .gg-card')].map(card => {
  const [outer, inner] = [card, card.querySelector('.gg-shots')].map(one => one.getBoundingClientRect());
  return inner.width * inner.height / (outer.width * outer.height); })"""  # of a card, its picture
COLOURS = f"""() => {{ const canvas = document.querySelector('{TAB} .gg-figure canvas');
  const {{ data }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set(new Uint32Array(data.buffer));
  return found.size; }}"""


def says(page, words, place=".gg-tried"):
    page.wait_for_function(
        "([place, words]) => new RegExp(words).test(document.querySelector(`.gg-tab ${place}`)?.textContent)",
        arg=[place, words],
        timeout=60000,
    )


@pytest.fixture(scope="module")
def page(editor):
    close_below(editor)
    load(editor, text_to_image(), opening=OPEN)
    yield editor
    close_below(editor)
    steering.clean(editor)


def click(page, place):
    page.locator(f".gg-tab {place} >> visible=true").first.click(timeout=20000)


def test_somebody_who_only_knows_ksampler_finds_a_range_and_takes_it(page):
    open_below(page)
    click(page, ".gg-switch input")
    queue(page)
    before = page.evaluate(WIDGETS)
    shown = "() => JSON.stringify(app.nodeOutputs['9'])"
    own = page.evaluate(shown)
    click(page, ".gg-find")
    says(page, "Click the pictures that you like")
    cards = page.locator(f"{CARD} .gg-name")
    assert cards.all_inner_texts() == ["cfg 4", "cfg 8", "cfg 16"], "around the run's own"
    page.wait_for_function(SHOWN, arg=3)
    filled = page.evaluate(FILLED)
    assert min(filled) > 0.6, filled
    click(page, f"{CARD.removeprefix('.gg-tab ')}:nth-child(1)")
    page.wait_for_function(SHOWN, arg=5)
    beyond = ["cfg 1", "cfg 2", "\u2713 cfg 4", "cfg 8", "cfg 16"]
    assert cards.all_inner_texts() == beyond, "it was the lowest"
    assert page.evaluate(WIDGETS) == before, "the graph and its seed stay as they were"
    assert page.evaluate(shown) == own, "so do its pictures"
    says(page, "You chose cfg 4: your range is 2.83 to 5.66")
    says(page, "cfg 8 is above your range", ".gg-headline")
    click(page, ".gg-take")
    assert page.evaluate(CFG) == 4
    assert page.locator(".gg-runs option").count() == 1, "the tries are no runs of the workflow"


def test_later_runs_are_compared_with_the_choice(page):
    history = f"{page.live.address}/history"
    liked = list(page.request.get(history).json().values())[-1]["prompt"][2]["4"]["inputs"]["seed"]
    page.locator(".gg-tab .gg-takeAgain").click()
    says(page, "cfg 4 is inside your range", ".gg-headline")
    ran = list(page.request.get(history).json().values())[-1]["prompt"][2]["4"]["inputs"]
    assert (ran["seed"], ran["cfg"]) == (liked, 4)
    page.locator(".gg-tab .gg-close").click()
    says(page, "^My range: 2.83 to 5.66$", ".gg-find")


def test_what_if_shows_the_prediction_at_that_scale(page):
    turn_to(page, "geometry")
    with page.expect_response(lambda answer: ".i16" in answer.url):
        page.locator(f"{TAB} [data-view=whatif]").click()
    shown = []
    for gamma in ("1", "16", "1"):
        page.locator(f"{TAB} .gg-what input").fill(gamma)
        page.wait_for_function(f"() => ({COLOURS})() > 50")  # its picture is read by then
        shown.append(steering.steady(page, COLOURS))
    assert shown[0] > 50, "a picture of colours that no figure has"
    assert abs(shown[0] - shown[2]) < abs(shown[0] - shown[1]), "as before, to an edge of a line"
    page.locator(f"{TAB} [data-view=plane]").click()
    turn_to(page, "advice")


def test_a_judge_that_is_wired_clicks_instead_and_its_name_stands_on_the_range(page):
    graph = {node: first_look()[node] for node in ("1", "2", "3", "4", "5")}
    graph["2"]["inputs"]["label"] = "robot"
    graph["3"]["inputs"]["batch_size"] = 2
    graph["4"]["inputs"] |= {"steps": 4, "cfg": 2.0}
    graph["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}}
    graph["20"] = {"class_type": "GGLoadClassifier", "inputs": {"classifier_name": "pocket-judge-1"}}
    graph["21"] = {
        "class_type": "GGLabelEnergy",
        "inputs": {"classifier": ["20", 0], "label": "robot", "kind": "label"},
    }
    graph["22"] = {"class_type": "GGReport", "inputs": {"trace": ["4", 2], "energy": ["21", 0]}}
    load(page, graph, opening=OPEN)
    page.locator(".gg-tab .gg-switch input").click()
    queue(page)
    assert page.locator(".gg-tab .gg-ask >> visible=true").count() == 0
    page.locator(".gg-tab .gg-find").click()
    ask = page.locator(".gg-tab .gg-ask >> visible=true")
    ask.wait_for(timeout=60000)
    assert ask.inner_text() == "Let pocket-judge-1 choose"
    ask.click()
    says(page, "pocket-judge-1.* chose ")
    page.wait_for_function(SHOWN, arg=10)  # five scales, two samples each
    says(page, "that .*pocket-judge-1.* chose", ".gg-headline")
    with page.expect_download() as found:
        page.locator(".gg-tab .gg-save").click()
    picks = json.loads(found.value.path().read_text())["picks"]
    assert {one["by"] for one in picks} == {"pocket-judge-1"}
    assert any(one["good"] for one in picks)
    page.locator(".gg-tab .gg-forget").click()
    page.locator(".gg-tab .gg-close").click()


def distilled():
    """The same for a distilled model at cfg 1, which is told a guidance by a node of its own."""
    graph = text_to_image()
    graph["4"]["inputs"] |= {"cfg": 1.0, "scheduler": "simple", "positive": ["6", 0]}
    graph["1"]["inputs"] |= {"ckpt_name": "a-distilled-model-of-no-template.safetensors", "family": "Flux"}
    graph["5"]["class_type"] = "EmptySD3LatentImage"
    graph["6"] = {"class_type": "FluxGuidance", "inputs": {"conditioning": ["2", 0], "guidance": 3.5}}
    return graph


TOLD = f"() => {ROOT}.nodes.find(node => node.type === 'FluxGuidance').widgets[0].value"


def test_of_a_distilled_model_its_guidance_is_tried_chosen_and_written(page):
    load(page, distilled(), opening=OPEN)
    page.locator(".gg-tab .gg-switch input").click()
    queue(page)
    says(page, "Cannot tell whether guidance 3.5", ".gg-headline")
    page.locator(".gg-tab .gg-find").click()
    cards = page.locator(f"{CARD} .gg-name")
    page.wait_for_function(SHOWN, arg=3)
    assert cards.all_inner_texts() == ["guidance 1.8", "guidance 3.5", "guidance 7"]
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(2)").click()
    says(page, "You chose guidance 3.5")
    page.wait_for_function(SHOWN, arg=5)
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(2)").click()
    page.locator(f"{CARD.removeprefix('.gg-tab ')}:nth-child(3)").click()
    says(page, "guidance 3.5 .* is above your range", ".gg-headline")
    page.locator(".gg-tab .gg-take").click()
    assert page.evaluate(TOLD) == 2.5
    assert page.evaluate(CFG) == 1
    which = page.locator(".gg-tab .gg-knob")
    assert which.locator("option").all_inner_texts() == ["guidance (FluxGuidance)", "cfg"]
    page.locator(".gg-tab .gg-forget").click()
    says(page, "Cannot tell whether guidance 3.5", ".gg-headline")
    page.locator(".gg-tab .gg-close").click()
