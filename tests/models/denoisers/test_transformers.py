"""DiT, SiT and JiT: the function of independent implementations, the published sizes, and what a file is taken for."""

import math
from typing import Any

import pytest
import torch

from guidance_geometry.models.denoisers.conversion import to_x0
from guidance_geometry.models.denoisers.dit import DIT, SIT, DiT, DiTSizes, SiT
from guidance_geometry.models.denoisers.dit_folders import dit_format, own_names
from guidance_geometry.models.denoisers.jit import JIT, JiT, JiTSizes
from guidance_geometry.models.denoisers.reading import denoiser_of
from guidance_geometry.models.denoisers.spec import choose_spec
from guidance_geometry.tests.diffusers_folders import random_weights
from guidance_geometry.tests.models.denoisers.networks import error, shapes_of

TINY = DiTSizes(channels=4, out=8, patch=2, grid=4, width=128, depth=2, heads=2, mlp=512, classes=3)
NARROW = {"channels": 3, "patch": 4, "grid": 4, "bottleneck": 8, "width": 64, "depth": 6, "heads": 2}
SMALL = JiTSizes(**NARROW, mlp=170, classes=3, context=5, start=2, noise=1.0)


def stored(kind: Any = DiT, sizes: Any = TINY, seed=0):
    """What a released file of such a network holds."""
    return random_weights(shapes_of(kind(sizes, device="meta")), seed)


def loaded(kind, sizes, weights):
    network = kind(sizes).eval()
    network.load_state_dict(weights)
    return network


def batch(channels=4, side=8):
    x = torch.randn(3, channels, side, side, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0.0, 417.0, 999.0]), torch.tensor([0, 2, 3])


def of_diffusers(out=8, epsilon=1e-6, shift=0):
    """The library's DiT with random weights, its own or those of the released code, whose frequencies end elsewhere."""
    diffusers = pytest.importorskip("diffusers")
    config = {"sample_size": 8, "patch_size": 2, "in_channels": 4, "out_channels": out, "norm_eps": epsilon}
    config |= {"num_attention_heads": 2, "attention_head_dim": 64, "num_layers": 2, "num_embeds_ada_norm": 3}
    theirs = diffusers.DiTTransformer2DModel(**config).eval()
    weights = random_weights(shapes_of(theirs))
    weights |= {n: weights[n.replace("blocks.1.", "blocks.0.")] for n in weights if "1.norm1.emb." in n}
    theirs.load_state_dict(weights)
    for block in theirs.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = shift
    return theirs, dit_format(config).state_dict(own_names(weights))


@pytest.mark.parametrize(("out", "epsilon", "shift"), [(8, 1e-6, 0), (8, 1e-5, 1), (4, 1e-3, 1)])
def test_a_dit_of_diffusers_is_the_same_function(out, epsilon, shift):
    theirs, weights = of_diffusers(out, epsilon, shift)
    sizes = DiTSizes(**vars(TINY) | {"out": out, "shift": shift, "epsilon": epsilon})
    ours, (x, t, y) = loaded(DiT, sizes, weights), batch()
    with torch.no_grad():
        wanted = theirs(x, timestep=t, class_labels=y).sample[:, :4]
    assert error(ours(x, t, y), wanted) < 1e-5


def test_a_sit_is_told_the_share_of_data_and_flows_the_other_way():
    """x_t = t x0 + (1 - t) eps and v = x0 - eps, so x0 = x_t + (1 - t) v in the public code's own words."""
    (theirs, weights), (x, _, y), s = of_diffusers(), batch(), torch.tensor([0.9, 0.4, 0.01])
    with torch.no_grad():
        velocity = theirs(x, timestep=1 - s, class_labels=y).sample[:, :4]
    found = loaded(SiT, TINY, weights)(x, s, y)
    assert error(found, -velocity) < 1e-5
    assert error(to_x0("flow", "flow", found, x, s, None), x + s[:, None, None, None] * velocity) < 1e-5


PUBLISHED = {"XL": (1152, 28, 16, 675), "B": (768, 12, 12, 130)}


@pytest.mark.parametrize(("size", "patch", "side"), [("XL", 2, 32), ("B", 8, 64)])
def test_every_published_dit_is_known_by_its_weights(size, patch, side):
    width, depth, heads, millions = PUBLISHED[size]
    sizes = DiTSizes(4, 8, patch, side // patch, width, depth, heads, 4 * width, 1000)
    shapes = shapes_of(DIT.network(vars(sizes), 1000, device="meta"))
    assert DIT.recognises(shapes, {})
    assert not JIT.recognises(shapes, {})
    assert (DIT.sizes(shapes), DIT.labels(shapes)) == (vars(sizes), 1000)
    assert DIT.published(vars(sizes)).image_size == side
    if (patch, side) == (2, 32):
        assert sum(map(math.prod, shapes.values())) // 10**6 in (millions, millions - 1)


def test_the_names_of_a_released_dit():
    """As the public repository's classes name them."""
    shapes = shapes_of(DIT.network(vars(DiTSizes(4, 8, 2, 16, 1152, 28, 16, 4608, 1000)), 1000, device="meta"))
    block = {"attn.qkv": (3456, 1152), "attn.proj": (1152, 1152), "mlp.fc1": (4608, 1152), "mlp.fc2": (1152, 4608)}
    layers = {f"blocks.{n}.{part}": shape for n in range(28) for part, shape in block.items()}
    layers |= {f"blocks.{n}.adaLN_modulation.1": (6912, 1152) for n in range(28)}
    layers |= {"final_layer.adaLN_modulation.1": (2304, 1152), "final_layer.linear": (32, 1152)}
    layers |= {"t_embedder.mlp.0": (1152, 256), "t_embedder.mlp.2": (1152, 1152), "x_embedder.proj": (1152, 4, 2, 2)}
    wanted = {f"{name}.weight": shape for name, shape in layers.items()}
    wanted |= {f"{name}.bias": shape[:1] for name, shape in layers.items()}
    assert shapes == wanted | {"pos_embed": (1, 256, 1152), "y_embedder.embedding_table.weight": (1001, 1152)}


def jit_of(sizes=SMALL, labels=3, **changes):
    model = pytest.importorskip("azula.plugins.jit._src.model")
    names = {"patch_size": sizes.patch, "hidden_size": sizes.width, "depth": sizes.depth, "num_heads": sizes.heads}
    names |= {"bottleneck_dim": sizes.bottleneck, "in_context_len": sizes.context, "in_context_start": sizes.start}
    theirs = model.JiT(input_size=sizes.grid * sizes.patch, num_classes=labels, **names).eval()
    weights = random_weights(shapes_of(theirs))
    theirs.load_state_dict(weights)
    return theirs, weights


def eager(module):
    """The reference compiles its blocks, which takes minutes; the function is the same without."""
    return torch.compiler.set_stance("force_eager") if hasattr(torch.compiler, "set_stance") else module


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_a_jit_sees_its_own_share_of_noise_and_is_the_same_function_as_azulas(noise):
    """z = t x0 + (1 - t) k eps holds for the x0 and eps that our x was made of, at pure noise too."""
    theirs, weights = jit_of()
    ours = loaded(JiT, JiTSizes(**vars(SMALL) | {"noise": noise}), weights)
    x0, _, y = batch(3, 16)
    eps, s = torch.randn_like(x0), torch.tensor([1.0, 0.6, 0.05])
    t = noise * (1 - s) / (s + noise * (1 - s))
    each = (slice(None), None, None, None)
    with torch.no_grad(), eager(theirs):
        wanted = theirs(t[each] * x0 + (1 - t[each]) * noise * eps, t, y)
    assert error(ours((1 - s[each]) * x0 + s[each] * eps, s, y), wanted) < 1e-5


JITS = {"B": (131, 12, 768, 128, 4), "L": (459, 24, 1024, 128, 8)}


@pytest.mark.parametrize(("size", "patch"), [("B", 16), ("L", 32)])
def test_every_published_jit_is_known_by_its_weights(size, patch):
    model = pytest.importorskip("azula.plugins.jit._src.model")
    millions, depth, width, bottleneck, start = JITS[size]
    with torch.device("meta"):
        theirs = model.JiT_models[f"JiT-{size}/{patch}"](input_size=16 * patch)
    shapes = shapes_of(theirs)
    sizes = JIT.sizes(shapes)
    assert JIT.recognises(shapes, {})
    assert not DIT.recognises(shapes, {})
    assert shapes_of(JIT.network(sizes, JIT.labels(shapes), device="meta")) == shapes
    assert (sizes["depth"], sizes["width"], sizes["bottleneck"], sizes["start"]) == (depth, width, bottleneck, start)
    assert (sizes["heads"], sizes["noise"], JIT.labels(shapes)) == (theirs.num_heads, patch / 16, 1000)
    assert JIT.published(sizes).image_size == 16 * patch
    if patch == 16:
        assert round(sum(map(math.prod, shapes.values())) / 10**6) == millions


@pytest.mark.parametrize(
    ("file", "known", "said"),
    [
        ("my_dit.safetensors", DIT, ("epsilon", "vp_linear", "index")),
        ("SiT-XL-2-256.safetensors", SIT, ("flow", "flow", "sigma")),
    ],
)
def test_the_name_of_a_file_tells_dit_from_sit(file, known, said):
    spec = choose_spec(denoiser_of(file, stored(), None).spec)
    assert spec.format is known
    assert (spec.parametrisation, spec.schedule, spec.time) == said
    assert (spec.shape, spec.multiple, spec.labels, spec.null_index) == ((4, 8, 8), 0, ("0", "1", "2"), 3)
    assert spec.latents.downscale == 8


@pytest.mark.parametrize("file", ["transit.safetensors", "editor.safetensors"])
def test_another_name_leaves_the_choice_to_the_user(file):
    spec = denoiser_of(file, stored(), None).spec
    with pytest.raises(ValueError, match=r"Choose it on the node.*DiT \(epsilon, vp_linear\).*SiT \(flow, flow\)"):
        choose_spec(spec)
    with pytest.raises(ValueError, match="does not say its schedule"):
        choose_spec(spec, "flow")
    diffusion, flow = choose_spec(spec, "epsilon", "vp_linear"), choose_spec(spec, "flow", "flow")
    assert (diffusion.format, diffusion.time) == (DIT, "index")
    assert (flow.format, flow.time) == (SIT, "sigma")


@pytest.mark.parametrize(
    ("sizes", "changes", "message"),
    [
        (TINY, {"pos_embed": (1, 15, 128)}, "has 15 patches"),
        (TINY, {"final_layer.linear.weight": (33, 128)}, "33 outputs for each, so its weights do not fit"),
        (TINY, {"y_embedder.embedding_table.weight": (1, 128)}, "has 1 rows but needs one per label"),
        (SMALL, {"x_embedder.proj1.weight": (8, 128, 1, 1)}, "works on 128 channels where a JiT has 3"),
    ],
)
def test_weights_that_do_not_fit_are_named(sizes, changes, message):
    weights = stored() if sizes is TINY else stored(JiT, SMALL)
    weights |= {name: None if shape is None else torch.zeros(shape) for name, shape in changes.items()}
    with pytest.raises(ValueError, match=message):
        denoiser_of("dit.safetensors", {name: weight for name, weight in weights.items() if weight is not None}, None)
