"""What guidance does to a model, in the real editor: half of a value beside it, then the whole curve, and a value."""

import base64
import io
import json
import re

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from guidance_geometry.tests.queue import steering, tab_steering
from guidance_geometry.tests.queue.prompts import ROOT
from guidance_geometry.tests.queue.steering import drop, queue
from guidance_geometry.tests.queue.tab_steering import (
    SAMPLER,
    TAB,
    click,
    close_below,
    load,
    open_below,
    sampled,
    says_at,
    sees,
    set_widget,
    switch,
)  # fmt: skip

pytestmark = pytest.mark.browser

INCLUDED = ROOT / "assets" / "denoisers" / "pocket-flow-1.measured.json"
KEY = json.loads(INCLUDED.read_text(encoding="utf-8"))["model"]["key"]
CFG = f"() => {SAMPLER}.widgets.find(one => one.name === 'cfg').value"
WIDGETS = f"() => JSON.stringify({tab_steering.ROOT}.serialize().nodes.map(node => node.widgets_values))"
ACTS = f"""() => [...document.querySelectorAll('{TAB} .gg-acts button')]
  .filter(one => one.checkVisibility()).map(one => one.textContent)"""
COLUMNS = """() => { const all = name => [...document.querySelectorAll(`.gg-tab ${name}`)];
  const middle = one => { const { left, width } = one.getBoundingClientRect(); return left + width / 2; };
  const [cards, texts] = [all('.gg-card'), all('.gg-curve-plot text')];
  const first = texts.findIndex(one => one.textContent === 'cfg');
  return cards.map((card, k) => Math.abs(middle(card) - middle(texts[first + 1 + k]))); }"""
SEEN = """() => { const panel = document.querySelector('.gg-tab .gg-panel').getBoundingClientRect();
  return [...document.querySelectorAll('.gg-tab :is(.gg-curve-plot, .gg-card, .gg-tries button, .gg-acts button)')]
    .filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect())
    .every(box => box.bottom <= panel.bottom + 1 && box.right <= panel.right + 1); }"""
RAISE = """height => { const panel = document.querySelector('.bottom-panel'), host = panel.querySelector('.gg-host');
  const [graph] = [...panel.parentElement.children].filter(one => one !== panel)
    .sort((one, other) => other.clientHeight - one.clientHeight);
  const own = panel.clientHeight + height - host.clientHeight, whole = panel.clientHeight + graph.clientHeight;
  panel.style.flex = `${own / whole * 100} 1 0px`; graph.style.flex = `${100 - own / whole * 100} 1 0px`; }"""


GRAPH = {
    **sampled(denoiser="pocket-flow-1", cfg=8.0, steps=12, scheduler="simple"),
    "10": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 1]}},
    "11": {"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}},
}


def with_lora(server, strength):
    """The same graph with a LoRA that changes one of the weights."""
    folder = server.log.parent / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    change = 0.02 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    save_file({"diffusion_model.evaluate.decode.attention.out.diff": change}, folder / "detail.safetensors")
    given = {"model": ["1", 0], "lora_name": "detail.safetensors", "strength_model": strength}
    sampler = {**GRAPH["4"], "inputs": {**GRAPH["4"]["inputs"], "model": ["12", 0]}}
    return {**GRAPH, "4": sampler, "12": {"class_type": "LoraLoaderModelOnly", "inputs": given}}


BY_STRENGTH = r"Their pictures show the prompt at strength [\d.]+ \(.* to .*\); so do those at [\d.]+"
BY_MIDDLE = r"These pictures show the prompt about equally, so the middle is named: [\d.]+"  # as far as a few tell


@pytest.fixture(scope="module")
def page(editor):
    close_below(editor)
    editor.set_viewport_size({"width": 1440, "height": 900})
    load(editor, GRAPH)
    open_below(editor)
    yield editor
    close_below(editor)
    for kept in ("picks", "measured"):  # other tests have the same model
        address = f"{editor.live.address}/guidance_geometry/{kept}?key={KEY}"
        assert editor.request.delete(address, headers={"Content-Type": "application/json"}).ok
    steering.clean(editor)


def test_a_run_of_a_model_that_was_never_measured_is_seen_beside_half_of_its_cfg(page):
    switch(page)
    queue(page)
    sees(page, "unclear", "cfg 8 .*has not been measured")
    before = page.evaluate(WIDGETS)
    page.locator(f"{TAB} .gg-measureModel").wait_for()
    assert page.evaluate(ACTS)[0] == "Measure my model", "there is nothing to use yet"
    click(page, ".gg-see")
    says_at(page, r"8.* as strange as .*4 \(.* to .*\)\. .*prompt", ".gg-strange")
    rows = page.locator(f"{TAB} .gg-seed")
    assert rows.count() == 4, "two seeds of a batch of two"
    first = page.locator(f"{TAB} .gg-seed[aria-pressed=true]").get_attribute("data-row")
    rows.nth(2).hover()
    page.locator(f"{TAB} .gg-seed[data-row='2'][aria-pressed=true]").wait_for()
    assert first == "0"
    assert page.evaluate(WIDGETS) == before, "the graph stays as it was"
    assert page.evaluate(ACTS)[:4] == ["Use cfg 4 and run this seed", "Keep cfg 8", "Use cfg 4", "Measure my model"]


def turned(page):
    """Whether the other picture is seen, and the name below it."""
    return page.evaluate(
        """() => { const frame = document.querySelector('.gg-tab .gg-pair .gg-frame');
      const over = getComputedStyle(frame.querySelector('.gg-over')).visibility === 'visible';
      return [over, frame.querySelector('.gg-name').textContent]; }"""
    )


def test_a_pair_takes_turns_in_one_place_while_it_is_pressed(page):
    own, other = (False, "As it is: cfg 8"), (True, "cfg 4, same seed")
    row = page.locator(f"{TAB} .gg-seed").nth(1)
    assert tuple(turned(page)) == own
    row.hover()
    page.mouse.down()
    assert tuple(turned(page)) == other
    page.wait_for_function(f"() => document.querySelector('{TAB} .gg-pair .gg-name').textContent.startsWith('As it')")
    page.wait_for_function(f"() => document.querySelector('{TAB} .gg-pair .gg-name').textContent.startsWith('cfg 4')")
    page.mouse.up()
    assert tuple(turned(page)) == own
    row.focus()
    page.keyboard.down("Space")
    assert tuple(turned(page)) == other
    page.keyboard.up("Space")
    for seen in (own, other, own):
        assert tuple(turned(page)) == seen
        page.keyboard.press("Enter")


def test_the_value_of_the_run_is_kept_as_the_one_that_is_liked_and_that_is_taken_back(page):
    click(page, ".gg-keep-own")
    says_at(page, "cfg 8 is inside your range", ".gg-headline")
    says_at(page, "You chose cfg 8: your range is 5.66 to 8", ".gg-note")
    assert page.evaluate(ACTS)[:2] == ["Take back: cfg 8", "Measure my model"], "the question is closed"
    click(page, ".gg-keep-own")
    says_at(page, "cfg 8 .*has not been measured", ".gg-headline")
    address = f"{page.live.address}/guidance_geometry/picks?key={KEY}"
    assert page.request.get(address).status == 204, "nothing of it is left"


def test_one_click_says_what_guidance_does_to_the_model(page):
    set_widget(page, cfg=14.0)
    queue(page)
    sees(page, "above", "Try cfg 7")  # its numbers alone say that it is too much
    before = page.evaluate(WIDGETS)
    click(page, ".gg-measureModel")
    says_at(page, "7 values, 8 pictures of each: about as long as .* runs like this one")  # the pair left no curve
    click(page, ".gg-again")
    says_at(page, "pictures of each value, kept for this model", timeout=240000)
    assert page.locator(".gg-tab .gg-curve-plot .gg-mark").count() == 2
    names = page.locator(".gg-tab .gg-card .gg-name").all_inner_texts()
    assert names == [f"cfg {value}" for value in ("1", "1.5", "2.5", "4", "6", "9", "14")]
    says_at(page, "from there on this model's pictures change in a way that can be seen", ".gg-headline")
    assert page.evaluate(WIDGETS) == before, "the graph stays as it was"


@pytest.mark.parametrize("size", [(1440, 900), (1280, 720)])
def test_pictures_stand_below_their_values_and_all_is_in_view(page, size):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.evaluate(RAISE, 345)  # of a bottom panel of 400
    steering.steady(page, SEEN)
    assert page.evaluate(SEEN)
    assert max(page.evaluate(COLUMNS)) < 2
    page.set_viewport_size({"width": 1440, "height": 900})


def test_clicks_on_pictures_name_a_value(page):
    click(page, ".gg-card:nth-child(3)")
    click(page, ".gg-card:nth-child(4)")
    says_at(page, rf"You like cfg 2.5, 4\. ({BY_STRENGTH}|{BY_MIDDLE})\.$")
    says_at(page, "is above your range", ".gg-headline")
    named = page.locator(".gg-tab .gg-take").inner_text()
    assert named in page.locator(f"{TAB} .gg-headline").inner_text(), "both name the same value"
    click(page, ".gg-take")
    assert 2.5 < page.evaluate(CFG) < 4


def test_pictures_of_a_person_name_a_value_by_their_prompt_strength(page):
    files = sorted((page.live.log.parent / "temp").glob("*.png"))[:6]
    page.locator(".gg-tab input[type=file]").first.set_input_files(files)
    says_at(page, r"^.*Your 6 pictures show the prompt at strength [\d.]+ \(.* to .*\)[;:]", timeout=90000)
    assert page.evaluate(WIDGETS).count('"detail') == 0


def test_the_next_run_of_the_same_is_placed_on_the_curve_at_once(page):
    click(page, ".gg-forget") if page.locator(".gg-tab .gg-forget").is_visible() else None
    click(page, ".gg-close")
    queue(page)
    click(page, ".gg-measureModel")
    says_at(page, "Measured on .*: .* pictures at each of 7 values")
    assert page.locator(".gg-tab .gg-curve-plot .gg-own").count() == 1


def test_values_are_presented_one_by_one_and_escape_ends_it(page):
    click(page, ".gg-to-present")
    dialog = page.locator("dialog.gg-present")
    value, said = (dialog.locator(f".{name}") for name in ("gg-at-value", "gg-said-of"))
    page.keyboard.press("Home")
    assert (value.inner_text(), dialog.locator(".gg-lit").count()) == ("cfg 1", 1)
    page.keyboard.press("End")
    assert (value.inner_text(), value.get_attribute("aria-valuetext")) == ("cfg 14", "cfg 14")
    assert re.match("At cfg 14 the model finds its own pictures .* times as strange as at ", said.inner_text())
    sizes = dialog.evaluate(
        "box => [...box.querySelectorAll('h2, p, button, text')].map(one => parseFloat(getComputedStyle(one).fontSize)"
        " * (one.ownerSVGElement ? one.ownerSVGElement.getBoundingClientRect().width / one.ownerSVGElement.viewBox"
        ".baseVal.width : 1))"
    )
    assert min(sizes) > 23.9, "it is read from afar"
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("() => document.fullscreenElement") is None
    page.wait_for_function("() => document.activeElement.matches('.gg-to-present')")


def test_what_is_shared_opens_the_workflow_of_its_run(page):
    ran = page.evaluate(CFG)
    set_widget(page, cfg=2.0)
    with page.expect_download() as one:
        click(page, ".gg-png")
    png = one.value.path().read_bytes()
    image = Image.open(io.BytesIO(png))
    assert image.width == 1520
    assert {"workflow", "prompt"} <= set(image.text)
    drop(page, "shared.png", "image/png", f"data:image/png;base64,{base64.b64encode(png).decode()}")
    page.wait_for_function(f"ran => ({CFG})() === ran", arg=ran)


def test_the_strength_of_a_lora_is_measured_on_a_curve_of_its_own(page):
    load(page, with_lora(page.live, 0.8))
    switch(page)
    queue(page)
    sees(page, "unclear", "cfg 8 .*has not been measured")
    says_at(page, "measured with no LoRA. This run has detail 0.8", ".gg-reasons")
    click(page, ".gg-measureModel")
    page.locator(".gg-tab .gg-knob >> visible=true").select_option(label="strength_model (detail)")
    says_at(page, "7 values, 8 pictures of each")
    click(page, ".gg-again")
    says_at(page, "^2 of 8 pictures", timeout=120000)
    click(page, ".gg-halt")
    says_at(page, "pictures of each value, kept for this model")
    values = page.locator(".gg-tab .gg-card .gg-name").all_inner_texts()
    assert values == ["0", "0.25", "0.5", "0.8", "1", "1.25", "1.5"]
    assert page.locator(".gg-tab .gg-curve-plot .gg-own").count() == 1
