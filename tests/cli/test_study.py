"""A study on Ray with two actors, against servers that compute nothing."""

import argparse
import contextlib
import ipaddress
import json
import logging
import os
import sys
import time

import psutil
import pytest

from guidance_geometry.dev.fixtures.stub_server import POISON
from guidance_geometry.dev.places import ROOT
from guidance_geometry.sweeps.results import CELLS, Folder

from .stubbed import plan_of_seeds, stubs

SEEDS = (*range(11), POISON)
PLAN = plan_of_seeds(SEEDS)


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'ray[data]'")
    even = {"worker_niceness": 0}  # Ray's own 15 would wait for everything else on a busy machine
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error", _system_config=even)
    ray.data.DataContext.get_current().wait_for_min_actors_s = 600  # or the first takes all cells on a busy machine
    yield ray
    ray.shutdown()


def listening_sockets(process):
    """Name and address of every socket on which a process and its children listen."""
    found = set()
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            sockets = one.net_connections(kind="inet")
            found |= {(one.name(), socket.laddr.ip) for socket in sockets if socket.status == psutil.CONN_LISTEN}
    return found


@pytest.mark.slow
def test_the_ray_of_a_study_listens_to_its_own_machine_alone(tmp_path, two):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'ray[data]'")
    (tmp_path / "plan.json").write_text(PLAN.text())
    tool = [sys.executable, ROOT, "study", tmp_path / "plan.json", "--ray", "local"]
    given = ["--servers", ",".join(two[1]), "--output", tmp_path / "out"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    found = set()
    with (tmp_path / "log").open("wb") as log:
        study = psutil.Popen([*tool, *given], stdout=log, stderr=log, env=clean | {"HOME": str(tmp_path)})
        while study.poll() is None:
            found |= listening_sockets(study)
            time.sleep(0.5)
    assert study.wait() == 1, (tmp_path / "log").read_text()  # one cell is poisoned
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert [one for one in found if not ipaddress.ip_address(one[1].removeprefix("::ffff:")).is_loopback] == []


@pytest.fixture
def two(tmp_path):
    with stubs(tmp_path, 2) as found:
        yield found


def arguments(tmp_path, servers):
    return argparse.Namespace(
        servers=",".join(servers),
        server=None,
        comfyui=None,
        output=str(tmp_path / "out"),
        cpu=False,
        actors=2,
        plan=tmp_path / "plan.yaml",
        timeout=60.0,
        batch=1,
    )


def test_a_study_runs_on_two_servers_sets_poison_aside_and_resumes(ray, two, tmp_path, capsys):
    from guidance_geometry.cli.study import run_study

    made, addresses = two
    folder = Folder(tmp_path / "study")
    assert run_study(ray, PLAN, folder, arguments(tmp_path, addresses), addresses) == 1
    rows = json.loads((folder.path / "results.json").read_text())["rows"]
    assert len(rows) == len({row["id"] for row in rows}) == len(SEEDS) - 1
    assert {row["server"] for row in rows} == set(addresses)
    (aside,) = (folder.path / "rejected").iterdir()
    assert "poisoned" in json.loads(aside.read_text())["error"]
    assert sum(one.ran for one in made) == len(SEEDS) + 1  # the poisoned one twice
    cells = tmp_path / "study" / CELLS
    (cells / f"{rows[0]['id']}.safetensors").write_bytes(b"half")  # as if killed
    assert run_study(ray, plan_of_seeds(SEEDS[:-1]), folder, arguments(tmp_path, addresses), addresses) == 0
    assert sum(one.ran for one in made) == len(SEEDS) + 1 + 1
    assert not list(cells.glob(".*"))
    assert "1 failed" in capsys.readouterr().out


def test_seats_tell_actors_apart_by_what_ray_calls_them(ray):
    """All that is in one process is one actor, whatever it calls itself."""
    from guidance_geometry.sweeps.cluster import worker

    ray.cloudpickle.register_pickle_by_value(worker)
    seats = worker.SeatsOnRay(ray.remote(num_cpus=0)(worker.Seats).remote(["a", "b"]))
    assert (seats.take(1), seats.take(2), seats.left()) == ("a", "a", ["a", "b"])
    seats.lose("a")
    assert (seats.left(), seats.take(1)) == (["b"], "b")


def test_ray_tells_nothing_where_the_table_is(ray):
    from guidance_geometry.sweeps.cluster.passes import quiet

    quiet()
    console = [one for one in logging.getLogger("ray.data").handlers if one.level]
    assert [one.level for one in console] == [logging.ERROR]
    assert any(not one.level for one in logging.getLogger("ray.data").handlers), "the file still has all of it"


def test_servers_that_do_not_fit_are_named_before_any_work(ray, two, tmp_path):
    from guidance_geometry.cli.study import run_study

    made, addresses = two
    del made[1].node_types["GGSaveTrace"]
    folder = Folder(tmp_path / "study")
    with pytest.raises(ValueError, match=f"{addresses[1]}: it has no node GGSaveTrace"):
        run_study(ray, PLAN, folder, arguments(tmp_path, addresses), addresses)
    assert [one.ran for one in made] == [0, 0]


def test_servers_that_do_not_answer_are_left_out_at_the_start(two, capsys):
    from guidance_geometry.cli.study import ask_servers

    gone = "http://127.0.0.1:9"
    assert list(ask_servers([gone, two[1][0]])[0]) == [two[1][0]]
    assert f"{gone} does not answer" in capsys.readouterr().err
    with pytest.raises(ValueError, match="No server answers"):
        ask_servers([gone])


def test_a_cluster_that_is_not_there_is_named():
    import types

    from guidance_geometry.cli import study as run_study

    def nobody(**_):
        raise ConnectionError("Could not find any running Ray instance")

    with pytest.raises(ValueError, match=r"^No Ray cluster answers at auto\."):
        run_study.join_cluster(types.SimpleNamespace(init=nobody), "auto")
