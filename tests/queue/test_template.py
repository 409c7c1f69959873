"""The template that a new user opens first, in the real editor."""

import json

import pytest

from guidance_geometry.tests.queue.prompts import ROOT, first_look
from guidance_geometry.tools.browser import page_in
from guidance_geometry.tools.server import addressable

NAME = "First look at guidance"
WORKFLOW = ROOT / "example_workflows" / f"{NAME}.json"
RUN = """() => new Promise(resolve => {
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => resolve([kind, detail]), {once: true});
  app.queuePrompt(0, 1);
})"""


@pytest.fixture(scope="module")
def page(server, browser):
    """The editor, opened at the address that `dev.py serve` prints."""
    with (
        addressable(WORKFLOW) as name,
        page_in(browser, server.address, f"/?template={name}&source={server.pack}") as opened,
    ):
        opened.wait_for_function(
            "() => (app.rootGraph ?? app.graph).nodes.some(node => node.type === 'GGGuidedSampler')"
        )
        yield opened


def test_template_has_at_most_eight_nodes_and_one_note():
    types = [node["type"] for node in json.loads(WORKFLOW.read_text(encoding="utf-8"))["nodes"]]
    assert types.count("Note") == 1
    assert len(types) <= 9


@pytest.mark.browser
def test_address_opens_the_template(page):
    saved = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    shown = page.evaluate("() => (app.rootGraph ?? app.graph).nodes.map(node => [String(node.id), node.type])")
    assert dict(shown) == {str(node["id"]): node["type"] for node in saved["nodes"]}


@pytest.mark.browser
def test_template_and_api_form_agree(page):
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert {node: {key: prompt[node][key] for key in ("class_type", "inputs")} for node in prompt} == first_look()


@pytest.mark.browser
def test_template_runs_from_the_editor(page):
    ending, detail = page.evaluate(RUN)
    assert ending == "execution_success", detail
