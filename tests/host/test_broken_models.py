"""A broken model is never called fine, with a curve of its own or without, and a run that blows up is named."""

import pytest
import torch

from guidance_geometry.nodes.start import GGClassLabel, GGEmptyCanvas, GGLoadDenoiser
from guidance_geometry.trace.trace import model_key
from guidance_geometry.verdict.known import knowledge_without_host
from guidance_geometry.verdict.measured import ModelCurves, measure_curve
from guidance_geometry.verdict.report import UNCLEAR, report_of

from .runs import guided


def loaded(parametrisation="auto", schedule="auto"):
    return GGLoadDenoiser.execute("pocket-1", parametrisation, schedule, "default")[0]


def patched(change, own=1.0):
    """Weights of which a share is left, and a change is added."""
    model, generator = loaded().clone(), torch.Generator().manual_seed(3)

    def draw(shape):
        return torch.randn(shape, generator=generator)

    weights = {name: w for name, w in model.model.state_dict().items() if w.ndim > 1}
    changes = {name: ("diff", (w.std() * change(draw, w.shape).reshape(w.shape),)) for name, w in weights.items()}
    model.add_patches(changes, 1.0, own)
    return model


KINDS = {"read as x0": "x0", "read as epsilon": "epsilon", "read as v": "v", "read as a score": "score"}
BROKEN = {name: lambda kind=kind: loaded(kind) for name, kind in KINDS.items()}
BROKEN |= {
    "another schedule": lambda: loaded("auto", "vp_linear"),
    "weights with 20 % of noise": lambda: patched(lambda draw, shape: 0.2 * draw(shape)),
    "a LoRA of random directions": lambda: patched(lambda draw, shape: low_rank(draw, shape, 0.2)),
    "the same at four times the strength": lambda: patched(lambda draw, shape: low_rank(draw, shape, 0.8)),
    "a merge with weights that fit nothing": lambda: patched(lambda draw, shape: 0.5 * draw(shape), own=0.5),
}


def low_rank(draw, shape, size, rank=4):
    """Of so many times the deviation of a weight."""
    return size * rank**-0.5 * draw((shape[0], rank)) @ draw((rank, shape.numel() // shape[0]))


@pytest.mark.parametrize("name", BROKEN)
def test_no_run_of_a_broken_model_is_called_fine(name):
    model = BROKEN[name]()
    parts = (model, *GGClassLabel.execute(model, "0; 5").args[:2], GGEmptyCanvas.execute(model, 0, 0, 2).args[0])
    runs = [guided(*parts, "euler", steps=6, cfg=cfg, measure=1)[2] for cfg in (1.0, 4.0)]
    facts = runs[1].header["model"]
    assert report_of(runs[1], knowledge_without_host(facts)).answer.against == "nothing", (
        "the included curve is another's"
    )
    own = ModelCurves("broken", model_key(facts), (measure_curve(runs, "cfg", "2026-12-01"),))
    answer = report_of(runs[1], knowledge_without_host(facts, own)).answer
    assert (answer.colour, answer.against) == (UNCLEAR, "measured")
    assert answer.headline.id in ("head.refused", "head.unsure", "head.unsure.alike")
