"""Every rule of this pack against the invariants, the host's own nodes beside them, and the page that shows both."""

import pytest

from guidance_geometry.dev.fixtures.interfaces import read
from guidance_geometry.guidance.invariants import list_failures


@pytest.fixture(scope="module")
def verdicts(host):
    """Of our rules, and of the host's."""
    import torch

    from guidance_geometry.lab.pages import rules_table

    with torch.inference_mode():
        return rules_table.verdicts_of_ours(), rules_table.verdicts_of_the_host()


def test_every_rule_of_this_pack_holds_what_it_claims(verdicts):
    from guidance_geometry.extension import nodes_in

    ours, _ = verdicts
    assert len(ours) == len(nodes_in("rules")) + 1, "every node, and plain CFG"
    assert {text: list_failures(found) for text, found in ours.items() if list_failures(found)} == {}
    notes = {text: found["neutral is CFG"].note for text, found in ours.items()}
    assert [text for text, note in notes.items() if note] == []


def test_the_page_is_fresh_and_right_about_every_rule_of_this_host(verdicts):
    """`python lab rules_table` writes it.  Of the host's nodes those that both have, and what it mended is no fault."""
    from guidance_geometry.lab.pages.rules_table import PAGE, gist, table

    own, hosts = PAGE.read_text(encoding="utf-8").split("## The host")
    assert len({name for name in read() if f"{name}: " in own}) >= 25
    assert gist(own) == gist(table(verdicts[0])), "run `python lab rules_table`"
    said, found = ({row[0]: row for row in rows} for rows in (gist(hosts), gist(table(verdicts[1]))))
    common = said.keys() & found.keys()
    assert len(common) > 5
    cells = [(rule, *pair) for rule in common for pair in zip(said[rule], found[rule], strict=True)]
    assert [cell for cell in cells if cell[1] != cell[2] and cell[1] != "**FAIL**"] == []


def test_the_suite_finds_what_is_known_to_be_wrong_in_the_host(verdicts):
    """Each measured by hand before: APG is CFG at gamma + 1, batches are coupled or crash, sound crashes."""
    found = {text.split()[0]: list_failures(one) for text, one in verdicts[1].items()}
    assert {"neutral is CFG", "gamma 1 is c"} <= set(found["APG"])
    assert "batch is singles" in found["Mahiro"]
    assert {"batch is singles", "c = u gives c"} <= set(found["PerpNeg"])
    assert "rank 3, 4, 5" in found["RescaleCFG"]
    assert "in plane" in found["CFGZeroStar"]
    assert found["FreSca"] == []
