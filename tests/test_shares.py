import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from guidance_geometry.tests.shares import left_out, share, share_of_steps, tree_of


@pytest.mark.parametrize("count", [1, 3, 8, 27])
def test_a_share_is_a_part_of_the_cases_in_their_order(count):
    cases = list(range(count))
    found = share(cases, 4, "a day")
    assert found == sorted(found)
    assert len(found) == -(-count // 4)
    assert found == share(cases, 4, "a day")


def test_the_same_files_run_the_same_share(tmp_path):
    def git(*words):
        name = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True)

    assert tree_of(tmp_path) == "no commit"
    git("init")
    trees = []
    for text in ("one", "two", "one"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-m", text)
        trees.append(tree_of(tmp_path))
    assert trees[0] == trees[2] != trees[1]


def test_every_case_has_its_day():
    cases = list(range(27))
    assert {case for day in range(60) for case in share(cases, 4, f"day {day}")} == set(cases)


@pytest.mark.parametrize("most", [100, 10_000])
def test_a_long_run_is_whole_with_full_and_else_another_part_every_day(most):
    def config(day, full=False):
        return SimpleNamespace(getoption={"full": full, "share": day}.get)

    days = [share_of_steps(config(f"day {day}"), most) for day in range(60)]
    assert most // 50 <= min(days) < max(days) <= most // 25
    assert days[3] == share_of_steps(config("day 3"), most)
    assert share_of_steps(config("day 3", full=True), most) == most


@dataclass(eq=False)
class Case:
    """A collected test, as far as its marks go."""

    nodeid: str
    matrix: Any = None
    turn: tuple = ()

    def get_closest_marker(self, name):
        given = getattr(self, name)
        return SimpleNamespace(kwargs=given, args=given) if given else None


def test_only_matrices_are_shared():
    long = [Case(nodeid=f"a.py::long[{i}]", matrix={"parts": 4}) for i in range(8)]
    away = left_out([*long, *(Case(nodeid=f"a.py::short[{i}]") for i in range(8))], "a day")
    assert len(away) == 6
    assert set(away) < set(long)


@pytest.mark.parametrize("day", range(8))
def test_tests_that_belong_together_all_run_or_none(day):
    pages = [
        Case(nodeid=f"{file}.py::test[{page}]", matrix={"parts": 2, "together": page})
        for file in "ab"
        for page in ("one", "other")
    ]
    away = {case.matrix["together"] for case in left_out(pages, f"day {day}")}
    assert len(away) == 1
    assert len(left_out(pages, f"day {day}")) == 2


def test_the_longest_tests_take_turns_wherever_they_stand():
    def away(day):
        return {case.turn[0] for case in left_out(longest, f"day {day}")}

    names = ("sweeps", "studies", "fuzz")
    longest = [Case(nodeid=f"{name}.py::test_{k}", turn=(name,)) for name in names for k in range(2)]
    assert all(len(away(day)) == 2 for day in range(8))
    assert set().union(*(set(names) - away(day) for day in range(40))) == set(names)
    assert len(left_out(longest, "day 0")) == 4, "of a name all or none"


def test_a_test_with_both_marks_runs_where_both_let_it_and_every_one_has_its_day():
    pages = [Case(f"a.py::{name}[{page}]", {"parts": 2, "together": page}, (name,)) for name in "xyz" for page in "12"]
    run = [set(pages) - {*left_out(pages, f"day {day}")} for day in range(80)]
    assert {len(day) for day in run} == {1}
    assert set.union(*run) == set(pages)
