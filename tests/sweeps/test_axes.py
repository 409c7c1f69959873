import pytest

from guidance_geometry.sweeps.axes import Axis, TooManyCells, axes_of, check_count, count, duration, places, value_at


def test_lines_are_axes():
    axes = axes_of('cfg: 1, 2.5, 4\n# a remark\n\nseed: 0..3\nrule: cfg, APG + CFG-Zero*\nprompt: "a cat, asleep", dog')
    assert [axis.name for axis in axes] == ["cfg", "seed", "rule", "prompt"]
    assert [axis.values for axis in axes] == [
        (1, 2.5, 4), (0, 1, 2, 3), ("cfg", "APG + CFG-Zero*"), ("a cat, asleep", "dog")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "word", "kind"),
    [
        ("cfg", "cfg", "scale"), ("gamma", "cfg", "scale"), ("4.cfg", "cfg", "scale"), ("noise_seed", "seed", "seed"),
        ("repeat", "repeat", "seed"), ("6.text", "prompt", "prompt"), ("label", "label", "label"),
        ("rule", "rule", "rule"), ("APG.eta", "eta", "knob"), ("4.sampler_name", "sampler", "knob"),
        ("steps", "steps", "widget"), ("sampler_name", "sampler", "widget"),
    ],
)  # fmt: skip
def test_an_axis_has_a_word_and_a_kind(name, word, kind):
    axis = Axis(name, (1,))
    assert (axis.word, axis.kind) == (word, kind)


@pytest.mark.parametrize(
    "values", [(1, 2.5, -3), ("a, b", 'say "so"', "plain"), (True, False), ("007", "0..3", " a", "")]
)
def test_an_axis_reads_back_from_its_text(values):
    assert axes_of(Axis("n.w", values).text) == (Axis("n.w", values),)
    assert Axis("n.w", (True, 1)).text == "n.w: true, 1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cfg: 1, nan", "not finite"),
        ("cfg 1, 2", "a colon"),
        ("cfg: 1\ncfg: 2", "there twice"),
        ("cfg: 1\ngamma: 2", "cfg and gamma are the same axis"),
        ("seed: 5..2", "smaller number first"),
        ("seed: 0..99999999", "100,000,000 values"),
    ],
)
def test_what_cannot_be_read_is_named(text, words):
    with pytest.raises(ValueError, match=words):
        axes_of(text)


def test_every_combination_is_a_place():
    assert axes_of("cfg: 1, 1, 2")[0].values == (1, 2), "a value that stands twice is one"
    assert axes_of("seed: 100000..100002")[0].values == (100_000, 100_001, 100_002)
    axes = axes_of("cfg: 1, 2\nseed: 0..2")
    assert count(axes) == 6
    assert list(places(axes))[:2] == [{"cfg": 1, "seed": 0}, {"cfg": 1, "seed": 1}]


def test_ten_thousand_cells_are_refused_with_their_count_and_time_unless_confirmed():
    with pytest.raises(TooManyCells, match=r"10,000 cells, about 5.6 h at 2 s each"):
        check_count(10_000, 2.0)
    check_count(10_000, 2.0, confirmed=True)
    check_count(2_000, 2.0)
    with pytest.raises(TooManyCells, match="100,000 at most"):
        check_count(100_001, 2.0, confirmed=True)


def test_a_setting_is_found_by_any_of_its_words_and_times_are_in_words():
    assert value_at({"4.cfg": 1, "gamma": 2}, "cfg") == 2
    assert value_at({"steps": 3, "4.cfg": 1}, "cfg", 7) == 7
    assert [duration(s) for s in (40, 720, 12_240, 181_440)] == ["40 s", "12 min", "3.4 h", "2.1 days"]
    assert [duration(s) for s in (90, 5_400, 129_600)] == ["2 min", "1.5 h", "1.5 days"], "from one and a half on"
