"""How the pages of docs/ are set."""

from guidance_geometry.lab.markdown import bullets, page, put_section, table


def test_a_table_has_a_head_a_rule_and_its_rows():
    assert table("a | b", [[1, "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_blocks_stand_apart_and_an_empty_one_leaves_nothing():
    assert page("# One\n", bullets("ab"), "", "two") == "# One\n\n- a\n- b\n\ntwo\n"


def test_a_section_of_a_page_is_replaced_and_the_others_stay(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Page\n\nOpening.\n", encoding="utf-8")
    put_section(path, "One", "first")
    put_section(path, "Two", "second")
    put_section(path, "One", "third", "fourth")
    words = "# Page\n\nOpening.\n\n## One\n\nthird\n\nfourth\n\n## Two\n\nsecond\n"
    assert path.read_text(encoding="utf-8") == words
