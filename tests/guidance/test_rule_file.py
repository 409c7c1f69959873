"""A rule in a file is found by FILE:RULE; what cannot be one is told in a sentence."""

import sys
from typing import Any

import pytest
import torch

from guidance_geometry.guidance.contract import chain_from
from guidance_geometry.guidance.predictions import Predictions
from guidance_geometry.guidance.rule_file import OFFERED, RuleFile

FUNCTION = "def halfway(u, c, x, gamma, sigma):\n    return c + (gamma - 1) / 2 * (c - u)\n"
CLASS = """
from dataclasses import dataclass

from guidance_geometry.guidance.rules.kinds import Combine

@dataclass(frozen=True)
class Halfway(Combine):
    share: float = 0.5
    def step(self, state, p, gamma):
        return p.cond + self.share * (gamma - 1) * (p.cond - p.uncond), state
"""
MAKER = CLASS + "\ndef made():\n    return Halfway(0.5)\n"


def place_of(words) -> Any:
    """The place of a rule, which is there."""
    return RuleFile.of(words)


def guided(rule):
    one = torch.ones(1)
    zeros, ones = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    own: Any = chain_from(rule).rules[0]
    return own.step(None, Predictions(ones, one, one, zeros, ones), 5.0)[0]


@pytest.mark.parametrize(("text", "name"), [(FUNCTION, "halfway"), (CLASS, "Halfway"), (MAKER, "made")])
def test_a_function_a_class_and_a_maker_are_rules(tmp_path, text, name):
    file = tmp_path / "my rule.py"
    file.write_text(text)
    assert torch.equal(guided(place_of(f"{file}:{name}").rule()), torch.full((1, 3, 4, 4), 3.0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "has no 'halfway'. It has x"),
        ("halfway = 3", "no init"),
        ("def halfway(u, c):\n    return c", "but is called with"),
        ("1 / 0", r"my_rule.py cannot be run: ZeroDivisionError: .* \(my_rule.py, line 1: 1 / 0\)"),
        ("def halfway(:", "cannot be run: SyntaxError"),
    ],
)
def test_a_file_that_has_no_such_rule_is_told(tmp_path, text, words):
    (tmp_path / "my_rule.py").write_text(text)
    with pytest.raises(ValueError, match=words):
        place_of(f"{tmp_path / 'my_rule.py'}:halfway").rule()


def test_another_content_has_another_digest_and_is_the_rule_from_then_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # bytecode of before is no rule of now
    file = tmp_path / "my_rule.py"
    file.write_text(FUNCTION)
    place = place_of(f"{file}:halfway")
    before, first = place.digest, guided(place.rule())
    file.write_text(FUNCTION.replace("/ 2", "/ 4"))
    assert place.digest != before
    assert not torch.equal(guided(place.rule()), first)


def test_what_was_named_at_the_start_goes_by_its_words_in_any_folder(tmp_path, monkeypatch):
    file = tmp_path / "my_rule.py"
    file.write_text(FUNCTION)
    monkeypatch.setenv(OFFERED, "\n".join([f"{file}:halfway", f"{tmp_path}/gone.py:a", "no words"]))
    assert [*RuleFile.list_offers()] == ["my_rule.py:halfway"]
    assert RuleFile.offered("elsewhere/my_rule.py:halfway").file == file
    with pytest.raises(ValueError, match="the command line does not name"):
        RuleFile.offered(f"{tmp_path}/gone.py:a")


def test_other_words_are_no_file_and_a_file_that_is_not_there_is_told():
    assert [RuleFile.of(words) for words in ("APG", "a.py", "a.txt:b", "TCFG + Rescale CFG")] == [None] * 4
    with pytest.raises(ValueError, match=r"names no file\. Give FILE:RULE"):
        RuleFile.of("nowhere.py:halfway")
