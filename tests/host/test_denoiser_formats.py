"""Published formats in the host: from the file or folder to samples, guided ones, and gradients."""

from typing import Any

import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from guidance_geometry.files.safetensors import write_safetensors
from guidance_geometry.models.denoisers.dit import DiT, DiTSizes
from guidance_geometry.models.denoisers.jit import JiT, JiTSizes
from guidance_geometry.models.denoisers.schedules import table
from guidance_geometry.nodes.start import FOLDER, GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.tests.diffusers_folders import dit_folder, random_weights, unet_folder
from guidance_geometry.tests.tiny_networks import NETWORKS

from .chains import bright, chain_of
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


@pytest.fixture
def small(denoisers):
    """(format, weight type) -> MODEL, VAE and labels of a file in the host's folder."""

    def loaded(kind, dtype="fp32", labels=3, vae=None):
        name = f"{kind}-{labels}.safetensors".replace(" ", "-")
        write_safetensors(denoisers / name, NETWORKS[kind](labels), {})
        folder_paths.filename_list_cache.pop(FOLDER, None)
        return GGLoadDenoiser.execute(name, "auto", "auto", dtype, vae).args

    return loaded


def inputs(model, label="1"):
    return *GGClassLabel.execute(model, label).args, GGEmptyCanvas.execute(model, 0, 0, 1)[0]


def sampled(model, label="1"):
    return ksampler(model, *inputs(model, label), "euler", steps=3, cfg=1.0)


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_format_samples_in_half_precision_and_without_labels_and_has_a_gradient(small, kind):
    model, _, labels = small(kind)
    whole = sampled(model)
    assert whole.isfinite().all()
    assert labels == "0\n1\n2"
    assert not torch.allclose(whole, sampled(model, "2")), "the label counts"
    half = small(kind, "bf16")[0]
    assert half.model_dtype() == torch.bfloat16
    assert (sampled(half) - whole).abs().max() <= 0.3 * whole.abs().max(), "of the largest value, after three steps"
    push = chain_of(bright(), evaluation="x0 + backprop", weight=50.0)
    found = guided(model, *inputs(model), "euler", steps=3, cfg=1.0, guidance=push)[0]["samples"]
    assert found.isfinite().all()
    assert not torch.allclose(found, whole, atol=1e-4)
    unlabelled, _, labels = small(kind, labels=0)
    assert labels == ""
    assert sampled(unlabelled, "").isfinite().all()
