"""Measure my model, in the real editor: one click from a run to what guidance does to its model, and to a value."""

import pytest

from guidance_geometry.tests.queue import steering, tab_steering
from guidance_geometry.tests.queue.steering import queue
from guidance_geometry.tests.queue.tab_steering import SAMPLER, close_below, load, open_below, sampled, switch

pytestmark = pytest.mark.browser

CFG = f"() => {SAMPLER}.widgets.find(one => one.name === 'cfg').value"
WIDGETS = f"() => JSON.stringify({tab_steering.ROOT}.serialize().nodes.map(node => node.widgets_values))"


def says(page, words, place=".gg-tried", timeout=60000):
    page.wait_for_function(
        "([place, words]) => new RegExp(words).test(document.querySelector(`.gg-tab ${place}`)?.textContent)",
        arg=[place, words],
        timeout=timeout,
    )


def click(page, place):
    page.locator(f".gg-tab {place} >> visible=true").first.click(timeout=20000)


@pytest.fixture(scope="module")
def page(editor):
    close_below(editor)
    editor.set_viewport_size({"width": 1440, "height": 900})
    load(editor, sampled(denoiser="pocket-flow-1", cfg=14.0, steps=12, scheduler="simple"))
    open_below(editor)
    yield editor
    close_below(editor)
    steering.clean(editor)


def test_one_click_says_what_guidance_does_to_the_model_and_clicks_on_pictures_name_a_value(page):
    switch(page)
    queue(page)
    before = page.evaluate(WIDGETS)
    click(page, ".gg-measureModel")
    says(page, "7 values, 8 pictures of each: about as long as .* runs like this one")
    click(page, ".gg-again")
    says(page, "pictures of each value, kept for this model", timeout=240000)
    assert page.locator(".gg-tab .gg-curve-plot .gg-mark").count() == 2
    names = page.locator(".gg-tab .gg-card .gg-name").all_inner_texts()
    assert names == [f"cfg {value}" for value in ("1", "1.5", "2.5", "4", "6", "9", "14")]
    says(page, "from there on this model's pictures change in a way that can be seen", ".gg-headline")
    assert page.evaluate(WIDGETS) == before, "the graph stays as it was"
    click(page, ".gg-card:nth-child(3)")
    click(page, ".gg-card:nth-child(4)")
    says(page, "You chose cfg 2.5, 4")
    says(page, "is above your range", ".gg-headline")
    click(page, ".gg-take")
    assert page.evaluate(CFG) == pytest.approx(3.1, abs=0.2)


def test_the_next_run_of_the_same_is_placed_on_the_curve_at_once(page):
    click(page, ".gg-forget") if page.locator(".gg-tab .gg-forget").is_visible() else None
    click(page, ".gg-close")
    queue(page)
    click(page, ".gg-measureModel")
    says(page, "Measured on .*: .* pictures at each of 7 values")
    assert page.locator(".gg-tab .gg-curve-plot .gg-own").count() == 1
