"""What a browser that stays open sees while ComfyUI ends and comes back at the same address."""

from contextlib import ExitStack

import pytest

from guidance_geometry.dev.browser import page_in
from guidance_geometry.sweeps.comfyui.process import free_port
from guidance_geometry.tests.queue.conftest import host_folder
from guidance_geometry.tests.queue.steering import QUEUE, queue
from guidance_geometry.tests.queue.tab_steering import (
    RUNS,
    begin,
    offers,
    open_below,
    sampled,
    says,
    sees,
    set_widget,
)

pytestmark = pytest.mark.browser


def tried(page, words):
    page.wait_for_function(
        "words => new RegExp(words).test(document.querySelector('.gg-tab .gg-tried').textContent)",
        arg=words,
        timeout=20000,
    )


def test_a_server_that_is_killed_is_missed_at_once_and_found_again_without_its_records(browser, tmp_path):
    hosts, port = host_folder(tmp_path), free_port()
    with ExitStack() as pages:
        with hosts.start(port) as live:
            page = pages.enter_context(page_in(browser, live.address))
            page.set_default_timeout(12000)
            open_below(page)
            begin(page, sampled(steps=3000, cfg=13.0))
            page.evaluate(QUEUE)
            says(page, "^Recording")
            page.wait_for_function("() => window.heard.length > 1")
            live.process.kill()
            away = "() => /does not answer/.test(document.querySelector('.gg-said').textContent)"
            page.wait_for_function(away, timeout=3000)
            offers(page, [r"^Mine \(4\) . stopped at step \d+$"])
        with hosts.start(port) as back:
            says(page, "The server no longer has the runs of this workflow")
            assert page.evaluate(RUNS) == []
            set_widget(page, steps=6)
            queue(page)
            sees(page, "above", "cfg 13")
            # Half the scale behind a job of somebody else's: cleared from the queue, tried again, and there.
            assert page.request.post(f"{back.address}/prompt", data={"prompt": sampled(steps=3000)}).ok
            page.locator(".gg-tab .gg-half").click()
            tried(page, r"1 of 2 pictures are ready.* 1 job runs first")
            page.request.post(f"{back.address}/queue", data={"clear": True})
            tried(page, "1 of 2 pictures did not come: ComfyUI no longer has the job")
            page.locator(".gg-tab .gg-again").click()
            tried(page, "1 job runs first")
            page.request.post(f"{back.address}/interrupt")
            page.wait_for_selector(".gg-tab .gg-card[data-state=there]:nth-child(2)")
