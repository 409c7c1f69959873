"""Who guided a run and who only measured it is read off its record, whatever the names."""

from dataclasses import replace

import pytest
import torch

from guidance_geometry.trace.file import load, save
from guidance_geometry.trace.gram import VECTORS
from guidance_geometry.trace.terms import GUIDES, MEASURES, Term

from .ddpm_run import recorded


def asked(gradients, energies):
    """A run with these gradients among its vectors and these energies among its columns."""
    trace, count = recorded(), len(VECTORS) + len(gradients)
    K = torch.zeros(trace.n, trace.batch, count * (count + 1) // 2, dtype=torch.float64)
    said = {f"log_prob {name}": torch.zeros(trace.n, trace.batch, dtype=torch.float64) for name in energies}
    facts = {"vectors": [*VECTORS, *gradients], "terms": {name: f"+ {name}" for name in energies}}
    return replace(trace, header={**trace.header, **facts}, steps={**trace.steps, "K": K, **said})


@pytest.mark.parametrize(
    ("gradients", "energies"),
    [
        ([], []),
        ([], ["watch"]),
        (["gradient"], ["gradient"]),
        (["gradient", "gradient 2"], ["watch", "gradient", "gradient 2"]),
        (["likeness"], ["gradient", "likeness"]),
    ],
)
def test_terms_have_the_role_of_their_vectors_before_and_after_a_file(tmp_path, gradients, energies):
    trace = asked(gradients, energies)
    expected = [Term(name, GUIDES, f"+ {name}") for name in gradients]
    expected += [Term(name, MEASURES, f"+ {name}") for name in energies if name not in gradients]
    assert list(trace.terms) == expected
    save(trace, tmp_path / "run.safetensors")
    assert load(tmp_path / "run.safetensors").terms == trace.terms


def test_only_what_guides_is_compared_with_the_difference():
    added = asked(["likeness"], ["likeness", "gradient"]).metrics.keys() - recorded().metrics.keys()
    assert added == {"log_prob likeness", "log_prob gradient", "M18 likeness", "M18r likeness", "M18s likeness"}
