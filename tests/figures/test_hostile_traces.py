"""A trace file may say anything: it is refused in a sentence, or figures draw it.  See tests/fuzz for any change."""

import json
from dataclasses import replace

import pytest

from guidance_geometry.figures.compare import draw_comparison
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.pictures import Pictures
from guidance_geometry.figures.registry import draw_figure
from guidance_geometry.files.claims import LINE, PAGE
from guidance_geometry.files.safetensors import read_safetensors, write_safetensors
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import load, save


@pytest.fixture
def claiming(tmp_path):
    """A function that gives the path of a trace whose header has these fields."""
    path = tmp_path / "run.safetensors"
    save(exact_trace(4.0, sampler="ddpm", batch=2, steps=4), path)
    tensors, metadata = read_safetensors(path)
    del metadata["gg.sha256"]  # or every change would be refused for it
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}

    def write(**fields):
        header = json.dumps(json.loads(metadata["gg.header"]) | fields)
        write_safetensors(path, tensors, metadata | {"gg.header": header})
        return path

    return write


def drawn(path):
    """The words of the figures of a file."""
    trace = load(path)
    draw_figure(Order(trace, None, None, "blog", "light", Pictures()), "step plane")
    canvas, _ = draw_comparison(trace, trace, pictures=[Pictures(), Pictures()])
    return [words for words, _ in canvas.texts()]


NO_TEXTS = (5, "x", {"x": "y"}, [5], ["x" * (PAGE + 1)], ["a\ud800"])
FIELDS = {  # what each may hold at most, and what it may not hold
    "afterwards": (
        {"steps": [0, 1], "against": "x" * LINE, "evaluations": 2.5, "none": None},
        (5, ["x"], {"x": {}}, {"x": -1}, {"x": ["y"]}, {"x": "y" * (LINE + 1)}, {str(i): 1 for i in range(101)}),
    ),
    "passes": ({"x" * LINE: 3}, (5, ["x"], {"x": "y"}, {"x": None}, {"x": -1}, {str(i): 1 for i in range(1001)})),
    "beside": (["x" * PAGE] * 100, (*NO_TEXTS, ["x"] * 101)),
    "distilled_guidance": (-3.5, ("3.5", True, [3.5], float("nan"), float("inf"), 10**400)),
    "knobs": ([{"key": "x" * PAGE, "value": 3.5}, *[{}] * 999], (*NO_TEXTS[:4], [{"x": {}}], [{}] * 1001)),
    "negative": (True, (1, "x", ["x"])),
    "faults": (["x" * PAGE], (*NO_TEXTS, ["x"] * 10_001)),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_drawn_at_its_largest_and_refused_beyond(claiming, field):
    most, wrong = FIELDS[field]
    assert drawn(claiming(**{field: most}))
    for value in wrong:
        with pytest.raises(ValueError, match=rf"^run\.safetensors: the header: {field}\b.* is needed\. "):
            load(claiming(**{field: value}))


def test_a_text_of_a_file_is_never_set_as_a_formula(claiming):
    for words in (r"$\bad$", r"\$x_t$\$x_t$", "$x_t$$"):
        path = claiming(sampler=words, chain=words, labels=[words] * 2, run=words, model={"name": words})
        assert any(words in said for said in drawn(path))


def test_a_trace_with_a_text_without_end_is_saved_so_that_it_loads(tmp_path):
    trace = exact_trace(4.0, batch=1, steps=3)
    header = {**trace.header, "notes": ["x" * 10**6], "chain": "y" * 10**6}
    save(replace(trace, header=header), tmp_path / "run.safetensors")
    assert len(load(tmp_path / "run.safetensors").header["notes"][0]) == 20_000
