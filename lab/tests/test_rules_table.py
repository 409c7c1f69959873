"""Every rule of this pack against the invariants, the host's own nodes beside them, and the page that shows both."""

import pytest

from guidance_geometry.dev.fixtures.interfaces import read
from guidance_geometry.guidance.invariants import list_failures


@pytest.fixture(scope="module")
def ours(host):
    import torch

    from guidance_geometry.lab.pages.rules_table import verdicts_of_ours

    with torch.inference_mode():
        return verdicts_of_ours()


@pytest.fixture(scope="module")
def theirs(host):
    import torch

    from guidance_geometry.lab.pages.rules_table import verdicts_of_the_host

    with torch.inference_mode():
        return verdicts_of_the_host()


@pytest.fixture(scope="module")
def page():
    from guidance_geometry.lab.pages.rules_table import PAGE

    return PAGE.read_text(encoding="utf-8")


def rows_of(verdicts):
    from guidance_geometry.lab.pages.rules_table import gist, table

    return gist(table(verdicts))


def test_every_rule_of_this_pack_holds_what_it_claims(ours):
    from guidance_geometry.extension import nodes_in

    assert len(ours) == len(nodes_in("rules")) + 1, "every node, and plain CFG"
    assert {text: list_failures(verdicts) for text, verdicts in ours.items() if list_failures(verdicts)} == {}
    assert {
        text: verdicts["neutral is CFG"].note for text, verdicts in ours.items() if verdicts["neutral is CFG"].note
    } == {}


def test_the_page_is_fresh(ours, page):
    """`python lab rules_table` writes it."""
    from guidance_geometry.lab.pages.rules_table import gist

    assert len({name for name in read() if f"{name}: " in page}) >= 25
    assert gist(page.split("## The host")[0]) == rows_of(ours), "run `python lab rules_table`"


def test_the_page_is_right_about_every_rule_of_this_host(theirs, page):
    """Of the nodes that both have: what a host has mended since is no fault of the page."""
    from guidance_geometry.lab.pages.rules_table import gist

    said, found = ({row[0]: row for row in rows} for rows in (gist(page.split("## The host")[1]), rows_of(theirs)))
    common = said.keys() & found.keys()
    assert len(common) > 5
    cells = [(rule, *pair) for rule in common for pair in zip(said[rule], found[rule], strict=True)]
    assert [cell for cell in cells if cell[1] != cell[2] and cell[1] != "**FAIL**"] == []


def test_the_suite_finds_what_is_known_to_be_wrong_in_the_host(theirs):
    """Each measured by hand before: APG is CFG at gamma + 1, batches are coupled or crash, sound crashes."""
    found = {text.split()[0]: list_failures(verdicts) for text, verdicts in theirs.items()}
    assert {"neutral is CFG", "gamma 1 is c"} <= set(found["APG"])
    assert "batch is singles" in found["Mahiro"]
    assert {"batch is singles", "c = u gives c"} <= set(found["PerpNeg"])
    assert "rank 3, 4, 5" in found["RescaleCFG"]
    assert "in plane" in found["CFGZeroStar"]
    assert found["FreSca"] == []
