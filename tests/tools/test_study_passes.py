"""What becomes of the cells of a study, by two workers in this process that share two servers."""

import pytest

from guidance_geometry.files.writing import NotWritten
from guidance_geometry.studies.cells import cells_of
from guidance_geometry.studies.results import Folder
from guidance_geometry.tools.fixtures.stub_server import POISON
from guidance_geometry.tools.places import ROOT
from guidance_geometry.tools.study_passes import Tally, as_rows, left_over, passes
from guidance_geometry.tools.study_worker import CellRunner, Seats

from .stubbed import plan_of_seeds, stubs

PATIENCE = (20.0, (0.01,))


class InTurn:
    """Two workers, each with every second cell."""

    def __init__(self, folder, addresses, output=None):
        self.seats = Seats(addresses)
        made = (str(ROOT), str(output or folder.path), ["strength"], self.seats, "", False, PATIENCE)
        self.workers = [CellRunner(*made) for _ in addresses]

    def __call__(self, cells, tally):
        for number, row in enumerate(as_rows(cells)):
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
        folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds(seeds), [], {}, "1")
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
    assert sum(tally.lost.values()) == 1
    assert not tally.failed


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
        folder, cells = Folder(tmp_path / "study"), cells_of(plan_of_seeds([0]), [], {}, "1")
        crew = InTurn(folder, addresses)
        passes(folder, cells, crew)
        assert (len(crew.seats.left()), rejected(folder), folder.missing(cells)) == (2, 0, cells)


def test_a_folder_that_the_actors_do_not_share_is_named(study, tmp_path):
    folder, cells, tally, _ = study(range(2), output=tmp_path / "elsewhere")
    assert "does not hold what the actors wrote" in left_over(folder, cells, tally, [])


def test_a_result_that_cannot_be_kept_ends_the_study(study, tmp_path):
    (tmp_path / "study").write_text("a file stands where the folder should be")
    with pytest.raises(NotWritten, match="could not be written"):
        study(range(2))
    assert Tally().again([]) == []


def test_actors_share_servers_evenly_and_keep_theirs():
    seats = Seats(["a", "b"])
    assert [seats.take(actor) for actor in (1, 2, 3, 2)] == ["a", "b", "a", "b"]
    seats.lose("a")
    assert [seats.take(actor) for actor in (1, 2, 3)] == ["b", "b", "b"]
    seats.lose("b")
    assert seats.take(1) == ""
