"""The templates that a new user opens first, in the real editor."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from guidance_geometry.classifiers.files import load_classifier
from guidance_geometry.dev.browser import page_in
from guidance_geometry.dev.template_address import addressable
from guidance_geometry.dev.templates.layouts import LAYOUTS, TITLE
from guidance_geometry.figures.canvas import Box
from guidance_geometry.sweeps.comfyui.client import RefusedError
from guidance_geometry.sweeps.comfyui.process import DIRECT
from guidance_geometry.tests.queue.prompts import ROOT, first_look, picture
from guidance_geometry.tests.queue.stand_ins import STAND_INS, in_models

FEW = {"ImageNet class with a classifier": 2}  # steps for the test: a pass at 256 x 256 takes seconds on a CPU
SHORTER = """steps => {
  for (const node of (app.rootGraph ?? app.graph).nodes)
    for (const widget of node.widgets ?? []) if (widget.name === "steps") widget.value = steps;
}"""
RUN = """() => new Promise(resolve => {
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    app.api.addEventListener(kind, ({detail}) => resolve([kind, detail]), {once: true});
  app.queuePrompt(0, 1);
})"""
FOLDERS = {"denoiser_name": "denoisers", "classifier_name": "classifiers", "vae_name": "vae"}
WITH_FILES = tuple(LAYOUTS[name] for name in ("Autoguidance", "ImageNet class with a classifier"))
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=[*LAYOUTS])


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stocked(host, server):
    """The host, with stand-ins for the files that a user is told to get."""
    with in_models(server.log.parent / "models"):
        yield server


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=[*LAYOUTS])
def opened(stocked, browser, request):
    """The editor, opened at the address that `dev.py serve` prints, and what it shows."""
    layout = request.param
    with (
        addressable(layout.template, stocked.log.parent / "opened") as address,
        page_in(browser, stocked.address, address) as page,
    ):
        page.wait_for_function("() => (app.rootGraph ?? app.graph).nodes.some(node => node.type === 'GGGuidedSampler')")
        yield page, layout


def test_first_template_has_at_most_eight_nodes_and_one_note():
    types = [node["type"] for node in read(LAYOUTS["First look at guidance"].template)["nodes"]]
    assert types.count("Note") == 1
    assert len(types) <= 9


def named(layout):
    """The files that a template names: (id of the loader, folder of models, name)."""
    for loader, node in read(layout.api).items():
        for widget, folder in FOLDERS.items():
            if str(node["inputs"].get(widget, "")).endswith(".safetensors"):
                yield loader, folder, node["inputs"][widget]


@layouts
def test_files_that_do_not_come_with_the_pack_are_in_a_note_and_have_a_stand_in(layout):
    notes = " ".join(node["widgets_values"][0] for node in read(layout.template)["nodes"] if node["type"] == "Note")
    for _, folder, name in named(layout):
        assert f"{folder}/{name}" in STAND_INS
        assert Path(name).stem in notes
        assert f"ComfyUI/models/{folder}" in notes


@pytest.mark.parametrize("layout", WITH_FILES, ids=lambda layout: layout.name)
def test_without_the_files_each_loader_says_what_is_missing(client, layout):
    with pytest.raises(RefusedError) as caught:
        client.submit(read(layout.api))
    found = caught.value.details["node_errors"]
    assert found.keys() == {loader for loader, *_ in named(layout)}
    for loader, folder, name in named(layout):
        details = {error["details"] for error in found[loader]["errors"]}
        assert all(name in said for said in details)
        if folder != "vae":  # the loader of the VAE is the host's
            assert all(
                f"It is published as {Path(name).stem}.p" in said and f"models/{folder}" in said for said in details
            )


@layouts
def test_no_node_covers_another_or_leaves_its_group(layout):
    workflow = read(layout.template)
    boxes = [Box(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    boxes = [Box(box.x, box.y - TITLE, box.w, box.h + TITLE) for box in boxes]
    for k, box in enumerate(boxes):
        assert not [other for other in boxes[k + 1 :] if box.meets(other)], workflow["nodes"][k]["id"]
    frames = [Box(*group["bounding"]) for group in workflow["groups"]]
    if frames:
        assert not [box for box in boxes if not any(frame.holds(box) for frame in frames)]
        assert not [k for k, frame in enumerate(frames) for other in frames[k + 1 :] if frame.meets(other)]


@pytest.mark.browser
def test_address_opens_the_template(opened):
    page, layout = opened
    shown = page.evaluate("() => (app.rootGraph ?? app.graph).nodes.map(node => [String(node.id), node.type])")
    assert dict(shown) == {str(node["id"]): node["type"] for node in read(layout.template)["nodes"]}


@pytest.mark.browser
def test_template_and_api_form_agree(opened):
    page, layout = opened
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert {node: {key: prompt[node][key] for key in ("class_type", "inputs")} for node in prompt} == read(layout.api)


@pytest.mark.browser
def test_template_runs_from_the_editor(opened):
    page, layout = opened
    if layout.name in FEW:
        page.evaluate(SHORTER, FEW[layout.name])
    ending, detail = page.evaluate(RUN)
    assert ending == "execution_success", detail


def test_the_first_look_runs_on_the_latent_model_by_one_widget(client):
    prompt = first_look()
    prompt["1"]["inputs"]["denoiser_name"] = "pocket-flow-1"
    job = client.run(prompt)
    made = {prompt[node]["class_type"]: output.get("images") for node, output in job.outputs.items()}
    small = np.stack([picture(client, entry)[4::8, 4::8] for entry in made["PreviewImage"]])  # it is enlarged 8 times
    judge, _ = load_classifier(ROOT / "assets" / "classifiers" / "pocket-judge-1.safetensors")
    named = judge(torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1)
    assert small.shape == (10, 32, 32, 3)
    assert (named == torch.arange(10)).sum() >= 9
    assert made["GGFigure"]


def test_a_template_has_an_address_without_a_file_in_this_checkout(server):
    before = sorted((ROOT / "example_workflows").iterdir())
    with addressable(LAYOUTS["First look at guidance"].template, server.log.parent / "opened") as address:
        assert sorted((ROOT / "example_workflows").iterdir()) == before
        name, source = (part.split("=")[1] for part in address.removeprefix("/?").split("&"))
        with DIRECT.open(f"{server.address}/api/workflow_templates/{source}/{name}.json") as answer:
            assert json.load(answer) == read(LAYOUTS["First look at guidance"].template)
    assert not list((server.log.parent / "opened").rglob(f"{name}.*"))
