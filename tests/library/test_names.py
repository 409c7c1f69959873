"""Every name of the library leads somewhere, and a rule needs no entry to have one."""

from guidance_geometry import library
from guidance_geometry.guidance import rules
from guidance_geometry.guidance.rules.kinds import Rule
from guidance_geometry.tests.classes import classes_in


def test_every_rule_of_the_pack_is_a_name_of_the_library():
    found = {one.__name__: one for one in classes_in(rules, Rule) if one is not Rule}
    found = {name: one for name, one in found.items() if one.__module__.startswith(rules.__name__)}
    assert len(found) > 20
    assert {name: getattr(library, name) for name in found} == found


def test_every_name_leads_somewhere():
    assert dir(library) == sorted(dir(library)) == list(library.__all__)
    assert all(getattr(library, name) is not None for name in dir(library))
