"""Write what docs/ says of the report's JSON: the tables of docs/report.md, and the answers of the examples.

`python lab verdict_schema` makes the tables of docs/verdict.schema.json, which is the one place where a field is
described, and queues the job of every file in docs/agents/examples with a ComfyUI, to write its report beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...dev.hosts import own_host
from ...dev.places import ROOT
from ...sweeps.comfyui.client import Client
from ..command_line import parser_of
from ..markdown import put_section, table, write

SCHEMA = ROOT / "docs" / "verdict.schema.json"
PAGE, HEADING = ROOT / "docs" / "report.md", "Every field of the report"
EXAMPLES = ROOT / "docs" / "agents" / "examples"
ASKING = {"guidance_geometry": {"record": True}}
KINDS = {
    "number": "number",
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "table",
    "null": "null",
}
ABOUT = (
    "[The schema](verdict.schema.json) says the same to programs. "
    "`python lab verdict_schema` makes these tables from it."
)


def read_schema() -> dict[str, Any]:
    """The schema of a report."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def field_tables(schema: Mapping[str, Any]) -> Iterator[str]:
    """A table of the report's fields, and one of every table in it."""
    titles = {f"#/$defs/{name}": part["title"] for name, part in schema["$defs"].items()}
    tables = [part for part in schema["$defs"].values() if "properties" in part]
    for head, part in (("field", schema), *((part["title"], part) for part in tables)):
        rows = part["properties"].items()
        yield table(f"{head} | type | meaning", ((f"`{n}`", kind_of(one, titles), meaning_of(one)) for n, one in rows))


def meaning_of(field: Mapping[str, Any]) -> str:
    """What a field says, by its description."""
    return str(field["description"])


def kind_of(field: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """What may stand in a field, in words.  titles: of the tables that the schema refers to"""
    if words := field.get("enum") or [field[name] for name in ("const",) if name in field]:
        return ", ".join("null" if word is None else f"`{word}`" for word in words)
    if "$ref" in field:
        return titles[field["$ref"]]
    if several := field.get("anyOf") or field.get("allOf"):
        return " or ".join(kind_of(one, titles) for one in several if one.keys() & {"$ref", "type"})
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    inner = f", each {kind_of(field['items'], titles)}" if "items" in field else ""
    return " or ".join(KINDS[kind] + (inner if kind == "array" else "") for kind in kinds)


def report_of_job(client: Client, prompt: dict) -> dict[str, Any]:
    """The report on the one run of a job."""
    job = client.run(prompt, extra_data=ASKING)
    (run,) = json.loads(client.get("/guidance_geometry/tab/runs", prompt_id=job.prompt_id))["runs"]
    return json.loads(client.get(f"/guidance_geometry/tab/runs/{run['run']}/report"))


def fill_example(client: Client, file: Path) -> None:
    """Queue the job of an example, and keep its report."""
    example = json.loads(file.read_text(encoding="utf-8"))
    example["report"] = report_of_job(client, example["prompt"])
    write(file, json.dumps(example, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Write the tables, and the reports of the examples."""
    options = parser_of(__doc__).parse_args()
    put_section(PAGE, HEADING, ABOUT, *field_tables(read_schema()))
    with own_host(options.host, cpu=True) as server, Client(server.address) as client:
        for file in sorted(EXAMPLES.glob("*.json")):
            fill_example(client, file)


if __name__ == "__main__":
    main()
