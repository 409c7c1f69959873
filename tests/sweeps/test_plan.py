import json

import pytest

from guidance_geometry.sweeps.axes import Axis
from guidance_geometry.sweeps.cells import cells_of, pack_version
from guidance_geometry.sweeps.plan import Plan, plan_of, read_plan
from guidance_geometry.tests.project import PROJECT
from guidance_geometry.tests.sweeps.plans import NODES, workflow

AXES = (Axis("cfg", (1, 4)), Axis("seed", (0, 1)))


def cells(plan, models=None, version="1"):
    return cells_of(plan, NODES, models or {}, version)


def test_a_plan_is_read_from_yaml_and_json(tmp_path):
    (tmp_path / "look.json").write_text(json.dumps(workflow()))
    (tmp_path / "plan.yaml").write_text(
        "workflow: look.json\naxes:\n  cfg: [1, 2.5]\n  steps: 1..3\noverrides: {sampler: heun}\nrepeats: 2\n"
    )
    plan = read_plan(tmp_path / "plan.yaml")
    assert plan.axes == (Axis("cfg", (1, 2.5)), Axis("steps", (1, 2, 3)))
    (tmp_path / "again.json").write_text(plan.text())
    assert read_plan(tmp_path / "again.json") == plan
    assert len(cells(plan)) == 2 * 3 * 2
    assert plan_of({"workflow": workflow(), "axes": {"cfg": 1}}).repeats == 1
    assert pack_version() == PROJECT["project"]["version"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axis": {}}, "unknown field 'axis'. Did you mean axes"),
        ({"axes": None}, "no axes"),
        ({"axes": {"cfg": []}}, "no value"),
        ({"overrides": "steps"}, "overrides is 'steps'"),
        ({"workflow": {"1": {"class_type": "KSampler", "inputs": [1]}}}, "no workflow in API form"),
        ({"measures": ["satturation"]}, "Did you mean saturation"),
        ({"axes": {"cfg": [1], "4.seed": [0, 1]}, "repeats": 2}, "4.seed is an axis of seeds, and repeats is 2"),
        ({"repeats": 0}, "repeats is 0"),
        ({"overrides": {"steps": None}}, "NoneType"),
        ({"workflow": "absent.json"}, "absent.json' cannot be read"),
    ],
)
def test_what_a_plan_cannot_be_is_said(changes, words):
    told = {"workflow": workflow(), "axes": {"cfg": [1, 2]}} | changes
    with pytest.raises(ValueError, match=words):
        plan_of(told)


def test_a_file_that_is_no_plan_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("axes: [1, 2")
    with pytest.raises(ValueError, match=r"broken.yaml: This is no YAML"):
        read_plan(tmp_path / "broken.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        read_plan(tmp_path / "absent.yaml")
    with pytest.raises(ValueError, match="Did you mean steps"):
        cells(Plan(workflow(), (Axis("stesp", (1,)),)))


def test_an_id_depends_on_what_decides_the_result_and_on_nothing_else():
    plan = Plan(workflow(), AXES)
    ids = [cell.id for cell in cells(plan)]
    assert len(set(ids)) == 4
    titled = workflow()
    titled["4"]["_meta"] = {"title": "mine"}
    assert ids == [cell.id for cell in cells(Plan(titled, AXES))]
    assert ids == [cell.id for cell in cells(Plan(dict(reversed(titled.items())), AXES))], "in any order"
    assert ids[:2] == [cell.id for cell in cells(Plan(workflow(), (Axis("cfg", (1,)), AXES[1])))]
    assert not set(ids) & {cell.id for cell in cells(plan, version="2")}
    assert not set(ids) & {cell.id for cell in cells(plan, models={"pocket-flow-1": 2})}
    assert ids == [cell.id for cell in cells(plan, models={"another": 2})]
    titled["2"]["inputs"]["label"] = "\ud83c"  # half of a letter, as some browsers send it
    assert cells(Plan(titled, AXES))[0].id not in ids
