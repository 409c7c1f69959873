import pytest

from guidance_geometry.guidance.chain import Chain
from guidance_geometry.guidance.presets import PRESETS


def test_plain_is_the_empty_chain_and_no_other_preset_is_plain():
    assert PRESETS["plain CFG"].rules == ()
    assert all(not rule.neutral for preset in PRESETS.values() for rule in preset.rules)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("less burn (APG)", "APG eta 0, cap 0.06 sqrt(N), momentum -0.5 in x0 > CFG"),
        ("flow (CFG-Zero*)", "CFG-Zero*, zero-init 1 > CFG"),
        ("faster (interval + reuse)", "interval percent 0.05 .. 0.6 > u every 2 steps (line) > CFG"),
    ],
)
def test_a_preset_is_the_chain_that_its_name_says(name, text):
    assert Chain(PRESETS[name].rules).text == text
    assert PRESETS[name].advice.endswith(".")
