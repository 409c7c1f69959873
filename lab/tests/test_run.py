"""How a program is found by its name."""

import pytest

from guidance_geometry.lab.__main__ import find_program, programs

THERE = ["dev.first_look", "lab.bench.rules", "lab.train.run", "lab.pages.rules"]


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("first_look", "dev.first_look"),
        ("run", "lab.train.run"),
        ("train.run", "lab.train.run"),
        ("pages.rules", "lab.pages.rules"),
    ],
)
def test_a_program_is_found_with_or_without_its_folder(name, program):
    assert find_program(name, THERE) == program


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("look", r"No program is called 'look'\. There are dev\.first_look, "),
        ("rules", r"lab\.bench\.rules or lab\.pages\.rules\. Give"),
    ],
)
def test_a_name_of_none_or_of_two_is_refused(name, words):
    with pytest.raises(LookupError, match=words):
        find_program(name, THERE)


@pytest.mark.parametrize("name", programs())
def test_no_program_hides_another(name):
    assert find_program(name.rpartition(".")[2], programs()) == name
