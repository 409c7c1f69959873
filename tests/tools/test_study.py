"""A study on Ray with two actors, against servers that compute nothing."""

import argparse
import contextlib
import io
import json

import pytest
from PIL import Image

from guidance_geometry.studies.axes import Axis
from guidance_geometry.studies.cells import cells_of
from guidance_geometry.studies.plan import Plan
from guidance_geometry.studies.results import Folder
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.tools.fixtures.stub_server import POISON, Stub, serving
from guidance_geometry.trace.file import save

SEEDS = (*range(11), POISON)


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'ray[data]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def plan():
    from guidance_geometry.tools.run_sweep import FIRST_LOOK

    return Plan(json.loads(FIRST_LOOK.read_text()), (Axis("seed", SEEDS),))


def told(plan):
    prompt = cells_of(plan, [], {}, "1")[0].prompt
    given = {n["class_type"]: {"required": {name: ["STRING", {}] for name in n["inputs"]}} for n in prompt.values()}
    return {name: {"display_name": name, "category": "", "input": inputs} for name, inputs in given.items()}


def picture():
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(sink, "PNG")
    return sink.getvalue()


@pytest.fixture
def stubs(plan, tmp_path):
    save(exact_trace(), tmp_path / "trace.safetensors")
    made = [Stub(told(plan), (tmp_path / "trace.safetensors").read_bytes(), picture(), 0.05) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        yield made, [stack.enter_context(serving(one)) for one in made]


def arguments(tmp_path, servers):
    return argparse.Namespace(servers=",".join(servers), server=None, host=None, actors=2, plan=tmp_path / "plan.yaml")


def test_a_study_runs_on_two_servers_sets_poison_aside_and_resumes(ray, plan, stubs, tmp_path, capsys):
    from guidance_geometry.tools.run_study import run_study

    made, addresses = stubs
    folder = Folder(tmp_path / "study")
    folder.begin(plan)
    assert run_study(ray, plan, folder, arguments(tmp_path, addresses)) == 1
    rows = json.loads((folder.path / "results.json").read_text())["rows"]
    assert len(rows) == len({row["id"] for row in rows}) == len(SEEDS) - 1
    assert {row["server"] for row in rows} == set(addresses)
    (aside,) = (folder.path / "rejected").iterdir()
    assert "poisoned" in json.loads(aside.read_text())["error"]
    assert sum(one.ran for one in made) == len(SEEDS) + 1  # the poisoned one twice
    folder.trace_of(rows[0]["id"]).write_bytes(b"half")  # as if killed
    run_study(ray, plan, folder, arguments(tmp_path, addresses))
    assert sum(one.ran for one in made) == len(SEEDS) + 1 + 3  # that one, and the poisoned one twice again
    assert not list(folder.cells.glob(".*"))
    assert "left" in capsys.readouterr().out


def test_servers_that_do_not_fit_are_named_before_any_work(ray, plan, stubs, tmp_path):
    from guidance_geometry.tools.run_study import run_study

    made, addresses = stubs
    del made[1].told["GGSaveTrace"]
    folder = Folder(tmp_path / "study")
    with pytest.raises(ValueError, match=f"{addresses[1]}: it has no node GGSaveTrace"):
        run_study(ray, plan, folder, arguments(tmp_path, addresses))
    assert [one.ran for one in made] == [0, 0]
