"""The registry's archive alone, unpacked in a ComfyUI with its own editor; that ends and comes back; another editor."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from guidance_geometry.dev.fixtures.interfaces import read as frozen
from guidance_geometry.files.safetensors import read_safetensors
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.archive import archived_files
from guidance_geometry.tests.project import ROOT
from guidance_geometry.tests.queue import steering
from guidance_geometry.tests.queue.conftest import editor_page, host_folder, nodes_2
from guidance_geometry.tests.queue.steering import INSPECTOR, QUEUE, queue
from guidance_geometry.tests.queue.tab_steering import (
    RUNS,
    SAMPLER,
    SIDE,
    TOGGLE,
    UNDO,
    begin,
    close_below,
    load,
    measured,
    offers,
    open_below,
    sampled,
    says,
    says_at,
    sees,
    set_widget,
)

CFG = f"() => {SAMPLER}.widgets.find(({{ name }}) => name === 'cfg').value"
COUNTS = "() => [...document.querySelectorAll('.gg-panel .gg-steps output')].map(count => count.textContent)"
NODES = frozen()
TEMPLATES = sorted(file.stem for file in (ROOT / "example_workflows").glob("*.json"))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """The folders of that ComfyUI."""
    place = tmp_path_factory.mktemp("fresh")
    folders = host_folder(place)
    pack = place / "custom_nodes" / folders.pack
    pack.unlink()  # the link to this repository
    for name in archived_files():
        (pack / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, pack / name)
    return folders


@pytest.fixture(scope="module")
def fresh(hosts):
    """It runs."""
    with hosts.start() as live:
        yield live


@pytest.fixture(scope="module")
def page(browser, fresh):
    """Its own editor."""
    with editor_page(browser, fresh) as page:
        yield page


@pytest.fixture
def newest(editor):
    """The newest editor with Nodes 2.0."""
    with nodes_2(editor) as page:
        yield page


def served(live, path):
    with DIRECT.open(live.address + path) as answer:
        return answer.read()


def test_every_node_page_script_and_template_is_served(fresh):
    nodes = json.loads(served(fresh, "/object_info"))
    assert {name for name, node in nodes.items() if node["python_module"].endswith(fresh.pack)} == NODES.keys()
    assert sorted(json.loads(served(fresh, "/workflow_templates"))[fresh.pack]) == TEMPLATES
    for name in TEMPLATES:
        assert json.loads(served(fresh, f"/api/workflow_templates/{fresh.pack}/{name}.json"))["nodes"]
        assert served(fresh, f"/api/workflow_templates/{fresh.pack}/{name}.jpg")
    pages = [f"docs/{name}.md" for name in NODES] + [f"docs/{name}/zh.md" for name in NODES]
    for file in ["inspector.js", *pages, *(f"lib/{one.name}" for one in (ROOT / "web" / "lib").glob("*.mjs"))]:
        assert served(fresh, f"/extensions/{fresh.pack}/{file}") == (ROOT / "web" / file).read_bytes()


@pytest.mark.browser
@pytest.mark.parametrize("of", ["page", "newest"], ids=["its own editor", "the newest editor with nodes 2.0"])
def test_a_short_journey(request, of):
    """Record and run, take the advice, undo it, keep an inspector, and see two of everything."""
    page = request.getfixturevalue(of)
    graph = measured(stages=2, cfg=13.0)
    graph["5"]["inputs"]["cfg"] = 2.8
    load(page, graph)
    open_below(page)
    page.locator(".gg-tab .gg-begin").click()
    sees(page, "above", r"[Tt]ry cfg \d")
    offers(page, ["^Stage 1", "^Stage 2", "^All stages"])
    page.locator(".gg-tab .gg-apply").click()
    advised = page.evaluate(CFG)
    assert 1 < advised < 13
    page.evaluate(UNDO)
    page.wait_for_function(f"() => ({CFG})() === 13")
    page.locator(".gg-tab .gg-keep").click()
    page.wait_for_function(f"() => {INSPECTOR}")
    page.evaluate(TOGGLE, SIDE)
    queue(page)
    page.wait_for_function(f"() => ({COUNTS})().length === 3 && ({COUNTS})().every(count => count.endsWith('/20'))")
    page.evaluate(TOGGLE, SIDE)
    close_below(page)
    steering.clean(page)


@pytest.mark.browser
def test_an_inspector_is_kept_as_high_in_nodes_2_which_reads_no_later_size_of_a_node(page):
    with nodes_2(page):
        open_below(page)
        begin(page)
        queue(page)
        page.locator(".gg-tab .gg-keep").click()
        page.wait_for_function(f"() => {INSPECTOR}")
        close_below(page)
        assert page.evaluate("() => document.querySelector('.gg-host').offsetHeight") >= 450
    steering.clean(page)


def test_the_command_converts_and_sweeps(fresh, tmp_path):
    def call(*words):
        command = [sys.executable, str(fresh.log.parent / "custom_nodes" / fresh.pack), *map(str, words)]
        clean = {name: value for name, value in os.environ.items() if name != "COMFYUI_PATH"}
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    weights = {"weight": torch.randn(3, 4), "bias": torch.randn(3).half()}
    torch.save(weights, tmp_path / "net.pt")
    call("convert", "net.pt", "--licence", "MIT")
    found, _ = read_safetensors(tmp_path / "net.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert "1 cell" in call("sweep", "--server", fresh.address, "--cfg", "3", "--set", "steps=2")
    results = json.loads((tmp_path / "output" / "sweep" / "results.json").read_text(encoding="utf-8"))
    assert len(results["rows"]) == 1
    log = fresh.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log
    assert "Traceback" not in log


@pytest.mark.browser
def test_a_server_that_is_killed_is_missed_at_once_and_found_again_without_its_records(page, hosts, fresh):
    open_below(page)
    begin(page, sampled(steps=3000, cfg=13.0))
    page.evaluate(QUEUE)
    says(page, "^Recording")
    page.wait_for_function("() => window.heard.length > 1")
    fresh.process.kill()
    fresh.process.wait()
    away = "() => /does not answer/.test(document.querySelector('.gg-said').textContent)"
    page.wait_for_function(away, timeout=3000)
    offers(page, [r"^Mine \(4\) . stopped at step \d+$"])
    with hosts.start(int(fresh.address.rpartition(":")[2])) as back:
        says(page, "The server no longer has the runs of this workflow")
        assert page.evaluate(RUNS) == []
        set_widget(page, steps=6)
        queue(page)
        sees(page, "above", "Try cfg 6.5")
        # Half the scale behind a job of somebody else's: cleared from the queue, tried again, and there.
        assert page.request.post(f"{back.address}/prompt", data={"prompt": sampled(steps=3000)}).ok
        page.locator(".gg-tab .gg-half").click()
        says_at(page, r"1 of 2 pictures are ready.* 1 job runs first")
        page.request.post(f"{back.address}/queue", data={"clear": True})
        says_at(page, "1 of 2 pictures did not come: ComfyUI no longer has the job")
        page.locator(".gg-tab .gg-again").click()
        says_at(page, "1 job runs first")
        page.request.post(f"{back.address}/interrupt")
        page.wait_for_selector(".gg-tab .gg-card[data-state=there]:nth-child(2)")
