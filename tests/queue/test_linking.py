"""One step, shown everywhere: hover, focus and keys; and that everyone can see and reach the panel."""

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
MAIN, BESIDE, TICKS = 0, 1, 2
WORST = """() => {
  const numbers = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, k) => a * v + (1 - a) * below[k]);
  const behind = element => element === null ? [255, 255, 255]
    : over(numbers(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const bright = rgb => { const [r, g, b] = rgb.map(v => v / 255 <= 0.04045 ? v / 255 / 12.92
    : ((v / 255 + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => { const [x, y] = [bright(a), bright(b)].sort((p, q) => p - q);
    return (y + 0.05) / (x + 0.05); };
  const found = [];
  for (const element of document.querySelectorAll('.gg-panel *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.tagName === 'STYLE' || element.closest('option') || element.disabled) continue;
    const ground = behind(element);
    found.push([contrast(over(numbers(getComputedStyle(element).color), ground), ground),
      element.className + ' ' + element.textContent.slice(0, 30)]);
  }
  return [found.length, found.sort((a, b) => a[0] - b[0])[0]]; }"""


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


def test_a_step_under_the_pointer_is_lit_everywhere_and_shown_in_the_plane(wide):
    before = wide.evaluate(FACTS)
    assert before.startswith("step 4 ")
    over(wide, BESIDE, 0.7)
    wide.wait_for_function("() => document.querySelector('.gg-facts').hasAttribute('data-lit')")
    lit = wide.evaluate(FACTS).split(" \u00b7 ")[0]
    assert lit != "step 4"
    wide.wait_for_function(LIT, arg=BESIDE)
    wide.wait_for_function(LIT, arg=TICKS)
    assert wide.evaluate(COUNT) == "4/20"
    over(wide, TICKS, 0.5)
    wide.wait_for_function(f"() => /^step (10|11) /.test(({FACTS})())")
    wide.wait_for_function(LIT, arg=BESIDE)
    wide.mouse.move(2, 450)
    wide.wait_for_function(f"before => ({FACTS})() === before", arg=before)
    assert not wide.evaluate(LIT, TICKS)


def test_a_click_on_a_lit_step_goes_there_and_other_views_keep_it(wide):
    over(wide, TICKS, 0.5)
    wide.mouse.down()
    wide.mouse.up()
    wide.wait_for_function("() => /^(10|11).20$/.test(document.querySelector('.gg-panel output').textContent)")
    step = wide.evaluate(COUNT)
    for view in ("direction", "heat", "plane"):
        choose(wide, view)
        assert wide.evaluate(COUNT) == step


def test_the_second_view_is_the_readers_choice_and_saved_with_the_node(wide):
    wide.locator(".gg-second").select_option("lengths")
    assert wide.evaluate(f"() => {INSPECTOR}.properties.gg_second") == "lengths"
    wide.locator(".gg-second").select_option("none")
    wide.wait_for_function("() => document.querySelectorAll('.gg-figure:not([hidden])').length === 1")
    wide.locator(".gg-second").select_option("matters")
    wide.wait_for_function("() => document.querySelectorAll('.gg-figure:not([hidden])').length === 2")


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


def test_every_control_is_named_and_reached_with_the_tab_key(page):
    choose(page, "whatif")
    page.locator(".gg-panel").focus()
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        inside, name = page.evaluate(
            """() => { const e = document.activeElement;
            return [Boolean(e.closest('.gg-panel')), e.ariaLabel ?? e.textContent]; }"""
        )
        if not inside:
            break
        reached.append(name.strip())
    for name in ("What if", "Play the run", "Step", "What-if scale", "Sample", "Numbers", "CSV", "SVG", "PNG"):
        assert name in reached
    assert all(reached)
    page.locator(".gg-panel [data-view=whatif]").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.activeElement.dataset.view === 'plane'")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement === document.body")


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


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_all_words_stand_out_from_their_ground(page, palette):
    page.evaluate("palette => app.extensionManager.setting.set('Comfy.ColorPalette', palette)", palette)
    page.evaluate("() => document.querySelector('.gg-panel').dispatchEvent(new PointerEvent('pointerenter'))")
    page.wait_for_function("palette => document.querySelector('.gg-panel').dataset.theme === palette", arg=palette)
    page.get_by_role("button", name="Numbers").click()
    page.wait_for_selector(".gg-table tr[aria-current]")
    count, (contrast, where) = page.evaluate(WORST)
    page.get_by_role("button", name="Numbers").click()
    assert count > 100
    assert contrast >= 4.5, where


@pytest.mark.parametrize(("motion", "slow"), [("reduce", True), ("no-preference", False)])
def test_play_is_calm_for_those_who_asked_for_less_motion(page, motion, slow):
    page.emulate_media(reduced_motion=motion)
    page.locator(".gg-panel input[aria-label=Step]").fill("0")
    paces = page.evaluate(
        """() => { const real = window.setInterval, paces = [];
        window.setInterval = (work, pace) => { paces.push(pace); return real(work, pace); };
        const play = document.querySelector('.gg-play');
        play.click();
        window.setInterval = real;
        play.click();
        return paces; }"""
    )
    page.emulate_media(reduced_motion=None)
    assert len(paces) == 1
    assert (paces[0] >= 1000) == slow
