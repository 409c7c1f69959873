"""The page that needs no install, opened from disk in a browser without a network."""

import re

import pytest

from guidance_geometry.dev.explain_page import NAME, explain_page
from guidance_geometry.tests.queue.steering import CONTRASTS

SCREENS = range(1, 9)
QUICK = "&steps=3&pictures=2&noise=0.5"  # so that a screen is computed in a second or two
READY = "() => document.querySelector('#page').dataset.busy === 'false'"
DRAWN = """() => [...document.querySelectorAll('main canvas')].filter(one => one.checkVisibility()).map(one => {
  const data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data, colours = new Set();
  for (let k = 0; k < data.length; k += 44) colours.add((data[k] << 16) | (data[k + 1] << 8) | data[k + 2]);
  return colours.size; })"""
LOOK = """() => { let sum = 0;  // of all that is shown: words, settings and pixels
  const add = value => { sum = (Math.imul(sum, 31) + value) | 0; };
  for (const letter of document.querySelector('main').innerText) add(letter.charCodeAt(0));
  for (const one of document.querySelectorAll('main canvas')) {
    const data = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;
    for (let k = 0; k < data.length; k += 4) add(data[k] + data[k + 1] + data[k + 2]); }
  return sum; }"""
MISSING = "delete Intl.Segmenter"  # as in browsers of some years ago

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / NAME
    path.write_text(explain_page(), encoding="utf-8")
    return path


def complains(line):
    """Whether a line of the console is of the page: one is about the pixels that these tests read."""
    return line.type in ("error", "warning") and "willReadFrequently" not in line.text


@pytest.fixture
def opened(browser, file):
    """Opens the page at a link, without a network; what it asks for or complains about is kept."""
    contexts = []

    def open_page(link="", script="", **options):
        context = browser.new_context(offline=True, **{"viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.asked, page.complaints = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda line: page.complaints.append(line.text) if complains(line) else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.add_init_script(script)
        page.goto(f"{file.as_uri()}{link}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def settle(page, computed=True):
    """Wait until a change is drawn, and nothing is computed any more."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(150)  # then the address follows
    if computed:
        page.wait_for_function(READY)


def test_every_screen_is_drawn_and_every_control_changes_it(opened, file):
    page = opened(f"#screen=1{QUICK}")
    for number in SCREENS:
        settle(page)
        assert f"screen={number}" in page.url
        assert [colours for colours in page.evaluate(DRAWN) if colours < 3] == [], f"an empty picture on {number}"
        assert page.locator("main .said").first.inner_text().strip()
        for control in page.locator("main .control input").all() if number < SCREENS[-1] else []:
            before, link = page.evaluate(LOOK), page.url
            control.press("ArrowLeft" if control.get_attribute("name") == "noise" else "ArrowRight")
            settle(page)
            assert page.url != link, control.get_attribute("name")
            assert page.evaluate(LOOK) != before, (number, control.get_attribute("name"))
        page.locator("h2").press("ArrowRight")
    assert page.url.count("screen=8"), "the last screen is the end"
    assert {url for url in page.asked if not url.startswith("blob:")} == {file.as_uri()}
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.complaints == []


def numbers(page):
    page.wait_for_function("() => document.querySelectorAll('.numbers tr').length === 9")
    settle(page)
    return (
        page.locator(".numbers").text_content(),
        page.locator(".bench .said").first.text_content(),
        page.evaluate(LOOK),
    )


def test_a_link_carries_everything_and_a_rule_makes_other_pictures(opened):
    page = opened("#screen=8&steps=3&pictures=2&seed=7&label=robot&rule=apg&cfg=6&step=2&picture=2")
    first = numbers(page)
    assert re.search(r"cfg 6, seed 8, step 2 of 3", page.locator("main").inner_text())
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    assert numbers(opened(f"#{page.url.partition('#')[2]}")) == first
    page.locator("select[name=rule]").select_option("cfg")
    assert numbers(page)[0] != first[0]
    page.locator("[data-tile='16 0']").click()
    settle(page)
    assert {"cfg=16", "step=2", "picture=1"} <= set(page.url.partition("#")[2].split("&"))
    page.locator("[data-tile='16 0']").press("ArrowLeft")
    assert "screen=8" in page.url, "arrow keys belong to what has the focus"
    assert page.complaints == []


def test_x_follows_the_pointer_and_the_keys(opened):
    page = opened(f"#screen=5&x=0.5,0.5{QUICK}")
    settle(page)
    canvas = page.locator("canvas.map")
    canvas.press("ArrowUp")
    canvas.press("Shift+ArrowLeft")
    settle(page)
    assert "x=0.25,0.55" in page.url
    box, before = canvas.bounding_box(), page.evaluate(LOOK)
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.4 * box["height"], steps=4)
    page.mouse.up()
    settle(page)
    x, y = map(float, re.findall(r"x=(-?[\d.]+),(-?[\d.]+)", page.url)[0])
    assert 0 < x < 0.6
    assert 0.2 < y < 0.8
    assert page.evaluate(LOOK) != before


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_words_stand_out_and_nothing_is_wider_than_the_page_in_both_languages(opened, width, scheme):
    page = opened(f"#screen=1{QUICK}", viewport={"width": width, "height": 760}, color_scheme=scheme, locale="zh-CN")
    for language in ("zh", "en"):
        for number in SCREENS:
            page.locator("nav button").nth(number - 1).click()
            settle(page, computed=False)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (language, number)
            assert [(words, ratio) for words, ratio in page.evaluate(CONTRASTS, "body") if ratio < 4.5] == []
            chinese = re.search(r"[\u4e00-\u9fff]{4}", page.locator("main").inner_text())
            assert bool(chinese) == (language == "zh"), (language, number)
        page.locator(".tools button").first.click()
    assert page.complaints == []


def test_a_class_sees_large_type_and_an_old_browser_a_sentence(opened):
    page = opened(f"#screen=6{QUICK}", viewport={"width": 1920, "height": 1080})
    settle(page)
    page.get_by_role("button", name="Present").click()
    settle(page)
    size = "parseFloat(getComputedStyle(document.querySelector('main .words p')).fontSize)"
    assert page.evaluate(size) >= 24
    page.keyboard.press("PageDown")
    settle(page)
    assert "screen=7" in page.url
    old = opened(script=MISSING)
    assert old.locator("#old").is_visible()
    assert old.complaints == []
