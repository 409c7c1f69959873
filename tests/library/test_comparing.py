"""Rules compared at equal prompt strength, on exact mixtures and in a folder."""

import json
import re

import pytest

from guidance_geometry import library as gg

SHAPE = (6, 2, 4, 4)
LABELS = [i % 3 for i in range(SHAPE[0])]
WORLD = gg.make_mixture(SHAPE[1:], 3, seed=0)
SIGMAS = gg.karras(6, 0.05, 10.0)
CFG = (1, 2, 3, 8)


def halfway(u, c, x, gamma, sigma):
    """A rule that only weakens guidance: plain guidance at cfg (1 + gamma) / 2."""
    return c + 0.5 * (gamma - 1) * (c - u)


class Counting(gg.ExactDenoiser):
    """The exact denoiser, which counts the samples that it is asked about."""

    asked = 0

    def __call__(self, x, sigma, label=None):
        self.asked += len(x)
        return super().__call__(x, sigma, label)


def compare(rules, denoiser=None, **more):
    given = {"cfg": CFG, "seeds": range(2), "progress": False} | more
    return gg.compare_rules(denoiser or gg.ExactDenoiser(WORLD), SHAPE, SIGMAS, LABELS, rules=rules, **given)


def test_a_rule_that_only_weakens_guidance_is_plain_guidance_at_another_cfg():
    plane = compare({"halfway": halfway, "interval": gg.Interval("percent", 0.0, 0.5)})
    here = plane.compare(2)
    row, interval = here.rows
    assert row.cfg.value == pytest.approx(3, rel=1e-3)
    assert row.quotient.value == pytest.approx(1, abs=1e-3)
    assert row.verdict == ""
    for rule in plane.rules:
        pairs = list(zip(rule.points, plane.controls[rule.name].points, strict=True))
        assert [c.ratio.value for _, c in pairs] == pytest.approx([r.ratio.value for r, _ in pairs], rel=1e-4)
    assert plane.compare(8).rows[0].missing == "below"
    assert interval.evaluations == pytest.approx(9)
    assert row.evaluations == pytest.approx(12)
    assert plane.plain.variety[0].value == pytest.approx(1)
    assert len(plane.plain.variety) == len(CFG)


def test_it_says_what_it_costs_before(capsys):
    pytest.importorskip("tqdm")
    denoiser = Counting(WORLD)
    compare({"halfway": halfway}, denoiser, seeds=[3], cfg=(1, 4), progress=True)
    drawn, measured = (
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) (?:evaluations|to measure)", capsys.readouterr().err)
    )
    assert (drawn, measured) == (6 * 6 * (3 + 3 + 3), 6 * 24 * 6)
    assert denoiser.asked == drawn + measured


def test_a_folder_keeps_every_run_and_its_page_shows_the_plane(tmp_path):
    denoiser = Counting(WORLD)
    first = compare({"halfway": halfway}, denoiser, cfg=(1, 4), folder=tmp_path)
    asked = denoiser.asked
    again = compare({"halfway": halfway}, denoiser, cfg=(1, 4), folder=tmp_path)
    assert denoiser.asked == asked
    assert again.as_json() == first.as_json()
    assert "halfway by scale alone" in (tmp_path / "results.csv").read_text()
    assert repr(first) in (tmp_path / "report.txt").read_text()
    page = (tmp_path / "index.html").read_text()
    study = json.loads(page.split('id="gg-study">')[1].split("</script>")[0])
    assert study["plane"] == json.loads(json.dumps(first.as_json()))


@pytest.mark.parametrize(
    ("axes", "message"),
    [({"cfg": [2, 4], "seed": [0]}, "add cfg 1"), ({"cfg": [1, 4], "seed": [0]}, "add seeds")],
)
def test_a_sweep_without_what_the_plane_needs_says_what_is_missing(tmp_path, axes, message):
    axes = {**axes, "rule": {"CFG": None, "halfway": halfway}}
    measures = ["prompt_strength", "denoising_ratio"]
    shape, progress = (1, *SHAPE[1:]), {"measures": measures, "folder": tmp_path, "progress": False}
    gg.sweep(gg.ExactDenoiser(WORLD), shape, SIGMAS, 1, axes=axes, **progress)
    assert message in (tmp_path / "report.txt").read_text()


def test_a_step_whose_scale_nobody_knows_has_no_control():
    plane = compare({"reuse": gg.Reuse(every=3), "halfway": halfway}, cfg=(1, 4), seeds=[0])
    assert [*plane.controls] == ["halfway"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rules": {}}, "no rule beside"),
        ({"rules": {"a": halfway}, "cfg": (2, 4)}, "1 and a value above"),
        ({"rules": {"plain": halfway}}, "'plain'"),
        ({"rules": {"a by scale alone": halfway}}, "by scale alone"),
        ({"rules": {"a": 3}}, "rule"),
        ({"rules": {"a": halfway}, "sampler": "dpmpp"}, "dpmpp"),
    ],
)
def test_what_cannot_be_compared_is_said_before_any_run(more, message):
    denoiser = Counting(WORLD)
    with pytest.raises(ValueError, match=message):
        compare(more.pop("rules"), denoiser, **more)
    assert denoiser.asked == 0
