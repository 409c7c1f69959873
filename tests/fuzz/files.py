"""Strategies for files: JSON and YAML whose claims are changed, and safetensors.

Nothing here trusts a library to write what is wrong: a safetensors file is taken apart and put together by hand.
"""

import json
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from safetensors.torch import save

from guidance_geometry.tests.hostile import places

from .values import texts

CANARY = "canary"  # a folder that code in a file would make
PICKLE = "cposix\nmkdir\n(S'{canary}'\ntR."
DEEPEST = 1500
snippets = st.one_of(  # of JSON, and of what is almost that
    st.sampled_from(("null", "true", "[]", "{}", "-1", "0", "1e308", "-1e308", "1e999", "NaN", "-Infinity", "9" * 400)),
    st.sampled_from(('"\\ud800"', '"\\u0000"', '"nan"', '{"": {}}', '{"x": 1, "x": 2}', '"\xff"', f'"{"x" * 10**6}"')),
    st.integers(0, DEEPEST).map(lambda levels: "[" * levels + "]" * levels),
    st.integers(1, DEEPEST).map(lambda levels: '{"a":' * levels + "1" + "}" * levels),
    st.integers().map(str), texts.map(json.dumps),
)  # fmt: skip
of_yaml = st.sampled_from(("{1: 2}", "{null: 1}", "{2020-01-01: x}", "2020-01-01", "!!set {a, b}", "!!binary aGk=",
                           "&a [*a, *a]", "!!python/name:os.system", "{? [1] : 2}", "\t"))  # fmt: skip


@st.composite
def claims(draw, document, table=(), hostile=snippets):
    """The text of a document in which something else stands at a place, or in which a claim is added or gone.

    document: a table. table: names of fields that a reader knows; hostile: what stands there
    """
    fields = [(), *((name,) for name in table)]
    path = draw(st.sampled_from(fields) | st.sampled_from([*places(document)] or fields))
    snippet = draw(hostile | st.floats().map(json.dumps))
    if not path:
        return snippet
    made = owner = json.loads(json.dumps(document))
    for key in path[:-1]:
        owner = owner[key]
    name = path[-1]
    if isinstance(name, str):  # a field; `a.b` is field b of the table a
        name, *inner = name.split(".")
        for key in reversed(inner):
            snippet = f'{{"{key}": {snippet}}}'
    if isinstance(owner, dict) and draw(st.integers(0, 5)) == 5:
        owner.pop(name, None)
    else:
        owner[name] = "@here@"
    return json.dumps(made).replace('"@here@"', snippet)


@dataclass
class Parts:
    """A safetensors file taken apart.  header: tensor name -> claim, without its place. pieces: its bytes, by name"""

    metadata: dict
    header: dict
    pieces: dict

    @classmethod
    def of(cls, content):
        """Take apart."""
        length = int.from_bytes(content[:8], "little")
        header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
        metadata = header.pop("__metadata__", {})
        metadata.pop("gg.sha256", None)  # or every change of a trace would be refused for it
        return cls(metadata, header, {name: body[slice(*claim.pop("data_offsets"))] for name, claim in header.items()})

    def join(self):
        """Put together; a place that a header claims stays as it is."""
        body, header = b"", {"__metadata__": self.metadata}
        for name, claim in self.header.items():
            place = [len(body), len(body) + len(self.pieces[name])]
            header[name] = {"data_offsets": place, **claim} if isinstance(claim, dict) else claim
            body += self.pieces[name]
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + body


TYPES = ("float64", "float32", "float16", "int64", "bool", "complex64", "float8_e4m3fn")
FILLS = (0.0, 1.0, -1.0, float("nan"), float("inf"), 5e-324, 1e308, -1e308)
LENGTHS = (0, 1, 2**16, 2**24, 2**31, 2**40, 2**63, 2**64 - 1)
CONTENTS = ("", "{", "[]", "null", "\x08" + "\0" * 7 + "{}      ", "PK\x03\x04", "\x80\x02}.", PICKLE, "GGUF", "<html>")


def change_metadata(draw, parts, tables):
    """A key is something else, or something within a key that holds JSON.  tables: key -> names of its fields"""
    there = sorted(parts.metadata) or ["workflow"]
    key = draw(st.sampled_from(there) | st.sampled_from(sorted({*tables, "gg.format", "workflow"})))
    text = parts.metadata.get(key, "")
    inside = json.loads(text) if text[:1] in ("[", "{") else None
    fields = tables.get(key, ()) if isinstance(inside, dict) else ()
    parts.metadata[key] = draw(claims(inside, fields) if inside else snippets | texts)


def change_tensor(draw, parts, _):
    """A tensor has other numbers, or another shape and type, or is not there, or one more is."""
    name = draw(st.sampled_from([*sorted(parts.header), "more"]))
    if draw(st.integers(0, 4)) == 4:
        parts.header.pop(name, None)
        return
    shape = parts.header.get(name, {}).get("shape", [1]) if draw(st.booleans()) else draw(st.lists(st.integers(0, 4)))
    filled = torch.full(shape, draw(st.sampled_from(FILLS)), dtype=torch.float64)
    filled.view(-1)[:: draw(st.sampled_from((1, 7)))] = draw(st.sampled_from(FILLS) | st.floats())
    made = Parts.of(save({name: filled.to(getattr(torch, draw(st.sampled_from(TYPES))))}))
    parts.header[name], parts.pieces[name] = made.header[name], made.pieces[name]


WAYS = ((change_metadata,), (change_tensor,) * 3, (change_metadata, change_tensor), ())


def spoil_safetensors(draw, content, tables):
    """A safetensors file with one to three changes, or with a few bytes that are others."""
    parts = Parts.of(content)
    ways = draw(st.sampled_from(WAYS))
    for change in ways[: draw(st.integers(1, 3))]:
        change(draw, parts, tables)
    return parts.join() if ways else spoil_bytes(draw, content)


def spoil_bytes(draw, content):
    """Bytes that are cut, longer, another length of the header, one other byte, or another file altogether."""
    at, way = draw(st.integers(0, max(0, len(content) - 1))), draw(st.integers(0, 4))
    return (
        content[:at],
        content + bytes(draw(st.sampled_from((1, 8, 4096)))),
        draw(st.sampled_from(LENGTHS)).to_bytes(8, "little") + content[8:],
        content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :],
        draw(st.sampled_from(CONTENTS)).encode("latin-1"),
    )[way]
