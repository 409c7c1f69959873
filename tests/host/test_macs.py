"""Whole runs on a make-believe Mac, whose GPU has no float64 and does not meet the CPU's tensors, against the CPU's."""

import folder_paths
import pytest
import torch

from guidance_geometry.dev.fixtures.mac_tensor import mac_host
from guidance_geometry.figures.order import Order
from guidance_geometry.figures.registry import draw_figure
from guidance_geometry.guidance.gradients.estimators import EVALUATIONS, NORMALISATIONS
from guidance_geometry.host.trace_pictures import pictures_of
from guidance_geometry.nodes.load_classifier import GGLoadClassifier
from guidance_geometry.nodes.report import GGReport
from guidance_geometry.nodes.see import GGDifferenceImages
from guidance_geometry.nodes.sweep import GGSweep
from guidance_geometry.nodes.train_classifier import GGTrainNoisyClassifier

from .chains import chain_of
from .devices import energy, mixture, pocket
from .rule_knobs import SOCKETS, acting, chain
from .runs import guided, names, readable


def here_and_there(run):
    """What it gives on the CPU and on the Mac; models are made anew for both, since they remember where they are."""
    here = run()
    with mac_host():
        there = run()
    return here, there


def same(here, there):
    """Every number and every tensor of two traces, nan where nan is."""
    assert there.header["host"]["device"] == "mps:0"
    assert there.header["notes"] == here.header["notes"]
    assert list(there.steps) == list(here.steps)
    assert list(there.tensors) == list(here.tensors)
    pairs = {name: (there.steps[name], here.steps[name]) for name in here.steps}
    pairs |= {name: (there.tensors[name], here.tensors[name]) for name in here.tensors}
    return [name for name, (a, b) in pairs.items() if not torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))] == []


def near(here, there, part=1e-4):
    """The same of networks, whose float32 sums a device may order as it likes: within a part of the largest number."""
    return float((here - there).abs().max()) <= part * float(here.abs().max())


def test_every_fourth_sampler_and_its_record():
    """They take their turns at the two worlds."""
    for i, name in enumerate(names()[::4]):
        kind = ("ve", "flow")[i % 2]
        here, there = here_and_there(lambda one=name, k=kind: guided(*mixture(k)[0], one, steps=3, capture="tensors"))
        assert torch.equal(there[0]["samples"], here[0]["samples"]), name
        assert same(here[2], there[2]), name


@pytest.mark.parametrize("name", ["GGFrequencyBands", "GGReuse", *SOCKETS])
def test_a_rule_node(name):
    """Those with wires of their own, and one of each further kind; chains alone are held to their formulas."""

    def run():
        parts, _ = mixture("flow")
        worse = mixture("flow", seed=5)[0][0]
        sockets = dict.fromkeys(("weak_model", "perturbed_model", "MODEL"), worse)
        sockets |= dict.fromkeys(("second", "empty", "CONDITIONING"), parts[1])
        rules = {"rules": chain("GGRescale", {"phi": 0.7, "space": "v"})}
        return guided(*parts, "euler", steps=4, guidance=acting(name, sockets | rules))

    here, there = here_and_there(run)
    assert near(here[0]["samples"], there[0]["samples"], 1e-5)
    own, other = (trace.steps["K"].nan_to_num(7.0) for trace in (here[2], there[2]))
    assert near(own, other, 1e-5)
    assert there[2].header["notes"] == here[2].header["notes"]
    readable(there[2])


@pytest.mark.parametrize(("evaluation", "normalise"), zip(EVALUATIONS, NORMALISATIONS[-3:], strict=True))
def test_a_gradient(evaluation, normalise):
    def run():
        asked = energy("noisy" if evaluation == EVALUATIONS[0] else "clean")
        guidance = chain_of(asked, evaluation=evaluation, normalise=normalise)
        return guided(*pocket(), "euler", steps=3, cfg=2.0, guidance=guidance)

    here, there = here_and_there(run)
    assert near(here[0]["samples"], there[0]["samples"], 1e-3)
    assert there[2].header["notes"] == here[2].header["notes"]
    for name in ("log_prob gradient", "K", "m10", "m12"):
        assert torch.equal(there[2].steps[name].isfinite(), here[2].steps[name].isfinite())


def test_a_sweep_its_judge_and_its_sheet():
    def run():
        given = {"sampler_name": "euler", "scheduler": "karras", "axes": "cfg: 1, 4"}
        return GGSweep.execute(*pocket(), seed=7, steps=3, **given, energy=energy("judge"), best_by="judge").args

    here, there = here_and_there(run)
    assert near(here[0]["samples"], there[0]["samples"])
    assert near(here[1], there[1], 0.05)
    assert [line.split()[:2] for line in there[2].splitlines()] == [line.split()[:2] for line in here[2].splitlines()]
    assert there[3] == here[3]


def test_reports_tables_figures_and_verdicts_of_a_run_there():
    with mac_host():
        trace = guided(*pocket(), "euler_ancestral", steps=3, capture="tensors")[2]
        assert "could not" not in GGReport.execute(trace, energy=energy("judge"))[0]
        assert GGDifferenceImages.execute(trace, steps="all")[0].isfinite().all()
        readable(trace)
        for figure in ("step plane", "heat map", "filmstrip"):
            assert draw_figure(Order(trace, pictures=pictures_of(trace, None)), figure).frames.size


def test_a_classifier_learns_there(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "classifiers", ([str(tmp_path)], {".safetensors"}))
    widgets = {"labels": "cat; dog", "steps": 4, "batch_size": 4, "learning_rate": 1e-3, "width": 8}
    widgets |= {"sigma_conditioning": True, "seed": 0, "filename_prefix": "noisy"}
    draws = torch.Generator().manual_seed(0)
    latent = {"samples": torch.randn(6, 3, 8, 8, generator=draws)}
    with mac_host():
        curve = GGTrainNoisyClassifier.execute(mixture()[0][0], **widgets, latent=latent).args[1]
        assert curve.shape[-1] == 3
        assert GGLoadClassifier.execute("noisy_00001_.safetensors").args[1]
