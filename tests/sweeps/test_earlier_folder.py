"""The folder of a sweep that an earlier version made goes on: nothing runs again, and its tables are the same."""

import json
import shutil

import pytest

from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.plan import read_plan
from guidance_geometry.sweeps.results import Folder
from guidance_geometry.sweeps.rules import Nodes
from guidance_geometry.sweeps.summary import write_summary
from guidance_geometry.tests.project import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
RECENT = FIXTURES / "sweep_folder"  # whose report is in the same words
EARLIER = {RECENT: 6, FIXTURES / "released" / "sweep": 8}  # folder -> its cells
VERSION = "0.1.0"  # of the pack that ran it
MODELS = {}  # of that server, which had none but those of the pack


@pytest.fixture(params=EARLIER, ids=lambda folder: folder.name)
def there(request):
    return request.param


@pytest.fixture
def earlier(tmp_path, there):
    """A copy of the folder, its plan and its cells."""
    shutil.copytree(there, tmp_path / "sweep")
    plan = read_plan(tmp_path / "sweep" / "plan.json")
    told = json.loads((there / "object_info.json").read_text(encoding="utf-8"))
    return Folder(tmp_path / "sweep"), plan, cells_of(plan, Nodes.of(told), MODELS, VERSION)


def test_nothing_of_an_earlier_sweep_runs_again(earlier, there):
    folder, plan, cells = earlier
    assert (len(cells), folder.missing(cells), folder.set_aside(cells)) == (EARLIER[there], [], {})
    (folder.cells / f"{cells[2].id}.json").unlink()
    assert folder.missing(cells) == [cells[2]]
    assert folder.widen(plan) == plan


def test_the_tables_and_the_report_of_an_earlier_sweep_are_the_same(earlier, there):
    folder, plan, cells = earlier
    for name in ("results.csv", "results.json", "report.txt"):
        (folder.path / name).unlink()
    write_summary(folder, plan, cells, "Guidance sweep", "")
    words = [(place / "report.txt").read_text(encoding="utf-8") for place in (folder.path, there)]
    assert words[0] == words[1] or there != RECENT
    again, before = (json.loads((place / "results.json").read_text()) for place in (folder.path, there))
    apart = [[row["measures"].pop("diversity") for row in told["rows"]] for told in (again, before)]
    assert apart[0] == pytest.approx(apart[1])
    assert again == before
    heads = {(place / "results.csv").read_text().splitlines()[0] for place in (folder.path, there)}
    assert len(heads) == 1
