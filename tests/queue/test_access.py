"""The tab and the inspector for those who see, point and type in other ways, and on small windows."""

import io

import numpy
import pytest
from PIL import Image

from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.steering import CONTRASTS, INSPECTOR, PAINTED, queue, steady
from guidance_geometry.tests.queue.tab_steering import (
    BOTTOM,
    FLAG,
    TAB,
    TOGGLE,
    begin,
    close_below,
    load,
    open_below,
    sampled,
    shows_run_of,
)

pytestmark = pytest.mark.browser

UNNAMED = """() => [...document.querySelectorAll(".gg-panel :is(button, select, input, canvas, [tabindex='0'])")]
  .filter(one => one.checkVisibility() && !(one.ariaLabel || one.labels?.[0]?.textContent || one.textContent).trim())
  .map(one => one.outerHTML)"""
REACHABLE = f"""() => [...document.querySelectorAll("{TAB} :is(button, select, input, [tabindex='0'])")].filter(one =>
  one.checkVisibility() && !one.disabled && one.tabIndex >= 0).length"""
FOCUSED = f"""() => {{ const {{activeElement: one}} = document, shown = one && getComputedStyle(one);
  if (!one?.closest("{TAB}")) return null;
  window.visited = (window.visited ?? new Set()).add(one);
  return shown.outlineStyle !== "none" && parseFloat(shown.outlineWidth) >= 1; }}"""
OFFSET = "() => [...app.canvas.ds.offset, app.canvas.ds.scale]"
PACES = f"""() => {{  // at which it plays, in milliseconds a step
  const real = window.setInterval, paces = [], play = document.querySelector("{TAB} .gg-play");
  window.setInterval = (work, pace) => {{ paces.push(pace); return real(work, pace); }};
  play.click();
  window.setInterval = real;
  play.click();
  return paces; }}"""
PALETTE = "name => app.extensionManager.setting.set('Comfy.ColorPalette', name)"


@pytest.fixture(scope="module")
def page(editor):
    """The tab below with a run of a cfg that is too high."""
    load(editor, sampled())
    open_below(editor)
    begin(editor, sampled(steps=20, cfg=13.0))
    queue(editor)
    shows_run_of(editor, 20)
    yield editor
    editor.evaluate(PALETTE, "dark")
    close_below(editor)
    steering.clean(editor)


def pixels(page, place):
    """What is seen there, [height, width, 3]."""
    page.evaluate(PAINTED)
    return numpy.asarray(Image.open(io.BytesIO(page.locator(place).first.screenshot())).convert("RGB")).astype(int)


def turn_to(page, name):
    page.locator(f"{TAB} [data-page={name}]").click()
    page.evaluate(PAINTED)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page, theme):
    page.evaluate(PALETTE, theme)
    page.wait_for_function("theme => document.querySelector('.gg-tab .gg-panel').dataset.theme === theme", arg=theme)
    turn_to(page, "geometry")
    for name in ("table", "geometry", "advice"):
        if name == "advice":
            turn_to(page, name)
        else:  # the table is opened, then closed
            page.locator(TAB).get_by_role("button", name="Numbers").click()
            page.locator(".gg-table tr[aria-current]").wait_for(state="visible" if name == "table" else "hidden")
        texts = page.evaluate(CONTRASTS, ".gg-panel")
        assert len(texts) > 10
        assert not [(words, ratio) for words, ratio in texts if ratio < 4.5]


def test_everything_has_a_name_the_keyboard_reaches_it_and_what_has_the_focus_shows_it(page):
    headline = page.locator(f"{TAB} .gg-headline").inner_text()
    assert headline
    assert headline in "".join(page.locator(f"{TAB} [role=status]").all_text_contents()), "it is read aloud"
    turn_to(page, "geometry")
    assert page.evaluate(UNNAMED) == []
    page.evaluate("() => { window.visited = new Set(); }")
    page.locator(TAB).focus()
    page.keyboard.press("Tab")
    marked = []
    while (seen := page.evaluate(FOCUSED)) is not None and len(marked) < 60:
        marked.append(seen)
        page.keyboard.press("Tab")
    assert all(marked)
    assert page.evaluate("() => window.visited.size") == len(marked) == page.evaluate(REACHABLE)


def test_space_turns_the_switch_and_the_focus_stays_on_it(page):
    page.locator(f"{TAB} .gg-switch input").focus()
    for on in (False, True):
        page.keyboard.press("Space")
        page.wait_for_function(f"on => ({FLAG})()?.record === on", arg=on)
        page.evaluate(PAINTED)
        assert page.evaluate("() => document.activeElement.closest('.gg-switch') !== null")


def test_with_forced_colours_the_switch_shows_its_state_and_figures_are_seen(page):
    page.emulate_media(forced_colors="active")
    on = pixels(page, f"{TAB} .gg-switch input")
    page.locator(f"{TAB} .gg-switch input").click()
    off = pixels(page, f"{TAB} .gg-switch input")
    page.locator(f"{TAB} .gg-switch input").click()
    assert (abs(on - off).max(-1) > 60).mean() > 0.2
    for place in (".gg-figure", ".gg-ticks"):
        seen = pixels(page, f"{TAB} {place}").mean(-1)
        assert seen.max() - seen.min() > 100, place
    page.emulate_media(forced_colors="none")


def test_with_reduced_motion_nothing_moves_by_itself_and_a_run_plays_slowly(page):
    assert page.evaluate(PACES)[0] < 1000
    page.emulate_media(reduced_motion="reduce")
    page.locator(f"{TAB} input[aria-label=Step]").fill("0")
    assert page.evaluate(PACES)[0] >= 1000
    assert page.evaluate("() => document.querySelector('.gg-panel').getAnimations({subtree: true}).length") == 0
    page.emulate_media(reduced_motion="no-preference")


def test_on_a_small_window_nothing_is_cut_and_figures_can_be_read(page):
    page.set_viewport_size({"width": 800, "height": 600})
    for _ in range(2):  # it finds its height when it opens
        page.evaluate(TOGGLE, BOTTOM)
        page.evaluate(PAINTED)
    for name, shown, least in (("advice", ".gg-shots >> nth=0", 90), ("geometry", ".gg-figure", 190)):
        turn_to(page, name)
        cut = "panel => [panel, ...panel.querySelectorAll('button, .gg-headline, .gg-said')]"
        cut += (
            ".filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML)"
        )
        page.locator(f"{TAB} {shown}").first.wait_for()
        assert page.locator(TAB).evaluate(cut) == []
        assert page.locator(f"{TAB} {shown}").first.bounding_box()["height"] >= least
    page.set_viewport_size({"width": 1440, "height": 900})


def test_over_the_inspector_the_middle_button_and_the_wheel_move_the_graph(page):
    page.locator(f"{TAB} .gg-keep").click()
    page.evaluate(TOGGLE, BOTTOM)
    page.evaluate(
        f"() => {{ app.canvas.ds.scale = 1; app.canvas.centerOnNode({INSPECTOR}); app.canvas.setDirty(true, true); }}"
    )
    page.evaluate("() => document.querySelector('.gg-panel [data-view=plane]').click()")
    before = steady(page, OFFSET)
    box = page.locator(".gg-panel .gg-figure").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.mouse.move(x - 50, y - 30, steps=5)
    page.mouse.up(button="middle")
    page.wait_for_function(
        f"([x, y]) => {{ const now = ({OFFSET})(); return now[0] === x - 50 && now[1] === y - 30; }}", arg=before[:2]
    )
    for inside in (False, True):  # with the focus inside, too: nothing scrolls there
        scale = page.evaluate(OFFSET)[2]
        if inside:
            page.locator(".gg-panel .gg-play").focus()
        page.mouse.wheel(0, 100)
        page.wait_for_function(f"scale => ({OFFSET})()[2] < scale", arg=scale)
    page.evaluate(TOGGLE, BOTTOM)
    page.wait_for_selector(".gg-tab .gg-bar")
