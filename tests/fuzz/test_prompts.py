"""Whatever is queued, and whatever the files say that it reads, ends in a result or a clear error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .budget import OUTCOMES, budget
from .files import CANARY, remove, spoiled_file, write_file
from .graphs import seeds
from .prompts import PLACES, prompts, readers
from .readings import TABLES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graphs(watched):
    """Small graphs that run, by name."""
    return seeds(watched.catalogue)


def try_prompt(host, kind, graph):
    """Queue a prompt; fail where that is a fault."""
    verdict = host.run(graph)
    OUTCOMES[kind][verdict.kind] += 1
    assert not verdict.is_fault, verdict
    return verdict


@given(data=st.data())
@budget(60)
def test_any_prompt_ends(watched, graphs, data):
    try_prompt(watched, "prompts", data.draw(prompts(graphs, watched.catalogue)))


@given(data=st.data())
@budget(15)
def test_any_file_that_a_node_reads_is_used_or_refused(watched, data):
    kind = data.draw(st.sampled_from(sorted(PLACES)))
    source = data.draw(st.sampled_from(sorted((watched.place / "sources" / kind).iterdir())))
    name = f"spoiled{source.suffix}"
    path = watched.place / PLACES[kind][0] / name
    write_file(path, data.draw(spoiled_file(source, TABLES)), source)
    try:
        try_prompt(watched, f"{kind} in a graph", data.draw(readers(watched.catalogue, kind, name, source)))
        assert not (path.parent / CANARY).exists(), "code was run"
    finally:
        remove(path)
