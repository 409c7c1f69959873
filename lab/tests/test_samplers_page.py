"""The page of all samplers: its rows are what the host has, and what a run shows again."""

import pytest

from guidance_geometry.lab.pages import samplers as page


@pytest.fixture(scope="module")
def rows():
    """Name of a sampler -> its cells."""
    text = page.PAGE.read_text(encoding="utf-8").split("## Adaptive")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    return {line[0]: [cell.strip() for cell in line[1:]] for line in lines}


def test_every_sampler_of_the_host_and_ours_has_a_row(host, rows):
    import comfyui_version

    if comfyui_version.__version__ in page.PAGE.read_text(encoding="utf-8"):
        assert list(rows) == list(page.samplers())
    assert not set(rows) - set(page.samplers())


@pytest.mark.matrix(parts=4)
@pytest.mark.parametrize(
    "name",
    [
        "euler",
        "heun",
        "dpmpp_2m_sde",
        "dpmpp_2s_ancestral",
        "dpm_adaptive",
        "uni_pc",
        "sa_solver",
        "seeds_3",
        "DDPM Sampler (this pack)",
    ],
)
def test_a_run_shows_what_the_page_says(host, rows, name):
    import torch

    with torch.inference_mode():
        found = page.observe_sampler(page.world("ve"), page.samplers()[name]).cells()
    said = [cell.split("; flow: ")[0] for cell in (rows[name] + [""])[:4]]
    assert found[:3] == said[:3]
    assert bool(found[3]) == bool(said[3])


def test_noise_is_named_by_what_changes_the_run(host):
    import torch

    one, other, (model, *_) = torch.zeros(2), torch.ones(2), page.world("ve")

    def noise_of(name, *runs):
        return page.noise_of(page.samplers()[name], model, *runs)

    assert noise_of("euler", one, one, one) == "none"
    assert noise_of("ddpm", one, other, one) == "independent, of the seed"
    assert noise_of("dpmpp_sde_gpu", one, other, one) == "a Brownian path of the seed"
    assert noise_of("heunpp2", one, one, other).startswith("torch's own generator")


def test_below_an_error_of_a_thousandth_no_other_solver_needs_fewer_evaluations():
    text = page.PAGE.read_text(encoding="utf-8").split("## Adaptive")[1]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| ve", "| flow"))]
    found = {(kind, name): [tuple(map(float, cell.split(": "))) for cell in cells] for kind, name, *cells in rows}
    for (kind, _), cells in found.items():
        own = found[kind, "dpm_adaptive (host)"]
        for count, error in cells:
            assert error >= 1e-3 or min(n for n, e in own if e <= error) <= count
