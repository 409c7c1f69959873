"""How a tool is found by its name."""

import pytest

from guidance_geometry.lab.__main__ import found, runnable

TOOLS = ["bench.rules", "docs.rules", "first_look", "fuzz.run"]


@pytest.mark.parametrize(
    ("name", "tool"),
    [("first_look", "first_look"), ("run", "fuzz.run"), ("fuzz.run", "fuzz.run"), ("docs.rules", "docs.rules")],
)
def test_a_tool_is_found_with_or_without_its_folder(name, tool):
    assert found(name, TOOLS) == tool


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("look", r"No tool is called 'look'\. There are bench\.rules, "),
        ("rules", r"bench\.rules or docs\.rules\. Give"),
    ],
)
def test_a_name_of_none_or_of_two_is_refused(name, words):
    with pytest.raises(LookupError, match=words):
        found(name, TOOLS)


@pytest.mark.parametrize("name", runnable())
def test_no_tool_hides_another(name):
    assert found(name.rpartition(".")[2], runnable()) == name
