"""Latents of video and sound: recorded, guided and drawn part by part, on whichever host nests them."""

import pytest
import torch

from guidance_geometry.dev.fixtures.tiny_streams import AUDIO, VIDEO, latent, text, two_streams
from guidance_geometry.guidance.chain import PLAIN, Chain
from guidance_geometry.guidance.gradients.term import GradientTerm
from guidance_geometry.guidance.parts import Packed
from guidance_geometry.guidance.rules.adaptive_projected import AdaptiveProjected
from guidance_geometry.guidance.rules.part_scale import PartScale
from guidance_geometry.nodes.guidance_patch import GGGuidancePatch
from guidance_geometry.nodes.records import GGReadTrace, GGRecord
from guidance_geometry.tests.host.runs import CFG, STEPS, guided, ksampler
from guidance_geometry.trace.checks import check

PACKED = Packed((VIDEO, AUDIO))
NAMES = ("video", "audio")


@pytest.fixture(scope="module")
def parts(host):
    pytest.importorskip("comfy.nested_tensor", reason="this host nests no latents")
    with torch.inference_mode():
        return two_streams(), text(1), text(2)


class Evaluated:
    """A clone of a MODEL that keeps what every call of it predicts: {call: (x, sigma, u, c, D)}, packed."""

    def __init__(self, model):
        self.calls, self.model = [], model.clone()
        self.model.set_model_sampler_post_cfg_function(self.after)

    def after(self, args):
        pair = (args["uncond_denoised"], args["cond_denoised"], args["denoised"])
        self.calls.append([v.clone() for v in (args["input"], args["sigma"], *pair)])
        return args["denoised"]


@pytest.mark.parametrize(("name", "capture"), [("heun", "numbers"), ("dpmpp_sde", "tensors"), ("uni_pc", "numbers")])
def test_plain_guidance_is_the_hosts_bit_for_bit(parts, name, capture):
    expected = ksampler(*parts, latent(), name)
    out, denoised, trace = guided(*parts, latent(), name, capture=capture)
    for mine, theirs, shape in zip(out["samples"].unbind(), expected.unbind(), (VIDEO, AUDIO), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.shape[1:] == shape
    assert [tuple(v.shape[1:]) for v in denoised["samples"].unbind()] == [VIDEO, AUDIO]
    assert trace.header["faults"] == []
    assert trace.part_names == list(NAMES)


RULES = Chain((AdaptiveProjected(eta=0.0, threshold=0.1, momentum=-0.5),))


@pytest.mark.parametrize(("chain", "factors"), [(PLAIN, (1.0, 3.0)), (RULES, (0.0, 2.0))], ids=["plain", "APG"])
def test_each_part_has_its_own_scale_and_its_numbers_are_those_of_its_own_vectors(parts, chain, factors):
    model, positive, negative = parts
    seen = Evaluated(model)
    trace = guided(seen.model, positive, negative, latent(), "ddpm", guidance=chain.then(PartScale(*factors)))[2]
    assert f"video x{factors[0]:g}, audio x{factors[1]:g}" in trace.header["chain"]
    for place, (name, factor) in enumerate(zip(NAMES, factors, strict=True)):
        part, gamma = trace.part(name), 1 + (CFG - 1) * factor
        assert part.steps["gamma"].tolist() == [gamma] * STEPS
        assert not check(part)
        for step, call in enumerate(seen.calls):
            u, c, d = (PACKED.split(v)[place].double().flatten(1) for v in call[2:])
            assert (part.column("M2")[step] - (c - u).square().mean(dim=1).sqrt()).abs().max() < 1e-6
            if chain is PLAIN:
                assert (d - (u + gamma * (c - u))).norm() <= 1e-5 * d.norm()


def test_a_ksampler_of_the_host_is_recorded_in_parts_and_found_by_one_of_them(parts):
    model, positive, negative = parts
    recorded, recorder = GGRecord.execute(GGGuidancePatch.execute(model, PLAIN)[0]).args
    sampled = ksampler(recorded, positive, negative, latent(), "euler")
    trace = guided(*parts, latent(), "euler")[2]
    for made in (sampled, sampled.unbind()[1]):
        found = GGReadTrace.execute(recorder, {"samples": made})[0]
        assert found.part_names == list(NAMES)
        assert torch.equal(found.parts["audio"].steps["K"], trace.parts["audio"].steps["K"])


def test_an_energy_on_a_latent_of_two_parts_is_refused_in_words(parts, exact):
    guidance = PLAIN.then(GradientTerm(exact["flow"][1]))
    with pytest.raises(ValueError, match="reads one picture, and this latent holds video and audio"):
        guided(*parts, latent(), "euler", guidance=guidance)
