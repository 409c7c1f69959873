"""What docs/ says of the report's JSON is made of its schema."""

from guidance_geometry.lab.markdown import section_in
from guidance_geometry.lab.pages import verdict_schema


def test_the_tables_are_those_of_the_schema():
    """`python lab verdict_schema` writes them."""
    written = section_in(verdict_schema.PAGE, verdict_schema.HEADING)
    for one in verdict_schema.field_tables(verdict_schema.read_schema()):
        assert one in written
