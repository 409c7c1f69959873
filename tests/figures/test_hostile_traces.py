"""A trace file may say anything: it is refused in a sentence, or every reader reads it."""

import json
import random
import re
import time
from dataclasses import replace

import pytest

from guidance_geometry.figures.compare import draw_comparison
from guidance_geometry.figures.difference import difference_images
from guidance_geometry.figures.html import page
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import draw_figure
from guidance_geometry.figures.table import as_csv, as_json, as_text
from guidance_geometry.files.claims import LINE, PAGE
from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.tests.hostile import mutated
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.checks import check
from guidance_geometry.trace.directions import directions_of
from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.record import run_record

TRIES = 50
SLOWEST = 20.0  # seconds of computing for one file: a busy machine takes longer


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Tensors and metadata of a file, and its header."""
    path = tmp_path_factory.mktemp("good") / "run.safetensors"
    trace = exact_trace(4.0, sampler="ddpm", batch=2, steps=4)
    facts = {"options": {"eta": 1.0}, "terms": {"gradient": "+ 2 x gradient"}, "notes": ["a note"]}
    save(replace(trace, header={**trace.header, **facts}), path)
    tensors, metadata = read_safetensors(path)
    del metadata["gg.sha256"]  # or every change would be refused for it
    return {name: tensor.clone() for name, tensor in tensors.items()}, metadata, json.loads(metadata["gg.header"])


def read_by_all(trace):
    """Everything that shows a trace, as far as a header can mislead it."""
    assert len(str(trace)) <= 2000
    check(trace)
    record = run_record(trace, 100_000)
    page(record | {"problems": [], "host": trace.header.get("host") or {}}, {}, {}, "0")
    for read in (as_text, as_csv, as_json, directions_of):
        read(trace)
    order = Order(trace, None, None, "blog", "light", Pictures())
    for read in (
        lambda: draw_figure(order, "step plane"),
        lambda: draw_comparison(trace, trace, pictures=[Pictures(), Pictures()]),
        lambda: difference_images(trace, Pictures()),
    ):
        assert len(refusal_of(read)) < 1000


def refusal_of(read):
    """The sentence with which a ValueError refuses; empty where nothing does."""
    try:
        read()
    except ValueError as refusal:
        return str(refusal)
    return ""


def outcome(path, tensors, metadata):
    """True where a file is read by everything, False where it is refused."""
    write_safetensors(path, tensors, metadata)
    started = time.process_time()
    refusal = refusal_of(lambda: load(path))
    if refusal:
        assert refusal.startswith(path.name)
        assert len(refusal) < 1000
        return False
    read_by_all(load(path))
    assert time.process_time() - started < SLOWEST
    return True


def test_any_change_of_a_header_is_refused_or_read(good, tmp_path):
    tensors, metadata, facts = good
    dice, found = random.Random(0), []
    for _ in range(TRIES):
        header = mutated(facts, dice)
        found.append(outcome(tmp_path / "run.safetensors", tensors, metadata | {"gg.header": json.dumps(header)}))
    assert 5 < sum(found) < TRIES - 5, "some are refused, some are read"


NO_TEXTS = (5, "x", {"x": "y"}, [5], [None], ["x" * (PAGE + 1)], ["a\ud800"])
NEWER = {  # fields that came later: what each may hold at most, and what it may not hold
    "afterwards": (
        {"steps": [0, 1], "against": "x" * LINE, "evaluations": 2.5, "none": None},
        (5, "x", ["x"], {"x": {}}, {"x": -1}, {"x": ["y"]}, {"x": "y" * (LINE + 1)}, {"x" * (LINE + 1): 1},
         {str(i): 1 for i in range(101)}),
    ),
    "passes": ({"x" * LINE: 3}, (5, "x", ["x"], {"x": "y"}, {"x": None}, {"x": -1}, {str(i): 1 for i in range(1001)})),
    "beside": (["x" * PAGE] * 100, (*NO_TEXTS, ["x"] * 101)),
    "distilled_guidance": (-3.5, ("3.5", True, [3.5], {"x": 3.5}, float("nan"), float("inf"), 10**400)),
    "knobs": (
        [{"key": "x" * PAGE, "value": 3.5, "node": None}, *[{}] * 999],
        (*NO_TEXTS[:5], [{"x": {}}], [{}] * 1001),
    ),
    "negative": (True, (1, "x", ["x"], {"x": True})),
    "advice": (["x" * PAGE], (*NO_TEXTS, ["x"] * 10_001)),
    "faults": (["x" * PAGE], (*NO_TEXTS, ["x"] * 10_001)),
}  # fmt: skip


@pytest.mark.parametrize("field", NEWER)
def test_a_newer_field_is_checked_like_the_others(good, tmp_path, field):
    tensors, metadata, facts = good
    most, wrong = NEWER[field]
    path = tmp_path / "run.safetensors"
    assert outcome(path, tensors, metadata | {"gg.header": json.dumps(facts | {field: most})})
    for value in wrong:
        write_safetensors(path, tensors, metadata | {"gg.header": json.dumps(facts | {field: value})})
        assert re.match(rf"run\.safetensors: the header: {field}\b.* is needed\. ", refusal_of(lambda: load(path))), (
            value
        )


@pytest.mark.parametrize("words", [r"$\bad$", r"$x_t$ $\bad$", r"\$x_t$\$x_t$", "$x_t$$"])
def test_a_text_of_a_file_is_never_set_as_a_formula(good, tmp_path, words):
    tensors, metadata, facts = good
    facts = facts | {"sampler": words, "chain": words, "labels": [words] * 2, "run": words, "model": {"name": words}}
    write_safetensors(tmp_path / "run.safetensors", tensors, metadata | {"gg.header": json.dumps(facts)})
    trace = load(tmp_path / "run.safetensors")
    draw_figure(Order(trace, None, None, "blog", "light", Pictures()), "step plane")
    drawn, _ = draw_comparison(trace, trace, pictures=[Pictures(), Pictures()])
    assert any(words in said for said, _ in drawn.texts())


def test_a_trace_with_a_text_without_end_is_saved_so_that_it_loads(tmp_path):
    trace = exact_trace(4.0, batch=1, steps=3)
    header = {**trace.header, "notes": ["x" * 10**6], "chain": "y" * 10**6}
    save(replace(trace, header=header), tmp_path / "run.safetensors")
    assert len(load(tmp_path / "run.safetensors").header["notes"][0]) == 20_000
