"""The tab and the inspector for those who see, point and type in other ways."""

import pytest

from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.steering import CONTRASTS, INSPECTOR, queue, steady
from guidance_geometry.tests.queue.tab_steering import (
    BOTTOM,
    TAB,
    TOGGLE,
    begin,
    close_below,
    load,
    open_below,
    sampled,
    shows_run_of,
    turn_to,
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
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"scale => ({OFFSET})()[2] < scale", arg=before[2])
    page.evaluate(TOGGLE, BOTTOM)
    page.wait_for_selector(".gg-tab .gg-bar")
