"""The scale of a run is what acted, beside what u, c and D come to in float64: the host's, our rules', other packs'."""

from pathlib import Path
from types import FunctionType

import comfy.patcher_extension
import folder_paths
import pytest
import torch
from comfy_extras import nodes_custom_sampler as custom
from comfy_extras import nodes_perpneg

from guidance_geometry.host.models.native_model import conditioning
from guidance_geometry.trace.checks import check

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


def own_scale(args):
    return args["uncond"] + 2.0 * (args["cond"] - args["uncond"])


def rescaled(args):
    found, c = args["denoised"], args["cond_denoised"]
    return found * (0.3 + 0.7 * c.std(dim=(1, 2, 3), keepdim=True) / found.std(dim=(1, 2, 3), keepdim=True))


def skimmed(args):
    """Where c and its difference agree, u moves towards c, in place."""
    c, u = args["conds_out"]
    alike = (c - u).sign() == c.sign()
    u[alike] = 0.5 * (c + u)[alike]
    return [c, u]


PATCHES = {
    "own scale": ("cfg", own_scale),
    "rescaled": ("post_cfg", rescaled),
    "skimmed": ("pre_cfg", skimmed),
}


def patched(model, name):
    """A clone of a MODEL with what a node of another pack puts on it."""
    place, function = PATCHES[name]
    clone = model.clone()
    getattr(clone, f"set_model_sampler_{place}_function")(of_another_pack(function))
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


@pytest.mark.parametrize(("kind", "name"), [*(("pocket", name) for name in PATCHES), ("flow", "skimmed")])
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
    if name == "own scale":
        assert trace.steps["gamma"].tolist() == [2.0] * STEPS
        assert trace.record.square({"D-G": 1.0}).max() <= 1e-9 * trace.record.dot("u", "u").max()
    (note,) = [note for note in trace.header["notes"] if note.startswith("another node changes guidance: ")]
    assert note.endswith(f" (other-pack: {PATCHES[name][1].__name__})")


@pytest.mark.parametrize(
    ("name", "cfg", "has_mask"), [("euler", 0.0, True), ("heun", 1.0, False), ("euler_cfg_pp", 7.0, True)]
)
def test_plain_guidance_is_its_cfg_and_a_noise_mask_is_none(labelled, empty_latent, name, cfg, has_mask):
    latent = half_mask(empty_latent("pocket")) if has_mask else empty_latent("pocket")
    trace = guided(*labelled["pocket"], latent, name, cfg=cfg, steps=4)[2]
    assert set(trace.steps["gamma"].tolist()) == {cfg}
    known = trace.column("M19")[trace.column("M19").isfinite()]
    assert set(known.tolist()) <= {cfg}
    assert len(known) or cfg == 1
    assert trace.column("M19a").nan_to_num().max() == 0
    assert not [note for note in trace.header["notes"] if "another node" in note]
    assert trace.header["patches"] == []


@pytest.mark.parametrize(
    ("first", "second", "style", "gamma", "weight"),
    [
        (7.5, 1.5, "regular", 1.5, 6.0),
        (3.0, 2.0, "nested", 2.0, 4.0),
        (7.0, 0.5, "perp-neg", 7.0, 3.5),
    ],
)
def test_the_hosts_guiders_have_the_scales_that_they_say(labelled, empty_latent, first, second, style, gamma, weight):
    """What the two scales of a guider come to against u, and what the third prediction weighs."""
    model, positive, negative = labelled["pocket"]
    if style == "perp-neg":
        guider = nodes_perpneg.PerpNegGuider.execute(model, positive, conditioning([5]), negative, first, second)[0]
    else:
        guider = custom.DualCFGGuider.execute(model, positive, conditioning([5]), negative, first, second, style)[0]
    trace = inspected(guider, empty_latent("pocket"))
    assert not check(trace)
    assert trace.steps["gamma"].tolist() == [gamma] * STEPS
    assert trace.header["cfg"] == gamma
    assert near(trace.column("M19"), torch.tensor(gamma))
    (further,) = [column for name, column in trace.steps.items() if name.startswith("scale ")]
    assert near(further, torch.tensor(weight))
    assert trace.column("M19a").nan_to_num().max() == 0


@pytest.mark.parametrize(
    ("kind", "names"), [("pocket", ("GGInterval", "GGRescale")), ("flow", ("GGSkim", "GGTangential"))]
)
def test_our_schedules_and_rules_are_measured_as_they_act(labelled, empty_latent, kind, names):
    model, *conditions = labelled[kind]
    for guidance in map(chain, names):
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
