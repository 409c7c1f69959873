"""The fuzzer on real hosts: it sees every kind of fault in a pack that has them, and none in ours."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from guidance_geometry.dev.places import HOST
from guidance_geometry.lab.fuzz import verdicts
from guidance_geometry.lab.fuzz.campaign import Campaign
from guidance_geometry.lab.fuzz.cases import Case, read_case
from guidance_geometry.lab.fuzz.catalogue import catalogue_of
from guidance_geometry.lab.fuzz.edits import put
from guidance_geometry.lab.fuzz.graphs import seeds
from guidance_geometry.lab.fuzz.run import KINDS, campaign_on, fuzz
from guidance_geometry.lab.fuzz.verdicts import Judge
from guidance_geometry.lab.fuzz.watched import Limits, watch_host
from guidance_geometry.tests.shares import share, share_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (HOST / "main.py").exists(), reason="no ComfyUI host: run `python3 dev.py test`"),
]
FAULTY = "faulty_nodes.py"
IMPATIENT = Limits(seconds=3.0, growth=300 << 20, patience=2.0)


def node(kind, value: Any = 1, before=None):
    wired = {} if before is None else {"before": before}
    return {"class_type": f"Faulty{kind}", "inputs": {"value": value, **wired}}


OF_SEVERAL_PARTS = {"GGTracePart"}  # video with sound: no seed has such a model, and other traces are refused


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A campaign against the pack that has every fault."""
    place = tmp_path_factory.mktemp("faulty")
    with watch_host(place, HOST, IMPATIENT) as host:
        shutil.copy(Path(__file__).with_name(FAULTY), place / "custom_nodes")
        judge = Judge(place / "custom_nodes" / FAULTY, lambda name: name.startswith("Faulty"), IMPATIENT)
        catalogue = catalogue_of(host.get("/object_info"), "faulty_nodes")
        yield Campaign(host, judge, catalogue, place / "kept", lambda _: None)


@pytest.mark.turn("fuzz of faults")
def test_a_worker_that_died_is_seen_and_replaced(faulty):
    """The node fails, and the host cannot print one of its inputs."""
    found = faulty.verdict_of(Case("prompt", "", {"1": node("Sound"), "2": node("Killer", -2, ["1", 1])}))
    assert (found.kind, "no words for this" in found.message) == (verdicts.DEAD, True), found
    assert (found.place.startswith(".:"), "__repr__" in found.place) == (True, True), found
    assert faulty.verdict_of(Case("prompt", "", {"1": node("Sound")})).kind == verdicts.OK


@pytest.mark.turn("fuzz of faults")
@pytest.mark.parametrize(
    ("kind", "value", "verdict", "words"),
    [
        ("Sound", 1, verdicts.OK, ""),
        ("Sound", -1, verdicts.CLEAR, "value is below 0"),
        ("Sound", "many", verdicts.REFUSED, "validation"),
        ("Raw", 1, verdicts.RAW, "KeyError: 1"),
        ("Library", 1, verdicts.RAW, "invalid literal"),
        ("Validating", 1, verdicts.RAW, "KeyError"),
        ("Slow", 1, verdicts.SLOW, "s"),
        ("Hanging", 1, verdicts.DEAD, "no answer"),
        ("Hoarder", 1, verdicts.MEMORY, "GB more"),
    ],
)
def test_every_fault_is_seen(faulty, kind, value, verdict, words):
    found = faulty.verdict_of(Case("prompt", kind, {"1": node(kind, value)}))
    assert (found.kind, words in found.message) == (verdict, True), found


@pytest.mark.turn("fuzz of faults")
def test_a_new_fault_is_made_small_and_kept(faulty):
    graph = {str(k): node("Sound", k) for k in range(1, 5)} | {"5": node("Raw", ["2", 0])}
    case = Case("prompt", "raw", graph, [put("2", "value", 7), put("1", "value", 2)])
    _, found = (faulty.try_case(case) for _ in range(2))
    assert faulty.counts["prompt"][verdicts.RAW] == 2
    ((kept, known),) = faulty.faults.values()
    assert known == found
    assert read_case(kept).prompt == {"2": node("Sound", 2), "5": node("Raw", ["2", 0])}
    assert faulty.verdict_of(read_case(kept)).place == found.place


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A campaign against our own pack."""
    with campaign_on(HOST, tmp_path_factory.mktemp("kept"), Limits()) as campaign:
        yield campaign


@pytest.mark.turn("fuzz of the pack")
def test_every_node_of_the_pack_works_in_a_seed(ours, request):
    """Of the nodes and of the templates a third each time: a long matrix that only a running host can list."""
    known = seeds(ours.catalogue)
    subjects = sorted({re.split(r"[(:]", name)[0] for name in known})
    if not request.config.getoption("full"):
        subjects = share(subjects, 3, share_of(request.config))
    names = [name for name in known if re.split(r"[(:]", name)[0] in subjects]
    found = {name: ours.verdict_of(Case("seed", name, known[name])) for name in names}
    assert {name: verdict for name, verdict in found.items() if verdict.is_fault} == {}
    working = {
        facts["class_type"] for name in names if found[name].kind == verdicts.OK for facts in known[name].values()
    }
    wanted = {kind.name for kind in ours.catalogue.values() if kind.ours and kind.name in subjects}
    assert wanted - working - OF_SEVERAL_PARTS == set()


@pytest.mark.turn("fuzz of the pack")
def test_a_short_run_finds_no_fault(ours):
    """The same cases each time; a busy machine tries fewer of them."""
    fuzz(ours, seed=3, counts={"prompt": 150, "header": 50, "model file": 15}, minutes=0.75)
    assert [f"{verdict.kind}: {verdict.message} at {verdict.place}" for _, verdict in ours.faults.values()] == []
    tried = {kind: sum(ours.counts.get(kind, {}).values()) for kind in KINDS}
    assert tried["prompt"] > 10
    assert min(tried.values()) > 0, f"some kind of case was never tried: {tried}"
