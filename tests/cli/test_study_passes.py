"""What becomes of the cells of a study, by two workers in this process that share two servers."""

import pytest

from guidance_geometry.dev.fixtures.stub_server import POISON, keep, white_picture
from guidance_geometry.dev.places import ROOT
from guidance_geometry.sweeps.cells import cells_of
from guidance_geometry.sweeps.cluster import worker as study_worker
from guidance_geometry.sweeps.cluster.passes import left_over, passes, rows_for_ray
from guidance_geometry.sweeps.cluster.worker import DONE, CellRunner, Seats
from guidance_geometry.sweeps.results import Folder
from guidance_geometry.sweeps.rules import NOTHING
from guidance_geometry.tests.traces import trace_in

from .stubbed import plan_of_seeds, stubs, told

PATIENCE = (20.0, (1e-6,))
DIES_ONCE = f"""
import asyncio, runpy, sys
from pathlib import Path

made, here = runpy.run_path({str(ROOT / "dev" / "fixtures" / "stub_server.py")!r}), Path.cwd()
stub = made["keep_stub"](here, 0.0)
starts = here / "starts"
stub.dies_at = None if starts.exists() else 1
with starts.open("a") as file:
    file.write("x")
asyncio.run(made["serve"](stub, int(sys.argv[sys.argv.index("--port") + 1])))
"""


class InTurn:
    """Two workers, each with every second cell."""

    def __init__(self, folder, addresses, output=None, hosts=None, root=ROOT):
        self.seats = Seats(addresses, after=0.0)
        made = {"root": str(root), "output": str(output or folder.path), "measures": ["strength"], "seats": self.seats}
        made |= {"reports": False, "patience": PATIENCE}
        self.workers = [CellRunner(**made, host=host) for host in hosts or [""] * len(addresses)]

    def __call__(self, cells, tally):
        for number, row in enumerate(rows_for_ray(cells)):
            tally.add(self.workers[number % len(self.workers)](row))


@pytest.fixture
def two(tmp_path):
    with stubs(tmp_path, 2) as found:
        for stub in found[0]:
            stub.seconds = 0
        yield found


@pytest.fixture
def study(two, tmp_path):
    """Seeds -> the folder, the cells, what came of them, and the servers that are left."""

    def run(seeds, output=None):
        folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds(seeds), NOTHING, {}, "1")
        crew = InTurn(folder, two[1], output)
        tally = passes(folder, cells, crew)
        return folder, cells, tally, crew.seats.left()

    return run


def rejected(folder):
    found = folder.path / "rejected"
    return len(list(found.iterdir())) if found.exists() else 0


def test_the_cells_of_a_server_that_dies_run_on_another(study, two):
    two[0][1].dies_at = 3
    folder, cells, tally, left = study(range(10))
    assert (folder.missing(cells), rejected(folder), left) == ([], 0, two[1][:1])
    assert sum(tally.deaths.values()) == 1
    assert not tally.errors


def test_cells_without_any_server_are_missing_and_not_set_aside(study, two):
    two[0][0].dies_at, two[0][1].dies_at = 3, 2
    folder, cells, tally, left = study(range(10))
    assert (len(folder.missing(cells)), rejected(folder), left) == (7, 0, [])
    words = left_over(folder, cells, tally, two[1])
    assert words.startswith(f"7 of 10 cells have no result. Gone: {two[1][0]}, {two[1][1]}.")


def test_a_cell_that_fails_on_servers_that_answer_is_set_aside(study, two):
    folder, cells, tally, left = study([0, POISON, 1])
    assert (rejected(folder), len(folder.missing(cells)), left) == (1, 1, two[1])
    assert left_over(folder, cells, tally, []) == ""
    assert sum(stub.ran for stub in two[0]) == 2 + 2


def test_a_cell_at_which_servers_die_again_and_again_does_not_take_them_all(tmp_path):
    with stubs(tmp_path, 4) as (made, addresses):
        for stub in made:
            stub.seconds, stub.dies_at = 0, 1
        folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds([0]), NOTHING, {}, "1")
        crew = InTurn(folder, addresses)
        passes(folder, cells, crew)
        assert (len(crew.seats.left()), rejected(folder), folder.missing(cells)) == (2, 0, cells)


def test_a_server_that_was_given_up_is_taken_again_when_it_answers(study, two):
    two[0][1].nap = 2, 3
    folder, cells, tally, left = study(range(12))
    assert (folder.missing(cells), set(left), sum(tally.deaths.values())) == ([], set(two[1]), 1)
    rows = [row for row in folder.rows(cells) if row["server"] == two[1][1]]
    assert len(rows) >= 4
    assert {row["machine"] for row in rows} == {"ComfyUI 0.0.0, none"}


def test_the_cells_of_an_actor_whose_host_never_starts_run_with_another(two, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(study_worker.time, "sleep", slept.append)
    folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds(range(10)), NOTHING, {}, "1")
    crew = InTurn(folder, two[1][:1], hosts=["", str(tmp_path / "nowhere")])
    tally = passes(folder, cells, crew)
    assert (folder.missing(cells), left_over(folder, cells, tally, [])) == ([], "")
    assert slept[2] < slept[3] < slept[4], "after its starts it keeps each cell for longer, so that others get more"


def test_an_actor_starts_its_own_comfyui_again_when_a_cell_has_ended_it(tmp_path):
    host = tmp_path / "ComfyUI"
    (host / "comfy").mkdir(parents=True)
    (host / "main.py").write_text(DIES_ONCE)
    keep(host, told(), trace_in(tmp_path), white_picture())
    folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds(range(2)), NOTHING, {}, "1")
    crew = InTurn(folder, [], hosts=[str(host)])
    (worker,) = crew.workers
    try:
        tally = passes(folder, cells, crew)
        assert (folder.missing(cells), rejected(folder), left_over(folder, cells, tally, [])) == ([], 0, "")
        assert (host / "starts").read_text() == "xx"
        (server,) = {row["server"] for row in folder.rows(cells) if row}
        assert server.startswith("own ComfyUI on ")
        assert crew.seats.able(60), "the actor says that it can run cells, and no server is left"
    finally:
        worker.exits.close()


def test_a_cell_that_is_handed_out_again_does_not_run_again(two, tmp_path):
    """As Ray does with what an actor had in hand when it died."""
    folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds([0]), NOTHING, {}, "1")
    (worker,) = InTurn(folder, two[1][:1]).workers
    first, again = (worker(row) for row in rows_for_ray(cells) * 2)
    assert (first["end"], again, two[0][0].ran) == (DONE, first, 1)


def test_actors_share_servers_evenly_and_keep_theirs():
    seats = Seats(["a", "b"])
    assert [seats.take(actor) for actor in (1, 2, 3, 2)] == ["a", "b", "a", "b"]
    seats.lose("a")
    assert [seats.take(actor) for actor in (1, 2, 3)] == ["b", "b", "b"]
    seats.lose("b")
    assert seats.take(1) == ""


def test_a_silent_server_is_asked_after_growing_pauses():
    seats = Seats(["a"], after=60.0)
    seats.lose("a")
    assert (seats.due(), seats.silent["a"][1], seats.able(60)) == ("", 120.0, False)
