"""The exported page as a text: whole, closed to what it is given, and free of anything to fetch."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from guidance_geometry.figures.html import page, summary
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.record import run_record

HOSTILE = "</script><script>alert(1)</script><!-- \"' & \u2028"
LINK = re.compile(r"""(?:src|href|action)\s*=\s*["']?(?!data:)[a-z/]|url\(\s*["']?https?:|@import""", re.IGNORECASE)


class Elements(HTMLParser):
    """Scripts by id or type, texts of title and .run, and all attributes."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.texts, self.attributes, self.open = {}, {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.attributes += [(tag, *pair) for pair in attributes]
        key = facts.get("id") or tag if tag == "script" else facts.get("class") or tag
        self.open = (tag, key)
        if tag == "script":
            assert key not in self.scripts
            self.scripts[key] = ""

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open and self.open[0] == "script":
            self.scripts[self.open[1]] += data
        elif self.open:
            self.texts[self.open[1]] = self.texts.get(self.open[1], "") + data


@pytest.fixture(scope="module")
def trace():
    return exact_trace(4.0, batch=2, steps=4, capture=False)


def made(trace, sheets=None, sources=None, **more):
    record = run_record(trace) | {"pictures": {"note": "none"}, "problems": []} | more
    return record, page(record, sheets or {}, sources or {}, "1.2.3")


def test_all_scripts_are_known_and_hold_what_was_given(trace):
    workflow = {"nodes": [{"type": HOSTILE}], "huge": float("inf")}
    record, text = made(trace, {"a.jpg": b"\xff\xd8"}, {"workflow": workflow})
    scripts = Elements(text).scripts
    assert set(scripts) == {"gg-modules", "gg-record", "gg-sheets", "gg-sources", "script"}
    assert json.loads(scripts["gg-record"]) == record
    assert json.loads(scripts["gg-sheets"]) == {"a.jpg": "data:image/jpeg;base64,/9g="}
    assert json.loads(scripts["gg-sources"]) == {"workflow": workflow | {"huge": None}}


def test_hostile_words_open_no_element(trace):
    header = dict(trace.header, labels=[HOSTILE, HOSTILE], sampler=HOSTILE, model={"name": HOSTILE}, chain=HOSTILE)
    plain = Elements(made(trace)[1])
    record, text = made(replace(trace, header=header), sources={"prompt": {HOSTILE: HOSTILE}}, problems=[HOSTILE])
    found = Elements(text)
    assert [pair[:2] for pair in found.attributes] == [pair[:2] for pair in plain.attributes]
    assert json.loads(found.scripts["gg-record"])["labels"] == [HOSTILE, HOSTILE]
    assert HOSTILE in found.texts["title"]
    assert HOSTILE in found.texts["run"]
    assert summary(record).startswith(HOSTILE)


def test_nothing_is_fetched(trace):
    _, text = made(trace)
    without_data = re.sub(r"data:[a-z/]+;base64,[A-Za-z0-9+/=]*", "data:", text)
    assert not LINK.search(without_data)
    (policy,) = [
        value for tag, name, value in Elements(text).attributes if name == "content" and "default-src" in value
    ]
    assert policy.startswith("default-src 'none'")


def test_every_import_of_every_module_is_in_the_map(trace):
    sources = json.loads(gzip.decompress(base64.b64decode(Elements(made(trace)[1]).scripts["gg-modules"])))
    assert {"gg/page.mjs", "gg/panel.mjs", "gg/gram.mjs", "gg/svg.mjs"} <= set(sources)
    for name, source in sources.items():
        wanted = re.findall(r"""^(?:import|export)\b[^;]*?from\s+["']([^"']+)["']""", source, re.MULTILINE)
        assert set(wanted) <= set(sources), name
        assert "import(" not in source
