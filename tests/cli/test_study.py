"""A study on Ray with two actors, against servers that compute nothing: one start of Ray for all that needs it."""

import argparse
import contextlib
import ipaddress
import json
import os
import sys
import time

import psutil
import pytest

from guidance_geometry.cli import study, sweep
from guidance_geometry.dev.fixtures.stub_server import POISON
from guidance_geometry.dev.places import ROOT
from guidance_geometry.sweeps.results import Folder

from .stubbed import plan_of_seeds, rows_in, stubs

SEEDS = (*range(6), POISON)
EVEN = {  # on a busy machine too: Ray's own niceness waits for all else, and its first actor takes all cells
    "RAY_worker_niceness": "0",
    "RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S": "600",
}


@pytest.fixture
def two(tmp_path):
    with stubs(tmp_path, 2) as found:
        yield found


def listening_sockets(process):
    """Name and address of every socket on which a process and its children listen."""
    found = set()
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            sockets = one.net_connections(kind="inet")
            found |= {(one.name(), socket.laddr.ip) for socket in sockets if socket.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.slow
def test_a_study_resumes_on_two_servers_sets_poison_aside_and_listens_to_its_own_machine_alone(tmp_path, two):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'ray[data]'")
    made, addresses = two
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    plan.write_text(plan_of_seeds(SEEDS[:3]).text())
    assert sweep.main(["--plan", str(plan), "--server", addresses[0], "--output", str(out)]) == 0
    (out / "cells" / f"{rows_in(out)[0]['id']}.safetensors").write_bytes(b"half")  # as if killed
    plan.write_text(plan_of_seeds(SEEDS).text())
    before, found = sum(one.ran for one in made), set()
    tool = [sys.executable, ROOT, "study", plan, "--ray", "local", "--servers", ",".join(addresses), "--output", out]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with (tmp_path / "log").open("wb") as log:
        child = psutil.Popen(tool, stdout=log, stderr=log, env=clean | EVEN | {"HOME": str(tmp_path)})
        while child.poll() is None:
            found |= listening_sockets(child)
            time.sleep(0.5)
    said = (tmp_path / "log").read_text()
    assert (child.wait(), "1 failed" in said) == (1, True), said
    assert "INFO" not in said, "Ray says nothing where the table is"
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert [one for one in found if not ipaddress.ip_address(one[1].removeprefix("::ffff:")).is_loopback] == []
    rows = rows_in(out)
    assert len(rows) == len({row["id"] for row in rows}) == len(SEEDS) - 1
    assert {row["server"] for row in rows} == set(addresses)
    (aside,) = (out / "rejected").iterdir()
    assert "poisoned" in json.loads(aside.read_text())["error"]
    assert sum(one.ran for one in made) - before == len(SEEDS) - 2 + 1, "two were done; the poisoned one runs twice"
    assert not list((out / "cells").glob(".*"))


def test_servers_that_do_not_fit_are_named_before_any_work(two, tmp_path):
    made, addresses = two
    del made[1].node_types["GGSaveTrace"]
    args = argparse.Namespace(servers=",".join(addresses), timeout=60.0)
    with pytest.raises(ValueError, match=f"{addresses[1]}: it has no node GGSaveTrace"):
        study.run_study(None, plan_of_seeds(SEEDS), Folder(tmp_path / "study"), args, addresses)
    assert [one.ran for one in made] == [0, 0]


def test_servers_that_do_not_answer_are_left_out_at_the_start(two, capsys):
    gone = "http://127.0.0.1:9"
    assert list(study.ask_servers([gone, two[1][0]])[0]) == [two[1][0]]
    assert f"{gone} does not answer" in capsys.readouterr().err
    with pytest.raises(ValueError, match="No server answers"):
        study.ask_servers([gone])
