import pytest

from guidance_geometry.cli import study


@pytest.mark.parametrize(
    ("output", "text", "words"),
    [
        ("nowhere://a", None, "nowhere://a cannot be opened"),
        ("", None, "results.json is not there"),
        ("", "{", "results.json"),
        ("", "[]", "results.json"),
        ("", '{"rows": [], "plan": {}}', "results.json"),
    ],
)
def test_what_is_no_study_is_a_sentence(tmp_path, capsys, output, text, words):
    if output:
        pytest.importorskip("fsspec", reason="fsspec is not installed: it comes with pip install 'ray[data]'")
    if text:
        (tmp_path / "results.json").write_text(text)
    assert study.main(["plan.yaml", "--report", "--output", output or str(tmp_path)]) == 2
    assert words in capsys.readouterr().err
