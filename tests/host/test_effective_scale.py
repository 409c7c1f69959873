"""The scale of a run is what acted, measured from u, c and D: of the host, its guiders, our schedules, other packs.

Stand-ins behave as the patches of such packs do; what each should give is computed here in float64 from what the host
predicted and what it handed to its sampler.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType

import comfy.patcher_extension
import folder_paths
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras import nodes_perpneg

from guidance_geometry.host.native_model import conditioning
from guidance_geometry.host.passes import guidance_patches
from guidance_geometry.trace.checks import check
from guidance_geometry.verdict.scale import scale_of

from .rule_knobs import chain
from .runs import CFG, STEPS, guided, half_mask, inspected, ksampler

EXACT = 1e-6  # relative


class Seen:
    """A clone of a MODEL of which every u, c and D of the guider are kept."""

    def __init__(self, model):
        kinds, self.pairs, self.denoised, self.model = comfy.patcher_extension.WrappersMP, [], [], model.clone()

        def conditions(executor, *given):
            found = executor(*given)
            self.pairs.append([one.double() for one in found])
            return found

        def predicted(executor, *given, **named):
            found = executor(*given, **named)
            self.denoised.append(found.double())
            return found

        self.model.add_wrapper_with_key(kinds.CALC_COND_BATCH, "test", conditions)
        self.model.add_wrapper_with_key(kinds.PREDICT_NOISE, "test", predicted)

    def scales(self):  # -> [n, B] x2
        """The effective scales and shares across, by their formulas."""
        found = [scale_and_share(u, c, d) for (c, u), d in zip(self.pairs, self.denoised, strict=True)]
        return [torch.stack(values) for values in zip(*found, strict=True)]


def scale_and_share(u, c, d):
    """By the formulas; nan where the difference or the push is rounding of what the host computes in float32."""
    delta, push = (c - u).flatten(1), (d - c).flatten(1)
    sizes = [v.square().sum(1) for v in (delta, push, u.flatten(1))]
    along = torch.where(sizes[0] > 1e-8 * sizes[2], (push * delta).sum(1) / sizes[0], torch.nan)
    across = (push - along[:, None] * delta).square().sum(1)
    return 1 + along, torch.where(sizes[1] > 1e-8 * sizes[2], across / sizes[1], torch.nan)


LIMITS = (0.3, 3.0)


def own_scale(args):
    return args["uncond"] + 2.0 * (args["cond"] - args["uncond"])


def limiter(args):
    scale = args["cond_scale"] if LIMITS[0] <= float(args["sigma"][0]) <= LIMITS[1] else 1.0
    return args["uncond"] + scale * (args["cond"] - args["uncond"])


def zero_star(args):
    """u is scaled onto c first."""
    u, c = args["uncond"].flatten(1), args["cond"].flatten(1)
    factor = ((u * c).sum(1) / u.square().sum(1))[:, None, None, None] * args["uncond"]
    return factor + args["cond_scale"] * (args["cond"] - factor)


def rescaled(args):
    found, c = args["denoised"], args["cond_denoised"]
    return found * (0.3 + 0.7 * c.std(dim=(1, 2, 3), keepdim=True) / found.std(dim=(1, 2, 3), keepdim=True))


def renormed(args):
    found, c = args["denoised"], args["cond_denoised"]
    sizes = [one.flatten(1).norm(dim=1)[:, None, None, None] for one in (c, found)]
    return found * (sizes[0] / sizes[1]).clamp(max=1)


def thresholded(args):
    found = args["denoised"]
    most = found.abs().flatten(2).quantile(0.9, dim=2)[..., None, None]
    return found.clamp(-most, most)


def skimmed(args):
    """Where c and its difference agree, u moves towards c, in place."""
    c, u = args["conds_out"]
    alike = (c - u).sign() == c.sign()
    u[alike] = 0.5 * (c + u)[alike]
    return [c, u]


def momentum():
    """A post-CFG function with a memory."""
    means = [0.0]

    def after(args):
        means.append(0.5 * means[-1] + 0.5 * args["denoised"])
        return args["denoised"] + 0.5 * (args["denoised"] - means[-1])

    return after


def adds_c(args):
    return args["denoised"] + 0.25 * args["cond_denoised"]


PATCHES = {
    "own scale": ("cfg", own_scale),
    "limiter": ("cfg", limiter),
    "zero star": ("cfg", zero_star),
    "rescaled": ("post_cfg", rescaled),
    "renormed": ("post_cfg", renormed),
    "thresholded": ("post_cfg", thresholded),
    "skimmed": ("pre_cfg", skimmed),
    "momentum": ("post_cfg", momentum),
    "adds c": ("post_cfg", adds_c),
}


def patched(model, name):
    """A clone of a MODEL with what a node of another pack puts on it."""
    place, function = PATCHES[name]
    clone = model.clone()
    function = of_another_pack(function() if function is momentum else function)
    getattr(clone, f"set_model_sampler_{place}_function")(function)
    return clone


def of_another_pack(function):
    """The same function, as if it had been read from the folder of another pack."""
    file = Path(folder_paths.get_folder_paths("custom_nodes")[0]) / "other-pack" / "nodes.py"
    code = function.__code__.replace(co_filename=str(file))
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    made.__qualname__ = function.__qualname__
    return made


def near(found, expected, within=EXACT):
    known = expected.isfinite() & found.isfinite()
    assert known.any(), "some differences are no rounding"
    return bool(((found - expected).abs() <= within * expected.abs().clamp(min=1))[known].all())


@pytest.mark.parametrize("kind", ["pocket", "flow"])
@pytest.mark.parametrize("name", PATCHES)
def test_what_other_packs_do_is_measured(labelled, empty_latent, kind, name):
    model, *conditions = labelled[kind]
    seen = Seen(patched(model, name))
    expected = ksampler(patched(model, name), *conditions, empty_latent(kind), "euler")
    out, _, trace = guided(seen.model, *conditions, empty_latent(kind), "euler")
    assert torch.equal(out["samples"], expected)
    effective, across = seen.scales()
    found, share = trace.column("M19"), trace.column("M19a")
    assert near(found, effective)
    assert near(share, across)
    assert trace.header["cfg"] == CFG
    if kind == "pocket":  # its differences are no rounding at any step
        assert near(trace.steps["gamma"], found.nanmedian(dim=1).values)
    assert trace.record.combination({"D-G": 1.0}, {"delta": 1.0}).isfinite().all()
    assert not check(trace)
    if (kind, name) == ("flow", "limiter"):
        return  # where it limits, this world's differences are rounding
    (note,) = [note for note in trace.header["notes"] if note.startswith("another node changes guidance: ")]
    assert f"cfg {CFG:g} acts like" in note
    assert note.endswith(f" (other-pack: {PATCHES[name][1].__name__})")


def test_a_scale_of_its_own_is_the_run_s(labelled, empty_latent):
    model, *conditions = labelled["pocket"]
    trace = guided(patched(model, "own scale"), *conditions, empty_latent("pocket"), "euler")[2]
    assert trace.steps["gamma"].tolist() == [2.0] * STEPS
    assert near(trace.column("M19"), torch.tensor(2.0), EXACT)
    assert trace.column("M19a").max() == 0
    assert trace.record.square({"D-G": 1.0}).max() <= 1e-9 * trace.record.dot("u", "u").max()
    assert trace.header["patches"] == ["other-pack: own_scale"]
    said = "another node changes guidance: cfg 3 acts like 2 (other-pack: own_scale)"
    assert said in trace.header["notes"]


def test_a_limiter_is_one_outside_its_interval(labelled, empty_latent):
    model, *conditions = labelled["pocket"]
    trace = guided(patched(model, "limiter"), *conditions, empty_latent("pocket"), "heun")[2]
    inside = (trace.steps["sigma"] >= LIMITS[0]) & (trace.steps["sigma"] <= LIMITS[1])
    assert inside.any()
    assert not inside.all()
    assert trace.steps["gamma"].tolist() == [CFG if there else 1.0 for there in inside.tolist()]
    assert "acts like 1 to 3" in " ".join(trace.header["notes"])


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "euler_ancestral", "euler_cfg_pp", "uni_pc"])
@pytest.mark.parametrize("cfg", [0.0, 1.0, 1.5, 7.0])
def test_plain_guidance_is_its_cfg(labelled, empty_latent, name, cfg):
    trace = guided(*labelled["pocket"], empty_latent("pocket"), name, cfg=cfg)[2]
    assert set(trace.steps["gamma"].tolist()) == {cfg}
    known = trace.column("M19")[trace.column("M19").isfinite()]
    assert set(known.tolist()) <= {cfg}
    assert len(known) or cfg == 1
    assert trace.column("M19a").nan_to_num().max() == 0
    assert not [note for note in trace.header["notes"] if "another node" in note]
    assert trace.header["patches"] == []


def test_a_patch_that_changes_nothing_is_named_and_not_accused(labelled, empty_latent):
    model, *conditions = labelled["pocket"]
    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(of_another_pack(lambda args: args["denoised"]))
    trace = guided(clone, *conditions, empty_latent("pocket"), "euler")[2]
    assert not [note for note in trace.header["notes"] if "another node" in note]
    assert len(trace.header["patches"]) == 1


def test_patches_bear_the_names_of_their_nodes(host):
    class Called:
        def __call__(self, args):
            return args["denoised"]

    Called.__call__ = of_another_pack(Called.__call__)
    plain, after = of_another_pack(rescaled), of_another_pack(momentum())
    post = [torch.no_grad()(plain), partial(after, more=1), Called()]
    wrappers = {"wrappers": {"predict_noise": {"key": [of_another_pack(adds_c)]}, "apply_model": {"key": [plain]}}}
    options = {"sampler_post_cfg_function": post, "sampler_cfg_function": ours, "transformer_options": wrappers}
    called = "test_patches_bear_the_names_of_their_nodes"
    assert guidance_patches(options) == [f"other-pack: {one}" for one in ("rescaled", "momentum", called, "adds_c")]
    assert guidance_patches({}) == []


def ours(args):
    return args["cond"]


@pytest.mark.parametrize("kind", ["pocket", "ve"])
def test_a_noise_mask_is_no_guidance(labelled, empty_latent, kind):
    latent = half_mask(empty_latent(kind))
    trace = guided(*labelled[kind], latent, "euler")[2]
    assert set(trace.steps["gamma"].tolist()) == {CFG}
    known = trace.column("M19")[trace.column("M19").isfinite()]
    assert len(known)
    assert set(known.tolist()) == {CFG}
    assert trace.column("M19a").nan_to_num().max() == 0
    assert not [note for note in trace.header["notes"] if "another node" in note]


@dataclass(frozen=True)
class Three:
    """Scales of the host's DualCFGGuider, and what they come to against u."""

    first: float
    second: float
    style: str
    gamma: float
    weight: float | None


DUAL = [
    Three(7.5, 1.5, "regular", 1.5, 6.0),
    Three(4.0, 4.0, "regular", 4.0, 0.0),
    Three(5.0, 1.0, "regular", 5.0, None),
    Three(1.0, 1.0, "regular", 1.0, None),
    Three(3.0, 2.0, "nested", 2.0, 4.0),
    Three(1.0, 6.0, "nested", 6.0, 0.0),
    Three(4.0, 1.0, "nested", 4.0, 0.0),
]


def checked(guider, latent):
    """A run of a guider, whose pixels are the host's and whose record is sound."""
    trace = inspected(guider, latent)
    assert not check(trace)
    return trace


@pytest.mark.parametrize("case", DUAL, ids=str)
def test_the_hosts_dual_guider_has_the_scales_that_it_says(labelled, empty_latent, case):
    model, positive, negative = labelled["pocket"]
    given = (positive, conditioning([5]), negative, case.first, case.second, case.style)
    trace = checked(custom.DualCFGGuider.execute(model, *given)[0], empty_latent("pocket"))
    assert trace.steps["gamma"].tolist() == [case.gamma] * STEPS
    assert trace.header["cfg"] == case.gamma
    if case.first > 1:
        assert near(trace.column("M19"), torch.tensor(case.gamma))
    weights = [column for name, column in trace.steps.items() if name.startswith("scale ")]
    assert [set(column.tolist()) for column in weights] == ([] if case.weight is None else [{case.weight}])
    assert trace.column("M19a").nan_to_num().max() == 0


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("same", [True, False], ids=["one model", "two models"])
def test_the_hosts_guider_of_two_models_has_its_cfg(labelled, pocket, empty_latent, same, cfg):
    """Its negative is evaluated on another model, by itself."""
    if (two_models := getattr(custom, "DualModelGuider", None)) is None:
        pytest.skip("this host has no guider of two models")
    model, positive, negative = labelled["pocket"]
    other = model if same else pocket("bf16")[0]
    guider = two_models.execute(model, positive, cfg, other, negative)[0]
    trace = checked(guider, empty_latent("pocket"))
    assert trace.steps["gamma"].tolist() == [cfg] * STEPS
    assert trace.stage == ["cond_only" if cfg == 1 else "step"] * STEPS
    if cfg > 1:
        assert near(trace.column("M19"), torch.tensor(cfg))
        assert trace.column("M19a").nan_to_num().max() == 0


@pytest.mark.parametrize(("cfg", "weight"), [(3.0, 0.5), (7.0, 1.0), (4.0, 0.0)])
def test_the_hosts_perp_neg_guider_has_its_cfg(labelled, empty_latent, cfg, weight):
    model, positive, empty = labelled["pocket"]
    guider = nodes_perpneg.PerpNegGuider.execute(model, positive, conditioning([5]), empty, cfg, weight)[0]
    trace = checked(guider, empty_latent("pocket"))
    assert trace.steps["gamma"].tolist() == [cfg] * STEPS
    assert near(trace.column("M19"), torch.tensor(cfg))
    assert trace.column("M19a").max() == 0
    assert trace.header["cfg"] == cfg
    if weight:
        assert near(trace.steps["scale negative"], torch.tensor(cfg * weight))


def test_one_scale_rules_where_the_others_weigh_nothing(labelled, empty_latent):
    model, positive, negative = labelled["pocket"]

    def scale(*scales):
        guider = custom.DualCFGGuider.execute(model, positive, conditioning([5]), negative, *scales)[0]
        return scale_of(checked(guider, empty_latent("pocket")))

    assert scale(4.0, 4.0, "regular").plain
    assert scale(4.0, 4.0, "regular").low == 4.0
    assert not scale(4.0, 2.0, "regular").plain
    assert scale(4.0, 2.0, "regular").further == ("middle",)


@pytest.mark.parametrize("kind", ["pocket", "flow"])
def test_our_schedules_and_rules_are_measured_as_they_act(labelled, empty_latent, kind):
    model, *conditions = labelled[kind]
    rules = [chain(name) for name in ("GGInterval", "GGRescale", "GGSkim", "GGAngle", "GGTangential")]
    for guidance in rules:
        seen = Seen(model)
        trace = guided(seen.model, *conditions, empty_latent(kind), "euler", guidance=guidance)[2]
        assert len(seen.pairs) == STEPS
        found, share = trace.column("M19"), trace.column("M19a")
        expected, across = seen.scales()
        assert near(found, expected), guidance.text
        assert near(share, across), guidance.text
        if guidance.is_cfg:
            handed = trace.steps["gamma"][:, None].expand_as(found)
            assert torch.equal(found[found.isfinite()], handed[found.isfinite()])
        assert not [note for note in trace.header["notes"] if "another node" in note]


def test_a_schedule_of_ours_beside_another_node_is_told_apart(labelled, empty_latent):
    model, *conditions = labelled["pocket"]
    latent, schedule = empty_latent("pocket"), chain("GGInterval")
    trace = guided(patched(model, "rescaled"), *conditions, latent, "euler", guidance=schedule)[2]
    assert trace.column("M19a").nan_to_num().max() > 0
    assert [note for note in trace.header["notes"] if note.startswith("another node changes guidance")]


def without_numbers(args):
    return torch.where(args["sigma"].amax() > 1, torch.nan, 1.0) * args["denoised"]


def endless_u(apply, given):
    kinds = given["cond_or_uncond"]
    parts = apply(given["input"], given["timestep"], **given["c"]).chunk(len(kinds))
    return torch.cat([torch.full_like(v, torch.inf) if kind else v for v, kind in zip(parts, kinds, strict=True)])


@pytest.mark.parametrize("broken", ["D", "u"])
def test_a_prediction_that_is_no_number_has_no_scale(labelled, empty_latent, broken):
    model, positive, negative = labelled["ve"]
    model = model.clone()
    if broken == "D":
        model.set_model_sampler_post_cfg_function(without_numbers)
    else:
        model.set_model_unet_function_wrapper(endless_u)
    trace = guided(model, positive, negative, empty_latent("ve", 2), "euler", scheduler="simple", steps=4)[2]
    assert trace.column("M19").isnan().all()
    assert trace.column("M19a").isnan().all()
    assert trace.steps["gamma"].isnan().all(), "the widget's number is nothing that was seen"
