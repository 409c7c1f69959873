"""What the command says of a rule that somebody wrote in ten lines, and of what is none."""

from textwrap import dedent

import pytest

from guidance_geometry.cli import check as check_rule
from guidance_geometry.guidance.contract import CONTRACT

FITTING = {  # rules of every form, as files of ten lines at most
    "with_a_default": "def rule(u, c, x, gamma, sigma, share=0.5):\n    return c + share * (gamma - 1) * (c - u)",
    "maker": "def rule():\n    return lambda u, c, x, gamma, sigma: u + gamma * (c - u)",
}
UNFIT = {  # and what is said of others
    "def rule(u, c, gamma): return c": "rule takes (u, c, gamma), but is called with (u, c, x, gamma, sigma).",
    "def rule(u, c, x, gamma, sigma): pass": "rule returned NoneType, but D has the shape of c, [3, 4, 8, 8].",
    "def rule(u, c, x, gamma, sigma): return u.guided": "has no attribute 'guided' (rule.py, line 1: def rule",
    "class rule:\n def init(self): pass\n def step(self, state, p, gamma): pass": "rule.init takes (), but is called",
}


def judged(folder, text, capsys):
    """Exit code and output of the command for a file with this text, in this process."""
    (folder / "rule.py").write_text(text, encoding="ascii")
    code = check_rule.main([f"{folder / 'rule.py'}:rule"])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("text", FITTING.values(), ids=FITTING)
def test_a_plain_function_is_a_rule(text, tmp_path, capsys):
    code, said = judged(tmp_path, text, capsys)
    assert code == 0, said
    assert "Everything that is claimed holds." in said


CLAIMED = "def rule(u, c, x, gamma, sigma):\n    return {}\n\nrule.claims = {}"
MIXED = "c + (gamma - 1) * (c - u) * (c - u).std() / (1 + (c - u).std())"


def test_a_function_may_claim_more_and_is_held_to_it(tmp_path, capsys):
    plain = "u + gamma * (c - u)"
    code, said = judged(tmp_path, CLAIMED.format(plain, '{"per item", "in plane"}'), capsys)
    assert (code, "claims: in plane, per item (of " in said) == (0, True), said
    code, said = judged(tmp_path, CLAIMED.format(MIXED, "set()"), capsys)
    assert code == 0, said
    code, said = judged(tmp_path, CLAIMED.format(MIXED, '{"per item"}'), capsys)
    assert (code, "FAILED: batch is singles" in said) == (1, True), said


FAILING = {  # the first line of a rule, and what is said of mending it
    "c -= u; return c + u": "inputs kept: Change no input in place",
    "return c + (gamma - 1) * (c - u) / (c - u).norm()": "c = u gives c: Where c - u is 0",
    "return c + (gamma - 1) * (c - u) * sigma.view(-1, 1, 1, 1)": "has the shape of c, [3, 4, 64]. | ",
}


@pytest.mark.parametrize("line", FAILING)
def test_a_failure_is_told_whole_with_what_mends_it(line, tmp_path, capsys):
    code, said = judged(tmp_path, f"def rule(u, c, x, gamma, sigma):\n    {line}", capsys)
    assert code == 1
    assert FAILING[line] in said.partition("FAILED")[2]


@pytest.mark.parametrize("text", UNFIT)
def test_what_is_no_rule_is_told_once_with_one_that_works(text, tmp_path, capsys):
    code, said = judged(tmp_path, text, capsys)
    assert code == 2
    assert UNFIT[text] in said.splitlines()[0]
    assert said.endswith(f"{CONTRACT}\n")
    assert said.count("def rule(u, c, x, gamma, sigma):\n        return") == 1


def test_the_rule_that_the_contract_shows_works(tmp_path, capsys):
    shown = dedent("\n".join(line for line in CONTRACT.splitlines() if line.startswith("    ")))
    assert judged(tmp_path, shown, capsys)[0] == 0
