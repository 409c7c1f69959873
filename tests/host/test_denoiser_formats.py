"""Published formats in the host: from the file or folder to samples, guided ones, and gradients."""

from dataclasses import dataclass
from typing import Any

import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.denoisers.dit import DiT, DiTSizes
from guidance_geometry.denoisers.jit import JiT, JiTSizes
from guidance_geometry.denoisers.schedules import table
from guidance_geometry.guidance.energies.protocol import CLEAN, PictureEnergy
from guidance_geometry.host.pictures import picture_of
from guidance_geometry.nodes.start import FOLDER, GGClassLabel, GGEmptyCanvas, GGLoadDenoiser, available
from guidance_geometry.tests.diffusers_folders import dit_folder, random_weights, unet_folder

from .chains import chain_of
from .collected import observed
from .runs import guided, ksampler

DIT = DiTSizes(channels=4, out=8, patch=2, grid=4, width=64, depth=2, heads=1, mlp=128, classes=3)
JIT = JiTSizes(3, 4, 2, bottleneck=8, width=32, depth=3, heads=2, mlp=40, classes=3, context=3, start=1, noise=1.0)
NAMES = ("DiT-S-2.safetensors", "SiT-S-2.safetensors", "JiT-B-16.safetensors", "unet/", "nested/dit/")
LATENT = {"DiT-S-2.safetensors", "SiT-S-2.safetensors", "nested/dit/"}
SHORT: Any = {"scheduler": "simple", "steps": 4}


def weights_of(kind, sizes):
    return random_weights({name: w.shape for name, w in kind(sizes, device="meta").state_dict().items()})


@pytest.fixture(scope="module")
def folder(host, tmp_path_factory):
    """A folder of the host's type `denoisers` with one of each format."""
    place = tmp_path_factory.mktemp("denoisers")
    save_file(weights_of(DiT, DIT), place / NAMES[0])
    save_file(weights_of(DiT, DIT), place / NAMES[1])
    save_file({f"net.{name}": w for name, w in weights_of(JiT, JIT).items()}, place / NAMES[2])
    unet_folder(place / "unet")
    dit_folder(place / "nested" / "dit")
    folder_paths.add_model_folder_path(FOLDER, str(place))
    yield place
    folder_paths.folder_names_and_paths[FOLDER][0].remove(str(place))
    folder_paths.filename_list_cache.pop(FOLDER, None)


def load(name, parametrisation="auto", schedule="auto", dtype="default"):
    return GGLoadDenoiser.execute(name, parametrisation, schedule, dtype).args


@pytest.fixture(params=NAMES)
def name(folder, request):
    return request.param


@pytest.fixture
def parts(name):
    """MODEL, labels 0, 1, 2 and the null label; a network without one is guided by its own labels, turned round."""
    model = load(name)[0]
    positive, negative = GGClassLabel.execute(model, "0;1;2").args
    if model.model.card.null_index is None:
        negative = GGClassLabel.execute(model, "2;1;0")[0]
    return model, positive, negative


@pytest.fixture
def canvas(parts):
    return GGEmptyCanvas.execute(parts[0], 0, 0, 3)[0]


def test_each_is_listed_once_and_its_parts_are_not(folder):
    names = available()
    assert set(NAMES) <= set(names)
    assert not any("diffusion_pytorch_model" in name or name.startswith("unet/unet") for name in names)


def test_cfg_is_the_hosts_bit_for_bit_on_a_canvas_of_the_networks_own(name, parts, canvas):
    assert canvas["samples"].shape == (3, 4 if name in LATENT else 3, 8, 8)
    assert canvas["downscale_ratio_spacial"] == (8 if name in LATENT else 1)
    plain = ksampler(*parts, canvas, "dpmpp_2m", **SHORT)
    ours, _, trace = guided(*parts, canvas, "dpmpp_2m", **SHORT)
    assert plain.isfinite().all()
    assert plain.std() > 0.05
    assert torch.equal(plain, ours["samples"])
    assert trace.n == 4
    alone = {**SHORT, "cfg": 1.0}
    exact = ksampler(*parts, canvas, "dpmpp_2m", **alone)
    assert (exact - plain).abs().max() > 1e-3
    half = ksampler(load(name, dtype="bf16")[0], *parts[1:], canvas, "dpmpp_2m", **alone)
    assert 0 < (half - exact).norm() < 0.15 * exact.norm()


@dataclass(frozen=True, eq=False, repr=False)
class Level(PictureEnergy):
    """log p = mean x, which no prediction of an untrained network satisfies wholly."""

    def log_prob(self, x, at=CLEAN):
        return x.flatten(1).mean(dim=1)


def test_a_gradient_through_the_network_is_its_slope(parts, canvas):
    """Beside the difference of log p between two places on either side, along the gradient."""
    model, picture = parts[0], picture_of(parts[0], None)
    steps = observed(parts, canvas, "euler", chain_of(Level(), evaluation="x0 + backprop"))
    step = [step for step in steps if step.evaluation.gradients][-2]
    found = step.evaluation.gradients["gradient"]
    sigma = torch.full((3,), float(step.sigma))
    alpha = 1 - sigma[0] if model.model.card.space == "flow" else 1.0
    way = 0.001 * found * (step.x.flatten(1).norm(dim=1) / found.flatten(1).norm(dim=1))[:, None, None, None]
    there, back = (
        Level().log_prob(picture(model.model.apply_model(x, sigma, y=torch.tensor([0, 1, 2]))))
        for x in (step.x + way, step.x - way)
    )
    wanted = (way * found).flatten(1).sum(dim=1) * alpha / sigma**2
    assert torch.allclose((there - back) / 2, wanted, rtol=0.01)


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_transformer_is_asked_at_its_own_time(folder, name):
    """SiT: x0 = x + s v(x, 1 - s); DiT: x0 = x - n eps(x / sqrt(1 + n^2), i), at the index i of its table."""
    model, network = load(name)[0], DiT(DIT)
    network.load_state_dict(weights_of(DiT, DIT))
    x, y = torch.randn(2, 4, 8, 8), torch.tensor([1, 3])
    if name == NAMES[1]:
        level = torch.tensor([0.9, 0.3])
        wanted = x + level[:, None, None, None] * network(x, 1 - level, y)
    else:
        index = torch.tensor([3, 700])
        level = table("vp_linear")[index].float()
        each = level[:, None, None, None]
        wanted = x - each * network(x / (1 + each**2).sqrt(), index.float(), y)
    found = model.model.apply_model(x, level, y=y)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_a_dit_by_another_name_runs_as_what_the_user_says(folder):
    save_file(weights_of(DiT, DIT), folder / "own.safetensors")
    with pytest.raises(ValueError, match="does not say its parametrisation"):
        load("own.safetensors")
    for name, choices in (("DiT-S-2.safetensors", ("epsilon", "vp_linear")), ("SiT-S-2.safetensors", ("flow", "flow"))):
        own, said = load("own.safetensors", *choices)[0], load(name)[0]
        x, sigma, y = torch.randn(1, 4, 8, 8), torch.tensor([0.7]), torch.tensor([1])
        assert torch.equal(own.model.apply_model(x, sigma, y=y), said.model.apply_model(x, sigma, y=y))


def test_a_linked_folder_is_read_and_nothing_that_it_leads_out_to(folder, tmp_path):
    place = unet_folder(tmp_path / "elsewhere")
    (folder / "link").symlink_to(place)
    try:
        assert load("link/")[2] == load("unet/")[2]
        before = GGLoadDenoiser.fingerprint_inputs(denoiser_name="link/")
        (place / "secret.json").symlink_to("/etc/hostname")
        assert before != GGLoadDenoiser.fingerprint_inputs(denoiser_name="link/")
        with pytest.raises(ValueError, match="links are not followed"):
            load("link/")
    finally:
        (folder / "link").unlink()
