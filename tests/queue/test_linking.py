"""One step, shown everywhere: hover, focus and keys."""

import pytest

from guidance_geometry.tests.queue.steering import COUNT, INSPECTOR, choose, shows

pytestmark = pytest.mark.browser

SIZE = f"""([w, h, left]) => {{ const node = {INSPECTOR}; node.setSize([w, h]);
  const box = document.querySelector(".gg-panel").closest("[data-node-id]"); // the old Nodes 2.0 reads no later size
  if (box) box.style.minWidth = `${{w}}px`;
  app.canvas.ds.offset = [left - node.pos[0], 80]; app.canvas.setDirty(true, true); }}"""
FACTS = "() => document.querySelector('.gg-facts').textContent.replaceAll('\\u00a0', ' ')"
LIT = """place => { const canvas = document.querySelectorAll('.gg-panel canvas')[place];
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let lit = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b] = [pixels[i], pixels[i + 1], pixels[i + 2]];
    lit += Math.abs(r - 240) + Math.abs(g - 228) + Math.abs(b - 66) < 12;
  }
  return lit > 20; }"""
BESIDE, TICKS = 1, 2


@pytest.fixture
def wide(page):
    """The node so wide that two views stand side by side, in the dark theme, whose colour of light is known."""
    page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    page.wait_for_function("() => document.querySelector('.gg-panel').dataset.theme === 'dark'")
    page.evaluate(SIZE, [960, 640, 120])
    choose(page, "plane")
    page.wait_for_function("() => document.querySelectorAll('.gg-figure:not([hidden])').length === 2")
    page.locator(".gg-panel input[aria-label=Step]").fill("3")
    shows(page, "4/20")
    yield page
    page.mouse.move(2, 450)
    page.evaluate(SIZE, [520, 640, 760])
    page.wait_for_function("() => document.querySelectorAll('.gg-figure:not([hidden])').length === 1")


def over(page, place, share):
    """Move the pointer over a drawing."""
    box = page.locator(".gg-panel canvas").nth(place).bounding_box()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.4 * box["height"])


def test_a_step_under_the_pointer_is_lit_everywhere_and_a_click_goes_there(wide):
    before = wide.evaluate(FACTS)
    assert before.startswith("step 4 ")
    over(wide, BESIDE, 0.7)
    wide.wait_for_function("() => document.querySelector('.gg-facts').hasAttribute('data-lit')")
    lit = wide.evaluate(FACTS).split(" \u00b7 ")[0]
    assert lit != "step 4"
    wide.wait_for_function(LIT, arg=BESIDE)
    wide.wait_for_function(LIT, arg=TICKS)
    assert wide.evaluate(COUNT) == "4/20"
    wide.mouse.move(2, 450)
    wide.wait_for_function(f"before => ({FACTS})() === before", arg=before)
    assert not wide.evaluate(LIT, TICKS)
    over(wide, TICKS, 0.5)
    wide.mouse.down()
    wide.mouse.up()
    wide.wait_for_function("() => /^(10|11).20$/.test(document.querySelector('.gg-panel output').textContent)")
    choose(wide, "direction")
    assert wide.evaluate(COUNT) in ("10/20", "11/20")


def test_a_focused_row_of_the_table_lights_its_step(wide):
    wide.get_by_role("button", name="Numbers").click()
    wide.wait_for_selector(".gg-table tr[aria-current]")
    wide.locator(".gg-table tr[aria-current]").focus()
    wide.keyboard.press("ArrowDown")
    wide.keyboard.press("ArrowDown")
    wide.wait_for_function(f"() => ({FACTS})().startsWith('step 6 ')")
    wide.wait_for_function(LIT, arg=BESIDE)
    assert wide.evaluate("() => document.querySelector('.gg-table tr[data-lit]').dataset.step") == "5"
    wide.keyboard.press("Enter")
    shows(wide, "6/20")
    wide.get_by_role("button", name="Numbers").click()


def test_readers_aloud_hear_the_figure_and_the_step(page):
    choose(page, "plane")
    page.locator(".gg-panel input[aria-label=Step]").fill("4")
    shows(page, "5/20")
    figure = page.locator(".gg-panel canvas").first
    page.wait_for_function(
        "() => document.querySelector('.gg-panel canvas').ariaLabel.startsWith('Step plane. step 5 \u00b7 ')"
    )
    assert figure.get_attribute("role") == "img"
    spoken = page.locator(".gg-panel input[aria-label=Step]").get_attribute("aria-valuetext")
    assert spoken.startswith("step 5 \u00b7 noise level")
    assert page.locator(".gg-panel").get_attribute("aria-label") == "Guidance inspector"
