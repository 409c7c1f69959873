"""The editor of a running host in a headless Chromium, for the tests and for the tools that make workflows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..sweeps.comfyui.answers import ServerFault
from ..sweeps.comfyui.client import Client

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIDE = "Comfy.RightSidePanel.IsOpen"  # of newer editors: a node's help stands there, and stays open
LOADING = 120_000  # milliseconds that an editor may take on a busy machine
READY = "() => window.app?.extensionManager && (app.rootGraph ?? app.graph)"


@contextmanager
def chromium(path: str | None = CHROMIUM) -> Iterator:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def page_in(
    browser, address: str, path: str = "/", vue: bool = False, script: str = "", language: str = "en", **options
) -> Iterator:
    """Open the editor; yields the page when its graph is there. Another page finds the settings as they were.

    vue: draw the nodes with Nodes 2.0. script: what runs in the page before the editor. options: of the browser's page.
    """
    settings = {"Comfy.TutorialCompleted": True, "Comfy.Locale": language, "Comfy.VueNodes.Enabled": vue}
    settings["Comfy.Minimap.Visible"] = False  # it would lie over nodes that are clicked
    settings[SIDE] = False  # so would this
    with Client(address) as client:
        before = json.loads(client.get("/settings"))
        client.post("/settings", settings)
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}} | options)
    page.add_init_script(script)
    page.goto(address + path, timeout=LOADING)
    page.wait_for_function(READY, timeout=LOADING)
    yield page
    page.close()
    with suppress(ServerFault), Client(address) as client:  # a test may have ended it
        client.post("/settings", {name: before[name] for name in settings if name in before})


@contextmanager
def editor(address: str, path: str = "/", vue: bool = False, program: str | None = CHROMIUM) -> Iterator:
    """The editor in a browser of its own."""
    with chromium(program) as browser, page_in(browser, address, path, vue) as page:
        yield page
