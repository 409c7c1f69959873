"""The JSON Schema of a report, held to the letter: a field that it does not name is a fault here."""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from guidance_geometry.tests.project import ROOT

SCHEMA = json.loads((ROOT / "docs" / "verdict.schema.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """The same, with no field in any table but those that are described."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    own = {"additionalProperties": False} if {"properties", "required"} <= schema.keys() else {}
    return own | {name: closed(one) for name, one in schema.items()}


@cache
def validator():
    Draft202012Validator.check_schema(SCHEMA)
    return Draft202012Validator(closed(SCHEMA))


def misfits(report):
    """What is wrong with the JSON of a report, each with its place."""
    told = json.loads(json.dumps(report, allow_nan=False))
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(told)]
