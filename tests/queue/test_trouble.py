"""What goes wrong around a panel: other people's jobs, lost or damaged files, bad numbers; the editor stays usable."""

import pytest

from guidance_geometry.sweeps.comfyui.client import Client
from guidance_geometry.tests.queue.prompts import small
from guidance_geometry.tests.queue.steering import (
    COUNT,
    DRAWN,
    PAINTED,
    WORDS,
    choose,
    graph,
    numbers,
    queue,
    reseed,
    says,
    shows_run_of,
    start,
)

pytestmark = pytest.mark.browser

EXECUTED = """record => app.api.dispatchEvent(new CustomEvent("executed", {detail: {prompt_id: "none", node: "8",
  display_node: "8", output: {gg_record: [{workflow_id: (app.rootGraph ?? app.graph).id, ...record}]}}}))"""


def pardon(page, *expected):
    """Lines of the console that this trouble is meant to cause."""
    page.complaints[:] = [
        line
        for line in page.complaints
        if not any(part in f"{getattr(line, 'text', line)} {getattr(line, 'location', '')}" for part in expected)
    ]


@pytest.fixture
def api(editor):
    """A client of the server behind the editor, without a tab."""
    with Client(editor.live.address) as one:
        yield one


def sheets(page):
    """The thumbnails that the server keeps."""
    return (page.live.log.parent / "temp" / "guidance_geometry").glob("*.jpg")


def test_a_lost_thumbnail_is_named_and_the_numbers_stay(page):
    choose(page, "plane")
    reseed(page)
    queue(page)
    for k, file in enumerate(sheets(page)):
        file.unlink() if k % 2 else file.write_bytes(b"not a picture")
    choose(page, "heat")
    says(page, "The picture of step [0-9]+ is no longer on the server")
    choose(page, "plane")
    page.wait_for_function(DRAWN)
    pardon(page, "/view")
    for file in sheets(page):
        file.unlink()  # a name stands for a content: the next run writes them anew


def test_a_lost_record_and_a_newer_one_are_named(page):
    page.evaluate(EXECUTED, {"v": 2, "run": "newer"})
    says(page, "This record is of version 2; this panel reads version 1. Update the pack")
    place = {"filename": "gone.json", "subfolder": "guidance_geometry", "type": "temp"}
    page.evaluate(EXECUTED, {"v": 1, "run": "lost", "file": place})
    says(page, "no longer on the server. Queue again.")
    reseed(page)
    queue(page)
    shows_run_of(page, 20)


def test_jobs_of_the_api_and_of_other_workflows_leave_the_panel_alone(page, api):
    reseed(page)
    queue(page)
    before = page.evaluate(COUNT), page.evaluate(WORDS)
    job = api.post("/prompt", {"prompt": graph(steps=7)})
    page.wait_for_function(
        "async id => id in await (await app.api.fetchApi(`/history/${id}`)).json()", arg=job["prompt_id"]
    )
    page.wait_for_function("id => window.heard.some(event => event.prompt_id === id)", arg=job["prompt_id"])
    page.evaluate(EXECUTED, {"v": 1, "run": "foreign", "workflow_id": "another", "n": 9, "steps": []})
    page.evaluate(PAINTED)
    assert (page.evaluate(COUNT), page.evaluate(WORDS)) == before
    queue(page)
    shows_run_of(page, 20)


def test_a_trace_from_disk_is_shown_and_a_damaged_one_is_named(page, api):
    saving = small(seed=1000 * next(numbers), capture="pictures")
    saving["11"] = {"class_type": "GGSaveTrace", "inputs": {"trace": ["4", 2], "filename_prefix": "trouble"}}
    file = page.live.log.parent / "output" / "traces" / api.run(saving).outputs["11"]["text"][0].split(":")[0]
    page.evaluate("() => app.refreshComboInNodes?.()")
    loader = {"class_type": "GGLoadTrace", "inputs": {"trace_name": f"traces/{file.name}"}}
    start(page, {"7": loader, "8": {"class_type": "GGInspector", "inputs": {"trace": ["7", 0], "pictures": 2}}})
    shows_run_of(page, 4)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "cut off" in queue(page, "execution_error")["exception_message"]
    page.keyboard.press("Escape")
    shows_run_of(page, 4)
    pardon(page, "/prompt", "Prompt execution failed")
